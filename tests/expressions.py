"""Random expressions, written once and run on two libraries: tinygrad_rnn's Tensors and PyTorch's.

A program starts from a few leaves; each step picks an operation and two earlier values, and adds its result. Values
stay of the order of 1, so that an error cannot hide behind a large number, or an overflow.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import tinygrad_rnn as tg

SHAPES = [(), (1,), (3,), (2, 3), (1, 3), (2, 1), (2, 1, 3), (3, 3), (0, 3)]
MASK = np.array([True, False, True])


class Program(NamedTuple):
    """The shapes of the leaves, a seed for their values, and the steps: operation, first operand, second operand."""

    shapes: list[tuple[int, ...]]
    seed: int
    steps: list[tuple[str, int, int]]

    def leaves(self, dtype: Any = float) -> list[np.ndarray]:
        rng = np.random.default_rng(self.seed)
        return [rng.uniform(-2, 2, shape).astype(dtype) for shape in self.shapes]

    def run(self, leaves: list[Any], operations: dict[str, Callable[..., Any]]) -> Any:
        """The value of the last step."""
        values = list(leaves)
        for name, i, j in self.steps:
            a, b = values[i % len(values)], values[j % len(values)]
            values.append(operations[name](a, b))
        return values[-1]


def programs(shapes: list[tuple[int, ...]] = SHAPES, names: list[str] | None = None) -> st.SearchStrategy[Program]:
    places = st.integers(0, 11)
    step = st.tuples(st.sampled_from(names or sorted(OURS)), places, places)
    return st.builds(
        Program,
        st.lists(st.sampled_from(shapes), min_size=2, max_size=3),
        st.integers(0, 10_000),
        st.lists(step, min_size=1, max_size=8),
    )


def fits(a: Any, b: Any) -> bool:
    """Whether two shapes broadcast."""
    return all(m == n or 1 in (m, n) for m, n in zip(tuple(a)[::-1], tuple(b)[::-1], strict=False))


def binary(op: Callable[..., Any]) -> Callable[..., Any]:
    """The op, its second operand summed up where the shapes do not broadcast."""
    return lambda a, b: op(a, b if fits(a.shape, b.shape) else b.sum())


def rows(op: Callable[..., Any]) -> Callable[..., Any]:
    """The op of two matrices: a flattened to (n, 1) and b to (1, m), where their shapes are not (n, k), (k, m)."""

    def apply(a: Any, b: Any) -> Any:
        m, n = tuple(a.shape), tuple(b.shape)
        if len(m) >= 2 and len(n) >= 2 and m[-1] == n[-2] and fits(m[:-2], n[:-2]):
            return op(a, b)
        return op(a.reshape((-1, 1)), b.reshape((1, -1))) if math.prod(m) * math.prod(n) < 200 else a

    return apply


def row(op: Callable[..., Any]) -> Callable[..., Any]:
    """The op of a value with at least one entry along its first axis; others stay as they are."""
    return lambda a, b: op(a) if len(a.shape) and a.shape[0] else a


def full(op: Callable[..., Any]) -> Callable[..., Any]:
    """The op of a value with at least one entry; others stay as they are."""
    return lambda a, b: op(a) if 0 not in a.shape else a


OURS: dict[str, Callable[..., Any]] = {
    "add": binary(np.add),
    "subtract": binary(np.subtract),
    "multiply": binary(lambda a, b: np.tanh(a) * b),
    "divide": binary(lambda a, b: a / (2 + np.cos(b))),
    "power": binary(lambda a, b: (1.5 + np.sin(a)) ** np.tanh(b)),
    "maximum": binary(np.maximum),
    "minimum": binary(np.minimum),
    "where": binary(lambda a, b: np.where(MASK, a, b) if fits(a.shape, (3,)) and fits(b.shape, (3,)) else a + b),
    "tanh": lambda a, b: np.tanh(a),
    "sigmoid": lambda a, b: tg.sigmoid(a),
    "softplus": lambda a, b: tg.softplus(a),
    "relu": lambda a, b: tg.relu(a),
    "sin": lambda a, b: np.sin(a),
    "exp": lambda a, b: np.exp(-np.square(a)),
    "log": lambda a, b: np.log(1 + a * a),
    "sqrt": lambda a, b: np.sqrt(1 + abs(a)),
    "clip": lambda a, b: np.clip(a, -0.7, 0.9),
    "sum": row(lambda a: np.sum(a, axis=0)),
    "mean": full(lambda a: np.mean(a, keepdims=True)),
    "max": row(lambda a: np.max(a, axis=0, keepdims=True)),
    "logsumexp": row(lambda a: tg.logsumexp(a, axis=0)),
    "softmax": row(lambda a: tg.softmax(a, axis=0)),
    "log_softmax": row(lambda a: tg.log_softmax(a, axis=0)),
    "transpose": lambda a, b: a.T * 2,
    "reshape": lambda a, b: np.reshape(a, -1),
    "expand": lambda a, b: np.expand_dims(a, 0) if a.ndim < 3 else a,
    "first": row(lambda a: a[0]),
    "reversed": row(lambda a: a[::-1]),
    "taken": row(lambda a: a[[0, -1, 0]]),
    "stack": lambda a, b: np.stack([a, a * 2]) if a.ndim < 3 else a,
    "concatenate": lambda a, b: np.concatenate([a, b], axis=None),
    "split": row(lambda a: np.array_split(a, 2)[0]),
    "matmul": rows(np.matmul),
    "einsum": rows(lambda a, b: np.einsum("...ij,...jk->...ki", a, b)),
}


def last(op: Callable[..., Any]) -> Callable[..., Any]:
    """The op of a value with entries along a last axis; others stay as they are."""
    return lambda a, b: op(a) if len(a.shape) and a.shape[-1] else a


def small(op: Callable[..., Any]) -> Callable[..., Any]:
    """The op of a value with few entries, of which it makes more."""
    return lambda a, b: op(a) if math.prod(a.shape) <= 40 and len(a.shape) < 4 else a


def square(eye: Any, op: Callable[..., Any]) -> Callable[..., Any]:
    """The op of a well-conditioned square matrix: b's entries, squashed, beside a strong diagonal."""

    def apply(a: Any, b: Any) -> Any:
        shape = tuple(a.shape)
        return op(a, eye) if len(shape) >= 2 and shape[-1] == shape[-2] == 3 else a

    return apply


