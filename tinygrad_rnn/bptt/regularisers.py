"""Penalties to add to a loss: on what the gradient does over time, on gradients, activations and weights."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from ..autograd.functional import grad
from ..autograd.tensor import Tensor, as_tensors
from ..engine.backward import sweep
from ..engine.modes import enable_grad
from ..errors import GraphError
from ..ops.elementwise import where
from ..unrolled.network import the_run
from .gradient_flow import gradients_at


def omega(loss: Tensor, layer: str | None = None, form: str = "paper") -> Tensor:
    """Ω, which is 0 where each step hands the gradient back with its length kept (Pascanu et al. 2013, eq. 9 and 10).

        Ω = Σ_k (‖g_{k+1} ∂h_{k+1}/∂h_k‖ / ‖g_{k+1}‖ - 1)²,    g_{k+1} = dL/dh_{k+1}, held constant

    The norms are those of each sequence, Ω the mean over the batch; where g is 0 there is no term. With
    ``form="code"``, as in the program published with the paper, the norms are squared, and it is the mean over all
    terms instead of the sum over k.

    Add it before the backward pass: ``(loss + 2.0 * tg.bptt.omega(loss)).backward()``. Only one step is differentiated
    twice. For a layer whose state is one Tensor (RNN, GRU, your own); ValueError for others.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> rnn = tg.nn.RNN(1, 1, nonlinearity="identity", bias=False, dtype=float)
    >>> rnn.W_xh.data, rnn.W_hh.data = [[1.0]], [[0.9]]
    >>> output, h = rnn(np.ones((4, 1, 1)))
    >>> round(tg.bptt.omega(h.sum()).item(), 12)  # three steps of (0.9 - 1)²
    0.03
    """
    if form not in ("paper", "code"):
        raise ValueError(f'form must be "paper" or "code", not {form!r}')
    run = the_run(loss, layer, "omega()")
    if len(run.states) > 1:
        raise ValueError(f"omega() is for a state of one part, and that of {run.layer} has {', '.join(run.states)}")
    ((name, tensors),) = run.states.items()
    states = [(t, x) for t, x in zip(run.steps, tensors, strict=True) if x is not None]
    gradients = gradients_at([run], loss)
    terms: list[Tensor] = []
    count = 0
    for (_, before), (t, after) in pairwise(states):
        g = gradients(run, name, t)
        if g is None:
            continue
        length = np.linalg.norm(g, axis=-1, keepdims=True)
        valid = length[..., 0] > 0
        direction = np.divide(g, length, out=np.zeros_like(g), where=length > 0)
        since = before.record.seq if before.record is not None else 0
        with enable_grad():
            starts = [Tensor(direction)]
            waiting = sweep([after], starts, since=since, retain_graph=True, as_tensors=as_tensors)
            back = waiting.at(before)
            if back is None:  # a cut: the whole length is lost
                back = Tensor(np.zeros_like(before.array))
            ratio = np.linalg.norm(back, axis=-1) if form == "paper" else np.sum(back * back, axis=-1)
            terms.append(np.sum(where(valid, (ratio - 1) ** 2, 0)))
        count += int(valid.sum())
    if not count:
        raise GraphError("omega(): no gradient arrives at any state, so there is nothing to compare")
    sequences = int(np.prod(states[0][1].shape[:-1]))
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total / (sequences if form == "paper" else count)


def gradient_penalty(loss: Tensor, inputs: Tensor | Iterable[Tensor]) -> Tensor:
    """Σ ‖dL/dx‖² over one or several inputs, which can be differentiated: a penalty on steep losses.

    >>> import tinygrad_rnn as tg
    >>> w = tg.tensor(3.0, requires_grad=True)
    >>> penalty = tg.bptt.gradient_penalty(w**2, [w])  # (2w)²
    >>> penalty.backward()
    >>> penalty.item(), w.grad
    (36.0, array(24.))
    """
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    return _squares(grad(loss, wanted, create_graph=True), "gradient_penalty()")


def activation_penalty(output: Tensor) -> Tensor:
    """The mean of h² over all entries of a layer's output (Merity et al. 2017, AR).

    >>> import tinygrad_rnn as tg
    >>> tg.bptt.activation_penalty(tg.tensor([1.0, 3.0])).item()
    5.0
    """
    return (output * output).mean()


def l2_penalty(parameters: Tensor | Iterable[Tensor]) -> Tensor:
    """Σ w² over all entries of the parameters (one or several). Its gradient is 2 w: weight decay, for SGD.

    >>> import tinygrad_rnn as tg
    >>> tg.bptt.l2_penalty([tg.tensor([1.0, 2.0]), tg.tensor(3.0)]).item()
    14.0
    """
    return _squares([parameters] if isinstance(parameters, Tensor) else parameters, "l2_penalty()")


def _squares(tensors: Iterable[Tensor], caller: str) -> Any:
    parts = [np.sum(x * x) for x in tensors]
    if not parts:
        raise ValueError(f"{caller} got no tensors to penalise: was a generator used up before?")
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
