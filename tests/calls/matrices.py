"""np.linalg."""

from typing import Any

import numpy as np
from hypothesis import assume

from tinygrad_rnn.ops.inverses import Cofactors
from tinygrad_rnn.ops.norms import Nuclear, Polar

from .draw import Call, Draw, row, rows


def stacked(draw: Draw, rows: int, columns: int) -> np.ndarray:
    """A stack of matrices whose singular values are apart from each other and from 0."""
    x = draw.values((*draw.shape(0, 1), rows, columns), -1, 1)
    k = min(rows, columns)
    u, _, vh = np.linalg.svd(x, full_matrices=False)
    return (u * (np.arange(1, k + 1) + draw.values((k,), -0.3, 0.3))) @ vh if k and x.size else x


@rows("inv", "det", "slogdet", "matrix_power")
def square_matrices(draw: Draw, kind: Any) -> Call:
    n = draw.int(0, 3)
    x = stacked(draw, n, n)
    power = draw.int(-2, 4)
    return {
        "inv": Call(lambda x: np.linalg.inv(x), [x], lambda t, x: t.linalg.inv(x)),
        "det": Call(lambda x: np.linalg.det(x), [x], lambda t, x: t.linalg.det(x)),
        "slogdet": Call(lambda x: np.linalg.slogdet(x)[1], [x], lambda t, x: t.linalg.slogdet(x)[1]),
        "matrix_power": Call(
            lambda x: np.linalg.matrix_power(x, power), [x], lambda t, x: t.linalg.matrix_power(x, power)
        ),
    }[kind]


@rows("cholesky", "cholesky upper", "eigvalsh", "eigh", "eigh values")
def symmetric_matrices(draw: Draw, kind: Any) -> Call:
    n = draw.int(1, 3)
    x = stacked(draw, n, n)
    side = draw.one("L", "U")
    gram = lambda x: x @ x.swapaxes(-1, -2)  # noqa: E731
    return {
        "cholesky": Call(lambda x: np.linalg.cholesky(gram(x)), [x], lambda t, x: t.linalg.cholesky(gram(x))),
        "cholesky upper": Call(
            lambda x: np.linalg.cholesky(gram(x), upper=True), [x], lambda t, x: t.linalg.cholesky(gram(x), upper=True)
        ),
        "eigvalsh": Call(lambda x: np.linalg.eigvalsh(gram(x)), [x], lambda t, x: t.linalg.eigvalsh(gram(x))),
        "eigh": Call(lambda x: np.linalg.eigh(gram(x), side)[1] ** 2, [x], lambda t, x: t.linalg.eigh(gram(x))[1] ** 2),
        "eigh values": Call(lambda x: sum(p.sum() for p in np.linalg.eigh(gram(x))[:1]), [x]),
    }[kind]


@row
def solve(draw: Draw) -> Call:
    n = draw.int(1, 3)
    a = stacked(draw, n, n)
    b = draw.values(draw.one((n,), (n, 2), (*a.shape[:-2], n, 1), (2, *[1] * (a.ndim - 2), n, 1)))
    theirs = lambda t, a, b: t.linalg.solve(a, b) if b.ndim > 1 else (t.linalg.inv(a) @ b)  # noqa: E731
    return Call(lambda a, b: np.linalg.solve(a, b), [a, b], theirs)


@rows("svd", "svdvals", "svd thin", "pinv", "cond")
def rectangular_matrices(draw: Draw, kind: Any) -> Call:
    x = stacked(draw, draw.int(1, 3), draw.int(1, 3))
    p = draw.one(None, 2, -2)
    return {
        "svd": Call(lambda x: np.linalg.svd(x, compute_uv=False), [x], lambda t, x: t.linalg.svdvals(x)),
        "svdvals": Call(lambda x: np.linalg.svdvals(x), [x], lambda t, x: t.linalg.svdvals(x)),
        "svd thin": Call(lambda x: [y**2 for y in np.linalg.svd(x, full_matrices=False)], [x]),
        "pinv": Call(lambda x: np.linalg.pinv(x), [x], lambda t, x: t.linalg.pinv(x)),
        "cond": Call(lambda x: np.linalg.cond(x, p), [x]),
    }[kind]


@row
def vector_norms(draw: Draw) -> Call:
    x = draw.array(1, 3, 1)
    axis, keepdims = draw.axis(x.ndim), draw.flag()
    p = draw.one(None, 2, 1, 3, 2.5, 0.5, -1, np.inf, -np.inf, 0)
    theirs = lambda t, x: t.linalg.vector_norm(x, 2 if p is None else p, axis, keepdims)  # noqa: E731
    return draw.one(
        Call(lambda x: np.linalg.norm(x, p, axis, keepdims), [x], theirs if p != 0 else None),
        Call(lambda x: np.linalg.norm(x), [x], lambda t, x: t.linalg.norm(x)),
        Call(
            lambda x: np.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=2 if p is None else p),
            [x],
            theirs if p != 0 else None,
        ),
    )


