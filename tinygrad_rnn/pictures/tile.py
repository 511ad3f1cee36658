"""Tiling: the layouts of the cells put side by side, and the edges between them.

    gutters   run between columns, for edges from step to step: a vertical lane for each state
    gaps      run above each row, for edges that pass over columns: a horizontal lane ("rail") for each output sequence

Boxes are in cells, lanes are between cells, so no edge between cells can run through a box either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, permutations
from math import fsum
from typing import Any

from .layout import LANE, CellLayout, Point, Request, lay_out, spread, tidy
from .parts import Cell, Column, Join
from .picture import Picture
from .template import Template
from .text import box_size

GUTTER = 22.0  # a gutter without lanes
ROW_GAP = 26.0
CUT_ROOM = 46.0  # left of a cut, for the rule and its word
COLUMN_KINDS_WITHOUT_EDGES = ("init", "init_back", "cut", "cut_back")


@dataclass(slots=True)
class Line:
    """An edge between cells as it is drawn. `whole` is false where it ends on the rail that it joins."""

    join: Join
    points: list[Point]
    whole: bool = True


@dataclass(slots=True)
class Tile:
    """A cell at its place: the corner is the lower left one, and y goes up."""

    cell: Cell
    layout: CellLayout
    sizes: list[tuple[float, float]]
    x: float
    y: float

    def at(self, point: Point) -> Point:
        x, y = point
        return self.x + (self.layout.width - x if self.cell.back else x), self.y + y


@dataclass(slots=True)
class Drawn:
    """A picture with coordinates, y up from its lower edge."""

    picture: Picture
    width: float
    height: float
    columns: list[tuple[Column, float, float]]
    rows: list[tuple[str, float, float]]
    tiles: list[Tile] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    rules: list[float] = field(default_factory=list)

    def boxes(self) -> Iterator[tuple[str, float, float, float, float]]:
        """Each node's id, left and lower edge, width and height."""
        for tile in self.tiles:
            for k, (w, h) in enumerate(tile.sizes):
                x, y = tile.at(tile.layout.centres[k])
                yield tile.cell.id_of(k), x - w / 2, y - h / 2, w, h

    def paths(self) -> Iterator[tuple[str, str, list[Point]]]:
        """Each edge's source, target and points."""
        for tile in self.tiles:
            for link, points in zip(tile.cell.template.links, tile.layout.edges, strict=True):
                yield tile.cell.id_of(link.source), tile.cell.id_of(link.target), [tile.at(p) for p in points]
        for line in self.lines:
            target = line.join.target
            box = target.template.entries[line.join.entry]
            yield line.join.source.id_of(line.join.box), target.id_of(box), line.points


@dataclass(slots=True)
class _Route:
    """How a join goes from cell to cell: which sides it uses, which gutters, which gap."""

    key: Any  # routes with the same key share their lanes
    leaves: str
    arrives: str
    gutters: list[int]
    gaps: list[int]


