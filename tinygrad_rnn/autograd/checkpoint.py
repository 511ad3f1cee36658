"""Memory for time: `checkpoint` forgets what a function computed, and computes it again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..engine.backward import reachable, sweep
from ..engine.modes import enable_grad, no_grad
from ..engine.randomness import Drawn
from ..engine.tape import Op, clock
from ..engine.trees import leaves, mapped
from ..engine.visitors import hooked
from ..errors import GraphError
from .in_place import plain
from .tensor import Tensor, apply, as_tensors


def checkpoint(fn: Callable[..., Any], *args: Any) -> Any:
    """``fn(*args)``, recorded as one op that keeps only its inputs and outputs.

    In the backward pass fn is run again, recorded, and differentiated. The gradient is the same, also that of weights
    that fn uses without being given them; a T-step network cut into √T such pieces needs about 2 √T stored steps
    instead of T (Chen et al. 2016), for one more forward pass. Arguments and results may be nested in tuples, lists,
    dicts and dataclasses.

    fn may draw random numbers, as dropout does, from NumPy Generators in its reach (`engine.randomness`): the second
    time they give the same ones.

    Raises GraphError, in the backward pass, where fn gives other values the second time: it must not draw from a
    generator out of reach, as np.random's own, or depend on anything that changes.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> w = tg.tensor(0.5, requires_grad=True)
    >>> y = tg.checkpoint(lambda x: (x * w) * w, tg.tensor(1.0))
    >>> len(tg.tape(y))
    1
    >>> y.backward()
    >>> w.grad
    array(1.)
    """
    inputs, drawn, start = tensors_in(args), Drawn(fn, args), next(clock)
    leaves = [Tensor(x.array, requires_grad=x.requires_grad) for x in inputs]
    result = fn(*replaced(args, leaves))
    outputs = tensors_in(result)
    if not outputs:
        raise TypeError(f"tg.checkpoint: the function must return Tensors, not {type(result).__name__}")
    first = [compact(y.array) for y in outputs]
    op = Recompute(fn, args, drawn, inputs, captured(outputs, start, leaves), first)
    made = apply(op, *inputs, *op.used)
    op.first = []
    return replaced(result, list(made) if isinstance(made, tuple) else [made])


def compact(array: np.ndarray) -> np.ndarray:
    """The array, or a copy of it where it is a small part of a large one, which it would keep in memory."""
    base = array.base  # of another library's memory, bytes or a file, the size is not known
    return array.copy() if isinstance(base, np.ndarray) and base.nbytes > 2 * array.nbytes else array


def captured(outputs: list[Tensor], start: int, given: Iterable[Tensor]) -> list[Tensor]:
    """The tensors older than `start` that the outputs were computed from, but for those given as arguments."""
    inputs = (x for record in reachable(outputs, start) for x in record.inputs)
    needed = (x for x in (*outputs, *inputs) if x is not None and x.requires_grad)
    old = dict.fromkeys(x for x in needed if x.record is None or x.record.seq < start)
    return [x for x in old if x not in set(given)]


class Recompute(Op):
    """y = fn(x): nothing in between is kept.  dL/dx is found by running fn again."""

    name = "checkpoint"

    def __init__(
        self,
        fn: Callable[..., Any],
        args: Any,
        drawn: Drawn,
        inputs: list[Tensor],
        used: list[Tensor],
        first: list[np.ndarray],
    ) -> None:
        self.fn, self.args, self.drawn, self.used, self.first = fn, args, drawn, used, first
        self.needed = [x.requires_grad for x in inputs]
        self.outputs = len(first)

    def forward(self, *xs: Any) -> Any:
        return tuple(self.first) if self.outputs > 1 else self.first[0]

    def vjp(self, g: Any, y: Any, *xs: Any) -> tuple[Any, ...]:
        xs, gs = xs[: len(self.needed)], g if self.outputs > 1 else (g,)
        first = tuple(map(plain, y)) if self.outputs > 1 else (plain(y),)
        if any(isinstance(x, Tensor) for x in (*xs, *gs)):  # to be differentiated again: the gradient is a function too
            return checkpoint(lambda xs, gs: self.gradients(xs, gs, first, create_graph=True), xs, gs)
        leaves = tuple(Tensor(x, requires_grad=needed) for x, needed in zip(xs, self.needed, strict=True))
        return self.gradients(leaves, gs, first)

    def gradients(self, xs: Any, gs: Any, first: tuple[np.ndarray, ...], create_graph: bool = False) -> tuple[Any, ...]:
        """dL/dx for the inputs and for the tensors used, by running fn again; None where there is none."""
        start = next(clock)
        xs = tuple(x if isinstance(x, Tensor) else Tensor(x) for x in xs)
        with enable_grad(), self.drawn.again():
            outputs = tensors_in(self.fn(*replaced(self.args, xs)))
        same = len(outputs) == len(first) and set(captured(outputs, start, xs)) == set(self.used)
        if not same or not all(np.array_equal(o.array, b, equal_nan=True) for o, b in zip(outputs, first, strict=True)):
            raise GraphError(
                "tg.checkpoint: the function gave other values, or used other tensors, when it was run again for the "
                "backward pass. It must not depend on anything that changes in between, nor draw random numbers but "
                "from a NumPy Generator that it is given, as rng=np.random.default_rng(0)"
            )
        return pulled_back(outputs, gs, (*xs, *self.used), start, create_graph)

    def __repr__(self) -> str:
        return f"checkpoint({getattr(self.fn, '__name__', type(self.fn).__name__)})"


def pulled_back(
    outputs: Iterable[Tensor], gs: Iterable[Any], inputs: Iterable[Tensor], since: int, create_graph: bool
) -> tuple[Any, ...]:
    """dL/dx for each of the inputs, given dL/dy for outputs computed from them `since`; None where there is none."""
    pairs = [(y, g) for y, g in zip(outputs, gs, strict=True) if y.requires_grad]
    starts = [g if isinstance(g, Tensor) or not create_graph else Tensor(g) for _, g in pairs]
    with enable_grad() if create_graph else no_grad():
        tensors = as_tensors if create_graph else None
        waiting = sweep(
            [y for y, _ in pairs], starts, since=since, retain_graph=create_graph, visit=hooked, as_tensors=tensors
        )
    return tuple(waiting.at(x) for x in inputs)


def tensors_in(tree: Any) -> list[Tensor]:
    """The Tensors in a nesting of containers, in order."""
    return [x for x in leaves(tree) if isinstance(x, Tensor)]


def replaced(tree: Any, tensors: Iterable[Tensor]) -> Any:
    """The same nesting with other Tensors in the places of its own."""
    following = iter(tensors)
    return mapped(tree, lambda x: next(following) if isinstance(x, Tensor) else x)
