"""The examples run, at a reduced size, and come out as they say they do."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))


def load(name: str):
    """An example as a module: its functions, without running it."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name: str, *arguments: str, cwd: Path) -> str:
    """What an example prints, started as a user would start it."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    one = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}  # small matrices need no more
    env = os.environ | one | {"PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_each_says_what_it_is_and_how_to_run_it(path):
    described = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert f"python examples/{path.name}" in described and "Prints" in described
    assert 'if __name__ == "__main__":' in path.read_text("utf-8")


# ------------------------------------------------------------------ the language model


def test_char_lm_is_short():
    assert len((EXAMPLES / "char_lm.py").read_text("utf-8").splitlines()) < 80


@pytest.mark.slow
def test_char_lm_learns_writes_and_draws(tmp_path):
    printed = run("char_lm", "--steps", "120", "--hidden", "16", cwd=tmp_path)
    lines = printed.splitlines()
    bits = [float(line.split()[2]) for line in lines if line.startswith("step")]
    assert len(bits) == 2 and bits[1] < bits[0]
    held_out = next(line for line in lines if line.startswith("held out"))
    assert float(held_out.split()[2]) < 4.2  # letter counts alone would need 4.69
    assert "\nThe " in printed
    assert (tmp_path / "runs/char_lm/graph.svg").read_text("utf-8").startswith("<svg")
    assert (tmp_path / "runs/char_lm/loss.svg").exists() == (importlib.util.find_spec("matplotlib") is not None)


# ------------------------------------------------------------------ the adding problem


@pytest.mark.slow
def test_adding_problem_is_solved(tmp_path):
    options = ["--length", "20", "--hidden", "24", "--batch", "32", "--steps", "500", "--lr", "0.01"]
    printed = run("adding_problem", *options, cwd=tmp_path)
    assert "GRU of 24 units, T = 20" in printed
    (mse,) = [float(line.split()[2]) for line in printed.splitlines() if line.startswith("test MSE")]
    assert mse < 0.02  # the baseline is 0.167
    assert all(len(line) <= 80 for line in printed.splitlines())


# ------------------------------------------------------------------ three programs with the kit


@pytest.mark.parametrize("name", ["kit_forecast", "kit_classify", "kit_attention"])
def test_a_program_with_the_kit_is_short(name):
    assert len((EXAMPLES / f"{name}.py").read_text("utf-8").splitlines()) < 40


@pytest.mark.slow
@pytest.mark.parametrize(("name", "epochs", "least"), [("kit_classify", 8, 0.9), ("kit_attention", 2, 0.2)])
def test_a_program_with_the_kit_learns(name, epochs, least, capsys):
    load(name).main(epochs)
    figure = float(re.search(r"(?:accuracy|right:) ([0-9.]+)", capsys.readouterr().out)[1])
    assert figure > least


@pytest.mark.slow
def test_the_forecast_with_the_kit_learns(capsys):
    load("kit_forecast").main(8)
    assert float(re.search(r"RMSE ([0-9.]+)", capsys.readouterr().out)[1]) < 0.3


# ------------------------------------------------------------------ the forecast


def errors(printed: str, name: str) -> list[float]:
    """The two figures in a row of the forecast's table."""
    (row,) = (line for line in printed.splitlines() if line.startswith(name))
    return [float(number) for number in row.split()[-2:]]


@pytest.mark.slow
def test_forecast_beats_both_baselines(tmp_path):
    printed = run("forecast", "--steps", "200", cwd=tmp_path)
    learned, last, period = (errors(printed, name) for name in ("LSTM", "last value", "one period ago"))
    assert learned[0] < min(last[0], period[0])  # one step ahead
    assert learned[1] < min(last[1], period[1])  # running free
    assert "running free, 48 steps" in printed
    assert all(len(line) <= 80 for line in printed.splitlines())


def test_forecast_of_a_series_of_ones_own(tmp_path):
    values = 100 + 10 * np.sin(2 * np.pi * np.arange(300) / 12)
    np.savetxt(tmp_path / "values.txt", values)
    options = ["--series", "values.txt", "--period", "12", "--horizon", "20", "--hidden", "8", "--steps", "20"]
    printed = run("forecast", *options, cwd=tmp_path)
    assert errors(printed, "one period ago") == [0, 0]  # this series is exactly periodic


