"""The Tensor as an array: what it takes and refuses, what it holds, and how it answers Python and NumPy."""

import copy
import math
import operator
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DtypeError, GraphError, NotDifferentiableError, OverwrittenError, ShapeError


def leaf(*data: Any, **options: Any) -> tg.Tensor:
    return tg.tensor(np.array(data, dtype=float), requires_grad=True, **options)


# ------------------------------------------------------------------ making one


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (1.5, np.float64, ()),
        (2, np.int64, ()),
        (True, np.bool_, ()),
        ([1, 2], np.int64, (2,)),
        ([[1.0, 2], [3, 4]], np.float64, (2, 2)),
        (((1.0,), (2.0,)), np.float64, (2, 1)),
        ([], np.float64, (0,)),
        (np.float32(1), np.float32, ()),
        (np.ones((2, 0), np.float16), np.float16, (2, 0)),
        (np.arange(3, dtype=np.uint8), np.uint8, (3,)),
    ],
)
def test_numbers_lists_and_arrays_become_tensors_of_numpys_dtype(data: Any, dtype: Any, shape: Any) -> None:
    t = tg.tensor(data)
    assert (t.dtype, t.shape, t.ndim, t.size) == (dtype, shape, len(shape), math.prod(shape))
    assert (t.is_leaf, t.requires_grad, t.grad, t.op, t.name) == (True, False, None, None, None)
    assert np.array_equal(t.data, data)


def test_a_dtype_and_a_name_can_be_given() -> None:
    t = tg.tensor([1, 2], dtype=np.float32, requires_grad=True, name="x")
    assert (t.dtype, t.requires_grad, t.name) == (np.float32, True, "x")


class Strange:
    """Offers an array of its own making."""

    def __init__(self, array: Any) -> None:
        self.array_ = array

    def __array__(self, dtype: Any = None) -> Any:
        return self.array_


def test_the_data_is_copied() -> None:
    array = np.ones(3)
    for t in (tg.tensor(array), tg.tensor(array, dtype=float), tg.tensor(tg.tensor(array)), tg.tensor(Strange(array))):
        array[0] = 9
        assert 9 not in t.data
        array[0] = 1


def test_whatever_has_an_array_is_taken() -> None:
    assert tg.tensor(Strange(np.ones(2))).data.tolist() == [1, 1]
    assert (leaf(1, 2) * Strange(np.ones(2))).data.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("abc", "not str"),
        (b"abc", "not bytes"),
        (None, "not NoneType"),
        ({1, 2}, "not set"),
        ({1: 2}, "not dict"),
        ((x for x in [1]), "not generator"),
        (object(), "not object"),
        (1j, "not complex"),
        ([[1, 2], [3]], "equal rows"),
        ([1, None], "dtype object"),
        ([1, object()], "dtype object"),
        (["a"], "dtype <U1"),
        ([1j], "dtype complex128"),
        (np.array([1j]), "dtype complex128"),
        (np.complex64(1j), "dtype complex64"),
        (np.array([1, "a"], object), "dtype object"),
        (np.array(["2024-01-01"], "datetime64[D]"), "dtype datetime64"),
        (np.array([(1, 2.0)], "i4,f8"), "dtype"),
        (2**70, "dtype object"),
        ([tg.tensor(1.0), tg.tensor(2.0)], "np.stack"),
        ([leaf(1.0), leaf(2.0)], "np.stack"),
        ([[leaf(1.0)], [leaf(2.0)]], "np.stack"),
        (np.ma.array([1.0, 2.0], mask=[True, False]), r"masked array.*filled"),
        (Strange(np.array(["a"])), "dtype <U1"),
    ],
)
@pytest.mark.parametrize("dtype", [None, float])
def test_what_is_no_array_of_real_numbers_is_refused(data: Any, words: str, dtype: Any) -> None:
    with pytest.raises(DtypeError, match=words):
        tg.tensor(data, dtype=dtype)


