"""Run folders: made for one run alone, locked, completed, moved; and files of a run that something else has written."""

from __future__ import annotations

import inspect
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_rnn import nn
from tinygrad_rnn.app import arithmetic, charlm, folder, source
from tinygrad_rnn.app.charlm import Run, Settings, build, load_model
from tinygrad_rnn.app.cli import main
from tinygrad_rnn.data import python_docs
from tinygrad_rnn.errors import CheckpointError, DataError
from tinygrad_rnn.io import load_arrays, save_arrays
from tinygrad_rnn.nn.layer import Layer

SMALL = ["--embedding", "3", "--hidden", "4", "--batch", "2", "--window", "8", "--quiet"]
posix_only = pytest.mark.skipif(os.name != "posix", reason="pipes, signals and locks of POSIX systems")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a text of 3,000 characters and a run of 12 steps on it."""
    place = tmp_path_factory.mktemp("finished")
    (place / "text.txt").write_text(python_docs()[:3000], "utf-8")
    text, out = str(place / "text.txt"), str(place / "run")
    assert main(["train", *SMALL, "--text", text, "--steps", "12", "--out", out]) == 0
    return place


@pytest.fixture
def here(finished, tmp_path, monkeypatch):
    """A copy of it, as the working folder; the text is here too, not where it was."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    about = ["checkpoint.safetensors", "model.safetensors"]
    for name in about:
        change(tmp_path / "run" / name, lambda arrays, about: about["settings"].update(text=str(tmp_path / "text.txt")))
    settings = tmp_path / "run" / "settings.json"
    settings.write_text(settings.read_text().replace(str(finished), str(tmp_path)))
    for name in folder.RESULTS:  # made after the checkpoint
        if (tmp_path / "run" / name).exists():
            os.utime(tmp_path / "run" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(path, edit):
    """Write a file of a run again, changed, with a right checksum."""
    arrays, about = load_arrays(path)
    edit(arrays, about)
    save_arrays(path, arrays, about)


def train(*options):
    return main(["train", *SMALL, "--text", "text.txt", "--steps", "2", *options])


def contents(place="."):
    """Every file below a folder, with its bytes."""
    return {str(path): path.read_bytes() for path in sorted(Path(place).rglob("*")) if path.is_file()}


def refusal(capsys, status, *command):
    """The one line that is printed for a command that is refused with this status."""
    capsys.readouterr()
    try:
        assert main(list(command)) == status
    except SystemExit as exit:
        assert exit.code == status
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 1, printed
    return printed.err.strip()


# ------------------------------------------------------------------ a new run touches nothing of anyone


@pytest.mark.parametrize(
    "names", [["model.safetensors", "settings.json"], ["log.jsonl"], ["sample.txt"], [".notes"], ["a/b"]]
)
def test_a_folder_that_is_not_empty_and_no_run_is_left_alone(here, capsys, names):
    for name in names:
        path = Path("mine", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    Path("link").symlink_to("mine")
    before = contents()
    for out in ("mine", "./mine/", "link", str(here / "mine")):
        assert "is not empty" in refusal(capsys, 2, "train", *SMALL, "--text", "text.txt", "--out", out)
    assert contents() == before


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("", "expected the name of a folder"),
        (".", "is not empty"),
        ("..", "is not empty"),
        ("text.txt", "is no folder"),
        ("text.txt/run", "is no folder"),
        ("dangling", "is no folder"),
        ("pipe", "is no folder"),
        ("run", "go on with --resume run"),
    ],
)
def test_where_a_run_cannot_be(here, capsys, out, reason):
    Path("dangling").symlink_to("nowhere")
    if os.name == "posix":
        os.mkfifo("pipe")
    before = contents()
    assert reason in refusal(capsys, 2, "train", *SMALL, "--text", "text.txt", "--out", out)
    assert contents() == before and not Path("runs").exists()


def test_a_folder_is_looked_at_before_the_text_is_read(here, capsys, monkeypatch):
    monkeypatch.setattr("tinygrad_rnn.app.train.read", lambda path: pytest.fail("the text was read"))
    assert "is no folder" in refusal(capsys, 2, "train", "--out", "text.txt")


@pytest.mark.slow
def test_an_empty_folder_will_do_and_one_of_a_run_that_never_began(here):
    Path("empty").mkdir()
    assert train("--out", "empty") == 0
    Path("killed").mkdir()
    for name in ("log.jsonl", ".checkpoint.safetensors.1-0.tmp"):
        Path("killed", name).touch()
    assert train("--out", "killed") == 0


