"""Training steps of LSTM, GRU and tanh RNN, in every library that is installed, over a grid of sizes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any

from tinygrad_rnn.compiled.fast import version

from .peers import PEERS, live
from .problem import GRID, LONG, Shape, problem
from .timing import in_new_process, in_turns

CELLS = ("lstm", "gru", "rnn")
DTYPES = ("float32", "float64")


def measure(
    grid: Sequence[Shape] = (*GRID, *LONG),
    cells: Sequence[str] = CELLS,
    dtypes: Sequence[str] = DTYPES,
    seconds: float = 0.15,
) -> list[dict[str, Any]]:
    """A record for each cell, dtype and shape: milliseconds of a training step by peer, once all of them agree.

    Where numba is installed, `alone` is our time over the limit's without it.
    """
    records = []
    alone = in_new_process(numpy_alone, list(grid), tuple(cells), tuple(dtypes), seconds) if version() else {}
    for dtype in dtypes:
        for cell in cells:
            for shape in grid if dtype == DTYPES[0] else [shape for shape in grid if shape not in LONG]:
                peers = live(problem(cell, shape, dtype), list(PEERS))
                times = in_turns({name: peer.step for name, peer in peers.items()}, seconds)
                ms = {name: time * 1e3 for name, time in times.items()}
                record = {"cell": cell, "dtype": dtype, "shape": list(shape), "ms": ms}
                records.append(record | ({"alone": alone[cell, dtype, shape]} if alone else {}))
    return records


def numpy_alone(
    grid: Sequence[Shape], cells: Sequence[str], dtypes: Sequence[str], seconds: float
) -> dict[tuple[str, str, Shape], float]:
    """Our time over the limit's where NumPy's programs run, as without the extra `fast`: in a process of its own."""
    os.environ["TINYGRAD_RNN_FAST"] = "0"
    found = {}
    for cell, dtype, shape in itertools.product(cells, dtypes, grid):
        peers = live(problem(cell, shape, dtype), ["limit", "fused"])
        times = in_turns({name: peer.step for name, peer in peers.items()}, seconds)
        found[cell, dtype, shape] = times["fused"] / times["limit"]
    return found
