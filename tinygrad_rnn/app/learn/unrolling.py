"""Tasks on backpropagation through time: by hand, in a lecture, and where a gradient is lost or kept."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import numpy as np

from ...autograd.functional import grad
from ...autograd.tensor import Tensor
from ...nn import LSTMCell
from ...ops.elementwise import sigmoid, tanh
from ...texts.example import LINES, exact, verdict
from .answer import Answer, NotYet
from .task import Task, as_array, program, same


def _states(w: float, xs: Iterable[float]) -> np.ndarray:
    h = [0.0]
    for x in xs:
        h.append(float(np.tanh(x + w * h[-1])))
    return np.array(h)


def _by_formula(h: np.ndarray, w: float, slopes: np.ndarray, back: int, uses: slice, shift: int) -> float:
    """dL/dw with the slope of step t + `back` on the way to t, over some uses, each times h of step t + `shift`."""
    T = len(h) - 1
    d = np.zeros(T + 1)
    d[T] = slopes[T] * (h[T] - 0.1)
    for t in range(T - 1, 0, -1):
        d[t] = d[t + 1] * w * slopes[t + back]
    return float(sum((d[t] * h[t + shift] for t in range(1, T + 1)[uses]), 0.0))


def _check_through_time(mine: Answer) -> str:
    gradient = mine.function("gradient")
    for w, xs in ((0.9, [0.5, 0.1, 0.4]), (-0.7, [1.0, -0.2]), (1.3, [0.3, -0.8, 0.2, 0.9, -0.1, 0.6])):
        W, h = Tensor(w, requires_grad=True), Tensor(0.0)
        for x in xs:
            h = tanh(x + W * h)
        right = grad((h - 0.1) ** 2 / 2, W).item()
        found = float(as_array(gradient(w, list(xs)), "what gradient(w, xs) returns"))
        if same(np.array(found), np.array(right)):
            continue
        state = _states(w, xs)
        slopes, flat = 1 - state**2, np.ones(len(state))
        mistakes = {
            "only the last of the uses of w counts in it": _by_formula(state, w, slopes, 0, slice(-1, None), -1),
            "the slope of tanh is missing": _by_formula(state, w, flat, 0, slice(None), -1),
            "w is multiplied by the state before the step, not by the one after": _by_formula(
                state, w, slopes, 0, slice(None), 0
            ),
            "on the way from step t + 1 to t the slope is that of the wrong step": _by_formula(
                state, w, slopes, 1, slice(None), -1
            ),
        }
        why = next((text for text, value in mistakes.items() if same(np.array(found), np.array(value))), "")
        how = why or "the sweep finds another number"
        raise NotYet(f"w = {w}, xs = {xs}: dL/dw is not {found:.6g}; {how}")
    return "for sequences of two, three and six steps it is what a reverse sweep finds"


THROUGH_TIME = Task(
    "backpropagation through time, by hand",
    "bptt-in-ten-minutes.md",
    "h_t = tanh(x_t + w h_{t-1}), h_0 = 0, and L = (h_T - 0.1)² / 2. Write gradient(w, xs), which gives dL/dw for a "
    "sequence xs of any length. Plain Python and np.tanh are enough, and no tape.",
    program("""
        def gradient(w, xs):
            h = [0.0]
            for x in xs:
                h.append(np.tanh(x + w * h[-1]))
            return 0.0
    """),
    (
        "Forwards is there, with all states kept. Now from the end: d is dL/dz of a step, z what stands in the tanh.",
        "At the last step d = (h_T - 0.1)(1 - h_T²). Each use of w adds d times the state that w was multiplied by.",
        "From step t to t - 1: d becomes d · w · (1 - h²), with the h of the step that you arrive at.",
    ),
    program("""
        def gradient(w, xs):
            h = [0.0]
            for x in xs:
                h.append(np.tanh(x + w * h[-1]))
            d, total = (h[-1] - 0.1) * (1 - h[-1] ** 2), 0.0
            for t in range(len(xs), 0, -1):
                total += d * h[t - 1]
                d = d * w * (1 - h[t - 1] ** 2)
            return total
    """),
    _check_through_time,
)


# ------------------------------------------------------------------ a lecture


def _plain(name: object) -> str:
    """The name of a figure as one may type it: dh_2 for δh_2, without regard to spaces."""
    return unicodedata.normalize("NFKC", str(name)).replace(" ", "").replace("δ", "d").replace("delta", "d").lower()


def _check_lecture(mine: Answer) -> str:
    given = mine["wrong"]
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise NotYet('wrong has to be a list of names, as in wrong = ["z_1", "L"]')
    truth = exact()
    figures = {_plain(line.name): line for line in LINES}
    wanted = {name for name, line in figures.items() if "E14" in line.slip}
    said = {_plain(name): str(name) for name in given}
    for name, typed in said.items():
        if name not in figures:
            raise NotYet(f"there is no figure {typed}: `tinygrad-rnn bptt example` lists all 22")
        line = figures[name]
        what = verdict(line, truth[line.name])
        if not what:
            raise NotYet(f"{line.name} is right, up to rounding")
        if what == "inherited":
            raise NotYet(f"{line.name} is wrong, but its own formula is right: it starts from figures that were wrong")
        if name not in wanted:
            raise NotYet(f"{line.name} went wrong in its own line, but not by a slope")
    if missing := wanted - set(said):
        more = "more " if said else ""
        raise NotYet(f"{len(missing)} {more}went wrong by a slope" + "; what you name is right" * bool(said))
    return "these, worked with the right slopes from the lecture's own figures, give something else"


def _lecture() -> str:
    rows = [f"    {line.name:<9} {line.printed:>8.4f}" for line in LINES]
    half = (len(rows) + 1) // 2
    second = [*rows[half:], ""]
    return "\n".join(f"{left:<26}{right}".rstrip() for left, right in zip(rows[:half], second, strict=False))


LECTURE = Task(
    "which figures of a lecture use the wrong slope?",
    "text-1-a-worked-example.md",
    "A lecture works out three steps: x = 0.5 0.1 0.4, y = 0.4 0.2 0.1, h_0 = 0, z_t = 0.6 x_t + 0.9 h_{t-1}, "
    "h_t = tanh(z_t), o_t = 0.8 h_t, L = 1/2 Σ (o_t - y_t)². δa is dL/da. It prints 22 figures:\n\n"
    + _lecture()
    + "\n\nIn which of them does the slope of tanh, 1 - h², belong to the wrong step? Name those that went wrong in "
    "their own line, not those that start from wrong ones. (dh_1 will do for δh_1.)",
    program("""
        wrong = []
    """),
    (
        "Slopes of tanh are in δh, but not in that of the last step, and in δz. Work these out again, each from the "
        "figures that the lecture has before it.",
        "From h_t the way to the loss leads over o_t, and over z_{t+1} and h_{t+1}. Whose tanh does it pass?",
        "δh_t = 0.8 δo_t + 0.9 (1 - h_{t+1}²) δh_{t+1}. Put in the figures, for t = 2 and for t = 1.",
    ),
    program("""
        wrong = ["dh_2", "dh_1"]
    """),
    _check_lecture,
)


# ------------------------------------------------------------------ where it is lost, and how it is kept

INPUTS = np.round(1.4 * np.sin(np.arange(1, 21) ** 2 * 1.7), 2)
INPUTS[12] = 3.4
WEIGHT = 1.1


def _check_lost(mine: Answer) -> str:
    step = mine.number("step")
    if step != int(step) or not 1 <= step <= len(INPUTS):
        raise NotYet(f"step has to be a whole number from 1 to {len(INPUTS)}")
    h = _states(WEIGHT, INPUTS)
    factors = WEIGHT * (1 - h[1:] ** 2)  # of the way through step 1, 2, ...
    worst = int(factors.argmin()) + 1
    if step in (worst - 1, worst + 1):
        raise NotYet(
            f"nearly: you are one step off. The factor between h_{int(step) - 1} and h_{int(step)} belongs to step "
            f"{int(step)}, as the slope of tanh in it does"
        )
    if step != worst:
        through = factors[int(step) - 1]
        how = f"{through:.2g} times what arrives" if through < 1 else f"even more than arrives, {through:.2g} times it"
        raise NotYet(f"step {int(step)} lets {how} through; there is a step that lets less through")
    return f"step {worst} lets {factors[worst - 1]:.0e} of the gradient through, less than any other"


LOST = Task(
    "find the step where the gradient vanishes",
    "bptt-in-ten-minutes.md",
    "h_t = tanh(x_t + w h_{t-1}) with w = 1.1, h_0 = 0 and twenty inputs: your program finds them as xs, and w as w. "
    "The loss is h_20. One of the steps loses more of the gradient on its way back than any other. Which? That is: "
    "where is |dL/dh_{t-1}| smallest beside |dL/dh_t|? Steps are counted from 1.",
    program("""
        h = tg.tensor(0.0, requires_grad=True)
        with tg.scope("rnn") as at:
            for t, x in enumerate(xs, 1):
                at(t)
                h = np.tanh(x + w * h)
        print(tg.tape(h))
        step = 1
    """),
    (
        "The last column of the tape is the gradient at each result. Where does it jump?",
        "One step back multiplies by w (1 - h_t²), so where is |h_t| largest?",
        "The step is that of the tanh whose slope is nearly 0, not the one before it.",
    ),
    program("""
        h, states = 0.0, []
        for x in xs:
            h = np.tanh(x + w * h)
            states.append(h)
        step = 1 + int(np.argmax(np.abs(states)))
    """),
    _check_lost,
    {"xs": INPUTS.tolist(), "w": WEIGHT},
)


def _check_keep(mine: Answer) -> str:
    W = as_array(mine["W"], "W")
    if W.shape != (3, 3):
        raise NotYet(f"W has to be of shape (3, 3), and is of {W.shape}")
    if not np.isfinite(W).all():
        raise NotYet("W has an entry that is not finite")
    if (np.abs(W) < 0.05).any():
        raise NotYet("each entry of W has to be at least 0.05 in size: all units are to talk to all")
    h_0 = start = Tensor(np.eye(3), requires_grad=True)
    for _ in range(100):
        h_0 = h_0 @ Tensor(W)
    back = grad(h_0, start, np.eye(3)).data
    lengths = np.linalg.svd(back, compute_uv=False)
    if not np.isfinite(lengths).all() or lengths[0] > 1.01:
        raise NotYet(f"some gradient explodes: after 100 steps it is {lengths[0]:.2g} times as long")
    if lengths[-1] < 0.99:
        raise NotYet(f"some gradient vanishes: after 100 steps {lengths[-1]:.2g} of its length is left")
    return "after 100 steps every gradient is as long as it was"


KEEP = Task(
    "a weight that lets no gradient vanish or explode",
    "5-cells.md",
    "A linear network of three units: h_t = h_{t-1} W. Give a matrix W of shape (3, 3), every entry at least 0.05 in "
    "size, with which every gradient has the same length after 100 steps back as before, up to 1 %.",
    program("""
        W = np.full((3, 3), 0.3)
    """),
    (
        "The gradient is multiplied by the transposed W a hundred times. What do you know about its singular values?",
        "All of them have to be 1: W only turns and mirrors.",
        "The Q of np.linalg.qr of nearly any matrix is such a one. Look at its entries.",
    ),
    program("""
        W = np.eye(3) - 2 / 3
    """),
    _check_keep,
)


def _check_remember(mine: Answer) -> str:
    remember = mine.function("remember")
    for seed in (0, 1):
        cell = LSTMCell(1, 4, dtype=float, rng=seed)
        remember(cell)
        assert cell.b_h is not None
        xs = np.random.default_rng(seed).normal(size=(200, 1))
        first, start = Tensor(xs[0], requires_grad=True), Tensor(np.zeros(4), requires_grad=True)
        state = (Tensor(np.zeros(4)), start)
        kept = []
        for t, x in enumerate(xs):
            a = x @ cell.W_xh.data + state[0].data @ cell.W_hh.data + cell.b_h.data
            kept.append(sigmoid(a[cell.gate("f")]))
            state = cell(first if t == 0 else x, state)
        by_start, by_first = (g.data for g in grad(state[1].sum(), [start, first]))
        left = float(np.abs(by_start).mean())
        if not left > 0.5:
            raise NotYet(
                f"of a change of the memory, {left:.1g} is left after 200 steps, and half of it is asked for. What "
                f"decides how much of c a step keeps is {np.mean(kept):.3f} on average"
            )
        if left > 10:
            raise NotYet(f"a change of the memory grows: {left:.2g} times it after 200 steps")
        if np.abs(by_first).max() < 1e-3:
            raise NotYet("it remembers, but hears nothing: the memory does not depend on the first input any more")
    return "after 200 steps more than half of a change of the memory is left, and the first input is still in it"


REMEMBER = Task(
    "make this cell remember",
    "5-cells.md",
    "An LSTM cell with one input and four units, fresh from its initialisation, forgets within a few steps. Write "
    "remember(cell), which changes its weights so that after 200 steps at least half of a change of the memory c is "
    "left (dc_200/dc_0), while c still listens: the first input has to show in it. The weights are cell.W_xh, "
    "cell.W_hh and cell.b_h, with the gates side by side: i, f, g, o, of four units each.",
    program("""
        def remember(cell):
            cell.b_h.data[:] = 0.0
    """),
    (
        "c_t = f c_{t-1} + i g: on the direct way one step multiplies dc by f. With f = 0.99, what is left after 200?",
        "f is a sigmoid, and near 1 where what stands in it is large. How large, for 0.998?",
        "The bias of f alone decides it if it is large enough: about 6 or more. Which columns of b_h are those of f?",
    ),
    program("""
        def remember(cell):
            tg.nn.init.forget_bias_(cell, 8.0)
    """),
    _check_remember,
)
