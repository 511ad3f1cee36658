"""``tinygrad-rnn train``: begin a run or go on with one, train it, and make what it ends with."""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import shutil
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from ..data import bigram_entropy, unigram_entropy
from ..errors import DrawError
from ..files import replace_file
from ..interrupts import noted
from ..notebook import progress
from .charlm import TEST_EVERY, Run, default_prompt, memory_for, sample
from .folder import BEST, CHECKPOINT, RESULTS, SETTINGS, Log, check_new, make_new, quoted, read_log, run_file, sweep_all
from .ranks import Ranks, communicator
from .settings import Settings
from .source import keep, lasting, read
from .use import draw_unrolled


def train_command(arguments: argparse.Namespace) -> int:
    ranks = communicator(sys.argv[1:])
    status = _train_together(arguments, ranks)
    ranks.any(False)  # no process ends, and with it all, before the first has written everything
    return status if ranks.first else 0


def _train_together(arguments: argparse.Namespace, ranks: Ranks) -> int:
    given = {f.name: getattr(arguments, f.name) for f in fields(Settings) if getattr(arguments, f.name) is not None}
    run, folder, log = (_begin if arguments.resume is None else _go_on)(arguments, given, ranks)
    with log or nullcontext():
        settings = run.settings
        levels = _entropies(run)
        if run.is_over:
            return _complete(run, folder, levels) if ranks.first else 0
        print(f"text     {settings.source}: {len(run.ids):,} characters, {len(run.vocabulary)} distinct")
        print(f"entropy  unigram {levels['unigram']:.3f}, bigram {levels['bigram']:.3f} bits a character")
        print(
            f"model    {settings.cell}, {settings.layers} x {settings.hidden} units, "
            f"{settings.weights(len(run.vocabulary)):,} weights; batch {settings.batch}, window {settings.window}"
            + (f", on {ranks.size} processes" if ranks.size > 1 else "")
        )
        with noted() as signals:
            print(f"run      {folder}" + (f", going on from step {run.done}" if run.done else ""), flush=True)
            _tell(run)
            if not run.done:
                run.save_checkpoint(folder)  # from now on the run can be gone on with
            _write_settings(run, folder)
            _train(run, folder, log, arguments, signals)
            run.save(folder)
            _write_settings(run, folder)
        go_on = f"{_program()} train --resume {quoted(folder)}"
        if not run.is_over:
            print(f"stopped at step {run.done}, saved. To go on: {go_on}", file=sys.stderr)
            return 128 + signals[0] if signals else 1
        try:
            if ranks.first:
                _report(run, folder, levels)
        except KeyboardInterrupt:
            print(f"\nstopped, with the model trained and saved. To make the rest: {go_on}", file=sys.stderr)
            return 130
    return 0


def _begin(arguments: argparse.Namespace, given: dict[str, Any], ranks: Ranks) -> tuple[Run, Path, Log | None]:
    """A new run and its folder, which is looked at first and made last. A text that can be read once only is kept."""
    if arguments.out is not None and ranks.first:
        check_new(arguments.out)
    path = given.pop("text", None)
    settings = Settings(**given)
    text = ranks.shared(lambda: read(path))
    run = Run(replace(settings, text=path), text, ranks)
    folder, log = make_new(arguments.out) if ranks.first else (Path(), None)
    folder = ranks.shared(lambda: folder)
    if path is not None and ranks.first:  # found from any folder
        run.settings = replace(settings, text=lasting(path) or keep(text, folder))
    return run, folder, log


def _go_on(arguments: argparse.Namespace, given: dict[str, Any], ranks: Ranks) -> tuple[Run, Path, Log | None]:
    """A run as it was saved, and its log up to there."""
    if given.keys() - {"steps", "text"} or arguments.out is not None:
        raise ValueError(
            "--resume goes on with the settings the run has: besides it only --steps changes anything, "
            "and --text says where its text is now"
        )
    folder = Path(arguments.resume)
    run_file(folder, CHECKPOINT)  # before a log is opened there
    if not ranks.first:
        return Run.resume(folder, **given, ranks=ranks), folder, None
    log = Log(folder)
    try:
        run = Run.resume(folder, **given, ranks=ranks)
        sweep_all(folder)
        log.cut(run.done)
    except BaseException:
        log.close()
        raise
    return run, folder, log


def _entropies(run: Run) -> dict[str, float]:
    return {"unigram": unigram_entropy(run.ids), "bigram": bigram_entropy(run.ids)}


def _tell(run: Run) -> None:
    """Say what has come to compute otherwise than in the run so far."""
    if run.changed and run.ranks.first:
        print(f"note     from here on with {run.changed}: its last bits may differ", file=sys.stderr)


def _write_settings(run: Run, folder: Path) -> None:
    if run.ranks.first:
        replace_file(
            folder / SETTINGS, json.dumps({**asdict(run.settings), "arithmetic": run.arithmetic.parts}, indent=2) + "\n"
        )


def _train(run: Run, folder: Path, log: Log | None, arguments: argparse.Namespace, signals: list[int]) -> None:
    """Train to the planned number of steps, or until a signal arrives."""
    s = run.settings
    since, at = time.perf_counter(), run.done
    with (
        Shown(run, hidden=arguments.quiet or not run.ranks.first) as shown,
        memory_for(f"for {s.batch} rows of {s.window} steps; try a smaller --batch, --window or --hidden"),
    ):
        while not run.is_over and not run.ranks.any(bool(signals)):
            known = run.known
            run.step()
            if not known:
                _tell(run)
            shown.step()
            last = run.done == s.steps
            tested = run.done % TEST_EVERY == 0 or last
            held_out = run.test(folder) if tested else math.nan
            if log is not None and (run.done % 10 == 0 or last):
                now = time.perf_counter()
                rate = (run.done - at) * s.batch * s.window / max(now - since, 1e-9)
                bits = run.mean_bits()
                line = {"step": run.done, "bits": round(bits, 6), "characters_per_second": round(rate)}
                line |= {"held_out_bits": round(held_out, 6)} if math.isfinite(held_out) else {}
                since, at = time.perf_counter(), run.done
                log.append(line)
                shown.figures(bits, rate, held_out, tested, now)
            if run.done % arguments.save_every == 0:
                run.save(folder)


