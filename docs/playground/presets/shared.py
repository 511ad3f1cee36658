"""One weight, used T times

There is one w, and each step uses it. Its gradient is the sum of what each use contributes: dL/dw = Σ_t dL/dw^(t).
Move the one slider: all the uses move.
"""

import numpy as np

import tinygrad_rnn as tg

w = tg.tensor(1.1, requires_grad=True)  # -2 .. 2
T = 5  # 1 .. 12


def step(x_t, h):
    h = x_t + w * h
    return h, h


outputs, h = tg.nn.unroll(step, np.ones(T), 0.0)
loss = h * 1.0
