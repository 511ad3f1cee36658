"""np.linalg: norms, inverses, determinants, solutions, decompositions.

The rules are the textbook ones (Giles 2008, "Collected matrix derivative results for forward and reverse mode"). All
work on stacks of matrices (..., n, n); T swaps the last two axes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..engine.tape import Op
from ..errors import NotDifferentiableError
from .blas import quiet
from .elementwise import where
from .reduction import Norm, max, min, sum
from .registry import implements
from .shape import sum_to


def T(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


def _used(g: Any) -> bool:
    """Whether an output was used: a recorded gradient may be 0 here and still have a derivative."""
    return hasattr(g, "array") or bool(np.any(g != 0))


class Inv(Op):
    """Y = X⁻¹.  dL/dX = -Yᵀ G Yᵀ."""

    def forward(self, x: Any) -> Any:
        return np.linalg.inv(x)

    @quiet
    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return -T(y) @ g @ T(y)


class Det(Op):
    """y = det X.  dL/dX = g y X⁻ᵀ, for X that has an inverse."""

    def forward(self, x: Any) -> Any:
        return np.linalg.det(x)

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return np.expand_dims(g * y, (-2, -1)) * T(np.linalg.inv(x))


class Slogdet(Op):
    """s, l = the sign of det X and log |det X|.  dL/dX = g_l X⁻ᵀ."""

    outputs = 2

    def forward(self, x: Any) -> Any:
        return tuple(np.asarray(part) for part in np.linalg.slogdet(x))

    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        return np.expand_dims(g[1], (-2, -1)) * T(np.linalg.inv(x))


class Solve(Op):
    """Y = A⁻¹ B.  dL/dB = A⁻ᵀ G,  dL/dA = -(dL/dB) Yᵀ. B is a vector where it has one axis."""

    def forward(self, a: Any, b: Any) -> Any:
        return np.linalg.solve(a, b)

    @quiet
    def vjp_a(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        d = np.linalg.solve(T(a), g) if b.ndim > 1 else _solve_vectors(T(a), g)
        return -d @ T(y) if b.ndim > 1 else -np.expand_dims(d, -1) * np.expand_dims(y, -2)

    def vjp_b(self, g: Any, y: Any, a: Any, b: Any) -> Any:
        return np.linalg.solve(T(a), g) if b.ndim > 1 else _solve_vectors(T(a), g)

    def fit(self, g: Any, x: Any) -> Any:
        return sum_to(g, x.shape)


def _solve_vectors(a: Any, b: Any) -> Any:
    return np.squeeze(np.linalg.solve(a, np.expand_dims(b, -1)), -1)


class Cholesky(Op):
    """X = L Lᵀ with L lower triangular.  dL/dX = ½ (S + Sᵀ), S = L⁻ᵀ Φ(Lᵀ G) L⁻¹.

    Φ takes the lower triangle, with half of the diagonal.
    """

    def forward(self, x: Any) -> Any:
        return np.linalg.cholesky(x)

    @quiet
    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        n = x.shape[-1]
        half = np.tril(np.ones((n, n), x.dtype)) - np.eye(n, dtype=x.dtype) / 2
        inverse = np.linalg.inv(y)
        s = T(inverse) @ ((T(y) @ g) * half) @ inverse
        return (s + T(s)) / 2


class Eigh(Op):
    """X V = V diag(w) for symmetric X.  dL/dX = V (diag(g_w) + F * (Vᵀ G_V)) Vᵀ with F_ij = 1 / (w_j - w_i).

    It is made symmetric, whichever triangle was read. The part from V is undefined where two eigenvalues are equal.
    """

    outputs = 2

    def __init__(self, UPLO: Any = "L") -> None:
        self.UPLO = UPLO

    def forward(self, x: Any) -> Any:
        return tuple(np.linalg.eigh(x, self.UPLO))

    @quiet
    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        (gw, gv), (w, v) = g, y
        eye = np.eye(x.shape[-1], dtype=x.dtype)
        gap = np.expand_dims(w, -2) - np.expand_dims(w, -1)
        inner = np.expand_dims(gw, -2) * eye
        if _used(gv):
            inner = inner + (T(v) @ gv) * (1 - eye) / (gap + eye)
        s = v @ inner @ T(v)
        return (s + T(s)) / 2


class Svd(Op):
    """X = U diag(s) Vᵀ, thin, with the rule of Townsend 2016.

    The part from U and V is undefined where two singular values are equal, or one is 0.
    """

    outputs = 3

    def forward(self, x: Any) -> Any:
        return tuple(np.linalg.svd(x, full_matrices=False))

    @quiet
    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        (gu, gs, gvh), (u, s, vh) = g, y
        k = s.shape[-1]
        eye = np.eye(k, dtype=x.dtype)
        row, column = np.expand_dims(s, -2), np.expand_dims(s, -1)
        inner = np.expand_dims(gs, -2) * eye
        total = 0.0
        if _used(gu) or _used(gvh):
            f = (1 - eye) / (row * row - column * column + eye)
            ju, jv = f * (T(u) @ gu), f * (vh @ T(gvh))
            inner = inner + (ju + T(ju)) * row + column * (jv + T(jv))
            if x.shape[-2] > k:  # what is outside the column space
                total = total + ((gu - u @ (T(u) @ gu)) / row) @ vh
            if x.shape[-1] > k:
                total = total + (u / row) @ (gvh - (gvh @ T(vh)) @ vh)
        return u @ inner @ vh + total


class SingularValues(Op):
    """s = the singular values of X = U diag(s) Vᵀ.  dL/dX = U diag(g) Vᵀ."""

    def forward(self, x: Any) -> Any:
        return np.linalg.svd(x, compute_uv=False)

    @quiet
    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        u, _, vh = np.linalg.svd(x, full_matrices=False)
        return (u * np.expand_dims(g, -2)) @ vh


class Pinv(Op):
    """P = X⁺, X of full rank.  dL/dX = -Pᵀ G Pᵀ + (I - X P) Gᵀ P Pᵀ + Pᵀ P Gᵀ (I - P X) (Golub and Pereyra 1973)."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options

    def forward(self, x: Any) -> Any:
        return np.linalg.pinv(x, **self.options)

    @quiet
    def vjp(self, g: Any, y: Any, x: Any) -> Any:
        outside_rows = np.eye(x.shape[-2], dtype=x.dtype) - x @ y
        outside_columns = np.eye(x.shape[-1], dtype=x.dtype) - y @ x
        return -T(y) @ g @ T(y) + outside_rows @ T(g) @ y @ T(y) + T(y) @ y @ T(g) @ outside_columns


