"""The cells of a picture: boxes of steps, and of what stands outside of them, in columns and rows.

Columns go with time. A cell stands where a column meets a row; there is a row for each layer. Beside the time steps
there are columns for initial states, for cuts, for folded steps, and for what was computed before and after (`PHASES`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from math import inf
from typing import Any, ClassVar

from ..autograd.tensor import Tensor
from ..engine.modes import Step
from ..engine.tape import Record
from ..errors import DrawError
from ..unrolled.listing import shorten
from .flow import Flow
from .fold import LIMIT, largest_step
from .highlight import Highlight
from .options import Options
from .outside import columns_outside
from .parts import Cell, Column, Node, Use
from .reading import Reading, whole
from .results import Results
from .sources import Found, Origin, Sources
from .template import (
    ROUND,
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


class Cells:
    """The cells of a picture, and what is chosen and said of them; a level says how those of steps are built.

    Here a box stands for a whole step, as at most levels.
    """

    all_steps: ClassVar[bool] = False
    """Whether it shows all time steps at once, so that none is chosen or folded."""

    def __init__(
        self,
        reading: Reading,
        steps: Any,
        flow: Flow | None,
        options: Options | None = None,
        room: int = LIMIT,
        above: bool = False,
    ) -> None:
        """above   whether a loss at the end stands above its step and not behind it, as those before do anyway"""
        self.reading, self.options = reading, options or Options()
        self.largest = largest = largest_step(flow)
        words = self._labelled()
        self.labels = {t: shorten(word, 20) for t, word in words.items() if word.strip()}
        self.highlight = Highlight(reading, self.options, words)
        self.unit = self.options.smallest  # px of a unit of the layout
        self.page = self.options.page  # how wide it is to be, in these
        self.tallest = inf  # and how tall it may be
        self.above = above
        self.steps, self.notes = self._choose(steps, room, largest)
        self.title = ""  # what it is called as one of several
        self.number: int | None = None  # which of several it is
        self.words = 0  # which of those that there is room for on a page it says
        self.rows = list(reading.layers)
        self.loss_row = len(self.rows)  # that of losses, if they have one: above layers and memories
        self.cells: dict[tuple[Any, ...], Cell] = {}
        self._entries: dict[Any, Start] = {}  # where the entries of sequences are drawn
        self.sources = Sources(reading, self.all_steps, self.steps)
        self.flow, self._grads = flow, flow is not None
        shown = map(self.options.shows, ("shapes", "weights"))
        self._show = Show(int(self.options.shows("values")), int(self.options.numbers), *shown)
        self._losses = reading.network.added.losses
        self._details: dict[Any, str] = {}
        self._folds = self.sources.folds = self._find_folds()
        self._places: dict[Record, tuple[Cell, int]] = {}  # of the loose records that are drawn

    def _in_order(self) -> list[Column]:
        """All columns, in the order of time."""
        return sorted({c.column for c in self.cells.values()}, key=lambda c: (c.t, PHASES.get(c.kind, 0)))

    def _choose(self, steps: Any, room: int, largest: int | None) -> tuple[list[int], list[str]]:
        """The time steps to show, and what to say of others; puts the ops of the cell in the place of fused ones."""
        return self.reading.times, []

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

    @property
    def hidden(self) -> list[tuple[int, int]]:
        """The ranges of time steps that are folded, first and last."""
        return []

    @property
    def full(self) -> bool:
        """Whether there are few enough steps to say something of each edge."""
        return len(self.steps) <= FULL

    def _figures(self) -> dict[str, tuple[str, ...]]:
        """For each node the values and gradients that were asked for, as text; notes the longest at each box."""
        found: dict[str, tuple[str, ...]] = {}
        if self._show.lines:
            flow = self.flow if self.options.numbers else None
            results = Results(self.sources, flow, bool(self._show.values), self.options.shows("entries"))
            for cell in self.cells.values():
                for k, lines in results.lines(cell):
                    found[cell.id_of(k)] = lines
                    box = cell.template.boxes[k]
                    box.widest = [max(both, key=len) for both in zip_longest(box.widest, lines, fillvalue="")]
        return found

    def nodes(self) -> Iterator[Node]:
        """Every node, in the order of recording."""
        for cell in self.cells.values():
            for k, box in enumerate(cell.template.boxes):
                lines = tuple(map(cell.text, box.lines))
                records = cell.records if cell.template.folded else cell.records[k : k + 1]
                yield Node(cell.id_of(k), box.kind, lines, cell.step, cell.text(box.title), tuple(records))

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
        op, lost = record.op, record in self._losses
        detail = self._details.get(op)
        if detail is None:  # the options of an op are part of its look, but not which step it takes
            taken = op.name == "getitem" and whole(op.index) is not None  # type: ignore[attr-defined]
            detail = self._details[op] = op.name if taken else repr(op)
        names = tuple([self.reading.output_name(record, k) for k in range(op.outputs)])
        varies = lost or op.name == "getitem" or any(x is None for x in record.inputs)
        # a loss, an index or a number written into an op may be another one at each step
        look = self._look(record, lost) if varies else None
        return detail, names, tuple([v.shape for v in record.values]), lost, look

    def _look(self, record: Record, lost: bool) -> Any:
        """What is written into the box of a record, where it has one of its own."""
        return None

    def _described_step(self, step: Step, records: list[Record]) -> tuple[Rows, list[Outside]]:
        return self._described(records, self.sources.of_step(step, records))

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
        return tuple([tuple([source for source, _ in row]) for row in found]), outside

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
        early = any(c.kind == "head" and (self.above or c.t < self.reading.times[-1]) for c in groups)
        if early:  # losses of windows or of steps stand above their step, so that they are not in the way of the states
            self.rows.append("loss")
        entering = list(self._entering_hidden(hidden))
        for column, records in groups.items():
            cell, outside = self._add_group(column, records, ends)
            if early and column.kind == "head":
                cell.column, cell.row = self._step_column(column.t), len(self.rows) - 1
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
        """What the records need that are hidden with folded steps: of others outside the steps, and of other steps."""
        for record, t in hidden:
            stacked = self.reading.stacked(record)
            for i, x in enumerate(self.reading.inputs(record)):
                made = None if x is None else x.record if stacked else self.reading.taken(x).record
                step = self.reading.where.get(made) if made is not None else None
                elsewhere = step is not None and self._folds.get(step.t or 0) is not self._folds[t]
                if elsewhere or made in self.reading.after:
                    kind = "gather" if elsewhere and stacked else "forward"
                    yield self._fold_with(record, t), Entry(Enters.HIDDEN), Origin(kind, x), (record, i)

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

    def _fold_with(self, record: Record, t: int) -> Cell:
        """The folded steps with which a record outside the steps is hidden that would stand at step t."""
        raise NotImplementedError
