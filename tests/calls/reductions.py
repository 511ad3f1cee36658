"""Reductions, running sums and products, statistics."""

from typing import Any

import numpy as np
from hypothesis import assume

import tinygrad_rnn as tg
from tinygrad_rnn.ops.cross_entropy import CrossEntropy, Surplus

from .draw import TABLE, Call, Draw, every, row, rows

for name_ in ("sum", "mean", "var", "std", "max", "min", "prod", "ptp", "median", "nansum", "nanmean", "nanmax"):
    for style in ("function", "method"):

        def reduced(draw: Draw, name: str = name_, method: bool = style == "method") -> Call:
            empty = name in ("sum", "prod", "nansum")
            x = draw.array(0, 3, 0 if empty else 1)
            options: dict[str, Any] = {"axis": draw.axes(x.ndim), "keepdims": draw.flag()}
            axes = options["axis"] if isinstance(options["axis"], tuple) else (1,)
            if name in ("var", "std"):
                count = np.size(x) / max(1, np.size(np.sum(x, options["axis"])))
                assume(count > 1)
                options["ddof"] = draw.one(0, 1, 0.5)
            if name not in ("ptp", "median", "nanmax", "max", "min") and draw.int(0, 3) == 0:
                options["where"] = draw.rng.random(x.shape) < 0.8
                assume(np.all(np.sum(options["where"], options["axis"]) > 1))
            if name in ("sum", "prod", "max", "min", "nansum") and draw.int(0, 3) == 0:
                options["initial"] = 0.5
            if name in ("max", "min") and draw.flag():
                options |= {"initial": -0.5, "where": draw.rng.random(x.shape) < 0.7}
            theirs = None
            if name in ("sum", "mean") and len(options) == 2 and axes and x.ndim:
                theirs = lambda t, x: getattr(t, name)(x, dim=every(x, options["axis"]), keepdim=options["keepdims"])  # noqa: E731
            if name == "var" and "where" not in options and axes and options["ddof"] != 0.5:
                theirs = lambda t, x: t.var(  # noqa: E731
                    x, dim=every(x, options["axis"]), correction=options["ddof"], keepdim=options["keepdims"]
                )
            if method and hasattr(np.ndarray, name) and name != "ptp":  # which only raises, in NumPy 2.1
                return Call(lambda x: getattr(x, name)(**options), [x], theirs)
            return Call(lambda x: getattr(np, name)(x, **options), [x], theirs)

        TABLE[f"{name_} {style}"] = reduced


