"""Your own program

Anything that ends with a `loss`, one number computed from tensors. Each number given to a name at the left edge gets a
slider; a comment like # -1 .. 1 gives its ends.
"""

import numpy as np

import tinygrad_rnn as tg

a = tg.tensor(2.0, requires_grad=True)
b = tg.tensor(-1.0, requires_grad=True)

c = a * b + np.sin(a)
loss = c**2
