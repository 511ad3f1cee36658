"""Laying out one cell: boxes in layers, depth upwards, edges only in the gaps between layers.

The usual four steps of a layered drawing (Sugiyama et al. 1981), for a graph of a few dozen boxes:

    layers        a box lies above everything that it is computed from (longest path); data and weights right below their use
    dummies       an edge that passes a layer gets a place of its own there, so it never runs through a box
    order         boxes are moved towards the mean of their neighbours, up and down, and the order with fewest crossings kept
    coordinates   within a layer, as close to the neighbours as the widths allow (isotonic regression)

Recurrent edges enter at the left side of a cell and leave at its right side, edges between layers of the network at the
bottom and the top; so a cell is a tile. Coordinates: x to the right, y *up* from the bottom of the cell.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Any, NamedTuple

GAP = 24.0  # between layers
SPACE = 14.0  # between boxes of a layer
LANE = 7.0  # between parallel lines

Point = tuple[float, float]


class Request(NamedTuple):
    """What to lay out. Boxes and edges are numbered; a port is any key.

    edges     (source box, its output, target box)
    left, bottom   entries: key -> box
    right, top     exits: (box, output)
    """

    sizes: Sequence[tuple[float, float]]
    edges: Sequence[tuple[int, int, int]]
    left: dict[Any, int]
    bottom: dict[Any, int]
    right: Sequence[tuple[int, int]]
    top: Sequence[tuple[int, int]]


class CellLayout(NamedTuple):
    """Where everything is: centres of boxes, and the points of each edge and of the ends of those that leave the cell."""

    width: float
    height: float
    centres: list[Point]
    edges: list[list[Point]]
    left: dict[Any, list[Point]]
    bottom: dict[Any, list[Point]]
    right: dict[tuple[int, int], list[Point]]
    top: dict[tuple[int, int], list[Point]]


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
            for a, b in zip(path, path[1:], strict=False):
                self.above[a].append(b)
                self.below[b].append(a)
        enters, leaves = set(request.left.values()), {box for box, _ in request.right}
        self.side = [-1 if v in enters else 1 if v in leaves else 0 for v in range(len(self.rank))]

    def _dummies(self, start: int, stop: int) -> list[int]:
        new = list(range(len(self.rank), len(self.rank) + max(0, stop - start)))
        self.rank.extend(range(start, stop))
        self.widths.extend(6.0 for _ in new)
        return new


def ranks(n: int, edges: Sequence[tuple[int, int, int]]) -> list[int]:
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
    """Sort each layer so that few edges cross."""
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
            now = {v: k for k, v in enumerate(layer)}

            def mean(v: int, place: dict[int, int] = place, now: dict[int, int] = now) -> tuple[int, float]:
                near = neighbours[v]  # noqa: B023
                return graph.side[v], sum(place[u] for u in near) / len(near) if near else now[v]

            layer.sort(key=mean)
        count = crossings(graph)
        if count < best:
            best, kept = count, [list(layer) for layer in layers]
    graph.layers[:] = kept


def _pairs(layers: list[list[int]], upwards: bool) -> list[tuple[list[int], list[int]]]:
    """Each layer with the one that it is sorted by."""
    pairs = list(zip(layers[1:], layers, strict=False))
    return pairs if upwards else [(low, high) for high, low in reversed(pairs)]


def crossings(graph: _Graph) -> int:
    """How many pairs of edges cross."""
    total = 0
    for low, high in zip(graph.layers, graph.layers[1:], strict=False):
        place = {v: k for k, v in enumerate(high)}
        seen: list[int] = []
        for v in low:
            ends = sorted(place[u] for u in graph.above[v])
            total += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def spread(wanted: Sequence[float], weights: Sequence[float], widths: Sequence[float], space: float = SPACE) -> list[float]:
    """Places for things in a row, in this order and without overlap, as close as possible to the wanted ones.

    Without overlap means x_k+1 - x_k >= half of both widths and the space; with those distances taken off it is isotonic
    regression, which pooling neighbours that are out of order solves exactly.
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
    """The x of every node: each layer in turn is drawn towards its neighbours. Long edges pull hardest, to be straight."""
    xs = [0.0] * len(graph.rank)
    for layer in graph.layers:
        for v, x in zip(layer, spread([0.0] * len(layer), [1.0] * len(layer), [graph.widths[v] for v in layer]), strict=True):
            xs[v] = x
    middle = max((max((xs[v] for v in layer), default=0) for layer in graph.layers), default=0) / 2
    for layer in graph.layers:
        shift = middle - (xs[layer[0]] + xs[layer[-1]]) / 2 if layer else 0
        for v in layer:
            xs[v] += shift
    for turn in range(24):
        both = turn >= 16
        for layer in graph.layers if turn % 2 == 0 else reversed(graph.layers):
            wanted, weights = [], []
            for v in layer:
                near = graph.below[v] + graph.above[v] if both else graph.below[v] if turn % 2 == 0 else graph.above[v]
                pull = [(8.0 if u >= graph.real and v >= graph.real else 1.0) for u in near]
                weight = sum(pull)
                wanted.append(sum(p * xs[u] for p, u in zip(pull, near, strict=True)) / weight if near else xs[v])
                weights.append(weight or 0.2)
            for v, x in zip(layer, spread(wanted, weights, [graph.widths[v] for v in layer]), strict=True):
                xs[v] = x
    left = min((x - w / 2 for x, w in zip(xs, graph.widths, strict=True)), default=0.0)
    return [x - left for x in xs]


