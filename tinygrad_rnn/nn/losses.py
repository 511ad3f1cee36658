"""Losses: how far a prediction is from its target, as one number (or one an example, with ``reduction="none"``)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.arrays import Operand
from ..errors import DataError, DtypeError, ShapeError
from ..ops.cross_entropy import CrossEntropy, places
from ..ops.elementwise import softplus, where
from ..ops.reduction import log_softmax, mean
from .basic import as_tensor, numbered


def cross_entropy(
    input: Operand,
    target: Operand,
    *,
    weight: Operand | None = None,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(o)_y = log Σ e^o - o_y, in nats: scores o (..., classes), class numbers y (...).

    A difference of scores neither overflows nor loses small probabilities, in float32 too. Targets equal to
    `ignore_index` count for nothing, and so do their scores, nan and inf too.

    weight           (classes,) how much each class counts; the mean is then Σ w_y L / Σ w_y
    label_smoothing  ε: the target is the class with 1 - ε, and every class with ε / classes (Szegedy et al. 2016)

    Raises ShapeError, DtypeError or DataError for targets or weights that do not fit, ValueError for an unknown
    reduction or a mean over nothing.

    >>> import tinygrad_rnn as tg
    >>> tg.nn.cross_entropy(tg.tensor([[0.0, 0.0], [1000.0, 0.0]]), [1, 0]).item()  # (log 2 + 0) / 2
    0.34657359027997264
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be in 0 .. 1, not {label_smoothing}")
    scores, y, counted = _classes("cross_entropy", input, target, ignore_index)
    w = _class_weights("cross_entropy", weight, scores)
    losses = CrossEntropy(y)(scores)[0]
    if w is not None:
        losses = losses * w[y]
    if label_smoothing:
        every = -log_softmax(scores)  # the loss of each class
        smooth = every.mean(-1) if w is None else (every * w).mean(-1)
        losses = (1 - label_smoothing) * losses + label_smoothing * smooth
    return _reduce_classes(losses, y, counted, w, reduction)


def nll_loss(
    input: Operand,
    target: Operand,
    *,
    weight: Operand | None = None,
    reduction: str = "mean",
    ignore_index: int = -100,
) -> Tensor:
    """-p_y for logarithms of probabilities p (..., classes), as `log_softmax` gives them, and class numbers y (...).

    Weights and ignored targets are as in `cross_entropy`, which computes both in one and from scores.

    >>> import tinygrad_rnn as tg
    >>> tg.nn.nll_loss(tg.log_softmax(tg.tensor([[0.0, 0.0]])), [0]).item()  # log 2
    0.6931471805599453
    """
    logs, y, counted = _classes("nll_loss", input, target, ignore_index)
    w = _class_weights("nll_loss", weight, logs)
    losses = -logs[places(y)]
    return _reduce_classes(losses if w is None else losses * w[y], y, counted, w, reduction)


def _classes(
    name: str, input: Operand, target: Operand, ignore_index: int
) -> tuple[Tensor, np.ndarray, np.ndarray | None]:
    """The scores, the class numbers, and which of them count, or None where all do."""
    scores = real(name, input)
    y = np.asarray(target.array if isinstance(target, Tensor) else target)
    if scores.ndim < 1 or y.shape != scores.shape[:-1]:
        raise ShapeError(
            f"{name}: target must have the shape of input without its last axis, the classes: expected "
            f"{scores.shape[:-1]}, got {y.shape}"
        )
    counted = y != ignore_index
    if np.count_nonzero(counted) == y.size:
        return scores, numbered(y, scores.shape[-1], f"{name}: target"), None
    # so that not even a nan in the scores of an ignored target reaches a gradient
    y, scores = np.where(counted, y, 0), where(counted[..., None], scores, 0)
    return scores, numbered(y, scores.shape[-1], f"{name}: target"), counted


def _class_weights(name: str, weight: Operand | None, scores: Tensor) -> np.ndarray | None:
    """How much each class counts."""
    if weight is None:
        return None
    w = np.asarray(getattr(weight, "array", weight), scores.dtype)
    if w.shape != scores.shape[-1:]:
        raise ShapeError(f"{name}: weight must be one number a class, {scores.shape[-1:]}, got {w.shape}")
    if not (w >= 0).all():
        raise DataError(f"{name}: weight must be 0 or more for each class, and {w[~(w >= 0)][0]} is not")
    return w


def _reduce_classes(
    losses: Tensor, y: np.ndarray, counted: np.ndarray | None, w: np.ndarray | None, reduction: str
) -> Tensor:
    """The losses of the targets that count, as they are, added up, or divided by how much counts."""
    if counted is None and w is None:
        return reduce(losses, reduction)
    counted = np.ones(y.shape, bool) if counted is None else counted
    losses = where(counted, losses, 0)
    if reduction != "mean":
        return reduce(losses, reduction)
    share = counted.sum() if w is None else (w[y] * counted).sum()
    if not share:
        what = "every target is ignore_index" if w is None else "no target has a weight"
        raise ValueError(f"{what}, and there is no mean over nothing")
    return losses.sum() / float(share)


def mse_loss(input: Operand, target: Operand, *, reduction: str = "mean", mask: Operand | None = None) -> Tensor:
    """(o - y)², averaged over all entries. Raises ShapeError unless both have one shape.

    mask  True where an entry counts, of the shape of input or of its first axes, (T, B) for (T, B, features), as
          `tg.data.mask(lengths)` gives it. What is masked out may be anything, nan too, and has no gradient

    >>> import tinygrad_rnn as tg
    >>> tg.nn.mse_loss(tg.tensor([1.0, 2.0]), [0.0, 0.0]).item()
    2.5
    """
    o, y, counted = _compared("mse_loss", input, target, mask)
    error = o - y
    return _reduce_masked(error * error, counted, reduction)


def l1_loss(input: Operand, target: Operand, *, reduction: str = "mean", mask: Operand | None = None) -> Tensor:
    """|o - y|, averaged over all entries; its derivative is 0 where o = y. Shapes and mask are as in `mse_loss`.

    >>> import tinygrad_rnn as tg
    >>> tg.nn.l1_loss(tg.tensor([1.0, -2.0]), [0.0, 0.0]).item()
    1.5
    """
    o, y, counted = _compared("l1_loss", input, target, mask)
    return _reduce_masked(abs(o - y), counted, reduction)


def huber_loss(
    input: Operand,
    target: Operand,
    *,
    delta: float = 1.0,
    reduction: str = "mean",
    mask: Operand | None = None,
) -> Tensor:
    """(o - y)² / 2 where |o - y| ≤ δ, else δ (|o - y| - δ / 2), averaged over all entries (Huber 1964).

    Large errors count by their size, not by their square. Shapes and mask are as in `mse_loss`.

    >>> import tinygrad_rnn as tg
    >>> tg.nn.huber_loss(tg.tensor([0.5, 3.0]), [0.0, 0.0], reduction="none").data
    array([0.125, 2.5  ])
    """
    if not delta > 0:
        raise ValueError(f"huber_loss: delta must be above 0, not {delta}")
    o, y, counted = _compared("huber_loss", input, target, mask)
    size = abs(o - y)
    inner: Any = np.minimum(size, delta)
    return _reduce_masked(inner * (size - inner / 2), counted, reduction)


def binary_cross_entropy_with_logits(
    input: Operand, target: Operand, *, reduction: str = "mean", mask: Operand | None = None
) -> Tensor:
    """-y log σ(o) - (1 - y) log(1 - σ(o)) = log(1 + e^o) - o y, for targets y in [0, 1], safe for large o.

    Certainty costs nothing where it is right, 0 for o = inf, y = 1, and everything where it is wrong, inf.

    `mask` is as in `mse_loss`. Raises ShapeError unless both have one shape, DataError for a target outside [0, 1].

    >>> import tinygrad_rnn as tg
    >>> tg.nn.binary_cross_entropy_with_logits(tg.tensor([0.0, 1000.0]), [1.0, 1.0]).item()  # (log 2 + 0) / 2
    0.34657359027997264
    """
    o, y, counted = _compared("binary_cross_entropy_with_logits", input, target, mask)
    wrong = y.array[~((y.array >= 0) & (y.array <= 1))]
    if wrong.size:
        raise DataError(f"binary_cross_entropy_with_logits: target must be in 0 .. 1, and {wrong[0]} is not")
    sure, scored = np.isinf(o.array), o
    if sure.any():  # inf - inf and 0 inf would be nan: log(1 + e^-10000) is 0 as well
        right = sure & (y.array == (o.array > 0))
        o = where(right, np.copysign(o.dtype.type(1e4), o.array), o)
        scored = where(y.array == 0, 0, o)
    return _reduce_masked(softplus(o) - scored * y, counted, reduction)


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
    return mean(losses) if reduction == "mean" else losses.sum()


def _compared(
    name: str, input: Operand, target: Operand, mask: Operand | None
) -> tuple[Tensor, Tensor, np.ndarray | None]:
    """Both of one shape, with 0 where they are masked out, and which entries count, or None where all do."""
    o, y = same_shape(name, input, target)
    if mask is None:
        return o, y, None
    counted = np.asarray(getattr(mask, "array", mask))
    if counted.dtype != bool or counted.shape != o.shape[: counted.ndim]:
        raise ShapeError(
            f"{name}: mask must be True and False in the shape of input, {o.shape}, or of its first axes, not "
            f"{counted.shape} of {counted.dtype}"
        )
    counted = np.broadcast_to(counted.reshape(counted.shape + (1,) * (o.ndim - counted.ndim)), o.shape)
    return where(counted, o, 0), where(counted, y, 0), counted


def _reduce_masked(losses: Tensor, counted: np.ndarray | None, reduction: str) -> Tensor:
    """The losses of the entries that count, as they are, their sum or their mean."""
    if counted is None:
        return reduce(losses, reduction)
    losses = where(counted, losses, 0)
    if reduction != "mean":
        return reduce(losses, reduction)
    if not counted.any():
        raise ValueError("no mean over nothing: all is masked out; reduction='sum' gives 0")
    return losses.sum() / int(counted.sum())
