"""The picture that the page moves over: the one `draw` makes of every step at op level, as coordinates for JSON.

Steps of one structure share a *shape* (boxes and the edges between them), and a *tile* is a shape at a place. The edges
that come into a tile from others are kept with it, relative to its corner, so they too are the same for nearly all
tiles and written once. The page builds only the tiles that it shows.
"""

from __future__ import annotations

from typing import Any

from ...unrolled.listing import Tape, figure
from ..flow import Flow
from ..parts import Cell
from ..picture import Picture
from ..reading import Reading
from ..svg import CLASSES, curve
from ..text import pieces
from ..tile import Drawn, Line, Tile, draw


def scene(tape: Tape, reading: Reading) -> dict[str, Any]:
    """The picture of the whole tape, ready for JSON: y goes down from its upper edge."""
    picture = Picture(reading, "op", "all", values=True, flow=Flow(reading))
    return Scene(draw(picture), tape).data()


class Scene:
    """Collects shapes and tiles of a picture."""

    def __init__(self, drawn: Drawn, tape: Tape) -> None:
        self.drawn, self.tape = drawn, tape
        self.shapes: dict[Any, tuple[int, dict[str, Any]]] = {}
        self.bundles: dict[Any, int] = {}

    def data(self) -> dict[str, Any]:
        drawn = self.drawn
        column = {column: k for k, (column, _, _) in enumerate(drawn.columns)}
        owned: dict[Cell, list[Line]] = {}
        long = []
        for line in drawn.lines:
            source, target = line.join.source, line.join.target
            if not line.whole:  # one of many that end on a common line
                owned.setdefault(source, []).append(line)
            elif abs(column[source.column] - column[target.column]) <= 1:
                owned.setdefault(target, []).append(line)
            else:
                long.append(self.far(line))
        tiles = [self.tile(tile, owned.get(tile.cell, [])) for tile in drawn.tiles]
        return {
            "width": _r(drawn.width),
            "height": _r(drawn.height),
            "shapes": [shape for _, shape in self.shapes.values()],
            "bundles": [list(bundle) for bundle in self.bundles],
            "tiles": tiles,
            "long": long,
            "rows": [[name, _r(drawn.height - floor - height / 2)] for name, floor, height in drawn.rows],
            "rules": [_r(x) for x in drawn.rules],
        }

    def tile(self, tile: Tile, lines: list[Line]) -> list[Any]:
        """[shape, x, y, time step, its records, edges]; y is that of the lower edge."""
        cell = tile.cell
        key = (id(cell.template), id(tile.layout), cell.back)
        if key not in self.shapes:
            self.shapes[key] = len(self.shapes), self.shape(tile)
        y = self.drawn.height - tile.y
        bundle = tuple(self.path(line, tile.x, y) for line in lines)
        numbers = [self.tape.numbers[record] for record in cell.records]
        consecutive = numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else False
        records: Any = numbers[0] if consecutive else numbers
        t = cell.step.t if cell.step is not None else None
        edges = self.bundles.setdefault(bundle, len(self.bundles))
        return [self.shapes[key][0], _r(tile.x), _r(y), t, records, edges]

    def shape(self, tile: Tile) -> dict[str, Any]:
        cell = tile.cell
        at = Tile(cell, tile.layout, tile.sizes, 0.0, 0.0)
        boxes = []
        for k, box in enumerate(cell.template.boxes):
            x, y = at.at(tile.layout.centres[k])
            w, h = tile.sizes[k]
            lines = list(box.lines)
            if box.kind == "loss" and k < len(cell.records):  # its value is written when the walk comes there
                lines[0] = lines[0].removesuffix(f" = {figure(cell.records[k].values[0])}")
            boxes.append([box.kind, *map(_r, (x - w / 2, -y - h / 2, w, h)), box.extra, *map(alternating, lines)])
        edges = []
        for link, points in zip(cell.template.links, tile.layout.edges, strict=True):
            edges.append([link.target, curve([(x, -y) for x, y in map(at.at, points)])])
        return {"width": _r(tile.layout.width), "records": len(cell.records), "boxes": boxes, "edges": edges}

    def far(self, line: Line) -> list[Any]:
        """[class, x, width, path] of an edge over several columns."""
        xs = [x for x, _ in line.points]
        kind, _, path = self.path(line, 0.0, 0.0)
        return [kind, _r(min(xs)), _r(max(xs) - min(xs)), path]

    def path(self, line: Line, x: float, y: float) -> tuple[Any, ...]:
        """(class, box it enters or -1, path) relative to a corner."""
        join = line.join
        points = [(px - x, self.drawn.height - py - y) for px, py in line.points]
        box = -1 if not line.whole else join.target.template.entries[join.entry]
        return CLASSES[join.kind] if line.whole else f"{CLASSES[join.kind]} no", box, curve(points)


def alternating(line: str) -> list[str]:
    """The line as text, index, text, index, ...: ``["h", "3"]``."""
    out: list[str] = []
    for part, index in pieces(line):
        if (len(out) % 2 == 1) != index:
            out.append("")
        out.append(part)
    return out


def _r(x: float) -> float | int:
    """To a tenth of a pixel."""
    x = round(x, 1)
    return int(x) if x == int(x) else x
