"""What a cross-entropy needs of scores x (rows, V) and class numbers t (rows): one pass forward, and one back."""

import functools

import numpy as np
from numba import cfunc, float32, float64, int64, njit, void

from .functions import exp32, exp64, plus
from .programs import Apart, fast, floats32_at, floats64_at, integers_at, rows, word


@njit(forceinline=True, fastmath={"nnan", "nsz"})
def _larger(x, y):
    """Several at once; a nan may come through or not, and the sum of the row is nan in any case."""
    return x if x > y else y


def _powers(exp, F, real):
    A = real[::1]

    @njit(void(int64, int64, int64, A, int64[::1], A, A, A, A), pipeline_class=Apart, **fast)
    def powers(first, last, V, x, t, e, sums, ms, named):
        for r in range(first, last):
            x_r, m = x[r * V : r * V + V], F(-np.inf)
            for j in range(V):
                m = _larger(x_r[j], m)
            ms[r] = m if abs(m) < F(np.inf) else F(0)
        for r in range(first, last):  # LLVM computes several at once in either loop, and not if they are one
            x_r, e_r, m, total = x[r * V : r * V + V], e[r * V : r * V + V], ms[r], F(0)
            for j in range(V):
                power = exp(x_r[j] - m)
                e_r[j] = power
                total = plus(total, power)
            sums[r], named[r] = total, x_r[t[r]]

    return powers


def _surplus(real):
    A = real[::1]

    @njit(void(int64, int64, int64, A, int64[::1], A, A, A), pipeline_class=Apart, **fast)
    def surplus(first, last, V, e, t, u, v, dx):
        for r in range(first, last):
            e_r, dx_r, u_r = e[r * V : r * V + V], dx[r * V : r * V + V], u[r]
            for j in range(V):
                dx_r[j] = e_r[j] * u_r
            dx_r[t[r]] -= v[r]

    return surplus


@functools.cache
def powers(size):
    """The address of e = exp(x - m), with m the row's largest entry, or 0 where that is infinite; Σ e; and x_t."""
    real, floats = (float32, floats32_at) if size == 4 else (float64, floats64_at)
    of_rows = _powers(exp32, np.float32, real) if size == 4 else _powers(exp64, np.float64, real)

    @cfunc(rows, cache=True)
    def part(given, first, last):
        x, t, e = floats(word(given, 1)), integers_at(word(given, 2)), floats(word(given, 3))
        sums, ms, named = floats(word(given, 4)), floats(word(given, 5)), floats(word(given, 6))
        of_rows(first, last, word(given, 0), x, t, e, sums, ms, named)

    return part.address


@functools.cache
def surplus(size):
    """The address of dx = e u - v onehot(t), with numbers u and v a row."""
    real, floats = (float32, floats32_at) if size == 4 else (float64, floats64_at)
    of_rows = _surplus(real)

    @cfunc(rows, cache=True)
    def part(given, first, last):
        e, t, u = floats(word(given, 1)), integers_at(word(given, 2)), floats(word(given, 3))
        of_rows(first, last, word(given, 0), e, t, u, floats(word(given, 4)), floats(word(given, 5)))

    return part.address
