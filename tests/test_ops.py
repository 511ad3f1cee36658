"""Every op: its value, its rule to second order, its dtype, and what it does at the edges.

The table CASES lists calls as a user writes them, with NumPy's functions, operators and methods. Each is held against
NumPy (the value), central differences (first and second order), PyTorch (value, first and second order) and itself
(rules run on arrays and on Tensors; float32).
"""

import re
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from expressions import KINKED, OURS, Program, programs, theirs
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn.errors import ShapeError


class Case(NamedTuple):
    """A call, the arrays it is made with, the same call in NumPy (where f is not NumPy's own) and in PyTorch."""

    name: str
    f: Callable[..., Any]
    arrays: list[np.ndarray]
    numpy: Callable[..., Any] | None
    torch: Callable[..., Any] | None


def values(name: str, shapes: list[tuple[int, ...]], positive: bool = False) -> list[np.ndarray]:
    """Numbers between 0.4 and 2, of either sign unless `positive`: far from the kinks at 0, and no two alike."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    signs = [1] if positive else [-1, 1]
    return [rng.uniform(0.4, 2, shape) * rng.choice(signs, shape) for shape in shapes]


CASES: list[Case] = []


def case(
    name: str,
    f: Callable[..., Any],
    *shapes: tuple[int, ...],
    torch: Any = "same",
    numpy: Any = None,
    positive: bool = False,
) -> None:
    """One line of the table. torch="same": f itself runs on PyTorch's tensors; None: PyTorch has no such thing."""
    name = f"{name} {'x'.join(str(shape).replace(' ', '') for shape in shapes)}"
    CASES.append(Case(name, f, values(name, list(shapes), positive), numpy, f if torch == "same" else torch))


def library(name: str) -> Callable[..., Any]:
    """A function of PyTorch by name, imported only when it is called."""

    def call(*args: Any, **kwargs: Any) -> Any:
        import torch

        return getattr(torch, name)(*args, **kwargs)

    return call


