"""Forward mode over time (real-time recurrent learning): the same gradient as the sweep's, without going back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd.checkpoint import replaced, tensors_in
from ..autograd.functional import grad
from ..autograd.tensor import Tensor
from ..engine.modes import enable_grad
from ..ops.blas import product


def rtrl(
    cell: Callable[[Any, Any], tuple[Any, Any]],
    x: Any,
    state: Any,
    loss: Callable[[Tensor, int], Tensor | None],
    parameters: Tensor | Sequence[Tensor],
    xi: Any = None,
    as_printed: bool = False,
) -> Any:
    """dL/dw for L = Σ_t loss(y_t, t), carried along with the state (Williams and Zipser 1989).

        z_t = ∂s_t/∂w + (∂s_t/∂s_{t-1}) z_{t-1},    dL_t/dw = ∂L_t/∂w + (∂L_t/∂s_{t-1}) z_{t-1}

    Nothing of the past is kept but z_t, of (entries of the state) x (entries of w) numbers: for small models, and as a
    check on the sweep, which gives the same.

    cell        ``y_t, state = cell(x[t], state)``, as in `tg.nn.unroll`
    state       what the first step gets: Tensors, a constant
    loss        L_t as one number, or None for none; t counts from 0, as in x[t]
    parameters  one Tensor, which gives one array, or several, which give a tuple of arrays
    xi          (T - 1,) factors of random truncation (`Randomized`): z_t = ∂s_t/∂w + ξ_t (∂s_t/∂s_{t-1}) z_{t-1}
    as_printed  instead z_t = ∂s_t/∂w + ξ_t (∂s_t/∂s_{t-1}) ds_{t-1}/dw, as in texts: it truncates nothing, since the
                whole ds_{t-1}/dw has to be known; unbiased as well, with another variance

    Raises TypeError where the state holds no Tensor (a cell that keeps no state, or starts from None), or L_t is not
    one number.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> w = tg.tensor(0.5, requires_grad=True)
    >>> def cell(x_t, h):
    ...     h = x_t + w * h
    ...     return h, h
    >>> tg.bptt.rtrl(cell, np.ones(3), tg.tensor(0.0), lambda y, t: y if t == 2 else None, w)  # d(1 + w + w²)/dw
    array(2.)
    """
    ws = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    xi = np.ones(max(len(x) - 1, 0)) if xi is None else np.asarray(xi, float)
    if xi.shape != (max(len(x) - 1, 0),):
        raise ValueError(f"xi needs one factor between any two of the {len(x)} steps, not shape {xi.shape}")
    if not tensors_in(state):
        raise TypeError(f"rtrl() needs a state of Tensors to start from, not {type(state).__name__}: give zeros")
    size = sum(w.size for w in ws)
    total = np.zeros(size)
    true = z = np.zeros((sum(part.size for part in tensors_in(state)), size))  # ds/dw, and the estimate of it
    for t in range(len(x)):
        leaves = [Tensor(part.array, requires_grad=True) for part in tensors_in(state)]
        with enable_grad():
            y, new = cell(x[t], replaced(state, leaves))
            L = loss(y, t)
        factor = xi[t - 1] if t else 1.0
        before = factor * (true if as_printed else z)
        if L is not None:
            if not isinstance(L, Tensor) or L.size != 1:
                given = f"of shape {L.shape}" if isinstance(L, Tensor) else type(L).__name__
                raise TypeError(f"rtrl(): loss(y_t, t) must be a Tensor of one number, or None, not {given}")
            by_state, by_weights = _rows([L], leaves, ws)
            total += (by_weights + product(by_state, before))[0]
        by_state, by_weights = _rows(tensors_in(new), leaves, ws)
        z, true = by_weights + product(by_state, before), by_weights + product(by_state, true)
        state = replaced(new, [Tensor(part.array) for part in tensors_in(new)])
    parts = np.split(total, np.cumsum([w.size for w in ws])[:-1])
    gradients = [part.reshape(w.shape).astype(w.dtype) for part, w in zip(parts, ws, strict=True)]
    return gradients[0] if isinstance(parameters, Tensor) else tuple(gradients)


def _rows(ys: list[Tensor], states: list[Tensor], ws: list[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """∂y/∂s and ∂y/∂w, a row for each entry of the ys."""
    inputs = [*states, *ws]
    rows = []
    for y in ys:
        for k in range(y.size):
            start = np.zeros(y.size, y.dtype)
            start[k] = 1
            gs: Sequence[Tensor | None] = [None] * len(inputs)
            if y.requires_grad:
                gs = grad(y, inputs, start.reshape(y.shape), retain_graph=True, allow_unused=True)
            parts = [np.zeros(v.size) if g is None else g.array.ravel() for g, v in zip(gs, inputs, strict=True)]
            rows.append(np.concatenate(parts))
    width = sum(s.size for s in states)
    matrix = np.stack(rows)
    return matrix[:, :width], matrix[:, width:]
