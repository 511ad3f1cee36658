"""The recurrent layers as editors and type checkers see them; what they are is in `recurrent`.

At runtime a layer takes the options of its cell, whatever that has. Here they are spelt out, so that a misspelt one is
marked while it is typed. A test compares the two.
"""

from typing import Any

from ..autograd.tensor import Tensor
from ..engine.arrays import DType, Operand
from . import recurrent
from .init import Rng

State = Tensor | Operand

class RNN(recurrent.RNN):
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        batch_first: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        bidirectional: bool = False,
        fused: bool | str = "auto",
        checkpoint: bool | int = False,
        rng: Rng = None,
        bias: bool = True,
        nonlinearity: str = "tanh",
        layer_norm: bool = False,
        learn_initial_state: bool = False,
        dtype: DType = ...,
    ) -> None: ...
    def forward(self, x: Operand, state: State | None = None, lengths: Any = None) -> tuple[Tensor, Tensor]: ...

class LSTM(recurrent.LSTM):
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        batch_first: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        bidirectional: bool = False,
        fused: bool | str = "auto",
        checkpoint: bool | int = False,
        rng: Rng = None,
        bias: bool = True,
        forget_bias: float | None = None,
        peepholes: bool = False,
        forget_gate: bool = True,
        cut_gate_gradient: bool = False,
        layer_norm: bool = False,
        learn_initial_state: bool = False,
        dtype: DType = ...,
    ) -> None: ...
    def forward(
        self, x: Operand, state: tuple[State, State] | None = None, lengths: Any = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]: ...

class GRU(recurrent.GRU):
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        batch_first: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        bidirectional: bool = False,
        fused: bool | str = "auto",
        checkpoint: bool | int = False,
        rng: Rng = None,
        bias: bool = True,
        reset_after: bool = True,
        layer_norm: bool = False,
        learn_initial_state: bool = False,
        dtype: DType = ...,
    ) -> None: ...
    def forward(self, x: Operand, state: State | None = None, lengths: Any = None) -> tuple[Tensor, Tensor]: ...
