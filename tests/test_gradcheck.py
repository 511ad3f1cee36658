"""gradcheck tells right rules from wrong ones, at each order, and says where a wrong one is wrong."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DtypeError, GradcheckError


def leaf(*data: Any) -> tg.Tensor:
    return tg.tensor(np.array(data, dtype=float), requires_grad=True)


def op(forward: Callable[..., Any], rule: Callable[..., Any]) -> tg.Op:
    """An op from two functions."""
    return type("Sample", (tg.Op,), {"forward": lambda self, *xs: forward(*xs), "vjp": lambda self, *a: rule(*a)})()


def cube(wrong: float) -> tg.Op:
    """x³ with a rule wrong by this factor."""
    return op(lambda x: x**3, lambda g, y, x: g * (3 * wrong) * x**2)


class Twice(tg.Op):
    """x³; its rule is right, but applies an op whose own rule is wrong by 0.1 %: an error of second order alone."""

    def forward(self, x: Any) -> Any:
        return x**3

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return g * 3 * op(np.square, lambda g, y, x: g * 2.002 * x)(x)


def test_a_right_rule_passes_at_every_order() -> None:
    for order in (1, 2, 3):
        assert tg.gradcheck(cube(1.0), leaf(0.5, -1.5), order) is True
        assert tg.gradcheck(lambda x, y: np.tanh(x) @ y, [leaf([0.5, 1.0]), leaf([0.1], [0.2])], order)


@pytest.mark.parametrize("wrong", [1.001, 0.999, 1 + 1e-5, -1.0, 0.0])
def test_a_wrong_factor_is_found_however_small(wrong: float) -> None:
    x = leaf(0.5, -1.5)
    with pytest.raises(GradcheckError, match=r"order 1, inputs\[0\]\[1\]: the rule gives") as caught:
        tg.gradcheck(cube(wrong), x)
    rule, differences = re.findall(r"gives? (-?[\d.]+)", str(caught.value))
    assert float(rule) == pytest.approx(wrong * float(differences), rel=1e-8)


def test_a_rule_wrong_at_second_order_alone_passes_order_1_and_fails_order_2() -> None:
    assert tg.gradcheck(Twice(), leaf(0.5, -1.5), order=1)
    with pytest.raises(GradcheckError, match=r"order 2, inputs\[0\]\[1\]"):
        tg.gradcheck(Twice(), leaf(0.1, -1.5), order=2)


def test_a_rule_that_loses_the_graph_fails_order_2() -> None:
    constant = op(np.square, lambda g, y, x: g * 2 * getattr(x, "array", x))
    assert tg.gradcheck(constant, leaf(1.5))
    with pytest.raises(GradcheckError, match=r"order 2.*the rule gives 0"):
        tg.gradcheck(constant, leaf(1.5), order=2)


def test_one_wrong_entry_of_one_input_is_named() -> None:
    weights = np.ones((2, 3))
    weights[1, 2] = 1.001
    wrong = op(np.multiply, lambda g, y, a, b: (g * b, g * a * weights))
    with pytest.raises(GradcheckError, match=r"inputs\[1\]\[1, 2\]: the rule gives"):
        tg.gradcheck(wrong, [leaf([1, 2, 3], [4, 5, 6]), leaf([6, 5, 4], [3, 2, 1])])


def test_a_number_is_named_without_an_index() -> None:
    with pytest.raises(GradcheckError, match=r"inputs\[0\]: the rule gives"):
        tg.gradcheck(cube(1.001), tg.tensor(2.0, requires_grad=True))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_nan_or_an_infinity_in_the_rule_fails(bad: float) -> None:
    poisoned = op(np.square, lambda g, y, x: g * np.where(x > 1, bad, 2 * x))
    with pytest.raises(GradcheckError, match=r"inputs\[0\]\[1\]: the rule gives -?(nan|inf)"):
        tg.gradcheck(poisoned, leaf(0.5, 1.5))


def test_a_nan_in_the_function_fails() -> None:
    with pytest.raises(GradcheckError, match=r"inputs\[0\]\[0\].*nan"), np.errstate(invalid="ignore"):
        tg.gradcheck(np.log, leaf(-1.0, 2.0))


def test_a_missing_gradient_fails() -> None:
    forgotten = op(np.multiply, lambda g, y, a, b: (g * b, None))
    with pytest.raises(GradcheckError, match=r"inputs\[1\]\[0\]: the rule gives 0, central differences give"):
        tg.gradcheck(forgotten, [leaf(1.0), leaf(2.0)])


def test_a_sum_over_a_broadcast_axis_that_is_missing_fails() -> None:
    first_only = op(np.add, lambda g, y, a, b: (g, g[0]))
    with pytest.raises(GradcheckError, match=r"inputs\[1\]"):
        tg.gradcheck(first_only, [leaf([1, 2], [3, 4]), leaf(1, 2)])


def test_functions_whose_gradient_is_constant_or_zero_pass_order_2() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    assert tg.gradcheck(lambda a, b: a + b, [x, y], order=2)
    assert tg.gradcheck(lambda a, b: a * 2, [x, y], order=2)
    assert tg.gradcheck(np.sign, x, order=3)
    assert tg.gradcheck(lambda a: tg.tensor(1.0), x, order=2)


def test_several_outputs_are_all_checked() -> None:
    assert tg.gradcheck(lambda x: np.split(x**2, 2), leaf(1, 2, 3, 4), order=2)
    with pytest.raises(GradcheckError):
        tg.gradcheck(lambda x: [x * 2, cube(1.001)(x)], leaf(1, 2))


def test_inputs_that_need_no_gradient_are_held_fixed_whatever_their_dtype() -> None:
    index = tg.tensor([0, 1, 1])
    assert tg.gradcheck(lambda x, i: x[i] ** 2, [leaf(1, 2, 3), index], order=2)


def test_the_inputs_are_left_as_they_were() -> None:
    x = leaf(0.5, -1.5)
    before = x.data.copy()
    tg.gradcheck(np.tanh, x, order=2)
    assert x.data.tolist() == before.tolist()
    assert x.grad is None


def test_the_same_seed_gives_the_same_projection() -> None:
    def message(rng: Any) -> str:
        with pytest.raises(GradcheckError) as caught:
            tg.gradcheck(cube(1.001), leaf(0.5, -1.5), rng=rng)
        return str(caught.value)

    assert message(3) == message(np.random.default_rng(3)) != message(4)


def test_inputs_it_cannot_judge_are_refused() -> None:
    for inputs in (np.ones(3), [leaf(1.0), np.ones(1)]):
        with pytest.raises(
            TypeError, match=r"inputs must be a Tensor or several, and inputs\[\d\] is a (float64|ndarray)"
        ):
            tg.gradcheck(np.add, inputs)
    with pytest.raises(DtypeError, match=r"float64.*inputs\[1\] is float32"):
        tg.gradcheck(np.add, [leaf(1.0), tg.tensor([1.0], np.float32, requires_grad=True)])
    with pytest.raises(GradcheckError, match="requires_grad=True"):
        tg.gradcheck(np.tanh, tg.tensor([1.0]))
