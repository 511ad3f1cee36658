"""Optimizers, clipping and schedules: against PyTorch, against their equations, and saved in the middle."""

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.app.charlm import CharLM
from tinygrad_rnn.errors import GraphError, ShapeError, StateDictError

optim = tg.optim


def leaf(data: Any, dtype: Any = float) -> tg.Tensor:
    return tg.tensor(data, dtype=dtype, requires_grad=True)


OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.05, "momentum": 0.5, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.5, "weight_decay": 0.1, "nesterov": True}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "eps": 1e-2, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.05}),
    ("RMSprop", {"lr": 0.05, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.1}),
    ("AdamW", {"lr": 0.1, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.3}),
]


KINDS = sorted({kind for kind, _ in OPTIONS})


def test_no_optimizer_is_left_out() -> None:
    ours = {name for name, kind in vars(optim).items() if isinstance(kind, type) and issubclass(kind, optim.Optimizer)}
    assert ours - {"Optimizer"} == set(KINDS)


@pytest.mark.oracle
@pytest.mark.parametrize(("kind", "options"), OPTIONS)
def test_twenty_steps_agree_with_torch(torch: Any, kind: str, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    starts = [rng.standard_normal((3, 2)), rng.standard_normal(4), rng.standard_normal(())]
    ours, theirs = [leaf(a) for a in starts], [torch.tensor(a, requires_grad=True) for a in starts]
    a, b = getattr(optim, kind)(ours, **options), getattr(torch.optim, kind)(theirs, **options)
    for step in range(20):
        for k, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            g = rng.standard_normal(p.shape) * 10.0 ** (step % 3 - 1)
            missing = k == 1 and step in (0, 1, 7)  # no gradient has come: nothing at all happens to it
            p.grad, q.grad = (None, None) if missing else (g, torch.tensor(g))
        a.step()
        b.step()
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.data, q.detach(), rtol=1e-10, atol=1e-10)
            assert type(p.data) is np.ndarray


def test_first_steps_by_hand() -> None:
    def after(kind: str, gradients: list[float], **options: Any) -> float:
        p = leaf(1.0)
        optimizer = getattr(optim, kind)([p], **options)
        for g in gradients:
            p.grad = g
            optimizer.step()
        return p.item()

    assert after("SGD", [2.0, 1.0], lr=0.1) == pytest.approx(1 - 0.2 - 0.1)
    assert after("SGD", [2.0, 1.0], lr=0.1, momentum=0.5) == pytest.approx(1 - 0.2 - 0.1 * (0.5 * 2 + 1))
    assert after("SGD", [2.0], lr=0.1, momentum=0.5, nesterov=True) == pytest.approx(1 - 0.1 * (2 + 0.5 * 2))
    assert after("SGD", [2.0], lr=0.1, weight_decay=0.5) == pytest.approx(1 - 0.1 * (2 + 0.5))
    assert after("Adagrad", [3.0, 4.0], lr=0.1) == pytest.approx(1 - 0.1 - 0.1 * 4 / 5)
    assert after("RMSprop", [3.0], lr=0.1, alpha=0.75) == pytest.approx(1 - 0.1 / math.sqrt(0.25))
    assert after("Adam", [3.0], lr=0.1) == pytest.approx(1 - 0.1)  # the bias correction makes the first step lr
    assert after("Adam", [3.0, 3.0], lr=0.1) == pytest.approx(1 - 0.2)
    assert after("AdamW", [3.0], lr=0.1, weight_decay=0.5) == pytest.approx(0.95 - 0.1)


