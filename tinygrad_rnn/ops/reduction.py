"""Ops that make one number out of many along some axes, and the normalisations built on them.

Written with the reduced axes kept as size 1 (`kept`), the rules are one line: the gradient of the result is
broadcast back over what it was made of.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tape import Op

Axis = int | tuple[int, ...] | None


class Reduction(Op):
    """An op over some axes of its input."""

    def __init__(self, axis: Axis, keepdims: bool = False) -> None:
        self.axis, self.keepdims = axis, keepdims

    def kept(self, y: Any, x: Any) -> Any:
        """A result, or its gradient, with the reduced axes as axes of size 1, so that it broadcasts against x."""
        axes = range(x.ndim) if self.axis is None else np.atleast_1d(self.axis) % (x.ndim or 1)
        return np.reshape(y, tuple(1 if k in axes else n for k, n in enumerate(x.shape)))


class Sum(Reduction):
    """y = Σ x.  dy/dx = 1."""

    def forward(self, x: Any) -> Any:
        return np.sum(x, self.axis, keepdims=self.keepdims)

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return np.broadcast_to(self.kept(g, x), x.shape)


class Mean(Reduction):
    """y = (Σ x) / n, which is nan, with NumPy's warning, where n = 0.  dy/dx = 1 / n."""

    def forward(self, x: Any) -> Any:
        if np.size(x):
            return np.mean(x, self.axis, keepdims=self.keepdims)
        with np.errstate(invalid="ignore"):  # 0 / 0 would warn a second time
            return np.mean(x, self.axis, keepdims=self.keepdims)

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return np.broadcast_to(self.kept(g, x) * (y.size / x.size if x.size else 0.0), x.shape)


class Max(Reduction):
    """y = max x.  dy/dx = 1 / (number of largest entries) at each largest entry, else 0."""

    def forward(self, x: Any) -> Any:
        return np.max(x, self.axis, keepdims=self.keepdims)

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        largest = (x == self.kept(y, x)) | np.isnan(x)  # the largest of all is nan, says NumPy
        ties = np.sum(largest, self.axis, keepdims=True)
        return np.where(largest, self.kept(g, x) / ties.astype(x.dtype), 0)


class Min(Max):
    """y = min x.  dy/dx = 1 / (number of smallest entries) at each smallest entry, else 0."""

    def forward(self, x: Any) -> Any:
        return np.min(x, self.axis, keepdims=self.keepdims)


class LogSumExp(Reduction):
    """y = log Σ e^x = m + log Σ e^(x-m) with m = max x, which overflows nowhere.  dy/dx = e^(x-y) = softmax(x)."""

    name = "logsumexp"

    def forward(self, x: Any) -> Any:
        x = x if isinstance(x, np.ndarray) and x.dtype.kind == "f" else np.asarray(x, dtype=float)
        m = np.max(x, self.axis, keepdims=True, initial=-np.inf)
        m = np.where(np.isfinite(m), m, 0).astype(x.dtype)  # a row of -inf alone has log 0 = -inf, not nan
        with np.errstate(divide="ignore"):
            y = np.log(np.sum(np.exp(x - m), self.axis, keepdims=True)) + m
        return y if self.keepdims else np.squeeze(y, tuple(range(x.ndim)) if self.axis is None else self.axis)

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        y = self.kept(y, x)
        return self.kept(g, x) * np.exp(x - np.where(y == -np.inf, 0, y))  # e^-inf = 0 where all x are -inf


class LogSoftmax(Reduction):
    """y = x - log Σ e^x.  dL/dx = g - e^y Σ g."""

    def forward(self, x: Any) -> Any:
        return x - LogSumExp(self.axis, True).forward(x)

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g - np.exp(y) * np.sum(g, self.axis, keepdims=True)


class Softmax(Reduction):
    """y = e^x / Σ e^x.  dL/dx = y (g - Σ g y)."""

    def forward(self, x: Any) -> Any:
        e = np.exp(x - np.max(x, self.axis, keepdims=True))
        return e / np.sum(e, self.axis, keepdims=True)

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return y * (g - np.sum(g * y, self.axis, keepdims=True))


def sum(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """As `np.sum`."""
    return Sum(axis, keepdims)(a)


def mean(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """As `np.mean`."""
    return Mean(axis, keepdims)(a)


def max(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """As `np.max`; among equal largest entries the gradient is shared."""
    return Max(axis, keepdims)(a)


def min(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """As `np.min`; among equal smallest entries the gradient is shared."""
    return Min(axis, keepdims)(a)


def logsumexp(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """log Σ e^x along some axes, without overflow: logsumexp([1000, 1000]) = 1000 + log 2.

    >>> import tinygrad_rnn as tg
    >>> float(tg.logsumexp(tg.tensor([1000.0, 1000.0])))
    1000.6931471805599
    """
    return LogSumExp(axis, keepdims)(a)


def softmax(a: Any, axis: int = -1) -> Any:
    """e^x / Σ e^x along an axis: positive numbers that add up to 1.

    An entry of -inf has weight 0. Where all are -inf, or one is inf or nan, the weights are nan.

    >>> import tinygrad_rnn as tg
    >>> tg.softmax(tg.tensor([0.0, 0.0])).data
    array([0.5, 0.5])
    """
    return Softmax(axis)(a)


def log_softmax(a: Any, axis: int = -1) -> Any:
    """x - log Σ e^x along an axis: the logarithm of `softmax`, exact where softmax itself underflows to 0.

    >>> import tinygrad_rnn as tg
    >>> tg.log_softmax(tg.tensor([0.0, -1000.0])).data
    array([    0., -1000.])
    """
    return LogSoftmax(axis)(a)
