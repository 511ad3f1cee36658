"""What all tests share: hypothesis without chance, PyTorch as an oracle and a browser where they are installed."""

import os
import shutil
import signal
from typing import Any

import pytest
from hypothesis import settings

# A shell that starts something in the background lets it, and all that it starts, ignore Ctrl-C, and nohup the end of
# the terminal: tests send both.
for number, usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    if hasattr(signal, number) and signal.getsignal(getattr(signal, number)) is signal.SIG_IGN:
        signal.signal(getattr(signal, number), usual)

os.environ.setdefault("TINYGRAD_RNN_FAST", "0")  # most tests are of NumPy's programs; test_fast.py of numba's

settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
settings.load_profile("deterministic")


@pytest.fixture(scope="session")
def torch() -> Any:
    """PyTorch on one thread; tests that ask for it are skipped where it is missing."""
    module = pytest.importorskip("torch")
    module.set_num_threads(1)
    return module


@pytest.fixture(scope="module")
def chromium() -> Any:
    """A headless Chromium; nothing is downloaded."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (extra browser)")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program)
        yield browser
        browser.close()
