"""Module: names, sharing, saving and loading, replacing, copying."""

import copy
import dataclasses
import itertools
import json
import pickle
import warnings
from collections import OrderedDict, deque
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import CheckpointError, DtypeError, GraphError, ShapeError, StateDictError

nn = tg.nn


class Model(nn.Module):
    """Everything a model may hold: parameters of its own, modules, lists of modules, constants."""

    def __init__(self, rng: int = 0) -> None:
        generator = np.random.default_rng(rng)
        self.scale = nn.Parameter(np.ones(1))
        self.lstm = nn.LSTM(2, 3, num_layers=2, dropout=0.5, rng=generator)
        self.heads = [nn.Linear(3, 1, rng=generator), nn.Linear(3, 2, rng=generator)]
        self.drop = nn.Dropout(0.5, rng=generator)
        self.constant = tg.tensor([1.0])
        self.number = 3

    def forward(self, x: Any) -> Any:
        h, _ = self.lstm(x)
        h = self.drop(h)
        return self.scale * np.concatenate([head(h) for head in self.heads], -1)


class Tied(nn.Module):
    """One matrix in two places."""

    def __init__(self) -> None:
        self.first = nn.Linear(2, 2, bias=False, dtype=float, rng=0)
        self.second = nn.Linear(2, 2, bias=False, dtype=float, rng=1)
        self.second.W = self.first.W

    def forward(self, x: Any) -> Any:
        return self.second(np.tanh(self.first(x)))


LSTM_NAMES = ["W_xh", "W_hh", "b_h", "W_xh_l1", "W_hh_l1", "b_h_l1"]
NAMES = ["scale", *(f"lstm.{name}" for name in LSTM_NAMES), "heads.0.W", "heads.0.b", "heads.1.W", "heads.1.b"]
X = np.random.default_rng(0).standard_normal((4, 1, 2))


# -- names -------------------------------------------------------------------------------------------


def test_parameters_are_named_in_the_order_of_assignment() -> None:
    model = Model()
    assert [name for name, _ in model.named_parameters()] == NAMES
    assert list(model.state_dict()) == NAMES
    assert dict(model.named_parameters())["lstm.W_hh_l1"] is model.lstm.W_hh_l1
    assert [p.name for p in model.parameters()] == [name.split(".")[-1] for name in NAMES]


def test_a_shared_parameter_is_listed_once_and_trained_as_one() -> None:
    model = Tied()
    assert [name for name, _ in model.named_parameters()] == ["first.W"]
    assert len(list(model.parameters())) == 1
    model(np.ones((1, 2))).sum().backward()
    both = model.first.W.grad
    W, V = (tg.tensor(model.first.W.data, requires_grad=True) for _ in range(2))
    (np.tanh(np.ones((1, 2)) @ W) @ V).sum().backward()
    np.testing.assert_allclose(both, W.grad + V.grad, rtol=1e-14)
    assert copy.deepcopy(model).first.W is not model.first.W
    clone = copy.deepcopy(model)
    assert clone.first.W is clone.second.W


def test_one_module_in_two_places_is_one_module() -> None:
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, layer)
    assert [name for name, _ in model.named_parameters()] == ["0.W", "0.b"]
    model.load_state_dict(model.state_dict())


def test_a_subclass_of_a_layer_may_add_parameters_and_modules() -> None:
    class Tagger(nn.GRU):
        def __init__(self) -> None:
            super().__init__(2, 3, rng=0)
            self.out = nn.Linear(3, 1, rng=1)
            self.temperature = nn.Parameter(np.ones(1))

        def forward(self, x: Any, state: Any = None) -> Any:
            output, state = super().forward(x, state)
            return self.out(output) * self.temperature, state

    model = Tagger()
    expected = ["W_xh", "W_hh", "b_h", "b_hn", "temperature", "out.W", "out.b"]
    assert [name for name, _ in model.named_parameters()] == expected
    model(X)[0].sum().backward()
    assert all(p.grad is not None for p in model.parameters())


# -- train, eval, zero_grad ---------------------------------------------------------------------------


def test_train_and_eval_reach_everything_inside() -> None:
    model = Model()
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    np.testing.assert_array_equal(model(X).data, model(X).data)
    assert model.train() is model and all(m.training for m in model.modules())
    assert model.lstm.dropout.training and model.heads[1].training
    assert not np.array_equal(model(X).data, model(X).data)
    assert type(model).training  # the class is as it was
    assert [type(m).__name__ for m in Model().modules()].count("Dropout") == 2


def test_zero_grad() -> None:
    model = Model().eval()
    model(X).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_a_module_without_forward_says_so() -> None:
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty has no forward\(self, ...\)"):
        Empty()(1)


# -- attributes --------------------------------------------------------------------------------------


