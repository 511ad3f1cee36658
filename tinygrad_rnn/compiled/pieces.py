"""A step in the form that NumPy computes fastest: gates side by side, each by itself, and one tanh for all of them.

x[:, :H] of x = a + h W     becomes a[:, :H] + h W[:, :H], so that a gate lies in one piece of memory
σ(x)                        becomes (1 + tanh(x/2)) / 2, where the inner 1/2 goes into a copy of the weights
where(c, x, 0)              becomes the bits of x, or none of them
(1 - z) * n + z * h         becomes n + z * (h - n), where n is bounded
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ..ops.elementwise import Elementwise, add, multiply, subtract, tanh
from ..ops.functions import positive
from ..ops.indexing import GetItem
from .reading import NAMED
from .recording import Recorded
from .rewriting import Rewriting, is_number
from .symbols import ANSWERS
from .values import Value, ordered

LOGICAL_NOT = ANSWERS[np.logical_not]
BOUNDED = ("tanh", "sigmoid")


def elementwise(v: Value) -> bool:
    """Whether each entry is computed from those at its place."""
    return v.kind == "op" and v.name != "apply" and (v.op in NAMED or v.name in ("where", "masked", "as_mask"))


MASKED = Elementwise(lambda x, mask: (x.view(mask.dtype) & mask).view(x.dtype), name="masked")
"""x where all bits of the mask are set, else 0, whatever x is."""

AS_MASK = {
    np.dtype(f"f{n}"): Elementwise(lambda c, n=n: np.negative(c.view("i1"), dtype=f"i{n}"), name="as_mask")
    for n in (2, 4, 8)
}
"""All bits set where a condition holds, in integers as long as the floats that are masked."""


class Narrowing(Rewriting):
    """Columns of sums and products are sums and products of columns, where nobody needs them all together."""

    def __init__(self, step: Recorded) -> None:
        super().__init__(step)
        self.whole = {step.a, *step.states, step.y, *step.after, *step.gradients}
        self.whole |= {g for _, g in step.seeds}
        taken: dict[Value, list[tuple[int, int]]] = {}
        for v in reversed(self.order):
            for x in v.args:
                if v.name == "columns":
                    taken.setdefault(x, []).append((v.start, v.columns))
                elif elementwise(v) and v not in self.whole and v.varies:
                    if x.columns == v.columns:
                        taken.setdefault(x, []).extend(taken.get(v, []))
                else:
                    self.whole.add(x)
        for x, places in taken.items():  # of columns that overlap, nothing is gained
            places = sorted(set(places))
            if any(at < start + n for (start, n), (at, _) in pairwise(places)):
                self.whole.add(x)
        for v in reversed(self.order):  # what is whole is computed from what is whole
            if v in self.whole and v.name != "columns":
                self.whole.update(v.args)

    def rewritten(self, v: Value) -> Value:
        if v.name == "columns":
            return self.part(v.args[0], v.start, v.columns)
        return super().rewritten(v)

    def part(self, v: Value, start: int, n: int) -> Value:
        """Columns start .. start + n - 1 of v."""
        if v.columns == 1 or is_number(v) or (start, n) == (0, v.columns):
            return self.value(v)
        if v.kind == "number":
            return self.make(Value("number", (*v.shape[:-1], n), v.dtype, number=v.number))
        if not v.varies:
            taken = GetItem((..., slice(start, start + n)))
            return self.make(Value("op", (*v.shape[:-1], n), v.dtype, (self.value(v),), name="apply", op=taken))
        if v.name == "columns":
            return self.part(v.args[0], v.start + start, n)
        if v.name == "concatenate":
            at = 0
            for x in v.args:
                if at <= start and start + n <= at + x.columns:
                    return self.part(x, start - at, n)
                at += x.columns
        if v not in self.whole and elementwise(v):
            return self.again(v, [self.part(x, start, n) for x in v.args], n)
        if v not in self.whole and v.name == "matmul":
            return self.again(v, [self.value(v.args[0]), self.part(v.args[1], start, n)], n)
        settings = Value("op", (v.shape[0], n), v.dtype, (self.value(v),), name="columns", start=start)
        return self.make(settings)

    def again(self, v: Value, args: Sequence[Value], columns: int | None = None) -> Value:
        made = super().again(v, args, columns)
        if columns is not None:
            made.label = ""
        return made


class Halving(Rewriting):
    """σ by tanh, and a copy of those columns of a that lie beside others."""

    def __init__(self, step: Recorded) -> None:
        super().__init__(step)
        self.half = self.number(0.5)
        self.relus = {v.args[0]: v for v in self.order if v.name == "relu"}  # which are positive where that is
        self.ahead = {
            v for v in ordered([step.y, *step.after]) if v.varies and not set(ordered([v])) & set(step.states)
        }

    def rewritten(self, v: Value) -> Value:
        match v.name, v.args:
            case "sigmoid", (x,):
                t = self.op(tanh, self.halved(x) if self.uses[x] == 1 else self.op(multiply, self.value(x), self.half))
                y = self.op(add, self.op(multiply, t, self.half), self.half)
                y.label = v.label
                return y
            case "where", (condition, x, y) if x.shape == condition.shape == v.shape and is_number(y) and y.number == 0:
                return self.masked(v, self.value(condition), x)
            case "where", (condition, x, y) if y.shape == condition.shape == v.shape and is_number(x) and x.number == 0:
                return self.masked(v, self.op(LOGICAL_NOT, self.value(condition)), y)
            case "greater", (x, zero) if x in self.relus and is_number(zero) and zero.number == 0:
                return self.again(v, [self.value(self.relus[x]), self.value(zero)])
            case "columns", (x,) if x is self.step.a and not v.of_g:
                return self.op(positive, super().rewritten(v))
            case "add", (x, y) if (kept := self.kept(x, y) or self.kept(y, x)) is not None:
                kept.label = v.label
                return kept
        return super().rewritten(v)

    def masked(self, v: Value, condition: Value, x: Value) -> Value:
        """x where the condition holds, else 0."""
        integer = np.dtype(f"i{v.dtype.itemsize}")
        mask = self.make(Value("op", v.shape, integer, (condition,), name="as_mask", op=AS_MASK[v.dtype]))
        return self.make(Value("op", v.shape, v.dtype, (self.value(x), mask), name="masked", op=MASKED, label=v.label))

    def kept(self, x: Value, y: Value) -> Value | None:
        """n + z * (h - n) for x = (1 - z) * n and y = z * h; None where they are something else."""
        if x.name != "multiply" or y.name != "multiply" or self.uses[x] > 1 or self.uses[y] > 1:
            return None
        for less, n in (x.args, x.args[::-1]):
            if less.name == "subtract" and is_number(less.args[0]) and less.args[0].number == 1 and n.name in BOUNDED:
                z = less.args[1]
                if z in y.args:
                    h = y.args[1 - y.args.index(z)]
                    z, h, n = self.value(z), self.value(h), self.value(n)
                    return self.op(add, self.op(multiply, z, self.op(subtract, h, n)), n)
        return None

    def halved(self, v: Value) -> Value:
        """v / 2, by halves of weights where v is computed from them; v itself is not needed."""
        match v.name, v.args:
            case "add" | "subtract", (x, y) if all(self.uses[k] == 1 or not k.varies for k in v.args):
                return self.again(v, [self.halved(x), self.halved(y)])
            case "matmul", (x, w):
                return self.again(v, [self.value(x), self.op(multiply, self.value(w), self.half)])
            case "multiply", (x, y) if not x.varies or not y.varies:
                w, x = (x, y) if not x.varies else (y, x)
                return self.op(multiply, self.op(multiply, self.value(w), self.half), self.value(x))
            case "columns", (x,) if x is self.step.a:
                return self.op(multiply, super().rewritten(v), self.half)
        return self.op(multiply, self.value(v), self.half)


def pieces(step: Recorded) -> Recorded:
    """The step as NumPy is to compute it."""
    return Halving(Narrowing(step).result()).result()
