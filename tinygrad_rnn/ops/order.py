"""Functions of the order of the entries: sort, partition, median and the other quantiles.

Each entry of a result is an entry of x, or lies between two: which, is decided by numbers that have no derivative.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..engine.arrays import A, Axis, Operand
from ..errors import NotDifferentiableError
from .elementwise import where
from .rearrange import along, moveaxis, take_along_axis
from .reduction import included, mean
from .registry import implements
from .shape import reshape
from .statistics import rows


@implements("sort")
def sort(a: A, axis: int | None = -1, kind: Any = None, order: None = None, *, stable: bool | None = None) -> A:
    """As `np.sort`; the gradient of an entry goes where the entry came from (equal entries in their old order)."""
    a, axis = along(a, axis)
    return take_along_axis(a, np.argsort(getattr(a, "array", a), axis, kind="stable"), axis)


@implements("partition")
def partition(a: A, kth: Any, axis: int | None = -1, kind: Any = "introselect", order: None = None) -> A:
    """As `np.partition`."""
    a, axis = along(a, axis)
    return take_along_axis(a, np.argpartition(getattr(a, "array", a), kth, axis, kind), axis)


@implements("median")
def median(a: A, axis: Axis = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False) -> A:
    """As `np.median`: the middle of the sorted entries, or the mean of the two middle ones; nan where one is nan."""
    x, kept = rows(included(a, True, 0, out=out), axis)
    n = x.shape[-1]
    if n == 0:
        return mean(a, axis, keepdims=keepdims)
    x = sort(x, -1)
    middle = mean(x[..., (n - 1) // 2 : n // 2 + 1], -1)
    middle = where(np.isnan(x[..., -1]), math.nan, middle)
    return reshape(middle, kept) if keepdims else middle


@implements("nanmedian")
def nanmedian(a: A, axis: Axis = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False) -> A:
    """As `np.nanmedian`: the median of what is not nan, and nan where nothing is left."""
    return _quantile(np.nanquantile, a, 0.5, axis, out, "linear", keepdims, None, skip_nan=True)


@implements("quantile")
def quantile(
    a: A,
    q: Operand,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: Any = "linear",
    keepdims: bool = False,
    *,
    weights: None = None,
) -> A:
    """As `np.quantile`, with each of its methods; nan where one entry is nan. q has no gradient."""
    return _quantile(np.quantile, a, q, axis, out, method, keepdims, weights)


@implements("percentile")
def percentile(
    a: A,
    q: Operand,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: Any = "linear",
    keepdims: bool = False,
    *,
    weights: None = None,
) -> A:
    """As `np.percentile`: the quantile of q / 100."""
    return _quantile(np.percentile, a, q, axis, out, method, keepdims, weights, whole=100)


@implements("nanquantile")
def nanquantile(
    a: A,
    q: Operand,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: Any = "linear",
    keepdims: bool = False,
    *,
    weights: None = None,
) -> A:
    """As `np.nanquantile`: the quantile of what is not nan, and nan where nothing is left."""
    return _quantile(np.nanquantile, a, q, axis, out, method, keepdims, weights, skip_nan=True)


@implements("nanpercentile")
def nanpercentile(
    a: A,
    q: Operand,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: Any = "linear",
    keepdims: bool = False,
    *,
    weights: None = None,
) -> A:
    """As `np.nanpercentile`: the nanquantile of q / 100."""
    return _quantile(np.nanpercentile, a, q, axis, out, method, keepdims, weights, whole=100, skip_nan=True)


def _quantile(
    function: Any,
    a: A,
    q: Operand,
    axis: Axis,
    out: None,
    method: Any,
    keepdims: bool,
    weights: None,
    *,
    whole: float = 1,
    skip_nan: bool = False,
) -> A:
    """x_j + (x_(j+1) - x_j) s of the sorted entries; the quantile of the places 0, 1, 2, ... themselves is j + s."""
    name = f"np.{function.__name__}"
    if weights is not None:
        raise NotDifferentiableError(f"{name} with weights= of a Tensor is not supported: repeat the entries instead")
    if hasattr(q, "array"):
        raise NotDifferentiableError(f"q of {name} has no gradient: give a number or a plain array")
    dtype = function(np.zeros((1,) * a.ndim, a.dtype), q, axis, method=method).dtype
    q = np.asarray(q) / whole
    x, kept = rows(included(a, True, 0, out=out), axis)
    if x.shape[-1] == 0:
        raise ValueError(f"{name} of no entries: axis={axis} of shape {a.shape}")
    x = sort(x, -1)
    present = np.sum(~np.isnan(x), -1) if skip_nan else np.full(x.shape[:-1], x.shape[-1])
    of = {n: np.quantile(np.arange(float(max(n, 1))), q, method=method).ravel() for n in np.unique(present).tolist()}
    places = np.array([of[n] for n in present.ravel().tolist()]).reshape(*present.shape, q.size)
    below = np.floor(places).astype(np.intp)
    share = (places - below).astype(dtype)
    low = take_along_axis(x, below, -1)
    high = take_along_axis(x, np.minimum(below + 1, x.shape[-1] - 1), -1)
    at_one = share == 0  # then the next entry does not matter, which may be infinite, or nan
    y = low + (where(at_one, 0.0, high) - where(at_one, 0.0, low)) * share
    if not skip_nan:
        y = where(np.isnan(x[..., -1:]), math.nan, y)
    y = moveaxis(y, -1, 0)
    y = reshape(y, (*q.shape, *(kept if keepdims else y.shape[1:])))
    return y if y.dtype == dtype else y.astype(dtype)
