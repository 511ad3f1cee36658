"""What lies beyond the end of a sequence counts for nothing, and a layer is its cell in a loop: random models."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg

nn = tg.nn
CELLS = {"RNN": nn.RNNCell, "LSTM": nn.LSTMCell, "GRU": nn.GRUCell}


@dataclasses.dataclass
class Memory:
    """A state of one's own."""

    h: Any
    trace: Any


class Leaky(nn.Module):
    """A cell of one's own: h = a h + log(1 + x²) W, and a trace of 1 / x that no zero may reach."""

    def __init__(self, inputs: int, hidden: int, rng: Any) -> None:
        self.inner = nn.Linear(inputs, hidden, dtype=float, rng=rng)
        self.a = nn.Parameter(rng.uniform(0.1, 0.9, hidden), float)

    def forward(self, x_t: Any, state: Memory) -> tuple[Any, Memory]:
        h = np.tanh(self.a * state.h + self.inner(np.log(x_t * x_t)))
        trace = 0.5 * state.trace + (1 / x_t).sum(-1, keepdims=True)
        return h * trace, Memory(h, trace)


def leaves_of(model: Any, x: Any) -> list[Any]:
    return [*model.parameters(), x]


def run(forward: Callable[[Any], Any], model: Any, x: np.ndarray, weights: list[np.ndarray]) -> list[np.ndarray]:
    """The results of a model, and the gradients of a weighted sum of them: of its parameters and of its input."""
    t = tg.tensor(x, requires_grad=True)
    results = forward(t)
    model.zero_grad()
    sum((r * w).sum() for r, w in zip(results, weights, strict=True)).backward()
    grads = [np.zeros(p.shape) if p.grad is None else p.grad for p in leaves_of(model, t)]
    return [*(r.data for r in results), *grads]


def random_case(rng: np.random.Generator) -> Iterator[tuple[str, list[np.ndarray], list[np.ndarray]]]:
    """One random model twice, computed in two ways that must agree: (which ways, the one, the other)."""
    T, B, inputs, hidden = (int(n) for n in rng.integers((1, 1, 1, 1), (7, 5, 4, 5)))
    lengths = rng.integers(0, T + 1, B)
    beyond = np.arange(T)[:, None] >= lengths
    x = rng.uniform(0.2, 1.5, (T, B, inputs)) * rng.choice((-1, 1), (T, B, inputs))
    padded = x.copy()
    padded[beyond] = rng.choice([np.nan, np.inf, -np.inf, 0.0])
    kind, seed = str(rng.choice([*CELLS, "own"])), int(rng.integers(1000))
    if kind == "own":
        cell, reverse = Leaky(inputs, hidden, rng), bool(rng.integers(2))
        start = Memory(rng.standard_normal((B, hidden)), np.zeros((B, 1)))

        def unrolled(x: Any) -> list[Any]:
            y, last = nn.unroll(cell, x, start, lengths=lengths, reverse=reverse)
            return [y, *(part for part in (last.h, last.trace) if isinstance(part, tg.Tensor))]

        def alone(x: Any) -> list[Any]:  # each sequence by itself, without any padding
            ys, hs, traces = [], [], []
            for b, n in enumerate(lengths):
                state = Memory(start.h[b : b + 1], start.trace[b : b + 1])
                y = np.zeros((0, 1, hidden))
                if n:
                    y, state = nn.unroll(cell, x[:n, b : b + 1], state, reverse=reverse)
                ys.append(np.concatenate([y, np.zeros((T - n, 1, hidden))]))
                hs.append(state.h)
                traces.append(state.trace)
            return [np.concatenate(ys, 1), np.concatenate(hs), np.concatenate(traces)]

        if lengths.any():
            weights = [rng.standard_normal(shape) for shape in ((T, B, hidden), (B, hidden), (B, 1))]
            yield "own cell, padded or alone", run(unrolled, cell, padded, weights), run(alone, cell, x, weights)
        return
    options: dict[str, Any] = {"num_layers": int(rng.integers(1, 3)), "bidirectional": bool(rng.integers(2))}
    options |= {"dtype": float, "bias": bool(rng.integers(2)), "learn_initial_state": bool(rng.integers(2))}
    variants = {"RNN": {"nonlinearity": "relu"}, "LSTM": {"bias": True, "forget_bias": 1.0}, "GRU": {"bias": True}}
    if rng.integers(2):
        options |= variants[kind]
    if options["num_layers"] > 1 and rng.integers(2):
        options |= {"dropout": 0.4, "variational": bool(rng.integers(2))}

    def layer(**more: Any) -> Any:
        return getattr(nn, kind)(inputs, hidden, rng=seed, **options, **more)

    def outputs(model: Any) -> Callable[[Any], list[Any]]:
        def forward(x: Any) -> list[Any]:
            y, state = model(x, lengths=lengths)
            return [y, *(state if isinstance(state, tuple) else (state,))]

        return forward

    fused, composed, pieces = layer(fused=True), layer(fused=False), layer(checkpoint=int(rng.integers(1, 4)))
    rows = options["num_layers"] * (1 + options["bidirectional"])
    width = hidden * (1 + options["bidirectional"])
    weights = [rng.standard_normal((T, B, width))]
    weights += [rng.standard_normal((rows, B, hidden)) for _ in CELLS[kind].states]
    first = run(outputs(fused), fused, padded, weights)
    yield f"{kind}, fused or composed", first, run(outputs(composed), composed, padded, weights)
    yield f"{kind}, fused or in pieces", first, run(outputs(pieces), pieces, padded, weights)
    clean = layer(fused=True)
    yield f"{kind}, padded with anything or not", first, run(outputs(clean), clean, x, weights)


