"""Functions that only move or copy entries: flip, roll, repeat, tile, pad, diag, tril and their kin.

They need no rules. NumPy's own function is applied to the array of entry numbers 1, 2, 3, ...; what comes out says, for
each entry of the result, which entry of x it is, or 0 for none (a zero). Taking those entries is indexing, whose
gradient is known. So value and gradient are right whatever arguments NumPy's function takes.
"""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..engine.arrays import A, Array, Casting, DType, Mask, Operand, Shape
from ..errors import NotDifferentiableError
from .elementwise import where
from .indexing import GetItem, plain_index
from .reduction import included, sum
from .registry import FUNCTIONS, found, implements
from .shape import concatenate, expand_dims, ravel, reshape, split, swapaxes, transpose


class Rearranged(GetItem):
    """y = x[numbers], under the name of the function that found the numbers."""

    def __init__(self, name: str, numbers: np.ndarray) -> None:
        super().__init__(numbers)
        self.name = name


def rearranged(function: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
    """``function(x, ...)`` for a NumPy function that only moves or copies entries, or puts zeros."""
    x = x if hasattr(x, "shape") else np.asarray(x)
    numbers = function(np.arange(1, x.size + 1).reshape(x.shape), *args, **kwargs)
    flat = ravel(x)
    if numbers.all():
        return Rearranged(function.__name__, numbers - 1)(flat)
    return Rearranged(function.__name__, numbers)(concatenate([np.zeros(1, x.dtype), flat]))


def like(function: Callable[..., Any]) -> Callable[..., Any]:
    """The Tensor version of such a NumPy function, with its signature."""
    signature = inspect.signature(function)
    first = next(iter(signature.parameters))

    def version(*args: Any, **kwargs: Any) -> Any:
        x, *others = args or [kwargs.pop(first)]
        others = [getattr(value, "array", value) for value in others]
        return rearranged(function, x, *others, **{k: getattr(v, "array", v) for k, v in kwargs.items()})

    version.__name__ = version.__qualname__ = function.__name__
    version.__doc__ = f"As `np.{function.__name__}`."
    version.__signature__ = signature  # type: ignore[attr-defined]
    return version


MOVING = (
    *("flip", "fliplr", "flipud", "roll", "rot90", "repeat", "tile", "resize", "delete"),
    *("diag", "diagflat", "diagonal", "tril", "triu", "linalg.diagonal"),
)
"""The names of NumPy's functions that are differentiated by `like`, whatever arguments they take."""

FUNCTIONS.update((function, like(function)) for function in found(MOVING))

diagonal, repeat = like(np.diagonal), like(np.repeat)


@implements("pad")
def pad(array: A, pad_width: Any, mode: Any = "constant", *, constant_values: Operand = 0, **options: Any) -> A:
    """As `np.pad`, in the modes that copy entries: constant, edge, reflect, symmetric, wrap."""
    if mode not in ("constant", "edge", "reflect", "symmetric", "wrap") or options.get("reflect_type") == "odd":
        raise NotDifferentiableError(
            f"np.pad with mode={mode!r} and {options} of a Tensor is not supported: use constant, edge, reflect, "
            "symmetric or wrap"
        )
    if mode != "constant":
        return rearranged(np.pad, array, pad_width, mode=mode, **options)
    padded = rearranged(np.pad, array, pad_width, **options)
    if np.all(getattr(constant_values, "array", constant_values) == 0):
        return padded
    if hasattr(constant_values, "array"):
        raise NotDifferentiableError("np.pad with a Tensor as constant_values is not supported: use np.concatenate")
    inside = np.pad(np.ones(array.shape, bool), pad_width)
    return where(inside, padded, np.pad(np.zeros(array.shape, array.dtype), pad_width, constant_values=constant_values))


@implements("moveaxis")
def moveaxis(a: A, source: Shape, destination: Shape) -> A:
    """As `np.moveaxis`."""
    return transpose(a, _order(np.moveaxis, a, source, destination))


@implements("rollaxis")
def rollaxis(a: A, axis: int, start: int = 0) -> A:
    """As `np.rollaxis`."""
    return transpose(a, _order(np.rollaxis, a, axis, start))


def _order(function: Callable[..., Any], a: Array, *args: Any) -> list[int]:
    """Where each axis comes from: axis k of the array given to NumPy has size k + 1."""
    return [n - 1 for n in function(np.empty(range(1, np.ndim(a) + 1), np.int8), *args).shape]


@implements("matrix_transpose", "linalg.matrix_transpose")
def matrix_transpose(x: A, /) -> A:
    """As `np.matrix_transpose`: the last two axes exchanged."""
    if np.ndim(x) < 2:
        raise ValueError(f"np.matrix_transpose needs at least two axes, not shape {np.shape(x)}")
    return swapaxes(x, -1, -2)


@implements("trace")
def trace(a: A, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: DType = None, out: None = None) -> A:
    """As `np.trace`: the sum of the diagonal."""
    return sum(diagonal(a, offset, axis1, axis2), -1, dtype, out)


@implements("linalg.trace")
def linalg_trace(x: A, /, *, offset: int = 0, dtype: DType = None) -> A:
    """As `np.linalg.trace`: of the last two axes."""
    return trace(x, offset, -2, -1, dtype)


@implements("take")
def take(a: Any, indices: Operand, axis: int | None = None, out: None = None, mode: str = "raise") -> Any:
    """As `np.take`."""
    a = included(a if hasattr(a, "shape") else np.asarray(a), True, 0, out=out)
    indices = np.asarray(plain_index(indices)).astype(np.intp)
    a, axis = along(a, axis)
    if mode != "raise":
        n = a.shape[axis]
        indices = indices % n if mode == "wrap" else np.clip(indices, 0, n - 1)
    return a[(slice(None),) * axis + (indices,)]


@implements("take_along_axis")
def take_along_axis(arr: A, indices: Operand, axis: int | None = -1) -> A:
    """As `np.take_along_axis`."""
    indices = np.asarray(plain_index(indices))
    arr, axis = along(arr, axis)
    if indices.ndim != arr.ndim:
        raise ValueError(f"np.take_along_axis: indices must have {arr.ndim} axes as the array has, not {indices.ndim}")
    grid = list(np.ogrid[tuple(slice(n) for n in arr.shape)])
    grid[axis] = indices
    return arr[tuple(grid)]


@implements("compress")
def compress(condition: Mask, a: A, axis: int | None = None, out: None = None) -> A:
    """As `np.compress`: the slices for which the condition holds."""
    return take(a, np.flatnonzero(getattr(condition, "array", condition)), axis, out)


@implements("extract")
def extract(condition: Mask, arr: A) -> A:
    """As `np.extract`: the entries for which the condition holds."""
    return compress(np.ravel(getattr(condition, "array", condition)), arr)


def along(a: Array, axis: int | None) -> tuple[Any, int]:
    """The array and the axis to work along: where that is None, all entries in a row."""
    return (ravel(a), 0) if axis is None else (a, normalize_axis_index(axis, a.ndim))


# ------------------------------------------------------------------ putting together


@implements("atleast_1d")
def atleast_1d(*arrays: Any) -> Any:
    """As `np.atleast_1d`."""
    return _each(lambda x: reshape(x, (1,)) if np.ndim(x) == 0 else x, arrays)


@implements("atleast_2d")
def atleast_2d(*arrays: Any) -> Any:
    """As `np.atleast_2d`."""
    return _each(lambda x: expand_dims(x, tuple(range(2 - np.ndim(x)))) if np.ndim(x) < 2 else x, arrays)


@implements("atleast_3d")
def atleast_3d(*arrays: Any) -> Any:
    """As `np.atleast_3d`."""
    new = {0: (0, 1, 2), 1: (0, 2), 2: (2,)}
    return _each(lambda x: expand_dims(x, new[np.ndim(x)]) if np.ndim(x) < 3 else x, arrays)


def _each(function: Callable[[Any], Any], arrays: tuple[Any, ...]) -> Any:
    results = [function(x if hasattr(x, "array") else np.asarray(x)) for x in arrays]
    return results[0] if len(results) == 1 else tuple(results)


def _listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


@implements("vstack")
def vstack(tup: Sequence[Any], *, dtype: DType = None, casting: Casting = "same_kind") -> Any:
    """As `np.vstack`."""
    return concatenate(_listed(atleast_2d(*tup)), 0, dtype=dtype, casting=casting)


@implements("hstack")
def hstack(tup: Sequence[Any], *, dtype: DType = None, casting: Casting = "same_kind") -> Any:
    """As `np.hstack`."""
    arrays = _listed(atleast_1d(*tup))
    return concatenate(arrays, 0 if arrays[0].ndim == 1 else 1, dtype=dtype, casting=casting)


@implements("dstack")
def dstack(tup: Sequence[Any]) -> Any:
    """As `np.dstack`."""
    return concatenate(_listed(atleast_3d(*tup)), 2)


@implements("column_stack")
def column_stack(tup: Sequence[Any]) -> Any:
    """As `np.column_stack`."""
    return concatenate([x if x.ndim > 1 else reshape(x, (-1, 1)) for x in _listed(atleast_1d(*tup))], 1)


@implements("append")
def append(arr: A, values: Any, axis: int | None = None) -> A:
    """As `np.append`."""
    return concatenate([arr, values], axis)


@implements("unstack")
def unstack(x: Array, /, *, axis: int = 0) -> tuple[Any, ...]:
    """As `np.unstack`."""
    axis = normalize_axis_index(axis, x.ndim)
    return tuple(x[(*(slice(None),) * axis, k)] for k in range(x.shape[axis]))


@implements("broadcast_arrays")
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    """As `np.broadcast_arrays`."""
    shape = np.broadcast_shapes(*(np.shape(x) for x in args))
    return tuple(np.broadcast_to(x, shape) for x in args)


@implements("meshgrid")
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    """As `np.meshgrid`."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing of np.meshgrid must be 'xy' or 'ij', not {indexing!r}")
    places = list(range(len(xi)))
    if indexing == "xy" and len(xi) > 1:
        places[:2] = 1, 0
    grids = tuple(reshape(x, [-1 if k == at else 1 for k in range(len(xi))]) for at, x in zip(places, xi, strict=True))
    return grids if sparse else broadcast_arrays(*grids)


@implements("block")
def block(arrays: Any) -> Any:
    """As `np.block`: the innermost lists side by side along the last axis, the lists of those along the one before."""

    def depth(x: Array) -> int:
        return 1 + builtins.max(map(depth, x)) if isinstance(x, list) else 0

    def rank(x: Array) -> int:
        return builtins.max(map(rank, x)) if isinstance(x, list) else np.ndim(x)

    ndim = builtins.max(depth(arrays), rank(arrays))

    def joined(x: Array, level: int) -> Array:
        if isinstance(x, list):
            return concatenate([joined(part, level - 1) for part in x], -level)
        if level:
            raise ValueError("np.block: lists are nested to different depths")
        return reshape(x, (1,) * (ndim - np.ndim(x)) + np.shape(x))

    return joined(arrays, depth(arrays))


@implements("hsplit")
def hsplit(ary: Array, indices_or_sections: Shape) -> list[Any]:
    """As `np.hsplit`."""
    if np.ndim(ary) == 0:
        raise ValueError("np.hsplit needs at least one axis")
    return split(ary, indices_or_sections, 1 if np.ndim(ary) > 1 else 0)


@implements("vsplit")
def vsplit(ary: Array, indices_or_sections: Shape) -> list[Any]:
    """As `np.vsplit`."""
    if np.ndim(ary) < 2:
        raise ValueError(f"np.vsplit needs at least two axes, not shape {np.shape(ary)}")
    return split(ary, indices_or_sections, 0)


@implements("dsplit")
def dsplit(ary: Array, indices_or_sections: Shape) -> list[Any]:
    """As `np.dsplit`."""
    if np.ndim(ary) < 3:
        raise ValueError(f"np.dsplit needs at least three axes, not shape {np.shape(ary)}")
    return split(ary, indices_or_sections, 2)


@implements("select")
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """As `np.select`: for each entry the first choice whose condition holds."""
    result = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        result = where(condition, choice, result)
    return result
