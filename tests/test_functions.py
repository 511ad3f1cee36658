"""NumPy on Tensors: every function over random shapes, axes, keyword arguments and operands.

Each row of the table draws one call. Its value is held against NumPy; its first and second derivatives against PyTorch
where PyTorch has the function, against central differences elsewhere. Which operands are Tensors is drawn too. Then
come the conventions of docs/functions.md, row by row, and what is refused.
"""

import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import ops
from tinygrad_rnn.errors import DtypeError, NotDifferentiableError


class Call(NamedTuple):
    """A function of arrays, the arrays, and the same function with PyTorch: ``theirs(torch, *tensors)``."""

    f: Callable[..., Any]
    arrays: list[np.ndarray]
    theirs: Callable[..., Any] | None = None
    reference: Callable[..., Any] | None = None  # where f is not NumPy's own


class Draw:
    """Random shapes, axes, options and values."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.rng = np.random.default_rng(self(st.integers(0, 2**32 - 1)))

    def __call__(self, strategy: Any) -> Any:
        return self.data.draw(strategy)

    def flag(self) -> bool:
        return self(st.booleans())

    def one(self, *options: Any) -> Any:
        return self(st.sampled_from(options))

    def int(self, low: int, high: int) -> int:
        return self(st.integers(low, high))

    def shape(self, low: int = 0, high: int = 3, side: int = 0) -> tuple[int, ...]:
        """At most 24 entries, so that differences are quick; sides of 0 and 1 among them."""
        shape = tuple(self(st.lists(st.sampled_from([3, 2, 1, 4, side]), min_size=low, max_size=high)))
        assume(math.prod(shape) <= 24)
        return shape

    def values(self, shape: tuple[int, ...], low: float = -2, high: float = 2) -> np.ndarray:
        return self.rng.uniform(low, high, shape)

    def array(self, low: int = 0, high: int = 3, side: int = 0, span: tuple[float, float] = (-2, 2)) -> np.ndarray:
        return self.values(self.shape(low, high, side), *span)

    def pair(self, span: tuple[float, float] = (-2, 2)) -> list[np.ndarray]:
        """Two arrays that broadcast."""
        shape = self.shape(0, 3)
        first, second = ([n if self(st.integers(0, 3)) else 1 for n in shape] for _ in range(2))
        return [
            self.values(tuple(first[self.int(0, 1) :]), *span),
            self.values(tuple(second[self.int(0, len(shape)) :]), *span),
        ]

    def axis(self, ndim: int) -> int:
        return self.int(-ndim, ndim - 1)

    def axes(self, ndim: int) -> Any:
        """None, one axis, or a tuple of different ones, some counted from the end."""
        if not ndim or self.int(0, 3) == 0:
            return None
        if self.flag():
            return self.axis(ndim)
        chosen = self(st.lists(st.integers(0, ndim - 1), unique=True, max_size=ndim))
        return tuple(k - ndim * self.flag() for k in chosen)


TABLE: dict[str, Callable[[Draw], Call]] = {}


def row(function: Callable[[Draw], Call]) -> Callable[[Draw], Call]:
    TABLE[function.__name__.strip("_")] = function
    return function


def rows(*kinds: Any) -> Callable[[Any], Any]:
    """Several rows of the table that are drawn alike."""

    def add(function: Any) -> Any:
        for kind in kinds:
            TABLE[f"{function.__name__} {kind}"] = lambda draw, kind=kind: function(draw, kind)
        return function

    return add


# ------------------------------------------------------------------ scalar functions: name, name in PyTorch, domain


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
    *[("fix", "trunc", (-2, 2)), ("real", "positive", (-2, 2)), ("copy", "clone", (-2, 2))],
]
for name_, torchs, span_ in UNARY:

    def unary(draw: Draw, name: str = name_, theirs: str | None = torchs, span: Any = span_) -> Call:
        function = getattr(np, name)
        return Call(lambda x: function(x), [draw.array(span=span)], theirs and (lambda t, x: getattr(t, theirs)(x)))

    TABLE[name_] = unary

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
    n = draw.int(-1, 2)
    return Call(lambda x: np.round(x, n), [draw.array()], lambda t, x: t.round(x, decimals=n))


BINARY = [
    *same("add subtract multiply logaddexp logaddexp2 hypot maximum minimum fmax fmin arctan2 copysign"),
    *[("divide", "divide", (0.3, 2)), ("power", "pow", (0.3, 2)), ("floor_divide", None, (0.3, 2))],
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


# ------------------------------------------------------------------ reductions


def every(x: Any, axis: Any) -> Any:
    """NumPy's axis as PyTorch wants it."""
    return tuple(range(x.ndim)) if axis is None else axis


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
            if method and hasattr(np.ndarray, name):
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


# ------------------------------------------------------------------ moving and copying entries


@row
def flip(draw: Draw) -> Call:
    x = draw.array(0, 3)
    axis = draw.axes(x.ndim)
    return Call(
        lambda x: np.flip(x, axis), [x], lambda t, x: t.flip(x, np.atleast_1d(every(x, axis)).astype(int).tolist())
    )


@row
def flips(draw: Draw) -> Call:
    f = draw.one(np.fliplr, np.flipud)
    return Call(lambda x: f(x), [draw.array(2, 3)], lambda t, x: getattr(t, f.__name__)(x))


@row
def roll(draw: Draw) -> Call:
    x = draw.array(0, 3)
    if x.ndim and draw.flag():
        axes = draw(st.lists(st.integers(-x.ndim, x.ndim - 1), min_size=1, max_size=3))
        shift, axis = tuple(draw.int(-4, 4) for _ in axes), tuple(axes)
        return Call(lambda x: np.roll(x, shift, axis), [x], lambda t, x: t.roll(x, shift, axis))
    shift = draw.int(-4, 4)
    return Call(lambda x: np.roll(x, shift), [x], lambda t, x: t.roll(x, shift))


@row
def rot90(draw: Draw) -> Call:
    x = draw.array(2, 3)
    axes = tuple(draw(st.permutations(range(x.ndim)))[:2])
    k = draw.int(-3, 5)
    return Call(lambda x: np.rot90(x, k, axes), [x], lambda t, x: t.rot90(x, k, axes))


@row
def repeat(draw: Draw) -> Call:
    x = draw.array(0, 3)
    axis = draw.axis(x.ndim) if x.ndim and draw.int(0, 3) else None
    n = x.size if axis is None else x.shape[axis]
    repeats = draw.int(0, 3) if draw.flag() else draw.rng.integers(0, 3, n)
    f = draw.one(np.repeat, lambda x, r, a: x.repeat(r, a))
    return Call(lambda x: f(x, repeats, axis), [x], lambda t, x: t.repeat_interleave(x, t.as_tensor(repeats), axis))


@row
def tile(draw: Draw) -> Call:
    reps = draw.one(2, 0, (), (2,), (1, 2), (3, 1), (2, 1, 2), [2, 2])
    theirs = (reps,) if isinstance(reps, int) else tuple(reps)
    return Call(lambda x: np.tile(x, reps), [draw.array()], lambda t, x: t.tile(x, theirs))


@row
def resize(draw: Draw) -> Call:
    shape = draw.one(5, (2, 3), (7, 1))
    x = draw.array(0, 2, 1)
    return Call(lambda x: np.resize(x, shape), [x])


@row
def delete(draw: Draw) -> Call:
    x = draw.array(1, 3, 1)
    axis = draw.axis(x.ndim)
    index = draw.int(-x.shape[axis], x.shape[axis] - 1)
    return Call(lambda x: np.delete(x, index, axis), [x])


@row
def pad(draw: Draw) -> Call:
    x = draw.array(1, 3, 2)
    mode = draw.one("constant", "constant", "edge", "reflect", "symmetric", "wrap")
    width = draw.one(1, (0, 2)) if draw.flag() else [(draw.int(0, 2), draw.int(0, 2)) for _ in x.shape]
    options = {"constant_values": draw.one(0, 1.5)} if mode == "constant" else {}
    return Call(lambda x: np.pad(x, width, mode, **options), [x])


