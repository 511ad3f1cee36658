"""Text as training data: characters become integers, integers become streams for truncated BPTT.

A stream cuts the text into `batch` long rows that are read side by side, `window` characters at a
time. Row b of one window continues row b of the window before, so the hidden state carried from
window to window always belongs to the text that comes next:

    text   abcdefghijkl|m        batch = 2, window = 3
    row 0  abc def               window 0: abc, ghi
    row 1  ghi jkl               window 1: def, jkl        the target of each is the next character
"""

import codecs
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from tinygrad_rnn.errors import DataError

Ids = NDArray[np.int64]
BLOCK = 1 << 18  # characters at a time, so that a text of any size needs little memory beside itself


def python_docs() -> str:
    """The default corpus, which every CPython carries: the language reference as English prose.

    About 465,000 characters, 103 distinct; both change a little with the version of Python.

    >>> "grammar" in python_docs()
    True
    """
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def read_text(path: str | os.PathLike[str] | IO[bytes], characters: int | None = None) -> str:
    """The text of a UTF-8 file, every character kept but a byte order mark.

    path         the file; or one that is open, as ``sys.stdin.buffer`` is
    characters   how many to read from its beginning, for no more is in memory then; None for all

    Raises DataError when the file is missing, a folder, a device, unreadable, empty or not UTF-8, MemoryError that
    says what for.

    >>> read_text("no/such/file.txt")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    tinygrad_rnn.errors.DataError: text 'no/such/file.txt': No such file or directory; expected ...
    """
    where = f"text {os.fspath(path)!r}" if isinstance(path, str | os.PathLike) else "text of standard input"
    cure = "expected the path of a UTF-8 text file"
    try:
        with open(path, "rb") if isinstance(path, str | os.PathLike) else nullcontext(path) as file:
            if file is not path and _is_device(file):
                raise DataError(f"{where}: a device, which need not end; {cure}")
            if characters is None:
                text = file.read().decode("utf-8").removeprefix("\ufeff")
            else:
                data = file.read(min(4 * characters + 3, max(os.fstat(file.fileno()).st_size, BLOCK)))
                text = codecs.getincrementaldecoder("utf-8")().decode(data).removeprefix("\ufeff")[:characters]
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: not UTF-8: byte {error.object[error.start]:#04x} at offset {error.start}; "
            "convert the file to UTF-8 first"
        ) from error
    except MemoryError:
        raise MemoryError(f"to read the {where}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: {getattr(error, 'strerror', None) or error}; {cure}") from error
    if not text:
        raise DataError(f"{where}: the file is empty; {cure}")
    return text


def _is_device(file: IO[bytes]) -> bool:
    mode = os.fstat(file.fileno()).st_mode
    return stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and not file.isatty())


class Vocabulary:
    """The distinct characters of a text, sorted; a character's place among them is its id.

    `Vocabulary(other.characters)` is the same vocabulary, so that string is all a checkpoint needs.

    Raises DataError when the text is empty.

    >>> vocabulary = Vocabulary("hello")
    >>> vocabulary.characters, vocabulary.encode("hello"), vocabulary.decode([1, 0, 2, 2, 3])
    ('ehlo', array([1, 0, 2, 2, 3]), 'hello')
    """

    characters: str

    def __init__(self, text: str) -> None:
        if not text:
            raise DataError("Vocabulary: expected some text, found none; give a text to learn from")
        self.characters = "".join(sorted(set(text)))
        self._codes = _codes(self.characters)
        self._ids = np.full(sys.maxunicode + 1, -1, np.int64)  # by code point
        self._ids[self._codes] = np.arange(len(self))

    def __len__(self) -> int:
        return len(self.characters)

    def __repr__(self) -> str:
        return f"Vocabulary({self.characters!r})"

    def encode(self, text: str, dtype: DTypeLike = np.int64) -> NDArray[Any]:
        """The ids of a text's characters; raises DataError at the first one that has none.

        dtype   of the ids; `smallest` takes the least memory

        >>> Vocabulary("abc").encode("cab")
        array([2, 0, 1])
        """
        ids = np.empty(len(text), dtype)
        for start in range(0, len(text), BLOCK):
            part = self._ids[_codes(text[start : start + BLOCK])]
            if part.min() < 0:
                at = start + int(part.argmin())  # the first of them
                raise DataError(
                    f"encode: character {text[at]!r} at position {at} is not one of the {len(self)} in "
                    "the vocabulary; take it out, or make the vocabulary from a text that has it"
                )
            ids[start : start + BLOCK] = part
        return ids

    @property
    def smallest(self) -> np.dtype[Any]:
        """The smallest dtype that holds the ids: one byte each for up to 256 characters.

        >>> Vocabulary("abc").encode("cab", Vocabulary("abc").smallest)
        array([2, 0, 1], dtype=uint8)
        """
        return np.min_scalar_type(len(self) - 1)

    def decode(self, ids: ArrayLike) -> str:
        """The text of some ids, one row of them; raises DataError for anything else.

        >>> Vocabulary("abc").decode([2, 0, 1])
        'cab'
        """
        row = _row("decode", ids)
        if row.size and not 0 <= row.min() <= row.max() < len(self):
            raise DataError(
                f"decode: expected ids from 0 to {len(self) - 1}, found {row.min()} to "
                f"{row.max()}; use the vocabulary that encoded them"
            )
        return self._codes[row].tobytes().decode("utf-32-le", "surrogatepass")


