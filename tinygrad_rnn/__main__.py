"""The program ``tinygrad-rnn``, also as ``python -m tinygrad_rnn``: `cli.main` in a process with one BLAS thread.

The products of a small recurrent network are too small to share: a second thread gains a fifth on an idle machine, and
makes everything several times slower on a busy one, where each product waits for a core. NumPy reads the number when it
is loaded, so it is set in the environment and the program started again. Whoever has set it is left alone.
"""

import os
import sys

LIMITS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def start() -> None:
    if not any(name in os.environ for name in LIMITS):
        os.environ.update(dict.fromkeys(LIMITS, "1"))
        os.execv(sys.executable, [sys.executable, "-m", "tinygrad_rnn", *sys.argv[1:]])
    try:
        from .app.cli import main

        sys.exit(main())
    except KeyboardInterrupt:  # while still importing
        sys.exit(130)


if __name__ == "__main__":
    start()
