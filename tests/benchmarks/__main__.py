"""Measure: one thread for all products, one core. NumPy and its like read the settings when they are imported."""

import os

from .timing import CORES, ONE_THREAD, hold

if __name__ == "__main__":
    os.environ.update(ONE_THREAD)
    os.environ.setdefault("TINYGRAD_RNN_FAST", "wait")  # machine code from the first step on, where numba is installed
    cores = set(CORES)
    hold(set(sorted(cores)[-1:]))
    from .command import main

    main(cores=cores)
