"""The limit: a training step written by hand in NumPy, as fast as we know how. No tape can be faster on NumPy alone.

    RNN, LSTM, GRU    each the forward and the backward pass of one cell, over arrays allocated once (workspace.py)

Four ideas make it fast; each file shows where.

    features first      The batch is the last axis, so each gate is one contiguous block of rows, and neighbouring gates
                        are one operand: a NumPy call on four gates costs one call.
    [h; 1; x]           What a product reads is stored as one column: a time step is one product, with its bias, and the
                        gradient of all weights and biases over all time steps is one product too.
    derivatives apart   All factors of the chain rule that do not depend on what arrives from the next time step are
                        computed before the backward loop, for many steps in one call: a chunk of them, as much as the
                        cache holds. The loop is left with one product and two or three multiplications.
    halves and doubles  σ(a) = (1 + tanh(a/2)) / 2. The cells work with 2σ(a) = 1 + tanh(a/2) and with halved weights,
                        which saves a multiplication each. Powers of two change no digit.
"""

from .gru import GRU
from .lstm import LSTM
from .rnn import RNN
from .workspace import Limit

LIMITS: dict[str, type[Limit]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