@pytest.mark.parametrize(("kind", "options"), OPTIONS)
def test_a_saved_state_goes_on_bit_for_bit(kind: str, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    gradients = [rng.standard_normal((2, 3)).astype(np.float32) for _ in range(12)]

    def run(p: tg.Tensor, optimizer: Any, part: list[np.ndarray]) -> None:
        for g in part:
            p.grad = g
            optimizer.step()

    def fresh() -> tuple[tg.Tensor, Any]:
        p = leaf(np.ones((2, 3)), np.float32)
        return p, getattr(optim, kind)([p], **options)

    p, whole = fresh()
    run(p, whole, gradients)
    q, first = fresh()
    run(q, first, gradients[:5])
    state, values = first.state_dict(), q.data.copy()
    run(q, first, gradients[5:])  # the saved state is a copy
    r, second = fresh()
    second.lr = 123.0
    r.data = values
    second.load_state_dict(state)
    run(r, second, gradients[5:])
    np.testing.assert_array_equal(p.data, r.data)
    assert second.steps == 12 and second.lr == options["lr"]
    assert all(isinstance(value, np.ndarray) for value in state.values())


def test_a_state_that_does_not_fit_lists_everything_and_changes_nothing() -> None:
    adam = optim.Adam([leaf([1.0, 2.0]), leaf(3.0)])
    adam.parameters[0].grad = [1.0, 1.0]
    adam.step()
    before = adam.state_dict()
    wrong = adam.state_dict() | {
        "m.0": np.ones(3),
        "x.0": np.ones(1),
        "steps": np.array(99),
        "v.0": np.array(["a", "b"]),
    }
    del wrong["v.1"]
    with pytest.raises(StateDictError) as caught:
        adam.load_state_dict(wrong)
    message = str(caught.value)
    for part in (
        "does not fit this Adam; nothing was changed",
        "v.1: missing",
        "x.0: unexpected",
        "m.0: expected shape (2,), got (3,)",
        "v.0: expected real numbers, got <U1",
    ):
        assert part in message
    assert all(np.array_equal(adam.state_dict()[name], value) for name, value in before.items())
    for lr in (np.nan, np.inf, -1.0):
        with pytest.raises(StateDictError, match="lr: expected 0 or more, got"):
            adam.load_state_dict(before | {"lr": np.array(lr)})
    with pytest.raises(StateDictError, match=r"m\.0: missing"):
        adam.load_state_dict(optim.SGD([leaf([1.0, 2.0])], lr=1.0).state_dict())


# -- what holds for all ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "options"), OPTIONS)
def test_dtype_and_shape_are_kept(kind: str, options: dict[str, Any]) -> None:
    p, q = leaf(np.ones((2, 2)), np.float32), leaf(1.0, np.float32)
    optimizer = getattr(optim, kind)([p, q], **options)
    optimizer.lr = np.float64(0.1)  # as from np.linspace
    for _ in range(2):
        p.grad, q.grad = np.ones((2, 2)), 1.0
        optimizer.step()
    for t in (p, q):
        assert t.data.dtype == np.float32 and type(t.data) is np.ndarray
    assert p.shape == (2, 2) and q.shape == ()
    q.data[...] = 5
    assert q.item() == 5


@pytest.mark.parametrize(("kind", "options"), OPTIONS)
def test_a_graph_recorded_before_a_step_keeps_its_values(kind: str, options: dict[str, Any]) -> None:
    p = leaf([1.0, 2.0])
    optimizer = getattr(optim, kind)([p], **options)
    loss = (p * p * p).sum()
    p.grad = [1.0, 1.0]
    optimizer.step()
    optimizer.zero_grad()
    loss.backward()
    np.testing.assert_array_equal(p.grad, [3.0, 12.0])


@pytest.mark.parametrize("kind", KINDS)
def test_no_array_that_somebody_holds_changes_in_a_hundred_steps(kind: str) -> None:
    """Parameters, gradients before and after clipping, results and data given: each stays what it was when seen."""
    model = CharLM(7, "gru", embedding=3, hidden=4, dropout=0.2, rng=0)
    parameters = list(model.parameters())
    optimizer = getattr(optim, kind)(parameters, lr=0.01)
    rng = np.random.default_rng(0)
    held: list[tuple[np.ndarray, np.ndarray]] = []

    def hold(*arrays: Any) -> None:
        held.extend((array, array.copy()) for array in arrays)

    state: Any = None
    for step in range(100):
        ids, target = rng.integers(0, 7, (5, 2)), rng.integers(0, 7, (5, 2))
        scores, state = model(ids, state)
        loss = tg.nn.cross_entropy(scores, target)
        optimizer.zero_grad()
        loss.backward()
        hold(ids, target, scores.data, state.data, loss.data, *(p.grad for p in parameters))
        optim.clip_grad_norm_(parameters, 0.01)
        optim.clip_grad_value_(parameters, 0.002)
        hold(*(p.grad for p in parameters), *(p.array for p in parameters))
        optimizer.step()
        hold(*(p.data if step % 2 else p.array for p in parameters))
        state = tg.bptt.detach(state)
    assert all(np.array_equal(array, then) for array, then in held)
    assert not np.array_equal(held[-1][0], held[-1 - len(held) // 2][0])  # it did learn


def test_parameters_without_a_gradient_are_skipped() -> None:
    p, q = leaf([1.0]), leaf([1.0])
    optimizer = optim.SGD([p, q], lr=0.1, weight_decay=1.0)
    p.grad = [1.0]
    optimizer.step()
    assert p.data == 0.8 and q.data == 1.0
    optimizer.zero_grad()
    assert p.grad is None and q.grad is None
    optimizer.step()
    assert p.data == 0.8 and optimizer.steps == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9),
        lambda ps: optim.Adagrad(ps, lr=0.5),
        lambda ps: optim.RMSprop(ps, lr=0.05),
        lambda ps: optim.Adam(ps, lr=0.1),
        lambda ps: optim.AdamW(ps, lr=0.1),
    ],
)
def test_all_of_them_fit_a_line(make: Any) -> None:
    x = np.random.default_rng(0).standard_normal((50, 2))
    y = x @ [[2.0], [-1.0]] + 0.5
    layer = tg.nn.Linear(2, 1, dtype=float, rng=0)
    optimizer = make(layer.parameters())
    for _ in range(300):
        optimizer.zero_grad()
        loss = tg.nn.mse_loss(layer(x), y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-3
    np.testing.assert_allclose([*layer.W.data.ravel(), *layer.b.data], [2, -1, 0.5], atol=0.05)


# -- bad inputs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_that_cannot_be_trained(kind: str) -> None:
    def make(parameters: Any, lr: float = 0.1) -> Any:
        return getattr(optim, kind)(parameters, lr=lr)

    p = leaf([1.0])
    with pytest.raises(ValueError, match="no parameters were given"):
        make([])
    with pytest.raises(ValueError, match="no parameters were given"):
        make(tg.nn.Dropout(0.5).parameters())
    with pytest.raises(ValueError, match="given twice"):
        make([p, leaf([2.0]), p])
    with pytest.raises(TypeError, match=r"must be a sequence.*not one tensor"):
        make(p)
    with pytest.raises(TypeError, match="parameter 1 must be a Tensor, not ndarray"):
        make([p, np.ones(2)])
    with pytest.raises(GraphError, match="parameter 1 is not a leaf that needs a gradient"):
        make([p, p * 2])
    with pytest.raises(GraphError, match="parameter 0 is not a leaf that needs a gradient"):
        make([tg.tensor([1.0])])
    for lr in (0.0, -0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="lr must be above 0"):
            make([p], lr)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("SGD", {"lr": 1.0, "momentum": -0.1}, "momentum must be 0 or more"),
        ("SGD", {"lr": 1.0, "weight_decay": -1}, "weight_decay must be 0 or more"),
        ("SGD", {"lr": 1.0, "nesterov": True}, "nesterov=True needs a momentum above 0"),
        ("Adagrad", {"eps": -1.0}, "eps must be"),
        ("RMSprop", {"alpha": 1.0}, "alpha must be 0 or more and below 1, not 1.0"),
        ("RMSprop", {"eps": float("nan")}, "eps must be"),
        ("Adam", {"betas": (1.0, 0.9)}, r"betas\[0\] must be 0 or more and below 1"),
        ("Adam", {"betas": (0.9, -0.1)}, r"betas\[1\] must be"),
        ("AdamW", {"weight_decay": -0.1}, "weight_decay must be 0 or more"),
    ],
)
def test_settings(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(optim, kind)([leaf([1.0])], **options)


@pytest.mark.parametrize("bad", ["0.1", None, np.array([0.1]), [0.1, 0.2], 1j])
def test_what_is_no_number_is_named(bad: Any) -> None:
    p = leaf([1.0])
    with pytest.raises(TypeError, match="lr must be a number, not"):
        optim.SGD([p], lr=bad)
    with pytest.raises(TypeError, match="weight_decay must be a number, not"):
        optim.Adam([p], weight_decay=bad)
    with pytest.raises(TypeError, match=r"betas\[1\] must be a number, not"):
        optim.Adam([p], betas=(0.9, bad))


@pytest.mark.parametrize("betas", [0.9, (0.9,), (0.9, 0.99, 0.999), "ab", None])
def test_betas_are_two(betas: Any) -> None:
    with pytest.raises(TypeError, match="betas must be two numbers" if betas != "ab" else "betas"):
        optim.Adam([leaf([1.0])], betas=betas)


def test_a_rate_may_be_any_one_number() -> None:
    for lr in (1, np.float32(1), np.int64(1), np.array(1.0), tg.tensor(1.0)):
        assert type(optim.SGD([leaf([1.0])], lr=lr).lr) is float


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf"), "0.1", None])
def test_a_rate_that_would_climb_is_refused_whoever_sets_it(bad: Any) -> None:
    optimizer = optim.SGD([leaf([1.0])], lr=0.5)
    with pytest.raises((ValueError, TypeError), match="lr must be"):
        optimizer.lr = bad
    assert optimizer.lr == 0.5
    optimizer.lr = 0  # of a warm-up, say
    assert optimizer.lr == 0.0


@pytest.mark.parametrize(
    ("make", "last"),
    [
        (lambda o: optim.LambdaLR(o, lambda epoch: 1 - epoch), 0.0),
        (lambda o: optim.LambdaLR(o, lambda epoch: float("nan") if epoch > 1 else 1), 1.0),
        (lambda o: optim.LinearLR(o, 1.0, -1.0, total_iters=2), 0.0),
    ],
)
def test_a_schedule_that_leads_below_zero_stops_there_and_says_when(make: Any, last: float) -> None:
    optimizer = optim.SGD([leaf([1.0])], lr=1.0)
    schedule = make(optimizer)
    schedule.step()
    with pytest.raises(ValueError, match=r"LR: the learning rate of epoch 2 must be 0 or more, not"):
        schedule.step()
    assert optimizer.lr == last and schedule.epoch == 1


def test_a_schedule_below_zero_from_the_start_leaves_the_optimizer_as_it_was() -> None:
    optimizer = optim.SGD([leaf([1.0])], lr=1.0)
    with pytest.raises(ValueError, match="LinearLR: the learning rate of epoch 0 must be 0 or more, not -1"):
        optim.LinearLR(optimizer, start_factor=-1.0)
    with pytest.raises(TypeError, match=r"LambdaLR: factor must be a function of the epoch, not 0\.5"):
        optim.LambdaLR(optimizer, 0.5)  # type: ignore[arg-type]
    assert optimizer.lr == 1.0 and optimizer.initial_lr is None


@pytest.mark.parametrize("kind", ["Adagrad", "RMSprop", "Adam", "AdamW"])
@pytest.mark.parametrize("g", [1e-4, 3e4])
def test_half_precision_moves_as_far_as_single_precision(kind: str, g: float) -> None:
    moved = []
    for dtype in (np.float16, np.float32):  # 1e-4 squared is 0 in float16, and 3e4 squared inf; so is eps 0
        p = leaf([1.0], dtype)
        optimizer = getattr(optim, kind)([p], lr=0.1)
        for _ in range(3):
            p.grad = np.full(1, g, dtype)
            optimizer.step()
        assert p.dtype == dtype
        moved.append(p.data[0])
    assert moved[0] < 0.9
    np.testing.assert_allclose(moved[0], moved[1], rtol=2e-3)


def test_a_gradient_of_another_shape_is_refused_where_it_is_set() -> None:
    p = leaf([1.0, 2.0])
    with pytest.raises(ShapeError):
        p.grad = [1.0, 2.0, 3.0]


# -- clipping --------------------------------------------------------------------------------------------


def having(*gradients: Any, dtype: Any = float) -> list[tg.Tensor]:
    parameters = []
    for g in gradients:
        p = leaf(np.zeros(np.shape(g)), dtype)
        p.grad = g
        parameters.append(p)
    return parameters


def test_clipping_the_norm_of_all_gradients_together() -> None:
    p, q, r = [*having([3.0, 0.0], [[4.0]]), leaf([1.0])]
    assert optim.clip_grad_norm_([p, q, r], 1.0) == 5.0
    np.testing.assert_allclose(p.grad, [0.6, 0.0], rtol=1e-15)
    np.testing.assert_allclose(q.grad, [[0.8]], rtol=1e-15)
    assert r.grad is None
    # a short gradient is left alone, bit for bit: clipping does not lengthen
    (p,) = having([3e-9, 4e-9])
    assert optim.clip_grad_norm_([p], 1.0) == pytest.approx(5e-9)
    np.testing.assert_array_equal(p.grad, [3e-9, 4e-9])
    (p,) = having([3.0, 4.0])
    assert optim.clip_grad_norm_([p], 5.0) == 5.0
    np.testing.assert_array_equal(p.grad, [3.0, 4.0])
    assert optim.clip_grad_norm_([leaf([1.0])], 1.0) == 0.0


@pytest.mark.oracle
def test_clipping_agrees_with_torch(torch: Any) -> None:
    rng = np.random.default_rng(0)
    gradients = [rng.standard_normal((3, 4)), rng.standard_normal(5)]
    for name, bound in (("clip_grad_norm_", 0.7), ("clip_grad_norm_", 70.0), ("clip_grad_value_", 0.3)):
        ours, theirs = having(*gradients), [torch.zeros(g.shape, dtype=torch.float64) for g in gradients]
        for q, g in zip(theirs, gradients, strict=True):
            q.grad = torch.tensor(g)
        norm, expected = getattr(optim, name)(ours, bound), getattr(torch.nn.utils, name)(theirs, bound)
        if norm is not None:
            assert norm == pytest.approx(float(expected), rel=1e-12)
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.grad, q.grad, rtol=3e-6)  # torch adds 1e-6 to the norm


