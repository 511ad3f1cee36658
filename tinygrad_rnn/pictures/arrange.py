"""From a strip of columns to a page: broken into lines, turned to the direction of time, with the words around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from .layout import Point
from .lines import Lines
from .marks import Around, Drawn, Panel, Rule, Text, Turn, unturned
from .text import HEADING, line_width

PAGE_MARGIN = 2.0  # around a picture of a stated width
PANEL = 8.0  # around the cells of a column
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
    lines = Lines(breaks, drawn, pitch - drawn.height)
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


def _row_names(drawn: Drawn, rows: list[tuple[str, float, float]], lines: Lines, upright: bool) -> Iterator[Text]:
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
