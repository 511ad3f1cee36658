"""Random truncation, forward mode over time, penalties, remedies, and the memory of one LSTM step."""

import math
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.bptt import Randomized, memory_terms, omega, remedies, rtrl
from tinygrad_rnn.errors import GraphError

nn = tg.nn


def close(actual: Any, expected: Any, tolerance: float = 1e-12) -> None:
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max(initial=0)))


def data(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


# -- random truncation ------------------------------------------------------------------------------

# dh_6/dw when the gradient is cut after 1, 2, ... 6 steps; so the terms of a chain are the differences
BY_TAU = [0.4004621546, 0.4931098797, 0.6459641418, 0.7151360620, 0.7677115269, 0.7677115269]
TERMS = np.diff([0.0, *BY_TAU])[::-1]
CHAIN = 6


def chain() -> tuple[Any, Any]:
    """A weight, and h_t = h_{t-1} + a_t w: a chain with the terms above."""
    w = tg.tensor(1.0, requires_grad=True)

    def cell(a_t: Any, h: Any) -> tuple[Any, Any]:
        h = h + a_t * w
        return h, h

    return w, cell


def last(y: Any, t: int) -> Any:
    return y if t == CHAIN - 1 else None


@pytest.mark.parametrize(
    ("pi", "recursive", "printed"),
    [(0.9, 0.026749738923, None), (0.5, 0.36708737010, 0.13487210), (0.25, 2.5516879854, None)],
)
def test_random_truncation_is_unbiased_and_its_variance_is_known(pi: float, recursive: float, printed: Any) -> None:
    """Over all 32 draws; the sweep through `run`, forward mode, and the form as printed in texts."""
    w, cell = chain()
    randomized = Randomized(pi)

    def backwards(xi: np.ndarray) -> Any:
        w.grad = None
        layer = lambda x, state=None: nn.unroll(cell, x, tg.tensor(0.0) if state is None else state)  # noqa: E731
        *_, (_, output, _) = randomized.run(layer, TERMS, xi=xi)
        output[-1].backward()
        return w.grad

    for gradient in (backwards, lambda xi: rtrl(cell, TERMS, tg.tensor(0.0), last, w, xi)):
        found = randomized.expectation(gradient, CHAIN - 1)
        close(found.mean, 0.7677115269, 1e-10)
        close(found.variance, recursive, 1e-9)
    found = randomized.expectation(
        lambda xi: rtrl(cell, TERMS, tg.tensor(0.0), last, w, xi, as_printed=True), CHAIN - 1
    )
    close(found.mean, 0.7677115269, 1e-10)
    close(found.variance, (1 / pi - 1) * (0.7677115269 - TERMS[-1]) ** 2, 1e-9)
    if printed is not None:
        close(found.variance, printed, 1e-8)


@pytest.mark.parametrize(("pi", "kept"), [(0.9, 4.68559), (0.5, 1.96875), (0.25, 1.3330078125)])
def test_how_many_terms_are_kept(pi: float, kept: float) -> None:
    found = Randomized(pi).expectation(lambda xi: 1 + np.cumprod(xi[::-1] > 0).sum(), CHAIN - 1)
    close(found.mean, kept)
    close(found.mean, (1 - pi**CHAIN) / (1 - pi))


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_the_mean_over_all_draws_is_the_gradient_of_any_network(kind: Any) -> None:
    layer, x = kind(2, 3, 2, dtype=float, rng=0), data(5, 2, 2)
    (layer(x)[0] ** 2).sum().backward()
    full = {name: p.grad for name, p in layer.named_parameters()}

    def gradient(xi: np.ndarray) -> np.ndarray:
        layer.zero_grad()
        for _, output, _ in randomized.run(layer, x, xi=xi):
            (output**2).sum().backward()
        return np.concatenate([p.grad.ravel() for p in layer.parameters()])

    randomized = Randomized(0.6)
    found = randomized.expectation(gradient, 4)
    close(found.mean, np.concatenate([full[name].ravel() for name, _ in layer.named_parameters()]))
    assert found.variance.max() > 0.01
    close(Randomized(1.0).expectation(gradient, 4).variance, np.zeros_like(found.mean))


def test_windows_end_where_xi_is_zero_and_values_stay() -> None:
    lstm, x = nn.LSTM(2, 3, dtype=float, rng=0), data(7, 1, 2)
    whole, (h, c) = lstm(x)
    seen, outputs = [], []
    state: Any = None
    for steps, output, state in Randomized(0.5).run(lstm, x, xi=[2, 0, 2, 2, 0, 0]):  # noqa: B007
        seen.append((steps.start, steps.stop))
        outputs.append(output.data)
        part = tg.bptt.flow((output**2).sum())["lstm"]
        assert list(part.steps) == list(range(steps.start + 1, steps.stop + 1))  # steps are counted on
    assert seen == [(0, 2), (2, 5), (5, 6), (6, 7)]
    close(np.concatenate(outputs), whole.data)
    close(state[0].data, h.data)
    close(state[1].data, c.data)


def test_the_flow_shows_the_factors() -> None:
    rnn = nn.RNN(1, 1, nonlinearity="identity", bias=False, dtype=float)
    rnn.W_xh.data, rnn.W_hh.data = [[1.0]], [[0.5]]
    ((_, output, _),) = Randomized(0.5).run(rnn, np.ones((4, 1, 1)), xi=[2, 3, 2])
    close(tg.bptt.flow(output[-1].sum())["rnn"].norms["h"], [0.125 * 12, 0.25 * 6, 0.5 * 2, 1])
    close(tg.bptt.jacobians(output[-1].sum()).matrices.ravel(), [0.5 * 2, 0.5 * 3, 0.5 * 2])


def test_the_draws_are_those_of_the_seed() -> None:
    xi = Randomized(0.8, rng=3).draw(10_000)
    assert set(xi) == {0.0, 1.25} and abs(xi.mean() - 1) < 0.02
    np.testing.assert_array_equal(xi, Randomized(0.8, rng=3).draw(10_000))
    assert set(Randomized(1).draw(50)) == {1.0}


def test_training_with_random_truncation() -> None:
    """A running sum, which full BPTT learns as well."""
    rng = np.random.default_rng(0)
    rnn, readout = nn.RNN(1, 8, dtype=float, rng=0), nn.Linear(8, 1, dtype=float, rng=1)
    optimizer = tg.optim.Adam([*rnn.parameters(), *readout.parameters()], lr=0.01)
    randomized, losses = Randomized(0.8, rng=2), []
    for _ in range(60):
        x = rng.uniform(-0.5, 0.5, (12, 8, 1))
        y = np.cumsum(x, axis=0)
        optimizer.zero_grad()
        total = 0.0
        for steps, output, _ in randomized.run(rnn, x):
            loss = ((readout(output) - y[steps]) ** 2).mean() * (steps.stop - steps.start) / 12
            loss.backward()
            total += loss.item()
        optimizer.step()
        losses.append(total)
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) / 4


