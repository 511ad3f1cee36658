"""What a notebook shows of our objects: the same as a terminal, as tables; figures, bars and pages of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import notebook, plots
from tinygrad_rnn.unrolled.tables import Report


class Cells(HTMLParser):
    """The cells of a table, row by row, and the words above it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.note, self.tags, self.text = "", set(), ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.text = ""
        if tag == "tr":
            self.rows.append([])

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.rows[-1].append(self.text)
        elif tag == "p":
            self.note = self.text


def lstm_loss(steps: int = 3) -> tuple[tg.Tensor, tg.nn.LSTM]:
    layer = tg.nn.LSTM(2, 3, dtype=float, rng=0)
    output, _ = layer(np.random.default_rng(0).normal(size=(steps, 2, 2)))
    return (output * output).sum(), layer


REPORTS = {
    "Flow": lambda steps: tg.bptt.flow(lstm_loss(steps)[0]),
    "Jacobians": lambda steps: tg.bptt.jacobians(lstm_loss(steps)[0]),
    "Decomposition": lambda steps: (lambda loss, layer: tg.bptt.decompose(loss, layer.W_hh))(*lstm_loss(steps)),
    "Remedies": lambda steps: tg.bptt.remedies(T=max(steps, 5), hidden=2),
}


def all_reports(kind: type = Report) -> set[str]:
    return {name for sub in kind.__subclasses__() for name in (sub.__name__, *all_reports(sub))}


def test_every_report_is_tried():
    ours = {kind.__name__ for kind in Report.__subclasses__() if kind.__module__.startswith("tinygrad_rnn.bptt")}
    assert ours == set(REPORTS)


@pytest.mark.parametrize("steps", [3, 60])
@pytest.mark.parametrize("name", REPORTS)
def test_a_report_has_the_same_cells_as_when_it_is_printed(name, steps):
    report = REPORTS[name](steps)
    shown = Cells(report._repr_html_())
    printed = str(report)
    lines = printed.removeprefix(shown.note).strip("\n").splitlines()
    assert printed.startswith(shown.note)
    assert len(lines) == len(shown.rows)
    for line, row in zip(lines, shown.rows, strict=True):
        assert re.sub(r"\s+", "", line) == re.sub(r"\s+", "", "".join(row))


@pytest.mark.parametrize("steps", [2, 30])
def test_a_tape_has_the_same_cells_as_when_it_is_printed(steps):
    loss, layer = lstm_loss(steps)
    layer.W_hh.name = "<b>&W"
    tape = tg.tape(loss)
    shown = Cells(tape._repr_html_())
    assert "b" not in shown.tags  # a name is a name, and no markup
    lines = str(tape).splitlines()
    assert len(lines) == len(shown.rows)
    for line, row in zip(lines, shown.rows, strict=True):
        assert line.split() == " ".join(row).split()


def test_a_module_is_a_table_of_its_parameters():
    class Model(tg.nn.Module):
        def __init__(self):
            self.embedding = tg.nn.Embedding(5, 4, rng=0)
            self.rnn = tg.nn.RNN(4, 4, rng=0, dtype=float)
            self.tied = self.embedding

        def forward(self, x):
            return self.rnn(self.embedding(x))

    model = Model()
    model.embedding.requires_grad_(False)
    shown = Cells(model._repr_html_())
    assert shown.rows[1:] == [
        ["embedding.W", "(5, 4)", "20", "float32", "frozen"],
        ["rnn.W_xh", "(4, 4)", "16", "float64", ""],
        ["rnn.W_hh", "(4, 4)", "16", "float64", ""],
        ["rnn.b_h", "(4,)", "4", "float64", ""],
    ]
    assert shown.note == "Model: 56 parameters in 4 tensors, 20 of them frozen"
    assert Cells(tg.nn.Linear(1000, 2)._repr_html_()).note == "Linear(1000, 2): 2,002 parameters in 2 tensors"


