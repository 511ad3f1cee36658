"""Where things lie in a picture, and what an edge looks like."""

from __future__ import annotations

import gc
import pathlib
import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from graphs import GRAPHS, Recorder, between_cells, marks, recorded

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.pictures import layout
from tinygrad_rnn.pictures.amount import Amount, Scale
from tinygrad_rnn.pictures.canvas import curve, head, shortened
from tinygrad_rnn.pictures.figure import EDGES
from tinygrad_rnn.pictures.lines import STUB, breaks
from tinygrad_rnn.pictures.marks import Block, Panel, Path, Rule, Stretch, Text, Tile
from tinygrad_rnn.pictures.overlay import ASIDE, beside
from tinygrad_rnn.pictures.parts import Column
from tinygrad_rnn.pictures.strokes import stroke
from tinygrad_rnn.pictures.svg import d
from tinygrad_rnn.pictures.text import OTHER, advance, pieces

SVG = "{http://www.w3.org/2000/svg}"


def loss_of(kind: Any = nn.LSTM, T: int = 30, **options: Any) -> tg.Tensor:
    output, _ = kind(4, 8, rng=0, **options)(np.ones((T, 2, 4)))
    return (output**2).mean()


@pytest.mark.slow
@pytest.mark.parametrize("level", ["op", "cell"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_what_is_tested_of_the_marks_is_true_of_the_files(graph: str, level: str) -> None:
    """The boxes and edges of a picture are its marks, and those of its SVG and DOT are these and no others."""
    picture = tg.draw(GRAPHS[graph](), level)
    drawn = picture.drawn
    blocks, paths = marks(drawn, Block), marks(drawn, Path)
    assert [block.id for block in blocks] == [node.id for node in picture.nodes]
    ends = sorted(path.edge.ends for path in paths)
    assert ends == sorted((edge.source, edge.target) for edge in picture.edges)

    canvas = recorded(picture)
    assert canvas.boxes == [block.id for block in blocks]
    arrows = [(EDGES[path.edge.kind], [(x, drawn.height - y) for x, y in path.points]) for path in paths]
    assert canvas.arrows[: len(arrows)] == arrows  # the legend has one more
    assert sum(look == "panel" for look, *_ in canvas.fields) == len(marks(drawn, Panel))
    words = Counter(line for line, *_ in canvas.texts)
    assert words >= Counter(text.words for text in marks(drawn, Text))
    assert words["detach"] == sum(look == "rule" for look, _ in canvas.ways) == len(marks(drawn, Rule))

    body = ET.fromstring(picture.svg())
    assert [g.attrib["id"].partition("-")[2] for g in body.iter(f"{SVG}g") if "id" in g.attrib] == canvas.boxes
    assert Counter("".join(text.itertext()) for text in body.iter(f"{SVG}text")) == Counter(
        "".join(part for part, _ in pieces(line)) for line, *_ in canvas.texts
    )

    dot = picture.dot()
    edges = re.findall(r"^\t([a-z]\w*) -> (\w+) ", dot, re.MULTILINE)  # what begins with _ stands around the graph
    assert sorted(edges) == ends
    assert set(re.findall(r"^\t+([a-z]\w*) \[label=", dot, re.MULTILINE)) == {block.id for block in blocks}


def test_cells_of_one_structure_are_the_same_marks_at_another_place() -> None:
    picture = tg.draw(loss_of(T=40), level="op", steps="all")
    steps = [mark for mark in picture.drawn.groups() if isinstance(mark, Tile) and mark.cell.step is not None]
    assert len(steps) == 40 and len({id(tile.cell.template) for tile in steps}) == 1
    corner = [[b[1:] for b in tile.at_corner().marks() if isinstance(b, Block)] for tile in steps]
    assert all(blocks == corner[0] for blocks in corner)
    assert len(re.findall("<use ", picture.svg())) == 40


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM])
def test_folded_steps_lie_halfway_between_what_leads_in_and_what_leads_out(kind: Any) -> None:
    picture = tg.draw(loss_of(kind), level="op", steps=[1, 2, "...", 30])
    states = [path for path in between_cells(picture.drawn) if path.edge.kind == "state"]
    into = [path for path in states if path.edge.target.template.folded]
    out = [path for path in states if path.edge.source.template.folded]
    assert into and len(into) == len(out)
    fall = [sum(path.points[0][1] - path.points[-1][1] for path in paths) for paths in (into, out)]
    assert fall[0] == pytest.approx(fall[1], abs=2)


