"""A recurrent layer as it looks from outside: its options and cells, layouts of data and states, names of parameters.

What it computes is in `recurrent.py`.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.tensor import Tensor
from ..engine import randomness
from ..engine.modes import mode
from ..errors import CompileError, ShapeError
from ..ops.elementwise import where
from ..ops.shape import Stack
from .basic import Dropout, as_input, positive
from .cell import Cell, by_itself
from .fused import compiled
from .init import Rng
from .module import Module, Slot
from .rows import Rows
from .state import check_lengths, check_state, last_repeated

if TYPE_CHECKING:
    from ..compiled.program import Program
    from .fused.compiling import Bound


_stack = Stack(axis=0)


class Layer(Module):
    """Cells in several layers and directions. Parameters of the second layer end in ``_l1``, backwards ``_reverse``."""

    cell_type: type[Cell]

    __signature__: inspect.Signature

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Show the options of the cell among those of the layer, in help() and where a signature is completed."""
        super().__init_subclass__(**kwargs)
        if "cell_type" in vars(cls):
            own = list(inspect.signature(Layer.__init__).parameters.values())[1:-1]  # without self and **options
            of_cell = inspect.signature(cls.cell_type).parameters.values()
            names = {p.name for p in own}
            options = [p.replace(kind=p.KEYWORD_ONLY) for p in of_cell if p.name not in names]
            cls.__signature__ = inspect.Signature([*own, *options])

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        batch_first: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        bidirectional: bool = False,
        fused: bool | str = "auto",
        checkpoint: bool | int = False,
        rng: Rng = None,
        **options: Any,
    ) -> None:
        known = self.__signature__.parameters
        for name in options:
            if name not in known:
                raise TypeError(f"{type(self).__name__} has no option {name!r}; it has {', '.join(list(known)[2:])}")
        self.input_size, self.hidden_size = positive("input_size", input_size), positive("hidden_size", hidden_size)
        self.num_layers = positive("num_layers", num_layers)
        self.batch_first, self.bidirectional = batch_first, bidirectional
        if fused not in (True, False, "auto"):
            raise ValueError(f'fused must be True, False or "auto", not {fused!r}')
        self.fused = fused
        self.checkpoint = checkpoint if isinstance(checkpoint, bool) else positive("checkpoint", checkpoint)
        rng = randomness.generator(rng)
        self.dropout = Dropout(dropout, shared=0 if variational else None, rng=rng)  # axis 0 of (T, B, H) is time
        if dropout and self.num_layers == 1:
            message = f"dropout={dropout} acts between layers, and num_layers=1 has none: put tg.nn.Dropout after it"
            warnings.warn(message, UserWarning, stacklevel=2)
        self._options = options
        self.cells: list[Cell] = []
        self.suffixes: list[str] = []
        for layer in range(self.num_layers):
            width = self.input_size if layer == 0 else self.hidden_size * self.directions
            for direction in range(self.directions):
                suffix = (f"_l{layer}" if layer else "") + ("_reverse" if direction else "")
                self._add_cell(self.cell_type(width, self.hidden_size, rng=rng, **options), suffix)

    def _add_cell(self, cell: Cell, suffix: str) -> None:
        self.cells.append(cell)
        self.suffixes.append(suffix)
        for name, parameter in cell.named_parameters():
            parameter.name = name + suffix

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    # ---------------------------------------------------------------- what comes in, and what goes out

    def enter(self, x: Any, lengths: Any) -> tuple[Any, np.ndarray | None, bool]:
        """x as (T, B, I), 0 beyond the lengths even where it was a nan; these; and whether x came without a batch."""
        kind, layout = type(self).__name__, self.layout
        dtype = self.cells[0].W_hh.dtype
        x = x if isinstance(x, Rows) and x.dtype == dtype else as_input(x, dtype, kind)
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{kind}: x must be {layout} or, without a batch, (T, I), with I = input_size = {self.input_size}; "
                f"got {x.shape}"
            )
        unbatched = x.ndim == 2
        if unbatched:
            x = x.reshape(x.shape[0], 1, x.shape[1])
        elif self.batch_first:
            x = x.swapaxes(0, 1)
        T, B, _ = x.shape
        if T == 0:
            raise ShapeError(f"{kind}: x has no time steps: its shape, read as {layout}, is {x.shape}")
        if lengths is not None:
            lengths = check_lengths(lengths, T, () if unbatched else (B,), kind).reshape(B)
            if (lengths < T).any():
                x = self._ended(x, lengths)
        return x, lengths, unbatched

    @staticmethod
    def _ended(x: Any, lengths: np.ndarray) -> Any:
        """x with something finite beyond the lengths: 0, or a row that the sequence has met."""
        if isinstance(x, Rows):
            return Rows(x.table, last_repeated(x.ids, lengths))
        return where((np.arange(len(x))[:, None] < lengths)[:, :, None], x, 0)

    @staticmethod
    def project(cell: Cell, x: Any) -> Tensor:
        """What a cell makes of x for all time steps, (T, B, G*H)."""
        return x.through(cell.project) if isinstance(x, Rows) else cell.project(x)

    def leave(self, output: Tensor, unbatched: bool) -> Tensor:
        """The output in the layout of x."""
        if unbatched:
            return output.reshape(len(output), output.shape[-1])
        return output.swapaxes(0, 1) if self.batch_first else output

    def starts(self, state: Any, x: Tensor | Rows, unbatched: bool) -> list[Any]:
        """The state that each cell begins with."""
        T, B, _ = x.shape
        if state is None:
            return [cell.initial_state((B,)) for cell in self.cells]
        names, rows = self.cell_type.states, len(self.cells)
        shape = (rows, self.hidden_size) if unbatched else (rows, B, self.hidden_size)
        x_was = "" if unbatched else f" for an x read as {self.layout}, {T} time steps (T) of a batch of {B} (B)"
        state = check_state(state, names, shape, x.dtype, self, x_was)
        parts = state if len(names) > 1 else (state,)
        if unbatched:
            parts = tuple(part.reshape(rows, 1, self.hidden_size) for part in parts)
        return [tuple(part[k] for part in parts) if len(names) > 1 else parts[0][k] for k in range(rows)]

    def stacked(self, ends: Sequence[Any], unbatched: bool) -> Any:
        """The states after the last step of all cells, as the layer gives them."""
        names = self.cell_type.states
        columns = zip(*ends, strict=True) if len(names) > 1 else [ends]
        parts = [_stack(*column) for column in columns]
        if unbatched:
            parts = [part.reshape(len(ends), self.hidden_size) for part in parts]
        for name, part in zip(names, parts, strict=True):
            part.name = name
        return tuple(parts) if len(parts) > 1 else parts[0]

    @property
    def layout(self) -> str:
        """How x is read."""
        return "(B, T, I)" if self.batch_first else "(T, B, I)"

    def fuses(self, cell: Cell) -> Bound | None:
        """How the steps of this cell are computed together (`fused/`); None where it takes them one by one."""
        if self.fused is False or (self.fused == "auto" and (mode().anomaly or not by_itself(cell))):
            return None
        try:
            bound = compiled(cell)
            if self.fused == "auto" and any(bound.kind.cut):  # a report is to see the cuts, within the step
                return None
            bound.kind.fast.before_the_first_run(bound.weights)
            return bound
        except CompileError as error:
            if self.fused == "auto":  # the composed step says what is wrong, if anything is
                return None
            raise CompileError(
                f"{type(self).__name__}: fused=True, but the step of {cell} cannot be compiled: {error}"
            ) from None

    def computed_by(self, cell: Cell) -> str:
        """What computes the steps of a cell: "composed", "NumPy", or numba with its version; "" before it has run."""
        bound = self.fuses(cell)
        return "composed" if bound is None else bound.kind.computed_by()

    def program(self, x: Any = None) -> Program:
        """The program that computes all time steps of this layer, generated from one step of its (first) cell.

        `print` shows it. With `x` it is that for its layout of time and batch, which is the same for all.

        >>> import tinygrad_rnn as tg
        >>> print(tg.nn.RNN(3, 4).program())  # doctest: +ELLIPSIS
        def forward(h_t, h, W_hh, a):
            for h_t, h, a in zip(h_t, h, a):
                matmul(h, W_hh, h_t)
                add(a, h_t, h_t)
                tanh(h_t, h_t)
        ...
        """
        if x is not None:
            self.enter(x, None)
        return compiled(self.cells[0]).kind.program()

    # ---------------------------------------------------------------- parameters under the layer's own names

    def slots(self, prefix: str = "", above: tuple[Module, ...] = ()) -> Iterator[Slot]:
        for cell, suffix in zip(self.cells, self.suffixes, strict=True):
            for slot in cell.slots():
                yield slot._replace(name=f"{prefix}{slot.name}{suffix}")
        for slot in super().slots(prefix, above):  # what a subclass adds
            if slot.owner not in self.cells:
                yield slot

    def _place(self, name: str) -> tuple[Cell, str] | None:
        """The cell, and its attribute, that a name like W_hh_l1 stands for; also where a bias is None."""
        for cell, suffix in zip(vars(self).get("cells", ()), vars(self).get("suffixes", ()), strict=True):
            attribute = name.removesuffix(suffix)
            value = vars(cell).get(attribute, ...)
            if attribute + suffix == name and (value is None or isinstance(value, Tensor)):
                return cell, attribute
        return None

    def __getattr__(self, name: str) -> Any:
        place = self._place(name)
        if place is None:  # Python's own error, or that of a property, whose own cause would be hidden
            return object.__getattribute__(self, name)
        return getattr(*place)

    def __setattr__(self, name: str, value: Any) -> None:
        place = self._place(name)
        if place is None:
            super().__setattr__(name, value)
        else:
            setattr(*place, value)

    def __repr__(self) -> str:
        shown: dict[str, Any] = {
            "num_layers": self.num_layers,
            "batch_first": self.batch_first,
            "dropout": self.dropout.p,
        }
        shown |= {"variational": self.dropout.shared is not None, "bidirectional": self.bidirectional}
        shown |= {"fused": self.fused, "checkpoint": self.checkpoint}
        shown |= {**self._options, "dtype": self.cells[0].W_hh.dtype.name}
        plain = {name: p.default for name, p in self.__signature__.parameters.items()} | {"dtype": "float32"}
        options = [f"{key}={value!r}" for key, value in shown.items() if value != plain.get(key)]
        return f"{type(self).__name__}({', '.join([str(self.input_size), str(self.hidden_size), *options])})"
