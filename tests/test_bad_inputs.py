"""What is answered to bad inputs: the specification in one table, sixteen groups, a row an item.

A row says what is done, which built-in exception it raises and which words its message names (the argument, what was
expected, what was given, the cure); or, where a doubtful input has a documented answer, that answer. No refusal
changes anything: tensors, gradients and modules are compared before and after. The reasons, the variants and the
numbers are tested where the other tests of each module are.
"""

import copy
import math
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import AnomalyError, FreedGraphError, OverwrittenError

nn, optim, bptt = tg.nn, tg.optim, tg.bptt
nan, inf = math.nan, math.inf

Row = tuple[str, Callable[..., Any], type[Exception], list[str]]


def refused_rows(*rows: Row) -> Any:
    """A test for each row: what is done (also its name), how, the built-in exception, the words of its message."""
    return pytest.mark.parametrize(("do", "error", "words"), [pytest.param(*row[1:], id=row[0]) for row in rows])


def answered_rows(*rows: tuple[str, Callable[[], Any], Any]) -> Any:
    """A test for each row: what is done (also its name), how, and the answer."""
    return pytest.mark.parametrize(("do", "answer"), [pytest.param(*row[1:], id=row[0]) for row in rows])


@contextmanager
def refused(error: type[Exception], words: list[str]) -> Iterator[None]:
    with pytest.raises(error) as caught:
        yield
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message


def plain(answer: Any) -> Any:
    """An answer as Python numbers in lists and tuples."""
    if isinstance(answer, tuple):
        return tuple(map(plain, answer))
    answer = answer.data if isinstance(answer, tg.Tensor) else answer
    return answer.tolist() if isinstance(answer, np.ndarray | np.generic) else answer


def check_answer(do: Callable[[], Any], answer: Any) -> None:
    """`do` gives the answer, nan being equal to nan, and warns exactly as often as the row says: by default never."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = do()
    expected, expected_warnings = (answer.answer, answer.words) if isinstance(answer, Warned) else (answer, [])
    np.testing.assert_equal(plain(found), expected)
    assert len(caught) == len(expected_warnings), [str(w.message) for w in caught]
    for w, word in zip(caught, expected_warnings, strict=True):
        assert word in str(w.message)


class Warned:
    """An answer that comes with warnings, one for each word."""

    def __init__(self, answer: Any, *words: str) -> None:
        self.answer, self.words = answer, words


def leaf(*data: Any, **options: Any) -> tg.Tensor:
    return tg.tensor(np.array(data, dtype=float), requires_grad=True, **options)


def number(x: float) -> tg.Tensor:
    return tg.tensor(float(x), requires_grad=True)


def gradient(f: Callable[..., Any], *data: Any) -> Any:
    """The gradient of the sum of f, of one argument or of each."""
    xs = [tg.tensor(np.array(x, dtype=float), requires_grad=True) for x in data]
    f(*xs).sum().backward()
    found = tuple(x.grad for x in xs)
    return found[0] if len(found) == 1 else found


def leaf_with_gradient() -> tg.Tensor:
    """A leaf of shape (2, 3) that has a gradient already, so that any change would show."""
    t = leaf([1.0, 2, 3], [4, 5, 6], name="t")
    t.grad = np.full((2, 3), 7.0)
    return t


@contextmanager
def tensor_unchanged(t: tg.Tensor) -> Iterator[None]:
    """Values, gradient, dtype and flags of a leaf are as before, and it can be differentiated."""
    before = (t.array.copy(), copy.copy(t.grad), t.dtype, t.requires_grad, t.name)
    yield
    assert np.array_equal(t.array, before[0])
    assert (t.grad is None) == (before[1] is None) and (t.grad is None or np.array_equal(t.grad, before[1]))
    assert (t.dtype, t.requires_grad, t.name) == before[2:]
    assert tg.is_grad_enabled()
    assert np.array_equal(tg.grad((t * t).sum(), t).data, 2 * t.data)


def everything_in(module: Any) -> dict[str, Any]:
    """The parameters, gradients, attributes and random state of a module and those inside it."""
    found: dict[str, Any] = {}
    for k, m in enumerate(module.modules()):
        for name, value in vars(m).items():
            if isinstance(value, tg.Tensor):
                found[f"{k}.{name}"] = (value.data.tolist(), None if value.grad is None else value.grad.tolist())
            elif isinstance(value, np.random.Generator):
                found[f"{k}.{name}"] = copy.deepcopy(value.bit_generator.state)
            elif not isinstance(value, nn.Module):
                found[f"{k}.{name}"] = repr(value)
    return found


@contextmanager
def module_unchanged(module: Any) -> Iterator[None]:
    for p in module.parameters():
        p.grad = np.ones(p.shape)
    before = everything_in(module)
    yield
    assert everything_in(module) == before


class ArrayOnly:
    """A stranger to NumPy that can become an array, as a column of a data frame can."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.values)


class Sparse:
    """A matrix that is no array, as the sparse ones are: on the left it asks for a dense one on the right."""

    def __matmul__(self, other: Any) -> Any:
        return np.asarray(other)


# ------------------------------------------------------------------ 1. data


@refused_rows(
    ("a string", lambda: "abc", TypeError, ["a tensor needs numbers, a list or an array", "str"]),
    ("None", lambda: None, TypeError, ["needs numbers", "NoneType"]),
    ("rows of unequal length", lambda: [[1, 2], [3]], TypeError, ["equal rows", "inhomogeneous"]),
    ("an array of objects", lambda: np.array([1, "a"], object), TypeError, ["real numbers", "dtype object"]),
    ("an array of strings", lambda: np.array(["a"]), TypeError, ["real numbers", "dtype <U1"]),
    ("an array of dates", lambda: np.array(["2024-01-01"], "M8[D]"), TypeError, ["real numbers", "datetime64[D]"]),
    ("a set", lambda: {1, 2}, TypeError, ["needs numbers, a list or an array", "set"]),
    ("a generator", lambda: (x for x in [1.0]), TypeError, ["needs numbers, a list or an array", "generator"]),
    ("a Tensor inside a list", lambda: [leaf(1), leaf(2)], TypeError, ["list of Tensors", "np.stack"]),
    ("None inside a list", lambda: [1.0, None], TypeError, ["real numbers", "dtype object", "None"]),
)
@pytest.mark.parametrize("given", ["data", "new data", "new grad", "an operand", "a gradient"])
def test_1_data_that_are_no_real_numbers(do: Any, error: Any, words: list[str], given: str) -> None:
    """What is neither a number, a list of equal rows nor an array of real numbers becomes no tensor."""
    t = leaf_with_gradient()
    what = {
        "data": "a tensor",
        "new data": "data",
        "new grad": "grad",
        "an operand": "an operand of add",
        "a gradient": "the gradient of backward()",
    }[given]
    ways: dict[str, Callable[[Any], Any]] = {
        "data": tg.tensor,
        "new data": lambda data: setattr(t, "data", data),
        "new grad": lambda data: setattr(t, "grad", data),
        "an operand": lambda data: np.add(t, data),  # of an operator: see test_strangers.py
        "a gradient": lambda data: (t * 2).backward(data),
    }
    data = do()
    if data is None and given in ("new grad", "a gradient"):
        return  # there None has a meaning: no gradient, and a gradient of 1
    with tensor_unchanged(t), refused(error, [what, *(word.replace("a tensor ", "") for word in words)]):
        ways[given](data)


# ------------------------------------------------------------------ 2. requires_grad


