"""Threads of our own: the same results for any number of them, and nothing left behind by errors, Ctrl-C or a fork."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.engine import threads
from tinygrad_rnn.ops.blas import product, product_and_sums


@pytest.fixture(autouse=True)
def one_thread_afterwards() -> Iterator[None]:
    yield
    tg.set_num_threads(1)


def squares(count: int) -> list[int]:
    found = [0] * count
    threads.each(lambda k: found.__setitem__(k, k * k), count)
    return found


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_every_part_is_computed_once(n, count):
    tg.set_num_threads(n)
    assert tg.get_num_threads() == n
    calls: list[int] = []
    threads.each(calls.append, count)
    assert sorted(calls) == list(range(count))


def test_several_threads_work_at_once():
    tg.set_num_threads(3)
    meeting = threading.Barrier(3, timeout=10)  # passes when three are there
    threads.each(lambda k: meeting.wait(), 3)


@pytest.mark.parametrize("n", [0, -1])
def test_less_than_one_thread_is_refused(n):
    with pytest.raises(ValueError, match=f"n must be 1 or more, not {n}"):
        tg.set_num_threads(n)
    assert tg.get_num_threads() == 1


@pytest.mark.parametrize("n", [1.5, "two", None])
def test_what_is_no_number_of_threads_is_refused(n):
    with pytest.raises(TypeError, match="n must be a whole number"):
        tg.set_num_threads(n)


def test_numpys_blas_was_found():
    assert threads.one_blas_thread()


def test_numpys_blas_is_looked_for_once(monkeypatch):
    threads.one_blas_thread()
    monkeypatch.setattr("glob.glob", lambda pattern: pytest.fail("it looks into folders again"))
    tg.set_num_threads(1)


SHAPES = [(3, 4, 5), (2000, 64, 256), (64, 2100, 513), (130, 2048, 512), (1000, 300, 1000)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_product_has_the_same_bits_for_any_number_of_threads(shape, dtype):
    rng, (M, K, N) = np.random.default_rng(0), shape
    a, b = rng.standard_normal((K, M)).astype(dtype).T, rng.standard_normal((K, N)).astype(dtype)
    found = []
    for n in (1, 2, 3):
        tg.set_num_threads(n)
        found.append(product(a, b))
        out = np.empty((M, N), dtype)
        assert product(a, b, out) is out and (out == found[0]).all()
    assert (found[0] == found[1]).all() and (found[0] == found[2]).all()
    np.testing.assert_allclose(found[0], a @ b, rtol=0, atol=np.abs(a @ b).max() * np.finfo(dtype).eps * 20)


def test_an_error_of_any_thread_is_raised_and_ends_the_job():
    tg.set_num_threads(3)
    meeting = threading.Barrier(3, timeout=10)

    def work(k: int) -> None:
        if k < 3:
            meeting.wait()  # so that each thread has one of the first three
        if k == 1:
            raise ZeroDivisionError("part 1")

    with pytest.raises(ZeroDivisionError, match="part 1"):
        threads.each(work, 100)
    assert squares(20) == [k * k for k in range(20)]  # and goes on as if nothing had been


def test_other_threads_see_the_settings_of_numpy():
    tg.set_num_threads(2)
    meeting = threading.Barrier(2, timeout=10)

    def work(k: int) -> None:
        meeting.wait()
        np.array(1.0) / np.array(0.0)

    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        threads.each(work, 2)
    with np.errstate(divide="ignore"):
        threads.each(work, 2)


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="no signals")
def test_after_ctrl_c_nobody_is_at_work_any_more():
    tg.set_num_threads(2)
    meeting, at_work = threading.Barrier(2, timeout=10), threading.Event()
    main = threading.get_ident()

    def work(k: int) -> None:
        meeting.wait()
        if threading.get_ident() == main:
            signal.raise_signal(signal.SIGINT)
            time.sleep(0)
        else:
            at_work.set()
            time.sleep(0.05)
            at_work.clear()

    with pytest.raises(KeyboardInterrupt):
        threads.each(work, 2)
    assert not at_work.is_set()
    assert squares(20) == [k * k for k in range(20)]


def test_threads_of_the_user_share_ours():
    tg.set_num_threads(3)
    with ThreadPoolExecutor(4) as users:
        assert list(users.map(squares, [50] * 20)) == [[k * k for k in range(50)]] * 20


def test_a_job_within_a_job_does_not_wait_for_itself():
    tg.set_num_threads(2)
    found: list[list[int]] = []
    threads.each(lambda k: found.append(squares(5)), 4)
    assert found == [[0, 1, 4, 9, 16]] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own():
    tg.set_num_threads(3)
    squares(10)  # the threads are there
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if squares(10) == [k * k for k in range(10)] and tg.get_num_threads() == 3 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert squares(10) == [k * k for k in range(10)]


@pytest.mark.slow
def test_a_spawned_child_begins_with_one_thread():
    tg.set_num_threads(2)
    with multiprocessing.get_context("spawn").Pool(1) as children:
        assert children.apply(tg.get_num_threads) == 1


def test_arrays_of_a_job_are_let_go():
    tg.set_num_threads(2)

    def gone_after(array: np.ndarray) -> weakref.ref[np.ndarray]:
        threads.each(lambda k: array.sum(), 8)
        return weakref.ref(array)

    gone = gone_after(np.ones(10))
    deadline = time.monotonic() + 10
    while gone() is not None and time.monotonic() < deadline:  # a thread that woke up late lets go of it then
        time.sleep(0.001)
    assert gone() is None


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_a_product_may_begin_with_a_row(shape, kind):
    rng, (M, K, N) = np.random.default_rng(0), shape
    a, b = rng.standard_normal((M, K)).astype("float32"), rng.standard_normal((K, N)).astype("float32")
    bias = rng.standard_normal(2 * N).astype(kind)[::2]
    found = product(a, b, bias=bias)
    assert found.dtype == kind
    np.testing.assert_allclose(found, bias + a @ b, rtol=0, atol=1e-5 * np.abs(a @ b).max())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_product_may_come_with_the_sums_of_columns(shape):
    rng, (M, K, N) = np.random.default_rng(0), shape
    a, b = rng.standard_normal((K, M)).T, rng.standard_normal((K, N))
    found, sums = product_and_sums(a, b)
    np.testing.assert_allclose(found, a @ b, rtol=0, atol=1e-11)
    np.testing.assert_allclose(sums, b.sum(0), rtol=0, atol=1e-11)
