"""S0, an article on backpropagation through time and the derivative of the LSTM: its formulas and claims, run."""

from __future__ import annotations

import numpy as np
import pytest
from pytest import approx

import tinygrad_rnn as tg
from tinygrad_rnn.texts import ERRATA
from tinygrad_rnn.texts.formulas import random_lstm
from tinygrad_rnn.texts.networks import (
    four_term_product,
    gates,
    joint_product,
    lstm_cell,
    memory_after,
    spectral_norm,
    through,
    trajectory,
)

nn = tg.nn


def close(actual, expected, tolerance=1e-12):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# ------------------------------------------------------------------ the network


def test_S0_1_a_dynamical_system(rng):
    """h_t = f(X_t, h_{t-1}), ŷ_t = g(h_t), with any f and g."""
    a = tg.tensor(0.7, requires_grad=True)

    def cell(x_t, h):
        h = np.sin(a * h) + x_t  # f
        return h**2, h  # g

    x = rng.normal(size=5)
    y, last = nn.unroll(cell, tg.tensor(x), tg.tensor(0.0))
    h, dh = 0.0, 0.0
    for x_t in x:
        h, dh = np.sin(0.7 * h) + x_t, np.cos(0.7 * h) * (h + 0.7 * dh)
    close(last.item(), h)
    close(y.data[-1], h**2)
    close(tg.grad(last, a).item(), dh)


def test_S0_2_columns(rng):
    """φ(W_xhᵀ X + W_hhᵀ h + b), with columns, gives the numbers of the row form."""
    cell = nn.RNNCell(2, 3, dtype=float, rng=0)
    x, h = rng.normal(size=2), rng.normal(size=3)
    columns = np.tanh(cell.W_xh.data.T @ x + cell.W_hh.data.T @ h + cell.b_h.data)
    close(cell(x, h).data, columns, 1e-15)


def test_S0_3_one_weight_for_both(rng):
    """φ([X h] W + b), W being W_xh above W_hh, gives the same outputs and the same gradients."""
    x, h = rng.normal(size=(4, 2)), rng.normal(size=(4, 3))
    W_xh, W_hh = (tg.tensor(rng.normal(size=(n, 3)), requires_grad=True) for n in (2, 3))
    W = tg.tensor(np.concatenate([W_xh.data, W_hh.data]), requires_grad=True)
    two, one = np.tanh(x @ W_xh + h @ W_hh), np.tanh(np.concatenate([x, h], axis=1) @ W)
    close(two.data, one.data, 1e-15)
    close(np.concatenate([g.data for g in tg.grad((two**2).sum(), [W_xh, W_hh])]), tg.grad((one**2).sum(), W).data)


def test_S0_4_softmax(rng):
    o = tg.tensor(rng.normal(size=(4, 5)))
    yhat = tg.softmax(o, -1).data
    close(yhat, np.exp(o.data) / np.exp(o.data).sum(-1, keepdims=True), 1e-15)
    close(yhat.sum(-1), 1, 1e-15)
    close(tg.log_softmax(o, -1).data, np.log(yhat))


def test_S0_5_sizes():
    """m rows, n_inputs, n_neurons, and as many outputs as one likes; the weights do not know T; h_0 = 0."""
    rnn, head = nn.RNN(2, 3, dtype=float, rng=0), nn.Linear(3, 5, dtype=float, rng=0)
    assert (rnn.W_xh.shape, rnn.W_hh.shape, rnn.b_h.shape) == ((2, 3), (3, 3), (3,))
    assert (head.W.shape, head.b.shape) == ((3, 5), (5,))
    for T in (1, 7):
        output, _ = rnn(np.ones((T, 4, 2)))
        assert head(output).shape == (T, 4, 5)
        close(output.data, rnn(np.ones((T, 4, 2)), np.zeros((1, 4, 3)))[0].data, 0)


