"""Products of matrices: matmul for all ranks, and einsum."""

from __future__ import annotations

import math
import operator
import string
from typing import Any

import numpy as np

from ..engine.arrays import A, Array
from ..engine.tape import Op
from .blas import product, product_and_sums
from .registry import implements
from .shape import sum_to


class MatMul(Op):
    """Y = A B.  dL/dA = G Bᵀ,  dL/dB = Aᵀ G.

    The axes before the last two are a batch and broadcast, so a gradient is summed back over them (`fit`). A vector
    takes part as a matrix of one row (on the left) or of one column (on the right).
    """

    name = "matmul"

    def forward(self, a: Array, b: Array) -> Array:
        return _product(a, b)

    def vjp_a(self, g: Array, y: Array, a: Array, b: Array) -> Array:
        return _left(g, a, b)

    def vjp_b(self, g: Array, y: Array, a: Array, b: Array) -> Array:
        return _right(g, a, b)


class Affine(Op):
    """Y = X W + b, the sum in the memory of the product.  dL/dX = G Wᵀ,  dL/dW = Xᵀ G,  dL/db = the sum of G's rows.

    X is (..., I), W one matrix (I, O), b (O,). dL/dW and dL/db are computed in one, and the latter kept until it is
    asked for.
    """

    kept: tuple[np.ndarray, np.ndarray] | None = None  # G, and the sum of its rows

    def forward(self, x: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
        return product(_rows(x), W, bias=b).reshape(*x.shape[:-1], W.shape[-1])

    def vjp_x(self, g: Array, y: Array, x: Array, W: Array, b: Array) -> Array:
        return product(_rows(g), W.T).reshape(x.shape)

    def vjp_W(self, g: Array, y: Array, x: Array, W: Array, b: Array) -> Array:
        if type(g) is not np.ndarray or type(x) is not np.ndarray:  # to be differentiated again
            return product(_rows(x).T, _rows(g))
        dW, db = product_and_sums(_rows(x).T, np.asarray(_rows(g)))
        self.kept = g, db
        return dW

    def vjp_b(self, g: Array, y: Array, x: Array, W: Array, b: Array) -> Array:
        kept, self.kept = self.kept, None
        return kept[1] if kept is not None and kept[0] is g else sum_to(g, b.shape)

    def let_go(self) -> None:
        self.kept = None

    @property
    def parameters(self) -> dict[str, Any]:
        return {}


def _product(a: Array, b: Array) -> Any:
    if type(b) is np.ndarray and b.ndim == 2 and np.ndim(a) > 2:
        return product(_rows(a), b).reshape(*a.shape[:-1], b.shape[-1])
    return product(a, b)


def _left(g: Array, a: Array, b: Array) -> Array:
    """dL/dA = G Bᵀ."""
    g, a2, b = _matrices(g, a, b)
    if g.ndim > 2 and b.ndim == 2:  # as in `_product`: one product for all rows
        return product(_rows(g), b.swapaxes(-1, -2)).reshape(a.shape)
    part = sum_to(product(g, b.swapaxes(-1, -2)), a2.shape)
    return part if part.shape == a.shape else part.reshape(a.shape)


def _right(g: Array, a: Array, b: Array) -> Array:
    """dL/dB = Aᵀ G."""
    g, a, b2 = _matrices(g, a, b)
    if a.ndim > 2 and b2.ndim == 2:  # the rows of all batch entries meet the one matrix: again one product
        a, g = _rows(a), _rows(g)
    part = sum_to(product(a.swapaxes(-1, -2), g), b2.shape)
    return part if part.shape == b.shape else part.reshape(b.shape)


def affine(x: A, W: A, b: A | None) -> A:
    """x W + b, or x W where b is None, for x (..., I), W (I, O) and b (O,)."""
    return x @ W if b is None else Affine()(x, W, b)


def _rows(x: Array) -> Array:
    """All rows of a batch of matrices as one matrix: rows times one matrix is one product, not one a batch entry."""
    return x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))


def _matrices(g: Array, a: Array, b: Array) -> tuple[Any, Any, Any]:
    """The gradient and the operands with vectors written as matrices."""
    if a.ndim == 1:
        a, g = np.expand_dims(a, 0), np.expand_dims(g, -2 if b.ndim > 1 else -1)
    if b.ndim == 1:
        b, g = np.expand_dims(b, -1), np.expand_dims(g, -1)
    return g, a, b


