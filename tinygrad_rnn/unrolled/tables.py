"""Numbers in columns, for a terminal: no wider than 80 characters, and no longer than can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

WIDTH, SHOWN = 80, 40


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], shown: int = SHOWN) -> str:
    """The rows under their header; of very many the first and the last. Columns too many for a line go below.

    The first column names the rows, and is there in each table.
    """
    left_out = len(rows) - shown
    if left_out > 0:
        rows = [*rows[: shown // 2], *rows[-(shown - shown // 2) :]]
    cells = [list(header), *([figure(x) for x in row] for row in rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]
    texts = {k for k in range(len(header)) if rows and all(isinstance(row[k], str) for row in rows)}
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
