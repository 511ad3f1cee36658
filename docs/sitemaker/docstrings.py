"""The style of our docstrings, carried over to reStructuredText for the reference.

A docstring is plain text to be read in a terminal. Two things of it mean something that reStructuredText would lose: a
table of names (a name, two or more spaces, what it is), and an indented block, which holds equations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

ROW = re.compile(r"^([\w.*]+(?:, [\w.*]+)*) {2,}((?![=←≤])\S.*)$")
EQUATION = re.compile(r"^[^\s.:;]+ [=←] ")
QUOTED = re.compile(r"(``.+?``|`[^`]+`)")
SPECIAL = re.compile(r"[*|]|_(?!\w)")


def as_rst(lines: list[str]) -> list[str]:
    """The lines of a docstring, its tables as field lists and its indented blocks as they stand.

    >>> as_rst(["y = f(x).", "", "x    a number", "     or two", "", "    y = x"])
    ['y = f(x).', '', ':x: a number', '   or two', '', '::', '', '    y = x', '']
    """
    return [line for paragraph in paragraphs(lines) for line in [*converted(paragraph), *([""] * bool(paragraph))]]


def paragraphs(lines: list[str]) -> Iterator[list[str]]:
    """Runs of lines that are not empty; indented ones with empty lines between them are one."""
    run: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            run.append(line)
        elif run:
            yield run
            run = []


def converted(lines: list[str]) -> list[str]:
    """One paragraph: an example, a table, an equation, words with an equation below them, or words."""
    if lines[0].lstrip().startswith(">>>"):
        return lines
    margin = len(lines[0]) - len(lines[0].lstrip())
    if ROW.match(lines[0][margin:]):
        rows = [(ROW.match(line[margin:]), plain(line.strip())) for line in lines]
        return [f":{row[1].replace('*', '')}: {plain(row[2])}" if row else f"   {words}" for row, words in rows]
    if len(lines) > 1 and all(EQUATION.match(line) for line in lines):
        return ["::", "", *("    " + line for line in lines)]
    at = next((k for k, line in enumerate(lines) if line.startswith("    ")), len(lines))
    words, block = lines[:at], lines[at:]
    if not all(line.startswith("    ") for line in block):
        words, block = lines, []
    return [*map(plain, words), *[""] * bool(words and block), *(["::", "", *block] if block else [])]


def plain(words: str) -> str:
    """Words in which nothing but what stands in backquotes is markup.

    >>> plain("see `f_`: |x| is *one*, and init_")
    'see `f_`: \\\\|x\\\\| is \\\\*one\\\\*, and init\\\\_'
    """
    parts = QUOTED.split(words)
    return "".join(part if k % 2 else SPECIAL.sub(r"\\\g<0>", part) for k, part in enumerate(parts))
