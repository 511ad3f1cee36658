"""The drawing room: what a picture holds, how it is laid out, and what it is written as."""

import os
import re
import shutil
import subprocess
import sys
import xml.dom.minidom
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from graphs import (
    CELLS,
    GRAPHS,
    before_a_layer,
    by_id,
    marks,
    mlp,
    network,
    per_step_losses,
    places,
    recorded,
    scalar_chain,
    windows,
)

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DrawError
from tinygrad_rnn.pictures.marks import Path
from tinygrad_rnn.pictures.text import pieces
from tinygrad_rnn.pictures.theme import looks, ramp

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")


# ---------------------------------------------------------------- the picture as data


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("level", ["op", "cell"])
def test_ids_are_unique_and_edges_join_nodes(graph, level):
    picture = tg.draw(GRAPHS[graph](), level=level)
    ids = [node.id for node in picture.nodes]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"\w+", name, re.ASCII) for name in ids)
    assert {end for edge in picture.edges for end in (edge.source, edge.target)} <= set(ids)
    assert sum(node.kind == "loss" for node in picture.nodes) >= 1


def test_a_step_holds_its_ops_and_its_own_reference_to_each_weight():
    picture = tg.draw(network("LSTM", T=3))
    assert picture.level == "op" and picture.steps == [1, 2, 3]
    nodes = by_id(picture)
    for t in (1, 2, 3):
        step = [node for node in picture.nodes if node.step == ("lstm", t)]
        references = [node.lines[0] for node in step if node.kind == "ref"]
        assert sorted(references) == ["W_hh ↗", "W_xh ↗", "b_h ↗"]
        assert nodes[f"t{t}_h"].kind == nodes[f"t{t}_c"].kind == "state"
        assert nodes[f"t{t}_h"].lines[0] == f"h_{t}"
        assert [nodes[f"t{t}_{gate}"].lines[0] for gate in "ifgo"] == ["i = σ", "f = σ", "g = tanh", "o = σ"]
        assert nodes[f"t{t}_x"].lines == (f"x_{t}", "(2,4)")
    assert nodes["t0_h"].lines == ("h_0", "(2,8)") and nodes["t0_h"].kind == "input"
    assert max(sum(edge.source == name for edge in picture.edges) for name in nodes) <= 4  # nothing fans out over time


def test_states_go_from_step_to_step_and_outputs_into_the_sequence():
    picture = tg.draw(network("LSTM", T=3))
    states = {(edge.source, edge.target) for edge in picture.edges if edge.kind == "state"}
    assert ("t1_h", "t2_matmul") in states and ("t2_c", "t3_multiply") in states and ("t0_c", "t1_multiply") in states
    gathered = [edge.source for edge in picture.edges if edge.kind == "gather"]
    assert gathered == ["t1_h", "t2_h", "t3_h"]


def test_the_next_layer_takes_the_state_of_its_own_step():
    picture = tg.draw(network("LSTM", T=3, layers=2))
    between = [(e.source, e.target) for e in picture.edges if e.source.endswith("lstm_h") and e.kind == "forward"]
    assert between == [(f"t{t}_lstm_h", f"t{t}_lstm_l1_a") for t in (1, 2, 3)]


def test_the_reverse_direction_hands_its_state_to_the_left():
    picture = tg.draw(network("RNN", T=3, bidirectional=True), level="op")
    states = {(edge.source, edge.target) for edge in picture.edges if edge.kind == "state"}
    assert ("t3_rnn_reverse_h", "t2_rnn_reverse_matmul") in states
    assert ("t4_rnn_reverse_h", "t3_rnn_reverse_matmul") in states  # its initial state
    x = {name: left for name, (left, *_) in places(picture.drawn).items()}
    assert x["t3_rnn_reverse_h"] > x["t2_rnn_reverse_h"]


def test_level_cell_has_one_node_a_layer_and_step():
    picture = tg.draw(network("GRU", T=6, layers=2))
    assert picture.level == "cell"
    cells = [node for node in picture.nodes if node.kind == "cell"]
    assert len(cells) == 12 and cells[0].lines == ("GRU", "h_1", "(2,8)")
    loss = next(node for node in picture.nodes if node.kind == "loss")
    assert loss.lines[0].startswith("loss = ") and loss.lines[1].endswith(" ops")


def test_a_product_with_itself_has_two_edges():
    a = tg.tensor([1.0, 2.0], requires_grad=True, name="a")
    edges = [(edge.source, edge.target) for edge in tg.draw((a * a).sum()).edges]
    assert edges.count(("n_a", "n_multiply")) == 2


