"""The one reading of a tape as an unrolled network, held to the truth: `tg.grad` at the tensors a cell returned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_networks import Network, draw_network, watched

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.unrolled.listing import Tape
from tinygrad_rnn.unrolled.network import Unrolled

T, B, IN, H = 6, 3, 4, 5


def data(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((T, B, IN))


def weight(*shape: int, seed: int = 1, name: str | None = None) -> tg.Tensor:
    values = np.random.default_rng(seed).standard_normal(shape) * 0.5
    return tg.tensor(values, requires_grad=True, name=name)


def curves(loss: tg.Tensor) -> dict[str, list[dict[int, float]]]:
    """What `flow` says: for each layer the norms over the steps, state by state."""
    found = tg.bptt.flow(loss).layers.items()
    return {
        name: [dict(zip(part.steps.tolist(), norms.tolist(), strict=True)) for norms in part.norms.values()]
        for name, part in found
    }


def drawn_curves(loss: tg.Tensor, level: str = "cell", **options: Any) -> dict[str, list[dict[int, float]]]:
    """What a picture says."""
    found = tg.draw(loss, level=level, grads=True, **options).state_gradients
    return {layer: [{t: a.norm for t, a in row.items()} for row in rows.values()] for layer, rows in found.items()}


def same(curve: dict[int, float], true: dict[int, float]) -> bool:
    return all(np.isclose(curve.get(t, 0.0), norm, rtol=1e-6, atol=1e-10) for t, norm in true.items())


def norms(loss: tg.Tensor, states: list[tg.Tensor]) -> dict[int, float]:
    """The truth for states that are known."""
    found = tg.grad(loss, states, retain_graph=True)
    return {t: float(np.linalg.norm(g.data)) for t, g in enumerate(found, 1)}


def check(seed: int, everything: bool = False) -> None:
    """Hold the reports and pictures of a random network to what its cell returned."""
    network = draw_network(seed)
    of_layers = not network.words.startswith(("cell", "loop"))
    truth = network.truth()
    for loss in [network.loss, draw_network(seed, fused=True).loss] if of_layers else [network.loss]:
        found = curves(loss)
        assert set(found) == set(truth), network.words
        for layer, true in truth.items():
            rest = list(found[layer])
            for curve in true:
                match = next((k for k, one in enumerate(rest) if same(one, curve)), None)
                assert match is not None, f"{network.words}: {layer} is {curve}, and there is {rest}"
                del rest[match]
            assert not rest, network.words
        levels = ("cell", ("op", "layer", "strip")[seed % 3]) if everything else ("cell",)
        for drawn in (drawn_curves(loss, level) for level in levels):
            for layer, rows in found.items():
                assert len(rows) == len(drawn[layer]), network.words
                assert all(map(same, rows, drawn[layer])), network.words
        for layer in truth:
            check_jacobians(network, loss, layer)


def check_jacobians(network: Network, loss: tg.Tensor, layer: str) -> None:
    """The order of the parts of a state is that of the report: so what is compared are the singular values."""
    try:
        found = tg.bptt.jacobians(loss, layer)
    except ValueError as error:
        assert "needs two steps" in str(error), network.words
        return
    for t, values in zip(found.steps[1:], found.singular_values, strict=True):
        true = np.linalg.svd(network.jacobian(layer, t), compute_uv=False)
        np.testing.assert_allclose(values, true, atol=1e-9, err_msg=f"{network.words}: {layer} at {t}")


@pytest.mark.parametrize("seed", range(48))
def test_a_random_network_is_read_as_its_cell_returned_its_states(seed: int) -> None:
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("tens", range(100))
def test_a_thousand_random_networks(tens: int) -> None:
    for seed in range(10 * tens, 10 * tens + 10):
        check(seed, everything=True)


# ---------------------------------------------------------------- networks that are easily misread


def test_a_cell_that_joins_input_and_state_and_starts_from_a_constant() -> None:
    W, kept = weight(IN + H, H, name="W"), []

    def cell(x: Any, h: Any) -> Any:
        kept.append(np.tanh(np.concatenate([x, h], axis=-1) @ W))
        return kept[-1], kept[-1]

    output, _ = nn.unroll(cell, data(), np.zeros((B, H)))
    loss = (output**2).sum()
    assert same(curves(loss)["cell"][0], norms(loss, kept))
    assert 0 not in curves(loss)["cell"][0]  # a constant is no state with a gradient


@pytest.mark.parametrize("start", [0.0, None])
def test_a_loss_that_is_added_up_in_the_loop_is_no_state(start: float | None) -> None:
    U, W = weight(IN, H), weight(H, H, seed=2)
    h: Any = np.zeros((B, H))
    loss, kept = start, []
    with tg.scope("mine") as at:
        for t, x in enumerate(data(), 1):
            at(t)
            h = np.tanh(x @ U + h @ W)
            kept.append(h)
            loss = (h**2).sum() if loss is None else loss + (h**2).sum()
    assert list(tg.bptt.flow(loss)["mine"].norms) == ["h"]
    assert same(curves(loss)["mine"][0], norms(loss, kept))


def test_a_loss_of_each_sequence_that_is_added_up_is_no_state() -> None:
    U, W = weight(IN, H), weight(H, H, seed=2)
    h: Any = np.zeros((B, H))
    loss, kept = np.zeros(B), []
    with tg.scope("mine") as at:
        for t, x in enumerate(data(), 1):
            at(t)
            h = np.tanh(x @ U + h @ W)
            kept.append(h)
            loss = loss - (h**2).sum(axis=-1)
    loss = loss.mean()
    assert list(tg.bptt.flow(loss)["mine"].norms) == ["h"]
    assert same(curves(loss)["mine"][0], norms(loss, kept))


def test_cells_stacked_by_hand_in_one_loop_are_told_apart() -> None:
    x, below, above = data(), nn.RNNCell(IN, H, dtype=float, rng=0), nn.RNNCell(H, H, dtype=float, rng=1)
    a = b = None
    one, two = [], []
    with tg.scope("stack") as at:
        for t in range(T):
            at(t + 1)
            a = below(x[t], a)
            b = above(a, b)
            one.append(a)
            two.append(b)
    loss = (b**2).sum()  # type: ignore[operator]
    found = curves(loss)["stack"]
    assert len(found) == 2
    for true in (norms(loss, one), norms(loss, two)):
        assert any(same(curve, true) for curve in found)


@pytest.mark.parametrize("steps", [1, 2])
def test_a_sequence_of_one_or_two_steps(steps: int) -> None:
    kept = []
    U, W = weight(IN, H), weight(H, H, seed=2)

    def cell(x: Any, h: Any) -> Any:
        kept.append(np.tanh(x @ U + (h * 0.5) @ W))
        return kept[-1] * 2, kept[-1]

    output, _ = nn.unroll(cell, data()[:steps], np.zeros((B, H)))
    loss = (output**2).sum()
    assert same(curves(loss)["cell"][0], norms(loss, kept))


def test_a_cell_whose_output_is_called_h() -> None:
    U, W, V, kept = weight(IN, H), weight(H, H, seed=2), weight(H, 2, seed=3), []

    def cell(x: Any, s: Any) -> Any:
        s = np.tanh(x @ U + s @ W)
        s.name = "state"
        y = s @ V
        y.name = "h"
        kept.append(s)
        return y, s

    output, _ = nn.unroll(cell, data(), np.zeros((B, H)))
    loss = (output**2).sum()
    assert list(tg.bptt.flow(loss)["cell"].norms) == ["state"]
    assert same(curves(loss)["cell"][0], norms(loss, kept))


def test_a_state_of_which_a_part_is_constant_has_the_other_part() -> None:
    U, W, kept = weight(IN, H), weight(H, H, seed=2), []

    def cell(x: Any, state: Any) -> Any:
        kept.append(np.tanh(x @ U + state["h"] @ W + state["clock"]))
        return kept[-1], {"clock": state["clock"] + 1, "h": kept[-1]}

    output, _ = nn.unroll(cell, data(), {"clock": np.zeros((B, 1)), "h": np.zeros((B, H))})
    loss = (output**2).sum()
    assert list(tg.bptt.flow(loss)["cell"].norms) == ["h"]
    assert same(curves(loss)["cell"][0], norms(loss, kept))


def test_what_is_handed_on_as_it_came_is_no_state() -> None:
    memory, W, kept = weight(T, H), weight(H, H, seed=2), []

    def decoder(x: Any, state: Any) -> Any:
        h, memory = state
        weights = np.exp(h @ memory.T)
        kept.append(np.tanh((weights / weights.sum(-1, keepdims=True)) @ memory @ W))
        return kept[-1], (kept[-1], memory)

    output, _ = nn.unroll(decoder, data(), (np.zeros((B, H)), memory * 2))
    loss = (output**2).sum()
    assert len(curves(loss)["cell"]) == 1
    assert same(curves(loss)["cell"][0], norms(loss, kept))


def test_a_state_that_is_updated_at_every_other_step_alone() -> None:
    U, W, kept = weight(IN, H), weight(H, H, seed=2), []

    def cell(x: Any, state: Any) -> Any:
        h, k = state
        kept.append(np.tanh(x @ U + h @ W) if k % 2 == 0 else h)
        return x.sum() * 1.0 + kept[-1], (kept[-1], k + 1)

    output, _ = nn.unroll(cell, data(), (np.zeros((B, H)), 0))
    loss = (output**2).sum()
    assert same(curves(loss)["cell"][0], norms(loss, kept))


def test_a_layer_over_one_step_twice_runs_twice() -> None:
    layer = nn.GRU(IN, H, dtype=float, rng=0)
    one, two = layer(data()[:1])[0], layer(data(1)[:1])[0]
    found = curves((one**2).sum() + (two**2).sum())
    assert list(found) == ["gru", "gru #2"]
    assert found["gru"][0][1] == pytest.approx(2 * np.linalg.norm(one.data))
    assert found["gru #2"][0][1] == pytest.approx(2 * np.linalg.norm(two.data))


def test_final_states_are_put_together_outside_of_the_steps() -> None:
    _, (h, c) = nn.LSTM(IN, H, 2, bidirectional=True, fused=False, rng=0)(data())
    network = Unrolled(Tape(h.sum() + c.sum()))
    assert all(record.op.name != "stack" for record in network.where)
    assert [run.layer for run in network.runs] == ["lstm", "lstm_reverse", "lstm_l1", "lstm_l1_reverse"]
    assert [run.backwards for run in network.runs] == [False, True, False, True]


def test_states_are_declared_once_for_each_step() -> None:
    output, _ = nn.RNN(IN, H, fused=False, rng=0)(data())
    (run,) = Unrolled(Tape(output.sum())).runs
    assert {name: sorted(places) for name, places in run.places.items()} == {"h": [1, 2, 3, 4, 5, 6]}
    assert all(place[0].op.name == "tanh" for places in run.places["h"].values() for place in places)
    assert run.initial == {}


def test_the_losses_that_were_added_up() -> None:
    layer, state, loss = nn.RNN(IN, H, rng=0), None, 0.0
    for x in np.split(data(), 3):
        output, state = layer(x, state)
        loss = loss + (output**2).mean()
    network = Unrolled(Tape(loss / 3))
    assert sorted(record.op.name for record in network.added.losses) == ["divide", "mean", "mean", "mean"]
    assert {record.op.name for record, _ in network.added.sums} == {"add", "divide"}


def test_activations_of_a_layer_whose_final_states_lead_to_the_loss_too() -> None:
    layer = nn.LSTM(IN, H, rng=0)
    output, (h, c) = layer(data())
    found = tg.bptt.activations(output.sum() + h.sum() + c.sum())
    assert {name: a.shape for name, a in found.items()} == dict.fromkeys("ifgoch", (T, B, H))
    np.testing.assert_allclose(found["h"], output.data, rtol=1e-5)


def test_activations_of_a_layer_over_two_sequences_are_those_of_each() -> None:
    layer = nn.RNN(IN, H, rng=0)
    one, two = layer(data())[0], layer(data(1))[0]
    np.testing.assert_allclose(tg.bptt.activations(one.sum() + two.sum(), "rnn #2")["h"], two.data, rtol=1e-5)


# ---------------------------------------------------------------- what pictures show of it


def state_nodes(picture: tg.Drawing) -> list[str]:
    return [node.id for node in picture.nodes if node.kind == "state"]


def test_the_picture_of_a_cell_that_joins_input_and_state_shows_its_states() -> None:
    W = weight(IN + H, H, name="W")

    def cell(x: Any, h: Any) -> Any:
        h = np.tanh(np.concatenate([x, h], axis=-1) @ W)
        return h, h

    output, _ = nn.unroll(cell, data()[:3], np.zeros((B, H)))
    picture = tg.draw((output**2).sum(), level="op", grads=True)
    assert state_nodes(picture) == ["t1_h", "t2_h", "t3_h"]
    assert not any("W" in node.label for node in picture.nodes if node.id.startswith("t0_"))
    assert {node.id for node in picture.nodes if node.kind == "ref"} == {"t1_W", "t2_W", "t3_W"}
    states = [(edge.source, edge.target) for edge in picture.edges if edge.kind == "state"]
    assert states == [("t1_h", "t2_concatenate"), ("t2_h", "t3_concatenate")]


@pytest.mark.parametrize("learned", [True, False])
def test_the_picture_of_a_minimal_gated_unit_shows_where_it_starts(learned: bool) -> None:
    U, W, U_f, W_f = (weight(*shape, seed=k) for k, shape in enumerate([(IN, H), (H, H), (IN, H), (H, H)]))

    def cell(x: Any, h: Any) -> Any:
        f = tg.sigmoid(x @ U_f + h @ W_f)
        h = (1 - f) * h + f * np.tanh(x @ U + (f * h) @ W)
        return h, h

    output, _ = nn.unroll(cell, data()[:3], tg.tensor(np.ones((B, H)), requires_grad=learned))
    picture = tg.draw((output**2).sum(), level="op", grads=True)
    assert state_nodes(picture) == ["t1_h", "t2_h", "t3_h"]
    start = [node for node in picture.nodes if node.id.startswith("t0_")]
    assert [(node.label, node.kind) for node in start] == [("h_0 (3,5)", "leaf" if learned else "input")]
    assert sum(edge.source == start[0].id for edge in picture.edges) == 3  # at each of its uses


def test_the_picture_of_an_attention_decoder_has_its_own_states_alone() -> None:
    encoded, _ = nn.GRU(IN, H, dtype=float, rng=0)(data())
    memory, W, kept = encoded.swapaxes(0, 1), weight(H, H, seed=2), []

    def decoder(x: Any, h: Any) -> Any:
        weights = np.exp((memory * h.reshape(B, 1, H)).sum(-1))
        context = ((weights / weights.sum(-1, keepdims=True)).reshape(B, T, 1) * memory).sum(1)
        kept.append(np.tanh(context @ W))
        return kept[-1], kept[-1]

    output, _ = nn.unroll(decoder, data()[:4], np.zeros((B, H)), name="decoder")
    loss = (output**2).sum()
    picture = tg.draw(loss, level="cell", steps="all", grads=True)
    assert list(picture.gradients) == ["gru", "decoder"]
    assert same({t: a.norm for t, a in picture.gradients["decoder"].items()}, norms(loss, kept))
    assert same(drawn_curves(loss)["gru"][0], curves(loss)["gru"][0])


def test_a_layer_over_two_sequences_has_a_row_for_each() -> None:
    layer = nn.LSTM(IN, H, rng=0)
    loss = layer(data()[:2])[0].sum() + layer(data()[:3])[0].sum()
    picture = tg.draw(loss, level="cell", grads=True)
    assert {layer: sorted(row) for layer, row in picture.gradients.items()} == {"lstm": [1, 2], "lstm #2": [1, 2, 3]}
    assert {node.id for node in picture.nodes if node.kind == "cell"} >= {"t1_lstm_cell", "t3_lstm__2_cell"}


def two_states(start: Any) -> tg.Tensor:
    """The loss of a cell of one's own that keeps a fast and a slow state."""
    U, W = weight(IN, H), weight(H, H, seed=2)

    def cell(x: Any, state: Any) -> Any:
        slow = 0.9 * state["slow"] + np.tanh(x @ U)
        fast = np.tanh(slow + state["fast"] @ W)
        return fast, {"fast": fast, "slow": slow}

    output, _ = nn.unroll(cell, data(), start, lengths=[6, 2, 4])
    return (output**2).sum()


