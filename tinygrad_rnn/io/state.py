"""`tg.save` and `tg.load`: a model's parameters in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError
from ..nn.module import Module
from ..nn.weights import as_arrays
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
    Loaded(missing=[], unexpected=[])
    """
    if not isinstance(state, Module | Mapping):
        raise TypeError(f"tg.save needs a Module or a mapping of names to arrays, not {type(state).__name__}")
    arrays = as_arrays(state.state_dict() if isinstance(state, Module) else state)
    once: dict[int, str] = {}  # an array that has several names, by the first of them
    first = {name: once.setdefault(id(array), name) for name, array in arrays.items()}
    tied = {name: other for name, other in first.items() if name != other}
    save_arrays(path, {name: arrays[name] for name in once.values()}, {"tied": tied} if tied else None)


def load(path: str | os.PathLike[str], *, verify: bool = True) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, by name: those that `save` wrote, or with verify=False any tool; see `save`.

    A shared parameter comes under each of its names. With verify=False no checksum is asked for. Of a model in several
    files, give the path of their index, ``model.safetensors.index.json``.

    Raises CheckpointError where the file, or one of several, is missing, damaged, or not such a file.
    """
    if os.fspath(path).endswith(".index.json"):
        return _shards(path, verify)
    arrays, metadata = load_arrays(path, verify=verify)
    tied = metadata.get("tied")
    if isinstance(tied, dict):
        arrays |= {name: arrays[other] for name, other in tied.items() if other in arrays}
    return dict(sorted(arrays.items()))


def _shards(path: str | os.PathLike[str], verify: bool) -> dict[str, np.ndarray]:
    """The arrays of several files, which an index beside them names."""
    where = repr(os.fspath(path))
    try:
        places = json.loads(Path(path).read_text("utf-8"))["weight_map"]
        if not places:
            raise ValueError("it names none")
        files = {name: load(Path(path).parent / name, verify=verify) for name in sorted(set(places.values()))}
        return {name: files[file][name] for name, file in sorted(places.items())}
    except OSError as error:
        raise CheckpointError(f"{where}: {error.strerror or error}") from error
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise CheckpointError(
            f"{where}: not an index of a model in several files, or their files lack what it names: {error}"
        ) from error
