"""DOT to png and pdf, by whatever Graphviz is installed."""

from __future__ import annotations

import shutil
import subprocess

from ..errors import DrawError

SECONDS = 20


def render(dot: str, format: str) -> bytes:
    """The picture rendered, with its own layout, by the program ``dot`` or by the Graphviz inside pygraphviz."""
    program = shutil.which("dot")
    options = [f"-T{format}"] + (["-Gdpi=144"] if format == "png" else [])
    if program is None:
        return _with_pygraphviz(dot, format)
    try:
        command = [program, *options]
        done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        cure = "draw fewer steps, or save as .svg, which needs no Graphviz"
        raise DrawError(f"Graphviz did not finish within {SECONDS} seconds: {cure}") from None
    if done.returncode or not done.stdout:
        message = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise DrawError(f"Graphviz failed: {message}. Saving as .svg needs no Graphviz")
    return done.stdout


def _with_pygraphviz(dot: str, format: str) -> bytes:
    try:
        import pygraphviz
    except ImportError:
        raise DrawError(
            f"no Graphviz found to make a {format}: install it (`apt install graphviz`, `brew install graphviz`), "
            "or `pip install pygraphviz`, or save as .svg, which needs neither"
        ) from None
    drawn: bytes = pygraphviz.AGraph(string=dot).draw(format=format, prog="neato", args="-n2")
    return drawn
