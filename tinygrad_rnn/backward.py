"""The reverse sweep: the chain rule, walked down the tape once.

    reachable   which records lead to the outputs, newest first
    sweep       for each of them: take its complete dL/dy, ask its rule for dL/dx, hand that to its inputs

A record is reached only after everything that was computed from it (it was recorded earlier), so the
gradient waiting for it is complete: all paths have been added up. On an unrolled recurrent network this
very loop *is* backpropagation through time. There is no recursion: the graph may be a million ops deep.

Tensors appear here only through their attributes `record`, `output`, `requires_grad` and `array`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .errors import DtypeError, FreedGraphError, OverwrittenError, ShapeError
from .tape import Op, Record

Visitor = Callable[[Record, Any], None]


class Indexed:
    """A lazy gradient: that of ``x`` where only ``x[index]`` was used, and `part` arrived for it.

    Written out it would be zeros of the shape of ``x``. A sequence of T steps is T such indexings of one array, so
    writing each out would make BPTT quadratic in T; instead each part is added to its place.
    """

    __slots__ = ("dtype", "index", "part", "shape")

    def __init__(self, index: Any, part: Any, x: Any) -> None:
        self.index = index
        self.part = part
        self.shape: tuple[int, ...] = x.shape
        self.dtype: np.dtype[Any] = x.dtype

    def add_to(self, buffer: np.ndarray) -> None:
        add_at(buffer, self.index, self.part)


def add_at(buffer: np.ndarray, index: Any, part: Any) -> None:
    """``buffer[index] += part``, also right where an index array names one entry several times."""
    if isinstance(index, np.ndarray) and index.dtype != bool and index.size:
        # rows with equal numbers are brought together and added up: the gradient of an embedding
        flat = index.reshape(-1).astype(np.intp) % len(buffer)
        order = np.argsort(flat, kind="stable")
        rows, starts = np.unique(flat[order], return_index=True)
        part = np.reshape(part, (flat.size, *buffer.shape[1:]))
        buffer[rows] += np.add.reduceat(part[order], starts, axis=0)
    elif isinstance(index, tuple) and any(isinstance(i, np.ndarray) for i in index):
        np.add.at(buffer, index, part)
    else:
        buffer[index] += part


class Scatter(Op):
    """y = zeros, then y[index_k] += x_k for each k: the sum of many `Indexed` gradients, as an op.

    dL/dx_k = g[index_k]
    """

    def __init__(self, indices: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.indices, self.shape, self.dtype = indices, shape, dtype

    def forward(self, *parts: Any) -> np.ndarray:
        y = np.zeros(self.shape, self.dtype)
        for index, part in zip(self.indices, parts, strict=True):
            add_at(y, index, part)
        return y

    def vjp(self, g: Any, y: Any, *parts: Any) -> tuple[Any, ...]:
        return tuple(g[index] for index in self.indices)


class ArraySum:
    """The sum of several contributions to one gradient, in a buffer of its own.

    Contributions may be shared (`add` hands the same g to both of its inputs) or read-only views, so none of
    them is ever written to.
    """

    __slots__ = ("total",)

    def __init__(self, first: Any) -> None:
        if type(first) is Indexed:
            self.total = np.zeros(first.shape, first.dtype)
            first.add_to(self.total)
        else:
            self.total = np.array(first)

    def add(self, g: Any) -> None:
        if type(g) is Indexed:
            g.add_to(self.total)
        else:
            self.total += g

    def value(self) -> Any:
        return self.total


class RecordedSum:
    """The same sum with Tensors (`create_graph=True`): nothing in place, all indexed parts in one `Scatter`."""

    __slots__ = ("parts", "total")

    def __init__(self, first: Any) -> None:
        self.total: Any = None
        self.parts: list[Indexed] = []
        self.add(first)

    def add(self, g: Any) -> None:
        if type(g) is Indexed:
            self.parts.append(g)
        else:
            self.total = g if self.total is None else self.total + g

    def value(self) -> Any:
        if self.parts:
            indices = tuple(part.index for part in self.parts)
            scatter = Scatter(indices, self.parts[0].shape, self.parts[0].dtype)
            self.add(scatter(*[part.part for part in self.parts]))
            self.parts = []
        return self.total


def reachable(outputs: Iterable[Any]) -> list[Record]:
    """Every record that the outputs were computed from, newest first."""
    stack = [y.record for y in outputs if y.record is not None]
    seen = set(stack)
    while stack:
        record = stack.pop()
        if record.inputs is None:
            raise FreedGraphError(_freed(record))
        for x in record.inputs:
            if x is not None and x.requires_grad:
                maker = x.record
                if maker is not None and maker not in seen:
                    seen.add(maker)
                    stack.append(maker)
    return sorted(seen, key=_seq, reverse=True)


def _seq(record: Record) -> int:
    return record.seq


def _freed(record: Record) -> str:
    where = f" at {record.step}" if record.step else ""
    return (
        f"the graph behind op {record.op.name}{where} was freed by an earlier backward pass. If a state is carried "
        "from one window to the next, cut it: h = tg.bptt.detach(h). To differentiate the same graph twice, "
        "pass retain_graph=True the first time"
    )


def leading_to(records: Sequence[Record], targets: Iterable[Any]) -> set[Any]:
    """Those of the records (given newest first) through which a gradient can reach one of the targets."""
    leaves = {x for x in targets if x.record is None}
    useful = {x.record for x in targets if x.record is not None}
    for record in reversed(records):
        if record not in useful:
            for x in record.inputs or ():
                if x is not None and (x in leaves if x.record is None else x.record in useful):
                    useful.add(record)
                    break
    return useful


def sweep(
    outputs: Sequence[Any],
    gradients: Sequence[Any],
    *,
    only: Sequence[Any] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    visit: Visitor | None = None,
    remake: Callable[[Record], Any] | None = None,
    hooks: bool = True,
    fill: bool = False,
) -> dict[Any, Any]:
    """Walk down the tape from the outputs and return dL/dx for every leaf x that needs a gradient.

    only          if given, follow only the paths that lead to these tensors
    visit         called with each record and its complete gradient (a tuple for an op of several outputs)
    create_graph  the gradients are Tensors, rules see Tensors (`remake(record)` gives those of an output)
    hooks         whether to call the hooks; with `fill` also those of `retain_grad`
    """
    records = reachable(outputs)
    wanted = None if only is None else leading_to(records, only) | set(only)
    new_sum: Any = RecordedSum if create_graph else ArraySum
    waiting: dict[Any, Any] = {}  # leaf or record -> its gradient so far (a list of them for several outputs)

    def give(x: Any, g: Any) -> None:
        """Add g to what is waiting for the tensor x."""
        key = x.record
        if key is None:
            place, key = waiting, x
        elif key.op.outputs == 1:
            place = waiting
        else:
            place, key = waiting.setdefault(key, {}), x.output
        have = place.get(key)
        if have is None:
            place[key] = new_sum(g) if type(g) is Indexed else g
        elif type(have) is new_sum:
            have.add(g)
        else:
            place[key] = have = new_sum(have)
            have.add(g)

    for y, g in zip(outputs, gradients, strict=True):
        give(y, g)

    for record in records:
        g = waiting.pop(record, None)
        if g is None or (wanted is not None and record not in wanted):
            continue
        op = record.op
        if op.outputs > 1:
            g = tuple(_value(g.get(k), y, new_sum) for k, y in enumerate(record.value))
        elif type(g) is new_sum:
            g = g.value()
        if record.hooks is not None and hooks:
            g = _run_hooks(record, g, fill)
        if visit is not None:
            visit(record, g)
        inputs, arrays = record.inputs, record.arrays
        assert inputs is not None and arrays is not None
        if wanted is not None:
            inputs = tuple(x if x is not None and (x.record or x) in wanted else None for x in inputs)
            if all(x is None for x in inputs):  # the gradient of this output was asked for, not what lies behind it
                continue
        if create_graph:
            assert remake is not None
            y = remake(record)
            pairs = zip(record.inputs or (), arrays, strict=True)
            xs: Any = [a if x is None else _unchanged(x, a, record) for x, a in pairs]
        else:
            y, xs = record.value, arrays
        rules = op.rules
        try:
            if not rules:
                every = op.vjp(g, y, *xs)
                if type(every) is not tuple:
                    every = (every,) if every is not None else (None,) * len(inputs)
            if len(rules or every) != len(inputs):
                raise TypeError(_miscounted(op, len(rules or every), len(inputs)))
            for i, x in enumerate(inputs):
                if x is None or not x.requires_grad:
                    continue
                part = rules[i](op, g, y, *xs) if rules else every[i]
                if part is not None:
                    a = arrays[i]
                    if type(part) is not np.ndarray and not hasattr(part, "shape"):
                        part = np.asarray(part)
                    if part.shape != a.shape:
                        part = op.fit(part, a)
                    if part.dtype != a.dtype:
                        part = _cast(part, a)
                    give(x, part)
        except Exception as error:
            error.add_note(f"in the derivative rule of {record}")
            raise
        if not retain_graph:
            record.free()

    leaves = {x: g for x, g in waiting.items() if not isinstance(x, Record)}
    complete = {x: g.value() if type(g) is new_sum else g for x, g in leaves.items()}
    return {x: _run_leaf_hooks(x, g) for x, g in complete.items()} if hooks else complete


def _value(g: Any, y: np.ndarray, new_sum: Any) -> Any:
    """The complete gradient of one of several outputs; an output nobody used has a zero gradient."""
    if g is None:
        return np.zeros_like(y)
    return g.value() if type(g) is new_sum else g


def _cast(g: Any, x: np.ndarray) -> Any:
    """The gradient in the dtype of what it is the gradient of."""
    if x.dtype.kind != "f":
        raise DtypeError(f"an input of dtype {x.dtype} cannot have a gradient: requires_grad was set on integers")
    return g.astype(x.dtype)


def _miscounted(op: Op, given: int, inputs: int) -> str:
    return (
        f"op {op.name} was applied to {inputs} inputs and has rules for {given}: vjp() returns a tuple with one "
        "gradient (or None) an input, or there is one vjp_... method an input"
    )


def _unchanged(x: Any, array: np.ndarray, record: Record) -> Any:
    if x.array is not array and not np.array_equal(x.array, array, equal_nan=True):
        raise OverwrittenError(
            f"a tensor of shape {x.shape} used by {record} was given new data since: differentiate before changing it"
        )
    return x


class Keep:
    """The hook of `retain_grad`: it puts the gradient into the tensor's `grad`. Only `backward()` lets it."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = weakref.ref(tensor)

    def __call__(self, g: Any) -> None:
        tensor = self.tensor()
        if tensor is not None:
            tensor.add_grad(g)