def test_numbered_folders_count_on_from_the_largest(here):
    for name in ("3", "²", "x", "-7"):
        Path("runs", name).mkdir(parents=True)
    assert train() == 0 and train() == 0
    assert {path.name for path in Path("runs").iterdir()} == {"3", "4", "5", "²", "x", "-7"}


def test_a_number_that_another_takes_meanwhile_is_passed_over(here, monkeypatch):
    mkdir = Path.mkdir

    def late(path, *options, **named):
        if path.name == "1" and not path.exists():
            mkdir(path)  # by another process
        mkdir(path, *options, **named)

    monkeypatch.setattr(Path, "mkdir", late)
    place, log = folder.make_new(None)
    log.close()
    assert place == Path("runs/2") and not list(Path("runs/1").iterdir())


@pytest.mark.slow
@posix_only
def test_a_hundred_begun_at_once_get_a_folder_each(here):
    code = "from tinygrad_rnn.app.folder import make_new\nfor _ in range(25): print(make_new(None)[0])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(4)
    ]
    numbers = [line for process in started for line in process.communicate(timeout=120)[0].splitlines()]
    assert len(numbers) == len(set(numbers)) == 100


# ------------------------------------------------------------------ one process a run


@posix_only
def test_a_run_that_is_being_trained_is_refused(here, capsys):
    with folder.Log(Path("run")):
        before = contents()
        assert "another process is training this run" in refusal(capsys, 1, "train", "--resume", "run", "--steps", "20")
        assert contents() == before
        assert main(["sample", "run", "--length", "3"]) == 0  # looking is allowed
    assert main(["train", "--resume", "run", "--steps", "13", "--quiet"]) == 0


@posix_only
def test_of_two_that_begin_in_one_folder_one_is_refused(here, capsys):
    place, log = folder.make_new("new")
    with log:
        assert "another process" in refusal(capsys, 1, "train", *SMALL, "--text", "text.txt", "--out", "new")
        assert list(place.iterdir()) == [place / "log.jsonl"]


@posix_only
def test_the_lock_ends_with_the_process_that_held_it(here):
    code = "import os; from pathlib import Path; from tinygrad_rnn.app.folder import Log\n"
    code += "log = Log(Path('run')); print('locked', flush=True); input()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes) as process:
        process.stdout.readline()
        with pytest.raises(CheckpointError, match="another process"):
            folder.Log(Path("run"))
        process.kill()
        process.wait()
    folder.Log(Path("run")).close()


