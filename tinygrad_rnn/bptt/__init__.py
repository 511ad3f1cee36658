"""Backpropagation through time: truncation, and what the gradient did on its way back."""

from .truncation import Truncated, detach, windows

__all__ = ["Truncated", "detach", "windows"]
