"""The text of a program: the numbers in it, each with a slider, and the same text with other numbers."""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

FILE = "<program>"
SLIDERS = 40  # more numbers than these have no slider
LARGE = 1e15  # a number beyond has no slider
RANGE = re.compile(r"#\s*(-?\d{1,15}(?:\.\d+)?)\s*\.\.\s*(-?\d{1,15}(?:\.\d+)?)\s*$")


class Wrong(Exception):
    """What is wrong in a program, in words, and the line."""

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.text, self.line = text, line


# ---------------------------------------------------------------- the numbers of a program


@dataclass(frozen=True)
class Number:
    """A number in the text of a program: ``w = 0.9  # -2 .. 2``, an entry of a list, the first argument of a call."""

    name: str  # w, or x[2]
    value: float
    low: float
    high: float
    whole: bool
    start: int  # its place in the text
    end: int

    @property
    def step(self) -> float:
        return 1 if self.whole else 0.01

    def written(self, value: float) -> str:
        return str(round(value)) if self.whole else repr(round(float(value), 6))


def numbers(code: str) -> list[Number]:
    """The numbers that the program assigns to names at its top level, in their order.

    >>> [(n.name, n.value, n.low, n.high) for n in numbers("w = 0.5  # -1 .. 1\\nT = 3\\nx = [1.0, -2.0]")]
    [('w', 0.5, -1.0, 1.0), ('T', 3, 0.0, 12), ('x[0]', 1.0, -2.0, 2.0), ('x[1]', -2.0, -2.0, 2.0)]
    """
    lines = re.findall(r"[^\n]*\n|[^\n]+", code)  # Python's lines: splitlines() knows more ends than these
    starts = [0, *itertools.accumulate(map(len, lines))]

    def place(line: int, column: int) -> int:  # Python counts columns in bytes
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    found = []
    for statement in parsed(code).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            limits = RANGE.search(lines[(statement.end_lineno or 1) - 1].rstrip())
            for name, node in _literals(statement.targets[0].id, statement.value):
                value = ast.literal_eval(node)
                if not abs(value) <= LARGE:
                    continue
                low, high = sorted(map(float, limits.groups())) if limits else _range(value)
                low, high = min(low, value), max(high, value)
                start, end = place(node.lineno, node.col_offset), place(node.end_lineno or 1, node.end_col_offset or 0)
                found.append(Number(name, value, low, high, isinstance(value, int), start, end))
    return found[:SLIDERS]


def _literals(name: str, node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """(name, node) of each number in ``0.9``, ``[1, 2]`` or ``tg.tensor([1.0, 2.0], ...)``."""
    if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).endswith("tensor"):
        yield from _literals(name, node.args[0])
    elif isinstance(node, ast.List):
        for k, entry in enumerate(node.elts):
            yield from _literals(f"{name}[{k}]", entry)
    else:
        bare = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
        if isinstance(bare, ast.Constant) and type(bare.value) in (int, float):
            yield name, node


def _range(value: float) -> tuple[float, float]:
    """The ends of a slider whose line does not say them: the same for all values between them."""
    ends = (12, 40, 100, 1000, 10_000) if isinstance(value, int) else (2.0, 5.0, 10.0, 100.0, 1000.0, 1e6)
    far = next((end for end in ends if abs(value) <= end), 2 * abs(value))
    return (0.0 if isinstance(value, int) else -far), far


def rewritten(code: str, values: dict[str, float]) -> str:
    """The program with other numbers.

    >>> rewritten("w = 0.5\\nx = [1.0, 2.0]", {"w": -1, "x[1]": 0.25})
    'w = -1.0\\nx = [1.0, 0.25]'
    """
    for n in reversed(numbers(code)):
        value = values.get(n.name, math.nan)
        if math.isfinite(value):
            code = code[: n.start] + n.written(value) + code[n.end :]
    return code


def parsed(code: str) -> ast.Module:
    try:
        return ast.parse(code, FILE)
    except SyntaxError as error:
        hint = "; is a bracket or a quotation mark open in the line above?" if "invalid syntax" in error.msg else ""
        raise Wrong(f"Python cannot read this line: {error.msg}{hint}", error.lineno) from error
    except ValueError as error:
        raise Wrong(f"Python cannot read this program: {error}") from error
    except (RecursionError, MemoryError) as error:
        raise Wrong("Python cannot read this program: an expression in it is too long, make it of several") from error
