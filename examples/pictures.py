"""The pictures of the documentation, drawn again: python examples/pictures.py [FOLDER].

Prints the name of each file it writes (default folder: docs/pictures).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.pictures.comparison import Comparison
from tinygrad_rnn.texts.example import Example


def truncated() -> tg.Drawing:
    """A tanh RNN over six steps in two windows: the state is handed on, the gradient is not."""
    rnn = tg.nn.RNN(2, 3, dtype=float, rng=0)
    state, losses = None, []
    for x in tg.bptt.windows(np.ones((6, 1, 2)), 3):
        output, state = rnn(x, state)
        losses.append((output * output).mean())
        losses[-1].name = "loss"
        state = tg.bptt.detach(state)
    return tg.draw(losses[0] + losses[1], grads=True)


def lstm() -> tg.Drawing:
    """Every op of an LSTM over three steps."""
    output, _ = tg.nn.LSTM(2, 3, dtype=float, rng=0)(np.ones((3, 1, 2)))
    return tg.draw((output * output).sum(), level="op")


def folded() -> tg.Drawing:
    """A GRU over a hundred steps, its middle folded."""
    output, _ = tg.nn.GRU(2, 3, dtype=float, rng=0)(np.ones((100, 1, 2)))
    return tg.draw((output * output).sum())


def at_the_end(layer: type, T: int) -> tg.Tensor:
    """The loss of the last step alone, whose gradient has the whole way back to go."""
    output, _ = layer(2, 8, dtype=float, rng=0)(np.random.default_rng(0).normal(size=(T, 1, 2)))
    loss = (output[-1] * output[-1]).sum()
    loss.name = "loss"
    return loss


def gradients() -> tg.Drawing:
    """Every op of two steps of an LSTM, and how much gradient goes back along each edge."""
    return tg.draw(at_the_end(tg.nn.LSTM, 2), level="op", grads=True)


def vanishing() -> tg.Drawing:
    """The gradient of the last step on its way back through a tanh RNN of a hundred steps."""
    return tg.draw(at_the_end(tg.nn.RNN, 100), grads=True)


def strip() -> tg.Drawing:
    """The same, nothing but the gradient."""
    return tg.draw(at_the_end(tg.nn.RNN, 100), level="strip")


def layers() -> tg.Drawing:
    """Two layers of an LSTM, each as one cell with a loop."""
    output, _ = tg.nn.LSTM(2, 3, 2, dtype=float, rng=0)(np.ones((100, 1, 2)))
    return tg.draw((output * output).sum(), level="layer")


def lengths() -> tg.Drawing:
    """Three sequences of different lengths in one batch."""
    output, _ = tg.nn.GRU(2, 3, dtype=float, rng=0)(np.ones((5, 3, 2)), lengths=np.array([5, 3, 2]))
    return tg.draw((output * output).sum(), level="cell", grads=True)


def two_models() -> Comparison:
    """A tanh RNN and an LSTM on the same sequence, their gradients on one scale, for a dark page."""
    models = {"tanh RNN": at_the_end(tg.nn.RNN, 60), "LSTM": at_the_end(tg.nn.LSTM, 60)}
    return tg.draw(models, grads=True, theme="dark")


def worked_example() -> tg.Drawing:
    """A lecture's example, three steps of one unit, with every value and gradient."""
    return tg.draw(Example().loss, level="op", steps="all", values=True, grads=True)


PICTURES = (truncated, lstm, folded, gradients, vanishing, strip, layers, lengths, two_models, worked_example)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Draw the pictures of the documentation again.")
    default = Path(__file__).parent.parent / "docs" / "pictures"
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", default=default, help="(docs/pictures)")
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    for make in PICTURES:
        path = folder / f"{make.__name__}.svg"
        make().save(path)
        print(path)


if __name__ == "__main__":
    main()
