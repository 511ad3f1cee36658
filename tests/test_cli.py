"""The command line, end to end at a reduced size: train, stop, go on, sample, draw, and every kind of bad input."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.app import train as training
from tinygrad_rnn.app.charlm import Run, Settings, build, read_log, sample
from tinygrad_rnn.app.cli import main, parser
from tinygrad_rnn.app.options import COUNT, FRACTION, RATE, REAL, SEED, Number
from tinygrad_rnn.data import Vocabulary, python_docs
from tinygrad_rnn.io import load_arrays

CLASSES = {"Stream", "Vocabulary", "Settings", "Adam", "SGD", "LSTM", "CharLM", "Run", "Error", "encode", "split"}
SMALL = ["--embedding", "4", "--hidden", "8", "--batch", "4", "--window", "16", "--quiet"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder with a text of 20,000 characters in it."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(python_docs()[:20_000], "utf-8")
    return tmp_path


def train(*options: str) -> int:
    return main(["train", *SMALL, *options])


def resume(run: str, steps: int) -> int:
    return main(["train", "--resume", run, "--steps", str(steps), "--quiet"])


def arrays_equal(a: Path, b: Path) -> bool:
    (first, about_first), (second, about_second) = load_arrays(a), load_arrays(b)
    about_first["settings"].pop("steps"), about_second["settings"].pop("steps")
    return (
        about_first == about_second
        and first.keys() == second.keys()
        and all(np.array_equal(first[name], second[name]) for name in first)
    )


# ------------------------------------------------------------------ the main job


def test_train_leaves_a_run_and_reports_it(here, capsys):
    assert train("--text", "text.txt", "--steps", "30", "--out", "run") == 0
    assert {path.name for path in Path("run").iterdir()} >= {
        "model.safetensors",
        "checkpoint.safetensors",
        "settings.json",
        "log.jsonl",
        "sample.txt",
        "graph.svg",
    }
    printed = capsys.readouterr().out
    assert "20,000 characters" in printed and "unigram" in printed and "bigram" in printed and "held out" in printed
    assert all(len(line) <= 80 for line in printed.split("\n\n")[0].splitlines())
    log = [json.loads(line) for line in Path("run/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [10, 20, 30]
    assert log[-1]["bits"] < log[0]["bits"] and "held_out_bits" in log[-1]
    assert json.loads(Path("run/settings.json").read_text())["hidden"] == 8
    assert Path("run/graph.svg").read_text("utf-8").startswith("<svg")


def test_the_loss_picture_is_made_where_matplotlib_is_installed(here):
    pytest.importorskip("matplotlib")
    assert train("--text", "text.txt", "--steps", "10", "--out", "run") == 0
    assert "<svg" in Path("run/loss.svg").read_text("utf-8")


def test_without_matplotlib_everything_else_is_made(here, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert train("--text", "text.txt", "--steps", "10", "--out", "run") == 0
    assert "tinygrad_rnn[plot]" in capsys.readouterr().err
    assert Path("run/graph.svg").exists() and not Path("run/loss.svg").exists()


@pytest.mark.parametrize("options", [["--cell", "gru", "--layers", "2"], ["--cell", "rnn", "--optimizer", "sgd"]])
def test_the_options_reach_the_run(here, options):
    assert train("--text", "text.txt", "--steps", "3", "--out", "run", *options, "--clip", "0") == 0
    settings = json.loads(Path("run/settings.json").read_text())
    assert settings["cell"] == options[1] and settings["clip"] == 0


def test_training_learns(here):
    run = Run(Settings(text="text.txt", embedding=16, hidden=32, batch=8, window=32, steps=120))
    losses = [run.step() for _ in range(120)]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_runs_are_numbered_and_never_overwritten(here, capsys):
    assert train("--text", "text.txt", "--steps", "1") == 0
    assert train("--text", "text.txt", "--steps", "1") == 0
    assert Path("runs/1/model.safetensors").exists() and Path("runs/2/model.safetensors").exists()
    assert train("--text", "text.txt", "--steps", "1", "--out", "runs/1") == 2
    assert "--resume runs/1" in capsys.readouterr().err


# ------------------------------------------------------------------ stopping and going on


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 17, 40])
def test_a_resumed_run_is_bit_for_bit_the_run_that_never_stopped(here, stop):
    options = ["--text", "text.txt", "--layers", "2", "--dropout", "0.3", "--batch", "8", "--window", "64"]
    steps = 45  # more than one epoch: the text has 37 windows
    assert train(*options, "--steps", str(steps), "--out", "whole") == 0
    assert train(*options, "--steps", str(stop), "--out", "parts") == 0
    assert resume("parts", steps) == 0
    assert arrays_equal(Path("whole/model.safetensors"), Path("parts/model.safetensors"))
    assert arrays_equal(Path("whole/checkpoint.safetensors"), Path("parts/checkpoint.safetensors"))


def test_the_log_of_a_resumed_run_goes_on_from_the_checkpoint(here):
    options = ["--text", "text.txt", "--save-every", "10"]
    assert train(*options, "--steps", "40", "--out", "whole") == 0
    assert train(*options, "--steps", "15", "--out", "parts") == 0
    with Path("parts/log.jsonl").open("a") as log:  # lines written after the last checkpoint, before a crash
        log.write(json.dumps({"step": 20, "bits": 0.0}) + "\n")
    assert resume("parts", 40) == 0

    def bits(run):
        lines = map(json.loads, Path(run, "log.jsonl").read_text().splitlines())
        return {line["step"]: line["bits"] for line in lines}

    whole, parts = bits("whole"), bits("parts")
    assert {step: parts[step] for step in (30, 40)} == {step: whole[step] for step in (30, 40)}
    assert parts[20] != 0.0


def start_training(*options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "tinygrad_rnn", "train", *SMALL, *options]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, env=environment, **pipes)
    log = Path(options[options.index("--out") + 1]) / "log.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text()) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return process


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX systems")
@pytest.mark.parametrize(("number", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_ctrl_c_saves_and_says_how_to_go_on(here, number, status):
    process = start_training("--text", "text.txt", "--steps", "1000000", "--out", "run")
    process.send_signal(getattr(signal, number))
    _, messages = process.communicate(timeout=60)
    assert process.returncode == status
    assert "--resume run" in messages and "Traceback" not in messages
    _, about = load_arrays("run/checkpoint.safetensors")
    done = about["done"] + 5
    assert resume("run", done) == 0
    assert train("--text", "text.txt", "--steps", str(done), "--out", "whole") == 0
    assert arrays_equal(Path("whole/checkpoint.safetensors"), Path("run/checkpoint.safetensors"))


def test_a_kill_leaves_a_run_that_goes_on(here):
    process = start_training("--text", "text.txt", "--steps", "1000000", "--out", "run", "--save-every", "1")
    process.kill()
    process.communicate(timeout=60)
    _, about = load_arrays("run/checkpoint.safetensors")
    assert resume("run", about["done"] + 1) == 0


# ------------------------------------------------------------------ sample and draw


@pytest.fixture
def run(here):
    assert train("--text", "text.txt", "--steps", "3", "--out", "run") == 0
    return "run"


def test_sample_writes_the_prompt_and_as_many_characters_as_asked(run, capsys):
    capsys.readouterr()
    assert main(["sample", run, "--prompt", "def ", "--length", "50", "--seed", "1", "--temperature", "0.5"]) == 0
    first = capsys.readouterr().out
    assert first.startswith("def ") and len(first) == 4 + 50 + 1
    assert main(["sample", run, "--prompt", "def ", "--length", "50", "--seed", "1", "--temperature", "0.5"]) == 0
    assert capsys.readouterr().out == first


def test_temperature_zero_needs_no_chance(run, capsys):
    texts = set()
    for seed in ("1", "2"):
        capsys.readouterr()
        assert main(["sample", run, "--length", "20", "--temperature", "0", "--seed", seed]) == 0
        texts.add(capsys.readouterr().out)
    assert len(texts) == 1


def test_draw_makes_the_picture_again(run, capsys):
    Path(run, "graph.svg").unlink()
    assert main(["draw", run, "--steps", "5"]) == 0
    assert "head.W\N{NO-BREAK SPACE}(" in Path(run, "graph.svg").read_text("utf-8")  # weights by their full names
    assert main(["draw", run, "--steps", "3", "--level", "op", "--out", "cells.dot"]) == 0
    assert "digraph" in Path("cells.dot").read_text()


def test_draw_makes_a_page_to_step_through(run, capsys):
    capsys.readouterr()
    assert main(["draw", run, "--steps", "5", "--page"]) == 0
    assert capsys.readouterr().out.strip() == str(Path(run, "tape.html"))
    page = Path(run, "tape.html").read_text("utf-8")
    assert page.startswith("<!doctype html>") and '"name":"recurrent.W_hh"' in page
    assert main(["draw", run, "--steps", "2", "--page", "--out", "two.html"]) == 0
    assert len(Path("two.html").read_bytes()) < len(page)
    assert "--level is for pictures" in refused(capsys, 2, "draw", run, "--page", "--level", "op")
    assert "should end in .html" in refused(capsys, 2, "draw", run, "--page", "--out", "tape.svg")


# ------------------------------------------------------------------ runs that something happened to


@pytest.mark.parametrize("damage", ["cut short", "gone"])
def test_a_damaged_log_does_not_keep_a_run_from_going_on(run, damage):
    log = Path(run, "log.jsonl")
    log.write_text(log.read_text() + '{"step": 9') if damage == "cut short" else log.unlink()
    assert resume(run, 5) == 0


def test_a_file_that_is_no_run_is_refused(run, capsys):
    tg.save(tg.load(f"{run}/model.safetensors"), f"{run}/model.safetensors")
    assert "no settings of a run" in refused(capsys, 1, "sample", run)


def test_a_run_is_continued_from_another_folder(run, monkeypatch):
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert resume("../run", 4) == 0
    assert main(["draw", "../run", "--steps", "2"]) == 0


def test_a_text_without_the_usual_letters_can_be_sampled(here, capsys):
    Path("abc.txt").write_text("abcab" * 400)
    assert train("--text", "abc.txt", "--steps", "2", "--out", "run") == 0
    assert "--prompt c " in capsys.readouterr().out
    assert main(["sample", "run", "--length", "5"]) == 0


def test_a_loss_that_is_not_finite_ends_the_run_with_a_word(here, capsys):
    with np.errstate(all="ignore"):
        assert "smaller learning rate" in refused(
            capsys, 1, "train", *SMALL, "--text", "text.txt", "--lr", "1e300", "--steps", "20", "--out", "run"
        )


# ------------------------------------------------------------------ bad input: one clear line, and 2 or 1


def refused(capsys, status: int, *command: str) -> str:
    """The one line printed for a command that is refused with this status, without the name of any class."""
    capsys.readouterr()
    try:
        assert main(list(command)) == status
    except SystemExit as exit:  # argparse refuses what it can itself
        assert exit.code == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and not CLASSES & set(re.findall(r"\w+", lines[0])), lines
    return lines[0]


def test_texts_that_cannot_be_used(here, capsys):
    Path("latin1.txt").write_bytes("caf\xe9".encode("latin-1"))
    Path("empty.txt").write_text("")
    Path("short.txt").write_text("too short")
    assert "no.txt" in refused(capsys, 2, "train", "--text", "no.txt")
    assert "directory" in refused(capsys, 2, "train", "--text", ".")
    assert "not UTF-8" in refused(capsys, 2, "train", "--text", "latin1.txt")
    assert "empty" in refused(capsys, 2, "train", "--text", "empty.txt")
    assert "longer text" in refused(capsys, 2, "train", "--text", "short.txt")
    assert not Path("runs").exists()  # nothing was begun


NO_NUMBERS = [
    "",
    " ",
    "x",
    "²",
    "١٢",
    "１",
    "½",
    "1_000",
    " 1",
    "0x10",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "-1",
    "--",
    "9" * 5000,
]
NOT_WHOLE = ["1e3", "1.0", "1."]
NUMERIC = {
    "train": {
        "whole": "--embedding --hidden --layers --batch --window --steps --seed --patience --save-every",
        "real": "--dropout --lr --clip --held-out",
    },
    "sample nowhere": {"whole": "--length --seed", "real": "--temperature"},
    "draw nowhere": {"whole": "--steps", "real": ""},
    "bptt flow": {"whole": "--hidden --layers --seed --steps", "real": ""},
    "bptt jacobians": {"whole": "--hidden --layers --seed --steps", "real": ""},
    "bptt decompose": {"whole": "--hidden --layers --seed --steps", "real": ""},
    "bptt experiment cliff": {"whole": "--seeds", "real": ""},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "option", "kind"),
    [(c, option, kind) for c, kinds in NUMERIC.items() for kind in kinds for option in kinds[kind].split()],
)
def test_what_is_no_number_of_an_option_is_refused_in_one_line(here, capsys, command, option, kind):
    for text in NO_NUMBERS + (NOT_WHOLE if kind == "whole" else []):
        message = refused(capsys, 2, *command.split(), f"{option}={text}")
        assert f"argument {option}" in message and "expected a" in message and len(message) < 200, message
        assert (
            "number" in message and (repr(text) in message or len(text) > 40) and "_" not in message.replace(text, "")
        )
    assert not Path("runs").exists()


# ------------------------------------------------------------------ the rate, patience, the best model, lines


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [0.875, 0.625, 0.375, 0.125]),
        ("cosine", [(1 + math.cos(math.pi * part)) / 2 for part in (0.125, 0.375, 0.625, 0.875)]),
        ("warmup", [(1 + math.cos(math.pi * (part - 0.05) / 0.95)) / 2 for part in (0.125, 0.375, 0.625, 0.875)]),
    ],
)
def test_the_learning_rate_follows_its_schedule_also_after_a_stop(here, schedule, rates):
    settings = Settings(text="text.txt", hidden=8, embedding=4, batch=4, window=16, lr=0.01, lr_schedule=schedule)
    run = Run(dataclasses.replace(settings, steps=4))
    found = []
    for k in range(4):
        run.step()
        found.append(run.optimizer.lr)
        if k == 1:
            run.save(here)
            run = Run.resume(here)
    assert found == pytest.approx([0.01 * rate for rate in rates])
    assert Settings(lr_schedule="warmup", lr=1, steps=1000).rate(24) == pytest.approx(0.0245 / 0.05)


def test_patience_ends_a_run_and_the_best_model_is_kept(here, monkeypatch, capsys):
    monkeypatch.setattr("tinygrad_rnn.app.charlm.TEST_EVERY", 5)
    monkeypatch.setattr(training, "TEST_EVERY", 5)
    bits = iter([3.0, 2.0, 2.5, 2.5, 2.5, 9.0])
    monkeypatch.setattr(Run, "held_out_bits", lambda run: next(bits, 2.5))
    assert train("--text", "text.txt", "--out", "run", "--steps", "100", "--patience", "3") == 0
    out = capsys.readouterr().out
    assert "stopped  3 tests were no better than that of step 10" in out
    assert "best     2.000 at step 10, kept in best.safetensors: sample with --best" in out
    _, about = load_arrays("run/checkpoint.safetensors")
    assert about["done"] == 25 and about["best"] == [2.0, 10]
    assert not arrays_equal(Path("run/best.safetensors"), Path("run/model.safetensors"))
    for options in ([], ["--best"]):
        assert main(["sample", "run", "--length", "5", "--seed", "0", *options]) == 0
        assert capsys.readouterr().out.startswith("The ")
    assert main(["train", "--resume", "run", "--quiet"]) == 0
    assert "is finished" in capsys.readouterr().out


def test_a_best_model_that_there_is_not_is_said(here, capsys):
    assert train("--text", "text.txt", "--out", "run", "--steps", "3", "--held-out", "0") == 0
    capsys.readouterr()
    assert main(["sample", "run", "--best"]) == 1
    assert "no test" in capsys.readouterr().err


def test_without_a_terminal_there_is_a_line_at_each_test(here, monkeypatch, capsys):
    monkeypatch.setattr("tinygrad_rnn.app.charlm.TEST_EVERY", 10)
    monkeypatch.setattr(training, "TEST_EVERY", 10)
    options = [option for option in SMALL if option != "--quiet"]
    assert main(["train", *options, "--text", "text.txt", "--out", "run", "--steps", "25"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["step 10/25", "step 20/25", "step 25/25"]
    assert all("bits a character, held out" in line and len(line) <= 80 for line in lines)


def test_each_command_shows_an_example_that_it_understands(capsys):
    (commands,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        assert command.epilog.startswith(f"example: tinygrad-rnn {name} ")
        parser().parse_args(shlex.split(command.epilog.removeprefix("example: tinygrad-rnn ")))


def test_every_option_that_takes_a_number_is_among_them():
    def numbers(parser, name):
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for command, part in action.choices.items():
                    yield from numbers(part, f"{name} {command}")
            elif isinstance(action.type, Number):
                yield f"{name} {action.option_strings[0]}".strip()
            else:
                assert action.type in (None, Path), action

    tested = {
        f"{command.replace(' nowhere', '').replace(' cliff', '')} {option}"
        for command, kinds in NUMERIC.items()
        for kind in kinds
        for option in kinds[kind].split()
    }
    assert tested == {name.strip() for name in numbers(parser(), "")}


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("1", COUNT, 1),
        ("007", COUNT, 7),
        ("+3", SEED, 3),
        ("0", SEED, 0),
        ("1e-3", RATE, 0.001),
        (".5", FRACTION, 0.5),
        ("3.", REAL, 3.0),
    ],
)
def test_numbers_as_they_are_written(text, kind, value):
    assert kind(text) == value and type(kind(text)) is kind.kind


@pytest.mark.parametrize(
    "options",
    [
        ["--dropout", "1"],
        ["--cell", "transformer"],
        ["--unknown"],
        ["--lr", "0"],
        ["--layers", "1000000000"],
        ["--hidden", "99999999999"],
        ["--resume", ""],
        ["--resume", "nowhere", "--out", "run"],
        ["--text", ""],
        ["--out", ""],
    ],
)
def test_options_that_make_no_sense(here, capsys, options):
    command = ["train", "--text", "text.txt", *SMALL, *options]
    capsys.readouterr()
    try:
        assert main(command) == 2
    except SystemExit as exit:
        assert exit.code == 2
    printed = capsys.readouterr()
    assert not printed.out and len(printed.err.splitlines()) == 1 and "Traceback" not in printed.err
    assert os.listdir() == ["text.txt"]


def test_a_command_without_its_parts_is_one_line_that_points_to_the_help(capsys):
    for command, help in {
        "": "tinygrad-rnn --help",
        "sample": "tinygrad-rnn sample --help",
        "bptt": "bptt --help",
    }.items():
        message = refused(capsys, 2, *command.split())
        assert "required" in message and message.endswith(f"see {help}" if "bptt" not in help else help)
        assert len(message.splitlines()) == 1


def test_folders_that_are_no_run(here, capsys):
    for command in (["sample", "nowhere"], ["draw", "nowhere"], ["train", "--resume", "nowhere"]):
        assert "no such folder" in refused(capsys, 1, *command)
        assert "not the folder of a run" in refused(capsys, 1, *command[:-1], ".")


def test_damaged_checkpoints(run, capsys):
    for name, command in {"model": ["sample", run], "checkpoint": ["train", "--resume", run]}.items():
        path = Path(run, f"{name}.safetensors")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        assert "checksum" in refused(capsys, 1, *command)


def test_a_resumed_run_needs_its_text_and_takes_no_other_options(run, capsys):
    assert "only --steps" in refused(capsys, 2, "train", "--resume", run, "--hidden", "9")
    Path("text.txt").write_text(python_docs()[1:20_001], "utf-8")
    assert "has changed" in refused(capsys, 1, "train", "--resume", run)


def test_prompts_that_cannot_be_read(run, capsys):
    assert "\\u2603" in ascii(refused(capsys, 2, "sample", run, "--prompt", "\u2603"))
    assert "at least one character" in refused(capsys, 2, "sample", run, "--prompt", "")
    assert capsys.readouterr().out == ""  # nothing is written before the prompt is known to be good


def test_a_finished_run_says_so(run, capsys):
    assert main(["train", "--resume", run]) == 0
    assert "finished, at step 3" in capsys.readouterr().out


def test_output_may_be_cut_off_by_its_reader(run):
    command = f"{sys.executable} -m tinygrad_rnn sample {run} --length 100000 | head -c 10"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, shell=True, capture_output=True, timeout=60, env=environment)
    assert len(done.stdout) == 10 and b"Traceback" not in done.stderr


# ------------------------------------------------------------------ the figures and words a run is judged by


def uniform(characters: str, p=None, **settings):
    """A model that gives each character a probability of its own, whatever it has read."""
    model = build(Settings(embedding=2, hidden=2, **settings), len(characters), rng=0)
    model.head.W.data = np.zeros_like(model.head.W.data)
    model.head.b.data = np.log(np.full(len(characters), 1.0) if p is None else np.asarray(p))
    return model.eval()


def test_the_held_out_figure_is_in_bits(here):
    run = Run(Settings(hidden=2, embedding=2, batch=2, window=8, held_out=0.2), "abcd" * 100)
    run.model = uniform("abcd")
    assert run.held_out_bits() == pytest.approx(2.0)  # one of four characters
    run.model = uniform("abcd", [0.5, 0.25, 0.125, 0.125])
    assert run.held_out_bits() == pytest.approx(7 / 4 + 1 / 2, abs=0.02)  # the mean of 1, 2, 3 and 3


def test_the_training_figure_is_in_bits_since_it_was_last_asked_for(here):
    run = Run(Settings(hidden=2, embedding=2, batch=2, window=8), "abcd" * 100)
    losses = [run.step(), run.step()]
    assert run.mean_bits() == pytest.approx(np.mean(losses) / math.log(2))
    last = run.step()
    assert run.mean_bits() == pytest.approx(last / math.log(2))


def test_nothing_held_out_is_said(here, capsys):
    assert train("--text", "text.txt", "--steps", "1", "--held-out", "0", "--out", "run") == 0
    assert "held out nothing" in (printed := capsys.readouterr().out) and "nan" not in printed
    assert "held_out_bits" not in read_log(Path("run"))[0]


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.5, 0.7, 1.0, 2.0])
def test_characters_are_drawn_by_softmax_of_the_scores_over_the_temperature(temperature):
    p = np.array([0.6, 0.3, 0.1])
    written = "".join(sample(uniform("abc", p), Vocabulary("abc"), "a", 3000, temperature, rng=1))
    expected = p ** (1 / temperature) / (p ** (1 / temperature)).sum()
    found = np.array([written.count(character) for character in "abc"]) / 3000
    assert found == pytest.approx(expected, abs=0.03)  # three standard deviations and more


def test_temperatures_next_to_nothing_and_very_large():
    model, vocabulary = uniform("abc", [0.2, 0.5, 0.3]), Vocabulary("abc")
    for temperature in (0, 5e-324, 1e-300):
        assert "".join(sample(model, vocabulary, "a", 20, temperature, rng=0)) == "b" * 20
    assert set(sample(model, vocabulary, "a", 100, 1e300, rng=0)) == set("abc")


def test_scores_that_are_no_numbers_are_said():
    model = uniform("abc")
    model.head.b.data = np.array([np.nan, 0, 0])
    with pytest.raises(FloatingPointError, match="not finite"):
        list(sample(model, Vocabulary("abc"), "a", 3))


def test_the_speed_is_in_characters_a_second(here, monkeypatch):
    clock = iter(range(0, 1000, 5))  # five seconds from one look to the next
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert train("--text", "text.txt", "--steps", "30", "--out", "run") == 0
    assert [line["characters_per_second"] for line in read_log(Path("run"))] == [10 * 4 * 16 / 5] * 3


def test_a_terminal_that_cannot_show_a_character_gets_its_code(here):
    Path("text.txt").write_text("snow ☃ " * 300, "utf-8")
    assert train("--text", "text.txt", "--steps", "1", "--out", "run") == 0
    environment = os.environ | {
        "PYTHONIOENCODING": "ascii:strict",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-m", "tinygrad_rnn", "sample", "run", "--prompt", "☃", "--length", "1"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith("\\u2603"), done
    command[-3] = "☀"
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 2 and "\\u2600" in done.stderr and "Traceback" not in done.stderr, done


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("tinygrad_rnn.data.text.Vocabulary.encode", "for the text text.txt"),
        ("tinygrad_rnn.app.charlm.build", r"for a model of [\d,]+ weights"),
        ("tinygrad_rnn.app.charlm.Run.step", "for 4 rows of 16 steps; try a smaller --batch"),
        ("tinygrad_rnn.app.train.draw_unrolled", ""),
    ],
)
@pytest.mark.parametrize("error", [MemoryError(), np._core._exceptions._ArrayMemoryError((10**9,), np.dtype(float))])
def test_what_the_memory_was_for_is_said(here, capsys, monkeypatch, where, words, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(where, fail)
    message = refused_late(capsys, 1, "train", *SMALL, "--text", "text.txt", "--steps", "2", "--out", "run")
    assert re.fullmatch(f"tinygrad-rnn: not enough memory:? ?{words}.*", message), message


def test_what_the_memory_was_for_is_said_of_a_picture(run, capsys, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr("tinygrad_rnn.app.use.draw", fail)
    message = refused(capsys, 1, "draw", run, "--steps", "5")
    assert message == "tinygrad-rnn: not enough memory to draw 5 steps; try fewer --steps"


def refused_late(capsys, status: int, *command: str) -> str:
    """The last line printed for a command that fails when it has begun."""
    assert main(list(command)) == status
    return capsys.readouterr().err.splitlines()[-1]


# ------------------------------------------------------------------ commands to copy


def commands(text: str) -> list[list[str]]:
    """The commands of this program that are in some text, as a shell would take them."""
    found = (line[line.index(name) :] for line in text.splitlines() if (name := training._program()) in line)
    return [shlex.split(command)[len(shlex.split(name)) :] for command in found]


@pytest.mark.slow
@pytest.mark.parametrize("name", ['a run\'s "folder" & more', "-run", "$HOME", "*", "a;b", "résumé"])
def test_commands_to_copy_are_right_for_any_name(here, capsys, monkeypatch, name):
    monkeypatch.setattr(training, "_program", lambda: "tinygrad-rnn")
    assert train("--text", "text.txt", "--steps", "1", f"--out={name}") == 0
    (next_one,) = commands(capsys.readouterr().out)
    assert main(next_one) == 0
    for refusal in (["train", "--text", "text.txt", *SMALL, f"--out={name}"], ["train", f"--resume={name}x"]):
        main(refusal)
        message = capsys.readouterr().err
        command = message[message.index("--resume " if "--out" in refusal[-1] else "--out ") :]
        assert Path(shlex.split(command.split(", or")[0])[1]).name == (name if "--out" in refusal[-1] else f"{name}x")

    def stop(run):
        os.kill(os.getpid(), signal.SIGTERM)
        return 0.0

    monkeypatch.setattr(Run, "step", stop)
    capsys.readouterr()
    assert main(["train", f"--resume={name}", "--steps", "9", "--quiet"]) == 143
    (go_on,) = commands(capsys.readouterr().err)
    assert go_on[:2] == ["train", "--resume"] and Path(go_on[2]).name == name


def test_the_program_is_called_as_it_can_be_called_from_here(monkeypatch, tmp_path):
    monkeypatch.setattr(training.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert training._program() == "tinygrad-rnn"
    monkeypatch.setattr(training.shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "a folder" / "python3"))
    assert training._program() == "python3 -m tinygrad_rnn"
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a folder" / "tinygrad-rnn").touch()
    assert Path(shlex.split(training._program())[0]).resolve() == tmp_path / "a folder" / "tinygrad-rnn"


def test_draw_replaces_nothing_but_a_picture(run, capsys):
    Path("mine.svg").write_text("mine")
    Path("mine.html").write_text("mine")
    Path("folder.svg").mkdir()
    for out, more in {
        "mine.svg": [],
        "mine.html": ["--page"],
        "folder.svg": [],
        "text.txt": [],
        "nowhere/a.svg": [],
    }.items():
        before = Path("text.txt").read_bytes()
        refused(capsys, 1, "draw", run, "--out", out, *more)
        assert Path("mine.svg").read_text() == Path("mine.html").read_text() == "mine"
        assert Path("text.txt").read_bytes() == before
    refused(capsys, 1, "draw", run, "--out", f"{run}/model.safetensors")
    assert main(["sample", run, "--length", "1"]) == 0
