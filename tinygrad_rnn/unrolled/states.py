"""The states of an unrolled network, found on its tape: what one time step hands to the next.

A step is made of the records that carry its tag: layers, `tg.nn.unroll` and `tg.scope` set them. A state is an output
of one step that another step of the same layer uses. So nothing has to be known of the cell. Where no step uses
another directly (a single step, or a layer called once a step), what is called h or c is a state.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ..autograd.checkpoint import Recompute
from ..autograd.tensor import Tensor, as_tensors, start_gradient
from ..engine.tape import Record
from ..errors import GraphError
from .listing import Tape

NAMES = ("h", "c")
"""What the states of the library's cells are called."""

Place = tuple[Record, int]  # a record, and which of its outputs
Role = tuple[str, int, int]  # in a step: the how-manieth record of which op, and which output or input of it


class Run:
    """One layer, in one direction, running over a sequence.

    layer   its tag; a layer that runs over a second sequence is there again, as ``rnn #2``
    steps   the numbers of the time steps in the order in which they ran, backwards for a reverse direction. The step
            before the first is there too, with the initial state, where that needs a gradient
    states  for each name the Tensor at each of the steps, or None where the loss does not depend on one
    """

    def __init__(self, layer: str) -> None:
        self.layer = layer
        self.records: dict[int, list[Record]] = {}
        self.steps: list[int] = []
        self.states: dict[str, list[Tensor | None]] = {}

    @property
    def last(self) -> int:
        """The step that is being added to."""
        return next(reversed(self.records))

    def unused(self, k: int) -> np.ndarray | None:
        """Which sequences have ended before step k, where their state after it is not in the graph (else None).

        A step of a batch with `lengths` makes a new state for all, and lets the sequences that have ended keep the old
        one. After the last step only the outputs may lead to the loss: the new states, masked.
        """
        states = {(x.record, x.output) for tensors in self.states.values() if (x := tensors[k]) is not None}
        for record in self.records.get(self.steps[k], ()):
            new = record.inputs[1] if record.op.name == "where" else None
            if new is not None and new.record is not None and (new.record, new.output) in states:
                return np.logical_not(record.arrays[0]).reshape(-1)
        return None


def runs(loss: Tensor, caller: str) -> list[Run]:
    """Every layer and direction behind the loss that hands on a state, in the order of recording.

    Raises GraphError where no record belongs to a time step, or where no step hands anything on.
    """
    start_gradient(loss, None, caller)
    tape = Tape(loss)
    found = _sorted_into_runs(tape, caller)
    sums = {record for record, _ in accumulations(tape)}
    for run in found:
        _find_states(run, tape, sums)
    found = [run for run in found if run.states]
    if not found:
        raise GraphError(
            f"{caller}: the loss was computed in time steps, and none of them uses a result of another: the cell keeps "
            "no state. A cell of tg.nn.unroll returns (y_t, state) and reads the state it is given"
        )
    return found


def the_run(loss: Tensor, layer: str | None, caller: str) -> Run:
    """The run of this layer; without a name, of the only one there is."""
    found = runs(loss, caller)
    names = ", ".join(repr(run.layer) for run in found)
    if layer is None:
        if len(found) > 1:
            raise ValueError(f"{caller}: the loss was computed by several layers: give layer=, one of {names}")
        return found[0]
    for run in found:
        if run.layer == layer:
            return run
    raise ValueError(f"{caller}: no layer {layer!r} hands on a state; there is {names}")


def _sorted_into_runs(tape: Tape, caller: str) -> list[Run]:
    found: list[Run] = []
    current: dict[str, Run] = {}
    count: Counter[str] = Counter()
    for record in tape:
        layer, t = record.step or ("", None)
        if t is None:
            continue
        run = current.get(layer)
        if run is None or (t in run.records and t != run.last):  # back at a step that was left: another sequence
            count[layer] += 1
            run = current[layer] = Run(layer if count[layer] == 1 else f"{layer} #{count[layer]}")
            found.append(run)
        run.records.setdefault(t, []).append(record)
    refuse_checkpoints(tape, caller)
    if not found:
        raise GraphError(
            f"{caller}: nothing behind the loss belongs to a time step. The layers of tg.nn and tg.nn.unroll tag their "
            "steps; in a loop of your own, write: with tg.scope('rnn') as at, and at(t) in each step"
        )
    return found


def refuse_checkpoints(tape: Tape, caller: str) -> None:
    """Raise GraphError where steps were not kept: a report on the others alone would be wrong."""
    if any(isinstance(record.op, Recompute) for record in tape):
        raise GraphError(
            f"{caller}: steps behind the loss were forgotten by tg.checkpoint. Compute the loss again without it, for "
            "a layer of tg.nn with layer.checkpoint = False"
        )