@rows("diag", "diagflat", "tril", "triu", "diagonal", "trace", "linalg", "linalg trace")
def diagonals(draw: Draw, kind: Any) -> Call:
    k = draw.int(-2, 3)
    if kind in ("diag", "diagflat"):
        f = getattr(np, kind)
        x = draw.array(1, 2)
        return Call(lambda x: f(x, k), [x], lambda t, x: getattr(t, kind)(x, k))
    x = draw.array(2, 3)
    if kind in ("tril", "triu"):
        f = getattr(np, kind)
        return Call(lambda x: f(x, k), [x], lambda t, x: getattr(t, kind)(x, k))
    if kind.startswith("linalg"):
        f = np.linalg.trace if kind == "linalg trace" else np.linalg.diagonal
        return Call(lambda x: f(x, offset=k), [x], None)
    first, second = draw(st.permutations(range(x.ndim)))[:2]
    second -= x.ndim
    f = draw.one(getattr(np, kind), lambda x, *args: getattr(x, kind)(*args))
    return Call(lambda x: f(x, k, first, second), [x], None)


@rows(
    "moveaxis",
    "moveaxis int",
    "rollaxis",
    "swapaxes",
    "transpose",
    "matrix_transpose",
    "linalg.matrix_transpose",
    "ravel",
    "reshape",
    "ravel method",
)
def axes_moved(draw: Draw, kind: Any) -> Call:
    x = draw.array(2, 3)
    n = x.ndim
    pairs = draw.int(1, n)
    source = [k - n * draw.flag() for k in draw(st.permutations(range(n)))[:pairs]]
    target = [k - n * draw.flag() for k in draw(st.permutations(range(n)))[:pairs]]
    a, b = draw.axis(n), draw.axis(n)
    order = [k - n * draw.flag() for k in draw(st.permutations(range(n)))]
    return {
        "moveaxis": Call(
            lambda x: np.moveaxis(x, source, target), [x], lambda t, x: t.movedim(x, tuple(source), tuple(target))
        ),
        "moveaxis int": Call(lambda x: np.moveaxis(x, a, b), [x], lambda t, x: t.movedim(x, a, b)),
        "rollaxis": Call(lambda x: np.rollaxis(x, a, abs(b)), [x]),
        "swapaxes": Call(lambda x: np.swapaxes(x, a, b), [x], lambda t, x: t.swapaxes(x, a, b)),
        "transpose": Call(lambda x: np.transpose(x, order), [x], lambda t, x: t.permute(x, order)),
        "matrix_transpose": Call(lambda x: np.matrix_transpose(x), [x], lambda t, x: x.mT),
        "linalg.matrix_transpose": Call(lambda x: np.linalg.matrix_transpose(x), [x], lambda t, x: x.mT),
        "ravel": Call(lambda x: np.reshape(x, -1, order="F"), [x]),
        "reshape": Call(lambda x: np.reshape(x, x.shape[::-1], order="F"), [x]),
        "ravel method": Call(lambda x: x.ravel(order="F"), [x]),
    }[kind]


@rows("take", "take method", "take_along_axis", "compress", "extract")
def taken(draw: Draw, kind: Any) -> Call:
    x = draw.array(1, 3, 1)
    axis = draw.axis(x.ndim) if draw.int(0, 3) else None
    n = x.size if axis is None else x.shape[axis]
    index = draw.rng.integers(-n, n, draw.shape(0, 2))
    mode = draw.one("raise", "raise", "wrap", "clip")
    index = draw.rng.integers(-2 * n, 3 * n, 4) if mode != "raise" else index
    along = draw.rng.integers(-n, n, [1 if draw.flag() else m for m in x.shape])
    mask = draw.rng.random(n) < 0.5
    return {
        "take": Call(lambda x: np.take(x, index, axis, mode=mode), [x]),
        "take method": Call(lambda x: x.take(index, axis, mode=mode), [x]),
        "take_along_axis": Call(
            lambda x: np.take_along_axis(x, along if axis is not None else along.ravel(), axis), [x]
        ),
        "compress": Call(lambda x: np.compress(mask, x, axis), [x]),
        "extract": Call(lambda x: np.extract(x > 0, x), [x]),
    }[kind]


@row
def sorts(draw: Draw) -> Call:
    x = draw.array(1, 3)
    axis = draw.axis(x.ndim) if draw.int(0, 3) else None
    n = x.size if axis is None else x.shape[axis]
    if n and draw.flag():
        kth = draw.int(-n, n - 1)
        return Call(lambda x: np.partition(x, kth, axis), [x])
    return Call(
        lambda x: np.sort(x, axis),
        [x],
        lambda t, x: t.sort(x.reshape(-1) if axis is None else x, dim=0 if axis is None else axis)[0],
    )


# ------------------------------------------------------------------ putting together, taking apart


@rows("concatenate", "stack", "vstack", "hstack", "dstack", "column_stack", "append", "block")
def joined(draw: Draw, kind: Any) -> Call:
    name = kind
    shape = draw.shape(2 if name in ("concatenate", "append") else 0, 2)
    a, b = draw.values(shape), draw.values(shape)
    if name in ("concatenate", "append"):
        axis = draw.axis(2)
        b = np.concatenate([b, b], axis)
        if name == "append":
            axis = draw.one(axis, None)
            return Call(lambda a, b: np.append(a, b, axis), [a, b])
        return Call(lambda a, b: np.concatenate([a, b, a], axis), [a, b], lambda t, a, b: t.cat([a, b, a], axis))
    if name == "stack":
        axis = draw.axis(len(shape) + 1)
        return Call(lambda a, b: np.stack([a, b], axis), [a, b], lambda t, a, b: t.stack([a, b], axis))
    if name == "block":
        return Call(lambda a, b: np.block([[a, b], [b * 2, 3 * a]]), [a, b])
    f = getattr(np, name)
    return Call(
        lambda a, b: f([a, b * 2, np.ones_like(a)]),
        [a, b],
        lambda t, a, b: getattr(t, name)([a, b * 2, t.ones_like(a)]),
    )


@rows("split", "array_split", "hsplit", "vsplit", "dsplit", "unstack")
def apart(draw: Draw, kind: Any) -> Call:
    x = draw.array(3, 3)
    name = kind
    axis = {"hsplit": 1, "vsplit": 0, "dsplit": 2}.get(name, draw.axis(3))
    n = x.shape[axis]
    cuts = sorted(draw.int(0, n) for _ in range(draw.int(0, 2)))
    if name == "unstack":
        assume(n)
        return Call(
            lambda x: [p * p for p in np.unstack(x, axis=axis)], [x], lambda t, x: [p * p for p in t.unbind(x, axis)]
        )
    sections = draw.one(cuts, 1, 3) if name == "array_split" else draw.one(cuts, 1)
    f = getattr(np, name)
    if name.endswith("_split") or name == "split":
        return Call(lambda x: f(x, sections, axis), [x], lambda t, x: t.tensor_split(x, sections, axis))
    return Call(lambda x: f(x, sections)[::-1], [x], lambda t, x: t.tensor_split(x, sections, axis)[::-1])


@row
def broadcasts(draw: Draw) -> Call:
    a, b = draw.pair()
    return Call(lambda a, b: np.broadcast_arrays(a, b), [a, b], lambda t, a, b: t.broadcast_tensors(a, b))


@row
def meshgrid(draw: Draw) -> Call:
    xs = [draw.values((n,)) for n in draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))]
    options = {"indexing": draw.one("xy", "ij"), "sparse": draw.flag()}
    return Call(lambda *xs: np.meshgrid(*xs, **options), xs)


