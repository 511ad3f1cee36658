"""Tasks on truncation: which terms T(t, k) of dL/dw a cut drops is found from the tape of the answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...autograd.functional import grad
from ...autograd.tensor import Tensor
from ...bptt import decompose
from ...errors import FreedGraphError
from ...nn import RNN, mse_loss
from .answer import Answer, NotYet
from .task import Task, as_array, program, same

XS = [0.5, -0.3, 0.8, 0.1, -0.6, 0.4]
WEIGHT = 0.9
H_0 = 0.2  # not 0, so that the terms of step 1 are seen
T = len(XS)

Kept = Callable[[int, int], bool]


def triangle(marked: Callable[[int, int], str]) -> str:
    """The table of the terms, row t, column k."""
    rows = [" ".join([f"    t {t}  ", *(marked(t, k) for k in range(1, t + 1))]) for t in range(1, T + 1)]
    return "\n".join(["      k  " + " ".join(map(str, range(1, T + 1))), *rows])


def _losses() -> np.ndarray:
    h, found = H_0, []
    for x in XS:
        h = np.tanh(x + WEIGHT * h)
        found.append(h)
    return np.array(found)


def terms(mine: Answer) -> np.ndarray:
    """Which T(t, k) the tape of the answer has: the loss of step t reaches the weight as used in step k."""
    run = mine.function("run")
    w = {k: Tensor(WEIGHT, requires_grad=True, name=f"w_{k}") for k in range(1, T + 1)}
    losses = run(w, list(XS))
    if not isinstance(losses, list | tuple) or len(losses) != T:
        raise NotYet(f"run(w, xs) has to return a list of {T} losses, one a step")
    for t, (L, right) in enumerate(zip(losses, _losses(), strict=True), 1):
        if not isinstance(L, Tensor):
            raise NotYet(f"the loss of step {t} is no tensor, so nothing leads back from it")
        if not same(as_array(L, f"the loss of step {t}"), np.array(right)):
            raise NotYet(
                f"the loss of step {t} has another value than without cuts: a cut changes no value, only the way back"
            )
    found = np.zeros((T + 1, T + 1), bool)
    for t, L in enumerate(losses, 1):
        gs = grad(L, list(w.values()), retain_graph=True, allow_unused=True) if L.requires_grad else [None] * T
        found[t, 1:] = [g is not None and g.item() != 0 for g in gs]
    return found


def check_terms(mine: Answer, kept: Kept) -> None:
    """NotYet, with the table, unless the terms on the tape are those that are to be kept."""
    found = terms(mine)
    wrong = [(t, k) for t in range(1, T + 1) for k in range(1, t + 1) if found[t, k] != kept(t, k)]
    if not wrong:
        return
    t, k = wrong[0]
    said = (
        f"T({t}, {k}) is still there: the loss of step {t} reaches the weight of step {k}"
        if found[t, k]
        else f"T({t}, {k}) is gone, and was to stay: nothing leads from the loss of step {t} to the weight of step {k}"
    )
    table = triangle(lambda t, k: "x" if found[t, k] else ".")
    others = f" ({len(wrong)} of 21 terms are not as asked for)" if len(wrong) > 1 else ""
    raise NotYet(f"{said}{others}. Your program has\n{table}")


def _in_windows(t: int, k: int) -> bool:
    return (t <= 2) == (k <= 2)


def _check_cut(mine: Answer) -> str:
    check_terms(mine, _in_windows)
    return "on the tape the eight terms are gone, the other thirteen are there, and no loss has changed"


LOOP = program("""
    def run(w, xs):
        h, losses = tg.tensor(0.2), []
        for t, x in enumerate(xs, 1):
            h = np.tanh(x + w[t] * h)
            losses.append(h)
        return losses
