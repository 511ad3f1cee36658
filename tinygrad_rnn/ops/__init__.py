"""The primitives, and NumPy's functions written with them; `registry` says which stands for which."""

from __future__ import annotations

from . import (
    decompositions,
    elementwise,
    functions,
    indexing,
    linalg,
    products,
    rearrange,
    reduction,
    shape,
    statistics,
)
from .registry import FUNCTIONS, PLAIN, UFUNCS, implements

UFUNCS |= {
    op.forward: op
    for op in (
        elementwise.add,
        elementwise.subtract,
        elementwise.multiply,
        elementwise.divide,
        elementwise.power,
        elementwise.negative,
        elementwise.square,
        elementwise.absolute,
        elementwise.sign,
        elementwise.exp,
        elementwise.log,
        elementwise.sqrt,
        elementwise.sin,
        elementwise.cos,
        elementwise.tanh,
        elementwise.maximum,
        elementwise.minimum,
        *functions.UFUNCS,
    )
}

implements("where")(elementwise.where)
implements("clip")(elementwise.clip)
implements("sinc")(functions.sinc)
implements("round", "around")(functions.round)
implements("fix")(functions.fix)
implements("real")(functions.real)
implements("copy")(functions.copy)

__all__ = [
    "FUNCTIONS",
    "PLAIN",
    "UFUNCS",
    "decompositions",
    "elementwise",
    "functions",
    "indexing",
    "linalg",
    "products",
    "rearrange",
    "reduction",
    "shape",
    "statistics",
]
