"""What is in force: settings end with their block, whatever the order in which blocks are left, and however."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.engine import modes
from tinygrad_rnn.engine.modes import Mode, mode

SETTINGS: dict[str, Callable[[], Any]] = {
    "no_grad": tg.no_grad,
    "enable_grad": tg.enable_grad,
    "anomaly": tg.anomaly,
    "scope": lambda: tg.scope("rnn", 3),
}


def in_force() -> tuple[bool, bool, Any]:
    return mode().recording, mode().anomaly, mode().step


UNTOUCHED = (True, False, None)


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    assert in_force() == UNTOUCHED
    yield
    gc.collect()
    assert in_force() == UNTOUCHED
    assert mode().in_force == ()


def test_settings_left_in_any_order_leave_nothing_and_take_only_their_own() -> None:
    for names in itertools.product(SETTINGS, repeat=3):
        for order in itertools.permutations(range(3)):
            opened = [SETTINGS[name]() for name in names]
            for setting in opened:
                setting.__enter__()
            open_still = list(range(3))
            for k in order:
                opened[k].__exit__(None, None, None)
                open_still.remove(k)
                alone = [SETTINGS[names[j]]() for j in open_still]  # what those still open would give by themselves
                found = in_force()
                for setting in opened:
                    setting.__exit__(None, None, None)
                for setting in alone:
                    setting.__enter__()
                assert found == in_force()
                for setting in alone:
                    setting.__exit__(None, None, None)
                for j in open_still:
                    opened[j].__enter__()
            assert in_force() == UNTOUCHED


def test_a_step_that_is_moved_on_within_a_block_stays_when_the_block_is_left() -> None:
    with tg.scope("rnn") as at:
        at(1)
        with tg.no_grad():
            at(2)
        assert mode().step == ("rnn", 2) and mode().recording
    assert in_force() == UNTOUCHED


@pytest.mark.slow
@pytest.mark.parametrize("within", SETTINGS)
@pytest.mark.parametrize("around", SETTINGS)
def test_a_generator_let_go_within_a_later_block_changes_nothing_of_it(around: str, within: str) -> None:
    def steps() -> Iterator[int]:
        with SETTINGS[within]():
            yield 1
            yield 2

    with SETTINGS[around]():
        alone = in_force()
    it = steps()
    next(it)
    with SETTINGS[around]():
        del it
        assert in_force() == alone


def test_tasks_have_settings_of_their_own() -> None:
    seen: dict[str, list[tuple[bool, bool, Any]]] = {}

    async def task(name: str, waits: int) -> None:
        with SETTINGS[name]():
            seen[name] = []
            for _ in range(waits):
                seen[name].append(in_force())
                await asyncio.sleep(0)

    async def all_at_once() -> None:
        await asyncio.gather(*(task(name, waits) for name, waits in zip(SETTINGS, (3, 1, 4, 2), strict=True)))

    asyncio.run(all_at_once())
    for name, found in seen.items():
        with SETTINGS[name]():
            assert set(found) == {in_force()}


def test_a_setting_shared_by_threads_belongs_to_each() -> None:
    shared = tg.no_grad()
    inside, leave = threading.Event(), threading.Event()
    found = []

    def other() -> None:
        with shared:
            inside.set()
            leave.wait(10)
            found.append(tg.is_grad_enabled())
        found.append(tg.is_grad_enabled())

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    with shared, shared:
        pass
    assert tg.is_grad_enabled()
    leave.set()
    thread.join()
    assert found == [False, True]


def test_a_scope_that_has_ended_tags_nothing_any_more() -> None:
    with tg.scope("rnn") as at:
        at(2)
    at(3)
    assert mode().step is None
    with tg.scope("outer") as outer, tg.scope("inner", 1) as inner:
        outer(4)
        assert str(mode().step) == "inner t=1"
        inner(2)
        assert str(mode().step) == "inner t=2"
    with tg.scope("outer") as outer:
        with tg.scope("inner", 1):
            outer(4)
        assert str(mode().step) == "outer t=4"


@tg.no_grad
def _predicted(x: Any) -> Any:
    return x * 2


def program() -> None:
    """Every setting, as a block, as a decorator and within the library."""
    x = tg.tensor([1.0], requires_grad=True)
    with tg.scope("mine") as at:
        at(1)
        with tg.no_grad(), tg.enable_grad():
            tg.grad(x * x, x, create_graph=True)
        with tg.anomaly():
            _predicted(x)


def test_after_an_interrupt_at_any_line_and_call_nothing_is_left() -> None:
    """Once at each place where a line or a function begins in the settings' own file."""
    for k in itertools.count():
        count = 0

        def interrupt(frame: FrameType, event: str, _: Any, k: int = k) -> Any:
            nonlocal count
            if not frame.f_code.co_filename.endswith(("modes.py", "contextlib.py")):
                return None
            count += 1
            if count == k + 1:
                raise KeyboardInterrupt
            return interrupt

        before = sys.gettrace()
        sys.settrace(interrupt)
        try:
            program()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        assert in_force() == UNTOUCHED, f"interrupt {k}"
        if count <= k:
            break
    assert k > 50


