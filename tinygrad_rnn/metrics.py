"""How good a prediction is, as a plain number: for reports, not to be differentiated."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .errors import DataError, ShapeError

IGNORED = -100


def accuracy(scores: Any, target: Any, *, ignore_index: int = IGNORED) -> float:
    """The part of the targets (...) whose class has the largest of the scores (..., classes).

    Targets of `ignore_index`, as padding has, do not count; scores of which one is nan are wrong. Raises ShapeError
    for shapes that do not fit, DataError where no target counts.

    >>> accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    0.5
    """
    scores, target = _array(scores), _array(target)
    if scores.shape[:-1] != target.shape:
        raise ShapeError(f"accuracy: of scores {scores.shape} the targets are {scores.shape[:-1]}, got {target.shape}")
    counts = target != ignore_index
    if not counts.any():
        raise DataError("accuracy: no target counts")
    right = (scores.argmax(-1) == target) & ~np.isnan(scores).any(-1)
    return float(right[counts].mean())


def perplexity(loss: Any) -> float:
    """e^loss, for a mean cross-entropy in nats: among how many equally likely classes one seems to choose.

    >>> round(perplexity(math.log(8)), 6)
    8.0
    """
    loss = float(_array(loss))
    return math.inf if loss >= 700 else math.exp(loss)


def bits(loss: Any) -> float:
    """loss / log 2: a mean cross-entropy in bits in place of nats.

    >>> round(bits(math.log(8)), 6)
    3.0
    """
    return float(_array(loss)) / math.log(2)


def mean_absolute_error(prediction: Any, target: Any) -> float:
    """The mean of |prediction - target|.

    >>> mean_absolute_error([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    return float(abs(_error("mean_absolute_error", prediction, target)).mean())


def root_mean_squared_error(prediction: Any, target: Any) -> float:
    """√(the mean of (prediction - target)²).

    >>> root_mean_squared_error([1.0, 2.0], [1.0, 4.0])
    1.4142135623730951
    """
    return math.sqrt(np.square(_error("root_mean_squared_error", prediction, target)).mean())


def _error(name: str, prediction: Any, target: Any) -> np.ndarray:
    prediction, target = _array(prediction).astype(float), _array(target)
    if prediction.shape != target.shape:
        raise ShapeError(f"{name}: prediction has shape {prediction.shape} and target {target.shape}")
    if not target.size:
        raise DataError(f"{name}: there is nothing to take the mean of: target has shape {target.shape}")
    return prediction - target


def _array(x: Any) -> np.ndarray:
    return np.asarray(getattr(x, "array", x))
