"""The rest of NumPy's functions of one or two real numbers, each with its derivative beside it.

Nothing here is needed to follow the tape or the recurrent layers: `elementwise.py` has the few that are.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..engine.tape import Op
from .elementwise import Elementwise, sigmoid

LN2, LN10 = math.log(2), math.log(10)


# ------------------------------------------------------------------ powers, exponentials, logarithms


class Reciprocal(Op):
    """y = 1 / x.  dy/dx = -y²."""

    forward = np.reciprocal

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return -g * (y * y)


class Cbrt(Op):
    """y = ∛x.  dy/dx = 1 / (3 y²)."""

    forward = np.cbrt

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g / (3 * (y * y))


class Exp2(Op):
    """y = 2^x.  dy/dx = y log 2."""

    forward = np.exp2

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * (y * LN2)


class Expm1(Op):
    """y = e^x - 1.  dy/dx = e^x."""

    forward = np.expm1

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * np.exp(x)  # y + 1 would be 0 for x < -37, and the gradient lost


class Log2(Op):
    """y = log2 x.  dy/dx = 1 / (x log 2)."""

    forward = np.log2

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g / (x * LN2)


class Log10(Op):
    """y = log10 x.  dy/dx = 1 / (x log 10)."""

    forward = np.log10

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g / (x * LN10)


class Log1p(Op):
    """y = log(1 + x).  dy/dx = 1 / (1 + x)."""

    forward = np.log1p

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g / (1 + x)


# ------------------------------------------------------------------ trigonometry


class Tan(Op):
    """y = tan x.  dy/dx = 1 + y²."""

    forward = np.tan

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * (1 + y * y)


class Arcsin(Op):
    """y = arcsin x.  dy/dx = 1 / √((1 - x) (1 + x))."""

    forward = np.arcsin

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g / np.sqrt((1 - x) * (1 + x))


class Arccos(Op):
    """y = arccos x.  dy/dx = -1 / √((1 - x) (1 + x))."""

    forward = np.arccos

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return -g / np.sqrt((1 - x) * (1 + x))


class Arctan(Op):
    """y = arctan x.  dy/dx = 1 / (1 + x²)."""

    forward = np.arctan

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        r = np.hypot(x, 1)  # the square of a large x would overflow
        return g / r / r


class Sinh(Op):
    """y = sinh x.  dy/dx = cosh x."""

    forward = np.sinh

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * np.cosh(x)


class Cosh(Op):
    """y = cosh x.  dy/dx = sinh x."""

    forward = np.cosh

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * np.sinh(x)


class Arcsinh(Op):
    """y = arsinh x.  dy/dx = 1 / √(x² + 1)."""

    forward = np.arcsinh

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g / np.hypot(x, 1)


class Arccosh(Op):
    """y = arcosh x.  dy/dx = 1 / √((x - 1) (x + 1))."""

    forward = np.arccosh

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g / (np.sqrt(x - 1) * np.sqrt(x + 1))


class Arctanh(Op):
    """y = artanh x.  dy/dx = 1 / ((1 - x) (1 + x))."""

    forward = np.arctanh

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g / ((1 - x) * (1 + x))


class Deg2rad(Op):
    """y = x π / 180.  dy/dx = π / 180."""

    forward = np.deg2rad

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * (math.pi / 180)


class Rad2deg(Op):
    """y = x 180 / π.  dy/dx = 180 / π."""

    forward = np.rad2deg

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * (180 / math.pi)


class Sinc(Op):
    """y = sin(πx) / (πx), which is 1 at 0.  dy/dx = (cos(πx) - y) / x, near 0 by its power series."""

    series = tuple((-1) ** k * 2 * k * math.pi ** (2 * k) / math.factorial(2 * k + 1) for k in range(7, 0, -1))

    def forward(self, x: Any) -> Any:
        return np.sinc(x)

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        small = abs(x) < 0.1  # there the cosine and y agree in their first digits, and their difference has few left
        near, far = np.where(small, x, 0), np.where(small, 1, x)
        total: Any = 0.0
        for coefficient in self.series:
            total = total * (near * near) + coefficient
        return g * np.where(small, near * total, (np.cos(math.pi * far) - np.sinc(far)) / far)


# ------------------------------------------------------------------ functions of two numbers


class Logaddexp(Elementwise):
    """y = log(e^a + e^b).  dy/da = e^(a-y) = σ(a - b),  dy/db = σ(b - a)."""

    forward = np.logaddexp

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g * sigmoid(_difference(a, b))

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g * sigmoid(_difference(b, a))


class Logaddexp2(Elementwise):
    """y = log2(2^a + 2^b).  dy/da = 2^(a-y) = σ((a - b) log 2),  dy/db = σ((b - a) log 2)."""

    forward = np.logaddexp2

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g * sigmoid(_difference(a, b) * LN2)

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g * sigmoid(_difference(b, a) * LN2)


def _difference(a: Any, b: Any) -> Any:
    """a - b, and 0 where both are the same infinity."""
    return np.where(a == b, 0, np.where(a == b, 0, a) - np.where(a == b, 0, b))


class Hypot(Elementwise):
    """y = √(a² + b²).  dy/da = a / y,  dy/db = b / y; both 0 where y = 0."""

    forward = np.hypot

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g * (a / np.where(y == 0, 1, y))

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g * (b / np.where(y == 0, 1, y))


class Arctan2(Elementwise):
    """y = the angle of the point (b, a).  dy/da = b / (a² + b²),  dy/db = -a / (a² + b²); both 0 at the origin."""

    forward = np.arctan2

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        r = np.hypot(a, b)
        r = np.where(r == 0, 1, r)
        return g * (b / r / r)

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        r = np.hypot(a, b)
        r = np.where(r == 0, 1, r)
        return -g * (a / r / r)


class Remainder(Elementwise):
    """y = a - b ⌊a / b⌋.  dy/da = 1,  dy/db = -⌊a / b⌋, as away from the jumps."""

    forward = np.remainder

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return -g * np.floor_divide(a, b)  # not floor(a / b), which rounds differently where y is nearly b


class Fmod(Elementwise):
    """y = a - b trunc(a / b).  dy/da = 1,  dy/db = -trunc(a / b), as away from the jumps."""

    forward = np.fmod

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return -g * np.rint((a - y) / b)


class Copysign(Elementwise):
    """y = |a| with the sign of b.  dy/da = 1 where a and b have the same sign, else -1, and 0 at a = 0;  dy/db = 0."""

    forward = np.copysign

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g * np.sign(a) * np.where(np.signbit(b), -1, 1)

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return np.zeros_like(b)


class Fmax(Elementwise):
    """y = max(a, b), where a nan loses.  The derivative goes to what was taken, half to each where they are equal."""

    forward = np.fmax

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return np.where((a > b) | np.isnan(b), g, np.where(a == b, g / 2, 0))

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return np.where((b > a) | (np.isnan(a) & ~np.isnan(b)), g, np.where(a == b, g / 2, 0))


class Fmin(Elementwise):
    """y = min(a, b), where a nan loses.  The derivative goes to what was taken, half to each where they are equal."""

    forward = np.fmin

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return np.where((a < b) | np.isnan(b), g, np.where(a == b, g / 2, 0))

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return np.where((b < a) | (np.isnan(a) & ~np.isnan(b)), g, np.where(a == b, g / 2, 0))


# ------------------------------------------------------------------ steps: constant between their jumps


class Step(Elementwise):
    """A function that is constant between its jumps.  dy/dx = 0."""

    def vjp(self, g: Any, y: Any, *xs: Any) -> Any:
        return tuple(np.zeros_like(x) for x in xs)


class Floor(Step):
    """y = ⌊x⌋."""

    forward = np.floor


class Ceil(Step):
    """y = ⌈x⌉."""

    forward = np.ceil


class Trunc(Step):
    """y = x without its decimals."""

    forward = np.trunc


class Rint(Step):
    """y = the nearest whole number."""

    forward = np.rint


class FloorDivide(Step):
    """y = ⌊a / b⌋."""

    forward = np.floor_divide


class Round(Step):
    """y = x to so many decimals."""

    def __init__(self, decimals: int) -> None:
        self.decimals = decimals

    def forward(self, x: Any) -> Any:
        return np.round(x, self.decimals)


# ------------------------------------------------------------------ the identity under other names


class Positive(Op):
    """y = x.  dy/dx = 1."""

    forward = np.positive

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g


class Conjugate(Op):
    """y = x, since x is real.  dy/dx = 1."""

    forward = np.conjugate

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g


class Fabs(Op):
    """y = |x|.  dy/dx = sign x, which is 0 at 0."""

    forward = np.fabs

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * np.sign(x)


# ------------------------------------------------------------------ activations


class LeakyRelu(Op):
    """y = x where x > 0, else s x.  dy/dx = 1 or s."""

    def __init__(self, negative_slope: float) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        return np.where(x > 0, x, self.negative_slope * x)

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return np.where(x > 0, g, self.negative_slope * g)


class Elu(Op):
    """y = x where x > 0, else α (e^x - 1).  dy/dx = 1 or α e^x."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        return np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        negative = np.where(x > 0, 0, x)  # e^x of a large x is not wanted, and would overflow
        return np.where(x > 0, g, g * (self.alpha * np.exp(negative)))


