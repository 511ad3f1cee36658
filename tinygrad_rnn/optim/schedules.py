"""Learning rates that change: functions of the epoch, or of how the training goes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar

from ..engine.at_once import assign
from ..errors import StateDictError
from ..nn.basic import positive
from .optimizer import Optimizer


class LambdaLR:
    """Sets the optimizer's learning rate to ``lr_0 * factor(epoch)``, epoch counting the calls of `step`.

    The other schedules are this one with a factor of their own. Where something else has changed the rate since,
    another schedule or you, it is not set but scaled, by ``factor(epoch) / factor(epoch - 1)``: so the factors of two
    schedules multiply, and a rate set by hand stays the measure. lr_0 is the rate before the optimizer's first
    schedule. Schedules one after the other are a `chain`. A LambdaLR itself is the whole schedule: a second one beside
    it, of which torch lets one win, is refused.

    per  after what `tg.fit` makes a step of it: "epoch", or "step" for a batch

    >>> import tinygrad_rnn as tg
    >>> optimizer = tg.optim.SGD([tg.tensor(0.0, requires_grad=True)], lr=1.0)
    >>> schedule = tg.optim.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule.step(); schedule.step(); optimizer.lr
    0.25
    >>> optimizer.lr = 0.1
    >>> schedule.step(); optimizer.lr
    0.05
    """

    per: ClassVar[str] = "epoch"
    sole: ClassVar[bool] = True  # whether it is the whole schedule, beside which there is no other
    eta_min: float = 0.0  # what is scaled is the distance from here

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float]) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: optimizer must be an Optimizer, not {type(optimizer).__name__}")
        if not callable(factor):
            raise TypeError(f"{type(self).__name__}: factor must be a function of the epoch, not {factor!r}")
        if optimizer.initial_lr is not None and (self.sole or optimizer.sole):
            raise ValueError(
                f"{type(self).__name__}: the optimizer has a schedule already, and one of the two is a whole one: "
                "write one function of the epoch, or make the optimizer anew"
            )
        self.optimizer, self.factor = optimizer, factor
        self.epoch = 0
        self.initial_lr = optimizer.lr if optimizer.initial_lr is None else optimizer.initial_lr
        rate = self.eta_min + (optimizer.lr - self.eta_min) * factor(0)
        set_by = [(optimizer, "initial_lr", self.initial_lr), (optimizer, "sole", self.sole)]
        assign([*set_by, (optimizer, "_lr", self.checked(rate))])

    def step(self) -> None:
        """Go on to the next epoch."""
        alone = self.optimizer.lr == float(self.rate())
        after = copy.copy(self)
        after.epoch += 1
        rate = after.rate() if alone else after._scaled(self.optimizer.lr)
        assign([(self, "epoch", after.epoch), (self.optimizer, "_lr", after.checked(rate))])

    def checked(self, rate: float) -> float:
        """The rate, if an optimizer can go on with it."""
        return self.optimizer.check(f"{type(self).__name__}: the learning rate of epoch {self.epoch}", rate)

    def rate(self) -> float:
        """The learning rate of this epoch, where this schedule is the only one."""
        return self.eta_min + (self.initial_lr - self.eta_min) * self.factor(self.epoch)

    def _scaled(self, lr: float) -> float:
        """What another rate in the epoch before becomes in this one."""
        before, now = self.factor(self.epoch - 1), self.factor(self.epoch)
        if before == 0:  # it has come from eta_min, and nothing is left to scale
            return lr + (self.initial_lr - self.eta_min) * now
        return self.eta_min + (lr - self.eta_min) * (now / before)

    def state_dict(self) -> dict[str, float]:
        """What a later run needs to go on: the epoch, and the rates before the schedule and now."""
        return {"epoch": self.epoch, "initial_lr": self.initial_lr, "lr": self.optimizer.lr}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Take over a saved state, and give the optimizer the rate it had; StateDictError where something lacks."""
        if missing := {"epoch", "initial_lr"} - state.keys():
            raise StateDictError(f"the state does not fit {type(self).__name__}: missing {', '.join(sorted(missing))}")
        after = copy.copy(self)
        after.epoch, after.initial_lr = int(state["epoch"]), float(state["initial_lr"])
        rate = after.checked(float(state["lr"]) if "lr" in state else after.rate())
        changes = [(self, "epoch", after.epoch), (self, "initial_lr", after.initial_lr)]
        assign([*changes, (self.optimizer, "initial_lr", after.initial_lr), (self.optimizer, "_lr", rate)])


# The factors of the schedules below: functions of a module, which can be pickled as a lambda cannot.


