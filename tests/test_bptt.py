"""Backpropagation through time: unrolled autodiff against loops by hand, truncation against the sums it stands for."""

import argparse
import gc
from collections import ChainMap, OrderedDict, UserDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.autograd.checkpoint import tensors_in
from tinygrad_rnn.bptt.randomized import scale_gradient
from tinygrad_rnn.engine.tape import Record
from tinygrad_rnn.errors import FreedGraphError

nn = tg.nn


def close(actual: Any, expected: Any, tolerance: float = 1e-12) -> None:
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max(initial=0)))


# -- the lecture's worked example ---------------------------------------------------------------------
# h_t = tanh(0.6 x_t + 0.9 h_{t-1}),  o_t = 0.8 h_t,  L = 1/2 Σ (o_t - y_t)²,  h_0 = 0

X, Y = [0.5, 0.1, 0.4], [0.4, 0.2, 0.1]
Z = [0.3, 0.3221813512, 0.5203301793]
H = [0.291312612451591, 0.311477977024749, 0.477954805263452]
OUT = [0.233050089961273, 0.249182381619799, 0.382363844210761]
LOSS = 0.0550102598206069
DELTA_O = [-0.166949910038727, 0.049182381619799, 0.282363844210761]
DELTA_H = [0.0258929363601146, 0.196205409793266, 0.225891075368609]
DELTA_Z = [0.0236955831133655, 0.17716984932344, 0.174288338330475]
DW_HY, DW_HH, DW_XH = 0.101641770463448, 0.105898790696247, 0.0992801118212166
DW_HH_BY_COPY = [0.0, 0.0516118117, 0.0542869790]
DW_HH_BY_LOSS = [0.0, 0.0103499361, 0.0955488546]


def test_the_worked_example_composed_by_hand() -> None:
    W_xh, W_hh, W_hy = (tg.tensor(w, requires_grad=True) for w in (0.6, 0.9, 0.8))
    copies = [W_hh * 1.0 for _ in X]  # one copy of W_hh a step: its gradient falls into three parts
    zs, hs, os, losses = [], [], [], []
    h: Any = 0.0
    for x, y, W in zip(X, Y, copies, strict=True):
        z = W_xh * x + W * h
        h = np.tanh(z)
        o = W_hy * h
        for kept, value in ((zs, z), (hs, h), (os, o), (losses, (o - y) ** 2 / 2)):
            kept.append(value)
    loss = losses[0] + losses[1] + losses[2]
    for result in (*zs, *hs, *os, *copies):
        result.retain_grad()
    by_loss = [0.0] + [tg.grad(part, W_hh, retain_graph=True).item() for part in losses[1:]]
    loss.backward()

    close([z.item() for z in zs], Z, 1e-10)  # the table prints ten digits of these
    close([h.item() for h in hs], H)
    close([o.item() for o in os], OUT)
    close(loss.item(), LOSS)
    close([o.grad for o in os], DELTA_O)
    close([h.grad for h in hs], DELTA_H)
    close([z.grad for z in zs], DELTA_Z)
    close([W_hy.grad, W_hh.grad, W_xh.grad], [DW_HY, DW_HH, DW_XH])
    close([0.0 if W.grad is None else W.grad for W in copies], DW_HH_BY_COPY, 1e-10)
    close(by_loss, DW_HH_BY_LOSS, 1e-10)
    close(sum(by_loss), DW_HH)


def example_layers() -> tuple[Any, Any]:
    rnn = nn.RNN(1, 1, bias=False, dtype=float)
    readout = nn.Linear(1, 1, bias=False, dtype=float)
    rnn.W_xh.data, rnn.W_hh.data, readout.W.data = [[0.6]], [[0.9]], [[0.8]]
    return rnn, readout