def test_names_given_by_the_caller():
    weight = tg.tensor(np.eye(2), requires_grad=True)
    other = tg.tensor(np.eye(2), requires_grad=True, name="other")
    picture = tg.draw((weight @ other).sum(), names=locals())
    assert {node.lines[0] for node in picture.nodes if node.kind == "leaf"} == {"weight", "other"}


def test_numbers_and_norms_in_the_nodes():
    loss = network("RNN", T=3)
    picture = tg.draw(loss, grads=True, values=True)
    tape = tg.tape(loss)
    h = next(record for record in tape if record.step == ("rnn", 2))
    norm = np.linalg.norm(tape.gradients[h][0])
    assert picture.figures["t2_h"] == (f"‖{np.linalg.norm(h.values[0]):.3g}‖", f"∇ ‖{norm:.3g}‖")
    assert f"∇ ‖{norm:.3g}‖" in picture.svg()
    lines = tg.draw(network("LSTM", T=8), grads=True).figures["t8_cell"]
    assert [line[:4] for line in lines] == ["∇h ‖", "∇c ‖"]


# ---------------------------------------------------------------- where x comes from, and what things are called


@pytest.mark.parametrize("level", ["op", "cell"])
@pytest.mark.parametrize("kind", ["[ids]", "swap_axes", "stack", "dropout"])
def test_a_computed_sequence_is_referred_to_in_each_step(kind, level):
    picture = tg.draw(tg.nn.LSTM(4, 3, rng=0)(before_a_layer(kind))[0].sum(), level=level)
    nodes, made = by_id(picture), "[ids]" if kind == "dropout" else kind
    for t in (1, 2, 3):
        assert nodes[f"t{t}_x"].kind == "entry" and nodes[f"t{t}_x"].lines == (f"x_{t} ↗", "(1,4)")
        assert sum(edge.source == f"t{t}_x" for edge in picture.edges) == 1
    assert nodes["before1_x"].lines[:2] == (f"x = {made}", "(3,1,4)")
    assert not any(edge.source == "before1_x" for edge in picture.edges)  # no edge for each step
    assert "ntry for step t, x_t ↗, of the sequence x = " in picture.svg().replace("\N{NO-BREAK SPACE}", " ")
    assert looks("light")["entry"].dashes


def test_a_cell_in_a_loop_takes_an_entry_once():
    x, cell, h = before_a_layer("[ids]"), tg.nn.RNNCell(4, 3, rng=0), np.zeros((1, 3), np.float32)
    with tg.scope("mine") as at:
        for t in range(3):
            at(t + 1)
            h = cell(x[t], h)
    entries = [node for node in tg.draw(h.sum()).nodes if node.id.startswith("t2_x")]
    assert [(node.kind, node.lines[0]) for node in entries] == [("entry", "x_2 ↗")]


@pytest.mark.parametrize("level", ["op", "cell"])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_leaf_keeps_its_name_and_shows_the_gradient_of_each_entry(level, reverse):
    x = tg.tensor(np.random.default_rng(0).normal(size=(3, 1, 4)), requires_grad=True, name="u")
    output, _ = tg.nn.LSTM(4, 3, bidirectional=reverse, dtype=float, rng=0)(x)
    picture = tg.draw((output * output).sum(), level=level, grads=True, values=True)
    g = picture.picture.reading.tape.gradients[x]
    row = "lstm_" if reverse else ""  # drawn once, with the first of the two directions
    for t in (1, 2, 3):
        node = by_id(picture)[f"t{t}_{row}u"]
        assert node.kind == "leaf" and node.lines[0] == f"u_{t}"
        norms = [f"{np.linalg.norm(array[t - 1]):.3g}" for array in (x.data, g)]
        assert picture.figures[node.id] == (f"‖{norms[0]}‖", f"∇ ‖{norms[1]}‖")


def test_leaves_of_single_steps_are_no_weights():
    cell, h = tg.nn.RNNCell(4, 3, rng=0), np.zeros((1, 3), np.float32)
    xs = [tg.tensor(np.ones((1, 4)), requires_grad=True, name=name) for name in ("u_1", "u_2", None)]
    with tg.scope("mine") as at:
        for t, x in enumerate(xs, 1):
            at(t)
            h = cell(x, h)
    picture = tg.draw(h.sum(), grads=True)
    leaves = [node for node in picture.nodes if node.kind == "leaf"]
    assert [node.lines[0] for node in leaves] == ["u_1", "u_2", "x_3"]
    assert all(picture.figures[node.id][0].startswith("∇ ‖") for node in leaves)
    assert "weights: " in picture.svg() and "(1,4) in" not in picture.svg().replace("\N{NO-BREAK SPACE}", " ")


