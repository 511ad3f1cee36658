"""What a Tensor becomes: numbers and arrays never lose a gradient unasked; leaves are copied and pickled."""

from __future__ import annotations

import array as arrays
import copy
import ctypes
import json
import math
import operator
import pickle
import re
import statistics
import struct
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import GraphError, NotDifferentiableError


def number(value: float = 2.25) -> tg.Tensor:
    return tg.tensor(value, requires_grad=True)


def set_item(t: Any, dtype: Any = float, index: Any = 1) -> float:
    a = np.zeros(3, dtype)
    a[index] = t
    return float(a.flat[1].real)


def set_2d(t: Any) -> float:
    a = np.zeros((2, 2))
    a[0, 1] = t
    return float(a[0, 1])


def set_flat(t: Any) -> float:
    a = np.zeros(3)
    a.flat[1] = t
    return float(a[1])


def fill(t: Any) -> float:
    a = np.zeros(3)
    a.fill(t)
    return float(a[1])


def put(t: Any) -> float:
    a = np.zeros(3)
    a.put([1], [t])
    return float(a[1])


DOORS: dict[str, Callable[[Any], Any]] = {
    "float": float,
    "int": int,
    "complex": lambda t: complex(t).real,
    "array[i] = t": set_item,
    "array[i, j] = t": set_2d,
    "array[slice] = t": lambda t: set_item(t, index=slice(0, 2)),
    "array[mask] = t": lambda t: set_item(t, index=np.array([False, True, False])),
    "integer array[i] = t": lambda t: set_item(t, dtype=int),
    "float32 array[i] = t": lambda t: set_item(t, dtype=np.float32),
    "complex array[i] = t": lambda t: set_item(t, dtype=complex),
    "flat": set_flat,
    "fill": fill,
    "put": put,
    "fromiter": lambda t: np.fromiter((x for x in [t]), float)[0],
    "array of a list": lambda t: np.array([t, t])[0],
    "array of nested lists": lambda t: np.array([[t, 1.0], [2.0, t]])[0, 0],
    "asarray": lambda t: np.asarray(t)[()],
    "asarray with a dtype": lambda t: np.asarray(t, np.float32)[()],
    "float64": lambda t: np.float64(t),
    "float32": lambda t: np.float32(t),
    "full": lambda t: np.full(3, t)[0],
    "vectorize": lambda t: np.vectorize(lambda x: x)(t)[()],
    "frompyfunc of an array": lambda t: np.asarray(t).item(),
    "math.sqrt": lambda t: math.sqrt(t) ** 2,
    "math.fsum": lambda t: math.fsum([t]),
    "math.floor": math.floor,
    "math.hypot": lambda t: math.hypot(t, 0.0),
    "statistics": lambda t: statistics.fmean([t]),
    "struct": lambda t: struct.unpack("d", struct.pack("d", t))[0],
    "array.array": lambda t: arrays.array("d", [t])[0],
    "ctypes": lambda t: ctypes.c_double(t).value,
    "tolist": lambda t: t.tolist(),
    "json": lambda t: json.loads(json.dumps(t.tolist())),
    "dlpack": lambda t: np.from_dlpack(t)[()],
}


UNNAMED = {"flat", "struct"}  # refused in words of their own, which leave ours out


@pytest.mark.parametrize("name", DOORS)
def test_no_door_lets_a_gradient_out_unasked(name: str) -> None:
    for t in (number(), number() * 1.0):
        with pytest.raises((TypeError, ValueError, struct.error)) as caught:
            DOORS[name](t)
        error: BaseException | None = caught.value
        if not isinstance(error, NotDifferentiableError):  # NumPy says that it got no number, and why
            error = error.__cause__ or error.__context__
        if name in UNNAMED:
            continue
        assert isinstance(error, NotDifferentiableError)
        assert "lose the gradient" in str(error) and "detach()" in str(error)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_where_none_is_at_stake_all_are_open(door: Callable[[Any], Any]) -> None:
    x = number()
    for t in (tg.tensor(2.25), x.detach(), (x * 1).detach()):
        assert door(t) in (2.25, 2)
    with tg.no_grad():
        assert door(x) in (2.25, 2)
        assert door(x * 1) in (2.25, 2)


def test_the_ways_out() -> None:
    x = number()
    y = x * 2
    for t in (y, x + x):
        assert t.item() == float(t.detach()) == t.detach().tolist() == 4.5
        assert f"{t:.2f}" == "4.50"
        assert bool(t)
        assert not t > 5
    y.backward()
    assert x.grad == 2


def test_results_collected_in_a_plain_array_do_not_lose_their_gradient_behind_another_term() -> None:
    x = tg.tensor([3.0, 5.0], requires_grad=True)
    res = np.zeros(2)
    with pytest.raises((TypeError, ValueError)):
        for i in range(2):
            res[i] = x[i] * x[0]
    assert res.tolist() == [0, 0]
    (np.stack([x[i] * x[0] for i in range(2)]).sum() + x.sum()).backward()
    assert x.grad.tolist() == [12, 4]


