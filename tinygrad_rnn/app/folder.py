"""The folder of a run: made for it alone, locked while it is trained, and never a folder of something else.

    checkpoint.safetensors   all that is needed to go on
    model.safetensors        the weights, the characters and the settings: for `sample`, and for everyone else
    settings.json, log.jsonl, text.txt (of a text that could be read only once), sample.txt, graph.svg, loss.svg

The log is open as long as the run is trained, and the lock is on it. It is the system's lock, so it ends with the
process, however that ends.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import shlex
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from ..errors import CheckpointError
from ..files import named, sweep

CHECKPOINT, MODEL, BEST, SETTINGS, LOG, TEXT = (
    "checkpoint.safetensors",
    "model.safetensors",
    "best.safetensors",
    "settings.json",
    "log.jsonl",
    "text.txt",
)
RESULTS = ("sample.txt", "graph.svg", "loss.svg")
FILES = (CHECKPOINT, MODEL, BEST, SETTINGS, LOG, TEXT, *RESULTS)


def quoted(path: str | os.PathLike[str]) -> str:
    """A path as it can be copied into a command, never taken for an option."""
    text = os.fspath(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def run_file(folder: Path, name: str) -> Path:
    """The path of a run's file; CheckpointError where the folder is not a run."""
    if (folder / name).is_file():
        return folder / name
    if name == MODEL and (folder / CHECKPOINT).is_file():
        raise CheckpointError(
            f"{folder}: it holds no {name}; make it with: tinygrad-rnn train --resume {quoted(folder)}"
        )
    if name == BEST and (folder / CHECKPOINT).is_file():
        raise CheckpointError(f"{folder}: no test on a held-out text has been made yet; leave --best out")
    reason = f"not the folder of a run: it holds no {name}" if folder.exists() else "no such folder"
    free = not folder.exists() or (folder.is_dir() and _is_new(folder))
    out = quoted(folder) if free else "FOLDER"
    raise CheckpointError(f"{folder}: {reason}; make one with: tinygrad-rnn train --out {out}")


def check_new(out: str) -> Path:
    """A folder for a new run, only looked at: ValueError where it is not there to be made, or is not empty."""
    folder = Path(out)
    if not out:
        raise ValueError("--out: expected the name of a folder, got ''")
    if os.path.lexists(folder) and not folder.is_dir():
        raise ValueError(f"{folder} is there already, and is no folder: choose another --out")
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ValueError(f"{there} is no folder, so nothing can be put into it: choose another --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{there} may not be written to: choose another --out")
    if (folder / CHECKPOINT).exists():
        raise ValueError(f"{folder} holds a run already: go on with --resume {quoted(folder)}, or choose another --out")
    if folder.is_dir() and not _is_new(folder):
        raise ValueError(f"{folder} is not empty, and is no run: nothing in it is touched; choose another --out")
    return folder


def _is_new(folder: Path) -> bool:
    """Whether nothing is in a folder, but what a run leaves that was killed before its first checkpoint."""
    left = re.compile(rf"\.({re.escape(MODEL)}|{re.escape(CHECKPOINT)})\.[0-9]+-[0-9]+\.tmp")
    return all(left.fullmatch(file.name) or _is_empty_log(file) for file in folder.iterdir())


def _is_empty_log(file: Path) -> bool:
    return file.name == LOG and file.is_file() and file.stat().st_size == 0


def make_new(out: str | None) -> tuple[Path, Log]:
    """Make the folder of a new run, runs/1, runs/2, ... where none is named, and its log, locked."""
    if out is None:
        folder = _make_numbered(Path("runs"))
    else:
        folder = check_new(out)
        with named(folder):
            folder.mkdir(parents=True, exist_ok=True)
    log = Log(folder)
    try:
        check_new(str(folder))  # now that no other can begin a run there
    except ValueError:
        log.close()
        raise
    return folder, log


def _make_numbered(parent: Path) -> Path:
    """A folder that was not there, with the next number. Of two that ask at once, one gets the number after."""
    with named(parent):
        parent.mkdir(exist_ok=True)
        taken = [int(path.name) for path in parent.iterdir() if re.fullmatch("[0-9]+", path.name)]
    for number in itertools.count(max(taken, default=0) + 1):
        with suppress(FileExistsError):
            (parent / str(number)).mkdir()
            return parent / str(number)
    raise AssertionError


def sweep_all(folder: Path) -> None:
    """Remove what a killed process left half written."""
    for name in FILES:
        sweep(folder / name)


class Log:
    """The log of a run, open and locked: a line of JSON for every few steps.

    Raises CheckpointError where another process trains this run at the moment.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOG
        with named(self.path):
            self.file = self.path.open("ab", buffering=0)
        if not _lock(self.file):
            self.close()
            raise CheckpointError(f"{folder}: another process is training this run; wait for it, or stop it first")

    def append(self, line: dict[str, Any]) -> None:
        """Add a line."""
        data = (json.dumps(line) + "\n").encode()
        with named(self.path):
            while data:  # a disk that is nearly full takes a part
                data = data[self.file.write(data) or 0 :]

    def cut(self, done: int) -> None:
        """Forget the lines that are newer than the checkpoint, or cut short, so that going on writes them again."""
        with named(self.path):
            kept = 0
            for line in self.path.read_bytes().splitlines(keepends=True):
                found = parsed(line)
                if not line.endswith(b"\n") or (found and found["step"] > done):
                    break
                kept += len(line)
            self.file.truncate(kept)

    def close(self) -> None:
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log; what is no such line is left out, and a log that is missing has none."""
    with suppress(FileNotFoundError):
        return [line for line in map(parsed, (folder / LOG).read_bytes().splitlines()) if line]
    return []


def parsed(line: bytes) -> dict[str, Any] | None:
    """A line of a log, None for anything else: cut short by a crash, or written by another program."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("step"), int) or isinstance(found["step"], bool):
        return None
    figures = [found.get("bits"), found.get("held_out_bits", 0.0)]
    return found if all(isinstance(x, float | int) and math.isfinite(x) for x in figures) else None


def _lock(file: IO[bytes]) -> bool:
    """Lock an open file until it is closed; False where another process has. True where no lock is to be had."""
    try:
        import fcntl
    except ImportError:
        return _lock_on_windows(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _lock_on_windows(file: IO[bytes]) -> bool:
    try:
        import msvcrt
    except ImportError:  # a system without processes, as in a browser
        return True
    os.lseek(file.fileno(), 2**30, os.SEEK_SET)  # others cannot read what is locked: a place beyond the end
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
    except OSError:
        return False
    return True
