"""What `tg.fit` is given is looked at before it begins: a slip is named at once, not after an epoch."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ..nn import Module
from ..optim import Optimizer


def looked_at(
    model: Module,
    optimizer: Optimizer,
    schedule: Any,
    batches: dict[str, Any],
    numbers: dict[str, Any],
    files: dict[str, Any],
) -> None:
    """Raise TypeError or ValueError, with the argument's name, for what `fit` could not go through with."""
    for name, data in batches.items():
        if isinstance(data, Iterator) or (not hasattr(data, "__iter__") and not hasattr(data, "__getitem__")):
            raise TypeError(
                f"fit: {name} must give its batches again each epoch: a list, or tg.data.batches, not an iterator or "
                f"{type(data).__name__}"
            )
    _look_at_optimizer(model, optimizer, schedule)
    for name, least in (("epochs", 0), ("patience", 1)):
        value = numbers[name]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise ValueError(f"fit: {name} must be a whole number of {least} or more, not {value!r}")
    clip = numbers["clip"]
    if clip is not None and (isinstance(clip, bool | str) or not 0 < clip < math.inf):
        raise ValueError(f"fit: clip must be a number above 0, or None for no clipping, not {clip!r}")
    for name, path in files.items():
        if isinstance(path, str | os.PathLike) and not os.path.isdir(os.path.dirname(os.path.abspath(path))):
            raise FileNotFoundError(f"fit: the folder of {name}={os.fspath(path)!r} does not exist: make it first")
    log = files["log"]
    if isinstance(log, str | os.PathLike) and os.path.splitext(log)[1].lower() not in (".csv", ".jsonl"):
        raise ValueError(f"fit: log must end in .csv or .jsonl, or be a function, not {os.fspath(log)!r}")


def _look_at_optimizer(model: Module, optimizer: Optimizer, schedule: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        kind = optimizer.__name__ if isinstance(optimizer, type) else type(optimizer).__name__
        raise TypeError(f"fit: optimizer must be one of tg.optim, made with model.parameters(), not {kind}")
    its_own = set(model.parameters())
    if its_own and its_own.isdisjoint(optimizer.parameters):
        raise ValueError("fit: the optimizer has none of the model's parameters: make it with model.parameters()")
    if schedule is not None and (isinstance(schedule, type) or not hasattr(schedule, "step")):
        raise TypeError(f"fit: schedule must be one of tg.optim's, made with the optimizer, not {schedule!r}")
    if getattr(schedule, "optimizer", optimizer) is not optimizer:
        raise ValueError("fit: the schedule is of another optimizer: make it with the one that is given")


def named(metrics: Iterable[Any]) -> dict[str, Any]:
    """Metrics by their names. Raises TypeError for what is no list of functions, ValueError for a name given twice."""
    if callable(metrics) or isinstance(metrics, str):
        raise TypeError("metrics must be a list of functions: put one in brackets")
    each = [(str(getattr(metric, "__name__", type(metric).__name__)), metric) for metric in metrics]
    for name, times in Counter(["loss", *(name for name, _ in each)]).items():
        if times > 1:
            raise ValueError(f"metrics: {name!r} is the name of several figures: give each function a name of its own")
    return dict(each)