def test_clipping_keeps_the_dtype_and_adds_up_in_double_precision() -> None:
    (p,) = having(np.full(10, 1e30), dtype=np.float32)
    assert optim.clip_grad_norm_([p], 1.0) == pytest.approx(1e30 * math.sqrt(10))  # float32 would overflow
    assert p.grad.dtype == np.float32
    np.testing.assert_allclose(p.grad, 1 / math.sqrt(10), rtol=1e-6)
    optim.clip_grad_value_([p], 0.1)
    assert p.grad.dtype == np.float32 and (p.grad == np.float32(0.1)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_gradients_that_are_not_finite_are_reported_and_left(bad: float) -> None:
    p, q = having([1.0, bad], [7.0])
    assert not math.isfinite(optim.clip_grad_norm_([p, q], 1.0))
    np.testing.assert_array_equal(p.grad, [1.0, bad])
    np.testing.assert_array_equal(q.grad, [7.0])


@pytest.mark.parametrize("size", [1e-200, 1e-160, 1e160, 1e200, 1e307])
def test_a_norm_whose_square_no_double_holds(size: float) -> None:
    p, q = having([3 * size, 0.0], [-4 * size])
    assert optim.clip_grad_norm_([p, q], size) == pytest.approx(5 * size)
    np.testing.assert_allclose([*p.grad, *q.grad], [0.6 * size, 0.0, -0.8 * size])


def test_a_gradient_of_zeros_or_without_entries_has_norm_zero() -> None:
    assert optim.clip_grad_norm_(having([0.0, 0.0], np.zeros((0, 3))), 1.0) == 0.0


@pytest.mark.parametrize("clip", [optim.clip_grad_norm_, optim.clip_grad_value_])
def test_a_parameter_given_twice_would_count_twice(clip: Any) -> None:
    (p,) = having([3.0, 4.0])
    with pytest.raises(ValueError, match="parameter 1 was given twice"):
        clip([p, p], 1.0)
    np.testing.assert_array_equal(p.grad, [3.0, 4.0])


def test_clipping_by_value() -> None:
    p, q = [*having([3.0, -0.2, -9.0]), leaf([1.0])]
    optim.clip_grad_value_([p, q], 0.5)
    np.testing.assert_array_equal(p.grad, [0.5, -0.2, -0.5])


@pytest.mark.parametrize("clip", [optim.clip_grad_norm_, optim.clip_grad_value_])
def test_clipping_nothing_or_to_nothing(clip: Any) -> None:
    (p,) = having([3.0])
    for bound in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="must be above 0"):
            clip([p], bound)
    with pytest.raises(TypeError, match="not one tensor"):
        clip(p, 1.0)
    used_up = tg.nn.Linear(1, 1).parameters()
    list(used_up)
    with pytest.raises(ValueError, match=r"model\.parameters\(\) can be gone through only once"):
        clip(used_up, 1.0)
    assert p.grad == 3.0


