"""The small networks that the claims are tried on. Columns, as three of the texts write them: h_t = φ(W h_{t-1} + u_t).

Every Jacobian here is J[i, j] = dh_t[i] / dh_k[j], found on the tape.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...functional import grad, jacobian
from ...nn.cells import LSTMCell
from ...ops.elementwise import tanh
from ...tensor import Tensor


def through(step: Callable[..., Tensor], h: Any) -> np.ndarray:
    """The Jacobian of a function of one vector (a number counts as a vector of one), from the tape."""
    return jacobian(step, np.atleast_1d(np.asarray(h, float))).data


def spectral_norm(matrix: np.ndarray) -> float:
    return float(np.linalg.norm(matrix, 2))


def spectral_radius(matrix: Any) -> float:
    return float(np.abs(np.linalg.eigvals(np.atleast_2d(matrix))).max())


def slope(h: Any) -> np.ndarray:
    """tanh'(z) by way of h = tanh(z)."""
    return 1 - np.asarray(h) ** 2


# ------------------------------------------------------------------ networks of one equation


def held_at(W: Any, z: Any, h: Tensor, steps: int, phi: Any = tanh) -> Tensor:
    """h after some steps of φ(W h + u), where each u is chosen so that the pre-activation W h + u is z."""
    for _ in range(steps):
        u = z - W @ h.data
        h = phi(W @ h + u)
    return h


def free(W: Any, h: Tensor, steps: int, phi: Any = tanh) -> Tensor:
    """h after some steps of φ(W h), with no input."""
    for _ in range(steps):
        h = phi(W @ h)
    return h


def linear(matrices: Iterable[Any], h: Any) -> Any:
    """h after one linear step for each matrix."""
    for W in matrices:
        h = np.asarray(W, float) @ h
    return h


def aligned(matrix: np.ndarray, x: np.ndarray, k: int, v: np.ndarray) -> float:
    """The cosine between v and the gradient of v'h_k sent back k steps through h_t = Mᵀ h_{t-1}: Mᵏ x."""
    h = Tensor(np.zeros(len(x)), requires_grad=True)
    g = grad(linear([matrix.T] * k, h), h, x).data
    return float(g @ v / np.linalg.norm(g))


def chain(w: Tensor, xs: Sequence[float], xis: Sequence[float] | None = None) -> Tensor:
    """The last h of h_t = tanh(x_t + w h_{t-1}), h_0 = 0; what passes back from t to t - 1 is multiplied by ξ_t."""
    h = Tensor(0.0)
    for x_t, xi in zip(xs, [1.0] * len(xs) if xis is None else xis, strict=True):
        h = tanh(x_t + w * passing(h, xi))
    return h


def passing(h: Tensor, xi: float) -> Tensor:
    """h, but the gradient on its way back through it is multiplied by ξ."""
    return h.detach() + xi * (h - h.detach())


def enumerated(gradient: Callable[[Sequence[float]], float], T: int, pi: float) -> tuple[float, float]:
    """Mean and variance of gradient(ξ_1 ... ξ_T) over all 2^T draws; ξ = 0 with probability 1 - π, else 1 / π."""
    mean = square = 0.0
    for kept in itertools.product((False, True), repeat=T):
        probability = math.prod(pi if keep else 1 - pi for keep in kept)
        g = gradient([1 / pi if keep else 0.0 for keep in kept])
        mean += probability * g
        square += probability * g**2
    return mean, square - mean**2


# ------------------------------------------------------------------ a network with inputs, outputs and a loss


@dataclass
class ColumnRNN:
    """h_t = φ(W_hx x_t + W_hh h_{t-1}),  o_t = W_qh h_t,  L = (1/T) Σ_t 1/2 |o_t - y_t|², on random numbers.

    φ is tanh or, with ``tanh=False``, the identity.
    """

    T: int = 6
    tanh: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        shapes = {"W_hx": (3, 2), "W_hh": (3, 3), "W_qh": (2, 3)}
        self.weights = {name: Tensor(rng.normal(0, 0.7, n), requires_grad=True) for name, n in shapes.items()}
        self.x, self.y = rng.normal(size=(2, self.T, 2))
        W_hx, W_hh, W_qh = self.weights.values()
        self.h: list[Tensor] = [Tensor(np.zeros(3))]
        self.o: list[Tensor] = []
        for x_t in self.x:
            z = W_hx @ x_t + W_hh @ self.h[-1]
            self.h.append(tanh(z) if self.tanh else z)
            self.o.append(W_qh @ self.h[-1])
        self.losses = [((o - y) ** 2).sum() / (2 * self.T) for o, y in zip(self.o, self.y, strict=True)]
        self.loss = sum(self.losses[1:], self.losses[0])

    def on_the_tape(self) -> dict[str, np.ndarray]:
        """Every gradient, from one reverse sweep."""
        wanted = [*self.o, *self.h[1:], *self.weights.values()]
        found = [g.data for g in grad(self.loss, wanted, retain_graph=True)]
        T = self.T
        return {"o": np.array(found[:T]), "h": np.array(found[T : 2 * T])} | dict(
            zip(self.weights, found[2 * T :], strict=True)
        )

    def by_formula(self, slopes: bool) -> dict[str, np.ndarray]:
        """The same by the recursion of the texts; they leave out the slopes φ', which is right where φ' = 1."""
        W_hh, W_qh = self.weights["W_hh"].data, self.weights["W_qh"].data
        h = np.array([h.data for h in self.h])
        d_o = (np.array([o.data for o in self.o]) - self.y) / self.T
        phi = slope(h[1:]) if slopes else np.ones_like(h[1:])
        d_h = np.zeros_like(phi)
        back = np.zeros(3)
        for t in reversed(range(self.T)):
            d_h[t] = W_qh.T @ d_o[t] + back
            back = W_hh.T @ (phi[t] * d_h[t])
        d_z = phi * d_h
        return {"o": d_o, "h": d_h, "W_hx": d_z.T @ self.x, "W_hh": d_z.T @ h[:-1], "W_qh": d_o.T @ h[1:]}


