"""E14 to E32: formulas that are wrong, incomplete, or right only in a case that is not named."""

from __future__ import annotations

import numpy as np

from ..autograd.functional import grad
from ..autograd.tensor import Tensor
from ..bptt.forward_mode import rtrl
from ..bptt.memory import memory_terms
from ..bptt.randomized import Randomized
from ..nn.cells import LSTMCell
from ..ops.elementwise import tanh
from ..ops.reduction import log_softmax, softmax
from .entry import Values, erratum
from .example import Example, exact
from .figures import lecture_recursion
from .networks import (
    ColumnRNN,
    chain,
    four_term_product,
    held_at,
    joint_product,
    last_gradient,
    lstm_cell,
    memory_after,
    spectral_norm,
    spectral_radius,
    through,
)

NILPOTENT = np.array([[0.0, 1.0], [0.0, 0.0]])


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of two entries."""
    return float(np.abs(a - b).max())


@erratum(
    "S1, step 4: the recursion",
    "δh_t = δo_t W_hy + δh_(t+1) W_hh (1 - h_t²); gives δh_1 = {printed[δh_1]:.10f}",
    "(1 - h_(t+1)²); gives δh_1 = {right[δh_1]:.10f}",
)
def E14() -> Values:
    """the slope belongs to the step that h_t goes into; 1 - h_t² is right around the whole bracket, for δz_t"""
    printed, truth = lecture_recursion(), exact()
    return {"printed": printed, "right": {name: truth[name] for name in printed}}


@erratum(
    "S1, part 2: hidden states, W_hx, W_hh, expansion",
    "dL/dh_t = W_hhᵀ dL/dh_(t+1) + ..., dL/dW_hh = Σ dL/dh_t h_(t-1)ᵀ with φ = tanh; "
    "off by {recursion:.6f} and {W_hh:.6f}",
    "with φ'(z): W_hhᵀ (φ' dL/dh_(t+1)), Σ (φ' dL/dh_t) h_(t-1)ᵀ; off by {corrected:.0e}",
)
def E15() -> Values:
    """true for φ = identity only, which S2 says and S1 does not"""
    net = ColumnRNN(tanh=True)
    tape, printed, right = net.on_the_tape(), net.by_formula(slopes=False), net.by_formula(slopes=True)
    return {
        "recursion": difference(printed["h"], tape["h"]),
        "W_hh": difference(printed["W_hh"], tape["W_hh"]),
        "corrected": max(difference(right[name], tape[name]) for name in right),
    }


@erratum(
    "S1, part 2: rows and columns",
    "x_t W_xh in the forward pass, dL/dW_hx = Σ dL/dh_t x_tᵀ in the backward pass: {printed.shape}",
    "dL/dW_xh = Σ x_tᵀ (φ' dL/dh_t): {right.shape}",
)
def E16() -> Values:
    """one convention: the printed gradient is the transpose"""
    rng = np.random.default_rng(0)
    x, W_xh = rng.normal(size=(5, 1, 2)), Tensor(rng.normal(size=(2, 3)), requires_grad=True)
    hs = [tanh(x_t @ W_xh) for x_t in x]
    loss = sum(((h * h).sum() for h in hs[1:]), (hs[0] * hs[0]).sum())
    d_z = [2 * h.data * (1 - h.data**2) for h in hs]
    printed = sum(d.T @ x_t for d, x_t in zip(d_z, x, strict=True))
    return {"printed": printed, "right": grad(loss, W_xh).data}


@erratum(
    'S1, loss: "mean squared error"',
    "(1/T) Σ l in general, 1/2 Σ (o - y)² in the example: L = {printed:.10f}",
    "(1/T) Σ (o - y)²: L = {right:.10f}, and every gradient is {factor:.6f} of the example's",
)
def E17() -> Values:
    """two losses under one name"""
    run = Example()
    mean = run.loss * 2 / 3
    factors = [run.d(mean, W) / run.d(run.loss, W) for W in (run.W_xh, run.W_hh, run.W_hy)]
    return {"printed": run.loss.item(), "right": mean.item(), "factor": factors[0], "factors": factors}


def article_shapes() -> Values:
    """Gradients of o = h W_hq + b and cross-entropy for m rows, n units and q outputs, all different."""
    rng = np.random.default_rng(0)
    m, d, n, q = 4, 2, 3, 5
    names = {"W_xh": (d, n), "W_hh": (n, n), "W_yh": (n, q), "b_y": (q,)}
    W = {name: Tensor(rng.normal(size=shape), requires_grad=True) for name, shape in names.items()}
    h = np.tanh(rng.normal(size=(m, d)) @ W["W_xh"] + rng.normal(size=(m, n)) @ W["W_hh"])
    o = h @ W["W_yh"] + W["b_y"]
    y = np.eye(q)[rng.integers(q, size=m)]
    loss = -(y * log_softmax(o, -1)).sum()
    found = {name: g.data for name, g in zip(W, grad(loss, list(W.values()), retain_graph=True), strict=True)}
    return {"W": W, "h": h.data, "o": o.data, "y": y, "yhat": softmax(o, -1).data, "d": found}


@erratum("S0, item 1", "W_xh {W_xh} and W_yh {W_yh} are stacked: {printed}", "W_xh {W_xh} and W_hh {W_hh}: {right}")
def E18() -> Values:
    """W_yh has n_out columns and does not stack unless n_out = n_neurons"""
    W = {name: w.data for name, w in article_shapes()["W"].items()}
    try:
        stacked: object = np.concatenate([W["W_xh"], W["W_yh"]]).shape
    except ValueError:
        stacked = "impossible"
    shapes = {name: w.shape for name, w in W.items()}
    return shapes | {"printed": stacked, "right": np.concatenate([W["W_xh"], W["W_hh"]]).shape}


@erratum(
    "S0, items 5, 7, 8",
    "W_yh n x n, b_y n, y_t m x n",
    "n x q, q, m x q; with m, n, q = 4, 3, 5: {W_yh}, {b_y}, {o}",
)
def E19() -> Values:
    """the number of outputs q is not the number of units n"""
    found = article_shapes()
    return {"W_yh": found["d"]["W_yh"].shape, "b_y": found["d"]["b_y"].shape, "o": found["o"].shape}


@erratum(
    "S0, dL/dW_yh",
    "Σ (ŷ - y) ⊗ h, shape {printed.shape}",
    "for o = h W_yh it is hᵀ (ŷ - y), shape {right.shape}; off by {error:.0e}",
)
def E20() -> Values:
    """printed is the transpose, which E19 hides"""
    found = article_shapes()
    printed = (found["yhat"] - found["y"]).T @ found["h"]
    return {"printed": printed, "right": found["d"]["W_yh"], "error": difference(printed.T, found["d"]["W_yh"])}


@erratum(
    "S0, softmax: dL/do",
    "ŷ - y; for y = 0.3 times one-hot the first entry is {printed[0]:.6f}",
    "ŷ Σy - y: {right[0]:.6f}",
)
def E21() -> Values:
    """ŷ - y needs Σy = 1"""
    y = 0.3 * np.eye(4)[0]
    o = Tensor([0.5, -1.0, 2.0, 0.0], requires_grad=True)
    yhat = softmax(o, -1).data
    return {"printed": yhat - y, "formula": yhat * y.sum() - y, "right": grad(-(y * log_softmax(o, -1)).sum(), o).data}


def jacobian_at_slopes(W: np.ndarray, slopes: list[float]) -> np.ndarray:
    """dh_t/dh_{t-1} of h_t = tanh(W h_{t-1} + u_t) where the units have these slopes φ'."""
    z = np.arctanh(np.sqrt(1 - np.array(slopes)))
    return through(lambda h: held_at(W, z, h, 1), [0.1, 0.2])


