"""``tinygrad-rnn bptt ...``: each of its commands is declared beside what it runs, and listed here."""

from __future__ import annotations

import argparse
from typing import Any

from ..texts import example
from ..texts import report as errata
from . import experiment_commands, report_commands


def add_commands(commands: Any, **style: Any) -> None:
    """Add the command `bptt`, with its own commands, to those of the program; `style` goes to each parser."""
    bptt = commands.add_parser("bptt", help="take backpropagation through time apart", **style)
    parts: argparse._SubParsersAction[Any] = bptt.add_subparsers(required=True, metavar="COMMAND")
    for module in (example, errata, report_commands, experiment_commands):
        module.add_commands(parts, **style)
