"""The GRU, in terms of doubled gates r̆ = 2r, z̆ = 2z, and of s_t = (h_{t-1} - n) / 2.

    [u; q_r; q_z] = W [h_{t-1}; 1]         with rows of r z scaled by 1/2, and those of n too: u = (h W_hn + b_hn) / 2
    [v; v_r; v_z] = W_x [1; x_t]           for all time steps before the loop, since the reset gate acts on u alone
    [r̆ z̆] = 1 + tanh(p) with p = q + v
    n = tanh(v + r̆ u)
    h_t = n + z (h_{t-1} - n) = n + z̆ s_t

Backwards, since d(1 + tanh p)/dp = r̆ (2 - r̆), every factor is known before the loop:

    ∂L/∂h_t = U [∂L/∂u; ∂L/∂p_r; ∂L/∂p_z; ∂L/∂o_t] of the next step, + its direct part
    direct part = ∂L/∂h_t * K_h            K_h = z̆ / 2
    ∂L/∂v   = ∂L/∂h_t * K_n                K_n = (1 - z̆ / 2) (1 - n²)
    ∂L/∂u   = ∂L/∂h_t * K_u                K_u = K_n r̆
    ∂L/∂p_r = ∂L/∂h_t * K_r                K_r = K_n u r̆ (2 - r̆)
    ∂L/∂p_z = ∂L/∂h_t * K_z                K_z = s_t z̆ (2 - z̆)

The rows are ordered so that what is computed together lies together:

    A[t]   u r z                     P[t]   n r z, at first the projections v
    K[t]   K_h K_n K_u K_r K_z       all five multiplied by ∂L/∂h_t at once
    D[t]   direct v u p_r p_z ∂L/∂o  U reads the last four; the weights' gradient needs all but the first
"""

from __future__ import annotations

import numpy as np

from .workspace import Gradients, Limit, blocked, row_blocks


