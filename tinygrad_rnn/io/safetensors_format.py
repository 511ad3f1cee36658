"""The safetensors format: 8 bytes that say how long the header is, a JSON header, the raw bytes of the arrays.

    {"__metadata__": {text: text}, name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...}

It is read and written here, with NumPy alone, so that a lack of memory is a MemoryError and not the end of the process.
Whatever a file says is checked before it is believed: the arrays must lie in the file one after the other, without
gaps, and each must have the bytes that its shape and dtype need.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

DTYPES = {"BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "U32": "<u4", "I32": "<i4"}
DTYPES |= {"F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8", "BF16": "<u2"}
NAMES = {np.dtype(code): name for name, code in DTYPES.items() if name != "BF16"}


def encode(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str], header_limit: int) -> bytearray:
    """The file that holds these arrays, little-endian and in C order; ValueError where its header is too long."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    places, end = [], 0
    for name in sorted(arrays, key=lambda name: (-arrays[name].itemsize, name)):  # the large dtypes first: all aligned
        array, begin = arrays[name], end
        end += array.nbytes
        header[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
        places.append((begin, end, array))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > header_limit:
        raise ValueError(
            f"names and metadata: expected at most {header_limit} bytes as JSON, found {len(text)}; put long lists of "
            "numbers into arrays"
        )
    data = bytearray(8 + len(text) + end)
    data[:8], data[8 : 8 + len(text)] = len(text).to_bytes(8, "little"), text
    body = np.frombuffer(data, np.uint8)[8 + len(text) :]
    for begin, end, array in places:
        body[begin:end] = array.reshape(-1).view(np.uint8)
    return data


def decode(data: bytes, header_end: int) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a file, copied, and its metadata; ValueError, in words, for a file that is not as it must be.

    bfloat16, which NumPy does not have, becomes float32: each of its numbers is one of those.
    """
    text = data[8:header_end].decode("utf-8")
    if not text.startswith("{"):
        raise ValueError("its header is not a JSON object")
    header = json.loads(text, object_pairs_hook=_unique)
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are not texts by name")
    entries = {name: _entry(name, entry) for name, entry in header.items()}
    at = 0
    for name, (_, _, begin, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if begin != at:
            raise ValueError(f"{name!r} begins at byte {begin}, and not where the one before ends, at {at}")
        at = end
    if at != len(data) - header_end:
        raise ValueError(f"its arrays have {at} bytes, and {len(data) - header_end} follow the header")
    return {name: _array(data, header_end, *entry) for name, entry in entries.items()}, metadata


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("its header has a name twice")
    return found


def _entry(name: str, entry: Any) -> tuple[str, list[int], int, int]:
    """The dtype, shape, begin and end of one array, checked."""
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise ValueError(f"{name!r} lacks a dtype, a shape or its place")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"{name!r} has dtype {dtype!r}, which NumPy does not have: save it as float32 (F32)")
    for numbers in (shape, place):
        if not isinstance(numbers, list) or not all(type(n) is int and n >= 0 for n in numbers):
            raise ValueError(f"{name!r} has a shape or place that is no list of numbers from 0")
    if len(place) != 2 or place[1] - place[0] != math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize:
        raise ValueError(f"{name!r} of dtype {dtype} and shape {shape} cannot lie in the bytes {place}")
    return dtype, shape, place[0], place[1]


def _array(data: bytes, start: int, dtype: str, shape: list[int], begin: int, end: int) -> np.ndarray:
    stored = np.dtype(DTYPES[dtype])
    flat = np.frombuffer(data, stored, (end - begin) // stored.itemsize, start + begin)
    if dtype == "BOOL":  # any byte but 0 is true; NumPy must not see others than 0 and 1
        bytes_ = np.frombuffer(data, np.uint8, end - begin, start + begin).reshape(shape)
        return np.not_equal(bytes_, np.uint8(0), out=np.empty(shape, bool))
    if dtype == "BF16":
        wide = flat.reshape(shape).astype(np.uint32)
        return np.left_shift(wide, np.uint32(16), out=wide).view(np.float32).copy()
    return flat.reshape(shape).astype(stored.newbyteorder("="))
