"""Unrolled networks drawn at random, each with the states that its cell returned: the truth is `tg.grad` at these.

The truth about the Jacobians is the cell by itself: called again, on copies of what it was given that are leaves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn

B, IN, H = 3, 4, 5
KINDS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "RNN": [{}, {}, {"nonlinearity": "relu"}, {"layer_norm": True}],
    "LSTM": [{}, {}, {"peepholes": True}, {"layer_norm": True}, {"forget_gate": False}, {"cut_gate_gradient": True}],
    "GRU": [{}, {}, {"reset_after": False}, {"layer_norm": True}],
}


@dataclass
class Network:
    """A loss, and for each layer and part of its state what stood after each step.

    states  (layer, part) -> step -> what the cell returned; what was handed on, as a Tensor and an index into it; and
            which sequences go on (None: all do)
    calls   layer -> step -> the cell, what it was given as input and as state, and which sequences go on
    """

    words: str
    loss: Any = 0.0
    states: dict[tuple[str, Any], dict[int, tuple[Any, Any, Any]]] = field(default_factory=lambda: defaultdict(dict))
    calls: dict[str, dict[int, tuple[Any, Any, Any, Any]]] = field(default_factory=lambda: defaultdict(dict))

    def jacobian(self, layer: str, t: int) -> np.ndarray:
        """d(state after step t) / d(state before it), (B, n, n), of the parts that a gradient reaches at any step.

        What the loss does not depend on is not in the graph, and has no derivative.
        """
        cell, x, state, alive = self.calls[layer][t]
        given, parts = _parts(state), [part for part, steps in self.reached[layer].items() if steps]
        linked = [_needs(part) for part in given]
        leaves = [tg.tensor(part.data if isinstance(part, tg.Tensor) else part, requires_grad=True) for part in given]
        new = _parts(cell(x, _formed_like(state, leaves))[1])
        rows = []
        for i in parts:
            there = _needs(new[i]) and t in self.reached[layer][i]
            for k in range(H):
                found = tg.grad(new[i][:, k].sum(), leaves, retain_graph=True, allow_unused=True) if there else leaves
                gs = [
                    g.data if there and g is not None and linked[j] else np.zeros((B, H)) for j, g in enumerate(found)
                ]
                rows.append(np.concatenate([gs[j] for j in parts], axis=-1))
        matrix = np.stack(rows, axis=1)
        if alive is not None:
            matrix[~alive] = np.diag(np.repeat([linked[j] for j in parts], H))
        return matrix

    @cached_property
    def reached(self) -> dict[str, dict[int, set[int]]]:
        """For each layer and part of its state the steps after which a gradient reaches it."""
        pairs = [(made, handed) for steps in self.states.values() for made, (handed, _), _ in steps.values()]
        wanted = list({id(x): x for pair in pairs for x in pair if _needs(x)}.values())
        found = tg.grad(self.loss, wanted, retain_graph=True, allow_unused=True)
        there = {id(x) for x, g in zip(wanted, found, strict=True) if g is not None}
        steps: dict[str, dict[int, set[int]]] = defaultdict(dict)
        for (layer, part), known in self.states.items():
            steps[layer][part] = {t for t, (a, (b, _), _) in known.items() if id(a) in there or id(b) in there}
        return steps

    def truth(self) -> dict[str, list[dict[int, float]]]:
        """For each layer the curves |dL/d(state)| over the steps, of each part that a gradient reaches."""
        known = [x for steps in self.states.values() for made, (handed, _), _ in steps.values() for x in (made, handed)]
        wanted = list({id(x): x for x in known if _needs(x)}.values())
        found = tg.grad(self.loss, wanted, retain_graph=True, allow_unused=True)
        gradients = {id(x): g.data for x, g in zip(wanted, found, strict=True) if g is not None}
        curves: dict[str, list[dict[int, float]]] = defaultdict(list)
        for (layer, _), steps in self.states.items():
            curve, reached = {}, False
            for t, (made, (handed, part), alive) in steps.items():
                nothing = np.zeros(np.shape(made))
                g = gradients.get(id(made), nothing)
                reached |= id(made) in gradients or id(handed) in gradients
                if alive is not None:  # beyond the end of a sequence its state passes by
                    past = gradients[id(handed)][part] if id(handed) in gradients else nothing
                    g = np.where(alive.reshape(-1, *[1] * (np.ndim(made) - 1)), g, past)
                curve[t] = float(np.linalg.norm(g))
            if reached:
                curves[layer].append(curve)
        return dict(curves)


def draw_network(seed: int, fused: bool = False) -> Network:
    """The network of this number; if it is a layer, with its steps fused, or the same one composed."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(6)
    if kind < 2:
        return _layer(rng, fused)
    return _own_cell(rng) if kind < 4 else _loop(rng) if kind < 5 else _attending(rng, fused)


