"""What a user's own ops, rules, hooks and threads can do to a tape: nothing that makes a gradient silently wrong."""

from __future__ import annotations

import datetime
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DtypeError, ShapeError


def leaf(*values: float) -> tg.Tensor:
    return tg.tensor(np.array(values), requires_grad=True)


def op_with(forward: Callable[..., Any], vjp: Callable[..., Any] = lambda g, y, *xs: g) -> tg.Op:
    class Own(tg.Op):
        def forward(self, *xs: Any) -> Any:
            return forward(*xs)

        def vjp(self, g: Any, y: Any, *xs: Any) -> Any:
            return vjp(g, y, *xs)

    return Own()


# ------------------------------------------------------------------ writing into what others rely on


def _write(a: Any) -> Any:
    a[...] = 0
    return a


def _write_through_a_view(a: Any) -> Any:
    a[:].reshape(-1)[0] = 0
    return a


WRITES = {"an entry": _write, "a view": _write_through_a_view, "out=": lambda a: np.maximum(a, 0, out=a)}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("made", ["leaf", "result", "constant", "operand", "whole sequence"])
def test_a_forward_cannot_write_into_its_input(made: str, write: Callable[[Any], Any]) -> None:
    x = leaf(-2.0, 0.69)
    given = {
        "leaf": x,
        "result": np.sin(x),
        "constant": tg.tensor([1.0, 2.0]),
        "operand": np.array([1.0, 2.0]),
        "whole sequence": tg.nn.RNN(1, 2, rng=0, dtype=float)(np.ones((2, 1)))[0],
    }[made]
    with pytest.raises(ValueError, match="read-only: make a new array") as caught:
        op_with(lambda a, b: write(b))(x, given)
    assert not isinstance(caught.value, ShapeError)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_rule_cannot_write_into_what_it_is_given(which: int, write: Callable[[Any], Any]) -> None:
    h = leaf(-1.0, 2.0)
    y = op_with(lambda a: a * 1.0, lambda *given: write(given[which]))(h * 1.0)
    with pytest.raises(ValueError, match="read-only"):
        ((y + h) ** 2).sum().backward()


def test_a_rule_per_input_of_several_outputs_cannot_either() -> None:
    class Both(tg.Op):
        outputs = 2

        def forward(self, x: Any) -> Any:
            return x * 2, x * 3

        def vjp_x(self, g: Any, y: Any, x: Any) -> Any:
            g[1][...] = 0
            return g[0]

    first, second = Both()(leaf(1.0, 2.0))
    with pytest.raises(ValueError, match="read-only"):
        (first + second).sum().backward()


def test_what_an_op_gave_cannot_be_changed_by_it_later() -> None:
    buffer = np.zeros((2, 2))

    def into_buffer(x: Any) -> Any:
        np.multiply(x, 2, out=buffer[0])
        return buffer[0]

    x = leaf(1.0, 2.0)
    own = op_with(into_buffer, lambda g, y, x: g * 2)
    (own(x) * own(x + 1)).sum().backward()
    assert x.grad.tolist() == [2 * 4 + 2 * 2, 2 * 6 + 2 * 4]

    def rule(g: Any, y: Any, x: Any) -> Any:
        np.multiply(g, 2, out=buffer[0])
        return buffer[0]

    x = leaf(1.0, 2.0)
    own = op_with(lambda x: x * 2, rule)
    (own(x) * 3 + own(x) * 5).sum().backward()
    assert x.grad.tolist() == [16, 16]


def test_nor_where_it_gave_the_buffer_itself() -> None:
    buffer = np.zeros(2)
    own = op_with(lambda x: np.multiply(x, 2, out=buffer), lambda g, y, x: g * 2)
    x = leaf(1.0, 2.0)
    own(x)
    with pytest.raises(ValueError, match="read-only"):
        own(x + 1)


@pytest.mark.parametrize("kind", ["leaf", "used leaf", "result", "detached", "constant"])
def test_the_array_within_a_tensor_is_no_way_around(kind: str) -> None:
    x = leaf(1.0, 2.0)
    x * 1
    t = {"leaf": leaf(1.0, 2.0), "used leaf": x, "result": x * 2, "detached": (x * 2).detach(), "constant": x.detach()}[
        kind
    ]
    for array in (t.array, t.array[:], t.array.reshape(1, 2)):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 5


