"""Several graphs in one picture: the same steps, one scale, one legend, and errors that say whose they are."""

from __future__ import annotations

import re
import xml.dom.minidom
from collections import Counter
from typing import Any

import numpy as np
import pytest
from graphs import long_memory, network, recorded

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DrawError, GraphError
from tinygrad_rnn.pictures.about import layers
from tinygrad_rnn.pictures.figure import Page
from tinygrad_rnn.pictures.fit import WIDEST


def words(picture: Any, **options: Any) -> list[str]:
    return [line for line, *_ in recorded(picture).texts]


def test_two_graphs_below_each_other_on_one_scale() -> None:
    both = tg.draw({"full": long_memory(30), "weak": long_memory(30, weight=0.1)}, grads=True)
    full, weak = both.drawings
    assert full.steps == weak.steps == both.steps
    assert full.overlay.scale.ends == weak.overlay.scale.ends
    svg = both.svg()
    document = xml.dom.minidom.parseString(svg)
    assert len(document.getElementsByTagName("svg")) == 1  # nested ones are put to the upper left corner by MuPDF
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(set(ids)) == len(ids)
    assert "full: 30 time steps" in svg and "weak: 30 time steps" in svg
    assert {node.id[:3] for node in both.nodes} == {"p1_", "p2_"}
    assert {end for e in both.edges for end in (e.source, e.target)} <= {node.id for node in both.nodes}
    assert repr(both).startswith("<comparison: <drawing: ")


def test_equal_graphs_have_different_ids_and_other_cells_the_same_level() -> None:
    twins = tg.draw([network("RNN", T=3), network("RNN", T=3)]).svg()
    ids = re.findall(r'\bid="([^"]+)"', twins)
    assert len(set(ids)) == len(ids)
    assert {drawing.level for drawing in tg.draw([network("RNN", T=3), network("LSTM", T=6)]).drawings} == {"cell"}


def test_what_explains_a_picture_stands_in_it_once() -> None:
    """The meaning of marks, the scale, and notes that are true of all; what differs has the name of whose it is."""
    both = tg.draw({"plain": network("RNN", T=6), "gated": network("LSTM", T=6)}, grads=True, level="cell")
    said = words(both)
    once = Counter(said)
    for line in ("loss or output", "shared weight, drawn at each use", "gradient that goes back, its norm:"):
        assert once[line] == 1, line
    assert sum("gradient of the root" in line for line in said) == 1
    text = " ".join(said)
    assert text.index("plain: weights:") < text.index("gated: weights:") < text.index("∇ is the gradient")
    page = Page(both.sheets())
    assert page.legend.height <= 0.25 * page.height
    free = both.dot(pinned=False)
    assert free.count("loss or output") == free.count("gradient that goes back") == 1


def test_titles_say_each_thing_once() -> None:
    rnn, lstm = network("RNN", T=3), network("LSTM", T=3)

    def titles(roots: Any, **options: Any) -> list[str]:
        return [figure.title for figure in Page(tg.draw(roots, **options).sheets()).figures]

    assert titles(rnn) == ["RNN: 3 time steps"]
    assert titles({"tanh RNN": rnn, "LSTM": lstm}) == ["tanh RNN: 3 time steps", "LSTM: 3 time steps"]
    assert titles([rnn, lstm]) == ["1. RNN: 3 time steps", "2. LSTM: 3 time steps"]
    assert titles({"tanh RNN": rnn, "LSTM": lstm}, title="Two models") == ["tanh RNN", "LSTM"]
    assert titles([rnn, lstm], title="") == ["", ""]
    said = words(tg.draw({"tanh RNN": rnn, "LSTM": lstm}, title="Two models"))
    assert said[0] == "Two models" and said.count("Two models") == 1
    assert "Two models" not in words(tg.draw([rnn, lstm]))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["lstm"], ["LSTM"]),
        (["lstm", "lstm_l1", "lstm_l2"], ["3-layer LSTM"]),
        (["gru", "gru_reverse"], ["bidirectional GRU"]),
        (["rnn", "rnn_reverse", "rnn_l1", "rnn_l1_reverse"], ["bidirectional 2-layer RNN"]),
        (["encoder", "encoder_l1", "decoder"], ["2-layer encoder", "decoder"]),
        (["lstm", "lstm #2"], ["LSTM × 2"]),
        (["lstm_reverse"], ["LSTM reverse"]),
        (["lstm", "lstm_l2"], ["LSTM", "LSTM l2"]),
        (["my_lstm"], ["my_lstm"]),
    ],
    ids=str,
)
def test_the_layers_of_one_module_are_one_word_of_a_title(names: list[str], said: list[str]) -> None:
    assert layers(names) == said


def test_a_comparison_can_be_read_in_a_column_too_and_hides_no_step_alone() -> None:
    """Each graph has steps of its own to show: of all of them no more than there is room for."""
    rng = np.random.default_rng(0)

    def loss(kind: Any) -> tg.Tensor:
        output, _ = kind(4, 5, rng=0)(rng.normal(size=(12, 1, 4)))
        return (output * output).sum()

    both = tg.draw([loss(tg.nn.RNN), loss(tg.nn.LSTM)], grads=True)
    assert max(drawing.drawn.width for drawing in both.drawings) <= WIDEST
    assert all(first < last for drawing in both.drawings for first, last in drawing.hidden)
    for drawing in both.drawings:  # what must not be hidden
        assert {1, 2, 12, drawing.overlay.largest_at} <= set(drawing.steps)


WRONG: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (3.0, {}, TypeError, "needs a Tensor, not float"),
    (tg.tensor(1.0), {"grads": True}, GraphError, "needs no gradient"),
    (lambda: network("RNN", T=3), {"steps": [1, 5]}, DrawError, "no time step 5"),
    (lambda: network("RNN", T=3), {"labels": list("abcde")}, DrawError, "for each of 3 time steps, not 5"),
    (lambda: network("RNN", T=3), {"highlight": "c"}, DrawError, "highlight must name"),
]


@pytest.mark.parametrize(("root", "options", "kind", "says"), WRONG, ids=str)
def test_an_error_says_in_which_of_the_graphs_it_is(root: Any, options: Any, kind: Any, says: str) -> None:
    root = root() if callable(root) else root
    with pytest.raises(kind, match=rf"^graph 2 of 2: .*{says}"):
        tg.draw([network("LSTM", T=5), root], **options)
    with pytest.raises(kind, match=rf"^the graph 'short': .*{says}"):
        tg.draw({"long": network("LSTM", T=5), "short": root}, **options)


def test_what_cannot_be_compared() -> None:
    with pytest.raises(DrawError, match="an empty list"):
        tg.draw([])
    with pytest.raises(DrawError, match="may not be blank"):
        tg.draw({"": network("RNN", T=3)})
    gone = network("RNN", T=3)
    gone.backward()
    with pytest.raises(DrawError, match="graph 2 of 2: nothing is left to draw"):
        tg.draw([network("RNN", T=3), gone])


@pytest.mark.parametrize("width", [None, "8.5cm", "17cm"])
def test_the_title_of_a_graph_stands_clear_of_the_one_above_it(width: str | None) -> None:
    picture = tg.draw({"first": network("RNN", T=3), "second": network("LSTM", T=3)}, "cell", width=width)
    canvas = recorded(picture)
    title = max(y for line, _, y in canvas.texts if line.startswith("second: "))
    feet = [y + h for look, _, y, _, h, *_ in canvas.fields if look == "panel" and y < title]
    assert title - max(feet) > 20
