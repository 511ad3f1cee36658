"""The pages as the site has them: in order, with their notebooks, and with links to sources that lead somewhere.

What is written stays as it is on GitHub; all that the site needs beside it is added here, text to text.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from . import notebooks, reference

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent

PARTS = {
    "Start": ["bptt-in-ten-minutes", "live", "using", "glossary"],
    "Reading the source": [
        "1-tape", "2-rules", "3-backward", "4-tensor", "5-cells", "6-recurrent", "7-truncation", "8-compiled",
        "architecture",
    ],
    "Four texts": [
        "text-0-gradients-and-the-lstm", "text-1-a-worked-example", "text-2-three-strategies",
        "text-3-chains-and-chunks",
    ],
    "For use": [],  # what no other part names, as it comes
    "The project": ["reliability", "benchmarks", "contributing", "changes"],
}  # fmt: skip
"""The navigation: "next" and "previous" follow it."""

FIRST = [
    "training",
    "fitting",
    "scale",
    "bptt",
    "experiments",
    "pictures",
    "gallery",
    "derivatives",
    "functions",
    "your-own-op",
]
"""What "For use" begins with."""

PLAYED = re.compile(r"\[([^\]]+)\]\(live\.md(#preset=[^)]+)\)")
"""A link to a preset of the playground: on GitHub to the page about it, on the site to the playground itself."""

FENCE = re.compile(r"^( *)(`{3,})[^\n]*\n.*?^\1\2`*[ ]*$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(\[(?:[^\[\]]|\[[^\]]*\])*\]\()([^)\s]+)(\))")


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """The text, changed where it is no fenced block."""
    parts, at = [], 0
    for block in FENCE.finditer(text):
        parts += [change(text[at : block.start()]), block[0]]
        at = block.end()
    return "".join([*parts, change(text[at:])])


def with_links(text: str, target: Callable[[str], str]) -> str:
    """The text with `target` of the address in the place of every link within the project."""

    def changed(link: re.Match[str]) -> str:
        return link[0] if "://" in link[2] or link[2].startswith("#") else link[1] + target(link[2]) + link[3]

    def prose(part: str) -> str:
        return LINK.sub(changed, PLAYED.sub(r'<a href="playground.html\2">\1</a>', part))

    return outside_code(text, prose)


def on_the_site(address: str) -> str:
    """Where a link of a page leads: to a page, or to the page that shows a file of the source."""
    path, mark, anchor = address.partition("#")
    if path in ("README.md", "../README.md"):
        return "index.md" + mark + anchor
    if not path.startswith("../"):
        return address
    place = (DOCS / path).resolve().relative_to(ROOT)
    return f"source/{place}.md" if (ROOT / place).is_file() else "source/index.md"


def sources(texts: dict[str, str]) -> list[Path]:
    """The files outside of this folder that pages link to, within the project."""
    found = set()
    for text in texts.values():
        for link in LINK.finditer(text):
            path = (DOCS / link[2].partition("#")[0]).resolve()
            if link[2].startswith("../") and path.is_file() and path.suffix != ".md":
                found.add(path.relative_to(ROOT))
    return sorted(found)


def source_page(place: Path) -> str:
    """A page that shows a file of the source."""
    language = {".py": "python", ".sh": "bash", ".toml": "toml"}.get(place.suffix, "text")
    fence = "`" * 8
    lines = ["---", "orphan: true", "---", f"# {place}", "", f"{fence}{{code-block}} {language}", ":linenos:", ""]
    return "\n".join([*lines, (ROOT / place).read_text("utf-8"), fence, ""])


def source_index(places: list[Path]) -> str:
    """All pages that show a file of the source."""
    lines = [f"- [{place}](/source/{place}.md)" for place in places]
    return "\n".join(["---", "orphan: true", "---", "# Files of the source that the pages speak of", "", *lines, ""])


def with_notebook(name: str, text: str) -> str:
    """The page with a link to its notebook below its title."""
    title, _, rest = text.partition("\n")
    return f"{title}\n\n{{.notebook}}\n[This page as a notebook](notebooks/{name}.ipynb)\n{rest}"


def toctrees(names: list[str]) -> Iterator[str]:
    """The navigation over all pages."""
    placed = {name for part in PARTS.values() for name in part}
    rest = [name for name in FIRST if name in names]
    rest += sorted(set(names) - placed - {"README", *rest})
    for caption, part in PARTS.items():
        yield from toctree(caption, [name for name in part or rest if name in names])
    yield from toctree("Reference", [f"reference/{page}" for page in reference.PAGES])


def toctree(caption: str, names: list[str]) -> Iterator[str]:
    yield from ["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *names, "```"]


def stage(folder: Path) -> None:
    """Write everything that Sphinx is to read into a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "notebooks").mkdir(parents=True)
    texts = {path.stem: path.read_text("utf-8") for path in sorted(DOCS.glob("*.md"))}
    for kind in ("pictures", "plots", "compared"):
        shutil.copytree(DOCS / kind, folder / kind)
    for name, text in texts.items():
        page = with_links(text, on_the_site).replace("\n\n```\n", "\n```\n")  # what the tests need, nobody else
        if notebooks.has_code(text):
            notebooks.write(text, DOCS, folder / "notebooks" / f"{name}.ipynb")
            page = with_notebook(name, page)
        if name == "README":
            name, page = "index", "\n".join([page, *toctrees(list(texts)), ""])
        (folder / f"{name}.md").write_text(page, "utf-8")
    places = sources(texts)
    pages = {"index": source_index(places), **{str(place): source_page(place) for place in places}}
    for at, page in pages.items():
        path = folder / "source" / f"{at}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, "utf-8")
    reference.write(folder / "reference")
