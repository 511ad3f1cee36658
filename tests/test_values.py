"""What stands in the boxes with ``values=True``: all that one needs to check a step by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg


def scalar_rnn() -> tg.Tensor:
    """Half the squared error of h_t = tanh(W_xh x_t + W_hh h_{t-1}) after three steps, all of it numbers."""
    W_xh, W_hh = (tg.tensor(w, requires_grad=True, name=name) for w, name in [(0.6, "W_xh"), (0.9, "W_hh")])
    h, y = tg.tensor(0.25, name="h_0"), tg.tensor(0.7, name="y")
    with tg.scope("rnn") as at:
        for t, value in enumerate([0.5, -0.2, 0.8], 1):
            at(t)
            h = np.tanh(tg.tensor(value, name=f"x_{t}") * W_xh + h * W_hh)
            h.name = "h"
    return (h - y) ** 2 / 2


def shown(picture: tg.Drawing) -> dict[str, tuple[str, ...]]:
    """The lines of each node, and below them its values and gradients."""
    return {node.id: (*node.lines, *picture.figures.get(node.id, ())) for node in picture.nodes}


def test_every_operand_of_a_step_is_on_the_picture() -> None:
    boxes = shown(tg.draw(scalar_rnn(), level="op", values=True))
    assert boxes["t0_h"] == ("h_0", "0.25")
    assert boxes["t1_x_1"] == ("x_1", "0.5")
    assert boxes["t1_W_xh"] == ("W_xh ↗", "0.6") and boxes["t3_W_hh"] == ("W_hh ↗", "0.9")
    assert boxes["t1_multiply"] == ("×", "0.3") and boxes["t1_multiply_2"] == ("×", "0.225")
    assert boxes["t1_add"] == ("+", "0.525")
    assert boxes["after3_y"] == ("y", "0.7")


def test_a_box_for_a_whole_step_has_its_operands_below() -> None:
    boxes = shown(tg.draw(scalar_rnn(), level="cell", values=True))
    assert boxes["t1_weights"] == ("W_xh 0.6", "W_hh 0.9")
    assert boxes["t2_x_2"] == ("x_2", "-0.2") and boxes["t0_state"] == ("h_0", "0.25")


@pytest.mark.parametrize("level", ["op", "cell"])
def test_no_value_stands_in_a_box_twice(level: str) -> None:
    loss = scalar_rnn()
    lines = next(lines for lines in shown(tg.draw(loss, level=level, values=True)).values() if lines[0] == "loss")
    assert sum(f"{loss.item():.4g}" in line for line in lines) == 1
    plain = shown(tg.draw(loss, level=level))
    assert any(lines[0] == f"loss = {loss.item():.4g}" for lines in plain.values())


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array(0.5), "0.5"),
        (np.array([[0.5]]), "0.5"),
        (np.array([0.5, -1.0]), "[0.5 -1]"),
        (np.array([[1.0, 2.0, 3.0]]), "[1 2 3]"),
        (np.array([[1.0], [2.0]]), "[1; 2]"),
        (np.array([[1.0, 0.0], [0.5, 0.25]]), "[1 0; 0.5 0.25]"),
        (np.array([3.0, 4.0, 0.0, 0.0]), "‖5‖"),
    ],
)
def test_small_arrays_are_written_out(array: np.ndarray, text: str) -> None:
    x = tg.tensor(array, requires_grad=True, name="x")
    picture = tg.draw((x * 1.0).sum(), values=True, grads=True)
    assert picture.figures["n_x"][0] == text
    of_gradient = picture.figures["n_x"][1]
    assert of_gradient.startswith("∇ [1") if 1 < array.size < 4 else of_gradient.startswith("∇ ")


@pytest.mark.parametrize("level", ["op", "cell"])
def test_the_entries_of_a_sequence_are_those_of_their_steps(level: str) -> None:
    x = np.array([0.5, -2.0, 8.0]).reshape(3, 1, 1)
    output, _ = tg.nn.RNN(1, 2, rng=0)(x)
    picture = tg.draw(output.sum(), level=level, values=True)
    assert [picture.figures[f"t{t}_x"] for t in (1, 2, 3)] == [("0.5",), ("-2",), ("8",)]


def test_long_values_have_room_in_their_boxes() -> None:
    def width(values: Any) -> float:
        x = tg.tensor(values, requires_grad=True, name="x")
        drawn = tg.draw((x * 1.0).sum(), values=True).drawn
        return max(block.width for block in drawn.marks() if getattr(block, "box", None) and block.box.key == "x")

    assert width([-0.000123, -0.000456, -0.000789]) > width([1.0, 2.0, 3.0]) + 60


def plain(mask: bool = False) -> tg.Tensor:
    """The loss of a cell of one's own over plain arrays."""
    rng = np.random.default_rng(0)
    U, W = (tg.tensor(rng.standard_normal(shape), requires_grad=True) for shape in [(2, 3), (3, 3)])
    fixed = np.ones((1, 3))

    def cell(x: Any, h: Any) -> Any:
        h = np.tanh(x @ U + h @ W + fixed)
        return (h * rng.integers(0, 2, (1, 3)) if mask else h), h

    return (tg.nn.unroll(cell, rng.standard_normal((3, 1, 2)), np.full((1, 3), 0.5))[0] ** 2).sum()


