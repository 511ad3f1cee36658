"""A reverse-mode autodiff tape over NumPy, and recurrent networks on it.

>>> import numpy as np, tinygrad_rnn as tg
>>> x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> np.sum(np.tanh(x) ** 2).backward()
>>> x.grad.round(6)
array([0.6397  , 0.136219, 0.019634])
"""

import importlib
from typing import TYPE_CHECKING, Any

from .app import startup  # noqa: F401  # isort: skip  (before NumPy is loaded)
from . import bptt, errors, io, nn, optim
from .autograd.checkpoint import checkpoint
from .autograd.functional import grad, hessian, hvp, jacobian, jvp, vjp
from .autograd.gradcheck import gradcheck
from .autograd.tensor import Tensor, tensor
from .engine.modes import anomaly, enable_grad, is_grad_enabled, no_grad, scope
from .engine.tape import Op
from .engine.threads import get_num_threads, set_num_threads
from .io import load, save
from .nn.fused.memory import keep_freed
from .ops.elementwise import relu, sigmoid, softplus
from .ops.functions import elu, gelu, leaky_relu
from .ops.reduction import log_softmax, logsumexp, softmax
from .ops.registry import takes_tensors as _takes_tensors
from .pictures import Drawing, draw, page
from .unrolled.listing import Tape, tape

if TYPE_CHECKING:
    from .training import History, evaluate, fit

__version__ = "0.1.0"

__all__ = [
    "Drawing",
    "History",
    "Op",
    "Tape",
    "Tensor",
    "__version__",
    "anomaly",
    "bptt",
    "checkpoint",
    "data",
    "draw",
    "elu",
    "enable_grad",
    "errors",
    "evaluate",
    "fit",
    "gelu",
    "get_num_threads",
    "grad",
    "gradcheck",
    "hessian",
    "hvp",
    "io",
    "is_grad_enabled",
    "jacobian",
    "jvp",
    "leaky_relu",
    "load",
    "log_softmax",
    "logsumexp",
    "metrics",
    "nn",
    "no_grad",
    "optim",
    "page",
    "plots",
    "relu",
    "save",
    "scope",
    "set_num_threads",
    "sigmoid",
    "softmax",
    "softplus",
    "tape",
    "tensor",
    "vjp",
]


_LATER = {name: name for name in ("data", "metrics", "plots", "training")}
_LATER |= dict.fromkeys(("History", "evaluate", "fit"), "training")
"""What is imported when it is asked for, and the module that it is in."""

_INSTEAD = {
    "manual_seed": "rng=0, a seed or a NumPy Generator, for each layer",
    **{name: f"tg.tensor(np.{name}(...))" for name in ("zeros", "ones", "full", "eye", "arange", "linspace")},
    "rand": "tg.tensor(rng.random(shape)), with rng = np.random.default_rng(0)",
    "randn": "tg.tensor(rng.standard_normal(shape)), with rng = np.random.default_rng(0)",
    "cat": "np.concatenate(...)",
    "from_numpy": "tg.tensor(array)",
    "Variable": "tg.tensor(data, requires_grad=True)",
    **{name: f"np.{name}, or its name as a string" for name in ("float16", "float32", "float64", "int64")},
    "utils": "tg.optim.clip_grad_norm_, tg.checkpoint and tg.bptt.windows",
}
"""PyTorch's names for what has another name here. NumPy's functions are NumPy's."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        module = importlib.import_module(f"{__name__}.{_LATER[name]}")
        return module if name == _LATER[name] else getattr(module, name)
    instead = _INSTEAD.get(name) or (f"np.{name}(...)" if _takes_tensors(name) else "")
    here = f": write {instead}" if instead else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{here}")


def __dir__() -> list[str]:
    return __all__


keep_freed()
