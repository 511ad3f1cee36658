"""Optimizers, gradient clipping, and learning-rate schedules.

An update gives each parameter a new array instead of writing into the old one: a graph recorded before the
update still holds the values it was computed with, so differentiating it late is never silently wrong. A step, a
clipping and the loading of a state are computed first and take effect in one go: Ctrl-C leaves all of it or nothing.
"""

from __future__ import annotations

import copy
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import numpy as np

from .autograd.tensor import Tensor
from .engine.at_once import assign
from .errors import GraphError, StateDictError
from .nn.basic import positive
from .nn.module import Module, Parameter
from .nn.weights import new_array, refuse


def listed(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The parameters as a list; TypeError for what is no sequence of tensors, ValueError for none."""
    if isinstance(parameters, Module):
        kind = type(parameters).__name__
        raise TypeError(f"parameters must be a sequence of tensors, not {kind}: give model.parameters(), with brackets")
    if isinstance(parameters, Tensor):
        raise TypeError("parameters must be a sequence, as in model.parameters(), not one tensor: put it in a list")
    if callable(parameters):
        raise TypeError("parameters must be a sequence, and this is a function: call it, as in model.parameters()")
    if isinstance(parameters, str | bytes | Mapping) or not isinstance(parameters, Iterable):
        kind = type(parameters).__name__
        raise TypeError(f"parameters must be a sequence of tensors, as in model.parameters(), not {kind}")
    listed = list(parameters)
    if not listed:
        raise ValueError("no parameters were given; model.parameters() can be gone through only once, so call it anew")
    seen: set[Tensor] = set()
    for k, p in enumerate(listed):
        if not isinstance(p, Tensor):
            raise TypeError(f"parameter {k} must be a Tensor, not {type(p).__name__}{_instead(p)}")
        if p in seen:
            raise ValueError(f"{described(k, p)} was given twice: it would count, or be updated, twice")
        seen.add(p)
    return listed


def described(k: int, p: Tensor) -> str:
    """Parameter number k, with its name where it has one."""
    return f"parameter {k}" + (f", {p.name!r}," if p.name else "")


def precision(p: Tensor) -> Any:
    """What updates of a parameter are computed in: float32 at least, since g² of a float16 is soon 0 or inf."""
    return np.result_type(p.dtype, np.float32)


def _instead(p: Any) -> str:
    """What to do about something that is given in place of a parameter."""
    if isinstance(p, dict):
        return ": there are no groups here, make an optimizer for each group of parameters"
    if isinstance(p, tuple):
        return ": give model.parameters(), without the names"
    return ": give its parameters()" if isinstance(p, Module) else ": give model.parameters()"


class Optimizer:
    """Base class: knows the parameters and the learning rate, and keeps arrays of state for each parameter.

    A subclass writes ``update(k, p, g)``: the new values of parameter number k, given its values and gradient, using
    ``self.buffers["name"][k]`` for what it remembers. `steps` counts the calls of `step`.

    A parameter that is frozen, ``p.requires_grad = False``, stays as it is, until it is thawed.

    Raises ValueError for no parameters, the same one twice, or a learning rate that is not a positive number, TypeError
    for what is no tensor, GraphError for a tensor that cannot be trained.
    """

    remembers: tuple[str, ...] = ()

    def __init__(self, parameters: Iterable[Tensor], lr: float, weight_decay: float = 0.0) -> None:
        self.parameters = listed(parameters)
        for k, p in enumerate(self.parameters):
            name = described(k, p)
            if p.op is not None:
                raise GraphError(
                    f"{name} is not a leaf that needs a gradient, but the result of {p.op.name}: give parameters()"
                )
            if not (p.requires_grad or isinstance(p, Parameter)):  # a frozen Parameter may be thawed later
                raise GraphError(f"{name} is not a leaf that needs a gradient: make it with requires_grad=True")
        self._lr = self.check("lr", lr, above=0.0)
        self.initial_lr: float | None = None  # the rate before its first schedule
        self.weight_decay = self.check("weight_decay", weight_decay)
        self.steps = 0
        self.updates = [0] * len(self.parameters)  # of each parameter: a step without a gradient is none
        self.buffers = {name: [np.zeros(p.shape, precision(p)) for p in self.parameters] for name in self.remembers}

    @staticmethod
    def check(name: str, value: float, above: float = -math.inf, below: float = math.inf) -> float:
        """The value as a float; TypeError unless it is one, ValueError unless it is 0 or more and within the bounds."""
        number = value.item() if isinstance(value, Tensor | np.ndarray) and value.ndim == 0 else value
        if not isinstance(number, numbers.Real):
            raise TypeError(f"{name} must be a number, not {value!r}")
        if not (number >= 0 and above < number < below):
            least = f"above {above:g}" if above >= 0 else "0 or more"
            most = f" and below {below:g}" if below < math.inf else ""
            raise ValueError(f"{name} must be {least}{most}, not {number}")
        return float(number)

    @property
    def lr(self) -> float:
        """The learning rate; ValueError for a new one that is below 0 or not finite: it would climb the loss."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = self.check("lr", value)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        assign((p, "_grad", None) for p in self.parameters)

    def step(self) -> None:
        """Update every parameter that has a gradient and is not frozen."""
        after = copy.copy(self)  # this optimizer as it will be, if nothing interrupts
        after.steps, after.updates = self.steps + 1, list(self.updates)
        after.buffers = {name: list(arrays) for name, arrays in self.buffers.items()}
        new: list[tuple[Any, str, Any]] = []
        for k, p in enumerate(self.parameters):
            g = p.grad
            if g is not None and p.requires_grad:
                p_was, g = p.array.astype(precision(p), copy=False), g.astype(precision(p), copy=False)
                if self.weight_decay:
                    g = g + self.weight_decay * p_was
                after.updates[k] += 1
                for arrays in after.buffers.values():
                    arrays[k] = arrays[k].copy()
                new += new_array(p, np.asarray(after.update(k, p_was, g), dtype=p.dtype))
        assign([*new, *((self, name, value) for name, value in vars(after).items())])

    def update(self, k: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        """The new values of parameter number k, which is p and has gradient g; may write into its buffers."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, np.ndarray]:
        """Everything a later run needs to go on exactly: the counts of steps, the learning rate and the buffers."""
        state = {"steps": np.array(self.steps), "updates": np.array(self.updates), "lr": np.array(self.lr)}
        if self.initial_lr is not None:
            state["initial_lr"] = np.array(self.initial_lr)
        for name, arrays in self.buffers.items():
            state |= {f"{name}.{k}": array.copy() for k, array in enumerate(arrays)}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state. Raises StateDictError, listing every mismatch, and then has changed nothing."""
        expected = {name: value.shape for name, value in self.state_dict().items()} | {"initial_lr": ()}
        problems = [f"{name}: missing" for name in expected if name not in state and name != "initial_lr"]
        problems += [f"{name}: unexpected" for name in state if name not in expected]
        for name in expected.keys() & state.keys():
            if np.shape(state[name]) != expected[name]:
                problems.append(f"{name}: expected shape {expected[name]}, got {np.shape(state[name])}")
            elif np.asarray(state[name]).dtype.kind not in "fiu":
                problems.append(f"{name}: expected real numbers, got {np.asarray(state[name]).dtype}")
        if not problems and not 0 <= float(state["lr"]) < math.inf:
            problems.append(f"lr: expected 0 or more, got {float(state['lr'])}")
        refuse(problems, f"the state does not fit this {type(self).__name__}")
        changes: dict[str, Any] = {"steps": int(state["steps"]), "_lr": float(state["lr"])}
        changes["updates"] = [int(count) for count in state["updates"]]
        if "initial_lr" in state:
            changes["initial_lr"] = float(state["initial_lr"])
        changes["buffers"] = {
            name: [np.array(state[f"{name}.{k}"], dtype=array.dtype) for k, array in enumerate(arrays)]
            for name, arrays in self.buffers.items()
        }
        assign((self, name, value) for name, value in changes.items())


class SGD(Optimizer):
    """p ← p - lr v with v ← momentum v + g; with Nesterov momentum, p ← p - lr (g + momentum v).

    >>> import tinygrad_rnn as tg
    >>> p = tg.tensor([1.0], requires_grad=True)
    >>> optimizer = tg.optim.SGD([p], lr=0.1)
    >>> (p * p).sum().backward(); optimizer.step(); p.data
    array([0.8])
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.momentum, self.nesterov = self.check("momentum", momentum), nesterov
        if nesterov and not momentum:
            raise ValueError("nesterov=True needs a momentum above 0")
        self.remembers = ("v",) if momentum else ()
        super().__init__(parameters, lr, weight_decay)

    def update(self, k: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        if self.momentum:
            v = self.buffers["v"][k]
            v *= self.momentum
            v += g
            g = g + self.momentum * v if self.nesterov else v
        return p - self.lr * g


class Adagrad(Optimizer):
    """p ← p - lr g / (√s + eps) with s ← s + g² (Duchi et al. 2011)."""

    remembers = ("s",)

    def __init__(
        self, parameters: Iterable[Tensor], lr: float = 0.01, eps: float = 1e-10, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        self.eps = self.check("eps", eps)

    def update(self, k: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        s = self.buffers["s"][k]
        s += g * g
        return p - self.lr * g / (np.sqrt(s) + self.eps)


class RMSprop(Optimizer):
    """p ← p - lr g / (√s + eps) with s ← α s + (1 - α) g² (Tieleman and Hinton 2012)."""

    remembers = ("s",)

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        self.alpha, self.eps = self.check("alpha", alpha, below=1.0), self.check("eps", eps)

    def update(self, k: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        s = self.buffers["s"][k]
        s *= self.alpha
        s += (1 - self.alpha) * (g * g)
        return p - self.lr * g / (np.sqrt(s) + self.eps)


class Adam(Optimizer):
    """p ← p - lr m̂ / (√v̂ + eps) (Kingma and Ba 2015, algorithm 1).

    m ← β1 m + (1 - β1) g,     m̂ = m / (1 - β1^t)
    v ← β2 v + (1 - β2) g²,    v̂ = v / (1 - β2^t)
    """

    remembers = ("m", "v")

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise TypeError(f"betas must be two numbers, of the mean and of the square of the gradient, not {betas!r}")
        b1, b2 = betas
        self.betas = (self.check("betas[0]", b1, below=1.0), self.check("betas[1]", b2, below=1.0))
        self.eps = self.check("eps", eps)

    def update(self, k: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        (b1, b2), t = self.betas, self.updates[k]
        m, v = self.buffers["m"][k], self.buffers["v"][k]
        m *= b1
        m += (1 - b1) * g
        v *= b2
        v += (1 - b2) * (g * g)
        root = math.sqrt(1 - b2**t)  # lr and eps are corrected in place of every m and v: the paper's end of section 2
        return p - self.lr * root / (1 - b1**t) * (m / (np.sqrt(v) + self.eps * root))


class AdamW(Adam):
    """Adam, but weight decay shrinks the parameter itself: p ← p (1 - lr weight_decay) (Loshchilov and Hutter 2019)."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, lr, betas, eps)
        self.decoupled_decay = self.check("weight_decay", weight_decay)

    def update(self, k: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        return super().update(k, p * (1 - self.lr * self.decoupled_decay), g)


# ------------------------------------------------------------------ clipping


def clip_grad_norm_(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients by one factor, so that their joint norm is at most `max_norm`; gives the norm before.

    ‖g‖ is taken over all entries of all gradients (Pascanu et al. 2013, algorithm 1). A norm that is not finite leaves
    the gradients as they are: no factor can repair them.

    >>> import tinygrad_rnn as tg
    >>> p = tg.tensor([0.0, 0.0], requires_grad=True); p.grad = [3.0, 4.0]
    >>> tg.optim.clip_grad_norm_([p], 1.0), p.grad
    (5.0, array([0.6, 0.8]))
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm must be above 0, not {max_norm}")
    having = [p for p in listed(parameters) if p.grad is not None]
    doubles = [np.ravel(np.asarray(p.grad, np.float64)) for p in having]
    norm = math.hypot(*(_norm(g) for g in doubles))
    if max_norm < norm < math.inf:
        factor = max_norm / norm
        assign([(p, "_grad", np.asarray(p.grad * factor, p.dtype)) for p in having])  # type: ignore[operator]
    return norm


def _norm(g: np.ndarray) -> float:
    """√Σ g², also where the squares are beyond what a double can hold, or are lost below it."""
    with np.errstate(over="ignore"):
        norm = math.sqrt(float(g @ g))
    if 1e-140 < norm < math.inf or not g.size:
        return norm
    largest = float(np.abs(g).max())
    return norm if largest == 0 or not math.isfinite(largest) else largest * float(np.linalg.norm(g / largest))


def clip_grad_value_(parameters: Iterable[Tensor], clip_value: float) -> None:
    """Clip every entry of every gradient to [-clip_value, clip_value]."""
    if not clip_value > 0:
        raise ValueError(f"clip_value must be above 0, not {clip_value}")
    grads = [(p, p.grad) for p in listed(parameters) if p.grad is not None]
    assign([(p, "_grad", np.clip(g, -clip_value, clip_value)) for p, g in grads])


# ------------------------------------------------------------------ schedules


class LambdaLR:
    """Sets the optimizer's learning rate to ``lr_0 * factor(epoch)``, epoch counting the calls of `step`.

    The other schedules are this one with a factor of their own. Where something else has changed the rate since,
    another schedule or you, they do not set it but scale it, by ``factor(epoch) / factor(epoch - 1)``: so the factors
    of two schedules multiply, and a rate set by hand stays the measure. A LambdaLR always sets it. lr_0 is the rate
    before the optimizer's first schedule.

    >>> import tinygrad_rnn as tg
    >>> optimizer = tg.optim.SGD([tg.tensor(0.0, requires_grad=True)], lr=1.0)
    >>> schedule = tg.optim.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule.step(); schedule.step(); optimizer.lr
    0.25
    >>> optimizer.lr = 0.1
    >>> schedule.step(); optimizer.lr
    0.05
    """

    scales: bool = False  # rather than sets, what others have left
    eta_min: float = 0.0  # what is scaled is the distance from here

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float]) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: optimizer must be an Optimizer, not {type(optimizer).__name__}")
        if not callable(factor):
            raise TypeError(f"{type(self).__name__}: factor must be a function of the epoch, not {factor!r}")
        self.optimizer, self.factor = optimizer, factor
        self.epoch = 0
        self.initial_lr = optimizer.lr if optimizer.initial_lr is None else optimizer.initial_lr
        rate = self.eta_min + (optimizer.lr - self.eta_min) * factor(0) if self.scales else self.rate()
        assign([(optimizer, "initial_lr", self.initial_lr), (optimizer, "_lr", self.checked(rate))])

    def step(self) -> None:
        """Go on to the next epoch."""
        alone = not self.scales or self.optimizer.lr == float(self.rate())
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


class StepLR(LambdaLR):
    """Multiplies the learning rate by `gamma` every `step_size` epochs."""

    scales = True

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        step_size = positive("step_size", step_size)
        super().__init__(optimizer, lambda epoch: gamma ** (epoch // step_size))


class ExponentialLR(LambdaLR):
    """Multiplies the learning rate by `gamma` every epoch."""

    scales = True

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        super().__init__(optimizer, lambda epoch: gamma**epoch)


class LinearLR(LambdaLR):
    """A warm-up: goes from `start_factor` to `end_factor` times the rate in `total_iters` epochs, then stays."""

    scales = True

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        span, total_iters = end_factor - start_factor, positive("total_iters", total_iters)
        super().__init__(optimizer, lambda epoch: start_factor + span * min(epoch, total_iters) / total_iters)


class CosineAnnealingLR(LambdaLR):
    """lr = eta_min + (lr_0 - eta_min) (1 + cos(π epoch / T_max)) / 2 (Loshchilov and Hutter 2017, eq. 5)."""

    scales = True

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.eta_min, T_max = eta_min, positive("T_max", T_max)
        super().__init__(optimizer, lambda epoch: (1 + math.cos(math.pi * epoch / T_max)) / 2)


def __getattr__(name: str) -> NoReturn:
    """PyTorch's places for what is here itself."""
    here = ": the schedules are here, as tg.optim.StepLR" if name == "lr_scheduler" else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{here}")
