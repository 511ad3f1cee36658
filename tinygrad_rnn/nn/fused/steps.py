"""Fused steps: a time step of a layer as one record on the tape.

The cells in `cells.py` are a dozen small ops a step, and at the sizes of small models an op's overhead is more than its
arithmetic. Here the steps of a layer are computed together, in arrays over time (`runs.py`), and then one record a step
is written. The graph is unrolled as before and the sweep walks it step by step. Only the inside of a step is no longer
on the tape, and where it is wanted, to differentiate twice or to draw, a record gives its composed form: the very step
of the cell.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ...autograd.checkpoint import pulled_back
from ...autograd.tensor import Tensor, results
from ...engine.anomaly import check_forward, users_line
from ...engine.modes import enable_grad, mode, scope
from ...engine.tape import Op, Record, clock
from ...ops.elementwise import where
from ...ops.shape import Stack, stack
from ..cells import Cell, GRUCell, LSTMCell, RNNCell
from ..state import label, select
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
    """Step k of a run: the state after it, given the projected sequence, the state before, the weights and the run."""

    together = True

    def __init__(self, k: int) -> None:
        self.k = k

    def forward(self, *inputs: Any) -> Any:
        after = tuple(part[self.k + 1] for part in inputs[-1].states())
        return after if self.outputs > 1 else after[0]

    def vjp(self, g: Any, y: Any, *inputs: Any) -> tuple[Any, ...]:
        a, *_, run = inputs
        gs = g if self.outputs > 1 else (g,)
        if not isinstance(a, Tensor):
            return *run.gradients(self.k, self.k, [gs], a), None
        start = next(clock)  # to be differentiated again: the composed step can be
        with enable_grad():
            after = self.composed(*inputs)
        return *pulled_back(after if self.outputs > 1 else (after,), gs, inputs[:-1], start, create_graph=True), None

    def composed(self, a: Tensor, *inputs: Any) -> Any:
        """The same step as the cell computes it, op by op."""
        states, weights, run = inputs[: self.outputs], inputs[self.outputs : -1], inputs[-1]
        before = states if self.outputs > 1 else states[0]
        cell = copy.copy(run.cell)  # with these weights, whatever stands in the layer by now
        vars(cell).update(zip(run.weights, weights, strict=False))
        _, after = cell.step(a[run.T - 1 - self.k if run.backwards else self.k], before)
        if run.dead is not None and run.dead[self.k].any():
            after = select(~run.dead[self.k][:, 0], after, before)
        return after


class RNNStep(FusedStep):
    name = "rnn_step"


class LSTMStep(FusedStep):
    name = "lstm_step"
    outputs = 2


class GRUStep(FusedStep):
    name = "gru_step"


STEPS: dict[type[Run], type[FusedStep]] = {RNNRun: RNNStep, LSTMRun: LSTMStep, GRURun: GRUStep}


class Output(Stack):
    """The h of all steps, in the order of time: they lie in the run as a sequence already."""

    name = "stack"
    together = True

    def __init__(self) -> None:
        super().__init__(axis=0)

    def forward(self, *inputs: Any) -> np.ndarray:
        return inputs[-1].output

    def composed(self, *inputs: Any) -> Tensor:
        return stack(inputs[:-1])

    def vjp(self, g: Any, y: Any, *inputs: Any) -> tuple[Any, ...]:
        return *super().vjp(g, y, *inputs[:-1]), None


def unroll_fused(
    cell: Cell, a: Tensor, state: Any, lengths: np.ndarray | None, name: str, first: int, reverse: bool
) -> tuple[Tensor, Any]:
    """As `unroll` with ``cell.step``, but with one record a time step."""
    kind = run_for(cell)
    assert kind is not None
    step = STEPS[kind]
    T, states = len(a), state if isinstance(state, tuple) else (state,)
    alive = None if lengths is None or (lengths == T).all() else np.arange(T)[:, None, None] < lengths[:, None]
    weights = [w for w in (getattr(cell, key) for key in kind.weights) if w is not None]
    for x in (a, *states, *weights):
        if not x.locked:
            x.lock()
    dead = None if alive is None else ~alive[::-1] if reverse else ~alive
    run = kind(cell, a.array, [part.array for part in states], dead, reverse)
    outputs = []
    with scope(name) as at:
        if mode().recording and any(x.requires_grad for x in (a, *states, *weights)):
            shared, arrays = (*weights, None), (*[w.array for w in weights], run)
            before: tuple[np.ndarray, ...] = tuple(part.array for part in states)
            for k, values in enumerate(run.after()):
                t = T - 1 - k if reverse else k
                at(first + t)
                record = Record(step(k), (a, *states, *shared), (a.array, *before, *arrays), values)
                if mode().anomaly:
                    check_forward(record.op, (a.array[t], *before, *arrays), values)
                    record.line = users_line()
                before, states = values, results(values, record)
                for part, role in zip(states, cell.states, strict=True):
                    part.name = role
                outputs.append(states[0])
        else:  # nothing is recorded, so only the last state is needed
            at(first + (0 if reverse else T - 1))
            states = step(T - 1)(a, *states, *weights, run)
            states = states if step.outputs > 1 else (states,)
            label(**dict(zip(cell.states, states, strict=True)))
            outputs.append(states[0])
    output = Output()(*(reversed(outputs) if reverse else outputs), run)
    if alive is not None:
        output = where(alive, output, 0)
    return output, states if len(states) > 1 else states[0]