def test_the_worked_example_through_the_layers() -> None:
    rnn, readout = example_layers()
    h, last = rnn(np.reshape(X, (3, 1, 1)))
    o = readout(h)
    error = o - np.reshape(Y, (3, 1, 1))
    loss = (error * error).sum() / 2
    tape = tg.tape(loss)
    h.retain_grad(), o.retain_grad()
    delta_h = {record.step.t: tape.gradients[record][0] for record in tape if record.op.name == "rnn_step"}
    loss.backward()
    close(h.data.ravel(), H)
    close(o.data.ravel(), OUT)
    close(last.item(), H[2])
    close(loss.item(), LOSS)
    close(o.grad.ravel(), DELTA_O)
    close([delta_h[t].item() for t in (1, 2, 3)], DELTA_H)
    close([readout.W.grad.item(), rnn.W_hh.grad.item(), rnn.W_xh.grad.item()], [DW_HY, DW_HH, DW_XH])
    delta_z = np.array(DELTA_H) * (1 - np.array(H) ** 2)
    close(delta_z, DELTA_Z)


@pytest.mark.parametrize(
    ("k", "dW_hh", "dW_xh"), [(1, 0.0646369151, 0.0121553843), (2, 0.0646369151, 0.0267864847), (3, DW_HH, DW_XH)]
)
def test_the_worked_example_in_chunks_of_k_steps(k: int, dW_hh: float, dW_xh: float) -> None:
    rnn, readout = example_layers()
    x, y = np.reshape(X, (3, 1, 1)), np.reshape(Y, (3, 1, 1))
    for steps, h, _ in tg.bptt.Truncated(k).run(rnn, x):
        error = readout(h) - y[steps]
        ((error * error).sum() / 2).backward()
    close([rnn.W_hh.grad.item(), rnn.W_xh.grad.item()], [dW_hh, dW_xh], 1e-10)
    close(readout.W.grad.item(), DW_HY)


# -- BPTT by hand -----------------------------------------------------------------------------------