# -- frozen parameters, and what is no parameter --------------------------------------------------------


@pytest.mark.parametrize(("kind", "options"), OPTIONS)
def test_frozen_parameters_stay_and_go_on_when_thawed(kind: str, options: dict[str, Any]) -> None:
    model = tg.nn.LSTM(2, 2, rng=0)
    model.W_hh.requires_grad = False
    optimizer = getattr(optim, kind)(model.parameters(), **options)
    before = model.state_dict()

    def step() -> None:
        optimizer.zero_grad()
        model(np.ones((3, 1, 2)))[0].sum().backward()
        optim.clip_grad_norm_(model.parameters(), 0.1)
        optim.clip_grad_value_(model.parameters(), 0.1)
        optimizer.step()

    step()
    assert model.W_hh.grad is None
    model.W_hh.grad = np.ones((2, 8))  # one that came before the freezing
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not np.array_equal(value, before[name])}
    assert changed == {"W_xh", "b_h"} and optimizer.updates[1] == 0
    model.requires_grad_(True)
    step()
    assert not np.array_equal(model.W_hh.data, before["W_hh"]) and optimizer.updates[1] == 1


def test_a_model_is_frozen_in_one_call() -> None:
    model = tg.nn.Sequential(tg.nn.Linear(2, 2, rng=0), tg.nn.Linear(2, 1, rng=1))
    assert model[0].requires_grad_(False) is model[0]
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]
    assert all(p.requires_grad for p in model[0].requires_grad_().parameters())  # and thawed
    model[0].requires_grad_(False)
    assert list(model.state_dict()) == [name for name, _ in model.named_parameters()]
    model(np.ones((1, 2))).sum().backward()
    assert model[0].W.grad is None and model[1].W.grad is not None


