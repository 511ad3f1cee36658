"""Which of NumPy's functions is differentiated by what: each is named beside its version for Tensors.

UFUNCS      np.tanh(t), t + u, np.matmul(a, t): a NumPy ufunc and the op that differentiates it
FUNCTIONS   np.sum(t), np.concatenate([a, t]): any other NumPy function and ours of the same signature
PLAIN       np.argmax(t), np.shape(t), t > 0: answers without a derivative, given as plain arrays
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from ..engine.tape import Op

Version = TypeVar("Version")

UFUNCS: dict[Callable[..., Any], Op] = {}
FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
NAMES: set[str] = set()
"""Every name that was looked for in NumPy: each NumPy has most of them."""


def found(names: Iterable[str]) -> list[Callable[..., Any]]:
    """NumPy's functions of these names, without those that this NumPy does not have (any more)."""
    modules = {"": vars(np), "linalg": vars(np.linalg)}
    parts = [name.rpartition(".") for name in names]
    NAMES.update(names)
    return [modules[module][last] for module, _, last in parts if last in modules[module]]


def takes_tensors(name: str) -> bool:
    """Whether NumPy has a function of this name that works on Tensors.

    >>> takes_tensors("sin"), takes_tensors("sine")
    (True, False)
    """
    return any(vars(np).get(name) is function for function in (*UFUNCS, *FUNCTIONS, *PLAIN))


def implements(*names: str) -> Callable[[Version], Version]:
    """Enter what is decorated as the version for Tensors of NumPy's functions of these names.

    It has NumPy's signature; a call that does not fit it is refused with the names of its parameters.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> from tinygrad_rnn.ops.registry import FUNCTIONS, implements
    >>> @implements("heaviside_of_a_later_numpy")
    ... def step(x):
    ...     return np.where(x > 0, 1.0, 0.0)
    >>> step in FUNCTIONS.values()
    False
    """

    def enter(version: Version) -> Version:
        for function in found(names):
            table: dict[Any, Any] = UFUNCS if isinstance(function, np.ufunc) else FUNCTIONS
            table[function] = version
        return version

    return enter


QUESTIONS = """
    greater greater_equal less less_equal equal not_equal logical_and logical_or logical_xor logical_not
    isfinite isinf isnan isposinf isneginf isreal iscomplex isrealobj iscomplexobj signbit imag
    argmax argmin nanargmax nanargmin argsort argpartition argwhere nonzero flatnonzero count_nonzero
    searchsorted digitize isin all any allclose isclose array_equal array_equiv linalg.matrix_rank
    shape ndim size zeros_like ones_like empty_like full_like result_type array_repr array_str array2string
"""
PLAIN: set[Callable[..., Any]] = set(found(QUESTIONS.split()))
