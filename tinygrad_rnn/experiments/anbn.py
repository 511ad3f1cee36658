"""a^n b^n: a cell that counts goes on beyond what it was trained on (Gers and Schmidhuber 2001)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..data import anbn
from ..engine.modes import no_grad
from ..nn import GRU, LSTM, RNN, binary_cross_entropy_with_logits
from ..optim import Adam
from .experiment import Experiment, Known, Progress, Results, Row, listed
from .training import Reader, learn

LAYERS: dict[str, Any] = {
    "LSTM, peepholes": lambda units, rng: LSTM(3, units, peepholes=True, forget_bias=1.0, rng=rng),
    "LSTM": lambda units, rng: LSTM(3, units, forget_bias=1.0, rng=rng),
    "GRU": lambda units, rng: GRU(3, units, rng=rng),
    "tanh RNN": lambda units, rng: RNN(3, units, rng=rng),
}


@dataclass(frozen=True)
class AnBn(Experiment):
    """Read S a^n b^n symbol by symbol, and say at each which of a, b and the end may
    come next. Trained on n = 1 .. 10 in turn, all ten a batch, with Adam, rate 0.01,
    clipped to norm 1; cells of 2 units. An n is accepted when every prediction of
    the string is right. The table has the largest n, of those up to 200, up to which
    all are accepted, at the best of the tests every 200 of 4000 updates.
    Task: Gers and Schmidhuber (2001), whose LSTM has peepholes.
    """

    units: int = 2
    trained: int = 10
    tested: int = 200
    updates: int = 4000

    name: ClassVar[str] = "anbn"
    proves: ClassVar[str] = "an LSTM counts, and goes on beyond its training"
    takes: ClassVar[str] = "3 min"
    seeds: ClassVar[tuple[int, ...]] = (0, 1, 2)
    columns: ClassVar[dict[str, int]] = {"cell": 15, "all n up to, a seed": 19, "largest": 7}
    small: ClassVar[dict[str, Any]] = {"trained": 3, "tested": 6, "updates": 20}

    def cases(self) -> list[str]:
        return list(LAYERS)

    def measure(self, case: str, seed: int, progress: Progress) -> int:
        """The largest n up to which every string is accepted."""
        rng = np.random.default_rng(seed)
        model = Reader(LAYERS[case](self.units, rng), 3, rng)
        optimizer = Adam(model.parameters(), lr=0.01)
        x, y, lengths = strings(self.trained)
        counts = np.arange(len(x))[:, None] < lengths
        best = 0
        for update in progress(range(1, self.updates + 1)):
            scores, _ = model(x, lengths=lengths)
            learn(optimizer, binary_cross_entropy_with_logits(scores[counts], y[counts]), clip=1.0)
            if update % 200 == 0 or update == self.updates:
                best = max(best, self.accepted(model))
        return best

    @no_grad()
    def accepted(self, model: Reader) -> int:
        x, y, lengths = strings(self.tested)
        scores, _ = model(x, lengths=lengths)
        counts = np.arange(len(x))[:, None] < lengths
        right = ((scores.data > 0) == y).all(-1) | ~counts
        return int(np.argmin([*right.all(0), False]))

    def rows(self, case: str, found: Sequence[int]) -> Iterator[Row]:
        yield Row([case, " ".join(map(str, found)), str(max(found))], KNOWN.get(case))

    def conclude(self, results: Results) -> Iterator[str]:
        beyond = [case for case, found in results.items() if min(found) > self.trained]
        yield f"Beyond the n = {self.trained} of the training with every seed: {listed(beyond)}."
        if results:
            case = max(results, key=lambda case: np.median(results[case]))
            median = np.median(results[case])
            yield f"Furthest, by the median of the seeds: {case}, to n = {median:.0f}."

    def draw(self, results: Results, ax: Any) -> None:
        """The largest n of each seed."""
        for k, found in enumerate(results.values()):
            ax.plot([k] * len(found), found, "o", alpha=0.7)
        ax.set_xticks(range(len(results)), list(results))
        ax.axhline(self.trained, color="#555555", ls=":", label="trained")
        ax.set(ylabel="all n accepted up to", xlim=(-0.5, len(results) - 0.5))
        ax.legend(frameon=False)


def strings(largest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All strings for n = 1 .. largest as one batch, padded with zeros: x, y (T, B, 3) and lengths (B,)."""
    lengths = 2 * np.arange(1, largest + 1) + 1
    x, y = np.zeros((2, lengths[-1], largest, 3))
    for k, length in enumerate(lengths):
        x[:length, k], y[:length, k] = anbn(k + 1)
    return x, y, lengths


KNOWN = {"LSTM, peepholes": Known("65 to 100 (2 units)", "replica")}
