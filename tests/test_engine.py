"""The tape and the reverse sweep: what is recorded, in which order it is walked, what is kept, freed and refused."""

import gc
import sys
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from expressions import OURS, Program, programs
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn.autograd.tensor import Tensor
from tinygrad_rnn.engine.modes import Step
from tinygrad_rnn.engine.tape import Record
from tinygrad_rnn.errors import DtypeError, FreedGraphError, GraphError, NonScalarError, ShapeError
from tinygrad_rnn.ops.elementwise import Elementwise


def leaf(*data: Any, **options: Any) -> tg.Tensor:
    return tg.tensor(np.array(data, dtype=float), requires_grad=True, **options)


def number(value: float, **options: Any) -> tg.Tensor:
    return tg.tensor(value, requires_grad=True, **options)


# ------------------------------------------------------------------ the sweep


def test_the_record_of_an_op() -> None:
    x = number(0.5)
    y = np.tanh(x * 3)
    record = y.record
    assert (y.op.name, y.is_leaf, y.requires_grad) == ("tanh", False, True)
    assert record.inputs[0].record.inputs == (x, None)
    assert record.inputs[0].record.arrays == (0.5, 3)
    assert record.values == (np.tanh(1.5),)
    assert record.seq > record.inputs[0].record.seq
    assert repr(record) == f"<record {record.seq}: tanh>"


def test_a_diamond_adds_up_all_paths() -> None:
    a = number(1.0)
    b = a + a
    c = b + b
    (c * b).backward()  # 8 a²
    assert a.grad == 16


@pytest.mark.parametrize("first", [0, 1, 2])
def test_the_order_of_use_does_not_matter(first: int) -> None:
    x = number(0.3)
    uses = [lambda: np.tanh(x), lambda: x * x, lambda: np.exp(x) * x]
    made = {k: uses[k]() for k in (first, *(k for k in range(3) if k != first))}
    (made[0] * made[1] + made[2]).backward()
    expected = (1 - np.tanh(0.3) ** 2) * 0.09 + np.tanh(0.3) * 0.6 + np.exp(0.3) * 1.3
    assert x.grad == pytest.approx(expected, rel=1e-14)


def test_a_tensor_may_be_both_arguments() -> None:
    x = leaf(2, 3)
    (x * x + x / x + x**x).sum().backward()
    assert x.grad == pytest.approx(2 * x.data + x.data**x.data * (np.log(x.data) + 1))


def test_gradients_add_up_over_uses_and_over_backward_passes() -> None:
    x = leaf(1, 2)
    for k in range(1, 4):
        (x * x).sum().backward()
        assert x.grad.tolist() == [2 * k, 4 * k]


def test_a_gradient_array_handed_out_is_never_written_to() -> None:
    x, y = leaf(1, 2), leaf(3, 4)
    (x + y).sum().backward()
    kept = x.grad
    kept_y = y.grad.copy()
    kept[:] = 100
    (x + y).sum().backward()
    assert kept.tolist() == [100, 100]
    assert (y.grad - kept_y).tolist() == [1, 1]


def test_shared_gradients_are_not_mixed_up() -> None:
    """add hands one array to both inputs; adding more to one must not reach the other."""
    x, y = leaf(1, 2), leaf(3, 4)
    s = x + y
    (s.sum() + (x * 10).sum() + s.sum()).backward()
    assert x.grad.tolist() == [12, 12]
    assert y.grad.tolist() == [2, 2]


def test_what_needs_no_gradient_gets_none_and_costs_no_rule() -> None:
    asked = []

    class Watched(tg.Op):
        def forward(self, a: Any, b: Any) -> Any:
            return a * b

        def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
            asked.append("a")
            return g * b

        def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
            asked.append("b")
            return g * a

    x, w = tg.tensor(2.0), number(3.0)
    Watched()(x, w).backward()
    assert (x.grad, w.grad, asked) == (None, 2, ["b"])


def test_a_leaf_can_be_differentiated_by_itself() -> None:
    x = number(2.0)
    x.backward()
    x.backward(3.0)
    assert x.grad == 4
    assert tg.grad(x, x).item() == 1


def test_a_gradient_to_start_from() -> None:
    x = leaf(1, 2)
    for start in ([3, 4], np.array([3.0, 4.0]), tg.tensor([3.0, 4.0]), leaf(3, 4), tg.tensor([3, 4], np.float32)):
        x.grad = None
        (x * 2).backward(start)
        assert type(x.grad) is np.ndarray
        assert x.grad.tolist() == [6, 8]
        assert x.grad.dtype == float


