"""The package as a whole: what importing it costs, what it exports, and what its top level holds."""

from __future__ import annotations

import platform
import subprocess
import sys
import textwrap
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.app import train

ROOT = Path(__file__).parent.parent


def test_importing_it_imports_numpy_alone():
    code = """
        import sys, numpy
        before = set(sys.modules)
        import tinygrad_rnn
        names = {name.split(".")[0] for name in set(sys.modules) - before}
        others = names - {"tinygrad_rnn", "numpy"} - set(sys.stdlib_module_names)
        print(sorted(name for name in others if "cython" not in name))  # numpy.random brings Cython's run time
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.stdout == "[]\n", done


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators decide otherwise")
@pytest.mark.parametrize(("count", "entries"), [(20, 2**18), (5, 2**22)], ids=["20 MB", "80 MB"])
def test_freed_memory_is_kept_for_the_next_step(count, entries):
    code = f"""
        import resource, numpy as np, tinygrad_rnn
        def step():  # allocates them and frees them, as a training step does
            arrays = [np.ones({entries}, np.float32) for _ in range({count})]
        step(), step()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            step()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert int(done.stdout) < 5_000, done  # pages; handed back in between, it would be 50,000 or more


@pytest.mark.skipif(sys.platform != "linux", reason="what a process holds is read from Linux's /proc")
def test_it_can_be_imported_where_no_memory_can_be_set_aside():
    code = """
        import numpy, numpy.random, resource
        held = 4096 * int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (held + 2**24,) * 2)
        import tinygrad_rnn
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_program_runs_from_a_checkout_that_is_not_installed(monkeypatch, tmp_path):
    code = "import sys; sys.modules['importlib.metadata'] = None; from tinygrad_rnn.__main__ import start; start()"
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True)
    assert done.stdout == f"tinygrad-rnn {tg.__version__}\n", done
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    assert train._program() == "python3 -m tinygrad_rnn"
    (tmp_path / "tinygrad-rnn").touch()
    assert Path(train._program()).resolve() == tmp_path / "tinygrad-rnn"


def test_the_version_is_the_one_that_was_installed():
    with suppress(PackageNotFoundError):
        assert tg.__version__ == version("tinygrad_rnn")


def test_every_exported_name_is_there():
    for module in (tg, tg.nn, tg.bptt, tg.io):
        for name in module.__all__:
            assert getattr(module, name) is not None
    assert (ROOT / "tinygrad_rnn" / "py.typed").exists()


def test_dir_shows_what_is_public_and_nothing_else():
    assert dir(tg) == sorted(tg.__all__)


def test_the_top_level_holds_what_was_agreed():
    agreed = {"pyproject.toml", "tinygrad_rnn", "tests", "examples", "docs", "README.md", "LICENSE"}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    assert {path.split("/")[0] for path in tracked if not path.startswith(".")} <= agreed
