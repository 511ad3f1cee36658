"""`tg.io.to_onnx`: from a model and examples to a checked file."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ExportError
from ...files import replace_file
from ...nn.module import Module
from .recording import flat, numbered

OPSET = 18  # of ONNX, from 2022


def to_onnx(
    model: Module,
    path: str | os.PathLike[str],
    *example_inputs: Any,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    axes: Mapping[str, Mapping[int, str]] | None = None,
) -> None:
    """Write a model to an ONNX file, as it computes in eval mode (extra ``onnx``).

    example_inputs  what the model is called with: arrays, or tuples of arrays, as the state of an LSTM is. A missing
                    state stays missing, and is zero in the file too; give one to have states in and out, for sampling
    input_names     by default those of the parameters of `forward`; of a tuple x they are x_0, x_1, ...
    output_names    by default output, or output_0, output_1, ..., and the keys of a dict
    axes            which axes of an input may have any size, {"x": {0: "T", 1: "B"}}. By default those that recurrent
                    layers read as time and batch, of states and lengths too; without such a layer, axis 0. Inputs of
                    one length share a name, and must have one length: two sequences need examples that differ. With {}
                    none: then a loop over time of the model's own can be written too, for the examples' T

    Recurrent layers with all options that ONNX has, Linear, Embedding, LayerNorm and Dropout become its nodes; what is
    computed between them is read off the tape. The model runs twice, on the examples and on longer ones, so that what
    would be right for the examples alone is noticed.

    Raises ExportError that names what ONNX has not, or what depends on the inputs without being on the tape (a mask
    computed with NumPy from class numbers, say), and then has written nothing. ImportError without the package onnx.

    See https://onnx.ai/onnx/operators for what the nodes mean.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> layer = tg.nn.LSTM(3, 4, rng=0)
    >>> tg.io.to_onnx(layer, "lstm.onnx", np.zeros((5, 2, 3), np.float32))  # doctest: +SKIP
    """
    try:
        import onnx
    except ImportError:
        raise ImportError("tg.io.to_onnx needs the package onnx: pip install 'tinygrad_rnn[onnx]'") from None
    from .graph import Graph
    from .recording import record_twice
    from .walk import name_of

    if not isinstance(model, Module):
        raise TypeError(f"to_onnx: model must be a tg.nn.Module, not {type(model).__name__}")
    inputs = _checked_names(model, example_inputs, input_names, axes)
    first, second, free = record_twice(model, example_inputs, inputs, axes)
    pairs = list(zip(first.results, second.results, strict=True))
    outputs = list(output_names or first.names)
    if len(outputs) != len(pairs) or len({*outputs, *inputs}) != len(outputs) + len(inputs):
        raise ValueError(
            f"to_onnx: output_names must be {len(pairs)} names, different from each other and from those of the "
            f"inputs, {inputs}; got {outputs}"
        )
    graph = Graph(inputs, free, (first, second), {id(p): name for name, p in model.named_parameters()})
    for name, pair in zip(outputs, pairs, strict=True):
        graph.result(name, name_of(graph, (first, second), pair), pair)
    file = graph.file(type(model).__name__, OPSET)
    try:
        onnx.checker.check_model(file, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"to_onnx: ONNX refuses the graph: {error}") from error
    replace_file(path, file.SerializeToString())


def _checked_names(
    model: Module, examples: Sequence[Any], input_names: Sequence[str] | None, axes: Mapping[str, Any] | None
) -> list[str]:
    """What the inputs are called."""
    if not examples:
        raise TypeError("to_onnx: give an example of each input, as to_onnx(model, path, x)")
    inputs, count = list(input_names or _input_names(model, examples)), sum(len(flat(x)) for x in examples)
    if len(inputs) != count or len(set(inputs)) != count:
        raise ValueError(f"to_onnx: input_names must be {count} different names, one an array, got {inputs}")
    unknown = sorted(set(axes or {}) - set(inputs))
    if unknown:
        raise ValueError(f"to_onnx: axes names {unknown}, and the inputs are {inputs}")
    return inputs


def _input_names(model: Module, examples: Sequence[Any]) -> list[str]:
    """The parameters of forward, of a tuple with numbers."""
    parameters = [p.name for p in inspect.signature(model.forward).parameters.values() if p.kind < p.VAR_POSITIONAL]
    several = [f"input_{k}" for k in range(len(parameters), len(examples))]
    given = zip([*parameters, *several], examples, strict=False)
    return [name for parameter, x in given for name in numbered(parameter, len(flat(x)))]