@pytest.mark.parametrize("level", ["op", "cell"])
def test_the_states_into_and_out_of_folded_steps_do_not_cross(level: str) -> None:
    picture = tg.draw(loss_of(), level=level, steps=[1, 2, "...", 30])
    states = [path for path in between_cells(picture.drawn) if path.edge.kind == "state"]
    into = {path.edge.name: path.points for path in states if path.edge.ends[1] == "t3to29_fold"}
    out = {path.edge.name: path.points for path in states if path.edge.ends[0] == "t3to29_fold"}
    for lines in (into, out):
        (_, h_starts), (_, h_ends) = lines["h"][0], lines["h"][-1]
        (_, c_starts), (_, c_ends) = lines["c"][0], lines["c"][-1]
        assert (h_starts > c_starts) == (h_ends > c_ends)


def test_gradients_of_an_output_sequence_are_drawn_where_no_other_edge_runs() -> None:
    drawn = tg.draw(loss_of(T=4), level="cell", grads=True).drawn
    bus = [one for one in marks(drawn, Stretch) if len(one.edges) == 1 and one.edges[0].kind == "gather"]
    assert len(bus) == 4 and all(one.starts for one in bus)
    assert len({one.pieces[0][0][0] for one in bus}) == 4  # each goes up at a place of its own
    straight = {path.edge: (path.points,) for path in between_cells(drawn) if path.edge.kind != "gather"}
    assert straight.items() <= {one.edges[0]: one.pieces for one in marks(drawn, Stretch)}.items()


def test_on_each_stretch_of_a_way_runs_what_goes_back_along_all_edges_that_come_over_it() -> None:
    picture = tg.draw(loss_of(T=4), level="cell", grads=True)
    shared = [one for one in marks(picture.drawn, Stretch) if len(one.edges) > 1]
    steps = [sorted(edge.source.step.t for edge in one.edges) for one in shared]
    assert steps == [[1, 2], [1, 2, 3], [1, 2, 3, 4]]  # from the first state towards the loss there are ever more
    amounts = [picture.overlay.along(*one.edges).norm for one in shared]
    assert amounts == sorted(amounts)
    along = [picture.overlay.along(edge).norm for edge in shared[-1].edges]
    assert amounts[-1] == pytest.approx(np.linalg.norm(along))
    strokes = [way for look, way in recorded(picture).ways if re.fullmatch(r"grad \d+", look)]
    assert len(strokes) == 12 + sum(e.gradient is not None for e in picture.edges) + len(shared)  # 12 of the scale


def test_two_uses_of_one_state_add_up_where_they_share_their_way() -> None:
    """They may take from each other: with h - h in the next step nothing is left of what goes back to h."""
    W = tg.tensor(np.eye(2), requires_grad=True, name="W")

    def cell(x: Any, h: Any) -> Any:
        h = (h @ W) - (h @ W) * 1.0
        return h, h

    start = tg.tensor(np.ones((1, 2)), requires_grad=True)
    _, last = nn.unroll(cell, np.zeros((2, 1, 1)), start)
    picture = tg.draw(last.sum(), level="op", grads=True)
    both = next(one for one in marks(picture.drawn, Stretch) if len(one.edges) == 2 and one.edges[0].source.step)
    assert [picture.overlay.along(edge).kind for edge in both.edges] == ["number", "number"]
    assert picture.overlay.along(*both.edges).kind == "zero"


