"""The picture as data: columns, cells, and the edges between cells. Nothing here knows about coordinates.

Columns go with time. A cell stands where a column meets a row; there is a row for each layer. Beside the time steps
there are columns for initial states, for cuts, for folded steps, and for what was computed before and after (`PHASES`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..autograd.tensor import Tensor
from ..engine.modes import Step
from ..engine.tape import Record
from ..errors import DrawError
from ..unrolled.network import fused
from .fold import LIMIT, choose
from .parts import Cell, Column, Edge, Join, Node, Use
from .reading import Reading, whole
from .sources import Origin, Sources
from .template import Box, Rows, Template, cell_template, group_template, identifier, labels, op_template, shape_text

if TYPE_CHECKING:
    from .flow import Flow
    from .overlay import Overlay

PHASES = {
    "past": -4, "cut": -3, "setup": -2, "init": -1, "step": 0, "fold": 0, "layer": 0,
    "init_back": 1, "cut_back": 2, "past_back": 3, "head": 4,
}  # fmt: skip
"""Where a column stands among those of one time step: a cut before it, the loss after it."""

GUARD = 500  # boxes of one cell; beyond that a plain layout is neither fast nor readable

MANY = 1000  # an output of a step drawn as one box is port record * MANY + output


class Picture:
    """What is to be drawn of a tape."""

    def __init__(
        self, reading: Reading, level: str, steps: Any, values: bool, flow: Flow | None, room: int = LIMIT
    ) -> None:
        self.reading, self.level = reading, level
        largest = flow.largest[1] if flow is not None and flow.largest is not None else None
        if level in ("layer", "strip"):
            self.steps, self.notes = reading.times, list[str]()
            reading.expand([*reading.times[:2], *reading.times[-2:]] if level == "layer" else [])
        else:
            self.steps, self.notes = choose(reading, steps, room, largest) if reading.times else ([], [])
            reading.expand(self.steps)
        self.title = ""
        self.rows = list(reading.layers)
        self.cells: dict[tuple[Any, ...], Cell] = {}
        self.joins: dict[Any, Join] = {}
        self.sources = Sources(reading)
        self._grads = flow is not None
        self._extra = values + self._grads  # lines of a box
        self._templates: dict[Any, Template] = {}
        self._losses = reading.network.added.losses
        self._details: dict[Any, str] = {}
        self._constants: dict[tuple[Any, ...], list[str]] = {}
        self._folds = self.sources.folds = self._find_folds()
        self._places: dict[Record, tuple[Cell, int]] = {}  # of the loose records that are drawn
        if level == "strip":
            pass  # the ribbon is all
        elif level == "layer":
            self._build_layers()
        else:
            self._build()
        self.columns = sorted({c.column for c in self.cells.values()}, key=lambda c: (c.t, PHASES.get(c.kind, 0)))

    @property
    def hidden(self) -> list[tuple[int, int]]:
        """The ranges of time steps that are folded, first and last."""
        return sorted(set(self._folds.values())) if self.level != "layer" else []

    def nodes(self) -> Iterator[Node]:
        """Every node, in the order of recording."""
        for cell in self.cells.values():
            for k, box in enumerate(cell.template.boxes):
                lines = tuple(map(cell.text, box.lines))
                yield Node(cell.id_of(k), box.kind, lines, cell.step, cell.text(box.title))

    def edges(self, overlay: Overlay | None = None) -> Iterator[Edge]:
        """Every edge, first those inside cells."""
        for cell in self.cells.values():
            boxes = cell.template.boxes
            for link in cell.template.links:
                kind = "cut" if boxes[link.target].kind == "cut" else "forward"
                a = None if overlay is None else overlay.on_link(cell, link)
                yield Edge(cell.id_of(link.source), cell.id_of(link.target), kind, gradient=a)
        for join in self.joins.values():
            target = join.target.template.entries[join.entry]
            a = None if overlay is None else overlay.on_join(join)
            yield Edge(join.source.id_of(join.box), join.target.id_of(target), join.kind, join.name, a)

    # ---------------------------------------------------------------- cells

    def _build(self) -> None:
        waiting: list[tuple[Cell, tuple[int, int], Origin, Use]] = []
        for step, records in self.reading.steps.items():
            assert step.t is not None
            if step.t not in self._folds:
                waiting += self._add_step(step, records)
            elif ("fold", step.layer, self._folds[step.t][0]) not in self.cells:
                waiting += self._add_fold(step, records)  # the first of its steps in the order of recording
        waiting += self._add_loose(waiting)
        if not self.cells:
            self._add_leaf(self.reading.root)
        for item in waiting:
            self._connect(*item)

    def _build_layers(self) -> None:
        """One cell a layer: a step that stands for all, its state handed on to itself, what the first starts from."""
        times, loops = self.reading.times, []
        waiting: list[tuple[Cell, tuple[int, int], Origin, Use]] = []
        self._folds = self.sources.folds = dict.fromkeys(times[:-1], (times[0], times[-1]))
        for layer in self.reading.layers:
            steps = [step for step in self.reading.steps if step.layer == layer]  # in the order of recording
            first, typical = steps[0], steps[min(1, len(steps) - 1)]
            entering = self._add_layer(typical, self.reading.steps[typical])
            cell = self.cells["step", layer]
            waiting += entering
            if typical is not first:
                records = self.reading.steps[first]
                _, outside = self._described(
                    records, [self.sources.of_step(first, k, r) for k, r in enumerate(records)]
                )
                waiting += [(cell, *rest) for rest in outside if rest[1].kind in ("init", "forward")]
                loops.append((cell, [rest for _, *rest in entering if rest[1].kind == "state"], len(steps) - 1))
        waiting += self._add_loose(waiting)
        for item in waiting:
            self._connect(*item)
        for loop in loops:
            self._add_loop(*loop)

    def _find_folds(self) -> dict[int, tuple[int, int]]:
        """For each hidden step, the range of hidden steps that it lies in."""
        folds: dict[int, tuple[int, int]] = {}
        run: list[int] = []
        shown = set(self.steps)
        for t in [*self.reading.times, None]:
            if t is not None and t not in shown:
                run.append(t)
            elif run:
                folds.update(dict.fromkeys(run, (run[0], run[-1])))
                run = []
        return folds

    def _add_step(self, step: Step, records: list[Record]) -> list[Any]:
        rows, outside = self._described(records, [self.sources.of_step(step, k, r) for k, r in enumerate(records)])
        key = (step.layer, tuple(map(self._signature, records)), rows)
        template = self._templates.get(key)
        if template is None:
            if self.level == "op" and len(records) > GUARD:
                raise DrawError(f'{step} has {len(records)} ops, too many to read: draw(root, level="cell") folds them')
            build = op_template if self.level == "op" else cell_template
            template = self._templates[key] = build(self.reading, records, rows, self._losses, self._extra)
        cell = Cell(
            template, Column("step", step.t or 0), self._row(step.layer), self._prefix(f"t{step.t}", step.layer)
        )
        cell.step, cell.layer = step, step.layer
        cell.back = self.reading.reverse[step.layer]
        cell.records = cell.members = records
        self.cells["step", step] = cell
        return [(cell, *rest) for rest in outside]

    def _add_layer(self, step: Step, records: list[Record]) -> list[Any]:
        """All steps of a layer as one box, which looks like this one of them."""
        rows, outside = self._described(records, [self.sources.of_step(step, k, r) for k, r in enumerate(records)])
        template = cell_template(self.reading, records, rows, self._losses, 0)
        template.boxes[0].extra = 2 * self._grads
        times = self.reading.times
        column = Column("layer", times[0], (times[0], times[-1]))
        cell = Cell(template, column, self._row(step.layer), self._prefix("all", step.layer), mark="t")
        cell.layer, cell.back = step.layer, self.reading.reverse[step.layer]
        self.cells["step", step.layer] = cell
        return [(cell, *rest) for rest in outside]

    def _add_loop(self, cell: Cell, states: list[Any], times: int) -> None:
        """The state of the step before as a box of its own, into which the state of the cell goes back."""
        before = self._beside(cell, "init")
        box = len(before.template.boxes)
        names = dict.fromkeys(self.reading.output_name(x.record, x.output) or "s" for _, (_, x, _), _ in states)
        cuts = [str(t) for _, t in sorted(self.reading.network.cuts)]
        places = f"✂ detach before t = {', '.join(cuts)}" if len(cuts) < 4 else f"✂ {len(cuts)} times detached"
        lines = (f"× {times}", f"{' '.join(names)} of t {'+' if cell.back else '−'} 1", *([places] if cuts else []))
        before.template.add("loop", "loop", lines, f"{', '.join(names)}, handed on {times} times")
        for entry, (_, x, _), use in states:
            name = self.reading.output_name(x.record, x.output) or "s"
            port = MANY + list(names).index(name)
            before.template.entries[0, port] = box
            made = self.reading.place(x.record) * MANY + x.output
            self._join((cell, 0, made), before, (0, port), "state", name, use)
            self._join((before, box, port), cell, entry, "state", name, use)

    def _add_fold(self, step: Step, records: list[Record]) -> list[Any]:
        """The folded steps of a layer as one box; what enters it is what enters the first of them."""
        assert step.t is not None
        first, last = self._folds[step.t]
        _, outside = self._described(records, [self.sources.of_step(step, k, r) for k, r in enumerate(records)])
        count, ops = self.reading.count(step.layer, first, last)
        span = f"t = {first} … {last}" if first != last else f"t = {first}"
        template = Template(folded=True)
        cuts = sum(first <= t <= last for _, t in self.reading.network.cuts)
        inside = [f"{cuts} cut{'s' * (cuts != 1)} inside"] if cuts else []
        lines = (f"{count} step{'s' * (count != 1)}", "not shown", span, f"{ops} ops", *inside)
        words = f"{count} steps of {step.layer} are not shown: {span}"
        template.add("fold", "fold", lines, words, 2 * self._grads)
        column = Column("fold", first, (first, last))
        cell = Cell(template, column, self._row(step.layer), self._prefix(f"t{first}to{last}", step.layer))
        cell.layer, cell.back = step.layer, self.reading.reverse[step.layer]
        self.cells["fold", step.layer, first] = cell
        if fused(records[0]):  # in the order of the ops: first what the entry of the sequence is made of
            outside.sort(key=lambda item: item[2][1] < len(self.reading.inputs(records[0])))
        return [(cell, *rest) for rest in outside if rest[1].kind in ("state", "forward")]

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
        look = labels(self.reading, record, lost) if varies and self.level == "op" else None
        return self._details[op], names, tuple(v.shape for v in record.values), lost, look

    def _described(self, records: list[Record], found: list[Any]) -> tuple[Rows, list[tuple[Any, Origin, Use]]]:
        """The sources of each record; and what enters from outside, at which place, and for which input of which."""
        outside = []
        for k, row in enumerate(found):
            for i, (source, origin) in enumerate(row):
                if origin is not None:
                    entry = (-1, source.number) if source.kind == "cut" else (k, 0 if origin.kind == "gather" else i)
                    outside.append((entry, origin, (records[k], i)))
        return tuple(tuple(source for source, _ in row) for row in found), outside

    def _add_loose(self, waiting: list[Any]) -> list[Any]:
        """The records outside the steps: before the first step that needs them, or after the last they depend on."""
        groups: dict[Column, list[Record]] = {}
        hidden: list[tuple[Record, int]] = []
        for record, column in sorted(self._loose_columns(waiting).items(), key=lambda item: item[0].seq):
            if column.t not in self._folds or (self.level == "layer" and column.kind == "setup"):
                groups.setdefault(column, []).append(record)
            else:
                hidden.append((record, column.t))
        inside = [(r, t, i, x) for r, t in hidden for i, x in enumerate(self.reading.inputs(r)) if x is not None]
        loose = [(r, t, i, x) for r, t, i, x in inside if x.record in self.reading.after]
        outside = [(self._fold_at(t), (-4, 0), Origin("forward", x), (r, i)) for r, t, i, x in loose]
        early = any(column.kind == "head" and column.t < self.reading.times[-1] for column in groups)
        if early:  # losses of windows or of steps stand above their step, so that they are not in the way of the states
            self.rows.append("loss")
        for column, records in groups.items():
            if len(records) > GUARD:
                raise DrawError(
                    f"{len(records)} ops outside of any time step are too many to draw (the limit is {GUARD}). Run the "
                    "loop over time inside `with tg.scope(name) as at:` and call at(t) at each step, so that the "
                    "picture can fold it; the layers of tg.nn do this. Or draw a smaller part of the graph"
                )
            places = {record: k for k, record in enumerate(records)}
            rows, entering = self._described(records, [self.sources.of_loose(record, places) for record in records])
            if self.level != "op" and column.kind != "plain":
                ends = [k for record, k in places.items() if record in self._ends]
                template = group_template(self.reading, records, rows, self._losses, self._extra, ends)
                places = {records[end]: box for box, end in enumerate(ends)}
            else:
                template = op_template(self.reading, records, rows, self._losses, self._extra)
            names = {"setup": f"before{column.t}", "head": f"after{column.t}", "plain": "n"}
            cell = Cell(template, column, None, names[column.kind], records=list(places), members=records)
            if early and column.kind == "head":
                cell.column, cell.row = Column("step", column.t), len(self.rows) - 1
            self.cells[tuple(column)] = cell
            self._places.update((record, (cell, k)) for record, k in places.items())
            outside += [(cell, *rest) for rest in entering]
        return outside

    def _fold_at(self, t: int) -> Cell:
        """The folded steps in which the loose records of this step are hidden."""
        if self.level == "layer":
            return self.cells["step", self.reading.layers[-1]]
        first = self._folds[t][0]
        return next(self.cells["fold", layer, first] for layer in self.rows if ("fold", layer, first) in self.cells)

    def _loose_columns(self, waiting: list[Any]) -> dict[Record, Column]:
        """Which loose records have to be drawn, and in which column."""
        reading = self.reading
        wanted: dict[Record, int] = {}  # the earliest step that needs it
        requests = [(cell.column.t, origin.x.record) for cell, _, origin, _ in waiting] + self.sources.wanted
        for t, record in requests:
            if record is not None and record in reading.after:
                wanted[record] = min(t, wanted.get(record, t))
        end = reading.times[-1] if reading.times else 0
        root = reading.root.record
        if root is not None and root in reading.after:
            wanted.setdefault(root, end)
        found: dict[Record, Column] = {}
        self._ends = {record for _, record in requests if record is not None} | self._losses | {root}
        for record in reversed(reading.loose):
            if record not in wanted:
                continue
            t = reading.after[record]
            if not reading.times:
                found[record] = Column("plain", 0)
            elif t is not None:
                found[record] = Column("head", t)
            else:
                found[record] = Column("setup", max(wanted[record], self.steps[0]))
            for x in reading.inputs(record) if not reading.stacked(record) else ():
                made = None if x is None else reading.taken(x).record
                if made is not None and made in reading.after:
                    wanted[made] = min(wanted[record], wanted.get(made, end))
        for record, column in found.items():  # at level "cell" only what another column needs is a box of its own
            if reading.stacked(record):
                continue
            made_by = [reading.taken(x).record for x in reading.inputs(record) if x is not None]
            self._ends.update(made for made in made_by if made is not None and found.get(made, column) != column)
        return found

    def _add_leaf(self, root: Tensor) -> None:
        """A root that nothing was computed for."""
        template = Template()
        name = self.reading.name(root) or "x"
        kind = "leaf" if root.requires_grad else "input"
        template.add(name, kind, tuple(filter(None, (name, shape_text(root.shape)))), f"{name}: a leaf")
        self.cells["plain", 0] = Cell(template, Column("plain", 0), None, "n")

    # ---------------------------------------------------------------- edges between cells

    def _connect(self, cell: Cell, entry: tuple[int, int], origin: Origin, use: Use) -> None:
        kind, x, role = origin
        if kind in ("init", "cut") or (x.record is None and kind != "past"):
            start = self._constant(cell, kind, x, role or "x", entry, use)
            self._join(start, cell, entry, "cut" if kind == "cut" else "state", role, use)
        elif kind == "past":
            assert x.cut is not None
            self._join(self._made_by(x.cut.record(), x.cut.output), cell, entry, "cut", "", use)
        else:
            name = self.reading.output_name(x.record, x.output) or ""  # type: ignore[arg-type]
            self._join(self._made_by(x.record, x.output), cell, entry, kind, name, use)

    def _join(self, start: Any, cell: Cell, entry: tuple[int, int], kind: str, name: str, use: Use) -> None:
        if start is None or start[0] is cell:
            return
        if cell.template.folded and cell.layer is not None:
            if name in self._state_names(cell.layer):  # two uses of h in one box are one edge
                sign = -1 if self.level == "op" else 1  # h above c where it comes from, so that fewer lines cross
                entry = (-2, sign * self._port(cell.layer, name))
            cell.template.entries.setdefault(entry, 0)
        source, box, port = start
        key = (source, box, port, cell, entry)
        self.joins.setdefault(key, Join(*key, kind, name, [])).uses.append(use)

    def _state_names(self, layer: str) -> list[str]:
        return list(next(run for run in self.reading.network.runs if run.layer == layer).places)

    def _port(self, layer: str, state: str) -> int:
        """Where a state leaves a box for a whole step: the first on top, as the ops of a cell come to h last."""
        return MANY * MANY - self._state_names(layer).index(state)

    def _made_by(self, record: Record | None, output: int) -> tuple[Cell, int, int] | None:
        """The cell, box and port where an output is drawn; None where it is not."""
        if record is None:
            return None
        record, output = self.reading.standing(record, output)
        if record in self.reading.where:
            step, k = self.reading.where[record], self.reading.place(record)
            if self.level == "layer":
                return self.cells["step", step.layer], 0, k * MANY + output
            if step.t in self._folds:
                state = self.reading.network.named.get((record, output))
                port = k * MANY + output if state is None else self._port(step.layer, state[1])
                return self.cells["fold", step.layer, self._folds[step.t][0]], 0, port
            cell = self.cells["step", step]
            return (cell, 0, k * MANY + output) if self.level == "cell" else (cell, k, output)
        if record in self._places:
            return *self._places[record], output
        t = self.reading.after.get(record)
        if t in self._folds:
            return self._fold_at(t), 0, -1
        return None

    def _constant(
        self, cell: Cell, kind: str, x: Tensor, role: str, entry: tuple[int, int], use: Use
    ) -> tuple[Cell, int, int]:
        """An initial or severed state, in a column before the step that takes it; after it, where time runs left."""
        found = self._beside(cell, "cut" if kind == "cut" else "init")
        key, before = (*found.column, found.layer), self._before(cell)
        given = x.name if x.name and "_" in x.name else None
        name = self.reading.given.get(x) or given or f"{role}_{before}"
        names = self._constants.setdefault(key, [])
        if name in names:
            port = names.index(name)
            return (found, port, 0) if self.level == "op" else (found, 0, port)
        port = len(names)
        names.append(name)
        shape = shape_text(x.shape)
        words = "detached: no gradient passes" if kind == "cut" else "initial state"
        mark = "cut" if kind == "cut" else "leaf" if x.requires_grad else "input"
        boxes = found.template.boxes
        if self.level != "op" and boxes:  # all states of a layer in one box
            boxes[0] = Box(boxes[0].key, mark, (" ".join(names), shape), f"{', '.join(names)} {shape}: {words}")
        else:
            label = role if self.level == "op" else "state"
            found.template.add(label, mark, (name, shape), f"{name} {shape}: {words}")
        box, out = (port, 0) if self.level == "op" else (0, port)
        if kind == "cut":
            found.template.entries[0, port] = box
            past = self._past_of(x, cell, role) or self._gone(found, before, port)
            self._join(past, found, (0, port), "cut", role, use)
        return found, box, out

    def _beside(self, cell: Cell, kind: str) -> Cell:
        """The cell for what a layer starts from, in a column of its own."""
        t, layer = cell.column.t, cell.layer or self.reading.layers[0]
        column = Column(kind + "_back" * cell.back, t)
        key = (*column, layer)
        if key not in self.cells:
            before = self._before(cell)
            start = f"cut{t}" if kind == "cut" else f"init{t}" if before in self.reading.times else f"t{before}"
            prefix = self._prefix(start, layer)
            self.cells[key] = Cell(Template(), column, self._row(layer), prefix, layer=layer, back=cell.back)
        return self.cells[key]

    def _before(self, cell: Cell) -> int:
        """The step whose state enters a cell."""
        first, last = cell.column.hidden or (cell.column.t, cell.column.t)
        return last + 1 if cell.back else first - 1

    def _gone(self, cut: Cell, before: int, port: int) -> tuple[Cell, int, int]:
        """What lies before a cut and is no part of the graph: a shadow of it, so that it does not vanish silently."""
        column = Column("past" + "_back" * cut.back, cut.column.t)
        key = (*column, cut.layer)
        if key not in self.cells:
            template = Template(folded=True)
            steps = f"t {'≥' if cut.back else '≤'} {before}"
            words = f"steps with {steps}, before the cut: no gradient gets here"
            template.add("past", "past", ("before the cut", steps, "no gradient"), words)
            prefix = self._prefix(f"past{cut.column.t}", cut.layer or "")
            self.cells[key] = Cell(template, column, cut.row, prefix, layer=cut.layer, back=cut.back)
        return self.cells[key], 0, port

    def _past_of(self, x: Tensor, cell: Cell, role: str) -> tuple[Cell, int, int] | None:
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
