"""S2, a guide with three ways to compute dh_t/dw, a linear network in closed form, and two exercises."""

from __future__ import annotations

import numpy as np
import pytest
from pytest import approx

import tinygrad_rnn as tg
from tinygrad_rnn.texts import ERRATA
from tinygrad_rnn.texts.formulas import CHAIN_W, CHAIN_X, chain_gradient
from tinygrad_rnn.texts.networks import ColumnRNN, aligned, chain, last_gradient, linear, spectral_norm, through

nn = tg.nn


def close(actual, expected, tolerance=1e-12):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def test_S2_1_any_f_and_g():
    """h_t = f(x_t, h_{t-1}, w_h), o_t = g(h_t, w_o), L = (1/T) Σ l(y_t, o_t): the gradients against differences."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 6))

    def loss(w_h, w_o):
        h, total = tg.tensor(0.3), 0.0
        for x_t, y_t in zip(x, y, strict=True):
            h = np.sin(w_h * h) + x_t / (1 + h**2)
            total = total + (w_o * np.exp(-(h**2)) - y_t) ** 2
        return total / 6

    assert tg.gradcheck(loss, (tg.tensor(0.8, requires_grad=True), tg.tensor(-0.5, requires_grad=True)))


# ------------------------------------------------------------------ dh_t/dw: a recursion, a sum, three strategies


def partials(h, x, w):
    """h_t, ∂f/∂w and ∂f/∂h of one step of the chain, from the tape."""
    inputs = [tg.tensor(v, requires_grad=True) for v in (w, h)]
    new = np.tanh(x + inputs[0] * inputs[1])
    return new.item(), *(g.item() for g in tg.grad(new, inputs))


def steps():
    h, found = 0.0, []
    for x in CHAIN_X:
        h, by_w, by_h = partials(h, x, CHAIN_W)
        found.append((by_w, by_h))
    return found


def test_S2_2_forward_mode_equals_reverse_mode():
    """dh_t/dw = ∂f/∂w + ∂f/∂h dh_{t-1}/dw, carried forward beside the state."""
    z = 0.0
    for by_w, by_h in steps():
        z = by_w + by_h * z
    w = tg.tensor(CHAIN_W, requires_grad=True)
    forward = tg.bptt.rtrl(chain(w), CHAIN_X, tg.tensor(0.0), lambda h, t: h if t == 5 else None, w)
    assert [z, forward.item()] == approx([chain_gradient()] * 2, abs=1e-15)


def test_S2_3_the_sum_of_products():
    found = steps()
    total = sum(by_w * np.prod([by_h for _, by_h in found[i + 1 :]]) for i, (by_w, _) in enumerate(found))
    assert total == approx(chain_gradient(), abs=1e-15)


def test_S2_4_strategy_1_the_full_sum():
    """All T (T + 1) / 2 terms. In a chaotic network a small change of h_0 is amplified, and so is the gradient."""
    rng = np.random.default_rng(0)
    tame, wild = (nn.RNN(1, 16, dtype=float, rng=0) for _ in range(2))
    wild.W_hh.data = rng.normal(0, 3 / 4, (16, 16))  # spectral radius about 3
    x = rng.normal(size=(50, 1, 1))
    changes, gradients = [], []
    for layer in (tame, wild):
        h_0 = tg.tensor(np.zeros((1, 1, 16)), requires_grad=True)
        output, h = layer(x, h_0)
        moved = layer(x, np.full((1, 1, 16), 1e-9))[1]
        changes.append(np.abs(moved.data - h.data).max() / 1e-9)
        gradients.append(np.linalg.norm(tg.grad(h.sum(), h_0, retain_graph=True).data))
        assert tg.bptt.decompose(output.sum(), layer.W_hh).count == 50 * 51 / 2
    assert changes[0] < 1e-3 and changes[1] > 1e3
    assert gradients[0] < 1e-3 and gradients[1] > 1e3


# The chain of the checklist's figures: what tau = 1, 2, ... steps add to dh_6/dw.
TAU = [0.4004621546, 0.4931098797, 0.6459641418, 0.7151360620, 0.7677115269, 0.7677115269]
ADDED = np.diff([0.0, *TAU])[::-1]


def tau_chain(xi=None):
    """A chain h_t = a_t w + h_{t-1} whose terms are these: dh_6/dw, randomly truncated by ξ."""
    w = tg.tensor(1.0, requires_grad=True)

    def cell(a_t, h):
        return (h := a_t * w + h), h

    return last_gradient(cell, ADDED, w, xi)


def test_S2_5_strategy_2_after_tau_steps():
    """Detached before the last tau steps, the gradient is the sum of the last tau terms; tau = T is all of it."""
    cuts = [np.array([0.0 if t == 5 - tau else 1.0 for t in range(5)]) for tau in range(1, 7)]
    assert [tau_chain(cut) for cut in cuts] == approx(TAU, abs=5e-11)
    terms = [by_w * np.prod([by_h for _, by_h in steps()[i + 1 :]]) for i, (by_w, _) in enumerate(steps())]
    assert [chain_gradient(cut) for cut in cuts] == approx(np.cumsum(terms[::-1]), abs=1e-15)


@pytest.mark.parametrize(
    ("pi", "variance", "kept"),
    [(0.9, 0.026749738923, 4.68559), (0.5, 0.36708737010, 1.96875), (0.25, 2.5516879854, 1.333008)],
)
def test_S2_6_strategy_3_is_unbiased(pi, variance, kept):
    """Over all draws of ξ: the mean is exact, the variance as computed, and (1 - π^T)/(1 - π) terms are kept."""
    draws = tg.bptt.Randomized(pi)
    mean, spread = draws.expectation(tau_chain, 5)
    assert mean == approx(0.7677115269, abs=5e-11) and spread == approx(variance, rel=2e-9)
    assert draws.expectation(lambda xi: xi[0], 1) == (approx(1), approx(1 / pi - 1))
    alive = draws.expectation(lambda xi: sum(np.all(xi[:n] > 0) for n in range(6)), 5).mean
    assert alive == approx((1 - pi**6) / (1 - pi)) == approx(kept, abs=5e-6)
    mean, spread = draws.expectation(chain_gradient, 5)
    assert mean == approx(chain_gradient(), abs=1e-12) and spread > 0


def test_S2_6_as_it_is_printed():
    """With dh_{t-1}/dw on the right only the last ξ counts: unbiased too, with another variance (E32)."""
    w = tg.tensor(1.0, requires_grad=True)

    def cell(a_t, h):
        return (h := a_t * w + h), h

    def printed(xi):
        return tg.bptt.rtrl(cell, ADDED, tg.tensor(0.0), lambda h, t: h if t == 5 else None, w, xi, as_printed=True)

    mean, spread = tg.bptt.Randomized(0.5).expectation(printed, 5)
    assert mean == approx(0.7677115269, abs=5e-11) and spread == approx(0.13487210, abs=5e-9)


def test_S2_7_more_variance():
    """The price of being unbiased grows as π falls; a fixed truncation has none, and a bias."""
    spreads = [tg.bptt.Randomized(pi).expectation(chain_gradient, 5).variance for pi in (1.0, 0.9, 0.5, 0.25)]
    assert spreads[0] == approx(0, abs=1e-15) and spreads == sorted(spreads)
    assert abs(chain_gradient(np.array([1, 1, 0, 1, 1])) - chain_gradient()) > 0.01


# ------------------------------------------------------------------ the linear network


def test_S2_8_six_closed_forms():
    """dL/do_t, dL/dW_qh, dL/dh_T and the recursion, dL/dW_hx, dL/dW_hh: each against the tape, 1e-11."""
    net = ColumnRNN(tanh=False)
    tape, formula = net.on_the_tape(), net.by_formula(slopes=False)
    for name in ("o", "W_qh", "h", "W_hx", "W_hh"):
        close(formula[name], tape[name], 1e-11)
    close(net.weights["W_qh"].data.T @ tape["o"][-1], tape["h"][-1], 1e-11)


def test_S2_8_the_tanh_corrections():
    net = ColumnRNN(tanh=True)
    tape, formula = net.on_the_tape(), net.by_formula(slopes=True)
    for name in formula:
        close(formula[name], tape[name], 1e-11)


def test_S2_9_eigenvalues():
    """The sentence about eigenvalues fails in both directions: E35 to E39."""
    assert [id for id in ("E35", "E38", "E39") if "S2" in ERRATA[id].place] == ["E35", "E38", "E39"]
    assert ERRATA["E38"].values["peak"] > 19 and ERRATA["E36"].values["right"] < 1e-37


def test_S2_10_caching_saves_a_factor_of_T():
    """One sweep visits each step once; a sweep for each loss visits T (T + 1) / 2 steps."""

    def visited(loss):
        return sum(record.op.name == "tanh" for record in tg.tape(loss).records)

    net = ColumnRNN(T=40)
    assert visited(net.loss) == 40
    assert sum(map(visited, net.losses)) == 40 * 41 / 2


# ------------------------------------------------------------------ exercises


def symmetric(eigenvalues):
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(len(eigenvalues),) * 2))[0]
    return Q @ np.diag(eigenvalues) @ Q.T, Q


def test_S2_11_eigenvalues_of_powers():
    """M^5 has λ^5: here as the Jacobian of five linear steps."""
    M, _ = symmetric([2, -1, 0.5, 0.1])
    power = through(lambda h: linear([M] * 5, h), np.zeros(4))
    close(np.sort(np.linalg.eigvalsh((power + power.T) / 2)), [-1, 1e-05, 0.03125, 32], 1e-12)


def test_S2_12_power_iteration():
    """1 - cos between M^k x and v_1 falls like (λ_2/λ_1)^(2k); the exceptions are E48's."""
    M, Q = symmetric([1.0, 0.7, 0.3])
    gaps = [1 - abs(aligned(M, Q @ np.ones(3), k, Q[:, 0])) for k in (10, 15, 20)]
    assert gaps[1] / gaps[0] == approx(0.7**10, rel=0.02) and gaps[2] / gaps[1] == approx(0.7**10, rel=0.02)


