"""The numbers of the walk: every record forwards, then backwards those that a gradient reaches.

value       of each output: a number, the entries of a small tensor, or the norm of a larger one
constants   of each input that needs no gradient and is no plain number, likewise
gradient    dL/d(output), likewise; None where none arrives
parts       what the rule handed to an input, where that is not simply the gradient of that input
local       dy/dx for small tensors: row i, column j is dy_i/dx_j; the diagonal alone, where there is nothing else
leaves      each with its gradient after each contribution, in the order in which they arrive (`totals`), and the norm
            of what each time step contributes (`steps`)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ...autograd.tensor import Tensor
from ...engine.backward import pull, sweep
from ...engine.cotangent import Indexed, Lazy, completed
from ...engine.modes import Step
from ...engine.tape import Record
from ...unrolled.listing import Tape
from ...unrolled.tables import norm as norm_of_array
from ..flow import Flow
from ..reading import Reading
from .forms import Forms, rounded

SMALL = (48, 16, 4, 1)  # tensors of so many entries are written out: the most that keeps within the budget
BUDGET = 20_000  # numbers


def walk(tape: Tape, flow: Flow) -> dict[str, Any]:
    """All that the page knows of the records, ready for JSON."""
    return {**Forms(tape, flow).data(), **Numbers(tape, flow.reading).data()}


class Numbers:
    """Collects the numbers of a tape, in one sweep."""

    def __init__(self, tape: Tape, reading: Reading) -> None:
        self.tape, self.reading = tape, reading
        self.small = next((size for size in SMALL if _count(tape, size) <= BUDGET), 1)
        self.figure = partial(_figure, self.small)
        inputs = [x for record in tape for x in record.inputs if x is not None and x.record is not None]
        self.uses = Counter((x.record, x.output) for x in inputs)
        self.sums = {x: Sum(x, self.figure) for x in tape.leaves if x.requires_grad}

    def data(self) -> dict[str, Any]:
        value = [self.figures(record.values) for record in self.tape]
        constants = {k: found for k, record in enumerate(self.tape) if (found := self.constants(record))}
        return {"value": value, "constants": constants, **self.swept(), "leaves": [self.leaf(x) for x in self.sums]}

    def constants(self, record: Record) -> dict[int, Any]:
        """The inputs that the page has from nowhere else, by their place."""
        return {
            i: self.figure(a) for i, (x, a) in enumerate(zip(record.inputs, record.arrays, strict=True)) if _given(x, a)
        }

    def figures(self, arrays: tuple[Any, ...]) -> Any:
        """The figure of the only output, or a list of those of several."""
        found = [self.figure(array) for array in arrays]
        return found if len(found) > 1 else found[0]

    def swept(self) -> dict[str, Any]:
        """The backward walk: gradients, parts, local derivatives, and the totals of the leaves."""
        gradient: list[Any] = [None] * len(self.tape)
        parts: list[Any] = [0] * len(self.tape)  # 0 where there are none: shorter than an empty list
        local: dict[int, dict[int, Any]] = {}

        def visit(record: Record, gs: tuple[Any, ...]) -> tuple[Any, ...]:
            k = self.tape.numbers[record]
            gradient[k] = self.figures(completed(record, gs))
            kept: list[Any] = []
            for i, part in _handed(record, gs):
                x = record.inputs[i]
                if x.record is None:
                    self.sums[x].add(part, record.step)
                if x.record is None or self.uses[x.record, x.output] > 1:
                    kept += [None] * (i - len(kept)) + [self.figure(part)]
            parts[k] = kept or 0
            found = self.local(record)
            if found:
                local[k] = found
            return gs

        root = self.tape.root
        sweep([root], [np.ones_like(root.array)], retain_graph=True, visit=visit)
        return {"gradient": gradient, "parts": parts, "local": local}

    def local(self, record: Record) -> dict[int, Any]:
        """dy_i/dx_j of the small inputs of a small result, found by its own rule: one row for each entry of y."""
        size = sum(y.size for y in record.values)
        if size > self.small:
            return {}
        inputs = enumerate(record.inputs)
        sizes = {i: x.size for i, x in inputs if x is not None and x.requires_grad and x.size <= self.small}
        found = {i: np.zeros((size, n)) for i, n in sizes.items()}
        for row in range(size if sizes else 0):
            for i, part in _handed(record, _unit(record.values, row)):
                if i in found:
                    found[i][row] = written_out(part).ravel()
        return {i: [rounded(float(x)) for x in _diagonal(rows).flat] for i, rows in found.items()}

    def leaf(self, x: Tensor) -> dict[str, Any]:
        name, sums = self.reading.name(x) or "a leaf", self.sums[x]
        steps = [[t, rounded(size)] for t, size in sums.steps.items()]
        return {"name": name, "shape": x.shape, "value": self.figure(x.array), "totals": sums.totals, "steps": steps}


def _given(x: Tensor | None, array: Any) -> bool:
    """Whether an input is a constant, and none that is written as a number."""
    return bool(np.shape(array)) if x is None else not x.requires_grad


def _figure(small: int, array: Any) -> Any:
    """A number, the entries of a small tensor, or the norm of a larger one."""
    size = math.prod(array.shape)
    if size == 1 or size > small:
        return rounded(float(written_out(array).reshape(())) if size == 1 else norm(array))
    return [rounded(float(x), 8) for x in written_out(array).flat]  # so that norms of them are right to four digits


class Sum:
    """How the gradient of a leaf grows in the walk: its totals, and the norm of what each time step adds."""

    def __init__(self, x: Tensor, figure: Callable[[Any], Any]) -> None:
        self.figure = figure
        self.totals: list[Any] = []
        self.steps: dict[int, float] = {}
        self._total, self._of_step = np.zeros_like(x.array), np.zeros_like(x.array)
        self._step: Step | None = None

    def add(self, part: Any, step: Step | None) -> None:
        _add(part, self._total)
        self.totals.append(self.figure(self._total))
        if step is not None and step.t is not None:
            if step != self._step:  # all that a step contributes arrives before anything of another
                self._of_step[...] = 0
                self._step = step
            _add(part, self._of_step)
            self.steps[step.t] = norm(self._of_step)


def _add(part: Any, buffer: np.ndarray) -> None:
    if isinstance(part, Lazy):
        part.add_to(buffer)
    else:
        buffer += part


def norm(g: Any) -> float:
    """The Euclidean norm of a gradient, which may be lazy."""
    one_place = isinstance(g, Indexed) and not _listed(g.index)
    return norm_of_array(g.part if one_place else written_out(g))


def _listed(index: Any) -> bool:
    """Whether an index may name an entry twice."""
    return any(isinstance(i, np.ndarray) for i in (index if isinstance(index, tuple) else (index,)))


def written_out(g: Any) -> np.ndarray:
    """A gradient as an array, also where it is lazy."""
    return g.value() if isinstance(g, Lazy) else np.asarray(g)


def _handed(record: Record, gs: tuple[Any, ...]) -> Iterator[tuple[int, Any]]:
    """What the rule of a record hands on, with the place of the input: it goes through the inputs in their order."""
    inputs, i = record.inputs, -1
    for x, part in pull(record, gs):
        i = next(k for k in range(i + 1, len(inputs)) if inputs[k] is x)
        yield i, part


def _unit(values: tuple[np.ndarray, ...], row: int) -> tuple[np.ndarray, ...]:
    """A gradient that is 1 for one entry of the outputs and 0 for the others."""
    gs = [np.zeros_like(v) for v in values]
    for g in gs:
        if row < g.size:
            g.reshape(-1)[row] = 1
            break
        row -= g.size
    return tuple(gs)


def _diagonal(rows: np.ndarray) -> np.ndarray:
    """The diagonal of a matrix that has nothing else, else the matrix."""
    square = rows.shape[0] == rows.shape[1]
    return np.diagonal(rows) if square and not (rows - np.diag(np.diagonal(rows))).any() else rows


def _count(tape: Tape, small: int) -> int:
    """How many numbers it takes to write out all tensors of up to so many entries, with their local derivatives."""
    total = 0
    for record in tape:
        given = [np.size(a) for x, a in zip(record.inputs, record.arrays, strict=True) if _given(x, a)]
        total += sum(n if n <= small else 1 for n in given)
        size = sum(v.size for v in record.values)
        inputs = [x.size for x in record.inputs if x is not None and x.requires_grad and x.size <= small]
        total += 2 * (size if size <= small else 1) + (size * sum(inputs) if size <= small else 0)
    return total
