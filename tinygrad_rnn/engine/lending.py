"""Arrays that go to code of others, and come from it: hooks, rules, and ops of one's own.

What is lent cannot be written to, since other tensors may share it; what is given must be real numbers, and cannot be
written to afterwards by whoever gave it. A gradient that is given has the shape and dtype of what it is of.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import DtypeError
from .tape import Op


def lent(g: Any) -> Any:
    """A gradient for a hook or a rule to look at: it may be shared with other tensors, so an array is read-only."""
    if isinstance(g, np.ndarray):
        g = g.view()
        g.flags.writeable = False
    return g


def check_real(a: Any, giver: str) -> None:
    """Raise DtypeError for what is no array of real numbers: casting it would make numbers up, or lose some."""
    if isinstance(a, np.ma.MaskedArray):
        raise DtypeError(f"{giver} returned a masked array: fill it first, as in a.filled(0)")
    if a.dtype.kind not in "fiub":
        raise DtypeError(f"{giver} returned dtype {a.dtype}: it must be real numbers")


def seal(arrays: Iterable[Any]) -> None:
    """Let nobody write to these arrays any more."""
    for a in arrays:
        if isinstance(a, np.ndarray):
            a.flags.writeable = False


def own(a: Any, giver: str) -> Any:
    """What an op of somebody else's gave, so that it cannot be changed later: writing to it is an error."""
    check_real(a, giver)
    if isinstance(a, np.ndarray) and a.flags.writeable:
        a = np.asarray(a)
        a = a if a.base is None else a.copy()  # the array that it is a view of may be written to
        a.flags.writeable = False
    return a


def fitted(g: Any, x: np.ndarray, op: Op) -> Any:
    """A gradient in the shape and dtype of what it is the gradient of; ShapeError or DtypeError where it has none."""
    if not hasattr(g, "shape"):
        g = np.asarray(g)
    check_real(g, f"the rule of op {op.name}")
    if g.shape != x.shape:
        g = op.fit(g, x)
    if x.dtype.kind != "f":
        raise DtypeError(f"an input of dtype {x.dtype} cannot have a gradient: requires_grad was set on integers")
    g = g if g.dtype == x.dtype else g.astype(x.dtype)
    return g if op.ours else own(g, f"the rule of op {op.name}")


def miscounted(op: Op, given: int, inputs: int) -> TypeError:
    return TypeError(
        f"op {op.name} was applied to {inputs} inputs and has rules for {given}: vjp() returns a tuple with one "
        "gradient (or None) an input, or there is one vjp_... method an input"
    )
