"""Sequences of different lengths as batches: padded to one array, with their lengths; the order can be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError, StateDictError

IGNORED = -100
"""What class numbers are padded with: `tg.nn.cross_entropy` does not count them."""

POOL = 64  # batches: within so many, sequences are put in order of length


class Batch(NamedTuple):
    """Some sequences side by side: x (T, B, ...), the targets, and the length of each (B,): see `batches`."""

    x: NDArray[Any]
    y: Any
    lengths: NDArray[np.int64]

    @property
    def weight(self) -> int:
        """How many targets count: the share of this batch in a mean over several."""
        y = self.y
        if y is None or y.ndim < 2 or y.shape[:2] != self.x.shape[:2]:
            return len(self.lengths)
        return int((y != IGNORED).sum() if y.dtype.kind in "iu" else self.lengths.sum())


def pad(
    sequences: Sequence[ArrayLike], value: float = 0, *, length: int | None = None, batch_first: bool = False
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Sequences (T_k, ...) as one array (T, B, ...), filled up with `value`, and their lengths (B,).

    length       T, where it is to be more than the longest has
    batch_first  gives (B, T, ...)

    Raises DataError for sequences that differ in anything but their length, or that are longer than `length`.

    >>> pad([[1, 2, 3], [4]])
    (array([[1, 4],
           [2, 0],
           [3, 0]]), array([3, 1]))
    """
    arrays = _alike("pad: sequence", sequences)
    if not arrays:
        raise DataError("pad: no sequences")
    lengths = np.array([len(array) for array in arrays])
    T = int(lengths.max()) if length is None else length
    if lengths.max() > T:
        raise DataError(f"pad: length={T}, and sequence {lengths.argmax()} has {lengths.max()} steps")
    padded = np.full((len(arrays), T, *arrays[0].shape[1:]), value, arrays[0].dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return (padded if batch_first else np.ascontiguousarray(padded.swapaxes(0, 1))), lengths


def _alike(name: str, sequences: Sequence[ArrayLike]) -> list[NDArray[Any]]:
    """Arrays of numbers (T_k, ...) that differ in T_k alone, all of one dtype; DataError with `name` for others."""
    arrays = [np.asarray(sequence) for sequence in sequences]
    for k, array in enumerate(arrays):
        if array.ndim == 0 or array.shape[1:] != arrays[0].shape[1:] or array.dtype.kind not in "fiub":
            raise DataError(
                f"{name} {k} is {array.shape} of {array.dtype}: each must be numbers of shape (T, ...), the "
                f"same but for T; {name.split()[-1]} 0 is {arrays[0].shape}"
            )
    return _of_one_dtype(arrays)


def _of_one_dtype(arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """One dtype for all, so that a batch does not depend on what else is in it."""
    dtype = np.result_type(*{array.dtype for array in arrays}) if arrays else None
    return [array.astype(dtype, copy=False) for array in arrays]


def mask(lengths: ArrayLike, length: int | None = None, *, batch_first: bool = False) -> NDArray[np.bool_]:
    """Which steps are of a sequence, and not beyond its end: (T, B), or (B, T) with `batch_first`.

    >>> mask([3, 1]).astype(int)
    array([[1, 1],
           [1, 0],
           [1, 0]])
    """
    ends = np.asarray(lengths)
    inside = np.arange(ends.max(initial=0) if length is None else length)[:, np.newaxis] < ends
    return inside.T if batch_first else inside


def split(*data: Any, held_out: float = 0.1, rng: Any = None) -> tuple[Any, Any]:
    """Data as a part to train on and a part held out: ``train, test = split(x)``, or of several that belong together
    ``(x, y), (x_test, y_test) = split(x, y)``.

    held_out  the fraction to hold out; it may stand as a last argument, as in split(ids, 0.05)
    rng       take it at random; by default it is the end, as a text or a series needs it

    Raises DataError for a fraction that is not in [0, 1), and for data of different sizes.

    >>> split([1, 2, 3, 4], held_out=0.25)
    (array([1, 2, 3]), array([4]))
    """
    if len(data) > 1 and isinstance(data[-1], float | int):
        *data, held_out = data  # type: ignore[assignment]
    if not data or isinstance(held_out, bool) or not 0 <= held_out < 1:
        raise DataError(f"split: expected data and held_out in [0, 1), found {held_out}; 0.1 is usual")
    data = tuple(np.asarray(part) if all(isinstance(x, int | float) for x in part) else part for part in data)
    counts = [len(part) for part in data]
    if len(set(counts)) > 1:
        raise DataError(f"split: what belongs together has one size, and these have {counts}")
    cut = counts[0] - round(counts[0] * held_out)
    if rng is None:
        parts = [part[:cut] for part in data], [part[cut:] for part in data]
    else:
        order = _generator("split", rng).permutation(counts[0])
        parts = [_taken(part, order[:cut]) for part in data], [_taken(part, order[cut:]) for part in data]
    return (parts[0][0], parts[1][0]) if len(data) == 1 else (tuple(parts[0]), tuple(parts[1]))


def _taken(part: Any, places: NDArray[np.int64]) -> Any:
    """The entries of these numbers, as a list of a list, as an array of an array."""
    return [part[k] for k in places] if isinstance(part, list | tuple) else part[places]


class Batches:
    """The batches of one pass over the sequences, each time it is iterated: see `batches`.

    `epoch` counts the passes that are complete, `position` the batches of this pass that are done with: the one after
    which the loop asked for the next. So a loop that was broken off goes on with the batch it was at, and, after
    `load_state_dict`, so does another program. The order of a pass depends on the seed and its number alone.
    """

    def __init__(
        self,
        sequences: Sequence[ArrayLike],
        targets: Sequence[Any] | ArrayLike | None,
        batch_size: int,
        shuffle: bool,
        rng: Any,
        bucket: bool,
        drop_last: bool,
        batch_first: bool,
    ) -> None:
        self.sequences = _alike("batches: sequence", sequences)
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise DataError(f"batches: batch_size must be an integer of 1 or more, not {batch_size!r}")
        count = len(self.sequences)
        if count < (batch_size if drop_last else 1):
            raise DataError(f"batches: {count} sequences make no batch of {batch_size}")
        self.lengths = np.array([len(sequence) for sequence in self.sequences])
        self.targets: list[NDArray[Any]] | None = None
        self.per_step = False
        if targets is not None:
            self.targets, self.per_step = _targets(_each(targets), self.lengths)
        self.batch_size, self.shuffle, self.bucket = int(batch_size), shuffle, bucket
        self.drop_last, self.batch_first = drop_last, batch_first
        self.seed = int(_generator("batches", rng).integers(2**63)) if shuffle else 0
        self.epoch = self.position = 0

    def __len__(self) -> int:
        """The number of batches of a pass."""
        whole, rest = divmod(len(self.sequences), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def order(self) -> list[NDArray[np.int64]]:
        """For each batch of this pass, the numbers of its sequences."""
        rng = np.random.default_rng([self.seed, self.epoch])
        count, size = len(self.sequences), self.batch_size
        places = rng.permutation(count) if self.shuffle else np.arange(count)
        if self.bucket:
            pool = POOL * size if self.shuffle else count
            pools = [places[start : start + pool] for start in range(0, count, pool)]
            places = np.concatenate([p[np.argsort(self.lengths[p], kind="stable")] for p in pools])
        order = [places[start : start + size] for start in range(0, count, size)]
        if self.drop_last:
            order = [batch for batch in order if len(batch) == size]
        return [order[k] for k in rng.permutation(len(order))] if self.bucket and self.shuffle else order

    def __iter__(self) -> Iterator[Batch]:
        order = self.order()
        for k in range(self.position, len(order)):
            self.position = k
            yield self.batch(order[k])
        self.epoch, self.position = self.epoch + 1, 0

    def all(self) -> Iterator[Batch]:
        """All batches of this pass, whatever the position, which stays: for measuring."""
        return (self.batch(places) for places in self.order())

    def batch(self, places: NDArray[np.int64]) -> Batch:
        """The sequences of these numbers."""
        x, lengths = pad([self.sequences[k] for k in places], batch_first=self.batch_first)
        if self.targets is None:
            return Batch(x, None, lengths)
        targets = [self.targets[k] for k in places]
        if not self.per_step:
            return Batch(x, np.stack(targets), lengths)
        value = IGNORED if targets[0].dtype.kind == "i" else 0
        return Batch(x, pad(targets, value, batch_first=self.batch_first)[0], lengths)

    def state_dict(self) -> dict[str, int]:
        """What another program needs to go on."""
        state = {"seed": self.seed, "epoch": self.epoch, "position": self.position}
        return state | {"sequences": len(self.sequences), "batch_size": self.batch_size}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where another program was, with the same sequences.

        Raises StateDictError where something lacks, or where it was within a pass over batches of another size or
        another number of sequences.
        """
        now = self.state_dict()
        if missing := now.keys() - state.keys():
            raise StateDictError(f"the state does not fit Batches: missing {', '.join(sorted(missing))}")
        for name in ("sequences", "batch_size"):
            if state["position"] and state[name] != now[name]:
                raise StateDictError(f"the position is one among batches of {name}={state[name]}, not {now[name]}")
        self.seed, self.epoch, self.position = (int(state[name]) for name in ("seed", "epoch", "position"))


def batches(
    sequences: Sequence[ArrayLike],
    targets: Sequence[Any] | ArrayLike | None = None,
    batch_size: int = 32,
    *,
    shuffle: bool = False,
    rng: Any = None,
    bucket: bool = False,
    drop_last: bool = False,
    batch_first: bool = False,
) -> Batches:
    """Batches of sequences (T_k, ...) of different lengths: ``for x, y, lengths in batches(...)``, one pass a loop.

    x          (T, B, ...), padded with 0 to the longest of the batch; lengths (B,)
    targets    one for each sequence, stacked to y (B, ...); or, where each is as long as its sequence, one for each
               step: y (T, B, ...), where class numbers are padded with -100, which `tg.nn.cross_entropy` does not
               count. None for none
    shuffle    another order each pass, from `rng`
    bucket     sequences of similar length together, so that little is padding
    drop_last  leave out a last batch that is not full

    The position is kept and can be saved: see `Batches`. Raises DataError for what does not fit together.

    >>> for x, y, lengths in batches([[1, 2, 3], [4], [5, 6]], targets=[0, 1, 0], batch_size=2):
    ...     print(x.T.tolist(), y.tolist(), lengths.tolist())
    [[1, 2, 3], [4, 0, 0]] [0, 1] [3, 1]
    [[5, 6]] [0] [2]
    """
    return Batches(sequences, targets, batch_size, shuffle, rng, bucket, drop_last, batch_first)


def _targets(targets: Sequence[Any], lengths: NDArray[np.int64]) -> tuple[list[NDArray[Any]], bool]:
    """The targets, all of one dtype, and whether each is a sequence as long as its x."""
    arrays = [np.asarray(target) for target in targets]
    if len(arrays) != len(lengths):
        raise DataError(f"batches: {len(lengths)} sequences and {len(arrays)} targets")
    if all(y.ndim and len(y) == length for y, length in zip(arrays, lengths, strict=True)):
        arrays = _alike("batches: target", arrays)
        return [y.astype(np.int64) for y in arrays] if arrays[0].dtype.kind == "u" else arrays, True
    for k, y in enumerate(arrays):
        if y.shape != arrays[0].shape:
            raise DataError(
                f"batches: target {k} is {y.shape}, and sequence {k} has {lengths[k]} steps: targets must be of one "
                f"shape, as target 0, {arrays[0].shape}, or each as long as its sequence"
            )
    return _of_one_dtype(arrays), False


def _each(targets: Any) -> Any:
    """The targets one by one; a Tensor of them as an array."""
    return getattr(targets, "array", targets)


def _generator(name: str, rng: Any) -> np.random.Generator:
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: rng must be a seed, a NumPy Generator or None, not {rng!r}") from None