""")

ABOUT = (
    "h_t = tanh(x_t + w h_{t-1}), h_0 = 0.2, six steps, and h_t is also the loss of step t. Your program gets w as one "
    "copy for each step, w[1] to w[6], so that it can be seen which of them the loss of which step reaches: the term "
    "T(t, k). Without a cut all 21 are there. "
)

CUT = Task(
    "cut so that exactly these terms vanish",
    "7-truncation.md",
    f"{ABOUT}Change run so that these are left, and no others (x is there, . is gone):\n\n"
    + triangle(lambda t, k: "x" if _in_windows(t, k) else ".")
    + "\n\nNo loss may change its value.",
    LOOP,
    (
        "The rows 1 and 2 are whole. No row from 3 on reaches columns 1 and 2. Between which steps is the cut?",
        "A cut is h.detach(): the value goes on, the way back does not. It comes after the loss has been kept.",
        "if t == 2: h = ... , at the end of the loop. One cut is enough.",
    ),
    program("""
        def run(w, xs):
            h, losses = tg.tensor(0.2), []
            for t, x in enumerate(xs, 1):
                h = np.tanh(x + w[t] * h)
                losses.append(h)
                if t == 2:
                    h = h.detach()
            return losses
    """),
    _check_cut,
)


def _last_three(t: int, k: int) -> bool:
    return t - k < 3


def _check_overlap(mine: Answer) -> str:
    check_terms(mine, _last_three)
    return "on the tape every loss reaches the last three uses of the weight and no more, and no loss has changed"


OVERLAP = Task(
    "windows that overlap: each loss sees three steps",
    "7-truncation.md",
    f"{ABOUT}Change run so that each loss reaches the last three uses of the weight, and no more:\n\n"
    + triangle(lambda t, k: "x" if _last_three(t, k) else ".")
    + "\n\nNo loss may change its value. One run with cuts cannot do it.",
    LOOP,
    (
        "A cut after step 3 takes k = 3 from step 4, which is to have it. So steps have to be run more than once.",
        "For each loss, run its last three steps again, from the state before them, cut off.",
        "Keep the detached state before each step; the loss of step t starts from that before step max(1, t - 2).",
    ),
    program("""
        def run(w, xs):
            before, losses = [None, tg.tensor(0.2)], []
            for t in range(1, len(xs) + 1):
                first = max(1, t - 2)
                h = before[first]
                for k in range(first, t + 1):
                    h = np.tanh(xs[k - 1] + w[k] * h)
                before.append(h.detach())
                losses.append(h)
            return losses
    """),
    _check_overlap,
)


def _check_windows(mine: Answer) -> str:
    gradient = mine.function("gradient")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 1, 2)), rng.normal(size=(12, 1, 3))
    for K in (4, 3):
        rnn = RNN(2, 3, dtype=float, rng=0)
        output, _ = rnn(x)
        parts = decompose(mse_loss(output, y, reduction="sum"), rnn.W_hh, blocks=True)
        assert parts.blocks is not None
        inside = [(t, k) for t in range(12) for k in range(t + 1) if t // K == k // K]
        right = np.sum([parts.blocks[t, k] for t, k in inside], axis=0)
        try:
            found = as_array(gradient(rnn, x, y, K), "what gradient(rnn, x, y, K) returns")
        except FreedGraphError as error:
            words = "the sweep goes on into the window before, which is freed: the state has to be cut from its past"
            raise NotYet(mine.where(error, words)) from error
        if same(found, right):
            continue
        if same(found, parts.total):
            raise NotYet(f"K = {K}: this is the whole gradient: nothing is cut")
        if same(found, _with_state_lost(x, y, K)):
            raise NotYet(f"K = {K}: each window begins from nothing. The state's value has to be carried over")
        if same(found, _last_window(parts.blocks, K)):
            raise NotYet(f"K = {K}: this is the last window alone. The windows are to add up")
        raise NotYet(f"K = {K}: this is not the sum of the {len(inside)} terms (t, k) that lie in one window")
    return "it is the sum of the terms (t, k) that lie in one window, for windows of 4 and of 3"


def _with_state_lost(x: np.ndarray, y: np.ndarray, K: int) -> np.ndarray:
    rnn = RNN(2, 3, dtype=float, rng=0)
    for k in range(0, len(x), K):
        mse_loss(rnn(x[k : k + K])[0], y[k : k + K], reduction="sum").backward()
    assert rnn.W_hh.grad is not None
    return rnn.W_hh.grad


def _last_window(blocks: np.ndarray, K: int) -> np.ndarray:
    first = (len(blocks) - 1) // K * K
    found: np.ndarray = blocks[first:, first:].sum((0, 1))
    return found


WINDOWS = Task(
    "a loop over windows that carries the state",
    "7-truncation.md",
    "Write gradient(rnn, x, y, K): run the layer over x, of shape (T, 1, 2), in windows of K steps. The loss is "
    'tg.nn.mse_loss(output, y of these steps, reduction="sum"), and backward() is called once. The value of the state '
    "is carried from window to window, the gradient is not. Return rnn.W_hh.grad, which has then added them all up.",
    program("""
        def gradient(rnn, x, y, K):
            state = None
            for k in range(0, len(x), K):
                output, state = rnn(x[k : k + K], state)
                tg.nn.mse_loss(output, y[k : k + K], reduction="sum").backward()
            return rnn.W_hh.grad
    """),
    (
        "Run it as it stands and read the error. What does the second window's sweep walk into?",
        "The state of the last window has a past. What gives the same values without one?",
        "tg.bptt.detach(state), at the end of the loop.",
    ),
    program("""
        def gradient(rnn, x, y, K):
            state = None
            for k in range(0, len(x), K):
                output, state = rnn(x[k : k + K], state)
                tg.nn.mse_loss(output, y[k : k + K], reduction="sum").backward()
                state = tg.bptt.detach(state)
            return rnn.W_hh.grad
    """),
    _check_windows,
)
