"""Attacks on what the library promises, in numbers: `python -m tests.benchmarks.reliability` (docs/reliability.md).

Each attack tries the same thing n times, at random places that its seed decides, and counts the times the promise did
not hold. `--only kills,resume` chooses some, `--scale 0.1` makes them shorter. The status is 0 where nothing failed.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.app.charlm import CELLS, OPTIMIZERS, Run, Settings
from tinygrad_rnn.engine.tape import Record
from tinygrad_rnn.errors import CheckpointError
from tinygrad_rnn.io import load_arrays, save_arrays

from .memory import CAN_TELL, resident

SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
WORDS = "the rows of a long text are read side by side and the state is carried from window to window. "


class Outcome(NamedTuple):
    """How often a promise was put to the test, how often it did not hold, and what else was measured."""

    tried: int
    failed: int
    words: str = ""


def in_new_process(program: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A process of Python that runs this program, with the library of this one."""
    paths = os.pathsep.join(
        [str(Path(tg.__file__).parents[1]), str(Path(__file__).parents[1]), *filter(None, sys.path)]
    )
    return subprocess.Popen(
        [sys.executable, *(["-c", program] if program else []), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_as_from_a_terminal,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": paths, **environment},
    )


def _as_from_a_terminal() -> None:
    """A shell's background process, or one of nohup, ignores signals, and so would its children."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


# ------------------------------------------------------------------ checkpoints


def kills(n: int, rng: random.Random) -> Outcome:
    """kill -9 at any moment of a loop that saves: the file is whole, and never older than what was acknowledged."""
    failed = strays = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.safetensors")
        save_arrays(path, {"W": np.zeros(200_000)}, {"step": 0})
        last = 0
        for _ in range(n):
            read, write = os.pipe()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the child has need of none
                child = os.fork()
            if not child:
                _save_for_ever(path, last, write)
            time.sleep(rng.uniform(0, 0.04))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(write)
            with open(read) as pipe:
                told = pipe.read().split()
            strays += len(os.listdir(folder)) - 1
            try:
                arrays, about = load_arrays(path)
                whole = bool((arrays["W"] == about["step"]).all()) and about["step"] >= int(told[-1] if told else last)
            except CheckpointError:
                whole = False
            failed += not whole
            last = about["step"] if whole else last + 1
        save_arrays(path, {})
        left = len(os.listdir(folder)) - 1
    return Outcome(n, failed + left, f"{strays} temporary files left by the killed, {left} after the next save")


def _save_for_ever(path: Path, last: int, told: int) -> NoReturn:
    try:
        for step in itertools.count(last + 1):
            save_arrays(path, {"W": np.full(200_000, step, float)}, {"step": step})
            os.write(told, f"{step}\n".encode())
    finally:
        os._exit(1)


def resume(n: int, rng: random.Random) -> Outcome:
    """A run of random settings, stopped after a random step and resumed, ends with the bits of one never stopped."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "text.txt")
        text.write_text(WORDS * 20, "utf-8")
        for trial in range(n):
            settings = Settings(
                text=str(text),
                cell=rng.choice([*CELLS]),
                embedding=rng.randint(1, 6),
                hidden=rng.randint(1, 9),
                layers=rng.randint(1, 3),
                dropout=rng.choice([0.0, 0.3]),
                batch=rng.randint(1, 5),
                window=rng.randint(1, 40),
                optimizer=rng.choice([*OPTIMIZERS]),
                lr=rng.uniform(1e-4, 1e-2),
                clip=rng.choice([0.0, 0.5]),
                steps=rng.randint(2, 30),
                seed=trial,
            )
            stop = rng.randint(0, settings.steps)
            run_folder = Path(folder, str(trial))
            run_folder.mkdir()
            whole, run = Run(settings), Run(settings)
            _go_on(whole, settings.steps)
            _go_on(run, stop)
            run.save(run_folder)
            resumed = Run.resume(run_folder)
            _go_on(resumed, settings.steps)
            failed += _everything(whole) != _everything(resumed)
    return Outcome(n, failed)


def _go_on(run: Run, to: int) -> None:
    while run.done < to:
        run.step()


def _everything(run: Run) -> str:
    """A digest of weights, optimizer, hidden state, generator, and place in the text."""
    parts = () if run.state is None else run.state if isinstance(run.state, tuple) else (run.state,)
    arrays = [*run.model.state_dict().values(), *run.optimizer.state_dict().values(), *(part.array for part in parts)]
    words = repr((run.done, run.recent, run.stream.position, run.rng.bit_generator.state))
    return hashlib.sha256(b"".join(a.tobytes() for a in map(np.asarray, arrays)) + words.encode()).hexdigest()


def signals(n: int, rng: random.Random) -> Outcome:
    """A signal at any moment of `train`: its status, no traceback, and a run that goes on from there."""
    failed, steps = 0, []
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "text.txt")
        text.write_text(WORDS * 20, "utf-8")
        for trial in range(n):
            run = str(Path(folder, str(trial)))
            number = rng.choice(SIGNALS)
            small = "--hidden 8 --embedding 4 --batch 2 --window 8 --save-every 5 --quiet --steps 100000000"
            train = ["-m", "tinygrad_rnn", "train", "--text", str(text), "--out", run, *small.split()]
            process = in_new_process("", *train, PYTHONUNBUFFERED="1")
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("run "):
                    break
            time.sleep(rng.uniform(0.01, 0.2))
            process.send_signal(number)
            try:
                _, errors = process.communicate(timeout=60)
            finally:
                process.kill()
            told = re.search(r"stopped at step (\d+), saved", errors)
            right = process.returncode == 128 + number and "Traceback" not in errors and told is not None
            if right and told is not None:
                going_on = Run.resume(Path(run))
                steps.append(going_on.done)
                right = going_on.done == int(told[1])
                going_on.step()
            if not right:
                failed += 1
                print(f"{number.name}: status {process.returncode}, {errors.strip()[-200:]!r}", file=sys.stderr)
    return Outcome(n, failed, f"stopped at steps {min(steps, default=0)} to {max(steps, default=0)}")


