"""Derivatives as functions: `grad`, to any order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .backward import sweep
from .errors import GraphError
from .tape import Record, enable_grad, no_grad
from .tensor import Tensor, as_tensors, start_gradient


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> Any:
    """dL/dx for each input x, where L is the output (or Σ grad_outputs · outputs), without touching any ``.grad``.

    Gives one Tensor for one input, a tuple for a sequence. Inputs may be leaves or results.

    retain_graph  keep the graph for another pass; by default only with create_graph
    create_graph  record the gradient itself, so that it can be differentiated again
    allow_unused  give None for an input the output does not depend on, instead of raising GraphError

    >>> import tinygrad_rnn as tg
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> dy = tg.grad(x**3, x, create_graph=True)
    >>> tg.grad(dy, x)  # d²(x³)/dx² = 6 x
    tensor(12.)
    """
    single = isinstance(inputs, Tensor)
    for name, given in (("outputs", outputs), ("inputs", inputs)):
        if not isinstance(given, Tensor | list | tuple):
            raise TypeError(f"{name} of grad() must be a Tensor or a list of Tensors, not {type(given).__name__}")
    ys = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    xs: list[Tensor] = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    gs = [grad_outputs] if isinstance(outputs, Tensor) or grad_outputs is None else list(grad_outputs)
    gs = gs * len(ys) if grad_outputs is None else gs
    for k, x in enumerate(xs):
        if not isinstance(x, Tensor):
            raise TypeError(f"inputs[{k}] of grad() must be a Tensor, not {type(x).__name__}")
        if not x.requires_grad:
            raise GraphError(f"inputs[{k}] of grad() needs no gradient: make it with requires_grad=True")
    if len(gs) != len(ys):
        raise ValueError(f"grad() got {len(gs)} grad_outputs for {len(ys)} outputs")
    starts = [start_gradient(y, g, "grad()") for y, g in zip(ys, gs, strict=True)]
    if not create_graph:
        starts = [g.array if isinstance(g, Tensor) else g for g in starts]
    else:
        starts = [g if isinstance(g, Tensor) else Tensor(g) for g in starts]

    results = {x.record for x in xs if x.record is not None}
    found: dict[tuple[Record, int], Any] = {}

    def keep(record: Record, g: Any) -> None:
        if record in results:
            for k, part in enumerate(g if record.op.outputs > 1 else (g,)):
                found[record, k] = part

    with enable_grad() if create_graph else no_grad():
        leaves = sweep(
            ys,
            starts,
            only=xs,
            retain_graph=create_graph if retain_graph is None else retain_graph,
            visit=keep,
            as_tensors=as_tensors if create_graph else None,
        )
    gradients = [leaves.get(x) if x.record is None else found.get((x.record, x.output)) for x in xs]
    if not allow_unused and any(g is None for g in gradients):
        unused = [x.name or f"inputs[{k}]" for k, (x, g) in enumerate(zip(xs, gradients, strict=True)) if g is None]
        raise GraphError(f"the output does not depend on {', '.join(unused)}; with allow_unused=True that gives None")
    tensors = [g if g is None or isinstance(g, Tensor) else Tensor(np.asarray(g)) for g in gradients]
    return tensors[0] if single else tuple(tensors)
