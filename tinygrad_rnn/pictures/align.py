"""Columns of several rows: where in its column each cell starts, so that what leads straight up has no kink."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from .layout import CellLayout
from .parts import Cell, Column, Join
from .routes import Routes
from .template import Template

ASKEW = 80.0  # px that a column may be wider to have nothing bent in it

Layouts = Mapping[Template, CellLayout]


def aligned(cells: Iterable[Cell], layouts: Layouts, routes: Routes) -> dict[Cell, float]:
    """How far right in its column each cell of several rows starts."""
    columns: dict[Column, list[Cell]] = {}
    for cell in cells:
        if cell.row is not None and cell.column.kind in ("step", "layer"):
            columns.setdefault(cell.column, []).append(cell)
    up = {
        (join.source, join.target): join
        for join, route in reversed(routes.all)
        if (route.leaves, route.arrives) == ("top", "bottom") and not route.gutters
    }
    shifts: dict[Cell, float] = {}
    for stacked in columns.values():
        if len(stacked) > 1:
            shifts |= _column(sorted(stacked, key=lambda cell: cell.row or 0), layouts, up)
    return shifts


def _column(cells: list[Cell], layouts: Layouts, up: dict[tuple[Cell, Cell], Join]) -> dict[Cell, float]:
    found = {cells[0]: 0.0}
    for low, high in pairwise(cells):
        join = up.get((low, high))
        if join is None:
            here, there = _middle(low, layouts), _middle(high, layouts)
        else:
            here = _across(low, layouts, layouts[low.template].top[join.box, join.port][-1][0])
            there = _across(high, layouts, layouts[high.template].bottom[join.entry][0][0])
        found[high] = found[low] + here - there
    left = min(found.values())
    widest = max(layouts[cell.template].width for cell in cells)
    if max(found[cell] - left + layouts[cell.template].width for cell in cells) > widest + ASKEW:
        return {}
    return {cell: shift - left for cell, shift in found.items()}


def _across(cell: Cell, layouts: Layouts, x: float) -> float:
    return layouts[cell.template].width - x if cell.back else x


def _middle(cell: Cell, layouts: Layouts) -> float:
    """The middle of the box that stands for a step, or else of its cell."""
    layout = layouts[cell.template]
    return _across(cell, layouts, layout.centres[0][0] if cell.template.folded else layout.width / 2)