def test_each_box_outside_the_steps_has_its_own_figures():
    output, _ = tg.nn.RNN(4, 3, dtype=float, rng=0)(np.ones((8, 1, 4)))
    part = (output * output).sum()
    picture = tg.draw(part + (output[-1] * 3.0).sum() * 2.0 + part * 4.0, grads=True, values=True)
    cell = next(cell for cell in picture.picture.cells.values() if cell.column.kind == "head")
    gradients = picture.picture.reading.tape.gradients
    assert len(cell.records) > 1
    for k, record in enumerate(cell.records):
        assert picture.figures[cell.id_of(k)] == (f"{record.values[0]:.4g}", f"∇ {gradients[record][0]:.4g}")


def test_the_gradient_of_an_entry_of_a_result():
    x = before_a_layer("[ids]")
    picture = tg.draw(tg.nn.RNN(4, 3, rng=0)(x)[0].sum(), grads=True)
    g = picture.picture.reading.tape.gradients[x.record][0]
    assert picture.figures["t2_x"] == (f"∇ ‖{np.linalg.norm(g[1]):.3g}‖",)


def test_a_result_without_a_name_is_not_called_like_a_leaf():
    x = tg.tensor(np.ones((1, 3, 4)), requires_grad=True, name="x")
    nodes = by_id(tg.draw(tg.nn.RNN(4, 3, rng=0)(x.swapaxes(0, 1))[0].sum()))
    assert nodes["before1_x"].kind == "leaf" and nodes["before1_u"].lines[0] == "u = swap_axes"


def test_both_directions_below_a_layer_have_a_short_label():
    for kind in CELLS:
        picture = tg.draw(network(kind, T=2, layers=2, bidirectional=True), level="op")
        lines = [node.lines[0] for node in picture.nodes if "reverse]" in node.lines[0]]
        assert "[h_1; h_1 reverse] W_xh_l1 + b_h_l1" in lines
        assert "[h_2; h_2 reverse] W_xh_l1_reverse + b_h_l1_reverse" in lines and len(lines) == 4
        assert not any(".." in node.label for node in picture.nodes)


def test_what_the_root_is_called():
    def called(root):
        return next(node.lines[0] for node in tg.draw(root).nodes if node.kind == "loss")

    x = tg.tensor(0.5, requires_grad=True)
    assert called(np.tanh(x)) == "output = 0.4621"
    assert called(network("RNN", head=False)).startswith("loss = ")
    assert called(tg.nn.mse_loss(x * x, np.zeros(()))).startswith("loss = ")
    y = x * x
    y.name = "energy"
    assert called(y) == "energy = 0.25"
    assert called(tg.nn.RNN(4, 3, rng=0)(np.ones((2, 1, 4)))[0]) == "output"


def test_weights_of_one_name_are_told_apart():
    model = tg.nn.Sequential(tg.nn.Linear(3, 3, rng=0), tg.nn.Linear(3, 3, rng=1))
    loss = model(np.ones((2, 3), np.float32)).sum()

    def weights(names=None):
        picture = tg.draw(loss, names=names)
        found = {node.lines[0].removesuffix(" ↗") for node in picture.nodes if node.kind == "ref"}
        assert all(f"{name}\N{NO-BREAK SPACE}(" in picture.svg() for name in found)  # in the legend
        return found

    assert weights() == {"W#1", "b#1", "W#2", "b#2"}
    assert weights(model) == {"0.W", "0.b", "1.W", "1.b"}
    assert weights({"model": model}) == {"model.0.W", "model.0.b", "model.1.W", "model.1.b"}
    assert weights({"first": model[0].W}) == {"first", "W", "b#1", "b#2"}


def test_an_untagged_loop_is_told_how_to_tag_its_steps():
    assert "no time steps are tagged: tg.nn.unroll" in tg.draw(scalar_chain(31)).svg()
    assert "tagged" not in tg.draw(scalar_chain(30)).svg() + tg.draw(network("LSTM", T=40)).svg()


# ---------------------------------------------------------------- cuts


@pytest.mark.parametrize("level", ["op", "cell"])
def test_a_cut_joins_the_past_that_is_alive(level):
    picture = tg.draw(windows("LSTM", T=4, k=2), level=level)
    cuts = [node for node in picture.nodes if node.kind == "cut"]
    edges = {(edge.source, edge.target) for edge in picture.edges if edge.kind == "cut"}
    if level == "op":
        assert [node.lines[0] for node in cuts] == ["h_2", "c_2"]
        assert {("t2_h", "cut3_h"), ("cut3_h", "t3_matmul"), ("t2_c", "cut3_c"), ("cut3_c", "t3_multiply")} == edges
    else:
        assert [node.lines[0] for node in cuts] == ["h_2 c_2"]
        assert {("t2_cell", "cut3_state"), ("cut3_state", "t3_cell")} == edges
    svg = picture.svg()
    assert ">detach<" in svg and [look for look, _ in recorded(picture).ways].count("rule") == 1


