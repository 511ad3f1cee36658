"""The functions of `machine/products.py` and `machine/scores.py` for one dtype, to be called from Python."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import cache, sharing


class Kernels:
    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.module, self.dtype = cache.machine("products"), dtype
        self.product = self.module.product(dtype.itemsize)
        self.large = self.module.large_product(dtype.itemsize)
        scores = cache.machine("scores")
        self.of_scores, self.of_surplus = scores.powers(dtype.itemsize), scores.surplus(dtype.itemsize)
        self.lanes = cache.machine("vectors").BYTES // dtype.itemsize
        self.width = cache.machine("vectors").WIDE * self.lanes

    def packed(self, W: np.ndarray) -> np.ndarray:
        """A matrix panel by panel, as `multiply` reads it."""
        K, N = W.shape
        to = np.empty(K * -(-N // self.lanes) * self.lanes, self.dtype)
        self.module.pack(*flat(W), K, N, to)
        return to

    def multiply(
        self,
        a: np.ndarray,
        b: np.ndarray,
        out: np.ndarray,
        bias: np.ndarray | None = None,
        sums: np.ndarray | None = None,
    ) -> None:
        """out = a b of three matrices, plus a row `bias`, in parts for the threads; sums = Σ of b's rows."""
        (M, K), N = a.shape, b.shape[1]
        (a, a_down, a_right), (b, b_down, b_right), out = flat(a), flat(b), out.reshape(-1)
        given = [self.product, a_down, a_right, b_down, b_right, M, K, N, bias is not None, sums is not None]
        n = M if M >= N else -(-N // self.width)
        arrays = (a, b, out, out if bias is None else bias, out if sums is None else sums)
        sharing.over(self.large, given, arrays, n, sharing.parts(n, M * K * N / 60))

    def powers(self, x: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, ...]:
        """e^(x-m), their sums over the last axis, m (see `CrossEntropy`), and the entries of x that t names."""
        V, x, t = x.shape[-1], np.ascontiguousarray(x).reshape(-1), np.ascontiguousarray(target, np.int64).reshape(-1)
        e, sums, m, named = (np.empty(n, x.dtype) for n in (x.size, t.size, t.size, t.size))
        given = (x, t, e, sums, m, named)
        sharing.over(self.of_scores, [V], given, t.size, sharing.parts(t.size, x.size / 2))
        return e.reshape(*target.shape, V), *[of_rows.reshape(target.shape) for of_rows in (sums, m, named)]

    def surplus(self, e: np.ndarray, target: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """u e - v onehot(target), with numbers u and v a row."""
        t, dx = np.ascontiguousarray(target, np.int64).reshape(-1), np.empty_like(e)
        u, v = (np.ascontiguousarray(x, e.dtype).reshape(-1) for x in (u, v))
        given = (e.reshape(-1), t, u, v, dx.reshape(-1))
        sharing.over(self.of_surplus, [e.shape[-1]], given, t.size, sharing.parts(t.size, e.size / 8))
        return dx


def flat(W: np.ndarray) -> tuple[np.ndarray, int, int]:
    """The numbers of a matrix in the order of its memory, and how far apart there are two rows, and two columns."""
    if W.flags.c_contiguous:
        return W.reshape(-1), W.shape[1], 1
    if W.flags.f_contiguous:
        return W.T.reshape(-1), 1, W.shape[0]
    return np.ascontiguousarray(W).reshape(-1), W.shape[1], 1
