"""Strings of small formal languages, whose next symbol a network learns to predict.

The Reber grammar is a walk through a graph with choices. The embedded one puts a T or P around a Reber string: the last
but one symbol must repeat the second, and nothing in between tells which it was. The continual one never says where a
string ends. a^n b^n needs a counter.

`Vocabulary` of `data.text` makes numbers of the symbols: ``Vocabulary(REBER_SYMBOLS).encode(string)``.
"""

from __future__ import annotations

import numpy as np

from ..errors import DataError
from .tasks import Batch, Rng

REBER: tuple[dict[str, int], ...] = (
    {"B": 1},
    {"T": 2, "P": 3},
    {"S": 2, "X": 4},
    {"T": 3, "V": 5},
    {"X": 3, "S": 6},
    {"P": 4, "V": 6},
    {"E": 7},
)
"""The grammar as a graph: REBER[node] says which symbols may come next, and to which node each leads; 7 is the end."""

REBER_SYMBOLS = "BEPSTVX"


def reber(rng: Rng) -> str:
    """A Reber string: from B to E through the graph, each choice with probability 1/2 (Reber 1967).

    >>> reber(rng=1)
    'BTXSE'
    """
    rng = np.random.default_rng(rng)
    string, node = "", 0
    while node < len(REBER):
        choices = list(REBER[node])
        string += choices[int(rng.integers(len(choices)))] if len(choices) > 1 else choices[0]
        node = REBER[node][string[-1]]
    return string


def embedded_reber(rng: Rng) -> str:
    """B, then T or P, a Reber string, the same T or P again, E (Hochreiter and Schmidhuber 1997, experiment 1).

    At least nine symbols. A network that predicts the last but one must have kept the second.

    >>> embedded_reber(rng=1)
    'BTBPVVETE'
    """
    rng = np.random.default_rng(rng)
    outer = "TP"[int(rng.integers(2))]
    return f"B{outer}{reber(rng)}{outer}E"


def continual_reber(strings: int, rng: Rng) -> str:
    """Embedded Reber strings one after the other, with nothing that says "start anew" (Gers et al. 2000).

    >>> continual_reber(2, rng=1)
    'BTBPVVETEBTBTXSETE'
    """
    rng = np.random.default_rng(rng)
    return "".join(embedded_reber(rng) for _ in range(strings))


def anbn(n: int) -> Batch:
    """The string a^n b^n of a context-free language, as a prediction task (Gers and Schmidhuber 2001).

    Inputs (2n + 1, 3): one-hot S, n times a, n times b. Targets (2n + 1, 3): 1 for each of a, b and T (the end) that
    may come next, else 0: after S an a, after an a both a and b, after the n-th b only T. Raises DataError for n < 1.

    >>> x, y = anbn(2)
    >>> "".join("Sab"[k] for k in x.argmax(-1)), [" ".join(np.array(["a", "b", "T"])[row == 1]) for row in y]
    ('Saabb', ['a', 'a b', 'a b', 'b', 'T'])
    """
    if n < 1:
        raise DataError(f"anbn: expected n of 1 or more, found {n}")
    read = np.repeat([0, 1, 2], [1, n, n])
    may_follow = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]])[read]  # after S, after an a, after a b
    may_follow[-1] = [0, 0, 1]
    return np.eye(3)[read], may_follow
