"""A character language model by hand: the essential lines of `tinygrad-rnn train`.

    python examples/char_lm.py                         about a minute; writes to runs/char_lm
    python examples/char_lm.py --steps 200 --hidden 32 --out small

Trains on Python's own documentation by truncated BPTT. Prints bits a character beside the bigram entropy (what a memory
of one character could reach; measured 1.67 held out, against 3.55), and a sample. Saves graph.svg and loss.svg.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.data import Stream, Vocabulary, bigram_entropy, python_docs, split
from tinygrad_rnn.plots import loss_curve


class CharLM(tg.nn.Module):
    def __init__(self, characters, hidden, rng):
        self.embedding = tg.nn.Embedding(characters, 64, rng=rng)
        self.lstm = tg.nn.LSTM(64, hidden, rng=rng)
        self.head = tg.nn.Linear(hidden, characters, rng=rng)

    def forward(self, ids, state=None):
        output, state = self.lstm(self.embedding(ids), state)
        return self.head(output), state  # scores of the next character, at every step


@tg.no_grad()
def sample(model, vocabulary, text, length, rng, temperature=0.7):
    scores, state = model(vocabulary.encode(text)[:, None])
    for _ in range(length):
        p = tg.softmax(scores[-1, 0].data.astype(float) / temperature)
        text += vocabulary.decode(rng.choice(len(p), p=p))
        scores, state = model(vocabulary.encode(text[-1])[:, None], state)
    return text


def main(argv=None):
    parser = argparse.ArgumentParser(description="a character language model by hand")
    for name, default in {"steps": 2000, "hidden": 128, "seed": 0, "out": "runs/char_lm"}.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"({default})")
    o = parser.parse_args(argv)
    rng = np.random.default_rng(o.seed)
    vocabulary = Vocabulary(python_docs())
    ids = vocabulary.encode(python_docs())
    (train_ids, test_ids), bigram = split(ids, held_out=0.05), bigram_entropy(ids)
    model = CharLM(len(vocabulary), o.hidden, rng)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.004)

    losses, state, stream = [], None, Stream(train_ids, batch=32, window=64)
    for step in range(1, o.steps + 1):
        x, y, at_start = next(stream)
        scores, state = model(x, None if at_start else tg.bptt.detach(state))  # the cut of truncated BPTT
        loss = tg.nn.cross_entropy(scores, y)
        model.zero_grad()
        loss.backward()
        tg.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item() / np.log(2))
        if step % 100 == 0 or step == o.steps:
            print(f"step {step:5}  {np.mean(losses[-100:]):.3f} bits a character (bigram {bigram:.3f})", flush=True)

    x, y, _ = Stream(test_ids, batch=16, window=(len(test_ids) - 1) // 16)[0]  # all of it, as one window
    with tg.no_grad():
        bits = tg.nn.cross_entropy(model(x)[0], y).item() / np.log(2)
    print(f"held out    {bits:.3f} bits a character\n\n{sample(model, vocabulary, 'The ', 300, rng)}\n")
    Path(o.out).mkdir(parents=True, exist_ok=True)
    tg.draw(tg.nn.cross_entropy(model(x[:8, :1])[0], y[:8, :1])).save(f"{o.out}/graph.svg")
    if find_spec("matplotlib"):
        log = [{"step": k, "bits": bits} for k, bits in enumerate(losses, 1)]
        loss_curve(log, {"bigram": bigram}).figure.savefig(f"{o.out}/loss.svg")


if __name__ == "__main__":
    main()
