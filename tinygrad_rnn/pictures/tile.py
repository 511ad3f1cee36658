"""Tiling: the layouts of the cells put side by side, and the edges between them.

    gutters   run between columns, for edges from step to step: a vertical lane for each state
    gaps      run above each row, for edges that pass over columns: a horizontal lane ("rail") for each output sequence

Boxes are in cells, lanes are between cells, so no edge between cells can run through a box either.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import fsum, inf
from typing import Any

from .align import aligned
from .arrange import PAGE_MARGIN, PANEL, ROW_NAME, TURNS, arrange
from .layout import GAP, LANE, TIGHT, CellLayout, Point, Request, lay_out, spread, tidy
from .lines import breaks
from .marks import Drawn, Panel, Path, Rule, Text, Tile
from .parts import Cell, Join
from .picture import Picture
from .routes import Heights, Route, Routes, in_order
from .stretches import stretches
from .template import Enters, Entry, Leaves, Port, Template
from .text import FIRST, OTHER, box_size, line_width

GUTTER = 22.0  # a gutter without lanes
ROW_GAP = 26.0
TIGHT_ROWS = 15.0  # and where there is little room
CUT_HEAD = 42.0  # above a cut, for its scissors and its word, below what passes over it
CUT_ROOM = 46.0  # left of a cut, for the rule and its word
NAME_ROOM = 4.0  # beside the name of a state over its edge
COLUMN_KINDS_WITHOUT_EDGES = ("init", "init_back", "cut", "cut_back")
LOOPS = ("loop", "loop_back")


class Tiling:
    """Places the cells of a picture: rows first, with the rails above each; then columns, with the lanes between."""

    def __init__(self, picture: Picture) -> None:
        self.picture, self.columns = picture, picture.columns
        self.routes = Routes(picture)
        digits = len(str(max((abs(t) for t in picture.steps), default=1)))
        upright = TURNS[picture.options.direction][1]  # then the boxes of the strip lie on their side
        airy = picture.page is None
        self.gap, self.row_gap = (GAP, ROW_GAP) if airy else (TIGHT, TIGHT_ROWS)
        sizes = {t: [box_size(b, digits, airy) for b in t.boxes] for t in self._templates()}
        self.sizes = {t: [size[::-1] for size in row] if upright else row for t, row in sizes.items()}
        self.layouts = self._lay_out_templates()
        self.shifts = aligned(picture.cells.values(), self.layouts, self.routes)
        self._measure()
        self._stack_rows()
        tiles = self._put_cells()
        lanes = self._assign_lanes(tiles)
        self.lanes = [max(gutter.values(), default=-1) + 1 for gutter in lanes]
        self._put_columns()
        for cell, tile in tiles.items():
            k = self.routes.place[cell.column]
            tile.x = self.xs[k] + self.shifts.get(cell, (self.widths[k] - tile.layout.width) / 2)
        self.tiles = tiles
        self.lane_x = {
            (k, key): self.gutters[k] + LANE * place for k, row in enumerate(lanes) for key, place in row.items()
        }

    def drawn(self) -> Drawn:
        """Everything at its place: on one line, or on several where a picture is for a page of a stated width."""
        rows = [(name, self.floors[k], self.heights[k]) for k, name in enumerate(self.picture.rows)]
        columns = list(zip(self.columns, self.xs, self.widths, strict=True))
        drawn = Drawn(self.picture, self.width, self.height, columns, rows)
        drawn.panels = [
            Panel(column, x, 0.0, width, self.height)
            for column, x, width in columns
            if column.kind in ("step", "layer")
        ]
        drawn.rules = [Rule((x, self.roof + PANEL - 9), (x, -PANEL)) for x in self.rules]
        drawn.tiles, drawn.paths = list(self.tiles.values()), self._paths()
        if self.picture.shows_gradients:
            drawn.stretches = list(stretches(self.ways))
        drawn.texts = list(self._state_names(drawn.paths))
        upright = TURNS[self.picture.options.direction][1]
        beside = 2 * PANEL + (ROW_NAME if len(rows) > 1 else 0.0)
        page = self.picture.page
        places = [self._break(k) for k in range(1, len(self.columns))]
        room = inf if page is None or upright else page - 2 * PAGE_MARGIN - beside
        return arrange(drawn, breaks(self.columns, places, self.width, room))

    def _break(self, k: int) -> float:
        """Between the last lane of a gutter and what stands right of it: there, every line is level."""
        return self.gutters[k] + LANE * max(0, self.lanes[k] - 1) + GUTTER / 4

    def _state_names(self, paths: list[Path]) -> Iterator[Text]:
        """What an edge hands on, over it; below the lower one of two. The gradient beside it is not crossed out."""
        beside: dict[tuple[Cell, Cell], list[Path]] = {}
        for path in paths:
            (_, y1), (_, y2) = path.points[:2]
            edge = path.edge
            if isinstance(edge, Join) and edge.name and abs(y1 - y2) < 0.1 and self.picture.names_edge(edge.kind):
                beside.setdefault((edge.source, edge.target), []).append(path)
        for alike in beside.values():
            lowest = min(alike, key=lambda path: path.points[0][1])
            for path in alike:
                (x1, y), (x2, _) = path.points[:2]
                below = path is lowest and len(alike) > 1
                stroked = self.picture.shows_gradients and (below == (x2 > x1))  # it runs at the right of its edge
                gap = 9.0 if stroked else 3.0
                yield Text("state", path.edge.name, (x1 + x2) / 2, y - gap - 8 if below else y + gap)

    def _templates(self) -> list[Template]:
        return list(dict.fromkeys(cell.template for cell in self.picture.cells.values()))

    def _lay_out_templates(self) -> dict[Template, CellLayout]:
        requests: dict[Template, Request] = {}
        for template in self._templates():
            edges = [(link.source, Port(Leaves.RESULT, 0, link.output), link.target) for link in template.links]
            requests[template] = Request(self.sizes[template], edges, {}, {}, [], [], self.gap)
        for join, route in self.routes.all:
            leaving, entering = requests[join.source.template], requests[join.target.template]
            exits = leaving.right if route.leaves == "side" else leaving.top
            if (join.box, join.port) not in exits:
                exits.append((join.box, join.port))
            entries = entering.left if route.arrives == "side" else entering.bottom
            entries[join.entry] = join.target.template.entries[join.entry]
        return {template: lay_out(request) for template, request in requests.items()}

    # ---------------------------------------------------------------- where everything is

    def _measure(self) -> None:
        """How wide each column is, and how high each row."""
        self.widths = [0.0] * len(self.columns)
        self.heights = [0.0] * (self.routes.top + 1)
        self.spans = 0.0  # the height of what spans all rows
        self.levels: dict[int, float] = {}  # of each row the height of the boxes that stand for steps
        for cell in self.picture.cells.values():
            layout, k = self.layouts[cell.template], self.routes.place[cell.column]
            if cell.column.kind in COLUMN_KINDS_WITHOUT_EDGES + LOOPS:
                self.widths[k] = max(self.widths[k], *(w for w, _ in self.sizes[cell.template]))
                continue
            self.widths[k] = max(self.widths[k], self.shifts.get(cell, 0.0) + layout.width, self._word_width(cell))
            if cell.row is None:
                self.spans = max(self.spans, layout.height)
            else:
                top = layout.height + self._lift(cell)
                self.heights[cell.row] = max(self.heights[cell.row], top)

    def _lift(self, cell: Cell) -> float:
        """How far a cell is lifted from the floor of its row, so that the boxes of all steps stand on one level."""
        if cell.row is None or not cell.template.folded or cell.column.kind not in ("step", "fold"):
            return 0.0
        if cell.row not in self.levels:
            beside = [c for c in self.picture.cells.values() if c.row == cell.row and c.template.folded and c.layer]
            middles = (self.layouts[c.template].centres[0][1] for c in beside if c.column.kind in ("step", "fold"))
            self.levels[cell.row] = max(middles, default=0.0) if any(c.step for c in beside) else 0.0
        return max(0.0, self.levels[cell.row] - self.layouts[cell.template].centres[0][1]) if cell.layer else 0.0

    def _word_width(self, cell: Cell) -> float:
        """What the word under a step needs, where it stands under it and not beside."""
        word = self.picture.labels.get(cell.column.t) if cell.column.kind == "step" else None
        upright = TURNS[self.picture.options.direction][1]
        return 0.0 if word is None or upright else line_width(word, FIRST)

    def _stack_rows(self) -> None:
        """Where each row stands, and each rail above it."""
        rails, top = self.routes.rails(), self.routes.top
        last = min(top, max(0, self.picture.loss_row - 1))  # the last row that a cut goes through
        cut = any(column.kind in ("cut", "cut_back") for column in self.columns)
        room = CUT_HEAD if cut and (top > last or rails[last]) else 0.0  # for its scissors, below what passes over it
        self.floors: list[float] = []
        y = 0.0
        for row, height in enumerate(self.heights):
            self.floors.append(y)
            y += height
            if row < top:
                y += self.row_gap + LANE * len(rails[row]) + (room if row == last else 0.0)
        self.ceiling = max(y, self.spans)
        self.lane_y: dict[Any, float] = {}
        for row, gap in enumerate(rails):
            base = self.ceiling + 10 if row == top else self.floors[row] + self.heights[row] + self.row_gap / 2
            base += room if row == last else 0.0
            for k, lane in enumerate(gap):
                self.lane_y.update(((row, key), base + LANE * k) for key in lane)
        self.height = self.ceiling + (10 + LANE * len(rails[top]) if rails[top] else 0)
        self.height += room if rails[top] and top == last else 0.0
        self.roof = self.floors[last] + self.heights[last] + room - 22 if room else self.height

    def _put_cells(self) -> dict[Cell, Tile]:
        """Every cell at its height: what has no ports of its own last, at the height of its edges."""
        tiles: dict[Cell, Tile] = {}
        for cell in self.picture.cells.values():
            floor = 0.0 if cell.row is None else self.floors[cell.row]
            lift = self._lift(cell) if cell.column.kind == "step" else 0.0
            tiles[cell] = Tile(cell, self.layouts[cell.template], self.sizes[cell.template], 0.0, floor + lift)
        for kinds, place in (
            (("fold",), self._place_fold),
            (LOOPS, self._place_constants),
            (COLUMN_KINDS_WITHOUT_EDGES, self._place_constants),
            (("past", "past_back"), self._place_fold),
            (("head",), self._place_head),
        ):
            for cell in tiles:
                if cell.column.kind in kinds:
                    place(tiles, cell, self.heights[cell.row or 0])
        for join, route in self.routes.all:
            if join.source.row == join.target.row and not route.gaps:
                self._straighten(tiles, join, route)
        return tiles

    def _straighten(self, tiles: dict[Cell, Tile], join: Join, route: Route) -> None:
        """Let an edge of a row arrive at the height at which it leaves.

        What is handed to or by folded steps touches their box where it touches that of the step beside it; another edge
        moves where it is alone at that side of a box.
        """
        leaving, arriving = self._ends(tiles, join, route)
        shift, source, target = leaving[-1][1] - arriving[0][1], tiles[join.source], tiles[join.target]
        entries, cells = join.target.template.entries, (join.source, join.target)
        alone = join.kind == "forward" and sum(entries[entry] == join.into for entry in target.layout.left) == 1
        handed_on = join.kind == "state" and all(cell.template.folded for cell in cells)  # from box to box
        by_fold, to_fold = (handed_on and cell.column.kind == "fold" for cell in cells)
        if by_fold and not to_fold and abs(shift) < source.sizes[join.box][1] / 2 - 8:
            right, port = source.layout.right, (join.box, join.port)
            moved = [(x, y - shift) for x, y in right[port]]
            source.layout = source.layout._replace(right={**right, port: moved})
        movable = (alone or (to_fold and not by_fold)) and len(arriving) == 2
        if movable and abs(shift) < target.sizes[join.into][1] / 2 - 8:
            left = target.layout.left
            moved = [(x, y + shift) for x, y in left[join.entry]]
            target.layout = target.layout._replace(left={**left, join.entry: moved})

    def _untwist(self, tiles: dict[Cell, Tile], cell: Cell) -> None:
        """Let edges arrive at a box in the order of the heights that they come from, so that they do not cross."""
        tile, came = tiles[cell], {}
        for join, route in self.routes.all:
            if join.target is cell and route.arrives == "side":
                leaving, _ = self._ends(tiles, join, route)
                came[join.entry] = self.lane_y[route.gaps[-1], route.key] if route.gaps else leaving[-1][1]
        left = dict(tile.layout.left)
        for box in {cell.template.entries[entry] for entry in came}:
            entries = [e for e in came if cell.template.entries[e] == box and len(left[e]) == 2]
            ways = sorted((left[entry] for entry in entries), key=lambda way: way[0][1])
            left.update(zip(sorted(entries, key=lambda entry: (came[entry], left[entry][0][1])), ways, strict=True))
        tile.layout = tile.layout._replace(left=left)

    def _put_columns(self) -> None:
        """Where each column stands, each gutter between two, and each rule of a cut."""
        self.xs: list[float] = []
        self.gutters: list[float] = []
        self.rules: list[float] = []
        named = self._named()
        x = 0.0
        for k in range(len(self.columns) + 1):
            n = self.lanes[k]
            self.gutters.append(x + GUTTER / 2)
            wide = GUTTER + LANE * max(0, n - 1) if 0 < k < len(self.columns) or n else 0.0
            wide = max(wide, named.get(k, 0.0))
            if k < len(self.columns) and self.columns[k].kind == "cut":
                self.rules.append(x + wide + CUT_ROOM / 2 - GUTTER / 2)
                wide += CUT_ROOM - GUTTER / 2
            if k and self.columns[k - 1].kind == "cut_back":
                self.rules.append(x + CUT_ROOM / 2)
                self.gutters[k] += CUT_ROOM
                wide += CUT_ROOM
            x += wide
            if k < len(self.columns):
                self.xs.append(x)
                x += self.widths[k]
        self.width = x

    def _named(self) -> dict[int, float]:
        """How wide each gutter has to be for the names of states that stand over their edges there."""
        widths: dict[int, float] = {}
        upright = TURNS[self.picture.options.direction][1]
        for join, route in () if upright else self.routes.all:
            if join.name and not route.gaps and self.picture.names_edge(join.kind):
                for k in route.gutters:
                    widths[k] = max(widths.get(k, 0.0), line_width(join.name, OTHER) + NAME_ROOM)
        return widths

    def _place_fold(self, tiles: dict[Cell, Tile], cell: Cell, height: float) -> None:
        """Put folded steps at the height of the edges that lead into and out of them."""
        away = []
        for join, route in self.routes.all:
            if cell in (join.source, join.target) and route.leaves == route.arrives == "side":
                leaving, arriving = self._ends(tiles, join, route)
                step = leaving[-1][1] - arriving[0][1]
                away.append(step if cell is join.target else -step)
        tile = tiles[cell]
        shift = fsum(away) / len(away) if away else (height - tile.layout.height) / 2
        tile.y += min(max(0.0, shift), height - tile.layout.height)

    def _place_head(self, tiles: dict[Cell, Tile], cell: Cell, _: float) -> None:
        """Put the loss where its edges come from: at the height of a state, or below the rails."""
        if any(join.target is cell and route.leaves == "side" for join, route in self.routes.all):
            tall, upright = tiles[cell].layout.height, TURNS[self.picture.options.direction][1]
            spare = 0.0 if upright else tall / 2  # it may stand out, so that what leads straight to it has no kink
            self._place_fold(tiles, cell, self.ceiling + spare)
            self.height = max(self.height, tiles[cell].y + tall)
        else:
            tiles[cell].y = self.ceiling - tiles[cell].layout.height
        self._untwist(tiles, cell)

    def _place_constants(self, tiles: dict[Cell, Tile], cell: Cell, height: float) -> None:
        """Put each initial state at the height of what takes it, so that its edge is straight."""
        sizes, width = self.sizes[cell.template], self.widths[self.routes.place[cell.column]]
        floor = tiles[cell].y
        wanted: dict[int, dict[Port, list[float]]] = {k: {} for k in range(len(sizes))}  # box -> port -> heights
        for join, route in self.routes.all:
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
            reach = sizes[k][1] / 2 - 3
            for port, goal in ports.items():
                y = min(max(fsum(goal) / len(goal), centres[k][1] - reach), centres[k][1] + reach)
                right[k, port] = [(width / 2 + sizes[k][0] / 2, y), (width, y)]
                entry = Entry(Enters.INPUT, port.record, port.output)  # of what goes through, as in a cut
                if entry in cell.template.entries:
                    left[entry] = [(0.0, y), (width / 2 - sizes[k][0] / 2, y)]
        if cell.column.kind in LOOPS:  # what comes back enters above what it all starts from
            entries = sorted(cell.template.entries, key=lambda entry: (-entry.record, entry.input))
            entries = sorted(entries, key=lambda e: (e.record, left[e._replace(record=1)][0][1]), reverse=True)
            y, step = centres[0][1], (sizes[0][1] - 8) / len(entries)
            for k, entry in enumerate(entries):
                at = y + step * ((len(entries) - 1) / 2 - k)
                left[entry] = [(0.0, at), (width / 2 - sizes[0][0] / 2, at)]
        tiles[cell].layout = CellLayout(width, height, centres, [], left, {}, right, {})

    def _ends(self, tiles: dict[Cell, Tile], join: Join, route: Route) -> tuple[list[Point], list[Point]]:
        """The points of a join inside its two cells, at their present place."""
        source, target = tiles[join.source], tiles[join.target]
        port = (join.box, join.port)
        leaving = source.layout.right[port] if route.leaves == "side" else source.layout.top[port]
        arriving = target.layout.left[join.entry] if route.arrives == "side" else target.layout.bottom[join.entry]
        return [source.at(p) for p in leaving], [target.at(p) for p in arriving]

    def _assign_lanes(self, tiles: dict[Cell, Tile]) -> list[dict[Any, int]]:
        """For each gutter, which route takes which lane: in the order in which fewest lines cross."""
        touching: list[dict[Any, Heights]] = [{} for _ in range(len(self.columns) + 1)]
        for join, route in self.routes.all:
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
                    came = lefts if self.routes.place[join.source.column] < g else rights
                    came.append(self.lane_y[route.gaps[0], route.key])
                if route.gaps and (route.arrives == "bottom" or not last):  # it goes on along a rail
                    goes = rights if self.routes.place[join.target.column] >= g else lefts
                    goes.append(self.lane_y[route.gaps[-1], route.key])
        return [in_order(gutter) for gutter in touching]

    # ---------------------------------------------------------------- the edges between cells

    def _paths(self) -> list[Path]:
        """Every edge; those that meet on a rail are drawn to it, and the one from farthest at each side along it."""
        ends = [self._ends(self.tiles, join, route) for join, route in self.routes.all]
        farthest: dict[Any, tuple[float, Join]] = {}
        for (join, route), (leaving, arriving) in zip(self.routes.all, ends, strict=True):
            if _on_a_bus(join, route):
                away = leaving[-1][0] - arriving[0][0]
                if abs(away) > farthest.get((route.key, away > 0), (-1.0, join))[0]:
                    farthest[route.key, away > 0] = abs(away), join
        drawn_whole = {join for _, join in farthest.values()}
        self.ways: list[tuple[Join, list[Point]]] = []
        paths: list[Path] = []
        for (join, route), (leaving, arriving) in zip(self.routes.all, ends, strict=True):
            points = tidy(self._points(join, route, leaving, arriving))
            whole = join in drawn_whole or not _on_a_bus(join, route)
            paths.append(Path(join, points if whole else self._to_rail(join, route, points), whole))
            self.ways.append((join, points))
        return paths

    def _points(self, join: Join, route: Route, leaving: list[Point], arriving: list[Point]) -> list[Point]:
        """The way of an edge, along its lanes."""
        points = list(leaving)
        x, y = leaving[-1]
        if route.leaves == "top":
            row = join.source.row
            assert row is not None
            y = self.lane_y[route.gaps[0], route.key] if route.gaps else self.floors[row] + self.heights[row]
            points.append((x, y))
        for k, g in enumerate(route.gutters):
            lane = self.lane_x.get((g, route.key))
            if lane is not None:
                following = k < len(route.gutters) - 1 or route.arrives == "bottom"
                after = self.lane_y[route.gaps[-1], route.key] if following else arriving[0][1]
                points += [(lane, y), (lane, after)]
                y = after
        if route.arrives == "bottom" and route.gaps:
            points.append((arriving[0][0], y))
        return [*points, *arriving]

    def _to_rail(self, join: Join, route: Route, points: list[Point]) -> list[Point]:
        """The way as far as the rail that is shared from there on."""
        rail = self.lane_y[route.gaps[0], route.key]
        end, x = next((k, x) for k, (x, y) in enumerate(points) if y > rail - 0.01)
        if abs(points[end][1] - rail) > 0.01:  # straight past the rail: it is met on the way
            points.insert(end, (x, rail))
        beside = join.source.column == join.target.column  # then the rail ends at the target, maybe before this
        return points[: end + 1 + beside]


def _on_a_bus(join: Join, route: Route) -> bool:
    """Whether an edge goes up to a rail on which many lead to one target."""
    return join.kind == "gather" and route.leaves == "top"


def draw(picture: Picture) -> Drawn:
    """Give every box and edge of the picture its place."""
    return Tiling(picture).drawn()
