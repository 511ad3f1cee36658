"""Ops as expressions of single numbers, as numba compiles them within a loop."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import CompileError
from .values import Value

EXPRESSIONS = {
    "add": "{} + {}",
    "subtract": "{} - {}",
    "multiply": "{} * {}",
    "divide": "{} / {}",
    "negative": "-{}",
    "positive": "{}",
    "square": "{0} * {0}",
    "reciprocal": "F(1) / {}",
    "absolute": "abs({})",
    "fabs": "abs({})",
    "power": "power({}, {})",
    "sqrt": "np.sqrt({})",
    "exp": "exp({})",
    "tanh": "tanh({})",
    "sigmoid": "sigmoid({})",
    "softplus": "softplus({})",
    "relu": "maximum({}, F(0))",
    "maximum": "maximum({}, {})",
    "minimum": "minimum({}, {})",
    "where": "({1} if {0} else {2})",
    "sign": "sign({})",
    "less": "({} < {})",
    "less_equal": "({} <= {})",
    "greater": "({} > {})",
    "greater_equal": "({} >= {})",
    "equal": "({} == {})",
    "not_equal": "({} != {})",
    "logical_not": "(not {})",
    "logical_and": "({} and {})",
    "logical_or": "({} or {})",
    "hypot": "np.hypot({}, {})",
    "isnan": "({0} != {0})",
    "cast": "F({})",
    "zeros_like": "F(0)",
    "ones_like": "F(1)",
    **{
        name: f"np.{name}({{}})" for name in ("log", "log2", "log10", "log1p", "expm1", "exp2", "floor", "ceil", "cbrt")
    },
    **{name: f"np.{name}({{}})" for name in ("sin", "cos", "tan", "sinh", "cosh", "arcsin", "arccos", "arctan")},
}
"""Op by op the text of one entry of its result, given the texts of its arguments."""

REDUCTIONS = {
    "sum": ("F(0)", "plus"),
    "mean": ("F(0)", "plus"),
    "max": ("-F(np.inf)", "maximum"),
    "min": ("F(np.inf)", "minimum"),
}
"""What a sum over a row begins with, and what takes the next entry."""

_PLAIN = """
    add subtract multiply negative positive square absolute fabs relu maximum minimum where sign cast zeros_like
    ones_like less less_equal greater greater_equal equal not_equal logical_not logical_and logical_or isnan
    columns concatenate broadcast
"""
CHEAP = set(_PLAIN.split())


def cheap(v: Value) -> bool:
    """Whether it is sooner computed again than kept. The rest: products, sums over a row, divisions and functions."""
    return v.name in CHEAP or by_row(v)


def by_row(v: Value) -> bool:
    """Whether a value is divided by one number a row: multiplied by its reciprocal, of which there is one a row too."""
    return v.name == "divide" and v.columns > 1 and v.args[1].varies and v.args[1].columns == 1


def scalar(v: Value, args: list[str]) -> str:
    """The text of one entry of a value."""
    if v.name in EXPRESSIONS:
        return EXPRESSIONS[v.name].format(*args)
    if v.op is not None and v.name == "apply":
        return str(applied(v, args))
    raise CompileError(f"numba has no expression for {v.op or v.name}")


def applied(v: Value, args: list[str]) -> Text:
    """An op of the user's own: what its `forward` does to a text."""
    try:
        y = v.op.forward(*[Text(x) if arg.varies else arg.number for x, arg in zip(args, v.args, strict=True)])  # type: ignore[union-attr]
        y = y[v.output] if v.op.outputs > 1 else y  # type: ignore[union-attr]
    except Exception as error:
        raise CompileError(f"{v.op} is more than an expression of single numbers ({error})") from None
    if not isinstance(y, Text):
        raise CompileError(f"{v.op} is more than an expression of single numbers")
    return y


class Text(np.lib.mixins.NDArrayOperatorsMixin):
    """Stands for a number, and knows only the text that computes it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Text:
        name = ufunc.__name__
        if method != "__call__" or options or name not in EXPRESSIONS:
            raise CompileError(f"np.{name} of this kind")
        return Text(f"({EXPRESSIONS[name].format(*map(_text, inputs))})")

    def __array_function__(self, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Text:
        if func is np.where and len(args) == 3 and not kwargs:
            return Text(EXPRESSIONS["where"].format(*map(_text, args)))
        raise CompileError(f"np.{func.__name__}")


def _text(x: Any) -> str:
    if isinstance(x, Text):
        return x.text
    if np.ndim(x) == 0:
        return f"F({float(x)!r})"
    raise CompileError("an array of its own")
