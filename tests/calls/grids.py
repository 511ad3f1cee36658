"""Grids, interpolation, finite differences, quantiles."""

from typing import Any

import numpy as np
from hypothesis import assume

from .draw import Call, Draw, row, rows


@rows("linspace", "logspace", "logspace base", "geomspace")
def spaces(draw: Draw, kind: Any) -> Call:
    start, stop = draw.pair((0.3, 1.5))
    base = draw.values(np.broadcast_shapes(start.shape, stop.shape), 1.5, 3)
    num, endpoint = draw.int(0, 4), draw.flag()
    axis = draw.one(0, -1)
    sign = draw.one(1, -1)
    return {
        "linspace": Call(
            lambda a, b: np.linspace(a, b, num, endpoint, retstep=num > 2, axis=axis),
            [start, stop],
        ),
        "logspace": Call(lambda a, b: np.logspace(a, b, num, endpoint, axis=axis), [start, stop]),
        "logspace base": Call(lambda a, b, c: np.logspace(a, b, num, endpoint, base=c, axis=axis), [start, stop, base]),
        "geomspace": Call(lambda a, b: np.geomspace(sign * a, sign * b, num, endpoint, axis=axis), [start, stop]),
    }[kind]


@row
def interp(draw: Draw) -> Call:
    x = draw.array(1, 2, 1, span=(-0.5, 3))
    xp = np.cumsum(draw.values((draw.one(4, 3, 2, 1, 5),), 0.4, 1.2))
    fp = draw.values(xp.shape)
    ends = draw.one({}, {"left": -1.0}, {"left": 0.5, "right": 2}, {"period": 3.7})
    return Call(lambda x, xp, fp: np.interp(x, xp, fp, **ends), [x, xp, fp])


@rows("gradient", "gradient of a spacing", "gradient of coordinates", "gradient of each axis")
def finite_differences(draw: Draw, kind: Any) -> Call:
    edge = draw.one(1, 2)
    f = draw.values((4, 3))
    axis = draw.axis(2)
    steps = np.cumsum(draw.values((f.shape[axis],), 0.4, 1.2))
    return {
        "gradient": Call(lambda f: np.gradient(f, edge_order=edge), [f], lambda t, f: t.gradient(f, edge_order=edge)),
        "gradient of a spacing": Call(
            lambda f, h: np.gradient(f, h, axis=axis, edge_order=edge), [f, draw.values((), 0.5, 2)]
        ),
        "gradient of coordinates": Call(lambda f, x: np.gradient(f, x, axis=axis, edge_order=edge), [f, steps]),
        "gradient of each axis": Call(lambda f: np.gradient(f, 0.5, [0, 1, 3.0], axis=(0, 1), edge_order=edge), [f]),
    }[kind]


METHODS = (
    *("inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull"),
    *("linear", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest"),
)


@rows("quantile", "percentile", "nanquantile", "nanpercentile", "nanmedian")
def quantiles(draw: Draw, kind: Any) -> Call:
    x = draw.array(1, 3, 1)
    axis, keepdims = draw.axes(x.ndim), draw.flag()
    assume(axis != ())
    f = getattr(np, kind)
    hole = draw.rng.random(x.shape) < 0.3 * kind.startswith("nan")
    assume(not np.any(np.all(hole, axis)))
    if kind == "nanmedian":
        return Call(lambda x: f(np.where(hole, np.nan, x), axis, keepdims=keepdims), [x])
    q = draw.one(0.3, 1, [0.0, 0.55], [[0.1, 0.9], [0.5, 1.0]])
    q = np.multiply(q, 100.0).tolist() if kind.endswith("percentile") else q
    method = draw.one("linear", *METHODS)
    call = Call(lambda x: f(np.where(hole, np.nan, x), q, axis, method=method, keepdims=keepdims), [x])
    if kind == "quantile" and method == "linear" and isinstance(axis, int) and isinstance(q, float):
        return call._replace(theirs=lambda t, x: t.quantile(x, q, axis, keepdims))
    return call
