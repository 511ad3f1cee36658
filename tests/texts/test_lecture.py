"""S1, the slides of a lecture with a worked example: the formulas, the 22 figures, and what follows from them."""

from __future__ import annotations

import numpy as np
import pytest
from pytest import approx

import tinygrad_rnn as tg
from tinygrad_rnn.app import cli
from tinygrad_rnn.texts import ERRATA, example
from tinygrad_rnn.texts.networks import ColumnRNN, aligned
from tinygrad_rnn.unrolled.listing import figure

nn = tg.nn

EXACT = {
    "z_1": 0.3,
    "h_1": 0.291312612451591,
    "o_1": 0.233050089961273,
    "z_2": 0.3221813512064319,
    "h_2": 0.311477977024749,
    "o_2": 0.249182381619799,
    "z_3": 0.5203301793222742,
    "h_3": 0.477954805263452,
    "o_3": 0.382363844210761,
    "L": 0.0550102598206069,
    "δo_1": -0.166949910038727,
    "δo_2": 0.049182381619799,
    "δo_3": 0.282363844210761,
    "dL/dW_hy": 0.101641770463448,
    "δh_1": 0.0258929363601146,
    "δh_2": 0.196205409793266,
    "δh_3": 0.225891075368609,
    "δz_1": 0.0236955831133655,
    "δz_2": 0.17716984932344,
    "δz_3": 0.174288338330475,
    "dL/dW_hh": 0.105898790696247,
    "dL/dW_xh": 0.0992801118212166,
}


def layers(T=5, B=1, nonlinearity="tanh"):
    """A layer and a readout in the lecture's row convention, and a sequence for them."""
    rng = np.random.default_rng(0)
    rnn = nn.RNN(2, 3, nonlinearity=nonlinearity, dtype=float, rng=0)
    return rnn, nn.Linear(3, 2, dtype=float, rng=1), rng.normal(size=(T, B, 2)), rng.normal(size=(T, B, 2))


def test_S1_1_the_forward_pass():
    rnn, head, x, _ = layers()
    output, _ = rnn(x)
    h = np.zeros((1, 3))
    for t in range(5):
        h = np.tanh(x[t] @ rnn.W_xh.data + h @ rnn.W_hh.data + rnn.b_h.data)
        np.testing.assert_allclose(output.data[t], h, rtol=0, atol=1e-15)
        np.testing.assert_allclose(head(output).data[t], h @ head.W.data + head.b.data, rtol=0, atol=1e-15)


def test_S1_2_both_losses():
    run = example.Example()
    o = np.reshape([o.item() for o in run.o], (3, 1))
    y = np.reshape(example.Y, (3, 1))
    assert nn.mse_loss(tg.tensor(o), y).item() == approx(0.0366735065, abs=5e-11)
    assert nn.mse_loss(tg.tensor(o), y, reduction="sum").item() / 2 == approx(EXACT["L"], abs=1e-15)


def test_S1_3_the_gradient_is_the_sum_over_copies():
    """With a copy of W_hh for each step, the copies' gradients are dL/dW^(t), and add up to dL/dW."""
    W_hh = tg.tensor(0.9, requires_grad=True)
    copies = [W_hh * 1.0 for _ in example.X]
    h, loss = tg.tensor(0.0), tg.tensor(0.0)
    for W, x, y in zip(copies, example.X, example.Y, strict=True):
        h = np.tanh(0.6 * x + W * h)
        loss = loss + (0.8 * h - y) ** 2 / 2
    parts = [g.item() for g in tg.grad(loss, copies, retain_graph=True)]
    assert parts == approx([0, 0.0516118117, 0.0542869790], abs=5e-11)
    assert sum(parts) == approx(tg.grad(loss, W_hh).item(), abs=1e-15) == EXACT["dL/dW_hh"]
    run = example.Example()
    assert tg.bptt.decompose(run.loss, run.W_hh).by_step == approx(parts, abs=1e-15)


def test_S1_4_immediate_partials():
    """dL/dW_xh = Σ dL/dh_t ∂h_t/∂W_xh, where ∂ holds h_{t-1} fixed: (1 - h_t²) x_t."""
    run = example.Example()
    terms = [g * (1 - h.item() ** 2) * x for g, h, x in zip(run.d(run.loss, run.h), run.h, example.X, strict=True)]
    assert sum(terms) == approx(EXACT["dL/dW_xh"], abs=1e-15)


