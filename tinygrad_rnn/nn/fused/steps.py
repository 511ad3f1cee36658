"""Fused layers: all time steps of a layer as one record on the tape, taken apart for whoever looks.

The cells in `cells.py` are a dozen small ops a step, and at the sizes of small models an op's overhead is more than its
arithmetic. Here the steps of a layer are computed together, in arrays over time (`runs.py`), and one record is written
for them all, a `FusedRun`. The graph is unrolled for whoever asks for it, in two stages:

- to see the steps (`tape`, a report, a picture, hooks on a state, `anomaly`), `FusedRun.open_steps` puts a record
  a step, a `FusedStep`, in the place of the run;
- to see inside a step, or to differentiate twice, a step gives its composed form: the very step of the cell.
"""

from __future__ import annotations

import copy
import weakref
from itertools import islice
from typing import Any

import numpy as np

from ...autograd.checkpoint import pulled_back
from ...autograd.tensor import Tensor, apply, results
from ...engine.anomaly import check_forward
from ...engine.modes import Step, during, enable_grad, mode, scope
from ...engine.tape import Op, Record, clock
from ...ops.elementwise import where
from ...ops.shape import Stack
from ..cell import Cell
from ..cells import GRUCell, LSTMCell, RNNCell
from ..state import declare, label, select
from .runs import GRURun, LSTMRun, RNNRun, Run


def run_for(cell: Cell) -> type[Run] | None:
    """How to compute this cell fused; None where it has options, or equations of its own, that only its step knows."""
    dtypes = {x.dtype for x in vars(cell).values() if isinstance(x, Tensor)}
    fits = cell.W_hh.shape == (cell.hidden_size, len(cell.gates) * cell.hidden_size) and len(dtypes) == 1
    if cell.gain_h is not None or not fits:  # of weights that do not fit, the composed step says what is wrong
        return None
    step = type(cell).step
    if isinstance(cell, RNNCell) and step is RNNCell.step:
        return RNNRun
    if isinstance(cell, LSTMCell) and step is LSTMCell.step:
        return LSTMRun if cell.forget_gate and not (cell.peepholes or cell.cut_gate_gradient) else None
    if isinstance(cell, GRUCell) and step is GRUCell.step:
        return GRURun if cell.reset_after else None
    return None


class FusedStep(Op):
    """Step k of a run: the state after it, given the projected sequence, the state before and the weights."""

    def __init__(self, run: Run, k: int) -> None:
        self.run: Any = run
        self.k = k

    def forward(self, *inputs: Any) -> Any:
        after = tuple(part[self.k + 1] for part in self.run.states())
        return after if self.outputs > 1 else after[0]

    def vjp(self, g: Any, y: Any, a: Any, *inputs: Any) -> tuple[Any, ...]:
        gs = g if self.outputs > 1 else (g,)
        if not isinstance(a, Tensor):
            return self.run.gradients(self.k, self.k, gs, a)
        start = next(clock)  # to be differentiated again: the composed step can be
        with enable_grad():
            after = self.composed(a, *inputs)
        return pulled_back(after if self.outputs > 1 else (after,), gs, (a, *inputs), start, create_graph=True)

    def composed(self, a: Tensor, *inputs: Any) -> Any:
        """The same step as the cell computes it, op by op."""
        run, states, weights = self.run, inputs[: self.outputs], inputs[self.outputs :]
        before = states if self.outputs > 1 else states[0]
        cell = copy.copy(run.cell)  # with these weights, whatever stands in the layer by now
        vars(cell).update(zip(run.weights, weights, strict=False))
        _, after = cell.step(a[run.T - 1 - self.k if run.backwards else self.k], before)
        declare(after)
        if run.dead is not None and run.dead[self.k].any():
            after = select(~run.dead[self.k][:, 0], after, before)
            declare(after)
        return after

    def let_go(self) -> None:
        self.run = None

    def __repr__(self) -> str:
        return f"{self.name}(k={self.k})"


class RNNStep(FusedStep):
    name = "rnn_step"
    states = RNNCell.states


class LSTMStep(FusedStep):
    name = "lstm_step"
    outputs = 2
    states = LSTMCell.states


class GRUStep(FusedStep):
    name = "gru_step"
    states = GRUCell.states


STEPS: dict[type[Run], type[FusedStep]] = {RNNRun: RNNStep, LSTMRun: LSTMStep, GRURun: GRUStep}


