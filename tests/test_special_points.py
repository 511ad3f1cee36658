"""Reductions and linear algebra where formulas divide by 0 or lose a case: zeros, ties, equal values, one entry.

Where the function has derivatives there, central differences of it and of its gradient say what they are. Where it has
none, the table of conventions does (test_function_conventions.py).
"""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg

NAN = float("nan")


def T(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


VECTORS: dict[str, Any] = {
    "a zero": [0.0, 2.0, 3.0],
    "two zeros": [0.0, 2.0, 0.0, 3.0],
    "zeros alone": [0.0, 0.0, 0.0],
    "one entry": [2.0],
    "one zero": [0.0],
    "equal entries": [2.0, 2.0, 2.0],
    "zeros in rows": [[0.0, 2.0], [0.0, 3.0]],
}
REDUCTIONS: dict[str, Any] = {
    "sum": np.sum,
    "mean": np.mean,
    "average": np.average,
    "var": np.var,
    "prod": np.prod,
    "prod of rows": lambda x: np.prod(x, -1),
    "nanprod": lambda x: np.nanprod(np.append(x, NAN)),
    "cumprod": np.cumprod,
    "nancumprod": np.nancumprod,
    "cumsum": np.cumsum,
    "diff": np.diff,
    "trapezoid": np.trapezoid,
    "logsumexp": tg.logsumexp,
    "softmax": tg.softmax,
    "log_softmax": tg.log_softmax,
    "the square of std in two": lambda x: np.std(np.stack([x, x + 1])) ** 2,
    "a norm away from 0": lambda x: np.linalg.norm(np.append(x, 1.0)),
    "a norm of order 3 away from 0": lambda x: np.linalg.norm(np.append(x, 1.0), 3),
    "the sum of the sorted": lambda x: np.sum(np.sort(x)),
    "sum of max and min of two": lambda x: np.maximum(x, 2.0) + np.minimum(x, 2.0),
    "linspace": lambda x: np.linspace(x, 2 * x, 3),
    "convolve": lambda x: np.convolve(np.ravel(x), np.ravel(x)),
    "einsum": lambda x: np.einsum(np.ravel(x), [0], np.ravel(x), [1]),
}


@pytest.mark.parametrize("x", VECTORS.values(), ids=VECTORS)
@pytest.mark.parametrize("f", REDUCTIONS.values(), ids=REDUCTIONS)
def test_reductions(f: Any, x: Any) -> None:
    assert tg.gradcheck(f, tg.tensor(x, requires_grad=True), 2, rtol=1e-5, atol=1e-5)


MATRICES: dict[str, Any] = {
    "one number": [[2.0]],
    "no entries": np.zeros((0, 0)),
    "identity": np.eye(3),
    "two equal values": np.diag([2.0, 2.0, 1.0]),
    "values of both signs": np.diag([1.0, -1.0, 2.0]),
    "a stack": np.stack([np.eye(2), 3 * np.eye(2)]),
}
SINGULAR: dict[str, Any] = {
    "zero": [[0.0]],
    "zeros": np.zeros((3, 3)),
    "rank 1": np.outer([1.0, 2.0, 3.0], [1.0, 1.0, 2.0]),
    "rank 2": np.diag([1.0, 2.0, 0.0]),
    "rank 2 of 4": np.diag([1.0, 0.0, 2.0, 0.0]),
    "one of a stack": np.stack([np.diag([1.0, 0.0]), np.eye(2)]),
}
OF_ANY: dict[str, Any] = {
    "det": np.linalg.det,
    "trace": lambda x: np.trace(x, axis1=-1, axis2=-2),
    "power 0": lambda x: np.linalg.matrix_power(x, 0) + 0 * x,
    "power 1": lambda x: np.linalg.matrix_power(x, 1),
    "power 3": lambda x: np.linalg.matrix_power(x, 3),
    "multi_dot": lambda x: x @ x @ x,
}
OF_REGULAR: dict[str, Any] = {
    "inv": np.linalg.inv,
    "pinv": np.linalg.pinv,
    "solve": lambda x: np.linalg.solve(x, np.ones((x.shape[-1], 2))),
    "slogdet": lambda x: np.linalg.slogdet(x)[1],
    "power -2": lambda x: np.linalg.matrix_power(x, -2),
    "cond with fro": lambda x: np.linalg.cond(x, "fro"),
    "nuclear norm": lambda x: np.linalg.norm(x, "nuc", (-2, -1)),
    "squares of singular values": lambda x: np.sum(np.linalg.svd(x, compute_uv=False) ** 2, -1),
    "squares of qr": lambda x: np.linalg.qr(x)[1] ** 2,  # whose signs jump at triangular matrices
}


@pytest.mark.parametrize("x", (MATRICES | SINGULAR).values(), ids=MATRICES | SINGULAR)
@pytest.mark.parametrize("f", OF_ANY.values(), ids=OF_ANY)
def test_matrices(f: Any, x: Any) -> None:
    assert tg.gradcheck(f, tg.tensor(x, requires_grad=True), 2, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("x", MATRICES.values(), ids=MATRICES)
@pytest.mark.parametrize("f", OF_REGULAR.values(), ids=OF_REGULAR)
def test_matrices_with_an_inverse(f: Any, x: Any) -> None:
    order = 1 if f is OF_REGULAR["squares of singular values"] else 2  # the second is that of the vectors
    assert tg.gradcheck(f, tg.tensor(x, requires_grad=True), order, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("x", [np.eye(3), np.diag([2.0, 2.0, 1.0])])
def test_cholesky_of_symmetric_matrices_with_equal_values(x: Any) -> None:
    f = lambda x: np.linalg.cholesky(x @ T(x) + x + T(x))  # noqa: E731
    assert tg.gradcheck(f, tg.tensor(x, requires_grad=True), 2, rtol=1e-5, atol=1e-5)


def test_equal_eigenvalues_as_a_symmetric_function_of_them() -> None:
    """tr f(X), whose gradient is f'(X)."""
    for x in (np.eye(3), np.diag([2.0, 2.0, 1.0])):
        for values in (np.linalg.eigvalsh, np.linalg.eigvals, lambda x: np.linalg.eigh(x)[0]):
            t = tg.tensor(x, requires_grad=True)
            np.testing.assert_allclose(tg.grad(np.sum(np.exp(values(t))), t).data, np.diag(np.exp(np.diag(x))))


def test_what_is_not_defined_at_equal_values_is_nan_and_not_a_number_that_looks_right() -> None:
    """The vectors of equal values may turn as they like: their gradient divides by the gap."""
    x = tg.tensor(np.eye(2), requires_grad=True)
    for f in (
        lambda x: np.linalg.eigh(x)[1],
        lambda x: np.linalg.eig(x)[1] ** 2,
        lambda x: (lambda w, v: (v * np.exp(w)) @ T(v))(*np.linalg.eigh(x)),
        lambda x: np.linalg.svd(x)[0] ** 2,
    ):
        with np.errstate(all="ignore"):
            assert np.isnan(tg.grad(f(x)[0, 0], x).data).any()
    g = tg.grad(np.sum(np.linalg.eigvalsh(x) ** 3), x, create_graph=True)
    with np.errstate(all="ignore"):
        assert np.isnan(tg.grad(g[0, 1], x).data).any()


@pytest.mark.parametrize("rank", range(5))
def test_every_derivative_of_a_determinant_is_a_polynomial(rank: int) -> None:
    """det (A + x I) of A of any rank: up to the third derivative at 0, by NumPy's own coefficients."""
    rng = np.random.default_rng(rank)
    a = rng.normal(size=(4, rank)) @ rng.normal(size=(rank, 4))
    coefficients = np.poly(-a)[::-1]  # of det (x I + A)
    x = tg.tensor(0.0, requires_grad=True)
    y = np.linalg.det(a + x * np.eye(4))
    for order in range(4):
        expected = coefficients[order] * np.prod(np.arange(1, order + 1))
        np.testing.assert_allclose(y.data, expected, rtol=1e-9, atol=1e-9)
        y = tg.grad(y, x, create_graph=True)


def test_the_power_0_of_any_matrix_is_the_identity() -> None:
    x = tg.tensor([[NAN, np.inf], [0.0, 1.0]], requires_grad=True)
    y = np.linalg.matrix_power(x, 0)
    assert y.data.tolist() == [[1, 0], [0, 1]]
    y.sum().backward()
    assert x.grad.tolist() == [[0, 0], [0, 0]]


def test_ties_have_a_second_derivative_of_zero() -> None:
    for f in (np.max, np.min, np.ptp, np.median, np.nanmax, lambda x: np.quantile(x, 0.4), lambda x: np.sort(x)[1]):
        x = tg.tensor([1.0, 1.0, 1.0], requires_grad=True)
        first = tg.grad(f(x) ** 2, x, create_graph=True)
        second = tg.hessian(lambda x, f=f: f(x), x).data
        assert first.data.sum() == pytest.approx(2.0 if f is not np.ptp else 0.0)
        assert not second.any()


def test_quantiles_beside_infinities_and_nans() -> None:
    x = tg.tensor([-np.inf, 1.0, 2.0, np.inf], requires_grad=True)
    for q, value, gradient in ((0, -np.inf, [1, 0, 0, 0]), (1 / 3, 1.0, [0, 1, 0, 0]), (1, np.inf, [0, 0, 0, 1])):
        y = np.quantile(x, q, method="nearest" if q == 1 / 3 else "linear")
        assert y.item() == value
        np.testing.assert_allclose(tg.grad(y, x).data, gradient, atol=1e-12)
    holed = np.where([True, False, False, False], NAN, x)
    assert np.isnan(np.quantile(holed, 0.5).item())
    assert np.nanquantile(holed, 0.0).item() == 1
    assert np.isnan(np.nanmedian(x * NAN).item())
