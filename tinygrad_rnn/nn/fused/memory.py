"""The memory of the large arrays that every training step makes anew, and lets go of."""

from __future__ import annotations

from contextlib import suppress

import numpy as np


def keep_freed() -> None:
    """Let the C library keep more of what is freed, so that the next training step need not ask the system for it.

    glibc gives a free end of its heap back to the system, all of a training step's arrays that lie there, and then
    every page must be faulted in anew. How much may stay it learns from the largest array it has seen freed so far,
    32 MB at most, and keeps twice that. So it is shown one. Nothing is written to it: that costs neither memory nor
    time. Other libraries take no notice. A process that may not have so many addresses goes on as it is, only slower.

    (A pool of one's own beside it, arrays handed out again once nobody refers to them, was tried and measured: between
    10 % slower and 9 % faster, so there is none.)
    """
    with suppress(MemoryError):
        np.empty(2**25 - 2**16, np.uint8)
