"""The results as one picture (matplotlib, the extra ``bench``): lines for our layers, thinner ones for the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .goals import Results

# Okabe and Ito's colours, which colour-blind eyes tell apart; each peer has a marker of its own too
STYLES: dict[str, dict[str, Any]] = {
    "fused": {"color": "#D55E00", "marker": "o", "lw": 2.4, "zorder": 3},
    "composed": {"color": "#E69F00", "marker": "s", "lw": 2.4, "zorder": 3},
    "nn.*": {"color": "#0072B2", "marker": "^"},
    "cell": {"color": "#56B4E9", "marker": "v"},
    "ops": {"color": "#009E73", "marker": "D"},
    "jax": {"color": "#CC79A7", "marker": "P"},
    "autograd": {"color": "#777777", "marker": "X"},
    "mygrad": {"color": "#222222", "marker": "*"},
}
LABELS = {"fused": "ours, fused", "composed": "ours, composed", "nn.*": "torch layer", "cell": "torch cells",
          "ops": "torch ops", "jax": "jax scan"}  # fmt: skip
CHECKPOINTED = "#882255"
TICKS = (0.5, 1, 2, 5, 10, 20, 50)
CELLS = {"lstm": "LSTM", "gru": "GRU", "rnn": "tanh RNN"}


def save(results: Results, path: Path) -> None:
    """Draw what the results hold. Raises ImportError where matplotlib is missing."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(
        {"font.size": 8, "svg.hashsalt": "tinygrad_rnn", "svg.fonttype": "none", "legend.frameon": False}
    ):
        figure = Figure(figsize=(10, 6), layout="constrained")
        axes = figure.subplots(2, 3)
        layers(results.get("layers", ()), axes[0])
        overhead(results.get("ops", ()), axes[1][0])
        memory(results.get("memory", ()), axes[1][1])
        length(results.get("length", ()), axes[1][2])
        handles, labels = axes[0][0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
        for ax in axes.flat:
            ax.grid(alpha=0.25)
            ax.set_axisbelow(True)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def layers(records: Any, axes: Any) -> None:
    """Time over the limit's, for each shape of the grid, a panel a cell."""
    for ax, (cell, title) in zip(axes, CELLS.items(), strict=True):
        rows = [r for r in records if r["cell"] == cell and r["dtype"] == "float32"]
        for name, style in STYLES.items():
            points = [(k, r["ms"][name] / r["ms"]["limit"]) for k, r in enumerate(rows) if name in r["ms"]]
            if points:
                ax.plot(*zip(*points, strict=True), label=LABELS.get(name, name), **{"lw": 1, "ms": 4, **style})
        ax.axhline(1, color="#222222", lw=1, ls="--")
        ax.set(title=title, yscale="log", xlabel="B,T,I,H")
        ax.set_xticks(range(len(rows)), [",".join(map(str, r["shape"])) for r in rows], rotation=30, ha="right")
        ax.set_yticks(TICKS, map(str, TICKS))
        ax.minorticks_off()
    axes[0].set_ylabel("time of a training step / limit")
    axes[0].sharey(axes[1])
    axes[2].sharey(axes[1])


def overhead(records: Any, ax: Any) -> None:
    """Microseconds an op of a chain, forward and backward stacked, over the length of the chain."""
    libraries = {"tinygrad_rnn": "#D55E00", "torch": "#0072B2", "autograd": "#777777", "mygrad": "#222222"}
    found = {(r["library"], r["length"]): r for r in records if r["op"] == "mul"}
    lengths = sorted({n for _, n in found})
    for j, (name, colour) in enumerate(libraries.items()):
        places = [(k + 0.2 * (j - 1.5), found[name, n]) for k, n in enumerate(lengths) if (name, n) in found]
        at, forward, backward = ([p for p, _ in places], *([r[w] for _, r in places] for w in ("forward", "backward")))
        ax.bar(at, forward, 0.18, color=colour, label="ours" if name == "tinygrad_rnn" else name)
        ax.bar(at, backward, 0.18, bottom=forward, color=colour, alpha=0.45)
    ax.set(title="an op y*x: µs forward (dark) + backward (light)", xlabel="ops in the chain")
    ax.set_xticks(range(len(lengths)), [f"{n:,}" for n in lengths])
    if records:
        ax.legend()


def memory(records: Any, ax: Any) -> None:
    """Peak memory of one step over many time steps."""
    records = sorted(records, key=lambda r: -r["mib"])
    names = [{**LABELS, "checkpointed": "ours, checkpointed"}.get(r["peer"], r["peer"]) for r in records]
    colours = {"limit": "#AAAAAA", "checkpointed": CHECKPOINTED} | {name: s["color"] for name, s in STYLES.items()}
    bars = ax.barh(names, [r["mib"] for r in records], color=[colours[r["peer"]] for r in records])
    ax.bar_label(bars, [f"{r['mib']:.0f}" for r in records], padding=3)
    ax.margins(x=0.15)
    shape = ",".join(map(str, records[0]["shape"])) if records else ""
    ax.set(title=f"LSTM {shape}: peak memory, MiB")


def length(records: Any, ax: Any) -> None:
    """Time of a step over the number of steps: level, if it is linear."""
    styles = {**STYLES, "checkpointed": {"color": CHECKPOINTED, "marker": "v"}}
    for mode in dict.fromkeys(r["mode"] for r in records):
        points = [(r["T"], r["us"]) for r in records if r["mode"] == mode and r["layers"] == 1]
        ax.plot(*zip(*points, strict=True), label=mode, **{"ms": 4, **styles[mode]})
    ax.set(title="LSTM 1,T,16,16, ours: µs a time step", xlabel="T")
    if records:
        ax.set_xscale("log")
    if records:
        ax.set_ylim(0, 1.1 * max(r["us"] for r in records))
        ax.legend()