class Tiling:
    """Places the cells of a picture."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.columns = picture.columns
        self.place = {column: k for k, column in enumerate(picture.columns)}
        self.digits = len(str(max((abs(t) for t in picture.steps), default=1)))
        self.top = max(0, len(picture.rows) - 1)
        self.spanning = [False] * len(self.columns)
        for cell in picture.cells.values():
            if cell.row is None:
                self.spanning[self.place[cell.column]] = True
        self.spanned_before = list(accumulate(self.spanning, initial=0))
        self.routes = [(join, self._route(join)) for join in picture.joins.values()]
        self.sizes = {t: [box_size(b, self.digits) for b in t.boxes] for t in self._templates()}
        self.layouts = self._lay_out_templates()

    def _templates(self) -> list[Template]:
        return list(dict.fromkeys(cell.template for cell in self.picture.cells.values()))

    # ---------------------------------------------------------------- which way an edge goes

    def _route(self, join: Join) -> _Route:
        source, target = join.source, join.target
        i, j = self.place[source.column], self.place[target.column]
        out = i if source.back else i + 1  # the gutter on the side where time goes on
        into = j + 1 if target.back else j
        key: Any = ("to", target, join.entry) if join.kind == "gather" else ("from", source, join.box, join.port)
        low, high = source.row, target.row
        if i == j and low is not None and high is not None and low < high and join.kind != "gather":
            if high == low + 1:
                return _Route(key, "top", "bottom", [], [])
            return _Route(key, "top", "bottom", [i], [low, high - 1])
        if join.kind == "gather" and low is not None and high is not None:  # up to a loss above a later step
            through = high > low + 1
            return _Route(key, "top", "bottom", [j] if through else [], [low, high - 1] if through else [low])
        if low is not None and high is None and (join.kind == "gather" or out != into):
            first, last = sorted((i, into - 1))
            if low == self.top or not self._spanned(first, last + 1) - self.spanning[i]:
                return _Route(key, "top", "side", [into], [low])
        if out == into:
            return _Route(key, "side", "side", [out], [])
        gap = self.top if low is None or self._spanned(*sorted((out, into))) else low
        return _Route(key, "side", "side", [out, into], [gap])

    def _spanned(self, first: int, last: int) -> int:
        """How many of the columns first .. last - 1 hold a cell that spans all rows."""
        return self.spanned_before[last] - self.spanned_before[first]

    def _lay_out_templates(self) -> dict[Template, CellLayout]:
        requests: dict[Template, Request] = {}
        for template in self._templates():
            edges = [(link.source, link.output, link.target) for link in template.links]
            requests[template] = Request(self.sizes[template], edges, {}, {}, [], [])
        for join, route in self.routes:
            leaving, entering = requests[join.source.template], requests[join.target.template]
            exits = leaving.right if route.leaves == "side" else leaving.top
            if (join.box, join.port) not in exits:
                exits.append((join.box, join.port))  # type: ignore[attr-defined]
            entries = entering.left if route.arrives == "side" else entering.bottom
            entries[join.entry] = join.target.template.entries[join.entry]
        return {template: lay_out(request) for template, request in requests.items()}

    # ---------------------------------------------------------------- where everything is

    def draw(self) -> Drawn:
        picture = self.picture
        heights = [0.0] * (self.top + 1)
        spans = 0.0
        widths = [0.0] * len(self.columns)
        constants = []
        for cell in picture.cells.values():
            layout = self.layouts[cell.template]
            k = self.place[cell.column]
            if cell.column.kind in COLUMN_KINDS_WITHOUT_EDGES:
                constants.append(cell)
                widths[k] = max(widths[k], *(w for w, _ in self.sizes[cell.template]))
                continue
            widths[k] = max(widths[k], layout.width)
            if cell.row is None:
                spans = max(spans, layout.height)
            else:
                heights[cell.row] = max(heights[cell.row], layout.height)

        rails = self._assign_rails()
        floors, y = [], 0.0
        for row, height in enumerate(heights):
            floors.append(y)
            y += height
            if row < self.top:
                y += ROW_GAP + LANE * len(rails[row])
        ceiling = max(y, spans)
        lane_y = {}
        for row, gap in enumerate(rails):
            base = ceiling + 10 if row == self.top else floors[row] + heights[row] + ROW_GAP / 2
            for k, lane in enumerate(gap):
                for key in lane:
                    lane_y[row, key] = base + LANE * k
        height = ceiling + (10 + LANE * len(rails[self.top]) if rails[self.top] else 0)

        tiles: dict[Cell, Tile] = {}
        for cell in picture.cells.values():
            floor = 0.0 if cell.row is None else floors[cell.row]
            tiles[cell] = Tile(cell, self.layouts[cell.template], self.sizes[cell.template], 0.0, floor)
        for cell in tiles:
            if cell.column.kind == "fold":
                self._place_fold(tiles, cell, heights[cell.row or 0])
        for cell in constants:
            self._place_constants(tiles, cell, heights[cell.row or 0], widths[self.place[cell.column]])
        for cell in tiles:
            if cell.column.kind in ("past", "past_back"):
                self._place_fold(tiles, cell, heights[cell.row or 0])

        lanes = self._assign_lanes(tiles, lane_y)
        xs, gutters, rules, x = [], [], [], 0.0
        for k in range(len(self.columns) + 1):
            n = len(lanes[k])
            gutters.append(x + GUTTER / 2)
            wide = GUTTER + LANE * max(0, n - 1) if 0 < k < len(self.columns) or n else 0.0
            if k < len(self.columns) and self.columns[k].kind == "cut":
                rules.append(x + wide + CUT_ROOM / 2 - GUTTER / 2)
                wide += CUT_ROOM - GUTTER / 2
            if k and self.columns[k - 1].kind == "cut_back":
                rules.append(x + CUT_ROOM / 2)
                gutters[k] += CUT_ROOM
                wide += CUT_ROOM
            x += wide
            if k < len(self.columns):
                xs.append(x)
                x += widths[k]
        for cell, tile in tiles.items():
            k = self.place[cell.column]
            tile.x = xs[k] + (widths[k] - tile.layout.width) / 2
        lane_x = {(k, key): gutters[k] + LANE * place for k, row in enumerate(lanes) for key, place in row.items()}

        rows = [(name, floors[k], heights[k]) for k, name in enumerate(picture.rows)]
        columns = [(column, xs[k], widths[k]) for k, column in enumerate(self.columns)]
        drawn = Drawn(picture, x, height, columns, rows, list(tiles.values()), rules=rules)
        drawn.lines = self._lines(tiles, lane_x, lane_y, rows)
        return drawn

    def _place_fold(self, tiles: dict[Cell, Tile], cell: Cell, height: float) -> None:
        """Put folded steps at the height of the edges that lead into and out of them."""
        away = []
        for join, route in self.routes:
            if cell in (join.source, join.target) and route.leaves == route.arrives == "side":
                leaving, arriving = self._ends(tiles, join, route)
                step = leaving[-1][1] - arriving[0][1]
                away.append(step if cell is join.target else -step)
        tile = tiles[cell]
        shift = fsum(away) / len(away) if away else (height - tile.layout.height) / 2
        tile.y += min(max(0.0, shift), height - tile.layout.height)

    def _place_constants(self, tiles: dict[Cell, Tile], cell: Cell, height: float, width: float) -> None:
        """Put each initial state at the height of what takes it, so that its edge is straight."""
        sizes = self.sizes[cell.template]
        floor = tiles[cell].y
        wanted: dict[int, dict[int, list[float]]] = {k: {} for k in range(len(sizes))}  # box -> port -> heights
        for join, route in self.routes:
            if join.source is cell and route.arrives == "side":
                tile = tiles[join.target]
                wanted[join.box].setdefault(join.port, []).append(tile.y - floor + tile.layout.left[join.entry][0][1])
        goals = []
        for ports in wanted.values():
            means = [fsum(ys) / len(ys) for ys in ports.values()]
            goals.append(fsum(means) / len(means) if means else 0.0)
        order = sorted(range(len(sizes)), key=lambda k: goals[k])
        ordered = spread([goals[k] for k in order], [1.0] * len(order), [sizes[k][1] for k in order], 6.0)
        ys = dict(zip(order, ordered, strict=True))
        low = min(ys[k] - sizes[k][1] / 2 for k in ys)
        high = max(ys[k] + sizes[k][1] / 2 for k in ys)
        shift = max(0.0, -low) or min(0.0, max(height - high, -low))
        centres = [(width / 2, ys[k] + shift) for k in range(len(sizes))]
        left, right = {}, {}
        for k, ports in wanted.items():
            reach = sizes[k][1] / 2 - 6
            for port, goal in ports.items():
                y = min(max(fsum(goal) / len(goal), centres[k][1] - reach), centres[k][1] + reach)
                right[k, port] = [(width / 2 + sizes[k][0] / 2, y), (width, y)]
                entry = (0, max(k, port))
                if entry in cell.template.entries:
                    left[entry] = [(0.0, y), (width / 2 - sizes[k][0] / 2, y)]
        tiles[cell].layout = CellLayout(width, height, centres, [], left, {}, right, {})

    def _assign_rails(self) -> list[list[dict[Any, None]]]:
        """For each gap its lanes, and for each lane the routes that share it because they do not overlap."""
        spans: list[dict[Any, tuple[float, float]]] = [{} for _ in range(self.top + 1)]
        for join, route in self.routes:
            ends = [2.0 * g for g in route.gutters]
            if route.leaves == "top":
                ends.append(2.0 * self.place[join.source.column] + 1)
            if route.arrives == "bottom":
                ends.append(2.0 * self.place[join.target.column] + 1)
            for gap in route.gaps:
                low, high = spans[gap].get(route.key, (ends[0], ends[0]))
                spans[gap][route.key] = min(low, *ends), max(high, *ends)
        rails: list[list[dict[Any, None]]] = []
        for wanted in spans:
            lanes: list[tuple[float, dict[Any, None]]] = []
            for key, (low, high) in sorted(wanted.items(), key=lambda item: item[1]):
                for k, (end, keys) in enumerate(lanes):
                    if end < low:
                        keys[key] = None
                        lanes[k] = (high, keys)
                        break
                else:
                    lanes.append((high, {key: None}))
            rails.append([keys for _, keys in lanes])
        return rails

    def _ends(self, tiles: dict[Cell, Tile], join: Join, route: _Route) -> tuple[list[Point], list[Point]]:
        """The points of a join inside its two cells, at their present place."""
        source, target = tiles[join.source], tiles[join.target]
        port = (join.box, join.port)
        leaving = source.layout.right[port] if route.leaves == "side" else source.layout.top[port]
        arriving = target.layout.left[join.entry] if route.arrives == "side" else target.layout.bottom[join.entry]
        return [source.at(p) for p in leaving], [target.at(p) for p in arriving]

    def _assign_lanes(self, tiles: dict[Cell, Tile], lane_y: dict[Any, float]) -> list[dict[Any, int]]:
        """For each gutter, which route takes which lane: in the order in which fewest lines cross."""
        touching: list[dict[Any, tuple[list[float], list[float]]]] = [{} for _ in range(len(self.columns) + 1)]
        for join, route in self.routes:
            leaving, arriving = self._ends(tiles, join, route)
            y1, y2 = leaving[-1][1], arriving[0][1]
            for g in route.gutters:
                lefts, rights = touching[g].setdefault(route.key, ([], []))
                if route.leaves == "side" and g == route.gutters[0]:
                    (rights if join.source.back else lefts).append(y1)
                if route.arrives == "side" and g == route.gutters[-1]:
                    (lefts if join.target.back else rights).append(y2)
                first, last = g == route.gutters[0], g == route.gutters[-1]
                if route.gaps and (route.leaves == "top" or not first):  # it comes along a rail
                    came = lefts if self.place[join.source.column] < g else rights
                    came.append(lane_y[route.gaps[0], route.key])
                if route.gaps and (route.arrives == "bottom" or not last):  # it goes on along a rail
                    goes = rights if self.place[join.target.column] >= g else lefts
                    goes.append(lane_y[route.gaps[-1], route.key])
        return [self._order_lanes(gutter) for gutter in touching]

    def _order_lanes(self, gutter: dict[Any, tuple[list[float], list[float]]]) -> dict[Any, int]:
        bent = [key for key, (lefts, rights) in gutter.items() if max(lefts + rights) - min(lefts + rights) > 0.5]
        shape = tuple((tuple(gutter[key][0]), tuple(gutter[key][1])) for key in bent)
        return {bent[k]: place for place, k in enumerate(best_order(shape))}

    def _lines(
        self, tiles: dict[Cell, Tile], lane_x: dict[Any, float], lane_y: dict[Any, float], rows: list[Any]
    ) -> list[Line]:
        lines = []
        farthest: dict[Any, tuple[float, int]] = {}
        for n, (join, route) in enumerate(self.routes):
            leaving, arriving = self._ends(tiles, join, route)
            points = list(leaving)
            y = leaving[-1][1]
            if route.leaves == "top" and not route.gaps:
                assert join.source.row is not None
                _, floor, height = rows[join.source.row]
                points.append((leaving[-1][0], floor + height))
            elif route.leaves == "top":
                y = lane_y[route.gaps[0], route.key]
                points.append((leaving[-1][0], y))
            for k, g in enumerate(route.gutters):
                x = lane_x.get((g, route.key))
                if x is None:
                    continue
                following = k < len(route.gutters) - 1 or route.arrives == "bottom"
                after = lane_y[route.gaps[-1], route.key] if following else arriving[0][1]
                points += [(x, y), (x, after)]
                y = after
            if route.arrives == "bottom" and route.gaps:
                points.append((arriving[0][0], y))
            line = Line(join, tidy([*points, *arriving]))
            lines.append(line)
            if join.kind == "gather" and route.leaves == "top":
                length = abs(leaving[-1][0] - arriving[0][0])
                if length > farthest.get(route.key, (-1.0, 0))[0]:
                    farthest[route.key] = length, n
        for line, (join, route) in zip(lines, self.routes, strict=True):
            if join.kind == "gather" and route.leaves == "top" and lines[farthest[route.key][1]] is not line:
                rail = lane_y[route.gaps[0], route.key]
                end, x = next((k, x) for k, (x, y) in enumerate(line.points) if y > rail - 0.01)
                if abs(line.points[end][1] - rail) > 0.01:  # straight past the rail: it is met on the way
                    line.points.insert(end, (x, rail))
                beside = join.source.column == join.target.column  # then the rail ends at the target, maybe before this
                line.points, line.whole = line.points[: end + 1 + beside], False
        return lines


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


def draw(picture: Picture) -> Drawn:
    """Give every box and edge of the picture its place."""
    return Tiling(picture).draw()
