"""Functions that work entry by entry."""

import math
from typing import Any

import numpy as np

import tinygrad_rnn as tg

from .draw import TABLE, Call, Draw, row


def same(names: str, low: float = -2, high: float = 2) -> list[tuple[str, str | None, tuple[float, float]]]:
    """Functions with the same name in PyTorch."""
    return [(name, name, (low, high)) for name in names.split()]


UNARY = [
    *same("negative sign square exp exp2 expm1 sin cos sinh cosh tanh arctan arcsinh sinc floor ceil trunc"),
    *same("deg2rad rad2deg positive"),
    *same("sqrt log log2 log10 log1p reciprocal", 0.05, 3),
    *same("arcsin arccos arctanh", -0.97, 0.97),
    *same("tan", -1.4, 1.4),
    *same("arccosh", 1.02, 4),
    *[("absolute", "abs", (-2, 2)), ("fabs", "abs", (-2, 2)), ("cbrt", None, (0.1, 2)), ("rint", "round", (-2, 2))],
    *[("degrees", "rad2deg", (-2, 2)), ("radians", "deg2rad", (-2, 2)), ("conjugate", "conj_physical", (-2, 2))],
    *[
        ("real", "positive", (-2, 2)),
        ("real_if_close", "clone", (-2, 2)),
        ("angle", "angle", (-2, 2)),
        ("copy", "clone", (-2, 2)),
    ],
]
for name_, torchs, span_ in UNARY:

    def unary(draw: Draw, name: str = name_, theirs: str | None = torchs, span: Any = span_) -> Call:
        function = getattr(np, name)
        return Call(lambda x: function(x), [draw.array(span=span)], theirs and (lambda t, x: getattr(t, theirs)(x)))

    TABLE[name_] = unary

if hasattr(np, "fix"):  # deprecated in NumPy 2.5

    @row
    def fix(draw: Draw) -> Call:
        return Call(lambda x: np.fix(x), [draw.array()], lambda t, x: t.fix(x), np.trunc)


ACTIVATIONS: dict[str, tuple[Any, Any, Any]] = {
    "sigmoid": (tg.sigmoid, lambda t, x: t.sigmoid(x), lambda x: 1 / (1 + np.exp(-x))),
    "relu": (tg.relu, lambda t, x: t.relu(x), lambda x: np.maximum(x, 0)),
    "softplus": (tg.softplus, lambda t, x: t.nn.functional.softplus(x), lambda x: np.log1p(np.exp(x))),
    "gelu": (
        tg.gelu,
        lambda t, x: t.nn.functional.gelu(x),
        np.vectorize(lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2, otypes=[float]),
    ),
    "gelu tanh": (
        lambda x: tg.gelu(x, approximate="tanh"),
        lambda t, x: t.nn.functional.gelu(x, approximate="tanh"),
        lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
}
for name_, (ours, torchs_, reference_) in ACTIVATIONS.items():
    TABLE[name_] = lambda draw, o=ours, t=torchs_, r=reference_: Call(o, [draw.array(span=(-5, 5))], t, r)


@row
def leaky_relu(draw: Draw) -> Call:
    s = draw.one(0.01, 0.3, -0.5)
    return Call(
        lambda x: tg.leaky_relu(x, s),
        [draw.array()],
        lambda t, x: t.nn.functional.leaky_relu(x, s),
        lambda x: np.where(x > 0, x, s * x),
    )


@row
def elu(draw: Draw) -> Call:
    alpha = draw.one(1.0, 0.3)
    return Call(
        lambda x: tg.elu(x, alpha),
        [draw.array()],
        lambda t, x: t.nn.functional.elu(x, alpha),
        lambda x: np.where(x > 0, x, alpha * np.expm1(x)),
    )


@row
def round_(draw: Draw) -> Call:
    n, f = draw.int(-1, 2), draw.one(np.round, np.around)
    return Call(lambda x: f(x, n), [draw.array()], lambda t, x: t.round(x, decimals=n))


BINARY = [
    *same("add subtract multiply logaddexp logaddexp2 hypot maximum minimum fmax fmin arctan2 copysign"),
    *[
        ("heaviside", None, (-2, 2)),
        ("divide", "divide", (0.3, 2)),
        ("power", "pow", (0.3, 2)),
        ("float_power", None, (0.3, 2)),
        ("floor_divide", None, (0.3, 2)),
    ],
]
for name_, torchs, span_ in BINARY:

    def binary(draw: Draw, name: str = name_, theirs: str | None = torchs, span: Any = span_) -> Call:
        function = getattr(np, name)
        torchs = theirs and (lambda t, a, b: getattr(t, theirs)(a, b))
        return Call(lambda a, b: function(a, b), draw.pair(span), torchs)

    TABLE[name_] = binary


@row
def remainder(draw: Draw) -> Call:
    a, b = draw.pair((0.4, 3))
    f = draw.one(np.remainder, np.mod, lambda a, b: a % b)
    sign = draw.one(1, -1)
    return Call(lambda a, b: f(sign * 3 * a, b), [a, b], lambda t, a, b: t.remainder(sign * 3 * a, b))


@row
def fmod(draw: Draw) -> Call:
    a, b = draw.pair((0.4, 3))
    sign = draw.one(1, -1)
    return Call(lambda a, b: np.fmod(sign * 3 * a, b), [a, b], lambda t, a, b: t.fmod(sign * 3 * a, b))


@row
def operators(draw: Draw) -> Call:
    f = draw.one(
        *[lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b, lambda a, b: a**b],
        *[lambda a, b: a % b, lambda a, b: 2 - a + b * 3, lambda a, b: 1 / a + 2**b],
    )
    if draw.int(0, 5) == 0:
        return Call(lambda a, b: a // b, draw.pair((0.4, 2)))
    return Call(f, draw.pair((0.4, 2)), lambda t, a, b: f(a, b))


@row
def where(draw: Draw) -> Call:
    a, b = draw.pair()
    mask = draw.rng.random(np.broadcast_shapes(a.shape, b.shape)) < 0.5
    return Call(lambda a, b: np.where(mask, a, b), [a, b], lambda t, a, b: t.where(t.tensor(mask), a, b))


@row
def clip(draw: Draw) -> Call:
    low, high = draw.one((-1, 1), (None, 0.5), (-0.5, None))
    return Call(lambda x: np.clip(x, low, high), [draw.array()], lambda t, x: t.clip(x, low, high))


@row
def select(draw: Draw) -> Call:
    a, b = draw.pair()
    shape = np.broadcast_shapes(a.shape, b.shape)
    masks = [draw.rng.random(shape) < 0.4 for _ in range(2)]
    default = draw.one(0, 0.5)
    return Call(lambda a, b: np.select(masks, [a + 0 * b, b + 0 * a], default), [a, b])
