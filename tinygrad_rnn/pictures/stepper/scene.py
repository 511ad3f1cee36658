"""The picture that the page moves over: the one `draw` makes of every step at op level, as coordinates for JSON.

Steps of one structure share a *shape* (boxes and the edges between them), and a *tile* is a shape at a place. The edges
that come into a tile from others are kept with it, relative to its corner, so they too are the same for nearly all
tiles and written once. The page builds only the tiles that it shows.
"""

from __future__ import annotations

from typing import Any

from ...unrolled.listing import Tape, figure
from ..canvas import curve
from ..flow import Flow
from ..levels import OpPicture
from ..marks import Block, Drawn, Path, Rule, Tile
from ..options import Options
from ..parts import Cell, Join
from ..svg import d
from ..text import pieces
from ..tile import draw

CLASSES = {"forward": "e", "state": "es", "gather": "eg", "cut": "ec"}
"""How the page calls the kinds of edges."""


def scene(tape: Tape, flow: Flow) -> dict[str, Any]:
    """The picture of the whole tape, ready for JSON: y goes down from its upper edge."""
    picture = OpPicture(flow.reading, "all", flow, Options(values=True, grads=True))
    return Scene(draw(picture), tape, picture.figures).data()


class Scene:
    """Collects shapes and tiles of a picture."""

    def __init__(self, drawn: Drawn, tape: Tape, figures: dict[str, tuple[str, ...]]) -> None:
        self.drawn, self.tape, self.figures = drawn, tape, figures
        self.given: dict[Any, int] = {}
        self.shapes: dict[Any, tuple[int, dict[str, Any]]] = {}
        self.bundles: dict[Any, int] = {}

    def data(self) -> dict[str, Any]:
        drawn = self.drawn
        column = {column: k for k, (column, _, _) in enumerate(drawn.columns)}
        owned: dict[Cell, list[Path]] = {}
        tiles, long, rules = [], [], []
        for mark in drawn.groups():
            if isinstance(mark, Tile):
                tiles.append(mark)
            elif isinstance(mark, Path) and isinstance(mark.edge, Join):
                source, target = mark.edge.source, mark.edge.target
                if not mark.whole:  # one of many that end on a common line
                    owned.setdefault(source, []).append(mark)
                elif abs(column[source.column] - column[target.column]) <= 1:
                    owned.setdefault(target, []).append(mark)
                else:
                    long.append(self.far(mark))
            elif isinstance(mark, Rule):
                rules.append(_r(mark.start[0]))
        placed = [self.tile(tile, owned.get(tile.cell, [])) for tile in tiles]  # notes the shapes and bundles
        return {
            "width": _r(drawn.width),
            "height": _r(drawn.height),
            "shapes": [shape for _, shape in self.shapes.values()],
            "bundles": [list(bundle) for bundle in self.bundles],
            "given": [[list(lines) for lines in given] for given in self.given],
            "tiles": placed,
            "long": long,
            "rules": rules,
        }

    def tile(self, tile: Tile, paths: list[Path]) -> list[Any]:
        """[shape, x, y, time step, its records, edges, values given]; y is that of the lower edge."""
        cell = tile.cell
        key = (id(cell.template), id(tile.layout), cell.back)
        if key not in self.shapes:
            self.shapes[key] = len(self.shapes), self.shape(tile)
        y = self.drawn.height - tile.y
        bundle = tuple(self.path(path, tile.x, y) for path in paths)
        numbers = [self.tape.numbers[record] for record in cell.records]
        consecutive = numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else False
        records: Any = numbers[0] if consecutive else numbers
        t = cell.step.t if cell.step is not None else None
        edges = self.bundles.setdefault(bundle, len(self.bundles))
        given = self.given.setdefault(self.values_given(cell), len(self.given))
        return [self.shapes[key][0], _r(tile.x), _r(y), t, records, edges, given]

    def values_given(self, cell: Cell) -> tuple[tuple[str, ...], ...]:
        """What stands in the boxes that no record of the walk fills in: weights, data, initial states."""
        count = len(cell.records)
        found = (self.figures.get(cell.id_of(k), ()) for k in range(count, len(cell.template.boxes)))
        return tuple(tuple(line for line in lines if not line.startswith("∇")) for lines in found)

    def shape(self, tile: Tile) -> dict[str, Any]:
        cell = tile.cell
        boxes, edges = [], []
        for mark in tile.at_corner().marks():
            if isinstance(mark, Block):
                boxes.append(self.box(mark))
            else:
                edges.append([mark.edge.into, d(curve([(x, -y) for x, y in mark.points]))])
        return {"width": _r(tile.layout.width), "records": len(cell.records), "boxes": boxes, "edges": edges}

    def box(self, block: Block) -> list[Any]:
        """[kind, x, y, width, height, lines left free, its lines]"""
        box, w, h, cell = block.box, block.width, block.height, block.cell
        lines = list(box.lines)
        if box.kind == "loss" and block.number < len(cell.records):  # its value is written when the walk comes there
            lines[0] = lines[0].removesuffix(f" = {figure(cell.records[block.number].values[0])}")
        place = (block.x - w / 2, -block.y - h / 2, w, h)
        return [box.kind, *map(_r, place), box.extra, *map(alternating, lines)]

    def far(self, path: Path) -> list[Any]:
        """[class, x, width, path] of an edge over several columns."""
        xs = [x for x, _ in path.points]
        kind, _, way = self.path(path, 0.0, 0.0)
        return [kind, _r(min(xs)), _r(max(xs) - min(xs)), way]

    def path(self, path: Path, x: float, y: float) -> tuple[Any, ...]:
        """(class, box it enters or -1, path) relative to a corner."""
        kind = CLASSES[path.edge.kind]
        points = [(px - x, self.drawn.height - py - y) for px, py in path.points]
        return (kind, path.edge.into, d(curve(points))) if path.whole else (f"{kind} no", -1, d(curve(points)))


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
