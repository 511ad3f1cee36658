"""Memory for time: `checkpoint` forgets what a function computed, and computes it again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .errors import GraphError
from .functional import grad
from .listing import Tape
from .tape import Op, enable_grad
from .tensor import Tensor, apply


def checkpoint(fn: Callable[..., Any], *args: Any) -> Any:
    """``fn(*args)``, recorded as one op that keeps only its inputs and outputs.

    In the backward pass fn is run again, recorded, and differentiated. The gradient is the same, also that of weights
    that fn uses without being given them; a T-step network cut into √T such pieces needs about 2 √T stored steps
    instead of T (Chen et al. 2016), for one more forward pass. Arguments and results may be nested in tuples, lists
    and dicts.

    Raises GraphError, in the backward pass, where fn gives other values the second time: it must not draw random
    numbers (dropout) or depend on anything that changes.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> w = tg.tensor(0.5, requires_grad=True)
    >>> y = tg.checkpoint(lambda x: (x * w) * w, tg.tensor(1.0))
    >>> len(tg.tape(y))
    1
    >>> y.backward()
    >>> w.grad
    array(1.)
    """
    inputs = tensors_in(args)
    leaves = [Tensor(x.array, requires_grad=x.requires_grad) for x in inputs]
    result = fn(*replaced(args, leaves))
    outputs = tensors_in(result)
    used = [x for y in outputs for x in Tape(y).leaves if x.requires_grad and x not in set(leaves)]
    op = Recompute(fn, args, inputs, list(dict.fromkeys(used)), [y.array for y in outputs])
    made = apply(op, *inputs, *op.used)
    op.first = []
    return replaced(result, list(made) if isinstance(made, tuple) else [made])


class Recompute(Op):
    """y = fn(x): nothing in between is kept.  dL/dx is found by running fn again."""

    name = "checkpoint"

    def __init__(
        self, fn: Callable[..., Any], args: Any, inputs: list[Tensor], used: list[Tensor], first: list[np.ndarray]
    ) -> None:
        self.fn, self.args, self.used, self.first = fn, args, used, first
        self.needed = [x.requires_grad for x in inputs]
        self.outputs = len(first)

    def forward(self, *xs: Any) -> Any:
        return tuple(self.first) if self.outputs > 1 else self.first[0]

    def vjp(self, g: Any, y: Any, *xs: Any) -> tuple[Any, ...]:
        xs, gs = xs[: len(self.needed)], g if self.outputs > 1 else (g,)
        if any(isinstance(x, Tensor) for x in (*xs, *gs)):  # to be differentiated again: the gradient is a function too
            return checkpoint(lambda xs, gs: self.gradients(xs, gs, create_graph=True), xs, gs)
        leaves = tuple(Tensor(x, requires_grad=needed) for x, needed in zip(xs, self.needed, strict=True))
        return tuple(None if part is None else part.array for part in self.gradients(leaves, gs, y=y))

    def gradients(self, xs: Any, gs: Any, create_graph: bool = False, y: Any = None) -> tuple[Any, ...]:
        """dL/dx for the inputs and for the weights used, by running fn again; None where there is none."""
        xs = tuple(x if isinstance(x, Tensor) else Tensor(x) for x in xs)
        with enable_grad():
            outputs = tensors_in(self.fn(*replaced(self.args, xs)))
        before = () if y is None else y if self.outputs > 1 else (y,)
        if not all(np.array_equal(o.array, b, equal_nan=True) for o, b in zip(outputs, before, strict=False)):
            raise GraphError(
                "tg.checkpoint: the function gave other values when it was run again for the backward pass. It must "
                "not draw random numbers (dropout) or depend on anything that changes in between"
            )
        reached = [(o, h) for o, h in zip(outputs, gs, strict=True) if o.requires_grad]
        targets = [x for x in (*xs, *self.used) if x.requires_grad]
        starts = [h for _, h in reached]
        found = grad([o for o, _ in reached], targets, starts, create_graph=create_graph, allow_unused=True)
        gradients = dict(zip(targets, found, strict=True))
        return tuple(gradients.get(x) for x in (*xs, *self.used))

    def __repr__(self) -> str:
        return f"checkpoint({getattr(self.fn, '__name__', self.fn)})"


def tensors_in(tree: Any) -> list[Tensor]:
    """The Tensors in a nesting of tuples, lists and dicts, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, tuple | list) else ()
    return [tensor for part in parts for tensor in tensors_in(part)]


def replaced(tree: Any, tensors: Iterable[Tensor]) -> Any:
    """The same nesting with other Tensors in the places of its own."""
    return _rebuilt(tree, iter(tensors))


def _rebuilt(tree: Any, following: Iterator[Tensor]) -> Any:
    if isinstance(tree, Tensor):
        return next(following)
    if isinstance(tree, dict):
        return {key: _rebuilt(part, following) for key, part in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_rebuilt(part, following) for part in tree))
    return type(tree)(_rebuilt(part, following) for part in tree) if isinstance(tree, tuple | list) else tree
