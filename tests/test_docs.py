"""The documentation does not drift: quoted code is verbatim, links resolve, tables name the options there are.

Its `>>>` examples are doctests, collected with the rest.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from pathlib import Path

import pytest

from tinygrad_rnn.app import cli
from tinygrad_rnn.app.charlm import Settings

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))  # not deeper: there is the site, once it is built
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SOURCE = re.compile(r"From `(\S+)`:\n\n\Z")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")

page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


def quotations(text: str) -> list[tuple[str | None, str]]:
    """(the file that is named above, or None; the code) of every Python block that is no doctest."""
    found = []
    for block in FENCE.finditer(text):
        if block[1] == "python" and ">>>" not in block[2]:
            source = SOURCE.search(text, 0, block.start())
            found.append((source[1] if source else None, block[2]))
    return found


def is_verbatim(quotation: str, source: str) -> bool:
    """Whether the parts between lines `...` are whole lines of the source, in this order."""
    at = 0
    for part in re.split(r"^\s*\.\.\.\n", quotation, flags=re.MULTILINE):
        found = f"\n{source}".find(f"\n{part}", at)
        if found < 0 or not part.strip():
            return False
        at = found + len(part)
    return True


def links(path: Path) -> list[Path]:
    """The files and folders that a page links to."""
    targets = (target.partition("#")[0] for target in LINK.findall(path.read_text("utf-8")))
    return [(path.parent / target).resolve() for target in targets if target and "://" not in target]


@page
def test_quoted_code_is_verbatim(path):
    for source, code in quotations(path.read_text("utf-8")):
        assert source, f"{path.name}: a Python block without >>> needs a line 'From `file`:' before it:\n{code}"
        text = (ROOT / source).read_text("utf-8")
        assert is_verbatim(code, text), f"{path.name}: {source} does not hold these lines (any more):\n{code}"


@page
def test_links_resolve(path):
    for target in links(path):
        assert target.exists(), f"{path.name} links to {target}, which does not exist"


def test_every_page_is_reachable_from_the_index():
    reached, waiting = set(), [ROOT / "docs" / "README.md"]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += [target for target in links(path) if target.suffix == ".md"]
    assert set(PAGES) <= reached


@page
def test_doctests_end_with_an_empty_line(path):
    """Without one, the closing fence would be taken for output."""
    for block in FENCE.finditer(path.read_text("utf-8")):
        if ">>>" in block[2]:
            assert block[2].endswith("\n\n"), f"{path.name}: add an empty line before the closing fence:\n{block[2]}"


EXERCISES = "## Exercises\n\nAnswer before you open.\n"


@page
def test_exercises_are_three_to_five_each_with_a_hidden_answer(path):
    _, _, exercises = path.read_text("utf-8").partition(EXERCISES)
    if exercises:
        questions = re.findall(r"^\*\*(\d)\.\*\* ", exercises, re.MULTILINE)
        answers = re.findall(
            r"^<details>\n<summary>Answer</summary>\n\n.+?\n\n</details>\n", exercises, re.MULTILINE | re.DOTALL
        )
        assert questions == [str(k) for k in range(1, len(questions) + 1)] and len(answers) == len(questions)
        assert 3 <= len(questions) <= 5 and exercises.count("details>") == 2 * len(answers)


def test_the_pages_on_the_source_have_exercises():
    pages = [path.name for path in PAGES if EXERCISES in path.read_text("utf-8")]
    assert {f"{k}-" for k in range(1, 8)} <= {name[:2] for name in pages}


@page
def test_lines_are_short(path):
    for line in path.read_text("utf-8").splitlines():
        assert len(line) <= 130 or line.startswith("|"), f"{path.name}: {line}"


CODE = re.compile(r"`[^`]*`|\]\([^)]*\)")
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$", re.DOTALL)
RAW = re.compile(r"(?<!\w)[A-Za-zδ]'?_[\w{]|\w⁻|[\w)]²|ᵀ|d\w\w?/d\w\b")


def prose(text: str) -> list[str]:
    """The paragraphs of a page without code."""
    return re.split(r"\n\n+", CODE.sub("", FENCE.sub("", text)))


@page
def test_formulas_are_typeset(path):
    """As `$...$`, with braces that match, and no letter with an index beside them."""
    for paragraph in prose(path.read_text("utf-8")):
        assert paragraph.count("$") % 2 == 0, f"{path.name}: an odd number of $ in\n{paragraph}"
        for formula in FORMULA.finditer(paragraph):
            assert formula[0].count("{") == formula[0].count("}"), f"{path.name}: {formula[0]}"
            assert formula[0].startswith("$$") or not re.search(r"^\$\s|\s\$$", formula[0]), (
                f"{path.name}: {formula[0]}"
            )
        raw = RAW.search(FORMULA.sub("", paragraph))
        assert not raw, f"{path.name}: write {raw[0]} as a formula in\n{paragraph}"


def options(command: str) -> dict[str, argparse.Action]:
    """The options of a command, by their long names."""
    (commands,) = (a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    actions = commands.choices[command]._actions
    return {a.option_strings[-1]: a for a in actions if a.option_strings and a.dest != "help"}


def test_the_options_in_the_tables_are_those_of_the_commands():
    text = (ROOT / "docs" / "training.md").read_text("utf-8")
    rows = re.findall(r"^\| `(--[\w-]+)[^`]*` \| (.*?) ?\| ", text, re.MULTILINE)
    expected = [name for command in ("train", "sample", "draw") for name in options(command)]
    assert sorted(name for name, _ in rows) == sorted(expected)


def test_the_defaults_in_the_table_are_those_of_the_settings():
    text = (ROOT / "docs" / "training.md").read_text("utf-8")
    table = text[text.index("## Options") : text.index("## How it reads")]
    rows = dict(re.findall(r"^\| `--([\w-]+)[^`]*` \| `?(.*?)`? ?\| ", table, re.MULTILINE))
    defaults = {name: default for name, default in vars(Settings()).items() if default is not None}
    shown = {name: rows[name.replace("_", "-")] for name in defaults}
    assert shown == {name: f"{d:g}" if isinstance(d, float | int) else d for name, d in defaults.items()}
    assert rows["save-every"] == str(options("train")["--save-every"].default)


# ------------------------------------------------------------------ the test of the test


def test_a_changed_quotation_is_noticed():
    source = textwrap.dedent(
        """
        def f(x):
            y = x + 1
            z = y * 2
            return z
        """
    )
    assert is_verbatim("def f(x):\n    y = x + 1\n", source)
    assert is_verbatim("def f(x):\n...\n    return z\n", source)
    assert not is_verbatim("    return z\n...\ndef f(x):\n", source)
    assert not is_verbatim("    y = x + 2\n", source)
    assert not is_verbatim("y = x + 1\n", source)
    assert quotations("From `a.py`:\n\n```python\nx\n```\n\n```python\ny\n```\n") == [("a.py", "x\n"), (None, "y\n")]


def test_the_tests_that_promises_name_are_there() -> None:
    """Each is in the file that is linked before it."""
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    found = re.findall(r"\]\(\.\./(tests/\w+\.py)\)|`(test_\w+)`", text)
    file, named = "", 0
    for link, name in found:
        file = link or file
        if name:
            assert f"def {name}(" in (ROOT / file).read_text("utf-8"), f"{file} has no {name}"
            named += 1
    assert named > 30
