"""What goes into Tensors, ops and backward passes, checked: data, results, gradients to start from; why an op fails.

Nothing here knows the class of a Tensor; `tensor.py` builds on this file.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.anomaly import check_start
from ..engine.arrays import DType
from ..engine.lending import own
from ..engine.modes import at_step, mode
from ..engine.tape import Op
from ..errors import DtypeError, GraphError, NonScalarError, NotDifferentiableError, ShapeError


def is_tensor(x: object) -> bool:
    """Whether x is a Tensor, without knowing its class."""
    return hasattr(x, "apply_op")


def start_gradient(y: Any, gradient: Any, caller: str) -> Any:
    """The gradient to start a sweep from at y, checked."""
    if not is_tensor(y):
        raise no_tensor(y, f"{caller} needs a Tensor")
    if not y.requires_grad:
        raise GraphError(
            f"{caller} on a tensor that needs no gradient: no input had requires_grad=True, or it was computed under "
            "no_grad() or behind detach()"
        )
    if gradient is None:
        if y.size != 1:
            raise NonScalarError(
                f"{caller} of a tensor of shape {y.shape} needs to know dL/d(this): reduce it to a loss first, as in "
                f"y.sum(), or pass a gradient of shape {y.shape}"
            )
        return np.ones_like(y.array)
    if is_tensor(gradient):
        g: Any = gradient if gradient.dtype == y.dtype else gradient.astype(y.dtype)
    else:
        g = as_array(gradient, y.dtype, f"the gradient of {caller}")
    if g.shape != y.shape:
        raise ShapeError(f"{caller}: the gradient has shape {g.shape}, but the tensor has shape {y.shape}")
    if mode().anomaly:
        check_start(caller, y, g)
    return g


def no_tensor(given: Any, needed: str) -> TypeError:
    """What to raise where something else was given: for what is often taken for a Tensor with the way to one."""
    way = ""
    if isinstance(given, tuple):
        way = ". A layer returns (output, state): pass the output, or a loss that was computed from it"
    elif hasattr(given, "named_parameters"):
        way = ", which is a module: call it on an input, and pass what it computes"
    return TypeError(f"{needed}, not {type(given).__name__}{way}")


def as_array(data: Any, dtype: DType, what: str = "a tensor") -> np.ndarray:
    """A copy of the data as an array of real numbers."""
    if is_tensor(data):
        data = data.array
    if isinstance(data, np.ma.MaskedArray):
        raise DtypeError(f"{what} cannot be a masked array: fill it first, as in data.filled(0)")
    if getattr(type(data), "__array_ufunc__", True) is None:
        raise DtypeError(f"{what} cannot be {type(data).__name__}, which says that it takes no part in NumPy")
    if not isinstance(data, np.ndarray | list | tuple | int | float | np.generic):
        if not hasattr(data, "__array__"):
            raise DtypeError(f"{what} needs numbers, a list or an array, not {type(data).__name__}")
        data = np.asarray(data)  # first without a copy: not every library's __array__ knows of copies
    if isinstance(data, list | tuple) and any(is_tensor(x) for x in data):
        raise DtypeError(f"{what} cannot be a list of Tensors: put them together with np.stack")
    try:
        array = np.array(data)
    except (ValueError, TypeError) as error:
        raise DtypeError(f"{what} needs numbers in equal rows: {error}") from None
    new = array.dtype if dtype is None else np.dtype(dtype)
    for given in (array.dtype, new):
        if given.kind not in "fiub":
            cure = ": it holds None, integers beyond 64 bits (make them floats), or no numbers" * (given.kind == "O")
            raise DtypeError(f"{what} needs real numbers, not dtype {given}{cure}")
    return array.astype(new, copy=False)


def as_operand(x: Any, op: Op) -> Any:
    """What an op is given that is no Tensor: a number as it is, anything else as an array."""
    return x if isinstance(x, _NUMBERS) else as_array(x, None, f"an operand of {op.name}")


_NUMBERS = (float, int, np.floating, np.integer, np.bool_)  # a bool is an int


def as_outputs(value: Any, op: Op) -> tuple[np.ndarray, ...]:
    """What forward returned as a tuple of arrays, also where it is a number."""
    if op.ours and type(value) is tuple and len(value) == op.outputs > 1 and set(map(type, value)) == {np.ndarray}:
        return value
    several = op.outputs > 1
    if isinstance(value, tuple | list) != several or (several and len(value) != op.outputs):
        given = f"{len(value)} outputs" if isinstance(value, tuple | list) else "one output"
        raise TypeError(f"forward of op {op.name} returned {given}, and its `outputs` is {op.outputs}")
    values = tuple(map(np.asanyarray, value if several else (value,)))
    return values if op.ours else tuple([own(y, f"forward of op {op.name}") for y in values])


def explained(error: Exception, op: Op, arrays: list[Any]) -> Exception:
    """The same failure, saying which op it was, of what, and in which step."""
    shapes = ", ".join(map(_described, arrays))
    where = at_step(mode().step)
    message = f"{op.name} of {shapes}{where}: {error}"
    for kind in (
        NotDifferentiableError,
        np.linalg.LinAlgError,
        np.exceptions.AxisError,
        IndexError,
        TypeError,
        OverflowError,
    ):
        if isinstance(error, kind):
            return kind(message)
    if "read-only" in str(error):  # NumPy's words where a forward writes into what others hold
        return ValueError(
            f"{message}: make a new array, x = x + 1 in place of x += 1, since the tape keeps what it was"
        )
    return ShapeError(message)


def _described(a: object) -> str:
    if isinstance(a, np.ndarray):
        return f"{a.dtype}{list(a.shape)}"
    return f"an integer of {a.bit_length()} bits" if isinstance(a, int) and a.bit_length() > 64 else repr(a)
