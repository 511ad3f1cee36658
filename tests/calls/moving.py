"""Functions that move, copy and choose entries, put arrays together and take them apart."""

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tinygrad_rnn.ops.shape import sum_to

from .draw import Call, Draw, every, row, rows


@row
def flip(draw: Draw) -> Call:
    x = draw.array(0, 3)
    axis = draw.axes(x.ndim)
    return Call(
        lambda x: np.flip(x, axis), [x], lambda t, x: t.flip(x, np.atleast_1d(every(x, axis)).astype(int).tolist())
    )


@row
def flips(draw: Draw) -> Call:
    f = draw.one(np.fliplr, np.flipud)
    return Call(lambda x: f(x), [draw.array(2, 3)], lambda t, x: getattr(t, f.__name__)(x))


@row
def roll(draw: Draw) -> Call:
    x = draw.array(0, 3)
    if x.ndim and draw.flag():
        axes = draw(st.lists(st.integers(-x.ndim, x.ndim - 1), min_size=1, max_size=3))
        shift, axis = tuple(draw.int(-4, 4) for _ in axes), tuple(axes)
        return Call(lambda x: np.roll(x, shift, axis), [x], lambda t, x: t.roll(x, shift, axis))
    shift = draw.int(-4, 4)
    return Call(lambda x: np.roll(x, shift), [x], lambda t, x: t.roll(x, shift))


@row
def rot90(draw: Draw) -> Call:
    x = draw.array(2, 3)
    axes = tuple(draw(st.permutations(range(x.ndim)))[:2])
    k = draw.int(-3, 5)
    return Call(lambda x: np.rot90(x, k, axes), [x], lambda t, x: t.rot90(x, k, axes))


@row
def repeat(draw: Draw) -> Call:
    x = draw.array(0, 3)
    axis = draw.axis(x.ndim) if x.ndim and draw.int(0, 3) else None
    n = x.size if axis is None else x.shape[axis]
    repeats = draw.int(0, 3) if draw.flag() else draw.rng.integers(0, 3, n)
    f = draw.one(np.repeat, lambda x, r, a: x.repeat(r, a))
    return Call(lambda x: f(x, repeats, axis), [x], lambda t, x: t.repeat_interleave(x, t.as_tensor(repeats), axis))


@row
def tile(draw: Draw) -> Call:
    reps = draw.one(2, 0, (), (2,), (1, 2), (3, 1), (2, 1, 2), [2, 2])
    theirs = (reps,) if isinstance(reps, int) else tuple(reps)
    return Call(lambda x: np.tile(x, reps), [draw.array()], lambda t, x: t.tile(x, theirs))


@row
def resize(draw: Draw) -> Call:
    shape = draw.one(5, (2, 3), (7, 1))
    x = draw.array(0, 2, 1)
    return Call(lambda x: np.resize(x, shape), [x])


@row
def delete(draw: Draw) -> Call:
    x = draw.array(1, 3, 1)
    axis = draw.axis(x.ndim)
    index = draw.int(-x.shape[axis], x.shape[axis] - 1)
    return Call(lambda x: np.delete(x, index, axis), [x])


@row
def pad(draw: Draw) -> Call:
    x = draw.array(1, 3, 2)
    mode = draw.one("constant", "constant", "edge", "reflect", "symmetric", "wrap")
    width = draw.one(1, (0, 2)) if draw.flag() else [(draw.int(0, 2), draw.int(0, 2)) for _ in x.shape]
    options = {"constant_values": draw.one(0, 1.5)} if mode == "constant" else {}
    return Call(lambda x: np.pad(x, width, mode, **options), [x])


@rows("diag", "diagflat", "tril", "triu", "diagonal", "trace", "linalg", "linalg trace")
def diagonals(draw: Draw, kind: Any) -> Call:
    k = draw.int(-2, 3)
    if kind in ("diag", "diagflat"):
        f = getattr(np, kind)
        x = draw.array(1, 2)
        return Call(lambda x: f(x, k), [x], lambda t, x: getattr(t, kind)(x, k))
    x = draw.array(2, 3)
    if kind in ("tril", "triu"):
        f = getattr(np, kind)
        return Call(lambda x: f(x, k), [x], lambda t, x: getattr(t, kind)(x, k))
    if kind.startswith("linalg"):
        f = np.linalg.trace if kind == "linalg trace" else np.linalg.diagonal
        return Call(lambda x: f(x, offset=k), [x], None)
    first, second = draw(st.permutations(range(x.ndim)))[:2]
    second -= x.ndim
    f = draw.one(getattr(np, kind), lambda x, *args: getattr(x, kind)(*args))
    return Call(lambda x: f(x, k, first, second), [x], None)