class EinSum(Op):
    """y = Σ x_1 x_2 ... over the labels that the output lacks.

    The gradient of operand i is an einsum again: of g and all the other operands, to the labels of x_i.
    """

    name = "einsum"

    def __init__(self, operands: tuple[str, ...], output: str) -> None:
        self.operands, self.output = operands, output

    def forward(self, *xs: Array) -> Any:
        return np.einsum(f"{','.join(self.operands)}->{self.output}", *xs)

    def vjp(self, g: Array, y: Array, *xs: Array) -> tuple[Any, ...]:
        return tuple(self.gradient(i, g, xs) for i in range(len(xs)))

    def gradient(self, i: int, g: Array, xs: tuple[Any, ...]) -> Array:
        """dL/dx_i = einsum(g, the others), placed on the diagonal where x_i repeats a label, copied along a label
        that only x_i has."""
        x, labels = xs[i], self.operands[i]
        terms = [(self.output, g)] + [(self.operands[k], xs[k]) for k in range(len(xs)) if k != i]
        unused = iter(sorted(set(string.ascii_letters) - set("".join(self.operands))))
        target = ""
        for k, label in enumerate(labels):
            if label in target:  # x_ii: only the diagonal was used
                fresh = next(unused)
                terms.append((label + fresh, np.eye(x.shape[k], dtype=x.dtype)))
                label = fresh
            target += label
        known = {label for term, _ in terms for label in term}
        sizes = {(label, n) for term, array in terms for label, n in zip(term, np.shape(array), strict=True)}
        missing = [k for k, label in enumerate(target) if (label, x.shape[k]) not in sizes]
        missing = [k for k in missing if x.shape[k] != 1 or target[k] not in known]
        terms += [(target[k], np.ones(x.shape[k], x.dtype)) for k in missing]
        subscripts = ",".join(term for term, _ in terms)
        return sum_to(np.einsum(f"{subscripts}->{target}", *[array for _, array in terms]), x.shape)


matmul = implements("matmul")(MatMul())


@implements("einsum")
def einsum(*operands: Any, optimize: Any = False) -> Any:
    """As `np.einsum`, of ``"ij,jk->ik", a, b`` or ``a, [0, 1], b, [1, 2], [0, 2]``; `optimize` is ignored."""
    subscripts, *arrays = operands if isinstance(operands[0], str) else _spelled(operands)
    arrays = [x if hasattr(x, "shape") else np.asarray(x) for x in arrays]
    terms, output = _subscripts(subscripts.replace(" ", ""), tuple(arrays))
    return EinSum(terms, output)(*arrays)


def _spelled(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """The subscripts as a string, and the arrays, of operands that are each followed by a list of numbers."""
    letters = sorted(string.ascii_letters)

    def term(labels: Any) -> str:
        try:
            return "".join("..." if label is Ellipsis else letters[operator.index(label)] for label in labels)
        except (TypeError, IndexError):
            raise TypeError(
                "np.einsum needs its subscripts as a string, such as 'ij,jk->ik', or behind each operand as a list of "
                f"numbers from 0 to {len(letters) - 1} (and an Ellipsis), not {labels!r}"
            ) from None

    pairs = len(operands) // 2
    subscripts = ",".join(term(operands[2 * k + 1]) for k in range(pairs))
    if len(operands) % 2:
        subscripts += "->" + term(operands[-1])
    return (subscripts, *operands[: 2 * pairs : 2])


def _subscripts(subscripts: str, operands: tuple[Any, ...]) -> tuple[tuple[str, ...], str]:
    """The labels of each operand and of the output, an ellipsis replaced by labels, an implicit output spelled out."""
    inputs, arrow, output = subscripts.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        raise ValueError(f"np.einsum {subscripts!r} names {len(terms)} operands, but {len(operands)} were given")
    unused = sorted(set(string.ascii_letters) - set(subscripts), reverse=True)
    ranks = [np.ndim(x) - len(term.replace("...", "")) for term, x in zip(terms, operands, strict=True)]
    longest = max((rank for rank, term in zip(ranks, terms, strict=True) if "..." in term), default=0)
    dots = "".join(unused[:longest])
    if not arrow:
        letters = inputs.replace(",", "").replace("...", "")
        output = ("..." if "..." in inputs else "") + "".join(c for c in sorted(set(letters)) if letters.count(c) == 1)
    spelled = [
        term.replace("...", dots[longest - rank :] if rank > 0 else "") for term, rank in zip(terms, ranks, strict=True)
    ]
    return tuple(spelled), output.replace("...", dots)
