"""Colours and strokes: every mark differs from the others in shape and line too, so colour is never the only sign.

Chosen for contrast (labels at least 7:1, strokes at least 3:1) and checked under simulated colour-blindness.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .amount import LEVELS

LIGHT = {
    "page": "#FFFFFF", "text": "#222222", "quiet": "#5B6168", "panel": "#F7F8F9", "line": "#DDE1E5",
    "op": "#222222", "op-fill": "#FFFFFF", "state": "#117733", "state-fill": "#E6F4EA",
    "ref": "#0072B2", "ref-fill": "#D6EAF8", "input": "#777D84", "input-fill": "#F2F2F2",
    "cut": "#D55E00", "edge": "#4A5057", "highlight": "#AA3377",
}  # fmt: skip
DARK = {
    "page": "#14171A", "text": "#ECEFF1", "quiet": "#A7AEB5", "panel": "#1B1F23", "line": "#333A41",
    "op": "#C8CDD2", "op-fill": "#22272B", "state": "#4CC9A0", "state-fill": "#16332A",
    "ref": "#7CC4F2", "ref-fill": "#15304A", "input": "#8D959D", "input-fill": "#272C31",
    "cut": "#FF9A5C", "edge": "#A9B0B7", "highlight": "#F08CC8",
}  # fmt: skip

CIVIDIS = (
    "#00224E", "#1A386F", "#434E6C", "#61656F", "#7D7C78", "#9B9476", "#BCAE6C", "#DEC958", "#FEE838"
)  # fmt: skip
"""Nine places of the colour map cividis, which looks the same to people with and without colour-blindness
(Nunez, Anderton and Renslow 2018, doi:10.1371/journal.pone.0199239)."""

THEMES = ("light", "dark", "auto")

ROLES = {
    "state": ("state", "state-fill"), "weight": ("ref", "ref-fill"), "input": ("input", "input-fill"),
    "op": ("op", "op-fill"), "cut": ("cut",), "edge": ("edge",), "text": ("text", "quiet"), "page": ("page",),
    "gradient": ("gradient",), "highlight": ("highlight",),
}  # fmt: skip
"""What an author gives a colour to, and the colours that follow from it: a line, and a pale field within it."""

PALETTES: dict[str, dict[str, dict[str, str]]] = {
    "default": {"light": {}, "dark": {}},
    "muted": {
        "light": {"state": "#332288", "weight": "#117733", "cut": "#882255", "highlight": "#AA4499"},
        "dark": {"state": "#A99BFF", "weight": "#66CCAA", "cut": "#E0607A", "highlight": "#DDAAEE"},
    },
    "grey": {
        "light": {
            "state": "#222222",
            "weight": "#666666",
            "cut": "#000000",
            "gradient": "#000000",
            "highlight": "#000000",
        },
        "dark": {
            "state": "#EEEEEE",
            "weight": "#AAAAAA",
            "cut": "#FFFFFF",
            "gradient": "#FFFFFF",
            "highlight": "#FFFFFF",
        },
    },
}
"""Palettes by name, each for a light page and for a dark one; all are told apart by the colour-blind."""

Colors = str | Mapping[str, str]
"""The name of a palette, or a colour for some of the roles."""

FONT = "'DejaVu Sans', Verdana, sans-serif"
"""Letters of the same widths on Linux, which has the first, and elsewhere, where the second is."""


def ramp(theme: str, colors: Colors = "default") -> list[str]:
    """The colours of gradients, from below the scale (0) to its top (12): ever further from the page.

    Only the part of the map that stands out from the page, dark on a light one and bright on a dark one.
    """
    c = palette(theme, colors)
    if "gradient" in c:
        parts = (part / 100 for part in range(40, 100))
        pale = next((p for p in parts if contrast(mixed(c["gradient"], c["page"], p), c["page"]) >= 3), 1.0)
        weak, strong = mixed(c["gradient"], c["page"], pale), mixed(c["gradient"], c["text"], 0.6)
        return [mixed(strong, weak, k / LEVELS) for k in range(LEVELS + 1)]
    weakest, strongest = (3.4, 8.0) if theme == "dark" else (4.4, 0.0)
    return [_between(weakest + (strongest - weakest) * k / LEVELS) for k in range(LEVELS + 1)]


def _between(place: float) -> str:
    """The colour at a place of the table, mixed from its two neighbours."""
    k = min(int(place), len(CIVIDIS) - 2)
    return mixed(CIVIDIS[k + 1], CIVIDIS[k], place - k)


def mixed(colour: str, other: str, part: float) -> str:
    """So much of one colour, and the rest of another."""
    a, b = (bytes.fromhex(one[1:]) for one in (colour, other))
    return "#" + bytes(round(y + (x - y) * part) for x, y in zip(a, b, strict=True)).hex().upper()


def contrast(colour: str, other: str) -> float:
    """How much two colours stand out from each other, from 1 to 21, as the Web Content Accessibility Guidelines say."""
    weights = (0.2126, 0.7152, 0.0722)
    lights = []
    for one in (colour, other):
        parts = [part / 255 for part in bytes.fromhex(one[1:])]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(sum(w * part for w, part in zip(weights, linear, strict=True)) + 0.05)
    return max(lights) / min(lights)


def width(level: int) -> float:
    """The width of the stroke of a gradient, by its level."""
    return round(0.8 + 0.26 * level, 2)


class Look(NamedTuple):
    """How a field or a way is drawn: colours, the width of the stroke in px, and its dashes (line, gap, ...)."""

    fill: str = "none"
    stroke: str = "none"
    width: float = 1.0
    dashes: tuple[float, ...] = ()
    round: bool = False  # the ends of dashes


class Letters(NamedTuple):
    """How a line of text is set: its size in px, and which point of it is where it is put."""

    size: float = 10.0
    anchor: str = "middle"
    bold: bool = False
    colour: str = "text"


LETTERS = {
    "first": Letters(12.0),
    "line": Letters(),
    "heading": Letters(11.0, bold=True),
    "largest": Letters(),
    "label": Letters(12.0),
    "row": Letters(11.0, bold=True, colour="quiet"),
    "title": Letters(14.0, "start", bold=True),
    "note": Letters(anchor="start"),
    "faint": Letters(anchor="start", colour="quiet"),
    "number": Letters(anchor="end", colour="quiet"),
}
"""The letters of the first and of further lines of a box, of headings, names of rows, the title, notes, and a scale."""


def palette(theme: str, colors: Colors = "default") -> dict[str, str]:
    """The colours by name; those of "auto" are the light ones, where nothing is said of a dark page."""
    page = "dark" if theme == "dark" else "light"
    found = dict(DARK if page == "dark" else LIGHT)
    chosen = PALETTES[colors][page] if isinstance(colors, str) else colors
    for role, colour in sorted(
        chosen.items(), key=lambda item: item[0] != "page"
    ):  # the page first: others mix with it
        for name in ROLES[role]:
            pale = name.endswith("-fill")
            found[name] = mixed(colour, found["page"], 0.15 if page == "dark" else 0.1) if pale else colour
    if "page" in chosen:
        found["panel"] = mixed(found["text"], found["page"], 0.03)
    return found


def looks(theme: str, gradients: bool = False, colors: Colors = "default") -> dict[str, Look]:
    """What each name of a look means: boxes, edges and their heads, what stands around them, and gradients."""
    c = palette(theme, colors)
    look = {
        "page": Look(c["page"]),
        "panel": Look(c["panel"], c["line"]),
        "op": Look(c["op-fill"], c["op"]),
        "loss": Look(c["op-fill"], c["op"]),
        "state": Look(c["state-fill"], c["state"], 2.5),
        "cell": Look(c["state-fill"], c["state"], 2.5),
        "ref": Look(c["ref-fill"], c["ref"], dashes=(4, 2.5)),
        "input": Look(c["input-fill"], c["input"]),
        "leaf": Look(c["input-fill"], c["op"]),
        "entry": Look(c["input-fill"], c["op"], dashes=(4, 2.5)),
        "cut": Look(c["page"], c["cut"], 1.6, (5, 3)),
        "loop": Look(c["state-fill"], c["state"], dashes=(2, 2)),
        "past": Look(c["page"], c["quiet"], dashes=(6, 3)),
        "hatch": Look(stroke=c["line"], width=3),
        "fold": Look(c["page"], c["quiet"], dashes=(1.5, 3), round=True),
        "forward": Look(stroke=c["edge"]),
        "handed on": Look(stroke=c["state"], width=2),
        "gather": Look(stroke=c["quiet"], width=1.3),
        "severed": Look(stroke=c["cut"], width=1.8, dashes=(5, 3)),
        "rule": Look(stroke=c["cut"], width=1.6, dashes=(7, 4)),
        "scissors": Look(stroke=c["cut"], width=1.6),
        "highlight": Look(stroke=c["highlight"], width=3.2),
        "highlight panel": Look(c["panel"], c["highlight"], 2.2),
        "axis": Look(stroke=c["quiet"], width=1.2),
        "pointer": Look(c["text"]),
        "text": Look(c["text"]),
        "quiet": Look(c["quiet"]),
    }
    for edge in ("forward", "handed on", "gather", "severed", "highlight"):
        look[f"{edge} head"] = Look(look[edge].stroke)
    return look | (_gradients(ramp(theme, colors), c) if gradients else {})


def _gradients(ramp: list[str], c: dict[str, str]) -> dict[str, Look]:
    """Strokes beside edges, their heads, bars of the ribbon: by level, and for what is on no scale."""
    look = {}
    for k, colour in enumerate(ramp):
        look[f"grad {k}"] = Look(stroke=colour, width=width(k), dashes=() if k else (1, 2.5))
        look[f"grad {k} head"] = Look(colour)
    return look | {
        "grad zero": Look(stroke=c["quiet"], dashes=(1, 3)),
        "grad none": Look(stroke=c["quiet"], width=1.6),
        "grad nan": Look(stroke=c["text"], width=2.4, dashes=(7, 2, 1.5, 2)),
        "grad zero mark": Look(c["page"], c["quiet"]),
        "grad none mark": Look(stroke=c["quiet"], width=1.6),
        "grad nan mark": Look(c["text"]),
        "grad none field": Look(c["page"], c["quiet"], dashes=(1.5, 3)),
    }
