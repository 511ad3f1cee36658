"""tg.fit: a loop with what surrounds it: early stopping, best weights, logs, and going on bit for bit."""

import copy
import csv
import json
import math
import pickle
import signal

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import CheckpointError
from tinygrad_rnn.training import History, update

RNG = np.random.default_rng(0)
X = [RNG.normal(size=(n, 3)).astype(np.float32) for n in RNG.integers(2, 9, 40)]
Y = [int(x.sum() > 0) for x in X]


class Classifier(tg.nn.Module):
    def __init__(self, rng=0, dropout=0.2):
        rng = np.random.default_rng(rng)
        self.gru = tg.nn.GRU(3, 6, rng=rng)
        self.dropout = tg.nn.Dropout(dropout, rng=rng)
        self.head = tg.nn.Linear(6, 2, rng=rng)

    def forward(self, x, lengths):
        _, h = self.gru(x, lengths=lengths)
        return self.head(self.dropout(h[0]))


def loss(model, x, y, lengths):
    scores = model(x, lengths)
    return tg.nn.cross_entropy(scores, y), scores


def setting(**options):
    """A model, its optimizer, schedule and data, as a program would make them."""
    model = Classifier()
    optimizer = tg.optim.Adam(model.parameters(), lr=0.05)
    made = {
        "train": tg.data.batches(X, Y, 8, shuffle=True, bucket=True, rng=3),
        "validation": tg.data.batches(X[:10], Y[:10], 8),
        "optimizer": optimizer,
        "schedule": tg.optim.ExponentialLR(optimizer, 0.9),
        "epochs": 4,
        "clip": 1.0,
        "progress": False,
    }
    return model, made | options


def fit(model, made, by=loss):
    options = dict(made)
    return tg.fit(model, by, options.pop("train"), **options)


def without_seconds(history):
    return [{name: x for name, x in row.items() if name != "seconds"} for row in history]


