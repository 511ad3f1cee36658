"""What an erratum is, and the list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

TEXTS = {
    "S0": "Backpropagation Through Time for Recurrent Neural Network (an article, 2019)",
    "S1": "RNN's Backpropagation Through Time (slides of a lecture)",
    "S2": "A Guide to Backpropagation Through Time (after Dive into Deep Learning, 9.7)",
    "S3": "Backpropagation through time (lesson 3 of a course on recurrent networks)",
}

Values = dict[str, Any]


@dataclass(frozen=True)
class Erratum:
    """One correction. `printed` and `right` are words with places for the values that `compute` finds.

    The values are computed when they are first asked for: nothing but what the text prints is stored.
    """

    id: str
    place: str  # "S1, step 4"
    printed: str
    right: str
    compute: Callable[[], Values]

    @property
    def why(self) -> str:
        return self.compute.__doc__ or ""

    @cached_property
    def values(self) -> Values:
        return self.compute()

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        """The cells of the table, filled in."""
        printed, right = (words.format(**self.values) for words in (self.printed, self.right))
        return self.id, self.place, printed, right, self.why


ERRATA: dict[str, Erratum] = {}


def erratum(place: str, printed: str, right: str) -> Callable[[Callable[[], Values]], Callable[[], Values]]:
    """Put the decorated function on the list: it is named after the erratum, computes it, and its docstring is why."""

    def register(compute: Callable[[], Values]) -> Callable[[], Values]:
        name = compute.__name__
        ERRATA[name] = Erratum(name, place, printed, right, compute)
        return compute

    return register