@erratum(
    "S0, Jacobian of h = φ(W_xhᵀ X + W_hhᵀ h)",
    "diag(φ') W_hh = {printed}",
    "diag(φ') W_hhᵀ = {right}",
)
def E22() -> Values:
    """here W_hh = [[0, 1], [0, 0]] and φ' = (0.5, 1)"""
    return {"printed": (np.diag([0.5, 1.0]) @ NILPOTENT).tolist(), "right": _listed(NILPOTENT.T)}


@erratum("S3, Jacobian of h = tanh(W_h h + ...)", "W_hᵀ diag(tanh') = {printed}", "diag(tanh') W_h = {right}")
def E23() -> Values:
    """here W_h = [[0, 1], [0, 0]] and tanh' = (0.5, 1)"""
    return {"printed": (NILPOTENT.T @ np.diag([0.5, 1.0])).tolist(), "right": _listed(NILPOTENT)}


def _listed(W: np.ndarray) -> list[list[float]]:
    return jacobian_at_slopes(W, [0.5, 1.0]).round(12).tolist()


@erratum(
    "S3, product of Jacobians",
    "Π W_hᵀ diag(tanh') from step T down to 1; off by {from_J:.3f} from J and {from_JT:.3f} from Jᵀ",
    "Π diag(tanh') W_h, off by {right:.0e}; with the printed factors, ascending, Jᵀ, off by {ascending:.0e}",
)
def E24() -> Values:
    """transposed factors multiply in the other order"""
    rng = np.random.default_rng(0)
    W, us, h_0 = rng.normal(size=(4, 4)), rng.normal(size=(2, 4)), rng.normal(size=4)
    h_1 = np.tanh(W @ h_0 + us[0])
    h_2 = np.tanh(W @ h_1 + us[1])
    D1, D2 = np.diag(1 - h_1**2), np.diag(1 - h_2**2)
    J = through(lambda h: np.tanh(W @ np.tanh(W @ h + us[0]) + us[1]), h_0)
    printed, ascending = (W.T @ D2) @ (W.T @ D1), (W.T @ D1) @ (W.T @ D2)
    return {
        "from_J": difference(printed, J),
        "from_JT": difference(printed, J.T),
        "right": difference((D2 @ W) @ (D1 @ W), J),
        "ascending": difference(ascending, J.T),
    }