def _weights(rng: np.random.Generator, *shape: int, name: str | None = None) -> tg.Tensor:
    return tg.tensor(rng.standard_normal(shape) * 0.5, requires_grad=True, name=name)


# ---------------------------------------------------------------- layers of the library


def _layer(rng: np.random.Generator, fused: bool) -> Network:
    kind = str(rng.choice(list(KINDS)))
    options = dict(VARIANTS[kind][rng.integers(len(VARIANTS[kind]))])
    options |= {"num_layers": int(rng.integers(1, 3)), "bidirectional": bool(rng.random() < 0.3)}
    options |= {"learn_initial_state": bool(rng.random() < 0.3), "batch_first": bool(rng.random() < 0.2)}
    windows, cut, twice = int(rng.integers(1, 4)), bool(rng.random() < 0.5), bool(rng.random() < 0.15)
    ended, at = bool(rng.random() < 0.4), str(rng.choice(["output", "end", "state", "both", "steps"]))
    sizes = [int(rng.integers(1, 4)) for _ in range(windows)]
    layer = KINDS[kind](IN, H, dtype=float, rng=int(rng.integers(1000)), fused="auto" if fused else False, **options)
    network = Network(f"{kind} {options} windows {sizes} cut {cut} ended {ended} loss {at} twice {twice}")
    for mark in ("", " #2")[: 1 + twice]:
        state: Any = None
        if rng.random() < 0.3:
            shape, learned = (len(layer.cells), B, H), bool(rng.random() < 0.7)
            parts = [tg.tensor(rng.standard_normal(shape), requires_grad=learned) for _ in layer.cell_type.states]
            state = tuple(parts) if len(parts) > 1 else parts[0]
        for k, T in enumerate(sizes):
            x, n = rng.standard_normal((T, B, IN)), None
            if ended and windows == 1:
                n = rng.integers(0, T + 1, B)
                n[rng.integers(B)] = T
            logs = [watched(cell) for cell in layer.cells]
            output, state = layer(x.swapaxes(0, 1) if options["batch_first"] else x, state, n)
            output = output.swapaxes(0, 1) if options["batch_first"] else output
            ends = state if isinstance(state, tuple) else (state,)
            for row, (log, suffix) in enumerate(zip(logs, layer.suffixes, strict=True)):
                order = range(T - 1, -1, -1) if suffix.endswith("_reverse") else range(T)
                times = [(1 + sum(sizes[:k]) + t, None if n is None or (t < n).all() else t < n) for t in order]
                _note(network, kind.lower() + suffix + mark, log, times, [(end, row) for end in ends])
            last = k == windows - 1
            if at in ("output", "both") or (at == "end" and last):
                network.loss = network.loss + ((output if at != "end" else output[-1]) ** 2).sum()
            if at in ("state", "both") and last:
                network.loss = network.loss + sum((end**2).sum() * 0.5 for end in ends)
            if at == "steps":
                network.loss = network.loss + sum((y * np.arange(y.size).reshape(y.shape)).mean() for y in output)
            if cut and not last:
                state = tg.bptt.detach(state)
    return network