def test_S2_13_what_it_means_for_a_gradient():
    """For a linear network the gradient after k steps is (Wᵀ)^k g: the dominant eigenvalue sets the rate."""
    for dominant in (1.1, 0.9):
        M, _ = symmetric([dominant, 0.5])
        norms = [spectral_norm(through(lambda h, k=k, M=M: linear([M] * k, h), np.zeros(2))) for k in (50, 51)]
        assert norms[1] / norms[0] == approx(dominant, rel=1e-10)
        assert (norms[0] > 100) == (dominant > 1)


def test_S2_14_orthogonal_initialisation():
    """The norm of O^50 is 1; through tanh it still shrinks."""
    norms = {}
    for phi in ("identity", "tanh"):
        rnn = nn.RNN(1, 8, nonlinearity=phi, dtype=float, rng=0)
        nn.init.orthogonal_(rnn.W_hh, rng=0)
        output, _ = rnn(np.random.default_rng(0).normal(size=(51, 1, 1)))
        norms[phi] = tg.bptt.jacobians(output.sum()).norms()[0, 0]
    assert norms["identity"] == approx(1, abs=1e-12) and norms["tanh"] < 1e-2


def test_S2_15_a_penalty_on_the_gradient_s_norm():
    """Ω_k (Pascanu et al. 2013): 0 where J is orthogonal, 0.01 for the unit W = 0.9."""
    for W, expected in ((symmetric([1, 1, -1, -1])[0], 0), (np.array([[0.9]]), 0.01)):
        rnn = nn.RNN(1, len(W), nonlinearity="identity", dtype=float, rng=0)
        rnn.W_hh.data = W
        output, _ = rnn(np.ones((2, 1, 1)))  # two steps: one k
        assert tg.bptt.omega(output[-1].sum()).item() == approx(expected, abs=1e-15)


def test_S2_16_layer_normalisation():
    """LN(c v) = LN(v), and the Jacobian at c v is 1/c of that at v (eps = 0)."""
    v, c = np.random.default_rng(0).normal(size=5), 3.0

    def normalised(u):
        centred = u - u.mean()
        return centred / np.sqrt((centred**2).mean())

    close(normalised(tg.tensor(c * v)).data, normalised(tg.tensor(v)).data)
    close(through(normalised, c * v), through(normalised, v) / c)
