"""What stands in the boxes of a picture beside names and shapes: values and gradients, as text."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ..engine.modes import Step
from ..unrolled.listing import figure, shorten
from .flow import Flow
from .parts import Cell
from .sources import Sources
from .template import VALUED, small


def written(array: Any, entries: bool = True) -> str:
    """A number, the entries of a small array, or the norm of a larger one: ``0.5``, ``[0.5 -1]``, ``‖2.3‖``."""
    if array.size <= 1 or not (entries and small(array.shape)):
        return figure(array)
    rows = [" ".join(f"{x:.3g}" for x in row) for row in np.reshape(array, (-1, array.shape[-1]))]
    return f"[{'; '.join(rows)}]"


class Results:
    """The texts of one picture: ``lines()`` for each box of each of its cells."""

    def __init__(self, sources: Sources, flow: Flow | None, values: bool, entries: bool) -> None:
        self.reading, self.sources, self.flow, self.values = sources.reading, sources, flow, values
        self.written = partial(written, entries=entries)

    def lines(self, cell: Cell) -> Iterator[tuple[int, tuple[str, ...]]]:
        """(box, its lines) where there is something to say."""
        if cell.column.hidden is not None and cell.template.boxes[0].kind in ("fold", "cell"):
            if self.flow is not None:
                yield 0, self.range_of(cell)
        elif cell.template.folded and cell.step is not None:  # one box for all records
            yield 0, tuple(self.states_after(cell.step))
        else:
            for k, record in enumerate(cell.records):
                one = len(record.values) == 1
                value = [written(record.values[0]) if one else ""] if self.values else []
                yield k, (*value, *([self.gradient(self.flow.of(record)) if one else ""] if self.flow else []))
        for k, start in enumerate(cell.starts):
            yield k, tuple(f"{name} {self.written(x.data)}" if name else self.written(x.data) for name, x in start)
        rows = self.sources.rows_of(cell.records) if cell.step else {}
        first = 1 if cell.template.folded and cell.step is not None else len(cell.records)
        for k, box in enumerate(cell.template.boxes):
            if k >= first and box.extra and box.kind in VALUED and not cell.starts:
                several = [f"{name} {self.written(self.sources.tensors[n].data)}" for name, n in box.named]
                yield k, tuple(several or self.of_source(cell, k, rows))

    def states_after(self, step: Step) -> Iterator[str]:
        """Value and gradient of each state after a step; of several with its name."""
        names = self.reading.state_names(step.layer)
        for name in names:
            called = f"{shorten(name, 8)} " if len(names) > 1 else ""
            places = self.reading.state(step, name)
            if self.values:
                yield called + self.written(places[-1][0].values[places[-1][1]]) if places else ""
            if self.flow is not None:
                yield self.gradient(self.flow.at_state(step, name), called)

    def of_source(self, cell: Cell, k: int, rows: dict[int, int]) -> Iterator[str]:
        """Value and gradient of what stands below an op: data, a leaf, a weight, or the entry that its step takes."""
        box = cell.template.boxes[k]
        x = self.sources.tensors.get(box.number)
        part = rows.get(box.number, ...)
        if self.values:
            yield self.written(self.used(cell, k) if x is None else x.data[part])
        if self.flow is not None and box.kind in ("leaf", "entry"):
            g = None if x is None else self.flow.at(x)
            yield self.gradient(None if g is None else g[part])

    def used(self, cell: Cell, k: int) -> Any:
        """What the ops that use a box without a number of its own were given: it is another array at each step."""
        link = next(link for link in cell.template.links if link.source == k)
        record, i = cell.uses(link)[0]
        return np.asarray(record.arrays[i])

    def range_of(self, fold: Cell) -> tuple[str, str]:
        """The smallest and the largest gradient of the states in folded steps."""
        assert self.flow is not None
        first, last = fold.column.hidden or (0, 0)
        rows = self.flow.states[fold.layer or ""].values()
        amounts = [a for row in rows for t, a in row.items() if first <= t <= last]
        low, high = (choose(amounts, key=lambda a: a.norm) for choose in (min, max))
        return f"∇ min {low:.2g}", f"∇ max {high:.2g}"

    def gradient(self, g: Any, called: str = "") -> str:
        return f"∇{called or ' '}{'none' if g is None else self.written(np.asarray(g))}"
