"""The picture as SVG, written directly: no renderer is needed, and the text is the same in every process.

Where a picture is `full` every node is written out, with a tooltip. Beyond, a step is written once for each template
and placed with ``<use>``: a thousand steps stay below a megabyte.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from . import legend, strokes, theme
from .layout import Point
from .marks import Block, Mark, Panel, Path, Rule, Text, Tile
from .overlay import ASIDE, beside
from .reading import MARK
from .sheet import Sheet
from .strokes import number
from .template import ROUND, Box, layer_title
from .text import escape, pieces

MARGIN = 16.0
HEAD = 62.0  # title, and the headings of columns
HEAD_ALONE = 30.0  # the title, where there are no columns
RIBBON_GAP = 10.0
LEFT = 12.0  # before the pictures of a comparison, for the names of rows
PANEL = 8.0  # around the cells of a column

CLASSES = {"forward": "e", "state": "es", "gather": "eg", "cut": "ec"}
SCISSORS = (  # two blades and two rings, on a square of 16 around 0, 0; glyphs of scissors are missing in many fonts
    "M-7 -3.2L7 4M-7 3.2L7 -4M-7 -3.2m-2.6 -2.1a2.6 2.1 0 1 0 0.01 0zM-7 3.2m-2.6 -2.1a2.6 2.1 0 1 0 0.01 0z"
)


class Writer:
    """Collects the elements of one figure."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet, self.drawn, self.picture = sheet, sheet.drawn, sheet.picture
        self.overlay, self.ribbon = sheet.overlay, sheet.ribbon
        self.p = "\ue001"  # stands for the prefix, which is computed from the finished text
        self.out: list[str] = []
        self.known: dict[tuple[int, bool], str] = {}  # the templates that were written
        self.height = self.drawn.height
        self.width = max(self.drawn.width + 2 * PANEL, 430.0, self.ribbon.room if self.ribbon is not None else 0.0)

    def flip(self, y: float) -> float:
        """From y upwards to y downwards."""
        return self.height - y

    def text(self, salt: str = "", y: float = 0.0) -> str:
        """The figure; as one of several, with something that makes its ids its own, and with its place."""
        notes = legend.Legend(self.picture, self.overlay)
        strip = self.ribbon.height + RIBBON_GAP if self.ribbon is not None else 0.0
        width = self.width
        below, bottom = notes.write(self.p, width)
        head = HEAD if self.drawn.tiles else HEAD_ALONE
        foot = MARGIN + head + self.height + PANEL
        total_width, total_height = width + 2 * MARGIN, foot + strip + bottom + MARGIN + 6
        shift = PANEL + LEFT if salt else (width - self.drawn.width) / 2
        for mark in self.drawn.groups():
            self.write(mark)
        p = self.p
        body = (
            f'<title id="{p}title">{escape(notes.title)}</title><desc id="{p}desc">{escape(notes.description)}</desc>'
            f"<style>{theme.style(self.sheet.theme, p, self.overlay is not None)}</style><defs>{self.markers()}</defs>"
            f'<rect class="{p}bg" width="100%" height="100%"/>'
            f'<text class="{p}t" x="{number(MARGIN)}" y="{number(MARGIN + 13)}">{escape(notes.title)}</text>'
            f'<g transform="translate({number(MARGIN + shift)} {number(MARGIN + head)})">{"".join(self.out)}</g>'
            f"{self.strip(width, foot)}"
            f'<g transform="translate({number(MARGIN)} {number(foot + strip + 16)})">{below}</g>'
        )
        prefix = f"g{zlib.crc32((body + salt).encode()):08x}-"
        place = f'y="{number(y)}" ' if salt else ""
        size = f'width="{number(total_width)}" height="{number(total_height)}"'
        box = f'viewBox="0 0 {number(total_width)} {number(total_height)}"'
        self.size = total_width, total_height
        start = f'<svg xmlns="http://www.w3.org/2000/svg" {place}{size} {box} role="img" class="{p}fig" '
        return (start + f'aria-labelledby="{p}title {p}desc">' + body + "</svg>\n").replace(p, prefix)

    def markers(self) -> str:
        size = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"'
        shape = f'{size} markerUnits="userSpaceOnUse" orient="auto"'
        tip = 'd="M0 .6L8 4L0 7.4z"'
        names = [self.p + name for name in ("a", "as", "ag", "ac")]
        arrows = "".join(f'<marker id="{name}" {shape}><path class="{name}" {tip}/></marker>' for name in names)
        return arrows + strokes.HATCH.replace("{p}", self.p)

    def strip(self, width: float, y: float) -> str:
        """The ribbon of all steps, in the middle below the cells."""
        if self.ribbon is None:
            return ""
        titles = {layer: escape(layer_title(layer)) for layer in self.picture.reading.layers}
        x = MARGIN + max(0.0, min(width, self.drawn.width or width) - self.ribbon.room) / 2
        body = strokes.ribbon(self.p, self.ribbon, titles)
        return f'<g transform="translate({number(x)} {number(y)})">{body}</g>'

    # ---------------------------------------------------------------- marks

    def write(self, mark: Mark | Tile) -> None:
        match mark:
            case Tile():
                if self.picture.full or mark.cell.step is None:
                    self.cell(mark)
                else:
                    self.use(mark)
            case Path():
                self.path(mark, CLASSES[mark.edge.kind])
            case Block():
                self.block(mark)
            case Panel():
                self.panel(mark)
            case Text():
                self.words(mark)
            case Rule():
                self.rule(mark)

    def panel(self, panel: Panel) -> None:
        p, (column, x, width) = self.p, panel
        corner = f'x="{number(x - PANEL)}" y="{number(-PANEL)}"'
        size = f'width="{number(width + 2 * PANEL)}" height="{number(self.height + 2 * PANEL)}"'
        self.out.append(f'<rect class="{p}panel" {corner} {size} rx="6"/>')
        self.heading(column.heading, x + width / 2)
        if self.overlay is not None and self.overlay.largest_at == column.t:
            at = f'x="{number(x + width / 2)}" y="{number(-PANEL - 20)}"'
            self.out.append(f'<text class="{p}s" {at}>largest ∇ ▾</text>')

    def heading(self, words: str, x: float) -> None:
        self.out.append(f'<text class="{self.p}h" x="{number(x)}" y="{number(-PANEL - 6)}">{words}</text>')

    def words(self, text: Text) -> None:
        p, y = self.p, self.flip(text.y)
        if text.kind == "row":
            place = f'class="{p}h {p}q" transform="translate({number(text.x - PANEL - 4)} {number(y)}) rotate(-90)"'
        else:
            place = f'class="{p}s {p}ww" x="{number(text.x)}" y="{number(y - 3)}"'
        self.out.append(f"<text {place}>{escape(text.words)}</text>")

    def rule(self, rule: Rule) -> None:
        p, x = self.p, rule.x
        turned = f'transform="translate({number(x)} {number(-PANEL + 9)}) rotate(90)"'
        down = f"M{number(x)} {number(-PANEL + 18)}V{number(self.height + PANEL)}"
        self.out.append(f'<path class="{p}rule" d="{down}"/>')
        self.out.append(f'<g {turned}><path class="{p}sc" d="{SCISSORS}"/></g>')
        self.heading("detach", x)

    # ---------------------------------------------------------------- cells

    def cell(self, tile: Tile) -> None:
        cell = tile.cell
        where = f"{cell.step.layer}, step {cell.step.t}" if cell.step else cell.column.kind
        self.out.append(f'<g aria-label="{escape(where)}">')
        for mark in tile.marks():
            if isinstance(mark, Path):
                self.path(mark, CLASSES["forward"])  # to a box that says that it is a cut, if it is one
            else:
                self.block(mark)
        self.out.append("</g>")

    def use(self, tile: Tile) -> None:
        """A reference to what all cells of this template look like, which is written for the first of them."""
        p, cell = self.p, tile.cell
        key = (id(cell.template), cell.back)
        if key not in self.known:
            name = self.known[key] = f"{p}T{len(self.known) + 1}"
            drawn = []
            for mark in tile.at_corner().marks():
                if isinstance(mark, Path):
                    drawn.append(self.arrow([(x, -y) for x, y in mark.points], CLASSES["forward"]))
                else:
                    lines = [line.replace(MARK, "t") for line in mark.box.lines]
                    drawn.append(self.box(mark.box, mark.x, -mark.y, mark.width, mark.height, lines))
            # what is used is styled by itself, not by what surrounds it: so it is marked as a figure again
            self.out.append(f'<defs><g id="{name}" class="{p}fig">{"".join(drawn)}</g></defs>')
        at_corner = f'x="{number(tile.x)}" y="{number(self.flip(tile.y))}"'
        self.out.append(f'<use href="#{self.known[key]}" {at_corner}><title>{escape(str(cell.step))}</title></use>')

    def block(self, block: Block) -> None:
        name = block.id
        lines = (*block.lines, *self.sheet.figures.get(name, ()))
        self.out.append(f'<g id="{self.p}{name}"><title>{escape(block.title)}</title>')
        self.out.append(self.box(block.box, block.x, self.flip(block.y), block.width, block.height, lines) + "</g>")

    def box(self, box: Box, x: float, y: float, w: float, h: float, lines: Iterable[str]) -> str:
        """The outline of a box and its lines of text, around its centre."""
        kind = box.kind
        out = self.outline(kind, x, y, w, h, min(w, h) / 2 if kind in ROUND else 3)
        if kind == "loss":
            out += self.outline(kind, x, y, w - 6, h - 6, 1.5)
        lines = list(lines)
        first = y - (12.5 * (len(lines) - 1)) / 2 + 4.2
        for k, line in enumerate(lines):
            out += self.label(line, x, first + 12.5 * k, "f" if k == 0 else "")
        return out

    def outline(self, kind: str, x: float, y: float, w: float, h: float, round: float) -> str:
        corner = f'x="{number(x - w / 2)}" y="{number(y - h / 2)}"'
        size = f'width="{number(w)}" height="{number(h)}"'
        return f'<rect class="{self.p}{kind}" {corner} {size} rx="{number(round)}"/>'

    def label(self, line: str, x: float, y: float, kind: str) -> str:
        p = self.p
        out, lowered = "", False
        for part, index in pieces(line):
            text = escape(part)
            if index:
                out += f'<tspan class="{p}s" dy="2.5">{text}</tspan>'
            else:
                out += f'<tspan dy="-2.5">{text}</tspan>' if lowered else text
            lowered = index
        name = f' class="{p}{kind}"' if kind else ""
        return f'<text{name} x="{number(x)}" y="{number(y)}">{out}</text>'

    # ---------------------------------------------------------------- edges

    def path(self, path: Path, name: str) -> None:
        """An edge, what goes back along it, and a dot where it joins a rail."""
        p = self.p
        self.out.append(self.arrow([(x, self.flip(y)) for x, y in path.points], name, path.whole))
        amount = None if self.overlay is None else self.overlay.along(path.edge)
        if amount is not None and self.overlay is not None:
            own = [(x, self.flip(y)) for x, y in path.own]
            self.out.append(strokes.stroke(p, amount, self.overlay.scale, own, curve(beside(own), -ASIDE)))
        if not path.whole and self.picture.full:
            x, y = path.points[-1]
            self.out.append(f'<circle class="{p}ag" cx="{number(x)}" cy="{number(self.flip(y))}" r="2"/>')

    def arrow(self, points: list[Point], name: str, whole: bool = True) -> str:
        """A line through these points, which have y down already."""
        blunt = "" if whole else f" {self.p}no"
        return f'<path class="{self.p}{name}{blunt}" d="{curve(points)}"/>'


