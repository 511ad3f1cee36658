"""The T steps of a layer in numbers, computed by a program that numba compiled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..engine.cotangent import Indexed
from ..ops.blas import product
from . import sharing
from .numba_printer import AFTER, BEFORE, GRADIENT, Loop
from .numba_program import NumbaProgram
from .values import Arrays, Value

_NOBODY = np.zeros(1, np.uint8)
"""Of the sequences that end before the others, where none does."""


class NumbaRun:
    """The steps of one sequence, in the order in which they are taken. Arguments and results are those of `Run`."""

    def __init__(
        self,
        program: NumbaProgram,
        a: np.ndarray,
        start: Sequence[np.ndarray],
        weights: Sequence[np.ndarray],
        dead: np.ndarray | None,
        backwards: bool,
    ) -> None:
        self.program, self.dead, self.backwards = program, dead, backwards
        self.known: Arrays = dict(zip(program.weights, weights, strict=True))
        self.T, self.B, _ = a.shape
        self.ended = _NOBODY
        if dead is not None:
            self.ended = np.ascontiguousarray(dead[::-1] if backwards else dead).reshape(-1).view(np.uint8)
        arrays = self.arrays = self._memory(program.kept_arrays, self.T)
        arrays["a"], arrays["zero"] = np.ascontiguousarray(a).reshape(-1), program.zero
        self.parts = []  # of the state, each (T + 1, B, n), in the order of time
        for k, first in enumerate(start):
            part = np.empty((self.T + 1, *first.shape), program.dtype)
            part[self.T if backwards else 0] = first
            self.parts.append(part)
            arrays[f"s{k}"] = part.reshape(-1)
        self._call(program.ahead, program.module.forward, 0, self.T, 0, dict(arrays))

    def _memory(self, widths: Mapping[str, int], steps: int) -> dict[str, np.ndarray]:
        """Arrays over steps of so many blocks of H columns each; of one column for 0."""
        rows, H, dtype = steps * self.B, self.program.H, self.program.dtype
        return {name: np.empty(rows * (blocks * H or 1), dtype) for name, blocks in widths.items()}

    def _call(
        self, loop: Loop, function: Any, k0: int, k1: int, t0: int, arrays: dict[str, np.ndarray], *dy_rows: int
    ) -> None:
        """Run one of the two loops, over parts of the batch."""
        program, B = self.program, self.B
        arrays |= self._memory(loop.scratch, 1)
        for v, name in loop.weights.items():
            arrays[name] = np.array(v.array(self.known), program.dtype).reshape(-1)
        for v, name in loop.packed.items():
            arrays[name] = program.kernels.packed(np.asarray(v.array(self.known), program.dtype))
        steps = k0, k1, t0, -1 if self.backwards else 1, self.dead is not None, *dy_rows
        sizes = program.kernels.product, self.T, B, program.H, *steps
        given = [arrays[name] for name in program.names[loop is program.back]]
        count = sharing.parts(B, (k1 - k0) * B * loop.cost)
        if count == 1:
            function(0, B, *sizes, *loop.numbers, self.ended, *given)
        else:
            given = [np.array(list(loop.numbers), program.dtype), self.ended, *given]
            sharing.over(program.rows[loop is program.back], sizes, given, B, count)

    # ---------------------------------------------------------------- what came out

    @property
    def output(self) -> np.ndarray:
        """(T, B, n) the y of each step, in the order of time."""
        step = self.program.step
        if step.y not in step.after:
            return self.arrays["y"].reshape(self.T, self.B, step.y.columns)
        part = self.parts[step.after.index(step.y)]
        return part[:-1] if self.backwards else part[1:]

    def states(self) -> list[np.ndarray]:
        """The parts of the state, each (T + 1, B, n) with entry k before step k."""
        return [part[::-1] for part in self.parts] if self.backwards else self.parts

    def after(self, k: int, y: bool = False) -> tuple[np.ndarray, ...]:
        """The parts of the state after step k, and its y where that is asked for."""
        after = tuple([part[k + 1] for part in self.states()])
        return (*after, self.output[-1 - k if self.backwards else k]) if y else after

    def afters(self, y: bool = False) -> Iterator[tuple[np.ndarray, ...]]:
        """`after` of each step in turn."""
        outputs = self.output[::-1] if self.backwards else self.output
        return zip(*(part[1:] for part in self.states()), *([outputs] * y), strict=True)

    # ---------------------------------------------------------------- gradients

    def gradients(
        self, first: int, last: int, ends: Sequence[np.ndarray], a: np.ndarray, output: np.ndarray | None = None
    ) -> tuple[Any, ...]:
        """dL/da, dL/d(state before the first step) and dL/d(weights), by the steps first..last: see `Run.gradients`."""
        program, B, n = self.program, self.B, last + 1 - first
        step, t0 = program.step, self.T - 1 - last if self.backwards else first
        arrays = self.arrays | self._memory(program.gradient_arrays, n)
        turns = []  # two places for dL/d(each part of the state): a step reads one and writes into the other
        for k, end in enumerate(ends):
            turns.append(np.empty((2, *end.shape), program.dtype))
            turns[k][(n - 1) % 2] = end
            arrays[f"e{k}"] = turns[k].reshape(-1)
        dy_rows = 0 if output is None else B  # from step to step: without any, one row of zeros serves
        dy = np.zeros((1, B, step.y.columns), program.dtype) if output is None else output
        arrays["dy"] = np.ascontiguousarray(dy[::-1] if self.backwards else dy).reshape(-1)
        self._call(program.back, program.module.backward, first, last + 1, t0, arrays, dy_rows)
        known = self.known | {v: self._total(v, arrays, t0, n) for v in program.totals}
        grads = {w: g.array(known) for w, g in step.dweights}
        if step.da is None:
            da = np.zeros_like(a[:n])
        else:
            da = self._over(step.da, arrays, t0, n).reshape(n, B, step.da.columns)
        lazy = da if n == self.T else Indexed(slice(t0, t0 + n), da, a)
        return lazy, *[both[1] for both in turns], *[grads.get(w) for w in program.weights]

    def _over(self, v: Value, arrays: dict[str, np.ndarray], t0: int, n: int) -> np.ndarray:
        """A value of the time steps t0 .. t0 + n - 1 as a matrix, a row for each of them and each sequence."""
        place, H, B = self.program.place(v), self.program.H, self.B
        width, begin = place.blocks * H or 1, 0
        if place.row != GRADIENT:
            begin = t0 + (place.row == (BEFORE if self.backwards else AFTER))
        rows = arrays[place.array][begin * B * width : (begin + n) * B * width].reshape(n * B, width)
        return rows if width == v.columns else rows[:, place.slot * H : place.slot * H + v.columns]

    def _total(self, v: Value, arrays: dict[str, np.ndarray], t0: int, n: int) -> np.ndarray:
        """Σ over all steps of xᵀ g, as one product of two matrices; or of g."""
        g = self._over(v.args[-1], arrays, t0, n)
        if v.name == "product":
            return product(self._over(v.args[0], arrays, t0, n).T, g)
        return v.op.forward(product(np.ones((1, len(g)), g.dtype), g))  # type: ignore[union-attr]
