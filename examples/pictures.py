"""The pictures of the documentation, drawn again: python examples/pictures.py [FOLDER].

Prints the name of each file it writes (default folder: docs/pictures).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.pictures.comparison import Comparison
from tinygrad_rnn.texts.example import Example


def draw(output: tg.Tensor, level: str | None = None, **options: Any) -> tg.Drawing:
    """tg.draw, for a page that is light or dark as its reader likes."""
    return tg.draw(output, level, theme="auto", **options)


def truncated() -> tg.Drawing:
    """A tanh RNN over six steps in two windows: the state is handed on, the gradient is not."""
    rnn = tg.nn.RNN(2, 3, dtype=float, rng=0)
    state, losses = None, []
    for x in tg.bptt.windows(np.ones((6, 1, 2)), 3):
        output, state = rnn(x, state)
        losses.append((output * output).mean())
        losses[-1].name = "loss"
        state = tg.bptt.detach(state)
    return draw(losses[0] + losses[1], grads=True)


def lstm() -> tg.Drawing:
    """Every op of an LSTM over three steps."""
    output, _ = tg.nn.LSTM(2, 3, dtype=float, rng=0)(np.ones((3, 1, 2)))
    return draw((output * output).sum(), level="op")


def folded() -> tg.Drawing:
    """A GRU over a hundred steps, its middle folded."""
    output, _ = tg.nn.GRU(2, 3, dtype=float, rng=0)(np.ones((100, 1, 2)))
    return draw((output * output).sum())


def at_the_end(layer: type, T: int) -> tg.Tensor:
    """The loss of the last step alone, whose gradient has the whole way back to go."""
    output, _ = layer(2, 8, dtype=float, rng=0)(np.random.default_rng(0).normal(size=(T, 1, 2)))
    loss = (output[-1] * output[-1]).sum()
    loss.name = "loss"
    return loss


def gradients() -> tg.Drawing:
    """Every op of two steps of an LSTM, and how much gradient goes back along each edge."""
    return draw(at_the_end(tg.nn.LSTM, 2), level="op", grads=True)


def vanishing() -> tg.Drawing:
    """The gradient of the last step on its way back through a tanh RNN of a hundred steps."""
    return draw(at_the_end(tg.nn.RNN, 100), grads=True)


def strip() -> tg.Drawing:
    """The same, nothing but the gradient."""
    return draw(at_the_end(tg.nn.RNN, 100), level="strip")


def layers() -> tg.Drawing:
    """Two layers of an LSTM, each as one cell with a loop."""
    output, _ = tg.nn.LSTM(2, 3, 2, dtype=float, rng=0)(np.ones((100, 1, 2)))
    return draw((output * output).sum(), level="layer")


def lengths() -> tg.Drawing:
    """Three sequences of different lengths in one batch."""
    output, _ = tg.nn.GRU(2, 3, dtype=float, rng=0)(np.ones((5, 3, 2)), lengths=np.array([5, 3, 2]))
    return draw((output * output).sum(), level="cell", grads=True)


def two_models() -> Comparison:
    """A tanh RNN and an LSTM on the same sequence, their gradients on one scale, for a dark page."""
    models = {"tanh RNN": at_the_end(tg.nn.RNN, 60), "LSTM": at_the_end(tg.nn.LSTM, 60)}
    return tg.draw(models, grads=True, theme="dark")


def worked_example() -> tg.Drawing:
    """A lecture's example, three steps of one unit, with every value and gradient."""
    return draw(Example().loss, level="op", steps="all", values=True, grads=True)


# ------------------------------------------------------------------ BPTT in ten minutes: one unit, its state a number


def one_unit(xs: Sequence[float], losses: Sequence[int] = (-1,), cuts: Sequence[int] = ()) -> tg.Tensor:
    """h_t = tanh(0.6 x_t + 0.9 h_{t-1}), half the squared distance of some states from 0.1, and cuts behind others."""
    W_xh = tg.tensor(0.6, requires_grad=True, name="W_xh")
    W_hh = tg.tensor(0.9, requires_grad=True, name="W_hh")
    h, states = tg.tensor(0.0, name="h_0"), []
    with tg.scope("RNN") as at:
        for t, x in enumerate(xs, 1):
            at(t)
            h = np.tanh(W_xh * tg.tensor(x, name="x") + W_hh * h)
            h.name = "h"
            states.append(h)
            h = h.detach() if t in cuts else h
    terms = [(states[t] - tg.tensor(0.1, name="y")) ** 2 / 2 for t in losses]
    for term in terms:
        term.name = "loss"
    return sum(terms[1:], terms[0])


THREE, THIRTY = (0.5, 0.1, 0.4), (0.5, 0.1, 0.4) * 10


def unrolled() -> tg.Drawing:
    """Three steps of the unit, each a box."""
    return draw(one_unit(THREE), level="cell")


def forwards() -> tg.Drawing:
    """Every op of the three steps, and the number that comes out of it."""
    return draw(one_unit(THREE), level="op", values=True)


