"""Texts, vocabularies, their entropies, and streams that never lose or repeat a character."""

import itertools
import json
import math
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinygrad_rnn.data import Stream, Vocabulary, bigram_entropy, python_docs, read_text, split, unigram_entropy
from tinygrad_rnn.errors import DataError

TEXTS = st.text(st.characters(), min_size=1)  # surrogates too
SMALL_IDS = st.lists(st.integers(0, 5), min_size=2, max_size=60)

# -- texts ---------------------------------------------------------------------------------------


def test_python_docs_is_prose_and_always_the_same() -> None:
    text = python_docs()
    assert len(text) > 300_000 and "statement" in text and text == python_docs()


@pytest.mark.skipif(sys.version_info[:3] != (3, 11, 7), reason="the text changes with Python")
def test_python_docs_figures() -> None:
    text = python_docs()
    assert (len(text), len(set(text))) == (465_048, 103)
    ids = Vocabulary(text).encode(text)
    assert unigram_entropy(ids) * math.log(2) == pytest.approx(3.250, abs=5e-4)
    assert bigram_entropy(ids) * math.log(2) == pytest.approx(2.458, abs=5e-4)


def test_read_text_keeps_every_character(tmp_path: Path) -> None:
    path, text = tmp_path / "text", "a\r\nb\n\tπ\U0001f600\0"
    path.write_bytes(text.encode())
    assert read_text(path) == read_text(str(path)) == text
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_text(path) == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"abc\xffdef", "not UTF-8: byte 0xff at offset 3"),
        (b"\xef\xbb\xbfabc\xff", "not UTF-8: byte 0xff at offset 6"),
        (b"abc\xe2\x82", "not UTF-8: byte 0xe2 at offset 3"),
        (b"\xff\xfea\0b\0", "not UTF-8: byte 0xff at offset 0"),
    ],
)
def test_read_text_of_a_bad_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_text(path)
    assert repr(str(path)) in str(caught.value) and "\n" not in str(caught.value)


def test_read_text_of_no_file(tmp_path: Path) -> None:
    for path, message in [
        (tmp_path / "missing", "No such file"),
        (tmp_path, "directory"),
        (tmp_path / "nul\0", "null"),
    ]:
        with pytest.raises(DataError, match=message) as caught:
            read_text(path)
        assert repr(str(path)) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_read_text_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.touch(0o000)
    with pytest.raises(DataError, match="Permission denied"):
        read_text(path)


# -- vocabulary ----------------------------------------------------------------------------------


@given(text=TEXTS)
def test_vocabulary_round_trip(text: str) -> None:
    vocabulary = Vocabulary(text)
    assert vocabulary.characters == "".join(sorted(set(text)))
    assert len(vocabulary) == len(set(text))
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int64
    assert ids.tolist() == [vocabulary.characters.index(character) for character in text]
    assert vocabulary.decode(ids) == vocabulary.decode(ids.tolist()) == text
    assert Vocabulary(vocabulary.characters).characters == vocabulary.characters


@given(known=TEXTS, text=TEXTS)
def test_the_first_unknown_character_is_named(known: str, text: str) -> None:
    unknown = [at for at, character in enumerate(text) if character not in known]
    assume(unknown)
    with pytest.raises(DataError) as caught:
        Vocabulary(known).encode(text)
    assert f"character {text[unknown[0]]!r} at position {unknown[0]} " in str(caught.value)


def test_vocabulary_small_cases() -> None:
    vocabulary = Vocabulary("banana")
    assert repr(vocabulary) == "Vocabulary('abn')"
    assert vocabulary.encode("").tolist() == [] and vocabulary.encode("").dtype == np.int64
    assert vocabulary.decode([]) == ""
    assert vocabulary.decode(np.int64(1)) == "b"
    assert vocabulary.decode(np.array([2, 0], np.uint8)) == "na"
    with pytest.raises(DataError, match="found none"):
        Vocabulary("")


@pytest.mark.parametrize("ids", [[3], [-1], [0, 1, 9], [0.5], [[0, 1], [1, 0]], ["a"], [True]])
def test_decode_refuses_what_is_no_row_of_ids(ids: list[int]) -> None:
    with pytest.raises(DataError, match="decode: expected"):
        Vocabulary("abc").decode(ids)


def test_ten_megabytes_round_trip() -> None:
    text = (python_docs() * 30)[:10_000_000]
    vocabulary = Vocabulary(text)
    assert vocabulary.decode(vocabulary.encode(text)) == text