MODEL = tg.nn.Linear(1, 1, rng=0)


@pytest.mark.parametrize(
    "use", [optim.Adam, lambda p: optim.clip_grad_norm_(p, 1.0), lambda p: optim.clip_grad_value_(p, 1)]
)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (MODEL, r"not Linear: give model\.parameters\(\), with brackets"),
        (MODEL.parameters, r"this is a function: call it, as in model\.parameters\(\)"),
        (MODEL.state_dict(), r"as in model\.parameters\(\), not dict"),
        ("Wb", r"as in model\.parameters\(\), not str"),
        (3, r"as in model\.parameters\(\), not int"),
        (None, r"as in model\.parameters\(\), not NoneType"),
        (list(MODEL.named_parameters()), "parameter 0 must be a Tensor, not tuple: .* without the names"),
        ([MODEL], r"parameter 0 must be a Tensor, not Linear: give its parameters\(\)"),
        ([MODEL.W, np.ones(2)], "parameter 1 must be a Tensor, not ndarray"),
        (["W"], "parameter 0 must be a Tensor, not str"),
    ],
)
def test_what_is_no_sequence_of_parameters_is_named(use: Any, given: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        use(given)


def test_a_tensor_that_never_needed_a_gradient_is_no_parameter() -> None:
    with pytest.raises(GraphError, match=r"parameter 1, 'w', is not a leaf that needs .*requires_grad=True"):
        optim.Adam([leaf(1.0), tg.tensor([1.0], name="w")])


# -- schedules --------------------------------------------------------------------------------------------

SCHEDULES: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.7, "total_iters": 6}),
    ("CosineAnnealingLR", {"T_max": 8, "eta_min": 0.01}),
]


@pytest.mark.oracle
@pytest.mark.parametrize(("kind", "options"), SCHEDULES)
def test_schedules_agree_with_torch(torch: Any, kind: str, options: dict[str, Any]) -> None:
    ours, its = optim.SGD([leaf(0.0)], lr=0.3), torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    a, b = getattr(optim, kind)(ours, **options), getattr(torch.optim.lr_scheduler, kind)(its, **options)
    for _ in range(20):
        assert ours.lr == pytest.approx(its.param_groups[0]["lr"], rel=1e-10, abs=1e-12)
        ours.step(), its.step()
        a.step(), b.step()


def test_schedules_by_hand() -> None:
    def rates(kind: str, n: int = 5, **options: Any) -> list[float]:
        optimizer = optim.SGD([leaf(0.0)], lr=1.0)
        schedule, found = getattr(optim, kind)(optimizer, **options), []
        for _ in range(n):
            assert type(optimizer.lr) is float
            found.append(optimizer.lr)
            schedule.step()
        return found

    assert rates("StepLR", step_size=2, gamma=0.5) == [1, 1, 0.5, 0.5, 0.25]
    assert rates("ExponentialLR", gamma=0.5) == [1, 0.5, 0.25, 0.125, 0.0625]
    assert rates("LinearLR", start_factor=0.5, total_iters=2) == [0.5, 0.75, 1, 1, 1]
    assert rates("CosineAnnealingLR", T_max=4) == pytest.approx([1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5, 0])
    assert rates("LambdaLR", factor=lambda epoch: np.float64(epoch)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("kind", "options"), SCHEDULES)