def curve(points: list[Point], lean: float = 0.0) -> str:
    """A path through the points: slanted stretches as curves that start and end upright, corners rounded.

    lean  how far a curve turns to the right in its middle, to run beside another
    """
    parts = [f"M{number(points[0][0])} {number(points[0][1])}"]
    for k in range(1, len(points)):
        (ax, ay), (bx, by) = points[k - 1], points[k]
        upright, level = abs(ax - bx) < 0.05, abs(ay - by) < 0.05
        if not upright and not level:
            middle = number((ay + by) / 2 + (lean if bx > ax else -lean))
            parts.append(f"C{number(ax)} {middle} {number(bx)} {middle} {number(bx)} {number(by)}")
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
            parts.append(f"L{number(bx - ux * corner)} {number(by - uy * corner)}")
            parts.append(f"Q{number(bx)} {number(by)} {number(bx + vx * corner)} {number(by + vy * corner)}")
        else:
            parts.append(f"L{number(bx)} {number(by)}")
    return "".join(parts)


def _unit(ax: float, ay: float, bx: float, by: float) -> tuple[float, float]:
    return (bx > ax) - (bx < ax), (by > ay) - (by < ay)


def beneath(writers: list[Writer]) -> str:
    """Several figures one below the other, as one."""
    inner, y, wide = [], 0.0, max(writer.width for writer in writers)
    for k, writer in enumerate(writers, 1):
        writer.width = wide
        inner.append(writer.text(f"figure {k}", y))
        y += writer.size[1]
    wide += 2 * MARGIN
    size = f'width="{number(wide)}" height="{number(y)}"'
    box = f'viewBox="0 0 {number(wide)} {number(y)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box} role="group">\n{"".join(inner)}</svg>\n'