def _run_hooks(record: Record, g: Any, fill: bool) -> Any:
    """Let each hook see the gradient of its output, and replace it; `retain_grad` keeps what came of that."""
    parts = list(g) if record.op.outputs > 1 else [g]
    assert record.hooks is not None
    for k, hooks in record.hooks.items():
        for hook in [hook for hook in hooks if type(hook) is not Keep]:  # a copy: a hook may remove itself
            parts[k] = replaced(parts[k], hook(_lent(parts[k])), record)
        for keep in [hook for hook in hooks if type(hook) is Keep and fill]:
            keep(parts[k])
    return tuple(parts) if record.op.outputs > 1 else parts[0]


def _run_leaf_hooks(x: Any, g: Any) -> Any:
    for hook in list(x.hooks or ()):
        g = replaced(g, hook(_lent(g)), x.name or "a leaf")
    return g


def _lent(g: Any) -> Any:
    """A gradient for a hook to look at: it may be shared with other tensors, so an array is read-only."""
    if isinstance(g, np.ndarray):
        g = g.view()
        g.flags.writeable = False
    return g


def replaced(g: Any, new: Any, owner: Any) -> Any:
    """What a hook of `owner` returned in place of g, as array or Tensor like g; None leaves g as it was."""
    if new is None:
        return g
    if np.shape(new) != np.shape(g):
        raise ShapeError(f"a hook of {owner} returned shape {np.shape(new)} for a gradient of shape {np.shape(g)}")
    if hasattr(new, "array"):
        return new if hasattr(g, "array") else new.array
    return np.asarray(new, dtype=g.dtype)
