"""Several graphs in one picture, one below the other: the same steps, and one scale for all gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from .drawing import Drawing
from .levels import LEVELS
from .output import Output
from .parts import Edge, Node
from .sheet import Sheet


class Comparison(Output):
    """The pictures of several graphs together: `drawings` holds them one by one.

    `nodes` and `edges` are those of all; the ids of the first begin with ``p1_``, of the second with ``p2_``.
    """

    def __init__(self, drawings: list[Drawing]) -> None:
        self.drawings = drawings
        overlays = [drawing.overlay for drawing in drawings if drawing.overlay is not None]
        for overlay in overlays:
            overlay.share_scale(overlays)
        pictures = [drawing.picture for drawing in drawings]
        unit = min(picture.unit for picture in pictures)
        for picture in pictures:  # letters of one size
            if picture.page is not None:
                picture.unit, picture.page = unit, picture.page * picture.unit / unit

    @property
    def level(self) -> str:
        return self.drawings[0].level

    @property
    def steps(self) -> list[int]:
        """The time steps that are drawn of any of them."""
        return sorted({t for drawing in self.drawings for t in drawing.steps})

    @property
    def nodes(self) -> list[Node]:
        return [replace(node, id=p + node.id) for p, drawing in self.named() for node in drawing.nodes]

    @property
    def edges(self) -> list[Edge]:
        found = [(p, edge) for p, drawing in self.named() for edge in drawing.edges]
        return [replace(edge, source=p + edge.source, target=p + edge.target) for p, edge in found]

    def named(self) -> list[tuple[str, Drawing]]:
        """Each drawing with what its ids begin with."""
        return [(f"p{k}_", drawing) for k, drawing in enumerate(self.drawings, 1)]

    def sheets(self) -> list[Sheet]:
        return [drawing.sheet(p) for p, drawing in self.named()]

    def __repr__(self) -> str:
        return f"<comparison: {', '.join(map(repr, self.drawings))}>"


def compare(roots: Any, draw: Callable[..., Drawing], level: str | None, steps: Any) -> Comparison:
    """The comparison of several graphs; `draw` draws one of them, given (root, level, steps, title)."""
    titled = roots.items() if isinstance(roots, Mapping) else enumerate(roots, 1)
    pairs = [(str(title), root) for title, root in titled]
    drawings = [draw(root, level, steps, title) for title, root in pairs]
    levels = {drawing.level for drawing in drawings}
    chosen = sorted({t for drawing in drawings for t in drawing.steps})
    if len(levels) > 1 or (steps is None and any(drawing.hidden for drawing in drawings)):
        level = level or ("cell" if len(levels) > 1 else levels.pop())
        again = []
        for (title, root), drawing in zip(pairs, drawings, strict=True):
            known = set(drawing.picture.reading.times)
            shown = [t for t in chosen if t in known]
            chooses = steps is None and shown and not LEVELS[level].all_steps
            again.append(draw(root, level, shown if chooses else steps, title))
        drawings = again
    return Comparison(drawings)
