"""Optimizers, gradient clipping, and learning-rate schedules."""

from typing import NoReturn

from .algorithms import SGD, Adagrad, Adam, AdamW, RMSprop
from .averaging import average_grad_
from .clipping import clip_grad_norm_, clip_grad_value_
from .optimizer import Optimizer
from .schedules import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
    chain,
)

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "OneCycleLR",
    "Optimizer",
    "RMSprop",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "average_grad_",
    "chain",
    "clip_grad_norm_",
    "clip_grad_value_",
]


def __getattr__(name: str) -> NoReturn:
    """PyTorch's places for what is here itself."""
    here = ": the schedules are here, as tg.optim.StepLR" if name == "lr_scheduler" else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{here}")
