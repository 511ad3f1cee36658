"""One step, recorded forward and backward.

The step is called once on symbols, and what it computes goes onto a tape as always. Then the engine's own sweep walks
down that tape with Tensors in place of arrays, as for second derivatives: the rules of the ops are written in NumPy, so
they *record themselves*. One list then holds the step and its backward pass, in one vocabulary, and no derivative is
stated a second time.

    dL/dW of a weight, for all steps together, is Σ_t x_tᵀ g_t or Σ_t g_t (a "total"), or computed from such totals
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd.checks import as_outputs
from ..autograd.tensor import Tensor
from ..engine.arrays import DType
from ..engine.backward import sweep
from ..engine.modes import Setting, enable_grad, mode
from ..engine.randomness import Drawn
from ..engine.tape import Op, Record, clock
from ..errors import CompileError
from ..ops.functions import positive
from .reading import Reading
from .symbols import DETACH, Symbol, symbols
from .values import Value, ordered

StepFunction = Callable[[Any, Any], tuple[Any, Any]]
"""``y, state = step(a, state)``: a Tensor and a state, a Tensor or a tuple of them."""

BATCHES = (5, 7, 11, 13, 17, 19)


def batches(width: int, widths: Sequence[int]) -> tuple[int, int]:
    """The sizes of the batches of two recordings, no size of anything else: what depends on them differs."""
    one, two, *_ = (B for B in BATCHES if B not in (width, *widths))
    return one, two


@dataclass
class Recorded:
    """A step as values. With `factored`, the same with its gradients in another form.

    a, states        what the step is given
    y, after         what it gives: the output, and the state after it
    seeds            (result, g) for each result, once: g = dL/d(result) is what arrives at it from outside
    da, dstates      the gradients of what it is given, None where they are zero
    dweights         (weight, its gradient, computed from totals)
    """

    a: Value
    states: list[Value]
    y: Value
    after: list[Value]
    seeds: list[tuple[Value, Value]]
    da: Value | None
    dstates: list[Value | None]
    dweights: list[tuple[Value, Value]]
    dtype: np.dtype[Any]

    @property
    def gradients(self) -> list[Value]:
        """The values of the backward pass that are asked for."""
        return [v for v in (self.da, *self.dstates, *(g for _, g in self.dweights)) if v is not None]

    @property
    def weights(self) -> list[Value]:
        """The weights that it is computed from, tensors and arrays."""
        return [v for v in ordered([self.y, *self.after, *self.gradients]) if v.kind == "weight"]

    def signature(self) -> list[Any]:
        """What two recordings of one step agree in."""
        order = ordered([self.y, *self.after, *self.gradients])
        place = {v: k for k, v in enumerate(order)}
        ends = [place[v] for v in (self.y, *self.after, *self.gradients)]
        return [ends, *[_described(v, [place[x] for x in v.args]) for v in order]]


def _described(v: Value, args: list[int]) -> tuple[Any, ...]:
    size = v.columns if v.varies or v.kind == "number" else v.shape
    return v.kind, v.name, size, v.dtype, args, v.output, v.start, v.number, id(v.source), _parameters(v.op)


def _parameters(op: Op | None) -> str:
    """What an op was made with, but for sizes of the batch."""
    return "" if op is None or "shape" in op.parameters else repr(op)


def record(step: StepFunction, width: int, widths: Sequence[int], dtype: DType) -> Recorded:
    """Record ``step(a, state)`` for an a of (B, width) and a state of parts (B, widths[0]), ...

    Raises CompileError, which says what in the step a recording would not hold.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> from tinygrad_rnn.compiled import record
    >>> def step(a, h):
    ...     h = np.tanh(a + h)
    ...     return h, h
    >>> recorded = record(step, 4, [4], float)
    >>> [v.name for v in ordered([recorded.y])], [v.name for v in ordered([recorded.da], lambda v: v is recorded.y)]
    (['a', 'state', 'add', 'tanh'], ['g', 'number', 'multiply', 'subtract', 'multiply'])
    """
    kept: list[Recorder] = []  # until both are compared: of what is gone, another may get the id
    with Drawn(step).again(), np.errstate(all="ignore"):  # nobody asked for these numbers, and none is drawn from them
        first, second = (_record(step, width, widths, np.dtype(dtype), B, kept) for B in batches(width, widths))
    if (one := first.signature()) != (two := second.signature()):
        raise CompileError(_difference(one, two))
    return first


def _difference(one: list[Any], two: list[Any]) -> str:
    """Why two recordings of a step are not the same."""
    kind, _, size = next((x for x, y in zip(one[1:], two[1:], strict=False) if x != y), ("", "", ""))[:3]
    if kind == "weight":
        made = f"an array of shape {size} is made inside the step, as dropout does"
        return f"{made}: make it outside, or carry it in the state"
    return (
        "two recordings of the step differ: it draws random numbers, counts its calls, or depends on the size of the "
        "batch or on its other sequences"
    )


def _record(
    step: StepFunction, width: int, widths: Sequence[int], dtype: np.dtype[Any], B: int, kept: list[Recorder]
) -> Recorded:
    rng, start, recorder = np.random.default_rng(B), next(clock), Recorder()
    kept.append(recorder)
    given = _given(width, widths, dtype, B)
    with enable_grad(), Setting("anomaly", False), Setting("recorder", recorder):
        y, after = _results(step(given[0], tuple(given[1:]) if len(widths) > 1 else given[1]), widths, B)
        outs = list(dict.fromkeys(_Same(x) for x in (y, *after)))
        seeds = [symbols((rng.normal(0, 1, x.tensor.shape).astype(dtype),), None, True)[0] for x in outs]
        recorder.backward = True
        moving = [(x.tensor, g) for x, g in zip(outs, seeds, strict=True) if x.tensor.requires_grad]
        tensors, gs = [x for x, _ in moving], [g for _, g in moving]
        waiting = sweep(tensors, gs, since=start, retain_graph=True, as_tensors=_as_symbols)
        grads = [waiting.at(x) for x in given]
        weights = [(x, g) for x, g in waiting.leaves().items() if not isinstance(x, Symbol)]
        weights += [(x, waiting.at(x)) for x in recorder.older(start) if waiting.at(x) is not None]
    read = Reading(B, dtype, recorder.records, given, seeds)
    da, *dstates = [None if g is None else read.at(g) for g in grads]
    results: dict[_Same, Value] = {}
    for out in outs:
        v = read.at(out.tensor)
        if v in results.values():  # h and h.detach(): one value, but two gradients arrive
            v = Value("op", v.shape, v.dtype, (v,), name="positive", op=positive)
        results[out] = v
    recorded = Recorded(
        read.at(given[0]),
        [read.at(x) for x in given[1:]],
        results[_Same(y)],
        [results[_Same(x)] for x in after],
        [(results[out], read.at(g)) for out, g in zip(outs, seeds, strict=True)],
        da,
        dstates,
        [(read.at(x), read.at(g)) for x, g in weights],
        dtype,
    )
    read.check([recorded.y, *recorded.after], recorded.gradients)
    return recorded


def trace(step: StepFunction, width: int, widths: Sequence[int], dtype: DType) -> tuple[list[Any], list[Any]]:
    """What a step does now, forward, to be compared, and the weights that it uses, in the order of their first use.

    For each op it says what it is applied to, and whether a gradient comes back through that; of a weight its form.
    """
    recorder, B = Recorder(), batches(width, widths)[0]
    with Drawn(step).again(), np.errstate(all="ignore"), enable_grad(), Setting("anomaly", False):
        given = _given(width, widths, np.dtype(dtype), B)
        with Setting("recorder", recorder):
            y, after = _results(step(given[0], tuple(given[1:]) if len(widths) > 1 else given[1]), widths, B)
    places: dict[int, Any] = {id(x): k for k, x in enumerate(given)}
    first = recorder.records[0].seq if recorder.records else 0
    weights: list[Any] = []

    def place(x: Any) -> Any:
        if not isinstance(x, Tensor | np.ndarray) or (np.ndim(x) == 0 and not isinstance(x, Tensor)):
            return x
        if isinstance(x, Symbol) and x.record is not None:
            return x.record.seq - first, x.output, x.requires_grad
        if id(x) not in places:
            weights.append(x)
            places[id(x)] = "weight", len(weights), x.shape, x.dtype, getattr(x, "requires_grad", False)
        return places[id(x)]

    done = []
    for record in recorder.records:
        inputs = [place(a if x is None else x) for x, a in zip(record.inputs, record.arrays, strict=True)]
        op = record.op
        done.append((type(op), op.name, _parameters(op), getattr(op.forward, "__code__", None), inputs))
    return [done, *[place(x) for x in (y, *after)]], weights


def _given(width: int, widths: Sequence[int], dtype: np.dtype[Any], B: int) -> list[Symbol]:
    """An input and a state to record a step on."""
    rng = np.random.default_rng(B)
    return [symbols((rng.normal(0, 0.3, (B, n)).astype(dtype),), None, True)[0] for n in (width, *widths)]


class _Same:
    """A tensor, equal to whatever else is the same output of the same record."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.key = (id(tensor),) if tensor.record is None else (tensor.record.seq, tensor.output)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def _results(result: Any, widths: Sequence[int], B: int) -> tuple[Symbol, list[Symbol]]:
    """What a step gave, checked."""
    if not (isinstance(result, tuple | list) and len(result) == 2):
        raise CompileError("the step does not return two things, y and the new state")
    y, after = result
    after = list(after) if isinstance(after, tuple) else [after]
    if not all(isinstance(x, Symbol) for x in (y, *after)):
        raise CompileError("y and the state after a step must be Tensors computed from its input or state")
    if [x.shape for x in after] != [(B, n) for n in widths]:
        raise CompileError(f"the state has another shape after the step: {[x.shape[1:] for x in after]}, not {widths}")
    return y, after


