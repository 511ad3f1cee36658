"""``tinygrad-rnn sample`` and ``draw``: what a trained run is for."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..autograd.tensor import Tensor
from ..files import check_picture
from ..nn import cross_entropy
from ..pictures import draw, page
from .charlm import CharLM, beginning, default_prompt, load_model, memory_for, sample
from .folder import MODEL, run_file


def sample_command(arguments: argparse.Namespace) -> None:
    model, vocabulary, _ = load_model(arguments.run)
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
    check_picture(path, ["html", "htm"] if arguments.page else ["svg", "dot", "gv", "png", "pdf"])
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
