"""Linear, Embedding, Dropout, LayerNorm and Sequential: their equations, and their answers to bad inputs."""

import operator
import re
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DataError, DtypeError, ShapeError

nn = tg.nn


def close(actual: Any, expected: Any, tolerance: float = 1e-12) -> None:
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max(initial=0)))


# -- Linear ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [(), (5,), (4, 5), (2, 3, 4), (0,), (3, 0)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_x_w_plus_b_over_the_last_axis(batch: tuple[int, ...], bias: bool) -> None:
    layer = nn.Linear(3, 2, bias, dtype=float, rng=0)
    x = np.random.default_rng(0).standard_normal((*batch, 3))
    b = layer.b.data if bias else 0.0
    close(layer(x).data, x @ layer.W.data + b)
    g = np.random.default_rng(1).standard_normal((*batch, 2))
    t = tg.tensor(x, requires_grad=True)
    (g * layer(t)).sum().backward()
    close(t.grad, g @ layer.W.data.T)
    close(layer.W.grad, x.reshape(-1, 3).T @ g.reshape(-1, 2))
    if bias:
        close(layer.b.grad, g.reshape(-1, 2).sum(0))
    else:
        assert layer.b is None


@pytest.mark.oracle
def test_layers_agree_with_torch(torch: Any) -> None:
    pairs = [
        (nn.Linear(3, 4, dtype=float), torch.nn.Linear(3, 4, dtype=torch.float64)),
        (nn.LayerNorm(3, dtype=float), torch.nn.LayerNorm(3, dtype=torch.float64)),
        (nn.LayerNorm(3, eps=0.1, dtype=float), torch.nn.LayerNorm(3, eps=0.1, dtype=torch.float64)),
    ]
    rng = np.random.default_rng(0)
    for ours, theirs in pairs:
        with torch.no_grad():
            for p in theirs.parameters():
                p.copy_(torch.as_tensor(rng.standard_normal(p.shape)))
        tg.io.from_torch(ours, theirs.state_dict())
        x = rng.standard_normal((5, 2, 3))
        a, b = tg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, z = ours(a), theirs(b)
        close(y.data, z.detach())
        (y**3).sum().backward(), (z**3).sum().backward()
        close(a.grad, b.grad, 1e-11)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            close(p.grad.T, q.grad, 1e-11)


def test_initial_values_are_bounded_by_one_over_root_inputs_and_repeat_with_the_seed() -> None:
    a, b, c = (nn.Linear(16, 300, rng=seed) for seed in (0, 0, 1))
    assert 0.24 < np.abs(a.W.data).max() <= 0.25 and 0.24 < np.abs(a.b.data).max() <= 0.25
    assert a.W.data.min() < -0.24 and a.b.data.min() < -0.24 and abs(a.b.data.mean()) < 0.05
    np.testing.assert_array_equal(a.W.data, b.W.data)
    assert not np.array_equal(a.W.data, c.W.data)
    assert a.W.dtype == a.b.dtype == np.float32


def test_one_generator_gives_layers_different_weights() -> None:
    rng = np.random.default_rng(0)
    a, b = nn.Linear(2, 3, rng=rng), nn.Linear(2, 3, rng=rng)
    assert not np.array_equal(a.W.data, b.W.data)


@pytest.mark.parametrize("layer", [nn.Linear(3, 2, rng=0), nn.LayerNorm(3)])
def test_float32_layers_cast_at_the_door(layer: Any) -> None:
    x = tg.tensor(np.ones((2, 3)), requires_grad=True)
    y = layer(x)
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad.dtype == np.float64 and next(iter(layer.parameters())).grad.dtype == np.float32


@pytest.mark.parametrize("shape", [(), (4,), (3, 4), (3, 1)])
def test_wrong_last_axis(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as caught:
        nn.Linear(3, 2)(np.ones(shape))
    assert "Linear(3, 2): x must be (..., 3)" in str(caught.value) and str(shape) in str(caught.value)
    with pytest.raises(ShapeError, match=r"LayerNorm\(3\): x must be"):
        nn.LayerNorm(3)(np.ones(shape))


def test_whole_numbers_are_no_features() -> None:
    with pytest.raises(DtypeError, match=r"Linear needs real-valued features, not int64.*Embedding"):
        nn.Linear(3, 2)(np.ones((2, 3), int))
    with pytest.raises(DtypeError, match="Linear: a tensor needs numbers"):
        nn.Linear(3, 2)("text")


@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-2, ValueError), (1.0, TypeError), (True, TypeError), (None, TypeError)]
)
def test_sizes(value: Any, error: type[Exception]) -> None:
    for make, name in [
        (lambda n: nn.Linear(n, 2), "inputs"),
        (lambda n: nn.Linear(2, n), "outputs"),
        (lambda n: nn.Embedding(n, 2), "classes"),
        (lambda n: nn.Embedding(2, n), "size"),
        (lambda n: nn.LayerNorm(n), "size"),
    ]:
        with pytest.raises(error, match=f"{name} must be"):
            make(value)
        assert make(np.int32(2))


