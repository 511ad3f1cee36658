"""Your own op in ten lines: a function, its derivative, a check, and a recurrent cell that uses it.

    python examples/own_op.py                              a few seconds
    python examples/own_op.py --steps 50

The op is softsign, y = x / (1 + |x|): like tanh it squashes to (-1, 1), but it approaches its ends slowly.
Its derivative is 1 / (1 + |x|)². The rule below is that derivative times g = dL/dy, in plain NumPy; because
the tape records NumPy functions, the rule itself can be differentiated, and `gradcheck` tests both orders.

The cell is a Python function; `tg.nn.unroll` calls it once a time step. It learns to repeat its input with a
delay of three steps, so its state must hold the last three inputs.

Prints the check, the tape of the first two steps, and the error as it falls, beside that of always answering 0.
"""

import argparse

import numpy as np

import tinygrad_rnn as tg

DELAY, LENGTH, BATCH, HIDDEN = 3, 20, 32, 16


class Softsign(tg.Op):
    def forward(self, x):
        return x / (1 + np.abs(x))

    def vjp(self, g, y, x):
        return g / (1 + np.abs(x)) ** 2


softsign = Softsign()


def main(argv: list[str] | None = None) -> float:
    """Check the op, then train with it; gives the mean squared error of the last 20 steps."""
    parser = argparse.ArgumentParser(description="a recurrent cell with an op of its own")
    parser.add_argument("--steps", type=int, default=400, help="training steps (400)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    rng = np.random.default_rng(options.seed)

    point = tg.tensor(rng.standard_normal((2, 3)), requires_grad=True)
    print(f"gradcheck of softsign, first and second order: {tg.gradcheck(softsign, point, order=2)}\n")

    def weight(name: str, *shape: int) -> tg.Tensor:
        return tg.tensor(rng.standard_normal(shape) / np.sqrt(shape[0]), requires_grad=True, name=name)

    W_xh, W_hh, W_hq = weight("W_xh", 1, HIDDEN), weight("W_hh", HIDDEN, HIDDEN), weight("W_hq", HIDDEN, 1)
    optimizer = tg.optim.Adam([W_xh, W_hh, W_hq], lr=0.01)

    def cell(x_t: tg.Tensor, h: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        h = softsign(x_t @ W_xh + h @ W_hh)
        return h @ W_hq, h

    h_0, losses = np.zeros((BATCH, HIDDEN)), []
    for step in range(1, options.steps + 1):
        x = rng.uniform(-1, 1, (LENGTH, BATCH, 1))
        output, _ = tg.nn.unroll(cell, tg.tensor(x), h_0)
        loss = tg.nn.mse_loss(output[DELAY:], x[:-DELAY])
        if step == 1:
            first_two, _ = tg.nn.unroll(cell, tg.tensor(x[:2]), h_0)
            print(tg.tape(first_two), "\n")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % max(1, options.steps // 10) == 0:
            print(f"step {step:4}  MSE {np.mean(losses[-20:]):.4f}   (always 0: {np.mean(x**2):.4f})")
    return float(np.mean(losses[-20:]))


if __name__ == "__main__":
    main()
