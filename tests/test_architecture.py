"""The house: the floors, and that imports go down only."""

from __future__ import annotations

import importlib
import pkgutil
import re

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


def test_no_module_is_hidden_behind_a_function_of_its_name():
    names = [name for _, name, _ in pkgutil.walk_packages(tinygrad_rnn.__path__, "tinygrad_rnn.")]
    for name in names:
        if not name.endswith("__main__"):
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
