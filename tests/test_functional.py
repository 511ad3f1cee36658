"""Derivatives as functions, checkpointing, anomaly mode, and threads."""

from __future__ import annotations

import gc
import itertools
import random
import threading
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import AnomalyError, GraphError, NonScalarError

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((2, 3)), rng.standard_normal(3)


def f(x, y):
    """R^(2x3) x R^3 -> R^2, R: not linear, and with mixed second derivatives."""
    return np.tanh(x @ y) * np.exp(y[0]), (x * x).sum() * y[1]


def numeric_jacobian(g, x, eps=1e-6):
    columns = []
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = eps
        columns.append((g(x + step) - g(x - step)) / (2 * eps))
    return np.stack(columns, -1).reshape(*np.shape(g(x)), *x.shape)


# ------------------------------------------------------------------ vjp, jvp, jacobian, hessian, hvp


def test_jacobians_of_several_outputs_and_inputs():
    J = tg.jacobian(f, (tg.tensor(X), tg.tensor(Y)))
    for k in range(2):
        by_x = numeric_jacobian(lambda x, k=k: f(x, Y)[k], X)
        by_y = numeric_jacobian(lambda y, k=k: f(X, y)[k], Y)
        np.testing.assert_allclose(J[k][0].data, by_x, atol=1e-8)
        np.testing.assert_allclose(J[k][1].data, by_y, atol=1e-8)


def test_vjp_and_jvp_are_products_with_the_jacobian():
    J = tg.jacobian(f, (tg.tensor(X), tg.tensor(Y)))
    v = (rng.standard_normal(2), rng.standard_normal(()))
    values, (gx, gy) = tg.vjp(f, (X, Y), v)
    np.testing.assert_array_equal(values[0].data, f(X, Y)[0])
    for got, k in ((gx, 0), (gy, 1)):
        expected = np.tensordot(v[0], J[0][k].data, 1) + v[1] * J[1][k].data
        np.testing.assert_allclose(got.data, expected, rtol=1e-12)
    u = (rng.standard_normal((2, 3)), rng.standard_normal(3))
    _, (w0, w1) = tg.jvp(f, (X, Y), u)
    for got, k in ((w0, 0), (w1, 1)):
        expected = np.tensordot(J[k][0].data, u[0], 2) + np.tensordot(J[k][1].data, u[1], 1)
        np.testing.assert_allclose(got.data, expected, rtol=1e-12)


def loss(x, y):
    return (np.tanh(x @ y) ** 2).sum() + (x[0] * y).sum() ** 2


def test_hessian_and_its_products():
    H = tg.hessian(loss, (X, Y))

    def gradient(x, y):
        return [g.data for g in tg.vjp(loss, (x, y))[1]]

    np.testing.assert_allclose(H[0][1].data, numeric_jacobian(lambda y: gradient(X, y)[0], Y), atol=1e-7)
    np.testing.assert_allclose(H[1][1].data, numeric_jacobian(lambda y: gradient(X, y)[1], Y), atol=1e-7)
    np.testing.assert_allclose(H[0][0].data.reshape(6, 6), H[0][0].data.reshape(6, 6).T, atol=1e-12)
    v = (rng.standard_normal((2, 3)), rng.standard_normal(3))
    value, (hx, hy) = tg.hvp(loss, (X, Y), v)
    assert value.item() == pytest.approx(loss(X, Y).item())
    np.testing.assert_allclose(hx.data, np.tensordot(H[0][0].data, v[0], 2) + H[0][1].data @ v[1], rtol=1e-10)
    np.testing.assert_allclose(hy.data, np.tensordot(H[1][0].data, v[0], 2) + H[1][1].data @ v[1], rtol=1e-10)


def test_derivatives_that_are_zero_everywhere():
    constant = tg.tensor([1.0, 2.0])
    for got in (
        tg.vjp(lambda x: constant, Y, [1.0, 1.0])[1],
        tg.jvp(lambda x: constant, Y, Y)[1],
        tg.jacobian(lambda x: constant, Y),
        tg.hessian(lambda x: (x * 2).sum(), Y),
        tg.hvp(lambda x: (x * 2).sum(), Y, Y)[1],
    ):
        assert not got.data.any()
    assert tg.hessian(lambda x: (x * 2).sum(), Y).shape == (3, 3)


def test_they_leave_the_inputs_alone():
    x = tg.tensor(Y, requires_grad=True)
    tg.jacobian(np.tanh, x), tg.hvp(lambda x: (x**3).sum(), x, Y)
    assert x.grad is None and x.record is None