def watched(cell: Any) -> list[tuple[Any, ...]]:
    """What a cell of a layer is given and returns, filled in as it runs; nothing where its steps are fused."""
    log: list[tuple[Any, ...]] = []
    vars(cell)["step"] = _watching(type(cell).step.__get__(cell), log)
    return log


def _watching(step: Callable[..., Any], log: list[tuple[Any, ...]]) -> Callable[..., Any]:
    def called(x: Any, state: Any) -> Any:
        y, new = step(x, state)
        log.append((state, new, step, x))
        return y, new

    return called


def _note(network: Network, layer: str, log: list[Any], times: list[Any], final: list[Any]) -> None:
    """Put down the states that a cell returned; what it handed on is what its next call was given."""
    for i, ((state, new, cell, x), (t, alive)) in enumerate(zip(log, times, strict=False)):
        network.calls[layer][t] = cell, x, state, alive
        handed = [(x, ...) for x in _parts(log[i + 1][0])] if i + 1 < len(log) else final
        for j, (made, given) in enumerate(zip(_parts(new), handed, strict=True)):
            network.states[layer, j][t] = made, given, alive


def _needs(x: Any) -> bool:
    return isinstance(x, tg.Tensor) and x.requires_grad


def _formed_like(state: Any, parts: list[Any]) -> Any:
    """A state of this form that is made of these."""
    if isinstance(state, dict):
        return dict(zip(state, parts, strict=True))
    if is_dataclass(state) or isinstance(state, Pair):
        return type(state)(*parts)  # type: ignore[operator]
    return type(state)(parts) if isinstance(state, tuple | list) else parts[0]


def _parts(state: Any) -> list[Any]:
    if isinstance(state, dict):
        state = list(state.values())
    if is_dataclass(state):
        state = [getattr(state, f.name) for f in fields(state)]
    return [x for part in state for x in _parts(part)] if isinstance(state, tuple | list) else [state]


# ---------------------------------------------------------------- cells and loops of one's own


class Pair(NamedTuple):
    slow: Any
    fast: Any


@dataclass
class Memory:
    slow: Any
    fast: Any


