"""RNN, LSTM and GRU: the numbers, the options, the tags on the tape, and the answers to bad inputs."""

import inspect
from typing import Any

import numpy as np
import pytest
import reference_cases
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn.engine.modes import Step
from tinygrad_rnn.errors import DtypeError, ShapeError
from tinygrad_rnn.nn.cell import Cell, norm
from tinygrad_rnn.nn.recurrent import Recurrent

nn = tg.nn
KINDS = ["RNN", "LSTM", "GRU"]


def test_no_layer_is_left_out() -> None:
    assert {name for name, kind in vars(nn).items() if isinstance(kind, type) and issubclass(kind, Recurrent)} == set(
        KINDS
    )


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def close(actual: Any, expected: Any, tolerance: float = 1e-10) -> None:
    """Equal to so many digits, relative to the largest entry, or to 1 where all are small."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max(initial=0)))


def states_of(state: Any) -> dict[str, Any]:
    return dict(zip("hc", state if isinstance(state, tuple) else (state,), strict=False))


# -- stored figures of PyTorch --------------------------------------------------------------------


def name_of(case: dict[str, Any]) -> str:
    return "-".join(str(v) if isinstance(v, str) else k for k, v in case.items() if v and (k, v) != ("num_layers", 1))


REFERENCES = reference_cases.load()


def test_the_stored_cases_are_the_whole_grid() -> None:
    assert [case for case, _ in REFERENCES] == reference_cases.GRID
    assert reference_cases.FILE.stat().st_size < 200_000


@pytest.mark.parametrize(("case", "arrays"), REFERENCES, ids=[name_of(case) for case, _ in REFERENCES])
def test_outputs_states_and_gradients_are_the_stored_ones(case: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    options = reference_cases.layer_options(case)
    layer = getattr(nn, case["kind"])(reference_cases.INPUTS, reference_cases.HIDDEN, **options, dtype=float)
    weights = {name.removeprefix("weight/"): a for name, a in arrays.items() if name.startswith("weight/")}
    layer.load_state_dict(weights)
    x = tg.tensor(arrays["x"], requires_grad=True)
    state = {name: tg.tensor(a, requires_grad=True) for name, a in arrays.items() if name.startswith("state/")}
    parts = tuple(state.values())
    output, last = layer(x, None if not parts else parts if case["kind"] == "LSTM" else parts[0])

    results = {"output": output} | states_of(last)
    for name, result in results.items():
        close(result.data, arrays[f"out/{name}"], 1e-13)
    sum((arrays[f"v/{name}"] * result).sum() for name, result in results.items()).backward()
    leaves = dict(layer.named_parameters()) | {"x": x} | state
    assert {f"grad/{name}" for name in leaves} == {name for name in arrays if name.startswith("grad/")}
    for name, leaf in leaves.items():
        close(leaf.grad, arrays[f"grad/{name}"], 1e-12)


@pytest.mark.oracle
def test_the_stored_cases_can_be_made_anew(torch: Any) -> None:
    for number, (case, arrays) in enumerate(REFERENCES):
        fresh = reference_cases.run_torch(case, seed=number)
        assert fresh.keys() == arrays.keys()
        for name, array in fresh.items():
            close(array, arrays[name], 1e-13)


# -- PyTorch itself, on drawn options ---------------------------------------------------------------

OPTIONS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["RNN tanh", "RNN relu", "LSTM", "GRU"]),
        "I": st.integers(1, 4),
        "H": st.integers(1, 5),
        "T": st.integers(1, 6),
        "B": st.integers(1, 3),
        "num_layers": st.integers(1, 3),
        "bidirectional": st.booleans(),
        "batch_first": st.booleans(),
        "bias": st.booleans(),
        "unbatched": st.booleans(),
        "with_state": st.booleans(),
        "seed": st.integers(0, 2**16),
    }
)


def both(torch: Any, kind: str, inputs: int, hidden: int, seed: int = 0, **options: Any) -> tuple[Any, Any]:
    """Our layer and PyTorch's, float64, with the same weights from U(-1, 1)."""
    kind, _, nonlinearity = kind.partition(" ")
    if nonlinearity:
        options["nonlinearity"] = nonlinearity
    theirs = getattr(torch.nn, kind)(inputs, hidden, **options, dtype=torch.float64)
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.as_tensor(rng.uniform(-1, 1, p.shape)))
    ours = tg.io.from_torch(getattr(nn, kind)(inputs, hidden, **options, dtype=float), theirs.state_dict())
    return ours, theirs