@erratum(
    "S0, S1, S3: the double sum",
    "Σ_t Σ_k dL_t/dh_k dh_k/dW, with the derivative of h_k in W: {total:.10f}",
    "∂h_k/∂W with h_(k-1) held fixed: {immediate:.10f}",
)
def E25() -> Values:
    """the total derivative counts the earlier steps again; the figures are dL/dW_hh of S1's example"""
    run = Example()
    h = [0.0, *(h.item() for h in run.h)]
    into_h = [(k, g) for t, loss in enumerate(run.losses, 1) for k, g in enumerate(run.d(loss, run.h[:t]))]
    total = [run.d(h_k, run.W_hh) for h_k in run.h]
    immediate = [(1 - h[k] ** 2) * h[k - 1] for k in (1, 2, 3)]
    sums = [sum(g * dh_dW[k] for k, g in into_h) for dh_dW in (total, immediate)]
    return {"total": sums[0], "immediate": sums[1], "right": run.d(run.loss, run.W_hh)}


@erratum(
    "S0, dL/dW_hh, first lines",
    "dL_3/dW_hh = the path through step 3 alone, {paths[2]:.10f}; then = the path through step 2, {paths[1]:.10f}",
    "both are terms of one sum over k: {right:.10f}",
)
def E26() -> Values:
    """one left side cannot equal each of its terms"""
    run = Example()
    h = [0.0, *(h.item() for h in run.h)]
    paths = [g * (1 - h[k] ** 2) * h[k - 1] for k, g in enumerate(run.d(run.losses[2], run.h), 1)]
    return {"paths": paths, "right": run.d(run.losses[2], run.W_hh)}


