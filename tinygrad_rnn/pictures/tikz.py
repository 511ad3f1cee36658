"""The picture as TikZ: LaTeX sets the text in the font of the document, indices as maths.

Each look is a style and each box a node with a name, so one can go on by hand: ``\\draw[->] (note) -- (t2-h);``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from . import figure, theme
from .canvas import HALF, HEAD, LINE, Canvas, Way, curve
from .latex import OTHER, comment, latex
from .layout import Point
from .sheet import Sheet
from .template import ROUND

PT = 0.75  # a px of CSS in big points

PREAMBLE = r"\usepackage{tikz}\usetikzlibrary{arrows.meta}"
BEGINNING = "% A picture by tinygrad_rnn"


def write(sheets: Sequence[Sheet]) -> str:
    r"""The text of a file for ``\input``."""
    first = sheets[0]
    canvas = TikZ(
        first.theme, any(sheet.overlay is not None for sheet in sheets), first.options.colors, first.picture.unit
    )
    (w, h), pt = figure.draw(canvas, sheets), canvas.pt
    if first.theme == "dark":
        canvas.out.insert(0, rf"\fill[{canvas.style('page')}] (0,0) rectangle ({n(w)},{n(h)});")
    return "\n".join(
        [
            rf"{BEGINNING}, {n(w * pt)} x {n(h * pt)} bp. In the preamble: {PREAMBLE}",
            r"% \input this file, in a \resizebox where it is too wide. Fonts that know any size (lmodern) are best.",
            *([OTHER + "%"] if any(r"\tgother" in line for line in canvas.out) else []),
            *(rf"\definecolor{{tg {name}}}{{HTML}}{{{value[1:]}}}%" for value, name in canvas.colours.items()),
            rf"\begin{{tikzpicture}}[x={n(pt)}bp, y=-{n(pt)}bp, every node/.style={{inner sep=0pt, align=center}},",
            *(f"  {name}/.style={{{said}}}," for name, said in canvas.styles.items()),
            "]",
            rf"\path[use as bounding box] (0,0) rectangle ({n(w)},{n(h)});",
            *canvas.out,
            r"\end{tikzpicture}%",
            "",
        ]
    )


class TikZ(Canvas):
    """Collects lines of TikZ, and the styles and colours that they use."""

    def __init__(self, look: str, gradients: bool = False, colors: theme.Colors = "default", unit: float = 1.0) -> None:
        """unit   px of a unit of the picture"""
        super().__init__(look, gradients, colors)
        self.pt = PT * unit
        self.names = {colour: name for name, colour in reversed(theme.palette(look, colors).items())}
        self.names |= {colour: f"gradient {k}" for k, colour in enumerate(theme.ramp(look, colors)) if gradients}
        self.out: list[str] = []
        self.styles: dict[str, str] = {}
        self.colours: dict[str, str] = {}
        self.nodes: set[str] = set()
        self.x = self.y = 0.0

    # ---------------------------------------------------------------- styles

    def style(self, name: str, *more: str) -> str:
        """The name of the style of a look."""
        style = f"tg {name}"
        if style not in self.styles:
            look = self.looks[name]
            said = [f"fill={self.colour(look.fill)}"] if look.fill != "none" else []
            if look.stroke != "none":
                said += [f"draw={self.colour(look.stroke)}", f"line width={n(look.width * self.pt)}bp"]
                if look.dashes:
                    pairs = zip(look.dashes[::2], look.dashes[1::2], strict=True)
                    said.append(
                        "dash pattern=" + " ".join(f"on {n(a * self.pt)}bp off {n(b * self.pt)}bp" for a, b in pairs)
                    )
                said += ["line cap=round"] if look.round else []
            self.styles[style] = ", ".join([*said, *more])
        return style

    def arrows(self, name: str) -> str:
        return self.style(name, f"-{{Triangle[length={n(HEAD * self.pt)}bp, width={n(2 * HALF * self.pt)}bp]}}")

    def colour(self, value: str) -> str:
        return "tg " + self.colours.setdefault(value, self.names.get(value, value.removeprefix("#")))

    def letters(self, name: str) -> str:
        style = f"tg {name} text"
        letters = theme.LETTERS[name]
        size = rf"\fontsize{{{n(letters.size * self.pt)}}}{{{n(LINE * self.pt)}}}\selectfont"
        font = size + (r"\bfseries" if letters.bold else "")
        anchor = {"start": "base west", "middle": "base", "end": "base east"}[letters.anchor]
        colour = self.colour(self.looks[letters.colour].fill)
        self.styles[style] = f"font={font}, text={colour}, anchor={anchor}"
        return style

    # ---------------------------------------------------------------- marks

    def at(self, x: float, y: float) -> str:
        return f"({n(x + self.x)},{n(y + self.y)})"

    def field(self, look: str, x: float, y: float, w: float, h: float, round: float = 0.0, title: str = "") -> None:
        corners = f", rounded corners={n(min(round, w / 2, h / 2) * self.pt)}bp" if round else ""
        self.out.append(rf"\path[{self.style(look)}{corners}] {self.at(x, y)} rectangle {self.at(x + w, y + h)};")

    def way(self, look: str, way: Way, title: str = "") -> None:
        if way:
            self.out.append(rf"\path[{self.style(look)}] {self.line(way)};")

    def line(self, way: Way) -> str:
        out, last = [], (0.0, 0.0)
        for letter, *numbers in way:
            points = list(zip(numbers[::2], numbers[1::2], strict=True))
            if letter == "Z":
                out.append("-- cycle")
                continue
            if letter == "Q":  # a curve with one control point as one with two
                (cx, cy), end = points
                points = [((a + 2 * cx) / 3, (b + 2 * cy) / 3) for a, b in (last, end)] + [end]
            places = [self.at(*point) for point in points]
            if letter in "QC":
                out.append(f".. controls {places[0]} and {places[1]} .. {places[2]}")
            else:
                out.append(f"{'--' if letter == 'L' else ''} {places[0]}".strip())
            last = points[-1]
        return " ".join(out)

    def words(self, letters: str, line: str, x: float, y: float, turned: bool = False) -> None:
        turn = ", rotate=90" if turned else ""
        self.out.append(rf"\node[{self.letters(letters)}{turn}] at {self.at(x, y)} {{{latex(line)}}};")

    @contextmanager
    def group(self, x: float = 0.0, y: float = 0.0, name: str = "", title: str = "") -> Iterator[None]:
        if title:
            self.out.append(f"% {comment(title)}")
        self.x, self.y = self.x + x, self.y + y
        yield
        self.x, self.y = self.x - x, self.y - y

    def box(self, kind: str, name: str, title: str, at: Point, size: Point, lines: Sequence[str]) -> None:
        """A node: its outline is that of the node, but for what a node has not."""
        (x, y), (w, h) = at, size
        text = [latex(line) for line in lines]
        first = rf"\fontsize{{{n(theme.LETTERS['first'].size * self.pt)}}}{{{n(LINE * self.pt)}}}\selectfont "
        body = r"\\".join([f"{{{first}{text[0]}}}", *text[1:]]) if text else ""
        style = f"{self.style(kind)}, {self.letters('line')}, anchor=center"
        if kind in ("loss", "past"):
            self.outline(kind, at, size)
            style = f"{self.letters('line')}, anchor=center"
        corners = n((h / 2 if kind in ROUND else 3.0) * self.pt)
        shape = f"minimum width={n(w * self.pt)}bp, minimum height={n(h * self.pt)}bp, rounded corners={corners}bp"
        self.out.append(rf"\node[{style}, {shape}] {self.name(name)}at {self.at(x, y)} {{{body}}};")

    def name(self, name: str) -> str:
        """The name of a node, with its brackets: letters, digits and hyphens, once each."""
        clean = re.sub("[^A-Za-z0-9]+", "-", name)
        if not clean or clean in self.nodes:
            return ""
        self.nodes.add(clean)
        return f"({clean}) "

    def arrow(
        self,
        kind: str,
        points: Sequence[Point],
        blunt: bool = False,
        level: bool = False,
        ends: tuple[str, str] | None = None,
    ) -> None:
        way = self.line(curve(points, level=level))
        self.out.append(rf"\path[{self.arrows(kind)}{', -' if blunt else ''}] {way};")


def n(x: float) -> str:
    """Two decimals at most."""
    return f"{x:.2f}".rstrip("0").rstrip(".") or "0"
