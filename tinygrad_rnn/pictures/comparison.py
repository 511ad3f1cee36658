"""Several graphs in one picture, one below the other: the same steps, and one scale for all gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..errors import DrawError, GraphError
from .drawing import Drawing
from .fit import FEWEST, WIDEST, Place
from .fold import choose
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
                ratio, picture.unit = picture.unit / unit, unit
                picture.page, picture.tallest = picture.page * ratio, picture.tallest * ratio

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
    """The comparison of several graphs; `draw` draws one of them, given (root, level, steps, place)."""
    called = list(roots) if isinstance(roots, Mapping) else [None] * len(roots)
    graphs = list(zip(called, roots.values() if isinstance(roots, Mapping) else roots, strict=True))
    if any(isinstance(title, str) and not title.strip() for title in called):
        raise DrawError("the title of each graph in a mapping is what tells them apart, and may not be blank")

    def one(k: int, level: str | None, steps: Any, words: int = 0) -> Drawing:
        title, root = graphs[k]
        try:
            return draw(root, level, steps, Place("" if title is None else str(title), k + 1, len(graphs), words))
        except (DrawError, GraphError, TypeError) as error:
            which = f"graph {k + 1} of {len(graphs)}" if title is None else f"the graph {title!r}"
            raise type(error)(f"{which}: {error}") from error

    drawings = [one(k, level, steps) for k in range(len(graphs))]
    levels = {drawing.level for drawing in drawings}
    if len(levels) > 1:
        level = level or "cell"
        drawings = [one(k, level, steps) for k in range(len(graphs))]
    elif steps is not None or not any(drawing.hidden for drawing in drawings):
        return Comparison(alike(drawings, one, steps))
    level = drawings[0].level
    if steps is None and not LEVELS[level].all_steps:
        chosen = together(drawings)
        while chosen:
            shown = [sorted(chosen.intersection(drawing.picture.reading.times)) for drawing in drawings]
            drawings = [one(k, level, shown[k] or None) for k in range(len(graphs))]
            chosen = fewer(drawings, chosen)
    return Comparison(alike(drawings, one, steps))


def alike(drawings: list[Drawing], draw: Callable[..., Drawing], steps: Any) -> list[Drawing]:
    """All with as few words as the one with fewest has room for."""
    words = max(drawing.picture.words for drawing in drawings)
    if all(drawing.picture.words == words for drawing in drawings):
        return drawings
    return [draw(k, d.level, (d.steps or None) if steps is None else steps, words) for k, d in enumerate(drawings)]


def together(drawings: list[Drawing]) -> set[int]:
    """The steps to show of each: on a page those for which all have room, else what any shows.

    There, with every step that would be hidden alone, which saves nothing.
    """
    if drawings[0].picture.page is not None:
        folded = [drawing.steps for drawing in drawings if drawing.hidden]
        fewest = min(folded, key=len, default=[])
        return set(fewest)
    chosen = {t for drawing in drawings for t in drawing.steps}
    times = {t for drawing in drawings for t in drawing.picture.reading.times}
    return chosen | {t for t in times if {t - 1, t + 1} <= chosen}


def fewer(drawings: list[Drawing], chosen: set[int]) -> set[int]:
    """The steps to show where these are too wide to be read: without one beside a fold; none if nothing can be done."""
    if any(d.picture.page is not None for d in drawings) or max(d.drawn.width for d in drawings) <= WIDEST:
        return set()
    needed = {t for d in drawings for t in choose(d.picture.reading, None, FEWEST, d.picture.largest)[0]}
    beside = [(b - a, t) for d in drawings for a, b in d.hidden for t in (b + 1, a - 1) if t in chosen - needed]
    return chosen - {max(beside)[1]} if beside else set()