def test_a_system_without_locks_trains_all_the_same(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", None)
    assert train("--out", "new") == 0 and main(["train", "--resume", "new", "--steps", "3", "--quiet"]) == 0


def test_the_lock_of_windows_is_asked_for_beyond_the_end_of_the_log(here, monkeypatch):
    class Windows:
        LK_NBLCK = 2
        taken = False

        def locking(self, descriptor, mode, count):
            assert (mode, count) == (2, 1) and os.lseek(descriptor, 0, os.SEEK_CUR) > 2**20
            if Windows.taken:
                raise PermissionError
            Windows.taken = True

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", Windows())
    before = Path("run/log.jsonl").read_bytes()
    with folder.Log(Path("run")) as log:
        with pytest.raises(CheckpointError, match="another process"):
            folder.Log(Path("run"))
        log.append({"step": 13, "bits": 1.0})
    assert Path("run/log.jsonl").read_bytes() == before + b'{"step": 13, "bits": 1.0}\n'


# ------------------------------------------------------------------ texts that can be read once only


@pytest.mark.slow
@posix_only
@pytest.mark.parametrize("how", ["cat text.txt | {} --text -", "cat text.txt | {} --text /dev/stdin", "{} --text pipe"])
def test_a_text_that_is_gone_once_it_is_read_is_kept_with_the_run(here, how):
    os.mkfifo("pipe")
    program = f"{sys.executable} -m tinygrad_rnn train {' '.join(SMALL)} --steps 2 --out new"
    command = how.format(program) + ("" if "cat" in how else " & cat text.txt > pipe; wait $!")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run(command, shell=True, check=True, capture_output=True, timeout=120, env=environment)
    assert Path("new/text.txt").read_bytes() == Path("text.txt").read_bytes()
    Path("new").rename("moved")
    assert main(["train", "--resume", "moved", "--steps", "3", "--quiet"]) == 0
    assert main(["draw", "moved", "--steps", "2", "--out", "a.svg"]) == 0
    assert load_arrays("moved/checkpoint.safetensors")[1]["done"] == 3


@posix_only
def test_the_experiment_with_a_text_reads_a_pipe_once_for_all_seeds(here, capsys):
    read, write = os.pipe()
    os.write(write, python_docs()[:1500].encode())
    os.close(write)
    command = ["bptt", "experiment", "min-char-rnn", "--quick", "--seeds", "1", "2", "--text", f"/dev/fd/{read}"]
    assert main(command) == 0
    os.close(read)
    assert "1,500 characters" in capsys.readouterr().out
    assert "No such file" in refusal(capsys, 2, *command[:4], "--text", "nowhere")


@posix_only
def test_what_lasts_and_what_does_not(here):
    assert source.lasting("text.txt") == str(here / "text.txt")
    with open("text.txt") as file:
        assert source.lasting(f"/dev/fd/{file.fileno()}") == os.path.realpath("text.txt")  # as in `< text.txt`
    os.mkfifo("pipe")
    for path in (None, "-", "pipe", "/dev/null", "nowhere"):
        assert source.lasting(path) is None


def test_standard_input_that_is_closed(here, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert "standard input is closed" in refusal(capsys, 2, "train", *SMALL, "--text", "-")
    assert not Path("runs").exists()


# ------------------------------------------------------------------ a run can be moved


def test_a_run_and_its_text_are_found_where_they_were_moved(here, monkeypatch):
    Path("elsewhere/runs").mkdir(parents=True)
    shutil.move("run", "elsewhere/runs/7")
    shutil.move("text.txt", "elsewhere")
    monkeypatch.chdir("/")
    run = str(here / "elsewhere/runs/7")
    assert main(["draw", run, "--steps", "2"]) == 0
    assert main(["bptt", "flow", "--run", run, "--steps", "2"]) == 0
    assert main(["train", "--resume", run, "--steps", "13", "--quiet"]) == 0
    assert load_model(Path(run))[2].text == str(here / "elsewhere" / "text.txt")


def test_a_text_of_that_name_with_other_words_is_not_taken(here, capsys):
    shutil.move("text.txt", "run")
    Path("text.txt").write_text("other words " * 300)
    assert main(["train", "--resume", "run", "--steps", "13", "--quiet"]) == 0  # the one in the folder of the run
    Path("run/text.txt").unlink()
    assert "has changed" in refusal(capsys, 1, "train", "--resume", "run", "--steps", "14")


def test_the_text_option_says_where_the_text_is_now(here, capsys):
    Path("text.txt").rename("renamed.txt")
    assert "--text FILE" in refusal(capsys, 1, "train", "--resume", "run", "--steps", "13")
    assert "has changed" in refusal(capsys, 1, "train", "--resume", "run", "--text", "run/sample.txt")
    data = Path("renamed.txt").read_bytes()
    Path("renamed.txt").write_bytes(b"\xef\xbb\xbf" + data)  # a byte order mark is not of the text
    assert main(["train", "--resume", "run", "--steps", "13", "--text", "renamed.txt", "--quiet"]) == 0
    assert json.loads(Path("run/settings.json").read_text())["text"] == str(here / "renamed.txt")


@posix_only
def test_no_command_waits_for_a_pipe_in_place_of_the_text(here, capsys):
    Path("text.txt").unlink()
    os.mkfifo("text.txt")
    assert "not there any more" in refusal(capsys, 1, "train", "--resume", "run", "--steps", "13")
    assert "not there any more" in refusal(capsys, 2, "draw", "run")


def test_a_text_of_another_size_is_not_read_to_its_end(here, monkeypatch):
    with open("text.txt", "r+b") as file:
        file.truncate(10**11)  # sparse
    assert source.find("text.txt", Path("run"), source.Fingerprint(3000, "0" * 64)) is None


# ------------------------------------------------------------------ what did the arithmetic


def test_a_run_notes_what_did_its_arithmetic(here):
    _, about = load_arrays(Path("run/checkpoint.safetensors"))
    (part,) = about["arithmetic"]
    steps = part.pop(arithmetic.STEPS)
    assert part == {"from_step": 0, **arithmetic.arithmetic()}
    assert part["NumPy"] == np.__version__ and steps.split()[0] in ("NumPy", "numba")
    assert json.loads(Path("run/settings.json").read_text())["arithmetic"] == [{**part, arithmetic.STEPS: steps}]


def test_going_on_with_the_same_arithmetic_says_nothing_of_it(here, capsys):
    assert main(["train", "--resume", "run", "--steps", "13", "--quiet"]) == 0
    assert "last bits" not in capsys.readouterr().err
    assert len(charlm.Run.resume(Path("run")).arithmetic.parts) == 1


def test_going_on_with_another_arithmetic_says_so_and_notes_the_step(here, capsys, monkeypatch):
    (before,) = charlm.Run.resume(Path("run")).arithmetic.parts
    usual = arithmetic.arithmetic
    monkeypatch.setattr(charlm, "arithmetic", lambda model=None: {**usual(model), "NumPy": "9.9", "a library": "1.2"})
    assert main(["train", "--resume", "run", "--steps", "13", "--quiet"]) == 0
    said = f"NumPy 9.9 in place of {np.__version__}, a library 1.2 in place of none"
    assert capsys.readouterr().err.count(f"from here on with {said}: its last bits may differ") == 1
    parts = [before, {**before, "from_step": 12, "NumPy": "9.9", "a library": "1.2"}]
    assert charlm.Run.resume(Path("run")).arithmetic.parts == parts
    assert json.loads(Path("run/settings.json").read_text())["arithmetic"] == parts
    monkeypatch.setattr(charlm, "arithmetic", usual)
    assert charlm.Run.resume(Path("run")).changed == (
        f"NumPy {np.__version__} in place of 9.9, a library none in place of 1.2"
    )


def test_other_programs_for_the_steps_of_layers_are_told_after_the_first(here, capsys, monkeypatch):
    monkeypatch.setattr(Layer, "computed_by", lambda self, cell: "an abacus")
    (part,) = charlm.Run.resume(Path("run")).arithmetic.parts
    assert main(["train", "--resume", "run", "--steps", "13", "--quiet"]) == 0
    said = f"from here on with steps of layers an abacus in place of {part[arithmetic.STEPS]}: its last bits may differ"
    assert capsys.readouterr().err.count(said) == 1
    assert [p["from_step"] for p in charlm.Run.resume(Path("run")).arithmetic.parts] == [0, 12]


def test_what_changes_during_a_run_is_noted_when_it_is_saved(here, monkeypatch):
    run = charlm.Run.resume(Path("run"), steps=20)
    run.step()
    monkeypatch.setattr(Layer, "computed_by", lambda self, cell: "an abacus")
    run.step()
    run.save_checkpoint(Path("run"))
    assert [part["from_step"] for part in charlm.Run.resume(Path("run")).arithmetic.parts] == [0, 14]


def test_a_run_of_a_version_that_noted_nothing_goes_on(here):
    change(Path("run/checkpoint.safetensors"), lambda arrays, about: about.pop("arithmetic"))
    run = charlm.Run.resume(Path("run"), steps=13)
    assert run.changed == "" and run.arithmetic.parts == [{"from_step": 12, **arithmetic.arithmetic()}]
    run.step()
    assert run.changed == "" and arithmetic.STEPS in run.arithmetic.parts[0]


def test_what_computes_the_steps_of_a_layer():
    lstm, composed = nn.LSTM(2, 3, rng=0), nn.LSTM(2, 3, rng=0, fused=False)
    lstm(np.ones((4, 1, 2)))
    assert lstm.computed_by(lstm.cells[0]).split()[0] in ("NumPy", "numba")
    assert composed.computed_by(composed.cells[0]) == "composed"
    assert arithmetic.STEPS not in arithmetic.arithmetic(nn.Linear(2, 3))


# ------------------------------------------------------------------ stopped at the very end


@pytest.mark.parametrize("lost", [["sample.txt"], ["graph.svg", "loss.svg"], ["model.safetensors"], ["settings.json"]])
def test_going_on_with_a_finished_run_makes_what_is_missing(here, capsys, lost):
    if "loss.svg" in lost:
        pytest.importorskip("matplotlib")
    before = contents("run")
    for name in lost:
        Path("run", name).unlink()
    Path("run/.checkpoint.safetensors.999999999-0.tmp").touch()  # of a process that was killed
    assert main(["train", "--resume", "run"]) == 0
    printed = capsys.readouterr().out
    assert "finished, at step 12" in printed
    assert all(name in printed for name in lost if name in folder.RESULTS)
    assert contents("run") == before
    assert main(["train", "--resume", "run"]) == 0
    assert "made now" not in capsys.readouterr().out or "loss.svg" not in before


def test_results_of_an_earlier_checkpoint_are_made_again(here):
    Path("run/sample.txt").write_text("of an earlier step")
    Path("run/graph.svg").write_text("<svg>drawn by hand</svg>")
    os.utime("run/sample.txt", (0, 0))
    assert main(["train", "--resume", "run"]) == 0
    assert len(Path("run/sample.txt").read_text("utf-8")) > 400
    assert Path("run/graph.svg").read_text() == "<svg>drawn by hand</svg>"


def test_a_model_of_other_weights_than_the_checkpoint_is_made_again(here):
    good = Path("run/model.safetensors").read_bytes()
    change(Path("run/model.safetensors"), lambda arrays, about: arrays["head.b"].__iadd__(1))
    assert main(["train", "--resume", "run"]) == 0
    assert Path("run/model.safetensors").read_bytes() == good


def test_the_model_is_never_older_than_the_checkpoint(here, monkeypatch):
    written = []
    monkeypatch.setattr(charlm, "save_arrays", lambda path, arrays, about: written.append(path.name))
    Run.resume(Path("run")).save(Path("run"))
    assert written == ["model.safetensors", "checkpoint.safetensors"]


def test_a_run_without_its_model_says_how_to_make_it(here, capsys):
    Path("run/model.safetensors").unlink()
    for command in (["sample", "run"], ["draw", "run"]):
        assert refusal(capsys, 1, *command).endswith("make it with: tinygrad-rnn train --resume run")


def test_ctrl_c_while_the_pictures_are_made(here, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinygrad_rnn.app.train.draw_unrolled", stop)
    assert train("--out", "new") == 130
    assert "To make the rest: " in (message := capsys.readouterr().err) and "train --resume new" in message
    monkeypatch.undo()
    os.chdir(here)
    assert main(["train", "--resume", "new"]) == 0
    assert "graph.svg" in capsys.readouterr().out and Path("new/graph.svg").exists()


@pytest.mark.slow
def test_a_run_can_be_gone_on_with_before_its_first_step(here, monkeypatch):
    def stop(run):
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "step", stop)
    assert train("--out", "new") == 130
    monkeypatch.undo()
    os.chdir(here)
    assert main(["train", "--resume", "new", "--quiet"]) == 0
    assert train("--out", "whole") == 0
    assert Path("new/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


# ------------------------------------------------------------------ logs


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ["{}", '{"bits": 1}', "[1]", "null", '"a"', '{"step": "x", "bits": 1}', "1e400", "[" * 9999]
)
@pytest.mark.parametrize("where", ["begin", "end"])
def test_a_line_that_is_not_of_the_log_does_not_matter(here, line, where):
    log = Path("run/log.jsonl")
    lines = folder.read_log(Path("run"))
    assert [found["step"] for found in lines] == [10, 12]
    log.write_text(f"{line}\n{log.read_text()}" if where == "begin" else f"{log.read_text()}{line}\n")
    assert folder.read_log(Path("run")) == lines
    assert main(["train", "--resume", "run", "--steps", "20", "--quiet"]) == 0
    assert [found["step"] for found in folder.read_log(Path("run"))] == [10, 12, 20]


@pytest.mark.parametrize(
    "line", ['{"step": 1, "bits": null}', '{"step": 1}', '{"step": true, "bits": 1}', '{"step": 1, "bits": NaN}']
)
def test_lines_without_figures_are_left_out(line):
    assert folder.parsed(line.encode()) is None


def test_the_log_is_cut_where_the_checkpoint_is(here):
    log = Path("run/log.jsonl")
    kept = log.read_bytes()
    log.write_bytes(kept + b'{"step": 20, "bits": 1}\n{"step": 30, "bits"')
    with folder.Log(Path("run")) as file:
        file.cut(12)
        assert log.read_bytes() == kept
        file.cut(10)
    assert log.read_bytes() == kept.splitlines(keepends=True)[0]


# ------------------------------------------------------------------ a right checksum, and wrong contents


SETTINGS_THAT_CANNOT_BE = [
    *[{name: value} for name in ("hidden", "layers", "batch") for value in ("8", None, 0, -1, 1.5, True, 10**9, [])],
    *[{name: value} for name in ("lr", "dropout", "clip", "held_out") for value in ("x", None, -1, float("nan"), {})],
    {"cell": "transformer"},
    {"cell": []},
    {"optimizer": None},
    {"seed": -1},
    {"text": 3},
    {"heads": 4},
]
WRONG = {
    "no settings": lambda arrays, about: about.pop("settings"),
    "settings that are a list": lambda arrays, about: about.update(settings=[1]),
    "no characters": lambda arrays, about: about.update(characters=""),
    "characters twice": lambda arrays, about: about.update(characters=about["characters"][:-1] + "a"),
    "characters that are a number": lambda arrays, about: about.update(characters=3),
    "other characters": lambda arrays, about: about.update(characters="abc"),
    "no digest": lambda arrays, about: about.pop("digest"),
    "a size that is none": lambda arrays, about: about.update(bytes="3000"),
    **{
        f"settings {wrong}": lambda arrays, about, wrong=wrong: about["settings"].update(wrong)
        for wrong in SETTINGS_THAT_CANNOT_BE
    },
    **{
        f"more {name}": lambda arrays, about, name=name: about["settings"].update({name: 1000})
        for name in ("hidden", "layers", "embedding")
    },
}
WRONG_WEIGHTS = {
    "missing": lambda arrays, name: arrays.pop(name),
    "of another shape": lambda arrays, name: arrays.update({name: arrays[name][:-1]}),
    "of numbers that are whole": lambda arrays, name: arrays.update({name: arrays[name].astype(int)}),
    "nan": lambda arrays, name: arrays[name].fill(np.nan),
    "one more": lambda arrays, name: arrays.update({name + "x": arrays[name]}),
}
WRONG_PROGRESS = {
    **{
        f"arithmetic {value}": lambda arrays, about, value=value: about.update(arithmetic=value)
        for value in (None, 3, {}, ["x"], [{}], [{"from_step": 0, "NumPy": 2}], [{"from_step": True}])
    },
    **{
        f"done {value}": lambda arrays, about, value=value: about.update(done=value)
        for value in (None, -1, "3", 1.5, 99)
    },
    **{
        f"recent {value}": lambda arrays, about, value=value: about.update(recent=value)
        for value in (None, 3, ["x"], [float("nan")], [[]])
    },
    **{
        f"generator {value}": lambda arrays, about, value=value: about.update(generator=value)
        for value in (
            None,
            {},
            [],
            3,
            {"bit_generator": "MT19937"},
            {"bit_generator": "PCG64", "state": {"state": -1, "inc": 1}},
        )
    },
    "position": lambda arrays, about: about.update(position=5),
    "no position": lambda arrays, about: about.pop("position"),
    "another digest": lambda arrays, about: about.update(digest="0" * 64),
    "an unknown array": lambda arrays, about: arrays.update(x=np.zeros(3)),
    "no state": lambda arrays, about: arrays.pop("state.0"),
    "a state of another shape": lambda arrays, about: arrays.update({"state.0": arrays["state.0"][:, :1]}),
    "a state of nan": lambda arrays, about: arrays["state.1"].fill(np.nan),
    "a third state": lambda arrays, about: arrays.update({"state.2": arrays["state.0"]}),
    "an optimizer without steps": lambda arrays, about: arrays.pop("optimizer.steps"),
    "an optimizer with negative counts": lambda arrays, about: arrays["optimizer.updates"].fill(-1),
    "an optimizer with a rate of nan": lambda arrays, about: arrays.update({"optimizer.lr": np.array(np.nan)}),
    "an optimizer with less": lambda arrays, about: arrays.pop("optimizer.updates"),
}


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONG)
def test_a_file_with_contents_that_cannot_be_is_refused_in_one_line(here, capsys, wrong):
    for name, command in {
        "model": ["sample", "run"],
        "checkpoint": ["train", "--resume", "run", "--steps", "13"],
    }.items():
        change(Path(f"run/{name}.safetensors"), WRONG[wrong])
        message = refusal(capsys, 1, *command)
        assert message.startswith("tinygrad-rnn: run") and len(message) < 400


@pytest.mark.parametrize("name", ["embedding.W", "recurrent.W_hh", "head.b"])
@pytest.mark.parametrize("wrong", WRONG_WEIGHTS)
def test_weights_that_are_not_those_of_the_settings(here, capsys, name, wrong):
    change(Path("run/model.safetensors"), lambda arrays, about: WRONG_WEIGHTS[wrong](arrays, name))
    for command in (["sample", "run"], ["draw", "run"], ["bptt", "flow", "--run", "run"]):
        assert "run/model.safetensors: " in refusal(capsys, 1, *command)
    change(Path("run/checkpoint.safetensors"), lambda arrays, about: WRONG_WEIGHTS[wrong](arrays, f"model.{name}"))
    assert "run/checkpoint.safetensors: " in refusal(capsys, 1, "train", "--resume", "run", "--steps", "13")


@pytest.mark.parametrize("wrong", WRONG_PROGRESS)
def test_progress_that_does_not_fit(here, capsys, wrong):
    change(Path("run/checkpoint.safetensors"), WRONG_PROGRESS[wrong])
    log = Path("run/log.jsonl").read_bytes()
    assert refusal(capsys, 1, "train", "--resume", "run", "--steps", "13").startswith("tinygrad-rnn: run")
    assert Path("run/log.jsonl").read_bytes() == log


def test_a_model_by_itself_has_the_defaults_of_the_settings():
    defaults = vars(Settings())
    for name, parameter in inspect.signature(charlm.CharLM.__init__).parameters.items():
        if name in defaults and name != "dropout":  # a run has some, a model none
            assert parameter.default == defaults[name], name


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_weights_of_a_model_are_known_before_it_is_built(cell, layers):
    settings = Settings(cell=cell, layers=layers, embedding=5, hidden=3)
    model = build(settings, 7)
    assert dict(settings.shapes(7)) == {name: array.shape for name, array in model.state_dict().items()}
    assert settings.weights(7) == sum(p.size for p in model.parameters())


def test_a_model_that_is_far_too_large_is_refused_before_it_is_built():
    with pytest.raises(DataError, match=r"a model of 4,0\d\d,[\d,]+ weights is too large"):
        Run(Settings(hidden=10**6), "abc" * 10**4)


# ------------------------------------------------------------------ the program's own process


STUB = """
import os, sys
from tinygrad_rnn.__main__ import start
print(os.environ.get("OPENBLAS_NUM_THREADS"), sys.flags.optimize, sys.flags.dev_mode, sys.warnoptions, file=sys.stderr)
start()
"""


def program(folder, *options, name="tinygrad-rnn", arguments=("--version",), **variables):
    """The program as it is installed: a script in another folder than the one it is started in."""
    script = folder / "bin" / name
    script.parent.mkdir(exist_ok=True)
    script.write_text(STUB)
    environment = {key: value for key, value in os.environ.items() if "_NUM_THREADS" not in key} | variables
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    work = folder / "work"
    work.mkdir(exist_ok=True)
    command = [sys.executable, *options, str(script), *arguments]
    return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=120)


