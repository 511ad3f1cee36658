"""What a notebook shows where a terminal has text: tables, bars of progress, pages."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


def inside() -> bool:
    """Whether the kernel of a notebook runs this program."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")


def table(header: Sequence[str], rows: Sequence[Sequence[str] | str], note: str = "", texts: Iterable[int] = ()) -> str:
    """The rows under their header as HTML, the note above; a row that is one text goes over all columns.

    The columns that `texts` names begin at the left, the others end at the right.

    >>> table(["t"], [["1"], "... 3 more ..."])
    '<table><thead><tr><th>t</th></tr></thead><tbody><tr><td>1</td></tr><tr><td colspan="1">... 3 more ...</td></tr>...'
    """
    left = set(texts)
    align = [' style="text-align:left"' if k in left else "" for k in range(len(header))]

    def line(row: Sequence[str] | str, tag: str) -> str:
        if isinstance(row, str):
            return f'<tr><td colspan="{len(header)}">{escape(row)}</td></tr>'
        cells = zip(row, align, strict=True)
        return "<tr>" + "".join(f"<{tag}{style}>{escape(cell)}</{tag}>" for cell, style in cells) + "</tr>"

    head, body = line(header, "th"), "".join(line(row, "td") for row in rows)
    above = f"<p>{escape(note)}</p>" if note else ""
    return f"{above}<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def frame(page: str, height: int = 720) -> str:
    """A whole page within a notebook, which keeps it: it needs no file beside it."""
    inside = escape(page, quote=True)
    return f'<iframe srcdoc="{inside}" sandbox="allow-scripts" style="border:0;width:100%;height:{height}px"></iframe>'


def progress(loop: Iterable[Any] | None = None, *, layout: str, hidden: bool = False, **options: Any) -> Any:
    """A bar of tqdm's over a loop or a total: in a notebook its own, in this layout on standard error if that is a
    terminal, else none.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without ipywidgets the bar of a notebook is one of text
        from tqdm.auto import tqdm
    if inside():
        return tqdm(loop, disable=hidden, **options)
    return tqdm(loop, disable=hidden or None, bar_format=layout, dynamic_ncols=True, **options)