def flat_axes(f: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction of PyTorch that wants its axes spelled out, called with axis=None."""
    return lambda x, **kwargs: f(x, dim=tuple(range(x.ndim)), **kwargs)


# ------------------------------------------------------------------ elementwise

UNARY: list[tuple[str, Any, str | None, Any]] = [
    ("negative", np.negative, "neg", None),
    ("square", np.square, "square", None),
    ("abs", np.abs, "abs", None),
    ("sign", np.sign, "sign", None),
    ("exp", np.exp, "exp", None),
    ("log", np.log, "log", None),
    ("sqrt", np.sqrt, "sqrt", None),
    ("sin", np.sin, "sin", None),
    ("cos", np.cos, "cos", None),
    ("tanh", np.tanh, "tanh", None),
    ("sigmoid", tg.sigmoid, "sigmoid", lambda x: 1 / (1 + np.exp(-x))),
    ("softplus", tg.softplus, None, lambda x: np.log(1 + np.exp(x))),
    ("relu", tg.relu, "relu", lambda x: x * (x > 0)),
]
for unary, f, theirs_, reference in UNARY:
    for shape in [(), (1,), (3,), (2, 3), (0,), (2, 0)]:
        positive = unary in ("log", "sqrt")
        case(unary, f, shape, torch=library(theirs_) if theirs_ else None, numpy=reference, positive=positive)

REFERENCES = {name: reference or f for name, f, _, reference in UNARY}
for method in ("abs", "exp", "log", "sqrt", "tanh", "sigmoid", "relu"):
    positive = method in ("log", "sqrt")
    case(f".{method}()", lambda x, m=method: getattr(x, m)(), (2, 3), numpy=REFERENCES[method], positive=positive)
case("-x", lambda x: -x, (3,))
case("+x", lambda x: +x, (3,))
case("abs(x)", abs, (3,))

PAIRS = [((), ()), ((3,), ()), ((), (3,)), ((1,), (1,)), ((2, 3), (3,)), ((2, 3), (2, 1)), ((2, 1), (1, 3))]
PAIRS += [((4, 1, 3), (2, 1)), ((0,), (1,)), ((2, 0), (1,)), ((1, 1), (0, 3))]
for a, b in PAIRS:
    case("add", np.add, a, b, torch=lambda x, y: x + y)
    case("subtract", np.subtract, a, b, torch=lambda x, y: x - y)
    case("multiply", np.multiply, a, b, torch=lambda x, y: x * y)
    case("divide", np.divide, a, b, torch=lambda x, y: x / y)
    case("power", np.power, a, b, torch=lambda x, y: x**y, positive=True)
    case("maximum", np.maximum, a, b, torch=library("maximum"))
    case("minimum", np.minimum, a, b, torch=library("minimum"))
case("+", lambda x, y: x + y, (2, 3), (3,))
case("-", lambda x, y: x - y, (2, 3), (3,))
case("*", lambda x, y: x * y, (2, 3), (3,))
case("/", lambda x, y: x / y, (2, 3), (3,))
case("**", lambda x, y: x**y, (2, 3), (3,), positive=True)
for exponent in (3, 2, 1, 0, -1, 2.0):
    case(f"x ** {exponent}", lambda x, n=exponent: x**n, (2, 3))
case("2 ** x", lambda x: 2**x, (2, 3))
case("x * x: one tensor twice", lambda x: x * x, (2, 3))
case("x @ x: one tensor twice", lambda x: x @ x, (3, 3))

mask = np.array([[True, False, True], [False, False, True]])
for a, b in [((2, 3), (2, 3)), ((2, 3), ()), ((3,), (2, 1)), ((1, 1), (3,))]:
    case("where", lambda x, y: np.where(mask, x, y), a, b, torch=lambda x, y: x.where(library("tensor")(mask), y))
case("where(mask, x, 0)", lambda x: np.where(mask, x, 0.0), (2, 3), torch=lambda x: library("tensor")(mask) * x)
case("where(list, 0, x)", lambda x: np.where([True, False, True], 0.0, x), (2, 3), torch=None)
case("where(x > 0, x, y)", lambda x, y: np.where(x > 0, x, y), (4,), (4,), torch=lambda x, y: x.where(x > 0, y))

case("clip", lambda x: np.clip(x, -1, 1), (8,), torch=lambda x: x.clip(-1, 1))
case("clip low", lambda x: np.clip(x, -1, None), (8,), torch=lambda x: x.clip(min=-1))
case("clip high", lambda x: np.clip(x, None, 1), (8,), torch=lambda x: x.clip(max=1))
case("clip(min=, max=)", lambda x: np.clip(x, min=-1, max=1), (8,), torch=lambda x: x.clip(-1, 1))
case(".clip(min=, max=)", lambda x: x.clip(min=-1, max=1), (8,))
case(
    "clip by tensors",
    lambda x, low, high: np.clip(3 * x - 4, -low, high),
    (2, 4),
    (4,),
    (2, 1),
    torch=lambda x, low, high: library("clamp")(3 * x - 4, -low, high),
    positive=True,
)

# ------------------------------------------------------------------ reductions

AXES: list[tuple[tuple[int, ...], Any]] = [((), None), ((3,), None), ((3,), 0), ((2, 3, 4), None), ((2, 3, 4), 1)]
AXES += [((2, 3, 4), -1), ((2, 3, 4), (0, 2)), ((2, 3, 4), (-1, 0)), ((2, 1, 3), 1), ((1, 1), (0, 1)), ((2, 3), ())]
AXES += [((2, 0, 3), 0), ((0, 3), 1)]
EMPTY: list[tuple[tuple[int, ...], Any]] = [((0, 3), 0), ((0,), None)]


def over(name: str, axis: Any, keepdims: bool) -> Callable[..., Any]:
    """The same reduction with PyTorch."""

    def call(x: Any) -> Any:
        axes = tuple(range(x.ndim)) if axis is None else axis
        if axes == () or x.ndim == 0:  # PyTorch takes () for all axes
            return x * 1
        return library(name)(x, dim=axes, keepdim=keepdims)

    return call


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


for shape, axis in AXES + EMPTY:
    for keepdims in (False, True):
        options: dict[str, Any] = {"axis": axis, "keepdims": keepdims}
        label = f"axis={axis}" + (" keepdims" if keepdims else "")
        case(f"sum {label}", lambda x, o=options: np.sum(x, **o), shape, torch=over("sum", axis, keepdims))
        if (shape, axis) in EMPTY:
            continue
        case(f"mean {label}", lambda x, o=options: np.mean(x, **o), shape, torch=over("mean", axis, keepdims))
        case(f"max {label}", lambda x, o=options: np.max(x, **o), shape, torch=over("amax", axis, keepdims))
        case(f"min {label}", lambda x, o=options: np.min(x, **o), shape, torch=over("amin", axis, keepdims))
        case(
            f"logsumexp {label}",
            lambda x, o=options: tg.logsumexp(x, **o),
            shape,
            torch=over("logsumexp", axis, keepdims) if axis != () and shape else None,
            numpy=lambda x, o=options: logsumexp(x, **o),
        )
case("amax", lambda x: np.amax(x, 0), (2, 3), torch=lambda x: x.amax(0))
case("amin", lambda x: np.amin(x, 0), (2, 3), torch=lambda x: x.amin(0))
case(".sum(0)", lambda x: x.sum(0), (2, 3))
case(".mean(1)", lambda x: x.mean(1), (2, 3))
case(".max(axis=0)", lambda x: x.max(axis=0), (2, 3), torch=lambda x: x.amax(0))
case(".min(axis=0)", lambda x: x.min(axis=0), (2, 3), torch=lambda x: x.amin(0))
case(".logsumexp()", lambda x: x.logsumexp(), (2, 3), numpy=logsumexp, torch=lambda x: x.logsumexp((0, 1)))


def softmax(x: Any, axis: int) -> Any:
    return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)


for shape, axis in [((3,), -1), ((2, 3), 0), ((2, 3), 1), ((2, 3, 4), 1), ((3, 1), -1), ((0, 3), 1)]:
    case(
        f"softmax axis={axis}",
        lambda x, a=axis: tg.softmax(x, a),
        shape,
        numpy=lambda x, a=axis: softmax(x, a),
        torch=lambda x, a=axis: x.softmax(a),
    )
    case(
        f"log_softmax axis={axis}",
        lambda x, a=axis: tg.log_softmax(x, a),
        shape,
        numpy=lambda x, a=axis: np.log(softmax(x, a)),
        torch=lambda x, a=axis: x.log_softmax(a),
    )
case(".softmax()", lambda x: x.softmax(), (2, 3), numpy=lambda x: softmax(x, -1), torch=lambda x: x.softmax(-1))
case(
    ".log_softmax()",
    lambda x: x.log_softmax(),
    (2, 3),
    numpy=lambda x: np.log(softmax(x, -1)),
    torch=lambda x: x.log_softmax(-1),
)

# ------------------------------------------------------------------ shapes

case("reshape", lambda x: np.reshape(x, (3, 2)), (2, 3), torch=lambda x: x.reshape(3, 2))
case("reshape -1", lambda x: np.reshape(x, (-1, 2)), (2, 3), torch=lambda x: x.reshape(-1, 2))
case("reshape empty", lambda x: np.reshape(x, (0, 2)), (4, 0), torch=lambda x: x.reshape(0, 2))
case(".reshape(3, 2)", lambda x: x.reshape(3, 2), (2, 3))
case(".reshape((3, 2))", lambda x: x.reshape((3, 2)), (2, 3))
case(".reshape(-1)", lambda x: x.reshape(-1), ())
case(".reshape(())", lambda x: x.reshape(()), (1, 1))
case("ravel", np.ravel, (2, 3), torch=lambda x: x.ravel())
case(".ravel()", lambda x: x.ravel(), (2, 3))
case(".flatten()", lambda x: x.flatten(), (2, 3))
case("transpose", np.transpose, (2, 3, 4), torch=lambda x: x.permute(2, 1, 0))
case("transpose axes", lambda x: np.transpose(x, (1, 2, 0)), (2, 3, 4), torch=lambda x: x.permute(1, 2, 0))
case("transpose negative", lambda x: np.transpose(x, (-1, 0, -2)), (2, 3, 4), torch=lambda x: x.permute(-1, 0, -2))
case("transpose 0-d", np.transpose, (), torch=None)
case(".transpose()", lambda x: x.transpose(), (2, 3), torch=lambda x: x.mT)
case(".transpose(1, 0, 2)", lambda x: x.transpose(1, 0, 2), (2, 3, 4), torch=lambda x: x.permute(1, 0, 2))
case(".T", lambda x: x.T, (2, 3))
case("swapaxes", lambda x: np.swapaxes(x, 0, -1), (2, 3, 4), torch=lambda x: x.swapaxes(0, -1))
case(".swapaxes", lambda x: x.swapaxes(1, 2), (2, 3, 4))
case("expand_dims", lambda x: np.expand_dims(x, 1), (2, 3), torch=lambda x: x.unsqueeze(1))
case("expand_dims two", lambda x: np.expand_dims(x, (0, -1)), (2, 3), torch=lambda x: x.unsqueeze(0).unsqueeze(-1))
case("squeeze", np.squeeze, (1, 2, 1), torch=lambda x: x.squeeze())
case("squeeze axis", lambda x: np.squeeze(x, 0), (1, 2, 1), torch=lambda x: x.squeeze(0))
case("squeeze axes", lambda x: np.squeeze(x, (0, -1)), (1, 2, 1), torch=lambda x: x.squeeze((0, -1)))
case(".squeeze(2)", lambda x: x.squeeze(2), (1, 2, 1))
for a, b in [((), (2, 3)), ((3,), (2, 3)), ((2, 1), (2, 3)), ((1, 3, 1), (4, 2, 3, 2)), ((1,), (0,)), ((2, 3), (2, 3))]:
    case(f"broadcast_to {b}", lambda x, b=b: np.broadcast_to(x, b), a, torch=lambda x, b=b: x.broadcast_to(b))
case("broadcast_to 4", lambda x: np.broadcast_to(x, 4), (), torch=lambda x: x.broadcast_to((4,)))

case("concatenate", lambda x, y: np.concatenate([x, y]), (2, 3), (1, 3), torch=lambda x, y: library("cat")([x, y]))
case(
    "concatenate axis=-1",
    lambda x, y: np.concatenate((x, y), axis=-1),
    (2, 3),
    (2, 2),
    torch=lambda x, y: library("cat")([x, y], -1),
)
for axis in (-1, -2, -3):
    case(
        f"concatenate 3-d axis={axis}",
        lambda *xs, a=axis: np.concatenate(xs, a),
        (2, 2, 2),
        (2, 2, 2),
        torch=lambda *xs, a=axis: library("cat")(xs, a),
    )
case(
    "concatenate axis=None",
    lambda x, y: np.concatenate([x, y], axis=None),
    (2, 3),
    (),
    torch=lambda x, y: library("cat")([x.ravel(), y.ravel()]),
)
case("concatenate empty", lambda *xs: np.concatenate(xs), (0, 3), (2, 3), torch=lambda *xs: library("cat")(xs))
case("concatenate one", lambda x: np.concatenate([x]), (2, 3), torch=lambda x: x * 1)
case("concatenate twice", lambda x: np.concatenate([x, x], 1), (2, 3), torch=lambda x: library("cat")([x, x], 1))
case("concatenate with an array", lambda x: np.concatenate([np.ones((1, 3)), x]), (2, 3), torch=None)
for axis in (0, 1, -1, -2):
    case(
        f"stack axis={axis}",
        lambda x, y, a=axis: np.stack([x, y], a),
        (3,),
        (3,),
        torch=lambda x, y, a=axis: library("stack")([x, y], a),
    )
case("stack 0-d", lambda x, y: np.stack([x, y]), (), (), torch=lambda x, y: library("stack")([x, y]))
case("stack with a number", lambda x: np.stack([x, 1.0]), (), torch=None)
case("stack twice", lambda x: np.stack([x, x]), (2,), torch=lambda x: library("stack")([x, x]))
case("split, all parts", lambda x: [p * p for p in np.split(x, 3)], (6,), torch=lambda x: [p * p for p in x.chunk(3)])
case("split axis=1", lambda x: np.split(x, 2, axis=1)[1], (2, 4), torch=lambda x: x[:, 2:])
case("split at places", lambda x: np.split(x, [1, 4])[::2], (6, 2), torch=lambda x: [x[:1], x[4:]])
case("split at a negative place", lambda x: np.split(x, [-2]), (6,), torch=lambda x: [x[:-2], x[-2:]])
case("split past the end", lambda x: np.split(x, [2, 9]), (4,), torch=lambda x: [x[:2], x[2:], x[4:]])
case("split into 1", lambda x: np.split(x, 1)[0], (3,), torch=lambda x: x * 1)
case("array_split", lambda x: np.array_split(x, 3), (7,), torch=lambda x: list(x.tensor_split(3)))
case("array_split, one part used", lambda x: np.array_split(x, 3)[1], (7, 2), torch=lambda x: x.tensor_split(3)[1])
case("array_split more than there is", lambda x: np.array_split(x, 4), (3,), torch=lambda x: list(x.tensor_split(4)))
case("iteration", lambda x: [row * (k + 1) for k, row in enumerate(x)], (3, 2))

# ------------------------------------------------------------------ indexing

INDICES: list[tuple[str, Any, tuple[int, ...]]] = [
    ("int", 1, (3, 2)),
    ("negative int", -1, (3, 2)),
    ("to a number", 2, (3,)),
    ("ints", (1, -2), (2, 3)),
    ("numpy int", np.int64(1), (3, 2)),
    ("slice", slice(1, None), (4, 2)),
    ("slice with a step", slice(None, None, 2), (5,)),
    ("slice backwards", slice(None, None, -1), (4,)),
    ("slice backwards with a step", slice(-1, 0, -2), (6, 2)),
    ("empty slice", slice(2, 2), (4,)),
    ("slice past the end", slice(2, 99), (4,)),
    ("None", None, (3,)),
    ("Ellipsis", ..., (2, 3)),
    ("Ellipsis, int", (..., 0), (2, 3, 2)),
    ("int, Ellipsis, int", (1, ..., 0), (2, 3, 2)),
    ("slice, None, slice", (slice(None), None, slice(0, 2)), (2, 3)),
    ("empty tuple", (), (2, 2)),
    ("list", [2, 0], (3, 2)),
    ("list with repeats", [0, 0, 2, 0], (3, 2)),
    ("list with negatives", [-1, 2, -3], (3, 2)),
    ("empty list", [], (3, 2)),
    ("array of two axes with repeats", np.array([[0, 1], [1, 1]]), (3, 2)),
    ("small unsigned array", np.array([1, 0, 1], np.uint8), (3, 2)),
    ("one of many rows, twice, as int8", np.array([5, 5], np.int8), (300, 1)),
    ("array, slice", (np.array([1, 1]), slice(0, 2)), (3, 3)),
    ("slice, array", (slice(None), np.array([0, 2, 0])), (2, 3)),
    ("two arrays, one entry twice", (np.array([0, 1, 0]), np.array([2, 1, 2])), (2, 3)),
    ("two arrays that broadcast", (np.array([[0], [1]]), np.array([0, 2, 2])), (2, 3)),
    ("arrays apart", (np.array([0, 1, 1]), slice(None), np.array([1, 1, 0])), (2, 3, 2)),
    ("int, slice, list", (0, slice(None), [1, 1]), (2, 3, 2)),
    ("None, list, Ellipsis", (None, [1, 1, 0], ...), (2, 3)),
    ("mask", np.array([True, False, True]), (3, 2)),
    ("mask of all axes", np.array([[True, False], [False, True], [True, True]]), (3, 2)),
    ("mask of nothing", np.array([False, False, False]), (3, 2)),
    ("list of bools", [True, False, True], (3, 2)),
    ("mask, int", (np.array([True, False, True]), 1), (3, 2)),
    ("slice, mask", (slice(None), np.array([True, False])), (3, 2)),
    ("0-d", (), ()),
    ("0-d, None", None, ()),
    ("0-d, mask", True, ()),
    ("of an empty axis", [0, 0], (3, 0)),
]
for label, index, shape in INDICES:
    known = not any(word in label for word in ("backwards", "unsigned", "int, slice, list"))  # PyTorch differs
    case(f"x[{label}]", lambda x, i=index: x[i], shape, torch="same" if known else None)
case("x[Tensor]", lambda x: x[tg.tensor([0, 2, 0])], (3, 2), torch=None, numpy=lambda x: x[[0, 2, 0]])
case("x[x > 0]", lambda x: x[x > 0], (3, 2))
for kind in (np.int8, np.uint8, np.uint64):
    case(f"x[{kind.__name__}]", lambda x, kind=kind: x[np.array([2, 0, 2], kind)], (3, 2), torch=None)
case("x[300 rows]", lambda x: x[[1, 257, 1, 0, 256, 257]], (300,))
case("x[:, Tensor]", lambda x: x[:, tg.tensor([1, 1])], (3, 2), torch=None, numpy=lambda x: x[:, [1, 1]])
case("x[1:] * x[:-1]", lambda x: x[1:] * x[:-1], (4, 2))
case("x[i] for all i, and x", lambda x: [x[0] * x[1], x[2], x * 2], (3, 2))

# ------------------------------------------------------------------ products

RANKS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((3,), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3,)),
    ((2, 3), (3, 4)),
    ((2, 2, 3), (3, 4)),
    ((2, 3), (4, 3, 2)),
    ((2, 2, 3), (2, 3, 4)),
    ((2, 1, 2, 3), (3, 3, 2)),
    ((1, 2, 3), (4, 3, 1)),
    ((3,), (2, 3, 4)),
    ((2, 3, 4), (4,)),
    ((2, 2, 2, 3), (3, 2)),
    ((2, 0), (0, 3)),
    ((0, 2), (2, 3)),
    ((2, 3, 0), (0, 4)),
    ((0, 2, 3), (3, 4)),
    ((2, 3, 4), (4, 0)),
    ((1, 1), (1, 1)),
]
for a, b in RANKS:
    case("matmul", np.matmul, a, b, torch=lambda x, y: x @ y)
case("@", lambda x, y: x @ y, (2, 3), (3, 2))

EINSUMS: list[tuple[str, list[tuple[int, ...]], bool]] = [
    ("ij,jk->ik", [(2, 3), (3, 4)], True),
    ("ij,jk", [(2, 3), (3, 4)], True),
    ("ij, kj -> ki", [(2, 3), (4, 3)], True),
    ("i,i", [(3,), (3,)], True),
    ("i,j->ij", [(2,), (3,)], True),
    ("ij->ji", [(2, 3)], True),
    ("ba", [(2, 3)], True),
    ("ij->", [(2, 3)], True),
    ("ij->j", [(2, 3)], True),
    ("ii", [(3, 3)], True),
    ("ii->i", [(3, 3)], True),
    ("iij->ij", [(2, 2, 3)], True),
    ("iii->i", [(2, 2, 2)], True),
    ("ii,i->i", [(3, 3), (3,)], True),
    ("ij,k->i", [(2, 3), (4,)], True),
    ("ij,kj->k", [(2, 3), (4, 3)], True),
    ("ij,jk,kl->il", [(2, 3), (3, 2), (2, 3)], True),
    ("i,i,i->i", [(3,), (3,), (3,)], True),
    ("bi,bij,bj->b", [(2, 3), (2, 3, 2), (2, 2)], True),
    ("...ij,...jk->...ik", [(2, 2, 3), (3, 4)], True),
    ("...ij,...jk->...ik", [(2, 1, 2, 3), (4, 3, 2)], True),
    ("...i,i->...", [(2, 3, 4), (4,)], True),
    ("...i->...", [(2, 3)], True),
    ("...", [(2, 3)], True),
    ("i...,i...", [(2, 3), (2, 3)], False),
    ("...ii->...i", [(2, 3, 3)], True),
    ("ij,ij->ij", [(2, 1), (2, 3)], True),
    ("ij,jk->ik", [(2, 1), (3, 4)], True),
    ("ij,ij->i", [(2, 1), (2, 3)], True),
    (",i->i", [(), (3,)], True),
    (",->", [(), ()], True),
    ("ij,jk->ik", [(2, 0), (0, 3)], True),
    ("ij,jk->ik", [(0, 2), (2, 3)], True),
    ("ij->i", [(2, 0)], True),
    ("AbC,bC->CA", [(2, 3, 2), (3, 2)], True),
]
for subscripts, shapes, known in EINSUMS:
    case(
        f"einsum {subscripts}",
        lambda *xs, s=subscripts: np.einsum(s, *xs),
        *shapes,
        torch=(lambda *xs, s=subscripts: library("einsum")(s, *xs)) if known else None,
    )
case("einsum of one tensor twice", lambda x: np.einsum("ij,ij->i", x, x), (2, 3), torch=lambda x: (x * x).sum(1))
case("einsum with an array", lambda x: np.einsum("ij,j", x, np.arange(3.0)), (2, 3), torch=None)
case("einsum with a number", lambda x: np.einsum("i,->i", x, 2.0), (3,), torch=lambda x: x * 2)

each = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


# ------------------------------------------------------------------ the questions asked of every case


def parts(y: Any) -> list[Any]:
    return list(y) if isinstance(y, list | tuple) else [y]


def tensors(arrays: list[np.ndarray], dtype: Any = None) -> list[tg.Tensor]:
    return [tg.tensor(a, dtype, requires_grad=True) for a in arrays]


def projected(ys: list[Any], seed: int, as_tensor: Callable[[np.ndarray], Any] = lambda a: a) -> Any:
    """A number in which every entry of every y has a weight of its own."""
    rng = np.random.default_rng(seed)
    weights = (rng.uniform(0.5, 1.5, tuple(y.shape)).astype(str(y.dtype).removeprefix("torch.")) for y in ys)
    return sum((y * as_tensor(weight)).sum() for y, weight in zip(ys, weights, strict=True))


def derivatives(f: Callable[..., Any], arrays: list[np.ndarray], dtype: Any = None) -> tuple[list[Any], ...]:
    """Values, gradients of their projection, and gradients of a projection of those."""
    xs = tensors(arrays, dtype)
    ys = parts(f(*xs))
    first = tg.grad(projected(ys, 1), xs, create_graph=True)
    again = projected(list(first), 2)
    second = tg.grad(again, xs, allow_unused=True) if again.requires_grad else [None] * len(xs)
    zeros = [np.zeros_like(x.data) if g is None else g.data for x, g in zip(xs, second, strict=True)]
    return [y.data for y in ys], [g.data for g in first], zeros


@each
def test_the_value_and_the_dtype_are_numpys(case: Case) -> None:
    expected = parts((case.numpy or case.f)(*case.arrays))
    for xs in (tensors(case.arrays), [tg.tensor(a) for a in case.arrays]):
        actual = parts(case.f(*xs))
        assert [type(y) for y in actual] == [tg.Tensor] * len(expected)
        for a, b in zip(actual, expected, strict=True):
            assert a.dtype == b.dtype
            assert a.shape == b.shape
            np.testing.assert_allclose(a.data, b, rtol=1e-14, atol=1e-15)


@each
def test_the_rule_agrees_with_central_differences_to_second_order(case: Case) -> None:
    assert tg.gradcheck(case.f, tensors(case.arrays), order=2)


@each
def test_the_rule_gives_the_same_numbers_for_arrays_and_for_tensors(case: Case) -> None:
    xs = tensors(case.arrays)
    projected(parts(case.f(*xs)), 1).backward()
    for x, recorded in zip(xs, derivatives(case.f, case.arrays)[1], strict=True):
        assert x.grad is not None
        assert x.grad.shape == x.shape
        np.testing.assert_allclose(x.grad, recorded, rtol=1e-13, atol=1e-14)


@each
def test_float32_stays_float32_to_second_order(case: Case) -> None:
    exact, single = (derivatives(case.f, case.arrays, dtype) for dtype in (np.float64, np.float32))
    for order in range(3):
        for a, b in zip(single[order], exact[order], strict=True):
            mixed = order == 0 and re.search("with an? (array|number)", case.name)  # float64 among the operands
            assert a.dtype == (np.float64 if mixed else np.float32)
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@each
def test_only_the_inputs_that_need_a_gradient_get_one(case: Case) -> None:
    for k in range(len(case.arrays)):
        xs = [tg.tensor(a, requires_grad=j == k) for j, a in enumerate(case.arrays)]
        projected(parts(case.f(*xs)), 1).backward()
        assert [x.grad is not None for x in xs] == [j == k for j in range(len(xs))]
        np.testing.assert_allclose(xs[k].grad, derivatives(case.f, case.arrays)[1][k], rtol=1e-13, atol=1e-14)


@pytest.mark.oracle
@pytest.mark.parametrize("case", [c for c in CASES if c.torch], ids=[c.name for c in CASES if c.torch])
def test_value_first_and_second_order_are_pytorchs(case: Case, torch: Any) -> None:
    ours = derivatives(case.f, case.arrays)
    assert case.torch is not None
    compare_with_torch(ours, case.torch, case.arrays, torch)


def compare_with_torch(ours: Any, f: Callable[..., Any], arrays: list[np.ndarray], torch: Any) -> None:
    xs = [torch.tensor(a, requires_grad=True) for a in arrays]
    ys = parts(f(*xs))
    first = torch.autograd.grad(projected(ys, 1, torch.tensor), xs, create_graph=True, materialize_grads=True)
    again = projected(list(first), 2, torch.tensor)
    second = [torch.zeros_like(x) for x in xs]
    if again.requires_grad:
        second = torch.autograd.grad(again, xs, materialize_grads=True)
    for order, expected in enumerate((ys, first, second)):
        for a, b in zip(ours[order], expected, strict=True):
            b = b.numpy(force=True)
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * max(1.0, np.abs(b).max(initial=0)))


# ------------------------------------------------------------------ operands of other kinds


@pytest.mark.parametrize("symbol", ["+", "-", "*", "/", "**"])
@pytest.mark.parametrize(
    "other",
    [3, 1.5, True, np.float64(1.5), np.int64(2), np.array(1.5), np.array([0.5, 1.5, 2.5]), [0.5, 1.5, 2.5]],
    ids=["int", "float", "bool", "float64", "int64", "0-d", "array", "list"],
)
def test_numbers_and_arrays_may_stand_on_either_side(symbol: str, other: Any) -> None:
    f = eval(f"lambda a, b: a {symbol} b")
    x = np.array([0.7, 1.2, 2.1])
    operand = np.array(other, dtype=float)
    for ours, theirs_ in ((f(tg.tensor(x), other), f(x, operand)), (f(other, tg.tensor(x)), f(operand, x))):
        assert type(ours) is tg.Tensor
        np.testing.assert_allclose(ours.data, theirs_, rtol=1e-15)
    if not isinstance(other, list):
        assert tg.gradcheck(lambda t: f(t, other), tensors([x]), order=2)
        assert tg.gradcheck(lambda t: f(other, t), tensors([x]), order=2)


def test_an_array_may_stand_on_either_side_of_a_matrix_product() -> None:
    a = np.arange(6.0).reshape(2, 3)
    for f in (lambda t: a @ t, lambda t: t.T @ a.T, lambda t: a.tolist() @ t, lambda t: t.T @ a.T.tolist()):
        assert tg.gradcheck(f, tensors(values("@", [(3, 2)])), order=2)


@pytest.mark.parametrize("number", [2, 2.0, True])
@pytest.mark.parametrize("f", [np.add, np.subtract, np.multiply, np.divide, np.power, np.maximum, np.minimum])
def test_a_python_number_does_not_promote_float32(f: Any, number: Any) -> None:
    for call in (lambda x: f(x, number), lambda x: f(number, x)):
        (x,) = tensors([np.array([0.5, 1.5])], np.float32)
        y = call(x)
        y.sum().backward()
        assert y.dtype == x.grad.dtype == np.float32


def test_a_float64_operand_promotes_and_its_gradient_comes_back_as_float32() -> None:
    x = tg.tensor([1, 2], np.float32, requires_grad=True)
    y = x * np.array([2.0, 3.0])
    y.sum().backward()
    assert y.dtype == np.float64
    assert x.grad.dtype == np.float32


def test_astype_casts_the_gradient_back() -> None:
    x = tg.tensor([1, 2], np.float32, requires_grad=True)
    (g,) = tg.grad((x.astype(float) ** 3).sum(), [x], create_graph=True)
    (h,) = tg.grad(g.sum(), [x])
    assert g.dtype == h.dtype == np.float32
    assert g.data.tolist() == [3, 12]
    assert h.data.tolist() == [6, 12]


# ------------------------------------------------------------------ ties, kinks and edges, as documented


def gradient(f: Callable[..., Any], *arrays: Any) -> Any:
    """The gradient of the sum of f."""
    xs = tensors([np.asarray(a, dtype=float) for a in arrays])
    f(*xs).sum().backward()
    found = [x.grad.tolist() for x in xs]
    return found[0] if len(found) == 1 else found


def test_tied_maxima_share_the_gradient() -> None:
    assert gradient(np.max, [1, 3, 3, 2]) == [0, 0.5, 0.5, 0]
    assert gradient(np.min, [[1, 1], [1, 2]]) == [[1 / 3, 1 / 3], [1 / 3, 0]]
    assert gradient(lambda x: np.max(x, axis=1), [[1, 1], [1, 2]]) == [[0.5, 0.5], [0, 1]]
    assert gradient(np.maximum, [1, 2, 3], [3, 2, 1]) == [[0, 0.5, 1], [1, 0.5, 0]]
    assert gradient(np.minimum, [1, 2, 3], [3, 2, 1]) == [[1, 0.5, 0], [0, 0.5, 1]]
    assert gradient(lambda x: np.maximum(x, x), [1.0]) == [1]


def test_kinks_take_the_documented_side() -> None:
    assert gradient(np.abs, [-1, 0, 2]) == [-1, 0, 1]
    assert gradient(np.sign, [-1, 0, 2]) == [0, 0, 0]
    assert gradient(tg.relu, [-1, 0, -0.0, 2]) == [0, 0, 0, 1]
    assert gradient(lambda x: np.clip(x, 0, 1), [-1, 0, 0.5, 1, 2]) == [0, 0.5, 1, 0.5, 0]


def test_powers_at_zero() -> None:
    assert gradient(lambda x: x**0, [0, 2]) == [0, 0]
    assert gradient(lambda x: x**1, [0, 2]) == [1, 1]
    assert gradient(lambda x: x**2, [0, 2]) == [0, 4]
    assert gradient(lambda y: 0.0**y, [1, 2]) == [0, 0]
    assert gradient(np.power, 0, 0) == [0, 0]
    assert gradient(lambda x: x**3, [-2]) == [12]
    x = tg.tensor(0.0, requires_grad=True)
    y = x**2
    for expected in (0, 2, 0):
        y = tg.grad(y, x, create_graph=True)
        assert y.item() == expected


def test_the_mixed_derivative_of_a_power_at_exponent_zero() -> None:
    a, b = tensors([np.array(2.0), np.array(0.0)])
    (da,) = tg.grad(a**b, [a], create_graph=True)
    assert tg.grad(da, b).item() == 0.5  # d²(a^b)/da db = a^(b-1) (1 + b log a)


def test_nothing_overflows_at_ten_thousand() -> None:
    x = [-1e4, 0, 1e4]
    assert tg.sigmoid(tg.tensor(x)).data.tolist() == [0, 0.5, 1]
    assert gradient(tg.sigmoid, x) == [0, 0.25, 0]
    assert tg.softplus(tg.tensor(x)).data.tolist() == [0, np.log(2), 1e4]
    assert gradient(tg.softplus, x) == [0, 0.5, 1]
    assert tg.softmax(tg.tensor(x)).data.tolist() == [0, 0, 1]
    assert tg.log_softmax(tg.tensor(x)).data.tolist() == [-2e4, -1e4, 0]
    assert gradient(lambda t: tg.log_softmax(t)[0], x) == [1, 0, -1]
    assert tg.logsumexp(tg.tensor(x)).item() == 1e4
    assert gradient(tg.logsumexp, x) == [0, 0, 1]
    assert gradient(np.tanh, x) == [0, 1, 0]


def test_minus_infinity_is_a_weight_of_zero() -> None:
    x = [-np.inf, 0, 0]
    assert tg.softmax(tg.tensor(x)).data.tolist() == [0, 0.5, 0.5]
    assert gradient(lambda t: tg.softmax(t)[1], x) == [0, 0.25, -0.25]
    assert tg.logsumexp(tg.tensor(x)).item() == np.log(2)
    assert gradient(tg.logsumexp, x) == [0, 0.5, 0.5]


def test_logsumexp_of_nothing_is_minus_infinity_with_a_gradient_of_zero() -> None:
    assert tg.logsumexp(tg.tensor(np.zeros((2, 0))), axis=1).data.tolist() == [-np.inf, -np.inf]
    assert gradient(lambda t: tg.logsumexp(t, 1), [[-np.inf, -np.inf], [0, 0]]) == [[0, 0], [0.5, 0.5]]


def test_nan_stays_visible() -> None:
    assert np.isnan(np.max(tg.tensor([1, np.nan])).item())
    assert gradient(np.max, [1, np.nan]) == [0, 1]
    assert gradient(lambda x: np.max(x, initial=np.nan), [1, 2]) == [0, 0]  # and no warning of a division by 0
    assert gradient(np.maximum, [1, np.nan], [np.nan, 1]) == [[1, 1], [1, 1]]
    assert np.isnan(gradient(np.tanh, [np.nan])).all()


def test_singular_points_give_infinity_with_numpys_warning() -> None:
    with np.errstate(divide="ignore"):
        assert gradient(np.sqrt, [0]) == [np.inf]
        assert gradient(np.log, [0]) == [np.inf]
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        gradient(np.log, [0])


def test_empty_reductions() -> None:
    empty = tg.tensor(np.zeros((0, 2)))
    assert np.sum(empty).item() == 0
    with pytest.warns(RuntimeWarning):
        assert np.isnan(np.mean(empty).item())
    for f in (np.max, np.min, tg.softmax):
        with pytest.raises(ShapeError, match="zero-size"):
            f(empty if f is not tg.softmax else empty.T)
    assert np.max(empty, axis=1).shape == (0,)


@pytest.mark.parametrize("f", [tg.logsumexp, tg.softmax, tg.log_softmax, tg.sigmoid, tg.softplus, tg.relu])
def test_our_functions_also_take_integers(f: Any) -> None:
    expected = f(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(f(tg.tensor([1, 2, 3])).data, expected)
    np.testing.assert_allclose(f(np.array([1, 2, 3])), expected)


# ------------------------------------------------------------------ lazy gradients of slices


def test_reading_a_sequence_step_by_step_adds_into_one_array(monkeypatch: pytest.MonkeyPatch) -> None:
    """T steps are T small additions into one buffer: work linear in T, not T arrays of the whole sequence."""
    from tinygrad_rnn.engine import cotangent

    for T in (10, 20, 40):
        entries = []
        add = cotangent.Indexed.add_to

        def counted(self: Any, buffer: np.ndarray, add: Any = add, entries: Any = entries) -> None:
            entries.append(np.size(self.part))
            add(self, buffer)

        zeros = []
        monkeypatch.setattr(cotangent.Indexed, "add_to", counted)
        old = np.zeros
        monkeypatch.setattr(cotangent.np, "zeros", lambda *a, z=zeros, old=old, **k: (z.append(a), old(*a, **k))[1])
        x = tg.tensor(np.ones((T, 3)), requires_grad=True)
        h = x[0]
        for t in range(1, T):
            h = np.tanh(h) + x[t]
        h.sum().backward()
        monkeypatch.undo()
        assert sum(entries) == T * 3
        assert len(zeros) == 1
        assert x.grad.shape == (T, 3)


def test_an_index_array_belongs_to_the_tape() -> None:
    index = np.array([0, 0])
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x[index]
    index[:] = 1
    y.sum().backward()
    assert x.grad.tolist() == [2, 0]


# ------------------------------------------------------------------ bad shapes, each with the op and the shapes named


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda t: t + np.ones(4), ["add", "[2, 3]", "[4]"]),
        (lambda t: t @ np.ones((2, 3)), ["matmul", "[2, 3]"]),
        (lambda t: t @ 2.0, ["matmul", "2.0"]),
        (lambda t: 2.0 @ t, ["matmul", "2.0"]),
        (lambda t: np.ones((2, 2, 4)) @ t, ["matmul", "[2, 2, 4]", "[2, 3]"]),
        (lambda t: t.reshape(4, 2), ["reshape", "[2, 3]"]),
        (lambda t: t.reshape(-1, -1), ["reshape"]),
        (lambda t: t.sum(5), ["sum", "axis 5"]),
        (lambda t: t.sum((0, 0)), ["sum", "duplicate"]),
        (lambda t: np.squeeze(t, 0), ["squeeze", "size"]),
        (lambda t: np.concatenate([]) if t is None else np.concatenate([t, np.ones(3)]), ["concatenate", "[2, 3]"]),
        (lambda t: np.concatenate([t, t], 2), ["concatenate", "axis 2"]),
        (lambda t: np.stack([t, t[0]]), ["stack", "same shape"]),
        (lambda t: np.stack([t, t], 4), ["stack", "axis 4"]),
        (lambda t: np.transpose(t, (0, 0)), ["transpose"]),
        (lambda t: np.broadcast_to(t, (3,)), ["broadcast_to", "[2, 3]"]),
        (lambda t: np.broadcast_to(t, (2, 4)), ["broadcast_to"]),
        (lambda t: np.split(t, 2, axis=1), ["split", "3", "array_split"]),
        (lambda t: np.split(t, 0), ["1 or more"]),
        (lambda t: np.split(t, [2, 1]), ["split", "ascend"]),
        (lambda t: np.split(t, 2, axis=3), ["split", "axis"]),
        (lambda t: np.einsum("ij,jk", t), ["ij,jk", "2 operands", "1"]),
        (lambda t: np.einsum("ijk->i", t), ["einsum"]),
        (lambda t: np.einsum("ij->k", t), ["einsum"]),
        (lambda t: np.einsum("ij,jk->ik", t, np.ones((4, 2))), ["einsum"]),
        (lambda t: np.where(np.ones(4, bool), t, 0), ["where", "[4]"]),
        (lambda t: t[5], ["getitem", "out of bounds"]),
        (lambda t: t[0, 0, 0], ["getitem", "too many indices"]),
        (lambda t: t[1.5], ["getitem"]),
        (lambda t: t[[0.5]], ["integers or booleans"]),
        (lambda t: t["a"], ["getitem"]),
        (lambda t: t[np.array([True, False, True])], ["getitem", "boolean"]),
        (lambda t: t[[9]], ["getitem", "out of bounds"]),
    ],
)
def test_what_does_not_fit_is_refused_by_name(call: Callable[..., Any], words: list[str]) -> None:
    with pytest.raises((ValueError, IndexError)) as caught:
        call(tg.tensor(np.ones((2, 3)), requires_grad=True))
    for word in words:
        assert word in str(caught.value)


def test_shape_errors_say_at_which_step_they_happened() -> None:
    with tg.scope("rnn", 7), pytest.raises(ShapeError, match=r"add of float64\[2\], float64\[3\] at rnn t=7"):
        tg.tensor(np.ones(2)) + np.ones(3)


# ------------------------------------------------------------------ random expressions


@pytest.mark.oracle
@settings(max_examples=300)
@given(programs())
def test_random_expressions_agree_with_pytorch(torch: Any, program: Program) -> None:
    arrays = program.leaves()
    xs = tensors(arrays)
    y = program.run(xs, OURS)
    if not y.requires_grad:
        return
    first = tg.grad(projected([y], 1), xs, create_graph=True, allow_unused=True)
    ours_first = [np.zeros(x.shape) if g is None else g.data for x, g in zip(xs, first, strict=True)]
    again = projected([g for g in first if g is not None], 2)
    second = tg.grad(again, xs, allow_unused=True) if again.requires_grad else [None] * len(xs)
    ours_second = [np.zeros(x.shape) if g is None else g.data for x, g in zip(xs, second, strict=True)]

    operations = theirs(torch)
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    z = program.run(ts, operations)
    expected = torch.autograd.grad(projected([z], 1, torch.tensor), ts, create_graph=True, allow_unused=True)
    again = projected([g for g in expected if g is not None], 2, torch.tensor)
    twice = [None] * len(ts)
    if again.requires_grad:
        twice = torch.autograd.grad(again, ts, allow_unused=True)
    agree([y.data], [z])
    agree(ours_first, expected)
    agree(ours_second, twice)


def agree(ours: list[np.ndarray], expected: Any) -> None:
    for a, b in zip(ours, expected, strict=True):
        b = np.zeros(a.shape) if b is None else b.numpy(force=True)
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9 * max(1.0, np.abs(b).max(initial=0)))


@settings(max_examples=200)
@given(programs(names=[name for name in OURS if name not in KINKED]))
def test_random_smooth_expressions_agree_with_central_differences(program: Program) -> None:
    assert tg.gradcheck(lambda *xs: program.run(list(xs), OURS), tensors(program.leaves()), rtol=1e-5, atol=1e-6)


@settings(max_examples=100)
@given(st.data())
def test_random_einsums_agree_with_central_differences(data: st.DataObject) -> None:
    sizes = {"i": 2, "j": 3, "k": 1, "l": 2}
    operands = data.draw(st.lists(st.text("ijkl", max_size=3), min_size=1, max_size=3), label="operands")
    labels = sorted(set("".join(operands)))
    output = "".join(data.draw(st.permutations(labels), label="order"))[: data.draw(st.integers(0, len(labels)))]
    subscripts = f"{','.join(operands)}->{output}"
    xs = tensors(values(subscripts, [tuple(sizes[c] for c in term) for term in operands]))
    assert tg.gradcheck(lambda *ts: np.einsum(subscripts, *ts), xs, order=2)


def test_a_place_counted_from_the_end_is_the_same_place() -> None:
    for index in (np.array([2, -1]), [-1, 2, 0], np.array([[2], [-1]])):
        assert gradient(lambda x, i=index: x[i], [1, 2, 3])[2] == 2
        x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
        assert tg.grad((x[index] ** 2).sum(), x, create_graph=True).data[2] == 12


def test_indexing_has_a_third_derivative() -> None:
    x = tg.tensor([2.0, 3.0], requires_grad=True)
    y: Any = x[0] ** 3 * x[1] ** 2
    for expected in ([108, 48], [180, 88], [222, 120], [180, 108]):
        (g,) = tg.grad(y, [x], create_graph=True)
        y = g.sum()
        assert g.data.tolist() == expected


@pytest.mark.parametrize("index", [((0, 0, 1),), ((0, 0, 1), 1), ((0, 0), (1, 1)), (memoryview(b"\x00\x00\x01"),)])
def test_places_named_twice_by_any_kind_of_sequence_count_twice(index: Any) -> None:
    x = tg.tensor(np.arange(12.0).reshape(4, 3), requires_grad=True)
    (x[index] * 1.0).sum().backward()
    lists = tuple(list(part) if isinstance(part, tuple | memoryview) else part for part in index)
    expected = np.zeros((4, 3))
    np.add.at(expected, lists, 1.0)
    np.testing.assert_array_equal(x.grad, expected)


@pytest.mark.parametrize(
    ("dtype", "x"), [(np.float64, -700.0), (np.float64, -40.0), (np.float32, -80.0), (np.float32, -17.0)]
)
def test_the_sigmoid_of_a_very_negative_number_keeps_its_digits(dtype: Any, x: float) -> None:
    y = tg.sigmoid(tg.tensor(x, dtype=dtype))
    assert y.dtype == dtype
    np.testing.assert_allclose(y.item(), np.exp(np.float64(x)), rtol=1e-5 if dtype == np.float32 else 1e-12)
