"""Optimizers, gradient clipping, and learning-rate schedules.

An update gives each parameter a new array instead of writing into the old one: a graph recorded before the
update still holds the values it was computed with, so differentiating it late is never silently wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .autograd.tensor import Tensor
from .errors import GraphError, StateDictError
from .nn.basic import positive


def listed(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The parameters as a list; TypeError for one tensor alone, ValueError for none."""
    if isinstance(parameters, Tensor):
        raise TypeError("parameters must be a sequence, as in model.parameters(), not one tensor: put it in a list")
    listed = list(parameters)
    if not listed:
        raise ValueError("no parameters were given; model.parameters() can be gone through only once, so call it anew")
    return listed


class Optimizer:
    """Base class: knows the parameters and the learning rate, and keeps arrays of state for each parameter.

    A subclass writes ``update(k, p, g)``: the new values of parameter number k, given its values and gradient, using
    ``self.buffers["name"][k]`` for what it remembers. `steps` counts the calls of `step`.

    Raises ValueError for no parameters, the same one twice, or a learning rate that is not a positive number.
    """

    remembers: tuple[str, ...] = ()

    def __init__(self, parameters: Iterable[Tensor], lr: float, weight_decay: float = 0.0) -> None:
        self.parameters = listed(parameters)
        for k, p in enumerate(self.parameters):
            if not isinstance(p, Tensor):
                raise TypeError(f"parameter {k} must be a Tensor, not {type(p).__name__}")
            if not (p.is_leaf and p.requires_grad):
                raise GraphError(f"parameter {k} is not a leaf that needs a gradient: pass model.parameters()")
        if len(set(self.parameters)) < len(self.parameters):
            raise ValueError("a parameter was given twice: it would be updated twice a step")
        self.lr: float = self.check("lr", lr, above=0.0)
        self.weight_decay = self.check("weight_decay", weight_decay)
        self.steps = 0
        self.updates = [0] * len(self.parameters)  # of each parameter: a step without a gradient is none
        self.buffers = {name: [np.zeros_like(p.array) for p in self.parameters] for name in self.remembers}

    @staticmethod
    def check(name: str, value: float, above: float = -math.inf, below: float = math.inf) -> float:
        """The value as a float; ValueError unless it is 0 or more, and strictly between the bounds."""
        if not (value >= 0 and above < value < below):
            least = f"above {above:g}" if above >= 0 else "0 or more"
            most = f" and below {below:g}" if below < math.inf else ""
            raise ValueError(f"{name} must be {least}{most}, not {value}")
        return float(value)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters:
            p.grad = None

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        self.steps += 1
        for k, p in enumerate(self.parameters):
            g = p.grad
            if g is not None:
                if self.weight_decay:
                    g = g + self.weight_decay * p.array
                self.updates[k] += 1
                p.array = np.asarray(self.update(k, p.array, g), dtype=p.dtype)

    def update(self, k: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        """The new values of parameter number k, which is p and has gradient g."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, np.ndarray]:
        """Everything a later run needs to go on exactly: the counts of steps, the learning rate and the buffers."""
        state = {"steps": np.array(self.steps), "updates": np.array(self.updates), "lr": np.array(self.lr)}
        for name, arrays in self.buffers.items():
            state |= {f"{name}.{k}": array.copy() for k, array in enumerate(arrays)}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state. Raises StateDictError, listing every mismatch, and then has changed nothing."""
        expected = {name: value.shape for name, value in self.state_dict().items()}
        problems = [f"{name}: missing" for name in expected if name not in state]
        problems += [f"{name}: unexpected" for name in state if name not in expected]
        for name in expected.keys() & state.keys():
            if np.shape(state[name]) != expected[name]:
                problems.append(f"{name}: expected shape {expected[name]}, got {np.shape(state[name])}")
            elif np.asarray(state[name]).dtype.kind not in "fiu":
                problems.append(f"{name}: expected real numbers, got {np.asarray(state[name]).dtype}")
        if problems:
            kind = type(self).__name__
            lines = "\n  ".join(problems)
            raise StateDictError(f"the state does not fit this {kind}; nothing was changed:\n  {lines}")
        self.steps, self.lr = int(state["steps"]), float(state["lr"])
        self.updates = [int(count) for count in state["updates"]]
        for name, arrays in self.buffers.items():
            for k, array in enumerate(arrays):
                array[...] = state[f"{name}.{k}"]


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
    norm = math.sqrt(sum(float(g @ g) for g in doubles))
    if max_norm < norm < math.inf:
        for p in having:
            p.grad = p.grad * (max_norm / norm)  # type: ignore[operator]
    return norm


def clip_grad_value_(parameters: Iterable[Tensor], clip_value: float) -> None:
    """Clip every entry of every gradient to [-clip_value, clip_value]."""
    if not clip_value > 0:
        raise ValueError(f"clip_value must be above 0, not {clip_value}")
    for p in listed(parameters):
        if p.grad is not None:
            p.grad = np.clip(p.grad, -clip_value, clip_value)


# ------------------------------------------------------------------ schedules


class LambdaLR:
    """Sets the optimizer's learning rate to ``lr_0 * factor(epoch)``, epoch counting the calls of `step`.

    The other schedules are this one with a factor of their own.

    >>> import tinygrad_rnn as tg
    >>> optimizer = tg.optim.SGD([tg.tensor(0.0, requires_grad=True)], lr=1.0)
    >>> schedule = tg.optim.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule.step(); schedule.step(); optimizer.lr
    0.25
    """

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float]) -> None:
        self.optimizer, self.factor = optimizer, factor
        self.initial_lr = optimizer.lr
        self.epoch = 0
        self._set()

    def step(self) -> None:
        """Go on to the next epoch."""
        self.epoch += 1
        self._set()

    def rate(self) -> float:
        """The learning rate of this epoch."""
        return self.initial_lr * self.factor(self.epoch)

    def _set(self) -> None:
        self.optimizer.lr = float(self.rate())

    def state_dict(self) -> dict[str, float]:
        return {"epoch": self.epoch, "initial_lr": self.initial_lr}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        if missing := {"epoch", "initial_lr"} - state.keys():
            raise StateDictError(f"the state does not fit {type(self).__name__}: missing {', '.join(sorted(missing))}")
        self.epoch, self.initial_lr = int(state["epoch"]), float(state["initial_lr"])
        self._set()


class StepLR(LambdaLR):
    """Multiplies the learning rate by `gamma` every `step_size` epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        step_size = positive("step_size", step_size)
        super().__init__(optimizer, lambda epoch: gamma ** (epoch // step_size))


class ExponentialLR(LambdaLR):
    """Multiplies the learning rate by `gamma` every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        super().__init__(optimizer, lambda epoch: gamma**epoch)


class LinearLR(LambdaLR):
    """A warm-up: goes from `start_factor` to `end_factor` times the rate in `total_iters` epochs, then stays."""

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        span, total_iters = end_factor - start_factor, positive("total_iters", total_iters)
        super().__init__(optimizer, lambda epoch: start_factor + span * min(epoch, total_iters) / total_iters)


class CosineAnnealingLR(LambdaLR):
    """lr = eta_min + (lr_0 - eta_min) (1 + cos(π epoch / T_max)) / 2 (Loshchilov and Hutter 2017, eq. 5)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.eta_min, T_max = eta_min, positive("T_max", T_max)
        super().__init__(optimizer, lambda epoch: (1 + math.cos(math.pi * epoch / T_max)) / 2)

    def rate(self) -> float:
        return self.eta_min + (self.initial_lr - self.eta_min) * self.factor(self.epoch)