# -- entropy -------------------------------------------------------------------------------------


@given(ids=SMALL_IDS)
def test_entropies_from_the_definition(ids: list[int]) -> None:
    counts, n = Counter(ids), len(ids)
    unigram = -sum(count / n * math.log2(count / n) for count in counts.values())
    assert unigram_entropy(ids) == pytest.approx(unigram, abs=1e-12)
    before, pairs = Counter(ids[:-1]), Counter(itertools.pairwise(ids))
    bigram = -sum(count / (n - 1) * math.log2(count / before[first]) for (first, _), count in pairs.items())
    assert bigram_entropy(ids) == pytest.approx(bigram, abs=1e-12) and bigram_entropy(ids) >= 0


def test_entropies_by_hand() -> None:
    assert unigram_entropy([7, 7, 7]) == 0.0
    assert unigram_entropy(range(8)) == pytest.approx(3.0)
    assert bigram_entropy([0, 0, 1, 1, 0]) == pytest.approx(1.0)
    assert bigram_entropy(np.array([0, 1] * 50, np.int8)) == 0.0
    assert bigram_entropy([0, 2**62, 0, 2**62, 1]) == pytest.approx(0.5)


def test_entropies_of_too_little() -> None:
    with pytest.raises(DataError, match="unigram_entropy: expected at least 1 ids, found 0"):
        unigram_entropy([])
    with pytest.raises(DataError, match="bigram_entropy: expected at least 2 ids, found 1"):
        bigram_entropy([0])


# -- split ---------------------------------------------------------------------------------------


@given(ids=st.lists(st.integers(0, 9)), held_out=st.floats(0, 1, exclude_max=True))
def test_split_keeps_all_in_order(ids: list[int], held_out: float) -> None:
    train, test = split(ids, held_out)
    assert train.tolist() + test.tolist() == ids
    assert len(test) == round(held_out * len(ids))


@pytest.mark.parametrize("held_out", [-0.1, 1, 1.5, float("nan")])
def test_split_refuses_other_fractions(held_out: float) -> None:
    with pytest.raises(DataError, match=r"held_out in \[0, 1\)"):
        split([1, 2, 3], held_out)


# -- streams -------------------------------------------------------------------------------------


@given(batch=st.integers(1, 5), window=st.integers(1, 6), extra=st.integers(0, 100))
def test_one_epoch_reads_each_character_once_and_in_order(batch: int, window: int, extra: int) -> None:
    ids = np.arange(batch * window + 1 + extra)
    stream = Stream(ids, batch, window)
    epoch = [next(stream) for _ in range(stream.windows_per_epoch)]
    assert stream.epoch == 1
    for x, y, _ in epoch:
        assert x.shape == y.shape == (window, batch) and x.dtype == y.dtype == np.int64
        assert np.array_equal(y, x + 1)  # the next character
    rows = np.concatenate([x for x, _, _ in epoch]).T
    assert np.array_equal(rows.ravel(), ids[: rows.size])  # row after row, the text from its start
    assert ids.size - 1 - rows.size < batch * window  # and less than one window is left over
    assert [at_start for _, _, at_start in epoch] == [True] + [False] * (len(epoch) - 1)
    again = next(stream)
    assert again.at_start and np.array_equal(again.x, epoch[0].x)


def test_a_stream_continues_exactly_from_its_position() -> None:
    ids = np.random.default_rng(0).integers(0, 50, 1000)
    whole = Stream(ids, batch=3, window=7)
    windows = [next(whole) for _ in range(150)]
    for stop in (0, 1, 46, 47, 48, 100):
        resumed = Stream(ids, batch=3, window=7)
        resumed.position = json.loads(json.dumps(stop))
        for expected in windows[stop:]:
            window = next(resumed)
            assert np.array_equal(window.x, expected.x) and np.array_equal(window.y, expected.y)
            assert window.at_start == expected.at_start
        assert resumed.position == whole.position == 150
        assert resumed.epoch == whole.epoch == 150 // whole.windows_per_epoch


def test_windows_by_index() -> None:
    stream = Stream(range(13), batch=2, window=3)
    assert stream.windows_per_epoch == 2 and stream.position == 0
    assert stream[1].x.tolist() == stream[3].x.tolist() == [[3, 9], [4, 10], [5, 11]]
    assert stream[2].at_start and not stream[3].at_start
    assert stream.position == 0  # looking does not advance


