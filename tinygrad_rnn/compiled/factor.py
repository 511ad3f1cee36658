"""Gradients as sums of known factors times few of them.

A gradient depends linearly on the gradients that arrive: it is Σ_j K_j * d_j, where a factor K does not depend on them.
So a chain of products, dc * g * (i - i²), is K * dc, and terms of one d are collected: dh * h - dh * n = K * dh with
K = h - n. The factors are known before the backward loop begins, for all steps at once; in the loop remain one product
a gradient, and the sums.
"""

from __future__ import annotations

from ..engine.tape import Op
from ..ops.elementwise import add, divide, multiply, negative
from .recording import Recorded
from .rewriting import Rewriting
from .values import Value, ordered

Form = dict[Value, Value | None]
"""Σ K * d as {d: K}; None is a factor of 1."""


def factored(step: Recorded) -> Recorded:
    """The same step, its gradients as sums of factors times gradients; no expression stands twice."""
    return Factoring(step).result()


class Factoring(Rewriting):
    """`forms` has those of the gradients; one is written out as a value where that is asked for."""

    def __init__(self, step: Recorded) -> None:
        super().__init__(step)
        self.forms: dict[Value, Form] = {}
        self.in_loop = set(ordered(v for v in step.dstates if v is not None))
        for v in self.order:
            if v.kind == "g":
                self.forms[v] = {v: None}
            elif v.of_g and v.varies:
                self.forms[v] = self.form(v)

    def rewritten(self, v: Value) -> Value:
        return self.summed(self.forms[v], v) if v in self.forms else super().rewritten(v)

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
                return self.scaled(self.single(x), self.value(k), multiply)
            case "multiply", (k, x) if linear and not k.of_g:
                return self.scaled(self.single(x), self.value(k), multiply)
            case "divide", (x, k) if linear and not k.of_g:
                return self.scaled(self.single(x), self.value(k), divide)
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