class EighResult(NamedTuple):
    eigenvalues: Any
    eigenvectors: Any


class SlogdetResult(NamedTuple):
    sign: Any
    logabsdet: Any


class SVDResult(NamedTuple):
    U: Any
    S: Any
    Vh: Any


@implements("linalg.inv")
def inv(a: Any) -> Any:
    """As `np.linalg.inv`."""
    return Inv()(a)


@implements("linalg.det")
def det(a: Any) -> Any:
    """As `np.linalg.det`."""
    return Det()(a)


@implements("linalg.solve")
def solve(a: Any, b: Any) -> Any:
    """As `np.linalg.solve`."""
    return Solve()(a, b)


@implements("linalg.cholesky")
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """As `np.linalg.cholesky`: the gradient is that of a symmetric matrix."""
    return T(Cholesky()(T(a))) if upper else Cholesky()(a)


@implements("linalg.slogdet")
def slogdet(a: Any) -> SlogdetResult:
    """As `np.linalg.slogdet`."""
    return SlogdetResult(*Slogdet()(a))


@implements("linalg.eigh")
def eigh(a: Any, UPLO: str = "L") -> EighResult:
    """As `np.linalg.eigh`: the gradient is that of a symmetric matrix, half of it on each side of the diagonal."""
    return EighResult(*Eigh(UPLO)(a))


@implements("linalg.eigvalsh")
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """As `np.linalg.eigvalsh`."""
    return Eigh(UPLO)(a)[0]


@implements("linalg.svd")
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """As `np.linalg.svd`: singular values alone, or the thin decomposition."""
    if not compute_uv:
        return SingularValues()(a)
    if full_matrices and a.shape[-1] != a.shape[-2]:
        raise NotDifferentiableError(
            "np.linalg.svd of a Tensor needs full_matrices=False: the rest of U or V is arbitrary"
        )
    return SVDResult(*Svd()(a))


@implements("linalg.svdvals")
def svdvals(x: Any, /) -> Any:
    """As `np.linalg.svdvals`."""
    return SingularValues()(x)


@implements("linalg.pinv")
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """As `np.linalg.pinv`; the derivative holds where the rank does not change, and only zeros are cut off."""
    options = {"rcond": rcond, "rtol": rtol}
    return Pinv({key: value for key, value in options.items() if value is not None} | {"hermitian": hermitian})(a)