@refused_rows(
    (
        "of integers",
        lambda: tg.tensor([1, 2], requires_grad=True),
        TypeError,
        ["requires_grad=True", "int64", "dtype=f"],
    ),
    ("of bools", lambda: tg.tensor([True], requires_grad=True), TypeError, ["floating-point", "bool", "dtype=float"]),
    ("of complex numbers", lambda: tg.tensor([1j], requires_grad=True), TypeError, ["real numbers", "complex128"]),
    ("of one complex number", lambda: tg.tensor(1j, requires_grad=True), TypeError, ["needs numbers", "complex"]),
    ("of dtype=complex", lambda: tg.tensor([1.0], complex, True), TypeError, ["real numbers", "complex128"]),
    ("cast to complex", lambda: leaf(1).astype(complex), TypeError, ["complex128", "lose the gradient", "detach"]),
    ("cast to int", lambda: leaf(1).astype(int), TypeError, ["int64", "lose the gradient", "detach"]),
)
def test_2_gradients_of_what_is_not_real(do: Any, error: Any, words: list[str]) -> None:
    """Only floating-point numbers have derivatives; complex ones are refused, never cast."""
    with refused(error, words):
        do()


def test_2_integers_told_later_to_need_a_gradient() -> None:
    t = tg.tensor([1, 2])
    t.requires_grad = True
    with refused(TypeError, ["int64", "cannot have a gradient", "requires_grad"]):
        (t * 1.5).sum().backward()
    assert t.grad is None and t.data.tolist() == [1, 2]


# ------------------------------------------------------------------ 3. backward


def second_backward(t: Any) -> None:
    y = (t.detach() * number(1)).sum()
    y.backward()
    y.backward()


def anomalous(step: Callable[[], Any]) -> None:
    with np.errstate(all="ignore"), tg.anomaly():
        step()


@refused_rows(
    ("many entries, no gradient", lambda t: (t * 2).backward(), ValueError, ["(2, 3)", "y.sum()", "gradient of shape"]),
    ("the same is a GraphError too", lambda t: (t * 2).backward(), RuntimeError, ["backward()", "(2, 3)"]),
    (
        "no graph: a constant",
        lambda t: tg.tensor(1.0).backward(),
        RuntimeError,
        ["needs no gradient", "requires_grad="],
    ),
    (
        "no graph: detached",
        lambda t: t.sum().detach().backward(),
        RuntimeError,
        ["backward()", "detach()", "no_grad()"],
    ),
    (
        "a second time",
        second_backward,
        RuntimeError,
        ["op sum", "freed by an earlier", "retain_graph=True", "before backward()"],
    ),
    ("of wrong shape", lambda t: t.backward(np.ones((3, 2))), ValueError, ["backward()", "(3, 2)", "(2, 3)"]),
    ("of a shape that broadcasts", lambda t: t.backward(np.ones(3)), ValueError, ["gradient", "(3,)", "(2, 3)"]),
    ("a number for many", lambda t: t.backward(1.0), ValueError, ["gradient", "()", "(2, 3)"]),
    (
        "of complex dtype",
        lambda t: t.backward(np.full((2, 3), 1j)),
        TypeError,
        ["gradient of backward()", "complex128"],
    ),
    (
        "nan given, within anomaly",
        lambda t: anomalous(lambda: (t * 2).backward(np.full((2, 3), nan))),
        ArithmeticError,
        ["backward()", "result of op multiply", "nan at [0, 0]", "test_bad_inputs.py", ".backward("],
    ),
    (
        "nan made by an op, within anomaly",
        lambda t: anomalous(lambda: np.log(t - 2)),
        ArithmeticError,
        ["op log", "nan at [0, 0]", "finite inputs", "test_bad_inputs.py", "np.log(t - 2)"],
    ),
    (
        "nan made by a rule, within anomaly",
        lambda t: anomalous(lambda: np.sqrt(t - 1).sum().backward()),
        ArithmeticError,
        ["rule of op sqrt", "inf at [0, 0]", "input 0", "which is 0 there", "test_bad_inputs.py", "np.sqrt(t - 1)"],
    ),
)
def test_3_backward_that_cannot_start(do: Any, error: Any, words: list[str]) -> None:
    """A gradient needs a number to be of (or one to start from that fits), a graph, and one that is still there."""
    t = leaf_with_gradient()
    with tensor_unchanged(t), refused(error, words):
        do(t)


@answered_rows(
    ("one entry in any shape", lambda: gradient(lambda x: x.reshape(1, 1), 3), 1.0),
    ("a leaf itself", lambda: gradient(lambda x: x, [3, 4]), [1.0, 1.0]),
    ("float64 for a float32 tensor", lambda: started(np.float32, np.ones(2)), (np.dtype("f4"), [2.0, 2.0])),
    ("integers for a float tensor", lambda: started(float, [1, 1]), (np.dtype("f8"), [2.0, 2.0])),
    ("nan outside anomaly stays visible", lambda: started(float, [nan, 1]), (np.dtype("f8"), [nan, 2.0])),
)
def test_3_backward_that_starts(do: Any, answer: Any) -> None:
    """A gradient of real numbers is cast to the dtype of the tensor."""
    check_answer(do, answer)


def started(dtype: Any, g: Any) -> tuple[Any, Any]:
    x = tg.tensor([1.0, 2.0], dtype, requires_grad=True)
    (x * 2).backward(g)
    assert x.grad is not None
    return x.grad.dtype, x.grad


# ------------------------------------------------------------------ 4. writing in place


def set_item(t: Any) -> None:
    t[0] = 9.0


def write_to(array: Any) -> None:
    array[...] = 9.0


def write_to_reference(t: Any) -> None:
    array = t.data
    (t * t).sum()
    array[...] = 9.0


@refused_rows(
    ("an item of a leaf", set_item, TypeError, ["cannot be written into", "np.where", "t.data"]),
    ("an item of a result", lambda t: set_item(t * 2), TypeError, ["cannot be written into", "np.stack"]),
    ("the data of a result", lambda t: write_to((t * 2).data), ValueError, ["read-only"]),
    ("a view of a result", lambda t: write_to((t * 2).data[0]), ValueError, ["read-only"]),
    ("an old reference to used data", write_to_reference, ValueError, ["read-only"]),
    ("new data for a result", lambda t: setattr(t * 2, "data", 1.0), RuntimeError, ["op=multiply", "only a leaf"]),
)
def test_4_what_cannot_be_written_to(do: Any, error: Any, words: list[str]) -> None:
    """What was computed, and what it was computed from, cannot be changed afterwards."""
    t = leaf_with_gradient()
    with tensor_unchanged(t), refused(error, words):
        do(t)


def write_own_array(x: Any, array: Any) -> None:
    array[...] = 9


def write_data(x: Any, array: Any) -> None:
    x.data[...] = 9


def write_view(x: Any, array: Any) -> None:
    x.data.reshape(-1)[0] = 9


def give_data(x: Any, array: Any) -> None:
    x.data = [9, 9]


def optimizer_step(x: Any, array: Any) -> None:
    x.grad = [1, 1]
    optim.SGD([x], lr=7.0).step()
    x.grad = None


@pytest.mark.parametrize(
    ("change", "after"),
    [
        pytest.param(write_own_array, [1.0, 2.0], id="the caller's array, which was copied"),
        pytest.param(write_data, [9.0, 9.0], id="data written to"),
        pytest.param(write_view, [9.0, 2.0], id="a view of data written to"),
        pytest.param(give_data, [9.0, 9.0], id="data replaced"),
        pytest.param(optimizer_step, [-6.0, -5.0], id="a step of an optimizer"),
    ],
)
def test_4_a_leaf_changed_between_forward_and_backward(change: Any, after: list[float]) -> None:
    """The gradient is that of the values used; recording it anew from changed values is refused."""
    array = np.array([1.0, 2.0])
    x, factor = tg.tensor(array, requires_grad=True), np.array([1.0, 1.0])
    y = (x * x * factor).sum()
    factor[:] = 100
    change(x, array)
    assert x.data.tolist() == after
    y.backward(retain_graph=True)
    assert plain(x.grad) == [2, 4]
    if after != [1, 2]:
        with refused(RuntimeError, ["shape (2,)", "<record", "multiply>", "new data"]):
            tg.grad(y, x, create_graph=True)
        with pytest.raises(OverwrittenError):
            tg.grad(y, x, create_graph=True)
    assert plain(x.grad) == [2, 4] and x.data.tolist() == after


