"""Plots of numbers over time, with matplotlib (extra ``plot``). Each takes an Axes, or makes one, and returns it."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .errors import DrawError
from .files import check_picture, replace_file
from .notebook import inside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # told apart by everyone
FORMATS = ("svg", "png", "pdf")
STYLES = ("-", "--", ":", "-.")


class Spectra(Protocol):
    """What `singular_values` needs of a report: `tg.bptt.jacobians` gives it."""

    steps: Any
    singular_values: Any


def new_axes(rows: int = 1, columns: int = 1, **size: Any) -> Any:
    """An Axes of a figure of its own, or an array of several; DrawError where matplotlib is missing.

    In a notebook the figure is pyplot's, and appears below the cell; elsewhere it is not, since pyplot would keep it.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise DrawError("plots need matplotlib: pip install 'tinygrad_rnn[plot]'") from None
    if inside():
        from matplotlib.pyplot import figure

        return figure(layout="constrained", **size).subplots(rows, columns)
    return Figure(layout="constrained", **size).subplots(rows, columns)


def axes_for(path: str | os.PathLike[str]) -> Axes:
    """An Axes whose figure will be saved to this path: DrawError, before anything is computed, where it cannot be."""
    check_picture(path, FORMATS)
    return new_axes(figsize=(7, 4))


def save(ax: Any, path: str | os.PathLike[str]) -> Path:
    """Write the figure of an Axes to a file, whole or not at all; its suffix says how: svg, png, pdf or another.

    Equal figures give equal svg files. Raises ValueError for a suffix that matplotlib does not
    know, and OSError that names the file where it cannot be written.
    """
    from matplotlib import rc_context

    suffix, data = Path(path).suffix.lower().removeprefix("."), io.BytesIO()
    with rc_context({"svg.hashsalt": "tinygrad_rnn"}):  # else the ids in it are random
        ax.figure.savefig(data, format=suffix, metadata={"Date": None} if suffix == "svg" else None)
    return replace_file(path, data.getvalue())


def loss_curve(
    log: Sequence[Mapping[str, Any]], levels: Mapping[str, float] | None = None, ax: Axes | None = None
) -> Axes:
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
    _legend(ax)
    return ax


def epochs(losses: Mapping[str, Any], best: int = 0, ax: Axes | None = None) -> Axes:
    """Losses over the epochs of a training, from the first on; a line through the best epoch."""
    ax = ax or new_axes(figsize=(7, 4))
    for (name, figures), colour in zip(losses.items(), cycle(COLOURS), strict=False):
        ax.plot(np.arange(1, len(figures) + 1), figures, color=colour, marker=".", lw=1.2, label=name.replace("_", " "))
    if best:
        ax.axvline(best, color="#555555", ls=":", lw=1, label=f"best, epoch {best}")
    ax.set(xlabel="epoch", ylabel="loss")
    _whole_numbers(ax.xaxis)
    ax.grid(alpha=0.25)
    _legend(ax)
    return ax


def log_curves(curves: Mapping[str, tuple[Any, Any]], xlabel: str, ylabel: str, ax: Axes | None = None) -> Axes:
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
    _legend(ax)
    return ax


def heat_map(
    norms: np.ndarray, columns: list[int], rows: list[int], xlabel: str, ylabel: str, label: str, ax: Axes | None = None
) -> Axes:
    """A table of norms on a logarithmic colour scale; what is missing (nan) stays grey, what is exactly 0 white.

    Tables of one kind (`label`) in one figure are compared: they share a scale, which holds them all.
    """
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
    top = max(top, bottom * 10)
    beside = [image for other in ax.figure.axes if other is not ax for image in other.images]
    scale: Any = next((image.norm for image in beside if image.get_label() == label), None)
    if scale is None:
        scale = LogNorm(bottom, top, clip=True)
    else:
        scale.vmax = max(scale.vmax, top)
        scale.vmin = max(min(scale.vmin, bottom), scale.vmax * 1e-12)
    image = ax.imshow(np.where(cells > 0, cells, np.nan), cmap="viridis", norm=scale, label=label, **where)
    ax.figure.colorbar(image, ax=ax, label=label)
    _whole_numbers(ax.xaxis)
    _whole_numbers(ax.yaxis)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return ax


