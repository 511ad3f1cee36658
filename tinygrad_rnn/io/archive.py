"""Checkpoints: named arrays and JSON metadata in one safetensors file, whole or not at all.

A process killed while saving leaves the old file, because the new one is written beside it and then
renamed over it. A disk that gives back other bytes than it was given is noticed, because the header
carries a SHA-256 of the whole file. A stranger's file runs no code, because nothing is pickled.
(The checksum is against accident, not malice: whoever can change the file can change the sum.)
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tinygrad_rnn.errors import CheckpointError
from tinygrad_rnn.files import AnyPath, replace_file, sync_folder
from tinygrad_rnn.io.kinds import kind_of, kind_of_folder
from tinygrad_rnn.io.safetensors_format import decode, encode

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

FORMAT_VERSION = 1
HEADER_LIMIT = 100_000_000  # bytes; the safetensors format's own

# Ours is one metadata entry, not three: safetensors writes several in random order, and equal
# contents should give equal files. Quotes inside names and values are escaped once more than these,
# so nothing a user saves can look like a seal.
SEAL = re.compile(rb'"tinygrad_rnn":"\{\\"version\\": (\d{1,9}), \\"sha256\\": \\"([0-9a-f]{64})\\", ')


def save_arrays(path: AnyPath, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, JSON] | None = None) -> None:
    """Save named arrays and JSON metadata to one checksummed safetensors file, atomically.

    Arrays are bool, integer or float, of any shape, layout and byte order. In metadata a tuple
    comes back as a list; NaN and infinities are kept. Equal contents give equal files.

    Raises TypeError or ValueError, before anything is written, for what the file cannot hold, and
    CheckpointError when it cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_arrays(f"{folder}/weights.safetensors", {"W": np.eye(2)}, {"step": 100})
    ...     load_arrays(f"{folder}/weights.safetensors")
    ({'W': array([[1., 0.],
           [0., 1.]])}, {'step': 100})
    """
    portable = {name: _portable(name, array) for name, array in arrays.items()}
    metadata = dict(metadata or {})
    _check_json("metadata", metadata)
    entry = {"version": FORMAT_VERSION, "sha256": "0" * 64, "metadata": metadata}
    data = encode(portable, {"tinygrad_rnn": json.dumps(entry)}, HEADER_LIMIT)
    seal = SEAL.search(data)
    assert seal is not None
    start = seal.start(2)
    data[start : start + 64] = _digest(data, start)
    write_atomically(path, data)


def load_arrays(path: AnyPath, *, verify: bool = True) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Load what `save_arrays` saved: the arrays, sorted by name, and the metadata.

    With verify=False the checksum is not asked for, and any tool's safetensors file can be loaded. Its bfloat16 arrays
    become float32.

    Raises CheckpointError when the file is missing, damaged, or not such a file; it names the kind of file it is.

    >>> load_arrays("no/such/folder/weights.safetensors")
    Traceback (most recent call last):
    tinygrad_rnn.errors.CheckpointError: 'no/such/folder/weights.safetensors': no such file
    """
    where = repr(os.fspath(path))
    data, header_end = _read(path)
    seal = SEAL.search(data, 8, header_end)
    if verify and seal is None:
        raise CheckpointError(
            f"{where}: no tinygrad_rnn checksum in it: damaged, or written by another tool (then tg.load(path, "
            "verify=False), or tg.io.load_arrays(path, verify=False), loads it unchecked)"
        )
    if seal and int(seal[1]) != FORMAT_VERSION:
        raise CheckpointError(
            f"{where}: expected format version {FORMAT_VERSION}, found {int(seal[1])}: "
            "damaged, or written by a newer tinygrad_rnn (then update this one)"
        )
    if verify and seal and seal[2] != _digest(data, seal.start(2)):
        raise CheckpointError(
            f"{where}: the checksum does not match: the file was cut short or changed "
            "after it was saved; go back to another copy"
        )
    try:
        arrays, texts = decode(data, header_end)
        metadata: dict[str, Any] = json.loads(texts["tinygrad_rnn"])["metadata"] if seal else dict(texts)
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise CheckpointError(f"{where}: not a readable safetensors file: {_one_line(error)}") from error
    return {name: arrays[name] for name in sorted(arrays)}, metadata


