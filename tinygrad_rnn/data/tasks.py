"""Synthetic tasks of the literature: sequences whose answer hangs on steps far back.

Each function draws B new sequences of T time steps and gives ``x, y``: inputs (T, B, features), and targets, either
(B,), asked for at the last step only, or (T, B), one a step. Classes are integers. `rng` is a Generator, so that calls
go on drawing, or a seed. The same seed gives the same sequences.
"""

from __future__ import annotations

import math

import numpy as np

from ..errors import DataError

Rng = np.random.Generator | int
Batch = tuple[np.ndarray, np.ndarray]


def adding(T: int, B: int, rng: Rng) -> Batch:
    """The adding problem: the sum of two marked values (Hochreiter and Schmidhuber 1997, experiment 4).

    Two features a step: a value from U(0, 1), and a marker that is 1 at two steps, one in each half, else 0. The target
    (B,) is the sum of the marked values. Always answering 1 has a mean squared error of 1/6, the variance of the sum.
    The version with values from U(0, 1) is that of later papers (Le et al. 2015, Arjovsky et al. 2016).

    Raises DataError for T below 2.

    >>> x, y = adding(T=10, B=3, rng=0)
    >>> x.shape, y.shape, x[:, :, 1].sum(0)
    ((10, 3, 2), (3,), array([2., 2., 2.]))
    """
    _at_least("adding", T, 2, "a step in each half")
    rng = np.random.default_rng(rng)
    values, markers, rows = rng.random((T, B)), np.zeros((T, B)), np.arange(B)
    markers[rng.integers(0, T // 2, B), rows] = 1
    markers[rng.integers(T // 2, T, B), rows] = 1
    return np.stack([values, markers], axis=-1), (values * markers).sum(0)


def temporal_order(T: int, B: int, rng: Rng) -> Batch:
    """In which order came the two symbols that count (Hochreiter and Schmidhuber 1997, experiment 6a)?

    Six symbols, one-hot: a, b, and four that count for nothing. The first a or b stands at a step in [T/10, T/5), the
    second in [T/2, 3T/5), counted from 0 as by Pascanu et al. (2013). The target (B,) is 0, 1, 2, 3 for aa, ab, ba, bb.

    Raises DataError for T below 10.

    >>> x, y = temporal_order(T=20, B=3, rng=0)
    >>> x.shape, y
    ((20, 3, 6), array([2, 3, 2]))
    """
    _at_least("temporal_order", T, 10, "room for both symbols")
    rng = np.random.default_rng(rng)
    symbols, rows = rng.integers(2, 6, (T, B)), np.arange(B)
    first, second = rng.integers(0, 2, (2, B))
    symbols[rng.integers(T // 10, 2 * T // 10, B), rows] = first
    symbols[rng.integers(5 * T // 10, 6 * T // 10, B), rows] = second
    return np.eye(6)[symbols], 2 * first + second


def copy_memory(T: int, B: int, rng: Rng) -> Batch:
    """Remember ten symbols, wait T steps, say them again (Hochreiter and Schmidhuber 1997; Arjovsky et al. 2016).

    T + 20 steps of ten one-hot symbols: ten steps of the symbols 0 .. 7, T - 1 blanks (8), a marker (9), ten blanks.
    The target (T + 20, B) is blank until the marker has been read, and then the ten symbols in order: nine classes.

    Raises DataError for T below 1.

    >>> x, y = copy_memory(T=3, B=1, rng=0)
    >>> x.argmax(-1)[:, 0], y[:, 0]
    (array([6, 5, 4, 2, 2, 0, 0, 0, 1, 6, 8, 8, 9, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8]),
     array([8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 6, 5, 4, 2, 2, 0, 0, 0, 1, 6]))
    """
    _at_least("copy_memory", T, 1, "the step of the marker")
    symbols = np.random.default_rng(rng).integers(0, 8, (10, B))
    read, said = np.full((2, T + 20, B), 8)
    read[:10], read[T + 9] = symbols, 9
    said[T + 10 :] = symbols
    return np.eye(10)[read], said


def copy_memory_baseline(T: int) -> float:
    """10 log 8 / (T + 20): the cross-entropy, in nats a step, of knowing when to speak and remembering nothing.

    >>> round(copy_memory_baseline(100), 4)
    0.1733
    """
    return 10 * math.log(8) / (T + 20)


def last_sign(T: int, B: int, rng: Rng, p: float = 0.1) -> Batch:
    """What was the sign of the last input that was not zero?

    One feature: +1 or -1 with probability p a step, and always at the first, else 0. The target (T, B) is the class 1
    where the last of them was +1, else 0. The lag between a sign and a step that asks for it has no bound.

    Raises DataError for T below 1 or p outside [0, 1].

    >>> x, y = last_sign(T=8, B=1, rng=3, p=0.3)
    >>> x[:, 0, 0].astype(int), y[:, 0]
    (array([ 1,  1,  0,  0, -1,  0,  0,  1]), array([1, 1, 1, 1, 0, 0, 0, 1]))
    """
    _at_least("last_sign", T, 1, "a first sign")
    if not 0 <= p <= 1:
        raise DataError(f"last_sign: expected a probability p in [0, 1], found {p}")
    rng = np.random.default_rng(rng)
    given = rng.random((T, B)) < p
    given[0] = True
    signs = rng.integers(0, 2, (T, B))
    latest = np.maximum.accumulate(np.where(given, np.arange(T)[:, None], 0))  # the step of the last sign
    return np.where(given, 2.0 * signs - 1, 0.0)[:, :, None], np.take_along_axis(signs, latest, 0)


def _at_least(name: str, steps: int, least: int, room: str) -> None:
    if steps < least:
        raise DataError(f"{name}: expected T of {least} or more, {room}; found {steps}")
