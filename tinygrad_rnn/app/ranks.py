"""Several processes that train one model, each on its own rows of the batch: ``mpiexec -n 4 python -m mpi4py -m
tinygrad_rnn train ...`` (extra ``mpi``).

The process of rank 0 reads, prints and writes; the others only compute. Nothing of MPI is imported unless this program
was started by it.
"""

from __future__ import annotations

import importlib.util
import io
import os
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, TypeVar

import numpy as np

from ..autograd.tensor import Tensor
from ..errors import DataError
from ..optim import average_grad_

T = TypeVar("T")
COUNTS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS", "PMIX_SIZE")
"""What the programs that start several processes tell each of them: how many there are."""

RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")
"""And which of them it is."""

RIGHT = "mpiexec -n {size} python -m mpi4py -m tinygrad_rnn {arguments}"


class Ranks:
    """The processes that train together; alone, all of this is nothing.

    >>> ranks = Ranks()
    >>> ranks.shared(lambda: "a text"), ranks.any(False), ranks.rows(4)
    ('a text', False, slice(0, 4, None))
    """

    def __init__(self, comm: Any = None) -> None:
        self.comm = comm
        self.rank: int = 0 if comm is None else comm.rank
        self.size: int = 1 if comm is None else comm.size

    @property
    def first(self) -> bool:
        """Whether this is the process that reads, prints and writes."""
        return self.rank == 0

    def shared(self, make: Callable[[], T]) -> T:
        """What the first process makes, for all."""
        made: Any = make() if self.first else None
        return made if self.comm is None else self.comm.bcast(made)

    def gathered(self, x: T) -> list[T]:
        """What each process has, in order, for the first; nothing for the others."""
        return [x] if self.comm is None else self.comm.gather(x) or []

    def any(self, flag: bool) -> bool:
        """Whether it holds for one of them: all then know it at the same step."""
        if self.comm is None:
            return flag
        total = np.zeros(1)
        self.comm.Allreduce(np.array([float(flag)]), total)
        return bool(total[0])

    def mean(self, value: float, weight: float) -> float:
        """The mean over the processes."""
        if self.comm is None:
            return value
        total = np.zeros(2)
        self.comm.Allreduce(np.array([value * weight, weight]), total)
        return float(total[0] / total[1])

    def average(self, weight: float) -> Callable[[list[Tensor]], Any] | None:
        """What makes the gradients of all one; None for one alone."""
        return None if self.comm is None else lambda parameters: average_grad_(parameters, self.comm, weight)

    def rows(self, batch: int) -> slice:
        """The rows of a batch that are this process's. Raises DataError where there are fewer rows than processes."""
        if batch < self.size:
            raise DataError(f"a batch of {batch} rows for {self.size} processes: each needs one; give a larger --batch")
        ends = [len(part) for part in np.array_split(np.arange(batch), self.size)]
        start = sum(ends[: self.rank])
        return slice(start, start + ends[self.rank])


def started_by_mpi() -> int:
    """How many processes were started together; 1 where this one is alone."""
    return _told(COUNTS, 1)


def _told(names: tuple[str, ...], otherwise: int) -> int:
    """A number that the program which starts the processes tells under one of some names."""
    return max([int(os.environ[name]) for name in names if os.environ.get(name, "").isdecimal()], default=otherwise)


def communicator(arguments: list[str]) -> Ranks:
    """The processes of this program. Raises DataError, with the right command, where they were started wrongly.

    Without ``-m mpi4py`` an error in one process would leave the others waiting for it for ever.
    """
    size = started_by_mpi()
    if size == 1:
        return Ranks()
    right = RIGHT.format(size=size, arguments=" ".join(arguments))
    if importlib.util.find_spec("mpi4py") is None:
        raise DataError(
            f"{size} processes, which would each train the same model without mpi4py: "
            f"pip install 'tinygrad_rnn[mpi]', and then {right}"
        )
    if not _runs_mpi4py():
        raise DataError(
            f"{size} processes, of which one in error would leave the others waiting: start them with {right}"
        )
    from mpi4py import MPI

    return Ranks(MPI.COMM_WORLD)


def _runs_mpi4py() -> bool:
    """Whether Python was started as ``python -m mpi4py ...``."""
    return "mpi4py" in [b for a, b in zip(sys.orig_argv, sys.orig_argv[1:], strict=False) if a == "-m"]


def first_speaks(command: Callable[[], int]) -> int:
    """Run a command of which, of several processes, only the first prints; gives its status.

    An error of another one is told after a second: what is wrong in all of them the first has told by then, and it ends
    the others with itself. Before they know of each other all that can be wrong is wrong in all.
    """
    rank = _told(RANKS, 0)
    if rank == 0:
        return command()
    said, error = io.StringIO(), sys.stderr
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(said):
            status = command()
    except SystemExit as stop:
        status = int(stop.code or 0)
    if status and "mpi4py.MPI" in sys.modules:
        time.sleep(1)
        print(f"rank {rank}: {said.getvalue().strip()}", file=error)
    return status