@pytest.mark.parametrize("learned", [True, False])
def test_a_cell_with_two_states_shows_both(learned: bool) -> None:
    loss = two_states({name: tg.tensor(np.zeros((B, H)), requires_grad=learned) for name in ("fast", "slow")})
    flow = tg.bptt.flow(loss)["cell"]
    fast, slow = (
        {t: f"{norm:.3g}" for t, norm in zip(flow.steps, flow.norms[name], strict=True)} for name in ("fast", "slow")
    )
    boxes = tg.draw(loss, level="cell", steps="all", grads=True, values=True).figures
    for t in range(1, T + 1):
        figures = [line for line in boxes[f"t{t}_cell"] if line.startswith("∇")]
        assert figures == [f"∇fast ‖{fast[t]}‖", f"∇slow ‖{slow[t]}‖"]
        assert [line.split()[0] for line in boxes[f"t{t}_cell"]] == ["fast", "∇fast", "slow", "∇slow"]
    strip = tg.draw(loss, level="strip")
    words = [strip.ribbons[0].words(row) for row in strip.ribbons[0].rows]
    assert [text[:20] for text in words] == ["‖∂L/∂fast‖ of cell a", "‖∂L/∂slow‖ of cell a"]
    svg, dot = strip.svg(), strip.dot()
    assert all(text in svg and text in dot for text in words)


