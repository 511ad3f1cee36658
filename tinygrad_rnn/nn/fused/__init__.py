"""The steps of a layer computed together: the same numbers as the loop in `recurrent`, in arrays over time.

This is the door. What is behind it, and the compiler below, is imported when the first step is to be compiled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...autograd.tensor import Tensor
    from ..cell import Cell
    from .compiling import Bound


def compiled(cell: Cell) -> Bound:
    """See `compiling.compiled`."""
    from .compiling import compiled

    return compiled(cell)


def unroll_fused(*arguments: Any) -> tuple[Tensor, Any]:
    """See `steps.unroll_fused`."""
    from .steps import unroll_fused

    return unroll_fused(*arguments)


def unroll_compiled(*arguments: Any) -> tuple[Tensor, Any]:
    """See `demand.unroll_compiled`."""
    from .demand import unroll_compiled

    return unroll_compiled(*arguments)
