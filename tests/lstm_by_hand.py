"""The gradients of an LSTM as one derives them on paper, with loops over time as plain as can be.

What is generated from a recorded step is held to this, and `docs/8-compiled.md` shows it.
"""

from __future__ import annotations

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def forward(a, h, c, W):
    """All states and gates; a (T, B, 4 H) is what the steps get of the input."""
    hs, cs, gates = [h], [c], []
    for a_t in a:
        i, f, g, o = np.split(a_t + h @ W, 4, axis=-1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * c + i * g
        h = o * np.tanh(c)
        hs, cs, gates = [*hs, h], [*cs, c], [*gates, (i, f, g, o)]
    return hs, cs, gates


def backward(hs, cs, gates, W, dy, dh, dc):
    """dL/da, dL/dh and dL/dc before the first step, and dL/dW; dh and dc are those after the last."""
    da, dW = [], np.zeros_like(W)
    for t in reversed(range(len(gates))):
        (i, f, g, o), tanh_c = gates[t], np.tanh(cs[t + 1])
        dh = dh + dy[t]  # what arrives from later steps, and from the output of this one
        do = dh * tanh_c * o * (1 - o)
        dc = dc + dh * o * (1 - tanh_c**2)
        di = dc * g * i * (1 - i)
        df = dc * cs[t] * f * (1 - f)
        dg = dc * i * (1 - g**2)
        d = np.concatenate([di, df, dg, do], axis=-1)
        dW = dW + hs[t].T @ d  # each use of the shared weight adds its part
        dh, dc = d @ W.T, dc * f  # and what goes on to the step before
        da = [d, *da]
    return np.array(da), dh, dc, dW
