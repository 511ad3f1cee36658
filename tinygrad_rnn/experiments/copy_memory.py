"""Copy memory: ten symbols, a wait, the same ten symbols (Hochreiter and Schmidhuber 1997; Arjovsky et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..data import copy_memory, copy_memory_baseline
from ..nn import GRU, LSTM, RNN, cross_entropy
from ..optim import Adam
from .experiment import Experiment, Known, Progress, Results, Row, listed
from .training import Reader, learn

LAYERS: dict[str, Any] = {"tanh RNN": RNN, "LSTM": LSTM, "GRU": GRU}


@dataclass(frozen=True)
class CopyMemory(Experiment):
    """Read ten of eight symbols, wait T = 20 steps, say them again. 64 units, Adam with
    rate 0.003 on batches of 20, the joint norm of the gradient clipped to 1. Whoever
    knows when to speak, but not what, has a cross-entropy of 10 log 8 / (T + 20).
    The loss is the mean over the last 100 updates, each on fresh sequences. Task
    and baseline: Arjovsky, Shah and Bengio (2016) and their code.
    """

    T: int = 20
    hidden: int = 64
    checks: tuple[int, ...] = (2000, 8000)

    name: ClassVar[str] = "copy"
    proves: ClassVar[str] = "gated cells beat the baseline of no memory"
    takes: ClassVar[str] = "3 min"
    columns: ClassVar[dict[str, int]] = {"cell, updates": 17, "loss": 8, "baseline": 8, "loss/baseline": 13}
    small: ClassVar[dict[str, Any]] = {"T": 3, "hidden": 8, "checks": (10, 30)}

    def cases(self) -> list[str]:
        return list(LAYERS)

    def measure(self, case: str, seed: int, progress: Progress) -> list[float]:
        """The loss of every update."""
        rng = np.random.default_rng(seed)
        model = Reader(LAYERS[case](10, self.hidden, rng=rng), 9, rng)
        optimizer, losses = Adam(model.parameters(), lr=3e-3), []
        for _ in progress(range(max(self.checks))):
            x, y = copy_memory(self.T, 20, rng)
            losses.append(learn(optimizer, cross_entropy(model(x)[0], y), clip=1.0))
        return losses

    def level(self, found: Sequence[list[float]], updates: int) -> float:
        return float(np.mean([losses[max(0, updates - 100) : updates] for losses in found]))

    def rows(self, case: str, found: Sequence[list[float]]) -> Iterator[Row]:
        baseline = copy_memory_baseline(self.T)
        for updates in self.checks:
            loss = self.level(found, updates)
            cells = [f"{case}, {updates}", f"{loss:.4f}", f"{baseline:.4f}", f"{loss / baseline:.3f}"]
            yield Row(cells, KNOWN.get((case, updates)))

    def conclude(self, results: Results) -> Iterator[str]:
        baseline, last = copy_memory_baseline(self.T), max(self.checks)
        levels = {case: self.level(found, last) / baseline for case, found in results.items()}
        yield f"After {last} updates, below 0.95 of the baseline: {listed(c for c, x in levels.items() if x < 0.95)}."
        yield f"Not: {listed(case for case, x in levels.items() if x >= 0.95)}, which remembered little or nothing."

    def draw(self, results: Results, ax: Any) -> None:
        """The loss over the updates, averaged over a hundred."""
        size = min(100, max(self.checks))
        for case, found in results.items():
            smooth = np.convolve(np.mean(found, axis=0), np.full(size, 1 / size), "valid")
            ax.plot(np.arange(size, size + len(smooth)), smooth, label=case)
        ax.axhline(copy_memory_baseline(self.T), color="#555555", ls=":", label="remembering nothing")
        ax.set(xlabel="update", ylabel="cross-entropy, nats a step")
        ax.legend(frameon=False)


KNOWN = {
    ("tanh RNN", 2000): Known("0.5207", "earlier"),
    ("LSTM", 2000): Known("0.4810", "earlier"),
    ("GRU", 2000): Known("0.4781", "earlier"),
}