class Problem:
    """A vanilla RNN with a linear readout and L = 1/2 Σ_t |o_t - y_t|², and its gradients by the textbook's loops."""

    def __init__(self, T: int, B: int = 2, inputs: int = 3, hidden: int = 4, outputs: int = 2, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.rnn = nn.RNN(inputs, hidden, dtype=float, rng=rng)
        self.readout = nn.Linear(hidden, outputs, dtype=float, rng=rng)
        self.x, self.y = rng.standard_normal((T, B, inputs)), rng.standard_normal((T, B, outputs))
        self.h0 = rng.uniform(-1, 1, (B, hidden))
        self.T = T

    def loss(self, h: Any, y: np.ndarray) -> Any:
        error = self.readout(h) - y
        return (error * error).sum() / 2

    def gradients(self) -> dict[str, np.ndarray]:
        """What `backward` left in the parameters, and then forgets."""
        found = {name: p.grad for m in (self.rnn, self.readout) for name, p in m.named_parameters()}
        self.rnn.zero_grad(), self.readout.zero_grad()
        return found

    def forward_by_hand(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        h, hs = self.h0, []
        for x_t in self.x:
            h = np.tanh(x_t @ self.rnn.W_xh.data + h @ self.rnn.W_hh.data + self.rnn.b_h.data)
            hs.append(h)
        return hs, [h @ self.readout.W.data + self.readout.b.data - y_t for h, y_t in zip(hs, self.y, strict=True)]

    def bptt_by_hand(self, terms: Any = None) -> tuple[dict[str, np.ndarray], int]:
        """The double sum over t (the loss) and k <= t (the step whose copy of the weights is meant), term by term.

        Only terms with ``terms(t, k)`` are added, t and k from 0; gives the sum, and the number of them.
        """
        rnn, readout = self.rnn, self.readout
        hs, errors = self.forward_by_hand()
        sums = {name: np.zeros(p.shape) for m in (rnn, readout) for name, p in m.named_parameters()}
        count = 0
        for t in range(self.T):
            sums["W"] += hs[t].T @ errors[t]
            sums["b"] += errors[t].sum(0)
            delta_h = errors[t] @ readout.W.data.T  # dL_t/dh_t
            for k in range(t, -1, -1):
                if terms is not None and not terms(t, k):
                    break
                delta_z = delta_h * (1 - hs[k] ** 2)
                sums["W_xh"] += self.x[k].T @ delta_z
                sums["W_hh"] += (hs[k - 1] if k else self.h0).T @ delta_z
                sums["b_h"] += delta_z.sum(0)
                delta_h = delta_z @ rnn.W_hh.data.T  # dL_t/dh_{k-1}
                count += 1
        return sums, count

    def bptt_in_one_pass(self) -> dict[str, np.ndarray]:
        """The recursion δh_t = δo_t W_hqᵀ + δz_{t+1} W_hhᵀ, walked once from the end."""
        rnn, readout = self.rnn, self.readout
        hs, errors = self.forward_by_hand()
        sums = {name: np.zeros(p.shape) for m in (rnn, readout) for name, p in m.named_parameters()}
        delta_z = np.zeros_like(self.h0)
        dx = np.zeros_like(self.x)
        for t in reversed(range(self.T)):
            delta_h = errors[t] @ readout.W.data.T + delta_z @ rnn.W_hh.data.T
            delta_z = delta_h * (1 - hs[t] ** 2)
            sums["W_xh"] += self.x[t].T @ delta_z
            sums["W_hh"] += (hs[t - 1] if t else self.h0).T @ delta_z
            sums["b_h"] += delta_z.sum(0)
            sums["W"] += hs[t].T @ errors[t]
            sums["b"] += errors[t].sum(0)
            dx[t] = delta_z @ rnn.W_xh.data.T
        return sums | {"x": dx, "h0": delta_z @ rnn.W_hh.data.T}


def check(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float = 1e-12) -> None:
    assert len(found) >= 5
    for name, gradient in found.items():
        close(gradient, expected[name], tolerance)


@pytest.mark.parametrize("T", [1, 2, 7, 50])
def test_unrolled_autodiff_is_bptt(T: int) -> None:
    p = Problem(T)
    x, h0 = tg.tensor(p.x, requires_grad=True), tg.tensor(p.h0[None], requires_grad=True)
    h, _ = p.rnn(x, h0)
    p.loss(h, p.y).backward()
    found = p.gradients()
    check(found | {"x": x.grad, "h0": h0.grad[0]}, p.bptt_in_one_pass())
    by_terms, count = p.bptt_by_hand()
    assert count == T * (T + 1) // 2
    check(found, by_terms)


@pytest.mark.parametrize("k", [7, 8, 100])
def test_truncation_to_the_whole_sequence_is_no_truncation(k: int) -> None:
    p = Problem(7)
    runs = [(steps, h) for steps, h, _ in tg.bptt.Truncated(k).run(p.rnn, p.x, p.h0[None])]
    (steps, h) = runs[0]
    assert len(runs) == 1 and steps == slice(0, 7)
    p.loss(h, p.y).backward()
    check(p.gradients(), p.bptt_in_one_pass())


@pytest.mark.parametrize(("T", "k", "kept"), [(100, 20, 1050), (7, 3, 13), (5, 1, 5), (6, 6, 21)])
def test_chunks_keep_the_terms_within_one_chunk(T: int, k: int, kept: int) -> None:
    p = Problem(T)
    expected, count = p.bptt_by_hand(lambda t, s: t // k == s // k)
    assert count == kept  # of 5050 where T = 100
    for steps, h, _ in tg.bptt.Truncated(k).run(p.rnn, p.x, p.h0[None]):
        p.loss(h, p.y[steps]).backward()
    found = p.gradients()
    check(found, expected)

    state = p.h0[None]  # and the loop that everybody writes says the same
    for x, y in tg.bptt.windows((p.x, p.y), k):
        h, state = p.rnn(x, tg.bptt.detach(state))
        p.loss(h, y).backward()
    check(p.gradients(), found, 1e-14)
    if k < T:
        full = p.bptt_in_one_pass()
        assert np.abs(full["W_hh"] - expected["W_hh"]).max() > 1e-3  # truncation is a truncation


@pytest.mark.parametrize(("T", "k1", "k2"), [(10, 2, 5), (9, 1, 4), (7, 3, 4), (11, 4, 4), (6, 2, 50)])
def test_overlapping_windows_are_the_last_k1_losses_over_the_last_k2_steps(T: int, k1: int, k2: int) -> None:
    p = Problem(T, seed=1)
    hs, _ = p.forward_by_hand()
    seen = []
    for steps, h, state in tg.bptt.Truncated(k1, k2).run(p.rnn, p.x, p.h0[None]):
        seen.append(steps)
        close(h.data, np.stack(hs[steps]), 1e-13)
        close(state.data[0], hs[steps.stop - 1], 1e-13)
        p.loss(h, p.y[steps]).backward()
        expected, _ = p.bptt_by_hand(lambda t, s, w=steps: w.start <= t < w.stop and s >= w.start - (k2 - k1))
        found = p.gradients()
        # a window of its own, from a constant state, says the same
        start = max(0, steps.start - (k2 - k1))
        constant = p.h0[None] if start == 0 else hs[start - 1][None]
        alone, _ = p.rnn(p.x[start : steps.stop], constant)
        p.loss(alone[steps.start - start :], p.y[steps]).backward()
        check(p.gradients(), found, 1e-13)
        for name in ("W_xh", "W_hh", "b_h"):
            close(found[name], expected[name])
    assert seen == [slice(t, min(t + k1, T)) for t in range(0, T, k1)]


def test_weights_updated_between_windows_do_not_reach_back() -> None:
    p = Problem(12)
    optimizer = tg.optim.SGD([*p.rnn.parameters(), *p.readout.parameters()], lr=0.01)
    losses = []
    for _ in range(30):
        for steps, h, _ in tg.bptt.Truncated(2, 5).run(p.rnn, p.x):
            optimizer.zero_grad()
            loss = p.loss(h, p.y[steps])
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_lstm_states_and_whole_models_run_in_windows_too() -> None:
    lstm, x = nn.LSTM(3, 4, 2, dtype=float, rng=0), np.random.default_rng(0).standard_normal((9, 2, 3))
    whole, _ = lstm(x)
    for k1, k2 in [(2, 2), (2, 4), (4, 9)]:
        parts = [output.data for _, output, _ in tg.bptt.Truncated(k1, k2).run(lstm, x)]
        close(np.concatenate(parts), whole.data, 1e-14)


# -- what a window leaves behind --------------------------------------------------------------------


def records_alive() -> int:
    return sum(type(thing) is Record for thing in gc.get_objects())


@pytest.mark.slow
@pytest.mark.parametrize(("k1", "k2"), [(2, 2), (2, 5)])
def test_windows_leave_no_records_behind(k1: int, k2: int) -> None:
    lstm, x = nn.LSTM(3, 4, rng=0), np.ones((60, 2, 3))
    gc.collect()
    gc.disable()  # what is freed must be freed without the cyclic collector
    try:
        before = records_alive()
        counts = []
        for _, output, _ in tg.bptt.Truncated(k1, k2).run(lstm, x):
            (output**2).sum().backward()
            counts.append(records_alive() - before)
        assert len(counts) == 30 and max(counts) == counts[5] == counts[28]
        del output, _
        assert records_alive() == before
    finally:
        gc.enable()


def test_a_detached_state_frees_its_window_even_without_backward() -> None:
    rnn, x = nn.RNN(3, 4, rng=0), np.ones((5, 2, 3))
    gc.collect()
    before = records_alive()
    state = None
    for _ in range(4):
        _, state = rnn(x, state)
        state = tg.bptt.detach(state)
    del _
    assert records_alive() == before and not state.requires_grad


def test_a_state_carried_without_detach_is_answered_with_the_cure() -> None:
    lstm, x = nn.LSTM(3, 4, rng=0), np.ones((5, 2, 3))
    output, state = lstm(x)
    output.sum().backward()
    output, state = lstm(x, state)
    with pytest.raises(FreedGraphError, match=r"lstm t=5.*h = tg\.bptt\.detach\(h\)"):
        output.sum().backward()


# -- detach -----------------------------------------------------------------------------------------

Pair = namedtuple("Pair", "h c")


class Named(dict):
    pass


def test_detach_keeps_the_nesting_its_types_and_values() -> None:
    def made() -> Any:
        return tg.tensor([0.5], requires_grad=True) * 2

    default: Any = defaultdict(list)
    default["d"] = made()
    state = (made(), [made(), Pair(made(), {"c": (made(), None)})], 3, np.ones(2), OrderedDict(o=made()), default)
    cut = tg.bptt.detach(state)
    h, (first, pair), number, array, ordered, default_cut = cut
    leaves = [h, first, pair.h, pair.c["c"][0], ordered["o"], default_cut["d"]]
    assert all(t.data == 1.0 and not t.requires_grad and t.is_leaf for t in leaves)
    assert [type(part) for part in cut] == [type(part) for part in state]
    assert type(pair) is Pair and type(cut[1]) is list and default_cut["missing"] == []
    assert pair.c["c"][1] is None and number == 3 and array is state[3]
    assert state[0].requires_grad and state[1][1].h.requires_grad  # the state itself is as it was
    assert type(tg.bptt.detach(Named(a=made()))) is Named
    assert tg.bptt.detach(None) is None and tg.bptt.detach(()) == ()


@dataclass(frozen=True)
class Frozen:
    h: Any
    inner: Any = None


@dataclass(slots=True)
class Slotted:
    h: Any


class Stack(list):
    top: Any = None


class Opaque:
    def __init__(self, h: Any) -> None:
        self.h = h


def containers(h: Any) -> list[Any]:
    """The ways to hold a tensor that `detach` looks into."""
    stack, space = Stack([h]), UserDict({"h": h})
    stack.top = h
    return [
        Frozen(h, Frozen(h)),
        Slotted([h]),
        deque([h, (h,)], maxlen=2),
        SimpleNamespace(h=h, more={"c": h}),
        argparse.Namespace(h=h),
        MappingProxyType({"h": h}),
        frozenset([h]),
        {h},
        stack,
        space,
        ChainMap({"h": h}),
    ]


@pytest.mark.parametrize("k", range(11))
def test_detach_looks_into_every_container(k: int) -> None:
    h = tg.tensor([0.5], requires_grad=True) * 2
    state = containers(h)[k]
    cut = tg.bptt.detach((state, [state]))
    found = tensors_in(cut)
    assert len(found) == 2 * len(tensors_in(state)) >= 2
    assert all(t.data == 1.0 and not t.requires_grad for t in found)
    assert type(cut[0]) is type(state) and all(t is h for t in tensors_in(state))
    assert getattr(cut[0], "maxlen", 2) == 2


@pytest.mark.parametrize("wrap", [Opaque, iter, lambda h: (x for x in [h]), lambda h: lambda: h])
def test_detach_refuses_what_it_cannot_look_into(wrap: Any) -> None:
    h = tg.tensor([0.5], requires_grad=True) * 2
    state = wrap([h])
    with pytest.raises(TypeError, match=rf"holds a \S*{type(state).__name__}, .*t\.detach\(\)"):
        tg.bptt.detach({"deep": [state]})
    objects = np.empty(1, object)
    objects[0] = h
    with pytest.raises(TypeError, match=r"holds a numpy\.ndarray"):
        tg.bptt.detach(objects)


def test_a_state_that_holds_itself_has_no_end() -> None:
    state: list[Any] = [tg.tensor([1.0])]
    state.append(state)
    with pytest.raises(ValueError, match="a list that holds itself"):
        tg.bptt.detach({"h": state})
    h = state[0]
    assert len(tg.bptt.detach([(h, h), (h, h)])) == 2  # the same tensor, and equal tuples, in several places


@pytest.mark.parametrize("x", [None, 3, 2.5, 1j, True, "h", b"h", np.ones(2), np.float32(1), range(3), int])
def test_detach_lets_pass_what_holds_no_tensor(x: Any) -> None:
    assert tg.bptt.detach([x])[0] is x


@pytest.mark.parametrize("k", [0, 1, 3, 4, 10])
def test_a_state_in_a_container_is_scaled_by_randomized_truncation_too(k: int) -> None:
    h = tg.tensor([0.5], requires_grad=True)
    for part in tensors_in(scale_gradient(containers(h)[k], 4.0)):
        h.grad = None
        part.backward()
        assert h.grad == 4


def test_detach_cuts_gradients_and_nothing_else() -> None:
    w = tg.tensor([3.0], requires_grad=True)
    (w * tg.bptt.detach(w * w)).sum().backward()
    assert w.grad == 9


# -- windows and spans ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("T", "size", "lengths"), [(6, 2, [2, 2, 2]), (7, 3, [3, 3, 1]), (3, 5, [3]), (0, 2, []), (4, np.int64(2), [2, 2])]
)
def test_windows(T: int, size: int, lengths: list[int]) -> None:
    x, y = np.arange(T), np.arange(T) * 10.0
    parts = list(tg.bptt.windows(x, size))
    assert [len(part) for part in parts] == lengths
    assert np.concatenate([*parts, []]).tolist() == x.tolist()
    for a, b in tg.bptt.windows((x, y), size):
        np.testing.assert_array_equal(a * 10.0, b)


def test_windows_of_a_tensor_keep_its_gradient() -> None:
    x = tg.tensor(np.arange(5.0), requires_grad=True)
    for k, part in enumerate(tg.bptt.windows(x, 2)):
        ((k + 1) * part).sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 1, 2, 2, 3])


