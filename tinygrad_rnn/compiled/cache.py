"""A folder for compiled programs: their text under its hash, and beside it the machine code that numba keeps.

The folder is the one that the variable TINYGRAD_RNN_CACHE names, or `tinygrad_rnn` in the user's folder for caches.
Where nothing can be written there, a folder of this process takes its place, and is removed with it. Any number of
processes may use one folder: what has the same name has the same text.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import pickletools
import re
import shutil
import sys
import threading
from pathlib import Path
from types import ModuleType

_lock = threading.RLock()


def users_folder() -> Path:
    """Where the user's programs keep what can be made again."""
    if chosen := os.environ.get("TINYGRAD_RNN_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "tinygrad_rnn"


@functools.cache
def own_folder() -> Path:
    """A folder of this process."""
    import atexit
    import tempfile

    folder = tempfile.mkdtemp(prefix="tinygrad_rnn-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def load(kind: str, text: str) -> ModuleType:
    """The module of this text: from the cache, or put into it."""
    key = hashlib.sha256(text.encode()).hexdigest()[:20]
    name = f"tinygrad_rnn_{kind}_{key}"
    with _lock:
        if name in sys.modules:
            return sys.modules[name]
        for _ in range(2):
            try:
                return _imported(name, _written(users_folder(), f"{kind}_{key}.py", text))
            except Exception:  # no such folder, no room, files that were damaged
                if not forget_damaged():
                    break
        return _imported(name, _written(own_folder(), f"{kind}_{key}.py", text))


def has_machine_code(kind: str, text: str) -> bool:
    """Whether a module of this text was compiled before, so that it will be there at once."""
    key = hashlib.sha256(text.encode()).hexdigest()[:20]
    return any(_machine_code(f"{kind}_{key}.*.nbc"))


def _machine_code(pattern: str) -> list[Path]:
    """Files of numba's: beside the texts, or in a folder of their own which numba was told to use."""
    elsewhere = os.environ.get("NUMBA_CACHE_DIR")
    try:
        return list(
            Path(elsewhere).glob(f"*/{pattern}") if elsewhere else users_folder().glob(f"__pycache__/{pattern}")
        )
    except (OSError, RuntimeError):  # no home
        return []


def forget_damaged() -> bool:
    """Remove files of machine code that end too soon, or are something else; whether there were any."""
    damaged = []
    for path in _machine_code("*.nb[ic]"):
        try:
            with open(path, "rb") as file:
                for _ in range(1 + (path.suffix == ".nbi")):  # an index is two pickles
                    for _ in pickletools.genops(file):
                        pass
        except ValueError:
            damaged.append(path)
        except OSError:
            continue
    try:
        for path in damaged:
            path.unlink(missing_ok=True)
    except OSError:
        return False
    return bool(damaged)


@functools.cache
def machine(name: str) -> ModuleType:
    """The module of a file in `machine/`."""
    from importlib import resources

    text = resources.files(__package__).joinpath("machine", f"{name}.py").read_text("utf-8")
    return load(name, resolved(text))


def resolved(text: str) -> str:
    """A text which imports from files of `machine/`, as `from .vectors import ...`, with the modules made of them."""
    return re.sub(r"^from \.(\w+) import", lambda m: f"from {machine(m[1]).__name__} import", text, flags=re.MULTILINE)


def _written(folder: Path, name: str, text: str) -> Path:
    """The path of a file of that text, written whole or not at all."""
    import tempfile

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name
    if path.is_file() and path.read_text("utf-8") == text:
        return path
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.utime(temporary, (1e9, 1e9))  # numba asks for it: whoever writes the same text does not make its code stale
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def _imported(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # numba looks for it there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
