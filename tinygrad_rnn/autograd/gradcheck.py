"""Is a derivative rule right? `gradcheck` compares it with central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..engine import randomness
from ..errors import DtypeError, GradcheckError
from .functional import grad
from .tensor import Tensor


def gradcheck(
    f: Callable[..., Tensor | Sequence[Tensor]],
    inputs: Tensor | Sequence[Tensor],
    order: int = 1,
    *,
    eps: float = 1e-6,
    rtol: float = 1e-6,
    atol: float = 1e-7,
    rng: np.random.Generator | int | None = 0,
) -> bool:
    """Compare each entry of the gradient of f with (s(x + eps) - s(x - eps)) / (2 eps), s a random projection of f.

    With ``order=2`` the gradient itself is checked in the same way, through `create_graph`, and so on. The step
    is scaled by max(1, |x|). Inputs must be float64 tensors; those with ``requires_grad`` are varied.

    Returns True; raises GradcheckError naming the order, the input and the entry that disagree most.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> x = tg.tensor([0.3, -1.2], requires_grad=True)
    >>> tg.gradcheck(np.tanh, x, order=2)
    True
    """
    xs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for k, x in enumerate(xs):
        if not isinstance(x, Tensor):
            raise TypeError(f"gradcheck: inputs must be a Tensor or several, and inputs[{k}] is a {type(x).__name__}")
    varied = [k for k, x in enumerate(xs) if x.requires_grad]
    if not varied:
        raise GradcheckError("gradcheck needs an input with requires_grad=True")
    for k in varied:
        if xs[k].dtype != np.float64:
            raise DtypeError(f"gradcheck needs float64 inputs, and inputs[{k}] is {xs[k].dtype}: too coarse")
    generator = randomness.generator(rng)
    for level in range(1, order + 1):
        s = _projected(f, generator)
        _compare(s, xs, varied, level, eps, rtol, atol)
        f = _gradient_of(s, varied)
    return True


def _projected(f: Callable[..., Any], rng: np.random.Generator) -> Callable[..., Tensor]:
    """s = Σ p · f: a number in which every entry of f has its own random weight p, drawn at the first call."""
    weights: list[np.ndarray] = []

    def s(*tensors: Tensor) -> Tensor:
        y = f(*tensors)
        ys = [y] if isinstance(y, Tensor) else list(y)
        if not weights:
            weights.extend(rng.standard_normal(y.shape) for y in ys)
        return sum(((p * y).sum() for p, y in zip(weights, ys, strict=True)), Tensor(0.0))

    return s


def _gradient_of(s: Callable[..., Tensor], varied: list[int]) -> Callable[..., list[Tensor]]:
    """ds/dx for the varied inputs, as a function that can be differentiated again."""

    def gradient(*tensors: Tensor) -> list[Tensor]:
        xs = [tensors[k] for k in varied]
        total = s(*tensors)
        if not total.requires_grad:  # a constant
            return [Tensor(np.zeros(x.shape)) for x in xs]
        gs = grad(total, xs, create_graph=True, allow_unused=True)
        return [Tensor(np.zeros(x.shape)) if g is None else g for x, g in zip(xs, gs, strict=True)]

    return gradient


def _compare(
    s: Callable[..., Tensor], xs: list[Tensor], varied: list[int], order: int, eps: float, rtol: float, atol: float
) -> None:
    """ds/dx from the rules against ds/dx from differences."""
    points = [x.array.copy() for x in xs]

    def tensors(arrays: list[np.ndarray]) -> list[Tensor]:
        return [Tensor(a, requires_grad=x.requires_grad) for a, x in zip(arrays, xs, strict=True)]

    gradients = _gradient_of(s, varied)(*tensors(points))
    for k, g in zip(varied, gradients, strict=True):
        analytic = g.array
        numeric = _central_differences(lambda a: s(*tensors(a)).item(), points, k, eps)
        error = np.abs(analytic - numeric) - (atol + rtol * np.abs(numeric))
        if not np.all(error <= 0):  # a nan is not <= 0
            worst = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), error.shape)
            at = f"[{', '.join(map(str, worst))}]" if worst else ""
            raise GradcheckError(
                f"order {order}, inputs[{k}]{at}: the rule gives {analytic[worst]:.10g}, central differences give "
                f"{numeric[worst]:.10g}"
            )


def _central_differences(s: Callable[[list[np.ndarray]], float], points: list[np.ndarray], k: int, eps: float) -> Any:
    """ds/d(points[k]), one entry at a time."""
    slope = np.zeros_like(points[k])
    for index in np.ndindex(points[k].shape):
        step = eps * max(1.0, abs(float(points[k][index])))
        moved = [a.copy() for a in points]
        moved[k][index] += step
        above = s(moved)
        moved[k][index] -= 2 * step
        slope[index] = (above - s(moved)) / (2 * step)
    return slope
