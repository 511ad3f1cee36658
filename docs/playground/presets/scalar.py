"""The scalar RNN of a lecture

Three time steps of one unit, with the lecture's own numbers. Its figures can be checked by hand: 0.6 · 0.5 = 0.3,
tanh 0.3 = 0.2913. Move a weight and watch every number that depends on it. The lecture prints 0.1128 for the gradient
of W_hh, and 0.1059 is right: which slope went wrong?
"""

import numpy as np

import tinygrad_rnn as tg

W_xh = tg.tensor(0.6, requires_grad=True)  # -2 .. 2
W_hh = tg.tensor(0.9, requires_grad=True)  # -2 .. 2
W_hy = tg.tensor(0.8, requires_grad=True)  # -2 .. 2
x = [0.5, 0.1, 0.4]
y = [0.4, 0.2, 0.1]

h, loss = 0.0, 0.0
with tg.scope("RNN") as at:
    for t in range(3):
        at(t + 1)
        h = np.tanh(W_xh * x[t] + W_hh * h)
        o = W_hy * h
        loss = loss + (o - y[t]) ** 2 / 2
