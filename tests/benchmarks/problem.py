"""What every library is given: the same weights and the same data, for one training step of a recurrent network.

A step: the layer over T time steps, a linear head, the mean cross-entropy, and the gradient of every parameter. The
input is data and gets no gradient. Weights have PyTorch's layout, so each library can load them as they are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


class Shape(NamedTuple):
    """Sequences in the batch, time steps, entries of the input, hidden units."""

    B: int
    T: int
    I: int  # noqa: E741
    H: int

    @property
    def V(self) -> int:
        """The number of classes that the head tells apart."""
        return max(32, self.I)

    def __str__(self) -> str:
        return ",".join(map(str, self))


GRID = [
    Shape(1, 32, 32, 32),
    Shape(16, 32, 64, 32),
    Shape(32, 64, 64, 64),
    Shape(32, 64, 64, 128),
    Shape(32, 128, 64, 128),
    Shape(64, 64, 128, 256),
]


LONG = [
    Shape(1, 1000, 32, 64),
    Shape(8, 100, 16, 64),
    Shape(4, 50, 8, 16),
]
"""Few sequences at a time, and long ones: what counts is the cost of a time step."""


class Problem(NamedTuple):
    """One training step: of which cell, with which weights w_ih, w_hh, b_ih, b_hh, w_o, b_o, on which data."""

    cell: str
    shape: Shape
    weights: dict[str, np.ndarray]
    x: np.ndarray  # (T, B, I)
    y: np.ndarray  # (T, B), class numbers


def problem(cell: str, shape: Shape, dtype: str = "float32", seed: int = 0) -> Problem:
    """Weights from U(-1/√H, 1/√H), normal data, random classes."""
    B, T, I, H = shape  # noqa: E741
    rng, G, V, bound = np.random.default_rng(seed), GATES[cell] * H, shape.V, 1 / np.sqrt(H)
    shapes = {"w_ih": (G, I), "w_hh": (G, H), "b_ih": (G,), "b_hh": (G,), "w_o": (V, H), "b_o": (V,)}
    weights = {name: rng.uniform(-bound, bound, s).astype(dtype) for name, s in shapes.items()}
    return Problem(cell, shape, weights, rng.standard_normal((T, B, I)).astype(dtype), rng.integers(0, V, (T, B)))
