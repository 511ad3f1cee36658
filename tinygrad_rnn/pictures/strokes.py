"""The gradients on a canvas: strokes beside edges, the ribbon of all steps, and the scale in the legend.

Every amount differs in more than its colour: a larger one is wider (a stroke) or higher (a bar), what is below the
scale is dotted, an exact zero has a ring, what the pass did not reach a bar across, and nan or inf a diamond.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import groupby, pairwise
from typing import NamedTuple

from . import theme
from .amount import LEVELS, Amount, Scale
from .canvas import HEAD, Canvas, curve, hatch, head, joined, line, over, shape, shortened
from .layout import Point, tidy
from .overlay import ASIDE, beside
from .ribbon import Bar, Ribbon, Row
from .text import line_width

STROKE = 18.0  # px of each level in the legend
WORDS = {"zero": "exactly 0", "none": "not reached", "nan": "nan or inf"}
RUN_WORDS = {"zero": "0", "none": "not reached", "nan": "nan"}


def stroke(
    canvas: Canvas, a: Amount, scale: Scale, edge: list[Point], level: bool = False, blunt: bool = False
) -> None:
    """What goes back along an edge, which has y down already.

    level  whether slanted stretches of the edge start and end level
    blunt  without a head: it goes on elsewhere
    """
    straight = tidy([*shortened(edge, HEAD - 1, level), edge[-1]])  # as an edge is where its head is
    points = beside(straight, level=level)
    way = curve(points, -ASIDE, level)
    if a.kind == "number":
        k = scale.level(a)
        half = theme.width(k) / 2 + 1.3
        canvas.way(f"grad {k}", way, title=f"∇ {a}")
        if not blunt:
            canvas.way(f"grad {k} head", head(points[-2], points[-1], half + 3, half, level))
        return
    canvas.way(f"grad {a.kind}", way)
    _mark(canvas, a.kind, *_middle(points))


def _middle(points: list[Point]) -> Point:
    """The middle of the longest piece."""
    (ax, ay), (bx, by) = max(
        pairwise(points), key=lambda ends: abs(ends[0][0] - ends[1][0]) + abs(ends[0][1] - ends[1][1])
    )
    return (ax + bx) / 2, (ay + by) / 2


def _mark(canvas: Canvas, kind: str, x: float, y: float) -> None:
    title = f"∇ {WORDS[kind]}"
    if kind == "zero":
        canvas.field("grad zero mark", x - 3, y - 3, 6.0, 6.0, 3.0, title)
    elif kind == "none":
        cross = (line((x - 3.5, y - 3.5), (x + 3.5, y + 3.5)), line((x - 3.5, y + 3.5), (x + 3.5, y - 3.5)))
        canvas.way("grad none mark", joined(cross), title)
    else:
        canvas.way("grad nan mark", shape((x, y - 5), (x + 5, y), (x, y + 5), (x - 5, y)), title)


# ------------------------------------------------------------------ the ribbon


def ribbon(canvas: Canvas, r: Ribbon) -> None:
    """The columns of every layer, with its scale at the left and the numbers of steps below."""
    for start, end in windows(r):
        canvas.way("axis", line((start, r.foot + 2.5), (end, r.foot + 2.5)))
    for row in r.rows:
        _row(canvas, r, row)
    for row, first, last, kind in r.runs():
        _run(canvas, r, row, first, last, kind)
    for x in r.cuts:  # row by row, so that no words are crossed out
        canvas.way("rule", joined(line((x, row.base - r.tall - 4), (x, row.base + 4)) for row in r.rows))
    for x, t in r.ticks():
        canvas.words("line", str(t), x, r.foot + 12)


def windows(r: Ribbon) -> list[tuple[float, float]]:
    """Brackets below the steps that the picture shows: where each starts and ends."""
    spans: list[tuple[float, float]] = []
    for x, width in sorted(r.shown):
        if spans and x <= spans[-1][1] + 0.1:
            spans[-1] = spans[-1][0], x + width
        else:
            spans.append((x, x + width))
    return spans


def _row(canvas: Canvas, r: Ribbon, row: Row) -> None:
    base, left = row.base, r.width - r.px * r.columns
    canvas.words("faint", r.words(row), left, base - r.tall - 8)
    canvas.way("axis", line((left, base), (r.width, base)))
    for height, words in r.levels():
        canvas.words("number", words, left - 4, base - height + 3)
    bars = sorted((bar for bar in row.bars if bar.amount.kind == "number"), key=lambda bar: bar.level)
    for level, group in groupby(bars, key=lambda bar: bar.level):
        columns = [shape(*_corners(bar.x, base, r.px, bar.height)) for bar in group]
        canvas.way(f"grad {level} head", joined(columns))
    if row.top is not None:
        x, _, a = row.top
        y = base - r.tall * r.scale.height(a) - 1
        canvas.way("pointer", shape((x, y), (x - 3.5, y - 5), (x + 3.5, y - 5)))


def _corners(x: float, base: float, width: float, height: float) -> tuple[Point, Point, Point, Point]:
    return (x, base), (x, base - height), (x + width, base - height), (x + width, base)


def _run(canvas: Canvas, r: Ribbon, row: Row, first: Bar, last: Bar, kind: str) -> None:
    """Neighbouring steps that have a mark and no height: a field, and the word where there is room."""
    x, width, words = first.x, last.x + r.px - first.x, RUN_WORDS[kind]
    tall = r.tall if kind != "zero" else 6.0
    span = f"t = {first.first} … {last.last}" if first.first != last.last else f"t = {first.first}"
    look = f"grad {kind} {'field' if kind == 'none' else 'mark'}"
    canvas.field(look, x, row.base - tall, width, tall, title=f"{span}: {WORDS[kind]}")
    if kind == "none":
        canvas.way("hatch", hatch(x + 1, row.base - tall + 1, width - 2, tall - 2))
    if width > line_width(words, 10) + 4 or kind == "nan":
        over(canvas, words, x + width / 2, row.base - tall / 2 + 3 if kind == "none" else row.base - tall - 3)


# ------------------------------------------------------------------ the legend


class Sample(NamedTuple):
    """A piece of the legend: how wide it is, how little it needs to be there, what draws it at a place, its height."""

    need: float
    rank: int
    draw: Callable[[Canvas, float, float], None]
    tall: float = 20.0
    stays: bool = False  # on the line of what follows, if both have room on one


def scale_samples(scale: Scale, kinds: set[str]) -> list[Sample]:
    """A sample of each stroke with the numbers of its decades, and the marks that occur."""
    words = "gradient that goes back, its norm:"
    found = [
        Sample(line_width(words, 10) + 8, 0, partial(_words, words=words), stays=True),
        Sample(LEVELS * STROKE + 41, 0, partial(_scale, scale=scale), 26.0),
    ]
    below = [("0", f"below {scale.ends[0]}")] if "below" in kinds else []
    for kind, text in below + [(kind, WORDS[kind]) for kind in WORDS if kind in kinds]:
        found.append(Sample(30 + line_width(text, 10) + 12, 0, partial(_off_scale, kind=kind, words=text)))
    return found


def _words(canvas: Canvas, x: float, y: float, words: str) -> None:
    canvas.words("note", words, x, y + 4)


def _scale(canvas: Canvas, x: float, y: float, scale: Scale) -> None:
    x += 17  # half of the first number, where a line begins with it
    for place, number in scale.ticks(5):
        canvas.words("line", number, x + place * LEVELS * STROKE, y + 14)
    for level in range(1, LEVELS + 1):
        canvas.way(f"grad {level}", line((x, y), (x + STROKE, y)))
        x += STROKE


def _off_scale(canvas: Canvas, x: float, y: float, kind: str, words: str) -> None:
    canvas.way(f"grad {kind}", line((x, y), (x + 24, y)))
    if kind in WORDS:
        _mark(canvas, kind, x + 12, y)
    canvas.words("note", words, x + 30, y + 4)
