"""A decoder that looks back says ten digits backwards: python examples/kit_attention.py. Prints what part is right."""

import numpy as np

import tinygrad_rnn as tg

T, DIGITS, H = 10, 8, 48


class Reverser(tg.nn.Module):
    def __init__(self, rng):
        self.embed, self.encoder = tg.nn.Embedding(DIGITS + 1, 16, rng=rng), tg.nn.GRU(16, H, rng=rng)
        self.cell, self.head = tg.nn.GRUCell(16 + H, H, rng=rng), tg.nn.Linear(2 * H, DIGITS, rng=rng)

    def forward(self, digits, said):  # both (T, B): what to say, and what has been said before each step
        memory, h = self.encoder(self.embed(digits))

        def step(word, state):
            h = self.cell(np.concatenate([word, state[1]], axis=-1), state[0])
            context = (tg.softmax((memory * h).sum(-1), axis=0)[:, :, None] * memory).sum(0)  # weighed by likeness
            return self.head(np.concatenate([h, context], axis=-1)), (h, context)

        return tg.nn.unroll(step, self.embed(said), (h[0], 0 * h[0]), name="decoder")[0]


def loss(model, digits, backwards):
    said = np.pad(backwards[:-1], ((1, 0), (0, 0)), constant_values=DIGITS)
    return tg.nn.cross_entropy(scores := model(digits, said), backwards), scores


def main(epochs=15):
    model = Reverser(np.random.default_rng(1))
    batches = [(d, d[::-1]) for d in np.random.default_rng(0).integers(0, DIGITS, (100, T, 32))]
    tg.fit(model, loss, batches[:90], epochs=epochs, optimizer=tg.optim.Adam(model.parameters(), lr=0.01), clip=1.0)
    print("right: {accuracy:.4f} of the digits".format(**tg.evaluate(model, loss, batches[90:], [tg.metrics.accuracy])))


if __name__ == "__main__":
    main()