def backwards() -> tg.Drawing:
    """The same, with the gradient that comes back."""
    return draw(one_unit(THREE), level="op", values=True, grads=True)


def fading() -> tg.Drawing:
    """How much of it is left thirty steps back."""
    return draw(one_unit(THIRTY), level="strip")


def cut() -> tg.Drawing:
    """Six steps, a loss after the third and the last, and a cut between the halves."""
    return draw(one_unit(THREE * 2, losses=(2, 5), cuts=(3,)), level="cell", grads=True)


# ------------------------------------------------------------------ the pages on the source: each its own example


def numbers(**values: float) -> list[tg.Tensor]:
    """Numbers that need a gradient, under their names."""
    return [tg.tensor(value, requires_grad=True, name=name) for name, value in values.items()]


def tape() -> tg.Drawing:
    """Page 1: the five records of (tanh(w x + b) - 1)²."""
    w, b = numbers(w=0.5, b=-0.3)
    return draw(np.square(np.tanh(w * tg.tensor(2.0, name="x") + b) - 1), values=True)


def sweep() -> tg.Drawing:
    """Page 3: the same five, and what the sweep leaves at each."""
    w, b = numbers(w=0.5, b=-0.3)
    return draw(np.square(np.tanh(w * tg.tensor(2.0, name="x") + b) - 1), values=True, grads=True)


def rule() -> tg.Drawing:
    """Page 2: a product and a tanh, what they are handed and what they hand on."""
    w, x = numbers(w=0.5, x=2.0)
    return draw(np.tanh(w * x), values=True, grads=True)


def three_steps() -> tg.Drawing:
    """Page 3: h_t = tanh(u x_t + w h_{t-1}), and h_3 squared."""
    u, w = numbers(u=0.8, w=0.5)
    h = tg.tensor(0.0, name="h_0")
    with tg.scope("rnn") as at:
        for t, x in enumerate((1.0, 0.5, -1.0), 1):
            at(t)
            h = np.tanh(u * tg.tensor(x, name="x") + w * h)
    return draw(h * h, level="op", values=True, grads=True)


def detached() -> tg.Drawing:
    """Page 4: w times a w² that counts as a constant."""
    (w,) = numbers(w=3.0)
    return draw(w * (w * w).detach(), values=True, grads=True)


def two_steps() -> tg.Drawing:
    """Page 5: every op of two steps of the plain cell."""
    cell, h = tg.nn.RNNCell(2, 3, dtype=float, rng=0), None
    with tg.scope("cell") as at:
        for t, x in enumerate(np.eye(2), 1):
            at(t)
            h = cell(x[None], h)
    return draw((h * tg.tensor([[1.0, 2.0, -1.0]], name="weight")).sum(), level="op", names=cell)


def two_outputs() -> tg.Drawing:
    """Page 6: two steps of a layer, both of which count in the loss."""
    layer = tg.nn.RNN(1, 2, bias=False, dtype=float, rng=0)
    y, _ = layer(np.array([[1.0], [0.5]]))
    return draw((y * y).sum(), level="op", grads=True)


def in_print() -> tg.Drawing:
    """Six steps at the width of a column in print: on two lines, with fewer words."""
    output, _ = tg.nn.RNN(2, 3, dtype=float, rng=0)(np.ones((6, 1, 2)))
    return draw((output * output).sum(), width="8.5cm")


def labelled() -> tg.Drawing:
    """Words under the steps, a title, and the path of a state."""
    words = ["the", "cat", "sat", "down"]
    return draw(
        at_the_end(tg.nn.LSTM, 4), "cell", labels=words, title="Four words", highlight="c", legend=False, notes=False
    )


def downwards() -> tg.Drawing:
    """Time goes down, and depth to the right."""
    return draw(at_the_end(tg.nn.LSTM, 3), "cell", direction="down", highlight=2, notes=False)


def bare() -> tg.Drawing:
    """Neither shapes nor weights, the gradients as strokes alone, on a scale that was fixed."""
    show = {"shapes": False, "weights": False, "gradients": "strokes"}
    return draw(at_the_end(tg.nn.LSTM, 4), "cell", show=show, scale=(1e-3, 1), notes=False)


def coloured() -> tg.Drawing:
    """Colours, letters and a font of one's own."""
    colors = {"state": "#AA3377", "weight": "#4477AA", "gradient": "#AA3377"}
    return draw(at_the_end(tg.nn.LSTM, 3), "cell", grads=True, colors=colors, font="serif", size=9, notes=False)


def grey() -> tg.Drawing:
    """The palette of greys."""
    return draw(at_the_end(tg.nn.LSTM, 3), "cell", grads=True, colors="grey", notes=False)


SHOWN = (truncated, lstm, folded, gradients, vanishing, strip, layers, lengths, two_models, worked_example)
TEN_MINUTES = (unrolled, forwards, backwards, fading, cut)
PAGES = (tape, rule, sweep, three_steps, detached, two_steps, two_outputs)
OPTIONS = (in_print, labelled, downwards, bare, coloured, grey)
PICTURES = (*SHOWN, *OPTIONS, *TEN_MINUTES, *PAGES)


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
