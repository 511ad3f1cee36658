"""What a learner wrote: the names it sets, and the line at which an error in it stands."""

from __future__ import annotations

import importlib
import math
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

from ...autograd.tensor import Tensor

Function = Callable[..., Any]


class NotYet(Exception):
    """What is wrong with an answer, in words for the learner."""


class Answer:
    """The names that a program sets. NumPy and the library are there as np and tg, and what the task gives.

    Raises NotYet, with the line, where the program does not run.
    """

    def __init__(self, source: str, file: str, given: dict[str, Any]) -> None:
        self.source, self.file = source, file
        library = importlib.import_module(__name__.partition(".")[0])
        self.names: dict[str, Any] = {"np": np, "tg": library, "__name__": "answer", **given}
        try:
            exec(compile(source, file, "exec", dont_inherit=True), self.names)
        except SyntaxError as error:
            if error.filename != file:  # of something that it imports
                raise NotYet(self.where(error)) from error
            raise NotYet(self.at(error.lineno or 1, f"Python cannot read this: {error.msg}")) from error
        except (Exception, SystemExit) as error:
            raise NotYet(self.where(error)) from error

    def __getitem__(self, name: str) -> Any:
        if name not in self.names:
            raise NotYet(f"there is no {name} yet: your program has to set it")
        return self.names[name]

    def number(self, name: str) -> float:
        """A name that is to be a number."""
        value = self[name]
        value = value.data if isinstance(value, Tensor) else value
        if isinstance(value, bool | str | bytes | None) or not np.isrealobj(value) or np.size(value) != 1:
            raise NotYet(f"{name} has to be a number, and is {shown(self[name])}")
        found = float(np.asarray(value, dtype=float).reshape(()))
        if not math.isfinite(found):
            raise NotYet(f"{name} has to be a finite number, and is {found}")
        return found

    def function(self, name: str) -> Function:
        """A name that is to be a function."""
        if not callable(self[name]):
            raise NotYet(f"{name} has to be a function, def {name}(...), and is {shown(self[name])}")
        found: Function = self[name]
        return found

    def at(self, line: int, message: str) -> str:
        """A message with the line that it is about."""
        lines = self.source.splitlines()
        text = f"\n    {lines[line - 1].strip()}" if 0 < line <= len(lines) else ""
        return f"{self.file}, line {line}: {message}{text}"

    def holds(self, error: BaseException) -> bool:
        """Whether the error comes out of the learner's program, or out of what it called."""
        return any(frame.filename == self.file for frame in traceback.extract_tb(error.__traceback__))

    def where(self, error: BaseException, words: str = "") -> str:
        """An error of the learner's program at its line, in words."""
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == self.file]
        message = words or described(error)
        return self.at(frames[-1].lineno or 1, message) if frames else message


def described(error: BaseException) -> str:
    """An error in words: what happened, then what Python says of it."""
    words = {
        NameError: "a name that is not known here",
        ZeroDivisionError: "a division by zero",
        IndexError: "an index beyond the end",
        KeyError: "a key that is not there",
        RecursionError: "a function that calls itself without end",
        SystemExit: "the program ends itself here, before it can be checked",
        AttributeError: "something is asked for what it does not have",
    }
    said = next((text for kind, text in words.items() if isinstance(error, kind)), "")
    own = " ".join(str(error).split())
    return f"{said} ({own})" if said and own else said or f"{type(error).__name__}: {own}".removesuffix(": ")


def shown(value: object) -> str:
    """A value, short enough for a line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 50 else text[:47] + "..."
