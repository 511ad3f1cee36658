"""The command line, end to end at a reduced size: train, stop, go on, sample, draw, and every kind of bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.app.charlm import Run, Settings
from tinygrad_rnn.app.cli import main
from tinygrad_rnn.data import python_docs
from tinygrad_rnn.io import load_arrays

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
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = Path(options[options.index("--out") + 1]) / "log.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text()) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return process


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX systems")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_saves_and_says_how_to_go_on(here, number, status):
    process = start_training("--text", "text.txt", "--steps", "1000000", "--out", "run")
    process.send_signal(number)
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


def test_a_run_killed_before_its_first_checkpoint_can_be_begun_again(here):
    Path("run").mkdir()
    Path("run/log.jsonl").write_text('{"step": 10, "bits": 9.9}\n')
    assert train("--text", "text.txt", "--steps", "10", "--out", "run") == 0
    assert len(Path("run/log.jsonl").read_text().splitlines()) == 1


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
    """The one line printed for a command that is refused with this status."""
    capsys.readouterr()
    try:
        assert main(list(command)) == status
    except SystemExit as exit:  # argparse refuses what it can itself
        assert exit.code == status
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.strip().splitlines()[-1]


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


@pytest.mark.parametrize(
    "options",
    [
        ["--hidden", "0"],
        ["--steps", "-1"],
        ["--lr", "nan"],
        ["--dropout", "1.5"],
        ["--cell", "transformer"],
        ["--seed", "-1"],
        ["--unknown"],
        ["--lr", "0"],
    ],
)
def test_options_that_make_no_sense(here, capsys, options):
    refused(capsys, 2, "train", "--text", "text.txt", *SMALL, *options)
    assert not Path("runs").exists()


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
    done = subprocess.run(command, shell=True, capture_output=True, timeout=60)
    assert len(done.stdout) == 10 and b"Traceback" not in done.stderr
