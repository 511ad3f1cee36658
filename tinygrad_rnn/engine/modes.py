"""What is in force at the moment: whether it records, whether it looks for nan and inf, and at which time step.

no_grad, enable_grad, anomaly   change the first two for a block or a function
scope                           tags what is recorded with a layer and a time step
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator
from contextvars import ContextVar
from typing import Any, NamedTuple, NoReturn, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])


class Step(NamedTuple):
    """Where in an unrolled network a record was made: which layer, and which time step (from 1)."""

    layer: str
    t: int | None

    def of(self, layer: str) -> Step:
        """The same time step of another layer."""
        return Step(layer, self.t)

    def __str__(self) -> str:
        return self.layer if self.t is None else f"{self.layer} t={self.t}"


class Worded(Step):
    """A time step that was called by a word, "the": it has the number after that of the step before, and the word."""

    word: str = ""

    @classmethod
    def at(cls, layer: str, t: Any, before: int | None) -> Step:
        """The step of a layer that a number or a word says; `before` is the number of the step before."""
        if isinstance(t, str):
            step = cls(layer, (before or 0) + 1)
            step.word = str(t)
            return step
        if t is None or (hasattr(t, "__index__") and not isinstance(t, bool)):
            return Step(layer, t if t is None else int(t))
        raise TypeError(f"scope: a time step is a whole number or a word, as in at(1) or at('the'), not {t!r}")

    def of(self, layer: str) -> Step:
        return Worded.at(layer, self.word, (self.t or 1) - 1)

    def __str__(self) -> str:
        return f"{super().__str__()} {self.word!r}"


class After(Step):
    """Where something was put together of the results of a step, no part of the step itself: final states, stacked."""

    __slots__ = ()


ENDED = "(ended)"
"""Stands among the states of a step for a result that is masked: 0 for the sequences that have ended before."""


def at_step(step: Step | None) -> str:
    """The words " at lstm t=3" for a message, or nothing."""
    return f" at {step}" if step else ""


class Mode:
    """What is in force: whether to record, whether to look for nan and inf, and for which time step.

    `recorder`, unless it is None, is asked in the place of `apply`: (op, inputs) -> what comes out.

    Each (owner, name, value) of `in_force` was put there by a `Setting`; the innermost for a name decides. `before` is
    what was in force without the innermost, where that is known.
    """

    __slots__ = ("anomaly", "before", "in_force", "recorder", "recording", "step")

    def __init__(
        self, in_force: tuple[tuple[weakref.ref[Setting], str, Any], ...] = (), before: Mode | None = None
    ) -> None:
        self.recording = True
        self.anomaly = False
        self.recorder: Callable[[Any, tuple[Any, ...]], Any] | None = None
        self.step: Step | None = None
        for _, name, value in in_force:
            setattr(self, name, value)
        self.in_force, self.before = in_force, before


_UNCHANGED = Mode()
_mode = ContextVar("mode", default=_UNCHANGED)  # of its own for every thread, and for every task of asyncio
mode = _mode.get


class Setting(ContextDecorator):
    """Gives one attribute of the `mode` a value, as a context manager or a decorator, until it is left.

    Leaving takes away this one alone, in whatever order settings are left (a generator may be closed within a later
    block). It is held weakly: when Ctrl-C comes between the two halves of a ``with``, it ends with its last user.
    """

    def __init__(self, name: str, value: Any) -> None:
        self.name, self.value = name, value

    def __enter__(self) -> Any:
        now = mode()
        try:
            _mode.set(Mode((*now.in_force, (weakref.ref(self, _drop), self.name, self.value)), now))
        except BaseException:  # an interrupt: no `with` will ever leave this
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        now = mode()
        if now.before is not None and now.in_force[-1][0]() is self:  # as nearly always
            _mode.set(now.before)
        elif mine := [owner for owner, _, _ in now.in_force if owner() is self]:
            _drop(mine[-1])

    def _recreate_cm(self) -> Setting:
        return type(self)(self.name, self.value)  # for each call of a decorated function one of its own

    def __call__(self, func: F) -> F:
        if inspect.iscoroutinefunction(func) or inspect.isasyncgenfunction(func):
            raise TypeError("a coroutine is not run where it is called: use the with statement inside, around no await")
        if not callable(func) or inspect.isclass(func):
            raise TypeError(f"only a function can be decorated, not {func!r}: of a class, decorate the methods")
        steps: Any = _each_step(self, func) if inspect.isgeneratorfunction(func) else super().__call__(func)
        return steps


def _drop(owner: weakref.ref[Setting]) -> None:
    """Let what an owner put in force be so no longer."""
    _mode.set(Mode(tuple([entry for entry in mode().in_force if entry[0] is not owner])))


class Scope(Setting):
    """The setting of `mode.step`, which can be moved on."""

    def __enter__(self) -> Callable[[int | str | None], None]:
        mine, layer = weakref.ref(self), self.value.layer

        def at(t: int | str | None) -> None:
            me = mine()
            before = [v.t for o, _, v in mode().in_force if o() is me]
            step = Worded.at(layer, t, before[0] if before else None)
            _mode.set(Mode(tuple([(o, n, step if o() is me else v) for o, n, v in mode().in_force])))

        return super().__enter__() or at  # entering is the last thing done: no interrupt comes after it


def _each_step(setting: Setting, func: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """A generator function that has the setting while it runs, and not while its caller does in between."""

    @functools.wraps(func)
    def steps(*args: Any, **kwargs: Any) -> Iterator[Any]:
        values = func(*args, **kwargs)
        while True:
            with setting._recreate_cm():
                try:
                    value = next(values)
                except StopIteration:
                    return
            yield value

    return steps


class Called:
    """A function that gives a setting; a ``with`` block that is given the function itself says what is missing."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, func: Any = None) -> Any:
        return self.function(func)

    def __enter__(self) -> NoReturn:
        name = self.function.__name__
        raise TypeError(f"with tg.{name}: write the parentheses, with tg.{name}():")

    def __exit__(self, *_: object) -> None:
        pass


