"""Indexing: ``x[index]`` with every kind of index NumPy knows.

The gradient goes back to the entries that were taken, added up where one was taken several times. It stays
lazy (`Indexed`): a sequence is read one time step at a time, and T arrays of zeros with one filled step each
would make the backward pass quadratic in T.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..cotangent import Indexed
from ..tape import Op


class GetItem(Op):
    """y = x[index].  dL/dx[index] = g, and 0 elsewhere."""

    name = "getitem"

    def __init__(self, index: Any) -> None:
        self.index = index

    def forward(self, x: Any) -> Any:
        return x[self.index]

    def vjp(self, g: Any, y: Any, x: Any) -> Indexed:
        return Indexed(self.index, g, x)


def plain_index(index: Any) -> Any:
    """An index without Tensors, lists or arrays that somebody else may write to."""
    if isinstance(index, tuple):
        return tuple(plain_index(part) for part in index)
    if isinstance(index, list | np.ndarray) or hasattr(index, "array"):
        array = np.array(getattr(index, "array", index))
        if array.size == 0 and isinstance(index, list):
            array = array.astype(np.intp)
        if array.dtype.kind not in "iub":
            raise IndexError(f"an index array must hold integers or booleans, not {array.dtype}")
        return array if array.ndim else array[()]
    return index
