"""The tape as something to look at: ``print(tg.tape(loss))``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from .. import notebook
from ..autograd.checks import no_tensor, start_gradient
from ..autograd.tensor import Tensor
from ..engine.backward import opened, sweep
from ..engine.tape import Record
from ..engine.visitors import noting
from ..errors import GraphError
from .tables import norm

COLUMNS = ("#", "step", "name", "op", "inputs", "shape", "value", "gradient")
_SHOWN = 60  # a longer tape is printed with its middle left out


class Tape:
    """The records that lead to a tensor, in their order: a list to count, index, iterate and print; see `tape`.

    Printing shows a line a record: its number, layer and time step, the name of its output, the op, the numbers of
    its inputs (or the names of leaves), and shape, value and gradient of the output, as a number where it is one and
    as its norm otherwise. The gradients come from a sweep of their own, made when first needed: no ``.grad``
    changes, and the graph stays.
    """

    def __init__(self, root: Tensor) -> None:
        if not isinstance(root, Tensor):
            raise no_tensor(root, "tape() needs a Tensor")
        self.root = root
        self.records = opened([root])[::-1]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __getitem__(self, k: Any) -> Any:
        return self.records[k]

    @cached_property
    def numbers(self) -> dict[Record, int]:
        """The place of each record on this tape."""
        return {record: k for k, record in enumerate(self.records)}

    @cached_property
    def tensors(self) -> list[Tensor]:
        """The tensors that the records use, each once, in the order of their first use."""
        inputs = dict.fromkeys(chain.from_iterable(record.inputs for record in self.records))
        return [x for x in inputs if x is not None]

    @cached_property
    def names(self) -> dict[tuple[Record, int], str]:
        """The names given to outputs, found at the ops that use them."""
        tensors = (self.root, *self.tensors)
        return {(x.record, x.output): x.name for x in tensors if x.name and x.record is not None}

    @cached_property
    def leaves(self) -> list[Tensor]:
        """The leaf tensors that the root was computed from, in the order of their first use."""
        return [x for x in self.tensors if x.record is None]

    @cached_property
    def gradients(self) -> dict[Any, Any]:
        """d(root)/d(output) of every record, a tuple with one entry an output, and of every leaf that needs a gradient.

        Raises GraphError where the root is not a single number.
        """
        if self.root.size != 1:
            raise GraphError(f"gradients of a tape need a root with one entry, and this has shape {self.root.shape}")
        found: dict[Any, Any] = {}
        start = start_gradient(self.root, None, "tape()")
        waiting = sweep([self.root], [start], retain_graph=True, visit=noting(found))
        found.update(waiting.leaves())
        return found

    def rows(self, most: int | None = None) -> Iterator[tuple[str, ...]]:
        """The table that is printed, without its head: the number of a record, its step, name, op, inputs, and figures.

        most  so many rows, half of them from each end
        """
        gradients = vars(self).get("gradients", {})
        freed = any(record.freed for record in self.records)
        if self.root.size == 1 and self.root.requires_grad and not freed:
            gradients = self.gradients
        shown = list(enumerate(self.records))
        if most is not None and len(shown) > most:
            shown = [*shown[: most // 2], *shown[-most // 2 :]]
        for k, record in shown:
            yield str(k), *self._line(record, gradients.get(record))

    def __str__(self) -> str:
        rows = [COLUMNS, *self.rows(_SHOWN)]
        left_out = len(self.records) - _SHOWN
        widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        if left_out > 0:
            lines.insert(1 + _SHOWN // 2, f"... {left_out} more records ...")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        lines: list[Any] = list(self.rows(_SHOWN))
        left_out = len(self.records) - _SHOWN
        if left_out > 0:
            lines.insert(_SHOWN // 2, f"... {left_out} more records ...")
        return notebook.table(COLUMNS, lines, texts=range(1, len(COLUMNS)))

    def _line(self, record: Record, gs: tuple[Any, ...] | None) -> tuple[str, ...]:
        step = str(record.step) if record.step else ""
        if record.freed:  # by a backward pass since
            return step, "", record.op.name, "freed", "", "", ""
        outputs = range(record.op.outputs)
        name = ", ".join(filter(None, (self.names.get((record, k)) for k in outputs)))
        values = record.values
        pairs = zip(record.inputs, record.arrays, strict=True)
        return (
            step,
            name,
            record.op.name,
            shorten(", ".join(filter(None, (self._input(x, a) for x, a in pairs)))),
            str(values[0].shape).replace(" ", "") + (f" x{len(values)}" if len(values) > 1 else ""),
            figure(values[0]),
            figure(None if gs is None else gs[0]),
        )

    def _input(self, x: Tensor | None, array: Any) -> str:
        if x is None:
            return figure(array)
        if x.record in self.numbers:
            return f"%{self.numbers[x.record]}" + (f".{x.output}" if x.record.op.outputs > 1 else "")
        return x.name or ("leaf" if x.requires_grad else "const")

    def __repr__(self) -> str:
        return f"<tape of {len(self)} records>"


def tape(root: Tensor) -> Tape:
    """The list of records that lead to `root`.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> x = tg.tensor(0.5, requires_grad=True, name="x")
    >>> print(tg.tape(np.tanh(x) * x))
    #  step  name  op        inputs  shape  value   gradient
    0              tanh      x       ()     0.4621  0.5
    1              multiply  %0, x   ()     0.2311  1
    """
    return Tape(root)


def figure(array: Any) -> str:
    """A number as a number, an array as its norm."""
    if array is None:
        return ""
    if np.size(array) == 1:
        return f"{float(np.reshape(array, ())):.4g}"
    return f"‖{norm(array):.3g}‖"


def shorten(text: str, width: int = 24) -> str:
    """The text, its middle left out where it is long."""
    return text if len(text) <= width else f"{text[: width // 2 - 1]}..{text[1 - width // 2 :]}"
