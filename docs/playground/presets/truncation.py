"""Truncation: what a cut leaves out

A loss at every step makes the gradient of w a triangle of terms T(t, k): w as used in step k acts on the loss of step
t. Drag the scissors along the triangle: the terms that would have to pass the cut are gone. The values and the loss
stay as they are.
"""

import numpy as np

import tinygrad_rnn as tg

w = tg.tensor(0.9, requires_grad=True)  # -2 .. 2
x = [0.5, -0.3, 0.8, 0.1, -0.6, 0.4]
scissors = 3  # 0 .. 5

h, losses = 0.0, []
with tg.scope("RNN") as at:
    for t in range(1, 7):
        at(t)
        h = np.tanh(x[t - 1] + w * h)
        losses.append(h)
        if t == scissors:
            h = h.detach()
loss = sum(losses)