def weights(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


# ------------------------------------------------------------------ the loop


def test_it_is_the_loop_that_one_would_write_by_hand():
    model, made = setting()
    history = fit(model, made)
    other, again = setting()
    optimizer, schedule, losses = again["optimizer"], again["schedule"], []
    for _ in range(4):
        other.train()
        total = count = 0
        for x, y, lengths in again["train"]:
            value, _ = loss(other, x, y, lengths)
            optimizer.zero_grad()
            value.backward()
            tg.optim.clip_grad_norm_(other.parameters(), 1.0)
            optimizer.step()
            total, count = total + value.item() * len(y), count + len(y)
        schedule.step()
        losses.append(total / count)
    assert weights(model) == weights(other)
    assert history["loss"].tolist() == pytest.approx(losses)
    assert history["lr"].tolist() == pytest.approx([0.05 * 0.9**k for k in range(4)])
    assert history["epoch"].tolist() == [1, 2, 3, 4] and history.stopped == ""


def test_validation_is_measured_in_eval_mode_and_weighed_by_targets():
    model, made = setting(metrics=[tg.metrics.accuracy])
    history = fit(model, made)
    model.eval()
    with tg.no_grad():
        x, lengths = tg.data.pad(X[:10])
        value, scores = loss(model, x, np.array(Y[:10]), lengths)
    assert history["validation_loss"][-1] == pytest.approx(value.item(), rel=1e-5)
    assert history["validation_accuracy"][-1] == pytest.approx(tg.metrics.accuracy(scores, Y[:10]))


def test_evaluate_leaves_each_module_in_its_mode():
    model, made = setting()
    model.dropout.eval()
    tg.evaluate(model, loss, made["validation"])
    assert [m.training for m in (model, model.gru, model.dropout)] == [True, True, False]


def test_patience_stops_and_the_best_weights_are_kept(tmp_path):
    def worse_after_three(model, x):
        nonlocal calls
        calls += model.training
        return (model.W * 0).sum() + model.W.sum() * 0.0 + abs(calls - 3.0)

    calls = 0
    model = tg.nn.Linear(1, 1, rng=0)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    seen = []

    def remember(row):
        model.b.data = np.array([row["epoch"]], np.float32)

    history = tg.fit(
        model,
        lambda model, x: worse_after_three(model, x) + 0 * model.b.sum(),
        [(0,)],
        epochs=50,
        optimizer=optimizer,
        patience=4,
        best=tmp_path / "best.safetensors",
        log=lambda row: (seen.append(row["epoch"]), remember(row)),
        progress=False,
    )
    assert history.best == 3 and len(history) == 7 and history.stopped == "patience"
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert model.b.data[0] == 2  # set after epoch 2, and so the weight of epoch 3
    assert tg.load(tmp_path / "best.safetensors")["b"][0] == 2


def test_a_loss_that_is_nan_is_named_with_its_place_and_the_weights_stay(tmp_path):
    model, made = setting(epochs=3, resume=tmp_path / "run.safetensors")
    calls = 0

    def breaks(model, *batch):
        nonlocal calls
        calls += model.training
        value, scores = loss(model, *batch)
        return (value * np.nan if calls == 8 else value), scores

    with pytest.raises(FloatingPointError, match="nan in epoch 2, batch 3"):
        fit(model, made, breaks)
    assert all(np.isfinite(p.data).all() for p in model.parameters())


# ------------------------------------------------------------------ stopping and going on


@pytest.mark.parametrize("at", [1, 4, 5, 6, 13])
def test_ctrl_c_leaves_a_state_from_which_it_goes_on_bit_for_bit(at, tmp_path):
    whole, made = setting()
    expected = fit(whole, made)
    path, calls = tmp_path / "run.safetensors", 0

    def interrupted(model, *batch):
        nonlocal calls
        calls += model.training
        if calls == at and model.training:
            signal.raise_signal(signal.SIGINT)
        return loss(model, *batch)

    model, made = setting(resume=path)
    with pytest.raises(KeyboardInterrupt):
        fit(model, made, interrupted)
    assert calls == at  # the batch in hand was finished, and no other begun
    model, made = setting(resume=path)
    model.gru.W_xh.data = model.gru.W_xh.data * 0  # whatever it begins with
    history = fit(model, made)
    assert weights(model) == weights(whole)
    assert without_seconds(history) == without_seconds(expected)


def test_a_finished_training_goes_on_to_more_epochs_as_if_it_had_never_ended(tmp_path):
    whole, made = setting(epochs=5, best=True)
    expected = fit(whole, made)
    for epochs in (2, 2, 5):
        model, made = setting(epochs=epochs, best=True, resume=tmp_path / "run.safetensors")
        history = fit(model, made)
    assert without_seconds(history) == without_seconds(expected)
    assert weights(model) == weights(whole)


def test_a_signal_to_terminate_stops_it_too(tmp_path):
    def terminated(model, *batch):
        signal.raise_signal(signal.SIGTERM)
        return loss(model, *batch)

    model, made = setting(resume=tmp_path / "run.safetensors")
    with pytest.raises(SystemExit) as stop:
        fit(model, made, terminated)
    assert stop.value.code == 128 + signal.SIGTERM and (tmp_path / "run.safetensors").exists()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_files_of_others_are_not_gone_on_from(tmp_path):
    path = tmp_path / "run.safetensors"
    model, made = setting(epochs=1, resume=path)
    fit(model, made)
    wider = tg.nn.Linear(3, 2, rng=0)
    optimizer = tg.optim.SGD(wider.parameters(), lr=0.1)
    with pytest.raises(CheckpointError, match="of another model"):
        tg.fit(wider, loss, [()], epochs=1, optimizer=optimizer, resume=path)
    tg.save(wider, path)
    with pytest.raises(CheckpointError, match=r"not a file that tg\.fit can go on from"):
        fit(*setting(resume=path))


NOISE = np.random.default_rng(7)


class Noisy(Classifier):
    """Draws from generators of its own, and from one of the module that it is written in."""

    def __init__(self):
        super().__init__()
        self.generators = {"input": [np.random.default_rng(1)], "scores": np.random.default_rng(2)}

    def forward(self, x, lengths):
        x = x + self.generators["input"][0].normal(size=x.shape).astype(np.float32)
        scores = super().forward(x, lengths)
        return scores + self.generators["scores"].normal(size=scores.shape) + NOISE.normal()


def test_generators_go_on_wherever_the_model_keeps_them(tmp_path):
    def made(**options):
        NOISE.bit_generator.state = np.random.default_rng(7).bit_generator.state  # as in a program started anew
        model = Noisy()
        return model, setting(optimizer=tg.optim.SGD(model.parameters(), lr=0.1), schedule=None, **options)[1]

    whole, _ = fit_both(made())
    path = tmp_path / "run.safetensors"
    stopped(path, at=8, made=made(resume=path))
    model, _ = fit_both(made(resume=path))
    assert weights(model) == weights(whole)


def stopped(path, at=3, made=None):
    """A training that Ctrl-C ends within its epochs, and the file that it leaves."""
    calls = 0

    def interrupted(model, *batch):
        nonlocal calls
        calls += model.training
        if calls == at and model.training:
            signal.raise_signal(signal.SIGINT)
        return loss(model, *batch)

    with pytest.raises(KeyboardInterrupt):
        fit(*(made or setting(resume=path)), interrupted)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"train": tg.data.batches(X, Y, 4, shuffle=True, rng=3)}, "of 5 batches, 40 sequences, 8 batch_size; now"),
        ({"train": tg.data.batches(X[:20], Y[:20], 4, rng=3)}, "now it has 5 batches, 20 sequences, 4 batch_size"),
        ({"train": list(tg.data.batches(X, Y, 8))}, "The place in train was kept by"),
        ({"schedule": None}, "schedule was ExponentialLR, and is None now"),
        ({"best": True}, "weights of its best epoch, 1, were not kept"),
    ],
)
def test_what_is_set_up_otherwise_does_not_go_on(tmp_path, other, message):
    path = tmp_path / "run.safetensors"
    stopped(path, at=8)
    model, made = setting(resume=path, **other)
    with pytest.raises(CheckpointError, match=message):
        fit(model, made)


