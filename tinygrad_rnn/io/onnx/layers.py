"""Layers as ONNX nodes: recurrent layers with free time and batch axes, Linear, Embedding, LayerNorm."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ExportError
from ...nn.basic import Embedding, LayerNorm, Linear
from ...nn.cells import GRUCell, LSTMCell, RNNCell
from ...nn.recurrent import Recurrent
from .graph import Graph, Pair
from .recording import Call

KINDS = {RNNCell: "RNN", LSTMCell: "LSTM", GRUCell: "GRU"}
GATES = {"RNN": "h", "LSTM": "iofg", "GRU": "zrn"}
"""The order of our gates in ONNX: n is its h of a GRU, g its c of an LSTM."""

ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid", "identity": "Affine"}


def add_layer(graph: Graph, call: Call, other: Call) -> list[str]:
    """Add the nodes of one call of a layer; gives the names of its results."""
    layer, given = call.layer, _Given(graph, call, other)
    if isinstance(layer, Recurrent):
        return add_recurrent(graph, layer, given)
    if isinstance(layer, Linear):
        y = graph.node("MatMul", given.tensor("x", layer.W.dtype), graph.fixed(layer.W, layer.W))
        return [y if layer.b is None else graph.node("Add", y, graph.fixed(layer.b, layer.b))]
    if isinstance(layer, Embedding):
        return [graph.node("Gather", graph.fixed(layer.W, layer.W), given.tensor("ids"), axis=0)]
    if isinstance(layer, LayerNorm):
        weights = graph.fixed(layer.gain, layer.gain), graph.fixed(layer.bias, layer.bias)
        x = given.tensor("x", layer.gain.dtype)
        return [graph.node("LayerNormalization", x, *weights, axis=-1, epsilon=layer.eps)]
    raise ExportError(f"to_onnx: {type(layer).__name__} has no counterpart in ONNX")


class _Given:
    """The arguments of a call."""

    def __init__(self, graph: Graph, call: Call, other: Call) -> None:
        self.graph, self.first, self.second = graph, call.arguments, other.arguments

    def pairs(self, name: str) -> list[Pair]:
        """An argument that may be several arrays, and may be missing."""
        a: Any = self.first.get(name)
        b: Any = self.second.get(name)
        if a is None:
            return []
        return list(zip(a, b, strict=True)) if isinstance(a, tuple | list) else [(a, b)]

    def tensor(self, name: str, dtype: Any = None) -> str:
        """The name of an argument, in the dtype of the layer."""
        return self.cast(self.first[name], self.second[name], dtype)

    def cast(self, a: Any, b: Any, dtype: Any) -> str:
        x = self.graph.fixed(a, b)
        if dtype is None or a.dtype == dtype:
            return x
        return self.graph.node("Cast", x, to=self.graph.type(dtype))


def add_recurrent(graph: Graph, layer: Recurrent, given: _Given) -> list[str]:
    """All layers and directions of a recurrent layer: its output and the parts of its last state."""
    D, H, dtype = layer.directions, layer.hidden_size, layer.cells[0].W_hh.dtype
    unbatched = np.ndim(given.first["x"]) == 2
    x = given.tensor("x", dtype)
    if unbatched:
        x = graph.node("Unsqueeze", x, graph.whole(1))
    elif layer.batch_first:
        x = graph.node("Transpose", x, perm=[1, 0, 2])
    lengths = _lengths(graph, given)
    starts = [given.cast(a, b, dtype) for a, b in given.pairs("state")]
    if unbatched:
        starts = [graph.node("Unsqueeze", start, graph.whole(1)) for start in starts]
    ends: list[list[str]] = []
    for k in range(layer.num_layers):
        cells: Any = layer.cells[k * D : (k + 1) * D]
        mine = [graph.node("Slice", s, *map(graph.whole, (k * D, (k + 1) * D, 0))) for s in starts]
        mine = mine if layer.num_layers > 1 else starts
        kind = KINDS[type(cells[0])]
        weights, peepholes, options = _weights(graph, kind, cells)
        inputs = [x, *weights, lengths, *(mine or _learned(graph, cells, x))]
        if peepholes:
            inputs += [""] * (7 - len(inputs)) + peepholes
        options |= {"hidden_size": H, "direction": "bidirectional" if D == 2 else "forward"}
        y, *last = graph.several(kind, inputs, 1 + len(layer.cell_type.states), **options)
        ends.append(last)
        y = graph.node("Transpose", y, perm=[0, 2, 1, 3])  # (T, D, B, H) -> (T, B, D, H)
        x = graph.node("Reshape", y, graph.whole(0, 0, D * H))
    parts = [names[0] if len(names) == 1 else graph.node("Concat", *names, axis=0) for names in zip(*ends, strict=True)]
    if unbatched:
        return [graph.node("Squeeze", name, graph.whole(1)) for name in (x, *parts)]
    return [graph.node("Transpose", x, perm=[1, 0, 2]) if layer.batch_first else x, *parts]


def _lengths(graph: Graph, given: _Given) -> str:
    if given.first.get("lengths") is None:
        return ""
    return graph.node("Cast", graph.node("Reshape", given.tensor("lengths"), graph.whole(-1)), to=graph.type(np.int32))


def _learned(graph: Graph, cells: list[Any], x: str) -> list[str]:
    """Where no state is given: the learned one, for every sequence of the batch; none where it is zero."""
    if cells[0].h_0 is None:
        return []
    B, H = graph.node("Shape", x, start=1, end=2), cells[0].hidden_size
    shape = graph.node("Concat", graph.whole(len(cells)), B, graph.whole(H), axis=0)
    learned = [np.stack([getattr(cell, f"{name}_0").array for cell in cells]) for name in cells[0].states]
    return [graph.node("Expand", graph.constant(part[:, None], "state"), shape) for part in learned]


def _weights(graph: Graph, kind: str, cells: list[Any]) -> tuple[list[str], list[str], dict[str, Any]]:
    """W, R and B of ONNX, for both directions; its P; and what it calls options."""
    W, R, B, P = [], [], [], []
    options: dict[str, Any] = {}
    H = cells[0].hidden_size
    for cell in cells:
        lacking = {
            "layer_norm=True": cell.gain_h is not None,
            "forget_gate=False": not getattr(cell, "forget_gate", True),
        }
        if any(lacking.values()):
            raise ExportError(f"to_onnx: ONNX has no {kind} with {', '.join(o for o, on in lacking.items() if on)}")
        columns = np.concatenate([np.arange(H) + H * cell.gates.index(gate) for gate in GATES[kind]])
        b_x = np.zeros(len(columns), cell.W_hh.dtype) if cell.b_h is None else cell.b_h.array
        b_h = np.zeros_like(b_x)  # of the second bias of ONNX only a part counts, as in torch
        if isinstance(cell, GRUCell):
            options["linear_before_reset"] = int(cell.reset_after)
            if cell.b_hn is not None:
                b_h[2 * H :] = cell.b_hn.array
        if isinstance(cell, RNNCell):
            options["activations"] = [ACTIVATIONS[cell.nonlinearity]] * len(cells)
        if getattr(cell, "peepholes", False):
            P.append(np.concatenate([cell.W_ci.array, cell.W_co.array, cell.W_cf.array]))
        W.append(cell.W_xh.array.T[columns])
        R.append(cell.W_hh.array.T[columns])
        B.append(np.concatenate([b_x[columns], b_h[columns]]))
    if "Affine" in options.get("activations", ()):  # 1 x + 0
        options |= {"activation_alpha": [1.0] * len(cells), "activation_beta": [0.0] * len(cells)}
    weights = [graph.constant(np.stack(arrays), name) for arrays, name in ((W, "W"), (R, "R"), (B, "B"))]
    return weights, [graph.constant(np.stack(P), "P")] if P else [], options
