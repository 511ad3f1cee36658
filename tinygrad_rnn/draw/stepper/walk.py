"""The tape as the page steps through it: first every record forwards, then backwards those that a gradient reaches.

Most of an unrolled network is the same step again. What the records of all steps have in common (op, names, shapes,
where their inputs come from) is a *form*, written once; a step is a list of forms; what is left of a record are its
numbers. An input that is another record of the steps is found by its distance, the same at every step.

    value       of each output: a number, the entries of a small tensor, or the norm of a larger one
    gradient    dL/d(output), likewise; None where none arrives
    parts       what the rule handed to an input, where that is not simply the gradient of that input
    local       dy/dx for small tensors: row i, column j is dy_i/dx_j; the diagonal alone, where there is nothing else
    totals      of each leaf: its gradient after each contribution, in the order in which they arrive
    steps       of each leaf: the norm of what a time step contributes, for each that does
"""

from __future__ import annotations

import inspect
import math
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ...anomaly import Line
from ...backward import pull, sweep
from ...cotangent import ArraySum, Indexed
from ...listing import Tape, shorten
from ...tape import Op, Record, Step
from ...tensor import Tensor
from ..reading import SYMBOLS, Reading, whole

SMALL = (16, 4, 1)  # tensors of so many entries are written out, the most that is within the budget
BUDGET = 20_000  # numbers

INPUT = 0xE100  # this character and those that follow stand for the inputs in the text of a form
BEFORE = "\ue002"  # stands for the number of the time step less one: entry t - 1 belongs to step t


def walk(tape: Tape, reading: Reading) -> dict[str, Any]:
    """All that the page knows of the records, ready for JSON."""
    return Walk(tape, reading).data()


