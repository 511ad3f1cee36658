"""`tg.save` and `tg.load`: a model's parameters in a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..nn.module import Module
from .archive import load_arrays, save_arrays


def save(state: Module | Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Save a module's parameters, or any mapping of names to arrays or tensors, as one safetensors file.

    The file is written whole or not at all, holds no code, and carries a checksum. Raises CheckpointError where it
    cannot be written.

    >>> import tempfile, tinygrad_rnn as tg
    >>> model = tg.nn.Linear(2, 1, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tg.save(model, f"{folder}/model.safetensors")
    ...     model.load_state_dict(tg.load(f"{folder}/model.safetensors"))
    """
    if not isinstance(state, Module | Mapping):
        raise TypeError(f"tg.save needs a Module or a mapping of names to arrays, not {type(state).__name__}")
    arrays = state.state_dict() if isinstance(state, Module) else state
    save_arrays(path, {name: np.asarray(getattr(value, "array", value)) for name, value in arrays.items()})


def load(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a file that `save` wrote, by name.

    Raises CheckpointError where the file is missing, damaged, or not such a file.
    """
    return load_arrays(path)[0]
