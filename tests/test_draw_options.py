"""What the author of a picture says of its look: each option does what it says, and is refused by name."""

from __future__ import annotations

import inspect
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from graphs import GRAPHS, between_cells, marks, network, recorded, windows

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DrawError
from tinygrad_rnn.pictures.figure import Page
from tinygrad_rnn.pictures.marks import Block, Panel, Path, Text
from tinygrad_rnn.pictures.options import DIRECTIONS, Look, Options


def loss_of(T: int = 4) -> tg.Tensor:
    output, _ = tg.nn.RNN(2, 3, rng=0)(np.ones((T, 1, 2)))
    return (output * output).sum()


WRONG: dict[str, tuple[Any, ...]] = {
    "theme": ("pink", None),
    "width": ("8.5", "wide", "0cm", -3, 0, [1]),
    "height": ("8.5", "tall", "0cm", -3, [1], "8cm"),  # the last is right, but has no width
    "labels": ("the cat", [1, 2, 3, 4], ["the", "cat"], {9: "x"}, 3),
    "title": (3, ["a"], " "),
    "direction": ("north", None, 1),
    "show": ("shapes", {"shape": False}, {"shapes": 1}, {"gradients": "bars"}, ["shapes"]),
    "scale": (0, "1", (1, 1e-3), (0, 1), (1, np.inf), (1, 2, 3)),
    "colors": ("rainbow", {"states": "#112233"}, {"state": "red"}, 3),
    "highlight": (7, "q", 2.5, [None]),
    "font": (3, "", " "),
    "size": (2, "large", 1000),
    "legend": ("no", None),
    "notes": (0, "below"),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]], ids=str)
def test_a_wrong_option_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(DrawError, match=f"^{name} must "):
        tg.draw(loss_of(), **{name: value})


def test_blank_words_are_none_and_other_blank_names_are_refused() -> None:
    words = [mark.words for mark in marks(tg.draw(loss_of(), labels=["the", "", " ", "end"]).drawn, Text)]
    assert [word for word in words if word in ("the", "", " ", "end")] == ["the", "end"]
    for name, value in {"level": "", "steps": [""], "highlight": "", "names": {"": tg.tensor(1.0)}}.items():
        with pytest.raises(DrawError, match=f"^{name}"):
            tg.draw(loss_of(), **{name: value})  # type: ignore[call-overload]
    for names in ([1], "x", 3, {1: tg.tensor(1.0)}):
        with pytest.raises(DrawError, match=r"^names must be "):
            tg.draw(loss_of(), names=names)  # type: ignore[call-overload]
    with pytest.raises(DrawError, match="engine must be one of"):
        tg.draw(loss_of()).save("x.png", engine="")


def test_what_speaks_of_time_steps_is_refused_of_a_graph_that_has_none() -> None:
    loss = tg.tensor([1.0, 2.0], requires_grad=True).sum()
    for name, value in {"steps": [1], "labels": {1: "the"}, "highlight": 1}.items():
        with pytest.raises(DrawError, match=f"^{name} .* none"):
            tg.draw(loss, **{name: value})  # type: ignore[call-overload]
    assert tg.draw(loss, steps="all").nodes