@pytest.mark.parametrize(
    ("start", "error", "words"),
    [
        (None, NonScalarError, r"backward\(\) of a tensor of shape \(2,\).*y.sum\(\), or .* gradient of shape \(2,\)"),
        (np.ones(3), ShapeError, r"gradient has shape \(3,\), but the tensor has shape \(2,\)"),
        (1.0, ShapeError, r"shape \(\)"),
        (np.ones((1, 2)), ShapeError, r"shape \(1, 2\)"),
        (["a", "b"], DtypeError, "the gradient of backward"),
        ([1j, 1], DtypeError, "complex"),
    ],
)
def test_a_gradient_that_does_not_fit_changes_nothing(start: Any, error: Any, words: str) -> None:
    x = leaf(1, 2)
    y = x * 2
    with pytest.raises(error, match=words):
        y.backward(start)
    assert x.grad is None
    y.backward([1, 1])
    assert x.grad.tolist() == [2, 2]


@pytest.mark.parametrize("make", [lambda x: tg.tensor(1.0), lambda x: (x * 2).detach(), lambda x: tg.tensor(2.0) * 3])
def test_backward_without_a_graph_is_refused(make: Any) -> None:
    with pytest.raises(GraphError, match=r"requires_grad=True.*no_grad\(\).*detach\(\)"):
        make(number(1.0)).backward()


def test_an_output_nobody_used_has_a_zero_gradient() -> None:
    x = leaf(1, 2, 3, 4, 5, 6)
    _, middle, _ = np.split(x, 3)
    (middle * middle).sum().backward()
    assert x.grad.tolist() == [0, 0, 6, 8, 0, 0]
    x = leaf(1, 2, 3, 4)
    second = np.split(x**2, 2)[1]  # the other output is gone
    gc.collect()
    (g,) = tg.grad(second.sum(), [x], create_graph=True)
    assert tg.grad(g.sum(), x).data.tolist() == [0, 0, 2, 2]


# ------------------------------------------------------------------ how long a graph lives


def chain(length: int) -> tuple[tg.Tensor, tg.Tensor]:
    x = number(1.0)
    y = x
    for _ in range(length):
        y = -y
    return x, y


@pytest.mark.slow
def test_a_million_ops_need_no_recursion() -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(200)
    gc.disable()  # its rounds over a million live records would take most of the time
    try:
        x, y = chain(1_000_000)
        tape = tg.tape(y)
        assert len(tape) == 1_000_000
        assert str(tape[:2]).count("negative") == 2
        del tape
        y.backward()
        assert x.grad == 1
        del y  # freed by the sweep
        x, y = chain(200_000)
        record = weakref.ref(y.record.inputs[0].record)
        del y  # not yet freed: goes record by record
        assert record() is None
    finally:
        gc.enable()
        sys.setrecursionlimit(limit)


def alive() -> int:
    return sum(issubclass(type(obj), Record | Tensor) for obj in gc.get_objects())


def some_graph() -> tuple[tg.Tensor, tg.Tensor]:
    x = leaf([0.1, 0.2], [0.3, 0.4])
    h = x[0]
    for row in x:
        h = np.tanh(row @ x + h)
    a, b = np.split(h, 2)
    return x, np.sum(a * b + np.concatenate([a, b]).max())


@pytest.mark.slow
@pytest.mark.parametrize("after", ["nothing", "backward", "grad", "create_graph", "hooks", "tape", "error"])
def test_nothing_is_left_behind_without_the_cyclic_collector(after: str) -> None:
    gc.collect()
    gc.disable()
    try:
        before = alive()
        x, loss = some_graph()
        if after == "backward":
            loss.backward()
        elif after == "grad":
            tg.grad(loss, x)
        elif after == "create_graph":
            g = tg.grad(loss, x, create_graph=True)
            tg.grad(g.sum(), x)
            del g
        elif after == "hooks":
            loss.register_hook(lambda g: g * 2)
            loss.retain_grad()
            loss.backward()
        elif after == "tape":
            tape = tg.tape(loss)
            assert str(tape)
            assert tape.names is not None
            assert tape.leaves
            del tape
        elif after == "error":
            with pytest.raises(ShapeError):
                loss.backward(np.ones(3))
        assert alive() > before
        del x, loss
        assert alive() == before
    finally:
        gc.enable()


def test_backward_frees_what_it_leaves_even_while_the_loss_is_held() -> None:
    x = leaf(1, 2)
    h = x * 2
    inner = weakref.ref(h.record)
    saved = weakref.ref(h.record.values[0])
    loss = (h * h).sum()
    del h
    loss.backward()
    assert inner() is None
    assert saved() is None
    assert loss.item() == 20


def test_a_second_backward_is_refused_with_the_op_its_step_and_the_cure() -> None:
    x = number(0.5)
    with tg.scope("rnn", 3):
        h = np.tanh(x)
    (h * 2).backward()
    before = x.grad.copy()
    with pytest.raises(FreedGraphError) as caught:
        (h * 3).backward()
    for words in ("op tanh at rnn t=3", "freed", "h = tg.bptt.detach(h)", "retain_graph=True"):
        assert words in str(caught.value)
    for call in (lambda: tg.grad(h * 3, x), lambda: tg.tape(h)):
        with pytest.raises(FreedGraphError, match="op tanh at rnn t=3"):
            call()
    assert x.grad == before
    (tg.bptt.detach(h) * x).backward()
    assert x.grad == before + h.item()


