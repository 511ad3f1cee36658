"""What a process of a data-parallel training needs a step, and what the exchange of gradients costs.

    mpiexec -n 2 python -m mpi4py tests/benchmarks/scale.py [HIDDEN BATCH]

CPU time, not wall time: on a machine with other work it is what a quiet one would need. Without mpiexec it measures one
process with the whole batch, to compare with. Prints one line: the processes, the CPU milliseconds of a step outside
the exchange (the median over all), and the least wall milliseconds of an exchange.
"""

from __future__ import annotations

import statistics
import sys
import time

from tinygrad_rnn.app.charlm import Run, Settings
from tinygrad_rnn.app.ranks import Ranks


def measure(hidden: int, batch: int, ranks: Ranks, steps: int = 30) -> tuple[float, float, int]:
    """CPU milliseconds of a step without the exchange, the least milliseconds of an exchange, and the weights."""
    run = Run(Settings(hidden=hidden, batch=batch, window=64, steps=1000), ranks=ranks)
    cpu, exchange = [], []
    average = ranks.average

    def timed(weight: float):
        inner = average(weight)

        def averaged(parameters):
            ranks.any(False)  # so that nobody waits for another within what is measured
            wall, worked = time.perf_counter(), time.process_time()
            inner(parameters)
            exchange.append((time.perf_counter() - wall, time.process_time() - worked))

        return averaged if inner is not None else None

    ranks.average = timed
    for step in range(steps + 5):
        began = time.process_time()
        run.step()
        spent = time.process_time() - began - (exchange[-1][1] if exchange else 0.0)
        if step >= 5:
            cpu.append(spent)
    weights = sum(p.size for p in run.model.parameters())
    return 1000 * statistics.median(cpu), 1000 * min((wall for wall, _ in exchange), default=0.0), weights


def main() -> None:
    try:
        from mpi4py import MPI

        ranks = Ranks(MPI.COMM_WORLD if MPI.COMM_WORLD.size > 1 else None)
    except ImportError:
        ranks = Ranks()
    hidden, batch = map(int, sys.argv[1:] or ("128", "32"))
    cpu, exchange, weights = measure(hidden, batch, ranks)
    every = ranks.gathered(cpu)
    if ranks.first:
        print(f"{ranks.size} processes, hidden {hidden}, batch {batch}, {weights:,} weights:", end=" ")
        print(f"{statistics.mean(every):.1f} ms a step, exchange {exchange:.2f} ms")


if __name__ == "__main__":
    main()
