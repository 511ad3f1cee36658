"""The training step of `problem.py` in every library: ours, the limit, and what people would use instead.

`PEERS` maps a name to a function of a Problem that loads the weights and gives a `Peer`. It raises ImportError where
the library is not installed. Op-level libraries share one statement of the model (`unrolled`), in the same operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import tinygrad_rnn as tg

from .limit import LIMITS
from .problem import Problem

Arrays = dict[str, np.ndarray]


class Peer(NamedTuple):
    """step() is one training step and gives the loss; gradients() then are those of all weights, in torch's layout."""

    step: Callable[[], float]
    gradients: Callable[[], Arrays]


# ------------------------------------------------------------------ ours, through its public names

LAYERS = {"rnn": tg.nn.RNN, "lstm": tg.nn.LSTM, "gru": tg.nn.GRU}


def tinygrad_rnn(problem: Problem, **options: Any) -> Peer:
    """Our layer with these options."""
    p, H = problem.weights, problem.shape.H
    kind = LAYERS[problem.cell]
    layer = kind(problem.shape.I, H, dtype=problem.x.dtype, **options)
    head = tg.nn.Linear(H, problem.shape.V, dtype=problem.x.dtype)
    names = {"weight_ih_l0": "w_ih", "weight_hh_l0": "w_hh", "bias_ih_l0": "b_ih", "bias_hh_l0": "b_hh"}
    tg.io.from_torch(layer, {theirs: p[name] for theirs, name in names.items()})
    tg.io.from_torch(head, {"weight": p["w_o"], "bias": p["b_o"]})
    x, model = tg.tensor(problem.x), tg.nn.Sequential(layer, head)

    def step() -> float:
        model.zero_grad()
        output, _ = layer(x)
        loss = tg.nn.cross_entropy(head(output), problem.y)
        loss.backward()
        return loss.item()

    def gradients() -> Arrays:
        db = layer.b_h.grad
        b_hh = np.concatenate([db[: 2 * H], layer.b_hn.grad]) if problem.cell == "gru" else db
        ours = {"w_ih": layer.W_xh.grad.T, "w_hh": layer.W_hh.grad.T, "b_ih": db, "b_hh": b_hh}
        return {**ours, "w_o": head.W.grad.T, "b_o": head.b.grad}

    return Peer(step, gradients)


def composed(problem: Problem) -> Peer:
    return tinygrad_rnn(problem, fused=False)


def fused(problem: Problem) -> Peer:
    return tinygrad_rnn(problem, fused=True)


def checkpointed(problem: Problem) -> Peer:
    return tinygrad_rnn(problem, checkpoint=True)


def limit(problem: Problem) -> Peer:
    by_hand = LIMITS[problem.cell](problem.shape, str(problem.x.dtype))
    last: Arrays = {}

    def step() -> float:
        loss, gradients = by_hand.step(problem.weights, problem.x, problem.y)
        last.update(gradients)
        return loss

    return Peer(step, lambda: last)


# ------------------------------------------------------------------ the model for op-level libraries