def test_between_epochs_it_goes_on_with_other_batches(tmp_path):
    path = tmp_path / "run.safetensors"
    fit(*setting(epochs=1, resume=path))
    model, made = setting(epochs=2, resume=path, train=tg.data.batches(X, Y, 20, shuffle=True, rng=3))
    assert len(fit(model, made)) == 2 and np.isfinite(weights_of(model)).all()


def weights_of(model):
    return np.concatenate([p.data.ravel() for p in model.parameters()])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_within_the_validation_ends_after_it(tmp_path, number):
    expected = fit(*setting())

    def terminated(model, *batch):
        if not model.training and len(seen) < 1:
            seen.append(number)
            signal.raise_signal(number)
        return loss(model, *batch)

    path, seen = tmp_path / "run.safetensors", []
    model, made = setting(resume=path)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(model, made, terminated)
    assert without_seconds(fit(*setting(resume=path))) == without_seconds(expected)


def test_a_function_of_ones_own_that_fails_loses_nothing(tmp_path):
    expected, path = fit(*setting()), tmp_path / "run.safetensors"

    def log(row):
        if row["epoch"] == 2:
            raise RuntimeError("no space in the log")

    with pytest.raises(RuntimeError, match="no space"):
        fit(*setting(resume=path, log=log))
    assert without_seconds(fit(*setting(resume=path))) == without_seconds(expected)


@pytest.mark.parametrize("options", [{"patience": 2}, {"patience": 2, "best": True}])
def test_waiting_goes_on_where_it_was(tmp_path, options):
    def made(epochs, **more):
        model, made = setting(epochs=epochs, **options, **more)
        made["optimizer"].lr = 0.4  # too large, so that it soon gets worse
        return model, made

    whole, expected = fit_both(made(30))
    assert expected.stopped == "patience"
    for epochs in (expected.best, len(expected) - 1, 30, 30):
        model, history = fit_both(made(epochs, resume=tmp_path / "run.safetensors"))
    assert without_seconds(history) == without_seconds(expected) and history.stopped == "patience"
    assert weights(model) == weights(whole)


def fit_both(made):
    return made[0], fit(*made)


def test_a_gradient_that_is_nan_reaches_no_weight(tmp_path):
    model, made = setting(clip=None, epochs=1)
    before = weights(model)

    def breaks(model, *batch):
        value = loss(model, *batch)[0]
        return value + np.sqrt(value * 0)  # finite, and its derivative is not

    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="gradient became nan in epoch 1, batch 1"):
        fit(model, made, breaks)
    assert weights(model) == before


def test_what_is_measured_is_all_of_the_data_and_their_order_stays():
    model, _ = setting()
    validation = tg.data.batches(X, Y, 8, shuffle=True, rng=0)
    expected = tg.evaluate(model, loss, validation)
    for _ in validation:
        if validation.position == 2:
            break
    assert tg.evaluate(model, loss, validation) == expected and validation.position == 2


# ------------------------------------------------------------------ logs and the history


def test_logs_are_tables_that_others_read(tmp_path):
    for name in ("log.csv", "log.jsonl"):
        model, made = setting(epochs=2, log=tmp_path / name)
        history = fit(model, made)
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [list(row) for row in rows] == [["epoch", "loss", "lr", "validation_loss", "seconds"]] * 2
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == history.rows


