"""Copies and pickles of leaves."""

from __future__ import annotations

import copy
import itertools
import sys
from collections.abc import Callable
from typing import Any, Self, TypeVar

import numpy as np

from ..engine.tape import Record
from ..errors import GraphError
from .refusals import asked_by

T = TypeVar("T", bound="Copied")


class Copied:
    """What `copy`, `deepcopy` and `pickle` ask of a Tensor."""

    __slots__ = ()

    _array: np.ndarray
    _grad: np.ndarray | None
    record: Record | None
    requires_grad: bool
    name: str | None
    _fill: Callable[..., None]  # the __init__ of the Tensor itself: a subclass may have one of its own

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...], tuple[None, dict[str, Any]] | None]:
        if self.record is not None:
            function = asked_by(sys._getframe(2))  # who called `copy`: matplotlib.pyplot.plot does
            raise GraphError(
                f"{f'{function} of a Tensor: ' if function else ''}only leaves can be copied or pickled: a copy of a "
                "result would need a copy of its graph. For its values use t.detach()"
            )
        return _rebuilt, (type(self), self._array, self.requires_grad, self.name), self._attributes()

    def _attributes(self) -> tuple[None, dict[str, Any]] | None:
        """What subclasses add, in the form that `copy` and `pickle` know."""
        subclasses = itertools.takewhile(lambda kind: "_fill" not in vars(kind), type(self).__mro__)
        slots = [name for kind in subclasses for name in vars(kind).get("__slots__", ())]
        added = {name: getattr(self, name) for name in slots if hasattr(self, name)} | getattr(self, "__dict__", {})
        return (None, added) if added else None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        make, what, added = self.__reduce__()
        new: Self = make(*what)
        own = {"_grad": copy.copy(self._grad)}
        for name, value in (own | copy.deepcopy(added[1] if added else {}, memo)).items():
            setattr(new, name, value)
        return new


def _rebuilt(kind: type[T], array: np.ndarray, requires_grad: bool, name: str | None) -> T:
    """A leaf from what `__reduce__` says of it."""
    t = kind.__new__(kind)
    t._fill(array, None, requires_grad, name)
    return t