class Shown:
    """How far a training is: a bar in a terminal or notebook, elsewhere a line at each test and every half minute."""

    EVERY = 30.0

    def __init__(self, run: Run, hidden: bool) -> None:
        self.run, self.hidden, self.told = run, hidden, math.inf

    def __enter__(self) -> Shown:
        layout = "{percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} {elapsed}<{remaining}{postfix}"  # 80 columns
        self.bar = progress(total=self.run.settings.steps, initial=self.run.done, layout=layout, hidden=self.hidden)
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def step(self) -> None:
        self.bar.update()

    def figures(self, bits: float, rate: float, held_out: float, tested: bool, now: float) -> None:
        """What the last steps were like."""
        self.bar.set_postfix_str(f"{bits:.2f} bits, {rate / 1000:.0f}k c/s")
        self.told = min(self.told, now)
        if self.hidden or not self.bar.disable or not (tested or now - self.told > self.EVERY):
            return
        self.told = now
        test = f", held out {held_out:.3f}" if math.isfinite(held_out) else ""
        steps = f"step {self.run.done}/{self.run.settings.steps}"
        print(f"{steps}: {bits:.3f} bits a character{test}, {rate / 1000:.0f}k c/s", file=sys.stderr, flush=True)


# ------------------------------------------------------------------ what a run ends with


def _report(run: Run, folder: Path, levels: dict[str, float]) -> None:
    """The held-out figure, a sample, and the pictures."""
    held_out = run.held_out_bits()
    figures = ", ".join(f"{name} {level:.3f}" for name, level in levels.items())
    if run.done < run.settings.steps:
        print(f"stopped  {run.settings.patience} tests were no better than that of step {run.best[1]}")
    print(f"held out {held_out:.3f} bits a character ({figures})" if math.isfinite(held_out) else "held out nothing")
    if 0 < run.best[1] < run.done:
        print(f"best     {run.best[0]:.3f} at step {run.best[1]}, kept in {BEST}: sample with --best")
    makers = _makers(run, folder, levels)
    for name in RESULTS:
        makers[name](folder / name)
        if name == "sample.txt":
            print(f"\n{(folder / name).read_text('utf-8')}")
    files = ", ".join(sorted(path.name for path in folder.iterdir()))
    print(textwrap.fill(f"{folder}: {files}", 80, subsequent_indent="  "))
    prompt = shlex.quote(default_prompt(run.vocabulary))
    print(f"next: {_program()} sample {quoted(folder)} --prompt {prompt} --temperature 0.7")


def _complete(run: Run, folder: Path, levels: dict[str, float]) -> int:
    """Make what a finished run lacks, because it was stopped at its very end."""
    run.save_model(folder)
    _write_settings(run, folder)
    made = [name for name in RESULTS if _is_missing(folder, name)]
    for name in made:
        _makers(run, folder, levels)[name](folder / name)
    made = [name for name in made if (folder / name).exists()]
    also = f" (made now: {', '.join(made)})" if made else ""
    print(f"{folder} is finished, at step {run.done}{also}; to train further, add --steps {2 * run.done}")
    return 0


def _is_missing(folder: Path, name: str) -> bool:
    """Whether a result is not there, or is one of an earlier checkpoint."""
    path = folder / name
    return not path.exists() or path.stat().st_mtime < (folder / CHECKPOINT).stat().st_mtime


def _makers(run: Run, folder: Path, levels: dict[str, float]) -> dict[str, Callable[[Path], None]]:
    """How each result is made."""

    def loss(path: Path) -> None:
        try:
            save_loss_curve(path, read_log(folder), levels)
        except DrawError as error:  # matplotlib is an extra
            print(f"no {path.name}: {error}", file=sys.stderr)

    return {
        "sample.txt": lambda path: save_sample(path, run),
        "graph.svg": lambda path: draw_unrolled(folder, run.settings.window, path),
        "loss.svg": loss,
    }


def save_sample(path: Path, run: Run) -> None:
    """What the model of a run writes."""
    run.model.eval()
    prompt = default_prompt(run.vocabulary)
    text = prompt + "".join(sample(run.model, run.vocabulary, prompt, 400, 0.7, rng=run.settings.seed))
    run.model.train()
    replace_file(path, text + "\n")


def save_loss_curve(path: Path, log: list[dict[str, Any]], levels: dict[str, float]) -> None:
    """The losses of a run as a picture."""
    from ..plots import loss_curve, save

    save(loss_curve(log, levels), path)


# ------------------------------------------------------------------ helpers


def _program() -> str:
    """How to call this program from here: by its name, by its path where it is not on the search path, or as a module
    of Python where it is not installed."""
    if shutil.which("tinygrad-rnn"):
        return "tinygrad-rnn"
    installed = Path(sys.executable).parent / "tinygrad-rnn"
    if not installed.exists():
        return f"{quoted(Path(sys.executable).name)} -m tinygrad_rnn"
    try:
        return quoted(os.path.relpath(installed))
    except ValueError:  # on another drive
        return quoted(installed)
