"""The page that steps through a tape: what the file holds, and, in a headless Chromium, what it shows and does.

Every number on the page is compared with the tape's own, found here another way: the gradients from `tg.tape`, what
is handed on from the rules, what is gathered from ``backward()``.
"""

import json
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from test_draw import mlp, network, own_cell, per_step_losses, scalar_chain, two_decoders, windows

import tinygrad_rnn as tg
from tinygrad_rnn.backward import pull
from tinygrad_rnn.errors import DrawError, GraphError, NonScalarError


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
    "cut gate gradient": lambda: tg.nn.LSTM(2, 2, cut_gate_gradient=True, dtype=float, rng=0)(np.ones((3, 1, 2)))[0].sum(),
}  # fmt: skip


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


def test_a_thousand_steps_are_within_half_a_megabyte(tmp_path):
    assert tg.page(network("LSTM", 1000), tmp_path / "tape.html").stat().st_size <= 500_000


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


@pytest.mark.parametrize("name", ['</script><script>alert("1")</script>', "<!--", "a & b", "\\", "\n", "é✂", "\ud800", "\ue000"])
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
    assert "h = phi(a + norm(state @ self.W_hh, self.gain_h))" in {layers["code"] for _, layers in data["lines"] if layers}
    assert str(Path(__file__).parent) not in text
    assert content(tg.page(cut_rnn(), tmp_path / "tape.html"))[1]["lines"] == []


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
    with pytest.raises(DrawError, match="before calling backward"):
        tg.page(used, path)
    assert not path.exists()


def test_the_page_is_part_of_the_package():
    folder = Path(tg.__file__).parent / "draw" / "stepper"
    from tinygrad_rnn.draw.stepper.document import SCRIPTS

    assert {path.name for path in folder.glob("*.js")} == set(SCRIPTS)


def test_a_page_imports_nothing_before_it_is_written():
    code = "import sys, tinygrad_rnn; print([m for m in sys.modules if 'stepper.' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium; nothing is downloaded."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (extra browser)")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@pytest.fixture
def show(chromium, tmp_path):
    """Opens the page of a loss; gives it with the list of all it asked for, and fails on any error in it."""
    opened, errors = [], []

    def open_page(loss, width=1280, height=800, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        page = context.new_page()
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
    return [float(x) for x in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?|-?inf|nan", text.replace("−", "-").replace("∞", "inf"))]


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
(at) => {
  go(at);
  const text = (part) => part.innerText;
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
    boxes: [...document.querySelectorAll("#picture [data-record]")].map((box) =>
      [Number(box.dataset.record), [...box.querySelectorAll("text")].slice(-2).map((part) => part.textContent)]),
  };
}
"""


def outputs(record, thing):
    return thing if record.op.outputs > 1 else (thing,)


@pytest.mark.parametrize("graph", GRAPHS)
def test_every_number_shown_is_the_tapes(graph, show):
    loss = GRAPHS[graph]()
    tape = tg.tape(loss)
    page = show(loss)
    seen = {"forward": set(), "backward": set(), "cut": set()}
    gathered = defaultdict(lambda: 0)
    count = page.evaluate("walk.length")
    for at in range(count):
        shown = page.evaluate(COLLECT, at)
        record = tape[shown["record"]]
        seen[shown["phase"]].add(shown["record"])
        assert f"{at + 1} of {count}" in shown["status"]
        if shown["phase"] == "forward":
            values = outputs(record, record.value)
            assert len(shown["results"]) == len(values)
            assert all(agree(text.partition("=")[2], v) for text, v in zip(shown["results"], values, strict=True))
            continue
        g = tape.gradients[record]
        gs = outputs(record, g)
        assert all(agree(text.partition("=")[2], v) for text, v in zip(shown["incoming"], gs, strict=True))
        handed = list(pull(record, g))
        parts = [part if isinstance(part, np.ndarray) else written_out(part) for _, part in handed]
        assert len(shown["handed"]) == len(parts[:16])
        assert all(agree(text, part) for text, part in zip(shown["handed"], parts, strict=False))
        for _, terms, total in (row for row in shown["terms"] if "…" not in row[1]):
            products = [np.prod(read(term)) for term in terms.split(" + ")]
            assert np.isclose(sum(products), read(total)[0], rtol=2e-3, atol=3e-4 * max(map(abs, products), default=0))
        for text in shown["gain"]:
            incoming, *factor, outgoing = read(text)
            assert not factor or np.isclose(incoming * factor[0], outgoing, rtol=6e-3)
        if shown["phase"] == "backward":
            for (x, _), part in zip(handed, parts, strict=True):
                if x.record is None:
                    gathered[x] = gathered[x] + part
        for row, x in zip(shown["gathered"], [x for x in tape.leaves if x.requires_grad], strict=True):
            assert agree(row[2], gathered[x])
        for number, (value, gradient) in shown["boxes"]:
            made = tape[number]
            if made.op.outputs == 1:
                assert agree(value, made.value) or np.size(made.value) > 1 and agree(value, length(made.value))
                if "∇" in gradient and "none" not in gradient:
                    assert agree(gradient, length(tape.gradients[made]))
    assert seen["forward"] == set(range(len(tape)))
    assert seen["backward"] == {k for k, record in enumerate(tape) if record in tape.gradients}
    loss.backward()
    for row, x in zip(shown["gathered"], [x for x in tape.leaves if x.requires_grad], strict=True):
        assert agree(row[2], x.grad) and len(set(re.findall(r"\d+", row[3]))) == 1  # k of k


def written_out(part):
    buffer = np.zeros(part.shape, part.dtype)
    part.add_to(buffer)
    return buffer