def test_S0_6_the_loss(rng):
    """-Σ_t y_t log ŷ_t, over time and batch."""
    o, y = tg.tensor(rng.normal(size=(6, 4, 5))), rng.integers(5, size=(6, 4))
    by_hand = -(np.eye(5)[y] * np.log(tg.softmax(o, -1).data)).sum()
    assert nn.cross_entropy(o, y, reduction="sum").item() == approx(by_hand, abs=1e-12)


def test_S0_7_the_output_s_gradients(rng):
    """dL/dW_yh = Σ hᵀ (ŷ - y), dL/db_y = Σ (ŷ - y); see E20 for the printed order."""
    rnn, head = nn.RNN(2, 3, dtype=float, rng=0), nn.Linear(3, 5, dtype=float, rng=1)
    y = rng.integers(5, size=(6, 4))
    h, _ = rnn(rng.normal(size=(6, 4, 2)))
    o = head(h)
    d_W, d_b = tg.grad(nn.cross_entropy(o, y, reduction="sum"), [head.W, head.b])
    error = tg.softmax(o, -1).data - np.eye(5)[y]
    close(d_W.data, sum(h_t.T @ e_t for h_t, e_t in zip(h.data, error, strict=True)))
    close(d_b.data, error.sum((0, 1)))


def double_sum(name, T=100):
    """dL/dW by the tape, and by Σ_t Σ_{k<=t} dL_t/dh_t (Π J) ∂h_k/∂W, each Jacobian diag(φ') W_hhᵀ."""
    rng = np.random.default_rng(0)
    rnn = nn.RNN(2, 3, dtype=float, rng=0)
    x, weight = rng.normal(size=(T, 1, 2)), rng.normal(size=(T, 1, 3))
    output, _ = rnn(x)
    loss = (weight * output**2).sum()
    h = np.concatenate([np.zeros((1, 3)), output.data[:, 0]])
    before = x[:, 0] if name == "W_xh" else h[:-1]
    total = np.zeros((before.shape[1], 3))
    for t in range(1, T + 1):
        row = 2 * weight[t - 1, 0] * h[t]  # dL_t/dh_t, then dL_t/dh_k for k = t, t - 1, ...
        for k in range(t, 0, -1):
            total += np.outer(before[k - 1], row * (1 - h[k] ** 2))
            row = (row * (1 - h[k] ** 2)) @ rnn.W_hh.data.T
    W = getattr(rnn, name)
    return tg.grad(loss, W, retain_graph=True).data, total, tg.bptt.decompose(loss, W)


def test_S0_8_the_double_sum_for_W_hh():
    tape, by_hand, parts = double_sum("W_hh")
    close(by_hand, tape, 1e-9)
    close(parts.by_loss.sum(0), tape, 1e-9)
    assert parts.count == 5050


def test_S0_9_the_double_sum_for_W_xh():
    tape, by_hand, parts = double_sum("W_xh")
    close(by_hand, tape, 1e-9)
    close(parts.by_step.sum(0), tape, 1e-9)


# ------------------------------------------------------------------ vanishing and exploding


def run_of(layer, T=20, B=1, seed=0):
    """Jacobians of a layer over T random inputs."""
    output, _ = layer(np.random.default_rng(seed).normal(size=(T, B, layer.input_size)))
    return tg.bptt.jacobians(output.sum())


def test_S0_10_a_product_of_two():
    """dh_3/dh_1 = dh_3/dh_2 dh_2/dh_1."""
    cell = nn.RNNCell(2, 3, dtype=float, rng=0)
    x, h_1 = np.random.default_rng(0).normal(size=(2, 2)), np.array([0.1, -0.2, 0.3])
    h_2 = cell(x[0], h_1).data
    whole = through(lambda h: cell(x[1], cell(x[0], h)), h_1)
    close(through(lambda h: cell(x[1], h), h_2) @ through(lambda h: cell(x[0], h), h_1), whole, 1e-15)
    J = run_of(nn.RNN(2, 3, dtype=float, rng=0))
    close(J.product(3, 1), J.product(3, 2) @ J.product(2, 1), 1e-15)