@dataclass
class Library:
    """The functions that a library calls by names of its own."""

    tanh: Callable[[Any], Any]
    sigmoid: Callable[[Any], Any]
    stack: Callable[[Sequence[Any]], Any]
    cross_entropy: Callable[[Any, Any], Any]
    split: Callable[[Any, int], Sequence[Any]] = lambda a, n: [
        a[:, k * (a.shape[1] // n) : (k + 1) * (a.shape[1] // n)] for k in range(n)
    ]
    unbind: Callable[[Any], Sequence[Any]] | None = None
    """An array as the sequence of its slices, at a cost that does not grow with their number squared; None where the
    library has no such thing, and inputs are projected step by step."""


def cell_step(cell: str, lib: Library, a: Any, h: Any, c: Any, W_hh: Any, b_hh: Any) -> tuple[Any, Any]:
    """One time step from the projected input `a`: the new h, and c of an LSTM."""
    if cell == "rnn":
        return lib.tanh(a + h @ W_hh), None
    if cell == "lstm":
        i, f, g, o = lib.split(a + h @ W_hh, 4)
        c = lib.sigmoid(f) * c + lib.sigmoid(i) * lib.tanh(g)
        return lib.sigmoid(o) * lib.tanh(c), c
    (a_r, a_z, a_n), (u_r, u_z, u_n) = lib.split(a, 3), lib.split(h @ W_hh + b_hh, 3)
    r, z = lib.sigmoid(a_r + u_r), lib.sigmoid(a_z + u_z)
    n = lib.tanh(a_n + r * u_n)
    return n + z * (h - n), None


def unrolled(cell: str, lib: Library, p: dict[str, Any], x: Any, y: Any, zeros: Any) -> Any:
    """The loss of the whole model, by a loop over time."""
    T, B, _ = x.shape
    W_xh, W_hh = p["w_ih"].T, p["w_hh"].T
    b = p["b_ih"] if cell == "gru" else p["b_ih"] + p["b_hh"]
    projected = lib.unbind((x.reshape(T * B, -1) @ W_xh + b).reshape(T, B, -1)) if lib.unbind else None
    h = c = zeros
    outputs = []
    for t in range(T):
        a = projected[t] if projected is not None else x[t] @ W_xh + b
        h, c = cell_step(cell, lib, a, h, c, W_hh, p["b_hh"])
        outputs.append(h)
    return lib.cross_entropy(lib.stack(outputs).reshape(T * B, -1) @ p["w_o"].T + p["b_o"], y)


def initial(problem: Problem) -> np.ndarray:
    return np.zeros((problem.shape.B, problem.shape.H), problem.x.dtype)


# ------------------------------------------------------------------ PyTorch

TORCH_NAMES = {"weight_ih": "w_ih", "weight_hh": "w_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}


def torch_head(torch: Any, problem: Problem) -> tuple[Any, Callable[[Any], Any]]:
    """The linear head, and the loss of a layer's output."""
    head = torch.nn.Linear(problem.shape.H, problem.shape.V, dtype=torch.from_numpy(problem.x).dtype)
    weights = {"weight": problem.weights["w_o"], "bias": problem.weights["b_o"]}
    head.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    y = torch.from_numpy(problem.y.reshape(-1))
    return head, lambda output: torch.nn.functional.cross_entropy(head(output).reshape(len(y), -1), y)


def torch_peer(torch: Any, problem: Problem, kind: Any, suffix: str, run: Callable[[Any, Any], Any]) -> Peer:
    """A module of torch with the problem's weights; `run(module, x)` gives its outputs."""
    torch.set_num_threads(1)
    x = torch.from_numpy(problem.x)
    module = kind(problem.shape.I, problem.shape.H, dtype=x.dtype)
    weights = {theirs + suffix: torch.from_numpy(problem.weights[name]) for theirs, name in TORCH_NAMES.items()}
    module.load_state_dict(weights)
    head, loss_of = torch_head(torch, problem)

    def step() -> float:
        module.zero_grad()
        head.zero_grad()
        loss = loss_of(run(module, x))
        loss.backward()
        return float(loss.detach())

    def gradients() -> Arrays:
        found = {name: getattr(module, theirs + suffix).grad.numpy() for theirs, name in TORCH_NAMES.items()}
        return {**found, "w_o": head.weight.grad.numpy(), "b_o": head.bias.grad.numpy()}

    return Peer(step, gradients)


def torch_layer(problem: Problem) -> Peer:
    """nn.RNN, nn.LSTM, nn.GRU."""
    import torch

    kind = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[problem.cell]
    return torch_peer(torch, problem, kind, "_l0", lambda layer, x: layer(x)[0])


def torch_cell(problem: Problem) -> Peer:
    """A loop over nn.RNNCell, nn.LSTMCell, nn.GRUCell."""
    import torch

    def run(cell: Any, x: Any) -> Any:
        state, outputs = None, []
        for x_t in x:
            state = cell(x_t, state)
            outputs.append(state[0] if problem.cell == "lstm" else state)
        return torch.stack(outputs)

    kind = {"rnn": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}[problem.cell]
    return torch_peer(torch, problem, kind, "", run)


def torch_ops(problem: Problem) -> Peer:
    """A loop over torch's ops."""
    import torch

    torch.set_num_threads(1)
    p = {name: torch.tensor(array, requires_grad=True) for name, array in problem.weights.items()}
    data = (torch.from_numpy(a) for a in (problem.x, problem.y.reshape(-1), initial(problem)))
    x, y, zeros = data
    lib = Library(torch.tanh, torch.sigmoid, torch.stack, torch.nn.functional.cross_entropy)
    lib.split, lib.unbind = lambda a, n: a.chunk(n, 1), torch.unbind

    def step() -> float:
        for weight in p.values():
            weight.grad = None
        loss = unrolled(problem.cell, lib, p, x, y, zeros)
        loss.backward()
        return float(loss.detach())

    return Peer(step, lambda: {name: weight.grad.numpy() for name, weight in p.items()})


# ------------------------------------------------------------------ jax, autograd, mygrad


def jax_scan(problem: Problem) -> Peer:
    """jax.lax.scan over the cell, compiled."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", problem.x.dtype == np.float64)
    B, T, _, H = problem.shape
    x, y, zeros = (jnp.asarray(a) for a in (problem.x, problem.y.reshape(-1), initial(problem)))
    weights = {name: jnp.asarray(array) for name, array in problem.weights.items()}
    cell, last = problem.cell, {}

    def cross_entropy(scores: Any, y: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], 1).mean()

    lib = Library(jnp.tanh, jax.nn.sigmoid, jnp.stack, cross_entropy, lambda a, n: jnp.split(a, n, 1))

    def loss_of(p: dict[str, Any]) -> Any:
        W_hh, b = p["w_hh"].T, p["b_ih"] if cell == "gru" else p["b_ih"] + p["b_hh"]

        def body(state: Any, a: Any) -> Any:
            h, c = cell_step(cell, lib, a, *state, W_hh, p["b_hh"])
            return (h, c if cell == "lstm" else state[1]), h

        projected = (x.reshape(T * B, -1) @ p["w_ih"].T + b).reshape(T, B, -1)
        _, outputs = jax.lax.scan(body, (zeros, zeros), projected)
        return cross_entropy(outputs.reshape(T * B, H) @ p["w_o"].T + p["b_o"], y)

    compiled = jax.jit(jax.value_and_grad(loss_of))

    def step() -> float:
        loss, gradients = jax.block_until_ready(compiled(weights))
        last.update(gradients)
        return float(loss)

    return Peer(step, lambda: {name: np.asarray(gradient) for name, gradient in last.items()})


def autograd(problem: Problem) -> Peer:
    """HIPS autograd: a loop over NumPy's functions."""
    import autograd.numpy as anp
    from autograd import value_and_grad

    y, half, last = problem.y.reshape(-1), problem.x.dtype.type(0.5), {}

    def cross_entropy(scores: Any, y: Any) -> Any:
        m = anp.max(scores, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(scores - m), axis=1)) + m[:, 0] - scores[np.arange(len(y)), y])

    lib = Library(anp.tanh, lambda a: half * (anp.tanh(half * a) + 1), anp.stack, cross_entropy)
    zeros = initial(problem)
    both = value_and_grad(lambda p: unrolled(problem.cell, lib, p, problem.x, y, zeros))

    def step() -> float:
        loss, gradients = both(problem.weights)
        last.update(gradients)
        return float(loss)

    return Peer(step, lambda: last)


def mygrad(problem: Problem) -> Peer:
    """mygrad: a loop over its ops."""
    import mygrad as mg
    from mygrad.nnet.activations import sigmoid
    from mygrad.nnet.losses import softmax_crossentropy

    p = {name: mg.tensor(array) for name, array in problem.weights.items()}
    y, zeros = problem.y.reshape(-1), initial(problem)
    lib = Library(mg.tanh, sigmoid, mg.stack, softmax_crossentropy)

    def step() -> float:
        for weight in p.values():
            weight.null_grad()
        loss = unrolled(problem.cell, lib, p, problem.x, y, zeros)
        loss.backward()
        return float(loss)

    return Peer(step, lambda: {name: weight.grad for name, weight in p.items()})


PEERS: dict[str, Callable[[Problem], Peer]] = {
    "limit": limit,
    "fused": fused,
    "composed": composed,
    "nn.*": torch_layer,
    "cell": torch_cell,
    "ops": torch_ops,
    "jax": jax_scan,
    "autograd": autograd,
    "mygrad": mygrad,
}


def outcome(peer: Peer) -> tuple[float, Arrays]:
    """The loss and the gradients of one step."""
    loss = peer.step()
    return loss, peer.gradients()


def difference(found: tuple[float, Arrays], expected: tuple[float, Arrays]) -> float:
    """The largest difference of the losses and of all gradients, each relative to its largest entry."""
    pairs = [(np.asarray(found[0]), np.asarray(expected[0]))]
    pairs += [(found[1][name], gradient) for name, gradient in expected[1].items()]
    return max(float(np.abs(a - b).max() / (np.abs(b).max() or 1)) for a, b in pairs)


def live(problem: Problem, names: Sequence[str], tolerance: float | None = None) -> dict[str, Peer]:
    """The peers that are installed, each checked against the limit.

    Raises AssertionError for one that computes something else: its time would mean nothing.
    """
    tolerance = tolerance or (2e-4 if problem.x.dtype == np.float32 else 1e-10)
    expected, found = outcome(limit(problem)), {}
    for name in names:
        try:
            peer = PEERS[name](problem)
        except ImportError:
            continue
        off = difference(outcome(peer), expected)
        if not off < tolerance:
            shape = f"{problem.cell} {problem.shape} {problem.x.dtype}"
            raise AssertionError(f"{name} and the limit differ by {off:.1e} in a step of {shape}")
        found[name] = peer
    return found