@pytest.mark.parametrize("other", ["abc", None, {1}, 1j, np.complex128(1j), np.str_("a"), [None], object()])
def test_operands_are_held_to_the_same_rule(other: Any) -> None:
    for f in (lambda t: t * other, lambda t: other * t):
        with pytest.raises(TypeError):
            f(leaf(1, 2))
    with pytest.raises(DtypeError, match="an operand of multiply"):
        np.multiply(leaf(1, 2), other)


@pytest.mark.parametrize("data", [[1, 2], [True], np.arange(3, dtype=np.uint8)])
def test_integers_cannot_need_a_gradient(data: Any) -> None:
    with pytest.raises(DtypeError, match=r"floating-point.*not (int64|bool|uint8).*dtype=float"):
        tg.tensor(data, requires_grad=True)


def test_integers_that_were_told_later_to_need_one_are_refused_at_backward() -> None:
    t = tg.tensor([1, 2])
    t.requires_grad = True
    with pytest.raises(DtypeError, match="int64 cannot have a gradient"):
        (t * 1.5).sum().backward()
    assert t.grad is None


@pytest.mark.parametrize("dtype", [complex, str, object, "datetime64[D]"])
def test_other_dtypes_are_refused(dtype: Any) -> None:
    with pytest.raises(DtypeError, match="real numbers"):
        tg.tensor([1.0], dtype=dtype)
    with pytest.raises(DtypeError, match="lose the gradient"):
        leaf(1.0).astype(dtype)


def test_masked_arrays_are_refused_on_either_side() -> None:
    masked = np.ma.array([1.0, 2.0], mask=[True, False])
    for f in (lambda t: t * masked, lambda t: masked * t, lambda t: np.add(masked, t), lambda t: masked @ t):
        with pytest.raises(TypeError):
            f(leaf(1, 2))


@pytest.mark.oracle
def test_a_torch_tensor_is_an_array_like_any_other(torch: Any) -> None:
    assert tg.tensor(torch.ones(2)).data.tolist() == [1, 1]
    assert (leaf(1, 2) * torch.ones(2)).data.tolist() == [1, 2]


# ------------------------------------------------------------------ data and grad


def test_the_data_of_a_leaf_can_be_replaced_and_is_copied() -> None:
    t = tg.tensor([1.0, 2.0], np.float32)
    new = np.array([3.0, 4.0])
    t.data = new
    new[0] = 9
    assert t.data.tolist() == [3, 4]
    assert t.dtype == np.float32
    t.data = tg.tensor([5, 6])
    t.data += 1
    t.data[0] = 0
    assert t.data.tolist() == [0, 7]


@pytest.mark.parametrize(
    ("new", "error", "words"),
    [
        (np.ones(3), ShapeError, r"\(3,\).*\(2,\)"),
        (1.0, ShapeError, r"\(\).*\(2,\)"),
        ([1j, 2], DtypeError, "complex"),
        ("ab", DtypeError, "str"),
    ],
)
def test_unfitting_data_or_grad_changes_nothing(new: Any, error: Any, words: str) -> None:
    t = leaf(1, 2)
    t.grad = np.ones(2)
    for attribute in ("data", "grad"):
        with pytest.raises(error, match=words):
            setattr(t, attribute, new)
    assert t.data.tolist() == [1, 2]
    assert t.grad.tolist() == [1, 1]


def test_grad_takes_arrays_tensors_and_none_in_the_tensors_dtype() -> None:
    t = tg.tensor([1, 2], np.float32, requires_grad=True)
    for given in ([1, 2], np.array([1.0, 2.0]), tg.tensor([1, 2])):
        t.grad = given
        assert t.grad.dtype == np.float32
        assert t.grad.tolist() == [1, 2]
    t.grad = None
    assert t.grad is None


