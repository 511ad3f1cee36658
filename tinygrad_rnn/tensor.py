"""The Tensor: an array, and its place on the tape.

A Tensor behaves as a NumPy array does: operators, methods and NumPy's own functions (``np.tanh(t)``,
``np.concatenate([a, t])``, ``array @ t``) all work and are recorded when an input needs a gradient. What the tape
cannot differentiate is refused by name; no function ever returns an array with the gradient silently lost.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from . import ops
from .backward import sweep
from .errors import DtypeError, GraphError, NonScalarError, NotDifferentiableError, ShapeError
from .ops import elementwise, indexing, linalg, reduction, shape
from .tape import Op, Record, Step, mode

_NUMBERS = (bool, int, float, np.generic)


class Cut(NamedTuple):
    """What a detached tensor remembers of its past, so that the cut can be drawn: never the past itself."""

    record: weakref.ref[Record]
    output: int
    step: Step | None


class Tensor:
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

    __slots__ = ("__weakref__", "_grad", "array", "cut", "hooks", "name", "output", "record", "requires_grad")

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = False, name: str | None = None) -> None:
        array = _as_array(data, dtype)
        if requires_grad and array.dtype.kind != "f":
            raise DtypeError(
                f"requires_grad=True needs a floating-point dtype, not {array.dtype}: only real numbers have "
                "derivatives. Write tg.tensor(data, dtype=float, requires_grad=True)"
            )
        self.array = array
        self.record: Record | None = None
        self.output = 0
        self.requires_grad = bool(requires_grad)
        self._grad: np.ndarray | None = None
        self.name = name
        self.hooks: list[Callable[[Any], Any]] | None = None
        self.cut: Cut | None = None

    # ---------------------------------------------------------------- what it holds

    @property
    def data(self) -> np.ndarray:
        """The array. That of a leaf may be written to; that of a result is read-only, since rules rely on it."""
        if self.record is not None:
            self.array.flags.writeable = False
        return self.array

    @data.setter
    def data(self, new: Any) -> None:
        if self.record is not None:
            raise GraphError(f"{self!r} is the result of an op: only a leaf can be given new data")
        array = np.asarray(new.array if isinstance(new, Tensor) else new, dtype=self.dtype)
        if array.shape != self.shape:
            raise ShapeError(f"data of shape {array.shape} for a tensor of shape {self.shape}: make a new tensor")
        self.array = np.array(array)

    @property
    def grad(self) -> np.ndarray | None:
        """dL/d(this), filled by `backward`: an array, or None where no gradient has arrived."""
        return self._grad

    @grad.setter
    def grad(self, new: Any) -> None:
        if new is not None:
            new = np.asarray(getattr(new, "array", new), dtype=self.dtype)
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

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def size(self) -> int:
        return self.array.size

    @property
    def T(self) -> Tensor:
        return shape.transpose(self)

    def item(self) -> Any:
        """The only entry, as a Python number."""
        if self.size != 1:
            raise ShapeError(f"item() needs a tensor with one entry, and this has shape {self.shape}")
        return self.array.item()

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
        array = self.array.view()
        array.flags.writeable = False
        y = _result(array, None)
        y.name = self.name
        if self.record is not None:
            y.cut = Cut(weakref.ref(self.record), self.output, self.record.step)
        return y

    # ---------------------------------------------------------------- gradients

    def backward(self, gradient: Any = None, retain_graph: bool = False) -> None:
        """Add dL/dx to ``x.grad`` for every leaf x that this was computed from.

        gradient      dL/d(this), an array of the same shape; may be left out where this has one entry (it is 1)
        retain_graph  keep the graph for another backward pass, instead of freeing each record as it is left

        Raises GraphError where nothing needs a gradient, NonScalarError where `gradient` is missing, ShapeError where
        it does not fit, FreedGraphError on a second pass; in each case no gradient has been changed.
        """
        g = start_gradient(self, gradient, "backward()")
        for x, gx in sweep([self], [g], retain_graph=retain_graph).items():
            x._grad = np.array(gx, dtype=x.dtype) if x._grad is None else x._grad + gx

    def retain_grad(self) -> None:
        """Let `backward` fill the `grad` of this result too, as it does for leaves."""
        if self.record is None:
            return
        me = weakref.ref(self)

        def keep(g: Any) -> None:
            tensor = me()
            if tensor is not None:
                g = np.array(getattr(g, "array", g), dtype=tensor.dtype)
                tensor._grad = g if tensor._grad is None else tensor._grad + g

        self.register_hook(keep)

    def register_hook(self, f: Callable[[Any], Any]) -> Callable[[], None]:
        """Call ``f(g)`` with the complete gradient of this tensor; what it returns (unless None) replaces g.

        Gives a function that removes the hook.
        """
        if not self.requires_grad:
            raise GraphError("register_hook on a tensor that needs no gradient: nothing would ever call it")
        if self.record is None:
            self.hooks = hooks = self.hooks or []
        else:
            self.record.hooks = table = self.record.hooks or {}
            hooks = table.setdefault(self.output, [])
        hooks.append(f)
        return lambda: hooks.remove(f)

    # ---------------------------------------------------------------- operators

    @staticmethod
    def apply_op(op: Op, *inputs: Any) -> Any:
        """Apply an op to Tensors and arrays: see `apply`."""
        return apply(op, *inputs)

    def __add__(self, other: Any) -> Tensor:
        return apply(elementwise.add, self, other)

    def __radd__(self, other: Any) -> Tensor:
        return apply(elementwise.add, other, self)

    def __sub__(self, other: Any) -> Tensor:
        return apply(elementwise.subtract, self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return apply(elementwise.subtract, other, self)

    def __mul__(self, other: Any) -> Tensor:
        return apply(elementwise.multiply, self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return apply(elementwise.multiply, other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return apply(elementwise.divide, self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return apply(elementwise.divide, other, self)

    def __pow__(self, other: Any) -> Tensor:
        return apply(elementwise.power, self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return apply(elementwise.power, other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return apply(linalg.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return apply(linalg.matmul, other, self)

    def __neg__(self) -> Tensor:
        return apply(elementwise.negative, self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return apply(elementwise.absolute, self)

    def __getitem__(self, index: Any) -> Tensor:
        return apply(indexing.GetItem(indexing.plain_index(index)), self)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise NotDifferentiableError(
            "a Tensor cannot be written into, since rules rely on what was computed. Build the result with np.where, "
            "np.stack or np.concatenate, or write to t.data of a leaf before using it"
        )

    def __iter__(self) -> Iterator[Tensor]:
        return (self[k] for k in range(len(self)))

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a 0-d tensor has no length")
        return len(self.array)

    # comparisons have no derivative: plain arrays

    def __eq__(self, other: Any) -> Any:
        return self.array == _plain(other)

    def __ne__(self, other: Any) -> Any:
        return self.array != _plain(other)

    def __lt__(self, other: Any) -> Any:
        return self.array < _plain(other)

    def __le__(self, other: Any) -> Any:
        return self.array <= _plain(other)

    def __gt__(self, other: Any) -> Any:
        return self.array > _plain(other)

    def __ge__(self, other: Any) -> Any:
        return self.array >= _plain(other)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(f"the truth of a tensor of shape {self.shape} is ambiguous: use np.any(t) or np.all(t)")
        return bool(self.array)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    # ---------------------------------------------------------------- methods that arrays have, and a few of torch's

    def sum(self, axis: Any = None, *, keepdims: bool = False) -> Tensor:
        return reduction.sum(self, axis, keepdims=keepdims)

    def mean(self, axis: Any = None, *, keepdims: bool = False) -> Tensor:
        return reduction.mean(self, axis, keepdims=keepdims)

    def max(self, axis: Any = None, *, keepdims: bool = False) -> Tensor:
        return reduction.max(self, axis, keepdims=keepdims)

    def min(self, axis: Any = None, *, keepdims: bool = False) -> Tensor:
        return reduction.min(self, axis, keepdims=keepdims)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        return elementwise.clip(self, min, max)

    def reshape(self, *shape_: Any) -> Tensor:
        return shape.reshape(self, shape_[0] if len(shape_) == 1 else shape_)

    def ravel(self) -> Tensor:
        return shape.ravel(self)

    def flatten(self) -> Tensor:
        return shape.ravel(self)

    def transpose(self, *axes: Any) -> Tensor:
        return shape.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        return shape.swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> Tensor:
        return shape.squeeze(self, axis)

    def astype(self, dtype: Any) -> Tensor:
        """The same values in another floating-point dtype, gradients cast back."""
        if self.requires_grad and np.dtype(dtype).kind != "f":
            raise DtypeError(f"astype({np.dtype(dtype)}) would lose the gradient: use t.detach().data.astype(...)")
        return apply(shape.Cast(dtype), self)

    def exp(self) -> Tensor:
        return apply(elementwise.exp, self)

    def log(self) -> Tensor:
        return apply(elementwise.log, self)

    def sqrt(self) -> Tensor:
        return apply(elementwise.sqrt, self)

    def tanh(self) -> Tensor:
        return apply(elementwise.tanh, self)

    def sigmoid(self) -> Tensor:
        return apply(elementwise.sigmoid, self)

    def relu(self) -> Tensor:
        return apply(elementwise.relu, self)

    def abs(self) -> Tensor:
        return apply(elementwise.absolute, self)

    def softmax(self, axis: int = -1) -> Tensor:
        return reduction.softmax(self, axis)

    def log_softmax(self, axis: int = -1) -> Tensor:
        return reduction.log_softmax(self, axis)

    def logsumexp(self, axis: Any = None, *, keepdims: bool = False) -> Tensor:
        return reduction.logsumexp(self, axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None) -> Any:
        return self.array.argmax(axis)

    def argmin(self, axis: int | None = None) -> Any:
        return self.array.argmin(axis)

    # ---------------------------------------------------------------- NumPy's protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is not None:
            raise NotDifferentiableError(
                f"np.{ufunc.__name__} into an existing array (out=, or array {ufunc.__name__}= Tensor): the gradient "
                "would be lost. Write the result to a new name, or use t.detach().data"
            )
        if ufunc in ops.PLAIN:
            return getattr(ufunc, method)(*map(_plain, inputs), **kwargs)
        if method != "__call__" or kwargs or ufunc not in ops.UFUNCS:
            call = f"np.{ufunc.__name__}" + (f".{method}" if method != "__call__" else "")
            given = f" with {', '.join(kwargs)}" if kwargs else ""
            raise NotDifferentiableError(f"{call}{given} of a Tensor is not supported: {_CURE}")
        return apply(ops.UFUNCS[ufunc], *inputs)

    def __array_function__(self, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if func in ops.PLAIN:
            return func(*map(_plain, args), **{key: _plain(value) for key, value in kwargs.items()})
        function = ops.FUNCTIONS.get(func)
        name = f"{func.__module__}.{func.__name__}".replace("numpy", "np", 1)
        if kwargs.pop("out", None) is not None:
            raise NotDifferentiableError(f"{name} with out= would lose the gradient: write the result to a new name")
        if function is None:
            raise NotDifferentiableError(f"{name} of a Tensor is not supported: {_CURE}")
        return function(*args, **kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.requires_grad:
            raise NotDifferentiableError(
                "turning a Tensor that needs a gradient into an array would lose the gradient: use t.detach() or "
                "t.data if that is meant, np.stack or np.concatenate to put Tensors together"
            )
        return np.array(self.data, dtype=dtype, copy=copy)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self.record is not None:
            raise GraphError("only leaves can be copied: a copy of a result would need a copy of its graph")
        new = type(self).__new__(type(self))
        Tensor.__init__(new, self.array, None, self.requires_grad, self.name)
        new._grad = None if self._grad is None else self._grad.copy()
        return new

    def __reduce__(self) -> Any:
        raise TypeError("Tensors are not pickled (a pickle can run code when it is loaded): use tg.save and tg.load")

    def __repr__(self) -> str:
        values = np.array2string(self.array, separator=", ", prefix="tensor(", threshold=100)
        notes = [f"op={self.record.op.name}"] if self.record is not None else []
        notes += ["requires_grad=True"] if self.requires_grad and self.record is None else []
        notes += [f"dtype={self.dtype}"] if self.dtype not in (np.float64, np.int64, np.bool_) else []
        notes += [f"name={self.name!r}"] if self.name else []
        return f"tensor({', '.join([values, *notes])})"


_CURE = "use the functions in the documentation's list, or write your own tg.Op; for plain numbers use t.detach().data"


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False, name: str | None = None) -> Tensor:
    """A leaf Tensor with a copy of the data: numbers, nested lists, an array or another Tensor.

    Python floats give float64, as in NumPy; the dtype of an array is kept.

    >>> import tinygrad_rnn as tg
    >>> tg.tensor([[1, 2], [3, 4]], dtype=float, requires_grad=True)
    tensor([[1., 2.],
            [3., 4.]], requires_grad=True)
    """
    return Tensor(data, dtype, requires_grad, name)


def apply(op: Op, *inputs: Any) -> Any:
    """Compute ``op.forward`` and, if recording is on and an input needs a gradient, write a record of it."""
    arrays: list[Any] = []
    tensors: list[Tensor | None] = []
    needed = False
    for x in inputs:
        if isinstance(x, Tensor):
            arrays.append(x.array)
            tensors.append(x)
            if x.requires_grad:
                needed = True
        else:
            arrays.append(x if isinstance(x, _NUMBERS) else _as_array(x, None, op))
            tensors.append(None)
    try:
        value = op.forward(*arrays)
    except (ValueError, IndexError, TypeError) as error:
        raise _explained(error, op, arrays) from None
    record = None
    if needed and mode.recording:
        record = Record(op, tuple(tensors), tuple(arrays), value)
    if op.outputs == 1:
        if type(value) is not np.ndarray:
            value = np.asarray(value)
            if record is not None:
                record.value = value
        return _result(value, record)
    return tuple(_result(part, record, k) for k, part in enumerate(value))


def _result(array: np.ndarray, record: Record | None, output: int = 0) -> Tensor:
    """A Tensor around the output of an op."""
    t = _new(Tensor)
    t.array = array
    t.record = record
    t.output = output
    t.requires_grad = record is not None
    t._grad = t.name = t.hooks = t.cut = None
    return t


_new = object.__new__


def outputs_of(record: Record) -> Any:
    """The output of a record as a Tensor again, or the tuple of its outputs: what a rule sees under create_graph."""
    if record.op.outputs == 1:
        return _result(record.value, record)
    return tuple(_result(part, record, k) for k, part in enumerate(record.value))


def start_gradient(y: Tensor, gradient: Any, caller: str) -> Any:
    """The gradient to start a sweep from at y, checked."""
    if not isinstance(y, Tensor):
        raise TypeError(f"{caller} needs a Tensor, not {type(y).__name__}")
    if not y.requires_grad:
        raise GraphError(
            f"{caller} on a tensor that needs no gradient: no input had requires_grad=True, or it was computed under "
            "no_grad() or behind detach()"
        )
    if gradient is None:
        if y.size != 1:
            raise NonScalarError(
                f"{caller} of a tensor of shape {y.shape} needs to know dL/d(this): reduce it to a loss first, as in "
                f"y.sum(), or pass a gradient of shape {y.shape}"
            )
        return np.ones_like(y.array)
    g = gradient if isinstance(gradient, Tensor) else np.asarray(gradient, dtype=y.dtype)
    if g.shape != y.shape:
        raise ShapeError(f"{caller}: the gradient has shape {g.shape}, but the tensor has shape {y.shape}")
    return g


def _as_array(data: Any, dtype: Any, op: Op | None = None) -> np.ndarray:
    """A copy of the data as an array of real numbers."""
    if isinstance(data, Tensor):
        data = data.array
    what = "a tensor" if op is None else f"an operand of {op.name}"
    if isinstance(data, np.ma.MaskedArray):
        raise DtypeError(f"{what} cannot be a masked array: fill it first, as in data.filled(0)")
    if not isinstance(data, np.ndarray | list | tuple | int | float | np.generic) and not hasattr(data, "__array__"):
        raise DtypeError(f"{what} needs numbers, a list or an array, not {type(data).__name__}")
    if isinstance(data, list | tuple) and any(isinstance(x, Tensor) for x in data):
        raise DtypeError(f"{what} cannot be a list of Tensors: put them together with np.stack")
    try:
        array = np.array(data, dtype=dtype)
    except (ValueError, TypeError) as error:
        raise DtypeError(f"{what} needs numbers in equal rows: {error}") from None
    if array.dtype.kind not in "fiub":
        raise DtypeError(f"{what} needs real numbers, not dtype {array.dtype}")
    return array


def _plain(x: Any) -> Any:
    """A Tensor's array, also inside lists and tuples; anything else as it is."""
    if isinstance(x, list | tuple):
        return type(x)(map(_plain, x))
    return x.array if isinstance(x, Tensor) else x


def _explained(error: Exception, op: Op, arrays: list[Any]) -> Exception:
    """The same failure, saying which op it was, of what, and in which step."""
    shapes = ", ".join(f"{a.dtype}{list(a.shape)}" if isinstance(a, np.ndarray) else repr(a) for a in arrays)
    where = f" at {mode.step}" if mode.step else ""
    kind = ShapeError if type(error) is ValueError else type(error)
    return kind(f"{op.name} of {shapes}{where}: {error}")