@erratum(
    "S0, indices of L_(t+1)",
    "the sum over t = 1..T of L_(t+1): the losses {printed}, of which {missing} does not exist; "
    "without L_1 dL/dW_xh = {without:.10f}",
    "t = 0..T-1: the losses {right}; dL/dW_xh = {whole:.10f}",
)
def E27() -> Values:
    """the range is shifted by one"""
    run = Example()
    T = len(run.losses)
    parts = dict(enumerate((run.d(loss, run.W_xh) for loss in run.losses), 1))
    printed, right = [t + 1 for t in range(1, T + 1)], [t + 1 for t in range(T)]
    return {
        "printed": printed,
        "right": right,
        "missing": f"L_{max(printed)}",
        "without": sum(parts.get(t, 0.0) for t in printed),
        "whole": sum(parts[t] for t in right),
        "tape": run.d(run.loss, run.W_xh),
    }


@erratum(
    "S0, bound on Π_(j=k..t)",
    "(γ_W γ_h)^(t-k); for W = 2, h = 0, t = k: {norm:g} <= {printed:g}",
    "t - k + 1 factors: (γ_W γ_h)^(t-k+1) = {right:g}",
)
def E28() -> Values:
    """off by one factor"""
    norm = spectral_norm(through(lambda h: held_at(np.array([[2.0]]), np.zeros(1), h, 1), 0.0))
    return {"norm": norm, "printed": 2.0**0, "right": 2.0**1}


@erratum(
    "S0, γ_W",
    "the largest eigenvalue of W: {printed:g} for W = [[0, 2], [0, 0]]",
    "the largest singular value: {right:g}; the Jacobian at 0 has norm {norm:g}",
)
def E29() -> Values:
    """an eigenvalue bounds no norm"""
    W = 2 * NILPOTENT
    norm = spectral_norm(through(lambda h: held_at(W, np.zeros(2), h, 1), np.zeros(2)))
    return {"printed": spectral_radius(W), "right": spectral_norm(W), "norm": norm}


Scene = tuple[LSTMCell, np.ndarray, np.ndarray, np.ndarray]  # a cell, its inputs, and the C and o it starts from


def random_lstm(H: int = 3, T: int = 5) -> Scene:
    """An LSTM with weights and inputs N(0, 1)."""
    rng = np.random.default_rng(0)
    cell = lstm_cell(rng.normal(size=(2, 4 * H)), rng.normal(size=(H, 4 * H)))
    return cell, rng.normal(size=(T, 2)), rng.normal(size=H), rng.uniform(0.2, 0.8, H)


@erratum(
    "S0, the LSTM's four terms",
    "C s_f W_hf o tanh'(C) + ... + f, entry by entry: off by {printed:.3f} for 3 cells, {scalar:g} for one",
    "diag(C s_f) W_hf R + diag(g s_i) W_hi R + diag(i s_g) W_hC R + diag(f): off by {right:.0e}",
)
def E30() -> Values:
    """matrices; R = diag(o tanh'(C)), s the slopes of the gates, and W_C is the recurrent W_hC"""
    cell, xs, C, o = random_lstm()
    terms, (one, x, C_1, o_1) = memory_terms(cell, xs[0], C, o), scalar_lstm()
    everywhere = terms.total[0] - terms.direct[0] + np.diag(terms.direct[0])  # f, a vector, added to a matrix
    tape, alone = one_step(cell, xs, C, o), one_step(one, x, C_1, o_1)
    return {
        "printed": difference(everywhere, tape),
        "right": difference(terms.total[0], tape),
        "scalar": difference(memory_terms(one, x[0], C_1, o_1).total[0], alone),
    }


