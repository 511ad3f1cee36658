"""Influence balancing: truncated gradients that point the wrong way, and random truncation (Tallec and Ollivier 2017)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ...nn import Module, Parameter, unroll
from ...optim import SGD
from ...tensor import Tensor
from ..randomized import Randomized, scale_gradient
from ..truncation import Truncated
from .experiment import Experiment, Known, Progress, Results, Row, listed
from .training import learn

N = 23
A = (np.eye(N) + np.eye(N, k=1)) / 2
SIGNS = np.where(np.arange(N) < 10, 1.0, -1.0)
BEST = -1 / 6
"""Where s_1 = 1: in the long run s = (1 - A)^-1 θ v, and its first entry is 2 (10 - 13) θ."""
FULL = -6.0
"""ds_1/dθ in the long run."""


class System(Module):
    """s_t = A s_{t-1} + θ x_t, where every x_t is the vector of signs v; its one parameter is θ."""

    def __init__(self) -> None:
        self.theta = Parameter(0.5, np.float64)

    def step(self, x: Any, s: Tensor) -> tuple[Tensor, Tensor]:
        s = s @ A.T + self.theta * x
        return s, s

    def forward(self, x: Any, s: Any) -> tuple[Tensor, Tensor]:
        return unroll(self.step, x, s)


def truncated_derivative(K: int) -> float:
    """Σ_{k<K} (A^k v)_1: what is left of ds_1/dθ after K steps.

    >>> [round(truncated_derivative(K), 6) for K in (1, 10, 40, 41, 100)]
    [1.0, 10.0, 0.565538, -0.019361, -6.0]
    """
    total, power = 0.0, SIGNS
    for _ in range(K):
        total, power = total + power[0], A @ power
    return float(total)


def randomized_deviation(pi: float) -> float:
    """The standard deviation of the derivative with random truncation, in the long run.

    z_t = v + ξ_t A z_{t-1} with E[ξ] = 1 and E[ξ²] = 1/π. Its mean m and second moment M stay the same when

        m = v + A m,    M = A M Aᵀ / π + A m vᵀ + v mᵀ Aᵀ + v vᵀ

    >>> round(randomized_deviation(0.99), 4), randomized_deviation(1.0) < 1e-5
    (11.546, True)
    """
    m = np.linalg.solve(np.eye(N) - A, SIGNS)
    mixed = np.outer(A @ m, SIGNS)
    M = np.linalg.solve(np.eye(N * N) - np.kron(A, A) / pi, (mixed + mixed.T + np.outer(SIGNS, SIGNS)).ravel())
    return math.sqrt(max(0.0, M[0] - m[0] ** 2))


class Window(NamedTuple):
    """Train with windows of K steps."""

    K: int
    updates: int
    lr: float = 1e-4

    def __str__(self) -> str:
        return f"K={self.K}"


class Random(NamedTuple):
    """Train with random truncation."""

    pi: float
    lr: float
    steps: int

    def __str__(self) -> str:
        return f"random π={self.pi:g}, lr {self.lr:g}"


class Spread(NamedTuple):
    """Only the derivative at θ = 0.5, with random truncation, many times."""

    pi: float
    samples: int
    steps: int = 200

    def __str__(self) -> str:
        return f"derivative π={self.pi:g}"


class Trained(NamedTuple):
    theta: list[float]
    """After each update."""
    steps: int
    """Time steps that were run; fewer than planned where θ left [-1e6, 1e6]."""

    @property
    def diverged(self) -> bool:
        return abs(self.theta[-1]) > 1e6

    @property
    def arrived(self) -> bool:
        return abs(self.theta[-1] - BEST) < 1e-3


@dataclass(frozen=True)
class InfluenceBalancing(Experiment):
    """s_t = A s_{t-1} + θ v with 23 states, A half the identity and half a shift, v ten
    times 1 and then -1: ten states raise s_1 early, thirteen lower it later. Loss
    (s_1 - 1)²/2, from θ = 0.5. In the long run ds_1/dθ = -6, and the best θ is -1/6.
    K: windows of K steps, the loss at the end of each, SGD with rate 1e-4, 3000
    updates. Random: cut before each step with probability 1 - π, and the gradient
    that passes divided by π; the loss at every step. Setup: Tallec and Ollivier
    (2017), of whom others have published code.
    """

    plan: tuple[Window | Random | Spread, ...] = (
        *(Window(K, 3000) for K in (1, 10, 20, 25, 30, 50, 100)),
        Random(0.99, 1e-4, 20_000),
        Random(0.95, 1e-4, 20_000),
        Random(0.95, 1e-5, 100_000),
        *(Spread(pi, 4000) for pi in (0.999, 0.99, 0.95, 0.9)),
    )

    name: ClassVar[str] = "influence-balancing"
    proves: ClassVar[str] = "truncation can make a gradient point the wrong way"
    takes: ClassVar[str] = "1 min"
    columns: ClassVar[dict[str, int]] = {"truncation": 21, "ds_1/dθ": 15, "θ in the end": 16}
    small: ClassVar[dict[str, Any]] = {
        "plan": (Window(10, 20), Window(50, 20), Random(0.99, 1e-4, 200), Spread(0.99, 20, 50))
    }

    def cases(self) -> Sequence[Window | Random | Spread]:
        return self.plan

    def measure(self, case: Any, seed: int, progress: Progress) -> Any:
        rng = np.random.default_rng(seed)
        if isinstance(case, Spread):
            return derivatives(case, rng, progress)
        system, theta = System(), []
        optimizer = SGD(system.parameters(), case.lr)
        if isinstance(case, Window):
            x = np.broadcast_to(SIGNS, (case.K * case.updates, N))
            windows = Truncated(case.K).run(system, x, Tensor(np.ones(N)))
        else:
            x = np.broadcast_to(SIGNS, (case.steps, N))
            windows = Randomized(case.pi, rng).run(system, x, Tensor(np.ones(N)))
        steps = slice(0)
        for steps, s, _ in progress(windows, total=case.updates if isinstance(case, Window) else None):
            error = (s[-1, 0] if isinstance(case, Window) else s[:, 0]) - 1
            learn(optimizer, 0.5 * (error * error).sum())
            theta.append(system.theta.item())
            if abs(theta[-1]) > 1e6:
                break
        return Trained(theta, steps.stop)

    def rows(self, case: Any, found: Sequence[Any]) -> Iterator[Row]:
        if isinstance(case, Spread):
            z = np.concatenate(found)
            exact = Known(f"{FULL:g} ± {randomized_deviation(case.pi):.4f}", "exact")
            yield Row([str(case), f"{z.mean():.2f} ± {z.std():.2f}", ""], exact)
            return
        derivative = truncated_derivative(case.K) if isinstance(case, Window) else FULL
        for run in found if isinstance(case, Random) else found[:1]:  # windows draw nothing
            theta = f"{run.theta[-1]:.10f}"
            if run.diverged:
                theta = f"> 1e6 at {len(run.theta) if isinstance(case, Window) else run.steps}"
            yield Row([str(case), f"{derivative:.6f}", theta], KNOWN.get(str(case)))

    def conclude(self, results: Results) -> Iterator[str]:
        windows = {case: found[0] for case, found in results.items() if isinstance(case, Window)}
        wrong = [case.K for case in windows if truncated_derivative(case.K) > 0]
        away = [case.K for case, run in windows.items() if run.theta[-1] > 0.5]
        arrived = [case.K for case, run in windows.items() if run.arrived]
        if windows:
            yield (
                f"With K = {listed(wrong)} the truncated derivative has the wrong sign; θ went the wrong way with "
                f"K = {listed(away)}."
            )
            yield f"It reached -1/6 to three digits with K = {listed(arrived)}."
        for case, found in results.items():
            if isinstance(case, Random):
                good, bad = (sum(getattr(run, what) for run in found) for what in ("arrived", "diverged"))
                yield (
                    f"Random truncation with π = {case.pi:g} and rate {case.lr:g}: {good} of {len(found)} runs reached "
                    f"-1/6, {bad} diverged. A gradient then has a standard deviation of "
                    f"{randomized_deviation(case.pi):.3g} around {FULL:g}."
                )

    def draw(self, results: Results, ax: Any) -> None:
        """θ over the time steps."""
        for case, found in results.items():
            if not isinstance(case, Spread):
                run = found[0]
                steps = np.linspace(0, run.steps, len(run.theta))
                ax.plot(steps, run.theta, label=str(case), ls="-" if isinstance(case, Window) else ":")
        ax.axhline(BEST, color="#555555", ls="--", lw=1)
        ax.set_yscale("symlog", linthresh=0.1)
        ax.set(xscale="symlog", xlabel="time step", ylabel="θ (dashed: -1/6)")
        ax.legend(frameon=False, fontsize=8, ncols=2)


def derivatives(case: Spread, rng: np.random.Generator, progress: Progress) -> np.ndarray:
    """ds_1/dθ of as many independent chains, each with a θ and draws of its own, a batch of them on one tape."""
    found, batch = [], min(500, case.samples)
    for _ in progress(range(case.samples // batch)):
        theta = Tensor(np.full((batch, 1), 0.5), requires_grad=True)
        s: Any = theta * SIGNS
        for _ in range(case.steps - 1):
            xi = Randomized(case.pi, rng).draw(batch)[:, None]
            s = scale_gradient(s, xi) @ A.T + theta * SIGNS
        s[:, 0].sum().backward()
        found.append(theta.grad[:, 0])
    return np.concatenate(found)


KNOWN = {
    "K=1": Known("3.2597", "earlier"),
    "K=10": Known("> 1e6 at 2531", "earlier"),
    "K=20": Known("> 1e6 at 1518", "earlier"),
    "K=25": Known("> 1e6 at 1729", "earlier"),
    "K=30": Known("> 1e6 at 2448", "earlier"),
    "K=50": Known("-0.1665403826", "earlier"),
    "K=100": Known("-0.1666533295", "earlier"),
    "random π=0.99, lr 0.0001": Known("reaches -1/6", "earlier"),
    "random π=0.95, lr 0.0001": Known("> 1e6 by 3216", "earlier"),
    "random π=0.95, lr 1e-05": Known("-0.16666666666667", "earlier"),
}
