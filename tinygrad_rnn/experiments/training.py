"""A model and a training step, as most of the experiments use them."""

from __future__ import annotations

from typing import Any

from ..autograd.tensor import Tensor
from ..nn import Linear, Module
from ..nn.init import Rng
from ..nn.recurrent import Recurrent
from ..optim import Optimizer, clip_grad_norm_


class Reader(Module):
    """A recurrent layer, and a linear head of its dtype on it: x (T, B, I) gives scores (T, B, outputs) and the state.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> scores, h = Reader(tg.nn.RNN(3, 4, rng=0), 2, rng=1)(np.ones((5, 6, 3)))
    >>> scores.shape
    (5, 6, 2)
    """

    def __init__(self, layer: Recurrent, outputs: int, rng: Rng = None) -> None:
        self.recurrent = layer
        self.head = Linear(layer.hidden_size, outputs, dtype=layer.cells[0].W_hh.dtype, rng=rng)

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Tensor, Any]:
        output, state = self.recurrent(x, state, lengths)
        return self.head(output), state


def learn(optimizer: Optimizer, loss: Tensor, clip: float | None = None) -> float:
    """One step down the gradient of the loss, its joint norm clipped; gives the loss."""
    optimizer.zero_grad()
    loss.backward()
    if clip is not None:
        clip_grad_norm_(optimizer.parameters, clip)
    optimizer.step()
    return loss.item()
