"""The T steps of a layer in numbers, computed by a program that numba compiled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..engine.cotangent import Indexed
from ..ops.blas import product
from . import sharing
from .numba_printer import AFTER, BEFORE, GRADIENT, Loop
from .numba_program import NumbaProgram
from .values import Arrays, Value


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
        ended = _NOBODY if dead is None else dead[::-1] if backwards else dead
        self.ended = np.ascontiguousarray(ended).reshape(-1).view(np.uint8)
        self.arrays: dict[str, np.ndarray] = {"a": np.ascontiguousarray(a).reshape(-1)}
        rows, H = self.T * self.B, program.H
        for name, blocks in program.kept_arrays.items():
            self.arrays[name] = np.empty(rows * blocks * H if blocks else rows, program.dtype)
        for k, part in enumerate(start):
            state = self.arrays[f"s{k}"] = np.empty((self.T + 1, *part.shape), program.dtype)
            state[self.T if backwards else 0] = part
            self.arrays[f"s{k}"] = state.reshape(-1)
        self._call(program.ahead, program.module.forward, 0, self.T, 0, dict(self.arrays), ())

    def _call(
        self, loop: Loop, function: Any, k0: int, k1: int, t0: int, arrays: dict[str, np.ndarray], rows: tuple[int, ...]
    ) -> None:
        """Run one of the two loops, over parts of the batch."""
        program, B, H, dtype = self.program, self.B, self.program.H, self.program.dtype
        for name, blocks in loop.scratch.items():
            arrays[name] = np.empty(B * (blocks * H or 1), dtype)
        for v, name in loop.weights.items():
            arrays[name] = np.array(v.array(self.known), dtype).reshape(-1)
        for v, name in loop.packed.items():
            arrays[name] = program.kernels.packed(np.asarray(v.array(self.known), dtype))
        arrays["zero"] = program.zero
        sizes = (program.kernels.product, self.T, B, H, k0, k1, t0, -1 if self.backwards else 1, self.dead is not None)
        given = [arrays[name] for name in program.names[loop is program.back]]
        count = sharing.parts(B, (k1 - k0) * B * loop.cost)
        if count == 1:
            function(0, B, *sizes, *rows, *loop.numbers, self.ended, *given)
        else:
            given = [np.array(list(loop.numbers), dtype), self.ended, *given]
            work = program.rows[loop is program.back]
            sharing.over(work, [*sizes, *rows], given, B, count)

    # ---------------------------------------------------------------- what came out

    def _part(self, k: int) -> np.ndarray:
        """(T + 1, B, n) a part of the state, in the order of time."""
        return self.arrays[f"s{k}"].reshape(self.T + 1, self.B, self.program.step.states[k].columns)

    @property
    def output(self) -> np.ndarray:
        """(T, B, n) the y of each step, in the order of time."""
        step = self.program.step
        if step.y not in step.after:
            return self.arrays["y"].reshape(self.T, self.B, step.y.columns)
        part = self._part(step.after.index(step.y))
        return part[:-1] if self.backwards else part[1:]

    def states(self) -> list[np.ndarray]:
        """The parts of the state, each (T + 1, B, n) with entry k before step k."""
        parts = [self._part(k) for k in range(len(self.program.step.states))]
        return [part[::-1] if self.backwards else part for part in parts]

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
        program, B, n, H = self.program, self.B, last + 1 - first, self.program.H
        step, t0 = program.step, self.T - 1 - last if self.backwards else first
        arrays = dict(self.arrays)
        for name, blocks in program.gradient_arrays.items():
            arrays[name] = np.empty(n * B * blocks * H if blocks else n * B, program.dtype)
        for k, end in enumerate(ends):
            turns = np.empty((2, *end.shape), program.dtype)
            turns[(n - 1) % 2] = end
            arrays[f"e{k}"] = turns.reshape(-1)
        rows = 0 if output is None else B
        dy = (
            np.zeros((B, step.y.columns), program.dtype)
            if output is None
            else output[::-1]
            if self.backwards
            else output
        )
        arrays["dy"] = np.ascontiguousarray(dy).reshape(-1)
        self._call(program.back, program.module.backward, first, last + 1, t0, arrays, (rows,))
        before = [arrays[f"e{k}"].reshape(2, *end.shape)[1] for k, end in enumerate(ends)]
        known = self.known | {v: self._total(v, arrays, t0, n) for v in program.totals}
        grads = {w: g.array(known) for w, g in step.dweights}
        da = (
            np.zeros_like(a[:n])
            if step.da is None
            else self._over(step.da, arrays, t0, n).reshape(n, B, step.da.columns)
        )
        lazy = da if n == self.T else Indexed(slice(t0, t0 + n), da, a)
        return lazy, *before, *[grads.get(w) for w in program.weights]

    def _over(self, v: Value, arrays: dict[str, np.ndarray], t0: int, n: int) -> np.ndarray:
        """A value of the time steps t0 .. t0 + n - 1 as a matrix, a row for each of them and each sequence."""
        place, H = self.program.place(v), self.program.H
        width = place.blocks * H or 1
        x = arrays[place.array]
        x = x.reshape(x.size // max(1, self.B * width), self.B, width)
        shift = place.row == (BEFORE if self.backwards else AFTER)
        begin = 0 if place.row == GRADIENT else t0 + shift
        rows = x[begin : begin + n].reshape(n * self.B, width) if self.B else np.empty((0, width), x.dtype)
        return rows if rows.shape[1] == v.columns else rows[:, place.slot * H : place.slot * H + v.columns]

    def _total(self, v: Value, arrays: dict[str, np.ndarray], t0: int, n: int) -> np.ndarray:
        """Σ over all steps of xᵀ g, as one product of two matrices; or of g."""
        g = self._over(v.args[-1], arrays, t0, n)
        if v.name == "product":
            return product(self._over(v.args[0], arrays, t0, n).T, g)
        return product(np.ones((1, len(g)), g.dtype), g).reshape(v.shape)


_NOBODY = np.zeros(1, bool)
