"""A gradient that vanishes, or explodes

One unit hands its state on, T times, and the loss looks at the last state only. On its way back the gradient is
multiplied by w · (1 - h²) at each step. With |w| below 1 it dies out; above 1 it may grow, until the slope of tanh
stops it. With tanh = 0 there is no such slope, and only the eigenvalue w
counts.
"""

import numpy as np

import tinygrad_rnn as tg

w = tg.tensor(0.7, requires_grad=True)  # -2 .. 2
T = 12  # 2 .. 40
start = tg.tensor(0.5, requires_grad=True)  # -1 .. 1
tanh = 1  # 0 .. 1


def step(x_t, h):
    z = w * h + x_t
    h = np.tanh(z) if tanh else z
    return h, h


outputs, h = tg.nn.unroll(step, np.zeros(T), start)
loss = h * 1.0
print(f"eigenvalue w = {w.item():g},  w^{T} = {w.item() ** T:.3g}")
