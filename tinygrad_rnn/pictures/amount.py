"""How much gradient, and the scale it is shown on.

The scale has the decades that occur: a gradient through a hundred steps easily falls by ten of them, one through five
steps by two. Each is cut into equal parts (`LEVELS` in all), each with a width and a colour of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..unrolled.tables import norm

LEVELS = 12
"""Strokes that are told apart."""

DECADES = 12
"""The longest scale."""


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
    """A logarithmic scale of norms, from 10**low to 10**top: whole decades, unless it was given."""

    def __init__(self, low: float, top: float) -> None:
        self.low, self.top = low, top

    @classmethod
    def of(cls, amounts: Iterable[Amount]) -> Scale:
        """The decades in which these lie: at least one, and the twelve below the largest at most."""
        norms = [math.log10(a.norm) for a in amounts if a.kind == "number"] or [0.0]
        top = math.ceil(max(norms) - 1e-9)
        return cls(max(min(math.floor(min(norms) + 1e-9), top - 1), top - DECADES), top)

    @classmethod
    def between(cls, bounds: tuple[float, float]) -> Scale:
        """From one norm to another."""
        return cls(math.log10(bounds[0]), math.log10(bounds[1]))

    @classmethod
    def around(cls, scales: Sequence[Scale]) -> Scale:
        """One that holds several, as far as twelve decades reach."""
        top = max(scale.top for scale in scales)
        return cls(max(min(scale.low for scale in scales), top - DECADES), top)

    def height(self, a: Amount) -> float:
        """The place on the scale: 1 at its top and above, 0 at its foot and below."""
        return max(0.0, min(1.0, (math.log10(a.norm) - self.low) / (self.top - self.low)))

    def level(self, a: Amount) -> int:
        """In which of the equal parts the amount lies, from 12 for the largest to 1; 0 for one below the scale."""
        place = (math.log10(a.norm) - self.low) / (self.top - self.low)
        return max(0, min(LEVELS, math.ceil(LEVELS * place - 1e-9))) or int(place > -1e-9)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """(place, number) for some of its decades, the top and the foot among them where they are whole."""
        low, top = math.ceil(self.low - 1e-9), math.floor(self.top + 1e-9)
        every = max(1, -(-(top - low) // max(1, most - 1)))
        return [((k - self.low) / (self.top - self.low), power(k)) for k in range(top, low - 1, -every)]

    @property
    def ends(self) -> tuple[str, str]:
        """The numbers at its foot and at its top."""
        return power(self.low), power(self.top)


def power(k: float) -> str:
    """10 to the k: 0.01, 1, 100, and 1e-5 for what is far from 1; 0.003 where k is no whole number."""
    if abs(k - round(k)) > 1e-9:
        return f"{10.0**k:.3g}"
    return f"{10.0 ** round(k):g}" if -3 <= round(k) <= 3 else f"1e{round(k)}"
