"""Layers without a state: Linear, Embedding, Dropout, LayerNorm, and Sequential to chain them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..engine import randomness
from ..engine.arrays import DType, Operand
from ..errors import DataError, DtypeError, ShapeError
from ..ops.elementwise import where
from ..ops.linalg import affine
from .init import Rng
from .module import Module, Parameter
from .rows import Rows


def as_tensor(x: Operand, caller: str) -> Tensor:
    """What is given in place of one array, as a Tensor; TypeError that says what to do with what is several."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, Rows):
        return x.written_out()
    refuse_several(x, caller)
    try:
        return Tensor(x)
    except DtypeError as error:
        raise DtypeError(f"{caller}: {error}") from None
    except (RuntimeError, TypeError, ValueError) as error:  # another library's tensor, which needs a gradient, say
        kind = f"{type(x).__module__}.{type(x).__qualname__}"
        raise DtypeError(f"{caller}: a {kind} cannot be made an array: {error}") from None


def refuse_packed(x: object, caller: str) -> None:
    """Raise TypeError for PyTorch's PackedSequence, a tuple of other things."""
    if hasattr(x, "batch_sizes"):
        raise TypeError(
            f"{caller} got a PackedSequence. Here sequences stay padded: x, lengths = pad_packed_sequence(packed), and "
            "then layer(x, lengths=lengths)"
        )


def refuse_several(x: object, caller: str) -> None:
    """Raise TypeError for a packed sequence, (output, state), (x, lengths), or sequences of several lengths."""
    refuse_packed(x, caller)
    if isinstance(x, tuple) and x and isinstance(x[0], Tensor):
        raise TypeError(
            f"{caller} got a tuple of {len(x)}, not one tensor: a recurrent layer gives (output, state), so take its "
            "output with output, state = layer(x)"
        )
    if isinstance(x, tuple) and len(x) == 2 and len(getattr(x[0], "shape", ())) > 1 and np.ndim(x[1]) == 1:
        raise TypeError(f"{caller} got a pair, not one array: if it is x and its lengths, layer(x, lengths=lengths)")
    if not isinstance(x, tuple | list) or not all(hasattr(part, "shape") for part in x):
        return
    shapes = [tuple(part.shape) for part in x]
    if len({shape[:1] for shape in shapes}) > 1:
        lengths = [shape[0] if shape else 0 for shape in shapes]
        raise TypeError(
            f"{caller} got sequences of lengths {lengths}: put them into one array, padded to {max(lengths)} steps "
            "with zeros, and give lengths= to the layer that reads them"
        )


def as_input(x: Operand, dtype: np.dtype[Any], layer: str) -> Tensor:
    """What enters a layer, as a Tensor of the layer's dtype; numbers that stand for classes are refused."""
    t = as_tensor(x, layer)
    if t.dtype == dtype:
        return t
    if t.dtype.kind != "f":
        raise DtypeError(
            f"{layer} needs real-valued features, not {t.dtype}: class numbers go through tg.nn.Embedding first, "
            "and counts become features with x.astype(float)"
        )
    return t.astype(dtype)


