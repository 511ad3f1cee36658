"""The rest of NumPy's functions of one or two real numbers, each with its derivative beside it.

Nothing here is needed to follow the tape or the recurrent layers: `elementwise.py` has the few that are, and says how
the table is read.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..engine.arrays import A, Array
from .elementwise import Elementwise, Over, Shared, Taken, power, sigmoid
from .registry import implements

LN2, LN10 = math.log(2), math.log(10)
DEGREE = math.pi / 180


def _difference(a: Array, b: Array) -> Array:
    """a - b, and 0 where both are the same infinity."""
    same = np.isinf(a) & (a == b)
    return np.where(same, 0, a) - np.where(same, 0, b)


def _safe(r: Array) -> Array:
    """r, and 1 where it is 0: for a quotient that is to be 0 there, as the numerator is."""
    return np.where(r == 0, 1, r)


SINC = tuple((-1) ** k * 2 * k * math.pi ** (2 * k) / math.factorial(2 * k + 1) for k in range(7, 0, -1))


def _sinc_slope(y: Array, x: Array) -> Array:
    """(cos(πx) - y) / x, near 0 by its power series: there the two agree in their first digits, and few are left."""
    small = abs(x) < 0.1
    near, far = np.where(small, x, 0), np.where(small, 1, x)
    total: Any = 0.0
    for coefficient in SINC:
        total = total * (near * near) + coefficient
    return np.where(small, near * total, (np.cos(math.pi * far) - np.sinc(far)) / far)


_erfc = np.vectorize(math.erfc, otypes=[float])


def _normal_cdf(x: Array) -> Array:
    x = np.asarray(x)
    y = _erfc(x / -math.sqrt(2)) / 2
    return y.astype(x.dtype) if x.dtype.kind == "f" else y


# fmt: off
positive     = Elementwise(np.positive, 1)
remainder    = Elementwise(np.remainder, 1, lambda y, a, b: -np.floor_divide(a, b))  # floor(a / b) may round up
floor_divide = Elementwise(np.floor_divide, 0, 0)
normal_cdf   = Elementwise(_normal_cdf, lambda y, x: np.exp(x * x / -2) / math.sqrt(2 * math.pi), name="normal_cdf")
_sinc        = Elementwise(lambda x: np.sinc(x), _sinc_slope, name="sinc")

UFUNCS = (
    # ------------------------------------------------------------------ powers, exponentials, logarithms
    Elementwise(np.reciprocal, lambda y, x: -y * y),
    Elementwise(np.float_power, *power.derivatives),
    Elementwise(np.cbrt, Over(lambda y, x: 3 * (y * y))),
    Elementwise(np.exp2, lambda y, x: y * LN2),
    Elementwise(np.expm1, lambda y, x: np.exp(x)),  # y + 1 would be 0 for x < -37, and the gradient lost
    Elementwise(np.log2, Over(lambda y, x: x * LN2)),
    Elementwise(np.log10, Over(lambda y, x: x * LN10)),
    Elementwise(np.log1p, Over(lambda y, x: 1 + x)),
    Elementwise(np.logaddexp, lambda y, a, b: sigmoid(_difference(a, b)),
                              lambda y, a, b: sigmoid(_difference(b, a))),
    Elementwise(np.logaddexp2, lambda y, a, b: sigmoid(_difference(a, b) * LN2),
                               lambda y, a, b: sigmoid(_difference(b, a) * LN2)),
    # ------------------------------------------------------------------ trigonometry
    Elementwise(np.tan, lambda y, x: 1 + y * y),
    Elementwise(np.arcsin, Over(lambda y, x: np.sqrt((1 - x) * (1 + x)))),
    Elementwise(np.arccos, Over(lambda y, x: -np.sqrt((1 - x) * (1 + x)))),
    Elementwise(np.arctan, lambda y, x: 1 / (r := np.hypot(x, 1)) / r),  # 1 / (1 + x²), but x² may overflow
    Elementwise(np.arctan2, lambda y, a, b: b / (r := _safe(np.hypot(a, b))) / r,  # b / (a² + b²), and 0 at the origin
                            lambda y, a, b: -a / (r := _safe(np.hypot(a, b))) / r),
    Elementwise(np.hypot, lambda y, a, b: a / _safe(y), lambda y, a, b: b / _safe(y)),
    Elementwise(np.sinh, lambda y, x: np.cosh(x)),
    Elementwise(np.cosh, lambda y, x: np.sinh(x)),
    Elementwise(np.arcsinh, Over(lambda y, x: np.hypot(x, 1))),
    Elementwise(np.arccosh, Over(lambda y, x: np.sqrt(x - 1) * np.sqrt(x + 1))),
    Elementwise(np.arctanh, Over(lambda y, x: (1 - x) * (1 + x))),
    *(Elementwise(f, DEGREE) for f in (np.deg2rad, np.radians)),
    *(Elementwise(f, 1 / DEGREE) for f in (np.rad2deg, np.degrees)),
    # ------------------------------------------------------------------ choices; at a jump as beside it
    Elementwise(np.fabs, lambda y, x: np.sign(x)),  # 0 at 0
    Elementwise(np.copysign, lambda y, a, b: np.sign(a) * np.where(np.signbit(b), -1, 1), 0),  # 0 at a = 0
    Elementwise(np.fmod, 1, lambda y, a, b: -np.rint((a - y) / b)),
    Elementwise(np.fmax, Shared(lambda y, a, b: (a >= b) | np.isnan(b)),  # a nan loses
                         Shared(lambda y, a, b: (b >= a) | np.isnan(a) & ~np.isnan(b))),
    Elementwise(np.fmin, Shared(lambda y, a, b: (a <= b) | np.isnan(b)),
                         Shared(lambda y, a, b: (b <= a) | np.isnan(a) & ~np.isnan(b))),
    # ------------------------------------------------------------------ constant between jumps; the identity
    *(Elementwise(f, 0) for f in (np.floor, np.ceil, np.trunc, np.rint)),
    Elementwise(np.heaviside, 0, Taken(lambda y, a, b: a == 0)),
    Elementwise(np.conjugate, 1),  # a Tensor is real
    positive, remainder, floor_divide,
)
"""The ops here whose function is a ufunc of NumPy."""
# fmt: on


@implements("sinc")
def sinc(x: A) -> A:
    """As `np.sinc`."""
    return _sinc(x)


@implements("round", "around")
def round(a: A, decimals: int = 0) -> A:
    """As `np.round`; its derivative is 0."""
    return Elementwise(lambda x: np.round(x, decimals), 0, name="round", decimals=decimals)(a)


@implements("fix")
def fix(x: Array) -> Array:
    """As `np.fix`; its derivative is 0."""
    return np.trunc(x)


@implements("real")
def real(val: A) -> A:
    """As `np.real`: a Tensor is real."""
    return positive(val)


@implements("real_if_close")
def real_if_close(a: A, tol: float = 100) -> A:
    """As `np.real_if_close`: a Tensor is real."""
    return positive(a)


@implements("angle")
def angle(z: Array, deg: bool = False) -> Array:
    """As `np.angle`: of a real number 0, or π where it is negative; its derivative is 0."""
    y = np.arctan2(0.0, z)
    return y / DEGREE if deg else y


@implements("copy")
def copy(a: A, order: str = "K") -> A:
    """As `np.copy`: a Tensor's values never change, but the copy has a place of its own on the tape."""
    return positive(a)