def test_weights_of_a_recurrent_layer_are_reached_and_set_by_their_names() -> None:
    lstm = nn.LSTM(2, 3, num_layers=2, bidirectional=True, dtype=float, rng=0)
    assert lstm.W_hh_l1_reverse is lstm.cells[3].W_hh
    before = lstm(X)[0].data
    lstm.W_hh_l1_reverse.data = np.zeros((3, 12))
    assert not lstm.cells[3].W_hh.data.any()
    assert not np.array_equal(lstm(X)[0].data, before)
    lstm.b_h.data[:] = 7.0
    assert (lstm.state_dict()["b_h"] == 7).all()
    new = nn.Parameter(np.ones((3, 12)))
    lstm.W_hh = new
    assert lstm.cells[0].W_hh is new and dict(lstm.named_parameters())["W_hh"] is new
    nn.init.orthogonal_(lstm.W_hh, rng=0)
    np.testing.assert_allclose(new.data[:, :3] @ new.data[:, :3].T, np.eye(3), atol=1e-14)


def test_a_bias_may_be_taken_away_and_given_back() -> None:
    rnn = nn.RNN(2, 3, dtype=float, rng=0)
    bias, with_bias = rnn.b_h, rnn(X)[0].data
    rnn.b_h = None
    assert rnn.b_h is None and [name for name, _ in rnn.named_parameters()] == ["W_xh", "W_hh"]
    without = rnn(X)[0].data
    assert not np.array_equal(with_bias, without)
    rnn.b_h = bias
    np.testing.assert_array_equal(rnn(X)[0].data, with_bias)
    assert nn.GRU(2, 3, bias=False).b_hn is None


@pytest.mark.parametrize("name", ["W_hx", "W_hh_l2", "W_hh_l0", "W_xh_revers", "b", "_reverse", ""])
def test_typos_raise_attribute_errors(name: str) -> None:
    lstm = nn.LSTM(2, 3, num_layers=2)
    with pytest.raises(AttributeError, match=f"'LSTM' object has no attribute '{name}'"):
        getattr(lstm, name)


@pytest.mark.parametrize("value", [np.zeros((2, 3)), tg.tensor(np.zeros((2, 3))), [[0.0]], 3.0])
def test_a_parameter_is_not_silently_replaced_by_something_that_is_not_trained(value: Any) -> None:
    layer, rnn = nn.Linear(2, 3), nn.RNN(2, 3)
    with pytest.raises(TypeError, match=r"Linear\.W is a parameter.*\.W\.data = "):
        layer.W = value
    with pytest.raises(TypeError, match=r"W_xh is a parameter.*tg\.nn\.Parameter"):
        rnn.W_xh = value
    assert isinstance(layer.W, nn.Parameter) and isinstance(rnn.W_xh, nn.Parameter)


def test_a_parameter_always_needs_a_gradient() -> None:
    p = nn.Parameter([1.0, 2.0])
    assert p.requires_grad and p.is_leaf and isinstance(p, tg.Tensor)
    with pytest.raises(TypeError):
        nn.Parameter([1, 2])


# -- saving and loading -------------------------------------------------------------------------------


def test_a_state_dict_is_a_copy_and_goes_back_exactly() -> None:
    model, other = Model(0).eval(), Model(1).eval()
    state = model.state_dict()
    assert not np.array_equal(model(X).data, other(X).data)
    other.load_state_dict(state)
    np.testing.assert_array_equal(model(X).data, other(X).data)
    state["scale"][:] = 9
    assert model.scale.data == 1 and other.scale.data == 1
    other.load_state_dict({name: tg.tensor(a) for name, a in model.state_dict().items()})  # Tensors too


def test_loading_keeps_the_dtype_and_the_parameter() -> None:
    layer = nn.Linear(2, 3)
    W = layer.W
    layer.load_state_dict({"W": np.ones((2, 3)), "b": np.ones(3)})
    assert layer.W is W and W.dtype == np.float32 and (W.data == 1).all()


def test_a_wrong_state_dict_lists_everything_and_changes_nothing() -> None:
    model = Model()
    before = model.state_dict()
    state = model.state_dict()
    del state["lstm.W_hh"], state["heads.1.b"]
    state["scale"] = np.ones((2, 2))
    state["lstm.b_h"] = np.ones(12, int)
    state["head.0.W"] = np.ones(3)
    state["heads.0.W"] = np.full((3, 1), 9.0)  # fits, and must not be taken
    with pytest.raises(StateDictError) as caught:
        model.load_state_dict(state)
    lines = str(caught.value).splitlines()
    assert "the state dict does not fit Model; nothing was changed" in lines[0]
    assert sorted(line.strip() for line in lines[1:]) == [
        "head.0.W: unexpected, of shape (3,)",
        "heads.1.b: missing, expected shape (2,)",
        "lstm.W_hh: missing, expected shape (3, 12)",
        "lstm.b_h: expected dtype float32, got int64",
        "scale: expected shape (1,), got (2, 2)",
    ]
    after = model.state_dict()
    assert all(np.array_equal(after[name], before[name]) for name in NAMES)


@pytest.mark.parametrize(
    "bad", [np.array(["a", "b", "c"]), np.ones(3, complex), np.array([None] * 3), np.ones(3, bool)]
)
def test_values_that_are_no_real_numbers(bad: np.ndarray) -> None:
    layer = nn.Linear(2, 3)
    with pytest.raises(StateDictError, match="b: expected dtype float32, got"):
        layer.load_state_dict({"W": np.ones((2, 3)), "b": bad})


# -- functional_call ------------------------------------------------------------------------------------


