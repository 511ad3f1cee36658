"""Indexing: ``x[index]`` with every kind of index NumPy knows.

The gradient goes back to the entries that were taken, added up where one was taken several times. It stays
lazy (`Indexed`): a sequence is read one time step at a time, and T arrays of zeros with one filled step each
would make the backward pass quadratic in T.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.arrays import Array
from ..engine.cotangent import Indexed
from ..engine.tape import Op


class GetItem(Op):
    """y = x[index].  dL/dx[index] = g, and 0 elsewhere."""

    name = "getitem"

    def __init__(self, index: Any) -> None:
        self.index = index

    def forward(self, x: np.ndarray) -> np.ndarray:
        if isinstance(self.index, np.ndarray) and self.index.dtype.kind == "i" and x.ndim:
            return x.take(self.index, 0)  # the same rows in a third of the time
        return x[self.index]

    def vjp(self, g: Array, y: Array, x: Array) -> Indexed:
        return Indexed(self.index, g, x)


def plain_index(index: Any) -> Any:
    """An index without Tensors, lists or arrays that somebody else may write to: numbers, slices, arrays of our own.

    Whatever else NumPy would take as a list of places (a tuple inside a tuple, any object with ``__array__``) becomes
    an array too, so that the gradient knows that places may repeat.
    """
    return tuple(map(_plain_part, index)) if isinstance(index, tuple) else _plain_part(index)


def _plain_part(part: Any) -> Any:
    if part is None or part is Ellipsis or isinstance(part, slice | np.integer):
        return part
    if isinstance(part, int) and not isinstance(part, bool):
        return part
    array = np.array(getattr(part, "array", part))
    if array.size == 0 and not hasattr(part, "dtype"):
        array = array.astype(np.intp)  # an empty list names no places
    if array.dtype.kind not in "iub":
        raise IndexError(f"getitem: an index array must hold integers or booleans, not {array.dtype}")
    return array if array.ndim else array[()]
