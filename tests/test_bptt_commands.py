"""``tinygrad-rnn bptt flow``, ``jacobians``, ``decompose``: what they print is what the functions compute."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.app.cli import main

nn = tg.nn
REPORTS = ["flow", "jacobians", "decompose"]


def printed(capsys: Any, *arguments: str) -> list[str]:
    assert main(["bptt", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    return lines


def untrained(kind: Any, steps: int, hidden: int, layers: int = 1, seed: int = 0) -> tuple[Any, Any]:
    """The model that the commands make, and the squared errors of its steps."""
    rng = np.random.default_rng(seed)
    layer = kind(hidden, hidden, layers, dtype=float, rng=rng)
    readout = nn.Linear(hidden, 1, dtype=float, rng=rng)
    x, y = rng.standard_normal((steps, 1, hidden)), rng.standard_normal((steps, 1, 1))
    return layer, (readout(layer(x)[0]) - y) ** 2


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_flow_prints_the_flow(capsys: Any, cell: str) -> None:
    lines = printed(capsys, "flow", "--cell", cell, "--steps", "7", "--hidden", "5", "--layers", "2", "--seed", "3")
    assert lines[0] == f"{cell}, 2 x 5 units, untrained, random input; 7 steps"
    assert lines[1] == "loss: squared error of the last step"
    _, errors = untrained({"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[cell], 7, 5, 2, 3)
    assert lines[2:] == str(tg.bptt.flow(errors[-1].sum())).splitlines()


def test_jacobians_print_the_last_layer_and_the_bound(capsys: Any) -> None:
    options = ["--steps", "12", "--hidden", "6", "--layers", "2"]
    lines = printed(capsys, "jacobians", *options)
    layer, errors = untrained(nn.RNN, 12, 6, 2)
    J = tg.bptt.jacobians(errors[-1].sum(), "rnn_l1")
    assert lines[2:-1] == str(J).splitlines()
    behind = J.left_behind(layer.W_hh_l1)
    assert f"= {np.linalg.norm(layer.W_hh_l1.data, 2):.4g};" in lines[-1] and f"after {behind} factors" in lines[-1]
    assert printed(capsys, "jacobians", *options, "--layer", "rnn")[2:] != lines[2:]
    assert "s = (h, c)" in printed(capsys, "jacobians", "--cell", "lstm", "--steps", "4")[2]


def test_decompose_prints_the_split_of_a_weight(capsys: Any) -> None:
    lines = printed(capsys, "decompose", "--cell", "gru", "--steps", "6", "--hidden", "4", "--weight", "W_xh")
    layer, errors = untrained(nn.GRU, 6, 4)
    assert lines[2:] == str(tg.bptt.decompose(errors.mean(), layer.W_xh)).splitlines()
    last = printed(capsys, "decompose", "--steps", "6", "--loss", "last")
    assert "the sum of 6 terms" in last[2] and last[1].endswith("of the last step")


@pytest.mark.slow
@pytest.mark.parametrize("report", REPORTS)
def test_a_picture_is_written(report: str, tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("matplotlib")
    for name in ("picture.svg", "picture.png"):
        path = tmp_path / name
        assert printed(capsys, report, "--steps", "5", "--hidden", "3", "--out", str(path))[-1] == str(path)
        assert path.read_bytes()[:5] in (b"<?xml", b"\x89PNG\r")


@pytest.mark.parametrize("report", REPORTS)
def test_a_trained_run_is_taken_apart(report: str, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("to be or not to be, that is the question. " * 20, "utf-8")
    small = ["--hidden", "6", "--embedding", "4", "--batch", "2", "--window", "8", "--steps", "3"]
    assert main(["train", "--text", "text.txt", "--quiet", "--out", "run", *small]) == 0
    capsys.readouterr()
    lines = printed(capsys, report, "--run", "run", "--steps", "9")
    assert lines[0] == "lstm, 1 x 6 units, trained on text.txt; 9 steps"
    assert lines[1].startswith("loss: cross-entropy of ") and lines[-1].split()[0] in ("8", "9")
    assert main(["bptt", report, "--run", "run", "--hidden", "4", "--cell", "rnn"]) == 2
    assert "a --run has its own model: leave out --cell, --hidden" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ("flow --run nowhere", 1, "no such folder"),
        ("jacobians --steps 1", 2, "needs two steps"),
        ("jacobians --layer gru", 2, "no layer 'gru' hands on a state; there is 'rnn'"),
        ("decompose --weight W", 2, "no weight 'W' in this layer; it has W_xh, W_hh, b_h"),
        ("flow --out picture.xyz", 1, "xyz"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: str, status: int, message: str, capsys: Any) -> None:
    if "--out" in arguments:
        pytest.importorskip("matplotlib")
    assert main(["bptt", *arguments.split()]) == status
    assert message in capsys.readouterr().err


def test_without_matplotlib_the_table_is_still_printed(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["bptt", "flow", "--steps", "4", "--out", "picture.png"]) == 1
    captured = capsys.readouterr()
    assert "|dL/dh|" in captured.out and "tinygrad_rnn[plot]" in captured.err


def test_the_help_has_a_line_for_each_command(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["bptt", "--help"])
    lines = capsys.readouterr().out.splitlines()
    for name in ("example", "errata", *REPORTS, "experiment"):
        assert any(line.split()[:1] == [name] and len(line.split()) > 3 for line in lines), name