def test_a_log_in_json_is_json_where_a_figure_is_nan_and_histories_are_copied(tmp_path):
    history = History([{"epoch": 1, "loss": 0.5, "validation_loss": math.nan}], best=1)
    history.to_jsonl(tmp_path / "log.jsonl")
    refuse = pytest.fail
    line = json.loads((tmp_path / "log.jsonl").read_text(), parse_constant=refuse)
    assert line == {"epoch": 1, "loss": 0.5, "validation_loss": None}
    for other in (copy.deepcopy(history), pickle.loads(pickle.dumps(history))):
        assert str(other) == str(history) and other.best == 1


def test_a_history_is_a_table_and_a_plot():
    history = History([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "validation_loss": 1.0}], best=2)
    assert str(history).splitlines()[0].split() == ["epoch", "loss", "validation_loss"]
    assert "<table>" in history._repr_html_()
    assert math.isnan(history["validation_loss"][0]) and len(list(history)) == 2
    with pytest.raises(KeyError, match="no column 'accuracy'; there are epoch, loss, validation_loss"):
        history["accuracy"]
    pytest.importorskip("matplotlib")
    labels = [text.get_text() for text in history.plot().get_legend().get_texts()]
    assert labels == ["loss", "validation loss", "best, epoch 2"]


def test_without_a_terminal_there_is_a_line_an_epoch(capsys):
    model, made = setting(epochs=2, progress=True)
    fit(model, made)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and [line.split(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert "validation_loss" in lines[0] and all(len(line) <= 80 for line in lines)


# ------------------------------------------------------------------ what is wrong is named


@pytest.mark.parametrize(
    ("options", "by", "error", "message"),
    [
        ({"train": iter([])}, loss, TypeError, "train must give its batches again each epoch"),
        ({"train": lambda: [()]}, loss, TypeError, "not an iterator or function"),
        ({"validation": iter([])}, loss, TypeError, "validation must give its batches again"),
        ({"epochs": 1.5}, loss, ValueError, "epochs must be a whole number of 0 or more, not 1.5"),
        ({"epochs": -1}, loss, ValueError, "epochs must be"),
        ({"patience": 0}, loss, ValueError, "patience must be a whole number of 1 or more, not 0"),
        ({"clip": 0}, loss, ValueError, "clip must be a number above 0, or None for no clipping, not 0"),
        ({"clip": math.nan}, loss, ValueError, "clip must be"),
        ({"optimizer": tg.optim.SGD}, loss, TypeError, "optimizer must be one of tg.optim, made with .*, not SGD"),
        ({"optimizer": tg.optim.SGD(Classifier().parameters(), 0.1)}, loss, ValueError, "none of the model's param"),
        ({"schedule": tg.optim.StepLR}, loss, TypeError, "made with the optimizer"),
        (
            {"schedule": tg.optim.StepLR(tg.optim.SGD(Classifier().parameters(), 0.1), 1)},
            loss,
            ValueError,
            "schedule is of another optimizer",
        ),
        ({"metrics": tg.metrics.accuracy}, loss, TypeError, "put one in brackets"),
        ({"metrics": [tg.metrics.accuracy] * 2}, loss, ValueError, "'accuracy' is the name of several"),
        ({"metrics": [loss]}, loss, ValueError, "'loss' is the name of several"),
        ({"best": "no/such/best.safetensors"}, loss, FileNotFoundError, "the folder of best="),
        ({"resume": "no/such/run"}, loss, FileNotFoundError, "the folder of resume="),
        ({"log": "no/such/log.csv"}, loss, FileNotFoundError, "the folder of log="),
        ({"train": []}, loss, ValueError, "train has no batches"),
        ({"validation": []}, loss, ValueError, "there are no batches"),
        ({"log": "log.txt"}, loss, ValueError, r"must end in \.csv or \.jsonl"),
        (
            {},
            lambda model, x, y, lengths: model(x, lengths),
            TypeError,
            "not Tensor of shape",
        ),
        ({}, lambda model, x, y, lengths: 0.5, TypeError, "not float"),
        (
            {"metrics": [tg.metrics.accuracy]},
            lambda model, *batch: loss(model, *batch)[0],
            TypeError,
            r"return the pair \(loss, scores\)",
        ),
    ],
)
def test_what_is_wrong_is_named(options, by, error, message):
    with pytest.raises(error, match=message):
        fit(*setting(**options), by)


def test_update_is_one_step_of_gradient_descent():
    w = tg.nn.Parameter(np.array([3.0, 4.0]))
    optimizer = tg.optim.SGD([w], lr=0.5)
    assert update((w * w).sum() / 2, optimizer, clip=1.0) == 12.5
    assert w.data.tolist() == pytest.approx([3 - 0.5 * 0.6, 4 - 0.5 * 0.8])