@rows("atleast_1d", "atleast_2d", "atleast_3d")
def at_least(draw: Draw, kind: Any) -> Call:
    name = kind
    f = getattr(np, name)
    if draw.flag():
        return Call(lambda x, y: f(x, y), [draw.array(), draw.array()], lambda t, x, y: getattr(t, name)(x, y))
    return Call(lambda x: f(x), [draw.array()], lambda t, x: getattr(t, name)(x))


# ------------------------------------------------------------------ products


@row
def outer(draw: Draw) -> Call:
    a, b = draw.array(0, 2), draw.values(draw.one((), (2,), (3,), (2, 2)))
    assume(a.size <= 12)
    return Call(lambda a, b: np.outer(a, b), [a, b], lambda t, a, b: t.outer(a.reshape(-1), b.reshape(-1)))


@row
def inner(draw: Draw) -> Call:
    n = draw.int(0, 3)
    a, b = draw.values((*draw.shape(0, 1), n)), draw.values((*draw.shape(0, 1), n))
    return Call(lambda a, b: np.inner(a, b), [a, b], lambda t, a, b: t.inner(a, b))


@rows(*range(10))
def dot(draw: Draw, kind: Any) -> Call:
    n = draw.int(0, 3)
    shapes: list[Any] = [((), (3,)), ((2, 2), ()), ((n,), (n,)), ((2, n), (n,)), ((n,), (n, 2)), ((2, n), (n, 3))]
    shapes += [((n,), (2, n, 2)), ((2, n), (2, n, 2)), ((2, 1, n), (n, 2)), ((3, n), (4, n, 2))]
    f = draw.one(np.dot, lambda a, b: a.dot(b) if isinstance(a, tg.Tensor) else np.dot(a, b))
    return Call(lambda a, b: f(a, b), [draw.values(shape) for shape in shapes[kind]])


@row
def vdot(draw: Draw) -> Call:
    shape = draw.shape()
    return Call(
        lambda a, b: np.vdot(a, b),
        [draw.values(shape), draw.values(shape)],
        lambda t, a, b: t.vdot(a.reshape(-1), b.reshape(-1)),
    )


@row
def tensordot(draw: Draw) -> Call:
    shape = draw.shape(2, 3, 1)
    n = len(shape)
    order = draw(st.permutations(range(n)))
    count = draw.int(0, n)
    over_a = [k - n * draw.flag() for k in order[:count]]
    other = draw(st.permutations(range(count + 1)))
    over_b = other[:count]
    sizes = {b: shape[a] for a, b in zip(over_a, over_b, strict=True)}
    b = draw.values(tuple(sizes.get(k, 2) for k in range(count + 1)))
    a = draw.values(shape)
    return Call(
        lambda a, b: np.tensordot(a, b, (over_a, over_b)),
        [a, b],
        lambda t, a, b: t.tensordot(a, b, (over_a, over_b)),
    )


@row
def tensordot_int(draw: Draw) -> Call:
    n = draw.int(0, 2)
    a, b = draw.values((2, 3)), draw.values((2, 3, 2)[2 - n if n < 2 else 0 :][: 3 - (n == 0)])
    b = draw.values({0: (2,), 1: (3, 2), 2: (2, 3, 2)}[n])
    return Call(lambda a, b: np.tensordot(a, b, n), [a, b], lambda t, a, b: t.tensordot(a, b, n))


@row
def kron(draw: Draw) -> Call:
    a, b = draw.array(0, 2), draw.values(draw.one((), (2,), (1, 3), (2, 2), (0,)))
    assume(a.size <= 6)
    return Call(lambda a, b: np.kron(a, b), [a, b], lambda t, a, b: t.kron(a, b))


@rows("axisc", "axisa", "linalg")
def cross(draw: Draw, kind: Any) -> Call:
    a, b = draw.values(draw.one((3,), (2, 3), (1, 3))), draw.values(draw.one((3,), (2, 3), (2, 1, 3)))
    c = draw.int(-1, 0)
    return {
        "axisc": Call(lambda a, b: np.cross(a, b, axisc=c), [a, b]),
        "axisa": Call(lambda a, b: np.cross(a.T, b, axisa=0), [a, b]),
        "linalg": Call(
            lambda a, b: np.linalg.cross(a, b), [a, b], lambda t, a, b: t.linalg.cross(*t.broadcast_tensors(a, b))
        ),
    }[kind]


@row
def convolve(draw: Draw) -> Call:
    a, b = draw.values((draw.int(1, 5),)), draw.values((draw.int(1, 5),))
    mode = draw.one("full", "same", "valid")
    return Call(lambda a, b: np.convolve(a, b, mode), [a, b])


@rows("multi_dot", "matmul", "tensordot", "outer", "vecdot", "einsum")
def more_products(draw: Draw, kind: Any) -> Call:
    a, b, c = draw.values((2, 3)), draw.values((3, 2)), draw.values((2, 2))
    v = draw.values((2, 3))
    return {
        "multi_dot": Call(
            lambda a, b, c: np.linalg.multi_dot([a, b, c]), [a, b, c], lambda t, a, b, c: t.linalg.multi_dot([a, b, c])
        ),
        "matmul": Call(lambda a, b: np.linalg.matmul(a, b), [a, b], lambda t, a, b: a @ b),
        "tensordot": Call(lambda a, b: np.linalg.tensordot(a, b, axes=((1,), (0,))), [a, b], lambda t, a, b: a @ b),
        "outer": Call(lambda a, b: np.linalg.outer(a[0], b[0]), [a, b], lambda t, a, b: t.outer(a[0], b[0])),
        "vecdot": Call(
            lambda a, v: np.linalg.vecdot(a, v, axis=0), [a, v], lambda t, a, v: t.linalg.vecdot(a, v, dim=0)
        ),
        "einsum": Call(lambda a, b: np.einsum("ij,jk->ki", a, b), [a, b], lambda t, a, b: t.einsum("ij,jk->ki", a, b)),
    }[kind]


# ------------------------------------------------------------------ np.linalg


def stacked(draw: Draw, rows: int, columns: int) -> np.ndarray:
    """A stack of matrices whose singular values are apart from each other and from 0."""
    x = draw.values((*draw.shape(0, 1), rows, columns), -1, 1)
    k = min(rows, columns)
    u, _, vh = np.linalg.svd(x, full_matrices=False)
    return (u * (np.arange(1, k + 1) + draw.values((k,), -0.3, 0.3))) @ vh if k and x.size else x


@rows("inv", "det", "slogdet", "matrix_power")
def square_matrices(draw: Draw, kind: Any) -> Call:
    n = draw.int(0, 3)
    x = stacked(draw, n, n)
    power = draw.int(-2, 4)
    return {
        "inv": Call(lambda x: np.linalg.inv(x), [x], lambda t, x: t.linalg.inv(x)),
        "det": Call(lambda x: np.linalg.det(x), [x], lambda t, x: t.linalg.det(x)),
        "slogdet": Call(lambda x: np.linalg.slogdet(x)[1], [x], lambda t, x: t.linalg.slogdet(x)[1]),
        "matrix_power": Call(
            lambda x: np.linalg.matrix_power(x, power), [x], lambda t, x: t.linalg.matrix_power(x, power)
        ),
    }[kind]


@rows("cholesky", "cholesky upper", "eigvalsh", "eigh", "eigh values")
def symmetric_matrices(draw: Draw, kind: Any) -> Call:
    n = draw.int(1, 3)
    x = stacked(draw, n, n)
    side = draw.one("L", "U")
    gram = lambda x: x @ x.swapaxes(-1, -2)  # noqa: E731
    return {
        "cholesky": Call(lambda x: np.linalg.cholesky(gram(x)), [x], lambda t, x: t.linalg.cholesky(gram(x))),
        "cholesky upper": Call(
            lambda x: np.linalg.cholesky(gram(x), upper=True), [x], lambda t, x: t.linalg.cholesky(gram(x), upper=True)
        ),
        "eigvalsh": Call(lambda x: np.linalg.eigvalsh(gram(x)), [x], lambda t, x: t.linalg.eigvalsh(gram(x))),
        "eigh": Call(lambda x: np.linalg.eigh(gram(x), side)[1] ** 2, [x], lambda t, x: t.linalg.eigh(gram(x))[1] ** 2),
        "eigh values": Call(lambda x: sum(p.sum() for p in np.linalg.eigh(gram(x))[:1]), [x]),
    }[kind]


