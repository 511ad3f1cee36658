"""The house: the floors, and that imports go down only."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest
from test_examples import load

import tinygrad_rnn

house = load("architecture")
LEVEL = {name: -k for k, rooms in enumerate(house.FLOORS) for name in rooms}
LEVEL[""] = -0.5  # the package itself, what users see: the command line stands on it, and nothing else


def test_every_part_of_the_package_has_its_floor():
    assert {house.room(module) for module in house.MODULES} == {*LEVEL, "__main__", "cli"}


@pytest.mark.parametrize("module", [m for m in house.MODULES if house.room(m) not in ("", "__main__", "cli")])
def test_imports_go_down_only(module):
    here = house.room(module)
    for i in house.imports(module):
        there = house.room(i.imported)
        assert there == here or LEVEL.get(there, 1) < LEVEL[here], f"{module}, line {i.line}: imports {i.imported}"


def test_no_two_modules_import_each_other():
    """Also not through others, or for types alone."""
    below = {m: {i.imported for i in house.imports(m)} - {m} for m in house.MODULES}
    while leaves := [m for m in below if not below[m] & set(below)]:
        for m in leaves:
            del below[m]
    circles = set(below)
    while above := {m for m in circles if not any(m in below[other] for other in circles)}:
        circles -= above  # which only stand on a circle
    assert circles == set()


def test_no_module_is_hidden_behind_a_function_of_its_name():
    names = [name for _, name, _ in pkgutil.walk_packages(tinygrad_rnn.__path__, "tinygrad_rnn.")]
    for name in names:
        if not name.endswith("__main__") and ".machine." not in name:  # a program, and texts for numba
            parent, _, last = name.rpartition(".")
            module = importlib.import_module(name)
            assert getattr(importlib.import_module(parent), last) is module, f"{name} is hidden"


def test_the_picture_of_the_floors_is_that_of_the_imports_now():
    arrows = {line.strip() for line in house.floors().source.splitlines() if "->" in line and "invis" not in line}
    picture = (house.PACKAGE.parent / "docs" / "pictures" / "floors.svg").read_text("utf-8")
    titles = set(re.findall("<title>(.*?)</title>", picture.replace("&#45;&gt;", " -> ")))
    assert set(LEVEL) - {""} <= titles
    assert arrows <= titles, "draw it again: python examples/architecture.py"


def test_the_command_can_be_called_from_python(capsys):
    from tinygrad_rnn.cli import main

    assert main(["draw", "no such run"]) == 1
    assert "no such run" in capsys.readouterr().err


# ------------------------------------------------------------------ types say something


def annotations(tree: ast.AST) -> Iterator[ast.expr]:
    """What parameters, results and variables are said to be."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(annotation=said) | ast.FunctionDef(returns=said) | ast.AnnAssign(annotation=said) if said:
                yield said


def test_few_annotations_are_any():
    said = [x for path in house.MODULES.values() for x in annotations(ast.parse(path.read_text("utf-8")))]
    bare = sum(isinstance(x, ast.Name) and x.id == "Any" for x in said)
    assert bare < 0.12 * len(said), f"{bare} of {len(said)} are Any: see engine/arrays.py for what they could be"


# ------------------------------------------------------------------ the core is short enough to be read

CORE = [
    "engine/tape.py",
    "ops/elementwise.py",
    "engine/backward.py",
    "autograd/tensor.py",
    "nn/cells.py",
    "nn/recurrent.py",
    "bptt/truncation.py",
]
"""In the order in which a learner reads them."""

BRANCHES = (
    ast.If | ast.IfExp | ast.For | ast.While | ast.ExceptHandler | ast.comprehension | ast.BoolOp | ast.match_case
)


def functions(file: str) -> list[Any]:
    tree = ast.parse((house.PACKAGE / file).read_text("utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def length(function: ast.FunctionDef) -> int:
    """Its lines, without the docstring."""
    assert function.end_lineno is not None
    first = function.body[0]
    doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return function.end_lineno + 1 - function.lineno - (first.end_lineno + 1 - first.lineno if doc else 0)


def paths(function: ast.FunctionDef) -> int:
    """How many ways it can branch, and one: McCabe's number, counted with conditional expressions and and/or."""
    return 1 + sum(isinstance(node, BRANCHES) for node in ast.walk(function))


def test_the_core_is_at_most_1400_lines():
    sizes = {file: len((house.PACKAGE / file).read_text("utf-8").splitlines()) for file in CORE}
    assert sum(sizes.values()) <= 1400, sizes


@pytest.mark.parametrize("file", CORE)
def test_no_function_of_the_core_is_long_or_tangled(file):
    assert {f.name: length(f) for f in functions(file) if length(f) > 40} == {}
    assert {f.name: paths(f) for f in functions(file) if paths(f) > 15} == {}


def test_the_core_is_what_the_pages_for_learners_quote():
    pages = house.PACKAGE.parent / "docs"
    for number, file in enumerate(CORE, 1):
        (page,) = pages.glob(f"{number}-*.md")
        assert f"From `tinygrad_rnn/{file}`" in page.read_text("utf-8"), f"{page.name} quotes nothing of {file}"