@pytest.mark.parametrize("learned", [True, False])
def test_the_ribbon_of_the_page_says_what_the_report_says(learned: bool, tmp_path: Path) -> None:
    loss = two_states({name: tg.tensor(np.zeros((B, H)), requires_grad=learned) for name in ("fast", "slow")})
    text = tg.page(loss, tmp_path / "page.html").read_text("utf-8")
    said = json.loads(text.partition('type="application/json">')[2].partition("</script>")[0])["states"]
    flow = tg.bptt.flow(loss)["cell"]
    assert [row["name"] for row in said] == ["fast", "slow"]
    for row in said:
        true = flow.norms[row["name"]][flow.steps > 0]
        np.testing.assert_allclose([norm or 0.0 for norm in row["norms"]], true, rtol=1e-3)


@pytest.mark.parametrize(
    ("named", "expected"),
    [((None, None), ["h#1", "h#2"]), (("h", "h"), ["h#1", "h#2"]), (("h", None), ["h", "h#2"]), ("ab", ["a", "b"])],
)
def test_parts_of_a_state_are_told_apart_by_their_place_in_it(named: Any, expected: list[str]) -> None:
    U, W = weight(IN, H), weight(H, H, seed=2)

    def cell(x: Any, state: Any) -> Any:
        second = np.tanh(x @ U + state[1] @ W)  # computed first, and the second all the same
        first = np.tanh(second + state[0])
        first.name, second.name = named
        return first, (first, second)

    output, _ = nn.unroll(cell, data(), (np.zeros((B, H)), np.zeros((B, H))))
    assert list(tg.bptt.flow((output**2).sum())["cell"].norms) == expected


