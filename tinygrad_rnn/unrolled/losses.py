"""How a loss was added up: over the steps of a loop, over windows, of several parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from ..autograd.tensor import Tensor
from ..engine.tape import Record
from .listing import Tape

ADDING, SCALING, REDUCING = ("add", "subtract"), ("multiply", "divide", "negative"), ("sum", "mean")


class Added:
    """The sums that lead to the root of a tape: ``loss = loss + L_t``, with constant factors if any.

    Inside the steps of a loop such a sum passes from step to step as a state does, and is none. It is of single
    numbers, or of one number for each sequence, added up or averaged at last. A sum that is used for anything else as
    well, or has a name, is not counted.

    where   which step each record of a step belongs to
    sums    the places of the sums
    losses  the root, and the numbers that were added up to make it
    """

    def __init__(self, tape: Tape, where: Mapping[Record, Any]) -> None:
        self.tape, self.where = tape, where
        self.sums: set[tuple[Record, int]] = set()
        stack = [(tape.root.record, tape.root.output)] if tape.root.record is not None else []
        self.losses = {record for record, _ in stack}
        while stack:
            place = record, _ = stack.pop()
            if not self._adds(record):
                continue
            self.sums.add(place)
            for x in record.inputs:
                if x is not None and x.requires_grad and x.record is not None:
                    if record.op.name in ADDING and x.size == 1 and not self._passes_on(x.record):
                        self.losses.add(x.record)
                    if self._used_once(x):
                        stack.append((x.record, x.output))

    def _passes_on(self, record: Record | None) -> bool:
        """Whether a number is a sum itself, or a part of one, rather than a loss of its own."""
        while record is not None and record.op.name in SCALING and self._adds(record):
            record = next(x.record for x in record.inputs if x is not None and x.requires_grad)
        return record is not None and record.op.name in ADDING and self._adds(record)

    def _adds(self, record: Record) -> bool:
        y, inside = record.values[0], record in self.where
        needed = [x for x in record.inputs if x is not None and x.requires_grad]
        if len(record.values) > 1 or (y.ndim > 1 and y.size > 1):
            return False
        if record.op.name in SCALING:
            return len(needed) == 1 and not (inside and y.size > 1)
        if record.op.name in REDUCING:  # of one number for each sequence
            return not inside and all(x.ndim == 1 and x.record in self.where for x in needed)
        earlier = [x for x in needed if x.record is not None and self.where.get(x.record) != self.where.get(record)]
        carried = len(needed) < 2 or any(map(self._used_once, earlier))
        return record.op.name in ADDING and (y.size == 1 or not inside or carried)

    def _used_once(self, x: Tensor) -> bool:
        return self._uses[x.record, x.output] == 1 and x.name is None

    @cached_property
    def _uses(self) -> Counter[Any]:
        return Counter((x.record, x.output) for r in self.tape.records for x in r.inputs if x is not None and x.record)
