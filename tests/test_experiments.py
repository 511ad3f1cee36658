"""The experiments run at a small size, measure what they say, and conclude from what they measured."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import data
from tinygrad_rnn.app.cli import main
from tinygrad_rnn.data import Stream, Vocabulary, python_docs
from tinygrad_rnn.errors import DrawError
from tinygrad_rnn.experiments import (
    EXPERIMENTS,
    Adding,
    AnBn,
    CarriedState,
    Cliff,
    ContinualReber,
    CopyMemory,
    EmbeddedReber,
    InfluenceBalancing,
    MinCharRNN,
    TemporalOrder,
    adding,
    cliff,
    continual_reber,
    embedded_reber,
    influence_balancing,
    min_char_rnn,
    report,
    temporal_order,
)
from tinygrad_rnn.experiments.experiment import SOURCES, WIDTH, unwatched

every = pytest.mark.parametrize("kind", EXPERIMENTS.values(), ids=EXPERIMENTS)


def measured(experiment, only: str = "", seed: int = 0):
    """What one case of an experiment gives."""
    ((_, (found,)),) = experiment.run([seed], only)
    return found


def concluded(experiment, results) -> str:
    return " ".join(experiment.conclude(results))


# ------------------------------------------------------------------ what all of them are


@cache
def quick(kind):
    """(case, what was measured) of the small size, run once for all tests."""
    return list(kind.quick().run([0]))


@pytest.mark.slow
@every
def test_the_small_size_runs_and_reports(kind, capsys, tmp_path):
    out = tmp_path / "picture.svg" if find_spec("matplotlib") else None
    report(kind.quick(), seeds=[0], out=out)
    printed = capsys.readouterr().out
    assert printed.startswith(f"{kind.name}: {kind.proves}\n")
    assert [line for line in printed.splitlines() if len(line) > WIDTH and "picture" not in line] == []
    assert "sizes " in printed  # and no figures to compare with, which belong to other sizes
    assert not any(line.endswith(source) for line in printed.splitlines() for source in SOURCES)
    assert "\n- " in printed.partition("Concluded from the numbers above:")[2]
    assert out is None or (printed.endswith("picture.svg\n") and "<svg" in out.read_text("utf-8"))


@pytest.mark.slow
@every
def test_a_seed_decides_every_number(kind):
    np.testing.assert_equal(quick(kind), list(kind.quick().run([0])))


@pytest.mark.parametrize("kind", [CarriedState, EmbeddedReber, MinCharRNN], ids=lambda kind: kind.name)
def test_another_seed_gives_other_numbers(kind):
    model = kind.quick()
    case = model.cases()[0]
    results = [model.measure(case, seed, unwatched) for seed in (0, 1)]
    with pytest.raises(AssertionError):
        np.testing.assert_equal(*results)


@every
def test_the_cells_fit_their_columns(kind):
    for case, found in quick(kind):
        for cells, _ in kind.quick().rows(case, found):
            assert len(cells) == len(kind.columns)
            for cell, (head, width) in zip(cells, kind.columns.items(), strict=True):
                assert max(len(cell), len(head)) <= width, (head, cell)


@every
def test_what_is_known_fits_too_and_names_its_source(kind):
    module = sys.modules[kind.__module__]
    room = WIDTH - sum(kind.columns.values()) - 2 * len(kind.columns) - 2 - max(map(len, SOURCES))
    cases = {case for each in kind().cases() for case in (each, str(each))}
    for case, known in getattr(module, "KNOWN", {}).items():
        assert len(known.figure) <= room and known.source in SOURCES, (case, known)
        if kind is CopyMemory:
            case, updates = case
            assert updates in kind().checks
        assert case in cases or kind in (Cliff, MinCharRNN), f"{kind.name} has no case {case}"


@every
def test_the_names_of_the_cases_fit(kind):
    first = next(iter(kind.columns.values()))
    if kind not in (MinCharRNN, Cliff, CarriedState, CopyMemory):  # of these a case has several rows
        assert all(len(str(case)) <= first for case in kind().cases())


def test_only_some_cases(capsys):
    assert [str(case) for case, _ in Adding.quick().run(only="irnn")] == ["IRNN-8 T=10"]
    with pytest.raises(ValueError, match="adding has no case with 'transformer' in its name; it has LSTM-8 T=10; "):
        next(Adding.quick().run(only="transformer"))


def test_what_draws_nothing_is_measured_once():
    found = dict(InfluenceBalancing.quick().run([0, 1]))
    assert [len(runs) for runs in found.values()] == [1, 1, 2, 2]


@every
def test_every_part_of_the_results_can_be_concluded_from(kind):
    """As with --only, or with no case that came out as expected."""
    for case, found in quick(kind):
        assert all(isinstance(sentence, str) for sentence in kind.quick().conclude({case: found}))


# ------------------------------------------------------------------ the command


def test_the_list(capsys):
    assert main(["bptt", "experiment"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(EXPERIMENTS) and all(len(line) <= WIDTH for line in lines)


def test_one_of_them(capsys, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(python_docs()[:5000], "utf-8")
    assert main(["bptt", "experiment", "min-char-rnn", "--quick", "--seeds", "4", "--text", str(text)]) == 0
    printed = capsys.readouterr().out
    assert "\nseed     4\n" in printed and "bigram" in printed
    assert main(["bptt", "experiment", "cliff", "--quick", "--only", "grid"]) == 0
    assert "SGD, " not in capsys.readouterr().out.partition("what ")[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["sorting"], "no experiment 'sorting'; there are influence-balancing, "),
        (["cliff", "--text", "a.txt"], "--text is for min-char-rnn: cliff makes its own data"),
        (["cliff", "--only", "transformer"], "no case with 'transformer'"),
        (["min-char-rnn", "--text", "missing.txt"], "text 'missing.txt': No such file"),
    ],
)
def test_what_cannot_be_run_is_refused(options, message, capsys):
    assert main(["bptt", "experiment", *options, "--quick"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("seed", ["-1", "x", "1.5"])
def test_a_seed_that_is_none_is_refused(seed, capsys):
    with pytest.raises(SystemExit):
        main(["bptt", "experiment", "cliff", f"--seeds={seed}"])
    assert f"expected a whole number from 0 to 10^18, got {seed!r}" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["picture.doc", "picture", "no/such/folder/picture.svg"])
def test_a_picture_that_could_not_be_written_is_refused_first(path, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    assert main(["bptt", "experiment", "cliff", "--out", path]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(f"tinygrad-rnn: {path}: ")


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(DrawError, match=r"tinygrad_rnn\[plot\]"):
        report(Cliff.quick(), out="picture.svg")
    report(Cliff.quick())


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_what_was_measured_is_there_when_it_is_stopped(tmp_path):
    command = [sys.executable, "-m", "tinygrad_rnn", "bptt", "experiment", "cliff"]
    code = "import tinygrad_rnn.experiments as e; e.Cliff.descend = lambda *_: __import__('time').sleep(60); "
    code += "from tinygrad_rnn.app.cli import main; raise SystemExit(main(['bptt', 'experiment', 'cliff', '--quick']))"
    with (tmp_path / "out").open("w") as out, subprocess.Popen([*command[:1], "-c", code], stdout=out) as process:
        while "part above 1" not in (tmp_path / "out").read_text():
            time.sleep(0.02)
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert "largest |gradient|" in (tmp_path / "out").read_text()


# ------------------------------------------------------------------ influence balancing


TRUNCATED = {1: 1, 10: 10, 15: 14.675903, 19: 16.476059, 25: 14.199284, 30: 9.869932}
TRUNCATED |= {40: 0.565538, 50: -4.752671, 100: -6}


@pytest.mark.parametrize(("K", "derivative"), list(TRUNCATED.items()))
def test_the_truncated_derivative_by_formula_and_on_the_tape(K, derivative):
    assert influence_balancing.truncated_derivative(K) == pytest.approx(derivative, abs=6e-7)
    system = influence_balancing.System()
    _, s = system(influence_balancing.signs(100), influence_balancing.start())
    s, _ = system(influence_balancing.signs(K), tg.bptt.detach(s))
    s[-1, 0].backward()
    assert system.theta.grad == pytest.approx(influence_balancing.truncated_derivative(K), abs=1e-9)


def test_every_window_of_up_to_40_steps_has_the_wrong_sign():
    derivatives = [influence_balancing.truncated_derivative(K) for K in range(1, 200)]
    assert [K for K, value in enumerate(derivatives, 1) if value > 0] == list(range(1, 41))
    assert max(derivatives) == derivatives[18]


def test_the_best_theta_is_where_the_loss_is_zero():
    system = influence_balancing.System()
    system.theta.data = influence_balancing.BEST
    assert system(influence_balancing.signs(400), influence_balancing.start())[1].data[0] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("pi", "deviation"), [(0.999, 3.3244), (0.99, 11.5460), (0.95, 41.1581), (0.9, 118.6074), (0.5, 5.24e8)]
)
def test_the_deviation_of_the_random_derivative(pi, deviation):
    assert influence_balancing.randomized_deviation(pi) == pytest.approx(deviation, rel=1e-3 if pi == 0.5 else 5e-5)


def test_random_derivatives_on_the_tape():
    rng = np.random.default_rng(0)
    exact = influence_balancing.Spread(1.0, 1, 3, 150).derivatives(rng, unwatched)
    np.testing.assert_allclose(exact, -6, atol=1e-9)
    z = influence_balancing.Spread(0.999, 8, steps=150).derivatives(rng, unwatched)
    assert z.mean() == pytest.approx(-6, abs=0.2) and z.std() == pytest.approx(3.3244, abs=0.4)


def test_small_windows_go_the_wrong_way_and_large_ones_the_right_one():
    """2.7: the bias of a truncated gradient can be its sign."""
    experiment = InfluenceBalancing(tuple(influence_balancing.Window(K, 60) for K in (10, 30, 50, 100)))
    ends = [found[0].theta[-1] for _, found in experiment.run([0])]
    assert min(ends[:2]) > 0.5 > max(ends[2:])


def test_the_first_update_by_hand():
    """θ ← θ - lr (s_1 - 1) ds_1/dθ, at the end of the window of K steps, or with π = 1 summed over all steps."""
    A, signs = influence_balancing.A, influence_balancing.SIGNS
    s, z, steps = np.ones(23), np.zeros(23), []
    for _ in range(4):
        s, z = A @ s + 0.5 * signs, A @ z + signs
        steps.append((s[0] - 1) * z[0])
    for case, gradient in (
        (influence_balancing.Window(1, 1), steps[0]),
        (influence_balancing.Window(4, 1), steps[3]),
        (influence_balancing.Random(1.0, 1e-4, 4), sum(steps)),
    ):
        assert measured(InfluenceBalancing((case,))).theta == [pytest.approx(0.5 - 1e-4 * gradient, abs=1e-15)]


def test_random_windows_have_random_sizes():
    sizes = measured(InfluenceBalancing((influence_balancing.Random(0.8, 1e-9, 2000),))).sizes
    assert sum(sizes) == 2000 and np.mean(sizes) == pytest.approx(5, rel=0.15) and len(set(sizes)) > 10


def test_influence_balancing_concludes_from_what_came_out():
    window, random = influence_balancing.Window(50, 2), influence_balancing.Random(0.9, 1e-4, 2)
    Trained = influence_balancing.Trained
    near, far = Trained([0.5, -1 / 6], [50, 50]), Trained([0.5, 2e6], [50, 50])
    experiment = InfluenceBalancing.quick()
    text = concluded(experiment, {window: [near], random: [near, near]})
    assert "away from -1/6 with none; it reached it with K=50" in text and "every seed at π=0.9" in text
    text = concluded(experiment, {window: [far], random: [near, far]})
    assert "away from -1/6 with K=50; it reached it with none" in text and "π=0.9 lr=0.0001 diverged" in text


# ------------------------------------------------------------------ clipping


def test_temporal_order_of_ten_steps_is_solved():
    run = measured(TemporalOrder(lengths=(10,), rates=(0.1,), test_every=10, test_size=500), "clip=1")
    assert run.solved is not None and run.solved <= 750 and run.errors[-1] <= 0.01 < min(run.errors[:-1])


def test_clipping_is_what_differs():
    sizes = {"lengths": (10,), "rates": (2.0,), "updates": 20, "test_every": 5, "test_size": 300}
    (plain, clipped), errors = zip(*TemporalOrder(**sizes).run([0]), strict=True)
    assert plain._replace(clip=1.0) == clipped and errors[0] != errors[1]


def test_temporal_order_concludes_from_what_came_out():
    Case, Found = temporal_order.Case, temporal_order.Found
    yes, no = Found(250, [0.0]), Found(None, [0.5])
    text = concluded(TemporalOrder(), {Case(20, 0.1, None): [no, no], Case(20, 0.1, 1.0): [yes, yes]})
    assert "helped at rate 0.1 (solved: 0, then 2); it did not at none" in text
    assert "Without clipping, the longest L solved with every seed at some rate is none." in text
    assert "With clipping, the longest L solved with every seed at some rate is 20." in text
    text = concluded(TemporalOrder(), {Case(20, 0.1, None): [yes, yes], Case(20, 0.1, 1.0): [yes, no]})
    assert "helped at rate none; it did not at 0.1 (solved: 2, then 1)" in text
    text = concluded(TemporalOrder(), {Case(20, 0.1, None): [yes], Case(20, 0.1, 1.0): [yes]})
    assert "helped at rate none" in text


def test_the_cliff_is_where_it_was_found():
    w, b = (tg.tensor(value, requires_grad=True) for value in (5.904, -3.175))
    Cliff().error(w, b).backward()
    assert np.hypot(w.grad, b.grad) == pytest.approx(469678, abs=1)


def test_the_surface_is_the_gradient_at_each_point():
    surface = measured(Cliff(grid=(3, 2)), "grid")
    for i, j in np.ndindex(3, 2):
        w, b = (tg.tensor(value, requires_grad=True) for value in (surface.w[i], surface.b[j]))
        Cliff().error(w, b).backward()
        assert surface.norms[i, j] == pytest.approx(np.hypot(w.grad, b.grad), rel=1e-9)


@pytest.mark.slow
def test_without_clipping_the_edge_throws_it_far_away():
    free, clipped = measured(Cliff(), "not clipped"), measured(Cliff(), "clipped to")
    np.testing.assert_allclose(free.points[-1], [14.37, 13.41], atol=0.005)
    assert free.error == pytest.approx(0.09, abs=1e-4) and clipped.error < 0.01
    steps = np.linalg.norm(np.diff(clipped.points, axis=0), axis=1)
    assert steps.max() <= 0.05 + 1e-12


def test_cliff_concludes_from_what_came_out():
    path = cliff.Path(np.array([[0.0, 0.0], [3.0, 4.0]]), 0.25)
    assert "With clipping the longest step of SGD was 5, and it ended at E = 0.25" in concluded(
        Cliff(), {"SGD, clipped to 1": [path]}
    )


# ------------------------------------------------------------------ memory


def test_adding_learns_a_short_sum():
    case = adding.Case("GRU", 6, 16, 0.01, 300)
    assert measured(Adding((case,), tests=2, test_size=200)).error < adding.BASELINE / 3


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "IRNN", "tanh RNN"])
def test_the_layers_of_the_adding_problem(cell):
    layer = adding.make_layer(cell, 5, np.random.default_rng(0))
    assert type(layer).__name__ == cell.split()[-1].removeprefix("I")
    if cell == "IRNN":
        np.testing.assert_array_equal(layer.W_hh.data, np.eye(5))
        assert layer.cells[0].nonlinearity == "relu"


def test_adding_concludes_from_what_came_out():
    good, bad = adding.Found([(1, 0.001)], 1.0), adding.Found([(1, 0.1670)], 0.1)
    irnn, rnn = adding.Case("IRNN", 100, 100, 1e-3, 1), adding.Case("tanh RNN", 100, 32, 1e-3, 1)
    text = concluded(Adding(), {irnn: [good], rnn: [bad]})
    assert "answering 1: IRNN-100 T=100." in text and "nothing was learned: tanh RNN-32 T=100." in text
    assert "a vanilla RNN, without any gate, can learn from numbers up to 100 steps back" in text
    assert "vanilla" not in concluded(Adding(), {irnn: [bad], rnn: [bad]})


def test_when_to_speak_is_learned_first():
    losses = measured(CopyMemory(T=1, hidden=32, checks=(300,)), "GRU")
    assert len(losses) == 300
    assert np.mean(losses[-20:]) == pytest.approx(data.copy_memory_baseline(1), rel=0.03) and losses[0] > 2


def test_copy_concludes_from_what_came_out():
    experiment = CopyMemory(checks=(200,))
    baseline = data.copy_memory_baseline(20)
    text = concluded(
        experiment, {"LSTM": [[9.0] * 100 + [0.8 * baseline] * 100], "GRU": [[9.0] * 100 + [baseline] * 100]}
    )
    assert "below 0.95 of the baseline: LSTM." in text and "Not: GRU" in text


@pytest.mark.slow
def test_a_state_that_is_carried_bridges_forty_windows():
    """E46: windows of 5 steps do not limit what is remembered to 5 steps."""
    experiment = CarriedState(chunks=1500)
    carried, reset = measured(experiment, "carried"), measured(experiment, "zero")
    assert min(carried.values()) > 0.99
    assert reset[4] > 0.99 and max(reset[10], reset[200]) < 0.6


def test_carried_state_concludes_from_what_came_out():
    right, wrong = dict.fromkeys((4, 10, 50, 200), 1.0), {4: 1.0, 10: 0.5, 50: 0.5, 200: 0.5}
    text = concluded(CarriedState(), {"carried": [right, right]})
    assert "at lags 4, 10, 50 and 200." in text and "does not limit" in text
    text = concluded(CarriedState(), {"carried": [right, wrong]})
    assert "at lags 4." in text and "seems to limit" in text


# ------------------------------------------------------------------ grammars


class Oracle(tg.nn.Module):
    """Stands for a model whose scores are what a function makes of the symbols read."""

    def __init__(self, scores):
        self.scores = scores

    def forward(self, x, state=None, lengths=None):
        return tg.tensor(self.scores(np.asarray(x))), state


def test_what_counts_in_an_embedded_string():
    strings = ["BTBTXSETE", "BPBPVVEPE", "BPBTSSXSEPE"]
    T = embedded_reber.SYMBOLS.encode("T")[0]

    def remembering(x):  # (T, B, symbols): the second symbol, at every step
        return np.broadcast_to(x[1], x.shape)

    assert embedded_reber.outer_right(Oracle(remembering), strings) == 1
    assert embedded_reber.outer_right(Oracle(lambda x: -remembering(x)), strings) == 0
    always_T = np.eye(7)[T]
    assert embedded_reber.outer_right(Oracle(lambda x: np.broadcast_to(always_T, x.shape)), strings) == 1 / 3

    def only_when_asked(x):  # the right answer after the inner E, the wrong one everywhere else
        asked = x[..., embedded_reber.SYMBOLS.encode("E")] * (np.arange(len(x)) > 3)[:, None, None]
        return np.where(asked, 1, -1) * remembering(x)

    assert embedded_reber.outer_right(Oracle(only_when_asked), strings[:2]) == 1


@pytest.mark.parametrize("case", EmbeddedReber().cases(), ids=str)
def test_the_models_of_the_embedded_grammar(case):
    model = embedded_reber.make_model(8, case.forget, np.random.default_rng(0), cut=case.cut)
    (cell,) = model.recurrent.cells
    assert (cell.forget_gate, cell.cut_gate_gradient) == (case.forget, case.cut)
    biases = {gate: set(cell.b_h.data[cell.gate(gate)]) for gate in cell.gates if gate != "g"}
    assert biases == {"i": {-1}, "o": {-1}} | ({"f": {1}} if case.forget else {})


def test_solved_means_every_string():
    for _, (run,) in quick(EmbeddedReber):
        assert (run.solved is not None) == (run.tests[-1] == 1) and len(run.tests) == 2


def test_embedded_reber_concludes_from_what_came_out():
    Case, Found = embedded_reber.Case, embedded_reber.Found
    fast, slow, never = Found(1000, [1.0]), Found(9000, [1.0]), Found(None, [0.5])
    results = {Case(False, False): [slow, never, slow], Case(False, True): [fast, fast, slow]}
    text = concluded(EmbeddedReber(), results)
    assert "solved with 2 of 3 seeds by the full gradient, with 3 by the cut one" in text
    assert "fewer strings with 2 seeds and more with 0" in text and "probability 0.50" in text
    assert "enough for 1997 cell, cut" in text
    assert "enough" not in concluded(EmbeddedReber(), {Case(True, True): [never]})


def test_which_symbols_of_a_stream_count():
    stream = data.continual_reber(40, 5)
    asked = np.flatnonzero(continual_reber.ends_next(stream))
    rng, position, expected = np.random.default_rng(5), 0, []
    for _ in range(40):
        position += len(data.embedded_reber(rng))
        expected.append(position - 2)
    assert asked.tolist() == expected


def test_the_test_of_a_stream():
    stream = "BTBTXSETEBPBPVVEPE"

    def remembering(x):  # (T, symbols): the T or P after the last B that followed an E
        symbols = [embedded_reber.SYMBOLS.characters[k] for k in x.argmax(-1)]
        scores, kept = np.zeros(x.shape), None
        for t, symbol in enumerate(symbols):
            if "".join(symbols[max(0, t - 2) : t]) == "EB":
                kept = symbol
            if kept:
                scores[t, embedded_reber.SYMBOLS.encode(kept)] = 1
        return scores

    assert ContinualReber().test(Oracle(remembering), None, stream) == 1
    assert ContinualReber().test(Oracle(lambda x: -remembering(x)), None, stream) == 0


def test_the_state_is_carried_from_chunk_to_chunk():
    """Nothing is forgotten without a forget gate, so that many short chunks pile up."""
    norms = measured(ContinualReber(chunks=60, strings=1, test_strings=2), "without").norms
    assert norms[-1] > 10 * norms[0]


def test_continual_reber_concludes_from_what_came_out():
    Found = continual_reber.Found
    text = concluded(ContinualReber(), {"without forget gate": [Found(0.5, [1.0, 2.0, 3.0, 4.0])]})
    assert "|c| is 2.0 after half of the training and 4.0 at its end: it still grows" in text
    assert "0 of 1 seeds kept the symbol" in text
    text = concluded(ContinualReber(), {"with forget gate": [Found(1.0, [1.0, 2.0, 2.0, 2.0])]})
    assert "does not grow any more" in text and "1 of 1 seeds kept the symbol" in text


def test_which_n_are_accepted():
    def counting(x):  # right up to n = 7: beyond, the end is expected too early
        a, b = x[..., 1].cumsum(0), x[..., 2].cumsum(0)
        end = (b > 0) & (b >= np.minimum(a, 7))
        return np.stack([b == 0, (a > 0) & ~end, end], axis=-1) - 0.5

    assert AnBn(tested=12).accepted(Oracle(counting)) == 7
    assert AnBn(tested=7).accepted(Oracle(counting)) == 7
    assert AnBn(tested=5).accepted(Oracle(lambda x: -counting(x))) == 0


def test_anbn_learns_the_first_strings():
    assert measured(AnBn(units=6, trained=2, tested=4, updates=400), "GRU") >= 2


def test_anbn_concludes_from_what_came_out():
    text = concluded(AnBn(), {"LSTM": [12, 20, 30], "GRU": [10, 90, 15]})
    assert "every seed: LSTM." in text and "median of the seeds: LSTM, to n = 20" in text


# ------------------------------------------------------------------ text


def test_min_char_rnn_concludes_from_what_came_out():
    levels = {"unigram": 3.0, "bigram": 2.0}
    learned = min_char_rnn.Found("a text", [], [4.0, 2.5, 1.5], levels, "text")
    text = concluded(MinCharRNN(), {"": [learned]})
    assert "below the unigram entropy at iteration 1." in text and "below the bigram entropy at iteration 2." in text
    assert "its state" in text and "It writes: 'text'" in text
    text = concluded(MinCharRNN(), {"": [min_char_rnn.Found("a text", [], [4.0, 2.5], levels, "text")]})
    assert "stayed above the bigram entropy" in text and "its state" not in text


def test_the_initial_values_of_min_char_rnn():
    for name, parameter in min_char_rnn.make_model(60, 80, 0).named_parameters():
        deviation = 0.01 if parameter.ndim == 2 else 0
        assert parameter.dtype == np.float64 and np.std(parameter.data) == pytest.approx(deviation, rel=0.05), name


def test_the_smooth_loss_is_that_of_min_char_rnn():
    found = measured(MinCharRNN(hidden=5, iterations=3))
    smooth = np.log(len(set(python_docs())))
    assert found.losses[0] == pytest.approx(smooth, abs=0.01)
    for loss, shown in zip(found.losses, found.smooth[1:], strict=True):
        smooth = 0.999 * smooth + 0.001 * loss
        assert shown == pytest.approx(smooth)
    assert len(found.sample) == 200
    assert f"{len(python_docs()):,} characters" in found.text and "SHA-256" in found.text


@pytest.mark.oracle
def test_min_char_rnn_is_that_of_torch(torch):
    """In each of 100 iterations on the same text the loss is torch's, and so is every weight after the update.

    Both start each iteration from the same weights: of two free runs a difference of 1e-13 in one iteration becomes
    1e-9 in the tenth, so steep is the beginning of this training.
    """
    vocabulary = Vocabulary(python_docs())
    ids, features = vocabulary.encode(python_docs()[:2600]), np.eye(len(vocabulary))
    model = min_char_rnn.make_model(len(vocabulary), 100, 0)
    rnn = torch.nn.RNN(len(vocabulary), 100, dtype=torch.float64)
    head = torch.nn.Linear(100, len(vocabulary), dtype=torch.float64)
    rnn.bias_hh_l0.requires_grad = False  # torch's two biases are one here
    parameters = [p for p in (*rnn.parameters(), *head.parameters()) if p.requires_grad]
    optimizer, h = torch.optim.Adagrad(parameters, lr=0.1, eps=1e-4), None

    def take_over():
        for theirs, ours in ((rnn, model.recurrent), (head, model.head)):
            theirs.load_state_dict({name: torch.as_tensor(array) for name, array in tg.io.to_torch(ours).items()})

    take_over()
    losses = []
    for loss, (x, y, at_start) in zip(
        min_char_rnn.train(model, Stream(ids, 1, 25), features, 100), Stream(ids, 1, 25), strict=False
    ):
        output, h = rnn(torch.as_tensor(features[x]), None if at_start else h.detach())
        expected = torch.nn.functional.cross_entropy(head(output)[:, 0], torch.as_tensor(y[:, 0]), reduction="sum")
        optimizer.zero_grad()
        expected.backward()
        torch.nn.utils.clip_grad_value_(parameters, 5.0)
        optimizer.step()
        assert loss == pytest.approx(expected.item(), abs=1e-9)
        for theirs, ours in ((rnn, model.recurrent), (head, model.head)):
            for name, array in tg.io.to_torch(ours).items():
                np.testing.assert_allclose(array, theirs.state_dict()[name], rtol=0, atol=1e-9)
        take_over()
        losses.append(loss)
    assert len(losses) == 100 and np.mean(losses[-10:]) < losses[0]


def test_the_last_lines_name_the_sources(capsys):
    class Small(Cliff):
        """A report without a run."""

        def cases(self):
            return ["SGD, clipped to 1"]

        def measure(self, case, seed, progress):
            return cliff.Path(np.zeros((2, 2)), 0.001)

    report(Small())
    printed = capsys.readouterr().out
    assert "0.00199" in printed and f"\nearlier  {SOURCES['earlier']}" in printed and "sizes" not in printed


def test_no_picture_is_made_unasked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report(Cliff.quick())
    assert list(Path(tmp_path).iterdir()) == []


# ------------------------------------------------------------------ the page


PAGE = (Path(__file__).parents[1] / "docs" / "experiments.md").read_text("utf-8")


def test_the_page_has_the_list_and_every_option(capsys):
    main(["bptt", "experiment"])
    assert f"```\n{capsys.readouterr().out}```" in PAGE
    with pytest.raises(SystemExit):
        main(["bptt", "experiment", "--help"])
    options = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) - {"--help"}
    assert options == set(re.findall(r"--[a-z]+", "".join(re.findall(r"^\| `--.*$", PAGE, re.MULTILINE))))


@every
def test_the_page_shows_its_setup_and_table(kind):
    setup = f"{kind.name}: {kind.proves}\n\n{textwrap.fill(inspect.getdoc(kind), WIDTH)}"
    heads = r"\s+".join(map(re.escape, [*kind.columns, "known", "source"]))
    shown = f"$ tinygrad-rnn bptt experiment {kind.name}\n{setup}"
    assert f"## {kind.name}\n" in PAGE
    assert re.search(re.escape(shown) + rf"\n\n{heads}\n", PAGE), f"run {kind.name} again for the page"