def _stairs(gamma: float, width: int, epoch: int) -> float:
    return gamma ** (epoch // width)


def _line(start: float, end: float, length: int, epoch: int) -> float:
    return start + (end - start) * min(epoch, length) / length


def _cosine(half: float, epoch: float) -> float:
    return (1 + math.cos(math.pi * epoch / half)) / 2


def _one_cycle(rates: tuple[float, float, float], top: float, total: int, step: int) -> float:
    if step > total:
        raise ValueError(f"OneCycleLR: step {step} of total_steps={total}: give it as many as there are batches in all")
    step = min(step, total - 1)  # `step` may follow the last batch too
    start, highest, end = rates
    if step < top:
        return highest + (start - highest) * _cosine(top, step)
    return end + (highest - end) * _cosine(total - 1 - top, step - top)


def _one_after_the_other(schedules: Sequence[LambdaLR], starts: Sequence[int], initial: float, epoch: int) -> float:
    part, start = next((p, s) for p, s in list(zip(schedules, starts, strict=True))[::-1] if epoch >= s)
    return (part.eta_min + (initial - part.eta_min) * part.factor(epoch - start)) / initial


class StepLR(LambdaLR):
    """Multiplies the learning rate by `gamma` every `step_size` epochs.

    >>> import tinygrad_rnn as tg
    >>> optimizer, rates = tg.optim.SGD([tg.tensor(0.0, requires_grad=True)], lr=1.0), []
    >>> schedule = tg.optim.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(5):
    ...     rates.append(round(optimizer.lr, 3))
    ...     schedule.step()
    >>> rates
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    sole = False

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        step_size = positive("step_size", step_size)
        super().__init__(optimizer, partial(_stairs, gamma, step_size))


class ExponentialLR(LambdaLR):
    """Multiplies the learning rate by `gamma` every epoch.

    >>> import tinygrad_rnn as tg
    >>> optimizer, rates = tg.optim.SGD([tg.tensor(0.0, requires_grad=True)], lr=1.0), []
    >>> schedule = tg.optim.ExponentialLR(optimizer, gamma=0.5)
    >>> for _ in range(4):
    ...     rates.append(round(optimizer.lr, 3))
    ...     schedule.step()
    >>> rates
    [1.0, 0.5, 0.25, 0.125]
    """

    sole = False

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        super().__init__(optimizer, partial(_stairs, gamma, 1))


class LinearLR(LambdaLR):
    """A warm-up: goes from `start_factor` to `end_factor` times the rate in `total_iters` epochs, then stays.

    >>> import tinygrad_rnn as tg
    >>> optimizer, rates = tg.optim.SGD([tg.tensor(0.0, requires_grad=True)], lr=1.0), []
    >>> schedule = tg.optim.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> for _ in range(4):
    ...     rates.append(round(optimizer.lr, 3))
    ...     schedule.step()
    >>> rates
    [0.5, 0.75, 1.0, 1.0]
    """

    sole = False

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        super().__init__(optimizer, partial(_line, start_factor, end_factor, positive("total_iters", total_iters)))


class CosineAnnealingLR(LambdaLR):
    """lr = eta_min + (lr_0 - eta_min) (1 + cos(π epoch / T_max)) / 2 (Loshchilov and Hutter 2017, eq. 5).

    >>> import tinygrad_rnn as tg
    >>> optimizer, rates = tg.optim.SGD([tg.tensor(0.0, requires_grad=True)], lr=1.0), []
    >>> schedule = tg.optim.CosineAnnealingLR(optimizer, T_max=4)
    >>> for _ in range(5):
    ...     rates.append(round(optimizer.lr, 3))
    ...     schedule.step()
    >>> rates
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """

    sole = False

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.eta_min, T_max = eta_min, positive("T_max", T_max)
        super().__init__(optimizer, partial(_cosine, T_max))


class OneCycleLR(LambdaLR):
    """Up to `max_lr` and down to almost nothing, in cosines, in `total_steps` batches (Smith and Topin 2019).

    It begins at max_lr / div_factor, is at max_lr after the part `pct_start` of the steps, and ends at
    max_lr / (div_factor final_div_factor), where it stays when the last batch too is followed by a `step`. The
    optimizer's own rate does not count. Raises ValueError for a further step.

    >>> import tinygrad_rnn as tg
    >>> optimizer, rates = tg.optim.SGD([tg.tensor(0.0, requires_grad=True)], lr=1.0), []
    >>> schedule = tg.optim.OneCycleLR(optimizer, max_lr=2.0, total_steps=10)
    >>> for _ in range(9):
    ...     rates.append(round(optimizer.lr, 3))
    ...     schedule.step()
    >>> rates
    [0.08, 1.04, 2.0, 1.901, 1.623, 1.223, 0.777, 0.377, 0.099]
    """

    per = "step"

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float,
        total_steps: int,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        total_steps = positive("total_steps", total_steps)
        if not 0 < pct_start < 1:
            raise ValueError(f"pct_start must be between 0 and 1, not {pct_start}")
        optimizer.check("max_lr", max_lr, above=0.0)
        measure = optimizer.lr if optimizer.initial_lr is None else optimizer.initial_lr
        start = max_lr / div_factor
        rates = start / measure, max_lr / measure, start / final_div_factor / measure
        super().__init__(optimizer, partial(_one_cycle, rates, pct_start * total_steps - 1, total_steps))


class SequentialLR(LambdaLR):
    """Schedules one after the other, each counted from its milestone on: see `chain`."""

    sole = False

    def __init__(self, optimizer: Optimizer, schedules: Sequence[LambdaLR], milestones: Sequence[int]) -> None:
        if not schedules or any(s.optimizer is not optimizer for s in schedules):
            raise ValueError("the schedules must be one or more, and all of the same optimizer")
        if len({s.per for s in schedules}) > 1:
            raise ValueError("some schedules count epochs and some steps: they cannot follow each other")
        if len(milestones) != len(schedules) - 1 or list(milestones) != sorted({0, *milestones} - {0}):
            raise ValueError(
                f"milestones must be {len(schedules) - 1} ascending numbers, when the next schedule begins, "
                f"not {list(milestones)}"
            )
        initial = schedules[0].initial_lr
        self.per = schedules[0].per  # type: ignore[misc]
        optimizer.lr = initial  # what making the schedules has changed
        super().__init__(optimizer, partial(_one_after_the_other, list(schedules), [0, *milestones], initial))


def chain(*schedules: LambdaLR, milestones: Sequence[int]) -> SequentialLR:
    """Schedules of one optimizer one after the other, the next from each milestone on: a warm-up and then a cosine.

    >>> import tinygrad_rnn as tg
    >>> optimizer = tg.optim.SGD([tg.tensor(0.0, requires_grad=True)], lr=1.0)
    >>> warm_up, halved = tg.optim.LinearLR(optimizer, 0.5, total_iters=2), tg.optim.ExponentialLR(optimizer, 0.5)
    >>> schedule, rates = tg.optim.chain(warm_up, halved, milestones=[2]), []
    >>> for epoch in range(5):
    ...     rates.append(optimizer.lr)
    ...     schedule.step()
    >>> rates
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """
    if not schedules:
        raise ValueError("chain needs schedules")
    return SequentialLR(schedules[0].optimizer, schedules, milestones)


class ReduceLROnPlateau:
    """Multiplies the learning rate by `factor` when `patience` epochs have brought nothing better.

    ``step(figure)`` takes a loss, or whatever else is better the smaller it is. Better is below (1 - threshold) times
    the best so far. After a reduction it waits `cooldown` epochs; the rate stays at least `min_lr`. Other schedules of
    the same optimizer scale what it leaves.

    >>> import tinygrad_rnn as tg
    >>> optimizer = tg.optim.SGD([tg.tensor(0.0, requires_grad=True)], lr=1.0)
    >>> schedule = tg.optim.ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
    >>> for loss in (3.0, 2.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> optimizer.lr
    0.5
    """

    per: ClassVar[str] = "epoch"
    measures: ClassVar[bool] = True  # `step` takes the figure that was measured

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"ReduceLROnPlateau: optimizer must be an Optimizer, not {type(optimizer).__name__}")
        if not 0 < factor < 1:
            raise ValueError(f"factor must be between 0 and 1, not {factor}")
        if patience < 0 or cooldown < 0:
            raise ValueError(f"patience and cooldown must be 0 or more, not {patience} and {cooldown}")
        self.optimizer, self.factor, self.patience = optimizer, factor, patience
        self.threshold, self.cooldown, self.min_lr = threshold, cooldown, optimizer.check("min_lr", min_lr)
        self.best, self.waited, self.resting = math.inf, 0, 0

    def step(self, figure: float) -> None:
        """One more epoch, and what was measured in it."""
        figure = float(figure)
        better = (
            figure < self.best - self.threshold * abs(self.best) if math.isfinite(self.best) else figure < self.best
        )
        best, resting = (figure if better else self.best), max(self.resting - 1, 0)
        waited = 0 if better or self.resting else self.waited + 1
        lr = self.optimizer.lr
        if waited > self.patience:
            lr, waited, resting = max(lr * self.factor, min(lr, self.min_lr)), 0, self.cooldown
        mine = {"best": best, "waited": waited, "resting": resting}
        assign([*((self, name, value) for name, value in mine.items()), (self.optimizer, "_lr", lr)])

    def state_dict(self) -> dict[str, float]:
        """What a later run needs to go on."""
        return {"best": self.best, "waited": self.waited, "resting": self.resting, "lr": self.optimizer.lr}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Take over a saved state, and give the optimizer the rate it had; StateDictError where something lacks."""
        if missing := {"best", "waited", "resting", "lr"} - state.keys():
            raise StateDictError(f"the state does not fit ReduceLROnPlateau: missing {', '.join(sorted(missing))}")
        rate = self.optimizer.check("lr", state["lr"])
        mine = {"best": float(state["best"]), "waited": int(state["waited"]), "resting": int(state["resting"])}
        assign([*((self, name, value) for name, value in mine.items()), (self.optimizer, "_lr", rate)])
