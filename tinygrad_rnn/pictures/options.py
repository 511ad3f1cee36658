"""How a picture looks: what its author says of it, in one record that is checked in one place.

`draw` makes it, the layout and the writers read it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from ..autograd.tensor import Tensor
from ..errors import DrawError
from .theme import PALETTES, ROLES, THEMES

DIRECTIONS = ("right", "left", "up", "down")
SHOWN: Mapping[str, tuple[Any, ...]] = {
    "shapes": (True, False),
    "weights": (True, False),
    "entries": (True, False),
    "ribbon": (True, False),
    "values": (True, False),
    "gradients": (True, False, "strokes", "numbers"),
}
"""What `show` may speak of, and what it may say."""

UNITS = {"cm": 96 / 2.54, "mm": 9.6 / 2.54, "in": 96.0, "pt": 96 / 72, "px": 1.0}
LENGTH = r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(cm|mm|in|pt|px)\s*"
SMALLEST = 6.5  # pt, of letters in a picture of a stated width
LETTER = 7.5  # pt, of the smallest letters where nothing is stated: 10 px

Highlight = int | str | Tensor | Sequence[int | str | Tensor]


class Look(TypedDict, total=False):
    """The options of `draw` that are given by name only."""

    width: str | float | None
    height: str | float | None
    labels: Sequence[str] | Mapping[int, str] | None
    title: str | None
    direction: str
    show: Mapping[str, bool | str] | None
    scale: tuple[float, float] | None
    colors: str | Mapping[str, str]
    highlight: Highlight
    font: str | None
    size: float | None
    legend: bool
    notes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one picture; DrawError names the one that is wrong. They are explained at `draw`."""

    theme: str = "light"
    grads: bool = False
    values: bool = False
    width: str | float | None = None
    height: str | float | None = None
    labels: Sequence[str] | Mapping[int, str] | None = None
    title: str | None = None
    direction: str = "right"
    show: Mapping[str, bool | str] | None = None
    scale: tuple[float, float] | None = None
    colors: Any = "default"
    highlight: Any = ()
    font: str | None = None
    size: float | None = None
    legend: bool = True
    notes: bool = True

    def __post_init__(self) -> None:
        _one_of("theme", self.theme, THEMES)
        _one_of("direction", self.direction, DIRECTIONS)
        _text("title", self.title or None, "a text, None or '' for none")
        _text("font", self.font, "the name of a font, such as 'serif'")
        for name in ("width", "height"):
            if getattr(self, name) is not None:
                pixels(getattr(self, name), name)
        if self.height is not None and self.width is None:
            raise DrawError(f'height must come with a width, as in width="8.5cm", height={self.height!r}')
        if self.labels is not None:
            _check_labels(self.labels)
        if self.show is not None:
            _check_show(self.show)
        if self.scale is not None:
            _check_scale(self.scale)
        _check_colors(self.colors)
        _check_highlight(self.highlight)
        if self.size is not None and not (_is_number(self.size) and SMALLEST <= self.size <= 100):
            raise DrawError(f"size must be that of the smallest letters in pt, {SMALLEST:g} to 100, not {self.size!r}")
        for name in ("legend", "notes"):
            if not isinstance(getattr(self, name), bool):
                raise DrawError(f"{name} must be True or False, not {getattr(self, name)!r}")

    def shows(self, what: str) -> Any:
        """What `show` says of something; where it says nothing, whether `grads` or `values` ask for it."""
        asked = {"values": self.values, "gradients": self.grads}.get(what, True)
        return (self.show or {}).get(what, asked)

    @property
    def gradients(self) -> bool:
        """Whether gradients are asked for at all."""
        return bool(self.shows("gradients"))

    @property
    def numbers(self) -> bool:
        """Whether they stand in the boxes."""
        return self.shows("gradients") in (True, "numbers")

    @property
    def strokes(self) -> bool:
        """Whether they run beside the edges."""
        return self.shows("gradients") in (True, "strokes")

    @property
    def highlights(self) -> tuple[Any, ...]:
        """What is to stand out, one by one."""
        one = isinstance(self.highlight, int | str | Tensor)
        return (self.highlight,) if one else tuple(self.highlight)

    @property
    def smallest(self) -> float:
        """px of a unit of the layout: in this, the smallest letters have a size of ten."""
        return (self.size or (LETTER if self.width is None else SMALLEST)) / LETTER

    @property
    def page(self) -> float | None:
        """The stated width in units of the layout."""
        return None if self.width is None else pixels(self.width, "width") / self.smallest


def pixels(length: Any, name: str) -> float:
    """A width or a height in px: a number, or with a unit as "8.5cm"."""
    if _is_number(length):
        found = float(length)
    else:
        match = re.fullmatch(LENGTH, length) if isinstance(length, str) else None
        found = float(match[1]) * UNITS[match[2]] if match else math.nan
    if not 0 < found < math.inf:
        raise DrawError(
            f'{name} must be a number of px, or one with a unit such as "8.5cm" (mm, in, pt), not {length!r}'
        )
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _one_of(name: str, value: Any, allowed: Sequence[str]) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise DrawError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")


def _text(name: str, value: Any, words: str) -> None:
    """Refuse what is no text, and a blank one, of which nothing would be seen."""
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise DrawError(f"{name} must be {words}, not {value!r}")


def _check_labels(labels: Any) -> None:
    fine = isinstance(labels, Sequence | Mapping) and not isinstance(labels, str)
    words = labels.values() if isinstance(labels, Mapping) else labels
    if not fine or not all(isinstance(word, str) for word in words):
        raise DrawError(f"labels must be a word for each time step, or a mapping from steps to words, not {labels!r}")


def _check_show(show: Any) -> None:
    if not isinstance(show, Mapping):
        raise DrawError(f'show must be a mapping such as {{"shapes": False}}, not {show!r}')
    for what, value in show.items():
        if what not in SHOWN:
            raise DrawError(f"show must speak of {', '.join(SHOWN)}, not of {what!r}")
        if not any(value is allowed or (isinstance(value, str) and value == allowed) for allowed in SHOWN[what]):
            raise DrawError(f"show must say {' or '.join(map(repr, SHOWN[what]))} of {what!r}, not {value!r}")


def _check_scale(scale: Any) -> None:
    try:
        low, high = map(float, scale)
        fine = 0 < low < high < math.inf
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise DrawError(f"scale must be two norms, the smaller one first, such as (1e-3, 1), not {scale!r}")


def _check_colors(colors: Any) -> None:
    if isinstance(colors, Mapping):
        for role, colour in colors.items():
            if role not in ROLES:
                raise DrawError(f"colors must speak of {', '.join(ROLES)}, not of {role!r}")
            if not isinstance(colour, str) or not re.fullmatch("#[0-9A-Fa-f]{6}", colour):
                raise DrawError(f'colors must be written as "#1A2B3C"; that of {role!r} is {colour!r}')
    elif not isinstance(colors, str) or colors not in PALETTES:
        palettes = ", ".join(PALETTES)
        raise DrawError(
            f'colors must be one of {palettes}, or a mapping such as {{"state": "#117733"}}, not {colors!r}'
        )


def _check_highlight(highlight: Any) -> None:
    several = highlight if isinstance(highlight, Sequence) and not isinstance(highlight, str) else [highlight]
    if not all(isinstance(one, int | str | Tensor) and not isinstance(one, bool) for one in several):
        raise DrawError(
            "highlight must be a time step or its word, the name of a state whose path is meant, a Tensor, whose paths "
            f"to the root are, or several of these, not {highlight!r}"
        )
