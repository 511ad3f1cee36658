"""The embedded Reber grammar, with the full gradient and with the one of 1997 (Hochreiter and Schmidhuber 1997)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..data import REBER_SYMBOLS, Vocabulary, embedded_reber
from ..engine.modes import no_grad
from ..nn import LSTM, cross_entropy
from ..optim import Adam
from .experiment import Experiment, Known, Progress, Results, Row, listed
from .training import Reader, learn

SYMBOLS = Vocabulary(REBER_SYMBOLS)
ONE_HOT = np.eye(len(SYMBOLS))


class Case(NamedTuple):
    forget: bool
    cut: bool

    def __str__(self) -> str:
        return f"{'forget gate' if self.forget else '1997 cell'}, {'cut' if self.cut else 'full'}"


class Found(NamedTuple):
    solved: int | None
    """The number of training strings after which it was solved."""
    tests: list[float]
    """The part of right answers at each test."""


@dataclass(frozen=True)
class EmbeddedReber(Experiment):
    """Predict the next symbol of embedded Reber strings, one string an update; what
    counts is the last but one symbol, which repeats the second. An LSTM of 8 units,
    without forget gate as in 1997 or with one (bias 1), the other gates' biases -1;
    Adam with rate 0.01, clipped to norm 5. The gradient is full, or cut as in 1997:
    none into what the gates see of the past. Solved: the last but one symbol right
    in 400 of 400 fresh strings, tested every 500 of at most 12000.
    """

    units: int = 8
    strings: int = 12_000
    test_every: int = 500
    test_size: int = 400

    name: ClassVar[str] = "embedded-reber"
    proves: ClassVar[str] = "the cut gradient of 1997 is enough to learn with"
    takes: ClassVar[str] = "6 min"
    seeds: ClassVar[tuple[int, ...]] = tuple(range(10))
    columns: ClassVar[dict[str, int]] = {"cell, gradient": 17, "solved": 6, "median": 6, "worst end": 9}
    small: ClassVar[dict[str, Any]] = {"strings": 30, "test_every": 15, "test_size": 20}

    def cases(self) -> list[Case]:
        return [Case(forget, cut) for forget in (False, True) for cut in (False, True)]

    def measure(self, case: Case, seed: int, progress: Progress) -> Found:
        rng = np.random.default_rng(seed)
        model = make_model(self.units, case.forget, rng, cut=case.cut)
        optimizer = Adam(model.parameters(), lr=0.01)
        tests = []
        for count in progress(range(1, self.strings + 1)):
            ids = SYMBOLS.encode(embedded_reber(rng))
            scores, _ = model(ONE_HOT[ids[:-1]])
            learn(optimizer, cross_entropy(scores, ids[1:]), clip=5.0)
            if count % self.test_every == 0:
                tests.append(outer_right(model, [embedded_reber(rng) for _ in range(self.test_size)]))
                if tests[-1] == 1:
                    return Found(count, tests)
        return Found(None, tests)

    def rows(self, case: Case, found: Sequence[Found]) -> Iterator[Row]:
        solved = [run.solved for run in found if run.solved is not None]
        median = f"{np.median(solved):.0f}" if solved else "-"
        cells = [str(case), f"{len(solved)}/{len(found)}", median, f"{min(run.tests[-1] for run in found):.3f}"]
        yield Row(cells, KNOWN[case])

    def conclude(self, results: Results) -> Iterator[str]:
        for forget in (False, True):
            full, cut = (results.get(Case(forget, cut)) for cut in (False, True))
            if full and cut:
                cell = "With a forget gate" if forget else "Without one, as in 1997"
                counts = [sum(run.solved is not None for run in found) for found in (full, cut)]
                limit = [[run.solved or self.strings for run in found] for found in (full, cut)]
                less = sum(c < f for f, c in zip(*limit, strict=True))
                more = sum(c > f for f, c in zip(*limit, strict=True))
                yield (
                    f"{cell}: solved with {counts[0]} of {len(full)} seeds by the full gradient, with {counts[1]} by "
                    f"the cut one; the cut one needed fewer strings with {less} seeds and more with {more}."
                )
                yield f"By chance alone it would be as uneven with probability {sign_test(less, more):.2f} (sign test)."
        if cut := [str(c) for c, found in results.items() if c.cut and any(run.solved is not None for run in found)]:
            yield f"A gradient that flows through the cell state alone was enough for {listed(cut)}."

    def draw(self, results: Results, ax: Any) -> None:
        """The mean part of right answers over the strings; a solved run counts as right from then on."""
        for case, found in results.items():
            length = max(len(run.tests) for run in found)
            curves = [run.tests + [run.tests[-1]] * (length - len(run.tests)) for run in found]
            strings = self.test_every * np.arange(1, length + 1)
            ax.plot(strings, np.mean(curves, axis=0), ls="--" if case.cut else "-", label=str(case))
        ax.axhline(0.5, color="#555555", ls=":", label="chance")
        ax.set(xlabel="strings", ylabel="last but one symbol right")
        ax.legend(frameon=False)


def sign_test(less: int, more: int) -> float:
    """The probability that fair coins fall at least as unevenly as this, ties left out.

    >>> sign_test(5, 0), sign_test(2, 2), sign_test(0, 0)
    (0.0625, 1.0, 1.0)
    """
    n = less + more
    return min(1.0, 2 * sum(comb(n, k) for k in range(max(less, more), n + 1)) / 2**n)


def make_model(units: int, forget: bool, rng: np.random.Generator, cut: bool = False) -> Reader:
    """An LSTM on the seven symbols that starts with its gates almost shut, and its memory kept."""
    lstm = LSTM(len(SYMBOLS), units, forget_gate=forget, cut_gate_gradient=cut, rng=rng)
    (cell,) = lstm.cells
    for gate, bias in {"i": -1.0, "o": -1.0, "f": 1.0}.items():
        if gate in cell.gates:
            lstm.b_h.data[cell.gate(gate)] = bias
    return Reader(lstm, len(SYMBOLS), rng)


@no_grad()
def outer_right(model: Reader, strings: list[str]) -> float:
    """The part of the strings in whose last but one symbol the right one of T and P has the larger score."""
    lengths = np.array([len(string) for string in strings])
    ids = np.array([SYMBOLS.encode(string.ljust(lengths.max(), "E")) for string in strings]).T  # (T, B)
    scores, _ = model(ONE_HOT[ids], lengths=lengths)
    T, P = SYMBOLS.encode("TP")
    asked = scores.data[lengths - 3, np.arange(len(strings))]  # after the symbol before it
    return float(np.mean((asked[:, T] > asked[:, P]) == (ids[1] == T)))


KNOWN = {
    Case(False, False): Known("1/2: -, 7000", "earlier"),
    Case(False, True): Known("2/2: 5000, 2000", "earlier"),
    Case(True, False): Known("1/2: -, 2500", "earlier"),
    Case(True, True): Known("2/2: 3000, 11000", "earlier"),
}
