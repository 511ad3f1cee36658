"""A run of one layer over a sequence: the records of its steps, and where its states stand on the tape."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor, results
from ..engine.modes import ENDED
from ..engine.tape import Record

Place = tuple[Record, int]  # a record, and which of its outputs
Use = tuple[Record, int]  # a record, and which of its inputs


def tensor_at(place: Place) -> Tensor:
    """The result that stands there, as a Tensor."""
    return results(place[0].values, place[0])[place[1]]


class Run:
    """One layer, in one direction, running over a sequence.

    layer    its tag; a layer that runs over a second sequence is there again, as ``rnn #2``
    records  those of each time step, in the order in which the steps ran: backwards for a reverse direction
    places   by the name of a state, where it stands after each step, as far as the root depends on it. In a batch with
             `lengths` there may be two of it: what the cell made, and what was handed on, where the sequences that have
             ended keep the old one
    initial  the state before the first step, by name, as far as it needs a gradient
    words    of the steps that are called by a word, that word by their number
    """

    def __init__(self, layer: str) -> None:
        self.layer = layer
        self.records: dict[int, list[Record]] = {}
        self.places: dict[str, dict[int, tuple[Place, ...]]] = {}
        self.initial: dict[str, Tensor] = {}
        self.words: dict[int, str] = {}

    @property
    def backwards(self) -> bool:
        times = list(self.records)
        return len(times) > 1 and times[0] > times[1]

    @property
    def steps(self) -> list[int]:
        """The numbers of the time steps as they ran; the one before the first too, if there is an initial state."""
        first = next(iter(self.records))
        before = [first + (1 if self.backwards else -1)] if self.initial else []
        return [*before, *self.records]

    @cached_property
    def states(self) -> dict[str, list[Tensor | None]]:
        """For each name the Tensor at each of the steps, or None where the loss does not depend on one."""
        found = {}
        for name, places in self.places.items():
            before = [self.initial.get(name)] if self.initial else []
            found[name] = [*before, *(tensor_at(places[t][-1]) if t in places else None for t in self.records)]
        return found

    def unused(self, k: int) -> np.ndarray | None:
        """Which sequences have ended before step k, as far as its records tell (else None).

        After the last step only the outputs may lead to the loss: the state that was handed on is not in the graph.
        """
        for record in self.records.get(self.steps[k], ()):
            if any(role == ENDED for _, role, _ in record.states):
                return np.logical_not(record.arrays[0]).reshape(-1)
        return None


def number_of(step: Any, words: Mapping[int, str]) -> Any:
    """The number of a step that may be called by its word; what is no word comes back as it is.

    Raises ValueError where there is no such word, or several steps are called so.
    """
    if not isinstance(step, str):
        return step
    found = [t for t, word in words.items() if word == step]
    if len(found) != 1:
        known = ", ".join(map(repr, dict.fromkeys(words.values()))) or "none: its steps have numbers alone"
        several = f"steps {', '.join(map(str, found))} are all called {step!r}: say which by its number"
        raise ValueError(several if found else f"no step is called {step!r}; there is {known}")
    return found[0]
