"""The small networks that the claims are tried on. Columns, as three of the texts write them: h_t = φ(W h_{t-1} + u_t).

Every Jacobian here is J[i, j] = dh_t[i] / dh_k[j], found on the tape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd.functional import grad, jacobian
from ..autograd.tensor import Tensor
from ..bptt.memory import memory_terms
from ..bptt.randomized import Randomized
from ..nn.cells import LSTMCell
from ..nn.recurrent import unroll
from ..ops.elementwise import tanh


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


def held_at(W: Any, z: Any, h: Tensor, steps: int) -> Tensor:
    """h after some steps of tanh(W h + u), where each u is chosen so that the pre-activation W h + u is z."""
    for _ in range(steps):
        u = z - W @ h.data
        h = tanh(W @ h + u)
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


def chain(w: Tensor) -> Any:
    """The cell h_t = tanh(x_t + w h_{t-1})."""

    def cell(x_t: Any, h: Tensor) -> tuple[Tensor, Tensor]:
        h = tanh(x_t + w * h)
        return h, h

    return cell


def last_gradient(cell: Any, x: Any, w: Tensor, xi: Any = None) -> float:
    """dh_T/dw by the reverse sweep, from h_0 = 0; xi are the T - 1 factors of random truncation."""
    windows = Randomized(1.0).run(lambda x, h: unroll(cell, x, h), x, Tensor(0.0), xi)
    _, output, _ = list(windows)[-1]
    return grad(output[-1], w).item()


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


def trajectory(cell: LSTMCell, xs: Any, C: np.ndarray, o: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(C, o) before each step."""
    found = []
    for x in xs:
        found.append((C, o))
        h = o * np.tanh(C)
        o, C = gates(cell, x, h)["o"], cell(x, (h, C))[1].data
    return found


def four_term_product(cell: LSTMCell, xs: Any, C: np.ndarray, o: np.ndarray) -> np.ndarray:
    """The four-term matrices of successive steps, multiplied: the text's dC_k / dC_0."""
    product = np.eye(len(cell.W_hh))
    for x, (C_t, o_t) in zip(xs, trajectory(cell, xs, C, o), strict=True):
        product = memory_terms(cell, x, C_t, o_t).total[0] @ product
    return product


def joint_product(cell: LSTMCell, xs: Any, C: np.ndarray, o: np.ndarray) -> np.ndarray:
    """dC_k / dC_0 by the Jacobians of the whole state, (h, C) → (h, C): their product, then the part for C."""
    h, H = o * np.tanh(C), len(C)
    product = np.vstack([np.diag(o * slope(np.tanh(C))), np.eye(H)])  # d(h_0, C_0) / dC_0
    for x in xs:
        blocks = jacobian(lambda h, C, x=x: cell(x, (h, C)), (h, C))
        product = np.block([[block.data for block in row] for row in blocks]) @ product
        h, C = (part.data for part in cell(x, (h, C)))
    return product[H:]