def test_4_a_view_taken_before_the_use_and_written_to_after_it() -> None:
    """NumPy leaves such a view writable; what was computed does not depend on it."""
    x = leaf(1, 2)
    view = x.data[:]
    y = (x * x).sum()
    view[...] = 9
    y.backward()
    assert plain(x.grad) == [2, 4] and x.data.tolist() == [1, 2]


def test_4_augmented_assignment_to_a_result_makes_a_new_tensor() -> None:
    x = leaf(1, 2)
    t = y = x * 1
    t += 1
    assert t is not y and y.data.tolist() == x.data.tolist() == [1, 2]


# ------------------------------------------------------------------ 5. shapes, axes and indices

A = np.ones((2, 3))


@refused_rows(
    ("(2, 3) + (4,)", lambda t: t + np.ones(4), ValueError, ["add", "float64[2, 3]", "float64[4]"]),
    ("(3,) + (4,)", lambda t: t[0] + np.ones(4), ValueError, ["add", "float64[3]", "float64[4]"]),
    ("(2, 3) @ (2, 3)", lambda t: t @ A, ValueError, ["matmul", "float64[2, 3]", "float64[2, 3]", "mismatch"]),
    ("reshape to a wrong size", lambda t: t.reshape(4, 2), ValueError, ["reshape", "[2, 3]", "(4,2)"]),
    ("reshape with two -1", lambda t: t.reshape(-1, -1), ValueError, ["reshape", "[2, 3]", "one unknown"]),
    ("axis out of range", lambda t: t.sum(2), IndexError, ["sum", "axis 2", "dimension 2"]),
    ("axis out of range, as ValueError", lambda t: tg.softmax(t, 5), ValueError, ["softmax", "axis 5", "dimension 2"]),
    ("repeated axis", lambda t: t.sum((0, 0)), ValueError, ["sum", "duplicate", "axis"]),
    ("repeated axis of transpose", lambda t: t.transpose(0, 0), ValueError, ["transpose", "repeated axis"]),
    ("squeeze of a size > 1", lambda t: t.squeeze(0), ValueError, ["squeeze", "[2, 3]", "size not equal to one"]),
    ("concatenate of none", lambda t: np.concatenate([]), ValueError, ["at least one array"]),
    ("stack of none", lambda t: np.stack([]), ValueError, ["at least one array"]),
    ("concatenate of unequal ranks", lambda t: np.concatenate([t, t[0]]), ValueError, ["concatenate", "[2, 3]", "[3]"]),
    ("broadcast_to smaller", lambda t: np.broadcast_to(t, (3,)), ValueError, ["broadcast_to", "[2, 3]"]),
    ("einsum, unknown output letter", lambda t: np.einsum("ij->k", t), ValueError, ["einsum", "[2, 3]", "'k'"]),
    ("einsum, too many letters", lambda t: np.einsum("ijk->i", t), ValueError, ["einsum", "[2, 3]"]),
    (
        "einsum, too few operands",
        lambda t: np.einsum("ij,jk", t),
        ValueError,
        ["'ij,jk'", "2 operands", "1 were given"],
    ),
    ("index out of range", lambda t: t[5], IndexError, ["getitem", "[2, 3]", "index 5", "size 2"]),
    ("index array out of range", lambda t: t[[0, 9]], IndexError, ["getitem", "index 9", "size 2"]),
    ("float index", lambda t: t[1.5], IndexError, ["getitem", "integers", "float64"]),
    ("float index array", lambda t: t[[0.5]], IndexError, ["getitem", "integers or booleans", "float64"]),
    ("mask of wrong length", lambda t: t[np.array([True] * 3)], IndexError, ["getitem", "boolean", "2", "3"]),
    ("too many indices", lambda t: t[0, 0, 0], IndexError, ["getitem", "[2, 3]", "too many indices"]),
    ("index array into 0-d", lambda t: t.sum()[[0]], IndexError, ["getitem", "float64[]", "too many indices"]),
    ("bool of many", bool, ValueError, ["truth", "(2, 3)", "np.any", "np.all"]),
    ("float of many", float, ValueError, ["one entry", "(2, 3)"]),
    ("int of many", int, ValueError, ["one entry", "(2, 3)"]),
    ("iteration over 0-d", lambda t: list(t.sum()), TypeError, ["0-d tensor"]),
    ("length of 0-d", lambda t: len(t.sum()), TypeError, ["0-d tensor", "no length"]),
)
def test_5_shapes_that_do_not_fit(do: Any, error: Any, words: list[str]) -> None:
    """Operands, axes and indices that do not fit: the message names the op and the shapes it was given."""
    t = leaf_with_gradient()
    with tensor_unchanged(t), refused(error, words):
        do(t)


# ------------------------------------------------------------------ 6. nothing in it


def nothing(*shape: int) -> tg.Tensor:
    return tg.tensor(np.zeros(shape or (0,)), requires_grad=True)


LAYERS = [nn.RNN, nn.LSTM, nn.GRU]


@refused_rows(
    ("max", lambda: np.max(nothing()), ValueError, ["max", "float64[0]", "zero-size"]),
    ("min", lambda: np.min(nothing()), ValueError, ["min", "float64[0]", "zero-size"]),
    ("argmax", lambda: np.argmax(nothing()), ValueError, ["argmax", "empty"]),
    ("argmin", lambda: nothing().argmin(), ValueError, ["argmin", "empty"]),
    ("softmax", lambda: tg.softmax(nothing()), ValueError, ["softmax", "float64[0]", "zero-size"]),
    (
        "RNN without time steps",
        lambda: nn.RNN(2, 3)(nothing(0, 4, 2)),
        ValueError,
        ["RNN", "no time steps", "(0, 4, 2)"],
    ),
    (
        "LSTM, batch first",
        lambda: nn.LSTM(2, 3, batch_first=True)(nothing(4, 0, 2)),
        ValueError,
        ["no time", "(B, T, I)"],
    ),
    ("GRU without a batch", lambda: nn.GRU(2, 3)(nothing(0, 2)), ValueError, ["GRU", "no time steps"]),
    ("unroll", lambda: nn.unroll(lambda x, s: (x, s), nothing(0, 2)), ValueError, ["at least one time step", "(0, 2)"]),
    ("unroll of a list", lambda: nn.unroll(lambda x, s: (x, s), []), ValueError, ["at least one time step", "(0,)"]),
    (
        "mean of no losses",
        lambda: nn.mse_loss(nothing(), nothing()),
        ValueError,
        ["no mean over nothing", "'sum' gives 0"],
    ),
)
def test_6_nothing_where_something_is_needed(do: Any, error: Any, words: list[str]) -> None:
    """No entries have no largest one, and no time steps no last state."""
    with refused(error, words):
        do()


@answered_rows(
    ("sum", lambda: (np.sum(nothing()), gradient(np.sum, [])), (0.0, [])),
    ("logsumexp", lambda: tg.logsumexp(nothing()), -inf),
    ("mean", lambda: np.mean(nothing()), Warned(nan, "Mean of empty slice")),
    ("mean along an axis", lambda: np.mean(nothing(0, 2), axis=0), Warned([nan, nan], "Mean of empty slice")),
    ("mean along the other axis", lambda: np.mean(nothing(0, 2), axis=1), []),
    ("max along another axis", lambda: np.max(nothing(0, 2), axis=1), []),
    ("Linear of a batch of none", lambda: nn.Linear(2, 3)(nothing(0, 2)).shape, (0, 3)),
    *[(f"{L.__name__} of a batch of none", lambda L=L: L(2, 3)(nothing(5, 0, 2))[0].shape, (5, 0, 3)) for L in LAYERS],
)
def test_6_nothing_with_an_answer(do: Any, answer: Any) -> None:
    """An empty sum is 0, an empty mean nan with one warning, and a batch of none gives an output of none."""
    check_answer(do, answer)


