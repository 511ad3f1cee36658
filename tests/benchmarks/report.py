"""What was measured, as tables, for the terminal and for the documentation alike."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from .goals import Bar, Results, bars
from .peers import PEERS
from .variants import PLAIN

BEGIN, END = "<!-- measured: written by python -m tests.benchmarks -->", "<!-- end of measured -->"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with its columns aligned: text to the left, numbers to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    columns = list(zip(*lines[1:], strict=True))
    numeric = [False, *(all(cell[:1].isdigit() or cell in ("-", "") for cell in column) for column in columns[1:])]

    def line(cells: Sequence[str]) -> str:
        padded = (c.rjust(w) if right else c.ljust(w) for c, w, right in zip(cells, widths, numeric, strict=True))
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * (w + 1) + (":" if right else "-") for w, right in zip(widths, numeric, strict=True)]
    return "\n".join([line(lines[0]), "|" + "|".join(rule) + "|", *map(line, lines[1:])])


def number(value: float | None) -> str:
    """Three digits, without an exponent."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def goals_section(results: Results) -> str:
    header = ("our time or memory / theirs", "at least", "better", "measured", "", "verdict")
    judgements = [judged(bar) for bar in bars(results)]
    counts = Counter(verdict for *_, verdict in judgements)
    return table(header, judgements) + "\n\n" + ", ".join(f"{n} {verdict}" for verdict, n in counts.items()) + "."


def judged(bar: Bar) -> tuple[str, ...]:
    heights = ("-" if h is None else number(h) + bar.unit for h in (bar.at_least, bar.better))
    where, ratio = bar.worst or ("", None)
    measured = "-" if ratio is None else number(ratio) + bar.unit
    return bar.what, *heights, measured, where if len(bar.measured) > 1 else "", bar.verdict


def ops_section(results: Results) -> str:
    rows = {}
    for r in results["ops"]:
        rows.setdefault((r["op"], r["length"]), {})[r["library"]] = f"{r['forward']:.2f} / {r['backward']:.2f}"
    libraries = list(dict.fromkeys(r["library"] for r in results["ops"]))
    body = ((op, f"{n:,}", *(found.get(name, "-") for name in libraries)) for (op, n), found in rows.items())
    return "Microseconds an op, forward / backward:\n\n" + table(("op", "ops", *libraries), body)


def layers_section(results: Results) -> str:
    names = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}
    others = [name for name in PEERS if name != "limit"]
    alone = any("alone" in r for r in results["layers"])
    parts = ["Time of a training step, in multiples of the limit's (1.00 is the limit; less is faster):"]
    for cell, dtype in dict.fromkeys((r["cell"], r["dtype"]) for r in results["layers"]):
        header = (
            "B,T,I,H",
            "limit",
            *(["NumPy"] if alone else []),
            *(name.replace("*", names[cell]) for name in others),
        )
        body = []
        for r in results["layers"]:
            if (r["cell"], r["dtype"]) == (cell, dtype):
                ms = r["ms"]
                ratios = (number(ms[name] / ms["limit"] if name in ms else None) for name in others)
                body.append(
                    (
                        ",".join(map(str, r["shape"])),
                        number(ms["limit"]) + " ms",
                        *([number(r.get("alone"))] if alone else []),
                        *ratios,
                    )
                )
        parts.append(f"{names[cell]}, {dtype}:\n\n" + table(header, body))
    return "\n\n".join(parts)


def memory_section(results: Results) -> str:
    B, T, I, H = results["memory"][0]["shape"]  # noqa: E741
    title = f"One training step of an LSTM, B={B}, T={T}, I={I}, H={H}, float32:\n\n"
    rows = ((r["peer"].replace("*", "LSTM"), number(r["mib"]), number(r["ms"])) for r in results["memory"])
    return title + table(("", "peak MiB", "ms"), rows)


def length_section(results: Results) -> str:
    title = "An LSTM of ours, B=1, I=H=16: microseconds and KiB a time step and layer, peak MiB in all:\n\n"
    rows = (
        (r["mode"], f"{r['T']:,}", str(r["layers"]), number(r["us"]), number(r["kib"]), number(r["mib"]))
        for r in results["length"]
    )
    return title + table(("", "T", "layers", "µs", "KiB", "MiB"), rows)


def import_section(results: Results) -> str:
    rows = ((r["library"], number(r["ms"])) for r in results["import"])
    return "Milliseconds to import a library, beyond NumPy:\n\n" + table(("", "ms"), rows)


