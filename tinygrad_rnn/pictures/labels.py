"""How Graphviz is told what a box says and how it looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .template import ROUND
from .text import INDEX, pieces, printable
from .text import escape as xml
from .theme import LETTERS, Look

SMALL = 0.8 * INDEX  # px of an index: Graphviz puts them far below the line
BACKSLASH = "\\\\"  # of two Graphviz makes one, and of one with an N the name of the node
LONGEST = 16_000  # letters that Graphviz reads between < and >


def label(
    lines: Sequence[str], first: float = LETTERS["first"].size, bold: bool = False, align: str = "", pt: float = 1.0
) -> Any:
    """The lines of a node in the HTML-like language of Graphviz, with indices; the first in letters of its own size.

    pt   points of a px
    """
    from graphviz import nohtml

    out, room = [], ""
    end = f'<BR ALIGN="{align}"/>' if align else "<BR/>"
    for k, line in enumerate(lines):
        parts = [(xml(part).replace("\\", BACKSLASH), index) for part, index in pieces(line) if part]
        indexed = [
            f'<SUB><FONT POINT-SIZE="{SMALL * pt:g}">{part}</FONT></SUB>' if index else part for part, index in parts
        ]
        text = "".join(indexed) + room or " "
        size = first if k == 0 else LETTERS["line"].size
        text = f"<B>{text}</B>" if bold else text
        out.append(f'<FONT POINT-SIZE="{size * pt:g}">{text}</FONT>')
        room = (
            f'<FONT POINT-SIZE="{14 * pt:g}"> </FONT>' if any(index for _, index in parts) else ""
        )  # indices hang down
    html = f"<{end.join(out)}{end if align else ''}>"
    return html if len(html) < LONGEST else nohtml("\\n".join(map(escape, lines)))


def looks(kind: str, colours: dict[str, str]) -> dict[str, str]:
    """Shape, line and colour of a node: the marks of the legend."""
    family = {
        "cell": "state",
        "loss": "op",
        "leaf": "input",
        "entry": "input",
        "fold": "op",
        "loop": "state",
        "past": "op",
    }.get(kind, kind)
    fill = colours.get(f"{family}-fill", colours["page"])
    look = {"shape": "box", "style": "filled", "fillcolor": fill, "color": colours[family]}
    if kind in ("state", "cell"):
        look["penwidth"] = "2.5"
    elif kind == "loss":
        look |= {"peripheries": "2", "style": "filled"}
    elif kind in ("ref", "cut"):
        look["style"] = "filled,dashed"
    elif kind == "past":
        look |= {"style": "filled,dashed", "color": colours["quiet"], "fillcolor": colours["line"]}
    elif kind == "loop":
        look["style"] = "filled,dotted"
    elif kind == "fold":
        look |= {"style": "filled,dotted", "color": colours["quiet"]}
    elif kind in ROUND:
        look |= {"shape": "ellipse", "style": "filled,dashed" if kind == "entry" else "filled", "margin": "0.02,0.02"}
        look["color"] = colours["input" if kind == "input" else "op"]
    return look


def strokes(look: Look, pt: float = 1.0) -> dict[str, str]:
    """The line of an edge or an outline."""
    said = {"color": look.stroke, "penwidth": f"{look.width * pt:.3g}"}
    if look.dashes:
        said["style"] = "dotted" if look.dashes[0] < 2.1 else "dashed"
    return said


def escape(text: str) -> str:
    """The text of a label as it is, whatever it holds.

    DOT reads backslashes and entities, and <...> as markup; the package adds the quotes.
    """
    from graphviz import nohtml

    return nohtml(printable(text).replace("\\", "\\\\").replace("&", "&amp;"))


def tooltip(text: str) -> str:
    """The text of a tooltip, in which Graphviz reads backslashes twice."""
    return escape(text.replace("\\", "\\\\"))
