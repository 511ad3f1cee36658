"""Text for LaTeX: indices as maths, and every sign that LaTeX reads as something else written so that it is shown."""

from __future__ import annotations

import re
import unicodedata

from .text import NAME, printable

SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "|": r"$|$", '"': r"\symbol{34}",
    "'": r"\symbol{39}", "`": r"\symbol{96}", "-": r"{-}", "\N{NO-BREAK SPACE}": "~",
    "‖": r"$\Vert$", "∇": r"$\nabla$", "∂": r"$\partial$", "×": r"$\times$", "·": r"$\cdot$", "⊙": r"$\odot$",
    "→": r"$\to$", "←": r"$\gets$", "↗": r"$\nearrow$", "▾": r"$\scriptscriptstyle\bigtriangledown$",
    "…": r"$\ldots$", "–": r"--", "—": r"---", "−": r"$-$", "±": r"$\pm$", "≤": r"$\le$", "≥": r"$\ge$",
    "∞": r"$\infty$", "√": r"$\surd$", "∑": r"$\sum$", "∏": r"$\prod$", "²": r"$^2$", "³": r"$^3$", "ᵀ": r"$^\top$",
    "½": r"$\frac12$", "°": r"$^\circ$", "✂": r"$\succ\!\!\prec$", "ß": r"\ss{}",
}  # fmt: skip
"""What is no letter, as LaTeX has it without any package."""

_NAMES = """alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon varphi
chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"""
GREEK = dict(zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ", _NAMES.split(), strict=True))

ACCENTS = set("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327")
"""Accents that every font of LaTeX can put on a letter."""

OTHER = (
    r"\providecommand\tgother[1]{\ifdefined\directlua#1\else\ifdefined\XeTeXversion#1\else"
    r"\ifdefined\Umathchar#1\else?\fi\fi\fi}"
)
r"""What a text with ``\tgother`` needs: a letter that pdflatex has not is a "?" there, and itself in other programs."""


def latex(line: str) -> str:
    r"""A line of a picture as LaTeX sets it.

    >>> latex("h_3 = tanh(W_hh)"), latex("50 % of my_tensor")
    ('$h_{3}$ = tanh($W_{hh}$)', '50 \\% of my\\_tensor')
    """
    out, end = [], 0
    for match in NAME.finditer(line):
        out.append(_escaped(line[end : match.start()]))
        out.append(f"${_letter(match[1])}_{{{_index(match[2])}}}$")
        end = match.end()
    return "".join(out) + _escaped(line[end:])


def _letter(name: str) -> str:
    if name[1:].isalpha():
        return rf"\mathrm{{{name}}}"
    name = name.replace("#", r"\#")  # h#2 is the second part of a state
    return "\\" + GREEK[name[0]] + f"{{}}{name[1:]}" if name[0] in GREEK else name


def _index(index: str) -> str:
    """Letters and numbers in italics, words upright: x_t, W_hh, W_xh_reverse."""
    parts = [part if len(part) < 3 or part.isdigit() else rf"\mathrm{{{part}}}" for part in index.split("_")]
    return r"\,".join(parts)


def _escaped(text: str) -> str:
    return _SPACES.sub(r"\\quad{}", "".join(map(_sign, _MINUS.sub("−", printable(text)))))


def _sign(c: str) -> str:
    if c in SIGNS:
        return SIGNS[c]
    if c in GREEK:
        return rf"$\{GREEK[c]}$"
    if c < "\x7f":
        return c
    parts = unicodedata.normalize("NFD", c)
    if (c < "\u0180" and len(parts) == 2 and parts[0] < "\x7f" and parts[1] in ACCENTS) or c in "æÆøØœŒåÅ":
        return c
    return rf"\tgother{{{c}}}"


_SPACES = re.compile("[ ~]{2,}")
_MINUS = re.compile(r"(?<![\w)])-(?=[0-9.])")


def comment(text: str) -> str:
    """A text for a line of comment."""
    return re.sub(r"\s+", " ", printable(text))