@pytest.mark.oracle
@settings(max_examples=120)
@given(OPTIONS)
def test_every_option_agrees_with_torch(torch: Any, d: dict[str, Any]) -> None:
    options = {key: d[key] for key in ("num_layers", "bidirectional", "batch_first", "bias")}
    ours, theirs = both(torch, d["kind"], d["I"], d["H"], d["seed"], **options)
    rng = np.random.default_rng(d["seed"])
    rows = d["num_layers"] * (1 + d["bidirectional"])
    shape = (d["B"], d["T"], d["I"]) if d["batch_first"] else (d["T"], d["B"], d["I"])
    x = rng.standard_normal((d["T"], d["I"]) if d["unbatched"] else shape)
    state_shape = (rows, d["H"]) if d["unbatched"] else (rows, d["B"], d["H"])
    names = ("h", "c") if d["kind"] == "LSTM" else ("h",)
    starts = [rng.uniform(-1, 1, state_shape) for _ in names] if d["with_state"] else []

    def packed(parts: list[Any]) -> Any:
        return (tuple(parts) if d["kind"] == "LSTM" else parts[0]) if parts else None

    our_x, our_starts = tg.tensor(x, requires_grad=True), [tg.tensor(s, requires_grad=True) for s in starts]
    its_x, its_starts = (
        torch.tensor(x, requires_grad=True),
        [torch.tensor(s, requires_grad=True) for s in starts],
    )
    our_output, our_last = ours(our_x, packed(our_starts))
    its_output, its_last = theirs(its_x, packed(its_starts))
    our_results = [our_output, *states_of(our_last).values()]
    its_results = [its_output, *states_of(its_last).values()]
    for a, b in zip(our_results, its_results, strict=True):
        close(a.data, b.detach())

    v = [rng.standard_normal(a.shape) for a in our_results]
    sum((w * a).sum() for w, a in zip(v, our_results, strict=True)).backward()
    sum((torch.as_tensor(w) * b).sum() for w, b in zip(v, its_results, strict=True)).backward()
    for a, b in zip([our_x, *our_starts], [its_x, *its_starts], strict=True):
        close(a.grad, b.grad)
    case = {**options, "kind": d["kind"].split()[0]}
    gradients = {name: p.grad.numpy() for name, p in theirs.named_parameters()}
    expected = reference_cases.ours_from_torch(case, gradients, gradients=True)
    assert expected.keys() == dict(ours.named_parameters()).keys()
    for name, p in ours.named_parameters():
        close(p.grad, expected[name])


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["RNN tanh", "LSTM", "GRU"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_second_derivatives_agree_with_torch(torch: Any, kind: str, options: dict[str, Any]) -> None:
    ours, theirs = both(torch, kind, 2, 3, seed=1, **options)
    rng = np.random.default_rng(2)
    x, v = rng.standard_normal((4, 2, 2)), rng.standard_normal((4, 2, 2))
    our_x, its_x = tg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    # the gradient of (dL/dx · v): a Hessian-vector product, mixed with the weights
    dx = tg.grad((ours(our_x)[0] ** 2).sum(), our_x, create_graph=True)
    (dx * v).sum().backward()
    (its_dx,) = torch.autograd.grad((theirs(its_x)[0] ** 2).sum(), its_x, create_graph=True)
    (its_dx * torch.as_tensor(v)).sum().backward()
    close(our_x.grad, its_x.grad, 1e-10)
    case = {"num_layers": 1, "bidirectional": False, "bias": True, **options, "kind": kind.split()[0]}
    gradients = {name: p.grad.numpy() for name, p in theirs.named_parameters()}
    for name, expected in reference_cases.ours_from_torch(case, gradients, gradients=True).items():
        close(dict(ours.named_parameters())[name].grad, expected, 1e-10)


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["RNN tanh", "RNN relu", "LSTM", "GRU"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("with_state", [True, False])
def test_cells_agree_with_torch(torch: Any, kind: str, bias: bool, batch: tuple[int, ...], with_state: bool) -> None:
    ours, theirs = both(torch, kind.replace(" ", "Cell ") if " " in kind else f"{kind}Cell", 2, 4, bias=bias)
    rng = np.random.default_rng(0)
    x, h, c = rng.standard_normal((*batch, 2)), rng.standard_normal((*batch, 4)), rng.standard_normal((*batch, 4))
    tensors = [tg.tensor(a, requires_grad=True) for a in (x, h, c)]
    torches = [torch.tensor(a, requires_grad=True) for a in (x, h, c)]
    results = []
    for cell, (x_, h_, c_) in ((ours, tensors), (theirs, torches)):
        state = cell(x_, ((h_, c_) if kind == "LSTM" else h_) if with_state else None)
        results.append(list(states_of(state).values()))
        ((results[-1][0] ** 3).sum() + (results[-1][-1] ** 2).sum()).backward()
    for a, b in zip(*results, strict=True):
        close(a.data, b.detach())
    for a, b in zip(tensors, torches, strict=True):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None:
            close(a.grad, b.grad)
    close(ours.W_xh.grad, theirs.weight_ih.grad.T)
    close(ours.W_hh.grad, theirs.weight_hh.grad.T)
    if bias:
        close(ours.b_h.grad, theirs.bias_ih.grad)


# -- the equations, written out here -----------------------------------------------------------------

PHI = {
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "sigmoid": sigmoid,
    "identity": lambda a: a,
}


@pytest.mark.parametrize("nonlinearity", PHI)
def test_the_four_nonlinearities(nonlinearity: str) -> None:
    rnn = nn.RNN(2, 3, nonlinearity=nonlinearity, dtype=float, rng=0)
    x = np.random.default_rng(1).standard_normal((4, 2, 2))
    h = np.zeros((2, 3))
    expected = []
    for x_t in x:
        h = PHI[nonlinearity](x_t @ rnn.W_xh.data + h @ rnn.W_hh.data + rnn.b_h.data)
        expected.append(h)
    output, last = rnn(x)
    close(output.data, np.stack(expected), 1e-14)
    close(last.data, h[None], 1e-14)
    at = [tg.tensor(x, requires_grad=True), tg.tensor(rnn.W_hh, requires_grad=True)]
    assert tg.gradcheck(lambda x, W: nn.functional_call(rnn, {"W_hh": W}, x)[0], at)


@pytest.mark.parametrize("bias", [True, False])
def test_gru_with_the_reset_gate_before_the_product_is_that_of_the_paper(bias: bool) -> None:
    gru = nn.GRU(2, 3, reset_after=False, bias=bias, dtype=float, rng=0)
    assert [name for name, _ in gru.named_parameters()] == ["W_xh", "W_hh", "b_h"][: 2 + bias]
    W_xr, W_xz, W_xn = np.split(gru.W_xh.data, 3, axis=1)
    W_hr, W_hz, W_hn = np.split(gru.W_hh.data, 3, axis=1)
    b_r, b_z, b_n = np.split(gru.b_h.data, 3) if bias else (0.0, 0.0, 0.0)
    x, h0 = np.random.default_rng(1).standard_normal((4, 2, 2)), np.random.default_rng(2).standard_normal((1, 2, 3))
    h, expected = h0[0], []
    for x_t in x:
        r = sigmoid(x_t @ W_xr + h @ W_hr + b_r)
        z = sigmoid(x_t @ W_xz + h @ W_hz + b_z)
        n = np.tanh(x_t @ W_xn + (r * h) @ W_hn + b_n)
        h = (1 - z) * n + z * h
        expected.append(h)
    close(gru(x, h0)[0].data, np.stack(expected), 1e-14)
    at = [tg.tensor(x, requires_grad=True), tg.tensor(gru.W_hh, requires_grad=True)]
    assert tg.gradcheck(lambda x, W: nn.functional_call(gru, {"W_hh": W}, x)[0], at)


def test_lstm_equations_gate_order_and_a_missing_state() -> None:
    lstm = nn.LSTM(2, 3, dtype=float, rng=0)
    W_xi, W_xf, W_xg, W_xo = np.split(lstm.W_xh.data, 4, axis=1)
    W_hi, W_hf, W_hg, W_ho = np.split(lstm.W_hh.data, 4, axis=1)
    b_i, b_f, b_g, b_o = np.split(lstm.b_h.data, 4)
    x = np.random.default_rng(1).standard_normal((5, 1, 2))
    h = c = np.zeros((1, 3))
    expected = []
    for x_t in x:
        i, f = sigmoid(x_t @ W_xi + h @ W_hi + b_i), sigmoid(x_t @ W_xf + h @ W_hf + b_f)
        g, o = np.tanh(x_t @ W_xg + h @ W_hg + b_g), sigmoid(x_t @ W_xo + h @ W_ho + b_o)
        c = f * c + i * g
        h = o * np.tanh(c)
        expected.append(h)
    output, (last_h, last_c) = lstm(x)
    close(output.data, np.stack(expected), 1e-14)
    close(last_h.data[0], h, 1e-14)
    close(last_c.data[0], c, 1e-14)


@pytest.mark.parametrize("layers", [1, 2])
def test_forget_bias_sets_the_bias_of_the_forget_gate_of_every_layer_alone(layers: int) -> None:
    plain, with_bias = (nn.LSTM(2, 3, layers, forget_bias=value, rng=0) for value in (None, 1.5))
    for name, p in with_bias.named_parameters():
        expected = dict(plain.named_parameters())[name].data.copy()
        if name.startswith("b_h"):
            expected[3:6] = 1.5
        np.testing.assert_array_equal(p.data, expected)
    with pytest.raises(ValueError, match="forget_bias needs bias=True"):
        nn.LSTM(2, 3, bias=False, forget_bias=1.0)


def test_a_gru_has_three_quarters_of_the_weights_of_an_lstm() -> None:
    def count(layer: Any) -> int:
        return sum(p.size for name, p in layer.named_parameters() if name != "b_hn")

    assert 4 * count(nn.GRU(5, 7)) == 3 * count(nn.LSTM(5, 7))


# -- what holds for every layer ----------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "options"), [*((kind, {}) for kind in KINDS), ("LSTM", {"peepholes": True})])
def test_initial_weights_are_uniform_within_one_over_root_hidden(kind: str, options: dict[str, Any]) -> None:
    layer = getattr(nn, kind)(7, 25, num_layers=2, bidirectional=True, rng=0, **options)
    for _, p in layer.named_parameters():
        assert p.dtype == np.float32
        assert 0.15 < np.abs(p.data).max() <= 0.2  # 1/√25
        assert np.abs(p.data.mean()) < 4 * 0.2 / np.sqrt(3 * p.size)  # four standard deviations
    again, other = (getattr(nn, kind)(7, 25, num_layers=2, bidirectional=True, rng=seed, **options) for seed in (0, 1))
    for (_, p), (_, q), (_, r) in zip(*(m.named_parameters() for m in (layer, again, other)), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
        assert not np.array_equal(p.data, r.data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_float32_stays_float32(kind: str, bidirectional: bool, layers: int) -> None:
    options = {"num_layers": layers, "bidirectional": bidirectional, "dropout": 0.5 * (layers > 1), "rng": 0}
    layer = getattr(nn, kind)(3, 4, **options)
    x = tg.tensor(np.ones((5, 2, 3), np.float32), requires_grad=True)
    output, state = layer(x)
    (output**2).sum().backward()
    assert {t.dtype for t in (output, *states_of(state).values())} == {np.dtype(np.float32)}
    for record in tg.tape((layer(x)[0] ** 2).sum()):
        values = record.values
        assert {v.dtype for v in values} == {np.dtype(np.float32)}, record
    assert {p.grad.dtype for p in (x, *layer.parameters())} == {np.dtype(np.float32)}


def test_input_of_another_float_type_is_cast_at_the_door_and_its_gradient_cast_back() -> None:
    x = tg.tensor(np.ones((5, 2, 3)), requires_grad=True)
    output, h = nn.GRU(3, 4, rng=0)(x, np.ones((1, 2, 4)))
    assert output.dtype == h.dtype == np.float32
    output.sum().backward()
    assert x.grad.dtype == np.float64


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("T", "B", "inputs"), [(5, 2, 3), (1, 2, 3), (5, 2, 1), (2, 2, 2)])
def test_layouts_are_one_computation(kind: str, T: int, B: int, inputs: int) -> None:
    def layer(**options: Any) -> Any:
        return getattr(nn, kind)(inputs, 4, num_layers=2, bidirectional=True, rng=0, dtype=float, **options)

    x = np.random.default_rng(0).standard_normal((T, B, inputs))
    output, state = layer()(x)
    swapped, state_b = layer(batch_first=True)(x.swapaxes(0, 1))
    close(swapped.data.swapaxes(0, 1), output.data, 1e-14)
    for a, b in zip(states_of(state).values(), states_of(state_b).values(), strict=True):
        close(a.data, b.data, 1e-14)
    for first in (False, True):
        alone, state_1 = layer(batch_first=first)(x[:, 1])
        close(alone.data, output.data[:, 1], 1e-14)
        for a, b in zip(states_of(state).values(), states_of(state_1).values(), strict=True):
            close(b.data, a.data[:, 1], 1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_in_two_parts_is_the_whole_sequence(kind: str) -> None:
    layer = getattr(nn, kind)(3, 4, num_layers=2, rng=0, dtype=float)
    x = np.random.default_rng(0).standard_normal((7, 2, 3))
    whole, last = layer(x)
    first, state = layer(x[:3])
    second, state = layer(x[3:], state)
    close(np.concatenate([first.data, second.data]), whole.data, 1e-15)
    close(states_of(state)["h"].data, states_of(last)["h"].data, 1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_the_reverse_direction_reads_the_sequence_backwards(kind: str) -> None:
    layer = getattr(nn, kind)(3, 4, bidirectional=True, rng=0, dtype=float)
    alone = getattr(nn, kind)(3, 4, dtype=float)
    for name, p in alone.named_parameters():
        p.data = getattr(layer, f"{name}_reverse").data
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    output, state = layer(x)
    backwards, last = alone(x[::-1])
    close(output.data[..., 4:], backwards.data[::-1], 1e-14)
    close(states_of(state)["h"].data[1], states_of(last)["h"].data[0], 1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_none_is_a_batch(kind: str) -> None:
    layer = getattr(nn, kind)(3, 4, rng=0)
    output, state = layer(np.zeros((5, 0, 3)))
    assert output.shape == (5, 0, 4) and states_of(state)["h"].shape == (1, 0, 4)
    output.sum().backward()
    assert not layer.W_hh.grad.any()


def test_nothing_is_recorded_without_grad() -> None:
    layer = nn.LSTM(3, 4, num_layers=2, rng=0)
    with tg.no_grad():
        output, (h, _) = layer(np.ones((5, 2, 3)))
    assert output.record is None and h.record is None


def test_nothing_is_kept_inside_a_layer() -> None:
    layer = nn.LSTM(3, 4, rng=0)
    x = np.ones((5, 2, 3))
    np.testing.assert_array_equal(layer(x)[0].data, layer(x)[0].data)


# -- dropout between layers ----------------------------------------------------------------------------


def drop_layer(**options: Any) -> Any:
    """Two layers, the second of which hands on what it gets: its output is what dropout left."""
    layer = nn.RNN(1, 50, num_layers=2, nonlinearity="identity", dtype=float, **{"dropout": 0.3, "rng": 0} | options)
    for name, p in layer.named_parameters():
        p.data = np.zeros(p.shape)
        if name == "W_xh":
            p.data = np.ones(p.shape)
        if name == "W_xh_l1":
            p.data = np.eye(50)
    return layer


def test_dropout_between_layers_keeps_each_entry_with_probability_1_minus_p_and_scales_it() -> None:
    layer = drop_layer()
    output, h = layer(np.ones((40, 20, 1)))
    values, counts = np.unique(output.data, return_counts=True)
    np.testing.assert_allclose(values, [0, 1 / 0.7])
    assert abs(counts[0] / output.size - 0.3) < 4 * np.sqrt(0.3 * 0.7 / output.size)  # four standard deviations
    assert abs(output.data.mean() - 1) < 0.02
    assert not np.array_equal(output.data[0], output.data[1])  # a new mask each time step
    assert (h.data[0] == 1).all()  # the state of the first layer is not dropped


def test_dropout_does_nothing_after_the_last_layer_and_nothing_in_eval_mode() -> None:
    layer = nn.RNN(1, 50, num_layers=3, dropout=0.5, nonlinearity="identity", rng=0)
    assert (layer(np.ones((4, 3, 1)))[0].data != 0).all()
    x = np.ones((4, 3, 1))
    layer = drop_layer().eval()
    assert (layer(x)[0].data == 1).all()
    assert (layer.train()(x)[0].data != 1).all()


def test_the_same_seed_gives_the_same_masks() -> None:
    x = np.ones((4, 3, 1))
    a, b, c = (drop_layer(rng=seed) for seed in (1, 1, 2))
    first = a(x)[0].data
    np.testing.assert_array_equal(first, b(x)[0].data)
    assert not np.array_equal(first, c(x)[0].data)
    assert not np.array_equal(first, a(x)[0].data)  # and new ones at each call
    a.dropout.rng, b.dropout.rng = np.random.default_rng(5), np.random.default_rng(5)
    np.testing.assert_array_equal(a(x)[0].data, b(x)[0].data)


def test_the_gradient_passes_where_the_mask_let_pass() -> None:
    layer = drop_layer()
    x = tg.tensor(np.ones((4, 3, 1)), requires_grad=True)
    output, _ = layer(x)
    output.sum().backward()
    close(x.grad[..., 0], output.data.sum(-1), 1e-13)


# -- tags and names on the tape ----------------------------------------------------------------------


def steps_by_layer(root: tg.Tensor) -> dict[str, list[int]]:
    found: dict[str, set[int]] = {}
    for record in tg.tape(root):
        if record.step is not None and record.step.t is not None:
            found.setdefault(record.step.layer, set()).add(record.step.t)
    return {layer: sorted(ts) for layer, ts in found.items()}


def test_records_carry_the_layer_and_the_time_step() -> None:
    layer = nn.GRU(2, 3, num_layers=2, bidirectional=True, rng=0)
    output, _ = layer(np.ones((4, 1, 2)))
    every = [1, 2, 3, 4]
    assert steps_by_layer(output.sum()) == dict.fromkeys(["gru", "gru_reverse", "gru_l1", "gru_l1_reverse"], every)
    # the records of the reverse direction were made in the order 4, 3, 2, 1 and bear the true time
    order = [r.step.t for r in tg.tape(output.sum()) if r.step == Step("gru_reverse", r.step.t if r.step else None)]
    assert order == sorted(order, reverse=True)


@pytest.mark.parametrize(
    ("kind", "names"),
    [("RNN", {"h", "a"}), ("LSTM", {"i", "f", "g", "o", "c", "h", "a"}), ("GRU", {"r", "z", "n", "h"})],
)
def test_the_roles_of_the_equations_are_names_on_the_tape(kind: str, names: set[str]) -> None:
    layer = getattr(nn, kind)(2, 3, rng=0, fused=False)
    tape = tg.tape(layer(np.ones((3, 1, 2)))[0].sum())
    for t in (1, 2, 3):
        here = {name for (record, _), name in tape.names.items() if record.step == Step(kind.lower(), t)}
        assert names - {"a"} <= here
    assert names <= set(tape.names.values())
    assert {leaf.name for leaf in tape.leaves if leaf.requires_grad} >= {"W_xh", "W_hh", "b_h"}
    gates = {"i": 0, "f": 1, "g": 2, "o": 3}
    if kind == "LSTM":  # and each name is on the gate it says
        a = np.ones((1, 2)) @ layer.W_xh.data + layer.b_h.data
        for (record, _), name in tape.names.items():
            if name in gates and record.step == Step("lstm", 1):
                k = gates[name]
                pre = a[:, 3 * k : 3 * k + 3]
                close(record.values[0], np.tanh(pre) if name == "g" else sigmoid(pre), 1e-6)


def test_parameters_of_further_layers_and_directions_are_named_with_their_suffix() -> None:
    layer = nn.RNN(2, 3, num_layers=2, bidirectional=True)
    expected = [f"{w}{s}" for s in ("", "_reverse", "_l1", "_l1_reverse") for w in ("W_xh", "W_hh", "b_h")]
    assert [name for name, _ in layer.named_parameters()] == expected
    assert [p.name for p in layer.parameters()] == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [False, True], ids=["carried", "detached"])
@pytest.mark.parametrize("x", [np.ones((4, 1, 2)), np.ones((4, 2))], ids=["batch", "unbatched"])
def test_numbering_goes_on_where_the_carried_state_left_off(kind: str, cut: bool, x: np.ndarray) -> None:
    layer = getattr(nn, kind)(2, 3, rng=0)
    _, state = layer(x)
    for start in (5, 9):
        state = tg.bptt.detach(state) if cut else state
        output, state = layer(x, state)
        steps = steps_by_layer(output.sum())[kind.lower()]
        assert steps == list(range(start if cut else 1, start + 4))
        assert states_of(state)["h"].name == "h"
    assert steps_by_layer(layer(x)[0].sum())[kind.lower()] == [1, 2, 3, 4]  # a new sequence starts from 1


def test_an_error_in_a_step_says_which() -> None:
    layer = nn.RNN(2, 3, rng=0)
    layer.W_hh = nn.Parameter(np.zeros((4, 3)))
    with pytest.raises(ShapeError, match="rnn t=1"):
        layer(np.ones((4, 1, 2)))


def test_unroll_takes_any_step_function() -> None:
    def step(x_t: Any, state: Any) -> Any:
        count, total = state
        return total + x_t, (count + 1, total + x_t)

    x = tg.tensor([1.0, 2.0, 4.0], requires_grad=True)
    y, (count, total) = nn.unroll(step, x, (0, 0.0), name="adder", first=3, reverse=True)
    np.testing.assert_array_equal(y.data, [7, 6, 4])
    assert count == 3 and total.item() == 7
    assert steps_by_layer(y.sum()) == {"adder": [3, 4, 5]}
    with pytest.raises(ShapeError, match="at least one time step"):
        nn.unroll(step, np.zeros((0, 2)), (0, 0.0))


@pytest.mark.parametrize("given", [nn.GRUCell(2, 3, rng=0), lambda x_t, h: h + 1, lambda x_t, h: (h, h, h)])
def test_a_step_that_does_not_give_two_things(given: Any) -> None:
    # of a batch of 2 the two rows of h would be taken for y_t and the state
    with pytest.raises(TypeError, match=r"cell\(x_t, state\) must return two things, y_t and the new state, not "):
        nn.unroll(given, np.ones((1, 2, 2)), tg.tensor(np.zeros((2, 3))))


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("lengths", [[3, 2], (3, 2), np.array([3, 2]), tg.tensor([3, 2])])
def test_lengths_in_the_place_of_the_state(kind: str, lengths: Any) -> None:
    with pytest.raises(TypeError, match=rf"{kind}: state must be h.*, not whole numbers: are they lengths="):
        getattr(nn, kind)(2, 3, rng=0)(np.ones((3, 2, 2)), lengths)


def test_a_cell_is_its_gates_and_a_step() -> None:
    """The minimal gated unit (Zhou et al. 2016), with all that layers can do, from the base classes alone."""

    class MGUCell(Cell):
        gates = "fn"

        def step(self, a: tg.Tensor, h: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
            (a_f, a_n), (u_f, u_n) = np.split(a, 2, axis=-1), np.split(norm(h @ self.W_hh, self.gain_h), 2, axis=-1)
            f = tg.sigmoid(a_f + u_f)
            h = (1 - f) * h + f * np.tanh(a_n + f * u_n)
            return h, h

    class MGU(Recurrent):
        cell_type = MGUCell

    x = tg.tensor(np.random.default_rng(0).standard_normal((4, 2, 2)), requires_grad=True)
    for options in ({}, {"bias": False}, {"layer_norm": True, "checkpoint": 2}, {"learn_initial_state": True}):
        layer = MGU(2, 3, num_layers=2, bidirectional=True, dtype=float, rng=0, **options)
        assert tg.gradcheck(lambda x, layer=layer: layer(x, lengths=[4, 2])[0], x)
    output, _ = MGU(2, 3, dtype=float, rng=0)(x)
    assert list(tg.bptt.flow(output.sum())["mgu"].steps) == [1, 2, 3, 4]
    f, n = (MGUCell(2, 3, rng=0).gate(name) for name in "fn")
    assert (f, n) == (slice(0, 3), slice(3, 6))


# -- bad inputs: each a clear error -------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (3,), (1, 2, 3, 3), (5, 2, 4), (3, 5, 2), (5, 4)])
def test_wrong_shapes_of_x(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as caught:
        nn.LSTM(3, 4)(np.ones(shape))
    message = str(caught.value)
    for part in ("LSTM", "x must be (T, B, I)", "without a batch, (T, I)", "input_size = 3", str(shape)):
        assert part in message
    with pytest.raises(ShapeError, match=r"\(B, T, I\)"):
        nn.LSTM(3, 4, batch_first=True)(np.ones((5, 2, 4)))


@pytest.mark.parametrize("shape", [(0, 2, 3), (0, 3)])
def test_no_time_steps(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="no time steps"):
        nn.RNN(3, 4)(np.ones(shape))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_class_numbers_are_no_features(dtype: Any) -> None:
    with pytest.raises(DtypeError, match=r"GRU needs real-valued features, not .*Embedding"):
        nn.GRU(3, 4)(np.ones((5, 2, 3), dtype))


@pytest.mark.parametrize("shape", [(2, 2, 4), (1, 3, 4), (1, 2, 5), (2, 4), (1, 1, 2, 4), (4, 2, 4)])
def test_wrong_shapes_of_the_state(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as caught:
        nn.GRU(3, 4)(np.ones((5, 2, 3)), np.ones(shape))
    message = str(caught.value)
    assert "GRU: state h must have shape (1, 2, 4)" in message and str(shape) in message
    with pytest.raises(ShapeError, match="state c must have shape"):
        nn.LSTM(3, 4)(np.ones((5, 2, 3)), (np.ones((1, 2, 4)), np.ones(shape)))


def test_a_state_of_two_layers_and_directions_is_checked_too() -> None:
    layer = nn.RNN(3, 4, num_layers=2, bidirectional=True)
    with pytest.raises(ShapeError, match=r"\(4, 2, 4\)"):
        layer(np.ones((5, 2, 3)), np.ones((2, 2, 4)))
    with pytest.raises(ShapeError, match=r"\(4, 4\)"):
        layer(np.ones((5, 3)), np.ones((4, 1, 4)))


def test_batch_first_mixed_up_says_which_axis_was_read_as_time() -> None:
    x, h = np.ones((5, 2, 3)), np.ones((1, 5, 4))
    with pytest.raises(ShapeError, match=r"read as \(T, B, I\), 5 time steps \(T\) of a batch of 2 \(B\)"):
        nn.RNN(3, 4)(x, h)
    with pytest.raises(ShapeError, match=r"read as \(B, T, I\), 2 time steps \(T\) of a batch of 5 \(B\)"):
        nn.RNN(3, 4, batch_first=True)(x, np.ones((1, 2, 4)))


def test_a_state_of_another_batch_size_after_the_last_short_batch() -> None:
    layer = nn.LSTM(3, 4)
    _, state = layer(np.ones((5, 8, 3)))
    with pytest.raises(ShapeError, match="start a batch of another size with state=None"):
        layer(np.ones((5, 3, 3)), state)


@pytest.mark.parametrize("cell", ["", "Cell"])
@pytest.mark.parametrize(
    ("kind", "state", "message"),
    [
        ("LSTM", lambda h: h, r"state must be a tuple \(h, c\), not ndarray"),
        ("LSTM", lambda h: (h,), "not a tuple of 1"),
        ("LSTM", lambda h: (), "not a tuple of 0"),
        ("LSTM", lambda h: [h, h, h], "not a list of 3"),
        ("LSTM", lambda h: (h, None), r"state c is None: give all of \(h, c\)"),
        ("GRU", lambda h: (h, h), "state must be h alone, not a tuple of 2"),
        ("RNN", lambda h: (h,), "state must be h alone, not a tuple of 1"),
        ("RNN", lambda h: (), "state must be h alone, not a tuple of 0"),
        ("RNN", lambda h: "h", "state h: a tensor needs numbers, a list or an array, not str"),
        ("RNN", lambda h: {"h": h}, "state h: a tensor needs numbers, a list or an array, not dict"),
    ],
)
def test_states_of_the_wrong_kind(kind: str, cell: str, state: Any, message: str) -> None:
    x, h = np.ones((2, 3) if cell else (5, 2, 3)), np.ones((2, 4) if cell else (1, 2, 4))
    with pytest.raises(TypeError, match=f"{kind}{cell}: .*{message}"):
        getattr(nn, kind + cell)(3, 4)(x, state(h))


SIZES = [(kind + cell, name) for kind in KINDS for cell in ("", "Cell") for name in ("input_size", "hidden_size")]


@pytest.mark.parametrize(("kind", "name"), [*SIZES, *((kind, "num_layers") for kind in KINDS)])
def test_sizes(kind: str, name: str) -> None:
    for value, error in [(0, ValueError), (-1, ValueError), (2.5, TypeError), (True, TypeError), ("3", TypeError)]:
        with pytest.raises(error, match=f"{name} must be"):
            getattr(nn, kind)(**{"input_size": 3, "hidden_size": 4, name: value})
    assert getattr(nn, kind)(**{"input_size": 3, "hidden_size": 4, name: np.int64(2)})


@pytest.mark.parametrize("p", [1.5, 1.0, -0.1, float("nan"), float("inf")])
def test_dropout_must_be_a_probability_below_1(p: float) -> None:
    with pytest.raises(ValueError, match="dropout must be at least 0 and below 1"):
        nn.LSTM(3, 4, num_layers=2, dropout=p)


def test_dropout_with_one_layer_does_nothing_and_warns() -> None:
    with pytest.warns(UserWarning, match="dropout=0.5 acts between layers, and num_layers=1 has none") as caught:
        layer = nn.LSTM(3, 4, dropout=0.5, rng=0)
    assert caught[0].filename == __file__
    x = np.ones((2, 1, 3))
    np.testing.assert_array_equal(layer(x)[0].data, layer(x)[0].data)


def test_unknown_options() -> None:
    with pytest.raises(ValueError, match="nonlinearity must be one of tanh, relu, sigmoid, identity, not 'gelu'"):
        nn.RNN(3, 4, nonlinearity="gelu")
    for kind in KINDS:
        with pytest.raises(TypeError, match="num_layer"):
            getattr(nn, kind)(3, 4, num_layer=2)
    with pytest.raises(TypeError, match="nonlinearity"):
        nn.LSTM(3, 4, nonlinearity="relu")
    for dtype in (int, complex):
        with pytest.raises(DtypeError):
            nn.GRU(3, 4, dtype=dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_cells_refuse_wrong_shapes(kind: str) -> None:
    cell = getattr(nn, f"{kind}Cell")(3, 4)
    for shape in [(), (4,), (2, 4), (5, 2, 3)]:
        with pytest.raises(ShapeError, match=rf"{kind}Cell: x must be \(B, 3\) or \(3,\)"):
            cell(np.ones(shape))
    state = np.ones((3, 4))
    with pytest.raises(ShapeError, match=r"state h must have shape \(2, 4\), got \(3, 4\)"):
        cell(np.ones((2, 3)), (state, state) if kind == "LSTM" else state)


def test_the_signature_of_a_layer_shows_all_its_options_and_knows_no_others() -> None:
    parameters = inspect.signature(nn.GRU).parameters
    assert {"num_layers", "batch_first", "bias", "reset_after", "dtype", "rng"} <= parameters.keys()
    assert parameters["reset_after"].default is True
    with pytest.raises(TypeError, match=r"GRU has no option 'nonlinearity'; it has num_layers, .*reset_after"):
        nn.GRU(1, 2, nonlinearity="relu")
