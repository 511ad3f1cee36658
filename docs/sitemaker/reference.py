"""The reference: a page for each part of the public surface, with every name that it exports."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BY_HAND = ("tinygrad_rnn.data", "tinygrad_rnn.plots")
"""Public modules that `import tinygrad_rnn` does not import."""


def modules(name: str = "tinygrad_rnn") -> Iterator[str]:
    """A public module and those that it lists."""
    yield name
    module = importlib.import_module(name)
    for x in (getattr(module, key) for key in getattr(module, "__all__", [])):
        if isinstance(x, types.ModuleType):
            yield from modules(x.__name__)


PAGES = {name.rpartition(".")[2].replace("tinygrad_rnn", "tensors"): name for name in (*modules(), *BY_HAND)}
"""The file of a page, and the module whose names it has."""

TITLES = {"tinygrad_rnn": "tg: tensors, derivatives, tape, pictures"}


def public(module: types.ModuleType) -> dict[str, Any]:
    """The functions and classes that a module offers: those that it lists, or those that are written in it."""
    listed = getattr(module, "__all__", None)
    names = listed or [name for name, x in vars(module).items() if getattr(x, "__module__", "") == module.__name__]
    found = {name: getattr(module, name) for name in sorted(names, key=str.lower) if not name.startswith("_")}
    return {name: x for name, x in found.items() if not isinstance(x, types.ModuleType)}


def directive(name: str, x: Any) -> str:
    """How Sphinx is told what to describe."""
    if inspect.isclass(x):
        return f".. autoclass:: {name}"
    return f".. autofunction:: {name}" if inspect.isroutine(x) else f".. autodata:: {name}"


def described() -> dict[str, dict[str, Any]]:
    """The names that the page of each module describes: what two modules export is on the first one's page."""
    found: dict[str, dict[str, Any]] = {}
    seen: set[int] = set()
    for name in PAGES.values():
        names = public(importlib.import_module(name))
        found[name] = {key: x for key, x in names.items() if id(x) not in seen}
        seen |= set(map(id, names.values()))
    return found


def page(module: types.ModuleType, names: dict[str, Any]) -> Iterator[str]:
    short = module.__name__.replace("tinygrad_rnn", "tg", 1)
    first = (module.__doc__ or "").strip().partition("\n")[0]
    yield from [f"# {TITLES.get(module.__name__, short)}", "", first, ""]
    others = [name for name in public(module) if name not in names]
    if others:
        yield from ["Also " + ", ".join(f"`{short}.{name}`" for name in others) + ": see `tg`.", ""]
    yield from ["```{eval-rst}", ".. py:currentmodule:: " + module.__name__, ""]
    for name, x in names.items():
        yield from [directive(name, x), ""]
    yield from ["```", ""]


def write(folder: Path) -> None:
    folder.mkdir(parents=True)
    names = described()
    for file, name in PAGES.items():
        (folder / f"{file}.md").write_text("\n".join(page(importlib.import_module(name), names[name])), "utf-8")