def test_S0_11_the_jacobian_of_a_step():
    """diag(φ') W_hhᵀ: with rows h W_hh, as in E22."""
    rnn = nn.RNN(2, 3, dtype=float, rng=0)
    output, _ = rnn(np.random.default_rng(0).normal(size=(5, 1, 2)))
    J = tg.bptt.jacobians(output.sum())
    for k, h in enumerate(output.data[1:, 0]):
        close(J.matrices[k, 0], np.diag(1 - h**2) @ rnn.W_hh.data.T, 1e-15)


def test_S0_12_the_norm_is_not_bounded_by_one():
    assert ERRATA["E33"].values["steps"] == 2**20


def test_S0_13_the_slopes():
    """sup tanh' = 1 and sup σ' = 1/4, both at 0."""
    z = tg.tensor(np.linspace(-8, 8, 1601), requires_grad=True)
    for phi, sup in ((np.tanh, 1), (tg.sigmoid, 0.25)):
        slopes = tg.grad(phi(z).sum(), z).data
        assert slopes.max() == approx(sup, abs=1e-15) and z.data[slopes.argmax()] == approx(0, abs=1e-12)


def test_S0_14_eigenvalues_of_a_product():
    """λ^t for one constant Jacobian; with the nonlinearity, products scale otherwise than the spectra say."""
    linear, curved = (nn.RNN(2, 3, nonlinearity=phi, dtype=float, rng=0) for phi in ("identity", "tanh"))
    J = run_of(linear, T=11)
    eigenvalues = np.sort_complex(np.linalg.eigvals(J.matrices[0, 0]) ** 10)
    close(np.sort_complex(np.linalg.eigvals(J.product(11, 1)[0])), eigenvalues)
    J = run_of(curved, T=11)
    assert J.spectral_radii.std() > 0.01  # another spectrum at every step
    radius = np.abs(np.linalg.eigvals(J.product(11, 1)[0])).max()
    assert abs(radius / J.spectral_radii.prod() - 1) > 0.01
    assert ERRATA["E40"].values == {"rho": (0, 0), "right": approx(4)}


def test_S0_15_both_counterexamples_through_a_layer():
    """The same as E35 and E36, with the layer and its own Jacobians."""
    W, z = np.array([[2.0, -2.0], [2.0, -2.0]]), np.array([0.0, 20.0])
    rnn = nn.RNN(2, 2, bias=False, dtype=float)
    rnn.W_xh.data, rnn.W_hh.data = np.eye(2), W.T
    x = np.tile(z - W @ np.tanh(z), (20, 1, 1))  # holds the pre-activation at z
    h_0 = tg.tensor(np.tanh(z).reshape(1, 1, 2), requires_grad=True)
    output, _ = rnn(x, h_0)
    assert tg.bptt.jacobians(output[-1].sum()).norms()[0, 0] == approx(1482910.400379, abs=1e-6)

    unit = nn.RNN(1, 1, bias=False, dtype=float)
    unit.W_hh.data = [[2.0]]
    h_0 = tg.tensor([[[0.5]]], requires_grad=True)
    _, h = unit(np.zeros((50, 1, 1)), h_0)
    assert tg.grad(h.sum(), h_0).item() == approx(1.490658e-38, abs=5e-45)


def test_S0_16_the_bound_is_never_exceeded():
    """|dh_t/dh_k| <= (σ_max(W) γ_φ)^n with as many factors n as steps, over 200 random networks."""
    worst = 0.0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        rnn = nn.RNN(1, 3, dtype=float, rng=seed)
        rnn.W_hh.data = rng.normal(0, rng.uniform(0.2, 1.5), (3, 3))
        J = run_of(rnn, T=4, seed=seed)
        worst = max(worst, (J.norms()[:-1, 0] / J.bound(rnn.W_hh)[:-1]).max())
    assert 0 < worst <= 1


def test_S0_17_deep_networks_vanish_too(rng):
    """The same chain without shared weights."""
    h = x = tg.tensor(np.full(4, 0.1), requires_grad=True)
    norms = []
    for _ in range(60):
        W = rng.normal(0, 0.3, (4, 4))  # a new one for every layer
        h = np.tanh(W @ h)
        norms.append(np.linalg.norm(tg.grad(h.sum(), x, retain_graph=True).data))
    assert norms[-1] < 1e-8 < norms[0]


