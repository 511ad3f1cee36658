"""Layers, losses and initial values."""

from typing import TYPE_CHECKING, NoReturn

from . import init
from .basic import Dropout, Embedding, LayerNorm, Linear, Sequential, TiedLinear
from .cells import GRUCell, LSTMCell, RNNCell
from .losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    l1_loss,
    mse_loss,
    nll_loss,
)
from .module import Module, Parameter
from .recurrent import unroll
from .rows import Rows
from .stepping import one_step
from .substitution import functional_call
from .watching import watch

if TYPE_CHECKING:
    from .typed import GRU, LSTM, RNN
else:
    from .recurrent import GRU, LSTM, RNN

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Dropout",
    "Embedding",
    "GRUCell",
    "LSTMCell",
    "LayerNorm",
    "Linear",
    "Module",
    "Parameter",
    "RNNCell",
    "Rows",
    "Sequential",
    "TiedLinear",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "functional_call",
    "huber_loss",
    "init",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "one_step",
    "unroll",
    "watch",
]

_INSTEAD = {
    "CrossEntropyLoss": "tg.nn.cross_entropy(scores, target)",
    "NLLLoss": "tg.nn.nll_loss(logs, target), or tg.nn.cross_entropy of scores before any softmax",
    "L1Loss": "tg.nn.l1_loss(input, target)",
    "HuberLoss": "tg.nn.huber_loss(input, target)",
    "SmoothL1Loss": "tg.nn.huber_loss(input, target)",
    "MSELoss": "tg.nn.mse_loss(input, target)",
    "BCEWithLogitsLoss": "tg.nn.binary_cross_entropy_with_logits(scores, target)",
    "BCELoss": "tg.nn.binary_cross_entropy_with_logits(scores, target), of scores before any sigmoid",
    "functional": "tg.nn itself: tg.nn.cross_entropy(scores, target)",
    "Tanh": "np.tanh(x) in forward",
    "Sigmoid": "tg.sigmoid(x) in forward",
    "ReLU": "tg.relu(x) in forward",
    "Softmax": "tg.softmax(x, axis=-1) in forward",
    "ModuleList": "a list, as an attribute of a module",
    "ModuleDict": "a dict, as an attribute of a module",
    "ParameterList": "a list, as an attribute of a module",
    "ParameterDict": "a dict, as an attribute of a module",
    "Flatten": "x.reshape(len(x), -1) in forward",
    "utils": "tg.optim.clip_grad_norm_(model.parameters(), 1.0), and layer(x, lengths=lengths) for packed sequences",
}
"""PyTorch's names for what has another name here."""


def __getattr__(name: str) -> NoReturn:
    here = f": write {_INSTEAD[name]}" if name in _INSTEAD else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{here}")