class OwnCell:
    """A cell drawn at random: what it does with its state, and in which form it keeps it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.kind = str(rng.choice(["add", "join", "mgu", "two", "mixed", "leaky", "attention", "wide", "severed"]))
        forms = ["tuple", "dict", "list", "named", "dataclass"]
        self.form = str(rng.choice(forms[: 5 if self.parts == 2 else 3])) if self.parts > 1 else "alone"
        self.named, self.output = rng.choice([None, "state", "h"]), str(rng.choice(["h", "scores", "twice", "named h"]))
        self.U, self.W, self.V = _weights(rng, IN, H, name="U"), _weights(rng, H, H, name="W"), _weights(rng, H, 2)
        self.U_f, self.W_f, self.J = _weights(rng, IN, H), _weights(rng, H, H), _weights(rng, IN + H, H)
        self.memory = _weights(rng, 7, H)
        self.words = f"{self.kind} {self.form} named {self.named} output {self.output}"

    @property
    def parts(self) -> int:
        return {"two": 2, "mixed": 2, "wide": 3}.get(self.kind, 1)

    def start(self) -> Any:
        """A state to start from; each part may be a constant, or need a gradient."""
        rng, parts = self.rng, []
        for _ in range(self.parts):
            values = rng.standard_normal((B, H))
            way = rng.integers(2 if self.kind == "wide" else 3)  # a leaf that is handed on stands in the tape as a leaf
            parts.append(values if way == 0 else tg.tensor(values, requires_grad=bool(way == 2)))
        return self.formed(parts)

    def formed(self, parts: list[Any]) -> Any:
        if self.form == "dict":
            return dict(zip("mkq", parts, strict=False))
        if self.parts == 2 and self.form in ("named", "dataclass"):
            return (Pair if self.form == "named" else Memory)(*parts)
        return {"tuple": tuple(parts), "list": parts, "alone": parts[0]}[self.form]

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        h, *others = _parts(state)
        if self.kind == "join":
            new = [np.tanh(np.concatenate([x, h], axis=-1) @ self.J)]
        elif self.kind == "mgu":
            f = tg.sigmoid(x @ self.U_f + h @ self.W_f)
            new = [(1 - f) * h + f * np.tanh(x @ self.U + (f * h) @ self.W)]
        elif self.kind == "leaky":
            new = [h * 0.9 + 0.1 * np.tanh(x @ self.U + h @ self.W)]
        elif self.kind == "attention":
            scores = h @ self.memory.T
            weights = np.exp(scores - scores.data.max() if isinstance(scores, tg.Tensor) else scores)
            new = [np.tanh(x @ self.U + (weights / weights.sum(-1, keepdims=True)) @ self.memory)]
        elif self.kind == "two":
            c = tg.sigmoid(x @ self.U_f + h @ self.W_f) * others[0] + np.tanh(x @ self.U)
            new = [np.tanh(c) * 0.5, c]
        elif self.kind == "severed":  # one of two paths is cut inside of the step
            new = [np.tanh(x @ self.U + h @ self.W + (h.detach() if isinstance(h, tg.Tensor) else h) * 0.3)]
        elif self.kind == "mixed":  # one part is a constant at all times
            new = [np.tanh(x @ self.U + h @ self.W + others[0]), others[0] * 0.5 + 1]
            new[1] = new[1].detach() if isinstance(new[1], tg.Tensor) else new[1]
        elif self.kind == "wide":  # one part is the state of two steps ago
            new = [np.tanh(x @ self.U + others[0] @ self.W + h * 0.1), h, others[1] * 0.9 + h]
        else:
            new = [np.tanh(x @ self.U + h @ self.W)]
        if self.named is not None:
            new[0].name = str(self.named)
        y = new[0]
        if self.output != "h":
            y = new[0] * 2 if self.output == "twice" else new[0] @ self.V
            y.name = "h" if self.output == "named h" else None
        return y, self.formed(new)


def _own_cell(rng: np.random.Generator) -> Network:
    cell = OwnCell(rng)
    windows, cut, reverse = int(rng.integers(1, 4)), bool(rng.random() < 0.5), bool(rng.random() < 0.2)
    ended, at = bool(rng.random() < 0.3), str(rng.choice(["output", "end", "state", "steps"]))
    windows = 1 if reverse or ended else windows
    while cell.kind == "wide" and ended:  # what is handed on as it came has no ends of its own
        cell = OwnCell(rng)
    sizes = [int(rng.integers(1 if windows > 1 else 2, 4)) for _ in range(windows)]
    network = Network(f"cell {cell.words} windows {sizes} cut {cut} ended {ended} loss {at} reverse {reverse}")
    state, first = cell.start(), 1
    for k, T in enumerate(sizes):
        log: list[Any] = []
        x, n = rng.standard_normal((T, B, IN)), None
        if ended:
            n = rng.integers(1, T + 1, B)
            n[rng.integers(B)] = T
        watched = _watching(cell, log)
        output, state = nn.unroll(watched, x, state, lengths=n, first=first, reverse=reverse)
        order = range(T - 1, -1, -1) if reverse else range(T)
        times = [(first + t, None if n is None or (t < n).all() else t < n) for t in order]
        _note(network, "cell", log, times, [(end, ...) for end in _parts(state)])
        first += T
        last = k == windows - 1
        if at == "output" or (at == "end" and last):
            network.loss = network.loss + ((output if at == "output" else output[-1]) ** 2).sum()
        if at == "steps":
            network.loss = network.loss + sum((y * np.arange(y.size).reshape(y.shape)).mean() for y in output)
        if at == "state" and last:
            ends = [end for end in _parts(state) if isinstance(end, tg.Tensor) and end.requires_grad]
            network.loss = network.loss + sum((end**2).sum() for end in ends)
        if cut and not last:
            state = tg.bptt.detach(state)
    return network


def _attending(rng: np.random.Generator, fused: bool) -> Network:
    """An encoder of the library, and a decoder of one's own that looks at all its states."""
    kind, T, S = str(rng.choice(list(KINDS))), int(rng.integers(2, 5)), int(rng.integers(2, 5))
    given, scored, at = bool(rng.random() < 0.5), bool(rng.random() < 0.5), str(rng.choice(["sum", "end", "each"]))
    network = Network(f"attention {kind} T {T} S {S} start from the encoder {given} own scores {scored} loss {at}")
    encoder = KINDS[kind](IN, H, dtype=float, rng=int(rng.integers(1000)), fused="auto" if fused else False)
    log = watched(encoder.cells[0])
    encoded, end = encoder(rng.standard_normal((T, B, IN)))
    ends = end if isinstance(end, tuple) else (end,)
    _note(network, kind.lower(), log, [(t, None) for t in range(1, T + 1)], [(part, 0) for part in ends])
    U, W, Q = _weights(rng, IN, H, name="U"), _weights(rng, H, H, name="W"), _weights(rng, H, H, name="Q")
    memory = encoded.swapaxes(0, 1)

    def decoder(x: Any, s: Any) -> Any:
        scores = (memory * ((s @ Q) if scored else s).reshape(B, 1, H)).sum(-1)
        weights = np.exp(scores)
        context = ((weights / weights.sum(-1, keepdims=True)).reshape(B, T, 1) * memory).sum(1)
        s = np.tanh(x @ U + context @ W)
        return s * 2, s

    calls = list[Any]()
    start = ends[0][0] if given else np.zeros((B, H))
    step = _watching(decoder, calls)
    output, last = nn.unroll(step, rng.standard_normal((S, B, IN)), start, name="decoder")
    _note(network, "decoder", calls, [(t, None) for t in range(1, S + 1)], [(last, ...)])
    if at == "sum":
        network.loss = (output**2).sum()
    elif at == "end":
        network.loss = (output[-1] ** 2).sum() + (encoded**2).mean()
    else:
        network.loss = sum((y * np.arange(y.size).reshape(y.shape)).mean() for y in output)
    return network