def test_a_schedule_goes_on_where_it_was_saved(kind: str, options: dict[str, Any]) -> None:
    a, b = optim.SGD([leaf(0.0)], lr=0.3), optim.SGD([leaf(0.0)], lr=5.0)
    first = getattr(optim, kind)(a, **options)
    for _ in range(4):
        first.step()
    b.load_state_dict(a.state_dict())  # the schedule is made anew on an optimizer in the middle of its way
    second = getattr(optim, kind)(b, **options)
    second.load_state_dict(first.state_dict())
    assert second.epoch == 4
    for _ in range(5):
        assert a.lr == b.lr and type(b.lr) is float
        first.step(), second.step()
    with pytest.raises(StateDictError, match=f"{kind}: missing epoch, initial_lr"):
        second.load_state_dict({})


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize(
    "make",
    [
        *(lambda o, kind=kind, options=options: getattr(optim, kind)(o, **options) for kind, options in SCHEDULES),
        lambda o: optim.OneCycleLR(o, 0.5, 20),
        lambda o: optim.ReduceLROnPlateau(o, 0.5, patience=1),
        lambda o: optim.chain(optim.LinearLR(o), optim.ExponentialLR(o, 0.5), milestones=[3]),
    ],
)
def test_a_model_its_optimizer_and_schedule_are_copied_together(make: Any, copied: Any) -> None:
    model = tg.nn.Linear(2, 1, rng=0)
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    schedule = make(optimizer)

    def train(model: Any, optimizer: Any, schedule: Any) -> tuple[bytes, float]:
        for _ in range(3):
            optimizer.zero_grad()
            model(np.ones((1, 2), np.float32)).sum().backward()
            optimizer.step()
            schedule.step(*[1.0] * hasattr(schedule, "measures"))
        return model.W.data.tobytes(), optimizer.lr

    train(model, optimizer, schedule)
    others = copied((model, optimizer, schedule))
    assert others[2].optimizer is others[1] and others[1].parameters[0] is others[0].W is not model.W
    before = model.W.data.tobytes()
    expected = train(*others)
    assert model.W.data.tobytes() == before != expected[0]
    assert train(model, optimizer, schedule) == expected


PAIRS: list[Any] = [
    (lambda L, o: (L.LinearLR(o, 0.1, total_iters=4), L.CosineAnnealingLR(o, 10))),
    (lambda L, o: (L.LinearLR(o, 0.1, total_iters=4), L.CosineAnnealingLR(o, 5, 0.05))),
    (lambda L, o: (L.CosineAnnealingLR(o, 3), L.LinearLR(o, 0.5, total_iters=4))),
    (lambda L, o: (L.LinearLR(o, 0.1, total_iters=4), L.StepLR(o, 5))),
    (lambda L, o: (L.StepLR(o, 5), L.ExponentialLR(o, 0.9))),
    (lambda L, o: (L.StepLR(o, 2, 0.5), L.StepLR(o, 3, 0.5), L.ExponentialLR(o, 0.9))),
]


def rates_of(optimizer: Any, make: Any, get: Any, change: Any) -> list[float]:
    """The rate in each of 14 epochs; it is changed by hand after the fifth."""
    library = optim if isinstance(optimizer, optim.Optimizer) else __import__("torch").optim.lr_scheduler
    schedules, found = make(library, optimizer), []
    for epoch in range(14):
        found.append(get())
        optimizer.step()
        for schedule in schedules:
            schedule.step()
        if epoch == 5:
            change()
    return found


@pytest.mark.oracle
@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("make", PAIRS)
def test_schedules_of_one_optimizer_agree_with_torch(torch: Any, make: Any, by_hand: bool) -> None:
    ours, its = optim.SGD([leaf(0.0)], lr=0.3), torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)

    def change_ours() -> None:
        ours.lr = 0.7 if by_hand else ours.lr

    def change_its() -> None:
        its.param_groups[0]["lr"] = 0.7 if by_hand else its.param_groups[0]["lr"]

    a = rates_of(ours, make, lambda: ours.lr, change_ours)
    b = rates_of(its, make, lambda: its.param_groups[0]["lr"], change_its)
    assert a == pytest.approx(b, rel=1e-9, abs=1e-12)


def test_the_factors_of_two_schedules_multiply() -> None:
    optimizer = optim.SGD([leaf(0.0)], lr=8.0)
    warm, decay = optim.LinearLR(optimizer, 0.5, total_iters=2), optim.ExponentialLR(optimizer, 0.5)
    found = [optimizer.lr]
    for _ in range(3):
        warm.step(), decay.step()
        found.append(optimizer.lr)
    assert found == [4, 3, 2, 1]  # 8 times 1/2 3/4 1 1, times 1 1/2 1/4 1/8


def test_a_rate_comes_back_from_zero() -> None:
    optimizer = optim.SGD([leaf(0.0)], lr=8.0)
    warm, wave = optim.LinearLR(optimizer, 0.5, total_iters=2), optim.CosineAnnealingLR(optimizer, 2)
    found = [optimizer.lr]
    for _ in range(4):
        warm.step(), wave.step()
        found.append(optimizer.lr)
        if found[-1] == 0:
            optimizer.lr = 1.0  # by hand, where there is nothing to scale: what comes is added
    assert found == pytest.approx([4, 3, 0, 5, 10])


def test_a_schedule_in_place_of_another_goes_on_from_the_rate_it_finds() -> None:
    optimizer = optim.SGD([leaf(0.0)], lr=8.0)
    for _ in range(3):
        schedule = optim.ExponentialLR(optimizer, 0.5)
        schedule.step()
    assert optimizer.lr == 1


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("sole", [lambda o: optim.LambdaLR(o, lambda e: 0.5), lambda o: optim.OneCycleLR(o, 1.0, 10)])
def test_beside_a_whole_schedule_there_is_no_other(first: bool, sole: Any) -> None:
    optimizer = optim.SGD([leaf(0.0)], lr=8.0)
    makers = [sole, lambda o: optim.ExponentialLR(o, 0.5)][:: 1 if first else -1]
    makers[0](optimizer)
    rate = optimizer.lr
    with pytest.raises(ValueError, match=r"the optimizer has a schedule already.* write one function of the epoch"):
        makers[1](optimizer)
    assert optimizer.lr == rate


