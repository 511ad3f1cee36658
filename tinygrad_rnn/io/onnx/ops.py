"""Ops between layers as ONNX nodes: a table of those that ONNX has under a name of its own, and the rest by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ...engine.modes import at_step
from ...engine.tape import Record
from ...errors import ExportError
from .graph import Graph

SAME = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow", "negative": "Neg",
    "absolute": "Abs", "fabs": "Abs", "sign": "Sign", "positive": "Identity", "reciprocal": "Reciprocal",
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin", "cos": "Cos", "tan": "Tan", "arcsin": "Asin",
    "arccos": "Acos", "arctan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "arcsinh": "Asinh", "arccosh": "Acosh",
    "arctanh": "Atanh", "tanh": "Tanh", "sigmoid": "Sigmoid", "softplus": "Softplus", "relu": "Relu",
    "floor": "Floor", "ceil": "Ceil", "rint": "Round", "maximum": "Max", "minimum": "Min", "where": "Where",
    "matmul": "MatMul",
}  # fmt: skip
"""Our name of an op that takes and gives the same in ONNX, and ONNX's."""

REDUCTIONS = {
    "sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin", "norm": "ReduceL2",
    "logsumexp": "ReduceLogSumExp",
}  # fmt: skip


def add_op(graph: Graph, record: Record, twin: Record) -> list[str]:
    """Add the nodes of one record, the same in both recordings; gives the names of its outputs."""
    applied = Applied(graph, record, twin)
    name = record.op.name
    if name in SAME:
        return [graph.node(SAME[name], *applied.inputs)]
    if name in REDUCTIONS:
        return [applied.reduction(REDUCTIONS[name])]
    if name not in BY_HAND:
        raise ExportError(f"to_onnx: op {name}{at_step(record.step)} has no counterpart in ONNX that is known here")
    result = BY_HAND[name](applied)
    return [result] if isinstance(result, str) else result


