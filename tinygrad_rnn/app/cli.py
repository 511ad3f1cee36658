"""The command line: ``tinygrad-rnn train``, ``sample``, ``draw``, ``export``, ``warm``, ``bptt`` and ``learn``.

Results go to standard output, progress and errors to standard error. Exit status: 0 done, 1 a run or a file that cannot
be used or written, 2 wrong usage or input, 128 + n stopped by the signal n (130 Ctrl-C, 143 asked to terminate, 129 the
terminal closed), with everything saved.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, TextIO

from .. import __version__
from ..errors import CheckpointError, DrawError, ExportError
from .ranks import first_speaks


def main(argv: list[str] | None = None) -> int:
    """Run one command; gives the exit status."""
    command = sys.argv[1:2] if argv is None else argv[:1]
    return first_speaks(lambda: _main(argv)) if command == ["train"] else _main(argv)


def _main(argv: list[str] | None) -> int:
    _open_standard_files()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a character gets its code
            stream.reconfigure(errors="backslashreplace")
    with redirect_stdout(sys.stdout or _nowhere()), redirect_stderr(Messages(sys.stderr or _nowhere())):
        try:
            arguments = parser().parse_args(argv)
            status = int(arguments.command(arguments) or 0)
            sys.stdout.flush()
            return status
        except KeyboardInterrupt:
            print("\nstopped", file=sys.stderr)
            return 130
        except BrokenPipeError:  # the reader has seen enough, as in `... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + signal.SIGPIPE
        except MemoryError as error:  # NumPy's own says how much it wanted; ours what for
            what = f" {error}" if type(error) is MemoryError else f": {error}"
            print(f"tinygrad-rnn: not enough memory{what}".rstrip(" :"), file=sys.stderr)
            return 1
        except OSError as error:
            print(f"tinygrad-rnn: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
            return 1
        except (CheckpointError, DrawError, ExportError, FloatingPointError) as error:
            print(f"tinygrad-rnn: {error}", file=sys.stderr)
            return 1
        except ValueError as error:
            print(f"tinygrad-rnn: {error}", file=sys.stderr)
            return 2


class Messages:
    """Standard error for as long as there is one: a terminal that was closed must not stop a training run."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _open_standard_files() -> None:
    """Where standard input, output or error is closed, put nothing there: else a checkpoint may get its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free


EXAMPLES = {
    "train": "tinygrad-rnn train --text book.txt --hidden 256 --patience 4",
    "sample": "tinygrad-rnn sample runs/1 --prompt 'Once ' --length 200",
    "draw": "tinygrad-rnn draw runs/1 --steps 12 --out unrolled.pdf",
    "export": "tinygrad-rnn export runs/1 --onnx",
    "warm": "tinygrad-rnn warm lstm --dtype float32",
    "bptt": "tinygrad-rnn bptt flow --cell lstm --steps 50 --out flow.svg",
    "learn": "tinygrad-rnn learn 8 mine.py",
}


def parser() -> argparse.ArgumentParser:
    from . import warm
    from .commands import add_commands as add_bptt_commands
    from .learn.command import add_commands as add_learn
    from .options import Help, Parser

    top = Parser(
        prog="tinygrad-rnn",
        description="Train, sample and draw recurrent networks whose backpropagation through time "
        "arises from an unrolled tape.",
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    wide: dict[str, Any] = {"formatter_class": Help}
    _add_train(commands, **wide)
    _add_uses(commands, **wide)
    add_bptt_commands(commands, **wide)
    warm.add_commands(commands, **wide)
    add_learn(commands, **wide)
    for name, example in EXAMPLES.items():
        commands.choices[name].epilog = f"example: {example}"
    return top


def _add_train(commands: Any, **wide: Any) -> None:
    from .charlm import TEST_EVERY
    from .options import COUNT
    from .settings import CELLS, NUMBERS, OPTIMIZERS, SCHEDULES, Settings
    from .train import train_command

    d = Settings()
    train = commands.add_parser(
        "train",
        help="train a character language model by truncated BPTT",
        **wide,
    )
    train.set_defaults(command=train_command)
    train.add_argument("--text", metavar="FILE", help="a UTF-8 text, - for standard input (Python's documentation)")
    train.add_argument("--out", metavar="FOLDER", help="where to put the run (default: runs/1, runs/2, ...)")
    train.add_argument(
        "--resume", metavar="RUN", help="go on with a run, perhaps to more --steps; --text says where its text is now"
    )
    train.add_argument("--cell", choices=CELLS, help=f"({d.cell})")
    train.add_argument(
        "--embedding", type=NUMBERS["embedding"], metavar="N", help=f"size of a character's vector ({d.embedding})"
    )
    train.add_argument("--hidden", type=NUMBERS["hidden"], metavar="N", help=f"hidden units a layer ({d.hidden})")
    train.add_argument("--layers", type=NUMBERS["layers"], metavar="N", help=f"recurrent layers ({d.layers})")
    train.add_argument(
        "--dropout", type=NUMBERS["dropout"], metavar="P", help=f"of what layers pass on ({d.dropout:g})"
    )
    train.add_argument(
        "--batch", type=NUMBERS["batch"], metavar="N", help=f"rows of text read side by side ({d.batch})"
    )
    train.add_argument(
        "--window", type=NUMBERS["window"], metavar="N", help=f"steps to backpropagate through ({d.window})"
    )
    train.add_argument("--optimizer", choices=OPTIMIZERS, help=f"({d.optimizer})")
    train.add_argument("--lr", type=NUMBERS["lr"], metavar="X", help=f"learning rate ({d.lr:g})")
    train.add_argument("--lr-schedule", choices=SCHEDULES, help=f"how the learning rate falls ({d.lr_schedule})")
    train.add_argument(
        "--patience",
        type=NUMBERS["patience"],
        metavar="N",
        help=f"stop after N tests, one every {TEST_EVERY} steps, that were no better; 0 for never ({d.patience})",
    )
    train.add_argument(
        "--clip", type=NUMBERS["clip"], metavar="X", help=f"largest gradient norm; 0 for no clipping ({d.clip:g})"
    )
    train.add_argument("--steps", type=NUMBERS["steps"], metavar="N", help=f"windows to train on ({d.steps})")
    train.add_argument(
        "--held-out", type=NUMBERS["held_out"], metavar="P", help=f"last part of the text, to test on ({d.held_out:g})"
    )
    train.add_argument("--seed", type=NUMBERS["seed"], metavar="N", help=f"decides every random choice ({d.seed})")
    train.add_argument("--save-every", type=COUNT, default=500, metavar="N", help="steps between checkpoints (500)")
    train.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_uses(commands: Any, **wide: Any) -> None:
    """What a trained run is for."""
    from .options import COUNT, REAL, SEED
    from .use import draw_command, export_command, sample_command

    sample = commands.add_parser(
        "sample",
        help="let a trained model write",
        **wide,
    )
    sample.set_defaults(command=sample_command)
    sample.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    sample.add_argument("--best", action="store_true", help="the model of the best test, in place of the last")
    sample.add_argument("--prompt", metavar="TEXT", help="how the text begins ('The ')")
    sample.add_argument("--length", type=COUNT, default=500, metavar="N", help="characters to write (500)")
    sample.add_argument(
        "--temperature", type=REAL, default=0.7, metavar="X", help="below 1 safer, above 1 wilder (0.7)"
    )
    sample.add_argument("--seed", type=SEED, metavar="N", help="decides every random choice (a new one each time)")

    draw = commands.add_parser(
        "draw",
        help="draw the unrolled graph of a trained model",
        **wide,
    )
    draw.set_defaults(command=draw_command)
    draw.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    draw.add_argument("--steps", type=COUNT, default=64, metavar="N", help="time steps to unroll (64)")
    draw.add_argument("--level", choices=["op", "cell", "layer", "strip"], help="what a node is (by size)")
    draw.add_argument("--page", action="store_true", help="a page to step through the tape, in place of a picture")
    draw.add_argument("--out", type=Path, metavar="FILE", help="svg, png, pdf or dot (default: graph.svg in the run)")

    export = commands.add_parser(
        "export",
        help="write a trained model for other programs",
        **wide,
    )
    export.set_defaults(command=export_command)
    export.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    export.add_argument("--best", action="store_true", help="the model of the best test, in place of the last")
    export.add_argument("--onnx", action="store_true", required=True, help="as an ONNX file, for onnxruntime")
    export.add_argument("--out", type=Path, metavar="FILE", help="(default: model.onnx in the run)")