@pytest.mark.parametrize("dtype", [int, complex, str])
def test_dtypes_of_parameters(dtype: Any) -> None:
    with pytest.raises(DtypeError):
        nn.Linear(2, 3, dtype=dtype)


# -- Embedding ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [3, [1, 2, 1], [[0, 4], [4, 4]], np.zeros((2, 0), int), np.array([2], np.uint8)])
def test_embedding_looks_up_rows_and_adds_up_their_gradients(ids: Any) -> None:
    layer = nn.Embedding(5, 2, dtype=float, rng=0)
    y = layer(ids)
    ids = np.asarray(ids)
    close(y.data, layer.W.data[ids])
    g = np.random.default_rng(0).standard_normal(y.shape)
    (g * y).sum().backward()
    expected = np.zeros((5, 2))
    np.add.at(expected, ids, g)
    close(layer.W.grad, expected)


def test_embedding_starts_from_the_standard_normal() -> None:
    W = nn.Embedding(100, 50, rng=0).W.data
    assert abs(W.mean()) < 0.06 and abs(W.std() - 1) < 0.04 and W.dtype == np.float32


def test_ids_that_are_none() -> None:
    layer = nn.Embedding(5, 2)
    for ids in ([1.0, 2.0], [True, False], np.array([[0.5]])):
        with pytest.raises(DtypeError, match="Embedding: ids must be integers"):
            layer(ids)
    for ids, named in (([0, 5], 5), ([-1], -1), (tg.tensor([[7]]), 7)):
        with pytest.raises(DataError, match=rf"ids must be in 0 .. 4, and {named} is not"):
            layer(ids)


# -- Dropout ----------------------------------------------------------------------------------------


def test_dropout_sets_to_zero_with_probability_p_and_keeps_the_mean() -> None:
    y = nn.Dropout(0.2, rng=0)(np.ones(20_000)).data
    assert set(np.unique(y)) == {0.0, 1 / 0.8}
    assert abs((y == 0).mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / y.size)


