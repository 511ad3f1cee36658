"""How a picture looks: what its author says of it, in one record that is checked in one place.

`draw` makes it, the layout and the writers read it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from ..errors import DrawError
from .theme import THEMES

DIRECTIONS = ("right", "left", "up", "down")


class Look(TypedDict, total=False):
    """The options of `draw` that are given by name only."""

    title: str | None
    direction: str
    scale: tuple[float, float] | None
    legend: bool
    notes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one picture; DrawError names the one that is wrong.

    title   None for one that says what there is, "" for none
    direction  where time goes: "right", "left", "up" or "down"
    scale   the norms at the foot and at the top of the scale of gradients; None fits it to the data
    legend  whether the kinds of boxes and the scale are explained
    notes   whether lines of text say what else there is to know
    """

    theme: str = "light"
    grads: bool = False
    values: bool = False
    title: str | None = None
    scale: tuple[float, float] | None = None
    direction: str = "right"
    legend: bool = True
    notes: bool = True

    def __post_init__(self) -> None:
        _one_of("theme", self.theme, THEMES)
        _one_of("direction", self.direction, DIRECTIONS)
        if self.title is not None and not isinstance(self.title, str):
            raise DrawError(f"title must be a text, None or '' for none, not {self.title!r}")
        if self.scale is not None:
            _check_scale(self.scale)
        for name in ("legend", "notes"):
            if not isinstance(getattr(self, name), bool):
                raise DrawError(f"{name} must be True or False, not {getattr(self, name)!r}")


def _one_of(name: str, value: Any, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise DrawError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")


def _check_scale(scale: Any) -> None:
    try:
        low, high = map(float, scale)
        fine = 0 < low < high < math.inf
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise DrawError(f"scale must be two norms, the smaller one first, such as (1e-3, 1), not {scale!r}")
