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
from ..engine.modes import Step
from ..engine.tape import Record
from ..errors import DrawError
from ..nn.module import Module, Parameter
from ..ops.elementwise import Elementwise
from ..unrolled.expand import fused
from ..unrolled.listing import Tape
from ..unrolled.network import Unrolled
from ..unrolled.run import Place

MARK = "\ue000"
"""Stands for the number of the time step in a text that many steps share (a character that nobody uses)."""


DATA_OPS = ("matmul", "affine", "concatenate", "add")
"""What an input is given to first; of a plain array that is multiplied with it cannot be told from a mask."""


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
        self.network = network = Unrolled(tape)
        self.inputs, self.standing = network.inputs, network.standing
        self.given, paths = _given_names(names)
        self.told_apart = _told_apart(tape, self.given, paths)
        self.names = dict(tape.names)
        self.rows: dict[Any, Tensor] = {}  # sequences that are read entry by entry, and are no output of a layer
        self.root, self.loose = tape.root, network.loose
        self.steps, self.where = network.steps, network.where
        self.runs = {run.layer: run for run in network.runs}
        self.layers = [run.layer for run in network.runs]
        self.times = sorted({t for run in network.runs for t in run.records})
        self.words = {t: word for run in reversed(network.runs) for t, word in run.words.items()}
        self.reverse = {run.layer: run.backwards for run in network.runs}
        self._all_series: dict[Any, Series] = {}
        self._stacks: dict[Record, bool] = {}
        self._sizes: dict[str, int] = {}
        self._places: dict[Step, dict[Record, int]] = {}
        self._walk_steps()

    def _walk_steps(self) -> None:
        """One pass over every input of every step, for what the picture needs to know of all steps, shown or not.

        uses         in how many steps a tensor from outside the steps is used
        taken_apart  the sequences of which steps take their entries
        """
        self.uses: dict[Any, int] = {}
        self.taken_apart: dict[Any, Tensor] = {}
        self._arrays: dict[Any, dict[int, set[int]]] = {}
        self._constants: dict[int, tuple[Any, Tensor]] = {}
        used_last: dict[Any, Step] = {}
        outside = {x: key_of(x) for x in self.tape.tensors if x.record not in self.where}
        for step, records in self.steps.items():
            for record in records:
                for i, x in enumerate(record.inputs):
                    if x is None:
                        self._note_array(step, record, record.arrays[i])
                    elif x in outside:
                        key = outside[x]
                        if used_last.get(key) is not step:
                            used_last[key] = step
                            self.uses[key] = self.uses.get(key, 0) + 1
                            if i == 0 and (fused(record) or self.entry(record) is not None):
                                self.taken_apart[key] = x

    def _note_array(self, step: Step, record: Record, array: Any) -> None:
        if record.op.name in DATA_OPS and np.ndim(array) and array.dtype.kind != "b":
            contents = self._arrays.setdefault((step.layer, array.shape), {})
            contents.setdefault(step.t or 0, set()).add(hash(array.tobytes()))

    @cached_property
    def _names_of_arrays(self) -> dict[Any, str]:
        """What plain arrays of a layer and shape are called, of which each step gets one, and another than others."""
        one_each = [key for key, found in self._arrays.items() if all(len(held) == 1 for held in found.values())]
        data = [key for key in one_each if len(set.union(*self._arrays[key].values())) > 1]
        taken = {self.name(x) for x in self.tape.leaves}
        return dict(zip(data, (letter for letter in "xuvz" if letter not in taken), strict=False))

    def array_name(self, step: Step, array: Any) -> str | None:
        """What a plain array is called that is data of this step alone: x, else None."""
        return self._names_of_arrays.get((step.layer, np.shape(array)))

    def constant(self, array: Any) -> Tensor:
        """The Tensor that stands for a plain array in the place of a state."""
        if id(array) not in self._constants:
            self._constants[id(array)] = array, Tensor(np.asarray(array))
        return self._constants[id(array)][1]

    # ---------------------------------------------------------------- steps and states

    def count(self, layer: str, first: int, last: int) -> tuple[int, int]:
        """How many steps of a layer lie in a range, and how many ops they have, in their composed form."""
        sizes = [len(records) for t, records in self.runs[layer].records.items() if first <= t <= last]
        composed = self._sizes.get(layer, 1)  # of a fused step
        return len(sizes), sum(sizes) + sizes.count(1) * (composed - 1)

    def expand(self, times: Iterable[int]) -> None:
        """Put the ops of the cell in the place of every fused record of these steps."""
        for step in self.network.expand(times):
            self._sizes[step.layer] = len(self.steps[step])
            self._places.pop(step, None)
            for x in (x for part in self.steps[step] for x in part.inputs):
                if x is not None and x.name and x.record is not None:
                    self.names[x.record, x.output] = x.name
        for (record, k), y in self.network.shown.items():
            for names in (self.names, self.given):
                if (record, k) in names:
                    names[key_of(y)] = names[record, k]
        if self.root.record is not None:
            self.root = self.network.shown.get((self.root.record, self.root.output), self.root)

    def place(self, record: Record) -> int:
        """The how-manieth of its step a record is, from 0."""
        return self.places(self.where[record])[record]

    def places(self, step: Step) -> dict[Record, int]:
        """The how-manieth of its step each record is."""
        found = self._places.get(step)
        if found is None:
            found = self._places[step] = {record: k for k, record in enumerate(self.steps[step])}
        return found

    def state_names(self, layer: str) -> list[str]:
        """The states of a layer; of one that hands on none, what its steps end with."""
        run = self.runs[layer]
        return list(run.places) or [self.output_name(next(iter(run.records.values()))[-1]) or "s"]

    def state(self, step: Step, name: str) -> tuple[Place, ...]:
        """Where a state of a layer stands after this step: nowhere, where the root does not depend on it."""
        places = self.runs[step.layer].places
        return places[name].get(step.t or 0, ()) if places else ((self.steps[step][-1], 0),)

    def states(self, step: Step) -> dict[str, Place]:
        """Where each state stands after this step, as it is drawn."""
        found = {name: places.get(step.t or 0) for name, places in self.runs[step.layer].places.items()}
        return {name: self.standing(*places[-1]) for name, places in found.items() if places}

    def entering(self, step: Step) -> dict[tuple[Record, int], str]:
        """Which inputs of a step stand where the state of the step before does, with its name."""
        return self.network.entering(self.runs[step.layer], step.t or 0)

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
        place = record, output
        role, given = self.names.get(place), self.given.get(place)
        if record in self.where:
            return _clean(role or given)
        return _clean(given or role or (self.row_name if place in self.rows else None))

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
                if x is None or x.record is None:
                    continue
                step = self.where.get(x.record)
                if step is None and (made := self.taken(x).record) is not None:
                    step = self.where.get(made)
                    times.append(found.get(made) if step is None else step.t)
                elif step is not None:
                    times.append(step.t)
            found[record] = max((t for t in times if t is not None), default=None)
        return found

    @cached_property
    def memories(self) -> set[Any]:
        """What was made of steps, outside of them, and is used by several others: the states of an encoder."""
        several = (key for key, count in self.uses.items() if count > 1 and isinstance(key, tuple))
        return {key for key in several if self.after.get(key[0]) is not None}

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
        if x.record is not None and self.stacked(x.record):
            first = next(y for y in self.inputs(x.record) if y is not None and y.record is not None)
            made = self.where.get(first.record)
            mark = " reverse" if made is not None and self.reverse[made.layer] else ""
            return Series(f"{self.output_name(first.record, first.output) or 'y'}_{MARK}{mark}", (x.record,), ())
        self.rows[key_of(x)] = x
        return Series(f"{self.sequence_name(x)}_{MARK}", (x,), ())


def _clean(name: str | None) -> str | None:
    return name if name is None or MARK not in name else name.replace(MARK, "")


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
    if not isinstance(names, Mapping | None):
        raise DrawError(f"names must be a mapping from names to Tensors, such as locals(), or a Module, not {names!r}")
    for name, x in (names or {}).items():
        if isinstance(x, Tensor | Module) and not (isinstance(name, str) and name.strip()):
            raise DrawError(f"names must be texts, and {name!r} is none")
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