@pytest.mark.parametrize("pi", [0, -0.5, 1.5, math.nan, None])
def test_a_pi_outside_0_and_1_is_refused(pi: Any) -> None:
    with pytest.raises(ValueError, match="pi, the probability to go on, must be a number above 0 and at most 1"):
        Randomized(pi)


def test_what_random_truncation_refuses() -> None:
    rnn = nn.RNN(1, 1)
    with pytest.raises(ValueError, match=r"xi needs one factor between any two of the 3 steps, 2, not shape \(3,\)"):
        next(Randomized(0.5).run(rnn, np.ones((3, 1, 1)), xi=[1, 1, 1]))
    with pytest.raises(ValueError, match="batch_first"):
        next(Randomized(0.5).run(nn.RNN(1, 1, batch_first=True), np.ones((1, 3, 1))))
    with pytest.raises(ValueError, match="reads forwards"):
        next(Randomized(0.5).run(nn.RNN(1, 1, bidirectional=True), np.ones((3, 1, 1))))
    with pytest.raises(ValueError, match=r"count must be in 0 \.\. 20, not 40"):
        Randomized(0.5).expectation(lambda xi: 0.0, 40)


# -- forward mode -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_forward_mode_is_the_reverse_sweep(kind: Any) -> None:
    cell, x, y = kind(2, 3, dtype=float, rng=0), data(6, 2, 2), data(6, 2, 3, seed=1)

    def step(x_t: Any, state: Any) -> tuple[Any, Any]:
        new = cell(tg.tensor(x_t), state)
        return (new[0] if isinstance(new, tuple) else new), new

    parameters = [p for _, p in cell.named_parameters()]
    start = cell.initial_state((2,))
    forwards = rtrl(step, x, start, lambda h, t: ((h - y[t]) ** 2).sum(), parameters)
    output, _ = nn.unroll(step, x, start)
    ((output - y) ** 2).sum().backward()
    assert len(forwards) == len(parameters) >= 3
    for found, p in zip(forwards, parameters, strict=True):
        close(found, p.grad)