def apart(op: Callable[..., Any]) -> Callable[..., Any]:
    """The op of two values with the same last axis; others are added up where they fit."""

    def apply(a: Any, b: Any) -> Any:
        m, n = tuple(a.shape), tuple(b.shape)
        return op(a, b) if m and n and m[-1] == n[-1] and math.prod(m) * math.prod(n) < 200 else a

    return apply


MORE: dict[str, Callable[..., Any]] = {
    "remainder": binary(lambda a, b: np.remainder(a, 1.3 + np.cos(b))),
    "fmod": binary(lambda a, b: np.fmod(a, 1.3 + np.cos(b))),
    "logaddexp": binary(np.logaddexp),
    "hypot": binary(lambda a, b: np.hypot(a + 3, b)),
    "arctan2": binary(lambda a, b: np.arctan2(a, 3 + np.cos(b))),
    "fmax": binary(np.fmax),
    "fmin": binary(np.fmin),
    "copysign": binary(lambda a, b: np.copysign(1 + a * a, np.sin(b) - 2)),
    "expm1": lambda a, b: np.expm1(np.tanh(a)),
    "exp2": lambda a, b: np.exp2(np.tanh(a)),
    "log1p": lambda a, b: np.log1p(a * a),
    "log2": lambda a, b: np.log2(1.5 + np.sin(a)) - np.log10(2 + a * a),
    "reciprocal": lambda a, b: np.reciprocal(2 + np.sin(a)),
    "cbrt": lambda a, b: np.cbrt(1 + a * a),
    "tan": lambda a, b: np.tan(np.tanh(a)),
    "arcsin": lambda a, b: np.arcsin(0.9 * np.tanh(a)) - np.arccos(0.5 * np.sin(a)),
    "arctanh": lambda a, b: np.arctanh(0.9 * np.sin(a)),
    "arctan": lambda a, b: np.arctan(a),
    "arcsinh": lambda a, b: np.arcsinh(a),
    "arccosh": lambda a, b: np.arccosh(1.1 + a * a),
    "sinh": lambda a, b: np.sinh(np.sin(a)),
    "cosh": lambda a, b: np.cosh(np.sin(a)),
    "sinc": lambda a, b: np.sinc(1.5 + np.tanh(a)),
    "gelu": lambda a, b: tg.gelu(a),
    "elu": lambda a, b: tg.elu(a),
    "leaky_relu": lambda a, b: tg.leaky_relu(a, 0.2),
    "floor": lambda a, b: a - np.floor(a),
    "nan_to_num": lambda a, b: np.nan_to_num(a),
    "prod": last(lambda a: np.prod(np.tanh(a), axis=-1)),
    "var": full(lambda a: np.var(a, keepdims=True)),
    "std": full(lambda a: np.std(np.concatenate([a, a + 1, a * 0], axis=None), ddof=1)),
    "median": last(lambda a: np.median(a, axis=-1)),
    "ptp": last(lambda a: np.ptp(a, axis=-1)),
    "average": last(lambda a: np.average(a, axis=-1, weights=1.5 + np.sin(a))),
    "cumsum": row(lambda a: np.cumsum(a, axis=0)),
    "cumprod": last(lambda a: np.cumprod(np.tanh(a), axis=-1)),
    "diff": last(lambda a: np.diff(a, axis=-1, append=0)),
    "amin": last(lambda a: np.amin(a, axis=-1)),
    "flip": row(lambda a: np.flip(a, 0)),
    "roll": row(lambda a: np.roll(a, 2, axis=0)),
    "repeat": small(lambda a: np.repeat(a, 2, axis=-1) if a.ndim else np.repeat(a, 2)),
    "tile": small(lambda a: np.tile(a, (2,))),
    "pad": small(lambda a: np.pad(a, 1) if a.ndim else a),
    "tril": lambda a, b: np.tril(a) if a.ndim >= 2 else a,
    "triu": lambda a, b: np.triu(a, 1) if a.ndim >= 2 else a,
    "diagonal": lambda a, b: np.diagonal(a, 0, 0, -1) if a.ndim >= 2 else a,
    "trace": lambda a, b: np.trace(a, 1) if a.ndim >= 2 else a,
    "diag": lambda a, b: np.diag(a, -1) if a.ndim == 1 and a.size < 7 else a,
    "sort": row(lambda a: np.sort(a, axis=0)),
    "take": row(lambda a: np.take(a, [[0, -1]], axis=0) if a.ndim < 3 else a),
    "moveaxis": lambda a, b: np.moveaxis(a, 0, -1) if a.ndim else a,
    "column_stack": lambda a, b: np.column_stack([a, a * 2]) if 0 < a.ndim < 3 else a,
    "hstack": lambda a, b: np.hstack([a, 3 * a]) if a.ndim else a,
    "hsplit": lambda a, b: np.hsplit(a, [1])[0] if a.ndim >= 2 else a,
    "outer": lambda a, b: np.outer(a, b) if a.size * b.size < 40 else a,
    "inner": apart(lambda a, b: np.inner(a, b)),
    "tensordot": apart(lambda a, b: np.tensordot(a, b, ((-1,), (-1,)))),
    "kron": lambda a, b: np.kron(a, b) if a.ndim == b.ndim and a.ndim < 3 and a.size * b.size < 40 else a,
    "cross": lambda a, b: np.cross(a, np.cos(a)) if a.ndim and a.shape[-1] == 3 else a,
    "norm": last(lambda a: np.linalg.norm(a + 3, axis=-1)),
    "norm 3": last(lambda a: np.linalg.norm(a, 3, axis=-1, keepdims=True)),
    "inv": square(np.eye(3), lambda a, eye: np.linalg.inv(np.tanh(a) / 3 + 2 * eye)),
    "det": square(np.eye(3), lambda a, eye: np.linalg.det(np.tanh(a) / 3 + eye)),
    "slogdet": square(np.eye(3), lambda a, eye: np.linalg.slogdet(np.tanh(a) / 3 + 2 * eye)[1]),
    "solve": square(np.eye(3), lambda a, eye: np.linalg.solve(np.tanh(a) / 3 + 2 * eye, a)),
    "cholesky": square(
        np.eye(3), lambda a, eye: np.linalg.cholesky(np.tanh(a) @ np.swapaxes(np.tanh(a), -1, -2) + eye)
    ),
    "matrix_power": square(np.eye(3), lambda a, eye: np.linalg.matrix_power(np.tanh(a), 3)),
}
OURS |= MORE

