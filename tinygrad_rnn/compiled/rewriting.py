"""A recorded step, rewritten value by value into an equal one."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engine.tape import Op
from ..ops.elementwise import add, multiply, subtract
from .recording import Recorded
from .values import Value, ordered


class Rewriting:
    """`new` has what stands for a value; no expression is made twice. A subclass says what `rewritten` is."""

    def __init__(self, step: Recorded) -> None:
        self.step = step
        self.made: dict[Any, Value] = {}
        self.new: dict[Value, Value] = {}
        self.order = ordered([step.a, *step.states, step.y, *step.after, *step.gradients])
        self.results, self.taken = {step.y, *step.after}, set[Value]()
        self.uses = Counter(x for v in self.order for x in v.args)

    def result(self) -> Recorded:
        """The whole step, rewritten."""
        s, value = self.step, self.value
        for v in self.order:  # from the first to the last, so that none asks for a long chain of others
            if not v.of_g:
                value(v)
        da, *dstates = [None if v is None else value(v) for v in (s.da, *s.dstates)]
        return Recorded(
            value(s.a),
            [value(x) for x in s.states],
            value(s.y),
            [value(x) for x in s.after],
            [(value(x), value(g)) for x, g in s.seeds],
            da,
            dstates,
            [(value(w), value(g)) for w, g in s.dweights],
            s.dtype,
        )

    def value(self, v: Value) -> Value:
        """What stands for v now."""
        if v not in self.new:
            new = self.rewritten(v)
            if v in self.results:
                if new in self.taken:  # two results are computed alike, and each has a gradient of its own
                    new = copy.copy(new)
                self.taken.add(new)
            self.new[v] = new
        return self.new[v]

    def rewritten(self, v: Value) -> Value:
        return self.again(v, [self.value(x) for x in v.args])

    # ---------------------------------------------------------------- new values

    def number(self, x: float) -> Value:
        return self.make(Value("number", (), np.dtype(float), number=x))

    def op(self, op: Op, *args: Value) -> Value:
        """An op of one or two values; of numbers it is a number."""
        if all(map(is_number, args)):
            return self.number(float(op.forward(*[x.number for x in args])))
        if op is multiply and any(is_number(x) and x.number == 1 for x in args):
            return next(x for x in reversed(args) if not (is_number(x) and x.number == 1))
        if op is add and args[1].name == "negative":  # a + -b
            return self.op(subtract, args[0], args[1].args[0])
        shape = np.broadcast_shapes(*[x.shape for x in args])
        dtype = next((x.dtype for x in args if x.kind != "number"), args[0].dtype)
        return self.make(Value("op", shape, dtype, args, name=op.name, op=op))

    def again(self, v: Value, args: Sequence[Value], columns: int | None = None) -> Value:
        """The same value of other arguments; or of so many columns of them."""
        if v.kind not in ("op", "total", "number"):
            return v
        settings: dict[str, Any] = {
            key: getattr(v, key) for key in ("name", "op", "output", "number", "start", "label")
        }
        shape = v.shape if columns is None else (*v.shape[:-1], columns)
        return self.make(Value(v.kind, shape, v.dtype, args, **settings))

    def make(self, v: Value) -> Value:
        """The value, or an equal one that is there already."""
        v = constant(v)
        op = v.op if v.name in ("apply", "where") or v.op is None else type(v.op)
        key = (v.kind, v.name, v.shape, v.dtype, v.args, v.output, v.start, v.number, type(v.number), op)
        known = self.made.setdefault(key, v)
        known.label = known.label or v.label
        return known


def constant(v: Value) -> Value:
    """Rows and columns of one number, a gradient that never arrives say, for what is computed from numbers alone."""
    if v.kind != "op" or v.varies or len(v.shape) < 2:
        return v
    if v.name == "columns" and v.args[0].kind == "number":
        number: Any = v.args[0].number
    elif any(_nothing(x) for x in v.args) and v.op.name in ("matmul", "multiply"):  # type: ignore[union-attr]
        number = 0.0
    elif all(x.kind == "number" for x in v.args):
        y = v.op.forward(*[np.full(x.shape, x.number) for x in v.args])  # type: ignore[union-attr]
        y = y[v.output] if v.op.outputs > 1 else y  # type: ignore[union-attr]
        if y.min() != y.max():
            return v
        number = y.flat[0].item()
    else:
        return v
    return Value("number", v.shape, v.dtype, number=number)


def _nothing(v: Value) -> bool:
    return v.kind == "number" and len(v.shape) == 2 and v.number == 0


def is_number(v: Value) -> bool:
    return v.kind == "number" and not v.shape
