"""Weights to and from PyTorch: its names and its layout, as plain arrays.

ours                       torch's
W_xh (I, G*H)              weight_ih_l0 (G*H, I): the transpose; gates in the same order
W_hh (H, G*H)              weight_hh_l0 (G*H, H)
b_h (G*H,)                 bias_ih_l0 + bias_hh_l0: two biases that only ever act as their sum,
b_hn (H,) of a GRU         except the last third of a GRU's bias_hh_l0, which the reset gate multiplies
W, b of Linear             weight (transposed), bias
W of Embedding             weight
gain, bias of LayerNorm    weight, bias
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import StateDictError
from ..nn.basic import Embedding, LayerNorm, Linear
from ..nn.cell import Cell
from ..nn.cells import GRUCell, LSTMCell, RNNCell
from ..nn.module import Module, Parameter, dotted
from ..nn.recurrent import Recurrent
from ..nn.weights import as_arrays, fill, problems_of, refuse

Arrays = Mapping[str, Any]


def to_torch(module: Module) -> dict[str, np.ndarray]:
    """The parameters of a module under torch's names, for ``torch_module.load_state_dict`` (after torch.as_tensor).

    >>> import tinygrad_rnn as tg
    >>> {name: array.shape for name, array in tg.io.to_torch(tg.nn.RNN(2, 3, rng=0)).items()}
    {'weight_ih_l0': (3, 2), 'weight_hh_l0': (3, 3), 'bias_ih_l0': (3,), 'bias_hh_l0': (3,)}
    """
    return {name: array for part in _parts(module) for name, array in part.write().items()}


def from_torch(module: Module, state_dict: Arrays) -> Module:
    """Fill a module from torch's state dict, or any mapping of torch's names to array-likes; gives the module.

    Numbers of any precision are taken, bfloat16 too. Of torch's two biases the sum is taken in double precision.

    Raises StateDictError that lists everything missing, unexpected or of a wrong shape, and then has changed nothing.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> layer = tg.io.from_torch(tg.nn.Linear(2, 1), {"weight": np.array([[1.0, 2.0]]), "bias": np.zeros(1)})
    >>> layer.W.data
    array([[1.],
           [2.]], dtype=float32)
    """
    if not isinstance(state_dict, Mapping):
        kind = type(state_dict).__name__
        raise TypeError(f"state_dict must map torch's names to arrays, as torch_module.state_dict() does, not {kind}")
    given, parts = as_arrays(state_dict), list(_parts(module))
    what = f"torch's state dict does not fit {type(module).__name__}"
    expected = {name: array.shape for part in parts for name, array in part.write().items()}
    problems = [*_missing(parts, given, expected), *_unexpected(given, expected)]
    for name in expected.keys() & given.keys():
        if given[name].shape != expected[name]:
            problems.append(f"{name}: expected shape {expected[name]}, got {given[name].shape}")
        elif given[name].dtype.kind != "f":
            problems.append(f"{name}: expected real numbers, got {given[name].dtype}")
    refuse(sorted(problems), what)
    values: dict[Parameter, tuple[str, np.ndarray]] = {}
    for part in parts:
        for name, p, array in part.read(given) if part.complete(given) else ():
            problems += problems_of(name, array, p.shape, p.dtype)
            other, before = values.setdefault(p, (name, array))
            if not np.array_equal(before, array, equal_nan=True):
                problems.append(f"{other} and {name}: one shared (tied) parameter here, and the values differ")
    refuse(sorted(problems), what)
    fill((p, array) for p, (_, array) in values.items())
    return module


def _missing(parts: list[_Part], given: Arrays, expected: Mapping[str, Any]) -> list[str]:
    """What is not given, neither under its name nor, where a parameter is shared, under another."""
    filled = {p for part in parts if part.complete(given) for p in part.parameters}
    lacking = [name for part in parts if not filled.issuperset(part.parameters) for name in part.write()]
    return [f"{name}: missing, expected shape {expected[name]}" for name in lacking if name not in given]


def _unexpected(given: Arrays, expected: Mapping[str, Any]) -> Iterator[str]:
    """What has no place here; where it only repeats another weight, as a tied head does, that is said."""
    for name in given.keys() - expected.keys():
        twin = next((n for n in expected.keys() & given.keys() if np.array_equal(given[n], given[name])), None)
        cure = "" if twin is None else f", equal to {twin}: if it is tied to that, leave it out"
        yield f"{name}: unexpected, of shape {given[name].shape}{cure}"


class _Part:
    """Some parameters: how to write them as torch's, and how to read them back (from which names, which, what)."""

    def __init__(
        self,
        parameters: Iterable[Parameter | None],
        write: Callable[[], dict[str, np.ndarray]],
        read: Callable[[Arrays], list[tuple[str, Parameter, np.ndarray]]],
    ) -> None:
        self.parameters = [p for p in parameters if p is not None]
        self.write, self.read = write, read

    def complete(self, given: Arrays) -> bool:
        """Whether all of it is given."""
        return given.keys() >= self.write().keys()


