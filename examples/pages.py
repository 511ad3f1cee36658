"""The pages of the gallery that step through a tape, written again: python examples/pages.py FOLDER.

Prints the name of each file it writes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.texts.example import Example


def example() -> tg.Tensor:
    """A lecture's example, three steps of one unit: small enough to check every number by hand."""
    return Example().loss


def truncated() -> tg.Tensor:
    """A tanh RNN over six steps in two windows: the walk back stops at the cut."""
    rnn = tg.nn.RNN(2, 3, dtype=float, rng=0)
    state, losses = None, []
    for x in tg.bptt.windows(np.random.default_rng(1).normal(size=(6, 1, 2)), 3):
        output, state = rnn(x, state)
        losses.append((output * output).mean())
        state = tg.bptt.detach(state)
    return losses[0] + losses[1]


def lstm() -> tg.Tensor:
    """An LSTM over three steps: two states go from step to step, and a gradient comes back along both."""
    output, _ = tg.nn.LSTM(2, 3, dtype=float, rng=0)(np.random.default_rng(0).normal(size=(3, 1, 2)))
    return (output[-1] * output[-1]).sum()


PAGES = (example, truncated, lstm)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Write the pages of the gallery.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    for make in PAGES:
        with tg.anomaly():  # so that each op notes the line that made it
            loss = make()
        print(tg.page(loss, folder / f"{make.__name__}.html"))


if __name__ == "__main__":
    main()
