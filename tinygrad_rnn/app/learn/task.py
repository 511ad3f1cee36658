"""A task, and the check of an answer to it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .answer import Answer, NotYet


class Verdict(NamedTuple):
    """Whether an answer is right, and what there is to say about it."""

    right: bool
    message: str


@dataclass(frozen=True)
class Task:
    """Something to work out.

    title   what it is about, for the list
    page    the page of the documentation that it belongs to
    text    the task, in paragraphs
    start   a program to begin with
    hints   one after the other, each says more
    answer  a program that is right
    check   given an answer, says what has been found right about it, or raises NotYet
    given   names that the program finds there, besides np and tg
    """

    title: str
    page: str
    text: str
    start: str
    hints: Sequence[str]
    answer: str
    check: Callable[[Answer], str]
    given: Mapping[str, Any] = field(default_factory=dict)

    def judge(self, source: str, file: str = "your line") -> Verdict:
        """Run an answer and check it. Whatever goes wrong in it is said at its line; nothing is raised for it.

        >>> from tinygrad_rnn.app.learn import TASKS
        >>> TASKS[0].judge("dw = 1 +").message.splitlines()[0]
        'your line, line 1: Python cannot read this: invalid syntax'
        """
        try:
            mine = Answer(source, file, dict(self.given))
        except NotYet as error:
            return Verdict(False, str(error))
        try:
            return Verdict(True, self.check(mine))
        except NotYet as error:
            return Verdict(False, str(error))
        except (Exception, SystemExit) as error:
            if not mine.holds(error):
                raise
            return Verdict(False, mine.where(error))


def program(text: str) -> str:
    """A program that is written down indented."""
    return textwrap.dedent(text).strip() + "\n"


def as_array(value: object, name: str) -> np.ndarray:
    """What is to be numbers, as an array of them."""
    try:
        return np.asarray(getattr(value, "data", value) if not isinstance(value, np.ndarray) else value, dtype=float)
    except (TypeError, ValueError):
        raise NotYet(f"{name} has to be made of numbers, and is {type(value).__name__}") from None


def same(a: float | np.ndarray, b: float | np.ndarray, rounding: float = 1e-6) -> bool:
    """Whether two numbers, or arrays of one shape, agree up to rounding."""
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=rounding, atol=rounding))


def compare(name: str, found: float, right: float, mistakes: Mapping[str, float], rounding: float) -> None:
    """NotYet if a number is not the right one: a mistake by name, where it is what that mistake leads to."""
    if abs(found - right) <= rounding:
        return
    for mistake, value in mistakes.items():
        if abs(found - value) <= rounding:
            raise NotYet(f"{name} = {found:.6g} is not right: {mistake}")
    if found * right < 0:
        raise NotYet(f"{name} = {found:.6g} has the wrong sign")
    how = "large" if abs(found) > abs(right) else "small"
    raise NotYet(f"{name} = {found:.6g} is not right: it is too {how}")
