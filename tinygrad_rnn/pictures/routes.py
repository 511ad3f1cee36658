"""Which way the edges between cells go, and which of them share a lane."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, permutations
from math import fsum
from typing import Any

from .parts import Join
from .picture import Picture

APART = 10.0  # between routes that share a lane

Heights = tuple[list[float], list[float]]
"""Where edges touch a gutter, at its left and at its right."""


@dataclass(slots=True)
class Route:
    """How a join goes from cell to cell: which sides it uses, which gutters, which gap."""

    key: Any  # routes with the same key share their lanes: `Join.lanes`
    leaves: str
    arrives: str
    gutters: list[int]
    gaps: list[int]


class Routes:
    """The ways of all joins of a picture.

    all     each join with its route
    place   the number of each column
    top     the number of the highest row, which the gap above all rows has too
    """

    def __init__(self, picture: Picture) -> None:
        self.place = {column: k for k, column in enumerate(picture.columns)}
        self.top = max(0, len(picture.rows) - 1)
        self.spanning = [False] * len(picture.columns)
        for cell in picture.cells.values():
            if cell.row is None:
                self.spanning[self.place[cell.column]] = True
        self.loss_row = picture.loss_row
        self.taken = {(cell.row, self.place[cell.column]) for cell in picture.cells.values()}
        self.spanned_before = list(accumulate(self.spanning, initial=0))
        self.all = [(join, self.route(join)) for join in picture.joins.values()]

    def route(self, join: Join) -> Route:
        source, target = join.source, join.target
        i, j = self.place[source.column], self.place[target.column]
        out = i if source.back else i + 1  # the gutter on the side where time goes on
        into = j + 1 if target.back else j
        key, low, high = join.lanes, source.row, target.row
        memory = source.layer is None and low is not None and low < self.loss_row
        straight = i == j and join.kind != "gather" and not memory
        if straight and low is not None and high is not None and low < high:
            if high == low + 1:
                return Route(key, "top", "bottom", [], [])
            return Route(key, "top", "bottom", [i], [low, high - 1])
        if (memory or join.kind == "gather") and low is not None and high is not None and low < high:
            through = high > low + 1  # up to a loss above a later step, or from a memory to those who look at it
            return Route(key, "top", "bottom", [j] if through else [], [low, high - 1] if through else [low])
        if low is not None and (join.kind == "gather" or (high is None and out != into)):
            first, last = sorted((i, into - 1))
            if low == self.top or not self._spanned(first, last + 1) - self.spanning[i]:
                return Route(key, "top", "side", [into], [low])
        if out == into or (low == high and self._free(low, out, into)):
            return Route(key, "side", "side", [out], [])
        gap = self.top if low is None or self._spanned(*sorted((out, into))) else low
        return Route(key, "side", "side", [out, into], [gap])

    def _free(self, row: int | None, out: int, into: int) -> bool:
        """Whether no cell of this row stands between two gutters, so that an edge runs straight through."""
        first, last = sorted((out, into))
        return not any((row, k) in self.taken or self.spanning[k] for k in range(first, last))

    def _spanned(self, first: int, last: int) -> int:
        """How many of the columns first .. last - 1 hold a cell that spans all rows."""
        return self.spanned_before[last] - self.spanned_before[first]

    def rails(self) -> list[list[dict[Any, None]]]:
        """For each gap its lanes, and for each lane the routes that share it because they do not overlap."""
        spans: list[dict[Any, tuple[float, float]]] = [{} for _ in range(self.top + 1)]
        for join, route in self.all:
            ends = [2.0 * g for g in route.gutters]
            if route.leaves == "top":
                ends.append(2.0 * self.place[join.source.column] + 1)
            if route.arrives == "bottom":
                ends.append(2.0 * self.place[join.target.column] + 1)
            for gap in route.gaps:
                low, high = spans[gap].get(route.key, (ends[0], ends[0]))
                spans[gap][route.key] = min(low, *ends), max(high, *ends)
        return [_packed(wanted) for wanted in spans]


def _packed(wanted: dict[Any, tuple[float, float]]) -> list[dict[Any, None]]:
    """Spans put on as few lanes as possible: those on one do not overlap."""
    lanes: list[tuple[float, dict[Any, None]]] = []
    for key, (low, high) in sorted(wanted.items(), key=lambda item: item[1]):
        for k, (end, keys) in enumerate(lanes):
            if end < low:
                keys[key] = None
                lanes[k] = (high, keys)
                break
        else:
            lanes.append((high, {key: None}))
    return [keys for _, keys in lanes]


def in_order(gutter: dict[Any, Heights]) -> dict[Any, int]:
    """The lane of each route that bends in a gutter, by where it comes from and where it goes.

    Routes above each other, as those of two layers, share a lane.
    """
    bent = [key for key, (lefts, rights) in gutter.items() if max(lefts + rights) - min(lefts + rights) > 0.5]
    shape = tuple((tuple(gutter[key][0]), tuple(gutter[key][1])) for key in bent)
    spans = [(min(lefts + rights), max(lefts + rights) + APART) for lefts, rights in shape]
    lanes: dict[int, int] = {}
    for k in best_order(shape):
        low, high = spans[k]
        beside = [lane for j, lane in lanes.items() if spans[j][0] < high and low < spans[j][1]]
        lanes[k] = max(beside, default=-1) + 1
    return {bent[k]: lane for k, lane in lanes.items()}


@lru_cache(maxsize=1024)
def best_order(lanes: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]) -> tuple[int, ...]:
    """The order from left to right in which lanes cross least: of all orders of a few, by height for many."""
    n = len(lanes)
    if n > 5:
        return tuple(sorted(range(n), key=lambda k: (fsum(lanes[k][1]) / (len(lanes[k][1]) or 1), k)))
    span = [(min(a + b), max(a + b)) for a, b in lanes]

    def crossed(order: tuple[int, ...]) -> int:
        total = 0
        for place, a in enumerate(order):
            for b in order[place + 1 :]:
                total += sum(span[b][0] < y < span[b][1] for y in lanes[a][1])
                total += sum(span[a][0] < y < span[a][1] for y in lanes[b][0])
        return total

    return min(permutations(range(n)), key=crossed)