@row
def solve(draw: Draw) -> Call:
    n = draw.int(1, 3)
    a = stacked(draw, n, n)
    b = draw.values(draw.one((n,), (n, 2), (*a.shape[:-2], n, 1), (2, *[1] * (a.ndim - 2), n, 1)))
    theirs = lambda t, a, b: t.linalg.solve(a, b) if b.ndim > 1 else (t.linalg.inv(a) @ b)  # noqa: E731
    return Call(lambda a, b: np.linalg.solve(a, b), [a, b], theirs)


@rows("svd", "svdvals", "svd thin", "pinv", "cond")
def rectangular_matrices(draw: Draw, kind: Any) -> Call:
    x = stacked(draw, draw.int(1, 3), draw.int(1, 3))
    p = draw.one(None, 2, -2)
    return {
        "svd": Call(lambda x: np.linalg.svd(x, compute_uv=False), [x], lambda t, x: t.linalg.svdvals(x)),
        "svdvals": Call(lambda x: np.linalg.svdvals(x), [x], lambda t, x: t.linalg.svdvals(x)),
        "svd thin": Call(lambda x: [y**2 for y in np.linalg.svd(x, full_matrices=False)], [x]),
        "pinv": Call(lambda x: np.linalg.pinv(x), [x], lambda t, x: t.linalg.pinv(x)),
        "cond": Call(lambda x: np.linalg.cond(x, p), [x]),
    }[kind]


@row
def vector_norms(draw: Draw) -> Call:
    x = draw.array(1, 3, 1)
    axis, keepdims = draw.axis(x.ndim), draw.flag()
    p = draw.one(None, 2, 1, 3, 2.5, 0.5, -1, np.inf, -np.inf, 0)
    theirs = lambda t, x: t.linalg.vector_norm(x, 2 if p is None else p, axis, keepdims)  # noqa: E731
    return draw.one(
        Call(lambda x: np.linalg.norm(x, p, axis, keepdims), [x], theirs if p != 0 else None),
        Call(lambda x: np.linalg.norm(x), [x], lambda t, x: t.linalg.norm(x)),
        Call(
            lambda x: np.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=2 if p is None else p),
            [x],
            theirs if p != 0 else None,
        ),
    )


