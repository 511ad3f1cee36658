"""What `import` costs: the processor time that a new interpreter spends on it."""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

LIBRARIES = ("numpy", "tinygrad_rnn", "autograd", "mygrad", "jax", "torch")
CODE = """
import time
start = time.process_time()
import numpy
middle = time.process_time()
import {library}
print(middle - start, time.process_time() - middle)
"""


def measure(repeats: int = 5, libraries: Sequence[str] = LIBRARIES) -> list[dict[str, Any]]:
    """A record for each library: milliseconds to import it once NumPy is imported (and of NumPy itself)."""
    installed = [name for name in libraries if importlib.util.find_spec(name)]
    times: dict[str, list[float]] = {name: [] for name in installed}
    for _ in range(repeats):
        for name in installed:
            command = [sys.executable, "-c", CODE.format(library=name)]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            numpys, beyond = map(float, printed.split())
            times[name].append(numpys if name == "numpy" else beyond)
    return [{"library": name, "ms": statistics.median(found) * 1e3} for name, found in times.items()]