def test_a_cut_whose_past_is_gone_stands_at_the_left_edge():
    picture = tg.draw(windows("RNN", T=6, k=3, total=False))
    assert picture.steps == [4, 5, 6]
    cuts = [(edge.source, edge.target) for edge in picture.edges if edge.kind == "cut"]
    assert cuts == [("past4_past", "cut4_h"), ("cut4_h", "t4_matmul")]
    past = by_id(picture)["past4_past"]
    assert past.kind == "past" and past.lines == ("before the cut", "t ≤ 3", "no gradient")  # a shadow of what is gone
    left = {name: x for name, (x, *_) in places(picture.drawn).items()}
    assert min(left, key=left.get) == "past4_past" and picture.drawn.rules[0].start[0] < left["cut4_h"]


def test_a_cut_beside_its_past():
    w = tg.tensor(3.0, requires_grad=True, name="w")
    square = w * w
    picture = tg.draw(square * square.detach())
    cut = next(node for node in picture.nodes if node.kind == "cut")
    assert cut.lines[0].startswith("✂ detach")
    assert [(edge.source, edge.kind) for edge in picture.edges if edge.target == cut.id] == [("n_multiply", "cut")]


def test_a_cut_is_marked_without_colour():
    assert looks("light")["rule"].dashes and looks("light")["severed"].dashes
    assert {"rule", "severed"} <= {look for look, _ in recorded(tg.draw(windows())).ways}
    dot = tg.draw(windows()).dot()
    assert "detach" in dot and "style=dashed" in dot and "✂ detach" in tg.draw(windows()).dot(pinned=False)


# ---------------------------------------------------------------- which steps


def test_folding_shows_the_ends_and_says_what_it_hides():
    picture = tg.draw(network("LSTM", T=100))
    assert picture.steps == [1, 2, 3, 4, 98, 99, 100] and picture.hidden == [(5, 97)]
    fold = next(node for node in picture.nodes if node.kind == "fold")
    assert fold.id == "t5to97_fold" and fold.lines == ("93 steps", "not shown", "t = 5 … 97", "1209 ops")
    assert "steps 5 to 97" in picture.svg() and "7 shown" in picture.svg()
    states = {(edge.source, edge.target) for edge in picture.edges if edge.kind == "state"}
    assert {("t4_cell", "t5to97_fold"), ("t5to97_fold", "t98_cell")} <= states
    assert tg.draw(network("LSTM", T=100), level="op").steps == [1, 2, 100]
    assert tg.draw(network("RNN", T=100), level="op").steps == [1, 2, 100]


def test_few_steps_are_shown_op_by_op():
    assert tg.draw(network("RNN", T=4)).level == "op"
    assert tg.draw(network("LSTM", T=4)).level == "cell"


def test_folding_hides_neither_cuts_nor_losses():
    picture = tg.draw(windows("GRU", T=40, k=20))
    assert {20, 21, 40} <= set(picture.steps)
    assert sum(node.kind == "cut" for node in picture.nodes) == 1
    many = tg.draw(windows("GRU", T=100, k=10))
    assert len(many.steps) <= 12 and {10, 11, 90, 91} <= set(many.steps)
    assert "5 cuts and 4 losses" in many.svg()
    assert "cuts inside" in " ".join(node.label for node in many.nodes)
    assert "(8,24) in 100 steps" in many.svg().replace("\N{NO-BREAK SPACE}", " ")  # counted over all, shown or not


def test_steps_chosen_by_the_caller():
    loss = network("RNN", T=20)
    assert tg.draw(loss, steps="all").steps == list(range(1, 21))
    picture = tg.draw(loss, steps=[1, "...", 10, -1])
    assert picture.steps == [1, 10, 20] and picture.hidden == [(2, 9), (11, 19)]
    assert tg.draw(loss, steps=[5], level="op").hidden == [(1, 4), (6, 20)]


@pytest.mark.parametrize("steps", ["some", 3, [0], [21], [], ["x"], [True], [1.5]])
def test_steps_that_do_not_exist_are_refused(steps):
    with pytest.raises(DrawError, match="step"):
        tg.draw(network("RNN", T=20), steps=steps)


def test_losses_of_single_steps_stand_above_their_step():
    picture = tg.draw(per_step_losses(4), level="cell")
    assert sum(node.kind == "loss" for node in picture.nodes) == 5  # four, and their sum
    boxes = {name: (x + w / 2, y) for name, (x, y, w, h) in places(picture.drawn).items()}
    assert boxes["after2_mean"][1] > boxes["t2_cell"][1]
    assert abs(boxes["after2_mean"][0] - boxes["t2_cell"][0]) < 20


# ---------------------------------------------------------------- layout


