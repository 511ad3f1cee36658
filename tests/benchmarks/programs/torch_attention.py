"""examples/kit_attention.py as one writes it with PyTorch."""

import numpy as np
import torch
from torch import nn

T, DIGITS, H = 10, 8, 48


class Reverser(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.encoder = nn.Embedding(DIGITS + 1, 16), nn.GRU(16, H)
        self.cell, self.head = nn.GRUCell(16 + H, H), nn.Linear(2 * H, DIGITS)

    def forward(self, digits, said):
        output, h = self.encoder(self.embed(digits))
        memory, h = output.transpose(0, 1), h[0]
        context, scores = torch.zeros_like(h), []
        for word in self.embed(said):
            h = self.cell(torch.cat([word, context], dim=-1), h)
            weights = torch.softmax((memory @ h[:, :, None])[:, :, 0], dim=-1)
            context = (weights[:, None] @ memory)[:, 0]
            scores.append(self.head(torch.cat([h, context], dim=-1)))
        return torch.stack(scores)


def loss_of(model, digits, backwards):
    said = torch.cat([torch.full((1, digits.shape[1]), DIGITS), backwards[:-1]])
    scores = model(digits, said)
    return nn.functional.cross_entropy(scores.flatten(0, 1), backwards.flatten()), scores


def main(epochs=15):
    torch.manual_seed(0)
    data = torch.tensor(np.random.default_rng(0).integers(0, DIGITS, (100, T, 32)))
    batches = [(d, d.flip(0)) for d in data]
    model = Reverser()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for batch in batches[:90]:
            loss, _ = loss_of(model, *batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item()
        model.eval()
        with torch.no_grad():
            figures = [(loss_of(model, *batch), batch[1]) for batch in batches[90:]]
        right = np.mean([(scores.argmax(-1) == y).float().mean().item() for (_, scores), y in figures])
        print(f"epoch {epoch + 1}/{epochs}: loss {total / 90:.4g}, validation_accuracy {right:.4g}")
    print(f"right: {right:.4f} of the digits, each at its place")


if __name__ == "__main__":
    main()
