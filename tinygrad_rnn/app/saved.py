"""A run's files as they are read: what they say is checked before anything is built of it.

A checksum says that a file is as it was written, not who wrote it: another version, a user's own script, a stranger.
Whatever is wrong with it is one line, a CheckpointError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ..data import Vocabulary
from ..errors import CheckpointError, DataError
from ..io import load_arrays
from .arithmetic import is_history
from .folder import CHECKPOINT, MODEL, run_file
from .options import COUNT, SEED
from .settings import Settings
from .source import Fingerprint

Arrays = Mapping[str, np.ndarray]


class SavedModel(NamedTuple):
    """What ``model.safetensors`` holds."""

    settings: Settings
    vocabulary: Vocabulary
    text: Fingerprint
    weights: Arrays


class SavedRun(NamedTuple):
    """What ``checkpoint.safetensors`` holds."""

    model: SavedModel
    optimizer: Arrays
    state: list[np.ndarray]
    done: int
    recent: list[float]
    generators: list[Any]
    arithmetic: list[dict[str, Any]]
    best: tuple[float, int]


def read_model(folder: Path, name: str = MODEL) -> SavedModel:
    """The model of a run folder."""
    path = run_file(folder, name)
    weights, about = load_arrays(path)
    return _model(path, about, weights)


def read_run(folder: Path, steps: int | None = None) -> SavedRun:
    """The checkpoint of a run folder, with another number of planned steps where one is given."""
    path = run_file(folder, CHECKPOINT)
    arrays, about = load_arrays(path)
    groups: dict[str, dict[str, np.ndarray]] = {"model": {}, "optimizer": {}, "state": {}}
    for name, array in arrays.items():
        group, _, rest = name.partition(".")
        if group not in groups:
            _refuse(path, f"an array {name!r:.40} of no known part")
        groups[group][rest] = array
    model = _model(path, about, groups["model"])
    done: Any = about.get("done")
    recent: Any = about.get("recent")
    if not (SEED.has(done) and about.get("position") == done):
        _refuse(path, "no number of steps done")
    if not isinstance(recent, list) or not all(isinstance(x, float) and math.isfinite(x) for x in recent):
        _refuse(path, "no losses of the last steps")
    for name, array in groups["optimizer"].items():
        if not np.isfinite(array).all() or (name in ("steps", "updates", "lr") and (array < 0).any()):
            _refuse(path, f"values of the optimizer's {name!r:.40} that cannot be")
    computed: Any = about.get("arithmetic", [])  # earlier versions said nothing of it
    if not is_history(computed):
        _refuse(path, "an arithmetic that is none")
    state = _state(path, model.settings, done, groups["state"])
    if steps is not None:
        model = model._replace(settings=replace(model.settings, steps=steps))
    generators: Any = about.get("generators", [about.get("generator")])
    return SavedRun(model, groups["optimizer"], state, done, recent, generators, computed, _best(path, about, done))


def _best(path: Path, about: dict[str, Any], done: int) -> tuple[float, int]:
    """The fewest bits a character on the held-out text, and after which step."""
    found: Any = about.get("best") or [math.inf, 0]
    if not isinstance(found, list) or len(found) != 2 or not (SEED.has(found[1]) and found[1] <= done):
        _refuse(path, "no best step")
    if not isinstance(found[0], float) or math.isnan(found[0]):
        _refuse(path, "no best figure")
    return found[0], found[1]


@contextmanager
def loading(folder: Path, what: str) -> Any:
    """Within, whatever does not fit is a CheckpointError that says so."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        _refuse(folder / CHECKPOINT, f"{what} that does not fit")


def _model(path: Path, about: Any, weights: Arrays) -> SavedModel:
    if not isinstance(about, dict) or not isinstance(about.get("settings"), dict):
        raise CheckpointError(f"{path}: it holds no settings of a run that this version knows")
    try:
        settings = Settings(**about["settings"])
    except (DataError, TypeError) as error:
        reason = f": {error}" if isinstance(error, DataError) else ""
        raise CheckpointError(f"{path}: it holds no settings of a run that this version knows{reason}") from None
    characters = about.get("characters")
    if not isinstance(characters, str) or not characters or list(characters) != sorted(set(characters)):
        _refuse(path, "no characters in order")
    size: Any = about.get("bytes")
    digest: Any = about.get("digest")
    if not COUNT.has(size) or not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        _refuse(path, "no fingerprint of a text")
    expected = 0
    for name, shape in settings.shapes(len(characters)):  # ends at the first that is missing, however many there are
        if name not in weights or weights[name].shape != shape or weights[name].dtype.kind != "f":
            found = f"{weights[name].dtype} {weights[name].shape}" if name in weights else "none"
            _refuse(path, f"weights that are not those of its settings ({name}: expected {shape}, found {found})")
        if not np.isfinite(weights[name]).all():
            raise CheckpointError(f"{path}: {name} is not finite: its training diverged; train with a smaller --lr")
        expected += 1
    if len(weights) != expected:
        _refuse(path, "more weights than those of its settings")
    return SavedModel(settings, Vocabulary(characters), Fingerprint(size, digest), weights)


def _state(path: Path, settings: Settings, done: int, found: Arrays) -> list[np.ndarray]:
    """h, or h and c, as they are carried to the next window; nothing before the first."""
    names = [] if not done else ["0", "1"] if settings.cell == "lstm" else ["0"]
    shape = (settings.layers, settings.batch, settings.hidden)
    parts = [found[name] for name in sorted(found)]
    if sorted(found) != names or any(
        part.shape != shape or part.dtype.kind != "f" or not np.isfinite(part).all() for part in parts
    ):
        _refuse(path, f"a carried state that is not that of its settings, {shape}")
    return parts


def _refuse(path: Path, what: str) -> NoReturn:
    raise CheckpointError(f"{path}: it holds {what}: made by another version, or changed by hand")
