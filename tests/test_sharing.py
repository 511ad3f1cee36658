"""Threads that share loops of machine code: every row is computed once, whoever is there, and nobody is waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.compiled import cache, fast, sharing

pytestmark = pytest.mark.skipif(fast.version() is None, reason="numba is not installed (extra fast)")

TEXT = '''
from numba import cfunc
from .programs import floats64_at, rows, word


@cfunc(rows, cache=True)
def count(given, first, last):
    """Add to each entry of an array how long the loop ran, and something that takes a while."""
    counts, x = floats64_at(word(given, 1)), 1.0
    for k in range(first, last):
        for _ in range(word(given, 0)):
            x = x * 0.999 + 0.1
        counts[k] += 1 + 0 * x
'''


@pytest.fixture(autouse=True)
def one_thread_afterwards() -> Iterator[None]:
    yield
    tg.set_num_threads(1)


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """How often each of n rows was computed, in so many parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYGRAD_RNN_CACHE", str(tmp_path_factory.mktemp("cache")))
        work = cache.load("count", cache.resolved(TEXT)).count

    def run(n: int, parts: int, each: int = 100) -> np.ndarray:
        counts = np.zeros(n)
        sharing.over(work.address, [each], [counts], n, parts)
        return counts

    return run


@pytest.mark.slow  # compiles
@pytest.mark.parametrize("parts", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_every_row_is_computed_once(counted, n, parts):
    for each in (0, 100, 10_000 // n):
        for _ in range(20):
            assert (counted(n, parts, each) == 1).all()


@pytest.mark.slow
def test_helpers_that_sleep_are_woken_and_those_that_look_out_are_seen(counted, monkeypatch):
    monkeypatch.setattr(sharing, "_crew", None)  # one of its own
    for rounds in (0, 10**6):
        sharing.crew(2)
        sharing._crew.put(sharing._crew.machine.ROUNDS, rounds)
        for _ in range(300):
            assert (counted(30, 3) == 1).all()


@pytest.mark.slow
def test_threads_of_the_user_do_not_wait_for_each_other(counted):
    with ThreadPoolExecutor(4) as users:
        for counts in users.map(lambda k: counted(50 + k, 3, 1000), range(200)):
            assert (counts == 1).all()


@pytest.mark.slow
def test_more_helpers_than_there_is_room_for_are_not_called(monkeypatch):
    monkeypatch.setattr(sharing, "MOST", 2)
    monkeypatch.setattr(sharing, "_crew", None)
    assert sharing.crew(5)[1] == 2
    assert sharing.crew(0) == (0, 0)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_a_crew_of_its_own(counted):
    counted(10, 3)
    crew = sharing._crew
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if (counted(1000, 3) == 1).all() and sharing._crew not in (None, crew) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (counted(1000, 3) == 1).all()


@pytest.mark.slow
def test_a_process_ends_while_its_helpers_sleep_or_look_out():
    code = """
        import time, numpy as np, tinygrad_rnn as tg
        from tinygrad_rnn.compiled import kernels, sharing
        tg.set_num_threads(3)
        a = np.ones((300, 300), np.float32)
        kernels.Kernels(a.dtype).multiply(a, a, np.empty_like(a))
        assert sharing._crew.size == 2
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done


def test_what_is_small_is_not_shared_out():
    tg.set_num_threads(3)
    assert [sharing.parts(n, cost) for n, cost in ((10, 1e9), (2, 1e9), (10, 1e3), (10, 5e4), (0, 1e9))] == [
        3,
        2,
        1,
        2,
        1,
    ]
    tg.set_num_threads(1)
    assert sharing.parts(10, 1e9) == 1