def test_round_is_numpys() -> None:
    x = number(2.344)
    assert round(x, 2).item() == 2.34 and round(x).item() == 2
    assert isinstance(round(x, 1), tg.Tensor)
    assert round(tg.tensor([1.26, 2.0]), 1).tolist() == [1.3, 2]


# ------------------------------------------------------------------ copies and pickles

COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {k}": lambda t, k=k: pickle.loads(pickle.dumps(t, k)) for k in range(2, pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize(
    "t",
    [
        tg.tensor([1.0, 2.0], requires_grad=True, name="w"),
        tg.tensor([[1, 2]], np.int32),
        tg.tensor(1.5, np.float32, requires_grad=True),
        tg.tensor(np.zeros((0, 2))),
        tg.nn.Parameter([1.0], name="W_xh"),
        (tg.tensor([1.0, 2.0], requires_grad=True) * 2).detach(),
        tg.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True).detach()[:, 1],
    ],
    ids=repr,
)
def test_leaves_are_copied(t: Any, copied: Callable[[Any], Any]) -> None:
    new = copied(t)
    assert type(new) is type(t) and new is not t
    assert (new.dtype, new.shape, new.requires_grad, new.name) == (t.dtype, t.shape, t.requires_grad, t.name)
    assert new.is_leaf and new.data.tolist() == t.data.tolist()
    if new.size:
        new.data[...] = 9
        assert t.data.tolist() != new.data.tolist()


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_frozen_parameter_and_a_subclass_stay_so(copied: Callable[[Any], Any]) -> None:
    frozen = tg.nn.Parameter([1.0])
    frozen.requires_grad = False
    assert not copied(frozen).requires_grad
    laid_out = tg.nn.Embedding(2, 3, rng=0).W
    assert laid_out.layout is not None and copied(laid_out).layout == laid_out.layout
    noted = Noted([1.0])
    noted.note = ["from a file"]
    assert copied(noted).note == ["from a file"]


class Noted(tg.nn.Parameter):
    note: Any


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_results_would_need_their_graph(copied: Callable[[Any], Any]) -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    for result in (w * 2, [w, w * 2], {"h": np.tanh(w)}):
        if copied is copy.copy and not isinstance(result, tg.Tensor):
            continue
        with pytest.raises(GraphError, match=r"only leaves can be copied or pickled.*t\.detach\(\)"):
            copied(result)


class Model(tg.nn.Module):
    def __init__(self) -> None:
        self.embedding = tg.nn.Embedding(5, 3, rng=0)
        self.layers = [tg.nn.LSTM(3, 4, num_layers=2, rng=1), tg.nn.GRU(4, 4, rng=2), tg.nn.RNN(4, 4, rng=2)]
        self.norm, self.drop, self.head = tg.nn.LayerNorm(4), tg.nn.Dropout(0.5, rng=0), tg.nn.Linear(4, 5, rng=3)

    def forward(self, ids: Any) -> Any:
        x = self.embedding(ids)
        for layer in self.layers:
            x, _ = layer(x)
        return self.head(self.drop(self.norm(x)))


@pytest.mark.parametrize(
    "optimizer_class", [tg.optim.SGD, tg.optim.Adagrad, tg.optim.RMSprop, tg.optim.Adam, tg.optim.AdamW]
)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))], ids=["deepcopy", "pickle"])
def test_a_model_and_its_optimizer_go_on_together(copied: Callable[[Any], Any], optimizer_class: Any) -> None:
    ids = np.array([[0, 1], [2, 3], [4, 0]])

    def step(model: Any, optimizer: Any) -> float:
        loss = tg.nn.cross_entropy(model(ids), ids)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    model = Model()
    optimizer = optimizer_class(model.parameters(), lr=0.01)
    step(model, optimizer)
    again, its_optimizer = copied((model, optimizer))
    assert [a is b for a, b in zip(again.parameters(), its_optimizer.parameters, strict=True)] == [True] * len(
        optimizer.parameters
    )
    for _ in range(3):
        assert step(model, optimizer) == step(again, its_optimizer)
    assert not any(
        np.shares_memory(a.data, b.data) for a, b in zip(model.parameters(), again.parameters(), strict=True)
    )


def test_plots_of_what_needs_no_gradient() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    axes = pyplot.figure().gca()
    with tg.no_grad():
        without = x * 2
    for t in (tg.tensor([1.0, 2.0]), (x * 2).detach(), tg.tensor([1, 2]), without):
        (line,) = axes.plot(t)
        assert np.array_equal(line.get_ydata(), t.data)
        (line,) = axes.plot([0, 1], t, "o")
        axes.scatter(t, t)
    for t in (x, x * 2):
        with pytest.raises((NotDifferentiableError, GraphError), match=r"t\.detach\(\)"):
            axes.plot(t)
    pyplot.close()


