"""The same graph in smaller ops, for looking at: a fused step is drawn as the ops of its cell."""

from __future__ import annotations

import numpy as np

from ..autograd.tensor import Tensor, results
from ..engine.anomaly import Lines
from ..engine.backward import opened, reachable
from ..engine.modes import anomaly, during, enable_grad
from ..engine.tape import Record, clock


def fused(record: Record) -> bool:
    """Whether a record is a whole time step, which has the ops of its cell as another form."""
    return hasattr(record.op, "composed")


def composed(record: Record, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
    """What the composed form of an op makes of these inputs, at the place of its record."""
    with during(record.step):
        made = record.op.composed(*[a if x is None else x for x, a in zip(inputs, record.arrays, strict=True)])  # type: ignore[attr-defined]
    outputs = made if isinstance(made, tuple) else (made,)
    for step, name, k in record.states:
        if (y := outputs[k].record) is not None:
            y.states += ((step, name, outputs[k].output),)
    return outputs


class Expanded:
    """A graph in which each record whose op has a `composed` form stands as that form.

    The values are the same, and so are the records before the first such op. Calling it gives, for a tensor of the old
    graph, the one that took its place; `root` is that of the old root.

    lines  note for each op of a composed form which line of the layer made it

    >>> import numpy as np, tinygrad_rnn as tg
    >>> from tinygrad_rnn.unrolled.expand import Expanded
    >>> output, h = tg.nn.RNN(3, 4, rng=0)(np.ones((1, 2, 3)))
    >>> [record.op.name for record in tg.tape(output)]
    ['affine', 'rnn_step', 'stack']
    >>> [record.op.name for record in tg.tape(Expanded(output).root)]
    ['affine', 'getitem', 'matmul', 'add', 'tanh', 'stack']
    """

    def __init__(self, root: Tensor, lines: bool = False) -> None:
        self.lines = lines
        self.results: dict[tuple[Record, int], Tensor] = {}
        self.constants: dict[Tensor, Tensor] = {}
        with enable_grad():
            for record in opened([root])[::-1]:
                self._replace(record)
        self.root = self(root)

    def _replace(self, record: Record) -> None:
        new = tuple(x if x is None else self(x) for x in record.inputs)
        if hasattr(record.op, "composed"):
            made = self._noted(record, new) if self.lines else composed(record, new)
        elif self.results:  # also where its inputs are the same: a record is newer than those before it
            with during(record.step):
                copy = Record(record.op, new, record.arrays, record.values)
            copy.line, copy.states = record.line, record.states
            made = results(record.values, copy)
        else:
            return
        for k, y in enumerate(made):
            self.results[record, k] = y

    def _noted(self, record: Record, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        if not all(np.all(np.isfinite(value)) for value in record.values):  # noting would raise
            return composed(record, inputs)
        start = next(clock)
        with anomaly():
            made = composed(record, inputs)
        for new in reachable(made, since=start):
            new.line = Lines(record.line and record.line.users, new.line.layers)
        return made

    def __call__(self, x: Tensor) -> Tensor:
        if x.record is not None:
            y = self.results.get((x.record, x.output), x)
            y.name = y.name or x.name
            return y
        past = x.cut.record() if x.cut is not None else None
        if x.cut is None or past is None or (past, x.cut.output) not in self.results:
            return x
        if x not in self.constants:  # a constant that was cut off from a result which has been replaced
            y = self.constants[x] = self.results[past, x.cut.output].detach()
            y.name = x.name
        return self.constants[x]
