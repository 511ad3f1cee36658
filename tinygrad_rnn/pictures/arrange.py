"""From a strip of columns to a page: broken into lines, turned to the direction of time, with the words around it.

A strip is broken between two steps, like a line of music: what runs across the break ends a little behind it, and goes
on a little before the start of the next line. A line is as high as what is on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from .layout import Point
from .marks import Around, Block, Drawn, Panel, Path, Rule, Text, Tile, Turn, unturned
from .text import HEADING, line_width

PAGE_MARGIN = 2.0  # around a picture of a stated width
PANEL = 8.0  # around the cells of a column
STUB = 12.0  # of what runs across a break, at both of its sides
TEXT = 14.0  # of a line of words beside a panel
ROW_NAME = 16.0  # of the name of a row at its side
LINES = 18.0  # between two lines

TURNS: dict[str, tuple[Turn, bool]] = {
    "right": (unturned, False),
    "left": (lambda p: (-p[0], p[1]), False),
    "up": (lambda p: (p[1], p[0]), True),
    "down": (lambda p: (p[1], -p[0]), True),
}
"""For each direction of time: where a point of a strip goes, and whether time runs upright."""


def arrange(drawn: Drawn, breaks: list[float]) -> Drawn:
    """The page made of a strip that is broken at these places."""
    options = drawn.picture.options
    turn, upright = TURNS[options.direction]
    head, foot = _words_beside(drawn)
    pitch = drawn.height + 2 * PANEL + head + foot + LINES
    rows = [(name, floor, height) for name, floor, height in drawn.rows] if len(drawn.rows) > 1 and drawn.tiles else []
    lines = _Lines(breaks, drawn, pitch - drawn.height)
    drawn.lines = len(breaks) + 1
    if breaks:
        lines.lay(drawn)
    if options.direction != "right":
        _turn(drawn, turn, upright)
    drawn.texts += _headings(drawn, upright)
    drawn.texts += _row_names(drawn, rows, lines, upright)
    before = ROW_NAME if rows else 0.0
    widest = max((line_width(t.words, HEADING) for t in drawn.texts if t.kind in BESIDE), default=0.0) + 6
    if upright:
        drawn.around = Around(PANEL + widest if drawn.panels else 0.0, PANEL, PANEL, PANEL + before)
    else:
        drawn.around = Around(PANEL + before, PANEL + foot, PANEL, PANEL + head)
    return drawn


BESIDE = ("heading", "largest", "label")
"""The kinds of words that stand beside the panel of a step."""


def _words_beside(drawn: Drawn) -> tuple[float, float]:
    """The room for words above the panels, and below them."""
    picture = drawn.picture
    lines = bool(drawn.panels) + (picture.largest is not None and picture.largest in picture.steps)
    return TEXT * lines + 4 * bool(lines), TEXT if picture.labels else 0.0


class _Lines:
    """Where the breaks of a strip are, and where each line goes."""

    def __init__(self, breaks: list[float], drawn: Drawn, between: float) -> None:
        """between   the room from the cells of one line to those of the next"""
        self.breaks, width = breaks, drawn.width
        self.starts = [0.0, *(x - STUB for x in breaks)]
        ends = [*(x + STUB for x in breaks), width]
        self.width = max(end - start for start, end in zip(self.starts, ends, strict=True))
        self.rows = {(self.of(middle(tile)), tile.cell.row) for tile in drawn.tiles}  # which rows are on which lines
        self.spans = [self.span(drawn, line) for line in range(len(self.starts))]
        self.height = 0.0
        self.up: list[float] = []  # how far each line moves up: the last one stands at the bottom
        for low, high in reversed(self.spans):
            self.up.append(self.height - low)
            self.height += high - low + between
        self.height -= between
        self.up.reverse()

    def span(self, drawn: Drawn, line: int) -> tuple[float, float]:
        """From where to where a line goes up: as far as there is something on it."""
        if not self.breaks:
            return 0.0, drawn.height
        ends = [span for tile in drawn.tiles if self.of(middle(tile)) == line for span in heights(tile)]
        ends += [(0.0, rule.start[1]) for rule in drawn.rules if self.of(rule.start[0]) == line]
        for path in drawn.paths:
            for (ax, ay), (bx, by) in pairwise(path.points):
                ends += [(ay, by)] if self.of(min(ax, bx)) <= line <= self.of(max(ax, bx)) else []
        return min(min(a, b) for a, b in ends), max(max(a, b) for a, b in ends)

    def of(self, x: float) -> int:
        """The line on which something at x of the strip stands."""
        return sum(x > at for at in self.breaks)

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
            for at in sorted((at for at in self.breaks if min(ax, bx) < at < max(ax, bx)), reverse=step < 0):
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


def _turn(drawn: Drawn, turn: Turn, upright: bool) -> None:
    """Everything to the direction in which time is to run, back into the quadrant that it was in."""
    corners = [turn(corner) for corner in ((0.0, 0.0), (drawn.width, drawn.height))]
    left, low = min(x for x, _ in corners), min(y for _, y in corners)

    def at(point: Point) -> Point:
        x, y = turn(point)
        return x - left, y - low

    for tile in drawn.tiles:
        tile.x, tile.y = at((tile.x, tile.y))
        tile.turn, tile.level = turn, upright
    drawn.panels = [_turned_panel(panel, at) for panel in drawn.panels]
    drawn.rules = [Rule(at(rule.start), at(rule.end)) for rule in drawn.rules]
    drawn.texts = [_turned_text(text, at, upright) for text in drawn.texts]

    def all_at(pieces: Iterable[list[Point]]) -> tuple[list[Point], ...]:
        return tuple([at(point) for point in piece] for piece in pieces)

    drawn.stretches = [one._replace(pieces=all_at(one.pieces), level=upright) for one in drawn.stretches]
    drawn.paths = [
        path._replace(points=[at(p) for p in path.points], earlier=all_at(path.earlier), level=upright)
        for path in drawn.paths
    ]
    if upright:
        drawn.width, drawn.height = drawn.height, drawn.width


def _turned_panel(panel: Panel, at: Callable[[Point], Point]) -> Panel:
    (ax, ay), (bx, by) = at((panel.x, panel.y)), at((panel.x + panel.width, panel.y + panel.height))
    return Panel(panel.column, min(ax, bx), min(ay, by), abs(ax - bx), abs(ay - by))


def _turned_text(text: Text, at: Callable[[Point], Point], upright: bool) -> Text:
    """The name of a state: over its edge, or at the right of one that runs upright."""
    x, y = at((text.x, text.y))
    return text._replace(x=x + line_width(text.words, 10.0) / 2, y=y - 3) if upright else text._replace(x=x, y=y)


def _headings(drawn: Drawn, upright: bool) -> Iterator[Text]:
    """The words at each panel and each rule."""
    picture = drawn.picture
    for panel in drawn.panels:
        above = [("heading", panel.column.heading)]
        if panel.column.t == picture.largest and panel.column.kind in ("step", "layer"):
            above.append(("largest", "largest ∇" + " ▾" * (not upright)))
        label = picture.labels.get(panel.column.t) if panel.column.kind == "step" else None
        middle = panel.x + panel.width / 2
        if upright:
            words = [*reversed(above), *([("label", label)] if label else [])]
            y = panel.y + panel.height / 2 + TEXT * (len(words) / 2 - 1) + 3
            for kind, text in words:
                yield Text(kind, text, -PANEL - 6 - line_width(text, HEADING) / 2, y)
                y -= TEXT
        else:
            for k, (kind, text) in enumerate(above):
                yield Text(kind, text, middle, panel.y + panel.height + PANEL + 6 + TEXT * k)
            if label:
                yield Text("label", label, middle, panel.y - PANEL - 11)
    for (x, y), _ in drawn.rules:
        yield Text("heading", "detach", *((-PANEL - 26, y - 4) if upright else (x, y + 15)))


def _row_names(drawn: Drawn, rows: list[tuple[str, float, float]], lines: _Lines, upright: bool) -> Iterator[Text]:
    for row, (name, floor, height) in enumerate(rows):
        at = floor + height / 2
        if upright:
            yield Text("row", name, at, drawn.height + PANEL + 4)
            continue
        left = drawn.picture.options.direction != "left"
        x = -PANEL - 4 if left else drawn.width + PANEL + 12
        for line in range(len(lines.spans)):
            if (line, row) in lines.rows:
                yield Text("row", name, x, lines.move(0.0, at, line)[1], turned=True)
