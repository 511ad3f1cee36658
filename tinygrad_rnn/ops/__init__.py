"""The primitives, and the tables that connect them with NumPy's own functions.

UFUNCS      np.tanh(t), t + u, np.matmul(a, t): a NumPy ufunc and the op that differentiates it
FUNCTIONS   np.sum(t), np.concatenate([a, t]): any other NumPy function and ours of the same signature
PLAIN       np.argmax(t), np.shape(t), t > 0: answers without a derivative, given as plain arrays
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..engine.tape import Op
from . import (
    decompositions,
    elementwise,
    functions,
    indexing,
    linalg,
    products,
    rearrange,
    reduction,
    shape,
    statistics,
)

T = TypeVar("T")


def known(table: dict[str, T]) -> dict[Callable[..., Any], T]:
    """The entries by NumPy's function instead of its name, without those that this NumPy does not have (any more)."""
    modules = {"": vars(np), "linalg": vars(np.linalg)}
    places = {name: (modules[name.rpartition(".")[0]], name.rpartition(".")[2]) for name in table}
    return {module[last]: table[name] for name, (module, last) in places.items() if last in module}


UFUNCS: dict[Callable[..., Any], Op] = {
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
        *functions.SCALAR,
    )
}
UFUNCS |= known(
    {
        "matmul": linalg.matmul,
        "degrees": functions.rad2deg,  # NumPy has two names for each, as two ufuncs
        "radians": functions.deg2rad,
    }
)

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = known(
    {
        "where": elementwise.where,
        "clip": elementwise.clip,
        "sum": reduction.sum,
        "mean": reduction.mean,
        "max": reduction.max,
        "amax": reduction.max,
        "min": reduction.min,
        "amin": reduction.min,
        "reshape": shape.reshape,
        "ravel": shape.ravel,
        "transpose": shape.transpose,
        "swapaxes": shape.swapaxes,
        "expand_dims": shape.expand_dims,
        "squeeze": shape.squeeze,
        "broadcast_to": shape.broadcast_to,
        "concatenate": shape.concatenate,
        "stack": shape.stack,
        "split": shape.split,
        "array_split": shape.array_split,
        "einsum": linalg.einsum,
        # scalar functions
        "sinc": functions.sinc,
        "round": functions.round,
        "around": functions.round,
        "fix": functions.fix,
        "real": functions.real,
        "copy": functions.copy,
        # statistics
        "prod": statistics.prod,
        "var": statistics.var,
        "std": statistics.std,
        "ptp": statistics.ptp,
        "median": statistics.median,
        "average": statistics.average,
        "cumsum": statistics.cumsum,
        "cumprod": statistics.cumprod,
        "diff": statistics.diff,
        "trapezoid": statistics.trapezoid,
        "nansum": statistics.nansum,
        "nanprod": statistics.nanprod,
        "nanmean": statistics.nanmean,
        "nanvar": statistics.nanvar,
        "nanstd": statistics.nanstd,
        "nanmax": statistics.nanmax,
        "nanmin": statistics.nanmin,
        "nan_to_num": statistics.nan_to_num,
        # moving, copying and choosing entries
        "pad": rearrange.pad,
        "moveaxis": rearrange.moveaxis,
        "rollaxis": rearrange.rollaxis,
        "matrix_transpose": rearrange.matrix_transpose,
        "trace": rearrange.trace,
        "take": rearrange.take,
        "take_along_axis": rearrange.take_along_axis,
        "compress": rearrange.compress,
        "extract": rearrange.extract,
        "sort": rearrange.sort,
        "partition": rearrange.partition,
        "select": rearrange.select,
        # putting together, taking apart
        "atleast_1d": rearrange.atleast_1d,
        "atleast_2d": rearrange.atleast_2d,
        "atleast_3d": rearrange.atleast_3d,
        "vstack": rearrange.vstack,
        "hstack": rearrange.hstack,
        "dstack": rearrange.dstack,
        "column_stack": rearrange.column_stack,
        "append": rearrange.append,
        "block": rearrange.block,
        "unstack": rearrange.unstack,
        "broadcast_arrays": rearrange.broadcast_arrays,
        "meshgrid": rearrange.meshgrid,
        "hsplit": rearrange.hsplit,
        "vsplit": rearrange.vsplit,
        "dsplit": rearrange.dsplit,
        # products
        "outer": products.outer,
        "inner": products.inner,
        "vdot": products.vdot,
        "dot": products.dot,
        "tensordot": products.tensordot,
        "kron": products.kron,
        "cross": products.cross,
        "convolve": products.convolve,
        # np.linalg
        "linalg.inv": decompositions.inv,
        "linalg.pinv": decompositions.pinv,
        "linalg.det": decompositions.det,
        "linalg.slogdet": decompositions.slogdet,
        "linalg.solve": decompositions.solve,
        "linalg.cholesky": decompositions.cholesky,
        "linalg.eigh": decompositions.eigh,
        "linalg.eigvalsh": decompositions.eigvalsh,
        "linalg.svd": decompositions.svd,
        "linalg.svdvals": decompositions.svdvals,
        "linalg.norm": decompositions.norm,
        "linalg.vector_norm": decompositions.vector_norm,
        "linalg.matrix_norm": decompositions.matrix_norm,
        "linalg.cond": decompositions.cond,
        "linalg.matrix_power": decompositions.matrix_power,
        "linalg.multi_dot": products.multi_dot,
        "linalg.outer": products.linalg_outer,
        "linalg.matmul": products.linalg_matmul,
        "linalg.tensordot": products.linalg_tensordot,
        "linalg.cross": products.linalg_cross,
        "linalg.vecdot": products.linalg_vecdot,
        "linalg.trace": rearrange.linalg_trace,
        "linalg.matrix_transpose": rearrange.matrix_transpose,
    }
)
FUNCTIONS |= {function: rearrange.like(function) for function in known(dict.fromkeys(rearrange.MOVING))}

PLAIN: set[Callable[..., Any]] = set(
    known(
        dict.fromkeys(
            (
                "greater",
                "greater_equal",
                "less",
                "less_equal",
                "equal",
                "not_equal",
                "isfinite",
                "isinf",
                "isnan",
                "isposinf",
                "isneginf",
                "isreal",
                "iscomplex",
                "isrealobj",
                "iscomplexobj",
                "signbit",
                "imag",
                "logical_and",
                "logical_or",
                "logical_xor",
                "logical_not",
                "argmax",
                "argmin",
                "nanargmax",
                "nanargmin",
                "argsort",
                "argpartition",
                "argwhere",
                "nonzero",
                "flatnonzero",
                "count_nonzero",
                "searchsorted",
                "digitize",
                "isin",
                "all",
                "any",
                "allclose",
                "isclose",
                "array_equal",
                "array_equiv",
                "linalg.matrix_rank",
                "shape",
                "ndim",
                "size",
                "zeros_like",
                "ones_like",
                "empty_like",
                "full_like",
                "result_type",
                "array_repr",
                "array_str",
                "array2string",
            )
        )
    )
)

__all__ = [
    "FUNCTIONS",
    "PLAIN",
    "UFUNCS",
    "decompositions",
    "elementwise",
    "functions",
    "indexing",
    "linalg",
    "products",
    "rearrange",
    "reduction",
    "shape",
    "statistics",
]