@overload
def no_grad(func: None = None) -> Setting: ...
@overload
def no_grad(func: F) -> F: ...
@Called
def no_grad(func: Any = None) -> Any:
    """Record nothing within the block or the decorated function: faster, and without memory.

    >>> import tinygrad_rnn as tg
    >>> w = tg.tensor(2.0, requires_grad=True)
    >>> with tg.no_grad():
    ...     (w * 3).requires_grad
    False
    >>> @tg.no_grad
    ... def predict(x):
    ...     return x * w
    >>> predict(3.0).requires_grad
    False
    """
    return _setting("recording", False, func)


@overload
def enable_grad(func: None = None) -> Setting: ...
@overload
def enable_grad(func: F) -> F: ...
@Called
def enable_grad(func: Any = None) -> Any:
    """Record again within a `no_grad` block.

    >>> import tinygrad_rnn as tg
    >>> w = tg.tensor(2.0, requires_grad=True)
    >>> with tg.no_grad(), tg.enable_grad():
    ...     (w * 3).requires_grad
    True
    """
    return _setting("recording", True, func)


@overload
def anomaly(func: None = None) -> Setting: ...
@overload
def anomaly(func: F) -> F: ...
@Called
def anomaly(func: Any = None) -> Any:
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
    return _setting("anomaly", True, func)


def _setting(name: str, value: bool, func: Any) -> Any:
    """A setting; or, where it was written above a function without brackets, the function with it."""
    return Setting(name, value) if func is None else Setting(name, value)(func)


def is_grad_enabled() -> bool:
    """Whether this thread records at the moment.

    >>> import tinygrad_rnn as tg
    >>> with tg.no_grad():
    ...     tg.is_grad_enabled()
    False
    """
    return mode().recording


def during(step: Step | None) -> Setting:
    """Tag what is recorded inside as belonging to a step, as that of a record."""
    return Setting("step", step)


def scope(layer: str, t: int | str | None = None) -> Scope:
    """Tag every record made inside with a layer and a time step; gives a function that moves to step t.

    A step may be called by a word, ``at("the")``: it has the next number, and reports and pictures show the word too.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> h = tg.tensor(0.5, requires_grad=True)
    >>> with tg.scope("rnn") as at:
    ...     for t in (1, 2):
    ...         at(t)
    ...         h = np.tanh(h)
    >>> h.record.step
    Step(layer='rnn', t=2)
    """
    if not isinstance(layer, str):
        raise TypeError(f"scope: layer must be a name, as in `with tg.scope('rnn') as at:`, not {layer!r}")
    return Scope("step", Worded.at(layer, t, None))
