"""The picture as marks: frames, rules, words, boxes and edges with coordinates. A writer turns them into its format.

`Drawn.marks` is the one walk over them. Coordinates: x to the right, y *up* from the lower edge of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .layout import CellLayout, Point
from .parts import Cell, Column, Inner, Join
from .picture import Picture
from .template import Box


class Panel(NamedTuple):
    """The frame behind a time step, as high as the picture."""

    column: Column
    x: float
    width: float


class Rule(NamedTuple):
    """A line through all rows, where a gradient is cut off."""

    x: float


class Text(NamedTuple):
    """Words beside something: the name of a row at the left edge (kind "row"), that of a state over its edge ("state").

    x, y  the middle of what they are written at
    """

    kind: str
    words: str
    x: float
    y: float


class Block(NamedTuple):
    """A box of a cell; x, y is its middle."""

    cell: Cell
    number: int
    box: Box
    x: float
    y: float
    width: float
    height: float

    @property
    def id(self) -> str:
        return self.cell.id_of(self.number)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(map(self.cell.text, self.box.lines))

    @property
    def title(self) -> str:
        return self.cell.text(self.box.title)


class Path(NamedTuple):
    """An edge. `whole` is false where it ends on the rail that it joins."""

    edge: Inner | Join
    points: list[Point]
    whole: bool = True

    @property
    def own(self) -> list[Point]:
        """The part that no other edge runs on: of one into an output sequence, what leaves the step."""
        return self.points[:2] if self.edge.kind == "gather" else self.points


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

    def at_corner(self) -> Tile:
        """The same with its corner at 0, 0: alike for all cells of one template."""
        return Tile(self.cell, self.layout, self.sizes, 0.0, 0.0)

    def marks(self) -> Iterator[Path | Block]:
        """The edges inside the cell, then its boxes."""
        cell, layout = self.cell, self.layout
        for link, points in zip(cell.template.links, layout.edges, strict=True):
            yield Path(Inner(cell, link), [self.at(point) for point in points])
        for k, (box, centre, size) in enumerate(zip(cell.template.boxes, layout.centres, self.sizes, strict=True)):
            yield Block(cell, k, box, *self.at(centre), *size)


Mark = Panel | Rule | Text | Path | Block


@dataclass(slots=True)
class Drawn:
    """A picture with coordinates, y up from its lower edge."""

    picture: Picture
    width: float
    height: float
    columns: list[tuple[Column, float, float]]
    rows: list[tuple[str, float, float]]
    tiles: list[Tile] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    rules: list[float] = field(default_factory=list)

    def marks(self) -> Iterator[Mark]:
        """Everything that is drawn, from the back to the front."""
        for mark in self.groups():
            if isinstance(mark, Tile):
                yield from mark.marks()
            else:
                yield mark

    def groups(self) -> Iterator[Mark | Tile]:
        """The same walk with the marks of each cell kept together: those of a thousand equal steps are written once."""
        for column, x, width in self.columns:
            if column.kind in ("step", "layer"):
                yield Panel(column, x, width)
        if len(self.rows) > 1 and self.tiles:
            for name, floor, height in self.rows:
                yield Text("row", name, 0.0, floor + height / 2)
        yield from map(Rule, self.rules)
        yield from self.tiles
        for path in self.paths:
            yield path
            (x1, y1), (x2, y2) = path.points[:2]
            if path.edge.name and abs(y1 - y2) < 0.1 and self.picture.names_edge(path.edge.kind):
                yield Text("state", path.edge.name, (x1 + x2) / 2, y1)
