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
from ...compiled.numba_program import NumbaRun
from ...compiled.pieces import pieces
from ...compiled.program import Program
from ...compiled.run import Run
from ...errors import CompileError
from ..cell import Cell
from ..substitution import Double

Step = Callable[[Any, Any], tuple[Any, Any]]

OURS = __name__.partition(".")[0] + "."
KEPT = 512  # kinds of steps, and of each
VERSIONS = 32  # with other weights or settings


class Compiled:
    """A step, and the program of its loop over time.

    name     what a step is called on the tape: "lstm"
    states   what the parts of the state are called
    own_y    whether y is something else than a part of the state after the step
    sources  of each weight where it is found: its name in the cell, or itself
    """

    def __init__(self, name: str, states: Sequence[str], recorded: Recorded) -> None:
        self.name, self.states = name, tuple(states)
        self.recorded = pieces(factored(recorded))
        self.own_y = recorded.y not in recorded.after
        self._programs = {False: Program(self.recorded)}
        weights = self._programs[False].weights
        self.sources = [v.source for v in weights]
        self.fast = Fast(recorded, weights, self.numpy_run)

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

    def weights(self, cell: Any) -> list[Any]:
        """The weights as they are now, in the order of those of the program."""
        names: Any = vars(cell) if isinstance(cell, Cell) else {}
        if not all(s in names for s in self.sources if isinstance(s, str)):
            names = cell.names()
        return [names[s] if isinstance(s, str) else s for s in self.sources]

    def step(self, cell: Any, weights: Sequence[Any]) -> Step:
        """The step itself with these weights, whatever stands in the cell by now."""
        if not isinstance(cell, Cell):
            return cell
        named = {s: w for s, w in zip(self.sources, weights, strict=True) if isinstance(s, str)}
        if named.keys() <= vars(cell).keys():
            cell = copy.copy(cell)
            vars(cell).update(named)
            return cell.step
        double = Double(list(cell.modules()))
        for slot in cell.slots():
            if slot.name in named:
                double.replace(slot, named[slot.name])
        return double.of(cell).step


_known: OrderedDict[Any, Any] = OrderedDict()


def by_itself(cell: Cell) -> bool:
    """Whether a cell is compiled without being asked: its step is the library's, and no user's code takes part."""
    return type(cell).step.__module__.startswith(OURS)


def compiled(cell: Cell) -> Compiled:
    """The compiled step of a cell. Raises CompileError where it cannot be compiled, which says why."""
    H, width, dtype = cell.hidden_size, len(cell.gates) * cell.hidden_size, cell.W_hh.dtype
    name, widths = type(cell).__name__.lower().removesuffix("cell"), [H] * len(cell.states)
    if not by_itself(cell):
        return on_demand(cell.step, name, cell.states, width, widths, dtype, cell)
    if len({x.dtype for x in vars(cell).values() if isinstance(x, Tensor)}) > 1:
        raise CompileError("its weights are of several dtypes")
    tensors = [id(x) for x in vars(cell).values() if isinstance(x, Tensor)]
    shared = tuple(map(tensors.index, tensors)) if len(set(tensors)) < len(tensors) else ()
    key = type(cell), shared, *[(name, _form(x)) for name, x in vars(cell).items()]
    found = _known.get(key)
    if found is None:
        try:
            found = Compiled(name, cell.states, _recorded(cell.step, width, widths, dtype, cell))
        except CompileError as error:
            found = str(error)
        _keep(key, found)
    if isinstance(found, str):
        raise CompileError(found)
    return found


def on_demand(
    step: Step, name: str, states: Sequence[str], width: int, widths: Sequence[int], dtype: Any, cell: Any = None
) -> Compiled:
    """The compiled step of a user's: it is called once to see whether it still does what was compiled."""
    key = getattr(getattr(step, "__func__", step), "__code__", type(step)), width, tuple(widths), dtype
    now = _tried(trace, step, width, widths, dtype)
    versions = _known.get(key, [])
    for then, found in versions:
        if then == now:
            return found
    recorded = _recorded(step, width, widths, dtype, cell)
    names = states or [v.label or (f"h#{k}" if len(widths) > 1 else "h") for k, v in enumerate(recorded.after, 1)]
    found = Compiled(name, names, recorded)
    _keep(key, [*versions[1 - VERSIONS :], (now, found)])
    return found


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


def _recorded(step: Step, width: int, widths: Sequence[int], dtype: Any, cell: Any) -> Recorded:
    """The recorded step; a weight of a cell is known by its name, so that others can stand in its place."""
    recorded: Recorded = _tried(record, step, width, widths, dtype)
    names: dict[int, str] = {}
    if cell is not None:
        names = {id(x): name for name, x in cell.names().items()}
        names |= {id(x): name for name, x in vars(cell).items() if isinstance(x, Tensor)}
    for v in recorded.weights:
        if id(v.source) in names:
            v.label = v.source = names[id(v.source)]
    return recorded


def _form(x: Any) -> Any:
    """What of an attribute decides the program."""
    if isinstance(x, Tensor):
        return x.shape, x.dtype, x.requires_grad
    return x if isinstance(x, int | float | str | bool | None) else (type(x), id(x))
