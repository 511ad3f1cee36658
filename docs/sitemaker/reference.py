"""The reference: a page for each part of the public surface, with every name that it exports."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

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

ALIASES = {
    "Operand": "a Tensor, or what `np.asarray` takes",
    "ArrayLike": "what `np.asarray` takes",
    "DType": "what `np.dtype` takes, or None",
    "Rng": "a seed, a NumPy Generator, or None for numbers that are different each time",
    "Parameters": "tensors, or groups of them: dicts with the options of each",
}
"""Names of types in signatures, and what they stand for."""

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


def bases(names: dict[str, Any]) -> list[type]:
    """The classes that no module exports and that the docstring of a class derived from them speaks of."""
    classes = [x for x in names.values() if inspect.isclass(x)]
    above = dict.fromkeys(base for x in classes for base in x.__mro__[1:] if f"`{base.__name__}`" in (x.__doc__ or ""))
    exported = {id(x) for name in PAGES.values() for x in public(importlib.import_module(name)).values()}
    return [x for x in above if id(x) not in exported]


def numpys(x: type) -> list[str]:
    """The methods of a class that say no more than NumPy does: they are NumPy's."""
    names = (name for name in dir(x) if not name.startswith("_") and callable(getattr(x, name)))
    return [name for name in names if not getattr(x, name).__doc__ and (hasattr(np, name) or hasattr(np.ndarray, name))]


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
    if module.__name__ == "tinygrad_rnn":
        yield "In signatures:\n"
        yield from [f"- `{name}` is {meaning}" for name, meaning in ALIASES.items()]
        yield ""
    yield from ["```{eval-rst}", ".. py:currentmodule:: " + module.__name__, ""]
    for name, x in names.items():
        yield from [directive(name, x), ""]
        if inspect.isclass(x) and (methods := numpys(x)):
            yield from ["   As in NumPy: " + ", ".join(f"`{method}`" for method in methods) + ".", ""]
    yield from ["```", ""]
    shared = bases(names)
    if shared:
        yield from ["## What they have in common", "", "```{eval-rst}"]
        for base in shared:
            anchor = f'<a id="{module.__name__}.{base.__name__}"></a>'  # where links back from its source lead
            yield from [".. raw:: html", "", f"   {anchor}", ""]
            path = f"{base.__module__}.{base.__qualname__}"
            yield from [f".. autoclass:: {path}", f"   :exclude-members: {', '.join(dir(base))}", ""]
        yield from ["```", ""]


def write(folder: Path) -> None:
    folder.mkdir(parents=True)
    names = described()
    for file, name in PAGES.items():
        (folder / f"{file}.md").write_text("\n".join(page(importlib.import_module(name), names[name])), "utf-8")
