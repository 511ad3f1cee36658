"""`page`: a tape to step through, in a browser.

    walk     the records and their numbers, forwards and backwards
    scene    the picture they are shown in
    *.html, *.css, *.js   the page itself; `page` puts everything into one file
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DrawError, FreedGraphError, GraphError
from ...listing import Tape
from ...tensor import Tensor, start_gradient
from .. import theme

if TYPE_CHECKING:
    from ...nn.module import Module

SCRIPTS = ("tape.js", "picture.js", "panel.js", "ribbons.js", "page.js")


def page(
    root: Tensor, path: str | os.PathLike[str], names: Mapping[str, Any] | Module | None = None
) -> Path:
    """Write a page to step through the tape that leads to `root`: one HTML file that asks for nothing else.

    Forwards it shows each op as it is computed, backwards the chain rule at work: the gradient that arrives, times the
    local derivative, gives the gradient handed on, and how those of a weight add up over the time steps. At a cut
    the walk stops. Keys: Left, Right, Home, End, Space to play, PageUp and PageDown for a time step.

    names   names for tensors, as in `draw`

    The line of your program that made each op is shown if it was noted: compute within ``with tg.anomaly():``.
    Write the page before ``backward()``, which frees the graph. Raises GraphError where `root` is not one number with
    a gradient, DrawError where the graph is gone or too large to be drawn.

    >>> import numpy as np, tempfile, tinygrad_rnn as tg
    >>> output, h = tg.nn.RNN(2, 3, rng=0)(np.ones((4, 1, 2)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = tg.page((output**2).mean(), f"{folder}/tape.html")
    ...     path.read_text("utf-8")[:15]
    '<!doctype html>'
    """
    from ..reading import Reading
    from .scene import scene
    from .walk import walk

    start_gradient(root, None, "page()")
    if root.record is None:
        raise GraphError("page() of a leaf: nothing was computed, so there is nothing to step through")
    try:
        tape = Tape(root)
    except FreedGraphError as error:
        raise DrawError(
            "nothing is left to show: backward() has freed this graph. Write the page before calling backward(), or "
            "call backward(retain_graph=True)"
        ) from error
    reading = Reading(tape, names)
    data = {"title": root.name or "loss", "picture": scene(tape, reading), **walk(tape, reading)}
    path = Path(path)
    path.write_text(html(data), encoding="utf-8")
    return path


def html(data: dict[str, Any]) -> str:
    """The page around the data."""
    here = files(__package__)
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    parts = {
        "style": colours() + here.joinpath("page.css").read_text("utf-8"),
        "script": "\n".join(here.joinpath(name).read_text("utf-8") for name in SCRIPTS),
        "data": text.replace("<", "\\u003c"),  # so that no name can end the element
    }
    out = here.joinpath("page.html").read_text("utf-8")
    for name, content in parts.items():
        before, after = out.split(f"{{{{{name}}}}}")
        out = before + content + after
    return out


def colours() -> str:
    """The colours of the pictures as variables of CSS, light and dark, and those of the page alone."""
    light = theme.LIGHT | {"now": "#222222", "bar": "#B5500A", "bar-text": "#8A3B05", "link": "#005A8F"}
    dark = theme.DARK | {"now": "#FFFFFF", "bar": "#F0A35E", "bar-text": "#F5BE8C", "link": "#9AD2F7"}
    fonts = {"font": theme.FONT, "mono": 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace'}
    return f":root {{{_set(light | fonts)}}}\n@media (prefers-color-scheme: dark) {{ :root {{{_set(dark)}}} }}\n"


def _set(values: dict[str, str]) -> str:
    return "".join(f"--{name}: {value}; " for name, value in values.items())
