"""Colours and strokes: every mark differs from the others in shape and line too, so colour is never the only sign.

Chosen for contrast (labels at least 7:1, strokes at least 3:1) and checked under simulated colour-blindness.
"""

from __future__ import annotations

from .amount import LEVELS

LIGHT = {
    "page": "#FFFFFF", "text": "#222222", "quiet": "#5B6168", "panel": "#F7F8F9", "line": "#DDE1E5",
    "op": "#222222", "op-fill": "#FFFFFF", "state": "#117733", "state-fill": "#E6F4EA",
    "ref": "#0072B2", "ref-fill": "#D6EAF8", "input": "#777D84", "input-fill": "#F2F2F2",
    "cut": "#D55E00", "edge": "#4A5057",
}  # fmt: skip
DARK = {
    "page": "#14171A", "text": "#ECEFF1", "quiet": "#A7AEB5", "panel": "#1B1F23", "line": "#333A41",
    "op": "#C8CDD2", "op-fill": "#22272B", "state": "#4CC9A0", "state-fill": "#16332A",
    "ref": "#7CC4F2", "ref-fill": "#15304A", "input": "#8D959D", "input-fill": "#272C31",
    "cut": "#FF9A5C", "edge": "#A9B0B7",
}  # fmt: skip

CIVIDIS = (
    "#00224E", "#1A386F", "#434E6C", "#61656F", "#7D7C78", "#9B9476", "#BCAE6C", "#DEC958", "#FEE838"
)  # fmt: skip
"""Nine places of the colour map cividis, which looks the same to people with and without colour-blindness
(Nunez, Anderton and Renslow 2018, doi:10.1371/journal.pone.0199239)."""

THEMES = ("light", "dark", "auto")

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", Arial, sans-serif'


def ramp(theme: str) -> list[str]:
    """The colours of gradients, from below the scale (0) to its top (12): ever further from the page.

    Only the part of the map that stands out from the page, dark on a light one and bright on a dark one.
    """
    weakest, strongest = (3.4, 8.0) if theme == "dark" else (4.4, 0.0)
    return [_between(weakest + (strongest - weakest) * k / LEVELS) for k in range(LEVELS + 1)]


def _between(place: float) -> str:
    """The colour at a place of the table, mixed from its two neighbours."""
    k = min(int(place), len(CIVIDIS) - 2)
    low, high = (bytes.fromhex(colour[1:]) for colour in CIVIDIS[k : k + 2])
    return "#" + bytes(round(a + (b - a) * (place - k)) for a, b in zip(low, high, strict=True)).hex().upper()


def width(level: int) -> float:
    """The width of the stroke of a gradient, by its level."""
    return round(0.8 + 0.26 * level, 2)


def style(theme: str, p: str, gradients: bool = False) -> str:
    """The style sheet of a figure whose classes and ids start with `p`.

    Colours stand in it as they are: most programs that read an SVG, unlike browsers, know no variables. "auto" is light
    where a reader knows no media queries either.
    """
    rules = _rules(p, theme if theme == "dark" else "light", gradients)
    text = "".join(_rule(p, selector, body) for selector, body in rules.items())
    if theme == "auto":
        dark = {key: body for key, body in _rules(p, "dark", gradients).items() if body != rules[key]}
        text += "@media (prefers-color-scheme:dark){" + "".join(_rule(p, *rule) for rule in dark.items()) + "}"
    return text


def _rules(p: str, theme: str, gradients: bool) -> dict[str, str]:
    """What is said of each selector, in the colours of a theme."""
    c = DARK if theme == "dark" else LIGHT
    rules = {
        "text": f"font-family:{FONT};font-size:10px;fill:{c['text']};text-anchor:middle",
        ".f": "font-size:12px",
        ".s": "font-size:10px",
        ".h": "font-size:11px;font-weight:600",
        ".l": "text-anchor:start",
        ".r": "text-anchor:end",
        ".q": f"fill:{c['quiet']}",
        ".t": "font-size:14px;font-weight:600;text-anchor:start",
        ".bg": f"fill:{c['page']}",
        ".panel": f"fill:{c['panel']};stroke:{c['line']}",
        ".op": f"fill:{c['op-fill']};stroke:{c['op']}",
        ".loss": f"fill:{c['op-fill']};stroke:{c['op']}",
        ".state,.{p}cell": f"fill:{c['state-fill']};stroke:{c['state']};stroke-width:2.5",
        ".ref": f"fill:{c['ref-fill']};stroke:{c['ref']};stroke-dasharray:4 2.5",
        ".input": f"fill:{c['input-fill']};stroke:{c['input']}",
        ".leaf": f"fill:{c['input-fill']};stroke:{c['op']}",
        ".entry": f"fill:{c['input-fill']};stroke:{c['op']};stroke-dasharray:4 2.5",
        ".cut": f"fill:{c['page']};stroke:{c['cut']};stroke-width:1.6;stroke-dasharray:5 3",
        ".loop": f"fill:{c['state-fill']};stroke:{c['state']};stroke-dasharray:2 2",
        ".past": f"fill:url(#{p}hatch);stroke:{c['quiet']};stroke-dasharray:6 3",
        ".hp": f"stroke:{c['line']};stroke-width:3",
        ".fold": f"fill:{c['page']};stroke:{c['quiet']};stroke-dasharray:1.5 3;stroke-linecap:round",
        "path": "fill:none",
        ".e": f"stroke:{c['edge']};marker-end:url(#{p}a)",
        ".es": f"stroke:{c['state']};stroke-width:2;marker-end:url(#{p}as)",
        ".eg": f"stroke:{c['quiet']};stroke-width:1.3;marker-end:url(#{p}ag)",
        ".ec": f"stroke:{c['cut']};stroke-width:1.8;stroke-dasharray:5 3;marker-end:url(#{p}ac)",
        ".no": "marker-end:none",
        ".rule": f"stroke:{c['cut']};stroke-width:1.6;stroke-dasharray:7 4",
        ".sc": f"stroke:{c['cut']};stroke-width:1.6",
        ".a": f"fill:{c['edge']}",
        ".as": f"fill:{c['state']}",
        ".ag": f"fill:{c['quiet']}",
        ".ac": f"fill:{c['cut']}",
        ".ww": f"stroke:{c['page']};stroke-width:3px;paint-order:stroke",
    }
    if gradients:
        for k, colour in enumerate(ramp(theme)):
            rules[f".d{k}"] = f"stroke:{colour};stroke-width:{width(k)}" + ";stroke-dasharray:1 2.5" * (k == 0)
            rules[f".b{k}"] = f"fill:{colour}"
        rules |= {
            ".dz": f"stroke:{c['quiet']};stroke-dasharray:1 3",
            ".dn": f"stroke:{c['quiet']};stroke-width:1.6",
            ".dx": f"stroke:{c['text']};stroke-width:2.4;stroke-dasharray:7 2 1.5 2",
            ".bz": f"fill:{c['page']};stroke:{c['quiet']}",
            ".bn": f"fill:url(#{p}hatch);stroke:{c['quiet']};stroke-dasharray:1.5 3",
            ".bx": f"fill:{c['text']}",
            ".hl": f"stroke:{c['quiet']};stroke-width:1.2",
        }
    return rules


def _rule(p: str, selector: str, body: str) -> str:
    """One rule, valid only inside the figure."""
    parts = [part.replace("{p}", p) for part in selector.split(",")]
    named = [f".{p}{part[1:]}" if part.startswith(".") and not part.startswith(f".{p}") else part for part in parts]
    scoped = [f".{p}fig {part}" for part in named]
    return f"{','.join(scoped)}{{{body}}}"
