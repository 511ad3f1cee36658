"""np.linalg."""

from typing import Any

import numpy as np

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
