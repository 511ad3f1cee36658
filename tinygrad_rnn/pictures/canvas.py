"""What a language for pictures has to say: fields, ways, words, boxes and arrows.

`Figure` draws every picture on a canvas, with the names of looks and letters that `theme` defines. Each language (SVG,
matplotlib, TikZ) is a canvas: it says the first four in its own words, and may say a box or an arrow better than by
them. Coordinates: px, x to the right and y *down*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from . import theme
from .layout import Point
from .template import ROUND
from .text import advance

Way = list[tuple[str, *tuple[float, ...]]]
"""A line as SVG writes it: ("M", x, y), ("L", x, y), ("Q", ...) and ("C", ...) with control points, ("Z",)."""

LINE = 12.5  # px from one line of a box to the next
HEAD, HALF = 7.0, 3.2  # length of an arrowhead, and half its width


class Canvas:
    """Draws in one language. `looks` says what each name of a look means.

    alike  whether cells that look alike may be drawn as one thing, without names and numbers of their own: see `again`
    """

    alike = False

    def __init__(self, look: str, gradients: bool = False, colors: theme.Colors = "default") -> None:
        self.looks = theme.looks(look, gradients, colors)

    def about(self, title: str, description: str) -> None:
        """What a picture shows, for a language that says it to those who cannot see."""

    def field(self, look: str, x: float, y: float, w: float, h: float, round: float = 0.0, title: str = "") -> None:
        """A rectangle by its upper left corner, its corners rounded; with round = w / 2 = h / 2 a circle."""
        raise NotImplementedError

    def way(self, look: str, way: Way, title: str = "") -> None:
        """A line, or what it encloses where the look has a fill."""
        raise NotImplementedError

    def words(self, letters: str, line: str, x: float, y: float, turned: bool = False) -> None:
        """A line of text by a point on its base line: its start, middle or end, as the letters say."""
        raise NotImplementedError

    def group(self, x: float = 0.0, y: float = 0.0, name: str = "", title: str = "") -> AbstractContextManager[None]:
        """Within, the coordinates start at (x, y), and what is drawn belongs together."""
        raise NotImplementedError

    def again(self, key: Any, x: float, y: float, title: str, draw: Callable[[], None]) -> None:
        """What `draw` draws, at (x, y). It is the same for the same key, so a language may write it once."""
        with self.group(x, y, title=title):
            draw()

    def box(self, kind: str, name: str, title: str, at: Point, size: Point, lines: Sequence[str]) -> None:
        """A box around the point `at` with its lines of text: a node, which has a name."""
        with self.group(name=name, title=title):
            self.outline(kind, at, size)
            x, y = at
            first = y - LINE * (len(lines) - 1) / 2 + 4.2
            for k, line in enumerate(lines):
                self.words("line" if k else "first", line, x, first + LINE * k)

    def outline(self, kind: str, at: Point, size: Point) -> None:
        """The outline of a box: data has round ends, a loss two lines, and the past is hatched."""
        (x, y), (w, h) = at, size
        left, top = x - w / 2, y - h / 2
        self.field(kind, left, top, w, h, h / 2 if kind in ROUND else 3.0)
        if kind == "loss":
            self.field(kind, left + 3, top + 3, w - 6, h - 6, 1.5)
        elif kind == "past":
            self.way("hatch", hatch(left + 1, top + 1, w - 2, h - 2))

    def panel(self, look: str, name: str, x: float, y: float, w: float, h: float) -> None:
        """The frame behind a time step."""
        self.field(look, x, y, w, h, 6.0)

    def arrow(
        self,
        kind: str,
        points: Sequence[Point],
        blunt: bool = False,
        level: bool = False,
        ends: tuple[str, str] | None = None,
    ) -> None:
        """A line through these points, with a head unless it is blunt.

        level  see `curve`
        ends   the names of the boxes that it joins, for a language that knows edges
        """
        if not blunt:
            self.way(f"{kind} head", head(points[-2], points[-1], HEAD, HALF, level))
            points = shortened(points, HEAD - 1, level)
        self.way(kind, curve(points, level=level))


def curve(points: Sequence[Point], lean: float = 0.0, level: bool = False) -> Way:
    """A way through the points: slanted stretches as curves that start and end upright, corners rounded.

    lean   how far a curve turns to the right in its middle, to run beside another
    level  slanted stretches start and end level instead
    """
    if level:
        across = curve([(y, x) for x, y in points], -lean)
        return [(letter, *(v for k in range(0, len(at), 2) for v in (at[k + 1], at[k]))) for letter, *at in across]
    way: Way = [("M", *points[0])]
    for k in range(1, len(points)):
        (ax, ay), (bx, by) = points[k - 1], points[k]
        upright, level = abs(ax - bx) < 0.05, abs(ay - by) < 0.05
        if not upright and not level:
            middle = (ay + by) / 2 + (lean if bx > ax else -lean)
            way.append(("C", ax, middle, bx, middle, bx, by))
            continue
        corner = 0.0
        if k + 1 < len(points):
            cx, cy = points[k + 1]
            turns = (abs(bx - cx) < 0.05) if level else (abs(by - cy) < 0.05)
            if turns:
                corner = min(6.0, (abs(ax - bx) + abs(ay - by)) / 2, (abs(bx - cx) + abs(by - cy)) / 2)
        if corner:
            ux, uy = _unit(ax, ay, bx, by)
            vx, vy = _unit(bx, by, cx, cy)
            way.append(("L", bx - ux * corner, by - uy * corner))
            way.append(("Q", bx, by, bx + vx * corner, by + vy * corner))
        else:
            way.append(("L", bx, by))
    return way


def _unit(ax: float, ay: float, bx: float, by: float) -> tuple[int, int]:
    return (bx > ax) - (bx < ax), (by > ay) - (by < ay)


def rounded(x: float, y: float, w: float, h: float, r: float) -> Way:
    """A rectangle by its upper left corner, with round corners."""
    r = min(r, w / 2, h / 2)
    if r <= 0:
        return shape((x, y), (x + w, y), (x + w, y + h), (x, y + h))
    k = 0.4477 * r  # how far before the corner a curve turns, for one that is nearly a circle
    right, foot = x + w, y + h
    return [
        ("M", x + r, y),
        ("L", right - r, y),
        ("C", right - k, y, right, y + k, right, y + r),
        ("L", right, foot - r),
        ("C", right, foot - k, right - k, foot, right - r, foot),
        ("L", x + r, foot),
        ("C", x + k, foot, x, foot - k, x, foot - r),
        ("L", x, y + r),
        ("C", x, y + k, x + k, y, x + r, y),
        ("Z",),
    ]


def ring(x: float, y: float, r: float) -> Way:
    """A circle around (x, y)."""
    return rounded(x - r, y - r, 2 * r, 2 * r, r)


def line(*points: Point) -> Way:
    """Straight from point to point."""
    return [("ML"[k > 0], *point) for k, point in enumerate(points)]


def shape(*corners: Point) -> Way:
    """The polygon with these corners."""
    return [*line(*corners), ("Z",)]


def joined(ways: Iterable[Way]) -> Way:
    """Several ways as one."""
    return [piece for way in ways for piece in way]


def direction(before: Point, end: Point, level: bool = False) -> Point:
    """Which way a line arrives: level or upright, as slanted pieces are curves that end so."""
    (ax, ay), (bx, by) = before, end
    if abs(ax - bx) < 0.05 or (abs(ay - by) > 0.05 and not level):
        return 0.0, 1.0 if by > ay else -1.0
    return (1.0 if bx > ax else -1.0), 0.0


def head(before: Point, tip: Point, length: float, half: float, level: bool = False) -> Way:
    """The head of an arrow that comes from `before`."""
    (dx, dy), (x, y) = direction(before, tip, level), tip
    bx, by = x - dx * length, y - dy * length
    return shape((bx - dy * half, by + dx * half), tip, (bx + dy * half, by - dx * half))


def shortened(points: Sequence[Point], by: float, level: bool = False) -> list[Point]:
    """The line without its last bit, where the head is."""
    (ax, ay), (x, y) = points[-2:]
    dx, dy = direction(points[-2], points[-1], level)
    by = min(by, abs(ay - y) if dy else abs(ax - x))
    return [*points[:-1], (x - dx * by, y - dy * by)]


def over(canvas: Canvas, words: str, x: float, y: float) -> None:
    """Words over lines, which end around them."""
    w = advance(words, 10) + 3
    canvas.field("page", x - w / 2, y - 9, w, 11.0, 2.0)
    canvas.words("line", words, x, y)


def hatch(x: float, y: float, w: float, h: float, apart: float = 8.5) -> Way:
    """Slanted lines that fill a rectangle; drawn, since half of the programs know no patterns."""
    ways, at = [], apart / 2
    while at < w + h:
        ways.append(line((x + min(at, w), y + max(0.0, at - w)), (x + max(0.0, at - h), y + min(at, h))))
        at += apart
    return joined(ways)
