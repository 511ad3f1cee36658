"""The states of recurrent layers: their names and checks, sequences that end before others, and where one left off."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.modes import ENDED, mode
from ..engine.trees import SEQUENCES, is_plain, leaves, parts, rebuilt
from ..errors import DtypeError, ShapeError
from ..ops.elementwise import where
from .basic import as_input
from .module import Module


def label(**tensors: Tensor) -> None:
    """Name tensors by their role in the equations, for the tape, the pictures and the messages."""
    for name, tensor in tensors.items():
        if isinstance(tensor, Tensor):  # a cell may compute with plain arrays
            tensor.name = name


def declare(state: Any, name: str = "h", order: tuple[int, ...] = ()) -> None:
    """Say on the tape that what is computed here are the parts of the state after the present time step.

    They are called h; h#1, h#2, ... in a tuple or list; by its keys in a dict. A part without a name gets that one.
    """
    step = mode().step
    if isinstance(state, Tensor):
        if state.record is not None and step is not None:
            state.name = state.name or name
            state.record.states += ((step, (order, name), state.output),)
        return
    numbered = f"{name}{'.' if '#' in name else '#'}"
    for k, (key, part) in enumerate(parts(state) or (), 1):
        by_place = isinstance(state, SEQUENCES) and isinstance(key, int)
        declare(part, f"{numbered}{k}" if by_place else str(key), (*order, k))


def check_state(
    state: Any, names: tuple[str, ...], shape: tuple[int, ...], dtype: Any, owner: Module, x_was: str = ""
) -> Any:
    """The given state as a Tensor (or a tuple of them, one a name) of this shape.

    `x_was` says for the message how the axes of x were read.
    """
    kind = type(owner).__name__
    if _are_lengths(state):
        raise TypeError(f"{kind}: state must be {' and '.join(names)}, not whole numbers: are they lengths={state!r}?")
    if len(names) > 1 and not (isinstance(state, tuple | list) and len(state) == len(names)):
        raise TypeError(f"{kind}: state must be a tuple ({', '.join(names)}), not {_described(state)}")
    if len(names) == 1 and isinstance(state, tuple | list):
        raise TypeError(f"{kind}: state must be {names[0]} alone, not {_described(state)}")
    parts = []
    for name, part in zip(names, state if len(names) > 1 else (state,), strict=True):
        if part is None:
            raise TypeError(
                f"{kind}: state {name} is None: give all of ({', '.join(names)}), or state=None to start anew"
            )
        part = as_input(part, dtype, f"{kind}: state {name}")
        if part.shape != shape:
            raise ShapeError(
                f"{kind}: state {name} must have shape {shape}, got {part.shape}{x_was}. A state belongs to the batch "
                "it came from: start a batch of another size with state=None"
            )
        parts.append(part)
    return tuple(parts) if len(names) > 1 else parts[0]


def _are_lengths(state: Any) -> bool:
    """Whether this is a list of integers, or an array of them, which no state is."""
    if isinstance(state, tuple | list):
        return bool(state) and all(isinstance(n, int | np.integer) for n in state)
    return getattr(getattr(state, "dtype", None), "kind", None) in ("i", "u") and len(state.shape) <= 1


def pair(cell: Any, x: Any, state: Any) -> Any:
    """What a step of `unroll` gives, (y_t, state). TypeError for one tensor: its rows would be taken for both."""
    try:
        result = cell(x, state)
    except (TypeError, AttributeError) as error:
        if state is None and "NoneType" in str(error):
            error.add_note(
                "in unroll: the state that this cell was given is None. Say what the first step starts from, "
                "unroll(cell, x, state), or let the cell begin with zeros where it is None"
            )
        raise
    if isinstance(result, tuple | list) and len(result) == 2:
        return result
    raise TypeError(
        f"unroll: cell(x_t, state) must return two things, y_t and the new state, not {_described(result)}. Of a cell "
        "whose h is both: def step(x_t, h): h = cell(x_t, h); return h, h"
    )


def _described(state: Any) -> str:
    return f"a {type(state).__name__} of {len(state)}" if isinstance(state, tuple | list) else type(state).__name__


def select(alive: np.ndarray, new: Any, old: Any) -> Any:
    """For each sequence of the batch the new state where it is alive, else the old one (zero where that is None)."""
    held = parts(new)
    if held is not None:
        olds = dict.fromkeys(key for key, _ in held) if old is None else dict(parts(old) or ())
        keys = [key for key, _ in held]
        if olds.keys() != set(keys):
            raise TypeError(
                "unroll: with lengths= a sequence that has ended keeps its state, so a state must keep its form; it "
                f"was {type(old).__name__} with {list(olds)} and is {type(new).__name__} with {keys}"
            )
        chosen = [select(alive, part, olds[key]) for key, part in held[::-1]]  # c before h, as a cell computes them
        return rebuilt(new, chosen[::-1])
    if new is None or isinstance(new, str):
        return new
    if not (isinstance(new, Tensor) or is_plain(new)):
        raise TypeError(f"unroll: with lengths= a state is made of tensors, not {type(new).__name__}: which rows end?")
    mask = np.reshape(alive, alive.shape + (1,) * (np.ndim(new) - alive.ndim))  # (B, 1, ..): the same for all features
    chosen = where(mask, new, 0 if old is None else old)
    step = mode().step
    if old is None and step is not None and isinstance(chosen, Tensor) and chosen.record is not None:
        chosen.record.states += ((step, ENDED, 0),)  # the mask is on the tape where no state is
    if isinstance(chosen, Tensor) and isinstance(new, Tensor) and old is not None:
        chosen.name = new.name  # it takes the place of the state, for the next step and in the pictures
    return chosen


def last_repeated(x: Any, lengths: np.ndarray) -> Any:
    """x (T, B, ...) with the last step of each sequence in all that is beyond its end.

    What a step computes there is thrown away, but the sweep still multiplies its derivatives with zeros: so they must
    be finite, whatever the padding is. They are where an input stands that the cell has met before. A sequence of no
    steps gets those of the longest; where all are empty, zeros.
    """
    x = x if isinstance(x, Tensor) else np.asarray(x)
    if (lengths == len(x)).all():
        return x
    if not lengths.any():
        return np.zeros(x.shape, x.dtype)
    n = np.atleast_1d(lengths)
    rows = np.where(n > 0, np.arange(len(n)), n.argmax())
    t = np.minimum(np.arange(len(x))[:, None], n[rows] - 1)  # (T, B)
    return x[t, rows] if lengths.ndim else x[t[:, 0]]


def check_lengths(lengths: Any, T: int, shape: tuple[int, ...], caller: str) -> np.ndarray:
    """The lengths as an integer array of this shape, each in 0 .. T."""
    if isinstance(lengths, Tensor) and lengths.requires_grad:
        raise DtypeError(f"{caller}: lengths are whole numbers and can have no gradient: give lengths.data.astype(int)")
    array = np.asarray(lengths.array if isinstance(lengths, Tensor) else lengths)
    if array.dtype.kind not in "iu" and array.size:
        raise DtypeError(f"{caller}: lengths must be integers, not {array.dtype}")
    if array.shape != shape:
        one = f"one for each of the {shape[0]} sequences of x" if shape else "one number, since x has no batch"
        raise ShapeError(f"{caller}: lengths must have shape {shape}, {one}; got shape {array.shape}")
    wrong = np.flatnonzero((array < 0) | (array > T))
    if wrong.size:
        k = wrong[0]
        raise ValueError(
            f"{caller}: lengths must be in 0 .. {T}, the time steps of x, and lengths[{k}] is {array.flat[k]}"
        )
    return array.astype(np.intp)


def last_step(state: Any) -> int:
    """The time step at which a carried state was computed, 0 if it was not: numbering continues where it left off."""
    if state is None:
        return 0
    step = None
    part = next(leaves(state), None)
    if isinstance(part, Tensor):
        step = part.record.step if part.record is not None else part.cut.step if part.cut is not None else None
    return (step.t or 0) if step is not None else 0
