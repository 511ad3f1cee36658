"""What a training was like: a row of figures an epoch."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..files import replace_file
from ..unrolled.tables import Report


class History(Report):
    """The figures of each epoch, in columns: ``history["loss"]``, printed as a table, plotted, written to a file.

    rows     a dict of figures for each epoch
    best     the epoch with the best figures, counted from 1; 0 where there is none yet
    stopped  why the training ended before its last epoch: "patience", or ""

    >>> history = History([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.5}])
    >>> history["loss"]
    array([2. , 1.5])
    >>> print(history)
    epoch  loss
        1     2
        2   1.5
    """

    def __init__(self, rows: Sequence[Mapping[str, float]] = (), best: int = 0) -> None:
        self.rows: list[dict[str, float]] = [dict(row) for row in rows]
        self.best, self.stopped = best, ""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, float]]:
        return iter(self.rows)

    @property
    def columns(self) -> list[str]:
        """What there are figures of."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def __getitem__(self, column: str) -> np.ndarray:
        if self.rows and column not in self.columns:
            raise KeyError(f"no column {column!r}; there are {', '.join(self.columns)}")
        return np.array([row.get(column, np.nan) for row in self.rows])

    def contents(self) -> tuple[str, Sequence[str], Sequence[Sequence[Any]]]:
        columns = self.columns
        kinds = {name: int if name == "epoch" else float for name in columns}
        rows = [[kinds[name](row[name]) if name in row else "" for name in columns] for row in self.rows]
        return "", columns, rows

    def plot(self, ax: Any = None) -> Any:
        """The losses over the epochs, as matplotlib Axes (extra ``plot``)."""
        from ..plots import epochs

        return epochs({name: self[name] for name in self.columns if name.endswith("loss")}, self.best, ax)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a table that spreadsheets read."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns)
        writer.writeheader()
        writer.writerows(self.rows)
        replace_file(path, text.getvalue())

    def to_jsonl(self, path: str | os.PathLike[str]) -> None:
        """Write a line of JSON an epoch; nan and inf, which JSON has not, as null."""
        rows = [{name: x if math.isfinite(x) else None for name, x in row.items()} for row in self.rows]
        replace_file(path, "".join(json.dumps(row) + "\n" for row in rows))
