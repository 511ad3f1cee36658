"""What a Tensor meets that it does not know: objects beside an operator, functions of other libraries."""

import math
import operator
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DtypeError, GraphError, NotDifferentiableError

T = tg.tensor([1.0, 2.0], requires_grad=True)
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow]
OPERATORS += [operator.matmul]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge]

# ------------------------------------------------------------------ operators


class Stranger:
    """Something with an answer to every operator when it stands on the right."""

    def __radd__(self, other: Any) -> Any:
        return type(self), other

    __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = __rmatmul__ = __radd__
    __lt__ = __le__ = __gt__ = __ge__ = __radd__


class Apart(np.ndarray):
    """An array that says it takes no part in NumPy's functions."""

    __array_ufunc__ = None
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = __rmatmul__ = (
        Stranger.__radd__
    )
    __lt__ = __le__ = __gt__ = __ge__ = Stranger.__radd__


@pytest.mark.parametrize("f", OPERATORS + COMPARISONS)
@pytest.mark.parametrize("other", [Stranger(), np.ones(2).view(Apart)], ids=["object", "array"])
def test_a_stranger_on_the_right_gives_its_own_answer(f: Any, other: Any) -> None:
    kind, met = f(T, other)
    assert kind is type(other)
    assert met is T


@pytest.mark.parametrize("f", OPERATORS + COMPARISONS)
@pytest.mark.parametrize("other", [None, {}, object(), Decimal(1), Fraction(1, 2), "a"], ids=str)
def test_a_stranger_without_an_answer_is_a_type_error_that_names_both(f: Any, other: Any) -> None:
    if (type(other), f) == (Fraction, operator.pow):
        return  # it makes a float of itself
    if (type(other), f) != (str, operator.mod):  # which is formatting
        with pytest.raises(TypeError, match="Tensor"):
            f(other, T)
    with pytest.raises(TypeError, match=rf"'Tensor' and '(decimal\.)?{type(other).__name__}'"):
        f(T, other)


class Equal(Stranger):
    __eq__ = __ne__ = Stranger.__radd__  # type: ignore[assignment]


def test_a_stranger_says_itself_what_it_is_equal_to() -> None:
    for f in (operator.eq, operator.ne):
        assert f(T, Equal())[1] is T
        assert f(Equal(), T)[1] is T
    assert operator.eq(T, {}) is False
    for other in (None, "a", object()):  # to these no entry is equal, in NumPy's words
        np.testing.assert_array_equal(operator.eq(T, other), operator.eq(T.data, other))
        np.testing.assert_array_equal(operator.ne(T, other), operator.ne(T.data, other))


def test_what_becomes_an_array_takes_part_as_one() -> None:
    class Holds:
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
            return np.ones(2)

    class Sub(np.ndarray):
        pass

    for other in (Holds(), np.ones(2).view(Sub), [1, 1], (1.0, 1.0), np.float32(1), True, np.True_):
        y = T + other
        assert type(y) is tg.Tensor
        assert y.requires_grad
        assert y.data.tolist() == [2, 3]


def test_numbers_that_are_not_real_are_named() -> None:
    for other in (1j, np.array([1j, 2]), np.array([None, 1]), np.array(["a", "b"]), [None, 1.0]):
        with pytest.raises(DtypeError, match="an operand of add needs"):
            T + other
    with pytest.raises(DtypeError, match="NoneType"):
        np.add(T, None)


# ------------------------------------------------------------------ functions of other libraries


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(NotDifferentiableError) as raised:
        call()
    return str(raised.value)


def test_a_ufunc_is_called_by_its_own_name_and_the_cure_is_named() -> None:
    special = pytest.importorskip("scipy.special")
    assert refusal(lambda: special.expit(T)).startswith(
        "scipy.special.expit of a Tensor is not supported: use tg.sigmoid"
    )
    assert "tg.softplus" in refusal(lambda: special.log_expit(T))
    assert "use np.cbrt" in refusal(lambda: special.cbrt(T))
    for f in (special.erf, special.gammaln, special.jv, special.xlogy):
        said = refusal(lambda f=f: f(*[T] * f.nin))
        assert said.startswith(f"scipy.special.{f.__name__} of a Tensor")
        assert "write your own tg.Op" in said
        assert "np." not in said
    assert refusal(lambda: special.xlogy.reduce(T)).startswith("scipy.special.xlogy.reduce of a Tensor")
    assert refusal(lambda: special.xlogy(T, T, where=[True, False])).startswith("scipy.special.xlogy with where")
    assert refusal(lambda: special.expit(T, out=np.ones(2))).startswith("scipy.special.expit into an existing array")


