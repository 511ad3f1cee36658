"""Any function of an input and a state, compiled where that is asked for: ``unroll(cell, x, state, compiled=True)``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...autograd.functional import grad
from ...autograd.tensor import Tensor
from ...engine.modes import enable_grad
from ...errors import CompileError
from ...ops.shape import stack
from .compiling import Bound, on_demand
from .steps import unroll_fused

Loop = Callable[..., tuple[Tensor, Any]]


def unroll_compiled(
    cell: Any, x: Any, state: Any, lengths: Any, name: str, first: int, reverse: bool, check: Loop | None
) -> tuple[Tensor, Any]:
    """As the loop over ``cell(x[t], state)``, compiled. With `check`, which is that loop, both are run and compared.

    Raises CompileError where it cannot be compiled, which says why, and where the two differ.
    """
    x, parts = _sequence(x), _parts(state)
    for what, t, ndim in [("x", x, 3), *[("the state", part, 2) for part in parts]]:
        if t.ndim != ndim or t.dtype != x.dtype or t.dtype.kind != "f" or t.shape[-2] != x.shape[1]:
            raise CompileError(
                "unroll(compiled=True) needs x (T, B, n) and a state of parts (B, m), of one floating-point dtype; "
                f"{what} is {t.dtype}{list(t.shape)}"
            )
    widths = [part.shape[1] for part in parts]
    alone = isinstance(state, tuple) and len(parts) == 1
    cell = _within_a_tuple(cell) if alone else cell
    bound = on_demand(cell, name, (), x.shape[2], widths, x.dtype)
    given = tuple(parts) if len(parts) > 1 else parts[0]
    options = lengths, name, first, reverse
    if check is not None:
        _compare(bound, x, given, options, check)
    output, end = unroll_fused(bound, x, given, *options)
    return output, (end,) if alone else end


def _within_a_tuple(cell: Any) -> Any:
    """As a cell whose state has one part, for one that has it in a tuple."""

    def step(x: Any, part: Any) -> Any:
        y, (part,) = cell(x, (part,))
        return y, part

    return step


def _sequence(x: Any) -> Tensor:
    if isinstance(x, list | tuple) and any(isinstance(x_t, Tensor) for x_t in x):
        return stack(x)
    return x if isinstance(x, Tensor) else Tensor(x)


def _parts(state: Any) -> list[Tensor]:
    """The parts of a state as Tensors."""
    if state is None:
        raise CompileError("unroll(compiled=True) needs the state of the first step: what None stands for is not known")
    parts = list(state) if isinstance(state, tuple) else [state]
    if not parts or not all(isinstance(part, Tensor | np.ndarray) for part in parts):
        raise CompileError("unroll(compiled=True) needs a state that is an array or a Tensor, or a tuple of them")
    return [part if isinstance(part, Tensor) else Tensor(part) for part in parts]


def _compare(bound: Bound, x: Tensor, state: Any, options: Sequence[Any], loop: Loop) -> None:
    """Raise CompileError where values or gradients differ from those of the loop."""
    weights = [w for w in bound.weights if isinstance(w, Tensor) and w.requires_grad]
    parts = state if isinstance(state, tuple) else (state,)
    found = []
    run: Loop
    for run in (partial(unroll_fused, bound), partial(loop, bound.cell)):
        leaves = [Tensor(t.array, requires_grad=True) for t in (x, *parts)]
        given = tuple(leaves[1:]) if isinstance(state, tuple) else leaves[1]
        with enable_grad():
            y, end = run(leaves[0], given, *options)
            ends = end if isinstance(end, tuple) else (end,)
            outputs = [t for t in (y, *ends) if t.requires_grad]
            gs = [np.cos(np.arange(t.size)).reshape(t.shape).astype(t.dtype) for t in outputs]
            gradients = grad(outputs, [*leaves, *weights], gs, allow_unused=True) if outputs else ()
        found.append([*(t.array for t in (y, *ends)), *(None if g is None else g.array for g in gradients)])
    states = bound.kind.states
    names = ["y", *states, *[f"dL/d{name}" for name in ("x", *states, *[w.name or "weight" for w in weights])]]
    for name, ours, theirs in zip(names, *found, strict=False):
        ours, theirs = (0.0 if a is None else a for a in (ours, theirs))
        size = max(1e-30, float(np.max(np.abs(theirs), initial=0)))
        if not np.allclose(ours, theirs, rtol=0, atol=size * np.finfo(x.dtype).eps ** 0.6, equal_nan=True):
            raise CompileError(
                f"unroll(check=True): compiled, {name} differs from the loop's by {np.max(np.abs(ours - theirs)):.2g}. "
                "The cell is no function of its input, its state and its weights alone: it changes from call to call"
            )
