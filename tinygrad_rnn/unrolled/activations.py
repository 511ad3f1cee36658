"""What the gates and states of a layer were at every step: for looking at what a unit does."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ..autograd.checks import no_tensor
from ..autograd.tensor import Tensor
from ..errors import GraphError
from .expand import Expanded
from .listing import Tape
from .network import Unrolled


def activations(root: Tensor, layer: str | None = None) -> dict[str, np.ndarray]:
    """Every named result of the steps of a layer, stacked over time: the gates and states of a cell, each (T, B, H).

    root   what was computed from the steps: an output, scores, a loss. Results that it does not depend on are missing
    layer  the tag of the layer; may be left out where there is one

    The names are those of the equations: i f g o c h of an LSTM, r z n h of a GRU, h of an RNN, and what a cell of your
    own calls its results. A name that is missing at some steps is left out. Time runs forwards in each array.

    Raises GraphError where no named result belongs to a time step, ValueError for a layer that is not there.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> output, h = tg.nn.GRU(3, 4, rng=0)(np.ones((5, 2, 3)))
    >>> {name: a.shape for name, a in tg.bptt.activations(output).items()}
    {'r': (5, 2, 4), 'z': (5, 2, 4), 'n': (5, 2, 4), 'h': (5, 2, 4)}
    """
    if not isinstance(root, Tensor):
        raise no_tensor(root, "activations() needs a Tensor")
    network = Unrolled(Tape(Expanded(root).root))
    found: dict[str, dict[str, dict[int, np.ndarray]]] = defaultdict(lambda: defaultdict(dict))
    for record, step in network.where.items():
        for k, value in enumerate(record.values):
            name = network.tape.names.get((record, k))
            if name is not None:
                found[step.layer][name][step.t or 0] = value
    if not found:
        raise GraphError("activations(): nothing with a name was computed in a time step that this depends on")
    names = ", ".join(map(repr, found))
    if layer is None and len(found) > 1:
        raise ValueError(f"activations(): there are several layers: give layer=, one of {names}")
    if layer is not None and layer not in found:
        raise ValueError(f"activations(): no layer {layer!r} has named results; there is {names}")
    of_layer = found[layer or next(iter(found))]
    steps = max(map(len, of_layer.values()))
    return {name: np.stack([a[t] for t in sorted(a)]) for name, a in of_layer.items() if len(a) == steps}
