"""Training steps with one thread and at their best: ours, PyTorch's layers and jax.

Each has the thread counts that it can have at run time, and all take short turns (`timing.shortest`), so that each
meets the same moments of a machine that does something else as well. jax has the threads that it takes by itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import tinygrad_rnn as tg

from .layers import CELLS
from .peers import live
from .problem import GRID, LONG, Problem, Shape, problem
from .timing import Turn, hold, in_new_process, shortest, with_threads


def candidates(given: Problem, cores: int) -> dict[str, Callable[[], float] | Turn]:
    """What takes turns: a name for each library and number of threads."""
    counts = [n for n in (1, 2) if n <= max(1, cores)]
    found: dict[str, Callable[[], float] | Turn] = {}
    peers = live(given, ["fused", "nn.*", "jax"])
    for n in counts:
        found[f"ours, {n}"] = with_threads(tg.set_num_threads, n, peers["fused"].step)
    if "nn.*" in peers:
        import torch

        for n in counts:
            found[f"torch, {n}"] = with_threads(torch.set_num_threads, n, peers["nn.*"].step)
    if "jax" in peers:
        found["jax"] = peers["jax"].step
    return found


def one_cell(cell: str, shapes: Sequence[Shape], cores: set[int], seconds: float) -> list[dict[str, float]]:
    """Milliseconds of each candidate, for each shape; in a process of its own, whose jax may use every core."""
    os.environ.pop("XLA_FLAGS", None)
    hold(cores)
    times = [shortest(candidates(problem(cell, shape), len(cores)), seconds) for shape in shapes]
    tg.set_num_threads(1)
    return [{name: time * 1e3 for name, time in found.items()} for found in times]


def measure(
    shapes: Sequence[Shape] = (*GRID, *LONG),
    cells: Sequence[str] = CELLS,
    seconds: float = 0.12,
    cores: set[int] = frozenset(),
) -> list[dict[str, Any]]:
    """A record for each cell and shape."""
    records = []
    for cell in cells:
        found = in_new_process(one_cell, cell, list(shapes), set(cores), seconds)
        for shape, ms in zip(shapes, found, strict=True):
            records.append({"cell": cell, "shape": list(shape), "ms": ms})
    return records
