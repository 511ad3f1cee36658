"""What a thread does at the moment: whether it records, whether it looks for nan and inf, and at which time step.

no_grad, enable_grad, anomaly   change the first two for a block or a function
scope                           tags what is recorded with a layer and a time step
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ContextDecorator, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .tape import Record


class Step(NamedTuple):
    """Where in an unrolled network a record was made: which layer, and which time step (from 1)."""

    layer: str
    t: int | None

    def __str__(self) -> str:
        return self.layer if self.t is None else f"{self.layer} t={self.t}"


def at_step(step: Step | None) -> str:
    """The words " at lstm t=3" for a message, or nothing."""
    return f" at {step}" if step else ""


class Mode(threading.local):
    """What this thread records: whether at all, whether it watches for nan and inf, and for which time step."""

    recording: bool = True
    anomaly: bool = False
    step: Step | None = None
    before: Sequence[bool] = ()  # what `Setting` will put back, innermost last


mode = Mode()


class Setting(ContextDecorator):
    """Sets one attribute of this thread's `mode`, as a context manager or a decorator."""

    def __init__(self, name: str, value: bool) -> None:
        self.name, self.value = name, value

    def __enter__(self) -> None:
        mode.before = (*mode.before, getattr(mode, self.name))
        setattr(mode, self.name, self.value)

    def __exit__(self, *_: object) -> None:
        *mode.before, value = mode.before
        setattr(mode, self.name, value)

    def __call__(self, func: Any) -> Any:
        if inspect.iscoroutinefunction(func) or inspect.isasyncgenfunction(func):
            raise TypeError("a coroutine is not run where it is called: use the with statement inside, around no await")
        return _each_step(self, func) if inspect.isgeneratorfunction(func) else super().__call__(func)


def _each_step(setting: Setting, func: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """A generator function that has the setting while it runs, and not while its caller does in between."""

    @functools.wraps(func)
    def steps(*args: Any, **kwargs: Any) -> Iterator[Any]:
        values = func(*args, **kwargs)
        while True:
            with setting:
                try:
                    value = next(values)
                except StopIteration:
                    return
            yield value

    return steps


def no_grad() -> Setting:
    """Record nothing within the block or the decorated function: faster, and without memory.

    >>> import tinygrad_rnn as tg
    >>> w = tg.tensor(2.0, requires_grad=True)
    >>> with tg.no_grad():
    ...     (w * 3).requires_grad
    False
    """
    return Setting("recording", False)


def enable_grad() -> Setting:
    """Record again within a `no_grad` block.

    >>> import tinygrad_rnn as tg
    >>> w = tg.tensor(2.0, requires_grad=True)
    >>> with tg.no_grad(), tg.enable_grad():
    ...     (w * 3).requires_grad
    True
    """
    return Setting("recording", True)


def anomaly() -> Setting:
    """Raise AnomalyError at the first nan or inf, forward or backward, naming the op, the time step and your line.

    Each op notes the line it was called from, and everything computed is looked through: slower, for finding a fault.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> x = tg.tensor([1.0, 0.0], requires_grad=True)
    >>> with tg.anomaly(), np.errstate(divide="ignore"):
    ...     np.sqrt(x).sum().backward()
    Traceback (most recent call last):
        ...
    tinygrad_rnn.errors.AnomalyError: the derivative rule of op sqrt made inf at [1] of the gradient of its input 0,
    which is 0 there. The op was applied in ...
    """
    return Setting("anomaly", True)


def is_grad_enabled() -> bool:
    """Whether this thread records at the moment."""
    return mode.recording


@contextmanager
def at_record(record: Record) -> Iterator[None]:
    """Tag what is recorded inside as belonging where a record does."""
    before, mode.step = mode.step, record.step
    try:
        yield
    finally:
        mode.step = before


@contextmanager
def scope(layer: str, t: int | None = None) -> Iterator[Callable[[int], None]]:
    """Tag every record made inside with a layer and a time step; gives a function that moves to step t.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> h = tg.tensor(0.5, requires_grad=True)
    >>> with tg.scope("rnn") as at:
    ...     for t in (1, 2):
    ...         at(t)
    ...         h = np.tanh(h)
    >>> h.record.step
    Step(layer='rnn', t=2)
    """
    before = mode.step

    def at(t: int | None) -> None:
        mode.step = Step(layer, t)

    at(t)
    try:
        yield at
    finally:
        mode.step = before
