"""Cells made at random of the ops that compile, and the library's at many sizes: compiled, they are the loop."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn

UNARY = {
    "tanh": np.tanh,
    "sigmoid": tg.sigmoid,
    "relu": tg.relu,
    "softplus": tg.softplus,
    "square": np.square,
    "abs": abs,
    "negative": lambda x: -x,
    "sin": np.sin,
    "clip": lambda x: np.clip(x, -0.4, 0.5),
    "power": lambda x: x**3,
    "exp": lambda x: np.exp(-abs(x)),
    "sqrt": lambda x: np.sqrt(x * x + 0.1),
    "log": lambda x: np.log(1 + x * x),
    "arctan": np.arctan,
    "detach": lambda x: x.detach(),
    "half": lambda x: 0.5 * x,
    "less": lambda x: 1 - x,
    "softmax": lambda x: tg.softmax(x, axis=-1),
    "centred": lambda x: x - x.mean(-1, keepdims=True),
    "scaled": lambda x: x / (1 + (x * x).sum(-1, keepdims=True)),
    "swapped": lambda x: np.concatenate([x[:, 2:], x[:, :2]], -1),
    "halves": lambda x: np.concatenate(np.split(x, 2, axis=-1)[::-1], -1),
}
BINARY = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / (1 + y * y),
    "maximum": np.maximum,
    "minimum": np.minimum,
    "where": lambda x, y: np.where(x > y, x, 0.5 * y),
    "masked": lambda x, y: np.where((x < 0.3) & ~(y < -0.2), x, 0),
    "kept": lambda x, y: (1 - tg.sigmoid(x)) * np.tanh(y) + tg.sigmoid(x) * x,
    "gate": lambda x, y: tg.sigmoid(x) * y,
}
MOVING_UNARY = {name: UNARY[name] for name in ("tanh", "half", "negative", "swapped", "halves")}
MOVING_BINARY = {
    "mean": lambda x, y: 0.5 * (x + y),
    "beside": lambda x, y: np.concatenate([x[:, :2], y[:, 2:]], -1),
    "across": lambda x, y: np.concatenate([y[:, 3:], x[:, 1:3], 0.5 * y[:, :1]], -1),
    "other half": lambda x, y: 0.5 * (np.concatenate([x[:, 2:] - 0.5 * y[:, :2], y[:, 1:3]], -1) + x),
}
H = 4


class RandomCell:
    """Expressions drawn with a seed: `made` is how, so that every call does the same."""

    unary, binary = UNARY, BINARY

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.parts = int(rng.integers(1, 4))
        self.weights = [tg.tensor(rng.standard_normal((H, H)) / 2, requires_grad=True) for _ in range(3)]
        self.vectors = [tg.tensor(rng.standard_normal(H), requires_grad=True) for _ in range(2)]
        self.made = []
        n = 1 + self.parts
        for _ in range(int(rng.integers(3, 14))):
            kind = rng.choice(["unary", "binary", "binary", "weight", "vector"])
            one, two = (int(k) for k in rng.integers(0, n, 2))
            names = {"unary": list(self.unary), "binary": list(self.binary), "weight": range(3), "vector": range(2)}[
                kind
            ]
            self.made.append((kind, names[int(rng.integers(len(names)))], one, two))
            n += 1
        self.results = self.chosen(rng, n)

    def chosen(self, rng, n):
        """Which of n values are y and the state after the step: some that are computed."""
        return [int(k) for k in rng.integers(1 + self.parts, n, self.parts + 1)]

    def result(self, x):
        return np.tanh(x)

    def __call__(self, a, state):
        values = [a, *(state if self.parts > 1 else [state])]
        for kind, name, one, two in self.made:
            x, y = values[one], values[two]
            match kind:
                case "unary":
                    values.append(self.unary[name](x))
                case "binary":
                    values.append(self.binary[name](x, y))
                case "weight":
                    values.append(x @ self.weights[name])
                case "vector":
                    values.append(x * self.vectors[name] if name else x + self.vectors[name])
        y, *after = (self.result(values[k]) for k in self.results)
        return y, tuple(after) if self.parts > 1 else after[0]


class MovingCell(RandomCell):
    """Parts of the state change places, as they are, whole or in columns."""

    unary, binary = MOVING_UNARY, MOVING_BINARY

    def chosen(self, rng, n):
        return [int(k) for k in rng.integers(0, n, self.parts + 1)]

    def result(self, x):
        return x


def everything(cell, T, B, **options):
    rng = np.random.default_rng(T)
    leaves = [tg.tensor(rng.standard_normal(s), requires_grad=True) for s in [(T, B, H), *[(B, H)] * cell.parts]]
    x, *state = leaves
    y, end = nn.unroll(cell, x, tuple(state) if len(state) > 1 else state[0], **options)
    ends = end if isinstance(end, tuple) else (end,)
    loss = sum((t * np.cos(np.arange(t.size)).reshape(t.shape)).sum() for t in (y, *ends))
    inputs = [*leaves, *cell.weights, *cell.vectors]
    grads = tg.grad(loss, inputs, allow_unused=True) if loss.requires_grad else []
    return [y.data, *(e.data for e in ends)], [None if g is None else g.data for g in grads]


def compared(seeds, kind=RandomCell):
    for seed in seeds:
        cell, rng = kind(seed), np.random.default_rng(seed)
        T, B = int(rng.integers(1, 8)), int(rng.integers(1, 5))
        options = {"reverse": bool(rng.integers(2)), "lengths": rng.integers(0, T + 1, B) if rng.integers(2) else None}
        values, grads = everything(cell, T, B, **options)
        ours, our_grads = everything(cell, T, B, compiled=True, **options)
        for a, b in zip(ours, values, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12, err_msg=f"cell {seed}")
        for a, b in zip(our_grads, grads, strict=True):
            zero = np.zeros(()) if a is None and b is None else np.zeros_like(a if b is None else b)
            a, b = (zero if g is None else g for g in (a, b))
            size = np.abs(b).max(initial=1)
            np.testing.assert_allclose(a / size, b / size, rtol=0, atol=1e-11, err_msg=f"cell {seed}")


def test_random_cells():
    compared(range(40))


def test_random_cells_that_move_their_state_about():
    compared(range(40), MovingCell)


@pytest.mark.slow
def test_many_random_cells():
    compared(range(40, 500))
    compared(range(40, 500), MovingCell)


def swapped(x, s):
    return s[0] + x, (s[1], s[0])


def shifted_and_cut(x, s):
    return x, (0.5 * s[1], np.concatenate([s[0][:, 2:], x[:, :2]], -1))


def nothing_arrives(x, h):
    return x, 2 * h


@pytest.mark.parametrize("cell", [swapped, shifted_and_cut, nothing_arrives])
def test_what_a_step_hands_on_as_it_is(cell):
    cell.parts, cell.weights, cell.vectors = 1 if cell is nothing_arrives else 2, [], []
    for options in ({}, {"lengths": [2, 0, 4], "reverse": True}):
        (values, grads), (ours, our_grads) = (everything(cell, 4, 3, compiled=c, **options) for c in (False, True))
        for a, b in zip([*ours, *our_grads], [*values, *grads], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


KINDS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "layer_norm": True}),
    ("LSTM", {}),
    ("LSTM", {"peepholes": True, "layer_norm": True}),
    ("LSTM", {"forget_gate": False, "cut_gate_gradient": True}),
    ("GRU", {}),
    ("GRU", {"reset_after": False, "bias": False}),
    ("GRU", {"layer_norm": True}),
]


def layer_compared(kind, options, H, B, T, seed):
    rng, found = np.random.default_rng(seed), []
    shape = {"num_layers": int(rng.integers(1, 3)), "bidirectional": bool(rng.integers(2))}
    lengths = rng.integers(0, T + 1, B) if rng.integers(2) else None
    x = rng.standard_normal((T, B, 3))
    for fused in (False, True):
        layer = getattr(nn, kind)(3, H, dtype=float, rng=seed, fused=fused, **shape, **options)
        inputs = [tg.tensor(x, requires_grad=True), *layer.parameters()]
        y, state = layer(inputs[0], lengths=lengths)
        parts = state if isinstance(state, tuple) else (state,)
        step = y[int(rng.integers(T))] if fused else y[T // 2]
        loss = (y**2).sum() + sum((p**3).sum() for p in parts) + (step * 0).sum()
        found.append([y.data, *(p.data for p in parts), *(g.data for g in tg.grad(loss, inputs))])
    for a, b in zip(*found, strict=True):
        size = np.abs(a).max(initial=1)
        np.testing.assert_allclose(b / size, a / size, rtol=0, atol=1e-12, err_msg=f"{kind} {options} {H} {B} {T}")


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
@pytest.mark.parametrize("size", [(1, 1, 1), (5, 7, 3), (7, 5, 6), (13, 2, 9)], ids=str)
def test_layers_of_many_sizes(kind, options, size):
    layer_compared(kind, options, *size, seed=sum(size))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_layers_of_every_width(kind, options):
    for H in range(1, 71, 3):
        layer_compared(kind, options, H, H % 9 + 1, 7 * H % 40 + 1, seed=H)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_come_through_as_in_the_loop(kind, bad):
    found = []
    for fused in (False, True):
        layer = getattr(nn, kind)(3, 4, dtype=float, rng=0, fused=fused)
        x = np.random.default_rng(0).standard_normal((6, 3, 3))
        x[2, 1, 0] = bad
        x = tg.tensor(x, requires_grad=True)
        with np.errstate(all="ignore"):
            y, _ = layer(x)
            g = tg.grad(y[4].sum(), x)
        found.append((np.isfinite(y.data), np.isnan(y.data), np.isfinite(g.data)))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
