"""Threads of our own for large computations: they sleep when there is nothing to do, and results do not depend on them.

A BLAS library's second thread waits by spinning, and keeps a core busy that somebody else needs: on a machine that does
something else too, two such threads are slower than one. These wait asleep. What is shared out are blocks that do not
depend on the number of threads, or parts in which nothing is summed, so that one thread and many give the same bits.

They share what NumPy computes. Machine code has a crew of its own, which needs no interpreter: `compiled/sharing.py`.
"""

from __future__ import annotations

import ctypes
import functools
import operator
import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context

import numpy as np

_BLAS_SETTERS = (
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
    "MKL_Set_Num_Threads",
    "BLASSetThreading",  # Accelerate, where 1 means one thread
)


class Job:
    """work(0) .. work(count - 1), taken one after the other by whichever thread is free."""

    def __init__(self, work: Callable[[int], object], count: int) -> None:
        self.work, self.todo = work, iter(range(count))
        self.context = copy_context()  # np.errstate, say, holds in the other threads too
        self.changed = threading.Condition()
        self.helpers, self.closed = 0, False
        self.error: BaseException | None = None

    def take(self) -> Iterator[int]:
        while not self.closed:
            with self.changed:
                k = next(self.todo, None)
            if k is None:
                return
            yield k

    def help(self) -> None:
        """What one of the other threads does for it."""
        with self.changed:
            if self.closed:  # it was done before we woke up
                return
            self.helpers += 1
        try:
            for k in self.take():
                self.work(k)
        except BaseException as error:
            self.error, self.closed = error, True
        with self.changed:
            self.helpers -= 1
            self.changed.notify_all()

    def run(self) -> None:
        """Work with the others until all is done; raise what any of them raised."""
        try:
            for k in self.take():
                self.work(k)
        finally:  # also when Ctrl-C ends this thread's part: nobody writes to the results any more
            with self.changed:
                self.closed = True
                self.changed.wait_for(lambda: not self.helpers)
        if self.error is not None:
            raise self.error


class Pool:
    """Threads that wait for jobs; started when they are needed, and never ended: asleep they cost nothing."""

    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self.lock = threading.Lock()
        self.size = 0

    def grow(self, size: int) -> None:
        with self.lock:
            while self.size < size:
                name = f"tinygrad_rnn-{self.size + 1}"
                threading.Thread(target=self.serve, name=name, daemon=True).start()
                self.size += 1

    def serve(self) -> None:
        while True:
            job = self.jobs.get()
            job.context.copy().run(job.help)
            del job  # and with it the arrays


_pool = Pool()
_count = 1


def _after_fork() -> None:
    """A forked child has this thread alone: the others, and whatever lock they held, are the parent's."""
    global _pool
    _pool = Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def set_num_threads(n: int) -> None:
    """Compute large steps of training with n threads of our own, this one included; BLAS is set to one.

    It holds for the whole process. Results are the same, bit for bit, for any n. What is too small to be worth waking
    a thread is computed by the calling thread alone.

    n   a whole number, 1 or more; the default is 1. More than the machine has cores brings nothing

    >>> import tinygrad_rnn as tg
    >>> tg.set_num_threads(2)
    >>> tg.get_num_threads()
    2
    >>> tg.set_num_threads(1)
    """
    global _count
    try:
        n = operator.index(n)
    except TypeError:
        raise TypeError(f"set_num_threads: n must be a whole number, not {n!r}") from None
    if n < 1:
        raise ValueError(f"set_num_threads: n must be 1 or more, not {n}")
    one_blas_thread()
    _count = n


def get_num_threads() -> int:
    """How many threads large computations use: see `tg.set_num_threads`."""
    return _count


def one_blas_thread() -> bool:
    """Let NumPy's BLAS library use one thread; whether it was found."""
    setter = _blas_setter()
    if setter is not None:
        setter(1)
    return setter is not None


@functools.cache
def _blas_setter() -> Callable[[int], object] | None:
    """The function of NumPy's BLAS library that sets its number of threads."""
    import glob

    folder = os.path.dirname(np.__file__)
    files = [np._core._multiarray_umath.__file__]  # type: ignore[attr-defined]
    files += glob.glob(os.path.join(folder, "..", "numpy.libs", "*openblas*"))  # where Windows has it
    for file in files:
        with suppress(OSError):
            library = ctypes.CDLL(file)
            for name in _BLAS_SETTERS:
                if (setter := getattr(library, name, None)) is not None:
                    return setter
    return None


def each(work: Callable[[int], object], count: int) -> None:
    """Call work(k) for k in 0 .. count - 1, in the threads that there are, in any order.

    Where work writes, it writes to places of its own for each k. An error ends the job, and is raised here; so is
    Ctrl-C. When this returns, or raises, no thread is at work any more.
    """
    helpers = min(_count, count) - 1
    if helpers < 1:
        for k in range(count):
            work(k)
        return
    job, pool = Job(work, count), _pool
    pool.grow(helpers)
    for _ in range(helpers):
        pool.jobs.put(job)
    job.run()
