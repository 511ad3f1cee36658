"""Copies and pickles of leaves."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GraphError

if TYPE_CHECKING:
    from .tensor import Tensor


class Copied:
    """What `copy`, `deepcopy` and `pickle` ask of a Tensor."""

    __slots__ = ()

    def __reduce__(self: Any) -> Any:
        if self.record is not None:
            raise GraphError(
                "only leaves can be copied or pickled: a copy of a result would need a copy of its graph. For its "
                "values use t.detach()"
            )
        return _rebuilt, (type(self), self._array, self.requires_grad, self.name), self._attributes()

    def _attributes(self: Any) -> tuple[None, dict[str, Any]] | None:
        """What subclasses add, in the form that `copy` and `pickle` know."""
        from .tensor import Tensor

        slots = [
            name for kind in type(self).__mro__[: -len(Tensor.__mro__)] for name in vars(kind).get("__slots__", ())
        ]
        added = {name: getattr(self, name) for name in slots if hasattr(self, name)} | getattr(self, "__dict__", {})
        return (None, added) if added else None

    def __deepcopy__(self: Any, memo: dict[int, Any]) -> Tensor:
        make, what, added = self.__reduce__()
        new: Tensor = make(*what)
        new._grad = None if self._grad is None else self._grad.copy()
        for name, value in copy.deepcopy(added[1], memo).items() if added else ():
            setattr(new, name, value)
        return new


def _rebuilt(kind: type[Tensor], array: np.ndarray, requires_grad: bool, name: str | None) -> Tensor:
    """A leaf from what `Tensor.__reduce__` says of it."""
    from .tensor import Tensor

    t = kind.__new__(kind)
    Tensor.__init__(t, array, None, requires_grad, name)
    return t