def encoder_and_decoder(T: int = 5, first: int = 1) -> tg.Tensor:
    encoder, cell = nn.GRU(2, 3, rng=0), nn.GRUCell(3, 3, rng=1)
    memory, _ = encoder(np.ones((T, 1, 2)))

    def decoder(x: Any, s: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        weights = np.exp((memory * s).sum(-1, keepdims=True))
        s = cell((memory * weights / weights.sum(0)).sum(0), s)
        return s, s

    output, _ = nn.unroll(decoder, np.zeros((3, 1, 3)), np.zeros((1, 3)), name="decoder", first=first)
    return (output * output).sum()


FLOWING: dict[str, Callable[[], tg.Tensor]] = {
    **GRAPHS,
    "attention": encoder_and_decoder,
    "late attention": lambda: encoder_and_decoder(first=3),
    "attention after": lambda: encoder_and_decoder(3, first=4),
}


@pytest.mark.parametrize("graph", FLOWING)
@pytest.mark.parametrize(
    "options", [{"level": "cell"}, {"level": "op"}, {"width": "8.5cm"}, {"direction": "up"}], ids=str
)
def test_strokes_run_along_the_whole_way_of_what_goes_back(graph: str, options: Any) -> None:
    """Each stretch ends at a box of its edges, or on the stroke of a stretch that has some of them."""
    try:
        drawn = tg.draw(FLOWING[graph](), grads=True, **options).drawn
    except tg.errors.DrawError:
        pytest.skip("too narrow")
    lines = [
        (set(one.edges), one.starts, [beside(piece, level=one.level) for piece in one.pieces])
        for one in marks(drawn, Stretch)
    ]
    ends = {path.edge: ((*path.earlier, path.points)[0][0], path.points[-1]) for path in marks(drawn, Path)}
    for edges, starts, line in lines:
        meets = [piece for others, _, found in lines if others != edges and others & edges for piece in found]
        tip, tail = line[0][-1], line[-1][0]
        edge = next(iter(edges))
        assert not starts or apart(tip, [ends[edge][0]]) < ASIDE + 0.1
        assert starts or any(apart(tip, piece) < 0.1 for piece in meets), f"a gap before {edge.ends}"
        whole = [path.points[-1] for path in marks(drawn, Path) if path.edge in edges and path.whole]
        assert any(apart(tail, piece) < 0.1 for piece in meets) or any(apart(tail, [at]) < ASIDE + 0.1 for at in whole)


def apart(point: tuple[float, float], way: list[tuple[float, float]]) -> float:
    """How far a point is from a way of level and upright pieces."""
    (x, y), found = point, []
    for (ax, ay), (bx, by) in pairwise(way) if len(way) > 1 else [(way[0], way[0])]:
        near = min(max(x, min(ax, bx)), max(ax, bx)), min(max(y, min(ay, by)), max(ay, by))
        found.append(float(np.hypot(x - near[0], y - near[1])))
    return min(found)


@pytest.mark.parametrize("first", [1, 3])
def test_a_memory_is_looked_at_from_straight_below(first: int) -> None:
    """Up to a rail, along it, and up into each step: no edge turns aside, and the states of a decoder stay level."""
    drawn = tg.draw(encoder_and_decoder(first=first), level="cell").drawn
    paths = between_cells(drawn)
    looks = [path.points for path in paths if path.edge.source.row == 1 and path.edge.target.row == 2]
    assert len(looks) == 3
    for points in looks:
        heights = [round(y, 3) for _, y in points]
        assert heights == sorted(heights) and len(points) in (2, 4)
    states = [path.points for path in paths if path.edge.kind == "state"]
    assert all(len(points) == 2 and points[0][1] == pytest.approx(points[1][1]) for points in states)


def test_all_edges_onto_a_rail_reach_their_target_from_both_sides() -> None:
    """A memory that stands in the middle of the steps it is made of has a rail at its left and one at its right."""
    paths = between_cells(tg.draw(encoder_and_decoder(first=3), level="cell").drawn)
    onto = [path for path in paths if path.edge.kind == "gather" and path.edge.target.row == 1]
    assert len(onto) == 5
    ways = [path.points for path in onto if path.whole]
    for path in onto:
        assert any(apart(path.points[-1], way) < 0.1 for way in ways)


def test_sums_of_losses_are_joined_by_straight_thin_lines() -> None:
    """In a row of their own and inside the steps of a loop: what goes back along them is 1, and no part of the flow."""
    for loss in (GRAPHS["windows"](), added_in_a_loop()):
        picture = tg.draw(loss, "op" if loss.name else "cell", grads=True)
        sums = [path for path in marks(picture.drawn, Path) if picture.picture.adds_losses(path.edge)]
        across = [path for path in sums if path in between_cells(picture.drawn)]
        assert len(sums) > len(across) >= 1
        assert all(len({round(y, 3) for _, y in path.points}) == 1 for path in across)
        strokes = sum(bool(re.fullmatch(r"grad \d+ head", look)) for look, _ in recorded(picture).ways)
        amounts = [picture.overlay.along(e) for e in picture.picture.edges() if not picture.picture.adds_losses(e)]
        assert strokes == sum(a is not None and a.kind == "number" for a in amounts)
        assert picture.dot(pinned=False).count('∇ 1"') == 0


def added_in_a_loop() -> tg.Tensor:
    W = tg.tensor(np.eye(2) / 2, requires_grad=True, name="W")
    h, loss = tg.tensor(np.ones((1, 2)), name="h_0"), tg.tensor(0.0)
    with tg.scope("mine") as at:
        for t in (1, 2, 3):
            at(t)
            h = np.tanh(h @ W)
            loss = loss + (h * h).sum()
    loss.name = "L"
    return loss


@pytest.mark.parametrize("graph", ["windows", "many windows", "stacked windows", "last window", "all past gone"])
@pytest.mark.parametrize("level", ["op", "cell"])
def test_no_gradient_runs_across_a_cut(graph: str, level: str) -> None:
    picture = tg.draw(GRAPHS[graph](), level, grads=True)
    rules = marks(picture.drawn, Rule)
    assert rules
    for stretch in marks(picture.drawn, Stretch):
        stroked = picture.overlay.along(*stretch.edges) and not picture.picture.adds_losses(stretch.edges[0])
        for way in stretch.pieces if stroked else ():
            for (ax, ay), (bx, by) in pairwise(way):
                for (x, top), (_, foot) in rules:
                    crosses = min(ax, bx) < x < max(ax, bx) and foot < max(ay, by) and min(ay, by) < top
                    assert not crosses, stretch.edges[0].ends


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("level", ["op", "cell"])
def test_what_leads_straight_up_through_layers_has_no_kink(kind: Any, level: str) -> None:
    drawn = tg.draw(loss_of(kind, T=3, num_layers=3), level=level).drawn
    up = [path for path in between_cells(drawn) if path.edge.kind == "forward"]
    assert len(up) == 6
    assert level == "op" or all(len({round(x, 6) for x, _ in path.points}) == 1 for path in up)
    if level == "cell":  # and the boxes stand exactly above each other
        middles: dict[Any, set[float]] = {}
        for block in marks(drawn, Block):
            if block.box.kind == "cell":
                middles.setdefault(block.cell.column, set()).add(round(block.x, 6))
        assert len(middles) == 3 and all(len(xs) == 1 for xs in middles.values())


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM])
def test_the_loops_of_layers_do_not_cross(kind: Any, layers: int) -> None:
    drawn = tg.draw(loss_of(kind, num_layers=layers), level="layer").drawn
    loops = [path.points for path in between_cells(drawn) if path.edge.kind == "state"]
    assert len(loops) == 3 * layers * (2 if kind is nn.LSTM else 1)
    pieces = [(k, *ends) for k, points in enumerate(loops) for ends in pairwise(points)]
    for k, (ax, ay), (bx, by) in pieces:
        for n, (cx, cy), (dx, dy) in pieces:
            if n != k and ay == by and cx == dx:
                assert not (min(ax, bx) < cx < max(ax, bx) and min(cy, dy) < ay < max(cy, dy))