# ------------------------------------------------------------------ 7. values at the edge

DIVIDE, INVALID, OVERFLOW = "divide by zero", "invalid value", "overflow"


@answered_rows(
    ("nan stays", lambda: (np.tanh(number(nan)), gradient(np.tanh, nan)), (nan, nan)),
    ("inf stays", lambda: (number(inf) * 2, gradient(lambda x: x * 2, inf)), (inf, 2.0)),
    ("a denormal number stays", lambda: (number(5e-324) * 1, gradient(lambda x: x * 2, 5e-324)), (5e-324, 2.0)),
    ("-0.0 keeps its sign", lambda: np.signbit((number(-0.0) * 1).data), True),
    ("1e308 * 10", lambda: number(1e308) * 10, Warned(inf, OVERFLOW)),
    ("log(0)", lambda: np.log(number(0)), Warned(-inf, DIVIDE)),
    ("log(-1)", lambda: np.log(number(-1)), Warned(nan, INVALID)),
    ("gradient of log at 0", lambda: gradient(np.log, 0), Warned(inf, DIVIDE, DIVIDE)),
    ("gradient of sqrt at 0", lambda: gradient(np.sqrt, 0), Warned(inf, DIVIDE)),
    ("x ** 0 at 0", lambda: (number(0) ** 0, gradient(lambda x: x**0, 0)), (1.0, 0.0)),
    ("0 ** y", lambda: (0.0 ** leaf(0, 1, 2), gradient(lambda y: 0.0**y, [0, 1, 2])), ([1.0, 0, 0], [0.0, 0, 0])),
    ("a negative base, whole power", lambda: gradient(lambda x: x**3, -2), 12.0),
    ("a negative base, fraction", lambda: number(-2) ** 0.5, Warned(nan, INVALID)),
    ("a negative base, its exponent", lambda: gradient(lambda y: (-2.0) ** y, 2), Warned(nan, INVALID)),
    ("softmax at 1e4", lambda: tg.softmax(leaf(-1e4, 1e4)), [0.0, 1.0]),
    ("logsumexp at 1e4", lambda: (tg.logsumexp(leaf(-1e4, 1e4)), gradient(tg.logsumexp, [-1e4, 1e4])), (1e4, [0, 1.0])),
    ("logsumexp at -1e4", lambda: tg.logsumexp(leaf(-1e4)), -1e4),
    ("sigmoid at 1e4", lambda: (tg.sigmoid(leaf(-1e4, 1e4)), gradient(tg.sigmoid, [-1e4, 1e4])), ([0.0, 1], [0.0, 0])),
    ("sigmoid at inf", lambda: (tg.sigmoid(leaf(-inf, inf)), gradient(tg.sigmoid, [-inf, inf])), ([0.0, 1], [0.0, 0])),
    ("softmax with -inf", lambda: tg.softmax(leaf(-inf, 0)), [0.0, 1.0]),
    ("its gradient", lambda: gradient(lambda x: tg.softmax(x)[1], [-inf, 0, 0]) + 0.0, [0, 0.25, -0.25]),
    ("softmax of -inf alone", lambda: tg.softmax(leaf(-inf, -inf)), Warned([nan, nan], INVALID)),
    ("softmax with inf", lambda: tg.softmax(leaf(inf, 0)), Warned([nan, nan], INVALID)),
    ("logsumexp with -inf", lambda: (tg.logsumexp(leaf(-inf, 0)), gradient(tg.logsumexp, [-inf, 0])), (0.0, [0.0, 1])),
    ("logsumexp of -inf alone", lambda: (tg.logsumexp(leaf(-inf)), gradient(tg.logsumexp, [-inf])), (-inf, [0.0])),
    ("log_softmax with -inf", lambda: tg.log_softmax(leaf(-inf, 0)), [-inf, 0.0]),
    (
        "a norm written out, at 0",
        lambda: gradient(lambda x: np.sqrt((x * x).sum()), [0, 0]),
        Warned([nan, nan], DIVIDE, INVALID, INVALID),
    ),
    ("ties in max", lambda: gradient(np.max, [1, 3, 3]), [0, 0.5, 0.5]),
    ("ties in min", lambda: gradient(np.min, [1, 1, 3]), [0.5, 0.5, 0]),
    ("ties in maximum", lambda: gradient(np.maximum, 2, 2), (0.5, 0.5)),
    ("a clip at its bound", lambda: gradient(lambda x: np.clip(x, 0, 1), [0, 0.5, 1]), [0.5, 1.0, 0.5]),
    ("nan in max", lambda: (np.max(leaf(1, nan)), gradient(np.max, [1, nan])), (nan, [0.0, 1.0])),
    ("abs at 0", lambda: gradient(np.abs, 0), 0.0),
    ("sign at 0", lambda: gradient(np.sign, 0), 0.0),
    ("relu at 0 and -0.0", lambda: gradient(tg.relu, [0, -0.0]), [0.0, 0.0]),
)
def test_7_values_at_the_edge(do: Any, answer: Any) -> None:
    """Values as NumPy's, with its warnings; at a kink or a tie the gradient is shared or 0, and nan is never hidden."""
    check_answer(do, answer)


def test_7_within_anomaly_the_first_nan_is_an_error_that_names_its_op() -> None:
    x = leaf(0, 0)
    with np.errstate(all="ignore"), tg.anomaly(), pytest.raises(AnomalyError, match="rule of op sqrt made inf"):
        np.sqrt((x * x).sum()).backward()
    assert x.grad is None


# ------------------------------------------------------------------ 8. other libraries, and Python itself


def add_into_array(t: Any) -> None:
    array = np.ones((2, 3))
    array += t


@refused_rows(
    ("np.asarray", np.asarray, TypeError, ["lose the gradient", "t.detach()", "np.stack"]),
    ("np.array of a list of them", lambda t: np.array([t, t]), TypeError, ["lose the gradient", "np.stack"]),
    ("np.add.reduce", np.add.reduce, TypeError, ["np.add.reduce of a Tensor", "t.detach().data"]),
    ("out=", lambda t: np.add(t, t, out=np.empty((2, 3))), TypeError, ["np.add", "existing array", "new name"]),
    ("np.add.at", lambda t: np.add.at(A.copy(), [0], t), TypeError, ["np.add.at of a Tensor", "not supported"]),
    ("where=", lambda t: np.add(t, t, where=A > 0), TypeError, ["np.add with where", "not supported"]),
    ("an unknown function", np.fft.fft, TypeError, ["np.fft.fft of a Tensor", "tg.Op", "t.detach().data"]),
    ("math.exp of many", math.exp, ValueError, ["one entry", "(2, 3)"]),
    ("array += t", add_into_array, TypeError, ["np.add", "existing array", "array add= Tensor", "new name"]),
    ("deepcopy of a result", lambda t: copy.deepcopy(t * 2), RuntimeError, ["only leaves can be copied", "graph"]),
    ("pickle of a result", lambda t: pickle.dumps(t * 2), RuntimeError, ["only leaves", "graph", "t.detach()"]),
    ("copy.copy of a result", lambda t: copy.copy(t * 2), RuntimeError, ["only leaves", "graph", "t.detach()"]),
    ("math.exp of one", lambda t: math.exp(t[0, 0]), TypeError, ["lose the gradient", "t.item()", "NumPy's"]),
    ("t @ a sparse matrix", lambda t: t @ Sparse(), TypeError, ["for @: 'Tensor' and", "Sparse"]),
    ("a sparse matrix @ t", lambda t: Sparse() @ t, TypeError, ["lose the gradient", "t.detach()"]),
    ("item assignment", set_item, TypeError, ["cannot be written into"]),
)
def test_8_what_would_lose_the_gradient(do: Any, error: Any, words: list[str]) -> None:
    """No function gives an array or a number with the gradient silently lost; results are not copied."""
    t = leaf_with_gradient()
    with tensor_unchanged(t), refused(error, words):
        do(t)


