"""`page`: a tape to step through, in a browser.

    walk       the records and their numbers, forwards and backwards
    scene      the picture that they are shown in
    document   the HTML file: page.html, page.css and the scripts, around the data

Imported when the first page is written, but for `page` itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...autograd.checks import start_gradient
from ...autograd.tensor import Tensor
from ...errors import DrawError, FreedGraphError, GraphError
from ...files import check_replaced, replace_file
from ...notebook import frame
from ...unrolled.expand import Expanded
from ...unrolled.listing import Tape

if TYPE_CHECKING:
    from ...nn.module import Module


def page(root: Tensor, path: str | os.PathLike[str], names: Mapping[str, Any] | Module | None = None) -> Path:
    """Write a page to step through the tape that leads to `root`: one HTML file that asks for nothing else.

    Forwards it shows each op as it is computed. Backwards it shows the chain rule at work: the gradient that arrives,
    times the local derivative, is the gradient handed on; and how the gradient of a weight is gathered over the time
    steps. At a cut the walk stops. Tensors of few entries are written out, where the tape is short, others as norms.
    Keys: Left, Right, Home, End; PageUp and PageDown for a time step; Space to play.

    names   names for tensors, as in `draw`

    The line of your program that made each op is shown where it was noted: compute within ``with tg.anomaly():``.
    Write the page before ``backward()``, which frees the graph. Raises GraphError where `root` needs no gradient or is
    a leaf, NonScalarError where it is not one number, DrawError where the graph is gone or too large to be drawn, or
    where a file is there that is no page, and OSError where it cannot be written.

    >>> import numpy as np, tempfile, tinygrad_rnn as tg
    >>> output, h = tg.nn.RNN(2, 3, rng=0)(np.ones((4, 1, 2)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = tg.page((output**2).mean(), f"{folder}/tape.html")
    ...     path.read_text("utf-8")[:15]
    '<!doctype html>'
    """
    from ..flow import Flow
    from ..reading import Reading
    from .document import document
    from .scene import scene
    from .walk import walk

    check_replaced(path)
    start_gradient(root, None, "page()")
    if root.record is None:
        raise GraphError("page() of a leaf: nothing was computed, so there is nothing to step through")
    try:
        expanded = Expanded(root, lines=True)
    except FreedGraphError as error:
        raise DrawError(f"nothing is left to show: {error}") from error
    if isinstance(names, Mapping):
        names = {name: expanded(x) if isinstance(x, Tensor) else x for name, x in names.items()}
    tape = Tape(expanded.root)
    flow = Flow(Reading(tape, names))
    data = {"title": root.name or "loss", "picture": scene(tape, flow), **walk(tape, flow)}
    return Page(replace_file(path, document(data)))


class Page(type(Path())):  # type: ignore[misc]  # before Python 3.12 no class but this one can be derived from
    """The path of a page that steps through a tape; a notebook shows the page."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        return frame(self.read_text("utf-8")) if self.is_file() else None
