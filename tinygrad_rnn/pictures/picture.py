"""The picture as data: cells, and the edges between them. Nothing here knows about coordinates.

What is the same at every level is here and in `cells`, the levels themselves in `levels`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from ..autograd.tensor import Tensor
from ..engine.modes import Step
from ..engine.tape import Record
from .cells import Cells, Start
from .flow import Flow
from .fold import LIMIT
from .options import Options
from .parts import Cell, Column, Inner, Join, Use
from .reading import Reading
from .sources import Origin
from .template import Box, Enters, Entry, Leaves, Port, Template, shape_text


class Picture(Cells):
    """What is to be drawn of a tape; a level is a class that says how its cells are built (`_build`)."""

    level: ClassVar[str]

    def __init__(
        self,
        reading: Reading,
        steps: Any,
        flow: Flow | None,
        options: Options | None = None,
        room: int = LIMIT,
        above: bool = False,
    ) -> None:
        super().__init__(reading, steps, flow, options, room, above)
        self.joins: dict[Any, Join] = {}
        self._entered: dict[Any, Entry] = {}  # by the end and the cell of an edge into a box for a whole step
        self._constants: dict[tuple[Any, ...], list[str]] = {}  # what stands in the box of what a layer starts from
        self._build()
        self.figures = self._figures()
        self.columns = self._in_order()

    def _build(self) -> None:
        """Make the cells and the joins between them."""
        raise NotImplementedError

    @property
    def tells_edges(self) -> bool:
        """Whether it is known what goes back along each edge."""
        return self._grads and self.full and not self.all_steps

    @property
    def shows_gradients(self) -> bool:
        """Whether a stroke beside each edge says what goes back along it."""
        return self.tells_edges and self.options.strokes

    def adds_losses(self, edge: Inner | Join) -> bool:
        """Whether all that an edge does is to lead from a loss, or from a sum of some, to a sum."""
        sums = self.reading.network.added.sums
        return bool(edge.uses) and all((record, 0) in sums for record, _ in edge.uses)

    def names_edge(self, kind: str) -> bool:
        """Whether the name of what an edge of this kind hands on is written over it: not where the boxes say it."""
        return False

    def edges(self) -> Iterator[Inner | Join]:
        """Every edge, first those inside cells."""
        for cell in self.cells.values():
            for link in cell.template.links:
                yield Inner(cell, link)
        yield from self.joins.values()

    # ---------------------------------------------------------------- edges between cells

    def _connect(self, cell: Cell, entry: Entry, origin: Origin, use: Use) -> None:
        kind, x, role = origin
        if kind == "entry":  # which another layer takes too, and is drawn with
            self._join(self._entries[self.sources.entry_key(x, use[0])], cell, entry, "forward", "", use)
        elif kind in ("init", "cut") or (x.record is None and kind != "past"):
            start = self._constant(cell, kind, x, role or "x", entry, use)
            self._join(start, cell, entry, "cut" if kind == "cut" else "state", role, use)
        elif kind == "past":
            assert x.cut is not None
            self._join(self._made_by(x.cut.record(), x.cut.output), cell, entry, "cut", "", use)
        else:
            name = self.reading.output_name(x.record, x.output) or ""  # type: ignore[arg-type]
            self._join(self._made_by(x.record, x.output), cell, entry, kind, name, use)

    def _join(self, start: Start | None, cell: Cell, entry: Entry, kind: str, name: str, use: Use) -> None:
        if start is None or start[0] is cell:
            return
        if cell.template.folded and cell.layer is not None:
            names = self._state_names(cell.layer) if entry.what is not Enters.HIDDEN else []
            if name in names:  # two uses of h in one box are one edge
                entry = self._state_entry(names.index(name))
            else:  # and so are two uses of anything else
                entry = self._entered.setdefault((*start, cell), entry)
            cell.template.entries.setdefault(entry, 0)
        elif cell.template.folded or start[0].column.kind == "fold":  # or in one for many ops, or of folded steps
            entry = self._entered.setdefault((*start, cell, cell.template.entries.get(entry)), entry)
        key = (*start, cell, entry)
        if key not in self.joins:
            self.joins[key] = Join(*start, cell, entry, kind, name)
        self.joins[key].uses.append(use)

    def _state_names(self, layer: str) -> list[str]:
        return list(next(run for run in self.reading.network.runs if run.layer == layer).places)

    def _state_entry(self, n: int) -> Entry:
        """Where the state of this number enters a box for a whole step: the first below, as where it leaves one."""
        return Entry(Enters.STATE, 0, -n)

    def _state_port(self, n: int) -> Port:
        """Where the state of this number leaves a box for whole steps: the first below, as ops come to h last."""
        return Port(Leaves.STATE, 0, -n)

    def _made_by(self, record: Record | None, output: int) -> Start | None:
        """The cell, box and port where an output is drawn; None where it is not."""
        if record is None:
            return None
        record, output = self.reading.standing(record, output)
        if record in self.reading.where:
            return self._made_in_step(record, output)
        if record in self._places:
            return *self._places[record], Port(Leaves.RESULT, 0, output)
        t = self.reading.after.get(record)
        return (self._fold_with(record, t), 0, Port(Leaves.HIDDEN)) if t is not None and t in self._folds else None

    def _made_in_step(self, record: Record, output: int) -> Start:
        """Where an output of a record of a step is drawn."""
        raise NotImplementedError

    def _constant(self, cell: Cell, kind: str, x: Tensor, role: str, entry: Entry, use: Use) -> Start:
        """An initial or severed state, in a column before the step that takes it; after it, where time runs left."""
        found = self._beside(cell, "cut" if kind == "cut" else "init")
        before = self._before(cell)
        given = x.name if x.name and "_" in x.name else None
        made = self.sources.constants.name(cell.step, use) if kind == "cut" and cell.step is not None else None
        name = self.reading.given.get(x) or given or (made and cell.text(made)) or f"{role}_{before}"
        names = self._constants.setdefault((*found.column, found.layer), [])
        port = Port(Leaves.RESULT, 0, names.index(name) if name in names else len(names))
        if name in names:
            return found, self._constant_box(port.output), port
        names.append(name)
        mark = "cut" if kind == "cut" else "leaf" if x.requires_grad else "input"
        words = "detached: no gradient passes" if kind == "cut" else "initial state"
        self._add_constant(found, names, role, mark, x, words)
        box = self._constant_box(port.output)
        if kind == "cut":
            through = Entry(Enters.INPUT, 0, port.output)
            found.template.entries[through] = box
            past = self._past_of(x, cell, role) or self._gone(found, before, port)
            self._join(past, found, through, "cut", role, use)
        return found, box, port

    def _constant_box(self, n: int) -> int:
        """The box of state n of those that a layer starts from: all stand in one."""
        return 0

    def _add_constant(self, cell: Cell, names: list[str], role: str, mark: str, x: Tensor, words: str) -> None:
        """Add the last of these states that a layer starts from, which is x."""
        template, shape, values = cell.template, shape_text(x.shape), len(names) * self._show.values
        title = f"{', '.join(names)} {shape}: {words}"
        if template.boxes:
            lines = template.words((" ".join(names), shape))
            template.boxes[0] = Box(template.boxes[0].key, mark, lines, title, values)
        else:
            template.add("state", mark, tuple(filter(None, (names[0], shape))), title, values)
        if values:
            known = [held for _, held in cell.starts[0]] if cell.starts else []
            cell.starts = [list(zip(names if known else [""], [*known, x], strict=True))]

    def _beside(self, cell: Cell, kind: str) -> Cell:
        """The cell for what a layer starts from, in a column of its own."""
        t, layer = cell.column.t, cell.layer or self.reading.layers[0]
        column = Column(kind + "_back" * cell.back, t)
        key = (*column, layer)
        if key not in self.cells:
            before = self._before(cell)
            start = f"cut{t}" if kind == "cut" else f"init{t}" if before in self.reading.times else f"t{before}"
            prefix = self._prefix(start, layer)
            self.cells[key] = Cell(
                Template(show=self._show), column, self._row(layer), prefix, layer=layer, back=cell.back
            )
        return self.cells[key]

    def _before(self, cell: Cell) -> int:
        """The step whose state enters a cell."""
        first, last = cell.column.hidden or (cell.column.t, cell.column.t)
        return last + 1 if cell.back else first - 1

    def _gone(self, cut: Cell, before: int, port: Port) -> Start:
        """What lies before a cut and is no part of the graph: a shadow of it, so that it does not vanish silently."""
        column = Column("past" + "_back" * cut.back, cut.column.t)
        key = (*column, cut.layer)
        if key not in self.cells:
            template = Template(True, self._show)
            steps = f"t {'≥' if cut.back else '≤'} {before}"
            words = f"steps with {steps}, before the cut: no gradient gets here"
            template.add("past", "past", ("before the cut", steps, "no gradient"), words)
            prefix = self._prefix(f"past{cut.column.t}", cut.layer or "")
            self.cells[key] = Cell(template, column, cut.row, prefix, layer=cut.layer, back=cut.back)
        return self.cells[key], 0, port

    def _past_of(self, x: Tensor, cell: Cell, role: str) -> Start | None:
        """What a severed state was computed by, if that is part of this graph.

        The layer stacks its last states and the loop detaches the stack, so the record of the cut itself is often gone;
        the state of the step named in the cut is the same thing.
        """
        assert x.cut is not None
        record = x.cut.record()
        if record is not None:
            record, _ = self.reading.standing(record, x.cut.output)
        if record is not None and (record in self.reading.where or record in self._places):
            return self._made_by(record, x.cut.output)
        layer = cell.layer or self.reading.layers[0]
        step = Step(layer, x.cut.step.t if x.cut.step is not None else None)
        place = self.reading.states(step).get(role) if step in self.reading.steps else None
        return None if place is None else self._made_by(*place)