def test_the_program_runs_nothing_of_the_folder_it_is_started_in(tmp_path):
    (tmp_path / "work").mkdir()
    for name in ("random", "numpy", "json", "argparse", "tqdm", "safetensors", "tinygrad_rnn", "sitecustomize"):
        (tmp_path / "work" / f"{name}.py").write_text("raise SystemExit('code of the current folder ran')")
    done = program(tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("tinygrad-rnn "), done


@pytest.mark.slow
def test_the_program_has_one_thread_and_keeps_the_options_of_the_interpreter(tmp_path):
    done = program(tmp_path, "-O", "-X", "dev", "-W", "ignore::UserWarning")
    assert done.stderr.split("\n")[0] == "1 1 True ['default', 'ignore::UserWarning']", done
    assert program(tmp_path, OMP_NUM_THREADS="3").stderr.startswith("None ")  # whoever has set it is left alone
    assert program(tmp_path, name="a_script_of_ones_own").stderr.startswith("None ")


@pytest.mark.parametrize(
    ("argv", "original", "is_one"),
    [
        (["-m", "train"], ["python", "-m", "tinygrad_rnn", "train"], True),
        (["-m"], ["python", "-X", "dev", "-Im", "tinygrad_rnn"], True),
        (["-m"], ["python", "-mtinygrad_rnn"], True),
        (["/usr/bin/tinygrad-rnn", "train"], ["python", "/usr/bin/tinygrad-rnn", "train"], True),
        (["Scripts/tinygrad-rnn.exe"], ["python"], True),
        (["-m", "tinygrad_rnn"], ["python", "-m", "mine", "tinygrad_rnn"], False),
        (["-m", "train"], ["python", "-m", "tinygrad_rnn.app.cli", "train"], False),
        (["my-tinygrad-rnn"], ["python", "my-tinygrad-rnn"], False),
        ([""], ["python"], False),
        (["-c", "tinygrad_rnn"], ["python", "-c", "...", "tinygrad_rnn"], False),
        ([], [], False),
    ],
)
def test_the_program_is_told_from_a_library(monkeypatch, argv, original, is_one):
    from tinygrad_rnn.app.startup import is_program

    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original)
    assert is_program() == is_one


