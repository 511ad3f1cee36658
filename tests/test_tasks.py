"""The synthetic tasks are those that their definitions describe, and the same seed gives the same sequences."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest

from tinygrad_rnn.data import (
    REBER,
    REBER_SYMBOLS,
    Vocabulary,
    adding,
    anbn,
    continual_reber,
    copy_memory,
    copy_memory_baseline,
    embedded_reber,
    last_sign,
    reber,
    temporal_order,
)
from tinygrad_rnn.errors import DataError

BATCHES = {"adding": adding, "temporal_order": temporal_order, "copy_memory": copy_memory, "last_sign": last_sign}


@pytest.mark.parametrize("task", BATCHES.values(), ids=BATCHES)
def test_a_seed_decides_and_a_generator_goes_on(task):
    (x, y), (again_x, again_y) = task(12, 4, 7), task(12, 4, 7)
    assert np.array_equal(x, again_x) and np.array_equal(y, again_y)
    rng = np.random.default_rng(7)
    first, second = task(12, 4, rng)[0], task(12, 4, rng)[0]
    assert np.array_equal(first, x) and not np.array_equal(second, x)


# ------------------------------------------------------------------ batches


@pytest.mark.parametrize("T", [2, 3, 20])
def test_adding(T):
    x, y = adding(T, 5000, 0)
    assert x.shape == (T, 5000, 2) and y.shape == (5000,)
    values, marked = x[:, :, 0], x[:, :, 1]
    assert set(np.unique(marked)) <= {0, 1} and 0 <= values.min() <= values.max() < 1
    assert (marked[: T // 2].sum(0) == 1).all() and (marked[T // 2 :].sum(0) == 1).all()
    assert marked.any(1).all()  # each step is marked in some sequence
    np.testing.assert_allclose((values * marked).sum(0), y)
    np.testing.assert_allclose(np.mean((y - 1) ** 2), 1 / 6, rtol=0.05)


@pytest.mark.parametrize("T", [10, 20, 25, 50])
def test_temporal_order(T):
    x, y = temporal_order(T, 4000, 0)
    assert x.shape == (T, 4000, 6) and (x.sum(-1) == 1).all()
    symbols = x.argmax(-1).T  # (B, T)
    counting = symbols < 2
    assert (counting.sum(1) == 2).all()
    first, second = np.nonzero(counting)[1].reshape(-1, 2).T
    assert set(first) == set(range(T // 10, 2 * T // 10)) and set(second) == set(range(T // 2, 6 * T // 10))
    rows = np.arange(4000)
    assert np.array_equal(y, 2 * symbols[rows, first] + symbols[rows, second])
    assert set(symbols.ravel()) == set(range(6)) and set(y) == {0, 1, 2, 3}


@pytest.mark.parametrize("T", [1, 2, 20])
def test_copy_memory(T):
    x, y = copy_memory(T, 500, 0)
    assert x.shape == (T + 20, 500, 10) and y.shape == (T + 20, 500) and (x.sum(-1) == 1).all()
    read = x.argmax(-1)
    assert np.array_equal(read[:10], y[-10:]) and set(read[:10].ravel()) == set(range(8))
    assert (read[10 : T + 9] == 8).all() and (read[T + 9] == 9).all() and (read[T + 10 :] == 8).all()
    assert (y[:-10] == 8).all()


@pytest.mark.parametrize(("T", "level"), [(20, 0.51986), (50, 0.29706308), (100, 0.17328680), (500, 0.03998926)])
def test_the_copy_baseline_is_that_of_the_literature(T, level):
    assert copy_memory_baseline(T) == pytest.approx(level, abs=5e-6)
    assert copy_memory_baseline(T) == pytest.approx((10 * math.log(8) + (T + 10) * math.log(1)) / (T + 20))


def test_last_sign():
    x, y = last_sign(60, 200, 0)  # p = 0.1, where nothing else is said
    assert x.shape == (60, 200, 1) and y.shape == (60, 200) and (x[0] != 0).all()
    for sequence, target in zip(x[:, :, 0].T, y.T, strict=True):
        last = 0.0
        for value, expected in zip(sequence, target, strict=True):
            last = value or last
            assert expected == (last > 0)
    assert np.mean(x[1:] != 0) == pytest.approx(0.1, abs=0.01)
    assert (last_sign(5, 50, 0, p=1.0)[0] != 0).all() and (last_sign(5, 50, 0, p=0.0)[0][1:] == 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: adding(1, 1, 0), "adding: expected T of 2 or more"),
        (lambda: temporal_order(9, 1, 0), "temporal_order: expected T of 10 or more.* found 9"),
        (lambda: copy_memory(0, 1, 0), "copy_memory: expected T of 1 or more"),
        (lambda: last_sign(0, 1, 0), "last_sign: expected T of 1 or more"),
        (lambda: last_sign(3, 1, 0, p=1.5), "probability p in .* found 1.5"),
        (lambda: anbn(0), "anbn: expected n of 1 or more, found 0"),
    ],
)
def test_a_task_that_cannot_be_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()


# ------------------------------------------------------------------ grammars


def is_reber(string: str) -> bool:
    """Whether the graph has a walk with these symbols, from its start to its end."""
    node = 0
    for symbol in string:
        if node == len(REBER) or symbol not in REBER[node]:
            return False
        node = REBER[node][symbol]
    return node == len(REBER)


def test_the_graph_is_that_of_the_papers():
    good = ["BTXSE", "BPVVE", "BTSXSE", "BTSSXXTTVPSE", "BPTVPXTVVE", "BTXXVVE", "BPVPSE"]
    bad = ["BTXE", "BPVE", "TXSE", "BTXS", "BTXSEE", "BTPSE", "BPXSE", "BTXVVE", ""]
    assert all(map(is_reber, good)) and not any(map(is_reber, bad))
    assert "".join(sorted({symbol for node in REBER for symbol in node})) == REBER_SYMBOLS


def test_reber_strings_take_every_way():
    strings = [reber(seed) for seed in range(500)]
    assert all(map(is_reber, strings))
    taken = {pair for string in strings for pair in itertools.pairwise(string)}
    assert {"TS", "SS", "TX", "XS", "XX", "PT", "TT", "PV", "VP", "VV", "PS", "PX"} <= {"".join(p) for p in taken}
    assert np.mean([string[1] == "T" for string in strings]) == pytest.approx(0.5, abs=0.07)


def test_embedded_reber():
    strings = [embedded_reber(seed) for seed in range(300)]
    for string in strings:
        assert string[0] == "B" and string[-1] == "E" and string[1] == string[-2] in "TP" and is_reber(string[2:-2])
    assert min(map(len, strings)) == 9
    assert np.mean([string[1] == "T" for string in strings]) == pytest.approx(0.5, abs=0.09)
    assert Vocabulary(REBER_SYMBOLS).encode("BTE").tolist() == [0, 4, 1]


def test_continual_reber_is_embedded_strings_in_a_row():
    text = continual_reber(50, 3)
    rng = np.random.default_rng(3)
    assert text == "".join(embedded_reber(rng) for _ in range(50))
    assert len(re.findall("EB[TP]B", text)) == 49


@pytest.mark.parametrize("n", [1, 2, 10])
def test_anbn(n):
    x, y = anbn(n)
    assert "".join("Sab"[k] for k in x.argmax(-1)) == "S" + n * "a" + n * "b" and (x.sum(-1) == 1).all()
    language = {m * "a" + m * "b" + "T" for m in range(1, 30)}
    read = ""
    for step, symbol in enumerate("S" + n * "a" + n * "b"):
        read += symbol.strip("S")
        follows = [any(string.startswith(read + symbol) for string in language) for symbol in "abT"]
        assert y[step].tolist() == follows
