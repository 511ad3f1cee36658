"""The tape: what a primitive is (`Op`), and what is written down when one is applied (`Record`).

Reverse-mode differentiation needs a list of what was computed, in the order in which it was computed
(Wengert's list). Every record gets the next sequence number, so sorting the records that lead to a loss
by that number *is* a topological order: an input is always recorded before the op that uses it.
There is no global list. A `Tensor` points at the record that made it, a record points at its input
tensors, and never at its output: what nobody can reach any more is gone, without a cycle.

Nothing here knows the Tensor class; `autograd/tensor.py` builds on this file.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..errors import ShapeError
from .collector import EVERY, milestone
from .modes import Step, at_step, mode

clock = itertools.count(1)
"""The sequence numbers. `next(clock)` is atomic, so threads may record at the same time."""


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

    name: str = "op"
    outputs: int = 1
    states: ClassVar[tuple[str, ...]] = ()  # what its outputs are called, where they are the state after a time step
    open_steps: ClassVar[Callable[..., None] | None] = None  # of an op that computes many steps at once: see `opened`
    flat: bool = False  # whether the derivative is 0 everywhere, as that of floor: nothing is lost where it ends
    ours: ClassVar[bool] = True  # whether it is of this package; of others it is made sure that they write into nothing
    forward: Callable[..., Any]
    rules: tuple[Callable[..., Any], ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.ours = cls.__module__.startswith(f"{__name__.partition('.')[0]}.")
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

    def let_go(self) -> None:
        """Let go of what was kept for one application; an op that is used for many has nothing to let go of."""

    def __call__(self, *inputs: Any) -> Any:
        for x in inputs:
            if hasattr(x, "apply_op"):  # a Tensor, without knowing its class
                return x.apply_op(self, *inputs)
        return self.forward(*inputs)

    @property
    def parameters(self) -> dict[str, Any]:
        """What an instance was made with: an axis, an index, a slope."""
        return vars(self)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.parameters.items())})"


class Record:
    """One line of the tape: one application of an op.

    seq     its place in the order of recording
    op      the primitive
    inputs  the input Tensors; None where an input was a plain array or number
    arrays  what the inputs held at that moment
    values  what came out: a tuple of arrays, of one for most ops
    freed   whether a backward pass has let go of all this: then inputs, arrays and values are empty
    step    the layer and time step it belongs to, or None
    hooks   functions to call with the gradient, by output, or None
    line    the lines of code that applied the op, the user's and ours, noted within `anomaly()`, else None
    kept    tensors whose `grad` is to be filled too (weakly), by output, or None
    states  for each output that was declared to be a state after a step: that step, the part of the state, the output
    """

    __slots__ = (
        "__weakref__", "arrays", "freed", "hooks", "inputs", "kept", "line", "op", "seq", "states", "step", "values",
    )  # fmt: skip

    def __init__(
        self, op: Op, inputs: tuple[Any, ...], arrays: tuple[Any, ...], values: tuple[np.ndarray, ...], seq: int = 0
    ) -> None:
        self.seq = seq or next(clock)
        self.op = op
        self.inputs = inputs
        self.arrays = arrays
        self.values = values
        self.freed = False
        self.step = mode().step
        self.hooks: dict[int, list[Callable[[Any], Any]]] | None = None
        self.kept: dict[int, Any] | None = None
        self.line: Any = None  # `Lines`
        self.states: tuple[tuple[Step, Any, int], ...] = ()
        if not self.seq % EVERY:
            milestone(self)

    def free(self) -> None:
        """Let go of the inputs, every saved array and the hooks; only the op and the step remain, for messages."""
        self.inputs = self.arrays = self.values = ()
        self.hooks = self.kept = None
        self.freed = True
        self.op.let_go()

    def __repr__(self) -> str:
        where = at_step(self.step)
        return f"<record {self.seq}: {self.op.name}{where}>"
