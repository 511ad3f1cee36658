"""Names in pictures are what their author wrote, in every format, whatever they hold."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import xml.dom.minidom
from collections.abc import Iterator

import numpy as np
import pytest

import tinygrad_rnn as tg

NAMES = [
    "back\\slash", "\\N", "\\n", "\\\\", "\\G is", "tail\\", '"quoted"', "<b>", "a<b>c", "&amp;", "&#65;", "a & b",
    "%d", "100%", "two\nlines", "{a|b}", "[x]", "ünï→", "'", "$x$", "#1", "a;b", "//c", "/*c*/", "]]>", "-->",
]  # fmt: skip

each_name = pytest.mark.parametrize("name", NAMES, ids=map(repr, NAMES))


def named(name: str) -> tg.Tensor:
    """The loss of a loop whose layer, weight and state all have this name."""
    x = tg.tensor(2.0, requires_grad=True, name=name)
    h = x
    with tg.scope(name) as at:
        for t in (1, 2):
            at(t)
            h = np.tanh(h * x)
            h.name = name
    return h * 3.0


def plain(text: str) -> str:
    """The text without spaces and lines that say where an index begins."""
    return re.sub(r"[\s_]+", "", text)


def labels(svg: str) -> Iterator[str]:
    """The text of each box and of each tooltip."""
    for group in re.findall(r'<g id="(?:node|a_)[^>]*>(.*?)</g>', svg, re.S):
        found = re.findall(r"<text[^>]*>([^<]*)</text>", group) + re.findall(r'xlink:title="([^"]*)"', group)
        yield from map(html.unescape, found)


@each_name
@pytest.mark.skipif(shutil.which("dot") is None, reason="the program dot of Graphviz is not installed")
@pytest.mark.parametrize("pinned", [True, False])
def test_names_come_through_graphviz_as_given(name: str, pinned: bool) -> None:
    dot = tg.draw({name: named(name)}, level="op", grads=True).dot(pinned=pinned)
    done = subprocess.run(["dot", "-Tsvg"], input=dot.encode(), capture_output=True, check=True)
    assert not done.stderr
    svg = done.stdout.decode()
    written = plain(name)
    leaves = [text for text in labels(svg) if plain(text) == f"{written}↗"]
    assert len(leaves) == 2  # at each of its uses
    titles = [text for text in labels(svg) if plain(text).startswith(f"{written}:shared")]
    assert len(titles) == 2  # and in their tooltips
    assert any(plain(text).startswith(f"{written}:2timesteps") for text in labels(svg)) or any(
        plain(html.unescape(text)).startswith(f"{written}:2timesteps")
        for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    )


@each_name
@pytest.mark.parametrize("level", ["op", "cell", "layer", "strip"])
def test_names_are_in_the_svg_as_given(name: str, level: str) -> None:
    document = xml.dom.minidom.parseString(tg.draw(named(name), level=level, grads=True).svg())
    texts = ["".join(node.data for node in _leaves(text)) for text in document.getElementsByTagName("text")]
    assert any(plain(name) in plain(text) for text in texts)


def _leaves(node: xml.dom.minidom.Node) -> Iterator[xml.dom.minidom.Text]:
    for child in node.childNodes:
        if child.nodeType == child.TEXT_NODE:
            yield child
        else:
            yield from _leaves(child)
