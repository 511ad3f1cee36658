"""Recurrent layers with options: lengths, the LSTMs of the literature, initial values and states, own cells."""

import copy
from typing import Any

import numpy as np
import pytest
import reference_cases
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DtypeError, ShapeError, StateDictError

nn, init = tg.nn, tg.nn.init
KINDS = ["RNN", "LSTM", "GRU"]
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "RNN": ("RNN", {}),
    "RNN layer_norm": ("RNN", {"layer_norm": True}),
    "GRU": ("GRU", {}),
    "GRU reset_before": ("GRU", {"reset_after": False}),
    "GRU layer_norm": ("GRU", {"layer_norm": True}),
    "LSTM": ("LSTM", {}),
    "LSTM peepholes": ("LSTM", {"peepholes": True}),
    "LSTM 1997": ("LSTM", {"forget_gate": False}),
    "LSTM 1997 cut": ("LSTM", {"forget_gate": False, "cut_gate_gradient": True}),
    "LSTM 1997 peepholes": ("LSTM", {"forget_gate": False, "peepholes": True}),
    "LSTM layer_norm": ("LSTM", {"layer_norm": True}),
    "LSTM all": ("LSTM", {"peepholes": True, "cut_gate_gradient": True, "layer_norm": True}),
    "LSTM learned": ("LSTM", {"learn_initial_state": True}),
}
variants = pytest.mark.parametrize("variant", VARIANTS)


def make(variant: str, *sizes: int, rng: int = 0, **options: Any) -> Any:
    """A layer in float64, every parameter drawn from U(-1, 1), so that gains and learned states count too."""
    kind, own = VARIANTS[variant]
    layer = getattr(nn, kind)(*sizes, dtype=float, **own, **options)
    generator = np.random.default_rng(rng)
    for p in layer.parameters():
        p.data = generator.uniform(-1, 1, p.shape)
    return layer


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def close(actual: Any, expected: Any, tolerance: float = 1e-10) -> None:
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max(initial=0)))


def parts_of(state: Any) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state,)


def packed(parts: Any) -> Any:
    return None if not parts else tuple(parts) if len(parts) > 1 else parts[0]


# -- lengths: against PyTorch's packed sequences --------------------------------------------------------

OPTIONS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["RNN tanh", "RNN relu", "LSTM", "GRU"]),
        "I": st.integers(1, 4),
        "H": st.integers(1, 5),
        "T": st.integers(1, 6),
        "B": st.integers(1, 4),
        "num_layers": st.integers(1, 3),
        "bidirectional": st.booleans(),
        "batch_first": st.booleans(),
        "bias": st.booleans(),
        "with_state": st.booleans(),
        "with_lengths": st.booleans(),
        "second_order": st.booleans(),
        "seed": st.integers(0, 2**16),
    }
)


def agrees_with_torch(torch: Any, d: dict[str, Any]) -> None:
    """Output, states, and every gradient, of the first order or the second."""
    kind, _, nonlinearity = d["kind"].partition(" ")
    options = {key: d[key] for key in ("num_layers", "bidirectional", "batch_first", "bias")}
    own = options | ({"nonlinearity": nonlinearity} if nonlinearity else {})
    rng = np.random.default_rng(d["seed"])
    theirs = getattr(torch.nn, kind)(d["I"], d["H"], **own, dtype=torch.float64)
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.as_tensor(rng.uniform(-1, 1, p.shape)))
    ours = tg.io.from_torch(getattr(nn, kind)(d["I"], d["H"], **own, dtype=float), theirs.state_dict())

    x = rng.standard_normal((d["B"], d["T"], d["I"]) if d["batch_first"] else (d["T"], d["B"], d["I"]))
    lengths = rng.integers(1, d["T"] + 1, d["B"]) if d["with_lengths"] else None
    shape = (d["num_layers"] * (1 + d["bidirectional"]), d["B"], d["H"])
    starts = [rng.uniform(-1, 1, shape) for _ in range(2 if kind == "LSTM" else 1)] if d["with_state"] else []
    our_inputs = [tg.tensor(a, requires_grad=True) for a in (x, *starts)]
    its_inputs = [torch.tensor(a, requires_grad=True) for a in (x, *starts)]

    our_output, our_last = ours(our_inputs[0], packed(our_inputs[1:]), lengths=lengths)
    its_x = its_inputs[0]
    if lengths is None:
        its_output, its_last = theirs(its_x, packed(its_inputs[1:]))
    else:
        rnn = torch.nn.utils.rnn
        its_x = rnn.pack_padded_sequence(its_x, lengths, d["batch_first"], enforce_sorted=False)
        its_output, its_last = theirs(its_x, packed(its_inputs[1:]))
        its_output, _ = rnn.pad_packed_sequence(its_output, d["batch_first"], total_length=d["T"])
    our_results, its_results = [our_output, *parts_of(our_last)], [its_output, *parts_of(its_last)]
    for a, b in zip(our_results, its_results, strict=True):
        close(a.data, b.detach())

    v = [rng.standard_normal(a.shape) for a in our_results]
    our_loss = sum((w * a * a).sum() for w, a in zip(v, our_results, strict=True))
    its_loss = sum((torch.as_tensor(w) * b * b).sum() for w, b in zip(v, its_results, strict=True))
    if d["second_order"]:  # the gradient of (dL/dx · u): a Hessian-vector product, mixed with the weights
        u = rng.standard_normal(x.shape)
        our_loss = (tg.grad(our_loss, our_inputs[0], create_graph=True) * u).sum()
        its_loss = (torch.autograd.grad(its_loss, its_inputs[0], create_graph=True)[0] * torch.as_tensor(u)).sum()
    our_loss.backward()
    its_loss.backward()
    for a, b in zip(our_inputs, its_inputs, strict=True):
        close(np.zeros(a.shape) if a.grad is None else a.grad, np.zeros(a.shape) if b.grad is None else b.grad)
    gradients = {n: np.zeros(p.shape) if p.grad is None else p.grad.numpy() for n, p in theirs.named_parameters()}
    expected = reference_cases.ours_from_torch({**options, "kind": kind}, gradients, gradients=True)
    for name, p in ours.named_parameters():
        close(np.zeros(p.shape) if p.grad is None else p.grad, expected[name])


@pytest.mark.oracle
@settings(max_examples=100)
@given(OPTIONS)
def test_lengths_agree_with_packed_sequences_of_torch(torch: Any, d: dict[str, Any]) -> None:
    agrees_with_torch(torch, d)


# -- lengths: a sequence in a padded batch is the sequence alone ------------------------------------------

LENGTHS = [4, 1, 6, 0, 3]


