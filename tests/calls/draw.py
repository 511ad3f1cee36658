"""What a row of the table is: a function that draws one call."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st


class Call(NamedTuple):
    """A function of arrays, the arrays, and the same function with PyTorch: ``theirs(torch, *tensors)``."""

    f: Callable[..., Any]
    arrays: list[np.ndarray]
    theirs: Callable[..., Any] | None = None
    reference: Callable[..., Any] | None = None  # where f is not NumPy's own


class Draw:
    """Random shapes, axes, options and values."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.rng = np.random.default_rng(self(st.integers(0, 2**32 - 1)))

    def __call__(self, strategy: Any) -> Any:
        return self.data.draw(strategy)

    def flag(self) -> bool:
        return self(st.booleans())

    def one(self, *options: Any) -> Any:
        return self(st.sampled_from(options))

    def int(self, low: int, high: int) -> int:
        return self(st.integers(low, high))

    def shape(self, low: int = 0, high: int = 3, side: int = 0) -> tuple[int, ...]:
        """At most 24 entries, so that differences are quick; sides of 0 and 1 among them."""
        shape = tuple(self(st.lists(st.sampled_from([3, 2, 1, 4, side]), min_size=low, max_size=high)))
        assume(math.prod(shape) <= 24)
        return shape

    def values(self, shape: tuple[int, ...], low: float = -2, high: float = 2) -> np.ndarray:
        return self.rng.uniform(low, high, shape)

    def array(self, low: int = 0, high: int = 3, side: int = 0, span: tuple[float, float] = (-2, 2)) -> np.ndarray:
        return self.values(self.shape(low, high, side), *span)

    def pair(self, span: tuple[float, float] = (-2, 2)) -> list[np.ndarray]:
        """Two arrays that broadcast."""
        shape = self.shape(0, 3)
        first, second = ([n if self(st.integers(0, 3)) else 1 for n in shape] for _ in range(2))
        return [
            self.values(tuple(first[self.int(0, 1) :]), *span),
            self.values(tuple(second[self.int(0, len(shape)) :]), *span),
        ]

    def axis(self, ndim: int) -> int:
        return self.int(-ndim, ndim - 1)

    def axes(self, ndim: int) -> Any:
        """None, one axis, or a tuple of different ones, some counted from the end."""
        if not ndim or self.int(0, 3) == 0:
            return None
        if self.flag():
            return self.axis(ndim)
        chosen = self(st.lists(st.integers(0, ndim - 1), unique=True, max_size=ndim))
        return tuple(k - ndim * self.flag() for k in chosen)


def every(x: Any, axis: Any) -> Any:
    """NumPy's axis as PyTorch wants it."""
    return tuple(range(x.ndim)) if axis is None else axis


TABLE: dict[str, Callable[[Draw], Call]] = {}


def row(function: Callable[[Draw], Call]) -> Callable[[Draw], Call]:
    TABLE[function.__name__.strip("_")] = function
    return function


def rows(*kinds: Any) -> Callable[[Any], Any]:
    """Several rows of the table that are drawn alike."""

    def add(function: Any) -> Any:
        for kind in kinds:
            TABLE[f"{function.__name__} {kind}"] = lambda draw, kind=kind: function(draw, kind)
        return function

    return add
