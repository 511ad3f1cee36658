"""Changing a leaf in place: ``w -= lr * w.grad``, ``w[0] = 1``, ``np.subtract(w, g, out=w)``.

A leaf stays the same object, so whoever holds it (an optimizer, a module, a list of parameters) sees the new values.
What was computed from it keeps the old ones: a leaf gets a new array, and records keep theirs. A result of an op is
never changed: ``h += x`` gives the name ``h`` to a new tensor. Neither may hide a step from the tape, so while it
records, a leaf that needs a gradient is not changed, and a value that needs one is not written into anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar

import numpy as np

from ..engine.arrays import Function, Operand
from ..engine.modes import mode
from ..engine.tape import Op, Record
from ..errors import DtypeError, GraphError, NotDifferentiableError, ShapeError
from ..ops import elementwise, functions, indexing, linalg

T = TypeVar("T", bound="InPlace")

INTO_THE_FIRST = {np.copyto, np.put, np.place, np.putmask, np.put_along_axis, np.fill_diagonal}


class InPlace:
    """The augmented assignments and item assignment of a Tensor."""

    __slots__ = ()

    array: np.ndarray
    data: np.ndarray
    record: Record | None
    requires_grad: bool

    @staticmethod
    def apply_op(op: Op, *inputs: Any) -> Any:
        """Apply an op, with a record where one is needed."""
        raise NotImplementedError

    def __iadd__(self, other: Operand) -> Self:
        return changed(self, elementwise.add, other, "+=")

    def __isub__(self, other: Operand) -> Self:
        return changed(self, elementwise.subtract, other, "-=")

    def __imul__(self, other: Operand) -> Self:
        return changed(self, elementwise.multiply, other, "*=")

    def __itruediv__(self, other: Operand) -> Self:
        return changed(self, elementwise.divide, other, "/=")

    def __ifloordiv__(self, other: Operand) -> Self:
        return changed(self, functions.floor_divide, other, "//=")

    def __imod__(self, other: Operand) -> Self:
        return changed(self, functions.remainder, other, "%=")

    def __ipow__(self, other: Operand) -> Self:
        return changed(self, elementwise.power, other, "**=")

    def __imatmul__(self, other: Operand) -> Self:
        return changed(self, linalg.matmul, other, "@=")

    def __setitem__(self, index: Any, value: Operand) -> None:
        array = writable(self, "t[...] = ...", value)
        array[indexing.plain_index(index)] = plain(value)


def changed(t: T, op: Op, other: Operand, sign: str) -> T:
    """``t = op(t, other)``: the leaf t itself with new values, or a new tensor where it is no leaf."""
    if t.record is not None or (needs_gradient(other) and not needs_gradient(t)):
        return t.apply_op(op, t, other)
    if needs_gradient(t):
        raise GraphError(
            f"t {sign} ... of a leaf that needs a gradient, while it is recorded: to train it write "
            f"`with tg.no_grad(): t {sign} ...` (or t.data {sign} ...), for a new tensor t = t {sign[:-1]} ..."
        )
    old, new = t.array, t.apply_op(op, t, other).array
    if new.shape != old.shape:
        raise ShapeError(f"t {sign} ...: the result has shape {new.shape}, and t has shape {old.shape} and is changed")
    if not np.can_cast(new.dtype, old.dtype, "same_kind"):
        raise DtypeError(f"t {sign} ...: the result is {new.dtype}, and t is {old.dtype} and is changed in place")
    t.array = new.astype(old.dtype, copy=False)
    return t


def needs_gradient(x: Any) -> bool:
    """Whether something computed from x now, or from what a list of it holds, would be recorded."""
    if isinstance(x, list | tuple):
        return any(map(needs_gradient, x))
    return isinstance(x, InPlace) and getattr(x, "requires_grad", False) and mode().recording


def writable(target: np.ndarray | InPlace, call: str, *values: Any) -> np.ndarray:
    """The array of a leaf, or the array itself, to write values into; refused where a gradient would be lost."""
    if needs_gradient(values):
        raise NotDifferentiableError(
            f"{call} would lose the gradient of what is written: write the result to a new name, or put "
            "Tensors together with np.where, np.stack or np.concatenate; for plain numbers use t.detach().data"
        )
    if not isinstance(target, InPlace):
        return target
    if target.record is not None or needs_gradient(target):
        raise NotDifferentiableError(
            f"{call}: a Tensor cannot be written into while it is recorded, and the result of an op never, since rules "
            "rely on what was computed. Build the result with np.where, np.stack or np.concatenate; a leaf can be "
            "changed in place within `with tg.no_grad():`, or through t.data"
        )
    return target.data


def into(
    call: Callable[..., Any], name: str, targets: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """A NumPy function with ``out=targets``: arrays, or leaves, for which their arrays stand in."""
    arrays = tuple([writable(x, name, args, *kwargs.values()) for x in targets])
    call(*plain(args), out=arrays if len(arrays) > 1 else arrays[0], **plain(kwargs))
    return targets if len(targets) > 1 else targets[0]


def into_first(call: Function, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A NumPy function that writes into its first argument, as `np.copyto` and `np.add.at` do."""
    target, *rest = args
    return call(writable(target, name, rest, *kwargs.values()), *plain(rest), **plain(kwargs))


def plain(x: Any) -> Any:
    """A Tensor's array, also inside lists, tuples and dicts; anything else as it is."""
    if isinstance(x, dict):
        return {key: plain(value) for key, value in x.items()}
    if isinstance(x, list | tuple):
        return type(x)(map(plain, x))
    return x.array if isinstance(x, InPlace) else x
