"""Recurrent layers: a cell, and a loop over time.

The loop is `unroll`. It calls the cell once a time step and tags what is recorded with the step; that is all there is
to "unrolling". Around it a layer has options: several layers, two directions, dropout between layers, data layouts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..ops.shape import concatenate, stack
from ..tape import scope
from ..tensor import Tensor
from .basic import Dropout, as_input, positive
from .cells import Cell, GRUCell, LSTMCell, RNNCell, check_state
from .init import Rng
from .module import Module


def unroll(
    cell: Callable[[Tensor, Any], tuple[Tensor, Any]],
    x: Tensor,
    state: Any,
    *,
    name: str = "cell",
    first: int = 1,
    reverse: bool = False,
) -> tuple[Tensor, Any]:
    """Call ``y_t, state = cell(x[t], state)`` for each time step; give all y_t stacked, and the last state.

    The steps are tagged ``(name, first), (name, first + 1), ...``; with ``reverse=True`` time runs backwards.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> def adder(x_t, state):
    ...     return state + x_t, state + x_t
    >>> y, last = tg.nn.unroll(adder, tg.tensor([1.0, 2.0, 3.0]), 0.0)
    >>> y.data
    array([1., 3., 6.])
    """
    T = len(x)
    if T == 0:
        raise ShapeError(f"unroll needs a sequence of at least one time step, and x has shape {x.shape}")
    outputs: list[Any] = [None] * T
    with scope(name) as at:
        for t in reversed(range(T)) if reverse else range(T):
            at(first + t)
            outputs[t], state = cell(x[t], state)
    return stack(outputs), state


def last_step(state: Any) -> int:
    """The time step at which a carried state was computed, 0 if it was not: numbering continues where it left off."""
    part = state[0] if isinstance(state, tuple | list) and state else state
    step = None
    if isinstance(part, Tensor):
        step = part.record.step if part.record is not None else part.cut.step if part.cut is not None else None
    return (step.t or 0) if step is not None else 0


class Recurrent(Module):
    """What RNN, LSTM and GRU share.

    ``output, state = layer(x, state=None)``

        x       (T, B, I); (B, T, I) with batch_first=True; (T, I) for one sequence without a batch
        output  (T, B, H * directions): the h of the last layer at every step, in the layout of x
        state   h, or (h, c): each (layers * directions, B, H), or (layers * directions, H) without a batch

    The state is an argument and a result, never kept inside. Parameters are those of the cells, with ``_l1, _l2, ...``
    for further layers and ``_reverse`` for the backward direction: ``W_xh``, ``W_hh_l1_reverse``.

        num_layers     layers on top of each other, each reading the output of the one below
        bidirectional  a second cell a layer that reads the sequence backwards; outputs side by side
        dropout        with this probability entries between layers are set to 0 while training
        rng            a NumPy Generator or a seed, for the initial weights and the dropout
        others         go to the cell: ``bias``, ``dtype`` (float32), and what the cell takes besides
    """

    cell_type: type[Cell]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        rng: Rng = None,
        **options: Any,
    ) -> None:
        self.input_size, self.hidden_size = positive("input_size", input_size), positive("hidden_size", hidden_size)
        self.num_layers = positive("num_layers", num_layers)
        self.batch_first, self.bidirectional = batch_first, bidirectional
        rng = np.random.default_rng(rng)
        self.dropout = Dropout(dropout, rng=rng)
        if dropout and num_layers == 1:
            raise ValueError("dropout acts between layers, and num_layers=1 has none: use tg.nn.Dropout on the output")
        self._options = options
        self.cells: list[Cell] = []
        self.suffixes: list[str] = []
        for layer in range(self.num_layers):
            width = self.input_size if layer == 0 else self.hidden_size * self.directions
            for direction in range(self.directions):
                suffix = (f"_l{layer}" if layer else "") + ("_reverse" if direction else "")
                self._add_cell(self.cell_type(width, self.hidden_size, rng=rng, **options), suffix)

    def _add_cell(self, cell: Cell, suffix: str) -> None:
        self.cells.append(cell)
        self.suffixes.append(suffix)
        for name, parameter in cell.named_parameters():
            parameter.name = name + suffix

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    def forward(self, x: Any, state: Any = None) -> tuple[Tensor, Any]:
        kind = type(self).__name__
        x = as_input(x, self.cells[0].W_hh.dtype, kind)
        layout = "(B, T, I)" if self.batch_first else "(T, B, I)"
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{kind}: x must be {layout} or, without a batch, (T, I), with I = input_size = {self.input_size}; "
                f"got {x.shape}"
            )
        unbatched = x.ndim == 2
        names = self.cell_type.states
        if unbatched:
            x = x.reshape(x.shape[0], 1, x.shape[1])
        elif self.batch_first:
            x = x.swapaxes(0, 1)
        T, B, _ = x.shape
        if T == 0:
            raise ShapeError(f"{kind}: x has no time steps: its shape, read as {layout}, is {x.shape}")
        rows = self.num_layers * self.directions
        shape = (rows, self.hidden_size) if unbatched else (rows, B, self.hidden_size)
        first = 1 + last_step(state)
        x_was = "" if unbatched else f" for an x read as {layout}, {T} time steps (T) of a batch of {B} (B)"
        states = check_state(state, names, shape, x.dtype, self, x_was)
        states = states if isinstance(states, tuple) else (states,)
        if unbatched:
            states = tuple(part.reshape(rows, 1, self.hidden_size) for part in states)

        last_states = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(self.directions):
                k = layer * self.directions + direction
                y, last = self._run(k, x, tuple(part[k] for part in states), first, reverse=direction == 1)
                outputs.append(y)
                last_states.append(last)
            x = concatenate(outputs, axis=-1) if self.bidirectional else outputs[0]
            if layer < self.num_layers - 1:
                x = self.dropout(x)

        with scope(kind.lower(), first + T - 1):
            final = tuple(stack([last[j] for last in last_states]) for j in range(len(names)))
            if unbatched:
                final = tuple(part.reshape(shape) for part in final)
        for name, part in zip(names, final, strict=True):
            part.name = name
        if unbatched:
            x = x.reshape(T, x.shape[-1])
        elif self.batch_first:
            x = x.swapaxes(0, 1)
        return x, final if len(names) > 1 else final[0]

    def _run(
        self, k: int, x: Tensor, state: tuple[Tensor, ...], first: int, reverse: bool
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One layer in one direction: project the whole sequence at once, then step through it."""
        cell = self.cells[k]
        start = state if len(state) > 1 else state[0]
        name = type(self).__name__.lower() + self.suffixes[k]
        y, last = unroll(cell.step, cell.project(x), start, name=name, first=first, reverse=reverse)
        return y, last if isinstance(last, tuple) else (last,)

    # ---------------------------------------------------------------- parameters under the layer's own names

    def slots(self, prefix: str = "") -> Iterator[tuple[str, Module, str]]:
        for cell, suffix in zip(self.cells, self.suffixes, strict=True):
            for name, owner, attribute in cell.slots():
                yield f"{prefix}{name}{suffix}", owner, attribute
        for name, owner, attribute in super().slots(prefix):  # what a subclass adds
            if owner not in self.cells:
                yield name, owner, attribute

    def _place(self, name: str) -> tuple[Cell, str] | None:
        """The cell, and its attribute, that a name like W_hh_l1 stands for; also where a bias is None."""
        for cell, suffix in zip(vars(self).get("cells", ()), vars(self).get("suffixes", ()), strict=True):
            attribute = name.removesuffix(suffix)
            value = vars(cell).get(attribute, ...)
            if attribute + suffix == name and (value is None or isinstance(value, Tensor)):
                return cell, attribute
        return None

    def __getattr__(self, name: str) -> Any:
        place = self._place(name)
        if place is None:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(*place)

    def __setattr__(self, name: str, value: Any) -> None:
        place = self._place(name)
        if place is None:
            super().__setattr__(name, value)
        else:
            setattr(*place, value)

    def __repr__(self) -> str:
        layer_options = {"num_layers": self.num_layers, "batch_first": self.batch_first, "dropout": self.dropout.p}
        plain = {"num_layers": 1, "batch_first": False, "dropout": 0.0, "bidirectional": False, "dtype": "float32"}
        shown = {**layer_options, "bidirectional": self.bidirectional, **self._options}
        shown["dtype"] = self.cells[0].W_hh.dtype.name
        options = [f"{key}={value!r}" for key, value in shown.items() if value != plain.get(key)]
        return f"{type(self).__name__}({', '.join([str(self.input_size), str(self.hidden_size), *options])})"