@pytest.mark.parametrize("name", SETTINGS)
def test_an_interrupted_entry_is_undone_also_where_its_traceback_is_kept(name: str, monkeypatch: Any) -> None:
    """As a notebook keeps it, and with it everything that would otherwise be let go."""

    class Interrupted:
        """The variable that holds the mode: Ctrl-C comes as soon as it has been set."""

        calls = 0

        def set(self, value: Any) -> None:
            real.set(value)
            self.calls += 1
            if self.calls == 1:
                raise KeyboardInterrupt

    real = modes._mode
    monkeypatch.setattr(modes, "_mode", Interrupted())
    with pytest.raises(KeyboardInterrupt) as kept, SETTINGS[name]():
        pytest.fail("entered")
    assert in_force() == UNTOUCHED
    assert kept.tb is not None


def test_without_brackets_above_a_function() -> None:
    def inside() -> tuple[bool, bool, Any]:
        return in_force()

    for setting in (tg.no_grad, tg.enable_grad, tg.anomaly):
        bare, called = setting(inside), setting()(inside)
        with setting():
            assert bare() == called() == in_force()
        assert bare.__name__ == "inside"
        assert in_force() == UNTOUCHED

    class Model:
        @tg.no_grad
        def predict(self) -> bool:
            return tg.is_grad_enabled()

        @staticmethod
        @tg.anomaly
        def watched() -> bool:
            return mode().anomaly

        @tg.no_grad
        def numbers(self) -> Iterator[bool]:
            yield tg.is_grad_enabled()

    assert not Model().predict()
    assert Model.watched()
    assert list(Model().numbers()) == [False]
    assert [tg.is_grad_enabled() for _ in Model().numbers()] == [True]


@pytest.mark.parametrize("name", ["no_grad", "enable_grad", "anomaly"])
def test_a_block_without_parentheses_says_what_is_missing(name: str) -> None:
    entered = False
    with pytest.raises(TypeError, match=rf"write the parentheses, with tg\.{name}\(\):"), getattr(tg, name):
        entered = True
    assert not entered and in_force() == UNTOUCHED
    assert getattr(tg, name).__name__ == name and ">>> import" in getattr(tg, name).__doc__


def test_a_scope_has_a_name() -> None:
    for layer in (lambda x: x, 3, None):  # a function: `@tg.scope` above it
        with pytest.raises(TypeError, match="scope: layer must be a name"):
            tg.scope(layer)  # type: ignore[arg-type]


def test_what_cannot_be_decorated_is_refused() -> None:
    class Model: ...

    for setting in (tg.no_grad, tg.enable_grad, tg.anomaly):
        for wrong in (False, 3, "x", tg.tensor(1.0)):
            with pytest.raises(TypeError, match="only a function can be decorated"):
                setting(wrong)
        with pytest.raises(TypeError, match="of a class, decorate the methods"):
            setting(Model)
        with pytest.raises(TypeError, match="of a class, decorate the methods"):
            setting()(Model)


def test_the_mode_that_nothing_changed_is_shared() -> None:
    assert isinstance(mode(), Mode)
    assert mode() is mode()
