"""``tinygrad-rnn warm``: compile the steps of the library's cells, so that no later run has to wait for it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from .. import nn
from ..compiled import cache
from ..compiled.fast import version
from ..nn.cell import Cell
from ..nn.fused.compiling import compiled

CELLS: dict[str, list[tuple[Callable[..., Cell], dict[str, Any]]]] = {
    "rnn": [(nn.RNNCell, {}), (nn.RNNCell, {"nonlinearity": "relu"})],
    "lstm": [(nn.LSTMCell, {})],
    "gru": [(nn.GRUCell, {})],
    "options": [
        (nn.RNNCell, {"layer_norm": True}),
        (nn.LSTMCell, {"peepholes": True}),
        (nn.LSTMCell, {"layer_norm": True}),
        (nn.GRUCell, {"reset_after": False}),
        (nn.GRUCell, {"layer_norm": True}),
    ],
}
"""What is compiled under each name: cells, and what they are made with."""


def add_commands(commands: Any, **style: Any) -> None:
    """Add the command `warm` to those of the program; `style` goes to its parser."""
    about = "compile the steps of the cells (extra fast), so that no later run waits for it"
    warm = commands.add_parser("warm", help=about, **style)
    warm.set_defaults(command=warm_command)
    warm.add_argument("cells", nargs="*", metavar="CELL", help=f"which: {', '.join(CELLS)} (rnn lstm gru)")
    warm.add_argument("--dtype", action="append", choices=["float32", "float64"], help="(float32)")


def warm_command(arguments: argparse.Namespace) -> int:
    """Compile, and say how long each took; 1 where numba is missing or a step cannot be compiled."""
    if version() is None:
        print("tinygrad-rnn: warm: numba is not installed: pip install tinygrad_rnn[fast]", file=sys.stderr)
        return 1
    names = arguments.cells or ["rnn", "lstm", "gru"]
    for name in names:
        if name not in CELLS:
            raise ValueError(f"warm: there are {', '.join(CELLS)}, not {name!r}")
    failed = False
    for dtype in arguments.dtype or ["float32"]:
        for kind, options in (cell for name in names for cell in CELLS[name]):
            cell = kind(2, 4, dtype=dtype, rng=0, **options)
            began, bound = time.perf_counter(), compiled(cell)
            there = bound.kind.fast.now([w.array for w in bound.weights]) is not None
            failed |= not there
            how = f"{time.perf_counter() - began:.1f} s" if there else bound.kind.fast.refused
            settings = "".join(f" {key}={value}" for key, value in options.items())
            print(f"{type(cell).__name__}{settings} {dtype}: {how}")
    print(f"in {cache.users_folder()}")
    return int(failed)
