"""The tape of a recorded step, read as values; whatever a loop over time could not repeat is refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import ops
from ..engine.cotangent import Scatter
from ..engine.tape import Op, Record
from ..errors import CompileError
from ..ops import elementwise
from ..ops.indexing import GetItem
from ..ops.linalg import Affine, MatMul
from ..ops.reduction import Max, Mean, Min, Sum
from ..ops.shape import BroadcastTo, Cast, Concatenate, ExpandDims, Reshape, Split, Squeeze, SumTo, SwapAxes, Transpose
from .symbols import ANSWERS, DETACH, Symbol
from .values import Value, ordered

NAMED: set[Any] = {
    op
    for op in (*vars(elementwise).values(), *ANSWERS.values(), *ops.UFUNCS.values())
    if isinstance(op, elementwise.Elementwise)
}
"""Ops that work entry by entry, under the names of NumPy's functions."""

SAME = (Reshape, ExpandDims, Squeeze, BroadcastTo, SumTo)
REDUCTIONS: dict[Any, str] = {Sum: "sum", Mean: "mean", Max: "max", Min: "min"}


class Reading:
    """The values of the records of one step, for batches of B."""

    def __init__(
        self, B: int, dtype: np.dtype[Any], records: Iterable[Record], given: list[Symbol], seeds: list[Symbol]
    ) -> None:
        self.B, self.dtype = B, dtype
        self.values: dict[Any, Value] = {}
        for k, x in enumerate(given):
            self.values[id(x)] = Value("a" if k == 0 else "state", x.shape, dtype, label=x.name or "")
        for g in seeds:
            self.values[id(g)] = Value("g", g.shape, dtype)
        self.known = [*given, *seeds]  # so that no other tensor gets their id
        for record in records:
            self.read(record)

    def at(self, x: Any) -> Value:
        """The value of a tensor, an array or a number."""
        if not hasattr(x, "apply_op"):
            return self.constant(x)
        key = id(x) if x.record is None or (x.record.seq, x.output) not in self.values else (x.record.seq, x.output)
        if key not in self.values:
            self.known.append(x)
            self.values[key] = Value("weight", x.shape, x.dtype, source=x, label=x.name or "")
        v = self.values[key]
        v.label = v.label or x.name or ""
        return v

    def constant(self, x: Any) -> Value:
        if np.ndim(x) == 0:
            return Value("number", (), np.dtype(float), number=x)
        if x.ndim == 2 and len(x) == self.B and not x.any():  # a gradient that has not arrived
            return Value("number", x.shape, self.dtype)
        if id(x) not in self.values:
            self.known.append(x)
            self.values[id(x)] = Value("weight", x.shape, x.dtype, source=x)
        return self.values[id(x)]

    def read(self, record: Record) -> None:
        pairs = zip(record.inputs, record.arrays, strict=True)
        args = [self.at(a if x is None else x) for x, a in pairs]
        for k, y in enumerate(record.values):
            self.values[record.seq, k] = self.value(record.op, args, k, y, record)

    def value(self, op: Op, args: list[Value], output: int, y: np.ndarray, record: Record) -> Value:
        """Output number k of a record."""
        if op is DETACH:
            return args[0]
        if not any(x.varies for x in args):
            return Value("op", y.shape, y.dtype, args, name="apply", op=op, output=output)
        moved = self.moved(op, args, output, y)
        if moved is not None:
            return moved
        if isinstance(op, Affine):
            product = Value("op", y.shape, y.dtype, args[:2], name="matmul", op=_MATMUL)
            return Value("op", y.shape, y.dtype, (product, args[2]), name="add", op=elementwise.add)
        if type(op) in REDUCTIONS and y.shape == (self.B, 1) and not getattr(op, "initial", None):
            return Value("op", y.shape, y.dtype, args, name=REDUCTIONS[type(op)], op=op)
        name = op.name if op in NAMED else "where" if isinstance(op, elementwise.Where) else "apply"
        if name == "apply" and y.shape[:1] == (self.B,):
            self.by_rows(op, args, output, record)
        return Value("op", y.shape, y.dtype, args, name=name, op=op, output=output)

    def moved(self, op: Op, args: list[Value], output: int, y: np.ndarray) -> Value | None:
        """The value of an op that moves entries or multiplies matrices; None for any other."""
        x, shape = args[0], y.shape
        last = getattr(op, "axis", None) in (-1, 1)
        match op:
            case Split() if last and y.ndim == 2:
                parts: Any = op.forward(np.empty((1, x.columns)))
                widths = [part.shape[1] for part in parts]
                start = sum(widths[:output])
                return Value("op", shape, y.dtype, (x,), name="columns", op=op, output=output, start=start)
            case Concatenate() if last:
                return Value("op", shape, y.dtype, args, name="concatenate", op=op)
            case GetItem():
                return self.columns(x, op.index, y)
            case Scatter():
                return self.scattered(op, args, y)
            case SwapAxes() | Transpose() if y.ndim == 2:
                return Value("op", shape, y.dtype, (x,), name="transposed", op=op)
            case MatMul() if x.name == "transposed" and x.varies and args[1].varies:
                return Value("total", shape, y.dtype, (x.args[0], args[1]), name="product")
            case MatMul() if x.varies and not args[1].varies:
                return Value("op", shape, y.dtype, args, name="matmul", op=op)
            case MatMul():
                raise CompileError("a product of two matrices that both vary from step to step, or W @ h: write h @ W")
            case SumTo() if len(shape) < 2 or shape[0] != self.B:
                return Value("total", shape, y.dtype, (x,), name="sum_rows", op=op)
            case BroadcastTo() if x.shape == (self.B, 1) and shape[:1] == (self.B,) and len(shape) == 2:
                return x if shape == x.shape else Value("op", shape, y.dtype, (x,), name="broadcast", op=op)
            case SumTo() if shape == (self.B, 1):
                return Value("op", shape, y.dtype, (x,), name="sum", op=Sum(-1, True))
            case Cast() if y.dtype == x.dtype:
                return x
            case _ if isinstance(op, SAME) and shape == x.shape:
                return x
        return None

    def columns(self, x: Value, index: Any, y: np.ndarray) -> Value:
        """x[:, first:end]."""
        first, end = _columns(index, x.shape)
        if (first, end) == (0, x.columns):
            return x
        return Value(
            "op", y.shape, y.dtype, (x,), name="columns", op=GetItem((slice(None), slice(first, end))), start=first
        )

    def scattered(self, op: Scatter, args: list[Value], y: np.ndarray) -> Value:
        """Parts put into their columns, and zeros between them."""
        places = sorted(zip([_columns(i, op.shape) for i in op.indices], range(len(args)), strict=True))
        side_by_side, at = [], 0
        rest: list[Value] = []
        for (first, end), k in places:
            if first < at:  # it overlaps: a sum of two
                rest.append(self.scattered(Scatter((op.indices[k],), op.shape, op.dtype), [args[k]], y))
                continue
            side_by_side += [self.zeros(first - at)] * (first > at) + [args[k]]
            at = end
        side_by_side += [self.zeros(op.shape[1] - at)] * (at < op.shape[1])
        total = Value("op", y.shape, y.dtype, side_by_side, name="concatenate", op=Concatenate(-1))
        for part in rest:
            total = Value("op", y.shape, y.dtype, (total, part), name="add", op=elementwise.add)
        return total

    def zeros(self, n: int) -> Value:
        return Value("number", (self.B, n), self.dtype)

    def by_rows(self, op: Op, args: list[Value], output: int, record: Record) -> None:
        """Refuse an op that lets one sequence of a batch see another."""
        rows = [a[1:4] if x.varies else a for x, a in zip(args, record.arrays, strict=True)]
        try:
            y = op.forward(*rows)
            same = np.array_equal(y[output] if op.outputs > 1 else y, record.values[output][1:4], equal_nan=True)
        except Exception:
            same = False
        if not same:
            raise CompileError(f"{op.name} does not treat each sequence of the batch by itself")

    def check(self, results: list[Value], gradients: list[Value]) -> None:
        """Refuse values that a loop over time cannot hold."""
        order = ordered([*results, *gradients])
        for v in order:
            if v.varies and (len(v.shape) != 2 or v.shape[0] != self.B or v.name == "transposed"):
                name = v.name if v.op is None else v.op.name
                raise CompileError(f"{name} inside the step has shape {v.shape}, not (B, n) as its input and state")
            if v.varies and v.dtype not in (self.dtype, np.bool_):
                raise CompileError(f"{v.name} inside the step is {v.dtype}, and the step {self.dtype}")
            if v.varies and v.of_total:
                raise CompileError("the step adds up, or multiplies, over the sequences of its batch")


_MATMUL = MatMul()


def _columns(index: Any, shape: tuple[int, ...]) -> tuple[int, int]:
    """The columns that an index takes of all rows; CompileError where it takes anything else."""
    index = index if isinstance(index, tuple) else (index,)
    if len(shape) == 2 and index and (index[0] is Ellipsis or index[0] == slice(None)):
        last = index[1] if len(index) == 2 else slice(None)
        if isinstance(last, slice) and last.step in (None, 1):
            first, end, _ = last.indices(shape[1])
            return first, max(first, end)
    raise CompileError(f"an index other than a slice of columns, x[:, first:end]: {index}")
