"""The continual Reber grammar, with and without a forget gate (Gers, Schmidhuber and Cummins 2000)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..bptt.truncation import detach
from ..data import continual_reber
from ..engine.modes import no_grad
from ..nn import cross_entropy
from ..optim import Adam
from .embedded_reber import ONE_HOT, SYMBOLS, make_model
from .experiment import Experiment, Known, Progress, Results, Row
from .training import Reader, learn


class Found(NamedTuple):
    right: float
    """The part of the last but one symbols of the test stream that was predicted."""
    norms: list[float]
    """|c| after each chunk of the training."""


@dataclass(frozen=True)
class ContinualReber(Experiment):
    """A stream of embedded Reber strings that never says where one ends and the next
    begins. An LSTM of 12 units reads it in 2000 chunks of 6 strings, its state
    carried and detached; Adam with rate 0.01, clipped to norm 5. Then it reads 600
    more strings in one go. Right: the last but one symbol of a string, which repeats
    the second; by chance 0.5. |c| is the norm of the cell state after the training.
    Task: Gers, Schmidhuber and Cummins (2000), who report that LSTM fails on it
    without forget gates and solves it with them.
    """

    units: int = 12
    chunks: int = 2000
    strings: int = 6
    test_strings: int = 600

    name: ClassVar[str] = "continual-reber"
    proves: ClassVar[str] = "without forget gate the cell state grows and grows"
    takes: ClassVar[str] = "3 min"
    seeds: ClassVar[tuple[int, ...]] = (0, 1, 2, 3, 4)
    columns: ClassVar[dict[str, int]] = {"cell": 19, "right": 6, "worst": 6, "|c|": 7}
    small: ClassVar[dict[str, Any]] = {"chunks": 20, "strings": 2, "test_strings": 20}

    def cases(self) -> list[str]:
        return ["with forget gate", "without forget gate"]

    def measure(self, case: str, seed: int, progress: Progress) -> Found:
        rng = np.random.default_rng(seed)
        model = make_model(self.units, case.startswith("with "), rng)
        optimizer, state, norms = Adam(model.parameters(), lr=0.01), None, []
        last = SYMBOLS.encode("E")
        for _ in progress(range(self.chunks)):
            ids = np.concatenate([last, SYMBOLS.encode(continual_reber(self.strings, rng))])
            scores, state = model(ONE_HOT[ids[:-1]], state)  # each symbol of the chunk is predicted from those before
            learn(optimizer, cross_entropy(scores, ids[1:]), clip=5.0)
            state = detach(state)
            norms.append(float(np.linalg.norm(state[1].data)))
        return Found(self.test(model, state, continual_reber(self.test_strings, rng)), norms)

    @no_grad()
    def test(self, model: Reader, state: Any, stream: str) -> float:
        ids = SYMBOLS.encode(f"E{stream}")
        scores, _ = model(ONE_HOT[ids[:-1]], state)
        T, P = SYMBOLS.encode("TP")
        asked = np.flatnonzero(ends_next(stream))
        return float(np.mean((scores.data[asked, T] > scores.data[asked, P]) == (ids[asked + 1] == T)))

    def rows(self, case: str, found: Sequence[Found]) -> Iterator[Row]:
        right, norm = [run.right for run in found], np.mean([run.norms[-1] for run in found])
        yield Row([case, f"{np.mean(right):.3f}", f"{min(right):.3f}", f"{norm:.1f}"], KNOWN[case])
        yield Row(["", "", "", ""], REPLICA[case])

    def conclude(self, results: Results) -> Iterator[str]:
        for case, found in results.items():
            half = np.mean([run.norms[len(run.norms) // 2 - 1] for run in found])
            end, kept = np.mean([run.norms[-1] for run in found]), sum(run.right > 0.95 for run in found)
            grows = "still grows" if end > 1.3 * half else "does not grow any more"
            yield (
                f"{case.capitalize()} {kept} of {len(found)} seeds kept the symbol (more than 95% right). |c| is "
                f"{half:.1f} after half of the training and {end:.1f} at its end: it {grows}."
            )

    def draw(self, results: Results, ax: Any) -> None:
        """|c| over the training, the mean of all seeds."""
        for case, found in results.items():
            ax.plot(np.mean([run.norms for run in found], axis=0), lw=1, label=case)
        ax.set(xlabel="chunk", ylabel="|c|", yscale="log")
        ax.legend(frameon=False)


def ends_next(stream: str) -> np.ndarray:
    """Which symbols of the stream are the last but one of their string.

    >>> "".join("^" if last else " " for last in ends_next("BTBTXSETEBPBPVVEPE"))
    '       ^        ^ '
    """
    return np.array([pair in ("ET", "EP") for pair in map("".join, pairwise(f" {stream}"))])  # E: the inner string ends


KNOWN = {"with forget gate": Known("solved", "paper"), "without forget gate": Known("not solved", "paper")}
REPLICA = {
    "with forget gate": Known("0.997, |c| 28.5", "replica"),
    "without forget gate": Known("0.550, |c| 294.8", "replica"),
}