def test_retain_graph_allows_it_and_doubles() -> None:
    x, loss = some_graph()
    loss.backward(retain_graph=True)
    once = x.grad
    loss.backward()
    assert x.grad.tolist() == (2 * once).tolist()
    with pytest.raises(FreedGraphError):
        loss.backward()


def test_two_losses_with_a_common_part() -> None:
    x = number(2.0)
    h = x * x
    (h * 3).backward(retain_graph=True)
    (h * 4).backward()
    assert x.grad == 4 * 7


def test_the_gradient_at_a_state_can_be_taken_first_and_carried_on_from_there() -> None:
    x = number(0.5)
    h = np.tanh(x)
    g = tg.grad(h * h, h)  # leaves what lies behind h alone
    h.backward(g)
    assert x.grad == pytest.approx(2 * h.item() * (1 - h.item() ** 2))


# ------------------------------------------------------------------ recording on and off


def test_no_grad_records_nothing_and_enable_grad_records_again() -> None:
    x = number(1.0)
    with tg.no_grad():
        assert not tg.is_grad_enabled()
        assert (x * 2).record is None
        with tg.enable_grad():
            assert tg.is_grad_enabled()
            y = x * 2
        assert not (y * 2).requires_grad
    assert tg.is_grad_enabled()
    y.backward()
    assert x.grad == 2


def test_both_are_decorators_too_and_survive_recursion_and_exceptions() -> None:
    @tg.no_grad()
    def f(x: Any, depth: int) -> bool:
        if depth:
            f(x, depth - 1)
        recorded = (x * 2).requires_grad
        if depth == 2:
            raise ValueError
        return recorded

    @tg.enable_grad()
    def g(x: Any) -> bool:
        return (x * 2).requires_grad

    x = number(1.0)
    assert f(x, 1) is False
    with pytest.raises(ValueError):
        f(x, 2)
    assert tg.is_grad_enabled()
    with tg.no_grad():
        assert g(x)
        assert not tg.is_grad_enabled()
    block = tg.no_grad()
    with block, block:
        assert not tg.is_grad_enabled()
    assert tg.is_grad_enabled()


def test_each_thread_has_its_own_mode_and_its_own_scope() -> None:
    inside, checked = threading.Event(), threading.Event()

    def without() -> None:
        with tg.no_grad(), tg.scope("other", 5):
            inside.set()
            checked.wait(10)

    thread = threading.Thread(target=without)
    thread.start()
    inside.wait(10)
    y = number(1.0) * 2
    assert y.requires_grad
    assert y.record.step is None
    checked.set()
    thread.join()


def test_threads_with_tapes_of_their_own_get_what_one_thread_gets() -> None:
    def train(seed: int, found: dict[int, Any]) -> None:
        x = tg.tensor(np.random.default_rng(seed).standard_normal((3, 3)), requires_grad=True)
        h = x
        for _ in range(30):
            h = np.tanh(h @ x)
        h.sum().backward()
        found[seed] = x.grad

    alone: dict[int, Any] = {}
    together: dict[int, Any] = {}
    for seed in range(8):
        train(seed, alone)
    threads = [threading.Thread(target=train, args=(seed, together)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(alone[seed], together[seed]) for seed in range(8))


def test_a_scope_tags_records_and_ends_with_its_block() -> None:
    x = number(1.0)
    with tg.scope("rnn") as at:
        steps = [(x * 2).record.step]
        for t in (1, 2):
            at(t)
            steps.append((x * 2).record.step)
        with tg.scope("inner", 7):
            steps.append((x * 2).record.step)
        steps.append((x * 2).record.step)
    assert steps == [Step("rnn", None), Step("rnn", 1), Step("rnn", 2), Step("inner", 7), Step("rnn", 2)]
    assert (x * 2).record.step is None
    assert [str(step) for step in steps[:2]] == ["rnn", "rnn t=1"]
    with pytest.raises(ValueError), tg.scope("rnn", 1):
        raise ValueError
    assert (x * 2).record.step is None


# ------------------------------------------------------------------ hooks and retain_grad


def test_a_hook_sees_the_complete_gradient_of_a_result_and_may_replace_it() -> None:
    x, seen = leaf(1, 2), []
    y = x * 2
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: [v + 1 for v in g])
    (y * y + y).sum().backward()
    assert seen == [[5, 9]]
    assert x.grad.tolist() == [2 * 51, 2 * 91]


def test_a_hook_of_a_leaf_runs_once_on_the_sum_before_it_reaches_grad() -> None:
    x, seen = leaf(1, 2), []
    x.register_hook(lambda g: seen.append(g.tolist()))
    x.register_hook(lambda g: -g)
    (x * x + x).sum().backward()
    assert seen == [[3, 5]]
    assert x.grad.tolist() == [-3, -5]


def test_a_hook_can_be_removed_also_by_itself_and_more_than_once() -> None:
    x, seen = leaf(1, 2), []
    remove = x.register_hook(lambda g: (seen.append("once"), remove())[0])
    x.register_hook(lambda g: seen.append("always"))
    for _ in range(2):
        x.sum().backward()
    remove()
    assert seen == ["once", "always", "always"]


