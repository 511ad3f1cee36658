"""Initial values: each function gives a parameter new data, drawn from a generator or seed given as ``rng=``.

A weight here is (inputs, outputs), as in ``x @ W``. Recurrent weights hold several gates side by side,
(H, G*H); `orthogonal_` and `identity_` treat each square block by itself.

`irnn_`, `forget_bias_` and `chrono_` take a recurrent cell, or a layer for all its cells, and set several parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..autograd.tensor import Tensor
from ..engine import randomness
from ..errors import ShapeError

if TYPE_CHECKING:
    from .module import Module

Rng = np.random.Generator | int | None
M = TypeVar("M", bound="Module")


def uniform_(tensor: Tensor, low: float = 0.0, high: float = 1.0, *, rng: Rng = None) -> Tensor:
    """Draw each entry from U(low, high).

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.nn.init.uniform_(tg.tensor(np.zeros(3)), -1, 1, rng=0).data.round(2)
    array([ 0.27, -0.46, -0.92])
    """
    return _fill(tensor, lambda shape: randomness.generator(rng).uniform(low, high, shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, *, rng: Rng = None) -> Tensor:
    """Draw each entry from N(mean, std²).

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.nn.init.normal_(tg.tensor(np.zeros(3)), std=0.1, rng=0).data.round(2)
    array([ 0.01, -0.01,  0.06])
    """
    return _fill(tensor, lambda shape: randomness.generator(rng).normal(mean, std, shape))


def constant_(tensor: Tensor, value: float) -> Tensor:
    """Set each entry to one value.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.nn.init.constant_(tg.tensor(np.zeros(3)), 0.5).data
    array([0.5, 0.5, 0.5])
    """
    return _fill(tensor, lambda shape: np.full(shape, value))


def zeros_(tensor: Tensor) -> Tensor:
    """Set each entry to 0.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.nn.init.zeros_(tg.tensor(np.ones(3))).data
    array([0., 0., 0.])
    """
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Set each entry to 1.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.nn.init.ones_(tg.tensor(np.zeros(3))).data
    array([1., 1., 1.])
    """
    return constant_(tensor, 1.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, *, rng: Rng = None) -> Tensor:
    """U(-a, a) with a = gain √(6 / (inputs + outputs)) (Glorot and Bengio 2010, eq. 16).

    >>> import numpy as np, tinygrad_rnn as tg
    >>> W = tg.nn.init.xavier_uniform_(tg.tensor(np.zeros((200, 400))), rng=0)
    >>> round(float(np.abs(W.data).max()), 3)  # √(6 / 600)
    0.1
    """
    inputs, outputs = _fans(tensor)
    bound = gain * math.sqrt(6 / (inputs + outputs))
    return uniform_(tensor, -bound, bound, rng=rng)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, *, rng: Rng = None) -> Tensor:
    """N(0, s²) with s = gain √(2 / (inputs + outputs)) (Glorot and Bengio 2010).

    >>> import numpy as np, tinygrad_rnn as tg
    >>> W = tg.nn.init.xavier_normal_(tg.tensor(np.zeros((200, 600))), rng=0)
    >>> round(float(W.data.std()), 3)  # √(2 / 800)
    0.05
    """
    inputs, outputs = _fans(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2 / (inputs + outputs)), rng=rng)


def orthogonal_(tensor: Tensor, gain: float = 1.0, *, rng: Rng = None) -> Tensor:
    """Orthonormal rows or columns, times gain, in each square block (Saxe et al. 2014): no direction grows or shrinks.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> W = tg.nn.init.orthogonal_(tg.tensor(np.zeros((3, 6))), rng=0).data
    >>> np.allclose(W[:, :3] @ W[:, :3].T, np.eye(3))
    True
    """
    generator = randomness.generator(rng)

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        tall = generator.standard_normal((max(shape), min(shape)))
        q, r = np.linalg.qr(tall)
        q *= np.sign(np.diag(r))  # makes the draw uniform over all orthogonal matrices
        return gain * (q if q.shape == shape else q.T)

    return _fill_blocks(tensor, draw)


