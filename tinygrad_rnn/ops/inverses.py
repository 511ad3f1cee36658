"""np.linalg: inverses, determinants, solutions of linear equations, powers.

The rules are the textbook ones (Giles 2008, "Collected matrix derivative results for forward and reverse mode"). All
work on stacks of matrices (..., n, n); T swaps the last two axes.
"""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

import numpy as np

from ..engine.arrays import A, Array, Arrays, Operand
from ..engine.tape import Op
from .blas import quiet
from .decompositions import SingularValues, T
from .elementwise import where
from .reduction import sum
from .registry import implements
from .shape import sum_to


class Inv(Op):
    """Y = X⁻¹.  dL/dX = -Yᵀ G Yᵀ."""

    def forward(self, x: Array) -> Array:
        return np.linalg.inv(x)

    @quiet
    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        return -T(y) @ g @ T(y)


class Det(Op):
    """y = det X.  dL/dX = g C, the cofactors of X: y X⁻ᵀ where the inverse of X has digits enough."""

    def forward(self, x: Array) -> Array:
        return np.linalg.det(x)

    @quiet
    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        if x.size and np.any(np.linalg.cond(getattr(x, "array", x)) >= 1e6):
            return np.expand_dims(g, (-2, -1)) * Cofactors()(x)
        return np.expand_dims(g * y, (-2, -1)) * T(np.linalg.inv(x))


class Cofactors(Op):
    """C_ij = ± det of X without row i and column j, from X = U diag(s) Vᵀ: det(U) det(V) U diag(Π_(k≠i) s_k) Vᵀ.

    All are polynomials of the entries of X, and so are their derivatives, whatever the rank of X. With N = X M and
    c = -tr(N) / k, the matrices M ← N + c I lead from I to ± Cᵀ (Faddeev and Le Verrier); dL/dX is the derivative of
    ± M by X in the direction of G, transposed, since the second derivatives of det X are symmetric.
    """

    def forward(self, x: Array) -> Array:
        u, s, vh = np.linalg.svd(x)
        others = where(~np.eye(s.shape[-1], dtype=bool), np.expand_dims(s, -2), 1.0)
        orientation = np.expand_dims(np.sign(np.linalg.det(u @ vh)), (-2, -1))
        return orientation * (u * np.expand_dims(np.prod(others, -1), -2)) @ vh

    @quiet
    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        n = x.shape[-1]
        eye = np.eye(n, dtype=x.dtype)
        m, dm = eye, np.zeros_like(x)
        for k in range(1, n):
            dm = g @ m + x @ dm
            m = x @ m
            dm = dm - eye * (np.sum(dm * eye, (-2, -1), keepdims=True) / k)
            m = m - eye * (np.sum(m * eye, (-2, -1), keepdims=True) / k)
        return (-1) ** (n - 1) * T(dm)


class Slogdet(Op):
    """s, l = the sign of det X and log |det X|.  dL/dX = g_l X⁻ᵀ."""

    outputs = 2

    def forward(self, x: Array) -> Arrays:
        return tuple(np.asarray(part) for part in np.linalg.slogdet(x))

    def vjp(self, g: Arrays, y: Arrays, x: Array) -> Array:
        return np.expand_dims(g[1], (-2, -1)) * T(np.linalg.inv(x))


class Solve(Op):
    """Y = A⁻¹ B.  dL/dB = A⁻ᵀ G,  dL/dA = -(dL/dB) Yᵀ. B is a vector where it has one axis."""

    def forward(self, a: Array, b: Array) -> Array:
        return np.linalg.solve(a, b)

    @quiet
    def vjp_a(self, g: Array, y: Array, a: Array, b: Array) -> Array:
        d = np.linalg.solve(T(a), g) if b.ndim > 1 else _solve_vectors(T(a), g)
        return -d @ T(y) if b.ndim > 1 else -np.expand_dims(d, -1) * np.expand_dims(y, -2)

    def vjp_b(self, g: Array, y: Array, a: Array, b: Array) -> Array:
        return np.linalg.solve(T(a), g) if b.ndim > 1 else _solve_vectors(T(a), g)

    def fit(self, g: Array, x: Array) -> Array:
        return sum_to(g, x.shape)


def _solve_vectors(a: Array, b: Array) -> Array:
    return np.squeeze(np.linalg.solve(a, np.expand_dims(b, -1)), -1)


class Pinv(Op):
    """P = X⁺, X of full rank.  dL/dX = -Pᵀ G Pᵀ + (I - X P) Gᵀ P Pᵀ + Pᵀ P Gᵀ (I - P X) (Golub and Pereyra 1973)."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options

    def forward(self, x: Array) -> Array:
        return np.linalg.pinv(x, **self.options)

    @quiet
    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        outside_rows = np.eye(x.shape[-2], dtype=x.dtype) - x @ y
        outside_columns = np.eye(x.shape[-1], dtype=x.dtype) - y @ x
        return -T(y) @ g @ T(y) + outside_rows @ T(g) @ y @ T(y) + T(y) @ y @ T(g) @ outside_columns


class SlogdetResult(NamedTuple):
    sign: Array
    logabsdet: Array


@implements("linalg.inv")
def inv(a: A) -> A:
    """As `np.linalg.inv`."""
    return Inv()(a)


@implements("linalg.det")
def det(a: A) -> A:
    """As `np.linalg.det`."""
    return Det()(a)


@implements("linalg.solve")
def solve(a: Array, b: Array) -> Array:
    """As `np.linalg.solve`."""
    return Solve()(a, b)


@implements("linalg.slogdet")
def slogdet(a: Array) -> SlogdetResult:
    """As `np.linalg.slogdet`."""
    return SlogdetResult(*Slogdet()(a))


@implements("linalg.lstsq")
def lstsq(a: Array, b: Array, rcond: float | None = None) -> tuple[Array, Array, int, Array]:
    """As `np.linalg.lstsq`: the x with the smallest ‖A x - b‖, that is A⁺ b; the squares left over, the rank, and s.

    The derivative holds where the rank does not change.
    """
    _, _, rank, _ = np.linalg.lstsq(getattr(a, "array", a), getattr(b, "array", b), rcond)
    rows, columns = np.shape(a)
    if rcond is None:
        rcond = np.finfo(np.result_type(a.dtype, np.float32)).eps * builtins.max(rows, columns)
    x = pinv(a, rcond=builtins.max(rcond, 0.0)) @ b
    left = b - a @ x
    residuals = sum(left * left, 0) if rank == columns < rows else np.empty(0, x.dtype)
    return x, residuals if np.ndim(residuals) else np.reshape(residuals, 1), rank, SingularValues()(a)


@implements("linalg.pinv")
def pinv(a: A, rcond: Operand | None = None, hermitian: bool = False, *, rtol: Operand | None = None) -> A:
    """As `np.linalg.pinv`; the derivative holds where the rank does not change, and only zeros are cut off."""
    options = {"rcond": rcond, "rtol": rtol}
    return Pinv({key: value for key, value in options.items() if value is not None} | {"hermitian": hermitian})(a)


@implements("linalg.matrix_power")
def matrix_power(a: A, n: int) -> A:
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
    return where(True, np.eye(a.shape[-1], dtype=a.dtype), a) if result is None else result  # X⁰ = I, of any X
