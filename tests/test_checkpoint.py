"""Checkpoints come back exactly or not at all, whatever happens to the file or to the process."""

import bz2
import errno
import gzip
import io
import itertools
import json
import lzma
import os
import pickle
import random
import signal
import struct
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_rnn as tg
from tinygrad_rnn.errors import CheckpointError
from tinygrad_rnn.io import load_arrays, safetensors_format, save_arrays, write_atomically

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX files and signals")

DTYPES = [np.dtype(bool), *(np.dtype(f"f{n}") for n in (2, 4, 8))]
DTYPES += [np.dtype(f"{kind}{n}") for kind in "iu" for n in (1, 2, 4, 8)]
NAMES = st.text(max_size=12).filter(lambda name: name != "__metadata__")
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def any_array() -> st.SearchStrategy[np.ndarray]:
    shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    return st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, shapes))


def assert_identical(loaded: dict[str, np.ndarray], saved: dict[str, np.ndarray]) -> None:
    assert list(loaded) == sorted(saved)
    for name, array in saved.items():
        assert loaded[name].dtype == array.dtype.newbyteorder("=")
        assert loaded[name].shape == array.shape
        # bytes, not values: NaN payloads and negative zeros count
        assert loaded[name].tobytes() == array.astype(loaded[name].dtype).tobytes()
        assert loaded[name].flags.writeable and loaded[name].flags.owndata


