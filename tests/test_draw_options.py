"""What the author of a picture says of its look: each option does what it says, and is refused by name."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from graphs import marks, network

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DrawError
from tinygrad_rnn.pictures.marks import Block
from tinygrad_rnn.pictures.options import DIRECTIONS, Look, Options


def loss_of(T: int = 4) -> tg.Tensor:
    output, _ = tg.nn.RNN(2, 3, rng=0)(np.ones((T, 1, 2)))
    return (output * output).sum()


WRONG: dict[str, tuple[Any, ...]] = {
    "title": (3, ["a"]),
    "scale": (0, "1", (1, 1e-3), (0, 1), (1, np.inf), (1, 2, 3)),
    "direction": ("north", None, 1),
    "legend": ("no", None),
    "notes": (0, "below"),
    "theme": ("pink", None),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]], ids=str)
def test_a_wrong_option_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(DrawError, match=f"^{name} must be "):
        tg.draw(loss_of(), **{name: value})


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
