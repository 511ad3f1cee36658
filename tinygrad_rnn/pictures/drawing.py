"""`draw`, and the `Drawing` it gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, overload

from ..autograd.tensor import Tensor
from ..errors import DrawError, FreedGraphError, GraphError
from ..unrolled.listing import Tape, figure
from .output import Output

if TYPE_CHECKING:
    from ..nn.module import Module
    from .comparison import Comparison
    from .flow import Amount, Flow
    from .parts import Cell, Edge, Node
    from .picture import Picture
    from .ribbon import Ribbon
    from .svg import Writer
    from .tile import Drawn

STRIP_WIDTH = 1044.0  # a thousand columns and the numbers at their left


class Drawing(Output):
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

    def __init__(self, picture: Picture, theme: str = "light", values: bool = False, flow: Flow | None = None) -> None:
        from .overlay import Overlay

        self.picture, self.theme = picture, theme
        self._flow, self._values = flow, values
        self.overlay = Overlay(picture, flow) if flow is not None else None
        _ = self.figures  # now: a backward pass will free the records they are read from

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

    @property
    def gradients(self) -> dict[str, dict[int, Amount]]:
        """For each layer and every time step, drawn or not, the gradient of its state; empty without ``grads=True``."""
        return self.overlay.states if self.overlay is not None else {}

    @cached_property
    def nodes(self) -> list[Node]:
        """Every node that is drawn."""
        return list(self.picture.nodes())

    @cached_property
    def edges(self) -> list[Edge]:
        """Every edge that is drawn, as ids of nodes."""
        return list(self.picture.edges(self.overlay))

    @cached_property
    def figures(self) -> dict[str, tuple[str, ...]]:
        """For each node the values and gradients that were asked for, as text."""
        if not (self._flow or self._values):
            return {}
        found: dict[str, tuple[str, ...]] = {}
        for cell in self.picture.cells.values():
            for k, (value, g) in enumerate(self._results(cell)):
                lines = [figure(value)] if self._values else []
                if self._flow is not None:
                    lines.append("" if value is None else "∇ none" if g is None else "∇ " + figure(g))
                found[cell.id_of(k)] = tuple(lines)
            found.update(self._source_figures(cell))
            if cell.column.hidden is not None and cell.row is not None and self.overlay is not None:
                found[cell.id_of(0)] = self.overlay.range_of(cell)
        return found

    def _results(self, cell: Cell) -> Iterator[tuple[Any, Any]]:
        """Value and gradient for the first boxes of a cell; None where a box has several results, or no gradient."""
        reading, flow = self.picture.reading, self._flow
        if cell.template.folded and cell.step is not None:  # one box for all records
            record, output = (reading.state(cell.step) or ((cell.records[-1], 0),))[-1]
            yield record.values[output], None if flow is None else flow.at_state(cell.step)
            return
        for record in cell.records:
            one = len(record.values) == 1
            yield record.values[0] if one else None, flow.of(record) if one and flow is not None else None

    def _source_figures(self, cell: Cell) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The figures of the leaves of a cell, and of the entries that its step takes out of sequences."""
        sources = self.picture.sources
        rows = sources.rows_of(cell.records) if cell.step else {}
        for k, box in enumerate(cell.template.boxes):
            if box.number:
                x = sources.tensors[box.number]
                g = self._flow.at(x) if self._flow is not None else None
                part = rows.get(box.number, ...)
                values = [figure(x.data[part])] if self._values else []
                grads = ["∇ none" if g is None else "∇ " + figure(g[part])] if self._flow is not None else []
                yield cell.id_of(k), (*values, *grads)

    @cached_property
    def drawn(self) -> Drawn:
        """The picture with coordinates."""
        from .tile import draw

        return draw(self.picture)

    @cached_property
    def ribbon(self) -> Ribbon | None:
        """The gradient of every step, where not every step is drawn with its own."""
        from .overlay import FULL
        from .ribbon import Ribbon

        if self.overlay is None or not (self.hidden or len(self.steps) > FULL or self.level in ("layer", "strip")):
            return None
        reading, overlay = self.picture.reading, self.overlay
        if self.level == "strip":
            return Ribbon(reading, overlay, self.steps, STRIP_WIDTH, tall=90.0, widest=4)
        return Ribbon(reading, overlay, self.steps, max(self.drawn.width, 430.0), tall=34.0, widest=10)

    def writer(self) -> Writer:
        """What writes the picture as SVG."""
        from .svg import Writer

        return Writer(self.drawn, self.theme, self.figures, self.overlay, self.ribbon)

    def svg(self) -> str:
        """The picture as the text of an SVG file; needs no other program."""
        return self.writer().text()

    def dot(self, pinned: bool = True) -> str:
        """The picture as text for Graphviz: ``dot -Tpdf``. One cluster a time step, time to the right.

        pinned  whether the positions are written into it, which Graphviz then keeps. Without them Graphviz makes a
                layout of its own, which takes minutes for more than a hundred steps: a UserWarning says so
        """
        from .dot import write

        return write([("", self)], pinned)

    def __repr__(self) -> str:
        picture = self.picture
        steps = f", {len(picture.steps)} of {len(picture.reading.times)} steps" if picture.rows else ""
        return f"<drawing: {len(self.nodes)} nodes, {len(self.edges)} edges{steps}, level {self.level}>"


