"""``tinygrad-rnn bptt flow``, ``jacobians``, ``decompose``: the reports on a model of any size, or a trained run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import plots
from ..autograd.tensor import Tensor
from ..bptt import decompose, flow, jacobians
from ..files import check_picture
from ..nn import Linear, cross_entropy, mse_loss
from .charlm import CELLS, beginning, load_model
from .options import COUNT, LAYERS, SEED, SIZE


class Subject(NamedTuple):
    """What a report is about: a recurrent layer, a loss behind it, and a line that says what they are."""

    layer: Any
    loss: Tensor
    about: str


def add_commands(parts: Any, **style: Any) -> None:
    """Add the three commands to those of ``bptt``."""
    described = {
        "flow": (flow_command, "how large the gradient is at each step: |dL/dh_t|", "last"),
        "jacobians": (jacobians_command, "how each state depends on the one before: dh_t+1/dh_t", "last"),
        "decompose": (decompose_command, "dL/dW by the step that used W and the loss it came from", "all"),
    }
    for name, (command, text, loss) in described.items():
        part = parts.add_parser(name, help=text, description=text, **style)
        part.set_defaults(command=command)
        part.add_argument("--run", type=Path, metavar="FOLDER", help="a trained run, instead of an untrained model")
        part.add_argument("--cell", choices=CELLS, help="(rnn)")
        part.add_argument("--hidden", type=SIZE, metavar="N", help="hidden units a layer (32)")
        part.add_argument("--layers", type=LAYERS, metavar="N", help="recurrent layers (1)")
        part.add_argument("--seed", type=SEED, metavar="N", help="decides weights and data (0)")
        part.add_argument("--steps", type=COUNT, default=20, metavar="N", help="time steps to unroll (20)")
        part.add_argument(
            "--loss", choices=["last", "all"], default=loss, help=f"of the last step, or the mean of all ({loss})"
        )
        part.add_argument("--out", type=Path, metavar="FILE", help="a picture: svg, png or pdf (needs matplotlib)")
        if name == "jacobians":
            part.add_argument("--layer", metavar="NAME", help="which layer, as in lstm_l1 (the last)")
        if name == "decompose":
            part.add_argument("--weight", default="W_hh", metavar="NAME", help="which weight, as in W_xh_l1 (W_hh)")


def subject(arguments: argparse.Namespace) -> Subject:
    """The model that the options describe, run over a sequence."""
    if arguments.out is not None:
        check_picture(arguments.out, plots.FORMATS)
    steps, last = arguments.steps, arguments.loss == "last"
    counted = slice(-1, None) if last else slice(None)
    whose = "the last step" if last else "every step"
    given = {name: v for name in ("cell", "hidden", "layers", "seed") if (v := getattr(arguments, name)) is not None}
    if arguments.run is not None:
        if given:
            raise ValueError(f"a --run has its own model: leave out {', '.join(f'--{name}' for name in given)}")
        model, vocabulary, settings = load_model(arguments.run)
        ids = vocabulary.encode(beginning(settings, arguments.run, steps + 1))
        scores, _ = model(ids[:-1, None])
        loss = cross_entropy(scores[counted], ids[1:, None][counted])
        about = f"{settings.cell}, {settings.layers} x {settings.hidden} units, trained on {settings.source}"
        return Subject(model.recurrent, loss, f"{about}; {len(ids) - 1} steps; loss: cross-entropy of {whose}")
    hidden, layers = given.get("hidden", 32), given.get("layers", 1)
    cell, rng = given.get("cell", "rnn"), np.random.default_rng(given.get("seed", 0))
    layer = CELLS[cell](hidden, hidden, layers, dtype=np.float64, rng=rng)
    readout = Linear(hidden, 1, dtype=np.float64, rng=rng)
    x, y = rng.standard_normal((steps, 1, hidden)), rng.standard_normal((steps, 1, 1))
    output, _ = layer(x)
    loss = mse_loss(readout(output)[counted], y[counted])
    about = f"{cell}, {layers} x {hidden} units, untrained, random input"
    return Subject(layer, loss, f"{about}; {steps} steps; loss: squared error of {whose}")


def flow_command(arguments: argparse.Namespace) -> None:
    about = subject(arguments)
    _show(about, flow(about.loss), arguments.out)


def jacobians_command(arguments: argparse.Namespace) -> None:
    about = subject(arguments)
    name = type(about.layer).__name__.lower()
    layer = arguments.layer or name + about.layer.suffixes[-1]
    found = jacobians(about.loss, layer)
    if name != "rnn":  # the bound is that of the vanilla cell
        _show(about, found, arguments.out)
        return
    W = getattr(about.layer, "W_hh" + layer.removeprefix(name))
    behind = found.left_behind(W)
    ends = (
        "never under a tenth of its bound" if behind is None else f"under a tenth of its bound after {behind} factors"
    )
    note = f"(γ_W γ_φ) = {np.linalg.norm(W.array, 2):.4g}; the product is {ends}"
    _show(about, found, arguments.out, note, W=W)


def decompose_command(arguments: argparse.Namespace) -> None:
    about = subject(arguments)
    weights = dict(about.layer.named_parameters())
    if arguments.weight not in weights:
        raise ValueError(f"no weight {arguments.weight!r} in this layer; it has {', '.join(weights)}")
    _show(about, decompose(about.loss, weights[arguments.weight]), arguments.out)


def _show(about: Subject, report: Any, out: Path | None, note: str = "", **options: Any) -> None:
    print(about.about.replace("; loss", "\nloss"), report, *filter(None, [note]), sep="\n")
    if out is not None:
        print(plots.save(report.plot(**options), out))
