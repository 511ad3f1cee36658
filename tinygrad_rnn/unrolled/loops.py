"""The states of a loop of one's own, whose steps `tg.scope` marks: what later steps use of earlier ones.

Steps are made up alike, but not quite: what is computed from constants alone is not on the tape, so the first step is
often shorter, and so is one behind a cut. So nothing goes by the how-manieth record of a step something is. Two results
are the same state of two steps if they have one name, or are computed alike, from the same weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

from ..engine.modes import Step
from ..engine.tape import Record
from .listing import Tape
from .losses import Added
from .run import Place, Run, Use

NAMES = ("h", "c")
"""What the states of the library's cells are called."""


class Sorted(Protocol):
    """What is asked of a network whose records are sorted into steps, and whose states are still to be found."""

    tape: Tape
    where: dict[Record, Step]

    @property
    def added(self) -> Added: ...
    def crossing(self, x: Any, run: Run, t: int) -> Place | None: ...


def guessed(network: Sorted, run: Run) -> dict[str, dict[int, tuple[Place, ...]]]:
    """The states of a loop of one's own: what later steps use of earlier ones, told apart by name and by equation."""
    crossing: dict[int, dict[Place, None]] = {t: {} for t in run.records}
    for t, records in run.records.items():
        for record in records:
            for x in record.inputs:
                place = network.crossing(x, run, t)
                if place is not None and place not in network.added.sums:
                    crossing[network.where[place[0]].t or 0][place] = None
    names = network.tape.names
    counts = Counter(len(places) for places in crossing.values() if places)
    if not counts:  # no step uses another, as where there is one: then h and c are those that are called so
        found: dict[str, dict[int, tuple[Place, ...]]] = {}
        for t, records in run.records.items():
            for place in _outputs(records):
                if names.get(place) in NAMES:
                    found.setdefault(names[place], {})[t] = (place,)
        return dict(sorted(found.items(), key=lambda item: rank(item[0])))
    usual = max(counts, key=lambda n: (counts[n], n))
    model = max(t for t, places in crossing.items() if len(places) == usual) if usual else 0
    states = sorted(crossing[model], key=lambda place: (place[0].seq, place[1]))
    called = dict(zip(states, numbered([names.get(place, "h") for place in states]), strict=True))
    found = {called[place]: {} for place in sorted(states, key=lambda place: rank(called[place]))}
    for t, records in run.records.items():
        for state, place in _matched(network, states, list(crossing[t]), records).items():
            found[called[state]][t] = (place,)
    return found


def _matched(network: Sorted, states: list[Place], crossing: list[Place], records: list[Record]) -> dict[Place, Place]:
    """For each known state the result of another step that is most like it, of what crosses to a later step first."""
    if len(states) == len(crossing) == 1:
        return {states[0]: crossing[0]}
    found: dict[Place, Place] = {}
    for candidates, strict in ((crossing, False), (list(_outputs(records)), True)):
        scores = [
            (score, place[0].seq, state, place)
            for state in states
            if state not in found
            for place in candidates
            if (score := _likeness(network, state, place, strict)) > 0
        ]
        for _, _, state, place in sorted(scores, key=lambda item: item[:2], reverse=True):
            if state not in found and place not in found.values():
                found[state] = place
    return found


def _likeness(network: Sorted, a: Place, b: Place, strict: bool) -> int:
    """How much two results are computed alike: 0 where they cannot be the same state of two steps."""
    name, other = network.tape.names.get(a), network.tape.names.get(b)
    if a[0].values[a[1]].shape != b[0].values[b[1]].shape or (name and other and name != other):
        return 0
    if strict and (a[0].op.name != b[0].op.name or a[1] != b[1]):
        return 0
    score = 1 + 100 * (name is not None and name == other)
    for (_, _), (record, i), x in alike(network, b, a):
        y = record.inputs[i]
        score += 1 + (x is not None and x is y)  # the same weight
    return score


def _outputs(records: list[Record]) -> Iterator[Place]:
    return ((record, k) for record in records for k in range(len(record.values)))


def alike(network: Sorted, a: Place, b: Place) -> Iterator[tuple[Use, Use, Any]]:
    """The inputs that stand at the same place of the equations of two steps, found on the way down from two results.

    Gives the input of the first step, that of the second, and the Tensor (or None) that stands in the first.
    """
    stack, seen = [(a, b)], set()
    while stack:
        (one, k), (other, m) = stack.pop()
        known = (one, other)
        if known in seen or one.op.name != other.op.name or k != m or len(one.inputs) != len(other.inputs):
            continue
        seen.add(known)
        here, there = network.where.get(one), network.where.get(other)
        for i, (x, y) in enumerate(zip(one.inputs, other.inputs, strict=True)):
            yield (one, i), (other, i), x
            inside = x is not None and y is not None and x.record is not None and y.record is not None
            if inside and network.where.get(x.record) == here and network.where.get(y.record) == there:
                stack.append(((x.record, x.output), (y.record, y.output)))


def rank(name: str) -> int:
    """Where a state stands among those of a layer: h first, then c, then others as they come."""
    return NAMES.index(name) if name in NAMES else len(NAMES)


def numbered(names: list[str]) -> list[str]:
    """Names that occur more than once with a number: h#1, h#2."""
    counts, met = Counter(names), Counter[str]()
    met.update(dict.fromkeys(names, 0))
    found = []
    for name in names:
        met[name] += 1
        found.append(name if counts[name] == 1 else f"{name}#{met[name]}")
    return found
