"""The picture as SVG, written directly: no renderer is needed, and the text is the same in every process.

Up to `FULL` drawn steps every node is written out, with a tooltip. Beyond, a step is written once for each template and
placed with ``<use>``: a thousand steps stay below a megabyte.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from . import legend, strokes, theme
from .flow import Amount
from .layout import Point
from .overlay import ASIDE, FULL, Overlay, beside
from .reading import MARK
from .ribbon import Ribbon
from .strokes import number
from .template import ROUND, Box, layer_title
from .text import escape, pieces
from .tile import Drawn, Tile

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

    def __init__(
        self, drawn: Drawn, look: str, extra: dict[str, tuple[str, ...]], overlay: Overlay | None, ribbon: Ribbon | None
    ) -> None:
        self.drawn, self.picture, self.look, self.extra = drawn, drawn.picture, look, extra
        self.overlay, self.ribbon = overlay, ribbon
        self.p = "\ue001"  # stands for the prefix, which is computed from the finished text
        self.out: list[str] = []
        self.height = drawn.height
        self.full = len(self.picture.steps) <= FULL
        self.width = max(drawn.width + 2 * PANEL, 430.0, ribbon.room if ribbon is not None else 0.0)

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
        self.panels()
        self.rules()
        if self.full:
            for tile in self.drawn.tiles:
                self.cell(tile)
        else:
            self.uses()
        self.lines()
        p = self.p
        body = (
            f'<title id="{p}title">{escape(notes.title)}</title><desc id="{p}desc">{escape(notes.description)}</desc>'
            f"<style>{theme.style(self.look, p, self.overlay is not None)}</style><defs>{self.markers()}</defs>"
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

    # ---------------------------------------------------------------- columns

    def panels(self) -> None:
        p = self.p
        for column, x, width in self.drawn.columns:
            if column.kind in ("step", "layer"):
                corner = f'x="{number(x - PANEL)}" y="{number(-PANEL)}"'
                size = f'width="{number(width + 2 * PANEL)}" height="{number(self.height + 2 * PANEL)}"'
                self.out.append(f'<rect class="{p}panel" {corner} {size} rx="6"/>')
                self.heading(column.heading, x + width / 2)
                if self.overlay is not None and self.overlay.largest_at == column.t:
                    at = f'x="{number(x + width / 2)}" y="{number(-PANEL - 20)}"'
                    self.out.append(f'<text class="{p}s" {at}>largest ∇ ▾</text>')
        if len(self.drawn.rows) > 1 and self.drawn.tiles:
            for name, floor, height in self.drawn.rows:
                y = self.flip(floor + height / 2)
                turned = f'transform="translate({number(-PANEL - 4)} {number(y)}) rotate(-90)"'
                self.out.append(f'<text class="{p}h {p}q" {turned}>{escape(name)}</text>')

    def heading(self, words: str, x: float) -> None:
        self.out.append(f'<text class="{self.p}h" x="{number(x)}" y="{number(-PANEL - 6)}">{words}</text>')

    def rules(self) -> None:
        p = self.p
        for x in self.drawn.rules:
            turned = f'transform="translate({number(x)} {number(-PANEL + 9)}) rotate(90)"'
            down = f"M{number(x)} {number(-PANEL + 18)}V{number(self.height + PANEL)}"
            self.out.append(f'<path class="{p}rule" d="{down}"/>')
            self.out.append(f'<g {turned}><path class="{p}sc" d="{SCISSORS}"/></g>')
            self.heading("detach", x)

    # ---------------------------------------------------------------- cells

    def cell(self, tile: Tile) -> None:
        cell, p = tile.cell, self.p
        where = f"{cell.step.layer}, step {cell.step.t}" if cell.step else cell.column.kind
        self.out.append(f'<g aria-label="{escape(where)}">')
        for link, points in zip(cell.template.links, tile.layout.edges, strict=True):
            line = [tile.at(point) for point in points]
            self.out.append(self.arrow(line, "forward"))
            self.gradient(line, None if self.overlay is None else self.overlay.on_link(cell, link))
        for k, box in enumerate(cell.template.boxes):
            x, y = tile.at(tile.layout.centres[k])
            name = cell.id_of(k)
            lines = (*map(cell.text, box.lines), *self.extra.get(name, ()))
            self.out.append(f'<g id="{p}{name}"><title>{escape(cell.text(box.title))}</title>')
            self.out.append(self.box(box, x, self.flip(y), *tile.sizes[k], lines) + "</g>")
        self.out.append("</g>")

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

    def uses(self) -> None:
        """Each template once, and a reference to it for each cell."""
        p = self.p
        known: dict[tuple[int, bool], str] = {}
        for tile in self.drawn.tiles:
            cell = tile.cell
            if cell.step is None:
                self.cell(tile)
                continue
            key = (id(cell.template), cell.back)
            if key not in known:
                name = known[key] = f"{p}T{len(known) + 1}"
                at = Tile(cell, tile.layout, tile.sizes, 0.0, 0.0)
                drawn = [self.arrow([at.at(q) for q in points], "forward", 0.0) for points in tile.layout.edges]
                for k, box in enumerate(cell.template.boxes):
                    x, y = at.at(tile.layout.centres[k])
                    drawn.append(self.box(box, x, -y, *tile.sizes[k], [line.replace(MARK, "t") for line in box.lines]))
                # what is used is styled by itself, not by what surrounds it: so it is marked as a figure again
                self.out.append(f'<defs><g id="{name}" class="{p}fig">{"".join(drawn)}</g></defs>')
            at_corner = f'x="{number(tile.x)}" y="{number(self.flip(tile.y))}"'
            self.out.append(f'<use href="#{known[key]}" {at_corner}><title>{escape(str(cell.step))}</title></use>')

    # ---------------------------------------------------------------- edges

    def arrow(self, points: list[Point], kind: str, height: float | None = None, whole: bool = True) -> str:
        p, name = self.p, CLASSES[kind]
        flipped = [(x, (self.height if height is None else height) - y) for x, y in points]
        blunt = "" if whole else f" {p}no"
        return f'<path class="{p}{name}{blunt}" d="{curve(flipped)}"/>'

    def gradient(self, line: list[Point], a: Amount | None) -> None:
        """What goes back along an edge, beside it."""
        if a is not None and self.overlay is not None:
            flipped = [(x, self.height - y) for x, y in line]
            self.out.append(strokes.stroke(self.p, a, self.overlay.scale, flipped, curve(beside(flipped), -ASIDE)))

    def lines(self) -> None:
        p = self.p
        for line in self.drawn.lines:
            self.out.append(self.arrow(line.points, line.join.kind, None, line.whole))
            bus = line.join.kind == "gather"  # the rail is shared, so only what leaves the step is its own
            self.gradient(
                line.points[:2] if bus else line.points,
                None if self.overlay is None else self.overlay.on_join(line.join),
            )
            (x1, y1), (x2, y2) = line.points[:2]
            named = self.full and self.picture.level == "cell" and line.join.kind in ("state", "cut")
            if named and line.join.name and abs(y1 - y2) < 0.1:
                at = f'x="{number((x1 + x2) / 2)}" y="{number(self.flip(y1) - 3)}"'
                self.out.append(f'<text class="{p}s {p}ww" {at}>{escape(line.join.name)}</text>')
            if not line.whole and self.full:
                x, y = line.points[-1]
                self.out.append(f'<circle class="{p}ag" cx="{number(x)}" cy="{number(self.flip(y))}" r="2"/>')


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
