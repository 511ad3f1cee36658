"""The gradients drawn over a picture: a stroke beside each edge, going back along it, and what each step's state gets.

Everything is read when the picture is made: a backward pass frees the records that it is read from.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import fsum
from typing import Any

from .amount import Amount, Scale, amount
from .flow import Flow, total
from .layout import Point
from .parts import Inner, Join
from .picture import Picture

ASIDE = 3.4  # px between an edge and the middle of its gradient


class Overlay:
    """How much gradient goes where in one picture.

    states   for each layer, each of its states, and every time step, drawn or not, the amount that reaches it
    weights  the amount that each shared weight of the legend gets, all its uses together
    largest  (layer, step, amount) of the state that gets most
    scale    the scale of strokes, of colours, and of the heights in the ribbon
    kinds    which kinds of amounts occur, "below" for numbers below the scale
    """

    def __init__(self, picture: Picture, flow: Flow) -> None:
        self.states = flow.states
        self.largest = flow.largest
        weights = picture.sources.weights.items()
        self.weights = {key: amount(*map(flow.at, alike.values())) for key, alike in weights}
        edges = picture.edges() if picture.tells_edges else ()
        self._along = {edge: flow.along(edge.uses) for edge in edges}
        amounts = [a for _, _, row in self.rows() for a in row.values()]
        amounts += [a for one in self._together(picture) if (a := self.along(*one)) is not None]
        fixed = picture.options.scale
        self.scale = Scale.of(amounts) if fixed is None else Scale.between(fixed)
        self._amounts = amounts
        self.kinds = self._kinds()

    def rows(self) -> Iterator[tuple[str, str, dict[int, Amount]]]:
        """Every layer and state with what reaches it at each step, the highest layer first."""
        for layer, rows in reversed(self.states.items()):
            for name, row in rows.items():
                yield layer, name, row

    @property
    def largest_at(self) -> int | None:
        """The step whose state gets the largest gradient."""
        return None if self.largest is None else self.largest[1]

    def along(self, *edges: Inner | Join) -> Amount | None:
        """What goes back along edges together, where they share their way; None where nothing needs any.

        Of one tensor it adds up, of several it lies side by side. A picture of very many edges says it of none.
        """
        found: dict[Any, list[Any]] = {}
        for edge in edges:
            for x, part in self._along.get(edge, {}).items():
                found.setdefault(x, []).append(part)
        return amount(*map(total, found.values())) if found else None

    def _together(self, picture: Picture) -> Iterator[list[Inner | Join]]:
        """Edges beside which a gradient is drawn, one by one, and all those that share a way."""
        shared: dict[Any, list[Inner | Join]] = {}
        for edge in self._along:
            if picture.adds_losses(edge):
                continue
            yield [edge]
            if isinstance(edge, Join):
                shared.setdefault(edge.lanes, []).append(edge)
        yield from (alike for alike in shared.values() if len(alike) > 1)

    def _kinds(self) -> set[str]:
        below = any(a.kind == "number" and not self.scale.level(a) for a in self._amounts)
        return {a.kind for a in self._amounts} | ({"below"} if below else set())

    def share_scale(self, overlays: list[Overlay]) -> None:
        """Put this picture on the scale that holds the gradients of all of them."""
        self.scale = Scale.around([o.scale for o in overlays])
        self.kinds = set().union(*(o._kinds() for o in overlays))


def beside(points: list[Point], away: float = ASIDE, level: bool = False) -> list[Point]:
    """The line that runs parallel to an edge, at its left, in the opposite direction.

    Edges run level or upright; slanted pieces are drawn as curves that begin and end upright, so they count as such
    (or, with `level`, as level).
    """
    if level:
        return [(x, y) for y, x in beside([(y, x) for x, y in points], -away)]
    ways = [_way(a, b) for a, b in pairwise(points)]
    moved = []
    for k, (x, y) in enumerate(points):
        before, after = ways[max(0, k - 1)], ways[min(k, len(ways) - 1)]
        turns = {(-dy * away, dx * away) for dx, dy in (before, after)}
        moved.append((x + fsum(dx for dx, _ in turns), y + fsum(dy for _, dy in turns)))
    return moved[::-1]


def _way(a: Point, b: Point) -> tuple[int, int]:
    (ax, ay), (bx, by) = a, b
    if abs(ay - by) < 0.05:
        return (1 if bx > ax else -1), 0
    return 0, (1 if by > ay else -1)
