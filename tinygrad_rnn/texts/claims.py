"""E33 to E50 but for E46 and E47: claims that are false as stated, each with a counterexample on the tape."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.checkpoint import checkpoint
from ..autograd.functional import grad
from ..autograd.tensor import Tensor
from ..bptt.decomposition import decompose
from ..engine.modes import scope
from ..ops.elementwise import relu, sigmoid, tanh
from ..optim import clip_grad_norm_
from ..unrolled.listing import tape
from .entry import Values, erratum
from .figures import scalar_factor
from .networks import (
    aligned,
    free,
    gates,
    held_at,
    linear,
    lstm_cell,
    memory_after,
    spectral_norm,
    spectral_radius,
    through,
)


def one(W: float) -> np.ndarray:
    """A weight of one unit, as a matrix."""
    return np.array([[W]])


def factor(W: float, z: float, steps: int) -> float:
    """dh_t/dh_0 of a tanh unit of weight W held at the pre-activation z."""
    return through(lambda h: held_at(one(W), np.array([z]), h, steps), np.tanh(z)).item()


@erratum(
    "S0, the norm of the Jacobian",
    '"has an upper bound of 1"',
    "W = 2 at h = 0: {step:g} a step, {steps:.0f} in 20; only diag(φ') is bounded, by {tanh:g} (tanh), {sigmoid:g} (σ)",
)
def E33() -> Values:
    """the weight matrix is a factor too"""
    z = np.linspace(-5, 5, 101)
    largest = {name: float(through(phi, z).max()) for name, phi in (("tanh", tanh), ("sigmoid", sigmoid))}
    return {"step": factor(2, 0, 1), "steps": factor(2, 0, 20), **largest}


@erratum("S0, φ'", '"always less than 1"', "tanh'(0) = {right:g}")
def E34() -> Values:
    """the same sentence says: at most 1.0"""
    return {"right": through(tanh, 0.0).item()}


@erratum(
    "S0, S1, S2: ρ(W_hh) < 1",
    "the gradient vanishes",
    "W = [[2, -2], [2, -2]] has ρ = {rho:g}; held at z = (0, 20), |dh_20/dh_0| = {norm:.6f}",
)
def E35() -> Values:
    """a spectral radius bounds no product of different Jacobians; σ_max(W) γ_φ < 1 suffices"""
    W, z = np.array([[2.0, -2.0], [2.0, -2.0]]), np.array([0.0, 20.0])
    norm = spectral_norm(through(lambda h: held_at(W, z, h, 20), np.tanh(z)))
    return {"rho": round(spectral_radius(W), 6), "norm": norm}


@erratum(
    "S0, S1, S2: ρ(W_hh) > 1",
    "the gradient explodes",
    "tanh unit, W = 2, h_0 = 0.5, no input: h → {h:.10f}, a factor {factor:.10f} a step, dh_50/dh_0 = {right:.6e}",
)
def E36() -> Values:
    """saturation: ρ > 1 is neither sufficient (this) nor necessary (E35); σ_max(W) γ_φ > 1 is necessary"""
    h = free(one(2), Tensor([0.5]), 50).data
    return {
        "h": h.item(),
        "factor": through(lambda h: free(one(2), h, 1), h).item(),
        "right": through(lambda h: free(one(2), h, 50), 0.5).item(),
    }


@erratum(
    "S1, S2: eigenvalues",
    '"eigenvalues < 1" vanish',
    "{eigenvalue:g} < 1, and dh_20/dh_0 of the linear unit is {right:.0f}",
)
def E37() -> Values:
    """the modulus counts"""
    return {"eigenvalue": -2.0, "right": through(lambda h: linear([one(-2)] * 20, h), 1.0).item()}


def power_norms(W: np.ndarray, steps: int) -> list[float]:
    """|dh_k/dh_0| of the linear network h_t = W h_{t-1} for k = 0, 1, ..., steps, from the tape."""
    h_0 = Tensor(np.ones(len(W)), requires_grad=True)
    hs: list[Any] = [h_0]
    for _ in range(steps):
        hs.append(W @ hs[-1])
    rows = np.eye(len(W))
    return [
        spectral_norm(np.array([grad(h, h_0, row, retain_graph=True).data for row in rows]) if k else rows)
        for k, h in enumerate(hs)
    ]


@erratum(
    "S1, S2: eigenvalues below 1 in modulus",
    "the powers vanish",
    "[[.9, 5], [0, .9]]: the norm grows to {peak:.8f} at k = {at}, is {fifty:.6f} at 50, below 1 from k = {below}, "
    "{last:.6e} at 200",
)
def E38() -> Values:
    """in the end they do, but not at once: eigenvalues say nothing of the transient"""
    norms = power_norms(np.array([[0.9, 5.0], [0.0, 0.9]]), 200)
    at = int(np.argmax(norms))
    below = max(k for k, norm in enumerate(norms) if norm >= 1) + 1
    return {"peak": norms[at], "at": at, "fifty": norms[50], "below": below, "last": norms[200]}


@erratum(
    "S1, S2: growth",
    "needs an eigenvalue above 1 in modulus",
    "[[1, 1], [0, 1]]: the norm at k = 100 is {right:.8f}",
)
def E39() -> Values:
    """a Jordan block grows with all eigenvalues equal to 1"""
    return {"right": power_norms(np.array([[1.0, 1.0], [0.0, 1.0]]), 100)[100]}


@erratum(
    "S0, the factor λ_i^t",
    "the product scales by powers of the eigenvalues: ρ = {rho[0]:g} and {rho[1]:g}",
    "[[0, 2], [0, 0]] [[0, 0], [2, 0]] has ρ = {right:g}",
)
def E40() -> Values:
    """one constant diagonalisable Jacobian only; λ_1 > λ_2 > ... fails for complex pairs; Δh_(j+1) should be Δh_j"""
    J1, J2 = np.array([[0.0, 2.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [2.0, 0.0]])
    product = through(lambda h: linear([J2, J1], h), np.ones(2))
    return {"rho": (spectral_radius(J1), spectral_radius(J2)), "right": spectral_radius(product)}


@erratum(
    "S0, vanilla factors",
    '"always above 1 or always in [0, 1]"',
    "one unit, W = 2: {zero:.4f} at z = 0, {two:.8f} at z = 2; W = -2: {negative:.4f}",
)
def E41() -> Values:
    """the factor changes with the state, and has the sign of W"""
    return {"zero": factor(2, 0, 1), "two": factor(2, 2, 1), "negative": factor(-2, 0, 1)}


@erratum(
    "S0, LSTM factors",
    '"greater than 1 or in [0, 1]"',
    "W_hC = -8, f = {f:g}, i = {i:.8f}, o = 0.9, C = 0: {right:.10f}",
)
def E42() -> Values:
    """a recurrent weight may be negative and large"""
    cell = lstm_cell([[0.0] * 4], [[0.0, 0.0, -8.0, 0.0]], [2.0, 0.0, 0.0, 0.0])
    open_by = {name: v.item() for name, v in gates(cell, [0.0], np.zeros(1)).items()}
    return open_by | {"right": through(lambda C: memory_after(cell, [[0.0]], C, np.array([0.9])), 0.0).item()}


@erratum(
    "S0, cures",
    '"a more preferred solution is ReLU"',
    "50 steps of an active unit: {small:.6e} for W = 0.5, {large:.6e} for 1.5; of an inactive one {inactive:g}; "
    "for W = 1 {identity:g}",
)
def E43() -> Values:
    """ReLU alone leaves the powers of W; the identity matrix is what keeps 1 (IRNN, Le et al. 2015)"""

    def rectified(W: float, h_0: float = 1.0) -> float:
        return through(lambda h: free(one(W), h, 50, relu), h_0).item()

    return {"small": rectified(0.5), "identity": rectified(1), "large": rectified(1.5), "inactive": rectified(1, -1)}


@erratum(
    "S2, summary and 2.4",
    "truncation alleviates vanishing",
    "the gradient over 99 steps was {full:.1e}, and after a detach it is {cut:g}",
)
def E44() -> Values:
    """it puts exactly 0 in place of a small number: it helps against explosion and cost only"""
    h, W, z = np.array([np.sqrt(0.2)]), one(0.9), np.arctanh(np.sqrt(0.2))
    return {
        "full": scalar_factor(99),
        "cut": through(lambda start: held_at(W, z, held_at(W, z, start, 50).detach(), 49), h).item(),
    }


def reached(T: int, K: int) -> set[tuple[int, int]]:
    """The pairs (t, k) for which the loss of step t reaches the weight as used in step k; a detach every K steps."""
    w, h, loss = Tensor(0.9, requires_grad=True), Tensor(0.0), Tensor(0.0)
    with scope("rnn") as at:
        for t in range(1, T + 1):
            at(t)
            h = tanh(0.1 + w * h)
            loss = loss + h
            if t % K == 0:
                h = h.detach()
    parts = decompose(loss, w)
    return {(parts.terms[i], parts.steps[j]) for i, j in np.argwhere(~np.isnan(parts.norms))}


@erratum(
    "S3, truncation, T = 100, K = 20",
    '"events more than K steps back are discarded"',
    "chunks keep {kept} of {all} terms and drop {dropped} of the {window} inside the window too ({share:.2%}); "
    "lag 19 exists at {lag19} of 20 places, the mean reach is {reach} steps",
)
def E45() -> Values:
    """early steps of a chunk see almost no past"""
    everything, chunks = reached(100, 100), reached(100, 20)
    window = {(t, k) for t, k in everything if t - k < 20}
    last = [max(t - k for t, k in chunks if t == step) for step in range(81, 101)]
    return {
        "kept": len(chunks),
        "all": len(everything),
        "window": len(window),
        "dropped": len(window - chunks),
        "share": len(window - chunks) / len(window),
        "lag19": sum(reach == 19 for reach in last),
        "reach": float(np.mean(last)),
    }


@erratum(
    "S2, exercise 1",
    "M^k x aligns with v_1",
    "λ = 2, 1, 0.5: cosine {general:.6f} from (1, 1, 1), but {orthogonal:g} from (0, 1, 1). At k = 40 and 41: "
    "diag(1, -1) {no_gap[0]:.4f}, {no_gap[1]:.4f}; λ_1 = -2 {sign[0]:.4f}, {sign[1]:.4f}; "
    "a rotation {rotation[0]:.4f}, {rotation[1]:.4f}",
)
def E48() -> Values:
    """needs a gap |λ_1| > |λ_2| and a component of x along v_1; the sign alternates where λ_1 < 0"""
    M, first, second = np.diag([2.0, 1.0, 0.5]), np.eye(3)[0], np.eye(3)[1]
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    plane = np.array([1.0, 1.0]), np.array([1.0, 0.0])
    two = {
        name: [aligned(matrix, plane[0], k, plane[1]) for k in (40, 41)]
        for name, matrix in (("no_gap", np.diag([1.0, -1.0])), ("sign", np.diag([-2.0, 1.0])), ("rotation", turn))
    }
    return {
        "general": aligned(M, np.ones(3), 40, first),
        "orthogonal": aligned(M, np.array([0.0, 1.0, 1.0]), 40, first),
        "second": aligned(M, np.array([0.0, 1.0, 1.0]), 40, second),
        **two,
    }


@erratum(
    "S1, clipping",
    '"limiting the gradient norm to a threshold"',
    "(3, 4) at 1 becomes ({right[0]:g}, {right[1]:g}), norm 1; PyTorch divides by norm + 1e-6: "
    "({torch[0]:.8f}, {torch[1]:.8f}), {apart:.1e} apart",
)
def E49() -> Values:
    """two definitions: tests that compare the two need a tolerance"""
    p = Tensor([0.0, 0.0], requires_grad=True)
    p.grad = np.array([3.0, 4.0])
    torch = p.grad / (clip_grad_norm_([p], 1.0) + 1e-6)
    return {"right": p.grad.tolist(), "torch": torch.tolist(), "apart": float(np.abs(torch - p.grad).max())}


@erratum(
    "S3, memory",
    '"full BPTT requires storing all T hidden states"',
    "T = 100: {full} records, with a checkpoint every 10 steps {kept} at a time; the gradients differ by {error:.0e}",
)
def E50() -> Values:
    """not where they are computed again: about 2 √T states at a time (Chen et al. 2016)"""
    T, piece = 100, 10
    w = Tensor(0.9, requires_grad=True)

    def steps(h: Tensor) -> Tensor:
        for _ in range(piece):
            h = tanh(0.1 + w * h)
        return h

    full, saved = Tensor(0.0), Tensor(0.0)
    for _ in range(T // piece):
        full, saved = steps(full), checkpoint(steps, saved)
    records = len(tape(full)), len(tape(saved)) + len(tape(steps(Tensor(0.0))))
    error = abs(grad(full, w).item() - grad(saved, w).item())
    return {"full": records[0], "kept": records[1], "error": error}