def test_the_states_of_cells_stacked_by_hand_have_numbers() -> None:
    cells = [nn.LSTMCell(IN, H, dtype=float, rng=0), nn.LSTMCell(H, H, dtype=float, rng=1)]

    def stack(x: Any, states: Any) -> Any:
        new = []
        for cell, state in zip(cells, states, strict=True):
            new.append(cell(x, state))
            x = new[-1][0]
        return x, new

    output, _ = nn.unroll(stack, data(), [None, None])
    assert list(tg.bptt.flow((output**2).sum())["cell"].norms) == ["h#1", "c#1", "h#2", "c#2"]


@pytest.mark.parametrize("level", ["op", "cell"])
def test_a_cut_inside_of_a_step_is_drawn_as_one_in_every_format(level: str) -> None:
    U, W = weight(IN, H), weight(H, H, seed=2)

    def cell(x: Any, h: Any) -> Any:
        h = np.tanh(x @ U + h @ W)
        return h * h.detach(), h

    output, _ = nn.unroll(cell, data()[:3], np.zeros((B, H)))
    picture = tg.draw((output**2).sum(), level=level)
    cuts = sum(edge.kind == "cut" for edge in picture.edges)
    assert cuts == (3 if level == "op" else 0)  # inside of a box that stands for the whole step there is nothing to see
    assert picture.svg().count('stroke-width="1.8" stroke-dasharray="5 3"') == cuts
    assert picture.dot().count("#D55E00") >= 2 * cuts  # the boxes and their arrows


