"""Several processes that train one model: gradients averaged, rows of the batch shared out, one of them writing.

What is computed is tried with threads in place of processes; that processes start, stop and die well, with MPI itself.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.app.charlm import Run, Settings
from tinygrad_rnn.app.ranks import Ranks, communicator
from tinygrad_rnn.data import python_docs
from tinygrad_rnn.errors import DataError
from tinygrad_rnn.optim import average_grad_

SETTINGS = {"hidden": 8, "embedding": 4, "batch": 7, "window": 8, "dropout": 0.0, "layers": 2, "steps": 60}


class Threads:
    """Processes that are threads, with the part of mpi4py's communicator that is used."""

    def __init__(self, size):
        self.size, self.barrier, self.sent = size, threading.Barrier(size, timeout=60), [None] * size

    def of(self, rank):
        comm = object.__new__(Threads)
        comm.size, comm.barrier, comm.sent, comm.rank = self.size, self.barrier, self.sent, rank
        return comm

    def _exchanged(self, x):
        self.sent[self.rank] = x
        self.barrier.wait()
        everything = list(self.sent)
        self.barrier.wait()
        return everything

    def Allreduce(self, sendbuf, recvbuf):
        recvbuf[...] = sum(self._exchanged(sendbuf.copy()))

    def bcast(self, x):
        return self._exchanged(x)[0]

    def gather(self, x):
        everything = self._exchanged(x)
        return everything if self.rank == 0 else None


def together(size, work):
    """What each of some ranks gives."""
    threads, found, errors = Threads(size), [None] * size, []

    def run(rank):
        try:
            found[rank] = work(Ranks(threads.of(rank)) if size > 1 else Ranks())
        except BaseException as error:
            errors.append(error)
            threads.barrier.abort()

    started = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    if errors:
        raise errors[0]
    return found


# ------------------------------------------------------------------ gradients


def test_the_mean_of_gradients_is_that_of_all_targets():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10, 3)), rng.normal(size=(10, 1))
    parts = [slice(0, 2), slice(2, 7), slice(7, 10)]

    def gradient(rows, comm=None):
        layer = tg.nn.Linear(3, 1, dtype=float, rng=0)
        tg.nn.mse_loss(layer(x[rows]), y[rows]).backward()
        if comm is not None:
            assert average_grad_(layer.parameters(), comm, weight=len(y[rows])) == 10
        return [p.grad for p in layer.parameters()]

    expected = gradient(slice(None))
    for found in together(3, lambda ranks: gradient(parts[ranks.rank], ranks.comm)):
        for a, b in zip(found, expected, strict=True):
            assert a == pytest.approx(b, rel=1e-12)


def test_a_gradient_that_nobody_has_stays_none_and_one_that_some_have_counts():
    def averaged(ranks):
        p, q, r = (tg.nn.Parameter(np.zeros(2), np.float32) for _ in range(3))
        p.grad = np.full(2, 3.0) if ranks.first else None
        r.grad = np.full(2, ranks.rank + 1.0)
        average_grad_([p, q, r], ranks.comm, weight=1 + ranks.rank)
        return p.grad.tolist(), q.grad, r.grad.tolist(), p.grad.dtype.name

    for found in together(2, averaged):
        assert found == ([1.0, 1.0], None, pytest.approx([5 / 3] * 2), "float32")


def test_a_small_float_is_averaged_in_a_larger_one():
    """300 times 1,000 targets is beyond float16, and the mean is not."""

    class Alone:
        def Allreduce(self, sendbuf, recvbuf):
            recvbuf[...] = sendbuf

    p = tg.tensor(np.ones(2, np.float16), requires_grad=True)
    p.grad = np.array([300, -2], np.float16)
    tg.optim.average_grad_([p], Alone(), weight=1000)
    assert p.grad.tolist() == [300, -2] and p.grad.dtype == np.float16


def test_a_process_without_targets_changes_nothing():
    def averaged(ranks):
        p = tg.nn.Parameter(np.zeros(1))
        p.grad = np.array([5.0 if ranks.first else 7.0])
        average_grad_([p], ranks.comm, weight=float(ranks.first))
        return p.grad.tolist()

    assert together(2, averaged) == [[5.0], [5.0]]


def test_what_is_wrong_is_named():
    p = tg.nn.Parameter(np.zeros(1))
    p.grad = np.ones(1)
    with pytest.raises(TypeError, match="comm must have Allreduce, as mpi4py's has, and int has none"):
        average_grad_([p], 3)
    for weight in (-1, np.nan, np.inf):
        with pytest.raises(ValueError, match="weight must be 0 or more"):
            average_grad_([p], Threads(1), weight)
    with pytest.raises(ValueError, match="no process has a weight above 0"):
        together(2, lambda ranks: average_grad_([p], ranks.comm, 0))
    assert p.grad.tolist() == [1]