def test_functions_that_do_not_fit():
    with pytest.raises(NonScalarError, match=r"hessian\(\).*shape \(3,\)"):
        tg.hessian(np.tanh, Y)
    with pytest.raises(TypeError, match="must return a Tensor"):
        tg.jacobian(lambda x: 3.0, Y)
    with pytest.raises(ValueError, match="1 vectors v for 2 inputs"):
        tg.jvp(f, (X, Y), [X])
    with pytest.raises(ValueError, match="at least one input"):
        tg.vjp(lambda: tg.tensor(1.0), ())


# ------------------------------------------------------------------ checkpoint


def segment(x, state, W):
    for _ in range(4):
        state = np.tanh(x + state @ W)
    return state, state * 2


def run(through, create_graph=False):
    x = tg.tensor(X[:, :2], requires_grad=True, name="x")
    W = tg.tensor(np.eye(2) * 0.7, requires_grad=True, name="W")
    U = tg.tensor([[0.5, -0.3], [0.1, 0.9]], requires_grad=True, name="U")  # used, but not given
    state = tg.tensor(np.zeros((2, 2)))
    total = 0.0
    for _ in range(3):
        state, twice = through(lambda x, s: segment(x @ U, s, W), x, state)
        total = total + (twice * twice).sum()
    return total, (x, W, U)


def test_checkpoint_gives_the_same_gradients_also_of_weights_it_was_not_given():
    plain, xs = run(lambda fn, *args: fn(*args))
    kept, ys = run(tg.checkpoint)
    assert [record.op.name for record in tg.tape(kept)].count("tanh") == 0 and len(tg.tape(plain)) > 40
    plain.backward()
    kept.backward()
    assert kept.item() == plain.item()
    for x, y in zip(xs, ys, strict=True):
        np.testing.assert_allclose(y.grad, x.grad, rtol=1e-13)


def test_checkpoint_can_be_differentiated_twice():
    results = []
    for through in (lambda fn, *args: fn(*args), tg.checkpoint):
        total, xs = run(through)
        gradients = tg.grad(total, xs, create_graph=True)
        results.append(tg.grad(sum((g * g).sum() for g in gradients), xs))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b.data, a.data, rtol=1e-11)


def test_checkpoint_of_constants_records_nothing():
    y = tg.checkpoint(np.tanh, tg.tensor([1.0]))
    assert not y.requires_grad
    with tg.no_grad():
        assert not tg.checkpoint(np.tanh, tg.tensor([1.0], requires_grad=True)).requires_grad


def test_checkpoint_of_a_layer_with_its_state():
    lstm = tg.nn.LSTM(2, 3, rng=0, dtype=float)
    x = rng.standard_normal((8, 1, 2))
    whole, _ = lstm(x)
    (whole**2).sum().backward()
    expected = {name: p.grad for name, p in lstm.named_parameters()}
    lstm.zero_grad()
    state, total = None, 0.0
    for window in tg.bptt.windows(x, 3):
        output, state = tg.checkpoint(lambda s, w=window: lstm(w, s), state)
        total = total + (output**2).sum()
    total.backward()
    for name, p in lstm.named_parameters():
        np.testing.assert_allclose(p.grad, expected[name], rtol=1e-12)


def test_checkpoint_of_an_array_in_the_memory_of_something_else():
    class FromBytes(tg.Op):
        def forward(self, x):
            return np.frombuffer(x.tobytes(), x.dtype)

        def vjp(self, g, y, x):
            return g

    x = tg.tensor([1.0, 2.0], requires_grad=True)
    tg.checkpoint(lambda x: FromBytes()(x), x).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


RNG = np.random.default_rng(5)


def noise(x):
    return x * RNG.normal(size=x.shape)


@dataclass
class Noisy:
    """A function with a generator of its own."""

    rng: Any

    def __call__(self, x):
        return x * self.rng.normal(size=x.shape)

    def method(self, x):
        return self(x)


class NoisyModel(tg.nn.Module):
    def __init__(self):
        self.blocks = [{"a": tg.nn.Sequential(tg.nn.Dropout(0.5, rng=0), tg.nn.Dropout(0.3, rng=1))}]

    def forward(self, x):
        return noise(self.blocks[0]["a"](x))


