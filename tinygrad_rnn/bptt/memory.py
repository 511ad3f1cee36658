"""How the memory of an LSTM depends on the memory one step before: four terms."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.modes import no_grad
from ..nn.cells import LSTMCell


class MemoryTerms(NamedTuple):
    """The terms of ``dc_t/dc_{t-1}``, each (B, H, H) with ``[b, i, j] = dc_t,i / dc_{t-1},j``: see `memory_terms`."""

    forget: np.ndarray
    input: np.ndarray
    candidate: np.ndarray
    direct: np.ndarray

    @property
    def total(self) -> np.ndarray:
        return self.forget + self.input + self.candidate + self.direct


def memory_terms(cell: LSTMCell, x: Any, c: Any, o: Any) -> MemoryTerms:
    """dc_t/dc_{t-1} of one LSTM step: what c_{t-1} does to c_t directly, and through h_{t-1} = o_{t-1} * tanh(c_{t-1}).

        forget     diag(c_{t-1} σ'_f) W_hfᵀ R        R = diag(o_{t-1} tanh'(c_{t-1}))
        input      diag(g σ'_i) W_hiᵀ R              W_hf, W_hi, W_hg: the columns of W_hh of each gate
        candidate  diag(i tanh'_g) W_hgᵀ R
        direct     diag(f)

    The sum is exact for one step. Multiplied over several it is not: c_{t-2} also reaches c_t past c_{t-1}, through
    h_{t-2} and the output gate o_{t-1}. Take the joint Jacobian of (h, c) for that (`jacobians`).

    x (B, I) is the input of the step; c (B, H) the memory and o (B, H) the output gate of the step before. Raises
    ValueError for a cell with the options of the literature.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> cell = tg.nn.LSTMCell(1, 1, bias=False, dtype=float)
    >>> cell.W_xh.data, cell.W_hh.data = np.zeros((1, 4)), np.zeros((1, 4))
    >>> tg.bptt.memory_terms(cell, [[1.0]], [[0.5]], [[0.5]]).total  # f = σ(0)
    array([[[0.5]]])
    """
    if not isinstance(cell, LSTMCell):
        raise TypeError(f"memory_terms() needs an LSTMCell, not {type(cell).__name__}")
    if cell.peepholes or not cell.forget_gate or cell.cut_gate_gradient or cell.gain_h is not None:
        raise ValueError(f"memory_terms() has the terms of the LSTM without further options, not of {cell!r}")
    dtype, H = cell.W_hh.dtype, cell.hidden_size
    x, c, o = (np.atleast_2d(np.asarray(getattr(a, "array", a), dtype)) for a in (x, c, o))
    with no_grad():
        pre = cell.project(Tensor(x)).array + (o * np.tanh(c)) @ cell.W_hh.array
    i, f = (1 / (1 + np.exp(-pre[:, cell.gate(name)])) for name in "if")
    g = np.tanh(pre[:, cell.gate("g")])
    R = (o * (1 - np.tanh(c) ** 2))[:, None, :]

    def term(slope: np.ndarray, name: str) -> np.ndarray:
        return slope[:, :, None] * cell.W_hh.array[:, cell.gate(name)].T * R

    direct = f[:, :, None] * np.eye(H, dtype=dtype)
    return MemoryTerms(term(c * f * (1 - f), "f"), term(g * i * (1 - i), "i"), term(i * (1 - g**2), "g"), direct)
