"""Where the first nan or inf came from: the checks within `tg.anomaly()`."""

from __future__ import annotations

import linecache
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import AnomalyError
from .arrays import Array
from .modes import Step, at_step, mode
from .tape import Op, Record

PACKAGE = str(Path(__file__).parents[1])
_OURS = (PACKAGE, str(Path(np.__file__).parent))
_LAYERS = str(Path(PACKAGE) / "nn")


class Line(NamedTuple):
    """A line of a program."""

    file: str
    number: int

    @property
    def code(self) -> str:
        return linecache.getline(self.file, self.number).strip()

    def __str__(self) -> str:
        return f"{self.file}:{self.number}: {self.code}"


class Lines(NamedTuple):
    """Where an op was applied: the user's line, and the line of one of our layers that it led to, if it did."""

    users: Line | None
    layers: Line | None

    def __str__(self) -> str:
        return str(self.users)


def users_line() -> Lines:
    """The innermost line being executed that is neither ours nor NumPy's, and on the way there that of a layer."""
    frame, layers = sys._getframe(1), None
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        if layers is None and frame.f_code.co_filename.startswith(_LAYERS):
            layers = Line(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return Lines(Line(frame.f_code.co_filename, frame.f_lineno), layers)


def check_forward(op: Op, arrays: Iterable[Any], values: Iterable[np.ndarray], record: Record | None = None) -> None:
    """Raise where the outputs of an op hold the first nan or inf: its inputs held none. Its record notes the line.

    Where data held it, no op is to blame, and it may still be selected away (inf in a mask, nan in padding). So if it
    becomes a nan in what is recorded, a warning says so; once it reaches a gradient, `check_backward` raises.
    """
    if record is not None:
        record.line = users_line()
    if not all(map(_finite, arrays)):
        source = None if record is None or not any(np.any(np.isnan(y)) for y in values) else _source(record)
        if source is not None and source.record is record:
            line = users_line().users
            warnings.warn_explicit(
                f"{source}, in {line}", RuntimeWarning, line.file if line else "", line.number if line else 0
            )
        return
    for y in values:
        if not np.all(np.isfinite(y)):
            place, what = _first(y)
            where = at_step(mode().step)
            raise AnomalyError(f"op {op.name}{where} made {what}{place} from finite inputs, in {users_line()}")


def check_backward(record: Record, gs: Iterable[Any], x: Any, part: Any) -> None:
    """Raise where the gradient of an input holds the first nan or inf: that of the output held none."""
    part = getattr(part, "part", part)  # of an indexed gradient, what is not zero
    part = getattr(part, "array", part)
    if np.all(np.isfinite(part)) or not all(np.all(np.isfinite(getattr(h, "array", h))) for h in gs):
        return
    k = next(k for k, tensor in enumerate(record.inputs) if tensor is x)
    place, what = _first(part)
    source = _source(record)
    if source is not None:
        of = f"the gradient of input {k} of op {record.op.name}{at_step(record.step)}"
        raise AnomalyError(
            f"{of} is {what}{place}, and that comes from the data: {source}. It came in at {source.line}"
        )
    array = record.arrays[k]
    held = f", which is {array[~np.isfinite(part)][0]:.6g} there" if np.shape(part) == array.shape else ""
    where = at_step(record.step)
    line = record.line or "a line outside tg.anomaly(), so not noted"
    raise AnomalyError(
        f"the derivative rule of op {record.op.name}{where} made {what}{place} of the gradient of its input {k}{held}. "
        f"The op was applied in {line}"
    )


class _Source(NamedTuple):
    """Where nan or inf came in that no op made: an input of a record that is a leaf, a constant or a plain array."""

    record: Record
    input: int
    step: Step | None

    @property
    def line(self) -> Any:
        return self.record.line or "a line outside tg.anomaly(), so not noted"

    def __str__(self) -> str:
        x, (place, what) = self.record.inputs[self.input], _first(self.record.arrays[self.input])
        of = "a plain array" if x is None else "a weight" if x.requires_grad else "a constant"
        name = "" if x is None or not x.name else f" named {x.name}"
        return f"input {self.input} of op {self.record.op.name}{at_step(self.step)}, {of}{name}, holds {what}{place}"


def _source(record: Record) -> _Source | None:
    """The data behind what is not finite in the inputs of a record; None where an op made it."""
    step = None
    while not record.freed:
        if record.step is not None and (step is None or record.step.t is not None):
            step = record.step
        bad = [k for k, a in enumerate(record.arrays) if not _finite(a)]
        for k in bad:
            if record.inputs[k] is None or record.inputs[k].record is None:
                return _Source(record, k, step)
        if not bad:
            return None
        record = min((record.inputs[k].record for k in bad), key=lambda maker: maker.seq)
    return None


def _finite(a: Array) -> bool:
    return not isinstance(a, np.ndarray | float | np.generic) or bool(np.all(np.isfinite(a)))


def check_start(caller: str, y: Any, g: Any) -> None:
    """Raise where the gradient given to start from, dL/dy, holds nan or inf: no op made it."""
    g = getattr(g, "array", g)
    if not np.all(np.isfinite(g)):
        place, what = _first(g)
        of = "a leaf" if y.op is None else f"the result of op {y.op.name}"
        raise AnomalyError(f"{caller}: the gradient given for {of} holds {what}{place}, in {users_line()}")


def _first(array: np.ndarray) -> tuple[str, str]:
    """The place and the kind of the first entry that is not finite."""
    index = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
    value = np.asarray(array)[index]
    return (f" at [{', '.join(map(str, index))}]" if index else ""), "nan" if np.isnan(value) else f"{value}"