def hashed() -> Any:
    t, other = leaf(1), leaf(1)
    return hash(t) == hash(t), len({t, other, t})


@answered_rows(
    ("t @ list", lambda: leaf(1, 2) @ [3, 4], 11.0),
    ("list @ t", lambda: [3, 4] @ leaf(1, 2), 11.0),
    ("t == None", lambda: leaf(1, 2) == None, [False, False]),  # noqa: E711
    ("t != None", lambda: leaf(1, 2) != None, [True, True]),  # noqa: E711
    ("hash is identity", hashed, (True, 2)),
    ("math.exp of one", lambda: math.exp(number(0).detach()), 1.0),
    ("deepcopy of a leaf", lambda: copy.deepcopy(leaf(1, 2)), [1.0, 2.0]),
    ("a column of a data frame", lambda: leaf(1, 2) * ArrayOnly([3.0, 4.0]), [3.0, 8.0]),
    ("the same on the left", lambda: ArrayOnly([3.0, 4.0]) * leaf(1, 2), [3.0, 8.0]),
    ("np.asarray of a constant", lambda: np.asarray(tg.tensor([1.0])), [1.0]),
)
def test_8_what_has_an_answer(do: Any, answer: Any) -> None:
    """Lists and whatever has an array are operands; comparisons are plain arrays, hash and set go by identity."""
    check_answer(do, answer)


@pytest.mark.oracle
def test_8_torch_tensors(torch: Any) -> None:
    """Operands like any array, on both sides; one that needs a gradient in torch is refused by torch, with the cure."""
    t = leaf(1, 2)
    for y in (t * torch.ones(2), torch.ones(2) * t, t + torch.zeros(2), np.multiply(t, torch.ones(2))):
        assert isinstance(y, tg.Tensor) and plain(y) == [1, 2]
    for f in (lambda u: t * u, tg.tensor):
        with refused(RuntimeError, ["requires grad", "detach()"]):
            f(torch.ones(2, requires_grad=True))
    assert t.grad is None


# ------------------------------------------------------------------ 9. mixed kinds of numbers

SINGLE = tg.tensor([1.0, 2.0], np.float32, requires_grad=True)
MASKED = np.ma.array([1.0, 2.0], mask=[True, False])


@refused_rows(
    (
        "an integer of 70 bits as data",
        lambda: tg.tensor(2**70),
        TypeError,
        ["real numbers", "beyond 64 bits", "floats"],
    ),
    ("it with dtype=float", lambda: tg.tensor(2**70, float), TypeError, ["real numbers", "beyond 64 bits", "floats"]),
    (
        "it times integers",
        lambda: tg.tensor([1]) * 2**70,
        OverflowError,
        ["multiply of int64[1]", "an integer of 71 bits", "too large"],
    ),
    (
        "one beyond all floats",
        lambda: leaf(1) * 10**5000,
        OverflowError,
        ["multiply of float64[1]", "an integer of 16610 bits", "too large"],
    ),
    (
        "t * a masked array",
        lambda: leaf(1, 2) * MASKED,
        TypeError,
        ["operand of multiply", "masked array", "filled(0)"],
    ),
    ("a masked array * t", lambda: MASKED * leaf(1, 2), TypeError, ["lose the gradient", "t.detach()"]),
    ("a masked array as data", lambda: tg.tensor(MASKED), TypeError, ["masked array", "filled(0)"]),
    ("np.float64(2) @ t", lambda: np.float64(2) @ leaf(1, 2), ValueError, ["matmul", "2.0", "float64[2]"]),
    ("t * 1j", lambda: leaf(1, 2) * 1j, TypeError, ["operand of multiply", "complex"]),
)
def test_9_numbers_that_do_not_mix(do: Any, error: Any, words: list[str]) -> None:
    """Integers too large, masked entries and complex numbers are refused, never cut, filled or cast."""
    with refused(error, words):
        do()


def backward_dtype() -> Any:
    x = tg.tensor([1.0], np.float32, requires_grad=True)
    (x * np.ones(1)).sum().backward()
    assert x.grad is not None
    return x.grad.dtype


def kind_and_value(y: Any) -> Any:
    return type(y).__name__, y.dtype.name, y


@answered_rows(
    ("float32 with float64", lambda: (SINGLE + np.ones(2)).dtype, np.dtype("f8")),
    ("its gradient comes back", backward_dtype, np.dtype("f4")),
    ("float32 with a Python float", lambda: (SINGLE + 1.0).dtype, np.dtype("f4")),
    ("float32 with integers", lambda: (SINGLE * 3).dtype, np.dtype("f4")),
    ("float64 with an integer of 70 bits", lambda: leaf(1) * 2**70, [2.0**70]),
    ("float32 with an integer of 70 bits", lambda: SINGLE[:1] * 2**70, [2.0**70]),
    ("2**63 as data", lambda: tg.tensor(2**63).dtype, np.dtype("u8")),
    ("np.float64(2) * t", lambda: kind_and_value(np.float64(2) * leaf(1)), ("Tensor", "float64", [2.0])),
    ("np.float64(2) - t", lambda: kind_and_value(np.float64(2) - leaf(1)), ("Tensor", "float64", [1.0])),
    ("np.float32(2) / t", lambda: kind_and_value(np.float32(2) / SINGLE), ("Tensor", "float32", [2.0, 1.0])),
    ("np.int64(2) ** t", lambda: kind_and_value(np.int64(2) ** leaf(3)), ("Tensor", "float64", [8.0])),
    ("an array of 0 axes * t", lambda: kind_and_value(np.array(2.0) * leaf(1)), ("Tensor", "float64", [2.0])),
)
def test_9_numbers_that_mix(do: Any, answer: Any) -> None:
    """Promotion as NumPy's, gradients in the dtype of their tensor, and a NumPy number on the left gives a Tensor."""
    check_answer(do, answer)


# ------------------------------------------------------------------ 10. grad, hooks and rules


def unrecorded(x: Any) -> Any:
    with tg.no_grad():
        return (x * x).sum()


def grad_of_freed(x: Any) -> None:
    y = (x * x).sum()
    tg.grad(y, x)
    tg.grad(y, x)


def cycle_of_inputs(x: Any) -> None:
    a = np.tanh(x)
    b = np.exp(a)
    assert a.record is not None
    a.record.inputs = (b,)
    b.sum().backward()


def cycle_of_records(x: Any) -> None:
    a = x * 1
    b = np.tanh(a)
    a.record = b.record
    tg.grad(b.sum(), x)


def hook_of(t: Any, y: Any) -> None:
    t.register_hook(lambda g: np.ones(5))
    y.sum().backward()


class Broken(tg.Op):
    def forward(self, x: Any) -> Any:
        return x * 1

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        raise KeyError("the rule itself is wrong")


class Misshapen(Broken):
    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return np.ones(5)


def hooked(x: Any) -> None:
    """A hook on a copy of x: one that fails each time must not stay on x itself."""
    copied = copy.deepcopy(x)
    copied.name = "copied"
    hook_of(copied, copied * 2)


def hooked_result(x: Any) -> None:
    y = x * 2
    hook_of(y, y)


