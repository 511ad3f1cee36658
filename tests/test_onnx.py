"""Models as ONNX files: onnxruntime gives what they give here, also for other lengths and batches than the examples."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.app.charlm import load_model
from tinygrad_rnn.app.cli import main
from tinygrad_rnn.errors import ExportError

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

TOLERANCE = 1e-6  # float32, of numbers near 1


def flat(x):
    return [leaf for part in x for leaf in flat(part)] if isinstance(x, (tuple, list)) else [x]


class Exported:
    """The file of a model, in onnxruntime."""

    def __init__(self, model, path, *examples, **options):
        tg.io.to_onnx(model, path, *examples, **options)
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.inputs = {x.name: x.shape for x in self.session.get_inputs()}
        self.outputs = {x.name: x.shape for x in self.session.get_outputs()}

    def __call__(self, *arguments):
        arrays = [np.asarray(x) for x in flat(arguments)]
        return self.session.run(None, dict(zip(self.inputs, arrays, strict=True)))


def assert_agrees(model, exported, *arguments):
    model.eval()
    with tg.no_grad():
        ours = [np.asarray(x) for x in flat(model(*arguments))]
    theirs = exported(*arguments)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(b, a, rtol=0, atol=TOLERANCE * max(1.0, np.abs(a).max()))


class Function(tg.nn.Module):
    """A model that is a function of tensors."""

    def __init__(self, function, **modules):
        self.function, self.alone = function, not modules
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, *inputs):
        return self.function(*inputs) if self.alone else self.function(self, *inputs)


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


# ------------------------------------------------------------------ recurrent layers


class CharModel(tg.nn.Module):
    def __init__(self, kind, layers, rng, rows=False):
        self.rows = rows
        self.embedding = tg.nn.Embedding(20, 6, rng=rng)
        self.layer = getattr(tg.nn, kind)(6, 8, layers, rng=rng)
        self.head = tg.nn.Linear(8, 20, rng=rng)

    def forward(self, ids, state):
        rows = self.embedding.rows if self.rows else self.embedding
        y, state = self.layer(rows(ids), state)
        return self.head(y), state


def char_state(rng, kind, layers, B):
    parts = tuple(normal(rng, layers, B, 8) for _ in range(2 if kind == "LSTM" else 1))
    return parts if kind == "LSTM" else parts[0]


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_character_model_takes_other_lengths_batches_and_states(kind, layers, tmp_path):
    rng = np.random.default_rng(layers)
    model = CharModel(kind, layers, rng, rows=layers == 2)
    examples = rng.integers(0, 20, (5, 3)), char_state(rng, kind, layers, 3)
    exported = Exported(model, tmp_path / "m.onnx", *examples)
    assert exported.inputs["ids"] == ["T", "B"]
    assert list(exported.inputs.values())[1] == [layers, "B", 8]
    assert exported.outputs["output_0"] == ["T", "B", 20]
    for T, B in ((5, 3), (7, 2), (1, 1), (33, 5)):
        assert_agrees(model, exported, rng.integers(0, 20, (T, B)), char_state(rng, kind, layers, B))


def test_200_characters_sampled_greedily_step_by_step_are_ours(tmp_path):
    rng = np.random.default_rng(7)
    model = CharModel("LSTM", 2, rng)
    for p in model.parameters():
        p.data = 3 * p.data  # far apart, so that the largest score is clear
    state = char_state(rng, "LSTM", 2, 1)
    exported = Exported(model, tmp_path / "m.onnx", np.zeros((2, 3), int), char_state(rng, "LSTM", 2, 3))

    def ours(ids, state):
        with tg.no_grad():
            scores, state = model(ids, state)
        return scores.data, state

    def theirs(ids, state):
        scores, *state = exported(ids, *state)
        return scores, tuple(state)

    def sample(step, state):
        text, ids = [], np.zeros((1, 1), np.int64)
        for _ in range(200):
            scores, state = step(ids, state)
            ids = scores.argmax(-1)
            text.append(int(ids[0, 0]))
        return text

    assert sample(theirs, state) == sample(ours, state)
    assert len(set(sample(ours, state))) > 2


OPTIONS = {
    "RNN": [{}, {"nonlinearity": "relu"}, {"nonlinearity": "sigmoid"}, {"nonlinearity": "identity"}, {"bias": False}],
    "LSTM": [{}, {"peepholes": True}, {"bias": False}, {"cut_gate_gradient": True}, {"learn_initial_state": True}],
    "GRU": [{}, {"reset_after": False}, {"bias": False}, {"learn_initial_state": True}],
}


def random_layer(rng):
    kind = rng.choice(list(OPTIONS))
    options = dict(OPTIONS[kind][rng.integers(len(OPTIONS[kind]))])
    options |= {"bidirectional": bool(rng.integers(2)), "batch_first": bool(rng.integers(2)), "dropout": 0.0}
    layer = getattr(tg.nn, kind)(
        int(rng.integers(1, 5)), int(rng.integers(1, 7)), int(rng.integers(1, 4)), rng=rng, **options
    )
    for name, p in layer.named_parameters():
        if "_0" in name:
            p.data = normal(rng, *p.shape)
    return layer


def random_arguments(rng, layer, T, B, with_lengths, with_state):
    x = normal(rng, *((B, T) if layer.batch_first else (T, B)), layer.input_size)
    arguments = [x]
    rows = layer.num_layers * layer.directions
    parts = tuple(normal(rng, rows, B, layer.hidden_size) for _ in layer.cell_type.states)
    if with_state:
        arguments.append(parts if len(parts) > 1 else parts[0])
    if with_lengths:
        arguments.append(rng.integers(1, T + 1, B))
    return arguments


class Wrapped(tg.nn.Module):
    """A layer with its arguments in the order of a random test."""

    def __init__(self, layer, with_state):
        self.layer, self.with_state = layer, with_state

    def forward(self, x, *rest):
        state = rest[0] if self.with_state else None
        lengths = rest[-1] if len(rest) > self.with_state else None
        return self.layer(x, state, lengths)


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(s, marks=pytest.mark.slow) for s in range(12, 200))])
def test_random_recurrent_layers(seed, tmp_path):
    rng = np.random.default_rng(seed)
    layer = random_layer(rng)
    with_lengths, with_state = bool(rng.integers(2)), bool(rng.integers(2))
    model = Wrapped(layer, with_state)
    exported = Exported(model, tmp_path / "m.onnx", *random_arguments(rng, layer, 4, 3, with_lengths, with_state))
    for T, B in ((4, 3), (9, 5), (1, 1)):
        assert_agrees(model, exported, *random_arguments(rng, layer, T, B, with_lengths, with_state))


def test_a_layer_on_its_own_and_without_a_batch(tmp_path):
    rng = np.random.default_rng(0)
    layer = tg.nn.GRU(3, 4, 2, bidirectional=True, rng=rng)
    exported = Exported(layer, tmp_path / "m.onnx", normal(rng, 5, 3))
    assert exported.inputs == {"x": ["T", 3]}
    assert_agrees(layer, exported, normal(rng, 8, 3))


def test_numbers_of_another_precision_are_cast_at_the_door_as_here(tmp_path):
    rng = np.random.default_rng(0)
    layer = tg.nn.GRU(3, 4, rng=rng)
    exported = Exported(layer, tmp_path / "m.onnx", rng.normal(size=(5, 2, 3)))
    assert_agrees(layer, exported, rng.normal(size=(6, 4, 3)))


# ------------------------------------------------------------------ what lies between


def test_a_classifier_with_all_that_lies_between(tmp_path):
    rng = np.random.default_rng(1)

    def forward(self, x):
        y, state = self.layer(self.norm(np.tanh(x) * 2))
        pooled = np.concatenate([y.mean(1), y[:, -1], y[:, ::-2].max(1), np.sqrt(np.square(y).sum(1) + 1)], axis=-1)
        return tg.softmax(self.head(self.dropout(tg.relu(pooled))), axis=-1), state

    model = Function(
        forward,
        norm=tg.nn.LayerNorm(3),
        layer=tg.nn.GRU(3, 4, batch_first=True, bidirectional=True, rng=rng),
        dropout=tg.nn.Dropout(0.5, rng=rng),
        head=tg.nn.Linear(32, 5, rng=rng),
    )
    exported = Exported(model, tmp_path / "m.onnx", normal(rng, 2, 6, 3))
    for B, T in ((2, 6), (4, 9), (1, 1)):
        assert_agrees(model, exported, normal(rng, B, T, 3))


ELEMENTWISE = {
    "add": lambda x: x + 1.5, "subtract": lambda x: 2 - x, "multiply": lambda x: x * x, "divide": lambda x: 1 / (x + 3),
    "power": lambda x: abs(x) ** 1.5, "negative": lambda x: -x, "absolute": abs, "fabs": np.fabs, "sign": np.sign,
    "positive": np.copy, "reciprocal": lambda x: np.reciprocal(x + 3), "exp": np.exp,
    "log": lambda x: np.log(x + 3), "sqrt": lambda x: np.sqrt(x + 3), "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "arcsin": lambda x: np.arcsin(x / 3), "arccos": lambda x: np.arccos(x / 3), "arctan": np.arctan, "sinh": np.sinh,
    "cosh": np.cosh, "arcsinh": np.arcsinh, "arccosh": lambda x: np.arccosh(x + 4),
    "arctanh": lambda x: np.arctanh(x / 3), "tanh": np.tanh, "sigmoid": tg.sigmoid, "softplus": tg.softplus,
    "relu": tg.relu, "floor": np.floor, "ceil": np.ceil, "rint": np.rint, "maximum": lambda x: np.maximum(x, 0.5),
    "minimum": lambda x: np.minimum(x, x[0]), "where": lambda x: np.where(np.array([True, False, True]), x, 2 * x),
    "square": np.square, "log1p": lambda x: np.log1p(x + 3), "expm1": np.expm1, "gelu": tg.gelu,
    "leaky_relu": tg.leaky_relu, "elu": lambda x: tg.elu(x, 0.7), "clip": lambda x: np.clip(x, -1, 0.5),
}  # fmt: skip

MOVING = {
    "matmul": lambda x: x @ x.T, "sum": lambda x: x.sum(), "sum of axes": lambda x: x.sum((0, 1), keepdims=True),
    "mean": lambda x: x.mean(1), "max": lambda x: x.max(-1), "min": lambda x: x.min(0, keepdims=True),
    "norm": lambda x: np.linalg.norm(x, axis=1), "logsumexp": lambda x: tg.logsumexp(x, 1),
    "softmax": lambda x: tg.softmax(x, 0), "log_softmax": tg.log_softmax, "cumsum": lambda x: np.cumsum(x, 0),
    "einsum": lambda x: np.einsum("bi,bj->bij", x, x), "cast": lambda x: x.astype(np.float64),
    "reshape": lambda x: x.reshape(-1), "reshape with a size": lambda x: x.reshape(len(x), 3, 1),
    "expand_dims": lambda x: np.expand_dims(x, 1),
    "a new axis": lambda x: x[:, None], "squeeze": lambda x: np.squeeze(x[:, :1], 1), "transpose": lambda x: x.T,
    "transpose of axes": lambda x: np.transpose(x[None], (-1, 0, 1)), "swap_axes": lambda x: x.swapaxes(0, 1),
    "broadcast_to": lambda x: np.broadcast_to(x[:1], x.shape), "concatenate": lambda x: np.concatenate([x, 2 * x]),
    "stack": lambda x: np.stack([x, -x], axis=-1), "split": lambda x: tuple(np.split(x, [1], axis=1)),
    "one row": lambda x: x[-1], "rows backwards": lambda x: x[::-1], "all but the last": lambda x: x[: len(x) - 1],
    "every second": lambda x: x[1::2, :2], "rows by number": lambda x: x[np.array([0, -1, 0])],
    "columns by number": lambda x: x[..., np.array([[2, 0]])], "the last by its number": lambda x: x[len(x) - 1],
    "a mean by hand": lambda x: x.sum(0) / len(x), "zeros for each": lambda x: x + np.zeros((len(x), 3), np.float32),
}  # fmt: skip


@pytest.mark.parametrize("name", [*ELEMENTWISE, *MOVING])
def test_an_op_between_layers(name, tmp_path):
    rng = np.random.default_rng(0)
    model = Function({**ELEMENTWISE, **MOVING}[name])
    exported = Exported(model, tmp_path / "m.onnx", normal(rng, 4, 3), input_names=["x"])
    assert exported.inputs == {"x": ["B", 3]}
    for B in (4, 7):
        x = normal(rng, B, 3).clip(-2.5, 2.5)
        assert_agrees(model, exported, x)


def test_every_op_that_is_written_is_tried_above():
    from tinygrad_rnn.io.onnx.ops import BY_HAND, REDUCTIONS, SAME

    tried = set()
    x = tg.tensor(np.ones((4, 3), np.float32), requires_grad=True)
    for function in (*ELEMENTWISE.values(), *MOVING.values()):
        for y in flat(function(x)):
            if y.record is not None:
                tried |= {record.op.name for record in tg.tape(y).records}
    assert {*SAME, *REDUCTIONS, *BY_HAND} - tried <= {"affine"}  # which is in every layer


SHAPES = {  # what a model does with two layers and a sequence (T, B, 3), or two of them
    "a layer called twice": lambda lstm, gru, x: lstm(lstm(x)[0])[0],
    "a layer that goes on from its own state": lambda lstm, gru, x: lstm(x, lstm(x)[1])[0],
    "an input that is an output": lambda lstm, gru, x: (x, lstm(x)[0]),
    "one output twice": lambda lstm, gru, x: (lstm(x)[0],) * 2,
    "a constant and a parameter": lambda lstm, gru, x: (lstm(x)[0], tg.tensor(np.ones(3, np.float32)), gru.b_h),
    "a nesting": lambda lstm, gru, x: [lstm(x), gru(x)],
    "read backwards": lambda lstm, gru, x: gru(x[::-1])[0][::-1],
    "weighed over time": lambda lstm, gru, x: (tg.softmax((gru(x)[0] * x).sum(-1), axis=0)[:, :, None] * x).sum(0),
    "the last two steps": lambda lstm, gru, x: gru(x)[0][-2:],
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("T", "B"), [(5, 2), (2, 1)])
def test_layers_put_together_in_odd_ways(name, T, B, tmp_path):
    rng = np.random.default_rng(0)
    layers = {"lstm": tg.nn.LSTM(3, 3, rng=0), "gru": tg.nn.GRU(3, 3, rng=1)}

    class Odd(tg.nn.Module):
        def __init__(self):
            self.layers = layers

        def forward(self, x):
            return SHAPES[name](layers["lstm"], layers["gru"], x)

    model = Odd()
    exported = Exported(model, tmp_path / "m.onnx", normal(rng, T, B, 3))
    for other in ((T, B), (7, 4), (2, 1)):
        assert_agrees(model, exported, normal(rng, *other, 3))


def test_two_sequences_have_lengths_of_their_own(tmp_path):
    class Translator(tg.nn.Module):
        def __init__(self):
            self.encoder, self.decoder = tg.nn.LSTM(3, 4, rng=0), tg.nn.GRU(3, 4, rng=1)

        def forward(self, x, y, unused):
            return self.decoder(y, self.encoder(x)[1][0])[0]

    rng, model, unused = np.random.default_rng(0), Translator(), np.arange(3)
    exported = Exported(model, tmp_path / "m.onnx", normal(rng, 5, 2, 3), normal(rng, 3, 2, 3), unused)
    assert exported.inputs == {"x": ["T", "B", 3], "y": ["T_2", "B", 3], "unused": [3]}
    assert_agrees(model, exported, normal(rng, 2, 4, 3), normal(rng, 9, 4, 3), unused)


def test_a_dict_names_the_outputs_and_what_is_no_tensor_is_refused(tmp_path):
    class Both(tg.nn.Module):
        def __init__(self, more):
            self.gru, self.more = tg.nn.GRU(3, 4, rng=0), more

        def forward(self, x):
            output, h = self.gru(x)
            return {"scores": output, "state": (h, 2 * h)} | self.more

    rng, path = np.random.default_rng(0), tmp_path / "m.onnx"
    exported = Exported(Both({}), path, normal(rng, 5, 2, 3))
    assert list(exported.outputs) == ["scores", "state_0", "state_1"]
    x = normal(rng, 7, 3, 3)
    for ours, theirs in zip(flat(list(Both({})(x).values())), exported(x), strict=True):
        np.testing.assert_allclose(theirs, ours.data, atol=TOLERANCE)
    path.unlink()
    for wrong, kind in ((None, "NoneType"), ("good", "str")):
        with pytest.raises(ExportError, match=f"among what it gave is {kind}: leave it out"):
            tg.io.to_onnx(Both({"more": wrong}), path, x)
    assert not path.exists()


def test_an_own_loop_over_time_is_written_for_the_lengths_of_the_examples(tmp_path):
    rng = np.random.default_rng(0)
    model = Function(
        lambda self, x: tg.nn.unroll(self.cell_step, x, np.zeros((2, 4), np.float32)), cell=tg.nn.GRUCell(3, 4, rng=0)
    )
    object.__setattr__(model, "cell_step", lambda x, h: (h := model.cell(x, h), h))
    x = normal(rng, 5, 2, 3)
    with pytest.raises(ExportError, match="loop over"):
        tg.io.to_onnx(model, tmp_path / "m.onnx", x, input_names=["x"], axes={"x": {0: "T"}})
    assert not (tmp_path / "m.onnx").exists()
    exported = Exported(model, tmp_path / "m.onnx", x, input_names=["x"], axes={})
    assert_agrees(model, exported, normal(rng, 5, 2, 3))


def test_frozen_parameters_and_those_of_training_are_as_before(tmp_path):
    model = tg.nn.Sequential(tg.nn.Embedding(5, 3, rng=0), tg.nn.Dropout(0.5, rng=0), tg.nn.Linear(3, 2, rng=0))
    model[0].requires_grad_(False)
    model[1].eval()
    names = {"input_names": ["ids"]}
    exported = Exported(model, tmp_path / "m.onnx", np.array([[1, 2]]), axes={"ids": {0: "B", 1: "T"}}, **names)
    assert [m.training for m in model.modules()] == [True, True, False, True]
    assert [p.requires_grad for p in model.parameters()] == [False, True, True]
    assert all(p.grad is None for p in model.parameters())
    assert_agrees(model, exported, np.array([[4, 0, 1], [2, 2, 3]]))


def test_weights_have_the_names_of_the_parameters(tmp_path):
    model = tg.nn.Sequential(tg.nn.Embedding(5, 3, rng=0), tg.nn.Linear(3, 2, rng=0))
    tg.io.to_onnx(model, tmp_path / "m.onnx", np.array([[1, 2]]))
    names = {w.name.rpartition("_")[0] for w in onnx.load(tmp_path / "m.onnx").graph.initializer}
    assert names == {"0.W", "1.W", "1.b"}


# ------------------------------------------------------------------ refusals


def layered(self, x):
    return self.layer(x)[0]


REFUSED = {
    "layer_norm": (layered, {"layer_norm": True}, "LSTM with layer_norm"),
    "forget_gate": (layered, {"forget_gate": False}, "forget_gate=False"),
    "an op": (lambda x: np.linalg.inv(x[:, :3] @ x[:, :3].swapaxes(1, 2)), {}, "op inv"),
    "data taken off the tape": (lambda x: x * float(x.data.mean()), {}, "not on the tape"),
    "a mask from data": (lambda x: np.where(x.data > 0, x, 0), {}, "not on the tape"),
    "a count": (lambda x: x * int((x.data > 0).sum()), {}, "no size of an axis|not on the tape"),
    "an index that depends on data": (lambda x: x[:, int(abs(x.data).sum() * 10) % 3], {}, "no size of an axis"),
    "several index arrays": (lambda x: x[np.array([0, 1]), np.array([0, 1])], {}, "an index that ONNX has not"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_file_could_not_say_is_refused_by_name(name, tmp_path):
    function, options, message = REFUSED[name]
    model = Function(function, **({"layer": tg.nn.LSTM(3, 4, rng=0, **options)} if options else {}))
    x = normal(np.random.default_rng(0), 5, 3, 3)
    with pytest.raises(ExportError, match=message):
        tg.io.to_onnx(model, tmp_path / "m.onnx", x, input_names=["x"])
    assert list(tmp_path.iterdir()) == []


def test_class_numbers_used_outside_of_an_embedding_are_refused(tmp_path):
    model = Function(lambda self, ids: self.e(ids) * (ids > 0)[..., None], e=tg.nn.Embedding(5, 3, rng=0))
    with pytest.raises(ExportError, match="not on the tape"):
        tg.io.to_onnx(model, tmp_path / "m.onnx", np.array([[0, 1, 4]]), input_names=["ids"])


def test_arguments_that_are_wrong_are_named(tmp_path):
    layer, x, path = tg.nn.Linear(3, 2, rng=0), np.zeros((2, 3), np.float32), tmp_path / "m.onnx"
    for arguments, options, message in (
        ((), {}, "give an example"),
        (("words",), {}, "an example input must be an array"),
        ((x,), {"input_names": ["a", "b"]}, "input_names must be 1"),
        ((x,), {"output_names": ["x"]}, "output_names must be 1"),
        ((x,), {"axes": {"y": {0: "B"}}}, "axes names \\['y'\\]"),
        ((x,), {"axes": {"x": {2: "B"}}}, "axes of 'x' must be in 0 .. 1"),
        ((x,), {"axes": {"x": {1: "I"}}}, "does not run with longer axes"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            tg.io.to_onnx(layer, path, *arguments, **options)
    with pytest.raises(TypeError, match="model must be a"):
        tg.io.to_onnx(lambda x: x, path, x)
    assert not path.exists()


# ------------------------------------------------------------------ the command, and a web page


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of a small run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("a tale of two cities, told in a few words " * 200, "utf-8")
    options = ["--hidden", "8", "--batch", "4", "--window", "16", "--layers", "2", "--steps", "5", "--quiet"]
    assert main(["train", "--text", "text.txt", "--out", "run", *options]) == 0
    return tmp_path / "run"


def greedy(folder, prompt, length):
    """What the model of a run writes, always the most likely character."""
    model, vocabulary, _ = load_model(folder)
    text = prompt
    with tg.no_grad():
        scores, state = model(vocabulary.encode(text)[:, None])
        for _ in range(length):
            text += vocabulary.decode([scores.data[-1, 0].argmax()])
            scores, state = model(vocabulary.encode(text[-1])[:, None], state)
    return text


def test_a_run_is_exported_with_its_characters(run, capsys):
    capsys.readouterr()
    assert main(["export", str(run), "--onnx"]) == 0
    assert capsys.readouterr().out.strip() == str(run / "model.onnx")
    about = json.loads((run / "model.json").read_text("utf-8"))
    session = onnxruntime.InferenceSession(str(run / "model.onnx"), providers=["CPUExecutionProvider"])
    state = [np.zeros(shape, np.float32) for shape in about["states"].values()]
    text = "a tale"
    ids = np.array([[about["characters"].index(character)] for character in text])
    for _ in range(20):
        scores, *state = session.run(None, {"ids": ids, **dict(zip(about["states"], state, strict=True))})
        ids = scores[-1:].argmax(-1)
        text += about["characters"][ids[0, 0]]
    assert text == greedy(run, "a tale", 20)


def test_the_command_says_what_is_wrong(run, tmp_path, capsys):
    capsys.readouterr()
    assert main(["export", str(run), "--onnx", "--out", "model.pt"]) == 2
    assert "should end in .onnx" in capsys.readouterr().err
    assert main(["export", "nowhere", "--onnx"]) == 1
    with pytest.raises(SystemExit):
        main(["export", str(run)])
    assert "--onnx" in capsys.readouterr().err


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def test_the_example_page_writes_what_the_model_writes(run):
    """With Chromium, Playwright, and ONNXRUNTIME_WEB naming a folder with onnxruntime-web's files."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (extra browser)")
    library = os.environ.get("ONNXRUNTIME_WEB")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if library is None or program is None:
        pytest.skip("no Chromium, or ONNXRUNTIME_WEB names no folder of onnxruntime-web")
    assert main(["export", str(run), "--onnx"]) == 0
    shutil.copy(Path(__file__).parents[1] / "examples" / "write_in_a_page.html", run)
    shutil.copytree(library, run / "library")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=run))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program)
        page, requests, errors = browser.new_page(), [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}write_in_a_page.html?library=library/")
        page.fill("#prompt", "a tale")
        page.fill("#temperature", "0")
        page.click("#write:not([disabled])")
        page.wait_for_function("document.getElementById('speed').textContent.includes('ms a character')")
        text = page.text_content("#text")
        browser.close()
    server.shutdown()
    server.server_close()
    assert errors == [] and all(url.startswith(address) for url in requests)
    assert text == greedy(run, "a tale", 300)


def test_the_example_samples_what_the_model_here_samples(tmp_path):
    program = Path(__file__).parents[1] / "examples" / "to_onnx.py"
    done = subprocess.run([sys.executable, program], cwd=tmp_path, capture_output=True, text=True, check=True)
    classes, verdict = done.stdout.splitlines()
    assert len(classes.split()) == 11 and verdict == "the same as here: True"
