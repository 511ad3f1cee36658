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

from ..errors import ShapeError
from ..ops.elementwise import relu, sigmoid, tanh
from ..ops.shape import split
from ..tensor import Tensor
from .basic import as_input, positive
from .init import Rng
from .module import Module, Parameter

NONLINEARITIES: dict[str, Any] = {"tanh": tanh, "relu": relu, "sigmoid": sigmoid, "identity": lambda x: x}


def label(**tensors: Tensor) -> None:
    """Name tensors by their role in the equations, for the tape, the pictures and the messages."""
    for name, tensor in tensors.items():
        tensor.name = name


class Cell(Module):
    """What the three cells share: their weights, drawn from U(-1/√H, 1/√H), and their checks."""

    gates: int
    states: tuple[str, ...] = ("h",)

    def __init__(self, input_size: int, hidden_size: int, bias: bool, dtype: Any, rng: Rng) -> None:
        self.input_size, self.hidden_size = positive("input_size", input_size), positive("hidden_size", hidden_size)
        rng = np.random.default_rng(rng)
        bound = 1 / math.sqrt(self.hidden_size)
        width = self.gates * self.hidden_size
        self.W_xh = Parameter(rng.uniform(-bound, bound, (self.input_size, width)), dtype)
        self.W_hh = Parameter(rng.uniform(-bound, bound, (self.hidden_size, width)), dtype)
        self.b_h = Parameter(rng.uniform(-bound, bound, width), dtype) if bias else None

    def project(self, x: Tensor) -> Tensor:
        """a = x W_xh + b_h, for one step (B, I) or for all at once (T, B, I)."""
        a = x @ self.W_xh
        a = a if self.b_h is None else a + self.b_h
        a.name = "a"
        return a

    def step(self, a: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The output and the state after one time step."""
        raise NotImplementedError

    def forward(self, x: Any, state: Any = None) -> Any:
        """The state after one step on x (B, I), or (I,) for one sequence without a batch; a missing state is zero."""
        x = as_input(x, self.W_hh.dtype, type(self).__name__)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            expected = f"(B, {self.input_size}) or ({self.input_size},)"
            raise ShapeError(f"{type(self).__name__}: x must be {expected}, got {x.shape}")
        shape = (*x.shape[:-1], self.hidden_size)
        _, state = self.step(self.project(x), check_state(state, self.states, shape, self.W_hh.dtype, self))
        return state

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.b_h is not None else ", bias=False")


def check_state(
    state: Any, names: tuple[str, ...], shape: tuple[int, ...], dtype: Any, owner: Module, x_was: str = ""
) -> Any:
    """The state as a Tensor (or a tuple of them, one a name) of this shape; zeros where it is None.

    `x_was` says for the message how the axes of x were read.
    """
    kind = type(owner).__name__
    if state is None:
        zeros = tuple(Tensor(np.zeros(shape, dtype), name=f"{name}_0") for name in names)
        return zeros if len(names) > 1 else zeros[0]
    if len(names) > 1 and not (isinstance(state, tuple | list) and len(state) == len(names)):
        raise TypeError(f"{kind}: state must be a tuple ({', '.join(names)}), not {_described(state)}")
    if len(names) == 1 and isinstance(state, tuple | list):
        raise TypeError(f"{kind}: state must be {names[0]} alone, not {_described(state)}")
    parts = []
    for name, part in zip(names, state if len(names) > 1 else (state,), strict=True):
        if part is None:
            raise TypeError(f"{kind}: state {name} is None: give all of ({', '.join(names)}), or state=None for zeros")
        part = as_input(part, dtype, f"{kind}: state {name}")
        if part.shape != shape:
            raise ShapeError(
                f"{kind}: state {name} must have shape {shape}, got {part.shape}{x_was}. A state belongs to the batch "
                "it came from: start a batch of another size with state=None"
            )
        parts.append(part)
    return tuple(parts) if len(names) > 1 else parts[0]


def _described(state: Any) -> str:
    return f"a {type(state).__name__} of {len(state)}" if isinstance(state, tuple | list) else type(state).__name__


class RNNCell(Cell):
    """The vanilla cell (Elman 1990): h_t = φ(x_t W_xh + h_{t-1} W_hh + b_h), φ one of tanh, relu, sigmoid, identity.

    >>> import tinygrad_rnn as tg
    >>> cell = tg.nn.RNNCell(3, 4, rng=0)
    >>> cell(tg.tensor([[1.0, 0.0, 0.0]])).shape
    (1, 4)
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: Any = np.float32,
        rng: Rng = None,
    ) -> None:
        if nonlinearity not in NONLINEARITIES:
            raise ValueError(f"nonlinearity must be one of {', '.join(NONLINEARITIES)}, not {nonlinearity!r}")
        super().__init__(input_size, hidden_size, bias, dtype, rng)
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        plain = self.nonlinearity == "tanh"
        return super().extra_repr() + ("" if plain else f", nonlinearity={self.nonlinearity!r}")

    def step(self, a: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        phi = NONLINEARITIES[self.nonlinearity]
        h = phi(a + state @ self.W_hh)
        label(h=h)
        return h, h


class LSTMCell(Cell):
    """The long short-term memory cell (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000).

        i, f, g, o = x_t W_xh + h_{t-1} W_hh + b_h      four gates side by side, squashed by σ, σ, tanh, σ
        c_t = f * c_{t-1} + i * g                       the memory: kept by f, written by i
        h_t = o * tanh(c_t)

    `forget_bias` sets the bias of f, so that a new cell remembers (1 is usual).

    >>> import tinygrad_rnn as tg
    >>> h, c = tg.nn.LSTMCell(3, 4, rng=0)(tg.tensor([[1.0, 0.0, 0.0]]))
    >>> h.shape, c.shape
    ((1, 4), (1, 4))
    """

    gates = 4
    states = ("h", "c")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        forget_bias: float | None = None,
        *,
        dtype: Any = np.float32,
        rng: Rng = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, dtype, rng)
        if forget_bias is not None:
            if self.b_h is None:
                raise ValueError("forget_bias needs bias=True: without b_h there is no bias to set")
            self.b_h.data[hidden_size : 2 * hidden_size] = forget_bias

    def step(self, a: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        h, c = state
        i, f, g, o = split(a + h @ self.W_hh, 4, axis=-1)
        i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
        c = f * c + i * g
        h = o * tanh(c)
        label(i=i, f=f, g=g, o=o, c=c, h=h)
        return h, (h, c)


class GRUCell(Cell):
    """The gated recurrent unit (Cho et al. 2014), as torch computes it: the reset gate comes after the product.

        r = σ(x_t W_xr + h_{t-1} W_hr + b_r)
        z = σ(x_t W_xz + h_{t-1} W_hz + b_z)
        n = tanh(x_t W_xn + b_n + r * (h_{t-1} W_hn + b_hn))
        h_t = (1 - z) * n + z * h_{t-1}                 z keeps the old state

    With ``reset_after=False``, as in the paper, n = tanh(x_t W_xn + b_n + (r * h_{t-1}) W_hn), and there is no b_hn.

    >>> import tinygrad_rnn as tg
    >>> tg.nn.GRUCell(3, 4, rng=0)(tg.tensor([[1.0, 0.0, 0.0]])).shape
    (1, 4)
    """

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        reset_after: bool = True,
        *,
        dtype: Any = np.float32,
        rng: Rng = None,
    ) -> None:
        rng = np.random.default_rng(rng)
        super().__init__(input_size, hidden_size, bias, dtype, rng)
        self.reset_after = reset_after
        bound = 1 / math.sqrt(self.hidden_size)
        self.b_hn = Parameter(rng.uniform(-bound, bound, hidden_size), dtype) if bias and reset_after else None

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")

    def step(self, a: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        h, H = state, self.hidden_size
        a_r, a_z, a_n = split(a, 3, axis=-1)
        if self.reset_after:
            u_r, u_z, u_n = split(h @ self.W_hh, 3, axis=-1)
            r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
            n = tanh(a_n + r * (u_n if self.b_hn is None else u_n + self.b_hn))
        else:
            u_r, u_z = split(h @ self.W_hh[:, : 2 * H], 2, axis=-1)
            r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
            n = tanh(a_n + (r * h) @ self.W_hh[:, 2 * H :])
        h = (1 - z) * n + z * h
        label(r=r, z=z, n=n, h=h)
        return h, h
