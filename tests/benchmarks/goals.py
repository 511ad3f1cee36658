"""The goals, and whether a run of the benchmark reaches them.

Every goal is a ratio that should be small: our time or memory over another's, in the same run. A `Bar` has two heights,
"at least" and "better"; it is judged by the worst of the ratios that it stands for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from .problem import GRID, LONG
from .variants import PLAIN

Results = dict[str, Any]
ROWS = [str(shape) for shape in GRID]
LONG_ROWS = [str(shape) for shape in LONG]
CELLS = ("lstm", "gru", "rnn")


class Bar(NamedTuple):
    """A ratio (or, where `unit` says so, a size) that should be at most `at_least`, and can be at most `better`."""

    what: str
    measured: dict[str, float]
    at_least: float | None
    better: float | None = None
    unit: str = "x"

    @property
    def worst(self) -> tuple[str, float] | None:
        """Where the largest ratio was measured, and that ratio; None where nothing was."""
        return max(self.measured.items(), key=lambda item: item[1]) if self.measured else None

    @property
    def verdict(self) -> str:
        if self.worst is None:
            return "not measured"
        if self.better is not None and self.worst[1] <= self.better:
            return "better"
        if self.at_least is None:
            return "not better"
        return "at least" if self.worst[1] <= self.at_least else "missed"


# ------------------------------------------------------------------ the tape


def tape_bars(results: Results) -> list[Bar]:
    us = {(r["library"], r["length"], r["op"]): r for r in results["ops"]}

    def over(library: str, n: int, way: str, ours: int = 1_000) -> dict[str, float]:
        """Our time for an op of a chain, over the time of a library for one of a chain of n."""
        pairs = {op: (us.get(("tinygrad_rnn", ours, op)), us.get((library, n, op))) for op in ("mul", "scale", "tanh")}
        return {op: a[way] / b[way] for op, (a, b) in pairs.items() if a and b}

    return [
        Bar("an op forward / torch", over("torch", 1_000, "forward"), 0.75, 0.65),
        Bar("an op backward / torch", over("torch", 1_000, "backward"), 0.6, 0.55),
        Bar("an op of 1e6 / of 1e3, forward", over("tinygrad_rnn", 1_000, "forward", ours=1_000_000), 1.5, 1.2),
    ]


# ------------------------------------------------------------------ the layers


def mean(measured: dict[str, float], n: int) -> dict[str, float]:
    """Their geometric mean, if all of them were measured."""
    if len(measured) < n:
        return {}
    return {f"{n} rows": math.exp(sum(map(math.log, measured.values())) / n)}


def best_bars(results: Results) -> list[Bar]:
    """Ours over PyTorch's layer, each with as many threads as suits it; and with one."""
    ms = {(r["cell"], ",".join(map(str, r["shape"]))): r["ms"] for r in results["best"]}

    def ratios(rows: list[str], cells: tuple[str, ...], threads: str = "") -> dict[str, float]:
        found = {}
        for cell in cells:
            for row in rows:
                times = ms.get((cell, row), {})
                ours, theirs = (
                    [t for name, t in times.items() if name.startswith(who) and name.endswith(threads)]
                    for who in ("ours", "torch")
                )
                if ours and theirs:
                    found[row if len(cells) == 1 else f"{cell} {row}"] = min(ours) / min(theirs)
        return found

    def us(cell: str) -> dict[str, float]:
        times = ms.get((cell, ROWS[0]), {})
        ours = [1e3 * t for name, t in times.items() if name.startswith("ours")]
        return {"": min(ours)} if ours else {}

    heights = {"lstm": (1 / 1.25, 1 / 1.5), "gru": (1 / 3.2, 1 / 3.9), "rnn": (1 / 2.3, 1 / 3)}
    at_b1 = {"lstm": (250, 150), "gru": (250, 150), "rnn": (200, 120)}
    return [
        *(
            Bar(f"{cell.upper()} / nn.{cell.upper()}, geometric mean", mean(ratios(ROWS, (cell,)), 6), *bar)
            for cell, bar in heights.items()
        ),
        Bar("a layer / nn.*, at best", ratios(ROWS, CELLS), 1.0, 1 / 1.1),
        Bar("a layer / nn.*, one thread", ratios(ROWS, CELLS, "1"), 1.0, 1 / 1.1),
        *(Bar(f"LSTM / nn.LSTM, {row}", ratios([row], ("lstm",)), 1 / 1.2, 1 / 1.5) for row in LONG_ROWS),
        *(Bar(f"{cell.upper()}, {ROWS[0]}", us(cell), *bar, unit=" µs") for cell, bar in at_b1.items()),
    ]


def variant_bars(results: Results) -> list[Bar]:
    plain = {tuple(r["shape"]): r["ms"] for r in results["variants"] if r["cell"] == PLAIN}
    measured = {
        f"{r['cell']} {','.join(map(str, r['shape']))}": r["ms"] / plain[tuple(r["shape"])]
        for r in results["variants"]
        if r["cell"] != PLAIN and tuple(r["shape"]) in plain
    }
    return [Bar("cells with options, own cells / plain LSTM", measured, 2.5, 1.5)]


