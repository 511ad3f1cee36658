"""Is a derivative rule right? `gradcheck` compares it with central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .errors import DtypeError, GradcheckError
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
    """Compare every entry of the gradient of s, a random projection of f, with (s(x + eps) - s(x - eps)) / (2 eps).

    With ``order=2`` the gradient itself is checked in the same way, through `create_graph`, and so on. The step
    is scaled by max(1, |x|). Inputs must be float64 tensors; those with ``requires_grad`` are varied.

    Returns True; raises GradcheckError naming the input and the entry that disagree most.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> x = tg.tensor([0.3, -1.2], requires_grad=True)
    >>> tg.gradcheck(np.tanh, x, order=2)
    True
    """
    xs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    varied = [k for k, x in enumerate(xs) if x.requires_grad]
    if not varied:
        raise GradcheckError("gradcheck needs an input with requires_grad=True")
    for k in varied:
        if xs[k].dtype != np.float64:
            raise DtypeError(f"gradcheck needs float64 inputs, and inputs[{k}] is {xs[k].dtype}: use dtype=float")
    generator = np.random.default_rng(rng)
    points = [x.array.copy() for x in xs]
    projection: list[np.ndarray] = []

    def s(arrays: list[np.ndarray]) -> tuple[Tensor, list[Tensor]]:
        """The projection of f at these points, and the tensors it was computed from."""
        tensors = [Tensor(a, requires_grad=x.requires_grad) for a, x in zip(arrays, xs, strict=True)]
        y = f(*tensors)
        ys = [y] if isinstance(y, Tensor) else list(y)
        if not projection:
            projection.extend(generator.standard_normal(y.shape) for y in ys)
        total = sum(((p * y).sum() for p, y in zip(projection, ys, strict=True)), Tensor(0.0))
        return total, tensors

    total, tensors = s(points)
    gradients = grad(total, [tensors[k] for k in varied], allow_unused=True)
    for k, g in zip(varied, gradients, strict=True):
        analytic = np.zeros_like(points[k]) if g is None else g.array
        numeric = _central_differences(lambda a: s(a)[0].item(), points, k, eps)
        error = np.abs(analytic - numeric) - (atol + rtol * np.abs(numeric))
        if not np.all(error <= 0):  # a nan is not <= 0
            worst = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), error.shape)
            at = f"[{', '.join(map(str, worst))}]" if worst else ""
            raise GradcheckError(
                f"inputs[{k}]{at}: the rule gives {analytic[worst]:.10g}, central differences {numeric[worst]:.10g}"
            )

    if order > 1:
        gradient_of = _gradient_function(f, xs, varied, projection)
        return gradcheck(gradient_of, xs, order - 1, eps=eps, rtol=rtol, atol=atol, rng=generator)
    return True


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


def _gradient_function(f: Callable[..., Any], xs: list[Tensor], varied: list[int], projection: list[np.ndarray]) -> Any:
    """The gradient of the projection of f, as a function that can be differentiated again."""

    def gradient(*tensors: Tensor) -> list[Tensor]:
        y = f(*tensors)
        ys = [y] if isinstance(y, Tensor) else list(y)
        total = sum(((p * y).sum() for p, y in zip(projection, ys, strict=True)), Tensor(0.0))
        gs = grad(total, [tensors[k] for k in varied], create_graph=True, allow_unused=True)
        return [g for g in gs if g is not None]

    return gradient