def test_the_data_of_a_result_can_be_neither_replaced_nor_written_to() -> None:
    y = leaf(1, 2) * 3
    with pytest.raises(GraphError, match="only a leaf"):
        y.data = [1, 2]
    for array in (y.data, y.numpy()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 9
    assert y.data.tolist() == [3, 6]


def test_items_cannot_be_assigned() -> None:
    with pytest.raises(NotDifferentiableError, match=r"np.where.*np.stack"):
        leaf(1, 2)[0] = 3


# An op relies on what its inputs held. Whoever writes to them later must not change what was computed.


def test_an_array_changed_after_it_was_an_operand_does_not_matter() -> None:
    x, factor = leaf(1, 2), np.array([2.0, 3.0])
    y = (x * factor).sum()
    z = np.where(np.array([True, False]), x, factor).sum()
    factor[:] = 9
    (y + z).backward()
    assert x.grad.tolist() == [3, 3]


def test_writing_to_the_data_of_a_leaf_after_its_use_changes_the_leaf_and_not_the_past() -> None:
    x = leaf(1, 2)
    y = (x * x).sum()
    x.data[0] = 9
    y.backward()
    assert x.grad.tolist() == [2, 4]
    assert x.data.tolist() == [9, 2]
    assert (x * 1).data.tolist() == [9, 2]


def test_an_update_in_place_between_two_uses_keeps_the_gradients_of_both_right() -> None:
    x = leaf(1.0)
    first = x * x
    x.data -= 0.5
    second = x * x
    x.data *= 10
    (first + second).sum().backward()
    assert x.grad.tolist() == [2 * 1.0 + 2 * 0.5]
    assert x.data.tolist() == [5]


def test_a_reference_to_the_data_from_before_the_use_is_locked() -> None:
    x = leaf(1, 2)
    array = x.data
    y = (x * x).sum()
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 9
    y.backward()
    assert x.grad.tolist() == [2, 4]


def test_an_integer_of_any_size_is_a_factor() -> None:
    assert (leaf(1, 2) * 2**70).data.tolist() == [2.0**70, 2.0**71]


def test_a_constant_tensor_and_a_view_are_protected_in_the_same_way() -> None:
    w, x = leaf(1, 2), tg.tensor([3.0, 4.0])
    y = (w * x[::-1]).sum() + (w.reshape(2, 1) ** 2).sum()
    x.data[:] = 9
    w.data[:] = 9
    y.backward()
    assert w.grad.tolist() == [4 + 2, 3 + 4]


def test_new_data_between_forward_and_a_recorded_backward_is_noticed() -> None:
    x = leaf(1, 2)
    y = np.tanh(x * x).sum()
    x.data = [1.0, 3.0]
    with pytest.raises(OverwrittenError, match=r"shape \(2,\) used by <record \d+: multiply> was given new data"):
        tg.grad(y, x, create_graph=True)
    x.data = [1.0, 2.0]  # what it was
    assert tg.grad(y, x, create_graph=True).shape == (2,)


def test_looking_at_the_data_between_forward_and_a_recorded_backward_is_fine() -> None:
    x = leaf(1, 2)
    y = (x**3).sum()
    x.data.sum(), x.numpy()
    dy = tg.grad(y, x, create_graph=True)
    assert tg.grad(dy.sum(), x).data.tolist() == [6, 12]


def test_detach_keeps_the_values_and_the_name_and_loses_the_past() -> None:
    x = leaf(1, 2)
    h = x * 2
    h.name = "h"
    d = h.detach()
    assert (d.data.tolist(), d.name, d.is_leaf, d.requires_grad, d.record) == ([2, 4], "h", True, False, None)
    assert d.cut.record() is h.record
    del h
    assert d.cut.record() is None  # the cut can be drawn, but does not keep the past alive
    w = x.detach()
    x.data[:] = 9
    assert w.data.tolist() == [1, 2]
    w.data[:] = 5
    assert x.data.tolist() == [9, 9]


# ------------------------------------------------------------------ Python's questions


def test_numbers_inside() -> None:
    assert float(tg.tensor([2.5])) == 2.5
    assert int(tg.tensor(2.5)) == 2
    assert tg.tensor([[7]]).item() == 7
    assert type(tg.tensor([[7]]).item()) is int
    assert math.exp(tg.tensor(0.0)) == 1
    assert f"{leaf(1.23456):.2f} {tg.tensor(3):04d}" == "1.23 0003"
    assert f"{tg.tensor(1.5)}" == "tensor(1.5)"
    for f in (float, int, math.exp, lambda t: t.item(), "{:.2f}".format):
        with pytest.raises(ShapeError, match=r"one entry.*\(2,\)"):
            f(leaf(1, 2))


def test_truth() -> None:
    assert tg.tensor(1.0)
    assert not tg.tensor([0])
    for many in (leaf(1, 2), tg.tensor(np.zeros(0))):
        with pytest.raises(ValueError, match=r"ambiguous: use np.any"):
            bool(many)


def test_length_and_iteration() -> None:
    t = leaf([1, 2], [3, 4], [5, 6])
    assert len(t) == 3
    assert [row.data.tolist() for row in t] == [[1, 2], [3, 4], [5, 6]]
    a, b, _c = t
    (a * b).sum().backward()
    assert t.grad.tolist() == [[3, 4], [1, 2], [0, 0]]
    for f in (len, iter, list):
        with pytest.raises(TypeError, match="0-d tensor"):
            f(tg.tensor(1.0))


@pytest.mark.parametrize("compare", [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge])
@pytest.mark.parametrize("other", [2, 2.0, np.float64(2), np.array([1.0, 2, 3]), leaf(1, 2, 4), [1, 2, 4]])
def test_comparisons_are_plain_arrays_of_bools(compare: Any, other: Any) -> None:
    t = leaf(1, 2, 3)
    plain = np.asarray(getattr(other, "data", other))
    for found, expected in ((compare(t, other), compare(t.data, plain)), (compare(other, t), compare(plain, t.data))):
        assert type(found) is np.ndarray
        assert found.dtype == bool
        assert found.tolist() == expected.tolist()


def test_a_tensor_equals_none_nowhere_and_is_hashed_by_identity() -> None:
    t, same = leaf(1, 2), leaf(1, 2)
    assert (t == None).tolist() == [False, False]  # noqa: E711
    assert hash(t) == hash(t)
    assert len({t, same, t}) == 2
    assert {t: 1}[t] == 1


def test_a_leaf_can_be_deep_copied_with_its_gradient_and_apart_from_the_original() -> None:
    t = leaf(1, 2, name="w")
    (t * t).sum().backward()
    new = copy.deepcopy({"w": t, "again": t})
    assert new["w"] is new["again"]
    new["w"].data[0] = 9
    new["w"].grad[0] = 9
    assert t.data.tolist() == [1, 2]
    assert t.grad.tolist() == [2, 4]
    assert (new["w"].name, new["w"].requires_grad, type(new["w"])) == ("w", True, tg.Tensor)
    with pytest.raises(GraphError, match="only leaves can be copied"):
        copy.deepcopy(t * 2)


def test_repr_shows_values_op_and_name() -> None:
    x = leaf(1, 2, name="x")
    assert repr(x) == "tensor([1., 2.], requires_grad=True, name='x')"
    assert repr(x * 2) == "tensor([2., 4.], op=multiply)"
    assert repr(tg.tensor([1], np.int32)) == "tensor([1], dtype=int32)"
    assert repr(tg.tensor(1.5, np.float32)) == "tensor(1.5, dtype=float32)"
    assert len(repr(tg.tensor(np.zeros((1000, 1000))))) < 500


def test_augmented_assignment_to_a_result_makes_a_new_tensor() -> None:
    x = leaf(1, 2)
    y = x * 1
    y += 1
    y *= x
    assert x.data.tolist() == [1, 2]
    y.sum().backward()
    assert x.grad.tolist() == [3, 5]


# ------------------------------------------------------------------ NumPy's questions


def test_becoming_an_array_is_refused_while_it_would_lose_a_gradient() -> None:
    t = leaf(1, 2)
    for f in (np.asarray, np.array, lambda t: np.asarray(t, float), lambda t: np.asarray([t]), lambda t: np.sum([t])):
        for tensor in (t, t * 2):
            with pytest.raises(NotDifferentiableError, match=r"lose the gradient.*(detach|t\.item)"):
                f(tensor)
    for allowed in (tg.tensor([1.0, 2.0]), t.detach(), (t * 1).detach()):
        assert type(np.asarray(allowed)) is np.ndarray
        assert np.asarray(allowed, dtype=np.float32).dtype == np.float32
        assert np.asarray(allowed).tolist() == [1, 2]
    with tg.no_grad():
        assert np.asarray(t * 2).tolist() == [2, 4]


def into_an_array(t: Any) -> None:
    array = np.ones(2)
    array += t


REFUSED: list[tuple[str, Any]] = [
    (r"np\.add into an existing array", lambda t: np.add(t, t, out=np.empty(2))),
    (r"np\.add into an existing array", into_an_array),
    (r"np\.multiply into an existing array", lambda t: np.multiply(np.ones(2), 2.0, out=t)),
    (r"np\.add\.reduce of a Tensor", np.add.reduce),
    (r"np\.add\.accumulate of a Tensor", np.add.accumulate),
    (r"np\.multiply\.outer of a Tensor", lambda t: np.multiply.outer(t, t)),
    (r"np\.add\.at of a Tensor", lambda t: np.add.at(np.ones(2), [0, 1], t)),
    (r"np\.add of a Tensor|np\.add with where", lambda t: np.add(t, t, where=np.array([True, False]))),
    (r"np\.add.* with dtype", lambda t: np.add(t, t, dtype=np.float32)),
    (r"np\.nextafter of a Tensor", lambda t: np.nextafter(t, t)),
    (r"np\.ldexp of a Tensor", lambda t: np.ldexp(t, 2)),
    (r"np\.fft\.fft of a Tensor", np.fft.fft),
    (r"np\.apply_along_axis of a Tensor", lambda t: np.apply_along_axis(np.sum, 0, t)),
    (r"np\.sum with out=", lambda t: np.sum(t, out=np.empty(()))),
    (r"out= would lose", lambda t: np.sum(t, 0, None, np.empty(()))),
    (r"'casting'.*np\.clip\(", lambda t: np.clip(t, 0, 1, casting="safe")),
    (r"order='A' depends", lambda t: np.reshape(t, (2, 1), order="A")),
]


@pytest.mark.parametrize(("words", "call"), REFUSED, ids=[words for words, _ in REFUSED])
def test_what_the_tape_cannot_differentiate_is_refused_by_name(words: str, call: Any) -> None:
    t = leaf(1, 2)
    with pytest.raises(NotDifferentiableError, match=words):
        call(t)
    assert t.data.tolist() == [1, 2]
    assert t.grad is None


@pytest.mark.parametrize("symbol", ["&", "|", "<<"])
def test_operators_without_a_derivative_are_refused_by_python(symbol: str) -> None:
    with pytest.raises(TypeError):
        eval(f"t {symbol} 2", {"t": leaf(1, 2)})


def test_questions_without_a_derivative_are_answered_with_plain_numbers() -> None:
    t = leaf([1, 5, 3], [4, 2, 6])
    assert np.argmax(t) == t.argmax() == 5
    assert np.argmin(t, axis=1).tolist() == t.argmin(1).tolist() == [0, 1]
    assert np.shape(t) == (2, 3)
    assert np.ndim(t) == 2
    assert np.size(t) == 6
    assert np.isfinite(t).all()
    assert np.any(t > 5)
    assert np.allclose(t, t.data)
    assert np.array_equal(t, t.detach())
    for f in (np.zeros_like, np.ones_like, np.empty_like, np.argsort, np.isnan):
        assert type(f(t)) is np.ndarray
        assert f(t).shape == (2, 3)


def test_nothing_is_recorded_of_tensors_that_need_no_gradient() -> None:
    y = np.tanh(tg.tensor([1.0]) * 2)
    assert (y.record, y.requires_grad, y.is_leaf) == (None, False, True)


def test_a_view_of_the_data_taken_before_use_cannot_change_what_was_computed() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    view = x.data[:]  # NumPy leaves it writable when the array is locked
    y = (x * x).sum()
    view[0] = 100.0
    y.backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])
