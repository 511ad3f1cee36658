"""The picture as a graph of the graphviz package, one cluster a time step: as it is drawn here, or left to Graphviz.

Its own layout of an unrolled graph puts steps out of order, and takes minutes from some hundred steps on, so `Pinned`
writes positions into it. Without them each column is a rank of its own, along which depth goes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from . import figure, theme
from .amount import LEVELS, Amount
from .arrange import TURNS
from .figure import EDGES
from .labels import escape, label, looks, strokes, tooltip
from .legend import Legend, wrap
from .marks import Block, Panel, Path
from .overlay import Overlay
from .parts import Cell, Column, Join
from .pinned import Pinned
from .sheet import Sheet

UNPINNED = 100  # steps that Graphviz lays out in a time one can wait for

RANKS = {"right": "LR", "left": "RL", "up": "BT", "down": "TB"}
"""What Graphviz calls a direction of time."""

FONT = "DejaVu Sans,Verdana,Helvetica,Arial,sans-serif"


def digraph(sheets: Sequence[Sheet], pinned: bool = True) -> Any:
    """The graph of sheets, one below the other."""
    import graphviz

    first = sheets[0]
    colors, unit = first.options.colors, first.picture.unit
    colours, font = theme.palette(first.theme, colors), first.options.font or FONT
    notes = "the layout is part of this file; to render it: dot -Tsvg, or neato -n2 -Tsvg" if pinned else "dot -Tsvg"
    graph = graphviz.Digraph("tape", comment=notes)
    graph.attr(
        rankdir=RANKS[first.options.direction],
        bgcolor=colours["page"],
        fontname=font,
        fontcolor=colours["text"],
        fontsize="13",
    )
    graph.attr("node", fontname=font, fontsize="10", margin="0.08,0.04", height="0.3", fontcolor=colours["text"])
    graph.attr("edge", arrowsize="0.5", color=colours["edge"], fontname=font, fontcolor=colours["text"])
    if pinned:
        canvas = Pinned(graph, first.theme, any(sheet.overlay is not None for sheet in sheets), colors, unit)
        width, height = figure.draw(canvas, sheets)
        graph.attr(layout="nop2", outputorder="edgesfirst", bb=f"0,{-height * canvas.pt:.2f},{width * canvas.pt:.2f},0")
        canvas.finish()
        return graph
    if sum(len(sheet.picture.steps) for sheet in sheets) > UNPINNED:
        steps = f"{UNPINNED} time steps and more take Graphviz minutes to lay out"
        warnings.warn(f"pinned=False: {steps}; pinned=True keeps the layout of this library", UserWarning, stacklevel=3)
    legend = Legend(sheets)
    whole = (len(sheets) > 1 and first.options.title) or ""
    title = "; ".join(filter(None, (whole, *(about.title for about in legend.abouts))))
    graph.attr(newrank="true", nodesep="0.2", ranksep="0.55", labelloc="t", label=escape(title))
    if not all(sheet.picture.full for sheet in sheets):  # many steps are placed as well in a fifth of the time
        graph.attr(nslimit="0.3")
    last = [Free(graph, sheet).write() for sheet in sheets]
    Explained(graph, first, legend).write([name for column in last for name in column[:1]])
    return graph


class Free:
    """Writes one sheet into a graph, without positions."""

    def __init__(self, graph: Any, sheet: Sheet) -> None:
        self.graph, self.p, self.sheet = graph, sheet.prefix, sheet
        self.picture, self.overlay = sheet.picture, sheet.overlay
        colors = sheet.options.colors
        self.colours, self.looks = theme.palette(sheet.theme, colors), theme.looks(sheet.theme, True, colors)

    def write(self) -> list[str]:
        """Write all of it; gives the names of its last column."""
        blocks: dict[Column, list[Block]] = {column: [] for column in self.picture.columns}
        panels: set[Column] = set()
        paths: list[Path] = []
        for mark in self.sheet.drawn.marks():
            if isinstance(mark, Block):
                blocks[mark.cell.column].append(mark)
            elif isinstance(mark, Panel):
                panels.add(mark.column)
            elif isinstance(mark, Path):
                paths.append(mark)
        for column, inside in blocks.items():
            framed = column in panels
            name = f"cluster_{self.p}t{column.t}" if framed else f"{self.p}{column.kind}_{column.t}"
            with self.graph.subgraph(name=name) as cluster:
                if framed:
                    self.panel(cluster, column)
                for block in inside:
                    words = label((*block.lines, *self.sheet.figures.get(block.id, ())))
                    look = looks(block.box.kind, self.colours)
                    cluster.node(self.p + block.id, words, tooltip=tooltip(block.title), **look)
        severed = {path.edge.target for path in paths if isinstance(path.edge, Join) and path.edge.kind == "cut"}
        for path in paths:
            self.edge(path, severed)
        return self.in_order([inside for inside in blocks.values() if inside])

    def panel(self, cluster: Any, column: Column) -> None:
        """The frame and the heading of a time step."""
        words = column.heading
        if column.kind == "step" and column.t in self.picture.labels:
            words = escape(f"{words} “{self.picture.labels[column.t]}”")
        if self.overlay is not None and self.overlay.largest_at == column.t and column.kind == "step":
            words += ": largest ∇"
        cluster.attr(label=words, labelloc="b", style="rounded", color=self.colours["line"])
        cluster.attr(bgcolor=self.colours["panel"])

    def edge(self, path: Path, severed: set[Cell]) -> None:
        """An edge, with the gradient that goes back along it written at it."""
        edge = path.edge
        look = strokes(self.looks[EDGES[edge.kind]]) | {"edgetooltip": tooltip(edge.name)}
        if edge.kind == "cut" and not (isinstance(edge, Join) and edge.source in severed):  # once for each state
            look |= {"label": "✂ detach", "fontsize": "9"}
        told = self.overlay is not None and not self.picture.adds_losses(edge)
        amount = self.overlay.along(edge) if self.overlay is not None and told else None
        if amount is not None:
            look |= {"label": f"∇ {amount:.2g}", "fontsize": "8", **self.stroke(amount)}
        look["constraint"] = "false"  # of ranks: what stands where is said by `in_order`
        if "label" in look:  # none can be laid out within a rank
            look["xlabel"] = look.pop("label")
        self.graph.edge(*(self.p + end for end in edge.ends), **look)

    def stroke(self, amount: Amount) -> dict[str, str]:
        """The width of an edge by what goes back along it, and the mark of what has none."""
        assert self.overlay is not None
        if amount.kind == "number":
            return {"penwidth": f"{theme.width(self.overlay.scale.level(amount)):.2f}"}
        return {"dir": "both", "arrowtail": {"zero": "odot", "none": "tee", "nan": "diamond"}[amount.kind]}

    def in_order(self, columns: list[list[Block]]) -> list[str]:
        """Keep the columns in the order of time, and each in that of depth, by edges that are not seen.

        A column is a rank, as a rank is all of which Graphviz keeps the order for certain. Gives the last one.
        """
        upright = TURNS[self.sheet.options.direction][1]  # then depth goes to the right
        names = [
            [self.p + block.id for block in sorted(blocks, key=lambda block: block.x if upright else block.y)]
            for blocks in columns
        ]
        for column in names:
            one_rank(self.graph, column)
        for before, behind in pairwise(names):
            self.graph.edge(before[0], behind[0], style="invis")
        return names[-1] if names else []


def one_rank(graph: Any, names: list[str]) -> None:
    """Nodes on one rank, in this order from the bottom up, or from the left."""
    with graph.subgraph() as rank:
        rank.attr(rank="same")
        for name in names:
            rank.node(name)
        for a, b in pairwise(names):
            rank.edge(a, b, style="invis")


class Explained:
    """Writes a cluster of samples, each a node that says what it stands for; the scale; and the notes."""

    def __init__(self, graph: Any, sheet: Sheet, legend: Legend) -> None:
        self.graph, self.legend, self.options = graph, legend, sheet.options
        self.colours = theme.palette(sheet.theme, sheet.options.colors)
        self.ramp = theme.ramp(sheet.theme, sheet.options.colors)

    def write(self, behind: list[str]) -> None:
        """Write it right of these nodes."""
        names: list[str] = []
        with self.graph.subgraph(name="cluster_legend") as cluster:
            cluster.attr(label="", style="invis")
            for kind in self.legend.kinds if self.options.legend else ():
                names.append(f"legend_{kind}")
                cluster.node(names[-1], label([self.legend.words[kind]], 10.0), **looks(kind, self.colours))
            if self.options.legend and self.legend.overlay is not None:
                names.append("legend_scale")
                cluster.node(names[-1], self.scale(self.legend.overlay), shape="plaintext")
            lines = [line for text in self.legend.texts for line in wrap(text, 500.0)]
            if lines:
                names.append("legend")
                cluster.node(names[-1], label(lines, 10.0, align="LEFT"), shape="plaintext", tooltip="legend")
        one_rank(self.graph, names[::-1])
        for name in behind if names else ():
            self.graph.edge(name, names[-1], style="invis")

    def scale(self, overlay: Overlay) -> str:
        """The colours and widths of gradients as a table, with the numbers of their decades."""
        cells = [
            f'<TD WIDTH="18" HEIGHT="{2 * theme.width(k):.0f}" FIXEDSIZE="TRUE" BGCOLOR="{self.ramp[k]}"></TD>'
            for k in range(1, LEVELS + 1)
        ]
        low, top = overlay.scale.ends
        table = 'BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"'
        numbers = f'<TD COLSPAN="6" ALIGN="LEFT">{low}</TD><TD COLSPAN="6" ALIGN="RIGHT">{top}</TD>'
        words = f'<TD COLSPAN="{LEVELS}">gradient that goes back, its norm</TD>'
        return f"<<TABLE {table}><TR>{words}</TR><TR>{''.join(cells)}</TR><TR>{numbers}</TR></TABLE>>"
