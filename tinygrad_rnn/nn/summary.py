"""A model as a table: its modules, what they give, how many parameters they have, and the memory of a step."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.functional import grad
from ..autograd.tensor import Tensor
from ..engine import randomness
from ..engine.modes import enable_grad
from ..engine.trees import leaves
from ..unrolled.tables import Report
from .watching import watch


class Summary(Report):
    """What `Module.summary` gives: printed it is a table.

    rows        (name, kind, shape of what it gives, parameters of its own) for each module
    parameters  how many numbers there are to train, a shared one counted once; `frozen` of them stay as they are
    bytes       the most memory that a forward and backward pass needed beside the model, or None without an example
    """

    def __init__(self, rows: list[tuple[str, str, str, int]], parameters: int, frozen: int, bytes: int | None) -> None:
        self.rows, self.parameters, self.frozen, self.bytes = rows, parameters, frozen, bytes

    def contents(self) -> tuple[str, Sequence[str], Sequence[Sequence[Any]]]:
        note = f"{self.parameters:,} parameters"
        if self.frozen:
            note += f", {self.frozen:,} of them frozen"
        if self.bytes is not None:
            note += f"; a forward and backward pass takes {_amount(self.bytes)}"
        given = self.bytes is not None
        header = ["module", "kind", *(["gives"] if given else []), "parameters"]
        rows = [[name, kind, *([shape] if given else []), f"{count:,}"] for name, kind, shape, count in self.rows]
        return note, header, rows


def summarise(module: Any, inputs: Sequence[Any]) -> Summary:
    """The table of a module; with inputs it is run on them once, and is afterwards as before."""
    shapes: dict[int, str] = {}
    memory = None
    if inputs:
        memory = _memory(module, inputs, shapes)
    seen: set[int] = set()
    rows = []
    for name, inner in module.named_modules():
        own = [p for _, p in inner.own_parameters() if id(p) not in seen]
        seen.update(map(id, own))
        rows.append((name or "(all)", type(inner).__name__, shapes.get(id(inner), ""), sum(p.size for p in own)))
    every = list(module.parameters())
    frozen = sum(p.size for p in every if not p.requires_grad)
    return Summary(rows, sum(p.size for p in every), frozen, memory)


def _memory(module: Any, inputs: Sequence[Any], shapes: dict[int, str]) -> int:
    """The peak of a forward and backward pass in bytes; notes what each module gave."""

    def seen(inner: Any, args: Any, kwargs: Any, result: Any) -> None:
        shapes[id(inner)] = ", ".join(str(x.shape) for x in leaves(result) if hasattr(x, "shape"))

    def run() -> None:
        with watch(seen), enable_grad():
            result = module(*inputs)
        outputs = [x.sum() for x in leaves(result) if isinstance(x, Tensor) and x.requires_grad]
        trained = [p for p in module.parameters() if p.requires_grad]
        if outputs and trained:
            grad(outputs, trained, allow_unused=True)

    tracing = tracemalloc.is_tracing()
    with randomness.Drawn(module).again():
        run()  # what is made once, a compiled step say, is none of a pass
    with randomness.Drawn(module).again():
        if not tracing:
            tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        try:
            run()
            return tracemalloc.get_traced_memory()[1] - before
        finally:
            if not tracing:
                tracemalloc.stop()


def _amount(bytes: int) -> str:
    """Bytes in a unit with at most four digits."""
    k = min(int(np.log2(max(bytes, 1)) // 10), 3)
    return f"{bytes / 1024**k:.3g} {('B', 'KiB', 'MiB', 'GiB')[k]}"
