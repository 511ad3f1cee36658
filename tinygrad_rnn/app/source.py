"""The text of a run: read once, and found again when the run goes on, also where the run or the text was moved."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..data import python_docs, read_text
from ..errors import DataError
from ..files import replace_file
from .folder import TEXT

STDIN = "-"
BLOCK = 1 << 18  # characters at a time: a text may be larger than what memory can hold several times
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Fingerprint(NamedTuple):
    """What a text is known by: its size and SHA-256 as UTF-8."""

    bytes: int
    digest: str


def fingerprint(text: str) -> Fingerprint:
    """The fingerprint of a text."""
    return _fingerprint(text[k : k + BLOCK].encode() for k in range(0, len(text), BLOCK))


def _fingerprint(blocks: Iterator[bytes]) -> Fingerprint:
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        size += len(block)
    return Fingerprint(size, digest.hexdigest())


def read(path: str | None) -> str:
    """A text: of a file, of standard input for "-", and the documentation that comes with Python for None."""
    if path is None:
        return python_docs()
    if path != STDIN:
        return read_text(path)
    if sys.stdin is None:
        raise DataError("text '-': standard input is closed; expected a UTF-8 text from it")
    return read_text(sys.stdin.buffer)


def lasting(path: str | None) -> str | None:
    """Where a text can be read again, from any folder; None for one that is gone once it is read: a pipe, say."""
    if path is None or path == STDIN:
        return None
    full = os.path.abspath(path)
    if full.startswith(("/dev/", "/proc/")):  # /dev/stdin may be a file
        full = os.path.realpath(full)
    return full if is_file(full) else None


def is_file(path: str | Path) -> bool:
    """Whether a path is that of a regular file: one that can be looked into without waiting for anything."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def places(path: str, folder: Path) -> Iterator[str]:
    """Where the text of a run may be now: where it was, or by its name in the folder of the run or above, or here."""
    yield path
    name, here = Path(path).name, folder.absolute()
    for place in (here, *here.parents[:2], Path.cwd()):
        yield str(place / name)


def find(path: str, folder: Path, known: Fingerprint) -> str | None:
    """The file that holds the text of a run, in one of its `places`; None where none does."""
    return next((os.path.abspath(place) for place in places(path, folder) if holds(place, known)), None)


def holds(path: str, known: Fingerprint) -> bool:
    """Whether a file holds the text that is known by this fingerprint."""
    return is_file(path) and _of_file(path, known.bytes) == known


def _of_file(path: str, size: int) -> Fingerprint | None:
    """The fingerprint of a file, without a byte order mark; None where it has another size."""
    try:
        with open(path, "rb") as file:
            start = 3 if file.read(3) == BYTE_ORDER_MARK else 0
            if os.fstat(file.fileno()).st_size - start != size:
                return None
            file.seek(start)
            return _fingerprint(iter(lambda: file.read(BLOCK), b""))
    except OSError:
        return None


def keep(text: str, folder: Path) -> str:
    """Put a text that cannot be read again into the folder of its run; gives its path."""
    return os.path.abspath(replace_file(folder / TEXT, text))
