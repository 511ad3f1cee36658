"""Files that are written whole or not at all, and looked at before anything is computed for them."""

from __future__ import annotations

import errno
import itertools
import os
import re
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias

from .errors import DrawError

AnyPath: TypeAlias = str | os.PathLike[str]

PAGE = b"<title>A tape, step by step</title>"  # of a page that steps through a tape: other pages are not ours
BEGINNINGS = {
    "svg": b"<svg",
    "html": PAGE,
    "htm": PAGE,
    "dot": b"digraph",
    "gv": b"digraph",
    "pdf": b"%PDF",
    "png": b"\x89PNG",
    "ps": b"%!PS-Adobe",
    "eps": b"%!PS-Adobe",
    "tex": b"% A picture by tinygrad_rnn",
}
"""What a picture of each kind has at its beginning, after whatever XML puts there."""


def replace_file(path: AnyPath, data: bytes | bytearray | str) -> Path:
    """Give a file new contents, so that a reader finds the old or the new, never a mix; a str is written as UTF-8.

    The new file is written beside the old one and renamed over it, through symbolic links, with the old one's
    permissions. Raises OSError that names the file where that fails, also where the old one is write-protected; the old
    one is then as it was.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = replace_file(f"{folder}/notes.txt", "h_t = tanh(...)")
    ...     path.read_text("utf-8"), os.listdir(folder)
    ('h_t = tanh(...)', ['notes.txt'])
    """
    data = data.encode() if isinstance(data, str) else data
    with named(path):
        target = Path(os.path.realpath(path))  # of a symbolic link, replace what it points to
        mode = target.stat().st_mode if target.exists() else stat.S_IFREG | 0o666
        if not stat.S_ISREG(mode):  # renaming over a device or a pipe would destroy it
            kind = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
            raise OSError(kind, "not a regular file; give the path of a file")
        if target.exists() and not os.access(target, os.W_OK):  # renaming would ask the folder alone
            raise OSError(errno.EACCES, "the file is there already, and may not be written to")
        with _temporary_beside(target) as temporary:
            with open(temporary, "xb", opener=partial(os.open, mode=stat.S_IMODE(mode))) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
    return Path(path)


@contextmanager
def named(path: AnyPath) -> Iterator[None]:
    """Within, an error of the system names this file: a full disk does not by itself."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error


def sync_folder(folder: Path) -> None:
    """Bring the renaming of a file in this folder to the disk."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.EINVAL, errno.ENOTSUP):  # of a file system that has no such thing
            raise
    finally:
        os.close(descriptor)


def check_picture(path: AnyPath, suffixes: Collection[str]) -> None:
    """Raise DrawError where a picture (or page) cannot be written to this path, or would replace something else.

    A file that is there may be replaced only where it is empty or a picture of the same kind.

    suffixes   the endings that can be written, without the dot

    >>> check_picture("thesis.tex", ["svg", "png"])
    Traceback (most recent call last):
    tinygrad_rnn.errors.DrawError: thesis.tex: expected a name that ends in .svg or .png
    """
    where, target = os.fspath(path) or "''", Path(path)
    suffix = target.suffix.lower().removeprefix(".")
    if suffix not in suffixes:
        *most, last = (f".{suffix}" for suffix in suffixes)
        endings = f"{', '.join(most)} or {last}" if most else last
        raise DrawError(f"{where}: expected a name that ends in {endings}")
    if not target.absolute().parent.is_dir():
        raise DrawError(f"{where}: there is no folder {str(target.parent)!r} to put it in")
    if target.is_dir():
        raise DrawError(f"{where}: a folder; give the name of a file")
    if not target.exists():
        if not os.access(os.path.dirname(os.path.realpath(path)), os.W_OK):
            raise DrawError(f"{where}: its folder is not there, or may not be written to")
        return
    check_replaced(path)


def check_replaced(path: AnyPath) -> None:
    """Raise DrawError where a picture (or page) would replace something else: see `check_picture`."""
    target = Path(path)
    if not target.exists():
        return
    where, suffix = os.fspath(path), target.suffix.lower().removeprefix(".")
    if target.is_dir():
        raise DrawError(f"{where}: a folder; give the name of a file")
    if not target.is_file():  # opening a pipe would wait for its other end
        raise DrawError(f"{where}: not a regular file; give another name")
    with target.open("rb") as file:
        beginning = file.read(4096)
    expected = BEGINNINGS.get(suffix, PAGE)  # a page may have any name
    kind = "page of a tape" if expected is PAGE else suffix
    if beginning and expected.lower() not in beginning.lower():
        raise DrawError(f"{where}: another file has that name, and it is no {kind}; give another name, or remove it")


_in_progress: set[Path] = set()  # temporary files of this process, from any thread
_numbers = itertools.count()


@contextmanager
def _temporary_beside(target: Path) -> Iterator[Path]:
    """The path of a temporary file in the same folder, gone afterwards however the block ends."""
    sweep(target)
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{next(_numbers)}.tmp")
    try:
        _in_progress.add(temporary)
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink()
        _in_progress.discard(temporary)


def sweep(target: Path) -> None:
    """Remove temporary files of this target whose process was killed."""
    stray = re.compile(re.escape(f".{target.name}.") + r"([1-9][0-9]*)-[0-9]+\.tmp")
    for file in list(target.parent.iterdir()):
        match = stray.fullmatch(file.name)
        if match and file not in _in_progress and not _is_another_process(int(match[1])):
            with suppress(OSError):  # housekeeping must not stop a save
                file.unlink()


def _is_another_process(pid: int) -> bool:
    """Whether a process of that number, not this one, is alive; where one cannot ask, it may be."""
    if pid == os.getpid() or os.name != "posix":
        return pid != os.getpid()
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
