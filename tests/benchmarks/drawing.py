"""What pictures cost: the goals, and torchviz and torchview on the same LSTM where they are installed.

    python -m tests.benchmarks.drawing [--pictures FOLDER]

prints two tables, in processor time, which other work on the machine disturbs least; with ``--pictures`` it also writes
the pictures that docs/drawing-compared.md shows.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tinygrad_rnn as tg

LIMIT = 20  # seconds that a layout program gets


class Row(NamedTuple):
    """One goal: what is asked for, what was measured, and whether that is enough."""

    goal: str
    wanted: str
    measured: str
    reached: bool


def lstm(T: int) -> tg.Tensor:
    """The loss of an LSTM of 8 units over T steps of 4 features, in a batch of 2."""
    layer, head = tg.nn.LSTM(4, 8, rng=0), tg.nn.Linear(8, 5, rng=1)
    output, _ = layer(np.ones((T, 2, 4), np.float32))
    return tg.nn.cross_entropy(head(output), np.zeros((T, 2), int))


def seconds(work: Callable[[], Any], repeats: int = 5) -> tuple[float, Any]:
    """The processor time of the shortest of some runs, and the result of the last."""
    best, result = float("inf"), None
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return best, result


def layout(program: list[str], text: str) -> tuple[float, int]:
    """The processor time of a layout program, and the size of what it writes; infinity and 0 beyond the limit."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))

    before = _of_children()
    done = subprocess.run(program, input=text.encode(), capture_output=True, preexec_fn=limit, check=False)
    return (float("inf"), 0) if done.returncode else (_of_children() - before, len(done.stdout))


def _of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def goals() -> list[Row]:
    """Every goal with its figure. The tape exists already; what is measured is from `tg.draw` to the text."""
    rows = []
    tg.draw(lstm(2)).svg()  # import what drawing needs
    for T, wanted in ((10, 0.020), (100, 0.050), (1000, 0.300)):
        loss = lstm(T)
        took, svg = seconds(lambda loss=loss: tg.draw(loss, level="op", steps="all").svg())
        rows.append(_timed(f"every op of {T} steps as SVG", wanted, took))
        if T == 1000:
            rows.append(_sized("its size", 1_000_000, len(svg)))
    loss = lstm(100)
    took, svg = seconds(lambda: tg.draw(loss, level="op", steps="all", grads=True, values=True).svg())
    rows.append(_timed("100 steps with gradients and values", 0.300, took))
    for T in (100, 1000, 10_000):
        loss = lstm(T)
        took, svg = seconds(lambda loss=loss: tg.draw(loss).svg())
        rows += [_timed(f"default picture of {T} steps", 0.050, took), _sized("its size", 60_000, len(svg))]
    if shutil.which("neato"):
        for T, wanted in ((100, 0.5), (1000, 3.0)):
            text = tg.draw(lstm(T), level="op", steps="all").dot()
            rows.append(
                _timed(f"DOT of {T} steps through neato -n2", wanted, layout(["neato", "-n2", "-Tsvg"], text)[0])
            )
        text = tg.draw(lstm(100), level="op", steps="all").dot(pinned=False)
        rows.append(_timed("unpinned DOT of 100 steps through dot", 2.0, layout(["dot", "-Tsvg"], text)[0]))
    return rows


def _timed(goal: str, wanted: float, took: float) -> Row:
    return Row(goal, f"{1000 * wanted:.0f} ms", f"{1000 * took:.0f} ms", took <= wanted)


def _sized(goal: str, wanted: int, size: int) -> Row:
    return Row(goal, f"{wanted / 1000:.0f} kB", f"{size / 1000:.0f} kB", size <= wanted)


# ------------------------------------------------------------------ the others


def torch_loss(T: int) -> tuple[Any, dict[str, Any]]:
    """The same LSTM in torch, as a loop over a cell; the loss and the parameters by name."""
    import torch

    torch.manual_seed(0)
    cell, head = torch.nn.LSTMCell(4, 8), torch.nn.Linear(8, 5)
    state, outputs = None, []
    for _ in range(T):
        state = cell(torch.ones(2, 4), state)
        outputs.append(state[0])
    loss = torch.nn.functional.cross_entropy(head(torch.stack(outputs)).flatten(0, 1), torch.zeros(2 * T, dtype=int))
    return loss, {**dict(cell.named_parameters()), **dict(head.named_parameters())}


def torchviz_dot(T: int) -> str:
    import torchviz

    return str(torchviz.make_dot(*torch_loss(T)).source)


def torchview_dot(T: int) -> str:
    import torch
    import torchview

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = torch.nn.LSTMCell(4, 8), torch.nn.Linear(8, 5)

        def forward(self, x: Any) -> Any:
            state, outputs = None, []
            for row in x:
                state = self.cell(row, state)
                outputs.append(state[0])
            return self.head(torch.stack(outputs))

    return str(torchview.draw_graph(Model(), torch.ones(T, 2, 4), device="cpu").visual_graph.source)


OTHERS = {"torchviz": torchviz_dot, "torchview": torchview_dot}


def compared(lengths: tuple[int, ...] = (3, 10, 30, 100)) -> list[tuple[str, ...]]:
    """For each tool and each number of steps the seconds from the graph to SVG, and the size of the SVG."""
    table = []
    for T in lengths:
        loss = lstm(T)
        took, svg = seconds(lambda loss=loss: tg.draw(loss, level="op", steps="all", grads=True).svg())
        table.append(("tinygrad_rnn, every op", str(T), f"{took:.3f} s", f"{len(svg) / 1000:.0f} kB"))
        for name, make in OTHERS.items():
            if importlib.util.find_spec(name) is None or not shutil.which("dot"):
                continue
            make(1)  # imports what it needs
            made, text = seconds(partial(make, T), 1)
            took, size = layout(["dot", "-Tsvg"], text)
            lost = f"more than {LIMIT} s"
            table.append(
                (name, str(T), lost if size == 0 else f"{made + took:.3f} s", f"{size / 1000:.0f} kB" if size else "")
            )
    return table


def pictures(folder: Path) -> None:
    """The pictures of the comparison: three steps by each tool that is there."""
    tg.draw(lstm(3), level="op", grads=True).save(folder / "compared-ours.svg")
    for name, make in OTHERS.items():
        if importlib.util.find_spec(name) is not None and shutil.which("dot"):
            done = subprocess.run(["dot", "-Tsvg"], input=make(3).encode(), capture_output=True, check=True)
            (folder / f"compared-{name}.svg").write_bytes(done.stdout)


def show(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """A table in Markdown, in columns."""
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]
    for row in [header, tuple("-" * width for width in widths), *rows]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="write the pictures of the comparison there")
    folder = parser.parse_args(arguments).pictures
    rows = goals()
    show(("what", "goal", "measured", ""), [(*row[:3], "" if row.reached else "missed") for row in rows])
    print()
    show(("tool", "steps", "to SVG", "size"), compared())
    if folder is not None:
        pictures(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