def test_windows_of_unequal_sequences() -> None:
    with pytest.raises(ValueError, match="different lengths: 4, 5"):
        list(tg.bptt.windows((np.ones(4), np.ones(5)), 2))


@pytest.mark.parametrize(
    ("k1", "k2", "T", "spans"),
    [
        (2, None, 5, [(0, 0, 2), (2, 2, 4), (4, 4, 5)]),
        (2, 3, 5, [(0, 0, 2), (1, 2, 4), (3, 4, 5)]),
        (1, 3, 4, [(0, 0, 1), (0, 1, 2), (0, 2, 3), (1, 3, 4)]),
        (4, 4, 3, [(0, 0, 3)]),
        (3, 5, 0, []),
    ],
)
def test_spans(k1: int, k2: int | None, T: int, spans: list[tuple[int, int, int]]) -> None:
    assert [(s.start, s.new, s.stop) for s in tg.bptt.Truncated(k1, k2).spans(T)] == spans


@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-3, ValueError), (2.0, TypeError), (True, TypeError), ("2", TypeError)]
)
def test_numbers_of_steps(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="k1 must be"):
        tg.bptt.Truncated(value)
    with pytest.raises(error, match="k2 must be"):
        tg.bptt.Truncated(1, value)
    with pytest.raises(error, match="size must be"):
        list(tg.bptt.windows(np.ones(3), value))


