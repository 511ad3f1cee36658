"""`tg.fit`: the loop over epochs and batches, and what every program needs around it.

The loop is `fit`; one step of it is `update`, which is all that training by gradient descent is. What a training needs
to go on, bit for bit, is in `saved`.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from ..autograd.tensor import Tensor
from ..data.sequences import Batches
from ..engine.at_once import assign
from ..engine.modes import no_grad
from ..interrupts import noted
from ..nn import Module
from ..notebook import progress as bar_of
from ..optim import Optimizer, clip_grad_norm_
from .arguments import looked_at, named
from .history import History
from .saved import Saved

Loss = Callable[..., Any]
"""``loss(model, *batch)`` gives what to minimise; or that and the scores, for metrics."""

Metric = Callable[[Any, Any], float]


def update(
    loss: Tensor,
    optimizer: Optimizer,
    clip: float | None = None,
    where: str = "",
    average: Callable[[list[Tensor]], Any] | None = None,
) -> float:
    """One step down the gradient of a loss; gives the loss.

    clip     the largest norm that the gradient may have: `clip_grad_norm_`
    average  called with the parameters before clipping, to make the gradients of several processes one

    Raises FloatingPointError, with `where` in its message, for a loss or gradient of nan or inf; the weights are then
    as before.
    """
    optimizer.zero_grad()
    loss.backward()
    if average is not None:
        average(optimizer.parameters)
    norm = clip_grad_norm_(optimizer.parameters, clip or math.inf)
    value = float(loss.item())
    if not math.isfinite(value + norm):
        what = f"loss became {value}" if not math.isfinite(value) else f"gradient became {norm}"
        raise FloatingPointError(
            f"the {what}{where}: try a smaller learning rate than {optimizer.lr:g}, or a smaller clip; "
            "within tg.anomaly() the op that made it is named"
        )
    optimizer.step()
    return value


def fit(
    model: Module,
    loss: Loss,
    train: Iterable[Any],
    *,
    validation: Iterable[Any] | None = None,
    epochs: int,
    optimizer: Optimizer,
    schedule: Any = None,
    clip: float | None = None,
    patience: int | None = None,
    best: str | os.PathLike[str] | bool | None = None,
    log: str | os.PathLike[str] | Callable[[dict[str, float]], Any] | None = None,
    metrics: Iterable[Metric] = (),
    progress: bool = True,
    resume: str | os.PathLike[str] | None = None,
) -> History:
    """Train a model for some epochs, each a pass over the batches of `train`; gives the figures of each epoch.

    loss        ``loss(model, *batch)``: the Tensor to minimise; or a pair of it and the scores that `metrics` are of
    train       what gives its batches again each epoch, as `tg.data.batches` or a list; a batch is a tuple
    validation  the same, to measure the loss on after each epoch, in eval mode
    schedule    of the learning rate: stepped after each epoch; one with ``per = "step"`` after each batch
    clip        the largest norm of the gradient
    patience    stop after so many epochs without a smaller validation loss (or loss, without validation)
    best        True: the model ends with the weights of its best epoch. A path: these are saved there too
    log         a file to write the figures to after each epoch, .csv or .jsonl; or a function of an epoch's figures
    metrics     functions (scores, batch[1]) -> number, as `tg.metrics.accuracy`, measured on the validation data
    progress    a bar in a terminal or notebook, a line an epoch elsewhere, on standard error
    resume      a file that holds all that is needed to go on, written after each epoch and when the program is stopped
                by Ctrl-C or a signal. Where it is there already the training goes on from it, bit for bit, if nothing
                else has changed

    Raises FloatingPointError that names the epoch and batch for a loss or gradient of nan or inf, and TypeError or
    ValueError for what it could not go through with, before it begins. Ctrl-C finishes the batch in hand
    first, so that the model is never left within a step.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(64, 3))
    >>> data = [(x, x @ [[1.0], [2.0], [3.0]])]
    >>> model = tg.nn.Linear(3, 1, rng=0)
    >>> history = tg.fit(model, lambda model, x, y: tg.nn.mse_loss(model(x), y), data, epochs=200,
    ...                  optimizer=tg.optim.Adam(model.parameters(), lr=0.1), progress=False)
    >>> model.W.data.round(2).ravel().tolist(), bool(history["loss"][-1] < 1e-3)
    ([1.0, 2.0, 3.0], True)
    """
    data = {"train": train} | ({} if validation is None else {"validation": validation})
    numbers = {"epochs": epochs, "patience": patience, "clip": clip}
    looked_at(model, optimizer, schedule, data, numbers, {"best": best, "log": log, "resume": resume})
    metrics = list(named(metrics).values())
    saved = Saved(model, optimizer, schedule, train, best, resume)
    history = saved.history
    with noted() as signals, Shown(history, epochs, train, progress) as shown:
        while len(history) < epochs and not saved.waited(patience):
            began = time.perf_counter()
            model.train()
            for k, batch in enumerate(islice(train, saved.done, None), saved.done + 1):
                value = _parts(loss(model, *batch))[0]
                saved.add(update(value, optimizer, clip, f" in epoch {len(history) + 1}, batch {k}"), _weight(batch))
                _go_on(schedule, "step")
                shown.batch(saved.mean)
                if signals:
                    saved.write()
                    raise _stop(signals[0])
            row = {"epoch": len(history) + 1, "loss": saved.mean, "lr": optimizer.lr}
            if validation is not None:
                measured = evaluate(model, loss, validation, metrics)
                row |= {f"validation_{name}": figure for name, figure in measured.items()}
            _go_on(schedule, "epoch", saved.judged(row))
            saved.end_epoch(row | {"seconds": time.perf_counter() - began})
            saved.write()
            shown.epoch(row)
            _log(log, history)
            if signals:
                raise _stop(signals[0])
    if saved.waited(patience):
        history.stopped = "patience"
    saved.take_best()
    return history


@no_grad()
def evaluate(model: Module, loss: Loss, batches: Iterable[Any], metrics: Iterable[Metric] = ()) -> dict[str, float]:
    """The mean loss over some batches, and the means of metrics by their names, in eval mode and without a tape.

    A batch counts by the number of its targets, where it is one of `tg.data.batches`; else each counts the same.

    >>> import tinygrad_rnn as tg
    >>> def loss(model, x, y):
    ...     return tg.nn.mse_loss(tg.tensor(x), y)
    >>> tg.evaluate(tg.nn.Module(), loss, [([1.0], [0.0]), ([3.0], [0.0])])
    {'loss': 5.0}
    """
    before = [(module, "training", module.training) for module in model.modules()]
    measures = named(metrics)
    if isinstance(batches, Batches):
        batches = batches.all()
    sums: dict[str, float] = {}
    total = 0.0
    try:
        model.eval()
        for batch in batches:
            value, *scores = _parts(loss(model, *batch))
            figures: dict[str, float] = {"loss": float(value.item())}
            if measures and not scores:
                raise TypeError(
                    "metrics are measured on scores: let loss(model, *batch) return the pair (loss, scores)"
                )
            figures |= {name: float(metric(scores[0], batch[1])) for name, metric in measures.items()}
            weight = _weight(batch)
            total += weight
            for name, figure in figures.items():
                sums[name] = sums.get(name, 0.0) + weight * figure
    finally:
        assign(before)
    if not total:
        raise ValueError("evaluate: there are no batches, or none of their targets counts")
    return {name: figure / total for name, figure in sums.items()}


def _parts(value: Any) -> tuple[Any, ...]:
    """What a loss function gave: the loss, and perhaps scores."""
    parts = value if isinstance(value, tuple) else (value,)
    if not 1 <= len(parts) <= 2 or not isinstance(parts[0], Tensor) or parts[0].size != 1:
        raise TypeError(
            f"loss(model, *batch) must give one number as a Tensor, or that and the scores, not {type(value).__name__}"
            + (f" of shape {value.shape}" if isinstance(value, Tensor) else "")
        )
    return parts


def _weight(batch: Any) -> float:
    return float(getattr(batch, "weight", 1))


def _go_on(schedule: Any, after: str, *measured: float) -> None:
    """One step of a schedule that goes on after each of these; a rate on a plateau depends on what was measured."""
    if schedule is not None and getattr(schedule, "per", "epoch") == after:
        schedule.step(*measured) if getattr(schedule, "measures", False) else schedule.step()


def _stop(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


def _log(log: Any, history: History) -> None:
    if callable(log):
        log(history.rows[-1])
    elif log is not None:
        (history.to_csv if os.path.splitext(log)[1].lower() == ".csv" else history.to_jsonl)(log)


class Shown:
    """How far a training is: a bar over its batches in a terminal or notebook, elsewhere a line an epoch."""

    def __init__(self, history: History, epochs: int, train: Any, progress: bool) -> None:
        self.history, self.epochs, self.progress = history, epochs, progress
        self.total = len(train) * epochs if hasattr(train, "__len__") else None

    def __enter__(self) -> Shown:
        layout = "{percentage:3.0f}%|{bar:20}|{elapsed}<{remaining}{postfix}"
        done = len(self.history) * (self.total or 0) // max(self.epochs, 1)
        self.bar = bar_of(total=self.total, initial=done, layout=layout, hidden=not self.progress)
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def batch(self, mean: float) -> None:
        self.bar.update()
        self.bar.set_postfix_str(f"epoch {len(self.history) + 1}/{self.epochs}, loss {mean:.4g}", refresh=False)

    def epoch(self, row: Mapping[str, float]) -> None:
        if self.progress and self.bar.disable:
            figures = ", ".join(f"{name} {row[name]:.4g}" for name in row if name != "epoch")
            print(f"epoch {row['epoch']}/{self.epochs}: {figures}", file=sys.stderr, flush=True)