def test_functional_call_gives_the_gradient_to_the_tensors_in_place_of_the_parameters() -> None:
    model = Model().eval()
    replaced = {name: tg.tensor(p.data * 2, requires_grad=True) for name, p in model.named_parameters()}
    before = dict(model.named_parameters())
    out = nn.functional_call(model, replaced, X)
    out.sum().backward()
    assert dict(model.named_parameters()) == before and all(p.grad is None for p in before.values())
    doubled = Model().eval()
    doubled.load_state_dict({name: t.data for name, t in replaced.items()})
    expected = doubled(X)
    expected.sum().backward()
    np.testing.assert_array_equal(out.data, expected.data)
    for name, p in doubled.named_parameters():
        np.testing.assert_array_equal(replaced[name].grad, p.grad)


def test_functional_call_on_the_names_of_a_recurrent_layer() -> None:
    gru = nn.GRU(2, 3, num_layers=2, bidirectional=True, dtype=float, rng=0)
    for name, p in gru.named_parameters():
        t = tg.tensor(p.data, requires_grad=True)
        nn.functional_call(gru, {name: 1.0 * t}, X, state=None)[0].sum().backward()
        gru(X)[0].sum().backward()
        np.testing.assert_allclose(t.grad, p.grad, rtol=1e-12, atol=1e-14)
        gru.zero_grad()


def test_functional_call_replaces_a_shared_parameter_everywhere() -> None:
    model = Tied()
    x = np.ones((1, 2))
    W = tg.tensor(model.first.W.data, requires_grad=True)
    nn.functional_call(model, {"first.W": W}, x).sum().backward()
    model(x).sum().backward()
    np.testing.assert_array_equal(W.grad, model.first.W.grad)
    # each name its own tensor: the two copies are untied
    V, W = (tg.tensor(model.first.W.data, requires_grad=True) for _ in range(2))
    nn.functional_call(model, {"first.W": V, "second.W": W}, x).sum().backward()
    np.testing.assert_allclose(V.grad + W.grad, model.first.W.grad, rtol=1e-14)
    assert model.first.W is model.second.W


def test_functional_call_takes_arrays_and_gradients_of_gradients() -> None:
    layer = nn.Linear(1, 1, bias=False, dtype=float)
    assert nn.functional_call(layer, {"W": [[3.0]]}, [[2.0]]).item() == 6
    W = tg.tensor([[3.0]], requires_grad=True)
    (g,) = tg.grad((nn.functional_call(layer, {"W": W**2}, [[1.0]]) ** 2).sum(), [W], create_graph=True)
    assert g.item() == 4 * 27 and tg.grad(g, W).item() == 12 * 9


def test_functional_call_refuses_what_is_no_parameter_and_puts_everything_back() -> None:
    model = Model()
    before = dict(model.named_parameters())
    with pytest.raises(StateDictError, match=r"no parameter named lstm\.W_h, scales; there are scale, lstm\.W_xh"):
        nn.functional_call(model, {"lstm.W_h": X, "scales": X}, X)
    with pytest.raises(StateDictError, match=r"scale: expected shape \(1,\), got \(2,\)"):
        nn.functional_call(model, {"heads.0.b": tg.tensor([5.0]), "scale": tg.tensor([1.0, 2.0])}, X)
    with pytest.raises(ValueError):
        nn.functional_call(model, {"scale": tg.tensor([1.0])}, X[..., :1])  # fails inside
    assert dict(model.named_parameters()) == before


# -- copies ----------------------------------------------------------------------------------------------


def test_a_deep_copy_is_independent() -> None:
    model = Model()
    model.eval()(X).sum().backward()
    clone = copy.deepcopy(model)
    assert [name for name, _ in clone.named_parameters()] == NAMES
    np.testing.assert_array_equal(clone(X).data, model(X).data)
    for (name, p), (_, q) in zip(model.named_parameters(), clone.named_parameters(), strict=True):
        assert p is not q and type(q) is nn.Parameter and p.name == q.name and q.requires_grad
        np.testing.assert_array_equal(p.grad, q.grad)
        q.data = q.data + 1
        assert not np.array_equal(model.state_dict()[name], clone.state_dict()[name])
    clone.lstm.W_hh_l1.data[:] = 5
    assert clone.lstm.cells[1].W_hh.data[0, 0] == 5 and model.lstm.W_hh_l1.data[0, 0] != 5
    clone.train()
    assert not model.training


def test_copies_draw_the_same_masks_from_generators_of_their_own() -> None:
    model = Model().train()
    clone = copy.deepcopy(model)
    np.testing.assert_array_equal(model(X).data, clone(X).data)
    model(X)
    assert not np.array_equal(model(X).data, clone(X).data)


def test_modules_are_found_in_dicts_and_nested_lists() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            self.heads = {"a": nn.Linear(1, 1, rng=0), "b": [nn.Linear(1, 2, bias=False, rng=0)]}

    assert [name for name, _ in Model().named_parameters()] == ["heads.a.W", "heads.a.b", "heads.b.0.W"]


# -- whatever a module holds, it is found or refused ----------------------------------------------------


