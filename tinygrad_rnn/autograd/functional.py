"""Derivatives as functions: `grad`, to any order, and what can be made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import numpy as np

from ..engine.arrays import Array
from ..engine.backward import sweep
from ..engine.modes import enable_grad, no_grad
from ..engine.tape import Op, Record
from ..engine.visitors import hooked, hooked_leaves, maker
from ..errors import GraphError, NonScalarError
from .checks import start_gradient
from .tensor import Tensor, as_tensors


class Level(Op):
    """y = the first input, whatever the others are.  The derivatives with respect to those are 0."""

    flat = True

    def forward(self, value: np.ndarray, *others: Array) -> np.ndarray:
        return value.view()

    def vjp(self, g: Array, y: Array, value: Array, *others: Array) -> Any:
        return None, *map(np.zeros_like, others)


_level = Level()


@overload
def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> Tensor: ...
@overload
def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Sequence[Tensor] | Iterator[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor, ...]: ...
def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor] | Iterator[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> Any:
    """dL/dx for each input x, where L is the output (or Σ grad_outputs · outputs), without touching any ``.grad``.

    Gives one Tensor for one input, a tuple for several, as of ``model.parameters()``. Inputs may be leaves or results.

    retain_graph  keep the graph for another pass; by default only with create_graph
    create_graph  record the gradient itself, so that it can be differentiated again; where it is the same everywhere,
                  as that of floor or of a relu network, its derivatives are zeros
    allow_unused  give None for an input the output does not depend on, instead of raising GraphError

    >>> import tinygrad_rnn as tg
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> dy = tg.grad(x**3, x, create_graph=True)
    >>> tg.grad(dy, x)  # d²(x³)/dx² = 6 x
    tensor(12.)
    """
    single = isinstance(inputs, Tensor)
    for name, given in (("outputs", outputs), ("inputs", inputs)):
        if not isinstance(given, Tensor | list | tuple | Iterator):
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

    results = {maker(x) for x in xs if x.record is not None}
    found: dict[tuple[Record, int], Any] = {}

    def visit(record: Record, gs: tuple[Any, ...]) -> tuple[Any, ...]:
        gs = hooked(record, gs)
        if record in results:
            found.update({(record, k): g for k, g in enumerate(gs)})
        return gs

    with enable_grad() if create_graph else no_grad():
        waiting = sweep(
            ys,
            starts,
            only=xs,
            retain_graph=create_graph if retain_graph is None else retain_graph,
            visit=visit,
            as_tensors=as_tensors if create_graph else None,
        )
        leaves = hooked_leaves(waiting)
    gradients = [leaves.get(x) if x.record is None else found.get((x.record, x.output)) for x in xs]
    if not allow_unused and any(g is None for g in gradients):
        unused = [x.name or f"inputs[{k}]" for k, (x, g) in enumerate(zip(xs, gradients, strict=True)) if g is None]
        raise GraphError(f"the output does not depend on {', '.join(unused)}; with allow_unused=True that gives None")
    tensors = [g if g is None or isinstance(g, Tensor) else Tensor(np.asarray(g)) for g in gradients]
    if create_graph:  # a gradient that is the same everywhere depends on the inputs too, with derivative 0
        with enable_grad():
            tensors = [g if g is None or g.requires_grad else g.apply_op(_level, g, *xs) for g in tensors]
    return tensors[0] if single else tuple(tensors)


# ------------------------------------------------------------------ as torch.autograd.functional


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None) -> tuple[Any, Any]:
    """``f(x)`` and ``v^T J``, J = df/dx: one backward sweep.

    v has the shape of the output, and may be left out where that is a single number. Several inputs or outputs are
    tuples. The results are constants.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.vjp(np.tanh, tg.tensor([0.0, 1.0]), [1.0, 0.0])[1]
    tensor([1., 0.])
    """
    xs, ys, single = _called(func, inputs)
    starts = [None] * len(ys) if v is None else list(v) if len(ys) > 1 else [v]
    gradients = _reached(ys, xs, starts)
    return _packed([y.detach() for y in ys], len(ys) == 1), _packed(_filled(gradients, xs), single)


def jvp(func: Callable[..., Any], inputs: Any, v: Any) -> tuple[Any, Any]:
    """``f(x)`` and ``J v``, J = df/dx: the change of f along v.

    v^T J is linear in v; its derivative with respect to v is J itself. So two reverse sweeps make a forward one.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.jvp(lambda x: x**2, tg.tensor([1.0, 2.0]), [1.0, 1.0])[1]
    tensor([2., 4.])
    """
    xs, ys, single = _called(func, inputs)
    us = [Tensor(np.zeros_like(y.array), requires_grad=True) for y in ys]
    gradients = _reached(ys, xs, us, create_graph=True)
    vs = [v] if single else list(v)
    if len(vs) != len(xs):
        raise ValueError(f"jvp() got {len(vs)} vectors v for {len(xs)} inputs")
    along = _reached(gradients, us, vs)
    return _packed([y.detach() for y in ys], len(ys) == 1), _packed(_filled(along, us), len(ys) == 1)


def jacobian(func: Callable[..., Any], inputs: Any) -> Any:
    """J[i..., j...] = dy[i...] / dx[j...], of shape y.shape + x.shape: a backward sweep for each entry of y.

    Several inputs give a tuple with one Jacobian each, several outputs a tuple of those.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.jacobian(lambda x: x**2, tg.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    xs, ys, single = _called(func, inputs)
    rows = [_packed([Tensor(J) for J in _jacobian_of(y, xs)], single) for y in ys]
    return _packed(rows, len(ys) == 1)


def _jacobian_of(y: Tensor, xs: list[Tensor]) -> list[np.ndarray]:
    parts = [np.zeros(y.shape + x.shape, x.dtype) for x in xs]
    if not y.requires_grad:
        return parts
    for index in np.ndindex(y.shape):
        one = np.zeros_like(y.array)
        one[index] = 1
        for part, g in zip(parts, grad(y, xs, one, retain_graph=True, allow_unused=True), strict=True):
            if g is not None:
                part[index] = g.array
    return parts


def hessian(func: Callable[..., Any], inputs: Any) -> Any:
    """H[i..., j...] = d²y / dx[i...] dx[j...] of a function whose value is one number.

    Several inputs give a tuple of tuples.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.hessian(lambda x: (x**3).sum(), tg.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    _, xs, gradients, single = _gradients(func, inputs, "hessian()")
    rows = [_packed([Tensor(J) for J in _jacobian_of(g, xs)], single) for g in gradients]
    return _packed(rows, single)


def hvp(func: Callable[..., Any], inputs: Any, v: Any) -> tuple[Any, Any]:
    """``f(x)`` and ``H v``, H the Hessian of f, without forming H: the gradient of (dy/dx) · v.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.hvp(lambda x: (x**3).sum(), tg.tensor([1.0, 2.0]), [1.0, 1.0])[1]
    tensor([ 6., 12.])
    """
    y, xs, gradients, single = _gradients(func, inputs, "hvp()")
    vs = [v] if single else list(v)
    along = _reached(gradients, xs, vs)
    return y.detach(), _packed(_filled(along, xs), single)


def _called(func: Callable[..., Any], inputs: Any) -> tuple[list[Tensor], list[Tensor], bool]:
    """Fresh leaves with the values of the inputs, what func makes of them, and whether there was one input alone."""
    single = not isinstance(inputs, tuple | list)
    given = [inputs] if single else list(inputs)
    if not given:
        raise ValueError("a derivative needs at least one input")
    xs = [Tensor(x, requires_grad=True, name=getattr(x, "name", None)) for x in given]
    with enable_grad():
        result = func(*xs)
    ys = list(result) if isinstance(result, tuple | list) else [result]
    for y in ys:
        if not isinstance(y, Tensor):
            raise TypeError(f"the function must return a Tensor or a tuple of Tensors, not {type(y).__name__}")
    return xs, ys, single


def _gradients(func: Callable[..., Any], inputs: Any, caller: str) -> tuple[Tensor, list[Tensor], list[Tensor], bool]:
    """The value of a function of one number, its inputs, and its gradients, which can be differentiated again."""
    xs, ys, single = _called(func, inputs)
    if len(ys) != 1 or ys[0].size != 1:
        raise NonScalarError(f"{caller} needs a function whose value is one number, not of shape {ys[0].shape}")
    return ys[0], xs, _filled(_reached(ys, xs, [None], create_graph=True), xs), single


def _reached(ys: Sequence[Any], xs: list[Tensor], starts: Sequence[Any], create_graph: bool = False) -> Sequence[Any]:
    """`grad`, where outputs may also be constants, or None: these contribute nothing."""
    pairs = [(y, start) for y, start in zip(ys, starts, strict=True) if y is not None and y.requires_grad]
    if not pairs:
        return [None] * len(xs)
    starts = [start for _, start in pairs]
    return grad([y for y, _ in pairs], xs, starts, create_graph=create_graph, allow_unused=True)


def _filled(gradients: Sequence[Tensor | None], xs: list[Tensor]) -> list[Tensor]:
    """The gradients, zeros where there is none."""
    return [Tensor(np.zeros_like(x.array)) if g is None else g for g, x in zip(gradients, xs, strict=True)]


def _packed(results: list[Any], single: bool) -> Any:
    return results[0] if single else tuple(results)