def test_S0_18_cures_side_by_side():
    """What is left after 60 steps of a change at step 1, for untrained layers of 12 units."""
    left = {name: norms[0] for name, norms in tg.bptt.remedies(T=60, hidden=12).norms.items()}
    assert max(left["tanh"], left["ReLU"], left["LSTM"], left["GRU"]) < 1e-6
    assert left["orthogonal"] > 1e3 * left["tanh"]
    assert min(left["identity (IRNN)"], left["LSTM, chrono"]) > 1e-3


# ------------------------------------------------------------------ the LSTM


def remembering(T=6, **options):
    """dC_T/dC_0 of a random LSTM, its forget gates, and what it was run on."""
    cell = nn.LSTMCell(2, 3, dtype=float, rng=0, **options)
    xs = np.random.default_rng(1).normal(size=(T, 2))
    start = np.array([0.3, -0.2, 0.5])
    h = np.full(3, 0.1)
    forget = []

    def last(C):
        state = (tg.tensor(h), C)
        for x in xs:
            if cell.forget_gate:
                forget.append(gates(cell, x, state[0].data)["f"])
            state = cell(x, state)
        return state[1]

    return through(last, start), np.array(forget)


def test_S0_19_the_cell_of_1997():
    """C_t = C_{t-1} + i C̃, from C_0 = 0: nothing is forgotten."""
    cell = nn.LSTMCell(2, 3, forget_gate=False, dtype=float, rng=0)
    x = np.random.default_rng(0).normal(size=(4, 2))
    state, C = cell.initial_state(()), np.zeros(3)
    assert (state[1].data == 0).all()
    for x_t in x:
        v = gates(cell, x_t, state[0].data)
        state, C = cell(x_t, state), C + v["i"] * v["g"]
        close(state[1].data, C, 1e-15)


def test_S0_20_the_constant_error_carousel():
    """With the gradient into the gates cut, dC_6/dC_0 is the identity, bit for bit; without the cut it is not."""
    cut, _ = remembering(forget_gate=False, cut_gate_gradient=True)
    assert (cut == np.eye(3)).all()
    whole, _ = remembering(forget_gate=False)
    assert np.abs(whole - np.eye(3)).max() > 0.1


def constant_gates(forget_gate, f=0.95):
    """A cell whose gates do not look at anything: i = 0.8, C̃ = 0.5 and, where there is one, f."""
    cell = nn.LSTMCell(1, 1, forget_gate=forget_gate, dtype=float, rng=0)
    cell.W_xh.data[:], cell.W_hh.data[:] = 0, 0
    values = {"i": np.log(4), "f": np.log(f / (1 - f)), "g": np.arctanh(0.5), "o": 0.0}
    cell.b_h.data = [values[gate] for gate in cell.gates]
    return cell


def test_S0_21_the_state_grows_without_a_forget_gate():
    """i C̃ = 0.4 a step: C_1000 = 400; with f = 0.95 it tends to 0.4 / 0.05 = 8."""
    for forget_gate, expected in ((False, 400), (True, 8)):
        cell = constant_gates(forget_gate)
        with tg.no_grad():
            state = None
            for _ in range(1000):
                state = cell(np.zeros(1), state)
        assert state[1].item() == approx(expected, rel=1e-12)


def test_S0_22_the_forget_gate():
    """With the gates' gradient cut, dC_T/dC_0 = diag(Π f_t)."""
    cut, forget = remembering(cut_gate_gradient=True)
    close(cut, np.diag(forget.prod(0)), 1e-15)


def test_S0_23_the_derivative_is_not_f():
    """It is where h_{t-1} is held fixed; but the gates see h_{t-1}, and that depends on C_{t-1}."""
    held, forget = remembering(T=1)
    close(held, np.diag(forget[0]), 1e-15)
    cell, xs, C, o = random_lstm()
    f = gates(cell, xs[0], o * np.tanh(C))["f"]
    assert (
        np.abs(through(lambda C: memory_after(cell, xs[:1], C, o), C) - np.diag(f)).max() > 0.1
    )  # ... it depends on C


