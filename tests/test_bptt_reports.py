"""The reports on backpropagation through time: gradient flow, step Jacobians, decomposition.

Each is compared with something that knows nothing of tapes and tags: untied copies of a weight, gradients taken one by
one, central differences, torch, or figures worked out by hand.
"""

from collections import namedtuple
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.bptt import decompose, flow, jacobians
from tinygrad_rnn.errors import FreedGraphError, GraphError, NonScalarError
from tinygrad_rnn.ops import linalg

nn = tg.nn
T, B, IN, H = 6, 2, 3, 4
KINDS = [nn.RNN, nn.LSTM, nn.GRU]
both_forms = pytest.mark.parametrize("fused", [True, False], ids=["fused", "composed"])
every_kind = pytest.mark.parametrize("kind", KINDS)


def close(actual: Any, expected: Any, tolerance: float = 1e-12) -> None:
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max(initial=0)))


def data(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def layer_loss(kind: Any, lengths: Any = None, seed: int = 0, **options: Any) -> tuple[Any, Any]:
    """A layer, and a loss at every step behind it."""
    layer = kind(IN, H, dtype=float, rng=seed, **options)
    output, _ = layer(data(T, B, IN, seed=1), lengths=lengths)
    return layer, nn.mse_loss(output, data(*output.shape, seed=2))


def own_loop(W: Any, h: Any, x: Any, inside: bool = True) -> tuple[Any, list[Any], list[Any]]:
    """h_t = tanh(x_t + h_{t-1} W), L_t = Σ h_t²: the sum of the losses, the losses and the states."""
    total, losses, states = 0.0, [], []
    with tg.scope("mine") as at:
        for t, x_t in enumerate(x, 1):
            at(t)
            h = np.tanh(x_t + h @ W)
            if not inside:
                at(None)
            L = (h * h).sum()
            total = total + L
            losses.append(L)
            states.append(h)
    return total, losses, states


# -- flow -------------------------------------------------------------------------------------------


@both_forms
@every_kind
def test_flow_is_the_gradient_at_each_state(kind: Any, fused: bool) -> None:
    """Each step is a call of the layer, so that its states can be asked for their gradients one by one."""
    layer = kind(IN, H, dtype=float, rng=0, fused=fused)
    names = layer.cell_type.states
    x, state, outputs, states = data(T, B, IN), None, [], []
    for t in range(T):
        output, state = layer(x[t : t + 1], state)
        outputs.append(output)
        states.append(state if len(names) > 1 else (state,))
    loss = sum((output**2).sum() for output in outputs)
    found = flow(loss)[kind.__name__.lower()]
    whole, _ = layer(x)
    at_once = flow((whole**2).sum())[kind.__name__.lower()]
    assert list(found.steps) == list(at_once.steps) == [1, 2, 3, 4, 5, 6]
    assert tuple(found.norms) == tuple(at_once.norms) == names
    for name in names:
        close(found.norms[name], at_once.norms[name])
    # dL/dh_t: h_t acts on its own loss, and on the future as the state that is carried on
    for t in range(T - 1):
        carried = tg.grad(loss, states[t][0], retain_graph=True).data[0]
        close(found.norms["h"][t], np.linalg.norm(carried + 2 * outputs[t].data[0]))
    if kind is nn.LSTM:  # c_t acts on h_t too: h_t = o_t tanh(c_t)
        for t in range(T - 1):
            h, c = (part.data[0] for part in states[t])
            dh = tg.grad(loss, states[t][0], retain_graph=True).data[0] + 2 * h
            carried = tg.grad(loss, states[t][1], retain_graph=True).data[0]
            through_h = dh * h / np.tanh(c) * (1 - np.tanh(c) ** 2)
            close(found.norms["c"][t], np.linalg.norm(carried + through_h))


@pytest.mark.parametrize("lengths", [None, [6, 3], [4, 0]])
@every_kind
def test_fused_and_composed_steps_have_one_report(kind: Any, lengths: Any) -> None:
    found = []
    for fused in (True, False):
        layer, loss = layer_loss(kind, lengths, num_layers=2, bidirectional=True, fused=fused)
        weights = dict(layer.named_parameters())
        found.append(
            (
                flow(loss, per_unit=True),
                {name: jacobians(loss, name) for name in flow(loss).layers},
                {name: decompose(loss, W, blocks=True) for name, W in weights.items()},
            )
        )
    (flow_1, J_1, parts_1), (flow_2, J_2, parts_2) = found
    assert list(flow_1.layers) == list(flow_2.layers) == list(J_1) and len(J_1) == 4
    for name, part in flow_1.layers.items():
        assert list(part.steps) == list(flow_2[name].steps)
        for state in part.norms:
            close(part.norms[state], flow_2[name].norms[state])
            close(part.units[state], flow_2[name].units[state])
        assert J_1[name].steps == J_2[name].steps
        close(J_1[name].matrices, J_2[name].matrices)
    for name, part in parts_1.items():
        np.testing.assert_array_equal(np.isnan(part.norms), np.isnan(parts_2[name].norms))
        close(part.blocks, parts_2[name].blocks)


@pytest.mark.oracle
def test_flow_is_that_of_torch(torch: Any) -> None:
    layer, _ = layer_loss(nn.LSTM)
    theirs = torch.nn.LSTMCell(IN, H, dtype=torch.float64)
    with torch.no_grad():
        theirs.weight_ih.copy_(torch.tensor(layer.W_xh.data.T))
        theirs.weight_hh.copy_(torch.tensor(layer.W_hh.data.T))
        theirs.bias_ih.copy_(torch.tensor(layer.b_h.data))
        theirs.bias_hh.zero_()
    x, y = data(T, B, IN), data(T, B, H, seed=5)
    output, _ = layer(x)
    found = flow(((output - y) ** 2).sum())["lstm"]
    h = c = torch.zeros(B, H, dtype=torch.float64)
    states, loss = [], 0.0
    for t in range(T):
        i, f, g, o = (torch.tensor(x[t]) @ theirs.weight_ih.T + theirs.bias_ih + h @ theirs.weight_hh.T).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        c.retain_grad()
        h = torch.sigmoid(o) * torch.tanh(c)
        h.retain_grad()
        states.append((h, c))
        loss = loss + ((h - torch.tensor(y[t])) ** 2).sum()
    loss.backward()
    close(found.norms["h"], [float(h.grad.norm()) for h, _ in states])
    close(found.norms["c"], [float(c.grad.norm()) for _, c in states])


def test_flow_by_hand() -> None:
    """h_t = w h_{t-1} + x_t and L = h_T: dL/dh_t = w^(T-t), for each unit its own w."""
    rnn = nn.RNN(2, 2, nonlinearity="identity", bias=False, dtype=float)
    rnn.W_xh.data, rnn.W_hh.data = np.eye(2), np.diag([0.5, 2.0])
    output, _ = rnn(np.ones((4, 1, 2)))
    part = flow(output[-1].sum(), per_unit=True)["rnn"]
    close(part.units["h"], [[0.125, 8], [0.25, 4], [0.5, 2], [1, 1]])
    close(part.norms["h"], np.sqrt([0.125**2 + 64, 0.25**2 + 16, 4.25, 2]))


def test_flow_of_the_lecture_example() -> None:
    rnn = nn.RNN(1, 1, bias=False, dtype=float)
    rnn.W_xh.data, rnn.W_hh.data = [[0.6]], [[0.9]]
    h, _ = rnn(np.reshape([0.5, 0.1, 0.4], (3, 1, 1)))
    loss = ((0.8 * h - np.reshape([0.4, 0.2, 0.1], (3, 1, 1))) ** 2).sum() / 2
    close(flow(loss)["rnn"].norms["h"], [0.0258929363601146, 0.196205409793266, 0.225891075368609])


def test_flow_of_a_loop_of_your_own() -> None:
    W, h_0, x = (
        tg.tensor(0.4 * data(H, H), requires_grad=True),
        tg.tensor(data(B, H), requires_grad=True),
        data(T, B, H),
    )
    for inside in (True, False):
        loss, _, states = own_loop(W, h_0, x, inside)
        part = flow(loss / T)["mine"]
        assert list(part.steps) == list(range(T + 1)) and list(part.norms) == ["h"]  # the loss so far is no state
        gradients = [tg.grad(loss / T, h, retain_graph=True).data for h in [h_0, *states]]
        close(part.norms["h"], [np.linalg.norm(g) for g in gradients])


Pair = namedtuple("Pair", "fast slow")


@pytest.mark.parametrize("form", ["tuple", "dict", "namedtuple", "tensor"])
@pytest.mark.parametrize("lengths", [None, [6, 3]])
def test_flow_of_a_cell_of_your_own(form: str, lengths: Any) -> None:
    """Whatever the state is made of. The same numbers come from gradients of the states, taken one by one."""
    W = tg.tensor(0.4 * data(H, H), requires_grad=True)
    seen: list[Any] = []

    def cell(x_t: Any, state: Any) -> tuple[Any, Any]:
        fast, slow = (state["fast"], state["slow"]) if form == "dict" else state if form != "tensor" else (state, 0.0)
        fast = np.tanh(x_t + fast @ W)
        slow = 0.9 * slow + 0.1 * fast if form != "tensor" else fast
        seen.append((fast, slow))
        new = {"tuple": (fast, slow), "dict": {"fast": fast, "slow": slow}, "namedtuple": Pair(fast, slow)}
        return slow, new.get(form, fast)

    zero = tg.tensor(np.zeros((B, H)))
    start: Any = {"tuple": (zero, zero), "dict": {"fast": zero, "slow": zero}, "namedtuple": Pair(zero, zero)}
    y, _ = nn.unroll(cell, data(T, B, H), start.get(form, zero), lengths=lengths, name="own")
    loss = (y**2).sum()
    part = flow(loss)["own"]
    names = {"tuple": ["h#1", "h#2"], "dict": ["fast", "slow"], "namedtuple": ["fast", "slow"], "tensor": ["h"]}[form]
    assert list(part.norms) == names and list(part.steps) == list(range(1, T + 1))
    if lengths is None:
        for k, name in enumerate(names):
            close(part.norms[name], [np.linalg.norm(tg.grad(loss, s[k], retain_graph=True).data) for s in seen])
    else:
        alone, _ = nn.unroll(cell, data(T, B, H)[:3, 1:], {k: v[1:] for k, v in start["dict"].items()} if form == "dict"
                             else Pair(zero[1:], zero[1:]) if form != "tensor" else zero[1:], name="own")  # fmt: skip
        first, _ = nn.unroll(cell, data(T, B, H)[:, :1], {k: v[:1] for k, v in start["dict"].items()} if form == "dict"
                             else Pair(zero[:1], zero[:1]) if form != "tensor" else zero[:1], name="own")  # fmt: skip
        apart = [flow((y**2).sum())["own"].norms for y in (first, alone)]
        # a tuple in the batch is a named tuple alone: the same two parts in the same order
        for name, own in zip(names, apart[0], strict=True):
            squares = apart[0][own] ** 2
            squares[:3] += apart[1][own] ** 2
            close(part.norms[name], np.sqrt(squares))


@every_kind
def test_flow_in_a_batch_of_lengths_is_that_of_each_sequence_alone(kind: Any) -> None:
    layer = kind(IN, H, dtype=float, rng=0, fused=False)
    x, lengths = data(T, B, IN), [6, 3]
    output, _ = layer(x, lengths=lengths)
    found = flow((output**2).sum())
    alone = [flow((layer(x[:n, b : b + 1])[0] ** 2).sum()) for b, n in enumerate(lengths)]
    for name, part in found.layers.items():
        for state, norms in part.norms.items():
            squares = alone[0][name].norms[state] ** 2
            squares[:3] += alone[1][name].norms[state] ** 2
            close(norms, np.sqrt(squares))


def test_a_cut_ends_the_flow_and_windows_go_on_counting() -> None:
    rnn, total = nn.RNN(IN, H, dtype=float, rng=0), 0.0
    for _, output, _ in tg.bptt.Truncated(3).run(rnn, data(9, B, IN)):
        total = total + (output[-1] ** 2).sum()
    part = flow(total)["rnn"]
    assert list(part.steps) == list(range(1, 10))
    for k in (0, 3, 6):  # each window is a flow of its own
        norms = part.norms["h"][k : k + 3]
        assert norms[0] < norms[1] < norms[2]
    alone, _ = rnn(data(9, B, IN)[:3])
    close(part.norms["h"][:3], flow((alone[-1] ** 2).sum())["rnn"].norms["h"])


def test_a_state_carried_without_a_cut_is_one_sequence() -> None:
    lstm, x = nn.LSTM(IN, H, 2, dtype=float, rng=0), data(8, B, IN)
    first, state = lstm(x[:3])
    second, _ = lstm(x[3:], state)
    found = flow((first**2).sum() + (second**2).sum())
    whole, _ = lstm(x)
    expected = flow((whole**2).sum())
    for name, part in expected.layers.items():
        assert list(found[name].steps) == list(part.steps)
        for state_name, norms in part.norms.items():
            close(found[name].norms[state_name], norms)


def test_a_layer_that_runs_over_two_sequences_is_there_twice() -> None:
    gru = nn.GRU(IN, H, dtype=float, rng=0)
    (a, _), (b, _) = gru(data(4, B, IN)), gru(data(5, B, IN, seed=3))
    found = flow((a**2).sum() + (b**2).sum())
    assert {name: len(part.steps) for name, part in found.layers.items()} == {"gru": 4, "gru #2": 5}
    close(found["gru #2"].norms["h"], flow((gru(data(5, B, IN, seed=3))[0] ** 2).sum())["gru"].norms["h"])


def test_a_single_step_has_a_flow_too() -> None:
    for kind in KINDS:
        layer = kind(IN, H, dtype=float, rng=0, fused=False)
        output, _ = layer(data(1, B, IN))
        part = flow(output.sum())[kind.__name__.lower()]
        assert list(part.steps) == [1]
        close(part.norms["h"], [np.sqrt(B * H)])


@both_forms
def test_a_single_step_of_an_lstm_has_the_flow_of_its_memory(fused: bool) -> None:
    lstm = nn.LSTM(IN, H, dtype=float, rng=0, fused=fused)
    output, (_, c) = lstm(data(1, B, IN))
    loss = output.sum()
    assert list(flow(loss)["lstm"].norms) == ["h", "c"]
    gates = np.split(lstm.cells[0].project(tg.tensor(data(1, B, IN))).data[0], 4, axis=-1)
    through = (1 - np.tanh(c.data[0]) ** 2) / (1 + np.exp(-gates[3]))  # dL/dc = o (1 - tanh² c)
    close(flow(loss)["lstm"].norms["c"], [np.linalg.norm(through)])


def test_a_gradient_too_small_to_be_squared_is_not_lost() -> None:
    rnn = nn.RNN(1, 1, bias=False, dtype=float)
    rnn.W_xh.data, rnn.W_hh.data = [[1.0]], [[2.0]]
    h_0 = tg.tensor([[[0.5]]], requires_grad=True)
    output, _ = rnn(np.zeros((300, 1, 1)), h_0)
    norms = flow(output[-1].sum())["rnn"].norms["h"]
    assert 0 < norms[0] < 1e-200


def test_flow_changes_nothing() -> None:
    layer, loss = layer_loss(nn.LSTM)
    loss.backward(retain_graph=True)
    before = {name: p.grad.copy() for name, p in layer.named_parameters()}
    called: list[Any] = []
    for record in tg.tape(loss):
        record.hooks = {0: [called.append]}
    flow(loss), jacobians(loss), decompose(loss, layer.W_hh)
    assert not called
    for name, p in layer.named_parameters():
        np.testing.assert_array_equal(p.grad, before[name])
    loss.backward()  # the graph is still there


def test_flow_needs_one_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    _, loss = layer_loss(nn.RNN, fused=False)
    calls: list[Any] = []
    op = next(record.op for record in tg.tape(loss) if record.op.name == "tanh")
    (rule,) = op.rules
    monkeypatch.setattr(op, "rules", (lambda op, *args: calls.append(op) or rule(op, *args),))
    flow(loss)
    assert len(calls) == T - 1  # once a step; what lies behind h_1 is not asked for


def test_a_flow_prints_in_80_columns() -> None:
    _, loss = layer_loss(nn.LSTM, num_layers=3, bidirectional=True)
    text = str(flow(loss))
    assert max(map(len, text.splitlines())) > 60  # as many columns as fit
    assert all(len(line) <= 80 for line in text.splitlines()) and "lstm_l2_reverse c" in text
    assert repr(flow(loss)).startswith("<flow of lstm: 6 steps")
    output, _ = nn.RNN(1, 1)(np.ones((200, 1, 1)))
    lines = str(flow(output.sum())).splitlines()
    assert len(lines) < 50 and "... 160 more ..." in lines and lines[-1].split()[0] == "200"


# -- Jacobians --------------------------------------------------------------------------------------


def by_differences(f: Any, s: np.ndarray, eps: float = 1e-6) -> np.ndarray:
    columns = []
    for k in range(s.size):
        step = np.zeros(s.size)
        step[k] = eps
        step = step.reshape(s.shape)
        columns.append((f(s + step) - f(s - step)).ravel() / (2 * eps))
    return np.stack(columns, axis=1)


@both_forms
@every_kind
def test_each_jacobian_is_that_of_the_cell_by_central_differences(kind: Any, fused: bool) -> None:
    layer = kind(IN, H, dtype=float, rng=0, fused=fused)
    cell, names = layer.cells[0], layer.cell_type.states
    x = data(T, B, IN)
    start = [tg.tensor(data(1, B, H, seed=k), requires_grad=True) for k in range(len(names))]
    output, _ = layer(x, tuple(start) if len(start) > 1 else start[0])
    J = jacobians((output**2).sum())
    assert (
        J.names == names
        and J.steps == list(range(T + 1))
        and J.matrices.shape == (T, B, len(names) * H, len(names) * H)
    )

    def step(t: int, b: int) -> Any:
        def f(s: np.ndarray) -> np.ndarray:
            parts = [tg.tensor(part[None]) for part in np.split(s, len(names))]
            new = cell(tg.tensor(x[t, b : b + 1]), tuple(parts) if len(parts) > 1 else parts[0])
            return np.concatenate([part.data[0] for part in (new if len(parts) > 1 else (new,))])

        return f

    for b in range(B):
        s = np.concatenate([part.data[0, b] for part in start])
        for t in range(T):
            close(J.matrices[t, b], by_differences(step(t, b), s), 1e-8)
            s = step(t, b)(s)


@every_kind
def test_products_are_gradients_over_several_steps(kind: Any) -> None:
    """ds_T/ds_0 from the product of the steps, and from a sweep over all of them at once."""
    layer = kind(IN, H, dtype=float, rng=0)
    count = len(layer.cell_type.states)
    start = [tg.tensor(data(1, B, H, seed=k), requires_grad=True) for k in range(count)]
    _, end = layer(data(T, B, IN), tuple(start) if count > 1 else start[0])
    ends = end if count > 1 else (end,)
    J = jacobians(sum((part**2).sum() for part in ends))
    product = J.product(T, 0)
    for j, part in enumerate(ends):
        for i in range(H):
            one = np.zeros(part.shape)
            one[..., i] = 1
            row = [g.data[0] for g in tg.grad(part, start, one, retain_graph=True)]
            close(product[:, j * H + i], np.concatenate(row, axis=1))
    products = J.products()
    close(products[0], product)
    close(products[-1], np.broadcast_to(np.eye(count * H), product.shape))
    close(J.products(3)[1], J.product(3, 1))
    close(J.norms()[:, 1], [np.linalg.norm(p[1], 2) for p in products])
    close(J.norms(part="h")[0], np.linalg.norm(product[:, :H, :H], 2, axis=(1, 2)))
    close(J.per_unit()[0], np.linalg.norm(product, axis=1))
    close(J.singular_values[..., 0], np.linalg.norm(J.matrices, 2, axis=(2, 3)))
    close(J.spectral_radii[2, 0], np.abs(np.linalg.eigvals(J.matrices[2, 0])).max())


def test_a_vanilla_jacobian_is_the_textbooks() -> None:
    """With rows as examples, h_t = tanh(.. + h_{t-1} W): dh_t/dh_{t-1} = diag(1 - h_t²) Wᵀ."""
    rnn = nn.RNN(IN, H, dtype=float, rng=0)
    output, _ = rnn(data(T, B, IN))
    J = jacobians(output.sum())
    for t in range(1, T):
        for b in range(B):
            close(J.matrices[t - 1, b], np.diag(1 - output.data[t, b] ** 2) @ rnn.W_hh.data.T)


def test_a_reverse_direction_runs_down() -> None:
    rnn = nn.RNN(IN, H, dtype=float, rng=0, bidirectional=True)
    x = data(T, B, IN)
    J = jacobians((rnn(x)[0] ** 2).sum(), "rnn_reverse")
    assert J.steps == [6, 5, 4, 3, 2, 1]
    forwards = nn.RNN(IN, H, dtype=float)
    for name in ("W_xh", "W_hh", "b_h"):
        getattr(forwards, name).data = getattr(rnn, name + "_reverse").data
    close(J.matrices, jacobians((forwards(x[::-1])[0] ** 2).sum()).matrices)
    close(J.product(2, 5), J.matrices[3] @ J.matrices[2] @ J.matrices[1])
    with pytest.raises(ValueError, match="in the order of running"):
        J.product(5, 2)


def test_behind_a_cut_the_jacobian_is_zero() -> None:
    lstm, total = nn.LSTM(IN, H, dtype=float, rng=0), 0.0
    for _, output, _ in tg.bptt.Truncated(3).run(lstm, data(6, B, IN)):
        total = total + (output**2).sum()
    J = jacobians(total)
    assert not J.matrices[2].any() and not J.product(6, 3).any()
    assert all(np.abs(J.matrices[k]).max() > 0.1 for k in (0, 1, 3, 4))


def test_beyond_the_end_of_a_sequence_the_jacobian_is_the_identity() -> None:
    for fused in (True, False):
        _, loss = layer_loss(nn.GRU, [6, 3], fused=fused)
        J = jacobians(loss)
        for k in range(T - 1):
            ended = J.steps[k + 1] > 3
            assert np.array_equal(J.matrices[k, 1], np.eye(H)) == ended
            assert not np.array_equal(J.matrices[k, 0], np.eye(H))


def test_sequences_in_columns_need_the_axis_of_the_batch() -> None:
    W, h = tg.tensor(0.5 * data(H, H), requires_grad=True), tg.tensor(data(H, B), requires_grad=True)
    states, total = [h], 0.0
    with tg.scope("columns") as at:
        for t in range(1, 4):
            at(t)
            h = np.tanh(W @ h)
            total = total + (h**2).sum()
            states.append(h)
    J = jacobians(total, batch_axis=1)
    for t in range(1, 4):
        for b in range(B):
            close(J.matrices[t - 1, b], np.diag(1 - states[t].data[:, b] ** 2) @ W.data)
    whole = jacobians(total, batch_axis=None)
    assert whole.matrices.shape == (3, 1, H * B, H * B)
    close(whole.matrices[0, 0].reshape(H, B, H, B)[:, 0, :, 0], J.matrices[0, 0])
    with pytest.raises(ValueError, match=r"one sequence acts on another.*batch_axis="):
        jacobians(total)
    with pytest.raises(ValueError, match="batch_axis=5"):
        jacobians(total, batch_axis=5)


def test_no_product_exceeds_the_bound() -> None:
    """(γ_W γ_φ)^n, with the largest singular value; with the largest eigenvalue some products would."""
    rng = np.random.default_rng(0)
    beyond_the_radius = 0
    for draw in range(20):
        name, slope = (("tanh", 1.0), ("sigmoid", 0.25), ("relu", 1.0), ("identity", 1.0))[draw % 4]
        rnn = nn.RNN(IN, H, nonlinearity=name, dtype=float, rng=rng)
        rnn.W_hh.data = rng.standard_normal((H, H)) * rng.uniform(0.2, 2)
        J = jacobians(rnn(rng.standard_normal((T, B, IN)))[0].sum())
        bound = J.bound(rnn.W_hh, slope)
        assert (J.norms() <= bound[:, None] * (1 + 1e-12)).all() and bound[-1] == 1
        close(bound[-2], np.linalg.norm(rnn.W_hh.data, 2) * slope)
        radius = np.abs(np.linalg.eigvals(rnn.W_hh.data)).max() * slope
        beyond_the_radius += (J.norms()[-2] > radius).any()
    assert beyond_the_radius


def test_where_the_product_leaves_the_bound_behind() -> None:
    rnn = nn.RNN(1, 1, bias=False, dtype=float)
    rnn.W_xh.data, rnn.W_hh.data = [[1.0]], [[1.0]]
    pinned = np.arctanh(0.5)  # h = 0.5, φ' = 0.75 at every step
    output, _ = rnn(np.full((20, 1, 1), pinned - 0.5), np.full((1, 1, 1), 0.5))
    J = jacobians(output.sum())
    close(J.norms()[:, 0], 0.75 ** np.arange(19, -1, -1.0))
    assert J.left_behind(rnn.W_hh) == 9  # 0.75^9 = 0.075 is the first below 1/10
    assert J.left_behind(rnn.W_hh, factor=1e6) is None and J.left_behind(rnn.W_hh, slope=0.75) is None
    with pytest.raises(ValueError, match="slope"):
        J.bound(rnn.W_hh, 0)
    with pytest.raises(ValueError, match="square W"):
        J.bound(np.ones((2, 8)))


def test_a_jacobian_report_prints() -> None:
    _, loss = layer_loss(nn.LSTM)
    J = jacobians(loss)
    text = str(J)
    assert "s = (h, c)" in text and "|ds_6/ds_t|" in text and len(text.splitlines()) == 7
    assert repr(J) == "<jacobians of lstm: 5 of 8 x 8, batch 2>"
    assert all(len(line) <= 80 for line in text.splitlines())


# -- decomposition ----------------------------------------------------------------------------------


def untied(layer: Any, name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """T(t, k) by definition: a copy of the weight for each step, and the gradient of each step's loss for each copy."""
    length, kind = len(x), type(layer)
    copies = [tg.tensor(getattr(layer, name).data, requires_grad=True) for _ in range(length)]
    state, rows = None, []
    for t in range(length):
        output, state = nn.functional_call(layer, {name: copies[t]}, x[t : t + 1], state)
        loss = ((output - y[t : t + 1]) ** 2).mean() / length
        rows.append(tg.grad(loss, copies[: t + 1], retain_graph=True, allow_unused=True))
    blocks = np.zeros((length, length, *copies[0].shape))
    for t, row in enumerate(rows):
        for k, g in enumerate(row):
            if g is not None:
                blocks[t, k] = g.data
    assert kind in KINDS
    return blocks


@both_forms
@every_kind
def test_the_blocks_are_the_gradients_of_untied_copies(kind: Any, fused: bool) -> None:
    layer = kind(IN, H, dtype=float, rng=0, fused=fused)
    x, y = data(T, B, IN), data(T, B, H, seed=7)
    loss = nn.mse_loss(layer(x)[0], y)
    for name, W in layer.named_parameters():
        parts = decompose(loss, W, blocks=True)
        assert parts.name == name and parts.steps == parts.terms == list(range(1, T + 1)) and parts.count == 21
        close(parts.blocks, untied(layer, name, x, y))


@pytest.mark.parametrize("lengths", [None, [6, 3]])
@every_kind
def test_both_splits_add_up_to_the_gradient(kind: Any, lengths: Any) -> None:
    layer, loss = layer_loss(kind, lengths, num_layers=2, bidirectional=True, learn_initial_state=True)
    found = {}
    for name, W in layer.named_parameters():
        if not name.startswith(("h_0", "c_0")):
            parts = found[name] = decompose(loss, W, blocks=True)
            close(parts.blocks.sum(0), parts.by_step)
            close(parts.blocks.sum(1), parts.by_loss)
            assert not parts.rest.any()
            norms = np.linalg.norm(parts.blocks.reshape(*parts.norms.shape, -1), axis=-1)
            close(np.nan_to_num(parts.norms), norms)
    loss.backward()
    for name, parts in found.items():
        close(parts.total, getattr(layer, name).grad)
        close(parts.by_loss.sum(0), getattr(layer, name).grad)


def test_the_lecture_example_split_both_ways() -> None:
    rnn, readout = nn.RNN(1, 1, bias=False, dtype=float), nn.Linear(1, 1, bias=False, dtype=float)
    rnn.W_xh.data, rnn.W_hh.data, readout.W.data = [[0.6]], [[0.9]], [[0.8]]
    h, _ = rnn(np.reshape([0.5, 0.1, 0.4], (3, 1, 1)))
    loss = ((readout(h) - np.reshape([0.4, 0.2, 0.1], (3, 1, 1))) ** 2).sum() / 2
    parts = decompose(loss, rnn.W_hh)
    close(parts.by_step.ravel(), [0, 0.0516118117, 0.0542869790], 1e-10)
    close(parts.by_loss.ravel(), [0, 0.0103499361, 0.0955488546], 1e-10)
    close(parts.total.item(), 0.105898790696247)
    close(decompose(loss, rnn.W_xh).total.item(), 0.0992801118212166)


@pytest.mark.parametrize(("steps", "k", "kept"), [(100, 20, 1050), (7, 3, 13), (5, 1, 5), (6, 6, 21)])
def test_truncation_shows_as_missing_blocks(steps: int, k: int, kept: int) -> None:
    rnn, x, total = nn.RNN(1, 2, dtype=float, rng=0), data(steps, 1, 1), 0.0
    for _, output, _ in tg.bptt.Truncated(k).run(rnn, x):
        total = total + (output**2).sum()
    parts = decompose(total, rnn.W_hh)
    t, s = np.indices((steps, steps))
    np.testing.assert_array_equal(~np.isnan(parts.norms), (s <= t) & (s // k == t // k))
    assert parts.count == kept
    whole = decompose((rnn(x)[0] ** 2).sum(), rnn.W_hh)
    assert whole.count == steps * (steps + 1) // 2
    there = ~np.isnan(parts.norms)
    close(parts.norms[there], whole.norms[there])


def test_overlapping_windows_keep_the_last_k2_steps() -> None:
    rnn, total = nn.RNN(1, 2, dtype=float, rng=0), 0.0
    for _, output, _ in tg.bptt.Truncated(2, 4).run(rnn, data(8, 1, 1)):
        total = total + (output**2).sum()
    t, k = np.indices((8, 8))
    window_start = np.maximum(0, t // 2 * 2 - 2)
    np.testing.assert_array_equal(~np.isnan(decompose(total, rnn.W_hh).norms), (k <= t) & (k >= window_start))


@both_forms
def test_a_loss_has_no_terms_at_later_steps_below_another_layer_or_behind_a_given_loss(fused: bool) -> None:
    layer = nn.RNN(IN, H, num_layers=2, dtype=float, rng=0, fused=fused)
    output, _ = layer(data(T, B, IN))
    losses = [(output[t] ** 2).sum() for t in range(T)]
    total = sum(losses[1:], losses[0])
    for given in (None, losses):
        for name, W in layer.named_parameters():
            parts = decompose(total, W, losses=given)
            assert parts.count == T * (T + 1) // 2, name
            close(parts.total, tg.grad(total, W, retain_graph=True).data)


def test_a_loss_of_one_step_gives_one_row() -> None:
    lstm = nn.LSTM(IN, H, dtype=float, rng=0)
    output, _ = lstm(data(T, B, IN))
    parts = decompose((output[3] ** 2).sum(), lstm.W_hh)
    assert parts.terms == [4] and parts.steps == [1, 2, 3, 4]


@pytest.mark.parametrize("inside", [True, False])
def test_a_loss_that_is_added_up_in_the_loop_falls_into_its_terms(inside: bool) -> None:
    W, h_0, x = tg.tensor(0.4 * data(H, H), requires_grad=True, name="W"), tg.tensor(data(B, H)), data(T, B, H)
    total, losses, _ = own_loop(W, h_0, x, inside)
    parts = decompose(total / T, W)
    assert parts.count == 21 and parts.terms == list(range(1, T + 1))
    for row, L in zip(parts.by_loss, losses, strict=True):
        close(row, tg.grad(L, W, retain_graph=True).data / T)
    given = decompose(total / T, W, losses=losses)
    np.testing.assert_array_equal(given.norms, parts.norms)
    close(given.by_loss, parts.by_loss)


def test_a_log_likelihood_that_is_subtracted_in_the_loop_is_no_state() -> None:
    W, h, total = tg.tensor(0.4 * data(H, H), requires_grad=True), tg.tensor(data(B, H)), 0.0
    with tg.scope("mine") as at:
        for t in range(1, 4):
            at(t)
            h = np.tanh(h @ W)
            total = total - tg.log_softmax(h)[:, 0].sum()
        at(None)
        loss = total / 3
    assert list(flow(loss)["mine"].norms) == ["h"]
    assert decompose(loss, W).count == 6


def test_losses_that_look_at_several_steps_are_given() -> None:
    """L_t = |h_t - h_{t-1}|²: by the last step it passes, the part of h_{t-1} would count as a term of t - 1."""
    W = tg.tensor(0.4 * data(H, H), requires_grad=True, name="W")
    _, _, states = own_loop(W, tg.tensor(data(B, H)), data(T, B, H))
    losses = [((b - a) ** 2).sum() for a, b in pairwise(states)]
    total = sum(losses[1:], losses[0])
    parts = decompose(total, W, losses=losses, blocks=True)
    assert parts.terms == [1, 2, 3, 4, 5]
    for row, L in zip(parts.by_loss, losses, strict=True):
        close(row, tg.grad(L, W, retain_graph=True).data)
    close(parts.total, tg.grad(total, W, retain_graph=True).data)
    some = decompose(total, W, losses=losses[1:])
    close(some.rest, tg.grad(losses[0], W, retain_graph=True).data)
    close(some.by_step.sum(0) + some.rest, tg.grad(total, W).data)


def test_a_penalty_on_the_weight_is_the_rest() -> None:
    layer, loss = layer_loss(nn.GRU)
    parts = decompose(loss + 0.5 * (layer.W_hh**2).sum(), layer.W_hh)
    close(parts.rest, layer.W_hh.data)
    close(parts.by_loss, decompose(loss, layer.W_hh).by_loss)


def test_an_embedding_used_once_for_all_steps_is_split_too() -> None:
    embedding, rnn = nn.Embedding(5, IN, dtype=float, rng=0), nn.RNN(IN, H, dtype=float, rng=0)
    ids = np.array([[0], [1], [1], [4]])
    output, _ = rnn(embedding(ids))
    parts = decompose((output**2).sum(), embedding.W)
    used = np.linalg.norm(parts.by_step, axis=2) > 0  # (steps, classes)
    np.testing.assert_array_equal(used, np.eye(5, dtype=bool)[ids[:, 0]])


def test_the_gradient_of_a_result_is_split_as_that_of_a_leaf() -> None:
    """Weight normalisation: W = g V / |V| is computed once, and used at every step."""
    layer = nn.RNN(IN, H, dtype=float, rng=0)
    V = tg.tensor(layer.W_hh.data, requires_grad=True)
    W = 1.0 * V
    output, _ = nn.functional_call(layer, {"W_hh": W}, data(T, B, IN))
    loss = (output**2).sum()
    close(decompose(loss, W).by_step, decompose(loss, V).by_step)
    close(decompose(loss, W).total, tg.grad(loss, W).data)


def test_single_precision_stays() -> None:
    layer = nn.LSTM(IN, H, rng=0)
    loss = (layer(data(T, B, IN).astype(np.float32))[0] ** 2).sum()
    parts = decompose(loss, layer.W_hh)
    assert parts.by_step.dtype == parts.total.dtype == np.float32
    close(parts.total, tg.grad(loss, layer.W_hh).data, 1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
@both_forms
def test_the_input_weight_is_split_by_the_rows_of_each_step(
    fused: bool, bidirectional: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no product of all steps for a single one: with T steps and T losses that would be T^3."""
    layer, loss = layer_loss(nn.LSTM, fused=fused, bidirectional=bidirectional)
    W = layer.W_xh
    rows: list[int] = []

    def watched(product: Any, a: Any, b: Any, **options: Any) -> Any:
        if a.shape[0] == IN:  # xᵀ g, for the weight
            rows.append(a.shape[1])
        return product(a, b, **options)

    for name in ("product", "product_and_sums"):
        monkeypatch.setattr(linalg, name, partial(watched, getattr(linalg, name)))
    parts = decompose(loss, W)
    assert max(rows) == B
    close(parts.total, tg.grad(loss, W, retain_graph=True).data)
    close(parts.by_loss.sum(0), parts.total)


def test_a_decomposition_prints() -> None:
    layer, loss = layer_loss(nn.LSTM, num_layers=2, bidirectional=True)
    parts = decompose(loss, layer.W_hh_l1_reverse)
    text = str(parts)
    assert text.startswith("|dL/dW_hh_l1_reverse| = ") and "the sum of 21 terms" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert repr(parts) == "<dL/dW_hh_l1_reverse: 21 terms, 6 losses x 6 steps>"


# -- reading the tape ---------------------------------------------------------------------------------


def test_a_reverse_direction_flows_up_and_starts_after_the_end() -> None:
    rnn = nn.RNN(IN, H, dtype=float, rng=0, bidirectional=True)
    forwards = nn.RNN(IN, H, dtype=float)
    for name in ("W_xh", "W_hh", "b_h"):
        getattr(forwards, name).data = getattr(rnn, name + "_reverse").data
    x, h_0 = data(T, B, IN), tg.tensor(data(2, B, H), requires_grad=True)
    loss = (rnn(x, h_0)[0][..., H:] ** 2).sum()
    part = flow(loss)["rnn_reverse"]
    alone = flow((forwards(x[::-1], tg.tensor(h_0.data[1:], requires_grad=True))[0] ** 2).sum())["rnn"]
    assert list(part.steps) == [1, 2, 3, 4, 5, 6, 7] and list(alone.steps) == [0, 1, 2, 3, 4, 5, 6]
    close(part.norms["h"], alone.norms["h"][::-1])
    assert jacobians(loss, "rnn_reverse").steps == [7, 6, 5, 4, 3, 2, 1]


def running_sum(name: str | None, w: Any) -> list[Any]:
    """h_t = h_{t-1} + w x_t in single numbers: a state that is made as a sum of losses is."""
    h: Any = tg.tensor(0.0)
    states = []
    with tg.scope("sum") as at:
        for t in range(1, 5):
            at(t)
            h = h + w * float(t)
            h.name = name
            states.append(h)
    return states


def test_a_state_that_is_a_running_sum_is_told_from_a_loss_that_is_added_up() -> None:
    w = tg.tensor(2.0, requires_grad=True)
    states = running_sum(None, w)  # used by the next step and by the loss
    close(flow(sum(states[1:], states[0]))["sum"].norms["h"], [4, 3, 2, 1])
    states = running_sum("level", w)  # used by the next step alone, but named
    close(flow(states[-1] * 3.0)["sum"].norms["level"], [3, 3, 3, 3])


def test_a_first_step_of_constants_need_not_be_like_the_others() -> None:
    """At t=1, 0.5 h_0 is not recorded, so the state is the first product of its step, and the second of the others."""
    w, h = tg.tensor(1.5, requires_grad=True), tg.tensor(0.7)
    states = []
    with tg.scope("scalar") as at:
        for t in range(1, 5):
            at(t)
            h = (0.5 * h) * w
            states.append(h)
    loss = states[-1] ** 2
    expected = [abs(tg.grad(loss, h, retain_graph=True).item()) for h in states]
    close(flow(loss)["scalar"].norms["h"][-1], expected[-1])


def test_a_loss_term_with_a_penalty_on_the_weight_in_it() -> None:
    W = tg.tensor(0.4 * data(H, H), requires_grad=True, name="W")
    _, losses, _ = own_loop(W, tg.tensor(data(B, H)), data(T, B, H), inside=False)
    losses[2] = losses[2] + (W * W).sum()
    total = sum(losses[1:], losses[0])
    parts = decompose(total, W, losses=losses)
    close(parts.rest, 2 * W.data)
    close(parts.total, tg.grad(total, W).data)


def test_a_weight_that_is_one_of_several_outputs() -> None:
    packed = tg.tensor(0.4 * data(H, 2 * H), requires_grad=True)
    W, V = np.split(packed, 2, axis=1)
    h, total = tg.tensor(data(B, H)), 0.0
    with tg.scope("two") as at:
        for t in range(1, 4):
            at(t)
            h = np.tanh(h @ W) @ V
            total = total + (h * h).sum()
    for weight, other in ((W, V), (V, W)):
        parts = decompose(total, weight)
        close(parts.total, tg.grad(total, weight, retain_graph=True).data)
        assert np.abs(parts.total - tg.grad(total, other, retain_graph=True).data).max() > 0.1


# -- pictures ---------------------------------------------------------------------------------------


def test_the_reports_are_drawn_on_a_given_or_a_new_axes() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    rnn, total = nn.RNN(IN, H, dtype=float, rng=0), 0.0
    for _, output, _ in tg.bptt.Truncated(2).run(rnn, data(T, B, IN)):
        total = total + (output[-1] ** 2).sum()
    for report in (flow(total), jacobians(total), decompose(total, rnn.W_hh), tg.bptt.remedies(4, 3)):
        ax = Figure().subplots()
        assert report.plot(ax) is ax and report.plot() is not ax
        ax.figure.canvas.draw()
    ax = flow(total).plot()
    assert ax.get_yscale() == "log" and list(ax.lines[0].get_xdata()) == list(range(1, T + 1))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["|dL/dh|"]
    crosses = jacobians(total).plot(W=rnn.W_hh).lines[1]  # the cuts: exact zeros have a mark of their own
    assert crosses.get_marker() == "x" and list(crosses.get_xdata()) == [2, 4]
    image = decompose(total, rnn.W_hh).plot().images[1]
    assert image.get_array().shape == (5, 6)  # losses of the steps 2, 4, 6, and the rows between them
    assert (~image.get_array().mask).sum() == 1 + 2 + 2  # at step 1 h_0 is 0, and so is the term


# -- bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize("report", [flow, jacobians, lambda loss: tg.bptt.omega(loss)])
def test_what_has_no_steps_is_refused(report: Any) -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(GraphError, match=r"nothing behind the loss belongs to a time step.*tg\.scope"):
        report((w * w).sum())
    with pytest.raises(GraphError, match="needs no gradient"):
        report(tg.tensor(1.0))
    with pytest.raises(NonScalarError):
        report(w * w)
    with pytest.raises(TypeError, match="needs a Tensor"):
        report(3.0)


@pytest.mark.parametrize("report", [flow, jacobians])
def test_a_cell_that_keeps_no_state_is_refused(report: Any) -> None:
    w = tg.tensor(2.0, requires_grad=True)
    y, _ = nn.unroll(lambda x_t, state: (x_t * w, None), np.ones(5))
    with pytest.raises(GraphError, match="the cell keeps no state"):
        report(y.sum())


def test_a_freed_graph_is_refused() -> None:
    layer, loss = layer_loss(nn.RNN)
    loss.backward()
    for report in (flow, jacobians, lambda loss: decompose(loss, layer.W_hh)):
        with pytest.raises(FreedGraphError, match="retain_graph=True"):
            report(loss)


def test_several_layers_need_a_choice() -> None:
    _, loss = layer_loss(nn.RNN, num_layers=2)
    with pytest.raises(ValueError, match="give layer=, one of 'rnn', 'rnn_l1'"):
        jacobians(loss)
    with pytest.raises(ValueError, match="no layer 'lstm'"):
        jacobians(loss, "lstm")
    with pytest.raises(KeyError, match="no layer 'lstm' hands on a state; there is 'rnn', 'rnn_l1'"):
        flow(loss)["lstm"]
    J = jacobians(loss, "rnn_l1")
    with pytest.raises(ValueError, match=r"no state at step t=9: there are steps 1 \.\. 6"):
        J.product(9, 1)
    with pytest.raises(ValueError, match="no part 'c'"):
        J.norms(part="c")


def test_a_nan_is_not_taken_for_sequences_that_act_on_each_other() -> None:
    x = data(T, B, IN)
    x[2] = np.nan
    output, _ = nn.RNN(IN, H, dtype=float, rng=0)(x)
    found = jacobians(output.sum()).matrices
    assert np.isfinite(found[0]).all() and np.isnan(found[1:]).all()


def test_one_step_has_no_jacobian() -> None:
    output, _ = nn.RNN(IN, H, rng=0)(data(1, B, IN))
    with pytest.raises(ValueError, match="needs two steps"):
        jacobians(output.sum())


@pytest.mark.parametrize("report", [flow, jacobians, lambda loss: decompose(loss, tg.tape(loss).leaves[0])])
def test_steps_that_were_checkpointed_are_refused(report: Any) -> None:
    """Also beside a layer that kept its steps: its figures alone would pass for all."""
    first, second = nn.RNN(IN, H, rng=0, checkpoint=2), nn.RNN(H, H, rng=1)
    hidden, _ = first(data(T, B, IN))
    for output in (hidden, second(hidden)[0]):
        with pytest.raises(GraphError, match=r"forgotten by tg\.checkpoint.* layer\.checkpoint = False"):
            report(output.sum())


def test_a_weight_that_no_step_uses_is_refused() -> None:
    layer, loss = layer_loss(nn.RNN)
    other = nn.Linear(H, 1, dtype=float)
    with pytest.raises(GraphError, match="does not depend on W"):
        decompose(loss, other.W)
    with pytest.raises(GraphError, match="no gradient reaches W through a time step"):
        decompose(other(layer(data(T, B, IN))[0]).sum(), other.W)
    with pytest.raises(TypeError, match="W must be a Tensor"):
        decompose(loss, np.ones(3))
    with pytest.raises(GraphError, match=r"not computed from losses\[0\]"):
        decompose(loss, layer.W_hh, losses=[layer.W_hh.sum()])
    with pytest.raises(TypeError, match=r"losses\[0\] must be a Tensor"):
        decompose(loss, layer.W_hh, losses=[1.0])
    with pytest.raises(TypeError, match="losses must be a list of Tensors"):
        decompose(loss, layer.W_hh, losses=loss)
    with pytest.raises(ValueError, match=r"losses\[1\] is there twice"):
        decompose(loss, layer.W_hh, losses=[loss, loss])
    with pytest.raises(ValueError, match="losses is empty"):
        decompose(loss, layer.W_hh, losses=[])


def test_a_table_is_no_wider_than_a_terminal() -> None:
    from tinygrad_rnn.unrolled.tables import table

    for width in range(3, 12):
        columns = [f"{k}".rjust(width, "c") for k in range(40)]
        text = table(["name", *columns], [["a row", *range(40)], ["b", *[float("nan")] * 40]])
        lines = text.splitlines()
        assert max(map(len, lines)) <= 80 and max(map(len, lines)) + 2 + width > 80
        assert [word for line in lines[::4] for word in line.split()[1:]] == columns
        assert all(line.startswith(("name ", "a row", "b", "")) for line in lines)
