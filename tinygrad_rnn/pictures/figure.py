"""The one design of a picture, whatever it is written as: its marks on a canvas, with all that stands around them.

title
headings of the columns
cells, their edges, gradients beside them
the ribbon of all steps
legend: what each mark means, the scale of gradients, notes
"""

from __future__ import annotations

from collections.abc import Sequence

from . import legend, strokes
from .canvas import Canvas, Way, curve, joined, line, over, ring
from .marks import Block, Mark, Panel, Path, Rule, Text, Tile
from .overlay import ASIDE, beside
from .reading import MARK
from .sheet import Sheet

MARGIN = 16.0
HEAD = 62.0  # title, and the headings of columns
HEAD_ALONE = 30.0  # the title, where there are no columns
RIBBON_GAP = 10.0
LEFT = 12.0  # before the pictures of a comparison, for the names of rows
PANEL = 8.0  # around the cells of a column

EDGES = {"forward": "forward", "state": "handed on", "gather": "gather", "cut": "severed"}
"""The look of each kind of edge."""


class Figure:
    """One sheet, laid out as a whole. `width` is that of all of it, and `height` is known when it is drawn."""

    def __init__(self, sheet: Sheet, shared: float = 0.0) -> None:
        """shared   the width of the widest of several figures, where they stand below each other"""
        self.sheet, self.drawn, self.picture = sheet, sheet.drawn, sheet.picture
        self.overlay, self.ribbon = sheet.overlay, sheet.ribbon
        self.alone = not shared
        self.inner = max(shared, self.drawn.width + 2 * PANEL, 430.0, self.ribbon.room if self.ribbon else 0.0)
        self.legend = legend.Legend(self.picture, self.overlay)
        self.title = self.legend.title
        self.strip = MARGIN + (HEAD if self.drawn.tiles else HEAD_ALONE) + self.drawn.height + PANEL
        self.foot = self.strip + (self.ribbon.height + RIBBON_GAP if self.ribbon else 0.0) + 16
        self.width = self.inner + 2 * MARGIN

    def draw(self, canvas: Canvas) -> None:
        canvas.words("title", self.title, MARGIN, MARGIN + 13)
        shift = (self.inner - self.drawn.width) / 2 if self.alone else PANEL + LEFT
        with canvas.group(MARGIN + shift, self.strip - PANEL - self.drawn.height):
            for mark in self.drawn.groups():
                self.mark(canvas, mark)
        if self.ribbon is not None:
            space = min(self.inner, self.drawn.width or self.inner) - self.ribbon.room
            with canvas.group(MARGIN + max(0.0, space) / 2, self.strip):
                strokes.ribbon(canvas, self.ribbon)
        with canvas.group(MARGIN, self.foot):
            self.height = self.foot + self.legend.draw(canvas, self.inner) + MARGIN - 10

    def flip(self, y: float) -> float:
        """From y upwards to y downwards."""
        return self.drawn.height - y

    # ---------------------------------------------------------------- marks

    def mark(self, canvas: Canvas, mark: Mark | Tile) -> None:
        match mark:
            case Tile():
                if self.picture.full or mark.cell.step is None:
                    self.cell(canvas, mark)
                else:
                    self.alike(canvas, mark)
            case Path():
                self.path(canvas, mark)
            case Block():
                self.block(canvas, mark)
            case Panel():
                self.panel(canvas, mark)
            case Text():
                self.text(canvas, mark)
            case Rule():
                self.rule(canvas, mark)

    def panel(self, canvas: Canvas, panel: Panel) -> None:
        column, x, width = panel
        canvas.field("panel", x - PANEL, -PANEL, width + 2 * PANEL, self.drawn.height + 2 * PANEL, 6.0)
        canvas.words("heading", self.picture.heading(column), x + width / 2, -PANEL - 6)
        if self.overlay is not None and self.overlay.largest_at == column.t:
            canvas.words("line", "largest ∇ ▾", x + width / 2, -PANEL - 20)

    def text(self, canvas: Canvas, text: Text) -> None:
        x, y = text.x, self.flip(text.y)
        if text.kind == "row":
            canvas.words("row", text.words, x - PANEL - 4, y, turned=True)
        else:
            over(canvas, text.words, x, y - 3)

    def rule(self, canvas: Canvas, rule: Rule) -> None:
        x = rule.x
        canvas.way("rule", line((x, -PANEL + 18), (x, self.drawn.height + PANEL)))
        canvas.way("scissors", scissors(x, -PANEL + 9))
        canvas.words("heading", "detach", x, -PANEL - 6)

    # ---------------------------------------------------------------- cells

    def cell(self, canvas: Canvas, tile: Tile) -> None:
        cell = tile.cell
        with canvas.group(title=f"{cell.step.layer}, step {cell.step.t}" if cell.step else cell.column.kind):
            for mark in tile.marks():
                if isinstance(mark, Path):  # to a box that says that it is a cut, if it is one
                    canvas.arrow("forward", [(x, self.flip(y)) for x, y in mark.points])
                    self.gradient(canvas, mark)
                else:
                    self.block(canvas, mark)

    def alike(self, canvas: Canvas, tile: Tile) -> None:
        """A cell that looks like all of its template, but for the number of its step."""
        cell = tile.cell

        def draw() -> None:
            for mark in tile.at_corner().marks():
                if isinstance(mark, Path):
                    canvas.arrow("forward", [(x, -y) for x, y in mark.points])
                else:
                    lines = [words.replace(MARK, "t") for words in mark.box.lines]
                    canvas.box(mark.box.kind, "", "", (mark.x, -mark.y), (mark.width, mark.height), lines)

        canvas.again((id(cell.template), cell.back), tile.x, self.flip(tile.y), str(cell.step), draw)

    def block(self, canvas: Canvas, block: Block) -> None:
        lines = (*block.lines, *self.sheet.figures.get(block.id, ()))
        name, at = self.sheet.prefix + block.id, (block.x, self.flip(block.y))
        canvas.box(block.box.kind, name, block.title, at, (block.width, block.height), lines)

    # ---------------------------------------------------------------- edges

    def path(self, canvas: Canvas, path: Path) -> None:
        """An edge, what goes back along it, and a dot where it joins a rail."""
        canvas.arrow(EDGES[path.edge.kind], [(x, self.flip(y)) for x, y in path.points], blunt=not path.whole)
        self.gradient(canvas, path)
        if not path.whole and self.picture.full:
            x, y = path.points[-1]
            canvas.field("gather head", x - 2, self.flip(y) - 2, 4.0, 4.0, 2.0)

    def gradient(self, canvas: Canvas, path: Path) -> None:
        if self.overlay is not None:
            amount = self.overlay.along(path.edge)
            if amount is not None:
                own = [(x, self.flip(y)) for x, y in path.own]
                strokes.stroke(canvas, amount, self.overlay.scale, own, curve(beside(own), -ASIDE))


def scissors(x: float, y: float) -> Way:
    """Two blades and two rings, that cut downwards; glyphs of scissors are missing in many fonts."""
    blades = [line((x + 3.2, y - 7), (x - 4, y + 7)), line((x - 3.2, y - 7), (x + 4, y + 7))]
    return joined([*blades, ring(x + 3.6, y - 9.4, 2.4), ring(x - 3.6, y - 9.4, 2.4)])


def draw(canvas: Canvas, sheets: Sequence[Sheet]) -> tuple[float, float]:
    """One sheet, or several below each other, all as wide as the widest; gives the size of it all."""
    figures = [Figure(sheet) for sheet in sheets]
    if len(figures) > 1:
        widest = max(figure.inner for figure in figures)
        figures = [Figure(sheet, widest) for sheet in sheets]
    y = 0.0
    for figure in figures:
        with canvas.group(0.0, y, title=figure.title if len(figures) > 1 else ""):
            figure.draw(canvas)
        y += figure.height
    return figures[0].width, y
