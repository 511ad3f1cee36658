"""Programs of machine code: the same numbers as the composed step, for any size; found wrong, they are not used.

What compiles takes seconds the first time and is slow; the rest needs no compiler.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.compiled import cache, record, sharing
from tinygrad_rnn.compiled import fast as fast_module
from tinygrad_rnn.compiled.fast import Fast, differences
from tinygrad_rnn.compiled.kernels import Kernels
from tinygrad_rnn.compiled.numba_program import NumbaProgram
from tinygrad_rnn.compiled.numba_run import NumbaRun
from tinygrad_rnn.errors import CompileError
from tinygrad_rnn.ops import blas, cross_entropy

numba_is_there = pytest.mark.skipif(fast_module.version() is None, reason="numba is not installed (extra fast)")
compiles = [numba_is_there, pytest.mark.slow]

CELLS = {
    "rnn": lambda n, H, **k: tg.nn.RNNCell(n, H, **k),
    "rnn relu": lambda n, H, **k: tg.nn.RNNCell(n, H, nonlinearity="relu", **k),
    "rnn sigmoid": lambda n, H, **k: tg.nn.RNNCell(n, H, nonlinearity="sigmoid", **k),
    "rnn identity": lambda n, H, **k: tg.nn.RNNCell(n, H, nonlinearity="identity", **k),
    "rnn layer_norm": lambda n, H, **k: tg.nn.RNNCell(n, H, layer_norm=True, **k),
    "lstm": lambda n, H, **k: tg.nn.LSTMCell(n, H, **k),
    "lstm peepholes": lambda n, H, **k: tg.nn.LSTMCell(n, H, peepholes=True, **k),
    "lstm 1997": lambda n, H, **k: tg.nn.LSTMCell(n, H, forget_gate=False, cut_gate_gradient=True, **k),
    "lstm layer_norm": lambda n, H, **k: tg.nn.LSTMCell(n, H, layer_norm=True, **k),
    "gru": lambda n, H, **k: tg.nn.GRUCell(n, H, **k),
    "gru no bias": lambda n, H, **k: tg.nn.GRUCell(n, H, bias=False, **k),
    "gru reset before": lambda n, H, **k: tg.nn.GRUCell(n, H, reset_after=False, **k),
    "gru layer_norm": lambda n, H, **k: tg.nn.GRUCell(n, H, layer_norm=True, **k),
}


def recorded(cell, dtype):
    H = cell.hidden_size
    return record(cell.step, len(cell.gates) * H, [H] * len(cell.states), dtype)


def compiled(cell, dtype):
    program = NumbaProgram(recorded(cell, dtype))
    program.compile()
    return program


WITHIN = {"float64": 1e-12, "float32": 1e-5}


class Composed:
    """A run of the composed step, asked for the same things as `NumbaRun`; with an end in the middle, from there on."""

    def __init__(self, step, weights, a, start, dead, backwards):
        self.step, self.weights, self.a, self.start = step, weights, a, start
        self.lengths, self.backwards = None if dead is None else (~dead[:, :, 0]).sum(0), backwards

    def everything(self, ends, dy):
        """y, the last state, dL/da, dL/d(start), dL/d(weights)."""
        a = tg.tensor(self.a, requires_grad=True)
        start = [tg.tensor(s, requires_grad=True) for s in self.start]
        for w in self.weights:
            w.grad = None
        state = tuple(start) if len(start) > 1 else start[0]
        y, end = tg.nn.unroll(self.step, a, state, lengths=self.lengths, reverse=self.backwards)
        last = end if isinstance(end, tuple) else (end,)
        total = (y * dy).sum() + sum((e * d).sum() for e, d in zip(last, ends, strict=True))
        total.backward()
        grads = [w.grad for w in self.weights]
        return y.data, [e.data for e in last], a.grad, [s.grad for s in start], grads


def compare(cell, program, dtype, T, B, lengths=None, backwards=False, scale=1.0):
    """The largest difference between the two, relative to the largest entry of each result."""
    rng, H = np.random.default_rng(0), cell.hidden_size

    def some(*shape):
        return (rng.normal(0, scale, shape)).astype(dtype)

    a, start = some(T, B, len(cell.gates) * H), [some(B, H) for _ in cell.states]
    dead = None if lengths is None else np.arange(T)[:, None, None] >= np.asarray(lengths)[:, None]
    ends, dy = [some(B, H) for _ in cell.states], some(T, B, H)
    if dead is not None:
        dy = np.where(dead, 0, dy).astype(dtype)
    weights = [w.source for w in program.weights]
    y, last, *grads = Composed(cell.step, weights, a, start, dead, backwards).everything(ends, dy)
    turned = dead if dead is None or not backwards else dead[::-1]
    run = NumbaRun(program, a, start, [w.array for w in weights], turned, backwards)
    output = run.output if dead is None else np.where(dead, 0, run.output)
    da, *rest = run.gradients(0, T - 1, ends, a, dy[::-1] if backwards else dy)
    ours = [output, *[part[-1] for part in run.states()], da, *rest]
    theirs = [y, *last, grads[0], *grads[1], *grads[2]]
    worst = 0.0
    for x, z in zip(ours, theirs, strict=True):
        if z is None:
            assert x is None or not np.any(x)
        else:
            worst = max(worst, np.abs(x - z).max() / max(np.abs(z).max(), 1e-3))
    return worst


# ------------------------------------------------------------------ the numbers


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", CELLS)
class TestEquality:
    pytestmark = compiles

    def test_a_program_computes_what_the_composed_step_does(self, kind, dtype):
        cell = CELLS[kind](3, 24, dtype=dtype, rng=0)
        program = compiled(cell, dtype)
        assert compare(cell, program, dtype, T=7, B=4) < WITHIN[dtype]
        assert compare(cell, program, dtype, T=7, B=4, lengths=[7, 3, 0, 5]) < WITHIN[dtype]
        assert compare(cell, program, dtype, T=7, B=4, backwards=True) < WITHIN[dtype]
        assert compare(cell, program, dtype, T=6, B=5, lengths=[1, 6, 2, 0, 6], backwards=True) < WITHIN[dtype]

    def test_one_text_serves_every_width(self, kind, dtype):
        rng = np.random.default_rng(1)
        texts = set()
        for H in [2, 3, *rng.choice(np.arange(4, 71), 6, replace=False)]:
            T, B = rng.integers(1, 12), rng.integers(1, 10)
            cell = CELLS[kind](3, int(H), dtype=dtype, rng=0)
            program = compiled(cell, dtype)
            texts |= {program.source} if H > 2 else set()  # 1/2 is a number that is written out
            few = "layer_norm" in kind and H < 4
            assert compare(cell, program, dtype, T, B) < WITHIN[dtype] * (1e3 if few else 1), (H, T, B)
        assert len(texts) == 1


@pytest.mark.parametrize("kind", ["lstm", "gru"])
class TestRuns:
    pytestmark = compiles

    def run(self, kind, B=6, T=9, H=20, dtype="float32", backwards=False):
        cell = CELLS[kind](3, H, dtype=dtype, rng=0)
        program = compiled(cell, dtype)
        rng = np.random.default_rng(0)
        a = rng.normal(0, 1, (T, B, len(cell.gates) * H)).astype(dtype)
        start = [rng.normal(0, 1, (B, H)).astype(dtype) for _ in cell.states]
        weights = [w.array() for w in program.weights]
        dead = np.arange(T)[:, None, None] >= rng.integers(0, T + 1, B)[:, None]
        run = NumbaRun(program, a, start, weights, dead[::-1] if backwards else dead, backwards)
        dy = rng.normal(0, 1, (T, B, H)).astype(dtype)
        ends = [rng.normal(0, 1, (B, H)).astype(dtype) for _ in cell.states]
        return run, a, dy, ends

    @pytest.mark.parametrize("backwards", [False, True])
    def test_steps_pulled_one_by_one_add_up_to_the_whole(self, kind, backwards):
        run, a, dy, ends = self.run(kind, dtype="float64", backwards=backwards)
        T, n = len(a), len(ends)
        steps = dy[::-1] if backwards else dy
        whole = run.gradients(0, T - 1, ends, a, steps)
        da, state, totals = np.zeros_like(a), ends, None
        for k in reversed(range(T)):
            part, *rest = run.gradients(k, k, [state[0] + steps[k], *state[1:]], a)
            da += part.value() if hasattr(part, "value") else part
            state, weights = rest[:n], rest[n:]
            totals = weights if totals is None else [x + y for x, y in zip(totals, weights, strict=True)]
        for ours, theirs in zip([da, *state, *totals], whole, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)

    def test_any_number_of_threads_gives_the_same_bits(self, kind, monkeypatch):
        monkeypatch.setattr(sharing, "LEAST", 1)  # nothing is too small to be shared out
        found = []
        try:
            for n in (1, 2, 3):
                tg.set_num_threads(n)
                run, a, dy, ends = self.run(kind, B=7)
                found.append([run.output, *run.states(), *run.gradients(0, len(a) - 1, ends, a, dy)])
        finally:
            tg.set_num_threads(1)
        for other in found[1:]:
            assert all((x == y).all() for x, y in zip(found[0], other, strict=True))

    def test_nan_and_inf_go_where_they_go_in_the_composed_step(self, kind):
        cell = CELLS[kind](3, 20, dtype="float64", rng=0)
        program = compiled(cell, "float64")
        a = np.random.default_rng(0).normal(0, 1, (4, 5, len(cell.gates) * 20))
        a[1, 0, 3], a[2, 1, 4], a[1, 2, 5], a[0, 3, :] = np.nan, np.inf, -np.inf, 1e300
        start = [np.zeros((5, 20)) for _ in cell.states]
        run = NumbaRun(program, a, start, [w.array() for w in program.weights], None, False)
        state = tuple(map(tg.tensor, start))
        y, _ = tg.nn.unroll(cell.step, tg.tensor(a), state if len(state) > 1 else state[0])
        np.testing.assert_allclose(run.output, y.data, rtol=1e-12, atol=1e-13)
        assert np.isnan(run.output[1:, 0]).any() and np.isfinite(run.output[:, 4]).all()

    def test_a_forked_child_computes_the_same(self, kind):
        if not hasattr(os, "fork"):
            pytest.skip("no fork here")
        run, *_ = self.run(kind)
        child = os.fork()
        if child == 0:
            os._exit(0 if (self.run(kind)[0].output == run.output).all() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@numba_is_there
@pytest.mark.slow
class TestFunctions:
    """Units in the last place, against the exact value rounded."""

    def of(self, name, dtype, x):
        import numba

        bits = np.dtype(dtype).itemsize * 8
        function = getattr(cache.machine("functions"), f"{name}{bits}")

        @numba.njit(error_model="numpy")
        def each(x, y):
            for k in range(len(x)):
                y[k] = function(x[k])

        y = np.empty_like(x)
        each(x, y)
        return y

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("name", ["tanh", "sigmoid", "exp"])
    def test_functions_are_within_four_and_a_half_units(self, name, dtype):
        mpmath = pytest.importorskip("mpmath")
        rng = np.random.default_rng(0)
        x = np.concatenate([rng.normal(0, s, 300) for s in (1e-30, 1e-6, 0.1, 1, 4, 20)])
        x = np.concatenate([x, np.linspace(-80, 80, 401), [0.0, 0.625, -0.625, 7.9053, 8.5, 20.5]]).astype(dtype)
        y = self.of(name, dtype, x)
        with mpmath.workdps(40):
            exact = {
                "tanh": mpmath.tanh,
                "sigmoid": lambda v: 1 / (1 + mpmath.exp(-v)),
                "exp": mpmath.exp,
            }[name]
            true = [exact(mpmath.mpf(float(v))) for v in x]
            units = [
                abs(mpmath.mpf(float(v)) - t) / float(np.spacing(np.abs(np.array(t, dtype))))
                for v, t in zip(y, true, strict=True)
            ]
        assert max(units) <= 4.5
        if name == "tanh":
            assert (np.abs(y) <= 1).all()

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_functions_at_the_ends(self, dtype):
        x = np.array([np.nan, np.inf, -np.inf, 1e4, -1e4, 0.0], dtype)
        np.testing.assert_array_equal(self.of("tanh", dtype, x), np.array([np.nan, 1, -1, 1, -1, 0], dtype))
        np.testing.assert_array_equal(self.of("sigmoid", dtype, x), np.array([np.nan, 1, 0, 1, 0, 0.5], dtype))
        np.testing.assert_array_equal(self.of("exp", dtype, x), np.array([np.nan, np.inf, 0, np.inf, 0, 1], dtype))


@numba_is_there
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_product_of_our_own_is_a_product(dtype):
    kernels, rng = Kernels(np.dtype(dtype)), np.random.default_rng(0)
    for M, K, N in [(1, 1, 1), (5, 7, 9), (64, 700, 65), (33, 3, 130), (200, 64, 100), (7, 257, 16)]:
        for a_turned, b_turned in ((0, 0), (1, 0), (0, 1), (1, 1)):
            a = rng.standard_normal((K, M)).T if a_turned else rng.standard_normal((M, K))
            b = rng.standard_normal((N, K)).T if b_turned else rng.standard_normal((K, N))
            a, b = (np.asarray(x, dtype, order="K") for x in (a, b))
            out = np.full((M, N), np.nan, dtype)
            kernels.multiply(a, b, out)
            np.testing.assert_allclose(out, a @ b, rtol=0, atol=np.abs(a @ b).max() * np.finfo(dtype).eps * 50)
            start, sums = rng.standard_normal(N).astype(dtype), np.full(N, np.nan, dtype)
            kernels.multiply(a, b, out, start, sums)
            np.testing.assert_allclose(sums, b.sum(0), rtol=0, atol=np.abs(b).sum(0).max() * np.finfo(dtype).eps * 5)
            scale = np.abs(a @ b).max() + np.abs(start).max()
            np.testing.assert_allclose(out, start + a @ b, rtol=0, atol=scale * np.finfo(dtype).eps * 50)


@numba_is_there
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 16), (16, 5), (33, 64), (64, 100), (40, 131), (130, 17)], ids=str)
def test_weights_are_packed_panel_by_panel(shape, dtype):
    kernels, W = Kernels(np.dtype(dtype)), np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    whole = -(-shape[1] // kernels.lanes) * kernels.lanes  # columns, filled up to vectors
    filled = np.pad(W, ((0, 0), (0, whole - shape[1])))
    panels = [filled[:, n : n + kernels.width].reshape(-1) for n in range(0, whole, kernels.width)]
    for order in "CF":
        np.testing.assert_array_equal(kernels.packed(np.asarray(W, dtype, order)), np.concatenate(panels))


@numba_is_there
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # inf - inf
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 7, 16), (4, 33), (5, 2, 100), (50,)], ids=str)
def test_a_cross_entropy_of_our_own_is_numpys(shape, dtype, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 20, shape).astype(dtype)
    target = rng.integers(0, shape[-1], shape[:-1]).astype("int32")
    if shape == (2, 7, 16):
        x[0, 0], x[0, 1, 2], x[0, 2, 3], x[0, 3], x[0, 4, 5] = -np.inf, np.inf, -np.inf, 1e30, np.nan
    found = []
    monkeypatch.setattr(cross_entropy, "LARGE", 0)
    for kernels in ({}, {np.dtype(dtype): Kernels(np.dtype(dtype))}):
        monkeypatch.setattr(blas, "kernels", kernels)
        op = cross_entropy.CrossEntropy(target)
        losses, s = op.forward(x)
        g = [np.asarray(rng.standard_normal(target.shape), dtype) for rng in map(np.random.default_rng, (1, 2))]
        found.append([losses, s, op.vjp(g, (losses, s), x)])
    for expected, ours in zip(*found, strict=True):
        assert ours.dtype == dtype and np.shape(ours) == np.shape(expected)
        np.testing.assert_allclose(ours, expected, rtol=2e3 * np.finfo(dtype).eps, atol=50 * np.finfo(dtype).eps)


@numba_is_there
@pytest.mark.slow
def test_a_cross_entropy_has_the_same_bits_for_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(sharing, "LEAST", 1)
    kernels, rng = Kernels(np.dtype("f4")), np.random.default_rng(0)
    x, target = rng.standard_normal((10, 9, 30)).astype("f4"), rng.integers(0, 30, (10, 9))
    found = []
    try:
        for n in (1, 2, 3):
            tg.set_num_threads(n)
            e, *of_rows = kernels.powers(x, target)
            found.append([e, *of_rows, kernels.surplus(e, target, of_rows[0], of_rows[1])])
    finally:
        tg.set_num_threads(1)
    for other in found[1:]:
        assert all((x == y).all() for x, y in zip(found[0], other, strict=True))


# ------------------------------------------------------------------ the text


def test_the_program_is_short_and_named_as_the_equations_are():
    text = str(NumbaProgram(recorded(tg.nn.LSTMCell(3, 4, rng=0), "float32")))
    for line in ("o_ = sigmoid(", "g_ = tanh(", "h_ = o_ * ", "for j in range(H):", "multiply(product,"):
        assert line in text
    assert len(text.splitlines()) < 140


def test_what_numba_cannot_say_is_refused_up_front():
    with pytest.raises(CompileError, match=r"more than an expression of single numbers \(np.max"):
        NumbaProgram(record(lambda a, h: (tg.softmax(a + h, axis=-1),) * 2, 4, [4], float))


def test_an_op_of_ones_own_is_printed_by_its_forward():
    class Swish(tg.Op):
        def forward(self, x):
            return x / (1 + np.exp(-x))

        def vjp(self, g, y, x):
            s = 1 / (1 + np.exp(-x))
            return g * (s + y * (1 - s))

    text = str(NumbaProgram(record(lambda a, h: (Swish()(a + h),) * 2, 4, [4], float)))
    assert "exp(" in text


def test_widths_without_a_common_part_are_refused():
    with pytest.raises(CompileError, match="common"):
        NumbaProgram(record(lambda a, h: (h[:, :3], np.tanh(a + h)), 4, [4], float))


@pytest.mark.parametrize("dtype", ["float16", np.longdouble])
def test_other_numbers_than_floats_of_four_and_eight_bytes_are_refused(dtype):
    if np.dtype(dtype) == np.float64:
        pytest.skip("a longdouble is a float64 here")
    with pytest.raises(CompileError, match=f"float32 and float64, not with {np.dtype(dtype)}"):
        NumbaProgram(recorded(tg.nn.GRUCell(3, 4, dtype=dtype, rng=0), dtype))


# ------------------------------------------------------------------ the cache


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_RNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_text_is_written_once_and_imported(folder):
    module = cache.load("test", "x = 1\n# in the cache")
    (file,) = folder.glob("test_*.py")
    before = file.stat().st_mtime
    assert module.x == 1 and cache.load("test", "x = 1\n# in the cache") is module
    assert before == 1e9  # the same for whoever writes it, as numba asks for it


def test_another_text_under_its_name_is_replaced(folder):
    text = "x = 2\n# must be this"
    path = cache._written(folder, "test_1.py", text)
    path.write_text("x = 'of somebody else'")
    assert cache._written(folder, "test_1.py", text).read_text() == text
    assert [p.name for p in folder.iterdir()] == ["test_1.py"]


@pytest.mark.parametrize("bad", ["/proc/nobody", "file"])
def test_where_nothing_can_be_written_a_folder_of_the_process_is_used(tmp_path, monkeypatch, bad):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TINYGRAD_RNN_CACHE", bad if bad[0] == "/" else str(tmp_path / "file"))
    text = f"x = 3\n# {bad}"
    module = cache.load("test", text)
    assert module.x == 3 and Path(module.__file__).parent == cache.own_folder()
    assert not cache.has_machine_code("test", text)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_damaged_files_of_machine_code_are_removed(folder, tmp_path, monkeypatch, elsewhere):
    there = tmp_path / "numba" / "some_folder" if elsewhere else folder / "__pycache__"
    if elsewhere:
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    there.mkdir(parents=True)
    index, code = pickle.dumps("0.60") + pickle.dumps(({}, [1])), pickle.dumps(("code", b"1" * 1000))
    files = {"good.f.nbi": index, "good.f.nbc": code, "short.f.nbi": index[:-3], "half.f.nbi": pickle.dumps("0.60")}
    files |= {"short.f.nbc": code[:500], "empty.f.nbc": b"", "other.f.nbi": b"garbage\n", "text.py": b""}
    for name, content in files.items():
        (there / name).write_bytes(content)
    assert cache.forget_damaged() and not cache.forget_damaged()
    assert sorted(p.name for p in there.iterdir()) == ["good.f.nbc", "good.f.nbi", "text.py"]


def test_machine_code_that_cannot_be_loaded_is_made_again(asked, monkeypatch):
    damaged = [True]

    def compile(self):
        if damaged:
            raise EOFError("Ran out of input")

    monkeypatch.setattr(Always, "compile", compile)
    monkeypatch.setattr(cache, "forget_damaged", lambda: bool(damaged and damaged.pop()))
    assert isinstance(asked.program([]), Always)


def test_a_numba_that_compiles_nothing_is_not_asked(asked, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert "NUMBA_DISABLE_JIT" in Fast("other", asked.step, [], asked.numpy).refused


def test_no_home_is_no_trouble(monkeypatch):
    for name in ("TINYGRAD_RNN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert cache.load("test", "x = 4\n# no home").x == 4


def test_many_writers_at_once(folder):
    text = "x = 5\n" * 1000
    threads = [threading.Thread(target=cache._written, args=(folder, "test_2.py", text)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [p.read_text() for p in folder.iterdir()] == [text]


@numba_is_there
@pytest.mark.slow
def test_processes_share_a_folder_from_a_zip_too(tmp_path):
    root = Path(tg.__file__).parent
    archive = tmp_path / "tinygrad_rnn.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in root.rglob("*"):
            if path.suffix in (".py", ".css", ".js", ".html"):
                zipped.write(path, path.relative_to(root.parent))
    program = (
        "import numpy as np, tinygrad_rnn as tg\n"
        "from tinygrad_rnn.compiled import record\n"
        "from tinygrad_rnn.compiled.numba_program import NumbaProgram\n"
        "from tinygrad_rnn.compiled.numba_run import NumbaRun\n"
        "step = record(lambda a, h: (np.tanh(a + h),) * 2, 4, [4], 'float32')\n"
        "p = NumbaProgram(step); p.compile()\n"
        "run = NumbaRun(p, np.ones((2, 3, 4), 'f4'), [np.zeros((3, 4), 'f4')], [], None, False)\n"
        "print(tg.__file__, float(run.output[-1, 0, 0]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(archive), "TINYGRAD_RNN_CACHE": str(tmp_path / "cache")}
    start = [sys.executable, "-c", program]
    both = [subprocess.Popen(start, env=environment, cwd=tmp_path, text=True, stdout=-1, stderr=-1) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        file, y = out.split()
        assert ".zip" in file and float(y) == pytest.approx(np.tanh(1 + np.tanh(1)), rel=1e-6)
    assert list((tmp_path / "cache" / "__pycache__").glob("step_*.nbc"))


# ------------------------------------------------------------------ whether it is used


class Always:
    """A program that is there at once."""

    source = text = "none"

    def __init__(self, step, weights):
        self.step, self.weights = step, weights
        self.kernels = self

    def compile(self):
        pass

    def multiply(self, a, b, out, bias=None, sums=None):
        if sums is not None:
            sums[...] = b.sum(0)
        np.add(np.matmul(a, b), 0 if bias is None else bias, out=out)


class SimpleRun:
    """h = h + a, forwards in time; dL/dh passes by."""

    factor = 1.0

    def __init__(self, program, a, start, weights, dead, backwards):
        self.a = a
        self.output = np.cumsum(a, 0) * self.factor

    def states(self):
        return [self.output]

    def gradients(self, first, last, ends, a, output):
        return (np.ones_like(a),)


@pytest.fixture
def asked(monkeypatch):
    """Fast, with a program and runs of its own in place of numba's."""
    monkeypatch.setenv("TINYGRAD_RNN_FAST", "wait")
    monkeypatch.setattr(fast_module, "version", lambda: "1")
    monkeypatch.setattr(fast_module, "NumbaProgram", Always)
    monkeypatch.setattr(fast_module, "NumbaRun", SimpleRun)
    monkeypatch.setattr(blas, "kernels", {})
    step = record(lambda a, h: (a + h, a + h), 4, [4], float)
    return Fast("mine", step, [], lambda *given: SimpleRun(None, *given))


