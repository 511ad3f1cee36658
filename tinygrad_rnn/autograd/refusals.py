"""What is said of a function that cannot be differentiated: whose it is, and what to use in its place."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import numpy as np

from .. import ops
from ..engine.anomaly import PACKAGE

OURS = {
    "expit": "tg.sigmoid",
    "log_expit": "-tg.softplus(-x)",
    "r_": "np.concatenate or np.column_stack",
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


def is_known(name: str) -> bool:
    """Whether a Tensor takes part in NumPy's function of this name."""
    home, _, last = name.rpartition(".")
    function = getattr({"np": np, "np.linalg": np.linalg}.get(home), last, None)
    return any(function in known for known in (ops.FUNCTIONS, ops.UFUNCS, ops.PLAIN))


def asked_by(frame: FrameType | None) -> str | None:
    """The function of another installed package (we are one too) that the user's own code called, if there is one."""
    found = None
    while frame is not None and "site-packages" in (file := frame.f_code.co_filename) and not file.startswith(PACKAGE):
        if found is None or "<locals>" not in frame.f_code.co_qualname:  # no decorator's wrapper, if it can be helped
            found = frame
        frame = frame.f_back
    return None if found is None else _public(found.f_globals.get("__name__", ""), found.f_code.co_qualname)


def _public(module: str, name: str) -> str:
    """The shortest name under which it is known: np.full, and not numpy._core.numeric.full."""
    module, name = SPECIAL.get((module.rpartition(".")[2], name), (module, name))
    for special in ("__call__", "__init__", "__new__"):
        name = name.removesuffix(f".{special}")
    parts = module.split(".")
    homes = [".".join(parts[: k + 1]) for k in range(len(parts))]
    known = [home for home in homes if hasattr(sys.modules.get(home), name.partition(".")[0])]
    public = [part for part in (known or [module])[0].split(".") if not part.startswith("_")]
    return ".".join([*public, name]).replace("numpy.", "np.", 1)


SPECIAL = {("_index_tricks_impl", "AxisConcatenator.__getitem__"): ("numpy", "r_")}
"""Functions that nobody calls by their names."""
