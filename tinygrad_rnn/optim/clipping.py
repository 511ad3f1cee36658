"""Gradients made smaller where they are too large, all at once."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.at_once import assign
from .parameters import listed


def clip_grad_norm_(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients by one factor, so that their joint norm is at most `max_norm`; gives the norm before.

    ‖g‖ is taken over all entries of all gradients (Pascanu et al. 2013, algorithm 1). A norm that is not finite leaves
    the gradients as they are: no factor can repair them.

    >>> import tinygrad_rnn as tg
    >>> p = tg.tensor([0.0, 0.0], requires_grad=True); p.grad = [3.0, 4.0]
    >>> tg.optim.clip_grad_norm_([p], 1.0), p.grad
    (5.0, array([0.6, 0.8]))
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm must be above 0, not {max_norm}")
    having = [p for p in listed(parameters) if p.grad is not None]
    doubles = [np.ravel(np.asarray(p.grad, np.float64)) for p in having]
    norm = math.hypot(*(_norm(g) for g in doubles))
    if max_norm < norm < math.inf:
        factor = max_norm / norm
        assign([(p, "_grad", np.asarray(p.grad * factor, p.dtype)) for p in having])  # type: ignore[operator]
    return norm


def _norm(g: np.ndarray) -> float:
    """√Σ g², also where the squares are beyond what a double can hold, or are lost below it."""
    with np.errstate(over="ignore"):
        norm = math.sqrt(float(g @ g))
    if 1e-140 < norm < math.inf or not g.size:
        return norm
    largest = float(np.abs(g).max())
    return norm if largest == 0 or not math.isfinite(largest) else largest * float(np.linalg.norm(g / largest))


def clip_grad_value_(parameters: Iterable[Tensor], clip_value: float) -> None:
    """Clip every entry of every gradient to [-clip_value, clip_value].

    >>> import tinygrad_rnn as tg
    >>> p = tg.tensor([0.0, 0.0], requires_grad=True); p.grad = [0.5, -4.0]
    >>> tg.optim.clip_grad_value_([p], 1.0); p.grad
    array([ 0.5, -1. ])
    """
    if not clip_value > 0:
        raise ValueError(f"clip_value must be above 0, not {clip_value}")
    grads = [(p, p.grad) for p in listed(parameters) if p.grad is not None]
    assign([(p, "_grad", np.clip(g, -clip_value, clip_value)) for p, g in grads])
