"""The levels of a picture: what a box stands for, and how the time steps are drawn.

op      a box an op, a column a time step; some steps may be folded
cell    a box a time step of a layer, likewise
layer   a box a layer, whose state is handed on to itself
strip   no graph: the ribbon of gradients is all
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from ..autograd.tensor import Tensor
from ..engine.modes import Step
from ..engine.tape import Record
from ..errors import DrawError
from ..unrolled.expand import fused
from .cells import GUARD, Outside, Start
from .fold import choose, counted, loss_places
from .parts import Cell, Column
from .picture import Picture
from .reading import key_of
from .sources import Origin
from .template import Enters, Entry, Leaves, Port, Rows, Show, Template, labels, op_template, shape_text


class Steps(Picture):
    """A column a time step; the steps that are not shown are folded."""

    def _choose(self, steps: Any, room: int, largest: int | None) -> tuple[list[int], list[str]]:
        reading = self.reading
        chosen, notes = choose(reading, steps, room, largest) if reading.times else ([], [])
        reading.expand(chosen)
        return chosen, notes

    def _find_folds(self) -> dict[int, tuple[int, int]]:
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

    @property
    def hidden(self) -> list[tuple[int, int]]:
        return sorted(set(self._folds.values()))

    def _build(self) -> None:
        self._templates: dict[Any, Template] = {}
        self._hidden_with: dict[Record, Cell] = {}
        waiting: list[Any] = []
        folds, looks = self._folds, bool(self.reading.memories)
        begun: dict[str, tuple[int, int]] = {}  # the fold that a layer is in
        for step, records in self.reading.steps.items():
            layer, t = step
            fold = folds.get(t or 0)
            if fold is None:
                waiting += self._add_step(step, records)
            elif begun.get(layer) is not fold and ("fold", layer, fold[0]) not in self.cells:
                waiting += self._add_fold(step, records)  # the first of its steps in the order of recording
                begun[layer] = fold
            elif looks:
                waiting += self._looks(step, records)
        waiting += self._add_loose(waiting)
        if not self.cells:
            self._add_leaf(self.reading.root)
        for item in waiting:
            self._connect(*item)

    def _add_step(self, step: Step, records: list[Record]) -> list[Any]:
        rows, outside = self._described_step(step, records)
        key = (step.layer, tuple(map(self._signature, records)), rows)
        if key not in self._templates:
            self._templates[key] = self._step_template(step, records, rows, self._show)
        cell = self._layer_cell(self._templates[key], Column("step", step.t or 0), f"t{step.t}", step.layer)
        cell.step, cell.records, cell.members = step, records, records
        self.cells["step", step] = cell
        self._note_entries(cell)
        return [(cell, *rest) for rest in outside]

    def _add_fold(self, step: Step, records: list[Record]) -> list[Any]:
        """The folded steps of a layer as one box; what enters it is what enters the first of them."""
        assert step.t is not None
        first, last = self._folds[step.t]
        _, outside = self._described_step(step, records)
        count, ops = self.reading.count(step.layer, first, last)
        own = [t for t in self.reading.runs[step.layer].records if first <= t <= last]  # another layer may have others
        span = f"t = {min(own)} … {max(own)}" if len(own) > 1 else f"t = {own[0]}"
        template = Template(True, self._show)
        cuts = sum(first <= t <= last for _, t in self.reading.network.cuts)
        upmost = [layer for layer in self.reading.layers if self.reading.count(layer, first, last)[0]][-1]
        losses = sum(first <= t <= last for (t,) in loss_places(self.reading)) if step.layer == upmost else 0
        inside = [f"{words} inside" for words in counted(cuts, losses)]
        lines = (f"{count} step{'s' * (count != 1)}", "not shown", span, f"{ops} ops", *inside)
        words = f"{count} steps of {step.layer} are not shown: {span}"
        template.add("fold", "fold", lines, words, 2 * self.options.numbers)
        column = Column("fold", first, (first, last))
        cell = self._layer_cell(template, column, f"t{first}to{last}", step.layer)
        self.cells["fold", step.layer, first] = cell
        if fused(records[0]):  # in the order of the ops: first what the entry of the sequence is made of
            outside.sort(key=lambda item: item[2][1] < len(self.reading.inputs(records[0])))
        return [(cell, *rest) for rest in outside if rest[1].kind in ("state", "forward")]

    def _looks(self, step: Step, records: list[Record]) -> Iterator[Any]:
        """What a folded step looks at as others do, so that what goes back from there is that of all of them."""
        cell = self.cells["fold", step.layer, self._folds[step.t or 0][0]]
        for record in records:
            taken_apart = fused(record) or self.reading.entry(record) is not None  # not looked at: the first input
            for i, x in enumerate(self.reading.inputs(record)):
                if x is not None and key_of(x) in self.reading.memories and not (taken_apart and i == 0):
                    yield cell, Entry(Enters.INPUT), Origin("forward", x), (record, i)

    def _fold_with(self, record: Record, t: int) -> Cell:
        """That of the layer which it is made of, or the uppermost."""
        if record not in self._hidden_with:
            first, where = self._folds[t][0], self.reading.where
            layers = [layer for layer in self.rows if ("fold", layer, first) in self.cells]
            made = {where[x.record].layer for x in self.reading.inputs(record) if x is not None and x.record in where}
            layer = ([layer for layer in layers if layer in made] or layers)[-1]
            self._hidden_with[record] = self.cells["fold", layer, first]
        return self._hidden_with[record]

    def _made_in_step(self, record: Record, output: int) -> Start:
        step = self.reading.where[record]
        if step.t not in self._folds:
            return self._leaving(self.cells["step", step], record, output)
        return self._leaving_whole(self.cells["fold", step.layer, self._folds[step.t][0]], record, output)

    def _leaving(self, cell: Cell, record: Record, output: int) -> Start:
        """Where an output of a record leaves the cell of its step."""
        return self._leaving_whole(cell, record, output)

    def _leaving_whole(self, cell: Cell, record: Record, output: int) -> Start:
        """Where it leaves a box for whole steps: states at the heights at which they enter, so that none cross."""
        state = self.reading.network.named.get((record, output))
        if state is None:
            return cell, 0, Port(Leaves.RESULT, self.reading.place(record), output)
        return cell, 0, self._state_port(self._state_names(self.reading.where[record].layer).index(state[1]))


class OpPicture(Steps):
    """A box an op."""

    level = "op"

    def _step_template(self, step: Step, records: list[Record], rows: Rows, show: Show) -> Template:
        if len(records) > GUARD:
            raise DrawError(f'{step} has {len(records)} ops, too many to read: draw(root, level="cell") folds them')
        return op_template(self.reading, records, rows, self._losses, show)

    def _group_template(self, records: list[Record], rows: Rows, ends: list[int]) -> tuple[Template, dict[Record, int]]:
        template = op_template(self.reading, records, rows, self._losses, self._show)
        return template, {record: k for k, record in enumerate(records)}

    def _look(self, record: Record, lost: bool) -> Any:
        return labels(self.reading, record, lost)

    def _leaving(self, cell: Cell, record: Record, output: int) -> Start:
        return cell, self.reading.place(record), Port(Leaves.RESULT, 0, output)

    def _state_entry(self, n: int) -> Entry:
        return Entry(Enters.STATE, 0, n)  # h above c, as where they come from, so that fewer lines cross

    def _constant_box(self, n: int) -> int:
        return n

    def _add_constant(self, cell: Cell, names: list[str], role: str, mark: str, x: Tensor, words: str) -> None:
        shape, value = shape_text(x.shape), self._show.values
        cell.template.add(role, mark, tuple(filter(None, (names[-1], shape))), f"{names[-1]} {shape}: {words}", value)
        cell.starts += [[("", x)]] * value


class CellPicture(Steps):
    """A box a time step of a layer."""

    level = "cell"

    def names_edge(self, kind: str) -> bool:
        return self.full and kind in ("state", "cut")


class LayerPicture(Picture):
    """A box a layer: a step that stands for all, its state handed on to itself, what the first step starts from."""

    level = "layer"
    all_steps: ClassVar[bool] = True

    def _layer_cell(self, template: Template, column: Column, start: str, layer: str) -> Cell:
        """On a page all layers are drawn the same way round, which needs half the width."""
        cell = super()._layer_cell(template, column, start, layer)
        cell.back = cell.back and self.page is None
        return cell

    def _choose(self, steps: Any, room: int, largest: int | None) -> tuple[list[int], list[str]]:
        times = self.reading.times
        self.reading.expand([*times[:2], *times[-2:]])
        return times, []

    def _find_folds(self) -> dict[int, tuple[int, int]]:
        times = self.reading.times
        return dict.fromkeys(times[:-1], (times[0], times[-1]))

    def _folded(self, column: Column) -> bool:
        return column.t in self._folds and column.kind not in ("setup", "memory")

    def _step_column(self, t: int) -> Column:
        times = self.reading.times
        return Column("layer", times[0], (times[0], times[-1]))

    def _build(self) -> None:
        waiting: list[Any] = []
        loops: list[Any] = []
        for layer in self.reading.layers:
            steps = [step for step in self.reading.steps if step.layer == layer]  # in the order of recording
            first, typical = steps[0], steps[min(1, len(steps) - 1)]
            cell, entering = self._add_layer(typical)
            waiting += [(cell, *rest) for rest in entering]
            if typical is not first:
                _, outside = self._described_step(first, self.reading.steps[first])
                waiting += [(cell, *rest) for rest in outside if rest[1].kind == "forward"]
                states = [rest for rest in entering if rest[1].kind == "state"]
                starts = [rest for rest in outside if rest[1].kind == "init"]
                loops.append((cell, states, starts, len(steps) - 1))
        waiting += self._add_loose(waiting)
        for item in waiting:
            self._connect(*item)
        for loop in loops:
            self._add_loop(*loop)

    def _add_layer(self, step: Step) -> tuple[Cell, list[Outside]]:
        """All steps of a layer as one box, which looks like this one of them."""
        records, times = self.reading.steps[step], self.reading.times
        rows, outside = self._described_step(step, records)
        template = self._step_template(step, records, rows, self._show._replace(values=0, grads=0))
        template.boxes[0].extra = 2 * self.options.numbers
        cell = self._layer_cell(template, Column("layer", times[0], (times[0], times[-1])), "all", step.layer)
        cell.mark, cell.members = "t", records
        self.cells["step", step.layer] = cell
        self._note_entries(cell)
        return cell, outside

    def _add_loop(self, cell: Cell, states: list[Outside], starts: list[Outside], times: int) -> None:
        """The state of the step before as a box of its own, into which the first goes, and that of the cell back."""
        before = self._before_all(cell)
        called = [self.reading.output_name(x.record, x.output) or "s" for _, (_, x, _), _ in states]  # type: ignore[arg-type]
        names = list(dict.fromkeys(called))
        cuts = [str(t) for _, t in sorted(self.reading.network.cuts)]
        places = ["✂ detach", f"before t = {', '.join(cuts)}"] if len(cuts) < 4 else [f"✂ {len(cuts)} times detached"]
        if self.page is None:  # on a page, two short lines
            places = [" ".join(places)]
        other = "+" if self.reading.reverse[cell.layer or ""] else "−"
        lines = (f"× {times}", f"{' '.join(names)} of t {other} 1", *(places if cuts else []))
        box = before.template.add("loop", "loop", lines, f"{', '.join(names)}, handed on {times} times")
        for _, origin, use in starts:
            start = Entry(Enters.INPUT, 0, names.index(origin.role) if origin.role in names else 0)
            before.template.entries[start] = box
            self._connect(before, start, origin, use)
        pairs = zip(called, states, strict=True)
        for name, (entry, (_, x, _), use) in sorted(pairs, key=lambda pair: self._leaves_at(pair[1])):
            n = names.index(name)
            through = Entry(Enters.INPUT, 1, n)  # 0 are the initial states
            before.template.entries[through] = box
            assert x.record is not None
            self._join(self._made_in_step(x.record, x.output), before, through, "state", name, use)
            self._join((before, box, Port(Leaves.RESULT, 1, n)), cell, entry, "state", name, use)

    def _leaves_at(self, state: Outside) -> Port:
        """Where a state leaves the cell. The upper ones come first, so that their loops lie within the others."""
        x = state[1].x
        assert x.record is not None
        return self._made_in_step(x.record, x.output)[2]

    def _before_all(self, cell: Cell) -> Cell:
        """The cell of the loop, in a column of its own."""
        column = cell.column._replace(kind="loop" + "_back" * cell.back)
        prefix = self._prefix(f"loop{cell.column.t}", cell.layer or "")
        loop = Cell(Template(show=self._show), column, cell.row, prefix, layer=cell.layer, back=cell.back)
        self.cells["loop", cell.layer] = loop
        return loop

    def _fold_with(self, record: Record, t: int) -> Cell:
        return self.cells["step", self.reading.layers[-1]]

    def _made_in_step(self, record: Record, output: int) -> Start:
        step, k = self.reading.where[record], self.reading.place(record)
        return self.cells["step", step.layer], 0, Port(Leaves.RESULT, k, output)


class StripPicture(Picture):
    """No graph: the ribbon of gradients is all."""

    level = "strip"
    all_steps: ClassVar[bool] = True

    def _build(self) -> None:
        pass


LEVELS: dict[str, type[Picture]] = {kind.level: kind for kind in (OpPicture, CellPicture, LayerPicture, StripPicture)}
