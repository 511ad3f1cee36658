"""The command line: ``tinygrad-rnn train``, ``sample``, ``draw`` and ``bptt``.

Results go to standard output, progress and errors to standard error. Exit status: 0 done, 1 a run that cannot be used,
2 wrong usage or input, 130 stopped by Ctrl-C (143: asked to terminate), with everything saved.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import shlex
import shutil
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .. import __version__
from ..errors import CheckpointError, DrawError

if TYPE_CHECKING:
    from ..autograd.tensor import Tensor
    from .charlm import CharLM, Run


def main(argv: list[str] | None = None) -> int:
    """Run one command; gives the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a character gets its code
            stream.reconfigure(errors="backslashreplace")
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.command(arguments) or 0)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader has seen enough, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except MemoryError:
        print("tinygrad-rnn: not enough memory for a model of this size", file=sys.stderr)
        return 1
    except (CheckpointError, DrawError, FloatingPointError) as error:
        print(f"tinygrad-rnn: {error}", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"tinygrad-rnn: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    from .charlm import CELLS, OPTIMIZERS, Settings
    from .commands import add_commands as add_bptt_commands

    d = Settings()
    top = argparse.ArgumentParser(
        prog="tinygrad-rnn",
        description="Train, sample and draw recurrent networks whose backpropagation through time "
        "arises from an unrolled tape.",
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    wide: dict[str, Any] = {"formatter_class": Help}

    train = commands.add_parser("train", help="train a character language model by truncated BPTT", **wide)
    train.set_defaults(command=train_command)
    train.add_argument("--text", metavar="FILE", help="a UTF-8 text (Python's own documentation)")
    train.add_argument("--out", metavar="FOLDER", help="where to put the run (default: runs/1, runs/2, ...)")
    train.add_argument("--resume", metavar="RUN", help="go on with a run, perhaps to more --steps")
    train.add_argument("--cell", choices=CELLS, help=f"({d.cell})")
    train.add_argument("--embedding", type=_positive, metavar="N", help=f"size of a character's vector ({d.embedding})")
    train.add_argument("--hidden", type=_positive, metavar="N", help=f"hidden units a layer ({d.hidden})")
    train.add_argument("--layers", type=_positive, metavar="N", help=f"recurrent layers ({d.layers})")
    train.add_argument("--dropout", type=_fraction, metavar="P", help=f"of what layers pass on ({d.dropout:g})")
    train.add_argument("--batch", type=_positive, metavar="N", help=f"rows of text read side by side ({d.batch})")
    train.add_argument("--window", type=_positive, metavar="N", help=f"steps to backpropagate through ({d.window})")
    train.add_argument("--optimizer", choices=OPTIMIZERS, help=f"({d.optimizer})")
    train.add_argument("--lr", type=_real, metavar="X", help=f"learning rate ({d.lr:g})")
    train.add_argument("--clip", type=_real, metavar="X", help=f"largest gradient norm; 0 for no clipping ({d.clip:g})")
    train.add_argument("--steps", type=_positive, metavar="N", help=f"windows to train on ({d.steps})")
    train.add_argument(
        "--held-out", type=_fraction, metavar="P", help=f"last part of the text, to test on ({d.held_out:g})"
    )
    train.add_argument("--seed", type=_seed, metavar="N", help=f"decides every random choice ({d.seed})")
    train.add_argument("--save-every", type=_positive, default=500, metavar="N", help="steps between checkpoints (500)")
    train.add_argument("--quiet", action="store_true", help="no progress bar")

    sample = commands.add_parser("sample", help="let a trained model write", **wide)
    sample.set_defaults(command=sample_command)
    sample.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    sample.add_argument("--prompt", metavar="TEXT", help="how the text begins ('The ')")
    sample.add_argument("--length", type=_positive, default=500, metavar="N", help="characters to write (500)")
    sample.add_argument(
        "--temperature", type=_real, default=0.7, metavar="X", help="below 1 safer, above 1 wilder (0.7)"
    )
    sample.add_argument("--seed", type=_seed, metavar="N", help="decides every random choice (a new one each time)")

    draw = commands.add_parser("draw", help="draw the unrolled graph of a trained model", **wide)
    draw.set_defaults(command=draw_command)
    draw.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    draw.add_argument("--steps", type=_positive, default=64, metavar="N", help="time steps to unroll (64)")
    draw.add_argument("--level", choices=["op", "cell", "layer", "strip"], help="what a node is (by size)")
    draw.add_argument("--page", action="store_true", help="a page to step through the tape, in place of a picture")
    draw.add_argument("--out", type=Path, metavar="FILE", help="svg, png, pdf or dot (default: graph.svg in the run)")

    add_bptt_commands(commands, **wide)
    return top


class Help(argparse.HelpFormatter):
    """Help in 80 columns."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=80)

    def add_argument(self, action: argparse.Action) -> None:
        commands = isinstance(action, argparse._SubParsersAction)
        if commands:  # argparse measures their names without the indent they will have
            self._indent()
        super().add_argument(action)
        if commands:
            self._dedent()


# ------------------------------------------------------------------ train


def train_command(arguments: argparse.Namespace) -> int:
    from ..data import bigram_entropy, unigram_entropy
    from .charlm import Run, Settings

    if arguments.text:
        arguments.text = os.path.abspath(arguments.text)  # the run is continued and drawn from any folder
    given = {f.name: getattr(arguments, f.name) for f in fields(Settings) if getattr(arguments, f.name) is not None}
    if arguments.resume:
        if given.keys() - {"steps"} or arguments.out:
            raise ValueError("--resume goes on with the settings the run has: besides it only --steps changes anything")
        folder = Path(arguments.resume)
        run = Run.resume(folder, given.get("steps"))
        _cut_log(folder, run.done)
    else:
        run = Run(Settings(**given))
        folder = _new_folder(arguments.out)
    settings = run.settings
    if run.done >= settings.steps:
        print(f"{folder} is finished, at step {run.done}; to train further, add --steps {2 * run.done}")
        return 0
    (folder / "settings.json").write_text(json.dumps(asdict(settings), indent=2) + "\n", "utf-8")
    levels = {"unigram": unigram_entropy(run.ids), "bigram": bigram_entropy(run.ids)}
    count = sum(p.size for p in run.model.parameters())
    print(f"text     {settings.source}: {len(run.ids):,} characters, {len(run.vocabulary)} distinct")
    print(f"entropy  unigram {levels['unigram']:.3f}, bigram {levels['bigram']:.3f} bits a character")
    print(
        f"model    {settings.cell}, {settings.layers} x {settings.hidden} units, {count:,} weights; "
        f"batch {settings.batch}, window {settings.window}"
    )
    print(f"run      {folder}" + (f", going on from step {run.done}" if run.done else ""), flush=True)

    with _interruptible() as signals:
        _train(run, folder, levels, arguments.save_every, arguments.quiet, signals)
        run.save(folder)
    if run.done < settings.steps:
        print(f"stopped at step {run.done}, saved. To go on: {_program()} train --resume {folder}", file=sys.stderr)
        return 128 + signals[0]
    _report(run, folder, levels)
    return 0


def _train(run: Run, folder: Path, levels: dict[str, float], save_every: int, quiet: bool, signals: list[int]) -> None:
    """Train to the planned number of steps, or until a signal arrives."""
    from tqdm import tqdm

    characters = run.settings.batch * run.settings.window
    beaten = ", ".join(f"{name} {level:.2f}" for name, level in levels.items())
    since, at = time.perf_counter(), run.done
    layout = "{percentage:3.0f}%|{bar:4}|{n_fmt}/{total_fmt} {elapsed}<{remaining}{postfix}"  # 80 columns
    bar = tqdm(total=run.settings.steps, initial=run.done, bar_format=layout, disable=quiet or None, dynamic_ncols=True)
    with bar, (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        while run.done < run.settings.steps and not signals:
            run.step()
            bar.update()
            last = run.done == run.settings.steps
            if run.done % 10 == 0 or last:
                now = time.perf_counter()
                rate = (run.done - at) * characters / max(now - since, 1e-9)
                bits = run.mean_bits()
                line = {"step": run.done, "bits": round(bits, 6), "characters_per_second": round(rate)}
                if run.done % 250 == 0 or last:
                    held_out = run.held_out_bits()
                    line |= {"held_out_bits": round(held_out, 6)} if math.isfinite(held_out) else {}
                since, at = time.perf_counter(), run.done
                log.write(json.dumps(line) + "\n")
                log.flush()
                bar.set_postfix_str(f"{bits:.2f} bits ({beaten}) {rate / 1000:.0f}k c/s")
            if run.done % save_every == 0:
                run.save(folder)


def _report(run: Run, folder: Path, levels: dict[str, float]) -> None:
    """What the run ends with: the held-out figure, a sample, and the pictures."""
    from .charlm import default_prompt, read_log, sample

    held_out = run.held_out_bits()
    figures = ", ".join(f"{name} {level:.3f}" for name, level in levels.items())
    print(f"held out {held_out:.3f} bits a character ({figures})")
    run.model.eval()
    prompt = default_prompt(run.vocabulary)
    text = prompt + "".join(sample(run.model, run.vocabulary, prompt, 400, 0.7, rng=run.settings.seed))
    run.model.train()
    (folder / "sample.txt").write_text(text + "\n", "utf-8")
    print(f"\n{text}\n")
    draw_unrolled(folder, run.settings.window, folder / "graph.svg")
    try:
        save_loss_curve(folder / "loss.svg", read_log(folder), levels)
    except DrawError as error:  # matplotlib is an extra
        print(f"no loss.svg: {error}", file=sys.stderr)
    files = ", ".join(sorted(path.name for path in folder.iterdir()))
    print(textwrap.fill(f"{folder}: {files}", 80, subsequent_indent="  "))
    print(f"next: {_program()} sample {folder} --prompt {shlex.quote(prompt)} --temperature 0.7")


def save_loss_curve(path: Path, log: list[dict[str, Any]], levels: dict[str, float]) -> None:
    """The losses of a run as a picture."""
    from ..plots import loss_curve, save

    save(loss_curve(log, levels), path)


# ------------------------------------------------------------------ sample and draw


def sample_command(arguments: argparse.Namespace) -> None:
    from .charlm import default_prompt, load_model, sample

    model, vocabulary, _ = load_model(arguments.run)
    prompt = default_prompt(vocabulary) if arguments.prompt is None else arguments.prompt
    written = sample(model, vocabulary, prompt, arguments.length, arguments.temperature, arguments.seed)
    sys.stdout.write(prompt)
    for character in written:
        sys.stdout.write(character)
        sys.stdout.flush()
    sys.stdout.write("\n")


def draw_command(arguments: argparse.Namespace) -> None:
    if arguments.page:
        if arguments.level:
            raise ValueError("--level is for pictures: a page shows every op")
        path = arguments.out or arguments.run / "tape.html"
        if path.suffix.lower() not in (".html", ".htm"):
            raise ValueError(f"--page writes HTML: {path.name!r} should end in .html")
        page_unrolled(arguments.run, arguments.steps, path)
    else:
        path = arguments.out or arguments.run / "graph.svg"
        draw_unrolled(arguments.run, arguments.steps, path, arguments.level)
    print(path)


def draw_unrolled(folder: Path, steps: int, path: Path, level: str | None = None) -> None:
    """Draw the graph of the loss of a run's model on the beginning of its text."""
    from ..pictures import draw

    loss, model = unrolled(folder, steps)
    draw(loss, level=level, grads=True, names=model).save(path)


def page_unrolled(folder: Path, steps: int, path: Path) -> None:
    """Write a page to step through the same graph."""
    from ..pictures import page

    loss, model = unrolled(folder, steps)
    page(loss, path, names=model)


def unrolled(folder: Path, steps: int) -> tuple[Tensor, CharLM]:
    """The loss of a run's model, unrolled over the beginning of its text."""
    from ..nn import cross_entropy
    from .charlm import load_model

    model, vocabulary, settings = load_model(folder)
    ids = vocabulary.encode(settings.read()[: steps + 1])
    scores, _ = model(ids[:-1, None])
    loss = cross_entropy(scores, ids[1:, None])
    loss.name = "loss"
    return loss, model


# ------------------------------------------------------------------ helpers


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Within, Ctrl-C and a request to terminate only put their number on the list: the step in hand is finished."""
    signals: list[int] = []

    def note(number: int, frame: Any) -> None:
        signals.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _new_folder(out: str | None) -> Path:
    """A folder for a new run; one that holds a run already is refused, never overwritten."""
    if out is None:
        numbers = [int(path.name) for path in Path("runs").glob("*") if path.name.isdigit()]
        out = f"runs/{max(numbers, default=0) + 1}"
    folder = Path(out)
    if (folder / "checkpoint.safetensors").exists():
        raise ValueError(f"{folder} holds a run already: go on with --resume {folder}, or choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.jsonl").unlink(missing_ok=True)  # of a run that was killed before its first checkpoint
    return folder


def _cut_log(folder: Path, done: int) -> None:
    """Forget the lines of a log that are newer than the checkpoint, so that going on writes them again."""
    from ..io import write_atomically
    from .charlm import read_log

    kept = [line for line in read_log(folder) if line["step"] <= done]
    write_atomically(folder / "log.jsonl", "".join(json.dumps(line) + "\n" for line in kept).encode())


def _program() -> str:
    """How to call this program from here: by its name, by its path where it is not on the search path, or as a module
    of Python where it is not installed."""
    if shutil.which("tinygrad-rnn"):
        return "tinygrad-rnn"
    installed = Path(sys.executable).parent / "tinygrad-rnn"
    return os.path.relpath(installed) if installed.exists() else f"{Path(sys.executable).name} -m tinygrad_rnn"


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        _refuse(text, "a whole number of 1 or more")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdigit():
        _refuse(text, "a whole number of 0 or more")
    return int(text)


def _real(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        _refuse(text, "a number")
    if not 0 <= value < float("inf"):
        _refuse(text, "a number of 0 or more")
    return value


def _fraction(text: str) -> float:
    value = _real(text)
    if value >= 1:
        _refuse(text, "a number below 1")
    return value


def _refuse(text: str, expected: str) -> NoReturn:
    raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