# ------------------------------------------------------------------ a run


def trained(ranks, steps=60, precision=float, **options):
    run = Run(Settings(**SETTINGS | options), python_docs()[:3000], ranks)
    run.model.astype(precision)
    run.optimizer = tg.optim.Adam(run.model.parameters(), lr=0.003)
    losses = [run.step() for _ in range(steps)]
    return run, losses


def digest(run):
    return hashlib.sha256(b"".join(p.data.tobytes() for p in run.model.parameters())).hexdigest()


def test_rows_are_shared_out_and_every_process_has_one():
    rows = together(3, lambda ranks: ranks.rows(7))
    assert rows == [slice(0, 3), slice(3, 5), slice(5, 7)]
    with pytest.raises(DataError, match="a batch of 2 rows for 3 processes: each needs one; give a larger --batch"):
        together(3, lambda ranks: ranks.rows(2))


@pytest.mark.parametrize("size", [2, 3])
def test_several_train_as_one_does_and_all_have_the_same_weights(size):
    (alone, expected), *_ = together(1, trained)
    for run, losses in (runs := together(size, trained)):
        assert losses == pytest.approx(expected, rel=1e-12)
        for p, q in zip(run.model.parameters(), alone.model.parameters(), strict=True):
            assert p.data == pytest.approx(q.data, abs=1e-12)
    assert len({digest(run) for run, _ in runs}) == 1


def test_two_trainings_are_the_same_bit_for_bit_with_dropout_too():
    first, second = (together(2, lambda ranks: trained(ranks, 20, np.float32, dropout=0.3)) for _ in range(2))
    assert len({digest(run) for run, _ in first + second}) == 1
    masks = [run.model.dropout.rng.bit_generator.state for run, _ in first]
    assert masks[0] != masks[1]


@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 3), (3, 1), (1, 2)])
def test_a_checkpoint_goes_on_on_any_number_of_processes(before, after, tmp_path):
    (tmp_path / "text.txt").write_text(python_docs()[:3000], "utf-8")
    settings = Settings(**SETTINGS, text=str(tmp_path / "text.txt"))

    def begun(ranks):
        run = Run(settings, ranks=ranks)
        for _ in range(10):
            run.step()
        run.save(tmp_path)
        return [run.step() for _ in range(5)]

    def gone_on(ranks):
        run = Run.resume(tmp_path, ranks=ranks)
        return [run.step() for _ in range(5)], digest(run)

    expected = together(before, begun)[0]
    found = together(after, gone_on)
    assert len({weights for _, weights in found}) == 1
    if before == after:
        assert found[0][0] == expected
    assert found[0][0] == pytest.approx(expected, rel=1e-4)  # float32, added up in another order


# ------------------------------------------------------------------ started wrongly


def test_processes_that_would_all_train_the_same_are_refused_with_the_right_command(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "4")
    right = "mpiexec -n 4 python -m mpi4py -m tinygrad_rnn train --steps 5"
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises((DataError, ValueError)) as caught:
        communicator(["train", "--steps", "5"])
    assert "without mpi4py" in str(caught.value) and right in str(caught.value)
    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert communicator(["train"]).size == 1


# ------------------------------------------------------------------ with MPI itself

MPIEXEC = Path(sys.executable).parent / "mpiexec"


