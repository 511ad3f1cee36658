"""Points on a line, and what is computed on them: linspace, interpolation, differences, integrals."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..engine.arrays import Array, Axis, DType, Operand
from .elementwise import where
from .registry import implements
from .shape import concatenate
from .statistics import diff


def _array(x: Operand) -> Any:
    return x if hasattr(x, "dtype") else np.asarray(x)


@implements("linspace")
def linspace(
    start: Operand,
    stop: Operand,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: DType = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    """As `np.linspace`: y_k = start + (stop - start) k / (num - 1)."""
    share, last = _shares("np.linspace", num, endpoint)
    width = 1.0 * _array(stop) - _array(start)
    share, last = _as_axis(share, width), _as_axis(last, width)
    y = np.moveaxis(where(last, stop, start + width * share), 0, axis)
    y = y if dtype is None else y.astype(dtype)
    gaps = num - 1 if endpoint else num
    return (y, width / gaps if gaps else width * np.nan) if retstep else y


@implements("logspace")
def logspace(
    start: Operand,
    stop: Operand,
    num: int = 50,
    endpoint: bool = True,
    base: Operand = 10.0,
    dtype: DType = None,
    axis: int = 0,
) -> Any:
    """As `np.logspace`: the base to the powers of `np.linspace`."""
    if np.ndim(base):
        start, stop, base = np.broadcast_arrays(start, stop, base)
        base = np.expand_dims(base, axis)
    y = np.power(base, linspace(start, stop, num, endpoint, axis=axis))
    return y if dtype is None else y.astype(dtype)


@implements("geomspace")
def geomspace(
    start: Operand, stop: Operand, num: int = 50, endpoint: bool = True, dtype: DType = None, axis: int = 0
) -> Any:
    """As `np.geomspace`: y_k = start (stop / start)^(k / (num - 1)), of two numbers with the same sign."""
    if not np.all(np.sign(getattr(start, "array", start)) * np.sign(getattr(stop, "array", stop)) > 0):
        raise ValueError("np.geomspace needs a start and a stop with the same sign, neither of them 0")
    share, last = _shares("np.geomspace", num, endpoint)
    ratio = _array(stop).astype(float) / start  # always float64, as NumPy's
    share, last = _as_axis(share, ratio), _as_axis(last, ratio)
    y = np.moveaxis(where(last, stop, start * ratio**share), 0, axis)
    return y if dtype is None else y.astype(dtype)


def _shares(name: str, num: Any, endpoint: bool) -> tuple[np.ndarray, np.ndarray]:
    """How far along each point lies, from 0 to 1, and which of them is the end itself."""
    num = operator.index(num)
    if num < 0:
        raise ValueError(f"{name}: num must be 0 or more, not {num}")
    share = np.arange(num) / max(1, num - 1 if endpoint else num)
    return share, share == 1


def _as_axis(share: np.ndarray, x: Array) -> np.ndarray:
    """A new first axis to broadcast against x, in its dtype."""
    column = share.reshape(-1, *[1] * np.ndim(x))
    return column if share.dtype == bool else column.astype(x.dtype)


@implements("interp")
def interp(
    x: Any, xp: Any, fp: Any, left: Operand | None = None, right: Operand | None = None, period: float | None = None
) -> Any:
    """As `np.interp`: on the straight lines between the points (xp, fp); at a point, as to the right of it."""
    x, xp, fp = (_array(v).astype(float) for v in (x, xp, fp))
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ValueError(f"np.interp needs xp and fp as vectors of one length, not {xp.shape} and {fp.shape}")
    if period is not None:
        if period == 0:
            raise ValueError("np.interp: period must not be 0")
        period, left, right = abs(period), None, None
        x, xp = x % period, xp % period
        order = np.argsort(xp)
        xp, fp = xp[order], fp[order]
        xp = concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = concatenate([fp[-1:], fp, fp[:1]])
    last = xp.size - 1
    k = np.clip(np.searchsorted(xp, x, "right") - 1, 0, max(last - 1, 0))
    x0, x1, y0, y1 = xp[k], xp[np.minimum(k + 1, last)], fp[k], fp[np.minimum(k + 1, last)]
    width = where(x1 == x0, 1.0, x1 - x0)
    y = y0 + (y1 - y0) * ((x - x0) / width)
    y = where(x < xp[0], fp[0] if left is None else left, y)
    return where(x > xp[last], fp[last] if right is None else right, y)


@implements("gradient")
def gradient(f: Any, *varargs: Any, axis: Axis = None, edge_order: int = 1) -> Any:
    """As `np.gradient`: central differences inside, one-sided ones of order 1 or 2 at the ends.

    Of spacings or coordinates as Tensors the gradient flows too.
    """
    f = _array(f)
    f = f if f.dtype.kind == "f" else f.astype(float)
    axes = normalize_axis_tuple(range(f.ndim) if axis is None else axis, f.ndim)
    spacings = varargs * len(axes) if len(varargs) == 1 and np.ndim(varargs[0]) == 0 else varargs or (1.0,) * len(axes)
    if len(spacings) != len(axes):
        raise TypeError(f"np.gradient: {len(varargs)} spacings were given for {len(axes)} axes")
    if edge_order not in (1, 2):
        raise ValueError(f"np.gradient: edge_order must be 1 or 2, not {edge_order}")
    slopes = tuple(_slope(f, h, k, edge_order) for h, k in zip(spacings, axes, strict=True))
    return slopes[0] if len(slopes) == 1 else slopes


def _slope(f: Any, spacing: Any, axis: int, edge_order: int) -> Any:
    """df/dx along an axis: with gaps a and b on its two sides, x has the slope (a f'_b + b f'_a) / (a + b)."""
    y = np.moveaxis(f, axis, -1)
    n = y.shape[-1]
    if n <= edge_order:
        raise ValueError(
            f"np.gradient: edge_order={edge_order} needs {edge_order + 1} entries, and axis {axis} has {n}"
        )
    if np.ndim(spacing) and np.shape(spacing) != (n,):
        raise ValueError(f"np.gradient: coordinates of shape {np.shape(spacing)} for axis {axis} with {n} entries")
    gaps = diff(spacing) if np.ndim(spacing) else np.broadcast_to(_array(spacing), (n - 1,))
    gaps = gaps if gaps.dtype == y.dtype or hasattr(spacing, "dtype") else gaps.astype(y.dtype)
    slopes = (y[..., 1:] - y[..., :-1]) / gaps
    a, b = gaps[:-1], gaps[1:]
    inside = (a * slopes[..., 1:] + b * slopes[..., :-1]) / (a + b)
    first, last = slopes[..., :1], slopes[..., -1:]
    if edge_order == 2:  # the parabola through the last three points: its slopes at two of them add up to 2 f'
        first, last = 2 * first - inside[..., :1], 2 * last - inside[..., -1:]
    return np.moveaxis(concatenate([first, inside, last], -1), -1, axis)


@implements("trapezoid")
def trapezoid(y: Any, x: Operand | None = None, dx: float = 1.0, axis: int = -1) -> Any:
    """As `np.trapezoid`: Σ (x_(k+1) - x_k) (y_k + y_(k+1)) / 2."""
    y = np.moveaxis(y if hasattr(y, "shape") else np.asarray(y), axis, -1)
    if x is not None:
        dx = diff(x) if np.ndim(x) == 1 else np.moveaxis(diff(x, axis=axis), axis, -1)
    return np.sum(dx * (y[..., 1:] + y[..., :-1]) / 2, axis=-1)