@row
def matrix_norms(draw: Draw) -> Call:
    x = stacked(draw, draw.int(1, 3), draw.int(1, 3))
    keepdims, p = draw.flag(), draw.one(None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
    axes = draw.one((-2, -1), (-1, -2))
    theirs = lambda t, x: t.linalg.matrix_norm(x, "fro" if p is None else p, axes, keepdims)  # noqa: E731
    return draw.one(
        Call(lambda x: np.linalg.norm(x, p, axes, keepdims), [x], theirs),
        Call(lambda x: np.linalg.norm(x, p, axes, keepdims), [x], theirs),
        Call(lambda x: np.linalg.matrix_norm(x, keepdims=keepdims, ord=p or "fro"), [x]),
    )


# ------------------------------------------------------------------ the questions asked of every call


def parts(y: Any) -> list[Any]:
    return list(y) if isinstance(y, list | tuple) else [y]


def projected(ys: list[Any], seed: int, as_tensor: Callable[..., Any] = lambda a: a) -> Any:
    """A number in which every entry of every y has a weight of its own."""
    rng = np.random.default_rng(seed)
    weights = [rng.uniform(0.5, 1.5, tuple(y.shape)) for y in ys]
    return sum(
        (y * as_tensor(w.astype(str(y.dtype).removeprefix("torch.")))).sum() for y, w in zip(ys, weights, strict=True)
    )


def zeros_for(gradients: Any, xs: list[Any]) -> list[np.ndarray]:
    return [np.zeros(tuple(x.shape)) if g is None else g.data for g, x in zip(gradients, xs, strict=True)]


def derivatives(f: Callable[..., Any], xs: list[Any]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Gradients of a projection of f, and gradients of a projection of those."""
    y = projected(parts(f(*xs)), 1)
    first = tg.grad(y, xs, create_graph=True, allow_unused=True)
    again = projected([g for g in first if g is not None], 2)
    needed = isinstance(again, tg.Tensor) and again.requires_grad
    second = tg.grad(again, xs, allow_unused=True) if needed else [None] * len(xs)
    return zeros_for(first, xs), zeros_for(second, xs)


def their_derivatives(torch: Any, f: Callable[..., Any], operands: list[Any], xs: list[Any]) -> Any:
    """The same with PyTorch."""
    y = projected(parts(f(torch, *operands)), 1, torch.tensor)
    first = torch.autograd.grad(y, xs, create_graph=True, allow_unused=True)
    again = projected([g for g in first if g is not None], 2, torch.tensor)
    needed = not isinstance(again, int) and again.requires_grad
    second = torch.autograd.grad(again, xs, allow_unused=True) if needed else [None] * len(xs)
    return _forced(first, xs), _forced(second, xs)


def _forced(gradients: Any, xs: list[Any]) -> list[np.ndarray]:
    return [np.zeros(tuple(x.shape)) if g is None else g.numpy(force=True) for g, x in zip(gradients, xs, strict=True)]


def agree(actual: list[np.ndarray], expected: list[np.ndarray], tolerance: float) -> None:
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, np.abs(b).max(initial=0)))


@pytest.mark.oracle
@pytest.mark.parametrize("name", TABLE)
@settings(max_examples=int(os.environ.get("EXAMPLES", 12)))
@given(data=st.data())
def test_values_and_derivatives(torch: Any, name: str, data: st.DataObject) -> None:
    draw = Draw(data)
    call = TABLE[name](draw)
    tracked = [draw.int(0, 4) > 0 for _ in call.arrays]
    if not any(tracked):
        tracked[0] = True

    def f(*varied: Any) -> Any:
        """The call with some operands fixed as plain arrays."""
        it = iter(varied)
        return call.f(*[next(it) if t else a for t, a in zip(tracked, call.arrays, strict=True)])

    varied = [a for t, a in zip(tracked, call.arrays, strict=True) if t]
    expected = parts((call.reference or call.f)(*call.arrays))
    for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 2e-3)):
        xs = [tg.tensor(a, dtype, requires_grad=True) for a in varied]
        fixed = [a.astype(dtype) for a in call.arrays]
        it = iter(xs)
        mixed = [next(it) if t else a for t, a in zip(tracked, fixed, strict=True)]
        actual = parts(call.f(*mixed))
        if not call.reference:
            assert [y.dtype for y in actual] == [np.asarray(y).dtype for y in parts(call.f(*fixed))]
        agree([np.asarray(getattr(y, "array", y)) for y in actual], [np.asarray(y) for y in expected], tolerance)
        if dtype == np.float32:
            assert all(y.dtype == np.float32 for y in actual if isinstance(y, tg.Tensor))
        loss = projected(actual, 1)
        if not isinstance(loss, tg.Tensor) or not loss.requires_grad:
            continue  # all that is left is made of constants
        loss.backward()
        assert all(x.grad is None or x.grad.dtype == dtype for x in xs)
        if dtype == np.float64:
            first, second = derivatives(f, xs)
            agree(zeros_for_arrays(xs), first, 1e-12)  # rules on arrays and on Tensors
            if call.theirs is None:
                tg.gradcheck(
                    lambda *ts: [y for y in parts(f(*ts)) if isinstance(y, tg.Tensor)], xs, 2, rtol=1e-5, atol=1e-5
                )
            else:
                ts = [torch.tensor(a, requires_grad=True) for a in varied]
                it = iter(ts)
                torchs = [next(it) if t else torch.tensor(a) for t, a in zip(tracked, call.arrays, strict=True)]
                theirs_first, theirs_second = their_derivatives(torch, call.theirs, torchs, ts)
                agree(first, theirs_first, 1e-10)
                agree(second, theirs_second, 1e-9)


def zeros_for_arrays(xs: list[Any]) -> list[np.ndarray]:
    return [np.zeros(x.shape) if x.grad is None else x.grad for x in xs]


# ------------------------------------------------------------------ the conventions, in the order of docs/functions.md

INF, NAN = math.inf, math.nan
EYE, ONES = [[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]
STEPS = (np.sign, np.floor, np.ceil, np.trunc, np.rint, np.round)

CONVENTIONS: list[tuple[str, list[tuple[Any, list[Any], list[Any]]]]] = [
    ("`np.absolute`, `np.fabs` | at 0", [(f, [[0.0]], [[0.0]]) for f in (np.absolute, np.fabs, abs)]),
    (
        "`np.sign`, `np.floor`, `np.ceil`, `np.trunc`, `np.rint`, `np.round` | everywhere, also at a jump",
        [(f, [[0.0, 1.0, 0.5, -2.3]], [[0.0] * 4]) for f in STEPS],
    ),
    (
        "`np.remainder`, `np.fmod` | at a jump",
        [(f, [[4.0, -4.0], [2.0, 2.0]], [[1.0, 1.0], [-2.0, 2.0]]) for f in (np.remainder, np.fmod)],
    ),
    (
        "`np.copysign` | second argument",
        [(np.copysign, [[2.0, 0.0, 2.0], [-1.0, 1.0, -0.0]], [[-1.0, 0.0, -1.0], [0.0, 0.0, 0.0]])],
    ),
    (
        "`np.sqrt`, `np.cbrt`, `np.power` with an exponent between 0 and 1 | at 0",
        [(f, [[0.0]], [[INF]]) for f in (np.sqrt, np.cbrt, lambda x: x**0.5)],
    ),
    (
        "`np.power` | base 0, exponent 0",
        [(np.power, [[0.0], [0.0]], [[0.0], [0.0]]), (lambda x: x**0, [[0.0]], [[0.0]])],
    ),
    (
        "`np.power` | base 0, exponent 2",
        [(np.power, [[0.0], [2.0]], [[0.0], [0.0]]), (lambda x: x**1, [[0.0]], [[1.0]])],
    ),
    ("`np.hypot`, `np.arctan2` | at the origin", [(f, [[0.0], [0.0]], [[0.0], [0.0]]) for f in (np.hypot, np.arctan2)]),
    ("`tg.relu` | at 0", [(tg.relu, [[0.0]], [[0.0]])]),
    ("`tg.leaky_relu` | at 0", [(lambda x: tg.leaky_relu(x, 0.3), [[0.0]], [[0.3]])]),
    ("`tg.elu` | at 0", [(lambda x: tg.elu(x, 0.3), [[0.0]], [[0.3]])]),
    (
        "`np.maximum`, `np.minimum`, `np.fmax`, `np.fmin` | equal arguments",
        [(f, [[1.0], [1.0]], [[0.5], [0.5]]) for f in (np.maximum, np.minimum, np.fmax, np.fmin)],
    ),
    (
        "`np.fmax`, `np.fmin` | one is nan",
        [(f, [[NAN, 1.0], [1.0, NAN]], [[0.0, 1.0], [1.0, 0.0]]) for f in (np.fmax, np.fmin)],
    ),
    ("`np.clip` | at a bound", [(lambda x: np.clip(x, -1, 1), [[-1.0, 1.0, 2.0]], [[0.5, 0.5, 0.0]])]),
    (
        "`np.max`, `np.min`, `np.linalg.norm` with inf | equal extremes",
        [
            (np.max, [[1.0, 1.0, 0.0]], [[0.5, 0.5, 0.0]]),
            (np.min, [[1.0, 0.0, 0.0]], [[0.0, 0.5, 0.5]]),
            (lambda x: np.max(x, initial=1), [[1.0, 1.0, 0.0]], [[1 / 3, 1 / 3, 0.0]]),
            (lambda x: np.min(x, initial=-1), [[1.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]),
            (lambda x: np.linalg.norm(x, np.inf), [[-2.0, 2.0, 0.0]], [[-0.5, 0.5, 0.0]]),
        ],
    ),
    (
        "`np.sort`, `np.partition`, `np.median` | equal entries",
        [
            (lambda x: np.sort(x)[0], [[2.0, 1.0, 1.0]], [[0.0, 1.0, 0.0]]),
            (lambda x: np.sort(x)[1], [[2.0, 1.0, 1.0]], [[0.0, 0.0, 1.0]]),
            (lambda x: np.partition(x, 0) * [1.0, 1.0], [[1.0, 1.0]], [[1.0, 1.0]]),
            (np.median, [[1.0, 1.0, 1.0]], [[0.0, 1.0, 0.0]]),
        ],
    ),
    (
        "`np.linalg.norm`, `np.std` | at 0",
        [(lambda x, p=p: np.linalg.norm(x, p), [[0.0, 0.0]], [[0.0, 0.0]]) for p in (None, 1, 2, 3, 0.5, np.inf)]
        + [(np.std, [[1.0, 1.0]], [[0.0, 0.0]]), (np.linalg.norm, [[[0.0]]], [[[0.0]]])],
    ),
    (
        "`np.linalg.norm` of an order below 1 | an entry of 0",
        [(lambda x: np.linalg.norm(x, 0.5), [[0.0, 2.0]], [[0.0, 1.0]])],
    ),
    (
        "`np.prod`, `np.cumprod` | zeros among the entries",
        [
            (np.prod, [[0.0, 2.0, 3.0]], [[6.0, 0.0, 0.0]]),
            (np.prod, [[0.0, 2.0, 0.0]], [[0.0, 0.0, 0.0]]),
            (lambda x: np.cumprod(x)[1:], [[2.0, 0.0, 3.0]], [[0.0, 8.0, 0.0]]),
        ],
    ),
    (
        "`np.nansum`, `np.nanmean`, `np.nan_to_num` | what is left out or replaced",
        [
            (np.nansum, [[NAN, 1.0]], [[0.0, 1.0]]),
            (np.nanmean, [[NAN, 1.0, 2.0]], [[0.0, 0.5, 0.5]]),
            (np.nan_to_num, [[NAN, 1.0, INF, -INF]], [[0.0, 1.0, 0.0, 0.0]]),
        ],
    ),
    ("`np.logaddexp` | both -inf", [(np.logaddexp, [[-INF, 1.0], [-INF, -INF]], [[0.5, 1.0], [0.5, 0.0]])]),
    ("`tg.logsumexp` | all -inf", [(tg.logsumexp, [[-INF, -INF]], [[0.0, 0.0]])]),
    (
        "`np.linalg.cholesky`, `np.linalg.eigh` | X is symmetric",
        [
            (lambda x: np.linalg.cholesky(x)[1, 0], [EYE], [[[0.0, 0.5], [0.5, 0.0]]]),
            (lambda x: np.linalg.eigh(x)[0][1], [[[0.0, 1.0], [1.0, 0.0]]], [[[0.5, 0.5], [0.5, 0.5]]]),
            (lambda x: np.linalg.eigh(x, "U")[0][1], [[[0.0, 1.0], [9.0, 0.0]]], [[[0.5, 0.5], [0.5, 0.5]]]),
        ],
    ),
    (
        "`np.linalg.norm` with nuc, `np.linalg.svd` without U and V | a singular value of 0",
        [
            (lambda x: np.linalg.norm(x, "nuc"), [[[1.0, 0.0], [0.0, 0.0]]], [EYE]),
            (lambda x: np.linalg.svd(x, compute_uv=False), [[[1.0, 0.0], [0.0, 0.0]]], [EYE]),
        ],
    ),
    (
        "`np.linalg.eigh`, `np.linalg.svd` | equal eigenvalues or singular values",
        [
            (np.linalg.eigvalsh, [EYE], [EYE]),
            (lambda x: np.linalg.eigh(x)[0], [EYE], [EYE]),
            (lambda x: np.linalg.svd(x)[1], [EYE], [EYE]),
        ],
    ),
    ("`np.linalg.det` | a matrix without an inverse", [(np.linalg.det, [ONES], [np.linalg.LinAlgError])]),
]


@pytest.mark.parametrize(("words", "cases"), CONVENTIONS, ids=[words for words, _ in CONVENTIONS])
def test_a_convention_holds(words: str, cases: list[tuple[Any, list[Any], list[Any]]]) -> None:
    for f, arrays, expected in cases:
        for dtype in (np.float64, np.float32):
            xs = [tg.tensor(a, dtype, requires_grad=True) for a in arrays]
            with np.errstate(divide="ignore"):
                y = f(*xs)
                if expected == [np.linalg.LinAlgError]:
                    with pytest.raises(np.linalg.LinAlgError):
                        y.backward()
                    continue
                y.sum().backward()
            for x, g in zip(xs, expected, strict=True):
                np.testing.assert_allclose(x.grad, g, rtol=1e-6, atol=1e-7)


DOCS = (Path(__file__).parents[1] / "docs" / "functions.md").read_text("utf-8")


def test_the_table_of_conventions_is_the_one_that_is_tested() -> None:
    rows = [
        line.strip("|").split("|") for line in DOCS.partition("## Conventions")[2].splitlines() if line.startswith("|")
    ]
    assert [f"{function.strip()} | {where.strip()}" for function, where, _ in rows[2:]] == [
        words for words, _ in CONVENTIONS
    ]


def test_the_list_of_functions_is_complete() -> None:
    listed = set(re.findall(r"`(np[.\w]+)`", DOCS.partition("NumPy lacks")[0]))
    assert {eval(name, {"np": np}) for name in listed} == set(ops.UFUNCS) | set(ops.FUNCTIONS)


# ------------------------------------------------------------------ large numbers


@pytest.mark.parametrize(
    ("f", "arrays", "value", "gradients"),
    [
        (np.hypot, [3e200, 4e200], 5e200, [0.6, 0.8]),
        (np.remainder, [1.0, 0.1], 1.0 % 0.1, [1.0, -9.0]),  # in floating point 1 / 0.1 is 10, but 0.1 is above 1/10
        (np.fmod, [2.2, 0.7], math.fmod(2.2, 0.7), [1.0, -3.0]),  # (a - y) / b is 3 but for a last digit
        (np.arctan2, [3e200, 4e200], math.atan2(3, 4), [1.6e-201, -1.2e-201]),
        (lambda x: np.linalg.norm(x * [3.0, 4.0]), [1e200], 5e200, [5.0]),
        (lambda x: np.linalg.norm(x * [3.0, 4.0], 3), [1e200], 91 ** (1 / 3) * 1e200, [91 ** (1 / 3)]),
        (np.arctan, [1e200], math.pi / 2, [0.0]),
        (np.arcsinh, [1e200], math.asinh(1e200), [1e-200]),
        (np.arccosh, [1e200], math.acosh(1e200), [1e-200]),
        (np.expm1, [-40.0], -1.0, [math.exp(-40)]),
        (np.log1p, [1e-20], 1e-20, [1.0]),
        (np.logaddexp, [1e4, -1e4], 1e4, [1.0, 0.0]),
        (np.logaddexp2, [1e4, 1e4], 1e4 + 1, [0.5, 0.5]),
        (tg.sigmoid, [-1e4], 0.0, [0.0]),
        (tg.softplus, [1e4], 1e4, [1.0]),
        (tg.elu, [1e4], 1e4, [1.0]),
        (tg.elu, [-1e4], -1.0, [0.0]),
        (tg.elu, [-INF], -1.0, [0.0]),
        (tg.gelu, [1e4], 1e4, [1.0]),
        (tg.gelu, [-10.0], -10 * math.erfc(10 / math.sqrt(2)) / 2, [-7.618400096464813e-22]),
        (lambda x: tg.gelu(x, "tanh"), [-1e4], 0.0, [0.0]),
        (np.sinc, [1e-8], 1.0, [-(math.pi**2) / 3 * 1e-8]),
        (np.sinc, [0.1 - 1e-12], None, [-0.3257512678831]),
        (np.sinc, [0.1 + 1e-12], None, [-0.3257512678897]),
    ],
)
def test_large_and_small_arguments(f: Any, arrays: list[float], value: float | None, gradients: list[float]) -> None:
    xs = [tg.tensor(a, requires_grad=True) for a in arrays]
    y = f(*xs)
    first = tg.grad(y, xs, create_graph=True)
    if value is not None:
        np.testing.assert_allclose(y.data, value, rtol=1e-12)
    np.testing.assert_allclose([g.data for g in first], gradients, rtol=1e-9)


# ------------------------------------------------------------------ calls as people write them

CALLS = """
np.hypot(x, 1.0)
np.arctan2(x, 1)
np.logaddexp(x, 0)
np.logaddexp(0.5, x)
np.clip(x, 1.5, None)
np.clip(x, a_min=1.5, a_max=3)
2.0 ** x
x % 2.5
7.5 % x
x // 2
np.where(x > 2, x, 0.5)
np.select([x > 4, x > 2], [x * 2, x], default=1.0)
np.append(x, np.ones(2, x.dtype))
np.hstack([x, np.ones((2, 1), x.dtype)])
np.vstack([np.ones(3, x.dtype), x])
np.vstack(x)
np.column_stack([x[0], x[1], [1, 2, 3]])
np.outer(x, [1, 2])
np.outer([1, 2], x)
np.inner(x, [1, 2, 3])
np.dot(x, [1, 2, 3])
np.dot([1, 2], x)
np.tensordot(x, x.T, 1)
np.kron(x, [1, 2])
np.kron(np.eye(2, dtype=x.dtype), x)
np.vdot(x, x)
np.mean(x, axis=(0,))
np.sum(x, (0, 1), keepdims=True)
np.std(x, 0, ddof=1)
np.var(x, 1, None, None, 1, True)
np.var(x, 1, correction=1)
np.median(x, axis=1)
np.average(x, axis=1, weights=[1, 2, 3])
np.average(x, axis=(0, 1), weights=np.ones((2, 3), x.dtype))
np.average(np.moveaxis(x[None], 0, -1), axis=(1, 0), weights=np.ones((3, 2), x.dtype))
np.prod(x, axis=1)
np.nan_to_num(x, nan=1.0, posinf=3.0)
np.ptp(x, 0)
np.trapezoid(x)
np.trapezoid(x, dx=0.5, axis=0)
np.trapezoid(x, x * x, axis=0)
np.linalg.norm(x)
np.linalg.norm(x, 1)
np.linalg.norm(x, 2)
np.linalg.norm(x, -2)
np.linalg.norm(x, "nuc")
np.linalg.norm(x, -np.inf)
np.select([x > 4, x > 2], [x * 2, x])
np.round(x, 1)
x.round(1)
np.fix(x)
np.sinc(x)
np.split(x, [1], 1)
np.hsplit(x, 3)
np.hsplit(x[0], 3)
np.broadcast_arrays(x, x[0])
np.meshgrid(x[0], x[1])
np.atleast_3d(x)
np.pad(x, (1, 2), constant_values=(3, 4))
np.pad(x, ((0, 1), (2, 0)), mode="wrap")
np.take(x, 2)
np.take(a=x, indices=[0, 1], axis=-1)
np.repeat(a=x, repeats=2, axis=0)
np.tile(A=x, reps=2)
np.flip(m=x, axis=(0, 1))
np.sort(x, kind="mergesort", axis=0)
np.partition(x, (0, 1), axis=1)
np.diag(v=x, k=1)
np.trace(x, axis1=1, axis2=0)
np.linalg.pinv(x)
np.linalg.svd(x, compute_uv=False)
np.convolve(x[0], [1, 2], "same")
np.convolve(np.ones(5, x.dtype), x[0])
np.linalg.multi_dot([x, x.T, x])
np.array([1, 2], x.dtype) @ x
np.block([x, np.ones((2, 1), x.dtype)])
np.block(x)
np.block([[x[0], x[1]], [x[1], x[0]]])
np.cross(x[0], x[1])
np.cross(x, [1, 2, 3])
np.linalg.cross(x.T, x.T[:, ::-1], axis=0)
x.cumsum(axis=1)
x.max(axis=0, initial=4, where=x > 2)
np.min(x, initial=10, where=[True, False, True])
np.mean(x, where=x > 2)
np.var(x, axis=1, where=x != 2)
np.nanstd(x)
np.reshape(x, (3, -1), order="F")
np.reshape(x, 6, order="F")
np.roll(x, 1)
np.compress([True, False], x, axis=0)
np.linalg.cond(x)
np.copy(x)
np.real(x)
np.conj(x)
np.degrees(x)
np.atleast_1d(x[0, 0], 2.0)[0:1]
np.moveaxis(x, [0, 1], [1, 0])
np.nanmax(x, axis=1)
np.fabs(x)
np.expand_dims(x, (0, 2))
np.sum(x, dtype=np.float64)
""".strip().splitlines()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("call", CALLS)
def test_calls_as_people_write_them(call: str, dtype: Any) -> None:
    """Lists, numbers and arrays on either side, keywords by name: value and dtype are NumPy's."""
    a = np.array([[1, 2, 4], [3, 5, 7]], dtype)
    x = tg.tensor(a, requires_grad=dtype != np.int64)
    actual, expected = parts(eval(call, {"np": np, "x": x})), parts(eval(call, {"np": np, "x": a}))
    for y, e in zip(actual, expected, strict=True):
        assert type(y) is tg.Tensor
        assert y.shape == np.shape(e)
        if dtype != np.int64:  # of integers NumPy and we choose differently in a few places
            assert y.dtype == np.asarray(e).dtype
        np.testing.assert_allclose(y.data, e, rtol=1e-5 if dtype == np.float32 else 1e-12)
    if dtype != np.int64:
        assert tg.grad(projected(actual, 1), x).dtype == dtype


# ------------------------------------------------------------------ what is refused, and what is plain

T = tg.tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (NotDifferentiableError, "np.fft.fft ", lambda: np.fft.fft(T)),
        (NotDifferentiableError, "np.apply_along_axis ", lambda: np.apply_along_axis(np.sum, 0, T)),
        (NotDifferentiableError, "np.linalg.eig ", lambda: np.linalg.eig(T)),
        (NotDifferentiableError, "np.interp ", lambda: np.interp(T, [0, 1], [0, 1])),
        (NotDifferentiableError, "np.linalg.qr ", lambda: np.linalg.qr(T)),
        (NotDifferentiableError, "np.percentile ", lambda: np.percentile(T, 50)),
        (NotDifferentiableError, "np.fill_diagonal ", lambda: np.fill_diagonal(T, 0)),
        (NotDifferentiableError, "np.copyto ", lambda: np.copyto(np.ones((2, 2)), T)),
        (NotDifferentiableError, "np.put_along_axis ", lambda: np.put_along_axis(T, np.zeros((1, 2), int), 0, 0)),
        (NotDifferentiableError, "np.cumsum with out=", lambda: np.cumsum(T, out=np.ones(4))),
        (NotDifferentiableError, "out= would lose", lambda: np.prod(T, 0, None, np.ones(2))),
        (NotDifferentiableError, "out= would lose", lambda: np.take(T, 0, 0, np.ones(2))),
        (NotDifferentiableError, "np.exp with where", lambda: np.exp(T, where=np.ones((2, 2), bool))),
        (NotDifferentiableError, "np.add.reduce ", lambda: np.add.reduce(T)),
        (NotDifferentiableError, "written into", lambda: T.__setitem__(0, 1)),
        (NotDifferentiableError, "mode='mean'", lambda: np.pad(T, 1, "mean")),
        (NotDifferentiableError, "reflect_type", lambda: np.pad(T, 1, "reflect", reflect_type="odd")),
        (NotDifferentiableError, "constant_values", lambda: np.pad(T, 1, constant_values=T[0, 0])),
        (NotDifferentiableError, "full_matrices", lambda: np.linalg.svd(T[:1])),
        (NotDifferentiableError, "order='A'", lambda: np.ravel(T, order="A")),
        (NotDifferentiableError, "initial=", lambda: np.max(T, initial=T[0, 0])),
        (TypeError, "'nonsense'", lambda: np.flip(T, nonsense=1)),
        (DtypeError, "int", lambda: np.sum(T, dtype=int)),
        (DtypeError, "int", lambda: np.cumsum(T, dtype=np.int32)),
        (ValueError, "initial", lambda: np.max(T, where=[True, False])),
        (ValueError, "ord must be", lambda: np.linalg.norm(T, axis=(0, 1), ord=7)),
        (ValueError, "one axis", lambda: np.linalg.norm(T[None], 2)),
        (ValueError, "number", lambda: np.linalg.norm(T, "fro", axis=0)),
        (ValueError, "approximate", lambda: tg.gelu(T, "erf")),
        (ValueError, "3 components", lambda: np.cross(T, T)),
        (ValueError, "differ in size", lambda: np.tensordot(T, np.ones(3), 1)),
        (ValueError, "n must be", lambda: np.diff(T, -1)),
        (ValueError, "weights", lambda: np.average(T, weights=[1, 2])),
        (ZeroDivisionError, "add up to 0", lambda: np.average(T, axis=0, weights=[1, -1])),
        (ValueError, "two axes", lambda: np.vsplit(T[0], 2)),
        (ValueError, "three axes", lambda: np.dsplit(T, 2)),
        (ValueError, "one axis", lambda: np.hsplit(T[0, 0], 2)),
        (ValueError, "indexing", lambda: np.meshgrid(T[0], indexing="yx")),
        (ValueError, "nested", lambda: np.block([[T], T])),
        (ValueError, "2 axes", lambda: np.take_along_axis(T, np.array([0]), 0)),
        (ValueError, "mode", lambda: np.convolve(T[0], T[1], "other")),
        (ValueError, "vectors", lambda: np.convolve(T, T)),
        (ValueError, "two vectors", lambda: np.linalg.outer(T, T)),
        (ValueError, "at least two arrays", lambda: np.linalg.multi_dot([T])),
        (ValueError, "two axes", lambda: np.matrix_transpose(T[0])),
        (np.exceptions.AxisError, "axis 2", lambda: np.prod(T, axis=2)),
        (np.exceptions.AxisError, "axis 2", lambda: np.median(T, axis=(0, 2))),
        (np.exceptions.AxisError, "axis -3", lambda: np.cumprod(T, axis=-3)),
        (np.exceptions.AxisError, "axis 2", lambda: np.sort(T, axis=2)),
        (np.exceptions.AxisError, "axis 2", lambda: np.take(T, 0, axis=2)),
        (np.exceptions.AxisError, "axis 2", lambda: np.diff(T, axis=2)),
        (np.exceptions.AxisError, "axis 2", lambda: np.repeat(T, 2, axis=2)),
        (ValueError, "repeated axis", lambda: np.prod(T, axis=(0, -2))),
    ],
)
def test_what_is_refused(error: type[Exception], words: str, call: Callable[[], Any]) -> None:
    with pytest.raises(error, match=re.escape(words)):
        call()
    assert T.grad is None