@pytest.fixture
def mpi(tmp_path):
    """Starts a program on some processes, in an empty folder with a text in it."""
    pytest.importorskip("mpi4py", reason="the extra mpi is not installed")
    program = str(MPIEXEC) if MPIEXEC.exists() else shutil.which("mpiexec")
    if program is None:
        pytest.skip("there is no mpiexec")
    done = subprocess.run([program, "-n", "1", sys.executable, "-c", "from mpi4py import MPI"], capture_output=True)
    if done.returncode:
        pytest.skip("mpi4py finds no MPI")
    (tmp_path / "text.txt").write_text(python_docs()[:20_000], "utf-8")
    started = []

    def start(size, *arguments, module=True):
        command = [program, "-n", str(size), sys.executable, *(["-m", "mpi4py"] if module else []), *arguments]
        env = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
        started.append(subprocess.Popen(command, cwd=tmp_path, env=env, **pipes, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


SMALL = ["--text", "text.txt", "--hidden", "8", "--embedding", "4", "--batch", "6", "--window", "8", "--quiet"]


def train(*options):
    return ["-m", "tinygrad_rnn", "train", *SMALL, *options]


def saved(folder):
    arrays, about = tg.io.load_arrays(folder / "checkpoint.safetensors")
    return {name: array.tobytes() for name, array in arrays.items()}, about["done"]


def finish(process, seconds=120):
    out, error = process.communicate(timeout=seconds)
    return process.returncode, out, error


def wait_for(path, process, steps=1):
    """Until a run has come so far."""
    begun = time.monotonic()
    while not path.exists() or saved(path.parent)[1] < steps:
        assert process.poll() is None and time.monotonic() - begun < 60, process.communicate()
        time.sleep(0.05)


@pytest.mark.slow
def test_the_command_trains_on_two_processes_and_one_of_them_speaks(mpi, tmp_path):
    status, out, error = finish(mpi(2, *train("--steps", "12", "--out", "run")))
    assert status == 0, error
    assert out.count("model  ") == 1 and "on 2 processes" in out and error.strip() == ""
    assert {"checkpoint.safetensors", "sample.txt", "graph.svg"} <= {path.name for path in (tmp_path / "run").iterdir()}
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [10, 12]
    finish(mpi(2, *train("--steps", "12", "--out", "again")))
    assert saved(tmp_path / "run")[0] == saved(tmp_path / "again")[0]


BIT_EQUAL = """
import hashlib
from mpi4py import MPI
from tinygrad_rnn.app.charlm import Run, Settings
from tinygrad_rnn.app.ranks import Ranks

ranks = Ranks(MPI.COMM_WORLD)
run = Run(Settings(text="text.txt", hidden=8, embedding=4, batch=5, window=4, steps=1000), ranks=ranks)
for step in range(1000):
    run.step()
    if step % 50 == 49:
        digests = ranks.gathered(hashlib.sha256(b"".join(p.data.tobytes() for p in run.model.parameters())).digest())
        if ranks.first:
            assert len(set(digests)) == 1, step
if ranks.first:
    print("equal")
"""


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_the_weights_are_equal_bit_for_bit_for_1000_steps(mpi, tmp_path, size):
    (tmp_path / "equal.py").write_text(BIT_EQUAL)
    status, out, error = finish(mpi(size, "equal.py"))
    assert status == 0 and out == "equal\n", error


@pytest.mark.slow
def test_a_killed_process_ends_all_and_the_checkpoint_goes_on(mpi, tmp_path):
    process = mpi(2, *train("--steps", "100000", "--save-every", "20", "--out", "run"))
    wait_for(tmp_path / "run" / "checkpoint.safetensors", process, 20)
    ranks = [pid for pid in children(process.pid) if "mpi4py" in command_of(pid) and "mpiexec" not in command_of(pid)]
    os.kill(max(ranks), signal.SIGKILL)
    begun = time.monotonic()
    status, _, _ = finish(process, 30)
    assert status != 0 and time.monotonic() - begun < 20
    done = saved(tmp_path / "run")[1]
    options = ["-m", "tinygrad_rnn", "train", "--resume", "run", "--steps", str(done + 5), "--quiet"]
    status, _, error = finish(mpi(3, *options))
    assert status == 0 and saved(tmp_path / "run")[1] == done + 5, error


def children(pid):
    """The processes below one, where /proc tells."""
    below = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            below.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = list(below.get(pid, []))
    for child in found:
        found += below.get(child, [])
    return found


def command_of(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


FAILS = """
from mpi4py import MPI
from tinygrad_rnn.app.charlm import Run, Settings
from tinygrad_rnn.app.ranks import Ranks

ranks = Ranks(MPI.COMM_WORLD)
run = Run(Settings(text="text.txt", hidden=8, embedding=4, batch=5, window=4, steps=1000), ranks=ranks)
for step in range(1000):
    if step == 5 and ranks.rank == 1:
        raise RuntimeError("something of mine")
    run.step()
"""


@pytest.mark.slow
def test_an_exception_in_one_process_ends_all_within_seconds(mpi, tmp_path):
    (tmp_path / "fails.py").write_text(FAILS)
    status, _, error = finish(mpi(2, "fails.py"), 30)
    assert status != 0 and "something of mine" in error


@pytest.mark.slow
def test_ctrl_c_saves_once_and_all_stop_at_the_same_step(mpi, tmp_path):
    process = mpi(2, *train("--steps", "100000", "--save-every", "20", "--out", "run"))
    wait_for(tmp_path / "run" / "checkpoint.safetensors", process, 20)
    for pid in children(process.pid):
        if "tinygrad_rnn" in command_of(pid) and "mpiexec" not in command_of(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
    status, _, error = finish(process, 30)
    assert status != 0 and error.count("stopped at step") == 1, error
    assert f"stopped at step {saved(tmp_path / 'run')[1]}, saved" in error


@pytest.mark.slow
def test_started_without_m_mpi4py_nothing_is_trained(mpi, tmp_path):
    status, out, error = finish(mpi(2, *train("--steps", "5", "--out", "run"), module=False))
    assert status != 0 and out == "" and error.count("start them with mpiexec -n 2 python -m mpi4py -m") == 1
    assert not (tmp_path / "run").exists()