@refused_rows(
    (
        "x not in the graph",
        lambda x: tg.grad(x.sum(), leaf(1, name="w")),
        RuntimeError,
        ["depend on w", "allow_unused"],
    ),
    ("x without a name", lambda x: tg.grad(x.sum(), [x, leaf(1)]), RuntimeError, ["inputs[1]", "allow_unused=True"]),
    (
        "x without requires_grad",
        lambda x: tg.grad(x.sum(), tg.tensor(1.0)),
        RuntimeError,
        ["inputs[0]", "requires_grad"],
    ),
    ("y from no_grad", lambda x: tg.grad(unrecorded(x), x), RuntimeError, ["grad()", "needs no gradient", "no_grad()"]),
    ("y of many entries", lambda x: tg.grad(x * 2, x), ValueError, ["grad()", "(2, 3)", "y.sum()"]),
    ("graph freed", grad_of_freed, RuntimeError, ["op sum", "freed", "retain_graph=True"]),
    ("a cycle of inputs", cycle_of_inputs, RuntimeError, ["cycle", "tanh>", "exp>", "by hand"]),
    ("a cycle of records", cycle_of_records, RuntimeError, ["cycle", "tanh>", "by hand"]),
    ("a hook of a leaf, wrong shape", hooked, ValueError, ["hook of copied", "(5,)", "(2, 3)"]),
    ("a hook of a result, wrong shape", hooked_result, ValueError, ["hook of <record", "multiply", "(5,)", "(2, 3)"]),
    ("a rule that raises", lambda x: Broken()(x).sum().backward(), LookupError, ["the rule itself is wrong"]),
    (
        "a rule of wrong shape",
        lambda x: Misshapen()(x).sum().backward(),
        ValueError,
        ["op misshapen", "(5,)", "(2, 3)"],
    ),
)
def test_10_gradients_that_cannot_be_had(do: Any, error: Any, words: list[str]) -> None:
    """No path, no graph, a graph that was freed or bent by hand, a hook or a rule that fails: the tape stays usable."""
    x = leaf_with_gradient()
    with tensor_unchanged(x), refused(error, words):
        do(x)


def test_10_a_failing_rule_is_named_in_a_note_with_its_step() -> None:
    x = leaf(1, 2)
    with tg.scope("rnn", 3), pytest.raises(KeyError) as caught:
        Broken()(x).sum().backward()
    assert "broken at rnn t=3" in caught.value.__notes__[0]


def test_10_an_input_given_twice_or_unused_with_leave() -> None:
    x, other = leaf(1, 2), leaf(1)
    a, b, none = tg.grad((x * x).sum(), [x, x, other], allow_unused=True)
    assert plain((a, b)) == ([2, 4], [2, 4]) and none is None


# ------------------------------------------------------------------ 11. what a recurrent layer is given


def runs(kind: str, *shape: int, **options: Any) -> tuple[Any, Any]:
    return getattr(nn, kind)(3, 4, rng=0, **options), np.ones(shape or (5, 2, 3))


def after_short_batch(layer: Any, x: Any) -> Any:
    _, state = layer(x[:, :1])
    return layer(x, state)


H = np.zeros((1, 2, 4))


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@refused_rows(
    (
        "x of 1 axis",
        lambda f, x, s: f(x[0, 0]),
        ValueError,
        ["x must be (T, B, I)", "(T, I)", "input_size = 3", "(3,)"],
    ),
    ("x of 4 axes", lambda f, x, s: f(x[None]), ValueError, ["x must be (T, B, I)", "got (1, 5, 2, 3)"]),
    ("wrong last size", lambda f, x, s: f(x[..., :2]), ValueError, ["input_size = 3", "got (5, 2, 2)"]),
    ("ids for features", lambda f, x, s: f(x.astype(int)), TypeError, ["real-valued features", "int64", "Embedding"]),
    ("state of 2 layers", lambda f, x, s: f(x, s(2, 2, 4)), ValueError, ["state h", "(1, 2, 4)", "got (2, 2, 4)"]),
    ("state of another batch", lambda f, x, s: f(x, s(1, 5, 4)), ValueError, ["(1, 2, 4)", "(1, 5, 4)", "state=None"]),
    ("state of another size", lambda f, x, s: f(x, s(1, 2, 3)), ValueError, ["state h", "(1, 2, 4)", "got (1, 2, 3)"]),
    ("state without layers", lambda f, x, s: f(x, s(2, 4)), ValueError, ["state h", "(1, 2, 4)", "got (2, 4)"]),
    (
        "batch first mixed up",
        lambda f, x, s: f(x, s(1, 5, 4)),
        ValueError,
        ["(T, B, I), 5 time steps (T) of a batch of 2"],
    ),
    (
        "after a short batch",
        lambda f, x, s: after_short_batch(f, x),
        ValueError,
        ["(1, 2, 4)", "(1, 1, 4)", "state=None"],
    ),
    ("a state of integers", lambda f, x, s: f(x, s(1, 2, 4, int)), TypeError, ["state h", "int64"]),
)
def test_11_inputs_and_states_of_wrong_shape(do: Any, error: Any, words: list[str], kind: str) -> None:
    """The message names the layer, the layout it read, the shape it expected and the one it got."""

    def state(*shape: Any) -> Any:
        shape, dtype = (shape[:-1], shape[-1]) if isinstance(shape[-1], type) else (shape, float)
        return (np.zeros(shape, dtype),) * 2 if kind == "LSTM" else np.zeros(shape, dtype)

    layer, x = runs(kind)
    with module_unchanged(layer), refused(error, [kind, *words]):
        do(layer, x, state)


@refused_rows(
    ("h without c", lambda: runs("LSTM"), TypeError, ["LSTM: state must be a tuple (h, c)", "not ndarray"]),
    ("(h, None)", lambda: (*runs("LSTM"), (H, None)), TypeError, ["LSTM: state c is None", "all of (h, c)"]),
    ("c of wrong shape", lambda: (*runs("LSTM"), (H, H[..., 1:])), ValueError, ["state c", "(1, 2, 4)", "(1, 2, 3)"]),
    ("a tuple to a GRU", lambda: (*runs("GRU"), (H, H)), TypeError, ["GRU: state must be h alone", "tuple of 2"]),
    ("a tuple to an RNN", lambda: (*runs("RNN"), (H,)), TypeError, ["RNN: state must be h alone", "tuple of 1"]),
    (
        "one direction of 2",
        lambda: runs("RNN", bidirectional=True),
        ValueError,
        ["state h", "(2, 2, 4)", "got (1, 2, 4)"],
    ),
    ("1 layer of 2", lambda: runs("GRU", num_layers=2), ValueError, ["state h", "(2, 2, 4)", "got (1, 2, 4)"]),
    (
        "time first, read as batch first",
        lambda: runs("RNN", batch_first=True),
        ValueError,
        ["x read as (B, T, I), 2 time steps (T) of a batch of 5 (B)"],
    ),
)
def test_11_states_of_one_kind(do: Any, error: Any, words: list[str]) -> None:
    """What belongs to one kind of layer, or to its layers, directions and layout."""
    layer, x, *state = do()
    with module_unchanged(layer), refused(error, words):
        layer(x, state[0] if state else H)


