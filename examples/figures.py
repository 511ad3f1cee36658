"""Four figures of the literature, drawn from code that runs: python examples/figures.py [FOLDER] [--ending tex].

Prints the name of each file it writes (default folder: docs/pictures). Each is made for a column of a paper, with its
words and nothing else: its caption says the rest.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_rnn as tg

draw = partial(tg.draw, width="8.5cm", title="", legend=False, notes=False)
plain = {"shapes": False, "weights": False}
rng = np.random.default_rng(0)


def figure_unrolled() -> tg.Drawing:
    """The unrolled RNN of every textbook."""
    rnn = tg.nn.RNN(2, 3, rng=0)
    output, _ = rnn(rng.normal(size=(3, 1, 2)))
    loss = (output * output).sum()
    loss.name = "L"
    return draw(loss, level="cell", labels=["the", "cat", "sat"], show=plain)


def figure_lstm() -> tg.Drawing:
    """An LSTM cell with its gates, and the highway on which c goes forwards and its gradient back."""
    h_0, c_0 = (tg.tensor(np.ones((1, 1, 3), np.float32), requires_grad=True, name=name) for name in ("h_0", "c_0"))
    output, _ = tg.nn.LSTM(2, 3, rng=0)(rng.normal(size=(1, 1, 2)), (h_0, c_0))
    return draw((output**2).sum(), "op", width="12cm", highlight=c_0, show=plain | {"gradients": "strokes"})


def figure_attention() -> tg.Drawing:
    """An encoder, and a decoder that looks at all states of it."""
    encoder, cell = tg.nn.GRU(2, 3, rng=0), tg.nn.GRUCell(3, 3, rng=1)
    memory, last = encoder(rng.normal(size=(3, 1, 2)))

    def decoder(x: Any, s: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        weights = np.exp((memory * s).sum(-1, keepdims=True))
        s = cell((memory * weights / weights.sum(0)).sum(0), s)
        return s, s

    output, _ = tg.nn.unroll(decoder, np.zeros((2, 1, 3)), last[0], name="decoder", first=4)
    return draw((output * output).sum(), "cell", width="15cm", show=plain)


def figure_windows() -> tg.Drawing:
    """Truncated backpropagation through time: the state is handed on from window to window, the gradient is not."""
    rnn, state, losses = tg.nn.RNN(2, 3, rng=0), None, []
    for window in tg.bptt.windows(rng.normal(size=(4, 1, 2)), 2):
        output, state = rnn(window, state)
        losses.append((output * output).sum())
        state = tg.bptt.detach(state)
    losses[0].name, losses[1].name = "L_1", "L_2"
    return draw(losses[0] + losses[1], level="cell", show=plain | {"gradients": "strokes"})


FIGURES = (figure_unrolled, figure_lstm, figure_attention, figure_windows)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Four figures of the literature, drawn from code that runs.")
    default = Path(__file__).parent.parent / "docs" / "pictures"
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", default=default, help="(docs/pictures)")
    parser.add_argument("--ending", default="svg", help="svg, tex, pdf, png or dot (svg)")
    o = parser.parse_args(arguments)
    o.folder.mkdir(parents=True, exist_ok=True)
    for make in FIGURES:
        path = o.folder / f"{make.__name__}.{o.ending}"
        make().save(path)
        print(path)


if __name__ == "__main__":
    main()
