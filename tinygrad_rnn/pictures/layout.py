"""Laying out one cell: boxes in layers, depth upwards, edges only in the gaps between layers.

The usual four steps of a layered drawing (Sugiyama et al. 1981), for a graph of a few dozen boxes:

    layers       a box lies above everything that it is computed from (longest path); data and weights below their use
    dummies      an edge that passes a layer gets a place of its own there, so it never runs through a box
    order        boxes move towards the mean of their neighbours, up and down; the order with fewest crossings is kept
    coordinates  within a layer, as close to the neighbours as the widths allow (isotonic regression)

Recurrent edges enter at the left side of a cell and leave at its right side, edges between layers of the network at the
bottom and the top; so a cell is a tile. Coordinates: x to the right, y *up* from the bottom of the cell.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import fsum
from typing import Any, NamedTuple

GAP = 24.0  # between layers
TIGHT = 15.0  # and where there is little room
SPACE = 14.0  # between boxes of a layer
LANE = 7.0  # between parallel lines

Point = tuple[float, float]


class Request(NamedTuple):
    """What to lay out. Boxes and edges are numbered; an entry or an output is any key, sorted where its place is free.

    edges     (source box, its output, target box)
    left, bottom   entries: key -> box
    right, top     exits: (box, output)
    gap     between layers
    """

    sizes: Sequence[tuple[float, float]]
    edges: Sequence[tuple[int, Any, int]]
    left: dict[Any, int]
    bottom: dict[Any, int]
    right: list[tuple[int, Any]]
    top: list[tuple[int, Any]]
    gap: float = GAP


class CellLayout(NamedTuple):
    """Where everything is: centres of boxes, points of edges, and of the ends of those edges that leave the cell."""

    width: float
    height: float
    centres: list[Point]
    edges: list[list[Point]]
    left: dict[Any, list[Point]]
    bottom: dict[Any, list[Point]]
    right: dict[tuple[int, Any], list[Point]]
    top: dict[tuple[int, Any], list[Point]]


class _Graph:
    """The boxes with dummies added: every edge joins neighbouring layers."""

    def __init__(self, request: Request) -> None:
        self.request = request
        n = len(request.sizes)
        self.widths = [w for w, _ in request.sizes]
        self.rank = ranks(n, request.edges)
        lowest, highest = (-1 if request.bottom else 0), max(self.rank, default=0) + bool(request.top)
        self.paths: list[list[int]] = []  # for each edge, then each bottom entry, then each top exit: its nodes
        self.real = n
        for source, _, target in request.edges:
            self.paths.append([source, *self._dummies(self.rank[source] + 1, self.rank[target]), target])
        for target in request.bottom.values():
            self.paths.append([*self._dummies(lowest, self.rank[target]), target])
        for source, _ in request.top:
            self.paths.append([source, *self._dummies(self.rank[source] + 1, highest + 1)])
        self.layers: list[list[int]] = [[] for _ in range(highest - lowest + 1)]
        for v, rank in enumerate(self.rank):
            self.layers[rank - lowest].append(v)
        self.below: list[list[int]] = [[] for _ in self.rank]
        self.above: list[list[int]] = [[] for _ in self.rank]
        for path in self.paths:
            for a, b in pairwise(path):
                self.above[a].append(b)
                self.below[b].append(a)
        enters, leaves = set(request.left.values()), {box for box, _ in request.right}
        self.side = [-1 if v in enters else 1 if v in leaves else 0 for v in range(len(self.rank))]

    def pull(self, v: int, u: int) -> float:
        """How strongly v is drawn to its neighbour u: long edges are to be straight, and so is the main line.

        Data and weights (boxes without inputs) stand beside what uses them, and push nothing out of its place.
        """
        if u >= self.real and v >= self.real:
            return 8.0
        return 1.0 if self.below[v] and self.below[u] else 0.1

    def _dummies(self, start: int, stop: int) -> list[int]:
        new = list(range(len(self.rank), len(self.rank) + max(0, stop - start)))
        self.rank.extend(range(start, stop))
        self.widths.extend(6.0 for _ in new)
        return new


def ranks(n: int, edges: Sequence[tuple[int, Any, int]]) -> list[int]:
    """The layer of each box: one above the highest of what enters it.

    Boxes without inputs, and what is made of nothing but them, are lifted to right below their first use.
    """
    after: list[list[int]] = [[] for _ in range(n)]
    before: list[list[int]] = [[] for _ in range(n)]
    for source, _, target in edges:
        after[source].append(target)
        before[target].append(source)
    missing = [len(sources) for sources in before]
    ready = [v for v in range(n) if not missing[v]]
    rank, free = [0] * n, [False] * n
    sequence = []
    while ready:
        v = ready.pop()
        sequence.append(v)
        free[v] = all(free[u] and len(set(after[u])) == 1 for u in before[v])
        for target in after[v]:
            rank[target] = max(rank[target], rank[v] + 1)
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    for v in reversed(sequence):
        if free[v] and after[v]:
            rank[v] = min(rank[target] for target in after[v]) - 1
    return rank


def order(graph: _Graph) -> None:
    """Sort each layer so that few edges cross. What enters at the left stays left, what leaves at the right, right."""
    layers = graph.layers
    for layer in layers:
        layer.sort(key=lambda v: graph.side[v])
    best, kept = crossings(graph), [list(layer) for layer in layers]
    for turn in range(16):
        if best == 0:
            break
        upwards = turn % 2 == 0
        neighbours = graph.below if upwards else graph.above
        for layer, fixed in _pairs(layers, upwards):
            place = {v: k for k, v in enumerate(fixed)}
            goal = {v: float(k) for k, v in enumerate(layer)}
            goal |= {v: fsum(place[u] for u in neighbours[v]) / len(neighbours[v]) for v in layer if neighbours[v]}
            layer.sort(key=lambda v: (graph.side[v], goal[v]))
        count = crossings(graph)
        if count < best:
            best, kept = count, [list(layer) for layer in layers]
    graph.layers[:] = kept


def _pairs(layers: list[list[int]], upwards: bool) -> list[tuple[list[int], list[int]]]:
    """Each layer with the one that it is sorted by."""
    pairs = list(pairwise(layers))
    return [(high, low) for low, high in pairs] if upwards else list(reversed(pairs))


def crossings(graph: _Graph) -> int:
    """How many pairs of edges cross."""
    total = 0
    for low, high in pairwise(graph.layers):
        place = {v: k for k, v in enumerate(high)}
        seen: list[int] = []
        for v in low:
            ends = sorted(place[u] for u in graph.above[v])
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def spread(
    wanted: Sequence[float], weights: Sequence[float], widths: Sequence[float], space: float = SPACE
) -> list[float]:
    """Places for things in a row, in this order and without overlap, as close as possible to the wanted ones.

    Neighbours must keep a distance of half of both widths and the space. With those distances taken off, this is
    isotonic regression, which pooling neighbours that are out of order solves exactly.
    """
    offsets, offset = [], 0.0
    for k, width in enumerate(widths):
        offset += width / 2 + (widths[k - 1] / 2 + space if k else 0)
        offsets.append(offset)
    pools: list[list[float]] = []  # weight, weighted sum, count
    for x, weight, away in zip(wanted, weights, offsets, strict=True):
        pools.append([weight, weight * (x - away), 1])
        while len(pools) > 1 and pools[-2][1] / pools[-2][0] > pools[-1][1] / pools[-1][0]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    flat = [total / weight for weight, total, count in pools for _ in range(int(count))]
    return [x + away for x, away in zip(flat, offsets, strict=True)]


def coordinates(graph: _Graph) -> list[float]:
    """The x of every node: each layer in turn is drawn towards its neighbours, and long edges pull hardest."""
    widths = [[graph.widths[v] for v in layer] for layer in graph.layers]
    xs = [0.0] * len(graph.rank)
    for layer, wide in zip(graph.layers, widths, strict=True):
        start = spread([0.0] * len(layer), [1.0] * len(layer), wide)  # side by side around 0
        for v, x in zip(layer, start, strict=True):
            xs[v] = x
    rows = list(zip(graph.layers, widths, strict=True))
    for turn in range(24):
        upwards, both = turn % 2 == 0, turn >= 16
        for layer, wide in rows if upwards else reversed(rows):
            wanted, weights = [], []
            for v in layer:
                near = graph.below[v] + graph.above[v] if both else graph.below[v] if upwards else graph.above[v]
                pull = [graph.pull(v, u) for u in near]
                weight = fsum(pull)
                wanted.append(fsum(p * xs[u] for p, u in zip(pull, near, strict=True)) / weight if near else xs[v])
                weights.append(weight or 0.2)
            for v, x in zip(layer, spread(wanted, weights, wide), strict=True):
                xs[v] = x
    left = min((x - w / 2 for x, w in zip(xs, graph.widths, strict=True)), default=0.0)
    return [x - left for x in xs]


class _Placing:
    """The second half of `lay_out`: heights, ports and points, once the order in each layer is known."""

    def __init__(self, graph: _Graph, xs: list[float]) -> None:
        self.graph, self.xs, self.request = graph, xs, graph.request
        self.sizes = graph.request.sizes
        self.layer_of = {v: k for k, layer in enumerate(graph.layers) for v in layer}
        self.boxes = [[v for v in layer if v < graph.real] for layer in graph.layers]
        n, m = len(self.request.edges), len(self.request.edges) + len(self.request.bottom)
        self.output_of = {p: output for p, (_, output, _) in enumerate(self.request.edges)}
        self.output_of |= {m + k: output for k, (_, output) in enumerate(self.request.top)}
        self.bottom_paths, self.top_paths = range(n, m), range(m, m + len(self.request.top))
        self.share_gaps()
        self.set_heights()
        self.set_ports()

    def share_gaps(self) -> None:
        """Entries and exits at a side go straight where no box is in the way, else along a lane below or above it."""
        self.low_lanes: dict[Any, int] = {}
        self.high_lanes: dict[tuple[int, Any], int] = {}
        self.lanes = [0] * (len(self.boxes) + 1)  # how many lanes there are in the gap below each layer
        for key, box in self.request.left.items():
            k = self.layer_of[box]
            if self.boxes[k][0] != box:
                self.low_lanes[key] = self.lanes[k]
                self.lanes[k] += 1
        for port in self.request.right:
            k = self.layer_of[port[0]]
            if self.boxes[k][-1] != port[0]:
                self.high_lanes[port] = self.lanes[k + 1]
                self.lanes[k + 1] += 1

    def set_heights(self) -> None:
        room = [LANE * (n + 1) if n else 0.0 for n in self.lanes]
        self.tall = [max((self.sizes[v][1] for v in boxes), default=0.0) for boxes in self.boxes]
        self.floor: list[float] = []
        y = 0.0
        for k, height in enumerate(self.tall):
            y += room[k] + (self.request.gap if k else 0)
            self.floor.append(y)
            y += height
        self.height = y + room[-1]
        widths = self.graph.widths
        self.width = max((x + w / 2 for x, w in zip(self.xs, widths, strict=True)), default=0.0)
        self.middle = [low + height / 2 for low, height in zip(self.floor, self.tall, strict=True)]

    def set_ports(self) -> None:
        """Where lines touch a box: spread along its side, in the order of where they go or come from."""
        graph, xs, request = self.graph, self.xs, self.request
        leaving: dict[int, dict[Any, list[float]]] = {}
        for p, output in self.output_of.items():
            leaving.setdefault(graph.paths[p][0], {}).setdefault(output, []).append(xs[graph.paths[p][1]])
        for box, output in self.high_lanes:
            leaving.setdefault(box, {}).setdefault(output, []).append(self.width + 1)
        self.high_at: dict[tuple[int, Any], float] = {}
        for box, outputs in leaving.items():
            ordered = sorted(outputs, key=lambda output: fsum(outputs[output]) / len(outputs[output]))
            places = _evenly(xs[box], self.sizes[box][0], len(ordered))
            self.high_at.update(((box, output), x) for output, x in zip(ordered, places, strict=True))
        self.straighten()
        arriving: dict[int, list[tuple[float, Any]]] = {}
        for key in self.low_lanes:
            arriving.setdefault(request.left[key], []).append((-1.0, key))
        for p, path in enumerate(graph.paths):
            if path[-1] < graph.real and len(path) > 1:
                arriving.setdefault(path[-1], []).append((xs[path[-2]], p))
        self.low_at: dict[tuple[int, Any], float] = {}
        for box, arrivals in arriving.items():
            arrivals.sort(key=lambda arrival: arrival[0])
            places = self.centred(box, arrivals, _evenly(xs[box], self.sizes[box][0], len(arrivals)))
            self.low_at.update(((box, key), x) for (_, key), x in zip(arrivals, places, strict=True))
        for p in self.bottom_paths:
            *way, box = graph.paths[p]
            if way and box < graph.real:
                self.upright(reversed(way), self.low_at[box, p])

    def centred(self, box: int, arrivals: list[tuple[float, Any]], places: list[float]) -> list[float]:
        """Places along the lower side, so that the one edge that comes from the cell below arrives in the middle."""
        below = [k for k, (_, key) in enumerate(arrivals) if key in self.bottom_paths]
        if len(below) != 1:
            return places
        shift = self.xs[box] - places[below[0]]
        reach = self.sizes[box][0] / 2 - 6
        fits = all(abs(x + shift - self.xs[box]) <= reach for x in places)
        return [x + shift for x in places] if fits else places

    def straighten(self) -> None:
        """Let long edges go up straight from where they leave a box, as far as there is room."""
        for p, output in self.output_of.items():
            path = self.graph.paths[p]
            self.upright(path[1:], self.high_at[path[0], output])

    def upright(self, way: Iterable[int], x: float) -> None:
        """Put the dummies of an edge at x, as far as there is room."""
        graph, xs, widths = self.graph, self.xs, self.graph.widths
        for v in way:
            if v < graph.real:
                break
            layer = graph.layers[self.layer_of[v]]
            k = layer.index(v)
            free = all(
                abs(x - xs[u]) >= (widths[u] + widths[v]) / 2 + 6 and (x > xs[u]) == (place < k)
                for place, u in enumerate(layer)
                if place in (k - 1, k + 1)
            )
            if free:
                xs[v] = x
            else:
                x = xs[v]

    def points(self, p: int) -> list[Point]:
        """The points of path p."""
        graph, xs, line = self.graph, self.xs, []
        path = graph.paths[p]
        for v in path:
            k = self.layer_of[v]
            low, high = self.floor[k], self.floor[k] + self.tall[k]
            if v >= graph.real:
                line += [(xs[v], low), (xs[v], high)]
            elif v == path[0] and p in self.output_of:
                x = self.high_at[v, self.output_of[p]]
                line += [(x, self.middle[k] + self.sizes[v][1] / 2), (x, high)]
            else:
                x = self.low_at[v, p]
                line += [(x, low), (x, self.middle[k] - self.sizes[v][1] / 2)]
        return line

    def side_lines(self, ports: dict[Any, int], lanes: dict[Any, int], left: bool) -> dict[Any, list[Point]]:
        """The ends of edges that enter at the left side, or of those that leave at the right side."""
        found: dict[Any, list[Point]] = {}
        edge = 0.0 if left else self.width
        for box in dict.fromkeys(ports.values()):
            k, (w, h) = self.layer_of[box], self.sizes[box]
            straight = sorted(key for key in ports if ports[key] == box and key not in lanes)
            for key, dy in zip(straight, _evenly(0.0, h, len(straight)), strict=True):
                y = self.middle[k] - dy
                found[key] = [(edge, y), (self.xs[box] + (-w if left else w) / 2, y)]
        for key, lane in lanes.items():
            k, h = self.layer_of[ports[key]], self.sizes[ports[key]][1]
            x = self.low_at[ports[key], key] if left else self.high_at[key]
            y = self.floor[k] - LANE * (lane + 1.5) if left else self.floor[k] + self.tall[k] + LANE * (lane + 1.5)
            found[key] = [(edge, y), (x, y), (x, self.middle[k] + (-h if left else h) / 2)]
        return found if left else {key: line[::-1] for key, line in found.items()}

    def layout(self) -> CellLayout:
        graph, request = self.graph, self.request
        bottom, top = {}, {}
        for key, p in zip(request.bottom, self.bottom_paths, strict=True):
            bottom[key] = tidy([(self.xs[graph.paths[p][0]], 0.0), *self.points(p)])
        for port, p in zip(request.top, self.top_paths, strict=True):
            top[port] = tidy([*self.points(p), (self.xs[graph.paths[p][-1]], self.height)])
        return CellLayout(
            self.width,
            self.height,
            [(self.xs[v], self.middle[self.layer_of[v]]) for v in range(graph.real)],
            [tidy(self.points(p)) for p in range(len(request.edges))],
            self.side_lines(request.left, self.low_lanes, left=True),
            bottom,
            self.side_lines({port: port[0] for port in request.right}, self.high_lanes, left=False),
            top,
        )


def lay_out(request: Request) -> CellLayout:
    """The layout of one cell."""
    graph = _Graph(request)
    order(graph)
    return _Placing(graph, coordinates(graph)).layout()


def _evenly(middle: float, size: float, n: int) -> list[float]:
    """n places along a side, around its middle."""
    step = min(16.0, (size - 12) / n) if n else 0.0
    return [middle + (k - (n - 1) / 2) * step for k in range(n)]


def tidy(points: list[Point]) -> list[Point]:
    """Without repeated points and without points in the middle of a straight vertical or horizontal line."""
    out: list[Point] = []
    for point in points:
        if out and abs(point[0] - out[-1][0]) < 0.01 and abs(point[1] - out[-1][1]) < 0.01:
            continue
        if len(out) > 1:
            (ax, ay), (bx, by) = out[-2], out[-1]
            if abs(ax - bx) < 0.01 > abs(bx - point[0]) or abs(ay - by) < 0.01 > abs(by - point[1]):
                out.pop()
        out.append(point)
    return out
