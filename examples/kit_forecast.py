"""Forecast the next value of two waves with noise: python examples/kit_forecast.py. Prints errors; about 10 s."""

import numpy as np

import tinygrad_rnn as tg

rng = np.random.default_rng(0)
t = np.arange(2000)
series = np.sin(2 * np.pi * t / 24) + 0.4 * np.sin(2 * np.pi * t / 17.3) + 0.1 * rng.standard_normal(2000)
windows = np.lib.stride_tricks.sliding_window_view(series, 101)[::4, :, None].astype(np.float32)
train, test = tg.data.split(windows, held_out=0.2)


class Forecaster(tg.nn.Module):
    def __init__(self):
        self.lstm, self.head = tg.nn.LSTM(1, 32, batch_first=True, rng=0), tg.nn.Linear(32, 1, rng=1)

    def forward(self, x):
        return x + self.head(self.lstm(x)[0])  # the head learns the change alone


def loss(model, window, _, lengths):
    expected, seen = model(window[:, :-1])[:, 10:], window[:, 11:]  # the first ten steps warm the state up
    return tg.nn.mse_loss(expected, seen)


def main(epochs=30):
    model = Forecaster()
    parts = [tg.data.batches(part, None, 32, shuffle=True, rng=0, batch_first=True) for part in (train, test)]
    optimizer = tg.optim.Adam(model.parameters(), lr=0.01)
    schedule = tg.optim.CosineAnnealingLR(optimizer, epochs)
    options = {"optimizer": optimizer, "schedule": schedule, "clip": 1.0, "best": True}
    history = tg.fit(model, loss, parts[0], validation=parts[1], epochs=epochs, **options)
    print(f"next value: RMSE {history['validation_loss'].min() ** 0.5:.3f}; the noise alone has 0.100")


if __name__ == "__main__":
    main()
