"""Loops of machine code shared among threads: the crew, and when it is called.

A thread of the crew is one of Python's that never comes back from machine code (`machine/crew.py`). There it sleeps
when there is nothing to do. What is shared out are rows that do not depend on each other: results are the same, bit for
bit, for any number of threads.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
import time
from collections.abc import Sequence

import numpy as np

from ..engine.threads import get_num_threads
from . import cache

MOST = 255
"""Helpers for whom there is room."""

WATCH = 1e-4
"""Seconds for which a helper looks out for the next job before it sleeps."""

LEAST = 2e4
"""What a part must cost at least to be worth calling a helper, in nanoseconds."""


class Crew:
    """Helpers, and the memory through which they learn what to do. Nothing of it is ever given back: they may look."""

    def __init__(self) -> None:
        self.machine, self.size, self.lock = cache.machine("crew"), 0, threading.Lock()
        python, each = ctypes.pythonapi, self.machine.EACH
        python.PyMem_RawCalloc.restype = python.PyThread_allocate_lock.restype = ctypes.c_void_p
        begin = python.PyMem_RawCalloc(ctypes.c_size_t(each), ctypes.c_size_t(MOST + 2))
        self.address = -(-begin // each) * each
        for place, function in ("ACQUIRE", python.PyThread_acquire_lock), ("RELEASE", python.PyThread_release_lock):
            self.put(getattr(self.machine, place), ctypes.cast(function, ctypes.c_void_p).value)
        self.put_lock(self.machine.LOCK)
        self.put(self.machine.ROUNDS, self.rounds())
        atexit.register(self.put, self.machine.ROUNDS, 0)  # asleep they are out of the way of what ends

    def put(self, place: int, value: int | None) -> None:
        ctypes.c_int64.from_address(self.address + place).value = value or 0

    def put_lock(self, place: int) -> None:
        """A lock that is held: who wants it sleeps until it is released."""
        lock = ctypes.pythonapi.PyThread_allocate_lock()
        ctypes.pythonapi.PyThread_acquire_lock(ctypes.c_void_p(lock), 1)
        self.put(place, lock)

    def rounds(self) -> int:
        """How often a thread looks within WATCH."""
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            self.machine.seen(self.address + self.machine.BUSY, -1, 10_000)
            seconds.append(time.perf_counter() - start)
        return int(10_000 * WATCH / min(seconds))

    def grow(self, helpers: int) -> int:
        """Have so many helpers, or as many as there is room for; how many there are."""
        with self.lock:
            while self.size < min(helpers, MOST):
                self.put_lock(self.machine.EACH * (self.size + 1) + self.machine.BED)
                name, given = f"tinygrad_rnn-machine-{self.size + 1}", (self.address, self.size)
                threading.Thread(target=self.machine.serve, args=given, name=name, daemon=True).start()
                self.size += 1
        return min(helpers, self.size)


_crew: Crew | None = None
_making = threading.Lock()


def _after_fork() -> None:
    """A forked child has this thread alone."""
    global _crew, _making
    _crew, _making = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def crew(helpers: int) -> tuple[int, int]:
    """The address of the crew, and how many helpers there are of so many; 0 and 0 if nobody is wanted."""
    global _crew
    if helpers < 1:
        return 0, 0
    with _making:
        _crew = _crew or Crew()
    return _crew.address, _crew.grow(helpers)


def parts(n: int, cost: float) -> int:
    """In how many parts n rows are shared out, at most one a thread.

    cost  of all of it, in nanoseconds of one thread, roughly
    """
    return max(1, min(get_num_threads(), n, int(cost / LEAST)))


def over(work: int, given: Sequence[int], arrays: Sequence[np.ndarray], n: int, count: int) -> None:
    """The function at this address, called for so many parts of n rows, with numbers and arrays: see `machine/`.

    The arrays have one axis and no gaps.
    """
    words = np.array([*given, *map(cache.machine("programs").address, arrays)], np.int64)
    cache.machine("crew").share(*crew(count - 1), work, cache.machine("programs").address(words), n, count)
