"""A program as an editor sees it: run, and checked by mypy and pyright, which must agree with what it asserts."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
# mypy: warn-unused-ignores

from __future__ import annotations

from typing import Any, assert_type

import numpy as np

import tinygrad_rnn as tg


class Classifier(tg.nn.Module):
    """A model of one's own: what its forward takes and gives is what a call takes and gives."""

    def __init__(self) -> None:
        self.lstm = tg.nn.LSTM(3, 4, num_layers=2, peepholes=True, rng=0)
        self.head = tg.nn.Linear(4, 2, rng=0)

    def forward(self, x: tg.Tensor, lengths: list[int] | None = None) -> tg.Tensor:
        output, state = self.lstm(x, lengths=lengths)
        h, c = state
        assert_type(output, tg.Tensor)
        assert_type(h, tg.Tensor)
        assert_type(c, tg.Tensor)
        return self.head(h[-1])


model = Classifier()
x = tg.tensor(np.zeros((5, 2, 3)), requires_grad=True)
scores = model(x, lengths=[5, 3])
assert_type(scores, tg.Tensor)
loss = tg.nn.cross_entropy(scores, [0, 1])
assert_type(loss, tg.Tensor)

tape = tg.tape(loss)
assert_type(tape, tg.Tape)
assert_type(len(tape), int)
assert_type(tg.grad(loss, x, retain_graph=True), tg.Tensor)
assert_type(tg.grad(loss, [x], retain_graph=True), tuple[tg.Tensor, ...])
assert_type(tg.draw(loss), tg.Drawing)
assert_type(x @ x.swapaxes(1, 2), tg.Tensor)
assert_type(2 * x + 1 - x / 3, tg.Tensor)
assert_type(x[0, :, -1], tg.Tensor)
values: np.ndarray[Any, Any] = x.data
gradient: np.ndarray[Any, Any] | None = x.grad

gru = tg.nn.GRU(3, 4, reset_after=False, rng=0)
output, h = gru(x)
assert_type(h, tg.Tensor)
assert_type(model.eval(), Classifier)

optimizer = tg.optim.Adam(model.parameters(), lr=0.01)


def loss_of(model: Classifier, x: tg.Tensor, y: list[int]) -> tg.Tensor:
    return tg.nn.cross_entropy(model(x), y)


history = tg.fit(model, loss_of, [(x, [0, 1])], epochs=1, optimizer=optimizer, progress=False)
assert_type(history, tg.History)


def mistakes() -> None:
    """What an editor underlines. It is never run."""
    tg.nn.LSTM(3, 4, peephole=True)  # type: ignore[call-arg]
    tg.nn.GRU(3, 4, forget_bias=1.0)  # type: ignore[call-arg]
    model(x, length=[5, 3])  # type: ignore[call-arg]
    tg.optim.Adam(model)  # type: ignore[arg-type]
    tg.draw(loss, colour="red")  # type: ignore[call-overload]
