"""Every row of the checklist of the four texts, and every erratum, has a test that names it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROWS = {"S0": 28, "S1": 14, "S2": 16, "S3": 9}
ALL = {f"{text}.{n}" for text, count in ROWS.items() for n in range(1, count + 1)} | {f"E{n}" for n in range(1, 51)}


def named() -> set[str]:
    """The rows in the names of the tests beside this one: test_S0_14_..., test_S1_9_S2_9_..., test_E31_..."""
    found: set[str] = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found |= {f"{text}.{n}" for text, n in re.findall(r"_(S\d)_(\d+)(?=_)", node.name)}
                found |= set(re.findall(r"_(E\d+)(?=_)", node.name))
    return found


def test_the_list_is_complete():
    assert len(ALL) == 117
    assert sorted(ALL - named()) == []


def test_no_test_names_a_row_that_is_not_there():
    assert sorted(named() - ALL) == []
