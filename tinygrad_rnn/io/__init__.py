"""Files: checkpoints, weights to and from PyTorch, models as ONNX."""

from .archive import load_arrays, save_arrays, write_atomically
from .onnx import to_onnx
from .state import load, save
from .torch import from_torch, to_torch

__all__ = ["from_torch", "load", "load_arrays", "save", "save_arrays", "to_onnx", "to_torch", "write_atomically"]