@pytest.mark.parametrize("level", ["op", "cell"])
def test_plain_arrays_are_called_by_what_they_are_in_the_loop(level: str) -> None:
    picture = tg.draw(plain(), level=level, values=True)
    inputs = {node.id: node.lines[0] for node in picture.nodes if node.kind == "input"}
    assert [name for name in inputs.values() if name.startswith("x")] == ["x_1", "x_2", "x_3"]
    assert [name for name in inputs.values() if name.startswith("h")] == ["h_0"]
    assert sum(name == "array" for name in inputs.values()) == 3  # the same at each step, and no data
    start = next(node for node, name in inputs.items() if name == "h_0")
    assert picture.figures[start] == ("[0.5 0.5 0.5]",)


def written(step: Any, tensors: bool = False, T: int = 4, **options: Any) -> dict[str, tuple[str, ...]]:
    """The data that is drawn of a loop over `step`, whose start is constant, in windows of T steps; by the step."""
    rng = np.random.default_rng(0)
    W, U = (tg.tensor(rng.normal(size=shape), requires_grad=True, name="W") for shape in [(5, 3), (3, 3)])
    windows, h, loss = rng.normal(size=(2, T, 1, 2)), np.ones((1, 3)), tg.tensor(0.0)
    for k, window in enumerate(windows):
        x, start = (tg.tensor(window), tg.tensor(h)) if tensors and k == 0 else (window, h)
        _, h = tg.nn.unroll(lambda x_t, h_t: (step(x_t, h_t, W, U),) * 2, x, start, first=1 + k * T, **options)
        loss, h = loss + (h**2).sum(), tg.bptt.detach(h)
    nodes = tg.draw(loss, level="op", steps="all").nodes
    found: dict[str, tuple[str, ...]] = {}
    for node in nodes:
        if node.kind in ("input", "cut"):
            at = node.id.split("_")[0]
            found[at] = (*found.get(at, ()), node.lines[0])
    return found


@pytest.mark.parametrize("tensors", [False, True])
@pytest.mark.parametrize(
    ("step", "first", "behind"),
    [
        (lambda x, h, W, U: np.tanh(np.concatenate([x, h], -1) @ W), "[x_1; h_0]", "[x_5; h_4]"),
        (lambda x, h, W, U: np.tanh(np.concatenate([x, np.tanh(h)], -1) @ W), "[x_1; tanh(h_0)]", "[x_5; tanh(h_4)]"),
        (lambda x, h, W, U: np.tanh((np.array(x[:, :1]) * h) @ U), "· × h_0", "· × h_4"),
        (lambda x, h, W, U: np.tanh((float(x[0, 0]) * h) @ U), "· × h_0", "· × h_4"),  # another number at each step
    ],
    ids=["concat", "of tanh", "of a part", "of a number"],
)
def test_what_was_computed_from_constants_alone_is_named_by_how(
    step: Any, first: str, behind: str, tensors: bool
) -> None:
    """It is not on the tape; but in another step, where it takes a gradient, it is."""
    found = written(step, tensors)
    assert found["t1"] == (first,) and found["cut5"] == (behind,)


def test_what_was_computed_from_constants_alone_in_a_loop_that_runs_backwards() -> None:
    assert written(lambda x, h, W, U: np.tanh(np.concatenate([x, h], -1) @ W), reverse=True)["t4"] == ("[x_4; h_5]",)


def test_a_mask_is_not_called_an_input() -> None:
    picture = tg.draw(plain(mask=True), level="op")
    names = [node.lines[0] for node in picture.nodes if node.kind == "input"]
    assert [name for name in names if name != "array"] == ["x_1", "x_2", "x_3", "h_0"]