def test_S1_5_the_output_layer():
    """dL/do_t = (1/T) dl/do_t, and dL/dW_hq = Σ h_tᵀ dL/do_t (the slides print its transpose, for columns)."""
    rnn, head, x, y = layers()
    h, _ = rnn(x)
    o = head(h)
    loss = ((o - y) ** 2).sum() / 2 / 5
    d_o, d_W = tg.grad(loss, [o, head.W])
    np.testing.assert_allclose(d_o.data, (o.data - y) / 5, rtol=0, atol=1e-15)
    np.testing.assert_allclose(d_W.data, sum(h.data[t].T @ d_o.data[t] for t in range(5)), rtol=0, atol=1e-15)


def expansion(net: ColumnRNN) -> np.ndarray:
    """dL/dh_t = Σ_(i=t..T) (W_hhᵀ)^(T-i) W_qhᵀ dL/do_(T+t-i)."""
    W_hh, W_qh = net.weights["W_hh"].data, net.weights["W_qh"].data
    d_o, T = net.on_the_tape()["o"], net.T
    power = np.linalg.matrix_power
    return np.array(
        [sum(power(W_hh.T, T - i) @ W_qh.T @ d_o[T + t - i - 1] for i in range(t, T + 1)) for t in range(1, T + 1)]
    )