def test_questions_are_answered_with_plain_arrays() -> None:
    for f in (np.isfinite, np.isnan, np.isposinf, np.isreal, np.signbit, np.argsort, np.argwhere, np.flatnonzero):
        assert type(f(T)) is np.ndarray
        np.testing.assert_array_equal(f(T), f(T.data))
    assert T.argsort().tolist() == [[0, 1], [0, 1]]
    assert T.all() and T.any() and len(T.nonzero()) == 2
    assert np.nanargmax(T) == 3 and np.linalg.matrix_rank(T) == 2
    assert np.digitize(T, [2, 4]).tolist() == [[0, 1], [1, 2]]
    assert type(np.imag(T)) is np.ndarray and not np.imag(T).any()


def test_of_two_nans_fmax_and_fmin_take_the_first() -> None:
    for f in (np.fmax, np.fmin):
        a, b = (tg.tensor(math.nan, requires_grad=True) for _ in range(2))
        f(a, b).backward()
        assert (a.grad.item(), b.grad.item()) == (1, 0)


def test_a_gradient_of_zero_that_changes_is_not_left_out() -> None:
    """At the smallest value of a loss of eigenvectors their gradient is 0, and its derivative is not."""
    a = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 0.5]])
    v = np.linalg.eigh(a)[1]
    u, _, vh = np.linalg.svd(a)
    x = tg.tensor(a, requires_grad=True)
    for f in (
        lambda x: (np.linalg.eigh((x + x.T) / 2)[1] ** 2 - v**2) ** 2,
        lambda x: (np.linalg.svd(x)[0] ** 2 - u**2) ** 2,
        lambda x: (np.linalg.svd(x)[2] ** 2 - vh**2) ** 2,
    ):
        first = tg.grad(f(x).sum(), x, create_graph=True)
        assert np.abs(first.data).max() < 1e-12
        assert np.abs(tg.grad((first * np.diag([1.0, 2.0, 4.0])).sum(), x).data).max() > 1e-2
        tg.gradcheck(f, x, order=2, rtol=1e-5, atol=1e-5)