def test_a_loss_stands_where_its_edges_come_from() -> None:
    output, (h, _) = nn.LSTM(4, 8, 2, rng=0)(np.ones((4, 1, 4)))
    drawn = tg.draw((h[-1] ** 2).sum(), level="cell").drawn
    straight = next(path for path in between_cells(drawn) if path.edge.ends[1].startswith("after4"))
    assert {round(y, 6) for _, y in straight.points} == {round(straight.points[0][1], 6)}
    drawn = tg.draw((output**2).sum(), level="cell").drawn
    loss = next(block for block in marks(drawn, Block) if block.box.kind == "loss")
    rail = max(y for path in between_cells(drawn) for _, y in path.points)
    assert 0 < rail - loss.y < loss.height + 40


@pytest.mark.parametrize("width", [None, "8.5cm", "20cm"])
def test_a_loss_is_taken_straight_from_the_last_state(width: str | None) -> None:
    for loss in (nn.RNN(2, 4, rng=0)(np.ones((5, 1, 2)))[0][-1].sum(), remembering()):
        drawn = tg.draw(loss, "cell", width=width).drawn
        into = next(path for path in between_cells(drawn) if path.edge.target.column.kind == "head")
        assert len({round(y, 6) for _, y in into.points}) == 1


def remembering(T: int = 4) -> tg.Tensor:
    """A cell of a user's own: the first part of its state is computed first, and the second has a long name."""
    W, U = (nn.Parameter(np.full((n, 3), 0.5)) for n in (2, 3))
    a = nn.Parameter(0.5)

    def cell(x: tg.Tensor, state: dict[str, tg.Tensor]) -> tuple[tg.Tensor, dict[str, tg.Tensor]]:
        h = np.tanh(x @ W + state["h"] @ U)
        memory = a * state["memory"] + h
        return memory, {"h": h, "memory": memory}

    start = {"h": np.zeros((1, 3)), "memory": np.zeros((1, 3))}
    output, _ = nn.unroll(cell, np.ones((T, 1, 2)), start, name="mine")
    return output[-1].sum()


