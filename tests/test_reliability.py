"""The attacks of docs/reliability.md in small: nothing fails, and where a fault is planted each of them notices."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import reliability
from benchmarks.memory import CAN_TELL
from benchmarks.reliability import ATTACKS, Outcome

import tinygrad_rnn as tg

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="signals and forks of POSIX systems")]

SMALL = {
    "kills": 6,
    "resume": 4,
    "signals": 2,
    "threads": 200,
    "processes": 2,
    "interrupts": 40,
    "soak": 100,
    "length": 2000,
}


def attack(name: str) -> Outcome:
    return ATTACKS[name][0](SMALL[name], random.Random(0))


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_fails(name: str) -> None:
    outcome = attack(name)
    assert outcome.tried >= SMALL[name] > 0 or name == "length"
    assert not outcome.failed, outcome


def in_place(path: Path, arrays: dict[str, np.ndarray], metadata: Any = None) -> None:
    """A save as it should not be."""
    with open(path, "wb") as file:
        tg.io.save_arrays(f"{path}.other", arrays, metadata)
        data = Path(f"{path}.other").read_bytes()
        for start in range(0, len(data), 1000):
            file.write(data[start : start + 1000])
            file.flush()


def forgetful(resume: Any) -> Any:
    def resumed(folder: Path) -> Any:
        run = resume(folder)
        run.state = None
        run.rng.random()
        return run

    return resumed


def step_by_step(optimizer: Any) -> None:
    """An update that is not whole under an interrupt."""
    for p in optimizer.parameters:
        for _ in range(20):
            p.data = p.data - 0.001


def unlocked(w: Any, g: np.ndarray) -> None:
    if w.grad is None or w.grad.size < 1000:
        w.grad = g
    else:
        before = w.grad
        sum(range(2000))  # time for another thread
        w.grad = before + g


def test_a_save_in_place_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reliability, "save_arrays", in_place)
    assert attack("kills").failed


def test_a_run_that_forgets_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reliability.Run, "resume", forgetful(reliability.Run.resume))
    assert attack("resume").failed


def test_half_a_step_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tg.optim.Adam, "step", step_by_step)
    assert ATTACKS["interrupts"][0](100, random.Random(0)).failed


@pytest.mark.skipif(not CAN_TELL, reason="the memory of a process is read from Linux's /proc")
def test_a_leak_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    backward = tg.Tensor.backward

    def keeping(loss: Any) -> None:
        kept.append(loss * 1.0)
        backward(loss)

    monkeypatch.setattr(tg.Tensor, "backward", keeping)
    assert attack("soak").failed


def test_pictures_that_depend_on_the_hash_seed_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    program = reliability.SAME.replace("print(toy", 'print(hash("a"), toy').replace("toy.digest(), ", "")
    monkeypatch.setattr(reliability, "SAME", program)
    assert attack("processes").failed


def test_a_gradient_lost_between_threads_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tg.Tensor, "add_grad", unlocked)
    assert attack("threads").failed


WATCHED = """
import os, sys
folder = os.path.realpath(sys.argv[1])
wrong = []

def watch(event, args):
    if event.partition(".")[0] in ("socket", "pickle", "ftplib", "urllib") or event in (
        "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "ctypes.dlopen",
    ):
        wrong.append((event, args[:1]))
    if event == "open" and isinstance(args[0], str) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        if not os.path.realpath(args[0]).startswith((folder, os.devnull)):
            wrong.append((event, args[:2]))

sys.dont_write_bytecode = True
import numpy
sys.addaudithook(watch)
sys.modules["matplotlib"] = None  # it keeps a list of fonts of its own
import tinygrad_rnn as tg
from tinygrad_rnn.cli import main

text, run = folder + "/text.txt", folder + "/run"
small = "--hidden 4 --embedding 3 --batch 2 --window 5 --quiet".split()
assert main(["train", "--text", text, "--out", run, "--steps", "3", *small]) == 0
assert main(["train", "--resume", run, "--steps", "5"]) == 0
assert main(["sample", run, "--length", "5"]) == 0
assert main(["draw", run, "--steps", "3", "--page"]) == 0
tg.load(run + "/model.safetensors")
wrong and sys.exit(str(wrong))
"""


def test_nothing_is_started_fetched_unpickled_or_written_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(reliability.WORDS * 5, "utf-8")
    process = reliability.in_new_process(WATCHED, str(tmp_path))
    _, errors = process.communicate()
    assert process.returncode == 0, errors


def test_the_watch_notices(tmp_path: Path) -> None:
    elsewhere = WATCHED.replace("tg.load(run", 'open(folder + "/../elsewhere", "w").close(); tg.load(run')
    (tmp_path / "text.txt").write_text(reliability.WORDS * 5, "utf-8")
    process = reliability.in_new_process(elsewhere, str(tmp_path))
    assert "elsewhere" in process.communicate()[1]
