"""What type checkers and editors know of the library: a user's program, checked by both; the options as they are."""

import ast
import inspect
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_rnn as tg

USER = Path(__file__).with_name("typing_user.py")


def test_the_users_program_runs():
    runpy.run_path(str(USER))


@pytest.mark.slow
def test_mypy_agrees_with_the_users_program():
    pytest.importorskip("mypy", reason="mypy is not installed (extra dev)")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file=", str(USER)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_pyright_agrees_with_the_users_program():
    pytest.importorskip("pyright", reason="pyright is not installed (extra dev)")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(USER)]
    done = subprocess.run(command, capture_output=True, text=True)
    if not done.stdout.startswith("{"):
        pytest.skip(f"pyright does not run here: {done.stderr.strip()[-80:]}")
    found = json.loads(done.stdout)["generalDiagnostics"]
    assert [f"{one['range']['start']['line'] + 1}: {one['message']}" for one in found] == []


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_the_options_that_editors_show_are_those_that_there_are(name):
    stub = Path(tg.nn.__file__).with_name("typed.pyi")
    (layer,) = [n for n in ast.parse(stub.read_text("utf-8")).body if isinstance(n, ast.ClassDef) and n.name == name]
    init, forward = (n for n in layer.body if isinstance(n, ast.FunctionDef))
    shown = {a.arg: ast.unparse(a.annotation) for a in [*init.args.args, *init.args.kwonlyargs] if a.annotation}
    there = {p.name: p.annotation for p in inspect.signature(getattr(tg.nn, name)).parameters.values()}
    assert shown == there
    defaults = [*init.args.defaults, *init.args.kw_defaults]
    given = [p.default for p in inspect.signature(getattr(tg.nn, name)).parameters.values() if p.name != "dtype"][2:]
    assert [ast.literal_eval(d) for d in defaults[:-1]] == given
    assert [a.arg for a in forward.args.args] == list(inspect.signature(getattr(tg.nn, name).forward).parameters)