# ------------------------------------------------------------------ threads, processes


def threads(n: int, rng: random.Random) -> Outcome:
    """Eight threads: each with an own model gets the bits of one alone; into shared weights no gradient is lost."""
    workers, failed = 8, 0
    models = [Toy(seed) for seed in range(workers)]
    alone = [Toy(seed) for seed in range(workers)]
    each = max(1, n // workers)
    _at_once([lambda m=m: m.train(each) for m in models])
    for model in alone:
        model.train(each)
    failed += sum(model.digest() != other.digest() for model, other in zip(models, alone, strict=True))
    w = tg.tensor(np.ones(1000), requires_grad=True)
    lstm = tg.nn.LSTM(4, 16, rng=0)
    x = np.random.default_rng(0).standard_normal((5, 2, 4))
    lstm(x)[0].sum().backward()
    one = lstm.W_hh.grad.copy()
    lstm.zero_grad()

    def shared() -> None:
        for _ in range(each):
            (w * 1.0).sum().backward()
        for _ in range(20):
            lstm(x)[0].sum().backward()

    _at_once([shared] * workers)
    assert w.grad is not None
    lost = workers * each - int(w.grad.min())
    wrong = not np.allclose(lstm.W_hh.grad, one * (20 * workers), rtol=1e-4, atol=1e-4)
    return Outcome(2 * workers * each, failed + lost + wrong, f"{lost} of {workers * each} shared passes lost")


class Toy:
    """A small LSTM with its optimizer and data."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.lstm, self.head = tg.nn.LSTM(3, 6, rng=self.rng), tg.nn.Linear(6, 2, rng=self.rng)
        self.parameters = [*self.lstm.parameters(), *self.head.parameters()]
        self.optimizer = tg.optim.Adam(self.parameters)

    def loss(self) -> Any:
        x, y = self.rng.standard_normal((6, 3, 3)), self.rng.integers(0, 2, (6, 3))
        return tg.nn.cross_entropy(self.head(self.lstm(x)[0]), y)

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.loss().backward()
            self.optimizer.step()

    def digest(self) -> str:
        return hashlib.sha256(b"".join(p.data.tobytes() for p in self.parameters)).hexdigest()


def _at_once(tasks: list[Callable[[], None]]) -> None:
    workers = [threading.Thread(target=task) for task in tasks]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(interval)


SAME = """
import hashlib, tempfile, tinygrad_rnn as tg
from benchmarks.reliability import Toy
toy = Toy(0)
toy.train(5)
loss = toy.loss()
with tempfile.TemporaryDirectory() as folder:
    tg.save(toy.lstm, folder + "/w")
    tg.page(loss, folder + "/page.html")
    written = b"".join(open(folder + name, "rb").read() for name in ("/w", "/page.html"))
drawn = tg.draw(loss).svg() + tg.draw(loss).dot()
print(toy.digest(), hashlib.sha256(written + drawn.encode()).hexdigest())
"""


def processes(n: int, rng: random.Random) -> Outcome:
    """New processes, each with its own hash seed: the same weights, files, pictures and pages, byte for byte."""
    found = []
    for _ in range(n):
        process = in_new_process(SAME, PYTHONHASHSEED=str(rng.randrange(2**32)))
        answer, errors = process.communicate()
        found.append(answer or errors)
    return Outcome(n, n if len(found[0].split()) != 2 else sum(answer != found[0] for answer in found))


def interrupts(n: int, rng: random.Random) -> Outcome:
    """Ctrl-C by a timer at any moment of a training loop: updates are whole, nothing of a mode or a scope is left."""
    toy, failed, landed = Toy(0), 0, 0
    toy.train(1)
    own = [id(p) for p in toy.parameters]
    x = np.ones((6, 3, 3))

    def state() -> str:
        arrays = [*(p.data for p in toy.parameters), *toy.optimizer.state_dict().values()]
        return hashlib.sha256(b"".join(np.asarray(a).tobytes() for a in arrays)).hexdigest()

    def step() -> None:
        with tg.scope("loop", t=1), tg.anomaly():
            loss = (toy.lstm(x)[0] ** 2).sum()
        weights = {name: tg.tensor(p.data * 2) for name, p in toy.lstm.named_parameters()}
        with tg.no_grad():
            tg.nn.functional_call(toy.lstm, weights, x)
        toy.optimizer.zero_grad()
        loss.backward()
        tg.optim.clip_grad_norm_(toy.parameters, 0.5)
        toy.optimizer.step()

    before_handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for _ in range(n):
            kept = [p.data.copy() for p in toy.parameters], toy.optimizer.state_dict()
            old = state()
            try:
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 8e-3))
                step()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                landed += 1
            found = state()
            mode_left = not tg.is_grad_enabled() or (tg.tensor([1.0], requires_grad=True) * 2).record.step is not None
            foreign = [id(p) for p in [*toy.lstm.parameters(), *toy.head.parameters()]] != own
            for p, data in zip(toy.parameters, kept[0], strict=True):
                p.data = data
            toy.optimizer.load_state_dict(kept[1])
            step()
            failed += mode_left or foreign or found not in (old, state())
    finally:
        signal.signal(signal.SIGALRM, before_handler)
    return Outcome(n, failed, f"{landed} within the step")


# ------------------------------------------------------------------ memory, length


def soak(n: int, rng: random.Random) -> Outcome:
    """Training steps, every tenth ended by an error in the middle, with the cyclic collector off: nothing is left."""
    toy = Toy(0)

    def broken(g: Any) -> None:
        raise FloatingPointError("in the middle of a sweep")

    def step(k: int) -> None:
        toy.optimizer.zero_grad()
        h = toy.lstm(toy.rng.standard_normal((6, 3, 3)))[0]
        if k % 10 == 0:
            h.register_hook(broken)
        try:
            (h * h).sum().backward()
            toy.optimizer.step()
        except FloatingPointError:
            pass

    gc.collect()
    gc.disable()
    try:
        for k in range(n // 10):
            step(k)
        before = _records(), resident("VmRSS") if CAN_TELL else 0.0
        for k in range(n):
            step(k)
        records, memory = _records(), resident("VmRSS") if CAN_TELL else 0.0
    finally:
        gc.enable()
    grown = (memory - before[1]) / max(before[1], 1.0)
    words = f"{records} records alive, before {before[0]}; memory {before[1]:.1f} to {memory:.1f} MiB ({grown:+.2%})"
    return Outcome(n, int(records > before[0]) + int(grown > 0.01), words)


def _records() -> int:
    return sum(isinstance(o, Record) for o in gc.get_objects())


def length(n: int, rng: random.Random) -> Outcome:
    """BPTT through n steps of one unit, fused, composed and checkpointed: no recursion, memory in proportion to n."""
    failed, words = 0, []
    for name, options in (("fused", {}), ("composed", {"fused": False}), ("checkpointed", {"checkpoint": True})):
        time_, memory = [], []
        for steps in (n // 4, n):
            layer = tg.nn.RNN(1, 1, rng=0, dtype=float, **options)
            x = np.random.default_rng(0).standard_normal((steps, 1, 1))
            gc.collect()
            before, start = resident("VmRSS") if CAN_TELL else 0.0, time.process_time()
            loss = layer(x)[0][-1].sum()
            memory.append((resident("VmRSS") if CAN_TELL else 0.0) - before)
            loss.backward()
            del loss
            time_.append(time.process_time() - start)
            failed += not np.isfinite(layer.W_hh.grad).all()
        words.append(f"{name} {time_[0]:.2f} and {time_[1]:.2f} s, {memory[0]:.0f} and {memory[1]:.0f} MiB")
        failed += CAN_TELL and memory[1] > 8 * max(memory[0], 8)
    return Outcome(6, failed, f"T = {n // 4:,} and {n:,}: " + "; ".join(words))


ATTACKS: dict[str, tuple[Callable[[int, random.Random], Outcome], int]] = {
    "kills": (kills, 1000),
    "resume": (resume, 200),
    "signals": (signals, 200),
    "threads": (threads, 10_000),
    "processes": (processes, 20),
    "interrupts": (interrupts, 6000),
    "soak": (soak, 10_000),
    "length": (length, 100_000),
}
"""Each attack, and how often it is tried."""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.reliability", description=__doc__)
    parser.add_argument("--only", default=",".join(ATTACKS), help=f"some of {', '.join(ATTACKS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="times as many tries (1)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    failed = 0
    for name in arguments.only.split(","):
        attack, n = ATTACKS[name]
        start = time.perf_counter()
        outcome = attack(max(1, round(n * arguments.scale)), random.Random(arguments.seed))
        seconds = time.perf_counter() - start
        print(
            f"{name:10} {outcome.tried:7,} tried {outcome.failed:4} failed {seconds:6.1f} s  {outcome.words}",
            flush=True,
        )
        failed += outcome.failed
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