def _as_symbols(record: Record) -> tuple[Any, list[Any]]:
    """The outputs of a record and its inputs as a rule sees them."""
    xs = [a if x is None else x for x, a in zip(record.inputs, record.arrays, strict=True)]
    return symbols(record.values, record, True), xs


class Recorder:
    """Applies ops to symbols, and writes a record of every one, whether or not it needs a gradient."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.backward = False  # from then on, arrays of zeros are the engine's: gradients that have not arrived

    def __call__(self, op: Op, inputs: tuple[Any, ...]) -> Any:
        tensors = tuple([x if isinstance(x, Tensor) else None for x in inputs])
        arrays = tuple([x._array if isinstance(x, Tensor) else self.constant(x) for x in inputs])
        values = as_outputs(op.forward(*arrays), op)
        record = Record(op, tensors, arrays, values)
        self.records.append(record)
        needed = any(x is not None and x.requires_grad for x in tensors)
        floats = all(y.dtype.kind == "f" for y in values)
        made = symbols(values, record, needed and floats and mode().recording and op is not DETACH)
        return made if op.outputs > 1 else made[0]

    def constant(self, x: Any) -> Any:
        """A number, in Python's form where it is whole; an array, which belongs to the step if it was there before."""
        if isinstance(x, np.ndarray | np.generic) and np.ndim(x) == 0:
            return x.item() if x.dtype.kind in "iub" else x.dtype.type(x)
        return x if isinstance(x, bool | int | float) else np.asarray(x)

    def older(self, start: int) -> Iterable[Tensor]:
        """The tensors that were met, but computed before."""
        met = (x for record in self.records for x in record.inputs if x is not None and x.record is not None)
        return dict.fromkeys(x for x in met if x.record.seq < start)
