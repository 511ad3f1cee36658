"""Which steps are compiled: those of the library's cells by themselves, any other on demand; each once."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...autograd.tensor import Tensor
from ...compiled import Recorded, factored, record, trace
from ...compiled.fast import Fast, version
from ...compiled.numba_run import NumbaRun
from ...compiled.pieces import pieces
from ...compiled.program import Program
from ...compiled.run import Run
from ...compiled.values import ordered
from ...errors import CompileError
from ..cell import Cell, by_itself
from ..substitution import Double

Step = Callable[[Any, Any], tuple[Any, Any]]

KEPT = 512  # kinds of steps, and of each
VERSIONS = 32  # with other settings, or weights of other forms


class Compiled:
    """A step, and the program of its loop over time.

    name     what a step is called on the tape: "lstm"
    states   what the parts of the state are called
    own_y    whether y is something else than a part of the state after the step
    used     of each part of the state, and such a y, whether another of these is computed from it, as h is from c
    sources  of each weight where it is found: its name in the cell, or its number in the `trace` of a step
    """

    def __init__(self, name: str, states: Sequence[str], recorded: Recorded) -> None:
        self.name, self.states = name, tuple(states)
        self.recorded = pieces(factored(recorded))
        self.own_y = recorded.y not in recorded.after
        self.step_name, self.step_outputs = f"{name}_step", len(self.states) + self.own_y
        results = [*recorded.after, recorded.y][: self.step_outputs]
        behind = [set(ordered([v])) for v in results]
        self.used = [any(v in behind[j] for j in range(len(results)) if j != k) for k, v in enumerate(results)]
        self.cut = [d is None for d in recorded.dstates]  # no gradient goes back to these parts of the state
        self._programs = {False: Program(self.recorded)}
        weights = self._programs[False].weights
        self.sources = [v.source for v in weights]
        self.fast = Fast(name, recorded, weights, self.numpy_run)

    def program(self, lengths: bool = False) -> Program:
        """The program, for sequences that all have one length, or not."""
        if lengths not in self._programs:
            self._programs[lengths] = Program(self.recorded, lengths)
        return self._programs[lengths]

    def numpy_run(
        self,
        a: np.ndarray,
        start: Sequence[np.ndarray],
        weights: Sequence[np.ndarray],
        dead: np.ndarray | None,
        backwards: bool,
    ) -> Run:
        return Run(self.program(dead is not None), a, start, weights, dead, backwards)

    def run(
        self,
        a: np.ndarray,
        start: Sequence[np.ndarray],
        weights: Sequence[np.ndarray],
        dead: np.ndarray | None,
        backwards: bool,
    ) -> Run | NumbaRun:
        """All steps of a sequence, by machine code where it is there: see `Run`."""
        fast = self.fast.program(weights)
        if fast is None:
            return self.numpy_run(a, start, weights, dead, backwards)
        return NumbaRun(fast, a, start, weights, dead, backwards)

    def computed_by(self) -> str:
        """What computes the steps at the moment: "NumPy", or numba with its version; "" where none has been taken."""
        if self.fast.ready is not None:
            return f"numba {version()}"
        return "NumPy" if self.fast.runs or self.fast.refused else ""


class Bound:
    """A compiled step with the weights that a cell, or what else the step is, has now.

    names  of the weights in the cell, None for those that are not its own
    """

    def __init__(self, kind: Compiled, cell: Any, weights: Sequence[Any], names: Sequence[str | None]) -> None:
        self.kind, self.cell, self.weights, self.names = kind, cell, list(weights), list(names)

    def step(self, weights: Sequence[Any]) -> Step:
        """The step itself with these weights, whatever stands in the cell by now."""
        if not isinstance(self.cell, Cell):
            return self.cell
        named = {name: w for name, w in zip(self.names, weights, strict=True) if name is not None}
        if named.keys() <= vars(self.cell).keys():
            cell = copy.copy(self.cell)
            vars(cell).update(named)
            return cell.step
        double = Double(list(self.cell.modules()))
        for slot in self.cell.slots():
            if slot.name in named:
                double.replace(slot, named[slot.name])
        return double.of(self.cell).step


_known: OrderedDict[Any, Any] = OrderedDict()


def compiled(cell: Cell) -> Bound:
    """The compiled step of a cell. Raises CompileError where it cannot be compiled, which says why."""
    if not by_itself(cell):
        name, width, widths, dtype = _sizes(cell)
        return on_demand(cell.step, name, cell.states, width, widths, dtype, cell)
    own = vars(cell)
    ids = [id(x) for x in own.values() if isinstance(x, Tensor)]
    shared = tuple(map(ids.index, ids)) if len(set(ids)) < len(ids) else ()
    key = type(cell), shared, tuple(own), *[x if type(x) in _SETTINGS else _form(x) for x in own.values()]
    found = _known.get(key)
    if found is None:
        try:
            found = _compiled(cell, {name: x for name, x in own.items() if isinstance(x, Tensor)})
        except CompileError as error:
            found = str(error)
        _keep(key, found)
    if isinstance(found, str):
        raise CompileError(found)
    return Bound(found, cell, [own[name] for name in found.sources], found.sources)


def _compiled(cell: Cell, tensors: dict[str, Tensor]) -> Compiled:
    """The step of a cell of the library's, with these weights."""
    if len({x.dtype for x in tensors.values()}) > 1:
        raise CompileError("its weights are of several dtypes")
    name, *sizes = _sizes(cell)
    recorded = _tried(record, cell.step, *sizes)
    _locate(recorded, {id(x): name for name, x in tensors.items()})
    return Compiled(name, cell.states, recorded)