def test_a_function_that_makes_an_array_of_its_argument_is_named() -> None:
    special, linalg = pytest.importorskip("scipy.special"), pytest.importorskip("scipy.linalg")
    said = refusal(lambda: special.logsumexp(T))
    assert said.startswith("scipy.special.logsumexp of a Tensor is not supported, since turning a Tensor")
    assert "use tg.logsumexp" in said
    assert "use tg.softmax" in refusal(lambda: special.softmax(T))
    assert "use np.linalg.inv" in refusal(lambda: linalg.inv(np.outer(T, T)))


def test_a_ufunc_made_of_a_function_is_not_numpys() -> None:
    said = refusal(lambda: np.frompyfunc(math.gamma, 1, 1)(T))
    assert said.startswith("the function 'gamma (vectorized)' of a Tensor is not supported")
    assert refusal(lambda: np.vectorize(math.gamma)(T)).startswith("np.vectorize of a Tensor is not supported")


def test_a_function_of_another_library_that_asks_its_arguments_is_called_by_its_name() -> None:
    def dispatched(x: Any) -> Any:
        return x.__array_function__(dispatched, (type(x),), (x,), {})

    dispatched.__module__, dispatched.__name__ = "labelled.numpy.tools", "smooth"
    assert refusal(lambda: dispatched(T)).startswith("labelled.numpy.tools.smooth of a Tensor is not supported")


def test_a_function_is_called_by_the_shortest_name_it_is_known_by() -> None:
    for name, call in {
        "np.full": lambda: np.full(3, T),
        "np.r_": lambda: np.r_[T, 1.0],
        "np.testing.assert_allclose": lambda: np.testing.assert_allclose(T, T),
        "np.ma.masked_where": lambda: np.ma.masked_where(T > 1, T),
        "np.ndenumerate": lambda: list(np.ndenumerate(T)),
        "np.vectorize": lambda: np.vectorize(abs)(T),
    }.items():
        assert refusal(call).startswith(f"{name} of a Tensor is not supported, since turning a Tensor")
    assert "use np.concatenate" in refusal(lambda: np.c_[T, T])


@pytest.mark.parametrize("name", ["mean", "sum", "max", "var", "cumsum", "average", "sort", "argmax"])
def test_a_list_of_losses_is_no_tensor_and_the_message_says_what_to_do_with_it(name: str) -> None:
    losses = [(T * k).sum() for k in range(3)]
    said = refusal(lambda: getattr(np, name)(losses))
    assert said.startswith(
        f"np.{name} of a list of Tensors would lose the gradient: put them together first, as in np."
    )
    assert "[t.item() for t in list]" in said
    assert getattr(np, name)(np.stack(losses)) is not None
    assert getattr(np, name)([loss.item() for loss in losses]) is not None


def test_a_function_of_an_installed_package_is_named_and_no_wrapper_of_it() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    for name in ("scatter", "bar", "errorbar", "vlines"):  # some are wrapped by decorators
        said = refusal(lambda name=name: getattr(pyplot, name)(T, T, T))
        assert said.startswith(f"matplotlib.pyplot.{name} of a Tensor is not supported")
        assert said.endswith("give it t.detach() if that is meant")  # an op of one's own would be no plot
    with pytest.raises(GraphError, match=r"^matplotlib\.pyplot\.plot of a Tensor: only leaves .* use t\.detach\(\)"):
        pyplot.plot(T)
    pyplot.close("all")


def test_numpys_own_functions_keep_their_names() -> None:
    for name, call in {
        "np.spacing": lambda: np.spacing(T),
        "np.fft.fft": lambda: np.fft.fft(T),
        "np.linalg.tensorinv": lambda: np.linalg.tensorinv(np.outer(T, T), 1),
        "np.add.reduce": lambda: np.add.reduce(T),
    }.items():
        assert refusal(call).startswith(f"{name} of a Tensor is not supported: use the functions in the documentation")
