"""Ops that move entries without changing them: the gradient goes back the way the entry came.

They come in adjoint pairs: broadcast_to and sum_to, concatenate and split, a transposition and its inverse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..engine.arrays import A, Array, Arrays, Axis, Casting, DType, Shape
from ..engine.tape import Op
from ..errors import NotDifferentiableError
from .blas import column_sums
from .registry import implements


class Reshape(Op):
    """The same entries under other axes.  The gradient gets the old axes back."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        return np.reshape(x, self.shape)

    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        return np.reshape(g, x.shape)


class ExpandDims(Op):
    """New axes of size 1."""

    def __init__(self, axis: int | tuple[int, ...]) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        return np.expand_dims(x, self.axis)

    vjp = Reshape.vjp


class Squeeze(Op):
    """Without axes of size 1."""

    def __init__(self, axis: Axis) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        return np.squeeze(x, self.axis)

    vjp = Reshape.vjp


class Transpose(Op):
    """The axes in another order.  The gradient goes through the inverse permutation."""

    def __init__(self, axes: Sequence[int] | None) -> None:
        self.axes = axes

    def forward(self, x: Array) -> Array:
        return np.transpose(x, self.axes)

    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        inverse = None if self.axes is None else np.argsort([axis % x.ndim for axis in self.axes])
        return np.transpose(g, inverse)


class SwapAxes(Op):
    """Two axes exchanged, and exchanged again on the way back."""

    def __init__(self, first: int, second: int) -> None:
        self.first, self.second = first, second

    def forward(self, x: Array) -> Array:
        return np.swapaxes(x, self.first, self.second)

    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        return np.swapaxes(g, self.first, self.second)


class BroadcastTo(Op):
    """Entries copied along new or size-1 axes.  The gradients of the copies add up."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        return np.broadcast_to(x, self.shape)

    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        return sum_to(g, x.shape)


class SumTo(Op):
    """Entries added up over the axes along which `shape` would be broadcast.  The sum's gradient goes to each."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x: np.ndarray) -> np.ndarray:
        extra, size = x.ndim - len(self.shape), math.prod(self.shape)
        if x.shape[extra:] == self.shape and x.flags.c_contiguous and size > 1:
            return column_sums(x.reshape(-1, size)).reshape(self.shape)
        stretched = tuple(k for k, n in enumerate(self.shape, extra) if n == 1 and x.shape[k] != 1)
        return np.sum(x, axis=(*range(extra), *stretched)).reshape(self.shape)

    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        return np.broadcast_to(g, x.shape)


class Cast(Op):
    """The same values in another floating-point dtype."""

    def __init__(self, dtype: DType) -> None:
        self.dtype = np.dtype(dtype)

    def forward(self, x: Array) -> Array:
        return x.astype(self.dtype)

    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        return g.astype(x.dtype)


class Concatenate(Op):
    """Inputs one after the other along an axis.  Each gets its own stretch of the gradient."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *xs: Array) -> Any:
        return np.concatenate(xs, self.axis)

    def vjp(self, g: Array, y: Array, *xs: Array) -> Arrays:
        before = (slice(None),) * (self.axis % y.ndim)
        ends = np.cumsum([x.shape[self.axis] for x in xs])
        return tuple(g[(*before, slice(end - x.shape[self.axis], end))] for x, end in zip(xs, ends, strict=True))


class Stack(Op):
    """Inputs side by side along a new axis.  Each gets its own slice of the gradient."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *xs: Array) -> Any:
        if len(xs) == 1 and self.axis == 0:  # as the last state of one layer is: in a third of the time
            return np.array(xs[0], copy=True)[None]
        return np.stack(xs, self.axis)

    def vjp(self, g: Array, y: Array, *xs: Array) -> Arrays:
        before = (slice(None),) * (self.axis % y.ndim)
        return tuple(g[(*before, k)] for k in range(len(xs)))


class Split(Op):
    """One input cut into several outputs along an axis.  Their gradients are put together again."""

    def __init__(self, cuts: Shape, axis: int, outputs: int) -> None:
        self.cuts, self.axis, self.outputs = cuts, axis, outputs

    def forward(self, x: Array) -> Array | Arrays:
        axis = normalize_axis_index(self.axis, np.ndim(x))  # np.array_split itself does not say what is wrong
        size = np.shape(x)[axis]
        if 1 < self.outputs <= size and self.cuts == self.outputs and size % self.outputs == 0:
            before, width = (slice(None),) * axis, size // self.outputs  # as gates are: slices cost a fraction
            return tuple([x[(*before, slice(k, k + width))] for k in range(0, size, width)])
        parts = tuple(np.array_split(x, self.cuts, self.axis))
        if sum(part.shape[self.axis] for part in parts) != np.shape(x)[self.axis]:
            raise ValueError(f"the places to cut at must ascend, or parts overlap: {self.cuts}")
        return parts if self.outputs > 1 else parts[0]

    def vjp(self, g: Any, y: Any, x: Array) -> Array:
        return np.concatenate(g, self.axis) if self.outputs > 1 else g


