"""The arithmetic of fused layers: all time steps of a cell, forward and back, in as few NumPy calls as possible.

The equations are those of `cells.py`, and their derivatives by hand. What makes it fast, in order of gain:

- one product for the gradient of a weight, dL/dW = Σ_k h_{k-1}ᵀ d_k: all steps side by side as two matrices;
- slabs: the gates lie side by side as (G, B, H), so that one NumPy call serves several;
- one tanh for all gates, σ(x) = (1 + tanh(x/2)) / 2, where the inner 1/2 is put into a copy of the weights;
- K, the factors of the derivative that do not depend on the gradient, for many steps in one call;
- a run is one record (`steps.py`), and its steps go back together where nobody wants to see each gradient on its way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from ...engine.cotangent import Indexed
from ...ops.blas import quiet

# the last argument of each call below is where the result goes
add, matmul, multiply, subtract, tanh = np.add, np.matmul, np.multiply, np.subtract, np.tanh

_CHUNK = 1 << 20  # bytes of K at a time: about half of a second-level cache


class Run:
    """The T steps of a layer in numbers, in the order in which they are taken.

    a          (T, B, G H) what the steps get of the input, in the order of time
    start      the state before the first step, each part (B, H)
    weights    those of the recurrence: W_hh (H, G H), and what else the cell has
    dead       (T, B, 1) which sequences have ended before a step, or None
    backwards  whether the steps are taken from the end of time to its beginning. An array over steps then runs
               backwards through its memory, which so is in the order of time all the same
    """

    weights: ClassVar[tuple[str, ...]] = ("W_hh",)
    slots: int = 1  # the parts (B, H) that dL/d(pre-activations) has

    @quiet
    def __init__(
        self, cell: Any, a: np.ndarray, start: Sequence[np.ndarray], dead: np.ndarray | None, backwards: bool
    ) -> None:
        self.cell, self.dead, self.backwards = cell, dead, backwards
        self.W, self.dtype = cell.W_hh.array, a.dtype
        (self.T, self.B, _), self.H = a.shape, cell.hidden_size
        self.one, self.half = np.ones((), self.dtype), np.full((), 0.5, self.dtype)
        self.h = self.over_steps(self.T + 1, self.B, self.H)  # h[k] is the state before step k
        self.h[0] = start[0]
        self.forward(a[::-1] if backwards else a, *start[1:])

    def over_steps(self, *shape: int) -> np.ndarray:
        """An array with one entry a step."""
        array = np.empty(shape, self.dtype)
        return array[::-1] if self.backwards else array

    @property
    def output(self) -> np.ndarray:
        """(T, B, H) the h after each step, in the order of time."""
        return self.h[:0:-1] if self.backwards else self.h[1:]

    def states(self) -> list[np.ndarray]:
        """The parts of the state, each (T + 1, B, H) with entry k before step k."""
        return [self.h]

    def after(self) -> Iterator[tuple[np.ndarray, ...]]:
        """For each step the parts of the state after it."""
        return zip(*(part[1:] for part in self.states()), strict=True)

    def hold(self, k: int) -> None:
        """Let the sequences that have ended before step k keep their state."""
        for part in self.states():
            np.copyto(part[k + 1], part[k], where=self.dead[k])  # type: ignore[index]

    def slabs(self, columns: np.ndarray) -> np.ndarray:
        """(n, B, G H) as (n, G, B, H): gate by gate, a view."""
        n, B, width = columns.shape
        return columns.reshape(n, B, width // self.H, self.H).transpose(0, 2, 1, 3)

    def gradients(
        self, first: int, last: int, ends: Sequence[np.ndarray], a: np.ndarray, output: np.ndarray | None = None
    ) -> tuple[Any, ...]:
        """dL/da, dL/d(state before the first step) and dL/d(weights), by the steps first..last.

        ends    dL/d(state after the last of them), an array for each part of the state
        output  what there is of dL/dh besides, for each of the steps
        """
        d = self.over_steps(last + 1 - first, self.B, self.slots * self.H)
        states = [np.array(g, order="C") for g in ends]
        W_back, chunk = self.packed_back(), max(1, _CHUNK // max(1, 5 * self.B * self.H * self.dtype.itemsize))
        dead = None if self.dead is None or not self.dead[first : last + 1].any() else self.dead
        for end in range(last + 1, first, -chunk):
            begin = max(first, end - chunk)
            known = list(self.derivatives(begin, end, d[begin - first : end - first]))
            for k in range(end - 1, begin - 1, -1):
                if output is not None:
                    add(states[0], output[k - first], states[0])
                if dead is None:
                    self.backward(known[k - begin], W_back, *states)
                else:  # the gradient of a sequence that has ended passes by
                    passing = [np.where(dead[k], part, 0) for part in states]
                    for part in states:
                        np.copyto(part, 0, where=dead[k])
                    self.backward(known[k - begin], W_back, *states)
                    for part, by in zip(states, passing, strict=True):
                        add(part, by, part)
        return self.of_sequence(d, first, last, a), *states, *self.of_weights(d, first, last)

    def of_sequence(self, d: np.ndarray, first: int, last: int, a: np.ndarray) -> Any:
        """dL/da, in the order of time; lazy where the steps are not all."""
        if self.backwards:
            d, first, last = d[::-1], self.T - 1 - last, self.T - 1 - first
        return d if len(d) == self.T else Indexed(slice(first, last + 1), d, a)

    def of_weights(self, d: np.ndarray, first: int, last: int) -> list[np.ndarray]:
        """dL/d(weight) for each of `weights`: for W_hh, Σ_k h_{k-1}ᵀ d_k."""
        return [self.product(d, first, last)]

    def product(self, d: np.ndarray, first: int, last: int) -> np.ndarray:
        """Σ_k h_{k-1}ᵀ d_k as one product of two matrices."""
        return _rows(self.h[first : last + 1]).T @ _rows(d)

    # ---------------------------------------------------------------- what a cell defines

    def forward(self, a: np.ndarray, *start: np.ndarray) -> None:
        """Fill the arrays over steps."""
        raise NotImplementedError

    def derivatives(self, first: int, last: int, d: np.ndarray) -> Iterator[Any]:
        """For each step of first .. last - 1 what `backward` needs: factors K, and its part of d (of those steps)."""
        raise NotImplementedError

    def backward(self, known: Any, W_back: np.ndarray, *states: np.ndarray) -> None:
        """From dL/d(state after the step) to dL/d(state before it), in place; dL/d(pre-activations) goes into d."""
        raise NotImplementedError

    def packed(self, gates: str, scales: Sequence[Any], a: np.ndarray, slabs: np.ndarray) -> np.ndarray:
        """W_hh gate by gate, (G, H, H), each times its scale; so is a, which goes into the slabs of all steps."""
        W = np.empty((len(gates), self.H, self.H), self.dtype)
        for to, (gate, scale) in enumerate(zip(gates, scales, strict=True)):
            columns = self.cell.gate(gate)
            multiply(self.W[:, columns], scale, W[to])
            multiply(a[:, :, columns], scale, slabs[:, to])
        return W

    def packed_back(self) -> np.ndarray:
        """The matrix that takes dL/d(pre-activations) back to dL/dh: the recurrent weight, turned."""
        return self.W.T.copy()


class RNNRun(Run):
    """h_k = φ(a_k + h_{k-1} W_hh).

    With d_k = φ'(..) dL/dh_k:  dL/da_k = d_k,  dL/dh_{k-1} = d_k W_hhᵀ,  dL/dW_hh = Σ_k h_{k-1}ᵀ d_k.
    """

    def forward(self, a: np.ndarray, *start: np.ndarray) -> None:
        W, half, name, some_end = self.W, self.half, self.cell.nonlinearity, self.dead is not None
        if name == "sigmoid":
            a, W = a * half, W * half
        for k, (h, a_k, new) in enumerate(zip(self.h, a, self.h[1:], strict=False)):
            matmul(h, W, new)
            add(new, a_k, new)
            if name == "relu":
                np.maximum(new, 0, out=new)
            elif name != "identity":
                tanh(new, new)
            if name == "sigmoid":
                multiply(new, half, new)
                add(new, half, new)
            if some_end:
                self.hold(k)

    def derivatives(self, first: int, last: int, d: np.ndarray) -> Iterator[Any]:
        h, name = self.h[first + 1 : last + 1], self.cell.nonlinearity
        if name == "tanh":
            K = subtract(self.one, h * h)
        elif name == "relu":
            K = (h > 0).astype(self.dtype)
        elif name == "sigmoid":
            K = h * (self.one - h)
        else:
            K = np.ones_like(h)
        return zip(K, d, strict=True)

    def backward(self, known: Any, W_back: np.ndarray, *states: np.ndarray) -> None:
        (K, d), (dh,) = known, states
        multiply(K, dh, d)
        matmul(d, W_back, dh)


class LSTMRun(Run):
    """c_k = f * c_{k-1} + i * g,  h_k = o * tanh(c_k), with i, f, g, o = a_k + h_{k-1} W_hh, squashed.

    dc  = dL/dc_k + dL/dh_k * o (1 - tanh² c_k)
    d_o = dL/dh_k * tanh(c_k) o (1 - o)
    d_i = dc * g i (1 - i),   d_f = dc * c_{k-1} f (1 - f),   d_g = dc * i (1 - g²)
    dL/dc_{k-1} = dc * f,   dL/dh_{k-1} = d W_hhᵀ,   dL/dW_hh = Σ_k h_{k-1}ᵀ d_k
    """

    slots = 4

    def forward(self, a: np.ndarray, *start: np.ndarray) -> None:
        half, some_end = self.half, self.dead is not None
        # the slabs of a step are o i f g c_{k-1}: three that σ squashes, and [i f] against [g c_{k-1}]
        self.gates = self.over_steps(self.T + 1, 5, self.B, self.H)
        self.gates[0, 4] = start[0]
        self.tanh_c = self.over_steps(self.T, self.B, self.H)
        W = self.packed("oifg", (half, half, half, self.one), a, self.gates[: self.T])
        u, p = np.empty((4, self.B, self.H), self.dtype), np.empty((2, self.B, self.H), self.dtype)
        p_i, p_f = p
        gates = self.gates[: self.T]
        slabs = zip(gates[:, :4], gates[:, :3], gates[:, 1:3], gates[:, 3:], gates[:, 0], strict=True)
        states = zip(self.h, self.tanh_c, self.gates[1:, 4], self.h[1:], strict=False)
        for k, ((z, oif, i_f, g_c, o), (h, tanh_c, c, new)) in enumerate(zip(slabs, states, strict=True)):
            matmul(h, W, u)
            add(z, u, z)
            tanh(z, z)
            multiply(oif, half, oif)
            add(oif, half, oif)
            multiply(i_f, g_c, p)
            add(p_i, p_f, c)
            tanh(c, tanh_c)
            multiply(o, tanh_c, new)
            if some_end:
                self.hold(k)

    def states(self) -> list[np.ndarray]:
        return [self.h, self.gates[:, 4]]

    def derivatives(self, first: int, last: int, d: np.ndarray) -> Iterator[Any]:
        gates, tanh_c, one = self.gates[first:last], self.tanh_c[first:last], self.one
        oif, o, i, f, g = gates[:, :3], gates[:, 0], gates[:, 1], gates[:, 2], gates[:, 3]
        K = np.empty((last - first, 5, self.B, self.H), self.dtype)  # the factors of d_o, d_i, d_f, d_g and dc
        subtract(one, oif, K[:, :3])
        multiply(K[:, :3], oif, K[:, :3])
        multiply(K[:, 0], tanh_c, K[:, 0])
        multiply(K[:, 1:3], gates[:, 3:], K[:, 1:3])
        multiply(g, g, K[:, 3])
        subtract(one, K[:, 3], K[:, 3])
        multiply(K[:, 3], i, K[:, 3])
        multiply(tanh_c, tanh_c, K[:, 4])
        subtract(one, K[:, 4], K[:, 4])
        multiply(K[:, 4], o, K[:, 4])
        d_slabs = self.slabs(d)
        return zip(K[:, 4], K[:, 0], K[:, 1:4], f, d, d_slabs[:, 3], d_slabs[:, :3], strict=True)

    def backward(self, known: Any, W_back: np.ndarray, *states: np.ndarray) -> None:
        K_c, K_o, K_ifg, f, d, d_o, d_ifg = known
        dh, dc = states
        multiply(K_o, dh, d_o)
        multiply(K_c, dh, K_c)
        add(dc, K_c, dc)
        multiply(K_ifg, dc, d_ifg)
        multiply(dc, f, dc)
        matmul(d, W_back, dh)


class GRURun(Run):
    """h_k = (1 - z) * n + z * h_{k-1},  n = tanh(a_n + r * u_n),  r, z = σ(a + u),  u = h_{k-1} W_hh + (0, 0, b_hn).

    d_n = dL/dh_k * (1 - z) (1 - n²)                    d_z = dL/dh_k * (h_{k-1} - n) z (1 - z)
    d_r = d_n * u_n r (1 - r)                           d_u = d_n * r, what reaches u_n
    dL/da = (d_r, d_z, d_n),   dL/du = (d_r, d_z, d_u),   dL/dh_{k-1} = dL/dh_k * z + dL/du W_hhᵀ
    """

    weights = ("W_hh", "b_hn")
    slots = 4  # d_u d_r d_z d_n: the first three are dL/du, the last three dL/da

    def forward(self, a: np.ndarray, *start: np.ndarray) -> None:
        half, H, some_end = self.half, self.H, self.dead is not None
        b = self.cell.b_hn.array if self.cell.b_hn is not None else np.zeros(H, self.dtype)
        self.gates = self.over_steps(self.T, 3, self.B, H)  # r z n
        self.u_n = self.over_steps(self.T, self.B, H)
        self.less_n = self.over_steps(self.T, self.B, H)  # h_{k-1} - n
        W = self.packed("rzn", (half, half, self.one), a, self.gates)
        u, p = np.empty((3, self.B, H), self.dtype), np.empty((self.B, H), self.dtype)
        u_rz, product_n = u[:2], u[2]
        gates = self.gates
        slabs = zip(gates[:, :2], gates[:, 0], gates[:, 1], gates[:, 2], self.u_n, self.less_n, strict=True)
        states = zip(self.h, self.h[1:], strict=False)
        for k, ((rz, r, z, n, u_n, less_n), (h, new)) in enumerate(zip(slabs, states, strict=True)):
            matmul(h, W, u)
            add(rz, u_rz, rz)
            tanh(rz, rz)
            multiply(rz, half, rz)
            add(rz, half, rz)
            add(product_n, b, u_n)
            multiply(r, u_n, p)
            add(n, p, n)
            tanh(n, n)
            subtract(h, n, less_n)
            multiply(z, less_n, new)
            add(new, n, new)
            if some_end:
                self.hold(k)

    def derivatives(self, first: int, last: int, d: np.ndarray) -> Iterator[Any]:
        gates, one = self.gates[first:last], self.one
        rz, r, z, n = gates[:, :2], gates[:, 0], gates[:, 1], gates[:, 2]
        K = np.empty((last - first, 5, self.B, self.H), self.dtype)  # the factors of d_u d_r d_z d_n, and z itself
        K_u, K_rz, K_n = K[:, 0], K[:, 1:3], K[:, 3]
        K[:, 4] = z
        multiply(n, n, K_n)
        subtract(one, K_n, K_n)
        subtract(one, z, K_u)
        multiply(K_n, K_u, K_n)
        multiply(K_n, r, K_u)
        subtract(one, rz, K_rz)
        multiply(K_rz, rz, K_rz)
        multiply(K[:, 1], self.u_n[first:last], K[:, 1])
        multiply(K[:, 1], K_n, K[:, 1])
        multiply(K[:, 2], self.less_n[first:last], K[:, 2])
        return zip(K[:, :4], K[:, 4], self.slabs(d), d[:, :, : 3 * self.H], strict=True)

    def backward(self, known: Any, W_back: np.ndarray, *states: np.ndarray) -> None:
        (K, kept, d, d_u), (dh,) = known, states
        multiply(K, dh, d)
        multiply(kept, dh, kept)
        matmul(d_u, W_back, dh)
        add(dh, kept, dh)

    def packed_back(self) -> np.ndarray:
        r_z, n = np.split(self.W.T, [2 * self.H])
        return np.concatenate((n, r_z))

    def of_sequence(self, d: np.ndarray, first: int, last: int, a: np.ndarray) -> Any:
        return super().of_sequence(d[:, :, self.H :], first, last, a)

    def of_weights(self, d: np.ndarray, first: int, last: int) -> list[np.ndarray]:
        H = self.H
        dW = self.product(d[:, :, : 3 * H], first, last)
        db = [] if self.cell.b_hn is None else [_rows(d[:, :, :H]).sum(axis=0)]
        return [np.concatenate((dW[:, H:], dW[:, :H]), axis=1), *db]


def _rows(sequence: np.ndarray) -> np.ndarray:
    """(n, B, H) as (n B, H), without a copy also where it runs backwards in memory: a sum over rows does not mind."""
    forwards = sequence if sequence.strides[0] >= 0 else sequence[::-1]
    return forwards.reshape(-1, sequence.shape[-1])