def test_S1_6_the_recursion_and_its_expansion():
    """As printed they hold for the identity alone; with φ' in its place the recursion holds for tanh."""
    linear, curved = ColumnRNN(tanh=False), ColumnRNN(tanh=True)
    np.testing.assert_allclose(linear.by_formula(slopes=False)["h"], linear.on_the_tape()["h"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(expansion(linear), linear.on_the_tape()["h"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(curved.by_formula(slopes=True)["h"], curved.on_the_tape()["h"], rtol=0, atol=1e-12)
    for printed in (curved.by_formula(slopes=False)["h"], expansion(curved)):
        assert np.abs(printed - curved.on_the_tape()["h"]).max() > 0.1


@pytest.mark.parametrize("name", ["W_hx", "W_hh"])
def test_S1_7_the_weights(name):
    linear, curved = ColumnRNN(tanh=False), ColumnRNN(tanh=True)
    np.testing.assert_allclose(linear.by_formula(slopes=False)[name], linear.on_the_tape()[name], rtol=0, atol=1e-12)
    np.testing.assert_allclose(curved.by_formula(slopes=True)[name], curved.on_the_tape()[name], rtol=0, atol=1e-12)
    assert np.abs(curved.by_formula(slopes=False)[name] - curved.on_the_tape()[name]).max() > 0.1


# ------------------------------------------------------------------ the worked example


def test_S1_8_the_22_quantities():
    assert example.exact() == approx(EXACT, rel=0, abs=1e-12)
    assert len(EXACT) == 22 and example.PRINTED.keys() == EXACT.keys()


def test_S1_8_every_line_s_formula_is_right():
    """On exact figures each formula gives the exact figure: so a verdict can be passed on the lecture's."""
    for line in example.LINES:
        assert line.formula(EXACT) == approx(EXACT[line.name], abs=1e-12), line.name


def test_S1_8_which_lines_went_wrong():
    verdicts = {line.name: example.verdict(line, EXACT[line.name]) for line in example.LINES}
    wrong = {name for name, text in verdicts.items() if text not in ("", "inherited")}
    assert wrong == {"h_3", "L", "δh_2", "δh_1"}
    inherited = {name for name, text in verdicts.items() if text == "inherited"}
    assert inherited == {"o_3", "δo_3", "dL/dW_hy", "δh_3", "δz_1", "δz_2", "dL/dW_hh", "dL/dW_xh"}


def test_S1_8_the_command(capsys):
    assert cli.main(["bptt", "example"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    rows = {line.split()[1]: line.split() for line in lines if line[:4].strip().isdigit()}
    assert {name: float(row[2]) for name, row in rows.items()} == example.PRINTED
    assert {name: float(row[3]) for name, row in rows.items()} == approx(EXACT, rel=0, abs=1e-12)
    assert {name: float(row[4]) for name, row in rows.items()} == approx(
        {name: printed - EXACT[name] for name, printed in example.PRINTED.items()}, abs=5e-3
    )
    steps = {"z": "1", "h": "1", "o": "1", "L": "2", "δo": "3", "δh": "4", "δz": "5"}
    steps |= {"dL/dW_hy": "3", "dL/dW_hh": "5", "dL/dW_xh": "5"}
    assert all(row[0] == steps.get(name, steps.get(name[:-2])) for name, row in rows.items())
    assert rows["h_3"][5] == "tanh(0.5203)" and rows["δz_3"][5:] == [] and rows["o_3"][5:] == ["inherited"]


def test_S1_8_dW_hh_by_loss():
    run = example.Example()
    parts = tg.bptt.decompose(run.loss, run.W_hh)
    assert parts.by_loss == approx([0, 0.0103499361, 0.0955488546], abs=5e-11)
    assert parts.by_loss.sum() == approx(EXACT["dL/dW_hh"], abs=1e-15)
    assert parts.by_loss == approx([run.d(loss, run.W_hh) for loss in run.losses], abs=1e-15)


# ------------------------------------------------------------------ the claims, and the cures


def test_S1_9_eigenvalues_below_and_above_one():
    """Neither direction holds, and the modulus is missing: see E35 to E39."""
    assert ERRATA["E35"].values["norm"] > 1e6 and ERRATA["E36"].values["right"] < 1e-37
    assert (
        ERRATA["E37"].values["right"] > 1e6
        and ERRATA["E38"].values["peak"] > 19
        and ERRATA["E39"].values["right"] > 100
    )


def test_S1_10_gradients_align_with_the_dominant_eigenvector():
    """For a constant Jacobian with a gap: then every gradient points the same way after some steps."""
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    M = Q @ np.diag([1.0, 0.6, 0.4, 0.2]) @ Q.T
    x = Q @ np.array([0.2, 1.0, 0.5, 0.5])
    cosines = [abs(aligned(M, x, k, Q[:, 0])) for k in (1, 5, 20)]
    assert cosines[0] < 0.5 < cosines[1] < cosines[2] == approx(1, abs=1e-3)


def test_S1_11_clipping_shrinks_and_never_grows():
    p = tg.tensor([0.0, 0.0], requires_grad=True)
    for gradient, clipped in (([3.0, 4.0], [0.6, 0.8]), ([3e-9, 4e-9], [3e-9, 4e-9])):
        p.grad = np.array(gradient)
        tg.optim.clip_grad_norm_([p], 1.0)
        assert p.grad == approx(clipped, rel=1e-15)


def test_S1_12_gru_parameters_are_three_quarters_of_the_lstm_s():
    def count(layer):
        return sum(p.size for p in layer.parameters())

    for options in ({"reset_after": False}, {"bias": False}):
        bias = {"bias": options["bias"]} if "bias" in options else {}
        assert count(nn.GRU(5, 7, **options)) / count(nn.LSTM(5, 7, **bias)) == 0.75
    assert count(nn.GRU(5, 7)) == 0.75 * count(nn.LSTM(5, 7)) + 7  # torch's equations have one more bias, b_hn


def test_S1_13_truncated():
    """Cut after every K steps. K = 2 adds nothing to dL/dW_hh over K = 1: the one term more has h_0 = 0 in it."""
    found = {name: [example.truncated(name, K) for K in (1, 2, 3)] for name in ("W_hh", "W_xh")}
    assert found["W_hh"] == approx([0.0646369151, 0.0646369151, 0.1058987907], abs=5e-11)
    assert found["W_xh"] == approx([0.0121553843, 0.0267864847, 0.0992801118], abs=5e-11)


def test_S1_14_the_unrolled_graph_with_its_values():
    drawing = tg.draw(example.Example().loss, level="op", steps="all", values=True, grads=True)
    assert drawing.steps == [1, 2, 3]
    svg = drawing.svg()
    for name, value in EXACT.items():
        if not name.startswith("dL/dW"):
            assert f">{figure(value)}<" in svg or f"∇ {figure(value)}<" in svg, name
