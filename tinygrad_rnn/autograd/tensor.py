"""The Tensor: an array, and its place on the tape.

How it comes to behave as a NumPy array does is in `numpy_protocols.py`; here is what a Tensor holds, how applying an
op to it makes a record (`apply`), and how `backward` starts.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..engine.anomaly import check_forward
from ..engine.arrays import DType, Operand
from ..engine.backward import sweep
from ..engine.lending import seal
from ..engine.modes import Step, mode
from ..engine.tape import Op, Record
from ..engine.visitors import filled, hooked_leaves, maker
from ..errors import DtypeError, GraphError, OverwrittenError, ShapeError
from .checks import as_array, as_operand, as_outputs, explained, start_gradient
from .copying import Copied
from .in_place import plain
from .numpy_protocols import ArrayLike

_adding = threading.RLock()
if hasattr(os, "register_at_fork"):  # in a child process no thread is left that could give it back
    os.register_at_fork(after_in_child=lambda: globals().update(_adding=threading.RLock()))


class Cut(NamedTuple):
    """What a detached tensor remembers of its past, so that the cut can be drawn: never the past itself."""

    record: weakref.ref[Record]
    output: int
    step: Step | None


def apply(op: Op, *inputs: Any) -> Any:
    """Compute ``op.forward`` and, if recording is on and an input needs a gradient, write a record of it."""
    now, needed, cut = mode(), False, None
    if now.recorder is not None:  # a step is being recorded, to be compiled
        return now.recorder(op, inputs)
    arrays: list[Any] = []
    tensors = inputs  # with None for what is no Tensor
    for x in inputs:
        if isinstance(x, Tensor):
            if not x.locked:
                x.lock()
            arrays.append(x._array)
            if x.requires_grad:
                needed = True
            elif x.cut is not None:
                cut = x.cut
        else:
            tensors = (*tensors[: len(arrays)], None, *tensors[len(arrays) + 1 :])
            arrays.append(as_operand(x, op))
    if not op.ours:
        seal(arrays)
    try:
        value = op.forward(*arrays)
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise explained(error, op, arrays) from None
    values = (value,) if op.ours and op.outputs == 1 and type(value) is np.ndarray else as_outputs(value, op)
    record = Record(op, tensors, tuple(arrays), values) if needed and now.recording else None
    if now.anomaly:
        check_forward(op, arrays, values, record)
    return result(values[0], record, 0, cut) if op.outputs == 1 else results(values, record, cut)


class Tensor(ArrayLike, Copied):
    """An array that knows what it was computed from.

    ``tg.tensor(data, dtype=None, requires_grad=False, name=None)`` makes one and copies the data.

    Raises DtypeError for data that are not real numbers, and for integers with ``requires_grad=True``.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> y = np.sum(x * x)
    >>> y.backward()
    >>> x.grad
    array([2., 4.])
    """

    __slots__ = (
        "__weakref__",
        "_array",
        "_grad",
        "cut",
        "hooks",
        "locked",
        "name",
        "output",
        "record",
        "requires_grad",
    )
    _array: np.ndarray
    locked: bool  # whether nobody may write to the array; `data` of a leaf gives one that can be written to

    def __init__(
        self, data: Operand, dtype: DType = None, requires_grad: bool = False, name: str | None = None
    ) -> None:
        array = as_array(data, dtype)
        if requires_grad and array.dtype.kind != "f":
            raise DtypeError(
                f"requires_grad=True needs a floating-point dtype, not {array.dtype}: only real numbers have "
                "derivatives. Write tg.tensor(data, dtype=float, requires_grad=True)"
            )
        self._array, self.locked = array, True
        self.record: Record | None = None
        self.output = 0
        self.requires_grad = bool(requires_grad)
        self._grad: np.ndarray | None = None
        self.name = name
        self.hooks: list[Callable[[Any], Any]] | None = None
        self.cut: Cut | None = None

    _fill = __init__

    # ---------------------------------------------------------------- what it holds

    @property
    def data(self) -> np.ndarray:
        """The array. That of a leaf may be written to; that of a result is read-only, since rules rely on it.

        What ops have computed from a leaf stays as it was: an array that was used is locked, and `data` is then a
        fresh copy, the tensor's own from there on. So ask for `data` each time: an array it gave earlier is no longer
        the tensor's, and writing to it raises NumPy's ValueError.
        """
        if self.record is None and self.locked:
            self._array, self.locked = self._array.copy(), False
        return self.array

    @data.setter
    def data(self, new: Operand) -> None:
        if self.record is not None:
            raise GraphError(f"{self!r} is the result of an op: only a leaf can be given new data")
        array = new if new is self._array else as_array(new, self.dtype, "data")
        if array.shape != self.shape:
            raise ShapeError(f"data of shape {array.shape} for a tensor of shape {self.shape}: make a new tensor")
        self.array = array

    @property
    def array(self) -> np.ndarray:
        """The values to be read: records may hold them, so the array is locked, unless `data` has handed it out."""
        if self.locked:
            self._array.flags.writeable = False
        return self._array

    @array.setter
    def array(self, new: np.ndarray) -> None:
        if new is not self._array:
            self._array.flags.writeable = False  # what `data` gave of it is the tensor's no more
            self._array, self.locked = new, True

    def lock(self) -> None:
        """Let nobody write to the values any more: they are part of what was computed."""
        self._array.flags.writeable = False
        self.array = self._array.copy()  # somebody may hold a view of the old one, which NumPy leaves writable

    @property
    def grad(self) -> np.ndarray | None:
        """dL/d(this), filled by `backward`: an array, or None where no gradient has arrived."""
        return self._grad

    @grad.setter
    def grad(self, new: Any) -> None:
        if new is not None:
            new = as_array(new, self.dtype, "grad")
            if new.shape != self.shape:
                raise ShapeError(f"a gradient of shape {new.shape} for a tensor of shape {self.shape}")
        self._grad = new

    @property
    def op(self) -> Op | None:
        """The op this came out of; None for a leaf."""
        return None if self.record is None else self.record.op

    @property
    def is_leaf(self) -> bool:
        """Whether this was made by the user and not by an op."""
        return self.record is None

    def numpy(self) -> np.ndarray:
        """The values as an array, without the gradient: `data`."""
        return self.data

    def detach(self) -> Tensor:
        """The same values without their past: a constant, at which every gradient stops.

        >>> import tinygrad_rnn as tg
        >>> w = tg.tensor(3.0, requires_grad=True)
        >>> (w * (w * w).detach()).backward()
        >>> w.grad
        array(9.)
        """
        if not self.locked:
            self.lock()
        y = result(self._array)
        y.name = self.name
        y.cut = self.cut if self.record is None else Cut(weakref.ref(self.record), self.output, self.record.step)
        return y

    # ---------------------------------------------------------------- gradients

    def backward(self, gradient: Operand | None = None, retain_graph: bool = False) -> None:
        """Add dL/dx to ``x.grad`` for every leaf x that this was computed from.

        gradient      dL/d(this), an array of the same shape; may be left out where this has one entry (it is 1)
        retain_graph  keep the graph for another backward pass, instead of freeing each record as it is left

        Raises GraphError where nothing needs a gradient, NonScalarError where `gradient` is missing, ShapeError where
        it does not fit, FreedGraphError on a second pass; in each case no gradient has been changed.
        """
        g = start_gradient(self, gradient, "backward()")
        for x, gx in hooked_leaves(sweep([self], [plain(g)], retain_graph=retain_graph, visit=filled)).items():
            x.add_grad(gx)

    def add_grad(self, g: np.ndarray) -> None:
        """Add to `grad`: into a new array, since the old one may have been handed out."""
        with _adding:  # several threads may share a weight
            self._grad = np.array(g, dtype=self.dtype) if self._grad is None else self._grad + g

    def retain_grad(self) -> None:
        """Let `backward` fill the `grad` of this result too, as it does for leaves."""
        if self.record is not None:
            maker(self).kept = (maker(self).kept or {}) | {self.output: weakref.ref(self)}

    def register_hook(self, f: Callable[[Any], Any]) -> Callable[[], None]:
        """Call ``f(g)`` with the complete gradient of this tensor, read-only; what it returns (unless None) replaces g.

        Gives a function that removes the hook.
        """
        if not self.requires_grad:
            raise GraphError("register_hook on a tensor that needs no gradient: nothing would ever call it")
        if self.record is None:
            self.hooks = hooks = self.hooks or []
        else:
            maker(self).hooks = table = maker(self).hooks or {}
            hooks = table.setdefault(self.output, [])
        hooks.append(f)
        return lambda: hooks.remove(f) if f in hooks else None

    apply_op = staticmethod(apply)

    def __repr__(self) -> str:
        values = np.array2string(self.array, separator=", ", prefix="tensor(", threshold=100)
        notes = [f"op={self.record.op.name}"] if self.record is not None else []
        notes += ["requires_grad=True"] if self.requires_grad and self.record is None else []
        notes += [f"dtype={self.dtype}"] if self.dtype not in (np.float64, np.int64, np.bool_) else []
        notes += [f"name={self.name!r}"] if self.name else []
        return f"tensor({', '.join([values, *notes])})"


def tensor(data: Operand, dtype: DType = None, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """A leaf Tensor with a copy of the data: numbers, nested lists, an array or another Tensor.

    Python floats give float64, as in NumPy; the dtype of an array is kept.

    >>> import tinygrad_rnn as tg
    >>> tg.tensor([[1, 2], [3, 4]], dtype=float, requires_grad=True)
    tensor([[1., 2.],
            [3., 4.]], requires_grad=True)
    """
    return Tensor(data, dtype, requires_grad, name)


def results(values: tuple[np.ndarray, ...], record: Record | None, cut: Cut | None = None) -> tuple[Tensor, ...]:
    """The Tensors that came out of an op."""
    return tuple([result(value, record, k, cut) for k, value in enumerate(values)])


def result(array: np.ndarray, record: Record | None = None, output: int = 0, cut: Cut | None = None) -> Tensor:
    """A Tensor around the output of an op; or, without a record, a constant, around the very array."""
    t = _new(Tensor)
    t._array = array
    t.locked = True
    t.record = record
    t.output = output
    t.requires_grad = record is not None
    t.cut = cut if record is None else None  # what is made from a detached state alone still lies behind the cut
    t._grad = t.name = t.hooks = None
    return t


_new = object.__new__


def as_tensors(record: Record) -> tuple[tuple[Tensor, ...], list[Any]]:
    """The outputs of a record as Tensors again, and its inputs: what rules see in create_graph."""
    pairs = zip(record.inputs, record.arrays, strict=True)
    xs = [a if x is None else _unchanged(x, a, record) for x, a in pairs]
    return results(record.values, record), xs


def _unchanged(x: Tensor, array: np.ndarray, record: Record) -> Tensor:
    if x._array is not array and not np.array_equal(x._array, array, equal_nan=True):
        raise OverwrittenError(
            f"a tensor of shape {x.shape} used by {record} was given new data since: differentiate before changing it"
        )
    return x