def test_other_libraries_get_the_memory_or_a_copy() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    for t in (tg.tensor([1.0, 2.0]), x.detach(), tg.tensor([1, 2]), tg.tensor([1.0, 2.0])[:1]):
        assert np.from_dlpack(t).tolist() == t.data.tolist()
        assert t.__dlpack_device__() == np.zeros(1).__dlpack_device__()
    y = x.detach()
    view = np.from_dlpack(y)
    z = (x * y).sum()
    assert not np.shares_memory(view, z.record.inputs[0].array)
    z.backward()
    assert x.grad.tolist() == [1, 2]


@pytest.mark.oracle
def test_torch_takes_tensors(torch: Any) -> None:
    t = tg.tensor([1.0, 2.0])
    assert torch.from_dlpack(t).tolist() == torch.as_tensor(t).tolist() == [1, 2]
    with pytest.raises((TypeError, RuntimeError), match="detach"):
        torch.from_dlpack(tg.tensor([1.0], requires_grad=True))


# ------------------------------------------------------------------ names that PyTorch has


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda t: t.view(-1), "reshape"),
        (lambda t: t.unsqueeze(0), r"np\.expand_dims"),
        (lambda t: t.permute(1, 0), "transpose"),
        (lambda t: t.to("cpu"), "astype"),
        (lambda t: t.cuda(), "CPU's memory"),
        (lambda t: t.cpu(), "CPU's memory"),
        (lambda t: t.numel(), r"t\.size"),
        (lambda t: t.dim(), r"t\.ndim"),
        (lambda t: t.clone(), r"t \* 1"),
        (lambda t: t.double(), "astype"),
        (lambda t: t.expand(3, 2), r"np\.broadcast_to"),
        (lambda t: t.sin(), r"np\.sin\(t"),
        (lambda t: t.flip(0), r"np\.flip\(t"),
        (lambda t: t.zero_(), "no_grad"),
        (lambda t: t.fill(0), "no_grad"),
        (lambda t: t.sub_(1), "no_grad"),
        (lambda t: t.norm(), r"np\.linalg\.norm"),
        (lambda t: t.mm(t), "t @ other"),
        (lambda t: t.masked_fill(True, 0), r"np\.where"),
    ],
)
def test_names_from_elsewhere_are_answered_with_ours(use: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(AttributeError, match=f"a Tensor has no '.*': write .*{words}"):
        use(tg.tensor([[1.0, 2.0]], requires_grad=True))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("manual_seed", "rng=0"),
        ("zeros", r"tg\.tensor\(np\.zeros"),
        ("randn", r".*standard_normal"),
        ("cat", r"np\.concatenate"),
        ("sin", r"np\.sin\(\.\.\.\)"),
        ("argmax", r"np\.argmax"),
    ],
)
def test_functions_from_elsewhere_too(name: str, words: str) -> None:
    with pytest.raises(AttributeError, match=f"^module 'tinygrad_rnn' has no attribute '{name}': write {words}"):
        getattr(tg, name)
    assert not hasattr(tg, "sahpe") and name not in dir(tg)


def test_advice_about_functions_is_about_what_there_is() -> None:
    for advice in vars(tg)["_INSTEAD"].values():
        for place in re.findall(r"(?:tg|np)\.[a-z0-9_.]*[a-z0-9_]", advice):
            assert operator.attrgetter(place.partition(".")[2])({"tg": tg, "np": np}[place[:2]])


def test_a_name_that_nobody_has() -> None:
    with pytest.raises(AttributeError, match=r"^a Tensor has no 'sahpe'$"):
        tg.tensor(1.0).sahpe  # noqa: B018
    assert not hasattr(tg.tensor(1.0), "__array_interface__")
    assert sys.getrefcount(tg.tensor(1.0)) < 5


METHODS = (
    "sum mean prod var std max min ptp argmax argmin any all softmax log_softmax logsumexp squeeze sort cumsum argsort"
)


@pytest.mark.parametrize("method", METHODS.split())
def test_dim_is_called_axis(method: str) -> None:
    t = tg.tensor([[1.0, 2.0]], requires_grad=True)
    with pytest.raises(TypeError, match=rf"{method}\(dim=...\): the name is NumPy's here, axis="):
        getattr(t, method)(dim=0)
    assert getattr(t, method)(axis=0) is not None


def test_keepdim_is_called_keepdims_and_other_errors_stay() -> None:
    t = tg.tensor([[1.0, 2.0]], requires_grad=True)
    with pytest.raises(TypeError, match="keepdims="):
        t.sum(0, keepdim=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'axes'"):
        t.sum(axes=0)
