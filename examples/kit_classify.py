"""Is a noisy curve of 20 to 60 steps a sine or a square wave? python examples/kit_classify.py. Prints accuracies."""

import numpy as np

import tinygrad_rnn as tg


def curves(count, rng):
    kinds, lengths = rng.integers(0, 2, count), rng.integers(20, 60, count)
    phases = [rng.uniform(0, 6) + np.arange(n) * rng.uniform(0.2, 0.5) for n in lengths]
    waves = [np.sign(np.sin(p)) if k else np.sin(p) for k, p in zip(kinds, phases, strict=True)]
    return [(w + 0.5 * rng.normal(size=len(w)))[:, None].astype(np.float32) for w in waves], kinds


class Classifier(tg.nn.Module):
    def __init__(self):
        self.gru, self.head = tg.nn.GRU(1, 24, bidirectional=True, rng=0), tg.nn.Linear(48, 2, rng=1)

    def forward(self, x, lengths):
        _, h = self.gru(x, lengths=lengths)
        return self.head(np.concatenate([h[0], h[1]], axis=-1))


def loss(model, x, y, lengths):
    return tg.nn.cross_entropy(scores := model(x, lengths), y), scores


def main(epochs=20):
    x, y = curves(1200, np.random.default_rng(0))
    (x, y), (x_test, y_test) = tg.data.split(x, y, held_out=0.25)
    train = tg.data.batches(x, y, 32, shuffle=True, bucket=True, rng=0)
    test, model = tg.data.batches(x_test, y_test, 100), Classifier()
    options = {"optimizer": tg.optim.Adam(model.parameters(), lr=0.01), "metrics": [tg.metrics.accuracy]}
    history = tg.fit(model, loss, train, validation=test, epochs=epochs, patience=6, best=True, clip=1.0, **options)
    print(f"accuracy {history['validation_accuracy'][history.best - 1]:.3f} in epoch {history.best} of {len(history)}")


if __name__ == "__main__":
    main()
