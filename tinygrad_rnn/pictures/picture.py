"""The picture as data: columns, cells, and the edges between cells. Nothing here knows about coordinates.

Columns go with time. A cell stands where a column meets a row; there is a row for each layer. Beside the time steps
there are columns for initial states, for cuts, for folded steps, and for what was computed before and after (`PHASES`).
What is the same at every level is here, the levels themselves in `levels`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, ClassVar

from ..autograd.tensor import Tensor
from ..engine.modes import Step
from ..engine.tape import Record
from ..errors import DrawError
from ..unrolled.listing import shorten
from .flow import Flow
from .fold import LIMIT
from .highlight import Highlight
from .options import Options
from .outside import columns_outside
from .parts import Cell, Column, Inner, Join, Node, Use
from .reading import Reading, whole
from .results import Results
from .sources import Found, Origin, Sources
from .template import (
    ROUND,
    Box,
    Enters,
    Entry,
    Leaves,
    Port,
    Rows,
    Show,
    Template,
    cell_template,
    group_template,
    identifier,
    op_template,
    shape_text,
)

PHASES = {
    "past": -5, "cut": -4, "setup": -3, "init": -2, "loop": -1, "step": 0, "fold": 0, "layer": 0,
    "loop_back": 1, "init_back": 2, "cut_back": 3, "past_back": 4, "head": 5,
}  # fmt: skip
"""Where a column stands among those of one time step: a cut before it, the loss after it."""

GUARD = 500  # boxes of one cell; beyond that a plain layout is neither fast nor readable
FULL = 30  # drawn steps; beyond, a picture shows the gradient of each step, and no longer that of each edge

Outside = tuple[Entry, Origin, Use]
"""What enters a cell from outside: where, what it is, and the input that it is."""

Start = tuple[Cell, int, Port]
"""Where an edge starts: a cell, its box, and a port of that."""


class Picture:
    """What is to be drawn of a tape; a level is a class that says how its cells are built (`_build`).

    Here a box stands for a whole step, as at most levels.
    """

    level: ClassVar[str]
    all_steps: ClassVar[bool] = False
    """Whether it shows all time steps at once, so that none is chosen or folded."""

    def __init__(
        self, reading: Reading, steps: Any, flow: Flow | None, options: Options | None = None, room: int = LIMIT
    ) -> None:
        self.reading, self.options = reading, options or Options()
        largest = flow.largest[1] if flow is not None and flow.largest is not None else None
        self.largest = largest  # the step whose state gets the largest gradient
        words = self._labelled()
        self.labels = {t: shorten(word, 20) for t, word in words.items() if word.strip()}
        self.highlight = Highlight(reading, self.options, words)
        self.unit = self.options.smallest  # px of a unit of the layout
        self.page = self.options.page  # how wide it is to be, in these
        self.breaks_anywhere = False  # whether a line may end between a step and what it starts from
        self.steps, self.notes = self._choose(steps, room, largest)
        self.title = ""  # what it is called as one of several
        self.number: int | None = None  # which of several it is
        self.rows = list(reading.layers)
        self.loss_row = len(self.rows)  # that of losses, if they have one: above layers and memories
        self.cells: dict[tuple[Any, ...], Cell] = {}
        self.joins: dict[Any, Join] = {}
        self._entered: dict[Any, Entry] = {}  # by the end and the cell of an edge into a box for a whole step
        self._entries: dict[Any, Start] = {}  # where the entries of sequences are drawn
        self.sources = Sources(reading, self.all_steps, self.steps)
        self.flow, self._grads = flow, flow is not None
        shown = map(self.options.shows, ("shapes", "weights"))
        self._show = Show(int(self.options.shows("values")), int(self.options.numbers), *shown)
        self._losses = reading.network.added.losses
        self._details: dict[Any, str] = {}
        self._constants: dict[tuple[Any, ...], list[str]] = {}
        self._folds = self.sources.folds = self._find_folds()
        self._places: dict[Record, tuple[Cell, int]] = {}  # of the loose records that are drawn
        self._build()
        self.figures = self._figures()
        self.columns = sorted({c.column for c in self.cells.values()}, key=lambda c: (c.t, PHASES.get(c.kind, 0)))

    def _choose(self, steps: Any, room: int, largest: int | None) -> tuple[list[int], list[str]]:
        """The time steps to show, and what to say of others; puts the ops of the cell in the place of fused ones."""
        return self.reading.times, []

    def _figures(self) -> dict[str, tuple[str, ...]]:
        """For each node the values and gradients that were asked for, as text; notes the longest at each box."""
        found: dict[str, tuple[str, ...]] = {}
        if self._show.lines:
            results = Results(self.sources, self.flow if self.options.numbers else None, bool(self._show.values))
            for cell in self.cells.values():
                for k, lines in results.lines(cell):
                    found[cell.id_of(k)] = lines
                    box = cell.template.boxes[k]
                    box.widest = [max(both, key=len) for both in zip_longest(box.widest, lines, fillvalue="")]
        return found

    def _labelled(self) -> Mapping[int, str]:
        """The word that stands under each step: what the author says, else what the step was called."""
        labels, times = self.options.labels, self.reading.times
        if labels is None:
            labels = self.reading.words
        elif not times:
            raise DrawError(
                "labels are words for time steps, and this graph has none: tg.nn.unroll and tg.scope tag them"
            )
        elif isinstance(labels, Sequence):
            if len(labels) != len(times):
                raise DrawError(f"labels must have a word for each of {len(times)} time steps, not {len(labels)}")
            labels = dict(zip(times, labels, strict=True))
        known = set(times)
        unknown = [t for t in labels if t not in known]
        if unknown:
            raise DrawError(f"labels must speak of time steps {times[0]} to {times[-1]}, not of {unknown[0]!r}")
        return labels

    def _find_folds(self) -> dict[int, tuple[int, int]]:
        """For each hidden step, the range of hidden steps that it lies in."""
        return {}

    def _build(self) -> None:
        """Make the cells and the joins between them."""
        raise NotImplementedError

    @property
    def hidden(self) -> list[tuple[int, int]]:
        """The ranges of time steps that are folded, first and last."""
        return []

    @property
    def full(self) -> bool:
        """Whether there are few enough steps to say something of each edge."""
        return len(self.steps) <= FULL

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

    def nodes(self) -> Iterator[Node]:
        """Every node, in the order of recording."""
        for cell in self.cells.values():
            for k, box in enumerate(cell.template.boxes):
                lines = tuple(map(cell.text, box.lines))
                records = cell.records if cell.template.folded else cell.records[k : k + 1]
                yield Node(cell.id_of(k), box.kind, lines, cell.step, cell.text(box.title), tuple(records))

    def edges(self) -> Iterator[Inner | Join]:
        """Every edge, first those inside cells."""
        for cell in self.cells.values():
            for link in cell.template.links:
                yield Inner(cell, link)
        yield from self.joins.values()

    # ---------------------------------------------------------------- cells

    def _layer_cell(self, template: Template, column: Column, start: str, layer: str) -> Cell:
        """A cell in the row of a layer, whose ids start with this."""
        cell = Cell(template, column, self._row(layer), self._prefix(start, layer))
        cell.layer, cell.back = layer, self.reading.reverse[layer]
        return cell

    def _note_entries(self, cell: Cell) -> None:
        """Note the boxes of a cell that stand for entries of sequences, which another layer may take too."""
        for link in cell.template.links if len(self.reading.layers) > 1 else ():
            box = cell.template.boxes[link.source]
            x = self.sources.tensors.get(box.number) if box.kind in ROUND else None
            for record, _ in cell.uses(link) if x is not None else ():
                if x is not None and self.reading.entry(record) is not None:
                    key = self.sources.entry_key(x, record)
                    self._entries.setdefault(key, (cell, link.source, Port(Leaves.RESULT)))

    def _row(self, layer: str) -> int:
        return self.rows.index(layer)

    def _prefix(self, start: str, layer: str) -> str:
        """The start of the ids in a cell: the step, and where there are several layers, the layer."""
        if len(self.reading.layers) == 1:
            return start
        name = identifier(layer)
        alone = sum(identifier(other) == name for other in self.reading.layers) == 1
        return f"{start}_{name}" if alone else f"{start}_{name}_row{self._row(layer)}"

    def _signature(self, record: Record) -> Any:
        """What two records must have in common to be drawn alike, beside their inputs."""
        names = tuple(self.reading.output_name(record, k) for k in range(record.op.outputs))
        op = record.op
        if op not in self._details:  # the options of an op are part of its look, but not which step it takes
            taken = op.name == "getitem" and whole(op.index) is not None  # type: ignore[attr-defined]
            self._details[op] = op.name if taken else repr(op)
        lost = record in self._losses
        varies = lost or op.name == "getitem" or any(x is None for x in record.inputs)
        # a loss, an index or a number written into an op may be another one at each step
        look = self._look(record, lost) if varies else None
        return self._details[op], names, tuple(v.shape for v in record.values), lost, look

    def _look(self, record: Record, lost: bool) -> Any:
        """What is written into the box of a record, where it has one of its own."""
        return None

    def _described_step(self, step: Step, records: list[Record]) -> tuple[Rows, list[Outside]]:
        return self._described(records, [self.sources.of_step(step, k, record) for k, record in enumerate(records)])

    def _described(self, records: list[Record], found: list[list[Found]]) -> tuple[Rows, list[Outside]]:
        """The sources of each record, and what enters from outside."""
        outside: list[Outside] = []
        for k, row in enumerate(found):
            for i, (source, origin) in enumerate(row):
                if origin is None:
                    continue
                if source.kind == "cut":
                    entry = Entry(Enters.CUT, 0, source.number)
                else:
                    entry = Entry(Enters.INPUT, k, 0 if origin.kind == "gather" else i)
                outside.append((entry, origin, (records[k], i)))
        return tuple(tuple(source for source, _ in row) for row in found), outside

    def _add_loose(self, waiting: list[Any]) -> list[Any]:
        """The records outside the steps: before the first step that needs them, or after the last they depend on."""
        requests = [(cell.column.t, origin.x.record) for cell, _, origin, _ in waiting] + self.sources.wanted
        columns, ends = columns_outside(self.reading, requests, self.steps)
        groups: dict[Column, list[Record]] = {}
        hidden: list[tuple[Record, int]] = []
        for record, column in sorted(columns.items(), key=lambda item: item[0].seq):
            if self._folded(column):
                hidden.append((record, column.t))
            else:
                groups.setdefault(column, []).append(record)
        for column in [column for column in groups if column.kind == "memory"]:
            self._make_room(self._row_of(groups[column]))
        early = any(column.kind == "head" and column.t < self.reading.times[-1] for column in groups)
        if early:  # losses of windows or of steps stand above their step, so that they are not in the way of the states
            self.rows.append("loss")
        entering = list(self._entering_hidden(hidden))
        for column, records in groups.items():
            cell, outside = self._add_group(column, records, ends)
            if early and column.kind == "head":
                cell.column, cell.row = Column("step", column.t), len(self.rows) - 1
            elif column.kind == "memory":
                cell.column, cell.row = self._step_column(column.t), self._row_of(records)
            entering += [(cell, *rest) for rest in outside]
        return entering

    def _row_of(self, records: list[Record]) -> int:
        """The row above the layers that these records were made of."""
        inputs = (x for record in records for x in self.reading.inputs(record) if x is not None and x.record)
        made = {self.reading.where[x.record].layer for x in inputs if x.record in self.reading.where}
        return 1 + max(map(self._row, made), default=len(self.rows) - 1)

    def _make_room(self, row: int) -> None:
        """Put a row between those of the layers."""
        self.rows.insert(row, "memory")
        self.loss_row += 1
        for cell in self.cells.values():
            if cell.row is not None and cell.row >= row:
                cell.row += 1

    def _step_column(self, t: int) -> Column:
        return Column("step", t)

    def _folded(self, column: Column) -> bool:
        """Whether what stands in this column outside the steps is hidden together with folded steps."""
        return column.t in self._folds

    def _entering_hidden(self, hidden: list[tuple[Record, int]]) -> Iterator[Any]:
        """What the records need that are hidden with folded steps, of others outside the steps."""
        for record, t in hidden:
            for i, x in enumerate(self.reading.inputs(record)):
                if x is not None and x.record in self.reading.after:
                    yield self._fold_at(t), Entry(Enters.HIDDEN), Origin("forward", x), (record, i)

    def _add_group(self, column: Column, records: list[Record], ends: set[Record | None]) -> tuple[Cell, list[Outside]]:
        """The records outside the steps that stand in one column; `ends` are to have boxes of their own."""
        if len(records) > GUARD:
            raise DrawError(
                f"{len(records)} ops outside of any time step are too many to draw (the limit is {GUARD}). Run the "
                "loop over time inside `with tg.scope(name) as at:` and call at(t) at each step, so that the "
                "picture can fold it; the layers of tg.nn do this. Or draw a smaller part of the graph"
            )
        places = {record: k for k, record in enumerate(records)}
        rows, outside = self._described(records, [self.sources.of_loose(record, places) for record in records])
        if column.kind == "plain":
            template = op_template(self.reading, records, rows, self._losses, self._show)
        else:
            template, places = self._group_template(records, rows, [k for r, k in places.items() if r in ends])
        words = {"setup": "before", "head": "after", "memory": "memory"}
        name = f"{words[column.kind]}{column.t}" if column.kind in words else "n"
        cell = Cell(template, column, None, name, records=list(places), members=records)
        self.cells[tuple(column)] = cell
        self._places.update((record, (cell, k)) for record, k in places.items())
        return cell, outside

    def _step_template(self, step: Step, records: list[Record], rows: Rows, show: Show) -> Template:
        return cell_template(self.reading, records, rows, self._losses, show)

    def _group_template(self, records: list[Record], rows: Rows, ends: list[int]) -> tuple[Template, dict[Record, int]]:
        """A template for records outside the steps, and the box of each that has one."""
        template = group_template(self.reading, records, rows, self._losses, self._show, ends)
        return template, {records[end]: box for box, end in enumerate(ends)}

    def _add_leaf(self, root: Tensor) -> None:
        """A root that nothing was computed for."""
        template = Template(show=self._show)
        name = self.reading.name(root) or "x"
        kind = "leaf" if root.requires_grad else "input"
        template.add(name, kind, tuple(filter(None, (name, shape_text(root.shape)))), f"{name}: a leaf")
        self.cells["plain", 0] = Cell(template, Column("plain", 0), None, "n")

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
            if name in self._state_names(cell.layer):  # two uses of h in one box are one edge
                entry = self._state_entry(self._state_names(cell.layer).index(name))
            else:  # and so are two uses of anything else
                entry = self._entered.setdefault((*start, cell), entry)
            cell.template.entries.setdefault(entry, 0)
        elif start[0].column.kind == "fold":  # and so is all that folded steps hand on to one box
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
        """Where the state of this number leaves folded steps: the first below, as the ops of a cell come to h last."""
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
        return (self._fold_at(t), 0, Port(Leaves.HIDDEN)) if t is not None and t in self._folds else None

    def _made_in_step(self, record: Record, output: int) -> Start:
        """Where an output of a record of a step is drawn."""
        raise NotImplementedError

    def _fold_at(self, t: int) -> Cell:
        """The folded steps in which the loose records of this step are hidden."""
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
