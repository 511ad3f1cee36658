"""Peak memory of one training step, and time and memory against the number of steps and of layers.

Each measurement has a process of its own. Memory is how far the resident set grows beyond what it was with the weights
and the data loaded, and the library warm from a small step. Only Linux tells; elsewhere nothing is measured.
"""

from __future__ import annotations

import gc
import re
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_rnn as tg

from .peers import PEERS, checkpointed
from .problem import Shape, problem
from .timing import in_new_process

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
CAN_TELL = RESET.exists()
MODES: dict[str, dict[str, Any]] = {
    "composed": {"fused": False},
    "fused": {"fused": True},
    "checkpointed": {"checkpoint": True},
}


def resident(field: str) -> float:
    """VmRSS, the memory in use, or VmHWM, the most that was in use, in MiB."""
    return int(re.findall(rf"{field}:\s+(\d+) kB", STATUS.read_text())[0]) / 1024


def growth(run: Any) -> float:
    """MiB by which the memory in use grows at most, while this runs."""
    gc.collect()
    with suppress(OSError):
        RESET.write_text("5")  # the most so far is what is in use now
    before = resident("VmRSS")
    run()
    return max(0.0, resident("VmHWM") - before)


# ------------------------------------------------------------------ the peers, on one large step


def one_peer(name: str, shape: Shape) -> dict[str, float] | None:
    """MiB and milliseconds of a peer's training step of an LSTM; None where it is not installed."""
    make = {**PEERS, "checkpointed": checkpointed}[name]
    try:
        small = make(problem("lstm", Shape(2, 3, shape.I, shape.H)))
    except ImportError:
        return None
    small.step()
    peer = make(problem("lstm", shape))
    return {"mib": growth(peer.step), "ms": milliseconds(peer.step)}


def milliseconds(step: Any, repeats: int = 3) -> float:
    """Processor time of a step, the median of a few."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return statistics.median(times) * 1e3


LONG = Shape(32, 1000, 64, 128)
NAMES = (*PEERS, "checkpointed")


def measure(shape: Shape = LONG, names: Sequence[str] = NAMES) -> list[dict[str, Any]]:
    """A record for each peer: what an LSTM's training step over many time steps takes."""
    records = []
    for name in names if CAN_TELL else ():
        found = in_new_process(one_peer, name, shape)
        if found:
            records.append({"peer": name, "shape": list(shape), **found})
    return records


# ------------------------------------------------------------------ ours, against the number of steps and of layers


def one_size(mode: str, T: int, layers: int) -> dict[str, float]:
    """Microseconds and KiB, a time step of a layer, of a training step with B = 1, I = H = 16."""
    layer = tg.nn.LSTM(16, 16, layers, rng=0, **MODES[mode])
    x = np.random.default_rng(0).standard_normal((T, 1, 16)).astype(np.float32)

    def step(x: np.ndarray = x) -> None:
        layer.zero_grad()
        output, _ = layer(x)
        (output * output).mean().backward()

    step(x[:10])
    start = time.process_time()
    mib = growth(step)
    once = (time.process_time() - start) * 1e3
    ms = once if once > 2_000 else milliseconds(step)
    return {"us": ms * 1e3 / (T * layers), "kib": mib * 1024 / (T * layers), "mib": mib, "ms": ms}


def measure_sizes(
    lengths: tuple[int, ...] = (100, 1_000, 10_000, 100_000), depths: tuple[int, ...] = (1, 2, 4, 8)
) -> list[dict[str, Any]]:
    """A record for each mode, number of time steps (one layer) and number of layers (a thousand time steps)."""
    sizes = [(T, 1) for T in lengths] + [(min(lengths[-1], 1_000), layers) for layers in depths if layers > 1]
    records = []
    for mode in MODES if CAN_TELL else ():
        for T, layers in sizes:
            found = in_new_process(one_size, mode, T, layers)
            records.append({"mode": mode, "T": T, "layers": layers, **found})
    return records
