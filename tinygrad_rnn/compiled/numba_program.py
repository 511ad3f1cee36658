"""A recorded step as a program that numba compiles; `numba_run.py` runs it over the steps of a layer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from ..errors import CompileError
from . import cache
from .kernels import Kernels
from .numba_printer import AFTER, ARRIVING, BEFORE, GRADIENT, IN, NOW, OUT, Loop, Place, columns, common_width, is_row
from .recording import Recorded
from .scalars import REDUCTIONS, cheap
from .values import Value, ordered

_SIZES = ["product", "T", "B", "H", "k0", "k1", "t0", "d", "some_end"]
"""What both functions get, after the rows b0 .. b1 - 1 of the batch: the address of the product; sizes; the steps
k0 .. k1 - 1, in the order in which they are taken; the first time step t0 of gradients; the direction d; whether a
sequence ends before the last step."""

_HEAD = """import numpy as np
from numba import cfunc, float32, float64, int64, njit, types, uint8, void
from .functions import exp{bits} as exp, maximum, minimum, plus, power, sigmoid{bits} as sigmoid, sign, softplus
from .functions import tanh{bits} as tanh
from .products import multiply
from .programs import Apart, bytes_at, fast, floats{bits}_at as floats_at, rows, word
from .vectors import at

F = np.float{bits}
A, R = float{bits}[::1], types.Array(float{bits}, 1, "C", readonly=True)
"""

_READ = {"a", "dy"}
"""Arrays that somebody else may have locked. Others are our own."""

_FUNCTION = """@njit(void({kinds}), pipeline_class=Apart, **fast)
def {name}({arguments}):
    for k in range({steps}):
        t = k if d > 0 else T - 1 - k
        p, q = (t, t + 1) if d > 0 else (t + 1, t)
        {body}
        if some_end:
            for b in range(b0, b1):
                if dead[t * B + b]:
                    {held}


@cfunc(rows, cache=True)
def {name}_rows(given, b0, b1):
    {name}(b0, b1, {words})
