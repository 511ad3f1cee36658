"""Gradients averaged over processes, each of which has seen its own part of a batch: data-parallel training."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.at_once import assign
from .parameters import listed


class Communicator(Protocol):
    """What is needed of mpi4py's ``MPI.COMM_WORLD``, or of anything like it."""

    def Allreduce(self, sendbuf: Any, recvbuf: Any) -> Any:
        """Write the sum over all processes of what each sends into recvbuf."""


def average_grad_(parameters: Iterable[Tensor], comm: Communicator, weight: float = 1.0) -> float:
    """Replace every gradient by its mean over the processes of comm; gives the sum of the weights.

        g ← Σ_r w_r g_r / Σ_r w_r           over the processes r

    weight  how much this process counts: the number of targets that its loss is the mean of. 0 where it had none

    Every process must call it, with parameters of the same shapes in the same order. All gradients travel in one
    buffer. A gradient that is None counts as 0, and stays None where every process has none. Call it after `backward`
    and before clipping; the weights of all processes then stay equal, bit for bit, if they were.

    Raises TypeError for a comm without Allreduce, ValueError for a weight that is below 0 or not finite, or where all
    are 0.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> class Twice:  # two processes of which the other has the same
    ...     def Allreduce(self, sendbuf, recvbuf):
    ...         recvbuf[...] = 2 * sendbuf
    >>> p = tg.tensor([0.0, 0.0], requires_grad=True); p.grad = [3.0, 4.0]
    >>> tg.optim.average_grad_([p], Twice(), weight=5), p.grad
    (10.0, array([3., 4.]))
    """
    if not callable(getattr(comm, "Allreduce", None)):
        raise TypeError(f"average_grad_: comm must have Allreduce, as mpi4py's has, and {type(comm).__name__} has none")
    if not 0 <= weight < math.inf:
        raise ValueError(f"average_grad_: weight must be 0 or more, not {weight}")
    every = listed(parameters)
    grads = [np.zeros_like(p.array) if p.grad is None else p.grad for p in every]
    there = np.array([p.grad is not None for p in every], float)
    dtype = np.result_type(*grads, np.float32)  # in float16 a gradient times a number of targets is soon inf
    sent = np.concatenate([*(weight * np.ravel(g).astype(dtype) for g in grads), there, [weight]], dtype=dtype)
    total = np.empty_like(sent)
    comm.Allreduce(sent, total)
    if not total[-1] > 0:
        raise ValueError("average_grad_: no process has a weight above 0")
    total[: -1 - len(every)] /= total[-1]
    ends = np.cumsum([p.size for p in every])
    anywhere = total[ends[-1] : -1]
    assign(
        (p, "_grad", total[end - p.size : end].reshape(p.shape).astype(p.dtype))
        for p, end, count in zip(every, ends, anywhere, strict=True)
        if count
    )
    return float(total[-1])
