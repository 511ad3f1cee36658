"""What each input of an op is drawn as: a box of its cell, an edge from another cell, data, or a shared weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.modes import Step
from ..engine.tape import Record
from ..nn.module import Parameter
from ..unrolled.expand import fused
from ..unrolled.run import Use
from .constants import Constants
from .reading import DATA_OPS, MARK, Reading, entry_of, formula, key_of
from .template import Source, entry_kind


class Origin(NamedTuple):
    """Where something from outside a cell comes from.

    state    the step before            forward  the layer below, or a result outside the steps
    init     an initial state, a leaf   cut      a detached state: a box of its own, with its past if that is alive
    gather   one of many results of steps that enter an output sequence
    past     what a tensor detached inside this cell was computed by
    entry    the entry of a sequence that another layer takes at this step, and that is drawn with it
    """

    kind: str
    x: Tensor
    role: str = ""


Found = tuple[Source, Origin | None]

NOTHING: Found = Source("number"), None
"""An input that is not drawn."""


class Sources:
    """Describes inputs, and notes on the way what else has to be drawn and what the legend has to explain.

    wanted    loose records that a step refers to
    shared    (name, shape) -> number of steps that use it, by the tensor through which they do
    weights   the Tensors behind each (name, shape)
    formulas  formula of a sequence -> number of steps, for each sequence that is computed by it at once
    tensors   what the number of a source stands for
    folds     for each hidden step the range that it lies in
    """

    def __init__(self, reading: Reading, all_steps: bool = False, steps: Sequence[int] = ()) -> None:
        """steps   those that are drawn"""
        self.reading, self._all_steps = reading, all_steps
        self.constants = Constants(reading, steps)
        self._references: dict[tuple[Tensor, Tensor], Source] = {}
        self._takers: dict[tuple[int, int], str] = {}  # the layer that an entry of a sequence is drawn with
        self.wanted: list[tuple[int, Record]] = []
        self.shared: dict[tuple[str, tuple[int, ...]], dict[Any, int]] = {}
        self.weights: dict[tuple[str, tuple[int, ...]], dict[Any, Tensor]] = {}
        self.formulas: dict[str, dict[Any, int]] = {}
        self.tensors: dict[int, Tensor] = {}
        self.folds: dict[int, tuple[int, int]] = {}
        self._numbers: dict[Any, int] = {}
        self._note_sequences()

    def _note_sequences(self) -> None:
        """What is computed for all steps at once, with which weights; of steps that are not shown, too."""
        for key, x in self.reading.taken_apart.items():
            series = self.reading.series(x)
            if series.shared:
                self.formulas.setdefault(series.text, {})[key] = self.reading.uses[key]
            for weight in series.shared:
                self._note_use(weight, x)

    def _note_use(self, x: Tensor, through: Tensor) -> str:
        """Note in how many steps x is used, by way of the tensor `through`; gives the name of x."""
        name = self.reading.name(x)
        if name is None and x.record is not None:
            name = self.reading.output_name(x.record, x.output) or self.made_as(x.record)
        name = name or f"w{self.number(x)}"
        self.weights.setdefault((name, x.shape), {})[key_of(x)] = x
        self.shared.setdefault((name, x.shape), {})[key_of(through)] = self.reading.uses.get(key_of(through), 0)
        return name

    def entry_key(self, x: Tensor, record: Record) -> tuple[int, int]:
        """What stands for the entry of a sequence that a record takes; for all, where one box stands for all steps."""
        taken = self.reading.entry(record)
        t = entry_of(record) if taken is None else taken[1]
        return self.number(x), 0 if self._all_steps else t

    def number(self, x: Tensor) -> int:
        """The same number for the same tensor, in the order of first use."""
        number = self._numbers.setdefault(key_of(x), len(self._numbers) + 1)
        self.tensors.setdefault(number, x)
        return number

    def made_as(self, record: Record) -> str:
        """The op with the names of its operands."""
        return formula(record, ["·" if y is None else self.reading.name(y) or "·" for y in self.reading.inputs(record)])

    def rows_of(self, records: list[Record]) -> dict[int, int]:
        """Which entry of which numbered sequence these records of a step take."""
        taken = filter(None, map(self.reading.entry, records))
        pairs = [(x, t) for sequence, t in taken for x in self.reading.series(sequence).sources]
        return {self.number(x): t for x, t in pairs if not isinstance(x, Record)}

    def of_step(self, step: Step, records: list[Record]) -> list[list[Found]]:
        """The inputs of each record of a step."""
        places, states = self.reading.places(step), self.reading.entering(step)
        return [self._of_record(step, record, places, states) for record in records]

    def _of_record(self, step: Step, record: Record, places: dict[Record, int], states: dict[Use, str]) -> list[Found]:
        taken, inputs = self.reading.entry(record), self.reading.inputs(record)
        if taken is not None:
            return self._entry_of(step, record, *taken)
        whole = fused(record)  # of a step that is not shown: the entry of the sequence comes last
        found: list[Found] = []
        for i, (x, array) in enumerate(zip(inputs, record.arrays, strict=True)):
            use = record, i
            if x is not None and x.record is not None and x.record not in places:
                x = self.reading.taken(x)
            if whole and (i == 0 or x is None):
                found.append(NOTHING)
            elif x is None:
                found.append(self._array(step, use, array, states.get(use)))
            elif x.record in places:
                found.append((Source("inside", "", places[x.record], x.output), None))
            else:
                found.append(self._from_elsewhere(step, use, x, states.get(use)))
        return [*found, *self._entry_of(step, record, inputs[0], entry_of(record))] if whole else found

    def _entry_of(self, step: Step, record: Record, sequence: Tensor, t: int) -> list[Found]:
        """What entry t of a sequence is made of, as if it were computed in the step."""
        series = self.reading.series(sequence)
        found: list[Found] = []
        for x in series.sources:
            if isinstance(x, Record):
                found.append((Source("outside"), Origin("forward", self.reading.inputs(x)[t])))
            else:
                self._want(step, x)
                name = f"{self.reading.sequence_name(x)}_{MARK}"
                if series.shared and self._takers.setdefault(self.entry_key(x, record), step.layer) != step.layer:
                    found.append((Source("outside"), Origin("entry", x)))
                    continue
                found.append((Source(entry_kind(x), name, self.number(x), shape=x.shape[1:]), None))
        return found + [(self._reference(step, x, sequence), None) for x in series.shared]

    def _from_elsewhere(self, step: Step, use: Use, x: Tensor, state: str | None) -> Found:
        """An input of a step that it has not computed, with its name where a state stands."""
        reading = self.reading
        made = reading.where.get(x.record) if x.record is not None else None
        if made is not None and x.record is not None:
            handed_on = made.layer == step.layer and (x.record, x.output) not in reading.network.added.sums
            return Source("outside"), Origin("state" if handed_on else "forward", x)
        if state is not None:
            kind = "forward" if x.record is not None else "cut" if x.cut is not None else "init"
            return Source("outside"), Origin(kind, x, state)
        if x.cut is not None:
            t = x.cut.step.t if x.cut.step is not None else None
            if t is not None and t != step.t:
                return Source("outside"), Origin("cut", x, reading.name(x) or "state")
            return self._cut_inside(x, step)
        if x.record is not None and (reading.uses[key_of(x)] == 1 or reading.after[x.record] is not None):
            return Source("outside"), Origin("forward", x)  # of one step alone, or made of other steps: no weight
        if x.requires_grad:
            once = reading.uses[key_of(x)] == 1 and len(reading.times) > 1
            if once and x.record is None and not isinstance(x, Parameter):  # data of this step alone, and no weight
                return Source("leaf", reading.name(x) or f"x_{MARK}", self.number(x), shape=x.shape), None
            return self._reference(step, x, x), None
        name = reading.name(x) or self.constants.name(step, use)
        return Source("input", name or f"x_{MARK}", self.number(x) if name else 0, shape=x.shape), None

    def _array(self, step: Step, use: Use, array: Any, state: str | None) -> Found:
        """An input of an op in a step that is no Tensor. A mask says which sequences of the batch go on."""
        if not np.ndim(array):
            return _plain(array), None
        if state is not None:
            return Source("outside"), Origin("init", self.reading.constant(array), state)
        record, i = use
        if record.op.name == "where" and i == 0 and array.dtype.kind == "b":
            alive = array.reshape(len(array), -1).any(axis=1)
            return Source("alive", f"{alive.sum()} of {alive.size} go on", shape=array.shape), None
        name = self.reading.array_name(step, array) if record.op.name in DATA_OPS else None
        if name is not None:
            return Source("input", f"{name}_{MARK}", shape=array.shape), None
        plain, made = _plain(array), self.constants.name(step, use)
        return (plain if made is None else plain._replace(text=made)), None

    def of_loose(self, record: Record, places: dict[Record, int]) -> list[Found]:
        """The inputs of a record outside the steps, in a cell that holds the records of `places`."""
        reading = self.reading
        if reading.stacked(record):
            return self._gathered(record)
        found: list[Found] = []
        for given, array in zip(reading.inputs(record), record.arrays, strict=True):
            if given is None:
                found.append((_plain(array), None))
                continue
            x = reading.taken(given)
            if x.record in places:
                found.append((Source("inside", "", places[x.record], x.output), None))
            elif x.record is not None:
                found.append((Source("outside"), Origin("forward", x)))
            elif x.cut is not None:
                found.append(self._cut_inside(x, None, places))
            elif isinstance(x, Parameter):
                found.append((self._reference(None, x, x), None))
            else:
                name = reading.name(x) or ("x" if x.requires_grad else "const")
                kind = "leaf" if x.requires_grad else "input"
                found.append((Source(kind, name, self.number(x), shape=x.shape), None))
        return found

    def _gathered(self, record: Record) -> list[Found]:
        """What enters an output sequence; of steps that are folded into one box, the first alone."""
        inputs, where, folds = self.reading.inputs(record), self.reading.where, self.folds
        found, begun = [NOTHING] * len(inputs), set()
        for i, x in enumerate(inputs):
            if x is None:
                continue
            layer, t = where.get(x.record) or (None, None)
            fold = None if t is None else folds.get(t)
            if fold is not None:
                if (layer, fold[0]) in begun:
                    continue
                begun.add((layer, fold[0]))
            found[i] = Source("outside"), Origin("gather", x)
        return found

    def _want(self, step: Step, x: Tensor) -> None:
        if x.record is not None:
            self.wanted.append((step.t or 0, x.record))

    def _reference(self, step: Step | None, x: Tensor, through: Tensor) -> Source:
        if step is not None:
            self._want(step, x)
        found = self._references.get((x, through))
        if found is None:
            found = Source("ref", self._note_use(x, through), self.number(x), shape=x.shape)
            self._references[x, through] = found
        return found

    def _cut_inside(self, x: Tensor, step: Step | None, places: dict[Record, int] | None = None) -> Found:
        """A detached tensor that is used beside its past: in the same step, or after the steps."""
        name, number = self.reading.name(x) or "", self.number(x)
        assert x.cut is not None
        record = x.cut.record()
        if record is not None:
            record, _ = self.reading.standing(record, x.cut.output)
        made = self.reading.where.get(record) if record is not None else None
        past: tuple[int, int] | None = None
        if record is not None and made is not None and made == step:
            past = self.reading.place(record), x.cut.output
        elif record is not None and places is not None and record in places:
            past = places[record], x.cut.output
        alive = past is None and record is not None and record in self.reading.tape.numbers
        return Source("cut", name, number, shape=x.shape, past=past), Origin("past", x) if alive else None


def _plain(array: Any) -> Source:
    """An operand that is no Tensor: a number is written into the op, an array is a box."""
    shape = getattr(array, "shape", ())
    name = "mask" if shape and array.dtype.kind == "b" else "array"
    return Source("array", name, shape=shape) if shape else Source("number")