# ------------------------------------------------------------------ the LSTM, seen from its memory


def lstm_cell(W_x: Any, W_h: Any, b: Any = None) -> LSTMCell:
    """A float64 cell with these weights; rows, and gates i, f, g, o side by side, as the library has them."""
    W_x, W_h = np.atleast_2d(np.asarray(W_x, float)), np.atleast_2d(np.asarray(W_h, float))
    cell = LSTMCell(len(W_x), len(W_h), bias=b is not None, dtype=float, rng=0)
    cell.W_xh.data, cell.W_hh.data = W_x, W_h
    if b is not None and cell.b_h is not None:
        cell.b_h.data = np.asarray(b, float)
    return cell


def memory_after(cell: LSTMCell, xs: Any, C: Tensor, o: Any) -> Tensor:
    """C_k as a function of C_0, where h_0 = o_0 tanh(C_0): a step for each x."""
    state = (o * tanh(C), C)
    for x in xs:
        state = cell(x, state)
    return state[1]


def gates(cell: LSTMCell, x: Any, h: np.ndarray) -> dict[str, np.ndarray]:
    """The values of i, f, g and o."""
    a = cell.project(Tensor(x)).data + h @ cell.W_hh.data
    return {k: np.tanh(a[cell.gate(k)]) if k == "g" else 1 / (1 + np.exp(-a[cell.gate(k)])) for k in cell.gates}


def four_terms(cell: LSTMCell, x: Any, C: np.ndarray, o: np.ndarray, entrywise: bool = False) -> np.ndarray:
    """dC_t / dC_{t-1} as a matrix: diag(C s_f) W_hf R + diag(g s_i) W_hi R + diag(i s_g) W_hg R + diag(f).

    C and o are those of step t - 1, s the slopes of the gates, R = diag(o tanh'(C)), and W maps columns. `entrywise`
    takes every product and sum entry by entry instead, as they are sometimes printed.
    """
    v = gates(cell, x, o * np.tanh(C))
    R = o * slope(np.tanh(C))
    parts = {"f": C * v["f"] * (1 - v["f"]), "i": v["g"] * v["i"] * (1 - v["i"]), "g": v["i"] * slope(v["g"])}
    weights = {k: cell.W_hh.data[:, cell.gate(k)].T for k in parts}
    if entrywise:
        return sum((part * weights[k] * R for k, part in parts.items()), v["f"])
    return sum((np.diag(part) @ weights[k] @ np.diag(R) for k, part in parts.items()), np.diag(v["f"]))


def trajectory(cell: LSTMCell, xs: Any, C: Any, o: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """(C, o) before each step and after the last."""
    C, o = np.asarray(C, float), np.asarray(o, float)
    found = [(C, o)]
    for x in xs:
        h = o * np.tanh(C)
        o = gates(cell, x, h)["o"]
        C = cell(x, (h, C))[1].data
        found.append((C, o))
    return found


def four_term_product(cell: LSTMCell, xs: Any, C: Any, o: Any) -> np.ndarray:
    """The four-term matrices of successive steps, multiplied: the text's dC_k / dC_0."""
    product = np.eye(len(cell.W_hh))
    for x, (C_t, o_t) in zip(xs, trajectory(cell, xs, C, o), strict=False):
        product = four_terms(cell, x, C_t, o_t) @ product
    return product


def joint_product(cell: LSTMCell, xs: Any, C: Any, o: Any) -> np.ndarray:
    """dC_k / dC_0 by the Jacobians of the whole state: those of (h, C) → (h, C), multiplied, then the part for C."""
    H = len(cell.W_hh)
    C, o = np.asarray(C, float), np.asarray(o, float)
    h = o * np.tanh(C)
    product = np.vstack([np.diag(o * slope(np.tanh(C))), np.eye(H)])  # d(h_0, C_0) / dC_0
    for x in xs:
        product = joint_jacobian(cell, x, h, C) @ product
        h, C = (part.data for part in cell(x, (h, C)))
    return product[H:]


def joint_jacobian(cell: LSTMCell, x: Any, h: Any, C: Any) -> np.ndarray:
    """d(h_t, C_t) / d(h_{t-1}, C_{t-1}), (2H, 2H), from the tape."""
    blocks = jacobian(lambda h, C: cell(x, (h, C)), (h, C))
    return np.block([[block.data for block in row] for row in blocks])