def test_k2_below_k1() -> None:
    with pytest.raises(ValueError, match="k2 must be at least k1"):
        tg.bptt.Truncated(5, 3)


def test_a_batch_first_layer_is_not_cut_along_its_batch() -> None:
    with pytest.raises(ValueError, match="with batch_first=True that is the batch, not time"):
        next(tg.bptt.Truncated(2).run(nn.RNN(3, 4, batch_first=True), np.ones((4, 7, 3))))


@pytest.mark.parametrize(("k1", "k2"), [(2, 5), (1, 4), (3, 100)])
def test_a_learned_initial_state_gets_its_gradient_from_every_window_that_starts_with_it(k1: int, k2: int) -> None:
    T = 7
    rnn = tg.nn.RNN(2, 3, dtype=float, rng=0)
    x = np.random.default_rng(0).standard_normal((T, 1, 2))
    h_0 = tg.tensor(np.full((1, 1, 3), 0.3), requires_grad=True)
    for _, output, _ in tg.bptt.Truncated(k1, k2).run(rnn, x, h_0):
        (output**2).sum().backward()
    expected = np.zeros((1, 1, 3))
    for new in range(0, T, k1):
        stop = min(new + k1, T)
        if max(0, new - (k2 - k1)) == 0:  # the window begins with the initial state
            leaf = tg.tensor(h_0.data, requires_grad=True)
            output, _ = rnn(x[:stop], leaf)
            (output[new:] ** 2).sum().backward()
            expected += leaf.grad
    np.testing.assert_allclose(h_0.grad, expected, rtol=1e-12)


def test_windows_refuse_a_layer_that_has_to_see_the_end_first() -> None:
    layer = tg.nn.RNN(2, 3, bidirectional=True, rng=0)
    with pytest.raises(ValueError, match="bidirectional"):
        next(tg.bptt.Truncated(2).run(layer, np.ones((4, 1, 2))))