@pytest.mark.parametrize("p", [1e-6, 0.1, 0.5, 1 - 1e-6])
def test_dropout_drops_the_fraction_p_of_all_16_bit_numbers_on_average(p: float) -> None:
    class EveryNumberOnce:
        def __init__(self, u: float) -> None:
            self.u = u

        def bytes(self, n: int) -> bytes:
            return np.arange(n // 2, dtype="<u2").tobytes()

        def random(self) -> float:
            return self.u

    dropout, dropped = nn.Dropout(p), []
    for u in np.arange(1000) / 1000:
        dropout.rng = EveryNumberOnce(u)
        dropped.append(np.count_nonzero(dropout(np.ones(2**16, np.float32)).data == 0))
    assert np.mean(dropped) == pytest.approx(2**16 * p, abs=1e-3)
    assert max(dropped) - min(dropped) <= 1


def test_the_gradient_of_dropout_goes_through_the_same_mask() -> None:
    x = tg.tensor(np.full(50, 2.0), requires_grad=True)
    y = nn.Dropout(0.5, rng=0)(x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.data / 2)


def test_dropout_off() -> None:
    x = np.ones(50)
    np.testing.assert_array_equal(nn.Dropout(0.5, rng=0).eval()(x).data, x)
    np.testing.assert_array_equal(nn.Dropout(0.0)(x).data, x)


def test_dropout_with_one_seed_gives_one_sequence_of_masks() -> None:
    a, b, c = (nn.Dropout(0.5, rng=seed) for seed in (3, 3, 4))
    x = np.ones(50, np.float32)
    first, second = a(x).data, a(x).data
    np.testing.assert_array_equal(first, b(x).data)
    np.testing.assert_array_equal(second, b(x).data)
    assert not np.array_equal(first, second) and not np.array_equal(first, c(x).data)
    assert first.dtype == np.float32


def test_numpys_global_random_numbers_are_left_alone() -> None:
    before = np.random.get_state()[1].copy()
    model = nn.Sequential(nn.Embedding(4, 3), nn.Dropout(0.5), nn.Linear(3, 2), nn.LayerNorm(2))
    model([1, 2])
    nn.LSTM(2, 3, num_layers=2, dropout=0.5)(np.ones((3, 1, 2)))
    nn.init.orthogonal_(nn.Parameter(np.zeros((3, 3)))), nn.init.xavier_normal_(nn.Parameter(np.zeros((3, 3))))
    np.testing.assert_array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_probabilities(p: float) -> None:
    with pytest.raises(ValueError, match="dropout must be at least 0 and below 1"):
        nn.Dropout(p)


def test_dropout_of_whole_numbers_would_round_the_scale_away() -> None:
    with pytest.raises(DtypeError, match="Dropout needs real-valued features, not int64"):
        nn.Dropout(0.3)(np.ones(4, int))


# -- LayerNorm --------------------------------------------------------------------------------------


def test_layer_norm_makes_mean_0_and_variance_1_then_gain_and_bias() -> None:
    layer = nn.LayerNorm(6, eps=0.0, dtype=float)
    x = np.random.default_rng(0).standard_normal((4, 6)) * 3 + 5
    y = layer(x).data
    close(y.mean(-1), np.zeros(4))
    close((y**2).mean(-1), np.ones(4))
    layer.gain.data, layer.bias.data = np.full(6, 2.0), np.full(6, -1.0)
    close(layer(x).data, 2 * y - 1)
    at = tg.tensor(x, requires_grad=True)
    assert tg.gradcheck(lambda t: layer(t) ** 2, at, order=2)


# -- Sequential -------------------------------------------------------------------------------------


def test_sequential() -> None:
    first, second = nn.Linear(2, 3, rng=0), nn.Linear(3, 1, rng=1)
    model = nn.Sequential(first, nn.Dropout(0.5, rng=0), second).eval()
    x = np.ones((4, 2), np.float32)
    np.testing.assert_array_equal(model(x).data, second(first(x)).data)
    assert len(model) == 3 and model[0] is first and model[-1] is second
    assert [name for name, _ in model.named_parameters()] == ["0.W", "0.b", "2.W", "2.b"]
    assert [type(m).__name__ for m in model] == ["Linear", "Dropout", "Linear"]
    with pytest.raises(IndexError):
        model[3]
    with pytest.raises(TypeError, match="argument 1 must be a Module, not function"):
        nn.Sequential(first, lambda x: x)


def test_a_recurrent_layer_in_a_sequential_gives_two_things_and_the_message_says_so() -> None:
    model = nn.Sequential(nn.GRU(2, 3), nn.Linear(3, 1))
    with pytest.raises(TypeError, match=r"Linear got a tuple of 2.*output, state = layer\(x\)"):
        model(np.ones((4, 1, 2)))


# -- printing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Linear(2, 3), "Linear(2, 3)"),
        (nn.Linear(2, 3, bias=False), "Linear(2, 3, bias=False)"),
        (nn.Embedding(5, 2), "Embedding(5, 2)"),
        (nn.Dropout(0.25), "Dropout(0.25)"),
        (nn.LayerNorm(4), "LayerNorm(4)"),
        (nn.RNNCell(2, 3, nonlinearity="relu"), "RNNCell(2, 3, nonlinearity='relu')"),
        (nn.LSTMCell(2, 3, bias=False), "LSTMCell(2, 3, bias=False)"),
        (nn.GRUCell(2, 3, reset_after=False), "GRUCell(2, 3, reset_after=False)"),
        (nn.RNN(2, 3), "RNN(2, 3)"),
        (nn.RNN(2, 3, 2, nonlinearity="relu"), "RNN(2, 3, num_layers=2, nonlinearity='relu')"),
        (nn.LSTM(2, 3, 2, batch_first=True, dropout=0.5), "LSTM(2, 3, num_layers=2, batch_first=True, dropout=0.5)"),
        (nn.LSTM(2, 3, forget_bias=1.0, dtype=np.float32), "LSTM(2, 3, forget_bias=1.0)"),
        (nn.GRU(2, 3, bidirectional=True, bias=False), "GRU(2, 3, bidirectional=True, bias=False)"),
        (nn.GRU(2, 3, dtype=float), "GRU(2, 3, dtype='float64')"),
        (
            nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Dropout(0.5))),
            "Sequential(\n  (0): Linear(2, 3)\n  (1): Sequential(\n    (0): Dropout(0.5)\n  )\n)",
        ),
    ],
)
def test_a_module_prints_as_the_call_that_makes_it(layer: Any, text: str) -> None:
    assert repr(layer) == text
    if "\n" not in text:
        assert repr(eval(text, vars(nn))) == text


# -- what is given in place of one array ------------------------------------------------------------------


class PackedSequence(NamedTuple):
    """As PyTorch's: four things in a tuple."""

    data: Any
    batch_sizes: Any
    sorted_indices: Any = None
    unsorted_indices: Any = None


def step(x_t: Any, state: Any) -> Any:
    return x_t, state


