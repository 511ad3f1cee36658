"""Initial values: each function gives a parameter new data, drawn from a generator or seed given as ``rng=``.

A weight here is (inputs, outputs), as in ``x @ W``. Recurrent weights hold several gates side by side,
(H, G*H); `orthogonal_` and `identity_` treat each square block by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor

Rng = np.random.Generator | int | None


def uniform_(tensor: Tensor, low: float = 0.0, high: float = 1.0, *, rng: Rng = None) -> Tensor:
    """Draw each entry from U(low, high)."""
    return _fill(tensor, lambda shape: np.random.default_rng(rng).uniform(low, high, shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, *, rng: Rng = None) -> Tensor:
    """Draw each entry from N(mean, std²)."""
    return _fill(tensor, lambda shape: np.random.default_rng(rng).normal(mean, std, shape))


def constant_(tensor: Tensor, value: float) -> Tensor:
    """Set each entry to one value."""
    return _fill(tensor, lambda shape: np.full(shape, value))


def zeros_(tensor: Tensor) -> Tensor:
    """Set each entry to 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Set each entry to 1."""
    return constant_(tensor, 1.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, *, rng: Rng = None) -> Tensor:
    """U(-a, a) with a = gain √(6 / (inputs + outputs)) (Glorot and Bengio 2010, eq. 16)."""
    inputs, outputs = _fans(tensor)
    bound = gain * math.sqrt(6 / (inputs + outputs))
    return uniform_(tensor, -bound, bound, rng=rng)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, *, rng: Rng = None) -> Tensor:
    """N(0, s²) with s = gain √(2 / (inputs + outputs)) (Glorot and Bengio 2010)."""
    inputs, outputs = _fans(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2 / (inputs + outputs)), rng=rng)


def orthogonal_(tensor: Tensor, gain: float = 1.0, *, rng: Rng = None) -> Tensor:
    """Orthonormal rows or columns, times gain, in each square block (Saxe et al. 2014): no direction grows or shrinks.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> W = tg.nn.init.orthogonal_(tg.tensor(np.zeros((3, 6))), rng=0).data
    >>> np.allclose(W[:, :3] @ W[:, :3].T, np.eye(3))
    True
    """
    generator = np.random.default_rng(rng)

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        tall = generator.standard_normal((max(shape), min(shape)))
        q, r = np.linalg.qr(tall)
        q *= np.sign(np.diag(r))  # makes the draw uniform over all orthogonal matrices
        return gain * (q if q.shape == shape else q.T)

    return _fill_blocks(tensor, draw)


def identity_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """gain times the identity in each square block: a recurrent state that is kept as it is (Le et al. 2015, IRNN)."""
    return _fill_blocks(tensor, lambda shape: gain * np.eye(shape[0], shape[1]))


def _fill(tensor: Tensor, values: Callable[[tuple[int, ...]], np.ndarray]) -> Tensor:
    tensor.data = values(tensor.shape)
    return tensor


def _fans(tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim != 2:
        raise ShapeError(f"this initialiser needs a matrix (inputs, outputs), not shape {tensor.shape}")
    return tensor.shape[0], tensor.shape[1]


def _fill_blocks(tensor: Tensor, values: Callable[[tuple[int, ...]], np.ndarray]) -> Tensor:
    """Fill each of the square blocks side by side in an (n, k*n) matrix; a matrix that has none is one block."""
    rows, columns = _fans(tensor)
    width = rows if rows and columns % rows == 0 else columns
    if tensor.size:
        tensor.data = np.concatenate([values((rows, width)) for _ in range(columns // width)], axis=1)
    return tensor
