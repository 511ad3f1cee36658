"""Changes that are whole or not at all, whenever Ctrl-C comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any


def assign(changes: Iterable[tuple[Any, str, Any]]) -> None:
    """Set ``object.attribute = value`` for each (object, attribute, value): all of them, or none.

    Python looks for an interrupt between two of its own instructions, and so does the switch to another thread. Here a
    single call of a built-in does all the work, and none of it is a Python function. So: compute first, then assign.

    >>> from types import SimpleNamespace
    >>> a, b = SimpleNamespace(), SimpleNamespace()
    >>> assign([(a, "x", 1), (b, "x", 2)])
    >>> a, b
    (namespace(x=1), namespace(x=2))
    """
    owners, names, values = [*zip(*changes, strict=True)] or ((), (), ())
    deque(map(object.__setattr__, owners, names, values), maxlen=0)