def drawing_functions():
    """Functions that draw random numbers, from generators that stand in many places."""
    rng, old, python = np.random.default_rng(0), np.random.RandomState(0), random.Random(0)
    default = np.random.default_rng(2)
    dropout, model, noisy = tg.nn.Dropout(0.5, rng=0), NoisyModel(), Noisy(np.random.default_rng(1))
    return {
        "a module": dropout,
        "a lambda with a module": lambda x: dropout(x * 2),
        "a model": model,
        "a generator in a closure": lambda x: x * rng.normal(size=x.shape),
        "a default": lambda x, rng=default: x * rng.normal(size=x.shape),
        "an old generator": lambda x: x * old.normal(size=x.shape),
        "Python's generator": lambda x: x * python.random(),
        "a global": lambda x: x * RNG.normal(size=x.shape),
        "a function with a global": noise,
        "a lambda with such a function": lambda x: noise(noise(x)),
        "an object": noisy,
        "a method": noisy.method,
        "a partial": partial(lambda rng, x: x * rng.normal(size=x.shape), np.random.default_rng(3)),
        "within a function": lambda x: [x * RNG.normal(size=x.shape) for _ in range(2)][1],
        "a checkpoint within": lambda x: tg.checkpoint(dropout, dropout(x)),
        "an MT19937": Noisy(np.random.Generator(np.random.MT19937(0))),
    }


@pytest.mark.parametrize("name", drawing_functions())
def test_checkpoint_draws_the_same_random_numbers_again(name):
    fn = drawing_functions()[name]
    x = tg.tensor(np.ones(10), requires_grad=True)
    first, second = tg.checkpoint(fn, x), tg.checkpoint(fn, x)
    assert not np.array_equal(first.data, second.data)
    third = fn(x.detach())
    for y in (second, first):  # linear in x = 1
        x.grad = None
        y.sum().backward()
        np.testing.assert_allclose(x.grad, y.data, rtol=1e-15)
    after = fn(x.detach())  # the generator goes on as if there had been no second time
    assert not any(np.array_equal(after.data, y.data) for y in (first, second, third))


def test_checkpoint_with_dropout_gives_the_sequence_of_masks_without():
    def losses(run):
        model, found = tg.nn.Sequential(tg.nn.Linear(3, 8, rng=0), tg.nn.Dropout(0.5, rng=1)), []
        for _ in range(3):
            loss = (run(model, np.ones((2, 3), np.float32)) ** 2).sum()
            model.zero_grad()
            loss.backward()
            found.append((loss.item(), model[0].W.grad.tolist()))
        return found

    assert losses(tg.checkpoint) == losses(lambda fn, x: fn(x))


def test_checkpoint_takes_a_generator_as_an_argument_and_differentiates_twice():
    x = tg.tensor(np.arange(1.0, 9), requires_grad=True)
    y = tg.checkpoint(lambda x, rng: (x * rng.integers(0, 2, 8)) ** 3, x, np.random.default_rng(0))
    (g,) = tg.grad(y.sum(), [x], create_graph=True)
    (gg,) = tg.grad(g.sum(), [x])
    np.testing.assert_allclose(gg.data * x.data**2, 6 * y.data)


def test_a_layer_in_pieces_with_a_cell_that_draws():
    class Zoneout(tg.nn.RNNCell):
        def step(self, a, state):
            h, _ = super().step(a, state)
            h = np.where(self.keep, h, state) * self.rng.uniform(0.5, 1.5, h.shape)
            return h, h

    class Layer(tg.nn.RNN):
        cell_type = Zoneout

    def gradients(**options):
        layer = Layer(2, 3, dtype=float, rng=0, **options)
        layer.cells[0].rng, layer.cells[0].keep = np.random.default_rng(7), np.array([True, False, True])
        layer(np.ones((6, 1, 2)))[0].sum().backward()
        return [p.grad for p in layer.parameters()]

    for a, b in zip(gradients(), gradients(checkpoint=2), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_checkpoint_notices_a_function_that_changes():
    count = itertools.count()
    y = tg.checkpoint(lambda x: x * next(count), tg.tensor(np.ones(20), requires_grad=True))
    with pytest.raises(
        GraphError, match=r"other values, or used other tensors, when it was run again.*from a NumPy Gen"
    ):
        y.sum().backward()


def test_checkpoint_notices_it_also_where_the_gradient_is_recorded():
    x = tg.tensor(np.ones(20), requires_grad=True)
    with pytest.raises(GraphError, match="run again"):
        tg.grad(tg.checkpoint(lambda x: x * np.random.rand(), x).sum(), x, create_graph=True)


def test_checkpoint_notices_that_other_weights_are_used():
    weights = [tg.tensor(2.0, requires_grad=True), tg.tensor(2.0, requires_grad=True)]
    y = tg.checkpoint(lambda x: x * weights[0], tg.tensor(1.0, requires_grad=True))
    weights.reverse()
    with pytest.raises(GraphError, match="used other tensors"):
        y.backward()


def test_checkpoint_within_functional_call_keeps_the_weights_of_the_call():
    class Model(tg.nn.Module):
        def __init__(self):
            self.inner = tg.nn.Linear(2, 1, bias=False, dtype=float, rng=0)

        def forward(self, x):
            return tg.checkpoint(self.inner, x)

    model = Model()
    W = tg.tensor(model.inner.W.data, requires_grad=True)
    y = tg.nn.functional_call(model, {"inner.W": W}, tg.tensor([1.0, 2.0], requires_grad=True))
    y.sum().backward()
    assert W.grad.ravel().tolist() == [1, 2] and model.inner.W.grad is None


def test_checkpoint_of_a_function_that_uses_results_from_outside():
    def total(run):
        w = tg.tensor(3.0, requires_grad=True)
        h = w * w  # used inside twice, and outside
        h.retain_grad()
        first = run(lambda x: x * h, tg.tensor(2.0, requires_grad=True))
        second = run(lambda x: x * h + w, first)
        return w, h, second + h * h

    gradients = []
    for run in (lambda fn, *args: fn(*args), tg.checkpoint):
        w, h, y = total(run)
        y.backward()
        gradients.append((w.grad, h.grad))
        w, h, y = total(run)
        g = tg.grad(y, w, create_graph=True)
        gradients[-1] += (g.data, tg.grad(g, w).data)
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-13)


