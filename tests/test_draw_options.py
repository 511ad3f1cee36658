"""What the author of a picture says of its look: each option does what it says, and is refused by name."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from graphs import network

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DrawError
from tinygrad_rnn.pictures.options import Look, Options


def loss_of(T: int = 4) -> tg.Tensor:
    output, _ = tg.nn.RNN(2, 3, rng=0)(np.ones((T, 1, 2)))
    return (output * output).sum()


WRONG: dict[str, tuple[Any, ...]] = {
    "title": (3, ["a"]),
    "scale": (0, "1", (1, 1e-3), (0, 1), (1, np.inf), (1, 2, 3)),
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
