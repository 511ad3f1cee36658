"""A fused layer is the composed layer: values, gradients of every order, tape, pictures and memory."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.compiled import run as runs
from tinygrad_rnn.engine.backward import reachable

RNG = np.random.default_rng
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu"}),
    ("RNN", {"nonlinearity": "sigmoid", "bias": False}),
    ("RNN", {"nonlinearity": "identity"}),
    ("LSTM", {}),
    ("LSTM", {"bias": False, "forget_bias": None}),
    ("GRU", {}),
    ("GRU", {"bias": False}),
]
SHAPES: list[dict[str, Any]] = [{}, {"num_layers": 2, "bidirectional": True, "learn_initial_state": True}]


def pair(kind: str, input_size: int = 3, hidden_size: int = 4, **options: Any) -> tuple[Any, Any]:
    """The same layer composed and fused."""
    make = getattr(nn, kind)
    return tuple(make(input_size, hidden_size, rng=0, dtype=float, fused=f, **options) for f in (False, True))  # type: ignore[return-value]


def flat(state: Any) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state,)


def loss_of(output: Any, state: Any) -> Any:
    """A scalar that weighs every entry of the output and of the state differently."""
    weights = np.cos(np.arange(output.size)).reshape(output.shape)
    return (output * weights).sum() + sum((part**3).sum() for part in flat(state))


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


# ---------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("lengths", [None, [5, 2, 0]], ids=["whole", "lengths"])
@pytest.mark.parametrize("shape", SHAPES, ids=["plain", "stacked"])
@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=str)
def test_values_and_gradients_to_second_order(kind: str, options: Any, shape: Any, lengths: Any) -> None:
    results = []
    for layer in pair(kind, **options, **shape):
        x = tg.tensor(RNG(1).standard_normal((5, 3, 3)), requires_grad=True)
        rows = layer.num_layers * layer.directions
        given = [tg.tensor(RNG(2).standard_normal((rows, 3, 4)), requires_grad=True) for _ in layer.cell_type.states]
        output, state = layer(x, tuple(given) if len(given) > 1 else given[0], lengths=lengths)
        inputs = [x, *given, *(p for name, p in layer.named_parameters() if "_0" not in name)]
        first = tg.grad(loss_of(output, state), inputs, create_graph=True)
        second = tg.grad(sum((g**2).sum() for g in first), inputs)
        results.append([output, *flat(state), *first, *second])
    for composed, fused_ in zip(*results, strict=True):
        close(composed.data, fused_.data)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_learned_initial_state_learns(kind: str) -> None:
    gradients = []
    for layer in pair(kind, learn_initial_state=True, bidirectional=True):
        loss_of(*layer(RNG(1).standard_normal((5, 3, 3)))).backward()
        gradients.append({name: p.grad for name, p in layer.named_parameters()})
    for name, g in gradients[0].items():
        close(g, gradients[1][name])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("t", [0, 2, 4])
def test_a_loss_at_one_step_alone(kind: str, t: int, reverse: bool) -> None:
    """Only the steps before it get a gradient, and the sequence beyond gets zeros."""
    gradients = []
    for layer in pair(kind, bidirectional=reverse):
        x = tg.tensor(RNG(1).standard_normal((5, 3, 3)), requires_grad=True)
        output, _ = layer(x)
        (output[t] ** 2).sum().backward()
        gradients.append([x.grad, *(p.grad for p in layer.parameters())])
    for composed, fused_ in zip(*gradients, strict=True):
        close(composed, fused_)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_loss_on_the_last_state_alone(kind: str) -> None:
    gradients = []
    for layer in pair(kind):
        _, state = layer(RNG(1).standard_normal((5, 3, 3)))
        (flat(state)[-1] ** 2).sum().backward()
        gradients.append([p.grad for p in layer.parameters()])
    for composed, fused_ in zip(*gradients, strict=True):
        close(composed, fused_)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_the_factors_are_computed_in_chunks_of_steps(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = []
    for size in (1, 5 * 3 * 4 * 8 * 3, 1 << 20):  # one step, three steps, all steps at a time
        monkeypatch.setattr(runs, "_CHUNK", size)
        layer = pair(kind, bidirectional=True)[1]
        loss_of(*layer(RNG(1).standard_normal((8, 3, 3)), lengths=[8, 3, 5])).backward()
        gradients.append([p.grad for p in layer.parameters()])
    for parts in zip(*gradients, strict=True):
        close(parts[0], parts[2])
        close(parts[1], parts[2])


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_central_differences(kind: str) -> None:
    layer = pair(kind, 2, 3)[1]
    x = tg.tensor(RNG(1).standard_normal((3, 2, 2)), requires_grad=True)
    names = [name for name, _ in layer.named_parameters()]

    def f(x: Any, *parameters: Any) -> Any:
        output, state = nn.functional_call(layer, dict(zip(names, parameters, strict=True)), x, lengths=[3, 2])
        return loss_of(output, state)

    assert tg.gradcheck(f, [x, *(tg.tensor(p.data, requires_grad=True) for p in layer.parameters())], order=2)


def test_float32_stays_float32_and_agrees_to_its_precision() -> None:
    for kind in ("RNN", "LSTM", "GRU"):
        layer = getattr(nn, kind)(3, 4, rng=0)
        x = RNG(1).standard_normal((6, 3, 3)).astype(np.float32)
        (layer(x)[0] ** 2).sum().backward()
        got = [p.grad for p in layer.parameters()]
        layer.zero_grad()
        layer.fused = False
        (layer(x)[0] ** 2).sum().backward()
        for g, p in zip(got, layer.parameters(), strict=True):
            assert g.dtype == np.float32
            np.testing.assert_allclose(g, p.grad, rtol=2e-4, atol=2e-6)


# ---------------------------------------------------------------- when a step is fused


def op_names(layer: Any, **kwargs: Any) -> set[str]:
    return {record.op.name for record in tg.tape(layer(np.ones((2, 1, 3)), **kwargs)[0].sum())}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *[("LSTM", {option: True}) for option in ("peepholes", "layer_norm")],
        ("LSTM", {"forget_gate": False}),
        ("GRU", {"reset_after": False}),
        ("GRU", {"layer_norm": True}),
        ("RNN", {"layer_norm": True}),
    ],
)
def test_auto_fuses_the_options_of_the_cells(kind: str, options: Any) -> None:
    assert f"{kind.lower()}_step" in op_names(getattr(nn, kind)(3, 4, **options))
    assert f"{kind.lower()}_step" not in op_names(getattr(nn, kind)(3, 4, fused=False, **options))


def test_a_cut_gradient_is_seen_op_by_op_unless_on_demand() -> None:
    """A report says that h has no gradient there, which a step in one piece would not show."""
    assert "lstm_step" not in op_names(nn.LSTM(3, 4, cut_gate_gradient=True))
    assert "lstm_step" in op_names(nn.LSTM(3, 4, cut_gate_gradient=True, fused=True))
    gradients = []
    for layer in pair("LSTM", cut_gate_gradient=True, peepholes=True):
        loss_of(*layer(RNG(1).standard_normal((5, 3, 3)), lengths=[5, 2, 3])).backward()
        gradients.append([p.grad for p in layer.parameters()])
    for composed, fused_ in zip(*gradients, strict=True):
        close(composed, fused_)


def test_fused_is_true_false_or_auto() -> None:
    with pytest.raises(ValueError, match="fused must be True, False or"):
        nn.RNN(3, 4, fused="always")


class SlowCell(nn.RNNCell):
    def step(self, a: Any, state: Any) -> Any:
        h = 0.9 * state + 0.1 * np.tanh(a + state @ self.W_hh)
        return h, h


class Slow(nn.RNN):
    cell_type = SlowCell


def test_a_cell_with_a_step_of_its_own_is_fused_on_demand() -> None:
    assert not any(name.endswith("_step") for name in op_names(Slow(3, 4)))
    assert "slow_step" in op_names(Slow(3, 4, fused=True))
    gradients = []
    for fused in (False, True):
        layer = Slow(3, 4, num_layers=2, bidirectional=True, fused=fused, rng=0, dtype=float)
        loss_of(*layer(RNG(1).standard_normal((5, 3, 3)), lengths=[5, 2, 3])).backward()
        gradients.append([p.grad for p in layer.parameters()])
    for composed, fused_ in zip(*gradients, strict=True):
        close(composed, fused_)


def test_a_step_that_cannot_be_compiled_says_why_on_demand() -> None:
    class Counting(nn.RNNCell):
        def step(self, a: Any, state: Any) -> Any:
            h = np.tanh(a + state @ self.W_hh) * float(state.data.sum() < 9)
            return h, h

    class CountingRNN(nn.RNN):
        cell_type = Counting

    assert not any(name.endswith("_step") for name in op_names(CountingRNN(3, 4)))
    with pytest.raises(tg.errors.CompileError, match=r"fused=True, but the step of Counting.* looks at its numbers"):
        op_names(CountingRNN(3, 4, fused=True))


def test_within_anomaly_the_op_of_a_gate_is_named() -> None:
    layer = nn.LSTM(3, 4, rng=0)
    layer.W_hh.data[:] = 3e38
    state = np.ones((1, 1, 4)), np.ones((1, 1, 4))
    message = "op matmul at lstm t=1 made inf"
    with tg.anomaly(), pytest.raises(tg.errors.AnomalyError, match=message), np.errstate(over="ignore"):
        layer(np.ones((2, 1, 3)), state)


def test_a_step_fused_by_demand_is_watched_within_anomaly_too() -> None:
    layer = nn.RNN(3, 4, nonlinearity="relu", fused=True, rng=0)
    x = np.ones((3, 2, 3), np.float32)
    with tg.anomaly():
        (layer(x)[0] ** 2).sum().backward()
        with tg.no_grad():
            layer(x)
    layer.W_hh.data[:] = 3e38
    message = r"op rnn_step at rnn t=2 made .*inf.* layer\(x\)"
    with tg.anomaly(), pytest.raises(tg.errors.AnomalyError, match=message), np.errstate(over="ignore"):
        layer(x)


def test_anomaly_names_the_step_whose_derivative_overflows() -> None:
    layer = nn.RNN(1, 1, nonlinearity="identity", bias=False)
    layer.W_hh.data[:] = 3e38
    output, _ = layer(np.zeros((3, 1, 1)))
    message = "derivative rule of op rnn_step at rnn t=2 made inf"
    with tg.anomaly(), pytest.raises(tg.errors.AnomalyError, match=message), np.errstate(over="ignore"):
        output[2].sum().backward()


@pytest.mark.parametrize("fused", [False, True])
def test_outside_anomaly_what_overflows_goes_on_as_inf(fused: bool) -> None:
    layer = nn.RNN(1, 1, nonlinearity="relu", fused=fused, rng=0)
    layer.W_xh.data, layer.W_hh.data = np.ones((1, 1)), np.full((1, 1), 1e30)
    with np.errstate(all="ignore"):
        out, _ = layer(np.ones((4, 1, 1), np.float32))
    assert np.isposinf(out.data[2:]).all() and np.isfinite(out.data[:2]).all()


def test_the_tape_has_one_record_a_step_with_its_names() -> None:
    output, (h, c) = nn.LSTM(3, 4, rng=0)(np.ones((3, 1, 3)))
    tape = tg.tape(output.sum() + h.sum() + c.sum())
    steps = [record for record in tape if record.op.name == "lstm_step"]
    assert [str(record.step) for record in steps] == ["lstm t=1", "lstm t=2", "lstm t=3"]
    assert [(tape.names[record, 0], tape.names[record, 1]) for record in steps] == [("h", "c")] * 3
    assert "lstm t=2  h, c" in str(tape)


def test_the_picture_is_that_of_the_composed_layer() -> None:
    for kind in ("RNN", "LSTM", "GRU"):
        pictures = []
        for layer in pair(kind, num_layers=2):
            output, state = layer(np.ones((4, 2, 3)))
            past = tg.bptt.detach(state)
            loss = (layer(np.ones((4, 2, 3)), past)[0] ** 2).sum() + (output**2).sum()
            pictures += [tg.draw(loss, level=level, grads=True, names=layer).svg() for level in ("op", "cell")]
        assert pictures[:2] == pictures[2:]


# ---------------------------------------------------------------- a run is one record until somebody looks


def run_of(output: tg.Tensor) -> Any:
    """The record of the run behind an output, as it lies on the tape, with nobody having looked."""
    return next(record for record in reachable([output]) if record.op.open_steps is not None)


def test_a_run_is_one_record_and_its_steps_are_there_for_whoever_looks() -> None:
    output, (h, c) = nn.LSTM(3, 4, rng=0)(np.ones((3, 1, 3)))
    loss = output.sum() + h.sum() + c.sum()
    run = run_of(loss)
    assert repr(run).endswith(": lstm at lstm t=3>") and len(run.values) == 3
    tape = tg.tape(loss)
    steps = [record for record in tape if record.op.name == "lstm_step"]
    assert len(steps) == 3 and run.op.name == "stack" and run.step is None and [x.record for x in run.inputs] == steps
    assert [record.seq for record in tape] == sorted({record.seq for record in tape})
    assert all(x.record.seq < r.seq for r in tape for x in r.inputs if x is not None and x.record is not None)
    assert [x.record for x in h.record.inputs + c.record.inputs] == [steps[-1]] * 2  # and no longer the run
    assert list(tg.tape(loss)) == list(tape)


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_gradients_are_the_same_whether_somebody_has_looked_or_not(kind: str, options: Any) -> None:
    found = []
    for look in (lambda loss: None, tg.tape, tg.draw, tg.bptt.flow):
        layer = getattr(nn, kind)(3, 4, rng=0, dtype=float, **options)
        x = tg.tensor(RNG(1).standard_normal((5, 3, 3)), requires_grad=True)
        loss = loss_of(*layer(x, lengths=[5, 2, 3]))
        look(loss)
        loss.backward()
        found.append([x.grad, *(p.grad for p in layer.parameters())])
    for others in found[1:]:
        for a, b in zip(found[0], others, strict=True):
            close(a, b)


def test_a_backward_pass_that_nobody_looks_at_opens_no_run() -> None:
    layer = nn.GRU(3, 4, rng=0)
    x = tg.tensor(np.ones((3, 1, 3)), requires_grad=True)
    output, h = layer(x)
    loss, opened = output.sum() + h.sum(), []
    run = run_of(loss)
    run.op.open_steps = lambda record: opened.append(record)
    tg.grad(loss, [x, output, h], retain_graph=True)
    output.register_hook(lambda g: 2 * g)
    h.retain_grad()
    loss.backward()
    assert opened == [] and h.grad.tolist() == [[[1.0] * 4]] and run.freed


def test_hooks_on_what_a_run_gives_stay_when_it_is_opened() -> None:
    found = []
    for look in (False, True):
        layer = nn.LSTM(3, 4, rng=0, dtype=float)
        output, (h, c) = layer(RNG(1).standard_normal((5, 3, 3)))
        output.register_hook(lambda g: 3 * g)
        h.register_hook(lambda g: 5 * g)
        c.retain_grad()
        loss = loss_of(output, (h, c))
        if look:
            tg.tape(loss)
        loss.backward()
        found.append([layer.W_hh.grad, c.grad])
    for a, b in zip(*found, strict=True):
        close(a, b)


@pytest.mark.parametrize("fused", [False, True])
def test_an_output_that_the_loss_does_not_use_has_no_gradient(fused: bool) -> None:
    output, h = nn.GRU(3, 4, rng=0, fused=fused)(np.ones((3, 1, 3)))
    seen: list[Any] = []
    output.register_hook(seen.append)
    output.retain_grad()
    loss = h.sum()
    assert tg.grad(loss, output, retain_graph=True, allow_unused=True) is None
    loss.backward()
    assert seen == [] and output.grad is None


def test_only_what_was_asked_for_gets_a_gradient() -> None:
    layer = nn.LSTM(3, 4, rng=0)
    x = tg.tensor(np.ones((3, 1, 3)), requires_grad=True)
    output = layer(x)[0]
    seen: list[Any] = []
    for p in layer.parameters():
        p.register_hook(seen.append)
    tg.grad(output.sum(), x)
    assert seen == [] and all(p.grad is None for p in layer.parameters())


def test_an_error_in_the_rule_of_a_run_says_which_layer() -> None:
    output, _ = nn.GRU(3, 4, num_layers=2, rng=0)(np.ones((3, 1, 3)))
    run_of(output).op.run.program = None
    with pytest.raises(AttributeError) as caught:
        output.sum().backward()
    assert "gru at gru_l1 t=3>" in caught.value.__notes__[0]


# ---------------------------------------------------------------- gradients looked at on their way


def test_hooks_and_visits_see_every_state() -> None:
    """A gradient that somebody looks at is taken step by step, with the same numbers."""
    seen: dict[bool, list[Any]] = {True: [], False: []}
    for layer in pair("RNN"):
        output, _ = layer(RNG(1).standard_normal((5, 3, 3)))
        loss = (output**2).sum()
        states = {record.step.t: record for record in tg.tape(loss) if record.step and record.op.name != "getitem"}
        gradients = tg.tape(loss).gradients
        seen[layer.fused] += [gradients[states[t]] for t in sorted(states)]
        record = states[3]
        record.hooks = {0: [lambda g: 2 * g]}
        loss.backward()
        seen[layer.fused] += [p.grad for p in layer.parameters()]
    for composed, fused_ in zip(seen[False], seen[True], strict=True):
        close(composed, fused_)


def test_two_directions_whose_steps_follow_each_other_on_the_tape() -> None:
    """Nothing is recorded between them where the projection is frozen; each is swept in its own arrays."""
    gradients = []
    for layer in pair("RNN", bidirectional=True):
        for name, p in layer.named_parameters():
            p.requires_grad = "W_hh" in name
        _, h = layer(RNG(1).standard_normal((5, 3, 3)))
        (h**2).sum().backward()
        gradients.append([layer.cells[k].W_hh.grad for k in (0, 1)])
    for composed, fused_ in zip(*gradients, strict=True):
        close(composed, fused_)


def test_a_state_in_the_middle_retains_its_gradient() -> None:
    seen = []
    for layer in pair("RNN"):
        output, _ = layer(RNG(1).standard_normal((5, 3, 3)))
        h = tg.tape(output)[-1].inputs[2]
        h.retain_grad()
        (output**2).sum().backward()
        seen.append(h.grad)
    close(*seen)


def test_gradients_of_intermediate_states_and_of_the_sequence() -> None:
    layer = pair("LSTM")[1]
    output, _ = layer(RNG(1).standard_normal((5, 3, 3)))
    loss = (output**2).sum()
    inputs = {t: x for r in tg.tape(loss) if r.op.name == "stack" for t, x in enumerate(r.inputs) if x is not None}
    a = next(r.inputs[0] for r in tg.tape(loss) if r.op.name == "lstm_step")
    all_at_once = tg.grad(loss, [a, inputs[1], layer.W_hh], retain_graph=True)
    for x, g in zip([a, inputs[1], layer.W_hh], all_at_once, strict=True):
        close(tg.grad(loss, x, retain_graph=True).data, g.data)
    loss.backward()
    close(layer.W_hh.grad, all_at_once[2].data)


def test_twice_through_a_retained_graph() -> None:
    layer = pair("GRU")[1]
    loss = loss_of(*layer(RNG(1).standard_normal((5, 3, 3))))
    loss.backward(retain_graph=True)
    once = [p.grad.copy() for p in layer.parameters()]
    loss.backward()
    for g, p in zip(once, layer.parameters(), strict=True):
        close(2 * g, p.grad)
    with pytest.raises(tg.errors.FreedGraphError, match="freed by an earlier backward"):
        loss.backward()


def test_frozen_weights_and_other_weights_in_their_place() -> None:
    layer = pair("LSTM")[1]
    layer.W_hh.requires_grad = False
    loss_of(*layer(RNG(1).standard_normal((5, 3, 3)))).backward()
    assert layer.W_hh.grad is None and layer.W_xh.grad is not None
    W = tg.tensor(RNG(3).standard_normal((4, 16)), requires_grad=True)
    y = nn.functional_call(layer, {"W_hh": W * 0.5}, RNG(1).standard_normal((5, 3, 3)))[0]
    first = tg.grad(y.sum(), W, create_graph=True)
    assert np.isfinite(tg.grad((first**2).sum(), W).data).all()


def test_other_weights_stay_in_their_place_when_a_step_is_computed_again() -> None:
    """While `functional_call` lasts, to differentiate or draw inside it, and afterwards, where it was checkpointed."""

    class Penalty(nn.Module):
        def __init__(self, **options: Any) -> None:
            self.rnn = nn.GRU(3, 4, rng=0, dtype=float, **options)

        def forward(self, x: Any) -> Any:
            output, _ = self.rnn(x)
            return output.sum() + (tg.grad((output**2).sum(), self.rnn.cells[0].W_hh, create_graph=True) ** 2).sum()

    gradients = []
    for options in ({"fused": False}, {"fused": True}, {"checkpoint": 2}):
        W = tg.tensor(RNG(3).standard_normal((4, 12)), requires_grad=True)
        y = nn.functional_call(Penalty(**options), {"rnn.W_hh": W}, RNG(1).standard_normal((5, 2, 3)))
        y.backward()
        gradients.append(W.grad)
    close(gradients[0], gradients[1])
    close(gradients[0], gradients[2])


def test_weights_of_several_dtypes_are_left_to_the_composed_step() -> None:
    for name in ("b_h", "b_hn", "h_0"):
        layer = nn.GRU(3, 4, rng=0, learn_initial_state=True)
        doubled = {name: tg.tensor(dict(layer.named_parameters())[name].data, dtype=float, requires_grad=True)}
        output, _ = nn.functional_call(layer, doubled, np.ones((2, 1, 3), np.float32))
        assert "gru_step" not in {record.op.name for record in tg.tape(output)}
        tensors = [*layer.parameters(), *doubled.values()]
        for x, g in zip(tensors, tg.grad(output.sum(), tensors, allow_unused=True), strict=True):
            assert g is None or g.dtype == x.dtype


# ---------------------------------------------------------------- memory


@pytest.mark.parametrize("first", [True, False], ids=["one first", "two first"])
def test_one_weight_in_two_places_is_another_program_than_two_weights(first: bool) -> None:
    """Peepholes of two gates: one weight for both, or one each. A program is kept for later cells of its kind."""
    for shared in (first, not first):
        found = []
        for layer in pair("LSTM", hidden_size=7 + first, peepholes=True):
            cell = layer.cells[0]
            if shared:
                cell.W_cf = cell.W_ci
            loss_of(*layer(RNG(1).standard_normal((5, 2, 3)))).backward()
            found.append([cell.W_ci.grad, cell.W_cf.grad, cell.W_hh.grad])
        assert shared or not np.allclose(found[0][0], found[0][1])
        for composed, fused in zip(*found, strict=True):
            close(composed, fused)


def test_what_a_user_holds_is_never_written_to_again() -> None:
    """Outputs, states and gradients are views of arrays over steps: no later training step may change them."""
    layer, head = nn.LSTM(24, 32, rng=0), nn.Linear(32, 3, rng=1)
    optimizer = tg.optim.SGD([*layer.parameters(), *head.parameters()], lr=0.1)
    state, kept = None, []
    for k in range(100):
        x = RNG(k).standard_normal((20, 32, 24)).astype(np.float32)
        output, state = layer(x, None if state is None else tg.bptt.detach(state))
        loss = nn.cross_entropy(head(output), RNG(k).integers(0, 3, (20, 32)))
        optimizer.zero_grad()
        (gx,) = tg.grad(loss, [output], retain_graph=True)
        loss.backward()
        optimizer.step()
        held = [output.data, *(part.data for part in state), gx.data, *(p.grad for p in layer.parameters())]
        if k % 3 == 0:  # the others are let go, so that their memory may be used again
            kept += [(array, array.copy()) for array in held]
            kept.append((held[0][3:7, :, ::2].T, held[0][3:7, :, ::2].T.copy()))
    for array, copy in kept:
        np.testing.assert_array_equal(array, copy)


def test_a_freed_graph_leaves_nothing_behind() -> None:
    layer, x = nn.LSTM(3, 4, rng=0), np.ones((6, 2, 3))
    (layer(x)[0] ** 2).sum().backward()
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(20):
            loss = (layer(x)[0] ** 2).sum()
            loss.backward()
            del loss
        assert len(gc.get_objects()) - before < 20
    finally:
        gc.enable()


def test_after_a_backward_pass_the_loss_keeps_no_array_of_the_run() -> None:
    output, _ = nn.LSTM(3, 4, rng=0)(np.ones((6, 2, 3)))
    loss = output.sum()
    steps = [record for record in tg.tape(loss) if record.op.name == "lstm_step"]
    loss.backward()
    assert all(record.freed and record.inputs == record.arrays == record.values == () for record in steps)
    assert all(record.op.run is None for record in steps)


def test_after_a_backward_pass_that_nobody_looked_at_neither_does_it() -> None:
    loss = nn.LSTM(3, 4, rng=0)(np.ones((6, 2, 3)))[0].sum()
    run = run_of(loss)
    gates = weakref.ref(run.op.run)
    loss.backward()
    assert run.freed and gates() is None


# ---------------------------------------------------------------- threads and exceptions


def test_threads_have_their_own_arrays() -> None:
    def train(seed: int, losses: list[float]) -> None:
        layer = nn.GRU(16, 32, rng=seed)
        optimizer = tg.optim.Adam(layer.parameters(), lr=0.01)
        x = RNG(seed).standard_normal((30, 16, 16)).astype(np.float32)
        for _ in range(15):
            optimizer.zero_grad()
            loss = (layer(x)[0] ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    alone: list[list[float]] = [[], [], [], []]
    together: list[list[float]] = [[], [], [], []]
    for seed in range(4):
        train(seed, alone[seed])
    threads = [threading.Thread(target=train, args=(seed, together[seed])) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert alone == together


def test_two_threads_may_walk_one_retained_graph() -> None:
    layer = nn.LSTM(8, 16, rng=0, dtype=float)
    output, _ = layer(RNG(0).standard_normal((60, 8, 8)))
    losses = [(output * (k + 1)).sum() for k in range(4)]
    want = [tg.grad(loss, layer.W_hh, retain_graph=True).data.copy() for loss in losses]
    got: list[Any] = [None] * 4

    def walk(k: int) -> None:
        for _ in range(5):
            got[k] = tg.grad(losses[k], layer.W_hh, retain_graph=True).data

    threads = [threading.Thread(target=walk, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b in zip(want, got, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_exception_leaves_the_step_tag_the_mode_and_the_collector_as_they_were() -> None:
    layer = nn.LSTM(3, 4, rng=0)
    thresholds = gc.get_threshold()
    loss = (layer(np.ones((5, 2, 3)))[0] ** 2).sum()
    record = tg.tape(loss)[-3]

    def fail(g: Any) -> Any:
        raise RuntimeError("stop here")

    record.hooks = {0: [fail]}
    with pytest.raises(RuntimeError, match="stop here"):
        loss.backward()
    assert gc.get_threshold() == thresholds and gc.isenabled()
    assert tg.is_grad_enabled() and (layer.W_hh * 1).record.step is None
    layer.zero_grad()
    (layer(np.ones((5, 2, 3)))[0] ** 2).sum().backward()
    assert layer.W_hh.grad is not None


def test_nothing_is_recorded_under_no_grad_and_a_cut_stays_a_cut() -> None:
    layer = nn.LSTM(3, 4, rng=0)
    with tg.no_grad():
        output, state = layer(np.ones((5, 2, 3)))
    assert not output.requires_grad and not state[0].requires_grad
    want, _ = layer(np.ones((5, 2, 3)))
    np.testing.assert_array_equal(output.data, want.data)


# ---------------------------------------------------------------- checkpointing over time


@pytest.mark.slow
@pytest.mark.parametrize("fused_", [False, True])
@pytest.mark.parametrize("lengths", [None, [10, 3, 0, 7]], ids=["whole", "lengths"])
@pytest.mark.parametrize("n", [True, 3, 100])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_checkpointing_gives_the_same_gradients(kind: str, n: Any, lengths: Any, fused_: bool) -> None:
    results = []
    for checkpoint in (False, n):
        options = {"num_layers": 2, "bidirectional": True, "fused": fused_, "checkpoint": checkpoint}
        layer = getattr(nn, kind)(3, 4, rng=0, dtype=float, **options)
        x = tg.tensor(RNG(1).standard_normal((10, 4, 3)), requires_grad=True)
        loss = loss_of(*layer(x, lengths=lengths))
        first = tg.grad(loss, [x, *layer.parameters()], create_graph=True)
        second = tg.grad(sum((g**2).sum() for g in first), [x, *layer.parameters()])
        results.append([loss, *first, *second])
    for whole, pieces in zip(*results, strict=True):
        close(whole.data, pieces.data)


def test_a_checkpoint_keeps_no_large_array_for_a_small_state() -> None:
    """c of the last step is a view of all gates of all steps."""
    _, (_, c) = nn.LSTM(3, 64, checkpoint=50, rng=0)(np.ones((100, 16, 3)))
    kept = [part for r in tg.tape(c.sum()) if r.op.name == "checkpoint" for part in r.values if part.ndim == 2]
    assert kept and all(part.base is None or part.base.nbytes <= 2 * part.nbytes for part in kept)


def test_checkpointing_records_the_square_root_of_the_steps() -> None:
    layer = nn.GRU(3, 4, checkpoint=True, rng=0)
    names = [record.op.name for record in tg.tape(layer(np.ones((100, 1, 3)))[0].sum())]
    assert names.count("checkpoint") == 10 and "gru_step" not in names
    with pytest.raises(ValueError, match="checkpoint must be 1 or more"):
        nn.GRU(3, 4, checkpoint=0 - 1)
