"""What all tests share: hypothesis without chance, and PyTorch as an oracle where it is installed."""

import signal
from typing import Any

import pytest
from hypothesis import settings

# A shell that starts something in the background lets it, and all that it starts, ignore Ctrl-C: tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
settings.load_profile("deterministic")


@pytest.fixture(scope="session")
def torch() -> Any:
    """PyTorch on one thread; tests that ask for it are skipped where it is missing."""
    module = pytest.importorskip("torch")
    module.set_num_threads(1)
    return module