def everything_agrees(model: nn.Module, count: int) -> None:
    """All that goes through the parameters sees the same ones."""
    named = dict(model.named_parameters())
    assert len(named) == len(list(model.parameters())) == len({id(p) for p in named.values()}) == count
    assert named.keys() <= model.state_dict().keys()
    model.load_state_dict({name: np.full(p.shape, 3.0) for name, p in named.items()})
    assert all((p.data == 3).all() for p in named.values())
    for p in named.values():
        p.grad = np.ones(p.shape)
    model.zero_grad()
    assert all(p.grad is None for p in named.values())
    assert not any(m.training for m in model.eval().modules()) and all(m.training for m in model.train().modules())
    assert type(model).__name__ in repr(model)
    if not any(isinstance(value, MappingProxyType) for value in vars(model).values()):  # which Python cannot copy
        assert copy.deepcopy(model).state_dict().keys() == model.state_dict().keys()


@dataclasses.dataclass
class Heads:
    first: Any
    second: Any = None


CONTAINERS: list[Any] = [
    lambda a, b: [a, [b]],
    lambda a, b: (a, (b,)),
    lambda a, b: {"a": a, "deep": {"b": [b]}},
    lambda a, b: deque([a, b]),
    lambda a, b: OrderedDict(a=a, b=b),
    lambda a, b: SimpleNamespace(a=a, b=[b]),
    lambda a, b: MappingProxyType({"a": a, "b": b}),
    lambda a, b: Heads(a, Heads(b)),
    lambda a, b: {1: a, 2.5: b},
]


@pytest.mark.parametrize("make", CONTAINERS)
def test_modules_and_parameters_are_found_in_every_container(make: Any) -> None:
    model = nn.Module()
    model.held = make(nn.Linear(2, 1, rng=0), nn.Sequential(nn.Dropout(0.5), nn.Linear(1, 2, rng=1)))
    everything_agrees(model, 4)
    model.other = make(nn.Linear(2, 1, rng=0), nn.Parameter(np.ones(2)))
    everything_agrees(model, 7)
    assert sum((p.name or "").startswith("other.") for p in model.parameters()) == 1


def test_containers_may_be_filled_later() -> None:
    model = nn.Module()
    model.layers, model.heads = [], {}
    model.layers.append(nn.Linear(1, 1, rng=0))
    model.heads["b"] = (nn.Linear(1, 1, rng=1),)
    everything_agrees(model, 4)
    model.layers.append(nn.Parameter(np.ones(1)))
    everything_agrees(model, 5)
    assert "layers.1" in model.state_dict()


def test_parameters_in_containers_are_replaced_by_other_tensors() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            self.terms = {"a": [nn.Parameter(np.ones(1)), nn.Parameter(np.full(1, 2.0))], "b": (nn.Parameter([3.0]),)}

        def forward(self, x: Any) -> Any:
            return x * self.terms["a"][0] + self.terms["a"][1] * self.terms["b"][0]

    model, x = Sum(), np.array([10.0])
    w = tg.tensor([5.0], requires_grad=True)
    y = nn.functional_call(model, {"terms.a.1": w}, x)
    assert y.data == 10 + 5 * 3 and model(x).data == 10 + 2 * 3
    (g,) = tg.grad(y, [w])
    assert g.data == 3


def test_modules_and_parameters_in_a_set_have_no_names() -> None:
    with pytest.raises(TypeError, match=r"Module\.weights: parameters in a set have no names: put them in a list"):
        nn.Module().weights = {nn.Parameter(np.ones(1))}
    with pytest.raises(TypeError, match=r"Module\.heads: modules in a set have no names: put them in a list or dict"):
        nn.Module().heads = {nn.Linear(1, 1)}


def test_a_child_may_know_its_parent_and_its_neighbours() -> None:
    class Node(nn.Module):
        def __init__(self, k: int) -> None:
            self.layer = nn.Linear(1, 1, rng=k)

    root = Node(0)
    root.children_ = [Node(1), Node(2), Node(3)]
    for a, b in itertools.pairwise(root.children_):
        a.next, b.last = b, a
    for child in root.children_:
        child.parent, child.family = root, {"root": [root], "self": child}
    everything_agrees(root, 8)
    assert [name for name, _ in root.named_parameters()][:3] == ["layer.W", "layer.b", "children_.0.layer.W"]
    assert sum(1 for _ in root.modules()) == 8
    assert next(iter(tg.io.to_torch(root))) == "layer.weight"
    nested: list[Any] = [nn.Linear(1, 1, rng=0)]
    nested.append(nested)
    model = nn.Module()
    model.nested = nested
    everything_agrees(model, 2)


class IntOrText(nn.Module):
    def __init__(self) -> None:
        self.heads = {1: nn.Linear(1, 1, rng=0), "1": nn.Linear(1, 1, rng=1)}


class DotInAKey(nn.Module):
    def __init__(self) -> None:
        self.heads = {"a.b": nn.Linear(1, 1, rng=0), "a": {"b": nn.Linear(1, 1, rng=1)}}


class DotInAnAttribute(nn.Module):
    def __init__(self) -> None:
        self.a = [nn.Linear(1, 1, rng=0)]
        setattr(self, "a.0", nn.Linear(1, 1, rng=1))


class LikeALayer(nn.GRU):
    def __init__(self) -> None:
        super().__init__(1, 1, rng=0)
        vars(self)["W_hh"] = nn.Parameter(np.ones((1, 3)))