def test_S0_24_four_terms_are_exact_for_one_step():
    cell, xs, C, o = random_lstm()
    close(
        tg.bptt.memory_terms(cell, xs[0], C, o).total[0], through(lambda C: memory_after(cell, xs[:1], C, o), C), 1e-14
    )


@pytest.mark.parametrize("k", [2, 3, 5])
def test_S0_25_four_terms_are_not_multiplied(k):
    """Over k steps the product of four-term matrices is wrong, the product of the joint Jacobians exact."""
    cell, xs, C, o = random_lstm()
    truth = through(lambda C: memory_after(cell, xs[:k], C, o), C)
    close(joint_product(cell, xs[:k], C, o), truth, 1e-13)
    assert spectral_norm(four_term_product(cell, xs[:k], C, o) - truth) > 0.02 * spectral_norm(truth)


def test_S0_25_the_layer_s_joint_jacobians_are_exact():
    """The same from `tg.bptt.jacobians`, on the layer."""
    lstm = nn.LSTM(2, 3, dtype=float, rng=0)
    h_0, c_0 = (tg.tensor(np.full((1, 1, 3), v), requires_grad=True) for v in (0.1, 0.5))
    _, (_, c) = lstm(np.random.default_rng(0).normal(size=(5, 1, 2)), (h_0, c_0))
    J = tg.bptt.jacobians(c.sum())
    rows = [tg.grad(c[0, 0, i], c_0, retain_graph=True).data.ravel() for i in range(3)]
    close(J.product(5, 0)[0, 3:, 3:], rows, 1e-14)


def test_S0_26_how_slowly_it_shrinks():
    """0.95^20 and 0.95^100 from a cell with f = 0.95, and half-lives."""
    cell = constant_gates(True)
    found = {T: through(lambda C, T=T: memory_after(cell, np.zeros((T, 1)), C, 1.0), 0.0).item() for T in (1, 20, 100)}
    assert found[20] == approx(0.3584859224, abs=5e-11) and found[100] == approx(0.0059205292, abs=5e-11)
    assert np.log(0.5) / np.log(found[1]) == approx(13.513407, abs=5e-7)
    assert np.log(0.5) / np.log(0.9 * 0.8) == approx(2.110011, abs=5e-7)


def test_S0_27_factors_of_every_kind(rng):
    """dC_t/dC_{t-1} of each cell on itself, over 100 steps: above 1, between 0 and 1, and below 0 (E41, E42)."""
    cell = lstm_cell(rng.normal(size=(2, 12)), rng.normal(0, 2, (3, 12)))
    xs = rng.normal(size=(100, 2))
    before = trajectory(cell, xs, np.zeros(3), np.full(3, 0.5))
    factors = np.array(
        [np.diag(tg.bptt.memory_terms(cell, x, C, o).total[0]) for x, (C, o) in zip(xs, before, strict=True)]
    )
    shares = [(factors > 1).mean(), ((factors > 0) & (factors < 1)).mean(), (factors < 0).mean()]
    assert min(shares) > 0.02 and sum(shares) == approx(1)


def test_S0_28_the_lstm_explodes():
    """W_hC = 4, gates open (σ(6)), state 0: 20 steps multiply a change of (h, C) by 1.0181e14."""
    lstm = nn.LSTM(1, 1, dtype=float)
    lstm.W_xh.data, lstm.W_hh.data, lstm.b_h.data = np.zeros((1, 4)), [[0, 0, 4.0, 0]], [6.0, 6.0, 0, 6.0]
    start = tuple(tg.tensor(np.zeros((1, 1, 1)), requires_grad=True) for _ in "hc")
    _, (h, c) = lstm(np.zeros((20, 1, 1)), start)
    J = tg.bptt.jacobians(h.sum() + c.sum())
    assert spectral_norm(J.product(20, 0)[0]) == approx(1.0181e14, rel=5e-5)
