"""The tasks for learners: model answers are right, typical wrong ones are told what is wrong, errors have a line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tinygrad_rnn.app.cli import main
from tinygrad_rnn.app.learn import TASKS
from tinygrad_rnn.app.learn.command import commented, described, listing
from tinygrad_rnn.app.learn.cutting import CUT, OVERLAP, WINDOWS
from tinygrad_rnn.app.learn.sweeping import CHAIN, RULE, SWEEP
from tinygrad_rnn.app.learn.unrolling import INPUTS, KEEP, LECTURE, LOST, REMEMBER, THROUGH_TIME

DOCS = Path(__file__).parents[1] / "docs"

task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.title)


@task
def test_the_model_answer_is_right(task):
    verdict = task.judge(task.answer)
    assert verdict.right, verdict.message


@task
def test_what_one_begins_with_is_not_right_and_is_told_why(task):
    verdict = task.judge(task.start)
    assert not verdict.right and verdict.message


def test_the_page_of_exercises_lists_the_tasks():
    text = (DOCS / "exercises.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| .* \| \[(.*)\]\((.*)\) \|$", text, re.MULTILINE)
    assert rows == [(str(n), task.page.removesuffix(".md"), task.page) for n, task in enumerate(TASKS, 1)]


@task
def test_a_task_is_of_a_page_and_has_three_hints(task):
    assert (DOCS / task.page).is_file()
    assert len(task.hints) == 3
    n = TASKS.index(task) + 1
    assert all(len(line) <= 80 for text in (described(task, n), commented(task, n)) for line in text.splitlines())


@task
def test_neither_the_text_nor_the_first_hint_nor_a_verdict_gives_the_answer(task):
    """No line that the answer has and the beginning has not."""
    own = set(map(str.strip, task.answer.splitlines())) - set(map(str.strip, task.start.splitlines()))
    told = task.text + task.hints[0] + task.judge(task.start).message
    assert not [line for line in own if line.strip("():") not in ("", "else", "return losses") and line in told]


CHAIN_BY = "y = np.tanh(0.4 * 1.5 + 0.2); "
SCALED = "\nold = gradient\ndef gradient(w, xs): return old(w, xs) * 2\n"


@pytest.mark.parametrize(
    ("task", "source", "message"),
    [
        (CHAIN, CHAIN_BY + "db = 2*(y-1); dw = db*1.5", "the slope of tanh at this point is missing"),
        (CHAIN, CHAIN_BY + "db = 2*(y-1)*(1-y**2); dw = db", "w is multiplied by x, and this factor is missing"),
        (CHAIN, CHAIN_BY + "db = 2*(y-1)*(1-y**2); dw = db*1.5; db = dw", "but b is not"),
        (CHAIN, CHAIN_BY + "db = (y-1)*(1-y**2); dw = db*1.5", "a factor 2"),
        (CHAIN, CHAIN_BY + "db = 2*(y-1)*(1-y); dw = db*1.5", "the square is missing"),
        (CHAIN, "dw = 0.5; db = 0.3", "wrong sign"),
        (CHAIN, "dw = -100; db = 0", "too large"),
        (CHAIN, CHAIN.answer.replace("dw = ", "d = "), "there is no dw yet"),
        (CHAIN, "dw = 'a'", "dw has to be a number, and is 'a'"),
        (CHAIN, "dw = float('nan')", "finite"),
        (SWEEP, SWEEP.answer.replace("waiting.get(key, 0.0) + part", "part"), "contributions of its uses add up"),
        (SWEEP, SWEEP.answer.replace("return waiting", "return list(waiting)"), "has to return a dict"),
        (SWEEP, SWEEP.answer.replace("x.record or x", "x"), "KeyError|a key that is not there"),
        (SWEEP, "gradients = 3", "gradients has to be a function"),
        (RULE, RULE.answer.replace("g * root", "g"), "the gradient of b: .*the rule gives"),
        (RULE, RULE.answer.replace("/ root", "/ root**2"), "the gradient of a: .*the rule gives"),
        (RULE, RULE.answer.replace("g * a * b / root", "a * b / root"), "the gradient of a"),
        (RULE, RULE.answer.replace("a * a + 1) * b\n\n", "a * a + 2) * b\n\n"), "forward does not give"),
        (RULE, "def Bent(a, b): return a", "made from tg.Op"),
        (THROUGH_TIME, THROUGH_TIME.answer.replace("total += ", "total = total or "), "only the last of the uses"),
        (THROUGH_TIME, THROUGH_TIME.answer.replace("h[t - 1]\n", "h[t]\n"), "not by the one after"),
        (THROUGH_TIME, re.sub(r" \* \(1 - h\[.*?\] \*\* 2\)", "", THROUGH_TIME.answer), "slope of tanh is missing"),
        (
            THROUGH_TIME,
            THROUGH_TIME.answer.replace("(1 - h[t - 1] ** 2)", "(1 - h[t] ** 2)"),
            "the slope is that of the wrong step",
        ),
        (THROUGH_TIME, THROUGH_TIME.answer + SCALED, "the sweep finds another number"),
        (LECTURE, 'wrong = ["δh_2", "δh_1", "δz_2"]', "starts from figures that were wrong"),
        (LECTURE, 'wrong = ["h_3"]', "not by a slope"),
        (LECTURE, 'wrong = ["z_1"]', "z_1 is right"),
        (LECTURE, 'wrong = ["δ h_2"]', "1 more went wrong"),
        (LECTURE, 'wrong = ["h_9"]', "there is no figure h_9"),
        (LECTURE, 'wrong = "dh_2"', "a list of names"),
        (LOST, "step = 12", "one step off"),
        (LOST, "step = 14", "one step off"),
        (LOST, "step = 2", "there is a step that lets less through"),
        (LOST, "step = 0.5", "a whole number from 1 to 20"),
        (KEEP, "W = np.eye(3)", "at least 0.05"),
        (KEEP, "W = np.full((3, 3), 0.5)", "explodes"),
        (KEEP, "W = 0.99 * (np.eye(3) - 2 / 3)", "vanishes"),
        (KEEP, "W = np.eye(2)", r"of shape \(3, 3\), and is of \(2, 2\)"),
        (CUT, CUT.answer.replace("t == 2", "t == 3"), r"T\(3, 1\) is still there"),
        (CUT, CUT.answer.replace("t == 2", "t > 1"), r"T\(4, 3\) is gone, and was to stay"),
        (CUT, CUT.answer.replace("h.detach()", "tg.tensor(0.0)"), "changes no value"),
        (CUT, CUT.answer.replace("append(h)", "append(h.item())"), "is no tensor"),
        (CUT, CUT.answer.replace("return losses", "return losses[0]"), "a list of 6 losses"),
        (OVERLAP, CUT.answer.replace("t == 2", "t == 3"), r"T\(4, 2\) is gone"),
        (OVERLAP, OVERLAP.answer.replace("t - 2", "t - 1"), r"T\(3, 1\) is gone"),
        (WINDOWS, WINDOWS.answer.replace("state = tg.bptt.detach(state)", "pass"), "line 5: the sweep goes on into"),
        (WINDOWS, WINDOWS.answer.replace("tg.bptt.detach(state)", "None"), "each window begins from nothing"),
        (
            WINDOWS,
            WINDOWS.answer.replace("        output", "        rnn.zero_grad(); output"),
            "this is the last window alone",
        ),
        (
            WINDOWS,
            WINDOWS.answer.replace("range(0, len(x), K)", "range(0, len(x), len(x))").replace("k + K", "len(x)"),
            "this is the whole gradient",
        ),
        (REMEMBER, REMEMBER.start.replace("0.0", "1.0"), r"how much of c a step keeps is 0\.\d+ on average"),
        (
            REMEMBER,
            REMEMBER.answer.replace("tg.nn", "cell.W_xh.data[:] = 0; cell.W_hh.data[:] = 0; tg.nn"),
            "hears nothing",
        ),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(task, source, message):
    assert source not in (task.answer, task.start)
    verdict = task.judge(source)
    assert not verdict.right and re.search(message, verdict.message), verdict.message


def test_other_ways_to_the_same_are_right():
    assert LECTURE.judge('wrong = ("delta h_1", "δh_2")').right
    assert KEEP.judge("W = np.linalg.qr(np.array([[1., 2, 3], [4, 1, 2], [2, 5, 1]]))[0]").right
    assert CUT.judge(CUT.answer.replace("h.detach()", "tg.bptt.detach(h)")).right
    assert CUT.judge(CUT.answer.replace("h.detach()", "tg.tensor(h.item())")).right
    assert LOST.judge(f"step = {1 + INPUTS.argmax()}").right


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\ndw = 1 +\n", "your line, line 2: Python cannot read this: invalid syntax\n    dw = 1 +"),
        ("x = 1\ny = x / 0\n", "your line, line 2: a division by zero (division by zero)\n    y = x / 0"),
        ("dw = nq.tanh(1)", "your line, line 1: a name that is not known here (name 'nq' is not defined)\n    dw = nq"),
        ("def f():\n    return [][1]\n\nf()", "your line, line 2: an index beyond the end"),
        ("def f():\n    f()\nf()", "your line, line 2: a function that calls itself without end"),
        ("exit()", "your line, line 1: the program ends itself here"),
        ("dw = tg.tensor(1.0).backward()", "your line, line 1: GraphError: "),
    ],
)
def test_an_error_is_shown_at_its_line_in_words(source, message):
    verdict = CHAIN.judge(source)
    assert not verdict.right and verdict.message.startswith(message), verdict.message


def test_an_error_in_a_function_that_the_check_calls_is_shown_at_its_line():
    verdict = THROUGH_TIME.judge("def gradient(w, xs):\n    return w[0]\n")
    assert verdict.message.startswith("your line, line 2: TypeError: ") and "return w[0]" in verdict.message


# ------------------------------------------------------------------ the command


def learn(capsys, *arguments: str) -> tuple[int, str, str]:
    status = main(["learn", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_without_a_number_it_lists_the_tasks(capsys):
    status, out, _ = learn(capsys)
    assert status == 0 and all(task.title in out for task in TASKS)
    assert all(len(line) <= 80 for line in listing().splitlines())


def test_from_the_beginning_to_the_right_answer(capsys, tmp_path):
    mine = tmp_path / "mine.py"
    n = str(TASKS.index(CUT) + 1)
    assert learn(capsys, n)[1].startswith(f"{n}. cut so that exactly these terms vanish")
    assert learn(capsys, n, "--start", str(mine)) == (0, f"{mine}\n", "")
    assert CUT.start in mine.read_text("utf-8") and f"learn {n}" in mine.read_text("utf-8")
    status, out, _ = learn(capsys, n, str(mine))
    assert status == 1 and out.startswith("Not yet. T(3, 1) is still there") and f"learn {n} --hint" in out
    assert [len(learn(capsys, n, "--hint", k)[1].split("\n2. ")) for k in "123"] == [1, 2, 2]
    assert learn(capsys, n, "--solution")[1] == CUT.answer
    mine.write_text(CUT.answer, "utf-8")
    status, out, _ = learn(capsys, n, str(mine))
    assert status == 0 and out.startswith("Right: ")


def test_an_answer_may_be_a_line_or_come_from_standard_input(capsys, monkeypatch):
    import io

    assert learn(capsys, str(TASKS.index(LOST) + 1), "step = 13")[0] == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("step = 1"))
    assert learn(capsys, str(TASKS.index(LOST) + 1), "-")[0] == 1


def test_a_file_is_never_written_over(capsys, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("kept", "utf-8")
    assert learn(capsys, "1", "--start", str(mine))[0] == 1
    assert mine.read_text("utf-8") == "kept"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["0"], 2, "there are tasks 1 to 11, not '0'"),
        (["x"], 2, "there are tasks 1 to 11, not 'x'"),
        (["1", "--hint", "4"], 2, "a task has hints 1 to 3, not '4'"),
        (["--solution"], 2, "of which task"),
        (["1", "nowhere.py"], 1, "nowhere.py: No such file"),
    ],
)
def test_wrong_usage_is_one_line(capsys, arguments, status, message):
    found, out, err = learn(capsys, *arguments)
    assert found == status and not out and message in err and err.count("\n") == 1


def test_a_file_that_is_no_text(capsys, tmp_path):
    (tmp_path / "mine.py").write_bytes(b"\xff\xfe")
    status, _, err = learn(capsys, "1", str(tmp_path / "mine.py"))
    assert status == 2 and "not a text in UTF-8" in err
