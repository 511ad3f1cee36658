"""What the program ``tinygrad-rnn`` needs before NumPy is loaded; where the package is used as a library, nothing.

One BLAS thread. The products of a small recurrent network are too small to share: a second thread gains a fifth on an
idle machine, and makes everything several times slower on a busy one, where each product waits for a core. NumPy reads
the number when it is loaded. Whoever has set it is left alone.

Machine code from the first step on (extra `fast`), so that a run gives the same bits whenever it is run: what was not
compiled before is waited for.

Quiet on Ctrl-C. Until the command runs there is nothing to save and nobody who would want a traceback of imports.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import Any

LIMITS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def is_program() -> bool:
    """Whether this process was started as ``tinygrad-rnn`` or ``python -m tinygrad_rnn``, and is just loading it."""
    given = getattr(sys, "argv", None) or [""]
    if given[0] in ("-m", "tinygrad_rnn"):  # what is here while Python, or mpi4py, loads the package of a module
        return len(sys.orig_argv) > len(given) and bool(
            re.fullmatch(r"(-\w*m)?tinygrad_rnn(\.__main__)?", sys.orig_argv[-len(given)])
        )
    return re.fullmatch(r"tinygrad-rnn(-script\.pyw?|\.exe)?", os.path.basename(given[0])) is not None


def leave_quietly(number: int, frame: Any) -> None:
    os._exit(128 + number)


def prepare() -> None:
    """Set the number of threads, and what Ctrl-C does until `ready`."""
    os.environ.setdefault("TINYGRAD_RNN_FAST", "wait")
    if not any(name in os.environ for name in LIMITS):
        os.environ.update(dict.fromkeys(LIMITS, "1"))
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave_quietly)


def ready() -> None:
    """From now on Ctrl-C is a KeyboardInterrupt."""
    if signal.getsignal(signal.SIGINT) is leave_quietly:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if is_program():
    prepare()
