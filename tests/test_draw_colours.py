"""Whether pictures can be seen: contrast, and colours under simulated colour-blindness, computed from the palettes.

contrast   WCAG 2.2, relative luminance: (L1 + 0.05) / (L2 + 0.05)
blindness  Machado, Oliveira and Fernandes (2009), full severity, in linear RGB
distance   of two colours in CIE L*a*b* (1976), D65
"""

import re
import shutil
import subprocess
from itertools import combinations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.pictures import theme

PALETTES = {"light": theme.LIGHT, "dark": theme.DARK}
STROKES = ("op", "state", "ref", "cut")
MACHADO = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]


def linear(colour):
    rgb = np.frombuffer(bytes.fromhex(colour.removeprefix("#")), np.uint8) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(a, b):
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (a, b))
    return (high + 0.05) / (low + 0.05)


def lab(rgb):
    xyz = np.asarray(TO_XYZ) @ np.clip(rgb, 0, 1) / np.sum(TO_XYZ, axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(a, b, kind):
    return float(np.linalg.norm(lab(MACHADO[kind] @ linear(a)) - lab(MACHADO[kind] @ linear(b))))


def test_the_measures_themselves():
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert lab(linear("#FFFFFF")) == pytest.approx([100, 0, 0], abs=0.01)
    assert distance("#FF0000", "#FF0000", "normal") == 0
    assert distance("#FF0000", "#00A000", "deuteranopia") < distance("#FF0000", "#00A000", "normal") / 2


@pytest.mark.parametrize("name", PALETTES)
def test_text_stands_out_from_what_it_is_written_on(name):
    colours = PALETTES[name]
    surfaces = ["page", "panel", *(key for key in colours if key.endswith("-fill"))]
    assert min(contrast(colours["text"], colours[surface]) for surface in surfaces) >= 7
    assert min(contrast(colours["quiet"], colours[surface]) for surface in ("page", "panel")) >= 4.5


@pytest.mark.parametrize("name", PALETTES)
def test_strokes_stand_out_from_page_panel_and_fill(name):
    colours = PALETTES[name]
    for stroke in (*STROKES, "input", "edge"):
        for surface in ("page", "panel", f"{stroke}-fill"):
            if surface in colours:
                assert contrast(colours[stroke], colours[surface]) >= 3, (stroke, surface)


@pytest.mark.parametrize("name", PALETTES)
@pytest.mark.parametrize("kind", MACHADO)
def test_the_four_strokes_are_told_apart(name, kind):
    colours = PALETTES[name]
    assert min(distance(colours[a], colours[b], kind) for a, b in combinations(STROKES, 2)) >= 10


@pytest.mark.parametrize("name", PALETTES)
def test_gradients_stand_out_and_the_more_the_larger(name):
    ramp, colours = theme.ramp(name), PALETTES[name]
    assert len(ramp) == 13
    for surface in ("page", "panel"):
        contrasts = [contrast(colour, colours[surface]) for colour in ramp]
        assert contrasts == sorted(contrasts) and contrasts[0] >= 3
    for kind in MACHADO:  # also without some of the colours, and without all
        lightness = [lab(MACHADO[kind] @ linear(colour))[0] for colour in ramp]
        assert lightness == sorted(lightness, reverse=name == "light")


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("colors", [*theme.PALETTES, {"gradient": "#AA3377"}], ids=str)
def test_every_palette_stands_out_and_is_told_apart_by_the_colour_blind(colors, name):
    if isinstance(colors, dict) and name == "dark":
        pytest.skip("a colour for a light page")
    colours, ramp = theme.palette(name, colors), theme.ramp(name, colors)
    for stroke in (*STROKES, "highlight", "edge"):
        for surface in ("page", "panel", f"{stroke}-fill"):
            assert surface not in colours or contrast(colours[stroke], colours[surface]) >= 3, (stroke, surface)
    for surface in [surface for surface in colours if surface.endswith("-fill") or surface in ("page", "panel")]:
        assert contrast(colours["text"], colours[surface]) >= 7, surface
    for kind in MACHADO if colors != "grey" else ():  # in grey lines and shapes tell them apart
        assert min(distance(colours[a], colours[b], kind) for a, b in combinations(STROKES, 2)) >= 10, kind
    contrasts = [contrast(colour, colours["page"]) for colour in ramp]
    assert contrasts == sorted(contrasts) and contrasts[0] >= 2.9 and contrasts[-1] > 2 * contrasts[0]


# ---------------------------------------------------------------- what programs other than browsers make of it


def pictures():
    output, _ = nn.LSTM(4, 8, rng=0)(np.ones((30, 2, 4)))
    loss = (output**2).mean()
    yield "cell", lambda theme: tg.draw(loss, grads=True, theme=theme)
    yield "op", lambda theme: tg.draw(loss, level="op", steps=[1, 2, "...", 30], values=True, theme=theme)
    yield "strip", lambda theme: tg.draw(loss, level="strip", theme=theme)
    yield "comparison", lambda theme: tg.draw({"one": loss, "half": loss * 0.5}, theme=theme)


RENDERERS = {
    "rsvg": lambda svg, png: subprocess.run(["rsvg-convert", svg, "-o", png], check=True),
    "cairosvg": lambda svg, png: pytest.importorskip("cairosvg").svg2png(url=str(svg), write_to=str(png)),
}


@pytest.mark.parametrize("look", theme.THEMES)
@pytest.mark.parametrize(("name", "make"), list(pictures()))
def test_colours_stand_in_a_picture_as_they_are(name, make, look):
    text = make(look).svg()
    assert "var(" not in text
    used = set(re.findall(r'(?:fill|stroke)="([^"]*)"', text))
    assert all(re.fullmatch("none|#[0-9A-F]{6}", colour) for colour in used), used
    assert ("prefers-color-scheme" in text) == ("<style" in text) == ("class=" in text) == (look == "auto")


@pytest.mark.slow
@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("look", theme.THEMES)
@pytest.mark.parametrize(("name", "make"), list(pictures()))
def test_a_picture_has_its_colours_outside_of_a_browser(name, make, look, renderer, tmp_path):
    if renderer == "rsvg" and shutil.which("rsvg-convert") is None:
        pytest.skip("rsvg-convert is not installed")
    image = pytest.importorskip("matplotlib.image")
    make(look).save(tmp_path / "picture.svg")
    RENDERERS[renderer](tmp_path / "picture.svg", tmp_path / "picture.png")
    pixels = np.round(image.imread(tmp_path / "picture.png")[..., :3] * 255).astype(int)
    palette = PALETTES["dark" if look == "dark" else "light"]  # "auto" is light where nobody prefers anything

    def share(colour):
        return (pixels == list(bytes.fromhex(colour[1:]))).all(-1).mean()

    assert share(palette["page"]) + share(palette["panel"]) > 0.5
    assert share("#000000") < 0.01
    if name != "strip":
        assert share(palette["state-fill"]) > 0.001
