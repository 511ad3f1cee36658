"""Writes the playground: one HTML file with everything in it but Pyodide, which it loads from `PYODIDE`.

    python docs/playground/playground_page.py FOLDER     writes FOLDER/playground.html; any static server can serve it

In the file are the library, packed as it is, the module of the page, and a still answer for each preset, computed here
by that module, which is shown until Python is loaded.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import playground

import tinygrad_rnn
from tinygrad_rnn.pictures.stepper import document

PYODIDE = "https://cdn.jsdelivr.net/pyodide/v314.0.7/full/"
"""Where Pyodide is loaded from: a folder, as an address that ends with a slash, or relative to the page."""

SIZE = 17e6  # bytes to load, for the progress bar
HERE = Path(__file__).parent
ORDER = ("scalar", "vanishing", "lstm", "truncation", "shared", "mlp", "free")


def write(path: str | Path, pyodide: str = PYODIDE) -> Path:
    """Write the playground to a file."""
    script = document.here("elements.js") + (HERE / "page.js").read_text("utf-8")
    allowed = hashlib.sha256(('\n"use strict";\n' + script + "\n").encode()).digest()
    source = pyodide if "://" in pyodide else "'self'"
    parts = {
        "source": source,
        "allowed": f"'sha256-{base64.b64encode(allowed).decode()}'",
        "style": document.colours() + (HERE / "page.css").read_text("utf-8"),
        "worker": (HERE / "worker.js").read_text("utf-8"),
        "library": base64.b64encode(packed()).decode(),
        "script": script,
        "data": document.as_json({"pyodide": pyodide, "size": SIZE, "presets": presets()}),
    }
    path = Path(path)
    path.write_text(document.filled((HERE / "page.html").read_text("utf-8"), parts), "utf-8")
    return path


def presets() -> list[dict[str, Any]]:
    """The presets in their order: name, title, text, program, and the answer to it."""
    found = []
    for name in ORDER:
        title, text, code = preset(name)
        answer = playground.Session().answer({"code": code})
        found.append({"name": name, "title": title, "text": text, "code": code, "answer": answer})
    return found


def preset(name: str) -> tuple[str, str, str]:
    """The title, the text and the program of a preset: a file that begins with both."""
    source = (HERE / "presets" / f"{name}.py").read_text("utf-8")
    first = ast.parse(source).body[0]
    title, _, text = (ast.get_docstring(ast.parse(source)) or "").partition("\n\n")
    return title, " ".join(text.split()), "\n".join(source.splitlines()[first.end_lineno :]).strip() + "\n"


def packed() -> bytes:
    """The library and the module of the page as a zip: the same bytes each time."""
    folder = Path(tinygrad_rnn.__file__).parent
    own = [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    files = {f"tinygrad_rnn/{p.relative_to(folder).as_posix()}": p for p in own}
    files |= {name: HERE / name for name in ("playground.py", "playground_text.py")}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name].read_bytes(), zipfile.ZIP_DEFLATED)
    return out.getvalue()


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit(__doc__)
    print(write(Path(sys.argv[1]) / "playground.html"))
