"""Ctrl-C at any line of an update: all of it has happened, or nothing."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg

nn, optim = tg.nn, tg.optim


def interrupted(act: Callable[[], Any], line: int) -> bool:
    """Whether Ctrl-C at that line, counted from the call on, ended the call before it was done."""
    count = 0

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal count
        if event == "line":
            count += 1
            if count == line:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    gc.disable()  # what the collector calls would swallow it
    try:
        with np.errstate():  # Ctrl-C may come between a block of another errstate and its end: not for the next test
            sys.settrace(trace)
            act()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
        gc.enable()
    return False


def outcomes(make: Callable[[], tuple[Callable[[], Any], Callable[[], Any]]]) -> Iterator[tuple[Any, Any, Any]]:
    """For Ctrl-C at every line: the state before, the state found, and the state that the whole call gives."""
    act, state = make()
    before = state()
    act()
    after = state()
    line = 1
    while True:
        act, state = make()
        if not interrupted(act, line):
            assert line > 5 and same(state(), after)
            return
        yield before, state(), after
        line += 1


def same(a: Any, b: Any) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def model() -> Any:
    m = nn.Sequential(nn.Linear(2, 3, rng=0), nn.Linear(3, 1, rng=1))
    m(np.ones((4, 2))).sum().backward()
    return m


def grads(m: Any) -> dict[str, Any]:
    return {name: "none" if p.grad is None else p.grad.copy() for name, p in m.named_parameters()}


def a_step(kind: str, **options: Any) -> Any:
    def make() -> Any:
        m = model()
        optimizer = getattr(optim, kind)(m.parameters(), **options)
        optimizer.step()
        return optimizer.step, lambda: m.state_dict() | optimizer.state_dict()

    return make


def clipping(clip: Callable[..., Any]) -> Any:
    def make() -> Any:
        m = model()
        return lambda: clip(m.parameters(), 0.01), lambda: grads(m)

    return make


def loading() -> Any:
    m, other = model(), model()
    other.load_state_dict({name: value + 1 for name, value in other.state_dict().items()})
    state = other.state_dict()
    return lambda: m.load_state_dict(state), m.state_dict


def loading_an_optimizer() -> Any:
    m = model()
    fresh, used = optim.Adam(m.parameters()), optim.Adam(m.parameters(), lr=0.5)
    used.step()
    state = used.state_dict()
    return lambda: fresh.load_state_dict(state), fresh.state_dict


def loading_from_torch() -> Any:
    lstm, other = nn.LSTM(2, 3, rng=0), nn.LSTM(2, 3, rng=1)
    state = tg.io.to_torch(other)
    return lambda: tg.io.from_torch(lstm, state), lstm.state_dict


def forgetting_gradients() -> Any:
    m = model()
    return m.zero_grad, lambda: grads(m)


def an_epoch() -> Any:
    optimizer = optim.SGD(model().parameters(), lr=1.0)
    schedule = optim.ExponentialLR(optimizer, 0.5)
    return schedule.step, lambda: {"lr": optimizer.lr, "epoch": schedule.epoch}


def loading_a_schedule() -> Any:
    optimizer = optim.SGD(model().parameters(), lr=1.0)
    schedule = optim.ExponentialLR(optimizer, 0.5)
    state = {"epoch": 2, "initial_lr": 8.0}
    return lambda: schedule.load_state_dict(state), schedule.state_dict


def switching_to_eval() -> Any:
    m = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5)))
    return m.eval, lambda: {str(k): module.training for k, module in enumerate(m.modules())}


def freezing() -> Any:
    m = model()
    return lambda: m.requires_grad_(False), lambda: {n: p.requires_grad for n, p in m.named_parameters()}


UPDATES = {
    "SGD": a_step("SGD", lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adagrad": a_step("Adagrad"),
    "RMSprop": a_step("RMSprop"),
    "AdamW": a_step("AdamW"),
    "clip_grad_norm_": clipping(optim.clip_grad_norm_),
    "clip_grad_value_": clipping(optim.clip_grad_value_),
    "load_state_dict": loading,
    "load_state_dict of an optimizer": loading_an_optimizer,
    "load_state_dict of a schedule": loading_a_schedule,
    "from_torch": loading_from_torch,
    "zero_grad": forgetting_gradients,
    "an epoch of a schedule": an_epoch,
    "eval": switching_to_eval,
    "requires_grad_": freezing,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", UPDATES)
def test_an_interrupted_update_is_whole_or_has_not_begun(name: str) -> None:
    for before, found, after in outcomes(UPDATES[name]):
        assert same(found, before) or same(found, after)


def test_the_test_would_notice_half_an_update() -> None:
    def make() -> Any:
        m = model()

        def half_way() -> None:
            for p in m.parameters():
                p.data = p.data + 1

        return half_way, m.state_dict

    assert any(not same(found, before) and not same(found, after) for before, found, after in outcomes(make))


def test_a_step_that_fails_has_not_begun() -> None:
    class Fails(optim.SGD):
        def update(self, k: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
            if k == 2:
                raise ArithmeticError("no")
            return super().update(k, p, g)

    m = model()
    optimizer = Fails(m.parameters(), lr=0.1, momentum=0.9)
    before = m.state_dict() | optimizer.state_dict()
    with pytest.raises(ArithmeticError):
        optimizer.step()
    assert same(m.state_dict() | optimizer.state_dict(), before)
