"""Reading a tape as an unrolled network: which records make up which time step, and what comes in from where.

The records of a layer carry its name and their time step. What carries none was computed before the steps, between
layers or after them:

    a = x W_xh + b_h       projected once for all steps. Step t takes a[t], which depends on x[t] alone, so the picture
                           shows x_t, W_xh and b_h in each step (`Series` is such a sequence, read step by step)
    y = stack(h_1 .. h_T)  the output sequence. Its entry t, taken out again by the next layer, *is* h_t
    everything else        the loss and what leads to it, drawn after the last step that it depends on
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.backward import reachable
from ..engine.modes import Setting, Step, at_record
from ..engine.tape import Record, clock
from ..nn.module import Module, Parameter
from ..ops.elementwise import Elementwise
from ..unrolled.listing import Tape

Form = tuple[str, bool]

MARK = "\ue000"
"""Stands for the number of the time step in a text that many steps share (a character that nobody uses)."""


class Series(NamedTuple):
    """A sequence over time of which each step takes its own entry, and how that entry is computed.

    text     the formula of one entry, as ``x_t W_xh + b_h`` with `MARK` for the t
    sources  sequences it is made of: leaf Tensors, stacked states (Records), or other results, drawn before the steps
    shared   Tensors that every entry uses alike: weights
    """

    text: str
    sources: tuple[Any, ...]
    shared: tuple[Tensor, ...]

    @property
    def drawn(self) -> tuple[Any, ...]:
        """What an entry of it is drawn as made of, in this order."""
        return (*self.sources, *self.shared)


class Reading:
    """A tape sorted into time steps."""

    def __init__(self, tape: Tape, names: Mapping[str, Any] | Module | None = None) -> None:
        self.tape = tape
        self.given, paths = _given_names(names)
        self.told_apart = _told_apart(tape, self.given, paths)
        self.rows: dict[Any, Tensor] = {}  # sequences that are read entry by entry, and are no output of a layer
        self.steps: dict[Step, list[Record]] = {}
        self.loose: list[Record] = []
        self._all_series: dict[Any, Series] = {}
        for record in tape.records:
            if record.step is None or record.step.t is None:
                self.loose.append(record)
            else:
                self.steps.setdefault(record.step, []).append(record)
        self._set_final_states_free()
        self.where = {r: (step, k) for step, records in self.steps.items() for k, r in enumerate(records)}
        self.layers = list(dict.fromkeys(step.layer for step in self.steps))
        self.times = sorted({step.t for step in self.steps if step.t is not None})
        self.reverse = {layer: self._runs_backwards(layer) for layer in self.layers}
        self.root = tape.root
        self.composed: dict[tuple[Record, int], Tensor] = {}  # what stands for an output of a fused step
        self.inside: dict[Record, Record] = {}  # for an op of a composed form, the fused step that it is a part of
        self.started: dict[Record, int] = {}  # the sequence number before those ops
        self._inputs: dict[Record, tuple[Any, ...]] = {}
        self._stacks: dict[Record, bool] = {}
        self._sizes: dict[str, int] = {}
        self._walk_steps()

    def _set_final_states_free(self) -> None:
        """A layer stacks its final states under the tag of its last step; that is no part of the step."""
        for step, records in list(self.steps.items()):
            last = records[-1]
            others = [x.record for x in last.inputs if x is not None and x.record is not None]
            if last.op.name == "stack" and all(r.step is not None and r.op.name != "stack" for r in others):
                self.loose.append(records.pop())
                if not records:
                    del self.steps[step]
        self.loose.sort(key=lambda record: record.seq)

    def _runs_backwards(self, layer: str) -> bool:
        order = [step.t for step in self.steps if step.layer == layer]  # in the order of recording
        return len(order) > 1 and order[0] > order[-1]  # type: ignore[operator]

    def _walk_steps(self) -> None:
        """One pass over every input of every step, for what the picture needs to know of all steps, shown or not.

        feeds  for each layer, which input of which record is fed by which output of the step before. What stands in
               such a place at the first step is an initial state, and at the first step after a cut the severed one:
               both are constants, and only their place says that they are h or c
        uses   in how many steps a tensor from outside the steps is used
        cuts   the steps before and after each cut of a state
        taken_apart  the sequences of which steps take their entries
        names  the names given to outputs, found at the ops that use them
        """
        self.names: dict[tuple[Record, int], str] = {}
        for x in (self.root, *(x for record in self.loose for x in record.inputs if x is not None)):
            if x.name and x.record is not None:
                self.names[x.record, x.output] = x.name
        self.feeds: dict[Form, dict[tuple[int, int], tuple[int, int]]] = {}
        self.states: dict[Form, set[tuple[int, int]]] = {}
        self.uses: dict[Any, int] = {}
        self.cuts: set[tuple[int, int]] = set()
        self.taken_apart: dict[Any, Tensor] = {}
        used_last: dict[Any, Step] = {}
        where = self.where
        for step, records in self.steps.items():
            self._note_states(step, records)
            for record in records:
                for i, x in enumerate(record.inputs):
                    if x is None:
                        continue
                    made = x.record
                    if made is not None and x.name:
                        self.names[made, x.output] = x.name
                    if made in where:
                        continue
                    key = x if made is None else (made, x.output)
                    if used_last.get(key) is not step:
                        used_last[key] = step
                        self.uses[key] = self.uses.get(key, 0) + 1
                        if self.entry(record) is not None or (i == 0 and fused(record)):
                            self.taken_apart[key] = x
                    if x.cut is not None and x.cut.step is not None and x.cut.step.t is not None:
                        self.cuts.add((x.cut.step.t, step.t))  # type: ignore[arg-type]

    def _note_states(self, step: Step, records: list[Record]) -> None:
        """Which input of which record of a step is fed by the step before."""
        form = self.form(step)
        slots, where = self.feeds.setdefault(form, {}), self.where
        if form[1] and slots:  # fused steps are all alike
            return
        for k, record in enumerate(records):
            for i, x in enumerate(self.inputs(record)):
                made = None if x is None or x.record is None else where.get(x.record)
                if x is not None and made is not None:
                    other, position = made
                    if (
                        other is not step
                        and other.layer == step.layer
                        and other.t != step.t
                        and self.form(other) == form
                    ):
                        slots.setdefault((k, i), (position, x.output))
        self.states[form] = set(slots.values())

    # ---------------------------------------------------------------- fused steps

    def form(self, step: Step) -> Form:
        """A layer, and whether its step is one fused record: steps of one form are made up alike."""
        return step.layer, fused(self.steps[step][0])

    def inputs(self, record: Record | None) -> tuple[Any, ...]:
        """The inputs of a record, as they are drawn: for an output of a fused step, that of its composed form."""
        if record is None or not self.composed:
            return () if record is None else record.inputs
        if record not in self._inputs:
            known = self.composed
            found = (x if x is None else known.get((x.record, x.output), x) for x in record.inputs)
            self._inputs[record] = tuple(found)
        return self._inputs[record]

    def drawn(self, record: Record, output: int) -> tuple[Record, int]:
        """The record and output that stand for an output of a fused step; of any other, itself."""
        y = self.composed.get((record, output))
        return (record, output) if y is None or y.record is None else (y.record, y.output)

    def count(self, layer: str, first: int, last: int) -> tuple[int, int]:
        """How many steps of a layer lie in a range, and how many ops they have, in their composed form."""
        inside = range(first, last + 1)
        sizes = [len(records) for step, records in self.steps.items() if step.layer == layer and step.t in inside]
        composed = self._sizes.get(layer, 1)  # of a fused step
        return len(sizes), sum(composed if size == 1 else size for size in sizes)

    def expand(self, times: Iterable[int]) -> None:
        """Put the composed form in the place of every fused record of these steps."""
        shown, found = set(times), []
        with Setting("recording", True), Setting("anomaly", False):
            for step, records in self.steps.items():
                if step.t in shown and any(map(fused, records)):
                    self.steps[step] = [part for record in records for part in self._expanded(record)]
                    found.append(step)
        self._inputs.clear()
        for step in found:
            self.where.update({record: (step, k) for k, record in enumerate(self.steps[step])})
            self._sizes[step.layer] = len(self.steps[step])
        for step in found:
            self._note_states(step, self.steps[step])
        if self.root.record is not None:
            self.root = self.composed.get((self.root.record, self.root.output), self.root)

    def _expanded(self, record: Record) -> list[Record]:
        """A fused record as the records of its composed form."""
        if not fused(record):
            return [record]
        start, inputs = next(clock), self.inputs(record)
        with at_record(record):
            pairs = zip(inputs, record.arrays, strict=True)
            made = record.op.composed(*[a if x is None else x for x, a in pairs])  # type: ignore[attr-defined]
        outputs = made if isinstance(made, tuple) else (made,)
        records = reachable(outputs, since=start)[::-1]
        for x in (*outputs, *(x for part in records for x in part.inputs if x is not None)):
            if x.name and x.record is not None:
                self.names[x.record, x.output] = x.name
        for k, y in enumerate(outputs):
            self.composed[record, k] = y
            for names in (self.names, self.given):
                if (record, k) in names:
                    names[y.record, y.output] = names.pop((record, k))
        del self.where[record]
        self.inside.update(dict.fromkeys(records, record))
        self.started[record] = start
        return records

    @cached_property
    def results(self) -> dict[Step, tuple[Record, int]]:
        """What each step is for, a record and its output: the last one called h, else its last state, else its end."""
        named: dict[Step, tuple[Record, int]] = {}
        for (record, output), name in self.names.items():
            if name == "h" and record in self.where:
                step = self.where[record][0]
                if step not in named or named[step][0].seq < record.seq:
                    named[step] = record, output
        for step, records in self.steps.items():
            if step not in named:
                last = (len(records) - 1, 0)
                k, output = max((slot for slot in self.states[self.form(step)] if slot[0] < len(records)), default=last)
                named[step] = records[k], output
        return named

    # ---------------------------------------------------------------- names

    def name(self, x: Tensor) -> str | None:
        """What a leaf or a loose result is called: as the caller says, else its own name."""
        key = key_of(x)
        return _clean(self.given.get(key) or self.told_apart.get(key) or x.name)

    @cached_property
    def row_name(self) -> str:
        """What a result without a name is called whose entries the steps take: x, if no leaf is called so."""
        taken = {self.name(x) for x in self.tape.leaves}
        return next((letter for letter in "xuvz" if letter not in taken), "x")

    def sequence_name(self, x: Tensor) -> str:
        return self.name(x) or ("x" if x.record is None else self.row_name)

    def output_name(self, record: Record, output: int = 0) -> str | None:
        """What an output is called: inside a step its role comes first, elsewhere the name the caller gave."""
        role, given = self.names.get((record, output)), self.given.get((record, output))
        if record in self.where:
            return _clean(role or given)
        return _clean(given or role or (self.row_name if (record, output) in self.rows else None))

    def state_name(self, to: Step, slot: tuple[int, int], x: Tensor) -> str:
        """The role of a state that enters a step at this place."""
        form = self.form(to)
        k, output = self.feeds[form].get(slot, (-1, 0))
        for step, records in self.steps.items():
            if self.form(step) == form and 0 <= k < len(records):
                return self.output_name(records[k], output) or "s"
        return self.name(x) or "s"

    # ---------------------------------------------------------------- sequences

    def entry(self, record: Record) -> tuple[Tensor, int] | None:
        """If the record takes one time step out of a sequence: the sequence, and which entry."""
        if record.op.name != "getitem" or not record.inputs:
            return None
        x, k = self.inputs(record)[0], whole(record.op.index)  # type: ignore[attr-defined]
        if k is None or x is None or x.ndim == 0 or x.record in self.where:
            return None
        return x, k % x.shape[0]

    @cached_property
    def after(self) -> dict[Record, int | None]:
        """For each loose record the last time step that it depends on; None where it depends on none."""
        found: dict[Record, int | None] = {}
        for record in self.loose:
            times = []
            for x in self.inputs(record):
                made = None if x is None else self.taken(x).record
                if made is not None:
                    times.append(self.where[made][0].t if made in self.where else found.get(made))
            found[record] = max((t for t in times if t is not None), default=None)
        return found

    def losses(self) -> set[Record]:
        """The root, and the numbers that were added up to make it: the losses of windows, of steps, of parts."""
        root = self.root.record
        if root is None:
            return set()
        found, stack = {root}, [root]
        while stack:
            record = stack.pop()
            if record.op.name == "add" and record.values[0].size == 1:
                parts = [x.record for x in self.inputs(record) if x is not None and x.size == 1]
                new = [part for part in parts if part is not None and part not in found]
                found.update(new)
                stack += new
        return {record for record in found if record is root or record.op.name != "add"}

    def stacked(self, record: Record | None) -> bool:
        """Whether the record is the output sequence of a layer: results of time steps, stacked along the first axis."""
        if record is None or record.op.name != "stack" or record in self.where:
            return False
        if record not in self._stacks:
            steps = any(x is not None and x.record in self.where for x in self.inputs(record))
            self._stacks[record] = steps and record.op.axis == 0  # type: ignore[attr-defined]
        return self._stacks[record]

    def taken(self, x: Tensor) -> Tensor:
        """Where x is one entry taken out of an output sequence again: the stacked tensor that it equals."""
        record = x.record
        if record is not None and record not in self.where and record.op.name == "getitem" and record.inputs:
            source = self.inputs(record)[0]
            if source is not None and self.stacked(source.record):
                k = whole(record.op.index)  # type: ignore[attr-defined]
                same = None if k is None else self.inputs(source.record)[k % source.shape[0]]
                return x if same is None else same
        return x

    def series(self, x: Tensor) -> Series:
        """How one entry of the sequence x is computed.

        Walks back from x through the ops that treat every entry along the first axis alike, in the order of recording.
        """
        key = x.record or x
        if key not in self._all_series:
            found: dict[Any, Series] = {}
            for record in self.chain(x):
                found[record] = self._combined(record, found, x.shape[0])
            self._all_series[key] = found.get(x.record) or self._source(x)
        return self._all_series[key]

    def chain(self, x: Tensor) -> list[Record]:
        """The records behind the sequence x that work entry by entry, oldest first."""
        chain, stack, T = set(), [x], x.shape[0]
        while stack:
            made = stack.pop().record
            if made is not None and made not in chain and made not in self.where and entrywise(made, T):
                chain.add(made)
                stack.extend(y for y in self.inputs(made) if y is not None)
        return sorted(chain, key=lambda record: record.seq)

    def _combined(self, record: Record, found: dict[Any, Series], T: int) -> Series:
        parts: list[str] = []
        sources: list[Any] = []
        shared: list[Tensor] = []
        for x, array in zip(self.inputs(record), record.arrays, strict=True):
            if x is None:
                parts.append(f"{array:.3g}" if np.ndim(array) == 0 else "·")
            elif runs(x, record, T):
                part = found.get(x.record) or self._source(x)
                parts.append(part.text)
                sources += part.sources
                shared += part.shared
            else:
                parts.append(self.name(x) or "·")
                shared.append(x)
        return Series(formula(record, parts), tuple(dict.fromkeys(sources)), tuple(dict.fromkeys(shared)))

    def _source(self, x: Tensor) -> Series:
        if self.stacked(x.record):
            first = next(y for y in self.inputs(x.record) if y is not None and y.record is not None)
            made = self.where.get(first.record)
            mark = " reverse" if made is not None and self.reverse[made[0].layer] else ""
            return Series(f"{self.output_name(first.record, first.output) or 'y'}_{MARK}{mark}", (x.record,), ())
        self.rows[key_of(x)] = x
        return Series(f"{self.sequence_name(x)}_{MARK}", (x,), ())


def _clean(name: str | None) -> str | None:
    return name if name is None or MARK not in name else name.replace(MARK, "")


def fused(record: Record) -> bool:
    """Whether a record is a whole time step, with a composed form to be drawn."""
    return hasattr(record.op, "composed")


def entry_of(record: Record) -> int:
    """Which entry of its sequence a fused step takes: its place in time, whichever way its run goes."""
    run, k = record.op.run, record.op.k  # type: ignore[attr-defined]
    return run.T - 1 - k if run.backwards else k


def whole(index: Any) -> int | None:
    """The entry along the first axis that an index takes whole: k of ``x[k]``."""
    return int(index) if isinstance(index, int | np.integer) and not isinstance(index, bool) else None


def runs(x: Tensor, record: Record, T: int) -> bool:
    """Whether x goes along the time axis in this op, rather than being the same for every entry."""
    if record.op.name in ("matmul", "affine") and x is not record.inputs[0] and x.ndim <= 2:
        return False  # a weight or a bias
    return (x.ndim >= 1 and x.ndim == record.values[0].ndim and x.shape[0] == T) or record.op.name == "reshape"


def entrywise(record: Record, T: int) -> bool:
    """Whether entry t of the result depends on entry t of the inputs alone."""
    op, (y, *others) = record.op, record.values
    if others or y.shape[:1] != (T,):
        return False
    if isinstance(op, Elementwise) or op.name == "cast":
        return any(x is not None and runs(x, record, T) for x in record.inputs)
    if op.name in ("matmul", "affine"):
        first = record.inputs[0]
        return first is not None and first.ndim >= 2 and runs(first, record, T)
    if op.name == "concatenate":
        return bool(op.axis % y.ndim)  # type: ignore[attr-defined]
    if op.name == "reshape":
        return record.inputs[0] is not None and record.inputs[0].shape[:1] == (T,)
    return False


SYMBOLS = {
    "add": "+", "subtract": "−", "multiply": "×", "divide": "÷", "power": "^", "matmul": "@", "affine": "@+",
    "sigmoid": "σ",
    "negative": "−", "square": "²", "absolute": "|·|", "sqrt": "√", "concatenate": "concat", "getitem": "[ ]",
}  # fmt: skip


def formula(record: Record, parts: list[str]) -> str:
    """The op written out with its operands."""
    name = record.op.name
    if name == "cast" or name == "reshape":
        return parts[0]
    if name in ("matmul", "affine"):
        sums = [any(f" {sign} " in part for sign in "+−×÷^") and not part.endswith(")") for part in parts]
        factors = [f"({part})" if compound else part for part, compound in zip(parts, sums, strict=True)]
        return " + ".join([" ".join(factors[:2]), *parts[2:]])
    if name == "where" and parts[0] == "·" and parts[2] == "0":  # beyond the end of a sequence
        return parts[1]
    if name == "concatenate":
        return f"[{'; '.join(parts)}]"
    if name == "getitem":
        return f"{parts[0]}[{'ids' if isinstance(record.op.index, np.ndarray) else '·'}]"  # type: ignore[attr-defined]
    if len(parts) == 2 and name in SYMBOLS:
        return f" {SYMBOLS[name]} ".join(parts)
    return f"{SYMBOLS.get(name, name)}({', '.join(parts)})"


def key_of(x: Tensor) -> Any:
    return x if x.record is None else (x.record, x.output)


def _given_names(names: Mapping[str, Any] | Module | None) -> tuple[dict[Any, str], dict[Any, str]]:
    """The names that the caller gives to tensors; and the paths of parameters of modules that the names include."""
    given: dict[Any, str] = {}
    paths: dict[Any, str] = {}
    if isinstance(names, Module):
        return {parameter: path for path, parameter in names.named_parameters()}, paths
    for name, x in (names or {}).items():
        if isinstance(x, Tensor) and not name.startswith("_"):
            given.setdefault(key_of(x), name)
        elif isinstance(x, Module) and not name.startswith("_"):
            for path, parameter in x.named_parameters():
                paths.setdefault(parameter, f"{name}.{path}")
    return given, paths


def _told_apart(tape: Tape, given: dict[Any, str], paths: dict[Any, str]) -> dict[Any, str]:
    """Names for several parameters of one name: their paths, else ``W#1``, ``W#2`` in the order of their first use."""
    alike: dict[str, list[Tensor]] = {}
    for x in tape.leaves:
        if isinstance(x, Parameter) and x.name and x not in given:
            alike.setdefault(x.name, []).append(x)
    several = {name: found for name, found in alike.items() if len(found) > 1}
    return {x: paths.get(x, f"{name}#{k}") for name, found in several.items() for k, x in enumerate(found, 1)}
