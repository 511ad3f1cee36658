"""How much gradient goes where: one backward pass, and what it says of results, edges and time steps.

The gradient of a result is what the pass brings to it. What goes back along one edge is the part of it that comes by
that edge, which the rule of the op above computes again for the few ops that are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.backward import pull, sweep
from ..engine.cotangent import Waiting, written
from ..engine.modes import Step
from ..engine.tape import Record
from ..engine.visitors import noting
from ..unrolled.expand import fused
from ..unrolled.gradients import gradient
from .amount import Amount, amount
from .parts import Use
from .reading import Reading, entry_of, key_of


class Flow:
    """The gradients of a tape, asked for by what a picture shows."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.gradients = reading.tape.gradients
        self._parts: dict[Record, dict[int, Any]] = {}
        self._inside: dict[Record, dict[Record, Any]] = {}

    def of(self, record: Record, output: int = 0) -> Any:
        """The gradient of one output of a record, None where the pass did not get there."""
        gs = self.whole(record)
        return None if gs is None else gs[output]

    def at(self, x: Tensor) -> Any:
        """The gradient of a tensor, a leaf or a result."""
        return self.gradients.get(x) if x.record is None else self.of(x.record, x.output)

    def whole(self, record: Record) -> tuple[Any, ...] | None:
        """The gradients of a record, one an output; inside a fused step by a pass through its ops."""
        network = self.reading.network
        step = network.inside.get(record)
        if step is None:
            return self.gradients.get(record)
        if step not in self._inside:
            found = self._inside[step] = {}
            gs = self.gradients.get(step)
            if gs is not None:
                outputs, since = [network.shown[step, k] for k in range(len(gs))], network.parts[step][0].seq - 1
                sweep(outputs, gs, since=since, retain_graph=True, visit=noting(found))
        return self._inside[step].get(record)

    def along(self, uses: Sequence[Use]) -> dict[Any, Any]:
        """What goes back through these inputs of records, by the tensor that they are; None where nothing arrived."""
        found: dict[Any, list[Any]] = {}  # two uses of h add up, two weights stand side by side
        for record, i in uses:
            x = drawn_input(self.reading, record, i)
            if x is not None and x.requires_grad:
                found.setdefault(key_of(self.reading.taken(x)), []).append(self._parts_of(record).get(i))
        return {x: total(parts) for x, parts in found.items()}

    @cached_property
    def states(self) -> dict[str, dict[str, dict[int, Amount]]]:
        """||dL/dh_t|| for every state of every layer and every time step, drawn or not."""
        reading = self.reading
        found: dict[str, dict[str, dict[int, Amount]]] = {
            layer: {name: {} for name in reading.state_names(layer)} for layer in reading.layers
        }
        for step in reading.steps:
            for name, row in found[step.layer].items():
                row[step.t or 0] = amount(self.at_state(step, name))
        return found

    def at_state(self, step: Step, name: str) -> Any:
        """dL/d(a state of a layer after a step)."""
        places = self.reading.state(step, name)
        return gradient(places, self.gradients.get) if places else None

    @cached_property
    def largest(self) -> tuple[str, int, Amount] | None:
        """The layer and time step of which a state has the largest gradient."""
        rows = [(layer, row) for layer, states in self.states.items() for row in states.values()]
        named = [(layer, t, a) for layer, row in rows for t, a in row.items() if a.kind == "number"]
        return max(named, key=lambda item: item[2].norm, default=None)

    def _parts_of(self, record: Record) -> dict[int, Any]:
        """What a record hands on to each of its inputs, by number."""
        if record not in self._parts:
            gs, (sequence, t, first) = self.whole(record), taken_from(self.reading, record)
            parts = {} if gs is None or (sequence is not None and not first) else _handed_on(record, gs)
            if gs is not None and sequence is not None:
                parts |= {first + i: part for i, part in self._through(sequence, t, record, gs)}
            self._parts[record] = parts
        return self._parts[record]

    def _through(self, sequence: Tensor, t: int, record: Record, gs: tuple[Any, ...]) -> Iterator[tuple[int, Any]]:
        """What comes through the ops that computed a whole sequence, from the one entry that this record takes."""
        series, waiting = self.reading.series(sequence), Waiting(recorded=False)
        for made, arrived in [(record, gs), *((made, None) for made in reversed(self.reading.chain(sequence)))]:
            arrived = waiting.take(made) if arrived is None else arrived
            for x, part in pull(made, arrived) if arrived is not None else ():
                waiting.add(x, part)
        for i, x in enumerate(series.drawn):
            part = (waiting.take(x) or (None,))[0] if isinstance(x, Record) else waiting.at(x)
            yield i, part if part is None or i >= len(series.sources) else part[t]


def total(parts: Sequence[Any]) -> Any:
    """The sum of what arrived of these; None where nothing did."""
    arrived = [part for part in parts if part is not None]
    return sum(arrived) if arrived else None


def drawn_input(reading: Reading, record: Record, i: int) -> Tensor | None:
    """What is drawn as input i of a record: of one that takes an entry of a sequence, what that is made of."""
    inputs = reading.inputs(record)
    sequence, t, first = taken_from(reading, record)
    if sequence is None or i < first:
        return inputs[i]
    x = reading.series(sequence).drawn[i - first]
    return reading.inputs(x)[t] if isinstance(x, Record) else x


def taken_from(reading: Reading, record: Record) -> tuple[Tensor | None, int, int]:
    """The sequence of which a record takes an entry, which one, and the number of its first input."""
    if fused(record):
        inputs = reading.inputs(record)
        return inputs[0], entry_of(record), len(inputs)
    taken = reading.entry(record) if record in reading.where else None
    return (None, 0, 0) if taken is None else (*taken, 0)


def _handed_on(record: Record, gs: tuple[Any, ...]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    places: dict[Tensor, list[int]] = {}  # the inputs that a Tensor is, the last one first
    for i in reversed(range(len(record.inputs))):
        places.setdefault(record.inputs[i], []).append(i)
    for x, part in pull(record, gs):
        found[places[x].pop()] = written(part)
    for i, x in enumerate(record.inputs):  # where a rule says None, that means zero
        if x is not None and x.requires_grad:
            found.setdefault(i, np.zeros(x.shape))
    return found