READERS: dict[str, Any] = {
    "GRU": nn.GRU(2, 2, rng=0),
    "GRUCell": nn.GRUCell(2, 2, rng=0),
    "Linear": nn.Linear(2, 2, rng=0),
    "LayerNorm": nn.LayerNorm(2),
    "Embedding": nn.Embedding(9, 2, rng=0),
    "Dropout": nn.Dropout(0.5),
    "unroll": lambda x: nn.unroll(step, x),
    "cross_entropy": lambda x: nn.cross_entropy(x, [0]),
    "mse_loss": lambda x: nn.mse_loss(x, [0.0]),
    "run": lambda x: list(tg.bptt.Truncated(2).run(READERS["GRU"], x)),
    "run ": lambda x: list(tg.bptt.Randomized(0.5).run(READERS["GRU"], x)),
}


@pytest.mark.parametrize("name", READERS)
def test_a_packed_sequence_is_answered_with_lengths(name: str) -> None:
    packed = PackedSequence(np.ones((5, 2)), np.array([2, 2, 1]))
    with pytest.raises(TypeError, match=rf"{name.strip()}.* got a PackedSequence\..*layer\(x, lengths=lengths\)"):
        READERS[name](packed)


@pytest.mark.oracle
def test_so_is_that_of_torch(torch: Any) -> None:
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.ones(3, 2, 2), [3, 2])
    with pytest.raises(TypeError, match="LSTM got a PackedSequence"):
        nn.LSTM(2, 2)(packed)
    x, lengths = torch.nn.utils.rnn.pad_packed_sequence(packed)  # what the message says
    assert nn.LSTM(2, 2)(x, lengths=lengths)[0].shape == (3, 2, 2)
    with pytest.raises(DtypeError, match=r"LSTM: a torch\.Tensor cannot be made an array: .*detach"):
        nn.LSTM(2, 2)(torch.ones(3, 2, 2, requires_grad=True))


@pytest.mark.parametrize("lengths", [[3, 2], (3, 2), np.array([3, 2]), tg.tensor([3, 2])])
def test_a_pair_of_x_and_lengths_is_answered_with_lengths(lengths: Any) -> None:
    for name in ("GRU", "Linear", "Dropout"):
        with pytest.raises(TypeError, match=rf"{name} got a pair, .*layer\(x, lengths=lengths\)"):
            READERS[name]((np.ones((3, 2, 2)), lengths))


def test_sequences_of_several_lengths_are_answered_with_padding() -> None:
    for name in ("GRU", "Linear", "Embedding"):
        for kind in (list, tuple):
            with pytest.raises(TypeError, match=r"got sequences of lengths \[3, 2, 5\]: .*padded to 5 steps"):
                READERS[name](kind([np.ones((n, 2)) for n in (3, 2, 5)]))
    assert (
        READERS["Linear"]([np.ones(2), np.ones(2)]).shape == READERS["Linear"](((1.0, 2.0), (3.0, 4.0))).shape == (2, 2)
    )


@pytest.mark.parametrize(
    ("where", "name", "cure"),
    [
        (nn, "CrossEntropyLoss", r"tg\.nn\.cross_entropy\(scores, target\)"),
        (nn, "ModuleList", "a list, as an attribute"),
        (nn, "Tanh", r"np\.tanh\(x\) in forward"),
        (tg.optim, "lr_scheduler", r"tg\.optim\.StepLR"),
    ],
)
def test_names_of_pytorch_are_answered_with_ours(where: Any, name: str, cure: str) -> None:
    with pytest.raises(AttributeError, match=rf"has no attribute '{name}': .*{cure}"):
        getattr(where, name)
    assert not hasattr(where, "NoSuchThing")


def test_every_name_that_is_advised_exists() -> None:
    for advice in nn._INSTEAD.values():
        for name in re.findall(r"tg\.([\w.]+)\(", advice):
            assert callable(operator.attrgetter(name)(tg)), name


@pytest.mark.parametrize("frozen", ["", "W", "b"])
def test_a_bias_gets_its_gradient_with_that_of_the_weights_or_alone(frozen):
    linear, x = tg.nn.Linear(40, 70, dtype=float, rng=0), tg.tensor(np.random.default_rng(0).normal(0, 1, (300, 3, 40)))
    if frozen:
        getattr(linear, frozen).requires_grad = False
    y = linear(x)
    for times in (1, 2):  # and once more, with another gradient
        y.backward(np.full(y.shape, float(times)), retain_graph=True)
    wanted = {"b": np.full(70, 3.0 * 900), "W": 3.0 * x.data.sum((0, 1))[:, None] * np.ones(70)}
    for name, expected in wanted.items():
        if name != frozen:
            np.testing.assert_allclose(getattr(linear, name).grad, expected, rtol=1e-12, atol=1e-9)
    assert y.record.op.kept is None or frozen == "b"
