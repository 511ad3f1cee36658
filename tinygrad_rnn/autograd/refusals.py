"""What is said of a function that cannot be differentiated: whose it is, and what to use in its place."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import numpy as np

from .. import ops

OURS = {
    "expit": "tg.sigmoid",
    "log_expit": "-tg.softplus(-x)",
    **{name: f"tg.{name}" for name in ("sigmoid", "softplus", "relu", "gelu", "softmax", "log_softmax", "logsumexp")},
}
"""Functions of other libraries by their last name, and what is the same here."""

GENERAL = (
    "use the functions in the documentation's list, or write your own tg.Op; for plain numbers use t.detach().data"
)


def name_of(function: Any) -> str:
    """np.exp, scipy.special.expit, or the place of a ufunc made by numba or np.frompyfunc, where it can be found."""
    name = getattr(function, "__name__", type(function).__name__)
    module = getattr(function, "__module__", None) or _home(function, name)
    if module is None:
        return f"the function {name!r}"
    return f"{module}.{name}".replace("numpy.", "np.", 1) if module.partition(".")[0] == "numpy" else f"{module}.{name}"


def _home(function: Any, name: str) -> str | None:
    """The module under whose name a ufunc, which does not say so itself, is found: numpy, else the shortest."""
    if getattr(np, name, None) is function:
        return "numpy"
    homes = [key for key, module in list(sys.modules.items()) if getattr(module, "__dict__", {}).get(name) is function]
    return min(homes, key=lambda key: ("._" in key, len(key)), default=None)


def cure(name: str) -> str:
    """What to use instead of a function of this name: ours or NumPy's of the same name, else an op of one's own."""
    last = name.rpartition(".")[2]
    ours = OURS.get(last)
    for module, prefix in ((np, "np."), (np.linalg, "np.linalg.")):
        same = getattr(module, last, None)
        if ours is None and name != prefix + last and (same in ops.UFUNCS or same in ops.FUNCTIONS):
            ours = prefix + last
    return f"use {ours}, or write your own tg.Op; for plain numbers use t.detach().data" if ours else GENERAL


def asked_by(frame: FrameType | None) -> str | None:
    """The function of an installed package that was called by the user's own code, where there is one."""
    found = None
    while frame is not None and "site-packages" in frame.f_code.co_filename:
        found, frame = frame, frame.f_back
    if found is None:
        return None
    module = ".".join(part for part in found.f_globals.get("__name__", "").split(".") if not part.startswith("_"))
    name = found.f_code.co_qualname.removesuffix(".__call__")
    return f"{module}.{name}".replace("numpy.lib.", "np.", 1).replace("numpy.", "np.", 1)
