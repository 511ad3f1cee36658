"""What all tests share: hypothesis without chance, and PyTorch as an oracle where it is installed."""

import signal
from typing import Any

import pytest
from hypothesis import settings

# A shell that starts something in the background lets it, and all that it starts, ignore Ctrl-C, and nohup the end of
# the terminal: tests send both.
for number, usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    if hasattr(signal, number) and signal.getsignal(getattr(signal, number)) is signal.SIG_IGN:
        signal.signal(getattr(signal, number), usual)

settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
settings.load_profile("deterministic")


@pytest.fixture(scope="session")
def torch() -> Any:
    """PyTorch on one thread; tests that ask for it are skipped where it is missing."""
    module = pytest.importorskip("torch")
    module.set_num_threads(1)
    return module