def one_step(cell: LSTMCell, xs: np.ndarray, C: np.ndarray, o: np.ndarray) -> np.ndarray:
    """dC_1/dC_0 from the tape, h_0 = o tanh(C_0)."""
    return through(lambda C: memory_after(cell, xs[:1], C, o), C)


def scalar_lstm() -> Scene:
    """One cell: W_hi = W_hf = W_hC = 1, W_ho = 2, x = (0.2, -0.1) into every gate, C_0 = 0.5, o_0 = 0.5."""
    cell = lstm_cell([[1.0, 1.0, 1.0, 1.0]], [[1.0, 1.0, 1.0, 2.0]])
    return cell, np.array([[0.2], [-0.1]]), np.array([0.5]), np.array([0.5])


@erratum(
    "S0, the LSTM over k steps",
    "multiply the four terms k times; dC_2/dC_0 = {printed:.10f}; 3 cells, k = 2, 3, 5: "
    "off by {off[0]:.1%}, {off[1]:.1%}, {off[2]:.1%}",
    "{right:.10f}; the product of the Jacobians of (h, C) is exact: {joint:.10f}",
)
def E31() -> Values:
    """the path C_(t-2) → h_(t-2) → o_(t-1) → h_(t-1) → C_t goes round C_(t-1); k = 1 is exact"""
    cell, xs, C, o = scalar_lstm()

    def over(k: int) -> dict[str, float]:
        return {
            "tape": through(lambda C: memory_after(cell, xs[:k], C, o), C).item(),
            "terms": four_term_product(cell, xs[:k], C, o).item(),
            "joint": joint_product(cell, xs[:k], C, o).item(),
        }

    one, two = over(1), over(2)
    off = [four_terms_off(k) for k in (2, 3, 5)]
    return {"one": one, "printed": two["terms"], "right": two["tape"], "joint": two["joint"], "off": off}


def four_terms_off(k: int) -> float:
    """How far the product of k four-term matrices is from dC_k/dC_0 of the random LSTM, relative to its norm."""
    cell, xs, C, o = random_lstm()
    truth = through(lambda C: memory_after(cell, xs[:k], C, o), C)
    return spectral_norm(four_term_product(cell, xs[:k], C, o) - truth) / spectral_norm(truth)


CHAIN_W, CHAIN_X = 0.9, np.array([0.5, -0.3, 0.8, 0.1, -0.6, 0.4])


def chain_gradient(xi: np.ndarray | None = None) -> float:
    """dh_6/dw of the chain h_t = tanh(x_t + w h_{t-1}), randomly truncated by these factors."""
    w = Tensor(CHAIN_W, requires_grad=True)
    return last_gradient(chain(w), CHAIN_X, w, xi)


def chain_gradient_as_printed(xi: np.ndarray) -> float:
    """The same with the exact dh_{t-1}/dw on the right of the recursion."""
    w = Tensor(CHAIN_W, requires_grad=True)
    return rtrl(
        chain(w), CHAIN_X, Tensor(0.0), lambda y, t: y if t == len(CHAIN_X) - 1 else None, w, xi, as_printed=True
    ).item()


@erratum(
    "S2, strategy 3",
    "z_t = ∂f/∂w + ξ_t ∂f/∂h dh_(t-1)/dw: for T = 6, π = 0.5 the variance is {printed:.8f}",
    "z_(t-1) on the right: the variance is {right:.8f}; both have the mean {mean:.8f}",
)
def E32() -> Values:
    """with the exact dh_(t-1)/dw nothing is truncated but the last step; still unbiased"""
    draws = Randomized(0.5)
    right, printed = (draws.expectation(f, len(CHAIN_X) - 1) for f in (chain_gradient, chain_gradient_as_printed))
    return {
        "exact": chain_gradient(),
        "mean": right.mean.item(),
        "right": right.variance.item(),
        "mean_printed": printed.mean.item(),
        "printed": printed.variance.item(),
    }
