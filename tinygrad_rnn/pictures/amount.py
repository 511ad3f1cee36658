"""How much gradient, and the scales it is shown on.

Amounts are put on a scale of twelve decades, since a gradient through a hundred steps easily falls by ten.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..unrolled.tables import norm

DECADES = 12


class Amount(NamedTuple):
    """How much gradient: its norm, or the mark of one that has none to put on a scale.

    kind  "number", "zero" (each entry exactly 0), "none" (the pass did not get here) or "nan" (nan or infinite)
    """

    kind: str
    norm: float = 0.0

    def __format__(self, spec: str) -> str:
        return "none" if self.kind == "none" else format(self.norm, spec or ".3g")


NONE = Amount("none")


def amount(*gradients: Any) -> Amount:
    """The norm of all entries of these gradients together; None stands for one that did not arrive."""
    arrived = [norm(g) for g in gradients if g is not None]
    total = math.hypot(*arrived)
    if not arrived:
        return NONE
    return Amount("nan" if not math.isfinite(total) else "number" if total else "zero", total)


class Scale:
    """Twelve decades of norms, up to the power of ten that holds the largest."""

    def __init__(self, amounts: Iterable[Amount]) -> None:
        largest = max((a.norm for a in amounts if a.kind == "number"), default=1.0)
        self.top = math.ceil(math.log10(largest) - 1e-9)

    def level(self, a: Amount) -> int:
        """In which decade the amount lies, from 12 for the largest to 1; 0 for one below the scale."""
        return max(0, min(DECADES, DECADES + math.ceil(math.log10(a.norm) - 1e-9) - self.top))


class Axis:
    """Whole decades that hold these norms, twelve at most: an axis for heights."""

    def __init__(self, amounts: Iterable[Amount]) -> None:
        norms = [a.norm for a in amounts if a.kind == "number"] or [1.0]
        self.top = math.ceil(math.log10(max(norms)) - 1e-9)
        self.low = max(min(math.floor(math.log10(min(norms))), self.top - 1), self.top - DECADES)

    @classmethod
    def around(cls, axes: Sequence[Axis]) -> Axis:
        """One axis that holds several, as far as twelve decades reach."""
        axis = cls(())
        axis.top = max(a.top for a in axes)
        axis.low = max(min(a.low for a in axes), axis.top - DECADES)
        return axis

    def height(self, a: Amount) -> float:
        """The place on the axis: 1 at its top, 0 at its foot."""
        return max(0.0, min(1.0, (math.log10(a.norm) - self.low) / (self.top - self.low)))
