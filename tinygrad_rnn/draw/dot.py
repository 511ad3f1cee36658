"""The picture as DOT, the language of Graphviz: one cluster a time step.

The positions of boxes and the curves of edges are written into the text, and ``layout=nop2`` tells Graphviz to keep
them. Its own layout of an unrolled graph puts steps out of order, and takes minutes from some hundred steps on. Who
wants it all the same deletes that one attribute: depth then goes upwards, and recurrent edges do not count in ranks.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from . import theme
from .layout import Point
from .legend import Legend, wrap
from .parts import Cell
from .template import ROUND
from .text import escape as xml
from .text import line_width, pieces

if TYPE_CHECKING:
    from .drawing import Drawing

FONT = "DejaVu Sans,Helvetica,Arial,sans-serif"


def write(drawing: Drawing) -> str:
    """The DOT of a drawing, made with the graphviz package."""
    import graphviz

    colours = theme.DARK if drawing.theme == "dark" else theme.LIGHT
    picture, drawn = drawing.picture, drawing.drawn
    notes = Legend(picture)
    graph = graphviz.Digraph("tape", comment="the layout is part of this file; without layout=nop2, dot makes its own")
    graph.attr(layout="nop2", rankdir="BT", newrank="true", nodesep="0.2", ranksep="0.3", bgcolor=colours["page"])
    graph.attr(label=escape(notes.title), labelloc="t", fontname=FONT, fontcolor=colours["text"], fontsize="13")
    graph.attr("node", fontname=FONT, fontsize="10", margin="0.08,0.04", height="0.3", fontcolor=colours["text"])
    graph.attr("edge", arrowsize="0.5", color=colours["edge"], fontname=FONT)
    tiles = {tile.cell: tile for tile in drawn.tiles}
    places = {column: (x, width) for column, x, width in drawn.columns}

    def node(target: Any, cell: Cell, k: int) -> None:
        name = cell.id_of(k)
        tile = tiles[cell]
        x, y = tile.at(tile.layout.centres[k])
        w, h = tile.sizes[k]
        box = cell.template.boxes[k]
        if box.kind == "loss":  # the second outline lies outside
            w, h = w - 8, h - 8
        lines = (*map(cell.text, box.lines), *drawing.figures.get(name, ()))
        words = label(lines)
        tip = escape(cell.text(box.title))
        size = {"width": f"{w / 72:.3f}", "height": f"{h / 72:.3f}", "pos": f"{x:.1f},{y:.1f}"}
        target.node(name, words, tooltip=tip, **size, **looks(box.kind, colours))

    by_column: dict[Any, list[Cell]] = {}
    for cell in picture.cells.values():
        by_column.setdefault(cell.column, []).append(cell)
    for column in picture.columns:
        cells = by_column[column]
        name = f"cluster_t{column.t}" if column.kind == "step" else f"{column.kind}_{column.t}"
        with graph.subgraph(name=name) as cluster:
            if column.kind == "step":
                x, width = places[column]
                box = f"{x - 8:.1f},-8.0,{x + width + 8:.1f},{drawn.height + 22:.1f}"
                cluster.attr(bb=box, lp=f"{x + width / 2:.1f},{drawn.height + 12:.1f}")
                cluster.attr(label=f"t = {column.t}", labelloc="t", style="rounded")
                cluster.attr(color=colours["line"], bgcolor=colours["panel"])
            for cell in cells:
                for k in range(len(cell.template.boxes)):
                    node(cluster, cell, k)
    for tile in drawn.tiles:
        for link, points in zip(tile.cell.template.links, tile.layout.edges, strict=True):
            cut = tile.cell.template.boxes[link.target].kind == "cut"
            look = edge_looks("cut" if cut else "forward", colours)
            ends = tile.cell.id_of(link.source), tile.cell.id_of(link.target)
            graph.edge(*ends, pos=spline([tile.at(q) for q in points]), **look)
    severed = {line.join.target for line in drawn.lines if line.join.kind == "cut"}
    for line in drawn.lines:
        join = line.join
        ends = join.source.id_of(join.box), join.target.id_of(join.target.template.entries[join.entry])
        look = edge_looks(join.kind, colours)
        if join.kind == "cut" and join.source in severed:  # the word stands where the cut is, once for each state
            del look["label"]
        if join.kind in ("state", "cut", "gather"):
            look["constraint"] = "false"
        graph.edge(*ends, pos=spline(line.points, line.whole), edgetooltip=escape(join.name), **look)
    footer(graph, notes, drawn.width)
    return str(graph.source)


def footer(graph: Any, notes: Legend, width: float) -> None:
    """The weights and the notes of the legend, as a node of text below the picture, at its left."""
    lines = [line for text in notes.texts for line in wrap(text, max(width, 400.0))]
    if lines:
        width, height = max(line_width(line, 10) for line in lines), 14.0 * len(lines)
        rows = "".join(f'{line}<BR ALIGN="LEFT"/>' for line in marked(lines))
        size = {"width": f"{width / 72:.3f}", "height": f"{height / 72:.3f}"}
        place = f"{width / 2:.1f},{-height / 2 - 20:.1f}"
        graph.node("legend", f"<{rows}>", shape="plaintext", tooltip="legend", pos=place, **size)


def label(lines: Iterable[str]) -> Any:
    """The lines of a node: plain where it can be, HTML-like where there are indices."""
    import graphviz

    lines = list(lines)
    if any(index for line in lines for _, index in pieces(line)):
        return f"<{'<BR/>'.join(marked(lines))}>"
    return graphviz.nohtml("\\n".join(map(escape, lines)))


def marked(lines: list[str]) -> list[str]:
    """Lines in the HTML-like language of Graphviz."""
    out, room = [], ""
    for line in lines:
        parts = [(xml(part), index) for part, index in pieces(line)]
        indexed = [f'<SUB><FONT POINT-SIZE="8">{part}</FONT></SUB>' if index else part for part, index in parts]
        out.append("".join(indexed) + room)
        has_index = any(index for _, index in parts)
        room = '<FONT POINT-SIZE="13"> </FONT>' if has_index else ""  # makes the next line higher: indices hang down
    return out


def looks(kind: str, colours: dict[str, str]) -> dict[str, str]:
    """Shape, line and colour of a node: the marks of the legend."""
    family = {"cell": "state", "loss": "op", "leaf": "input", "entry": "input", "fold": "op"}.get(kind, kind)
    fill = colours.get(f"{family}-fill", colours["page"])
    look = {"shape": "box", "style": "filled", "fillcolor": fill, "color": colours[family]}
    if kind in ("state", "cell"):
        look["penwidth"] = "2.5"
    elif kind == "loss":
        look |= {"peripheries": "2", "style": "filled"}
    elif kind in ("ref", "cut"):
        look["style"] = "filled,dashed"
    elif kind == "fold":
        look |= {"style": "filled,dotted", "color": colours["quiet"]}
    elif kind in ROUND:
        look |= {"shape": "ellipse", "style": "filled,dashed" if kind == "entry" else "filled", "margin": "0.02,0.02"}
        look["color"] = colours["input" if kind == "input" else "op"]
    return look


def edge_looks(kind: str, colours: dict[str, str]) -> dict[str, str]:
    if kind == "state":
        return {"color": colours["state"], "penwidth": "2"}
    if kind == "cut":
        look = {"color": colours["cut"], "penwidth": "1.8", "style": "dashed", "fontcolor": colours["text"]}
        return look | {"label": "✂ detach", "fontsize": "9"}
    return {"color": colours["quiet"]} if kind == "gather" else {}


def spline(points: list[Point], arrow: bool = True) -> str:
    """The points as Graphviz writes an edge: an arrowhead and cubic curves, here straight."""
    (ax, ay), (bx, by) = points[-2], points[-1]
    length = max(abs(ax - bx) + abs(ay - by), 0.01)
    back = min(5.0, length / 2) if arrow else 0.0
    tip = [f"e,{bx:.1f},{by:.1f}"] if arrow else []
    end = (bx - (bx - ax) / length * back, by - (by - ay) / length * back)
    line = [*points[:-1], end]
    out = [f"{line[0][0]:.1f},{line[0][1]:.1f}"]
    for (ax, ay), (bx, by) in pairwise(line):
        slanted = abs(ax - bx) > 0.05 and abs(ay - by) > 0.05
        middle = (ay + by) / 2
        controls = ((ax, middle), (bx, middle)) if slanted else ((ax, ay), (bx, by))
        out += [f"{x:.1f},{y:.1f}" for x, y in (*controls, (bx, by))]
    return " ".join([*tip, *out])


def escape(text: str) -> str:
    """The text as it is, whatever it holds: DOT reads backslashes, and <...> as markup; the package adds the quotes."""
    from graphviz import nohtml

    plain = text.replace("\\", "\\\\").replace("\r", " ").replace("\n", " ").replace("\x00", " ")
    return nohtml(plain)
