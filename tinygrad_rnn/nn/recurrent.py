"""Recurrent layers: a cell, and a loop over time.

The loop is `unroll`. It calls the cell once a time step and tags what is recorded with the step; that is all there is
to "unrolling". Around it a layer has options: several layers, two directions, dropout between layers, data layouts,
sequences of different lengths.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..autograd.checkpoint import checkpoint
from ..autograd.tensor import Tensor
from ..engine.modes import After, during, mode, scope
from ..errors import ShapeError
from ..ops.shape import concatenate, stack
from .basic import refuse_packed
from .cells import GRUCell, LSTMCell, RNNCell
from .fused import unroll_compiled, unroll_fused
from .layer import Layer
from .state import check_lengths, declare, last_repeated, last_step, pair, select

CellFunction = Callable[[Any, Any], tuple[Any, Any]]
"""``y_t, state = cell(x_t, state)``."""


def unroll(
    cell: CellFunction,
    x: Any,
    state: Any = None,
    *,
    lengths: Any = None,
    name: str = "cell",
    first: int = 1,
    reverse: bool = False,
    compiled: bool = False,
    check: bool = False,
) -> tuple[Tensor, Any]:
    """Call ``y_t, state = cell(x[t], state)`` for each time step; give all y_t stacked, and the last state.

    cell     any function of an input and a state; a state is a Tensor, or a nesting of tuples, dicts, dataclasses ...
    state    what the first step gets; by default None, for a cell that knows how to begin
    lengths  (B,) the number of time steps of each sequence of the batch, which is the first axis of x[t], y_t and of
             every part of the state. Beyond the end of a sequence y_t is 0 and its state stays as it is (a state of
             None as zero). What x holds there counts for nothing, nan and inf too: the cell gets the sequence's own
             last input once more
    reverse  run time backwards; a sequence then begins with its own last step
    name     steps are tagged (name, first), (name, first + 1), ...
    compiled compute all steps by a program that is generated from one; CompileError says why that cannot be. x is then
             (T, B, n), and the state an array or a tuple of some, (B, m). With `check` the loop is run and compared

    Parts of a state that have no name get one, for the pictures and reports: h, or h#1, h#2, .., or the key in a dict.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> def adder(x_t, state):
    ...     return state + x_t, state + x_t
    >>> y, last = tg.nn.unroll(adder, tg.tensor([1.0, 2.0, 3.0]), 0.0)
    >>> y.data
    array([1., 3., 6.])
    """
    refuse_packed(x, "unroll")
    if (T := len(x)) == 0:
        raise ShapeError(f"unroll needs a sequence of at least one time step, and x has shape {np.shape(x)}")
    if lengths is not None:
        x = stack(x) if isinstance(x, list | tuple) and any(isinstance(x_t, Tensor) for x_t in x) else x
        lengths = check_lengths(lengths, T, np.shape(x)[1:2], "unroll")
        x = last_repeated(x, lengths)
    if compiled or check:
        return unroll_compiled(cell, x, state, lengths, name, first, reverse, loop if check else None)
    return loop(cell, x, state, lengths, name, first, reverse)


def loop(
    cell: CellFunction, x: Any, state: Any, n: np.ndarray | None, name: str, first: int, reverse: bool
) -> tuple[Tensor, Any]:
    """`unroll`, of an x that is finite beyond the ends of the sequences."""
    T = len(x)
    outputs: list[Any] = [None] * T
    with scope(name) as at:
        for t in reversed(range(T)) if reverse else range(T):
            at(first + t)
            y, new = pair(cell, x[t], state)
            declare(new)
            if n is not None and not (t < n).all():  # some sequences are shorter than this
                y, new = select(t < n, y, None), select(t < n, new, state)
                declare(new)
            outputs[t], state = y, new
    return stack(outputs), state


class Recurrent(Layer):
    """What RNN, LSTM and GRU share.

    ``output, state = layer(x, state=None, lengths=None)``

        x        (T, B, I); (B, T, I) with batch_first=True; (T, I) for one sequence without a batch
        state    h, or (h, c): each (layers * directions, B, H), or (layers * directions, H) without a batch;
                 None for zeros, or for the learned initial state
        lengths  (B,) integers in 0 .. T, in any order: how many time steps of x each sequence has (one number without a
                 batch). What x holds beyond them counts for nothing
        output   (T, B, H * directions): the h of the last layer at every step, in the layout of x; zero beyond the end
        state    as above, after the last step of each sequence (its first step in the backward direction)

    The state is an argument and a result, never kept inside. Parameters are those of the cells, with ``_l1, _l2, ...``
    for further layers and ``_reverse`` for the backward direction: ``W_xh``, ``W_hh_l1_reverse``.

        num_layers           layers on top of each other, each reading the output of the one below
        bidirectional        a second cell a layer that reads the sequence backwards; outputs side by side
        dropout              with this probability entries between layers are set to 0 while training
        variational          dropout with one mask for all time steps of a sequence (Gal and Ghahramani 2016)
        fused                whether a time step is one record (fast), or a dozen (to be looked at): True, False, or
                             "auto", which is True but for cells with a step of yours, and within `tg.anomaly()`
        checkpoint           keep the states of every n-th time step, and compute those between again in the backward
                             pass (`tg.checkpoint`): n, or True for √T. Memory for time; √T steps are then one record
        learn_initial_state  a missing state is a parameter ``h_0`` (and ``c_0``) a layer and direction, at first zero
        rng                  a NumPy Generator or a seed, for the initial weights and the dropout
        others               go to the cell: ``bias``, ``dtype`` (float32), and what the cell takes besides

    What is empty: a batch of none (B = 0) gives an output and states of none. A sequence of length 0 has an output of
    zeros, and its state is the one it was given. An x without time steps (T = 0) raises ShapeError.
    """

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Tensor, Any]:
        first = 1 + last_step(state)
        x, lengths, unbatched = self.enter(x, lengths)
        starts, ends = self.starts(state, x, unbatched), ()
        for layer in range(self.num_layers):
            x = self.dropout(x) if layer else x
            cells = range(layer * self.directions, (layer + 1) * self.directions)
            outputs, last = zip(*[self._run(k, x, starts[k], lengths, first) for k in cells], strict=True)
            x, ends = concatenate(outputs, axis=-1) if self.bidirectional else outputs[0], (*ends, *last)
        with during(After(type(self).__name__.lower(), first + len(x) - 1)):
            state = self.stacked(ends, unbatched)
        return self.leave(x, unbatched), state

    def _run(self, k: int, x: Any, state: Any, lengths: np.ndarray | None, first: int) -> tuple[Tensor, Any]:
        """One layer in one direction: project the whole sequence at once, then step through it."""
        cell, T, reverse = self.cells[k], len(x), k % self.directions == 1
        name = type(self).__name__.lower() + self.suffixes[k]

        def steps(x: Any, state: Any, lengths: np.ndarray | None, first: int) -> tuple[Tensor, Any]:
            fused, a = self.fuses(cell), self.project(cell, x)
            if fused is not None:
                return unroll_fused(fused, a, state, lengths, name, first, reverse)
            return loop(cell.step, a, state, lengths, name, first, reverse)

        if not (self.checkpoint and mode().recording):
            return steps(x, state, lengths, first)
        n = math.isqrt(T - 1) + 1 if self.checkpoint is True else self.checkpoint
        outputs = []
        for start in reversed(range(0, T, n)) if reverse else range(0, T, n):
            ends = None if lengths is None else np.clip(lengths - start, 0, len(x[start : start + n]))
            output, state = checkpoint(partial(steps, lengths=ends, first=first + start), x[start : start + n], state)
            outputs.append(output)
        return concatenate(outputs[::-1] if reverse else outputs), state


class RNN(Recurrent):
    """h_t = φ(x_t W_xh + h_{t-1} W_hh + b_h) for t = 1..T: see `RNNCell`, and `Recurrent` for shapes and options.

    Options of the cell: ``nonlinearity="tanh"``, or relu, sigmoid, identity; ``layer_norm=False``.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> output, h = tg.nn.RNN(3, 4, rng=0)(np.ones((5, 2, 3)))
    >>> output.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    cell_type = RNNCell


class LSTM(Recurrent):
    """c_t = f * c_{t-1} + i * g,  h_t = o * tanh(c_t) for t = 1..T: see `LSTMCell`; `Recurrent` for shapes and options.

    Options of the cell: ``forget_bias=None``, a number to start the forget gate's bias from; ``peepholes=False``,
    ``forget_gate=True``, ``cut_gate_gradient=False``, ``layer_norm=False``.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> lstm = tg.nn.LSTM(3, 4, num_layers=2, bidirectional=True, rng=0)
    >>> output, (h, c) = lstm(np.ones((5, 2, 3)))
    >>> output.shape, h.shape, c.shape
    ((5, 2, 8), (4, 2, 4), (4, 2, 4))
    """

    cell_type = LSTMCell


class GRU(Recurrent):
    """h_t = (1 - z) * n + z * h_{t-1} for t = 1..T: see `GRUCell`, and `Recurrent` for shapes and options.

    Options of the cell: ``reset_after=True``, or False for the equations of the paper; ``layer_norm=False``.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> output, h = tg.nn.GRU(3, 4, batch_first=True, rng=0)(np.ones((2, 5, 3)))
    >>> output.shape, h.shape
    ((2, 5, 4), (1, 2, 4))
    """

    cell_type = GRUCell
