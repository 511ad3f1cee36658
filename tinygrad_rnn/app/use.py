"""``tinygrad-rnn sample``, ``draw`` and ``export``: what a trained run is for."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from ..autograd.tensor import Tensor
from ..files import check_picture, replace_file
from ..io import to_onnx
from ..nn import cross_entropy
from ..pictures import draw, page
from ..pictures.output import FORMATS
from .charlm import CharLM, beginning, default_prompt, load_model, memory_for, sample
from .folder import BEST, MODEL, run_file


def sample_command(arguments: argparse.Namespace) -> None:
    model, vocabulary, _ = load_model(arguments.run, BEST if arguments.best else MODEL)
    prompt = default_prompt(vocabulary) if arguments.prompt is None else arguments.prompt
    written = sample(model, vocabulary, prompt, arguments.length, arguments.temperature, arguments.seed)
    sys.stdout.write(prompt)
    for character in written:
        sys.stdout.write(character)
        sys.stdout.flush()
    sys.stdout.write("\n")


def draw_command(arguments: argparse.Namespace) -> None:
    run_file(arguments.run, MODEL)
    path = arguments.out or arguments.run / ("tape.html" if arguments.page else "graph.svg")
    if arguments.page and arguments.level:
        raise ValueError("--level is for pictures: a page shows every op")
    if arguments.page and path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--page writes HTML: {path.name!r} should end in .html")
    check_picture(path, ["html", "htm"] if arguments.page else FORMATS)
    with memory_for(f"to draw {arguments.steps} steps; try fewer --steps"):
        if arguments.page:
            page_unrolled(arguments.run, arguments.steps, path)
        else:
            draw_unrolled(arguments.run, arguments.steps, path, arguments.level)
    print(path)


def draw_unrolled(folder: Path, steps: int, path: Path, level: str | None = None) -> None:
    """Draw the graph of the loss of a run's model on the beginning of its text."""
    loss, model = unrolled(folder, steps)
    draw(loss, level=level, grads=True, names=model).save(path)


def page_unrolled(folder: Path, steps: int, path: Path) -> None:
    """Write a page to step through the same graph."""
    loss, model = unrolled(folder, steps)
    page(loss, path, names=model)


def unrolled(folder: Path, steps: int) -> tuple[Tensor, CharLM]:
    """The loss of a run's model, unrolled over the beginning of its text."""
    model, vocabulary, settings = load_model(folder)
    ids = vocabulary.encode(beginning(settings, folder, steps + 1))
    scores, _ = model(ids[:-1, None])
    loss = cross_entropy(scores, ids[1:, None])
    loss.name = "loss"
    return loss, model


def export_command(arguments: argparse.Namespace) -> None:
    """Write the model of a run to an ONNX file, and its characters beside it, for use outside of Python."""
    model, vocabulary, _ = load_model(arguments.run, BEST if arguments.best else MODEL)
    path = arguments.out or arguments.run / "model.onnx"
    if path.suffix.lower() != ".onnx":
        raise ValueError(f"--onnx writes an ONNX file: {path.name!r} should end in .onnx")
    ids = np.zeros((2, 3), np.int64)
    states = model.recurrent.cell_type.states
    to_onnx(
        model,
        path,
        ids,
        model(ids)[1],
        input_names=["ids", *states],
        output_names=["scores", *(f"{name}_next" for name in states)],
    )
    about = {"characters": list(vocabulary.characters), "states": {name: _state_shape(model) for name in states}}
    replace_file(path.with_suffix(".json"), json.dumps(about, ensure_ascii=False))
    print(path)


def _state_shape(model: CharLM) -> list[int]:
    """That of a part of the state for one text."""
    return [model.recurrent.num_layers, 1, model.recurrent.hidden_size]
