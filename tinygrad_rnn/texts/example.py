"""A lecture's worked example: three steps of a one-unit tanh RNN, computed on the tape beside the figures it prints.

    z_t = W_xh x_t + W_hh h_{t-1}     h_t = tanh(z_t)     o_t = W_hy h_t     L = 1/2 Σ_t (o_t - y_t)²

Each of its 22 figures follows from earlier ones by one line of arithmetic. So there are two questions: is the figure
right, and if not, was its own line worked wrongly or did it start from figures that were wrong already?
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..autograd.functional import grad
from ..autograd.tensor import Tensor
from ..bptt.decomposition import decompose
from ..engine.modes import scope
from ..nn.state import label
from ..ops.elementwise import tanh

X, Y = (0.5, 0.1, 0.4), (0.4, 0.2, 0.1)
WEIGHTS = {"W_xh": 0.6, "W_hh": 0.9, "W_hy": 0.8}
ROUNDING = 1e-4  # what four-digit figures, computed from four-digit figures, may be off by


class Example:
    """The forward pass, recorded; `cuts` are the steps after which the state is detached.

    >>> from tinygrad_rnn.texts.example import Example
    >>> round(Example().loss.item(), 12)
    0.055010259821
    """

    def __init__(self, cuts: Sequence[int] = ()) -> None:
        self.W_xh, self.W_hh, self.W_hy = (Tensor(w, requires_grad=True, name=name) for name, w in WEIGHTS.items())
        self.z: list[Tensor] = []
        self.h: list[Tensor] = []
        self.o: list[Tensor] = []
        self.losses: list[Tensor] = []
        h: Tensor = Tensor(0.0, name="h_0")
        with scope("rnn") as at:
            for t, (x_t, y_t) in enumerate(zip(X, Y, strict=True), 1):
                at(t)
                z = self.W_xh * Tensor(x_t, name="x") + self.W_hh * h
                h = tanh(z)
                o = self.W_hy * h
                loss = (o - Tensor(y_t, name="y")) ** 2 / 2
                label(z=z, h=h, o=o)
                for kept, result in ((self.z, z), (self.h, h), (self.o, o), (self.losses, loss)):
                    kept.append(result)
                if t in cuts:
                    h = h.detach()
        self.loss = sum(self.losses[1:], self.losses[0])
        self.loss.name = "L"

    def d(self, output: Tensor, inputs: Any) -> Any:
        """d output / d inputs as numbers: for a list a list; 0 where the output does not depend on an input."""
        if not isinstance(inputs, Tensor):
            return [self.d(output, x) for x in inputs]
        found = grad(output, inputs, retain_graph=True, allow_unused=True)
        return 0.0 if found is None else found.item()


def exact() -> dict[str, float]:
    """The 22 quantities of the example, each a value on the tape or a gradient found by a reverse sweep.

    >>> from tinygrad_rnn.texts.example import exact
    >>> len(exact()), round(exact()["dL/dW_hh"], 12)
    (22, 0.105898790696)
    """
    run = Example()
    found: dict[str, float] = {}
    for t, parts in enumerate(zip(run.z, run.h, run.o, strict=True), 1):
        found |= {f"{name}_{t}": part.item() for name, part in zip("zho", parts, strict=True)}
    found["L"] = run.loss.item()
    for name, results in (("δo", run.o), ("δh", run.h), ("δz", run.z)):
        found |= {f"{name}_{t}": g for t, g in enumerate(run.d(run.loss, results), 1)}
    for W in (run.W_hy, run.W_hh, run.W_xh):
        found[f"dL/d{W.name}"] = run.d(run.loss, W)
    return found


# ------------------------------------------------------------------ the lecture's figures


@dataclass(frozen=True)
class Line:
    """A figure of the lecture, and the right formula for it in terms of the figures before it."""

    step: int  # the lecture's number for this part of the calculation
    name: str
    printed: float
    formula: Callable[[dict[str, float]], float]
    slip: str = ""  # what went wrong in this very line


def _tanh(z: float) -> float:
    return tanh(Tensor(z)).item()


def _slope(f: dict[str, float], t: int) -> float:
    """tanh'(z_t), by way of h_t."""
    return 1 - f[f"h_{t}"] ** 2


def _sum(f: dict[str, float], name: str, factors: Sequence[float]) -> float:
    return sum(f[f"{name}_{t}"] * factor for t, factor in enumerate(factors, 1))


