"""A character language model: predict the next character, by truncated backpropagation through time.

    CharLM      embedding -> recurrent layers -> linear head
    Settings    everything that decides a run
    Run         a training run that can stop after any step and go on, bit for bit, as if it never had
    sample      text from a model, one character at a time

A text is read as several long rows side by side, a window at a time. From one window to the next the hidden state is
carried, and detached: it remembers, but the gradient stops. That line (`Run.step`) is all there is to truncated BPTT.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import optim
from ..autograd.tensor import Tensor
from ..bptt import detach
from ..data import Stream, Vocabulary, python_docs, read_text, split
from ..engine.modes import no_grad
from ..errors import CheckpointError, DataError
from ..io import load_arrays, save_arrays
from ..nn import GRU, LSTM, RNN, Dropout, Embedding, Linear, Module, cross_entropy

CELLS: dict[str, Any] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
OPTIMIZERS: dict[str, Any] = {
    "sgd": optim.SGD,
    "adagrad": optim.Adagrad,
    "rmsprop": optim.RMSprop,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
}
BITS = 1 / math.log(2)  # a nat is this many bits


class CharLM(Module):
    """Scores of the next character: ids (T, B) give scores (T, B, characters), and the state after the last step."""

    def __init__(
        self,
        characters: int,
        cell: str = "lstm",
        embedding: int = 64,
        hidden: int = 128,
        layers: int = 1,
        dropout: float = 0.0,
        *,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        rng = np.random.default_rng(rng)
        self.embedding = Embedding(characters, embedding, rng=rng)
        between = dropout if layers > 1 else 0.0
        self.recurrent = CELLS[cell](embedding, hidden, layers, dropout=between, rng=rng)
        self.dropout = Dropout(dropout, rng=rng)
        self.head = Linear(hidden, characters, rng=rng)

    def forward(self, ids: np.ndarray, state: Any = None) -> tuple[Tensor, Any]:
        output, state = self.recurrent(self.embedding(ids), state)
        return self.head(self.dropout(output)), state


@dataclass(frozen=True)
class Settings:
    """What decides a run; the same settings on the same text give the same weights, bit for bit."""

    text: str | None = None
    """A UTF-8 file; None stands for the documentation that comes with Python."""
    cell: str = "lstm"
    embedding: int = 64
    hidden: int = 128
    layers: int = 1
    dropout: float = 0.1
    batch: int = 32
    window: int = 64
    optimizer: str = "adam"
    lr: float = 0.003
    clip: float = 1.0
    steps: int = 2000
    seed: int = 0
    held_out: float = 0.05

    @property
    def source(self) -> str:
        return Path(self.text).name if self.text else "Python's documentation"

    def read(self) -> str:
        return python_docs() if self.text is None else read_text(self.text)


class Run:
    """A training run: the model, the optimizer, the place in the text, the hidden state, and the generator.

    >>> run = Run(Settings(hidden=8, embedding=4, steps=2, window=16))
    >>> loss = run.step()  # nats a character
    >>> run.done
    1
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        text = settings.read()
        self.digest = hashlib.sha256(text.encode()).hexdigest()
        self.vocabulary = Vocabulary(text)
        self.ids = self.vocabulary.encode(text)
        self.train_ids, self.test_ids = split(self.ids, settings.held_out)
        self.stream = Stream(self.train_ids, settings.batch, settings.window)
        self.rng = np.random.default_rng(settings.seed)
        self.model = build(settings, len(self.vocabulary), self.rng)
        self.optimizer = OPTIMIZERS[settings.optimizer](self.model.parameters(), lr=settings.lr)
        self.state: Any = None
        self.done = 0
        self.recent: list[float] = []  # losses since the last line of the log

    def step(self) -> float:
        """One window of truncated BPTT; gives its loss in nats a character."""
        x, y, at_start = next(self.stream)
        scores, state = self.model(x, None if at_start else self.state)
        loss = cross_entropy(scores, y)
        self.optimizer.zero_grad()
        loss.backward()
        if self.settings.clip:
            optim.clip_grad_norm_(self.optimizer.parameters, self.settings.clip)
        if not math.isfinite(loss.item()):
            raise FloatingPointError(
                f"the loss became {loss.item()} at step {self.done + 1}: try a smaller learning rate than "
                f"{self.settings.lr:g}, or a smaller --clip"
            )
        self.optimizer.step()
        self.state = detach(state)  # what was remembered is kept; its past is not
        self.done += 1
        self.recent.append(loss.item())
        return self.recent[-1]

    def mean_bits(self) -> float:
        """Bits a character over the steps since the last call."""
        mean = sum(self.recent) / len(self.recent) * BITS
        self.recent.clear()
        return mean

    @no_grad()
    def held_out_bits(self, rows: int = 16, window: int = 100) -> float:
        """Bits a character on the held-out text, read in a few rows with a carried state; nan where there is none."""
        length = len(self.test_ids) - 1
        if length < 1:
            return math.nan
        self.model.eval()
        window = min(window, length)
        stream = Stream(self.test_ids, min(rows, length // window), window)
        total, state = 0.0, None
        for k in range(stream.windows_per_epoch):
            x, y, _ = stream[k]
            scores, state = self.model(x, state)
            total += float(cross_entropy(scores, y))
        self.model.train()
        return total / stream.windows_per_epoch * BITS

    # ---------------------------------------------------------------- stopping and going on

    def save(self, folder: Path) -> None:
        """Write ``checkpoint.safetensors``, all that `resume` needs, and ``model.safetensors``, for everyone else."""
        about: dict[str, Any] = {"settings": asdict(self.settings), "characters": self.vocabulary.characters}
        weights = self.model.state_dict()
        arrays = {f"model.{name}": array for name, array in weights.items()}
        arrays |= {f"optimizer.{name}": array for name, array in self.optimizer.state_dict().items()}
        arrays |= {f"state.{k}": part.array for k, part in enumerate(_parts(self.state))}
        progress: dict[str, Any] = {
            "done": self.done,
            "position": self.stream.position,
            "digest": self.digest,
            "recent": self.recent,
            "generator": self.rng.bit_generator.state,
        }
        save_arrays(folder / "checkpoint.safetensors", arrays, {**about, **progress})
        save_arrays(folder / "model.safetensors", weights, about)

    @classmethod
    def resume(cls, folder: Path, steps: int | None = None) -> Run:
        """The run as it was saved in a folder, to go on to its planned number of steps, or to another.

        Raises CheckpointError where the folder holds no run, or a damaged one, or the text has changed since.
        """
        arrays, about = load_arrays(run_file(folder, "checkpoint.safetensors"))
        settings = saved_settings(about, folder / "checkpoint.safetensors")
        settings = settings if steps is None else replace(settings, steps=steps)
        run = cls(settings)
        if run.digest != about["digest"]:
            raise CheckpointError(
                f"{folder}: {settings.source} has changed since this run was saved; it cannot be continued"
            )
        groups: dict[str, dict[str, np.ndarray]] = {"model": {}, "optimizer": {}, "state": {}}
        for name, array in arrays.items():
            group, _, rest = name.partition(".")
            groups[group][rest] = array
        run.model.load_state_dict(groups["model"])
        run.optimizer.load_state_dict(groups["optimizer"])
        parts = [Tensor(groups["state"][k]) for k in sorted(groups["state"])]
        run.state = None if not parts else parts[0] if len(parts) == 1 else tuple(parts)
        run.done, run.recent = about["done"], about["recent"]
        run.stream.position = about["position"]
        run.rng.bit_generator.state = about["generator"]
        return run


def _parts(state: Any) -> tuple[Tensor, ...]:
    return () if state is None else state if isinstance(state, tuple) else (state,)


def build(settings: Settings, characters: int, rng: np.random.Generator | int | None = None) -> CharLM:
    """The model that the settings describe."""
    s = settings
    return CharLM(characters, s.cell, s.embedding, s.hidden, s.layers, s.dropout, rng=rng)


def load_model(folder: Path) -> tuple[CharLM, Vocabulary, Settings]:
    """A trained model from a run folder, its characters and its settings.

    Raises CheckpointError where the folder holds none, or a damaged one.
    """
    weights, about = load_arrays(run_file(folder, "model.safetensors"))
    settings = saved_settings(about, folder / "model.safetensors")
    vocabulary = Vocabulary(about["characters"])
    model = build(settings, len(vocabulary))
    model.load_state_dict(weights)
    model.eval()
    return model, vocabulary, settings


def saved_settings(about: dict[str, Any], path: Path) -> Settings:
    """The settings that a run's file holds; CheckpointError where it holds none, or others than this version knows."""
    try:
        return Settings(**about["settings"])
    except (KeyError, TypeError):
        raise CheckpointError(f"{path}: it holds no settings of a run that this version knows") from None


def default_prompt(vocabulary: Vocabulary) -> str:
    """How a sample begins where nothing is asked for: in a way that the model can read."""
    return "The " if set("The ") <= set(vocabulary.characters) else vocabulary.characters[-1]


def run_file(folder: Path, name: str) -> Path:
    """The path of a run's file; CheckpointError where the folder is not a run."""
    if not (folder / name).is_file():
        reason = "no such folder" if not folder.exists() else f"not the folder of a run: it holds no {name}"
        raise CheckpointError(f"{folder}: {reason}; make one with: tinygrad-rnn train --out {folder}")
    return folder / name


def sample(
    model: CharLM,
    vocabulary: Vocabulary,
    prompt: str,
    length: int,
    temperature: float = 1.0,
    rng: np.random.Generator | int | None = None,
) -> Iterator[str]:
    """Read the prompt, then draw one character after another from softmax(scores / temperature).

    Temperature 0 takes the most probable character each time. Raises DataError for a prompt that is empty, or has a
    character that the model never saw.
    """
    if not prompt:
        raise DataError("the prompt must have at least one character, for the model to go on from")
    return _written(model, vocabulary, vocabulary.encode(prompt), length, temperature, np.random.default_rng(rng))


@no_grad()
def _written(
    model: CharLM, vocabulary: Vocabulary, ids: np.ndarray, length: int, temperature: float, rng: np.random.Generator
) -> Iterator[str]:
    state = None
    for _ in range(length):
        scores, state = model(ids[:, None], state)
        last = scores.array[-1, 0].astype(np.float64)
        if temperature > 0:
            p = np.exp((last - last.max()) / temperature)
            chosen = int(rng.choice(len(p), p=p / p.sum()))
        else:
            chosen = int(last.argmax())
        ids = np.array([chosen])
        yield vocabulary.characters[chosen]


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log; one that a crash cut short is left out, and so is a log that is missing."""
    lines = []
    with suppress(FileNotFoundError):
        for line in (folder / "log.jsonl").read_text("utf-8", "replace").splitlines():
            with suppress(json.JSONDecodeError):
                lines.append(json.loads(line))
    return lines
