"""The one design of a picture, whatever it is written as: its marks on a canvas, with all that stands around them.

title
headings of the columns
cells, their edges, gradients beside them
the ribbon of all steps
legend: what each mark means, the scale of gradients, notes
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from . import legend, strokes
from .about import About
from .arrange import PAGE_MARGIN, PANEL
from .canvas import Canvas, Way, joined, line, over, ring
from .layout import Point
from .legend import wrap
from .marks import Block, Mark, Panel, Path, Rule, Stretch, Text, Tile
from .reading import MARK
from .sheet import Sheet

MARGIN = 16.0
TITLE = 19.0  # of a line of the title
BOLD = 15.4  # px, the letters of which are as wide as those of a title
RIBBON_GAP = 10.0
BETWEEN = 20.0  # from what one of several pictures shows to the title of the next

EDGES = {"forward": "forward", "state": "handed on", "gather": "gather", "cut": "severed"}
"""The look of each kind of edge."""


class Page:
    """One sheet, or several below each other, all as wide as the widest; below them what explains them all.

    `width` and `height` are those of all of it, in px of the layout.
    """

    def __init__(self, sheets: Sequence[Sheet]) -> None:
        self.options = sheets[0].options
        self.figures = [Figure(sheet) for sheet in sheets]
        if len(sheets) > 1:
            widest = max(figure.inner for figure in self.figures)
            self.figures = [Figure(sheet, widest) for sheet in sheets]
        self.margin, inner = self.figures[0].margin, self.figures[0].inner
        self.titles = wrapped((len(sheets) > 1 and self.options.title) or "", inner)
        self.top = self.margin + TITLE * len(self.titles) if self.titles else 0.0
        self.between = max(0.0, BETWEEN - 2 * self.margin)
        self.foot = self.top + sum(f.height + self.between for f in self.figures) - self.between - self.margin
        self.legend = legend.Legend(sheets)
        room = sum(sheet.picture.tallest for sheet in sheets) - self.foot - 16 - self.margin
        self.legend.fit(inner, self.foot / 3, room)  # a quarter of all
        self.width = inner + 2 * self.margin
        self.height = self.foot + (self.legend.height + 16 if self.legend.height else 0.0) + self.margin

    def draw(self, canvas: Canvas) -> None:
        titles = [" ".join(self.titles), *(about.title for about in self.legend.abouts)]
        canvas.about("; ".join(filter(None, titles)), "; ".join(about.description for about in self.legend.abouts))
        written(canvas, self.titles, self.margin)
        y = self.top
        for figure in self.figures:
            with canvas.group(0.0, y, title=figure.title if len(self.figures) > 1 else ""):
                figure.draw(canvas)
            y += figure.height + self.between
        with canvas.group(self.margin, self.foot + 16):
            self.legend.draw(canvas)


class Figure:
    """One sheet with its title and its ribbon. `width` and `height` are those of all of it."""

    def __init__(self, sheet: Sheet, shared: float = 0.0) -> None:
        """shared   the width of the widest of several figures, where they stand below each other"""
        self.sheet, self.drawn, self.picture = sheet, sheet.drawn, sheet.picture
        self.overlay, self.ribbons = sheet.overlay, sheet.ribbons
        self.alone = not shared
        around = self.drawn.around
        self.content = around.left + self.drawn.width + around.right
        page = self.picture.page
        self.margin = MARGIN if page is None else PAGE_MARGIN
        least = 430.0 if page is None else page - 2 * self.margin
        self.ribbon_room = max((ribbon.room for ribbon in self.ribbons), default=0.0)
        self.inner = max(shared, self.content, least, self.ribbon_room)
        self.title = About(sheet).title
        self.titles = wrapped(self.title, self.inner)
        self.top = self.margin + TITLE * len(self.titles) + around.above + (6.0 if self.titles else 0.0)
        self.strip = self.top + self.drawn.height + around.below
        self.foot = self.strip + max((ribbon.height + RIBBON_GAP for ribbon in self.ribbons), default=0.0)
        self.height = self.foot + self.margin

    def draw(self, canvas: Canvas) -> None:
        written(canvas, self.titles, self.margin)
        shift = (self.inner - self.content) / 2 if self.alone else 0.0
        with canvas.group(self.margin + shift + self.drawn.around.left, self.top):
            for mark in self.drawn.groups():
                self.mark(canvas, mark)
        space = min(self.inner, self.drawn.width or self.inner) - self.ribbon_room
        for ribbon in self.ribbons:
            with canvas.group(self.margin + max(0.0, space) / 2 + ribbon.left, self.strip):
                strokes.ribbon(canvas, ribbon)

    def flipped(self, points: list[Point]) -> list[Point]:
        return [(x, self.flip(y)) for x, y in points]

    def flip(self, y: float) -> float:
        """From y upwards to y downwards."""
        return self.drawn.height - y

    # ---------------------------------------------------------------- marks

    def mark(self, canvas: Canvas, mark: Mark | Tile) -> None:
        match mark:
            case Tile():
                if self.picture.full or mark.cell.step is None or not canvas.alike:
                    self.cell(canvas, mark)
                else:
                    self.alike(canvas, mark)
            case Path():
                self.path(canvas, mark)
            case Stretch():
                self.gradient(canvas, mark)
            case Block():
                self.block(canvas, mark)
            case Panel():
                self.panel(canvas, mark)
            case Text():
                self.text(canvas, mark)
            case Rule():
                self.rule(canvas, mark)

    def panel(self, canvas: Canvas, panel: Panel) -> None:
        w, h = panel.width + 2 * PANEL, panel.height + 2 * PANEL
        look = "highlight panel" if self.picture.highlight.column(panel.column) else "panel"
        name = f"{self.sheet.prefix}t{panel.column.t}"
        canvas.panel(look, name, panel.x - PANEL, self.flip(panel.y) + PANEL - h, w, h)

    def text(self, canvas: Canvas, text: Text) -> None:
        if text.kind == "state":
            over(canvas, text.words, text.x, self.flip(text.y))
        else:
            canvas.words(text.kind, text.words, text.x, self.flip(text.y), text.turned)

    def rule(self, canvas: Canvas, rule: Rule) -> None:
        (x, y), (end_x, end_y) = ((x, self.flip(y)) for x, y in rule)
        dx, dy = (end_x > x) - (end_x < x), (end_y > y) - (end_y < y)
        canvas.way("rule", line((x + 9 * dx, y + 9 * dy), (end_x, end_y)))
        canvas.way("scissors", scissors(x, y, dx, dy))

    # ---------------------------------------------------------------- cells

    def cell(self, canvas: Canvas, tile: Tile) -> None:
        cell = tile.cell
        with canvas.group(title=f"{cell.step.layer}, step {cell.step.t}" if cell.step else cell.column.kind):
            for mark in tile.marks():
                if isinstance(mark, Path):
                    canvas.arrow(self.look(mark), self.flipped(mark.points), level=mark.level, ends=self.ends(mark))
                    self.gradient(canvas, Stretch((mark.edge,), (mark.points,), level=mark.level))
                else:
                    self.block(canvas, mark)

    def alike(self, canvas: Canvas, tile: Tile) -> None:
        """A cell that looks like all of its template, but for the number of its step."""
        cell = tile.cell

        def draw() -> None:
            for mark in tile.at_corner().marks():
                if isinstance(mark, Path):
                    canvas.arrow(EDGES[mark.edge.kind], [(x, -y) for x, y in mark.points], level=mark.level)
                else:
                    lines = [words.replace(MARK, "t") for words in mark.box.lines]
                    canvas.box(mark.box.kind, "", "", (mark.x, -mark.y), (mark.width, mark.height), lines)

        canvas.again((id(cell.template), cell.back), tile.x, self.flip(tile.y), str(cell.step), draw)

    def block(self, canvas: Canvas, block: Block) -> None:
        lines = tuple(filter(None, (*block.lines, *self.sheet.figures.get(block.id, ()))))
        name, at = self.sheet.prefix + block.id, (block.x, self.flip(block.y))
        canvas.box(block.box.kind, name, block.title, at, (block.width, block.height), lines)

    # ---------------------------------------------------------------- edges

    def ends(self, path: Path) -> tuple[str, str]:
        source, target = path.edge.ends
        return self.sheet.prefix + source, self.sheet.prefix + target

    def path(self, canvas: Canvas, path: Path) -> None:
        """An edge, and a dot where it joins a rail."""
        look = self.look(path)
        for piece in path.earlier:
            canvas.arrow(look, self.flipped(piece), blunt=True, level=path.level)
        canvas.arrow(look, self.flipped(path.points), not path.whole, path.level, self.ends(path))
        if not path.whole and self.picture.full:
            x, y = path.points[-1]
            canvas.field("gather head", x - 2, self.flip(y) - 2, 4.0, 4.0, 2.0)

    def look(self, path: Path) -> str:
        return "highlight" if self.picture.highlight.edge(path.edge) else EDGES[path.edge.kind]

    def gradient(self, canvas: Canvas, stretch: Stretch) -> None:
        """What goes back along a stretch of edges, beside it."""
        overlay = self.overlay
        if self.picture.adds_losses(stretch.edges[0]):  # 1 for each, and no part of what goes back through time
            return
        amount = overlay.along(*stretch.edges) if overlay is not None and self.picture.options.strokes else None
        if amount is not None and overlay is not None:
            for k, piece in enumerate(stretch.pieces):
                blunt = k > 0 or not stretch.starts
                strokes.stroke(canvas, amount, overlay.scale, self.flipped(piece), stretch.level, blunt)


def scissors(x: float, y: float, dx: int, dy: int) -> Way:
    """Two blades and two rings, that cut in a direction; glyphs of scissors are missing in many fonts."""

    def at(across: float, along: float) -> Point:
        return x + across * dy + along * dx, y + across * dx + along * dy

    blades = [line(at(3.2, -7), at(-4, 7)), line(at(-3.2, -7), at(4, 7))]
    return joined([*blades, ring(*at(3.6, -9.4), 2.4), ring(*at(-3.6, -9.4), 2.4)])


def wrapped(title: str, width: float) -> list[str]:
    """The lines of a title; none where there is none."""
    return wrap(title, width, BOLD) if title else []


def written(canvas: Canvas, titles: list[str], margin: float) -> None:
    for k, words in enumerate(titles):
        canvas.words("title", words, margin, margin + 13 + TITLE * k)


def draw(canvas: Canvas, sheets: Sequence[Sheet]) -> tuple[float, float]:
    """One sheet, or several below each other; gives the size of it all, in whole px."""
    page = Page(sheets)
    page.draw(canvas)
    return ceil(page.width) if sheets[0].picture.page is None else page.width, ceil(page.height)
