"""The tape: what a primitive is (`Op`), and what is written down when one is applied (`Record`).

Reverse-mode differentiation needs a list of what was computed, in the order in which it was computed
(Wengert's list). Every record gets the next sequence number, so sorting the records that lead to a loss
by that number *is* a topological order: an input is always recorded before the op that uses it.
There is no global list. A `Tensor` points at the record that made it, a record points at its input
tensors, and never at its output: what nobody can reach any more is gone, without a cycle.

Nothing here knows the Tensor class; `tensor.py` builds on this file.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ContextDecorator, contextmanager
from typing import Any, ClassVar, NamedTuple

from .collector import EVERY, milestone
from .errors import ShapeError

clock = itertools.count(1)
"""The sequence numbers. `next(clock)` is atomic, so threads may record at the same time."""


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


class Op:
    """A primitive function and its derivative rule.

    With output ``y = forward(x_1, ..., x_n)`` and a loss ``L`` further on, a rule receives
    ``g = dL/dy`` and returns ``dL/dx_i = (dy/dx_i)^T g``. It comes in one of two forms:

    - ``vjp(self, g, y, *xs)`` returns the gradient of the only input, or a tuple with one entry an input;
    - ``vjp_a(self, g, y, a, b)``, ``vjp_b(...)``: one rule an input, under its name in `forward`, so that
      the gradient of an input that needs none is never computed.

    Rules are plain NumPy. Given arrays they compute numbers; given Tensors (`create_graph=True`) the same
    lines are recorded, and can be differentiated again. So a rule may not write into an array. ``None``
    stands for a gradient that is zero everywhere. An op with several outputs sets `outputs` to their number,
    returns a tuple from `forward`, and its rule receives tuples as ``g`` and ``y``.

    An instance holds the parameters of the primitive (an axis, an index), never data of one application.
    Calling it applies it: to Tensors with a record, to plain arrays without.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> class Cube(tg.Op):
    ...     def forward(self, x):
    ...         return x**3
    ...     def vjp(self, g, y, x):
    ...         return g * 3 * x**2
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> Cube()(x).sum().backward()
    >>> x.grad
    array([ 3., 12.])
    """

    name: ClassVar[str] = "op"
    outputs: int = 1
    together: ClassVar[bool] = False  # whether records of it that share a Workspace can be swept as one
    forward: Callable[..., Any]
    rules: ClassVar[tuple[Callable[..., Any], ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        named = {key.removeprefix("vjp_"): rule for key, rule in vars(cls).items() if key.startswith("vjp_")}
        code = getattr(vars(cls).get("forward"), "__code__", None)
        inputs = code.co_varnames[1 : code.co_argcount] if code is not None else ()
        rules = tuple(named[name] for name in (inputs if set(inputs) == set(named) else named))
        if rules or "vjp" in vars(cls):  # a subclass without rules of its own inherits its parent's
            cls.rules = rules

    def vjp(self, g: Any, y: Any, *xs: Any) -> Any:
        """The gradients of all inputs, given ``g = dL/dy``."""
        if not self.rules:
            raise NotImplementedError(f"op {self.name} has no rule: give it vjp(self, g, y, *xs)")
        return tuple(rule(self, g, y, *xs) for rule in self.rules)

    def fit(self, g: Any, x: Any) -> Any:
        """What to do with a gradient whose shape is not that of its input: here, refuse it."""
        raise ShapeError(
            f"the rule of op {self.name} returned a gradient of shape {g.shape} for an input of shape "
            f"{x.shape}: a gradient has the shape of what it is the gradient of"
        )

    def __call__(self, *inputs: Any) -> Any:
        for x in inputs:
            if hasattr(x, "apply_op"):  # a Tensor, without knowing its class
                return x.apply_op(self, *inputs)
        return self.forward(*inputs)

    def __repr__(self) -> str:
        parameters = ", ".join(f"{key}={value!r}" for key, value in vars(self).items())
        return f"{self.name}({parameters})"


class Workspace:
    """What several applications of ops share besides arrays: in a fused layer, the arrays over all its steps.

    It is given to each of them as its last input, so that it is let go with their arrays once the records are freed.
    """

    def pull(self, records: Sequence[Any], gs: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
        """The rules of consecutive records that share this, newest first: (x, dL/dx) for the inputs of them all.

        gs are their gradients as they are before any of these rules was used; None where there is none.
        """
        raise NotImplementedError


class Record:
    """One line of the tape: one application of an op.

    seq     its place in the order of recording
    op      the primitive
    inputs  the input Tensors; None where an input was a plain array or number. None as a whole once freed
    arrays  what the inputs held at that moment
    value   what came out: an array, or a tuple of arrays
    step    the layer and time step it belongs to, or None
    hooks   functions to call with the gradient, by output, or None
    line    the lines of code that applied the op, the user's and ours, noted within `anomaly()`, else None
    kept    tensors whose `grad` is to be filled too (weakly), by output, or None
    """

    __slots__ = ("__weakref__", "arrays", "hooks", "inputs", "kept", "line", "op", "seq", "step", "value")

    def __init__(self, op: Op, inputs: Any, arrays: Any, value: Any) -> None:
        self.seq = next(clock)
        self.op = op
        self.inputs: tuple[Any, ...] | None = inputs
        self.arrays: tuple[Any, ...] | None = arrays
        self.value = value
        self.step = mode.step
        self.hooks: dict[int, list[Callable[[Any], Any]]] | None = None
        self.kept: dict[int, Any] | None = None
        self.line: Any = None  # `Lines`
        if not self.seq % EVERY:
            milestone(self)

    def free(self) -> None:
        """Let go of the inputs, every saved array and the hooks; only the op and the step remain, for messages."""
        self.inputs = self.arrays = self.value = self.hooks = self.kept = None

    def __repr__(self) -> str:
        where = at_step(self.step)
        return f"<record {self.seq}: {self.op.name}{where}>"


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
