"""What the records of a tape have in common from step to step: written once for the page, however long the tape is.

The *form* of a record is its op, the names and shapes of what comes out, and where its inputs come from. An input that
is another record of the steps is found by its distance, the same at every step. A time step is a list of forms.
"""

from __future__ import annotations

import inspect
import math
import textwrap
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ...autograd.tensor import Tensor
from ...engine.anomaly import Line, Lines
from ...engine.tape import Op, Record
from ...ops.elementwise import Derivative, Elementwise
from ...unrolled.listing import Tape, shorten
from ..amount import NONE
from ..flow import Flow
from ..reading import SYMBOLS, whole

INPUT = 0xE100  # this character and those that follow stand for the inputs in the text of a form
BEFORE = "\ue002"  # stands for the number of the time step less one: entry t - 1 belongs to step t


class Forms:
    """The forms of a tape, collected as they are met."""

    def __init__(self, tape: Tape, flow: Flow) -> None:
        self.tape, self.reading, self.flow = tape, flow.reading, flow
        self.leaves = {x: k for k, x in enumerate(x for x in tape.leaves if x.requires_grad)}
        self.known: dict[Any, int] = {}  # a form (its items, hashable) -> its number
        self.ops: dict[tuple[type[Op], str], tuple[int, Op]] = {}  # a kind of op -> its number, and one of them
        self.lines: dict[Lines, int] = {}

    def data(self) -> dict[str, Any]:
        """Everything about the tape but its numbers, ready for JSON."""
        forms = [self.known.setdefault(self.form(k, record), len(self.known)) for k, record in enumerate(self.tape)]
        return {
            "forms": [_unfrozen(form) for form in self.known],
            "ops": [described(op) for _, op in self.ops.values()],
            "lines": [[shown(line) for line in lines] for lines in self.lines],
            "layers": self.reading.layers,
            "words": self.reading.words,
            "states": self.states(),
            **self.runs(forms),
        }

    def form(self, k: int, record: Record) -> Any:
        """What a record shares with those of other steps, as a hashable tuple of (key, value)."""
        reading, op = self.reading, record.op
        pairs = list(zip(record.inputs, record.arrays, strict=True))
        line = None if record.line is None else self.lines.setdefault(record.line, len(self.lines))
        return (
            ("op", self.ops.setdefault((type(op), op.name), (len(self.ops), op))[0]),
            ("text", text(record)),
            ("names", tuple(reading.output_name(record, j) for j in range(op.outputs))),
            ("shapes", tuple(v.shape for v in record.values)),
            ("dtype", str(record.values[0].dtype)),
            ("inputs", tuple(self.input(k, i, record, x, a) for i, (x, a) in enumerate(pairs))),
            ("line", line),
        )

    def input(self, k: int, i: int, record: Record, x: Tensor | None, array: Any) -> tuple[tuple[str, Any], ...]:
        """Where input i of record k comes from."""
        if x is None:
            return (("shape", np.shape(array)),) if np.shape(array) else (("number", rounded(float(array))),)
        shape = (("shape", x.shape),) if x.shape else ()
        if not x.requires_grad:
            if x.cut is None:
                return (("name", self.constant_name(x)), *shape)
            t = x.cut.step.t if x.cut.step is not None else None
            here = record.step.t if record.step is not None else None
            back = here - t if here is not None and t is not None else None
            return (("cut", self.cut_name(record, i, x)), ("back", back), *shape)
        if x.record is None:
            return (("leaf", self.leaves[x]), *shape)
        j = self.tape.numbers[x.record]
        near = record in self.reading.where and x.record in self.reading.where
        output = (("output", x.output),) if x.record.op.outputs > 1 else ()
        return (("near", k - j) if near else ("record", j), *output)

    def constant_name(self, x: Tensor) -> str:
        reading = self.reading
        return reading.sequence_name(x) if x in reading.rows else reading.name(x) or "constant"

    def cut_name(self, record: Record, i: int, x: Tensor) -> str:
        """What a detached tensor is called: by its role, where it stands in the place of a state."""
        reading = self.reading
        if record in reading.where:
            name = reading.entering(reading.where[record]).get((record, i))
            if name is not None:
                return name
        return reading.name(x) or "state"

    def runs(self, forms: list[int]) -> dict[str, Any]:
        """The records in stretches of one time step: (layer, t, pattern), where a pattern is a list of forms."""
        where, layers = self.reading.where, self.reading.layers
        patterns: dict[tuple[int, ...], int] = {}
        found = []
        steps = [where.get(record) for record in self.tape]
        for step, stretch in groupby(zip(steps, forms, strict=True), key=lambda pair: pair[0]):
            pattern = patterns.setdefault(tuple(form for _, form in stretch), len(patterns))
            place = (None, None) if step is None else (layers.index(step.layer), step.t)
            found.append([*place, pattern])
        return {"patterns": [list(pattern) for pattern in patterns], "runs": found}

    def states(self) -> list[dict[str, Any]]:
        """The norm of the gradient of each state of each layer, at every time step; null where none arrives."""
        found = []
        for k, rows in enumerate(self.flow.states.values()):
            for name, row in rows.items():
                at = [row.get(t, NONE) for t in self.reading.times]
                norms = [None if a.kind == "none" else rounded(a.norm) for a in at]
                found.append({"layer": k, "name": name, "norms": norms})
        return found


