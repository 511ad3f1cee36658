"""What PyTorch computes for a grid of recurrent layers, kept in reference_cases.npz: its tests need no PyTorch.

    python tests/reference_cases.py        makes the file anew

A case is a layer with its options, and arrays under these keys:

    weight/W_xh_l1, ...   the parameters under our names and in our layout
    x, state/h, state/c   the inputs; the states are missing where the layer starts from zeros
    out/output, out/h, out/c
    v/output, v/h, v/c    the loss is Σ v * out over all outputs
    grad/W_xh_l1, ..., grad/x, grad/state/h, ...

PyTorch's layers have two biases, and ours one, which holds their sum; of a GRU's third part only the first, and b_hn
the other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_name("reference_cases.npz")

BASE: dict[str, Any] = {"num_layers": 1, "bidirectional": False, "batch_first": False, "bias": True}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"bias": False, "state": True},
    {"batch_first": True, "state": True},
    {"unbatched": True, "state": True},
    {"num_layers": 2, "state": True},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "batch_first": True, "state": True},
]
KINDS: list[dict[str, Any]] = [
    {"kind": "RNN", "nonlinearity": "tanh"},
    {"kind": "RNN", "nonlinearity": "relu"},
    {"kind": "LSTM"},
    {"kind": "GRU"},
]
GRID = [{**BASE, **kind, **variant} for kind in KINDS for variant in VARIANTS]
T, B, INPUTS, HIDDEN = 4, 2, 3, 2


def layer_options(case: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments that our layer and PyTorch's take."""
    return {key: value for key, value in case.items() if key not in ("kind", "state", "unbatched")}


def suffixes(case: dict[str, Any]) -> list[tuple[str, str]]:
    """(our suffix, PyTorch's) of every cell of the layer, in the order of the rows of its state."""
    ends = ["", "_reverse"] if case["bidirectional"] else [""]
    return [((f"_l{k}" if k else "") + end, f"_l{k}{end}") for k in range(case["num_layers"]) for end in ends]


def ours_from_torch(case: dict[str, Any], arrays: dict[str, np.ndarray], *, gradients: bool) -> dict[str, np.ndarray]:
    """PyTorch's weights, or gradients of them, under our names: written out here, independent of tg.io.from_torch."""
    ours = {}
    for our, its in suffixes(case):
        ours[f"W_xh{our}"] = arrays[f"weight_ih{its}"].T
        ours[f"W_hh{our}"] = arrays[f"weight_hh{its}"].T
        if case["bias"]:
            b_ih, b_hh = arrays[f"bias_ih{its}"], arrays[f"bias_hh{its}"]
            ours[f"b_h{our}"] = b_ih.copy() if gradients else b_ih + b_hh
            if case["kind"] == "GRU":
                third = slice(2 * len(b_ih) // 3, None)
                ours[f"b_h{our}"][third] = b_ih[third]
                ours[f"b_hn{our}"] = b_hh[third]
    return ours


def run_torch(case: dict[str, Any], seed: int) -> dict[str, np.ndarray]:
    """The arrays of one case."""
    import torch

    rng = np.random.default_rng(seed)
    layer = getattr(torch.nn, case["kind"])(INPUTS, HIDDEN, **layer_options(case), dtype=torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.as_tensor(rng.uniform(-1, 1, parameter.shape)))
    weights = {name: value.numpy() for name, value in layer.state_dict().items()}
    arrays = {f"weight/{name}": a for name, a in ours_from_torch(case, weights, gradients=False).items()}

    names = ["h", "c"] if case["kind"] == "LSTM" else ["h"]
    rows = len(suffixes(case))
    state_shape = (rows, HIDDEN) if case.get("unbatched") else (rows, B, HIDDEN)
    x_shape = (T, INPUTS) if case.get("unbatched") else (B, T, INPUTS) if case["batch_first"] else (T, B, INPUTS)
    x = torch.tensor(rng.standard_normal(x_shape), requires_grad=True)
    state = [torch.tensor(rng.uniform(-1, 1, state_shape), requires_grad=True) for _ in names]
    given = (tuple(state) if len(names) > 1 else state[0]) if case.get("state") else None
    output, last = layer(x, given)
    results = {"output": output} | dict(zip(names, last if len(names) > 1 else [last], strict=True))
    v = {name: rng.standard_normal(tuple(value.shape)) for name, value in results.items()}
    sum((torch.as_tensor(v[name]) * value).sum() for name, value in results.items()).backward()

    arrays |= {"x": x.detach().numpy(), "grad/x": x.grad.numpy()}
    if case.get("state"):
        for name, part in zip(names, state, strict=True):
            arrays |= {f"state/{name}": part.detach().numpy(), f"grad/state/{name}": part.grad.numpy()}
    for name, value in results.items():
        arrays |= {f"out/{name}": value.detach().numpy(), f"v/{name}": v[name]}
    gradients = {name: p.grad.numpy() for name, p in layer.named_parameters()}
    return arrays | {f"grad/{name}": a for name, a in ours_from_torch(case, gradients, gradients=True).items()}


def load() -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """The stored cases: (the layer and its options, the arrays)."""
    with np.load(FILE, allow_pickle=False) as file:
        cases = json.loads(str(file["cases"]))
        arrays: list[dict[str, np.ndarray]] = [{} for _ in cases]
        for key in file.files:
            number, _, name = key.partition("/")
            if name:
                arrays[int(number)][name] = file[key]
    return list(zip(cases, arrays, strict=True))


def main() -> None:
    stored: dict[str, Any] = {"cases": np.array(json.dumps(GRID))}
    for number, case in enumerate(GRID):
        stored |= {f"{number}/{name}": array for name, array in run_torch(case, seed=number).items()}
    np.savez_compressed(FILE, **stored)
    print(f"{len(GRID)} cases, {FILE.stat().st_size / 1000:.0f} kB in {FILE}")


if __name__ == "__main__":
    main()