def test_names_on_the_tape_are_the_functions_names() -> None:
    x = tg.tensor(np.ones((2, 2)), requires_grad=True)
    for f in (np.flip, lambda x: np.repeat(x, 2), np.tril, lambda x: np.tile(x, 2), np.cumsum, np.linalg.inv):
        y = f(x + np.eye(2))
        names = [record.op.name for record in tg.tape(y)]
        assert names[-1] in {"flip", "repeat", "tril", "tile", "cumsum", "inv"}
    assert isinstance(x.sort().op, ops.indexing.GetItem)


def test_dtype_and_keywords_of_reductions() -> None:
    x = tg.tensor(np.ones((2, 3), np.float32), requires_grad=True)
    for f in (np.sum, np.mean, np.prod, np.var, np.std, np.cumsum, np.cumprod, np.nansum, np.trace):
        y = f(x, dtype=np.float64)
        assert y.dtype == np.float64
        tg.grad(y.sum(), x)
    assert np.sum(x, initial=tg.tensor(2.0)).item() == 8
    assert np.prod(x, initial=3, dtype=float).item() == 3
    assert np.max(tg.tensor(np.ones((0, 2)), requires_grad=True), axis=0, initial=-1.0).data.tolist() == [-1, -1]
    assert np.var(x, correction=1).item() == 0
    with pytest.warns(RuntimeWarning):
        assert np.isnan(np.var(x[0, :1], ddof=1).item())
        assert np.isnan(np.median(x[:0]).item())
    assert np.isnan(np.nanmax(x * np.nan).item())
    assert np.isnan(np.median(np.where([[True], [False]], x, np.nan), axis=1).data).tolist() == [False, True]


