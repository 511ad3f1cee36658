"""What recording an op costs: chains of a thousand, a hundred thousand and a million small ops, forward and backward.

    mul    y ← y * x       n times, from y = x: dL/dx = Σ y = (n + 1) a entry at x = 1
    scale  y ← y * 1.0     n times
    tanh   y ← tanh(y)     n times

Four entries of float32: little arithmetic, so what counts is the bookkeeping. Backward includes letting go of the
graph.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tg

from .timing import as_if_alone

START = np.ones(4, np.float32)
Chain = Callable[[int], tuple[float, float, np.ndarray]]
"""Of a number of ops: seconds forward, seconds backward, dL/dx."""

clock = time.process_time


def repeated(op: Callable[[Any, Any], Any], x: Any, n: int) -> Any:
    y = x
    for _ in range(n):
        y = op(y, x)
    return y


def tinygrad_rnn(name: str) -> Chain:
    op = {"mul": lambda y, x: y * x, "scale": lambda y, x: y * 1.0, "tanh": lambda y, x: y.tanh()}[name]

    def run(n: int) -> tuple[float, float, np.ndarray]:
        x = tg.tensor(START, requires_grad=True)
        start = clock()
        y = repeated(op, x, n)
        middle = clock()
        y.backward(START)
        del y
        return middle - start, clock() - middle, x.grad

    return run


def torch(name: str) -> Chain:
    import torch

    torch.set_num_threads(1)
    op = {"mul": lambda y, x: y * x, "scale": lambda y, x: y * 1.0, "tanh": lambda y, x: y.tanh()}[name]

    def run(n: int) -> tuple[float, float, np.ndarray]:
        x, g = torch.tensor(START, requires_grad=True), torch.tensor(START)
        start = clock()
        y = repeated(op, x, n)
        middle = clock()
        y.backward(g)
        del y
        return middle - start, clock() - middle, x.grad.numpy()

    return run


def autograd(name: str) -> Chain:
    import autograd.numpy as anp
    from autograd import make_vjp

    op = {"mul": lambda y, x: y * x, "scale": lambda y, x: y * 1.0, "tanh": lambda y, x: anp.tanh(y)}[name]

    def run(n: int) -> tuple[float, float, np.ndarray]:
        start = clock()
        vjp, _ = make_vjp(lambda x: repeated(op, x, n))(START)
        middle = clock()
        gradient = vjp(START)
        del vjp
        return middle - start, clock() - middle, gradient

    return run


def mygrad(name: str) -> Chain:
    import mygrad as mg

    op = {"mul": lambda y, x: y * x, "scale": lambda y, x: y * 1.0, "tanh": lambda y, x: mg.tanh(y)}[name]

    def run(n: int) -> tuple[float, float, np.ndarray]:
        x = mg.tensor(START)
        start = clock()
        y = repeated(op, x, n)
        middle = clock()
        y.backward(START)
        del y
        return middle - start, clock() - middle, x.grad

    return run


OPS = ("mul", "scale", "tanh")
LIBRARIES = {"tinygrad_rnn": tinygrad_rnn, "torch": torch, "autograd": autograd, "mygrad": mygrad}
LONGEST = {"autograd": 100_000, "mygrad": 100_000}  # a million would take them a minute, and shows nothing more
REPEATS = {1_000: 31, 100_000: 2, 1_000_000: 1}


def measure(lengths: tuple[int, ...] = (1_000, 100_000, 1_000_000)) -> list[dict[str, Any]]:
    """A record for each op, length and library: microseconds an op, forward and backward."""
    records = []
    for op in OPS:
        chains = {}
        for name, make in LIBRARIES.items():
            try:
                chains[name] = make(op)
            except ImportError:
                continue
        check(chains, min(lengths))
        for n in lengths:
            times: dict[str, list[tuple[float, float]]] = {name: [] for name in chains if LONGEST.get(name, n) >= n}
            with as_if_alone():
                for _ in range(REPEATS.get(n, 5)):
                    for name, found in times.items():
                        found.append(chains[name](n)[:2])
                        gc.collect()
            for name, found in times.items():
                forward, backward = (statistics.median(part) / n * 1e6 for part in zip(*found, strict=True))
                records.append({"op": op, "length": n, "library": name, "forward": forward, "backward": backward})
    return records


def check(chains: dict[str, Chain], n: int) -> None:
    """All libraries give the gradient that ours gives."""
    expected = chains["tinygrad_rnn"](n)[2]
    for name, chain in chains.items():
        np.testing.assert_allclose(chain(n)[2], expected, rtol=1e-3, err_msg=name)