def unigram_entropy(ids: ArrayLike) -> float:
    """H(x_t) in bits: the loss of a model that knows how often each character occurs, no more.

    Raises DataError when there are no ids.

    >>> unigram_entropy([0, 1, 0, 1])
    1.0
    """
    return _entropy(_counts(_dense(_row("unigram_entropy", ids, at_least=1))))


def bigram_entropy(ids: ArrayLike) -> float:
    """H(x_t | x_{t-1}) in bits: the loss of a model that remembers one character and no more.

    A recurrent network that does worse has learned nothing from its state.

    Raises DataError when there are fewer than two ids.

    >>> bigram_entropy([0, 1, 0, 1])
    0.0
    """
    row = _dense(_row("bigram_entropy", ids, at_least=2))
    pairs, before = _counts(row, then=True), _counts(row[:-1])
    return max(0.0, _entropy(pairs) - _entropy(before))  # H(x, y) = H(x) + H(y | x)


def _entropy(counts: NDArray[np.int64]) -> float:
    p = counts / counts.sum()
    return float(p @ np.log2(1 / p))


def _counts(row: NDArray[Any], then: bool = False) -> NDArray[np.int64]:
    """How often each id that occurs does, or each pair of one and the next: block by block, since texts are large."""
    base = int(row.max()) + 1
    size = base ** (1 + then)
    found, counts = np.empty(0, np.int64), np.zeros(size if size <= BLOCK else 0, np.int64)
    for start in range(0, len(row) - then, BLOCK):
        block = row[start : start + BLOCK + then].astype(np.int64)
        keys = block[:-1] * base + block[1:] if then else block
        if size <= BLOCK:
            counts += np.bincount(keys, minlength=size)
        else:
            keys, times = np.unique(keys, return_counts=True)
            found, place = np.unique(np.concatenate([found, keys]), return_inverse=True)
            counts = np.bincount(place, np.concatenate([counts, times])).astype(np.int64)
    return counts[counts > 0]


def _dense(row: NDArray[Any]) -> NDArray[Any]:
    """The same ids in small numbers, so that pairs of them fit in 64 bits."""
    if row.min() >= 0 and row.max() < 1 << 21:  # code points, as a vocabulary gives them
        return row
    return np.unique(row, return_inverse=True)[1]


class Window(NamedTuple):
    """Some steps of a stream: inputs, targets (time, batch), and whether the text starts here: see `Stream`."""

    x: Ids
    y: Ids
    at_start: bool


class Stream:
    """An endless stream of windows over a text, for truncated backpropagation through time.

    Each window is `x, y, at_start`: inputs and next characters, both int64 of shape (window,
    batch), and whether the stream is at the start of the text, first or again, where a carried
    state belongs to nothing and must be reset. `position` counts the windows handed out; save it
    and set it to continue exactly. At most batch * window characters at the end are left over.

    Raises DataError when the text is too short for one window in each row.

    >>> stream = Stream(Vocabulary("abcdefghijklm").encode("abcdefghijklm"), batch=2, window=3)
    >>> for x, y, at_start in stream:
    ...     state = "reset" if at_start else "carried"
    ...     print(x.T.tolist(), y.T.tolist(), state)
    ...     if stream.position == 3:
    ...         break
    [[0, 1, 2], [6, 7, 8]] [[1, 2, 3], [7, 8, 9]] reset
    [[3, 4, 5], [9, 10, 11]] [[4, 5, 6], [10, 11, 12]] carried
    [[0, 1, 2], [6, 7, 8]] [[1, 2, 3], [7, 8, 9]] reset
    """

    position: int
    windows_per_epoch: int

    def __init__(self, ids: ArrayLike, batch: int, window: int) -> None:
        for name, value in (("batch", batch), ("window", window)):
            if not isinstance(value, int | np.integer) or value < 1:
                raise DataError(f"Stream: {name}: expected a positive integer, found {value!r}")
        row = _row("Stream", ids)
        self.windows_per_epoch = int((row.size - 1) // (batch * window))
        if self.windows_per_epoch < 1:
            raise DataError(
                f"Stream: {batch} rows of {window} characters and their targets need at least "
                f"{batch * window + 1} characters, found {row.size}; "
                "give a longer text, or a smaller batch or window"
            )
        steps = self.windows_per_epoch * window
        self._x = row[: batch * steps].reshape(batch, steps).T
        self._y = row[1 : batch * steps + 1].reshape(batch, steps).T
        self._window = window
        self.position = 0

    @property
    def epoch(self) -> int:
        """How many times the text has been read to its end."""
        return self.position // self.windows_per_epoch

    def __getitem__(self, index: int) -> Window:
        place = index % self.windows_per_epoch
        steps = slice(place * self._window, (place + 1) * self._window)
        return Window(self._x[steps].astype(np.int64), self._y[steps].astype(np.int64), place == 0)

    def __iter__(self) -> Iterator[Window]:
        return self

    def __next__(self) -> Window:
        window = self[self.position]
        self.position += 1
        return window


def _codes(text: str) -> NDArray[np.uint32]:
    """One code point a character, without a Python loop over them."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))


def _row(where: str, ids: ArrayLike, at_least: int = 0) -> NDArray[Any]:
    """The ids as a 1-d array of integers, or a DataError."""
    row = np.atleast_1d(np.asarray(ids))
    if row.size and (row.ndim != 1 or row.dtype.kind not in "iu"):
        raise DataError(
            f"{where}: expected a 1-d array of integers, found {row.ndim}-d of {row.dtype}; "
            "give what Vocabulary.encode gives"
        )
    if row.size < at_least:
        raise DataError(f"{where}: expected at least {at_least} ids, found {row.size}")
    return row if row.dtype.kind in "iu" else row.astype(np.int64)
