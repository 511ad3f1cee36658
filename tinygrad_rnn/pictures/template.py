"""What one cell of the picture holds: the boxes of one time step of one layer, and how they are joined.

Steps that have the same structure share one `Template`. It is built once, laid out once, and drawn T times with another
number in the place of `MARK`, so a thousand steps cost little more than one.
"""

from __future__ import annotations

import math
import re
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.modes import Step
from ..engine.tape import Record
from ..unrolled.listing import figure, shorten
from .reading import MARK, SYMBOLS, Reading

WORDS = {
    "input": "input",
    "leaf": "input, gets a gradient",
    "entry": "an entry of a sequence computed elsewhere, gets a gradient",
    "ref": "shared weight",
    "array": "plain array",
    "alive": "the sequences of the batch that have not ended",
    "cut": "detached: no gradient passes",
}

ROUND = ("input", "leaf", "entry")
"""The kinds of boxes with round ends: data."""

VALUED = (*ROUND, "ref", "cut")
"""The kinds of boxes below an op that have a value: what it was given."""


def small(shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape is written out, so that what is computed with it can be checked by hand."""
    return math.prod(shape) <= 3 or shape == (2, 2)


REDUCTIONS = {"sum", "mean", "add", "subtract", "divide", "negative"}
"""A root of one number made by these is called the loss, unless it has a name."""


class Source(NamedTuple):
    """What one input of a box is drawn as.

    inside   another box of the same cell; `number` is its place and `output` which of its outputs
    outside  something in another cell: a state, the layer below, a result before the steps
    cut      a detached tensor, inside one step
    number   written into the op
    input, leaf, ref, array  a box of its own: data, a leaf that gets a gradient, a shared weight, a plain array
    alive    a box of its own: which sequences of the batch have not ended; in a box for the whole step a line of it
    entry    a box of its own: one entry of a sequence that was computed outside the steps
    """

    kind: str
    text: str = ""
    number: int = 0
    output: int = 0
    shape: tuple[int, ...] = ()
    past: tuple[int, int] | None = None  # of a cut: the box and output of this cell that was detached


Rows = tuple[tuple[Source, ...], ...]
"""The sources of each record of a cell."""


class Leaves(IntEnum):
    """What leaves a box at a port, in the order of the ports from top to bottom."""

    HIDDEN = 0  # a result outside of the steps that is drawn with folded ones
    RESULT = 1
    STATE = 2  # the state after folded steps


class Port(NamedTuple):
    """Where edges leave a box: an output of one of the records that it stands for."""

    what: Leaves
    record: int = 0
    output: int = 0


class Enters(IntEnum):
    """What enters a cell, in the order of its entries from top to bottom."""

    HIDDEN = 0  # what a result outside of the steps needs that is drawn with folded ones
    STATE = 1  # the state before folded steps
    CUT = 2  # what a tensor was that is detached in this cell
    INPUT = 3


class Entry(NamedTuple):
    """Where edges enter a cell: at an input of one of its records."""

    what: Enters
    record: int = 0
    input: int = 0


class Box:
    """A box of a template; with a step number put in, a node of the picture."""

    __slots__ = ("extra", "key", "kind", "lines", "named", "number", "title", "widest")

    def __init__(self, key: str, kind: str, lines: tuple[str, ...], title: str, extra: int = 0) -> None:
        self.key, self.kind, self.lines, self.title = key, kind, lines, title
        self.extra = extra  # lines left free for values and gradients
        self.number = 0  # of the source whose value and gradient it shows
        self.named: list[tuple[str, int]] = []  # of several sources: the name and number of each
        self.widest: list[str] = []  # the longest of its values and gradients at all steps


class Link(NamedTuple):
    """An edge inside a template, from one output of a box to one input of another."""

    source: int
    output: int
    target: int
    slot: int


class Show(NamedTuple):
    """What boxes say: lines that are left free for their value and for their gradient; whether shapes and weights."""

    values: int = 0
    grads: int = 0
    shapes: bool = True
    weights: bool = True

    @property
    def lines(self) -> int:
        return self.values + self.grads


ALL = Show()

SHAPE = re.compile(r"\s*(\(\d+(,\d+)*\)( ×\d+)?\s*)+$")
"""The shape of a result, at the end of a line: (2,8), or (2,8) ×4 of several."""


class Template:
    """Boxes and links; box k stands for record k, the boxes for inputs and references follow.

    entries   where something comes in from another cell -> the box that it enters
    uses      for a link into a box of several records, the (record, input) pairs that it stands for
    """

    def __init__(self, folded: bool = False, show: Show = ALL) -> None:
        self.show = show
        self.boxes: list[Box] = []
        self.links: list[Link] = []
        self.entries: dict[Entry, int] = {}
        self.uses: dict[Link, list[tuple[int, int]]] = {}
        self.folded = folded  # box 0 stands for a whole step
        self._keys: dict[str, int] = {}

    def add(self, label: str, kind: str, lines: tuple[str, ...], title: str, extra: int = 0) -> int:
        key = identifier(label)
        count = self._keys[key] = self._keys.get(key, 0) + 1
        self.boxes.append(Box(key if count == 1 else f"{key}_{count}", kind, self.words(lines), title, extra))
        return len(self.boxes) - 1

    def words(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        """The lines of a box, without shapes where none are to be shown."""
        shown = lines if self.show.shapes else (SHAPE.sub("", line) for line in lines)
        return tuple(filter(None, shown))


def op_template(reading: Reading, records: list[Record], rows: Rows, losses: set[Record], show: Show) -> Template:
    """One box a record."""
    t = Template(show=show)
    shared: dict[Source, int] = {}
    for record in records:
        key, kind, lines, title = labels(reading, record, record in losses)
        t.add(key, kind, once(tuple(filter(None, lines)), show, record), title, show.lines)
    for k, row in enumerate(rows):
        own: dict[Source, int] = {}  # a reference is drawn at every use, so that no long edges arise
        for i, source in enumerate(row):
            if source.kind == "inside":
                t.links.append(Link(source.number, source.output, k, i))
            elif source.kind == "outside":
                t.entries[Entry(Enters.INPUT, k, i)] = k
            elif source.kind == "ref" and not show.weights:
                continue
            elif source.kind != "number" and not (t.boxes[k].kind in ROUND and source.kind in ROUND):
                place = own if source.kind == "ref" else shared
                if source not in place:
                    box = place[source] = _add_source(t, source)
                    if source.past is not None:
                        t.links.append(Link(*source.past, box, 0))
                    elif source.kind == "cut":
                        t.entries[Entry(Enters.CUT, 0, source.number)] = box
                t.links.append(Link(place[source], 0, k, i))
    return t


def cell_template(reading: Reading, records: list[Record], rows: Rows, losses: set[Record], show: Show) -> Template:
    """One box for all records of a step, its data and its weights below it."""
    t = Template(True, show)
    step = records[0].step
    assert step is not None
    states = _state_outputs(reading, step, records)
    names = [f"{name}_{MARK}" for name, _ in states]
    shapes = sorted({shape_text(value) for _, value in states})
    lost = any(r in losses for r in records)
    kind = "loss" if lost and not reading.runs[step.layer].places else "cell"
    ended = list(dict.fromkeys(source.text for row in rows for source in row if source.kind == "alive"))
    lines = (
        layer_title(step.layer),
        " ".join(names),
        *shapes[:1],
        *(["with a loss"] if lost and kind == "cell" else []),
        *ended,
    )
    title = f"{step.layer}, step {MARK}: {len(records)} ops, gives {', '.join(names)}"
    t.add("cell", kind, tuple(filter(None, lines)), title, show.lines * len(reading.state_names(step.layer)))
    _add_sources(t, 0, [(k, i, source) for k, row in enumerate(rows) for i, source in enumerate(row)])
    for k, row in enumerate(rows):
        for i, source in enumerate(row):
            if source.kind == "outside":
                t.entries[Entry(Enters.INPUT, k, i)] = 0
    return t


def group_template(
    reading: Reading, records: list[Record], rows: Rows, losses: set[Record], show: Show, ends: list[int]
) -> Template:
    """A box for each of the records `ends`, for all that leads to it and to no earlier one."""
    t = Template(True, show)
    owner = {k: k for k in ends}
    for k in reversed(range(len(records))):
        for source in rows[k]:
            if source.kind == "inside" and source.number not in ends:
                owner[source.number] = min(owner[k], owner.get(source.number, owner[k]))
    members = {end: [k for k, o in owner.items() if o == end] for end in ends}
    for end in ends:
        key, kind, lines, title = labels(reading, records[end], records[end] in losses)
        n = len(members[end])
        lines = once(tuple(filter(None, lines)), show, records[end])
        if n > 1:
            lines = (*(lines[:1] if kind == "loss" else lines), f"{n} ops")
        t.add(key, kind, lines, f"{title}, with {n - 1} more ops" if n > 1 else title, show.lines)
    place = {end: box for box, end in enumerate(ends)}
    found: dict[Link, list[tuple[int, int]]] = {}
    for end in ends:
        box = place[end]
        inner = [(k, i, s) for k in sorted(members[end]) for i, s in enumerate(rows[k]) if s.kind != "number"]
        for k, i, source in inner:
            if source.kind == "outside":
                t.entries[Entry(Enters.INPUT, k, i)] = box
            elif source.kind == "inside" and owner[source.number] != end:
                link = Link(place[owner[source.number]], source.output, box, 0)
                found.setdefault(link, []).append((k, i))
        _add_sources(t, box, inner)
    t.links += list(found)
    t.uses |= found
    return t


def _add_sources(t: Template, target: int, inputs: list[tuple[int, int, Source]]) -> None:
    """Below a box that stands for several records: its data, and its weights in one box.

    inputs  (record, input, its source) of all of them
    """
    uses: dict[Source, list[tuple[int, int]]] = {}
    for k, i, source in inputs:
        if source.kind != "number":
            uses.setdefault(source, []).append((k, i))
    for source, places in uses.items():
        if source.kind in (*ROUND, "array", "cut"):
            box = _add_source(t, source)
            if source.kind == "cut":
                t.entries[Entry(Enters.CUT, 0, source.number)] = box
            _link(t, box, target, places)
    refs = list(dict.fromkeys(s.text for s in uses if s.kind == "ref"))
    if refs and t.show.weights:
        told = {s.text: s.number for s in uses if s.kind == "ref" and t.show.values and small(s.shape)}
        rest = [name for name in refs if name not in told]
        a_line = 2 if max(map(len, rest), default=0) < 6 else 1
        lines = tuple(" ".join(rest[k : k + a_line]) for k in range(0, len(rest), a_line))
        weights = t.add("weights", "ref", lines, f"shared weights: {', '.join(refs)}", len(told))
        t.boxes[weights].named = list(told.items())
        _link(t, weights, target, [place for s, places in uses.items() if s.kind == "ref" for place in places])


def _link(t: Template, source: int, target: int, uses: list[tuple[int, int]]) -> None:
    link = Link(source, 0, target, 0)
    t.links.append(link)
    t.uses[link] = uses


def _state_outputs(reading: Reading, step: Step, records: list[Record]) -> list[tuple[str, Any]]:
    """The states of a step as (name, value); the last result, where it hands on none."""
    found = [(name, record.values[output]) for name, (record, output) in reading.states(step).items()]
    last = records[-1]
    return found or [(reading.output_name(last) or "s", last.values[0])]


def labels(reading: Reading, record: Record, lost: bool) -> tuple[str, str, tuple[str, ...], str]:
    """The key, kind, lines and tooltip of a record."""
    values = record.values
    shape = " ".join(dict.fromkeys(map(shape_text, values))) + (f" ×{len(values)}" if len(values) > 1 else "")
    made = reading.where.get(record)
    if made is not None and reading.entry(record) is not None:
        return _entry_labels(reading, record, shape)
    symbol = symbol_of(reading, record)
    names = [reading.output_name(record, k) for k in range(record.op.outputs)]
    kind, name = "op", ", ".join(filter(None, names))
    key = name or record.op.name
    if made is not None:
        states = [reading.network.named.get((record, k)) for k in range(len(names))]
        if any(states):
            called = [n if state is None else state[1] for n, state in zip(names, states, strict=True)]
            kind, name = "state", ", ".join(f"{n or 's'}_{MARK}" for n in called)
    said = symbol if symbol.startswith(record.op.name) else f"{record.op.name} {symbol}"
    title = f"{name} = {symbol} {shape}".rstrip() if name else f"{said} {shape}".rstrip()
    if lost:
        value = f" = {figure(values[0])}" if values[0].size == 1 and len(values) == 1 else ""
        if not name and record is reading.root.record:
            name = "loss" if value and record.op.name in REDUCTIONS else "output"
        name = name or symbol
        return key, "loss", (shorten(name) + value, symbol if symbol != name else shape), title
    if kind == "state":
        return key, kind, (shorten(name), f"{symbol} {shape}"), title
    return key, kind, (f"{shorten(name)} = {symbol}" if name else symbol, shape), title


def _entry_labels(reading: Reading, record: Record, shape: str) -> tuple[str, str, tuple[str, ...], str]:
    """The labels of a record that takes its step's entry out of a sequence: the formula of that entry."""
    found = reading.entry(record)
    assert found is not None
    series, name = reading.series(found[0]), reading.name(found[0])
    text = series.text
    if not series.shared and len(series.sources) == 1 and " " not in text:
        kind, words = entry_kind(series.sources[0]), "the entry of this step"
        text = f"{text} ↗" if kind == "entry" and isinstance(series.sources[0], Tensor) else text
        return series.text.replace(f"_{MARK}", ""), kind, (text, shape), f"{series.text} {shape}: {words}"
    named = f"{name}_{MARK} {shape}" if name else shape
    title = f"{named} = {text}, the entry of this step"
    lines = (text, named) if len(text) <= 52 or not name else (f"{name}_{MARK}", shape)
    return name or "entry", "op", lines, title


def symbol_of(reading: Reading, record: Record) -> str:
    """The op as a sign, with numbers it was given: ``×``, ``1 − ·``, ``σ``, ``[:, :8]``."""
    name = record.op.name
    sign = SYMBOLS.get(name, name)
    if name == "getitem":
        return f"[{shorten(_index_text(record.op.index), 12)}]"  # type: ignore[attr-defined]
    if name == "stack":
        several = sum(x is not None for x in reading.inputs(record)) > 1
        return "stack over t" if several and reading.stacked(record) else sign
    axis = getattr(record.op, "axis", None)
    if axis is not None and name in ("sum", "mean", "max", "min", "logsumexp"):
        return f"{sign} axis {axis}"
    pairs = zip(reading.inputs(record), record.arrays, strict=True)
    operands = [f"{float(a):.3g}" if x is None and np.ndim(a) == 0 else "·" for x, a in pairs]
    return f" {sign} ".join(operands) if len(operands) == 2 and set(operands) != {"·"} else sign


def _index_text(index: Any) -> str:
    if isinstance(index, tuple):
        return ", ".join(map(_index_text, index))
    if isinstance(index, slice):
        parts = ["" if p is None else str(p) for p in (index.start, index.stop, index.step)]
        return ":".join(parts[:2] + parts[2:] * (index.step is not None))
    if isinstance(index, np.ndarray):
        return "ids"
    return "…" if index is Ellipsis else str(index)


def entry_kind(x: Any) -> str:
    """What one entry of a sequence is drawn as: of data, of a leaf that gets a gradient, of a result."""
    if isinstance(x, Tensor) and x.record is None:
        return "leaf" if x.requires_grad else "input"
    return "entry"


def _add_source(t: Template, source: Source) -> int:
    shape = shape_text(source.shape)
    mark = {"array": "input", "alive": "input"}.get(source.kind, source.kind)
    label = "✂ detach " + source.text if source.kind == "cut" else source.text
    lines = (f"{shorten(label)} ↗" if source.kind in ("ref", "entry") else shorten(label), shape)
    title = f"{source.text} {shape}: {WORDS[source.kind]}"
    shown = 0 if source.kind == "alive" else t.show.values + t.show.grads * (source.kind in ("leaf", "entry"))
    box = t.add(source.text.replace(f"_{MARK}", ""), mark, tuple(filter(None, lines)), title, shown)
    t.boxes[box].number = source.number
    return box


def once(lines: tuple[str, ...], show: Show, record: Record) -> tuple[str, ...]:
    """The lines of a record without its value, where that stands below."""
    value = record.values[0]
    return (lines[0].removesuffix(f" = {figure(value)}"), *lines[1:]) if show.values and value.size == 1 else lines


def shape_text(value: Any) -> str:
    """(2,8); nothing for a single number."""
    shape = value if isinstance(value, tuple) else np.shape(value)
    return f"({','.join(map(str, shape))})" if shape else ""


def layer_title(layer: str) -> str:
    """lstm -> LSTM, lstm_l1 -> LSTM l1, encoder -> encoder."""
    kind, _, rest = layer.partition("_")
    return f"{kind.upper()} {rest.replace('_', ' ')}".strip() if kind in ("rnn", "lstm", "gru") else layer


def identifier(label: str) -> str:
    """The label as part of an id: letters, digits and underscores of ASCII."""
    text = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in label)
    return text.strip("_")[:32] or "x"
