"""Who looks at gradients on their way down the tape: the visitors of a `sweep`, and the hooks of tensors.

hooked   calls the hooks of results, which may replace a gradient
filled   the same, and adds to the `grad` of results that retain it
noting   writes everything down, with zeros where nothing has arrived
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ShapeError
from .cotangent import Waiting, completed
from .lending import check_real, lent
from .tape import Record

Gradients = tuple[Any, ...]
"""Of one record: an array (or a Tensor) for each of its outputs, None where nothing has arrived at one."""

Visitor = Callable[[Record, Gradients], Gradients]
"""Sees each record with its complete gradients; gives those to go on with."""


def maker(tensor: Any) -> Record:
    """The record that a result came out of, for whoever is to see its gradient.

    The state after a run of steps (`Op.open_steps`) has a part in the last y, which is within the run: it is opened.
    """
    record: Record = tensor.record
    if tensor.output and record.op.open_steps is not None and not record.freed:
        record.op.open_steps(record)
    return tensor.record


def noting(found: dict[Any, Gradients]) -> Visitor:
    """A visitor that writes down the gradients of every record, and changes nothing."""

    def note(record: Record, gs: Gradients) -> Gradients:
        found[record] = completed(record, gs)
        return gs

    return note


def hooked(record: Record, gs: Gradients) -> Gradients:
    """A visitor: the gradients after the hooks of the outputs."""
    hooks = record.hooks
    if hooks is None:
        return gs
    return tuple([g if g is None else run_hooks(hooks.get(k), g, record) for k, g in enumerate(gs)])


def filled(record: Record, gs: Gradients) -> Gradients:
    """As `hooked`; what then has arrived at the outputs that retain it goes into their `grad`."""
    if record.hooks is None and record.kept is None:  # most records
        return gs
    gs = hooked(record, gs)
    for k, reference in (record.kept or {}).items():
        tensor = reference()
        if tensor is not None and gs[k] is not None:
            tensor.add_grad(gs[k])
    return gs


def hooked_leaves(waiting: Waiting) -> dict[Any, Any]:
    """The gradients of the leaves after their hooks."""
    leaves = waiting.leaves()
    return {x: run_hooks(x.hooks, g, x.name or "a leaf") if x.hooks else g for x, g in leaves.items()}


def run_hooks(hooks: list[Callable[[Any], Any]] | None, g: Any, owner: Any) -> Any:
    """Show the gradient to each hook, which may replace it; None leaves it as it is."""
    for hook in list(hooks or ()):  # a copy, since a hook may remove itself
        new = hook(lent(g))
        if new is None:
            continue
        if np.shape(new) != np.shape(g):
            raise ShapeError(f"a hook of {owner} returned shape {np.shape(new)} for a gradient of shape {np.shape(g)}")
        if not (hasattr(g, "array") and hasattr(new, "array")):
            new = np.asanyarray(getattr(new, "array", new))
            check_real(new, f"a hook of {owner}")
            new = np.array(new, dtype=g.dtype)  # a copy, since the hook may write to its own again
            new = type(g)(new) if hasattr(g, "array") else new
        g = new
    return g
