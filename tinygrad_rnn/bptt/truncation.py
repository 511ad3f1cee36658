"""Truncated backpropagation through time: where to cut, and nothing else.

A cut is `detach`: the state keeps its value and loses its past, so the reverse sweep stops there. Truncation needs no
gradient algorithm of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..autograd.tensor import Tensor
from ..engine.trees import is_plain, mapped
from ..nn.basic import positive, refuse_packed
from ..ops.shape import concatenate


def detach(state: Any) -> Any:
    """The same state without its past: a tensor, or any nesting of containers of tensors.

    Containers are tuples, lists, deques, sets, dicts, namespaces, dataclasses, and what is derived from them. Numbers,
    arrays and None stay as they are. Raises TypeError for an object of any other kind, which may hold a tensor.

    >>> import tinygrad_rnn as tg
    >>> h = tg.tensor([0.5], requires_grad=True) * 2
    >>> tg.bptt.detach((h, {"c": h}))[1]["c"].requires_grad
    False
    """
    return mapped(state, _cut)


def _cut(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.detach()
    if not is_plain(x):
        raise TypeError(
            f"bptt.detach: the state holds a {type(x).__module__}.{type(x).__qualname__}, and what is inside is not "
            "known: detach its tensors one by one with t.detach(), or keep them in a tuple, dict or dataclass"
        )
    return x


def windows(sequence: Any, size: int) -> Iterator[Any]:
    """Consecutive windows of `size` time steps along the first axis, the last one possibly shorter.

    A tuple of sequences of one length gives tuples of windows.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> [w.tolist() for w in tg.bptt.windows(np.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    positive("size", size)
    together = sequence if isinstance(sequence, tuple) else (sequence,)
    lengths = {len(part) for part in together}
    if len(lengths) > 1:
        raise ValueError(f"windows of sequences of different lengths: {', '.join(str(len(part)) for part in together)}")
    for start in range(0, len(together[0]), size):
        window = tuple(part[start : start + size] for part in together)
        yield window if isinstance(sequence, tuple) else window[0]


def reads_forwards(layer: Any, x: Any) -> None:
    """Raise ValueError for a layer that cannot be run window by window, TypeError for an x that has no windows."""
    refuse_packed(x, "run")
    if getattr(layer, "batch_first", False):
        raise ValueError("windows are cut along the first axis: with batch_first=True that is the batch, not time")
    if getattr(layer, "bidirectional", False):
        raise ValueError("windows need a layer that reads forwards: a bidirectional one has to see the whole sequence")


class Truncated:
    """Every k1 steps, backpropagate through k2 steps.

    k1 = k2 (the default) is the usual chunking: each window starts from the detached state of the one before, and a
    loss at the start of a window sees little of the past. With k2 > k1 windows overlap: the first k2 - k1 steps
    are run again only to carry the gradient further back, and its loss counts the last k1 steps alone
    (BPTT(h; h') of Williams and Peng 1990, with h = k2 and h' = k1). The price is k2 / k1 forward steps a step.

    >>> import tinygrad_rnn as tg
    >>> [(w.start, w.new, w.stop) for w in tg.bptt.Truncated(2, 3).spans(5)]
    [(0, 0, 2), (1, 2, 4), (3, 4, 5)]
    """

    def __init__(self, k1: int, k2: int | None = None) -> None:
        self.k1 = positive("k1", k1)
        self.k2 = self.k1 if k2 is None else positive("k2", k2)
        if self.k2 < self.k1:
            raise ValueError(f"k2 must be at least k1: with k1={k1}, k2={k2} some steps would get no gradient at all")

    def spans(self, T: int) -> Iterator[Span]:
        """The windows of a sequence of T steps."""
        for new in range(0, T, self.k1):
            yield Span(max(0, new - (self.k2 - self.k1)), new, min(new + self.k1, T))

    def run(
        self, layer: Callable[..., tuple[Tensor, Any]], x: Any, state: Any = None
    ) -> Iterator[tuple[slice, Tensor, Any]]:
        """Run ``output, state = layer(x, state)`` window by window; yields (steps, output of these steps, state).

        Compute a loss of the output for these steps, call its backward(), and update the weights, before the next.

        >>> import numpy as np, tinygrad_rnn as tg
        >>> rnn = tg.nn.RNN(1, 2, rng=0)
        >>> for steps, output, state in tg.bptt.Truncated(2).run(rnn, np.ones((5, 1, 1))):
        ...     (output**2).sum().backward()
        >>> steps
        slice(4, 5, None)
        """
        reads_forwards(layer, x)
        spans = list(self.spans(len(x)))
        for span, following in zip(spans, [*spans[1:], None], strict=True):
            start_of_next = following.start if following is not None else span.stop
            outputs, carried = [], state
            for begin, end in ((span.start, start_of_next), (start_of_next, span.stop)):
                if begin < end:
                    output, carried = layer(x[begin:end], carried)
                    outputs.append(output)
                    if end == start_of_next:
                        state = detach(carried)
            output = outputs[0] if len(outputs) == 1 else concatenate(outputs)
            yield slice(span.new, span.stop), output[span.new - span.start :], carried


class Span(NamedTuple):
    """A window of a sequence: it starts at `start`, its loss counts from `new`, and it ends before `stop`."""

    start: int
    new: int
    stop: int