@rows(
    "moveaxis",
    "moveaxis int",
    "rollaxis",
    "swapaxes",
    "transpose",
    "matrix_transpose",
    "linalg.matrix_transpose",
    "ravel",
    "ravel method",
    "reshape",
    "expand_dims",
    "squeeze",
    "astype",
)
def axes_moved(draw: Draw, kind: Any) -> Call:
    x = draw.array(2, 3)
    n = x.ndim
    pairs = draw.int(1, n)
    source = [k - n * draw.flag() for k in draw(st.permutations(range(n)))[:pairs]]
    target = [k - n * draw.flag() for k in draw(st.permutations(range(n)))[:pairs]]
    a, b = draw.axis(n), draw.axis(n)
    order = [k - n * draw.flag() for k in draw(st.permutations(range(n)))]
    return {
        "moveaxis": Call(
            lambda x: np.moveaxis(x, source, target), [x], lambda t, x: t.movedim(x, tuple(source), tuple(target))
        ),
        "moveaxis int": Call(lambda x: np.moveaxis(x, a, b), [x], lambda t, x: t.movedim(x, a, b)),
        "rollaxis": Call(lambda x: np.rollaxis(x, a, abs(b)), [x]),
        "swapaxes": Call(lambda x: np.swapaxes(x, a, b), [x], lambda t, x: t.swapaxes(x, a, b)),
        "transpose": Call(lambda x: np.transpose(x, order), [x], lambda t, x: t.permute(x, order)),
        "matrix_transpose": Call(lambda x: np.matrix_transpose(x), [x], lambda t, x: x.mT),
        "linalg.matrix_transpose": Call(lambda x: np.linalg.matrix_transpose(x), [x], lambda t, x: x.mT),
        "ravel": Call(lambda x: np.ravel(x, order="F") + np.ravel(x), [x]),
        "reshape": Call(lambda x: np.reshape(x, x.shape[::-1], order="F"), [x]),
        "expand_dims": Call(lambda x: np.expand_dims(x, (a, 0) if a > 0 else a), [x]),
        "squeeze": Call(lambda x: np.squeeze(x[None], 0), [x], lambda t, x: x[None].squeeze(0)),
        "astype": Call(lambda x: x.astype(x.dtype) * x, [x], lambda t, x: x * x, lambda x: x * x),
        "ravel method": Call(lambda x: x.ravel(order="F"), [x]),
    }[kind]


@rows("take", "take method", "take_along_axis", "compress", "extract")
def taken(draw: Draw, kind: Any) -> Call:
    x = draw.array(1, 3, 1)
    axis = draw.axis(x.ndim) if draw.int(0, 3) else None
    n = x.size if axis is None else x.shape[axis]
    index = draw.rng.integers(-n, n, draw.shape(0, 2))
    mode = draw.one("raise", "raise", "wrap", "clip")
    index = draw.rng.integers(-2 * n, 3 * n, 4) if mode != "raise" else index
    along = draw.rng.integers(-n, n, [1 if draw.flag() else m for m in x.shape])
    mask = draw.rng.random(n) < 0.5
    return {
        "take": Call(lambda x: np.take(x, index, axis, mode=mode), [x]),
        "take method": Call(lambda x: x.take(index, axis, mode=mode), [x]),
        "take_along_axis": Call(
            lambda x: np.take_along_axis(x, along if axis is not None else along.ravel(), axis), [x]
        ),
        "compress": Call(lambda x: np.compress(mask, x, axis), [x]),
        "extract": Call(lambda x: np.extract(x > 0, x), [x]),
    }[kind]


@row
def sorts(draw: Draw) -> Call:
    x = draw.array(1, 3)
    axis = draw.axis(x.ndim) if draw.int(0, 3) else None
    n = x.size if axis is None else x.shape[axis]
    if n and draw.flag():
        kth = draw.int(-n, n - 1)
        return Call(lambda x: np.partition(x, kth, axis), [x])
    return Call(
        lambda x: np.sort(x, axis),
        [x],
        lambda t, x: t.sort(x.reshape(-1) if axis is None else x, dim=0 if axis is None else axis)[0],
    )


