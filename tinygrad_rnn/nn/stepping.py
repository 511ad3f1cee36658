"""A layer one time step at a time, on plain arrays: for writing a text, or for data that arrive as they are measured.

A layer is made for whole sequences, and what it does around one call (tensors, checks, a record) is many times what a
single step computes. `one_step` does all that once, and gives a function of arrays that is the step alone. It is the
cell's own `step`, which works on arrays as on tensors: an op that is called with arrays computes, and records nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.arrays import Operand
from ..engine.modes import no_grad
from ..engine.trees import leaves, mapped
from ..errors import DataError, ShapeError
from .basic import Embedding
from .cell import Cell
from .layer import Layer

State = Any  # h, or (h, c): arrays (layers, B, H)
OneStep = Callable[[Any, State], tuple[np.ndarray, State]]


def one_step(layer: Layer, embedding: Embedding | None = None) -> OneStep:
    """A function ``y, state = step(x, state)`` that is one time step of a layer, on plain arrays, without a tape.

        x      (B, I), the input of the step; with an `embedding`, (B,) integers, the rows of it that are the input
        state  as the layer takes and gives it, each part (layers, B, H): arrays, or the tensors of a layer; None for
               the state that the layer begins with
        y      (B, H) the h of the last layer

    The weights are those of now: after a training step make the function anew. Dropout between layers does nothing.
    The numbers are those of the composed layer in eval mode; of a fused one, but for the last bits.

    Raises ValueError for a layer of two directions, of which one begins at the end; the function raises ShapeError for
    an x that does not fit, DataError for a row that is not there.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> gru = tg.nn.GRU(3, 4, rng=0)
    >>> step, state = tg.nn.one_step(gru), None
    >>> for x in np.ones((5, 1, 3)):
    ...     y, state = step(x, state)
    >>> output, h = gru(np.ones((5, 1, 3)))
    >>> bool(np.allclose(y, output.data[-1])), state.shape == h.shape
    (True, True)
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"one_step: layer must be a recurrent layer of tg.nn, not {type(layer).__name__}")
    if layer.bidirectional:
        raise ValueError("one_step: the backward direction begins at the end of a sequence, so it has no next step")
    names = layer.cell_type.states
    cells, many, single = [on_arrays(cell) for cell in layer.cells], len(names) > 1, layer.num_layers == 1
    enter = _features(cells[0], layer) if embedding is None else _rows(cells[0], embedding, layer)

    def begin(B: int) -> State:
        starts = [mapped(cell.initial_state((B,)), lambda part: part.array) for cell in layer.cells]
        return stacked(starts)

    def stacked(states: list[State]) -> State:
        """The states of all layers as one: what each layer has of a part, side by side."""
        if many:
            return tuple([column[0][None] if single else np.stack(column) for column in zip(*states, strict=True)])
        return states[0][None] if single else np.stack(states)

    def step(x: Operand, state: State = None) -> tuple[np.ndarray, State]:
        a = enter(x)
        shape = (len(cells), len(a), layer.hidden_size)
        parts = begin(len(a)) if state is None else state
        parts = [part.array if isinstance(part, Tensor) else part for part in (parts if many else (parts,))]
        if any(part.shape != shape for part in parts) or len(parts) != len(names):
            found = ", ".join(str(part.shape) for part in parts)
            raise ShapeError(f"one_step: state must be {' and '.join(names)}, each of shape {shape}, got {found}")
        ends = []
        for k, cell in enumerate(cells):
            a = cell.project(a) if k else a
            a, end = cell.step(a, tuple([part[k] for part in parts]) if many else parts[0][k])
            ends.append(end)
        return a, stacked(ends)

    return step


def _features(first: Any, layer: Layer) -> Callable[[Any], Any]:
    """From x (B, I) to what the step of the first layer gets of it."""

    dtype = layer.cells[0].W_hh.dtype

    def enter(x: Operand) -> Any:
        array = np.asarray(x.array if isinstance(x, Tensor) else x, dtype)
        if array.ndim != 2 or array.shape[1] != layer.input_size:
            raise ShapeError(f"one_step: x must be (B, {layer.input_size}), the input of one step, got {array.shape}")
        return first.project(array)

    return enter


def _rows(first: Any, embedding: Embedding, layer: Layer) -> Callable[[Any], Any]:
    """The same from the numbers of rows: each row of the table is projected here, once."""
    if embedding.size != layer.input_size:
        raise ShapeError(f"one_step: the layer needs an embedding of size {layer.input_size}, not {embedding.size}")
    table = first.project(embedding.W.detach().array.astype(layer.cells[0].W_hh.dtype))

    def enter(ids: Operand) -> Any:
        array = np.asarray(ids)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise ShapeError(
                f"one_step: x must be (B,) integers, rows of the embedding, got {array.dtype} {array.shape}"
            )
        if array.size and not 0 <= array.min() <= array.max() < len(table):
            raise DataError(f"one_step: x must be in 0 .. {len(table) - 1}, the rows of the embedding, got {array}")
        return table[array]

    return enter


def on_arrays(cell: Cell) -> Any:
    """`project` and `step` of a cell with plain arrays, with the weights that it has now.

    They are Python, and most work on arrays as on tensors: then a copy of the cell with arrays for weights is enough.
    One that does not, or that gives something else then, is given tensors at every step.
    """
    plain, taped = copy.copy(cell), _Taped(cell)
    arrays = {name: w.detach().array for name, w in vars(cell).items() if isinstance(w, Tensor)}
    vars(plain).update(arrays)
    rng, H = np.random.default_rng(0), cell.hidden_size
    widths = cell.input_size, H * len(cell.gates), *[H] * len(cell.states)
    x, a, *parts = (rng.standard_normal((2, width)).astype(cell.W_hh.dtype) for width in widths)
    for array in (x, a, *parts):
        array.flags.writeable = False  # a step that writes into its state would do so into yours
    state = tuple(parts) if len(parts) > 1 else parts[0]
    try:
        found = [*leaves([plain.project(x), plain.step(a, state)])]  # type: ignore[arg-type]
    except (AttributeError, TypeError, ValueError):
        return taped
    expected = [*leaves([taped.project(x), taped.step(a, state)])]
    same = len(found) == len(expected) and all(map(_same, found, expected))
    return plain if same else taped


def _same(found: Any, expected: np.ndarray) -> bool:
    return type(found) is np.ndarray and found.dtype == expected.dtype and np.array_equal(found, expected)


class _Taped:
    """A cell that is given tensors, for arrays."""

    def __init__(self, cell: Cell) -> None:
        self.cell = copy.copy(cell)
        vars(self.cell).update({name: w.detach() for name, w in vars(cell).items() if isinstance(w, Tensor)})

    @no_grad()
    def project(self, x: np.ndarray) -> np.ndarray:
        return self.cell.project(Tensor(x)).array

    @no_grad()
    def step(self, a: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        y, after = self.cell.step(Tensor(a), mapped(state, Tensor))
        return y.array, mapped(after, lambda part: part.array)
