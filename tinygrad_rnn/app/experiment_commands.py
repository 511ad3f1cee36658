"""``tinygrad-rnn bptt experiment [NAME]``: run an experiment, or list them all."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .options import SEED


def add_commands(parts: Any, **style: Any) -> None:
    """Add the command `experiment` to those of `bptt`; `style` goes to its parser."""
    text = "experiments of the literature, or a list of them"
    options = "[--seeds N ...] [--only TEXT] [--quick] [--text FILE] [--out FILE]"
    usage = f"%(prog)s [NAME]\n       {options}"  # the name first: --seeds would take it for a seed
    parser = parts.add_parser("experiment", help=text, description=text, usage=usage, **style)
    parser.set_defaults(command=command)
    parser.add_argument("name", nargs="?", metavar="NAME", help="which; without it they are listed")
    parser.add_argument(
        "--seeds", "--seed", dest="seeds", type=SEED, nargs="+", metavar="N", help="one run of each case a seed"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases with this text in their name")
    parser.add_argument("--quick", action="store_true", help="a size of a second, to see that it works")
    parser.add_argument("--text", metavar="FILE", help="for min-char-rnn: a UTF-8 text (Python's own documentation)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="draw the results (svg, png, pdf; needs matplotlib)")


def command(arguments: argparse.Namespace) -> None:
    from ..experiments import EXPERIMENTS, MinCharRNN, report
    from ..experiments.min_char_rnn import whole

    if arguments.name is None:
        width = max(map(len, EXPERIMENTS))
        print(f"{'NAME':{width}}  {'takes':>6}  what it proves")
        for kind in EXPERIMENTS.values():
            print(f"{kind.name:{width}}  {kind.takes:>6}  {kind.proves}")
        return
    if arguments.name not in EXPERIMENTS:
        raise ValueError(f"there is no experiment {arguments.name!r}; there are {', '.join(EXPERIMENTS)}")
    kind = EXPERIMENTS[arguments.name]
    options = dict(kind.small) if arguments.quick else {}
    if arguments.text is not None:
        if kind is not MinCharRNN:
            raise ValueError(f"--text is for {MinCharRNN.name}: {kind.name} makes its own data")
        options["text"] = arguments.text
        whole(arguments.text)  # before anything is printed
    report(kind(**options), arguments.seeds, arguments.only, arguments.out)