class Walk:
    """Collects forms and numbers, in one sweep."""

    def __init__(self, tape: Tape, reading: Reading) -> None:
        self.tape, self.reading = tape, reading
        self.small = next((size for size in SMALL if _numbers(tape, size) <= BUDGET), 1)
        self.leaves = [x for x in tape.leaves if x.requires_grad]
        self.leaf_number = {x: k for k, x in enumerate(self.leaves)}
        self.forms: dict[Any, int] = {}  # a form (its items, hashable) -> its number
        self.ops: dict[type[Op], int] = {}
        self.lines: dict[Line, int] = {}
        inputs = [x for record in tape for x in record.inputs or () if x is not None and x.record is not None]
        self.sums = {x: Sum(self.figure) for x in self.leaves}
        self.uses = Counter((x.record, x.output) for x in inputs)

    def data(self) -> dict[str, Any]:
        tape = self.tape
        forms = [self.forms.setdefault(self.form(k, record), len(self.forms)) for k, record in enumerate(tape)]
        return {
            "forms": [_unfrozen(form) for form in self.forms],
            "ops": [described(op) for op in self.ops],
            "lines": [[shown(line), shown(line.inner)] for line in self.lines],
            "layers": self.reading.layers,
            "reverse": [self.reading.reverse[layer] for layer in self.reading.layers],
            "states": self.states(),
            **self.runs(forms),
            "value": [self.figures(record.value, record.op) for record in tape],
            **self.swept(),
            "leaves": [self.leaf(x) for x in self.leaves],
        }

    # ---------------------------------------------------------------- what records have in common

    def form(self, k: int, record: Record) -> Any:
        """What a record shares with those of other steps, as a hashable tuple of (key, value)."""
        reading, op = self.reading, record.op
        values = record.value if op.outputs > 1 else (record.value,)
        pairs = list(zip(record.inputs or (), record.arrays or (), strict=True))
        line = None if record.line is None else self.lines.setdefault(record.line, len(self.lines))
        return (
            ("op", self.ops.setdefault(type(op), len(self.ops))),
            ("text", text(record)),
            ("names", tuple(reading.output_name(record, j) for j in range(op.outputs))),
            ("shapes", tuple(np.shape(v) for v in values)),
            ("dtype", str(values[0].dtype)),
            ("inputs", tuple(self.input(k, i, record, x, a) for i, (x, a) in enumerate(pairs))),
            ("line", line),
        )

    def input(self, k: int, i: int, record: Record, x: Tensor | None, array: Any) -> tuple[tuple[str, Any], ...]:
        """Where input i of record k comes from."""
        if x is None:
            return (("shape", np.shape(array)),) if np.shape(array) else (("number", _rounded(float(array))),)
        shape = (("shape", x.shape),) if x.shape else ()
        if not x.requires_grad:
            if x.cut is None:
                return (("name", self.reading.name(x) or "constant"), *shape)
            t = x.cut.step.t if x.cut.step is not None else None
            here = record.step.t if record.step is not None else None
            back = here - t if here is not None and t is not None else None
            return (("cut", self.cut_name(record, i, x)), ("back", back), *shape)
        if x.record is None:
            return (("leaf", self.leaf_number[x]), *shape)
        j = self.tape.numbers[x.record]
        near = record in self.reading.where and x.record in self.reading.where
        output = (("output", x.output),) if x.record.op.outputs > 1 else ()
        return (("near", k - j) if near else ("record", j), *output)

    def cut_name(self, record: Record, i: int, x: Tensor) -> str:
        """What a detached tensor is called: by its role, where it stands in the place of a state."""
        reading = self.reading
        if record in reading.where:
            step, place = reading.where[record]
            if (place, i) in reading.feeds[step.layer]:
                return reading.state_name(step.layer, (place, i), x)
        return reading.name(x) or "state"

    def runs(self, forms: list[int]) -> dict[str, Any]:
        """The records in stretches of one time step: (layer, t, pattern), where a pattern is a list of forms."""
        where, layers = self.reading.where, self.reading.layers
        patterns: dict[tuple[int, ...], int] = {}
        found = []
        steps = groupby(
            zip(self.tape, forms, strict=True), key=lambda pair: where[pair[0]][0] if pair[0] in where else None
        )
        for step, stretch in steps:
            pattern = patterns.setdefault(tuple(form for _, form in stretch), len(patterns))
            place = (None, None) if step is None else (layers.index(step.layer), step.t)
            found.append([*place, pattern])
        return {"patterns": [list(pattern) for pattern in patterns], "runs": found}

    def states(self) -> list[dict[str, Any]]:
        """The states of each layer: the place of the record in its step, and the output."""
        found = []
        for k, layer in enumerate(self.reading.layers):
            records = max((r for step, r in self.reading.steps.items() if step.layer == layer), key=len)
            places = {(p, o) for p, o in self.reading.states[layer] if p < len(records)} or {
                (p, o)
                for p, r in enumerate(records)
                for o in range(r.op.outputs)
                if self.reading.output_name(r, o) == "h"
            }
            for place, output in sorted(places, reverse=True):
                name = self.reading.output_name(records[place], output) or "s"
                found.append({"layer": k, "name": name, "place": place, "output": output})
        return found

    # ---------------------------------------------------------------- numbers

    def figure(self, array: Any) -> Any:
        """A number, the entries of a small tensor, or the norm of a larger one."""
        size = math.prod(array.shape)
        if size == 1 or size > self.small:
            return _rounded(float(written_out(array).reshape(())) if size == 1 else norm(array))
        return [_rounded(float(x)) for x in written_out(array).flat]

    def figures(self, arrays: Any, op: Op) -> Any:
        return self.figure(arrays) if op.outputs == 1 else [self.figure(array) for array in arrays]

    def swept(self) -> dict[str, Any]:
        """The backward walk: gradients, parts, local derivatives, and the totals of the leaves."""
        gradient: list[Any] = [None] * len(self.tape)
        parts: list[Any] = [0] * len(self.tape)  # 0 where there are none: shorter than an empty list
        local: dict[int, dict[int, Any]] = {}

        def visit(record: Record, g: Any) -> None:
            k, inputs = self.tape.numbers[record], record.inputs or ()
            gradient[k] = self.figures(g, record.op)
            kept: list[Any] = []
            for i, part in _handed(record, g):
                x = inputs[i]
                if x.record is None:
                    self.sums[x].add(part, record.step)
                if x.record is None or self.uses[x.record, x.output] > 1:
                    kept += [None] * (i - len(kept)) + [self.figure(part)]
            parts[k] = kept or 0
            found = self.local(record)
            if found:
                local[k] = found

        root = self.tape.root
        sweep([root], [np.ones_like(root.array)], retain_graph=True, visit=visit, hooks=False)
        return {"gradient": gradient, "parts": parts, "local": local}

    def local(self, record: Record) -> dict[int, Any]:
        """dy_i/dx_j of the small inputs of a small result, found by its own rule: one row for each entry of y."""
        if self.small == 1 and np.size(record.value) > 1:
            return {}
        values = record.value if record.op.outputs > 1 else (record.value,)
        if sum(v.size for v in values) > self.small:
            return {}
        places = [i for i, x in enumerate(record.inputs or ()) if x is not None and x.requires_grad]
        small = [i for i in places if record.inputs[i].size <= self.small]  # type: ignore[index]
        rows: dict[int, list[Any]] = {i: [] for i in small}
        for row in range(sum(v.size for v in values) if small else 0):
            handed = dict(_handed(record, _unit(values, row, record.op)))
            for i in small:
                rows[i].append(written_out(handed[i]).ravel() if i in handed else np.zeros(record.inputs[i].size))  # type: ignore[index]
        return {i: [_rounded(float(v)) for v in _diagonal(np.array(found)).flat] for i, found in rows.items()}

    def leaf(self, x: Tensor) -> dict[str, Any]:
        name, sums = self.reading.name(x) or "a leaf", self.sums[x]
        steps = [[t, _rounded(size)] for t, size in sums.steps.items()]
        return {"name": name, "shape": x.shape, "value": self.figure(x.array), "totals": sums.totals, "steps": steps}


