"""The compiled step: what is recorded of one step, and that it says all there is to know about T of them."""

from __future__ import annotations

import lstm_by_hand as by_hand
import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.compiled import Recorded, Schedule, Value, factored, ordered, record
from tinygrad_rnn.compiled.pieces import pieces
from tinygrad_rnn.compiled.program import Program
from tinygrad_rnn.compiled.run import Run
from tinygrad_rnn.errors import CompileError

H = 4
CELLS = {
    "rnn": lambda **k: tg.nn.RNNCell(3, H, **k),
    "rnn relu": lambda **k: tg.nn.RNNCell(3, H, nonlinearity="relu", **k),
    "rnn sigmoid": lambda **k: tg.nn.RNNCell(3, H, nonlinearity="sigmoid", **k),
    "rnn identity": lambda **k: tg.nn.RNNCell(3, H, nonlinearity="identity", **k),
    "rnn layer_norm": lambda **k: tg.nn.RNNCell(3, H, layer_norm=True, **k),
    "lstm": lambda **k: tg.nn.LSTMCell(3, H, **k),
    "lstm peepholes": lambda **k: tg.nn.LSTMCell(3, H, peepholes=True, **k),
    "lstm 1997": lambda **k: tg.nn.LSTMCell(3, H, forget_gate=False, cut_gate_gradient=True, peepholes=True, **k),
    "lstm layer_norm": lambda **k: tg.nn.LSTMCell(3, H, layer_norm=True, **k),
    "gru": lambda **k: tg.nn.GRUCell(3, H, **k),
    "gru no bias": lambda **k: tg.nn.GRUCell(3, H, bias=False, **k),
    "gru reset before": lambda **k: tg.nn.GRUCell(3, H, reset_after=False, **k),
    "gru layer_norm": lambda **k: tg.nn.GRUCell(3, H, layer_norm=True, **k),
}


def interpreted(step: Recorded, a, start, dy, dends):
    """The loop over time as the schedule says it, value by value: y, the last state, dL/da, dL/d(start), dL/dW."""
    s, memo = Schedule(step), []

    def compute(values, known):
        for v in values:
            if v.kind in ("op", "total") and v not in known:
                known[v] = evaluated(v, known)

    state = list(start)
    for t in range(len(a)):
        known = {step.a: a[t]} | dict(zip(step.states, state, strict=True))
        compute([*s.ahead, *s.forward, *s.output], known)
        state = [known[v] for v in step.after]
        memo.append(known)
    ends, totals = state, {}
    ds = list(dends)
    for t in reversed(range(len(a))):
        known = memo[t]
        for out, g in step.seeds:
            known[g] = sum((d for x, d in zip(step.after, ds, strict=True) if x is out), dy[t] * (out is step.y))
        compute([*s.factors, *s.backward, *s.late, *s.totals], known)
        for v in s.totals:
            totals[v] = totals.get(v, 0) + known[v]
        ds = [np.zeros_like(d) if v is None else known[v] for v, d in zip(step.dstates, ds, strict=True)]
    da = [np.zeros_like(a[t]) if step.da is None else memo[t][step.da] for t in range(len(a))]
    y = np.array([known[step.y] for known in memo])
    return y, ends, np.array(da), ds, {w.source: g.array(totals) for w, g in step.dweights}


def evaluated(v: Value, known):
    def of(x):
        if x in known:
            return known[x]
        array = x.array()
        return array if x.kind != "number" or not x.shape else np.full((B, x.columns), array)

    B = next(len(known[x]) for x in known)
    xs = [of(x) for x in v.args]
    match v.name:
        case "product":
            return xs[0].T @ xs[1]
        case "columns":
            return xs[0][:, v.start : v.start + v.columns]
        case "concatenate":
            return np.concatenate(xs, -1)
        case "broadcast":
            return np.broadcast_to(xs[0], (B, v.columns))
    y = v.op.forward(*xs)
    return y[v.output] if v.op.outputs > 1 else y


def composed(step, a, start, dy, dends):
    """The same by the tape."""
    a = tg.tensor(a, requires_grad=True)
    states = tuple(tg.tensor(s, requires_grad=True) for s in start)
    y, end = tg.nn.unroll(step, a, states if len(states) > 1 else states[0])
    ends = end if isinstance(end, tuple) else (end,)
    loss = (y * dy).sum() + sum((e * d).sum() for e, d in zip(ends, dends, strict=True))
    loss.backward()
    return y.data, [e.data for e in ends], a.grad, [s.grad for s in states], loss


