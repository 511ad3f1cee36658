"""The parts of a picture as data: nodes and edges, and the columns and cells that they are arranged in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..autograd.tensor import Tensor
from ..engine.modes import Step
from ..engine.tape import Record
from .amount import Amount
from .reading import MARK
from .template import Entry, Link, Port, Template

Use = tuple[Record, int]
"""One input of one record: where a result is used."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the picture: `kind` is op, state, cell, ref, leaf, entry, input, loss, cut, past, loop or fold.

    records  the records of the tape that it stands for, where the tape has no op that is drawn as several
    """

    id: str
    kind: str
    lines: tuple[str, ...]
    step: Step | None = None
    title: str = ""
    records: tuple[Record, ...] = field(default=(), repr=False)

    @property
    def label(self) -> str:
        return " ".join(self.lines)


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge: `kind` is forward, state (from step to step), gather (a step into an output sequence) or cut.

    gradient  with ``grads=True`` how much gradient goes back along it; None where nothing needs any
    """

    source: str
    target: str
    kind: str = "forward"
    name: str = ""
    gradient: Amount | None = None


class Column(NamedTuple):
    """A column: its kind, its time step, and for folded steps the first and last one hidden."""

    kind: str
    t: int
    hidden: tuple[int, int] | None = None

    @property
    def heading(self) -> str:
        first, last = self.hidden or (self.t, self.t)
        return f"t = {first}" if first == last else f"t = {first} … {last}"


@dataclass(eq=False, slots=True)
class Cell:
    """A template at a place, with its step number. `row` is None where a cell spans all rows.

    records  what the first boxes stand for, one each
    members  what the template was made of, and its links speak of by number
    starts   of what a layer starts from, for each box the states that stand in it, with names where there are several
    """

    template: Template
    column: Column
    row: int | None
    prefix: str
    step: Step | None = None
    layer: str | None = None
    back: bool = False  # time runs to the left
    records: list[Record] = field(default_factory=list)
    members: list[Record] = field(default_factory=list)
    mark: str = ""  # what stands for the step number, where there is none
    starts: list[list[tuple[str, Tensor]]] = field(default_factory=list)

    def id_of(self, box: int) -> str:
        return f"{self.prefix}_{self.template.boxes[box].key}"

    def uses(self, link: Link) -> list[Use]:
        """The inputs of records that a link stands for."""
        known = self.template.uses.get(link)
        if known is None:
            known = [(link.target, link.slot)] if link.target < len(self.members) else []
        return [(self.members[k], i) for k, i in known]

    def text(self, line: str) -> str:
        return line.replace(MARK, str(self.step.t) if self.step is not None else self.mark)


class Inner(NamedTuple):
    """An edge inside a cell."""

    cell: Cell
    link: Link
    name: str = ""

    @property
    def ends(self) -> tuple[str, str]:
        """The ids of the nodes it joins."""
        return self.cell.id_of(self.link.source), self.cell.id_of(self.link.target)

    @property
    def into(self) -> int:
        """The box it enters."""
        return self.link.target

    @property
    def kind(self) -> str:
        return "cut" if self.cell.template.boxes[self.link.target].kind == "cut" else "forward"

    @property
    def uses(self) -> list[Use]:
        """The inputs of records that it stands for."""
        return self.cell.uses(self.link)


@dataclass(eq=False, slots=True)
class Join:
    """An edge between two cells: from a port of a box to an entry of a template, with the inputs that it feeds."""

    source: Cell
    box: int
    port: Port
    target: Cell
    entry: Entry
    kind: str
    name: str
    uses: list[Use] = field(default_factory=list)

    @property
    def ends(self) -> tuple[str, str]:
        """The ids of the nodes it joins."""
        return self.source.id_of(self.box), self.target.id_of(self.into)

    @property
    def into(self) -> int:
        """The box it enters."""
        return self.target.template.entries[self.entry]

    @property
    def lanes(self) -> Any:
        """The same for edges that share their lanes: those from one port, or those that are gathered at one place."""
        return ("to", self.target, self.entry) if self.kind == "gather" else ("from", self.source, self.box, self.port)
