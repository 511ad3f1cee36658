"""`draw`, and the `Drawing` it gives."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DrawError, FreedGraphError, GraphError
from ..expand import Expanded
from ..listing import Tape, figure
from ..tensor import Tensor

if TYPE_CHECKING:
    from ..nn.module import Module
    from .parts import Cell, Edge, Node
    from .picture import Picture
    from .tile import Drawn


class Drawing:
    """A picture of a graph: first data (`nodes`, `edges`, `steps`), then ``svg()``, ``dot()`` and ``save(path)``.

    A notebook shows it as it is.

    >>> import tinygrad_rnn as tg
    >>> a = tg.tensor(2.0, requires_grad=True, name="a")
    >>> picture = tg.draw(a * a)
    >>> [(node.id, node.kind, node.label) for node in picture.nodes]
    [('n_multiply', 'loss', 'output = 4 ×'), ('n_a', 'leaf', 'a')]
    >>> [(edge.source, edge.target) for edge in picture.edges]
    [('n_a', 'n_multiply'), ('n_a', 'n_multiply')]
    """

    def __init__(self, picture: Picture, theme: str = "light", grads: bool = False, values: bool = False) -> None:
        from .theme import check

        self.picture = picture
        self.theme = check(theme)
        self._grads, self._values = grads, values

    @property
    def level(self) -> str:
        """What a node is: an "op", or a "cell", which is one time step of a layer."""
        return self.picture.level

    @property
    def steps(self) -> list[int]:
        """The time steps that are drawn."""
        return list(self.picture.steps)

    @property
    def hidden(self) -> list[tuple[int, int]]:
        """The ranges of time steps that are folded, each as (first, last)."""
        return self.picture.hidden

    @cached_property
    def nodes(self) -> list[Node]:
        """Every node that is drawn."""
        return list(self.picture.nodes())

    @cached_property
    def edges(self) -> list[Edge]:
        """Every edge that is drawn, as ids of nodes."""
        return list(self.picture.edges())

    @cached_property
    def figures(self) -> dict[str, tuple[str, ...]]:
        """For each node the values and gradients that were asked for, as text."""
        if not (self._grads or self._values):
            return {}
        gradients = self.picture.reading.tape.gradients if self._grads else {}
        found: dict[str, tuple[str, ...]] = {}
        for cell in self.picture.cells.values():
            folded = cell.template.folded and cell.step is not None  # one box for all records
            for k, record in enumerate(cell.records[-1:] if folded else cell.records):
                lines = []
                if self._values:
                    values = record.value if record.op.outputs > 1 else (record.value,)
                    lines.append("" if len(values) > 1 else figure(values[0]))
                if self._grads:
                    g = gradients.get(record)
                    lines.append("∇ none" if g is None else "∇ " + figure(g) if record.op.outputs == 1 else "")
                found[cell.id_of(k)] = tuple(lines)
            found.update(self._source_figures(cell, gradients))
        return found

    def _source_figures(self, cell: Cell, gradients: dict[Any, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The figures of the leaves of a cell, and of the entries that its step takes out of sequences."""
        sources = self.picture.sources
        rows = sources.rows_of(cell.records) if cell.step else {}
        for k, box in enumerate(cell.template.boxes):
            if box.number:
                x = sources.tensors[box.number]
                g = gradients.get(x.record or x)
                g = g[x.output] if isinstance(g, tuple) else g
                part = rows.get(box.number, ...)
                values = [figure(x.data[part])] if self._values else []
                grads = ["∇ none" if g is None else "∇ " + figure(g[part])] if self._grads else []
                yield cell.id_of(k), (*values, *grads)

    @cached_property
    def drawn(self) -> Drawn:
        """The picture with coordinates."""
        from .tile import draw

        return draw(self.picture)

    def svg(self) -> str:
        """The picture as the text of an SVG file; needs no other program."""
        from .svg import write

        return write(self.drawn, self.theme, self.figures)

    def dot(self) -> str:
        """The picture as text for Graphviz: ``dot -Tpdf``. One cluster a time step, time to the right."""
        from .dot import write

        return write(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file; its suffix says how: svg, dot, png or pdf.

        png and pdf are rendered by Graphviz. Raises DrawError for another suffix, or where Graphviz is missing.
        """
        path = Path(path)
        suffix = path.suffix.lower().removeprefix(".")
        if suffix == "svg":
            path.write_text(self.svg(), encoding="utf-8")
        elif suffix in ("dot", "gv"):
            path.write_text(self.dot(), encoding="utf-8")
        elif suffix in ("png", "pdf"):
            from .render import render

            path.write_bytes(render(self.dot(), suffix))
        else:
            raise DrawError(f"cannot save a picture as {path.name!r}: the name must end in .svg, .dot, .png or .pdf")
        return path

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        return f'<div style="overflow:auto;max-width:100%">{self.svg()}</div>'

    def __repr__(self) -> str:
        picture = self.picture
        steps = f", {len(picture.steps)} of {len(picture.reading.times)} steps" if picture.rows else ""
        return f"<drawing: {len(self.nodes)} nodes, {len(self.edges)} edges{steps}, level {self.level}>"


def draw(
    root: Tensor,
    level: str | None = None,
    steps: Any = None,
    grads: bool = False,
    values: bool = False,
    theme: str = "light",
    names: Mapping[str, Any] | Module | None = None,
) -> Drawing:
    """A picture of the graph that leads to `root`, unrolled over time.

    level   "op": a node for each op; "cell": a node for each time step of each layer. None chooses: "op" for few steps
    steps   "all", or a list such as ``[1, 2, "...", 30]``. None shows the first and the last, every cut and every loss
    grads   write the gradient of the root with respect to each result (its norm) into the node
    values  write its value (its norm) into the node
    theme   "light", "dark", or "auto": as the reader's system prefers
    names   names for tensors, a mapping: ``names=locals()`` works. Or a Module: its parameters get their full names

    Draw before ``backward()``, which frees the graph, or call ``backward(retain_graph=True)``.
    Raises DrawError where the graph is gone, or too large to be read.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> output, h = tg.nn.RNN(3, 4, rng=0)(np.ones((50, 1, 3)))
    >>> picture = tg.draw(output.sum())
    >>> picture.steps, picture.hidden
    ([1, 2, 3, 4, 5, 46, 47, 48, 49, 50], [(6, 45)])
    >>> tg.draw(output.sum(), level="op", steps=[1, "...", 50])
    <drawing: 20 nodes, 21 edges, 2 of 50 steps, level op>
    """
    from .picture import Picture
    from .reading import Reading

    if not isinstance(root, Tensor):
        raise TypeError(f"draw() needs a Tensor, not {type(root).__name__}")
    try:
        expanded = Expanded(root)
    except FreedGraphError as error:
        raise DrawError(
            "nothing is left to draw: backward() has freed this graph. Draw before calling backward(), or call "
            "backward(retain_graph=True)"
        ) from error
    if grads and not root.requires_grad:
        raise GraphError("draw(grads=True) of a tensor that needs no gradient: there are none to show")
    if isinstance(names, Mapping):
        names = {name: expanded(x) if isinstance(x, Tensor) else x for name, x in names.items()}
    picture = Picture(Reading(Tape(expanded.root), names), level, steps, extra=bool(grads) + bool(values))
    if values:
        picture.notes.append("a number is the value of a result, ‖·‖ its norm")
    if grads:
        picture.notes.append("∇ is the gradient of the root with respect to a result, ‖·‖ its norm")
    drawing = Drawing(picture, theme, grads, values)
    _ = drawing.figures  # now: a backward pass will free the records they are read from
    return drawing
