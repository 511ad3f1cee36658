"""Gradients in pictures: how much goes where, on which scale, and with which marks."""

import re
import xml.dom.minidom
from itertools import pairwise

import numpy as np
import pytest
from graphs import GRAPHS, Recorder, between_cells, by_id, long_memory, network, recorded, windows

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DrawError, GraphError
from tinygrad_rnn.pictures.amount import Amount, Scale, amount
from tinygrad_rnn.pictures.figure import Figure
from tinygrad_rnn.pictures.overlay import beside
from tinygrad_rnn.pictures.strokes import scale_samples, stroke
from tinygrad_rnn.pictures.strokes import windows as brackets
from tinygrad_rnn.pictures.theme import looks as looks_of


def edge(picture, source, target):
    return next(e.gradient for e in picture.edges if (e.source, e.target) == (source, target))


# ---------------------------------------------------------------- how much goes where


def test_what_goes_back_along_an_edge_is_the_part_that_comes_by_it():
    rnn = tg.nn.RNN(3, 4, dtype=float, rng=0)
    output, _ = rnn(np.ones((3, 2, 3)))
    loss = (output * output).sum()
    picture = tg.draw(loss, level="op", grads=True)
    h = [tg.tensor(row, requires_grad=True) for row in output.data]
    later = np.tanh(rnn.cells[0].project(tg.tensor(np.ones((1, 2, 3))))[0] + h[1] @ rnn.W_hh)
    d_h3 = 2 * output.data[2]
    through = tg.grad(later, h[1], grad_outputs=d_h3)  # dL/dh_2 that comes by way of h_3
    assert edge(picture, "t2_h", "t3_matmul").norm == pytest.approx(np.linalg.norm(through.data))
    assert edge(picture, "t2_h", "after3_stack").norm == pytest.approx(np.linalg.norm(2 * output.data[1]))
    both = np.linalg.norm(through.data + 2 * output.data[1])
    assert picture.figures["t2_h"] == (f"∇ ‖{both:.3g}‖",)
    delta = d_h3 * (1 - output.data[2] ** 2)
    assert edge(picture, "t3_W_hh", "t3_matmul").norm == pytest.approx(np.linalg.norm(output.data[1].T @ delta))
    assert edge(picture, "t3_W_xh", "t3_a").norm == pytest.approx(np.linalg.norm(np.ones((2, 3)).T @ delta))
    assert edge(picture, "t3_x", "t3_a") is None  # data needs no gradient


def test_two_uses_of_one_tensor_carry_a_part_each():
    x = tg.tensor(3.0, requires_grad=True, name="x")
    amounts = [e.gradient.norm for e in tg.draw(x * x, grads=True).edges]
    assert amounts == [3.0, 3.0]


def test_an_edge_between_boxes_of_many_ops_carries_all_that_goes_back():
    loss = network("LSTM", T=6)
    fine, coarse = (tg.draw(loss, level=level, grads=True, steps="all") for level in ("op", "cell"))
    tape = tg.tape(loss)
    state = next(record for record in tape if record.step == ("lstm", 3))
    d_h = tape.gradients[state][0]
    to_the_loss = edge(coarse, "t3_cell", "after6_mean")
    assert edge(fine, "t3_h", "after6_stack").norm == pytest.approx(to_the_loss.norm, rel=1e-5)
    assert coarse.figures["t3_cell"][0] == f"∇h ‖{np.linalg.norm(d_h):.3g}‖"
    weights = edge(coarse, "t3_weights", "t3_cell").norm
    parts = [
        edge(fine, f"t3_{name}", f"t3_{to}").norm for name, to in (("W_hh", "matmul"), ("W_xh", "a"), ("b_h", "a"))
    ]
    assert weights == pytest.approx(np.linalg.norm(parts), rel=1e-5)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"bidirectional": True}], ids=str)
@pytest.mark.parametrize("level", ["op", "cell", "layer", "strip"])
def test_a_fused_layer_is_drawn_as_the_composed_one(kind, options, level):
    def data(fused):
        layer = getattr(tg.nn, kind)(3, 4, rng=0, dtype=float, fused=fused, **options)
        output, _ = layer(np.random.default_rng(0).normal(size=(20, 2, 3)))
        picture = tg.draw((output * output).sum(), level=level, grads=True)
        nodes = [(node.id, node.kind, node.lines) for node in picture.nodes]
        edges = sorted((e.source, e.target, e.kind, e.gradient and f"{e.gradient:.6g}") for e in picture.edges)
        return nodes, edges, picture.figures, picture.steps

    assert data(True) == data(False)