@implements("linalg.matrix_power")
def matrix_power(a: Any, n: int) -> Any:
    """As `np.linalg.matrix_power`, by repeated squaring."""
    if n < 0:
        a, n = inv(a), -n
    result: Any = None
    while n:
        if n % 2:
            result = a if result is None else result @ a
        n //= 2
        if n:
            a = a @ a
    return result if result is not None else a * 0 + np.eye(a.shape[-1], dtype=a.dtype)


@implements("linalg.cond")
def cond(x: Any, p: Any = None) -> Any:
    """As `np.linalg.cond`: ‖X‖ ‖X⁻¹‖, for p = None, 2 and -2 the quotient of singular values."""
    if p in (None, 2, -2):
        s = SingularValues()(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return norm(x, p, (-2, -1)) * norm(inv(x), p, (-2, -1))


@implements("linalg.norm")
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """As `np.linalg.norm`, for vectors and matrices; at 0 the derivative of every norm is taken to be 0."""
    x = x if x.dtype.kind == "f" else x.astype(float)
    if axis is None and ord is None:
        return Norm(None, keepdims)(x)
    axes = normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
    if len(axes) == 1:
        return _vector_norm(x, 2 if ord is None else ord, axes[0], keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, "fro" if ord is None else ord, axes, keepdims)
    raise ValueError(f"np.linalg.norm over {len(axes)} axes: name one axis for vectors, or two for matrices")


@implements("linalg.vector_norm")
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """As `np.linalg.vector_norm`: of all entries, or along one axis or several."""
    x = x if x.dtype.kind == "f" else x.astype(float)
    axes = normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
    return _vector_norm(x, ord, axes, keepdims)


@implements("linalg.matrix_norm")
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """As `np.linalg.matrix_norm`: of the last two axes."""
    return norm(x, ord, (-2, -1), keepdims)


def _vector_norm(x: Any, ord: Any, axis: Any, keepdims: bool) -> Any:
    """(Σ |x|^ord)^(1/ord), and its limits."""
    if ord == 2:
        return Norm(axis, keepdims)(x)
    if ord == np.inf:
        return max(abs(x), axis, keepdims=keepdims, initial=0)
    if ord == -np.inf:
        return min(abs(x), axis, keepdims=keepdims)
    if ord == 1:
        return sum(abs(x), axis, keepdims=keepdims)
    if ord == 0:
        return sum(abs(np.sign(x)), axis, keepdims=keepdims)  # how many are not 0
    if isinstance(ord, str):
        raise ValueError(f"np.linalg.norm of vectors: ord must be a number, not {ord!r}")
    size = max(abs(x.array if hasattr(x, "array") else x), axis, keepdims=True, initial=0)
    size = np.where((size > 0) & np.isfinite(size), size, 1)  # powers of large entries would overflow
    entries = abs(x / size)
    if 0 < ord < 1:  # the slope at 0 is infinite, and taken to be 0: so no entry is 0 when its power is formed
        unused = entries == 0
        total = sum(where(unused, 0.0, where(unused, 1.0, entries) ** ord), axis, keepdims=True)
    else:
        total = sum(entries**ord, axis, keepdims=True)
    zero = total == 0
    y = where(zero, 0.0, where(zero, 1.0, total) ** (1 / ord)) * size
    return y if keepdims else np.squeeze(y, axis)


def _matrix_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """The Frobenius and nuclear norms, the largest or smallest singular value, column sum or row sum."""
    if ord == "fro":
        return Norm(axes, keepdims)(x)
    if ord in (1, -1, np.inf, -np.inf):
        rows, columns = axes
        along, across = (rows, columns) if ord in (1, -1) else (columns, rows)
        sums = sum(abs(x), along, keepdims=True)
        y = (max if ord > 0 else min)(sums, across, keepdims=True)
    elif ord in ("nuc", 2, -2):
        s = SingularValues()(np.moveaxis(x, axes, (-2, -1)))
        y = sum(s, -1) if ord == "nuc" else max(s, -1) if ord == 2 else min(s, -1)
        return np.expand_dims(y, tuple(sorted(axes))) if keepdims else y
    else:
        raise ValueError(
            f"np.linalg.norm of matrices: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, not {ord!r}"
        )
    return y if keepdims else np.squeeze(y, axes)
