"""The T steps of a layer in numbers, computed by a program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..engine.cotangent import Indexed
from ..ops.blas import quiet
from .places import Buffer
from .program import Part, Program, made
from .values import Arrays, Value

_CHUNK = 1 << 20  # bytes of factors at a time: about half of a second-level cache


class Run:
    """The steps of one sequence, in the order in which they are taken.

    a          (T, B, n) what the steps get of the input, in the order of time
    start      the parts of the state before the first step
    weights    the arrays of `program.weights`
    dead       (T, B, 1) which sequences have ended before a step, or None
    backwards  whether the steps are taken from the end of time to its beginning. An array over steps then runs
               backwards through its memory, which so is in the order of time all the same
    """

    @quiet
    def __init__(
        self,
        program: Program,
        a: np.ndarray,
        start: Sequence[np.ndarray],
        weights: Sequence[np.ndarray],
        dead: np.ndarray | None,
        backwards: bool,
    ) -> None:
        self.program, self.dead, self.backwards = program, dead, backwards
        self.known: Arrays = dict(zip(program.weights, weights, strict=True))
        self.T, self.B, _ = a.shape
        self.dtype = a.dtype
        layout = program.layout
        arrays: dict[Any, Any] = {"dead": dead, "a": a[::-1] if backwards else a}
        for k, (buffer, first) in enumerate(zip(layout.states, start, strict=True)):
            arrays[f"S{k}"] = self.over_steps(self.T + 1, self.B, buffer.n)
            arrays[f"S{k}"][0] = first
        for buffer in layout.buffers:
            if not buffer.backward:
                arrays[buffer.name] = self.memory(buffer, self.T)
        self.arrays = arrays
        for phase in ("ahead", "forward", "output"):
            self.compute(program.parts[phase], arrays)

    def over_steps(self, *shape: int, dtype: Any = None) -> np.ndarray:
        """An array with one entry a step."""
        array = np.empty(shape, dtype or self.dtype)
        return array[::-1] if self.backwards else array

    def memory(self, b: Buffer, steps: int) -> np.ndarray:
        """The array of a buffer."""
        shape = (self.B, b.size) if b.columns else (self.B, b.n) if b.alone else (b.size, self.B, b.n)
        return np.empty(shape, b.dtype) if b.extent == "step" else self.over_steps(steps, *shape, dtype=b.dtype)

    def compute(self, part: Part, arrays: dict[Any, Any]) -> None:
        """Run one function of the program on these arrays."""
        if part.lines:
            part.function(*part.views(arrays, [made(x, self.known, self.dtype) for x in part.constants]))

    # ---------------------------------------------------------------- what came out

    @property
    def output(self) -> np.ndarray:
        """(T, B, n) the y of each step, in the order of time."""
        y = self.at(self.program.step.y, self.arrays, self.T)
        return y[::-1] if self.backwards else y

    def states(self) -> list[np.ndarray]:
        """The parts of the state, each (T + 1, B, n) with entry k before step k."""
        return [self.arrays[buffer.name] for buffer in self.program.layout.states]

    def after(self, k: int, y: bool = False) -> tuple[np.ndarray, ...]:
        """The parts of the state after step k, and its y where that is asked for."""
        after = tuple([part[k + 1] for part in self.states()])
        return (*after, self.at(self.program.step.y, self.arrays, self.T)[k]) if y else after

    def afters(self, y: bool = False) -> Iterator[tuple[np.ndarray, ...]]:
        """`after` of each step in turn."""
        parts = [part[1:] for part in self.states()]
        parts += [self.at(self.program.step.y, self.arrays, self.T)] * y
        return zip(*parts, strict=True)

    def at(self, v: Value, arrays: dict[Any, Any], steps: int) -> np.ndarray:
        """A value for all steps."""
        if v.kind == "number":
            return np.zeros((steps, self.B, v.columns), self.dtype)
        name, view = self.program.where(v)
        y = view(arrays[name])
        return np.broadcast_to(y, (*y.shape[:-1], v.columns)) if y.shape[-1] != v.columns else y

    # ---------------------------------------------------------------- gradients

    @quiet
    def gradients(
        self, first: int, last: int, ends: Sequence[np.ndarray], a: np.ndarray, output: np.ndarray | None = None
    ) -> tuple[Any, ...]:
        """dL/da, dL/d(state before the first step) and dL/d(weights), by the steps first..last.

        ends    dL/d(state after the last of them), an array for each part of the state
        output  what there is of dL/dy besides, for each of the steps
        """
        program, n = self.program, last + 1 - first
        layout = program.layout
        arrays = self.steps(self.arrays, first, last + 1)
        dy = np.zeros((n, self.B, layout.dy.n), self.dtype) if output is None else output
        arrays["dy"] = dy
        states = [np.array(g, order="C") for g in ends]
        arrays |= {buffer.name: g for buffer, g in zip(layout.gradients, states, strict=True)}
        chunked = [b for b in layout.buffers if b.extent == "chunk"]
        bytes_a_step = sum(b.size * b.n * b.dtype.itemsize for b in chunked) * self.B
        chunk = max(1, _CHUNK // bytes_a_step) if bytes_a_step else n
        for b in layout.buffers:
            if b.backward:
                arrays[b.name] = self.memory(b, min(n, chunk) if b.extent == "chunk" else n)
        for end in range(n, 0, -chunk):
            begin = max(0, end - chunk)
            some = arrays if (begin, end) == (0, n) else self.steps(arrays, begin, end)
            self.compute(program.parts["factors"], some)
            self.compute(program.parts["backward"], some)
        self.compute(program.parts["late"], arrays)
        step = program.step
        known = self.known | {v: self.total(v, arrays, n) for v in layout.s.totals}
        grads = {w: g.array(known) for w, g in step.dweights}
        da = np.zeros_like(a[:n]) if step.da is None else self.at(step.da, arrays, n)
        return self.of_sequence(da, first, last, a), *states, *[grads.get(w) for w in program.weights]

    def steps(self, arrays: dict[Any, Any], begin: int, end: int) -> dict[Any, Any]:
        """The arrays of these steps alone."""
        some = dict(arrays)
        for b in (*self.program.layout.buffers, self.program.layout.dy):
            if b.extent != "step" and b.name in arrays:
                some[b.name] = arrays[b.name][: end - begin] if b.extent == "chunk" else arrays[b.name][begin:end]
        for buffer in self.program.layout.states:
            some[buffer.name] = arrays[buffer.name][begin : end + 1]
        some["a"] = arrays["a"][begin:end]
        some["dead"] = None if arrays["dead"] is None else arrays["dead"][begin:end]
        return some

    def total(self, v: Value, arrays: dict[Any, Any], n: int) -> np.ndarray:
        """Σ over all steps of xᵀ g, as one product of two matrices; or of g."""
        x = _rows(self.at(v.args[0], arrays, n))
        if v.name == "sum_rows":
            return v.op.forward(x)  # type: ignore[union-attr]
        total = x.T @ _rows(self.at(v.args[1], arrays, n))
        left, right = (self.program.layout.orders.get(x) for x in v.args)
        if left is not None:  # its columns lie in another order
            total = np.concatenate([total[first:end] for first, end in back(left)])
        return total if right is None else np.concatenate([total[:, first:end] for first, end in back(right)], axis=1)

    def of_sequence(self, d: np.ndarray, first: int, last: int, a: np.ndarray) -> Any:
        """dL/da, in the order of time; lazy where the steps are not all."""
        if self.backwards:
            d, first, last = d[::-1], self.T - 1 - last, self.T - 1 - first
        return d if len(d) == self.T else Indexed(slice(first, last + 1), d, a)


def back(order: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """From which columns to take those that were put into another order, to have the first one again.

    >>> back([(4, 6), (0, 4)])
    [(2, 6), (0, 2)]
    """
    lying, at = [], 0
    for first, end in order:
        lying.append((first, at, at + end - first))
        at += end - first
    return [(first, end) for _, first, end in sorted(lying)]


def _rows(sequence: np.ndarray) -> np.ndarray:
    """(n, B, m) as (n B, m), without a copy also where it runs backwards in memory: a sum over rows does not mind."""
    forwards = sequence if sequence.strides[0] >= 0 else sequence[::-1]
    return forwards.reshape(-1, sequence.shape[-1])
