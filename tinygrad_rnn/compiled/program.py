"""A scheduled step, printed as NumPy: the loops over time, each line one call on arrays that are there already.

`print(program)` shows it. A name stands for one step within a loop, and for all steps outside of one.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..ops.reduction import Max, Mean, Min, Sum
from .layout import IN_LOOP, Layout
from .places import Call, Ref, split
from .recording import Recorded
from .schedule import Schedule
from .values import Arrays, Value, ordered

NUMBERS = {0.5: "half", 1.0: "one", 0.0: "zero", 2.0: "two"}


class Program:
    """The text of the loops over time of one step, and what they work on.

    weights  the weights of the step
    lengths  whether sequences may end before others
    """

    def __init__(self, step: Recorded, lengths: bool = False) -> None:
        self.step, self.lengths = step, lengths
        self.layout = Layout(Schedule(step))
        self.weights = step.weights
        self._where: dict[Value, Any] = {}
        space: dict[str, Any] = functions() | {"product": product}
        self.parts = {phase: Part(self, phase, space) for phase in self.layout.calls}
        self.source = "\n\n".join(part.text for part in self.parts.values() if part.lines)
        exec(compile(self.source, "<compiled step>", "exec"), space)
        for phase, part in self.parts.items():
            part.function = space.get(phase)

    def where(self, v: Value) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
        """The buffer of a value, and what of its array the value is, for all steps."""
        if v not in self._where:
            ref = self.layout.place(v)
            self._where[v] = ref.buffer.name, ref.of()
        return self._where[v]

    def __str__(self) -> str:
        return self.source


class Part:
    """One function of a program: what is computed in one phase.

    parameters  what it is given, by name: a `Ref`, or how to make a constant of the weights
    """

    def __init__(self, program: Program, phase: str, space: dict[str, Any]) -> None:
        self.layout, self.step, self.phase, self.space = program.layout, program.step, phase, space
        self.lengths, self.loop = program.lengths, phase in IN_LOOP
        self.parameters: dict[str, Any] = {}
        self.names: dict[Any, str] = {}
        self.lines: list[str] = []
        self.function: Any = None
        if phase == "backward":
            self.arriving()
        for call in self.layout.calls[phase]:
            self.call(call)
        if phase == "forward":
            self.moved_on()
        if phase == "backward":
            self.handed_on()
        self.text = self.printed()
        self.constants = [x for x in self.parameters.values() if isinstance(x, tuple) and x[0] == "weights"]
        self.views = self.bound()

    def bound(self) -> Any:
        """What the function is given, of the arrays by name and of constants made of the weights."""
        fixed: dict[str, Any] = {"split": split}
        words = []
        for name, x in self.parameters.items():
            if x == "dead":
                words.append("A['dead'][::-1]" if self.phase == "backward" else "A['dead']")
            elif x in self.constants:
                words.append(f"C[{self.constants.index(x)}]")
            elif isinstance(x, Ref) or x[0] == "one":
                ref = x if isinstance(x, Ref) else x[1]
                text = re.sub(r"\bx\b", f"A['{ref.buffer.name}']", ref.text(self.phase == "backward"))
                words.append(text if ref is x else f"{text}[:, None]")
            else:
                fixed[f"fixed_{name}"] = made(x, {}, self.step.dtype)
                words.append(f"fixed_{name}")
        return eval(f"lambda A, C: [{', '.join(words)}]", fixed)

    def printed(self) -> str:
        body, indent = self.lines, "    "
        moving = [name for name, x in self.parameters.items() if self.moves(x)]
        if self.loop and self.lines and not moving:  # as many steps as there are of dL/dy
            moving = [self.name(Ref(self.layout.dy, 0, 0, 0, 0, self.layout.dy.n), "dy")]
        head = [f"def {self.phase}({', '.join(self.parameters)}):"]
        if self.loop and self.lines:
            names = ", ".join(moving)
            head.append(f"    for {names}{',' * (len(moving) == 1)} in zip({names}):")
            indent = "        "
        return "\n".join([*head, *[indent + line for line in body]]) + "\n"

    @staticmethod
    def moves(x: Any) -> bool:
        return x == "dead" or (isinstance(x, Ref) and x.buffer.extent != "step")

    # ---------------------------------------------------------------- names

    def name(self, ref: Any, wish: str) -> str:
        """The name of what is given, a new one where it has none."""
        if ref not in self.names:
            name = re.sub(r"\W", "_", wish)
            name = name if name.isidentifier() and not keyword.iskeyword(name) else f"x_{name}"
            while name in self.parameters or name in self.space or isinstance(getattr(np, name, None), np.ufunc):
                name += "_"
            self.names[ref] = name
            self.parameters[name] = ref
        return self.names[ref]

    def ref(self, run: list[Value]) -> str:
        """A name for where values lie side by side."""
        k = 0 if len(run) == 1 else len(run)
        ref = self.layout.place(run[0], k)
        return self.name(ref, self.wish(ref, run))

    def wish(self, ref: Ref, run: Iterable[Value]) -> str:
        """What the equations call it, or the buffer's own name."""
        kind, number = ref.buffer.name[0], ref.buffer.name[1:]
        if kind in "Sen" and number.isdigit():
            label = self.label(int(number))
            return {"S": f"{label}_t" if ref.shift else label, "e": f"d{label}", "n": f"next_d{label}"}[kind]
        labels = [called(self.layout.cells[self.layout.base(v)].values[0]) for v in run]
        if all(labels) and kind not in "Kd":
            return "_".join(labels)
        if ref.buffer.columns and ref.buffer.name[0] == "d" and ref.n * max(ref.k, 1) == ref.buffer.size:
            return ref.buffer.name
        whole = ref.buffer.size in (1, ref.k) and ref.n == ref.buffer.n
        at = ref.at // ref.n if ref.buffer.columns else ref.at
        return ref.buffer.name + ("" if whole else "_" + "".join(str(at + k) for k in range(max(ref.k, 1))))

    def label(self, k: int) -> str:
        return self.step.after[k].label or f"s{k}"

    def constant(self, values: tuple[Value, ...], rows: tuple[Any, ...] = ()) -> str:
        """A name for a number, a weight, or several of them stacked up."""
        first = values[0]
        if first.kind == "number":
            return self.name(("number", first.number), NUMBERS.get(first.number, "number"))
        labels = dict.fromkeys(w.label for v in values for w in ordered([v]) if w.kind == "weight" and w.label)
        turned = "_T" * (first.op is not None and first.op.name in ("swap_axes", "transpose"))
        return self.name(("weights", values, rows), "_".join(labels) + turned or "weight")

    # ---------------------------------------------------------------- lines

    def line(self, function: str, *names: str) -> None:
        out = "out=" * (function in ("maximum", "minimum") and len(names) > 2)  # which take no third argument
        self.lines.append(f"{function}({', '.join([*names[:-1], out + names[-1]])})")

    def operand(self, xs: tuple[Value, ...]) -> str:
        """What the values of a call have at one place of their arguments."""
        first = xs[0]
        if not first.varies:
            same = all(x is first for x in xs) or (first.kind == "number" and not first.shape)
            return self.constant(xs[:1] if same else xs)
        if all(x is first for x in xs):
            ref = self.layout.place(first)
            if len(xs) > 1 and not self.loop:  # beside an axis of slabs it has one of its own
                return self.name(("one", ref), self.wish(ref, [first]))
            return self.name(ref, self.wish(ref, [first]))
        return self.ref(list(xs))

    def call(self, call: Call) -> None:
        if call.copy is not None:
            source = call.run[1]
            value = self.ref([source]) if source.varies else self.constant((source,))
            self.line("copyto", self.name(call.copy, self.wish(call.copy, [])), value)
            return
        v, run = call.run[0], call.run
        out = self.ref(run)
        if v.name == "matmul":
            x = v.args[0]
            rows = tuple(self.layout.orders.get(x, ()))
            self.line(
                "matmul" if self.loop else "product",
                self.operand((x,)),
                self.constant(tuple(u.args[1] for u in run), rows),
                out,
            )
            return
        args = [self.operand(xs) for xs in zip(*[u.args for u in run], strict=True)]
        self.computed(v, args, out)

    def computed(self, v: Value, args: list[str], out: str) -> None:
        """The lines for one op."""
        op: Any = v.op
        if v.name == "where":
            self.line("copyto", out, args[2])
            self.line("copyto", out, args[1], f"where={args[0]}")
        elif v.name == "relu":
            self.line("maximum", args[0], self.constant_number(0.0), out)
        elif v.name == "softplus":
            self.line("logaddexp", args[0], self.constant_number(0.0), out)
        elif v.name in ("masked", "as_mask"):
            self.line(v.name, *args, out)
        elif v.name == "positive":
            self.line("copyto", out, args[0])
        elif type(op) in (Sum, Mean, Max, Min) and v.name != "apply":
            if v.name in ("max", "min"):
                self.line(v.name, args[0], out)
            else:  # a product with a column of ones is the fastest sum
                n = v.args[0].columns
                column = self.name(("column", 1 / n if v.name == "mean" else 1.0, n), f"{v.name}_of_{n}")
                self.line("matmul", args[0], column, out)
        elif v.name != "apply" and isinstance(op.forward, np.ufunc):
            self.space[op.forward.__name__] = op.forward
            self.line(op.forward.__name__, *args, out)
        else:
            name = op.name
            while self.space.setdefault(name, ByRows(op, v.output)) != ByRows(op, v.output):
                name += "_"
            self.line("copyto", out, f"{name}({', '.join(args)})")

    def constant_number(self, x: float) -> str:
        return self.name(("number", x), NUMBERS.get(x, "number"))

    # ---------------------------------------------------------------- from one step to the next

    def moved_on(self) -> None:
        """The state after the step where it is not computed in its place; that of ended sequences stays."""
        for v, buffer in zip(self.step.after, self.layout.states, strict=True):
            there = Ref(buffer, 0, 0, 1, 0, buffer.n)
            if self.layout.cells.get(v) is None or self.layout.place(v) != there:
                self.line("copyto", self.name(there, self.wish(there, [])), self.ref([v]))
        for buffer in self.layout.states if self.lengths else ():
            old, new = (Ref(buffer, 0, 0, shift, 0, buffer.n) for shift in (0, 1))
            names = [self.name(ref, self.wish(ref, [])) for ref in (new, old)]
            self.line("copyto", *names, f"where={self.name('dead', 'dead')}")

    def arriving(self) -> None:
        """What arrives at the results of a step from later ones is there; from outside, dL/dy comes to it."""
        step, layout = self.step, self.layout
        self.space["add"] = np.add
        for out, _ in step.seeds:
            if out is step.y and layout.holders(out):
                d = self.gradient(layout.holders(out)[0])
                self.line("add", d, self.name(Ref(layout.dy, 0, 0, 0, 0, out.columns), "dy"), d)
        for buffer in layout.gradients if self.lengths else ():  # that of a sequence that has ended passes by
            d = self.gradient(buffer)
            self.lines.append(f"kept_{d} = where({self.name('dead', 'dead')}, {d}, 0)")
            self.line("copyto", d, "0", f"where={self.name('dead', 'dead')}")
        for out, g in step.seeds:
            first, *others = layout.holders(out) or [layout.dy]
            for other in others:
                self.line("add", self.gradient(first), self.gradient(other), self.gradient(first))
            if layout.cells[g].buffer not in (first, None):  # it is needed after the loop
                self.line("copyto", self.ref([g]), self.gradient(first))

    def gradient(self, buffer: Any) -> str:
        ref = Ref(buffer, 0, 0, 0, 0, buffer.n)
        return self.name(ref, self.wish(ref, []))

    def handed_on(self) -> None:
        """dL/d(state before the step), where it is not computed in its place."""
        moved: dict[Any, str | None] = {}
        sources: dict[Any, Any] = {}
        for v, buffer in zip(self.step.dstates, self.layout.gradients, strict=True):
            if v is None:
                moved[buffer] = None
            elif not v.varies:
                moved[buffer] = self.constant((v,))
            elif self.layout.place(v) != Ref(buffer, 0, 0, 0, 0, buffer.n):
                moved[buffer], sources[buffer] = self.ref([v]), self.layout.place(v).buffer
        for buffer, source in sources.items():
            if source in moved and source is not buffer:  # which is overwritten itself
                name = moved[buffer]
                self.lines.append(f"{name}_before = {name}.copy()")
                moved[buffer] = f"{name}_before"
        for buffer, name in moved.items():
            to = self.gradient(buffer)
            self.lines.append(f"{to}.fill(0)" if name is None else f"copyto({to}, {name})")
        for buffer in self.layout.gradients if self.lengths else ():
            d = self.gradient(buffer)
            self.line("add", d, f"kept_{d}", d)