@pytest.mark.parametrize("width", [None, "8.5cm", "17cm"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_what_folded_steps_take_over_and_hand_on_is_straight(bidirectional: bool, width: str | None) -> None:
    layer = nn.LSTM(2, 3, num_layers=2, bidirectional=bidirectional, rng=0)
    output, _ = layer(np.random.default_rng(0).normal(size=(9, 1, 2)))
    picture = tg.draw((output**2).sum(), grads=True, steps=[1, 2, "...", 9], width=width)
    handed_on = [path for path in between_cells(picture.drawn) if path.edge.kind == "state"]
    kinds = {path.edge.source.column.kind for path in handed_on}
    assert {"fold", "step"} <= kinds
    assert all(len({round(y, 6) for _, y in path.points}) == 1 for path in handed_on)


@pytest.mark.parametrize("direction", ["right", "left", "up", "down"])
@pytest.mark.parametrize("steps", ["all", [1, "...", -1]])
def test_states_are_handed_on_straight_in_whatever_order_a_cell_computes_them(direction: str, steps: Any) -> None:
    drawn = tg.draw(remembering(), "cell", steps, direction=direction).drawn
    handed = [path.points for path in between_cells(drawn) if path.edge.kind == "state"]
    across = 1 if direction in ("right", "left") else 0
    assert len(handed) == (8 if steps == "all" else 6)
    assert all(len({round(point[across], 6) for point in points}) == 1 for points in handed)


@pytest.mark.parametrize("width", [None, "8.5cm", "17cm"])
def test_the_name_of_a_state_has_room_between_the_boxes(width: str | None) -> None:
    drawn = tg.draw(remembering(), "cell", grads=True, width=width).drawn
    names = [text for text in marks(drawn, Text) if text.words == "memory"]
    assert names
    for text in names:
        half = advance(text.words, OTHER) / 2
        for block in marks(drawn, Block):
            beside = abs(block.x - text.x) >= block.width / 2 + half
            assert beside or abs(block.y - text.y - 4) >= block.height / 2 + 4, (block.id, text)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM])
def test_the_name_of_a_state_is_not_struck_through(kind: Any) -> None:
    """Neither by the edge that hands it on, nor by the gradient beside that."""
    picture = tg.draw(loss_of(kind, T=3), level="cell", grads=True)
    lines = [y for path in between_cells(picture.drawn) if path.edge.kind == "state" for _, y in path.points]
    names = [text for text in marks(picture.drawn, Text) if text.kind == "state"]
    assert names
    for text in names:
        for y in lines:
            assert not text.y - 1 < y < text.y + 8 and not text.y - 1 < y - ASIDE < text.y + 8


def test_states_are_named_over_their_edges_where_boxes_do_not_say_it() -> None:
    def words(level: str, T: int) -> list[str]:
        texts = marks(tg.draw(loss_of(T=T), level=level, steps="all").drawn, Text)
        return [text.words for text in texts if text.kind == "state"]

    assert sorted(words("cell", 3)) == ["c"] * 3 + ["h"] * 3
    assert words("op", 3) == words("layer", 3) == words("cell", 31) == []


def test_what_was_computed_before_the_steps_is_drawn_at_every_level() -> None:
    for level in ("op", "cell", "layer"):
        picture = tg.draw(GRAPHS["own cell"](), level=level)
        assert next(node.id for node in picture.nodes if node.id.startswith("before1_")) == "before1_multiply"


