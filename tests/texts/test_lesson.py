"""S3, a short lesson: the chain through time in numbers, and truncation in chunks."""

from __future__ import annotations

import numpy as np
from pytest import approx

import tinygrad_rnn as tg
from tinygrad_rnn.texts import ERRATA, example
from tinygrad_rnn.texts.figures import scalar_factor
from tinygrad_rnn.texts.networks import held_at, through

nn = tg.nn


def test_S3_1_the_chain_rule():
    """L = h_3², h_3 = tanh(h_2): dL/dh_2 = 2 h_3 (1 - tanh² h_2)."""
    h_2 = tg.tensor(0.7, requires_grad=True)
    slope = tg.grad(np.tanh(h_2) ** 2, h_2).item()
    assert slope == approx(0.7672323101, abs=5e-11)
    assert slope == approx(2 * np.tanh(0.7) * (1 - np.tanh(0.7) ** 2), abs=1e-15)


def test_S3_2_gradients_of_the_losses_add():
    """dL/dW = dL_1/dW + dL_2/dW + dL_3/dW, on S1's example."""
    run = example.Example()
    parts = [run.d(loss, run.W_hh) for loss in run.losses]
    assert parts == approx([0, 0.0103499361, 0.0955488546], abs=5e-11)
    assert sum(parts) == approx(0.105898790696247, abs=1e-15)


def test_S3_3_a_chain_of_jacobians():
    """dh_T/dh_1 is a product of T - 1 Jacobians diag(tanh') W (E23, E24)."""
    rng = np.random.default_rng(0)
    rnn = nn.RNN(2, 3, dtype=float, rng=0)
    output, _ = rnn(rng.normal(size=(7, 1, 2)))
    J = tg.bptt.jacobians(output.sum())
    assert len(J.matrices) == 6
    product = np.eye(3)
    for h in output.data[1:, 0]:
        product = np.diag(1 - h**2) @ rnn.W_hh.data.T @ product
    np.testing.assert_allclose(J.product(7, 1)[0], product, rtol=0, atol=1e-15)


def test_S3_4_the_factor_072():
    """tanh' = 0.8 and W = 0.9 at every step: inputs hold z at 0.4812118251. After 4 steps 3 Jacobians, not 4."""
    z = np.arctanh(np.sqrt(0.2))
    assert z == approx(0.4812118251, abs=5e-11) and np.tanh(z) == approx(0.4472135955, abs=5e-11)
    assert scalar_factor(3) == approx(0.373248, abs=1e-12)
    assert scalar_factor(4) == approx(0.26873856, abs=1e-12)
    assert scalar_factor(19) == approx(0.001946782494, abs=5e-13)
    assert scalar_factor(99) == approx(7.514795154970e-15, rel=1e-12)


def test_S3_5_the_double_sum():
    """Σ_t Σ_{k<=t} dL_t/dh_t dh_t/dh_k ∂h_k/∂W, ∂ the immediate derivative (E25)."""
    run = example.Example()
    h = [0.0, *(h.item() for h in run.h)]
    total = 0.0
    for t, loss in enumerate(run.losses, 1):
        for k in range(1, t + 1):
            total += run.d(loss, run.h[t - 1]) * run.d(run.h[t - 1], run.h[k - 1]) * (1 - h[k] ** 2) * h[k - 1]
    assert total == approx(run.d(run.loss, run.W_hh), abs=1e-15)


# ------------------------------------------------------------------ truncation


def sequence(T=100):
    rnn = nn.RNN(1, 2, dtype=float, rng=0)
    return rnn, np.random.default_rng(0).normal(size=(T, 1, 1))


def test_S3_6_five_chunks_of_twenty():
    """With updates off, the chunks' gradients add up to the double sum over the pairs of one chunk: 1050 of 5050."""
    rnn, x = sequence()
    output, _ = rnn(x)
    parts = tg.bptt.decompose((output**2).sum(), rnn.W_hh, blocks=True)
    same = [(t, k) for t in parts.terms for k in parts.steps if k <= t and (t - 1) // 20 == (k - 1) // 20]
    restricted = sum(parts.blocks[t - 1, k - 1] for t, k in same)
    updates = 0
    for _, part, _ in tg.bptt.Truncated(20).run(rnn, x):
        (part**2).sum().backward()
        updates += 1
    assert (updates, len(same), parts.count) == (5, 1050, 5050)
    np.testing.assert_allclose(rnn.W_hh.grad, restricted, rtol=0, atol=1e-12)
    assert np.abs(parts.total - restricted).max() > 1e-6
    shares = [len(same) / parts.count, ERRATA["E45"].values["window"] / parts.count]
    assert shares == approx([0.207921, 0.358416], abs=5e-7)


def test_S3_6_with_updates_the_carried_state_is_stale():
    """h_20 was computed with the weights before the update: the next chunk's gradient belongs to no weights alone."""
    rnn, x = sequence(40)
    optimizer = tg.optim.SGD(rnn.parameters(), lr=0.1)
    output, carried = rnn(x[:20])
    (output**2).sum().backward()
    optimizer.step()
    carried = tg.bptt.detach(carried)
    _, again = rnn(x[:20])
    assert np.abs(carried.data - again.data).max() > 1e-3


def test_S3_7_memory():
    """T = 1000: at full length the tape holds 1000 steps, in chunks 20; recomputing saves as well (E50)."""
    rnn, x = sequence(1000)

    def steps_on_the_tape(loss):
        return len({record.step.t for record in tg.tape(loss).records if record.step is not None})

    assert steps_on_the_tape((rnn(x)[0] ** 2).sum()) == 1000
    chunks = [steps_on_the_tape((part**2).sum()) for _, part, _ in tg.bptt.Truncated(20).run(rnn, x)]
    assert chunks == [20] * 50
    assert ERRATA["E50"].values["kept"] < ERRATA["E50"].values["full"] / 5


def test_S3_8_what_a_vanilla_network_can_learn():
    """Windows limit what is taught, not what is remembered (E46); the identity start learns further (E47)."""
    assert ERRATA["E46"].values["right"][-1] == 100
    assert ERRATA["E47"].values["irnn"] < 0.02 < ERRATA["E47"].values["tanh"]


def test_S3_9_why_a_sum():
    """The quiz: a change of W changes every copy of it, so the derivative is the sum over the copies."""
    z, W = np.arctanh(np.sqrt(0.2)), np.array([[0.9]])
    run = example.Example()
    by_step = tg.bptt.decompose(run.loss, run.W_hh).by_step
    assert by_step.sum() == approx(run.d(run.loss, run.W_hh), abs=1e-15) and (by_step[1:] > 0).all()
    assert through(lambda h: held_at(W, z, h, 1), np.sqrt(0.2)).item() == approx(0.72)
