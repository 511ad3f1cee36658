"""The compiled step: one step of a cell, recorded, and the loop over time that is generated from it.

values                       what a recorded step consists of
symbols, recording, reading  one step of a cell, forward and backward, as values
rewriting, factor            its gradients as sums of factors known beforehand times few gradients
schedule                     what is computed before the loop over time, in it and after it
pieces, places, layout       for NumPy: gates by themselves, where each value lies, what one call computes
program, run                 the text of the loops, and all steps of one sequence
numba_..., scalars, kernels  the same as machine code; `cache` keeps it, `fast` decides which of the two runs
machine/, sharing            what that is made of, and the threads that share its loops
"""

from .factor import factored
from .recording import Recorded, record, trace
from .schedule import Schedule
from .values import Value, ordered

__all__ = ["Recorded", "Schedule", "Value", "factored", "ordered", "record", "trace"]
