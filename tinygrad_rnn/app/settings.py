"""What decides a run: the settings, which values they may have, and the weights that follow from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .. import optim
from ..errors import DataError
from ..nn import GRU, LSTM, RNN
from .options import COUNT, FRACTION, LAYERS, RATE, REAL, SEED, SIZE, Number
from .source import read

CELLS: dict[str, Any] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
OPTIMIZERS: dict[str, Any] = {
    "sgd": optim.SGD,
    "adagrad": optim.Adagrad,
    "rmsprop": optim.RMSprop,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
}
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda part: 1.0,
    "linear": lambda part: 1 - part,
    "cosine": lambda part: (1 + math.cos(math.pi * part)) / 2,
    "warmup": lambda part: part / WARM if part < WARM else (1 + math.cos(math.pi * (part - WARM) / (1 - WARM))) / 2,
}
"""What the learning rate is multiplied by, when this part of the steps is done."""

WARM = 0.05
CHOICES = {"cell": CELLS, "optimizer": OPTIMIZERS, "lr_schedule": SCHEDULES}
NUMBERS: dict[str, Number] = {
    "embedding": SIZE,
    "hidden": SIZE,
    "layers": LAYERS,
    "dropout": FRACTION,
    "batch": SIZE,
    "window": SIZE,
    "lr": RATE,
    "clip": REAL,
    "steps": COUNT,
    "patience": SEED,
    "seed": SEED,
    "held_out": FRACTION,
}
MOST_WEIGHTS = 2**31


@dataclass(frozen=True)
class Settings:
    """What decides a run; the same settings on the same text give the same weights, bit for bit.

    Raises DataError for a value that it cannot have.

    >>> Settings(hidden=0)
    Traceback (most recent call last):
    tinygrad_rnn.errors.DataError: hidden: expected a whole number from 1 to 1,000,000, got 0
    """

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
    lr_schedule: str = "constant"
    patience: int = 0
    """Stop after so many tests on the held-out text that were no better; 0 for never."""

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        return self.lr * SCHEDULES[self.lr_schedule]((step + 0.5) / self.steps)

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if name in NUMBERS:
                right, expected = NUMBERS[name].has(value), NUMBERS[name].described
            elif name in CHOICES:
                right, expected = isinstance(value, str) and value in CHOICES[name], " or ".join(CHOICES[name])
            else:
                right, expected = value is None or isinstance(value, str), "the path of a file"
            if not right:
                raise DataError(f"{name}: expected {expected}, got {value!r:.40}")

    @property
    def source(self) -> str:
        return Path(self.text).name if self.text is not None else "Python's documentation"

    def read(self) -> str:
        """The whole text."""
        return read(self.text)

    def shapes(self, characters: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of each weight of the model, known before it is built."""
        gates = GATES[self.cell] * self.hidden
        yield "embedding.W", (characters, self.embedding)
        for layer in range(self.layers):
            tail = f"_l{layer}" if layer else ""
            yield f"recurrent.W_xh{tail}", (self.hidden if layer else self.embedding, gates)
            yield f"recurrent.W_hh{tail}", (self.hidden, gates)
            yield f"recurrent.b_h{tail}", (gates,)
            if self.cell == "gru":
                yield f"recurrent.b_hn{tail}", (self.hidden,)
        yield "head.W", (self.hidden, characters)
        yield "head.b", (characters,)

    def weights(self, characters: int) -> int:
        """How many weights the model has. Raises DataError for more than 2^31: a slip, and days to find out."""
        count = sum(math.prod(shape) for _, shape in self.shapes(characters))
        if count > MOST_WEIGHTS:
            raise DataError(
                f"a model of {count:,} weights is too large to train here: choose a smaller hidden, embedding or layers"
            )
        return count