@pytest.mark.parametrize("graph", GRAPHS)
def test_edges_on_one_rail_come_from_one_place_or_lead_to_one(graph: str) -> None:
    rails: dict[float, list[tuple[float, float, Any]]] = {}
    for path in between_cells(tg.draw(GRAPHS[graph](), level="cell").drawn):
        for (x1, y1), (x2, y2) in pairwise(path.points):
            if abs(y1 - y2) < 0.01 and abs(x1 - x2) > 1:
                rails.setdefault(round(y1, 1), []).append((min(x1, x2), max(x1, x2), path.edge))
    for lines in rails.values():
        for k, (low, high, a) in enumerate(lines):
            for low2, high2, b in lines[:k]:
                one = a.ends[0] == b.ends[0] or a.ends[1] == b.ends[1]
                assert one or high <= low2 or high2 <= low, f"{a.ends} and {b.ends} run on each other"


def test_the_order_with_the_fewest_crossings_is_kept() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        rows, n = 4, 5
        edges = [(r * n + a, 0, r * n + n + b) for r in range(rows - 1) for a, b in rng.integers(0, n, (8, 2)).tolist()]
        graph = layout._Graph(layout.Request([(10.0, 10.0)] * (rows * n), list(dict.fromkeys(edges)), {}, {}, [], []))
        counts = []
        count, layout.crossings = layout.crossings, lambda g: counts.append(count(g)) or counts[-1]  # noqa: B023
        try:
            layout.order(graph)
        finally:
            layout.crossings = count
        assert count(graph) == min(counts)


@pytest.mark.parametrize("way", [(0, 1), (0, -1), (1, 0), (-1, 0)])
def test_the_head_of_a_stroke_points_where_the_stroke_goes(way: tuple[int, int]) -> None:
    tip = (50.0, 50.0)
    before = (tip[0] - 20 * way[0], tip[1] - 20 * way[1])
    (_, *left), (_, *point), (_, *right), _ = head(before, tip, 7.0, 3.0)
    assert tuple(point) == tip
    for corner in (left, right):  # behind the tip, on both sides of it
        assert sum((a - b) * w for a, b, w in zip(tip, corner, way, strict=True)) > 3
    assert (left[0] + right[0]) / 2 == pytest.approx(tip[0] - way[0] * (tip[0] - left[0]) * way[0])


def test_a_line_is_straight_where_it_is_level_or_upright_and_else_a_curve() -> None:
    assert d(curve([(0, 0), (10, 0)])) == "M0 0H10"
    assert d(curve([(0, 0), (0, 10)])) == "M0 0V10"
    assert d(curve([(0, 0), (10, 8)])) == "M0 0C0 4 10 4 10 8"


def test_a_line_ends_where_its_head_begins() -> None:
    assert shortened([(0, 0), (0, 20)], 6) == [(0, 0), (0, 14)]
    assert shortened([(0, 0), (9, 20)], 6) == [(0, 0), (9, 14)]  # it ends upright
    assert shortened([(0, 0), (4, 0)], 6) == [(0, 0), (0, 0)]  # but does not turn back


@pytest.mark.parametrize("right", [-1, 1])
@pytest.mark.parametrize("level", [False, True])
def test_a_stroke_beside_a_slanted_edge_keeps_away_from_it_on_all_of_its_way(right: int, level: bool) -> None:
    """At both sides alike, though the edge is straight where its head is."""
    edge = [(0.0, 24.0), (30.0 * right, 0.0)]
    edge = [(y, x) for x, y in edge] if level else edge
    canvas = Ways()
    canvas.arrow("forward", edge, level=level)
    stroke(canvas, Amount("number", 1.0), Scale(-1, 1), edge, level, blunt=True)
    drawn, beside_it = (along(way) for look, way in canvas.ways if not look.endswith("head"))
    nearest = [min(np.hypot(x - a, y - b) for a, b in beside_it) for x, y in drawn]
    assert min(nearest) > 0.8 * ASIDE and max(nearest) < 2 * ASIDE


class Ways(Recorder):
    """Notes ways with the letters of their pieces."""

    def way(self, look: str, way: Any, title: str = "") -> None:
        self.ways.append((look, way))