def test_two_uses_of_a_state_in_one_box_of_ops_are_one_edge_with_their_sum():
    rnn = tg.nn.RNN(2, 3, dtype=float, rng=0)
    output, _ = rnn(np.ones((3, 1, 2)))
    picture = tg.draw((output[-1] * output[-1]).sum(), level="cell", grads=True)
    into = [e for e in picture.edges if e.target == "after3_sum"]
    assert [e.source for e in into] == ["t3_cell"]
    assert into[0].gradient.norm == pytest.approx(np.linalg.norm(2 * output.data[-1]))


def test_a_ribbon_of_few_steps_has_wide_columns():
    """They are not lost in the middle of a page, and those of many steps have room on it."""
    pixels = [tg.draw(long_memory(T), level="strip").ribbons[0].px for T in (12, 30, 100, 500)]
    assert pixels == sorted(pixels, reverse=True) and pixels[0] >= 20 and pixels[-1] * 500 <= 1000
    assert not any("∇ is" in line for line, *_ in recorded(tg.draw(long_memory(12), level="strip")).texts)


def test_norms_whose_squares_vanish():
    assert amount(np.full(4, 1e-30, np.float32)).norm == pytest.approx(2e-30)
    assert amount(np.full(4, 1e-200)).norm == pytest.approx(2e-200)
    assert amount(np.full(4, 1e200)).norm == pytest.approx(2e200)
    assert amount(np.array([3.0]), np.array([4.0])) == Amount("number", 5.0)


def test_the_kinds_of_amounts():
    kinds = [amount(g).kind for g in (None, np.zeros(3), np.array([0, np.nan]), np.array([np.inf, 1]), np.ones(2))]
    assert kinds == ["none", "zero", "nan", "nan", "number"]


# ---------------------------------------------------------------- the scale


def numbers(*norms):
    return [Amount("number", norm) for norm in norms]


def test_a_scale_has_the_decades_that_occur():
    scale = Scale.of([*numbers(5.7, 1.2e-3), Amount("zero")])
    assert (scale.low, scale.top) == (-3, 1)  # four decades: each has three of the twelve levels
    assert [scale.level(a) for a in numbers(10, 5.7, 1.0, 0.5, 0.1, 1.2e-3, 1e-3, 1e-4)] == [12, 12, 9, 9, 6, 1, 1, 0]
    assert [Scale.of(numbers(x)).ends for x in (1.0, 0.3, 1e-6)] == [("0.1", "1"), ("0.1", "1"), ("1e-7", "1e-6")]
    deep = Scale.of(numbers(1.0, 1e-40))
    assert (deep.low, deep.top) == (-12, 0)
    assert Scale.of([]).top == 0  # nothing to put on it


def test_a_gradient_that_falls_looks_like_one():
    """From 1.7 to 0.0003 within twelve steps: the strokes of the states get thinner and lighter from step to step."""
    from tinygrad_rnn.pictures import theme

    picture = tg.draw(long_memory(12), level="cell", steps="all", grads=True)
    levels = [picture.overlay.scale.level(e.gradient) for e in picture.edges if e.kind == "state"]
    assert levels == sorted(levels) and levels[-1] - levels[0] >= 8 and len(set(levels)) >= 8
    assert theme.width(levels[-1]) > 2.5 * theme.width(levels[0])


def test_the_author_fixes_the_scale():
    loss = long_memory(12)
    picture = tg.draw(loss, grads=True, scale=(1e-2, 0.5))
    scale = picture.overlay.scale
    assert [scale.level(a) for a in numbers(0.5, 7.0, 1e-2, 0.9e-2)] == [12, 12, 1, 0]
    assert "below 0.01" in picture.svg() and "below" not in tg.draw(loss, grads=True).svg()
    both = tg.draw([loss, loss], grads=True, scale=(1e-2, 0.5))
    assert all(drawing.overlay.scale.ends == ("0.01", "0.5") for drawing in both.drawings)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("shown", [[6], [5, 6], [3], [1, 6]], ids=str)
