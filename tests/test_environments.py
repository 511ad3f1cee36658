"""What must not depend on the machine: the NumPy there is, the processor's kernels, the Python that adds up."""

from __future__ import annotations

import builtins
import functools
import math
import operator
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import GRAPHS

import tinygrad_rnn as tg
from tinygrad_rnn import nn, ops
from tinygrad_rnn.pictures import routes

PACKAGE = Path(tg.__file__).parent


def run(code: str) -> str:
    """What a new interpreter prints that runs this."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ------------------------------------------------------------------ a NumPy without some of its functions


def test_the_package_is_imported_by_a_numpy_that_lacks_functions_of_the_tables():
    """All of them but its ufuncs, at once: it was imported before, so that it does not miss them itself."""
    printed = run(
        """
        import sys, numpy as np, numpy.ma
        import tinygrad_rnn.ops as before
        functions = [f for f in {*before.FUNCTIONS, *before.PLAIN} if not isinstance(f, np.ufunc)]
        kept = np.diagonal, np.repeat  # what others here are made of
        for module in (np, np.linalg):
            for name, value in list(vars(module).items()):
                if any(value is f for f in functions) and not any(value is f for f in kept):
                    delattr(module, name)
        for name in [name for name in sys.modules if name.startswith("tinygrad_rnn")]:
            del sys.modules[name]
        import tinygrad_rnn.ops as after
        print(len(before.FUNCTIONS) - len(after.FUNCTIONS), after.UFUNCS.keys() == before.UFUNCS.keys())
        """
    )
    lost, kept = printed.split()
    assert int(lost) > 100 and kept == "True"


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) >= "2.6.0", reason="a later NumPy may have dropped some")
def test_every_name_of_the_tables_is_one_of_numpy_now():
    """A misspelt name would be taken for one that this NumPy lacks."""
    assert len(ops.registry.NAMES) > 150
    for name in ops.registry.NAMES:
        assert callable(eval(f"np.{name}"))


# ------------------------------------------------------------------ the false alarms of kernels


def multiplied(make: Callable[..., Any], *arrays: Any) -> None:
    """The result and the gradients of an op whose operands and gradient hold infinities and zeros."""
    leaves = [tg.tensor(array, requires_grad=True) for array in arrays]
    y = make(*leaves)
    y.backward(np.where(np.arange(y.size).reshape(y.shape) % 2, np.inf, 0.0).astype(y.dtype))
    assert any(np.isnan(leaf.grad).any() for leaf in leaves)


FAR = np.array([[np.inf, 0.0, 1.0], [0.0, -np.inf, 2.0], [1.0, 1.0, 3.0]])
NEAR = np.array([[2.0, 0.5, 0.0], [0.5, 3.0, 0.0], [0.0, 0.0, 4.0]])


@pytest.mark.parametrize(
    "product",
    [
        lambda a, b: a @ b,
        lambda a, b: a[0] @ b,
        lambda a, b: a @ b[:, 0],
        lambda a, b: np.stack([a, a]) @ b,
        lambda a, b: np.dot(a, b),
        lambda a, b: np.vdot(a, b),
        lambda a, b: np.tensordot(a, b, 1),
        lambda a, b: np.einsum("ij,jk->ik", a, b),
        lambda a, b: np.linalg.multi_dot([a, b, b]),
        lambda a, b: np.convolve(a[0], b[0]),
        lambda a, b: ops.linalg.affine(a, b, b[0]),
    ],
)
def test_products_do_not_warn_of_what_a_kernel_does_in_its_spare_lanes(product):
    """∞ · 0 raises the flag on every processor, ∞ alone on some: neither is asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        multiplied(product, FAR, NEAR)
        multiplied(product, FAR.astype(np.float32), NEAR.astype(np.float32))
        multiplied(product, FAR[::-1], FAR)


@pytest.mark.parametrize("name", ["inv", "pinv", "cholesky", "svdvals", "eigvalsh"])
def test_nor_do_the_rules_of_decompositions(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        multiplied(getattr(np.linalg, name), NEAR)


def test_nor_does_the_solution_of_equations():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        multiplied(np.linalg.solve, NEAR, NEAR[:, :2])
        multiplied(np.linalg.solve, NEAR, NEAR[0])


@pytest.mark.parametrize("layer", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("fused", [True, False])
def test_nor_do_layers_with_infinite_weights_or_gradients(layer, fused):
    options = {"nonlinearity": "relu"} if layer is nn.RNN else {}
    network = layer(3, 40, fused=fused, rng=0, **options)
    network.W_hh.data[0] = np.inf
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "invalid value encountered in matmul")
        warnings.filterwarnings("ignore", "invalid value")  # the gates' own: 0 * inf
        output, _ = network(np.ones((5, 3, 3)))
        output.backward(np.full(output.shape, np.inf, np.float32))
    assert not np.isfinite(network.W_hh.grad).all()


def test_an_overflow_is_told():
    with pytest.warns(RuntimeWarning, match="overflow encountered in matmul"):
        tg.tensor([[1e300]]) @ np.array([[1e300]])


# ------------------------------------------------------------------ the Python that adds up


def rounded_each(numbers: Iterable[Any], start: Any = 0) -> Any:
    """`sum` as Python 3.11 computes it."""
    return functools.reduce(operator.add, numbers, start)


def rounded_once(numbers: Iterable[Any], start: Any = 0) -> Any:
    """`sum` of floats as Python 3.12 and later compute it, nearly: with what rounding lost carried along."""
    numbers = [start, *numbers]
    whole = all(isinstance(number, int | float) for number in numbers) and any(isinstance(n, float) for n in numbers)
    return math.fsum(numbers) if whole else rounded_each(numbers[1:], start)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_picture_is_the_same_whichever_way_python_adds_up(name, monkeypatch):
    pictures = []
    for way in (rounded_each, rounded_once):
        routes.best_order.cache_clear()
        monkeypatch.setattr(builtins, "sum", way)
        pictures.append([tg.draw(GRAPHS[name](), level=level).svg() for level in ("op", "cell")])
        monkeypatch.undo()
    assert pictures[0] == pictures[1]