# ------------------------------------------------------------------ a plateau, one cycle, one after the other


@pytest.mark.oracle
@pytest.mark.parametrize("options", [{}, {"cooldown": 3}, {"threshold": 0.1}, {"min_lr": 0.04}])
def test_a_rate_on_a_plateau_agrees_with_torch(torch: Any, options: dict[str, Any]) -> None:
    ours, its = optim.SGD([leaf(0.0)], lr=0.3), torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    a = optim.ReduceLROnPlateau(ours, 0.5, 2, **options)
    b = torch.optim.lr_scheduler.ReduceLROnPlateau(its, factor=0.5, patience=2, **options)
    rng = np.random.default_rng(0)
    for epoch in range(60):
        loss = round(3 * 0.97**epoch + 0.5 * float(rng.normal()), 2)
        a.step(loss), b.step(loss)
        assert ours.lr == pytest.approx(its.param_groups[0]["lr"]), epoch


def test_a_plateau_is_left_and_saved_and_nan_is_nothing_better() -> None:
    def made() -> tuple[Any, Any]:
        optimizer = optim.SGD([leaf(0.0)], lr=1.0)
        return optimizer, optim.ReduceLROnPlateau(optimizer, 0.5, patience=1)

    optimizer, schedule = made()
    losses = [2.0, math.nan, 2.0, 2.0, 1.0, 1.0, 1.0]
    expected = [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]
    for loss, rate in zip(losses, expected, strict=True):
        schedule.step(loss)
        assert optimizer.lr == rate
        again, other = made()
        other.load_state_dict(schedule.state_dict())
        optimizer, schedule = again, other
    with pytest.raises(StateDictError, match="missing best"):
        schedule.load_state_dict({"waited": 1, "resting": 0, "lr": 1.0})


@pytest.mark.oracle
@pytest.mark.parametrize(("total", "part"), [(10, 0.3), (100, 0.25), (7, 0.5)])
def test_one_cycle_agrees_with_torch(torch: Any, total: int, part: float) -> None:
    ours, its = optim.SGD([leaf(0.0)], lr=0.3), torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    a = optim.OneCycleLR(ours, 0.9, total, part)
    b = torch.optim.lr_scheduler.OneCycleLR(its, 0.9, total_steps=total, pct_start=part)
    assert a.per == "step"
    for _ in range(total - 1):
        assert ours.lr == pytest.approx(its.param_groups[0]["lr"])
        its.step()
        a.step(), b.step()


@pytest.mark.parametrize(("total", "part"), [(10, 0.3), (10, 0.1), (10, 0.01), (1, 0.3)])
def test_one_cycle_goes_through_as_many_steps_as_it_was_made_for_and_no_more(total: int, part: float) -> None:
    optimizer = optim.SGD([leaf(0.0)], lr=0.3)
    schedule, rates = optim.OneCycleLR(optimizer, 0.5, total, part), []
    for _ in range(total):  # as a loop does, that ends each batch with a step
        rates.append(optimizer.lr)
        schedule.step()
    assert optimizer.lr == rates[-1] == pytest.approx(0.5 / 25 / 1e4)
    assert max(rates) == pytest.approx(0.5) or part * total < 1
    with pytest.raises(ValueError, match=f"step {total + 1} of total_steps={total}"):
        schedule.step()


@pytest.mark.oracle
def test_a_chain_agrees_with_torch(torch: Any) -> None:
    ours, its = optim.SGD([leaf(0.0)], lr=0.3), torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    L = torch.optim.lr_scheduler
    a = optim.chain(
        optim.LinearLR(ours, 0.1, total_iters=4),
        optim.CosineAnnealingLR(ours, 6, 0.05),
        optim.ExponentialLR(ours, 0.5),
        milestones=[4, 10],
    )
    parts = [L.LinearLR(its, 0.1, total_iters=4), L.CosineAnnealingLR(its, 6, 0.05), L.ExponentialLR(its, 0.5)]
    b = L.SequentialLR(its, parts, milestones=[4, 10])
    for epoch in range(14):
        assert ours.lr == pytest.approx(its.param_groups[0]["lr"]), epoch
        its.step()
        a.step(), b.step()


