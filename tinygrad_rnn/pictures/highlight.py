"""What is to stand out in a picture: time steps, the path of a state, or all ways from a tensor to the root."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..autograd.tensor import Tensor
from ..engine.tape import Record
from ..errors import DrawError
from ..unrolled.run import number_of
from .flow import drawn_input
from .options import Options
from .parts import Column, Inner, Join
from .reading import Reading


class Highlight:
    """The steps, the names of states and the records that stand out."""

    def __init__(self, reading: Reading, options: Options, words: Mapping[int, str]) -> None:
        """words   those that stand under steps"""
        self.reading, self.words = reading, words
        self.steps: set[int] = set()
        self.states: set[str] = set()
        self.tensors: list[Tensor] = []
        known = {name for run in reading.network.runs for name in run.places}
        for one in options.highlights:
            if isinstance(one, Tensor):
                self.tensors.append(one)
            elif one in known:
                self.states.add(one)
            else:
                self.steps.add(self._step(one, known))
        self._reached: set[Record] | None = None

    def _step(self, one: Any, states: set[str]) -> int:
        times = self.reading.times
        try:
            t = number_of(one, self.words)
        except ValueError as error:
            names = ", ".join(map(repr, sorted(states))) or "none"
            raise DrawError(f"highlight must name a step or a state (of these there is {names}): {error}") from None
        t = times[t] if times and -len(times) <= t < 0 else t
        if t not in times:
            raise DrawError(f"highlight must name a time step that there is, and {one!r} is none")
        return int(t)

    def column(self, column: Column) -> bool:
        """Whether the step of this column stands out."""
        return column.kind in ("step", "layer") and column.t in self.steps

    def edge(self, edge: Inner | Join) -> bool:
        """Whether an edge is a piece of a path that stands out."""
        if edge.kind in ("state", "cut") and edge.name in self.states:
            return True
        return bool(self.tensors) and any(self._on_the_way(record, i) for record, i in edge.uses)

    def _on_the_way(self, record: Record, i: int) -> bool:
        _ = self.reached
        x = drawn_input(self.reading, record, i)
        return x is not None and self._used(x)

    @property
    def reached(self) -> set[Record]:
        """The records that depend on one of the tensors."""
        if self._reached is None:
            starts = {tensor.record for tensor in self.tensors if tensor.record is not None}
            self._reached = {self.reading.standing(record, 0)[0] for record in starts} | starts
            records, before = list(self._records()), -1
            while len(self._reached) > before:  # ops put in the place of a fused record are younger than what uses them
                before = len(self._reached)
                for record in records:
                    if any(x is not None and self._used(x) for x in self.reading.inputs(record)):
                        self._reached.add(record)
        return self._reached

    def _used(self, x: Tensor) -> bool:
        assert self._reached is not None
        x = self.reading.taken(x)
        return any(x is tensor for tensor in self.tensors) or x.record in self._reached

    def _records(self) -> Iterator[Record]:
        for records in self.reading.steps.values():
            yield from records
        yield from self.reading.loose