def test_forward_mode_counts_weights_in_the_loss_and_losses_that_are_missing() -> None:
    w, v = tg.tensor(0.7, requires_grad=True), tg.tensor(2.0, requires_grad=True)

    def cell(x_t: Any, h: Any) -> tuple[Any, Any]:
        h = np.tanh(x_t + w * h)
        return h, h

    x = data(5)
    found = rtrl(cell, x, tg.tensor(0.3), lambda y, t: v * y if t % 2 == 0 else None, [w, v])
    output, _ = nn.unroll(cell, x, tg.tensor(0.3))
    expected = tg.grad((v * output[[0, 2, 4]]).sum(), [w, v])
    for a, b in zip(found, expected, strict=True):
        close(a, b.data)
    close(rtrl(cell, x, tg.tensor(0.3), lambda y, t: v * y if t % 2 == 0 else None, w), expected[0].data)


def test_forward_mode_needs_a_state() -> None:
    w = tg.tensor(1.0, requires_grad=True)
    with pytest.raises(TypeError, match="needs a state of Tensors to start from, not NoneType"):
        rtrl(lambda x_t, s: (x_t * w, None), np.ones(3), None, lambda y, t: y, w)
    with pytest.raises(ValueError, match="xi needs one factor"):
        rtrl(lambda x_t, s: (s, s), np.ones(3), tg.tensor(0.0), lambda y, t: y, w, xi=[1])


# -- penalties --------------------------------------------------------------------------------------


def linear(W: Any) -> Any:
    size = len(W)
    rnn = nn.RNN(size, size, nonlinearity="identity", bias=False, dtype=float)
    rnn.W_xh.data, rnn.W_hh.data = np.eye(size), W
    return rnn


def test_omega_of_matrices_that_keep_lengths_is_zero() -> None:
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    close(omega((linear(rotation)(data(5, 2, 2))[0] ** 2).sum()).item(), 0.0, 1e-24)


def test_omega_in_both_forms() -> None:
    """One unit with W = 0.9: the norm falls by 0.9 at each of 4 steps, whatever the gradient."""
    loss = (linear([[0.9]])(data(5, 3, 1))[0] ** 2).sum()
    close(omega(loss).item(), 4 * (0.9 - 1) ** 2)
    close(omega(loss, form="code").item(), (0.9**2 - 1) ** 2)


@pytest.mark.parametrize("form", ["paper", "code"])
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU])
def test_omega_and_its_gradient_by_hand_and_by_differences(kind: Any, form: str) -> None:
    layer, x, y = kind(2, 3, dtype=float, rng=0), data(5, 2, 2), data(5, 2, 3, seed=1)

    def loss() -> Any:
        return ((layer(x)[0] - y) ** 2).sum()

    J = tg.bptt.jacobians(loss()).matrices
    state, states = None, []
    for x_t in x:  # step by step, so that each state can be asked for its gradient
        output, state = layer(x_t[None], state)
        states.append((output, state))
    total = sum(((output - y_t) ** 2).sum() for (output, _), y_t in zip(states, y, strict=True))
    gs = [tg.grad(total, s, retain_graph=True, allow_unused=True) for _, s in states]
    gs = [
        2 * (output.data[0] - y_t) + (0 if g is None else g.data[0])
        for g, (output, _), y_t in zip(gs, states, y, strict=True)
    ]
    power = 1 if form == "paper" else 2

    def value(J: np.ndarray) -> float:
        terms = [
            (np.linalg.norm(g[b] @ J_t[b]) ** power / np.linalg.norm(g[b]) ** power - 1) ** 2
            for J_t, g in zip(J, gs[1:], strict=True)
            for b in range(2)
        ]
        return sum(terms) / 2 if form == "paper" else float(np.mean(terms))

    penalty = omega(loss(), form=form)
    close(penalty.item(), value(J))
    penalty.backward()
    found = layer.W_hh.grad  # with g held constant, so the same in the differences
    W = layer.W_hh.data.copy()
    for index in [(0, 0), (2, 1), (1, 2)]:
        sides = []
        for eps in (1e-6, -1e-6):
            moved = W.copy()
            moved[index] += eps
            layer.W_hh.data = moved
            sides.append(value(tg.bptt.jacobians(loss()).matrices))
        layer.W_hh.data = W
        close(found[index], (sides[0] - sides[1]) / 2e-6, 1e-6)