def layer_bars(results: Results) -> list[Bar]:
    ms = {(r["cell"], r["dtype"], ",".join(map(str, r["shape"]))): r["ms"] for r in results["layers"]}

    def ratios(
        ours: str, theirs: str, rows: list[str], cells: tuple[str, ...] = ("lstm",), dtype: str = "float32"
    ) -> dict[str, float]:
        found = {}
        for cell in cells:
            for row in rows:
                times = ms.get((cell, dtype, row), {})
                if ours in times and theirs in times:
                    found[row if len(cells) == 1 else f"{cell} {row}"] = times[ours] / times[theirs]
        return found

    to_limit = [(2.6, 1.6), (2.0, 1.4), (1.5, 1.2), (1.35, 1.15), (1.4, 1.15), (1.15, 1.08)]
    both = ("gru", "rnn")
    fused_both, fused_all = (ratios("fused", "nn.*", ROWS, cells) for cells in (both, CELLS))
    to_layer64 = ratios("fused", "nn.*", ROWS[:5], dtype="float64")
    return [
        Bar("composed LSTM / torch's ops, B=1", ratios("composed", "ops", ROWS[:1]), 1 / 1.5),
        Bar("composed LSTM / torch's ops, B=16", ratios("composed", "ops", ROWS[1:2]), 1.0),
        Bar("composed LSTM / torch's ops, B=32", ratios("composed", "ops", ROWS[2:5]), 1.3, 1.0),
        Bar("composed LSTM / torch's ops, B=64", ratios("composed", "ops", ROWS[5:]), None, 1.0),
        *(
            Bar(f"fused LSTM / limit, {row}", ratios("fused", "limit", [row]), *heights)
            for row, heights in zip(ROWS, to_limit, strict=True)
        ),
        Bar("fused LSTM / torch's LSTMCell", ratios("fused", "cell", ROWS), 1.0),
        Bar("fused GRU, RNN / nn.*, B=1", ratios("fused", "nn.*", ROWS[:1], both), 1 / 3),
        Bar("fused GRU, RNN / nn.*, B=16, 32, H to 128", ratios("fused", "nn.*", ROWS[1:5], both), 1.0),
        Bar("fused GRU, RNN / nn.*, geometric mean", mean(fused_both, 12), None, 1 / 1.8),
        Bar("fused LSTM / nn.LSTM, float64, H to 128", to_layer64, 1.0, 1 / 1.2),
        Bar("fused / nn.*, geometric mean", mean(fused_all, 18), 1 / 1.2, 1 / 1.5),
        *(
            Bar(f"fused / {peer}, {where}", ratios("fused", peer, rows, CELLS), height)
            for peer in ("autograd", "mygrad")
            for where, rows, height in (("B=1, 16", ROWS[:2], 1 / 5), ("B=32", ROWS[2:5], 1 / 2.5))
        ),
    ]


# ------------------------------------------------------------------ memory, length, training


def memory_bars(results: Results) -> list[Bar]:
    peers = {r["peer"]: r for r in results["memory"]}
    fused, torchs, checkpointed = peers.get("fused"), peers.get("nn.*"), peers.get("checkpointed")
    return [
        Bar("memory of T=1000, fused / nn.LSTM", over(fused, torchs, "mib"), 1.3, 1.0),
        Bar("memory of T=1000, checkpointed", {"": checkpointed["mib"]} if checkpointed else {}, 40, unit=" MiB"),
        Bar("time of T=1000, checkpointed / fused", over(checkpointed, fused, "ms"), 1.4),
    ]


def over(a: dict[str, float] | None, b: dict[str, float] | None, what: str) -> dict[str, float]:
    return {"": a[what] / b[what]} if a and b else {}


def size_bars(results: Results) -> list[Bar]:
    one_layer = {(r["mode"], r["T"]): r for r in results["length"] if r["layers"] == 1}

    def growth(what: str) -> dict[str, float]:
        pairs = {m: (one_layer.get((m, 100_000)), one_layer.get((m, 1_000))) for m in ("composed", "fused")}
        return {mode: long[what] / short[what] for mode, (long, short) in pairs.items() if long and short}

    return [
        Bar("time a step at T=1e5 / T=1e3", growth("us"), 1.3),
        Bar("memory a step at T=1e5 / T=1e3", growth("kib"), 1.3),
    ]


def training_bars(results: Results) -> list[Bar]:
    found = []
    for record in results["train"]:
        ours, theirs = (
            [ms for name, ms in record.get("ms", {}).items() if name.startswith(who)] for who in ("ours", "torch")
        )
        if "hidden" in record:
            ratio = {"": min(ours) / min(theirs)} if ours and theirs else {}
            found.append(Bar(f"whole training step / torch, H={record['hidden']}", ratio, 1 / 1.1, 1 / 1.3))
        elif "alone" in record:
            ratio = {"": record["alone"]["characters_per_second"] / record["characters_per_second"]}
            found.append(Bar("tinygrad-rnn train, with numba / NumPy alone", ratio, 0.6, 0.45))
    return found


def writing_bars(results: Results) -> list[Bar]:
    us = {r["hidden"]: r["us"]["tinygrad_rnn"] for r in results["writing"]}
    return [Bar("a character of a sample, H=128", {"": us[128]} if 128 in us else {}, 60, unit=" µs")]


JUDGES: dict[str, Callable[[Results], list[Bar]]] = {
    "best": best_bars,
    "variants": variant_bars,
    "train": training_bars,
    "writing": writing_bars,
    "ops": tape_bars,
    "layers": layer_bars,
    "memory": memory_bars,
    "length": size_bars,
}


def bars(results: Results) -> list[Bar]:
    """All goals for the parts that were measured."""
    return [bar for part, judge in JUDGES.items() if part in results for bar in judge(results)]
