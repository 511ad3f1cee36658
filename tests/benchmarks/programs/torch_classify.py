"""examples/kit_classify.py as one writes it with PyTorch."""

import copy

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence


def curves(count, rng):
    kinds, lengths = rng.integers(0, 2, count), rng.integers(20, 60, count)
    phases = [rng.uniform(0, 6) + np.arange(n) * rng.uniform(0.2, 0.5) for n in lengths]
    waves = [np.sign(np.sin(p)) if k else np.sin(p) for k, p in zip(kinds, phases, strict=True)]
    return [(w + 0.5 * rng.normal(size=len(w)))[:, None].astype(np.float32) for w in waves], kinds


class Curves(torch.utils.data.Dataset):
    def __init__(self, x, y):
        self.x, self.y = [torch.tensor(a) for a in x], torch.tensor(y)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, k):
        return self.x[k], self.y[k]


def collate(batch):
    x, y = zip(*batch, strict=True)
    return pad_sequence(x), torch.stack(y), torch.tensor([len(a) for a in x])


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru, self.head = nn.GRU(1, 24, bidirectional=True), nn.Linear(48, 2)

    def forward(self, x, lengths):
        _, h = self.gru(pack_padded_sequence(x, lengths, enforce_sorted=False))
        return self.head(torch.cat([h[0], h[1]], dim=-1))


def measured(model, batches):
    model.eval()
    total = right = count = 0
    with torch.no_grad():
        for x, y, lengths in batches:
            scores = model(x, lengths)
            total += nn.functional.cross_entropy(scores, y, reduction="sum").item()
            right += (scores.argmax(-1) == y).sum().item()
            count += len(y)
    return total / count, right / count


def main(epochs=20, patience=6):
    torch.manual_seed(0)
    x, y = curves(1200, np.random.default_rng(0))
    train = torch.utils.data.DataLoader(Curves(x[:900], y[:900]), 32, shuffle=True, collate_fn=collate)
    test = torch.utils.data.DataLoader(Curves(x[900:], y[900:]), 100, collate_fn=collate)
    model = Classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    best, weights, kept, at = np.inf, None, 0.0, 0
    for epoch in range(epochs):
        model.train()
        for x, y, lengths in train:
            loss = nn.functional.cross_entropy(model(x, lengths), y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        figure, accuracy = measured(model, test)
        print(f"epoch {epoch + 1}/{epochs}: validation_loss {figure:.4g}, validation_accuracy {accuracy:.4g}")
        if figure < best:
            best, weights, kept, at = figure, copy.deepcopy(model.state_dict()), accuracy, epoch
        elif epoch - at >= patience:
            break
    model.load_state_dict(weights)
    print(f"accuracy {kept:.3f} in epoch {at + 1} of {epoch + 1}")


if __name__ == "__main__":
    main()
