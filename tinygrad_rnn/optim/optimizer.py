"""What all optimizers share: the parameters, the learning rate, and a step that takes effect in one go.

An update gives each parameter a new array instead of writing into the old one: a graph recorded before the
update still holds the values it was computed with, so differentiating it late is never silently wrong. A step, a
clipping and the loading of a state are computed first and take effect in one go: Ctrl-C leaves all of it or nothing.
"""

from __future__ import annotations

import copy
import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.at_once import assign
from ..errors import GraphError
from ..nn.module import Parameter
from ..nn.weights import new_array, refuse
from .parameters import Parameters, described, grouped, precision


class Optimizer:
    """Base class, see `SGD`: knows the parameters and the rate, and keeps arrays of state for each parameter.

    A subclass writes ``update(k, p, g)``: the new values of parameter number k, given its values and gradient, using
    ``self.buffers["name"][k]`` for what it remembers. `steps` counts the calls of `step`.

    Parameters may come in groups, ``[{"params": [...], "lr": ..., "weight_decay": ...}, ...]``, with a learning rate or
    a weight decay of their own; `lr` of the optimizer, and so a schedule, then scales the rates of all.

    A parameter that is frozen, ``p.requires_grad = False``, stays as it is, until it is thawed.

    Raises ValueError for no parameters, the same one twice, or a learning rate that is not a positive number, TypeError
    for what is no tensor, GraphError for a tensor that cannot be trained.
    """

    remembers: tuple[str, ...] = ()
    decoupled: bool = False  # whether weight decay shrinks the parameter itself, rather than adding to the gradient

    def __init__(self, parameters: Parameters, lr: float, weight_decay: float = 0.0) -> None:
        self.parameters, options = grouped(parameters)
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
        self.sole = False  # whether that is the whole schedule
        self.weight_decay = self.check("weight_decay", weight_decay)
        rates = [self.check("lr of a group", own.get("lr", lr)) for own in options]
        self.scales = [rate / self._lr for rate in rates]  # so that a schedule of lr is one of every group's
        self.decays = [self.check("weight_decay of a group", own.get("weight_decay", weight_decay)) for own in options]
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
                after._lr = self._lr * self.scales[k]
                if decay := self.decays[k]:
                    p_was, g = (p_was * (1 - after._lr * decay), g) if self.decoupled else (p_was, g + decay * p_was)
                after.updates[k] += 1
                for arrays in after.buffers.values():
                    arrays[k] = arrays[k].copy()
                new += new_array(p, np.asarray(after.update(k, p_was, g), dtype=p.dtype))
        after._lr = self._lr
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