def test_a_hook_cannot_write_into_a_gradient_that_others_share() -> None:
    x, y = leaf(1, 2), leaf(3, 4)
    x.register_hook(lambda g: g.__imul__(0))
    with pytest.raises(ValueError, match="read-only"):
        (x + y).backward([1, 1])


@pytest.mark.parametrize("of_leaf", [True, False])
def test_a_hook_with_a_wrong_shape_is_refused_by_name(of_leaf: bool) -> None:
    x = leaf(1, 2, name="x")
    y = x * 2
    (x if of_leaf else y).register_hook(lambda g: np.ones(3))
    owner = "of x" if of_leaf else r"of <record \d+: multiply>"
    with pytest.raises(ShapeError, match=owner + r" returned shape \(3,\) for a gradient of shape \(2,\)"):
        y.sum().backward()
    assert x.grad is None


def test_a_hook_on_one_of_several_outputs() -> None:
    x = leaf(1, 2, 3, 4)
    first, second = np.split(x, 2)
    second.register_hook(lambda g: g * 10)
    (first + second).sum().backward()
    assert x.grad.tolist() == [1, 1, 10, 10]


def test_a_hook_of_a_recorded_gradient_sees_a_tensor() -> None:
    x = number(2.0)
    y = x * x
    y.register_hook(lambda g: g * x)
    g = tg.grad(y * 3, x, create_graph=True)  # 3 x · 2 x
    assert g.item() == 24
    assert tg.grad(g, x).item() == 24


def test_a_hook_where_no_gradient_comes_is_refused() -> None:
    with pytest.raises(GraphError, match="needs no gradient"):
        tg.tensor(1.0).register_hook(print)


def test_retain_grad_keeps_the_gradient_of_a_result_after_its_hooks() -> None:
    x = leaf(1, 2)
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    (y * y).sum().backward(retain_graph=True)
    assert y.grad.tolist() == [40, 80]
    (y * 1).sum().backward()
    assert y.grad.tolist() == [50, 90]
    x.retain_grad()
    (x * 1).sum().backward()
    assert (y * 1).grad is None


def test_retain_grad_does_not_keep_the_tensor_alive() -> None:
    x = leaf(1, 2)
    y = x * 2
    y.retain_grad()
    z = y.sum()
    gone = weakref.ref(y)
    del y
    z.backward()
    assert gone() is None


# ------------------------------------------------------------------ tg.grad


def test_grad_gives_what_was_asked_for_in_the_same_form() -> None:
    x, y = leaf(1, 2), leaf(3, 4)
    z = (x * y).sum()
    one = tg.grad(z, x, retain_graph=True)
    assert type(one) is tg.Tensor
    assert one.data.tolist() == [3, 4]
    assert [g.data.tolist() for g in tg.grad(z, (v for v in (y, x)), retain_graph=True)] == [[1, 2], [3, 4]]
    several = tg.grad(z, [y, x, x])
    assert type(several) is tuple
    assert [g.data.tolist() for g in several] == [[1, 2], [3, 4], [3, 4]]
    assert not one.requires_grad


def test_grad_touches_no_grad_neither_of_leaves_nor_of_retained_results() -> None:
    x = leaf(1, 2)
    h = x * 2
    h.retain_grad()
    tg.grad((h * h).sum(), x, create_graph=True)
    tg.grad((h * h).sum(), [x, h])
    assert x.grad is None
    assert h.grad is None


def test_grad_of_results_and_of_several_outputs() -> None:
    x = leaf(1, 2)
    a, b = np.split(x * 3, 2)
    h = a * b
    gh, ga, gb, gx = tg.grad([h * 2, x.sum()], [h, a, b, x], grad_outputs=[[10.0], None])
    assert [g.data.tolist() for g in (gh, ga, gb, gx)] == [[20], [120], [60], [361, 181]]
    y = x * x
    assert tg.grad(y, y, grad_outputs=[5.0, 7.0]).data.tolist() == [5, 7]
    (gy,) = tg.grad([y], [y], grad_outputs=np.ones((1, 2)))
    assert gy.data.tolist() == [1, 1]


def test_grad_frees_the_graph_as_backward_does_unless_it_records_or_is_told_to_keep_it() -> None:
    x = number(2.0)
    y = x**3
    tg.grad(y, x, create_graph=True)
    tg.grad(y, x, retain_graph=True)
    assert tg.grad(y, x).item() == 12
    with pytest.raises(FreedGraphError, match="op power"):
        tg.grad(y, x)


def test_grad_runs_only_the_rules_on_the_way() -> None:
    ran = []

    class Spy(tg.Op):
        def __init__(self, label: str) -> None:
            self.label = label

        def forward(self, x: Any) -> Any:
            return x * 2

        def vjp(self, g: Any, y: Any, x: Any) -> Any:
            ran.append(self.label)
            return g * 2

    x, w = number(1.0), number(1.0)
    h = Spy("below")(x)
    loss = Spy("above")(h) * Spy("beside")(w)
    tg.grad(loss, h, retain_graph=True)
    assert ran == ["above"]
    ran.clear()
    tg.grad(loss, w, retain_graph=True)
    assert ran == ["beside"]
    ran.clear()
    tg.grad(loss, [h, x])
    assert ran == ["above", "below"]


