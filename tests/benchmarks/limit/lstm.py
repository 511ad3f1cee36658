"""The LSTM, in terms of doubled gates ŏ = 2o, ĭ = 2i, f̆ = 2f and of a doubled output h̆ = 2h.

    [ŏ ĭ f̆] = 1 + tanh(p),  g = tanh(p)    with p = W [h̆_{t-1}; 1; x_t], and W scaled to fit: rows of o i f by 1/2,
                                           columns of h by 1/2
    c_t = (ĭ g + f̆ c_{t-1}) / 2
    h̆_t = ŏ tanh(c_t)

Backwards, with e_t = 1/2 ∂L/∂c_t in place of ∂L/∂c_t. Since d(1 + tanh p)/dp = ŏ (2 - ŏ):

    ∂L/∂h̆_t = U [∂L/∂p of o; ∂L/∂o_t; ∂L/∂p of i f g], of the next step
    e_t = ∂L/∂h̆_t * K_c + e from the next step           K_c = ŏ (1 - tanh² c) / 2
    ∂L/∂p_o = ∂L/∂h̆_t * K_o                              K_o = ŏ (2 - ŏ) tanh c
    ∂L/∂p_i = e_t * K_i                                  K_i = ĭ (2 - ĭ) g
    ∂L/∂p_f = e_t * K_f                                  K_f = f̆ (2 - f̆) c_{t-1}
    ∂L/∂p_g = e_t * K_g                                  K_g = ĭ (1 - g²)
    e for the step before = e_t * f̆ / 2

The rows are ordered so that what is computed together lies together:

    A[t]   o i f g c_{t-1}            one tanh over o i f g; [i f] * [g c_{t-1}] is one multiplication
    K[t]   K_c K_o | K_i K_f K_g f̆/2  one multiplication each with ∂L/∂h̆ and with e
    D[t]   e' p_o ∂L/∂o p_i p_f p_g e e' = ∂L/∂h̆ * K_c; U reads the five in the middle, without a copy
"""

from __future__ import annotations

import numpy as np

from .workspace import Gradients, Limit, blocked, row_blocks

SOURCE = (3, 0, 1, 2)  # of our gates o i f g, the place among torch's i f g o
SCALE = (0.5, 0.5, 0.5, 1.0)


