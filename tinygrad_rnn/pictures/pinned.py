"""The picture on a canvas of Graphviz: every mark has its place, and ``layout=nop2`` tells Graphviz to keep it.

Boxes are nodes, and edges are edges between them, in one cluster a time step. What stands around them (words, gradients
beside edges, the legend with its swatches and its scale) is made of nodes and edges of its own, named ``_1``, ``_2``...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from . import theme
from .canvas import Canvas, Way, curve, direction, shortened
from .labels import SMALL, label, looks, strokes, tooltip
from .layout import Point
from .text import advance
from .theme import Look

PT = 0.75  # a px of CSS in points
HEAD = 7.0  # px of an arrowhead


class Pinned(Canvas):
    """Writes into a graph of the graphviz package. y goes up there, so it is negative here."""

    def __init__(
        self, graph: Any, look: str, gradients: bool = False, colors: theme.Colors = "default", unit: float = 1.0
    ) -> None:
        """unit   px of a unit of the picture"""
        super().__init__(look, gradients, colors)
        self.pt = PT * unit
        self.graph, self.colours = graph, theme.palette(look, colors)
        self.x = self.y = 0.0
        self.panels: list[tuple[Any, float, float, float, float]] = []
        self.count = 0

    def at(self, x: float, y: float) -> str:
        return f"{self.pt * (x + self.x):.2f},{-self.pt * (y + self.y):.2f}"

    def name(self) -> str:
        self.count += 1
        return f"_{self.count}"

    @contextmanager
    def group(self, x: float = 0.0, y: float = 0.0, name: str = "", title: str = "") -> Iterator[None]:
        self.x, self.y = self.x + x, self.y + y
        yield
        self.x, self.y = self.x - x, self.y - y

    # ---------------------------------------------------------------- the graph

    def panel(self, look: str, name: str, x: float, y: float, w: float, h: float) -> None:
        import graphviz

        cluster = graphviz.Digraph(f"cluster_{name}")
        frame = self.looks[look]
        line = {"color": frame.stroke, "penwidth": f"{frame.width * self.pt:.3g}"}
        bb = f"{self.at(x, y + h)},{self.at(x + w, y)}"
        cluster.attr(label="", bb=bb, style="rounded", bgcolor=frame.fill, **line)
        self.panels.append((cluster, x + self.x, y + self.y, w, h))

    def box(self, kind: str, name: str, title: str, at: Point, size: Point, lines: Sequence[str]) -> None:
        (x, y), (w, h) = at, size
        if kind == "loss":  # the second outline lies outside
            w, h = w - 8, h - 8
        look = looks(kind, self.colours) | self.place(x, y, w, h)
        look["penwidth"] = f"{self.looks[kind].width * self.pt:.3g}"
        for cluster, left, top, wide, high in self.panels:
            if left < x + self.x < left + wide and top < y + self.y < top + high:
                cluster.node(name, label(lines, pt=self.pt), tooltip=tooltip(title), **look)
                return
        self.graph.node(name, label(lines, pt=self.pt), tooltip=tooltip(title), **look)

    def arrow(
        self,
        kind: str,
        points: Sequence[Point],
        blunt: bool = False,
        level: bool = False,
        ends: tuple[str, str] | None = None,
    ) -> None:
        look = self.looks[kind]
        if blunt:
            self.edge(curve(points, level=level), look, ends)
        else:
            tip = f"e,{self.at(*points[-1])} "
            self.edge(
                curve(shortened(points, HEAD, level), level=level),
                look,
                ends,
                tip,
                arrowsize=f"{self.pt * HEAD / 10:.3g}",
            )

    def finish(self) -> None:
        for cluster, *_ in self.panels:
            self.graph.subgraph(cluster)

    # ---------------------------------------------------------------- what stands around it

    def place(self, x: float, y: float, w: float, h: float) -> dict[str, str]:
        """The attributes that say where a node is and how large."""
        return {
            "pos": self.at(x, y),
            "width": f"{w * self.pt / 72:.4f}",
            "height": f"{h * self.pt / 72:.4f}",
            "fixedsize": "shape",
        }

    def edge(self, way: Way, look: Look, ends: tuple[str, str] | None = None, tip: str = "", **more: str) -> None:
        """A way of one piece; where it joins no boxes, between two nodes that are not seen."""
        if ends is None:
            ends = self.name(), self.name()
            for name, (_, *numbers) in zip(ends, (way[0], way[-1]), strict=True):
                self.graph.node(name, "", style="invis", **self.place(numbers[-2], numbers[-1], 0.0, 0.0))
        more = {
            "pos": tip + self.spline(way),
            **strokes(look, self.pt),
            **({} if tip else {"arrowhead": "none"}),
            **more,
        }
        self.graph.edge(*ends, **more)

    def spline(self, way: Way) -> str:
        """The way as Graphviz writes it: cubic curves."""
        out: list[str] = []
        last = (0.0, 0.0)
        for letter, *numbers in way:
            points: list[Point] = list(zip(numbers[::2], numbers[1::2], strict=True))
            if letter == "L":
                points = [last, points[0], points[0]]
            elif letter == "Q":
                (cx, cy), end = points
                points = [((a + 2 * cx) / 3, (b + 2 * cy) / 3) for a, b in (last, end)] + [end]
            out += [self.at(*point) for point in points]
            last = points[-1]
        return " ".join(out)

    def field(self, look: str, x: float, y: float, w: float, h: float, round: float = 0.0, title: str = "") -> None:
        shape = "ellipse" if round and round >= min(w, h) / 2 else "box"
        self.mark(look, shape, x, y, w, h, title)

    def mark(self, name: str, shape: str, x: float, y: float, w: float, h: float, title: str = "") -> None:
        look = self.looks[name]
        said = {"shape": shape, "tooltip": tooltip(title), **strokes(look, self.pt), "fillcolor": look.fill}
        style = [*(["filled"] if look.fill != "none" else []), *filter(None, [said.pop("style", "")])]
        if look.stroke == "none":
            said |= {"penwidth": "0", "color": look.fill}
        self.graph.node(self.name(), "", style=",".join(style), **said, **self.place(x + w / 2, y + h / 2, w, h))

    def way(self, look: str, way: Way, title: str = "") -> None:
        """Each piece by itself: an edge, a head, or a node of the shape that it encloses."""
        if look == "hatch":  # the fill of its box says it
            return
        for piece in _pieces(way):
            if piece[-1][0] != "Z":
                self.edge(piece, self.looks[look], edgetooltip=tooltip(title))
                continue
            corners = [at[-2:] for _, *at in piece[:-1]]
            (left, top), (right, foot) = (tuple(map(f, zip(*corners, strict=True))) for f in (min, max))
            if len(corners) == 3 and look.endswith("head"):
                self.head(look, corners)
            else:
                kind = "invtriangle" if len(corners) == 3 else "box" if _upright(corners) else "ellipse"
                kind = "diamond" if look == "grad nan mark" else kind
                self.mark(look, kind, left, top, right - left, foot - top, title)

    def head(self, look: str, corners: Sequence[Any]) -> None:
        """The head of a stroke, as one that Graphviz draws."""
        (ax, ay), tip, (bx, by) = corners
        back = ((ax + bx) / 2, (ay + by) / 2)
        dx, dy = direction(back, tip)
        size = abs(tip[0] - back[0]) + abs(tip[1] - back[1])
        start = (back[0] - dx * 0.1, back[1] - dy * 0.1)
        stroke = Look(stroke=self.looks[look].fill)
        self.edge(
            [("M", *start), ("L", *back)], stroke, None, f"e,{self.at(*tip)} ", arrowsize=f"{size * self.pt / 10:.3g}"
        )

    def words(self, letters: str, line: str, x: float, y: float, turned: bool = False) -> None:
        kind = theme.LETTERS[letters]
        w = advance(line, kind.size, SMALL) * (1.1 if kind.bold else 1.0)
        left = x - {"start": 0.0, "middle": w / 2, "end": w}[kind.anchor]
        if turned:  # Graphviz turns no words
            left = x - w + kind.size / 2
        colour = self.looks[kind.colour].fill
        look = {"shape": "plaintext", "margin": "0", "fontcolor": colour, "tooltip": tooltip(line)}
        place = self.place(left + w / 2, y - kind.size * 0.36, 0.0, 0.0) | {"fixedsize": "false"}
        self.graph.node(self.name(), label([line], kind.size, kind.bold, pt=self.pt), **look, **place)


def _pieces(way: Way) -> Iterator[Way]:
    """The parts of a way that are drawn in one go."""
    piece: Way = []
    for step in way:
        if step[0] == "M" and piece:
            yield piece
            piece = []
        piece.append(step)
    if piece:
        yield piece


def _upright(corners: Sequence[Any]) -> bool:
    """Whether these are the corners of a rectangle."""
    xs, ys = ({round(v, 2) for v in side} for side in zip(*corners, strict=True))
    return len(xs) == len(ys) == 2