@row
def matrix_norms(draw: Draw) -> Call:
    x = stacked(draw, draw.int(1, 3), draw.int(1, 3))
    keepdims, p = draw.flag(), draw.one(None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
    axes = draw.one((-2, -1), (-1, -2))
    theirs = lambda t, x: t.linalg.matrix_norm(x, "fro" if p is None else p, axes, keepdims)  # noqa: E731
    return draw.one(
        Call(lambda x: np.linalg.norm(x, p, axes, keepdims), [x], theirs),
        Call(lambda x: np.linalg.norm(x, p, axes, keepdims), [x], theirs),
        Call(lambda x: np.linalg.matrix_norm(x, keepdims=keepdims, ord=p or "fro"), [x]),
    )


@rows("qr", "qr r", "lstsq", "lstsq vector")
def equations(draw: Draw, kind: Any) -> Call:
    m, n = draw.int(1, 3), draw.int(1, 3)
    x = stacked(draw, m, n)
    if kind == "qr":
        return Call(lambda x: [y**2 for y in np.linalg.qr(x)], [x], _their_qr if m >= n else None)
    if kind == "qr r":
        return Call(lambda x: np.linalg.qr(x, "r"), [x], (lambda t, x: _their_qr(t, x, 1)[1]) if m >= n else None)
    assume(x.ndim == 2)
    b = draw.values((m,) if kind.endswith("vector") else (m, 2))

    def solved(x: Any, b: Any) -> Any:
        solution, residuals, _, s = np.linalg.lstsq(x, b)
        return solution, residuals, s

    return Call(solved, [x, b], (lambda t, x, b: _their_solution(t, x, b)) if kind == "lstsq" else None)


def _their_qr(t: Any, x: Any, power: int = 2) -> Any:
    return [y**power for y in t.linalg.qr(x)]


def _their_solution(t: Any, x: Any, b: Any) -> Any:
    y = t.linalg.pinv(x) @ b
    r = ((b - x @ y) ** 2).sum(0) if x.shape[0] > x.shape[1] else t.zeros(0, dtype=x.dtype)
    return y, r, t.linalg.svdvals(x)


@rows("eig", "eigvals")
def real_spectra(draw: Draw, kind: Any) -> Call:
    """V diag(1, 2, 3) V⁻¹."""
    n = draw.int(1, 3)
    v = stacked(draw, n, n)
    x = v * np.arange(1.0, n + 1) @ np.linalg.inv(v)
    if kind == "eigvals":
        return Call(lambda x: np.linalg.eigvals(x), [x], None, lambda x: np.linalg.eigvals(x).real)
    return Call(
        lambda x: [y**2 for y in np.linalg.eig(x)],
        [x],
        lambda t, x: [y.real**2 for y in t.linalg.eig(x)],
        lambda x: [y.real**2 for y in np.linalg.eig(x)],
    )


@rows("cofactors", "cofactors of low rank", "nuclear", "polar")
def singular_or_not(draw: Draw, kind: Any) -> Call:
    """Ops that np.linalg.det of matrices without an inverse, and np.linalg.norm with nuc, are made of."""
    if kind.startswith("cofactors"):
        n = draw.int(1, 4)
        x = stacked(draw, n, n)
        if kind.endswith("rank") and n:
            x = np.concatenate([x[..., :1, :]] * n, -2)
        return Call(lambda x: Cofactors()(x), [x], None, cofactors)
    x = stacked(draw, draw.one(3, 2, 1), draw.one(3, 2, 1))
    if kind == "nuclear":
        return Call(
            lambda x: Nuclear()(x),
            [x],
            lambda t, x: t.linalg.matrix_norm(x, "nuc"),
            lambda x: np.linalg.svdvals(x).sum(-1),
        )
    return Call(lambda x: Polar()(x), [x], None, polar)


def cofactors(x: np.ndarray) -> np.ndarray:
    """± the determinants of x without a row and a column."""
    y = np.empty_like(x)
    for i, j in np.ndindex(x.shape[-2:]):
        rest = np.delete(np.delete(x, i, -2), j, -1)
        y[..., i, j] = (-1) ** (i + j) * np.linalg.det(rest)
    return y


def polar(x: np.ndarray) -> np.ndarray:
    u, _, vh = np.linalg.svd(x, full_matrices=False)
    return u @ vh