class Sum:
    """How the gradient of a leaf grows in the walk: its totals, and the norm of what each time step adds."""

    def __init__(self, figure: Callable[[Any], Any]) -> None:
        self.figure = figure
        self.total: ArraySum | None = None
        self.totals: list[Any] = []
        self.steps: dict[int, float] = {}
        self._step: tuple[Step, ArraySum] | None = None

    def add(self, part: Any, step: Step | None) -> None:
        self.total = _added(self.total, part)
        self.totals.append(self.figure(self.total.value()))
        if step is not None and step.t is not None:  # all that a step contributes arrives before any other's
            same = self._step is not None and self._step[0] == step
            self._step = step, _added(self._step[1] if same else None, part)  # type: ignore[index]
            self.steps[step.t] = norm(self._step[1].value())


def _added(total: ArraySum | None, part: Any) -> ArraySum:
    if total is None:
        return ArraySum(part)
    total.add(part)
    return total


def text(record: Record) -> str:
    """The op written out, with the characters from `INPUT` on for its inputs."""
    op = record.op
    parts = [chr(INPUT + i) for i in range(len(record.inputs or ()))]
    if len(parts) > 4:
        parts = [*parts[:2], "…", parts[-1]]
    if op.name == "getitem":
        k, step = whole(op.index), record.step  # type: ignore[attr-defined]
        if k is not None:
            return f"{parts[0]}[{BEFORE if step is not None and step.t is not None and k == step.t - 1 else k}]"
    options = [f"{key}={shorten(repr(value), 30)}" for key, value in vars(op).items() if key != "outputs"]
    if len(parts) == 2 and op.name in SYMBOLS and not options:
        return f" {SYMBOLS[op.name]} ".join(parts)
    return f"{SYMBOLS.get(op.name, op.name)}({', '.join([*parts, *options])})"


def described(kind: type[Op]) -> dict[str, Any]:
    """What is said of an op: its name, what its docstring begins with, and its rule as it is written."""
    about = (kind.__doc__ or "").strip().split("\n\n")[0]
    rules = list(kind.rules) or [kind.vjp]
    return {"name": kind.name, "about": " ".join(about.split()), "rules": [_source(rule) for rule in rules]}


def shown(line: Line | None) -> dict[str, str] | None:
    """A line with the name of its file, without the folders: a page is handed on."""
    return line and {"where": f"{Path(line.file).name}:{line.number}", "code": line.code}


def _source(rule: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(rule)).strip()
    except (OSError, TypeError):  # typed into an interpreter, or not written in Python
        return ""


def norm(array: Any) -> float:
    """The Euclidean norm, also of entries whose squares are beyond the smallest and largest floats."""
    if isinstance(array, Indexed) and not _listed(array.index):
        array = array.part
    x = np.asarray(written_out(array), float)
    largest = float(np.max(np.abs(x), initial=0.0))
    if largest == 0 or not math.isfinite(largest):
        return largest
    x = x / largest
    return largest * math.sqrt(float(np.vdot(x, x)))


def _listed(index: Any) -> bool:
    """Whether an index may name an entry twice."""
    return any(isinstance(i, np.ndarray) for i in (index if isinstance(index, tuple) else (index,)))


def written_out(g: Any) -> np.ndarray:
    """A gradient as an array, also where it is kept as the part of it that is not zero."""
    if not isinstance(g, Indexed):
        return np.asarray(g)
    buffer = np.zeros(g.shape, g.dtype)
    g.add_to(buffer)
    return buffer


def _handed(record: Record, g: Any) -> Iterator[tuple[int, Any]]:
    """What the rule of a record hands on, with the place of the input: it goes through the inputs in their order."""
    inputs, i = record.inputs or (), -1
    for x, part in pull(record, g):
        i = next(k for k in range(i + 1, len(inputs)) if inputs[k] is x)
        yield i, part


def _unit(values: tuple[np.ndarray, ...], row: int, op: Op) -> Any:
    """A gradient that is 1 for one entry of the outputs and 0 for the others."""
    gs = [np.zeros_like(v) for v in values]
    for g in gs:
        if row < g.size:
            g.reshape(-1)[row] = 1
            break
        row -= g.size
    return gs[0] if op.outputs == 1 else tuple(gs)


def _diagonal(rows: np.ndarray) -> np.ndarray:
    """The diagonal of a matrix that has nothing else, else the matrix."""
    square = rows.shape[0] == rows.shape[1]
    return np.diagonal(rows) if square and not (rows - np.diag(np.diagonal(rows))).any() else rows


def _numbers(tape: Tape, small: int) -> int:
    """How many numbers it takes to write out all tensors of up to so many entries, with their local derivatives."""
    total = 0
    for record in tape:
        values = record.value if record.op.outputs > 1 else (record.value,)
        size = sum(v.size for v in values)
        inputs = [x.size for x in record.inputs or () if x is not None and x.requires_grad and x.size <= small]
        total += 2 * (size if size <= small else 1) + (size * sum(inputs) if size <= small else 0)
    return total


def _rounded(x: float) -> float | str:
    """To four digits; JSON has no word for nan and infinity."""
    return float(f"{x:.4g}") if math.isfinite(x) else str(x)


def _unfrozen(form: Any) -> dict[str, Any]:
    """A form as the dictionary it was, without what it does not have."""
    found = {key: value for key, value in form if value is not None}
    found["inputs"] = [dict(part) for part in found["inputs"]]
    return found