def disagreements(first: int, count: int) -> list[str]:
    """What does not agree, or is not finite, among that many random models."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(first, first + count):
            for what, one, other in random_case(np.random.default_rng(seed)):
                for k, (a, b) in enumerate(zip(one, other, strict=True)):
                    if not (np.isfinite(a).all() and np.allclose(a, b, rtol=1e-9, atol=1e-9)):
                        found.append(f"seed {seed}: {what}: result {k}")
    return found


@pytest.mark.parametrize("first", [0, 15, 30, 45])
def test_random_models_agree_fused_composed_checkpointed_and_whatever_the_padding_is(first: int) -> None:
    assert disagreements(first, 15) == []


def test_the_comparison_would_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygrad_rnn.nn.recurrent.last_repeated", lambda x, lengths: x)
    with np.errstate(all="ignore"), pytest.raises((AssertionError, RuntimeWarning)):
        assert disagreements(0, 15) == []


@pytest.mark.parametrize("pad", [np.nan, np.inf])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_padding_that_is_not_finite_stays_out_of_the_gradients_of_any_cell(
    kind: str, reverse: bool, pad: float
) -> None:
    cell = CELLS[kind](2, 3, rng=0, dtype=float)
    x = np.random.default_rng(0).normal(size=(4, 3, 2))
    x[2:, 1] = x[:, 2] = pad

    def step(x_t: Any, state: Any) -> Any:
        state = cell(x_t, state)
        return (state[0] if isinstance(state, tuple) else state), state

    t = tg.tensor(x, requires_grad=True)
    y, _ = nn.unroll(step, t, cell.initial_state((3,)), lengths=[4, 2, 0], reverse=reverse)
    y.sum().backward()
    assert not y.data[2:, 1].any() and not y.data[:, 2].any()
    assert np.isfinite(t.grad).all() and not t.grad[2:, 1].any() and not t.grad[:, 2].any()
    assert all(np.isfinite(p.grad).all() for p in cell.parameters())


def test_class_numbers_beyond_the_end_need_not_be_classes() -> None:
    embedding, cell = nn.Embedding(3, 2, rng=0), nn.RNNCell(2, 2, rng=0)
    ids = np.array([[0, 1], [2, -1], [1, 99]])

    def step(ids_t: Any, state: Any) -> Any:
        h = cell(embedding(ids_t), state)
        return h, h

    y, _ = nn.unroll(step, ids, lengths=[3, 1])
    y.sum().backward()
    assert y.shape == (3, 2, 2) and np.isfinite(embedding.W.grad).all()


def test_steps_in_a_list_and_states_with_nothing_in_a_place() -> None:
    xs = [tg.tensor(np.full((2, 1), value), requires_grad=True) for value in (1.0, np.nan)]

    def step(x_t: Any, state: Any) -> Any:
        total = x_t if state is None else state[0] + x_t
        return total, (total, None, "kept")

    y, last = nn.unroll(step, xs, (np.zeros((2, 1)), None, "kept"), lengths=[1, 1])
    y.sum().backward()
    assert y.data[:, :, 0].tolist() == [[1, 1], [0, 0]] and last[1:] == (None, "kept")
    assert xs[0].grad.tolist() == [[1], [1]] and xs[1].grad.tolist() == [[0], [0]]


def test_a_state_that_cannot_be_held_is_refused() -> None:
    with pytest.raises(TypeError, match=r"a state must keep its form; it was tuple with \[0\] and is tuple with"):
        nn.unroll(lambda x_t, s: (x_t, (x_t, x_t)), np.ones((2, 2)), (np.ones(2),), lengths=[0, 2])
    with pytest.raises(TypeError, match="a state is made of tensors, not object: which rows end"):
        nn.unroll(lambda x_t, s: (x_t, object()), np.ones((2, 2)), None, lengths=[1, 2])
