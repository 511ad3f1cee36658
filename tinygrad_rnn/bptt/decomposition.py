"""The gradient of a weight, taken apart: by the step where the weight was used, and by the loss it came from.

A weight that every step shares has dL/dW = Σ_t Σ_k T(t, k): the weight as used in step k acts on the loss of step t.
The reverse sweep adds all of these up as it goes. Here it is run once for each loss term t, and what arrives at W is
kept apart by the step k in which it was used. A step is recognised by its tag.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.checks import start_gradient
from ..autograd.tensor import Tensor
from ..engine.backward import leading_to, pull
from ..engine.cotangent import Indexed, Lazy, Waiting
from ..engine.tape import Record
from ..errors import GraphError
from ..ops.linalg import Affine, MatMul
from ..unrolled.listing import Tape
from ..unrolled.network import Unrolled, refuse_checkpoints
from ..unrolled.run import Place
from ..unrolled.tables import Report, norm

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Label = int | None  # a time step or loss term; None for what belongs to none


class Decomposition(Report):
    """``dL/dW`` as a table of terms over (t, k): see `decompose`.

    terms    what the rows are: the time steps of the losses, or 1, 2, ... for those given as ``losses=``
    steps    what the columns are: the time steps in which W was used
    by_step  (steps, *W.shape): dL/dW^(k), the gradient of the copy of W that step k used
    by_loss  (terms, *W.shape): dL_t/dW
    rest     W.shape: what belongs to no loss term or no step, as from a penalty on W itself. With it both add up to
             dL/dW: ``by_step.sum(0) + rest`` and ``by_loss.sum(0) + rest``
    norms    (terms, steps): the norm of each T(t, k); nan where there is no such term, since the loss came before the
             use of W or lies behind a cut. A step at which no gradient of the loss arrives (it is exactly 0) is no row
    blocks   (terms, steps, *W.shape): all T(t, k), or None unless asked for
    """

    def __init__(
        self,
        name: str,
        terms: list[int],
        steps: list[int],
        by_step: np.ndarray,
        by_loss: np.ndarray,
        rest: np.ndarray,
        norms: np.ndarray,
        blocks: np.ndarray | None,
    ) -> None:
        self.name, self.terms, self.steps = name, terms, steps
        self.by_step, self.by_loss, self.rest = by_step, by_loss, rest
        self.norms, self.blocks = norms, blocks

    @property
    def total(self) -> np.ndarray:
        """dL/dW."""
        return self.by_step.sum(0) + self.rest

    @property
    def count(self) -> int:
        """How many terms there are: T (T + 1) / 2 for a loss at each of T steps, fewer where the gradient was cut."""
        return int((~np.isnan(self.norms)).sum())

    def contents(self) -> tuple[str, list[str], list[list[Any]]]:
        at_step = dict(zip(self.steps, map(norm, self.by_step), strict=True))
        at_term = dict(zip(self.terms, map(norm, self.by_loss), strict=True))
        counts = dict(zip(self.terms, (~np.isnan(self.norms)).sum(1).tolist(), strict=True))
        times = sorted({*self.steps, *self.terms})
        rows = [[t, at_step.get(t, np.nan), at_term.get(t, np.nan), counts.get(t, 0)] for t in times]
        used, caused = f"d{self.name} used in t", f"dL_t/d{self.name}"
        head = f"|dL/d{self.name}| = {norm(self.total):.6g}, the sum of {self.count} terms over (loss t, step k)"
        return head, ["t", used, caused, "terms"], rows

    def __repr__(self) -> str:
        return f"<dL/d{self.name}: {self.count} terms, {len(self.terms)} losses x {len(self.steps)} steps>"

    def plot(self, ax: Axes | None = None) -> Axes:
        """The norms of T(t, k) as a heat map, log scale: grey where there is no term, white where it is exactly 0."""
        from ..plots import heat_map

        label = f"norm of dL_t/d{self.name} used in step k"
        return heat_map(self.norms, self.steps, self.terms, "used in step k", "loss of step t", label, ax)


def decompose(loss: Tensor, W: Tensor, losses: Sequence[Tensor] | None = None, blocks: bool = False) -> Decomposition:
    """``dL/dW`` = Σ_t Σ_k T(t, k), split by the step k in which W was used, and by the loss L_t it came from.

    The *step* of a use is that of the first tagged record on the way from W to the loss: for ``h @ W_hh`` the step
    itself; for ``x @ W_xh``, computed for a whole sequence before the steps, the step that takes its slice.

    The *loss term* of a path is the step at which it leaves the unrolled network for the last time. For
    L = Σ_t L_t(y_t), a mean, cross-entropy over stacked outputs or a loss added up in the loop, that is t, so row t is
    dL_t/dW with the weight that L gives to L_t. Where terms look at several steps, give them: with
    ``losses=[L_1, L_2, ...]``, each a Tensor that L was computed from, the rows are these.

    All sums hold exactly whatever the loss. `W` may also be a result, or a bias. ``blocks=True`` keeps every T(t, k)
    and not only its norm. There is a sweep for each loss term. No ``.grad`` changes, and the graph stays.

    Raises GraphError where the loss does not depend on W, no step uses W, or it does not depend on one of `losses`.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> rnn = tg.nn.RNN(1, 1, bias=False, nonlinearity="identity", dtype=float)
    >>> rnn.W_xh.data, rnn.W_hh.data = [[1.0]], [[0.5]]
    >>> output, h = rnn(np.ones((3, 1, 1)))
    >>> parts = tg.bptt.decompose(output.sum(), rnn.W_hh, blocks=True)
    >>> parts.blocks[:, :, 0, 0]  # loss of step t, W_hh used in step k
    array([[0. , 0. , 0. ],
           [0. , 1. , 0. ],
           [0. , 0.5, 1.5]])
    >>> parts.by_step.ravel(), parts.by_loss.ravel()
    (array([0. , 1.5, 1.5]), array([0., 1., 2.]))
    """
    start = start_gradient(loss, None, "decompose()")
    if not isinstance(W, Tensor):
        raise TypeError(f"decompose(): W must be a Tensor, not {type(W).__name__}")
    name = W.name or "W"
    tape = Tape(loss)
    refuse_checkpoints(tape, "decompose()")
    records = tape.records[::-1]
    _, useful = leading_to(records, [W])
    if loss.record not in useful:
        raise GraphError(f"decompose(): the loss does not depend on {name}")
    paths = Paths(tape, W, useful)
    seeds, rest = paths.to_terms(start, _gates(tape, losses))
    rows = {label: paths.to_steps(parts) for label, parts in seeds.items()}
    terms = sorted(label for label, row in rows.items() if row)
    steps = sorted({k for row in rows.values() for k in row if k is not None})
    if not steps:
        raise GraphError(
            f"decompose(): no gradient reaches {name} through a time step: the loss depends on it before or after the "
            "steps only, or its gradient is 0 at all of them. Steps are tagged by layers, tg.nn.unroll and tg.scope"
        )
    by_step = np.zeros((len(steps), *W.shape), W.dtype)
    by_loss = np.zeros((len(terms), *W.shape), W.dtype)
    norms = np.full((len(terms), len(steps)), np.nan)
    kept = np.zeros((len(terms), len(steps), *W.shape), W.dtype) if blocks else None
    for i, label in enumerate(terms):
        for k, part in rows[label].items():
            if k is None:
                rest = rest + part
                continue
            j = steps.index(k)
            by_step[j] += part
            by_loss[i] += part
            norms[i, j] = norm(part)
            if kept is not None:
                kept[i, j] = part
    return Decomposition(name, terms, steps, by_step, by_loss, rest, norms, kept)


class Paths:
    """The paths from a loss down to W, walked with the contributions kept apart that the sweep would add up.

    useful  the records on these paths, and W's own maker
    before  the records that W reaches without passing through a step: what is computed from W for all steps at once
    """

    def __init__(self, tape: Tape, W: Tensor, useful: set[Any]) -> None:
        self.records = [record for record in reversed(tape.records) if record in useful and record is not W.record]
        self.tape, self.W, self.useful = tape, W, useful
        self.before: set[Record] = set()
        for record in reversed(self.records):
            inputs = [x for x in record.inputs if x is not None]
            if _time(record) is None and any(x.record in self.before or self.is_W(x) for x in inputs):
                self.before.add(record)

    def is_W(self, x: Tensor) -> bool:
        """Whether x is W, or made together with it (`Waiting.at` tells them apart)."""
        return (x.record or x) is (self.W.record or self.W)

    def to_terms(self, start: Any, gates: dict[Place, int]) -> tuple[dict[int, list[tuple[Tensor, Any]]], np.ndarray]:
        """What reaches the last step of each path, or a given loss, by its label; and what reaches W past them."""
        seeds: dict[int, list[tuple[Tensor, Any]]] = defaultdict(list)
        waiting = Waiting(recorded=False)
        sums = set() if gates else Unrolled(self.tape).added.sums

        def hand(x: Tensor, part: Any) -> None:
            label: Label = None
            if x.record is not None:
                place = (x.record, x.output)
                label = gates.get(place) if gates or place in sums or _masks(x.record) else _time(x.record)
            if label is None:
                waiting.add(x, part)
            else:
                seeds[label].append((x, part))

        hand(self.tape.root, start)
        for record in self.records:
            gs = waiting.take(record)
            if gs is not None:
                for x, part in pull(record, gs, self.useful):
                    hand(x, part)
        rest = waiting.at(self.W)
        seeds = {label: parts for label, parts in seeds.items() if any(_written(part).any() for _, part in parts)}
        return seeds, np.zeros_like(self.W.array) if rest is None else rest

    def to_steps(self, seeds: list[tuple[Tensor, Any]]) -> dict[Label, Any]:
        """What of these gradients arrives at W, by the step that uses it; None is for a path through no step."""
        waiting = Waiting(recorded=False)
        apart: dict[Label, Waiting] = defaultdict(lambda: Waiting(recorded=False))

        def hand(x: Tensor, part: Any, label: Label) -> None:
            shared = x.record in self.before or self.is_W(x)
            (apart[label] if shared else waiting).add(x, part)

        for x, part in seeds:
            hand(x, part, None)
        for record in self.records:
            of_record = apart.items() if record in self.before else [(_time(record), waiting)]
            for label, arrived in of_record:
                for x, part in _pulled(arrived, record, self.useful):
                    if not (_enters(record, x) and not _written(part).any()):
                        hand(x, part, label)
        return {label: part for label, table in apart.items() if (part := table.at(self.W)) is not None}


def _masks(record: Record) -> bool:
    """Whether a record only sets entries to a constant, as the outputs beyond the end of a sequence are set to 0."""
    return record.op.name == "where" and sum(x is not None and x.requires_grad for x in record.inputs) == 1


def _enters(record: Record, x: Tensor) -> bool:
    """Whether the way back goes into a step here: a sequence hands zeros to the steps that have no part in it."""
    return _time(record) is None and x.record is not None and _time(x.record) is not None


def _written(part: Any) -> np.ndarray:
    return part.value() if isinstance(part, Lazy) else part


def _pulled(waiting: Waiting, record: Record, useful: set[Any]) -> list[tuple[Tensor, Any]]:
    """What a record hands on of the gradient that has arrived.

    Of ``x W`` for all steps at once, where a gradient arrived at the slice of one step, this computes those rows alone:
    with all rows, T steps for each of T losses would take a time of T^3.
    """
    g: Any = waiting.places.get(record)
    arrays = record.arrays
    product = isinstance(record.op, MatMul | Affine) and arrays[0].ndim > 2 and arrays[1].ndim == 2
    if not (product and isinstance(g, Indexed) and isinstance(g.index, int | slice)):
        gs = waiting.take(record)
        return [] if gs is None else pull(record, gs, useful)
    x, *others = arrays
    rows = Record(record.op, record.inputs, (x[g.index], *others), (record.values[0][g.index],))
    pulled = pull(rows, (g.part,), useful)
    return [(to, part if to is not record.inputs[0] else Indexed(g.index, part, x)) for to, part in pulled]


def _time(record: Record) -> int | None:
    return None if record.step is None else record.step.t


def _gates(tape: Tape, losses: Sequence[Tensor] | None) -> dict[Place, int]:
    """The given losses by where they were computed, numbered from 1; each has to be part of the loss."""
    if losses is None:
        return {}
    if isinstance(losses, Tensor):
        raise TypeError("decompose(): losses must be a list of Tensors, not one Tensor")
    known = set(tape.records)
    gates: dict[Place, int] = {}
    for k, term in enumerate(losses, 1):
        if not isinstance(term, Tensor):
            raise TypeError(f"decompose(): losses[{k - 1}] must be a Tensor, not {type(term).__name__}")
        if term.record not in known or term.record is None:
            raise GraphError(
                f"decompose(): the loss was not computed from losses[{k - 1}]: give the very Tensors that it is made of"
            )
        if (term.record, term.output) in gates:
            raise ValueError(f"decompose(): losses[{k - 1}] is there twice: each is one row")
        gates[term.record, term.output] = k
    if not gates:
        raise ValueError("decompose(): losses is empty: leave it out to tell the terms apart by their time steps")
    return gates
