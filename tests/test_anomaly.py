"""Within `anomaly`, a nan or inf that was in the data is not put down to an op or to its rule."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.errors import AnomalyError

T, B, WIDTH, H = 4, 2, 3, 5


def network(where: str, bad: float, kind: Any, **options: Any) -> Any:
    """The loss of a layer; one number of the input, the target, a weight or the first state is bad."""
    rng = np.random.default_rng(0)
    x, y, h = rng.standard_normal((T, B, WIDTH)), rng.standard_normal((T, B, H)), rng.standard_normal((1, B, H))
    layer = kind(WIDTH, H, rng=0, dtype=float, **options)
    if where == "input":
        x[1, 0, 2] = bad
    elif where == "target":
        y[1, 0, 2] = bad
    elif where == "state":
        h[0, 1, 3] = bad
    else:
        values = getattr(layer, where).data
        values.flat[1] = bad
        getattr(layer, where).data = values
    state = (h, np.zeros_like(h)) if kind is nn.LSTM else h
    output, _ = layer(tg.tensor(x, name="x"), state)
    return nn.mse_loss(output, tg.tensor(y, name="y"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["input", "target", "state", "W_xh", "W_hh", "b_h"])
@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("fused", ["auto", True, False])
def test_the_data_are_named(kind: Any, where: str, bad: float, fused: Any) -> None:
    with np.errstate(all="ignore"), warnings.catch_warnings(), tg.anomaly():
        warnings.simplefilter("ignore")
        loss = network(where, bad, kind, fused=fused)
        try:
            loss.backward()
        except AnomalyError as error:
            said = str(error)
        else:
            assert np.isinf(bad)  # a gate that is shut for good has a gradient of 0, and all is well
            return
    assert "comes from the data: input " in said and f"holds {bad}" in said
    assert "derivative rule" not in said
    expected = {"input": "a constant named x", "target": "a constant named y", "state": "a constant"}
    assert expected.get(where, f"a weight named {where}") in said
    if where == "input":
        assert "[1, 0, 2]" in said and ("t=2" in said or np.isinf(bad))


def test_forward_says_so_at_once_and_names_the_line() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    x = np.array([1.0, np.nan])
    with (
        tg.anomaly(),
        pytest.warns(RuntimeWarning, match=r"input 1 of op multiply, a plain array, holds nan at \[1\]") as seen,
    ):
        w * x  # the line of the user
    assert seen[0].filename == __file__ and "the line of the user" in str(seen[0].message)


def test_what_an_op_makes_is_still_the_ops_own() -> None:
    w = tg.tensor([1.0, -1.0], requires_grad=True)
    with (
        tg.anomaly(),
        np.errstate(all="ignore"),
        pytest.raises(AnomalyError, match=r"op log made nan at \[1\] from finite"),
    ):
        np.log(w * 2)
    with np.errstate(all="ignore"):
        y = np.log(w * 2)  # before it was watched
        z = (np.tanh(y) * 2).sum()
        with tg.anomaly(), pytest.raises(AnomalyError, match="derivative rule of op tanh made nan"):
            z.backward()


def test_nan_that_is_selected_away_and_inf_in_a_mask_are_no_anomaly() -> None:
    w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    data, mask = np.array([1.0, np.nan, 2.0]), np.array([0.0, -np.inf, 0.0])
    known = ~np.isnan(data)
    with tg.anomaly():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            loss = ((w[known] - data[known]) ** 2).sum() + (w * np.where(known, data, 0)).sum()
            loss = loss + tg.softmax(w + mask)[0]
        loss.backward()
    assert np.isfinite(w.grad).all()


def test_the_data_behind_a_long_way() -> None:
    w = tg.tensor(np.ones(3), requires_grad=True, name="w")
    x = tg.tensor([1.0, np.inf, 1.0], name="measured")
    with tg.anomaly(), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        h = w
        with tg.scope("filter") as at:
            for t in range(1, 6):
                at(t)
                h = h * 0.5 + (x * w if t == 3 else w)
        loss = np.tanh(h).sum() + (h - h).sum()
        with pytest.raises(
            AnomalyError, match=r"the data: input \d of op multiply at filter t=3, a constant named measured"
        ):
            (loss * loss).backward()