@pytest.mark.parametrize("kind", [IntOrText, DotInAKey, DotInAnAttribute, LikeALayer])
def test_two_parameters_of_one_name_are_refused(kind: Any) -> None:
    model = kind()
    for use in (model.named_parameters, model.parameters, model.state_dict, lambda: model.load_state_dict({})):
        with pytest.raises(ValueError, match=rf"two parameters of {kind.__name__} have the name '.*Rename one"):
            list(use() or ())


def test_names_with_dots_that_do_not_collide_are_names() -> None:
    model = nn.Module()
    model.heads = {"a.b": nn.Linear(1, 1, rng=0), "": nn.Linear(1, 1, rng=1), 1: nn.Linear(1, 1, rng=2)}
    everything_agrees(model, 6)


def test_what_belongs_to_the_class_is_refused() -> None:
    for value in (nn.Parameter(np.ones(1)), nn.Linear(1, 1), [nn.Linear(1, 1)]):
        with pytest.raises(TypeError, match=r"One\.w would be one for all Ones, .* in __init__, as self\.w = "):
            type("One", (nn.Module,), {"w": value})
    with pytest.raises(TypeError, match="parameters in __slots__ would not be found"):
        type("Slotted", (nn.Module,), {"__slots__": ("W",)})


@pytest.mark.parametrize("name", ["train", "eval", "parameters", "forward", "children", "state_dict", "zero_grad"])
def test_a_module_under_the_name_of_a_method_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=rf"Module\.{name} is a method of every module"):
        setattr(nn.Module(), name, nn.Linear(1, 1))


def test_a_tensor_that_looks_like_a_parameter_is_warned_of() -> None:
    model = nn.Module()
    with pytest.warns(UserWarning, match=r"Module\.w is a Tensor that needs a gradient, but no Parameter"):
        model.w = tg.tensor([1.0], requires_grad=True)
    model.constant, model.state = tg.tensor([1.0]), model.w * 2


def test_a_module_made_by_a_property_is_found() -> None:
    class Model(nn.Module):
        @property
        def head(self) -> Any:
            return self._head

        @head.setter
        def head(self, value: Any) -> None:
            self._head = value

    model = Model()
    model.head = nn.Linear(1, 1, rng=0)
    everything_agrees(model, 2)


# -- shared parameters -----------------------------------------------------------------------------------


class Two(nn.Module):
    def __init__(self, tied: bool, rng: int = 0) -> None:
        self.a, self.b = nn.Linear(2, 2, rng=rng), nn.Linear(2, 2, rng=rng + 1)
        if tied:
            self.b.W = self.a.W


@pytest.mark.parametrize("through_a_file", [False, True])
def test_weights_of_a_tied_model_fit_one_that_is_not(tmp_path: Any, through_a_file: bool) -> None:
    tied = Two(True)
    state: Any = tied.state_dict()
    if through_a_file:
        tg.save(tied, tmp_path / "tied.safetensors")
        assert sorted(tg.io.load_arrays(tmp_path / "tied.safetensors")[0]) == ["a.W", "a.b", "b.b"]  # once
        state = tg.load(tmp_path / "tied.safetensors")
    assert list(state) == ["a.W", "a.b", "b.W", "b.b"]
    free, other = Two(False, 5), Two(True, 7)
    free.load_state_dict(state)
    other.load_state_dict(state)
    for model in (free, other):
        np.testing.assert_array_equal(model.a.W.data, tied.a.W.data)
        np.testing.assert_array_equal(model.b.W.data, tied.a.W.data)
    assert other.a.W is other.b.W and free.a.W is not free.b.W


def test_weights_of_an_untied_model_fit_a_tied_one_where_they_are_equal() -> None:
    tied, free = Two(True), Two(False)
    before, state = tied.state_dict(), free.state_dict()
    with pytest.raises(StateDictError, match=r"a\.W and b\.W: one shared \(tied\) parameter here, and the values"):
        tied.load_state_dict(state)
    assert all(np.array_equal(tied.state_dict()[name], value) for name, value in before.items())
    tied.load_state_dict(state | {"b.W": state["a.W"]})
    for name in ("a.W", "b.W"):  # either name will do
        tied.load_state_dict({n: value + 1 for n, value in state.items() if n in (name, "a.b", "b.b")})
        np.testing.assert_array_equal(tied.b.W.data, state[name] + 1)
    with pytest.raises(StateDictError, match=r"a\.W: missing"):
        tied.load_state_dict({"a.b": state["a.b"], "b.b": state["b.b"]})


def test_an_embedding_and_a_head_share_a_matrix_in_forward_alone() -> None:
    embedding, head = nn.Embedding(4, 4, rng=0), nn.Linear(4, 4, rng=1)
    shared = nn.Parameter(np.ones((4, 4)))
    for make in (
        lambda: setattr(head, "W", embedding.W),
        lambda: setattr(embedding, "W", head.W),
        lambda: setattr(copy.deepcopy(head), "W", copy.deepcopy(embedding).W),
        lambda: (setattr(nn.Embedding(4, 4), "W", shared), setattr(head, "W", shared)),
    ):
        with pytest.raises(ValueError, match=r"\.W is \(.*tg\.nn\.TiedLinear\(embedding\)"):
            make()
    embedding.W = nn.Parameter(np.eye(4))  # weights from elsewhere
    head.W = nn.Linear(4, 4).W

    class Tied(nn.Module):
        def __init__(self) -> None:
            self.embedding = nn.Embedding(5, 3, dtype=float, rng=0)

        def forward(self, ids: Any) -> Any:
            return self.embedding(ids) @ self.embedding.W.T

    model = Tied()
    nn.cross_entropy(model([1, 2]), [2, 3]).backward()
    assert (model.embedding.W.grad[[0, 4]] != 0).all()  # rows that were never looked up: through the scores


