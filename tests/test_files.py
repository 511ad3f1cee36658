"""Files are written whole or not at all, errors name the file, and a picture replaces nothing but a picture."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import files, plots
from tinygrad_rnn.app.cli import main
from tinygrad_rnn.errors import CheckpointError, DrawError
from tinygrad_rnn.files import check_picture, replace_file

posix_only = pytest.mark.skipif(os.name != "posix", reason="pipes and permissions of POSIX systems")


def loss():
    output, _ = tg.nn.RNN(2, 3, rng=0)(np.ones((4, 1, 2)))
    return (output**2).mean()


def save_image(path):
    pytest.importorskip("matplotlib")
    tg.draw(loss()).save(path)


def save_plot(path):
    pytest.importorskip("matplotlib")
    plots.save(plots.loss_curve([{"step": 1, "bits": 2.0}]), path)


WRITERS = {
    "picture.svg": lambda path: tg.draw(loss()).save(path),
    "picture.dot": lambda path: tg.draw(loss()).save(path),
    "picture.tex": lambda path: tg.draw(loss()).save(path),
    "picture.png": save_image,
    "page.html": lambda path: tg.page(loss(), path),
    "plot.svg": save_plot,
    "plot.png": save_plot,
    "notes.txt": lambda path: replace_file(path, "h_t = tanh(...)"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file_and_is_told_with_its_name(tmp_path, monkeypatch, name):
    path = tmp_path / name
    WRITERS[name](path)
    path.write_bytes(path.read_bytes() + b" ")
    old = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        WRITERS[name](path)
    assert caught.value.filename == str(path) and caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == old and os.listdir(tmp_path) == [name]
    monkeypatch.undo()
    WRITERS[name](path)
    assert path.read_bytes() != old and os.listdir(tmp_path) == [name]
    assert not files._in_progress  # so that what a killed process leaves later is swept


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(FileNotFoundError) as caught:
        WRITERS[name](tmp_path / "nowhere" / name)
    assert caught.value.filename == str(tmp_path / "nowhere" / name)


def test_text_is_written_as_it_is_in_utf_8(tmp_path):
    replace_file(tmp_path / "a", "π\r\n\n")
    assert (tmp_path / "a").read_bytes() == b"\xcf\x80\r\n\n"


@posix_only
def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe.svg")
    (tmp_path / "folder.svg").mkdir()
    for name in ("pipe.svg", "folder.svg"):
        with pytest.raises(OSError, match="not a regular file"):
            replace_file(tmp_path / name, b"")
        with pytest.raises(DrawError, match=r"regular file|a folder"):
            check_picture(tmp_path / name, ["svg"])
    assert sorted(os.listdir(tmp_path)) == ["folder.svg", "pipe.svg"]


@posix_only
@pytest.mark.parametrize("write", [lambda p: replace_file(p, "new"), lambda p: tg.save({"a": np.ones(1)}, p)])
def test_a_file_that_is_write_protected_is_not_replaced(tmp_path, monkeypatch, write):
    path = tmp_path / "kept.safetensors"
    path.write_text("mine")
    path.chmod(0o444)
    if os.access(path, os.W_OK):  # to the superuser nothing is
        monkeypatch.setattr(os, "access", lambda file, mode: mode != os.W_OK or Path(file) != path)
    with pytest.raises((OSError, CheckpointError), match="may not be written to"):
        write(path)
    assert path.read_text() == "mine" and os.listdir(tmp_path) == ["kept.safetensors"]


@posix_only
def test_a_link_stays_a_link_and_permissions_stay(tmp_path):
    replace_file(tmp_path / "a", b"1")
    (tmp_path / "a").chmod(0o600)
    (tmp_path / "link").symlink_to("a")
    replace_file(tmp_path / "link", b"2")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "a").read_bytes() == b"2"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


# ------------------------------------------------------------------ looked at before anything is computed


@pytest.mark.parametrize(
    "name", ["picture.svg", "picture.dot", "picture.tex", "picture.png", "plot.svg", "plot.png", "page.html"]
)
def test_a_picture_may_replace_one_of_its_kind_and_nothing_else(tmp_path, name):
    path, suffix = tmp_path / name, name.partition(".")[2]
    check_picture(path, [suffix])  # nothing is there
    path.touch()
    check_picture(path, [suffix])  # nothing is in it
    WRITERS[name](path)
    check_picture(path, [suffix])  # one of ours
    path.write_text("mine")
    with pytest.raises(DrawError, match="another file has that name"):
        check_picture(path, [suffix])
    if not name.startswith("plot"):
        with pytest.raises(DrawError, match="another file has that name"):
            WRITERS[name](path)
        assert path.read_text() == "mine"


def test_where_a_picture_cannot_go(tmp_path):
    for path, reason in {
        "nowhere/a.svg": "no folder",
        "a.tex": r"ends in \.svg or \.png",
        "a": r"ends in \.svg or \.png",
        "": r"ends in \.svg or \.png",
    }.items():
        with pytest.raises(DrawError, match=reason):
            check_picture(tmp_path / path if path else "", ["svg", "png"])
    (tmp_path / "link.svg").symlink_to(tmp_path / "nowhere" / "a.svg")
    with pytest.raises(DrawError, match="its folder"):
        check_picture(tmp_path / "link.svg", ["svg"])
    assert os.listdir(tmp_path) == ["link.svg"]


@pytest.mark.parametrize("command", ["flow", "experiment cliff --quick"])
@pytest.mark.parametrize(
    ("out", "reason"), [("mine.svg", "another file"), ("nowhere/a.svg", "no folder"), ("a", ".svg")]
)
def test_reports_look_at_their_picture_first(tmp_path, monkeypatch, capsys, command, out, reason):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    Path("mine.svg").write_text("mine")
    assert main(["bptt", *command.split(), "--out", out]) == 1
    printed = capsys.readouterr()
    assert not printed.out and reason in printed.err and len(printed.err.splitlines()) == 1
    assert Path("mine.svg").read_text() == "mine" and os.listdir() == ["mine.svg"]


@posix_only
def test_a_killed_writer_leaves_the_old_picture(tmp_path):
    path = tmp_path / "a.svg"
    replace_file(path, "<svg>old</svg>")
    code = "import os, sys; from tinygrad_rnn import files; os.fsync = lambda f: os.kill(os.getpid(), 9)\n"
    code += "files.replace_file(sys.argv[1], '<svg>new')"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60, env=environment)
    assert path.read_text() == "<svg>old</svg>" and len(os.listdir(tmp_path)) == 2
    replace_file(path, "<svg>newer</svg>")
    assert path.read_text() == "<svg>newer</svg>" and os.listdir(tmp_path) == ["a.svg"]
