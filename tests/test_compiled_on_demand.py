"""Any cell, compiled on demand: unroll(cell, x, state, compiled=True), and layers of cells with a step of one's own."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import CompileError

RNG = np.random.default_rng


def weights(H=4, n=3, seed=0):
    rng = RNG(seed)
    names = "W_f", "U_f", "W_h", "U_h"
    shapes = (n, H), (H, H), (n, H), (H, H)
    pairs = zip(names, shapes, strict=True)
    return {k: tg.tensor(rng.standard_normal(s) / 2, requires_grad=True, name=k) for k, s in pairs}


def minimal_gated(w):
    """The minimal gated unit (Zhou et al. 2016), as one writes it."""

    def cell(x, h):
        f = tg.sigmoid(x @ w["W_f"] + h @ w["U_f"])
        new = np.tanh(x @ w["W_h"] + (f * h) @ w["U_h"])
        h = (1 - f) * h + f * new
        return h, h

    return cell


def two_states(w):
    """An output of its own, and two parts of the state of different widths."""

    def cell(x, state):
        h, m = state
        m = 0.9 * m + x[:, :2]
        h = np.tanh(x @ w["W_h"] + h @ w["U_h"] + m.sum(-1, keepdims=True))
        return np.concatenate([h * h, m], -1), (h, m)

    return cell


def run(cell, x, state, w, **options):
    for t in w.values():
        t.grad = None
    x = tg.tensor(x, requires_grad=True)
    parts = tuple(tg.tensor(s, requires_grad=True) for s in state)
    y, end = tg.nn.unroll(cell, x, parts if len(parts) > 1 else parts[0], **options)
    ends = end if isinstance(end, tuple) else (end,)
    ((y * np.cos(np.arange(y.size)).reshape(y.shape)).sum() + sum((e**2).sum() for e in ends)).backward()
    grads = [t.grad for t in (x, *parts, *w.values())]
    return [y.data, *[e.data for e in ends], *[g for g in grads if g is not None]]


def given(cell, T=6, B=3):
    widths = (4, 2) if cell is two_states else (4,)
    return RNG(1).standard_normal((T, B, 3)), [RNG(2).standard_normal((B, n)) for n in widths]


@pytest.mark.parametrize(
    "options", [{}, {"lengths": [6, 2, 0]}, {"reverse": True}, {"reverse": True, "lengths": [1, 6, 4]}]
)
@pytest.mark.parametrize("make", [minimal_gated, two_states])
def test_compiled_it_is_the_loop(make, options):
    w = weights()
    results = [run(make(w), *given(make), w, compiled=c, **options) for c in (False, True)]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_it_is_one_record_that_opens_into_steps():
    w = weights()
    y, _ = tg.nn.unroll(
        minimal_gated(w), *given(minimal_gated)[:1], np.zeros((3, 4)), compiled=True, name="mgu", first=3
    )
    steps = [r for r in tg.tape(y.sum()) if r.step is not None]
    assert [(r.op.name, str(r.step)) for r in steps] == [("mgu_step", f"mgu t={t}") for t in range(3, 9)]


def test_a_step_knows_which_of_its_results_are_used_for_others():
    """Of these alone the whole gradient is not what arrives from outside of the step."""
    x, zero, H = np.ones((3, 2, 4)), np.zeros((2, 4)), tg.tensor(np.eye(4), requires_grad=True)
    steps = {
        "y is the state": (lambda x, h: ((h := np.tanh(x + h @ H)), h), zero, [False]),
        "y of the state": (lambda x, h: ((h := np.tanh(x + h @ H)) * 2, h), zero, [True, False]),
        "y beside it": (lambda x, h: (x * 2, np.tanh(x + h @ H)), zero, [False, False]),
        "h of c": (lambda x, s: (x * 2, (np.tanh(c := x + s[1] @ H), c)), (zero, zero), [False, True, False]),
        "h is c": (lambda x, s: (x * 2, ((c := np.tanh(x + s[1] @ H)), c)), (zero, zero), [True, True, False]),
    }
    for name, (step, start, used) in steps.items():
        _, end = tg.nn.unroll(step, x, start, compiled=True)
        op = (end[0] if isinstance(end, tuple) else end).record.op
        assert op.kind.used == used, name


@pytest.mark.parametrize("make", [minimal_gated, two_states])
def test_second_derivatives_are_those_of_the_loop(make):
    w, found = weights(), []
    x, state = given(make, T=3)
    for compiled in (False, True):
        parts = tuple(tg.tensor(s, requires_grad=True) for s in state)
        y, _ = tg.nn.unroll(make(w), x, parts if len(parts) > 1 else parts[0], compiled=compiled)
        first = tg.grad((y**2).sum(), [*parts, w["U_h"]], create_graph=True)
        found.append([g.data for g in (*first, *tg.grad(sum((g**2).sum() for g in first), [*parts, w["W_h"]]))])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_reports_and_pictures_are_those_of_the_loop():
    w, found = weights(), []
    for compiled in (False, True):
        y, _ = tg.nn.unroll(minimal_gated(w), *given(minimal_gated)[:1], np.zeros((3, 4)), compiled=compiled)
        loss = (y**2).sum()
        found.append((tg.draw(loss, level="cell").svg(), str(tg.bptt.flow(loss))))
    assert found[0] == found[1]


def test_new_weights_and_new_settings_are_seen():
    settings, w = {"slope": 1.0}, weights()

    def cell(x, h):
        h = np.tanh(settings["slope"] * (x @ w["W_h"]) + h @ w["U_h"])
        return h, h

    x, state = given(minimal_gated)
    for change in (
        lambda: None,
        lambda: settings.update(slope=0.3),
        lambda: w["U_h"].data.__setitem__(..., 0.1),
        lambda: w.update(U_h=tg.tensor(np.eye(4), requires_grad=True, name="U_h")),
    ):
        change()
        composed, compiled = (run(cell, x, state, w, compiled=c) for c in (False, True))
        for a, b in zip(composed, compiled, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_a_module_within_a_cell_and_frozen_weights():
    gate = tg.nn.Linear(4, 4, dtype=float, rng=0)

    def cell(x, h):
        h = np.tanh(x @ w["W_h"] + gate(h))
        return h, h

    w = weights()
    gate.b.requires_grad = False
    found = []
    for compiled in (False, True):
        gate.zero_grad()
        found.append([*run(cell, *given(minimal_gated), {"W_h": w["W_h"]}, compiled=compiled), gate.W.grad])
        assert gate.b.grad is None
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_check_runs_both_and_finds_a_cell_that_changes_its_mind():
    calls, w = [0], weights()

    def late(x, h):
        calls[0] += 1
        h = np.tanh(x @ w["W_h"] + h @ w["U_h"] * (1.0 if calls[0] < 12 else 0.5))
        return h, h

    x, (h,) = given(minimal_gated, T=20)
    y, _ = tg.nn.unroll(minimal_gated(w), x, h, compiled=True, check=True)
    assert y.shape == (20, 3, 4)
    with pytest.raises(CompileError, match=r"differs from the loop's by .* changes from call to call"):
        tg.nn.unroll(late, x, h, compiled=True, check=True)


W = tg.tensor(np.eye(4), requires_grad=True)


@pytest.mark.parametrize(
    "x, state, words",
    [
        (np.ones((5, 3)), np.ones((3, 4)), r"x is float64\[5, 3\]"),
        (np.ones((5, 3, 4)), np.ones((2, 4)), r"the state is float64\[2, 4\]"),
        (np.ones((5, 3, 4)), np.ones((3, 4), np.float32), r"the state is float32\[3, 4\]"),
        (np.ones((5, 3, 4), int), np.ones((3, 4), int), "x is int64"),
        (np.ones((5, 3, 4)), None, "what None stands for"),
        (np.ones((5, 3, 4)), {"h": np.ones((3, 4))}, "an array or a Tensor, or a tuple"),
        (np.ones((5, 3, 4)), np.ones((3, 5)), "fails on what it is given to be recorded"),
    ],
)
def test_what_cannot_be_compiled_says_why(x, state, words):
    with pytest.raises(CompileError, match=words):
        tg.nn.unroll(lambda x, h: (h, np.tanh(x + h @ W)), x, state, compiled=True)


def test_nothing_is_recorded_under_no_grad():
    with tg.no_grad():
        y, h = tg.nn.unroll(minimal_gated(weights()), *given(minimal_gated)[:1], np.zeros((3, 4)), compiled=True)
    assert not y.requires_grad and not h.requires_grad and y.shape == (6, 3, 4)


def test_a_cell_made_anew_with_other_weights_is_not_compiled_anew(monkeypatch):
    from tinygrad_rnn.nn.fused import compiling

    recorded = []
    record = compiling.record
    monkeypatch.setattr(compiling, "record", lambda *args: recorded.append(args) or record(*args))
    x, state = given(minimal_gated, T=7)
    for seed in range(4):
        w = weights(seed=seed)
        composed, compiled = (run(minimal_gated(w), x, state, w, compiled=c, name="anew") for c in (False, True))
        for a, b in zip(composed, compiled, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    assert len(recorded) == 1


def test_nothing_of_a_cell_is_kept_when_it_is_gone():
    import gc
    import weakref

    w = weights()
    y, _ = tg.nn.unroll(minimal_gated(w), *given(minimal_gated)[:1], np.zeros((3, 4)), compiled=True)
    kept = weakref.ref(w["U_h"])
    del y, _, w
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize("options", [{}, {"reverse": True}], ids=str)
def test_who_looks_at_the_last_state_sees_what_comes_from_the_last_y_too(options):
    W = tg.tensor(np.eye(4) * 0.5, requires_grad=True)

    def cell(x, state):
        h, c = state
        c = 0.5 * c + np.tanh(h @ W + x)
        h = np.tanh(c)
        return h, (h, c)

    found = []
    for compiled in (False, True):
        start = tuple(tg.tensor(np.full((2, 4), v), requires_grad=True) for v in (0.1, 0.2))
        y, (h, c) = tg.nn.unroll(cell, tg.tensor(np.ones((3, 2, 4))), start, compiled=compiled, **options)
        seen = [g.data for g in tg.grad((y**2).sum() + c.sum(), [h, *start], retain_graph=True)]
        h.register_hook(lambda g: seen.append(np.array(g)))  # noqa: B023
        h.register_hook(lambda g: 2 * g)
        h.retain_grad()
        ((y**2).sum() + h.sum()).backward()
        found.append([*seen, h.grad, *[s.grad for s in start]])
    for composed, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, composed, rtol=1e-12)


def test_a_state_of_one_part_in_a_tuple():
    U = tg.tensor(np.eye(4) * 0.5, requires_grad=True)

    def cell(x, state):
        (h,) = state
        h = np.tanh(x + h @ U)
        return h, (h,)

    x, found = tg.tensor(np.linspace(-1, 1, 24).reshape(3, 2, 4)), []
    for compiled in (False, True):
        y, (h,) = tg.nn.unroll(cell, x, (np.zeros((2, 4)),), compiled=compiled, check=compiled)
        found.append([y.data, h.data, tg.grad((y**2).sum() + h.sum(), U).data])
    for composed, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, composed, rtol=1e-12)