def test_what_a_layer_takes_from_the_one_below_is_no_memory_whichever_steps_are_folded(shown, fused):
    layer = tg.nn.GRU(2, 3, num_layers=3, fused=fused, rng=0)
    output, _ = layer(np.random.default_rng(0).normal(size=(6, 1, 2)))
    picture = tg.draw((output**2).sum(), steps=shown, grads=True).picture
    assert "memory" not in picture.rows, picture.rows


@pytest.mark.parametrize("level", ["cell", "op"])
def test_a_memory_between_layers_takes_no_stroke_from_the_states_above_it(level):
    """Its row lifts the decoder to where losses stand in other pictures: sums of losses alone have no strokes."""
    encoder, cell = tg.nn.GRU(2, 3, dtype=float, rng=0), tg.nn.GRUCell(3, 3, dtype=float, rng=1)
    memory, last = encoder(np.random.default_rng(0).normal(size=(3, 1, 2)))

    def decoder(x, s):
        s = cell((memory * np.exp((memory * s).sum(-1, keepdims=True))).sum(0), s)
        return s, s

    output, _ = tg.nn.unroll(decoder, np.zeros((3, 1, 3)), last[0], name="decoder")
    picture = tg.draw((output**2).sum(), level, grads=True)
    handed_on = [e for e in picture.edges if e.kind == "state" and e.gradient is not None]
    assert len(handed_on) >= 4 and "memory" in picture.picture.rows
    assert all(f"<title>∇ {e.gradient}</title>" in picture.svg() for e in handed_on)


def test_a_wider_and_darker_stroke_for_more_gradient():
    from tinygrad_rnn.pictures import theme

    widths = [theme.width(level) for level in range(13)]
    assert widths == sorted(set(widths)) and widths[-1] > 3 * widths[0]
    picture = tg.draw(long_memory(6, weight=1e-3), level="op", steps="all", grads=True)
    used = {int(look.split()[1]) for look in recorded(picture).looks_of("grad") if look.endswith("head")}
    assert {12, 9, 6} <= used and 0 in used  # it falls by three decades a step, down to below the scale
    assert "below 1e-11" in picture.svg()


def marks(picture):
    return recorded(picture).looks_of("grad") & {"grad zero", "grad none", "grad nan"}


def test_zero_not_reached_and_nan_have_marks_of_their_own():
    x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    zero = (x * np.zeros(2)).sum()
    nan = np.sqrt(x - x).sum() * 0.0
    with np.errstate(all="ignore"):
        pictures = [tg.draw(root, grads=True) for root in ((x * x).sum(), zero, nan)]
    plain, with_zero, with_nan = map(marks, pictures)
    assert (plain, with_zero) == (set(), {"grad zero"}) and with_nan - {"grad zero"} == {"grad nan"}
    assert "exactly 0" in pictures[1].svg() and "nan or inf" in pictures[2].svg()
    assert "exactly 0" not in pictures[0].svg()
    assert "shape=diamond" in pictures[2].dot() and "shape=diamond" not in pictures[1].dot()
    free = [picture.dot(pinned=False) for picture in pictures]
    assert "arrowtail=odot" in free[1] and "arrowtail=diamond" in free[2]


class Stop(tg.Op):
    """Passes its input on, and says that nothing of it is reached."""

    def forward(self, x):
        return x * 1.0

    def vjp(self, g, y, x):
        return None


def test_what_the_pass_does_not_reach():
    x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    picture = tg.draw((Stop()(np.tanh(x)) + 1.0).sum(), grads=True)
    assert picture.figures["n_tanh"] == ("∇ none",)
    assert edge(picture, "n_x", "n_tanh") == Amount("none")
    assert edge(picture, "n_tanh", "n_stop") == Amount("zero")
    assert marks(picture) == {"grad zero", "grad none"} and "not reached" in picture.svg()


def test_marks_differ_without_colour():
    looks = looks_of("light", gradients=True)
    kinds = ("grad zero", "grad none", "grad nan", "grad 0", "grad 12")
    assert len({(looks[kind].width, looks[kind].dashes) for kind in kinds}) == 5


def test_the_stroke_runs_beside_its_edge_and_back():
    assert beside([(0, 0), (10, 0)], 3) == [(10, 3), (0, 3)]
    assert beside([(0, 0), (10, 0), (10, 20)], 3) == [(7, 20), (7, 3), (0, 3)]
    assert beside([(0, 0), (4, 10)], 3) == [(1, 10), (-3, 0)]  # slanted: a curve with upright ends