LINES = [
    Line(1, "z_1", 0.3, lambda f: 0.6 * 0.5 + 0.9 * 0),
    Line(1, "h_1", 0.2913, lambda f: _tanh(f["z_1"])),
    Line(1, "o_1", 0.2330, lambda f: 0.8 * f["h_1"]),
    Line(1, "z_2", 0.3222, lambda f: 0.6 * 0.1 + 0.9 * f["h_1"]),
    Line(1, "h_2", 0.3115, lambda f: _tanh(f["z_2"])),
    Line(1, "o_2", 0.2492, lambda f: 0.8 * f["h_2"]),
    Line(1, "z_3", 0.5203, lambda f: 0.6 * 0.4 + 0.9 * f["h_2"]),
    Line(1, "h_3", 0.4775, lambda f: _tanh(f["z_3"]), "tanh(0.5203) misread (E1)"),
    Line(1, "o_3", 0.3820, lambda f: 0.8 * f["h_3"]),
    Line(
        2,
        "L",
        0.0546,
        lambda f: ((f["o_1"] - 0.4) ** 2 + (f["o_2"] - 0.2) ** 2 + (f["o_3"] - 0.1) ** 2) / 2,
        "0.282² is not 0.0789 (E3)",
    ),
    Line(3, "δo_3", 0.2820, lambda f: f["o_3"] - 0.1),
    Line(3, "δo_2", 0.0492, lambda f: f["o_2"] - 0.2),
    Line(3, "δo_1", -0.1670, lambda f: f["o_1"] - 0.4),
    Line(3, "dL/dW_hy", 0.1014, lambda f: _sum(f, "δo", [f["h_1"], f["h_2"], f["h_3"]])),
    Line(4, "δh_3", 0.2256, lambda f: 0.8 * f["δo_3"]),
    Line(
        4,
        "δh_2",
        0.2224,
        lambda f: 0.8 * f["δo_2"] + 0.9 * f["δh_3"] * _slope(f, 3),
        "1 - h_2² for 1 - h_3² (E14)",
    ),
    Line(
        4,
        "δh_1",
        0.0496,
        lambda f: 0.8 * f["δo_1"] + 0.9 * f["δh_2"] * _slope(f, 2),
        "1 - h_1² for 1 - h_2² (E14)",
    ),
    Line(5, "δz_1", 0.0454, lambda f: f["δh_1"] * _slope(f, 1)),
    Line(5, "δz_2", 0.2008, lambda f: f["δh_2"] * _slope(f, 2)),
    Line(5, "δz_3", 0.1743, lambda f: f["δh_3"] * _slope(f, 3)),
    Line(5, "dL/dW_hh", 0.1128, lambda f: _sum(f, "δz", [0, f["h_1"], f["h_2"]])),
    Line(5, "dL/dW_xh", 0.1125, lambda f: _sum(f, "δz", X)),
]
PRINTED = {line.name: line.printed for line in LINES}


def verdict(line: Line, truth: float) -> str:
    """Right up to rounding, wrong in this line, or inherited: its own line is right, and its ingredients are not."""
    if abs(line.formula(PRINTED) - line.printed) > ROUNDING:
        return line.slip
    return "inherited" if abs(truth - line.printed) > ROUNDING else ""


# ------------------------------------------------------------------ the command


def add_commands(parts: Any, **style: Any) -> None:
    """Add ``tinygrad-rnn bptt example``."""
    text = "a lecture's worked example: its figures beside the exact ones"
    example = parts.add_parser("example", help=text, description=text, **style)
    example.set_defaults(command=example_command)


def example_command(arguments: argparse.Namespace) -> None:
    print("\n".join(report()))


def report() -> list[str]:
    """The lines that ``tinygrad-rnn bptt example`` prints."""
    truth = exact()
    rows = [
        "Three steps of a tanh RNN with one unit: x = 0.5 0.1 0.4, y = 0.4 0.2 0.1,",
        "W_xh = 0.6, W_hh = 0.9, W_hy = 0.8, h_0 = 0, L = 1/2 Σ (o_t - y_t)².",
        "",
        f"step {'quantity':<10}{'printed':>8}{'exact':>18}{'error':>10}  what went wrong",
    ]
    verdicts = {line.name: verdict(line, truth[line.name]) for line in LINES}
    for line in LINES:
        figures = f"{line.printed:>8.4f}{truth[line.name]:>18.14f}{line.printed - truth[line.name]:>10.0e}"
        rows.append(f"{line.step:>4} {line.name:<10}{figures}  {verdicts[line.name]}".rstrip())
    slips = [name for name, text in verdicts.items() if text not in ("", "inherited")]
    inherited = sum(text == "inherited" for text in verdicts.values())
    rows += [
        "",
        f"{len(LINES) - len(slips) - inherited} figures are right up to rounding. {len(slips)} lines were worked",
        f"wrongly: {', '.join(slips)}. {inherited} are worked rightly from wrong figures.",
        "",
        *decompositions(),
    ]
    return rows


def decompositions() -> list[str]:
    """dL/dW_hh by the step where W_hh was used and by the loss it came from; then with the state cut every K steps."""
    run = Example()
    parts = decompose(run.loss, run.W_hh)
    rows = [_columns("dL/dW_hh taken apart", ["t = 1", "t = 2", "t = 3", "sum"])]
    rows += [_columns("by the step where W_hh was used", [*parts.by_step, parts.by_step.sum()])]
    rows += [_columns("by the loss it came from", [*parts.by_loss, parts.by_loss.sum()]), ""]
    rows += [_columns("the state detached every K steps", ["K = 1", "K = 2", "K = 3"])]
    return rows + [_columns(f"dL/d{name}", [truncated(name, K) for K in (1, 2, 3)]) for name in ("W_hh", "W_xh")]


def truncated(name: str, K: int) -> float:
    """dL/dW with the state detached after every K steps."""
    run = Example(cuts=range(K, len(X), K))
    return run.d(run.loss, getattr(run, name))


def _columns(label: str, cells: Sequence[float | str]) -> str:
    shown = (cell if isinstance(cell, str) else f"{cell + 0.0:.8f}" for cell in cells)  # + 0.0: no minus before a zero
    return f"{label:<33}" + "".join(f"{cell:>11}" for cell in shown)
