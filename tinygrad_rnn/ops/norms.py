"""The norms of np.linalg, and the condition number made of two of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..engine.arrays import A, Array, Axis
from ..engine.tape import Op
from .blas import quiet
from .decompositions import SingularValues, T
from .elementwise import sign, where
from .inverses import inv
from .rearrange import moveaxis
from .reduction import Norm, max, min, sum
from .registry import implements
from .shape import expand_dims, squeeze


class Nuclear(Op):
    """y = Σ s, the sum of the singular values of X = U diag(s) Vᵀ.  dL/dX = g U Vᵀ, also where two are equal."""

    def forward(self, x: Array) -> Array:
        return np.sum(np.linalg.svd(x, compute_uv=False), -1)

    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        return np.expand_dims(g, (-2, -1)) * Polar()(x)


class Polar(Op):
    """Y = U Vᵀ of X = U diag(s) Vᵀ, the nearest matrix with orthonormal rows or columns.

    dL/dX = U ((K - Kᵀ) / (s_i + s_j)) Vᵀ + (I - U Uᵀ) G V diag(1/s) Vᵀ + U diag(1/s) Uᵀ G (I - V Vᵀ), K = Uᵀ G V. Only
    sums of singular values are divided by, so that equal ones do no harm; X of full rank.
    """

    def forward(self, x: Array) -> Array:
        u, _, vh = np.linalg.svd(x, full_matrices=False)
        return u @ vh

    @quiet
    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        u, s, vh = np.linalg.svd(x, full_matrices=False)
        k = T(u) @ g @ T(vh)
        row, column = np.expand_dims(s, -2), np.expand_dims(s, -1)
        inside = u @ ((k - T(k)) / (row + column)) @ vh
        if x.shape[-2] > x.shape[-1]:
            return inside + ((g @ T(vh) - u @ k) / row) @ vh
        return inside + (u / row) @ (T(u) @ g - k @ vh)


@implements("linalg.cond")
def cond(x: A, p: Any = None) -> A:
    """As `np.linalg.cond`: ‖X‖ ‖X⁻¹‖, for p = None, 2 and -2 the quotient of singular values."""
    if p in (None, 2, -2):
        s = SingularValues()(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return norm(x, p, (-2, -1)) * norm(inv(x), p, (-2, -1))


@implements("linalg.norm")
def norm(x: A, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> A:
    """As `np.linalg.norm`, for vectors and matrices; at 0 the derivative of every norm is taken to be 0."""
    x = x if x.dtype.kind == "f" else x.astype(float)
    if axis is None and ord is None:
        return Norm(None, keepdims)(x)
    axes = normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
    if len(axes) == 1:
        return _vector_norm(x, 2 if ord is None else ord, axes[0], keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, "fro" if ord is None else ord, axes, keepdims)
    raise ValueError(f"np.linalg.norm over {len(axes)} axes: name one axis for vectors, or two for matrices")


@implements("linalg.vector_norm")
def vector_norm(x: A, /, *, axis: Axis = None, keepdims: bool = False, ord: Any = 2) -> A:
    """As `np.linalg.vector_norm`: of all entries, or along one axis or several."""
    x = x if x.dtype.kind == "f" else x.astype(float)
    axes = normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
    return _vector_norm(x, ord, axes, keepdims)


@implements("linalg.matrix_norm")
def matrix_norm(x: A, /, *, keepdims: bool = False, ord: Any = "fro") -> A:
    """As `np.linalg.matrix_norm`: of the last two axes."""
    return norm(x, ord, (-2, -1), keepdims)


def _vector_norm(x: A, ord: Any, axis: Axis, keepdims: bool) -> A:
    """(Σ |x|^ord)^(1/ord), and its limits."""
    if ord == 2:
        return Norm(axis, keepdims)(x)
    if ord == np.inf:
        return max(abs(x), axis, keepdims=keepdims, initial=0)
    if ord == -np.inf:
        return min(abs(x), axis, keepdims=keepdims)
    if ord == 1:
        return sum(abs(x), axis, keepdims=keepdims)
    if ord == 0:
        return sum(abs(sign(x)), axis, keepdims=keepdims)  # how many are not 0
    if isinstance(ord, str):
        raise ValueError(f"np.linalg.norm of vectors: ord must be a number, not {ord!r}")
    size = max(abs(x.array if hasattr(x, "array") else x), axis, keepdims=True, initial=0)
    size = np.where((size > 0) & np.isfinite(size), size, 1)  # powers of large entries would overflow
    entries = abs(x / size)
    if 0 < ord < 1:  # the slope at 0 is infinite, and taken to be 0: so no entry is 0 when its power is formed
        unused = entries == 0
        total = sum(where(unused, 0.0, where(unused, 1.0, entries) ** ord), axis, keepdims=True)
    else:
        total = sum(entries**ord, axis, keepdims=True)
    zero = total == 0
    y = where(zero, 0.0, where(zero, 1.0, total) ** (1 / ord)) * size
    return y if keepdims else squeeze(y, axis)


def _matrix_norm(x: A, ord: Any, axes: tuple[int, ...], keepdims: bool) -> A:
    """The Frobenius and nuclear norms, the largest or smallest singular value, column sum or row sum."""
    if ord == "fro":
        return Norm(axes, keepdims)(x)
    if ord in (1, -1, np.inf, -np.inf):
        rows, columns = axes
        along, across = (rows, columns) if ord in (1, -1) else (columns, rows)
        sums = sum(abs(x), along, keepdims=True)
        y = (max if ord > 0 else min)(sums, across, keepdims=True)
    elif ord == "nuc":
        y = Nuclear()(moveaxis(x, axes, (-2, -1)))
        return expand_dims(y, tuple(sorted(axes))) if keepdims else y
    elif ord in (2, -2):
        s = SingularValues()(moveaxis(x, axes, (-2, -1)))
        y = max(s, -1) if ord == 2 else min(s, -1)
        return expand_dims(y, tuple(sorted(axes))) if keepdims else y
    else:
        raise ValueError(
            f"np.linalg.norm of matrices: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, not {ord!r}"
        )
    return y if keepdims else squeeze(y, axes)