# ---------------------------------------------------------------- the ribbon, and the step with the largest gradient


def test_a_folded_picture_shows_the_gradient_of_every_step():
    picture = tg.draw(network("LSTM", T=300), grads=True)
    row, of_c = picture.ribbons[0].rows
    assert (row.state, of_c.state) == ("h", "c")
    assert [bar.first for bar in row.bars] == list(range(1, 301)) and picture.hidden
    loss = network("LSTM", T=300)
    tape = tg.tape(loss)
    norms = {r.step.t: np.linalg.norm(tape.gradients[r][0]) for r in tape if r.step and r.op.name == "lstm_step"}
    assert all(bar.amount.norm == pytest.approx(norms[bar.first], rel=1e-4) for bar in row.bars)
    assert row.top.amount.norm == pytest.approx(max(norms.values()), rel=1e-4)
    layer, largest, most = picture.overlay.largest
    assert layer == "lstm" and most == max((row.top.amount, of_c.top.amount), key=lambda a: a.norm)
    svg = picture.svg()
    assert largest in picture.steps and f"the largest, {most}, at t = {largest}" in svg and "largest ∇" in svg
    assert tg.draw(network("LSTM", T=5), grads=True).ribbons == []  # each step has its own figure there
    fold = next(node for node in picture.nodes if node.kind == "fold")
    assert [line[:5] for line in picture.figures[fold.id]] == ["∇ min", "∇ max"]


def test_the_step_with_the_largest_gradient_is_marked_in_every_format():
    picture = tg.draw(long_memory(5), level="op", steps="all", grads=True)
    assert picture.overlay.largest[1] == 5 and ">largest ∇ ▾<" in picture.svg()
    assert 'label="t = 5: largest ∇"' in picture.dot(pinned=False) and "largest ∇ ▾" in picture.dot()
    assert "largest ∇ ▾" in [line for line, *_ in recorded(picture).texts] and r"largest $\nabla$" in picture.tikz()


def test_level_strip_is_the_ribbon_alone():
    picture = tg.draw(network("LSTM", T=120, layers=2), level="strip")
    assert picture.nodes == [] and picture.edges == [] and picture.steps == list(range(1, 121))
    rows = [(row.layer, row.state) for row in picture.ribbons[0].rows]
    assert rows == [("lstm_l1", "h"), ("lstm_l1", "c"), ("lstm", "h"), ("lstm", "c")] and picture.ribbons[0].px == 5
    svg = picture.svg()
    xml.dom.minidom.parseString(svg)
    assert "at each of 120 steps" in svg and len(svg) < 50_000
    assert picture.dot().count("shape=box") > 240  # a column a step
    long = tg.draw(long_memory(3000, weight=0.99), level="strip")
    assert long.ribbons[0].per == 3 and long.ribbons[0].px == 1 and "the largest of 3 in a column" in long.svg()
    with pytest.raises(GraphError, match="one entry"):
        tg.draw(tg.nn.RNN(1, 2, rng=0)(np.ones((3, 1, 1)))[0], level="strip")


def test_a_ribbon_shows_cuts_and_marks():
    picture = tg.draw(windows("RNN", T=40, k=10), grads=True)
    assert len(picture.ribbons[0].cuts) == 3 and picture.ribbons[0].cuts == sorted(picture.ribbons[0].cuts)
    x = tg.tensor(np.zeros(2), requires_grad=True)
    with tg.scope("net") as at:
        for t in range(1, 31):
            at(t)
            x = np.minimum(x + 1.0, 0.0) if t == 20 else x + 1.0  # nothing passes back through step 20
            x.name = "h"
    strip = tg.draw(x.sum(), level="strip")
    (run,) = strip.ribbons[0].runs()
    assert (run[1].first, run[2].last, run[3]) == (1, 19, "zero")


# ---------------------------------------------------------------- levels and widths


