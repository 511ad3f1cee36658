"""The cliff in the error surface of one recurrent unit, and what clipping does at its edge (Pascanu et al. 2013)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..autograd.functional import grad
from ..autograd.tensor import Tensor
from ..ops.elementwise import sigmoid
from ..optim import SGD
from .experiment import Experiment, Known, Progress, Results, Row
from .training import learn

W, B = (4.0, 8.0), (-3.6, -2.0)
"""The part of the surface that is looked at."""
START = (5.0, -2.3)
CASES = ("gradient on the grid", "SGD, not clipped", "SGD, clipped to 1")


class Surface(NamedTuple):
    w: np.ndarray
    b: np.ndarray
    norms: np.ndarray
    """|(dE/dw, dE/db)| at each (w, b)."""


class Path(NamedTuple):
    points: np.ndarray
    """(w, b) before each update and after the last."""
    error: float
    """E at the end."""


@dataclass(frozen=True)
class Cliff(Experiment):
    """One unit, x_t = w σ(x_{t-1}) + b, runs freely for 50 steps from x_0 = 0.5; the
    error is E = (σ(x_50) - 0.7)². First the gradient on a grid of (w, b), then 400
    updates of SGD with rate 0.05 from (5, -2.3), with and without clipping its norm
    to 1. After the error surface of Pascanu, Mikolov and Bengio (2013).
    """

    steps: int = 50
    grid: tuple[int, int] = (501, 321)
    updates: int = 400

    name: ClassVar[str] = "cliff"
    proves: ClassVar[str] = "why clipping helps: gradients of 1e5 beside 0.05"
    takes: ClassVar[str] = "3 s"
    columns: ClassVar[dict[str, int]] = {"what": 21, "at (w, b)": 17, "figure": 10}
    small: ClassVar[dict[str, Any]] = {"grid": (41, 33), "updates": 20}

    def cases(self) -> Sequence[str]:
        return CASES

    def draws(self, case: str) -> bool:
        return False

    def error(self, w: Tensor, b: Tensor) -> Tensor:
        x: Any = 0.5
        for _ in range(self.steps):
            x = w * sigmoid(x) + b
        return (sigmoid(x) - 0.7) ** 2

    def measure(self, case: str, seed: int, progress: Progress) -> Surface | Path:
        if "grid" in case:
            return self.surface(progress)
        return self.descend(1.0 if "clipped to" in case else None, progress)

    def surface(self, progress: Progress) -> Surface:
        """The gradients of all points with one w at a time: each E hangs on its own w and b only."""
        w, b = np.linspace(*W, self.grid[0]), np.linspace(*B, self.grid[1])
        norms = []
        for value in progress(w):
            both = [Tensor(np.full_like(b, value), requires_grad=True), Tensor(b, requires_grad=True)]
            dw, db = grad(self.error(*both).sum(), both)
            norms.append(np.hypot(dw.data, db.data))
        return Surface(w, b, np.array(norms))

    def descend(self, clip: float | None, progress: Progress) -> Path:
        w, b = (Tensor(value, requires_grad=True) for value in START)
        optimizer, points = SGD([w, b], lr=0.05), [START]
        for _ in progress(range(self.updates)):
            learn(optimizer, self.error(w, b), clip)
            points.append((w.item(), b.item()))
        return Path(np.array(points), self.error(w, b).item())

    def rows(self, case: str, found: Sequence[Any]) -> Iterator[Row]:
        run = found[0]
        if isinstance(run, Path):
            figures = {f"{case}: E": (place(*run.points[-1]), f"{run.error:.5f}")}
        else:
            i, j = np.unravel_index(run.norms.argmax(), run.norms.shape)
            figures = {
                "largest |gradient|": (place(run.w[i], run.b[j]), f"{run.norms.max():.0f}"),
                "median |gradient|": ("", f"{np.median(run.norms):.4f}"),
                "part above 1": ("", f"{np.mean(run.norms > 1):.2%}"),
            }
        for what, (at, figure) in figures.items():
            yield Row([what, at, figure], KNOWN[what])

    def conclude(self, results: Results) -> Iterator[str]:
        runs = {case: found[0] for case, found in results.items()}
        surface, free, clipped = (runs.get(case) for case in CASES)
        if surface is not None:
            ratio = surface.norms.max() / np.median(surface.norms)
            yield (
                f"The largest gradient is {ratio:.1e} times the median one: no single learning rate suits both. It is "
                f"rare: {np.mean(surface.norms > 1):.2%} of the points have more than 1."
            )
        for how, path in (("Without clipping", free), ("With clipping", clipped)):
            if path is not None:
                step = np.linalg.norm(np.diff(path.points, axis=0), axis=1).max()
                yield f"{how} the longest step of SGD was {step:.3g}, and it ended at E = {path.error:.2g}."

    def draw(self, results: Results, ax: Any) -> None:
        """The gradient on the grid, log scale, and the two ways down."""
        for case, found in results.items():
            run = found[0]
            if isinstance(run, Surface):
                norms = np.log10(np.maximum(run.norms.T, 1e-12))
                mesh = ax.pcolormesh(run.w, run.b, norms, cmap="viridis", vmin=-2, vmax=2, rasterized=True)
                ax.figure.colorbar(mesh, label="log10 |gradient|", extend="both")
            else:
                colour = "#FFFFFF" if "clipped to" in case else "#D55E00"
                ax.plot(*run.points.T, color=colour, marker=".", ms=3, label=case)
        ax.set(xlim=W, ylim=B, xlabel="w", ylabel="b")
        ax.legend(facecolor="#777777", labelcolor="#FFFFFF")


def place(w: float, b: float) -> str:
    return f"({w:.3f}, {b:.4f})"


KNOWN = {
    "largest |gradient|": Known("469678", "earlier"),
    "median |gradient|": Known("0.0473", "earlier"),
    "part above 1": Known("0.26%", "earlier"),
    "SGD, not clipped: E": Known("0.09", "earlier"),
    "SGD, clipped to 1: E": Known("0.00199", "earlier"),
}