# -- values of every kind ------------------------------------------------------------------------------------


def test_values_that_the_dtype_cannot_hold_are_refused() -> None:
    layer = nn.Linear(1, 1, rng=0)
    with pytest.raises(StateDictError, match=r"W: 1e\+300 is beyond float32"):
        layer.load_state_dict({"W": [[1e300]], "b": [0.0]})
    layer.load_state_dict({"W": np.array([[np.inf]]), "b": np.array([np.nan], np.float16)})
    assert layer.W.data == np.inf and layer.W.dtype == layer.b.dtype == np.float32


@pytest.mark.parametrize("state", [None, 3, [("W", 1)], "model.safetensors", nn.Linear(1, 1, rng=0)])
def test_what_is_no_state_dict(state: Any) -> None:
    with pytest.raises(TypeError, match=r"load_state_dict needs a mapping .*tg\.load\(path\)"):
        nn.Linear(1, 1).load_state_dict(state)
    with pytest.raises(TypeError, match="maps names to arrays, and 1 is no name"):
        nn.Linear(1, 1).load_state_dict({1: np.ones(1)})


def test_a_mask_is_not_lost(tmp_path: Any) -> None:
    masked = np.ma.array([[1.0]], mask=[[True]])
    for use in (nn.Linear(1, 1, bias=False).load_state_dict, lambda state: tg.save(state, tmp_path / "m")):
        with pytest.raises(StateDictError, match=r"W: a masked array .*filled\(0\)"):
            use({"W": masked})


@pytest.mark.oracle
def test_torchs_tensors_are_values(torch: Any) -> None:
    layer = nn.Linear(1, 1, rng=0)
    W = torch.tensor([[1.5]], dtype=torch.bfloat16, requires_grad=True)
    layer.load_state_dict({"W": W, "b": torch.tensor([2.0])})
    assert layer.W.data == 1.5 and layer.b.data == 2
    with pytest.raises(StateDictError, match=r"W: cannot be made an array: .*give it as float32"):
        layer.load_state_dict({"W": W.to_sparse(), "b": torch.tensor([2.0])})


def test_named_modules_and_apply_go_over_all_once() -> None:
    shared = nn.Linear(2, 2, rng=0)
    model = nn.Sequential(shared, nn.Sequential(nn.Dropout(0.1), shared))
    assert [name for name, _ in model.named_modules()] == ["", "0", "1", "1.0"]
    assert [m for _, m in model.named_modules()] == list(model.modules())
    seen: list[nn.Module] = []
    assert model.apply(seen.append) is model
    assert set(seen) == set(model.modules()) and seen[-1] is model and len(seen) == 4


def test_a_model_in_another_precision() -> None:
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.LayerNorm(4))
    recurrent = tg.nn.LSTM(3, 4, rng=0)
    x = np.random.default_rng(0).normal(size=(5, 2, 3))
    before, output = model(x).data, recurrent(x)[0].data
    model[0].W.grad = np.ones((3, 4))
    assert model.astype(float) is model and {p.dtype.name for p in model.parameters()} == {"float64"}
    assert model[0].W.grad is None
    assert model(x).dtype == float and model(x).data == pytest.approx(before, rel=1e-5)
    recurrent.astype("float64")
    assert recurrent(x)[0].dtype == float and recurrent(x)[0].data == pytest.approx(output, abs=1e-6)
    with pytest.raises(DtypeError, match="floating-point"):
        model.astype(int)


def test_an_embedding_and_its_head_share_one_matrix(tmp_path: Any) -> None:
    class Tied(nn.Module):
        def __init__(self, rng: int) -> None:
            self.embedding = nn.Embedding(5, 3, rng=rng)
            self.head = nn.TiedLinear(self.embedding)

        def forward(self, ids: Any) -> Any:
            return self.head(self.embedding(ids))

    model, ids = Tied(0), np.array([1, 4])
    W = model.embedding.W.data.copy()
    np.testing.assert_allclose(model(ids).data, W[ids] @ W.T, rtol=1e-6)
    assert sorted(tg.nn.Module.state_dict(model)) == ["embedding.W", "head.b", "head.embedding.W"]
    tg.save(model, tmp_path / "m.safetensors")
    assert sorted(tg.io.load_arrays(tmp_path / "m.safetensors")[0]) == ["embedding.W", "head.b"]
    state = tg.load(tmp_path / "m.safetensors")
    for name in ("embedding.W", "head.embedding.W"):
        other = Tied(1)
        other.load_state_dict({name: W, "head.b": state["head.b"]})
        assert np.array_equal(other(ids).data, model(ids).data)
    assert tg.gradcheck(
        lambda W: tg.nn.functional_call(model, {"embedding.W": W}, ids), tg.tensor(W.astype(float), requires_grad=True)
    )
    with pytest.raises(TypeError, match=r"must be a tg\.nn\.Embedding, not Linear"):
        nn.TiedLinear(nn.Linear(2, 3, rng=0))
    with pytest.raises(ShapeError, match=r"x must be \(\.\.\., 3\), got \(2, 4\)"):
        model.head(np.ones((2, 4)))


