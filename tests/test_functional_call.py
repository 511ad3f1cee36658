"""`functional_call` leaves the module alone: in threads, under an interrupt, and where modules know each other."""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
import threading
from types import FrameType
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn


class Child(nn.Module):
    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.w = nn.Parameter([2.0])

    def forward(self, x: Any) -> Any:
        return x * self.w * self.parent.scale


class Family(nn.Module):
    """Modules in containers, behind methods, functions and partial functions, and a child that knows its parent."""

    def __init__(self) -> None:
        self.scale = nn.Parameter([3.0])
        self.child = Child(self)
        self.listed = [nn.Linear(1, 1, rng=0, dtype=float), {"deep": (nn.Linear(1, 1, rng=1, dtype=float),)}]
        self.method = self.child.forward
        self.closure = lambda x: self.child(x) + self.scale
        self.part = functools.partial(self.child.forward)
        self.same = self.child
        self.calls, self.seen = 0, None

    def forward(self, x: Any) -> Any:
        self.calls += 1
        y = self.child(x) + self.method(x) + self.closure(x) + self.part(x) + self.same(x)
        y = y + self.listed[0](x.reshape(1, 1)) + self.listed[1]["deep"][0](x.reshape(1, 1))
        self.seen = y
        return y


def test_every_way_to_a_parameter_leads_to_what_stands_for_it() -> None:
    model, x = Family(), np.array([1.5])
    names = [name for name, _ in model.named_parameters()]
    tensors = {name: tg.tensor(p.data * 2, requires_grad=True) for name, p in model.named_parameters()}
    before = {id(m): dict(vars(m)) for m in model.modules()}
    y = nn.functional_call(model, tensors, x)
    y.sum().backward()
    assert all(p.grad is None for p in model.parameters())
    doubled = Family()
    doubled.load_state_dict({name: t.data for name, t in tensors.items()})
    doubled(x).sum().backward()
    assert y.data.tolist() == doubled(x).data.tolist()
    for name, p in doubled.named_parameters():
        assert np.allclose(tensors[name].grad, p.grad, rtol=1e-14)
    assert model.calls == 1 and model.seen is y  # what forward keeps, it keeps in the module
    for m in model.modules():
        after = dict(vars(m), calls=0, seen=None) if m is model else dict(vars(m))
        assert after == before[id(m)]
    assert [name for name, _ in model.named_parameters()] == names


def test_a_module_that_forward_keeps_is_the_modules_own() -> None:
    class Chooser(nn.Module):
        def __init__(self) -> None:
            self.layers = [nn.Linear(1, 1, rng=0), nn.Linear(1, 1, rng=1)]
            self.chosen: Any = None

        def forward(self, x: Any) -> Any:
            self.chosen = self.layers[1]
            return self.chosen(x)

    model = Chooser()
    nn.functional_call(model, {"layers.1.W": tg.tensor([[2.0]])}, [[1.0]])
    assert model.chosen is model.layers[1]


def test_threads_share_a_module() -> None:
    layer = nn.Linear(2, 1, rng=0, dtype=float)
    W, b = layer.W, layer.b
    failures: list[Any] = []
    interval = sys.getswitchinterval()

    def work(k: int) -> None:
        try:
            for _ in range(50):
                y = nn.functional_call(layer, {"W": tg.tensor(np.full((2, 1), float(k)))}, [[1.0, 1.0]])
                assert y.item() == 2 * k + b.item()
                assert layer.W is W and [p for _, p in layer.named_parameters()] == [W, b]
        except BaseException as error:
            failures.append(error)

    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not failures


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one that falls into a finaliser
def test_an_interrupt_at_any_line_leaves_no_tensor_of_others_in_the_module() -> None:
    model = nn.Sequential(nn.Linear(1, 1, rng=0), nn.Linear(1, 1, rng=1))
    before = [dict(vars(m)) for m in model.modules()]
    for k in itertools.count():
        count = 0

        def interrupt(frame: FrameType, event: str, _: Any, k: int = k) -> Any:
            nonlocal count
            code = frame.f_code
            if not code.co_filename.endswith(("substitution.py", "module.py", "at_once.py")):
                return None
            if code.co_flags & inspect.CO_GENERATOR:  # while one is closed, Python drops an interrupt
                return None
            count += 1
            if count == k + 1:
                raise KeyboardInterrupt
            return interrupt

        tracing = sys.gettrace()
        sys.settrace(interrupt)
        try:
            nn.functional_call(model, {"0.W": tg.tensor([[1.0]])}, [[1.0]])
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(tracing)
        assert [dict(vars(m)) for m in model.modules()] == before, f"interrupt {k}"
        if count <= k:
            break
    assert k > 50


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("options", [{}, {"fused": False}, {"checkpoint": 2}, {"num_layers": 2, "bidirectional": True}])
def test_the_backward_pass_after_the_call_is_that_of_the_tensors(kind: Any, options: Any) -> None:
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    layer = kind(3, 4, rng=0, dtype=float, **options)
    tensors = {name: tg.tensor(p.data * 0.5, requires_grad=True) for name, p in layer.named_parameters()}
    y = nn.functional_call(layer, tensors, x)[0]
    for p in layer.parameters():
        p.data = p.data * 7  # the module is trained on meanwhile
    y.sum().backward()
    layer.load_state_dict({name: t.data for name, t in tensors.items()})
    layer(x)[0].sum().backward()
    for name, p in layer.named_parameters():
        assert np.allclose(tensors[name].grad, p.grad, rtol=1e-10, atol=1e-12), name
