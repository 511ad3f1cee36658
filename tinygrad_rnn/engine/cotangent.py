"""Gradients on their way: how contributions to one gradient are kept and added up.

Indexed      a gradient that is zero but at some places, not written out
ArraySum     a sum of contributions, in a buffer of its own
RecordedSum  the same with Tensors, nothing in place
Waiting      for every leaf and every record, what has arrived for it so far
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array, Arrays
from .tape import Op, Record


class Lazy:
    """A gradient that is not an array yet."""

    __slots__ = ("dtype", "shape")
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def join(self, other: Cotangent) -> bool:
        """Take in another contribution to the same gradient; False where that cannot be done here."""
        return False

    def value(self) -> Any:
        """The gradient as an array."""
        raise NotImplementedError

    def add_to(self, buffer: np.ndarray) -> None:
        """``buffer += value``."""
        buffer += self.value()


Cotangent = Array | Lazy


class Indexed(Lazy):
    """A lazy gradient: that of ``x`` where only ``x[index]`` was used, and `part` arrived for it.

    Written out it would be zeros of the shape of ``x``. A sequence of T steps is T such indexings of one array, so
    writing each out would make BPTT quadratic in T; instead each part is added to its place.
    """

    __slots__ = ("index", "part")

    def __init__(self, index: Any, part: Array, x: Array) -> None:
        self.index = index
        self.part = part
        self.shape = x.shape
        self.dtype = x.dtype

    def value(self) -> Any:
        return Scatter((self.index,), self.shape, self.dtype)(self.part)

    def add_to(self, buffer: np.ndarray) -> None:
        add_at(buffer, self.index, self.part)


def add_at(buffer: np.ndarray, index: Any, part: Any) -> None:
    """``buffer[index] += part``, also right where an index array names one entry several times."""
    if isinstance(index, np.ndarray) and index.dtype != bool and index.size:
        # rows with equal numbers are brought together and added up: the gradient of an embedding
        flat = index.reshape(-1).astype(np.intp) % len(buffer)
        order = np.argsort(flat.astype(np.min_scalar_type(len(buffer))), kind="stable")  # short integers sort faster
        rows, starts = np.unique(flat[order], return_index=True)
        part = np.reshape(part, (flat.size, -1)).take(order, 0)
        buffer[rows] += _sums(part, starts).reshape(len(rows), *buffer.shape[1:])
    elif isinstance(index, tuple) and any(isinstance(i, np.ndarray) for i in index):
        np.add.at(buffer, index, part)
    else:
        buffer[index] += part


def _sums(part: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The sum of each run of rows, given where they start. NumPy's own way jumps from row to row in every column."""
    if part.shape[1] < 128:
        return np.add.reduceat(part, starts, axis=0)
    sums, ends = np.empty((len(starts), part.shape[1]), part.dtype), [*starts[1:].tolist(), len(part)]
    for y, start, end in zip(sums, starts.tolist(), ends, strict=True):
        np.add.reduce(part[start:end], axis=0, out=y)
    return sums


class Scatter(Op):
    """y = zeros, then y[index_k] += x_k for each k: the sum of many `Indexed` gradients, as an op.

    dL/dx_k = g[index_k]
    """

    def __init__(self, indices: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.indices, self.shape, self.dtype = indices, shape, dtype

    def forward(self, *parts: Array) -> np.ndarray:
        y = np.zeros(self.shape, self.dtype)
        for index, part in zip(self.indices, parts, strict=True):
            add_at(y, index, part)
        return y

    def vjp(self, g: Array, y: Array, *parts: Array) -> Arrays:
        return tuple(g[index] for index in self.indices)


class ArraySum(Lazy):
    """The sum of two or more contributions to one gradient, in a buffer of its own.

    Contributions may be shared (`add` hands the same g to both of its inputs) or read-only views, so none of
    them is ever written to.
    """

    __slots__ = ("total",)

    def __init__(self, first: Cotangent, second: Cotangent) -> None:
        if isinstance(first, Lazy) or isinstance(second, Lazy):
            self.total = np.zeros(first.shape, first.dtype)
            self.join(first)
            self.join(second)
        else:
            self.total = np.asarray(first + second)

    def join(self, other: Cotangent) -> bool:
        if isinstance(other, Lazy):
            other.add_to(self.total)
        else:
            self.total += other
        return True

    def value(self) -> np.ndarray:
        return self.total


class RecordedSum(Lazy):
    """The same sum with Tensors (`create_graph=True`): nothing in place, all indexed parts in one `Scatter`."""

    __slots__ = ("parts", "total")

    def __init__(self, first: Cotangent, second: Cotangent) -> None:
        self.total: Any = None
        self.parts: list[Indexed] = []
        self.join(first)
        self.join(second)

    def join(self, other: Cotangent) -> bool:
        if type(other) is Indexed:
            self.parts.append(other)
        else:
            self.total = other if self.total is None else self.total + other
        return True

    def value(self) -> Any:
        if self.parts:
            indices = tuple(part.index for part in self.parts)
            scatter = Scatter(indices, self.parts[0].shape, self.parts[0].dtype)
            self.join(scatter(*[part.part for part in self.parts]))
            self.parts = []
        return self.total


def written(g: Cotangent | None) -> Any:
    """A gradient, lazy or not, as an array (or as a Tensor, with `create_graph=True`)."""
    return g.value() if isinstance(g, Lazy) else g


def completed(record: Record, gs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The gradients of the outputs of a record, with zeros for those at which none has arrived."""
    return tuple([np.zeros(y.shape, y.dtype) if g is None else g for y, g in zip(record.values, gs, strict=True)])


class Waiting:
    """What has arrived so far for each leaf and for each output of each record.

    A first contribution is kept as it is; only a second one makes a sum of its own.
    """

    def __init__(self, recorded: bool) -> None:
        self.sum = RecordedSum if recorded else ArraySum
        self.places: dict[Any, Any] = {}  # leaf or record -> contribution or sum; for several outputs a dict of them

    def add(self, x: Any, g: Cotangent) -> None:
        """Add g to the gradient of the tensor x."""
        place, key = self.places, x.record
        if key is None:
            key = x
        elif key.op.outputs > 1:
            place, key = place.setdefault(key, {}), x.output
        have = place.get(key)
        if have is None:
            place[key] = g
        elif not (isinstance(have, Lazy) and have.join(g)):
            place[key] = self.sum(have, g)

    def take(self, record: Record) -> tuple[Any, ...] | None:
        """The complete gradients of the outputs of a record, None for an unused one; None where none has arrived."""
        g = self.places.pop(record, None)
        if g is None:
            return None
        if record.op.outputs == 1:
            return (g if type(g) is np.ndarray else written(g),)
        return tuple([written(g.get(k)) for k in range(record.op.outputs)])

    def at(self, x: Any) -> Any:
        """What has arrived for the tensor x, a leaf or a result that was not walked past; None where nothing has."""
        g = self.places.get(x.record or x)
        return written(g.get(x.output) if isinstance(g, dict) else g)

    def leaves(self) -> dict[Any, Any]:
        """The gradients of the leaves."""
        return {x: written(g) for x, g in self.places.items() if type(x) is not Record}
