"""Fused layers: all time steps of a layer as one record on the tape, taken apart for whoever looks.

A cell is a dozen small ops a step, and at the sizes of small models an op's overhead is more than its arithmetic. Here
the steps of a layer are computed together by a program that was generated from one of them (`compiled`), and one record
is written for them all, a `FusedRun`. The graph is unrolled for whoever asks for it, in two stages:

- to see the steps (`tape`, a report, a picture, hooks on a state, `anomaly`), `FusedRun.open_steps` puts a record
  a step, a `FusedStep`, in the place of the run;
- to see inside a step, or to differentiate twice, a step gives its composed form: the very step of the cell.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from itertools import islice, repeat
from typing import Any

import numpy as np

from ...autograd.checkpoint import pulled_back
from ...autograd.tensor import Tensor, apply, results
from ...compiled.run import Run
from ...engine.anomaly import check_forward
from ...engine.modes import Step, during, enable_grad, mode
from ...engine.tape import Op, Record, clock
from ...ops.elementwise import where
from ...ops.shape import Stack
from ..state import declare, select
from .compiling import Bound


class FusedStep(Op):
    """Step k of a run: the state after it, and y where that is no part of it.

    Given are the projected sequence, the state before and the weights.
    """

    def __init__(self, bound: Bound, run: Run, k: int) -> None:
        kind = bound.kind
        self.bound, self.kind, self.k = bound, kind, k
        self.run: Any = run
        self.name, self.states, self.outputs = kind.step_name, kind.states, kind.step_outputs  # type: ignore[misc]

    def forward(self, *inputs: Any) -> Any:
        after = self.run.after(self.k, self.kind.own_y)
        return after if self.outputs > 1 else after[0]

    def vjp(self, g: Any, y: Any, a: Any, *inputs: Any) -> tuple[Any, ...]:
        gs, n = g if self.outputs > 1 else (g,), len(self.states)
        if not isinstance(a, Tensor):
            return self.run.gradients(self.k, self.k, gs[:n], a, gs[n][None] if self.kind.own_y else None)
        start = next(clock)  # to be differentiated again: the composed step can be
        with enable_grad():
            after = self.composed(a, *inputs)
        return pulled_back(after if self.outputs > 1 else (after,), gs, (a, *inputs), start, create_graph=True)

    def leads_on(self, output: int) -> bool:
        """Whether another output is computed from this one."""
        return self.kind.used[output]

    def composed(self, a: Tensor, *inputs: Any) -> Any:
        """The same step as the cell computes it, op by op."""
        run, n = self.run, len(self.states)
        before = inputs[:n] if n > 1 else inputs[0]
        step = self.bound.step(inputs[n:])
        y, after = step(a[run.T - 1 - self.k if run.backwards else self.k], before)
        declare(after)
        if run.dead is not None and run.dead[self.k].any():
            after = select(~run.dead[self.k][:, 0], after, before)
            declare(after)
        if not self.kind.own_y:
            return after
        return (*after, y) if n > 1 else (after, y)

    def let_go(self) -> None:
        self.run = None

    def __repr__(self) -> str:
        return f"{self.name}(k={self.k})"


class FusedRun(Op):
    """All steps of a run at once: every y, and the state after the last step.

    Inputs are the projected sequence, the state before the first step, and the weights of the recurrence. One
    application is one record, which `open_steps` takes apart into those of the steps.

    layer, first  the tag of the steps, and the number of the first in the order of time
    """

    def __init__(self, bound: Bound, dead: Any, backwards: bool, T: int, layer: str, first: int) -> None:
        self.bound, self.kind, self.dead, self.backwards = bound, bound.kind, dead, backwards
        self.layer, self.first = layer, first
        self.name, self.outputs = bound.kind.name, 1 + len(bound.kind.states)
        self.outside = mode().step  # the tag of what is recorded around the layer
        self.numbers = list(islice(clock, T))  # of the records that the steps may become
        self.run: Any = None
        self.ends: list[weakref.ref[Tensor]] = []  # the tensors that hold the state after the last step

    def forward(self, a: np.ndarray, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        n = len(self.kind.states)
        self.run = run = self.kind.run(a, inputs[:n], inputs[n:], self.dead, self.backwards)
        if mode().anomaly:
            self._check(a, inputs)
        return run.output, *[part[-1] for part in run.states()]

    def vjp(self, g: Any, y: Any, a: Any, *inputs: Any) -> tuple[Any, ...]:
        output, *ends = g
        return self.run.gradients(0, self.run.T - 1, ends, a, output[::-1] if self.backwards else output)

    def steps(self) -> Iterator[tuple[FusedStep, Step, tuple[np.ndarray, ...]]]:
        """Each step in the order in which they are taken: the op, its place in the order of time, what came out."""
        times = range(self.first, self.first + self.run.T)
        tags = map(Step, repeat(self.layer), reversed(times) if self.backwards else times)
        for k, (tag, after) in enumerate(zip(tags, self.run.afters(self.kind.own_y), strict=True)):
            yield FusedStep(self.bound, self.run, k), tag, after

    def open_steps(self, record: Record) -> None:
        """Write the records of the steps, with the numbers kept for them; this one becomes the stack of their y."""
        (a, *inputs), (a_array, *arrays), n = record.inputs, record.arrays, len(self.kind.states)
        states, before = tuple(inputs[:n]), tuple(arrays[:n])
        outputs: list[Tensor] = []
        held: list[np.ndarray] = []
        weights, weight_arrays, names = inputs[n:], arrays[n:], tuple(enumerate(self.kind.states))
        cut = self.kind.cut if any(self.kind.cut) else ()
        y = n if self.kind.own_y else self.kind.recorded.after.index(self.kind.recorded.y)
        for number, (op, tag, after) in zip(self.numbers, self.steps(), strict=True):
            if cut:
                states = tuple([x.detach() if c and x is not None else x for x, c in zip(states, cut, strict=True)])
            used, values = (a, *states, *weights), (a_array, *before, *weight_arrays)
            step = Record(op, used, values, after, number)
            step.step, step.line = tag, record.line
            made = results(after, step)
            before, states = after[:n], made[:n]
            for i, name in names:
                made[i].name = name
            outputs.append(made[y])
            held.append(after[y])
        for k, end in enumerate(reference() for reference in self.ends):
            if end is not None:
                end.record, end.output = step, k
        if self.backwards:
            outputs.reverse()
            held.reverse()
        record.op, record.values, record.step = stack_of_steps, record.values[:1], self.outside
        record.inputs, record.arrays = tuple(outputs), tuple(held)

    def _check(self, a: np.ndarray, inputs: tuple[np.ndarray, ...]) -> None:
        """Raise AnomalyError at the first step that makes a nan or inf."""
        n = len(self.kind.states)
        before = inputs[:n]
        for op, tag, after in self.steps():
            entry = a[-1 - op.k if self.backwards else op.k]
            with during(tag):
                check_forward(op, (entry, *before, *inputs[n:]), after)
            before = after[:n]

    def let_go(self) -> None:
        self.run = None

    def __repr__(self) -> str:
        return f"{self.name}({self.layer})"


stack_of_steps = Stack(axis=0)


def unroll_fused(
    bound: Bound, a: Tensor, state: Any, lengths: np.ndarray | None, name: str, first: int, reverse: bool
) -> tuple[Tensor, Any]:
    """As `unroll` with the step of a cell, or another function, the steps computed together and recorded as one."""
    T, states = a.shape[0], state if isinstance(state, tuple) else (state,)
    alive = None if lengths is None or (lengths == T).all() else np.arange(T)[:, None, None] < lengths[:, None]
    dead = None if alive is None else ~alive[::-1] if reverse else ~alive
    op = FusedRun(bound, dead, reverse, T, name, first)
    with during(Step(name, first + (0 if reverse else T - 1))):  # until it is opened, a run stands at its last step
        output, *ends = apply(op, a, *states, *bound.weights)
    op.ends = [weakref.ref(end) for end in ends]
    for part, end in zip(bound.kind.states, ends, strict=True):
        end.name = part
    if alive is not None:
        output = where(alive, output, 0)
    return output, tuple(ends) if len(ends) > 1 else ends[0]