def test_level_layer_has_one_cell_a_layer_and_a_loop():
    picture = tg.draw(network("LSTM", T=100, layers=2), level="layer")
    nodes = by_id(picture)
    assert [node.lines[:2] for node in picture.nodes if node.kind == "cell"] == [
        ("LSTM", "h_t c_t"),
        ("LSTM l1", "h_t c_t"),
    ]
    loops = {node.id: node.lines for node in picture.nodes if node.kind == "loop"}
    assert all(lines == ("× 99", "h c of t − 1") for lines in loops.values()) and len(loops) == 2
    states = {(e.source, e.target) for e in picture.edges if e.kind == "state"}
    for loop in loops:
        layer = loop.split("_", 1)[1].removesuffix("_loop")
        assert {(f"all_{layer}_cell", loop), (loop, f"all_{layer}_cell")} <= states
    assert nodes["t0_lstm_state"].lines[0] == "h_0 c_0" and ("t0_lstm_state", "loop1_lstm_loop") in states
    assert picture.hidden == [] and "t = 1 … 100" in picture.svg()


def test_a_loop_says_where_it_is_cut():
    (loop,) = [node for node in tg.draw(windows("GRU", T=20, k=5), level="layer").nodes if node.kind == "loop"]
    assert loop.lines == ("× 19", "h of t − 1", "✂ detach before t = 6, 11, 16")
    (many,) = [node for node in tg.draw(windows("GRU", T=20, k=2), level="layer").nodes if node.kind == "loop"]
    assert many.lines[-1] == "✂ 9 times detached"


@pytest.mark.parametrize("level", ["layer", "strip"])
def test_levels_over_time_need_time_steps(level):
    x = tg.tensor(0.5, requires_grad=True)
    with pytest.raises(DrawError, match=r"has none: tg\.nn\.unroll"):
        tg.draw(np.tanh(x), level=level)


@pytest.mark.slow
@pytest.mark.parametrize("T", [3, 5, 9, 10, 11, 100, 2000])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("grads", [False, True])
def test_a_default_picture_is_legible_in_a_column_of_1100_px(kind, T, grads):
    svg = tg.draw(network(kind, T=T), grads=grads).svg()
    width = float(re.match(r'<svg [^>]*?width="([\d.]+)"', svg)[1])
    smallest = min(float(size) for size in re.findall(r'font-size="([\d.]+)"', svg))
    assert smallest * min(1.0, 1100 / width) >= 8


# ---------------------------------------------------------------- all of it, over all graphs


@pytest.mark.slow
@pytest.mark.parametrize("level", ["op", "cell", "layer", "strip"])
@pytest.mark.parametrize("graph", [name for name in GRAPHS if name not in ("mlp", "chain")])
def test_every_graph_at_every_level(graph, level):
    picture = tg.draw(GRAPHS[graph](), level=level, grads=True)
    xml.dom.minidom.parseString(picture.svg())
    ids = {node.id for node in picture.nodes}
    assert len(ids) == len(picture.nodes)
    assert {end for e in picture.edges for end in (e.source, e.target)} <= ids
    assert picture.dot() and (level == "strip" or picture.dot(pinned=False))


# ---------------------------------------------------------------- what a step says of itself


def test_numbers_in_labels_are_those_of_their_own_step():
    h, losses = tg.tensor(np.ones(4), requires_grad=True, name="h_0"), []
    with tg.scope("net") as at:
        for t in range(1, 4):
            at(t)
            h = np.tanh(h - 0.1 * t)
            losses.append(h[t] * t)
    picture = tg.draw(losses[0] + losses[1] + losses[2], level="op", steps="all")
    for t in range(1, 4):
        labels = " ".join(node.label for node in picture.nodes if node.step is not None and node.step.t == t)
        assert f"· − {0.1 * t:.3g}" in labels
        assert f"[{t}]" in labels
        assert f"× {t} = {losses[t - 1].item():.4g}" in labels


def test_numbers_in_a_sequence_computed_at_once_are_those_of_its_window():
    rnn, state, total = tg.nn.RNN(2, 3, rng=0), None, 0
    for k in (1, 2):
        x = tg.tensor(np.ones((1, 1, 2)), requires_grad=True, name="x")
        output, state = rnn(x * (0.5 * k), state)
        total = total + output.sum()
    labels = [node.label for node in tg.draw(total, level="op", steps="all").nodes]
    assert any("x_1 × 0.5)" in label for label in labels)
    assert any("x_2 × 1)" in label for label in labels)