class LSTM(Limit):
    delta_rows = 6

    def prepare(self) -> None:
        B, T, _, H = self.shape
        V, rows, HB = self.shape.V, self.rows, H * B
        A = self.A = np.zeros((T + 1, 5 * H, B), self.dtype)
        tanh_c = self.tanh_c = np.empty((T, H, B), self.dtype)
        K = self.K = np.empty((self.chunk, 6 * H, B), self.dtype)
        products = np.empty((2 * H, B), self.dtype)  # ĭ g and f̆ c_{t-1}
        self.D_flat = np.empty((V + 4 * H, T + 1, B), self.dtype)
        self.e = np.empty(HB, self.dtype)
        self.n_forward, self.n_backward = row_blocks(4 * H, H + 1 + self.shape.I, B), row_blocks(H, V + 4 * H, B)
        self.dh_blocks = self.dh.reshape(self.n_backward, -1, B)
        self.middle = slice(H, 5 * H + V)  # p_o ∂L/∂o p_i p_f p_g

        self.forward_views = [
            (
                self.Z[t],
                A[t, rows(0, 3)].reshape(self.n_forward, -1, B),
                A[t, rows(0, 2)],  # o i f
                A[t, rows(1, 2)],  # i f
                A[t, rows(3, 4)],  # g c_{t-1}
                products,
                products[rows(0)],
                products[rows(1)],
                A[t + 1, rows(4)],  # c_t
                tanh_c[t],
                A[t, rows(0)],  # o
                self.Z[t + 1, rows(0)],  # h̆_t
            )
            for t in range(T)
        ]
        D = self.D.reshape(T + 1, -1)
        self.backward_views = []
        for steps in self.chunks():
            k = K[: steps.stop - steps.start]
            loop = [
                (
                    self.D[t + 1, self.middle],
                    k[t - steps.start, rows(0, 1)].reshape(2, HB),  # K_c K_o
                    D[t, : 2 * HB].reshape(2, HB),  # e' p_o
                    D[t, :HB],  # e'
                    D[t + 1, -HB:],  # e from the next step
                    k[t - steps.start, rows(2, 5)].reshape(4, HB),  # K_i K_f K_g f̆/2
                    D[t, -4 * HB :].reshape(4, HB),  # p_i p_f p_g e
                )
                for t in reversed(range(steps.start, steps.stop))
            ]
            self.backward_views.append((self.factors(A[steps], tanh_c[steps], k), loop))

    def step(self, weights: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> tuple[float, Gradients]:
        H, V, p = self.shape.H, self.shape.V, weights
        one, half, e, dh, dh_blocks = self.one, self.half, self.e, self.dh.reshape(-1), self.dh_blocks
        matmul, tanh, multiply, add = np.matmul, np.tanh, np.multiply, np.add
        self.load(x)

        W, W_o = self.scaled_weights(p)
        W_blocks = blocked(W, self.n_forward)
        for z, oifg, oif, i_f, gc, products, ig, fc, c, tanh_c, o, h in self.forward_views:
            matmul(W_blocks, z, oifg)
            tanh(oifg, oifg)
            add(oif, one, oif)
            multiply(i_f, gc, products)
            add(ig, fc, c)
            multiply(c, half, c)
            tanh(c, tanh_c)
            multiply(o, tanh_c, h)
        loss = self.head(W_o, y, self.D[1:, 2 * H : 2 * H + V])

        U = blocked(np.concatenate([W[:H, :H], W_o[:, :H], W[H:, :H]]).T, self.n_backward)
        for factors, loop in self.backward_views:
            self.derivatives(*factors)
            for d_next, K_co, e_o, e_new, e_next, K_ifg, ifg_e in loop:
                matmul(U, d_next, dh_blocks)
                multiply(K_co, dh, e_o)
                add(e_new, e_next, e)
                multiply(K_ifg, e, ifg_e)
        return loss, self.gradients()

    def factors(self, A: np.ndarray, tanh_c: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, ...]:
        """The views that `derivatives` needs, of a chunk of time steps."""
        of_A = (A[:, self.rows(*k)] for k in ((0,), (1,), (2,), (0, 2), (3,), (3, 4)))
        of_K = (K[:, self.rows(*k)] for k in ((0,), (1,), (2, 3), (1, 3), (4,), (5,)))
        return (*of_A, tanh_c, *of_K)

    def derivatives(
        self,
        o: np.ndarray,
        i: np.ndarray,
        f: np.ndarray,
        oif: np.ndarray,
        g: np.ndarray,
        gc: np.ndarray,
        tanh_c: np.ndarray,
        K_c: np.ndarray,
        K_o: np.ndarray,
        K_if: np.ndarray,
        K_oif: np.ndarray,
        K_g: np.ndarray,
        half_f: np.ndarray,
    ) -> None:
        """All K of the formulas above, for a chunk of time steps."""
        one, half, multiply, subtract = self.one, self.half, np.multiply, np.subtract
        subtract(self.two, oif, K_oif)
        multiply(K_oif, oif, K_oif)
        multiply(K_o, tanh_c, K_o)
        multiply(K_if, gc, K_if)
        multiply(g, g, K_g)
        subtract(one, K_g, K_g)
        multiply(K_g, i, K_g)
        multiply(tanh_c, tanh_c, K_c)
        subtract(one, K_c, K_c)
        multiply(K_c, o, K_c)
        multiply(K_c, half, K_c)
        multiply(f, half, half_f)

    def scaled_weights(self, p: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """W of all gates and W_o of the head, each for a column [h̆; 1; x] or [h̆; 1]."""
        H, b = self.shape.H, p["b_ih"] + p["b_hh"]
        W = np.empty((4 * H, H + 1 + self.shape.I), self.dtype)
        for k, (source, scale) in enumerate(zip(SOURCE, SCALE, strict=True)):
            block, torchs = W[self.rows(k)], self.rows(source)
            np.multiply(p["w_hh"][torchs], scale / 2, out=block[:, :H])
            np.multiply(b[torchs], scale, out=block[:, H])
            np.multiply(p["w_ih"][torchs], scale, out=block[:, H + 1 :])
        W_o = np.empty((self.shape.V, H + 1), self.dtype)
        np.multiply(p["w_o"], self.half, out=W_o[:, :H])
        W_o[:, H] = p["b_o"]
        return W, W_o

    def gradients(self) -> Gradients:
        """Σ_t D[t] Z[t]ᵀ, and the scales and the order of `scaled_weights` undone."""
        H, V = self.shape.H, self.shape.V
        D, Z = self.flat(self.D[:, self.middle], self.D_flat)
        G = D @ Z.T
        starts = (0, H + V, 2 * H + V, 3 * H + V)  # of p_o p_i p_f p_g
        dW = np.empty((4 * H, G.shape[1]), self.dtype)
        for start, source, scale in zip(starts, SOURCE, SCALE, strict=True):
            np.multiply(G[start : start + H], scale, out=dW[self.rows(source)])
        dW[:, :H] *= self.half
        db, d_o = dW[:, H].copy(), G[H : H + V]
        return {
            "w_ih": dW[:, H + 1 :],
            "w_hh": dW[:, :H],
            "b_ih": db,
            "b_hh": db,
            "w_o": d_o[:, :H] * self.half,
            "b_o": d_o[:, H],
        }
