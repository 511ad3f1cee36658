"""Whether a step runs as machine code: numba's program in place of NumPy's, where it can be had and is right.

The extra `fast` installs numba. A program is compiled once, in a few seconds, and kept (`cache.py`). Until then NumPy's
program runs: a thread compiles behind it. What is in the cache is used from the first step on, so that a run repeats
bit for bit. Whatever comes out is tried before it is used: on a small problem it must agree with NumPy's program. One
that fails, or is wrong, is reported once and never used.

The variable TINYGRAD_RNN_FAST: 0 for NumPy's programs alone, `wait` to compile before the first step.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..errors import CompileError
from ..ops import blas
from . import cache
from .numba_program import NumbaProgram
from .numba_run import NumbaRun
from .recording import Recorded
from .values import Value

PATIENCE = 10
"""So many runs of a step before it is compiled behind: what is tried once or twice is not worth it."""


def mode() -> str:
    """What the variable says: "0", "wait", or "" for the usual."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):  # numba was told to compile nothing
        return "0"
    said = os.environ.get("TINYGRAD_RNN_FAST", "").strip().lower()
    return "0" if said in ("0", "no", "off", "false") else "wait" if said == "wait" else ""


@functools.cache
def version() -> str | None:
    """The version of numba that is installed, without importing it."""
    from importlib import metadata

    try:
        return metadata.version("numba")
    except metadata.PackageNotFoundError:
        return None


_at_work: set[int] = set()
_cut_short = False


def _after_fork() -> None:
    """A child that was forked while something compiled has the locks, and not the thread that would open them."""
    global _cut_short
    _cut_short = bool(_at_work)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Fast:
    """The machine code of one recorded step, once it is there.

    name     what it is called to users
    step     as it was recorded
    weights  its weights, in the order in which their arrays are given
    numpy    makes a run of NumPy's program, of (a, start, weights, dead, backwards) as `Run` takes them
    """

    def __init__(self, name: str, step: Recorded, weights: Sequence[Value], numpy: Callable[..., Any]) -> None:
        self.name, self.step, self.weights, self.numpy = name, step, weights, numpy
        self.runs = 0
        self.printing, self.compiling = threading.Lock(), threading.Lock()
        self.ready: NumbaProgram | None = None
        self.trouble: str | None = None  # to be told to whoever comes next
        self.refused = ""  # why there is none
        self.candidate: NumbaProgram | None = None
        if version() is None:
            self.refused = "numba is not installed: pip install tinygrad_rnn[fast]"
        elif mode() == "0":
            self.refused = "it is switched off (TINYGRAD_RNN_FAST or NUMBA_DISABLE_JIT)"

    def program(self, weights: Sequence[np.ndarray]) -> NumbaProgram | None:
        """The program to run, or None: NumPy's. The weights are those of now, with which it is tried."""
        if self.ready is not None or self.refused or _cut_short:
            return self.ready
        if self.trouble is not None:
            self._tell()
            return None
        if (candidate := self._printed()) is None:
            return None
        self.runs += 1
        if mode() == "wait":
            return self.now(weights)
        if self.runs == 1 and cache.has_machine_code("step", candidate.text):
            return self.now(weights)
        if self.runs == PATIENCE:
            threading.Thread(target=self.compile, args=(weights,), name="tinygrad_rnn-compiler").start()
        return self.ready

    def before_the_first_run(self, weights: Sequence[Any]) -> None:
        """Fetch what is in the cache, so that the products before the steps are those of all later runs too."""
        if self.runs or self.ready is not None or self.refused or _cut_short:
            return
        candidate = self._printed()
        if candidate is not None and (mode() == "wait" or cache.has_machine_code("step", candidate.text)):
            self.now([w.array for w in weights])

    def now(self, weights: Sequence[np.ndarray]) -> NumbaProgram | None:
        """The program, compiled at once where it has to be, with a word to whoever waits."""
        if self.ready is None and (candidate := self._printed()) is not None:
            if not cache.has_machine_code("step", candidate.text):
                print(f"tinygrad_rnn: compiling {self.name} for {self.step.dtype}, once ...", file=sys.stderr)
            self.compile(weights)
            self._tell()
        return self.ready

    def _printed(self) -> NumbaProgram | None:
        with self.printing:
            if self.candidate is None and not self.refused:
                try:
                    self.candidate = NumbaProgram(self.step, self.weights)
                except CompileError as error:
                    self.refused = str(error)
        return None if self.refused else self.candidate

    def compile(self, weights: Sequence[np.ndarray]) -> None:
        """Make or fetch the machine code, and try it."""
        with self.compiling:
            candidate = self.candidate
            if candidate is None or self.ready is not None or self.refused or self.trouble:
                return
            _at_work.add(id(self))
            try:
                try:
                    wrong = self._tried(candidate, weights)
                except Exception:
                    if not cache.forget_damaged():
                        raise
                    wrong = self._tried(candidate, weights)
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"
            finally:
                _at_work.discard(id(self))
            if wrong:
                self.trouble = wrong
                return
            blas.kernels.setdefault(np.dtype(self.step.dtype), candidate.kernels)
            self.ready = candidate

    def _tried(self, candidate: NumbaProgram, weights: Sequence[np.ndarray]) -> str:
        candidate.compile()
        return differences(self.numpy, candidate, weights)

    def _tell(self) -> None:
        if self.trouble is not None and not self.refused:
            self.refused = self.trouble
            what = f"numba's program of a step is not used, NumPy's is: {self.trouble}"
            warnings.warn(what, RuntimeWarning, stacklevel=2)


@np.errstate(all="ignore")
def differences(numpy: Callable[..., Any], candidate: NumbaProgram, weights: Sequence[np.ndarray]) -> str:
    """Where the candidate differs from NumPy's program on a small problem; nothing if it does not."""
    step, rng = candidate.step, np.random.default_rng(0)
    T, B, dtype = 4, 7, step.dtype

    def some(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.5, shape).astype(dtype)

    a, start = some(T, B, step.a.columns), [some(B, v.columns) for v in step.states]
    ends, dy = [some(B, v.columns) for v in step.states], some(T, B, step.y.columns)
    for dead, backwards in ((None, False), (np.arange(T)[:, None, None] >= np.arange(B)[:, None], True)):
        runs = [make(a, start, weights, dead, backwards) for make in (numpy, partial(NumbaRun, candidate))]
        alive = np.ones(1, bool) if dead is None else ~dead  # where a sequence has ended, its y is nobody's
        dy, in_time = (dy * alive).astype(dtype), alive[::-1]
        for first, last in ((0, T - 1), (1, 2)):
            given = (first, last, ends, a, dy[first : last + 1])
            results = [[run.output * in_time, *run.states(), *run.gradients(*given)] for run in runs]
            for k, (expected, found) in enumerate(zip(*results, strict=True)):
                if expected is not None and not close(expected, found):
                    return f"it computes something else (result {k} of a run {'back' if backwards else 'forward'})"
    return ""


def close(expected: Any, found: Any) -> bool:
    """Whether two results are the same but for rounding."""
    expected, found = (np.asarray(getattr(x, "part", x)) for x in (expected, found))
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    tolerance = 1e4 * np.finfo(expected.dtype).eps * (scale + 1e-3)
    return expected.shape == found.shape and np.allclose(expected, found, rtol=0, atol=tolerance, equal_nan=True)
