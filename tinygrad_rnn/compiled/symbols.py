"""Symbols: what a step is given while it is recorded. A Tensor whose numbers nobody may look at.

What is decided by numbers would be decided once for all steps. So whatever asks for them is refused; comparisons, which
elsewhere give plain arrays, are recorded like anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.modes import mode
from ..engine.tape import Op, Record
from ..errors import CompileError
from ..ops.elementwise import Elementwise
from ..ops.registry import PLAIN, found

LOGICAL = """
    less less_equal greater greater_equal equal not_equal logical_not logical_and logical_or logical_xor
    isnan isinf isfinite signbit
"""
ANSWERS = {function: Elementwise(function, 0, 0) for function in found(LOGICAL.split())}
"""NumPy's functions that answer with booleans, as ops."""

CONSTANT = {f: Elementwise(lambda x, f=f: f(x), 0, name=f.__name__) for f in found(("zeros_like", "ones_like"))}
SHAPES = set(found(("shape", "ndim", "size")))


class NumbersAsked(CompileError, AttributeError):
    """The step looks at its numbers; as an AttributeError, since a symbol has none."""


def asked(what: str) -> NoReturn:
    raise NumbersAsked(
        f"the step looks at its numbers ({what}): what it decides by them would be decided once for all steps. Choose "
        "with np.where, which is recorded"
    )


def answer(op: Op, *inputs: Any) -> Any:
    """Apply an op by the recorder in force."""
    recorder = mode().recorder
    return asked(op.name) if recorder is None else recorder(op, inputs)


def _refusing(what: str) -> Callable[..., NoReturn]:
    return lambda self, *args, **kwargs: asked(what)


def _answering(ufunc: np.ufunc) -> Callable[..., Any]:
    return lambda self, *others: answer(ANSWERS[ufunc], self, *others)


class Symbol(Tensor):
    """A Tensor that stands for its value at every step."""

    __slots__ = ()

    array = data = property(_refusing("its array"))
    numpy = item = tolist = _refusing("item() or numpy()")
    any = all = argmax = argmin = argsort = nonzero = _refusing("a question about its entries")
    __array__ = _refusing("np.asarray")
    __float__ = __int__ = __bool__ = __index__ = __complex__ = _refusing("a Python number, or if")
    register_hook = retain_grad = _refusing("a hook on its gradient")
    __lt__, __le__, __gt__, __ge__ = map(_answering, (np.less, np.less_equal, np.greater, np.greater_equal))
    __eq__, __ne__ = map(_answering, (np.equal, np.not_equal))
    __invert__ = _answering(np.logical_not)
    __hash__ = object.__hash__

    def __and__(self, other: Any) -> Any:
        if isinstance(other, bool | np.bool_):  # as of two numbers that were compared
            return self if other else False
        return answer(ANSWERS[np.logical_and], self, other)

    def __or__(self, other: Any) -> Any:
        if isinstance(other, bool | np.bool_):
            return True if other else self
        return answer(ANSWERS[np.logical_or], self, other)

    __rand__, __ror__ = __and__, __or__

    def __getattr__(self, name: str) -> Any:
        return asked("its array") if name in ("array", "data") else super().__getattr__(name)

    def __len__(self) -> int:
        return len(self._array)

    def detach(self) -> Any:
        return answer(DETACH, self)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        if ufunc in ANSWERS and method == "__call__" and out is None and not kwargs:
            return answer(ANSWERS[ufunc], *inputs)
        if ufunc in PLAIN:
            asked(f"np.{ufunc.__name__}")
        return super().__array_ufunc__(ufunc, method, *inputs, out=out, **kwargs)

    def __array_function__(self, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if func in CONSTANT and len(args) == 1 and not kwargs:
            return answer(CONSTANT[func], *args)
        if func in SHAPES:
            return func(args[0]._array, *args[1:], **kwargs)
        if func in PLAIN:
            asked(f"np.{func.__name__}")
        return super().__array_function__(func, types, args, kwargs)

    def __repr__(self) -> str:
        return f"<the value {self.name or ''} of a step that is being recorded, {self.dtype}{list(self.shape)}>"


class Detach(Op):
    """y = x, at which the gradient stops."""

    def forward(self, x: Any) -> Any:
        return x

    def vjp(self, g: Any, y: Any, x: Any) -> None:
        return None


DETACH = Detach()


def symbols(values: tuple[np.ndarray, ...], record: Record | None, requires_grad: bool) -> tuple[Symbol, ...]:
    """The outputs of a record as symbols."""
    made = []
    for k, array in enumerate(values):
        x: Any = object.__new__(Symbol)
        x._array, x.locked, x.record, x.output, x.requires_grad = array, True, record, k, requires_grad
        x.cut = x._grad = x.name = x.hooks = None
        made.append(x)
    return tuple(made)
