"""The picture as marks: frames, rules, words, boxes and edges with coordinates. A writer turns them into its format.

`Drawn.marks` is the one walk over them. Coordinates: x to the right, y *up* from the lower edge of the cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from .layout import CellLayout, Point
from .parts import Cell, Column, Inner, Join
from .picture import Picture
from .template import Box


class Panel(NamedTuple):
    """The frame behind a time step: the lower left corner of what it holds, and the size of that."""

    column: Column
    x: float
    y: float
    width: float
    height: float


class Rule(NamedTuple):
    """A line through all rows, where a gradient is cut off; it starts at its scissors."""

    start: Point
    end: Point


class Text(NamedTuple):
    """Words beside something; x, y is the middle of their base line.

    kind    "heading" (of a column), "largest" (gradient), "label" (the author's word for a step), "row" (the name of a
            row) or "state" (handed on by an edge)
    turned  whether they are written upwards
    """

    kind: str
    words: str
    x: float
    y: float
    turned: bool = False


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
    """An edge.

    points   its way; on several lines the last piece of it, which has the head
    whole    false where it ends on the rail that it joins
    earlier  the pieces on the lines before
    level    whether slanted stretches start and end level, and not upright
    """

    edge: Inner | Join
    points: list[Point]
    whole: bool = True
    earlier: tuple[list[Point], ...] = ()
    level: bool = False


class Stretch(NamedTuple):
    """A stretch of a way that one edge runs on, or several share, for what goes back along all of them.

    pieces   its way, one a line
    starts   whether it starts at the box that the edges come from, where what goes back arrives
    level    as in a Path
    """

    edges: tuple[Inner | Join, ...]
    pieces: tuple[list[Point], ...]
    starts: bool = True
    level: bool = False


Turn = Callable[[Point], Point]
"""From a strip, where time goes to the right and depth up, to the direction that was asked for, around (0, 0)."""


def unturned(point: Point) -> Point:
    return point


@dataclass(slots=True)
class Tile:
    """A cell at its place: (x, y) is where the lower left corner of its layout comes to lie. y goes up."""

    cell: Cell
    layout: CellLayout
    sizes: list[tuple[float, float]]
    x: float
    y: float
    turn: Turn = unturned
    level: bool = False  # the boxes of the layout lie on their side

    def at(self, point: Point) -> Point:
        x, y = self.turn((self.layout.width - point[0] if self.cell.back else point[0], point[1]))
        return self.x + x, self.y + y

    def at_corner(self) -> Tile:
        """The same with its corner at 0, 0: alike for all cells of one template."""
        return replace(self, x=0.0, y=0.0)

    def marks(self) -> Iterator[Path | Block]:
        """The edges inside the cell, then its boxes."""
        cell, layout = self.cell, self.layout
        for link, points in zip(cell.template.links, layout.edges, strict=True):
            yield Path(Inner(cell, link), [self.at(point) for point in points], level=self.level)
        for k, (box, centre, size) in enumerate(zip(cell.template.boxes, layout.centres, self.sizes, strict=True)):
            yield Block(cell, k, box, *self.at(centre), *(size[::-1] if self.level else size))


Mark = Panel | Rule | Text | Path | Stretch | Block


class Around(NamedTuple):
    """The room that headings, frames and words take around the cells, at each side."""

    left: float
    below: float
    right: float
    above: float


NOTHING = Around(0.0, 0.0, 0.0, 0.0)


@dataclass(slots=True)
class Drawn:
    """A picture with coordinates, y up from the lower edge of its cells.

    columns  (column, start, extent) along time, and rows (name, start, extent) along depth, as they are in one strip
    """

    picture: Picture
    width: float
    height: float
    columns: list[tuple[Column, float, float]]
    rows: list[tuple[str, float, float]]
    lines: int = 1
    around: Around = NOTHING
    panels: list[Panel] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    tiles: list[Tile] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)

    def marks(self) -> Iterator[Mark]:
        """Everything that is drawn, from the back to the front."""
        for mark in self.groups():
            if isinstance(mark, Tile):
                yield from mark.marks()
            else:
                yield mark

    def groups(self) -> Iterator[Mark | Tile]:
        """The same walk with the marks of each cell kept together: those of a thousand equal steps are written once."""
        yield from self.panels
        yield from self.rules
        yield from self.tiles
        yield from self.stretches
        yield from self.paths
        yield from self.texts
