"""Changing leaves in place: the SGD of every course trains, and what was computed before is not touched."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DtypeError, GraphError, NotDifferentiableError, ShapeError


def leaf(*values: float, dtype: Any = float) -> tg.Tensor:
    return tg.tensor(np.array(values, dtype), requires_grad=True)


def assign(w: tg.Tensor, value: Any) -> None:
    w[...] = value


SIGNS = {
    "+=": (operator.iadd, operator.add),
    "-=": (operator.isub, operator.sub),
    "*=": (operator.imul, operator.mul),
    "/=": (operator.itruediv, operator.truediv),
    "//=": (operator.ifloordiv, operator.floordiv),
    "%=": (operator.imod, operator.mod),
    "**=": (operator.ipow, operator.pow),
}


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("other", [0.5, np.array([2.0, 3.0]), tg.tensor([2.0, 3.0]), np.float32(1.5)], ids=repr)
@pytest.mark.parametrize("kind", [tg.tensor, tg.nn.Parameter])
def test_augmented_assignment_changes_a_leaf_without_recording(sign: str, other: Any, kind: Any) -> None:
    in_place, plain = SIGNS[sign]
    w = kind([1.25, 2.5])
    w.requires_grad = True
    expected = plain(w.data.copy(), getattr(other, "data", other) if isinstance(other, tg.Tensor) else other)
    with tg.no_grad():
        assert in_place(w, other) is w
    assert w.data.tolist() == expected.tolist()
    assert w.is_leaf and w.requires_grad and type(w) is type(kind([0.0]))


def test_also_by_a_matrix_product() -> None:
    W = tg.tensor(np.eye(2), requires_grad=True)
    with tg.no_grad():
        W @= np.array([[1.0, 2.0], [3.0, 4.0]])
    assert W.data.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("sign", [*SIGNS, "@="])
def test_while_recording_that_of_a_leaf_with_gradient_is_refused(sign: str) -> None:
    w = leaf(1.0, 2.0)
    in_place = SIGNS[sign][0] if sign in SIGNS else operator.imatmul
    with pytest.raises(GraphError, match=r"with tg.no_grad\(\): t .* \.\.\."):
        in_place(w, 0.5 if sign in SIGNS else np.eye(2))
    assert w.data.tolist() == [1, 2]


def _augmented(w: Any, g: Any) -> None:
    w -= 0.1 * g


def _item(w: Any, g: Any) -> None:
    w[...] -= 0.1 * g


def _items(w: Any, g: Any) -> None:
    for k in range(len(w)):
        w[k] = w[k] - 0.1 * g[k]


def _slice(w: Any, g: Any) -> None:
    w[:] = w - 0.1 * g


def _out(w: Any, g: Any) -> None:
    assert np.subtract(w, 0.1 * g, out=w) is w


def _copyto(w: Any, g: Any) -> None:
    np.copyto(w, w - 0.1 * g)


def _at(w: Any, g: Any) -> None:
    np.subtract.at(w, np.arange(len(w)), 0.1 * g)


def _put(w: Any, g: Any) -> None:
    np.put(w, np.arange(w.size), (w - 0.1 * g).data)


UPDATES: dict[str, Callable[[Any, Any], None]] = {
    f.__name__: f for f in (_augmented, _item, _items, _slice, _out, _copyto, _at, _put)
}


def trained(update: Callable[[list[Any]], None]) -> list[float]:
    """The weights of a line after some steps; `update` is given the parameters, in a list."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 2))
    y = x @ np.array([1.0, -2.0]) + 0.5
    parameters = [leaf(0.0, 0.0), leaf(0.0)]
    w, b = parameters
    for _ in range(5):
        loss = ((x @ w + b - y) ** 2).mean()
        loss.backward()
        update(parameters)
        w.grad = b.grad = None
    return [*w.data, *b.data]


@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
def test_every_way_of_writing_sgd_by_hand_trains(update: Callable[[Any, Any], None]) -> None:
    def step(parameters: list[Any]) -> None:
        with tg.no_grad():
            for p in parameters:
                update(p, p.grad)

    def through_data(parameters: list[Any]) -> None:
        for p in parameters:
            p.data -= 0.1 * p.grad

    assert np.allclose(trained(step), trained(through_data), rtol=1e-12, atol=0)
    assert np.allclose(trained(lambda ps: tg.optim.SGD(ps, lr=0.1).step()), trained(through_data), rtol=1e-12, atol=0)


@pytest.mark.parametrize("update", [f for name, f in UPDATES.items() if name not in ("_items",)])
def test_while_recording_each_of_them_is_refused_and_changes_nothing(update: Callable[[Any, Any], None]) -> None:
    w = leaf(1.0, 2.0)
    with pytest.raises((GraphError, NotDifferentiableError)):
        update(w, np.ones(2))
    assert w.data.tolist() == [1, 2]


def test_attributes_of_modules_and_their_optimizers_stay_what_they_are() -> None:
    layer = tg.nn.Linear(2, 1, rng=0, dtype=float)
    W = layer.W
    optimizer = tg.optim.SGD(layer.parameters(), lr=0.1)
    before = W.data.copy()
    layer(np.ones((1, 2))).sum().backward()
    with tg.no_grad():
        layer.W -= 0.1 * layer.W.grad
        layer.W[0] *= 1
    assert layer.W is W is optimizer.parameters[0]
    assert np.allclose(W.data, before - 0.1)
    with pytest.raises(GraphError, match="no_grad"):
        layer.W -= 1
    optimizer.step()
    assert np.allclose(W.data, before - 0.2)


