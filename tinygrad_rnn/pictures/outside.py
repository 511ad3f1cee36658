"""What is drawn of the records outside of the time steps, and in which column."""

from __future__ import annotations

from ..engine.tape import Record
from .parts import Column
from .reading import Reading


def columns_outside(
    reading: Reading, requests: list[tuple[int, Record | None]], steps: list[int]
) -> tuple[dict[Record, Column], set[Record | None]]:
    """The column of each record outside the steps that has to be drawn; and those which something else needs.

    A record stands before the first step that needs it, or after the last that it depends on. What is made of the steps
    of one layer, and used by several of another, is a memory: it stands between them.

    requests  what is asked for, by the cells of which steps
    steps     the steps that are shown
    """
    wanted: dict[Record, int] = {}  # the earliest step that needs it
    for t, record in requests:
        if record is not None and record in reading.after:
            wanted[record] = min(t, wanted.get(record, t))
    end = reading.times[-1] if reading.times else 0
    root = reading.root.record
    if root is not None and root in reading.after:
        wanted.setdefault(root, end)
    found: dict[Record, Column] = {}
    memory = _memory(reading, requests)
    for record in reversed(reading.loose):
        if record in wanted:
            first = max(wanted[record], steps[0]) if steps else 0
            found[record] = Column("memory", first) if record in memory else _column(reading, record, first)
            for x in () if reading.stacked(record) else reading.inputs(record):
                made = None if x is None else reading.taken(x).record
                if made is not None and made in reading.after:
                    wanted[made] = min(wanted[record], wanted.get(made, end))
    ends = {record for _, record in requests if record is not None} | reading.network.added.losses | {root}
    ends |= {record for record in found if _meet(reading, record)}
    return found, ends | _needed_elsewhere(reading, found)


def _memory(reading: Reading, requests: list[tuple[int, Record | None]]) -> set[Record]:
    """What steps look at again and again that was made of other steps: the states of an encoder, for attention."""
    memories = {record for record, _ in reading.memories}
    stack = [record for _, record in requests if record is not None and record in memories]
    found = set(stack)
    while stack:
        record = stack.pop()
        for x in () if reading.stacked(record) else reading.inputs(record):
            made = None if x is None else reading.taken(x).record
            if made is not None and made not in found and reading.after.get(made) is not None:
                found.add(made)
                stack.append(made)
    return found


def _meet(reading: Reading, record: Record) -> bool:
    """Whether the outputs of several layers are put side by side here: those of the two directions of one."""
    if record.op.name != "concatenate" or any(x is None or x.ndim < 1 for x in record.inputs):
        return False
    sources = [reading.series(x).sources for x in reading.inputs(record) if x is not None]
    return len(set(sources)) > 1 and all(len(found) == 1 and isinstance(found[0], Record) for found in sources)


def _column(reading: Reading, record: Record, first: int) -> Column:
    """The column of a record that a step needs `first`."""
    if not reading.times:
        return Column("plain", 0)
    t = reading.after[record]
    return Column("setup", first) if t is None else Column("head", t)


def _needed_elsewhere(reading: Reading, found: dict[Record, Column]) -> set[Record]:
    """The records that another column needs: each is to have a box of its own."""
    needed = set()
    for record, column in found.items():
        for x in () if reading.stacked(record) else reading.inputs(record):
            made = None if x is None else reading.taken(x).record
            if made is not None and found.get(made, column) != column:
                needed.add(made)
    return needed
