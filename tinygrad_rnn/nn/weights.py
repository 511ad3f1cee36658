"""What fills parameters: arrays and tensors of any library, checked, and then put in place all together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.at_once import assign
from ..errors import StateDictError


def as_arrays(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The values of a state dict as arrays. Raises StateDictError for what has no numbers, TypeError for no names."""
    for name in state:
        if not isinstance(name, str):
            raise TypeError(f"a state dict maps names to arrays, and {name!r} is no name")
    return {name: as_array(name, value) for name, value in state.items()}


def as_array(name: str, value: Any) -> np.ndarray:
    """The numbers of a Tensor, of another library's tensor, or of anything array-like.

    Of PyTorch's, also those that need a gradient or lie on another device. Types that NumPy does not have, as bfloat16,
    become float32, in which each of their numbers has its place.
    """
    if isinstance(value, Tensor):
        return value.array
    if isinstance(value, np.ma.MaskedArray):
        raise StateDictError(f"{name}: a masked array would lose its mask: fill it first, as in data.filled(0)")
    try:
        if hasattr(value, "detach") and hasattr(value, "cpu"):
            value = value.detach().cpu()
            if str(value.dtype).startswith(("torch.bfloat16", "torch.float8")):
                value = value.float()
        array = np.asarray(value)
        return array.astype(np.float32) if array.dtype.name.startswith(("bfloat16", "float8")) else array
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise StateDictError(f"{name}: cannot be made an array: {error}; give it as float32") from None


def problems_of(name: str, array: np.ndarray, shape: tuple[int, ...], dtype: np.dtype[Any]) -> list[str]:
    """What keeps an array from being the values of a weight of this shape and dtype."""
    if array.shape != shape:
        return [f"{name}: expected shape {shape}, got {array.shape}"]
    if array.dtype.kind != "f":
        return [f"{name}: expected dtype {dtype}, got {array.dtype}"]
    if array.dtype.itemsize > dtype.itemsize:
        with np.errstate(over="ignore"):
            lost = array[np.isfinite(array) & ~np.isfinite(array.astype(dtype))]
        if lost.size:
            return [f"{name}: {lost[0]} is beyond {dtype}"]
    return []


def refuse(problems: Iterable[str], what: str) -> None:
    """Raise StateDictError that lists the problems, if there are any."""
    lines = "\n  ".join(problems)
    if lines:
        raise StateDictError(f"{what}; nothing was changed:\n  {lines}")


def fill(values: Iterable[tuple[Tensor, np.ndarray]]) -> None:
    """Give parameters new values, copied and in their own dtype: all of them, or none."""
    new = [(p, np.array(value, dtype=p.dtype, order="C")) for p, value in values]
    assign([change for p, array in new for change in new_array(p, array)])


def new_array(p: Tensor, array: np.ndarray) -> list[tuple[Tensor, str, Any]]:
    """The changes that make an array, which nobody else writes to, the values of a leaf."""
    array.flags.writeable = False
    return [(p, "_array", array), (p, "locked", True)]
