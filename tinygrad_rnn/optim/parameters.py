"""What optimizers and clipping are given: tensors to train, in a list, or in groups with options of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..nn.module import Module

Parameters = Iterable[Tensor] | Iterable[dict[str, Any]]
"""Tensors; or groups of them, ``{"params": [...], "lr": 0.001, "weight_decay": 0.0}``."""


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


def grouped(parameters: Parameters) -> tuple[list[Tensor], list[dict[str, Any]]]:
    """The parameters, and for each the options of its group, which count in place of the optimizer's."""
    given = list(parameters) if isinstance(parameters, list | tuple | Iterator) else parameters
    if not isinstance(given, list) or not any(isinstance(group, dict) for group in given):
        tensors = listed(given)  # type: ignore[arg-type]
        return tensors, [{}] * len(tensors)
    tensors, options = [], []
    for k, group in enumerate(given):
        if not isinstance(group, dict) or "params" not in group or group.keys() - {"params", "lr", "weight_decay"}:
            raise TypeError(
                f'group {k} must be {{"params": [...], "lr": ..., "weight_decay": ...}}, the last two where they are '
                f"its own, not {list(group) if isinstance(group, dict) else type(group).__name__}"
            )
        its_own = {name: group[name] for name in ("lr", "weight_decay") if name in group}
        members = listed(group["params"])
        tensors += members
        options += [its_own] * len(members)
    return listed(tensors), options


def _instead(p: Any) -> str:
    """What to do about something that is given in place of a parameter."""
    if isinstance(p, tuple):
        return ": give model.parameters(), without the names"
    return ": give its parameters()" if isinstance(p, Module) else ": give model.parameters()"
