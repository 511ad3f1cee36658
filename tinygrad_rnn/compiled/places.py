"""Places in memory: buffers, the cells in them, and the views through which a program sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .values import Value


@dataclass(eq=False)
class Buffer:
    """Memory for `size` slabs (B, n), or for as many columns where `columns`.

    extent  "step" (used anew by each), "time" (for all steps), "chunk" (for the steps of a chunk)
    name    also of what the caller has: "a", "dy", "S0" (a state, with one entry more than steps), "e0" (its gradient)
    """

    name: str
    extent: str
    n: int
    dtype: np.dtype[Any]
    size: int = 1
    columns: bool = False
    backward: bool = False
    alone: bool = False  # one slab, without an axis of its own


@dataclass(eq=False)
class Cell:
    """Where a value lies; `values` are computed there one after the other."""

    n: int
    dtype: np.dtype[Any]
    values: list[Value] = field(default_factory=list)
    buffer: Buffer | None = None
    at: int = 0  # the slab, or the column
    shift: int = 0  # 1: the entry after that of the step, of a state


@dataclass(frozen=True)
class Ref:
    """k neighbours in a buffer, from `at`; of each the columns `first` .. `first + n`."""

    buffer: Buffer
    at: int
    k: int = 0  # 0: one alone, without an axis of its own
    shift: int = 0
    first: int = 0
    n: int = 0

    def text(self, back: bool = False) -> str:
        """The expression of what it is of the buffer's array x: (..., k, B, n) or (..., B, n), also of all steps.

        With `back` the steps are in the opposite order.
        """
        b, index = self.buffer, []
        if b.name[0] == "S":
            index = [(":0:-1" if back else "1:") if self.shift else "-2::-1" if back else ":-1"]
        elif b.extent != "step":
            index = ["::-1" if back else ":"]
        if self.slabs:
            index += [] if b.alone else [f"{self.at}:{self.at + self.k}" if self.k else f"{self.at}"]
            return f"x[{', '.join(index)}]" if index else "x"
        index += [] if b.columns or b.alone else [f"{self.at}"]
        first = self.first + self.at * b.columns
        index += [":", f"{first}:{first + max(self.k, 1) * self.n}"]
        return f"split(x[{', '.join(index)}], {self.k})" if self.k else f"x[{', '.join(index)}]"

    def of(self) -> Callable[[np.ndarray], np.ndarray]:
        """What it is of the buffer's array, as a function."""
        view: Callable[[np.ndarray], np.ndarray] = eval(f"lambda x: {self.text()}", {"split": split})
        return view

    @property
    def slabs(self) -> bool:
        """Whether it is whole slabs, and not columns of one."""
        return not self.buffer.columns and self.n == self.buffer.n

    def before(self, other: Ref) -> bool:
        """Whether the other one is the next of the same kind."""
        if self.buffer is not other.buffer or self.n != other.n or self.shift != other.shift:
            return False
        if self.slabs:
            return other.at == self.at + 1
        if self.buffer.columns:
            return other.at + other.first == self.at + self.first + self.n
        return other.at == self.at and other.first == self.first + self.n


def split(x: np.ndarray, k: int) -> np.ndarray:
    """(..., B, k n) as (..., k, B, n), a view."""
    return x.reshape(*x.shape[:-1], k, x.shape[-1] // k).swapaxes(-2, -3)


@dataclass
class Call:
    """One call of the program: `run` are the values that it computes, side by side."""

    run: list[Value]
    copy: Ref | None = None  # or where the second of them is copied to
