"""The HTML file of a page: everything it needs is in it, so it works from a disk and asks for nothing."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from .. import theme

SCRIPTS = ("elements.js", "tape.js", "picture.js", "panel.js", "ribbons.js", "page.js")

OWN_LIGHT = {"now": "#222222", "gradient": "#B5500A", "gradient-text": "#8A3B05", "link": "#005A8F"}
OWN_DARK = {"now": "#FFFFFF", "gradient": "#F0A35E", "gradient-text": "#F5BE8C", "link": "#9AD2F7"}
FONTS = {"font": theme.FONT, "mono": 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace'}


def document(data: dict[str, Any]) -> str:
    """The page around its data."""
    parts = {
        "style": colours() + here("page.css"),
        "script": "\n".join(map(here, SCRIPTS)),
        "data": as_json(data),  # last, since it may hold anything
    }
    return filled(here("page.html"), parts)


def here(name: str) -> str:
    """The text of a file of this folder."""
    return files(__package__).joinpath(name).read_text("utf-8")


def filled(page: str, parts: dict[str, str]) -> str:
    """A page with its parts in the places that are marked {{name}}, in this order."""
    for name, content in parts.items():
        page = content.join(page.split(f"{{{{{name}}}}}"))
    return page


def as_json(data: Any) -> str:
    """Data for an element of a page: without <, so that no name in it can end the element."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def colours() -> str:
    """The colours of the pictures as variables of CSS, light and dark, with those that the page adds."""
    light = _variables(theme.LIGHT | OWN_LIGHT | FONTS)
    dark = _variables(theme.DARK | OWN_DARK)
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


def _variables(values: dict[str, str]) -> str:
    return " ".join(f"--{name}: {value};" for name, value in values.items())
