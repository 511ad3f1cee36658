"""How things are timed: in turns, by the processor time they take, and by the median.

Whatever disturbs the machine for a second then disturbs every candidate, and time in which another program had the
processor does not count. With the process held on one core (`__main__`), processor time is what the work needs.
"""

from __future__ import annotations

import gc
import math
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}
"""What the libraries read when they are imported."""

CORES: set[int] = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
"""The cores this process may use, empty where the system does not tell."""


def hold(cores: set[int]) -> None:
    """Keep this process on these cores, where the system can."""
    if cores:
        os.sched_setaffinity(0, cores)


@contextmanager
def as_if_alone() -> Iterator[None]:
    """Within, Python's garbage collector passes over all that is there already: the objects of every library loaded
    would else slow down each of them."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def in_turns(
    candidates: Mapping[str, Callable[[], Any]],
    seconds: float,
    rounds: int = 5,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Seconds that each candidate takes: the median over rounds in which all take turns, `seconds` for each in all."""
    repeats = {}
    for name, run in candidates.items():
        run()
        start = time.perf_counter()
        run()
        once = time.perf_counter() - start
        repeats[name] = max(1, min(200, int(seconds / rounds / max(once, 1e-9))))
    times: dict[str, list[float]] = {name: [] for name in candidates}
    with as_if_alone():
        for _ in range(rounds):
            for name, run in candidates.items():
                of_round = []
                for _ in range(repeats[name]):
                    start = clock()
                    run()
                    of_round.append(clock() - start)
                times[name].append(statistics.median(of_round))
    return {name: statistics.median(of_rounds) for name, of_rounds in times.items()}


class Turn(NamedTuple):
    """A candidate with something to be done at the beginning of each of its turns, which is not its own time."""

    begin: Callable[[], object]
    step: Callable[[], Any]


def with_threads(set_threads: Callable[[int], None], n: int, step: Callable[[], float]) -> Turn:
    """A step that is run with n threads: their number is set once a turn, as a user sets it once a program."""
    return Turn(lambda: set_threads(n), step)


def shortest(
    candidates: Mapping[str, Callable[[], Any] | Turn],
    seconds: float,
    turn: float = 0.02,
    clock: Callable[[], float] = time.perf_counter,
    own: Callable[[], float] = time.thread_time,
) -> dict[str, float]:
    """Seconds of the shortest run of each candidate, which take short turns, `seconds` for each in all.

    What uses one thread, as its name says (`layer, 1`), is timed by the processor time of that thread; all else by the
    clock on the wall, where on a machine that does something else only the shortest run shows what was possible. Before
    each turn all rest, so that threads of the one before that still wait by spinning go to sleep; the first run of a
    turn wakes its own, and is not counted. Where threads that wait for each other take ever so long, it ends after four
    times the time.
    """
    turns = {name: x if isinstance(x, Turn) else Turn(lambda: None, x) for name, x in candidates.items()}
    best = dict.fromkeys(candidates, math.inf)
    spent, begin, wanted = dict.fromkeys(candidates, 0.0), clock(), 4 * seconds * len(candidates)
    with as_if_alone():
        while min(spent.values()) == 0 or (min(spent.values()) < seconds and clock() - begin < wanted):
            for name, (begin_turn, run) in turns.items():
                time.sleep(turn / 4)
                begin_turn()
                run()
                now = own if name.endswith(", 1") else clock
                start = began = now()
                while start - began <= turn:
                    run()
                    end = now()
                    best[name] = min(best[name], end - start)
                    start = end
                spent[name] += start - began
    return best


def in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function returns when a new process runs it, which has loaded nothing else."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
