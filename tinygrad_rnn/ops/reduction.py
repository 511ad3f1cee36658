"""Ops that make one number out of many along some axes, and the normalisations built on them.

Written with the reduced axes kept as size 1 (`kept`), the rules are one line: the gradient of the result is
broadcast back over what it was made of.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..engine.arrays import A, Array, Axis, DType, Mask, Operand
from ..engine.tape import Op
from ..errors import NotDifferentiableError
from . import elementwise
from .registry import implements

_added_up: Any = np.add.reduce


class Reduction(Op):
    """An op over some axes of its input."""

    def __init__(self, axis: Axis, keepdims: bool = False) -> None:
        self.axis, self.keepdims = axis, keepdims

    def kept(self, y: Array, x: Array) -> Array:
        """A result, or its gradient, with the reduced axes as axes of size 1, so that it broadcasts against x."""
        if self.axis is None or self.keepdims:
            return y  # it broadcasts as it is
        axes = np.atleast_1d(self.axis) % (x.ndim or 1)
        return np.reshape(y, tuple(1 if k in axes else n for k, n in enumerate(x.shape)))


class Sum(Reduction):
    """y = Σ x.  dy/dx = 1."""

    def forward(self, x: Array) -> Array:
        return np.sum(x, self.axis, keepdims=self.keepdims)

    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        return np.broadcast_to(self.kept(g, x), x.shape)


class Mean(Reduction):
    """y = (Σ x) / n, which is nan, with NumPy's warning, where n = 0.  dy/dx = 1 / n."""

    def forward(self, x: Array) -> Any:
        if type(x) is np.ndarray and x.dtype.char in "fd" and x.size:  # what np.mean does, without what it asks before
            total = _added_up(x, self.axis, keepdims=self.keepdims)
            return total / x.dtype.type(x.size // total.size)  # by a plain int: float64, in a thread under NumPy 2.1
        if np.size(x):
            return np.mean(x, self.axis, keepdims=self.keepdims)
        with np.errstate(invalid="ignore"):  # 0 / 0 would warn a second time
            return np.mean(x, self.axis, keepdims=self.keepdims)

    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        return np.broadcast_to(self.kept(g, x) * (y.size / x.size if x.size else 0.0), x.shape)


class Max(Reduction):
    """y = max x.  dy/dx = 1 / (number of largest entries) at each largest entry, else 0.

    With `initial`, that number is one entry more.
    """

    def __init__(self, axis: Axis, keepdims: bool = False, initial: float | None = None) -> None:
        super().__init__(axis, keepdims)
        self.initial = initial

    def forward(self, x: Array) -> Array:
        return np.max(x, self.axis, keepdims=self.keepdims, **self.extra())

    def extra(self) -> dict[str, Any]:
        return {} if self.initial is None else {"initial": self.initial}

    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        y = self.kept(y, x)
        largest = (x == y) | np.isnan(x)  # the largest of all is nan, says NumPy
        ties = np.sum(largest, self.axis, keepdims=True)
        if self.initial is not None:
            ties = np.maximum(ties + (y == self.initial), 1)
        return np.where(largest, self.kept(g, x) / ties.astype(x.dtype), 0)


class Min(Max):
    """y = min x.  dy/dx = 1 / (number of smallest entries) at each smallest entry, else 0."""

    def forward(self, x: Array) -> Array:
        return np.min(x, self.axis, keepdims=self.keepdims, **self.extra())


class Norm(Reduction):
    """y = √(Σ x²).  dy/dx = x / y, and 0 where y = 0."""

    def forward(self, x: Array) -> Array:
        size = np.max(abs(x), self.axis, keepdims=True, initial=0)
        size = np.where((size > 0) & np.isfinite(size), size, 1)  # squares of large entries would overflow
        y = np.sqrt(np.sum(np.square(x / size), self.axis, keepdims=True)) * size
        return y if self.keepdims else np.squeeze(y, tuple(range(x.ndim)) if self.axis is None else self.axis)

    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        y = self.kept(y, x)
        zero = y == 0
        return self.kept(g, x) * np.where(zero, 0, x / np.where(zero, 1, y))


class LogSumExp(Reduction):
    """y = log Σ e^x = m + log Σ e^(x-m) with m = max x, which overflows nowhere.  dy/dx = e^(x-y) = softmax(x)."""

    name = "logsumexp"

    def forward(self, x: Array) -> Array:
        x = x if isinstance(x, np.ndarray) and x.dtype.kind == "f" else np.asarray(x, dtype=float)
        m = np.max(x, self.axis, keepdims=True, initial=-np.inf)
        m = np.where(np.isfinite(m), m, 0).astype(x.dtype)  # a row of -inf alone has log 0 = -inf, not nan
        with np.errstate(divide="ignore"):
            y = np.log(np.sum(np.exp(x - m), self.axis, keepdims=True)) + m
        return y if self.keepdims else np.squeeze(y, tuple(range(x.ndim)) if self.axis is None else self.axis)

    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        y = self.kept(y, x)
        return self.kept(g, x) * np.exp(x - np.where(y == -np.inf, 0, y))  # e^-inf = 0 where all x are -inf


class LogSoftmax(Reduction):
    """y = x - log Σ e^x.  dL/dx = g - e^y Σ g."""

    def forward(self, x: Array) -> Array:
        return x - LogSumExp(self.axis, True).forward(x)

    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        return g - np.exp(y) * np.sum(g, self.axis, keepdims=True)


class Softmax(Reduction):
    """y = e^x / Σ e^x.  dL/dx = y (g - Σ g y)."""

    def forward(self, x: Array) -> Array:
        e = np.exp(x - np.max(x, self.axis, keepdims=True))
        return e / np.sum(e, self.axis, keepdims=True)

    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        return y * (g - np.sum(g * y, self.axis, keepdims=True))


# The functions have NumPy's parameters in NumPy's order. `where` leaves entries out by replacing them with what changes
# nothing (0 in a sum), so that no gradient goes back to them.


def included(a: A, where: Mask, otherwise: Any, dtype: DType = None, out: None = None) -> A:
    """The entries that take part in a reduction, in the dtype to compute in."""
    if out is not None:
        raise NotDifferentiableError("out= would lose the gradient: write the result to a new name")
    if dtype is not None:
        a = a.astype(dtype)
    return a if where is True else elementwise.where(np.broadcast_to(_plain(where), a.shape), a, otherwise)


def _plain(x: Operand) -> Any:
    return getattr(x, "array", x)


@implements("sum")
def sum(
    a: A,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    keepdims: bool = False,
    initial: Operand | None = None,
    where: Mask = True,
) -> A:
    """As `np.sum`."""
    y = Sum(axis, keepdims)(included(a, where, 0, dtype, out))
    return y if initial is None else y + initial


@implements("mean")
def mean(
    a: A, axis: Axis = None, dtype: DType = None, out: None = None, keepdims: bool = False, *, where: Mask = True
) -> A:
    """As `np.mean`."""
    if where is True:
        return Mean(axis, keepdims)(included(a, True, 0, dtype, out))
    return Sum(axis, keepdims)(included(a, where, 0, dtype, out)) / count(a, axis, keepdims, where)


def count(a: Array, axis: Axis, keepdims: bool, where: Mask) -> Array:
    """How many entries take part in a reduction."""
    n = np.sum(np.broadcast_to(_plain(where), a.shape), axis, keepdims=keepdims)
    return n.astype(a.dtype if a.dtype.kind == "f" else float)


@implements("max", "amax")
def max(
    a: A, axis: Axis = None, out: None = None, keepdims: bool = False, initial: float | None = None, where: Mask = True
) -> A:
    """As `np.max`; among equal largest entries the gradient is shared."""
    return _extreme(Max, -math.inf, a, axis, out, keepdims, initial, where)


@implements("min", "amin")
def min(
    a: A, axis: Axis = None, out: None = None, keepdims: bool = False, initial: float | None = None, where: Mask = True
) -> A:
    """As `np.min`; among equal smallest entries the gradient is shared."""
    return _extreme(Min, math.inf, a, axis, out, keepdims, initial, where)


def _extreme(
    kind: type[Max], loser: float, a: A, axis: Axis, out: None, keepdims: bool, initial: float | None, where: Mask
) -> A:
    if initial is None and where is not True:
        raise ValueError(f"np.{kind.name} with where= needs initial=, the answer where no entry takes part")
    if hasattr(initial, "array"):
        raise NotDifferentiableError(f"initial= of np.{kind.name} as a Tensor is not supported: use np.{kind.name}imum")
    otherwise = loser if a.dtype.kind == "f" else initial  # integers have no infinity
    return kind(axis, keepdims, initial)(included(a, where, otherwise, out=out))


def logsumexp(a: A, axis: Axis = None, *, keepdims: bool = False) -> A:
    """log Σ e^x along some axes, without overflow: logsumexp([1000, 1000]) = 1000 + log 2.

    >>> import tinygrad_rnn as tg
    >>> float(tg.logsumexp(tg.tensor([1000.0, 1000.0])))
    1000.6931471805599
    """
    return LogSumExp(axis, keepdims)(a)


def softmax(a: A, axis: int = -1) -> A:
    """e^x / Σ e^x along an axis: positive numbers that add up to 1.

    An entry of -inf has weight 0. Where all are -inf, or one is inf or nan, the weights are nan.

    >>> import tinygrad_rnn as tg
    >>> tg.softmax(tg.tensor([0.0, 0.0])).data
    array([0.5, 0.5])
    """
    return Softmax(axis)(a)


def log_softmax(a: A, axis: int = -1) -> A:
    """x - log Σ e^x along an axis: the logarithm of `softmax`, exact where softmax itself underflows to 0.

    >>> import tinygrad_rnn as tg
    >>> tg.log_softmax(tg.tensor([0.0, -1000.0])).data
    array([    0., -1000.])
    """
    return LogSoftmax(axis)(a)
