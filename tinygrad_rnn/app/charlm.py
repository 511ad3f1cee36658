"""A character language model: predict the next character, by truncated backpropagation through time.

    CharLM      embedding -> recurrent layers -> linear head
    Settings    everything that decides a run (in `settings`)
    Run         a training run that can stop after any step and go on, bit for bit, as if it never had
    sample      text from a model, one character at a time

A text is read as several long rows side by side, a window at a time. From one window to the next the hidden state is
carried, and detached: it remembers, but the gradient stops. That line (`Run.step`) is all there is to truncated BPTT.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..bptt import detach
from ..data import Stream, Vocabulary, python_docs, read_text, split
from ..engine.modes import no_grad
from ..errors import CheckpointError, DataError
from ..io import save_arrays
from ..nn import Dropout, Embedding, Linear, Module, cross_entropy, one_step
from ..training import update
from .arithmetic import History, arithmetic
from .folder import BEST, CHECKPOINT, MODEL, read_log
from .ranks import Ranks
from .saved import loading, read_model, read_run
from .settings import CELLS, OPTIMIZERS, Settings
from .source import Fingerprint, find, fingerprint, holds, is_file, places

__all__ = [
    "CELLS",
    "OPTIMIZERS",
    "CharLM",
    "Run",
    "Settings",
    "beginning",
    "build",
    "default_prompt",
    "load_model",
    "read_log",
    "sample",
]

TEST_EVERY = 250  # steps between tests on the held-out text
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
        output, state = self.recurrent(self.embedding.rows(ids), state)
        return self.head(self.dropout(output)), state

    def one_step(self) -> Callable[[np.ndarray, Any], tuple[np.ndarray, Any]]:
        """As `forward` in eval mode, for one step on arrays: ids (B,) give scores (B, characters) and the state."""
        step, W, b = one_step(self.recurrent, self.embedding), self.head.W.detach().array, self.head.b
        bias = 0.0 if b is None else b.detach().array

        def scores(ids: np.ndarray, state: Any = None) -> tuple[np.ndarray, Any]:
            output, state = step(ids, state)
            return output @ W + bias, state

        return scores


class Run:
    """A training run: the model, the optimizer, the place in the text, the hidden state, and the generator.

    >>> run = Run(Settings(hidden=8, embedding=4, steps=2, window=16))
    >>> loss = run.step()  # nats a character
    >>> run.done
    1
    """

    def __init__(self, settings: Settings, text: str | None = None, ranks: Ranks | None = None) -> None:
        """A run at its beginning; `text` is that of the settings, where it has been read already.

        Several processes, `ranks`, train on some rows of the batch each, and average their gradients.

        Raises DataError for a text that cannot be used, or that is too short.
        """
        self.settings = settings
        with memory_for(f"for the text {settings.source}"):
            text = settings.read() if text is None else text
            self.text: Fingerprint = fingerprint(text)
            self.vocabulary = Vocabulary(text)
            self.ids = self.vocabulary.encode(text, self.vocabulary.smallest)
        self.train_ids, self.test_ids = split(self.ids, settings.held_out)
        needed = settings.batch * settings.window + 1
        if len(self.train_ids) < needed:
            raise DataError(
                f"{settings.source} has {len(self.train_ids):,} characters to train on, and {settings.batch} rows of "
                f"{settings.window} need {needed:,}: give a longer text, or a smaller batch or window"
            )
        self.stream = Stream(self.train_ids, settings.batch, settings.window)
        self.ranks = ranks or Ranks()
        self.rows = self.ranks.rows(settings.batch)
        self.rng = np.random.default_rng(settings.seed)
        with memory_for(f"for a model of {settings.weights(len(self.vocabulary)):,} weights"):
            self.model = build(settings, len(self.vocabulary), self.rng)
            self.optimizer = OPTIMIZERS[settings.optimizer](self.model.parameters(), lr=settings.lr)
        if self.ranks.size > 1:  # the weights are the same in all, and what dropout leaves out is not
            self._draw_from(np.random.default_rng([settings.seed, self.ranks.rank]))
        self.state: Any = None
        self.best = (math.inf, 0)  # the fewest bits on the held-out text, and after which step
        self.done = 0
        self.recent: list[float] = []  # losses since the last line of the log
        self.arithmetic = History()
        self.arithmetic.note(0, arithmetic())
        self.known = False  # whether all of it is
        self.changed = ""  # what has come to compute otherwise, in words

    def _draw_from(self, rng: np.random.Generator) -> None:
        """Let dropout draw from this generator."""
        self.rng = self.model.dropout.rng = self.model.recurrent.dropout.rng = rng

    def step(self) -> float:
        """One window of truncated BPTT; gives its loss in nats a character."""
        x, y, at_start = next(self.stream)
        x, y = x[:, self.rows], y[:, self.rows]
        scores, state = self.model(x, None if at_start else self.state)
        loss = cross_entropy(scores, y)
        self.optimizer.lr = self.settings.rate(self.done)
        average = self.ranks.average(y.size)
        value = update(loss, self.optimizer, self.settings.clip, f" at step {self.done + 1}", average)
        self.state = detach(state)  # what was remembered is kept; its past is not
        self.done += 1
        self.recent.append(self.ranks.mean(value, y.size))
        if not self.known:  # what computes the layers' steps is known once they have been taken
            self.known, self.changed = True, self.arithmetic.note(self.done - 1, arithmetic(self.model))
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

    def test(self, folder: Path) -> float:
        """Bits a character on the held-out text; where they are the fewest yet the model is kept, beside the last."""
        bits = self.ranks.shared(self.held_out_bits)
        if bits < self.best[0]:
            self.best = bits, self.done
            self.save_model(folder, BEST)
        return bits

    @property
    def is_over(self) -> bool:
        """Whether all steps are done, or none has been better for as many tests as there is patience for."""
        waited = (self.done - self.best[1]) // TEST_EVERY
        return self.done >= self.settings.steps or 0 < self.settings.patience <= waited

    # ---------------------------------------------------------------- stopping and going on

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors``, for everyone, and then ``checkpoint.safetensors``, all that `resume` needs.

        In this order the model that one samples from is never older than the checkpoint, whenever this is cut short.
        """
        self.save_model(folder)
        self.save_checkpoint(folder)

    def save_model(self, folder: Path, name: str = MODEL) -> None:
        if not self.ranks.first:
            return
        save_arrays(folder / name, self.model.state_dict(), self._about())

    def save_checkpoint(self, folder: Path) -> None:
        self.arithmetic.note(self.done, arithmetic(self.model))
        arrays = {f"model.{name}": array for name, array in self.model.state_dict().items()}
        arrays |= {f"optimizer.{name}": array for name, array in self.optimizer.state_dict().items()}
        states = [self.ranks.gathered(part.array) for part in _parts(self.state)]
        generators = self.ranks.gathered(self.rng.bit_generator.state)
        if not self.ranks.first:
            return
        arrays |= {f"state.{k}": np.concatenate(parts, axis=1) for k, parts in enumerate(states)}
        progress: dict[str, Any] = {
            "done": self.done,
            "position": self.stream.position,
            "recent": self.recent,
            "best": list(self.best) if self.best[1] else None,
            "generator": generators[0],
            **({"generators": generators} if len(generators) > 1 else {}),
            "arithmetic": self.arithmetic.parts,
        }
        save_arrays(folder / CHECKPOINT, arrays, {**self._about(), **progress})

    def _about(self) -> dict[str, Any]:
        about = {"settings": asdict(self.settings), "characters": self.vocabulary.characters}
        return {**about, **self.text._asdict()}

    @classmethod
    def resume(cls, folder: Path, steps: int | None = None, text: str | None = None, ranks: Ranks | None = None) -> Run:
        """The run as it was saved in a folder, to go on to its planned number of steps, or to another.

        `changed` then says whether other programs compute from here on, so that the last bits may differ; so it does
        after the first step, of what computes the steps of the layers.

        The text is known by its SHA-256. It is looked for where it was, then by its name in the folder of the run and
        in the two above it; `text` says where it is now.

        Raises CheckpointError where the folder holds no run, or a damaged one, or the text has changed since.
        """
        saved = read_run(folder, steps)
        settings, vocabulary, known, weights = saved.model
        if settings.text is not None:
            settings = replace(settings, text=_found(folder, settings, known, text))
        elif text is not None:
            raise DataError("this run reads Python's documentation, not a file")
        run = cls(settings, ranks=ranks)
        if run.text != known or run.vocabulary.characters != vocabulary.characters:
            raise CheckpointError(
                f"{folder}: {settings.source} has changed since this run was saved; it cannot be continued"
            )
        run.model.load_state_dict(weights)
        with loading(folder, "a state of the optimizer"):
            run.optimizer.load_state_dict(saved.optimizer)
        with loading(folder, "a random generator"):
            if len(saved.generators) == run.ranks.size:
                run.rng.bit_generator.state = saved.generators[run.ranks.rank]
            else:  # as many others as there are processes now
                run._draw_from(np.random.default_rng([settings.seed, run.ranks.rank, saved.done]))
        parts = [Tensor(part[:, run.rows].copy()) for part in saved.state]
        run.state = None if not parts else parts[0] if len(parts) == 1 else tuple(parts)
        run.done, run.recent, run.arithmetic = saved.done, saved.recent, History(saved.arithmetic)
        run.best = saved.best
        run.changed = run.arithmetic.note(run.done, arithmetic())
        run.stream.position = saved.done
        return run


