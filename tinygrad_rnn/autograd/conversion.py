"""How a Tensor becomes something else: a number, a list, another library's array.

A number in Python, or an entry of a plain array, carries no gradient. So ``float(t)``, ``array[i] = t``,
``math.sqrt(t)`` and ``np.fromiter`` are refused where a gradient would be lost by them; ``t.item()`` and
``t.detach()`` say that this is meant.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Self, TypeVar

import numpy as np

from ..engine.arrays import DType
from ..engine.flat import flat
from ..engine.modes import mode
from ..errors import NotDifferentiableError, ShapeError
from ..ops import FUNCTIONS, UFUNCS, functions
from . import refusals

F = TypeVar("F", bound=Callable[..., Any])


class Conversion:
    """What Python and other libraries ask of a Tensor that is to become something else."""

    __slots__ = ()

    array: np.ndarray
    data: np.ndarray
    requires_grad: bool

    # ---------------------------------------------------------------- numbers

    def item(self) -> Any:
        """The only entry, as a Python number, without the gradient."""
        if self.array.size != 1:
            raise ShapeError(f"item() needs a tensor with one entry, and this has shape {self.array.shape}")
        return self.array.item()

    def tolist(self) -> Any:
        """The entries as nested lists of Python numbers."""
        refuse_loss(self, "t.tolist()", "t.detach().tolist()")
        return self.array.tolist()

    def __float__(self) -> float:
        return float(_number(self))

    def __int__(self) -> int:
        return int(_number(self))

    def __complex__(self) -> complex:
        return complex(_number(self))

    def __round__(self, ndigits: int | None = None) -> Self:
        return functions.round(self, ndigits or 0)

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise ValueError(
                f"the truth of a tensor of shape {self.array.shape} is ambiguous: use np.any(t) or np.all(t)"
            )
        return bool(self.array)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    # ---------------------------------------------------------------- arrays

    def __array__(self, dtype: DType = None, copy: bool | None = None) -> np.ndarray:
        refuse_loss(self, "turning a Tensor that needs a gradient into an array", "t.detach() or t.data")
        return np.array(self.data, dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        refuse_loss(self, "giving a Tensor that needs a gradient to another library", "t.detach()")
        array = self.data
        return (array if array.flags.writeable else array.copy()).__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()

    # ---------------------------------------------------------------- names from elsewhere

    def __getattr__(self, name: str) -> Any:
        cure = _ELSEWHERE.get(name)
        if cure is None and name in _NUMPYS:
            cure = f"np.{name}(t, ...)"
        raise AttributeError(f"a Tensor has no {name!r}" + (f": write {cure}" if cure else ""), name=name, obj=self)


def _number(t: Any) -> Any:
    number = t.item()
    refuse_loss(t, "a plain number made of a Tensor that needs a gradient (float(t), array[i] = t, math.sqrt(t))")
    return number


def refuse_loss(t: Any, what: str, cure: str = "t.item() or float(t.detach())") -> None:
    """Raise NotDifferentiableError where a gradient is recorded that `what` would lose."""
    if mode().recording and not flat(t):
        if (function := refusals.asked_by(sys._getframe(2))) is not None:
            if refusals.is_known(function):  # so it was not given the Tensor itself
                raise NotDifferentiableError(
                    f"{function} of a list of Tensors would lose the gradient: put them together first, as in "
                    f"{function}(np.stack(list)), or take plain numbers, [t.item() for t in list]"
                )
            maths = function.startswith(("np.", "scipy."))  # and not a plot, a table or the like
            cure = refusals.cure(function) if maths else "give it t.detach() if that is meant"
            raise NotDifferentiableError(
                f"{function} of a Tensor is not supported, since {what} would lose the gradient: {cure}"
            )
        raise NotDifferentiableError(
            f"{what} would lose the gradient: use {cure} if that is meant; to put Tensors together np.stack or "
            "np.concatenate, and NumPy's functions in place of math's"
        )


def numpys_words(method: F) -> F:
    """A method whose axis PyTorch calls dim: called so, the error says what it is called here."""

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except TypeError:
            for theirs, ours in (("dim", "axis"), ("keepdim", "keepdims")):
                if theirs in kwargs:
                    raise TypeError(f"{method.__name__}({theirs}=...): the name is NumPy's here, {ours}=") from None
            raise

    named: Any = call
    return named


_NUMPYS = {function.__name__ for function in (*FUNCTIONS, *UFUNCS)}
_CPU = "nothing: all arrays are in the CPU's memory"
_IN_PLACE = "`with tg.no_grad():` and then t[...] = ..., t += ..., or another assignment in place"
_CHANGING = "zero_ fill_ copy_ add_ sub_ mul_ div_ pow_ clamp_ uniform_ normal_ addcmul_ addcdiv_ fill put"
_ELSEWHERE = dict.fromkeys(_CHANGING.split(), _IN_PLACE) | {
    "view": "t.reshape(...)",
    "view_as": "t.reshape(other.shape)",
    "reshape_as": "t.reshape(other.shape)",
    "unsqueeze": "np.expand_dims(t, axis) or t[None]",
    "permute": "t.transpose(axes)",
    "t": "t.T",
    "mT": "t.swapaxes(-1, -2)",
    "expand": "np.broadcast_to(t, shape)",
    "expand_as": "np.broadcast_to(t, other.shape)",
    "numel": "t.size, a number",
    "nelement": "t.size, a number",
    "dim": "t.ndim, a number",
    "clone": "t * 1; for a new leaf tg.tensor(t, requires_grad=True)",
    "copy": "t * 1; for a new leaf tg.tensor(t, requires_grad=True)",
    "contiguous": "t alone: its layout in memory does not matter",
    "to": "t.astype(dtype); " + _CPU.replace("nothing", "there are no devices"),
    "type": "t.astype(dtype)",
    "float": "t.astype(np.float32)",
    "double": "t.astype(np.float64)",
    "half": "t.astype(np.float16)",
    "long": "t.detach().data.astype(np.int64)",
    "int": "t.detach().data.astype(int)",
    "cpu": _CPU,
    "cuda": _CPU,
    "device": _CPU,
    "requires_grad_": "t.requires_grad = True",
    "detach_": "t = t.detach()",
    "mm": "t @ other",
    "bmm": "t @ other",
    "mv": "t @ other",
    "matmul": "t @ other",
    "pow": "t ** other",
    "norm": "np.linalg.norm(t)",
    "masked_fill": "np.where(mask, value, t)",
    "gather": "np.take_along_axis(t, index, axis)",
    "index_select": "t[index]",
    "type_as": "t.astype(other.dtype)",
    "resize": "t.reshape(...)",
    "values": "t.data",
    "to_numpy": "t.detach().data",
    "clamp": "t.clip(min, max)",
}
