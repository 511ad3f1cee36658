"""Statistics, running sums and products, built from simpler ops: hardly a rule, so hardly a rule to get wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..engine.arrays import A, Array, Axis, DType, Mask, Operand
from ..engine.tape import Op
from .elementwise import where as choose
from .rearrange import along
from .reduction import Norm, count, included, max, mean, min, sum
from .registry import implements
from .shape import concatenate, reshape


class CumSum(Op):
    """y_k = x_1 + ... + x_k along an axis.  dL/dx_k = g_k + ... + g_n."""

    name = "cumsum"

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        return np.cumsum(x, self.axis)

    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        return np.flip(np.cumsum(np.flip(g, self.axis), self.axis), self.axis)


@implements("cumsum")
def cumsum(a: A, axis: int | None = None, dtype: DType = None, out: None = None) -> A:
    """As `np.cumsum`."""
    a, axis = along(included(a, True, 0, dtype, out), axis)
    return CumSum(axis)(a)


@implements("cumprod")
def cumprod(a: A, axis: int | None = None, dtype: DType = None, out: None = None) -> A:
    """As `np.cumprod`, by doubling: after k rounds each entry is the product of the 2^k entries up to it.

    Only products are formed, no quotients, so the derivative is right where entries are 0.
    """
    a, axis = along(included(a, True, 1, dtype, out), axis)
    before = (slice(None),) * axis
    shift = 1
    while shift < a.shape[axis]:
        head, later, earlier = a[(*before, slice(shift))], a[(*before, slice(shift, None))], a[(*before, slice(-shift))]
        a = concatenate([head, later * earlier], axis)
        shift *= 2
    return a


def rows(a: Array, axis: Axis) -> tuple[Any, tuple[int, ...]]:
    """The entries to reduce as one last axis, and the shape that the result has with keepdims."""
    axes = normalize_axis_tuple(range(a.ndim) if axis is None else axis, a.ndim)
    rest = [k for k in range(a.ndim) if k not in axes]
    count = math.prod(a.shape[k] for k in axes)
    rows = np.reshape(np.transpose(a, [*rest, *axes]), (*[a.shape[k] for k in rest], count))
    return rows, tuple(1 if k in axes else n for k, n in enumerate(a.shape))


@implements("prod")
def prod(
    a: A,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    keepdims: bool = False,
    initial: Operand | None = None,
    where: Mask = True,
) -> A:
    """As `np.prod`, by halving: products of pairs, of pairs of pairs, and so on, right where entries are 0."""
    x, kept = rows(included(a, where, 1, dtype, out), axis)
    while x.shape[-1] > 1:
        half = x.shape[-1] // 2
        x = concatenate([x[..., :half] * x[..., half : 2 * half], x[..., 2 * half :]], -1)
    y = sum(x, -1) if x.shape[-1] else sum(x, -1) + 1  # the product of nothing is 1
    y = reshape(y, kept) if keepdims else y
    return y if initial is None else y * initial


@implements("var")
def var(
    a: A,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Mask = True,
    correction: float | None = None,
) -> A:
    """As `np.var`: Σ (x - mean)² / (n - ddof)."""
    centred, freedom = _spread(a, axis, dtype, out, ddof if correction is None else correction, keepdims, where)
    return sum(centred * centred, axis, keepdims=keepdims) / freedom


@implements("std")
def std(
    a: A,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Mask = True,
    correction: float | None = None,
) -> A:
    """As `np.std`: ‖x - mean‖ / √(n - ddof), so its derivative where all entries are equal is that of the norm: 0."""
    centred, freedom = _spread(a, axis, dtype, out, ddof if correction is None else correction, keepdims, where)
    return Norm(axis, keepdims)(centred) / np.sqrt(freedom)


def _spread(a: Array, axis: Axis, dtype: DType, out: None, ddof: float, keepdims: bool, where: Mask) -> tuple[Any, Any]:
    """x - mean, 0 where an entry does not take part, and the number to divide the sum of squares by."""
    a = included(a, True, 0, dtype, out)
    centred = included(a - mean(a, axis, keepdims=True, where=where), where, 0)
    return centred, np.maximum(count(a, axis, keepdims, where) - ddof, 0)


@implements("ptp")
def ptp(a: A, axis: Axis = None, out: None = None, keepdims: bool = False) -> A:
    """As `np.ptp`: max - min."""
    return max(a, axis, out, keepdims) - min(a, axis, out, keepdims)


@implements("average")
def average(a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    """As `np.average`: Σ w x / Σ w."""
    a = a if hasattr(a, "shape") else np.asarray(a)
    if weights is None:
        result: Any = mean(a, axis, keepdims=keepdims)
        total: Any = np.full(result.shape, a.size / (result.size or 1), result.dtype)
        return (result, total) if returned else result
    w = weights if hasattr(weights, "shape") else np.asarray(weights)
    if w.shape != a.shape:
        axes = () if axis is None else normalize_axis_tuple(axis, a.ndim)
        if not axes or w.shape != tuple(a.shape[k] for k in axes):
            raise ValueError(f"np.average: weights of shape {w.shape} fit neither {a.shape} nor axis={axis} of it")
        w = np.transpose(w, np.argsort(axes))
        w = np.reshape(w, [n if k in axes else 1 for k, n in enumerate(a.shape)])
    w = np.broadcast_to(w, a.shape)
    total = np.sum(w, axis, keepdims=keepdims)
    if np.any(total == 0):
        raise ZeroDivisionError("np.average: the weights add up to 0")
    result = np.sum(a * w, axis, keepdims=keepdims) / total
    return (result, total) if returned else result


@implements("diff")
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """As `np.diff`: x_(k+1) - x_k, n times over."""
    if n < 0:
        raise ValueError(f"np.diff: n must be 0 or more, not {n}")
    a = a if hasattr(a, "shape") else np.asarray(a)
    axis = normalize_axis_index(axis, a.ndim)
    if n == 0:
        return a  # without prepend and append, as NumPy
    slim = tuple(1 if k == axis else m for k, m in enumerate(a.shape))
    dtype = a.dtype if a.dtype.kind == "f" else None  # float32 stays
    ends = [np.asarray(x, dtype) if isinstance(x, int | float) else x for x in (prepend, append)]
    parts = [x if np.ndim(x) else np.broadcast_to(x, slim) for x in (ends[0], a, ends[1]) if x is not None]
    a = concatenate(parts, axis) if len(parts) > 1 else a
    before = (slice(None),) * axis
    for _ in range(n):
        a = a[(*before, slice(1, None))] - a[(*before, slice(None, -1))]
    return a


# ------------------------------------------------------------------ without the nans: they have no derivative


def _present(a: Array, where: Mask = True) -> Array:
    """Which entries take part: those asked for that are not nan."""
    return getattr(where, "array", where) & ~np.isnan(a)


@implements("nansum")
def nansum(
    a: A,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    keepdims: bool = False,
    initial: Operand | None = None,
    where: Mask = True,
) -> A:
    """As `np.nansum`: the sum of what is not nan."""
    return sum(a, axis, dtype, out, keepdims, initial, _present(a, where))


@implements("nanprod")
def nanprod(
    a: A,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    keepdims: bool = False,
    initial: Operand | None = None,
    where: Mask = True,
) -> A:
    """As `np.nanprod`: the product of what is not nan."""
    return prod(a, axis, dtype, out, keepdims, initial, _present(a, where))


@implements("nanmean")
def nanmean(
    a: A, axis: Axis = None, dtype: DType = None, out: None = None, keepdims: bool = False, *, where: Mask = True
) -> A:
    """As `np.nanmean`: the mean of what is not nan."""
    return mean(a, axis, dtype, out, keepdims, where=_present(a, where))


@implements("nanvar")
def nanvar(
    a: A,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Mask = True,
) -> A:
    """As `np.nanvar`: the variance of what is not nan."""
    return var(a, axis, dtype, out, ddof, keepdims, where=_present(a, where))


@implements("nanstd")
def nanstd(
    a: A,
    axis: Axis = None,
    dtype: DType = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Mask = True,
) -> A:
    """As `np.nanstd`: the standard deviation of what is not nan."""
    return std(a, axis, dtype, out, ddof, keepdims, where=_present(a, where))


@implements("nancumsum")
def nancumsum(a: A, axis: int | None = None, dtype: DType = None, out: None = None) -> A:
    """As `np.nancumsum`: nan counts as 0."""
    return cumsum(_instead(a, 0), axis, dtype, out)


@implements("nancumprod")
def nancumprod(a: A, axis: int | None = None, dtype: DType = None, out: None = None) -> A:
    """As `np.nancumprod`: nan counts as 1."""
    return cumprod(_instead(a, 1), axis, dtype, out)


@implements("nanmax")
def nanmax(a: A, axis: Axis = None, out: None = None, keepdims: bool = False) -> A:
    """As `np.nanmax`: the largest of what is not nan, and nan where nothing is left."""
    return _nan_extreme(max(_instead(a, -math.inf), axis, out, keepdims), a, axis, keepdims)


@implements("nanmin")
def nanmin(a: A, axis: Axis = None, out: None = None, keepdims: bool = False) -> A:
    """As `np.nanmin`: the smallest of what is not nan, and nan where nothing is left."""
    return _nan_extreme(min(_instead(a, math.inf), axis, out, keepdims), a, axis, keepdims)


def _instead(a: A, value: float) -> A:
    return choose(np.isnan(a), value, a)


def _nan_extreme(y: A, a: A, axis: Axis, keepdims: bool) -> A:
    return choose(np.all(np.isnan(a), axis, keepdims=keepdims), math.nan, y)


@implements("nan_to_num")
def nan_to_num(
    x: A, copy: bool = True, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> A:
    """As `np.nan_to_num`; what is replaced has no derivative."""
    if x.dtype.kind != "f":
        return x
    limits = np.finfo(x.dtype)
    x = choose(np.isnan(x), nan, x)
    x = choose(np.isposinf(x), limits.max if posinf is None else posinf, x)
    return choose(np.isneginf(x), limits.min if neginf is None else neginf, x)