@variants
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_each_sequence_of_a_padded_batch_is_as_if_alone(variant: str, bidirectional: bool, batch_first: bool) -> None:
    options = {"num_layers": 2, "bidirectional": bidirectional}
    layer, alone = make(variant, 2, 3, batch_first=batch_first, **options), make(variant, 2, 3, **options)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((6, 5, 2))
    starts = [rng.uniform(-1, 1, (2 * (1 + bidirectional), 5, 3)) for _ in layer.cell_type.states]
    output, state = layer(x.swapaxes(0, 1) if batch_first else x, packed(starts), lengths=LENGTHS)
    output = output.data.swapaxes(0, 1) if batch_first else output.data
    for k, n in enumerate(LENGTHS):
        expected, last = np.zeros((0, output.shape[-1])), packed([s[:, k] for s in starts])
        if n:
            expected, last = alone(x[:n, k], last)
            expected = expected.data
        close(output[:n, k], expected, 1e-14)
        assert (output[n:, k] == 0).all()
        for a, b in zip(parts_of(state), parts_of(last), strict=True):
            close(a.data[:, k], getattr(b, "data", b) if n else b, 1e-14)


@variants
def test_gradients_of_a_padded_batch_are_the_sum_of_those_of_the_sequences_alone(variant: str) -> None:
    layer = make(variant, 2, 3, num_layers=2, bidirectional=True)
    rng = np.random.default_rng(1)
    x = tg.tensor(rng.standard_normal((6, 5, 2)), requires_grad=True)
    v = rng.standard_normal((6, 5, 6))
    lengths = [4, 1, 6, 2, 3]
    output, state = layer(x, lengths=lengths)
    ((v * output).sum() + sum((part**2).sum() for part in parts_of(state))).backward()
    batched = {name: p.grad for name, p in layer.named_parameters()}
    layer.zero_grad()
    for k, n in enumerate(lengths):
        x_k = tg.tensor(x.data[:n, k], requires_grad=True)
        output, state = layer(x_k)
        ((v[:n, k] * output).sum() + sum((part**2).sum() for part in parts_of(state))).backward()
        close(x.grad[:n, k], x_k.grad, 1e-13)
        assert (x.grad[n:, k] == 0).all()
    for name, p in layer.named_parameters():
        close(batched[name], p.grad, 1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("junk", [np.nan, np.inf, 1e300])
def test_what_stands_beyond_the_end_reaches_nothing(kind: str, junk: float) -> None:
    layer = make(kind, 2, 3, num_layers=2, bidirectional=True)
    x = np.random.default_rng(0).standard_normal((5, 2, 2))
    results = []
    for value in (0.0, junk):
        layer.zero_grad()
        x[3:, 1] = value
        at = tg.tensor(x, requires_grad=True)
        output, state = layer(at, lengths=[5, 3])
        ((output**2).sum() + (parts_of(state)[-1] ** 2).sum()).backward()
        results.append([output.data, at.grad, *(p.grad for p in layer.parameters())])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_of_one_sequence_without_a_batch(kind: str) -> None:
    layer = make(kind, 2, 3, bidirectional=True, num_layers=2)
    x = np.random.default_rng(0).standard_normal((5, 2))
    output, state = layer(x, lengths=3)
    expected, last = layer(x[:3])
    close(output.data, np.concatenate([expected.data, np.zeros((2, 6))]), 1e-14)
    for a, b in zip(parts_of(state), parts_of(last), strict=True):
        close(a.data, b.data, 1e-14)


@pytest.mark.parametrize(
    "lengths",
    [[5, 2, 3], (5, 2, 3), np.array([5, 2, 3], np.uint8), tg.tensor([5, 2, 3]), np.array([5, 2, 3], ">i4")],
    ids=["list", "tuple", "uint8", "tensor", "big-endian"],
)
def test_lengths_may_be_any_integers(lengths: Any) -> None:
    layer, x = make("GRU", 2, 3), np.ones((5, 3, 2))
    np.testing.assert_array_equal(layer(x, lengths=lengths)[0].data, layer(x, lengths=[5, 2, 3])[0].data)


@pytest.mark.oracle
def test_lengths_may_be_a_torch_tensor(torch: Any) -> None:
    layer, x = make("GRU", 2, 3), np.ones((5, 3, 2))
    same = layer(x, lengths=torch.tensor([5, 2, 3]))[0].data
    np.testing.assert_array_equal(same, layer(x, lengths=[5, 2, 3])[0].data)


def count_by_step(root: Any) -> list[int]:
    counts: dict[Any, int] = {}
    for record in tg.tape(root):
        if record.step is not None and record.op.name != "stack":
            counts[record.step.t] = counts.get(record.step.t, 0) + 1
    return [counts[t] for t in sorted(counts)]


@pytest.mark.parametrize(("kind", "masks"), [("RNN", 2), ("GRU", 2), ("LSTM", 3)])
def test_a_mask_costs_an_op_a_state_and_one_for_the_output_and_nothing_where_all_are_alive(
    kind: str, masks: int
) -> None:
    layer, x = make(kind, 2, 3, fused=False), np.ones((5, 2, 2))

    def loss(**given: Any) -> Any:
        output, state = layer(x, **given)
        return output.sum() + sum(part.sum() for part in parts_of(state))

    plain, masked = count_by_step(loss()), count_by_step(loss(lengths=[3, 5]))
    assert masked == [*plain[:3], plain[3] + masks, plain[4] + masks]
    assert len(tg.tape(loss(lengths=[5, 5]))) == len(tg.tape(loss()))


def test_a_carried_state_is_taken_apart_and_nothing_more() -> None:
    layer, x = make("LSTM", 2, 3, num_layers=2), np.ones((3, 2, 2))
    state = tuple(tg.tensor(np.ones((2, 2, 3)), requires_grad=True) for _ in "hc")
    without = len(tg.tape(layer(x)[0].sum()))
    assert len(tg.tape(layer(x, state)[0].sum())) == without + 4  # h and c of two layers


def test_lengths_pass_dropout_between_layers_and_keep_float32() -> None:
    layer = nn.LSTM(2, 3, num_layers=2, bidirectional=True, dropout=0.5, rng=0)
    x = tg.tensor(np.ones((5, 2, 2), np.float32), requires_grad=True)
    output, state = layer(x, lengths=[2, 4])
    (output**2).sum().backward()
    assert not output.data[2:, 0].any() and not x.grad[2:, 0].any()
    assert {t.dtype for t in (output, *state, *(p.grad for p in layer.parameters()))} == {np.dtype(np.float32)}


def test_a_carried_state_goes_on_where_each_sequence_ended() -> None:
    layer = make("LSTM", 2, 3, num_layers=2)
    x = np.random.default_rng(0).standard_normal((6, 2, 2))
    _, state = layer(x[:4], lengths=[2, 4])
    output, _ = layer(x[4:], state)
    expected, _ = layer(x[[0, 1, 4, 5], :1])
    close(output.data[:, :1], expected.data[2:], 1e-14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_batch_of_none_with_lengths(kind: str, batch_first: bool) -> None:
    layer = make(kind, 2, 3, num_layers=2, bidirectional=True, batch_first=batch_first)
    for lengths in ([], np.zeros(0, int)):
        output, state = layer(np.zeros((0, 5, 2) if batch_first else (5, 0, 2)), lengths=lengths)
        assert output.shape == ((0, 5, 6) if batch_first else (5, 0, 6)) and parts_of(state)[0].shape == (4, 0, 3)
        output.sum().backward()
        assert not layer.W_hh.grad.any()


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([5, 6], ValueError, r"lengths must be in 0 \.\. 5, the time steps of x, and lengths\[1\] is 6"),
        ([-1, 5], ValueError, r"lengths\[0\] is -1"),
        ([5], ShapeError, r"lengths must have shape \(2,\), one for each of the 2 sequences of x; got shape \(1,\)"),
        ([5, 5, 5], ShapeError, r"got shape \(3,\)"),
        (5, ShapeError, r"got shape \(\)"),
        ([[5, 5]], ShapeError, r"got shape \(1, 2\)"),
        ([5.0, 4.0], DtypeError, "lengths must be integers, not float64"),
        ([True, True], DtypeError, "lengths must be integers, not bool"),
        (["5", "4"], DtypeError, "lengths must be integers"),
        ([None, 4], DtypeError, "lengths must be integers, not object"),
        ([2**70, 4], DtypeError, "lengths must be integers, not object"),
        (tg.tensor([5.0, 4.0], requires_grad=True), DtypeError, "whole numbers and can have no gradient"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_bad_lengths(kind: str, lengths: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"{kind}: .*{message}"):
        getattr(nn, kind)(2, 3)(np.ones((5, 2, 2)), lengths=lengths)


def test_bad_lengths_without_a_batch_and_of_unroll() -> None:
    with pytest.raises(
        ShapeError, match=r"lengths must have shape \(\), one number, since x has no batch; got .*\(1,\)"
    ):
        nn.RNN(2, 3)(np.ones((5, 2)), lengths=[3])
    with pytest.raises(ValueError, match=r"unroll: lengths must be in 0 \.\. 5"):
        nn.unroll(lambda x, s: (x, s), np.ones((5, 2, 2)), lengths=[3, 6])


# -- the LSTMs of the literature, written out here --------------------------------------------------------


def layer_norm(u: np.ndarray, gain: np.ndarray, bias: Any = 0.0) -> np.ndarray:
    mean = u.mean(axis=-1, keepdims=True)
    return gain * (u - mean) / np.sqrt(((u - mean) ** 2).mean(axis=-1, keepdims=True) + 1e-5) + bias


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("forget_gate", [True, False])
@pytest.mark.parametrize("peepholes", [True, False])
@pytest.mark.parametrize("cut", [True, False])
def test_lstm_options_are_their_equations(
    bias: bool, normalised: bool, forget_gate: bool, peepholes: bool, cut: bool
) -> None:
    own = {"layer_norm": normalised, "forget_gate": forget_gate, "peepholes": peepholes, "cut_gate_gradient": cut}
    lstm = nn.LSTM(2, 3, bias=bias, dtype=float, **own)
    rng = np.random.default_rng(0)
    for p in lstm.parameters():
        p.data = rng.uniform(-1, 1, p.shape)
    W = lstm.state_dict()
    G = 3 + forget_gate
    expected_names = {"W_xh": (2, 3 * G), "W_hh": (3, 3 * G)}
    expected_names |= {"b_h": (3 * G,)} if bias else {}
    expected_names |= {"gain_x": (3 * G,), "gain_h": (3 * G,), "gain_c": (3,)} if normalised else {}
    expected_names |= {"b_c": (3,)} if normalised and bias else {}
    expected_names |= {"W_ci": (3,), "W_co": (3,)} if peepholes else {}
    expected_names |= {"W_cf": (3,)} if peepholes and forget_gate else {}
    assert {name: a.shape for name, a in W.items()} == expected_names

    x, h, c = rng.standard_normal((4, 2, 2)), rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
    starts = (h[None], c[None])
    expected = []
    for x_t in x:
        u, v = x_t @ W["W_xh"], h @ W["W_hh"]
        if normalised:
            u, v = layer_norm(u, W["gain_x"]), layer_norm(v, W["gain_h"])
        a = u + v + (W["b_h"] if bias else 0)
        gates = np.split(a, G, axis=1)
        a_i, a_f, a_g, a_o = gates if forget_gate else (gates[0], np.zeros((2, 3)), gates[1], gates[2])
        i = sigmoid(a_i + (W["W_ci"] * c if peepholes else 0))
        f = sigmoid(a_f + (W["W_cf"] * c if peepholes else 0)) if forget_gate else 1.0
        c = f * c + i * np.tanh(a_g)
        o = sigmoid(a_o + (W["W_co"] * c if peepholes else 0))
        h = o * np.tanh(layer_norm(c, W["gain_c"], W.get("b_c", 0.0)) if normalised else c)
        expected.append(h)
    output, (last_h, last_c) = lstm(x, starts)
    close(output.data, np.stack(expected), 1e-14)
    close(last_h.data[0], h, 1e-14)
    close(last_c.data[0], c, 1e-14)


def test_rnn_and_gru_with_layer_normalisation_are_their_equations() -> None:
    x = np.random.default_rng(1).standard_normal((4, 2, 2))
    rnn, gru = make("RNN layer_norm", 2, 3), make("GRU layer_norm", 2, 3)
    W, h, expected = rnn.state_dict(), np.zeros((2, 3)), []
    for x_t in x:
        h = np.tanh(layer_norm(x_t @ W["W_xh"], W["gain_x"]) + layer_norm(h @ W["W_hh"], W["gain_h"]) + W["b_h"])
        expected.append(h)
    close(rnn(x)[0].data, np.stack(expected), 1e-13)
    W, h, expected = gru.state_dict(), np.zeros((2, 3)), []
    for x_t in x:
        a_r, a_z, a_n = np.split(layer_norm(x_t @ W["W_xh"], W["gain_x"]) + W["b_h"], 3, axis=1)
        u_r, u_z, u_n = np.split(layer_norm(h @ W["W_hh"], W["gain_h"]), 3, axis=1)
        r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
        h = (1 - z) * np.tanh(a_n + r * (u_n + W["b_hn"])) + z * h
        expected.append(h)
    close(gru(x)[0].data, np.stack(expected), 1e-13)
    with pytest.raises(ValueError, match="reset_after=False"):
        nn.GRU(2, 3, layer_norm=True, reset_after=False)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_new_layer_normalises_with_gains_of_1_and_a_bias_of_0(kind: str) -> None:
    started = getattr(nn, kind)(2, 3, layer_norm=True, learn_initial_state=True, rng=0).state_dict()
    fixed = {name: set(value.ravel()) for name, value in started.items() if not name.startswith(("W_", "b_h"))}
    gains = {"gain_x": {1}, "gain_h": {1}, "h_0": {0}}
    assert fixed == gains | ({"gain_c": {1}, "b_c": {0}, "c_0": {0}} if kind == "LSTM" else {})


@pytest.mark.parametrize("variant", [name for name, (_, own) in VARIANTS.items() if "cut_gate_gradient" not in own])
@pytest.mark.parametrize("lengths", [None, pytest.param([3, 1, 2], marks=pytest.mark.slow)])
def test_gradients_are_those_of_differences_to_the_second_order(variant: str, lengths: Any) -> None:
    layer = make(variant, 2, 2, num_layers=1, bidirectional=lengths is not None)
    rng = np.random.default_rng(2)
    names = [name for name, _ in layer.named_parameters()]
    learned = layer.cells[0].h_0 is not None
    x = rng.standard_normal((3, 3, 2))
    rows = layer.directions
    starts = [] if learned else [rng.uniform(-1, 1, (rows, 3, 2)) for _ in layer.cell_type.states]

    def run(x: Any, *rest: Any) -> Any:
        state, weights = packed(rest[: len(starts)]), dict(zip(names, rest[len(starts) :], strict=True))
        output, state = nn.functional_call(layer, weights, x, state, lengths=lengths)
        return [output, *parts_of(state)]

    inputs = [tg.tensor(a, requires_grad=True) for a in (x, *starts, *(p.data for p in layer.parameters()))]
    assert tg.gradcheck(run, inputs, order=2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("forget_gate", [True, False])
def test_a_cut_gradient_is_that_of_the_function_in_which_the_gates_see_constants(forget_gate: bool) -> None:
    own = {"forget_gate": forget_gate, "peepholes": True, "layer_norm": True}
    cut = nn.LSTM(2, 3, cut_gate_gradient=True, dtype=float, **own)
    rng = np.random.default_rng(0)
    for p in cut.parameters():
        p.data = rng.uniform(-1, 1, p.shape)
    names = [name for name, _ in cut.named_parameters()]
    starts = [rng.uniform(-1, 1, (2, 3)) for _ in "hc"]
    x, v = rng.standard_normal((4, 2, 2)), rng.standard_normal((4, 2, 3))
    seen_h, seen_c = [starts[0]], [starts[1]]  # what the gates see: h_0 .. h_3 and c_0 .. c_4 of the forward pass
    for t in range(1, 5):
        _, (h, c) = cut(x[:t], tuple(s[None] for s in starts))
        seen_h.append(h.data[0])
        seen_c.append(c.data[0])

    def normalised(u: Any, gain: Any, bias: Any = 0.0) -> Any:
        mean = np.mean(u, axis=-1, keepdims=True)
        return gain * (u - mean) / np.sqrt(np.mean((u - mean) ** 2, axis=-1, keepdims=True) + 1e-5) + bias

    def with_constants(x: Any, c: Any, *weights: Any) -> Any:
        W = dict(zip(names, weights, strict=True))
        total = 0.0
        for t in range(4):
            a = normalised(x[t] @ W["W_xh"], W["gain_x"]) + normalised(seen_h[t] @ W["W_hh"], W["gain_h"]) + W["b_h"]
            a_i, a_g, a_o = a[:, :3], a[:, -6:-3], a[:, -3:]
            if forget_gate:
                c = tg.sigmoid(a[:, 3:6] + W["W_cf"] * seen_c[t]) * c
            c = c + tg.sigmoid(a_i + W["W_ci"] * seen_c[t]) * np.tanh(a_g)
            o = tg.sigmoid(a_o + W["W_co"] * seen_c[t + 1])
            h = o * np.tanh(normalised(c, W["gain_c"], W["b_c"]))
            total = total + (v[t] * h * h).sum()
        return total

    def of_the_layer(x: Any, c: Any, *weights: Any) -> Any:
        state = (starts[0][None], np.reshape(c, (1, 2, 3)))
        return (v * nn.functional_call(cut, dict(zip(names, weights, strict=True)), x, state)[0] ** 2).sum()

    first, second = [], []
    for f in (of_the_layer, with_constants):
        inputs = [tg.tensor(a, requires_grad=True) for a in (x, starts[1], *(p.data for p in cut.parameters()))]
        gradients = tg.grad(f(*inputs), inputs, create_graph=True)
        first.append([g.data for g in gradients])
        second.append([g.data for g in tg.grad(sum((g**2).sum() for g in gradients), inputs)])
    for a, b in (*zip(*first, strict=True), *zip(*second, strict=True)):
        close(a, b, 1e-12)


def run_to(lstm: Any, T: int) -> tuple[Any, Any, Any]:
    """c_0, c_T, and the tape's forget gates f_1 .. f_T."""
    rng = np.random.default_rng(3)
    c_0 = tg.tensor(rng.uniform(-1, 1, (1, 1, 4)), requires_grad=True)
    output, (_, c) = lstm(rng.standard_normal((T, 1, 2)), (rng.uniform(-1, 1, (1, 1, 4)), c_0))
    tape = tg.tape(output.sum() + c.sum())
    gates = {record.step.t: record.values[0] for (record, _), name in tape.names.items() if name == "f"}
    return c_0, c, [gates[t] for t in sorted(gates)]


@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize("normalised", [False, True])
def test_the_constant_error_carousel_is_the_identity_bit_for_bit(peepholes: bool, normalised: bool) -> None:
    """1997: without forget gate, and with the gradient cut at the gates, nothing is lost and nothing is mixed."""
    own = {"forget_gate": False, "peepholes": peepholes, "layer_norm": normalised}
    cut = nn.LSTM(2, 4, cut_gate_gradient=True, dtype=float, rng=0, **own)
    full = nn.LSTM(2, 4, dtype=float, rng=0, **own)
    for T in (1, 6, 100):
        jacobians = []
        for lstm in (cut, full):
            c_0, c, _ = run_to(lstm, T)
            rows = [tg.grad(c[0, 0, k], c_0, retain_graph=True).data[0, 0] for k in range(4)]
            jacobians.append(np.stack(rows))
        np.testing.assert_array_equal(jacobians[0], np.eye(4))
        assert not np.allclose(jacobians[1], np.eye(4)) or (T == 1 and not peepholes)


@pytest.mark.parametrize("peepholes", [False, True])
def test_with_a_forget_gate_the_cut_jacobian_is_the_product_of_the_gates(peepholes: bool) -> None:
    lstm = nn.LSTM(2, 4, cut_gate_gradient=True, peepholes=peepholes, fused=False, dtype=float, rng=0)
    c_0, c, gates = run_to(lstm, 6)
    product = np.ones((1, 4))
    for f in reversed(gates):  # in the order of the reverse sweep, so that it is the same to the last bit
        product = product * f
    jacobian = np.stack([tg.grad(c[0, 0, k], c_0, retain_graph=True).data[0, 0] for k in range(4)])
    np.testing.assert_array_equal(jacobian, np.diag(product[0]))


def test_the_cut_changes_no_value_and_every_weight_still_learns() -> None:
    for own in ({}, {"forget_gate": False}, {"peepholes": True, "layer_norm": True}):
        x = np.random.default_rng(0).standard_normal((5, 2, 2))
        cut, full = (nn.LSTM(2, 3, cut_gate_gradient=value, fused=False, rng=0, **own) for value in (True, False))
        np.testing.assert_array_equal(cut(x)[0].data, full(x)[0].data)
        (cut(x)[0] ** 2).sum().backward()
        assert all(p.grad.any() for p in cut.parameters())


def test_the_memory_of_1997_grows_without_a_forget_gate() -> None:
    lstm = nn.LSTM(1, 1, forget_gate=False, dtype=float)
    for p in lstm.parameters():
        p.data = np.zeros(p.shape)
    i, g = 0.5, 0.8  # i * g = 0.4 at every step
    lstm.b_h.data[:] = [0.0, np.arctanh(g), 0.0]
    _, (_, c) = lstm(np.zeros((1000, 1, 1)))
    assert c.item() == pytest.approx(1000 * i * g)
    lstm = nn.LSTM(1, 1, dtype=float)
    for p in lstm.parameters():
        p.data = np.zeros(p.shape)
    lstm.b_h.data[:] = [0.0, np.log(0.95 / 0.05), np.arctanh(g), 0.0]  # f = 0.95: the limit is 0.4 / 0.05
    assert lstm(np.zeros((1000, 1, 1)))[1][1].item() == pytest.approx(8)


def test_without_a_forget_gate_there_is_no_forget_bias() -> None:
    with pytest.raises(
        ValueError,
        match=r"forget_bias needs a cell that has a gate f, and there is none in LSTMCell\(2, 3, forget_gate=False\)",
    ):
        nn.LSTM(2, 3, forget_gate=False, forget_bias=1.0)


@pytest.mark.parametrize("own", [{}, {"forget_gate": False}, {"peepholes": True}])
def test_initial_weights_of_the_options_are_drawn_too(own: dict[str, Any]) -> None:
    lstm = nn.LSTM(3, 25, num_layers=2, bidirectional=True, rng=0, **own)
    for _, p in lstm.named_parameters():
        assert 0.1 < np.abs(p.data).max() <= 0.2 and p.dtype == np.float32
    plain = nn.LSTM(3, 25, rng=0)
    if own == {"peepholes": True}:  # the weights that both have are the same from the same seed
        np.testing.assert_array_equal(lstm.W_xh.data, plain.W_xh.data)


# -- initial values -----------------------------------------------------------------------------------


def test_irnn_is_an_identity_that_learns() -> None:
    rnn = nn.RNN(2, 100, num_layers=2, nonlinearity="relu", dtype=float)
    assert init.irnn_(rnn, rng=0) is rnn
    for cell in rnn.cells:
        np.testing.assert_array_equal(cell.W_hh.data, np.eye(100))
        assert not cell.b_h.data.any()
    assert abs(rnn.W_xh_l1.data.std() / 0.001 - 1) < 0.05
    np.testing.assert_array_equal(init.irnn_(nn.RNNCell(2, 3, nonlinearity="relu"), 0.0).W_xh.data, np.zeros((2, 3)))
    h_0 = tg.tensor(np.ones((1, 1, 3)), requires_grad=True)
    h = init.irnn_(nn.RNN(1, 3, nonlinearity="relu", bias=False, dtype=float))(np.zeros((200, 1, 1)), h_0)[1]
    np.testing.assert_array_equal(tg.grad(h.sum(), h_0).data, np.ones((1, 1, 3)))
    for wrong in (nn.RNN(1, 2), nn.LSTM(1, 2), nn.GRUCell(1, 2)):
        with pytest.raises(ValueError, match='irnn_ is for an RNN with nonlinearity="relu"'):
            init.irnn_(wrong)


def test_chrono_draws_how_long_each_unit_remembers() -> None:
    lstm = init.chrono_(nn.LSTM(2, 1000, dtype=float), 50, rng=0)
    b_i, b_f, b_g, b_o = np.split(lstm.b_h.data, 4)
    np.testing.assert_array_equal(b_i, -b_f)
    steps = np.exp(b_f)  # uniform in 1 .. 49
    assert 1 <= steps.min() < 1.5 and 48.5 < steps.max() <= 49
    assert abs(steps.mean() - 25) < 4 * (48 / np.sqrt(12)) / np.sqrt(1000)  # four standard deviations
    assert np.abs(np.concatenate([b_g, b_o])).max() <= 1 / np.sqrt(1000)  # the others as they were
    gru = nn.GRU(2, 1000, num_layers=2, rng=0)
    before = gru.state_dict()
    assert init.chrono_(gru, 50, rng=0) is gru
    np.testing.assert_allclose(gru.b_h.data[1000:2000], b_f, rtol=1e-6)  # z keeps the old state
    assert not np.array_equal(gru.b_h_l1.data[1000:2000], gru.b_h.data[1000:2000])
    for name, p in gru.named_parameters():
        if name.startswith("b_h") and not name.startswith("b_hn"):
            before[name][1000:2000] = p.data[1000:2000]
        np.testing.assert_array_equal(p.data, before[name])
    assert not init.chrono_(nn.LSTMCell(2, 3), 2).b_h.data[:6].any()  # log 1


def test_forget_bias_of_a_cell_or_a_layer() -> None:
    lstm = init.forget_bias_(nn.LSTM(2, 3, num_layers=2, rng=0), 2.0)
    for cell in lstm.cells:
        assert (cell.b_h.data[3:6] == 2).all() and (np.abs(cell.b_h.data[[0, 1, 2, *range(6, 12)]]) < 0.6).all()
    by_option = nn.LSTM(2, 3, num_layers=2, forget_bias=2.0, rng=0).state_dict()
    for name, value in lstm.state_dict().items():
        np.testing.assert_array_equal(value, by_option[name])
    assert (init.forget_bias_(nn.LSTMCell(2, 3)).b_h.data[3:6] == 1).all()


def test_what_cannot_be_initialised() -> None:
    for T_max in (1, 0, -5, np.nan, np.inf):
        with pytest.raises(ValueError, match="T_max must be a number of time steps of at least 2"):
            init.chrono_(nn.LSTM(1, 2), T_max)
    for f in (init.forget_bias_, lambda m: init.chrono_(m, 10)):
        with pytest.raises(ValueError, match="needs bias=True"):
            f(nn.LSTM(1, 2, bias=False))
        with pytest.raises(ValueError, match="gate f"):
            f(nn.RNN(1, 2))
    with pytest.raises(ValueError, match="gate f"):
        init.chrono_(nn.LSTM(1, 2, forget_gate=False), 10)
    for f in (init.forget_bias_, init.irnn_, lambda m: init.chrono_(m, 10)):
        with pytest.raises(TypeError, match="needs a recurrent cell or layer, not Linear"):
            f(nn.Linear(1, 2))


# -- learned initial state -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_learned_initial_state_is_used_where_none_is_given(kind: str) -> None:
    layer = getattr(nn, kind)(2, 3, num_layers=2, bidirectional=True, learn_initial_state=True, dtype=float, rng=0)
    plain = getattr(nn, kind)(2, 3, num_layers=2, bidirectional=True, dtype=float, rng=0)
    states = ["h", "c"] if kind == "LSTM" else ["h"]
    suffixes = ["", "_reverse", "_l1", "_l1_reverse"]
    names = {f"{s}_0{suffix}" for s in states for suffix in suffixes}
    assert set(layer.state_dict()) - set(plain.state_dict()) == names
    assert all(layer.state_dict()[name].shape == (3,) and not layer.state_dict()[name].any() for name in names)
    x = np.random.default_rng(0).standard_normal((4, 5, 2))
    np.testing.assert_array_equal(layer(x)[0].data, plain(x)[0].data)  # at first it is zero

    rng = np.random.default_rng(1)
    values = {name: rng.uniform(-1, 1, 3) for name in names}
    layer.load_state_dict(layer.state_dict() | values)
    given = [np.stack([np.tile(values[f"{s}_0{suffix}"], (5, 1)) for suffix in suffixes]) for s in states]
    starts = [tg.tensor(a, requires_grad=True) for a in given]
    output, _ = layer(x)
    expected, _ = plain(x, packed(starts))
    close(output.data, expected.data, 1e-14)
    (output**2).sum().backward()
    (expected**2).sum().backward()
    for s, start in zip(states, starts, strict=True):
        for row, suffix in enumerate(suffixes):
            close(getattr(layer, f"{s}_0{suffix}").grad, start.grad[row].sum(0), 1e-13)
    layer.zero_grad()
    (layer(x, packed(given))[0] ** 2).sum().backward()  # a given state is used instead
    assert layer.h_0.grad is None and layer.W_hh.grad is not None


def test_a_learned_initial_state_of_a_cell_and_without_a_batch() -> None:
    cell = nn.LSTMCell(2, 3, learn_initial_state=True, dtype=float, rng=0)
    cell.h_0.data, cell.c_0.data = [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]
    x = np.ones((5, 2))
    h, _ = cell(x)
    close(h.data, cell(x, (np.tile([1.0, 2, 3], (5, 1)), np.tile([4.0, 5, 6], (5, 1))))[0].data, 1e-15)
    assert cell(x[0])[0].shape == (3,)
    h.sum().backward()
    assert cell.h_0.grad.all() and cell.c_0.grad.all()
    layer = make("LSTM learned", 2, 3)
    close(layer(np.ones((4, 2)))[0].data, layer(np.ones((4, 1, 2)))[0].data[:, 0], 1e-15)
    assert layer(np.ones((4, 0, 2)))[0].shape == (4, 0, 3)
    _, (h, c) = layer(np.ones((4, 2, 2)), lengths=[0, 4])
    close(h.data[0, 0], layer.h_0.data, 0)
    close(c.data[0, 0], layer.c_0.data, 0)


# -- dropout between layers, one mask a sequence -----------------------------------------------------------


def drop_layer(**options: Any) -> Any:
    """Two layers, the second of which hands on what it gets: its output is what dropout left."""
    layer = nn.RNN(1, 50, num_layers=2, nonlinearity="identity", dtype=float, dropout=0.3, rng=0, **options)
    for name, p in layer.named_parameters():
        p.data = {"W_xh": np.ones((1, 50)), "W_xh_l1": np.eye(50)}.get(name, np.zeros(p.shape))
    return layer


@pytest.mark.parametrize("batch_first", [False, True])
def test_variational_dropout_has_one_mask_for_all_time_steps_of_a_sequence(batch_first: bool) -> None:
    layer = drop_layer(variational=True, batch_first=batch_first)
    x = np.ones((20, 8, 1) if batch_first else (8, 20, 1))
    output = layer(x)[0].data
    output = output.swapaxes(0, 1) if batch_first else output
    np.testing.assert_array_equal(output, np.broadcast_to(output[0], output.shape))
    assert len(np.unique(output[0], axis=0)) == 20  # each sequence its own
    values, counts = np.unique(output[0], return_counts=True)
    np.testing.assert_allclose(values, [0, 1 / 0.7])
    assert abs(counts[0] / 1000 - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 1000)  # four standard deviations
    assert not np.array_equal(layer(x)[0].data, layer(x)[0].data)  # new masks at each call
    assert (layer.eval()(x)[0].data == 1).all()
    assert not np.array_equal(drop_layer()(np.ones((2, 1, 1)))[0].data[0], drop_layer()(np.ones((2, 1, 1)))[0].data[1])


def test_variational_dropout_stays_zero_beyond_the_end() -> None:
    output = drop_layer(variational=True)(np.ones((4, 2, 1)), lengths=[2, 4])[0].data
    assert not output[2:, 0].any() and output[2:, 1].any()
    np.testing.assert_array_equal(output[0], output[1])


def test_dropout_may_share_its_mask_along_an_axis() -> None:
    drop = nn.Dropout(0.5, shared=1, rng=0)
    y = drop(np.ones((30, 7, 2))).data
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert 15 < (y[:, 0] == 0).sum() < 45 and repr(drop) == "Dropout(0.5, shared=1)"


# -- modules: names, copies, printing, weights for PyTorch --------------------------------------------------


@variants
def test_state_dict_functional_call_and_copies(variant: str) -> None:
    layer = make(variant, 2, 3, num_layers=2, bidirectional=True)
    x = np.random.default_rng(0).standard_normal((4, 2, 2))
    expected = layer(x)[0].data
    other = make(variant, 2, 3, num_layers=2, bidirectional=True, rng=1)
    assert not np.allclose(other(x)[0].data, expected)
    tensors = {name: tg.tensor(a, requires_grad=True) for name, a in layer.state_dict().items()}
    output = nn.functional_call(other, tensors, x)[0]
    np.testing.assert_array_equal(output.data, expected)
    (output**2).sum().backward()
    assert all(t.grad is not None for t in tensors.values())
    other.load_state_dict(layer.state_dict())
    copied = copy.deepcopy(layer)
    for same in (other, copied):
        np.testing.assert_array_equal(same(x)[0].data, expected)
    copied.W_hh.data = np.zeros(copied.W_hh.shape)
    np.testing.assert_array_equal(layer(x)[0].data, expected)
    for name, p in layer.named_parameters():
        assert p.name == name


def test_printing() -> None:
    assert repr(nn.LSTM(2, 3, peepholes=True, forget_gate=False)) == "LSTM(2, 3, peepholes=True, forget_gate=False)"
    options = {"num_layers": 2, "dropout": 0.5, "variational": True, "layer_norm": True, "bias": True}
    assert repr(nn.GRU(2, 3, **options)) == ("GRU(2, 3, num_layers=2, dropout=0.5, variational=True, layer_norm=True)")
    cell = nn.LSTMCell(2, 3, bias=False, peepholes=True, cut_gate_gradient=True, learn_initial_state=True)
    assert repr(cell) == (
        "LSTMCell(2, 3, bias=False, learn_initial_state=True, peepholes=True, cut_gate_gradient=True)"
    )


@pytest.mark.parametrize("variant", ["RNN layer_norm", "LSTM peepholes", "LSTM 1997", "LSTM all", "LSTM learned"])
def test_what_torch_lacks_is_not_converted(variant: str) -> None:
    layer = make(variant, 2, 3)
    for convert in (tg.io.to_torch, lambda m: tg.io.from_torch(m, {})):
        for module in (layer, layer.cells[0]):
            with pytest.raises(StateDictError, match=r"torch has no (RNN|LSTM) with (layer_norm|peep|forget|learn)"):
                convert(module)


def test_what_torch_lacks_but_does_not_change_the_outputs_is_converted() -> None:
    options = {"cut_gate_gradient": True, "num_layers": 2, "dropout": 0.5, "variational": True}
    assert tg.io.to_torch(nn.LSTM(2, 3, rng=0, **options)).keys() == tg.io.to_torch(nn.LSTM(2, 3, 2)).keys()
    with pytest.raises(StateDictError, match='torch has no RNN with nonlinearity="sigmoid"'):
        tg.io.to_torch(nn.RNN(2, 3, nonlinearity="sigmoid"))


@variants
def test_float32_stays_float32(variant: str) -> None:
    kind, own = VARIANTS[variant]
    layer = getattr(nn, kind)(2, 3, num_layers=2, bidirectional=True, dropout=0.5, variational=True, rng=0, **own)
    output, state = layer(np.ones((4, 2, 2), np.float32), lengths=[2, 4])
    loss = (output**2).sum() + sum((part**2).sum() for part in parts_of(state))
    for record in tg.tape(loss):
        values = record.values
        assert {v.dtype for v in values} == {np.dtype(np.float32)}, record
    loss.backward()
    assert {p.grad.dtype for p in layer.parameters()} == {np.dtype(np.float32)}


@variants
def test_options_train(variant: str) -> None:
    layer = make(variant, 1, 4)
    x = np.random.default_rng(0).standard_normal((5, 3, 1))
    optimizer = tg.optim.Adam(list(layer.parameters()), lr=0.02)
    losses = []
    for _ in range(30):
        loss = ((layer(x, lengths=[5, 2, 3])[0] - 0.3) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


# -- pictures, and cells of one's own ---------------------------------------------------------------------


@pytest.mark.slow
@variants
@pytest.mark.parametrize("level", ["op", "cell"])
def test_every_option_is_drawn(variant: str, level: str) -> None:
    layer = make(variant, 2, 3, bidirectional=True)
    for lengths in (None, [2, 3]):
        output, state = layer(np.ones((3, 2, 2)), lengths=lengths)
        picture = tg.draw((output**2).sum() + (parts_of(state)[-1] ** 2).sum(), level=level)
        assert picture.steps == [1, 2, 3] and "</svg>" in picture.svg()


@pytest.mark.parametrize("level", ["op", "cell"])
def test_the_cut_of_1997_is_drawn_at_every_step_and_the_memory_goes_on(level: str) -> None:
    lstm = nn.LSTM(2, 3, forget_gate=False, cut_gate_gradient=True, rng=0)
    picture = tg.draw(lstm(np.ones((4, 1, 2)))[0].sum(), level=level)
    cuts = [node for node in picture.nodes if node.kind == "cut"]
    assert [node.lines[0] for node in cuts] == ["h_1", "h_2", "h_3"]
    across = [(e.source[:2], e.target[:2]) for e in picture.edges if e.source[:2] != e.target[:2] and e.kind == "state"]
    assert {("t1", "t2"), ("t2", "t3"), ("t3", "t4")} <= set(across)


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_of_a_padded_batch_shows_its_state(kind: str) -> None:
    output, _ = make(kind, 2, 3, bidirectional=True)(np.ones((4, 2, 2)), lengths=[2, 3])
    picture = tg.draw((output**2).sum(), level="cell")
    cells = [node.lines for node in picture.nodes if node.kind == "cell"]
    assert len(cells) == 8 and all("h_" in lines[1] for lines in cells)


def test_masked_states_keep_their_names() -> None:
    lstm = nn.LSTM(2, 3, fused=False, rng=0)
    output, _ = lstm(np.ones((3, 2, 2)), lengths=[2, 3])
    names = [n for (record, _), n in tg.tape(output.sum()).names.items() if record.op.name == "where"]
    assert names.count("h") == 0  # only the output is masked at the last step, and the others need no mask
    output, (h, c) = lstm(np.ones((3, 2, 2)), lengths=[2, 3])
    names = [n for (r, _), n in tg.tape(output.sum() + h.sum() + c.sum()).names.items() if r.op.name == "where"]
    assert sorted(names) == ["c", "h"]


def nested(x_t: Any, state: Any) -> Any:
    """A cell of nobody's: a slow and a fast memory, with a state of dicts, tuples and lists; it knows how to begin."""
    state = state or {"slow": (np.zeros((2, 3)),), "fast": [np.zeros((2, 3))]}
    slow = 0.9 * state["slow"][0] + 0.1 * x_t
    fast = np.tanh(x_t + 0.5 * state["fast"][0])
    return slow * fast, {"slow": (slow,), "fast": [fast]}


def test_a_cell_of_ones_own_is_unrolled_tagged_and_drawn() -> None:
    x = tg.tensor(np.random.default_rng(0).standard_normal((4, 2, 3)), requires_grad=True, name="x")
    y, state = nn.unroll(nested, x, name="mine")
    assert y.shape == (4, 2, 3) and type(state["slow"]) is tuple and type(state["fast"]) is list
    steps = {(r.step.layer, r.step.t) for r in tg.tape(y.sum()) if r.step is not None}
    assert steps == {("mine", t) for t in (1, 2, 3, 4)}
    for level in ("op", "cell"):
        picture = tg.draw((y * y).sum(), level=level)
        assert picture.steps == [1, 2, 3, 4] and "mine" in picture.svg() + picture.dot()
    assert tg.gradcheck(lambda x: nn.unroll(nested, x)[0], x, order=2)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_cell_of_ones_own_with_lengths(reverse: bool) -> None:
    x = tg.tensor(np.random.default_rng(0).standard_normal((4, 2, 3)), requires_grad=True)
    start = nested(np.ones((2, 3)), None)[1]
    for state in (start, None):
        y, last = nn.unroll(nested, x, state, lengths=[2, 4], reverse=reverse)
        expected, short = nn.unroll(nested, x[:2], state, reverse=reverse)
        whole, long = nn.unroll(nested, x, state, reverse=reverse)
        close(y.data[:2, 0], expected.data[:, 0], 1e-15)
        close(y.data[:, 1], whole.data[:, 1], 1e-15)
        assert not y.data[2:, 0].any()
        close(last["slow"][0].data, np.stack([short["slow"][0].data[0], long["slow"][0].data[1]]), 1e-15)
        close(last["fast"][0].data, np.stack([short["fast"][0].data[0], long["fast"][0].data[1]]), 1e-15)
    y.sum().backward()
    assert not x.grad[2:, 0].any() and x.grad[:, 1].all()
    assert "</svg>" in tg.draw(nn.unroll(nested, x, lengths=[2, 4], reverse=reverse)[0].sum()).svg()


def test_a_named_tuple_stays_one() -> None:
    from collections import namedtuple

    Pair = namedtuple("Pair", "a b")

    def cell(x_t: Any, state: Any) -> Any:
        return x_t, Pair(state.a + x_t, state.b + 1)

    _, state = nn.unroll(cell, np.ones((3, 2)), Pair(np.zeros(2), np.zeros(2)), lengths=[1, 3])
    assert isinstance(state, Pair) and state.a.tolist() == [1, 3] and state.b.tolist() == [1, 3]


def test_lengths_of_numbers_without_a_batch_and_of_states_without_features() -> None:
    def adder(x_t: Any, state: Any) -> Any:
        total, count = state
        return total + x_t, (total + x_t, count + 1)

    x = tg.tensor([1.0, 2.0, 4.0, 8.0], requires_grad=True)
    y, (total, count) = nn.unroll(adder, x, (0.0, 0), lengths=3)
    assert y.data.tolist() == [1, 3, 7, 0] and total.shape == () and total.item() == 7 and count == 3
    y, (total, count) = nn.unroll(adder, np.stack([x, 10 * x], axis=1), (0.0, 0), lengths=[3, 1])
    assert y.data.tolist() == [[1, 10], [3, 0], [7, 0], [0, 0]]
    assert total.data.tolist() == [7, 10] and count.tolist() == [3, 1]  # each sequence has its own count now


# -- figures of the literature, from the tape ----------------------------------------------------------------


def scalar_lstm(W_x: Any, W_h: Any, b: Any, **own: Any) -> Any:
    """An LSTM of one unit with these weights for its gates i, f, g, o."""
    lstm = nn.LSTM(1, 1, dtype=float, **own)
    lstm.W_xh.data, lstm.W_hh.data, lstm.b_h.data = np.full((1, 4), W_x), np.array([W_h]), np.array(b)
    return lstm


def test_the_four_terms_of_one_step_must_not_be_multiplied_over_two() -> None:
    """dC_1/dC_0 has four terms; C_0 reaches C_2 also through o_1, which their product leaves out."""
    lstm, x = scalar_lstm(1.0, [1.0, 1.0, 1.0, 2.0], np.zeros(4)), np.array([0.2, -0.1]).reshape(2, 1, 1)

    def slope(steps: np.ndarray, c: float, o: float) -> tuple[float, float, float]:
        """dC_T/dC_0 with the output gate before the first step held fixed; then C_T and o_T."""
        c_0 = tg.tensor([[[c]]], requires_grad=True)
        _, (h, c_T) = lstm(steps, (o * np.tanh(c_0), c_0))
        return tg.grad(c_T.sum(), c_0, retain_graph=True).item(), c_T.item(), (h / np.tanh(c_T)).item()

    one, c_1, o_1 = slope(x[:1], 0.5, 0.5)
    both, _, _ = slope(x, 0.5, 0.5)
    next_one, _, _ = slope(x[1:], c_1, o_1)
    assert one == pytest.approx(0.8902144303, abs=1e-10)
    assert both == pytest.approx(0.8767638158, abs=1e-10)
    assert one * next_one == pytest.approx(0.8132075395, abs=1e-10)


@pytest.mark.parametrize(("T", "expected"), [(20, 0.3584859224), (100, 0.0059205292)])
def test_a_forget_gate_of_95_per_cent_shrinks_slowly(T: int, expected: float) -> None:
    rows = ([0.3, 0.0, 0.5, -0.4], [0.1, np.log(0.95 / 0.05), 0.2, 0.3])  # f does not look at h, so it stays 0.95
    cut, full = (scalar_lstm(0.0, *rows, cut_gate_gradient=value) for value in (True, False))
    slopes = []
    for lstm in (cut, full):
        c_0 = tg.tensor([[[0.7]]], requires_grad=True)
        _, (_, c) = lstm(np.zeros((T, 1, 1)), (np.zeros((1, 1, 1)), c_0))
        slopes.append(tg.grad(c.sum(), c_0).item())
    assert slopes[0] == pytest.approx(expected, abs=1e-10)
    assert abs(slopes[1] / expected - 1) > 0.01  # "the derivative is f" is true of the line of c alone


def test_an_lstm_may_still_explode() -> None:
    lstm = scalar_lstm(0.0, [0.0, 0.0, 4.0, 0.0], [6.0, 6.0, 0.0, 6.0])  # gates open
    start = [tg.tensor(np.zeros((1, 1, 1)), requires_grad=True) for _ in "hc"]
    _, state = lstm(np.zeros((20, 1, 1)), tuple(start))
    jacobian = np.array([[g.item() for g in tg.grad(part.sum(), start, retain_graph=True)] for part in state])
    assert np.linalg.norm(jacobian) == pytest.approx(1.0181e14, rel=1e-5)