def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """x where it is positive, else `negative_slope` times x.

    >>> import tinygrad_rnn as tg
    >>> tg.leaky_relu(tg.tensor([-1.0, 2.0])).data
    array([-0.01,  2.  ])
    """

    def slope(y: Array, x: Array) -> Array:
        return np.where(x > 0, np.ones_like(x), negative_slope)

    f = Elementwise(
        lambda x: np.where(x > 0, x, negative_slope * x), slope, name="leaky_relu", negative_slope=negative_slope
    )
    return f(x)


def elu(x: Array, alpha: float = 1.0) -> Array:
    """x where it is positive, else alpha (e^x - 1).

    >>> import tinygrad_rnn as tg
    >>> tg.elu(tg.tensor([-1.0, 2.0])).data.round(3)
    array([-0.632,  2.   ])
    """

    def forward(x: Array) -> Array:
        return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))

    def slope(y: Array, x: Array) -> Array:
        return np.where(x > 0, 1, alpha * np.exp(np.where(x > 0, 0, x)))  # e^x of a large x would overflow

    return Elementwise(forward, slope, name="elu", alpha=alpha)(x)


def gelu(x: Array, approximate: str = "none") -> Array:
    """x Φ(x), with Φ the distribution function of the standard normal; "tanh" for the usual approximation of it.

    >>> import tinygrad_rnn as tg
    >>> tg.gelu(tg.tensor([-1.0, 2.0])).data.round(3)
    array([-0.159,  1.954])
    """
    if approximate == "tanh":
        return x * sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x)))
    if approximate != "none":
        raise ValueError(f"approximate of gelu must be 'none' or 'tanh', not {approximate!r}")
    return x * normal_cdf(x)