def best_section(results: Results) -> str:
    names = list(dict.fromkeys(name for r in results["best"] for name in r["ms"]))
    parts = ["Milliseconds of a step, the shortest of many; after the comma the number of threads:"]
    for cell in dict.fromkeys(r["cell"] for r in results["best"]):
        rows = [r for r in results["best"] if r["cell"] == cell]
        body = []
        for r in rows:
            ours, theirs = (
                min((t for name, t in r["ms"].items() if name.startswith(who)), default=None)
                for who in ("ours", "torch")
            )
            ratio = number(ours / theirs) if ours and theirs else "-"
            times = (number(r["ms"].get(name)) for name in names)
            body.append((",".join(map(str, r["shape"])), *times, ratio))
        parts.append(f"{cell.upper()}, float32:\n\n" + table(("B,T,I,H", *names, "ours / torch, best"), body))
    return "\n\n".join(parts)


def variants_section(results: Results) -> str:
    shapes = list(dict.fromkeys(tuple(r["shape"]) for r in results["variants"]))
    ms = {(r["cell"], tuple(r["shape"])): r for r in results["variants"]}
    body = []
    for cell in dict.fromkeys(r["cell"] for r in results["variants"]):
        found = [(ms[cell, shape], ms[PLAIN, shape]["ms"]) for shape in shapes]
        body.append((cell, *(f"{number(r['ms'] / plain)} ({number(r['composed'] / plain)})" for r, plain in found)))
    took = ", ".join(number(ms[PLAIN, shape]["ms"]) for shape in shapes)
    return (
        "Time of a training step over that of the plain LSTM of the same size; in brackets composed:\n\n"
        f"{table(('', *(','.join(map(str, shape)) for shape in shapes)), body)}\n\n"
        f"The plain LSTM takes {took} ms."
    )


def writing_section(results: Results) -> str:
    names = list(dict.fromkeys(name for r in results["writing"] for name in r["us"]))
    rows = ((f"H={r['hidden']}", *(number(r["us"].get(name)) for name in names)) for r in results["writing"])
    return "Microseconds a character of a sample, with an LSTM:\n\n" + table(("", *names), rows)


def train_section(results: Results) -> str:
    *steps, command = results["train"]
    names = list(dict.fromkeys(name for r in steps for name in r["ms"]))
    rows = ((f"H={r['hidden']}", *(number(r["ms"].get(name)) for name in names)) for r in steps)
    rate, seconds = f"{command['characters_per_second']:,.0f}", f"{command['seconds']:.1f}"
    without = ""
    if "alone" in command:
        rate_alone, seconds_alone = command["alone"]["characters_per_second"], command["alone"]["seconds"]
        without = f"\nWith NumPy alone: {rate_alone:,.0f} characters a second, and {seconds_alone:.1f} s."
    return (
        "A whole training step of the character model, milliseconds, the shortest of many; after the\n"
        f"comma the number of threads:\n\n{table(('', *names), rows)}\n\n"
        f"`tinygrad-rnn train --steps {command['steps']}`: {rate} characters a second while it trains;\n"
        f"{seconds} s from start to end, with reading, testing, writing and drawing."
        f"{without}"
    )


SECTIONS: dict[str, tuple[str, Callable[[Results], str]]] = {
    "best": ("At their best", best_section),
    "variants": ("Options, and cells of one's own", variants_section),
    "train": ("Training", train_section),
    "writing": ("Writing", writing_section),
    "ops": ("Ops", ops_section),
    "layers": ("Layers", layers_section),
    "memory": ("Memory", memory_section),
    "length": ("Length and depth", length_section),
    "import": ("Import", import_section),
}


def about(results: Results) -> str:
    facts: dict[str, Any] = results["about"]
    machine, seconds = facts["machine"], sum(facts["seconds"].values())
    before, after = facts["load"]
    loads = "".join(f", {load:.1f} after {part}" for part, load in facts.get("loads", {}).items())
    size = ", at the quick size" if facts["quick"] else ""
    cores = f"{machine['cores']} core{'s' * (machine['cores'] != 1)}"
    lines = [
        f"Measured on {facts['date']} in {seconds:.0f} s{size}; load {before:.1f} before{loads}, {after:.1f} now.",
        f"Machine: {machine['processor']}, {cores}, {machine['memory_gib']} GiB; {machine['system']}.",
        ", ".join(f"{name} {version}" for name, version in facts["versions"].items()) + ".",
        *(f"Of an earlier run, on {day}: {', '.join(names)}." for day, names in facts.get("earlier", {}).items()),
    ]
    return "\n".join(textwrap.fill(line, 100, break_on_hyphens=False) for line in lines)


def markdown(results: Results) -> str:
    """All of it, as the part of a page."""
    parts = [about(results)]
    parts += ["## Goals\n\n" + goals_section(results)] if bars(results) else []
    parts += [f"## {title}\n\n{write(results)}" for part, (title, write) in SECTIONS.items() if results.get(part)]
    return "\n\n".join(parts)


def in_page(page: str, results: Results) -> str:
    """The page with its measured part written anew."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page lacks the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{markdown(results)}\n\n{END}{after}"


def write_page(path: Path, results: Results) -> None:
    path.write_text(in_page(path.read_text("utf-8"), results), "utf-8")
