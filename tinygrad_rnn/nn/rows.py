"""Rows of a table, picked by numbers and not yet written out: what an embedding can hand to a recurrent layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor


@dataclass(frozen=True, eq=False)
class Rows:
    """``table[ids]`` for a table (V, I) and ids of any shape (...): an array (..., I), of which only this is kept.

    A layer begins with a function of each row alone, ``x W_xh + b_h``. A text has many places and few characters, so
    it costs less to apply it to the rows of the table and to pick from what comes out: ``(E W_xh + b_h)[ids]`` is
    ``E[ids] W_xh + b_h``, and both have the same gradients. Saved are most of a layer's product with its input, and of
    the two products of its derivative. There is no tensor ``E[ids]`` then, and nothing to hang a hook on: whoever
    wants one writes the rows out, with ``embedding(ids)``.

    `Embedding.rows` makes them, and the recurrent layers take them for x; so does whatever else takes an array.

    >>> import tinygrad_rnn as tg
    >>> tg.nn.Embedding(10, 4, rng=0).rows([[1, 2, 1]]).shape
    (1, 3, 4)
    """

    table: Tensor
    ids: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.ids.shape, *self.table.shape[1:])

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.table.dtype

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Any) -> Rows:
        return Rows(self.table, self.ids[index])

    def reshape(self, *shape: int) -> Rows:
        """The same rows in another order of places; the last axis, along a row, stays."""
        return Rows(self.table, self.ids.reshape(shape[:-1]))

    def swapaxes(self, a: int, b: int) -> Rows:
        return Rows(self.table, self.ids.swapaxes(a, b))

    def written_out(self) -> Tensor:
        """The rows as the tensor that they stand for."""
        return self.table[self.ids]

    def through(self, f: Callable[[Tensor], Tensor]) -> Tensor:
        """f of the rows, for an f that treats each row by itself: computed once of each row that occurs."""
        occurs = np.zeros(len(self.table), bool)
        occurs[self.ids] = True
        values = f(self.table[np.flatnonzero(occurs)])
        picked = values[(np.cumsum(occurs) - 1)[self.ids]]
        picked.name = values.name
        return picked
