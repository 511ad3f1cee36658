"""What the bits of a run depend on besides its settings: the programs that do its arithmetic, and the processor.

A run that is stopped and gone on with is the same bit for bit as one that never was, wherever the same programs compute
it. Other versions of them, and another processor, add up in another order, and differ in the last bits: in a checkpoint
stands what there was, and whoever goes on elsewhere is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .. import __version__
from ..compiled import fast
from ..nn import Module
from ..nn.layer import Layer

NOTHING = "none"


STEPS = "steps of layers"


def arithmetic(model: Module | None = None) -> dict[str, str]:
    """What computes, here and now: each part by its name; of a model also its steps, once it has been run.

    How many threads there are is not among it: ours give the same bits, however many (`tg.set_num_threads`).

    >>> sorted(arithmetic())
    ['BLAS', 'NumPy', 'numba', 'processor', 'tinygrad_rnn']
    """
    facts: Any = np.show_config(mode="dicts")
    blas = facts.get("Build Dependencies", {}).get("blas", {})
    vectors = facts.get("SIMD Extensions", {})
    found = {
        "tinygrad_rnn": __version__,
        "NumPy": np.__version__,
        "numba": (fast.version() if fast.mode() != "0" else None) or NOTHING,
        "BLAS": f"{blas.get('name', NOTHING)} {blas.get('version', '')}".strip(),
        "processor": " ".join([*vectors.get("baseline", ()), *vectors.get("found", ())]) or NOTHING,
    }
    layers = [] if model is None else [m for m in model.modules() if isinstance(m, Layer)]
    programs = sorted({layer.computed_by(cell) for layer in layers for cell in layer.cells})
    return found | ({STEPS: ", ".join(programs)} if programs and "" not in programs else {})


class History:
    """Which arithmetic a run has had, from which of its steps on."""

    def __init__(self, saved: Iterable[Mapping[str, Any]] = ()) -> None:
        self.parts: list[dict[str, Any]] = [dict(part) for part in saved]

    def note(self, done: int, now: Mapping[str, str]) -> str:
        """What has changed when so many steps are done, in words, which is written down; empty where nothing has."""
        if not self.parts:
            self.parts.append({"from_step": done, **now})
            return ""
        last = self.parts[-1]
        if STEPS in now:  # known once a step has been taken
            last.setdefault(STEPS, now[STEPS])
        elif STEPS in last:
            now = {**now, STEPS: last[STEPS]}
        before = {name: value for name, value in last.items() if name != "from_step"}
        if before == now:
            return ""
        self.parts.append({"from_step": done, **now})
        return changes(before, now)


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What of it is another now, in words."""
    names = [*now, *(name for name in before if name not in now)]
    return ", ".join(
        f"{name} {now.get(name, NOTHING)} in place of {before.get(name, NOTHING)}"
        for name in names
        if before.get(name, NOTHING) != now.get(name, NOTHING)
    )


def is_history(saved: object) -> bool:
    """Whether this is what a `History` holds, of any version."""
    return isinstance(saved, list) and all(
        isinstance(part, dict)
        and type(part.get("from_step")) is int
        and all(isinstance(value, str) for name, value in part.items() if name != "from_step")
        for part in saved
    )
