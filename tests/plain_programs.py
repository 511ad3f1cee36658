"""numba's programs run as plain Python, with the functions of `machine/` written in NumPy: slow, and no compiler."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np


class AnyType:
    """Stands for types of numba: float64[::1], void(...)."""

    def __getitem__(self, key):
        return self

    def __call__(self, *args, **options):
        return self


def at(array, k):
    return array, k


def multiply(product, rows, alone, K, N, start, lds, x, ldx, kdx, w, out, ldo):
    (s, s0), (x, x0), (w, w0), (out, o0) = start, x, w, out
    W = w[w0 : w0 + K * N].reshape(K, N)
    for r in range(rows):
        row = x[x0 + r * ldx : x0 + r * ldx + (K - 1) * kdx + 1 : kdx]
        out[o0 + r * ldo : o0 + r * ldo + N] = s[s0 + r * lds : s0 + r * lds + N] + row @ W


def loaded(text: str) -> SimpleNamespace:
    """The two functions of a program."""
    kind = AnyType()
    names = dict.fromkeys(("void", "int64", "float32", "float64", "uint8", "A", "R"), kind)
    names |= {"np": np, "F": np.float64 if "np.float64" in text else np.float32, "fast": {}}
    as_it_is = lambda *types, **options: lambda function: function  # noqa: E731
    names |= {"njit": as_it_is, "cfunc": as_it_is, "rows": None, "at": at, "multiply": multiply}
    names |= {"exp": np.exp, "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "plus": lambda x, y: x + y}
    names |= {"maximum": np.maximum, "minimum": np.minimum, "sign": np.sign, "power": lambda x, y: x**y}
    names |= {"softplus": lambda x: np.logaddexp(x, 0), "Apart": None}
    exec(text[text.index("@njit") :], names)
    return SimpleNamespace(forward=names["forward"], backward=names["backward"])


def compiled(program) -> None:
    """In place of `NumbaProgram.compile`."""
    program.kernels = SimpleNamespace(product=0, packed=lambda W: np.array(W, program.dtype).reshape(-1), multiply=None)
    program.module = loaded(program.source)