def _find_states(run: Run, tape: Tape, sums: set[Record]) -> None:
    """Fill in `steps` and `states`."""
    roles = {t: _roles(records) for t, records in run.records.items()}
    made = {record: t for t, records in run.records.items() for record in records}
    crossing: dict[int, dict[Place, None]] = {t: {} for t in run.records}
    fed: dict[Place, set[Role]] = {}
    for record, t in made.items():
        for i, x in enumerate(record.inputs):
            if x is not None and x.record is not None and made.get(x.record, t) != t and x.record not in sums:
                place = (x.record, x.output)
                crossing[made[x.record]].setdefault(place)
                op, nth = roles[t][record]
                fed.setdefault(place, set()).add((op, nth, i))

    # name by name, or, where there is no name, by what uses it in the next step
    keys: dict[Any, dict[int, Place]] = {}
    for t, places in crossing.items():
        for place in sorted(places, key=lambda place: place[0].seq):
            key = tape.names.get(place) or min(fed[place])
            keys.setdefault(key, {})[t] = place
    if not keys:
        named = {tape.names.get((record, k)) for record in made for k in range(record.op.outputs)}
        keys = {name: {} for name in NAMES if name in named}
    unnamed = [key for key in keys if not isinstance(key, str)]
    for key, known in keys.items():
        for t, records in run.records.items():
            if t not in known:
                found = _by_name(records, key, tape) if isinstance(key, str) else None
                found = found or _by_position(records, _position(known, roles), roles[t])
                if found is not None:
                    known[t] = found

    run.steps = list(run.records)
    names = {key: key if isinstance(key, str) else _letter(unnamed.index(key), len(unnamed), keys) for key in keys}
    ordered = sorted(keys, key=lambda key: NAMES.index(key) if key in NAMES else len(NAMES))
    run.states = {names[key]: [_tensor(keys[key].get(t), tape) for t in run.steps] for key in ordered}
    slots = {names[key]: {slot for place in keys[key].values() for slot in fed.get(place, ())} for key in ordered}
    _add_initial(run, slots, roles)


def _letter(k: int, count: int, taken: Any) -> str:
    return "h" if count == 1 and "h" not in taken else f"h{k}"


def _roles(records: list[Record]) -> dict[Record, tuple[str, int]]:
    """For each record of a step, how many of the same op came before it: steps are alike, so it is the same in each."""
    seen: Counter[str] = Counter()
    roles = {}
    for record in records:
        roles[record] = (record.op.name, seen[record.op.name])
        seen[record.op.name] += 1
    return roles


def _position(places: dict[int, Place], roles: dict[int, dict[Record, tuple[str, int]]]) -> Role | None:
    """Where in a step this state is made, going by the last step in which it is known."""
    for t, (record, output) in reversed(places.items()):
        return (*roles[t][record], output)
    return None


def _by_position(records: list[Record], position: Role | None, roles: dict[Record, tuple[str, int]]) -> Place | None:
    for record in records:
        if position is not None and roles[record] == position[:2]:
            return record, position[2]
    return None


def _by_name(records: list[Record], name: str, tape: Tape) -> Place | None:
    """The last output of this name in a step, before the layer stacks its final states, which have the same names."""
    found: Place | None = None
    for record in records:
        inputs = [(x.record, x.output) for x in record.inputs if x is not None]
        if record.op.name == "stack" and found in inputs:
            break
        for k in range(record.op.outputs):
            if tape.names.get((record, k)) == name:
                found = (record, k)
    return found


def _tensor(place: Place | None, tape: Tape) -> Tensor | None:
    if place is None:
        return None
    outputs, _ = as_tensors(place[0])
    return outputs[place[1]]


def _add_initial(run: Run, slots: dict[str, set[Role]], roles: dict[int, dict[Record, tuple[str, int]]]) -> None:
    """Put the step before the first in front: what stands in the first step where a state stands in the others."""
    first = run.steps[0]
    own = {record for records in run.records.values() for record in records}
    initial: dict[str, Tensor | None] = {}
    for name, places in slots.items():
        for record in run.records[first]:
            for i, x in enumerate(record.inputs):
                needed = x is not None and x.requires_grad and x.record not in own
                if needed and (*roles[first][record], i) in places:
                    initial.setdefault(name, x)
    if initial:
        direction = 1 if len(run.steps) < 2 or run.steps[1] > first else -1
        run.steps.insert(0, first - direction)
        for name, tensors in run.states.items():
            tensors.insert(0, initial.get(name))


def accumulations(tape: Tape) -> list[Place]:
    """The sums of single numbers that lead to the root: a loss that is added up, ``loss = loss + L_t`` (or minus).

    Inside the steps of a loop such a sum passes from step to step as a state does, and is none. A sum that is used
    for anything else as well, or has a name, is not counted.
    """
    uses = Counter((x.record, x.output) for record in tape for x in record.inputs if x is not None)
    found: list[Place] = []
    stack: list[Place] = [(tape.root.record, tape.root.output)] if tape.root.record is not None else []
    while stack:
        place = record, _ = stack.pop()
        if len(record.values) > 1 or record.values[0].size != 1:
            continue
        needed = [x for x in record.inputs if x is not None and x.requires_grad]
        after = record.step is None or record.step.t is None
        scaled = after and record.op.name in ("multiply", "divide", "negative") and len(needed) == 1
        if record.op.name in ("add", "subtract") or scaled:
            found.append(place)
            stack += [
                (x.record, x.output)
                for x in needed
                if x.record is not None and uses[x.record, x.output] == 1 and x.name is None
            ]
    return found