def along(way: Any) -> list[tuple[float, float]]:
    """Points along a way of lines and curves."""
    found, (x, y) = [], way[0][1:]
    parts = np.linspace(0, 1, 100)
    for letter, *numbers in way[1:]:
        ends = [(x, y), *zip(numbers[::2], numbers[1::2], strict=True)]
        bx, by, cx, cy = (*ends[1], *ends[2]) if letter == "C" else (*ends[0], *ends[1])
        weights = [(1 - parts) ** 3, 3 * parts * (1 - parts) ** 2, 3 * parts**2 * (1 - parts), parts**3]
        points = np.array([ends[0], (bx, by), (cx, cy), ends[-1]])
        found += [tuple(point) for point in np.array(weights).T @ points]
        x, y = ends[-1]
    return found


def test_a_dot_marks_where_an_edge_joins_a_bus() -> None:
    picture = tg.draw(loss_of(T=3), level="cell")
    joined = {
        (round(path.points[-1][0], 1), round(picture.drawn.height - path.points[-1][1], 1))
        for path in marks(picture.drawn, Path)
        if not path.whole
    }
    canvas = recorded(picture)
    panel = next(field for field in canvas.fields if field[0] == "panel")
    left, top = panel[1] - marks(picture.drawn, Panel)[0].x + 8, panel[2] + 8  # of what is inside the frames
    dots = {
        (round(x + 2 - left, 1), round(y + 2 - top, 1)) for look, x, y, *_ in canvas.fields if look == "gather head"
    }
    assert joined == dots != set()


@pytest.mark.parametrize("axis", [1, -1])
def test_what_is_stacked_along_another_axis_is_no_sequence(axis: int) -> None:
    W = tg.tensor(np.eye(3), requires_grad=True)
    h: Any = np.ones((3, 3))
    states = []
    with tg.scope("mine") as at:
        for t in (1, 2, 3):
            at(t)
            h = np.tanh(h @ W)
            states.append(h)
    picture = tg.draw((np.stack(states, axis=axis)[0] ** 2).sum(), level="op")
    stack = next(node.id for node in picture.nodes if node.id.endswith("stack"))
    assert {edge.source.split("_")[0] for edge in picture.edges if edge.target == stack} == {"t1", "t2", "t3"}


@pytest.mark.parametrize("fused", [True, False])
def test_a_cut_is_drawn_from_the_state_although_its_record_is_gone(fused: bool) -> None:
    layer, state, loss = nn.LSTM(4, 8, fused=fused, rng=0), None, 0.0
    for _ in range(2):
        output, state = layer(np.ones((2, 2, 4)), state)
        loss = loss + (output**2).mean()
        state = tg.bptt.detach(state)
    picture = tg.draw(loss, level="op", steps="all")
    cuts = {edge.source: edge.target for edge in picture.edges if edge.kind == "cut" and edge.source.startswith("t2_")}
    assert sorted(cuts) == ["t2_c", "t2_h"]
    assert all(target.startswith("cut3_") for target in cuts.values())


# ---------------------------------------------------------------- how long it takes, and what it leaves behind


