"""Backpropagation through time: truncation, and what the gradient did on its way back."""

from .decomposition import Decomposition, decompose
from .gradient_flow import Flow, LayerFlow, flow
from .step_jacobians import Jacobians, jacobians
from .truncation import Truncated, detach, windows

__all__ = [
    "Decomposition",
    "Flow",
    "Jacobians",
    "LayerFlow",
    "Truncated",
    "decompose",
    "detach",
    "flow",
    "jacobians",
    "windows",
]
