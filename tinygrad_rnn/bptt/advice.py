"""What is done against vanishing and exploding gradients, side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.functional import grad
from ..nn import GRU, LSTM, RNN, init
from ..nn.basic import positive
from ..unrolled.tables import Report
from .step_jacobians import jacobians

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def models(T: int, hidden: int, seed: int) -> dict[str, tuple[Any, float | None]]:
    """Each remedy by name: an untrained layer, and the norm that its gradients are clipped to, if at all."""

    def made(kind: Any, then: Callable[[Any], Any] = lambda layer: layer, **options: Any) -> Any:
        return then(kind(hidden, hidden, dtype=np.float64, rng=seed, **options))

    def scaled(gain: float) -> Callable[[Any], Any]:
        def set_(layer: Any) -> Any:
            init.orthogonal_(layer.W_hh, gain, rng=seed)
            return layer

        return set_

    return {
        "tanh": (made(RNN), None),
        "ReLU": (made(RNN, nonlinearity="relu"), None),
        "orthogonal": (made(RNN, scaled(1.0)), None),
        "large weights": (made(RNN, scaled(3.0)), None),
        "clipped": (made(RNN, scaled(3.0)), 1.0),
        "identity (IRNN)": (made(RNN, lambda layer: init.irnn_(layer, rng=seed), nonlinearity="relu"), None),
        "layer norm": (made(RNN, layer_norm=True), None),
        "GRU": (made(GRU), None),
        "LSTM": (made(LSTM), None),
        "LSTM, b_f = 1": (made(LSTM, forget_bias=1.0), None),
        "LSTM, chrono": (made(LSTM, lambda layer: init.chrono_(layer, max(T, 3), rng=seed)), None),
    }


class Remedies(Report):
    """``|ds_T/ds_t|`` at the steps t = 1 .. T under each remedy: see `remedies`."""

    def __init__(self, norms: dict[str, np.ndarray]) -> None:
        self.norms = norms
        self.steps = np.arange(1, 1 + len(next(iter(norms.values()))))

    def __getitem__(self, name: str) -> np.ndarray:
        return self.norms[name]

    def contents(self) -> tuple[str, list[str], list[list[Any]]]:
        T = len(self.steps)
        chosen = sorted({T - 1 - round((T - 1) * part) for part in (0.1, 0.25, 0.5, 0.75, 1)})
        rows = [[name, *(norms[k] for k in chosen)] for name, norms in self.norms.items()]
        return "", [f"|ds_{T}/ds_t|", *(f"t={k + 1}" for k in chosen)], rows

    def plot(self, ax: Axes | None = None) -> Axes:
        """The norms over the time steps, on a logarithmic scale."""
        from ..plots import log_curves

        curves = {name: (self.steps, norms) for name, norms in self.norms.items()}
        return log_curves(curves, "time step t", f"|ds_{len(self.steps)}/ds_t|", ax)


def remedies(T: int = 50, hidden: int = 32, seed: int = 0) -> Remedies:
    """The norm of ``ds_T/ds_t`` over t, s the state (h, or h and c), for untrained layers on the same random inputs.

    tanh and ReLU are the RNN as it comes, with W_hh from U(-1/√H, 1/√H). Against vanishing: an orthogonal W_hh, the
    identity with rectified units (IRNN), layer normalisation, GRU, LSTM, its forget gate's bias at 1, and chrono
    initialisation. Against exploding: clipping, which multiplies the whole gradient by one factor. So in the row
    "clipped" the norms are those of "large weights" (orthogonal, times 3), times the factor that brings dL/dW_hh of
    L = ½‖h_T‖² to norm 1: every step gets less, and what is small beside the rest stays as small beside it.

    >>> import tinygrad_rnn as tg
    >>> found = tg.bptt.remedies(T=20, hidden=8)
    >>> bool(found["tanh"][0] < 1e-3 < found["LSTM, chrono"][0])
    True
    """
    positive("hidden", hidden)
    if positive("T", T) < 2:
        raise ValueError(f"remedies() compares steps: T must be 2 or more, not {T}")
    x = np.random.default_rng(seed).standard_normal((T, 1, hidden))
    norms = {}
    for name, (layer, max_norm) in models(T, hidden, seed).items():
        output, _ = layer(x)
        loss = (output[-1] ** 2).sum() / 2
        found = jacobians(loss).norms()[:, 0]
        if max_norm is not None:
            size = float(np.linalg.norm(grad(loss, layer.W_hh, retain_graph=True).array))
            found = found * min(1.0, max_norm / size) if size else found
        norms[name] = found
    return Remedies(norms)
