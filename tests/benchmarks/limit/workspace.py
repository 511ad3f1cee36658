"""What the three cells share: the arrays of a training step, the head with its loss, and the gradient of the weights.

    Z[t] = [h_t; 1; x_{t+1}]      (H + 1 + I, B): everything that is multiplied by a weight at one place in time
    D[t] = [∂L/∂o_t; ∂L/∂a_{t+1}] what arrives at the results of these products: the scores of step t, which the head
                                  made of h_t, and the pre-activations of step t+1

Steps are counted from 1 to T, and h_0 = 0. Then dL/dW = Σ_t D[t] Z[t]ᵀ holds the gradient of every weight and bias.
"""

from __future__ import annotations

import numpy as np

from ..problem import Shape

CHUNK_BYTES = 1 << 20  # of derivatives computed ahead: about half of a core's second cache
SMALL = 1_000_000  # OpenBLAS multiplies (M, K) by (K, N) without packing them first if M K N is at most this

Gradients = dict[str, np.ndarray]


class Limit:
    """A training step of one cell; what it needs is allocated once, for a shape and a dtype."""

    delta_rows: int
    """How many rows of D a cell uses beside the V of ∂L/∂o, in units of H."""

    def __init__(self, shape: Shape, dtype: str = "float32", chunk_bytes: int = CHUNK_BYTES) -> None:
        B, T, I, H = self.shape = shape  # noqa: E741
        V, self.dtype = shape.V, np.dtype(dtype)
        self.Z = np.zeros((T + 1, H + 1 + I, B), dtype)
        self.Z[:, H] = 1
        self.Z_flat = np.empty((H + 1 + I, T + 1, B), dtype)  # the same, all time steps side by side
        self.D = np.zeros((T + 1, V + self.delta_rows * H, B), dtype)
        self.scores = np.empty((V, T * B), dtype)
        self.dh = np.empty((H, B), dtype)
        self.one, self.half, self.two = (np.full((), value, dtype) for value in (1, 0.5, 2))
        self.chunk = max(1, min(T, chunk_bytes // (5 * H * B * self.dtype.itemsize)))
        self.prepare()

    def prepare(self) -> None:
        """Allocate what the cell needs besides, and cut out every view that the loops use: a view costs as much as an
        addition."""
        raise NotImplementedError

    def step(self, weights: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> tuple[float, Gradients]:
        """The loss, and its gradient with respect to every weight."""
        raise NotImplementedError

    def chunks(self) -> list[slice]:
        """The time steps in pieces, the last piece first."""
        return [slice(t, min(t + self.chunk, self.shape.T)) for t in reversed(range(0, self.shape.T, self.chunk))]

    def rows(self, first: int, last: int | None = None) -> slice:
        """The rows of blocks number `first` to `last` (alone, if None), each of H rows."""
        H = self.shape.H
        return slice(first * H, (first + 1 if last is None else last + 1) * H)

    def load(self, x: np.ndarray) -> None:
        """Put the data in its place. That of h_0 = 0 is never written to."""
        self.Z[:-1, self.shape.H + 1 :] = x.transpose(0, 2, 1)

    def head(self, W: np.ndarray, y: np.ndarray, d_scores: np.ndarray) -> float:
        """o_t = W [h_t; 1] and L = mean of (log Σ e^o - o_y), for all steps; ∂L/∂o goes into `d_scores` (T, V, B)."""
        B, T, _, H = self.shape
        o, y, columns = self.scores, y.reshape(-1), np.arange(T * B)
        np.copyto(self.Z_flat.transpose(1, 0, 2), self.Z)
        np.matmul(W, self.Z_flat.reshape(-1, (T + 1) * B)[: H + 1, B:], out=o)
        o -= o.max(0)
        picked = o[y, columns]
        np.exp(o, out=o)
        total = o.sum(0)
        loss = float((np.log(total) - picked).mean())
        o *= 1 / (total * self.dtype.type(T * B))  # softmax(o) / (T B)
        o[y, columns] -= self.dtype.type(1 / (T * B))
        d_scores[...] = o.reshape(-1, T, B).transpose(1, 0, 2)
        return loss

    def flat(self, D: np.ndarray, buffer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """D (T + 1, rows, B) and Z as matrices of rows by time steps; `head` has already copied Z."""
        if self.shape.B == 1:
            return D.reshape(len(D), -1).T, self.Z.reshape(len(D), -1).T
        np.copyto(buffer.transpose(1, 0, 2), D)
        return buffer.reshape(len(buffer), -1), self.Z_flat.reshape(len(self.Z_flat), -1)


def row_blocks(M: int, K: int, N: int) -> int:
    """Into how many blocks of rows to cut W (M, K) for the product with a (K, N).

    The same W is multiplied at every step. OpenBLAS would pack it anew each time, a third of the time of so narrow a
    product; blocks that are small enough are multiplied without. It does not pay for more than eight.
    """
    if M * K * N <= SMALL // 2:
        return 1
    fits = (n for n in (1, 2, 4, 8) if M % n == 0 and M // n >= 32 and M // n * K * N <= SMALL)
    return next(fits, 1)


def blocked(W: np.ndarray, blocks: int) -> np.ndarray:
    """W (M, K) as a contiguous (blocks, M / blocks, K)."""
    return np.ascontiguousarray(W).reshape(blocks, len(W) // blocks, -1)