def test_omega_with_lengths_leaves_out_what_has_no_gradient() -> None:
    layer, x = nn.RNN(2, 3, dtype=float, rng=0), data(5, 2, 2)
    together = omega((layer(x, lengths=[5, 2])[0] ** 2).sum())
    alone = [omega((layer(x[:n, b : b + 1])[0] ** 2).sum()).item() for b, n in enumerate([5, 2])]
    close(together.item(), sum(alone) / 2)


def test_omega_pulls_weights_towards_keeping_lengths() -> None:
    rnn = nn.RNN(2, 4, dtype=float, rng=0)
    optimizer, x, values = tg.optim.SGD(rnn.parameters(), lr=0.02), data(8, 4, 2), []
    for _ in range(60):
        output, _ = rnn(x)
        penalty = omega((output[-1] ** 2).sum())
        values.append(penalty.item())
        optimizer.zero_grad()
        penalty.backward()
        optimizer.step()
    assert values[-1] < values[0] / 2


def test_what_omega_refuses() -> None:
    lstm = nn.LSTM(1, 2, dtype=float)
    with pytest.raises(ValueError, match="a state of one part, and that of lstm has h, c"):
        omega(lstm(np.ones((3, 1, 1)))[0].sum())
    rnn = nn.RNN(1, 2, dtype=float)
    with pytest.raises(ValueError, match='form must be "paper" or "code"'):
        omega(rnn(np.ones((3, 1, 1)))[0].sum(), form="squared")
    with pytest.raises(GraphError, match="no gradient arrives at any state"):
        omega((rnn(np.ones((3, 1, 1)))[0] * 0).sum())


def test_a_penalty_on_the_gradient_is_differentiated_twice() -> None:
    rnn, x = nn.RNN(2, 3, dtype=float, rng=0), data(4, 2, 2)

    def penalty() -> Any:
        return tg.bptt.gradient_penalty((rnn(x)[0] ** 2).sum(), [rnn.W_hh, rnn.b_h])

    first = tg.grad((rnn(x)[0] ** 2).sum(), [rnn.W_hh, rnn.b_h])
    close(penalty().item(), sum((g.data**2).sum() for g in first))
    penalty().backward()
    W, sides = rnn.W_hh.data.copy(), []
    for eps in (1e-6, -1e-6):
        moved = W.copy()
        moved[1, 2] += eps
        rnn.W_hh.data = moved
        sides.append(penalty().item())
    close(rnn.W_hh.grad[1, 2], (sides[0] - sides[1]) / 2e-6, 1e-6)


def test_penalties_on_activations_and_weights() -> None:
    output = tg.tensor(data(4, 2, 3), requires_grad=True)
    penalty = tg.bptt.activation_penalty(output)
    penalty.backward()
    close(penalty.item(), (output.data**2).mean())
    close(output.grad, 2 * output.data / output.size)
    rnn = nn.RNN(2, 3, dtype=float)
    tg.bptt.l2_penalty(rnn.parameters()).backward()
    close(rnn.W_hh.grad, 2 * rnn.W_hh.data)
    with pytest.raises(ValueError, match="no tensors to penalise"):
        tg.bptt.l2_penalty([])


def test_a_penalty_takes_one_tensor_as_well_as_several() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    assert tg.bptt.l2_penalty(w).item() == 5.0
    assert tg.bptt.gradient_penalty((w**2).sum(), w).item() == 4 * 5.0


# -- the memory of an LSTM --------------------------------------------------------------------------


def test_the_four_terms_are_the_derivative_of_one_step() -> None:
    cell = nn.LSTMCell(2, 3, dtype=float, rng=0)
    x, c, o = data(2, 2), data(2, 3, seed=1), np.random.default_rng(2).uniform(0, 1, (2, 3))
    terms = memory_terms(cell, x, c, o)

    def memory(c: Any) -> Any:
        return cell(tg.tensor(x), (o * np.tanh(c), c))[1]

    J = tg.jacobian(memory, tg.tensor(c)).data
    for b in range(2):
        close(terms.total[b], J[b, :, b])
        assert all(np.abs(term[b]).max() > 1e-3 for term in terms)
        assert np.array_equal(terms.direct[b], np.diag(np.diag(terms.direct[b])))