def test_grad_asks_no_rule_and_calls_no_hook_of_an_input_it_was_not_asked_for() -> None:
    asked: list[str] = []

    class Watched(Scaled):
        def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
            asked.append("a")
            return g * b**2

        def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
            asked.append("b")
            return g * 2 * a * b

    x, w = number(2.0), number(3.0)
    x.register_hook(lambda g: asked.append("hook of a"))
    assert tg.grad(Watched()(x, w), w).item() == 12
    assert asked == ["b"]


def test_grad_to_the_third_order() -> None:
    x = number(0.7)
    y = np.sin(x) * x**3
    for expected in (
        np.cos(0.7) * 0.7**3 + np.sin(0.7) * 3 * 0.7**2,
        -np.sin(0.7) * 0.7**3 + 6 * np.cos(0.7) * 0.7**2 + 6 * np.sin(0.7) * 0.7,
        -np.cos(0.7) * 0.7**3 - 9 * np.sin(0.7) * 0.7**2 + 18 * np.cos(0.7) * 0.7 + 6 * np.sin(0.7),
    ):
        y = tg.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(expected, rel=1e-12)


def test_grad_records_under_no_grad_only_with_create_graph() -> None:
    x = number(2.0)
    y = x**3
    with tg.no_grad():
        assert not tg.grad(y, x, retain_graph=True).requires_grad
        g = tg.grad(y, x, create_graph=True)
    assert g.requires_grad
    assert tg.grad(g, x).item() == 12


def test_a_recorded_gradient_depends_also_on_the_inputs_it_is_not_of() -> None:
    x, w = leaf(2, 3), leaf(5, 7)
    g = tg.grad((x * w * w).sum(), x, create_graph=True)  # w²
    assert tg.grad(g.sum(), w).data.tolist() == [10, 14]


def test_a_recorded_gradient_can_be_part_of_a_loss() -> None:
    x = leaf(1, 2)
    y = (x**3).sum()
    g = tg.grad(y, x, create_graph=True)
    (y + (g * g).sum()).backward()  # x³ + 9 x⁴
    assert x.grad.tolist() == [3 + 36, 12 + 288]


def test_grad_outputs_can_be_differentiated_too() -> None:
    x, v = leaf(1, 2), leaf(3, 4)
    g = tg.grad(x**2, x, grad_outputs=v, create_graph=True)  # 2 x v
    assert tg.grad(g.sum(), v).data.tolist() == [2, 4]


def test_an_input_the_output_does_not_depend_on() -> None:
    x, other = leaf(1, 2), leaf(1, name="other")
    y = (x * 2).sum()
    with pytest.raises(GraphError, match=r"does not depend on other; with allow_unused=True"):
        tg.grad(y, [x, other], retain_graph=True)
    gx, none = tg.grad(y, [x, other], allow_unused=True)
    assert gx.data.tolist() == [2, 2]
    assert none is None


@pytest.mark.parametrize(
    ("outputs", "inputs", "options", "error", "words"),
    [
        (lambda x: 3.0, lambda x: x, {}, TypeError, "outputs of grad.*float"),
        (lambda x: x.sum(), lambda x: np.ones(2), {}, TypeError, "inputs of grad.*ndarray"),
        (lambda x: x.sum(), lambda x: [x, 1.0], {}, TypeError, r"inputs\[1\].*float"),
        (lambda x: x.sum(), lambda x: tg.tensor(1.0), {}, GraphError, r"inputs\[0\].*requires_grad=True"),
        (lambda x: x * 2, lambda x: x, {}, NonScalarError, r"grad\(\) of a tensor of shape \(2,\)"),
        (lambda x: x.sum().detach(), lambda x: x, {}, GraphError, r"grad\(\) on a tensor that needs no gradient"),
        (lambda x: [x.sum()], lambda x: x, {"grad_outputs": [1.0, 1.0]}, ValueError, "2 grad_outputs for 1 outputs"),
        (lambda x: x * 2, lambda x: x, {"grad_outputs": np.ones(3)}, ShapeError, r"\(3,\)"),
    ],
)
def test_what_grad_cannot_do_is_refused(outputs: Any, inputs: Any, options: Any, error: Any, words: str) -> None:
    x = leaf(1, 2)
    with pytest.raises(error, match=words):
        tg.grad(outputs(x), inputs(x), **options)
    assert tg.grad((x * x).sum(), x).data.tolist() == [2, 4]


# ------------------------------------------------------------------ ops of one's own


class Cube(tg.Op):
    def forward(self, x: Any) -> Any:
        return x**3

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * 3 * x**2


