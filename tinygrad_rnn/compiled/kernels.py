"""Products by machine code: the functions of `machine/products.py` for one dtype, to be called from Python."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import cache, sharing


class Kernels:
    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.module, self.dtype = cache.machine("products"), dtype
        self.product = self.module.product(dtype.itemsize)
        self.large = self.module.large_product(dtype.itemsize)
        self.lanes = cache.machine("vectors").BYTES // dtype.itemsize
        self.width = cache.machine("vectors").WIDE * self.lanes

    def packed(self, W: np.ndarray) -> np.ndarray:
        """A matrix panel by panel, as `multiply` reads it."""
        K, N = W.shape
        to = np.empty(K * -(-N // self.lanes) * self.lanes, self.dtype)
        self.module.pack(*flat(W), K, N, to)
        return to

    def multiply(self, a: np.ndarray, b: np.ndarray, out: np.ndarray, bias: np.ndarray | None = None) -> None:
        """out = a b of three matrices, in parts for the threads that there are; bias + a b with a row `bias`."""
        (M, K), N = a.shape, b.shape[1]
        (a, a_down, a_right), (b, b_down, b_right) = flat(a), flat(b)
        given = [self.product, a_down, a_right, b_down, b_right, M, K, N, a.ctypes.data, b.ctypes.data, out.ctypes.data]
        given.append(0 if bias is None else bias.ctypes.data)
        n = M if M >= N else -(-N // self.width)
        sharing.over(self.large, given, n, sharing.parts(n, M * K * N / 60))


def flat(W: np.ndarray) -> tuple[np.ndarray, int, int]:
    """The numbers of a matrix in the order of its memory, and how far apart there are two rows, and two columns."""
    if W.flags.c_contiguous:
        return W.reshape(-1), W.shape[1], 1
    if W.flags.f_contiguous:
        return W.T.reshape(-1), 1, W.shape[0]
    return np.ascontiguousarray(W).reshape(-1), W.shape[1], 1
