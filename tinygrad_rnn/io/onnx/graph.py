"""An ONNX graph in the making: its nodes, its weights, and what the tensors of two recordings are called in it."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...errors import ExportError
from .recording import Key, Recording, is_copy, key

Pair = tuple[Any, Any]
"""The same tensor, array or number in both recordings."""


class Size(NamedTuple):
    """A free axis of an input, and how long it was in either recording."""

    input: str
    axis: int
    first: int
    second: int


class Graph:
    """The nodes so far, and the names of what they compute."""

    def __init__(
        self,
        names: Sequence[str],
        axes: Mapping[str, Mapping[int, str]],
        recordings: tuple[Recording, Recording],
        parameters: Mapping[int, str],
    ) -> None:
        from onnx import helper, numpy_helper

        self.helper, self.numpy_helper = helper, numpy_helper
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.parameters = parameters
        self.calls, self.other_calls = (recording.calls for recording in recordings)
        pairs = list(zip(*(recording.inputs for recording in recordings), strict=True))
        self.known: dict[Key, str] = {key(a): name for name, (a, _) in zip(names, pairs, strict=True)}
        self.twins = {key(a): key(b) for a, b in pairs}
        self.examples = dict(zip(names, pairs, strict=True))
        self.kept: list[Any] = []  # so that no id is used twice
        self.free = axes
        self.inputs = [
            self._info(name, _array(a), axes.get(name, {})) for name, (a, _) in zip(names, pairs, strict=True)
        ]
        self.outputs: list[Any] = []
        self.sizes = [
            Size(name, axis, a.shape[axis], b.shape[axis])
            for name, (a, b) in zip(names, pairs, strict=True)
            for axis in axes.get(name, {})
        ]

    # ---------------------------------------------------------------- nodes and numbers

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; gives its name."""
        return self.several(kind, inputs, 1, **attributes)[0]

    def several(self, kind: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """Add a node with several outputs."""
        names = [f"{kind}_{len(self.nodes)}" + (f"_{k}" if outputs > 1 else "") for k in range(outputs)]
        self.nodes.append(self.helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def constant(self, array: Any, name: str = "constant") -> str:
        """Add an array of fixed numbers."""
        name = f"{name}_{len(self.weights)}"
        self.weights.append(self.numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def whole(self, *numbers: int) -> str:
        """Whole numbers that are the same for every input: axes, say."""
        return self.constant(np.array(numbers, np.int64))

    def lengths(self, first: Sequence[int], second: Sequence[int], where: str) -> str:
        """Whole numbers, as a shape is, of which some may be sizes of free axes, products of them, or near one."""
        if list(first) == list(second):
            return self.whole(*first)
        if len(first) != len(second):
            raise ExportError(f"{where}: {list(first)} becomes {list(second)} with longer inputs")
        parts = [self._length(int(a), int(b), where) for a, b in zip(first, second, strict=True)]
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=0)

    def _length(self, first: int, second: int, where: str) -> str:
        if first == second:
            return self.whole(first)
        for count in (1, 2):
            for sizes in itertools.combinations(self.sizes, count):
                before, after = (math.prod(side) for side in zip(*((s.first, s.second) for s in sizes), strict=True))
                if before and first % before == 0 and first // before * after == second:
                    factor = [] if first == before else [self.whole(first // before)]
                    return functools.reduce(lambda a, b: self.node("Mul", a, b), [*map(self._size, sizes), *factor])
        for size in self.sizes:
            if size.second - size.first == second - first:
                return self.node("Add", self._size(size), self.whole(first - size.first))
        raise ExportError(
            f"{where}: {first} becomes {second} with other inputs, and that is no size of an axis: the file would be "
            "right for the examples alone. Compute it outside, and give it to the model"
        )

    def _size(self, size: Size) -> str:
        return self.node("Shape", size.input, start=size.axis, end=size.axis + 1)

    # ---------------------------------------------------------------- the whole

    def result(self, name: str, inner: str, pair: Pair) -> None:
        """Add an output; its axes have the names of free axes where it has their sizes, else names of their own."""
        self.nodes.append(self.helper.make_node("Identity", [inner], [name]))
        a, b = map(_array, pair)
        sizes = {(size.first, size.second): self.free[size.input][size.axis] for size in self.sizes}
        lengths = enumerate(zip(a.shape, b.shape, strict=True))
        self.outputs.append(
            self._info(name, a, {k: sizes.get((m, n), f"{name}_{k}") for k, (m, n) in lengths if m != n})
        )

    def file(self, name: str, opset: int) -> Any:
        """The contents of the file."""
        graph = self.helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.weights)
        operators = [self.helper.make_opsetid("", opset)]
        return self.helper.make_model(graph, opset_imports=operators, ir_version=10, producer_name="tinygrad_rnn")

    def type(self, dtype: Any) -> int:
        """ONNX's number for a dtype."""
        return int(self.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def _info(self, name: str, array: np.ndarray, free: Mapping[int, str]) -> Any:
        shape = [free.get(k, n) for k, n in enumerate(array.shape)]
        return self.helper.make_tensor_value_info(name, self.type(array.dtype), shape)

    # ---------------------------------------------------------------- tensors

    def put(self, a: Any, b: Any, name: str) -> None:
        """Say what a tensor or array is called."""
        self.known[key(a)], self.twins[key(a)] = name, key(b)
        self.kept.append((a, b))

    def fixed(self, a: Any, b: Any, dtype: Any = None, where: str = "an array of the model's own") -> str:
        """The name of what does not come from the inputs: a parameter, a number, an array; or a size of an axis."""
        if id(a) in self.parameters and a is b:
            return self.constant(a.array, self.parameters[id(a)])
        if key(a) in self.known:
            return self.known[key(a)]
        x, y = map(_array, (a, b))
        x, y = (x, y) if dtype is None or x.ndim else (x.astype(dtype), y.astype(dtype))
        if x.shape == y.shape and np.array_equal(x, y, equal_nan=x.dtype.kind == "f"):
            return self.constant(x)
        for name, (of_a, of_b) in self.examples.items():
            if is_copy(x, of_a) and is_copy(y, of_b):
                return name
        if x.ndim == y.ndim == 0 and x == round(float(x)):
            n = self.lengths([int(x)], [int(y)], where)
            return self.node("Cast", self.node("Squeeze", n), to=self.type(x.dtype))
        filled = np.unique(np.concatenate([x.ravel(), y.ravel()]))
        if x.ndim == y.ndim and filled.size == 1:  # zeros for every sequence, say
            return self.node("Expand", self.constant(filled[0]), self.lengths(x.shape, y.shape, where))
        raise ExportError(
            f"{where}, of shape {x.shape} and then {y.shape}, differs with other inputs and is not on the tape: the "
            "file would be right for the examples alone. Compute it outside, and give it to the model"
        )


def _array(x: Any) -> np.ndarray:
    return np.asarray(getattr(x, "array", x))
