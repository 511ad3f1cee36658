"""The reverse sweep: the chain rule, walked down the tape once.

    reachable   which records lead to the outputs, newest first
    sweep       for each of them: take its complete dL/dy, ask its rule for dL/dx, hand that to its inputs

A record is reached only after everything that was computed from it (it was recorded earlier), so the
gradient waiting for it is complete: all paths have been added up. On an unrolled recurrent network this
very loop *is* backpropagation through time. There is no recursion: the graph may be a million ops deep.

Tensors appear here only through their attributes `record`, `output`, `requires_grad` and `hooks`, and `add_grad`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import DtypeError, FreedGraphError, GraphError, ShapeError
from .anomaly import check_backward
from .cotangent import Waiting
from .modes import at_step, mode
from .tape import Op, Record

Visitor = Callable[[Record, tuple[Any, ...]], None]


def reachable(outputs: Iterable[Any], since: int = 0) -> list[Record]:
    """Every record, newer than `since`, that the outputs were computed from, newest first."""
    stack = [y.record for y in outputs if y.record is not None and y.record.seq > since]
    seen = set(stack)
    while stack:
        record = stack.pop()
        if record.freed:
            raise FreedGraphError(_freed(record))
        for x in record.inputs:
            if x is not None and x.requires_grad:
                maker = x.record
                if maker is None:
                    continue
                if maker.seq >= record.seq:
                    raise GraphError(
                        f"the graph has a cycle: an input of {record} came out of {maker}, which is not older. Neither "
                        "the record of a tensor nor the inputs of a record are to be set by hand"
                    )
                if maker not in seen and maker.seq > since:
                    seen.add(maker)
                    stack.append(maker)
    return sorted(seen, key=_seq, reverse=True)


def _seq(record: Record) -> int:
    return record.seq


def leading_to(records: Sequence[Record], targets: Iterable[Any]) -> set[Record]:
    """Those records (given newest first) through which a gradient reaches one of the targets."""
    useful = {x.record or x for x in targets}
    through = set()
    for record in reversed(records):
        if any(x is not None and (x.record or x) in useful for x in record.inputs):
            useful.add(record)
            through.add(record)
    return through


def sweep(
    outputs: Sequence[Any],
    gradients: Sequence[Any],
    *,
    only: Sequence[Any] | None = None,
    since: int = 0,
    retain_graph: bool = False,
    visit: Visitor | None = None,
    hooks: bool = True,
    fill: bool = False,
    as_tensors: Callable[[Record], tuple[Any, Any]] | None = None,
) -> Waiting:
    """Walk down the tape from the outputs; gives what then waits, dL/dx for every leaf x that needs a gradient.

    only        if given, follow only the paths that lead to these tensors
    since       walk no record older than this sequence number: what they made counts as a leaf
    visit       called with each record and its complete gradient, a tuple with one entry an output
    hooks       whether to call the hooks of results; those of leaves are called by `hooked_leaves`
    fill        whether to add to the `grad` of results that retain it
    as_tensors  if given, rules see Tensors and are recorded: it gives the output and the inputs of a record as such
    """
    records = reachable(outputs, since)
    through = None if only is None else leading_to(records, only)
    useful = None if through is None else through | {x.record or x for x in only or ()}
    waiting, watching = Waiting(recorded=as_tensors is not None), mode().anomaly
    stepwise = visit is not None or as_tensors is not None or watching
    for y, g in zip(outputs, gradients, strict=True):
        waiting.add(y, g)
    k = 0
    while k < len(records):
        record, k = records[k], k + 1
        if useful is not None and record not in useful:
            continue
        gs = waiting.take(record)
        if gs is None:  # no path from the outputs brings a gradient here
            continue
        if hooks and record.hooks is not None:
            gs = _hooked(record, gs)
        if fill and record.kept is not None:
            _fill(record, gs)
        if visit is not None:
            visit(record, gs)
        if through is not None and record not in through:  # its gradient was asked for, not what lies behind it
            continue
        others = [] if stepwise or not record.op.together else together(records, k, through)
        try:
            if others:
                pulled = pull_together([record, *others], [gs, *map(waiting.take, others)], useful)
            else:
                pulled = pull(record, gs, useful, as_tensors)
            for x, part in pulled:
                if watching:
                    check_backward(record, gs, x, part)
                waiting.add(x, part)
        except Exception as error:
            error.add_note(f"in the derivative rule of {record}" + _HALF_FREED * (not retain_graph))
            raise
        if not retain_graph:
            record.free()
            for other in others:
                other.free()
        k += len(others)
    return waiting


_HALF_FREED = "; what was recorded after it is freed already, so compute the outputs anew before another pass"


def pull(
    record: Record,
    gs: tuple[Any, ...],
    useful: set[Any] | None = None,
    as_tensors: Callable[[Record], tuple[Any, Any]] | None = None,
) -> list[tuple[Any, Any]]:
    """The rule of one record at work: (x, dL/dx) for each input x that needs a gradient, given dL/dy for each y."""
    op, arrays = record.op, record.arrays
    ys, xs = (record.values, arrays) if as_tensors is None else as_tensors(record)
    g, y = (gs, ys) if op.outputs > 1 else (gs[0], ys[0])
    each: Any = op.rules  # a rule an input; or, where there is one for all, what it returned
    if not (ruled := bool(each)):
        each = op.vjp(g, y, *xs)
        if type(each) is not tuple:
            each = (each,) if each is not None else (None,) * len(arrays)
    if len(each) != len(arrays):
        raise _miscounted(op, len(each), len(arrays))
    pulled = []
    for i, x in enumerate(record.inputs):
        if x is None or not x.requires_grad or (useful is not None and (x.record or x) not in useful):
            continue
        part = each[i](op, g, y, *xs) if ruled else each[i]
        if part is None:
            continue
        a = arrays[i]
        if getattr(part, "shape", None) != a.shape or part.dtype != a.dtype:
            part = _fitted(part, a, op)
        pulled.append((x, part))
    return pulled


def together(records: Sequence[Record], k: int, through: set[Record] | None) -> list[Record]:
    """The records from number k on that can be swept with the one before them: its Workspace is theirs too.

    They were recorded one after the other, so what was computed from any of them has been swept already.
    """
    space = records[k - 1].arrays[-1]
    others = []
    for record in itertools.islice(records, k, None):
        shares = record.op.together and record.arrays[-1] is space
        looked_at = record.hooks is not None or record.kept is not None
        if not shares or looked_at or (through is not None and record not in through):
            break
        others.append(record)
    return others


def pull_together(records: list[Record], gs: list[Any], useful: set[Any] | None) -> list[tuple[Any, Any]]:
    """The rules of records that share a Workspace at work, as `pull` for one."""
    pulled = records[0].arrays[-1].pull(records, gs)
    return [(x, g) for x, g in pulled if x.requires_grad and (useful is None or (x.record or x) in useful)]


def _miscounted(op: Op, given: int, inputs: int) -> TypeError:
    return TypeError(
        f"op {op.name} was applied to {inputs} inputs and has rules for {given}: vjp() returns a tuple with one "
        "gradient (or None) an input, or there is one vjp_... method an input"
    )


def _fitted(g: Any, x: np.ndarray, op: Op) -> Any:
    """A gradient in the shape and dtype of what it is the gradient of; ShapeError or DtypeError where it has none."""
    if not hasattr(g, "shape"):
        g = np.asarray(g)
    if g.shape != x.shape:
        g = op.fit(g, x)
    if x.dtype.kind != "f":
        raise DtypeError(f"an input of dtype {x.dtype} cannot have a gradient: requires_grad was set on integers")
    return g if g.dtype == x.dtype else g.astype(x.dtype)


def _freed(record: Record) -> str:
    where = at_step(record.step)
    return (
        f"the graph behind op {record.op.name}{where} was freed by an earlier backward pass. If a state is carried "
        "from one window to the next, cut it: h = tg.bptt.detach(h). To differentiate the same graph twice, "
        "pass retain_graph=True the first time"
    )


# ------------------------------------------------------------------ hooks


def hooked_leaves(waiting: Waiting) -> dict[Any, Any]:
    """The gradients of the leaves after their hooks."""
    return {x: run_hooks(x.hooks, g, x.name or "a leaf") for x, g in waiting.leaves().items()}


def _hooked(record: Record, gs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The gradient of a record after the hooks of its outputs."""
    table = record.hooks or {}
    return tuple(run_hooks(table.get(k), g, record) for k, g in enumerate(gs))


def _fill(record: Record, gs: tuple[Any, ...]) -> None:
    """Put the gradient of a record into those of its outputs that asked for it."""
    for k, reference in (record.kept or {}).items():
        tensor = reference()
        if tensor is not None:
            tensor.add_grad(gs[k])


def run_hooks(hooks: list[Callable[[Any], Any]] | None, g: Any, owner: Any) -> Any:
    """Show the gradient to each hook, which may replace it; None leaves it as it is."""
    for hook in list(hooks or ()):  # a copy, since a hook may remove itself
        new = hook(_lent(g))
        if new is None:
            continue
        if np.shape(new) != np.shape(g):
            raise ShapeError(f"a hook of {owner} returned shape {np.shape(new)} for a gradient of shape {np.shape(g)}")
        if not hasattr(g, "array"):  # an array stays an array
            new = np.asarray(getattr(new, "array", new), dtype=g.dtype)
        elif not hasattr(new, "array"):
            new = type(g)(new, dtype=g.dtype)
        g = new
    return g


def _lent(g: Any) -> Any:
    """A gradient for a hook to look at: it may be shared with other tensors, so an array is read-only."""
    if isinstance(g, np.ndarray):
        g = g.view()
        g.flags.writeable = False
    return g
