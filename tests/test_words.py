"""Time steps that are called by a word: shown everywhere, and taken in place of their number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DrawError

WORDS = ["the", "cat", "saw", "the", 'a "<mat>\\n']


def loop(steps: list[Any]) -> tg.Tensor:
    """The loss of a loop of one's own over these steps."""
    rng = np.random.default_rng(0)
    U, W = (tg.tensor(rng.standard_normal(shape), requires_grad=True) for shape in [(2, 3), (3, 3)])
    h: Any = np.zeros((1, 3))
    loss: Any = 0.0
    with tg.scope("mine") as at:
        for t in steps:
            at(t)
            h = np.tanh(rng.standard_normal((1, 2)) @ U + h @ W)
            loss = loss + (h**2).sum()
    return loss


def test_a_word_has_the_number_after_that_of_the_step_before() -> None:
    with tg.scope("mine") as at:
        at("the")
        first = (tg.tensor(1.0, requires_grad=True) * 2).record
        at(5)
        at("cat")
        second = (tg.tensor(1.0, requires_grad=True) * 2).record
    assert first.step == ("mine", 1) and str(first.step) == "mine t=1 'the'"
    assert second.step == ("mine", 6) and str(second.step) == "mine t=6 'cat'"


def test_reports_are_those_of_numbered_steps_and_show_the_words() -> None:
    worded, numbered = loop(WORDS), loop([1, 2, 3, 4, 5])
    flow, plain = tg.bptt.flow(worded)["mine"], tg.bptt.flow(numbered)["mine"]
    np.testing.assert_array_equal(flow.norms["h"], plain.norms["h"])
    assert flow.at("cat") == flow.at(2) == plain.norms["h"][1]
    assert [line.split()[:2] for line in str(tg.bptt.flow(worded)).splitlines()[:3]] == [
        ["t", "step"], ["1", "the"], ["2", "cat"],
    ]  # fmt: skip
    J, same = tg.bptt.jacobians(worded), tg.bptt.jacobians(numbered)
    np.testing.assert_array_equal(J.product("saw", "cat"), same.product(3, 2))
    np.testing.assert_array_equal(J.norms("saw"), same.norms(3))
    assert "2  cat" in str(J) and "cat" not in str(same)
    assert "mine t=2 'cat'" in str(tg.tape(worded))


def test_pictures_show_the_words_and_take_them(tmp_path: Path) -> None:
    loss = loop(WORDS)
    picture = tg.draw(loss, level="cell", steps=["cat", "...", -1], grads=True)
    assert picture.steps == [2, 5]
    assert ">cat<" in picture.svg() and ">cat<" in picture.dot()
    assert "a &quot;&lt;mat&gt;\\n" in picture.svg() or 'a "&lt;mat&gt;\\n' in picture.svg()
    assert '"2":"cat"' in tg.page(loss, tmp_path / "page.html").read_text("utf-8")


@pytest.mark.parametrize("wrong", [1.5, True, b"the", ("the",)])
def test_what_is_neither_a_number_nor_a_word_is_refused_where_it_is_set(wrong: Any) -> None:
    with tg.scope("mine") as at, pytest.raises(TypeError, match="a whole number or a word"):
        at(wrong)
    with pytest.raises(TypeError, match="a whole number or a word"):
        tg.scope("mine", wrong)


def test_a_word_that_is_unknown_or_says_several_steps_is_refused_by_name() -> None:
    loss = loop(WORDS)
    with pytest.raises(DrawError, match="steps 1, 4 are all called 'the'"):
        tg.draw(loss, steps=["the"])
    with pytest.raises(DrawError, match="no step is called 'dog'; there is 'the', 'cat'"):
        tg.draw(loss, steps=["dog"])
    with pytest.raises(ValueError, match="no step is called 'dog'"):
        tg.bptt.jacobians(loss).product(5, "dog")
    with pytest.raises(ValueError, match="its steps have numbers alone"):
        tg.bptt.flow(loop([1, 2]))["mine"].at("dog")


def test_a_running_loss_is_drawn_as_no_state() -> None:
    picture = tg.draw(loop([1, 2, 3]), level="cell")
    between = [edge.kind for edge in picture.edges if edge.source == "t1_cell" and edge.target == "t2_cell"]
    assert sorted(between) == ["forward", "state"]
    (cell,) = (node for node in picture.nodes if node.id == "t2_cell")
    assert cell.kind == "cell" and "with a loss" in cell.lines
