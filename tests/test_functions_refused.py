"""What NumPy's functions refuse of a Tensor, what they answer plainly, and what they do at their edges."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import ops
from tinygrad_rnn.errors import DtypeError, NotDifferentiableError

T = tg.tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (NotDifferentiableError, "np.fft.fft ", lambda: np.fft.fft(T)),
        (NotDifferentiableError, "np.apply_along_axis ", lambda: np.apply_along_axis(np.sum, 0, T)),
        (NotDifferentiableError, "np.fill_diagonal ", lambda: np.fill_diagonal(T, 0)),
        (NotDifferentiableError, "np.copyto ", lambda: np.copyto(np.ones((2, 2)), T)),
        (NotDifferentiableError, "np.put_along_axis ", lambda: np.put_along_axis(T, np.zeros((1, 2), int), 0, 0)),
        (NotDifferentiableError, "np.cumsum with out=", lambda: np.cumsum(T, out=np.ones(4))),
        (NotDifferentiableError, "out= would lose", lambda: np.prod(T, 0, None, np.ones(2))),
        (NotDifferentiableError, "out= would lose", lambda: np.take(T, 0, 0, np.ones(2))),
        (NotDifferentiableError, "np.exp with where", lambda: np.exp(T, where=np.ones((2, 2), bool))),
        (NotDifferentiableError, "np.add.reduce ", lambda: np.add.reduce(T)),
        (NotDifferentiableError, "written into", lambda: T.__setitem__(0, 1)),
        (NotDifferentiableError, "mode='mean'", lambda: np.pad(T, 1, "mean")),
        (NotDifferentiableError, "reflect_type", lambda: np.pad(T, 1, "reflect", reflect_type="odd")),
        (NotDifferentiableError, "constant_values", lambda: np.pad(T, 1, constant_values=T[0, 0])),
        (NotDifferentiableError, "full_matrices", lambda: np.linalg.svd(T[:1])),
        (NotDifferentiableError, "order='A'", lambda: np.ravel(T, order="A")),
        (NotDifferentiableError, "initial=", lambda: np.max(T, initial=T[0, 0])),
        (NotDifferentiableError, "complex eigenvalues", lambda: np.linalg.eig(T - [[0, 9.0], [0, 0]])),
        (NotDifferentiableError, "mode='complete'", lambda: np.linalg.qr(T[:, :1], "complete")),
        (NotDifferentiableError, "mode='raw'", lambda: np.linalg.qr(T, mode="raw")),
        (NotDifferentiableError, "q of np.quantile", lambda: np.quantile([1.0, 2.0], T[0] / 3)),
        (
            NotDifferentiableError,
            "weights= of a Tensor",
            lambda: np.percentile(T, 50, method="inverted_cdf", weights=T),
        ),
        (NotDifferentiableError, "out= would lose", lambda: np.stack([T], 0, np.ones((1, 2, 2)))),
        (NotDifferentiableError, "np.histogram ", lambda: np.histogram(T)),
        (
            TypeError,
            "np.concatenate cannot cast float64",
            lambda: np.concatenate([T, T], dtype=np.float32, casting="safe"),
        ),
        (DtypeError, "int64", lambda: np.vstack([T, T], dtype=np.int64, casting="unsafe")),
        (TypeError, "as a list of numbers", lambda: np.einsum(T, [0, 99], [0])),
        (TypeError, "as a list of numbers", lambda: np.einsum(T, T)),
        (ValueError, "edge_order", lambda: np.gradient(T, edge_order=3)),
        (ValueError, "needs 3 entries", lambda: np.gradient(T, edge_order=2)),
        (ValueError, "coordinates of shape (3,)", lambda: np.gradient(T, [1, 2, 3], axis=0)),
        (TypeError, "3 spacings", lambda: np.gradient(T, 1, 2, 3)),
        (ValueError, "xp and fp", lambda: np.interp(T, [0, 1], [0])),
        (ValueError, "period", lambda: np.interp(T, [0, 1], [0, 1], period=0)),
        (ValueError, "same sign", lambda: np.geomspace(T[0, 0], -1)),
        (ValueError, "num must be", lambda: np.linspace(T[0, 0], 1, -1)),
        (DtypeError, "int64", lambda: np.linspace(T[0, 0], 9, 3, dtype=int)),
        (TypeError, "'nonsense'", lambda: np.flip(T, nonsense=1)),
        (DtypeError, "int", lambda: np.sum(T, dtype=int)),
        (DtypeError, "int", lambda: np.cumsum(T, dtype=np.int32)),
        (ValueError, "initial", lambda: np.max(T, where=[True, False])),
        (ValueError, "ord must be", lambda: np.linalg.norm(T, axis=(0, 1), ord=7)),
        (ValueError, "one axis", lambda: np.linalg.norm(T[None], 2)),
        (ValueError, "number", lambda: np.linalg.norm(T, "fro", axis=0)),
        (ValueError, "approximate", lambda: tg.gelu(T, "erf")),
        (ValueError, "3 components", lambda: np.cross(T, T)),
        (ValueError, "differ in size", lambda: np.tensordot(T, np.ones(3), 1)),
        (ValueError, "n must be", lambda: np.diff(T, -1)),
        (ValueError, "weights", lambda: np.average(T, weights=[1, 2])),
        (ZeroDivisionError, "add up to 0", lambda: np.average(T, axis=0, weights=[1, -1])),
        (ValueError, "two axes", lambda: np.vsplit(T[0], 2)),
        (ValueError, "three axes", lambda: np.dsplit(T, 2)),
        (ValueError, "one axis", lambda: np.hsplit(T[0, 0], 2)),
        (ValueError, "indexing", lambda: np.meshgrid(T[0], indexing="yx")),
        (ValueError, "nested", lambda: np.block([[T], T])),
        (ValueError, "2 axes", lambda: np.take_along_axis(T, np.array([0]), 0)),
        (ValueError, "mode", lambda: np.convolve(T[0], T[1], "other")),
        (ValueError, "vectors", lambda: np.convolve(T, T)),
        (ValueError, "two vectors", lambda: np.linalg.outer(T, T)),
        (ValueError, "at least two arrays", lambda: np.linalg.multi_dot([T])),
        (ValueError, "two axes", lambda: np.matrix_transpose(T[0])),
        (np.exceptions.AxisError, "axis 2", lambda: np.prod(T, axis=2)),
        (np.exceptions.AxisError, "axis 2", lambda: np.median(T, axis=(0, 2))),
        (np.exceptions.AxisError, "axis -3", lambda: np.cumprod(T, axis=-3)),
        (np.exceptions.AxisError, "axis 2", lambda: np.sort(T, axis=2)),
        (np.exceptions.AxisError, "axis 2", lambda: np.take(T, 0, axis=2)),
        (np.exceptions.AxisError, "axis 2", lambda: np.diff(T, axis=2)),
        (np.exceptions.AxisError, "axis 2", lambda: np.repeat(T, 2, axis=2)),
        (ValueError, "repeated axis", lambda: np.prod(T, axis=(0, -2))),
    ],
)
def test_what_is_refused(error: type[Exception], words: str, call: Callable[[], Any]) -> None:
    with pytest.raises(error, match=re.escape(words)):
        call()
    assert T.grad is None


def test_questions_are_answered_with_plain_arrays() -> None:
    for f in (np.isfinite, np.isnan, np.isposinf, np.isreal, np.signbit, np.argsort, np.argwhere, np.flatnonzero):
        assert type(f(T)) is np.ndarray
        np.testing.assert_array_equal(f(T), f(T.data))
    assert T.argsort().tolist() == [[0, 1], [0, 1]]
    assert not T.any(where=T > 9) and (T > 1).tolist() == [[False, True], [True, True]] and T.all(where=T > 0)
    assert np.any(T, where=T > 4) and np.all(T, axis=0, where=[True, False]).tolist() == [True, True]
    assert T.all() and T.any() and len(T.nonzero()) == 2
    assert np.nanargmax(T) == 3 and np.linalg.matrix_rank(T) == 2
    assert np.digitize(T, [2, 4]).tolist() == [[0, 1], [1, 2]]
    assert type(np.imag(T)) is np.ndarray and not np.imag(T).any()


def test_of_two_nans_fmax_and_fmin_take_the_first() -> None:
    for f in (np.fmax, np.fmin):
        a, b = (tg.tensor(math.nan, requires_grad=True) for _ in range(2))
        f(a, b).backward()
        assert (a.grad.item(), b.grad.item()) == (1, 0)


def test_a_gradient_of_zero_that_changes_is_not_left_out() -> None:
    """At the smallest value of a loss of eigenvectors their gradient is 0, and its derivative is not."""
    a = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 0.5]])
    v = np.linalg.eigh(a)[1]
    u, _, vh = np.linalg.svd(a)
    x = tg.tensor(a, requires_grad=True)
    for f in (
        lambda x: (np.linalg.eigh((x + x.T) / 2)[1] ** 2 - v**2) ** 2,
        lambda x: (np.linalg.svd(x)[0] ** 2 - u**2) ** 2,
        lambda x: (np.linalg.svd(x)[2] ** 2 - vh**2) ** 2,
    ):
        first = tg.grad(f(x).sum(), x, create_graph=True)
        assert np.abs(first.data).max() < 1e-12
        assert np.abs(tg.grad((first * np.diag([1.0, 2.0, 4.0])).sum(), x).data).max() > 1e-2
        tg.gradcheck(f, x, order=2, rtol=1e-5, atol=1e-5)


def test_names_on_the_tape_are_the_functions_names() -> None:
    x = tg.tensor(np.ones((2, 2)), requires_grad=True)
    for f in (np.flip, lambda x: np.repeat(x, 2), np.tril, lambda x: np.tile(x, 2), np.cumsum, np.linalg.inv):
        y = f(x + np.eye(2))
        names = [record.op.name for record in tg.tape(y)]
        assert names[-1] in {"flip", "repeat", "tril", "tile", "cumsum", "inv"}
    assert isinstance(x.sort().op, ops.indexing.GetItem)


def test_dtype_and_keywords_of_reductions() -> None:
    x = tg.tensor(np.ones((2, 3), np.float32), requires_grad=True)
    for f in (np.sum, np.mean, np.prod, np.var, np.std, np.cumsum, np.cumprod, np.nansum, np.trace):
        y = f(x, dtype=np.float64)
        assert y.dtype == np.float64
        tg.grad(y.sum(), x)
    assert np.sum(x, initial=tg.tensor(2.0)).item() == 8
    assert np.prod(x, initial=3, dtype=float).item() == 3
    assert np.max(tg.tensor(np.ones((0, 2)), requires_grad=True), axis=0, initial=-1.0).data.tolist() == [-1, -1]
    assert np.var(x, correction=1).item() == 0
    with pytest.warns(RuntimeWarning):
        assert np.isnan(np.var(x[0, :1], ddof=1).item())
        assert np.isnan(np.median(x[:0]).item())
    assert np.isnan(np.nanmax(x * np.nan).item())
    assert np.isnan(np.median(np.where([[True], [False]], x, np.nan), axis=1).data).tolist() == [False, True]


def test_what_is_infinite_nan_or_empty_comes_out_as_numpys() -> None:
    for order in (None, 2, 3, 0.5, np.inf):
        assert np.linalg.norm(tg.tensor([math.inf, 1.0]), order).item() == math.inf
        assert np.linalg.norm(tg.tensor([]), order).item() == 0
    assert np.isnan(np.median(tg.tensor([1.0, math.nan, 3.0])).item())
    assert np.nan_to_num(tg.tensor([math.inf, -math.inf]), posinf=3.0, neginf=-4.0).data.tolist() == [3, -4]
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert np.var(tg.tensor([1.0, 2.0]), ddof=3).item() == math.inf
    average, total = np.average(tg.tensor(np.ones((3, 0))), axis=0, returned=True)
    assert average.shape == total.shape == (0,)


def test_a_number_does_not_change_the_dtype() -> None:
    x = tg.tensor([1.0, 3.0], np.float32)
    y = np.diff(x, prepend=0.5, append=4)
    assert y.dtype == np.float32
    assert y.data.tolist() == [0.5, 2, 1]
    assert np.diff(tg.tensor([1, 3]), prepend=0.5).data.tolist() == [0.5, 2]  # nor is the number cut to the dtype
    whole = np.max(tg.tensor([1, 3]), initial=0, where=[True, False])
    assert whole.dtype.kind == "i"
    assert whole.item() == 1


def test_equal_entries_are_sorted_in_their_old_order() -> None:
    x = tg.tensor(np.tile([1.0, 0.0], 50), requires_grad=True)
    (np.sort(x) * np.arange(100)).sum().backward()
    assert x.grad.tolist() == np.stack([np.arange(50, 100), np.arange(50)], 1).ravel().tolist()


def test_a_symmetric_matrix_is_read_and_differentiated_as_one() -> None:
    x = tg.tensor([[2.0, 0.3], [0.3, 1.0]], requires_grad=True)
    g = tg.grad((np.linalg.eigh(x)[1] * [[1.0, 2.0], [3.0, 5.0]]).sum(), x).data
    assert g[0, 1] == pytest.approx(g[1, 0], rel=1e-12)
    halves = tg.tensor([[4.0, 2.0], [99.0, 5.0]])
    assert np.linalg.cholesky(halves, upper=True).data.tolist() == [[2, 1], [0, 2]]
    assert np.linalg.cholesky(halves.T).data.tolist() == [[2, 0], [1, 2]]


def test_counts_may_stand_in_a_tensor() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    for y in (np.repeat(x, tg.tensor([1, 2])), np.repeat(x, repeats=tg.tensor([1, 2]))):
        assert y.data.tolist() == [1, 2, 2]
        assert tg.grad(y.sum(), x).data.tolist() == [1, 2]


def test_repeat_and_tile_of_the_issue() -> None:
    x = tg.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    (np.repeat(x, 2, axis=-1) * np.arange(12).reshape(2, 6)).sum().backward()
    assert x.grad.tolist() == [[1, 5, 9], [13, 17, 21]]
    x.grad = None
    (np.tile(x, (2,)) * np.arange(12).reshape(2, 6)).sum().backward()
    assert x.grad.tolist() == [[3, 5, 7], [15, 17, 19]]


def test_diff_of_integers_takes_ends_that_are_none() -> None:
    np.testing.assert_array_equal(np.diff(tg.tensor([1, 2]), prepend=0.5).data, [0.5, 1.0])


def test_arcsin_keeps_the_digits_of_its_slope_near_one() -> None:
    x = tg.tensor(1 - 2.0**-40, requires_grad=True)
    np.arcsin(x).backward()
    np.testing.assert_allclose(x.grad, 1 / np.sqrt(2.0**-40 * (2 - 2.0**-40)), rtol=1e-14)


def test_average_without_weights_returns_how_many_it_averaged() -> None:
    _, total = np.average(tg.tensor(np.ones((2, 3))), axis=1, returned=True)
    np.testing.assert_array_equal(np.asarray(getattr(total, "data", total)), [3.0, 3.0])


@pytest.mark.parametrize("n", [-3, -2, -1, 0, 1, 5])
def test_matrix_power_of_every_sign(n: int) -> None:
    x = tg.tensor([[[2.0, 0.3], [-0.4, 1.5]], [[1.0, 0.2], [0.1, -2.0]]], requires_grad=True)
    np.testing.assert_allclose(np.linalg.matrix_power(x, n).data, np.linalg.matrix_power(x.data, n), rtol=1e-12)
    assert tg.gradcheck(lambda x: np.linalg.matrix_power(x, n) + 0 * x, x, order=2)
