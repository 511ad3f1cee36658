"""A layer one step at a time, on plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.app import charlm
from tinygrad_rnn.errors import DataError, ShapeError
from tinygrad_rnn.nn.cell import Cell
from tinygrad_rnn.nn.recurrent import Recurrent
from tinygrad_rnn.nn.state import label
from tinygrad_rnn.nn.stepping import on_arrays

T, B, I, H = 6, 2, 3, 4  # noqa: E741
X = np.random.default_rng(0).standard_normal((T, B, I))

KINDS: list[tuple[Any, dict[str, Any]]] = [
    (nn.RNN, {}),
    (nn.RNN, {"nonlinearity": "relu"}),
    (nn.RNN, {"nonlinearity": "sigmoid", "bias": False}),
    (nn.LSTM, {}),
    (nn.LSTM, {"peepholes": True, "forget_bias": 1.0}),
    (nn.LSTM, {"forget_gate": False}),
    (nn.LSTM, {"cut_gate_gradient": True}),
    (nn.LSTM, {"layer_norm": True}),
    (nn.GRU, {}),
    (nn.GRU, {"reset_after": False}),
    (nn.GRU, {"layer_norm": True}),
]


def stepped(layer: Any, xs: Any, state: Any = None, embedding: Any = None) -> tuple[np.ndarray, Any]:
    step, outputs = nn.one_step(layer, embedding), []
    for x in xs:
        y, state = step(x, state)
        outputs.append(y)
    return np.stack(outputs), state


def parts(state: Any) -> list[np.ndarray]:
    state = state if isinstance(state, tuple) else (state,)
    return [part.data if isinstance(part, tg.Tensor) else part for part in state]


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("learned", [False, True])
def test_steps_are_those_of_the_layer(kind: Any, options: dict[str, Any], layers: int, learned: bool) -> None:
    """Bit for bit those of its composed form."""
    layer = kind(I, H, layers, dtype=float, rng=0, fused=False, learn_initial_state=learned, **options)
    if learned:
        layer.h_0.data[:] = 0.3
    output, state = layer(X)
    found, last = stepped(layer, X)
    np.testing.assert_allclose(found, output.data, rtol=1e-13, atol=1e-14)
    for a, b in zip(parts(last), parts(state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14)
        assert type(a) is np.ndarray and a.shape == b.shape
    assert type(found) is np.ndarray


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_a_state_goes_from_the_layer_to_the_steps_and_back(kind: Any) -> None:
    layer = kind(I, H, 2, dtype=float, rng=0)
    output, _ = layer(X)
    _, state = layer(X[:2])
    found, state = stepped(layer, X[2:4], state)
    np.testing.assert_allclose(found, output.data[2:4], rtol=1e-12)
    rest, _ = layer(X[4:], state)
    np.testing.assert_allclose(rest.data, output.data[4:], rtol=1e-12)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_steps_on_rows_of_an_embedding(kind: Any) -> None:
    embedding, layer = nn.Embedding(5, I, rng=0), kind(I, H, rng=1)
    ids = np.array([[0, 4], [3, 3], [1, 0]])
    output, _ = layer(embedding(ids))
    np.testing.assert_allclose(stepped(layer, ids, embedding=embedding)[0], output.data, rtol=1e-5, atol=1e-6)


def test_nothing_is_recorded_and_nothing_given_is_written_to() -> None:
    layer = nn.LSTM(I, H, dtype=float, rng=0)
    step = nn.one_step(layer)
    x, h, c = X[0].copy(), np.ones((1, B, H)), np.ones((1, B, H))
    before = tg.tensor(0.0, requires_grad=True) * 1
    step(x, (h, c))
    after = tg.tensor(0.0, requires_grad=True) * 1
    assert after.record.seq == before.record.seq + 1
    assert (x == X[0]).all() and (h == 1).all() and (c == 1).all()


def test_the_weights_are_those_of_when_it_was_made() -> None:
    layer = nn.RNN(I, H, dtype=float, rng=0)
    step = nn.one_step(layer)
    y, _ = step(X[0])
    layer.W_xh.data[:] = 0
    layer.W_hh.data = np.zeros((H, H))
    np.testing.assert_array_equal(step(X[0])[0], y)
    assert not np.array_equal(nn.one_step(layer)(X[0])[0], y)


def test_dropout_does_nothing() -> None:
    layer = nn.GRU(I, H, 2, dropout=0.5, dtype=float, rng=0)
    found, _ = stepped(layer, X)
    layer.eval()
    np.testing.assert_allclose(found, layer(X)[0].data, rtol=1e-12)


# ------------------------------------------------------------------ cells of one's own


class Leaky(Cell):
    gates = "h"

    def step(self, a: Any, state: Any) -> Any:
        h = 0.9 * state + 0.1 * np.tanh(a + state @ self.W_hh)
        label(h=h)
        return h, h


class WithMethods(Cell):
    """Calls what an array has not."""

    gates = "h"

    def step(self, a: Any, state: Any) -> Any:
        h = (a + state.detach() @ self.W_hh).tanh()
        return h, h


class InPlace(Cell):
    """Would write into an array that it is given."""

    gates = "h"

    def step(self, a: Any, state: Any) -> Any:
        h = state
        h += np.tanh(a)
        return h, h


class Otherwise(Cell):
    """Computes something else on arrays."""

    gates = "h"

    def step(self, a: Any, state: Any) -> Any:
        h = np.tanh(a + state @ self.W_hh) * (2 if isinstance(a, np.ndarray) else 1)
        return h, h


class WithModule(Cell):
    gates = "h"

    def __init__(self, input_size: int, hidden_size: int, *, dtype: Any = np.float32, rng: Any = None) -> None:
        super().__init__(input_size, hidden_size, dtype=dtype, rng=rng)
        self.inner = nn.Linear(hidden_size, hidden_size, dtype=dtype, rng=3)

    def step(self, a: Any, state: Any) -> Any:
        h = np.tanh(a + self.inner(state))
        return h, h


@pytest.mark.parametrize("cell", [Leaky, WithMethods, InPlace, Otherwise, WithModule])
def test_cells_of_ones_own(cell: type[Cell]) -> None:
    class Layer(Recurrent):
        cell_type = cell

    layer = Layer(I, H, dtype=float, rng=0)
    state = np.full((1, B, H), 0.5)
    found, _ = stepped(layer, X, state)
    np.testing.assert_allclose(found, layer(X, state)[0].data, rtol=1e-12)
    assert (state == 0.5).all()
    assert isinstance(on_arrays(layer.cells[0]), cell) == (cell is Leaky)  # of the others each step is given tensors


def test_the_cells_of_the_library_are_given_arrays() -> None:
    for kind, options in KINDS:
        cell = kind(I, H, rng=0, **options).cells[0]
        assert isinstance(on_arrays(cell), type(cell)) != ("cut_gate_gradient" in options)


# ------------------------------------------------------------------ refusals


def test_what_has_no_steps() -> None:
    with pytest.raises(TypeError, match=r"layer must be a recurrent layer of tg\.nn, not Linear"):
        nn.one_step(nn.Linear(2, 3))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the backward direction begins at the end"):
        nn.one_step(nn.RNN(I, H, bidirectional=True))


def test_what_does_not_fit() -> None:
    step, state = nn.one_step(nn.LSTM(I, H, rng=0)), np.zeros((1, B, H))
    for x in (X, X[0, 0], np.ones((B, I + 1))):
        with pytest.raises(ShapeError, match=r"x must be \(B, 3\), the input of one step, got"):
            step(x)
    for wrong in (state, (state,), (state, state[0]), (state, np.zeros((1, B + 1, H)))):
        with pytest.raises(ShapeError, match=r"state must be h and c, each of shape \(1, 2, 4\), got"):
            step(X[0], wrong)
    on_rows = nn.one_step(nn.RNN(I, H, rng=0), nn.Embedding(5, I))
    for ids, named in (([5], r"\[5\]"), ([0, -1], r"\[ 0 -1\]")):
        with pytest.raises(DataError, match=rf"x must be in 0 \.\. 4, the rows of the embedding, got {named}"):
            on_rows(ids)
    for ids in ([0.5], 3, [[1]]):
        with pytest.raises(ShapeError, match=r"x must be \(B,\) integers, rows of the embedding"):
            on_rows(ids)
    with pytest.raises(ShapeError, match="the layer needs an embedding of size 3, not 4"):
        nn.one_step(nn.RNN(I, H), nn.Embedding(5, I + 1))


# ------------------------------------------------------------------ writing a text


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_a_sample_is_what_reading_it_again_and_again_would_draw(cell: str, temperature: float) -> None:
    """The same characters as with the whole model on all that is written so far, drawn by NumPy's own `choice`."""
    vocabulary = charlm.Vocabulary("abcdefgh")
    model = charlm.CharLM(8, cell, 5, 6, 2, rng=0).eval()
    for p in model.parameters():
        p.data *= 3
    written = "".join(charlm.sample(model, vocabulary, "ab", 40, temperature, rng=1))
    rng, text = np.random.default_rng(1), "ab"
    for _ in range(40):
        scores, _ = model(vocabulary.encode(text)[:, None])
        last = scores.data[-1, 0].astype(float)
        p = np.exp((last - last.max()) / (temperature or 1))
        text += "abcdefgh"[rng.choice(8, p=p / p.sum()) if temperature else last.argmax()]
    assert written == text[2:]


def test_a_sample_of_no_length_is_empty() -> None:
    model = charlm.CharLM(2, "rnn", 2, 2, rng=0)
    assert list(charlm.sample(model, charlm.Vocabulary("ab"), "a", 0)) == []
    assert len(list(charlm.sample(model, charlm.Vocabulary("ab"), "a", 1, rng=0))) == 1