def test_multiplied_over_two_steps_the_four_terms_are_wrong_and_the_joint_jacobian_is_right() -> None:
    lstm = nn.LSTM(1, 1, bias=False, dtype=float)
    lstm.W_xh.data, lstm.W_hh.data = np.ones((1, 4)), [[1.0, 1.0, 1.0, 2.0]]
    x, c_0, o_0 = np.reshape([0.2, -0.1], (2, 1, 1)), np.full((1, 1, 1), 0.5), 0.5
    start = tg.tensor(c_0, requires_grad=True)
    h_0 = o_0 * np.tanh(start)
    _, (_, c_1) = lstm(x[:1], (h_0, start))
    output, (_, c_2) = lstm(x, (h_0, start))
    o_1 = 1 / (1 + np.exp(-(0.2 + 2 * o_0 * np.tanh(0.5))))
    first = memory_terms(lstm.cells[0], x[0], c_0[0], o_0).total.item()
    second = memory_terms(lstm.cells[0], x[1], c_1.data[0], [[o_1]]).total.item()
    close(first, 0.8902144303, 1e-10)
    close(first * second, 0.8132075395, 1e-10)
    close(tg.grad(c_2, start, retain_graph=True).item(), 0.8767638158, 1e-10)
    J = tg.bptt.jacobians((output**2).sum() + c_2.sum())
    dh_dc = o_0 * (1 - np.tanh(0.5) ** 2)  # c_0 acts on h_0 too
    row = J.product(2, 0)[0, 1]
    close(row[0] * dh_dc + row[1], 0.8767638158, 1e-10)


def test_what_the_four_terms_are_not_for() -> None:
    with pytest.raises(TypeError, match="needs an LSTMCell, not GRUCell"):
        memory_terms(nn.GRUCell(1, 1), [[1.0]], [[1.0]], [[1.0]])
    with pytest.raises(ValueError, match="without further options"):
        memory_terms(nn.LSTMCell(1, 1, peepholes=True), [[1.0]], [[1.0]], [[1.0]])


# -- remedies ---------------------------------------------------------------------------------------


def test_remedies_side_by_side() -> None:
    found = remedies(T=30, hidden=16)
    assert list(found.steps) == list(range(1, 31))
    for name, norms in found.norms.items():
        assert norms.shape == (30,) and (norms[-1] == 1 or name == "clipped")
    lost = {name: norms[0] for name, norms in found.norms.items()}
    assert lost["tanh"] < 1e-6 and lost["ReLU"] < 1e-6  # vanishing
    assert lost["large weights"] > 1e2 > lost["clipped"]  # exploding
    close(lost["identity (IRNN)"], 1.0)
    assert lost["tanh"] < lost["orthogonal"]
    assert lost["LSTM"] < lost["LSTM, b_f = 1"] < lost["LSTM, chrono"]
    assert lost["tanh"] < lost["GRU"] and lost["tanh"] < lost["layer norm"]
    ratio = found["clipped"] / found["large weights"]
    close(ratio, np.full(30, ratio[0]))  # one factor for all steps
    weak = remedies(T=2, hidden=2)  # a gradient that is short enough is left as it is
    assert weak["clipped"][-1] == 1
    lines = str(found).splitlines()
    assert len(lines) == 12 and all(len(line) <= 80 for line in lines) and "t=1 " in lines[0]
    with pytest.raises(ValueError, match="T must be 2 or more"):
        remedies(T=1)


@pytest.mark.parametrize("loss", [lambda y: 1.0, lambda y: y])
def test_forward_mode_needs_a_loss_of_one_number(loss: Any) -> None:
    w = tg.tensor(0.5, requires_grad=True)
    with pytest.raises(TypeError, match=r"a Tensor of one number, or None, not (float|of shape \(2,\))"):
        rtrl(lambda x, h: (h * w, h * w), np.ones(3), tg.tensor(np.ones(2)), lambda y, t: loss(y), w)


def test_no_steps_are_no_random_windows() -> None:
    rnn = tg.nn.RNN(1, 2, rng=0)
    assert list(Randomized(0.5, rng=0).run(rnn, np.ones((0, 1, 1)))) == []
