"""Training steps of LSTM, GRU and tanh RNN, in every library that is installed, over a grid of sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .peers import PEERS, live
from .problem import GRID, LONG, Shape, problem
from .timing import in_turns

CELLS = ("lstm", "gru", "rnn")
DTYPES = ("float32", "float64")


def measure(
    grid: Sequence[Shape] = (*GRID, *LONG),
    cells: Sequence[str] = CELLS,
    dtypes: Sequence[str] = DTYPES,
    seconds: float = 0.2,
) -> list[dict[str, Any]]:
    """A record for each cell, dtype and shape: milliseconds of a training step by peer, once all of them agree."""
    records = []
    for dtype in dtypes:
        for cell in cells:
            for shape in grid:
                peers = live(problem(cell, shape, dtype), list(PEERS))
                times = in_turns({name: peer.step for name, peer in peers.items()}, seconds)
                ms = {name: time * 1e3 for name, time in times.items()}
                records.append({"cell": cell, "dtype": dtype, "shape": list(shape), "ms": ms})
    return records
