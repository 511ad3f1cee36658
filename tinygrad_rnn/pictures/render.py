"""DOT rendered by the engines of Graphviz, where it is installed."""

from __future__ import annotations

import subprocess

from ..errors import DrawError

FORMATS = ("svg", "pdf", "png", "eps", "ps")
SECONDS = 20


def render(dot: str, format: str, engine: str) -> bytes:
    """The picture with the layout of an engine of Graphviz."""
    from graphviz import ENGINES

    if engine not in ENGINES:
        raise DrawError(f"engine must be one of {', '.join(sorted(ENGINES))}, not {engine!r}")
    if format not in FORMATS:
        raise DrawError(f"Graphviz renders to {', '.join(FORMATS)}, not to {format}: leave out engine={engine!r}")
    command = ["dot", f"-K{engine}", f"-T{format}", *(["-Gdpi=144"] if format == "png" else [])]
    try:
        done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=SECONDS, check=False)
    except FileNotFoundError:
        raise DrawError(
            f"engine={engine!r} needs the program Graphviz: install it (`apt install graphviz`, `brew install "
            "graphviz`), or leave engine out, and the picture is written without it"
        ) from None
    except subprocess.TimeoutExpired:
        raise DrawError(
            f"Graphviz did not finish within {SECONDS} seconds: draw fewer steps, or leave engine out"
        ) from None
    if done.returncode or not done.stdout:
        message = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise DrawError(f"Graphviz failed: {message}")
    return done.stdout
