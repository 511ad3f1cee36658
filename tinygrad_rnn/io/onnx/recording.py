"""What a model did with example inputs: its inputs and results, and which layer gave which tensor."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...autograd.tensor import Tensor
from ...engine.at_once import assign
from ...engine.modes import enable_grad
from ...errors import DataError, ExportError
from ...nn.basic import Embedding, LayerNorm, Linear
from ...nn.cells import GRUCell, LSTMCell, RNNCell
from ...nn.module import Module
from ...nn.recurrent import Recurrent
from ...nn.rows import Rows
from ...nn.watching import watch

Key = tuple[int, int] | int


class Call(NamedTuple):
    """One call of a layer: with which arguments, by their names; and the tensors it gave."""

    layer: Module
    arguments: dict[str, Any]
    results: list[Any]


class Recording(NamedTuple):
    """One run: the inputs and results, flat, and what these are called where nobody says so; for each tensor that a
    layer gave, the call, if ONNX has the layer."""

    inputs: list[Any]
    results: list[Any]
    names: list[str]
    calls: dict[Key, Call]


def key(x: Any) -> Key:
    """What tells one tensor or array of a recording from another."""
    return (id(x.record), x.output) if isinstance(x, Tensor) and x.record is not None else id(x)


def flat(x: Any) -> list[Any]:
    """The tensors and arrays in a nesting of tuples, lists and dicts."""
    if isinstance(x, Mapping):
        return flat(list(x.values()))
    return [leaf for part in x for leaf in flat(part)] if isinstance(x, tuple | list) else [x]


def numbered(name: str, count: int) -> list[str]:
    """The name, or for several things the name with numbers."""
    return [name] if count == 1 else [f"{name}_{k}" for k in range(count)]


def is_known(layer: Module) -> bool:
    """Whether ONNX has this layer, or one made of its nodes."""
    if isinstance(layer, Recurrent):
        plain = all(type(cell) in (RNNCell, LSTMCell, GRUCell) for cell in layer.cells)
        return plain and type(layer).forward is Recurrent.forward
    return type(layer) in (Linear, Embedding, LayerNorm)


def record(model: Module, inputs: Sequence[Any]) -> Recording:
    """Run the model once in eval mode, on the tape; frozen parameters count as if they were not."""
    leaves: list[Any] = []
    arguments = tuple(_given(x, leaves) for x in inputs)
    calls: dict[Key, Call] = {}

    def seen(layer: Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        if is_known(layer):
            bound = inspect.signature(layer.forward).bind(*args, **kwargs).arguments
            bound = {name: x.written_out() if isinstance(x, Rows) else x for name, x in bound.items()}
            call = Call(layer, bound, flat(result))
            calls.update((key(x), call) for x in call.results)

    before: list[tuple[Any, str, bool]] = [(m, "training", m.training) for m in model.modules()]
    before += [(p, "requires_grad", p.requires_grad) for p in model.parameters()]
    try:
        model.eval()
        model.requires_grad_()
        with watch(seen), enable_grad():
            result = model(*arguments)
    finally:
        assign(before)
    parts = result.items() if isinstance(result, Mapping) else [("output", result)]
    for x in flat(result):
        if not isinstance(x, Tensor | np.ndarray | np.number | int | float):
            raise ExportError(
                f"to_onnx: the model must give tensors, by themselves or in tuples, lists or dicts, and among what it "
                f"gave is {type(x).__name__}: leave it out of what forward returns"
            )
    return Recording(leaves, flat(result), [n for k, part in parts for n in numbered(str(k), len(flat(part)))], calls)


def _given(x: Any, leaves: list[Any]) -> Any:
    """An example as the model gets it: real numbers as a Tensor on the tape, others as an array."""
    if isinstance(x, tuple | list) and any(hasattr(part, "shape") for part in x):
        return tuple(_given(part, leaves) for part in x)
    array = np.asarray(getattr(x, "array", x))
    if array.dtype.kind not in "fiub":
        raise TypeError(f"to_onnx: an example input must be an array, or a tuple of arrays, not {type(x).__name__}")
    leaves.append(Tensor(array, requires_grad=True) if array.dtype.kind == "f" else array.copy())
    return leaves[-1]


# ------------------------------------------------------------------ axes that may have any size


def free_axes(recording: Recording, names: Sequence[str]) -> dict[str, dict[int, str]]:
    """For each input that a layer reads, its axes of time ("T") and batch ("B"); without a recurrent layer, axis 0.

    Inputs of one length share a name; of several lengths the second is "T_2", and so on.
    """
    place = {key(x): name for name, x in zip(names, recording.inputs, strict=True)}
    axes: dict[str, dict[int, str]] = {}
    lengths: dict[int, str] = {}
    for layer, given, _ in {id(call): call for call in recording.calls.values()}.values():
        if not isinstance(layer, Recurrent):
            continue
        x = given["x"]
        unbatched = x.ndim == 2
        time, batch = (0, None) if unbatched else (1, 0) if layer.batch_first else (0, 1)
        T = lengths.setdefault(x.shape[time], f"T_{len(lengths) + 1}" if lengths else "T")
        if (name := _origin(recording, place, x)) is not None:
            axes[name] = {time: T} if batch is None else {time: T, batch: "B"}
        for part in flat(given.get("state")):
            if not unbatched and (name := place.get(key(part))) is not None:
                axes[name] = {1: "B"}
        if not unbatched and (name := place.get(key(given.get("lengths")))) is not None:
            axes[name] = {0: "B"}
    if not lengths:
        return {name: {0: "B"} for name, x in zip(names, recording.inputs, strict=True) if x.ndim}
    return axes


def _origin(recording: Recording, place: Mapping[Key, str], x: Any) -> str | None:
    """The input whose entries x is made of, place by place: through layers without time and ops that keep a shape."""
    while key(x) not in place:
        if isinstance(x, np.ndarray):
            return next((n for n, y in zip(place.values(), recording.inputs, strict=True) if is_copy(x, y)), None)
        call = recording.calls.get(key(x))
        if call is not None:
            x = next(iter(call.arguments.values()))
        elif x.record is None:
            return None
        elif isinstance(index := getattr(x.record.op, "index", None), np.ndarray):
            x = index  # rows of a table
        else:
            x = next((y for y in x.record.inputs if y is not None and y.shape == x.shape), None)
        if x is None:
            return None
    return place[key(x)]


def is_copy(x: Any, of: Any) -> bool:
    """Whether an array holds what an input holds."""
    of = np.asarray(getattr(of, "array", of))
    return x.shape == of.shape and x.dtype.kind == of.dtype.kind and np.array_equal(x, of)


def others(
    examples: Sequence[Any], names: Sequence[str], axes: Mapping[str, Mapping[int, str]]
) -> Iterator[Sequence[Any]]:
    """Examples to try in the second run: other numbers, and the k-th free axis longer by k."""
    growth = {axis: k for k, axis in enumerate(dict.fromkeys(a for free in axes.values() for a in free.values()), 1)}
    for move in (_next_class, _last_class, np.copy):
        place = iter(names)

        def other(x: Any, place: Iterator[str] = place, move: Callable[[Any], Any] = move) -> Any:
            if isinstance(x, tuple | list) and any(hasattr(part, "shape") for part in x):
                return tuple(other(part, place, move) for part in x)
            array = np.asarray(getattr(x, "array", x))
            for axis, name in axes.get(next(place), {}).items():
                array = array.take(np.arange(array.shape[axis] + growth[name]) % array.shape[axis], axis)
            if array.dtype.kind == "f":
                return array * array.dtype.type(0.875) + array.dtype.type(0.0625)
            return move(array) if array.dtype.kind in "iu" else array

        yield [other(x) for x in examples]


def _next_class(ids: np.ndarray) -> np.ndarray:
    return ids + 1


def _last_class(ids: np.ndarray) -> np.ndarray:
    return np.maximum(ids, 1) - 1


def record_twice(
    model: Module, examples: Sequence[Any], names: Sequence[str], axes: Mapping[str, Mapping[int, str]] | None
) -> tuple[Recording, Recording, dict[str, dict[int, str]]]:
    """The two runs, and the free axes of the inputs."""
    first = record(model, examples)
    free = free_axes(first, names) if axes is None else {name: dict(axes[name]) for name in axes}
    for name, x in zip(names, first.inputs, strict=True):
        if any(not 0 <= axis < x.ndim for axis in free.get(name, {})):
            raise ValueError(f"to_onnx: axes of {name!r} must be in 0 .. {x.ndim - 1}, got {list(free[name])}")
    error: Exception | None = None
    for other in others(examples, names, free):
        try:
            return first, record(model, other), free
        except (ValueError, IndexError, DataError) as cause:
            error = cause  # a class that there is not, say: then the next
    longer = {name: list(free[name].values()) for name in free}
    raise ValueError(
        f"to_onnx: the model does not run with longer axes {longer}: say with axes= which axes may have any size, as "
        f'{{"x": {{0: "T", 1: "B"}}}}. It raised {type(error).__name__}: {error}'
    ) from error
