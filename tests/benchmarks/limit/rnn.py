"""The tanh RNN: h_t = tanh(W [h_{t-1}; 1; x_t]).

∂L/∂h_t = U D[t] with U = [W_o; W_h]ᵀ     from the scores of step t and from the next step, in one product
∂L/∂a_t = ∂L/∂h_t * (1 - h_t²)            which is part of D[t-1]
"""

from __future__ import annotations

import numpy as np

from .workspace import Gradients, Limit, blocked, row_blocks


class RNN(Limit):
    delta_rows = 1

    def prepare(self) -> None:
        B, T, _, H = self.shape
        V, Z, D = self.shape.V, self.Z, self.D
        self.slope = np.empty((T, H, B), self.dtype)  # 1 - h_t²
        self.D_flat = np.empty((V + H, T + 1, B), self.dtype)
        self.n_forward, self.n_backward = row_blocks(H, H + 1 + self.shape.I, B), row_blocks(H, V + H, B)
        self.dh_blocks = self.dh.reshape(self.n_backward, -1, B)
        self.forward_views = [(Z[t], Z[t + 1, :H].reshape(self.n_forward, -1, B)) for t in range(T)]
        self.backward_views = [(D[t + 1], self.slope[t], D[t, V:]) for t in reversed(range(T))]

    def step(self, weights: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> tuple[float, Gradients]:
        H, V, p = self.shape.H, self.shape.V, weights
        matmul, tanh, multiply = np.matmul, np.tanh, np.multiply
        self.load(x)

        W = np.concatenate([p["w_hh"], (p["b_ih"] + p["b_hh"])[:, None], p["w_ih"]], 1)
        W = blocked(W, self.n_forward)
        for z, h in self.forward_views:
            matmul(W, z, h)
            tanh(h, h)
        loss = self.head(np.concatenate([p["w_o"], p["b_o"][:, None]], 1), y, self.D[1:, :V])

        h, slope = self.Z[1:, :H], self.slope
        multiply(h, h, slope)
        np.subtract(self.one, slope, slope)
        U = blocked(np.concatenate([p["w_o"], p["w_hh"]]).T, self.n_backward)
        dh, dh_blocks = self.dh, self.dh_blocks
        for d_next, slope_t, da in self.backward_views:
            matmul(U, d_next, dh_blocks)
            multiply(dh, slope_t, da)

        D, Z = self.flat(self.D, self.D_flat)
        G = D @ Z.T
        d_o, d_a = G[:V], G[V:]
        db = d_a[:, H].copy()
        return loss, {
            "w_ih": d_a[:, H + 1 :],
            "w_hh": d_a[:, :H],
            "b_ih": db,
            "b_hh": db,
            "w_o": d_o[:, :H],
            "b_o": d_o[:, H],
        }