def _found(folder: Path, settings: Settings, known: Fingerprint, given: str | None) -> str:
    """The file that holds the text of a run; CheckpointError where none is found."""
    assert settings.text is not None
    if given is not None and holds(given, known):
        return os.path.abspath(given)
    if given is None and (path := find(settings.text, folder, known)):
        return path
    if given is not None or any(is_file(place) for place in places(settings.text, folder)):
        why = (
            "has changed since this run was saved"
            if given is None
            else "is not the text of this run, or has changed since"
        )
        raise CheckpointError(f"{folder}: {given or settings.source} {why}; it cannot be continued")
    raise CheckpointError(
        f"{folder}: its text {settings.text} is not there any more, nor beside the run; say where it is: --text FILE"
    )


@contextmanager
def memory_for(what: str) -> Iterator[None]:
    """Within, a MemoryError says what the memory was for."""
    try:
        yield
    except MemoryError as error:
        raise MemoryError(str(error) if type(error) is MemoryError and str(error) else what) from None


def _parts(state: Any) -> tuple[Tensor, ...]:
    return () if state is None else state if isinstance(state, tuple) else (state,)


def build(settings: Settings, characters: int, rng: np.random.Generator | int | None = None) -> CharLM:
    """The model that the settings describe."""
    s = settings
    return CharLM(characters, s.cell, s.embedding, s.hidden, s.layers, s.dropout, rng=rng)


