"""Temporal order with and without clipping, over learning rates and lengths (Pascanu et al. 2013)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..data import temporal_order
from ..engine.modes import no_grad
from ..nn import RNN, cross_entropy
from ..nn.init import normal_, zeros_
from ..optim import SGD
from .experiment import Experiment, Known, Progress, Results, Row, listed
from .training import Reader, learn


class Case(NamedTuple):
    T: int
    lr: float
    clip: float | None

    def __str__(self) -> str:
        return f"L={self.T} lr={self.lr:g} clip={'none' if self.clip is None else f'{self.clip:g}'}"


class Found(NamedTuple):
    solved: int | None
    """The update at which it was solved."""
    errors: list[float]
    """The part of the test sequences that were wrong, at each test."""


@dataclass(frozen=True)
class TemporalOrder(Experiment):
    """Six symbols, of which two count; at the last of L steps: in which order did
    they come? A tanh RNN of 50 units, weights from N(0, 0.1²), plain SGD on batches
    of 20, the joint norm of the gradient clipped to 1 or not at all. Solved: at
    most 1% of 2000 fresh sequences wrong, tested every 250 of at most 2000 updates.
    Task and model: Pascanu, Mikolov and Bengio (2013) and their code.
    """

    lengths: tuple[int, ...] = (10, 20, 30)
    rates: tuple[float, ...] = (0.1, 0.03, 0.01)
    hidden: int = 50
    updates: int = 2000
    test_every: int = 250
    test_size: int = 2000

    name: ClassVar[str] = "temporal-order"
    proves: ClassVar[str] = "clipping makes a larger step usable"
    takes: ClassVar[str] = "4 min"
    seeds: ClassVar[tuple[int, ...]] = (0, 1, 2, 3, 4)
    columns: ClassVar[dict[str, int]] = {"case": 22, "solved": 6, "updates": 7, "best error": 10}
    small: ClassVar[dict[str, Any]] = {
        "lengths": (10,), "rates": (0.1,), "hidden": 20, "updates": 40, "test_every": 20, "test_size": 100,
    }  # fmt: skip

    def cases(self) -> list[Case]:
        return [Case(T, lr, clip) for T in self.lengths for lr in self.rates for clip in (None, 1.0)]

    def measure(self, case: Case, seed: int, progress: Progress) -> Found:
        rng = np.random.default_rng(seed)
        model = Reader(RNN(6, self.hidden), 4)
        for parameter in model.parameters():
            if parameter.ndim == 2:
                normal_(parameter, 0.0, 0.1, rng=rng)
            else:
                zeros_(parameter)
        optimizer = SGD(model.parameters(), case.lr)
        errors = []
        for update in progress(range(1, self.updates + 1)):
            x, y = temporal_order(case.T, 20, rng)
            learn(optimizer, cross_entropy(model(x)[0][-1], y), case.clip)
            if update % self.test_every == 0:
                with no_grad():
                    x, y = temporal_order(case.T, self.test_size, rng)
                    errors.append(float(np.mean(model(x)[0].data[-1].argmax(-1) != y)))
                if errors[-1] <= 0.01:
                    return Found(update, errors)
        return Found(None, errors)

    def rows(self, case: Case, found: Sequence[Found]) -> Iterator[Row]:
        solved = [run.solved for run in found if run.solved is not None]
        median = f"{np.median(solved):.0f}" if solved else "-"
        best = min(min(run.errors) for run in found)
        yield Row([str(case), f"{len(solved)}/{len(found)}", median, f"{best:.3f}"], KNOWN.get(case))

    def conclude(self, results: Results) -> Iterator[str]:
        solved = {case: sum(run.solved is not None for run in found) for case, found in results.items()}
        for T in sorted({case.T for case in results}):
            plain = {case.lr: n for case, n in solved.items() if case.T == T and case.clip is None}
            clipped = {case.lr: n for case, n in solved.items() if case.T == T and case.clip is not None}
            both = [lr for lr in plain if lr in clipped]
            more = [f"{lr:g} (solved: {plain[lr]}, then {clipped[lr]})" for lr in both if clipped[lr] > plain[lr]]
            less = [f"{lr:g} (solved: {plain[lr]}, then {clipped[lr]})" for lr in both if clipped[lr] <= plain[lr]]
            yield f"L={T}: clipping helped at rate {listed(more)}; it did not at {listed(less)}."
        for how, clip in (("Without", None), ("With", 1.0)):
            lengths = [case.T for case, found in results.items() if case.clip == clip and solved[case] == len(found)]
            longest = max(lengths, default="none")
            yield f"{how} clipping, the longest L solved with every seed at some rate is {longest}."

    def draw(self, results: Results, ax: Any) -> None:
        """The best error of each seed, case by case."""
        for k, (case, found) in enumerate(results.items()):
            colour = "#0072B2" if case.clip else "#D55E00"
            ax.plot([min(run.errors) for run in found], [k] * len(found), "o", color=colour, alpha=0.6)
        ax.set_yticks(range(len(results)), [str(case) for case in results], fontsize=7)
        ax.invert_yaxis()
        ax.axvline(0.01, color="#555555", ls=":")
        ax.set(xlabel="smallest test error of a run (blue: clipped; dotted: solved)", xlim=(-0.02, 0.8))


KNOWN = {
    Case(10, 0.1, None): Known("5/5, 250 updates", "earlier"),
    Case(10, 0.1, 1.0): Known("5/5, 250 updates", "earlier"),
    Case(20, 0.1, None): Known("0/5, best 0.398", "earlier"),
    Case(20, 0.1, 1.0): Known("5/5, 250 to 1000", "earlier"),
    Case(20, 0.03, None): Known("1/2 (of 6000)", "earlier"),
    Case(20, 0.01, None): Known("1/1, 1750 updates", "earlier"),
    Case(20, 0.01, 1.0): Known("1/1, 1750 updates", "earlier"),
    Case(30, 0.1, None): Known("0/5, best 0.513", "earlier"),
    Case(30, 0.1, 1.0): Known("2/5, 1750, 1500", "earlier"),
    Case(30, 0.03, None): Known("0/1 (of 4000)", "earlier"),
    Case(30, 0.01, None): Known("0/1 (of 8000)", "earlier"),
}