def test_a_program_that_is_right_is_used(asked, capsys):
    program = asked.program([])
    assert isinstance(program, Always) and asked.program([]) is program and not asked.refused
    assert "compiling mine for float64" in capsys.readouterr().err
    assert asked.program([]) is program and capsys.readouterr().err == ""


def test_a_program_that_is_wrong_is_told_once_and_never_used(asked, monkeypatch):
    class Wrong(SimpleRun):
        factor = 1.001

    monkeypatch.setattr(fast_module, "NumbaRun", Wrong)
    with pytest.warns(RuntimeWarning, match="numba's program of a step is not used.*something else"):
        assert asked.program([]) is None
    assert asked.program([]) is None and "something else" in asked.refused  # no second warning: they are errors here


def test_a_program_that_fails_is_told_once_and_never_used(asked, monkeypatch):
    def fails(self):
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(Always, "compile", fails)
    with pytest.warns(RuntimeWarning, match="no such instruction"):
        assert asked.program([]) is None
    assert asked.program([]) is None


def test_what_is_compiled_behind_is_told_by_whoever_comes_next(asked, monkeypatch):
    monkeypatch.setenv("TINYGRAD_RNN_FAST", "")
    monkeypatch.setattr(cache, "has_machine_code", lambda kind, text: False)
    go_on = threading.Event()
    monkeypatch.setattr(Always, "compile", lambda self: go_on.wait(10))
    for _ in range(fast_module.PATIENCE + 3):  # meanwhile NumPy's program runs
        assert asked.program([]) is None
    go_on.set()
    (compiler,) = [t for t in threading.enumerate() if t.name == "tinygrad_rnn-compiler"]
    compiler.join()
    assert isinstance(asked.program([]), Always)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_forked_while_something_compiles_goes_on_with_numpy(asked, monkeypatch):
    monkeypatch.setenv("TINYGRAD_RNN_FAST", "")
    monkeypatch.setattr(cache, "has_machine_code", lambda kind, text: False)
    started, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(Always, "compile", lambda self: (started.set(), go_on.wait(20)))
    for _ in range(fast_module.PATIENCE):
        asked.program([])
    assert started.wait(10)
    child = os.fork()
    if child == 0:
        signal.alarm(15)
        os.environ["TINYGRAD_RNN_FAST"] = "wait"  # would wait for ever
        other = Fast("other", asked.step, [], asked.numpy)
        os._exit(0 if asked.program([]) is None and other.program([]) is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "tinygrad_rnn-compiler":
            thread.join()
    assert isinstance(asked.program([]), Always)


def test_what_is_in_the_cache_is_used_from_the_first_step_on(asked, monkeypatch, capsys):
    monkeypatch.setenv("TINYGRAD_RNN_FAST", "")
    monkeypatch.setattr(cache, "has_machine_code", lambda kind, text: True)
    assert isinstance(asked.program([]), Always) and capsys.readouterr().err == ""


@pytest.mark.parametrize("said", ["0", "off", "NO"])
def test_it_can_be_switched_off(said, asked, monkeypatch):
    monkeypatch.setenv("TINYGRAD_RNN_FAST", said)
    off = Fast("mine", asked.step, [], asked.numpy)
    assert off.program([]) is None and "TINYGRAD_RNN_FAST" in off.refused


def test_without_numba_it_says_what_to_install(asked, monkeypatch):
    monkeypatch.setattr(fast_module, "version", lambda: None)
    without = Fast("mine", asked.step, [], asked.numpy)
    assert without.program([]) is None and "pip install tinygrad_rnn[fast]" in without.refused


def test_differences_sees_each_kind_of_result(asked):
    program = Always(asked.step, [])
    assert differences(asked.numpy, program, []) == ""

    class Other(SimpleRun):
        def gradients(self, *given):
            return (np.ones_like(self.a) * 1.01,)

    assert "something else" in differences(lambda *given: Other(None, *given), program, [])


# ------------------------------------------------------------------ the command


@numba_is_there
@pytest.mark.slow
def test_the_command_compiles_and_the_next_run_finds_it(tmp_path):
    environment = {**os.environ, "TINYGRAD_RNN_CACHE": str(tmp_path), "TINYGRAD_RNN_FAST": "1"}
    start = [sys.executable, "-m", "tinygrad_rnn", "warm", "rnn"]

    def run():
        done = subprocess.run(start, env=environment, text=True, capture_output=True)
        return done, {path: path.stat().st_mtime_ns for path in (tmp_path / "__pycache__").iterdir()}

    (first, compiled), (again, found) = run(), run()
    assert found == compiled  # nothing is compiled a second time, what all programs share neither
    assert first.returncode == 0, first
    assert "RNNCell float32:" in first.stdout and str(tmp_path) in first.stdout
    assert first.stderr.count("compiling rnn for float32, once") == 2  # tanh and relu
    assert again.returncode == 0 and again.stderr == ""


def test_the_command_says_what_is_missing(monkeypatch, capsys):
    from tinygrad_rnn.app import warm
    from tinygrad_rnn.cli import main

    monkeypatch.setattr(warm, "version", lambda: None)
    assert main(["warm"]) == 1
    assert "pip install tinygrad_rnn[fast]" in capsys.readouterr().err


def test_the_command_knows_its_cells(monkeypatch, capsys):
    from tinygrad_rnn.app import warm
    from tinygrad_rnn.cli import main

    monkeypatch.setattr(warm, "version", lambda: "1")
    assert main(["warm", "lstn"]) == 2
    assert "warm: there are rnn, lstm, gru, options, not 'lstn'" in capsys.readouterr().err


# ------------------------------------------------------------------ layers


@pytest.fixture
def machine_code(monkeypatch):
    """Layers compile before their first step, and nothing that other tests decided is remembered."""
    from tinygrad_rnn.nn.fused import compiling

    monkeypatch.setenv("TINYGRAD_RNN_FAST", "wait")
    monkeypatch.setattr(compiling, "_known", type(compiling._known)())
    monkeypatch.setattr(blas, "kernels", {})


@numba_is_there
@pytest.mark.slow
@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (4,), (1, 4)], ids=str)
def test_weights_of_every_form_get_their_gradient(shape, machine_code):
    w = tg.tensor(np.full(shape, 0.7), requires_grad=True)

    def step(a, state):
        h, c = state
        return np.tanh(a + w * h), (c, np.tanh(a + w * h))  # the state changes places too

    x, start = tg.tensor(np.linspace(-1, 1, 24).reshape(3, 2, 4)), (np.ones((2, 4)), np.zeros((2, 4)))
    tg.nn.unroll(step, x, start, compiled=True, check=True)