def only_file(folder: Path) -> str:
    """The name of the one file in a folder: no temporary is left beside it."""
    (name,) = os.listdir(folder)
    return name


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint as small as a checkpoint can sensibly be."""
    path = tmp_path / "weights.safetensors"
    save_arrays(path, {"W": np.array([[1.5, -2.0]], np.float32), "n": np.array(7)}, {"step": 3})
    return path


# -- round trips ---------------------------------------------------------------------------------


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(arrays=st.dictionaries(NAMES, any_array(), max_size=4), metadata=st.dictionaries(NAMES, JSONS))
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    arrays: dict[str, np.ndarray],
    metadata: dict[str, Any],
) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.safetensors"
    save_arrays(path, arrays, metadata)
    loaded, loaded_metadata = load_arrays(path)
    assert_identical(loaded, arrays)
    assert loaded_metadata == metadata and list(loaded_metadata) == list(metadata)
    assert_identical(load_arrays(path, verify=False)[0], arrays)


def test_layouts_and_byte_orders(path: Path) -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    arrays = {
        "fortran": np.asfortranarray(x),
        "transposed": x.T,
        "strided": x[:, ::2, ::-1],
        "broadcast": np.broadcast_to(x[0, 0], (5, 4)),
        "big-endian": x.astype(">f8"),
        "big-endian and transposed": x.astype(">i2").T,
        "0-d": np.array(True),
        "empty": np.zeros((3, 0, 2), np.float16),
        "nan": np.array([np.nan, -0.0, np.inf, 5e-324]),
    }
    save_arrays(path, arrays)
    loaded, metadata = load_arrays(path)
    assert_identical(loaded, arrays)
    assert metadata == {}


def test_metadata_comes_back(path: Path) -> None:
    metadata: dict[str, Any] = {
        "rng": {"state": 2**127 + 1, "gauss": None},
        "losses": (1.5, float("inf")),
        'sha256": "': '"tinygrad_rnn":"{\\"version\\": 1, \\"sha256\\": \\"' + "0" * 64,
        "sha256": "0" * 64,
        "text": "é\n\0\U0001f600\ud800",
    }
    save_arrays(path, {"tinygrad_rnn": np.ones(1)}, metadata)
    assert load_arrays(path)[1] == metadata | {"losses": [1.5, float("inf")]}


def test_equal_contents_give_equal_files(tmp_path: Path) -> None:
    for name in "ab":
        save_arrays(tmp_path / name, {"W": np.ones(3), "b": np.zeros(2)}, {"step": 1, "lr": 0.1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_file_is_readable_by_the_safetensors_package(path: Path) -> None:
    from safetensors.numpy import load_file

    assert load_file(path)["W"].tolist() == [[1.5, -2.0]]


def test_nothing_is_pickled(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("pickle was used")

    for name in ("load", "loads", "dump", "dumps", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    save_arrays(path, {"W": np.ones(3)})
    load_arrays(path)


def test_importing_does_not_import_safetensors() -> None:
    code = "import sys, tinygrad_rnn.io; assert 'safetensors' not in sys.modules"
    process = run_python(code)
    process.communicate()
    assert process.returncode == 0


# -- what cannot be saved ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrays", "metadata", "error", "message"),
    [
        ({"W": np.array([None])}, {}, TypeError, "array 'W': .* found object"),
        ({"W": np.ones(2, complex)}, {}, TypeError, "array 'W': .* found complex128"),
        ({"W": np.array(["a"])}, {}, TypeError, "array 'W': .* found <U1"),
        ({"W": np.array([b"a"])}, {}, TypeError, r"array 'W': .* found \|S1"),
        ({"W": np.zeros(1, "M8[s]")}, {}, TypeError, "array 'W': .* found datetime64"),
        ({"W": np.zeros(1, [("a", "f4")])}, {}, TypeError, "array 'W': .* found"),
        ({"W": [1.0]}, {}, TypeError, "array 'W': expected a NumPy array, found list"),
        ({"W": np.ma.masked_array([1])}, {}, TypeError, "array 'W': .* found MaskedArray"),
        ({3: np.ones(1)}, {}, TypeError, "expected str names, found 3"),
        ({"__metadata__": np.ones(1)}, {}, ValueError, "'__metadata__' cannot be a name"),
        ({"\ud800": np.ones(1)}, {}, ValueError, "cannot be a name"),
        ({}, {"a": {"b": [0, np.ones(1)]}}, TypeError, r"metadata\['a'\]\['b'\]\[1\]: .* ndarray"),
        ({}, {"a": np.int64(1)}, TypeError, r"metadata\['a'\]: .* found int64"),
        ({}, {"a": {1: 2}}, TypeError, r"metadata\['a'\]: expected str keys, found 1"),
        ({}, {"a": {1, 2}}, TypeError, r"metadata\['a'\]: .* found set"),
    ],
)
def test_what_cannot_be_saved_is_refused_before_writing(
    path: Path, arrays: Any, metadata: Any, error: type[Exception], message: str
) -> None:
    before = path.read_bytes()
    with pytest.raises(error, match=message):
        save_arrays(path, {"fine": np.ones(1)} | arrays, metadata)
    assert path.read_bytes() == before


def test_a_header_that_could_not_be_loaded_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygrad_rnn.io.archive.HEADER_LIMIT", 1000)
    with pytest.raises(ValueError, match="at most 1000 bytes"):
        save_arrays(path, {}, {"long": "x" * 1000})


# -- damaged files -------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_flipped_bit_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for place, bit in itertools.product(range(len(whole)), range(8)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"weights\.safetensors"):
            load_arrays(path)


def test_every_truncation_and_any_extra_byte_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for damaged in [whole[:size] for size in range(len(whole))] + [whole + b"\0", whole * 2]:
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"weights\.safetensors"):
            load_arrays(path)


def test_swapped_contents_are_noticed(path: Path) -> None:
    """Values, names, dtypes and shapes cannot be exchanged while every byte stays plausible."""
    for old, new in [(b'"W"', b'"V"'), (b"F32", b"I32"), (b"[1,2]", b"[2,1]"), (b": 3", b": 4")]:
        whole = path.read_bytes()
        assert whole.count(old) == 1
        path.write_bytes(whole.replace(old, new))
        with pytest.raises(CheckpointError, match="checksum does not match"):
            load_arrays(path)
        load_arrays(path, verify=False)  # it was a good file in every other respect
        path.write_bytes(whole)


def crafted(header: str, body: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header.encode() + body


def tensor(dtype: str, shape: str, size: int) -> str:
    return f'{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{size}]}}}}'


BAD_FILES = {
    "empty": b"",
    "seven bytes": b"1234567",
    "zeros": bytes(64),
    "text": b"to be or not to be, that is the question",
    "pickle": pickle.dumps({"W": [1.0]}),
    "npy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }",
    "zip": b"PK\x03\x04" + bytes(60),
    "huge header": struct.pack("<Q", 2**63 - 1) + b"{}",
    "not JSON": crafted("{nonsense"),
    "not UTF-8": struct.pack("<Q", 4) + b'{"\xff"',
    "a list": crafted("[]"),
    "deep nesting": crafted("[" * 100_000),
    "no dtype": crafted('{"a":{"shape":[1],"data_offsets":[0,1]}}', b"\0"),
    "unknown dtype": crafted(tensor("X8", "[1]", 1), b"\0"),
    "float8": crafted(tensor("F8_E4M3", "[1]", 1), b"\0"),
    "a name twice": crafted(f"{tensor('U8', '[1]', 1)[:-1]},{tensor('U8', '[1]', 1)[1:]}", b"\0"),
    "a gap": crafted('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', b"\0\0"),
    "two in one place": crafted(
        '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        b"\0",
    ),
    "bytes left over": crafted(tensor("U8", "[1]", 1), b"\0\0"),
    "a place backwards": crafted('{"a":{"dtype":"U8","shape":[0],"data_offsets":[1,0]}}', b"\0"),
    "a fraction": crafted(tensor("U8", "[1.0]", 1), b"\0"),
    "true for one": crafted(tensor("U8", "[true]", 1), b"\0"),
    "a number of 5,000 digits": crafted(tensor("U8", f"[{'9' * 5000}]", 1), b"\0"),
    "a text for a shape": crafted(tensor("U8", '"1"', 1), b"\0"),
    "a space before the header": crafted(" " + tensor("U8", "[1]", 1), b"\0"),
    "metadata in a list": crafted('{"__metadata__":[1]}'),
    "negative shape": crafted(tensor("U8", "[-1]", 1), b"\0"),
    "shape beyond 2**64": crafted(tensor("U8", f"[{2**63 - 1},4]", 1), b"\0"),
    "huge empty shape": crafted(tensor("F64", f"[0,{2**63 - 1}]", 0)),
    "shape and size differ": crafted(tensor("F32", "[2]", 4), bytes(4)),
    "offsets beyond the file": crafted(tensor("U8", "[9]", 9), b"\0"),
    "65 dimensions": crafted(tensor("U8", str([1] * 65), 1), b"\0"),
    "metadata of numbers": crafted('{"__metadata__":{"a":3}}'),
    "seal without sense": crafted(
        '{"__metadata__":{"tinygrad_rnn":"{\\"version\\": 1, \\"sha256\\": \\"' + "0" * 64 + '\\", "}}'
    ),
}


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("kind", BAD_FILES)
def test_crafted_files(path: Path, kind: str, verify: bool) -> None:
    path.write_bytes(BAD_FILES[kind])
    with pytest.raises(CheckpointError, match=r"weights\.safetensors") as caught:
        load_arrays(path, verify=verify)
    assert "\n" not in str(caught.value)


def test_a_file_by_another_tool_is_loaded_on_request(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"W": np.ones(2)}, path, {"format": "np"})
    with pytest.raises(CheckpointError, match=r"load_arrays\(path, verify=False\)"):
        load_arrays(path)
    arrays, metadata = load_arrays(path, verify=False)
    assert_identical(arrays, {"W": np.ones(2)})
    assert metadata == {"format": "np"}


def test_what_another_tool_saves_is_what_is_loaded(path: Path, tmp_path: Path) -> None:
    """And the other way round, for every dtype, shape and name."""
    from safetensors.numpy import load_file, save_file

    rng = np.random.default_rng(0)
    arrays = {f'{code} ü"\\': (rng.integers(0, 2, (3, 2)) * 7).astype(code) for code in DTYPES}
    arrays |= {"": np.ones(()), "none": np.ones((0, 3), np.float32), "true": np.array(True), "deep": np.ones((1,) * 8)}
    save_file(arrays, path)
    assert_identical(load_arrays(path, verify=False)[0], arrays)
    assert_identical(tg.load(path, verify=False), arrays)
    save_arrays(path, arrays, {"ü": ["\u2028", 1]})
    assert_identical({name: array.copy() for name, array in sorted(load_file(path).items())}, arrays)


def test_bfloat16_becomes_float32(path: Path) -> None:
    header = '{"h":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},'
    header += '"s":{"dtype":"BF16","shape":[],"data_offsets":[12,14]}}'
    bits = [0x3FC0, 0xC000, 0x7F80, 0xFF80, 0x7FC0, 0x0001, 0x3F80]
    path.write_bytes(crafted(header, np.array(bits, "<u2").tobytes()))
    arrays, _ = load_arrays(path, verify=False)
    np.testing.assert_array_equal(arrays["h"], np.array([[1.5, -2, np.inf], [-np.inf, np.nan, 2.0**-133]], np.float32))
    assert arrays["s"] == 1 and arrays["s"].shape == () and arrays["s"].dtype == arrays["h"].dtype == np.float32


@pytest.mark.oracle
def test_weights_that_torch_saved_in_bfloat16(torch: Any, path: Path) -> None:
    from safetensors.torch import save_file

    state = torch.nn.LSTM(2, 3).to(torch.bfloat16).state_dict()
    save_file(state, path)
    a = tg.io.from_torch(tg.nn.LSTM(2, 3), tg.load(path, verify=False))
    b = tg.io.from_torch(tg.nn.LSTM(2, 3), state)
    for name, value in a.state_dict().items():
        np.testing.assert_array_equal(value, b.state_dict()[name])


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return file.getvalue()


FOREIGN: dict[str, tuple[str, bytes, str]] = {
    "PyTorch": ("m.pt", zipped("archive/data.pkl", "archive/data/0"), r"a PyTorch file: state = torch\.load"),
    "old PyTorch": ("m.pth", pickle.dumps({"W": 1}, protocol=2), "a pickle, perhaps of PyTorch"),
    "npz": ("m.npz", zipped("W.npy", "b.npy"), r"a NumPy archive \(npz\): module\.load_state_dict\(np\.load"),
    "npy": ("m.npy", b"\x93NUMPY\x01\x00v\x00{", r"one NumPy array: np\.load"),
    "Keras": ("m.keras", zipped("config.json", "model.weights.h5"), "a Keras model"),
    "zip": ("m.zip", zipped("a", "b"), "a zip archive: unpack it first"),
    "a damaged zip": ("m.zip", b"PK\x03\x04" + bytes(60), "a zip archive"),
    "GGUF": ("m.gguf", b"GGUF\x03\0\0\0" + bytes(99), "a GGUF file"),
    "HDF5": ("m.h5", b"\x89HDF\r\n\x1a\n" + bytes(99), r"an HDF5 file .*h5py\.File"),
    "JSON": ("config.json", b'{"hidden": {"size": 3}}', "a JSON text: weights lie beside it"),
    "indented JSON": ("config.json", b'\xef\xbb\xbf\n{"a": {}}', "a JSON text"),
    "an index": ("index.json", b'{"weight_map": {}}', "the index of a model in several files"),
    "ONNX": ("m.onnx", b"\x08\x07\x12\x07pytorch", "an ONNX or TensorFlow model"),
    "ONNX of another name": ("m", b"\x08\x07\x12\x0connx.compose", "an ONNX or TensorFlow model"),
    "TensorFlow Lite": ("m", b"\x1c\0\0\0TFL3" + bytes(9), "a TensorFlow Lite model"),
    "LFS": ("m.safetensors", b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer .*git lfs pull"),
    "a web page": ("m.safetensors", b"\n<!DOCTYPE html><html>", "a web page, perhaps of a download that failed"),
    "gzip": ("m.safetensors.gz", gzip.compress(b"abc"), "compressed with gzip: unpack it first"),
    "bzip2": ("m.bz2", bz2.compress(b"abc"), "compressed with bzip2"),
    "xz": ("m.xz", lzma.compress(b"abc"), "compressed with xz"),
    "tar": ("m.tar", tarred(), "a tar archive"),
    "empty": ("m.safetensors", b"", "an empty file"),
    "something": ("m.safetensors", bytes(64), "64 bytes, declares a header of 0: damaged"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_files_of_other_kinds_are_named_for_what_they_are(tmp_path: Path, kind: str) -> None:
    name, data, message = FOREIGN[kind]
    path = tmp_path / name
    path.write_bytes(data)
    for verify in (True, False):
        with pytest.raises(CheckpointError, match=f"expected a safetensors file, found {message}") as caught:
            tg.load(path, verify=verify)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_says_what_is_in_it(path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"found a folder; give the path of a file in it, as weights\.safe"):
        tg.load(path.parent)


def test_too_little_memory_is_a_memory_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither ends the process nor calls the file damaged; and an old file stays."""

    def none_left(*args: Any) -> Any:
        raise MemoryError

    before = path.read_bytes()
    monkeypatch.setattr(safetensors_format, "_array", none_left)
    with pytest.raises(MemoryError):
        load_arrays(path)
    monkeypatch.setattr(safetensors_format.np, "frombuffer", none_left)
    with pytest.raises(MemoryError):
        save_arrays(path, {"W": np.ones(2)})
    assert path.read_bytes() == before and only_file(path.parent) == path.name


