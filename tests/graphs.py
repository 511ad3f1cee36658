"""Unrolled networks that pictures and pages are tested on, and a way to find a node of a picture."""

from contextlib import contextmanager

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.pictures.canvas import Canvas
from tinygrad_rnn.pictures.figure import draw
from tinygrad_rnn.pictures.marks import Block, Path
from tinygrad_rnn.pictures.parts import Join

CELLS = {"RNN": tg.nn.RNN, "LSTM": tg.nn.LSTM, "GRU": tg.nn.GRU}


def network(kind="LSTM", T=3, layers=1, bidirectional=False, head=True):
    layer = CELLS[kind](4, 8, layers, bidirectional=bidirectional, rng=0)
    output, _ = layer(np.ones((T, 2, 4)))
    if not head:
        return output.sum()
    linear = tg.nn.Linear(16 if bidirectional else 8, 5, rng=1)
    return tg.nn.cross_entropy(linear(output), np.zeros((T, 2), int))


def windows(kind="LSTM", T=4, k=2, total=True, layers=1):
    """Truncated backpropagation: the sum of the losses of all windows, or the loss of the last one."""
    layer, state, loss = CELLS[kind](4, 8, layers, rng=0), None, 0
    for window in tg.bptt.windows(np.ones((T, 2, 4)), k):
        output, state = layer(window, state)
        part = (output * output).mean()
        loss = loss + part if total else part
        state = tg.bptt.detach(state)
    return loss


def per_step_losses(T=4):
    layer, linear, loss = tg.nn.RNN(3, 4, rng=0), tg.nn.Linear(4, 5, rng=0), 0
    output, _ = layer(np.ones((T, 2, 3)))
    for t in range(T):
        loss = loss + tg.nn.cross_entropy(linear(output[t]), np.zeros(2, int))
    return loss


def scalar_chain(n):
    x = tg.tensor(0.5, requires_grad=True, name="x")
    for _ in range(n):
        x = np.sin(x)
    return x


def two_decoders():
    encoder, decoder = tg.nn.GRU(3, 4, 2, rng=0), tg.nn.GRU(3, 4, 2, rng=1)
    _, state = encoder(np.ones((2, 2, 3)))
    output, _ = decoder(np.ones((2, 2, 3)), state)
    return output.sum()


def own_cell(T=4):
    """A cell with two steps of memory, and a weight computed outside the steps."""
    W = tg.tensor(np.eye(3), requires_grad=True, name="W")
    masked, states = W * np.ones((3, 3)), [tg.tensor(np.zeros((2, 3)))] * 2
    with tg.scope("mine") as at:
        for t in range(1, T + 1):
            at(t)
            states.append(np.tanh(states[-1] @ masked + states[-2]))
    return states[-1].sum()


def attention(T=4):
    """A cell of the user's that looks back at all states so far, weighted by how alike they are."""
    cell, h, states = tg.nn.GRUCell(3, 4, rng=0), tg.tensor(np.zeros((2, 4), np.float32), name="h_0"), []
    with tg.scope("attention") as at:
        for t in range(1, T + 1):
            at(t)
            h = cell(np.ones((2, 3), np.float32), h)
            states.append(h)
            memory = np.stack(states)
            scores = (memory * h).sum(axis=-1)
            weights = np.exp(scores - scores.max(axis=0))
            h = np.tanh((memory * (weights / weights.sum(axis=0))[:, :, None]).sum(axis=0))
            h.name = "h"
    return (h * h).sum()


def lengths(kind="LSTM", fused="auto", layers=1):
    """Three sequences of a batch, of five, three and two steps."""
    output, _ = CELLS[kind](4, 8, layers, fused=fused, rng=0)(np.ones((5, 3, 4)), lengths=np.array([5, 3, 2]))
    return (output * output).sum()


def mlp():
    model = tg.nn.Sequential(tg.nn.Linear(3, 4, rng=0), tg.nn.Linear(4, 1, rng=1))
    x = tg.tensor(np.ones((5, 3), np.float32), name="x")
    return tg.nn.mse_loss(model[1](np.tanh(model[0](x))), np.zeros((5, 1)))