def text(record: Record) -> str:
    """The op written out, with the characters from `INPUT` on for its inputs."""
    op = record.op
    count = len(record.inputs)
    parts = [chr(INPUT + i) for i in range(count)] if count <= 4 else [chr(INPUT), chr(INPUT + 1), "…"]
    if op.name == "getitem":
        k, step = whole(op.index), record.step  # type: ignore[attr-defined]
        if k is not None:
            return f"{parts[0]}[{BEFORE if step is not None and step.t is not None and k == step.t - 1 else k}]"
    if op.name == "affine":
        return "{} @ {} + {}".format(*parts)
    options = [f"{key}={shorten(repr(value), 30)}" for key, value in op.parameters.items() if key != "outputs"]
    if len(parts) == 2 and op.name in SYMBOLS and not options:
        return f" {SYMBOLS[op.name]} ".join(parts)
    return f"{SYMBOLS.get(op.name, op.name)}({', '.join([*parts, *options])})"


def described(op: Op) -> dict[str, Any]:
    """What is said of an op: its name, what its docstring begins with, and its rule as it is written."""
    if isinstance(op, Elementwise) and op.derivatives:
        operands = ("x",) if len(op.derivatives) == 1 else ("a", "b")
        about = ",  ".join(f"dL/d{x} = g · ∂y/∂{x}" for x in operands)
        rules = [_derivative(f"∂y/∂{x}", d) for x, d in zip(operands, op.derivatives, strict=False)]
    else:
        about = (op.__doc__ or "").strip().split("\n\n")[0]
        rules = [_source(rule) for rule in op.rules or [type(op).vjp]]
    return {"name": op.name, "about": " ".join(about.split()), "rules": list(dict.fromkeys(rules))}


def _derivative(which: str, d: Derivative) -> str:
    """An entry of the table of derivatives: the line it stands in, or the number."""
    return f"{which} = {d}" if isinstance(d, int | float) else _source(getattr(d, "d", d))


def shown(line: Line | None) -> dict[str, str] | None:
    """A line with the name of its file, without the folders: a page is handed on."""
    return line and {"where": f"{Path(line.file).name}:{line.number}", "code": line.code}


def _source(rule: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(rule)).strip()
    except (OSError, TypeError):  # typed into an interpreter, or not written in Python
        return ""


def rounded(x: float, digits: int = 4) -> float | str:
    """To so many digits; JSON has no word for nan and infinity."""
    return float(f"{x:.{digits}g}") if math.isfinite(x) else str(x)


def _unfrozen(form: Any) -> dict[str, Any]:
    """A form as the dictionary it was, without what it does not have."""
    found = {key: value for key, value in form if value is not None}
    found["inputs"] = [dict(part) for part in found["inputs"]]
    return found