def test_what_cannot_be_a_schedule_is_named() -> None:
    optimizer, other, fresh = (optim.SGD([leaf(0.0)], lr=0.3) for _ in range(3))
    one, two, cycle = optim.StepLR(optimizer, 2), optim.StepLR(optimizer, 3), optim.StepLR(optimizer, 3)
    cycle.per = "step"  # type: ignore[misc]
    for error, message, make in (
        (ValueError, "chain needs schedules", lambda: optim.chain(milestones=[])),
        (ValueError, "all of the same optimizer", lambda: optim.chain(one, optim.StepLR(other, 2), milestones=[1])),
        (ValueError, "milestones must be 1 ascending", lambda: optim.chain(one, two, milestones=[])),
        (ValueError, "milestones must be 2 ascending", lambda: optim.chain(one, two, one, milestones=[5, 3])),
        (ValueError, "count epochs and some steps", lambda: optim.chain(one, cycle, milestones=[3])),
        (ValueError, "pct_start must be", lambda: optim.OneCycleLR(other, 1.0, 10, pct_start=1.0)),
        (ValueError, "max_lr must be above 0", lambda: optim.OneCycleLR(fresh, -1.0, 10)),
        (ValueError, "factor must be between", lambda: optim.ReduceLROnPlateau(optimizer, 1.5)),
        (ValueError, "patience and cooldown", lambda: optim.ReduceLROnPlateau(optimizer, patience=-1)),
        (TypeError, "must be an Optimizer", lambda: optim.ReduceLROnPlateau(0.1)),
    ):
        with pytest.raises(error, match=message):
            make()


# ------------------------------------------------------------------ groups


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW"])
def test_groups_of_parameters_agree_with_torch(torch: Any, name: str) -> None:
    rng = np.random.default_rng(0)
    starts = [rng.normal(size=3) for _ in range(3)]
    ours = [leaf(start) for start in starts]
    its = [torch.tensor(start, requires_grad=True) for start in starts]

    def groups(p: list[Any]) -> list[dict[str, Any]]:
        return [{"params": p[:1], "lr": 0.05, "weight_decay": 0.1}, {"params": p[1:2], "lr": 0.2}, {"params": p[2:]}]

    a = getattr(optim, name)(groups(ours), lr=0.1, weight_decay=0.01)
    b = getattr(torch.optim, name)(groups(its), lr=0.1, weight_decay=0.01)
    schedules = optim.StepLR(a, 3), torch.optim.lr_scheduler.StepLR(b, 3)
    for _ in range(8):
        for p, q in zip(ours, its, strict=True):
            g = rng.normal(size=3)
            p.grad, q.grad = g, torch.tensor(g)
        a.step(), b.step()
        for schedule in schedules:
            schedule.step()
    for p, q in zip(ours, its, strict=True):
        assert p.data == pytest.approx(q.detach().numpy(), rel=1e-6)


def test_groups_that_are_none_are_named() -> None:
    a, b = leaf(0.0), leaf(1.0)
    for error, message, groups in (
        (TypeError, "group 1 must be", [{"params": [a]}, b]),
        (TypeError, "group 0 must be", [{"params": [a], "momentum": 0.5}]),
        (TypeError, "group 0 must be", [{"parameters": [a]}]),
        (ValueError, "was given twice", [{"params": [a]}, {"params": [a]}]),
        (ValueError, "lr of a group must be 0 or more", [{"params": [a], "lr": -1.0}]),
        (TypeError, "lr of a group must be a number, not 'a'", [{"params": [a], "lr": "a"}]),
        (TypeError, "weight_decay of a group must be a number", [{"params": [a], "weight_decay": None}]),
    ):
        with pytest.raises(error, match=message):
            optim.SGD(groups, lr=0.1)
    assert optim.SGD(({"params": [p], "lr": 0.2} for p in (a, b)), lr=0.1).scales == [2, 2]  # as of a list


def test_the_state_of_groups_is_that_of_their_parameters() -> None:
    def made(first: float) -> Any:
        model = tg.nn.Linear(2, 2, rng=0)
        return model, optim.Adam([{"params": [model.W], "lr": first}, {"params": [model.b]}], lr=0.01)

    def train(model: Any, optimizer: Any) -> bytes:
        for _ in range(3):
            optimizer.zero_grad()
            (model(np.ones((1, 2), np.float32)) ** 2).sum().backward()
            optimizer.step()
        return model.W.data.tobytes()

    a, b = made(0.1), made(0.1)
    train(*a)
    b[0].load_state_dict(a[0].state_dict())
    b[1].load_state_dict(a[1].state_dict())
    assert train(*b) == train(*a)


def test_two_schedules_go_on_where_they_were_saved() -> None:
    def made() -> tuple[Any, list[Any]]:
        optimizer = optim.SGD([leaf(0.0)], lr=8.0)
        return optimizer, [optim.LinearLR(optimizer, 0.5, total_iters=4), optim.CosineAnnealingLR(optimizer, 9, 0.1)]

    a, first = made()
    for _ in range(3):
        [schedule.step() for schedule in first]
    b, second = made()
    b.load_state_dict(a.state_dict())
    for one, other in zip(first, second, strict=True):
        other.load_state_dict(one.state_dict())
    for _ in range(6):
        assert a.lr == b.lr
        [schedule.step() for schedule in (*first, *second)]


def test_a_schedule_needs_an_optimizer() -> None:
    with pytest.raises(TypeError, match="StepLR: optimizer must be an Optimizer, not ExponentialLR"):
        optim.StepLR(optim.ExponentialLR(optim.SGD([leaf(0.0)], lr=1.0), 0.5), 2)


@pytest.mark.parametrize(
    ("kind", "name"), [("StepLR", "step_size"), ("LinearLR", "total_iters"), ("CosineAnnealingLR", "T_max")]
)
def test_schedules_over_no_epochs(kind: str, name: str) -> None:
    for value in (0, -1):
        with pytest.raises(ValueError, match=f"{name} must be 1 or more"):
            getattr(optim, kind)(optim.SGD([leaf(0.0)], lr=1.0), **{name: value})
