"""The README: its blocks are plain code, to be pasted as they are, and print what stands below them."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
BLOCK = re.compile(r"^```(python)\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
BLOCKS = [(block[2], block[3]) for block in BLOCK.finditer(README)]


def same(wanted: str, got: str) -> bool:
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    return doctest.OutputChecker().check_output(wanted, got, flags)


def test_its_blocks_print_what_stands_below_them():
    names: dict[str, object] = {}
    assert len(BLOCKS) > 5
    for code, output in BLOCKS:
        assert ">>>" not in code
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "README.md", "exec"), names)
        assert same(output or "", printed.getvalue()), (
            f"after\n{code}\nthe README has\n{output}\nand now it is\n{printed.getvalue()}"
        )


def test_its_blocks_can_be_pasted_into_ipython():
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell()
    try:
        for code, _ in BLOCKS:
            with contextlib.redirect_stdout(io.StringIO()):
                assert shell.run_cell(code).success, code
    finally:
        shell.history_manager.end_session()
        shell.history_manager = None


def test_a_wrong_output_is_noticed():
    assert same("1 2\n", "1  2\n")
    assert not same("[1, 2]\n", "[1, 3]\n")
