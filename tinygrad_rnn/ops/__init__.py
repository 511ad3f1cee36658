"""The primitives, and the tables that connect them with NumPy's own functions.

UFUNCS      np.tanh(t), t + u, np.matmul(a, t): a NumPy ufunc and the op that differentiates it
FUNCTIONS   np.sum(t), np.concatenate([a, t]): any other NumPy function and ours of the same signature
PLAIN       np.argmax(t), np.shape(t), t > 0: answers without a derivative, given as plain arrays
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..tape import Op
from . import elementwise, indexing, linalg, reduction, shape

UFUNCS: dict[np.ufunc, Op] = {
    op.forward: op
    for op in (
        elementwise.add,
        elementwise.subtract,
        elementwise.multiply,
        elementwise.divide,
        elementwise.power,
        elementwise.negative,
        elementwise.square,
        elementwise.absolute,
        elementwise.sign,
        elementwise.exp,
        elementwise.log,
        elementwise.sqrt,
        elementwise.sin,
        elementwise.cos,
        elementwise.tanh,
        elementwise.maximum,
        elementwise.minimum,
    )
} | {np.matmul: linalg.matmul}

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.where: elementwise.where,
    np.clip: elementwise.clip,
    np.sum: reduction.sum,
    np.mean: reduction.mean,
    np.max: reduction.max,
    np.amax: reduction.max,
    np.min: reduction.min,
    np.amin: reduction.min,
    np.reshape: shape.reshape,
    np.ravel: shape.ravel,
    np.transpose: shape.transpose,
    np.swapaxes: shape.swapaxes,
    np.expand_dims: shape.expand_dims,
    np.squeeze: shape.squeeze,
    np.broadcast_to: shape.broadcast_to,
    np.concatenate: shape.concatenate,
    np.stack: shape.stack,
    np.split: shape.split,
    np.array_split: shape.array_split,
    np.einsum: linalg.einsum,
}

PLAIN: set[Callable[..., Any]] = {
    np.greater,
    np.greater_equal,
    np.less,
    np.less_equal,
    np.equal,
    np.not_equal,
    np.isfinite,
    np.isinf,
    np.isnan,
    np.signbit,
    np.logical_and,
    np.logical_or,
    np.logical_not,
    np.argmax,
    np.argmin,
    np.argsort,
    np.nonzero,
    np.count_nonzero,
    np.searchsorted,
    np.all,
    np.any,
    np.allclose,
    np.isclose,
    np.array_equal,
    np.shape,
    np.ndim,
    np.size,
    np.zeros_like,
    np.ones_like,
    np.empty_like,
    np.full_like,
    np.result_type,
    np.array_repr,
    np.array_str,
    np.array2string,
}

__all__ = ["FUNCTIONS", "PLAIN", "UFUNCS", "elementwise", "indexing", "linalg", "reduction", "shape"]
