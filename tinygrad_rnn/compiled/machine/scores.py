"""What a cross-entropy needs of scores x (rows, V) and class numbers t (rows): one pass forward, and one back."""

import functools

import numpy as np
from numba import cfunc, njit, types
from numba.extending import overload

from .functions import exp32, exp64, plus
from .programs import Apart, fast, floats32_at, floats64_at, integers_at, rows, word


def _exp(x):
    """That of the dtype."""


@overload(_exp)
def _exp_of(x):
    return (lambda x: exp32(x)) if x == types.float32 else (lambda x: exp64(x))


@njit(forceinline=True, fastmath={"nnan", "nsz"})
def _larger(x, y):
    """Several at once; a nan may come through or not, and the sum of the row is nan in any case."""
    return x if x > y else y


@njit(pipeline_class=Apart, **fast)
def _powers(first, last, V, x, t, e, sums, ms, named):
    """e = exp(x - m), with m the row's largest entry, or 0 where that is infinite; Σ e; and x_t."""
    F = x.dtype.type
    for r in range(first, last):
        x_r, m = x[r * V : r * V + V], F(-np.inf)
        for j in range(V):
            m = _larger(x_r[j], m)
        ms[r] = m if abs(m) < F(np.inf) else F(0)
    for r in range(first, last):  # LLVM computes several at once in either loop, and not if they are one
        x_r, e_r, m, total = x[r * V : r * V + V], e[r * V : r * V + V], ms[r], F(0)
        for j in range(V):
            power = _exp(x_r[j] - m)
            e_r[j] = power
            total = plus(total, power)
        sums[r], named[r] = total, x_r[t[r]]


@njit(pipeline_class=Apart, **fast)
def _surplus(first, last, V, e, t, u, v, dx):
    """dx = e u - v onehot(t), with numbers u and v a row."""
    for r in range(first, last):
        e_r, dx_r, u_r = e[r * V : r * V + V], dx[r * V : r * V + V], u[r]
        for j in range(V):
            dx_r[j] = e_r[j] * u_r
        dx_r[t[r]] -= v[r]


def _powers32(given, first, last):
    V, x, t, e = word(given, 0), floats32_at(word(given, 1)), integers_at(word(given, 2)), floats32_at(word(given, 3))
    sums, ms, named = floats32_at(word(given, 4)), floats32_at(word(given, 5)), floats32_at(word(given, 6))
    _powers(first, last, V, x, t, e, sums, ms, named)


def _powers64(given, first, last):
    V, x, t, e = word(given, 0), floats64_at(word(given, 1)), integers_at(word(given, 2)), floats64_at(word(given, 3))
    sums, ms, named = floats64_at(word(given, 4)), floats64_at(word(given, 5)), floats64_at(word(given, 6))
    _powers(first, last, V, x, t, e, sums, ms, named)


def _surplus32(given, first, last):
    V, e, t, u = word(given, 0), floats32_at(word(given, 1)), integers_at(word(given, 2)), floats32_at(word(given, 3))
    _surplus(first, last, V, e, t, u, floats32_at(word(given, 4)), floats32_at(word(given, 5)))


def _surplus64(given, first, last):
    V, e, t, u = word(given, 0), floats64_at(word(given, 1)), integers_at(word(given, 2)), floats64_at(word(given, 3))
    _surplus(first, last, V, e, t, u, floats64_at(word(given, 4)), floats64_at(word(given, 5)))


@functools.cache
def powers(size):
    """The address of the powers of numbers of 4 bytes or of 8."""
    return cfunc(rows, cache=True)(_powers32 if size == 4 else _powers64).address


@functools.cache
def surplus(size):
    return cfunc(rows, cache=True)(_surplus32 if size == 4 else _surplus64).address
