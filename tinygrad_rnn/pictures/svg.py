"""The picture as SVG, written directly: no renderer is needed, and the text is the same in every process.

Many programs that read an SVG are no browsers, and know less: every look stands in the attributes of what has it, or of
a group of neighbours that share it. Style sheets, markers, patterns, and the order of fill and stroke are avoided, each
for a program that has it wrong; "auto" alone adds a style sheet, of what is different on a dark page.

Where a picture is `full` every node is written out, with a tooltip. Beyond, a step is written once for each template
and placed with ``<use>``: a thousand steps stay below a megabyte.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from . import figure, theme
from .canvas import Canvas, Way
from .sheet import Sheet
from .text import INDEX, advance, escape, pieces

PREFIX = "\ue001"  # of all ids; stands for what is computed from the finished text


def write(sheets: Sequence[Sheet]) -> str:
    """The text of an SVG file with these sheets, one below the other."""
    first = sheets[0]
    canvas = SVG(first.theme, any(sheet.overlay is not None for sheet in sheets), first.options.colors)
    size = figure.draw(canvas, sheets)
    w, h = map(number, size)
    wide, tall = (number(side * first.picture.unit) for side in size)
    canvas.flush()
    title, description = canvas.said
    font = escape(first.options.font or theme.FONT)
    letters = f'font-family="{font}" font-size="10" text-anchor="middle"'
    body = (
        f'<title id="{PREFIX}title">{escape(title)}</title><desc id="{PREFIX}desc">{escape(description)}</desc>'
        f'{canvas.style(first.theme, first.options.colors)}<rect {canvas.attributes["page"]} width="{w}" height="{h}"/>'
        f"<g {letters} {canvas.colour('text')}>{''.join(canvas.out)}</g>"
    )
    prefix = f"g{zlib.crc32(body.encode()):08x}-"
    space = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    start = f'<svg {space} width="{wide}" height="{tall}" viewBox="0 0 {w} {h}" role="img" '
    return (start + f'aria-labelledby="{PREFIX}title {PREFIX}desc">{body}</svg>\n').replace(PREFIX, prefix)


class SVG(Canvas):
    """Collects elements: neighbours of one look in a group that says it once."""

    alike = True

    def __init__(self, look: str, gradients: bool = False, colors: theme.Colors = "default") -> None:
        super().__init__(look, gradients, colors)
        self.out: list[str] = []
        self.classes = look == "auto"
        self.look, self.waiting = "", list[str]()  # what waits to be written, and the look that all of it has
        self.said = "", ""  # title and description
        self.known: dict[Any, str] = {}  # what was written to be used again
        self.attributes = {name: self._attributes(name) for name in self.looks}
        self.letters = {name: self._letters(name) for name in theme.LETTERS}

    # ---------------------------------------------------------------- looks

    def _attributes(self, name: str) -> str:
        """The attributes that say a look."""
        look = self.looks[name]
        said = [f'class="{PREFIX}{name.replace(" ", "-")}"'] if self.classes else []
        said.append(f'fill="{look.fill}"')
        if look.stroke != "none":
            said.append(f'stroke="{look.stroke}"')
            said += [f'stroke-width="{number(look.width)}"'] if look.width != 1 else []
            said += [f'stroke-dasharray="{" ".join(map(number, look.dashes))}"'] if look.dashes else []
            said += ['stroke-linecap="round"'] if look.round else []
        return " ".join(said)

    def colour(self, name: str) -> str:
        return (f'class="{PREFIX}{name}" ' if self.classes else "") + f'fill="{self.looks[name].fill}"'

    def _letters(self, name: str) -> str:
        """The attributes that say letters, beyond what all letters have."""
        letters = theme.LETTERS[name]
        said = [f'font-size="{number(letters.size)}"'] if letters.size != 10 else []
        said += ['font-weight="bold"'] if letters.bold else []
        said += [f'text-anchor="{letters.anchor}"'] if letters.anchor != "middle" else []
        said += [self.colour(letters.colour)] if letters.colour != "text" else []
        return "".join(f" {one}" for one in said)

    def style(self, look: str, colors: theme.Colors) -> str:
        """For "auto" what is different on a dark page; a style sheet wins over attributes."""
        if look != "auto":
            return ""
        rules = []
        for name, dark in theme.looks("dark", "grad 1" in self.looks, colors).items():
            light, said = self.looks[name], []
            said += [f"fill:{dark.fill}"] if dark.fill != light.fill else []
            said += [f"stroke:{dark.stroke}"] if dark.stroke != light.stroke else []
            rules += [f".{PREFIX}{name.replace(' ', '-')}{{{';'.join(said)}}}"] if said else []
        return f"<style>@media (prefers-color-scheme:dark){{{''.join(rules)}}}</style>"

    def about(self, title: str, description: str) -> None:
        self.said = title, description

    # ---------------------------------------------------------------- elements

    def element(self, look: str, text: str) -> None:
        """An element of a look: {} stands for its attributes."""
        if look != self.look:
            self.flush()
            self.look = look
        self.waiting.append(text)

    def flush(self) -> None:
        """Write what waits."""
        if len(self.waiting) == 1:
            self.out.append(self.waiting[0].replace("{}", " " + self.attributes[self.look], 1))
        elif self.waiting:
            self.out.append(f"<g {self.attributes[self.look]}>")
            self.out += [text.replace("{}", "", 1) for text in self.waiting]
            self.out.append("</g>")
        self.waiting = []

    def field(self, look: str, x: float, y: float, w: float, h: float, round: float = 0.0, title: str = "") -> None:
        place = f'x="{number(x)}" y="{number(y)}" width="{number(w)}" height="{number(h)}"'
        rx = f' rx="{number(round)}"' if round else ""
        self.element(look, f"<rect{{}} {place}{rx}" + _end("rect", title))

    def way(self, look: str, way: Way, title: str = "") -> None:
        self.element(look, f'<path{{}} d="{d(way)}"' + _end("path", title))

    def words(self, letters: str, line: str, x: float, y: float, turned: bool = False) -> None:
        place = f'x="{number(x)}" y="{number(y)}"'
        if turned:
            place = f'transform="translate({number(x)} {number(y)}) rotate(-90)"'
        parts = pieces(line)
        said = self.letters[letters]
        if len(parts) > 1:  # set from its start: cairosvg anchors each piece by itself; librsvg drops spaces at pieces
            said += ' xml:space="preserve"'
            kind = theme.LETTERS[letters]
            if kind.anchor == "middle":
                place = f'x="{number(x - advance(line, kind.size) / 2)}" y="{number(y)}"'
                said += ' text-anchor="start"'
        self.flush()
        self.out.append(f"<text {place}{said}>{_pieces(parts)}</text>")

    @contextmanager
    def group(self, x: float = 0.0, y: float = 0.0, name: str = "", title: str = "") -> Iterator[None]:
        said = f' id="{PREFIX}{name}"' if name else ""
        said += f' transform="translate({number(x)} {number(y)})"' if x or y else ""
        if not (said or title):
            yield
            return
        self.flush()
        self.out.append(f"<g{said}>" + (f"<title>{escape(title)}</title>" if title else ""))
        yield
        self.flush()
        self.out.append("</g>")

    def again(self, key: Any, x: float, y: float, title: str, draw: Callable[[], None]) -> None:
        """A reference to what all of this key look like, which is written for the first of them."""
        self.flush()
        if key not in self.known:
            name = self.known[key] = f"{PREFIX}T{len(self.known) + 1}"
            self.out.append(f'<defs><g id="{name}">')
            draw()
            self.flush()
            self.out.append("</g></defs>")
        place = f'x="{number(x)}" y="{number(y)}"'
        self.out.append(f'<use xlink:href="#{self.known[key]}" {place}><title>{escape(title)}</title></use>')


def _end(tag: str, title: str) -> str:
    return f"><title>{escape(title)}</title></{tag}>" if title else "/>"


def _pieces(parts: Sequence[tuple[str, bool]]) -> str:
    """A line of text, with its indices below the line."""
    if len(parts) == 1 and not parts[0][1]:
        return escape(parts[0][0])
    out, lowered = "", False
    for part, index in parts:
        text = escape(part)
        if index:
            out += f'<tspan font-size="{number(INDEX)}" dy="2.5">{text}</tspan>'
        else:
            out += f'<tspan dy="-2.5">{text}</tspan>' if lowered else text
        lowered = index
    return out


def d(way: Way) -> str:
    """A way as SVG writes it, in few letters."""
    out, x, y = [], 0.0, 0.0
    for letter, *numbers in way:
        if letter == "L" and numbers[0] == x:
            out.append(f"V{number(numbers[1])}")
        elif letter == "L" and numbers[1] == y:
            out.append(f"H{number(numbers[0])}")
        else:
            out.append(letter + " ".join([number(v) for v in numbers]))
        if numbers:
            *_, x, y = numbers
    return "".join(out)


def number(x: float) -> str:
    """One decimal at most."""
    return f"{x:.1f}".removesuffix(".0")