@overload
def draw(
    root: Tensor,
    level: str | None = None,
    steps: Any = None,
    grads: bool = False,
    values: bool = False,
    theme: str = "light",
    names: Mapping[str, Any] | Module | None = None,
) -> Drawing: ...
@overload
def draw(
    root: Sequence[Tensor] | Mapping[str, Tensor],
    level: str | None = None,
    steps: Any = None,
    grads: bool = False,
    values: bool = False,
    theme: str = "light",
    names: Mapping[str, Any] | Module | None = None,
) -> Comparison: ...
def draw(
    root: Tensor | Sequence[Tensor] | Mapping[str, Tensor],
    level: str | None = None,
    steps: Any = None,
    grads: bool = False,
    values: bool = False,
    theme: str = "light",
    names: Mapping[str, Any] | Module | None = None,
) -> Drawing | Comparison:
    """A picture of the graph that leads to `root`, unrolled over time.

    root    a Tensor; or several, drawn one below the other: a list, or a mapping from titles to Tensors. They show the
            same steps, and their gradients are on one scale
    level   "op": a node for each op; "cell": a node for each time step of each layer; "layer": a node for each layer,
            its state handed on in a loop; "strip": no graph, but the gradient of the state of every step. None chooses
            what can be read: "op" for few steps, else "cell"
    steps   "all", or a list such as ``[1, 2, "...", 30]``. None shows the first and the last, every cut and every loss,
            the step with the largest gradient, and as many more as can be read in a column of 1100 px
    grads   show the gradient of the root with respect to each result: its norm in the node, and beside each edge a
            stroke for what goes back along it, by its norm on a scale of twelve decades
    values  write the value of each result (its norm) into the node
    theme   "light", "dark", or "auto": as the reader's system prefers
    names   names for tensors, a mapping: ``names=locals()`` works. Or a Module: its parameters get their full names

    Draw before ``backward()``, which frees the graph, or call ``backward(retain_graph=True)``.
    Raises DrawError where the graph is gone, or too large to be read.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> output, h = tg.nn.RNN(3, 4, rng=0)(np.ones((50, 1, 3)))
    >>> picture = tg.draw(output.sum())
    >>> picture.steps, picture.hidden
    ([1, 2, 3, 4, 48, 49, 50], [(5, 47)])
    >>> tg.draw(output.sum(), level="op", steps=[1, "...", 50])
    <drawing: 20 nodes, 21 edges, 2 of 50 steps, level op>
    """
    from .theme import check

    check(theme)
    one = partial(_draw, grads=grads, values=values, theme=theme, names=names)
    if isinstance(root, Tensor):
        return one(root, level, steps)
    if isinstance(root, Mapping | list | tuple) and len(root):
        from .comparison import compare

        return compare(root, one, level, steps)
    raise TypeError(f"draw() needs a Tensor, or a list or mapping of some, not {type(root).__name__}")


def _draw(
    root: Any, level: str | None, steps: Any, title: str = "", *, grads: bool, values: bool, theme: str, names: Any
) -> Drawing:
    """The picture of one graph."""
    from .fit import fitted
    from .flow import Flow
    from .reading import Reading

    if not isinstance(root, Tensor):
        raise TypeError(f"draw() needs Tensors, and {title} is of type {type(root).__name__}")
    try:
        tape = Tape(root)
    except FreedGraphError as error:
        raise DrawError(
            "nothing is left to draw: backward() has freed this graph. Draw before calling backward(), or call "
            "backward(retain_graph=True)"
        ) from error
    grads = grads or level == "strip"
    if grads and not root.requires_grad:
        raise GraphError("draw() of the gradients of a tensor that needs no gradient: there are none to show")
    reading = Reading(tape, names)
    flow = Flow(reading) if grads else None
    picture = fitted(reading, level, steps, bool(values), flow)
    picture.title = title
    if values:
        picture.notes.append("a number is the value of a result, ‖·‖ its norm")
    if grads:
        picture.notes.append("∇ is the gradient of the root with respect to a result, ‖·‖ its norm")
    return Drawing(picture, theme, values, flow)