_erfc = np.vectorize(math.erfc, otypes=[float])


class NormalCdf(Op):
    """y = Φ(x) = erfc(-x / √2) / 2, the share of a standard normal below x.  dy/dx = e^(-x²/2) / √(2π)."""

    def forward(self, x: Any) -> Any:
        x = np.asarray(x)
        y = _erfc(x / -math.sqrt(2)) / 2
        return y.astype(x.dtype) if x.dtype.kind == "f" else y

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * (np.exp(x * x / -2) / math.sqrt(2 * math.pi))


normal_cdf = NormalCdf()
rad2deg, deg2rad, _sinc = Rad2deg(), Deg2rad(), Sinc()

SCALAR: tuple[Op, ...] = (
    *(Reciprocal(), Cbrt(), Exp2(), Expm1(), Log2(), Log10(), Log1p()),
    *(Tan(), Arcsin(), Arccos(), Arctan(), Sinh(), Cosh(), Arcsinh(), Arccosh(), Arctanh(), deg2rad, rad2deg),
    *(Logaddexp(), Logaddexp2(), Hypot(), Arctan2(), Remainder(), Fmod(), Copysign(), Fmax(), Fmin()),
    *(Floor(), Ceil(), Trunc(), Rint(), FloorDivide(), Positive(), Conjugate(), Fabs()),
)
"""The ops here whose `forward` is a ufunc of NumPy."""

