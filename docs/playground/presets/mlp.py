"""A multilayer perceptron

Two inputs, two hidden units, one output: exclusive or. No time here; backpropagation is the same sweep. Press Train and
watch the weights move. From some starts it gets stuck: move a weight and train on.
"""

import numpy as np

import tinygrad_rnn as tg

W1 = tg.tensor([[0.9, -0.6], [0.8, -1.0]], requires_grad=True)  # -4 .. 4
b1 = tg.tensor([-0.2, 0.5], requires_grad=True)  # -4 .. 4
W2 = tg.tensor([[1.0], [0.7]], requires_grad=True)  # -4 .. 4
b2 = tg.tensor([0.0], requires_grad=True)  # -4 .. 4

x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
y = np.array([[0], [1], [1], [0]])

hidden = np.tanh(x @ W1 + b1)
output = hidden @ W2 + b2
loss = ((output - y) ** 2).mean()
print("output", output.numpy().ravel().round(2))
