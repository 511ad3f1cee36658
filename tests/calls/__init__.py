"""The table of calls: each row draws one call of a function, its operands and options (see test_functions.py)."""

from . import grids, matrices, moving, products, reductions, scalars
from .draw import TABLE, Call, Draw

__all__ = ["TABLE", "Call", "Draw", "grids", "matrices", "moving", "products", "reductions", "scalars"]