remainder, floor_divide, positive = Remainder(), FloorDivide(), Positive()


def sinc(x: Any) -> Any:
    """As `np.sinc`."""
    return _sinc(x)


def round(a: Any, decimals: int = 0) -> Any:
    """As `np.round`; its derivative is 0."""
    return Round(decimals)(a)


def fix(x: Any) -> Any:
    """As `np.fix`; its derivative is 0."""
    return np.trunc(x)


def real(val: Any) -> Any:
    """As `np.real`: a Tensor is real."""
    return positive(val)


def copy(a: Any, order: str = "K") -> Any:
    """As `np.copy`: a Tensor's values never change, but the copy has a place of its own on the tape."""
    return positive(a)


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """x where it is positive, else `negative_slope` times x.

    >>> import tinygrad_rnn as tg
    >>> tg.leaky_relu(tg.tensor([-1.0, 2.0])).data
    array([-0.01,  2.  ])
    """
    return LeakyRelu(negative_slope)(x)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where it is positive, else alpha (e^x - 1).

    >>> import tinygrad_rnn as tg
    >>> tg.elu(tg.tensor([-1.0, 2.0])).data.round(3)
    array([-0.632,  2.   ])
    """
    return Elu(alpha)(x)


def gelu(x: Any, approximate: str = "none") -> Any:
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
