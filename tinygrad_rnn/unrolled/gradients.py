"""The gradient at a state: complete, over all paths from it to the loss. Reports and pictures ask here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.backward import sweep
from ..engine.modes import Setting, enable_grad
from ..engine.tape import Record, clock
from ..engine.visitors import noting
from .expand import composed, fused
from .run import Place

Arrived = Callable[[Record], "tuple[Any, ...] | None"]
"""What a sweep has brought to a record, one gradient an output."""


def gradient(places: tuple[Place, ...], arrived: Arrived) -> Any:
    """dL/d(state after a step), which stands at these places; None where nothing arrives.

    Where sequences have ended, the output of the step is masked apart from the state. So what comes from the loss
    arrives at what the cell made, and for a sequence that has ended, what passes by at what was handed on.
    """
    *made, kept = places
    g = _at(kept, arrived)
    for new in made:
        part = _at(new, arrived)
        if part is not None:
            g = np.where(kept[0].arrays[0], part, 0 if g is None else g)
    return g


def _at(place: Place, arrived: Arrived) -> Any:
    record, k = place
    gs = arrived(record)
    if gs is None:
        return None
    leads_on = len(gs) > 1 and fused(record) and record.op.leads_on(k)  # type: ignore[attr-defined]
    return _within(record, k, gs) if leads_on else gs[k]


def _within(record: Record, k: int, gs: tuple[Any, ...]) -> Any:
    """dL/d(output k) of a step with several outputs, one of which may lead to another: c_t to the loss by way of h_t.

    Beside the others it has been given what goes on from there. The rest is found among the ops of the cell.
    """
    since = next(clock)
    with enable_grad(), Setting("anomaly", False):
        outputs = composed(record, record.inputs)
    kept = outputs[k].record
    new = kept.inputs[1] if kept is not None and kept.op.name == "where" else None
    handed = [outputs[k], *([new] if new is not None and new.record is not None and new.record.states else [])]
    known = [(y, g) for y, g in zip(outputs, gs, strict=True) if g is not None]
    found: dict[Record, tuple[Any, ...]] = {}
    sweep(
        [y for y, _ in known], [g for _, g in known], only=handed, since=since, retain_graph=True, visit=noting(found)
    )
    return gradient(tuple((y.record, y.output) for y in reversed(handed)), found.get)
