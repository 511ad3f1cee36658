"""The three recurrent cells: the equations of one time step.

Row vectors, as the texts write them: a batch of inputs is ``x_t`` (B, I), of states ``h_{t-1}`` (B, H). A weight
holds its G gates side by side: ``W_xh`` (I, G*H), ``W_hh`` (H, G*H), ``b_h`` (G*H,).

A step has two parts. ``project`` is what does not depend on the state, ``a = x W_xh + b_h``; a layer computes it for
all time steps in one product. ``step(a_t, state)`` is the rest, and the recurrence itself. Nothing here knows about
backpropagation through time: it arises because `step` is recorded T times with the same weights.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..engine import randomness
from ..engine.arrays import DType
from ..ops.elementwise import relu, sigmoid, tanh
from ..ops.shape import split
from .cell import Cell, norm
from .init import Rng, forget_bias_
from .module import Parameter
from .state import label

NONLINEARITIES: dict[str, Any] = {"tanh": tanh, "relu": relu, "sigmoid": sigmoid, "identity": lambda x: x}


class RNNCell(Cell):
    """The vanilla cell (Elman 1990): h_t = φ(x_t W_xh + h_{t-1} W_hh + b_h), φ one of tanh, relu, sigmoid, identity.

    With ``layer_norm=True``, h_t = φ(LN(x_t W_xh) + LN(h_{t-1} W_hh) + b_h). Other options: see `Cell`.

    >>> import tinygrad_rnn as tg
    >>> cell = tg.nn.RNNCell(3, 4, rng=0)
    >>> cell(tg.tensor([[1.0, 0.0, 0.0]])).shape
    (1, 4)
    """

    gates = "h"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        layer_norm: bool = False,
        learn_initial_state: bool = False,
        dtype: DType = np.float32,
        rng: Rng = None,
    ) -> None:
        if nonlinearity not in NONLINEARITIES:
            raise ValueError(f"nonlinearity must be one of {', '.join(NONLINEARITIES)}, not {nonlinearity!r}")
        super().__init__(input_size, hidden_size, bias, dtype, rng, layer_norm, learn_initial_state)
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        plain = self.nonlinearity == "tanh"
        return super().extra_repr() + ("" if plain else f", nonlinearity={self.nonlinearity!r}")

    def step(self, a: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        phi = NONLINEARITIES[self.nonlinearity]
        h = phi(a + norm(state @ self.W_hh, self.gain_h))
        label(h=h)
        return h, h


class LSTMCell(Cell):
    """The long short-term memory cell (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000).

        i, f, g, o = x_t W_xh + h_{t-1} W_hh + b_h      four gates side by side, squashed by σ, σ, tanh, σ
        c_t = f * c_{t-1} + i * g                       the memory: kept by f, written by i
        h_t = o * tanh(c_t)

    `forget_bias` sets the bias of f, so that a new cell remembers (1 is usual). The variants of the literature:

    - ``peepholes=True``: the gates see the memory too, with weights (H,), one a unit (Gers and Schmidhuber 2001):
      i = σ(... + W_ci * c_{t-1}),  f = σ(... + W_cf * c_{t-1}),  o = σ(... + W_co * c_t)
    - ``forget_gate=False``: c_t = c_{t-1} + i * g, with three gates i, g, o side by side (the cell of 1997)
    - ``cut_gate_gradient=True``: the truncated gradient of 1997. What the gates and g see of h_{t-1} and of c is
      detached, so c_{t-1} reaches c_t on the line of c alone: dc_T/dc_0 is diag(Π f_t), and without f the identity
    - ``layer_norm=True``: LN(x_t W_xh) + LN(h_{t-1} W_hh) + b_h into the gates, and h_t = o * tanh(LN(c_t)), where
      LN(c_t) has a gain `gain_c` and a bias `b_c` (H,) (Ba et al. 2016, eq. 20 to 22)

    >>> import tinygrad_rnn as tg
    >>> h, c = tg.nn.LSTMCell(3, 4, rng=0)(tg.tensor([[1.0, 0.0, 0.0]]))
    >>> h.shape, c.shape
    ((1, 4), (1, 4))
    """

    gates = "ifgo"
    states = ("h", "c")
    W_ci: Parameter
    W_cf: Parameter
    W_co: Parameter

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        forget_bias: float | None = None,
        *,
        peepholes: bool = False,
        forget_gate: bool = True,
        cut_gate_gradient: bool = False,
        layer_norm: bool = False,
        learn_initial_state: bool = False,
        dtype: DType = np.float32,
        rng: Rng = None,
    ) -> None:
        rng = randomness.generator(rng)
        self.peepholes, self.forget_gate, self.cut_gate_gradient = peepholes, forget_gate, cut_gate_gradient
        if not forget_gate:
            self.gates = "igo"
        super().__init__(input_size, hidden_size, bias, dtype, rng, layer_norm, learn_initial_state)
        self.gain_c = Parameter(np.ones(self.hidden_size), dtype) if layer_norm else None
        self.b_c = Parameter(np.zeros(self.hidden_size), dtype) if layer_norm and bias else None
        bound = 1 / math.sqrt(self.hidden_size)
        for gate in "ifo" if peepholes and forget_gate else "io" if peepholes else "":
            setattr(self, f"W_c{gate}", Parameter(rng.uniform(-bound, bound, self.hidden_size), dtype))
        if forget_bias is not None:
            forget_bias_(self, forget_bias)

    def extra_repr(self) -> str:
        options = {"peepholes=True": self.peepholes, "forget_gate=False": not self.forget_gate}
        options["cut_gate_gradient=True"] = self.cut_gate_gradient
        return ", ".join([super().extra_repr(), *(text for text, on in options.items() if on)])

    def step(self, a: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        if self.peepholes or not self.forget_gate or self.cut_gate_gradient or self.gain_h is not None:
            return self.variant_step(a, state)
        h, c = state
        i, f, g, o = split(a + h @ self.W_hh, 4, axis=-1)
        i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
        c = f * c + i * g
        h = o * tanh(c)
        label(i=i, f=f, g=g, o=o, c=c, h=h)
        return h, (h, c)

    def variant_step(self, a: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """A step with the options of the literature; without any of them it is `step`."""
        h, c = state
        seen_h, seen_c = (h.detach(), c.detach()) if self.cut_gate_gradient else (h, c)  # the past, as the gates see it
        a = a + norm(seen_h @ self.W_hh, self.gain_h)
        if self.forget_gate:
            i, f, g, o = split(a, 4, axis=-1)
            f = sigmoid(f + self.W_cf * seen_c) if self.peepholes else sigmoid(f)
            kept = f * c
            label(f=f)
        else:
            i, g, o = split(a, 3, axis=-1)
            kept = c  # nothing is ever forgotten
        i = sigmoid(i + self.W_ci * seen_c) if self.peepholes else sigmoid(i)
        g = tanh(g)
        c = kept + i * g
        seen_c = c.detach() if self.cut_gate_gradient else c
        o = sigmoid(o + self.W_co * seen_c) if self.peepholes else sigmoid(o)  # o alone sees the new memory
        h = o * tanh(norm(c, self.gain_c, self.b_c))
        label(i=i, g=g, o=o, c=c, h=h)
        return h, (h, c)


class GRUCell(Cell):
    """The gated recurrent unit (Cho et al. 2014), as torch computes it: the reset gate comes after the product.

        r = σ(x_t W_xr + h_{t-1} W_hr + b_r)
        z = σ(x_t W_xz + h_{t-1} W_hz + b_z)
        n = tanh(x_t W_xn + b_n + r * (h_{t-1} W_hn + b_hn))
        h_t = (1 - z) * n + z * h_{t-1}                 z keeps the old state

    With ``reset_after=False``, as in the paper, n = tanh(x_t W_xn + b_n + (r * h_{t-1}) W_hn), and there is no b_hn.
    With ``layer_norm=True`` the products x_t W_xh and h_{t-1} W_hh are normalised before the gates are split off.

    >>> import tinygrad_rnn as tg
    >>> tg.nn.GRUCell(3, 4, rng=0)(tg.tensor([[1.0, 0.0, 0.0]])).shape
    (1, 4)
    """

    gates = "rzn"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        reset_after: bool = True,
        *,
        layer_norm: bool = False,
        learn_initial_state: bool = False,
        dtype: DType = np.float32,
        rng: Rng = None,
    ) -> None:
        if layer_norm and not reset_after:
            raise ValueError("layer_norm normalises h W_hh as a whole, and with reset_after=False it is never computed")
        rng = randomness.generator(rng)
        super().__init__(input_size, hidden_size, bias, dtype, rng, layer_norm, learn_initial_state)
        self.reset_after = reset_after
        bound = 1 / math.sqrt(self.hidden_size)
        self.b_hn = Parameter(rng.uniform(-bound, bound, hidden_size), dtype) if bias and reset_after else None

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")

    def step(self, a: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        h, H = state, self.hidden_size
        a_r, a_z, a_n = split(a, 3, axis=-1)
        if self.reset_after:
            u_r, u_z, u_n = split(norm(h @ self.W_hh, self.gain_h), 3, axis=-1)
            r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
            n = tanh(a_n + r * (u_n if self.b_hn is None else u_n + self.b_hn))
        else:
            u_r, u_z = split(h @ self.W_hh[:, : 2 * H], 2, axis=-1)
            r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
            n = tanh(a_n + (r * h) @ self.W_hh[:, 2 * H :])
        h = (1 - z) * n + z * h
        label(r=r, z=z, n=n, h=h)
        return h, h