def called(v: Value) -> str:
    """What the equations call a value: c; or tanh_c."""
    unary = v.kind == "op" and len(v.args) == 1 and v.args[0].label and v.name != "apply"
    return v.label or (f"{v.name}_{v.args[0].label}" if unary else "")


def product(x: np.ndarray, w: np.ndarray, out: np.ndarray) -> None:
    """out = x w for all steps, as one product of matrices where they lie one behind the other."""
    if x.flags.c_contiguous and out.flags.c_contiguous:
        np.matmul(x.reshape(-1, x.shape[-1]), w, out=out.reshape(-1, out.shape[-1]))
    else:
        np.matmul(x, w, out=out)


def functions() -> dict[str, Any]:
    """What the lines of a program call, by name."""
    return {
        "matmul": np.matmul,
        "copyto": np.copyto,
        "where": np.where,
        "maximum": np.maximum,
        "logaddexp": np.logaddexp,
        "masked": lambda x, mask, out: np.bitwise_and(x.view(mask.dtype), mask, out.view(mask.dtype)),
        "as_mask": lambda condition, out: np.negative(condition.view("i1"), out=out, dtype=out.dtype),
        "max": lambda x, out: np.maximum.reduce(x, -1, out=out, keepdims=True),
        "min": lambda x, out: np.minimum.reduce(x, -1, out=out, keepdims=True),
        "zip": zip,
    }


