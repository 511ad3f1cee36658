"""A picture in other languages than SVG: matplotlib, TikZ, Graphviz; and what may be saved where."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from graphs import GRAPHS, network, recorded, windows

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DrawError
from tinygrad_rnn.pictures import theme
from tinygrad_rnn.pictures.latex import latex
from tinygrad_rnn.pictures.tikz import PREAMBLE

needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")

HOSTILE = [
    "50 % of $x_3 & #_{h}~^\\",
    '"quoted" <b>',
    "naïve Ørsted",
    "π ≤ ∞ → 漢字",
    "\\input{x}",
    "a--b ``c''",
    "--1",
]


def named(name):
    x = tg.tensor([1.0, 2.0], requires_grad=True, name=name)
    return tg.draw((np.tanh(x) * x).sum(), grads=True)


def pictures():
    yield "truncated", tg.draw(windows("RNN", T=6, k=3), level="cell", grads=True)
    yield "ops", tg.draw(network("LSTM", T=2), level="op", grads=True, values=True, theme="dark")
    yield "strip", tg.draw(network("GRU", T=40), level="strip")
    yield "two", tg.draw({"one": network("RNN", T=30), "other": network("LSTM", T=30)}, grads=True)
    yield "hundred", tg.draw(network("RNN", T=100), level="op", steps=[*range(1, 35), "...", 100])


# ---------------------------------------------------------------- matplotlib


@pytest.fixture
def axes_of():
    figure = pytest.importorskip("matplotlib.figure")
    return lambda size=(8, 3): figure.Figure(figsize=size).subplots(1, 2)


@pytest.mark.parametrize(("name", "picture"), list(pictures()))
def test_an_axes_has_what_is_drawn_whatever_the_language(name, picture):
    pytest.importorskip("matplotlib")
    ax, canvas = picture.plot(), recorded(picture)
    assert [(text.line, *text.get_position()) for text in ax.texts] == canvas.texts
    assert len(ax.patches) == len(canvas.fields) + sum(bool(way) for _, way in canvas.ways)
    size = re.search(r'width="([\d.]+)" height="([\d.]+)"', picture.svg())
    assert tuple(ax.figure.get_size_inches() * 96) == pytest.approx(tuple(map(float, size.groups())), abs=0.1)


def test_a_panel_beside_other_plots(axes_of):
    left, right = axes_of()
    right.plot([1, 2, 3])
    picture = tg.draw(network("RNN", T=3))
    assert picture.plot(left) is left and len(left.texts) > 10 and len(right.texts) == 0
    assert left.get_aspect() == 1.0


def test_letters_and_lines_grow_with_the_axes(axes_of):
    """So that what fits into its box does so at any size."""
    picture = tg.draw(network("RNN", T=3))
    (small, _), (large, _) = axes_of((8, 4)), axes_of((16, 8))
    for ax in (small, large):
        picture.plot(ax).figure.draw_without_rendering()
    grown = [b.get_fontsize() / a.get_fontsize() for a, b in zip(small.texts, large.texts, strict=True)]
    assert grown == pytest.approx([2.0] * len(grown))
    widths = [(a.get_linewidth(), b.get_linewidth()) for a, b in zip(small.patches, large.patches, strict=True)]
    assert all(b == pytest.approx(2 * a) for a, b in widths)
    small.figure.set_size_inches(16, 8)
    small.figure.draw_without_rendering()
    assert small.texts[0].get_fontsize() == pytest.approx(large.texts[0].get_fontsize())


@pytest.mark.filterwarnings("ignore:Glyph")  # of fonts that have not every letter
@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_text_for_matplotlib_too(name):
    pytest.importorskip("matplotlib")
    ax = named(name).plot()
    ax.figure.draw_without_rendering()  # maths that is none would raise
    shown = [text for text in ax.texts if text.line == name]
    assert shown and (shown[0].maths or shown[0].get_text() == name)


def test_indices_are_set_below_the_line_in_the_font_of_the_text():
    pytest.importorskip("matplotlib")
    texts = {text.line: text.get_text() for text in tg.draw(network("RNN", T=3)).plot().texts}
    assert texts["h_3"] == r"h$_{\mathregular{3}}$" and texts["tanh (2,8)"] == "tanh (2,8)"


def test_the_fonts_are_those_of_rcparams():
    mpl = pytest.importorskip("matplotlib")
    with mpl.rc_context({"font.family": "serif"}):
        ax = tg.draw(network("RNN", T=2)).plot()
    assert {text.get_fontfamily()[0] for text in ax.texts} == {"serif"}


@needs_latex
@pytest.mark.slow
def test_pgf_has_its_text_set_by_latex(tmp_path):
    mpl = pytest.importorskip("matplotlib")
    ax = named(HOSTILE[0]).plot()
    shown = [text.get_text() for text in ax.texts]
    with mpl.rc_context({"pgf.texsystem": "pdflatex"}):
        ax.figure.savefig(tmp_path / "a.pgf")
    assert latex(HOSTILE[0]) in (tmp_path / "a.pgf").read_text("utf-8")
    assert [text.get_text() for text in ax.texts] == shown  # as they were, for other formats


def test_matplotlib_is_imported_when_it_is_asked_for():
    script = (
        "import sys, numpy as np, tinygrad_rnn as tg\n"
        "p = tg.draw(tg.nn.RNN(2, 3, rng=0)(np.ones((3, 1, 2)))[0].sum()); p.svg(), p.dot(), p.tikz()\n"
        "print('matplotlib' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_without_matplotlib_the_message_tells_the_cure(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    with pytest.raises(DrawError, match=r"tinygrad_rnn\[plot\].*\.svg"):
        tg.draw(network("RNN")).save(tmp_path / "a.pdf")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- LaTeX


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("W_xh b_h", "$W_{xh}$ $b_{h}$"),
        ("h_12 = σ(x)", r"$h_{12}$ = $\sigma$(x)"),
        ("W_hh_reverse", r"$W_{hh\,\mathrm{reverse}}$"),
        ("h#2_3", r"$h\#2_{3}$"),
        ("φ_1", r"$\varphi{}_{1}$"),
        ("memory_3", r"$\mathrm{memory}_{3}$"),
        ("my_tensor_3", r"my\_tensor\_3"),
        ("∇ ‖2.5‖", r"$\nabla$ $\Vert$2.5$\Vert$"),
        ("-0.5 to 1e-05", r"$-$0.5 to 1e{-}05"),
        ("my_tensor", r"my\_tensor"),
        ("a   b", r"a\quad{}b"),
        ("{}$&#%~^\\", r"\{\}\$\&\#\%\textasciitilde{}\textasciicircum{}\textbackslash{}"),
        ("漢", r"\tgother{漢}"),
    ],
)
def test_text_as_latex_has_it(line, wanted):
    assert latex(line) == wanted


def test_tikz_has_a_node_for_each_node_and_a_style_for_each_look():
    picture = tg.draw(network("RNN", T=3), level="op", grads=True)
    text = picture.tikz()
    names = re.findall(r"\\node\[[^\]]*\] \(([\w-]+)\) at", text)
    assert names == [node.id.replace("_", "-") for node in picture.nodes]
    used = set(re.findall(r"\\(?:path|node)\[(tg [a-z0-9 ]+)", text))
    assert used <= set(re.findall(r"^  (tg [a-z0-9 ]+)/\.style", text, re.M))
    assert "$h_{3}$" in text and PREAMBLE in text.split("\n")[0]
    assert set(re.findall(r"(?:fill|draw|text)=(tg [\w -]+)", text)) == set(re.findall(r"definecolor\{([^}]*)", text))


def compile_latex(folder: Path, *snippets: str, preamble: str = PREAMBLE) -> bytes:
    """The PDF of a document in which each snippet has a page."""
    pages = []
    for k, snippet in enumerate(snippets):
        (folder / f"{k}.tex").write_text(snippet, "utf-8")
        pages.append(rf"\setbox0\hbox{{\input{{{k}.tex}}}}\shipout\box0")
    document = ["\\documentclass{article}", preamble, r"\begin{document}", *pages, r"\end{document}"]
    (folder / "document.tex").write_text("\n".join(document), "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert run.returncode == 0, run.stdout[-2000:]
    return (folder / "document.pdf").read_bytes()


@needs_latex
@pytest.mark.slow
def test_tikz_compiles_whatever_a_tensor_is_called(tmp_path):
    """Each page is a picture: those of every graph, and of names that LaTeX would read as something else."""
    snippets = [picture.tikz() for _, picture in pictures()]
    snippets += [tg.draw(GRAPHS[graph](), grads=True).tikz() for graph in GRAPHS]
    snippets += [named(name).tikz() for name in HOSTILE]
    assert compile_latex(tmp_path, *snippets).startswith(b"%PDF")


@needs_latex
@pytest.mark.slow
def test_one_goes_on_by_hand(tmp_path):
    more = r"\draw[->] (t1-h) to[bend left] node[above] {by hand} (t2-h);\end{tikzpicture}"
    text = tg.draw(network("RNN", T=2), level="op").tikz().replace(r"\end{tikzpicture}", more)
    assert compile_latex(tmp_path, text)


# ---------------------------------------------------------------- Graphviz


def test_the_digraph_of_the_graphviz_package():
    import graphviz

    picture = tg.draw(network("RNN"))
    graph = picture.digraph()
    assert isinstance(graph, graphviz.Digraph) and graph.source == picture.dot()
    assert "layout=nop2" in graph.source and "pos=" not in picture.digraph(pinned=False).source
    graph.node("mine")  # it is the caller's
    assert "mine" not in picture.dot()


@needs_dot
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["dot", "neato"])
def test_an_engine_of_graphviz_makes_a_layout_of_its_own(tmp_path, engine):
    picture = tg.draw(windows("RNN"))
    assert picture.save(tmp_path / "a.png", engine=engine).read_bytes().startswith(b"\x89PNG")
    assert "<svg" in picture.save(tmp_path / "a.svg", engine=engine).read_text("utf-8")


def test_engines_that_there_are_not(tmp_path, monkeypatch):
    picture = tg.draw(network("RNN"))
    with pytest.raises(DrawError, match=r"engine must be one of .*dot.*neato.*not 'dott'"):
        picture.save(tmp_path / "a.png", engine="dott")
    with pytest.raises(DrawError, match="not to tex"):
        picture.save(tmp_path / "a.tex", engine="dot")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DrawError, match="needs the program Graphviz: install it"):
        picture.save(tmp_path / "a.png", engine="dot")
    assert not list(tmp_path.iterdir())


def test_an_engine_that_does_not_finish(tmp_path, monkeypatch):
    from tinygrad_rnn.pictures import render

    program = tmp_path / "dot"
    program.write_text(f"#!{sys.executable}\nimport time; time.sleep(10)\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(render, "SECONDS", 0.3)
    with pytest.raises(DrawError, match="did not finish within"):
        tg.draw(network("RNN")).save(tmp_path / "a.png", engine="dot")
    assert list(tmp_path.iterdir()) == [program]


# ---------------------------------------------------------------- files


BEGINNINGS = {
    "svg": b"<svg", "dot": b"//", "gv": b"//", "tex": b"% A picture", "pdf": b"%PDF", "png": b"\x89PNG", "eps": b"%!PS",
    "ps": b"%!PS", "PDF": b"%PDF",
}  # fmt: skip


@pytest.mark.parametrize("ending", BEGINNINGS)
def test_saving_by_the_ending_of_the_name(tmp_path, ending):
    if ending.lower() in ("pdf", "png", "eps", "ps"):
        pytest.importorskip("matplotlib")
    picture, path = tg.draw(network("RNN", T=2)), tmp_path / f"a.{ending}"
    assert picture.save(str(path)) == path
    data = path.read_bytes()
    assert data.startswith(BEGINNINGS[ending])
    picture.save(path)  # over one of its kind
    if ending not in ("eps", "ps"):  # which are dated
        assert path.read_bytes() == data
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_what_cannot_be_saved(tmp_path):
    picture = tg.draw(network("RNN"))
    for name in ("a.gif", "a", "svg", "a.tikz"):
        with pytest.raises(DrawError, match=r"the name must end in \.svg, \.dot, .* or \.ps"):
            picture.save(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        picture.save(tmp_path / "nowhere" / "a.svg")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(DrawError, match="a folder"):
        picture.save(tmp_path / "folder.svg")
    (tmp_path / "thesis.tex").write_text(r"\documentclass{book}")
    with pytest.raises(DrawError, match="another file has that name, and it is no tex"):
        picture.save(tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == r"\documentclass{book}"


def test_every_look_has_a_colour_that_every_format_can_name():
    for name in theme.THEMES:
        for look in theme.looks(name, gradients=True).values():
            assert all(colour == "none" or re.fullmatch("#[0-9A-F]{6}", colour) for colour in (look.fill, look.stroke))