class Rotate(tg.Op):
    """(a, b) turned by an angle: two inputs, two outputs, a parameter."""

    outputs = 2

    def __init__(self, angle: float) -> None:
        self.cos, self.sin = float(np.cos(angle)), float(np.sin(angle))

    def forward(self, a: Any, b: Any) -> Any:
        return self.cos * a - self.sin * b, self.sin * a + self.cos * b

    def vjp(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return self.cos * g[0] + self.sin * g[1], self.cos * g[1] - self.sin * g[0]


class Scaled(tg.Op):
    """a · b², one rule an input."""

    name = "scaled"

    def forward(self, a: Any, b: Any) -> Any:
        return a * b**2

    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g * b**2

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return g * 2 * a * b


def test_an_op_of_ones_own_is_like_any_other() -> None:
    assert tg.gradcheck(Cube(), leaf(1, -2), order=3)
    assert tg.gradcheck(Rotate(0.3), [leaf(1, -2), leaf(3, 4)], order=2)
    assert tg.gradcheck(lambda a, b: Rotate(0.3)(a**2, b)[1], [leaf(1, -2), leaf(3, 4)], order=2)
    assert tg.gradcheck(Scaled(), [leaf(1, -2), leaf(3, 4)], order=2)
    assert Cube()(np.array([2.0])).tolist() == [8]
    assert (Cube.name, Rotate.name, repr(Scaled())) == ("cube", "rotate", "scaled()")
    assert repr(Rotate(0.0)) == "rotate(cos=1.0, sin=0.0)"
    a, _b = Rotate(0.3)(number(1.0), 2.0)
    assert a.op.name == "rotate"
    assert a.data.flags.writeable is False


def test_a_subclass_inherits_the_rules_or_brings_its_own() -> None:
    class Named(Scaled):
        name = "named"

    class Negated(Scaled):
        def forward(self, a: Any, b: Any) -> Any:
            return -a * b

        def vjp(self, g: Any, y: Any, a: Any, b: Any) -> Any:
            return -g * b, -g * a

    for op in (Named(), Negated()):
        assert tg.gradcheck(op, [leaf(1, -2), leaf(3, 4)], order=2)


def op_with(rule: Any, forward: Any = lambda self, a, b: a * b, **attributes: Any) -> tg.Op:
    return type("Faulty", (tg.Op,), {"forward": forward, "vjp": rule, **attributes})()


@pytest.mark.parametrize(
    ("op", "error", "words"),
    [
        (type("Faulty", (tg.Op,), {"forward": Scaled.forward})(), NotImplementedError, "op faulty has no rule"),
        (op_with(lambda self, g, y, a, b: (g, np.ones(3))), ShapeError, r"op faulty.*shape \(3,\).*shape \(2,\)"),
        (op_with(lambda self, g, y, a, b: (g, 1.0)), ShapeError, r"op faulty.*shape \(\).*shape \(2,\)"),
        (op_with(lambda self, g, y, a, b: g), TypeError, "op faulty was applied to 2 inputs and has rules for 1"),
        (op_with(lambda self, g, y, a, b: (g, g, g)), TypeError, "2 inputs and has rules for 3"),
        (
            type("Faulty", (tg.Op,), {"forward": Scaled.forward, "vjp_a": Scaled.vjp_a})(),
            TypeError,
            "2 inputs and has rules for 1",
        ),
        (op_with(lambda self, g, y, a, b: 1 / 0), ZeroDivisionError, "division"),
    ],
)
def test_a_faulty_rule_is_named_and_leaves_everything_usable(op: tg.Op, error: Any, words: str) -> None:
    x, w = leaf(1, 2), leaf(3, 4)
    h = x * 3
    with tg.scope("rnn", 4):
        y = op(h, w)
    with pytest.raises(error, match=words) as caught:
        y.sum().backward()
    assert "faulty at rnn t=4>" in caught.value.__notes__[0]
    assert x.grad is None
    assert w.grad is None
    assert tg.is_grad_enabled()
    h.sum().backward()  # what the fault did not reach is still there
    (x * w).sum().backward()
    assert x.grad.tolist() == [6, 7]


def test_a_rule_may_say_none_for_zero_everywhere() -> None:
    x, w = leaf(1, 2), leaf(3, 4)
    op_with(lambda self, g, y, a, b: (None, g * a))(x, w).sum().backward()
    op_with(lambda self, g, y, a, b: None)(x, w).sum().backward()
    assert x.grad is None
    assert w.grad.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("forward", "outputs", "words"),
    [
        (lambda self, a: (a, a), 1, "returned 2 outputs, and its `outputs` is 1"),
        (lambda self, a: (a, a, a), 2, "returned 3 outputs, and its `outputs` is 2"),
        (lambda self, a: a, 2, "returned one output, and its `outputs` is 2"),
    ],
)
def test_a_wrong_number_of_outputs_is_noticed_at_once(forward: Any, outputs: int, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        op_with(None, forward, outputs=outputs)(leaf(1, 2))


def test_the_output_of_an_op_is_an_array_whatever_forward_returned() -> None:
    y = op_with(lambda self, g, y, a: g * 2.0, lambda self, a: float(2 * a))(number(3.0))
    assert type(y.data) is np.ndarray
    a, b = op_with(lambda self, g, y, x: g[0], lambda self, x: [1.0, x], outputs=2)(number(3.0))
    assert (a.data.shape, b.data.shape) == ((), ())


# ------------------------------------------------------------------ the tape as something to look at


def test_a_tape_is_the_list_of_records_in_the_order_of_recording() -> None:
    x = number(0.5)
    unused = np.exp(x)
    y = np.tanh(x) * x
    tape = tg.tape(y)
    assert [record.op.name for record in tape] == ["tanh", "multiply"]
    assert tape[-1] is y.record
    assert tape[:1] == [tape[0]]
    assert unused.record not in list(tape)
    assert tape.leaves == [x]
    assert repr(tape) == "<tape of 2 records>"
    assert len(tg.tape(x)) == 0
    with pytest.raises(TypeError, match="float"):
        tg.tape(1.0)


def test_the_print_shows_step_name_op_inputs_shape_value_and_gradient() -> None:
    x, w = leaf(3, 4, name="x"), leaf(1, 1)
    with tg.scope("rnn", 1):
        h = x * 2
        h.name = "h"
    a, b = np.split(h * w, 2)
    loss = (a * b + tg.tensor([1.0])).sum()
    assert str(tg.tape(loss)).splitlines() == [
        "#  step     name  op        inputs      shape    value  gradient",
        "0  rnn t=1  h     multiply  x, 2        (2,)     ‖10‖   ‖10‖",
        "1                 multiply  %0, leaf    (2,)     ‖10‖   ‖10‖",
        "2                 split     %1          (1,) x2  6      8",
        "3                 multiply  %2.0, %2.1  (1,)     48     1",
        "4                 add       %3, const   (1,)     49     1",
        "5                 sum       %4          ()       49     1",
    ]
    assert x.grad is None


def test_printing_changes_no_gradient_calls_no_hook_and_keeps_the_graph() -> None:
    x, called = leaf(1, 2), []
    h = x * 2
    h.retain_grad()
    h.register_hook(called.append)
    loss = (h * h).sum()
    tape = tg.tape(loss)
    assert tape.gradients[h.record][0].tolist() == [4, 8]
    assert tape.gradients[x].tolist() == [8, 16]
    assert str(tape) == str(tape)
    assert (x.grad, h.grad, called) == (None, None, [])
    loss.backward()
    assert x.grad.tolist() == [8, 16]


def test_a_freed_tape_still_prints_what_is_left() -> None:
    x = leaf(1, 2)
    loss = (x * x).sum()
    tape = tg.tape(loss)
    loss.backward()
    lines = str(tape).splitlines()
    assert [line.split() for line in lines[1:]] == [["0", "multiply", "freed"], ["1", "sum", "freed"]]


def test_a_tape_of_many_entries_shows_no_gradients() -> None:
    tape = tg.tape(leaf(1, 2) * 2)
    assert str(tape).splitlines()[1].split() == ["0", "multiply", "leaf,", "2", "(2,)", "‖4.47‖"]
    with pytest.raises(GraphError, match=r"one entry.*\(2,\)"):
        _ = tape.gradients


def test_a_long_tape_is_printed_with_its_middle_left_out() -> None:
    lines = str(tg.tape(chain(100)[1])).splitlines()
    assert len(lines) == 1 + 60 + 1
    assert lines[31] == "... 40 more records ..."
    assert lines[30].startswith("29 ")
    assert lines[32].startswith("70 ")
    assert len(str(tg.tape(chain(60)[1])).splitlines()) == 61


# ------------------------------------------------------------------ laws, for random expressions


def tensors(arrays: list[np.ndarray]) -> list[tg.Tensor]:
    return [tg.tensor(a, requires_grad=True) for a in arrays]


def run(program: Program, dtype: Any = float) -> tuple[list[tg.Tensor], tg.Tensor]:
    xs = tensors(program.leaves(dtype))
    y = program.run(xs, OURS)
    assume(y.requires_grad)
    return xs, y


def pulled_back(xs: list[tg.Tensor], y: tg.Tensor, g: np.ndarray) -> list[np.ndarray]:
    found = tg.grad(y, xs, grad_outputs=g, retain_graph=True, allow_unused=True)
    return [np.zeros(x.shape) if v is None else v.data for x, v in zip(xs, found, strict=True)]


def close(found: list[Any], expected: list[Any]) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(b).max(initial=0)))