def programmed(step, a, start, dy, dends):
    """The same by the program that is generated."""
    program = Program(pieces(step))
    run = Run(program, a, start, [getattr(w.source, "array", w.source) for w in program.weights], None, False)
    dy = np.ascontiguousarray(np.broadcast_to(dy, (*dy.shape[:2], step.y.columns)))
    da, *rest = run.gradients(0, len(a) - 1, dends, a, dy)
    ds, dws = rest[: len(start)], dict(zip(program.weights, rest[len(start) :], strict=True))
    ends = [part[-1] for part in run.states()]
    return run.output, ends, da, ds, {w.source: d for w, d in dws.items() if d is not None}


def run_both(step, width, widths, T=5, B=3, make=factored, run=interpreted):
    rng = np.random.default_rng(0)
    a, dy = rng.standard_normal((T, B, width)), rng.standard_normal((T, B, 1))
    start, dends = ([rng.standard_normal((B, n)) for n in widths] for _ in range(2))
    recorded = make(record(step, width, widths, float))
    return run(recorded, a, start, dy, dends), composed(step, a, start, dy, dends)


def agree(ours, theirs):
    y, ends, da, ds, dws = ours
    np.testing.assert_allclose(y, theirs[0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(ends, theirs[1], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(da, np.zeros_like(da) if theirs[2] is None else theirs[2], rtol=1e-11, atol=1e-12)
    for d, g in zip(ds, theirs[3], strict=True):
        np.testing.assert_allclose(d, np.zeros_like(d) if g is None else g, rtol=1e-11, atol=1e-12)
    for w, d in dws.items():
        np.testing.assert_allclose(d, w.grad, rtol=1e-11, atol=1e-12, err_msg=w.name)


FORMS = {"recorded": lambda step: step, "factored": factored, "pieces": lambda step: pieces(factored(step))}


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("name", CELLS)
def test_one_recorded_step_says_what_the_loop_computes(name, make):
    cell = CELLS[name](dtype=float, rng=0)
    agree(*run_both(cell.step, len(cell.gates) * H, [H] * len(cell.states), make=make))


@pytest.mark.parametrize("T, B", [(1, 1), (7, 3)])
def test_the_program_of_an_lstm_is_what_one_derives_by_hand(T, B):
    cell, rng = CELLS["lstm"](dtype=float, rng=0), np.random.default_rng(0)
    a, dy = rng.standard_normal((T, B, 4 * H)), rng.standard_normal((T, B, H))
    h, c, dh, dc = rng.standard_normal((4, B, H))
    hs, cs, gates = by_hand.forward(a, h, c, cell.W_hh.array)
    da, dh_0, dc_0, dW = by_hand.backward(hs, cs, gates, cell.W_hh.array, dy, dh, dc)
    step = factored(record(cell.step, 4 * H, [H, H], float))
    y, ends, *gradients = programmed(step, a, [h, c], dy, [dh, dc])
    for ours, theirs in zip([y, *ends], [hs[1:], hs[-1], cs[-1]], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)
    for ours, theirs in zip([gradients[0], *gradients[1], *gradients[2].values()], [da, dh_0, dc_0, dW], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)


def phases(cell):
    return Schedule(factored(record(cell.step, len(cell.gates) * H, [H] * len(cell.states), np.float32)))


def names(values):
    return [v.name for v in values if v.name not in ("g", "concatenate")]


def test_the_backward_loop_of_an_lstm_is_six_products():
    assert sorted(names(phases(CELLS["lstm"]()).backward)) == ["add", "matmul", *["multiply"] * 6]


def test_the_backward_loop_of_a_gru_multiplies_known_factors_by_dh():
    backward = phases(CELLS["gru"]()).backward
    assert sorted(names(backward)) == ["add", "matmul", *["multiply"] * 5]
    (g,) = [v for v in backward if v.kind == "g"]
    assert all(v.args[0] is g for v in backward if v.name == "multiply")


def test_the_gradient_of_the_recurrent_weight_is_one_product_over_all_steps():
    s = phases(CELLS["lstm"]())
    assert [(v.name, v.args[0] is s.step.states[0], v.args[1] is s.step.da) for v in s.totals] == [
        ("product", True, True)
    ]


# ------------------------------------------------------------------ steps of one's own

W = tg.tensor(np.random.default_rng(1).standard_normal((H, H)) / 2, requires_grad=True, name="W")
V = tg.tensor(np.random.default_rng(2).standard_normal((H, H)) / 2, requires_grad=True, name="V")
scale = tg.tensor(0.7, requires_grad=True, name="scale")
MASK = np.array([1.0, 0.0, 2.0, 1.0])


class Swish(tg.Op):
    def forward(self, x):
        return x / (1 + np.exp(-x))

    def vjp(self, g, y, x):
        s = 1 / (1 + np.exp(-x))
        return g * (s + y * (1 - s))


class CentredOverTheBatch(tg.Op):
    def forward(self, x):
        return x - x.mean(0)

    def vjp(self, g, y, x):
        return g - g.mean(0)


def both(h):
    return h, h


COMPILED = {
    "detach": lambda a, h: both(np.tanh(a + h.detach() @ W)),
    "detach, then tanh": lambda a, h: both(np.tanh(a + np.tanh(h.detach()) @ W)),
    "relu": lambda a, h: both(tg.relu(a + h @ W)),
    "clip": lambda a, h: both(np.clip(a + h @ W, -1, 1)),
    "power": lambda a, h: both(np.tanh((a + h @ W) ** 2 - 1.0)),
    "where": lambda a, h: both(np.where(a > 0.5, a, np.tanh(h @ W))),
    "where not": lambda a, h: both(np.where(~((a > 0) & (h < 0.2)) | (a == h), np.tanh(a), h * 0.5)),
    "where in a gate": lambda a, h: both(tg.sigmoid(np.where(h < 0.3, h @ W, 0)) * tg.sigmoid(np.where(h < 0, 0, a))),
    "a condition in a gate": lambda a, h: both(tg.sigmoid((tg.relu(a) > 0) * h) * tg.relu(a)),
    "maximum": lambda a, h: both(np.maximum(np.tanh(a), h @ W)),
    "softplus": lambda a, h: both(np.tanh(tg.softplus(a + h @ W))),
    "bilinear": lambda a, h: both(np.tanh(a + (h @ W) * (h @ V))),
    "attention over units": lambda a, h: both(np.tanh(a + (h * (h @ W)).sum(-1, keepdims=True) * a)),
    "softmax": lambda a, h: both(tg.softmax(a + h @ W, axis=-1) * 2.0),
    "tied": lambda a, h: both(np.tanh(a + (h @ W) @ W)),
    "weight drop": lambda a, h: both(np.tanh(a + h @ (W * 0.5))),
    "transposed": lambda a, h: both(np.tanh(a + h @ W.T + h @ W)),
    "part of a weight": lambda a, h: both(np.tanh(a + np.concatenate([h @ W[:, :2], h @ V[:, 2:]], -1))),
    "the state passed through": lambda a, h: (h, np.tanh(a + h @ W)),
    "an output of its own": lambda a, h: (np.tanh(h @ V), np.tanh(a + h @ W)),
    "an op of one's own": lambda a, h: both(np.tanh(Swish()(a + h @ W))),
    "columns": lambda a, h: both(np.concatenate([np.tanh(a[:, :2] + h[:, 2:]), h[:, :2]], -1)),
    "columns twice": lambda a, h: both(np.tanh(np.concatenate([h[:, :3], h[:, 3:]], -1) * h[..., 0:1] + a)),
    "a scalar weight": lambda a, h: both(np.tanh(a * scale + h @ W)),
    "an array from outside": lambda a, h: both(np.tanh(a + (h * MASK) @ W)),
    "no weight": lambda a, h: both(np.tanh(a + h)),
    "divide": lambda a, h: both(np.tanh(a / (1 + h * h) - h / 3)),
    "a constant state": lambda a, h: (h, h),
    "input alone": lambda a, h: both(np.tanh(a)),
    "linear": lambda a, h: both(tg.nn.functional_call(LINEAR, {}, h) + a),
}
LINEAR = tg.nn.Linear(H, H, dtype=float, rng=0)


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("name", COMPILED)
def test_a_step_of_ones_own(name, make):
    for w in (W, V, scale, *LINEAR.parameters()):
        w.grad = None
    agree(*run_both(COMPILED[name], H, [H], make=make))


@pytest.mark.parametrize("name", COMPILED)
def test_the_program_of_a_step_of_ones_own(name):
    for w in (W, V, scale, *LINEAR.parameters()):
        w.grad = None
    agree(*run_both(COMPILED[name], H, [H], run=programmed))


@pytest.mark.parametrize("T, B", [(1, 1), (5, 3), (40, 2)])
@pytest.mark.parametrize("name", CELLS)
def test_the_program_of_a_cell(name, T, B):
    cell = CELLS[name](dtype=float, rng=0)
    agree(*run_both(cell.step, len(cell.gates) * H, [H] * len(cell.states), T, B, run=programmed))


DROPOUT = tg.nn.Dropout(0.5, rng=0)
count = [0]
rng = np.random.default_rng(0)


def counted(a, h):
    count[0] += 1
    return both(np.tanh(a + h @ W * (1 / count[0])))


REFUSED = {
    "looks at its numbers": [
        lambda a, h: both(np.tanh(a + h @ W * float(h.data.mean() > 0))),
        lambda a, h: both(np.tanh(a) if (a + h).data.sum() > 0 else tg.sigmoid(a)),
        lambda a, h: both(np.tanh(a + tg.tensor(h.data.copy()) @ W)),
        lambda a, h: both(np.tanh(a) if a.sum() > 0 else h),
        lambda a, h: both(h * a.mean().item()),
        lambda a, h: both(h * float(a.mean())),
        lambda a, h: both(h * np.asarray(a)),
        lambda a, h: both(h if np.allclose(a, h) else a),
        lambda a, h: both(h * np.argmax(a)),
        lambda a, h: both(h[np.argsort(a[:, 0])]),
    ],
    "made inside the step": [
        lambda a, h: both(np.tanh(a + (h * (rng.random(h.shape) < 0.5)) @ W)),
        lambda a, h: both(np.tanh(a + DROPOUT(h) @ W)),
    ],
    "two recordings of the step differ": [counted, lambda a, h: both(h * rng.random()), lambda a, h: both(h / len(a))],
    "not \\(B, n\\)": [
        lambda a, h: both(np.tanh(a + h @ W - (h @ W).mean(0))),
        lambda a, h: both(np.tanh(a + np.einsum("bi,ij->bj", h, W))),
        lambda a, h: both(np.tanh(a - a.mean())),
    ],
    "both vary": [lambda a, h: both(np.tanh(a + (h @ h.T) @ h)), lambda a, h: both((W @ h.T).T)],
    "slice of columns": [
        lambda a, h: both(h[::-1]),
        lambda a, h: both(h[:, ::-1] + a),
        lambda a, h: both(h[:, [0, 0, 1, 2]]),
    ],
    "by itself": [lambda a, h: both(np.tanh(CentredOverTheBatch()(a) + h))],
    "another shape": [lambda a, h: (h, h[:, :2])],
    "two things": [lambda a, h: h],
    "must be Tensors": [lambda a, h: (h, W)],
    "float64": [lambda a, h: both(h * np.float64(0.5))],
}


@pytest.mark.parametrize("words, step", [(words, step) for words, steps in REFUSED.items() for step in steps])
def test_what_a_recording_would_not_hold_is_refused_by_name(words, step):
    with pytest.raises((CompileError, TypeError), match=words):
        record(step, H, [H], np.float32 if "float64" in words else float)


def test_recording_draws_no_random_numbers():
    drop = tg.nn.Dropout(0.5, rng=0)
    with pytest.raises(CompileError):
        record(lambda a, h: both(drop(h)), H, [H], float)
    first = drop(np.ones(100)).data
    np.testing.assert_array_equal(first, tg.nn.Dropout(0.5, rng=0)(np.ones(100)).data)


def test_no_two_values_of_a_factored_step_are_the_same():
    step = factored(record(COMPILED["power"], H, [H], float))
    values = [v for v in ordered([step.y, *step.gradients]) if v.kind == "op" and v.op is not None]
    assert len({(v.name, v.args, type(v.op), v.output, v.start) for v in values}) == len(values)
