"""Plots of numbers over time, with matplotlib (extra ``plot``). Each takes an Axes, or makes one, and returns it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import DrawError


def new_axes(**size: Any) -> Any:
    """An Axes of a figure of its own; DrawError where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise DrawError("plots need matplotlib: pip install 'tinygrad_rnn[plot]'") from None
    return Figure(layout="constrained", **size).subplots()


def loss_curve(log: Sequence[Mapping[str, Any]], levels: Mapping[str, float] | None = None, ax: Any = None) -> Any:
    """Training and held-out loss in bits a character over the steps of a run's log, with horizontal levels to beat."""
    ax = ax or new_axes(figsize=(7, 4))
    ax.plot([line["step"] for line in log], [line["bits"] for line in log], color="#0072B2", lw=1.2, label="training")
    held_out = [(line["step"], line["held_out_bits"]) for line in log if "held_out_bits" in line]
    if held_out:
        ax.plot(*zip(*held_out, strict=True), color="#D55E00", marker="o", ms=3, lw=1.2, label="held out")
    for (name, level), style in zip((levels or {}).items(), ("--", ":", "-."), strict=False):
        ax.axhline(level, color="#555555", ls=style, lw=1, label=f"{name} {level:.2f}")
    ax.set(xlabel="step", ylabel="bits a character")
    ax.grid(alpha=0.25)
    ax.legend(frameon=False)
    return ax
