"""What a constant is that has no name: what is computed from constants alone is not on the tape.

A first step whose start is constant, and one behind a cut, lack records that other steps have. At the place of what
these computed stands an array. What it is, the equations of another step say: ``[x_2; h_1]`` there is ``[x_1; h_0]``
here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.modes import Step
from ..unrolled.loops import alike
from ..unrolled.run import Use
from .reading import MARK, Reading, formula, key_of

NEAR = 2  # steps before and behind that are asked
DEEPEST = 4  # ops in each other, beyond which a formula is no name


class Constants:
    """Names for constants of the steps that are drawn."""

    def __init__(self, reading: Reading, steps: Sequence[int]) -> None:
        self.reading, self.shown = reading, sorted(steps)
        self._twins: dict[Step, dict[Use, tuple[Step, Tensor]]] = {}

    def name(self, step: Step, use: Use) -> str | None:
        """How what stands at an input of a step is computed in another; None where it is not, or that is too long."""
        if step not in self._twins:
            self._twins[step] = self._find(step)
        twin = self._twins[step].get(use)
        return None if twin is None else self._formula(*twin, step, DEEPEST)

    def _find(self, step: Step) -> dict[Use, tuple[Step, Tensor]]:
        """For each constant of a step what stands at its place in a step beside it that computes that."""
        reading, found = self.reading, dict[Use, tuple[Step, Tensor]]()
        here, at = reading.states(step), bisect_left(self.shown, step.t or 0)
        for t in self.shown[max(0, at - NEAR) : at + NEAR + 1]:
            other = Step(step.layer, t)
            there = reading.states(other) if other in reading.steps else {}
            for name in here.keys() & there.keys() if other != step else ():
                for use, (record, i), x in alike(reading.network, here[name], there[name]):
                    y = reading.inputs(record)[i]
                    if y is not None and reading.where.get(y.record) == other and (x is None or x.record is None):
                        found.setdefault(use, (other, y))
        return found

    def _formula(self, step: Step, x: Tensor, at: Step, deep: int) -> str | None:
        """The formula of what one step computes, with the names that another has for what it is computed from."""
        record, parts = x.record, []
        assert record is not None
        for i, y in enumerate(self.reading.inputs(record)):
            if y is not None and self.reading.where.get(y.record) == step and self.reading.entry(y.record) is None:
                part = self._formula(step, y, at, deep - 1) if deep else None
            else:
                part = self._operand(step, (record, i), y, at)
            if part is None:
                return None
            parts.append(part)
        return formula(record, parts)

    def _operand(self, step: Step, use: Use, x: Tensor | None, at: Step) -> str:
        reading, array = self.reading, use[0].arrays[use[1]]
        state = reading.entering(step).get(use)
        if state is not None:
            return f"{state}_{(at.t or 0) + (1 if reading.reverse[at.layer] else -1)}"
        if x is None:
            data = reading.array_name(step, array) if np.ndim(array) else None
            return f"{data}_{MARK}" if data else "·"  # a number may be another one at each step
        taken = reading.entry(x.record) if x.record is not None else None
        if taken is not None:
            return reading.series(taken[0]).text
        if x.record is None and reading.uses.get(key_of(x)) == 1:  # data of this step alone
            return "·" if reading.name(x) else f"x_{MARK}"
        return reading.name(x) or "·"