def test_a_layer_in_one_piece_whose_state_gets_no_gradient_is_cut_between_its_steps() -> None:
    layer = nn.LSTM(IN, H, dtype=float, rng=0, cut_gate_gradient=True, fused=True)
    loss = (layer(data())[0] ** 2).sum()
    assert Unrolled(Tape(loss)).cuts == {(t, t + 1) for t in range(1, T)}


def test_steps_may_be_shown_op_by_op_one_after_another() -> None:
    output, _ = nn.RNN(IN, H, dtype=float, rng=0)(data())
    network = Unrolled(Tape(output))
    for t in range(1, T + 1):
        assert len(network.expand([t])) == 1 and not network.expand([t])
        made = [x.record for x in network.inputs(output.record)]
        assert [record.op.name for record in made] == ["tanh"] * t + ["rnn_step"] * (T - t)
        assert all(record in network.where for record in made)


# ---------------------------------------------------------------- networks of several layers


def attention(name: str | None) -> tg.Tensor:
    """The loss of a decoder that looks at every state of an encoder, at each of its three steps."""
    encoded, last = nn.GRU(IN, H, dtype=float, rng=0)(data()[:4])
    memory, W = encoded.swapaxes(0, 1), weight(H, H, seed=2, name="W")
    memory.name = name

    def decoder(x: Any, h: Any) -> Any:
        weights = np.exp((memory * h.reshape(B, 1, H)).sum(-1))
        context = ((weights / weights.sum(-1, keepdims=True)).reshape(B, 4, 1) * memory).sum(1)
        h = np.tanh(context @ W)
        return h, h

    output, _ = nn.unroll(decoder, data()[:3], last[0], name="decoder")
    return (output**2).sum()


