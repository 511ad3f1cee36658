"""Numbers in columns: for a terminal no wider than 80 characters, and never longer than can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import notebook

WIDTH, SHOWN = 80, 40


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], shown: int = SHOWN) -> str:
    """The rows under their header; of very many the first and the last. Columns too many for a line go below.

    The first column names the rows, and is there in each table.
    """
    rows, left_out = ends(rows, shown)
    cells = [list(header), *([figure(x) for x in row] for row in rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]
    texts = texts_of(header, rows)
    tables: list[str] = []
    start = 1
    while start < len(header) or not tables:
        stop, width = start, widths[0]
        while stop < len(header) and (stop == start or width + 2 + widths[stop] <= WIDTH):
            width += 2 + widths[stop]
            stop += 1
        columns = [0, *range(start, stop)]
        lines = ["  ".join(_aligned(row[k], widths[k], k in texts) for k in columns).rstrip() for row in cells]
        if left_out > 0:
            lines.insert(1 + shown // 2, f"... {left_out} more ...")
        tables.append("\n".join(lines))
        start = max(stop, start + 1)
    return "\n\n".join(tables)


class Report:
    """What is a table with a note above it: text where it is printed, and a table in a notebook."""

    def contents(self) -> tuple[str, Sequence[str], Sequence[Sequence[Any]]]:
        """The note, the header and the rows."""
        raise NotImplementedError

    def __str__(self) -> str:
        note, header, rows = self.contents()
        return "\n".join([*filter(None, [note]), table(header, rows)])

    def _repr_html_(self) -> str:
        note, header, rows = self.contents()
        rows, left_out = ends(rows, SHOWN)
        cells: list[Any] = [[figure(x) for x in row] for row in rows]
        if left_out > 0:
            cells.insert(SHOWN // 2, f"... {left_out} more ...")
        return notebook.table(header, cells, note, texts_of(header, rows))


def ends(rows: Sequence[Sequence[Any]], shown: int) -> tuple[Sequence[Sequence[Any]], int]:
    """The rows, of very many the first and the last; and how many are left out between them."""
    left_out = len(rows) - shown
    return ([*rows[: shown // 2], *rows[-(shown - shown // 2) :]] if left_out > 0 else rows), left_out


def texts_of(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> set[int]:
    """The columns that hold nothing but text."""
    return {k for k in range(len(header)) if rows and all(isinstance(row[k], str) for row in rows)}


def _aligned(cell: str, width: int, text: bool) -> str:
    return cell.ljust(width) if text else cell.rjust(width)


def figure(x: Any) -> str:
    """A number with four digits, nothing for nan; a text as it is."""
    if isinstance(x, str):
        return x
    if isinstance(x, int | np.integer):
        return str(x)
    return "" if np.isnan(x) else f"{x:.4g}"


def norm(a: Any, axis: Any = None) -> Any:
    """√(Σ a²) over the axes, in float64, where neither a square of 1e-200 vanishes nor one of 1e200 overflows."""
    a = np.abs(np.asarray(a, np.float64))
    if axis is None:
        largest = float(a.max(initial=0.0))
        if not 0.0 < largest < np.inf:  # also a nan
            return largest
        return largest * float(np.sqrt(np.square(a / largest).sum()))
    largest = np.max(a, axis=axis, keepdims=True, initial=0)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1)
    total = np.sqrt(np.sum((a / scale) ** 2, axis=axis, keepdims=True)) * scale
    return np.squeeze(total, axis=axis)