"""


def _row(to: Place, *terms: Place) -> list[str]:
    """All columns of row b: a sum. (numba compiles a loop in a third of the time of an assignment of slices.)"""
    entries = [f"{place.array}[{place.start('b')} + j]" for place in (to, *terms)]
    return [f"for j in range({columns(to.blocks)}):", f"    {entries[0]} = {' + '.join(entries[1:]) or 'F(0)'}"]


class NumbaProgram:
    """Places for all that a step computes, and the text of the two loops.

    Arrays over steps, in the order of time: ``a``; ``s0``, ``s1``: the parts of the state, with an entry more; ``y``,
    where it is no part of the state; ``kept`` and ``m0``, ...: what the backward pass reads; ``d0``, ...: gradients.
    For one step: ``e0``, ``e1``: dL/d(state); ``u0``, ...
    """

    def __init__(self, step: Recorded, weights: Sequence[Value] | None = None) -> None:
        self.step, self.dtype = step, step.dtype
        if step.dtype not in (np.float32, np.float64):
            raise CompileError(f"machine code computes with float32 and float64, not with {step.dtype}")
        self.H = H = common_width(step)
        everything = ordered([step.y, *step.after, *step.gradients])
        self.weights = step.weights if weights is None else list(weights)
        self.totals = [v for v in everything if v.kind == "total"]
        self.widths: dict[str, int] = {"a": step.a.columns // H}
        self.given = {step.a: Place("a", NOW, step.a.columns // H)}
        for k, v in enumerate(step.states):
            self.widths[f"s{k}"] = v.columns // H
            self.given[v] = Place(f"s{k}", BEFORE, v.columns // H)
        self._forward_and_backward()
        self.names = self.arguments(self.ahead), self.arguments(self.back)
        self.kept_arrays = {name: n for name, n in self.widths.items() if name[0] not in "asd"}
        self.gradient_arrays = {name: n for name, n in self.widths.items() if name[0] == "d"}
        self.zero = np.zeros(
            max([H, *(v.shape[1] for loop in (self.ahead, self.back) for v in loop.packed)]), self.dtype
        )
        self.source = self._text()

    def place(self, v: Value) -> Place:
        """Where a value over time is."""
        return self.over.get(v) or self.known[v]

    # ---------------------------------------------------------------- places

    def _forward_and_backward(self) -> None:
        step, H = self.step, self.H
        known = dict(self.given)
        ahead: list[tuple[Value, Place]] = []
        for k, v in enumerate(step.after):
            place = Place(f"s{k}", AFTER, v.columns // H)
            ahead.append((v, place))
            if v.varies:
                known.setdefault(v, place)
        if step.y not in step.after:
            self.widths["y"] = step.y.columns // H
            ahead.append((step.y, Place("y", NOW, step.y.columns // H)))
        forward = set(ordered([step.y, *step.after]))
        wanted = [x for v in self.totals for x in v.args]
        ends = [v for v in (step.da, *step.dstates) if v is not None]
        ahead += self._kept([*ends, *wanted], forward, known)
        back: list[tuple[Value, Place]] = []
        self.over: dict[Value, Place] = {}
        gradients = [v for v in (step.da, *wanted) if v is not None]
        for v in sorted(gradients, key=lambda v: v.name != "concatenate"):
            if v in self.over or v in known:
                continue
            name = f"d{len(back)}"
            self.widths[name] = 0 if is_row(v) else v.columns // H
            place = self.over[v] = Place(name, GRADIENT, self.widths[name])
            back.append((v, place))
            if v.name == "concatenate":  # its parts need no other place
                for x, slot in zip(v.args, accumulate([0, *(x.columns // H for x in v.args)]), strict=False):
                    self.over.setdefault(x, place._replace(slot=slot))
        self.known = known
        arriving: dict[Value, list[Place]] = {}
        for result, g in step.seeds:
            arriving[g] = [Place(f"e{k}", IN, v.columns // H) for k, v in enumerate(step.after) if v is result]
            if result is step.y:
                arriving[g].append(Place("dy", ARRIVING, step.y.columns // H))
        for k, d in enumerate(step.dstates):
            none = Value("number", (), np.dtype(float))
            back.append((none if d is None else d, Place(f"e{k}", OUT, step.states[k].columns // H)))
        self.ahead = Loop(H, ahead, self.given, {})
        self.back = Loop(H, back, known, arriving)

    def _kept(self, targets: list[Value], forward: set[Value], known: dict[Value, Place]) -> list[tuple[Value, Place]]:
        """What forward keeps for backward: the costly values that this meets first, on its way back."""
        found: list[Value] = []
        waiting, seen = list(targets), set(known)
        while waiting:
            v = waiting.pop()
            if v in seen or not (v.varies or v.kind == "total"):
                continue
            seen.add(v)
            costly = v.kind == "op" and not cheap(v) and (v.name in REDUCTIONS or not is_row(v))
            if v in forward and costly:
                found.append(v)
            else:
                waiting += v.args
        H, slots = self.H, 0
        for n, v in enumerate(found):
            if is_row(v):
                self.widths[f"m{n}"] = 0
                known[v] = Place(f"m{n}", NOW, 0)
            elif v.name == "matmul":  # as it comes from the product, without a copy
                self.widths[f"u{n}_"] = v.columns // H
                known[v] = Place(f"u{n}_", NOW, v.columns // H)
            else:
                known[v] = Place("kept", NOW, 0, slots)
                slots += v.columns // H
        self.widths["kept"] = slots
        for v in found:
            if known[v].array == "kept":
                known[v] = known[v]._replace(blocks=slots)
        return [(v, known[v]) for v in found]

    # ---------------------------------------------------------------- text

    def arguments(self, loop: Loop) -> list[str]:
        """The names of arrays that a function gets, in order."""
        used = set(re.findall(r"\b[a-z]\w*\b", "\n".join(loop.text)))
        arrays = [name for name in self.widths if name in used or name[0] in "sd"]
        arrays = [n for n in arrays if n[0] != "d" or loop is self.back]
        if loop is self.back:
            arrays += [f"e{k}" for k in range(len(self.step.states))]
            arrays += ["dy"]
        return [*arrays, *loop.scratch, *loop.weights.values(), *loop.packed.values(), "zero"]

    def _text(self) -> str:
        bits = 8 * self.dtype.itemsize
        parts = [_HEAD.format(bits=bits)]
        for name, loop, steps in (("forward", self.ahead, "k0, k1"), ("backward", self.back, "k1 - 1, k0 - 1, -1")):
            arrays = self.arguments(loop)
            integers, numbers = _SIZES + ["dy_rows"] * (loop is self.back), list(loop.numbers.values())
            kinds = ["int64"] * (2 + len(integers)) + [f"float{bits}"] * len(numbers)
            kinds += ["uint8[::1]", *["R" if name in _READ else "A" for name in arrays]]
            parts.append(
                _FUNCTION.format(
                    name=name,
                    kinds=", ".join(kinds),
                    arguments=", ".join(["b0", "b1", *integers, *numbers, "dead", *arrays]),
                    words=", ".join(self._words(len(integers), len(numbers), len(arrays))),
                    steps=steps,
                    body=("\n" + 8 * " ").join(loop.text),
                    held=("\n" + 20 * " ").join(self._held() if loop is self.ahead else self._passed()),
                )
            )
        return "\n\n".join(parts)

    @staticmethod
    def _words(integers: int, numbers: int, arrays: int) -> list[str]:
        """The arguments of a function but for the rows, as they lie in a list of words; numbers are in one array."""
        words = [f"word(given, {k})" for k in range(integers + 2 + arrays)]
        floats, dead, *others = words[integers:]
        found = [f"floats_at({floats})[{k}]" for k in range(numbers)]
        return [*words[:integers], *found, f"bytes_at({dead})", *[f"floats_at({array})" for array in others]]

    def _held(self) -> list[str]:
        """A sequence that has ended keeps its state."""
        states = [Place(f"s{k}", AFTER, self.widths[f"s{k}"]) for k in range(len(self.step.states))]
        return [line for x in states for line in _row(x, x._replace(row=BEFORE))]

    def _passed(self) -> list[str]:
        """The gradient of a sequence that has ended passes by, and nothing else has any."""
        step, lines = self.step, []
        for k, after in enumerate(step.after):
            e = Place(f"e{k}", OUT, self.widths[f"s{k}"])
            arriving = [e._replace(row=IN)]
            if step.y is after and k == step.after.index(step.y):
                arriving.append(e._replace(array="dy", row=ARRIVING))
            lines += _row(e, *arriving)
        whole = [d for d in self.over.values() if d.blocks == self.widths[d.array] and not d.slot]
        for d in dict.fromkeys(whole):  # a gradient and its first columns begin at the same place
            lines += _row(d) if d.blocks else [f"{d.number()} = F(0)"]
        return lines

    @property
    def text(self) -> str:
        """What is compiled: short functions of the files in `machine/`, and the two loops."""
        return cache.resolved(self.source)

    def compile(self) -> None:
        """Make the machine code, or fetch it from the cache."""
        self.kernels = Kernels(self.dtype)
        self.module = cache.load("step", self.text)
        self.rows = self.module.forward_rows.address, self.module.backward_rows.address

    def __str__(self) -> str:
        return self.source
