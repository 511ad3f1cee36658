"""The benchmarks run, at toy sizes, and what they conclude is right. Nothing here depends on how fast anything is."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from benchmarks import (
    best,
    command,
    goals,
    imports,
    layers,
    memory,
    ops,
    peers,
    report,
    timing,
    train,
    variants,
    writing,
)
from benchmarks.goals import ROWS, Bar
from benchmarks.limit import LIMITS
from benchmarks.limit.workspace import row_blocks
from benchmarks.peers import difference, outcome
from benchmarks.problem import GATES, GRID, LONG, Problem, Shape, problem

from tinygrad_rnn.app.charlm import Run, Settings

SHAPES = [Shape(1, 1, 3, 5), Shape(1, 7, 3, 5), Shape(3, 11, 4, 6), Shape(32, 3, 64, 64)]
TOY = Shape(2, 3, 4, 5)

linux = pytest.mark.skipif(not memory.CAN_TELL, reason="the memory of a process is read from Linux's /proc")
every_cell = pytest.mark.parametrize("cell", GATES)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


# ------------------------------------------------------------------ the limit computes what the layers compute


@every_cell
@every_shape
def test_the_limit_agrees_with_our_layers(cell, shape):
    given = problem(cell, shape, "float64")
    assert difference(outcome(peers.limit(given)), outcome(peers.tinygrad_rnn(given))) < 1e-12


@pytest.mark.oracle
@every_cell
@every_shape
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_the_limit_agrees_with_torch(torch, cell, shape, dtype, tolerance):
    given = problem(cell, shape, dtype)
    assert difference(outcome(peers.limit(given)), outcome(peers.torch_layer(given))) < tolerance


@every_cell
def test_the_limit_forgets_the_step_before(cell):
    given, other = problem(cell, TOY, "float64"), problem(cell, TOY, "float64", seed=1)
    by_hand = LIMITS[cell](TOY, "float64")
    expected = by_hand.step(given.weights, given.x, given.y)
    expected = expected[0], {name: gradient.copy() for name, gradient in expected[1].items()}
    by_hand.step(other.weights, other.x, other.y)
    assert difference(by_hand.step(given.weights, given.x, given.y), expected) == 0


@every_cell
def test_large_scores_do_not_overflow(cell):
    given = problem(cell, TOY)
    given.weights["b_o"][0] = 1e4
    assert difference(outcome(peers.limit(given)), outcome(peers.tinygrad_rnn(given))) < 1e-5


@every_cell
def test_the_size_of_a_chunk_changes_nothing(cell):
    given = problem(cell, SHAPES[2], "float64")
    whole, parts = (LIMITS[cell](given.shape, "float64", chunk_bytes=n) for n in (1 << 20, 3000))
    assert len(whole.chunks()) == 1 and len(parts.chunks()) > 2
    arguments = given.weights, given.x, given.y
    assert difference(parts.step(*arguments), whole.step(*arguments)) < 1e-13


def test_only_products_of_a_middling_size_are_cut():
    assert row_blocks(128, 65, 1) == 1  # small already
    assert row_blocks(256, 129, 32) == 2
    assert row_blocks(512, 193, 32) == 4
    assert row_blocks(1024, 385, 64) == 1  # too many blocks would be needed


# ------------------------------------------------------------------ the peers compute the same


def named(names: Iterable[str]) -> list:
    """The names as parameters; what runs in PyTorch carries its marker."""
    torchs = ("torch", "nn.*", "cell", "ops")
    return [pytest.param(name, marks=[pytest.mark.oracle] if name in torchs else []) for name in names]


@pytest.mark.parametrize("name", named(name for name in peers.PEERS if name != "limit"))
@every_cell
def test_a_peer_agrees_with_the_limit(cell, name):
    given = problem(cell, TOY, "float64")
    try:
        peer = peers.PEERS[name](given)
    except ImportError as error:
        pytest.skip(str(error))
    assert difference(outcome(peer), outcome(peers.limit(given))) < 1e-10


def test_a_peer_that_computes_something_else_is_not_timed(monkeypatch):
    def half_a_gradient(given: Problem) -> peers.Peer:
        step, gradients = peers.limit(given)
        return peers.Peer(step, lambda: {**gradients(), "b_o": gradients()["b_o"] / 2})

    monkeypatch.setitem(peers.PEERS, "wrong", half_a_gradient)
    with pytest.raises(AssertionError, match=r"wrong and the limit differ by 5.0e-01 in a step of rnn 2,3,4,5 float32"):
        peers.live(problem("rnn", TOY), ["wrong"])


def test_what_is_not_installed_is_left_out(monkeypatch):
    def missing(given: Problem) -> peers.Peer:
        raise ImportError("no such library")

    monkeypatch.setitem(peers.PEERS, "missing", missing)
    assert list(peers.live(problem("rnn", TOY), ["limit", "missing"])) == ["limit"]


@pytest.mark.parametrize("name", named(ops.LIBRARIES))
def test_a_chain_has_the_gradient_it_should_have(name):
    try:
        mul, tanh = ops.LIBRARIES[name]("mul"), ops.LIBRARIES[name]("tanh")
    except ImportError as error:
        pytest.skip(str(error))
    assert mul(10)[2].tolist() == [11] * 4  # y = x^11 at x = 1
    np.testing.assert_allclose(tanh(2)[2], (1 - math.tanh(1) ** 2) * (1 - math.tanh(math.tanh(1)) ** 2), rtol=1e-5)


# ------------------------------------------------------------------ clocks and memory


def test_candidates_take_turns():
    log: list[str] = []
    ticks = iter(range(1000))
    times = timing.in_turns(
        {"a": lambda: log.append("a"), "b": lambda: log.append("b")}, 0.0, rounds=3, clock=lambda: float(next(ticks))
    )
    assert "".join(log) == "aabb" + "ab" * 3  # two calls each to see how long it takes, then the rounds
    assert times == {"a": 1.0, "b": 1.0}


def taking(*seconds: float) -> tuple[Callable[[], float], Callable[[], None]]:
    """A clock, and something to run that takes these times by it, over and over."""
    now, each = [1.0], itertools.cycle(seconds)

    def run() -> None:
        now[0] += next(each)

    return lambda: now[0], run


def test_the_shortest_run_of_many_short_turns_counts():
    clock, run = taking(9.0, 3.0, 5.0, 9.0, 2.0, 6.0)  # the first of each turn is not counted
    log: list[str] = []
    times = timing.shortest({"a": lambda: (log.append("a"), run())}, 12.0, turn=7.0, clock=clock)
    assert times == {"a": 2.0} and "".join(log) == "a" * 6


def test_one_thread_is_timed_by_the_processor_and_several_by_the_clock():
    wall, both = taking(2.0)
    processor, of_one = taking(1.0)

    def run() -> None:
        both()
        of_one()

    times = timing.shortest({"a, 1": run, "a, 2": run, "b": run}, 3.0, turn=1.0, clock=wall, own=processor)
    assert times == {"a, 1": 1.0, "a, 2": 2.0, "b": 2.0}


def test_all_take_turns_until_each_had_its_time():
    clock, run = taking(1.0)
    log: list[str] = []
    candidates = {name: lambda name=name: (log.append(name), run()) for name in "ab"}
    assert timing.shortest(candidates, 4.0, turn=1.0, clock=clock) == {"a": 1.0, "b": 1.0}
    assert "".join(log) == "aaabbb" * 2  # a run to wake up, and two that last a turn


def test_one_that_takes_ever_so_long_ends_the_turns():
    clock, run = taking(1000.0)
    log: list[str] = []
    candidates = {"quick": lambda: log.append("q"), "stuck": lambda: (log.append("s"), run())}
    ticks = itertools.count()
    times = timing.shortest(candidates, 10.0, turn=0.0, clock=lambda: clock() + 0.001 * next(ticks))
    assert 0 < times["quick"] < 1 and times["stuck"] >= 1000 and log.count("s") == 2


def test_the_number_of_threads_is_set_once_a_turn_and_that_is_not_timed():
    clock, begin = taking(100.0)
    log: list[str] = []
    ticks = itertools.count()  # a step takes one
    step = timing.with_threads(lambda n: (log.append(f"set {n}"), begin()), 2, lambda: log.append("step"))
    times = timing.shortest({"a": step}, 5.0, turn=2.0, clock=lambda: clock() + next(ticks))
    assert times == {"a": 1.0} and log[:2] == ["set 2", "step"]
    assert log.count("set 2") < log.count("step") / 2


@pytest.mark.parametrize("name", variants.VARIANTS)
def test_every_variant_trains(name):
    for fused in (True, False):
        variants.step_of(variants.VARIANTS[name], TOY, fused)()


@pytest.mark.oracle
@pytest.mark.usefixtures("torch")
def test_what_writes_in_torch_writes_characters():
    model = writing.CharLM(96, "lstm", 3, 4, rng=0).eval()
    step = writing.torchs(model)
    assert {int(step()) for _ in range(20)} <= set(range(96))
    assert {writing.ours(model)() for _ in range(5)} <= set(writing.CHARACTERS)


def forty_mebibytes() -> float:
    return memory.growth(lambda: np.ones(5 << 20) is None)  # allocated, and gone again


@pytest.mark.slow
@linux
def test_memory_is_that_of_the_peak():
    assert timing.in_new_process(forty_mebibytes) == pytest.approx(40, abs=4)


# ------------------------------------------------------------------ goals


def results(layers: dict[str, float], cell: str = "lstm", dtype: str = "float32") -> dict:
    """Results in which every shape of the grid took these times."""
    return {"layers": [{"cell": cell, "dtype": dtype, "shape": list(s), "ms": layers} for s in GRID]}


def bar(found: dict, what: str) -> Bar:
    (match,) = (b for b in goals.bars(found) if b.what == what)
    return match


@pytest.mark.parametrize(
    ("worst", "verdict"),
    [(0.5, "better"), (0.51, "at least"), (0.7, "at least"), (0.71, "missed")],
)
def test_a_goal_is_judged_by_its_worst_ratio(worst, verdict):
    assert Bar("x", {"easy": 0.1, "hard": worst}, at_least=0.7, better=0.5).verdict == verdict


def test_goals_of_one_height():
    assert Bar("x", {"": 1.0}, at_least=1.0).verdict == "at least"
    assert Bar("x", {"": 2.0}, at_least=None, better=1.0).verdict == "not better"
    assert Bar("x", {}, at_least=1.0).verdict == "not measured"


def test_a_ratio_is_ours_over_theirs():
    found = results({"fused": 3.0, "limit": 2.0, "cell": 4.0})
    assert bar(found, f"fused LSTM / limit, {ROWS[0]}").measured == {ROWS[0]: 1.5}
    assert [bar(found, f"fused LSTM / limit, {row}").verdict for row in ROWS] == [
        "better", "at least", "at least", "missed", "missed", "missed",
    ]  # fmt: skip
    assert bar(found, "fused LSTM / torch's LSTMCell").measured == dict.fromkeys(ROWS, 0.75)


def test_a_mean_needs_every_row():
    cells = [
        results({"fused": 1.0, "nn.*": ratio}, cell)["layers"]
        for cell, ratio in zip(goals.CELLS, (1, 2, 4), strict=True)
    ]
    everything = {"layers": [record for cell in cells for record in cell]}
    (mean,) = bar(everything, "fused / nn.*, geometric mean").measured.values()
    assert mean == pytest.approx(1 / 2)
    assert bar({"layers": everything["layers"][1:]}, "fused / nn.*, geometric mean").verdict == "not measured"


def test_ratios_at_best_are_those_of_the_best_numbers_of_threads():
    def step(shape: Shape, **ms: float) -> dict:
        return {"cell": "lstm", "shape": list(shape), "ms": {name.replace("_", ", "): t for name, t in ms.items()}}

    found = {"best": [step(s, ours_1=3.0, ours_2=2.0, torch_1=4.0, torch_2=5.0, jax=1.0) for s in (*GRID, LONG[0])]}
    judged = {b.what: (b.worst[1], b.verdict) for b in goals.bars(found) if b.worst}
    assert judged == {
        "LSTM / nn.LSTM, geometric mean": (pytest.approx(0.5), "better"),
        "a layer / nn.*, at best": (0.5, "better"),
        "a layer / nn.*, one thread": (0.75, "better"),
        f"LSTM / nn.LSTM, {LONG[0]}": (0.5, "better"),
        f"LSTM, {GRID[0]}": (2000.0, "missed"),
    }


def test_goals_of_the_other_parts():
    def op(library: str, length: int, forward: float) -> dict:
        return {"op": "mul", "library": library, "length": length, "forward": forward, "backward": 2.0}

    def long(mode: str, T: int, us: float) -> dict:
        return {"mode": mode, "T": T, "layers": 1, "us": us, "kib": 1.0}

    peers = (("fused", 300.0, 10.0), ("nn.*", 200.0, 5.0), ("checkpointed", 39.0, 15.0))
    found = {
        "ops": [op("tinygrad_rnn", 1_000, 1.0), op("torch", 1_000, 2.0), op("tinygrad_rnn", 1_000_000, 1.3)],
        "memory": [{"peer": name, "mib": mib, "ms": ms} for name, mib, ms in peers],
        "length": [long("fused", 1_000, 10.0), long("fused", 100_000, 14.0)],
        "train": [
            {"hidden": 64, "ms": {"ours, 1": 3.0, "ours, 2": 3.5, "torch, 1": 6.0, "torch, 2": 4.0}},
            {"hidden": 128, "ms": {"ours, 1": 9.0, "torch, 1": 6.0}},
            {"steps": 200, "seconds": 4.0},
        ],
        "variants": [
            {"shape": [1, 2, 3, 4], "cell": "LSTM", "ms": 2.0, "composed": 9.0},
            {"shape": [1, 2, 3, 4], "cell": "own", "ms": 4.0, "composed": 9.0},
            {"shape": [1, 2, 3, 4], "cell": "other", "ms": 3.0, "composed": 9.0},
        ],
        "writing": [{"hidden": 128, "us": {"tinygrad_rnn": 61.0}}],
    }
    expected = {
        "an op forward / torch": (0.5, "better"),
        "an op backward / torch": (1.0, "missed"),
        "an op of 1e6 / of 1e3, forward": (1.3, "at least"),
        "memory of T=1000, fused / nn.LSTM": (1.5, "missed"),
        "memory of T=1000, checkpointed": (39.0, "at least"),
        "time of T=1000, checkpointed / fused": (1.5, "missed"),
        "time a step at T=1e5 / T=1e3": (1.4, "missed"),
        "memory a step at T=1e5 / T=1e3": (1.0, "at least"),
        "whole training step / torch, H=64": (0.75, "better"),
        "whole training step / torch, H=128": (1.5, "missed"),
        "cells with options, own cells / plain LSTM": (2.0, "at least"),
        "a character of a sample, H=128": (61.0, "missed"),
    }
    judged = {b.what: (b.worst[1], b.verdict) for b in goals.bars(found) if b.worst}
    assert judged == {what: (pytest.approx(ratio), verdict) for what, (ratio, verdict) in expected.items()}


# ------------------------------------------------------------------ tables, picture, page


def test_a_table_is_aligned():
    assert report.table(("name", "ms", "who"), [("a", "1.00", "x"), ("long name", "-", "")]).splitlines() == [
        "| name      |   ms | who |",
        "|-----------|-----:|-----|",
        "| a         | 1.00 | x   |",
        "| long name |    - |     |",
    ]


def test_numbers_have_three_digits():
    numbers = (0.1234, 9.996, 12.34, 123.4, 12345.6, None)
    assert [report.number(x) for x in numbers] == ["0.12", "10.00", "12.3", "123", "12,346", "-"]


@pytest.fixture
def toys(monkeypatch, tmp_path):
    """Sizes that take no time."""
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. " * 20, "utf-8")
    small = ("--hidden", "4", "--embedding", "4", "--batch", "2", "--window", "4", "--text", str(text))
    sizes = {
        "best": lambda cores: best.measure([TOY], ["rnn"], 0.001, cores),
        "variants": lambda cores: variants.measure([TOY], ["LSTM", "own: leaky"], 0.0),
        "train": lambda cores: train.measure((), 10, options=small),
        "writing": lambda cores: writing.measure([4], 0.0),
        "ops": lambda cores: ops.measure((10, 20)),
        "layers": lambda cores: layers.measure([TOY], ["rnn"], ["float32"], seconds=0.0),
        "memory": lambda cores: memory.measure(TOY, ["limit"]),
        "length": lambda cores: memory.measure_sizes((10,), (1,)),
        "import": lambda cores: imports.measure(1, ["numpy", "tinygrad_rnn"]),
    }
    monkeypatch.setattr(command, "FULL", sizes)
    monkeypatch.setattr(command, "QUICK", sizes)


@linux
@pytest.mark.slow
def test_every_part_runs_and_is_shown(toys, tmp_path, capsys):
    command.main(["--out", str(tmp_path / "run")])
    printed = capsys.readouterr().out
    for title, _ in report.SECTIONS.values():
        assert f"\n## {title}\n" in printed
    assert max(map(len, printed.splitlines())) <= 100
    command.main(["--read", str(tmp_path / "run" / "results.json")])
    assert capsys.readouterr().out == printed
    drawn = tmp_path / "run" / "benchmarks.svg"
    assert not drawn.exists() or "<svg" in drawn.read_text("utf-8")


def test_some_parts_can_be_chosen(toys, capsys):
    command.main(["--only", "import", "--quick"])
    printed = capsys.readouterr().out
    assert "## Import" in printed and "## Ops" not in printed and "at the quick size" in printed
    with pytest.raises(SystemExit):
        command.main(["--only", "import,sleep"])
    assert (
        "no part 'sleep'; there are best,variants,train,writing,ops,layers,memory,length,import"
        in capsys.readouterr().err
    )


@pytest.mark.slow
def test_the_page_is_written_from_a_full_run_alone(toys, monkeypatch, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", "utf-8")
    monkeypatch.setattr(command, "PAGE", page)
    monkeypatch.setattr(command, "FULL", {name: command.FULL[name] for name in ("layers", "import")})
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(command, "PICTURE", tmp_path / "picture.svg")
    for arguments in (["--write-docs", "--quick"], ["--write-docs", "--only", "import"]):
        with pytest.raises(SystemExit):
            command.main(arguments)
        assert "--write-docs needs a full run" in capsys.readouterr().err
    command.main(["--write-docs"])
    written = page.read_text("utf-8")
    assert written.startswith("before\n") and written.endswith("after\n") and "old" not in written
    assert report.in_page(written, json.loads((tmp_path / "results.json").read_text("utf-8"))) == written


def test_a_page_without_marks_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the page lacks the marks"):
        report.in_page("a page", {})


def test_results_keep_four_digits_and_survive_a_file():
    found = {"about": {"load": 0.123456}, "ops": [{"op": "mul", "forward": 1234.567, "length": 1000}], "train": []}
    kept = command.rounded(found)
    assert kept == {"about": {"load": 0.1235}, "ops": [{"op": "mul", "forward": 1235.0, "length": 1000}], "train": []}
    assert json.loads(command.as_json(kept)) == kept


def test_the_page_shows_the_results_that_are_kept():
    page = command.PAGE.read_text("utf-8")
    assert report.in_page(page, json.loads(command.RESULTS.read_text("utf-8"))) == page


def test_the_page_names_every_option_and_part():
    page = command.PAGE.read_text("utf-8")
    for action in command.parser()._actions:
        if action.dest != "help":
            assert f"`{action.option_strings[-1]}" in page
    assert all(f"`{part}`" in page for part in command.FULL)


# ------------------------------------------------------------------ training


@pytest.mark.oracle
@pytest.mark.usefixtures("torch")
def test_the_training_step_in_torch_is_ours(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. " * 20, "utf-8")
    settings = Settings(text=str(text), hidden=5, embedding=4, batch=2, window=6, dropout=0.0, clip=0.1)
    ours = Run(settings)
    theirs = train.torch_run(ours)
    for _ in range(8):
        assert ours.step() == pytest.approx(theirs(), rel=1e-4)
