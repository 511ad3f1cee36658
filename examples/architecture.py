"""The house: which part of the library imports which, read from the source: python examples/architecture.py [FILE].

Writes the picture of the floors (default: docs/pictures/floors.svg), which needs the program Graphviz. Prints its name.
"""

from __future__ import annotations

import ast
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import graphviz

PACKAGE = Path(__file__).resolve().parents[1] / "tinygrad_rnn"

FLOORS = [
    {"app": "the command line,\nthe character model"},
    {"texts": "four texts,\nworked through", "experiments": "what is said about BPTT,\ntried"},
    {"training": "the loop over epochs,\nand what surrounds it"},
    {"bptt": "truncation, reports\non the gradient", "pictures": "drawings, their writers,\nthe page"},
    {"io": "weights in files,\nto and from PyTorch", "optim": "optimizers,\nschedules"},
    {"nn": "modules, losses, cells,\nrecurrent layers"},
    {"unrolled": "a tape read as an unrolled network", "compiled": "one recorded step,\nthe loop over time"},
    {"autograd": "the Tensor, NumPy's protocols,\nderivatives as functions"},
    {"ops": "primitives and their rules,\nNumPy's functions"},
    {"engine": "the tape and the reverse sweep:\nno Tensor here"},
    {"data": "texts, sequences\nand tasks", "metrics": "how good\na prediction is", "plots": "numbers over time"},
    {
        "files": "written whole\nor not at all",
        "interrupts": "Ctrl-C",
        "notebook": "what a notebook shows\nwhere a terminal has text",
    },
    {"errors": "what can go wrong"},
]
"""From the top to the bottom, the rooms of each floor and what is in them. Imports go down only."""


class Import(NamedTuple):
    """One import: the importing module and the imported one, as dotted names within the package."""

    module: str
    imported: str
    line: int
    type_only: bool


def dotted(path: Path) -> str:
    """The name of a module within the package; "" is the package itself."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")


MODULES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(module: str) -> Iterator[Import]:
    """Every import of one of our modules in a module, also within functions and for types alone."""
    path = MODULES[module]
    tree = ast.parse(path.read_text("utf-8"))
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) + 1 - node.level], *(node.module or "").split(".")]
            for alias in node.names:
                name = ".".join(part for part in [*base, alias.name] if part)
                name = name if name in MODULES else name.rpartition(".")[0]
                yield Import(module, name, node.lineno, node in for_types)


def room(module: str) -> str:
    """The part of the house a module is in: the folder, or the file at the top."""
    return module.partition(".")[0]


def floors() -> graphviz.Digraph:
    """A box a room, and an arrow where a room uses another, unless a longer way down leads there too."""
    graph = graphviz.Digraph(graph_attr={"rankdir": "TB", "nodesep": "0.35", "ranksep": "0.3", "bgcolor": "white"})
    graph.attr("node", shape="box", style="rounded,filled", fillcolor="#f2f5fa", color="#8a99b0", fontname="Helvetica")
    graph.attr("edge", color="#8a99b0", arrowsize="0.6")
    for rooms in FLOORS:
        with graph.subgraph(graph_attr={"rank": "same"}) as floor:
            for name, purpose in rooms.items():
                floor.node(name, f"{name}\n{purpose}")
    uses = {(room(m), room(i.imported)) for m in MODULES for i in imports(m) if room(m) and room(i.imported)}
    uses = {(a, b) for a, b in uses if a != b and a not in ("__main__", "cli")}  # the doors of the command
    for a, b in sorted(uses):
        if not any((a, c) in uses and (c, b) in uses for c in {b for _, b in uses}):
            graph.edge(a, b)
    for above, below in itertools.pairwise(FLOORS):
        graph.edge(next(iter(above)), next(iter(below)), style="invis")
    return graph


def main() -> None:
    if "-h" in sys.argv or "--help" in sys.argv:
        print(__doc__)
        return
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGE.parent / "docs" / "pictures" / "floors.svg"
    path.write_bytes(floors().pipe(format="svg"))
    print(path)


if __name__ == "__main__":
    main()
