"""Random generators: of a seed, those that a function can draw from, and running it again with the same numbers."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

import numpy as np

from .trees import parts

OURS = __name__.partition(".")[0]
LONG = 1000  # entries of a list of data, in which nobody keeps generators
CONTAINERS = (dict, list, tuple, set, frozenset, deque, MappingProxyType)
SIMPLE = {type(None), bool, int, float, str, np.ndarray}  # the most frequent types of what holds nothing


def generator(rng: Any) -> np.random.Generator:
    """A Generator as it is, or one from a seed; None gives one that is different each time.

    Raises TypeError or ValueError for what is no seed.

    >>> generator(0).integers(10)
    np.int64(8)
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        expected = "a seed, a whole number of 0 or more, a NumPy Generator or None"
        raise type(error)(f"rng must be {expected}, not {rng!r}") from None


class Drawn:
    """The generators in reach of a function, as they are now: ``with drawn.again(): ...`` draws the same numbers.

    In reach is what stands in the function's arguments, closure, defaults, object and globals by name, in containers
    and attributes of those, and in functions of the same package that it calls. Not NumPy's and Python's own hidden
    generators.
    """

    def __init__(self, *roots: Any) -> None:
        self.states = [(generator, _state(generator)) for generator in _generators(list(roots))]

    @contextmanager
    def again(self) -> Iterator[None]:
        """Within the block the generators go through the same numbers; after it they go on where they were."""
        now = [(generator, _state(generator)) for generator, _ in self.states]
        try:
            _set(self.states)
            yield
        finally:
            _set(now)


def _state(generator: Any) -> Any:
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state()


def _set(states: list[tuple[Any, Any]]) -> None:
    for generator, state in states:
        if isinstance(generator, np.random.Generator):
            generator.bit_generator.state = state
        elif isinstance(generator, random.Random):
            generator.setstate(state)
        else:
            generator.set_state(state)


def _generators(waiting: list[Any]) -> list[Any]:
    """The generators that can be reached from some objects."""
    found, seen = [], {}  # objects are kept until the end, so that no two have one id
    while waiting:
        x = waiting.pop()
        if type(x) in SIMPLE or id(x) in seen or isinstance(x, type | ModuleType):
            continue
        seen[id(x)] = x
        if isinstance(x, np.random.Generator | np.random.RandomState | random.Random):
            found.append(x)
        else:
            waiting += _reached(x)
    return found


def _reached(x: Any) -> list[Any]:
    """What stands one step from an object."""
    if isinstance(x, MethodType):
        return [x.__self__, x.__func__]
    if isinstance(x, partial):
        return [x.func, *x.args, *x.keywords.values()]
    if isinstance(x, FunctionType):
        return _of_function(x)
    if isinstance(x, CONTAINERS):
        return [value for _, value in parts(x) or ()] if len(x) < LONG else []
    if not hasattr(x, "__dict__"):
        return []
    own = [cls for cls in type(x).__mro__ if cls.__module__.partition(".")[0] not in (OURS, "builtins")]
    methods = [value for cls in own for value in vars(cls).values() if isinstance(value, FunctionType)]
    return [*vars(x).values(), *methods]


def _of_function(f: FunctionType) -> list[Any]:
    """What a function has in its closure and defaults, and of the globals that it names."""
    package = f.__module__.partition(".")[0] if f.__module__ else ""
    reached = [cell.cell_contents for cell in f.__closure__ or () if _is_filled(cell)]
    reached += [*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values()]
    if package != OURS:
        values = [f.__globals__[name] for name in _names(f.__code__) if name in f.__globals__]
        reached += [x for x in values if not isinstance(x, FunctionType) or (x.__module__ or "").startswith(package)]
    return reached


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
