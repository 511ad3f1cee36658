"""Weights to and from PyTorch."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import StateDictError
from tinygrad_rnn.nn.cell import Cell
from tinygrad_rnn.nn.recurrent import Recurrent

nn, to_torch, from_torch = tg.nn, tg.io.to_torch, tg.io.from_torch


class Model(nn.Module):
    def __init__(self, rng: int = 0) -> None:
        generator = np.random.default_rng(rng)
        self.scale = nn.Parameter(generator.standard_normal(3))
        self.constant = tg.tensor([1.0])
        self.embedding = nn.Embedding(5, 4, rng=generator)
        self.rnn = nn.GRU(4, 3, num_layers=2, bidirectional=True, rng=generator)
        self.cell = nn.LSTMCell(6, 2, rng=generator)
        self.head = nn.Sequential(nn.Linear(2, 2, rng=generator), nn.LayerNorm(2))
        self.more = [nn.Linear(2, 1, bias=False, rng=generator)]

    def forward(self, ids: Any) -> Any:
        h, _ = self.rnn(self.embedding(ids))
        h, _ = self.cell(h[-1])
        return self.more[0](self.head(h)) * self.scale


def torch_model(torch: Any) -> Any:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(3))
            self.embedding = torch.nn.Embedding(5, 4)
            self.rnn = torch.nn.GRU(4, 3, num_layers=2, bidirectional=True)
            self.cell = torch.nn.LSTMCell(6, 2)
            self.head = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.LayerNorm(2))
            self.more = torch.nn.ModuleList([torch.nn.Linear(2, 1, bias=False)])

        def forward(self, ids: Any) -> Any:
            h, _ = self.rnn(self.embedding(ids))
            h, _ = self.cell(h[-1])
            return self.more[0](self.head(h)) * self.scale

    return Model()


@pytest.mark.oracle
def test_a_cell_that_torch_has_not_is_refused_by_name() -> None:
    class OneGateCell(Cell):
        gates = "z"

        def step(self, a: Any, h: Any) -> Any:
            z = tg.sigmoid(a + h @ self.W_hh)
            return z * h, z * h

    class OneGate(Recurrent):
        cell_type = OneGateCell

    for convert in (to_torch, lambda m: from_torch(m, {})):
        for module in (OneGateCell(2, 3), OneGate(2, 3)):
            with pytest.raises(StateDictError, match=r"torch has no OneGateCell: tg\.save"):
                convert(module)


def test_a_nested_model_goes_to_torch_and_back(torch: Any) -> None:
    ours, theirs = Model(), torch_model(torch)
    theirs.load_state_dict({name: torch.as_tensor(a) for name, a in to_torch(ours).items()})  # strict
    ids = np.array([[1, 2], [0, 4], [3, 3]])
    y = theirs(torch.as_tensor(ids)).detach().numpy()
    np.testing.assert_allclose(ours(ids).data, y, rtol=1e-5, atol=1e-6)

    torch.manual_seed(0)
    theirs = torch_model(torch)
    other = from_torch(Model(1), theirs.state_dict())
    assert isinstance(other, Model)
    np.testing.assert_allclose(other(ids).data, theirs(torch.as_tensor(ids)).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"])
@pytest.mark.parametrize("bias", [True, False])
def test_names_and_shapes_are_torchs(torch: Any, kind: str, bias: bool) -> None:
    options = {"bias": bias} | ({} if kind.endswith("Cell") else {"num_layers": 3, "bidirectional": True})
    its = getattr(torch.nn, kind)(2, 3, **options).state_dict()
    ours = to_torch(getattr(nn, kind)(2, 3, **options))
    assert {name: tuple(t.shape) for name, t in its.items()} == {name: a.shape for name, a in ours.items()}
    assert list(its) == list(ours)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_there_and_back_is_exact(kind: str) -> None:
    def make(seed: int) -> Any:
        return getattr(nn, kind)(2, 3, num_layers=2, bidirectional=True, rng=seed)

    a, b = make(0), make(1)
    from_torch(b, to_torch(a))
    for (name, p), (_, q) in zip(a.named_parameters(), b.named_parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data, err_msg=name)
        assert q.dtype == np.float32


def test_models_there_and_back() -> None:
    a, b = Model(0), Model(1)
    state = to_torch(a)
    assert "constant" not in state and next(iter(state)) == "scale"
    from_torch(b, state)
    for name, value in a.state_dict().items():
        np.testing.assert_array_equal(b.state_dict()[name], value, err_msg=name)
    state["scale"][:] = 9  # arrays of their own
    assert not (a.scale.data == 9).any() and not (b.scale.data == 9).any()


def test_the_two_biases_of_torch() -> None:
    b_ih, b_hh = np.arange(9.0), 10 * np.arange(9.0)
    weights = {"weight_ih_l0": np.ones((9, 2)), "weight_hh_l0": np.ones((9, 3))}
    gru = from_torch(nn.GRU(2, 3, dtype=float), weights | {"bias_ih_l0": b_ih, "bias_hh_l0": b_hh})
    np.testing.assert_array_equal(gru.b_h.data, [0, 11, 22, 33, 44, 55, 6, 7, 8])  # n keeps its own
    np.testing.assert_array_equal(gru.b_hn.data, [60, 70, 80])
    back = to_torch(gru)
    np.testing.assert_array_equal(back["bias_hh_l0"], [0, 0, 0, 0, 0, 0, 60, 70, 80])
    rnn = from_torch(
        nn.RNN(2, 9, dtype=float),
        {"weight_ih_l0": np.ones((9, 2)), "weight_hh_l0": np.ones((9, 9)), "bias_ih_l0": b_ih, "bias_hh_l0": b_hh},
    )
    np.testing.assert_array_equal(rnn.b_h.data, b_ih + b_hh)


def test_any_mapping_of_arrays_will_do() -> None:
    layer = from_torch(nn.Linear(2, 1, dtype=float), {"weight": [[1.0, 2.0]], "bias": (3.0,)})
    assert layer.W.data.tolist() == [[1], [2]] and layer.b.data.tolist() == [3]


def test_what_a_subclass_adds_goes_along() -> None:
    class Scaled(nn.Linear):
        def __init__(self) -> None:
            super().__init__(2, 3, rng=0)
            self.gain = nn.Parameter(np.ones(1))

    class Tagger(nn.RNN):
        def __init__(self) -> None:
            super().__init__(2, 3, rng=0)
            self.out = nn.Linear(3, 1, rng=1)

    assert list(to_torch(Scaled())) == ["weight", "bias", "gain"]
    assert list(to_torch(Tagger()))[-2:] == ["out.weight", "out.bias"] and len(to_torch(Tagger())) == 6


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize(
    ("source", "dtype"), [("float16", "f4"), ("bfloat16", "f4"), ("float32", "f8"), ("float64", "f4")]
)
def test_the_two_biases_are_added_in_double_precision(torch: Any, kind: str, source: str, dtype: str) -> None:
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(2, 3)
    for p in theirs.parameters():
        p.data.copy_(torch.randn_like(p))
    theirs = theirs.to(getattr(torch, source))
    ours = from_torch(getattr(nn, kind)(2, 3, dtype=dtype), theirs.state_dict())
    total = (theirs.bias_ih_l0.double() + theirs.bias_hh_l0.double()).detach().numpy().astype(dtype)
    n = 6 if kind == "GRU" else len(total)
    np.testing.assert_array_equal(ours.b_h.data[:n], total[:n])
    np.testing.assert_array_equal(ours.W_xh.data.T, theirs.weight_ih_l0.detach().double().numpy().astype(dtype))


def test_two_large_biases_in_half_precision_do_not_overflow() -> None:
    big = {"weight_ih_l0": np.ones((1, 1)), "weight_hh_l0": np.ones((1, 1))}
    big |= {name: np.array([40000], np.float16) for name in ("bias_ih_l0", "bias_hh_l0")}
    assert from_torch(nn.RNN(1, 1), big).b_h.data == 80000
    with pytest.raises(StateDictError, match=r"bias_ih_l0 \+ bias_hh_l0: 80000\.0 is beyond float16"):
        from_torch(nn.RNN(1, 1, dtype=np.float16), big)


class Tied(nn.Module):
    def __init__(self) -> None:
        self.a, self.b = nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1)
        self.b.W = self.a.W


def test_shared_weights_are_taken_under_either_name_and_must_agree() -> None:
    state = to_torch(Tied())
    assert np.array_equal(state["a.weight"], state["b.weight"])
    for name in ("a.weight", "b.weight"):
        model = from_torch(Tied(), {n: x + 1 for n, x in state.items() if n != name})
        np.testing.assert_array_equal(model.b.W.data.T, state["a.weight"] + 1)
    with pytest.raises(StateDictError, match=r"a\.weight and b\.weight: one shared \(tied\) parameter"):
        from_torch(Tied(), state | {"b.weight": state["b.weight"] + 1})


def test_a_head_that_is_tied_in_torch_alone_can_be_left_out() -> None:
    E = np.arange(6.0).reshape(3, 2)
    model = nn.Module()
    model.encoder = nn.Embedding(3, 2)
    with pytest.raises(
        StateDictError, match=r"decoder\.weight: unexpected, .*equal to encoder\.weight: .*leave it out"
    ):
        from_torch(model, {"encoder.weight": E, "decoder.weight": E})


# -- what does not fit -------------------------------------------------------------------------------


def test_every_mismatch_is_listed_and_nothing_changed() -> None:
    model = Model()
    before, state = model.state_dict(), to_torch(Model(1))
    del state["rnn.weight_hh_l1_reverse"], state["cell.bias_hh"]
    state["rnn.weight_ih_l0"] = np.ones((4, 9))
    state["head.0.weight"] = np.ones((2, 2), int)
    state["more.0.weight"] = np.array([["a", "b"]])
    state["rnn.weight_hr_l0"] = np.ones((1, 3))  # of torch's proj_size
    with pytest.raises(StateDictError) as caught:
        from_torch(model, state)
    lines = str(caught.value).splitlines()
    assert lines[0] == "torch's state dict does not fit Model; nothing was changed:"
    assert [line.strip() for line in lines[1:]] == [
        "cell.bias_hh: missing, expected shape (8,)",
        "head.0.weight: expected real numbers, got int64",
        "more.0.weight: expected real numbers, got <U1",
        "rnn.weight_hh_l1_reverse: missing, expected shape (9, 3)",
        "rnn.weight_hr_l0: unexpected, of shape (1, 3)",
        "rnn.weight_ih_l0: expected shape (9, 4), got (4, 9)",
    ]
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(before[name], value)


def test_a_layer_without_bias_against_weights_with_one() -> None:
    with pytest.raises(StateDictError, match="bias_ih_l0: unexpected"):
        from_torch(nn.RNN(2, 3, bias=False), to_torch(nn.RNN(2, 3)))
    with pytest.raises(StateDictError, match="bias_hh_l0: missing"):
        from_torch(nn.RNN(2, 3), to_torch(nn.RNN(2, 3, bias=False)))


def test_a_gru_that_torch_does_not_have() -> None:
    for convert in (to_torch, lambda m: from_torch(m, {})):
        with pytest.raises(StateDictError, match="reset_after=False"):
            convert(nn.GRU(2, 3, reset_after=False))


def test_a_module_is_no_state_dict() -> None:
    with pytest.raises(TypeError, match=r"as torch_module\.state_dict\(\) does, not Linear"):
        from_torch(nn.Linear(1, 1), nn.Linear(1, 1))


@pytest.mark.oracle
def test_torch_parameters_and_modules(torch: Any) -> None:
    theirs = torch.nn.Linear(2, 3)
    ours = from_torch(nn.Linear(2, 3), dict(theirs.named_parameters()))  # these need gradients
    np.testing.assert_array_equal(ours.W.data, theirs.weight.detach().T)
    with pytest.raises(TypeError, match="not Linear"):
        from_torch(nn.Linear(2, 3), theirs)
