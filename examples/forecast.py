"""Forecast a series: learn to predict the next value, then run free and predict a whole stretch.

    python examples/forecast.py                            about 12 s on one core
    python examples/forecast.py --picture forecast.svg     the same, with a picture (needs matplotlib)
    python examples/forecast.py --series values.txt --period 12      your own: one number a line

Without --series a noisy series is made: a wave of 24 steps, a smaller one of 17.3 steps, and noise of standard
deviation 0.1. The first four fifths train an LSTM or GRU to predict the next value. On the last fifth it is
asked two things:

    one step      the next value, given the values before it
    running free  the next --horizon values, each prediction fed back as the next input

and compared with two forecasts that need no model: all values to come are as the last one, or as the one a
period before. Prints the root-mean-square errors, over all origins in the last fifth. Measured with the defaults:

                            one step    running free, 48 steps
    LSTM                       0.118                     0.123
    last value                 0.263                     1.109
    one period ago             0.559                     0.484
    (the noise alone)          0.100                     0.100
"""

import argparse

import numpy as np

import tinygrad_rnn as tg

BATCH, WINDOW, WARM_UP = 32, 100, 120  # training windows; values that the state reads before it is asked anything


def waves(rng: np.random.Generator, n: int = 2000) -> np.ndarray:
    """Two waves and noise."""
    t = np.arange(n)
    return np.sin(2 * np.pi * t / 24) + 0.4 * np.sin(2 * np.pi * t / 17.3) + 0.1 * rng.standard_normal(n)


class Forecaster(tg.nn.Module):
    """Reads values (T, B, 1) and gives the value it expects after each of them."""

    def __init__(self, cell: str, hidden: int, rng: np.random.Generator) -> None:
        self.recurrent = getattr(tg.nn, cell)(1, hidden, rng=rng)
        self.head = tg.nn.Linear(hidden, 1, rng=rng)

    def forward(self, x, state=None):
        output, state = self.recurrent(x, state)
        return x + self.head(output), state  # the head has to learn the change only

    @tg.no_grad()
    def run_free(self, seen: np.ndarray, horizon: int) -> np.ndarray:
        """Read the values seen (T, B), then go on from its own predictions: (horizon, B)."""
        y, state = self(seen[:, :, None])
        expected = [y[-1:]]
        for _ in range(horizon - 1):
            y, state = self(expected[-1], state)
            expected.append(y)
        return np.concatenate(expected)[:, :, 0].data


def train(model: Forecaster, values: np.ndarray, steps: int, lr: float, rng: np.random.Generator) -> list[float]:
    """Adam on random windows of the series; gives the losses."""
    optimizer, losses = tg.optim.Adam(model.parameters(), lr=lr), []
    for step in range(steps):
        optimizer.lr = lr * (1 - step / steps)  # along a line to 0
        starts = rng.integers(0, len(values) - WINDOW, BATCH)
        rows = values[starts + np.arange(WINDOW + 1)[:, None]][:, :, None]  # (WINDOW + 1, BATCH, 1)
        expected, _ = model(rows[:-1])
        loss = tg.nn.mse_loss(expected[10:], rows[11:])  # the first ten steps only warm the state up
        model.zero_grad()
        loss.backward()
        tg.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % max(1, steps // 5) == 0:
            print(f"step {step + 1:5}  training RMSE {np.sqrt(np.mean(losses[-20:])):.3f} standard deviations")
    return losses


def main(argv: list[str] | None = None) -> dict[str, tuple[float, float]]:
    """Train, test, print; gives the two errors of each forecast."""
    parser = argparse.ArgumentParser(description="forecast a series with a recurrent network")
    parser.add_argument("--series", metavar="FILE", help="one number a line (default: two waves and noise)")
    parser.add_argument("--period", type=int, default=24, help="of the baseline 'one period ago' (24)")
    parser.add_argument("--horizon", type=int, default=48, help="values to predict running free (48)")
    parser.add_argument("--cell", choices=["RNN", "LSTM", "GRU"], default="LSTM")
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--steps", type=int, default=800, help="training steps (800)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", metavar="FILE", help="draw the last forecast (svg, png, pdf)")
    o = parser.parse_args(argv)
    rng = np.random.default_rng(o.seed)
    try:
        series = np.loadtxt(o.series) if o.series else waves(rng)
    except (OSError, ValueError) as error:
        parser.error(f"--series {o.series}: {error}")
    cut, H, P = len(series) * 4 // 5, o.horizon, o.period
    if series.ndim != 1 or cut < max(WINDOW, WARM_UP, P) + 1 or len(series) - cut < H:
        parser.error(f"too short a series: {series.shape}, of which four fifths train and {H} values are predicted")

    mean, deviation = series[:cut].mean(), series[:cut].std()
    values = (series - mean) / deviation
    model = Forecaster(o.cell, o.hidden, rng)
    train(model, values[:cut], o.steps, o.lr, rng)

    origins, ahead = np.arange(cut, len(series) - H + 1), np.arange(H)[:, None]
    truth = series[origins + ahead]  # (H, number of origins), as all forecasts
    forecasts = {
        o.cell: model.run_free(values[origins + np.arange(-WARM_UP, 0)[:, None]], H) * deviation + mean,
        "last value": np.repeat(series[None, origins - 1], H, axis=0),
        "one period ago": series[origins - P + ahead % P],
    }
    errors = {name: (rmse(y[0] - truth[0]), rmse(y - truth)) for name, y in forecasts.items()}
    print(f"\n{'RMSE on the last fifth':24}{'one step':>10}{'running free, ' + str(H) + ' steps':>26}")
    for name, (one, free) in errors.items():
        print(f"{name:24}{one:10.3f}{free:26.3f}")
    if not o.series:
        print(f"{'(the noise alone)':24}{0.1:10.3f}{0.1:26.3f}")
    if o.picture:
        draw(series[-3 * H :], {name: y[:, -1] for name, y in forecasts.items()}, o.picture)
    return errors


def rmse(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(error**2)))


def draw(series: np.ndarray, forecasts: dict[str, np.ndarray], path: str) -> None:
    """The end of the series, and each forecast of its last values."""
    from matplotlib.figure import Figure

    axes = Figure(figsize=(8, 3.5), layout="constrained").subplots()
    axes.plot(series, color="#555555", lw=1, label="series")
    for (name, y), style in zip(forecasts.items(), ("-", ":", "--"), strict=True):
        axes.plot(range(len(series) - len(y), len(series)), y, style, label=name)
    axes.figure.legend(frameon=False, ncols=4, loc="outside upper center")
    axes.figure.savefig(path)
    print(path)


if __name__ == "__main__":
    main()