NAMES: dict[type[Module], dict[str, str]] = {
    Linear: {"W": "weight", "b": "bias"},
    Embedding: {"W": "weight"},
    LayerNorm: {"gain": "weight"},
}
"""Our names of parameters and torch's; all others keep theirs. Those of a cell are `_cell`'s."""


def _parts(module: Module, prefix: str = "", tail: str = "", above: tuple[Module, ...] = ()) -> Iterator[_Part]:
    above = (*above, module)
    cells, suffixes = (module.cells, module.suffixes) if isinstance(module, Recurrent) else ([], [])
    for cell, suffix in zip(cells, suffixes, strict=True):
        layer = suffix.removesuffix("_reverse")
        yield from _parts(cell, prefix, (layer or "_l0") + suffix[len(layer) :])
    if isinstance(module, Cell):
        yield _cell(module, prefix, tail)
    names = next((names for kind, names in NAMES.items() if isinstance(module, kind)), {})
    for path, value in module.own_parameters():
        name = dotted(path)
        if not (isinstance(module, Cell) and name in ("W_xh", "W_hh", "b_h", "b_hn")):
            turned = isinstance(module, Linear) and name == "W"
            yield _renamed(f"{prefix}{names.get(name, name)}{tail}", value, turned)
    for name, child in module.children():
        if not any(child is other for other in (*cells, *above)):
            yield from _parts(child, f"{prefix}{name}.", "", above)


def _renamed(name: str, parameter: Parameter, turned: bool) -> _Part:
    """A parameter that differs from torch's by its name, and perhaps by a transposition."""

    def write() -> dict[str, np.ndarray]:
        return {name: (parameter.array.T if turned else parameter.array).copy()}

    def read(given: Arrays) -> list[tuple[str, Parameter, np.ndarray]]:
        return [(name, parameter, given[name].T if turned else given[name])]

    return _Part([parameter], write, read)


def _cell(cell: Cell, prefix: str, tail: str) -> _Part:
    """A recurrent cell: two weights, and a bias that torch writes as two."""
    names = [f"{prefix}{part}{tail}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    W_ih, W_hh, b_ih, b_hh = names
    hidden = cell.hidden_size
    if not isinstance(cell, RNNCell | LSTMCell | GRUCell):
        raise StateDictError(f"torch has no {type(cell).__name__}: tg.save and tg.load keep its weights")
    if isinstance(cell, GRUCell) and not cell.reset_after:
        raise StateDictError("torch has no GRU with reset_after=False: its reset gate comes after the product")
    lacking = {
        'nonlinearity="sigmoid" or "identity"': getattr(cell, "nonlinearity", "tanh") not in ("tanh", "relu"),
        "peepholes=True": getattr(cell, "peepholes", False),
        "forget_gate=False": not getattr(cell, "forget_gate", True),
        "layer_norm=True": cell.gain_h is not None,
        "learn_initial_state=True": cell.h_0 is not None,
    }  # a cut gate gradient is no difference: the outputs are the same, and the weights too
    if any(lacking.values()):
        options = ", ".join(option for option, on in lacking.items() if on)
        raise StateDictError(f"torch has no {type(cell).__name__.removesuffix('Cell')} with {options}")

    def write() -> dict[str, np.ndarray]:
        arrays = {W_ih: cell.W_xh.array.T.copy(), W_hh: cell.W_hh.array.T.copy()}
        if cell.b_h is not None:
            arrays[b_ih], arrays[b_hh] = cell.b_h.array.copy(), np.zeros_like(cell.b_h.array)
        if isinstance(cell, GRUCell) and cell.b_hn is not None:
            arrays[b_hh][2 * hidden :] = cell.b_hn.array
        return arrays

    def read(given: Arrays) -> list[tuple[str, Parameter, np.ndarray]]:
        found = [(W_ih, cell.W_xh, given[W_ih].T), (W_hh, cell.W_hh, given[W_hh].T)]
        if cell.b_h is not None:
            input_bias, hidden_bias = (given[name].astype(np.float64) for name in (b_ih, b_hh))
            b = input_bias + hidden_bias  # in double precision: half of it would round, or overflow
            if isinstance(cell, GRUCell) and cell.b_hn is not None:
                b[2 * hidden :] = input_bias[2 * hidden :]
                found.append((b_hh, cell.b_hn, hidden_bias[2 * hidden :]))
            found.append((f"{b_ih} + {b_hh}", cell.b_h, b))
        return found

    return _Part([cell.W_xh, cell.W_hh, cell.b_h, getattr(cell, "b_hn", None)], write, read)
