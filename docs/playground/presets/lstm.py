"""An LSTM and the bias of its forget gate

The memory is c_t = f c_{t-1} + i g. On the way back through the memory the gradient is multiplied by the forget gate f
alone. Its bias decides where f starts: at 0 half of the gradient is lost at each step, at 4 nearly nothing.
"""

import numpy as np

import tinygrad_rnn as tg

forget_bias = 1.0  # -2 .. 6
T = 10  # 2 .. 30

lstm = tg.nn.LSTM(1, 2, forget_bias=forget_bias, dtype=float, rng=0)
x = np.sin(np.arange(T)).reshape(T, 1, 1)
output, (h, c) = lstm(x)
loss = ((c - 1.0) ** 2).sum()
f = 1 / (1 + np.exp(-forget_bias))
print(f"forget gate at the start {f:.3f}; to the power of {T}: {f**T:.3g}")