def test_forecast_draws(tmp_path):
    pytest.importorskip("matplotlib")
    run("forecast", "--steps", "5", "--hidden", "4", "--picture", "forecast.svg", cwd=tmp_path)
    assert "<svg" in (tmp_path / "forecast.svg").read_text("utf-8")


@pytest.mark.parametrize("content", ["1\n2\n3\n", "one\ntwo\n", None])
def test_forecast_of_an_unusable_series_says_so(tmp_path, capsys, content):
    path = tmp_path / "values.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit) as stopped:
        load("forecast").main(["--series", str(path)])
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


# ------------------------------------------------------------------ the op


def test_own_op_has_at_most_ten_lines():
    tree = ast.parse((EXAMPLES / "own_op.py").read_text("utf-8"))
    (op,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    assert op.end_lineno - op.lineno + 1 <= 10


def test_own_op_is_right_and_learns(tmp_path):
    printed = run("own_op", "--steps", "60", cwd=tmp_path)
    errors = [float(line.split()[3]) for line in printed.splitlines() if line.startswith("step")]
    assert errors[-1] < errors[0] / 2 and errors[-1] < 0.1  # always answering 0 has 1/3
    assert "second order: True" in printed and "cell t=2" in printed and "softsign" in printed
    assert all(len(line) <= 80 for line in printed.splitlines())


# ------------------------------------------------------------------ the pictures


NUMBER = re.compile(r"-?\d+\.?\d*(?:e[+-]\d+)?")


def drawn_as(path: Path) -> tuple[list[str], np.ndarray]:
    """A picture as what it says and draws, without its numbers, and the numbers."""
    svg = re.sub(r"\bg[0-9a-f]{8}\b", "g", path.read_text("utf-8"))  # the picture's own name, made of all its digits
    return NUMBER.split(svg), np.array(NUMBER.findall(svg), float)


def test_the_pictures_of_the_documentation_are_the_ones_drawn_now(tmp_path):
    """To a tenth of a pixel, and a hundredth of a value: the last digits are the processor's."""
    printed = run("pictures", "new", cwd=tmp_path) + run("figures", "new", cwd=tmp_path)
    drawn = {path.name: drawn_as(path) for path in (tmp_path / "new").iterdir()}
    assert sorted(Path(line).name for line in printed.splitlines()) == sorted(drawn)
    kept = {path.name: drawn_as(path) for path in (EXAMPLES.parent / "docs" / "pictures").iterdir()}
    for other in ("benchmarks.svg", "floors.svg"):  # of the last run of tests.benchmarks; of test_architecture.py
        kept.pop(other)
    assert drawn.keys() == kept.keys()
    for name, (words, numbers) in drawn.items():
        assert words == kept[name][0], name
        assert np.allclose(numbers, kept[name][1], rtol=0.01, atol=0.15), name


def test_the_figures_of_the_literature_are_short():
    """What makes each, from its layer to its picture, is less than fifteen lines."""
    functions = [node for node in ast.parse((EXAMPLES / "figures.py").read_text("utf-8")).body if hasattr(node, "args")]
    figures = [node for node in functions if node.name.startswith("figure_")]
    assert len(figures) == 4 and all(node.end_lineno - node.lineno < 15 for node in figures)


def test_asking_the_pictures_for_help_draws_none(tmp_path):
    assert "usage:" in run("pictures", "--help", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_pages_of_the_gallery_are_written(tmp_path):
    written = run("pages", "new", cwd=tmp_path).split()
    gallery = (EXAMPLES.parent / "docs" / "gallery.md").read_text("utf-8")
    assert {Path(path).name for path in written} == set(re.findall(r'href="pages/(\w+\.html)', gallery))
    assert all(
        "losses.append((output * output).mean())" in (tmp_path / path).read_text("utf-8") for path in written[1:2]
    )


# ------------------------------------------------------------------ the notebook


def test_live_is_short():
    assert len((EXAMPLES / "live.py").read_text("utf-8").splitlines()) < 40


@pytest.mark.slow
def test_live_runs_without_a_browser_and_shows_the_picture(tmp_path):
    pytest.importorskip("marimo", reason="marimo is not installed (extra live)")
    assert run("live", cwd=tmp_path).splitlines()[-1].split()[:2] == ["13", "power"]
    outputs, names = load("live").app.run()
    w, x, h = names["w"].value, 1.0, 0.0
    for _ in range(names["T"].value):
        h = np.tanh(x + w * h)
    assert names["loss"].item() == pytest.approx((h - 0.5) ** 2)
    assert any("<svg" in output.text for output in outputs if output is not None)
