"""What `draw` gives: a picture of one graph as data, and the door to its writers."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from .output import Output

if TYPE_CHECKING:
    from .amount import Amount
    from .flow import Flow
    from .marks import Drawn
    from .parts import Edge, Node
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

        self.picture = picture
        self.overlay = Overlay(picture, flow) if flow is not None else None

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

    @property
    def figures(self) -> dict[str, tuple[str, ...]]:
        """For each node the values and gradients that were asked for, as text."""
        return self.picture.figures

    @cached_property
    def drawn(self) -> Drawn:
        """The picture with coordinates."""
        from .tile import draw

        return draw(self.picture)

    @cached_property
    def ribbons(self) -> list[Ribbon]:
        """The gradient of every step, where not every step is drawn with its own; several stand side by side."""
        from .arrange import PAGE_MARGIN
        from .ribbon import Ribbon, side_by_side

        picture, overlay = self.picture, self.overlay
        if overlay is None or (picture.full and not self.hidden and not picture.all_steps):
            return []
        n = len(picture.reading.times)
        if picture.cells and not picture.options.shows("ribbon"):
            return []
        tall, widest = (34.0, 10) if picture.cells else (90.0, max(4, min(20, 600 // n)))  # it may be all there is
        if picture.page is not None:
            page = picture.page - 2 * PAGE_MARGIN
            return side_by_side(picture.reading, overlay, self.steps, page, tall, widest)
        wide = max(self.drawn.width, 430.0) if picture.cells else STRIP_WIDTH
        widest = max(widest, min(24, 480 // n))  # few steps are not to be lost in the middle of a page
        return [Ribbon(picture.reading, overlay, [*overlay.rows()], self.steps, wide, tall, widest)]

    def sheet(self, prefix: str = "") -> Sheet:
        """The picture with coordinates and what is written over it; the names of its nodes begin with `prefix`."""
        from .sheet import Sheet

        return Sheet(self.drawn, self.figures, self.overlay, self.ribbons, prefix)

    def sheets(self) -> list[Sheet]:
        return [self.sheet()]

    def __repr__(self) -> str:
        picture = self.picture
        steps = f", {len(picture.steps)} of {len(picture.reading.times)} steps" if picture.rows else ""
        return f"<drawing: {len(self.nodes)} nodes, {len(self.edges)} edges{steps}, level {self.level}>"