def test_a_hook_on_a_weight_used_in_a_checkpoint_is_called_once():
    w = tg.tensor(3.0, requires_grad=True)
    w.register_hook(lambda g: g * 10)
    tg.checkpoint(lambda x: x * w, tg.tensor(2.0)).backward()
    assert w.grad == 20.0


def test_checkpoint_of_a_function_that_gives_no_tensor():
    with pytest.raises(TypeError, match="must return Tensors"):
        tg.checkpoint(lambda x: None, tg.tensor(2.0))


def test_checkpoint_leaves_no_cycle():
    gc.collect()
    gc.disable()
    try:
        total, _ = run(tg.checkpoint)
        total.backward()
        del total, _
        assert gc.collect() == 0
    finally:
        gc.enable()


# ------------------------------------------------------------------ anomaly mode


def test_the_first_nan_of_the_forward_pass_is_named_with_its_line():
    x = tg.tensor([1.0, -1.0], requires_grad=True)
    with (
        tg.anomaly(),
        pytest.raises(AnomalyError, match=r"op log made nan at \[1\] from finite inputs") as caught,
        np.errstate(all="ignore"),
    ):
        np.log(x) * 2
    assert "np.log(x) * 2" in str(caught.value) and "test_functional.py" in str(caught.value)


def test_the_step_of_an_unrolled_network_is_named():
    def cell(x_t, h):
        h = np.sqrt(h - x_t)
        return h, h

    with tg.anomaly(), np.errstate(all="ignore"), pytest.raises(AnomalyError, match="op sqrt at cell t=3"):
        tg.nn.unroll(cell, tg.tensor([0.5, 0.5, 9.0, 0.5], requires_grad=True), tg.tensor(4.0))


def test_the_first_inf_of_the_backward_pass_is_named_with_the_forward_line():
    x = tg.tensor([4.0, 0.0], requires_grad=True)
    with tg.anomaly(), np.errstate(all="ignore"):
        y = np.sqrt(x)  # the culprit
        total = (y * y).sum() + y.sum()
        with pytest.raises(AnomalyError, match=r"rule of op sqrt made inf at \[1\].*which is 0 there") as caught:
            total.backward()
    assert "y = np.sqrt(x)  # the culprit" in str(caught.value)


def test_infinities_that_were_given_are_no_anomaly():
    scores = tg.tensor([1.0, -np.inf, 2.0], requires_grad=True)
    with tg.anomaly():
        tg.logsumexp(scores).backward()
    assert np.isfinite(scores.grad).all()


def test_outside_anomaly_nothing_is_checked():
    x = tg.tensor(-1.0, requires_grad=True)
    with np.errstate(all="ignore"):
        assert np.isnan(np.log(x).item())
        with tg.anomaly():
            pass
        assert np.isnan(np.log(x).item())


# ------------------------------------------------------------------ threads


def test_threads_have_tapes_and_modes_of_their_own():
    def train(seed):
        generator = np.random.default_rng(seed)
        rnn = tg.nn.RNN(2, 4, rng=seed)
        optimizer = tg.optim.SGD(rnn.parameters(), lr=0.1)
        for _ in range(15):
            output, _ = rnn(generator.standard_normal((5, 2, 2)))
            optimizer.zero_grad()
            (output * output).mean().backward()
            optimizer.step()
        return rnn.state_dict()

    expected = [train(seed) for seed in range(6)]
    results = [None] * 6
    modes = []

    def work(seed):
        results[seed] = train(seed)

    def quiet():
        with tg.no_grad():
            for _ in range(200):
                modes.append((tg.tensor(1.0, requires_grad=True) * 2).requires_grad)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)] + [threading.Thread(target=quiet)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(modes) and tg.is_grad_enabled()
    for a, b in zip(expected, results, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