def test_the_legend_gives_the_whole_gradient_of_each_weight():
    rnn = tg.nn.RNN(3, 4, dtype=float, rng=0)
    output, _ = rnn(np.ones((60, 2, 3)))
    loss = (output * output).sum()
    picture, plain = tg.draw(loss, grads=True), tg.draw(loss)
    assert "∇" not in plain.svg()
    words = re.sub("<[^>]*>", "", picture.svg()).replace("\u00a0", " ")
    loss.backward()
    for weight in rnn.parameters():
        assert f"in 60 steps, ∇ ‖{np.linalg.norm(weight.grad):.3g}‖" in words


def test_the_words_of_a_short_ribbon_are_neither_cut_off_nor_crossed_out():
    picture = tg.draw(windows(T=12, k=4), level="layer", grads=True)
    ribbon, figure = picture.ribbons[0], Figure(picture.sheet())
    assert ribbon.room > ribbon.width
    assert figure.inner >= ribbon.room
    drawn = recorded(picture)
    words = next(y for line, _, y in drawn.texts if "at each of" in line)
    rules = [way for look, way in drawn.ways if look == "rule" and way[0][1] > figure.strip]
    assert len(rules) == len(ribbon.cuts) > 0
    assert all(way[0][1] >= words + 3 for way in rules)  # below the foot of the words


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("level", [None, "op", "cell", "layer", "strip"])
def test_a_single_step(kind, level):
    picture = tg.draw(network(kind, T=1), level=level, grads=True, values=True)
    assert picture.steps == [1]
    xml.dom.minidom.parseString(picture.svg())


def test_states_of_masked_steps_do_not_cross():
    lstm = tg.nn.LSTM(3, 4, dtype=float, rng=0)
    output, _ = lstm(np.ones((6, 3, 3)), lengths=[6, 4, 2])
    drawn = tg.draw((output * output).sum()).drawn
    heights = {}
    for path in between_cells(drawn):
        if path.edge.kind == "state" and path.edge.source.step is not None:
            ends = heights.setdefault(path.edge.source.step.t, {"h": [], "c": []})
            ends[path.edge.name] += [path.points[0][1], path.points[-1][1]]
    assert sorted(heights) == [1, 2, 3, 4, 5]
    for ends in heights.values():
        assert (ends["h"][0] < ends["c"][0]) == (ends["h"][1] < ends["c"][1])


def test_a_scale_around_others_has_twelve_decades_at_most():
    one, tiny = numbers(1.0, 1e-20)
    assert Scale.of([one]).height(one) == 1.0
    both = Scale.around([Scale.of([one]), Scale.of([tiny])])
    assert (both.low, both.top) == (-12, 0)
    assert both.height(tiny) == 0.0


def test_a_strip_does_not_list_some_of_the_weights():
    assert "Weights:" not in tg.draw(network("LSTM", T=6), level="strip").svg()


def test_beyond_thirty_drawn_steps_the_ribbon_stands_for_the_edges():
    few, many = (tg.draw(long_memory(T), level="cell", steps="all", grads=True) for T in (30, 31))
    assert few.ribbons == [] and any(e.gradient is not None for e in few.edges)
    assert many.ribbons != [] and all(e.gradient is None for e in many.edges)


def test_the_scale_of_a_comparison_holds_the_largest_and_its_legend_every_mark():
    x = tg.tensor(np.ones(2), requires_grad=True, name="x")
    small, large = (x * 1.0).sum(), (np.minimum(x, 0.0) * 1e5).sum()
    alone = tg.draw(large, grads=True)
    both = tg.draw([small, large], grads=True)
    assert alone.overlay.kinds == {"number", "zero"} and tg.draw(small, grads=True).overlay.kinds == {"number"}
    for drawing in both.drawings:
        assert drawing.overlay.scale.top == alone.overlay.scale.top
        assert drawing.overlay.kinds == {"number", "zero"}


def test_a_column_of_several_steps_shows_the_largest_of_them():
    strip = tg.draw(long_memory(1500, weight=0.99), level="strip")
    (row,) = strip.ribbons[0].rows
    assert strip.ribbons[0].per == 2 and len(row.bars) == 750
    for bar in row.bars:
        assert bar.amount.norm == max(strip.gradients["net"][t].norm for t in (bar.first, bar.last))
        assert bar.height >= 1.5


def test_a_ribbon_has_the_highest_layer_on_top_and_cuts_before_the_step_they_cut_off():
    ribbon = tg.draw(windows("RNN", T=40, k=10, layers=2), grads=True).ribbons[0]
    assert [row.layer for row in ribbon.rows] == ["rnn_l1", "rnn"]
    assert ribbon.cuts == [ribbon.x(t) for t in (11, 21, 31)]
    places = [x for x, _ in ribbon.ticks()]
    assert all(after - before > 40 for before, after in pairwise(places))


