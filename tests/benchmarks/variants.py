"""Cells with options, and cells of one's own, beside the plain LSTM of the same size; all ours, with one thread.

A training step here is the layer over T time steps, the mean of its squared outputs, and the gradient of all weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.nn.cell import Cell
from tinygrad_rnn.nn.recurrent import Recurrent

from .problem import GRID, Shape
from .timing import in_turns


class MGUCell(Cell):
    """The minimal gated unit (Zhou et al. 2016), as docs/using.md writes it."""

    gates = "fn"

    def step(self, a: Any, h: Any) -> Any:
        a_f, a_n = np.split(a, 2, axis=-1)
        W_f, W_n = np.split(self.W_hh, 2, axis=-1)
        f = tg.sigmoid(a_f + h @ W_f)
        h = (1 - f) * h + f * np.tanh(a_n + (f * h) @ W_n)
        return h, h


class MGU(Recurrent):
    cell_type = MGUCell


class LeakyCell(Cell):
    """A leaky integrator: h_t = 0.9 h + 0.1 tanh(a + h W_hh)."""

    gates = "h"

    def step(self, a: Any, h: Any) -> Any:
        h = 0.9 * h + 0.1 * np.tanh(a + h @ self.W_hh)
        return h, h


class Leaky(Recurrent):
    cell_type = LeakyCell


PLAIN = "LSTM"
VARIANTS: dict[str, Callable[..., Any]] = {
    PLAIN: tg.nn.LSTM,
    "LSTM, peepholes": lambda *sizes, **o: tg.nn.LSTM(*sizes, peepholes=True, **o),
    "LSTM, no forget gate": lambda *sizes, **o: tg.nn.LSTM(*sizes, forget_gate=False, **o),
    "LSTM, cut gate gradient": lambda *sizes, **o: tg.nn.LSTM(*sizes, cut_gate_gradient=True, **o),
    "LSTM, layer norm": lambda *sizes, **o: tg.nn.LSTM(*sizes, layer_norm=True, **o),
    "GRU, reset before": lambda *sizes, **o: tg.nn.GRU(*sizes, reset_after=False, **o),
    "GRU, layer norm": lambda *sizes, **o: tg.nn.GRU(*sizes, layer_norm=True, **o),
    "RNN, relu": lambda *sizes, **o: tg.nn.RNN(*sizes, nonlinearity="relu", **o),
    "own: MGU": MGU,
    "own: leaky": Leaky,
}


def step_of(kind: Callable[..., Any], shape: Shape, fused: bool) -> Callable[[], None]:
    """A training step of a layer of this kind."""
    layer = kind(shape.I, shape.H, fused=fused, rng=0)
    x = tg.tensor(np.random.default_rng(0).standard_normal((shape.T, shape.B, shape.I)).astype(np.float32))

    def step() -> None:
        layer.zero_grad()
        output, _ = layer(x)
        (output * output).mean().backward()

    return step


def measure(
    shapes: Sequence[Shape] = (GRID[0], GRID[1], GRID[3]), names: Sequence[str] = tuple(VARIANTS), seconds: float = 0.3
) -> list[dict[str, Any]]:
    """A record for each shape and variant: milliseconds of a step, compiled and composed."""
    records = []
    for shape in shapes:
        steps = {f"{name}|{fused}": step_of(VARIANTS[name], shape, fused) for name in names for fused in (True, False)}
        times = in_turns(steps, seconds)
        for name in names:
            ms, composed = (times[f"{name}|{fused}"] * 1e3 for fused in (True, False))
            records.append({"shape": list(shape), "cell": name, "ms": ms, "composed": composed})
    return records
