"""Initial values."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import GraphError, ShapeError

init = tg.nn.init


def zeros(*shape: int, dtype: Any = float) -> tg.nn.Parameter:
    return tg.nn.Parameter(np.zeros(shape), dtype)


@pytest.mark.parametrize("shape", [(5, 5), (5, 20), (7, 4), (4, 7), (1, 1)])
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_orthogonal(shape: tuple[int, int], gain: float) -> None:
    W = init.orthogonal_(zeros(*shape), gain, rng=0).data
    rows, columns = shape
    blocks = [W[:, k : k + rows] for k in range(0, columns, rows)] if columns % rows == 0 else [W]
    for block in blocks:
        small = block @ block.T if block.shape[0] <= block.shape[1] else block.T @ block
        np.testing.assert_allclose(small, gain**2 * np.eye(len(small)), atol=1e-14)
    assert len({block.tobytes() for block in blocks}) == len(blocks)  # each gate its own draw


def test_orthogonal_is_uniform_over_rotations_and_reflections() -> None:
    draws = np.array([init.orthogonal_(zeros(2, 2), rng=seed).data for seed in range(2000)])
    assert abs(draws.mean()) < 0.03  # without the sign of R's diagonal, the first entry would always be negative
    assert abs((np.linalg.det(draws) > 0).mean() - 0.5) < 0.05


def test_identity() -> None:
    np.testing.assert_array_equal(init.identity_(zeros(3, 3)).data, np.eye(3))
    np.testing.assert_array_equal(init.identity_(zeros(3, 6), 0.5).data, np.hstack([np.eye(3), np.eye(3)]) / 2)
    np.testing.assert_array_equal(init.identity_(zeros(2, 3)).data, np.eye(2, 3))
    rnn = tg.nn.RNN(1, 4, nonlinearity="relu", dtype=float)
    init.identity_(rnn.W_hh), init.zeros_(rnn.W_xh), init.zeros_(rnn.b_h)
    h0 = np.random.default_rng(0).uniform(0, 1, (1, 2, 4))
    np.testing.assert_array_equal(rnn(np.ones((50, 2, 1)), h0)[1].data, h0)  # a state kept as it is


def test_xavier() -> None:
    a = np.sqrt(6 / (30 + 50))
    W = init.xavier_uniform_(zeros(30, 50), rng=0).data
    assert 0.99 * a < np.abs(W).max() <= a and abs(W.std() / (a / np.sqrt(3)) - 1) < 0.05
    assert np.abs(init.xavier_uniform_(zeros(30, 50), gain=2.0, rng=0).data).max() == 2 * np.abs(W).max()
    N = init.xavier_normal_(zeros(30, 50), 2.0, rng=0).data
    assert abs(N.std() / (2 * np.sqrt(2 / 80)) - 1) < 0.05


def test_uniform_normal_and_constants() -> None:
    U = init.uniform_(zeros(50, 50), -1, 3, rng=0).data
    assert -1 <= U.min() < -0.98 and 2.98 < U.max() < 3
    N = init.normal_(zeros(50, 50), 5.0, 2.0, rng=0).data
    assert abs(N.mean() - 5) < 0.15 and abs(N.std() - 2) < 0.1
    np.testing.assert_array_equal(init.constant_(zeros(2), 7).data, [7, 7])
    np.testing.assert_array_equal(init.ones_(zeros(2)).data, [1, 1])
    np.testing.assert_array_equal(init.zeros_(init.ones_(zeros(2))).data, [0, 0])


DRAWN = [init.uniform_, init.normal_, init.xavier_uniform_, init.xavier_normal_, init.orthogonal_]


@pytest.mark.parametrize("draw", DRAWN)
def test_the_seed_decides(draw: Any) -> None:
    a, b, c, d = zeros(4, 4), zeros(4, 4), zeros(4, 4), zeros(4, 4, dtype=np.float32)
    assert draw(a, rng=1) is a
    draw(b, rng=np.random.default_rng(1)), draw(c, rng=2), draw(d, rng=1)
    np.testing.assert_array_equal(a.data, b.data)
    assert not np.array_equal(a.data, c.data)
    assert d.dtype == np.float32
    np.testing.assert_array_equal(d.data, a.data.astype(np.float32))
    rng = np.random.default_rng(1)
    draw(a, rng=rng), draw(b, rng=rng)
    assert not np.array_equal(a.data, b.data)  # a generator goes on
    draw(a), draw(b)
    assert not np.array_equal(a.data, b.data)


@pytest.mark.parametrize("draw", [init.xavier_uniform_, init.xavier_normal_, init.orthogonal_, init.identity_])
def test_matrices_only(draw: Any) -> None:
    for shape in [(3,), (), (2, 2, 2)]:
        with pytest.raises(ShapeError, match="needs a matrix"):
            draw(zeros(*shape))


@pytest.mark.parametrize("draw", [*DRAWN, init.identity_, init.zeros_])
def test_a_graph_recorded_before_keeps_the_values_it_was_computed_with(draw: Any) -> None:
    W = zeros(2, 2)
    W.data = [[1.0, 2.0], [3.0, 4.0]]
    loss = (W * W).sum()
    draw(W)
    loss.backward()
    np.testing.assert_array_equal(W.grad, [[2, 4], [6, 8]])


def test_results_cannot_be_initialised() -> None:
    with pytest.raises(GraphError, match="only a leaf"):
        init.zeros_(zeros(2) * 2)
