"""What reports and pictures say where they are given no Tensor, or a graph that is gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.errors import DrawError, GraphError

LOOKS: dict[str, Callable[[Any], Any]] = {
    "tape": tg.tape,
    "draw": tg.draw,
    "page": lambda root: tg.page(root, "never written.html"),
    "flow": tg.bptt.flow,
    "jacobians": tg.bptt.jacobians,
    "activations": tg.bptt.activations,
    "omega": tg.bptt.omega,
}

each_look = pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)


def gru() -> tuple[nn.GRU, np.ndarray]:
    return nn.GRU(2, 3, rng=0), np.ones((4, 1, 2))


@each_look
def test_what_a_layer_returns_is_no_tensor(look: Callable[[Any], Any]) -> None:
    layer, x = gru()
    with pytest.raises(TypeError, match=r"not tuple\. A layer returns \(output, state\): pass the output, or a loss"):
        look(layer(x))


@each_look
def test_a_module_is_no_tensor(look: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="not GRU, which is a module: call it on an input, and pass what it computes"):
        look(gru()[0])


@pytest.mark.parametrize("empty", [{}, []])
def test_there_is_nothing_to_draw_in_an_empty_container(empty: Any) -> None:
    with pytest.raises(DrawError, match=f"an empty {type(empty).__name__}: there is nothing to draw"):
        tg.draw(empty)


def test_the_graph_that_is_no_tensor_is_named() -> None:
    layer, x = gru()
    with pytest.raises(TypeError, match=r"the graph 'mine': draw\(\) needs a Tensor, not tuple\. A layer returns"):
        tg.draw({"mine": layer(x)})


@each_look
def test_of_a_graph_that_is_freed_it_says_to_look_before(look: Callable[[Any], Any]) -> None:
    layer, x = gru()
    loss = (layer(x)[0] ** 2).sum()
    loss.backward()
    with pytest.raises((GraphError, DrawError), match=r"To look at a graph do so before backward\(\)") as caught:
        look(loss)
    assert "detach" not in str(caught.value)


@each_look
def test_of_a_carried_state_it_says_to_cut_it(look: Callable[[Any], Any]) -> None:
    layer, x = gru()
    output, state = layer(x)
    (output**2).sum().backward()
    with pytest.raises((GraphError, DrawError), match=r"h = tg\.bptt\.detach\(h\)"):
        look((layer(x, state)[0] ** 2).sum())


CELLS: dict[str, Callable[[Any, Any], Any]] = {
    "unpacks": lambda x, state: (state[0], state),
    "adds": lambda x, state: (x + state, state),
    "asks": lambda x, state: (state.data, state),
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("lengths", [None, [2]])
def test_a_cell_that_cannot_begin_with_none_is_told_so(cell: Any, lengths: Any) -> None:
    with pytest.raises((TypeError, AttributeError), match="None") as caught:
        nn.unroll(cell, np.ones((3, 1, 2)), lengths=lengths)
    assert "Say what the first step starts from, unroll(cell, x, state)" in caught.value.__notes__[0]


def test_another_fault_of_a_cell_is_left_as_it_is() -> None:
    with pytest.raises(TypeError) as caught:
        nn.unroll(lambda x, state: (x + "a", state), np.ones((3, 1, 2)), np.zeros((1, 2)))
    assert not getattr(caught.value, "__notes__", [])


def test_nothing_is_written_where_there_is_nothing_to_show(tmp_path: Path) -> None:
    layer, x = gru()
    with pytest.raises(TypeError):
        tg.page(layer(x), tmp_path / "page.html")
    assert not list(tmp_path.iterdir())