def _sizes(cell: Cell) -> tuple[str, int, list[int], Any]:
    """What its step is called; the columns of what it gets of the input, and of the parts of the state; the dtype."""
    H, name = cell.hidden_size, type(cell).__name__.lower().removesuffix("cell")
    return name, len(cell.gates) * H, [H] * len(cell.states), cell.W_hh.dtype


def on_demand(
    step: Step, name: str, states: Sequence[str], width: int, widths: Sequence[int], dtype: Any, cell: Any = None
) -> Bound:
    """The compiled step of a user's: it is called once to see what it does now, and with which weights."""
    key = getattr(getattr(step, "__func__", step), "__code__", type(step)), name, width, tuple(widths), dtype
    now, met = _tried(trace, step, width, widths, dtype)
    versions = _known.get(key, [])
    found = next((kind for then, kind in versions if then == now), None)
    if found is None:
        recorded = _tried(record, step, width, widths, dtype)
        _locate(recorded, {id(x): k for k, x in enumerate(met)})
        names = states or [v.label or (f"h#{k}" if len(widths) > 1 else "h") for k, v in enumerate(recorded.after, 1)]
        found = Compiled(name, names, recorded)
        _keep(key, [*versions[1 - VERSIONS :], (now, found)])
    own = {id(x): name for name, x in cell.names().items()} if cell is not None else {}
    weights = [met[k] for k in found.sources]
    return Bound(found, step if cell is None else cell, weights, [own.get(id(w)) for w in weights])


def _locate(recorded: Recorded, places: dict[int, Any]) -> None:
    """Say of each weight where it is found, in the place of the weight itself: others may be there the next time."""
    for v in recorded.weights:
        v.label = v.label or getattr(v.source, "name", None) or "weight"
        place = places[id(v.source)]
        v.label, v.source = place if isinstance(place, str) else v.label, place


def _keep(key: Any, found: Any) -> None:
    _known[key] = found
    while len(_known) > KEPT:
        _known.popitem(last=False)


def _tried(function: Callable[..., Any], *args: Any) -> Any:
    """The recording, or CompileError also where the step fails on what it was given to be recorded."""
    try:
        return function(*args)
    except CompileError:
        raise
    except Exception as error:
        raise CompileError(f"it fails on what it is given to be recorded, {type(error).__name__}: {error}") from error


_SETTINGS = {int, float, str, bool, type(None)}


def _form(x: Any) -> Any:
    """What decides the program of an attribute that is no setting."""
    return (x.shape, x.dtype, x.requires_grad) if isinstance(x, Tensor) else (type(x), id(x))