def _loop(rng: np.random.Generator) -> Network:
    """A loop of one's own, its steps marked by `tg.scope`; the loss is added up in it, or taken after it."""
    cell = OwnCell(rng)
    while cell.kind in ("wide", "mixed"):  # what is handed on without being computed is no result of a step
        cell = OwnCell(rng)
    T, at = int(rng.integers(2, 6)), str(rng.choice(["sum", "rate", "each", "after", "end"]))
    network = Network(f"loop {cell.words} T {T} loss {at}")
    state, outputs, log = cell.start(), [], list[Any]()
    watched = _watching(cell, log)
    loss: Any = np.zeros(B) if at == "each" else 0.0
    with tg.scope("mine") as step:
        for t in range(1, T + 1):
            step(t)
            y, state = watched(rng.standard_normal((B, IN)), state)
            outputs.append(y)
            if at == "sum":
                loss = loss + (y**2).sum()
            elif at == "rate":
                loss = loss * 0.9 + 0.5 * (y**2).mean()
            elif at == "each":  # of each sequence
                loss = loss + (y**2).sum(axis=-1)
    if at == "each":
        loss = loss.mean()
    elif at == "after":
        loss = (np.stack(outputs) ** 2).sum()
    elif at == "end":
        loss = (outputs[-1] ** 2).sum()
    network.loss = loss
    _note(network, "mine", log, [(t, None) for t in range(1, T + 1)], [(end, ...) for end in _parts(state)])
    return network
