"""Sequences of different lengths in batches: padded, in an order that can be resumed; splitting; metrics."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn.data import IGNORED, batches, mask, pad, split
from tinygrad_rnn.errors import DataError, ShapeError, StateDictError

lengths_of = st.lists(st.integers(0, 6), min_size=1, max_size=20).filter(any)


def sequences(lengths, width=2):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, width)) for n in lengths]


# ------------------------------------------------------------------ padding


@given(lengths=lengths_of, batch_first=st.booleans())
def test_padding_loses_nothing(lengths, batch_first):
    xs = sequences(lengths)
    x, ends = pad(xs, value=7, batch_first=batch_first)
    x = x if batch_first else x.swapaxes(0, 1)
    assert ends.tolist() == lengths and x.shape == (len(xs), max(lengths), 2)
    for row, given_, n in zip(x, xs, lengths, strict=True):
        assert np.array_equal(row[:n], given_) and (row[n:] == 7).all()


def test_padding_to_a_length_and_its_mask():
    x, ends = pad([[1, 2], [3]], length=4)
    assert x.T.tolist() == [[1, 2, 0, 0], [3, 0, 0, 0]]
    assert mask(ends, 4).T.tolist() == [[True, True, False, False], [True, False, False, False]]
    assert np.array_equal(mask(ends, batch_first=True), mask(ends).T)


@pytest.mark.parametrize(
    ("given_", "options", "message"),
    [
        ([], {}, "no sequences"),
        ([3], {}, "sequence 0 is"),
        ([[1], [[1]]], {}, "sequence 1 is"),
        ([["a"]], {}, "numbers of shape"),
        ([[1, 2, 3]], {"length": 2}, "length=2, and sequence 0 has 3 steps"),
    ],
)
def test_what_cannot_be_padded_is_named(given_, options, message):
    with pytest.raises(DataError, match=message):
        pad(given_, **options)


# ------------------------------------------------------------------ batches


@given(lengths=lengths_of, size=st.integers(1, 7), shuffle=st.booleans(), bucket=st.booleans(), drop=st.booleans())
def test_a_pass_has_every_sequence_once_with_its_target(lengths, size, shuffle, bucket, drop):
    xs = [np.full(n, k) for k, n in enumerate(lengths)]
    if drop and len(xs) < size:
        return
    data = batches(xs, list(range(len(xs))), size, shuffle=shuffle, bucket=bucket, drop_last=drop, rng=0)
    seen = []
    for x, y, ends in data:
        assert x.shape[1] == len(y) == len(ends) <= size
        for column, target, n in zip(x.T, y, ends, strict=True):
            assert n == lengths[target] and (column[:n] == target).all() and not column[n:].any()
            seen.append(target)
    assert len(seen) == len(set(seen)) == (len(xs) // size * size if drop else len(xs))
    assert data.epoch == 1 and data.position == 0


def test_without_shuffling_the_order_is_kept_and_with_it_each_pass_has_its_own():
    xs = [[k] for k in range(40)]
    plain = [y for _, ys, _ in batches(xs, range(40), 8) for y in ys]
    assert plain == list(range(40))
    shuffled = batches(xs, range(40), 8, shuffle=True, rng=0)
    first, second = ([y for _, ys, _ in shuffled for y in ys] for _ in range(2))
    assert sorted(first) == sorted(second) == plain and first != second != plain
    again = batches(xs, range(40), 8, shuffle=True, rng=0)
    assert [y for _, ys, _ in again for y in ys] == first


@pytest.mark.parametrize("shuffle", [False, True])
def test_buckets_pad_little(shuffle):
    lengths = np.random.default_rng(0).integers(1, 100, 320)
    xs = [np.zeros(n) for n in lengths]

    def padding(**options):
        return sum(x.size - ends.sum() for x, _, ends in batches(xs, None, 16, shuffle=shuffle, rng=0, **options))

    assert padding(bucket=True) < padding() / 5


def test_targets_for_each_step_are_padded_so_that_they_do_not_count():
    xs, ys = [[1, 2, 3], [4]], [[0, 1, 0], [2]]
    (batch,) = batches(xs, ys, 2)
    assert batch.y.T.tolist() == [[0, 1, 0], [2, IGNORED, IGNORED]] and batch.weight == 4
    scores = np.random.default_rng(0).normal(size=(3, 2, 3))
    inside = mask(batch.lengths)
    expected = tg.nn.cross_entropy(scores[inside], batch.y[inside]).item()
    assert tg.nn.cross_entropy(scores, batch.y).item() == pytest.approx(expected)
    (batch,) = batches(xs, [[0.5, 1, 0], [2.5]], 2, batch_first=True)
    assert batch.y.tolist() == [[0.5, 1, 0], [2.5, 0, 0]] and batch.weight == 4
    assert next(iter(batches(xs, [3, 4], 2))).weight == 2
    assert next(iter(batches(xs, None, 2))).weight == 2


def test_a_pass_broken_off_goes_on_where_it_was_also_in_another_program():
    xs, ys = [[k] for k in range(20)], range(20)
    data = batches(xs, ys, 3, shuffle=True, rng=1)
    expected = [y.tolist() for _ in range(2) for _, y, _ in data]
    data, seen = batches(xs, ys, 3, shuffle=True, rng=1), []
    for _, y, _ in data:
        if len(seen) == 4:
            break  # before it is done with
        seen.append(y.tolist())
    other = batches(xs, ys, 3, shuffle=True, rng=99)
    other.load_state_dict(data.state_dict())
    seen += [y.tolist() for _ in range(2) for _, y, _ in other]
    assert seen == expected
    assert next(iter(data)).y.tolist() == expected[4]  # looking at a batch does not use it up


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([[1]], None, 0), {}, "batch_size must be"),
        (([[1]], None, True), {}, "batch_size must be"),
        (([], None, 2), {}, "0 sequences"),
        (([[1]], None, 2), {"drop_last": True}, "1 sequences make no batch of 2"),
        (([[1], [2]], [1], 2), {}, "2 sequences and 1 targets"),
        (([1, 2], None, 2), {}, "sequence 0 is"),
        (([[1], [[1]]], None, 1), {}, r"batches: sequence 1 is \(1, 1\)"),
        (([[1], ["a"]], None, 1), {}, "batches: sequence 1 is .* numbers"),
        (([[1, 2], [3, 4, 5]], [[0, 1], [0]], 1), {}, r"target 1 is \(1,\), and sequence 1 has 3 steps"),
        (([[1, 2], [3]], [[[0], [1]], [0]], 1), {}, r"batches: target 1 is \(1,\)"),
    ],
)
def test_what_makes_no_batches_is_named(arguments, options, message):
    with pytest.raises(DataError, match=message):
        batches(*arguments, **options)


def test_a_batch_does_not_depend_on_what_else_is_in_it():
    data = batches([[1, 2], [3], [0.5]], [[1, 0], [2], [0.5]], 1)
    assert {(x.dtype.str, y.dtype.str) for x, y, _ in data} == {("<f8", "<f8")}
    first, second = batches([[1, 2], [3, 4]], [[1.5, 2], [3, 4]], 1), batches([[1], [2, 3]], [[1], [2, 0.5]], 2)
    assert next(iter(first)).y.dtype == float
    assert next(iter(second)).y.T.tolist() == [[1, 0], [2, 0.5]]  # numbers are padded with 0, class numbers are not


def test_class_numbers_of_any_kind_are_padded_so_that_they_do_not_count():
    for kind in (np.uint8, np.int8, np.uint64):
        (batch,) = batches([[1, 2], [3]], [np.array([1, 0], kind), np.array([1], kind)], 2)
        assert batch.y.T.tolist() == [[1, 0], [1, IGNORED]] and batch.weight == 3


def test_what_holds_sequences_may_be_of_any_kind():
    xs = [np.ones(2), np.zeros(3)]
    objects = np.empty(2, object)
    objects[:] = xs
    for held in (xs, tuple(xs), objects, [tg.tensor(x) for x in xs], [x.tolist() for x in xs]):
        for targets in ([0, 1], (0, 1), tg.tensor([0, 1]), np.array([0, 1]), [tg.tensor(0), tg.tensor(1)]):
            (batch,) = batches(held, targets, 2)
            assert batch.x.T.tolist() == [[1, 1, 0], [0, 0, 0]] and batch.y.tolist() == [0, 1]


def test_a_place_among_other_batches_is_refused():
    data = batches([[k] for k in range(8)], None, 2)
    for _ in data:
        if data.position == 2:
            break
    state = data.state_dict()
    for other, what in ((batches([[k] for k in range(8)], None, 4), "batch_size=2, not 4"),
                        (batches([[k] for k in range(9)], None, 2), "sequences=8, not 9")):  # fmt: skip
        with pytest.raises(StateDictError, match=what):
            other.load_state_dict(state)
        assert other.position == 0
        other.load_state_dict(state | {"position": 0, "epoch": 3})
        assert other.epoch == 3
    with pytest.raises(StateDictError, match="missing epoch, position, seed"):
        data.load_state_dict({"sequences": 8, "batch_size": 2})


def test_all_batches_are_given_whatever_the_position():
    data = batches([[k] for k in range(6)], None, 2, shuffle=True, rng=0)
    for k, copied in enumerate((data, pickle.loads(pickle.dumps(data)), copy.deepcopy(data))):
        expected = [batch.x.tolist() for batch in copied.all()]
        assert [batch.x.tolist() for batch in copied.all()] == expected and copied.position == 0
        assert [batch.x.tolist() for batch in copied] == expected, k


def test_a_generator_that_is_none_is_named():
    with pytest.raises(TypeError, match="rng must be a seed"):
        batches([[1]], shuffle=True, rng="no")


# ------------------------------------------------------------------ splitting


def test_what_belongs_together_is_split_together():
    x, y = np.arange(20).reshape(10, 2), [str(k) for k in range(10)]
    (a, b), (a_out, b_out) = split(x, y, held_out=0.3)
    assert np.array_equal(np.concatenate([a, a_out]), x) and b + b_out == y and len(b_out) == 3
    (a, b), (a_out, b_out) = split(x, y, held_out=0.3, rng=0)
    assert sorted(b + b_out) == y and b + b_out != y
    assert [str(row[0] // 2) for row in np.concatenate([a, a_out])] == b + b_out
    ragged = [[1], [2, 3], [4]]
    assert split(ragged, 0.34) == ([[1], [2, 3]], [[4]])


def test_data_of_different_sizes_are_not_split():
    with pytest.raises(DataError, match=r"these have \[2, 3\]"):
        split([1, 2], [1, 2, 3])


# ------------------------------------------------------------------ metrics


def test_metrics():
    scores = tg.tensor([[0.0, 1.0], [2.0, 1.0], [0.0, 5.0]])
    assert tg.metrics.accuracy(scores, [1, 0, 0]) == pytest.approx(2 / 3)
    assert tg.metrics.accuracy(scores, [1, 1, IGNORED]) == 0.5
    assert tg.metrics.perplexity(tg.tensor(math.log(3))) == pytest.approx(3)
    assert tg.metrics.perplexity(1000.0) == math.inf
    assert tg.metrics.bits(math.log(2)) == pytest.approx(1)
    assert tg.metrics.mean_absolute_error([1.0, -1.0], [0.0, 1.0]) == 1.5
    assert tg.metrics.root_mean_squared_error(tg.tensor([3.0, 0.0]), [0.0, 4.0]) == pytest.approx(math.sqrt(12.5))


def test_nan_is_never_good():
    assert tg.metrics.accuracy([[math.nan, 1.0], [0.0, 1.0]], [0, 1]) == 0.5  # argmax would choose the nan
    assert tg.metrics.accuracy([[math.nan, 1.0], [0.0, 1.0]], [1, 1]) == 0.5
    assert math.isnan(tg.metrics.perplexity(math.nan)) and math.isnan(tg.metrics.bits(math.nan))


def test_metrics_name_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"of scores \(2, 3\) the targets are \(2,\), got \(3,\)"):
        tg.metrics.accuracy(np.zeros((2, 3)), [1, 2, 3])
    for metric in (tg.metrics.mean_absolute_error, tg.metrics.root_mean_squared_error):
        with pytest.raises(DataError, match="nothing to take the mean of"):
            metric([], [])
    with pytest.raises(DataError, match="no target counts"):
        tg.metrics.accuracy(np.zeros((1, 3)), [IGNORED])
    for metric in (tg.metrics.mean_absolute_error, tg.metrics.root_mean_squared_error):
        with pytest.raises(ShapeError, match=metric.__name__):
            metric([1.0, 2.0], [1.0])
