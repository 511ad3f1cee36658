"""All that a training needs to go on, in memory and in a file."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine.randomness import Drawn
from ..errors import CheckpointError, StateDictError
from ..io import load_arrays, save, save_arrays
from ..nn import Module
from ..optim import Optimizer
from .history import History


class Saved:
    """The state of a training: weights, optimizer, schedule, place in the data, generators, figures, best weights.

    done   the batches of this epoch that have been trained on
    mean   the mean loss over them
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        schedule: Any,
        train: Any,
        best: str | os.PathLike[str] | bool | None,
        path: str | os.PathLike[str] | None,
    ) -> None:
        self.model, self.optimizer, self.schedule, self.train = model, optimizer, schedule, train
        self.best, self.path = best, path
        self.best_weights: dict[str, np.ndarray] = {}
        self.history = History()
        self.done, self.sum, self.weight = 0, 0.0, 0.0
        if path is not None and os.path.exists(path):
            self.read(path)
        self.place = self._place()

    # ---------------------------------------------------------------- within an epoch, and at its end

    @property
    def mean(self) -> float:
        return self.sum / self.weight if self.weight else math.nan

    def add(self, loss: float, weight: float) -> None:
        """One more batch has been trained on."""
        self.done, self.sum, self.weight = self.done + 1, self.sum + weight * loss, self.weight + weight

    def end_epoch(self, row: Mapping[str, float]) -> None:
        """Begin the next epoch; keep the weights where none were better."""
        if not self.done:
            raise ValueError("fit: train has no batches")
        history = self.history
        history.rows.append(dict(row))
        if not history.best or self.judged(row) < self.judged(history.rows[history.best - 1]):
            history.best = len(history)
            if self.best:
                self.best_weights = self.model.state_dict()
            if self.best and not isinstance(self.best, bool):
                save(self.model, self.best)
        self.done, self.sum, self.weight = 0, 0.0, 0.0
        self.place = self._place()

    def judged(self, row: Mapping[str, float]) -> float:
        """The figure that says how good an epoch is: nan, which is less than nothing, counts as infinite."""
        figure = row.get("validation_loss", row["loss"])
        return math.inf if math.isnan(figure) else figure

    def waited(self, patience: int | None) -> bool:
        """Whether there have been so many epochs since the best."""
        return patience is not None and len(self.history) - self.history.best >= patience > 0

    def take_best(self) -> None:
        """Give the model the best weights."""
        if self.best_weights:
            self.model.load_state_dict(self.best_weights)

    # ---------------------------------------------------------------- the file

    def _place(self) -> Any:
        """Where the data are, at the beginning of this epoch."""
        return self.train.state_dict() if hasattr(self.train, "state_dict") else None

    def _batches(self) -> dict[str, int]:
        """What an epoch is made of, as far as that is known."""
        known = {"batches": len(self.train)} if hasattr(self.train, "__len__") else {}
        place = self._place() or {}
        return known | {name: place[name] for name in ("sequences", "batch_size") if name in place}

    def _kind(self) -> str | None:
        """What the schedule is."""
        return type(self.schedule).__name__ if self.schedule is not None else None

    def _generators(self) -> list[np.random.Generator]:
        """Those that the model draws from, wherever it keeps them."""
        return [x for x, _ in Drawn(self.model).states if isinstance(x, np.random.Generator)]

    def write(self) -> None:
        """Save all, if there is a file for it."""
        if self.path is None:
            return
        states = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "best": self.best_weights}
        arrays = {f"{part}.{name}": array for part, state in states.items() for name, array in state.items()}
        about = {
            "done": self.done,
            "sum": self.sum,
            "weight": self.weight,
            "place": self.place,
            "rows": self.history.rows,
            "best_epoch": self.history.best,
            "batches": self._batches(),
            "schedule": self.schedule.state_dict() if self.schedule is not None else None,
            "kind": self._kind(),
            "has_best": bool(self.best),
            "generators": [g.bit_generator.state for g in self._generators()],
        }
        save_arrays(self.path, arrays, {"training": about})

    def read(self, path: str | os.PathLike[str]) -> None:
        """Take over what a file holds. Raises CheckpointError for one that is no training's, or another model's."""
        arrays, metadata = load_arrays(path)
        about = metadata.get("training")
        if not isinstance(about, dict):
            raise CheckpointError(f"{os.fspath(path)} is not a file that tg.fit can go on from: choose another resume=")
        parts: dict[str, dict[str, np.ndarray]] = {"model": {}, "optimizer": {}, "best": {}}
        for name, array in arrays.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = array
        try:
            self._same(about)
            self.model.load_state_dict(parts["model"])
            self.optimizer.load_state_dict(parts["optimizer"])
            if self.schedule is not None:
                self.schedule.load_state_dict(about["schedule"])
            for generator, state in zip(self._generators(), about["generators"], strict=True):
                generator.bit_generator.state = state
            if about["place"] is not None:
                self.train.load_state_dict(about["place"])
        except (StateDictError, ValueError) as error:
            raise CheckpointError(
                f"{os.fspath(path)} is of another model, optimizer, schedule or of other data: go on with the same, or "
                f"choose another resume=. {error}"
            ) from error
        self.best_weights = parts["best"]
        self.history = History(about["rows"], about["best_epoch"])
        self.done, self.sum, self.weight = about["done"], about["sum"], about["weight"]

    def _same(self, about: Mapping[str, Any]) -> None:
        """Raise ValueError where a file is of a training that was set up in another way."""
        if about["kind"] != self._kind():
            raise ValueError(f"The schedule was {about['kind']}, and is {self._kind()} now.")
        if (about["place"] is None) == hasattr(self.train, "load_state_dict"):
            raise ValueError("The place in train was kept by tg.data.batches, or by what is like it, and now is not.")
        if about["done"] and about["batches"] != self._batches():
            was, now = (", ".join(f"{n} {name}" for name, n in x.items()) for x in (about["batches"], self._batches()))
            raise ValueError(f"It stopped within an epoch of {was}; now it has {now}.")
        if self.best and about["best_epoch"] and not about["has_best"]:
            raise ValueError(f"Without best= the weights of its best epoch, {about['best_epoch']}, were not kept.")
