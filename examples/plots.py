"""The plots of the documentation's gallery, drawn again: python examples/plots.py [FOLDER].

Prints the name of each file it writes (default folder: docs/plots). Needs matplotlib, the extra `plot`. A small
language model is trained on the way, to look at its gates.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import plots
from tinygrad_rnn.app.charlm import CharLM
from tinygrad_rnn.data import Stream, Vocabulary, bigram_entropy, unigram_entropy

SIZE, T, STEPS = 16, 100, 1200
CELLS = {"RNN": tg.nn.RNN, "GRU": tg.nn.GRU, "LSTM": tg.nn.LSTM}


def unrolled(kind: str, steps: int = T, window: int | None = None, **options: Any) -> tuple[tg.Tensor, Any]:
    """The loss after the last step, or of every step where it is cut into windows; and the layer."""
    rng = np.random.default_rng(0)
    layer = CELLS[kind](8, SIZE, dtype=float, rng=rng, **options)
    x = rng.normal(size=(steps, 1, 8))
    if window is None:
        output, _ = layer(x)
        return (output[-1] ** 2).sum(), layer
    state, losses = None, []
    for part in tg.bptt.windows(x, window):
        output, state = layer(part, state)
        losses.append((output**2).sum())
        state = tg.bptt.detach(state)
    return sum(losses[1:], losses[0]), layer


def flow() -> Any:
    """How fast the gradient vanishes in four new networks of the same size."""
    networks = {kind: unrolled(kind)[0] for kind in CELLS}
    networks["LSTM, forget bias 3"] = unrolled("LSTM", forget_bias=3)[0]
    curves = {}
    for name, loss in networks.items():
        (found,) = tg.bptt.flow(loss).layers.values()
        curves[name] = found.steps, found.norms["h"]
    return plots.log_curves(curves, "time step t", "|dL/dh_t|, the loss after step 100")


def decomposition() -> Any:
    """The terms of dL/dW_hh by the step of the loss and the step of the weight: all of them, and in windows of ten."""
    axes = plots.new_axes(1, 2, figsize=(10, 4.2))
    for ax, window in zip(axes, (40, 10), strict=True):
        loss, layer = unrolled("RNN", 40, window)
        found = tg.bptt.decompose(loss, layer.W_hh)
        found.plot(ax).set_title(f"windows of {window}: {found.count} terms")
    return axes[0]


def singular_values() -> Any:
    """Along how many directions an LSTM hands a gradient on."""
    loss, _ = unrolled("LSTM", 40, forget_bias=1)
    return plots.singular_values(tg.bptt.jacobians(loss))


def speech(rng: np.random.Generator, words: int) -> str:
    """Words in small letters, and now and then some in capitals between quotation marks."""
    out, inside = [], False
    for _ in range(words):
        word = "".join(rng.choice(list("abcde"), size=rng.integers(2, 6)))
        turns = rng.random() < 0.25
        if turns and not inside:
            word, inside = '"' + word.upper(), True
        elif inside:
            word = word.upper() + '"' * turns
            inside = not turns
        out.append(word)
    return " ".join(out)


@cache
def trained() -> tuple[CharLM, Vocabulary, list[dict[str, float]], dict[str, float]]:
    """A character model of such a text, and the log of its training."""
    text = speech(np.random.default_rng(0), 6000)
    vocabulary = Vocabulary(text)
    ids = vocabulary.encode(text)
    model = CharLM(len(vocabulary), embedding=8, hidden=SIZE, rng=0)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.01)
    log, state = [], None
    stream = Stream(ids, 16, 32)
    for step in range(1, STEPS + 1):
        x, y, at_start = next(stream)
        scores, state = model(x, None if at_start else state)
        loss = tg.nn.cross_entropy(scores, y)
        model.zero_grad()
        loss.backward()
        tg.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state = tg.bptt.detach(state)
        if step % 10 == 0:
            log.append({"step": step, "bits": loss.item() / np.log(2)})
    return model, vocabulary, log, {"unigram": unigram_entropy(ids), "bigram": bigram_entropy(ids)}


def loss() -> Any:
    """The loss of that model as it learns, and what counting characters would reach."""
    _, _, log, levels = trained()
    return plots.loss_curve(log, levels)


def gates() -> Any:
    """The unit that knows best whether a text, new to the model, is inside quotation marks; and its forget gate."""
    model, vocabulary, _, _ = trained()
    text = speech(np.random.default_rng(3), 45)
    scores, _ = model(vocabulary.encode(text)[:, None])
    found = tg.bptt.activations(scores)
    inside = np.cumsum([c == '"' for c in text]) % 2
    c, f = np.tanh(found["c"][:, 0]), found["f"][:, 0]
    unit = int(np.argmax([abs(np.corrcoef(c[:, k], inside)[0, 1]) for k in range(SIZE)]))
    upper, lower = plots.new_axes(2, 1, figsize=(9, 3.4))
    plots.text_map(text, c[:, unit], upper, label=f"tanh c, unit {unit}")
    return plots.text_map(text, f[:, unit], lower, label=f"gate f, unit {unit}")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Draw the plots of the documentation again.")
    default = Path(__file__).parent.parent / "docs" / "plots"
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", default=default, help="(docs/plots)")
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    for make in (flow, decomposition, singular_values, gates, loss):
        path = folder / f"{make.__name__}.svg"
        save(make, path)
        print(path)


def save(make: Callable[[], Any], path: Path) -> None:
    """Write a plot so that the same plot is the same file: without a date, and with ids that are no accident."""
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": path.stem}):
        make().figure.savefig(path, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