@settings(max_examples=100)
@given(programs(), st.floats(-3, 3), st.floats(-3, 3))
def test_the_vjp_is_linear(program: Program, a: float, b: float) -> None:
    xs, y = run(program)
    rng = np.random.default_rng(0)
    g, h = rng.standard_normal(y.shape), rng.standard_normal(y.shape)
    mixed = pulled_back(xs, y, a * g + b * h)
    close(mixed, [a * v + b * w for v, w in zip(pulled_back(xs, y, g), pulled_back(xs, y, h), strict=True)])


@settings(max_examples=100)
@given(programs(), st.sampled_from([np.float32, np.float64]))
def test_a_gradient_has_the_shape_and_dtype_of_its_tensor(program: Program, dtype: Any) -> None:
    xs, y = run(program, dtype)
    y.sum().backward()
    for x in xs:
        if x.grad is not None:
            assert type(x.grad) is np.ndarray
            assert (x.grad.shape, x.grad.dtype) == (x.shape, dtype)


@settings(max_examples=100)
@given(programs())
def test_two_passes_give_twice_one_pass_exactly(program: Program) -> None:
    xs, y = run(program)
    y.sum().backward(retain_graph=True)
    once = [x.grad for x in xs]
    y.sum().backward()
    assert all(a is None or np.array_equal(x.grad, 2 * a) for x, a in zip(xs, once, strict=True))


