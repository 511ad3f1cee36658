"""What an embedding hands over without writing it out: the same numbers, the same gradients, less to compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.app.charlm import CharLM
from tinygrad_rnn.engine.cotangent import add_at
from tinygrad_rnn.errors import DataError, DtypeError, ShapeError

V, E, H = 4, 3, 5
IDS = np.random.default_rng(0).integers(0, V, (6, 2))

OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"fused": False},
    {"batch_first": True},
    {"checkpoint": 2},
    {"layer_norm": True},
    {"bias": False},
    {"learn_initial_state": True},
]


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def outcome(layer: Any, x: Any, **options: Any) -> list[np.ndarray]:
    """The output, the states, and the gradients of all weights, of a loss that tells every entry apart."""
    output, state = layer(x, **options)
    parts = [output, *(state if isinstance(state, tuple) else (state,))]
    rng = np.random.default_rng(1)
    loss = sum((part * rng.standard_normal(part.shape)).sum() for part in parts)
    weights = list(layer.parameters())
    return [part.data for part in parts] + list(tg.grad(loss, weights))


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("ids", [IDS, IDS[:, 0], IDS[:1]], ids=["a batch", "one sequence", "one step"])
def test_a_layer_computes_the_same_of_rows(kind: Any, options: dict[str, Any], ids: np.ndarray) -> None:
    embedding, layer = nn.Embedding(V, E, dtype=float, rng=0), kind(E, H, dtype=float, rng=1, **options)
    ids = ids.swapaxes(0, 1) if layer.batch_first and ids.ndim == 2 else ids
    model = nn.Sequential(embedding, layer)
    expected, found = (outcome(layer, x) for x in (embedding(ids), embedding.rows(ids)))
    for a, b in zip(found, expected, strict=True):
        close(a, b)
    gradients = []
    for x in (embedding(ids), embedding.rows(ids)):
        model.zero_grad()
        output, _ = layer(x)
        (output * output).sum().backward()
        gradients.append(embedding.W.grad)
    close(*gradients)


@pytest.mark.parametrize("lengths", [[6, 3], [0, 4]])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_rows_beyond_the_ends_count_for_nothing(lengths: list[int], bidirectional: bool) -> None:
    embedding, layer = nn.Embedding(V + 1, E, dtype=float, rng=0), nn.LSTM(E, H, dtype=float, rng=1)
    if bidirectional:
        layer = nn.GRU(E, H, bidirectional=True, dtype=float, rng=1)
    embedding.W.data[V] = np.nan
    ids = np.where(np.arange(6)[:, None] < np.array(lengths), IDS, V)
    expected, found = (outcome(layer, x, lengths=lengths) for x in (embedding(ids), embedding.rows(ids)))
    for a, b in zip(found, expected, strict=True):
        close(a, b)
        assert np.isfinite(a).all()


def test_the_gradients_are_those_of_differences() -> None:
    embedding, layer = nn.Embedding(V, E, dtype=float, rng=0), nn.LSTM(E, H, dtype=float, rng=1)
    weights = [embedding.W, layer.W_xh, layer.W_hh, layer.b_h]

    def loss(*values: Any) -> Any:
        output, _ = nn.functional_call(
            layer, dict(zip(("W_xh", "W_hh", "b_h"), values[1:], strict=True)), nn.Rows(values[0], IDS)
        )
        return (output * output).sum()

    tg.gradcheck(loss, weights)


def test_second_derivatives_of_rows() -> None:
    embedding, layer = nn.Embedding(V, E, dtype=float, rng=0), nn.GRU(E, H, dtype=float, rng=1)
    seconds = []
    for x in (embedding(IDS), embedding.rows(IDS)):
        output, _ = layer(x)
        (g,) = tg.grad((output * output).sum(), [embedding.W], create_graph=True)
        (gg,) = tg.grad((g * g).sum(), [layer.W_xh])
        seconds.append(gg)
    close(*seconds)


def test_each_row_that_occurs_is_projected_once() -> None:
    embedding, layer = nn.Embedding(V, E, rng=0), nn.RNN(E, H, rng=1)
    assert _projected(layer(embedding.rows(IDS))[0]) == (len(np.unique(IDS)), H)
    assert _projected(layer(embedding.rows([[2, 0], [0, 2], [0, 0]]))[0]) == (2, H)
    assert _projected(layer(embedding(IDS))[0]) == (6, 2, H)


def _projected(output: tg.Tensor) -> tuple[int, ...]:
    """The shape of what the first product of a network gives."""
    return next(record for record in tg.tape(output) if record.op.name == "affine").values[0].shape


def test_a_row_that_does_not_occur_reaches_nothing() -> None:
    embedding, layer = nn.Embedding(V, E, dtype=float, rng=0), nn.RNN(E, H, dtype=float, rng=1)
    embedding.W.data[1] = np.nan
    for values in outcome(layer, embedding.rows([[0, 2], [3, 2]])):
        assert np.isfinite(values).all()


def test_a_hook_on_the_embedded_tensor_sees_its_gradient() -> None:
    embedding, layer, seen = nn.Embedding(V, E, rng=0), nn.RNN(E, H, rng=1), []
    x = embedding(IDS)
    x.register_hook(lambda g: seen.append(g.shape))
    layer(x)[0].sum().backward()
    assert seen == [(6, 2, E)]


def test_rows_look_like_the_array_they_stand_for() -> None:
    embedding = nn.Embedding(V, E, rng=0)
    rows, written = embedding.rows(IDS), embedding(IDS)
    assert (rows.shape, rows.ndim, rows.dtype, len(rows)) == (written.shape, written.ndim, written.dtype, len(written))
    close(rows.written_out().data, written.data)
    close(rows[2:4].written_out().data, written.data[2:4])
    close(nn.Linear(E, 2, rng=0)(rows).data, nn.Linear(E, 2, rng=0)(written).data)  # whatever else takes an array
    y, _ = nn.unroll(lambda x_t, h: (x_t.written_out() + h, h), rows, np.zeros((2, E), np.float32))
    close(y.data, written.data)


def test_rows_of_another_precision_are_cast() -> None:
    embedding, layer = nn.Embedding(V, E, dtype=float, rng=0), nn.RNN(E, H, rng=1)
    close(layer(embedding.rows(IDS))[0].data, layer(embedding(IDS))[0].data)


def test_rows_that_do_not_fit() -> None:
    embedding = nn.Embedding(V, E, rng=0)
    with pytest.raises(DataError, match=r"Embedding: ids must be in 0 \.\. 3, and 4 is not"):
        embedding.rows([[0, 4]])
    with pytest.raises(DtypeError, match="Embedding: ids must be integers"):
        embedding.rows([0.5])
    with pytest.raises(ShapeError, match=r"RNN: x must be \(T, B, I\).* input_size = 2; got \(6, 2, 3\)"):
        nn.RNN(2, H)(embedding.rows(IDS))
    with pytest.raises(ShapeError, match="x has no time steps"):
        nn.RNN(E, H)(embedding.rows(IDS[:0]))


def test_the_character_model_projects_its_table() -> None:
    model = CharLM(V, "lstm", E, H, rng=0)
    scores, _ = model(IDS)
    output, _ = model.recurrent(model.embedding(IDS))
    np.testing.assert_allclose(scores.data, model.head(output).data, rtol=1e-5, atol=1e-6)
    assert _projected(scores) == (len(np.unique(IDS)), 4 * H)


@pytest.mark.parametrize("width", [1, 3, 127, 128, 200])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_added_up_whatever_their_width(width: int, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    ids, part, buffer = rng.integers(-5, 5, (7, 9)), rng.standard_normal((7, 9, width)), rng.standard_normal((5, width))
    expected, buffer, part = buffer.copy(), buffer.astype(dtype), part.astype(dtype)
    np.add.at(expected, ids, part)
    add_at(buffer, ids, part)
    np.testing.assert_allclose(buffer, expected, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-5)
