"""Options of the command line: what a number may be, help in 80 columns, and errors of one line."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,40}")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Number:
    """A kind of number: how it is described, and which values are of it. Called, it reads the text of an option."""

    described: str
    kind: type[int] | type[float]
    holds: Callable[[float], bool]

    def __call__(self, text: str) -> float:
        """The value of a text, in the digits 0 to 9; argparse.ArgumentTypeError for any other."""
        form = WHOLE_NUMBER if self.kind is int else NUMBER
        value: Any = self.kind(text) if form.fullmatch(text) else None
        if not self.has(value):
            shown = text if len(text) <= 40 else text[:37] + "..."
            raise argparse.ArgumentTypeError(f"expected {self.described}, got {shown!r}")
        return value

    def has(self, value: object) -> bool:
        """Whether a value is of this kind. True and False are no numbers."""
        kinds = (int,) if self.kind is int else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool) and self.holds(value)


COUNT = Number("a whole number from 1 to 10^18", int, lambda n: 1 <= n <= 10**18)
SIZE = Number("a whole number from 1 to 1,000,000", int, lambda n: 1 <= n <= 10**6)
LAYERS = Number("a whole number from 1 to 1,000", int, lambda n: 1 <= n <= 1000)
SEED = Number("a whole number from 0 to 10^18", int, lambda n: 0 <= n <= 10**18)
REAL = Number("a number of 0 or more", float, lambda x: 0 <= x < math.inf)
RATE = Number("a number above 0", float, lambda x: 0 < x < math.inf)
FRACTION = Number("a number from 0 to less than 1", float, lambda x: 0 <= x < 1)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, in place of a wall of usage above it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        if action.option_strings and arg_strings == ["--"]:  # as in --out=--, which Python before 3.13 loses
            value = self._get_value(action, "--")
            self._check_value(action, value)
            return [value] if action.nargs == "+" else value
        return super()._get_values(action, arg_strings)


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
