"""A tape as an unrolled network: which records make up which time step of which layer, and which results are states.

A step is made of the records that carry its tag: layers, `tg.nn.unroll` and `tg.scope` set them. A *state* is what a
step hands to the next. `unroll` and the layers say on the tape which results these are (`Record.states`). In a loop of
one's own, marked by `tg.scope`, it is what a later step uses of an earlier one; a loss that is added up is none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from ..autograd.checkpoint import Recompute
from ..autograd.checks import start_gradient
from ..autograd.tensor import Tensor
from ..engine.backward import reachable
from ..engine.modes import ENDED, After, Setting, Step, Worded, enable_grad
from ..engine.tape import Record, clock
from ..errors import GraphError
from .expand import composed, fused
from .listing import Tape
from .loops import alike, guessed, numbered
from .losses import Added
from .run import Place, Run, Use

Part = tuple[tuple[int, ...], str]
"""A part of a state: where it stands in the tuples and dicts that hold it, and what it is called if it has no name."""


class Unrolled:
    """A tape sorted into the steps of its layers.

    runs   every layer and direction, in the order of recording
    steps  the records of each step, by the name of its run and its number, in the order of recording
    where  the step that a record belongs to
    loose  the records outside of the steps, oldest first
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.runs: list[Run] = []
        self.steps: dict[Step, list[Record]] = {}
        self.where: dict[Record, Step] = {}
        self.loose: list[Record] = []
        self.shown: dict[Place, Tensor] = {}  # what stands for an output of a fused step: see `expand`
        self.parts: dict[Record, list[Record]] = {}  # the ops that stand for such a step
        self.inside: dict[Record, Record] = {}  # for each of these ops the step
        self._inputs: dict[Record, tuple[Tensor | None, ...]] = {}
        self._entering: dict[tuple[Run, int], dict[Use, str]] = {}
        self._take_declared(self._sort())
        for run in self.runs:
            if not run.places:
                run.places = guessed(self, run)
        self.named: dict[Place, tuple[Run, str]] = {
            place: state
            for run in self.runs
            for name, found in run.places.items()
            for state in [(run, name)]
            for places in found.values()
            for place in places
        }
        for run in self.runs:
            self._find_initial(run)

    def _sort(self) -> list[tuple[Place, Step, Part]]:
        """Sort the records into steps; gives what results of theirs were declared to be: a state, after which step."""
        current: dict[str, tuple[Run, Step]] = {}  # and the step that is being added to
        count: Counter[str] = Counter()
        ended: dict[str, Step] = {}  # the step that is being added to, where it has handed on its state
        marks: list[tuple[Place, Step, Part]] = []
        for record in self.tape.records:
            step, states = record.step, record.op.states
            if record.states:
                marks += [((record, k), tag, role) for tag, role, k in record.states if role != ENDED]
            if step is None or (t := step.t) is None or type(step) is After:
                self.loose.append(record)
                continue
            layer = step.layer
            run, at = current.get(layer, (None, step))
            again = run is not None and t in run.records
            if run is None or (again and (t != at.t or ended.get(layer, step) is not step)):
                # back at a step that was left, or that has handed on its state: another sequence
                again = False
                count[layer] += 1
                run = Run(layer if count[layer] == 1 else f"{layer} #{count[layer]}")
                self.runs.append(run)
            if not again:
                at = step if run.layer == layer else step.of(run.layer)
                current[layer] = run, at
                self.steps[at] = run.records[t] = []
                if isinstance(step, Worded):
                    run.words[t] = step.word
                ended.pop(layer, None)
            run.records[t].append(record)
            self.where[record] = at
            for k, state in enumerate(states):  # a fused step is an op whose outputs are the states
                run.places.setdefault(state, {})[t] = ((record, k),)
            if states or (record.states and any(s[0] is step and s[1] != ENDED for s in record.states)):
                ended[layer] = step
        return marks

    def _take_declared(self, marks: list[tuple[Place, Step, Part]]) -> None:
        """The states that `unroll` has declared, by the name that all their tensors have, or that of the part."""
        found: dict[Run, dict[Part, dict[int, list[Place]]]] = defaultdict(dict)
        tags = {}  # by the identity of a tag, which stands for one pass through a loop
        if marks:
            in_run = {run.layer: run for run in self.runs}
            tags = {id(record.step): in_run[step.layer] for record, step in self.where.items()}
        for place, tag, role in marks:
            run = tags.get(id(tag))
            if run is not None and tag.t is not None:
                found[run].setdefault(role, {}).setdefault(tag.t, []).append(place)
        for run, roles in found.items():
            start = next(iter(run.records.values()))[0].seq
            # what no step has computed, but each handed on as it came, is no state
            made = {role: p for role, p in roles.items() if max(place[0].seq for t in p for place in p[t]) >= start}
            parts = sorted(made)  # as they stand in the state
            names = numbered([self._common_name(part, [p[-1] for p in made[part].values()]) for part in parts])
            for part, name in zip(parts, names, strict=True):
                run.places[name] = {t: tuple(places) for t, places in made[part].items()}

    def _common_name(self, part: Part, places: list[Place]) -> str:
        """What all of the results that are named at all are called; else the name that goes with the part."""
        given = {self.tape.names[place] for place in places if place in self.tape.names}
        return given.pop() if len(given) == 1 else part[1]

    def crossing(self, x: Any, run: Run, t: int) -> Place | None:
        """Where an input of a step was made, if another step of its run made it; also behind a detach."""
        if x is None:
            return None
        record, output = (x.record, x.output) if x.cut is None else (x.cut.record(), x.cut.output)
        made = self.where.get(record) if record is not None else None
        return (record, output) if made is not None and made.layer == run.layer and made.t != t else None

    def entering(self, run: Run, t: int) -> dict[Use, str]:
        """Which inputs of a step stand where the state of the step before does, by the name of that state.

        Most are states. Before the first step and behind a cut it may be anything: what stands at the same place of the
        equations as a state does in another step.
        """
        if (run, t) not in self._entering:
            self._entering[run, t] = self._find_entering(run, t)
        return self._entering[run, t]

    def _find_entering(self, run: Run, t: int) -> dict[Use, str]:
        found = self._fed(run, t)
        model, slots = self._model(run)
        if t == model or len(found) >= len(slots):
            return found
        for places in run.places.values():
            if t in places and model in places:
                for a, b in zip(places[t], places[model], strict=False):
                    for use, other, x in alike(self, a, b):
                        name = slots.get(other)
                        if name is not None and (x is None or self.where.get(x.record) != (run.layer, t)):
                            found.setdefault(use, name)
        return found

    def _fed(self, run: Run, t: int) -> dict[Use, str]:
        found = {}
        for record in run.records[t]:
            for i, x in enumerate(record.inputs):
                if x is not None:
                    place = (x.record, x.output) if x.cut is None else (x.cut.record(), x.cut.output)
                    state = self.named.get(place)
                    if state is not None and state[0] is run and self.where.get(place[0]) != (run.layer, t):
                        found[record, i] = state[1]
        return found

    @cached_property
    def _models(self) -> dict[Run, tuple[int, dict[Use, str]]]:
        return {}

    def _model(self, run: Run) -> tuple[int, dict[Use, str]]:
        """A step of a run that takes all of the state from the step before, and where."""
        if run not in self._models:
            best: tuple[int, dict[Use, str]] = next(iter(run.records)), {}
            for t in list(run.records)[1:]:
                slots = self._fed(run, t)
                if len(set(slots.values())) > len(set(best[1].values())):
                    best = t, slots
                if len(set(slots.values())) == len(run.places):
                    break
            self._models[run] = best
        return self._models[run]

    def _find_initial(self, run: Run) -> None:
        for (record, i), name in self.entering(run, next(iter(run.records))).items():
            x = record.inputs[i]
            made = None if x is None else self.where.get(x.record)
            if x is not None and x.requires_grad and (made is None or made.layer != run.layer):
                run.initial.setdefault(name, x)

    # ---------------------------------------------------------------- fused steps as the ops of their cell

    def inputs(self, record: Record) -> tuple[Any, ...]:
        """The inputs of a record; for an output of a fused step that was expanded, what stands for it."""
        parts = self.parts
        if not parts:
            return record.inputs
        found = self._inputs.get(record)
        if found is None:
            found = record.inputs
            if not parts.keys().isdisjoint([x.record for x in found if x is not None]):
                known = self.shown
                found = tuple([x if x is None else known.get((x.record, x.output), x) for x in found])  # type: ignore[arg-type]
            self._inputs[record] = found
        return found

    def standing(self, record: Record, output: int) -> Place:
        """Where an output stands: in a fused step that was expanded, among the ops of the cell."""
        y = self.shown.get((record, output))
        return (record, output) if y is None or y.record is None else (y.record, y.output)

    def expand(self, times: Iterable[int]) -> list[Step]:
        """Put the ops of the cell in the place of the fused record of each of these time steps; gives what changed.

        The tape stays as it is, and so do the places of the states.
        """
        shown, changed = set(times), []
        steps = ((run, t, run.records[t]) for run in self.runs for t in shown.intersection(run.records))
        with enable_grad(), Setting("anomaly", False):
            for run, t, records in steps:
                if any(map(fused, records)):
                    self._inputs.clear()
                    entering, step = self.entering(run, t).copy(), self.where[records[0]]
                    records[:] = [part for record in records for part in self._parts(record, entering)]
                    self.where.update(dict.fromkeys(records, step))
                    self._entering[run, t] = entering
                    changed.append(step)
        if changed:
            self._inputs.clear()
        return changed

    def _parts(self, record: Record, entering: dict[Use, str]) -> list[Record]:
        """A record as the ops of its composed form, if it has one."""
        if not fused(record):
            return [record]
        start, inputs = next(clock), self.inputs(record)
        made = composed(record, inputs)
        parts = reachable(made, since=start)[::-1]
        names = {id(x): entering.pop((record, i)) for i, x in enumerate(inputs) if (record, i) in entering}
        for part in parts:
            for i, x in enumerate(part.inputs):
                if id(x) in names:
                    entering[part, i] = names[id(x)]
        named = {x.name: (x.record, x.output) for part in parts for x in part.inputs if x is not None and x.record}
        for k, y in enumerate(made):
            self.shown[record, k] = y
            if (record, k) in self.named and y.record is not None:
                run, name = self.named[record, k]
                self.named[y.record, y.output] = run, name
                self.named.setdefault(named.get(name, (y.record, y.output)), (run, name))
        del self.where[record]
        self.parts[record] = parts
        self.inside.update(dict.fromkeys(parts, record))
        return parts

    @cached_property
    def cuts(self) -> set[tuple[int, int]]:
        """The steps before and after each detach of what one step computed and another one uses."""
        if all(x.cut is None for x in self.tape.tensors):
            return set()
        return {
            (x.cut.step.t, step.t or 0)
            for record, step in self.where.items()
            for x in record.inputs
            if x is not None and x.cut is not None and x.cut.step is not None and x.cut.step.t is not None
        }

    @cached_property
    def added(self) -> Added:
        """How the root was added up, of which losses."""
        return Added(self.tape, self.where)


# ---------------------------------------------------------------- for reports on a loss


def runs(loss: Tensor, caller: str) -> list[Run]:
    """Every layer and direction behind the loss that hands on a state, in the order of recording.

    Raises GraphError where no record belongs to a time step, or where no step hands anything on.
    """
    start_gradient(loss, None, caller)
    tape = Tape(loss)
    refuse_checkpoints(tape, caller)
    network = Unrolled(tape)
    if not network.runs:
        raise GraphError(
            f"{caller}: nothing behind the loss belongs to a time step. The layers of tg.nn and tg.nn.unroll tag their "
            "steps; in a loop of your own, write: with tg.scope('rnn') as at, and at(t) in each step"
        )
    found = [run for run in network.runs if run.places]
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


def refuse_checkpoints(tape: Tape, caller: str) -> None:
    """Raise GraphError where steps were not kept: a report on the others alone would be wrong."""
    if any(isinstance(record.op, Recompute) for record in tape):
        raise GraphError(
            f"{caller}: steps behind the loss were forgotten by tg.checkpoint. Compute the loss again without it, for "
            "a layer of tg.nn with layer.checkpoint = False"
        )