def test_a_window_can_be_changed_without_changing_the_text() -> None:
    ids = np.arange(13)
    stream = Stream(ids, batch=1, window=3)
    stream[0].x[:] = stream[0].y[:] = -1
    assert stream[0].x.ravel().tolist() == [0, 1, 2] and ids.tolist() == list(range(13))


def test_a_text_too_short_says_how_much_is_needed() -> None:
    for size in (0, 1, 12):
        with pytest.raises(DataError, match=f"need at least 13 characters, found {size}"):
            Stream(np.arange(size), batch=3, window=4)
    assert Stream(np.arange(13), batch=3, window=4).windows_per_epoch == 1


@pytest.mark.parametrize("value", [0, -1, 2.5, "3", None])
def test_batch_and_window_must_be_positive_integers(value: int) -> None:
    with pytest.raises(DataError, match="batch: expected a positive integer"):
        Stream(range(100), batch=value, window=1)
    with pytest.raises(DataError, match="window: expected a positive integer"):
        Stream(range(100), batch=1, window=value)
    with pytest.raises(DataError, match="Stream: expected a 1-d array of integers"):
        Stream([[0.5]], batch=1, window=1)


# -- texts of any size ---------------------------------------------------------------------------


def test_the_ids_of_a_text_need_no_more_bytes_than_they_must() -> None:
    for distinct, dtype in [(2, np.uint8), (256, np.uint8), (257, np.uint16), (70_000, np.uint32)]:
        text = "".join(map(chr, range(100, 100 + distinct)))
        vocabulary = Vocabulary(text)
        ids = vocabulary.encode(text, vocabulary.smallest)
        assert ids.dtype == dtype and ids.tolist() == list(range(distinct))
        assert vocabulary.decode(ids) == text


def test_small_ids_give_the_same_windows_and_entropies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygrad_rnn.data.text.BLOCK", 7)  # so that a short text has many blocks
    text = python_docs()[:1000]
    vocabulary = Vocabulary(text)
    ids, small = vocabulary.encode(text), vocabulary.encode(text, np.uint8)
    monkeypatch.undo()
    assert ids.tolist() == small.tolist() == [vocabulary.characters.index(c) for c in text]
    assert small.nbytes * 8 == ids.nbytes
    (x, y, _), (x_small, y_small, _) = Stream(ids, 3, 5)[7], Stream(small, 3, 5)[7]
    assert x_small.dtype == y_small.dtype == np.int64  # as indices, and to compute with
    assert np.array_equal(x, x_small) and np.array_equal(y, y_small)
    for block in (7, 1 << 18):  # pairs counted in a table, or sorted
        monkeypatch.setattr("tinygrad_rnn.data.text.BLOCK", block)
        counts, pairs = Counter(text), Counter(itertools.pairwise(text))
        before = Counter(text[:-1])
        assert unigram_entropy(small) == pytest.approx(-sum(n / 1000 * math.log2(n / 1000) for n in counts.values()))
        bigram = -sum(n / 999 * math.log2(n / before[a]) for (a, _), n in pairs.items())
        assert bigram_entropy(small) == pytest.approx(bigram)


def test_the_beginning_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "text"
    text = "\U0001f600aπ\r\n" * 1000
    for data in (text.encode(), b"\xef\xbb\xbf" + text.encode()):
        path.write_bytes(data)
        for characters in (1, 2, 5, 999, 10**18):
            assert read_text(path, characters) == text[:characters]
    path.write_bytes(b"abc" + b"d" * 100 + b"\xff")
    assert read_text(path, 3) == "abc"  # and what is behind is not looked at


def test_a_text_that_is_open_is_read_and_stays_open(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("abc")
    with (tmp_path / "text").open("rb") as file:
        assert read_text(file) == "abc" and not file.closed
        with pytest.raises(DataError, match="text of standard input: the file is empty"):
            read_text(file)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="a device of POSIX systems")
def test_a_device_that_never_ends_is_refused() -> None:
    with pytest.raises(DataError, match="a device"):
        read_text("/dev/zero")


def test_a_text_that_memory_cannot_hold_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Huge:
        def read(self) -> bytes:
            raise MemoryError

    with pytest.raises(MemoryError, match="to read the text of standard input"):
        read_text(Huge())  # type: ignore[arg-type]
