"""Behaving as a NumPy array does: operators, methods, and NumPy's own functions.

``t + 1``, ``t.sum(axis=0)``, ``np.tanh(t)``, ``np.concatenate([a, t])`` and ``array @ t`` all end in an op of `ops`,
through Python's operators or NumPy's two protocols. What the tape cannot differentiate is refused by name; no function
ever returns an array with the gradient silently lost.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from .. import ops
from ..engine.arrays import Array, Axis, Bound, DType, Function, Mask, Operand
from ..engine.flat import flat
from ..engine.tape import Op
from ..errors import DtypeError, NotDifferentiableError
from ..ops import elementwise, functions, indexing, linalg, order, products, rearrange, reduction, shape, statistics
from .conversion import Conversion, numpys_words
from .in_place import INTO_THE_FIRST, InPlace, into, into_first, needs_gradient, plain
from .refusals import cure, name_of


class ArrayLike(InPlace, Conversion):
    """The operators and methods of a Tensor; `Tensor` adds the array and its place on the tape."""

    __slots__ = ()

    _array: np.ndarray
    array: np.ndarray

    # ---------------------------------------------------------------- what it looks like

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._array.dtype

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def size(self) -> int:
        return self._array.size

    @property
    def T(self) -> Self:
        return shape.transpose(self)

    # ---------------------------------------------------------------- operators

    def __add__(self, other: Operand) -> Self:
        return operate(elementwise.add, self, other)

    def __radd__(self, other: Operand) -> Self:
        return operate(elementwise.add, other, self)

    def __sub__(self, other: Operand) -> Self:
        return operate(elementwise.subtract, self, other)

    def __rsub__(self, other: Operand) -> Self:
        return operate(elementwise.subtract, other, self)

    def __mul__(self, other: Operand) -> Self:
        return operate(elementwise.multiply, self, other)

    def __rmul__(self, other: Operand) -> Self:
        return operate(elementwise.multiply, other, self)

    def __truediv__(self, other: Operand) -> Self:
        return operate(elementwise.divide, self, other)

    def __rtruediv__(self, other: Operand) -> Self:
        return operate(elementwise.divide, other, self)

    def __pow__(self, other: Operand) -> Self:
        return operate(elementwise.power, self, other)

    def __rpow__(self, other: Operand) -> Self:
        return operate(elementwise.power, other, self)

    def __matmul__(self, other: Operand) -> Self:
        return operate(linalg.matmul, self, other)

    def __rmatmul__(self, other: Operand) -> Self:
        return operate(linalg.matmul, other, self)

    def __mod__(self, other: Operand) -> Self:
        return operate(functions.remainder, self, other)

    def __rmod__(self, other: Operand) -> Self:
        return operate(functions.remainder, other, self)

    def __floordiv__(self, other: Operand) -> Self:
        return operate(functions.floor_divide, self, other)

    def __rfloordiv__(self, other: Operand) -> Self:
        return operate(functions.floor_divide, other, self)

    def __neg__(self) -> Self:
        return self.apply_op(elementwise.negative, self)

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Self:
        return self.apply_op(elementwise.absolute, self)

    def __getitem__(self, index: Any) -> Self:
        return self.apply_op(indexing.GetItem(indexing.plain_index(index)), self)

    def __iter__(self) -> Iterator[Self]:
        return (self[k] for k in range(len(self)))

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a 0-d tensor has no length")
        return len(self.array)

    # comparisons have no derivative: plain arrays

    def __eq__(self, other: object) -> Any:
        return NotImplemented if stranger(other) and compares(other) else self.array == plain(other)

    def __ne__(self, other: object) -> Any:
        return NotImplemented if stranger(other) and compares(other) else self.array != plain(other)

    def __lt__(self, other: Operand) -> Any:
        return NotImplemented if stranger(other) else self.array < plain(other)

    def __le__(self, other: Operand) -> Any:
        return NotImplemented if stranger(other) else self.array <= plain(other)

    def __gt__(self, other: Operand) -> Any:
        return NotImplemented if stranger(other) else self.array > plain(other)

    def __ge__(self, other: Operand) -> Any:
        return NotImplemented if stranger(other) else self.array >= plain(other)

    __hash__ = object.__hash__

    # ---------------------------------------------------------------- methods that arrays have, and a few of torch's

    # the reductions take NumPy's other keywords too: dtype, initial, where, ddof

    @numpys_words
    def sum(self, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Self:
        return reduction.sum(self, axis, keepdims=keepdims, **options)

    @numpys_words
    def mean(self, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Self:
        return reduction.mean(self, axis, keepdims=keepdims, **options)

    @numpys_words
    def prod(self, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Self:
        return statistics.prod(self, axis, keepdims=keepdims, **options)

    @numpys_words
    def var(self, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Self:
        return statistics.var(self, axis, keepdims=keepdims, **options)

    @numpys_words
    def std(self, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Self:
        return statistics.std(self, axis, keepdims=keepdims, **options)

    @numpys_words
    def max(self, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Self:
        return reduction.max(self, axis, keepdims=keepdims, **options)

    @numpys_words
    def min(self, axis: Axis = None, *, keepdims: bool = False, **options: Any) -> Self:
        return reduction.min(self, axis, keepdims=keepdims, **options)

    @numpys_words
    def ptp(self, axis: Axis = None, *, keepdims: bool = False) -> Self:
        return statistics.ptp(self, axis, keepdims=keepdims)

    @numpys_words
    def cumsum(self, axis: int | None = None, dtype: DType = None) -> Self:
        return statistics.cumsum(self, axis, dtype)

    @numpys_words
    def cumprod(self, axis: int | None = None, dtype: DType = None) -> Self:
        return statistics.cumprod(self, axis, dtype)

    def round(self, decimals: int = 0) -> Self:
        return functions.round(self, decimals)

    def dot(self, b: Array) -> Self:
        return products.dot(self, b)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self:
        return rearrange.trace(self, offset, axis1, axis2)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self:
        return rearrange.diagonal(self, offset, axis1, axis2)

    @numpys_words
    def repeat(self, repeats: Operand, axis: int | None = None) -> Self:
        return rearrange.repeat(self, repeats, axis)

    @numpys_words
    def take(self, indices: Operand, axis: int | None = None, mode: str = "raise") -> Self:
        return rearrange.take(self, indices, axis, mode=mode)

    @numpys_words
    def sort(self, axis: int = -1) -> Self:
        """The entries in ascending order, as a new Tensor, since a Tensor is not changed in place."""
        return order.sort(self, axis)

    def clip(self, min: Bound = None, max: Bound = None) -> Self:
        return elementwise.clip(self, min, max)

    def reshape(self, *shape_: Any, order: str = "C") -> Self:
        return shape.reshape(self, shape_[0] if len(shape_) == 1 else shape_, order)

    def ravel(self, order: str = "C") -> Self:
        return shape.ravel(self, order)

    def flatten(self, order: str = "C") -> Self:
        return shape.ravel(self, order)

    def transpose(self, *axes: Any) -> Self:
        return shape.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def swapaxes(self, axis1: int, axis2: int) -> Self:
        return shape.swapaxes(self, axis1, axis2)

    @numpys_words
    def squeeze(self, axis: Axis = None) -> Self:
        return shape.squeeze(self, axis)

    def astype(self, dtype: DType) -> Self:
        """The same values in another floating-point dtype, gradients cast back.

        Of integers only where no gradient is lost: the derivative of ``np.floor(x)`` is 0, so these may be places.
        """
        if np.dtype(dtype).kind == "f":
            return self.apply_op(shape.Cast(dtype), self)
        if not flat(self):
            raise DtypeError(
                f"astype({np.dtype(dtype)}) would lose the gradient: round first, as in np.floor(t).astype(int), or "
                "use t.detach().data.astype(...)"
            )
        return self.apply_op(shape.Cast(dtype), self.array)

    def exp(self) -> Self:
        return self.apply_op(elementwise.exp, self)

    def log(self) -> Self:
        return self.apply_op(elementwise.log, self)

    def sqrt(self) -> Self:
        return self.apply_op(elementwise.sqrt, self)

    def tanh(self) -> Self:
        return self.apply_op(elementwise.tanh, self)

    def sigmoid(self) -> Self:
        return self.apply_op(elementwise.sigmoid, self)

    def relu(self) -> Self:
        return self.apply_op(elementwise.relu, self)

    def abs(self) -> Self:
        return self.apply_op(elementwise.absolute, self)

    @numpys_words
    def softmax(self, axis: int = -1) -> Self:
        return reduction.softmax(self, axis)

    @numpys_words
    def log_softmax(self, axis: int = -1) -> Self:
        return reduction.log_softmax(self, axis)

    @numpys_words
    def logsumexp(self, axis: Axis = None, *, keepdims: bool = False) -> Self:
        return reduction.logsumexp(self, axis, keepdims=keepdims)

    @numpys_words
    def argmax(self, axis: int | None = None) -> Any:
        return self.array.argmax(axis)

    @numpys_words
    def argmin(self, axis: int | None = None) -> Any:
        return self.array.argmin(axis)

    @numpys_words
    def argsort(self, axis: int | None = -1) -> Any:
        return self.array.argsort(axis, kind="stable")

    def nonzero(self) -> Any:
        return self.array.nonzero()

    @numpys_words
    def any(self, axis: Axis = None, *, keepdims: bool = False, where: Mask = True) -> Any:
        return self.array.any(axis, keepdims=keepdims, where=plain(where))

    @numpys_words
    def all(self, axis: Axis = None, *, keepdims: bool = False, where: Mask = True) -> Any:
        return self.array.all(axis, keepdims=keepdims, where=plain(where))

    # ---------------------------------------------------------------- NumPy's protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        op = ops.UFUNCS.get(ufunc)
        if op is not None and method == "__call__" and out is None and not kwargs:
            return self.apply_op(op, *inputs)
        if out is not None:
            name = f"{name_of(ufunc)} into an existing array (out=, or array {ufunc.__name__}= Tensor)"
            return into(getattr(ufunc, method), name, out, inputs, kwargs)
        if method == "at" and not needs_gradient(inputs):
            return into_first(ufunc.at, f"{name_of(ufunc)}.at", inputs, kwargs)
        if ufunc in ops.PLAIN:
            return getattr(ufunc, method)(*map(plain, inputs), **kwargs)
        name = name_of(ufunc)
        call = name + (f".{method}" if method != "__call__" else "")
        given = f" with {', '.join(kwargs)}" if kwargs else ""
        raise NotDifferentiableError(f"{call}{given} of a Tensor is not supported: {cure(name)}")

    def __array_function__(self, func: Function, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if func in ops.PLAIN:
            return func(*map(plain, args), **{key: plain(value) for key, value in kwargs.items()})
        function = ops.FUNCTIONS.get(func)
        name = name_of(func)
        if (out := kwargs.pop("out", None)) is not None:
            return into(func, f"{name} with out=", (out,), args, kwargs)
        if func in INTO_THE_FIRST and not needs_gradient((*args, *kwargs.values())):
            return into_first(func, name, args, kwargs)
        if function is None:
            raise NotDifferentiableError(f"{name} of a Tensor is not supported: {cure(name)}")
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            signature = inspect.signature(function)
            try:
                signature.bind(*args, **kwargs)
            except TypeError:
                plain_parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
                known = inspect.Signature(plain_parameters)
                raise NotDifferentiableError(f"{error}; of a Tensor it is {name}{known}") from None
            raise


def operate(op: Op, a: Any, b: Any) -> Any:
    """What an operator gives; NotImplemented where one operand is a stranger, which may know what to do."""
    try:
        return (a if isinstance(a, ArrayLike) else b).apply_op(op, a, b)
    except DtypeError:
        if isinstance(a, str | bytes) or isinstance(b, str | bytes):  # which would be repeated, or formatted
            kinds = f"{type(a).__name__!r} and {type(b).__name__!r}"
            raise TypeError(f"unsupported operand types for {op.name}: {kinds}") from None
        if stranger(a) or stranger(b):
            return NotImplemented
        raise


def stranger(x: object) -> bool:
    """Whether this is neither a number nor anything that becomes an array, or says that it takes no part in NumPy."""
    if getattr(type(x), "__array_ufunc__", True) is None:
        return True
    return not isinstance(x, int | float | complex | list | tuple) and not hasattr(x, "__array__")


def compares(x: object) -> bool:
    """Whether this says itself what it is equal to; to None, a string or a bare object no entry is, as in NumPy."""
    return type(x).__eq__ is not object.__eq__ and not isinstance(x, str | bytes | None)
