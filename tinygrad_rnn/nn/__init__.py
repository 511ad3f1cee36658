"""Layers, losses and initial values."""

from . import init
from .basic import Dropout, Embedding, LayerNorm, Linear, Sequential
from .cells import GRUCell, LSTMCell, RNNCell
from .losses import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from .module import Module, Parameter
from .recurrent import GRU, LSTM, RNN, unroll
from .substitution import functional_call

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
    "Sequential",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "functional_call",
    "init",
    "mse_loss",
    "unroll",
]