def identity_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """gain times the identity in each square block: a recurrent state that is kept as it is (Le et al. 2015, IRNN).

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.nn.init.identity_(tg.tensor(np.zeros((2, 4)))).data
    array([[1., 0., 1., 0.],
           [0., 1., 0., 1.]])
    """
    return _fill_blocks(tensor, lambda shape: gain * np.eye(shape[0], shape[1]))


# ------------------------------------------------------------------ of a recurrent cell, or a layer of them


def irnn_(module: M, std: float = 0.001, *, rng: Rng = None) -> M:
    """An RNN of rectified units that starts by keeping its state: W_hh = 1, b_h = 0, W_xh from N(0, std²) (Le 2015).

    >>> import numpy as np, tinygrad_rnn as tg
    >>> rnn = tg.nn.init.irnn_(tg.nn.RNN(1, 3, nonlinearity="relu", dtype=float), rng=0)
    >>> rnn(np.zeros((100, 1, 1)), np.ones((1, 1, 3)))[1].data     # after 100 steps
    array([[[1., 1., 1.]]])
    """
    generator = randomness.generator(rng)
    for cell in _cells(module, "irnn_"):
        if getattr(cell, "nonlinearity", None) not in ("relu", "identity"):
            raise ValueError(f'irnn_ is for an RNN with nonlinearity="relu" (or "identity"), not for {cell!r}')
        normal_(cell.W_xh, 0.0, std, rng=generator)
        identity_(cell.W_hh)
        if cell.b_h is not None:
            zeros_(cell.b_h)
    return module


def forget_bias_(module: M, value: float = 1.0) -> M:
    """b_f = value: an LSTM with a large one starts by keeping its memory (Gers et al. 2000; 1 in Jozefowicz 2015).

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.nn.init.forget_bias_(tg.nn.LSTMCell(1, 2, rng=0), 3.0).b_h.data[2:4]
    array([3., 3.], dtype=float32)
    """
    for cell in _cells(module, "forget_bias_"):
        f = _gate_with_bias(cell, "f", "forget_bias")
        cell.b_h.data[f] = value
    return module


def chrono_(module: M, T_max: float, *, rng: Rng = None) -> M:
    """Biases for dependencies of up to T_max time steps (Tallec and Ollivier 2018): a gate σ(log u) forgets
    after about 1 + u steps, and u is drawn from U(1, T_max - 1), for each unit its own.

        LSTM   b_f = log u,  b_i = -b_f
        GRU    b_z = log u          since here z keeps the old state

    Raises ValueError for a cell without such a gate or without bias, or for T_max below 2.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> lstm = tg.nn.init.chrono_(tg.nn.LSTMCell(1, 3, rng=0), 100, rng=0)
    >>> f = tg.sigmoid(lstm.b_h).data[3:6]
    >>> (1 / (1 - f)).round()  # after so many steps about 1/e is left
    array([64., 28.,  6.], dtype=float32)
    """
    if not T_max >= 2 or T_max == math.inf:
        raise ValueError(f"chrono_: T_max must be a number of time steps of at least 2, not {T_max}")
    generator = randomness.generator(rng)
    for cell in _cells(module, "chrono_"):
        keep = _gate_with_bias(cell, "z" if "z" in cell.gates else "f", "chrono_")
        cell.b_h.data[keep] = np.log(generator.uniform(1, T_max - 1, cell.hidden_size))
        if "i" in cell.gates:
            cell.b_h.data[cell.gate("i")] = -cell.b_h.data[keep]
    return module


def _cells(module: Any, caller: str) -> list[Any]:
    """A layer's cells, or the cell itself."""
    cells = getattr(module, "cells", [module])
    if not all(hasattr(cell, "gates") for cell in cells):
        raise TypeError(f"{caller} needs a recurrent cell or layer, not {type(module).__name__}")
    return list(cells)


def _gate_with_bias(cell: Any, gate: str, caller: str) -> slice:
    """Where in b_h the bias of a gate stands."""
    if gate not in cell.gates:
        raise ValueError(f"{caller} needs a cell that has a gate {gate}, and there is none in {cell!r}")
    if cell.b_h is None:
        raise ValueError(f"{caller} needs bias=True: without b_h there is no bias to set")
    place: slice = cell.gate(gate)
    return place


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
