"""The ways of what goes back along edges: a stretch that several share is drawn once, with all that comes over it.

Edges that share lanes start at one place or end at one, so their ways are a tree. What goes back along it is cut where
branches meet: over a trunk runs what goes back along all of its branches, which beyond the last of them is one edge's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .layout import Point
from .marks import Stretch
from .overlay import ASIDE
from .parts import Join

LEAD = 12.0  # px that a branch runs along its trunk, so that the two strokes meet however wide they are

Way = tuple[Join, list[Point]]


def stretches(ways: Sequence[Way]) -> Iterator[Stretch]:
    """The stretches of ways, in the direction of the edges."""
    shared: dict[object, list[Way]] = {}
    for join, points in ways:
        meet = points[-1 if join.kind == "gather" else 0]  # what is used above and in the next step leaves at two sides
        shared.setdefault((join.lanes, meet), []).append((join, points))
    for alike in shared.values():
        if len(alike) == 1:
            ((join, points),) = alike
            yield Stretch((join,), (points,), True)
        elif alike[0][0].kind == "gather":  # they meet at their end
            for stretch in _tree([(join, points[::-1]) for join, points in alike], []):
                yield stretch._replace(pieces=(stretch.pieces[0][::-1],), starts=len(stretch.edges) == 1)
        else:
            yield from _tree(alike, [])


def _tree(ways: list[Way], lead: list[Point]) -> Iterator[Stretch]:
    """Those of ways that start at one place, the branches first.  lead: where they come from, if from a trunk."""
    first = ways[0][1]
    if len(ways) == 1:
        yield Stretch((ways[0][0],), ([*lead, *first],), not lead)
        return
    common = first
    for _, way in ways[1:]:
        common = _common(common, way)
    branches: dict[tuple[int, int], list[Way]] = {}
    for join, way in ways:
        rest = _behind(way, common)
        if len(rest) > 1:
            branches.setdefault(_direction(*rest[:2]), []).append((join, rest))
    if len(common) == 1 and len(branches) == 1:  # slanted, and not alike
        for join, way in ways:
            yield Stretch((join,), ([*lead, *way],), not lead)
        return
    before = common if len(common) > 1 else lead + common
    back = [_towards(before[-1], before[-2])] if len(before) > 1 else []
    for alike in branches.values():
        yield from _tree(alike, back)
    if len(common) > 1:
        yield Stretch(tuple(join for join, _ in ways), ([*lead, *common],), not lead)


def _common(a: list[Point], b: list[Point]) -> list[Point]:
    """What two ways have in common from their start on."""
    for k in range(1, min(len(a), len(b))):
        if _near(a[k], b[k]):
            continue
        if _direction(a[k - 1], a[k]) != _direction(b[k - 1], b[k]) or not (_level(a, k) or _upright(a, k)):
            return a[:k]
        shorter = min((a, b), key=lambda way: abs(way[k][0] - way[k - 1][0]) + abs(way[k][1] - way[k - 1][1]))
        return shorter[: k + 1]
    return min((a, b), key=len)


def _behind(way: list[Point], common: list[Point]) -> list[Point]:
    """A way from where what it has in common with others ends."""
    k = len(common) - 1
    return [common[-1], *(way[k + 1 :] if _near(way[k], common[-1]) else way[k:])]


def _direction(a: Point, b: Point) -> tuple[int, int]:
    dx, dy = b[0] - a[0], b[1] - a[1]
    return (dx > 0.01) - (dx < -0.01), (dy > 0.01) - (dy < -0.01)


def _near(a: Point, b: Point) -> bool:
    return abs(a[0] - b[0]) < 0.01 and abs(a[1] - b[1]) < 0.01


def _level(way: list[Point], k: int) -> bool:
    return abs(way[k][1] - way[k - 1][1]) < 0.01


def _upright(way: list[Point], k: int) -> bool:
    return abs(way[k][0] - way[k - 1][0]) < 0.01


def _towards(start: Point, end: Point) -> Point:
    """The point LEAD px from the start towards the end, if the stroke there has not turned the corner already."""
    away = abs(end[0] - start[0]) + abs(end[1] - start[1])
    part = min(LEAD, max(away - ASIDE, 0.1)) / away
    return start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1])