@settings(max_examples=100)
@given(programs(), programs())
def test_the_gradient_of_a_sum_of_uses_is_the_sum_of_gradients(first: Program, second: Program) -> None:
    second = second._replace(shapes=first.shapes)
    xs = tensors(first.leaves())
    ys = [program.run(xs, OURS) for program in (first, second)]
    assume(all(y.requires_grad for y in ys))
    apart = [pulled_back(xs, y, np.ones(y.shape)) for y in ys]
    together = ys[1].sum() + ys[0].sum()
    close(pulled_back(xs, together, np.ones(())), [v + w for v, w in zip(*apart, strict=True)])


@settings(max_examples=100)
@given(programs())
def test_recorded_and_plain_gradients_are_the_same_numbers(program: Program) -> None:
    xs, y = run(program)
    recorded = tg.grad(y.sum(), xs, create_graph=True, allow_unused=True)
    plain = pulled_back(xs, y, np.ones(y.shape))
    close([np.zeros(x.shape) if g is None else g.data for x, g in zip(xs, recorded, strict=True)], plain)


def test_the_engine_sums_more_parts_than_two() -> None:
    x = leaf(1, 2, 3)
    parts = [x[k : k + 2].sum() * (k + 1) for k in (0, 1)] + [x.sum(), (x * x).sum(), x[[0, 0]].sum()]
    sum(parts).backward()
    assert x.grad.tolist() == [1 + 1 + 2 + 2, 1 + 2 + 1 + 4, 2 + 1 + 6]
    assert isinstance(sum(parts), tg.Tensor)


def test_no_grad_decorates_generators_and_refuses_coroutines() -> None:
    @tg.no_grad()
    def numbers() -> Any:
        for _ in range(2):
            yield (tg.tensor(1.0, requires_grad=True) * 2).requires_grad

    for inside in numbers():
        assert not inside and tg.is_grad_enabled()  # off while it runs, on for who uses it

    async def wait() -> None: ...

    with pytest.raises(TypeError, match="coroutine"):
        tg.no_grad()(wait)


def test_one_no_grad_object_serves_several_threads() -> None:
    off = tg.no_grad()
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with off:
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait()
    with off:
        pass
    leave.set()
    thread.join()
    assert tg.is_grad_enabled()


def test_rules_belong_to_the_inputs_they_are_named_after() -> None:
    class Product(tg.Op):
        def forward(self, a: Any, b: Any) -> Any:
            return a * b

        def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:  # written first
            return g * a

        def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
            return g * b

    a, b = tg.tensor(2.0, requires_grad=True), tg.tensor(5.0, requires_grad=True)
    Product()(a, b).backward()
    assert (a.grad, b.grad) == (5.0, 2.0)


def test_a_hook_that_knows_its_tensor_leaves_no_cycle_behind() -> None:
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            x = tg.tensor(1.0, requires_grad=True)
            y = x * 2
            y.register_hook(lambda g, y=y: None)
            y.backward()
            del x, y
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_an_op_shows_what_it_was_made_with() -> None:
    class Scaled(Elementwise):
        def __init__(self, by: float) -> None:
            self.by = by

        def forward(self, x: Any) -> Any:
            return self.by * x

        def vjp(self, g: Any, y: Any, x: Any) -> Any:
            return self.by * g

    x = tg.tensor([1.5, -2.0], requires_grad=True)
    cube = Elementwise(lambda x: x**3, lambda y, x: 3 * x**2, name="cube", degree=3)
    ops = [tg.tape(f(x))[0].op for f in (Scaled(2.0), cube, np.tanh, tg.elu, lambda x: np.round(x, 1))]
    assert list(map(repr, ops)) == ["scaled(by=2.0)", "cube(degree=3)", "tanh()", "elu(alpha=1.0)", "round(decimals=1)"]
    assert tg.gradcheck(Scaled(2.0), x, order=2) and tg.gradcheck(cube, x, order=2)


def test_an_elementwise_class_without_a_rule_says_so() -> None:
    class Ruleless(Elementwise):
        forward = np.tanh

    with pytest.raises(NotImplementedError, match="op ruleless has no rule"):
        Ruleless()(tg.tensor(1.0, requires_grad=True)).backward()
