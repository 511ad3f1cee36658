"""The cross-entropy of scores and class numbers as one op: few passes over what is often a network's largest array.

Scores x (..., classes) and class numbers t (...). With s = log Σ e^x over the classes, softmax(x) = e^(x-s).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.arrays import Array, Arrays
from ..engine.tape import Op
from . import blas

LARGE = 1 << 12
"""From so many scores on machine code is sooner than NumPy."""


log = np.errstate(divide="ignore")(np.log)
"""Of sums, without a warning: that of a row of -inf alone is log 0 = -inf."""


class CrossEntropy(Op):
    """y = s - x_t, and beside it s, which the rule needs.  dy/dx = softmax(x) - onehot(t),  dl/dx = softmax(x).

    The powers e^(x-m) and their sums, of which softmax(x) is the quotient, are kept for the rule: it is one pass then.
    """

    outputs = 2

    def __init__(self, target: np.ndarray) -> None:
        self.target, self.places = target, places(target)
        self.kept: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None  # x, e^(x-m), its sums

    def forward(self, x: np.ndarray) -> Arrays:
        if x.size >= LARGE and x.dtype in blas.kernels:
            e, sums, m, named = blas.kernels[x.dtype].powers(x, self.target)
        else:
            m = largest(x)
            e = x - m
            np.exp(e, out=e)
            sums, m, named = e @ np.ones(x.shape[-1], x.dtype), m[..., 0], x[self.places]
        s = log(sums) + m
        self.kept = x, e, sums
        return s - named, s

    def vjp(self, g: Arrays, y: Arrays, x: Array) -> Array:
        if self.kept is None or self.kept[0] is not x:  # to be differentiated again
            return Surplus(self.target)(x, y[1], g[0] + g[1], g[0])
        _, e, sums = self.kept
        share = (g[0] + g[1]) / np.where(sums == 0, 1, sums)
        if x.size >= LARGE and x.dtype in blas.kernels and share.dtype == x.dtype:
            return blas.kernels[x.dtype].surplus(e, self.target, share, np.asarray(g[0]))
        dx = e * share[..., None]
        dx[self.places] -= g[0]
        return dx

    def let_go(self) -> None:
        self.kept = None

    @property
    def parameters(self) -> dict[str, Any]:
        return {"target": self.target}


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
        m = np.maximum.reduce(x, axis=None, keepdims=True)
        if m < np.minimum.reduce(x, axis=None) - np.log(np.finfo(x.dtype).tiny) / 2:
            return m
    m = x.max(-1, keepdims=True, initial=-np.inf)
    return np.where(np.isfinite(m), m, 0).astype(x.dtype)


def finite(s: Array) -> Array:
    """The logarithm of each row's sum, to be taken from the row; 0 where it is -inf, so that e^-inf = 0."""
    return np.expand_dims(np.where(s == -np.inf, 0, s), -1)
