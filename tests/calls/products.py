"""Products of vectors and matrices."""

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn.ops.linalg import affine

from .draw import Call, Draw, row, rows


@row
def outer(draw: Draw) -> Call:
    a, b = draw.array(0, 2), draw.values(draw.one((), (2,), (3,), (2, 2)))
    assume(a.size <= 12)
    return Call(lambda a, b: np.outer(a, b), [a, b], lambda t, a, b: t.outer(a.reshape(-1), b.reshape(-1)))


@row
def inner(draw: Draw) -> Call:
    n = draw.int(0, 3)
    a, b = draw.values((*draw.shape(0, 1), n)), draw.values((*draw.shape(0, 1), n))
    return Call(lambda a, b: np.inner(a, b), [a, b], lambda t, a, b: t.inner(a, b))


@rows(*range(10))
def dot(draw: Draw, kind: Any) -> Call:
    n = draw.int(0, 3)
    shapes: list[Any] = [((), (3,)), ((2, 2), ()), ((n,), (n,)), ((2, n), (n,)), ((n,), (n, 2)), ((2, n), (n, 3))]
    shapes += [((n,), (2, n, 2)), ((2, n), (2, n, 2)), ((2, 1, n), (n, 2)), ((3, n), (4, n, 2))]
    f = draw.one(np.dot, lambda a, b: a.dot(b) if isinstance(a, tg.Tensor) else np.dot(a, b))
    return Call(lambda a, b: f(a, b), [draw.values(shape) for shape in shapes[kind]])


@row
def vdot(draw: Draw) -> Call:
    shape = draw.shape()
    return Call(
        lambda a, b: np.vdot(a, b),
        [draw.values(shape), draw.values(shape)],
        lambda t, a, b: t.vdot(a.reshape(-1), b.reshape(-1)),
    )


@row
def tensordot(draw: Draw) -> Call:
    shape = draw.shape(2, 3, 1)
    n = len(shape)
    order = draw(st.permutations(range(n)))
    count = draw.int(0, n)
    over_a = [k - n * draw.flag() for k in order[:count]]
    other = draw(st.permutations(range(count + 1)))
    over_b = other[:count]
    sizes = {b: shape[a] for a, b in zip(over_a, over_b, strict=True)}
    b = draw.values(tuple(sizes.get(k, 2) for k in range(count + 1)))
    a = draw.values(shape)
    return Call(
        lambda a, b: np.tensordot(a, b, (over_a, over_b)),
        [a, b],
        lambda t, a, b: t.tensordot(a, b, (over_a, over_b)),
    )


@row
def tensordot_int(draw: Draw) -> Call:
    n = draw.int(0, 2)
    a, b = draw.values((2, 3)), draw.values((2, 3, 2)[2 - n if n < 2 else 0 :][: 3 - (n == 0)])
    b = draw.values({0: (2,), 1: (3, 2), 2: (2, 3, 2)}[n])
    return Call(lambda a, b: np.tensordot(a, b, n), [a, b], lambda t, a, b: t.tensordot(a, b, n))


@row
def kron(draw: Draw) -> Call:
    a, b = draw.array(0, 2), draw.values(draw.one((), (2,), (1, 3), (2, 2), (0,)))
    assume(a.size <= 6)
    return Call(lambda a, b: np.kron(a, b), [a, b], lambda t, a, b: t.kron(a, b))


@rows("axisc", "axisa", "linalg")
def cross(draw: Draw, kind: Any) -> Call:
    a, b = draw.values(draw.one((3,), (2, 3), (1, 3))), draw.values(draw.one((3,), (2, 3), (2, 1, 3)))
    c = draw.int(-1, 0)
    return {
        "axisc": Call(lambda a, b: np.cross(a, b, axisc=c), [a, b]),
        "axisa": Call(lambda a, b: np.cross(a.T, b, axisa=0), [a, b]),
        "linalg": Call(
            lambda a, b: np.linalg.cross(a, b), [a, b], lambda t, a, b: t.linalg.cross(*t.broadcast_tensors(a, b))
        ),
    }[kind]


@row
def convolve(draw: Draw) -> Call:
    a, b = draw.values((draw.int(1, 5),)), draw.values((draw.int(1, 5),))
    mode = draw.one("full", "same", "valid")
    return Call(lambda a, b: np.convolve(a, b, mode), [a, b])


@rows("multi_dot", "matmul", "tensordot", "outer", "vecdot", "einsum", "einsum by numbers")
def more_products(draw: Draw, kind: Any) -> Call:
    a, b, c = draw.values((2, 3)), draw.values((3, 2)), draw.values((2, 2))
    v = draw.values((2, 3))
    return {
        "multi_dot": Call(
            lambda a, b, c: np.linalg.multi_dot([a, b, c]), [a, b, c], lambda t, a, b, c: t.linalg.multi_dot([a, b, c])
        ),
        "matmul": Call(lambda a, b: np.linalg.matmul(a, b), [a, b], lambda t, a, b: a @ b),
        "tensordot": Call(lambda a, b: np.linalg.tensordot(a, b, axes=((1,), (0,))), [a, b], lambda t, a, b: a @ b),
        "outer": Call(lambda a, b: np.linalg.outer(a[0], b[0]), [a, b], lambda t, a, b: t.outer(a[0], b[0])),
        "vecdot": Call(
            lambda a, v: np.linalg.vecdot(a, v, axis=0), [a, v], lambda t, a, v: t.linalg.vecdot(a, v, dim=0)
        ),
        "einsum by numbers": Call(
            lambda a, b, c: np.einsum(a, [0, 40], b, [40, 7], c[0], [..., 7], [7, 0]),
            [a, b, c],
            lambda t, a, b, c: t.einsum("ij,jk,k->ki", a, b, c[0]),
        ),
        "einsum": Call(lambda a, b: np.einsum("ij,jk->ki", a, b), [a, b], lambda t, a, b: t.einsum("ij,jk->ki", a, b)),
    }[kind]


@row
def matmul(draw: Draw) -> Call:
    n, batch = draw.int(0, 3), draw.shape(0, 1, 1)
    a, b = draw.one(
        ((2, n), (n, 2)), ((n,), (n, 3)), ((2, n), (n,)), ((*batch, 2, n), (n, 1)), ((1, n), (*batch, n, 2))
    )
    f = draw.one(np.matmul, lambda a, b: a @ b)
    return Call(lambda a, b: f(a, b), [draw.values(a), draw.values(b)], lambda t, a, b: a @ b)


@row
def affine_map(draw: Draw) -> Call:
    shapes = (*draw.shape(0, 2), 3), (3, 2), (2,)
    return Call(
        lambda x, W, b: affine(x, W, b),
        [draw.values(shape) for shape in shapes],
        lambda t, x, W, b: x @ W + b,
        lambda x, W, b: x @ W + b,
    )
