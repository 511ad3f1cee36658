"""Losses: how far a prediction is from its target, as one number (or one an example, with ``reduction="none"``)."""

from __future__ import annotations

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.arrays import Operand
from ..errors import DataError, DtypeError, ShapeError
from ..ops.cross_entropy import CrossEntropy
from ..ops.elementwise import softplus, where
from .basic import as_tensor, class_numbers


def cross_entropy(input: Operand, target: Operand, *, reduction: str = "mean", ignore_index: int = -100) -> Tensor:
    """-log softmax(o)_y = log Σ e^o - o_y, in nats: scores o (..., classes), class numbers y (...).

    A difference of scores neither overflows nor loses small probabilities, in float32 too. Targets equal to
    `ignore_index` count for nothing, and so do their scores, nan and inf too.

    Raises ShapeError, DtypeError or DataError for targets that do not fit, ValueError for an unknown reduction or a
    mean over nothing.

    >>> import tinygrad_rnn as tg
    >>> tg.nn.cross_entropy(tg.tensor([[0.0, 0.0], [1000.0, 0.0]]), [1, 0]).item()  # (log 2 + 0) / 2
    0.34657359027997264
    """
    scores = real("cross_entropy", input)
    y = np.asarray(target.array if isinstance(target, Tensor) else target)
    if scores.ndim < 1 or y.shape != scores.shape[:-1]:
        raise ShapeError(
            f"cross_entropy: target must have the shape of input without its last axis, the classes: expected "
            f"{scores.shape[:-1]}, got {y.shape}"
        )
    counted = y != ignore_index
    every = counted.all()
    if not every:  # so that not even a nan in the scores of an ignored target reaches a gradient
        y, scores = np.where(counted, y, 0), where(counted[..., None], scores, 0)
    y = class_numbers(y, scores.shape[-1], "cross_entropy: target")
    losses, _ = CrossEntropy(y)(scores)
    if every:
        return reduce(losses, reduction)
    losses = where(counted, losses, 0)
    if reduction == "mean":
        if not counted.any():
            raise ValueError("cross_entropy: every target is ignore_index, and there is no mean over nothing")
        return losses.sum() / int(counted.sum())
    return reduce(losses, reduction)


def mse_loss(input: Operand, target: Operand, *, reduction: str = "mean") -> Tensor:
    """(o - y)², averaged over all entries. Raises ShapeError unless both have one shape.

    >>> import tinygrad_rnn as tg
    >>> tg.nn.mse_loss(tg.tensor([1.0, 2.0]), [0.0, 0.0]).item()
    2.5
    """
    o, y = same_shape("mse_loss", input, target)
    error = o - y
    return reduce(error * error, reduction)


def binary_cross_entropy_with_logits(input: Operand, target: Operand, *, reduction: str = "mean") -> Tensor:
    """-y log σ(o) - (1 - y) log(1 - σ(o)) = log(1 + e^o) - o y, for targets y in [0, 1], safe for large o.

    Certainty costs nothing where it is right, 0 for o = inf, y = 1, and everything where it is wrong, inf.

    Raises ShapeError unless both have one shape, DataError for a target outside [0, 1].

    >>> import tinygrad_rnn as tg
    >>> tg.nn.binary_cross_entropy_with_logits(tg.tensor([0.0, 1000.0]), [1.0, 1.0]).item()  # (log 2 + 0) / 2
    0.34657359027997264
    """
    o, y = same_shape("binary_cross_entropy_with_logits", input, target)
    wrong = y.array[~((y.array >= 0) & (y.array <= 1))]
    if wrong.size:
        raise DataError(f"binary_cross_entropy_with_logits: target must be in 0 .. 1, and {wrong[0]} is not")
    sure, scored = np.isinf(o.array), o
    if sure.any():  # inf - inf and 0 inf would be nan: log(1 + e^-10000) is 0 as well
        right = sure & (y.array == (o.array > 0))
        o = where(right, np.copysign(o.dtype.type(1e4), o.array), o)
        scored = where(y.array == 0, 0, o)
    return reduce(softplus(o) - scored * y, reduction)


def real(name: str, input: Operand) -> Tensor:
    """The input as a Tensor of real numbers: whole numbers are no predictions."""
    o = as_tensor(input, name)
    if o.dtype.kind != "f":
        raise DtypeError(f"{name}: input must be real numbers, not {o.dtype}: are input and target in this order?")
    return o


def same_shape(name: str, input: Operand, target: Operand) -> tuple[Tensor, Tensor]:
    """Both as Tensors of the input's dtype; a target that would be broadcast is refused: it is always a slip."""
    o = real(name, input)
    y = target if isinstance(target, Tensor) else Tensor(target, dtype=o.dtype)
    if o.shape != y.shape:
        raise ShapeError(f"{name}: input has shape {o.shape} and target {y.shape}; they must be the same")
    return o, y if y.dtype == o.dtype else y.astype(o.dtype)


def reduce(losses: Tensor, reduction: str) -> Tensor:
    """The losses as they are ("none"), their mean or their sum."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    if reduction == "none":
        return losses
    if reduction == "mean" and not losses.size:
        raise ValueError(f"no mean over nothing: the losses have shape {losses.shape}; reduction='sum' gives 0")
    return losses.mean() if reduction == "mean" else losses.sum()
