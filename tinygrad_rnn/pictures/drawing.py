"""What `draw` gives: a picture of one graph as data, and the door to its writers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..unrolled.listing import figure, shorten
from .output import Output

if TYPE_CHECKING:
    from ..engine.modes import Step
    from .amount import Amount
    from .flow import Flow
    from .marks import Drawn
    from .parts import Cell, Edge, Node
    from .picture import Picture
    from .ribbon import Ribbon
    from .sheet import Sheet

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

    def __init__(self, picture: Picture, flow: Flow | None = None) -> None:
        from .overlay import Overlay

        self.picture, self._flow = picture, flow
        self.overlay = Overlay(picture, flow) if flow is not None else None
        _ = self.figures  # now: a backward pass will free the records they are read from

    @property
    def level(self) -> str:
        """What a node is: an "op", or a "cell", which is one time step of a layer."""
        return self.picture.level

    @property
    def _values(self) -> bool:
        return self.picture.options.values

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
        """For each layer and every time step, drawn or not, the gradient of its state, of several the first (h).

        Empty without ``grads=True``.
        """
        return {layer: next(iter(rows.values())) for layer, rows in self.state_gradients.items()}

    @property
    def state_gradients(self) -> dict[str, dict[str, dict[int, Amount]]]:
        """The same for each state of a layer, by name: ``state_gradients["lstm"]["c"][3]``."""
        return self.overlay.states if self.overlay is not None else {}

    @cached_property
    def nodes(self) -> list[Node]:
        """Every node that is drawn."""
        return list(self.picture.nodes())

    @cached_property
    def edges(self) -> list[Edge]:
        """Every edge that is drawn, as ids of nodes."""
        from .parts import Edge

        along = (lambda edge: None) if self.overlay is None else self.overlay.along
        return [Edge(*edge.ends, edge.kind, edge.name, along(edge)) for edge in self.picture.edges()]

    @cached_property
    def figures(self) -> dict[str, tuple[str, ...]]:
        """For each node the values and gradients that were asked for, as text."""
        if not (self._flow or self._values):
            return {}
        found: dict[str, tuple[str, ...]] = {}
        for cell in self.picture.cells.values():
            if cell.template.folded and cell.step is not None:  # one box for all records
                found[cell.id_of(0)] = tuple(self._state_figures(cell.step))
            else:
                found.update(self._result_figures(cell))
            found.update(self._source_figures(cell))
            if cell.column.hidden is not None and cell.row is not None and self.overlay is not None:
                found[cell.id_of(0)] = self.overlay.range_of(cell)
        return found

    def _state_figures(self, step: Step) -> Iterator[str]:
        """Value and gradient of each state after a step; of several with its name."""
        reading = self.picture.reading
        names = reading.state_names(step.layer)
        for name in names:
            called = f"{shorten(name, 8)} " if len(names) > 1 else ""
            places = reading.state(step, name)
            if self._values:
                yield called + figure(places[-1][0].values[places[-1][1]]) if places else ""
            if self._flow is not None:
                yield _gradient(self._flow.at_state(step, name), called)

    def _result_figures(self, cell: Cell) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Value and gradient for the first boxes of a cell; nothing where a box has several results."""
        for k, record in enumerate(cell.records):
            one = len(record.values) == 1
            values = [figure(record.values[0]) if one else ""] if self._values else []
            grads = [_gradient(self._flow.of(record)) if one else ""] if self._flow is not None else []
            yield cell.id_of(k), (*values, *grads)

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
                grads = [_gradient(None if g is None else g[part])] if self._flow is not None else []
                yield cell.id_of(k), (*values, *grads)

    @cached_property
    def drawn(self) -> Drawn:
        """The picture with coordinates."""
        from .tile import draw

        return draw(self.picture)

    @cached_property
    def ribbon(self) -> Ribbon | None:
        """The gradient of every step, where not every step is drawn with its own."""
        from .ribbon import Ribbon

        picture, overlay = self.picture, self.overlay
        if overlay is None or (picture.full and not self.hidden and not picture.all_steps):
            return None
        if not picture.cells:  # it is all there is
            return Ribbon(picture.reading, overlay, self.steps, STRIP_WIDTH, tall=90.0, widest=4)
        return Ribbon(picture.reading, overlay, self.steps, max(self.drawn.width, 430.0), tall=34.0, widest=10)

    def sheet(self, prefix: str = "") -> Sheet:
        """The picture with coordinates and what is written over it; the names of its nodes begin with `prefix`."""
        from .sheet import Sheet

        return Sheet(self.drawn, self.figures, self.overlay, self.ribbon, prefix)

    def sheets(self) -> list[Sheet]:
        return [self.sheet()]

    def __repr__(self) -> str:
        picture = self.picture
        steps = f", {len(picture.steps)} of {len(picture.reading.times)} steps" if picture.rows else ""
        return f"<drawing: {len(self.nodes)} nodes, {len(self.edges)} edges{steps}, level {self.level}>"


def _gradient(g: Any, called: str = "") -> str:
    return f"∇{called or ' '}{'none' if g is None else figure(g)}"
