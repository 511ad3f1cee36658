"""An SVG of ours looks the same in programs that are no browser: as large, as light, and its words at the same places.

Each picture is drawn by Chromium, and by what there is of four others; what is missing is skipped by its name. Of every
text the ink is looked at: how much there is of it, and where its middle is.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from graphs import GRAPHS, network, windows

import tinygrad_rnn as tg
from tinygrad_rnn.pictures.text import advance
from tinygrad_rnn.pictures.theme import FONT

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parent.parent / "docs"
SVG = "{http://www.w3.org/2000/svg}"


def of_the_docs() -> list[Path]:
    """The pictures of the documentation that are drawn by this library."""
    files = [*(DOCS / "pictures").glob("*.svg"), DOCS / "compared" / "compared-ours.svg"]
    return sorted(file for file in files if FONT in file.read_text("utf-8"))


def drawn() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Twenty others: each mark, each level and theme, names in other letters."""
    for graph in ("both", "windows", "own cell", "mlp"):
        yield f"{graph}, op", lambda graph=graph: tg.draw(GRAPHS[graph](), level="op" if graph != "mlp" else None)
        yield f"{graph}, gradients", lambda graph=graph: tg.draw(GRAPHS[graph](), grads=True, values=True)
    for theme in ("dark", "auto"):
        yield theme, lambda theme=theme: tg.draw(windows("RNN", T=6, k=3), level="cell", grads=True, theme=theme)
    for level in ("op", "cell", "layer", "strip"):
        yield (
            f"bidirectional, {level}",
            lambda level=level: tg.draw(network("GRU", T=5, bidirectional=True), level=level, grads=True),
        )
    yield "templates", lambda: tg.draw(network("RNN", T=40), level="cell", steps="all")
    yield "lengths", lambda: tg.draw(tg.nn.LSTM(3, 2, rng=0)(np.ones((4, 2, 3)), lengths=[4, 2])[0].sum(), grads=True)
    yield "three", lambda: tg.draw({"a": network("RNN", T=3), "b": network("GRU", T=3), "c": network("LSTM", T=3)})
    yield "names", lambda: tg.draw(named("Größe <&> π_x"), grads=True)
    yield "past", lambda: tg.draw(windows("RNN", T=4, k=2, total=False), grads=True)
    yield "marks", lambda: tg.draw((named("x") * np.zeros(2)).sum(), grads=True)
    yield "long ribbon", lambda: tg.draw(network("LSTM", T=300, layers=2), grads=True)


def named(name: str) -> tg.Tensor:
    x = tg.tensor([1.0, 2.0], requires_grad=True, name=name)
    return (np.tanh(x) * x).sum()


PICTURES: dict[str, Callable[[], str]] = {
    file.name: lambda file=file: file.read_text("utf-8") for file in of_the_docs()
}
PICTURES |= {name: lambda make=make: make().svg() for name, make in drawn()}


# ---------------------------------------------------------------- the programs


def rsvg(svg: Path) -> bytes:
    return subprocess.run([program("rsvg-convert"), svg], capture_output=True, check=True).stdout


def inkscape(svg: Path) -> bytes:
    png = svg.with_suffix(".png")
    subprocess.run([program("inkscape"), svg, "-o", png, "-d", "96"], capture_output=True, check=True)
    return png.read_bytes()


def cairosvg(svg: Path) -> bytes:
    return pytest.importorskip("cairosvg").svg2png(url=str(svg))


def mupdf(svg: Path) -> bytes:
    pymupdf = pytest.importorskip("pymupdf")
    page = pymupdf.open(svg)[0]
    scale = extent(svg.read_text("utf-8"))[0] / page.rect.width
    return page.get_pixmap(matrix=pymupdf.Matrix(scale, scale)).tobytes("png")


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


class Tolerance(NamedTuple):
    """What may differ: a pixel on average, a square of 24 px, the width of a text, and its ink by a factor."""

    mean: float
    square: float
    width: float
    ink: float


RENDERERS = {  # MuPDF draws dashes as whole lines, and has letters of its own
    rsvg: Tolerance(0.025, 0.05, 0.02, 1.6),
    inkscape: Tolerance(0.025, 0.05, 0.02, 1.6),
    cairosvg: Tolerance(0.03, 0.14, 0.04, 1.6),  # a long line with many indices drifts by some pixels
    mupdf: Tolerance(0.04, 0.25, 0.2, 2.5),
}


def pixels(png: bytes) -> np.ndarray:
    """The lightness of each pixel."""
    image = pytest.importorskip("matplotlib.image")
    return image.imread(io.BytesIO(png))[..., :3].mean(-1)


@pytest.fixture(scope="module")
def in_chromium(chromium, tmp_path_factory):
    """The pixels of each picture in Chromium, drawn once, and its file."""
    known: dict[str, tuple[Path, np.ndarray]] = {}

    def draw(name: str) -> tuple[Path, np.ndarray]:
        if name not in known:
            file = tmp_path_factory.mktemp("picture") / "picture.svg"
            file.write_text(PICTURES[name](), "utf-8")
            w, h, _ = extent(file.read_text("utf-8"))
            page = chromium.new_page(viewport={"width": ceil(w), "height": ceil(h)})
            page.goto(file.as_uri())
            known[name] = file, pixels(page.screenshot())
            page.close()
        return known[name]

    return draw


# ---------------------------------------------------------------- what is compared


