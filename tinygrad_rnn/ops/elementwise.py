"""Ops that work entry by entry: a table of functions and their derivatives, as in the back of a calculus book.

    tanh = Elementwise(np.tanh, lambda y, x: 1 - y * y)

says y = tanh x and dy/dx = 1 - y². A function of two numbers has two derivatives, ∂y/∂a and ∂y/∂b. Each is a function
of y and the operands, or a number where it is the same everywhere. The rule of them all is stated once (`rule`):

    dL/da = g · ∂y/∂a,    where g = dL/dy

Operands broadcast against each other as NumPy's do. The adjoint of copying an entry along an axis is adding the
gradients of its copies, so a gradient larger than its operand is summed back (`Elementwise.fit`), once for all rules.

Where a function has a kink there is a choice, and the comment beside it says which was made.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..engine.arrays import A, Array, Bound, Function, Mask
from ..engine.tape import Op
from .registry import implements
from .shape import sum_to


class Over(NamedTuple):
    """A derivative that is 1 / d: g is divided by d, which is one operation less than making 1 / d first."""

    d: Function


class Taken(NamedTuple):
    """A derivative that is 1 where d holds, 0 elsewhere: there the gradient is 0 whatever g is, also inf or nan."""

    d: Function


class Shared(NamedTuple):
    """As `Taken`, of one of two operands: where they are equal, each gets half of g."""

    d: Function


Derivative = Function | Over | Taken | Shared | float


def rule(derivative: Derivative) -> Function:
    """dL/da as the sweep asks for it, with the arguments (op, g, y, a, b, ...): g times the derivative."""
    match derivative:
        case Over(d):
            return lambda op, g, *values: g / d(*values)
        case Taken(d):
            return lambda op, g, *values: np.where(d(*values), g, 0)
        case Shared(d):
            return lambda op, g, y, a, b: np.where(d(y, a, b), np.where(a == b, g / 2, g), 0)
        case 0:
            return lambda op, g, *values: np.zeros_like(g)
        case 1:
            return lambda op, g, *values: g
        case -1:
            return lambda op, g, *values: -g
        case int() | float():
            return lambda op, g, *values: g * derivative
    return lambda op, g, *values: g * derivative(*values)


class Elementwise(Op):
    """An op whose operands broadcast: ``Elementwise(f, ∂f/∂a, ∂f/∂b, ...)``; or a class with rules of its own.

    name        what it is called on the tape; by default as the function is
    parameters  what else belongs to the function, to be shown with it

    >>> import numpy as np, tinygrad_rnn as tg
    >>> softsign = Elementwise(lambda x: x / (1 + abs(x)), lambda y, x: 1 / (1 + abs(x)) ** 2, name="softsign")
    >>> x = tg.tensor([-1.0, 3.0], requires_grad=True)
    >>> softsign(x).sum().backward()
    >>> x.grad
    array([0.25  , 0.0625])
    """

    derivatives: tuple[Derivative, ...] = ()

    def __init__(self, f: Function | None = None, *derivatives: Derivative, name: str = "", **parameters: Any) -> None:
        if f is not None:
            self.forward, self.derivatives, self.shown = f, derivatives, parameters
            self.rules, self.name = tuple(map(rule, derivatives)), name or f.__name__
            self.flat = all(d == 0 for d in derivatives)

    def fit(self, g: Array, x: Array) -> Array:
        return sum_to(g, x.shape)

    @property
    def parameters(self) -> dict[str, Any]:
        return self.shown if self.derivatives else vars(self)


# fmt: off
# ------------------------------------------------------------------ arithmetic

add      = Elementwise(np.add, 1, 1)
subtract = Elementwise(np.subtract, 1, -1)
multiply = Elementwise(np.multiply, lambda y, a, b: b, lambda y, a, b: a)
divide   = Elementwise(np.divide, Over(lambda y, a, b: b), lambda y, a, b: -y / b)
negative = Elementwise(np.negative, -1)
square   = Elementwise(np.square, lambda y, x: 2 * x)
absolute = Elementwise(np.absolute, lambda y, x: np.sign(x))  # 0 at 0
sign     = Elementwise(np.sign, 0)

# As in NumPy, a negative a to the power of a fraction is nan. So is ∂y/∂b of a negative a: its powers near b are.
power = Elementwise(
    np.power,
    lambda y, a, b: b * a ** np.where((a == 0) & (b == 0), 1, b - 1),  # 0 where a = b = 0
    lambda y, a, b: y * np.log(np.where(a == 0, 1, a)),                # 0 where a = 0 <= b
)

# ------------------------------------------------------------------ exponentials and squashing functions

exp  = Elementwise(np.exp, lambda y, x: y)
log  = Elementwise(np.log, Over(lambda y, x: x))
sqrt = Elementwise(np.sqrt, Over(lambda y, x: y + y + 0.0))  # 1 / (2 y); + 0.0 makes -0 to 0
sin  = Elementwise(np.sin, lambda y, x: np.cos(x))
cos  = Elementwise(np.cos, lambda y, x: -np.sin(x))
tanh = Elementwise(np.tanh, lambda y, x: 1 - y * y)
# fmt: on


def _sigmoid(x: Array) -> Array:
    z = np.exp(-np.abs(x))  # never overflows, and small y keep their digits
    return np.maximum(z, np.sign(x)) / (1 + z)  # above the line 1 where x >= 0, else z


sigmoid = Elementwise(_sigmoid, lambda y, x: y - y * y, name="sigmoid")  # y = 1 / (1 + e^-x)
softplus = Elementwise(lambda x: np.logaddexp(0, x), lambda y, x: sigmoid(x), name="softplus")  # y = log(1 + e^x)
relu = Elementwise(lambda x: np.maximum(x, 0), Taken(lambda y, x: x > 0), name="relu")  # 0 at 0

# ------------------------------------------------------------------ choices

# The condition is "not less", rather than "greater or equal", so that a nan among a and b stays visible.
maximum = Elementwise(np.maximum, Shared(lambda y, a, b: ~(a < b)), Shared(lambda y, a, b: ~(b < a)))
minimum = Elementwise(np.minimum, Shared(lambda y, a, b: ~(a > b)), Shared(lambda y, a, b: ~(b > a)))


class Where(Elementwise):
    """y = a where the condition holds, else b.  ∂y/∂a = 1 and ∂y/∂b = 0 there, elsewhere the reverse."""

    def forward(self, condition: Mask, a: Array, b: Array) -> Array:
        return np.where(condition, a, b)

    def vjp_condition(self, g: Array, y: Array, condition: Mask, a: Array, b: Array) -> None:
        return None

    def vjp_a(self, g: Array, y: Array, condition: Mask, a: Array, b: Array) -> Array:
        return np.where(condition, g, 0)

    def vjp_b(self, g: Array, y: Array, condition: Mask, a: Array, b: Array) -> Array:
        return np.where(condition, 0, g)


_where = Where()


@implements("where")
def where(condition: Mask, x: Any = None, y: Any = None) -> Any:
    """As `np.where` with three arguments; the condition has no gradient."""
    if x is None or y is None:
        raise TypeError("np.where of a Tensor needs all three arguments: np.where(condition, x, y)")
    return _where(getattr(condition, "array", condition), x, y)


@implements("clip")
def clip(a: A, a_min: Bound = None, a_max: Bound = None, *, min: Bound = None, max: Bound = None) -> A:
    """y = min(max(x, a_min), a_max), as `np.clip`; either bound may be None. At a bound half the gradient passes."""
    a_min, a_max = min if a_min is None else a_min, max if a_max is None else a_max
    low = a if a_min is None else maximum(a, a_min)
    return low if a_max is None else minimum(low, a_max)
