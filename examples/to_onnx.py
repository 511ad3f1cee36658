"""A model written to an ONNX file, and sampled from step by step with onnxruntime: no tinygrad_rnn needed there.

    python examples/to_onnx.py

Writes speaker.onnx into the working folder. Prints ten classes that the file's model chooses, one after the other, and
whether they are those that the model here chooses. Needs `pip install 'tinygrad_rnn[onnx]' onnxruntime`.
"""

from __future__ import annotations

import numpy as np
import onnxruntime

import tinygrad_rnn as tg


class Speaker(tg.nn.Module):
    """Which of 20 classes comes next: ids (T, B) and a state give scores (T, B, 20) and the next state."""

    def __init__(self):
        self.embedding = tg.nn.Embedding(20, 8, rng=0)
        self.lstm = tg.nn.LSTM(8, 16, num_layers=2, rng=1)
        self.head = tg.nn.Linear(16, 20, rng=2)

    def forward(self, ids, state):
        y, state = self.lstm(self.embedding(ids), state)
        return self.head(y), state


def export(model: Speaker, path: str) -> None:
    ids, h = np.zeros((5, 3), np.int64), np.zeros((2, 3, 16), np.float32)  # an example: T = 5, B = 3
    names = {"input_names": ["ids", "h", "c"], "output_names": ["scores", "h_next", "c_next"]}
    tg.io.to_onnx(model, path, ids, (h, h), **names)


def sample(path: str, length: int) -> list[int]:
    """Always the most likely class, for a batch of one, one step at a time."""
    session = onnxruntime.InferenceSession(path)
    h = c = np.zeros((2, 1, 16), np.float32)
    written = [7]
    while len(written) <= length:
        scores, h, c = session.run(None, {"ids": [[written[-1]]], "h": h, "c": c})
        written.append(int(scores[0, 0].argmax()))
    return written


def sample_here(model: Speaker, length: int) -> list[int]:
    written, state = [7], tuple(tg.tensor(np.zeros((2, 1, 16), np.float32)) for _ in "hc")
    while len(written) <= length:
        scores, state = model(np.array([[written[-1]]]), state)
        written.append(int(scores.data[0, 0].argmax()))
    return written


if __name__ == "__main__":
    speaker = Speaker()
    export(speaker, "speaker.onnx")
    print(*sample("speaker.onnx", 10))
    print("the same as here:", sample("speaker.onnx", 10) == sample_here(speaker, 10))
