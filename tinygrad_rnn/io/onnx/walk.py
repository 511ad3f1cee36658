"""From the results of two recordings back to their inputs: each layer, and each op between layers, becomes nodes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from ...autograd.tensor import Tensor
from ...engine.modes import at_step
from ...engine.tape import Record
from ...errors import ExportError
from .graph import Graph, Pair
from .layers import add_layer
from .ops import add_op
from .recording import Recording, key


def name_of(graph: Graph, recordings: tuple[Recording, Recording], pair: Pair) -> str:
    """The name of a tensor or array, after adding the nodes that compute it."""
    calls, other_calls = (recording.calls for recording in recordings)
    waiting = [pair]
    while waiting:
        a, b = waiting[-1]
        call, other = calls.get(key(a)), other_calls.get(key(b))
        if key(a) in graph.known:
            waiting.pop()
        elif call is not None and other is not None:
            if not _missing(graph, waiting, call.arguments, other.arguments):
                for x, y, name in zip(call.results, other.results, add_layer(graph, call, other), strict=True):
                    graph.put(x, y, name)
        elif isinstance(a, Tensor) and a.record is not None:
            record, twin = a.record, _twin(a.record, b)
            if not _missing(graph, waiting, record.inputs, twin.inputs):
                for output, name in enumerate(add_op(graph, record, twin)):
                    graph.known[id(record), output], graph.twins[id(record), output] = name, (id(twin), output)
                graph.kept.append((record, twin))
        else:
            graph.put(a, b, graph.fixed(a, b))
    if graph.twins[key(pair[0])] != key(pair[1]):
        raise ExportError("to_onnx: the model uses its tensors in another way when the inputs are longer")
    return graph.known[key(pair[0])]


def _missing(graph: Graph, waiting: list[Pair], first: Any, second: Any) -> bool:
    """Whether some tensors among the arguments have no name yet; these are then waited for."""
    missing = [p for p in _tensors(first, second) if key(p[0]) not in graph.known]
    waiting += missing
    return bool(missing)


def _tensors(first: Any, second: Any) -> list[Pair]:
    """The tensors in a nesting of containers."""
    if isinstance(first, Tensor):
        return [(first, second)]
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return [p for name in first for p in _tensors(first[name], second.get(name))]
    if isinstance(first, tuple | list) and isinstance(second, tuple | list):
        return [p for a, b in itertools.zip_longest(first, second) for p in _tensors(a, b)]
    return []


def _twin(record: Record, b: Any) -> Record:
    """The record of the second run that stands where this one does in the first."""
    twin: Record | None = getattr(b, "record", None)
    if twin is None or twin.op.name != record.op.name or len(twin.inputs) != len(record.inputs):
        other = "an array" if twin is None else f"op {twin.op.name}"
        raise ExportError(
            f"to_onnx: op {record.op.name}{at_step(record.step)} is {other} when the inputs are longer: a loop over "
            "time of the model's own? ONNX has loops for tg.nn.RNN, LSTM and GRU alone. With axes={} the file is for "
            "inputs as long as the examples"
        )
    return twin
