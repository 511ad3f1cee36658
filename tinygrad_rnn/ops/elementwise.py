"""Ops that work entry by entry: arithmetic, exponentials, squashing functions, choices.

Each class states the function and its derivative; the rule below is the derivative times ``g = dL/dy``.
Operands broadcast against each other as NumPy's do. The adjoint of copying an entry along an axis is adding the
gradients of its copies, so a gradient larger than its operand is summed back (`Elementwise.fit`), once for all rules.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.tape import Op
from .shape import sum_to


class Elementwise(Op):
    """An op whose operands broadcast."""

    def fit(self, g: Any, x: Any) -> Any:
        return sum_to(g, x.shape)


# ------------------------------------------------------------------ arithmetic


class Add(Elementwise):
    """y = a + b.  dy/da = 1,  dy/db = 1."""

    forward = np.add

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g


class Subtract(Elementwise):
    """y = a - b.  dy/da = 1,  dy/db = -1."""

    forward = np.subtract

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return -g


class Multiply(Elementwise):
    """y = a b.  dy/da = b,  dy/db = a."""

    forward = np.multiply

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g * b

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g * a


class Divide(Elementwise):
    """y = a / b.  dy/da = 1 / b,  dy/db = -y / b."""

    forward = np.divide

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g / b

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return -g * y / b


class Power(Elementwise):
    """y = a^b.  dy/da = b a^(b-1), which is 0 where a = b = 0;  dy/db = y log a, which is 0 where a = 0 <= b.

    As in NumPy, a negative a to the power of a fraction is nan. So is dy/db of a negative a: its powers near b are.
    """

    forward = np.power

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g * (b * a ** np.where((a == 0) & (b == 0), 1, b - 1))

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g * (y * np.log(np.where(a == 0, 1, a)))


class Negative(Op):
    """y = -x.  dy/dx = -1."""

    forward = np.negative

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return -g


class Square(Op):
    """y = x².  dy/dx = 2 x."""

    forward = np.square

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * (2 * x)


class Absolute(Op):
    """y = |x|.  dy/dx = sign x, which is 0 at 0."""

    forward = np.absolute

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * np.sign(x)


class Sign(Op):
    """y = sign x.  dy/dx = 0."""

    forward = np.sign

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return np.zeros_like(x)


# ------------------------------------------------------------------ exponentials and squashing functions


class Exp(Op):
    """y = e^x.  dy/dx = y."""

    forward = np.exp

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * y


class Log(Op):
    """y = log x.  dy/dx = 1 / x."""

    forward = np.log

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g / x


class Sqrt(Op):
    """y = √x.  dy/dx = 1 / (2 y)."""

    forward = np.sqrt

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g / (2 * y)


class Sin(Op):
    """y = sin x.  dy/dx = cos x."""

    forward = np.sin

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * np.cos(x)


class Cos(Op):
    """y = cos x.  dy/dx = -sin x."""

    forward = np.cos

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return -g * np.sin(x)


class Tanh(Op):
    """y = tanh x.  dy/dx = 1 - y²."""

    forward = np.tanh

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g - g * y * y  # with no number among the arrays: to NumPy a number costs more than a small array


class Sigmoid(Op):
    """y = σ(x) = 1 / (1 + e^-x).  dy/dx = y (1 - y)."""

    def forward(self, x: Any) -> Any:
        z = np.exp(-np.abs(x))  # never overflows, and small y keep their digits
        return np.maximum(z, np.sign(x)) / (1 + z)  # above the line 1 where x >= 0, else z

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * (y - y * y)


class Softplus(Op):
    """y = log(1 + e^x), which overflows nowhere.  dy/dx = σ(x)."""

    def forward(self, x: Any) -> Any:
        return np.logaddexp(0, x)

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * sigmoid(x)


class Relu(Op):
    """y = max(x, 0).  dy/dx = 1 where x > 0, else 0."""

    def forward(self, x: Any) -> Any:
        return np.maximum(x, 0)

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return np.where(x > 0, g, 0)


# ------------------------------------------------------------------ choices


class Maximum(Elementwise):
    """y = max(a, b).  dy/da = 0 where a < b, 1/2 where a = b, else 1;  dy/db the other way round."""

    forward = np.maximum

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return np.where(a < b, 0, np.where(a == b, g / 2, g))  # in this order a nan among them stays visible

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return np.where(b < a, 0, np.where(a == b, g / 2, g))


class Minimum(Elementwise):
    """y = min(a, b).  dy/da = 0 where a > b, 1/2 where a = b, else 1;  dy/db the other way round."""

    forward = np.minimum

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return np.where(a > b, 0, np.where(a == b, g / 2, g))

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return np.where(b > a, 0, np.where(a == b, g / 2, g))


class Where(Elementwise):
    """y = a where the condition holds, else b.  dy/da = 1 and dy/db = 0 there, elsewhere the reverse."""

    def forward(self, condition: Any, a: Any, b: Any) -> Any:
        return np.where(condition, a, b)

    def vjp_condition(self, g: Any, y: Any, condition: Any, a: Any, b: Any) -> None:
        return None

    def vjp_a(self, g: Any, y: Any, condition: Any, a: Any, b: Any) -> Any:
        return np.where(condition, g, 0)

    def vjp_b(self, g: Any, y: Any, condition: Any, a: Any, b: Any) -> Any:
        return np.where(condition, 0, g)


add, subtract, multiply, divide, power = Add(), Subtract(), Multiply(), Divide(), Power()
negative, square, absolute, sign = Negative(), Square(), Absolute(), Sign()
exp, log, sqrt, sin, cos = Exp(), Log(), Sqrt(), Sin(), Cos()
tanh, sigmoid, softplus, relu = Tanh(), Sigmoid(), Softplus(), Relu()
maximum, minimum, _where = Maximum(), Minimum(), Where()


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """As `np.where` with three arguments; the condition has no gradient."""
    if x is None or y is None:
        raise TypeError("np.where of a Tensor needs all three arguments: np.where(condition, x, y)")
    return _where(getattr(condition, "array", condition), x, y)


def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """y = min(max(x, a_min), a_max), as `np.clip`; either bound may be None. At a bound half the gradient passes."""
    a_min, a_max = min if a_min is None else a_min, max if a_max is None else a_max
    low = a if a_min is None else maximum(a, a_min)
    return low if a_max is None else minimum(low, a_max)
