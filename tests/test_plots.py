"""The plots, and the activations that one of them shows. What is drawn is compared with the numbers it was given."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DrawError, GraphError

matplotlib = pytest.importorskip("matplotlib")
plots = importlib.import_module("tinygrad_rnn.plots")
ROOT = Path(__file__).parents[1]


def axes():
    from matplotlib.figure import Figure

    return Figure().subplots()


def test_each_plot_draws_into_the_axes_it_is_given():
    loss = tg.nn.LSTM(2, 3, rng=0)(np.ones((6, 1, 2)))[0].sum()
    report = tg.bptt.jacobians(loss)
    draws = [
        lambda ax: plots.loss_curve([{"step": 1, "bits": 2.0}], ax=ax),
        lambda ax: plots.log_curves({"a": ([1, 2], [0.1, 0.0])}, "t", "norm", ax),
        lambda ax: plots.heat_map(np.ones((2, 2)), [1, 2], [1, 2], "k", "t", "norm", ax),
        lambda ax: plots.singular_values(report, ax),
        lambda ax: plots.text_map("ab", [0.5, -1], ax),
    ]
    for draw in draws:
        ax = axes()
        assert draw(ax) is ax
        assert draw(None) is not ax


def test_all_singular_values_are_drawn():
    loss = tg.nn.LSTM(2, 3, rng=0)(np.random.default_rng(0).normal(size=(6, 2, 2)))[0].sum()
    report = tg.bptt.jacobians(loss)
    *lines, one = plots.singular_values(report).lines
    drawn = np.array([line.get_ydata() for line in lines][::-1]).T
    assert drawn.shape == (5, 6) and np.allclose(drawn, report.singular_values[:, 0])
    assert list(lines[-1].get_xdata()) == [1, 2, 3, 4, 5] and lines[-1].get_label() == "largest"
    assert set(one.get_ydata()) == {1}


def test_the_legend_of_singular_values_says_which_line_is_which():
    loss = tg.nn.RNN(2, 4, rng=0)(np.random.default_rng(0).normal(size=(6, 1, 2)))[0].sum()
    ax = plots.singular_values(tg.bptt.jacobians(loss))
    looks = {line.get_label(): (line.get_color(), line.get_linestyle()) for line in ax.lines[:-1]}
    named = {text.get_text() for text in ax.get_legend().get_texts()}
    assert named == {"largest", "between", "least"} and len({looks[name] for name in named}) == 3
    one = tg.nn.RNN(2, 1, rng=0)(np.ones((6, 1, 2)))[0].sum()
    (text,) = plots.singular_values(tg.bptt.jacobians(one)).get_legend().get_texts()
    assert text.get_text() == "largest"


def test_tables_that_are_compared_share_a_scale():
    left, right = plots.new_axes(1, 2)
    norms = [np.array([[1.0, np.nan], [1e-2, 0.5]]), np.array([[10.0, np.nan], [1e-4, 0.0]])]
    for ax, table in zip((left, right), norms, strict=True):
        plots.heat_map(table, [1, 2], [1, 2], "k", "t", "norm", ax)
    scales = [next(image.norm for image in ax.images if image.get_label() == "norm") for ax in (left, right)]
    assert scales[0] is scales[1] and (scales[0].vmin, scales[0].vmax) == (1e-4, 10.0)
    alone = plots.heat_map(norms[0], [1, 2], [1, 2], "k", "t", "norm").images[-1].norm
    assert (alone.vmin, alone.vmax) == (1e-2, 1.0)


def test_no_line_goes_through_the_words_of_a_legend():
    log = [{"step": k, "bits": 4.0 - k / 10} for k in range(10)]
    ax = plots.loss_curve(log, {"unigram": 3.5, "bigram": 3.2})
    frame = ax.get_legend().get_frame()
    assert frame.get_alpha() == 1 and frame.get_visible()
    assert ax.get_legend().get_zorder() > max(line.get_zorder() for line in ax.lines)


def test_a_text_map_puts_each_character_on_the_colour_of_its_value():
    text, values = "abc\nde fg", np.linspace(-1, 1, 9)
    ax = plots.text_map(text, values, columns=4)
    places = {(int(c.get_position()[1]), int(c.get_position()[0])): c.get_text() for c in ax.texts}
    assert places == {
        (0, 0): "a", (0, 1): "b", (0, 2): "c", (0, 3): "⏎",
        (1, 0): "d", (1, 1): "e", (1, 2): " ", (1, 3): "f", (2, 0): "g",
    }  # fmt: skip
    grid = ax.images[0].get_array()
    assert [grid[place] for place in places] == list(values)
    assert np.ma.getmaskarray(np.ma.masked_invalid(grid))[2, 1:].all()  # nothing beyond the end of the text
    assert ax.images[0].get_clim() == (-1, 1)
    assert plots.text_map("ab", [0.1, 0.9]).images[0].get_clim() == (0, 1)
    assert not any(c.get_parse_math() for c in plots.text_map("$x_1$", np.zeros(5)).texts)


def test_a_text_map_needs_a_value_for_each_character():
    with pytest.raises(ValueError, match="3 characters"):
        plots.text_map("abc", [1.0, 2.0])


def test_without_matplotlib_the_plots_say_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(DrawError, match=r"tinygrad_rnn\[plot\]"):
        plots.new_axes()


# ---------------------------------------------------------------- activations


@pytest.mark.parametrize("fused", [True, False])
def test_activations_satisfy_the_equations_of_the_cell(fused):
    lstm = tg.nn.LSTM(2, 3, dtype=float, rng=0, fused=fused)
    output, (h, _) = lstm(np.random.default_rng(0).normal(size=(5, 2, 2)))
    a = tg.bptt.activations(output)
    assert list(a) == ["i", "f", "g", "o", "c", "h"] and all(part.shape == (5, 2, 3) for part in a.values())
    assert np.allclose(a["c"][1:], a["f"][1:] * a["c"][:-1] + a["i"][1:] * a["g"][1:])
    assert np.allclose(a["h"], a["o"] * np.tanh(a["c"]))
    assert np.allclose(a["h"], output.data) and np.allclose(a["h"][-1], h.data[0])


def test_activations_of_a_layer_in_time_order():
    gru = tg.nn.GRU(2, 3, num_layers=2, bidirectional=True, rng=0)
    output, _ = gru(np.ones((4, 1, 2)))
    a = tg.bptt.activations(output, "gru_l1_reverse")
    assert np.allclose(a["h"], output.data[:, :, 3:])
    with pytest.raises(ValueError, match="gru_l1_reverse"):
        tg.bptt.activations(output)
    with pytest.raises(ValueError, match="no layer 'lstm'"):
        tg.bptt.activations(output, "lstm")


def test_what_has_no_named_steps_has_no_activations():
    with pytest.raises(GraphError, match="name"):
        tg.bptt.activations(tg.tensor([1.0], requires_grad=True) * 2)
    with pytest.raises(TypeError, match="Tensor"):
        tg.bptt.activations(np.ones(3))


# ---------------------------------------------------------------- the gallery


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def example():
    return load("plots")


def test_the_gallery_shows_every_picture_of_the_documentation():
    page = (ROOT / "docs" / "gallery.md").read_text("utf-8")
    shown = load("pictures")
    assert all(f"pictures/{make.__name__}.svg" in page for make in (*shown.SHOWN, *shown.OPTIONS))


@pytest.mark.slow
def test_the_gallery_shows_the_plots_that_the_example_draws(example, tmp_path):
    """Not compared byte by byte with those in docs/plots: another matplotlib, or processor, draws other digits."""
    example.STEPS = 20  # of training
    example.main([str(tmp_path)])
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == sorted(path.name for path in (ROOT / "docs" / "plots").glob("*.svg"))
    page = (ROOT / "docs" / "gallery.md").read_text("utf-8")
    assert all(f"plots/{name}" in page for name in drawn)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    example.main([str(tmp_path)])
    assert first == {path.name: path.read_bytes() for path in tmp_path.iterdir()}  # no date, no ids by chance


@pytest.mark.slow
def test_the_unit_of_the_gallery_knows_the_quotation_marks(example):
    """What the gallery says in words of this picture."""
    upper, lower = example.gates().figure.axes[:2]
    text = "".join(c.get_text() for c in upper.texts)
    inside = np.cumsum([c == '"' for c in text]) % 2
    memory, forget = (grid[~np.isnan(grid)] for grid in (np.asarray(ax.images[0].get_array()) for ax in (upper, lower)))
    assert abs(np.corrcoef(memory, inside)[0, 1]) > 0.9
    marks = np.array([c == '"' for c in text])
    assert forget[marks].mean() < 0.2 < 0.7 < forget[~marks].mean()
    _, _, log, levels = example.trained()
    assert log[-1]["bits"] < levels["bigram"]