@pytest.mark.parametrize("level", ["op", "cell", "layer"])
@pytest.mark.parametrize("name", ["memory", None])
def test_a_decoder_is_drawn_looking_at_every_state_of_the_encoder(level: str, name: str | None) -> None:
    picture = tg.draw(attention(name), level=level, steps=None if level == "layer" else "all")
    kinds = {node.id: node.kind for node in picture.nodes}
    memory = f"memory1_{name or 'swap_axes'}"
    assert kinds[memory] == "op" and not any("swap_axes" in node.label for node in picture.nodes if node.kind == "ref")
    edges = [(edge.source, edge.target) for edge in picture.edges]
    way = {source for source, _ in edges if (source, memory) in edges}  # at level op by way of the stack
    way |= {source for source, target in edges if target in way and target.startswith("memory1")}
    if level == "layer":
        assert ("all_gru_cell", memory) in edges and edges.count((memory, "all_decoder_cell")) == 1
        return
    box = "cell" if level == "cell" else "h"
    assert way >= {f"t{t}_gru_{box}" for t in range(1, 5)}
    looks = [target for source, target in edges if source == memory]
    assert [sum(target.startswith(f"t{t}_decoder") for target in looks) for t in (1, 2, 3)] == [
        1 if level == "cell" else 2
    ] * 3
    if level == "cell":
        assert picture.picture.rows == ["gru", "memory", "decoder", "loss"]


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("level", ["op", "cell", "layer"])
@pytest.mark.parametrize("fused", ["auto", False])
def test_two_directions_read_one_input_and_meet(kind: str, level: str, fused: Any) -> None:
    layer = getattr(nn, kind)(IN, H, bidirectional=True, rng=0, fused=fused)
    loss = (layer(data()[:3])[0] ** 2).sum()
    picture = tg.draw(loss, level=level, grads=True)
    inputs = [node for node in picture.nodes if node.kind == "input" and node.label.startswith("x")]
    assert [node.lines[0] for node in inputs] == (["x_t"] if level == "layer" else ["x_1", "x_2", "x_3"])
    for node in inputs:
        targets = [edge.target for edge in picture.edges if edge.source == node.id]
        assert len(targets) == 2 and sum("_reverse_" in target for target in targets) == 1
    meeting = [node.id for node in picture.nodes if "concat" in node.label]
    assert len(meeting) == 1
    into = {edge.source for edge in picture.edges if edge.target == meeting[0]}
    ways = into | {edge.source for edge in picture.edges if edge.target in into}
    assert any("_reverse_" in source for source in ways) and any("_reverse_" not in source for source in ways)