@posix_only
def test_ctrl_c_while_importing_is_quiet(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import builtins, os, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "load = builtins.__import__\n"
        "def slow(name, *rest):\n"
        "    if name == 'numpy':\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return load(name, *rest)\n"
        "builtins.__import__ = slow\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    command = [sys.executable, "-m", "tinygrad_rnn", "bptt", "example"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_is_python_s_again_when_the_command_runs(monkeypatch):
    from tinygrad_rnn.app import startup

    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        startup.prepare()
        assert signal.getsignal(signal.SIGINT) is startup.leave_quietly
        startup.ready()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        startup.prepare()
        startup.ready()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as `nohup` or a shell script wants it
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@posix_only
@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_a_run_needs_no_standard_error(here, closed):
    program = f"{sys.executable} -m tinygrad_rnn train --embedding 3 --hidden 4 --batch 2 --window 8"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = f"{program} --text text.txt --steps 11 --out new {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, env=environment, timeout=120)
    assert done.returncode == 0, done
    assert [line["step"] for line in folder.read_log(Path("new"))] == [10, 11]
    assert len(Path("new/log.jsonl").read_text().splitlines()) == 2  # nothing else was written into it
    assert load_model(Path("new"))[2].steps == 11


@posix_only
def test_what_is_written_to_a_standard_error_that_is_closed_gets_into_no_file(here):
    code = "import os, sys\nfrom tinygrad_rnn.app import charlm, cli\nstep = charlm.Run.step\n"
    code += "charlm.Run.step = lambda run: os.write(2, b'from a library in C') and step(run)\n"
    code += "os.close(2)\nsys.exit(cli.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "train", *SMALL, "--text", "text.txt", "--steps", "10", "--out", "new"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run(command, capture_output=True, env=environment, timeout=120).returncode == 0
    assert len(Path("new/log.jsonl").read_text().splitlines()) == 1 and len(folder.read_log(Path("new"))) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a full disk of Linux")
def test_output_that_cannot_be_written_is_said(here):
    command = f"{sys.executable} -m tinygrad_rnn bptt example > /dev/full"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment, timeout=120)
    assert (done.returncode, done.stderr) == (1, "tinygrad-rnn: output: No space left on device\n")


@posix_only
def test_a_terminal_that_is_closed_does_not_stop_what_is_being_saved(here, monkeypatch):
    class Gone:
        def write(self, text):
            raise OSError(5, "Input/output error")

        def flush(self):
            raise OSError(5, "Input/output error")

        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Gone())
    quiet = [option for option in SMALL if option != "--quiet"]
    assert main(["train", *quiet, "--text", "text.txt", "--steps", "3", "--out", "new"]) == 0
    assert isinstance(sys.stderr, Gone)  # what belongs to the caller is given back


@posix_only
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_is_heard_from_the_moment_the_run_is_named(here, monkeypatch, name):
    number = getattr(signal, name)

    class Watched(io.StringIO):
        def write(self, text):
            if text.startswith("run "):
                signal.raise_signal(number)
            return super().write(text)

    before = [signal.signal(number, signal.default_int_handler)]
    monkeypatch.setattr(sys, "stdout", Watched())
    try:
        status = main(["train", *SMALL, "--text", "text.txt", "--steps", "3", "--out", "new"])
    finally:
        signal.signal(number, *before)
    assert status == 128 + number and Run.resume(Path("new")).done == 0