def touches(a, b, box):
    """Whether the segment from a to b runs through the inside of the box (Liang and Barsky's clipping)."""
    x, y, w, h = (box[1] + 0.6, box[2] + 0.6, box[3] - 1.2, box[4] - 1.2)
    enter, leave = 0.0, 1.0
    dx, dy = b[0] - a[0], b[1] - a[1]
    for p, q in ((-dx, a[0] - x), (dx, x + w - a[0]), (-dy, a[1] - y), (dy, y + h - a[1])):
        if abs(p) < 1e-9:
            if q < 0:
                return False
        elif p < 0:
            enter = max(enter, q / p)
        else:
            leave = min(leave, q / p)
    return enter < leave - 1e-6


def along(points):
    """The curve that is drawn through the points, as short straight pieces."""
    out = [points[0]]
    for (ax, ay), (bx, by) in pairwise(points):
        if abs(ax - bx) > 0.05 and abs(ay - by) > 0.05:  # a cubic that starts and ends upright
            middle = (ay + by) / 2
            for u in np.linspace(0.1, 1, 10):
                weights = ((1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u**2 * (1 - u), u**3)
                out.append(tuple(np.dot(weights, xs) for xs in ((ax, ax, bx, bx), (ay, middle, middle, by))))
        else:
            out.append((bx, by))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("level", ["op", "cell"])
def test_no_edge_runs_through_a_box_and_no_boxes_overlap(graph, level):
    drawn = tg.draw(GRAPHS[graph](), level=level).drawn
    boxes = [(name, *place) for name, place in places(drawn).items()]
    for k, (name, x, y, w, h) in enumerate(boxes):
        assert x >= -0.5 and y >= -0.5 and x + w <= drawn.width + 0.5 and y + h <= drawn.height + 0.5, name
        for other, x2, y2, w2, h2 in boxes[:k]:
            assert x + w <= x2 + 0.5 or x2 + w2 <= x + 0.5 or y + h <= y2 + 0.5 or y2 + h2 <= y + 0.5, (name, other)
    for path in marks(drawn, Path):
        pieces = along(path.points)
        (left, low), (right, high) = np.min(pieces, 0), np.max(pieces, 0)
        near = [b for b in boxes if b[1] <= right and left <= b[1] + b[3] and b[2] <= high and low <= b[2] + b[4]]
        for a, b in pairwise(pieces):
            for box in near:
                assert not touches(a, b, box), f"{' -> '.join(path.edge.ends)} runs through {box[0]}"


def test_time_goes_right_and_layers_go_up():
    picture = tg.draw(network("LSTM", T=4, layers=2))
    place = places(picture.drawn)
    assert place["t1_lstm_cell"][0] < place["t2_lstm_cell"][0] < place["t4_lstm_cell"][0]
    assert place["t1_lstm_l1_cell"][1] > place["t1_lstm_cell"][1]


def test_equal_steps_share_one_template():
    picture = tg.draw(network("LSTM", T=50), level="op", steps="all").picture
    assert len({cell.template for cell in picture.cells.values() if cell.step}) == 1


# ---------------------------------------------------------------- output

MARKUP = [
    '"',
    "'",
    "<script>",
    "</script>",
    "<b>",
    "&",
    "&amp;",
    "]]>",
    "<!--",
    "\n",
    "\r",
    "\x01",
    "\x00",
    "\\",
    "\\N",
    "\\n",
]
WORDS = [
    *MARKUP, "{", "}", "|", ";", "->", "[label=x]", "node", "graph", "subgraph", "digraph", "edge", "strict", "é", "✂",
    "\ue000", "\ud800", "\uffff", "", " ", "h_0", "x", "W_hh", "%s", "{0}", "$HOME", "javascript:alert(1)", "0", "-1",
]  # fmt: skip


def hostile_names(n=500):
    rng = np.random.default_rng(6)
    long = ["x" * 10_000, "<" * 10_000, '"\\' * 5_000]
    return [*WORDS, *long, *("".join(rng.choice(WORDS, rng.integers(2, 6))) for _ in range(n - len(WORDS) - 3))]


def named_everywhere(names):
    """Graphs in which every name is that of a leaf, a result, a layer, or one that the caller gives."""
    for start in range(0, len(names), 4):
        layer, leaf, state, given = (names[start : start + 4] + ["x"] * 3)[:4]
        x = tg.tensor([1.0, 2.0], requires_grad=True, name=leaf)
        other = tg.tensor([1.0, 2.0], requires_grad=True)
        with tg.scope(layer) as at:
            for t in (1, 2):
                at(t)
                x = np.tanh(x) * other
                x.name = state
        yield x.sum(), {given: other}


def tags(svg):
    return {element.tagName for element in xml.dom.minidom.parseString(svg).getElementsByTagName("*")}


@pytest.mark.slow
def test_five_hundred_hostile_names_are_only_text():
    plain = tags(tg.draw(network("RNN", T=3), grads=True).svg()) | {"circle"}
    scripts = {True: [], False: []}
    for k, (root, names) in enumerate(named_everywhere(hostile_names())):
        picture = tg.draw(root, level=("op", "cell", "layer")[k % 3], grads=True, names=names)
        assert tags(picture.svg()) <= plain
        scripts[k % 2 == 0].append(picture.dot(pinned=k % 2 == 0))
    for texts in scripts.values() if shutil.which("dot") else ():
        run = subprocess.run(["dot", "-Tsvg"], input="\n".join(texts).encode(), capture_output=True, check=False)
        assert run.returncode == 0 and not run.stderr, run.stderr[:500]
        drawn = re.split(rb"(?=<\?xml)", run.stdout)[1:]
        assert len(drawn) == len(texts)
        allowed = {"svg", "g", "title", "polygon", "text", "path", "a", "ellipse", "polyline"}
        assert all(tags(svg.decode()) <= allowed for svg in drawn)


@pytest.mark.parametrize("graph", GRAPHS)
def test_svg_is_xml_with_a_title_and_text_of_a_legible_size(graph):
    svg = tg.draw(GRAPHS[graph]()).svg()
    document = xml.dom.minidom.parseString(svg).documentElement
    assert document.getAttribute("role") == "img"
    title = document.getElementsByTagName("title")[0]
    assert title.firstChild.data and title.getAttribute("id") in document.getAttribute("aria-labelledby").split()
    assert document.getElementsByTagName("desc")[0].firstChild.data
    assert min(float(size) for size in re.findall(r'font-size="([\d.]+)"', svg)) >= 8
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(set(ids)) == len(ids)
    prefix = re.match(r"g\w{8}-", ids[0])[0]
    assert all(name.startswith(prefix) for name in ids + re.findall(r'class="([^"]+)"', svg))
    assert not re.search(r"https?://(?!www\.w3\.org/(2000/svg|1999/xlink))", svg)


def test_themes():
    loss = network("RNN")
    assert "prefers-color-scheme" not in tg.draw(loss).svg()
    assert "#14171A" in tg.draw(loss, theme="dark").svg() and "#14171A" in tg.draw(loss, theme="dark").dot()
    assert "prefers-color-scheme" in tg.draw(loss, theme="auto").svg()
    with pytest.raises(DrawError, match="light, dark, auto"):
        tg.draw(loss, theme="pink")


def test_the_legend_lists_each_shared_weight_once():
    svg = tg.draw(network("LSTM", T=10)).svg().replace("\N{NO-BREAK SPACE}", " ")
    words = re.sub(r"<[^>]+>", "", svg[svg.index("Weights: ") :])
    assert words.startswith("Weights: Wxh (4,32) in 10 steps")
    assert words.count("Whh (8,32) in 10 steps") == 1 and "Computed at once for all 10 steps" in words


def test_a_number_is_an_index_behind_a_word_too_as_a_state_with_a_long_name_has_it():
    assert pieces("h_12 memory_12") == [("h", False), ("12", True), (" memory", False), ("12", True)]
    assert pieces("my_tensor_2 h2o_x a_memory_2") == [("my_tensor_2 h2o_x a", False), ("memory 2", True)]
    assert pieces("lstm_l1") == [("lstm_l1", False)]


def test_weights_in_the_notes_are_told_apart_by_more_than_spaces_and_a_number_has_no_shape():
    a, W = tg.nn.Parameter(0.5), tg.nn.Parameter(np.ones((2, 3)))
    y, _ = tg.nn.unroll(lambda x, h: (a * h + x @ W,) * 2, np.ones((4, 1, 2)), np.zeros((1, 3)))
    svg = tg.draw(y.sum(), level="cell", names={"a": a, "W": W}).svg().replace("\N{NO-BREAK SPACE}", " ")
    assert "Weights: a in 4 steps; W (2,3) in 4 steps" in svg or "Weights: W (2,3) in 4 steps; a in 4 steps" in svg


def test_default_pictures_stay_small_and_long_ones_use_templates():
    assert len(tg.draw(network("LSTM", T=1000)).svg()) < 60_000
    unfolded = tg.draw(network("LSTM", T=1000), level="op", steps="all").svg()
    assert len(unfolded) < 1_000_000 and unfolded.count("<use ") == 1000
    xml.dom.minidom.parseString(unfolded)


def test_ten_thousand_steps():
    picture = tg.draw(network("RNN", T=10_000))
    assert picture.hidden == [(4, 9997)] and len(picture.svg()) < 60_000


def test_the_same_graph_gives_the_same_bytes_in_any_process():
    script = (
        f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "import test_draw as d, hashlib, tinygrad_rnn as tg\n"
        "for g in ('both', 'windows', 'own cell', 'mlp'):\n"
        "    p = tg.draw(d.GRAPHS[g](), grads=True); print(hashlib.sha256((p.svg() + p.dot()).encode()).hexdigest())"
    )
    digests = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", script]
        digests.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(digests) == 1


def test_dot_has_a_cluster_for_each_step():
    dot = tg.draw(network("LSTM", T=3)).dot()
    assert [f"cluster_t{t}" in dot for t in (1, 2, 3, 4)] == [True, True, True, False]
    assert dot.startswith("// ") and "layout=nop2" in dot and "0x" not in dot


def test_dot_has_indices_weights_and_notes():
    dot = tg.draw(network("LSTM", T=100)).dot()
    assert re.search(r'>LSTM</FONT><BR/><FONT POINT-SIZE="7.5">h<SUB><FONT POINT-SIZE="6">1</FONT></SUB> c', dot)
    for text in (dot, tg.draw(network("LSTM", T=100)).dot(pinned=False)):
        text = text.replace("\xa0", " ")
        assert "Weights: W<SUB>" in text and "in 100 steps" in text and "ot shown: steps 5 to 97" in text


def test_the_samples_of_the_legend_and_the_scale_are_nodes_of_their_own():
    picture = tg.draw(windows(), grads=True)
    free = picture.dot(pinned=False)
    for kind in {node.kind for node in picture.nodes}:
        assert re.search(rf"^\t+legend_{kind} \[", free, re.M)
    assert free.count("FIXEDSIZE=") == 12 and "legend_scale" in free
    drawn = [look for look, _ in recorded(picture).ways if re.fullmatch(r"grad \d+", look)]
    assert len({f"grad {k}" for k in range(1, 13)} - set(drawn)) == 0
    assert all(colour in picture.dot() for colour in ramp("light")[1:])
    plain = tg.draw(windows(), legend=False, notes=False).dot(pinned=False)
    assert "legend" not in plain.replace("cluster_legend", "")
    tips = re.findall(r'tooltip="([^"]*)"', tg.draw(network("LSTM", T=2)).dot())
    assert "tanh (2,8)" in tips and not any(re.match(r"(\w+) \1\b", tip) for tip in tips)


@pytest.mark.slow
@needs_dot
@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("pinned", [True, False])
def test_graphviz_accepts_the_dot(graph, pinned):
    dot = tg.draw(GRAPHS[graph](), grads=True).dot(pinned)
    run = subprocess.run(["dot", "-Tplain"], input=dot.encode(), capture_output=True, check=False)
    assert run.returncode == 0 and not run.stderr


def in_order(picture):
    """Check that Graphviz puts columns in the order of time, and layers in that of depth."""
    dot = picture.dot(pinned=False)
    assert "pos=" not in dot and "nop2" not in dot
    plain = subprocess.run(["dot", "-Tplain"], input=dot.encode(), capture_output=True, check=True).stdout.decode()
    at = {name: (float(x), float(y)) for name, x, y in re.findall(r"^node (\w+) (\S+) (\S+)", plain, re.M)}
    direction = picture.picture.options.direction
    along, sign = (0 if direction in ("left", "right") else 1), (1 if direction in ("right", "up") else -1)
    columns, depths = {}, {}
    for cell in picture.picture.cells.values():
        for box in range(len(cell.template.boxes)):
            place = at[cell.id_of(box)]
            columns.setdefault(cell.column, []).append(sign * place[along])
            depths.setdefault(cell.column, []).append((cell.row or 0, place[1 - along]))
    times = [columns[column] for column in picture.picture.columns]
    assert all(max(before) < min(behind) for before, behind in pairwise(times)), direction
    for column, found in depths.items():  # a layer lies above the one below it
        if column.kind == "step":
            rows = {row: [place for at, place in found if at == row] for row, _ in sorted(found)}
            assert all(max(low) < min(high) for low, high in pairwise(rows.values())), (direction, column)


@needs_dot
@pytest.mark.parametrize("direction", ["right", "left", "up", "down"])
def test_without_positions_graphviz_keeps_time_going_in_its_direction(direction):
    in_order(tg.draw(GRAPHS["stacked windows"](), level="cell", direction=direction))


@pytest.mark.slow
@needs_dot
@pytest.mark.parametrize("graph", [name for name in GRAPHS if name not in ("mlp", "chain")])
@pytest.mark.parametrize("level", ["op", "cell"])
def test_without_positions_graphviz_keeps_cuts_folds_and_layers_in_order(graph, level):
    in_order(tg.draw(GRAPHS[graph](), level=level, grads=True))


def test_a_long_layout_is_warned_of():
    picture = tg.draw(network("RNN", T=101), steps="all")
    with pytest.warns(UserWarning, match="take Graphviz minutes") as caught:
        picture.dot(pinned=False)
        picture.digraph(pinned=False)
    assert {warning.filename for warning in caught} == {__file__}
    picture.dot()


def test_notebooks():
    picture = tg.draw(network("RNN"))
    assert picture._repr_svg_() == picture.svg()
    assert picture._repr_html_().startswith("<div") and picture.svg() in picture._repr_html_()
    assert re.fullmatch(r"<drawing: \d+ nodes, \d+ edges, 3 of 3 steps, level op>", repr(picture))


# ---------------------------------------------------------------- graphs without time, and none


def test_a_graph_without_time_tags():
    picture = tg.draw(mlp())
    assert picture.steps == [] and picture.level == "op"
    assert [node.lines[0] for node in picture.nodes if node.kind == "ref"] == ["W#1 ↗", "b#1 ↗", "W#2 ↗", "b#2 ↗"]
    assert next(node.lines[0] for node in picture.nodes if node.kind == "loss").startswith("loss = 0.")


def test_too_many_ops_without_time_tags():
    tg.draw(scalar_chain(400)).svg()
    with pytest.raises(DrawError, match=r"501 ops .* tg\.scope"):
        tg.draw(scalar_chain(501))


def test_a_leaf_alone():
    picture = tg.draw(tg.tensor([1.0, 2.0], name="x"))
    assert [(node.id, node.kind, node.lines) for node in picture.nodes] == [("n_x", "input", ("x", "(2)"))]
    xml.dom.minidom.parseString(picture.svg())


def test_a_root_inside_the_steps():
    h = tg.tensor(np.zeros(2), requires_grad=True, name="h_0")
    with tg.scope("net") as at:
        for t in (1, 2, 3):
            at(t)
            h = np.tanh(h)
    kinds = {node.id: node.kind for node in tg.draw(h, steps=[3], level="op").nodes}
    assert kinds == {"t1to2_fold": "fold", "t3_tanh": "loss"}


def test_a_freed_graph_says_so():
    loss = network("RNN")
    loss.backward()
    with pytest.raises(DrawError, match=r"retain_graph=True"):
        tg.draw(loss)
    again = network("RNN")
    again.backward(retain_graph=True)
    tg.draw(again).svg()


def test_wrong_arguments():
    with pytest.raises(TypeError, match=r"needs a Tensor.* not ndarray"):
        tg.draw(np.ones(3))
    with pytest.raises(DrawError, match='"op"'):
        tg.draw(network("RNN"), level="loop")
    with pytest.raises(tg.errors.GraphError, match="no gradient"):
        tg.draw(tg.tensor(1.0), grads=True)


def test_drawing_keeps_no_graph_alive_and_changes_no_gradient():
    loss = network("RNN")
    before = [x.grad for x in tg.tape(loss).leaves]
    tg.draw(loss, grads=True).svg()
    assert [x.grad for x in tg.tape(loss).leaves] == before == [None] * len(before)
    loss.backward()  # the graph is still there


def test_importing_the_library_does_not_import_what_only_pictures_need():
    code = "import sys, tinygrad_rnn; print([m for m in ('graphviz', 'pygraphviz', 'matplotlib') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_figures_are_read_when_drawn_so_that_backward_may_follow():
    rnn = tg.nn.RNN(2, 3, rng=0)
    output, _ = rnn(np.ones((3, 1, 2)))
    loss = (output * output).sum()
    picture = tg.draw(loss, values=True, grads=True, level="op")
    loss.backward()
    assert picture.svg().count("∇") > 10


@needs_dot
def test_a_state_with_a_name_like_markup_is_text_in_dot():
    h = tg.tensor(1.0, requires_grad=True)
    with tg.scope("rnn") as at:
        for t in (1, 2, 3):
            at(t)
            h = np.tanh(h * 2)
            h.name = "<script>alert(1)</script>"
    dot = tg.draw(h.sum()).dot()
    done = subprocess.run(["dot", "-Tsvg"], input=dot.encode(), capture_output=True, check=True)
    assert b"<script" not in done.stdout


def test_states_of_a_cell_of_ones_own_have_the_step_as_an_index():
    def cell(x_t, state):
        h, c = state
        h = np.tanh(x_t + h)
        return h, (h, c + h)

    _, (h, c) = tg.nn.unroll(cell, tg.tensor(np.ones(3), requires_grad=True), (0.0, 0.0))
    svg = tg.draw(h + c, level="cell").svg()
    texts = ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")]
    assert any(text.startswith("h#12 h#22") for text in texts)  # h#1 and h#2, with the index 2 below the line
    assert not any("h0_" in text for text in texts)
