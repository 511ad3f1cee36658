"""A page as a notebook: prose stays prose, what the tests run becomes cells to run, in the same order.

A cell ends where the page shows an output. A cell that is to show an error says so, and running goes on behind it.
An answer that a page folds away is folded in the notebook too: its prose by the same tag, its code as a hidden cell.
"""

from __future__ import annotations

import base64
import doctest
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"!\[([^\]]*)\]\(((?!\w+:)[^)\s]+)\)")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!\w+:)([^)\s]+)\)")
FOLDED = re.compile(r"<details>\n<summary>(.*?)</summary>\n(.*?)</details>\n?", re.DOTALL)
HIDDEN = {"jupyter": {"source_hidden": True, "outputs_hidden": True}}
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
KINDS = {".svg": "image/svg+xml", ".png": "image/png"}


def has_code(text: str) -> bool:
    """Whether there is something to run."""
    return any(">>>" in block[1] for block in BLOCK.finditer(text))


def write(text: str, folder: Path, path: Path) -> None:
    """Write the notebook of a page whose pictures are in `folder`."""
    cells = [cell | {"id": f"cell-{n}"} for n, cell in enumerate(cells_of(text, folder))]
    whole = {"cells": cells, "metadata": {"kernelspec": KERNEL}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(whole, ensure_ascii=False, indent=1) + "\n", "utf-8")


def cells_of(text: str, folder: Path) -> Iterator[dict[str, Any]]:
    """The cells of a page; `FOLDED` splits it into what is open, a summary, what is folded below it, and so on."""
    parts = FOLDED.split(text)
    yield from open_cells(parts[0], folder)
    for summary, answer, after in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        for cell in open_cells(answer, folder):
            if cell["cell_type"] == "code":
                yield cell | {"metadata": cell["metadata"] | HIDDEN}
            else:
                folded = f"<details>\n<summary>{summary}</summary>\n\n{cell['source']}\n\n</details>"
                yield cell | {"source": folded}
        yield from open_cells(after, folder)


def open_cells(text: str, folder: Path) -> Iterator[dict[str, Any]]:
    at = 0
    for block in BLOCK.finditer(text):
        examples = doctest.DocTestParser().get_examples(block[1])
        if examples:
            yield from prose(text[at : block.start()], folder)
            yield from code(examples)
            at = block.end()
    yield from prose(text[at:], folder)


def prose(text: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Markdown with its pictures inside; a link to a page leads to that page's notebook where it has one."""
    if not text.strip():
        return
    attachments = {}

    def attached(picture: re.Match[str]) -> str:
        path = folder / picture[2]
        data = base64.b64encode(path.read_bytes()).decode()
        attachments[path.name] = {KINDS[path.suffix]: data}
        return f"![{picture[1]}](attachment:{path.name})"

    def led(link: re.Match[str]) -> str:
        page, _, _ = link[2].partition("#")
        target = folder / page
        if page.endswith(".md") and target.is_file() and has_code(target.read_text("utf-8")):
            return f"[{link[1]}]({target.stem}.ipynb)"
        return link[1] if page else link[0]

    source = LINK.sub(led, PICTURE.sub(attached, text.strip()))
    inside = {"attachments": attachments} if attachments else {}
    yield {"cell_type": "markdown", "metadata": {}, "source": source, **inside}


def code(examples: list[doctest.Example]) -> Iterator[dict[str, Any]]:
    """Cells, each up to the next output."""
    lines: list[str] = []
    for k, example in enumerate(examples):
        lines.append(example.source.rstrip("\n"))
        if example.want or k == len(examples) - 1:
            tags = {"tags": ["raises-exception"]} if example.exc_msg is not None else {}
            yield {
                "cell_type": "code",
                "metadata": tags,
                "source": "\n".join(lines),
                "outputs": [],
                "execution_count": None,
            }
            lines = []
