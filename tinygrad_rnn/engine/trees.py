"""Containers as trees: what they hold, and the same container with other contents.

States, arguments and modules come in tuples, lists, dicts, dataclasses and the like. Whoever looks inside them does it
with these functions, so that all agree on what has an inside.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import numbers
from argparse import Namespace
from collections import ChainMap, UserDict, UserList, deque
from collections.abc import Callable, Iterator
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np

SEQUENCES = (tuple, list, deque)
NAMESPACES = (SimpleNamespace, Namespace, UserDict, UserList, ChainMap)
PLAIN = (type(None), numbers.Number, str, bytes, bytearray, range, slice, type, enum.Enum, np.generic, np.dtype)


def parts(tree: Any) -> list[tuple[Any, Any]] | None:
    """What a container holds, each with its key, index or attribute; None for what is no container."""
    if type(tree) is tuple or type(tree) is list:  # nearly every state, at every step
        return list(enumerate(tree))
    if type(tree) is dict:
        return list(tree.items())
    if isinstance(tree, dict | MappingProxyType):
        held = list(tree.items())
    elif isinstance(tree, SEQUENCES):
        held = list(zip(getattr(tree, "_fields", range(len(tree))), tree, strict=True))
    elif isinstance(tree, set | frozenset):
        held = list(enumerate(tree))
    elif _has_fields(tree):
        held = []
    else:
        return None
    return held + [(name, getattr(tree, name)) for name in _attributes(tree)]


def rebuilt(tree: Any, values: list[Any]) -> Any:
    """A container of the same kind with other values, in the order of `parts`."""
    names = _attributes(tree)
    contents, attributes = values[: len(values) - len(names)], values[len(values) - len(names) :]
    if isinstance(tree, MappingProxyType):
        return MappingProxyType(dict(zip(tree, contents, strict=True)))
    new: Any
    if isinstance(tree, tuple):
        new = type(tree)(*contents) if hasattr(tree, "_fields") else type(tree)(contents)
    elif isinstance(tree, frozenset):
        new = type(tree)(contents)
    else:
        new = copy.copy(tree)  # keeps what is not held: the factory of a defaultdict, the bound of a deque
    if isinstance(tree, dict):
        new.clear()
        new.update(zip(tree, contents, strict=True))
    elif isinstance(tree, list | deque):
        new.clear()
        new.extend(contents)
    elif isinstance(tree, set):
        new.clear()
        new.update(contents)
    for name, value in zip(names, attributes, strict=True):
        object.__setattr__(new, name, value)  # also of a frozen dataclass
    return new


def mapped(tree: Any, leaf: Callable[[Any], Any], above: tuple[int, ...] = ()) -> Any:
    """The same nesting of containers with ``leaf(x)`` in place of each x that is no container."""
    held = _held(tree, above)
    return leaf(tree) if held is None else rebuilt(tree, [mapped(x, leaf, (*above, id(tree))) for _, x in held])


def leaves(tree: Any, above: tuple[int, ...] = ()) -> Iterator[Any]:
    """All that a nesting of containers holds and that is no container itself, in order."""
    held = _held(tree, above)
    if held is None:
        yield tree
    for _, x in held or ():
        yield from leaves(x, (*above, id(tree)))


def _held(tree: Any, above: tuple[int, ...]) -> list[tuple[Any, Any]] | None:
    if id(tree) in above:
        raise ValueError(f"a {type(tree).__name__} that holds itself has no end: keep what it holds in another one")
    return parts(tree)


def is_plain(x: object) -> bool:
    """Whether x is a number, a text, an array of numbers or the like, which can hold nothing else."""
    if isinstance(x, np.ndarray):
        return x.dtype != object
    return isinstance(x, (*PLAIN, np.random.Generator))


def _has_fields(tree: object) -> bool:
    return isinstance(tree, NAMESPACES) or (dataclasses.is_dataclass(tree) and not isinstance(tree, type))


def _attributes(tree: object) -> list[str]:
    """The names of what a container holds in attributes: the fields of a dataclass, what a subclass of list adds."""
    fields = [field.name for field in dataclasses.fields(tree)] if dataclasses.is_dataclass(tree) else []
    own = [name for name in getattr(tree, "__dict__", ()) if name not in fields]
    return [name for name in fields if hasattr(tree, name)] + own
