"""The page that steps through a tape: what the file holds, and, in a headless Chromium, what it shows and does.

Every number on the page is compared with the tape's own, found here another way: the gradients from `tg.tape`, what
is handed on from the rules, what is gathered from ``backward()``.
"""

import json
import re
import runpy
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from graphs import mlp, network, own_cell, per_step_losses, scalar_chain, two_decoders, windows

import tinygrad_rnn as tg
from tinygrad_rnn.engine.backward import pull
from tinygrad_rnn.engine.cotangent import Lazy
from tinygrad_rnn.errors import DrawError, GraphError, NonScalarError
from tinygrad_rnn.unrolled.expand import Expanded


def cut_rnn(T=6, k=3):
    """A tanh RNN of three units, in windows: small enough for all its numbers to be written out."""
    rnn, state, loss = tg.nn.RNN(2, 3, dtype=float, rng=0), None, 0
    x = np.random.default_rng(1).normal(size=(T, 1, 2))
    for window in tg.bptt.windows(x, k):
        output, state = rnn(window, state)
        loss = loss + (output * output).mean()
        state = tg.bptt.detach(state)
    return loss


def masked():
    rnn = tg.nn.LSTM(3, 2, dtype=float, rng=0)
    output, _ = rnn(np.random.default_rng(0).normal(size=(4, 2, 3)), lengths=[4, 2])
    return (output * output).sum()


GRAPHS = {
    "lstm": lambda: network("LSTM", 3),
    "rnn of thirty steps": lambda: network("RNN", 30),
    "cut": cut_rnn,
    "last window": lambda: windows(total=False),
    "stacked": lambda: network("LSTM", 4, layers=2),
    "bidirectional": lambda: network("GRU", 4, bidirectional=True),
    "lengths": masked,
    "per step": per_step_losses,
    "seq2seq": two_decoders,
    "own cell": own_cell,
    "mlp": mlp,
    "cut within steps": lambda: tg.nn.LSTM(2, 2, cut_gate_gradient=True, rng=0)(np.ones((3, 1, 2)))[0].sum(),
}

NAMES = ['</script><script>alert("1")</script>', "<!--", "a & b", "\\", "\n", "é✂", "\ud800", "\ue000"]


def content(path):
    """What a page's file holds: (all of it, its data)."""
    text = Path(path).read_text("utf-8")
    found = re.search(r'<script id="tape" type="application/json">(.*?)</script>', text, re.DOTALL)
    return text, json.loads(found[1])


# ---------------------------------------------------------------- the file


