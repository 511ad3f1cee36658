"""What every call is asked: its values, and its first and second derivatives, ours and PyTorch's."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import tinygrad_rnn as tg

from .draw import TABLE, Call, Draw


class Question(NamedTuple):
    """A call, and which of its operands are Tensors that need a gradient; the others are plain arrays."""

    call: Call
    tracked: list[bool]

    @property
    def varied(self) -> list[np.ndarray]:
        return [a for t, a in zip(self.tracked, self.call.arrays, strict=True) if t]

    def operands(self, varied: Sequence[Any], kind: Callable[[np.ndarray], Any] = lambda a: a) -> list[Any]:
        """The varied operands in their places, the others of that kind."""
        it = iter(varied)
        return [next(it) if t else kind(a) for t, a in zip(self.tracked, self.call.arrays, strict=True)]

    def f(self, *varied: Any) -> list[Any]:
        """The parts of the result."""
        return parts(self.call.f(*self.operands(varied)))

    def tensors(self, *varied: Any) -> list[tg.Tensor]:
        """Those among them that are Tensors: not what was made of plain arrays alone."""
        return [y for y in self.f(*varied) if isinstance(y, tg.Tensor)]


def question(name: str, data: Any) -> Question:
    draw = Draw(data)
    call = TABLE[name](draw)
    tracked = [draw.int(0, 4) > 0 for _ in call.arrays]
    if not any(tracked):
        tracked[0] = True
    return Question(call, tracked)


def parts(y: Any) -> list[Any]:
    return list(y) if isinstance(y, list | tuple) else [y]


def projected(ys: list[Any], seed: int, as_tensor: Callable[..., Any] = lambda a: a) -> Any:
    """A number in which every entry of every y has a weight of its own."""
    rng = np.random.default_rng(seed)
    weights = [rng.uniform(0.5, 1.5, tuple(y.shape)) for y in ys]
    return sum(
        (y * as_tensor(w.astype(str(y.dtype).removeprefix("torch.")))).sum() for y, w in zip(ys, weights, strict=True)
    )


def derivatives(f: Callable[..., Any], xs: list[Any]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Gradients of a projection of f, and gradients of a projection of those."""
    y = projected(parts(f(*xs)), 1)
    first = tg.grad(y, xs, create_graph=True, allow_unused=True)
    again = projected([g for g in first if g is not None], 2)
    needed = isinstance(again, tg.Tensor) and again.requires_grad
    second = tg.grad(again, xs, allow_unused=True) if needed else [None] * len(xs)
    return _filled(first, xs), _filled(second, xs)


def _filled(gradients: Any, xs: list[Any]) -> list[np.ndarray]:
    return [np.zeros(x.shape) if g is None else g.data for g, x in zip(gradients, xs, strict=True)]


def their_derivatives(torch: Any, f: Callable[..., Any], operands: list[Any], xs: list[Any]) -> Any:
    """The same with PyTorch."""
    y = projected(parts(f(torch, *operands)), 1, torch.tensor)
    first = torch.autograd.grad(y, xs, create_graph=True, allow_unused=True)
    again = projected([g for g in first if g is not None], 2, torch.tensor)
    needed = not isinstance(again, int) and again.requires_grad
    second = torch.autograd.grad(again, xs, allow_unused=True) if needed else [None] * len(xs)
    return _forced(first, xs), _forced(second, xs)


def _forced(gradients: Any, xs: list[Any]) -> list[np.ndarray]:
    return [np.zeros(tuple(x.shape)) if g is None else g.numpy(force=True) for g, x in zip(gradients, xs, strict=True)]


def agree(actual: list[Any], expected: list[Any], tolerance: float) -> None:
    for a, b in zip(actual, expected, strict=True):
        a, b = np.asarray(getattr(a, "array", a)), np.asarray(b)
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, np.abs(b).max(initial=0)))
