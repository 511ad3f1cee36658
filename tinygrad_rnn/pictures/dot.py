"""The picture as DOT, the language of Graphviz: one cluster a time step.

The positions of boxes and the curves of edges are written into the text, and ``layout=nop2`` tells Graphviz to keep
them. Its own layout of an unrolled graph puts steps out of order, and takes minutes from some hundred steps on. Who
wants it all the same writes the text without positions: depth then goes upwards, recurrent edges do not count in ranks.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from . import theme
from .amount import Amount
from .layout import Point
from .legend import Legend, wrap
from .marks import Block, Panel, Path
from .overlay import ASIDE, beside
from .parts import Cell, Column, Join
from .ribbon import Ribbon
from .sheet import Sheet
from .template import ROUND
from .text import escape as xml
from .text import line_width, pieces, printable

UNPINNED = 100  # steps that Graphviz lays out in a time one can wait for

FONT = "DejaVu Sans,Helvetica,Arial,sans-serif"


def digraph(sheets: Sequence[Sheet], pinned: bool = True) -> Any:
    """The graph of sheets, one below the other, made with the graphviz package."""
    import graphviz

    first = sheets[0]
    colours = theme.palette(first.theme, first.options.colors)
    notes = "the layout is part of this file; to render it: dot -Tsvg, or neato -n2 -Tsvg" if pinned else "dot -Tsvg"
    graph = graphviz.Digraph("tape", comment=notes)
    graph.attr(rankdir="BT", newrank="true", nodesep="0.2", ranksep="0.3", bgcolor=colours["page"], splines="line")
    font = first.options.font or FONT
    titles = [Legend(sheet.picture).title for sheet in sheets]
    graph.attr(labelloc="t", fontname=font, fontcolor=colours["text"], fontsize="13", label=escape("; ".join(titles)))
    if pinned:
        graph.attr(layout="nop2")
    elif sum(len(sheet.picture.steps) for sheet in sheets) > UNPINNED:
        steps = f"{UNPINNED} time steps and more take Graphviz minutes to lay out"
        warnings.warn(f"pinned=False: {steps}; pinned=True keeps the layout of this library", UserWarning, stacklevel=3)
    graph.attr("node", fontname=font, fontsize="10", margin="0.08,0.04", height="0.3", fontcolor=colours["text"])
    graph.attr("edge", arrowsize="0.5", color=colours["edge"], fontname=font, fontcolor=colours["text"])
    floor = 0.0
    for k, sheet in enumerate(sheets):
        writer = _Writer(graph, sheet, pinned)
        if k:
            floor -= sheet.drawn.height + 90
        writer.floor = floor
        writer.write()
        floor = writer.lowest
    return graph


class _Writer:
    """Writes one sheet into a graph."""

    def __init__(self, graph: Any, sheet: Sheet, pinned: bool) -> None:
        self.graph, self.p, self.sheet, self.pinned = graph, sheet.prefix, sheet, pinned
        self.picture, self.drawn, self.overlay = sheet.picture, sheet.drawn, sheet.overlay
        self.colours = theme.palette(sheet.theme, sheet.options.colors)
        self.ramp = theme.ramp(sheet.theme, sheet.options.colors)
        self.floor = self.lowest = 0.0

    def at(self, point: Point) -> str:
        return f"{point[0]:.1f},{point[1] + self.floor:.1f}"

    def write(self) -> None:
        blocks: dict[Column, list[Block]] = {column: [] for column in self.picture.columns}
        panels: dict[Column, Panel] = {}
        paths: list[Path] = []
        for mark in self.drawn.marks():
            if isinstance(mark, Block):
                blocks[mark.cell.column].append(mark)
            elif isinstance(mark, Panel):
                panels[mark.column] = mark
            elif isinstance(mark, Path):
                paths.append(mark)
        for column, inside in blocks.items():
            panel = panels.get(column)
            name = f"cluster_{self.p}t{column.t}" if panel else f"{self.p}{column.kind}_{column.t}"
            with self.graph.subgraph(name=name) as cluster:
                if panel:
                    self.panel(cluster, panel)
                for block in inside:
                    self.node(cluster, block)
        severed = {path.edge.target for path in paths if isinstance(path.edge, Join) and path.edge.kind == "cut"}
        for path in paths:
            self.path(path, severed)
        if not self.pinned:
            self.in_order(list(blocks.values()))
        lowest = self.floor
        if self.pinned and self.sheet.ribbon is not None:
            lowest = self.ribbon(self.sheet.ribbon, self.floor - 24)
        self.lowest = self.footer(lowest)

    def in_order(self, columns: list[list[Block]]) -> None:
        """Keep the columns in the order of time: the data of each on one level, joined by edges that are not seen."""
        firsts = []
        for blocks in columns:
            data = (block for block in blocks if block.cell is blocks[0].cell and block.box.kind in ROUND)
            firsts.append(self.p + next(data, blocks[0]).id)
        with self.graph.subgraph() as level:
            level.attr(rank="same")
            for name in firsts:
                level.node(name)
        for a, b in pairwise(firsts):
            self.graph.edge(a, b, style="invis")

    def panel(self, cluster: Any, panel: Panel) -> None:
        """The frame and the heading of a time step."""
        column, x, y, width, height = panel
        words = column.heading
        if column.kind == "step" and column.t in self.picture.labels:
            words = escape(f"{words} “{self.picture.labels[column.t]}”")
        if self.overlay is not None and self.overlay.largest_at == column.t and column.kind == "step":
            words += ": largest ∇"
        cluster.attr(
            label=words,
            labelloc="t" if self.pinned else "b",
            style="rounded",
            color=self.colours["line"],
            bgcolor=self.colours["panel"],
        )
        if self.pinned:
            low, high = (x - 8, y - 8.0), (x + width + 8, y + height + 22)
            cluster.attr(bb=f"{self.at(low)},{self.at(high)}", lp=self.at((x + width / 2, y + height + 12)))

    def node(self, cluster: Any, block: Block) -> None:
        w, h = block.width, block.height
        if block.box.kind == "loss":  # the second outline lies outside
            w, h = w - 8, h - 8
        words = label((*block.lines, *self.sheet.figures.get(block.id, ())))
        look = looks(block.box.kind, self.colours)
        if self.pinned:
            look |= {"width": f"{w / 72:.3f}", "height": f"{h / 72:.3f}", "pos": self.at((block.x, block.y))}
        cluster.node(self.p + block.id, words, tooltip=tooltip(block.title), **look)

    def path(self, path: Path, severed: set[Cell]) -> None:
        edge = path.edge
        look = edge_looks(edge.kind, self.colours)
        if isinstance(edge, Join):
            if edge.kind == "cut" and edge.source in severed:  # the word stands where the cut is, once for each state
                del look["label"]
            if edge.kind in ("state", "cut", "gather"):
                look["constraint"] = "false"
            look["edgetooltip"] = tooltip(edge.name)
        self.edge(path, look, None if self.overlay is None else self.overlay.along(edge))

    def edge(self, path: Path, look: dict[str, str], amount: Amount | None) -> None:
        """An edge, and the gradient that goes back along it: beside it, or written at it."""
        source, target = (self.p + end for end in path.edge.ends)
        if not self.pinned:
            words = {} if amount is None else {"label": f"∇ {amount:.2g}", "fontsize": "8"}
            words |= look
            if "constraint" in words and "label" in words:  # no label can be laid out there ("trouble in init_rank")
                words["xlabel"] = words.pop("label")
            self.graph.edge(source, target, **words)
            return
        self.graph.edge(source, target, pos=self.spline(path.points, path.whole), **look)
        if amount is not None:
            back = self.spline(beside([p for way in path.gradient for p in way], -ASIDE))
            self.graph.edge(target, source, pos=back, constraint="false", **self.stroke(amount))

    def stroke(self, amount: Amount) -> dict[str, str]:
        """The look of what goes back, by its amount."""
        assert self.overlay is not None
        tip = {"edgetooltip": f"∇ {amount}", "arrowsize": "0.4"}
        if amount.kind == "number":
            level = self.overlay.scale.level(amount)
            style = {} if level else {"style": "dotted"}
            return {"color": self.ramp[level], "penwidth": f"{theme.width(level):.2f}", **style, **tip}
        heads = {"zero": "odot", "none": "tee", "nan": "diamond"}
        colour = self.colours["text" if amount.kind == "nan" else "quiet"]
        return {"color": colour, "style": "dotted", **tip, "arrowhead": heads[amount.kind], "arrowsize": "0.6"}

    def spline(self, points: list[Point], arrow: bool = True) -> str:
        """The points as Graphviz writes an edge: an arrowhead and cubic curves, here straight."""
        (ax, ay), (bx, by) = points[-2], points[-1]
        length = max(abs(ax - bx) + abs(ay - by), 0.01)
        back = min(5.0, length / 2) if arrow else 0.0
        out = [f"e,{self.at((bx, by))}"] if arrow else []
        line = [*points[:-1], (bx - (bx - ax) / length * back, by - (by - ay) / length * back)]
        out.append(self.at(line[0]))
        for (ax, ay), (bx, by) in pairwise(line):
            slanted = abs(ax - bx) > 0.05 and abs(ay - by) > 0.05
            middle = (ay + by) / 2
            controls = ((ax, middle), (bx, middle)) if slanted else ((ax, ay), (bx, by))
            out += [self.at(point) for point in (*controls, (bx, by))]
        return " ".join(out)

    def ribbon(self, r: Ribbon, top: float) -> float:
        """The columns of the gradient of every step, as boxes; gives where they end."""
        shift = max(0.0, (self.drawn.width - r.width) / 2)

        def put(name: str, x: float, y: float, w: float, h: float, **look: str) -> None:
            size = {"width": f"{w / 72:.4f}", "height": f"{h / 72:.4f}", "pos": self.at((x + shift, y - self.floor))}
            self.graph.node(f"{self.p}{name}", **{"label": "", "shape": "box", "margin": "0", **size, **look})

        for k, row in enumerate(r.rows):
            base = top - row.base
            words = escape(r.words(row))
            put(f"ribbon{k}", r.width / 2, base + r.tall + 10, r.width, 12, label=words, shape="plaintext")
            for bar in row.bars:
                kind, h = bar.amount.kind, bar.height or r.tall
                fill = self.ramp[bar.level] if kind == "number" else self.colours["text" if kind == "nan" else "line"]
                tip = tooltip(f"t = {bar.first}: {bar.amount}")
                look = {"style": "filled", "fillcolor": fill, "color": fill, "penwidth": "0", "tooltip": tip}
                put(f"ribbon{k}_{bar.first}", bar.x + r.px / 2, base + h / 2, r.px, h, **look)
            for height, number in r.levels():
                put(
                    f"ribbon{k}_{number[2:].replace('-', 'm')}d",
                    20,
                    base + height,
                    30,
                    10,
                    label=number,
                    shape="plaintext",
                )
        for x, t in r.ticks():
            put(f"tick_{t}", x, top - r.foot - 8, 24, 10, label=str(t), shape="plaintext")
        return self.floor + top - self.floor - r.height

    def footer(self, y: float) -> float:
        """The weights and the notes of the legend, as a node of text below the picture; gives where it ends."""
        width = max(self.drawn.width, 400.0)
        texts = Legend(self.picture, self.overlay).all_texts
        lines = [line for text in texts for line in wrap(text, width)]
        if not lines:
            return y
        wide, height = max(line_width(line, 10) for line in lines), 14.0 * len(lines)
        rows = "".join(f'{line}<BR ALIGN="LEFT"/>' for line in marked(lines))
        size = {"width": f"{wide / 72:.3f}", "height": f"{height / 72:.3f}"} if self.pinned else {}
        place = {"pos": f"{wide / 2:.1f},{y - height / 2 - 20:.1f}"} if self.pinned else {}
        self.graph.node(f"{self.p}legend", f"<{rows}>", shape="plaintext", tooltip="legend", **place, **size)
        return y - height - 40


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
    family = {
        "cell": "state",
        "loss": "op",
        "leaf": "input",
        "entry": "input",
        "fold": "op",
        "loop": "state",
        "past": "op",
    }.get(kind, kind)
    fill = colours.get(f"{family}-fill", colours["page"])
    look = {"shape": "box", "style": "filled", "fillcolor": fill, "color": colours[family]}
    if kind in ("state", "cell"):
        look["penwidth"] = "2.5"
    elif kind == "loss":
        look |= {"peripheries": "2", "style": "filled"}
    elif kind in ("ref", "cut"):
        look["style"] = "filled,dashed"
    elif kind == "past":
        look |= {"style": "filled,dashed", "color": colours["quiet"], "fillcolor": colours["line"]}
    elif kind == "loop":
        look["style"] = "filled,dotted"
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


def escape(text: str) -> str:
    """The text of a label as it is, whatever it holds.

    DOT reads backslashes and entities, and <...> as markup; the package adds the quotes.
    """
    from graphviz import nohtml

    return nohtml(printable(text).replace("\\", "\\\\").replace("&", "&amp;"))


def tooltip(text: str) -> str:
    """The text of a tooltip, in which Graphviz reads backslashes twice."""
    return escape(text.replace("\\", "\\\\"))
