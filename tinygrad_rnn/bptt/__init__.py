"""Backpropagation through time: truncation, and what the gradient did on its way back."""

from ..unrolled.activations import activations
from .advice import Remedies, remedies
from .decomposition import Decomposition, decompose
from .forward_mode import rtrl
from .gradient_flow import Flow, LayerFlow, flow
from .memory import MemoryTerms, memory_terms
from .randomized import Expectation, Randomized
from .regularisers import activation_penalty, gradient_penalty, l2_penalty, omega
from .step_jacobians import Jacobians, jacobians
from .truncation import Truncated, detach, windows

__all__ = [
    "Decomposition",
    "Expectation",
    "Flow",
    "Jacobians",
    "LayerFlow",
    "MemoryTerms",
    "Randomized",
    "Remedies",
    "Truncated",
    "activation_penalty",
    "activations",
    "decompose",
    "detach",
    "flow",
    "gradient_penalty",
    "jacobians",
    "l2_penalty",
    "memory_terms",
    "omega",
    "remedies",
    "rtrl",
    "windows",
]
