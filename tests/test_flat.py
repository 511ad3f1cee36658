"""Functions that are constant between jumps: their derivatives are zeros, of every order, and their values places."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DtypeError, NotDifferentiableError

STEPS: list[Callable[[Any], Any]] = [
    np.floor,
    np.ceil,
    np.trunc,
    np.rint,
    np.round,
    np.sign,
    lambda x: np.round(x, 0),
    lambda x: x // 1,
    lambda x: np.floor(3 * x) + 1,
    lambda x: np.clip(np.rint(x * 2), 0, 3),
    lambda x: np.stack([np.floor(x[0]), np.sign(x[1])]),
]
W = tg.tensor([[1.0, -2.0], [0.5, 0.3]])
FLAT: list[Callable[[Any], Any]] = [*STEPS, lambda x: 3 * x]


def leaf(*data: float) -> tg.Tensor:
    return tg.tensor(np.array(data, float), requires_grad=True)


@pytest.mark.parametrize("f", STEPS)
def test_the_gradient_of_a_step_is_zeros(f: Callable[[Any], Any]) -> None:
    x = leaf(1.7, 0.4)
    f(x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0, 0]


@pytest.mark.parametrize("f", [*FLAT, lambda x: tg.relu(x @ W) @ W])
def test_second_derivatives_of_what_is_flat_or_straight_are_zeros(f: Callable[[Any], Any]) -> None:
    def total(x: Any) -> Any:
        return f(x).sum()

    x = leaf(1.7, 0.4)
    slope = tg.grad(total(x), x, create_graph=True)
    curve = tg.grad(slope.sum(), x, create_graph=True)
    assert curve.data.tolist() == tg.grad(curve.sum(), x).data.tolist() == [0, 0]
    assert tg.hessian(total, x).data.tolist() == [[0, 0], [0, 0]]
    assert tg.hvp(total, x, [1.0, 1.0])[1].data.tolist() == [0, 0]
    assert tg.jacobian(lambda x: tg.grad(total(x), x, create_graph=True), x).data.tolist() == [[0, 0], [0, 0]]


def test_a_constant_gradient_depends_on_every_input_it_was_asked_for() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0)
    gx, gy = tg.grad(2 * x.sum() + 5 * y.sum(), [x, y], create_graph=True)
    assert (gx.data.tolist(), gy.data.tolist()) == ([2, 2], [5])
    assert tg.grad(gx.sum(), y).data.tolist() == [0] and tg.grad(gy.sum(), x).data.tolist() == [0, 0]
    assert not tg.grad(2 * x.sum(), x).requires_grad  # nothing is recorded unless asked for


@pytest.mark.parametrize("f", STEPS)
def test_what_is_flat_may_be_an_index(f: Callable[[Any], Any]) -> None:
    x = leaf(1.7, 0.4)
    places = f(x).astype(int)
    assert not places.requires_grad and places.dtype == int and places.cut is None
    np.testing.assert_array_equal(np.arange(10)[places], np.arange(10)[f(x.data).astype(int)])
    np.testing.assert_array_equal(np.asarray(f(x)), f(x.data))
    (table := leaf(*range(10)))[places].sum().backward()
    assert table.grad is not None and table.grad.sum() == 2


def test_linear_interpolation_between_places_found_by_floor() -> None:
    values, x = leaf(0.0, 1.0, 4.0, 9.0), leaf(1.25, 2.5)

    def between(values: Any, x: Any) -> Any:
        left = np.floor(x).astype(int)
        return values[left] + (x - left) * (values[left + 1] - values[left])

    assert between(values, x).data.tolist() == [1.75, 6.5]
    assert tg.grad(between(values, x).sum(), x).data.tolist() == [3, 5]
    assert tg.gradcheck(between, (values, x), order=2)


@pytest.mark.parametrize("f", [lambda x: x, lambda x: x + np.floor(x), lambda x: x % 1, lambda x: np.maximum(x, 0)])
def test_what_has_a_gradient_is_no_index(f: Callable[[Any], Any]) -> None:
    x = leaf(1.7, 0.4)
    with pytest.raises(DtypeError, match=r"np.floor\(t\).astype\(int\)"):
        f(x).astype(int)
    with pytest.raises(NotDifferentiableError):
        np.asarray(f(x))


def test_where_the_graph_is_freed_nothing_is_known() -> None:
    y = leaf(1.7) * 2
    y.sum().backward()
    with pytest.raises(DtypeError):
        y.astype(int)


def test_the_branch_that_where_leaves_out_is_made_harmless_before_it_is_computed() -> None:
    x = leaf(-1.0, -4.0, 4.0)
    with np.errstate(invalid="ignore"):
        plain = tg.grad(np.where(x > 0, np.sqrt(x), x).sum(), x)
    assert np.isnan(plain.data[:2]).all()  # 0 times the slope of a root that does not exist
    safe = np.where(x > 0, x, 1.0)
    assert tg.grad(np.where(x > 0, np.sqrt(safe), x).sum(), x).data.tolist() == [1, 1, 0.25]