class RNN(Recurrent):
    """h_t = φ(x_t W_xh + h_{t-1} W_hh + b_h) for t = 1..T: see `RNNCell`, and `Recurrent` for shapes and options.

    Option of the cell: ``nonlinearity="tanh"``, or relu, sigmoid, identity.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> output, h = tg.nn.RNN(3, 4, rng=0)(np.ones((5, 2, 3)))
    >>> output.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    cell_type = RNNCell


class LSTM(Recurrent):
    """c_t = f * c_{t-1} + i * g,  h_t = o * tanh(c_t) for t = 1..T: see `LSTMCell`; `Recurrent` for shapes and options.

    Option of the cell: ``forget_bias=None``, a number to start the forget gate's bias from.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> lstm = tg.nn.LSTM(3, 4, num_layers=2, bidirectional=True, rng=0)
    >>> output, (h, c) = lstm(np.ones((5, 2, 3)))
    >>> output.shape, h.shape, c.shape
    ((5, 2, 8), (4, 2, 4), (4, 2, 4))
    """

    cell_type = LSTMCell


class GRU(Recurrent):
    """h_t = (1 - z) * n + z * h_{t-1} for t = 1..T: see `GRUCell`, and `Recurrent` for shapes and options.

    Option of the cell: ``reset_after=True``, or False for the equations of the paper.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> output, h = tg.nn.GRU(3, 4, batch_first=True, rng=0)(np.ones((2, 5, 3)))
    >>> output.shape, h.shape
    ((2, 5, 4), (1, 2, 4))
    """

    cell_type = GRUCell