def test_every_option_is_known_to_the_record_to_the_checker_and_to_these_tests() -> None:
    parameters = inspect.signature(tg.draw).parameters
    by_name = {name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert by_name == set(Look.__annotations__) == set(WRONG) - {"theme"}
    assert by_name | {"theme", "grads", "values"} == set(Options.__slots__)
    assert all(parameters[name].default == getattr(Options(), name) for name in by_name)
    with pytest.raises(TypeError, match="legnd"):
        tg.draw(loss_of(), legnd=False)  # type: ignore[call-overload]


def test_a_title_of_ones_own_or_none() -> None:
    assert "RNN: 4 time steps" in tg.draw(loss_of()).svg()
    own = tg.draw(loss_of(), title="Memory & time").svg()
    assert "Memory &amp; time" in own and "RNN: 4 time steps" not in own
    assert "RNN: 4 time steps" not in tg.draw(loss_of(), title="").svg()


@pytest.mark.parametrize("level", ["op", "cell", "layer"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_time_goes_where_it_is_told_and_depth_up_or_to_the_right(direction: str, level: str) -> None:
    loss = network("LSTM", T=3, layers=2)
    drawn = tg.draw(loss, level, direction=direction).drawn
    ahead = {"right": (1, 0), "left": (-1, 0), "up": (0, 1), "down": (0, -1)}[direction]
    deep = (0, 1) if ahead[0] else (1, 0)
    at = {block.id: np.array([block.x, block.y]) for block in marks(drawn, Block)}
    for edge in tg.draw(loss, level).edges:
        inside = edge.source.split("_")[0] == edge.target.split("_")[0]
        way = (at[edge.target] - at[edge.source]) @ (deep if inside else ahead)
        if edge.kind == "state" and not edge.source.startswith("all"):
            assert way > 0 or level == "op", edge
        elif inside:
            assert way > 0, edge
    loss_box = next(block for block in marks(drawn, Block) if block.box.kind == "loss")
    assert loss_box.width > 1.3 * loss_box.height  # boxes do not lie on their side
    for x, y, w, h in [(b.x, b.y, b.width, b.height) for b in marks(drawn, Block)]:
        assert min(x - w / 2, y - h / 2) > -0.5 and x + w / 2 < drawn.width + 0.5 and y + h / 2 < drawn.height + 0.5


def test_legend_and_notes_are_left_out_when_asked() -> None:
    loss = network("RNN", T=12)
    whole, bare = tg.draw(loss, grads=True).svg(), tg.draw(loss, grads=True, legend=False, notes=False).svg()
    below = whole.count("shared weight, drawn at each use"), whole.count(">Weights: "), whole.count("its norm:")
    assert below == (1, 1, 1)
    assert not any(words in bare for words in ("shared weight, drawn at each use", ">Weights: ", "its norm:"))
    assert "its norm:" in tg.draw(loss, grads=True, notes=False).svg()
    assert ">Weights: " in tg.draw(loss, grads=True, legend=False).svg()
    dot = tg.draw(loss, grads=True, legend=False, notes=False).dot()
    assert "Beside an edge" not in dot and "Weights:" not in dot


# ---------------------------------------------------------------- the width


def letters(picture: Any) -> float:
    """The size of the smallest letters, in pt."""
    root = ET.fromstring(picture.svg())
    scale = float(root.attrib["width"]) / float(root.attrib["viewBox"].split()[2])
    sizes = re.findall(r'font-size="([\d.]+)"', picture.svg())
    return min(map(float, sizes)) * scale * 72 / 96


@pytest.mark.slow
@pytest.mark.parametrize("grads", [False, True])
@pytest.mark.parametrize("graph", GRAPHS)
def test_letters_can_be_read_at_the_width_that_is_stated(graph: str, grads: bool) -> None:
    loss = GRAPHS[graph]()
    for width, px in (("8.5cm", 8.5 / 2.54 * 96), ("7in", 672.0), (900, 900.0)):
        picture = tg.draw(loss, grads=grads, width=width)
        root = ET.fromstring(picture.svg())
        assert float(root.attrib["width"]) == pytest.approx(px, abs=0.06)
        assert letters(picture) > 6.45
        right = max(block.x + block.width / 2 for block in marks(picture.drawn, Block))
        assert right <= picture.drawn.width + 0.5
        for line, x, _ in recorded(picture).texts:
            assert x < float(root.attrib["viewBox"].split()[2]), line


@pytest.mark.slow
@pytest.mark.parametrize("graph", [graph for graph in GRAPHS if graph not in ("mlp", "chain")])
def test_every_network_can_be_read_in_a_column_at_each_level_but_the_ops(graph: str) -> None:
    for level in ("cell", "layer", "strip"):
        picture = tg.draw(GRAPHS[graph](), level, grads=True, width="8.5cm")
        assert letters(picture) > 6.45


def test_a_picture_that_cannot_be_read_at_its_width_is_refused_with_what_it_needs() -> None:
    with pytest.raises(DrawError, match=r"width='3cm' is too narrow .* needs \d+\.\d cm for letters of 6.5 pt"):
        tg.draw(network("LSTM", T=4), level="op", width="3cm")
    with pytest.raises(DrawError, match="letters of 20 pt"):
        tg.draw(network("LSTM", T=4), width="8.5cm", size=20)


def test_lines_hold_all_steps_and_what_runs_from_line_to_line_is_drawn_on_both() -> None:
    picture = tg.draw(network("RNN", T=6), width="8.5cm", steps="all", grads=True)
    drawn = picture.drawn
    assert picture.steps == [1, 2, 3, 4, 5, 6] and drawn.lines > 1
    panels = marks(drawn, Panel)
    assert len({round(panel.y) for panel in panels}) == drawn.lines
    order = sorted(panels, key=lambda panel: (-panel.y, panel.x))
    assert [panel.column.t for panel in order] == picture.steps  # like the words of a text
    broken = [path for path in marks(drawn, Path) if path.earlier]
    assert {"h"} <= {path.edge.name for path in broken if path.edge.kind == "state"}
    for path in broken:
        for before, after in pairwise((*path.earlier, path.points)):
            assert before[-1][0] > drawn.width / 3 and after[0][0] < 1 and before[-1][1] - after[0][1] > 50


def stack(T: int = 4) -> tg.Tensor:
    """The last output of three layers."""
    return (tg.nn.LSTM(4, 5, 3, rng=0)(np.ones((T, 1, 4)))[0][-1] ** 2).sum()


FIGURES = {
    **{
        name: GRAPHS[name] for name in ("lstm", "bidirectional", "folded", "many windows", "per step", "long attention")
    },
    "three layers": stack,
    "windows": lambda: windows("RNN", T=6, k=2),
}


def size(picture: Any) -> tuple[float, ...]:
    """Width and height, in cm."""
    root = ET.fromstring(picture.svg())
    return tuple(round(float(root.attrib[name]) / 96 * 2.54, 2) for name in ("width", "height"))


def emptiest(drawn: Any) -> float:
    """How high the highest stretch is, all over the width, in which there is neither box nor edge."""
    spans = [(box.y - box.height / 2, box.y + box.height / 2) for box in marks(drawn, Block)]
    for path in marks(drawn, Path):
        spans += [(min(y), max(y)) for y in ([y for _, y in piece] for piece in (*path.earlier, path.points))]
    reached, most = 0.0, 0.0
    for low, high in sorted(spans):
        most, reached = max(most, low - reached), max(reached, high)
    return max(most, drawn.height - reached)


@pytest.mark.slow
@pytest.mark.parametrize("grads", [False, True])
@pytest.mark.parametrize("graph", FIGURES)
def test_a_figure_fits_into_the_column_of_a_page(graph: str, grads: bool) -> None:
    loss = FIGURES[graph]()
    for level in (None, "cell", "layer"):
        for width in (8.5, 17.0):
            picture = tg.draw(loss, level, grads=grads, width=f"{width}cm")
            wide, tall = size(picture)
            assert wide == pytest.approx(width, abs=0.01) and tall <= 20.0
            assert letters(picture) > 6.45
            assert emptiest(picture.drawn) < 80
            into = [path for path in between_cells(picture.drawn) if path.edge.target.template.boxes[0].kind == "loss"]
            assert any(not path.earlier for path in into) or graph == "bidirectional"  # the loss is on their line
            if level != "layer":
                known = [*picture.steps, *(t for a, b in picture.hidden for t in range(a, b + 1))]
                assert sorted(known) == picture.picture.reading.times
                folds = " ".join(node.label for node in picture.nodes if node.kind == "fold")
                assert all(f"t = {a}" in folds and f"{b}" in folds for a, b in picture.hidden)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_the_ops_of_one_layer_fit_into_the_width_of_a_page(kind: str) -> None:
    for T in (3, 30):
        picture = tg.draw(network(kind, T=T), "op", grads=True, width="17cm")
        assert size(picture)[1] <= 20.0 and letters(picture) > 6.45 and picture.steps[-1] == T


def test_what_is_folded_for_want_of_height_is_said_where_it_is_folded() -> None:
    picture = tg.draw(windows("RNN", T=12, k=2), "cell", width="8.5cm", height="10cm")
    assert size(picture)[1] <= 10.0 and picture.hidden
    labels = {node.id: node.label for node in picture.nodes if node.kind == "fold"}
    assert len(labels) == len(picture.hidden)
    for first, last in picture.hidden:
        cuts = sum(first <= t <= last for t in (3, 5, 7, 9, 11))
        losses = sum(first <= t <= last for t in (2, 4, 6, 8, 10, 12))
        label = next(label for label in labels.values() if f"t = {first}" in label)
        assert f"{cuts} cut" in label and f"{losses} loss" in label
    inside = [sum(map(int, re.findall(rf"(\d+) {word}", " ".join(labels.values())))) for word in ("cut", "loss")]
    assert "not shown: {} cuts and {} losses".format(*inside) in picture.svg()


def test_the_steps_that_are_asked_for_are_shown_however_tall_that_is() -> None:
    loss = network("RNN", T=6)
    assert tg.draw(loss, width="8.5cm", steps="all", grads=True).steps == [1, 2, 3, 4, 5, 6]
    with pytest.raises(DrawError, match=r"height='5cm' is too low .* needs \d+\.\d cm .* legend=False needs less"):
        tg.draw(loss, width="8.5cm", height="5cm", steps="all")
    with pytest.raises(DrawError, match=r"height='1cm' is too low .* 6.5 pt$"):
        tg.draw(GRAPHS["mlp"](), width="8.5cm", height="1cm", legend=False)
    low = tg.draw(loss, "cell", width="8.5cm", height="8cm", notes=False)
    assert size(low)[1] <= 8.0 and letters(low) > 6.45
    tall = tg.draw(network("LSTM", T=3, layers=2), "op", width="17cm", height="40cm")
    assert 20.0 < size(tall)[1] <= 40.0


def test_what_is_too_tall_however_it_is_folded_is_drawn_as_low_as_it_goes() -> None:
    low, asked = (tg.draw(stack(), "op", steps, width="17cm") for steps in (None, "all"))
    assert len(low.steps) == 1 and 20.0 < size(low)[1] < size(asked)[1]


def test_entries_of_small_arrays_are_written_as_norms_when_asked() -> None:
    loss = loss_of()
    entries, norms = (tg.draw(loss, "cell", grads=True, show={"entries": told}).figures for told in (True, False))
    assert all(line.startswith("∇ [") for (line,) in entries.values() if line.startswith("∇ [") or "‖" in line)
    assert not any("[" in line for lines in norms.values() for line in lines)
    assert norms["t4_cell"][0].startswith("∇ ‖")


def test_the_ribbon_is_left_out_when_asked_and_at_last_for_want_of_height() -> None:
    loss = network("LSTM", T=30)
    assert tg.draw(loss, grads=True).ribbons and not tg.draw(loss, grads=True, show={"ribbon": False}).ribbons
    assert tg.draw(loss, "strip", show={"ribbon": False}).ribbons  # there it is all there is
    high, low = (tg.draw(loss, grads=True, width="8.5cm", height=height, legend=False) for height in ("8cm", "5cm"))
    assert high.ribbons and not low.ribbons and size(low)[1] <= 5.0


@pytest.mark.parametrize("graph", ["lstm", "three layers"])
def test_the_ribbons_of_several_states_stand_side_by_side_where_there_is_room(graph: str) -> None:
    picture = tg.draw(FIGURES[graph](), "layer", grads=True, width="8.5cm")
    h, c = picture.ribbons
    assert {row.state for row in h.rows} == {"h"} and {row.state for row in c.rows} == {"c"}
    assert h.room < c.left + 44 and c.room <= picture.picture.page - 4
    assert len(tg.draw(FIGURES[graph](), "layer", grads=True).ribbons) == 1


def test_several_graphs_share_the_height_of_a_page() -> None:
    losses = {}
    for layer in (tg.nn.RNN(4, 5, dtype=float, rng=0), tg.nn.LSTM(4, 5, dtype=float, rng=0)):
        losses[type(layer).__name__] = (layer(np.random.default_rng(0).normal(size=(12, 1, 4)))[0] ** 2).sum()
    both = tg.draw(losses, grads=True, width="8.5cm")
    assert size(both)[1] <= 20.0 and letters(both) > 6.45
    assert both.drawings[0].steps == both.drawings[1].steps
    ops = tg.draw(losses, "op", width="17cm")
    shapes = [any("(1,5)" in node.label for node in drawing.nodes) for drawing in ops.drawings]
    assert shapes == [False, False]  # both without those for which one has no room


def test_several_graphs_have_letters_of_one_size_at_the_width_that_is_stated() -> None:
    both = tg.draw({"short": loss_of(1), "long": network("LSTM", T=9, layers=2)}, width="12cm", grads=True)
    (short, long) = (drawing.picture for drawing in both.drawings)
    assert short.unit == long.unit and short.page == pytest.approx(long.page)
    assert float(ET.fromstring(both.svg()).attrib["width"]) == pytest.approx(12 / 2.54 * 96, abs=0.06)
    assert letters(both) > 6.45


def test_the_size_of_letters() -> None:
    assert letters(tg.draw(loss_of(), size=9)) == pytest.approx(9, abs=0.1)
    assert letters(tg.draw(loss_of(), size=9, width="15cm")) == pytest.approx(9, abs=0.1)
    assert letters(tg.draw(loss_of(), size=6.6, width="40cm")) == pytest.approx(6.6, abs=0.1)
    assert letters(tg.draw(loss_of(), width="40cm")) == pytest.approx(7.5, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("graph", GRAPHS)
def test_legend_and_notes_take_a_quarter_of_the_picture_at_most(graph: str) -> None:
    for options in ({}, {"width": "8.5cm"}, {"level": "layer"} if graph not in ("mlp", "chain") else {}):
        page = Page(tg.draw(GRAPHS[graph](), grads=True, **options).sheets())
        assert page.legend.height <= 0.25 * page.height


def test_the_legend_explains_what_is_in_the_picture_and_nothing_else() -> None:
    def said(**options: Any) -> str:
        return " ".join(line for line, *_ in recorded(tg.draw(windows("RNN", T=6, k=3), **options)).texts)

    assert "detached" in said() and "shared weight" in said() and "steps not shown" not in said()
    assert "its norm:" not in said() and "its norm:" in said(grads=True)
    assert "shared weight" not in said(show={"weights": False}) and "exactly 0" not in said(grads=True)


@pytest.mark.parametrize("T", range(4, 9))
def test_the_scale_of_gradients_stands_beside_its_words(T: int) -> None:
    texts = recorded(tg.draw(loss_of(T), "cell", grads=True)).texts
    (_, x, y), *_ = (text for text in texts if "its norm:" in text[0])
    numbers = [
        (there_x, there_y) for line, there_x, there_y in texts if re.fullmatch(r"[\d.e-]+", line) and there_y > y
    ]
    assert numbers and all(there_x > x and there_y == pytest.approx(y + 10) for there_x, there_y in numbers)


# ---------------------------------------------------------------- what boxes say


def test_words_under_the_steps() -> None:
    words = ["the", "cat", "sat", "down"]
    for direction in DIRECTIONS:
        picture = tg.draw(loss_of(), labels=words, direction=direction, level="cell")
        texts = {text.words: text for text in marks(picture.drawn, Text) if text.kind == "label"}
        assert list(texts) == words
        for t, word in enumerate(words, 1):
            panel = next(panel for panel in marks(picture.drawn, Panel) if panel.column.t == t)
            if direction in ("right", "left"):
                assert texts[word].x == panel.x + panel.width / 2 and texts[word].y < panel.y
            else:
                assert panel.y < texts[word].y < panel.y + panel.height and texts[word].x < 0
    some = tg.draw(loss_of(9), labels={9: "last"})
    assert [text.words for text in marks(some.drawn, Text) if text.kind == "label"] == ["last"]
    long = tg.draw(loss_of(), labels=["antidisestablishmentarianism"] * 4, level="cell").drawn
    panels = marks(long, Panel)
    assert all(a.x + a.width < b.x for a, b in pairwise(panels)) and panels[0].width > 120


def test_a_word_that_a_step_was_called_by_stands_under_it() -> None:
    h = tg.tensor(np.zeros(2), requires_grad=True, name="h_0")
    with tg.scope("net") as at:
        for word in ("the", "cat"):
            at(word)
            h = np.tanh(h)
    texts = marks(tg.draw(h.sum()).drawn, Text)
    assert [text.words for text in texts if text.kind == "label"] == ["the", "cat"]
    own = marks(tg.draw(h.sum(), labels=["a", "b"]).drawn, Text)
    assert [text.words for text in own if text.kind == "label"] == ["a", "b"]


@pytest.mark.parametrize("level", ["op", "cell", "layer"])
@pytest.mark.parametrize("graph", ["rnn", "lstm", "windows", "attention", "folded", "mlp"])
def test_shapes_and_weights_are_left_out_when_asked(graph: str, level: str) -> None:
    if graph == "mlp" and level == "layer":
        pytest.skip("has no steps")
    loss = GRAPHS[graph]()
    whole = tg.draw(loss, level)
    bare = tg.draw(loss, level, whole.steps or None, show={"shapes": False, "weights": False})
    shape = re.compile(r"\(\d+(,\d+)*\)$")
    assert any(shape.search(line) for node in whole.nodes for line in node.lines)
    assert not any(shape.search(line) for node in bare.nodes for line in node.lines)
    assert [node.id for node in bare.nodes] == [node.id for node in whole.nodes if node.kind != "ref"]
    weights = {node.id for node in whole.nodes if node.kind == "ref"}
    kept = [(edge.source, edge.target) for edge in whole.edges if edge.source not in weights]
    assert sorted((edge.source, edge.target) for edge in bare.edges) == sorted(kept)
    assert bare.drawn.width < whole.drawn.width or graph == "mlp"


def test_values_and_gradients_by_show() -> None:
    loss = loss_of()
    both = tg.draw(loss, "cell", grads=True, values=True)
    again = tg.draw(loss, "cell", show={"values": True, "gradients": True})
    assert both.figures == again.figures and both.svg() == again.svg()

    def drawn(**options: Any) -> tuple[bool, bool]:
        canvas = recorded(tg.draw(loss, "cell", **options))
        strokes = any(look.startswith("grad ") and look.endswith("head") for look, _ in canvas.ways)
        return strokes, any(line.startswith("∇ ") for line, *_ in canvas.texts)

    assert drawn(show={"gradients": "strokes"}, notes=False) == (True, False)
    assert drawn(show={"gradients": "numbers"}, notes=False) == (False, True)
    assert drawn(grads=True, show={"gradients": False}) == (False, False)
    numbers = tg.draw(loss, "cell", show={"gradients": "numbers"})
    assert any(edge.gradient is not None for edge in numbers.edges)  # the data is there all the same


def test_no_value_is_said_twice_and_no_line_is_empty() -> None:
    for graph in GRAPHS:
        picture = tg.draw(GRAPHS[graph](), values=True, grads=True)
        for name, lines in recorded(picture).lines.items():
            assert all(lines), name
            numbers = [number for line in lines for number in re.findall(r"^(?:.* = )?(-?\d[\d.e+-]*)$", line)]
            assert len(numbers) == len(set(numbers)), (graph, name, lines)


# ---------------------------------------------------------------- colours, fonts and what stands out


def test_colours_of_ones_own_and_palettes() -> None:
    loss = network("LSTM", T=3)
    own = tg.draw(loss, level="cell", colors={"state": "#AA3377", "page": "#FFFFF0"}).svg()
    assert '"#AA3377"' in own and "#117733" not in own and '"#FFFFF0"' in own
    grey = tg.draw(loss, level="cell", grads=True, colors="grey")
    assert "#117733" not in grey.svg() and "#117733" not in grey.dot()
    assert "#4CC9A0" not in tg.draw(loss, theme="auto", colors={"state": "#AA3377"}).svg()


def test_a_font_of_ones_own() -> None:
    svg = tg.draw(loss_of(), font='Georgia, "Times & Co"').svg()
    assert next(e for e in ET.fromstring(svg).iter() if "font-family" in e.attrib).attrib["font-family"] == (
        'Georgia, "Times & Co"'
    )


def test_steps_states_and_ways_stand_out() -> None:
    output, _ = tg.nn.LSTM(2, 3, rng=0)(x := tg.tensor(np.ones((4, 1, 2)), requires_grad=True, name="x"))
    loss = (output[-1] ** 2).sum()

    def strong(highlight: Any, level: str = "cell") -> tuple[int, int]:
        canvas = recorded(tg.draw(loss, level, highlight=highlight))
        return sum(look == "highlight panel" for look, *_ in canvas.fields), sum(
            kind == "highlight" for kind, _ in canvas.arrows
        )

    words = tg.draw(loss, "cell", labels=["the", "cat", "sat", "down"], highlight="sat")
    assert words.picture.highlight.steps == {3}
    assert strong(2) == (1, 0) and strong([1, -1]) == (2, 0)
    assert strong("c") == (0, 4) and strong(["h", 3]) == (1, 4)
    # from x to the root: each step's entry, both states from step to step, and the last to the loss
    assert strong(x) == (0, 4 + 2 * 3 + 1)
    assert strong(loss) == (0, 0)
    ways = [(e.source, e.target) for e in tg.draw(loss, "op").edges]
    assert strong(x, "op")[1] < len(ways)
