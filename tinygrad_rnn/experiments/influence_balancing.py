"""Influence balancing: where a truncated gradient points the wrong way (Tallec and Ollivier 2017)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..autograd.functional import grad
from ..autograd.tensor import Tensor
from ..bptt.randomized import Randomized, scale_gradient
from ..bptt.truncation import Truncated
from ..nn import Module, Parameter, unroll
from ..optim import SGD
from .experiment import Experiment, Known, Progress, Results, Row, listed
from .training import learn

N = 23
A = (np.eye(N) + np.eye(N, k=1)) / 2
SIGNS = np.where(np.arange(N) < 10, 1.0, -1.0)
BEST = -1 / 6
"""Where s_1 = 1: in the long run s = (1 - A)^-1 θ v, and its first entry is 2 (10 - 13) θ."""
FULL = -6.0
"""ds_1/dθ in the long run."""


def signs(T: int) -> np.ndarray:
    """x: the same signs at each of T steps."""
    return np.broadcast_to(SIGNS, (T, N))


def start() -> Tensor:
    """s_0."""
    return Tensor(np.ones(N))


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
    [1.0, 10.0, 0.565538, -0.218987, -6.0]
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
    """Train with windows of K steps, the loss at the end of each."""

    K: int
    updates: int
    lr: float = 1e-4

    def __str__(self) -> str:
        return f"K={self.K}"

    def counted(self, system: System, rng: np.random.Generator) -> Iterator[Tensor]:
        """Window by window, the values of s_1 that count for its loss."""
        for _, s, _ in Truncated(self.K).run(system, signs(self.K * self.updates), start()):
            yield s[-1:, 0]


class Random(NamedTuple):
    """Train with random truncation, the loss at every step."""

    pi: float
    lr: float
    steps: int

    def __str__(self) -> str:
        return f"π={self.pi:g} lr={self.lr:g}"

    @property
    def updates(self) -> int:
        """As many as there are cuts, on average."""
        return round(self.steps * (1 - self.pi))

    def counted(self, system: System, rng: np.random.Generator) -> Iterator[Tensor]:
        for _, s, _ in Randomized(self.pi, rng).run(system, signs(self.steps), start()):
            yield s[:, 0]


class Spread(NamedTuple):
    """Only the derivative at θ = 0.5, with random truncation, many times."""

    pi: float
    batches: int
    chains: int = 500
    steps: int = 200

    def __str__(self) -> str:
        return f"π={self.pi:g}, drawn"

    def derivatives(self, rng: np.random.Generator, progress: Progress) -> np.ndarray:
        """ds_1/dθ of independent chains, each with a θ and draws of its own, a batch of them on one tape."""
        found = []
        for _ in progress(range(self.batches)):
            theta = Tensor(np.full((self.chains, 1), 0.5), requires_grad=True)
            s: Any = theta * SIGNS
            for _ in range(self.steps - 1):
                xi = Randomized(self.pi, rng).draw(self.chains)[:, None]
                s = scale_gradient(s, xi) @ A.T + theta * SIGNS
            found.append(grad(s[:, 0].sum(), theta).data[:, 0])
        return np.concatenate(found)


class Trained(NamedTuple):
    theta: list[float]
    """After each update; fewer than planned where it left [-1e6, 1e6]."""
    sizes: list[int]
    """Of each window, in time steps."""

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
    updates. π: cut before each step with probability 1 - π, divide the gradient
    that passes by π; the loss at every step, an update a window (an update a step,
    as in the earlier runs, is less stable). Drawn: ds_1/dθ of 4000 chains, mean and
    standard deviation. Setup: Tallec and Ollivier (2017).
    """

    plan: tuple[Window | Random | Spread, ...] = (
        *(Window(K, 3000) for K in (1, 10, 20, 25, 30, 50, 100)),
        Random(0.99, 1e-4, 20_000),
        Random(0.95, 1e-4, 20_000),
        Random(0.9, 1e-4, 20_000),
        Random(0.95, 1e-5, 100_000),
        *(Spread(pi, 8) for pi in (0.999, 0.99, 0.95, 0.9)),
    )

    name: ClassVar[str] = "influence-balancing"
    proves: ClassVar[str] = "truncation can make a gradient point the wrong way"
    takes: ClassVar[str] = "1 min"
    seeds: ClassVar[tuple[int, ...]] = (0, 1, 2)
    columns: ClassVar[dict[str, int]] = {"truncation": 16, "ds_1/dθ": 15, "θ in the end": 16}
    small: ClassVar[dict[str, Any]] = {
        "plan": (Window(10, 20), Window(50, 20), Random(0.99, 1e-4, 200), Spread(0.99, 1, 20, 50))
    }

    def cases(self) -> Sequence[Window | Random | Spread]:
        return self.plan

    def draws(self, case: Any) -> bool:
        return not isinstance(case, Window)

    def measure(self, case: Any, seed: int, progress: Progress) -> Any:
        rng = np.random.default_rng(seed)
        if isinstance(case, Spread):
            return case.derivatives(rng, progress)
        system, run = System(), Trained([], [])
        optimizer = SGD(system.parameters(), case.lr)
        for s_1 in progress(case.counted(system, rng), total=case.updates):
            learn(optimizer, 0.5 * ((s_1 - 1) ** 2).sum())
            run.theta.append(system.theta.item())
            run.sizes.append(case.K if isinstance(case, Window) else len(s_1))
            if run.diverged:
                break
        return run

    def rows(self, case: Any, found: Sequence[Any]) -> Iterator[Row]:
        if isinstance(case, Spread):
            z = np.concatenate(found)
            exact = Known(f"{FULL:g} ± {randomized_deviation(case.pi):.4f}", "exact")
            yield Row([str(case), f"{z.mean():.2f} ± {z.std():.2f}", ""], exact)
            return
        if isinstance(case, Window):
            derivative, (run,) = truncated_derivative(case.K), found
            end = f"> 1e6 at {len(run.theta)}" if run.diverged else f"{run.theta[-1]:.10f}"
        else:
            derivative, diverged = FULL, sum(run.diverged for run in found)
            arrived = f"{sum(run.arrived for run in found)}/{len(found)} reach -1/6"
            end = f"{diverged}/{len(found)} > 1e6" if diverged else arrived
        yield Row([str(case), f"{derivative:.6f}", end], KNOWN.get(str(case)))

    def conclude(self, results: Results) -> Iterator[str]:
        windows = {case: found[0] for case, found in results.items() if isinstance(case, Window)}
        if windows:
            wrong = [case for case in windows if truncated_derivative(case.K) > 0]
            away = [case for case, run in windows.items() if run.theta[-1] > run.theta[0]]
            near = [case for case, run in windows.items() if run.arrived]
            yield f"The truncated derivative has the wrong sign with {listed(wrong)}."
            yield f"θ went away from -1/6 with {listed(away)}; it reached it with {listed(near)}."
        random = {case: found for case, found in results.items() if isinstance(case, Random)}
        if random:
            steady = [case for case, found in random.items() if all(run.arrived for run in found)]
            yield f"Random truncation, whose mean is right, reached -1/6 with every seed at {listed(steady)}."
            if bad := [case for case, found in random.items() if any(run.diverged for run in found)]:
                yield f"A right mean is not enough where the variance is too large: {listed(bad)} diverged."

    def draw(self, results: Results, ax: Any) -> None:
        """θ over the time steps."""
        for case, found in results.items():
            if not isinstance(case, Spread):
                style = "-" if isinstance(case, Window) else ":"
                ax.plot(np.cumsum(found[0].sizes), found[0].theta, style, label=str(case))
        ax.axhline(BEST, color="#555555", ls="--", lw=1)
        ax.set_yscale("symlog", linthresh=0.1)
        ax.set(xscale="log", xlabel="time step", ylabel="θ (dashed: -1/6)")
        ax.legend(frameon=False, fontsize=8, ncols=2)


KNOWN = {
    "K=1": Known("3.2597", "earlier"),
    "K=10": Known("> 1e6 at 2531", "earlier"),
    "K=20": Known("> 1e6 at 1518", "earlier"),
    "K=25": Known("> 1e6 at 1729", "earlier"),
    "K=30": Known("> 1e6 at 2448", "earlier"),
    "K=50": Known("-0.1665403826", "earlier"),
    "K=100": Known("-0.1666533295", "earlier"),
    "π=0.99 lr=0.0001": Known("3/3 reach -1/6", "earlier"),
    "π=0.95 lr=0.0001": Known("3/3 > 1e6", "earlier"),
    "π=0.9 lr=0.0001": Known("3/3 > 1e6", "earlier"),
    "π=0.95 lr=1e-05": Known("3/3 reach -1/6", "earlier"),
}
