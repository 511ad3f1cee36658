"""A strip of columns broken into lines: where the breaks are, and what goes to which line.

A strip is broken between two steps, like a line of music: what runs across the break ends a little behind it, and goes
on a little before the start of the next line. A line is as high as what is on it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise

from .layout import Point
from .marks import Block, Drawn, Path, Rule, Tile
from .parts import Column

STUB = 12.0  # of what runs across a break, at both of its sides


def breaks(columns: Sequence[Column], places: Sequence[float], width: float, room: float) -> list[float]:
    """Where a strip is broken, so that no line is longer than there is room for, where that can be.

    Of all ways the one with fewest breaks at bad places, then with fewest lines, then with lines that are alike.

    places   where a break would be before each column but the first
    """
    if width <= room:  # there is no better way than none, and there may be thousands of columns
        return []
    n = len(columns)
    if width <= room:  # as it always is where no width is stated
        return []
    starts, ends = [0.0, *(x - STUB for x in places)], [*(x + STUB for x in places), width]
    best: list[tuple[tuple[float, ...], list[float]]] = [((0.0,) * 4, [])]  # of the first columns: cost, breaks
    for k in range(1, n + 1):
        ways = []
        for j in range(k - 1, -1, -1):
            long = ends[k - 1] - starts[j]
            if long > room and j < k - 1:
                break
            bad = j > 0 and bad_break(columns[j - 1].kind, columns[j].kind)
            line = (max(0.0, long - room), float(bad), 1.0, long * long)
            before, found = best[j]
            cost = tuple(a + b for a, b in zip(before, line, strict=True))
            ways.append((cost, [*found, places[j - 1]] if j else found))
        best.append(min(ways))
    return best[n][1]


def bad_break(before: str, after: str) -> bool:
    """Whether a line should not end between columns of these kinds: a step, and what it starts from or leads to."""
    return before in ("cut", "init", "loop") or after in ("init_back", "cut_back", "loop_back", "head")


class Lines:
    """Where the breaks of a strip are, and where each line goes."""

    def __init__(self, breaks: list[float], drawn: Drawn, between: float) -> None:
        """between   the room from the cells of one line to those of the next"""
        self.breaks, width = breaks, drawn.width
        self.starts = [0.0, *(x - STUB for x in breaks)]
        ends = [*(x + STUB for x in breaks), width]
        self.width = max(end - start for start, end in zip(self.starts, ends, strict=True))
        self.rows = {(self.of(middle(tile)), tile.cell.row) for tile in drawn.tiles}  # which rows are on which lines
        self.spans = self.reach(drawn)
        self.height = 0.0
        self.up: list[float] = []  # how far each line moves up: the last one stands at the bottom
        for low, high in reversed(self.spans):
            self.up.append(self.height - low)
            self.height += high - low + between
        self.height -= between
        self.up.reverse()

    def reach(self, drawn: Drawn) -> list[tuple[float, float]]:
        """From where to where each line goes up: as far as there is something on it."""
        if not self.breaks:
            return [(0.0, drawn.height)]
        ys: list[list[float]] = [[] for _ in self.starts]
        for tile in drawn.tiles:
            ys[self.of(middle(tile))] += chain.from_iterable(heights(tile))
        for rule in drawn.rules:
            ys[self.of(rule.start[0])] += (0.0, rule.start[1])
        for path in drawn.paths:
            for (ax, ay), (bx, by) in pairwise(path.points):
                for line in range(self.of(min(ax, bx)), self.of(max(ax, bx)) + 1):
                    ys[line] += (ay, by)
        return [(min(found), max(found)) for found in ys]

    def of(self, x: float) -> int:
        """The line on which something at x of the strip stands."""
        return bisect_left(self.breaks, x)

    def move(self, x: float, y: float, line: int) -> Point:
        return x - self.starts[line], y + self.up[line]

    def lay(self, drawn: Drawn) -> None:
        """Move everything to its line."""
        for tile in drawn.tiles:
            line = self.of(middle(tile))
            tile.x, tile.y = self.move(tile.x, tile.y, line)
        drawn.panels = [
            panel._replace(x=x, y=y, height=high - low)
            for panel in drawn.panels
            for low, high in [self.spans[self.of(panel.x)]]
            for x, y in [self.move(panel.x, low, self.of(panel.x))]
        ]
        drawn.rules = [Rule(*(self.move(*point, self.of(rule.start[0])) for point in rule)) for rule in drawn.rules]
        drawn.texts = [
            text._replace(x=x, y=y) for text in drawn.texts for x, y in [self.move(text.x, text.y, self.of(text.x))]
        ]
        drawn.paths = [self.broken(path) for path in drawn.paths]
        drawn.stretches = [one._replace(pieces=self.all_pieces(one.pieces)) for one in drawn.stretches]
        drawn.width = self.width
        drawn.height = self.height

    def broken(self, path: Path) -> Path:
        """A path in pieces, each on its line."""
        *earlier, last = self.pieces(path.points)
        return path._replace(points=last, earlier=tuple(earlier))

    def all_pieces(self, ways: Iterable[list[Point]]) -> tuple[list[Point], ...]:
        return tuple(piece for way in ways for piece in self.pieces(way))

    def pieces(self, points: list[Point]) -> Iterator[list[Point]]:
        """The stretches of a line between two breaks, each a little longer than that."""
        line = self.of(points[0][0])
        piece = [points[0]]
        for (ax, ay), (bx, by) in pairwise(points):
            step = 1 if bx > ax else -1
            between = self.breaks[bisect_right(self.breaks, min(ax, bx)) : bisect_left(self.breaks, max(ax, bx))]
            for at in between[::step]:
                yield [self.move(*point, line) for point in (*piece, (at + step * STUB, ay))]
                line += step
                piece = [(at - step * STUB, by)]
            piece.append((bx, by))
        yield [self.move(*point, line) for point in piece]


def middle(tile: Tile) -> float:
    """The middle of a cell, which says on what line it stands."""
    return tile.x + tile.layout.width / 2


def heights(tile: Tile) -> Iterator[tuple[float, float]]:
    """From where to where each box of a cell goes up, and each edge in it."""
    for mark in tile.marks():
        if isinstance(mark, Block):
            yield mark.y - mark.height / 2, mark.y + mark.height / 2
        else:
            ys = [y for _, y in mark.points]
            yield min(ys), max(ys)