# ------------------------------------------------------------------ 12. options of a recurrent layer


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@refused_rows(
    ("hidden_size=0", lambda: {"hidden_size": 0}, ValueError, ["hidden_size must be 1 or more", "0"]),
    ("hidden_size=-1", lambda: {"hidden_size": -1}, ValueError, ["hidden_size must be 1 or more", "-1"]),
    ("hidden_size=2.5", lambda: {"hidden_size": 2.5}, TypeError, ["hidden_size must be an integer", "2.5"]),
    ("hidden_size=True", lambda: {"hidden_size": True}, TypeError, ["hidden_size must be an integer", "True"]),
    ("input_size=0", lambda: {"input_size": 0}, ValueError, ["input_size must be 1 or more", "0"]),
    ("num_layers=0", lambda: {"num_layers": 0}, ValueError, ["num_layers must be 1 or more", "0"]),
    (
        "dropout=1.5",
        lambda: {"num_layers": 2, "dropout": 1.5},
        ValueError,
        ["dropout", "at least 0 and below 1", "1.5"],
    ),
    (
        "dropout=nan",
        lambda: {"num_layers": 2, "dropout": nan},
        ValueError,
        ["dropout", "at least 0 and below 1", "nan"],
    ),
    ("proj_size=4", lambda: {"proj_size": 4}, TypeError, ["has no option 'proj_size'", "it has num_layers"]),
    ("an unknown keyword", lambda: {"hiden_size": 4}, TypeError, ["has no option 'hiden_size'", "it has num_layers"]),
    ("dtype=int", lambda: {"dtype": int}, TypeError, ["int64"]),
)
def test_12_options_of_layers(do: Any, error: Any, words: list[str], kind: str) -> None:
    """Sizes are whole numbers of 1 or more, dropout is a probability, and what is unknown is not swallowed."""
    with refused(error, words):
        getattr(nn, kind)(**{"input_size": 3, "hidden_size": 4, **do()})


@refused_rows(
    ("unknown", lambda: nn.RNN(3, 4, nonlinearity="gelu"), ValueError, ["nonlinearity", "tanh, relu", "'gelu'"]),
    ("None", lambda: nn.RNN(3, 4, nonlinearity=None), ValueError, ["nonlinearity must be one of tanh", "None"]),
    ("of an LSTM", lambda: nn.LSTM(3, 4, nonlinearity="relu"), TypeError, ["LSTM has no option 'nonlinearity'"]),
)
def test_12_nonlinearities(do: Any, error: Any, words: list[str]) -> None:
    """An RNN has a choice of four, the others have none."""
    with refused(error, words):
        do()


@answered_rows(
    ("a NumPy integer as size", lambda: nn.LSTM(np.int64(3), np.int32(4), np.uint8(2)).hidden_size, 4),
    ("nonlinearity='sigmoid'", lambda: nn.RNN(3, 4, nonlinearity="sigmoid")(np.ones((2, 3)))[0].shape, (2, 4)),
    ("dropout with one layer", lambda: nn.GRU(3, 4, dropout=0.5).num_layers, Warned(1, "num_layers=1 has none")),
    ("dropout with two layers", lambda: nn.GRU(3, 4, 2, dropout=0.5).num_layers, 2),
    ("dropout=0", lambda: nn.GRU(3, 4, dropout=0).num_layers, 1),
)
def test_12_options_with_an_answer(do: Any, answer: Any) -> None:
    """NumPy integers are sizes too; dropout that can have no effect warns."""
    check_answer(do, answer)


# ------------------------------------------------------------------ 13. lengths


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@refused_rows(
    ("negative", lambda: [-1, 5], ValueError, ["lengths must be in 0 .. 5", "lengths[0] is -1"]),
    (
        "longer than T",
        lambda: [5, 6],
        ValueError,
        ["lengths must be in 0 .. 5, the time steps of x", "lengths[1] is 6"],
    ),
    ("floats", lambda: [5.0, 4.0], TypeError, ["lengths must be integers", "float64"]),
    ("bools", lambda: [True, True], TypeError, ["lengths must be integers", "bool"]),
    ("too few", lambda: [5], ValueError, ["lengths must have shape (2,)", "2 sequences", "got shape (1,)"]),
    ("too many", lambda: [5, 5, 5], ValueError, ["lengths must have shape (2,)", "got shape (3,)"]),
    ("one number for a batch", lambda: 5, ValueError, ["lengths must have shape (2,)", "got shape ()"]),
    ("with a gradient", lambda: leaf(5, 4), TypeError, ["lengths", "no gradient", "lengths.data.astype(int)"]),
)
def test_13_lengths_that_do_not_fit(do: Any, error: Any, words: list[str], kind: str) -> None:
    """One whole number from 0 to T for each sequence; the message names the first that is not."""
    layer, x = runs(kind)
    with module_unchanged(layer), refused(error, [kind, *words]):
        layer(x, lengths=do())


def alive(lengths: Any) -> Any:
    """Which steps of which sequences have an output that is not zero."""
    layer, x = runs("GRU")
    return (layer(x, lengths=lengths)[0].data != 0).any(axis=-1).sum(axis=0)


@answered_rows(
    ("zero: an output of zeros", lambda: alive([0, 5]), [0, 5]),
    ("all of them zero", lambda: alive([0, 0]), [0, 0]),
    ("unsorted", lambda: alive([2, 4]), [2, 4]),
    ("a Tensor of integers", lambda: alive(tg.tensor([4, 1])), [4, 1]),
    ("unsigned integers", lambda: alive(np.array([4, 1], np.uint8)), [4, 1]),
)
def test_13_lengths_with_an_answer(do: Any, answer: Any) -> None:
    """Any order, any integers; 0 is a sequence whose output is zero and whose state is the one it was given."""
    check_answer(do, answer)


# ------------------------------------------------------------------ 14. truncation


@refused_rows(
    ("k1=0", lambda: bptt.Truncated(0), ValueError, ["k1 must be 1 or more", "0"]),
    ("k1=-3", lambda: bptt.Truncated(-3), ValueError, ["k1 must be 1 or more", "-3"]),
    ("k1=2.0", lambda: bptt.Truncated(2.0), TypeError, ["k1 must be an integer of 1 or more", "2.0"]),
    ("k2=0", lambda: bptt.Truncated(2, 0), ValueError, ["k2 must be 1 or more", "0"]),
    ("k2 < k1", lambda: bptt.Truncated(3, 2), ValueError, ["k2 must be at least k1", "k1=3, k2=2"]),
    ("windows of 0", lambda: list(bptt.windows(A, 0)), ValueError, ["size must be 1 or more", "0"]),
    ("windows of -1", lambda: list(bptt.windows(A, -1)), ValueError, ["size must be 1 or more", "-1"]),
    ("unequal sequences", lambda: list(bptt.windows((A, A[:1]), 1)), ValueError, ["different lengths", "2, 1"]),
)
def test_14_steps_that_are_none(do: Any, error: Any, words: list[str]) -> None:
    """A window has a whole number of time steps, 1 or more."""
    with refused(error, words):
        do()


@answered_rows(
    ("k larger than T", lambda: [(w.start, w.stop) for w in bptt.Truncated(9).spans(5)], [(0, 5)]),
    ("k no divisor of T", lambda: [(w.start, w.stop) for w in bptt.Truncated(2).spans(5)], [(0, 2), (2, 4), (4, 5)]),
    ("windows larger than T", lambda: [len(w) for w in bptt.windows(np.ones(3), 9)], [3]),
    ("windows with a rest", lambda: [len(w) for w in bptt.windows(np.ones(5), 2)], [2, 2, 1]),
)
def test_14_steps_that_do_not_divide(do: Any, answer: Any) -> None:
    """The last window is short."""
    check_answer(do, answer)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_14_a_state_that_was_not_detached(kind: str) -> None:
    """The commonest fault of all: the second backward names layer, step and cure, and changes no gradient."""
    layer, x = runs(kind)
    output, state = layer(x)
    output.sum().backward()
    before = everything_in(layer)
    output, state = layer(x, state)
    with refused(RuntimeError, [f"{kind.lower()} t=5", "h = tg.bptt.detach(h)"]):
        output.sum().backward()
    assert everything_in(layer) == before
    with pytest.raises(FreedGraphError):
        output.sum().backward()
    output, _ = layer(x, bptt.detach(state))
    output.sum().backward()


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_14_a_state_of_another_batch(kind: str) -> None:
    """In the middle of truncated windows too."""
    layer, x = runs(kind)
    _, state = layer(x[:, :1])
    with module_unchanged(layer), refused(ValueError, [kind, "state h", "(1, 2, 4)", "(1, 1, 4)", "state=None"]):
        next(bptt.Truncated(2).run(layer, x, bptt.detach(state)))


