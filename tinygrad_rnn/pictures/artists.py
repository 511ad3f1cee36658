"""The picture as artists of matplotlib: PDF, PNG, PS and PGF, and a panel beside other plots.

The text is set in the fonts of ``matplotlib.rcParams``. Letters and lines keep their size in the picture when the Axes
gets another size, as everything else in it does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.text import Text

from . import figure, theme
from .canvas import Canvas, Way, rounded
from .latex import latex
from .sheet import Sheet
from .text import pieces

CODES = {"M": Path.MOVETO, "L": Path.LINETO, "Q": Path.CURVE3, "C": Path.CURVE4}
INCHES = 1 / 96  # a px of CSS


def plot(sheets: Sequence[Sheet], ax: Axes | None = None) -> Axes:
    """Draw sheets into an Axes, or into one of a figure of their own size."""
    first = sheets[0]
    artists = Artists(first.theme, any(sheet.overlay is not None for sheet in sheets), first.options.colors)
    artists.font = first.options.font
    w, h = figure.draw(artists, sheets)
    page = artists.looks["page"].fill
    if ax is None:
        from matplotlib.figure import Figure

        inches = INCHES * first.picture.unit
        own = Figure(figsize=(w * inches, h * inches), facecolor=page)
        ax = own.add_axes((0.0, 0.0, 1.0, 1.0))
    elif first.theme == "dark":
        artists.field("page", 0.0, 0.0, w, h)
        artists.out.insert(0, artists.out.pop())
    ax.set(xlim=(0, w), ylim=(h, 0), aspect="equal")
    ax.set_axis_off()
    for k, artist in enumerate(artists.out):
        artist.set(zorder=2 + k / len(artists.out), clip_on=False, in_layout=False)
        ax.add_artist(artist)
        artist.rescale()
    return ax


class Artists(Canvas):
    """Collects artists, with the data coordinates of an Axes whose y axis points down."""

    def __init__(self, look: str, gradients: bool = False, colors: theme.Colors = "default") -> None:
        super().__init__(look, gradients, colors)
        self.font: str | None = None  # that of the rcParams
        self.out: list[_Shape | _Words] = []
        self.x = self.y = 0.0

    def field(self, look: str, x: float, y: float, w: float, h: float, round: float = 0.0, title: str = "") -> None:
        self.way(look, rounded(x, y, w, h, round))

    def way(self, look: str, way: Way, title: str = "") -> None:
        if way:
            vertices, codes = zip(*_vertices(way), strict=True)
            path = Path([(x + self.x, y + self.y) for x, y in vertices], codes)
            self.out.append(_Shape(path, self.looks[look]))

    def words(self, letters: str, line: str, x: float, y: float, turned: bool = False) -> None:
        kind = theme.LETTERS[letters]
        self.out.append(_Words(x + self.x, y + self.y, line, kind, self.looks[kind.colour].fill, turned, self.font))

    @contextmanager
    def group(self, x: float = 0.0, y: float = 0.0, name: str = "", title: str = "") -> Iterator[None]:
        self.x, self.y = self.x + x, self.y + y
        yield
        self.x, self.y = self.x - x, self.y - y


def _vertices(way: Way) -> Iterator[tuple[tuple[float, float], Any]]:
    start = (0.0, 0.0)
    for letter, *numbers in way:
        if letter == "Z":
            yield start, Path.CLOSEPOLY
            continue
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        start = points[0] if letter == "M" else start
        for point in points:
            yield point, CODES[letter]


def _points(axes: Any) -> float:
    """The size of a px of the picture, in points."""
    (left, _), (right, _) = axes.transData.transform([(0.0, 0.0), (1.0, 0.0)])
    return abs(right - left) * 72 / axes.figure.dpi


class _Shape(PathPatch):
    """A way with the width and the dashes of its look, in px of the picture."""

    def __init__(self, path: Path, look: theme.Look) -> None:
        super().__init__(path, facecolor=look.fill, edgecolor=look.stroke, capstyle="round" if look.round else "butt")
        self.look = look
        self.set_joinstyle("miter")

    def rescale(self) -> None:
        width = self.look.width * _points(self.axes) if self.look.stroke != "none" else 0.0
        if width != self.get_linewidth():
            self.set_linewidth(width)
            if self.look.dashes:
                scale = _points(self.axes) if not mpl.rcParams["lines.scale_dashes"] else 1 / self.look.width
                self.set_linestyle((0, [dash * scale for dash in self.look.dashes]))

    def draw(self, renderer: Any) -> None:
        self.rescale()
        super().draw(renderer)


class _Words(Text):
    """A line of text whose size is in px of the picture, with indices; set by LaTeX where that sets all text."""

    def __init__(
        self, x: float, y: float, line: str, letters: theme.Letters, colour: str, turned: bool, font: str | None
    ) -> None:
        self.line, self.size = line, letters.size
        parts = pieces(line)
        self.maths = len(parts) > 1
        usetex = bool(mpl.rcParams["text.usetex"])
        super().__init__(
            x,
            y,
            latex(line) if usetex else _mathtext(parts) if self.maths else line,
            color=colour,
            ha={"start": "left", "middle": "center", "end": "right"}[letters.anchor],
            va="baseline",
            rotation=90 if turned else 0,
            rotation_mode="anchor",
            weight="bold" if letters.bold else None,
            family=font,
            usetex=usetex,
            parse_math=self.maths,
        )

    def rescale(self) -> None:
        size = self.size * _points(self.axes)
        if size != self.get_fontsize():
            self.set_fontsize(size)

    def draw(self, renderer: Any) -> None:
        self.rescale()
        if not _is_pgf(renderer):
            return super().draw(renderer)
        shown = self.get_text()
        self.set_text(latex(self.line))  # LaTeX reads it
        super().draw(renderer)
        self.set_text(shown)


def _is_pgf(renderer: Any) -> bool:
    module = sys.modules.get("matplotlib.backends.backend_pgf")
    return module is not None and isinstance(getattr(renderer, "_renderer", renderer), module.RendererPgf)


def _mathtext(parts: Sequence[tuple[str, bool]]) -> str:
    """A line with indices in the language of matplotlib, in the font of the text."""
    out = []
    for part, index in parts:
        words = part.replace(" ", r"\ ")
        out.append(rf"$_{{\mathregular{{{words}}}}}$" if index else part.replace("$", r"\$"))
    return "".join(out)
