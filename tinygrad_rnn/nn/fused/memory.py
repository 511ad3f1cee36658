"""Large arrays whose memory is used again.

A training step makes the same large arrays each time. The C library gives memory of that size back to the system as
soon as it is freed, and then every page must be faulted in anew: 40 % of an LSTM's training step, measured. `empty`
keeps such memory instead, and hands it out again once nobody refers to it: not the tape, not the user. NumPy lets
every view refer to the array that owns the memory, so the owner's reference count says so exactly.
"""

from __future__ import annotations

import math
import sys
import threading
from contextlib import suppress
from typing import Any

import numpy as np

_LARGE = 1 << 16  # bytes; smaller arrays stay with the C library, which keeps them itself


def keep_freed() -> None:
    """Let the C library keep more of what is freed, also of arrays that are not asked for here.

    glibc gives a free end of its heap back to the system, all of a training step's arrays that lie there. How much may
    stay it learns from the largest array it has seen freed so far, 32 MB at most, and keeps twice that. So it is shown
    one. Nothing is written to it: that costs neither memory nor time. Other libraries take no notice. A process that
    may not have so many addresses goes on as it is: it is only slower.
    """
    with suppress(MemoryError):
        np.empty(2**25 - 2**16, np.uint8)


class _Pool(threading.local):
    """The owners of this thread."""

    def __init__(self) -> None:
        self.owners: list[np.ndarray] = []


_pool = _Pool()


def _references(owners: list[np.ndarray], k: int) -> int:
    return sys.getrefcount(owners[k])


_FREE = _references([np.empty(0)], 0)  # the count of an owner that only its list refers to


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """As `np.empty`, in memory that was used before where there is some of this size.

    >>> from tinygrad_rnn.nn.fused.memory import empty
    >>> first = empty((100, 1000), float)
    >>> second = empty((100, 1000), float)  # the first is still held
    >>> np.shares_memory(first, second)
    False
    """
    dtype = np.dtype(dtype)
    count = math.prod(shape)
    size = count * dtype.itemsize
    if size < _LARGE:
        return np.empty(shape, dtype)
    owner = _owner(size)
    return owner[:size].view(dtype).reshape(shape)


def _owner(size: int) -> np.ndarray:
    """An array of at least this many bytes that nobody else refers to."""
    owners = _pool.owners
    for k in range(len(owners)):  # no variable may refer to an owner meanwhile: that would count
        if size <= owners[k].nbytes <= size + size // 8 and _references(owners, k) == _FREE:
            return owners[k]
    # nothing fits, so the sizes asked for have changed: let go of what lies idle, or each new size would add to it
    owners[:] = [owners[k] for k in range(len(owners)) if _references(owners, k) > _FREE]
    owners.append(np.empty(size, np.uint8))
    return owners[-1]
