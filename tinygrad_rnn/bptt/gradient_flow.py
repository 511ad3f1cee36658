"""How the gradient of a loss grows or shrinks on its way back through time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.backward import sweep
from ..engine.tape import Record
from ..unrolled.gradients import gradient
from ..unrolled.network import runs
from ..unrolled.run import Run, number_of, tensor_at
from ..unrolled.tables import Report, norm

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass
class LayerFlow:
    """The gradient at the states of one layer and direction: see `flow`.

    steps  the time steps, ascending; 0 is the initial state, there where it needs a gradient
    norms  by the name of the state, ``|dL/dh_t|`` at each of the steps: 0 where no gradient arrives
    words  of steps that are called by a word, ``at("the")``, that word by their number
    units  the same for each unit alone, (steps, units), over the sequences of the batch; empty unless asked for
    """

    steps: np.ndarray
    norms: dict[str, np.ndarray]
    units: dict[str, np.ndarray] = field(default_factory=dict)
    words: dict[int, str] = field(default_factory=dict)

    def at(self, step: int | str, name: str | None = None) -> float:
        """``|dL/dh_t|`` at one step, given by its number or its word; of another state than the first by its name."""
        t = number_of(step, self.words)
        if t not in self.steps:
            raise ValueError(f"flow: there is no step {t}; there are steps {self.steps.min()} .. {self.steps.max()}")
        return float(self.norms[name or next(iter(self.norms))][self.steps.tolist().index(t)])


class Flow(Report):
    """``|dL/dh_t|`` for every step of every layer: see `flow`. ``flow["lstm_l1"]`` is a layer, a `LayerFlow`."""

    def __init__(self, layers: dict[str, LayerFlow]) -> None:
        self.layers = layers

    def __getitem__(self, layer: str) -> LayerFlow:
        if layer not in self.layers:
            raise KeyError(f"flow: no layer {layer!r} hands on a state; there is {', '.join(map(repr, self.layers))}")
        return self.layers[layer]

    def curves(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """(steps, norms) of every state of every layer, under a name: ``|dL/dc|``, or ``lstm_l1 c`` among several."""
        return {
            f"|dL/d{name}|" if len(self.layers) == 1 else f"{layer} {name}": (part.steps, norms)
            for layer, part in self.layers.items()
            for name, norms in part.norms.items()
        }

    def contents(self) -> tuple[str, list[str], list[list[Any]]]:
        curves = self.curves()
        times = sorted({int(t) for steps, _ in curves.values() for t in steps})
        at = {name: dict(zip(steps.tolist(), norms, strict=True)) for name, (steps, norms) in curves.items()}
        words = {t: word for part in self.layers.values() for t, word in part.words.items()}
        rows = [
            [t, *([words.get(t, "")] if words else []), *(at[name].get(t, np.nan) for name in curves)] for t in times
        ]
        return "", ["t", *(["step"] if words else []), *curves], rows

    def __repr__(self) -> str:
        sizes = ", ".join(f"{layer}: {len(part.steps)} steps" for layer, part in self.layers.items())
        return f"<flow of {sizes}>"

    def plot(self, ax: Axes | None = None) -> Axes:
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
    gradients = gradients_at(found, loss)
    layers = {}
    for run in found:
        steps = sorted(run.steps)
        part = layers[run.layer] = LayerFlow(np.array(steps), {}, words=run.words)
        for name, tensors in run.states.items():
            shape = next(x.shape for x in tensors if x is not None)
            gs = [np.zeros(shape) if (g := gradients(run, name, t)) is None else g for t in steps]
            part.norms[name] = np.array([norm(g) for g in gs])
            if per_unit:
                units = shape[-1] if shape else 1
                part.units[name] = np.array([norm(np.reshape(g, (-1, units)), 0) for g in gs])
    return Flow(layers)


def gradients_at(found: list[Run], loss: Tensor) -> Callable[[Run, str, int], Any]:
    """One sweep; gives what tells the complete gradient at a state of a run after a step, None where none arrives."""
    states = [x for run in found for x in run.initial.values()]
    states += [x for run in found for steps in run.places.values() for p in steps.values() for x in map(tensor_at, p)]
    wanted = {x.record for x in states}
    arrived: dict[Record, tuple[Any, ...]] = {}

    def keep(record: Record, gs: tuple[Any, ...]) -> tuple[Any, ...]:
        if record in wanted:
            arrived[record] = gs
        return gs

    start = [np.ones_like(loss.array)]
    waiting = sweep([loss], start, only=states, retain_graph=True, visit=keep)

    def at(run: Run, name: str, t: int) -> Any:
        if t in run.records:
            places = run.places[name].get(t)
            return None if places is None else gradient(places, arrived.get)
        x = run.initial.get(name)
        if x is None or x.record is None:
            return None if x is None else waiting.at(x)
        return arrived[x.record][x.output] if x.record in arrived else None

    return at
