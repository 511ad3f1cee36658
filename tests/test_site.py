"""The site: built without a warning, whole in itself, with every public name, and every page a notebook that runs.

What needs Sphinx, a Jupyter kernel or Chromium is skipped by name where that is missing.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import playground_page
import pytest

import tinygrad_rnn as tg

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
if str(DOCS) not in sys.path:
    sys.path.append(str(DOCS))

from sitemaker import docstrings, notebooks, pages, reference  # noqa: E402

PAGES = {path.stem: path for path in sorted(DOCS.glob("*.md"))}
RUN = {name: path for name, path in PAGES.items() if notebooks.has_code(path.read_text("utf-8"))}
NEEDED = ("sphinx", "myst_parser", "furo", "sphinx_copybutton")


# ------------------------------------------------------------------ text to text


@pytest.mark.parametrize(
    ("address", "there"),
    [
        ("README.md#four-texts", "index.md#four-texts"),
        ("../README.md", "index.md"),
        ("7-truncation.md", "7-truncation.md"),
        ("pictures/lstm.svg", "pictures/lstm.svg"),
        ("../tinygrad_rnn/engine/tape.py", "source/tinygrad_rnn/engine/tape.py.md"),
        ("../examples", "source/index.md"),
    ],
)
def test_links_of_a_page_lead_to_pages_of_the_site(address, there):
    assert pages.on_the_site(address) == there


def test_links_change_in_prose_alone():
    text = "[a](../examples/own_op.py) [b](https://x.org/../y) [c](#d)\n\n```python\n[a](../examples/own_op.py)\n```\n"
    prose, _, code = pages.with_links(text, pages.on_the_site).partition("\n\n")
    assert prose == "[a](source/examples/own_op.py.md) [b](https://x.org/../y) [c](#d)"
    assert code == "```python\n[a](../examples/own_op.py)\n```\n"


def test_every_page_is_in_the_navigation_once():
    listed = [line for line in pages.toctrees(list(PAGES)) if line in PAGES]
    assert sorted(listed) == sorted(set(PAGES) - {"README"})


def test_a_notebook_has_the_prose_the_pictures_and_the_cells_of_its_page():
    text = (
        "# A\n\nSee [B](2-rules.md), [C](architecture.md), [D](https://d.org).\n\n![p](pictures/strip.svg)\n\n"
        '```python\n>>> x = 1\n>>> for _ in "ab":\n...     x += 1\n>>> x\n3\n>>> 1 / 0\n'
        "Traceback (most recent call last):\n"
        "    ...\nZeroDivisionError: division by zero\n>>> y = x\n\n```\n\nFrom `a.py`:\n\n```python\nquoted\n```\n"
    )
    first, *cells, last = notebooks.cells_of(text, DOCS)
    assert first["source"].splitlines()[2] == "See [B](2-rules.ipynb), C, [D](https://d.org)."
    assert first["source"].endswith("![p](attachment:strip.svg)")
    assert list(first["attachments"]) == ["strip.svg"]
    assert [cell["source"] for cell in cells] == ['x = 1\nfor _ in "ab":\n    x += 1\nx', "1 / 0", "y = x"]
    assert [cell["metadata"] for cell in cells] == [{}, {"tags": ["raises-exception"]}, {}]
    assert "```python\nquoted\n```" in last["source"]


def test_an_answer_is_folded_in_the_notebook_as_on_the_page():
    answer = "<details>\n<summary>Answer</summary>\n\nFour:\n\n```python\n>>> 2 + 2\n4\n\n```\n\n</details>\n"
    asked, said, run, after = notebooks.cells_of(f"How many?\n\n{answer}\nNext.\n", DOCS)
    assert said["source"] == "<details>\n<summary>Answer</summary>\n\nFour:\n\n</details>"
    assert run["source"] == "2 + 2" and run["metadata"]["jupyter"] == {"source_hidden": True, "outputs_hidden": True}
    assert [(cell["source"], cell["metadata"]) for cell in (asked, after)] == [("How many?", {}), ("Next.", {})]


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_every_answer_of_a_page_is_one_that_the_notebook_folds(path):
    text = path.read_text("utf-8")
    assert len(notebooks.FOLDED.findall(text)) == text.count("<details>") == text.count("</details>")


@pytest.mark.parametrize(
    ("docstring", "rst"),
    [
        (
            "x, y    two numbers\n        of one sign\n*more   others",
            ":x, y: two numbers\n   of one sign\n:more: others",
        ),
        ("    x   one\n    ys  more\n        of them", ":x: one\n:ys: more\n   of them"),
        ("    m  = a\n    v_t  = b", "::\n\n    m  = a\n    v_t  = b"),
        ("m ← b m,    n = m / 2\nv ← v", "::\n\n    m ← b m,    n = m / 2\n    v ← v"),
        ("    h = tanh(a)", "::\n\n    h = tanh(a)"),
        ("where\n    a = |x| w_", "where\n\n::\n\n    a = |x| w_"),
        ("|x| of `|y|`", r"\|x\| of `|y|`"),
        (">>> x_ * 2\n4", ">>> x_ * 2\n4"),
        ("- one  thing\n- two", "- one  thing\n- two"),
    ],
)
def test_a_docstring_reads_the_same_in_the_reference(docstring, rst):
    assert "\n".join(docstrings.as_rst(docstring.splitlines())).strip() == rst


def test_without_sphinx_the_command_says_what_to_install(monkeypatch, capsys, tmp_path):
    spec = importlib.util.spec_from_file_location("docs_main", DOCS / "__main__.py")
    command = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(command)
    monkeypatch.setitem(sys.modules, "sphinx.cmd.build", None)
    with pytest.raises(SystemExit):
        command.main([str(tmp_path)])
    assert ".[docs]" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------ the site as it is built


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The site, built as its users build it, with warnings as errors."""
    for module in NEEDED:
        pytest.importorskip(module)
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run([sys.executable, "-m", "docs", folder], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


class Page(HTMLParser):
    """The links and anchors of a page, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.anchors.add(found.get("id") or "")
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        source = found.get("src") or (found.get("href") if tag == "link" else None)
        if source:
            self.loads.append(source)


@pytest.fixture(scope="session")
def html(site) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}


@pytest.mark.slow
def test_every_page_is_there(site):
    assert {f"{name}.html" for name in PAGES if name != "README"} | {"index.html"} <= {p.name for p in site.iterdir()}


@pytest.mark.slow
def test_every_link_of_the_site_leads_somewhere(html):
    for path, page in html.items():
        for link in page.links:
            place, _, anchor = unquote(link).partition("#")
            if "://" in place or place.startswith("mailto:"):
                continue
            target = (path.parent / place).resolve() if place else path
            assert target.exists(), f"{path.name}: {link}"
            if target.name == "playground.html":  # what follows is its state
                assert not anchor or anchor.partition("&")[0].removeprefix("preset=") in playground_page.ORDER, link
            elif "pages" in target.parts and anchor:  # a step of the walk
                assert anchor.isdigit(), link
            elif anchor and target in html:
                assert anchor in html[target].anchors, f"{path.name}: {link}"


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(html):
    for path, page in html.items():
        for source in page.loads:
            place = source.partition("?")[0].partition("#")[0]
            assert "//" not in place, f"{path.name}: {source}"
            assert not place or place.startswith("data:") or (path.parent / unquote(place)).exists(), (
                f"{path.name}: {source}"
            )


@pytest.mark.slow
@pytest.mark.parametrize("name", reference.PAGES.values())
def test_every_public_name_is_in_the_reference(html, name):
    anchors = set().union(*(page.anchors for page in html.values()))
    assert [x for x in reference.described()[name] if f"{name}.{x}" not in anchors] == []


def test_the_reference_describes_all_that_is_exported():
    described = {id(x) for names in reference.described().values() for x in names.values()}
    for name in reference.PAGES.values():
        assert {id(x) for x in reference.public(importlib.import_module(name)).values()} <= described
    assert {"tinygrad_rnn.nn.init", "tinygrad_rnn.bptt", "tinygrad_rnn.data"} <= set(reference.PAGES.values())
    assert tg.save in reference.described()["tinygrad_rnn"].values()
    assert "save" not in reference.described()["tinygrad_rnn.io"]


RESULTS = re.compile(r"see `(?:tg\.)?([\w.]+)`")


@pytest.mark.parametrize(
    "module", [name for name in reference.PAGES.values() if not name.endswith((".errors", ".plots"))]
)
def test_every_public_name_has_an_example(module):
    """Of its own, or where its docstring says to look: the function that gives such a result."""
    examples = {
        name for names in reference.described().values() for name, x in names.items() if ">>>" in (x.__doc__ or "")
    }

    def shown(x) -> bool:
        return ">>>" in x.__doc__ or any(name.split(".")[-1] in examples for name in RESULTS.findall(x.__doc__))

    names = reference.described()[module]
    assert [name for name, x in names.items() if callable(x) and not shown(x)] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_every_page_runs_as_a_notebook(site, name):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    (path,) = site.rglob(f"_downloads/**/{name}.ipynb")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    wrong = [cell.source for cell in notebook.cells if cell.cell_type == "code" and raised(cell) != wanted(cell)]
    assert not wrong


def wanted(cell) -> bool:
    return "raises-exception" in cell.metadata.get("tags", [])


def raised(cell) -> bool:
    return any(output.output_type == "error" for output in cell.outputs)


# ------------------------------------------------------------------ as a reader sees it


@pytest.fixture(scope="session")
def browser():
    chromium = pytest.importorskip("playwright.sync_api")
    import shutil

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine")
    with chromium.sync_playwright() as p:
        opened = p.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [1500, 1280, 390])
def test_formulas_are_set_and_pages_fit_the_screen(site, browser, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for name in ["index", *(name for name in PAGES if name != "README")]:
        page.goto((site / f"{name}.html").as_uri())
        page.evaluate("() => window.MathJax && MathJax.startup ? MathJax.startup.promise : null")
        wrong, left, long, wide = page.evaluate(
            "[[...document.querySelectorAll('mjx-merror')].map(x => x.textContent),"
            " document.querySelectorAll('.math').length - document.querySelectorAll('.math > mjx-container').length,"
            " [...document.querySelectorAll('mjx-container[display=true]')]"
            "    .filter(x => x.scrollWidth > x.clientWidth + 1).map(x => x.textContent),"
            " Math.max(document.documentElement.scrollWidth,"
            "          document.querySelector('article').getBoundingClientRect().right)]"
        )
        assert not wrong, name
        assert not left, name
        assert wide <= width, name
        assert width < 1280 or not long, f"{name}: write it in two lines: {long}"
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    page.close()


@pytest.mark.slow
def test_the_search_finds_pages_and_functions(site, browser):
    page = browser.new_page()
    for word, found in (("vanishes", "bptt-in-ten-minutes"), ("clip_grad_norm_", "reference/optim")):
        page.goto((site / "search.html").as_uri() + f"?q={word}")
        page.wait_for_selector("ul.search li a")
        assert any(found in link.get_attribute("href") for link in page.locator("ul.search li a").all()), word
    page.close()


@pytest.mark.slow
def test_pictures_open_large_and_pages_follow_each_other(html, site):
    page = html[site / "1-tape.html"]
    assert "_images/tape.svg" in page.links
    assert {"architecture.html", "2-rules.html"} & set(page.links) and "2-rules.html" in page.links


@pytest.mark.slow
def test_code_is_copied_without_prompts_and_outputs(site, browser):
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto((site / "1-tape.html").as_uri())
    page.wait_for_selector("button.copybtn", state="attached")
    page.locator("div.highlight").first.hover()
    page.locator("button.copybtn").first.click()
    copied = page.evaluate("navigator.clipboard.readText()")
    text = PAGES["1-tape"].read_text("utf-8")
    (first, *_) = (block[1] for block in notebooks.BLOCK.finditer(text) if ">>>" in block[1])
    lines = [line[4:] for line in first.splitlines() if line.startswith((">>> ", "... "))]
    assert copied.strip().splitlines() == lines
    context.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "system, chosen, dark",
    [("light", "auto", False), ("dark", "auto", True), ("light", "dark", True), ("dark", "light", False)],
)
def test_pictures_are_as_dark_as_their_page(site, browser, system, chosen, dark):
    """Where the button of the page says otherwise than the system, they follow the button."""
    image = pytest.importorskip("matplotlib.image")
    page = browser.new_page(color_scheme=system)
    page.goto((site / "bptt-in-ten-minutes.html").as_uri())
    page.evaluate("chosen => document.body.dataset.theme = chosen", chosen)
    page.wait_for_timeout(100)
    pictures = page.locator("a.picture:not(.light) img")
    assert pictures.count() == 5
    seen = image.imread(BytesIO(pictures.first.screenshot()))[..., :3]
    assert (np.median(seen) < 0.3) == dark
    page.goto((site / "gallery.html").as_uri())
    assert page.locator("a.picture.light img").count() >= 5  # plots
    page.close()
