"""The reverse sweep: the chain rule, walked down the tape once.

    reachable   which records lead to the outputs, newest first; `opened`: with each step of a layer by itself
    sweep       for each of them: take its complete dL/dy, ask its rule for dL/dx, hand that to its inputs

A record is reached only after everything that was computed from it (it was recorded earlier), so the
gradient waiting for it is complete: all paths have been added up. On an unrolled recurrent network this
very loop *is* backpropagation through time. There is no recursion: the graph may be a million ops deep.

Tensors appear here only through their attributes `record`, `output`, `requires_grad` and `hooks`, and `add_grad`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

from ..errors import FreedGraphError, GraphError
from .anomaly import check_backward
from .cotangent import Waiting, completed
from .lending import fitted, lent, miscounted
from .modes import at_step, mode
from .tape import Op, Record
from .visitors import Gradients, Visitor

AsTensors = Callable[[Record], tuple[Any, Any]]


def reachable(outputs: Iterable[Any], since: int = 0) -> list[Record]:
    """Every record, newer than `since`, that the outputs were computed from, newest first."""
    stack = [y.record for y in outputs if y.record is not None and y.record.seq > since]
    ends, seen = set(stack), set(stack)
    while stack:
        record = stack.pop()
        if record.freed:
            raise FreedGraphError(_freed(record, record in ends))
        seq = record.seq
        for x in record.inputs:
            if x is not None and (maker := x.record) is not None and x.requires_grad:
                if maker.seq >= seq:
                    raise GraphError(
                        f"the graph has a cycle: an input of {record} came out of {maker}, which is not older. Neither "
                        "the record of a tensor nor the inputs of a record are to be set by hand"
                    )
                if maker not in seen and maker.seq > since:
                    seen.add(maker)
                    stack.append(maker)
    return sorted(seen, key=_seq, reverse=True)


def opened(outputs: Iterable[Any], since: int = 0) -> list[Record]:
    """As `reachable`, with every run of a layer opened into the records of its steps, for whoever wants to see them.

    A layer computes its T steps at once and writes one record, its run, for which a plain backward pass needs no more.
    The run has kept T sequence numbers. Opening it (`Op.open_steps`) puts T records with these numbers in its place,
    for good: each is one step, with the tag and the names of that step; the run's own record becomes their stack.
    """
    records = reachable(outputs, since)
    runs = [record for record in records if record.op.open_steps is not None]
    for record in runs:
        record.op.open_steps(record)  # type: ignore[misc]
    return reachable(outputs, since) if runs else records


_seq = attrgetter("seq")


def leading_to(records: Sequence[Record], targets: Iterable[Any]) -> tuple[set[Record], set[Any]]:
    """Those records (given newest first) through which a gradient reaches a target; and these with the targets."""
    useful = {x.record or x for x in targets}
    through = set()
    for record in reversed(records):
        if any(x is not None and (x.record or x) in useful for x in record.inputs):
            useful.add(record)
            through.add(record)
    return through, useful


def sweep(
    outputs: Sequence[Any],
    gradients: Sequence[Any],
    *,
    only: Sequence[Any] | None = None,
    since: int = 0,
    retain_graph: bool = False,
    visit: Visitor | None = None,
    as_tensors: AsTensors | None = None,
) -> Waiting:
    """Walk down the tape from the outputs; gives what then waits, dL/dx for every leaf x that needs a gradient.

    only        if given, follow only the paths that lead to these tensors
    since       walk no record older than this sequence number: what they made counts as a leaf
    visit       sees each record with its complete gradients, one an output (None for an unused one), and gives those
                to go on with
    as_tensors  if given, rules see Tensors and are recorded: it gives the outputs and the inputs of a record as such
    """
    stepwise = mode().anomaly or as_tensors is not None
    records = opened(outputs, since) if stepwise else reachable(outputs, since)
    waiting = Waiting(recorded=as_tensors is not None)
    through = useful = None
    if only is not None:
        through, useful = leading_to(records, only)
        records = [record for record in records if record in useful]
    rule = pull if useful is None and not stepwise else partial(asked, useful=useful, as_tensors=as_tensors)
    for y, g in zip(outputs, gradients, strict=True):
        waiting.add(y, g)
    for record in records:
        gs = waiting.take(record)
        if gs is None:  # no path from the outputs brings a gradient here
            continue
        if visit is not None:
            gs = visit(record, gs)
        if through is not None and record not in through:  # its gradient was asked for, not what lies behind it
            continue
        try:
            hand_on(record, gs, waiting, rule)
        except Exception as error:
            error.add_note(f"in the derivative rule of {record}" + _HALF_FREED * (not retain_graph))
            raise
        if not retain_graph:
            record.free()
    return waiting


_HALF_FREED = "; what was recorded after it is freed already, so compute the outputs anew before another pass"


def hand_on(record: Record, gs: Gradients, waiting: Waiting, rule: Callable[..., Any]) -> None:
    """Add to what waits for each input: dL/dx by `pull`; or without it, sooner, where an op is as nearly all are."""
    op, arrays, places = record.op, record.arrays, waiting.places
    if rule is not pull or not op.ours or not op.rules or op.outputs > 1:
        for x, part in rule(record, gs):
            waiting.add(x, part)
        return
    g, y = gs[0], record.values[0]
    for i, x in enumerate(record.inputs):
        if x is None or not x.requires_grad or (part := op.rules[i](op, g, y, *arrays)) is None:
            continue
        a = arrays[i]
        if type(part) is not np.ndarray or part.shape != a.shape or part.dtype != a.dtype:
            part = fitted(part, a, op)
        place = x.record or x
        if place in places or (place is not x and place.op.outputs > 1):
            waiting.add(x, part)
        else:
            places[place] = part


def pull(
    record: Record, gs: Gradients, useful: set[Any] | None = None, as_tensors: AsTensors | None = None
) -> list[tuple[Any, Any]]:
    """The rule of one record at work: (x, dL/dx) for each input x that needs a gradient, given dL/dy for each y."""
    op, arrays = record.op, record.arrays
    ys, xs = (record.values, arrays) if as_tensors is None else as_tensors(record)
    if not op.ours:
        gs = tuple(map(lent, gs))
    g, y = (completed(record, gs), ys) if op.outputs > 1 else (gs[0], ys[0])
    ruled = bool(op.rules)
    each: Any = op.rules if ruled else _parts(op, g, y, xs)  # a rule an input; or what the rule for all of them gives
    if len(each) != len(arrays):
        raise miscounted(op, len(each), len(arrays))
    pulled = []
    for i, x in enumerate(record.inputs):
        if x is None or not x.requires_grad or (useful is not None and (x.record or x) not in useful):
            continue
        part = each[i](op, g, y, *xs) if ruled else each[i]
        if part is None:
            continue
        a = arrays[i]
        if getattr(part, "shape", None) != a.shape or part.dtype != a.dtype or not op.ours:
            part = fitted(part, a, op)
        pulled.append((x, part))
    return pulled


def _parts(op: Op, g: Any, y: Any, xs: Sequence[Any]) -> tuple[Any, ...]:
    """What the rule for all inputs of an op gives, one an input."""
    parts = op.vjp(g, y, *xs)
    if type(parts) is tuple:
        return parts
    return (None,) * len(xs) if parts is None else (parts,)


def asked(record: Record, gs: Gradients, **options: Any) -> list[tuple[Any, Any]]:
    """As `pull`, with what is asked for besides; within `anomaly`, AnomalyError where the rule makes a nan or inf."""
    watching = mode().anomaly
    gs = completed(record, gs) if watching else gs
    pulled = pull(record, gs, **options)
    for x, part in pulled if watching else ():
        check_backward(record, gs, x, part)
    return pulled


def _freed(record: Record, ended: bool) -> str:
    what = f"the graph behind op {record.op.name}{at_step(record.step)} was freed by an earlier backward pass"
    keep = "pass retain_graph=True the first time"
    if ended:
        return f"{what} from here. To look at a graph do so before backward(); to go through it twice, {keep}"
    carried = "If a state is carried from one window to the next, cut it: h = tg.bptt.detach(h)"
    return f"{what}. {carried}. To differentiate the same graph twice, {keep}"