def test_momentum_and_running_averages_in_constants() -> None:
    w, v, seen = leaf(1.0), tg.tensor([0.0]), tg.tensor([0.0])
    velocities = [v]
    for _ in range(2):
        (3 * w).sum().backward()
        for mean in [seen]:
            mean += 1.0
        with tg.no_grad():
            for velocity in velocities:
                velocity *= 0.5
                velocity += w.grad
                w -= velocity
        w.grad = None
    assert v.data.tolist() == [4.5] and seen.data.tolist() == [2]
    assert w.data.tolist() == [1 - 3 - 4.5]


def test_a_constant_that_takes_up_a_loss_becomes_a_result() -> None:
    w, total = leaf(2.0), tg.tensor(0.0)
    start = total
    for k in range(3):
        total += (w * k).sum()
    assert total is not start and start.item() == 0
    total.backward()
    assert w.grad.tolist() == [3]


# ------------------------------------------------------------------ the past is kept


@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
def test_what_was_computed_before_keeps_the_old_values(update: Callable[[Any, Any], None]) -> None:
    w = leaf(1.0, 2.0)
    handed_out = w.data
    y, cut, part = (w * w * w).sum(), w.detach(), w[:1]
    with tg.no_grad():
        update(w, np.ones(2))
    (w * w).sum().backward()
    y.backward()
    assert np.allclose(w.grad, [3 + 2 * 0.9, 12 + 2 * 1.9])
    assert cut.data.tolist() == [1, 2] and part.data.tolist() == [1]
    with pytest.raises(ValueError, match="read-only"):
        handed_out[0] = 9


def test_an_array_that_data_gave_before_an_update_is_locked_and_not_silently_left_behind() -> None:
    w = leaf(1.0, 2.0)
    old = w.data
    with tg.no_grad():
        w -= 1.0
    with pytest.raises(ValueError, match="read-only"):
        old -= 1.0
    for new in ([5.0, 5.0], w.data.copy()):
        old = w.data
        w.data = new
        with pytest.raises(ValueError, match="read-only"):
            old -= 1.0
    buffer = w.data
    for _ in range(2):
        buffer -= 1.0
        w.data = buffer  # the array that it is already
    assert w.data.tolist() == [-2, -1]


def test_a_recorded_backward_notices() -> None:
    w = leaf(1.0, 2.0)
    y = (w**3).sum()
    with tg.no_grad():
        w += 1.0
    with pytest.raises(GraphError, match="was given new data since"):
        tg.grad(y, w, create_graph=True)


def test_a_state_changed_without_recording_does_not_reach_what_it_was_made_from() -> None:
    x = tg.tensor([1.0, 2.0])
    with tg.no_grad():
        h = x[:]
        h += 1.0
        same = x.reshape(2)
        same[0] = 9
    assert x.data.tolist() == [1, 2] and h.data.tolist() == [2, 3]


# ------------------------------------------------------------------ as NumPy does


def test_the_dtype_and_shape_of_the_leaf_are_kept() -> None:
    w = leaf(1.0, 2.0, dtype=np.float32)
    with tg.no_grad():
        w -= np.array([0.5, 0.5])
        w[0] = 3
        np.multiply(w, np.float64(2), out=w, casting="same_kind")
    assert w.dtype == np.float32 and w.data.tolist() == [6, 3]
    count = tg.tensor([1, 2])
    with pytest.raises(DtypeError, match=r"float64, and t is int64"):
        count += 0.5
    with pytest.raises(ShapeError, match=r"shape \(3, 2\), and t has shape \(2,\)"), tg.no_grad():
        w += np.ones((3, 2))
    assert count.data.tolist() == [1, 2] and w.data.tolist() == [6, 3]


def test_functions_with_out_and_into_their_first_argument() -> None:
    w, array, part = leaf(-3.0, 5.0), np.zeros(2), tg.tensor([1.0, 2.0])
    with tg.no_grad():
        assert np.clip(w, -1, 1, out=w) is w
        np.fill_diagonal(w2 := tg.tensor(np.ones((2, 2)), requires_grad=True), 7)
        array += w
        np.add.at(array, [0], w[1])
    assert w.data.tolist() == [-1, 1] and np.diag(w2.data).tolist() == [7, 7]
    array += part  # a constant has no gradient to lose
    np.copyto(array[:1], part[1:])
    assert array.tolist() == [2, 3]
    quotient, rest = tg.tensor([0.0, 0.0]), np.zeros(2)
    assert np.divmod([5.0, 7.0], 2.0, out=(quotient, rest)) == (quotient, rest) or True
    assert quotient.data.tolist() == [2, 3] and rest.tolist() == [1, 1]


@pytest.mark.parametrize(
    "write",
    [
        lambda c, a, t: assign(c, t),
        lambda c, a, t: assign(t * 1, 5.0),
        lambda c, a, t: np.add(c, t, out=c),
        lambda c, a, t: np.add(c, 1.0, out=t),
        lambda c, a, t: np.add(c, 1.0, out=t * 1),
        lambda c, a, t: np.add(a, t, out=a),
        lambda c, a, t: np.sum(t, out=a[0, ...]),
        lambda c, a, t: np.copyto(a, t),
        lambda c, a, t: np.copyto(c, t),
        lambda c, a, t: np.add.at(c, [0], t[0]),
        lambda c, a, t: np.put(a, [0], t),
        lambda c, a, t: np.add(a, 1.0, where=t > 0, out=t),
    ],
)
def test_a_gradient_that_would_be_lost_by_writing_is_refused(write: Callable[..., Any]) -> None:
    constant, array, t = tg.tensor([1.0, 2.0]), np.ones(2), leaf(1.0, 2.0)
    with pytest.raises(NotDifferentiableError, match=r"gradient|recorded|not supported"):
        write(constant, array, t)
    assert constant.data.tolist() == [1, 2] and array.tolist() == [1, 1] and t.data.tolist() == [1, 2]
