"""``tinygrad-rnn bptt errata``: the errata as a table, each row computed when it is printed."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from . import ERRATA, TEXTS, Erratum

HEADINGS = ("#", "text and place", "printed", "right", "why")
SHARES = (0.19, 0.24, 0.34, 0.23)  # of the width, for the columns after the first


def add_commands(parts: Any, **style: Any) -> None:
    """Add ``tinygrad-rnn bptt errata``."""
    text = "what four texts on BPTT print, and what is right"
    errata = parts.add_parser("errata", help=text, description=text, **style)
    errata.add_argument("ids", nargs="*", metavar="ID", help="E1 E31 ... (all)")
    errata.set_defaults(command=errata_command)


def errata_command(arguments: argparse.Namespace) -> None:
    for line in report(chosen(arguments.ids), shutil.get_terminal_size().columns):
        print(line, flush=True)


def chosen(ids: Sequence[str]) -> list[Erratum]:
    """The errata with these ids, all where none is given; raises ValueError for one that is not on the list."""
    for id in ids:
        if id not in ERRATA:
            raise ValueError(f"there is no erratum {id!r}: they are E1 to E{len(ERRATA)}")
    return [ERRATA[id] for id in ids] or list(ERRATA.values())


def report(errata: Sequence[Erratum], width: int) -> Iterator[str]:
    """The lines of the table, at least 80 and at most 140 columns wide."""
    yield from (f"{id}  {title}" for id, title in TEXTS.items())
    room = max(80, min(width, 140)) - 3 - 2 * len(SHARES)
    widths = [3, *(int(share * room) for share in SHARES)]
    yield ""
    yield from _wrapped(HEADINGS, widths)
    yield "  ".join("─" * width for width in widths)
    for erratum in errata:
        yield from _wrapped(erratum.row, widths)
        yield ""


def _wrapped(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    columns = [textwrap.wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for k in range(max(map(len, columns))):
        parts = (column[k] if k < len(column) else "" for column in columns)
        yield "  ".join(f"{part:<{width}}" for part, width in zip(parts, widths, strict=True)).rstrip()