def test_a_page_is_shown_whole_within_the_notebook(tmp_path):
    page = tg.page(lstm_loss()[0], tmp_path / "tape.html")
    (held,) = re.findall(r'srcdoc="([^"]*)"', page._repr_html_())
    assert unescape(held) == page.read_text("utf-8")
    assert page == tmp_path / "tape.html"
    assert page.parent._repr_html_() is None  # a path made of it is no page


@pytest.fixture
def kernel(monkeypatch):
    """As in the kernel of a notebook."""
    shell = types.SimpleNamespace(kernel=None, config={}, get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))


def test_a_terminal_is_no_notebook(monkeypatch):
    assert not notebook.inside()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=object))
    assert not notebook.inside()


def test_a_bar_moves_in_a_notebook_and_is_silent_in_a_log(kernel, monkeypatch, capsys):
    assert list(notebook.progress([1, 2], layout="{percentage:3.0f}%")) == [1, 2]
    assert "100%" in capsys.readouterr().err
    assert list(notebook.progress([1, 2], layout="", hidden=True)) == [1, 2]
    monkeypatch.delitem(sys.modules, "IPython")
    assert list(notebook.progress([1, 2], layout="{percentage:3.0f}%")) == [1, 2]  # standard error is no terminal here
    assert capsys.readouterr().err == ""


def test_a_plot_is_pyplots_in_a_notebook_alone(monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    pyplot.close("all")
    plots.new_axes()
    assert pyplot.get_fignums() == []
    monkeypatch.setattr(plots, "inside", lambda: True)
    figure = plots.new_axes().figure
    assert pyplot.get_fignums() == [figure.number]
    pyplot.close("all")


def test_matplotlib_takes_tensors():
    pytest.importorskip("matplotlib")
    x, weights = tg.tensor([0.0, 1.0, 4.0]), tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    ax = plots.new_axes()
    (line,) = ax.plot(x)
    ax.plot(x, weights.detach())
    ax.bar([1, 2, 3], x)
    ax.scatter(x, x)
    ax.imshow(x.reshape(1, 3))
    assert line.get_ydata().tolist() == [0, 1, 4]
    with pytest.raises(tg.errors.GraphError, match=r"t\.detach\(\)"):
        ax.plot(weights)


CELLS = {
    "text/html": [
        "tg.tape(loss)",
        "tg.bptt.flow(loss)",
        "tg.bptt.jacobians(loss)",
        "tg.bptt.decompose(loss, lstm.W_hh)",
        "lstm",
        "tg.draw(loss)",
        "tg.page(loss, 'tape.html')",
    ],
    "image/png": ["tg.bptt.flow(loss).plot()", "from matplotlib import pyplot\npyplot.plot(output.detach()[:, 0, 0])"],
}
BEGIN = (
    "import numpy as np, tinygrad_rnn as tg\nlstm = tg.nn.LSTM(2, 3, rng=0)\noutput, _ = lstm(np.ones((4, 1, 2)))\n"
    "loss = (output * output).sum()"
)
BAR = "from tinygrad_rnn.notebook import progress\nlist(progress(range(3), layout='', desc='steps'));"


@pytest.mark.slow
def test_a_notebook_shows_them(tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    pytest.importorskip("matplotlib")
    wanted = {source: kind for kind, sources in CELLS.items() for source in sources}
    cells = [nbformat.v4.new_code_cell(source) for source in (BEGIN, *wanted, BAR)]
    book = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    _, *shown, bar = book.cells
    for cell in shown:
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        assert wanted[cell.source] in kinds, cell.source
    assert bar.outputs
    (tmp_path / "shown.ipynb").write_text(nbformat.writes(book), "utf-8")


def test_the_kernel_of_a_notebook_is_not_loaded_to_ask_for_it():
    code = "import sys, tinygrad_rnn.notebook as n; assert not n.inside(); assert 'IPython' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
