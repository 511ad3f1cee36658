"""Gradients on their way: how contributions to one gradient are kept and added up.

Indexed      a gradient that is zero but at some places, not written out
Entries      that of a sequence, of which each time step brings its own entry
Outer        that of a weight all time steps share, Σ_t x_tᵀ g_t, not multiplied out
ArraySum     a sum of contributions, in a buffer of its own
RecordedSum  the same with Tensors, nothing in place
Waiting      for every leaf and every record, what has arrived for it so far
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .tape import Op, Record


class Lazy:
    """A gradient that is not written out yet."""

    __slots__ = ("dtype", "shape")
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def join(self, other: Any) -> bool:
        """Take in another contribution to the same gradient, if the two together can stay lazy."""
        return False

    def value(self) -> np.ndarray:
        """The gradient as an array."""
        raise NotImplementedError

    def add_to(self, buffer: np.ndarray) -> None:
        """``buffer += value``."""
        buffer += self.value()


class Indexed(Lazy):
    """A lazy gradient: that of ``x`` where only ``x[index]`` was used, and `part` arrived for it.

    Written out it would be zeros of the shape of ``x``. A sequence of T steps is T such indexings of one array, so
    writing each out would make BPTT quadratic in T; instead each part is added to its place.
    """

    __slots__ = ("index", "part")

    def __init__(self, index: Any, part: Any, x: Any) -> None:
        self.index = index
        self.part = part
        self.shape = x.shape
        self.dtype = x.dtype

    def value(self) -> np.ndarray:
        written = np.zeros(self.shape, self.dtype)
        self.add_to(written)
        return written

    def add_to(self, buffer: np.ndarray) -> None:
        add_at(buffer, self.index, self.part)


class Spread(Lazy):
    """A lazy gradient to which each time step of an unrolled layer brings its part, in arrays over all steps.

    The steps are walked from the last to the first, so the parts that have arrived are those of steps first..last.
    g[k] is the part of step k; contributions belong together where their g is the same array.
    """

    __slots__ = ("first", "g", "last")

    def __init__(self, g: np.ndarray, k: int, x: Any) -> None:
        self.g = g
        self.first = self.last = k
        self.shape = x.shape
        self.dtype = x.dtype

    def join(self, other: Any) -> bool:
        together = type(other) is type(self) and other.g is self.g and other.last == self.first - 1
        if together:
            self.first = other.first
        return together


class Entries(Spread):
    """That of a sequence of which step k uses entry k: dL/da_k = g[k].  `backwards`: the last entry first."""

    __slots__ = ("backwards",)

    def __init__(self, g: np.ndarray, k: int, a: Any, backwards: bool) -> None:
        super().__init__(g, k, a)
        self.backwards = backwards

    def value(self) -> np.ndarray:
        g = self.g
        if self.last - self.first + 1 < len(g):
            g = np.zeros(self.shape, self.dtype)
            g[self.first : self.last + 1] = self.g[self.first : self.last + 1]
        return g[::-1] if self.backwards else g


class Outer(Spread):
    """That of a weight which step k uses as x[k] @ W: dL/dW = Σ_k x[k]ᵀ g[k], all steps in one product of two matrices.

    With x=None it is that of a bias, dL/db = Σ_k Σ_batch g[k]. `columns`, if given, brings the columns into the order
    of the weight.
    """

    __slots__ = ("columns", "x")

    def __init__(self, x: np.ndarray | None, g: np.ndarray, k: int, weight: Any, columns: Any = None) -> None:
        super().__init__(g, k, weight)
        self.x = x
        self.columns = columns

    def value(self) -> np.ndarray:
        g = _rows(self.g[self.first : self.last + 1])
        if self.x is None:
            return np.ones(len(g), g.dtype) @ g
        total = _rows(self.x[self.first : self.last + 1]).T @ g
        return total if self.columns is None else total[:, self.columns]


def _rows(sequence: np.ndarray) -> np.ndarray:
    """(T, B, H) as (T B, H), without a copy also where time runs backwards in memory: the sum does not mind."""
    forwards = sequence if sequence.strides[0] >= 0 else sequence[::-1]
    return forwards.reshape(-1, sequence.shape[-1])


def add_at(buffer: np.ndarray, index: Any, part: Any) -> None:
    """``buffer[index] += part``, also right where an index array names one entry several times."""
    if isinstance(index, np.ndarray) and index.dtype != bool and index.size:
        # rows with equal numbers are brought together and added up: the gradient of an embedding
        flat = index.reshape(-1).astype(np.intp) % len(buffer)
        order = np.argsort(flat, kind="stable")
        rows, starts = np.unique(flat[order], return_index=True)
        part = np.reshape(part, (flat.size, *buffer.shape[1:]))
        buffer[rows] += np.add.reduceat(part[order], starts, axis=0)
    elif isinstance(index, tuple) and any(isinstance(i, np.ndarray) for i in index):
        np.add.at(buffer, index, part)
    else:
        buffer[index] += part


class Scatter(Op):
    """y = zeros, then y[index_k] += x_k for each k: the sum of many `Indexed` gradients, as an op.

    dL/dx_k = g[index_k]
    """

    def __init__(self, indices: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.indices, self.shape, self.dtype = indices, shape, dtype

    def forward(self, *parts: Any) -> np.ndarray:
        y = np.zeros(self.shape, self.dtype)
        for index, part in zip(self.indices, parts, strict=True):
            add_at(y, index, part)
        return y

    def vjp(self, g: Any, y: Any, *parts: Any) -> tuple[Any, ...]:
        return tuple(g[index] for index in self.indices)


class ArraySum:
    """The sum of several contributions to one gradient, in a buffer of its own.

    Contributions may be shared (`add` hands the same g to both of its inputs) or read-only views, so none of
    them is ever written to.
    """

    __slots__ = ("total",)

    def __init__(self, first: Any) -> None:
        if isinstance(first, Indexed):
            self.total = first.value()
        else:
            self.total = np.array(first.value() if isinstance(first, Lazy) else first)

    def add(self, g: Any) -> None:
        if isinstance(g, Lazy):
            g.add_to(self.total)
        else:
            self.total += g

    def value(self) -> Any:
        return self.total


class RecordedSum:
    """The same sum with Tensors (`create_graph=True`): nothing in place, all indexed parts in one `Scatter`."""

    __slots__ = ("parts", "total")

    def __init__(self, first: Any) -> None:
        self.total: Any = None
        self.parts: list[Indexed] = []
        self.add(first)

    def add(self, g: Any) -> None:
        if type(g) is Indexed:
            self.parts.append(g)
        else:
            self.total = g if self.total is None else self.total + g

    def value(self) -> Any:
        if self.parts:
            indices = tuple(part.index for part in self.parts)
            scatter = Scatter(indices, self.parts[0].shape, self.parts[0].dtype)
            self.add(scatter(*[part.part for part in self.parts]))
            self.parts = []
        return self.total


class Waiting:
    """What has arrived so far for each leaf and for each output of each record.

    A first contribution is kept as it is; only a second one makes a sum of its own.
    """

    def __init__(self, recorded: bool) -> None:
        self.sum: Any = RecordedSum if recorded else ArraySum
        self.places: dict[Any, Any] = {}  # leaf or record -> contribution or sum; for several outputs a dict of them

    def add(self, x: Any, g: Any) -> None:
        """Add g to the gradient of the tensor x."""
        place, key = self.places, x.record
        if key is None:
            key = x
        elif key.op.outputs > 1:
            place, key = place.setdefault(key, {}), x.output
        have = place.get(key)
        if have is None:
            place[key] = self.sum(g) if type(g) is Indexed else g
        elif type(have) is self.sum:
            have.add(g)
        elif not (isinstance(have, Lazy) and have.join(g)):
            place[key] = have = self.sum(have)
            have.add(g)

    def take(self, record: Record) -> Any:
        """The complete gradient of a record (a tuple for several outputs, zeros for an unused one), or None."""
        g = self.places.pop(record, None)
        if g is None or record.op.outputs == 1:
            return self._complete(g)
        return tuple(self._complete(g[k]) if k in g else np.zeros_like(y) for k, y in enumerate(record.value))

    def at(self, x: Any) -> Any:
        """What has arrived for the tensor x, a leaf or a result that was not walked past; None where nothing has."""
        g = self.places.get(x.record or x)
        return self._complete(g.get(x.output) if isinstance(g, dict) else g)

    def leaves(self) -> dict[Any, Any]:
        """The gradients of the leaves."""
        return {x: self._complete(g) for x, g in self.places.items() if type(x) is not Record}

    def _complete(self, g: Any) -> Any:
        return g.value() if type(g) is self.sum or isinstance(g, Lazy) else g
