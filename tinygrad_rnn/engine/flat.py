"""Results that are constant as far as a derivative can tell: made by steps and comparisons alone."""

from __future__ import annotations

from typing import Any


def flat(y: Any) -> bool:
    """Whether the derivative of y is 0 everywhere: every path from it to a leaf leads through an op like floor."""
    stack, seen = [y], set()
    while stack:
        x = stack.pop()
        if x is None or not x.requires_grad:
            continue
        if x.record is None or x.record.freed:
            return False
        if not x.record.op.flat and x.record not in seen:
            seen.add(x.record)
            stack += x.record.inputs
    return True
