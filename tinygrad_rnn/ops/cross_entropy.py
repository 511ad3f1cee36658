"""The cross-entropy of scores and class numbers as one op: few passes over what is often a network's largest array.

Scores x (..., classes) and class numbers t (...). With s = log Σ e^x over the classes, softmax(x) = e^(x-s).
"""

from __future__ import annotations

import numpy as np

from ..engine.arrays import Array, Arrays
from ..engine.tape import Op


class CrossEntropy(Op):
    """y = s - x_t, and beside it s, which the rule needs.  dy/dx = softmax(x) - onehot(t),  dl/dx = softmax(x)."""

    outputs = 2

    def __init__(self, target: np.ndarray) -> None:
        self.target = target

    def forward(self, x: np.ndarray) -> Arrays:
        m = largest(x)
        e = x - m
        np.exp(e, out=e)
        with np.errstate(divide="ignore"):  # a row of -inf alone has log 0 = -inf
            s = np.log(e @ np.ones(x.shape[-1], x.dtype)) + m[..., 0]
        return s - x[places(self.target)], s

    def vjp(self, g: Arrays, y: Arrays, x: Array) -> Array:
        return Surplus(self.target)(x, y[1], g[0] + g[1], g[0])


class Surplus(Op):
    """y = u softmax(x) - v onehot(t), given s: what is predicted beyond what was there, weighted."""

    def __init__(self, target: np.ndarray) -> None:
        self.target = target

    def forward(self, x: np.ndarray, s: Array, u: Array, v: Array) -> np.ndarray:
        y = x - finite(s)
        np.exp(y, out=y)
        y *= u[..., None]
        y[places(self.target)] -= v
        return y

    def vjp(self, g: Array, y: Array, x: Array, s: Array, u: Array, v: Array) -> Arrays:
        gp = g * np.exp(x - finite(s))
        dx = gp * np.expand_dims(u, -1)
        return dx, -np.sum(dx, -1), np.sum(gp, -1), -g[places(self.target)]


def places(target: np.ndarray) -> tuple[np.ndarray, ...]:
    """The index of the entry of each row that its class number names."""
    return (*np.indices(target.shape, sparse=True), target)


def largest(x: np.ndarray) -> np.ndarray:
    """What to take from each row, so that Σ e^(x-m) neither overflows nor vanishes: its largest entry.

    Where all scores lie close together that of them all will do, which is found far sooner.
    """
    if x.size:
        m = x.max(keepdims=True)
        if m < x.min() - np.log(np.finfo(x.dtype).tiny) / 2:
            return m
    m = x.max(-1, keepdims=True, initial=-np.inf)
    return np.where(np.isfinite(m), m, 0).astype(x.dtype)


def finite(s: Array) -> Array:
    """The logarithm of each row's sum, to be taken from the row; 0 where it is -inf, so that e^-inf = 0."""
    return np.expand_dims(np.where(s == -np.inf, 0, s), -1)