def calls(work: Callable[[], Any]) -> int:
    """How many times a function or generator of Python is entered."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


MANY = {
    "default": {},
    "gradients": {"grads": True},
    "every op": {"level": "op", "steps": "all"},
    "every step": {"level": "cell", "steps": "all", "grads": True},
    "a narrow page": {"width": "8.5cm"},
    "a page of every step": {"level": "cell", "steps": "all", "width": "8.5cm"},
    "layer": {"level": "layer"},
    "strip": {"level": "strip"},
    "labels": {"labels": {1: "the", 2: "cat"}},
}


@pytest.mark.slow
@pytest.mark.parametrize("options", MANY.values(), ids=MANY)
def test_the_work_grows_as_the_number_of_steps(options: Any) -> None:
    losses = [loss_of(nn.RNN, T) for T in (60, 120, 240)]
    counts = [calls(lambda loss=loss: tg.draw(loss, **options).svg()) for loss in losses]  # type: ignore[misc]
    assert counts[2] - counts[1] < 2.5 * (counts[1] - counts[0]) + 5000  # texts have other widths


@pytest.mark.slow
@pytest.mark.parametrize("way", ["page", "picture", "flow"])
def test_nothing_is_left_for_the_cyclic_collector(way: str, tmp_path: pathlib.Path) -> None:
    def work() -> None:
        loss = loss_of(T=4)
        if way == "page":
            tg.page(loss, tmp_path / "page.html")
        elif way == "picture":
            tg.draw(loss, level="op", grads=True, values=True).svg()
        else:
            tg.bptt.flow(loss)

    work()  # what is loaded on first use
    gc.collect()
    gc.disable()
    try:
        work()
        assert gc.collect() == 0
    finally:
        gc.enable()


ORDERS = {"right": ("HIDDEN", "RESULT", "STATE"), "left": ("HIDDEN", "STATE", "CUT", "INPUT")}
"""What leaves and enters a box, from top to bottom: what was folded away above, the state below."""


@pytest.mark.parametrize(
    ("graph", "level", "expected"),
    [
        ("windows", "layer", ("HIDDEN", "RESULT")),
        ("many windows", "cell", ("HIDDEN", "STATE")),
        ("many windows", "op", ("HIDDEN", "STATE")),
        ("own cell", "cell", ("STATE", "INPUT")),
    ],
)
def test_edges_of_several_kinds_end_at_a_box_in_one_order(graph: str, level: str, expected: tuple[str, str]) -> None:
    met = set()
    for tile in tg.draw(GRAPHS[graph](), level=level).drawn.groups():
        if not isinstance(tile, Tile):
            continue
        ends = [("right", box, port.what.name, way[0][1]) for (box, port), way in tile.layout.right.items()]
        entries = tile.cell.template.entries
        ends += [("left", entries[entry], entry.what.name, way[-1][1]) for entry, way in tile.layout.left.items()]
        for side, box, what, y in ends:
            for other_side, other_box, other, lower in ends:
                order = ORDERS[side]
                if (side, box) == (other_side, other_box) and order.index(what) < order.index(other):
                    assert y > lower, f"{what} under {other}"
                    met.add((what, other))
    assert expected in met


@pytest.mark.parametrize("graph", ["bidirectional", "both", "windows", "stacked windows"])
@pytest.mark.parametrize("width", [None, "17cm"])
def test_edges_arrive_at_a_box_in_the_order_that_they_come_in(graph, width):
    paths = between_cells(tg.draw(GRAPHS[graph](), "cell", width=width).drawn)
    for box in {path.edge.ends[1] for path in paths if path.edge.target.column.kind == "head"}:
        into = {tuple(path.points[-3:]) for path in paths if path.edge.ends[1] == box and path.whole}
        level = sorted((y, came) for (_, came), (_, y), (_, end) in into if abs(y - end) < 0.1)
        assert [came for _, came in level] == sorted(came for _, came in level)


def test_loops_of_layers_above_each_other_share_their_lanes():
    drawn = tg.draw(nn.LSTM(4, 5, 3, rng=0)(np.ones((4, 1, 4)))[0].sum(), "layer").drawn
    loops = [path.points for path in between_cells(drawn) if path.edge.target.column.kind == "loop" and path.edge.name]
    loops = [points for points in loops if points[0][0] > points[-1][0]]
    assert len(loops) == 6 and len({(min(x for x, _ in points), max(x for x, _ in points)) for points in loops}) == 2


@pytest.mark.parametrize(
    ("kinds", "room", "lines"),
    [
        ("init step step head", 1000, ["init step step head"]),
        ("init step step step head", 450, ["init step", "step step head"]),  # and not the head alone
        ("init step step step step", 350, ["init step", "step step step"]),
        ("step step step step step", 340, ["step step", "step step step"]),
        ("step step cut step step", 340, ["step step", "cut step step"]),
        ("init step head", 130, ["init", "step", "head"]),  # rather than a line that is too long
        ("step step init_back head", 250, ["step step", "init_back head"]),
    ],
)
def test_lines_are_broken_where_a_reader_expects_it(kinds, room, lines):
    columns = [Column(kind, k) for k, kind in enumerate(kinds.split())]
    places = [100.0 * k for k in range(1, len(columns))]
    found = breaks(columns, places, 100.0 * len(columns), room)
    starts = [0, *(int(x / 100) for x in found), len(columns)]
    assert [" ".join(c.kind for c in columns[a:b]) for a, b in pairwise(starts)] == lines
    assert STUB < 15
