"""What a recorded step consists of: values, each computed from others.

Two questions about a value decide when it is computed. Does it *vary* from step to step? If not, it is a weight or a
function of weights, computed once. And does it depend on a gradient that arrives (*of_g*)? If not, it is known when the
backward pass begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..engine.tape import Op

Arrays = dict["Value", np.ndarray]


class Value:
    """A value of one step: (B, n) numbers for a batch of B; a weight; a number; or a total over all steps.

    kind     "a", "state", "g" (dL/d of a result): what a step is given. "weight", "number". "op": computed. "total":
             Σ over all steps and sequences, of xᵀ g (name "product") or of g (name "sum_rows")
    name     what is computed: "add", "tanh", "matmul", "columns" (x[:, start : start + columns]), "concatenate" (side
             by side), "broadcast" ((B, 1) to (B, n)), "sum" and the like (over the columns, to (B, 1)); "apply" for an
             op that is known by its `forward` alone
    op       the op; its output number `output`
    label    what the equations call it: i, f, c, h; or nothing
    source   of a weight: the Tensor or array that it is
    """

    __slots__ = (
        "args", "dtype", "kind", "label", "name", "number", "of_g", "of_total", "op", "output", "shape", "source",
        "start", "varies",
    )  # fmt: skip

    def __init__(
        self,
        kind: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        args: Iterable[Value] = (),
        *,
        name: str = "",
        op: Op | None = None,
        output: int = 0,
        number: float | bool = 0.0,
        source: Any = None,
        start: int = 0,
        label: str = "",
    ) -> None:
        self.kind, self.name, self.shape, self.dtype, self.args = kind, name or kind, shape, dtype, tuple(args)
        self.op, self.output, self.number, self.source, self.start, self.label = (
            op,
            output,
            number,
            source,
            start,
            label,
        )
        self.of_g: bool = kind == "g" or any(x.of_g for x in self.args)
        self.of_total: bool = kind == "total" or any(x.of_total for x in self.args)
        self.varies: bool = kind in ("a", "state", "g") or (kind == "op" and any(x.varies for x in self.args))

    @property
    def columns(self) -> int:
        """n, of a value (B, n)."""
        return self.shape[-1] if self.shape else 1

    def array(self, known: Arrays | None = None) -> Any:
        """What it is now, of what does not vary, where `known` has the totals over all steps, and weights of now."""
        if known is not None and self in known:
            return known[self]
        if self.kind != "op":
            return self.number if self.kind == "number" else getattr(self.source, "array", self.source)
        y = self.op.forward(*[x.array(known) for x in self.args])  # type: ignore[union-attr]
        return y[self.output] if self.op.outputs > 1 else y  # type: ignore[union-attr]

    def __repr__(self) -> str:
        return f"<{self.label or self.name}{list(self.shape)}>"


def ordered(targets: Iterable[Value], stop: Callable[[Value], bool] = lambda v: False) -> list[Value]:
    """The values that the targets are computed from, and these, each after what it is computed from."""
    seen: set[Value] = set()
    order: list[Value] = []
    waiting = [(v, False) for v in reversed(list(targets))]
    while waiting:
        v, ready = waiting.pop()
        if ready:
            order.append(v)
        elif v not in seen and not stop(v):
            seen.add(v)
            waiting.append((v, True))
            waiting += [(x, False) for x in reversed(v.args)]
    return order
