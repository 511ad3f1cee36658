"""Gradients as sums of known factors times few of them.

A gradient depends linearly on the gradients that arrive: it is Σ_j K_j * d_j, where a factor K does not depend on them.
So a chain of products, dc * g * (i - i²), is K * dc, and terms of one d are collected: dh * h - dh * n = K * dh with
K = h - n. The factors are known before the backward loop begins, for all steps at once; in the loop remain one product
a gradient, and the sums.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engine.tape import Op
from ..ops.elementwise import add, divide, multiply, negative, subtract
from .recording import Recorded
from .values import Value, ordered

Form = dict[Value, Value | None]
"""Σ K * d as {d: K}; None is a factor of 1."""


def factored(step: Recorded) -> Recorded:
    """The same step, its gradients as sums of factors times gradients; no expression stands twice."""
    return Factoring(step).result()


class Factoring:
    """Values rewritten: `known` for those that depend on no gradient, `forms` for those that do."""

    def __init__(self, step: Recorded) -> None:
        self.step = step
        self.made: dict[Any, Value] = {}
        self.new: dict[Value, Value] = {}
        self.forms: dict[Value, Form] = {}
        order = ordered([step.a, *step.states, step.y, *step.after, *step.gradients])
        self.uses = Counter(x for v in order for x in v.args)
        self.in_loop = set(ordered(v for v in step.dstates if v is not None))
        for v in order:
            if not v.of_g or v.kind == "g":
                self.new[v] = self.again(v, [self.new[x] for x in v.args])
            if v.kind == "g":
                self.forms[v] = {v: None}
            elif v.of_g and v.varies:
                self.forms[v] = self.form(v)
            elif v.of_g:  # totals, and what is computed from them
                self.new[v] = self.again(v, [self.value(x) for x in v.args])

    def result(self) -> Recorded:
        s, value = self.step, self.value
        da, *dstates = [None if v is None else value(v) for v in (s.da, *s.dstates)]
        return Recorded(
            value(s.a),
            [value(x) for x in s.states],
            value(s.y),
            [value(x) for x in s.after],
            [(value(x), g) for x, g in s.seeds],
            da,
            dstates,
            [(value(w), value(g)) for w, g in s.dweights],
            s.dtype,
        )

    def value(self, v: Value) -> Value:
        """What stands for v now."""
        if v not in self.new:
            self.new[v] = self.summed(self.forms[v], v)
        return self.new[v]

    def form(self, v: Value) -> Form:
        """Σ K * d of a value that depends on a gradient."""
        linear = v in self.in_loop
        match v.name, v.args:
            case "add", (x, y) if linear and x.of_g and y.of_g:
                return self.collected(v, x, self.forms[y])
            case "subtract", (x, y) if linear and x.of_g and y.of_g:
                return self.collected(v, x, self.scaled(self.forms[y], None, negative))
            case "negative", (x,) if linear:
                return self.scaled(self.single(x), None, negative)
            case "multiply", (x, k) if linear and not k.of_g:
                return self.scaled(self.single(x), self.new[k], multiply)
            case "multiply", (k, x) if linear and not k.of_g:
                return self.scaled(self.single(x), self.new[k], multiply)
            case "divide", (x, k) if linear and not k.of_g:
                return self.scaled(self.single(x), self.new[k], divide)
        return {self.again(v, [self.value(x) for x in v.args]): None}

    def single(self, v: Value) -> Form:
        """As a form of one gradient, which a sum of several becomes."""
        return self.forms[v] if len(self.forms[v]) == 1 else {self.value(v): None}

    def collected(self, v: Value, x: Value, other: Form) -> Form:
        """The sum of two forms; it is a gradient of its own where several others need it."""
        total = dict(self.forms[x])
        for d, k in other.items():
            total[d] = self.plus(d, total[d], k) if d in total else k
        return total if len(total) == 1 or self.uses[v] == 1 else {self.summed(total, v): None}

    def plus(self, d: Value, k: Value | None, other: Value | None) -> Value:
        one = self.number(1.0)
        return self.op(add, k or one, other or one)

    def scaled(self, form: Form, by: Value | None, op: Op) -> Form:
        """K * d with -K, K * k or K / k for K."""
        result: Form = {}
        for d, k in form.items():
            if by is None:
                result[d] = self.op(op, k or self.number(1.0))
            elif op is multiply:
                result[d] = by if k is None else self.op(op, k, by)
            else:
                result[d] = self.op(op, k or self.number(1.0), by)
        return result

    def summed(self, form: Form, like: Value) -> Value:
        """Σ K * d as a value."""
        total: Value | None = None
        for d, k in form.items():
            term = d if k is None else self.op(multiply, d, k)
            total = term if total is None else self.op(add, total, term)
        assert total is not None
        if total.shape != like.shape:  # a (B, 1) that stood for (B, n)
            total = self.make(Value("op", like.shape, like.dtype, (total,), name="broadcast"))
        if total.kind == "op":
            total.label = total.label or like.label
        return total

    def number(self, x: float) -> Value:
        return self.make(Value("number", (), np.dtype(float), number=x))

    def op(self, op: Op, *args: Value) -> Value:
        """An op of one or two values; of numbers it is a number."""
        if all(x.kind == "number" and not x.shape for x in args):
            return self.number(float(op.forward(*[x.number for x in args])))
        if op is multiply and any(x.kind == "number" and x.number == 1 and not x.shape for x in args):
            return next(x for x in reversed(args) if not (x.kind == "number" and x.number == 1 and not x.shape))
        if op is add and args[1].name == "negative":  # a + -b
            return self.op(subtract, args[0], args[1].args[0])
        shape = np.broadcast_shapes(*[x.shape for x in args])
        dtype = next((x.dtype for x in args if x.kind != "number"), args[0].dtype)
        return self.make(Value("op", shape, dtype, args, name=op.name, op=op))

    def again(self, v: Value, args: Sequence[Value]) -> Value:
        """The same value of other arguments."""
        if v.kind not in ("op", "total", "number"):
            return v
        settings: dict[str, Any] = {
            key: getattr(v, key) for key in ("name", "op", "output", "number", "start", "label")
        }
        return self.make(Value(v.kind, v.shape, v.dtype, args, **settings))

    def make(self, v: Value) -> Value:
        """The value, or an equal one that is there already."""
        op = v.op if v.name in ("apply", "where") or v.op is None else type(v.op)
        key = (v.kind, v.name, v.shape, v.dtype, v.args, v.output, v.start, v.number, type(v.number), op)
        known = self.made.setdefault(key, v)
        known.label = known.label or v.label
        return known
