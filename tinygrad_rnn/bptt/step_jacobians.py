"""How a state depends on the one before: the Jacobian of each time step, and products of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.arrays import Operand
from ..engine.backward import sweep
from ..unrolled.network import the_run
from ..unrolled.run import number_of
from ..unrolled.tables import Report, norm

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Jacobians(Report):
    """``ds_{t+1}/ds_t`` for every step of a layer: see `jacobians`.

    layer     the tag of the layer
    steps     the time steps in the order in which they ran (descending in a reverse direction)
    names     of the parts of the state, ("h",) or ("h", "c"), with `slices` into its n entries
    words     of steps that are called by a word, that word by their number: `product` and `norms` take either
    matrices  (steps - 1, B, n, n): ``matrices[k][b, i, j] = ds_i / ds'_j``, from step ``steps[k]`` to ``steps[k + 1]``
    """

    def __init__(
        self,
        layer: str,
        steps: list[int],
        slices: dict[str, slice],
        matrices: np.ndarray,
        words: Mapping[int, str] | None = None,
    ) -> None:
        self.layer, self.steps, self.slices, self.matrices = layer, steps, slices, matrices
        self.names, self.words = tuple(slices), words or {}

    @cached_property
    def singular_values(self) -> np.ndarray:
        """(steps - 1, B, n), the largest first; the first is the norm of the Jacobian."""
        return np.linalg.svd(self.matrices, compute_uv=False)

    @cached_property
    def spectral_radii(self) -> np.ndarray:
        """(steps - 1, B): the largest modulus of an eigenvalue, which says nothing about products of several."""
        return np.abs(np.linalg.eigvals(self.matrices)).max(-1)

    def product(self, t: int | str, k: int | str) -> np.ndarray:
        """``ds_t/ds_k``, (B, n, n): the product of the Jacobians of the steps after k up to t, the last on the left."""
        last, first = self._place("t", t), self._place("k", k)
        if last < first:
            raise ValueError(f"ds_t/ds_k needs a step t at or after k in the order of running, not t={t}, k={k}")
        product = np.broadcast_to(np.eye(self.matrices.shape[-1]), self.matrices.shape[1:])
        for matrix in self.matrices[first:last]:
            product = matrix @ product
        return product

    def products(self, t: int | str | None = None) -> np.ndarray:
        """``ds_t/ds_k`` for every step k up to t (the last unless given), (k, B, n, n), in the order of `steps`."""
        last = len(self.steps) - 1 if t is None else self._place("t", t)
        found = [np.broadcast_to(np.eye(self.matrices.shape[-1]), self.matrices.shape[1:])]
        for matrix in self.matrices[:last][::-1]:
            found.append(found[-1] @ matrix)
        return np.stack(found[::-1])

    def norms(self, t: int | str | None = None, part: str | None = None) -> np.ndarray:
        """``|ds_t/ds_k|``, the largest singular value, for every step k up to t: (k, B); of one part alone on request.

        With ``part="h"`` it is ``|dh_t/dh_k|``, all paths through the other parts included.
        """
        return np.linalg.norm(self._block(self.products(t), part), 2, axis=(-2, -1))

    def per_unit(self, t: int | str | None = None) -> np.ndarray:
        """``|ds_t/ds_k,j|`` for every step k up to t and every unit j, (k, B, n): how much s_t feels of unit j."""
        return norm(self.products(t), -2)

    def bound(self, W: Operand, slope: float = 1.0) -> np.ndarray:
        """(γ_W γ_φ)^n for n = t - k factors, k = every step up to the last t, which no ``|dh_t/dh_k|`` of a vanilla RNN
        exceeds (Pascanu et al. 2013, section 2.1).

        γ_W is the largest *singular* value of W_hh, not the largest eigenvalue; γ_φ = `slope` is the largest slope of
        the nonlinearity: 1 for tanh, relu and identity, 1/4 for sigmoid.
        """
        W = np.asarray(W.array if isinstance(W, Tensor) else W, float)
        if W.ndim != 2 or W.shape[0] != W.shape[1]:
            raise ValueError(f"the bound is that of h_t = φ(.. + h_{{t-1}} W) with a square W, not of shape {W.shape}")
        if slope <= 0:
            raise ValueError(f"slope, the largest slope of the nonlinearity, must be positive, not {slope}")
        return (np.linalg.norm(W, 2) * slope) ** np.arange(len(self.steps) - 1, -1, -1.0)

    def left_behind(self, W: Operand, slope: float = 1.0, factor: float = 10.0) -> int | None:
        """After how many factors, back from the last step, the product is under the bound / `factor`; None if never.

        In a batch, the largest product counts.
        """
        below = np.flatnonzero((self.norms().max(-1) * factor < self.bound(W, slope))[::-1])
        return int(below[0]) if below.size else None

    def contents(self) -> tuple[str, list[str], list[list[Any]]]:
        norms, radii, values = self.norms(), self.spectral_radii, self.singular_values
        s = "".join(self.names) if len(self.names) == 1 else "s"
        rows = []
        for k, step in enumerate(self.steps[:-1]):
            called = [self.words.get(step, "")] if self.words else []
            rows.append([step, *called, values[k, :, 0].max(), values[k, :, -1].min(), radii[k].max(), norms[k].max()])
        last = self.steps[-1]
        state = "" if s == "h" else f"s = ({', '.join(self.names)}). "
        note = f"{state}J = d{s}_t'/d{s}_t, t' the step after t" + ("; the largest in the batch" * (norms.shape[1] > 1))
        return note, ["t", *(["step"] if self.words else []), "|J|", "least σ", "radius", f"|d{s}_{last}/d{s}_t|"], rows

    def __repr__(self) -> str:
        count, batch, n, _ = self.matrices.shape
        return f"<jacobians of {self.layer}: {count} of {n} x {n}, batch {batch}>"

    def plot(self, ax: Axes | None = None, W: Operand | None = None, slope: float = 1.0) -> Axes:
        """Norms of the steps, of the products up to the last step and, given W_hh, the bound; over time, log scale."""
        from ..plots import log_curves

        s = self.names[0] if len(self.names) == 1 else "s"
        last = self.steps[-1]
        curves = {
            f"|d{s}_t'/d{s}_t|, one step": (self.steps[:-1], self.singular_values[:, :, 0].max(-1)),
            "spectral radius, one step": (self.steps[:-1], self.spectral_radii.max(-1)),
            f"|d{s}_{last}/d{s}_t|": (self.steps, self.norms().max(-1)),
        }
        if W is not None:
            curves["bound (γ_W γ_φ)^n"] = (self.steps, self.bound(W, slope))
        return log_curves(curves, "time step t", "norm", ax)

    def _place(self, name: str, t: int | str) -> int:
        t = number_of(t, self.words)
        if t not in self.steps:
            raise ValueError(f"no state at step {name}={t}: there are steps {min(self.steps)} .. {max(self.steps)}")
        return self.steps.index(t)

    def _block(self, products: np.ndarray, part: str | None) -> np.ndarray:
        if part is None:
            return products
        if part not in self.slices:
            raise ValueError(f"no part {part!r} in this state: there is {', '.join(self.names)}")
        return products[..., self.slices[part], self.slices[part]]


def jacobians(loss: Tensor, layer: str | None = None, batch_axis: int | None = 0) -> Jacobians:
    """The Jacobians ``dh_{t+1}/dh_t`` of one layer, each sequence of the batch by itself.

    For an LSTM the state is s = (h, c) and the Jacobian joint, 2H x 2H. Only the product of *these* is exact over
    several steps, since c_{t-1} also reaches c_{t+1} through h_{t-1} and o_t, past c_t. All states that a loop or a
    cell of your own hands on are put together in the same way. What is in the graph counts: behind a detach the
    Jacobian is 0, beyond the end of a sequence the identity. The initial state is step 0, where it needs a gradient.

    loss        the loss, or any number computed from all the steps
    layer       the tag of the layer (``lstm_l1_reverse``); may be left out where there is one
    batch_axis  the axis of the states along which the sequences of a batch stand; a state of one axis has none, and
                None says that others have none either. ValueError if sequences turn out to act on each other

    There is a sweep through one step for each entry of its state. No ``.grad`` changes, and the graph stays.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> rnn = tg.nn.RNN(1, 1, nonlinearity="identity", bias=False, dtype=float)
    >>> rnn.W_xh.data, rnn.W_hh.data = [[1.0]], [[0.5]]
    >>> output, h = rnn(np.ones((4, 1, 1)))
    >>> J = tg.bptt.jacobians(h.sum())
    >>> J.matrices.ravel(), J.product(4, 1).item()
    (array([0.5, 0.5, 0.5]), 0.125)
    """
    run = the_run(loss, layer, "jacobians()")
    known = [k for k in range(len(run.steps)) if any(tensors[k] is not None for tensors in run.states.values())]
    if len(known) < 2:
        raise ValueError(f"jacobians() needs two steps, and the loss depends on {len(known)} of {run.layer}")
    layouts = {name: Layout(tensors, batch_axis) for name, tensors in run.states.items()}
    slices, n = {}, 0
    for name, layout in layouts.items():
        slices[name], n = slice(n, n + layout.size), n + layout.size
    sizes = {layout.batch for layout in layouts.values()}
    if len(sizes) > 1:
        shapes = ", ".join(f"{name} {layout.shape}" for name, layout in layouts.items())
        raise ValueError(f"jacobians(): the parts of the state have several batch sizes on axis {batch_axis}: {shapes}")
    batch = sizes.pop()
    matrices = np.zeros((len(known) - 1, batch, n, n))
    befores = [{name: x for name, tensors in run.states.items() if (x := tensors[k]) is not None} for k in known]
    for name, layout in layouts.items():
        ys = [run.states[name][k] for k in known[1:]]
        steps = [(matrix, before, y) for matrix, before, y in zip(matrices, befores, ys, strict=False) if y is not None]
        steps.reverse()
        if steps:
            _check_apart(steps[0][2], steps[0][1], layouts, layout)
        for i in range(layout.size):
            rows = np.zeros((layout.batch, layout.size))
            rows[:, i] = 1
            start = layout.array(rows)
            for matrix, before, y in steps:  # from the last to the first, as a backward pass goes
                for other, g in _back_one_step(y, start, before).items():
                    matrix[:, slices[name].start + i, slices[other]] = layouts[other].rows(g)
    for matrix, after in zip(matrices, known[1:], strict=True):
        ended = run.unused(after)
        if ended is not None and len(ended) == batch:
            matrix[ended] = np.eye(n)
    return Jacobians(run.layer, [run.steps[k] for k in known], slices, matrices, run.words)


class Layout:
    """Where in a state the sequences of the batch stand: to and from rows (B, size), one for each sequence."""

    def __init__(self, tensors: list[Tensor | None], axis: int | None) -> None:
        shape = next(x.shape for x in tensors if x is not None)
        self.axis = axis if len(shape) > 1 else None
        if self.axis is not None and not -len(shape) <= self.axis < len(shape):
            raise ValueError(f"jacobians(): batch_axis={axis}, and a state has shape {shape}")
        self.shape = shape
        self.batch = 1 if self.axis is None else shape[self.axis]
        self.size = int(np.prod(shape)) // max(self.batch, 1)

    def rows(self, a: np.ndarray) -> np.ndarray:
        return np.reshape(a if self.axis is None else np.moveaxis(a, self.axis, 0), (self.batch, self.size))

    def array(self, rows: np.ndarray) -> np.ndarray:
        if self.axis is None:
            return rows.reshape(self.shape)
        rest = list(self.shape)
        del rest[self.axis]
        return np.moveaxis(rows.reshape(self.batch, *rest), 0, self.axis)


def _back_one_step(y: Tensor, g: np.ndarray, states: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """g ds'/ds for each part of the state one step earlier, in which all parts count as independent of each other."""
    since = max((x.record.seq for x in states.values() if x.record is not None), default=0)
    waiting = sweep([y], [g.astype(y.dtype)], since=since, retain_graph=True)
    found = {name: waiting.at(x) for name, x in states.items()}
    return {name: g for name, g in found.items() if g is not None}


def _check_apart(y: Tensor, states: dict[str, Tensor], layouts: dict[str, Layout], layout: Layout) -> None:
    """Refuse a batch whose sequences act on each other: their Jacobians are not one each."""
    rows = np.zeros((layout.batch, layout.size))
    rows[:1] = 1
    for other, g in _back_one_step(y, layout.array(rows), states).items():
        if np.nan_to_num(layouts[other].rows(g)[1:]).any():  # a nan of their own is not of another
            raise ValueError(
                f"jacobians(): along axis {layout.axis} of a state {layout.shape} one sequence acts on another. If "
                "that axis is not the batch, say which is with batch_axis=, or that there is none with batch_axis=None"
            )