# ------------------------------------------------------------------ putting together, taking apart


@rows("concatenate", "stack", "vstack", "hstack", "dstack", "column_stack", "append", "block")
def joined(draw: Draw, kind: Any) -> Call:
    name = kind
    shape = draw.shape(2 if name in ("concatenate", "append") else 0, 2)
    a, b = draw.values(shape), draw.values(shape)
    if name in ("concatenate", "append"):
        axis = draw.axis(2)
        b = np.concatenate([b, b], axis)
        if name == "append":
            axis = draw.one(axis, None)
            return Call(lambda a, b: np.append(a, b, axis), [a, b])
        return Call(lambda a, b: np.concatenate([a, b, a], axis), [a, b], lambda t, a, b: t.cat([a, b, a], axis))
    if name == "stack":
        axis = draw.axis(len(shape) + 1)
        return Call(lambda a, b: np.stack([a, b], axis), [a, b], lambda t, a, b: t.stack([a, b], axis))
    if name == "block":
        return Call(lambda a, b: np.block([[a, b], [b * 2, 3 * a]]), [a, b])
    f = getattr(np, name)
    if name in ("vstack", "hstack") and draw.flag():
        return Call(lambda a, b: f([a, b], dtype=a.dtype, casting="same_kind"), [a, b])
    return Call(
        lambda a, b: f([a, b * 2, np.ones_like(a)]),
        [a, b],
        lambda t, a, b: getattr(t, name)([a, b * 2, t.ones_like(a)]),
    )


@rows("split", "array_split", "hsplit", "vsplit", "dsplit", "unstack")
def apart(draw: Draw, kind: Any) -> Call:
    x = draw.array(3, 3)
    name = kind
    axis = {"hsplit": 1, "vsplit": 0, "dsplit": 2}.get(name, draw.axis(3))
    n = x.shape[axis]
    cuts = sorted(draw.int(0, n) for _ in range(draw.int(0, 2)))
    if name == "unstack":
        assume(n)
        return Call(
            lambda x: [p * p for p in np.unstack(x, axis=axis)], [x], lambda t, x: [p * p for p in t.unbind(x, axis)]
        )
    sections = draw.one(cuts, 1, 3) if name == "array_split" else draw.one(cuts, 1)
    f = getattr(np, name)
    if name.endswith("_split") or name == "split":
        return Call(lambda x: f(x, sections, axis), [x], lambda t, x: t.tensor_split(x, sections, axis))
    return Call(lambda x: f(x, sections)[::-1], [x], lambda t, x: t.tensor_split(x, sections, axis)[::-1])


@rows("broadcast_to", "sum_to")
def copies(draw: Draw, kind: Any) -> Call:
    big = draw.shape(1, 3)
    small = tuple(n if draw.flag() else 1 for n in big[draw.int(0, len(big)) :])
    if kind == "broadcast_to":
        return Call(lambda x: np.broadcast_to(x, big), [draw.values(small)], lambda t, x: x.broadcast_to(big))
    return Call(
        lambda x: sum_to(x, small),
        [draw.values(big)],
        lambda t, x: x.sum_to_size(small),
        lambda x: x.sum(tuple(range(x.ndim - len(small)))).sum(
            tuple(k for k, n in enumerate(small) if n == 1), keepdims=True
        ),
    )


@row
def broadcasts(draw: Draw) -> Call:
    a, b = draw.pair()
    return Call(lambda a, b: np.broadcast_arrays(a, b), [a, b], lambda t, a, b: t.broadcast_tensors(a, b))


@row
def meshgrid(draw: Draw) -> Call:
    xs = [draw.values((n,)) for n in draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))]
    options = {"indexing": draw.one("xy", "ij"), "sparse": draw.flag()}
    return Call(lambda *xs: np.meshgrid(*xs, **options), xs)


@rows("atleast_1d", "atleast_2d", "atleast_3d")
def at_least(draw: Draw, kind: Any) -> Call:
    name = kind
    f = getattr(np, name)
    if draw.flag():
        return Call(lambda x, y: f(x, y), [draw.array(), draw.array()], lambda t, x, y: getattr(t, name)(x, y))
    return Call(lambda x: f(x), [draw.array()], lambda t, x: getattr(t, name)(x))