def before_a_layer(kind):
    """What a program has in front of a layer: the sequence is computed, as a whole."""
    embedding, x = tg.nn.Embedding(5, 4, rng=0), tg.tensor(np.ones((1, 3, 4)), requires_grad=True)
    embedded = embedding(np.array([[0], [1], [2]]))
    rows = [tg.tensor(np.ones((1, 4)), requires_grad=True) for _ in range(3)]
    sequences = {"[ids]": embedded, "swap_axes": x.swapaxes(0, 1), "stack": np.stack(rows)}
    dropout = tg.nn.Dropout(0.5, rng=0)(embedded)
    return dropout if kind == "dropout" else sequences[kind]


GRAPHS = {
    "rnn": lambda: network("RNN"),
    "lstm": lambda: network("LSTM"),
    "gru": lambda: network("GRU"),
    "no head": lambda: network("GRU", head=False),
    "stacked": lambda: network("LSTM", layers=2),
    "bidirectional": lambda: network("LSTM", bidirectional=True),
    "both": lambda: network("GRU", layers=2, bidirectional=True),
    "folded": lambda: network("LSTM", T=30, layers=2),
    "windows": windows,
    "many windows": lambda: windows("RNN", 60, 5),
    "stacked windows": lambda: windows("LSTM", layers=2),
    "last window": lambda: windows(total=False),
    "per step": per_step_losses,
    "seq2seq": two_decoders,
    "own cell": own_cell,
    "attention": attention,
    "long attention": lambda: attention(20),
    "lengths": lengths,
    "composed lengths": lambda: lengths("GRU", fused=False, layers=2),
    "all past gone": lambda: windows("GRU", 12, 3, total=False),
    "mlp": mlp,
    "embedding": lambda: tg.nn.LSTM(4, 3, rng=0)(before_a_layer("[ids]"))[0].sum(),
    "leaf": lambda: tg.nn.GRU(4, 3, rng=0)(tg.tensor(np.ones((3, 1, 4)), requires_grad=True))[0].sum(),
    "chain": lambda: scalar_chain(20),
}


def by_id(picture):
    return {node.id: node for node in picture.nodes}


def marks(drawn, kind):
    """The marks of one kind, in the walk that every writer makes."""
    return [mark for mark in drawn.marks() if isinstance(mark, kind)]


def places(drawn):
    """By the id of each box its left and lower edge, its width and height."""
    return {b.id: (b.x - b.width / 2, b.y - b.height / 2, b.width, b.height) for b in marks(drawn, Block)}


def between_cells(drawn):
    """The edges that lead from cell to cell."""
    return [path for path in marks(drawn, Path) if isinstance(path.edge, Join)]


class Recorder(Canvas):
    """A canvas that notes what is drawn on it: the names of `boxes`, the `arrows` as they are given, and with
    coordinates of the whole `fields`, `ways` and `texts`."""

    def __init__(self):
        super().__init__("light", gradients=True)
        self.boxes, self.arrows, self.fields, self.ways, self.texts = [], [], [], [], []
        self.lines = {}
        self.x = self.y = 0.0

    def box(self, kind, name, title, at, size, lines):
        self.boxes.append(name)
        self.lines[name] = lines
        super().box(kind, name, title, at, size, lines)

    def arrow(self, kind, points, blunt=False, level=False, ends=None):
        self.arrows.append((kind, points))
        super().arrow(kind, points, blunt, level)

    def field(self, look, x, y, w, h, round=0.0, title=""):
        self.fields.append((look, self.x + x, self.y + y, w, h))

    def way(self, look, way, title=""):
        at = (self.x, self.y)
        self.ways.append((look, [(x + at[0], y + at[1]) for _, *numbers in way for x, y in batched(numbers)]))

    def words(self, letters, line, x, y, turned=False):
        self.texts.append((line, self.x + x, self.y + y))

    @contextmanager
    def group(self, x=0.0, y=0.0, name="", title=""):
        self.x, self.y = self.x + x, self.y + y
        yield
        self.x, self.y = self.x - x, self.y - y

    def looks_of(self, start):
        """The looks of the ways that begin with a word."""
        return {look for look, _ in self.ways if look.startswith(start)}


def batched(numbers):
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def recorded(picture):
    """What is drawn for a picture, whatever language it is written in."""
    recorder = Recorder()
    draw(recorder, picture.sheets())
    return recorder


def long_memory(T, weight=0.5):
    """h_t = tanh(weight * h_{t-1}) with the loss at the end: the gradient falls by about the weight a step."""
    h = tg.tensor(np.full(2, 0.1), requires_grad=True, name="h_0")
    with tg.scope("net") as at:
        for t in range(1, T + 1):
            at(t)
            h = np.tanh(h * weight)
            h.name = "h"
    return h.sum()