def test_the_row_of_padding_is_and_stays_zero() -> None:
    embedding = nn.Embedding(4, 3, padding_idx=-1, rng=0)
    assert repr(embedding) == "Embedding(4, 3, 3)" and not embedding.W.data[3].any()
    for use in (embedding, lambda ids: embedding.rows(ids).written_out()):
        embedding.zero_grad()
        (use([[0, 3], [3, 1]]) + 1).sum().backward()
        assert embedding.W.grad.tolist() == [[1] * 3, [1] * 3, [0] * 3, [0] * 3]
    with pytest.raises(ValueError, match=r"padding_idx must be in 0 \.\. 3, not 4"):
        nn.Embedding(4, 3, padding_idx=4)


def test_a_summary_counts_everything_once_and_leaves_the_model_as_it_was() -> None:
    shared = nn.Linear(4, 4, rng=0)
    model = nn.Sequential(nn.GRU(3, 4, rng=0), Last(), shared, nn.Dropout(0.5, rng=1), shared)
    shared.b.requires_grad = False
    state = model[3].rng.bit_generator.state
    summary = model.summary(np.ones((5, 2, 3), np.float32))
    assert model[3].rng.bit_generator.state == state and all(p.grad is None for p in model.parameters())
    assert summary.parameters == sum(p.size for p in model.parameters()) and summary.frozen == 4
    assert sum(count for *_, count in summary.rows) == summary.parameters
    shapes = {name: shape for name, _, shape, _ in summary.rows}
    assert shapes["(all)"] == "(2, 4)" and shapes["0"] == "(5, 2, 4), (1, 2, 4)"
    text = str(summary)
    assert "4 of them frozen; a forward and backward pass takes" in text and max(map(len, text.splitlines())) <= 80
    assert "<table>" in summary._repr_html_() and "gives" not in str(model.summary())


class Last(nn.Module):
    def forward(self, output_and_state: Any) -> Any:
        return output_and_state[0][-1]


def test_who_watches_sees_each_call_inner_ones_first() -> None:
    model, seen = nn.Sequential(nn.Linear(2, 3, rng=0), nn.Linear(3, 1, rng=0)), []
    with tg.nn.watch(lambda module, args, kwargs, result: seen.append((module, args[0].shape, result.shape))):
        model(np.ones((4, 2)))
    assert seen == [(model[0], (4, 2), (4, 3)), (model[1], (4, 3), (4, 1)), (model, (4, 2), (4, 1))]
    model(np.ones((4, 2)))
    assert len(seen) == 3


@pytest.mark.parametrize("mode", ["no", None, 0, 1.0])
def test_training_is_on_or_off(mode: Any) -> None:
    dropout = tg.nn.Dropout(0.5)
    with pytest.raises(TypeError, match=f"mode must be True or False, not {mode!r}"):
        dropout.train(mode)
    assert dropout.training is True
    assert dropout.train(np.bool_(False)).training is False


@pytest.mark.parametrize("dtype", [int, np.int32, bool, complex, "float33", object, "torch.float32"])
def test_parameters_are_real_numbers(dtype: Any) -> None:
    for make in (lambda: tg.nn.LSTM(2, 3, dtype=dtype), lambda: tg.nn.LayerNorm(3, dtype=dtype)):
        with pytest.raises(DtypeError, match="dtype must be a floating-point type of NumPy"):
            make()


def test_torchs_dtypes_are_not_numpys(torch: Any) -> None:
    with pytest.raises(DtypeError, match=r"dtype must be .* not torch\.float64"):
        tg.nn.Linear(1, 1, dtype=torch.float64)


@pytest.mark.parametrize("rng", [-1, 1.5, "a", np.random])
def test_what_is_no_seed_is_named(rng: Any) -> None:
    for make in (
        lambda: tg.nn.GRU(1, 1, rng=rng),
        lambda: tg.nn.RNNCell(1, 1, rng=rng),
        lambda: tg.nn.Linear(1, 1, rng=rng),
        lambda: tg.nn.Embedding(1, 1, rng=rng),
        lambda: tg.nn.Dropout(rng=rng),
        lambda: tg.nn.init.orthogonal_(tg.tensor([[1.0]]), rng=rng),
        lambda: tg.bptt.Randomized(0.5, rng=rng),
    ):
        with pytest.raises((TypeError, ValueError), match="rng must be a seed, a whole number of 0 or more"):
            make()


def test_modules_in_an_array_would_not_be_found() -> None:
    class Stack(tg.nn.Module):
        def __init__(self) -> None:
            self.layers = np.array([tg.nn.Linear(1, 1), tg.nn.Linear(1, 1)])

    with pytest.raises(TypeError, match=r"Stack\.layers: modules in an array would not be found: put them in a list"):
        Stack()
    holder = tg.nn.Module()
    holder.names = np.array(["a", None], dtype=object)  # what is no module may lie in one


