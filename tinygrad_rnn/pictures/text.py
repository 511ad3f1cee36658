"""Text in boxes: how wide it is, and how ``W_hh`` is set with an index below the line."""

from __future__ import annotations

import re
from math import fsum
from xml.sax.saxutils import quoteattr

from .reading import MARK
from .template import ROUND, Box

FIRST, OTHER, INDEX, HEADING = 12.0, 10.0, 10.0, 11.0  # px: the first line of a box, further lines, indices, headings

NARROW, WIDE = set("iljtfr.,:;|'!()[]{} "), set("mwMWOQ@%✂…")

WIDTHS = {
    0.28: "'ijlIJ ,./:;\\|·’\u00a0", 0.36: "f-ᵀ", 0.39: "()[]t!₀₁₂²", 0.41: "r", 0.5: '"*_`‖▾°–', 0.52: "sz?∂“”",
    0.56: "cLFkε", 0.59: "vxyPTYγλ", 0.615: "aeoδθé", 0.67: "KVA∇∑αφ", 0.69: "BRXZC", 0.74: "UHN",
    0.78: "DGOQ&Φ", 0.83: "w#+<=>^~×→←↗✂−±≤≥ω⊙", 0.86: "M", 0.96: "m%W½", 1.0: "@…—",
}  # fmt: skip
"""The widths of letters in DejaVu Sans and Verdana, in em; the others are 0.635 wide."""

_ADVANCE = {c: width for width, letters in WIDTHS.items() for c in letters}


def advance(line: str, size: float, small: float = INDEX) -> float:
    """About how wide a line is set, in px, with its indices; `line_width` is what it needs in any font."""
    ems = [_ADVANCE.get(c, 0.635) * (small if index else size) for part, index in pieces(line) for c in part]
    return fsum(ems)


NAME = re.compile(
    rf"(?<![A-Za-z0-9_])([A-Za-zφσ][0-9]*(?:#[0-9.]+)?|[A-Za-z]+(?=_[0-9{MARK}]+(?![A-Za-z0-9_])))"
    rf"_([A-Za-z0-9{MARK}]+(?:_[A-Za-z0-9{MARK}]+)*)(?![A-Za-z0-9_])"
)
"""A letter, with a number or not, and an index: ``h_3``, ``h#1_3``, ``W_xh_l1``; or a word and a number, as a state
that is called so has: ``memory_3``; but not ``my_tensor``."""


def escape(text: str) -> str:
    """Any text as the content of an XML element or attribute; characters that XML does not know become spaces."""
    return quoteattr(printable(text))[1:-1].replace('"', "&quot;")


def printable(text: str) -> str:
    """The text without control characters and halves of characters, which no file format takes."""
    return _NOT_XML.sub(" ", text)


_NOT_XML = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def text_width(text: str, size: float) -> float:
    """An upper estimate of the width in px, for the sans-serif fonts that systems come with."""
    ems = fsum(0.36 if c in NARROW else 0.95 if c in WIDE else 0.64 for c in text)
    return ems * size


def pieces(line: str) -> list[tuple[str, bool]]:
    """The line cut into plain text and indices."""
    out: list[tuple[str, bool]] = []
    end = 0
    for match in NAME.finditer(line):
        out += [(line[end : match.start()] + match[1], False), (match[2].replace("_", " "), True)]
        end = match.end()
    return [piece for piece in [*out, (line[end:], False)] if piece[0]]


def line_width(line: str, size: float) -> float:
    return fsum(text_width(part, INDEX if index else size) for part, index in pieces(line))


def box_size(box: Box, digits: int, spare: bool = True) -> tuple[float, float]:
    """Width and height of a box whose step number has so many digits, with room for any gradient or for that it has."""
    lines = [line.replace(MARK, "8" * digits) for line in box.lines]
    widths = [line_width(line, OTHER if k else FIRST) for k, line in enumerate(lines)]
    if box.extra:
        if spare and box.kind not in ("input", "ref", "cut"):
            widths.append(text_width("∇ ‖2.22e-22‖", OTHER))
        widths += [line_width(line, OTHER) for line in box.widest]
    count = len(lines) + box.extra
    round_ends = 14 if box.kind in ROUND else 0
    double = 4 if box.kind == "loss" else 0
    return max(widths, default=0) + 14 + round_ends + double, 9 + 15 + 12.5 * (count - 1) + double
