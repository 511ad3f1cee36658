"""The gradient of every time step at once: a column a step, as high and as dark as the norm on its scale.

It stands below a picture whose steps are folded, and is all that there is at level "strip". Where there are more steps
than pixels a column stands for several, and shows the largest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..unrolled.listing import shorten
from .amount import Amount
from .overlay import Overlay
from .reading import Reading
from .template import layer_title
from .text import line_width

LABELS = 44.0  # px at the left, for the numbers of the scale
ROOM = 22.0  # above a row, for its name and what is pointed at
THINNEST = 3  # px of a column, where several ribbons stand side by side
TICKS = 16.0  # below the rows, for the numbers of steps


class Bar(NamedTuple):
    """One column: its left edge, the steps first .. last, what they get, its decade and its height."""

    x: float
    first: int
    last: int
    amount: Amount
    level: int
    height: float


class Top(NamedTuple):
    """Where a row is largest: the middle of the column, the step, and its gradient."""

    x: float
    t: int
    amount: Amount


class Row(NamedTuple):
    """One state of a layer: its baseline, counted down from the top of the ribbon, and its columns."""

    layer: str
    state: str
    base: float
    bars: list[Bar]
    top: Top | None


State = tuple[str, str, dict[int, Amount]]
"""A layer, one of its states, and what reaches it at each step."""


def side_by_side(
    reading: Reading, overlay: Overlay, shown: list[int], width: float, tall: float, widest: int
) -> list[Ribbon]:
    """The states of all layers as several ribbons beside each other, as many as a page of this width has room for."""
    states, steps = list(overlay.rows()), len(reading.times)
    words = max(line_width(title(layer, name), 10) for layer, name, _ in states)
    bars = steps * max(THINNEST, min(widest, int(words) // steps))
    pitch = max(LABELS + bars, words) + 12
    n = max(1, 1 + int((width - LABELS - max(words, bars)) // pitch))
    n = -(-len(states) // -(-len(states) // n))  # fewer, where that needs no more rows
    wide = LABELS + bars if n > 1 else width
    parts = [states[k::n] for k in range(n)]
    return [
        Ribbon(reading, overlay, part, shown, wide, tall, widest, page=True, left=pitch * k)
        for k, part in enumerate(parts)
    ]


def title(layer: str, state: str) -> str:
    return f"‖∂L/∂{shorten(state, 16)}‖ of {layer_title(layer)}"


class Ribbon:
    """The columns of states of layers, the highest layer on top, with coordinates: x to the right, y down.

    left   where it begins, where several stand side by side
    cuts   x of each cut
    shown  (x, width) of the steps that the picture above shows
    room   the width that it takes with its words, which a short row of columns is narrower than
    """

    def __init__(
        self,
        reading: Reading,
        overlay: Overlay,
        states: list[State],
        shown: list[int],
        width: float,
        tall: float,
        widest: int,
        page: bool = False,
        left: float = 0.0,
    ) -> None:
        """page   whether the width is one that was stated, so that its words may not be wider"""
        self.times, self.tall, self.scale, self.left = reading.times, tall, overlay.scale, left
        room = max(width - LABELS, 20.0 if page else 200.0)
        self.per = -(-len(self.times) // int(room))  # steps in a column
        self.columns = -(-len(self.times) // self.per)
        self.px = min(widest, int(room // self.columns))
        self.place = {t: k // self.per for k, t in enumerate(self.times)}
        self.width = LABELS + self.px * self.columns
        self.rows: list[Row] = []
        self.long = True  # whether there is room for all its words
        for layer, name, amounts in states:
            base = (len(self.rows) + 1) * (ROOM + tall)
            self.rows.append(Row(layer, name, base, self._bars(amounts), self._top(amounts)))
        self.foot = len(self.rows) * (ROOM + tall)
        self.height = self.foot + TICKS
        self.cuts = sorted({self.x(t) for _, t in reading.network.cuts if t in self.place})
        self.shown = [(self.x(t), float(self.px)) for t in shown] if len(shown) < len(self.times) else []
        self.long = not page or all(LABELS + line_width(self.words(row), 10) <= width for row in self.rows)
        words = [line_width(self.words(row), 10) for row in self.rows]
        self.room = left + max([self.width, *(LABELS + width for width in words)])

    def x(self, t: int) -> float:
        """The left edge of the column of step t."""
        return LABELS + self.px * self.place[t]

    def _bars(self, amounts: dict[int, Amount]) -> list[Bar]:
        columns: dict[int, list[int]] = {}
        for t in self.times:
            if t in amounts:
                columns.setdefault(self.place[t], []).append(t)
        return [self._bar(k, steps, [amounts[t] for t in steps]) for k, steps in columns.items()]

    def _bar(self, column: int, steps: list[int], amounts: list[Amount]) -> Bar:
        a = max(amounts, key=_rank)
        level = self.scale.level(a) if a.kind == "number" else 0
        height = max(1.5, self.tall * self.scale.height(a)) if a.kind == "number" else 0.0
        return Bar(LABELS + self.px * column, steps[0], steps[-1], a, level, height)

    def runs(self) -> Iterator[tuple[Row, Bar, Bar, str]]:
        """The first and the last of neighbouring bars that have the same mark instead of a height."""
        for row in self.rows:
            start = None
            for k, bar in enumerate(row.bars):
                kind = bar.amount.kind
                if start is None and kind != "number":
                    start = bar
                following = row.bars[k + 1] if k + 1 < len(row.bars) else None
                if start is not None and (following is None or following.amount.kind != kind):
                    yield row, start, bar, kind
                    start = None

    def ticks(self) -> list[tuple[float, int]]:
        """Round numbers of steps, not too close, and the first and the last."""
        first, last = self.times[0], self.times[-1]
        close = 46 * self.per / self.px  # steps on 46 px
        step = next(k for k in _rounds() if k >= close)
        between = [t for t in self.times if t % step == 0 and close < t - first and close < last - t]
        return [(self.x(t) + self.px / 2, t) for t in dict.fromkeys((first, *between, last))]

    def words(self, row: Row) -> str:
        """What a row shows, and where it is largest."""
        text = title(row.layer, row.state)
        if not self.long:
            return text
        text += f" at each of {len(self.times)} steps"
        if self.per > 1:
            text += f", the largest of {self.per} in a column"
        if row.top is not None:
            text += f"; ▾ the largest, {row.top.amount}, at t = {row.top.t}"
        return text

    def levels(self) -> list[tuple[float, str]]:
        """(height, number) for the scale at the left."""
        return [(self.tall * place, words) for place, words in self.scale.ticks(int(self.tall) // 14 + 1)]

    def _top(self, amounts: dict[int, Amount]) -> Top | None:
        numbers = {t: a for t, a in amounts.items() if a.kind == "number"}
        if not numbers:
            return None
        t = max(numbers, key=lambda t: numbers[t].norm)
        return Top(self.x(t) + self.px / 2, t, numbers[t])


def _rank(a: Amount) -> tuple[int, float]:
    return ("none", "zero", "number", "nan").index(a.kind), a.norm


def _rounds() -> Iterator[int]:
    k = 1
    while True:
        yield from (k, 2 * k, 5 * k)
        k *= 10