class FusedRun(Op):
    """All steps of a run at once: every h, and the state after the last step.

    Inputs are the projected sequence, the state before the first step, and the weights of the recurrence. One
    application is one record, which `open_steps` takes apart into those of the steps.

    layer, first  the tag of the steps, and the number of the first in the order of time
    """

    def __init__(self, kind: type[Run], cell: Cell, dead: Any, backwards: bool, T: int, layer: str, first: int) -> None:
        self.kind, self.cell, self.dead, self.backwards = kind, cell, dead, backwards
        self.step, self.layer, self.first = STEPS[kind], layer, first
        self.name, self.outputs = self.step.name.removesuffix("_step"), 1 + self.step.outputs
        self.outside = mode().step  # the tag of what is recorded around the layer
        self.numbers = list(islice(clock, T))  # of the records that the steps may become
        self.run: Any = None
        self.ends: list[weakref.ref[Tensor]] = []  # the tensors that hold the state after the last step

    def forward(self, a: np.ndarray, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        self.run = run = self.kind(self.cell, a, inputs[: self.step.outputs], self.dead, self.backwards)
        if mode().anomaly:
            self._check(a, inputs)
        return run.output, *(part[-1] for part in run.states())

    def vjp(self, g: Any, y: Any, a: Any, *inputs: Any) -> tuple[Any, ...]:
        output, *ends = g
        return self.run.gradients(0, self.run.T - 1, ends, a, output[::-1] if self.backwards else output)

    def tag(self, k: int) -> Step:
        """What the k-th step taken is tagged with: its place in the order of time."""
        return Step(self.layer, self.first + (self.run.T - 1 - k if self.backwards else k))

    def open_steps(self, record: Record) -> None:
        """Write the records of the steps, with the numbers kept for them; this one becomes the stack of their h."""
        (a, *inputs), (a_array, *arrays), n = record.inputs, record.arrays, self.step.outputs
        states, before, outputs = tuple(inputs[:n]), tuple(arrays[:n]), []
        for k, after in enumerate(self.run.after()):
            xs, held = (a, *states, *inputs[n:]), (a_array, *before, *arrays[n:])
            step = Record(self.step(self.run, k), xs, held, after, self.numbers[k])
            step.step, step.line = self.tag(k), record.line
            before, states = after, results(after, step)
            for name, state in zip(self.cell.states, states, strict=True):
                state.name = name
            outputs.append(states[0])
        for k, end in enumerate(reference() for reference in self.ends):
            if end is not None:
                end.record, end.output = step, k
        if self.backwards:
            outputs.reverse()
        record.op, record.values, record.step = stack_of_steps, record.values[:1], self.outside
        record.inputs, record.arrays = tuple(outputs), tuple(h.array for h in outputs)

    def _check(self, a: np.ndarray, inputs: tuple[np.ndarray, ...]) -> None:
        """Raise AnomalyError at the first step that makes a nan or inf."""
        before = inputs[: self.step.outputs]
        for k, after in enumerate(self.run.after()):
            entry = a[-1 - k if self.backwards else k]
            with during(self.tag(k)):
                check_forward(self.step(self.run, k), (entry, *before, *inputs[self.step.outputs :]), after)
            before = after

    def let_go(self) -> None:
        self.run = None

    def __repr__(self) -> str:
        return f"{self.name}({self.layer})"


stack_of_steps = Stack(axis=0)


def unroll_fused(
    cell: Cell, a: Tensor, state: Any, lengths: np.ndarray | None, name: str, first: int, reverse: bool
) -> tuple[Tensor, Any]:
    """As `unroll` with ``cell.step``, the steps computed together and recorded as one."""
    kind = run_for(cell)
    assert kind is not None
    T, states = len(a), state if isinstance(state, tuple) else (state,)
    alive = None if lengths is None or (lengths == T).all() else np.arange(T)[:, None, None] < lengths[:, None]
    weights = [w for w in (getattr(cell, key) for key in kind.weights) if w is not None]
    dead = None if alive is None else ~alive[::-1] if reverse else ~alive
    op = FusedRun(kind, cell, dead, reverse, T, name, first)
    with scope(name, first + (0 if reverse else T - 1)):  # until it is opened, a run stands at its last step
        output, *ends = apply(op, a, *states, *weights)
    op.ends = [weakref.ref(end) for end in ends]
    label(**dict(zip(cell.states, ends, strict=True)))
    if alive is not None:
        output = where(alive, output, 0)
    return output, tuple(ends) if len(ends) > 1 else ends[0]
