"""How the gradient of a loss grows or shrinks on its way back through time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.backward import sweep
from ..engine.tape import Record
from ..unrolled.expand import Expanded
from ..unrolled.states import runs
from ..unrolled.tables import norm, table


@dataclass
class LayerFlow:
    """The gradient at the states of one layer and direction.

    steps  the time steps, ascending; 0 is the initial state, there where it needs a gradient
    norms  by the name of the state, ``|dL/dh_t|`` at each of the steps: 0 where no gradient arrives
    units  the same for each unit alone, (steps, units), over the sequences of the batch; empty unless asked for
    """

    steps: np.ndarray
    norms: dict[str, np.ndarray]
    units: dict[str, np.ndarray] = field(default_factory=dict)


class Flow:
    """``|dL/dh_t|`` for every step of every layer: see `flow`. ``flow["lstm_l1"]`` is a layer, a `LayerFlow`."""

    def __init__(self, layers: dict[str, LayerFlow]) -> None:
        self.layers = layers

    def __getitem__(self, layer: str) -> LayerFlow:
        return self.layers[layer]

    def curves(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """(steps, norms) of every state of every layer, under a name: ``|dL/dc|``, or ``lstm_l1 c`` among several."""
        return {
            f"|dL/d{name}|" if len(self.layers) == 1 else f"{layer} {name}": (part.steps, norms)
            for layer, part in self.layers.items()
            for name, norms in part.norms.items()
        }

    def __str__(self) -> str:
        curves = self.curves()
        times = sorted({int(t) for steps, _ in curves.values() for t in steps})
        at = {name: dict(zip(steps.tolist(), norms, strict=True)) for name, (steps, norms) in curves.items()}
        return table(["t", *curves], [[t, *(at[name].get(t, np.nan) for name in curves)] for t in times])

    def __repr__(self) -> str:
        sizes = ", ".join(f"{layer}: {len(part.steps)} steps" for layer, part in self.layers.items())
        return f"<flow of {sizes}>"

    def plot(self, ax: Any = None) -> Any:
        """The norms over the time steps, on a logarithmic scale; a cross on the axis is an exact zero."""
        from ..plots import log_curves

        return log_curves(self.curves(), "time step t", "norm of dL/d(state at t)", ax)


def flow(loss: Tensor, per_unit: bool = False) -> Flow:
    """``|dL/dh_t|``, and ``|dL/dc_t|`` of an LSTM, at every time step of every layer and direction, from one sweep.

    The gradient at a state is complete: it holds all paths from it to the loss, that of c_t also the one through h_t.
    The norm is over the units and the sequences of the batch; with ``per_unit=True`` there is one for each unit too.
    Beyond its end a sequence keeps its state, and the gradient passes by.
    No ``.grad`` changes, no hook is called, and the graph stays: call it before ``loss.backward()``.

    Any unrolled network will do: layers, a cell of your own in `tg.nn.unroll`, a loop with steps marked by `tg.scope`.

    Raises GraphError where no record belongs to a time step or no step hands on a state, NonScalarError for a loss of
    several numbers, FreedGraphError after a backward pass that freed the graph.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> rnn = tg.nn.RNN(1, 1, bias=False, nonlinearity="identity", dtype=float)
    >>> rnn.W_xh.data, rnn.W_hh.data = [[1.0]], [[0.5]]
    >>> output, h = rnn(np.ones((4, 1, 1)))
    >>> print(tg.bptt.flow(h.sum()))
    t  |dL/dh|
    1    0.125
    2     0.25
    3      0.5
    4        1
    """
    found = runs(loss, "flow()")
    made = (record for run in found for records in run.records.values() for record in records)
    if any(record.op.outputs > 1 for record in made):  # in a fused step, h_t and c_t stand side by side
        loss = Expanded(loss).root
        found = runs(loss, "flow()")
    states = [x for run in found for tensors in run.states.values() for x in tensors if x is not None]
    gradients = gradients_at(states, loss)
    layers = {}
    for run in found:
        order = np.argsort(run.steps)
        part = layers[run.layer] = LayerFlow(np.array(run.steps)[order], {})
        for name, tensors in run.states.items():
            shape = next(x.shape for x in tensors if x is not None)
            gs = [np.zeros(shape) if (g := gradients.get(place(tensors[k]))) is None else g for k in order]
            part.norms[name] = np.array([norm(g) for g in gs])
            if per_unit:
                units = shape[-1] if shape else 1
                part.units[name] = np.array([norm(np.reshape(g, (-1, units)), 0) for g in gs])
    return Flow(layers)


def gradients_at(states: list[Tensor], loss: Tensor) -> dict[Any, Any]:
    """The complete gradient at each of the states, by its `place`, from one sweep."""
    masked = {place(x): new for x in states if (new := _before_mask(x)) is not None}
    wanted = {x.record for x in (*states, *masked.values()) if x.record is not None}
    found: dict[Any, Any] = {}

    def keep(record: Record, gs: tuple[Any, ...]) -> tuple[Any, ...]:
        if record in wanted:
            found.update({(record, k): g for k, g in enumerate(gs)})
        return gs

    only, start = [*states, *masked.values()], [np.ones_like(loss.array)]
    waiting = sweep([loss], start, only=only, retain_graph=True, visit=keep)
    found |= {x: waiting.at(x) for x in states if x.record is None}  # initial states
    for at, new in masked.items():
        alive = at[0].arrays[0]
        if place(new) in found:
            found[at] = np.where(alive, found[place(new)], found.get(at, 0))
    return found


def place(x: Tensor | None) -> Any:
    """What tells a result from every other: its record, and which output of it; a leaf is told by itself."""
    return x if x is None or x.record is None else (x.record, x.output)


def _before_mask(x: Tensor) -> Tensor | None:
    """If a state was chosen by ``where(alive, new, old)``, as in a batch with `lengths`, the new one.

    The output of the step is masked apart from the state, so what comes from the loss arrives at the new one alone.
    """
    record = x.record
    if record is None or record.op.name != "where":
        return None
    new = record.inputs[1]
    return new if new is not None and new.record is not None and new.record.step == record.step else None