KINKED = ("max", "maximum", "minimum", "relu", "sqrt", "clip", "remainder", "fmod", "fmax", "fmin", "copysign", "floor")
KINKED += ("leaky_relu", "elu", "median", "ptp", "amin", "sort", "norm 3")
"""Operations with places where differences cannot tell the derivative."""


def theirs(torch: Any) -> dict[str, Callable[..., Any]]:
    """The same operations with PyTorch."""
    mask = torch.tensor(MASK)
    return {
        "add": binary(torch.add),
        "subtract": binary(torch.sub),
        "multiply": binary(lambda a, b: torch.tanh(a) * b),
        "divide": binary(lambda a, b: a / (2 + torch.cos(b))),
        "power": binary(lambda a, b: (1.5 + torch.sin(a)) ** torch.tanh(b)),
        "maximum": binary(torch.maximum),
        "minimum": binary(torch.minimum),
        "where": binary(lambda a, b: torch.where(mask, a, b) if fits(a.shape, (3,)) and fits(b.shape, (3,)) else a + b),
        "tanh": lambda a, b: torch.tanh(a),
        "sigmoid": lambda a, b: torch.sigmoid(a),
        "softplus": lambda a, b: torch.logaddexp(a, torch.zeros_like(a)),
        "relu": lambda a, b: torch.relu(a),
        "sin": lambda a, b: torch.sin(a),
        "exp": lambda a, b: torch.exp(-torch.square(a)),
        "log": lambda a, b: torch.log(1 + a * a),
        "sqrt": lambda a, b: torch.sqrt(1 + abs(a)),
        "clip": lambda a, b: torch.clamp(a, -0.7, 0.9),
        "sum": row(lambda a: torch.sum(a, 0)),
        "mean": full(lambda a: a.mean().reshape((1,) * a.ndim)),
        "max": row(lambda a: torch.amax(a, 0, keepdim=True)),
        "logsumexp": row(lambda a: torch.logsumexp(a, 0)),
        "softmax": row(lambda a: torch.softmax(a, 0)),
        "log_softmax": row(lambda a: torch.log_softmax(a, 0)),
        "transpose": lambda a, b: a.permute(tuple(range(a.ndim))[::-1]) * 2,
        "reshape": lambda a, b: a.reshape(-1),
        "expand": lambda a, b: a.unsqueeze(0) if a.ndim < 3 else a,
        "first": row(lambda a: a[0]),
        "reversed": row(lambda a: torch.flip(a, [0])),
        "taken": row(lambda a: a[[0, -1, 0]]),
        "stack": lambda a, b: torch.stack([a, a * 2]) if a.ndim < 3 else a,
        "concatenate": lambda a, b: torch.cat([a.reshape(-1), b.reshape(-1)]),
        "split": row(lambda a: torch.tensor_split(a, 2)[0]),
        "matmul": rows(torch.matmul),
        "einsum": rows(lambda a, b: torch.einsum("...ij,...jk->...ki", a, b)),
    } | theirs_too(torch)