# ------------------------------------------------------------------ 15. losses


def scores() -> tg.Tensor:
    return leaf([1.0, 2, 3], [4, 5, 6])


CE, MSE, BCE = nn.cross_entropy, nn.mse_loss, nn.binary_cross_entropy_with_logits


@refused_rows(
    ("a class too large", lambda o: CE(o, [0, 3]), ValueError, ["cross_entropy: target", "0 .. 2", "3 is not"]),
    ("a negative class", lambda o: CE(o, [-1, 0]), ValueError, ["cross_entropy: target", "0 .. 2", "-1 is not"]),
    ("float class numbers", lambda o: CE(o, [0.0, 1.0]), TypeError, ["cross_entropy: target", "integers", "float64"]),
    ("one-hot targets", lambda o: CE(o, [[1, 0, 0]] * 2), ValueError, ["target", "expected (2,)", "got (2, 3)"]),
    ("targets (N, 1)", lambda o: CE(o, [[0], [1]]), ValueError, ["target", "expected (2,)", "got (2, 1)"]),
    ("all targets ignored", lambda o: CE(o, [-100, -100]), ValueError, ["every target is ignore_index", "no mean"]),
    ("mse of (N, 1), (N,)", lambda o: MSE(o[:, :1], A[:, 0]), ValueError, ["mse_loss", "(2, 1)", "(2,)", "the same"]),
    ("mse of (N,), (N, 1)", lambda o: MSE(o[:, 0], A[:, :1]), ValueError, ["mse_loss", "(2,)", "(2, 1)"]),
    ("bce of (N, 1), (N,)", lambda o: BCE(o[:, :1], A[:, 0]), ValueError, ["with_logits", "(2, 1)", "(2,)"]),
    ("a number as target", lambda o: MSE(o, 1.0), ValueError, ["mse_loss", "(2, 3)", "()"]),
    (
        "arguments exchanged",
        lambda o: CE([0, 1], o),
        TypeError,
        ["input must be real numbers", "int64", "in this order?"],
    ),
    (
        "unknown reduction",
        lambda o: MSE(o, A, reduction="avg"),
        ValueError,
        ["reduction", "'mean', 'sum' or 'none'", "avg"],
    ),
)
def test_15_targets_that_do_not_fit(do: Any, error: Any, words: list[str]) -> None:
    """Class numbers in range, shapes equal: a target that would be broadcast is always a slip."""
    o = scores()
    o.grad = np.ones((2, 3))
    with tensor_unchanged(o), refused(error, words):
        do(o)


@answered_rows(
    (
        "some ignored",
        lambda: gradient(lambda o: CE(o, [-100, 0]), [[1, 2], [3, 3]]).round(9),
        [[0.0, 0.0], [-0.5, 0.5]],
    ),
    ("all ignored, as a sum", lambda: CE(scores(), [-100, -100], reduction="sum"), 0.0),
    ("all ignored, one by one", lambda: CE(scores(), [-100, -100], reduction="none"), [0.0, 0.0]),
    ("scores of 1e4", lambda: CE(leaf([1e4, -1e4]), [1]), 2e4),
    ("no examples, as a sum", lambda: CE(np.zeros((0, 3)), np.zeros(0, int), reduction="sum"), 0.0),
)
def test_15_targets_with_an_answer(do: Any, answer: Any) -> None:
    """What is ignored counts for nothing; a sum over nothing is 0."""
    check_answer(do, answer)


# ------------------------------------------------------------------ 16. optimizers


@pytest.mark.parametrize("kind", ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW"])
@refused_rows(
    ("no parameters", lambda make, t: make([], lr=0.1), ValueError, ["no parameters", "model.parameters()"]),
    ("the same one twice", lambda make, t: make([t, t], lr=0.1), ValueError, ["given twice"]),
    ("a result", lambda make, t: make([t, t * 2], lr=0.1), RuntimeError, ["parameter 1", "not a leaf", "parameters()"]),
    ("a constant", lambda make, t: make([t.detach()], lr=0.1), RuntimeError, ["parameter 0", "needs a gradient"]),
    ("an array", lambda make, t: make([t, A], lr=0.1), TypeError, ["parameter 1 must be a Tensor", "ndarray"]),
    ("one tensor alone", lambda make, t: make(t, lr=0.1), TypeError, ["parameters must be a sequence", "in a list"]),
    ("lr=nan", lambda make, t: make([t], lr=nan), ValueError, ["lr must be above 0", "nan"]),
    ("lr=-1", lambda make, t: make([t], lr=-1), ValueError, ["lr must be above 0", "-1"]),
    ("lr=0", lambda make, t: make([t], lr=0), ValueError, ["lr must be above 0", "0"]),
    ("lr=inf", lambda make, t: make([t], lr=inf), ValueError, ["lr must be above 0", "inf"]),
    ("a gradient of other shape", lambda make, t: setattr(t, "grad", np.ones(2)), ValueError, ["(2,)", "(2, 3)"]),
)
def test_16_optimizers_of_the_wrong_things(do: Any, error: Any, words: list[str], kind: str) -> None:
    """Parameters are different leaves that need a gradient, and the learning rate is a positive number."""
    t = leaf_with_gradient()
    with tensor_unchanged(t), refused(error, words):
        do(getattr(optim, kind), t)


@refused_rows(
    ("a norm of 0", lambda ps: optim.clip_grad_norm_(ps, 0), ValueError, ["max_norm must be above 0", "0"]),
    ("a norm of nan", lambda ps: optim.clip_grad_norm_(ps, nan), ValueError, ["max_norm must be above 0", "nan"]),
    ("a value of 0", lambda ps: optim.clip_grad_value_(ps, 0), ValueError, ["clip_value must be above 0", "0"]),
    ("of no parameters", lambda ps: optim.clip_grad_norm_([], 1), ValueError, ["no parameters were given"]),
    ("of one tensor alone", lambda ps: optim.clip_grad_norm_(ps[0], 1), TypeError, ["parameters must be a sequence"]),
)
def test_16_clipping_to_nothing(do: Any, error: Any, words: list[str]) -> None:
    """A bound above 0, over a sequence of parameters."""
    t = leaf_with_gradient()
    with tensor_unchanged(t), refused(error, words):
        do([t])


def clipped(*gradient: float) -> Any:
    t = leaf(*gradient)
    t.grad = gradient
    return optim.clip_grad_norm_([t], 1.0), t.grad


def without_gradient() -> Any:
    a, b = leaf(1), leaf(2)
    b.grad = [1.0]
    optim.SGD([a, b], lr=0.5).step()
    return a, b


@answered_rows(
    ("no gradient: left as it is", without_gradient, ([1.0], [1.5])),
    ("clipping a gradient of nan", lambda: clipped(nan, 3), (nan, [nan, 3.0])),
    ("clipping a gradient of inf", lambda: clipped(inf, 3), (inf, [inf, 3.0])),
    ("clipping a gradient of 0", lambda: clipped(0, 0), (0.0, [0.0, 0.0])),
    ("clipping where none has a gradient", lambda: optim.clip_grad_norm_([leaf(1)], 1.0), 0.0),
)
def test_16_gradients_missing_or_not_finite(do: Any, answer: Any) -> None:
    """A parameter without a gradient is skipped; a norm that is not finite is reported and repairs nothing."""
    check_answer(do, answer)