class ByRows:
    """An op of which only `forward` is known, on the rows of arrays over time."""

    def __init__(self, op: Any, output: int) -> None:
        self.op, self.output = op, output

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByRows) and (self.op, self.output) == (other.op, other.output)

    __hash__ = None  # type: ignore[assignment]

    def __call__(self, *xs: Any) -> Any:
        over = max((x.shape for x in xs if np.ndim(x) > 2), key=len, default=None)
        rows = [x.reshape(-1, x.shape[-1]) if np.ndim(x) > 2 else x for x in xs]
        y = self.op.forward(*rows)
        y = y[self.output] if self.op.outputs > 1 else y
        return y if over is None else y.reshape(*over[:-1], y.shape[-1])


def made(key: Any, known: Arrays, dtype: np.dtype[Any]) -> np.ndarray:
    """A constant of a program, of the weights as they are now."""
    if key[0] == "number":
        return np.full((), key[1], dtype)
    if key[0] == "column":
        return np.full((key[2], 1), key[1], dtype)
    _, values, rows = key
    arrays = [v.array(known) if v.kind != "number" or not v.shape else np.zeros(()) for v in values]
    if rows:
        arrays = [np.concatenate([w[first:end] for first, end in rows]) for w in arrays]
    if len(arrays) == 1:
        return np.ascontiguousarray(arrays[0])
    return np.stack([w if w.ndim > 1 else w[None] for w in arrays])
