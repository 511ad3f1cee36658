"""Training for real: the command `tinygrad-rnn train`, and its whole training step beside the same model in PyTorch.

The step reads a window, embeds it, runs the LSTM and the head, and then clips the gradient and updates by Adam. With
two threads the clock on the wall counts.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import tinygrad_rnn as tg
from tinygrad_rnn.app.charlm import Run, Settings, read_log
from tinygrad_rnn.compiled.fast import version

from .timing import hold, in_new_process, shortest, with_threads

ROOT = Path(__file__).parents[2]


def torch_run(ours: Run) -> Callable[[], float]:
    """The step of a Run in PyTorch, from the same weights and the same place in the text; it gives the loss."""
    import torch

    settings, characters = ours.settings, len(ours.vocabulary)

    class CharLM(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(characters, settings.embedding)
            self.recurrent = torch.nn.LSTM(settings.embedding, settings.hidden)
            self.head = torch.nn.Linear(settings.hidden, characters)

    model = CharLM()
    model.load_state_dict({name: torch.from_numpy(a) for name, a in tg.io.to_torch(ours.model).items()})
    model.recurrent.bias_hh_l0.requires_grad_(False)  # one bias, as ours: two would learn at twice the rate
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learning, lr=settings.lr, fused=True)
    stream, state = Run(settings).stream, None

    def step() -> float:
        nonlocal state
        x, y, at_start = next(stream)
        output, state = model.recurrent(model.embedding(torch.from_numpy(x)), None if at_start else state)
        scores = model.head(output)
        loss = torch.nn.functional.cross_entropy(scores.reshape(-1, characters), torch.from_numpy(y).reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, settings.clip)
        optimizer.step()
        state = tuple(part.detach() for part in state)
        return loss.item()

    return step


def one_size(settings: Settings, cores: set[int], seconds: float) -> dict[str, float]:
    """Milliseconds a training step: ours and torch's, each with one and two threads."""
    hold(cores)
    counts = [n for n in (1, 2) if n <= max(1, len(cores))]
    ours = Run(settings)
    candidates = {f"ours, {n}": with_threads(tg.set_num_threads, n, ours.step) for n in counts}
    if importlib.util.find_spec("torch"):
        import torch

        theirs = torch_run(ours)
        for k in range(3):
            mine, its = ours.step(), theirs()
            if abs(mine - its) > 1e-3 * its:
                raise AssertionError(f"step {k + 1}: the losses differ, {mine} and torch's {its}")
        candidates |= {f"torch, {n}": with_threads(torch.set_num_threads, n, theirs) for n in counts}
    times = shortest(candidates, seconds)
    return {name: t * 1e3 for name, t in times.items()}


def whole_command(steps: int, options: tuple[str, ...] = (), fast: str | None = None) -> dict[str, Any]:
    """What `tinygrad-rnn train` takes from start to end, and its characters a second while it trains."""
    environment = os.environ | ({"TINYGRAD_RNN_FAST": fast} if fast is not None else {})
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tinygrad_rnn", "train", "--steps", str(steps), "--quiet", "--out", folder]
        start = time.perf_counter()
        subprocess.run([*command, *options], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
        seconds = time.perf_counter() - start
        rate = median(line["characters_per_second"] for line in read_log(Path(folder)))
    return {"steps": steps, "seconds": seconds, "characters_per_second": rate}


def both_commands(steps: int, options: tuple[str, ...] = ()) -> dict[str, Any]:
    """The command as it is, and with NumPy's programs where numba is installed."""
    found = whole_command(steps, options)
    return found | ({"alone": whole_command(steps, options, "0")} if version() else {})


def measure(
    hidden: tuple[int, ...] = (64, 128, 256),
    steps: int = 200,
    seconds: float = 0.5,
    cores: set[int] = frozenset(),
    options: tuple[str, ...] = (),
) -> list[dict[str, Any]]:
    """A record for each number of hidden units, milliseconds a step; and one for the whole command."""
    records: list[dict[str, Any]] = []
    for units in hidden:
        settings = Settings(hidden=units, dropout=0.0)
        records.append({"hidden": units, "ms": in_new_process(one_size, settings, set(cores), seconds)})
    return [*records, both_commands(steps, options)]