def test_what_is_infinite_nan_or_empty_comes_out_as_numpys() -> None:
    for order in (None, 2, 3, 0.5, np.inf):
        assert np.linalg.norm(tg.tensor([math.inf, 1.0]), order).item() == math.inf
        assert np.linalg.norm(tg.tensor([]), order).item() == 0
    assert np.isnan(np.median(tg.tensor([1.0, math.nan, 3.0])).item())
    assert np.nan_to_num(tg.tensor([math.inf, -math.inf]), posinf=3.0, neginf=-4.0).data.tolist() == [3, -4]
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert np.var(tg.tensor([1.0, 2.0]), ddof=3).item() == math.inf
    average, total = np.average(tg.tensor(np.ones((3, 0))), axis=0, returned=True)
    assert average.shape == total.shape == (0,)


def test_a_number_does_not_change_the_dtype() -> None:
    x = tg.tensor([1.0, 3.0], np.float32)
    y = np.diff(x, prepend=0.5, append=4)
    assert y.dtype == np.float32
    assert y.data.tolist() == [0.5, 2, 1]
    assert np.diff(tg.tensor([1, 3]), prepend=0.5).data.tolist() == [0.5, 2]  # nor is the number cut to the dtype
    whole = np.max(tg.tensor([1, 3]), initial=0, where=[True, False])
    assert whole.dtype.kind == "i"
    assert whole.item() == 1


def test_equal_entries_are_sorted_in_their_old_order() -> None:
    x = tg.tensor(np.tile([1.0, 0.0], 50), requires_grad=True)
    (np.sort(x) * np.arange(100)).sum().backward()
    assert x.grad.tolist() == np.stack([np.arange(50, 100), np.arange(50)], 1).ravel().tolist()


def test_a_symmetric_matrix_is_read_and_differentiated_as_one() -> None:
    x = tg.tensor([[2.0, 0.3], [0.3, 1.0]], requires_grad=True)
    g = tg.grad((np.linalg.eigh(x)[1] * [[1.0, 2.0], [3.0, 5.0]]).sum(), x).data
    assert g[0, 1] == pytest.approx(g[1, 0], rel=1e-12)
    halves = tg.tensor([[4.0, 2.0], [99.0, 5.0]])
    assert np.linalg.cholesky(halves, upper=True).data.tolist() == [[2, 1], [0, 2]]
    assert np.linalg.cholesky(halves.T).data.tolist() == [[2, 0], [1, 2]]


def test_counts_may_stand_in_a_tensor() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    for y in (np.repeat(x, tg.tensor([1, 2])), np.repeat(x, repeats=tg.tensor([1, 2]))):
        assert y.data.tolist() == [1, 2, 2]
        assert tg.grad(y.sum(), x).data.tolist() == [1, 2]


def test_repeat_and_tile_of_the_issue() -> None:
    x = tg.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    (np.repeat(x, 2, axis=-1) * np.arange(12).reshape(2, 6)).sum().backward()
    assert x.grad.tolist() == [[1, 5, 9], [13, 17, 21]]
    x.grad = None
    (np.tile(x, (2,)) * np.arange(12).reshape(2, 6)).sum().backward()
    assert x.grad.tolist() == [[3, 5, 7], [15, 17, 19]]


def test_diff_of_integers_takes_ends_that_are_none() -> None:
    np.testing.assert_array_equal(np.diff(tg.tensor([1, 2]), prepend=0.5).data, [0.5, 1.0])


def test_arcsin_keeps_the_digits_of_its_slope_near_one() -> None:
    x = tg.tensor(1 - 2.0**-40, requires_grad=True)
    np.arcsin(x).backward()
    np.testing.assert_allclose(x.grad, 1 / np.sqrt(2.0**-40 * (2 - 2.0**-40)), rtol=1e-14)


def test_average_without_weights_returns_how_many_it_averaged() -> None:
    _, total = np.average(tg.tensor(np.ones((2, 3))), axis=1, returned=True)
    np.testing.assert_array_equal(np.asarray(getattr(total, "data", total)), [3.0, 3.0])


@pytest.mark.parametrize("n", [-3, -2, -1, 0, 1, 5])
def test_matrix_power_of_every_sign(n: int) -> None:
    x = tg.tensor([[[2.0, 0.3], [-0.4, 1.5]], [[1.0, 0.2], [0.1, -2.0]]], requires_grad=True)
    np.testing.assert_allclose(np.linalg.matrix_power(x, n).data, np.linalg.matrix_power(x.data, n), rtol=1e-12)
    assert tg.gradcheck(lambda x: np.linalg.matrix_power(x, n) + 0 * x, x, order=2)
