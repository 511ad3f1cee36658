"""Products other than matmul and einsum, written with those two."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..engine.arrays import Array
from .linalg import matmul
from .rearrange import moveaxis
from .registry import implements
from .shape import ravel, reshape, stack, transpose


@implements("outer")
def outer(a: Array, b: Array) -> Array:
    """As `np.outer`: y_ij = a_i b_j."""
    return reshape(a, (-1, 1)) * reshape(b, (1, -1))


@implements("inner")
def inner(a: Array, b: Array) -> Array:
    """As `np.inner`: the sum over the last axes of both."""
    return a * b if np.ndim(a) == 0 or np.ndim(b) == 0 else tensordot(a, b, ((-1,), (-1,)))


@implements("vdot")
def vdot(a: Array, b: Array) -> Array:
    """As `np.vdot`: Σ a b over all entries."""
    return matmul(ravel(a), ravel(b))


@implements("dot")
def dot(a: Array, b: Array) -> Any:
    """As `np.dot`: the sum over the last axis of a and the last but one (or only) axis of b."""
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return a * b
    return tensordot(a, b, ((-1,), (-2 if np.ndim(b) > 1 else -1,)))


@implements("tensordot")
def tensordot(a: Array, b: Array, axes: Any = 2) -> Array:
    """As `np.tensordot`: the axes to sum over are put together, and the rest is one product of matrices."""
    if isinstance(axes, int | np.integer):
        axes = (tuple(range(np.ndim(a) - axes, np.ndim(a))), tuple(range(axes)))
    over_a, over_b = normalize_axis_tuple(axes[0], np.ndim(a)), normalize_axis_tuple(axes[1], np.ndim(b))
    sizes = [np.shape(a)[k] for k in over_a]
    if sizes != [np.shape(b)[k] for k in over_b]:
        raise ValueError(f"np.tensordot: axes {over_a} of {np.shape(a)} and {over_b} of {np.shape(b)} differ in size")
    rest_a = [k for k in range(np.ndim(a)) if k not in over_a]
    rest_b = [k for k in range(np.ndim(b)) if k not in over_b]
    shape_a, shape_b = [np.shape(a)[k] for k in rest_a], [np.shape(b)[k] for k in rest_b]
    n = math.prod(sizes)
    left = reshape(transpose(a, [*rest_a, *over_a]), (math.prod(shape_a), n))
    right = reshape(transpose(b, [*over_b, *rest_b]), (n, math.prod(shape_b)))
    return reshape(matmul(left, right), (*shape_a, *shape_b))


@implements("kron")
def kron(a: Array, b: Array) -> Array:
    """As `np.kron`: every entry of a times the whole of b."""
    rank = max(np.ndim(a), np.ndim(b))
    a = reshape(a, (1,) * (rank - np.ndim(a)) + np.shape(a))
    b = reshape(b, (1,) * (rank - np.ndim(b)) + np.shape(b))
    apart = [n for k in range(rank) for n in (a.shape[k], 1)]
    y = reshape(a, apart) * reshape(b, [n for k in range(rank) for n in (1, b.shape[k])])
    return reshape(y, [m * n for m, n in zip(a.shape, b.shape, strict=True)])


@implements("cross")
def cross(a: Array, b: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Array:
    """As `np.cross` of vectors of three components."""
    if axis is not None:
        axisa = axisb = axisc = axis
    if np.shape(a)[axisa] != 3 or np.shape(b)[axisb] != 3:
        raise ValueError(
            f"np.cross needs vectors of 3 components: axes {axisa}, {axisb} of {np.shape(a)}, {np.shape(b)}"
        )
    a, b = moveaxis(a, axisa, -1), moveaxis(b, axisb, -1)
    (a0, a1, a2), (b0, b1, b2) = ((v[..., 0], v[..., 1], v[..., 2]) for v in (a, b))
    return stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axisc)


@implements("linalg.multi_dot")
def multi_dot(arrays: Sequence[Any]) -> Any:
    """As `np.linalg.multi_dot`: the product of several matrices, from the left."""
    arrays = list(arrays)
    if len(arrays) < 2:
        raise ValueError("np.linalg.multi_dot needs at least two arrays")
    return functools.reduce(dot, arrays)


@implements("convolve")
def convolve(a: Array, v: Array, mode: str = "full") -> Array:
    """As `np.convolve`: y_n = Σ a_k v_(n-k), the windows of a times v backwards."""
    a, v = (v, a) if np.size(v) > np.size(a) else (a, v)
    n, m = np.size(a), np.size(v)
    if np.ndim(a) != 1 or np.ndim(v) != 1 or m == 0:
        raise ValueError(f"np.convolve needs two vectors that are not empty, not {np.shape(a)} and {np.shape(v)}")
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"mode of np.convolve must be 'full', 'same' or 'valid', not {mode!r}")
    first = {"full": 0, "same": (m - 1) // 2, "valid": m - 1}[mode]
    count = {"full": n + m - 1, "same": n, "valid": n - m + 1}[mode]
    windows = first + np.arange(count)[:, np.newaxis] + np.arange(m)
    return np.pad(a, m - 1)[windows] @ np.flip(v)


# ------------------------------------------------------------------ np.linalg's versions of the same names


@implements("linalg.outer")
def linalg_outer(x1: Array, x2: Array, /) -> Array:
    """As `np.linalg.outer`: of two vectors."""
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ValueError(f"np.linalg.outer needs two vectors, not {np.shape(x1)} and {np.shape(x2)}")
    return outer(x1, x2)


@implements("linalg.matmul")
def linalg_matmul(x1: Array, x2: Array, /) -> Array:
    """As `np.linalg.matmul`."""
    return matmul(x1, x2)


@implements("linalg.tensordot")
def linalg_tensordot(x1: Array, x2: Array, /, *, axes: Any = 2) -> Array:
    """As `np.linalg.tensordot`."""
    return tensordot(x1, x2, axes)


@implements("linalg.cross")
def linalg_cross(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """As `np.linalg.cross`."""
    return cross(x1, x2, axis=axis)


@implements("linalg.vecdot")
def linalg_vecdot(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """As `np.linalg.vecdot`: Σ a b along an axis."""
    return np.sum(moveaxis(x1, axis, -1) * moveaxis(x2, axis, -1), axis=-1)