class Words(NamedTuple):
    """A text of a picture and the rectangle that it is in."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


def extent(svg: str) -> tuple[float, float, float]:
    """Width and height in px, and how many px a unit of its coordinates has: one, unless it is made for a width."""
    w, h, wide = map(float, re.search(r'width="([\d.]+)" height="([\d.]+)" viewBox="0 0 ([\d.]+)', svg).groups())
    return w, h, w / wide


def texts(svg: str) -> list[Words]:
    """The texts of an SVG of ours, found by its elements."""
    root, (_, _, unit) = ET.fromstring(svg), extent(svg)
    known = {element.attrib["id"]: element for element in root.iter() if "id" in element.attrib}
    return [Words(text, *(unit * v for v in place)) for text, *place in _texts(root, known, 0.0, 0.0)]


def _texts(element: ET.Element, known: dict[str, ET.Element], x: float, y: float) -> Iterator[Words]:
    for child in element:
        moved = re.match(r"translate\(([-\d.]+) ([-\d.]+)\)", child.attrib.get("transform", ""))
        dx, dy = map(float, moved.groups()) if moved else (0.0, 0.0)
        if child.tag == f"{SVG}use":
            used = known[child.attrib["{http://www.w3.org/1999/xlink}href"][1:]]
            yield from _texts(used, known, x + float(child.attrib["x"]), y + float(child.attrib["y"]))
        elif child.tag == f"{SVG}text":
            yield _words(child, x + dx, y + dy)
        elif child.tag != f"{SVG}defs":
            yield from _texts(child, known, x + dx, y + dy)


def _words(element: ET.Element, x: float, y: float) -> Words:
    text, size = "".join(element.itertext()), float(element.attrib.get("font-size", 10))
    wide = advance(text, size) * (1.1 if "font-weight" in element.attrib else 1.0)
    before = {"start": 0.0, "middle": wide / 2, "end": wide}[element.attrib.get("text-anchor", "middle")]
    if "rotate" in element.attrib.get("transform", ""):
        return Words(text, x - size, y - wide / 2 - 2, x + 4, y + wide / 2 + 2)
    x, y = x + float(element.attrib["x"]), y + float(element.attrib["y"])
    return Words(text, x - before - 2, y - size, x - before + wide + 2, y + 4)


def ink(image: np.ndarray, words: Words) -> tuple[float, float, float]:
    """How much there is in a rectangle that is not as its background is, and its middle."""
    left, top = max(0, round(words.left)), max(0, round(words.top))
    part = image[top : round(words.bottom), left : round(words.right)]
    if not part.size:
        return 0.0, 0.0, 0.0
    marks = np.abs(part - np.median(part))
    marks[marks < 0.1] = 0.0
    total = marks.sum()
    ys, xs = np.indices(part.shape)
    return total, (marks * xs).sum() / max(total, 1e-9), (marks * ys).sum() / max(total, 1e-9)


def squares(image: np.ndarray, n: int = 24) -> np.ndarray:
    """The means of squares."""
    h, w = (size // n * n for size in image.shape)
    return image[:h, :w].reshape(h // n, n, w // n, n).mean((1, 3))


# ---------------------------------------------------------------- that it looks the same


@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda renderer: renderer.__name__)
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_looks_as_in_a_browser(name, renderer, in_chromium):
    file, wanted = in_chromium(name)
    seen, allowed = pixels(renderer(file)), RENDERERS[renderer]
    w, h, _ = extent(file.read_text("utf-8"))
    assert abs(seen.shape[0] - h) <= (h % 1 > 0) and abs(seen.shape[1] - w) <= (w % 1 > 0)
    seen, wanted = (image[: int(h), : int(w)] for image in (seen, wanted))
    assert seen.std() > 0.02 and abs(seen.mean() - wanted.mean()) < 0.03  # neither black nor blank
    assert np.abs(seen - wanted).mean() < allowed.mean
    assert np.abs(squares(seen) - squares(wanted)).max() < allowed.square
    misplaced = []
    for words in texts(file.read_text("utf-8")):
        (much, x, y), (as_much, there, down) = ink(wanted, words), ink(seen, words)
        if much > 3 and not (1 / allowed.ink < as_much / much < allowed.ink):
            misplaced.append(f"{words.text!r} has {as_much / much:.2f} of its ink")
        elif much > 3 and max(abs(x - there), abs(y - down)) > 1.2 + allowed.width * (words.right - words.left) / 2:
            misplaced.append(f"{words.text!r} is off by {there - x:.1f}, {down - y:.1f} px")
    assert not misplaced


def test_the_comparison_notices_what_is_wrong(in_chromium):
    """A text that is missing, one that is moved: by these it was found what other programs make of an SVG."""
    file, wanted = in_chromium("own cell, op")
    words = next(words for words in texts(file.read_text("utf-8")) if words.text == "operation")
    much, x, _ = ink(wanted, words)
    left, top, right, bottom = (round(v) for v in words[1:])
    missing, moved = wanted.copy(), wanted.copy()
    missing[top:bottom, left:right] = 1.0
    moved[top:bottom, left:right] = np.roll(wanted[top:bottom, left:right], 3, axis=1)
    assert ink(missing, words)[0] < much / 2 and ink(moved, words)[1] - x > 1.5


def test_a_picture_that_follows_the_reader_is_dark_on_a_dark_page(chromium, tmp_path):
    (tmp_path / "a.svg").write_text(PICTURES["auto"](), "utf-8")
    seen = {}
    for scheme in ("light", "dark"):
        page = chromium.new_page(color_scheme=scheme, viewport={"width": 600, "height": 400})
        page.goto((tmp_path / "a.svg").as_uri())
        seen[scheme] = pixels(page.screenshot())
        page.close()
    assert np.median(seen["light"]) > 0.9 and np.median(seen["dark"]) < 0.2