def test_what_was_made_of_a_parameter_is_warned_of() -> None:
    holder = tg.nn.Linear(1, 1, rng=0)
    with pytest.warns(UserWarning, match=r"Linear\.scale is made of a Parameter, and is none itself"):
        holder.scale = tg.nn.Parameter([1.0]) * 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        holder.last = holder.W * 2  # of a parameter that is found
        holder.state = holder(np.ones((1, 1)))


def test_an_error_within_a_property_of_a_layer_is_not_hidden() -> None:
    class Measured(tg.nn.GRU):
        @property
        def size(self) -> int:
            return self.W_hh.sise  # type: ignore[no-any-return]

    with pytest.raises(AttributeError, match="'sise'"):
        Measured(1, 1, rng=0).size  # noqa: B018
    with pytest.raises(AttributeError, match="'Measured' object has no attribute 'nix'"):
        Measured(1, 1, rng=0).nix  # type: ignore[attr-defined] # noqa: B018


# ------------------------------------------------------------------ what fits only in part, and models in several files


def test_values_that_fit_in_part_are_loaded_in_part_when_that_is_asked_for() -> None:
    model, other = nn.Sequential(nn.Linear(2, 3, rng=0), nn.Linear(3, 1, rng=1)), nn.Linear(2, 3, rng=2)
    before = model.state_dict()
    state = {"0.W": other.W.data, "0.b": other.b.data, "2.W": np.ones(3)}
    loaded = model.load_state_dict(state, strict=False)
    assert loaded == (["1.W", "1.b"], ["2.W"]) and loaded.missing == ["1.W", "1.b"]
    assert np.array_equal(model[0].W.data, other.W.data) and np.array_equal(model[1].W.data, before["1.W"])
    assert model.load_state_dict(model.state_dict()) == ([], [])
    with pytest.raises(StateDictError, match=r"0\.W: expected shape"):
        model.load_state_dict({"0.W": np.ones(2)}, strict=False)
    with pytest.raises(StateDictError, match=r"1\.W: missing.*\n.*\n.*2\.W: unexpected"):
        model.load_state_dict(state)


def test_a_model_in_several_files_is_loaded_by_its_index(tmp_path: Any) -> None:
    model = nn.Sequential(nn.Linear(2, 3, rng=0), nn.Linear(3, 1, rng=1))
    state = model.state_dict()
    places = {name: f"model-0000{name[0]}.safetensors" for name in state}
    for file in set(places.values()):
        tg.save({name: state[name] for name in state if places[name] == file}, tmp_path / file)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    model.load_state_dict({name: 0 * array for name, array in state.items()})
    model.load_state_dict(tg.load(index))
    assert all(np.array_equal(model.state_dict()[name], state[name]) for name in state)
    (tmp_path / places["1.W"]).unlink()
    with pytest.raises(CheckpointError, match="model-00001"):
        tg.load(index)
    for text in (
        "[]",
        "{",
        '{"weight_map": {}}',
        '{"weight_map": {"0.W": 3}}',
        '{"weight_map": {"no.W": "model-00000.safetensors"}}',
    ):
        index.write_text(text)
        with pytest.raises(CheckpointError, match=r"index\.json"):
            tg.load(index)


# ------------------------------------------------------------------ copies and pickles


MODULES = {
    **{
        kind: lambda kind=kind: getattr(tg.nn, kind)(3, 4, num_layers=2, dropout=0.5, rng=0)
        for kind in ("RNN", "LSTM", "GRU")
    },
    **{
        kind: lambda kind=kind: getattr(tg.nn, kind)(3, 4, rng=0)
        for kind in ("RNNCell", "LSTMCell", "GRUCell", "Linear")
    },
    "Dropout": lambda: tg.nn.Dropout(0.5, rng=0),
    "LayerNorm": lambda: tg.nn.LayerNorm(3),
    "Sequential": lambda: tg.nn.Sequential(tg.nn.Linear(3, 4, rng=0), tg.nn.Dropout(0.5, rng=1)),
}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("kind", MODULES)
def test_a_copy_computes_and_draws_what_the_module_does(kind, copied):
    model, x = MODULES[kind](), np.ones((5, 2, 3), np.float32)

    def outputs(model):
        given = model(x[0] if kind.endswith("Cell") else x)
        return [
            np.asarray(part.data) for part in (given if isinstance(given, tuple) else (given,)) if hasattr(part, "data")
        ]

    outputs(model)  # what it keeps from a first call, a compiled step say, goes along or is made again
    other = copied(model)
    other.requires_grad_(False)
    assert all(p.requires_grad for p in model.parameters())
    for a, b in zip(outputs(model), outputs(other), strict=True):
        assert np.array_equal(a, b)


def test_a_module_that_holds_a_result_is_not_copied_and_the_error_says_why():
    model = tg.nn.Linear(2, 2, rng=0)
    model.last = model(np.ones((1, 2), np.float32))
    for copied in (copy.deepcopy, pickle.dumps):
        with pytest.raises(GraphError, match=r"only leaves can be copied or pickled.*t\.detach\(\)"):
            copied(model)
