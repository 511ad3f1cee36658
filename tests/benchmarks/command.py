"""The command: ``python -m tests.benchmarks``, with the parts to measure, and where to put what was found."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from . import best, imports, layers, memory, ops, picture, report, train, variants, writing
from .goals import Results
from .problem import GRID, Shape

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("results.json")
PAGE = ROOT / "docs" / "benchmarks.md"
PICTURE = ROOT / "docs" / "pictures" / "benchmarks.svg"

Part = Callable[[set[int]], list[dict[str, Any]]]

FULL: dict[str, Part] = {
    "best": lambda cores: best.measure(cores=cores),
    "variants": lambda cores: variants.measure(),
    "train": lambda cores: train.measure(cores=cores),
    "writing": lambda cores: writing.measure(),
    "ops": lambda cores: ops.measure(),
    "layers": lambda cores: layers.measure(),
    "memory": lambda cores: memory.measure(),
    "length": lambda cores: memory.measure_sizes(),
    "import": lambda cores: imports.measure(),
}
QUICK: dict[str, Part] = {
    "best": lambda cores: best.measure(GRID[:3], seconds=0.1, cores=cores),
    "variants": lambda cores: variants.measure(GRID[:2], seconds=0.1),
    "train": lambda cores: train.measure((64, 128), 20, 0.3, cores),
    "writing": lambda cores: writing.measure((128,), 0.1),
    "ops": lambda cores: ops.measure((1_000, 10_000)),
    "layers": lambda cores: layers.measure(GRID[:3], dtypes=("float32",), seconds=0.1),
    "memory": lambda cores: memory.measure(Shape(32, 100, 64, 128)),
    "length": lambda cores: memory.measure_sizes((100, 1_000), (1, 2)),
    "import": lambda cores: imports.measure(1),
}


def main(arguments: list[str] | None = None, cores: set[int] = frozenset()) -> None:
    reader = parser()
    options = reader.parse_args(arguments)
    if options.write_docs and (options.quick or options.only != list(FULL)):
        reader.error("--write-docs needs a full run, without --quick and --only")
    if options.read:
        results = json.loads(options.read.read_text("utf-8"))
    else:
        results = measured(options.only, QUICK if options.quick else FULL, cores, quick=options.quick)
    print(report.markdown(results))
    if options.write_docs:
        keep(results, RESULTS, PICTURE)
        report.write_page(PAGE, results)
        print(f"{PAGE} is written anew", file=sys.stderr)
    elif options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        keep(results, options.out / "results.json", options.out / "benchmarks.svg")


def parser() -> argparse.ArgumentParser:
    about = "Measure the speed and the memory of tinygrad_rnn beside its peers; see docs/benchmarks.md."
    found = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=about)
    found.add_argument("--only", type=parts, default=list(FULL), metavar="PARTS", help=f"some of {','.join(FULL)}")
    found.add_argument("--quick", action="store_true", help="a minute instead of several: smaller sizes, less certain")
    found.add_argument("--read", type=Path, metavar="FILE", help="measure nothing: take the results from this file")
    found.add_argument("--out", type=Path, metavar="FOLDER", help="write results.json and benchmarks.svg there")
    found.add_argument("--write-docs", action="store_true", help="write the tables and the picture of docs anew")
    return found


def parts(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in FULL]
    if unknown:
        raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}; there are {','.join(FULL)}")
    return names


def measured(names: list[str], sizes: dict[str, Part], cores: set[int], quick: bool = False) -> Results:
    """The results of these parts, with when and where they were found."""
    facts: dict[str, Any] = {"date": date.today().isoformat(), "quick": quick, "load": [os.getloadavg()[0]]}
    facts |= {"machine": machine(cores), "versions": versions(), "seconds": {}, "loads": {}}
    results: Results = {"about": facts}
    for name in names:
        print(f"{name} ...", end="", file=sys.stderr, flush=True)
        start = time.perf_counter()
        results[name] = sizes[name](cores)
        facts["seconds"][name] = round(time.perf_counter() - start, 1)
        facts["loads"][name] = os.getloadavg()[0]
        print(f" {facts['seconds'][name]:.0f} s", file=sys.stderr)
    facts["load"].append(os.getloadavg()[0])
    return rounded(results)


def rounded(value: Any) -> Any:
    """Four digits of every float: what can be believed, and what a reader can compare."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list) else value


def machine(cores: set[int]) -> dict[str, Any]:
    """The processor and its number of cores, the memory, the system."""
    processor, memory_gib = platform.processor() or platform.machine(), None
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"model name\s*: (.*)", cpuinfo.read_text())
        processor = found[1] if found else processor
    if hasattr(os, "sysconf"):
        memory_gib = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    system = f"{platform.system()}, Python {platform.python_version()}"
    return {"processor": processor, "cores": len(cores) or os.cpu_count(), "memory_gib": memory_gib, "system": system}


def versions() -> dict[str, str]:
    """The versions of the libraries that can take part."""
    found = {}
    for name in ("tinygrad_rnn", "numpy", "numba", "torch", "jax", "autograd", "mygrad"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def keep(results: Results, path: Path, drawing: Path) -> None:
    """Write the results and their picture."""
    path.write_text(as_json(results), "utf-8")
    try:
        picture.save(results, drawing)
    except ImportError:
        print(f"no {drawing.name}: it needs matplotlib; pip install -e '.[bench]'", file=sys.stderr)


def as_json(results: Results) -> str:
    """A line a record, so that two runs can be compared."""
    parts = []
    for name, value in results.items():
        records = ",\n".join(f"  {json.dumps(record, ensure_ascii=False)}" for record in value)
        whole = f"[\n{records}\n ]" if isinstance(value, list) else json.dumps(value, ensure_ascii=False)
        parts.append(f" {json.dumps(name)}: {whole}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
