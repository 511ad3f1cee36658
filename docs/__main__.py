"""Build the site: python -m docs [FOLDER], default docs/_site. Needs the extra `docs`. A warning is an error."""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS / "playground"), str(DOCS.parent)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m docs", description="Build the site from the pages in docs/.")
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", default=DOCS / "_site", help="(docs/_site)")
    folder = parser.parse_args(arguments).folder.resolve()
    try:
        from sphinx.cmd.build import main as sphinx
    except ModuleNotFoundError:
        parser.exit(1, "python -m docs: the site is made by Sphinx: pip install -e '.[docs]'\n")
    import playground_page
    from sitemaker.pages import stage

    stage(folder / ".source")
    failed = sphinx(["-q", "-W", "--keep-going", "-b", "html", "-c", str(DOCS), str(folder / ".source"), str(folder)])
    if not failed:
        playground_page.write(folder / "playground.html")
        runpy.run_path(str(DOCS.parent / "examples" / "pages.py"))["main"]([str(folder / "pages")])
        print(folder / "index.html")
    return failed


if __name__ == "__main__":
    sys.exit(main())
