"""The reports of this package as plots, with matplotlib (extra ``plot``). Each takes an Axes, or makes one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import numpy as np

from ..draw.plots import new_axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # told apart by everyone
STYLES = ("-", "--", ":", "-.")


def log_curves(curves: Mapping[str, tuple[Any, Any]], xlabel: str, ylabel: str, ax: Any = None) -> Any:
    """Curves of (x, y) on a logarithmic scale; where y is exactly 0 there is a cross on the axis instead of a point."""
    ax = ax or new_axes(figsize=(7, 4))
    styles = [(colour, style) for style in STYLES for colour in COLOURS]
    for (label, (x, y)), (colour, style) in zip(curves.items(), cycle(styles), strict=False):
        x, y = np.asarray(x), np.asarray(y, float)
        ax.plot(x, np.where(y > 0, y, np.nan), color=colour, ls=style, lw=1.4, marker=".", ms=4, label=label)
        zero = x[y == 0]
        if zero.size:
            ax.plot(
                zero, np.zeros(len(zero)), "x", color=colour, ms=5, transform=ax.get_xaxis_transform(), clip_on=False
            )
    ax.set_yscale("log")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.25)
    ax.legend(frameon=False)
    return ax


def heat_map(norms: np.ndarray, columns: Any, rows: Any, xlabel: str, ylabel: str, label: str, ax: Any = None) -> Any:
    """A table of norms on a logarithmic colour scale; what is missing (nan) stays grey, what is exactly 0 white."""
    from matplotlib.colors import LogNorm

    ax = ax or new_axes(figsize=(6, 5))
    ax.set_facecolor("#DDDDDD")
    positive = norms[norms > 0]
    top = positive.max(initial=1e-300)
    bottom = max(positive.min(initial=top), top * 1e-12)
    extent = (columns[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5, rows[0] - 0.5)
    zero = np.where(norms == 0, 0.0, np.nan)
    ax.imshow(zero, cmap="gray", vmin=-1, vmax=0, extent=extent, aspect="auto", interpolation="nearest")
    shown = np.where(norms > 0, np.maximum(norms, bottom), np.nan)
    image = ax.imshow(
        shown,
        cmap="viridis",
        norm=LogNorm(bottom, top if top > bottom else bottom * 10),
        extent=extent,
        aspect="auto",
        interpolation="nearest",
    )
    ax.figure.colorbar(image, ax=ax, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return ax
