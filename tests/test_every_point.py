"""Every entry of the table of derivatives to third order, against 60 digits, at the points where formulas fail."""

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.ops import UFUNCS, elementwise, functions
from tinygrad_rnn.ops.elementwise import Elementwise

mp = pytest.importorskip("mpmath").mp.clone()
mp.dps = 60

POINTS = (0.0, -0.0, 1.0, -1.0, 30.0, -30.0, 1e8, -1e8, 1e-8, -1e-8, 0.3, -0.7)
PAIRS = (
    *((0.0, 0.0), (-0.0, 0.0), (1.0, 1.0), (-1.0, -1.0), (30.0, 30.0), (-30.0, -30.0), (1e8, 1e8), (1e-8, 1e-8)),
    *(
        (1.0, -1.0),
        (0.0, 1.0),
        (1.0, 0.0),
        (-0.0, 2.0),
        (0.0, 3.0),
        (30.0, -30.0),
        (-30.0, 30.0),
        (1e8, 1.0),
        (1.0, 1e8),
    ),
    *((1e-8, 1.0), (1.0, 1e-8), (-1e-8, 1e-8), (0.3, -0.7), (-2.0, 3.0), (2.5, 0.7)),
)


class Row(NamedTuple):
    """A function in mpmath, and what is known of it.

    kinks    says of (x, ...) that there is no derivative there of some order; docs/functions.md has the convention
    rounded  whether digits are lost where the function is nearly constant: then errors are measured against 1
    """

    exact: Callable[..., Any]
    kinks: Callable[..., bool] = lambda *xs: False
    rounded: bool = False


def at(*points: float) -> Callable[[float], bool]:
    return lambda x: x in points


def outside(low: float, high: float = math.inf) -> Callable[[float], bool]:
    return lambda x: not low < x < high


def whole(x: float) -> bool:
    return x == round(x)