def test_a_view_of_data_handed_out_is_cut_off_once_the_leaf_is_used() -> None:
    x = leaf(1.0, 2.0)
    data = x.data
    views = [data[:], x.array[:], data.reshape(1, 2)[0]]
    views[0][0] = 3
    y = (x * x).sum()
    for view in views:
        view[...] = 9
    with pytest.raises(ValueError, match="read-only"):
        data[0] = 9
    y.backward()
    assert x.grad.tolist() == [6, 4]
    assert x.data.tolist() == [3, 2]


# ------------------------------------------------------------------ giving what is no gradient

NO_NUMBERS: dict[str, Any] = {
    "a date": np.array([datetime.datetime(2026, 1, 1)] * 2, dtype="M8[s]"),
    "a duration": np.array([1, 2], "m8[s]"),
    "strings": np.array(["1", "2"]),
    "bytes": np.array([b"1", b"2"]),
    "None": np.array([None, None]),
    "objects": np.array([1.0, 2.0], object),
    "complex": np.array([1 + 1j, 2]),
    "records": np.array([(1.0,), (2.0,)], dtype=[("a", float)]),
    "masked": np.ma.masked_array([1.0, 2.0], [True, False]),
}


@pytest.mark.parametrize("wrong", NO_NUMBERS.values(), ids=NO_NUMBERS)
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_that_gives_no_real_numbers_is_refused(wrong: Any, create_graph: bool) -> None:
    for tensor in (0, 1):
        x = leaf(1.0, 2.0)
        y = x * 3
        (x, y)[tensor].register_hook(lambda g: wrong)
        with pytest.raises(DtypeError, match=r"a hook of .* returned (dtype|a masked)"):
            tg.grad((y * y).sum(), x, create_graph=create_graph)
        assert x.grad is None


@pytest.mark.parametrize("wrong", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_an_op_that_gives_no_real_numbers_is_refused(wrong: Any) -> None:
    with pytest.raises(DtypeError, match=r"forward of op own returned (dtype|a masked)"):
        op_with(lambda x: wrong)(leaf(1.0, 2.0))
    y = op_with(lambda x: x * 1, lambda g, y, x: wrong)(leaf(1.0, 2.0))
    with pytest.raises(DtypeError, match=r"the rule of op own returned (dtype|a masked)"):
        y.sum().backward()


def test_what_a_hook_may_give() -> None:
    for given in ([2.0, 2.0], np.array([2, 2]), np.array([2, 2], np.float32), tg.tensor([2.0, 2.0]), [True, True]):
        x = leaf(1.0, 2.0)
        x.register_hook(lambda g, given=given: given)
        (x * 3).sum().backward()
        assert x.grad.tolist() == np.asarray(getattr(given, "array", given), float).tolist()


# ------------------------------------------------------------------ several threads


@pytest.fixture
def _threads_change_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(work: Callable[[], None], threads: int = 4) -> None:
    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


@pytest.mark.usefixtures("_threads_change_often")
def test_threads_that_share_weights_lose_no_gradient() -> None:
    w = tg.tensor(np.ones(2000), requires_grad=True)

    def work() -> None:
        for _ in range(100):
            (w * 1.0).sum().backward()

    in_threads(work)
    assert np.array_equal(w.grad, np.full(2000, 400.0))


def test_an_addition_that_is_interrupted_by_another_thread_loses_none() -> None:
    class Slow(np.ndarray):
        """A gradient to which another thread adds while something is added to it."""

        def __add__(self, other: Any) -> Any:
            other_thread.start()
            other_thread.join(0.2)  # it has to wait for us
            return np.asarray(self) + other

    w = leaf(1.0, 2.0)
    other_thread = threading.Thread(target=lambda: (w * 3.0).sum().backward())
    w._grad = np.zeros(2).view(Slow)
    (w * 2.0).sum().backward()
    other_thread.join()
    assert w.grad.tolist() == [5, 5]


@pytest.mark.usefixtures("_threads_change_often")
def test_nor_that_of_a_result_which_they_share() -> None:
    x = tg.tensor(np.ones(2000), requires_grad=True)
    h = x * 2.0
    h.retain_grad()

    def work() -> None:
        for _ in range(100):
            (h * 1.0).sum().backward(retain_graph=True)

    in_threads(work)
    assert np.array_equal(h.grad, np.full(2000, 400.0))
    assert np.array_equal(x.grad, np.full(2000, 800.0))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_process_is_not_held_up_by_a_thread_of_its_parent() -> None:
    from tinygrad_rnn.autograd import tensor

    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with tensor._adding:
            held.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    child = os.fork()
    if not child:
        x = leaf(2.0)
        done = threading.Thread(target=lambda: (x * x).sum().backward(), daemon=True)
        done.start()
        done.join(5)
        os._exit(0 if x.grad is not None else 1)
    leave.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