def test_an_input_that_two_layers_read_has_the_gradient_of_both() -> None:
    x = tg.tensor(data()[:3], requires_grad=True, name="x")
    layer = nn.RNN(IN, H, bidirectional=True, dtype=float, rng=0)
    loss = (layer(x)[0] ** 2).sum()
    picture = tg.draw(loss, level="cell", grads=True)
    true = tg.grad(loss, x, retain_graph=True).data
    for t in (1, 2, 3):
        assert picture.figures[f"t{t}_rnn_x"] == (f"∇ ‖{np.linalg.norm(true[t - 1]):.3g}‖",)
    drawn = [edge.gradient.norm for edge in picture.edges if edge.source == "t2_rnn_x" and edge.gradient is not None]
    tape = tg.tape(loss)
    projected = [tape.gradients[record][0] for record in tape if record.op.name == "affine"]
    parts = [np.linalg.norm(g[1] @ cell.W_xh.data.T) for g, cell in zip(projected, layer.cells, strict=True)]
    assert drawn == pytest.approx(parts)


# ---------------------------------------------------------------- layers of the library, by name


def agree(loss: tg.Tensor) -> dict[str, list[dict[int, float]]]:
    """What the report says, after the picture has said the same."""
    found, drawn = curves(loss), drawn_curves(loss)
    assert set(found) <= set(drawn)
    for layer, rows in found.items():
        assert len(rows) == len(drawn[layer]) and all(map(same, rows, drawn[layer]))
    return found


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"bidirectional": True}, {"fused": False}], ids=str)
def test_report_and_picture_agree_on_every_layer(kind: Any, options: dict[str, Any]) -> None:
    for lengths in (None, [6, 2, 4]):
        output, state = kind(IN, H, dtype=float, rng=0, **options)(data(), lengths=lengths)
        parts = state if isinstance(state, tuple) else (state,)
        agree((output**2).sum())
        agree(sum((part**2).sum() for part in parts))


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("fused", ["auto", False])
def test_windows_that_are_not_cut_are_one_run(kind: Any, fused: Any) -> None:
    layer, state, total = kind(IN, H, dtype=float, rng=0, fused=fused), None, 0.0
    for x in (data()[:3], data()[3:]):
        output, state = layer(x, state)
        total = total + (output**2).sum()
    (whole,) = agree((layer(data())[0] ** 2).sum()).values()
    (parts,) = agree(total).values()  # type: ignore[arg-type]
    assert all(map(same, parts, whole))


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"bidirectional": True}], ids=str)
def test_a_loss_on_the_final_states_of_several_layers(options: dict[str, Any]) -> None:
    layer = nn.LSTM(IN, H, dtype=float, rng=0, fused=False, **options)
    logs = [watched(cell) for cell in layer.cells]
    _, (h, c) = layer(data())
    loss = (h**2).sum() + (c**2).sum()
    found = agree(loss)
    for log, suffix in zip(logs, layer.suffixes, strict=True):
        order = range(T, 0, -1) if suffix.endswith("_reverse") else range(1, T + 1)
        for part in (0, 1):
            gs = tg.grad(loss, [new[part] for _, new, *_ in log], retain_graph=True)
            true = {t: float(np.linalg.norm(g.data)) for t, g in zip(order, gs, strict=True)}
            assert same(found[f"lstm{suffix}"][part], true)


def test_folded_steps_look_at_the_encoder_all_together() -> None:
    picture = tg.draw(attention("memory"), level="cell", steps=[1], grads=True)
    (join,) = [
        join
        for join in picture.picture.joins.values()
        if join.ends[0] == "memory1_memory" and join.target.column.kind == "fold"
    ]
    assert join.target.column.hidden == (2, 4) and len(join.uses) == 4  # two steps of the decoder, at two ops each