class Applied:
    """One application of an op, as both recordings have it."""

    def __init__(self, graph: Graph, record: Record, twin: Record) -> None:
        self.graph, self.record, self.twin, self.op = graph, record, twin, record.op
        self.where = f"to_onnx: op {record.op.name}{at_step(record.step)}"
        dtype = record.values[0].dtype
        sides = [[t if t is not None else a for t, a in zip(r.inputs, r.arrays, strict=True)] for r in (record, twin)]
        self.inputs = [graph.fixed(a, b, dtype, self.where) for a, b in zip(*sides, strict=True)]

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self.graph.node(kind, *inputs, **attributes)

    def setting(self, name: str) -> Any:
        """A setting of the op. Raises ExportError where it differs with longer inputs."""
        value, other = getattr(self.op, name), getattr(self.twin.op, name)
        if value != other:
            raise ExportError(f"{self.where}: {name} is {value}, and {other} with longer inputs")
        return value

    def number(self, value: float) -> str:
        return self.graph.constant(np.asarray(value, self.record.values[0].dtype))

    def shape(self) -> str:
        """The shape of the output."""
        return self.graph.lengths(self.record.values[0].shape, self.twin.values[0].shape, self.where)

    def reduction(self, kind: str) -> str:
        axis = self.setting("axis")
        if getattr(self.op, "initial", None) is not None:
            raise ExportError(f"{self.where}: ONNX has no initial=")
        axes = [] if axis is None else [self.graph.whole(*np.atleast_1d(axis).tolist())]
        return self.node(kind, self.inputs[0], *axes, keepdims=int(self.op.keepdims))  # type: ignore[attr-defined]

    def reshaped(self) -> str:
        return self.node("Reshape", self.inputs[0], self.shape())

    def transposed(self) -> str:
        axes = self.setting("axes")
        ndim = self.record.arrays[0].ndim
        perm = range(ndim)[::-1] if axes is None else [normalize_axis_index(axis, ndim) for axis in axes]
        return self.node("Transpose", self.inputs[0], perm=list(perm))

    def swapped(self) -> str:
        perm = list(range(self.record.arrays[0].ndim))
        first, second = self.setting("first"), self.setting("second")
        perm[first], perm[second] = perm[second], perm[first]
        return self.node("Transpose", self.inputs[0], perm=perm)

    def stacked(self) -> str:
        axis = self.setting("axis")
        return self.node("Concat", *(self.node("Unsqueeze", x, self.graph.whole(axis)) for x in self.inputs), axis=axis)

    def split(self) -> list[str]:
        axis, parts = self.setting("axis"), self.record.values
        widths, others = ([part.shape[axis] for part in values] for values in (parts, self.twin.values))
        lengths = self.graph.lengths(widths, others, self.where)
        return self.graph.several("Split", [self.inputs[0], lengths], len(parts), axis=axis)

    def affine(self) -> str:
        x, W, b = self.inputs
        return self.node("Add", self.node("MatMul", x, W), b)

    def indexed(self) -> str:
        """x[index], one axis after the other."""
        index, other = (_full(r.op.index, r.arrays[0].ndim) for r in (self.record, self.twin))  # type: ignore[attr-defined]
        arrays = [i for i in index if isinstance(i, np.ndarray)]
        mixed = any(isinstance(i, int | np.integer) for i in index)
        if len(index) != len(other) or len(arrays) > 1 or (arrays and (mixed or arrays[0].dtype.kind == "b")):
            raise ExportError(f"{self.where}: an index that ONNX has not; take one axis after the other")
        x, axis = self.inputs[0], 0
        for i, j in zip(index, other, strict=True):
            if i is None:
                x = self.node("Unsqueeze", x, self.graph.whole(axis))
                axis += 1
            elif isinstance(i, slice):
                x = self.sliced(x, axis, i, j)
                axis += 1
            elif isinstance(i, np.ndarray):
                x = self.node("Gather", x, self.graph.fixed(i, j, None, f"{self.where}: an index"), axis=axis)
                axis += i.ndim
            else:
                place = self.graph.lengths([int(i)], [int(j)], self.where)
                x = self.node("Squeeze", self.node("Gather", x, place, axis=axis), self.graph.whole(axis))
        return self.node("Identity", x)

    def sliced(self, x: str, axis: int, part: slice, other: slice) -> str:
        if part == other == slice(None):
            return x
        step = part.step or 1
        ends = []
        for name, default in (("start", 0 if step > 0 else 2**62), ("stop", 2**62 if step > 0 else -(2**62))):
            a, b = (default if (v := getattr(s, name)) is None else int(v) for s in (part, other))
            ends.append(self.graph.lengths([a], [b], self.where))
        return self.node("Slice", x, *ends, self.graph.whole(axis), self.graph.whole(step))

    def cumulated(self) -> str:
        return self.node("CumSum", self.inputs[0], self.graph.constant(np.asarray(self.setting("axis"), np.int64)))

    def summed(self) -> str:
        operands, output = self.setting("operands"), self.setting("output")
        return self.node("Einsum", *self.inputs, equation=f"{','.join(operands)}->{output}")

    def cast(self) -> str:
        return self.node("Cast", self.inputs[0], to=self.graph.type(self.record.values[0].dtype))

    def normal_cdf(self) -> str:
        erf = self.node("Erf", self.node("Mul", self.inputs[0], self.number(0.5**0.5)))
        return self.node("Mul", self.number(0.5), self.node("Add", self.number(1), erf))

    def shifted(self, kind: str, before: float, after: float) -> str:
        """log1p and expm1: ONNX has them only as log(x + 1) and e^x - 1."""
        x = self.node("Add", self.inputs[0], self.number(before)) if before else self.inputs[0]
        y = self.node(kind, x)
        return self.node("Add", y, self.number(after)) if after else y

    def shown(self, kind: str, setting: str) -> str:
        value, other = (op.parameters[setting] for op in (self.op, self.twin.op))
        if value != other:
            raise ExportError(f"{self.where}: {setting} differs with other inputs")
        return self.node(kind, self.inputs[0], alpha=float(value))


def _full(index: Any, ndim: int) -> tuple[Any, ...]:
    """An index with an entry for each axis in place of an ellipsis."""
    index = index if isinstance(index, tuple) else (index,)
    place = next((k for k, i in enumerate(index) if i is Ellipsis), None)
    if place is None:
        return index
    missing = ndim - sum(i is not None and i is not Ellipsis for i in index)
    return (*index[:place], *[slice(None)] * missing, *index[place + 1 :])


BY_HAND: dict[str, Callable[[Applied], str | list[str]]] = {
    "square": lambda a: a.node("Mul", a.inputs[0], a.inputs[0]),
    "affine": Applied.affine,
    "softmax": lambda a: a.node("Softmax", a.inputs[0], axis=a.setting("axis")),
    "log_softmax": lambda a: a.node("LogSoftmax", a.inputs[0], axis=a.setting("axis")),
    "reshape": Applied.reshaped,
    "expand_dims": Applied.reshaped,
    "squeeze": Applied.reshaped,
    "transpose": Applied.transposed,
    "swap_axes": Applied.swapped,
    "broadcast_to": lambda a: a.node("Expand", a.inputs[0], a.shape()),
    "concatenate": lambda a: a.node("Concat", *a.inputs, axis=a.setting("axis")),
    "stack": Applied.stacked,
    "split": Applied.split,
    "getitem": Applied.indexed,
    "cumsum": Applied.cumulated,
    "einsum": Applied.summed,
    "cast": Applied.cast,
    "normal_cdf": Applied.normal_cdf,
    "log1p": lambda a: a.shifted("Log", 1, 0),
    "expm1": lambda a: a.shifted("Exp", 0, -1),
    "leaky_relu": lambda a: a.shown("LeakyRelu", "negative_slope"),
    "elu": lambda a: a.shown("Elu", "alpha"),
}
