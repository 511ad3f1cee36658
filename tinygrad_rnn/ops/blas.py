"""Products of matrices without the false alarms of the kernels that compute them.

A BLAS kernel fills its vector registers with zeros where a matrix ends, or with whatever lies there, and throws those
lanes away afterwards. An infinity meets them: ∞ · 0. The result is right, but the processor's flag stays up, and NumPy
warns of an "invalid value encountered in matmul" that is in no matrix. Which kernel does so depends on the processor.
So this flag says nothing about a product, and is not asked for. A nan that is there can be seen, and `tg.anomaly` names
the op that made it.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..engine.threads import each

quiet = np.errstate(divide="ignore", invalid="ignore")
"""Decorates what multiplies matrices. An overflow is still told: that is one."""


BLOCK = 3e7
"""Floating-point operations of a block of a large product: about 300 us."""


class Kernels(Protocol):
    """Machine code for one dtype: see `compiled/kernels.py`."""

    def multiply(self, a: np.ndarray, b: np.ndarray, out: np.ndarray, bias: Any = None, sums: Any = None) -> None: ...

    def powers(self, x: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, ...]: ...

    def surplus(self, e: np.ndarray, target: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray: ...


kernels: dict[np.dtype[Any], Kernels] = {}
"""By dtype, where there are some."""


@quiet
def product(a: Any, b: Any, out: np.ndarray | None = None, bias: np.ndarray | None = None) -> Any:
    """As `np.matmul`, plus a row `bias`. Large products of two matrices are shared out to the threads that there are.

    The bits do not depend on the number of threads: BLAS gets blocks that depend on the shapes alone.
    """
    if type(a) is not np.ndarray or type(b) is not np.ndarray or a.size * b.size < 1e7 or a.ndim != 2 or b.ndim != 2:
        return _plus(np.matmul(a, b, out), bias)
    M, N = len(a), b.shape[1]
    operations = 2.0 * a.size * N
    if operations < 2e5 or a.shape[1] != len(b) or a.dtype != b.dtype:
        return _plus(np.matmul(a, b, out), bias)
    result: Any = np.empty((M, N), a.dtype) if out is None else out
    if a.dtype in kernels and min(M, N) > 3 and result.flags.c_contiguous:
        fits = bias is None or (bias.dtype == a.dtype and bias.shape == (N,) and bias.flags.c_contiguous)
        kernels[a.dtype].multiply(a, b, result, bias if fits else None)
        return result if fits else _plus(result, bias)
    _shared_out(a, b, result, operations)
    return _plus(result, bias)


@quiet
def product_and_sums(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The product of two matrices, and the sums of b's columns, which a product of our own has in one."""
    kernel = (
        kernels.get(a.dtype) if a.dtype == b.dtype and a.size * b.size >= 1e7 and min(len(a), b.shape[1]) > 3 else None
    )
    if kernel is None:
        return product(a, b), column_sums(b)
    result, sums = np.empty((len(a), b.shape[1]), a.dtype), np.empty(b.shape[1], a.dtype)
    kernel.multiply(a, b, result, None, sums)
    return result, sums


def column_sums(b: np.ndarray) -> Any:
    """The sum of a matrix's rows: of many as a product, which is sooner done than NumPy's sum."""
    return np.add.reduce(b, 0) if b.size <= 4096 else product(np.ones(len(b), b.dtype), b)


def _plus(y: Any, bias: np.ndarray | None) -> Any:
    """y + bias, in the memory of y where that has room for it."""
    if bias is None:
        return y
    return np.add(y, bias, out=y) if getattr(y, "dtype", None) == bias.dtype else y + bias


def _shared_out(a: np.ndarray, b: np.ndarray, result: np.ndarray, operations: float) -> None:
    """result = a b in blocks for BLAS."""
    M, N = result.shape
    blocks = min(4, int(operations / BLOCK), max(M, N) // 64)
    if blocks < 2:
        np.matmul(a, b, result)
        return
    size = -(-max(M, N) // (16 * blocks)) * 16

    def block(k: int) -> None:
        part = slice(k * size, (k + 1) * size)
        if M >= N:
            np.matmul(a[part], b, out=result[part])
        else:
            np.matmul(a, b[:, part], out=result[:, part])

    each(block, -(-max(M, N) // size))