def test_the_file_is_complete_in_itself(tmp_path):
    path = tg.page(cut_rnn(), tmp_path / "tape.html")
    text, _ = content(path)
    assert path == tmp_path / "tape.html" and "{{" not in text
    addresses = set(re.findall(r"\w+://[^\s\"'<>]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of SVG, never fetched
    assert not re.search(r"\beval\b|localStorage|sessionStorage|document\.cookie|innerHTML|\bimport\b\s*\(", text)


def test_writing_a_page_changes_nothing_and_is_the_same_each_time(tmp_path):
    loss = cut_rnn()
    first, second = (tg.page(loss, tmp_path / name).read_bytes() for name in "ab")
    assert first == second
    weights = [x for x in tg.tape(loss).leaves if x.requires_grad]
    assert all(x.grad is None for x in weights)
    loss.backward()
    assert all(x.grad is not None for x in weights)


@pytest.mark.slow
def test_a_thousand_steps_are_within_half_a_megabyte(tmp_path):
    assert tg.page(network("LSTM", 1000), tmp_path / "tape.html").stat().st_size <= 2**19


def test_what_the_steps_share_is_written_once(tmp_path):
    sizes = {}
    for T in (10, 20):
        _, data = content(tg.page(network("LSTM", T), tmp_path / "tape.html"))
        sizes[T] = {key: len(data[key]) for key in ("forms", "patterns", "ops")}, len(data["picture"]["shapes"])
    assert sizes[10] == sizes[20]


def test_small_tensors_are_written_out_while_the_tape_is_short(tmp_path):
    _, short = content(tg.page(cut_rnn(6), tmp_path / "tape.html"))
    _, long = content(tg.page(cut_rnn(1500, 1500), tmp_path / "tape.html"))
    assert any(isinstance(figure, list) for figure in short["gradient"]) and short["local"]
    assert not any(isinstance(figure, list) for figure in long["gradient"])


@pytest.mark.parametrize(
    "name", ['</script><script>alert("1")</script>', "<!--", "a & b", "\\", "\n", "é✂", "\ud800", "\ue000"]
)
def test_hostile_names_stay_text(tmp_path, name):
    x = tg.tensor([1.0, 2.0], requires_grad=True, name=name)
    text, data = content(tg.page((x * x).sum(), tmp_path / "tape.html"))
    assert text.count("<script") == 2 and "<!--" not in text
    assert [leaf["name"] for leaf in data["leaves"]] == [name.replace("\ue000", "") or "a leaf"]


def test_nan_and_infinity_are_words(tmp_path):
    x = tg.tensor([0.0, 1.0], requires_grad=True)
    with np.errstate(all="ignore"):
        _, data = content(tg.page((np.log(x) * 0).sum(), tmp_path / "tape.html"))
    assert data["value"][0] == ["-inf", 0.0] and data["value"][2] == "nan"


def test_norms_neither_underflow_nor_overflow(tmp_path):
    x = tg.tensor(np.full(100, 1e200), requires_grad=True)
    _, data = content(tg.page((x * 1e-320).sum(), tmp_path / "tape.html"))
    assert data["leaves"][0]["value"] == 1e201
    assert data["leaves"][0]["totals"] == [pytest.approx(1e-319, rel=1e-2)]


def test_lines_are_those_noted_within_anomaly_without_the_folders_they_lie_in(tmp_path):
    with tg.anomaly():
        output, _ = tg.nn.RNN(2, 3, rng=0)(np.ones((2, 1, 2)))
        loss = (output * output).sum()
    text, data = content(tg.page(loss, tmp_path / "tape.html"))
    lines = {users["code"]: layers and layers["code"] for users, layers in data["lines"]}
    assert lines["loss = (output * output).sum()"] is None
    assert any(users["where"].startswith("test_page.py:") for users, _ in data["lines"])
    assert "h = phi(a + norm(state @ self.W_hh, self.gain_h))" in {
        layers["code"] for _, layers in data["lines"] if layers
    }
    assert str(Path(__file__).parent) not in text


def test_lines_of_the_layers_are_known_without_anomaly(tmp_path):
    _, data = content(tg.page(cut_rnn(), tmp_path / "tape.html"))
    assert "h = phi(a + norm(state @ self.W_hh, self.gain_h))" in lines_of_layers(data)
    assert all(users is None for users, _ in data["lines"])


def lines_of_layers(data):
    return {layers["code"] for _, layers in data["lines"] if layers}


def test_what_cannot_be_stepped_through_is_refused(tmp_path):
    path = tmp_path / "tape.html"
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(NonScalarError, match=r"page\(\)"):
        tg.page(x * 2, path)
    with pytest.raises(GraphError, match="leaf"):
        tg.page(tg.tensor(1.0, requires_grad=True), path)
    with pytest.raises(GraphError, match="needs no gradient"):
        tg.page(tg.tensor(1.0) * 2, path)
    with pytest.raises(TypeError, match="Tensor"):
        tg.page(1.0, path)
    with pytest.raises(DrawError, match="too many to draw"):
        tg.page(scalar_chain(600), path)
    used = (x * x).sum()
    used.backward()
    with pytest.raises(DrawError, match=r"before backward\(\)"):
        tg.page(used, path)
    assert not path.exists()


def test_the_page_is_part_of_the_package():
    folder = Path(tg.__file__).parent / "pictures" / "stepper"
    from tinygrad_rnn.pictures.stepper.document import SCRIPTS

    assert {path.name for path in folder.glob("*.js")} == set(SCRIPTS)


def test_a_page_imports_nothing_before_it_is_written():
    code = "import sys, tinygrad_rnn; print([m for m in sys.modules if 'stepper.' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- in a browser


@pytest.fixture
def show(chromium, tmp_path):
    """Opens the page of a loss; gives it with the list of all it asked for, and fails on any error in it."""
    opened, errors = [], []

    def open_page(loss, width=1280, height=800, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        page = context.new_page()
        page.set_default_timeout(5000)
        page.requests = []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.goto(tg.page(loss, tmp_path / "tape.html").as_uri())
        opened.append(context)
        return page

    yield open_page
    for context in opened:
        context.close()
    assert errors == []


def place(page):
    return page.evaluate("place")


def words(page, selector):
    return page.locator(selector).inner_text()


def read(text):
    """The numbers in a text of the page."""
    return [
        float(x) for x in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?|-?inf|nan", text.replace("−", "-").replace("∞", "inf"))
    ]


def length(a):
    a = np.abs(np.asarray(a, float))
    top = a.max(initial=0)
    return top * np.sqrt(np.sum((a / top) ** 2)) if top > 0 else 0.0


def agree(text, array):
    """Whether a text shows all entries of an array, or its norm, to four digits."""
    array = np.asarray(array, float)
    numbers = read(text)
    expected = array.ravel() if len(numbers) == array.size else [length(array)]
    return np.allclose(numbers, expected, rtol=6e-4, atol=0, equal_nan=True)


COLLECT = """
() => walk.map((_, at) => {
  go(at);
  const text = (part) => part.childNodes.length ? [...part.childNodes].map(text).join(" ") : part.textContent;
  const all = (selector) => [...document.querySelectorAll("#panel " + selector)].map(text);
  const { phase, record, input } = walk[at];
  return {
    phase, record: record.number, input,
    status: document.getElementById("status").innerText,
    results: all(".result"), incoming: all(".incoming"),
    handed: [...document.querySelectorAll("#panel .handed:not(.none)")].map((part) =>
      [...part.querySelectorAll(".outgoing")].map(text).join(" ")),
    terms: [...document.querySelectorAll("#panel .chain tr")].map((row) => [...row.children].map(text)),
    gain: all(".gain"),
    gathered: [...document.querySelectorAll("#panel .gathered tr")].slice(1).map((row) => [...row.children].map(text)),
    boxes: at % 10 ? [] : [...document.querySelectorAll("#picture [data-record]")].map((box) =>
      [Number(box.dataset.record), [...box.querySelectorAll("text")].slice(-2).map((part) => part.textContent)]),
  };
})
"""


def needing_gradients(tape):
    return [x for x in tape.leaves if x.requires_grad]


def until(page, condition):
    """Wait for a condition; the page's own security policy forbids Playwright's way to do so."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"{condition} did not come true in 4 seconds")


@pytest.mark.slow
@pytest.mark.parametrize("graph", GRAPHS)
def test_every_number_shown_is_the_tapes(graph, show):
    loss = GRAPHS[graph]()
    tape = tg.tape(Expanded(loss).root)
    leaves = needing_gradients(tape)
    page = show(loss)
    seen = {"forward": set(), "backward": set(), "cut": set()}
    gathered = defaultdict(lambda: 0)
    count = page.evaluate("walk.length")
    for at, shown in enumerate(page.evaluate(COLLECT)):
        record = tape[shown["record"]]
        seen[shown["phase"]].add(shown["record"])
        assert f"{at + 1} of {count}" in shown["status"]
        if shown["phase"] == "forward":
            values = record.values
            assert len(shown["results"]) == len(values)
            assert all(agree(text.partition("=")[2], v) for text, v in zip(shown["results"], values, strict=True))
            continue
        gs = tape.gradients[record]
        assert all(agree(text.partition("=")[2], v) for text, v in zip(shown["incoming"], gs, strict=True))
        handed = list(pull(record, gs))
        parts = [part.value() if isinstance(part, Lazy) else part for _, part in handed]
        assert len(shown["handed"]) == len(parts[:16])
        assert all(agree(text, part) for text, part in zip(shown["handed"], parts, strict=False))
        for _, terms, total in (row for row in shown["terms"] if "…" not in row[1]):
            products = [np.prod(read(term)) for term in terms.split(" + ")]
            assert np.isclose(sum(products), read(total)[0], rtol=2e-3, atol=3e-4 * sum(map(abs, products)))
        for text in shown["gain"]:
            incoming, *factor, outgoing = read(text)
            assert not factor or np.isclose(incoming * factor[0], outgoing, rtol=6e-3)
        if shown["phase"] == "backward":
            for (x, _), part in zip(handed, parts, strict=True):
                if x.record is None:
                    gathered[x] = gathered[x] + part
        for row, x in zip(shown["gathered"], leaves, strict=True):
            assert agree(row[2], gathered[x])
        for number, (value, gradient) in shown["boxes"]:
            made = tape[number]
            if made.op.outputs == 1:
                (y,) = made.values
                assert agree(value, y) or (y.size > 1 and agree(value, length(y)))
                assert "∇" in gradient or number != shown["record"]
                if "∇" in gradient and "none" not in gradient:
                    assert agree(gradient, length(tape.gradients[made][0]))
    assert seen["forward"] == set(range(len(tape)))
    assert seen["backward"] == {k for k, record in enumerate(tape) if record in tape.gradients}
    loss.backward()
    for row, x in zip(shown["gathered"], leaves, strict=True):
        assert agree(row[2], x.grad) and len(set(re.findall(r"\d+", row[3]))) == 1  # k of k


@pytest.mark.slow
def test_the_walk_of_a_thousand_steps_is_the_tapes_and_a_move_changes_little(show):
    loss = network("LSTM", 1000)
    tape = tg.tape(Expanded(loss).root)
    leaves, gradients = needing_gradients(tape), tape.gradients  # before backward(), which frees the records
    page = show(loss)
    assert page.requests == [page.url.partition("#")[0]]
    assert page.evaluate("performance.getEntriesByType('resource').length") == 0
    touched = page.evaluate("""async () => {
        const seen = [], watcher = new MutationObserver((changes) => seen.push(changes.length));
        watcher.observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true});
        for (let k = 0; k <= 100; k++) {
            go(Math.floor(k * (walk.length - 1) / 100));
            await new Promise((done) => setTimeout(done));
        }
        watcher.disconnect();
        return seen;
    }""")
    assert len(touched) > 90 and max(touched) < 1000, max(touched)  # what a move changes does not grow with the length
    assert page.evaluate("document.querySelectorAll('*').length") < 3000  # a window of steps, never all of them
    page.keyboard.press("End")
    loss.backward()
    for row, x in zip(rows(page, ".gathered"), leaves, strict=True):
        assert agree(row[2], x.grad)
    _, norms = page.evaluate("[stateRows[0].name, [...stateRows[0].values.entries()]]")
    hs = dict(norms)
    for t in (1, 500, 1000):
        (record,) = (r for r in tape if r.step and r.step.t == t and tape.names.get((r, 0)) == "h")
        assert np.isclose(hs[t], length(gradients[record][0]), rtol=6e-4)


def rows(page, table):
    """The cells of a table of the panel, without its head."""
    found = page.locator(f"#panel {table} tr").all()[1:]
    return [row.locator("th, td").all_inner_texts() for row in found]


# ---------------------------------------------------------------- moving


def test_every_key_does_what_it_says(show):
    page = show(cut_rnn())
    count = page.evaluate("walk.length")
    press = page.keyboard.press
    assert place(page) == 0
    for key, expected in [("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("ArrowLeft", 0), ("ArrowLeft", 0)]:
        press(key)
        assert place(page) == expected
    press("End")
    assert place(page) == count - 1
    press("ArrowRight")
    assert place(page) == count - 1
    press("Home")
    assert place(page) == 0
    blocks = page.evaluate("""walk.flatMap(({ record }, at) =>
        at === 0 || record.t !== walk[at - 1].record.t || record.layer !== walk[at - 1].record.layer ? [at] : [])""")
    for start in [*blocks[1:], count - 1]:
        press("PageDown")
        assert place(page) == start
    for start in reversed([at for at in blocks if at < count - 1]):
        press("PageUp")
        assert place(page) == start
    times = [page.evaluate(f"walk[{at}].record.t") for at in blocks]
    assert [t for t in times if t] == [1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1]


def test_the_slider_and_the_buttons_move_too(show):
    page = show(cut_rnn())
    for button, expected in [("Next op", 1), ("Next op", 2), ("Previous op", 1), ("First op", 0)]:
        page.get_by_role("button", name=button).click()
        assert place(page) == expected
    slider = page.get_by_role("slider")
    slider.fill("7")
    assert place(page) == 7 and slider.get_attribute("aria-valuetext").startswith("Forward, 8 of")
    slider.press("ArrowRight")
    assert place(page) == 8
    page.get_by_role("button", name="Last op").click()
    assert slider.input_value() == str(page.evaluate("walk.length - 1"))
    assert page.get_by_role("button", name="Next op").is_disabled()


def test_playing_moves_on_and_stops_at_a_cut_and_at_the_end(show):
    page = show(cut_rnn())
    page.get_by_label("speed").select_option("30 a second")
    page.locator("body").click(position={"x": 2, "y": 2})
    page.keyboard.press("Space")
    until(page, "place > 2")
    page.keyboard.press("Space")
    stopped = place(page)
    page.wait_for_timeout(150)
    assert place(page) == stopped
    page.evaluate("go(walk.findIndex(({ phase }) => phase === 'cut') - 3)")
    page.get_by_role("button", name="Play").click()
    until(page, "timer === null")
    assert page.evaluate("walk[place].phase") == "cut"
    page.evaluate("go(walk.length - 3)")
    page.keyboard.press("Space")  # the focus is on the button, which Space presses
    until(page, "timer === null")
    assert place(page) == page.evaluate("walk.length - 1")


def test_with_reduced_motion_nothing_plays_or_glides(show):
    page = show(cut_rnn(), reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(camera).transitionDuration") == "0s"
    page.keyboard.press("Space")
    assert place(page) == 1 and page.evaluate("timer") is None
    assert "less motion" in words(page, "#status")


def test_the_keyboard_alone_reaches_everything_and_shows_where_it_is(show):
    page = show(cut_rnn())
    page.evaluate("go(walk.findIndex(({ phase }) => phase === 'backward'))")
    reached, outlines = set(), set()
    for _ in range(40):
        page.keyboard.press("Tab")
        tag, outline = page.evaluate("""() => {
            const element = document.activeElement;
            return [element.id || element.tagName, getComputedStyle(element).outlineStyle];
        }""")
        reached.add(tag)
        outlines.add(outline if tag != "BODY" else "solid")
    assert {"first", "previous", "play", "speed", "slider", "SELECT", "BUTTON", "SUMMARY"} <= reached
    assert outlines == {"solid"}


def test_what_happens_is_said_in_words(show):
    page = show(cut_rnn())
    status = page.get_by_role("status")
    assert status.inner_text().startswith("Forward, 1 of")
    page.evaluate("go(walk.findIndex(({ phase }) => phase === 'backward'))")
    assert re.match(r"Backward, .*: add receives 1 and hands 1 to %\d+, 1 to %\d+", status.inner_text())


def test_at_a_cut_the_walk_says_why_it_stops(show):
    page = show(cut_rnn())
    page.evaluate("go(walk.findIndex(({ phase }) => phase === 'cut'))")
    assert "the gradient stops here: detach. h_3 goes into step 4 as a constant" in words(page, "#status")
    assert "h_3 is used as a constant" in words(page, "#panel .stopped")
    assert page.locator("#picture .scissors").count() == 1 and page.locator("#picture .rule").count() == 1
    assert page.get_by_text("detach", exact=True).count() == 1


def test_a_cut_within_a_step_is_said_at_the_op_and_stops_nothing(show):
    h = tg.tensor([0.5], requires_grad=True)
    with tg.scope("mine") as at:
        for t in (1, 2, 3):
            at(t)
            h = np.tanh(h) * np.exp(h).detach()
    page = show(h.sum())
    phases = page.evaluate("walk.map(({ phase }) => phase)")
    assert "cut" not in phases
    page.evaluate("go(walk.findIndex((at) => at.phase === 'backward' && at.record.t === 3))")
    assert "detached: the gradient stops here" in words(page, "#panel .severed")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert "detached" in words(page, "#panel .inputs")


def test_what_no_gradient_reaches_is_marked(show):
    class Stop(tg.Op):
        forward = np.positive

        def vjp(self, g, y, x):
            return None  # a gradient of zero everywhere

    x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    page = show((Stop()(x * 3) * x).sum())
    assert page.evaluate("data.gradient")[0] is None
    stop = page.evaluate("walk.findIndex((at) => at.phase === 'backward' && at.record.number === 1)")
    page.evaluate(f"go({stop})")
    assert "the rule hands nothing on" in words(page, "#panel .handed")
    assert page.evaluate("walk.length") == stop + 1
    lost = page.locator("#picture .lost").all_text_contents()
    assert len(lost) == 1 and lost[0].endswith("∇ none")


def test_a_click_on_a_ribbon_goes_to_the_step(show):
    page = show(cut_rnn())
    drawing = page.locator(".ribbon.state svg")
    box = drawing.bounding_box()
    for phase in ("forward", "backward"):
        page.evaluate("(phase) => go(walk.findIndex((at) => at.phase === phase))", phase)
        drawing.click(position={"x": box["width"] * 4.5 / 6, "y": 10})
        assert page.evaluate("[walk[place].phase, walk[place].record.t]") == [phase, 5]
    assert words(page, ".ribbon.state .reading").startswith("t = 5: ")


@pytest.mark.parametrize("graph", ["cut", "stacked", "bidirectional"])
def test_the_first_ribbon_is_the_flow_of_the_gradient(show, graph):
    loss = GRAPHS[graph]()
    found = tg.bptt.flow(loss)
    page = show(loss)
    shown = page.evaluate(
        "data.states.map(({ layer, name }, k) => [data.layers[layer], name, [...stateRows[k].values]])"
    )
    assert {layer for layer, _, _ in shown} == set(found.layers)
    for layer, name, values in shown:
        expected = dict(zip(found[layer].steps.tolist(), found[layer].norms[name], strict=True))
        assert dict(values) == pytest.approx(expected, rel=6e-4)


def test_the_second_ribbon_itemises_the_gradient_of_a_weight_by_step(show):
    loss = cut_rnn()
    W = next(x for x in tg.tape(loss).leaves if x.name == "W_hh")
    expected = tg.bptt.decompose(loss, W)
    shown = dict(show(loss).evaluate("[...weightRows[0].values.entries()]"))
    assert shown == pytest.approx(
        {t: length(g) for t, g in zip(expected.steps, expected.by_step, strict=True)}, rel=6e-4
    )


def test_the_edges_into_the_op_are_drawn_thick(show):
    page = show(cut_rnn())
    at = page.evaluate("walk.findIndex(({ record }) => record.form.names[0] === 'h' && record.t === 2)")
    page.evaluate(f"go({at})")
    assert page.locator(".edge.live").count() == 1  # of one input
    page.evaluate(f"go({at - 1})")
    assert page.locator(".edge.live").count() == 2  # a sum of two
    page.evaluate("go(walk.findIndex(({ record }) => record.t === 2))")
    assert page.locator(".edge.live").count() == 3  # x_2, W_xh and b_h, and not the line that leaves this step above


def test_a_box_and_the_name_of_an_input_can_be_clicked(show):
    page = show(cut_rnn())
    page.evaluate("go(6)")
    box = page.locator("#picture [data-record]:not(.current)").first
    number = int(box.get_attribute("data-record"))
    box.click()
    assert place(page) == number != 6
    page.evaluate("go(walk.findIndex(({ phase }) => phase === 'backward'))")
    link = page.locator("#panel .link").first
    title = link.get_attribute("title")
    link.click()
    assert title == f"Go to record {page.evaluate('walk[place].record.number')}"
    assert page.evaluate("walk[place].phase") == "backward"


def test_a_network_without_time_steps_has_no_ribbons(show):
    page = show(mlp())
    assert page.locator("#ribbons").count() == 0
    page.keyboard.press("PageDown")
    page.keyboard.press("End")
    assert "Backward" in words(page, "#status")


@pytest.mark.parametrize("width", [320, 768, 1280])
@pytest.mark.parametrize("graph", ["cut", "stacked", "mlp"])
def test_no_width_needs_scrolling_sideways(show, graph, width):
    page = show(GRAPHS[graph](), width=width)
    for at in ("0", "Math.floor(walk.length / 2)", "walk.length - 4", "walk.length - 1"):
        page.evaluate(f"go({at})")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_schemes(show, scheme):
    page = show(cut_rnn(), color_scheme=scheme)
    page.evaluate("go(walk.findIndex(({ phase }) => phase === 'cut'))")
    colours = page.evaluate("""() => Object.fromEntries(
        ["page", "panel", "op-fill", "state-fill", "text", "quiet", "gradient-text", "gradient", "link"].map(
            (name) => [name, getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim()]))""")
    for text in ("text", "gradient-text", "link"):
        assert all(contrast(colours[text], colours[ground]) >= 7 for ground in ("page", "op-fill"))
    assert contrast(colours["quiet"], colours["page"]) >= 4.5
    assert contrast(colours["gradient"], colours["op-fill"]) >= 3


def contrast(a, b):
    """The contrast ratio of two colours by WCAG 2."""

    def luminance(colour):
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_hostile_names_are_shown_as_they_are(show):
    name = '</script><img src=x onerror="alert(1)">&lt;'
    x = tg.tensor([1.0, 2.0], requires_grad=True, name=name)
    page = show((x * x).sum())
    page.keyboard.press("End")
    assert name in words(page, "#panel .gathered") and page.locator("img").count() == 0
    assert page.requests == [page.url.partition("#")[0]]


# ---------------------------------------------------------------- for a lecture


def test_a_page_replaces_a_page_and_no_other_file(tmp_path):
    for name in ("tape.html", "tape"):
        path = tg.page(cut_rnn(), tmp_path / name)
        first = path.read_bytes()
        tg.page(cut_rnn(4), path)
        assert path.read_bytes() != first
    for text in ("<!doctype html><title>My thesis</title>", "a text"):
        other = tmp_path / "index.html"
        other.write_text(text, "utf-8")
        with pytest.raises(DrawError, match=r"index.html: another file has that name, and it is no page of a tape"):
            tg.page(cut_rnn(), other)
        assert other.read_text("utf-8") == text


def example():
    from tinygrad_rnn.texts.example import Example

    return Example().loss


def test_the_numbers_of_constants_are_there(tmp_path):
    _, data = content(tg.page(example(), tmp_path / "tape.html"))
    assert sorted(x for given in data["constants"].values() for x in given.values()) == [
        0,
        0.1,
        0.1,
        0.2,
        0.4,
        0.4,
        0.5,
    ]
    x = np.arange(6.0).reshape(3, 1, 2)
    _, data = content(tg.page(tg.nn.RNN(2, 2, dtype=float, rng=0)(x)[0].sum(), tmp_path / "tape.html"))
    assert data["constants"]["0"] == {"0": [0, 1, 2, 3, 4, 5]}
    _, data = content(tg.page(cut_rnn(1500, 1500), tmp_path / "tape.html"))
    assert data["constants"]["0"]["0"] == pytest.approx(
        length(np.random.default_rng(1).normal(size=(1500, 1, 2))), rel=1e-3
    )


def test_a_product_of_numbers_is_all_on_the_page(show):
    page = show(example())
    page.evaluate("go(records.findIndex((record) => record.form.names[0] === 'h'))")
    assert words(page, "#panel .equation") == "tanh(0.3) = 0.2913"
    page.evaluate("go(0)")
    texts = [row.inner_text().split() for row in page.locator("#panel .inputs tr").all()]
    assert [[row[0], row[3]] for row in texts] == [["W_xh", "0.6"], ["x", "0.5"]] and "gradient" in texts[1]
    assert words(page, "#panel .equation") == "0.6 × 0.5 = 0.3"


def test_the_chain_rule_of_a_few_dozen_entries_is_written_out_and_folded(show):
    rnn = tg.nn.RNN(2, 3, dtype=float, rng=0)
    output, _ = rnn(np.random.default_rng(0).normal(size=(6, 1, 2)))  # 18 entries
    page = show((output * output).sum())
    page.evaluate(
        "go(walk.findIndex((at) => at.phase === 'backward' && data.ops[at.record.form.op].name === 'multiply'))"
    )
    table = page.locator("#panel .chain").first
    assert table.locator("tr").count() == 6 and page.locator("#panel .gain").count() == 0
    assert page.get_by_text("12 more entries").count() == 2


def test_an_address_names_a_step_and_follows_the_walk(show):
    page = show(cut_rnn())
    assert "#" not in page.url
    page.keyboard.press("ArrowRight")
    assert page.url.endswith("#2") and words(page, "#status").startswith("Forward, 2 of")
    page.evaluate("location.hash = '#52'")
    until(page, "place === 51")
    page.reload()
    assert place(page) == 51 and words(page, "#status").startswith("Backward, 52 of")
    for wrong, expected in (("#9999", page.evaluate("walk.length - 1")), ("#x", 0), ("#", 0), ("#-3", 0)):
        page.evaluate("(hash) => (location.hash = hash)", wrong)
        until(page, f"place === {expected}")


def test_the_backward_pass_begins_at_a_key_and_a_button(show):
    page = show(cut_rnn())
    page.keyboard.press("b")
    assert place(page) == page.evaluate("records.length")
    assert page.evaluate("[walk[place].phase, walk[place - 1].phase]") == ["backward", "forward"]
    page.keyboard.press("Home")
    page.get_by_role("button", name="Start of the backward pass").click()
    assert words(page, "#status").startswith("Backward, 35 of")


def test_a_step_can_be_an_op_or_a_time_step(show):
    page = show(cut_rnn())
    page.keyboard.press("t")
    assert page.locator("#stride").input_value() == "time"
    times = []
    for _ in range(30):
        times.append(page.evaluate("walk[place].record.t"))
        page.keyboard.press("ArrowRight")
    assert [t for t in times if t][:12] == [1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1] and len(set(times)) == 7
    page.keyboard.press("Home")
    page.get_by_label("step by").select_option("op")
    page.get_by_role("button", name="Next op").click()
    assert place(page) == 1


def sizes_of_text(page, inside):
    """The sizes of all letters that are in sight, in px."""
    return page.evaluate(
        """(inside) => [...document.querySelectorAll(inside + " *")].filter((e) =>
            [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) && e.getClientRects().length).map((e) =>
            parseFloat(getComputedStyle(e).fontSize) * (e.closest(".camera g") ? zoom : 1))""",
        inside,
    )


def test_text_has_14_px_at_least(show):
    page = show(cut_rnn())
    for at in ("3", "walk.findIndex(({ phase }) => phase === 'cut')", "walk.length - 1"):
        page.evaluate(f"go({at})")
        for part in ("header", ".controls", ".ribbons", ".panel", ".columns"):
            assert min(sizes_of_text(page, part)) >= 14


def test_the_graph_is_shown_whole_at_first_and_as_large_as_one_likes(show):
    page = show(network("LSTM", 3), height=800)

    def inside(selector):
        frame = page.locator("#picture").bounding_box()
        boxes = [box.bounding_box() for box in page.locator(selector).all()]
        return [frame["y"] <= b["y"] and b["y"] + b["height"] <= frame["y"] + frame["height"] + 1 for b in boxes]

    states = inside("#picture .box.state")
    assert len(states) == 6 and all(states) and all(inside("#picture .box"))
    assert page.locator("#fit").get_attribute("aria-pressed") == "true"
    page.keyboard.press("ArrowRight")
    readable = page.evaluate("zoom")
    assert readable == 1.5 and page.locator("#fit").get_attribute("aria-pressed") == "false"
    page.keyboard.press("+")
    assert page.evaluate("zoom") == pytest.approx(readable * 1.25)
    page.get_by_role("button", name="Smaller").click()
    assert page.evaluate("zoom") == pytest.approx(readable)
    page.keyboard.press("f")
    page.wait_for_timeout(250)
    assert all(inside("#picture .box"))


def test_no_heading_covers_a_box(show):
    page = show(network("LSTM", 3))
    band = page.locator("#picture .band").bounding_box()
    page.evaluate("go(walk.length - 1)")
    for heading in page.locator("#picture .heading text").all():
        box = heading.bounding_box()
        assert band["y"] <= box["y"] and box["y"] + box["height"] <= band["y"] + band["height"]
    assert page.evaluate("""[...frame.children].map((part) => part.getAttribute("class"))""") == [
        None, "camera", "band", "camera",
    ]  # fmt: skip


@pytest.mark.slow
def test_the_gallery_links_the_cut(show):
    root = Path(__file__).parents[1]
    loss = runpy.run_path(str(root / "examples" / "pages.py"))["truncated"]()
    step = int(re.search(r"truncated\.html#(\d+)", (root / "docs" / "gallery.md").read_text("utf-8"))[1])
    assert show(loss).evaluate(f"walk[{step} - 1].phase") == "cut"


@pytest.mark.parametrize(("width", "height"), [(640, 400), (390, 844), (1280, 800)])
def test_the_controls_stay_while_one_reads(show, width, height):
    page = show(cut_rnn(), width=width, height=height)
    page.evaluate("go(walk.length - 1)")
    page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_timeout(50)
    box = page.get_by_role("button", name="Previous op").bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= height
    assert page.locator(".controls").bounding_box()["height"] <= height / 2


def test_a_phone_shows_every_control_without_scrolling(show):
    page = show(cut_rnn(), width=390, height=844)
    for control in page.locator(".controls button, .controls select, .controls input").all():
        box = control.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["y"] + box["height"] <= 844
    drawn = page.locator(".buttons path").evaluate_all("all => all.map(x => x.getAttribute('d') + x.className.baseVal)")
    assert len(set(drawn)) == len(drawn)


def test_at_twice_the_size_graph_and_chain_rule_are_on_the_first_screen(show):
    page = show(cut_rnn(), width=640, height=400)
    page.evaluate("go(39)")
    page.wait_for_timeout(250)
    for selector in ("#picture .current", "#panel h2", "#panel .incoming"):
        box = page.locator(selector).first.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 400


def test_what_comes_out_is_hidden_until_it_is_asked_for(show):
    page = show(example())
    page.keyboard.press("p")
    assert words(page, "#status") == "Forward, 1 of 52: what is %0?"
    hidden = ".result, .equation, .outgoing, .into, #picture .current .value, .now td"
    shown = """(all) => [...document.querySelectorAll(all)].map((e) => getComputedStyle(e)).some((style) =>
        style.visibility === "visible" && style.color !== "rgba(0, 0, 0, 0)")"""
    assert not page.evaluate(shown, hidden)
    page.locator("#guess").fill("0,3")
    page.locator("#guess").press("Enter")
    assert words(page, "#panel .judged") == "0.3 is right." and page.evaluate(shown, hidden)
    page.keyboard.press("ArrowRight")
    page.locator("#guess").fill("7")
    page.get_by_role("button", name="Reveal").click()
    assert words(page, "#panel .judged") == "It is 0, not 7."
    page.keyboard.press("b")
    page.keyboard.press("ArrowRight")
    assert not page.evaluate(shown, hidden) and "what is the gradient handed to" in words(page, "#status")
    page.keyboard.press("r")
    assert page.evaluate(shown, hidden) and "hands 1 to" in words(page, "#status")
    page.keyboard.press("p")
    page.keyboard.press("ArrowRight")
    assert page.locator(".prediction, .judged, body.secret").count() == 0


@pytest.mark.parametrize("graph", ["lstm", "cut", "stacked", "mlp"])
def test_all_that_stands_in_a_box_is_within_it(show, graph):
    page = show(GRAPHS[graph](), width=1900, height=1200)
    for at in ("records.length - 1", "walk.length - 1"):
        page.evaluate(f"go({at})")
        page.wait_for_timeout(250)
        outside = page.evaluate("""() => [...document.querySelectorAll("#picture .box")].flatMap((box) => {
            const frame = box.querySelector("rect").getBoundingClientRect();
            return [...box.querySelectorAll("text")].filter((text) => text.textContent).filter((text) => {
                const { top, bottom, left, right } = text.getBoundingClientRect();
                const tall = top >= frame.top - 3 && bottom <= frame.bottom + 3;
                return !(tall && left >= frame.left - 3 && right <= frame.right + 3);
            }).map((text) => text.textContent);
        })""")
        assert outside == []


def test_weights_and_data_stand_in_the_picture_with_their_numbers(show):
    page = show(example())
    page.keyboard.press("f")
    texts = [box.text_content() for box in page.locator("#picture .box.ref, #picture .box.input").all()]
    found = sorted(text for text in texts if text.startswith(("x", "y", "h")))
    assert found == ["h00", "x0.1", "x0.4", "x0.5", "y0.1", "y0.2", "y0.4"]
    assert texts.count("Whh ↗0.9") == 3