@rows("nansum", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin", "nanprod", "nan_to_num")
def nans_left_out(draw: Draw, kind: Any) -> Call:
    x = draw.array(1, 3, 1)
    name = kind
    axis = draw.axes(x.ndim) if name != "nan_to_num" else None
    hole = draw.rng.random(x.shape) < 0.2
    assume(np.all(np.sum(~hole, axis if axis != () else None) > 1) and axis != ())
    options = {} if name == "nan_to_num" else {"axis": axis}
    return Call(lambda x: getattr(np, name)(np.where(hole, np.nan, x), **options), [x])


@row
def average(draw: Draw) -> Call:
    x = draw.array(1, 3, 1)
    axis = draw.axis(x.ndim)
    kind = draw.one("none", "line", "full")
    if kind == "none":
        return Call(lambda x: np.average(x, axis, keepdims=True), [x])
    w = draw.values((x.shape[axis],) if kind == "line" else x.shape, 0.2, 2)
    return Call(lambda x, w: np.average(x, axis=axis, weights=w, returned=True), [x, w])


@rows("nancumsum", "nancumprod")
def running_without_nans(draw: Draw, kind: Any) -> Call:
    x = draw.array(1, 3)
    axis = draw.one(None, draw.axis(x.ndim))
    hole = draw.rng.random(x.shape) < 0.3
    return Call(lambda x: getattr(np, kind)(np.where(hole, np.nan, x), axis), [x])


for name_ in ("cumsum", "cumprod"):

    def running(draw: Draw, name: str = name_) -> Call:
        x = draw.array(0, 3)
        axis = draw.axis(x.ndim) if x.ndim and draw.flag() else None
        x = np.where(draw.rng.random(x.shape) < 0.1, 0, x)
        theirs = lambda t, x: getattr(t, name)(x.reshape(-1) if axis is None else x, 0 if axis is None else axis)  # noqa: E731
        if draw.flag():
            return Call(lambda x: getattr(x, name)(axis), [x], theirs)
        return Call(lambda x: getattr(np, name)(x, axis=axis), [x], theirs)

    TABLE[name_] = running


@row
def products_with_zeros(draw: Draw) -> Call:
    x = draw.array(1, 3, 1)
    x = np.where(draw.rng.random(x.shape) < 0.4, 0, x)
    axis = draw.axis(x.ndim)
    return Call(lambda x: np.prod(x, axis=axis), [x], lambda t, x: t.prod(x, axis))


@row
def diff(draw: Draw) -> Call:
    x = draw.array(1, 3)
    axis, n = draw.axis(x.ndim), draw.int(0, 3)
    ends = draw.one({}, {"prepend": 0.5}, {"prepend": 2, "append": -0.5}, {"append": 1.0})
    if draw.flag():  # more of the same, of which the gradient flows too
        return Call(lambda x: np.diff(x, n, axis, prepend=2 * x, append=x), [x])
    return Call(lambda x: np.diff(x, n, axis, **{k: np.asarray(v, x.dtype) for k, v in ends.items()}), [x])


@row
def trapezoid(draw: Draw) -> Call:
    y = draw.array(1, 3, 1)
    axis = draw.axis(y.ndim)
    x = np.cumsum(draw.values((y.shape[axis],), 0.1, 1))
    return Call(
        lambda y, x: np.trapezoid(y, x, axis=axis),
        [y, x],
        lambda t, y, x: t.trapezoid(y, x, dim=axis) if y.ndim == 1 else t.trapezoid(y.movedim(axis, -1), x),
    )


@row
def logsumexp(draw: Draw) -> Call:
    x = draw.array(1, 3)
    axis, keepdims = draw.axis(x.ndim), draw.flag()
    assume(x.shape[axis])
    return Call(
        lambda x: tg.logsumexp(x, axis, keepdims=keepdims),
        [x],
        lambda t, x: t.logsumexp(x, axis, keepdims),
        lambda x: np.log(np.sum(np.exp(x), axis, keepdims=keepdims)),
    )


@rows("amax", "amin")
def extremes_by_their_old_names(draw: Draw, kind: Any) -> Call:
    x = draw.array(1, 3, 1)
    axis = draw.axis(x.ndim)
    return Call(lambda x: getattr(np, kind)(x, axis), [x], lambda t, x: getattr(t, kind)(x, axis))


@rows("softmax", "log_softmax")
def soft(draw: Draw, kind: Any) -> Call:
    x = draw.array(1, 3, 1)
    axis = draw.axis(x.ndim)

    def reference(x: Any) -> Any:
        y = np.exp(x) / np.sum(np.exp(x), axis, keepdims=True)
        return y if kind == "softmax" else np.log(y)

    return Call(lambda x: getattr(tg, kind)(x, axis), [x], lambda t, x: getattr(t, kind)(x, axis), reference)


@row
def cross_entropy(draw: Draw) -> Call:
    x = draw.array(2, 3, 1)
    target = draw.rng.integers(0, x.shape[-1], x.shape[:-1])
    chosen = (*np.indices(target.shape), target)
    return Call(
        lambda x: CrossEntropy(target)(x)[0],
        [x],
        lambda t, x: -t.log_softmax(x, -1)[chosen],
        lambda x: np.log(np.exp(x).sum(-1)) - x[chosen],
    )


@row
def surplus(draw: Draw) -> Call:
    """The gradient of the cross-entropy, as a function of all that it is made of."""
    x = draw.array(2, 2, 1)
    target = draw.rng.integers(0, x.shape[-1], x.shape[:-1])
    onehot = np.eye(x.shape[-1])[target]
    s, u, v = (draw.values(target.shape) for _ in range(3))
    return Call(
        lambda x, s, u, v: Surplus(target)(x, s, u, v),
        [x, s, u, v],
        None,
        lambda x, s, u, v: np.exp(x - s[:, None]) * u[:, None] - v[:, None] * onehot,
    )