def theirs_too(torch: Any) -> dict[str, Callable[..., Any]]:
    """`MORE` with PyTorch."""
    eye = torch.eye(3, dtype=torch.float64)
    F = torch.nn.functional
    return {
        "remainder": binary(lambda a, b: torch.remainder(a, 1.3 + torch.cos(b))),
        "fmod": binary(lambda a, b: torch.fmod(a, 1.3 + torch.cos(b))),
        "logaddexp": binary(torch.logaddexp),
        "hypot": binary(lambda a, b: torch.hypot(a + 3, b)),
        "arctan2": binary(lambda a, b: torch.arctan2(a, 3 + torch.cos(b))),
        "fmax": binary(torch.maximum),  # PyTorch's own fmax does not share the gradient of equal values
        "fmin": binary(torch.minimum),
        "copysign": binary(lambda a, b: torch.copysign(1 + a * a, torch.sin(b) - 2)),
        "expm1": lambda a, b: torch.expm1(torch.tanh(a)),
        "exp2": lambda a, b: torch.exp2(torch.tanh(a)),
        "log1p": lambda a, b: torch.log1p(a * a),
        "log2": lambda a, b: torch.log2(1.5 + torch.sin(a)) - torch.log10(2 + a * a),
        "reciprocal": lambda a, b: torch.reciprocal(2 + torch.sin(a)),
        "cbrt": lambda a, b: (1 + a * a) ** (1 / 3),
        "tan": lambda a, b: torch.tan(torch.tanh(a)),
        "arcsin": lambda a, b: torch.arcsin(0.9 * torch.tanh(a)) - torch.arccos(0.5 * torch.sin(a)),
        "arctanh": lambda a, b: torch.arctanh(0.9 * torch.sin(a)),
        "arctan": lambda a, b: torch.arctan(a),
        "arcsinh": lambda a, b: torch.arcsinh(a),
        "arccosh": lambda a, b: torch.arccosh(1.1 + a * a),
        "sinh": lambda a, b: torch.sinh(torch.sin(a)),
        "cosh": lambda a, b: torch.cosh(torch.sin(a)),
        "sinc": lambda a, b: torch.sinc(1.5 + torch.tanh(a)),
        "gelu": lambda a, b: F.gelu(a),
        "elu": lambda a, b: torch.where(a > 0, a, torch.exp(torch.where(a > 0, 0.0, a)) - 1),
        "leaky_relu": lambda a, b: F.leaky_relu(a, 0.2),
        "floor": lambda a, b: a - torch.floor(a),
        "nan_to_num": lambda a, b: torch.nan_to_num(a),
        "prod": last(lambda a: torch.prod(torch.tanh(a), -1)),
        "var": full(lambda a: torch.var(a, correction=0).reshape((1,) * a.ndim)),
        "std": full(lambda a: torch.std(torch.cat([a.ravel(), a.ravel() + 1, a.ravel() * 0]))),
        "median": last(lambda a: middle(torch, a)),
        "ptp": last(lambda a: torch.amax(a, -1) - torch.amin(a, -1)),
        "average": last(lambda a: (a * (1.5 + torch.sin(a))).sum(-1) / (1.5 + torch.sin(a)).sum(-1)),
        "cumsum": row(lambda a: torch.cumsum(a, 0)),
        "cumprod": last(lambda a: torch.cumprod(torch.tanh(a), -1)),
        "diff": last(lambda a: torch.diff(a, append=torch.zeros_like(a[..., :1]))),
        "amin": last(lambda a: torch.amin(a, -1)),
        "flip": row(lambda a: torch.flip(a, [0])),
        "roll": row(lambda a: torch.roll(a, 2, 0)),
        "repeat": small(lambda a: torch.repeat_interleave(a, 2, -1) if a.ndim else a.expand(2)),
        "tile": small(lambda a: torch.tile(a, (2,))),
        "pad": small(lambda a: F.pad(a, (1, 1) * a.ndim) if a.ndim else a),
        "tril": lambda a, b: torch.tril(a) if a.ndim >= 2 else a,
        "triu": lambda a, b: torch.triu(a, 1) if a.ndim >= 2 else a,
        "diagonal": lambda a, b: torch.diagonal(a, 0, 0, -1) if a.ndim >= 2 else a,
        "trace": lambda a, b: torch.diagonal(a, 1, 0, 1).sum(-1) if a.ndim >= 2 else a,
        "diag": lambda a, b: torch.diag(a, -1) if a.ndim == 1 and len(a) < 7 else a,
        "sort": row(lambda a: torch.sort(a, dim=0, stable=True)[0]),
        "take": row(lambda a: a[torch.tensor([[0, -1]])] if a.ndim < 3 else a),
        "moveaxis": lambda a, b: torch.movedim(a, 0, -1) if a.ndim else a,
        "column_stack": lambda a, b: torch.column_stack([a, a * 2]) if 0 < a.ndim < 3 else a,
        "hstack": lambda a, b: torch.hstack([a, 3 * a]) if a.ndim else a,
        "hsplit": lambda a, b: torch.hsplit(a, [1])[0] if a.ndim >= 2 else a,
        "outer": lambda a, b: torch.outer(a.reshape(-1), b.reshape(-1)) if a.numel() * b.numel() < 40 else a,
        "inner": apart(lambda a, b: torch.inner(a, b)),
        "tensordot": apart(lambda a, b: torch.tensordot(a, b, ((-1,), (-1,)))),
        "kron": lambda a, b: (
            torch.kron(a.contiguous(), b.contiguous())
            if a.ndim == b.ndim and a.ndim < 3 and a.numel() * b.numel() < 40
            else a
        ),
        "cross": lambda a, b: torch.linalg.cross(a, torch.cos(a)) if a.ndim and a.shape[-1] == 3 else a,
        "norm": last(lambda a: torch.linalg.vector_norm(a + 3, 2, -1)),
        "norm 3": last(lambda a: torch.linalg.vector_norm(a, 3, -1, True)),
        "inv": square(eye, lambda a, eye: torch.linalg.inv(torch.tanh(a) / 3 + 2 * eye)),
        "det": square(eye, lambda a, eye: torch.linalg.det(torch.tanh(a) / 3 + eye)),
        "slogdet": square(eye, lambda a, eye: torch.linalg.slogdet(torch.tanh(a) / 3 + 2 * eye)[1]),
        "solve": square(eye, lambda a, eye: torch.linalg.solve(torch.tanh(a) / 3 + 2 * eye, a)),
        "cholesky": square(eye, lambda a, eye: torch.linalg.cholesky(torch.tanh(a) @ torch.tanh(a).mT + eye)),
        "matrix_power": square(eye, lambda a, eye: torch.linalg.matrix_power(torch.tanh(a), 3)),
    }


def middle(torch: Any, a: Any) -> Any:
    """The median as NumPy has it: of an even number of entries, the mean of the two in the middle."""
    n = a.shape[-1]
    return torch.sort(a, dim=-1, stable=True)[0][..., (n - 1) // 2 : n // 2 + 1].mean(-1)
