"""What numba is given to compile says what the composed step does: its text, run as plain Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import plain_programs
import pytest
import test_compiled_random as by_numpy

from tinygrad_rnn.compiled import fast
from tinygrad_rnn.compiled.numba_program import NumbaProgram
from tinygrad_rnn.compiled.numba_run import NumbaRun
from tinygrad_rnn.nn.fused import compiling
from tinygrad_rnn.ops import blas

pytestmark = pytest.mark.filterwarnings("error:numba's program of a step is not used")


@pytest.fixture(autouse=True)
def runs(monkeypatch) -> Any:
    """Every step that can be printed runs by its text; how many runs there were."""
    count = [0]

    class Counted(NumbaRun):
        def __init__(self, *given: Any) -> None:
            count[0] += 1
            with np.errstate(all="ignore"):
                super().__init__(*given)

        def gradients(self, *given: Any, **named: Any) -> Any:
            with np.errstate(all="ignore"):
                return super().gradients(*given, **named)

    monkeypatch.setenv("TINYGRAD_RNN_FAST", "wait")
    monkeypatch.setattr(fast, "version", lambda: "none")
    monkeypatch.setattr(NumbaProgram, "compile", plain_programs.compiled)
    monkeypatch.setattr(NumbaProgram, "text", "")
    monkeypatch.setattr(blas, "kernels", {})
    monkeypatch.setattr(compiling, "NumbaRun", Counted)
    monkeypatch.setattr(compiling, "_known", type(compiling._known)())
    return count


def test_random_cells(runs):
    by_numpy.compared(range(25))
    assert runs[0] > 5


@pytest.mark.slow
def test_many_random_cells(runs):
    by_numpy.compared(range(25, 500))
    assert runs[0] > 100


@pytest.mark.parametrize(("kind", "options"), by_numpy.KINDS, ids=str)
@pytest.mark.parametrize("size", [(2, 1, 1), (5, 4, 3), (6, 3, 4)], ids=str)
def test_layers_of_many_sizes(kind, options, size, runs):
    by_numpy.layer_compared(kind, options, *size, seed=sum(size))
    assert runs[0] >= 1


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_come_through_as_in_the_loop(kind, bad, runs):
    by_numpy.test_nan_and_inf_come_through_as_in_the_loop(kind, bad)
    assert runs[0] == 1
