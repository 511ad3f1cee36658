"""min-char-rnn: a vanilla RNN reads a text and predicts its next character (Karpathy 2015)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..bptt.truncation import detach
from ..data import Stream, Vocabulary, bigram_entropy, python_docs, read_text, unigram_entropy
from ..engine.modes import no_grad
from ..nn import RNN, cross_entropy
from ..nn.init import normal_, zeros_
from ..optim import Adagrad, clip_grad_value_
from .experiment import Experiment, Known, Progress, Results, Row
from .training import Reader

CHUNK = 25


@lru_cache(maxsize=1)
def whole(path: str | None) -> str:
    """The text, read once for all seeds: a pipe cannot be read again."""
    return python_docs() if path is None else read_text(path)


class Found(NamedTuple):
    text: str
    """Which text it was: its size and hash."""
    losses: list[float]
    """Of each chunk, in nats a character."""
    smooth: list[float]
    """Their exponential average, as min-char-rnn prints it, with the level before the first update in front."""
    levels: dict[str, float]
    """Nats a character of a model that knows frequencies only."""
    sample: str


@dataclass(frozen=True)
class MinCharRNN(Experiment):
    """100 tanh units read a text in chunks of 25 characters, one row, the state
    carried and detached. Weights from N(0, 0.01²), float64, the loss summed over a
    chunk, each entry of its gradient clipped to [-5, 5], Adagrad with rate 0.1.
    Figures are nats a character, smoothed: s = 0.999 s + 0.001 loss, from log V
    for V distinct characters. Setup: Karpathy's min-char-rnn; the one difference is
    that Adagrad divides by √s + 1e-4 here and by √(s + 1e-8) there.
    """

    text: str | None = None
    """A UTF-8 file; None stands for the documentation that comes with Python."""
    hidden: int = 100
    iterations: int = 10_000

    name: ClassVar[str] = "min-char-rnn"
    proves: ClassVar[str] = "truncated BPTT on real text, with all its parts"
    takes: ClassVar[str] = "10 s"
    columns: ClassVar[dict[str, int]] = {"iteration": 12, "smooth loss": 11, "a chunk": 8}
    small: ClassVar[dict[str, Any]] = {"hidden": 10, "iterations": 200}

    def cases(self) -> list[str]:
        return ["Python's documentation" if self.text is None else self.text]

    def measure(self, case: str, seed: int, progress: Progress) -> Found:
        text = whole(self.text)
        vocabulary = Vocabulary(text)
        ids, features = vocabulary.encode(text), np.eye(len(vocabulary))
        entropies = {"unigram": unigram_entropy(ids), "bigram": bigram_entropy(ids)}
        levels = {name: bits * math.log(2) for name, bits in entropies.items()}
        model = make_model(len(vocabulary), self.hidden, seed)
        losses, smooth = [], [math.log(len(vocabulary))]
        for loss in progress(train(model, Stream(ids, 1, CHUNK), features, self.iterations), total=self.iterations):
            losses.append(loss / CHUNK)
            smooth.append(0.999 * smooth[-1] + 0.001 * losses[-1])
        digest = hashlib.sha256(text.encode()).hexdigest()
        about = f"{case}, {len(text):,} characters, {len(vocabulary)} distinct, SHA-256 {digest[:16]}"
        return Found(about, losses, smooth, levels, vocabulary.decode(sample(model, features, ids[0], 200, seed)))

    def rows(self, case: str, found: Sequence[Found]) -> Iterator[Row]:
        known = KNOWN if self.iterations >= 1000 else {}
        for iteration in sorted({0, self.iterations} | {n for n in known if n < self.iterations}):
            mean = np.mean([run.smooth[iteration] for run in found])
            yield Row([str(iteration), f"{mean:.4f}", f"{mean * CHUNK:.2f}"], known.get(iteration))
        for name, level in found[0].levels.items():
            yield Row([name, f"{level:.4f}", f"{level * CHUNK:.2f}"], LEVELS[name])

    def conclude(self, results: Results) -> Iterator[str]:
        for run in (found[0] for found in results.values()):
            yield f"The text is {run.text}."
            for name, level in run.levels.items():
                below = next((n for n, loss in enumerate(run.smooth) if loss < level), None)
                if below is None:
                    yield f"The smooth loss stayed above the {name} entropy: in these iterations it learned no more."
                else:
                    yield f"The smooth loss fell below the {name} entropy at iteration {below}."
            if run.smooth[-1] < run.levels["bigram"]:
                yield "Below the bigram entropy the network uses more of the past than the last character: its state."
            yield f"It writes: {run.sample!r}"

    def draw(self, results: Results, ax: Any) -> None:
        """The smooth loss over the iterations, and the entropies."""
        for found in results.values():
            for run in found:
                ax.plot(run.smooth)
            for (name, level), style in zip(found[0].levels.items(), ("--", ":"), strict=True):
                ax.axhline(level, color="#555555", ls=style, label=f"{name} {level:.3f}")
        ax.set(xlabel="iteration", ylabel="smooth loss, nats a character")
        ax.legend(frameon=False)


def make_model(classes: int, hidden: int, seed: int) -> Reader:
    """One RNN layer and its head with Karpathy's initial values."""
    rng = np.random.default_rng(seed)
    model = Reader(RNN(classes, hidden, dtype=np.float64), classes)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            normal_(parameter, 0.0, 0.01, rng=rng)
        else:
            zeros_(parameter)
    return model


def train(model: Reader, stream: Stream, features: np.ndarray, iterations: int) -> Iterator[float]:
    """The loss of each chunk, before the update that it causes."""
    optimizer, state = Adagrad(model.parameters(), lr=0.1, eps=1e-4), None
    for _ in range(iterations):
        x, y, at_start = next(stream)
        scores, state = model(features[x], None if at_start else state)
        loss = cross_entropy(scores, y, reduction="sum")
        model.zero_grad()
        loss.backward()
        clip_grad_value_(optimizer.parameters, 5.0)
        optimizer.step()
        state = detach(state)
        yield loss.item()


@no_grad()
def sample(model: Reader, features: np.ndarray, first: int, length: int, seed: int) -> list[int]:
    """Characters drawn one after another from the probabilities that the model gives them."""
    rng, written, state = np.random.default_rng(seed), [int(first)], None
    for _ in range(length):
        scores, state = model(features[written[-1:], None], state)
        p = np.exp(scores.data[0, 0] - scores.data.max())
        written.append(int(rng.choice(len(p), p=p / p.sum())))
    return written[1:]


KNOWN = {
    0: Known("4.6347", "earlier"),
    1000: Known("3.821", "earlier"),
    2000: Known("3.283", "earlier"),
    5000: Known("2.506", "earlier"),
    10_000: Known("2.033", "earlier"),
}
LEVELS = {"unigram": Known("3.250", "earlier"), "bigram": Known("2.458", "earlier")}
