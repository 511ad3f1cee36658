"""``tinygrad-rnn learn``: the list of tasks, one of them, and the check of an answer."""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path
from typing import Any

from ...errors import DataError
from . import TASKS, Task

WIDTH = 79


def add_commands(commands: Any, **style: Any) -> None:
    """Add the command `learn` to those of the program; `style` goes to its parser."""
    about = "small tasks on derivatives and BPTT, and the check of your answers"
    learn = commands.add_parser("learn", help=about, description=f"{about}; without a number, their list", **style)
    learn.set_defaults(command=learn_command)
    learn.add_argument("task", nargs="?", metavar="N", help="the number of a task: without ANSWER, its text")
    learn.add_argument(
        "answer", nargs="?", metavar="ANSWER", help="your answer: a file of Python, or its text; - stdin"
    )
    learn.add_argument("--hint", nargs="?", const="1", metavar="K", help="the first K hints, of three (1)")
    learn.add_argument("--start", metavar="FILE", help="write a program to begin with into a new file")
    learn.add_argument("--solution", action="store_true", help="a program that is right")


def learn_command(arguments: argparse.Namespace) -> int:
    """List the tasks, show one, or check an answer: 0 where it is right, 1 where it is not yet."""
    if arguments.task is None:
        asked = [f"--{name}" for name in ("hint", "start", "solution") if getattr(arguments, name)]
        if asked:
            raise ValueError(f"learn: {asked[0]} of which task? Give its number: tinygrad-rnn learn 1 {asked[0]}")
        print(listing())
        return 0
    n = chosen(arguments.task, len(TASKS), "there are tasks")
    task = TASKS[n - 1]
    if arguments.answer is not None:
        return judged(task, n, arguments.answer)
    if arguments.start is not None:
        with open(arguments.start, "x", encoding="utf-8") as file:  # never over what somebody has written
            file.write(f"{commented(task, n)}\n{task.start}")
        print(arguments.start)
    elif arguments.solution:
        print(task.answer, end="")
    elif arguments.hint is not None:
        shown = chosen(arguments.hint, len(task.hints), "a task has hints")
        for k, hint in enumerate(task.hints[:shown], 1):
            print(textwrap.fill(f"{k}. {hint}", WIDTH, subsequent_indent="   "))
    else:
        print(described(task, n))
    return 0


def chosen(text: str, most: int, what: str) -> int:
    """A number from 1 to `most`, as it was typed."""
    if text not in map(str, range(1, most + 1)):
        raise ValueError(f"learn: {what} 1 to {most}, not {text!r}")
    return int(text)


def listing() -> str:
    """All tasks, a line each."""
    rows = [f"{n:>4}  {task.title:<50}{task.page.removesuffix('.md')}" for n, task in enumerate(TASKS, 1)]
    return "\n".join([f"task  {'':<50}page", *rows, "", USE])


USE = "tinygrad-rnn learn 1           shows a task\ntinygrad-rnn learn 1 mine.py   checks a file"


def described(task: Task, n: int) -> str:
    """A task in words, with a program to begin with, and what to do then."""
    return "\n\n".join(
        [
            f"{n}. {task.title}\n   (docs/{task.page})",
            wrapped(task.text, WIDTH),
            "Begin with this (np is NumPy, tg is tinygrad_rnn):",
            textwrap.indent(task.start.rstrip(), "    "),
            f"tinygrad-rnn learn {n} --start mine.py   writes it into a file\n"
            f"tinygrad-rnn learn {n} mine.py           checks the file\n"
            f"tinygrad-rnn learn {n} --hint            gives a hint",
        ]
    )


def wrapped(text: str, width: int) -> str:
    """Paragraphs, filled; what is indented stays as it is."""
    return "\n\n".join(p if p.startswith("    ") else textwrap.fill(p, width) for p in text.split("\n\n"))


def commented(task: Task, n: int) -> str:
    """The text of a task as a comment."""
    lines = [f"{n}. {task.title}", "", *wrapped(task.text, WIDTH - 2).splitlines()]
    check = ["", f"tinygrad-rnn learn {n} THIS-FILE   checks it"]
    return "\n".join(f"# {line}".rstrip() for line in [*lines, *check]) + "\n"


def judged(task: Task, n: int, answer: str) -> int:
    """Check an answer, and say what came out."""
    source, file = read(answer)
    verdict = task.judge(source, file)
    sys.stdout.flush()  # what the program has printed comes first
    if verdict.right:
        print(f"Right: {verdict.message}.")
        return 0
    print(f"Not yet. {verdict.message}\nA hint: tinygrad-rnn learn {n} --hint")
    return 1


def read(answer: str) -> tuple[str, str]:
    """An answer's text, and what its lines are called: a file, - for standard input, or the text itself."""
    if answer == "-":
        return sys.stdin.read(), "standard input"
    path = Path(answer)
    if ("=" in answer and not path.exists()) or "\n" in answer:
        return answer, "your line"
    try:
        return path.read_text("utf-8"), answer
    except UnicodeDecodeError:
        raise DataError(f"learn: {answer} is not a text in UTF-8") from None