def _legend(ax: Axes) -> None:
    """A legend whose words no line goes through: it covers what lies behind it."""
    ax.legend(frameon=True, framealpha=1, facecolor=ax.get_facecolor(), edgecolor="none")


def _whole_numbers(axis: Any) -> None:
    axis.get_major_locator().set_params(integer=True)


def singular_values(report: Spectra, ax: Axes | None = None) -> Axes:
    """Every singular value of the Jacobian of each step, of the first sequence: log scale, the largest drawn out.

    A gradient that passes a step is stretched along some directions and shrunk along others, by factors between the
    largest of them and the least.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> from tinygrad_rnn import plots
    >>> output, h = tg.nn.LSTM(2, 3, rng=0)(np.ones((5, 1, 2)))
    >>> ax = plots.singular_values(tg.bptt.jacobians(output.sum()))
    >>> len(ax.lines)  # three of h, three of c, and a line at 1
    7
    """
    ax = ax or new_axes(figsize=(7, 4))
    values = report.singular_values[:, 0]
    shown = np.where(values > 0, values, np.nan)
    last = values.shape[1] - 1
    for k in range(last, -1, -1):
        style: dict[str, Any] = {"color": COLOURS[5], "lw": 0.8, "label": "between" if k == 1 else None}
        if k == last:
            style = {"color": COLOURS[1], "lw": 1.2, "ls": "--", "label": "least"}
        if k == 0:
            style = {"color": COLOURS[0], "lw": 1.6, "label": "largest"}
        ax.plot(report.steps[:-1], shown[:, k], **style)
    ax.axhline(1, color="#555555", ls="--", lw=1)
    ax.set_yscale("log")
    ax.set(xlabel="time step t", ylabel="singular values of ds_{t+1}/ds_t")
    ax.grid(alpha=0.25)
    _legend(ax)
    return ax


def text_map(text: str, values: Any, ax: Axes | None = None, columns: int = 64, label: str = "") -> Axes:
    """A text, each character on the colour of a number: what a gate or a unit did as it read it (Karpathy et al. 2015).

    values   (T,), one for each character; the colours go from 0 to 1, or from -1 to 1 where some are negative
    columns  characters a line; a line also ends with a newline of the text, which is shown as ⏎

    Raises ValueError where there are not as many values as characters.

    >>> from tinygrad_rnn import plots
    >>> ax = plots.text_map("to be", [0.9, 0.1, 0.2, 0.8, 0.4])
    >>> [character.get_text() for character in ax.texts]
    ['t', 'o', ' ', 'b', 'e']
    """
    from matplotlib.colors import LinearSegmentedColormap

    values = np.asarray(values, float)
    if values.shape != (len(text),):
        raise ValueError(
            f"text_map() of {len(text)} characters needs values of shape ({len(text)},), not {values.shape}"
        )
    places = _places(text, columns)
    rows = 1 + max((row for row, _ in places), default=0)
    ax = ax or new_axes(figsize=(0.13 * columns + 0.8, 0.27 * rows + 0.5))
    grid = np.full((rows, columns), np.nan)
    for (row, column), value in zip(places, values, strict=True):
        grid[row, column] = value
    low, colours = (-1, [COLOURS[5], "#FFFFFF", COLOURS[4]]) if (values < 0).any() else (0, ["#FFFFFF", COLOURS[4]])
    shades = LinearSegmentedColormap.from_list("", colours)
    image = ax.imshow(grid, cmap=shades, vmin=low, vmax=1, aspect="auto", interpolation="nearest")
    for (row, column), character in zip(places, text, strict=True):
        shown = "⏎" if character == "\n" else character
        ax.text(column, row, shown, family="DejaVu Sans Mono", fontsize=9, ha="center", va="center", parse_math=False)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.figure.colorbar(image, ax=ax, label=label, fraction=0.03, pad=0.01, ticks=[low, 0, 1] if low else [0, 1])
    return ax


def _places(text: str, columns: int) -> list[tuple[int, int]]:
    """Row and column of each character."""
    places, row, column = [], 0, 0
    for character in text:
        if column == columns:
            row, column = row + 1, 0
        places.append((row, column))
        row, column = (row + 1, 0) if character == "\n" else (row, column + 1)
    return places