def load_model(folder: Path, name: str = MODEL) -> tuple[CharLM, Vocabulary, Settings]:
    """A trained model from a run folder, its characters and its settings; `BEST` for the one of the best test.

    Raises CheckpointError where the folder holds none, or a damaged one.
    """
    settings, vocabulary, _, weights = read_model(folder, name)
    with memory_for(f"for a model of {settings.weights(len(vocabulary)):,} weights"):
        model = build(settings, len(vocabulary))
        model.load_state_dict(weights)
    model.eval()
    return model, vocabulary, settings


def beginning(settings: Settings, folder: Path, characters: int) -> str:
    """The first characters of the text of a run, which may have been moved. Raises DataError where it is gone."""
    if settings.text is None:
        return python_docs()[:characters]
    place = next((place for place in places(settings.text, folder) if is_file(place)), None)
    if place is None:
        raise DataError(f"{folder}: its text {settings.text} is not there any more: put it into the folder of the run")
    return read_text(place, characters)


def default_prompt(vocabulary: Vocabulary) -> str:
    """How a sample begins where nothing is asked for: in a way that the model can read."""
    return "The " if set("The ") <= set(vocabulary.characters) else vocabulary.characters[-1]


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
    character that the model never saw; FloatingPointError where the scores are no numbers.
    """
    if not prompt:
        raise DataError("the prompt must have at least one character, for the model to go on from")
    for at, character in enumerate(prompt):
        if character not in vocabulary.characters:
            raise DataError(
                f"the prompt has {character!r} at position {at}, which is not one of the {len(vocabulary)} characters "
                "of the text that the model was trained on"
            )
    return _written(model, vocabulary, vocabulary.encode(prompt), length, temperature, np.random.default_rng(rng))


def _written(
    model: CharLM, vocabulary: Vocabulary, ids: np.ndarray, length: int, temperature: float, rng: np.random.Generator
) -> Iterator[str]:
    if length < 1:
        return
    with no_grad():  # the prompt at once; then a character at a time
        scores, state = model(ids[:, None])
    last, step = scores.array[-1, 0], model.one_step()
    for left in reversed(range(length)):
        chosen = _chosen(last.astype(np.float64), temperature, rng)
        yield vocabulary.characters[chosen]
        if left:
            (last,), state = step(np.array([chosen]), state)


def _chosen(scores: np.ndarray, temperature: float, rng: np.random.Generator) -> int:
    """The number of a character, drawn from softmax(scores / temperature)."""
    if not math.isfinite(scores.sum()):
        raise FloatingPointError("the scores of the model are not finite: its training diverged")
    if temperature == 0:
        return int(scores.argmax())
    with np.errstate(over="ignore"):  # next to 0 it leaves the most probable alone
        p = np.exp((scores - scores.max()) / temperature)
    up_to = np.cumsum(p / p.sum())  # as Generator.choice does it, in a third of the time
    return int(up_to.searchsorted(rng.random() * up_to[-1], side="right"))
