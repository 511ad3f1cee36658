"""What the recurrent cells share: their weights, their first state, and the checks of what is given to them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor, result
from ..engine import randomness
from ..engine.arrays import DType, Operand
from ..errors import ShapeError
from ..ops.linalg import affine
from ..ops.shape import broadcast_to
from .basic import as_input, normalise, positive
from .init import Rng
from .module import Module, Parameter
from .state import check_state, label


def norm(u: Tensor, gain: Tensor | None, bias: Tensor | None = None) -> Tensor:
    """LN(u) = gain * (u - mean) / √(variance + 1e-5) + bias over the last axis; u itself where there is no gain."""
    if gain is None:
        return u
    u = gain * normalise(u)
    return u if bias is None else u + bias


OURS = __name__.partition(".")[0] + "."


class Cell(Module):
    """What the three cells share: their weights, drawn from U(-1/√H, 1/√H), and their checks.

    A cell says what its `gates` are, and writes ``step(a_t, state)``; a subclass of `Recurrent` with this `cell_type`
    is a layer of it.

    layer_norm           normalise each product over all its gates together (Ba et al. 2016, eq. 20): in place of
                         x W_xh and h W_hh stand LN(x W_xh) and LN(h W_hh), with the gains `gain_x` and `gain_h` (G*H,)
    learn_initial_state  a missing state is the parameter `h_0` (and `c_0`) (H,), at first zero, for every sequence
    """

    gates: str  # one letter a gate, in the order in which they stand side by side
    states: tuple[str, ...] = ("h",)
    h_0: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        dtype: DType = np.float32,
        rng: Rng = None,
        layer_norm: bool = False,
        learn_initial_state: bool = False,
    ) -> None:
        self.input_size, self.hidden_size = positive("input_size", input_size), positive("hidden_size", hidden_size)
        rng = randomness.generator(rng)
        bound = 1 / math.sqrt(self.hidden_size)
        width = len(self.gates) * self.hidden_size
        self.W_xh = Parameter(rng.uniform(-bound, bound, (self.input_size, width)), dtype)
        self.W_hh = Parameter(rng.uniform(-bound, bound, (self.hidden_size, width)), dtype)
        self.b_h = Parameter(rng.uniform(-bound, bound, width), dtype) if bias else None
        self.gain_x = Parameter(np.ones(width), dtype) if layer_norm else None
        self.gain_h = Parameter(np.ones(width), dtype) if layer_norm else None
        for name in self.states:
            setattr(self, f"{name}_0", Parameter(np.zeros(self.hidden_size), dtype) if learn_initial_state else None)

    def project(self, x: Tensor) -> Tensor:
        """a = x W_xh + b_h, for one step (B, I) or for all at once (T, B, I)."""
        if self.gain_x is None:
            a = affine(x, self.W_xh, self.b_h)
        else:
            a = norm(x @ self.W_xh, self.gain_x)
            a = a if self.b_h is None else a + self.b_h
        label(a=a)
        return a

    def initial_state(self, batch: tuple[int, ...]) -> Any:
        """The state before the first step, where none is given: zero, or the learned one for every sequence."""
        shape = (*batch, self.hidden_size)
        parts = []
        for name in self.states:
            learned = getattr(self, f"{name}_0")
            part = result(np.zeros(shape, self.W_hh.dtype)) if learned is None else broadcast_to(learned, shape)
            part.name = f"{name}_0"
            parts.append(part)
        return tuple(parts) if len(parts) > 1 else parts[0]

    def gate(self, name: str) -> slice:
        """The columns of W_xh, W_hh and b_h that belong to a gate."""
        k = self.gates.index(name)
        return slice(k * self.hidden_size, (k + 1) * self.hidden_size)

    def step(self, a: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The output and the state after one time step."""
        raise NotImplementedError

    def forward(self, x: Operand, state: Any = None) -> Any:
        """The state after one step on x (B, I), or (I,) for one sequence without a batch; a missing state is zero."""
        x = as_input(x, self.W_hh.dtype, type(self).__name__)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            expected = f"(B, {self.input_size}) or ({self.input_size},)"
            raise ShapeError(f"{type(self).__name__}: x must be {expected}, got {x.shape}")
        if state is None:
            state = self.initial_state(x.shape[:-1])
        else:
            state = check_state(state, self.states, (*x.shape[:-1], self.hidden_size), self.W_hh.dtype, self)
        _, state = self.step(self.project(x), state)
        return state

    def extra_repr(self) -> str:
        options = {"bias=False": self.b_h is None, "layer_norm=True": self.gain_h is not None}
        options["learn_initial_state=True"] = self.h_0 is not None
        return ", ".join([str(self.input_size), str(self.hidden_size), *(text for text, on in options.items() if on)])


def by_itself(cell: Cell) -> bool:
    """Whether a cell is compiled without being asked: its step is the library's, and no user's code takes part."""
    return type(cell).step.__module__.startswith(OURS)