@numba_is_there
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
class TestLayers:
    def gradients(self, kind, dtype="float32", **options):
        """Of a large layer: its products too are shared out."""
        rng = np.random.default_rng(0)
        x = tg.tensor(rng.standard_normal((40, 24, 60)).astype(dtype), requires_grad=True)
        layer = getattr(tg.nn, kind)(60, 80, rng=0, dtype=dtype, **options)
        y, state = layer(x, lengths=rng.integers(0, 41, 24))
        parts = state if isinstance(state, tuple) else (state,)
        loss = (y * y).sum() + sum(part.sum() for part in parts)
        return [y, *parts, *tg.grad(loss, [x, *layer.parameters()])]

    def test_threads_change_no_bit(self, kind, machine_code):
        found = []
        try:
            for n in (1, 2, 3):
                tg.set_num_threads(n)
                found.append([x.data for x in self.gradients(kind, bidirectional=True, num_layers=2)])
        finally:
            tg.set_num_threads(1)
        assert all((x == y).all() for other in found[1:] for x, y in zip(found[0], other, strict=True))

    def test_layers_run_it_and_are_what_they_were(self, kind, machine_code, monkeypatch):
        ours = self.gradients(kind, "float64")
        theirs = self.gradients(kind, "float64", fused=False)
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(x.data, y.data, rtol=0, atol=1e-12 * max(1, np.abs(y.data).max()))

    def test_steps_are_there_for_whoever_looks(self, kind, machine_code):
        layer, x = getattr(tg.nn, kind)(3, 8, rng=0), np.ones((5, 2, 3), np.float32)
        loss = layer(x)[0].sum()
        looked = [r for r in tg.tape(loss) if r.op.name.endswith("_step")]
        assert len(looked) == 5
        loss.backward()
        grads = [w.grad for w in layer.parameters()]
        for w in layer.parameters():
            w.grad = None
        layer(x)[0].sum().backward()
        for w, g in zip(layer.parameters(), grads, strict=True):
            np.testing.assert_allclose(w.grad, g, rtol=1e-5, atol=1e-6)

    @pytest.mark.oracle
    def test_float32_is_as_near_to_the_truth_as_torchs(self, kind, machine_code, torch):
        """Against torch in float64: at most twice the error that torch has in float32."""
        rng = np.random.default_rng(0)
        for T, B, n, H in [(30, 8, 16, 24), (100, 4, 8, 37)]:
            x, dy = (rng.standard_normal((T, B, m)).astype(np.float32) for m in (n, H))
            layer = getattr(tg.nn, kind)(n, H, rng=0)
            state = {name: torch.from_numpy(w) for name, w in tg.io.to_torch(layer).items()}
            theirs = {dtype: getattr(torch.nn, kind)(n, H).to(dtype) for dtype in (torch.float32, torch.float64)}
            results = {}
            for dtype, module in theirs.items():
                module.load_state_dict(state)
                y, _ = module(torch.from_numpy(x).to(dtype))
                y.backward(torch.from_numpy(dy).to(dtype))
                results[dtype] = [
                    y.detach().numpy(),
                    module.weight_hh_l0.grad.numpy().T,
                    module.weight_ih_l0.grad.numpy().T,
                ]
            y, _ = layer(x)
            y.backward(dy)
            ours = [y.data, layer.W_hh.grad, layer.W_xh.grad]
            for a, b, true in zip(ours, results[torch.float32], results[torch.float64], strict=True):
                scale = np.abs(true).max()
                assert np.abs(a - true).max() / scale <= 2 * np.abs(b - true).max() / scale + 1e-7
