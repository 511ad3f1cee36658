"""E46 and E47: claims about what can be learned, answered by learning it."""

from __future__ import annotations

import numpy as np

from ..autograd.tensor import Tensor
from ..bptt.truncation import Truncated
from ..data import last_sign
from ..nn import RNN, Linear, mse_loss
from ..nn.init import irnn_
from ..optim import Adam, clip_grad_norm_
from .entry import Values, erratum

LAGS = (4, 10, 50, 200)


@erratum(
    "S3, truncation, K = 20",
    '"can only learn dependencies within a 20-step window"',
    "windows of {K} steps with carried state, 'sign of the last input that was not 0': right at lags {lags} in "
    "{shares} of 100",
)
def E46() -> Values:
    """what is learned within a window, to hold a state, works for any time"""
    K = 5
    rng = np.random.default_rng(0)
    rnn, head = RNN(1, 8, rng=0), Linear(8, 1, rng=1)
    optimizer = Adam([*rnn.parameters(), *head.parameters()], lr=0.01)
    x, positive = last_sign(2000, 16, rng, p=0.2)
    y = 2.0 * positive[:, :, None] - 1
    for steps, output, _ in Truncated(K).run(rnn, x):
        optimizer.zero_grad()
        mse_loss(head(output), y[steps]).backward()
        clip_grad_norm_(optimizer.parameters, 1.0)
        optimizer.step()
    shares = []
    for lag in LAGS:
        x = rng.choice([-1.0, 0.0, 1.0], size=(10 + lag, 100, 1))
        x[9] = rng.choice([-1.0, 1.0], size=(100, 1))
        x[10:] = 0
        output, _ = rnn(x)
        shares.append(int((np.sign(head(output[-1]).data) == x[9]).sum()))
    return {"K": K, "lags": ", ".join(map(str, LAGS)), "shares": ", ".join(map(str, shares)), "right": shares}


@erratum(
    "S3, limits of vanilla RNNs",
    "cannot learn from events more than 10-20 steps in the past",
    "a number shown at the first of {T} steps, to be named at the last: mean square error {irnn:.3f} with ReLU and "
    "the identity to start from, {tanh:.3f} with tanh (a guess: {guess:.3f})",
)
def E47() -> Values:
    """the start decides: the identity carries the gradient unchanged (Le et al. 2015)"""
    T = 50
    errors = {name: remembering(T, name) for name in ("irnn", "tanh")}
    return {"T": T, "guess": 1 / 12, **errors}


def remembering(T: int, kind: str, updates: int = 150) -> float:
    """The mean square error, after training, of an RNN that is to name, after T steps, the number of the first."""
    rng = np.random.default_rng(0)
    rnn = RNN(1, 16, nonlinearity="relu" if kind == "irnn" else "tanh", rng=0)
    if kind == "irnn":
        irnn_(rnn, rng=0)
    head = Linear(16, 1, rng=1)
    optimizer = Adam([*rnn.parameters(), *head.parameters()], lr=0.002)

    def loss(batch: int) -> Tensor:
        x = rng.random((T, batch, 1))
        x[1:] = 0
        output, _ = rnn(x)
        return mse_loss(head(output[-1]), x[0])

    for k in range(updates):
        optimizer.lr = 0.002 * (1 - k / updates)  # so that what is left does not hang on the last steps
        optimizer.zero_grad()
        loss(16).backward()
        clip_grad_norm_(optimizer.parameters, 1.0)
        optimizer.step()
    return loss(500).item()
