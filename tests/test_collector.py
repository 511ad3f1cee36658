"""Full garbage collections wait while a long tape is alive, and nothing stays changed after it."""

import gc
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.autograd.tensor import Tensor
from tinygrad_rnn.engine import collector
from tinygrad_rnn.engine.collector import EVERY, PATIENCE


@pytest.fixture(autouse=True)
def settings_are_put_back() -> Iterator[None]:
    before, enabled = gc.get_threshold(), gc.isenabled()
    yield
    assert (gc.get_threshold(), gc.isenabled()) == (before, enabled)
    gc.set_threshold(*before)


def chain(records: int) -> Tensor:
    x = tg.tensor(1.0, requires_grad=True)
    for _ in range(records):
        x = -x
    return x


def full() -> int:
    return gc.get_threshold()[2]


@pytest.mark.parametrize("end", ["del", "backward"])
def test_the_collector_waits_while_the_tape_is_alive(end: str) -> None:
    before = gc.get_threshold()
    y = chain(4 * EVERY)
    assert gc.get_threshold() == (*before[:2], 4 * PATIENCE)  # young collections go on as ever
    if end == "backward":
        y.backward()
    del y
    assert gc.get_threshold() == before


def test_a_sweep_gives_the_collector_back_while_the_result_is_still_held() -> None:
    before = full()
    y = chain(4 * EVERY)
    y.backward()
    assert full() <= max(before, PATIENCE)  # the last record alone may be a milestone, and lives with its tensor
    del y


def test_a_short_tape_leaves_the_collector_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "set_threshold", lambda *_: pytest.fail("touched"))
    chain(EVERY // 2).backward()


@pytest.mark.parametrize("where", ["step", "rule"])
def test_an_exception_leaves_nothing_changed(where: str) -> None:
    class Faulty(tg.Op):
        def forward(self, x: np.ndarray) -> np.ndarray:
            if where == "step":
                raise RuntimeError("planted")
            return x * 2

        def vjp(self, g: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
            raise RuntimeError("planted")

    before = full()
    with pytest.raises(RuntimeError, match="planted") as caught:
        y = chain(3 * EVERY)
        assert full() > before
        Faulty()(y).backward()
    del y, caught
    sys.last_exc = None
    assert full() == before


def test_the_users_own_settings_are_theirs() -> None:
    before = gc.get_threshold()
    try:
        for own in (0, 10_000):  # a full collection each time; hardly any
            gc.set_threshold(*before[:2], own)
            y = chain(3 * EVERY)
            assert full() == own
            del y
            assert full() == own
        gc.set_threshold(*before)
        y = chain(3 * EVERY)
        gc.set_threshold(500, 5, 7)  # while the tape is alive
        del y
        assert gc.get_threshold() == (500, 5, 7)
        gc.disable()
        y = chain(3 * EVERY)
        assert not gc.isenabled()
        del y
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.set_threshold(*before)
        collector._settle()


@pytest.mark.slow
def test_threads_record_long_tapes_at_once() -> None:
    before, seen = full(), []

    def work() -> None:
        for _ in range(3):
            y = chain(3 * EVERY)
            seen.append(full())
            del y

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(seen) > before
    assert full() == before
    assert not collector._alive


def test_cycles_of_young_garbage_are_still_found() -> None:
    """Garbage in cycles made beside a long tape is collected as ever."""

    class Node:
        pass

    y = chain(4 * EVERY)
    alive = []
    for _ in range(20_000):
        node = Node()
        node.me = node
        alive.append(0)
    count = sum(type(thing) is Node for thing in gc.get_objects())
    assert count < 8000
    del y
