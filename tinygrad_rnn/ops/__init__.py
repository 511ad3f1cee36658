"""The primitives, and NumPy's functions written with them; `registry` says which stands for which."""

from __future__ import annotations

import numpy as np

from . import (
    decompositions,
    elementwise,
    functions,
    grids,
    indexing,
    inverses,
    linalg,
    norms,
    order,
    products,
    rearrange,
    reduction,
    shape,
    statistics,
)
from .registry import FUNCTIONS, PLAIN, UFUNCS

UFUNCS.update(
    (op.forward, op)
    for op in (*vars(elementwise).values(), *functions.UFUNCS)
    if isinstance(op, elementwise.Elementwise) and isinstance(op.forward, np.ufunc)
)

__all__ = [
    "FUNCTIONS",
    "PLAIN",
    "UFUNCS",
    "decompositions",
    "elementwise",
    "functions",
    "grids",
    "indexing",
    "inverses",
    "linalg",
    "norms",
    "order",
    "products",
    "rearrange",
    "reduction",
    "shape",
    "statistics",
]