@posix_only
@pytest.mark.parametrize("code", [errno.EBADF, errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_sync_a_folder_is_no_error(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(os, "fsync", fail_at(2, os.fsync, code))
    save_arrays(path, {"W": np.zeros(9)})
    assert_identical(load_arrays(path)[0], {"W": np.zeros(9)})


def test_a_newer_format_says_so(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(rb"\"version\": 1", rb"\"version\": 2"))
    for verify in (True, False):
        with pytest.raises(CheckpointError, match="expected format version 1, found 2"):
            load_arrays(path, verify=verify)


def test_a_declared_size_is_not_believed(path: Path) -> None:
    """Neither a header larger than the file nor one larger than the format allows is allocated."""
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", 150_000_000))
        file.truncate(200_000_000)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="declares a header of 150000000"):
        load_arrays(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_loading_a_path_that_is_no_file(tmp_path: Path) -> None:
    for path, message in [
        (tmp_path / "missing", "no such file"),
        (tmp_path, "found a folder"),
        (tmp_path / "nul\0", "null"),
        (tmp_path / ("n" * 300), "too long"),
    ]:
        with pytest.raises(CheckpointError, match=message) as caught:
            load_arrays(path)
        assert str(caught.value).startswith(repr(str(path)))


# -- failing while saving ------------------------------------------------------------------------


def fail_at(call: int, function: Callable[..., Any], code: int) -> Callable[..., Any]:
    """`function`, but its call number `call` raises the OSError with this code instead."""
    calls = itertools.count(1)

    def failing(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == call:
            raise OSError(code, os.strerror(code))
        return function(*args, **kwargs)

    return failing


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("name", ["open", "fsync", "replace"])
def test_a_failing_step_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    before = path.read_bytes()
    monkeypatch.setattr(os, name, fail_at(1, getattr(os, name), code))
    with pytest.raises(CheckpointError, match=rf"weights\.safetensors.*{os.strerror(code)}"):
        save_arrays(path, {"W": np.zeros(9)})
    assert path.read_bytes() == before
    assert only_file(path.parent) == path.name


@posix_only
def test_a_short_write_leaves_the_old_file(path: Path) -> None:
    import resource

    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"weights\.safetensors.*File too large"):
            save_arrays(path, {"W": np.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert only_file(path.parent) == path.name


@posix_only
def test_a_folder_that_cannot_be_synced_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rename is done by then: the file is the new one, whole, and the error says so."""
    monkeypatch.setattr(os, "fsync", fail_at(2, os.fsync, errno.EIO))
    with pytest.raises(CheckpointError, match=r"weights\.safetensors.*saved, but"):
        save_arrays(path, {"W": np.zeros(9)})
    assert_identical(load_arrays(path)[0], {"W": np.zeros(9)})
    assert only_file(path.parent) == path.name


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def interrupt(*args: object) -> None:
        raise error

    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(error):
        save_arrays(path, {"W": np.zeros(9)})
    assert path.read_bytes() == before
    assert only_file(path.parent) == path.name


def test_saving_to_a_path_that_is_no_file(tmp_path: Path) -> None:
    for path, message in [
        (tmp_path / "missing" / "w", "check that the folder exists"),
        (tmp_path, "not a regular file"),
        (tmp_path / "nul\0", "null"),
        (tmp_path / ("n" * 300), "too long"),
    ]:
        with pytest.raises(CheckpointError, match=message) as caught:
            save_arrays(path, {})
        assert str(caught.value).startswith(repr(str(path)))
    assert not os.listdir(tmp_path)


@posix_only
def test_pipes_links_and_permissions(path: Path) -> None:
    pipe, link = path.parent / "pipe", path.parent / "link"
    os.mkfifo(pipe)
    for use in (load_arrays, lambda pipe: save_arrays(pipe, {})):
        with pytest.raises(CheckpointError, match="regular file"):
            use(pipe)  # and does not wait for the pipe's other end
    link.symlink_to(path.name)
    path.chmod(0o600)
    save_arrays(link, {"W": np.ones(3)})
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o600
    assert_identical(load_arrays(path)[0], {"W": np.ones(3)})


# -- other writers, and killed ones --------------------------------------------------------------


def run_python(code: str, *arguments: str) -> "subprocess.Popen[bytes]":
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


@posix_only
def test_only_strays_are_swept(path: Path) -> None:
    dead = run_python("pass")
    dead.communicate()
    folder, name = path.parent, path.name
    strays = [
        f".{name}.{dead.pid}-0.tmp",
        f".{name}.{os.getpid()}-99999.tmp",
        f".{name}.{10**30}-1.tmp",
    ]
    others = [f".{name}.{os.getppid()}-0.tmp", f".other.{dead.pid}-0.tmp", f".{name}.tmp", ".x.tmp"]
    for file in strays + others:
        (folder / file).touch()
    write_atomically(path, b"new")
    assert sorted(os.listdir(folder)) == sorted([name, *others])


def test_threads_saving_to_the_same_path(path: Path) -> None:
    failures: list[BaseException] = []

    def save(number: int) -> None:
        try:
            for _ in range(20):
                save_arrays(path, {"W": np.full(1000, number)})
                assert len(set(load_arrays(path)[0]["W"].tolist())) == 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert only_file(path.parent) == path.name


SAVE_FOREVER = """
import itertools, sys
import numpy as np
from tinygrad_rnn.io import save_arrays
for step in itertools.count(int(sys.argv[2])):
    save_arrays(sys.argv[1], {"W": np.full(200_000, step)}, {"step": step})
    print(step, flush=True)
"""


@pytest.mark.slow
@posix_only
def test_kill_while_saving(tmp_path: Path) -> None:
    path, step, rng, left = tmp_path / "w", 0, random.Random(0), 0
    for _ in range(15):
        process = run_python(SAVE_FOREVER, str(path), str(step))
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(rng.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        acknowledged = int((first + rest).split()[-1])
        arrays, metadata = load_arrays(path)
        assert metadata["step"] in (acknowledged, acknowledged + 1)
        assert np.all(arrays["W"] == metadata["step"])
        left += len(os.listdir(tmp_path)) - 1
        step = metadata["step"] + 1
    save_arrays(path, {})
    assert only_file(tmp_path) == path.name
    assert left > 0, "no kill fell into a save: the test has tested nothing"


def test_the_header_says_what_is_needed_to_read_it_without_us(path: Path) -> None:
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    entry = json.loads(header["__metadata__"]["tinygrad_rnn"])
    assert list(entry) == ["version", "sha256", "metadata"] and entry["metadata"] == {"step": 3}
