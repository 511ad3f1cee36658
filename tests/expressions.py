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
    }
