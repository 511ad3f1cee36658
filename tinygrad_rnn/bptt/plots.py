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
    _whole_numbers(ax.xaxis)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.25)
    ax.legend(frameon=False)
    return ax


def heat_map(
    norms: np.ndarray, columns: list[int], rows: list[int], xlabel: str, ylabel: str, label: str, ax: Any = None
) -> Any:
    """A table of norms on a logarithmic colour scale; what is missing (nan) stays grey, what is exactly 0 white."""
    ax = ax or new_axes(figsize=(6, 5))
    from matplotlib.colors import LogNorm

    cells = np.full((rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1), np.nan)
    cells[np.ix_(np.array(rows) - rows[0], np.array(columns) - columns[0])] = norms
    positive = cells[cells > 0]
    top = positive.max() if positive.size else 1.0
    bottom = max(positive.min(), top * 1e-12) if positive.size else 0.1
    where: dict[str, Any] = {"extent": (columns[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5, rows[0] - 0.5)}
    where |= {"aspect": "auto", "interpolation": "nearest"}
    ax.set_facecolor("#DDDDDD")
    ax.imshow(np.where(cells == 0, 0.0, np.nan), cmap="gray", vmin=-1, vmax=0, **where)
    scale = LogNorm(bottom, max(top, bottom * 10), clip=True)
    image = ax.imshow(np.where(cells > 0, cells, np.nan), cmap="viridis", norm=scale, **where)
    ax.figure.colorbar(image, ax=ax, label=label)
    _whole_numbers(ax.xaxis)
    _whole_numbers(ax.yaxis)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return ax


def _whole_numbers(axis: Any) -> None:
    axis.get_major_locator().set_params(integer=True)
