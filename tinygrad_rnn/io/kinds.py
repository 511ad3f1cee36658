"""What a file is that is no safetensors file: its kind, and what to do with it."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from ..files import AnyPath

PICKLE = (
    "a pickle, perhaps of PyTorch, which can run code when it is loaded: load it in the program that it comes from, "
    "and give what it holds to tg.io.from_torch(module, state_dict), or save that as safetensors"
)
BEGINNINGS: list[tuple[bytes, str]] = [
    *((bytes([0x80, protocol]), PICKLE) for protocol in range(2, 6)),
    (b"\x93NUMPY", "one NumPy array: np.load(path)"),
    (b"GGUF", "a GGUF file (llama.cpp), whose weights are in types of its own: convert it to safetensors there"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras, h5py): read its arrays with h5py.File(path)"),
    (b"version https://git-lfs", "a Git LFS pointer and not the file itself: get it with git lfs pull"),
    (b"<!doctype html", "a web page, perhaps of a download that failed"),
    (b"<html", "a web page, perhaps of a download that failed"),
    (b"\x1f\x8b", "compressed with gzip: unpack it first"),
    (b"BZh", "compressed with bzip2: unpack it first"),
    (b"\xfd7zXZ", "compressed with xz: unpack it first"),
    (b"(\xb5/\xfd", "compressed with zstd: unpack it first"),
]


def kind_of(path: AnyPath, head: bytes) -> str | None:
    """What the file is, from its first bytes and its name; None where that is not known."""
    name, start = os.fspath(path), head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head:
        return "an empty file"
    if head.startswith(b"PK\x03\x04"):
        return _archive(path)
    if start[:1] in (b"{", b"["):
        if b'"weight_map"' in head or name.endswith(".index.json"):
            return "the index of a model in several files: give it the name it had, ending in .index.json"
        return "a JSON text: weights lie beside it, in a file that ends in .safetensors"
    for beginning, kind in BEGINNINGS:
        if start[: len(beginning)].lower() == beginning.lower():
            return kind
    if head[257:262] == b"ustar":
        return "a tar archive: unpack it first"
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model, which is a program and no set of weights alone"
    if name.endswith((".onnx", ".pb")) or (head[:1] == b"\x08" and b"onnx" in head.lower()):
        return "an ONNX or TensorFlow model: read its weights there, as arrays by name, for load_state_dict"
    return None


def kind_of_folder(path: AnyPath) -> str:
    """A folder, and which files in it could be meant."""
    try:
        inside = sorted(file.name for file in Path(path).iterdir() if file.suffix == ".safetensors")
    except OSError:
        inside = []
    return "a folder" + (f"; give the path of a file in it, as {inside[0]}" if inside else "")


def _archive(path: AnyPath) -> str:
    """What kind of zip archive it is, by the names in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # a damaged one may raise anything
        names = []
    if any(name.endswith("data.pkl") for name in names):
        return (
            "a PyTorch file: state = torch.load(path), and then tg.io.from_torch(module, state); or save it with "
            "safetensors.torch.save_file(state, path)"
        )
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy archive (npz): module.load_state_dict(np.load(path))"
    if any(name.endswith(".weights.h5") for name in names):
        return "a Keras model: read its arrays there, as arrays by name, for load_state_dict"
    return "a zip archive: unpack it first"