def write_atomically(path: AnyPath, data: bytes | bytearray) -> None:
    """Replace a file's contents so that a reader finds the old or the new, never a mix.

    When this returns, the file is on the disk. When it is killed, the next call cleans up.

    Raises CheckpointError when the file cannot be written; the old one is then as it was. Only
    when the very last step fails, the folder's sync, is the new one in place; the error says so.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(f"{folder}/notes.txt", b"h_t = tanh(...)")
    ...     os.listdir(folder)
    ['notes.txt']
    """
    where = repr(os.fspath(path))
    try:
        replace_file(path, data)
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise CheckpointError(
            f"{where}: not saved, any old file is unchanged: {_reason(error)}; "
            "check that the folder exists, may be written to and has space"
        ) from error
    try:
        sync_folder(Path(os.path.realpath(path)).parent)
    except OSError as error:
        raise CheckpointError(
            f"{where}: saved, but its folder could not be synced: {_reason(error)}; "
            "a power cut may bring the old file back, so save again"
        ) from error


def _portable(name: str, array: np.ndarray) -> np.ndarray:
    """The array as the file holds it: little-endian and in C order."""
    if not isinstance(name, str):
        raise TypeError(f"arrays: expected str names, found {name!r}; use str(...)")
    if name == "__metadata__" or name.encode(errors="replace").decode() != name:  # not Unicode
        raise ValueError(f"arrays: {name!r} cannot be a name in a safetensors file; rename it")
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        found = type(array).__name__
        raise TypeError(f"array {name!r}: expected a NumPy array, found {found}; use np.array(...)")
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(
            f"array {name!r}: expected bool, integer or float up to 64 bits, found {array.dtype}; "
            "split complex into real and imag, put text into metadata, convert the rest"
        )
    return array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)


def _check_json(where: str, value: object) -> None:
    """Refuse what json.dumps would refuse without naming its place, or quietly change."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where}: expected str keys, found {key!r}; use str(...)")
            _check_json(f"{where}[{key!r}]", item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_json(f"{where}[{index}]", item)
    elif value is not None and not isinstance(value, str | int | float):
        found = type(value).__name__
        raise TypeError(
            f"{where}: expected a JSON value (dict, list, str, number, bool, None), found {found}; "
            "put arrays into arrays, call .item() on NumPy numbers"
        )


def _digest(data: bytes | bytearray, start: int) -> bytes:
    """The SHA-256, in hexadecimal, of a file without the 64 characters that state it."""
    digest = hashlib.sha256(memoryview(data)[:start])
    digest.update(memoryview(data)[start + 64 :])
    return digest.hexdigest().encode()


def _read(path: AnyPath) -> tuple[bytes, int]:
    """A file's bytes and where its header ends; read once: what is verified is what is loaded."""
    where = repr(os.fspath(path))
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its other end
            kind = kind_of_folder(path) if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise CheckpointError(f"{where}: expected a safetensors file, found {kind}")
        with open(path, "rb") as file:
            size, head = os.fstat(file.fileno()).st_size, file.read(1024)
            header_size = int.from_bytes(head[:8], "little")
            if header_size > HEADER_LIMIT or head[8:9] != b"{":
                kind = kind_of(path, head) or f"{size} bytes, declares a header of {header_size}: damaged?"
                raise CheckpointError(f"{where}: expected a safetensors file, found {kind}")
            if header_size > size - 8:
                raise CheckpointError(
                    f"{where}: the file was cut short: {size} bytes, declares a header of {header_size}"
                )
            file.seek(0)
            return file.read(), 8 + header_size
    except FileNotFoundError as error:
        raise CheckpointError(f"{where}: no such file") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{where}: cannot be read: {_reason(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(f"{error}".split()) or type(error).__name__


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