def straighten(graph: _Graph, xs: list[float], starts: dict[int, float]) -> None:
    """Let long edges go up straight from where they leave a box, as far as there is room."""
    order = {v: (layer, k) for layer in graph.layers for k, v in enumerate(layer)}
    for p, path in enumerate(graph.paths):
        x = starts.get(p)
        for v in path[1:] if x is not None else ():
            if v < graph.real:
                break
            layer, k = order[v]
            low = xs[layer[k - 1]] + (graph.widths[layer[k - 1]] + graph.widths[v]) / 2 + 6 if k else float("-inf")
            above = layer[k + 1] if k + 1 < len(layer) else None
            high = float("inf") if above is None else xs[above] - (graph.widths[above] + graph.widths[v]) / 2 - 6
            if low <= x <= high:
                xs[v] = x
            else:
                x = xs[v]


def lay_out(request: Request) -> CellLayout:
    """The layout of one cell."""
    graph = _Graph(request)
    order(graph)
    xs = coordinates(graph)
    sizes = request.sizes
    place = {v: (rank, k) for rank, layer in enumerate(graph.layers) for k, v in enumerate(layer)}
    boxes_of = [[v for v in layer if v < graph.real] for layer in graph.layers]

    # entries and exits at a side: straight where no box is in the way, else through the gap below or above
    straight_in = {key: box for key, box in request.left.items() if boxes_of[place[box][0]][0] == box}
    straight_out = [port for port in request.right if boxes_of[place[port[0]][0]][-1] == port[0]]
    low_lanes: dict[Any, int] = {}
    high_lanes: dict[Any, int] = {}
    lanes_in_gap = [0] * (len(graph.layers) + 1)  # gap k lies below layer k
    for key, box in request.left.items():
        if key not in straight_in:
            low_lanes[key] = lanes_in_gap[place[box][0]]
            lanes_in_gap[place[box][0]] += 1
    for port in request.right:
        if port not in straight_out:
            high_lanes[port] = lanes_in_gap[place[port[0]][0] + 1]
            lanes_in_gap[place[port[0]][0] + 1] += 1

    # heights
    tall = [max((sizes[v][1] for v in boxes), default=0.0) for boxes in boxes_of]
    floor, y = [], 0.0
    for k, height in enumerate(tall):
        if k or lanes_in_gap[0]:
            y += (GAP if k else 0) + LANE * (lanes_in_gap[k] + (1 if lanes_in_gap[k] else 0))
        floor.append(y)
        y += height
    top_gap = LANE * (lanes_in_gap[-1] + 1) if lanes_in_gap[-1] else 0.0
    total, width = y + top_gap, max((x + w / 2 for x, w in zip(xs, graph.widths, strict=True)), default=0.0)
    middle = [floor[k] + tall[k] / 2 for k in range(len(tall))]
    centres = [(xs[v], middle[place[v][0]]) for v in range(graph.real)]

    # ports: where lines touch a box, in the order in which they arrive
    low_ports: dict[int, list[tuple[float, Any]]] = {}
    high_ports: dict[int, dict[int, list[float]]] = {}
    output_of = {p: output for p, (_, output, _) in enumerate(request.edges)}
    output_of |= {len(request.edges) + len(request.bottom) + k: output for k, (_, output) in enumerate(request.top)}
    for p, output in output_of.items():
        path = graph.paths[p]
        high_ports.setdefault(path[0], {}).setdefault(output, []).append(xs[path[1]])
    for key in low_lanes:
        low_ports.setdefault(request.left[key], []).append((-1.0, key))
    for box, output in high_lanes:
        high_ports.setdefault(box, {}).setdefault(output, []).append(width + 1)
    high_at: dict[tuple[int, int], float] = {}
    for box, outputs in high_ports.items():
        by_x = sorted(outputs, key=lambda output: sum(outputs[output]) / len(outputs[output]))
        for x, output in zip(_evenly(xs[box], sizes[box][0], len(by_x)), by_x, strict=True):
            high_at[box, output] = x
    straighten(graph, xs, {p: high_at[path[0], output_of[p]] for p, path in enumerate(graph.paths) if p in output_of})
    for p, path in enumerate(graph.paths):
        if path[-1] < graph.real and len(path) > 1:
            low_ports.setdefault(path[-1], []).append((xs[path[-2]], p))
    low_at: dict[tuple[int, Any], float] = {}
    for box, arrivals in low_ports.items():
        for x, (_, key) in zip(_evenly(xs[box], sizes[box][0], len(arrivals)), sorted(arrivals, key=lambda a: a[0]), strict=True):
            low_at[box, key] = x
    def points(p: int, output: int | None) -> list[Point]:
        path, line = graph.paths[p], []
        for v in path:
            k = place[v][0]
            if v >= graph.real:
                line += [(xs[v], floor[k]), (xs[v], floor[k] + tall[k])]
            elif v == path[0] and output is not None:
                x = high_at[v, output]
                line += [(x, middle[k] + sizes[v][1] / 2), (x, floor[k] + tall[k])]
            else:
                x = low_at[v, p]
                line += [(x, floor[k]), (x, middle[k] - sizes[v][1] / 2)]
        return tidy(line)

    edges = [points(p, output) for p, (_, output, _) in enumerate(request.edges)]
    n = len(edges)
    bottom = {key: [(xs[graph.paths[n + k][0]], 0.0), *points(n + k, None)] for k, key in enumerate(request.bottom)}
    n += len(bottom)
    top = {port: [*points(n + k, port[1]), (xs[graph.paths[n + k][-1]], total)] for k, port in enumerate(request.top)}
    left: dict[Any, list[Point]] = {}
    for box in dict.fromkeys(request.left.values()):
        keys = [key for key in request.left if request.left[key] == box and key in straight_in]
        for key, dy in zip(sorted(keys), _evenly(0.0, sizes[box][1], len(keys)), strict=True):
            left[key] = [(0.0, centres[box][1] - dy), (centres[box][0] - sizes[box][0] / 2, centres[box][1] - dy)]
    for key, lane in low_lanes.items():
        k, x = place[request.left[key]][0], low_at[request.left[key], key]
        y = floor[k] - LANE * (lane + 1.5)
        left[key] = [(0.0, y), (x, y), (x, middle[k] - sizes[request.left[key]][1] / 2)]
    right: dict[tuple[int, int], list[Point]] = {}
    for box in dict.fromkeys(box for box, _ in straight_out):
        ports = sorted(port for port in straight_out if port[0] == box)
        for port, dy in zip(ports, _evenly(0.0, sizes[box][1], len(ports)), strict=True):
            right[port] = [(centres[box][0] + sizes[box][0] / 2, centres[box][1] - dy), (width, centres[box][1] - dy)]
    for port, lane in high_lanes.items():
        k, x = place[port[0]][0], high_at[port]
        y = floor[k] + tall[k] + LANE * (lane + 1.5)
        right[port] = [(x, middle[k] + sizes[port[0]][1] / 2), (x, y), (width, y)]
    return CellLayout(
        width, total, centres, edges, left, {k: tidy(v) for k, v in bottom.items()}, right, {k: tidy(v) for k, v in top.items()}
    )


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