def sigma(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def elu(x: Any) -> Any:
    return x if x > 0 else mp.expm1(x)


UNARY: dict[str, Row] = {
    "negative": Row(lambda x: -x),
    "positive": Row(lambda x: +x),
    "conjugate": Row(lambda x: +x),
    "square": Row(lambda x: x * x),
    "reciprocal": Row(lambda x: 1 / x, at(0)),
    "absolute": Row(abs, at(0)),
    "fabs": Row(abs, at(0)),
    "sign": Row(mp.sign, at(0)),
    "floor": Row(mp.floor, whole),
    "ceil": Row(mp.ceil, whole),
    "trunc": Row(lambda x: mp.sign(x) * mp.floor(abs(x)), whole),
    "rint": Row(mp.nint, lambda x: False),
    "exp": Row(mp.exp),
    "exp2": Row(lambda x: mp.mpf(2) ** x),
    "expm1": Row(mp.expm1),
    "log": Row(mp.log, outside(0)),
    "log2": Row(lambda x: mp.log(x, 2), outside(0)),
    "log10": Row(mp.log10, outside(0)),
    "log1p": Row(lambda x: mp.log(1 + x), outside(-1)),
    "sqrt": Row(mp.sqrt, outside(0)),
    "cbrt": Row(lambda x: mp.sign(x) * mp.cbrt(abs(x)), at(0)),
    "sin": Row(mp.sin),
    "cos": Row(mp.cos),
    "tan": Row(mp.tan),
    "arcsin": Row(mp.asin, outside(-1, 1)),
    "arccos": Row(mp.acos, outside(-1, 1)),
    "arctan": Row(mp.atan),
    "sinh": Row(mp.sinh),
    "cosh": Row(mp.cosh),
    "tanh": Row(mp.tanh, rounded=True),
    "arcsinh": Row(mp.asinh),
    "arccosh": Row(mp.acosh, outside(1)),
    "arctanh": Row(mp.atanh, outside(-1, 1)),
    "deg2rad": Row(mp.radians),
    "radians": Row(mp.radians),
    "rad2deg": Row(mp.degrees),
    "degrees": Row(mp.degrees),
    "sinc": Row(mp.sincpi, rounded=True),
    "sigmoid": Row(sigma, rounded=True),
    "softplus": Row(lambda x: mp.log(1 + mp.exp(x)), rounded=True),
    "relu": Row(lambda x: max(x, mp.mpf(0)), at(0)),
    "normal_cdf": Row(mp.ncdf),
}
OURS = {
    "sinc": functions.sinc,
    "sigmoid": elementwise.sigmoid,
    "softplus": elementwise.softplus,
    "relu": elementwise.relu,
    "normal_cdf": functions.normal_cdf,
}

COMPOSED: dict[str, tuple[Callable[[Any], Any], Row]] = {
    "leaky_relu": (tg.leaky_relu, Row(lambda x: x if x > 0 else x * mp.mpf(0.01), at(0))),
    "elu": (tg.elu, Row(elu, at(0))),
    "gelu": (tg.gelu, Row(lambda x: x * mp.ncdf(x), rounded=True)),
    "x**2": (lambda x: x**2, Row(lambda x: x**2)),
    "x**3": (lambda x: x**3, Row(lambda x: x**3)),
    "x**0": (lambda x: x**0, Row(lambda x: mp.mpf(1))),
    "x**-1": (lambda x: x**-1.0, Row(lambda x: 1 / x, at(0))),
    "clip": (lambda x: np.clip(x, -2, 2), Row(lambda x: min(max(x, mp.mpf(-2)), mp.mpf(2)))),
    "logaddexp(x, x)": (lambda x: np.logaddexp(x, x), Row(lambda x: x + mp.log(2), rounded=True)),
    "logaddexp(0, x)": (lambda x: np.logaddexp(0, x), Row(lambda x: mp.log(1 + mp.exp(x)), rounded=True)),
    "logsumexp": (
        lambda x: tg.logsumexp(np.stack([x, 2 * x, -x])),
        Row(lambda x: mp.log(mp.exp(x) + mp.exp(2 * x) + mp.exp(-x)), rounded=True),
    ),
    "softmax": (
        lambda x: tg.softmax(np.stack([x, 2 * x, -x]))[0],
        Row(lambda x: mp.exp(x) / (mp.exp(x) + mp.exp(2 * x) + mp.exp(-x)), rounded=True),
    ),
    "log_softmax": (
        lambda x: tg.log_softmax(np.stack([x, 2 * x]))[0],
        Row(lambda x: -mp.log(1 + mp.exp(x)), rounded=True),
    ),
    "cross entropy": (
        lambda x: tg.nn.cross_entropy(np.stack([x, 2 * x])[None], [0]),
        Row(lambda x: mp.log(1 + mp.exp(x)), rounded=True),
    ),
    "binary cross entropy": (
        lambda x: tg.nn.binary_cross_entropy_with_logits(x[None], [0.25]),
        Row(lambda x: mp.log(1 + mp.exp(x)) - x / 4, rounded=True),
    ),
    "mse": (lambda x: tg.nn.mse_loss(x[None], np.ones(1)), Row(lambda x: (x - 1) ** 2)),
}

BINARY: dict[str, Row] = {
    "add": Row(lambda a, b: a + b),
    "subtract": Row(lambda a, b: a - b),
    "multiply": Row(lambda a, b: a * b),
    "divide": Row(lambda a, b: a / b, lambda a, b: b == 0),
    "power": Row(lambda a, b: a**b, lambda a, b: a <= 0),
    "float_power": Row(lambda a, b: a**b, lambda a, b: a <= 0),
    "maximum": Row(max, lambda a, b: a == b),
    "minimum": Row(min, lambda a, b: a == b),
    "fmax": Row(max, lambda a, b: a == b),
    "fmin": Row(min, lambda a, b: a == b),
    "logaddexp": Row(lambda a, b: mp.log(mp.exp(a) + mp.exp(b)), rounded=True),
    "logaddexp2": Row(lambda a, b: mp.log(mp.mpf(2) ** a + mp.mpf(2) ** b, 2), rounded=True),
    "hypot": Row(lambda a, b: mp.sqrt(a * a + b * b), lambda a, b: a == b == 0),
    "arctan2": Row(mp.atan2, lambda a, b: a == b == 0 or (a == 0 and b < 0)),
    "remainder": Row(lambda a, b: a - b * mp.floor(a / b), lambda a, b: b == 0 or whole(a / b)),
    "fmod": Row(lambda a, b: a - b * mp.sign(a / b) * mp.floor(abs(a / b)), lambda a, b: b == 0 or whole(a / b)),
    "floor_divide": Row(lambda a, b: mp.floor(a / b), lambda a, b: b == 0 or whole(a / b)),
    "copysign": Row(lambda a, b: abs(a) * (-1 if b < 0 else 1), lambda a, b: a == 0 or b == 0),
    "heaviside": Row(lambda a, b: b if a == 0 else mp.mpf(a > 0), lambda a, b: a == 0),
}


def derivative(f: Callable[..., Any], xs: tuple[float, ...], orders: tuple[int, ...]) -> float:
    """One mixed derivative of our f, by as many sweeps; an input that a derivative no longer depends on gives 0."""
    inputs = [tg.tensor(x, requires_grad=True) for x in xs]
    y = f(*inputs)
    for x, order in zip(inputs, orders, strict=True):
        for _ in range(order):
            if not y.requires_grad:
                return 0.0
            y = tg.grad(y, x, create_graph=True, allow_unused=True)
            if y is None:
                return 0.0
    return y.item()


def exactly(f: Callable[..., Any], xs: tuple[float, ...], orders: tuple[int, ...]) -> Any:
    """The same with 60 digits."""
    points = tuple(map(mp.mpf, xs))
    if not sum(orders):
        return mp.re(f(*points))
    return mp.re(mp.diff(f, points if len(xs) > 1 else points[0], orders if len(xs) > 1 else orders[0]))


def wrong(f: Callable[..., Any], row: Row, points: Any, tolerance: float = 1e-9) -> Iterator[str]:
    """Each derivative up to the third that differs; errors are relative to the largest one of the same order."""
    for xs in points:
        if row.kinks(*xs):
            continue
        for n in range(4):
            orders = [(n,)] if len(xs) == 1 else [(n - m, m) for m in range(n + 1)]
            wants = [exactly(row.exact, xs, order) for order in orders]
            largest = max(*map(abs, wants), mp.mpf(1 if row.rounded else 1e-30))
            if largest > 1e290:  # beyond a double
                continue
            for order, want in zip(orders, wants, strict=True):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)
                    got = derivative(f, xs, order)
                if not abs(mp.mpf(got) - want) <= tolerance * largest:
                    yield f"at {xs}, order {order}: {got!r}, not {mp.nstr(want, 17)}"


def function(name: str) -> Any:
    return OURS.get(name) or getattr(np, name)


def test_every_entry_of_the_table_has_a_row() -> None:
    table = {op.name for op in UFUNCS.values() if isinstance(op, Elementwise)}
    for module in (elementwise, functions):
        table |= {op.name for op in vars(module).values() if isinstance(op, Elementwise) and op.derivatives}
    assert table == set(UNARY) | set(BINARY)


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_number_to_third_order(name: str) -> None:
    assert not list(wrong(function(name), UNARY[name], [(x,) for x in POINTS]))


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_numbers_to_third_order(name: str) -> None:
    assert not list(wrong(function(name), BINARY[name], PAIRS))


@pytest.mark.parametrize("name", COMPOSED)
def test_what_is_composed_of_them_to_third_order(name: str) -> None:
    f, row = COMPOSED[name]
    assert not list(wrong(f, row, [(x,) for x in POINTS]))


@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("f", [np.sqrt, np.cbrt, lambda x: x**0.5])
def test_a_root_is_infinitely_steep_at_either_zero(f: Callable[[Any], Any], zero: float) -> None:
    with np.errstate(divide="ignore"):
        assert derivative(f, (zero,), (1,)) == math.inf