def test_the_legend_gives_the_numbers_of_its_decades_where_their_strokes_are():
    drawn = Recorder()
    words, strokes = scale_samples(Scale.of(numbers(30.0, 0.02)), set())
    strokes.draw(drawn, words.need, 0.0)
    starts = {int(look.split()[1]): way[0][0] for look, way in drawn.ways}
    places = {line: x for line, x, y in drawn.texts if y == 14}
    assert sorted(starts) == list(range(1, 13))
    wanted = {"0.01": starts[1], "0.1": starts[4], "1": starts[7], "10": starts[10], "100": starts[12] + 18}
    assert places == pytest.approx(wanted)


@pytest.mark.parametrize(("end", "sign"), [(0.0, 1), (200.0, -1)])
def test_the_head_of_a_gradient_points_back_to_where_the_edge_starts(end, sign):
    a = Amount("number", 1.0)
    drawn = Recorder()
    stroke(drawn, a, Scale.of([a]), [(50.0, 100.0), (50.0, end)])
    (_, left), (_, tip), (_, right) = dict(drawn.ways)["grad 12 head"]
    assert left == right and (tip - left) * sign > 0


def test_brackets_below_a_ribbon_span_the_steps_that_are_drawn():
    picture = tg.draw(long_memory(60), level="cell", steps=[1, 2, 3, "...", 59, 60], grads=True)
    ribbon = picture.ribbons[0]
    ends = [(ribbon.x(first), ribbon.x(last) + ribbon.px) for first, last in ((1, 3), (59, 60))]
    assert brackets(ribbon) == ends


def test_the_steps_of_a_comparison_are_those_of_any_of_its_graphs():
    assert tg.draw([long_memory(2), long_memory(4)], level="cell", steps="all").steps == [1, 2, 3, 4]


def one_unit(layer, weight=0.5):
    for parameter in layer.parameters():
        parameter.data = np.full(parameter.shape, weight)
    return layer


def windows_of_one_unit(layers=1):
    rnn, state, loss = one_unit(tg.nn.RNN(1, 1, layers, dtype=float)), None, 0.0
    for x in tg.bptt.windows(np.ones((9, 1, 1)), 3):
        output, state = rnn(x, state)
        loss = loss + (output * output).mean()
        state = tg.bptt.detach(state)
    return loss


def looked_at_by_a_decoder():
    memory, last = one_unit(tg.nn.RNN(1, 1, dtype=float))(np.ones((4, 1, 1)))
    cell = one_unit(tg.nn.RNNCell(1, 1, dtype=float))

    def decoder(x, s):
        s = cell(memory.sum(0) + x, s)
        return s, s

    output, _ = tg.nn.unroll(decoder, np.ones((3, 1, 1)), last[0], name="decoder", first=5)
    return (output * output).sum()


@pytest.mark.parametrize("steps", ["all", [1, 2, "...", -1], [1, 2, 3, 6, "...", -1]])
@pytest.mark.parametrize(
    "make", [windows_of_one_unit, lambda: windows_of_one_unit(2), looked_at_by_a_decoder], ids=["1", "2", "decoder"]
)
def test_the_gradient_of_a_state_is_what_comes_back_along_its_edges_into_folded_steps_too(make, steps):
    """No gradient of these is negative, so that the norms add up."""
    picture = tg.draw(make(), "cell", steps, grads=True)
    for layer, amounts in picture.gradients.items():
        for t, whole in amounts.items():
            start = next((node.id for node in picture.nodes if node.step == (layer, t) and node.kind == "cell"), None)
            back = [edge.gradient for edge in picture.edges if edge.source == start]
            if start is not None:
                assert sum(g.norm for g in back if g is not None) == pytest.approx(whole.norm), start


def test_folded_steps_say_which_of_their_own_layer_they_are():
    picture = tg.draw(looked_at_by_a_decoder(), "cell", [1, 2, 3, "...", -1])
    folds = {node.step or node.id: node.lines for node in picture.nodes if node.kind == "fold"}
    assert sorted(lines[2] for lines in folds.values()) == ["t = 4", "t = 5 … 6"]
