"""What a character of a sample costs: the step of a model with an LSTM, and the choice of the next character.

Ours is the loop of `tinygrad-rnn sample`. PyTorch's is the usual one: embedding, nn.LSTM of one step, head, softmax and
`multinomial`, in `inference_mode`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.app.charlm import CharLM, sample
from tinygrad_rnn.data import Vocabulary
from tinygrad_rnn.io import to_torch

from .timing import in_turns

CHARACTERS = "".join(map(chr, range(32, 128)))


def ours(model: CharLM) -> Callable[[], Any]:
    characters = sample(model, Vocabulary(CHARACTERS), "The ", 10**9, rng=0)
    return lambda: next(characters)


def torchs(model: CharLM) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(1)
    embedding, hidden = model.embedding.size, model.recurrent.hidden_size
    inner = {
        "embedding": torch.nn.Embedding(len(CHARACTERS), embedding),
        "recurrent": torch.nn.LSTM(embedding, hidden),
        "head": torch.nn.Linear(hidden, len(CHARACTERS)),
    }
    theirs = torch.nn.ModuleDict(inner)
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in to_torch(model).items()})
    ids, state = torch.zeros((1, 1), dtype=torch.long), None

    @torch.inference_mode()
    def step() -> Any:
        nonlocal ids, state
        output, state = theirs["recurrent"](theirs["embedding"](ids), state)
        p = torch.softmax(theirs["head"](output)[-1], -1)
        ids = torch.multinomial(p, 1)
        return ids

    return step


LIBRARIES: dict[str, Callable[[CharLM], Callable[[], Any]]] = {"tinygrad_rnn": ours, "torch": torchs}


def measure(hidden: Sequence[int] = (64, 128, 256), seconds: float = 0.3) -> list[dict[str, Any]]:
    """A record for each number of hidden units: microseconds a character, by library."""
    records = []
    for units in hidden:
        model = CharLM(len(CHARACTERS), "lstm", 64, units, rng=np.random.default_rng(0)).eval()
        candidates = {}
        for name, make in LIBRARIES.items():
            try:
                candidates[name] = make(model)
            except ImportError:
                continue
        times = in_turns(candidates, seconds)
        records.append({"hidden": units, "us": {name: time * 1e6 for name, time in times.items()}})
    return records