class GRU(Limit):
    delta_rows = 5

    def prepare(self) -> None:
        B, T, _, H = self.shape
        V, rows, HB = self.shape.V, self.rows, H * B
        A = self.A = np.empty((T, 3 * H, B), self.dtype)
        P = self.P = np.empty((T, 3 * H, B), self.dtype)
        s = self.s = np.empty((T, H, B), self.dtype)
        K = self.K = np.empty((self.chunk, 5 * H, B), self.dtype)
        product = np.empty((H, B), self.dtype)
        self.D_flat = np.empty((V + 4 * H, T + 1, B), self.dtype)
        self.n_forward, self.n_backward = row_blocks(3 * H, H + 1, B), row_blocks(H, V + 3 * H, B)
        self.dh_blocks = self.dh.reshape(self.n_backward, -1, B)

        self.forward_views = [
            (
                self.Z[t, : H + 1],  # h_{t-1}, 1
                A[t].reshape(self.n_forward, -1, B),
                A[t, rows(1, 2)],  # r z
                P[t, rows(1, 2)],  # v_r v_z
                A[t, rows(1)],  # r
                A[t, rows(0)],  # u
                product,
                P[t, rows(0)],  # n, at first v
                self.Z[t, :H],  # h_{t-1}
                s[t],
                A[t, rows(2)],  # z
                self.Z[t + 1, :H],  # h_t
            )
            for t in range(T)
        ]
        D = self.D.reshape(T + 1, -1)
        self.backward_views = []
        for steps in self.chunks():
            k = K[: steps.stop - steps.start]
            loop = [
                (
                    self.D[t + 1, 2 * H :],  # u p_r p_z ∂L/∂o, of the next step
                    D[t + 1, :HB],  # its direct part
                    k[t - steps.start].reshape(5, HB),
                    D[t, : 5 * HB].reshape(5, HB),
                )
                for t in reversed(range(steps.start, steps.stop))
            ]
            self.backward_views.append((A[steps], P[steps, rows(0)], s[steps], k, loop))

    def step(self, weights: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> tuple[float, Gradients]:
        H, T, p = self.shape.H, self.shape.T, weights
        one, half, dh, dh_blocks = self.one, self.half, self.dh.reshape(-1), self.dh_blocks
        matmul, tanh, multiply, add, subtract = np.matmul, np.tanh, np.multiply, np.add, np.subtract
        self.load(x)

        W, W_x = self.scaled_weights(p)
        W_blocks = blocked(W, self.n_forward)
        matmul(W_x, self.Z[:T, H:], self.P)
        for h1, a, rz, v_rz, r, u, product, n, h_before, s, z, h in self.forward_views:
            matmul(W_blocks, h1, a)
            add(rz, v_rz, rz)
            tanh(rz, rz)
            add(rz, one, rz)
            multiply(r, u, product)
            add(n, product, n)
            tanh(n, n)
            subtract(h_before, n, s)
            multiply(s, half, s)
            multiply(s, z, product)
            add(n, product, h)
        W_o = np.concatenate([p["w_o"], p["b_o"][:, None]], 1)
        loss = self.head(W_o, y, self.D[1:, 5 * H :])

        U = blocked(np.concatenate([W[:, :H], p["w_o"]]).T, self.n_backward)
        for A, n, s, K, loop in self.backward_views:
            self.derivatives(A, n, s, K)
            for d_next, direct, K_t, d_t in loop:
                matmul(U, d_next, dh_blocks)
                add(dh, direct, dh)
                multiply(K_t, dh, d_t)
        return loss, self.gradients()

    def derivatives(self, A: np.ndarray, n: np.ndarray, s: np.ndarray, K: np.ndarray) -> None:
        """All K of the formulas above, for a chunk of time steps."""
        rows, one, multiply, subtract = self.rows, self.one, np.multiply, np.subtract
        u, r, z = (A[:, rows(k)] for k in range(3))
        K_h, K_n, K_u, K_r, K_z = (K[:, rows(k)] for k in range(5))
        rz, K_rz = A[:, rows(1, 2)], K[:, rows(3, 4)]
        subtract(self.two, rz, K_rz)
        multiply(K_rz, rz, K_rz)
        multiply(n, n, K_n)
        subtract(one, K_n, K_n)
        multiply(z, self.half, K_h)
        subtract(one, K_h, K_u)  # 1 - z, in the place of K_u for now
        multiply(K_n, K_u, K_n)
        multiply(K_r, u, K_r)
        multiply(K_r, K_n, K_r)
        multiply(K_n, r, K_u)
        multiply(K_z, s, K_z)

    def scaled_weights(self, p: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """W for [h; 1] and W_x for [1; x], in our order n r z; torch's is r z n."""
        H, half = self.shape.H, self.half
        w_hh, w_ih, b_hh, b_ih = p["w_hh"], p["w_ih"], p["b_hh"], p["b_ih"]
        W = np.zeros((3 * H, H + 1), self.dtype)
        W[:H, :H], W[H:, :H] = w_hh[2 * H :], w_hh[: 2 * H]
        W[:H, H] = b_hh[2 * H :]
        W *= half
        W_x = np.empty((3 * H, 1 + self.shape.I), self.dtype)
        W_x[:H, 0], W_x[:H, 1:] = b_ih[2 * H :], w_ih[2 * H :]
        np.multiply(b_ih[: 2 * H] + b_hh[: 2 * H], half, out=W_x[H:, 0])
        np.multiply(w_ih[: 2 * H], half, out=W_x[H:, 1:])
        return W, W_x

    def gradients(self) -> Gradients:
        """Σ_t D[t] Z[t]ᵀ in the three parts that are needed, and the scales and the order undone."""
        H, half = self.shape.H, self.half
        D, Z = self.flat(self.D[:, H:], self.D_flat)  # v u p_r p_z ∂L/∂o
        if self.shape.B == 1:
            D = np.ascontiguousarray(D)
        by_h = D[H:] @ Z[: H + 1].T  # of u p_r p_z and the scores, with respect to [h; 1]
        by_x = D[:H] @ Z[H:].T  # of v, with respect to [1; x]
        gates_by_x = D[2 * H : 4 * H] @ Z[H + 1 :].T
        w_hh, b_hh = np.empty((3 * H, H), self.dtype), np.empty(3 * H, self.dtype)
        np.multiply(by_h[:H, :H], half, out=w_hh[2 * H :])
        np.multiply(by_h[H : 3 * H, :H], half, out=w_hh[: 2 * H])
        np.multiply(by_h[:H, H], half, out=b_hh[2 * H :])
        np.multiply(by_h[H : 3 * H, H], half, out=b_hh[: 2 * H])
        w_ih = np.empty((3 * H, self.shape.I), self.dtype)
        w_ih[2 * H :] = by_x[:, 1:]
        np.multiply(gates_by_x, half, out=w_ih[: 2 * H])
        b_ih = np.concatenate([b_hh[: 2 * H], by_x[:, 0]])
        d_o = by_h[3 * H :]
        return {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh, "w_o": d_o[:, :H], "b_o": d_o[:, H]}
