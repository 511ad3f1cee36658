"""Truncation at K steps limits what the gradient sees, not what the state can carry: a lag of 200 with K = 5."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..autograd.tensor import Tensor
from ..bptt.truncation import detach, windows
from ..data import last_sign
from ..engine.modes import no_grad
from ..nn import RNN, cross_entropy
from ..optim import Adam
from .experiment import Experiment, Known, Progress, Results, Row, listed
from .training import Reader, learn


@dataclass(frozen=True)
class CarriedState(Experiment):
    """What was the sign of the last input that was not zero? A tanh RNN of 16 units
    reads an endless stream with a sign in every tenth step. It is trained in chunks
    of K = 5 steps, so that no gradient goes back further than that. Between chunks
    the state is carried, or for comparison set to zero. Then it is tested on one sign
    and zeros after it: the part of 500 answers that is right, 4 to 200 steps later.
    """

    K: int = 5
    hidden: int = 16
    chunks: int = 4000
    lags: tuple[int, ...] = (4, 10, 50, 200)

    name: ClassVar[str] = "carried-state"
    proves: ClassVar[str] = "windows of 5 steps do not limit memory to 5 steps"
    takes: ClassVar[str] = "10 s"
    seeds: ClassVar[tuple[int, ...]] = (0, 1, 2)
    columns: ClassVar[dict[str, int]] = {"state, lag": 18, "right answers": 13, "worst seed": 10}
    small: ClassVar[dict[str, Any]] = {"chunks": 30, "lags": (2, 10)}

    def cases(self) -> list[str]:
        return ["carried", "set to zero"]

    def measure(self, case: str, seed: int, progress: Progress) -> dict[int, float]:
        """The part of right answers at each lag."""
        carried, rng = case == "carried", np.random.default_rng(seed)
        model = Reader(RNN(1, self.hidden, rng=rng), 2, rng)
        optimizer = Adam(model.parameters(), lr=0.003)
        x, y = last_sign(self.K * self.chunks, 16, rng)
        pairs = zip(self.read(model, x, carried), windows(y, self.K), strict=True)
        for scores, expected in progress(pairs, total=self.chunks):
            learn(optimizer, cross_entropy(scores, expected), clip=1.0)
        with no_grad():
            x, y = last_sign(max(self.lags) + 1, 500, rng, p=0.0)
            right = np.concatenate([scores.data for scores in self.read(model, x, carried)]).argmax(-1) == y
        return {lag: float(right[lag].mean()) for lag in self.lags}

    def read(self, model: Reader, x: np.ndarray, carried: bool) -> Iterator[Tensor]:
        """The scores of each chunk, from the state of the one before, without its past, or from zero."""
        state = None
        for chunk in windows(x, self.K):
            scores, state = model(chunk, state)
            yield scores
            state = detach(state) if carried else None

    def rows(self, case: str, found: Sequence[dict[int, float]]) -> Iterator[Row]:
        for lag in self.lags:
            parts = [run[lag] for run in found]
            unseen = Known("0.5, nothing is seen", "exact") if lag >= self.K else None
            known = Known("1.0", "earlier") if case == "carried" else unseen
            yield Row([f"{case}, {lag}", f"{np.mean(parts):.4f}", f"{min(parts):.4f}"], known)

    def conclude(self, results: Results) -> Iterator[str]:
        for case, found in results.items():
            bridged = [lag for lag in self.lags if min(run[lag] for run in found) > 0.99]
            yield f"State {case}: more than 99% right with every seed at lags {listed(bridged)}."
        if results.get("carried") and max(self.lags) > self.K:
            worst = min(run[max(self.lags)] for run in results["carried"])
            limited = "does not limit" if worst > 0.99 else "seems to limit"
            yield (
                f"A window of K = {self.K} {limited} this network to dependencies of {self.K} steps: what to do with "
                "its state can be learned from a few steps at a time, where storing and keeping pay at once."
            )

    def draw(self, results: Results, ax: Any) -> None:
        """The part of right answers over the lag."""
        for case, found in results.items():
            ax.plot(self.lags, [np.mean([run[lag] for run in found]) for lag in self.lags], marker="o", label=case)
        ax.axvline(self.K, color="#555555", ls=":", label=f"K = {self.K}")
        ax.set(xscale="log", xlabel="lag in steps", ylabel="right answers", ylim=(0.4, 1.03))
        ax.legend(frameon=False, title="state")
