"""np.linalg: a matrix as a product of simpler ones (Cholesky, QR, eigenvalues, singular values).

The rules are the textbook ones (Giles 2008, "Collected matrix derivative results for forward and reverse mode"). All
work on stacks of matrices (..., n, n); T swaps the last two axes.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from ..engine.arrays import A, Array, Arrays
from ..engine.tape import Op
from ..errors import NotDifferentiableError
from .blas import quiet
from .registry import implements
from .shape import concatenate


def T(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


def _used(g: Array) -> bool:
    """Whether an output was used: a recorded gradient may be 0 here and still have a derivative."""
    return hasattr(g, "array") or bool(np.any(g != 0))


class Cholesky(Op):
    """X = L Lᵀ with L lower triangular.  dL/dX = ½ (S + Sᵀ), S = L⁻ᵀ Φ(Lᵀ G) L⁻¹.

    Φ takes the lower triangle, with half of the diagonal.
    """

    def forward(self, x: Array) -> Array:
        return np.linalg.cholesky(x)

    @quiet
    def vjp(self, g: Array, y: Array, x: Array) -> Array:
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

    def __init__(self, UPLO: Literal["L", "U"] = "L") -> None:
        self.UPLO = UPLO

    def forward(self, x: Array) -> Arrays:
        return tuple(np.linalg.eigh(x, self.UPLO))

    @quiet
    def vjp(self, g: Arrays, y: Arrays, x: Array) -> Array:
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

    def forward(self, x: Array) -> Arrays:
        return tuple(np.linalg.svd(x, full_matrices=False))

    @quiet
    def vjp(self, g: Arrays, y: Arrays, x: Array) -> Array:
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

    def forward(self, x: Array) -> Array:
        return np.linalg.svd(x, compute_uv=False)

    @quiet
    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        u, _, vh = np.linalg.svd(x, full_matrices=False)
        return (u * np.expand_dims(g, -2)) @ vh


class Qr(Op):
    """X = Q R, X with at least as many rows as columns and of full rank.

    dL/dX = (G_Q + Q (tril M + (tril M below its diagonal)ᵀ)) R⁻ᵀ with M = R G_Rᵀ - G_Qᵀ Q (Walter and Lehmann 2013).
    """

    outputs = 2

    def forward(self, x: Array) -> Arrays:
        return tuple(np.linalg.qr(x))

    @quiet
    def vjp(self, g: Arrays, y: Arrays, x: Array) -> Array:
        (gq, gr), (q, r) = g, y
        m = np.tril(r @ T(gr) - T(gq) @ q)
        return T(np.linalg.solve(r, T(gq + q @ (m + T(np.tril(m, -1))))))


class Eig(Op):
    """X V = V diag(w), the columns of V of length 1, for X whose eigenvalues are real and apart.

    dL/dX = V⁻ᵀ (diag(g_w) + F * (Vᵀ G_V - Vᵀ V diag(Vᵀ G_V))) Vᵀ with F_ij = 1 / (w_j - w_i).
    """

    outputs = 2

    def forward(self, x: Array) -> Arrays:
        w, v = np.linalg.eig(x)
        if np.any(w.imag != 0):
            raise NotDifferentiableError(
                "np.linalg.eig of a Tensor with complex eigenvalues is not supported: a Tensor is real. Of a symmetric "
                "matrix use np.linalg.eigh; for plain numbers use t.detach().data"
            )
        return w.real, v.real  # a later NumPy gives complex numbers even so

    @quiet
    def vjp(self, g: Arrays, y: Arrays, x: Array) -> Array:
        (gw, gv), (w, v) = g, y
        eye = np.eye(x.shape[-1], dtype=x.dtype)
        inner = np.expand_dims(gw, -2) * eye
        if _used(gv):
            gap = np.expand_dims(w, -2) - np.expand_dims(w, -1)
            k = T(v) @ gv
            along = np.sum(v * gv, -2, keepdims=True)  # changes of length, which V does not show
            inner = inner + (k - T(v) @ v * along) * (1 - eye) / (gap + eye)
        return np.linalg.solve(T(v), inner @ T(v))


class EigResult(NamedTuple):
    eigenvalues: Array
    eigenvectors: Array


class QRResult(NamedTuple):
    Q: Array
    R: Array


class EighResult(NamedTuple):
    eigenvalues: Array
    eigenvectors: Array


class SVDResult(NamedTuple):
    U: Array
    S: Array
    Vh: Array


@implements("linalg.cholesky")
def cholesky(a: Array, /, *, upper: bool = False) -> Array:
    """As `np.linalg.cholesky`: the gradient is that of a symmetric matrix."""
    return T(Cholesky()(T(a))) if upper else Cholesky()(a)


@implements("linalg.eigh")
def eigh(a: Array, UPLO: Literal["L", "U"] = "L") -> EighResult:
    """As `np.linalg.eigh`: the gradient is that of a symmetric matrix, half of it on each side of the diagonal."""
    return EighResult(*Eigh(UPLO)(a))


@implements("linalg.eigvalsh")
def eigvalsh(a: A, UPLO: Literal["L", "U"] = "L") -> A:
    """As `np.linalg.eigvalsh`."""
    return Eigh(UPLO)(a)[0]


@implements("linalg.eig")
def eig(a: Array) -> EigResult:
    """As `np.linalg.eig`, where all eigenvalues are real."""
    return EigResult(*Eig()(a))


@implements("linalg.eigvals")
def eigvals(a: A) -> A:
    """As `np.linalg.eigvals`, where all eigenvalues are real."""
    return Eig()(a)[0]


@implements("linalg.qr")
def qr(a: Array, mode: str = "reduced") -> Array | QRResult:
    """As `np.linalg.qr`, reduced or R alone; the first columns, as many as there are rows, must be independent."""
    rows, columns = a.shape[-2:]
    if mode not in ("reduced", "r") and not (mode == "complete" and rows <= columns):
        raise NotDifferentiableError(
            f"np.linalg.qr of a Tensor with mode={mode!r} is not supported: use 'reduced' or 'r'"
            + " (the other columns of Q are arbitrary)" * (mode == "complete")
        )
    q, r = Qr()(a if rows >= columns else a[..., :rows])
    if rows < columns:
        r = concatenate([r, T(q) @ a[..., rows:]], -1)
    return r if mode == "r" else QRResult(q, r)


@implements("linalg.svd")
def svd(a: Array, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Array | SVDResult:
    """As `np.linalg.svd`: singular values alone, or the thin decomposition."""
    if not compute_uv:
        return SingularValues()(a)
    if full_matrices and a.shape[-1] != a.shape[-2]:
        raise NotDifferentiableError(
            "np.linalg.svd of a Tensor needs full_matrices=False: the rest of U or V is arbitrary"
        )
    return SVDResult(*Svd()(a))


@implements("linalg.svdvals")
def svdvals(x: A, /) -> A:
    """As `np.linalg.svdvals`."""
    return SingularValues()(x)