def positive(name: str, value: object) -> int:
    """A size as an int; ValueError or TypeError, naming it, for anything but 1, 2, 3, ..."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer of 1 or more, not {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be 1 or more, not {value}")
    return int(value)


class Linear(Module):
    """y = x W + b, with W (inputs, outputs) and b (outputs,); x is (..., inputs), y is (..., outputs).

    W and b start from U(-1/√inputs, 1/√inputs). Raises ShapeError for another last axis.

    >>> import tinygrad_rnn as tg
    >>> tg.nn.Linear(3, 2, rng=0)(tg.tensor([[1.0, 2.0, 3.0]])).shape
    (1, 2)
    """

    layouts = {"W": "(inputs, outputs), as in x @ W"}  # noqa: RUF012

    def __init__(
        self, inputs: int, outputs: int, bias: bool = True, *, dtype: DType = np.float32, rng: Rng = None
    ) -> None:
        self.inputs, self.outputs = positive("inputs", inputs), positive("outputs", outputs)
        generator = randomness.generator(rng)
        bound = 1 / math.sqrt(self.inputs)
        self.W = Parameter(generator.uniform(-bound, bound, (self.inputs, self.outputs)), dtype)
        self.b = Parameter(generator.uniform(-bound, bound, self.outputs), dtype) if bias else None

    def forward(self, x: Operand) -> Tensor:
        x = as_input(x, self.W.dtype, "Linear")
        if x.ndim < 1 or x.shape[-1] != self.inputs:
            raise ShapeError(f"Linear({self.inputs}, {self.outputs}): x must be (..., {self.inputs}), got {x.shape}")
        return affine(x, self.W, self.b)

    def extra_repr(self) -> str:
        return f"{self.inputs}, {self.outputs}" + ("" if self.b is not None else ", bias=False")


class Embedding(Module):
    """y = W[ids]: row k of W (classes, size) stands for class k. ids (...) of integers give y (..., size).

    W starts from N(0, 1). With `padding_idx` that row is 0 and stays 0: no gradient goes to it.

    Raises DtypeError for ids that are not integers, DataError for one out of range.

    >>> import tinygrad_rnn as tg
    >>> tg.nn.Embedding(10, 4, rng=0)([[1, 2, 3]]).shape
    (1, 3, 4)
    """

    layouts = {"W": "(classes, size), as in W[ids]"}  # noqa: RUF012

    def __init__(
        self,
        classes: int,
        size: int,
        padding_idx: int | None = None,
        *,
        dtype: DType = np.float32,
        rng: Rng = None,
    ) -> None:
        self.classes, self.size = positive("classes", classes), positive("size", size)
        rows = randomness.generator(rng).standard_normal((self.classes, self.size))
        if padding_idx is not None:
            if not -self.classes <= padding_idx < self.classes:
                raise ValueError(f"padding_idx must be in 0 .. {self.classes - 1}, not {padding_idx}")
            padding_idx %= self.classes
            rows[padding_idx] = 0
        self.padding_idx = padding_idx
        self.W = Parameter(rows, dtype)

    def forward(self, ids: Operand) -> Tensor:
        return self.rows(ids).written_out()

    def rows(self, ids: Operand) -> Rows:
        """The same, not written out: a recurrent layer computes the same from it, but sooner where classes are few.

        >>> import tinygrad_rnn as tg
        >>> embedding, lstm = tg.nn.Embedding(10, 4, rng=0), tg.nn.LSTM(4, 8, rng=0)
        >>> output, state = lstm(embedding.rows([[1, 2], [3, 1], [1, 1]]))
        >>> output.shape
        (3, 2, 8)
        """
        return Rows(self.table, class_numbers(ids, self.classes, "Embedding: ids"))

    @property
    def table(self) -> Tensor:
        """W; the row of padding is cut off the graph."""
        if self.padding_idx is None:
            return self.W
        padding = (np.arange(self.classes) == self.padding_idx)[:, np.newaxis]
        return where(padding, self.W.detach(), self.W)

    def extra_repr(self) -> str:
        return f"{self.classes}, {self.size}" + ("" if self.padding_idx is None else f", {self.padding_idx}")


class TiedLinear(Module):
    """y = x Eᵀ + b: the scores of each class, with the matrix E (classes, size) of an embedding (Press and Wolf 2017).

    x is (..., size), y (..., classes). E is one parameter, trained by both, and saved once; b starts from 0.

    >>> import tinygrad_rnn as tg
    >>> embedding = tg.nn.Embedding(10, 4, rng=0)
    >>> head = tg.nn.TiedLinear(embedding)
    >>> head(embedding([[1, 2, 3]])).shape, head.embedding.W is embedding.W
    ((1, 3, 10), True)
    """

    def __init__(self, embedding: Embedding, bias: bool = True) -> None:
        if not isinstance(embedding, Embedding):
            raise TypeError(f"TiedLinear: embedding must be a tg.nn.Embedding, not {type(embedding).__name__}")
        self.embedding = embedding
        self.b = Parameter(np.zeros(embedding.classes), embedding.W.dtype) if bias else None

    def forward(self, x: Operand) -> Tensor:
        E = self.embedding.W
        x = as_input(x, E.dtype, "TiedLinear")
        if x.ndim < 1 or x.shape[-1] != self.embedding.size:
            raise ShapeError(f"TiedLinear: x must be (..., {self.embedding.size}), got {x.shape}")
        return affine(x, E.T, self.b)


def class_numbers(ids: Operand, classes: int, name: str) -> np.ndarray:
    """The ids as an integer array, each in 0 .. classes - 1."""
    refuse_several(ids, name)
    return numbered(np.asarray(ids.array if isinstance(ids, Tensor) else ids), classes, name)


def numbered(array: np.ndarray, classes: int, name: str) -> np.ndarray:
    """A copy of the array as class numbers: DtypeError or DataError where it holds anything else."""
    if array.dtype.kind not in "iu" and array.size:
        raise DtypeError(f"{name} must be integers, not {array.dtype}")
    if array.size and not 0 <= array.min() <= array.max() < classes:
        wrong = array[(array < 0) | (array >= classes)]
        raise DataError(f"{name} must be in 0 .. {classes - 1}, and {wrong[0]} is not")
    return array.astype(np.intp)


class Dropout(Module):
    """While training, sets each entry to 0 with probability p and divides the others by 1 - p; else does nothing.

    The expected value of each entry stays the same (Srivastava et al. 2014, inverted as in every library).
    With ``shared=0`` one mask serves all entries along axis 0: of a sequence (T, B, H), all its time steps.

    Raises ValueError for a p that is not at least 0 and below 1.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> dropout = tg.nn.Dropout(0.5, rng=1)
    >>> dropout(tg.tensor(np.ones(8))).data
    array([2., 0., 2., 2., 2., 2., 2., 2.])
    >>> dropout.eval()(tg.tensor(np.ones(8))).data
    array([1., 1., 1., 1., 1., 1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, *, shared: int | None = None, rng: Rng = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, not {p}")
        self.p = float(p)
        self.shared = shared
        self.rng = randomness.generator(rng)

    def forward(self, x: Operand) -> Tensor:
        t = as_tensor(x, "Dropout")
        if t.dtype.kind != "f":
            raise DtypeError(f"Dropout needs real-valued features, not {t.dtype}: what is kept is divided by 1 - p")
        if not self.training or self.p == 0:
            return t
        shape = list(t.shape)
        if self.shared is not None:
            shape[self.shared] = 1
        drawn = np.frombuffer(self.rng.bytes(2 * math.prod(shape)), "<u2").reshape(shape)
        dropped = int(2**16 * self.p + self.rng.random())  # of the values of 16 bits; on average p of them exactly
        return t * np.multiply(drawn >= dropped, 1 / (1 - self.p), dtype=t.dtype)

    def extra_repr(self) -> str:
        return f"{self.p}" + ("" if self.shared is None else f", shared={self.shared}")


def normalise(x: Tensor, eps: float = 1e-5) -> Tensor:
    """(x - mean) / √(variance + eps) over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred * centred).mean(-1, keepdims=True)
    return centred / np.sqrt(variance + eps)


class LayerNorm(Module):
    """y = gain (x - mean) / √(variance + eps) + bias over the last axis, of the given size (Ba et al. 2016, eq. 4).

    >>> import tinygrad_rnn as tg
    >>> tg.nn.LayerNorm(2, dtype=float)(tg.tensor([1.0, 3.0])).data.round(4)
    array([-1.,  1.])
    """

    def __init__(self, size: int, eps: float = 1e-5, *, dtype: DType = np.float32) -> None:
        self.size, self.eps = positive("size", size), eps
        self.gain = Parameter(np.ones(self.size), dtype)
        self.bias = Parameter(np.zeros(self.size), dtype)

    def forward(self, x: Operand) -> Tensor:
        x = as_input(x, self.gain.dtype, "LayerNorm")
        if x.ndim < 1 or x.shape[-1] != self.size:
            raise ShapeError(f"LayerNorm({self.size}): x must be (..., {self.size}), got {x.shape}")
        return normalise(x, self.eps) * self.gain + self.bias

    def extra_repr(self) -> str:
        return f"{self.size}"


class Sequential(Module):
    """Modules one after the other: the output of each is the input of the next.

    >>> import tinygrad_rnn as tg
    >>> model = tg.nn.Sequential(tg.nn.Linear(3, 4, rng=0), tg.nn.Linear(4, 1, rng=1))
    >>> model(tg.tensor([[1.0, 2.0, 3.0]])).shape
    (1, 1)
    """

    def __init__(self, *modules: Module) -> None:
        for k, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(f"Sequential: argument {k} must be a Module, not {type(module).__name__}")
            setattr(self, str(k), module)

    def forward(self, x: Any) -> Any:
        for _, module in self.children():
            x = module(x)
        return x

    def __len__(self) -> int:
        return len(list(self.children()))

    def __getitem__(self, k: int) -> Module:
        return [module for _, module in self.children()][k]