def sum_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Sum over the axes along which an array of this shape would be broadcast to x: the adjoint of broadcasting."""
    return x if x.shape == shape else SumTo(shape)(x)


@implements("reshape")
def reshape(a: A, shape: Shape, order: str = "C") -> A:
    """As `np.reshape`, in C order, or in Fortran's with order="F"."""
    if order == "C":
        return Reshape(shape)(a)
    if order != "F":
        raise NotDifferentiableError(f"order={order!r} depends on how an array lies in memory: use 'C' or 'F'")
    backwards = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)[::-1]
    return transpose(Reshape(backwards)(transpose(a)))


@implements("ravel")
def ravel(a: A, order: str = "C") -> A:
    """As `np.ravel`, in C order, or in Fortran's with order="F"."""
    return reshape(a, -1, order)


@implements("expand_dims")
def expand_dims(a: A, axis: int | tuple[int, ...]) -> A:
    """As `np.expand_dims`."""
    return ExpandDims(axis)(a)


@implements("squeeze")
def squeeze(a: A, axis: Axis = None) -> A:
    """As `np.squeeze`."""
    return Squeeze(axis)(a)


@implements("transpose")
def transpose(a: A, axes: Sequence[int] | None = None) -> A:
    """As `np.transpose`."""
    return Transpose(None if axes is None else tuple(axes))(a)


@implements("swapaxes")
def swapaxes(a: A, axis1: int, axis2: int) -> A:
    """As `np.swapaxes`."""
    return SwapAxes(axis1, axis2)(a)


@implements("broadcast_to")
def broadcast_to(array: A, shape: Shape) -> A:
    """As `np.broadcast_to`."""
    return BroadcastTo((shape,) if isinstance(shape, int) else tuple(shape))(array)


@implements("concatenate")
def concatenate(
    arrays: Arrays, /, axis: int | None = 0, out: None = None, *, dtype: DType = None, casting: Casting = "same_kind"
) -> Any:
    """As `np.concatenate`; ``axis=None`` flattens first."""
    arrays = as_dtype("np.concatenate", arrays, dtype, casting, out)
    if axis is None:
        return Concatenate(0)(*[np.ravel(x) for x in arrays])
    return Concatenate(axis)(*arrays)


@implements("stack")
def stack(
    arrays: Arrays, axis: int = 0, out: None = None, *, dtype: DType = None, casting: Casting = "same_kind"
) -> Any:
    """As `np.stack`."""
    return Stack(axis)(*as_dtype("np.stack", arrays, dtype, casting, out))


def as_dtype(name: str, arrays: Arrays, dtype: DType, casting: Casting, out: None = None) -> list[Any]:
    """The arrays to put together, in the dtype that was asked for."""
    if out is not None:
        raise NotDifferentiableError("out= would lose the gradient: write the result to a new name")
    arrays = list(arrays)
    if not arrays:
        raise ValueError(f"{name} needs at least one array")
    if dtype is None:
        return arrays
    arrays = [x if hasattr(x, "dtype") else np.asarray(x) for x in arrays]
    for x in arrays:
        if not np.can_cast(x.dtype, dtype, casting):
            raise TypeError(f"{name} cannot cast {x.dtype} to {np.dtype(dtype)} with casting={casting!r}")
    return [x.astype(dtype) for x in arrays]


@implements("array_split")
def array_split(ary: Array, indices_or_sections: Shape, axis: int = 0) -> list[Any]:
    """As `np.array_split`: parts that may differ in size by one."""
    if not isinstance(indices_or_sections, int | np.integer):
        indices_or_sections = [int(cut) for cut in indices_or_sections]
        outputs = len(indices_or_sections) + 1
    elif indices_or_sections < 1:
        raise ValueError(f"the number of sections must be 1 or more, not {indices_or_sections}")
    else:
        outputs = int(indices_or_sections)
    parts = Split(indices_or_sections, axis, outputs)(ary)
    return list(parts) if outputs > 1 else [parts]


@implements("split")
def split(ary: Array, indices_or_sections: Shape, axis: int = 0) -> list[Any]:
    """As `np.split`: equal parts, or cuts before the given places."""
    parts = array_split(ary, indices_or_sections, axis)
    if isinstance(indices_or_sections, int | np.integer) and parts[0].shape != parts[-1].shape:  # the last is smallest
        raise ValueError(
            f"np.split into {indices_or_sections} equal parts: axis {axis} has size {ary.shape[axis]}, "
            "which does not divide; np.array_split allows unequal parts"
        )
    return parts
