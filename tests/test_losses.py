"""Losses: against their formulas and PyTorch, far from zero, and with targets that do not fit."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DataError, DtypeError, ShapeError
from tinygrad_rnn.ops.cross_entropy import CrossEntropy, Surplus

nn = tg.nn
bce = nn.binary_cross_entropy_with_logits


def value_and_gradient(loss: Any, scores: np.ndarray, *args: Any, **kwargs: Any) -> tuple[np.ndarray, np.ndarray]:
    o = tg.tensor(scores, requires_grad=True)
    value = loss(o, *args, **kwargs)
    value.sum().backward()
    return value.data, o.grad


def test_cross_entropy_is_minus_log_softmax_and_its_gradient_softmax_minus_onehot() -> None:
    rng = np.random.default_rng(0)
    scores, target = rng.standard_normal((4, 5)), np.array([0, 4, 2, 2])
    p = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    value, gradient = value_and_gradient(nn.cross_entropy, scores, target, reduction="none")
    np.testing.assert_allclose(value, -np.log(p[range(4), target]), rtol=1e-14)
    np.testing.assert_allclose(gradient, p - np.eye(5)[target], rtol=1e-12, atol=1e-15)
    assert nn.cross_entropy(scores, target).item() == pytest.approx(value.mean(), rel=1e-15)


@pytest.mark.oracle
@pytest.mark.parametrize("shape", [(5,), (4, 5), (3, 4, 5), (2, 3, 2, 5), (4, 1)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("ignore_index", [-100, 1, 255])
def test_cross_entropy_agrees_with_torch(torch: Any, shape: tuple[int, ...], reduction: str, ignore_index: int) -> None:
    rng = np.random.default_rng(0)
    scores = 3 * rng.standard_normal(shape)
    target = rng.integers(0, shape[-1], shape[:-1])
    if target.ndim:
        target.flat[1] = ignore_index
        target.flat[0] = 0
    elif target == ignore_index:
        target = np.array(2)
    options = {"reduction": reduction, "ignore_index": ignore_index}
    value, gradient = value_and_gradient(nn.cross_entropy, scores, target, **options)
    o = torch.tensor(scores, requires_grad=True)
    rows = o.reshape(-1, shape[-1]), torch.as_tensor(target).reshape(-1)
    expected = torch.nn.functional.cross_entropy(*rows, **options)
    expected.sum().backward()
    np.testing.assert_allclose(value, expected.detach().numpy().reshape(value.shape), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(gradient, o.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["mse_loss", "binary_cross_entropy_with_logits"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
def test_regression_losses_agree_with_torch(torch: Any, name: str, reduction: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    scores, target = 3 * rng.standard_normal(shape), rng.uniform(0, 1, shape)
    o, y = torch.tensor(scores, requires_grad=True), torch.tensor(target, requires_grad=True)
    expected = getattr(torch.nn.functional, name)(o, y, reduction=reduction)
    expected.sum().backward()
    our_y = tg.tensor(target, requires_grad=True)
    value, gradient = value_and_gradient(getattr(nn, name), scores, our_y, reduction=reduction)
    for ours, its in ((value, expected.detach()), (gradient, o.grad), (our_y.grad, y.grad)):
        np.testing.assert_allclose(ours, its, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_of_ten_thousand(dtype: Any) -> None:
    scores = np.array([[1e4, 0.0, -1e4], [-1e4, 1e4, 0.0]], dtype)
    value, gradient = value_and_gradient(nn.cross_entropy, scores, [0, 0], reduction="none")
    assert value.dtype == gradient.dtype == dtype
    np.testing.assert_array_equal(value, [0, 2e4])
    np.testing.assert_array_equal(gradient, [[0, 0, 0], [-1, 1, 0]])

    o, y = np.array([1e4, -1e4, 1e4, -1e4], dtype), np.array([1, 0, 0, 1])
    value, gradient = value_and_gradient(bce, o, y, reduction="none")
    assert value.dtype == gradient.dtype == dtype
    np.testing.assert_array_equal(value, [0, 0, 1e4, 1e4])
    np.testing.assert_array_equal(gradient, [0, 0, 1, -1])


@pytest.mark.parametrize("shape", [(5,), (4, 5), (3, 4, 5), (4, 1)])
@pytest.mark.parametrize("size", [1.0, 100.0])
def test_the_fused_op_is_the_difference_it_stands_for(shape: tuple[int, ...], size: float) -> None:
    """Value, gradient, and the gradient of the gradient, as they come out of log Σ e^o - o_y."""
    rng = np.random.default_rng(0)
    o = tg.tensor(size * rng.standard_normal(shape), requires_grad=True)
    target, weight, v = rng.integers(0, shape[-1], shape[:-1]), rng.uniform(0.5, 2, shape[:-1]), rng.random(shape)

    def composed() -> tg.Tensor:
        return tg.logsumexp(o, -1) - o[(*np.indices(target.shape), target)]

    results = []
    for loss in (composed(), nn.cross_entropy(o, target, reduction="none")):
        (first,) = tg.grad((weight * loss).sum(), [o], create_graph=True)
        (second,) = tg.grad((v * first).sum(), [o], create_graph=True)
        (third,) = tg.grad((v * second).sum(), [o])
        results.append([loss.data, first.data, second.data, third.data])
    for ours, expected in zip(*results, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-13)


def test_every_input_of_the_rule_of_the_fused_op_has_a_derivative() -> None:
    rng = np.random.default_rng(0)
    surplus = Surplus(np.array([0, 3, 1]))
    inputs = [tg.tensor(rng.standard_normal(shape), requires_grad=True) for shape in ((3, 4), (3,), (3,), (3,))]
    assert tg.gradcheck(surplus, inputs, order=2)


@pytest.mark.parametrize("apart", [0.0, 40.0, 60.0, 90.0, 200.0])
def test_rows_far_from_each_other_keep_their_digits(apart: float) -> None:
    scores = np.random.default_rng(0).standard_normal((3, 4)) + np.array([[0.0], [apart], [-apart]])
    in_single = value_and_gradient(nn.cross_entropy, scores.astype(np.float32), [0, 1, 2], reduction="none")
    in_double = value_and_gradient(
        nn.cross_entropy, scores.astype(np.float32).astype(float), [0, 1, 2], reduction="none"
    )
    for single, double in zip(in_single, in_double, strict=True):
        np.testing.assert_allclose(single, double, rtol=1e-4, atol=1e-5)


def test_scores_of_minus_infinity_have_no_weight() -> None:
    value, gradient = value_and_gradient(nn.cross_entropy, np.array([[0.0, -np.inf, 0.0]]), [2], reduction="none")
    np.testing.assert_allclose(value, [np.log(2)])
    np.testing.assert_allclose(gradient, [[0.5, 0.0, -0.5]])


def test_a_row_of_minus_infinity_can_be_ignored() -> None:
    scores = np.array([[0.0, 0.0], [-np.inf, -np.inf]])
    with np.errstate(invalid="ignore"):  # inf - inf
        value, gradient = value_and_gradient(nn.cross_entropy, scores, [0, -100], reduction="sum")
    np.testing.assert_allclose(value, np.log(2))
    np.testing.assert_array_equal(gradient, [[-0.5, 0.5], [0, 0]])


def test_small_probabilities_are_not_lost() -> None:
    value = nn.cross_entropy(np.array([[0.0, -100.0]], np.float32), [1])
    assert value.item() == 100.0
    assert bce(np.float32(-60.0), 0.0).item() == pytest.approx(np.exp(-60.0))  # log(1 + e^-60), not 0


def test_float32_stays_float32() -> None:
    scores = np.ones((2, 3), np.float32)
    for reduction in ("mean", "sum", "none"):
        assert nn.cross_entropy(scores, [0, -100], reduction=reduction).dtype == np.float32
        assert nn.mse_loss(scores, scores.astype(float), reduction=reduction).dtype == np.float32
        assert nn.mse_loss(scores, tg.tensor(scores, float), reduction=reduction).dtype == np.float32
        assert bce(scores, np.ones((2, 3), int), reduction=reduction).dtype == np.float32


def test_losses_can_be_differentiated_twice() -> None:
    o = tg.tensor(np.random.default_rng(0).standard_normal((3, 4)), requires_grad=True)
    assert tg.gradcheck(lambda t: nn.cross_entropy(t, [0, 3, -100]), o, order=2)
    assert tg.gradcheck(lambda t: nn.mse_loss(t, np.ones((3, 4))), o, order=2)
    assert tg.gradcheck(lambda t: bce(t, np.full((3, 4), 0.3)), o, order=2)


def test_the_rule_of_cross_entropy_goes_with_the_scores_it_is_given() -> None:
    """What an op has kept of one application is nothing to another, nor to a second pass, and is let go of."""
    rng, target = np.random.default_rng(0), np.array([1, 0, 2])
    op, x, other = CrossEntropy(target), rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    y = op.forward(x)
    g = (rng.standard_normal(3), rng.standard_normal(3))
    softmax = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    expected = softmax * (g[0] + g[1])[:, None] - g[0][:, None] * np.eye(4)[target]
    np.testing.assert_allclose(op.vjp(g, y, x), expected, rtol=1e-13)
    np.testing.assert_allclose(op.vjp(g, y, x), expected, rtol=1e-13)
    op.forward(other)
    np.testing.assert_allclose(op.vjp(g, y, x), expected, rtol=1e-13)
    scores = tg.tensor(x, requires_grad=True)
    loss = nn.cross_entropy(scores, target)
    (record,) = [r for r in tg.tape(loss) if isinstance(r.op, CrossEntropy)]
    loss.backward(retain_graph=True)
    first = scores.grad
    loss.backward()
    np.testing.assert_array_equal(scores.grad, 2 * first)
    assert record.op.kept is None


@pytest.mark.parametrize("row", [[-np.inf, -np.inf], [np.inf, 0.0], [np.nan, 0.0], [-np.inf, 0.0], [1e5, -1e5]])
def test_the_gradient_of_a_row_at_the_edge_is_that_of_the_recorded_rule(row: list[float]) -> None:
    def gradient(create_graph: bool) -> np.ndarray:
        x = tg.tensor([row, [0.5, 1.0]], requires_grad=True)
        (g,) = tg.grad(nn.cross_entropy(x, [0, 1]), [x], create_graph=create_graph)
        return np.asarray(g.data if create_graph else g)

    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(gradient(False), gradient(True), rtol=1e-12)


def test_ignored_targets_count_for_nothing() -> None:
    scores = np.random.default_rng(0).standard_normal((4, 5))
    value, gradient = value_and_gradient(nn.cross_entropy, scores, [1, -100, 2, -100])
    alone, gradient_alone = value_and_gradient(nn.cross_entropy, scores[[0, 2]], [1, 2])
    assert value == pytest.approx(alone, rel=1e-15)
    np.testing.assert_allclose(gradient[[0, 2]], gradient_alone, rtol=1e-14)
    assert not gradient[[1, 3]].any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_scores_of_ignored_targets_may_be_anything(bad: float, reduction: str) -> None:
    x = tg.tensor(np.random.default_rng(0).standard_normal((2, 3, 4)), requires_grad=True)
    target = np.array([[1, -100, 2], [-100, 0, -100]])
    x.data[target == -100] = bad
    loss = nn.cross_entropy(x, target, reduction=reduction)
    loss.sum().backward()
    assert np.isfinite(loss.data).all() and np.isfinite(x.grad).all() and not x.grad[target == -100].any()
    (g,) = tg.grad(nn.cross_entropy(x, target).sum(), [x], create_graph=True)
    (gg,) = tg.grad((g * g).sum(), [x])
    assert np.isfinite(gg.data).all()


# -- bad inputs --------------------------------------------------------------------------------------


def test_all_targets_ignored_or_no_targets() -> None:
    with pytest.raises(ValueError, match="every target is ignore_index"):
        nn.cross_entropy(np.ones((2, 3)), [-100, -100])
    assert nn.cross_entropy(np.ones((2, 3)), [-100, -100], reduction="sum").item() == 0
    for loss, target in ((nn.cross_entropy, np.zeros(0)), (nn.mse_loss, np.zeros((0, 3))), (bce, np.zeros((0, 3)))):
        with pytest.raises(ValueError, match="no mean over nothing"):
            loss(np.zeros((0, 3)), target)
        assert loss(np.zeros((0, 3)), target, reduction="sum").item() == 0


@pytest.mark.parametrize(("target", "named"), [([0, 3], 3), ([-1, 0], -1), ([0, 99], 99)])
def test_classes_out_of_range(target: list[int], named: int) -> None:
    with pytest.raises(DataError, match=rf"cross_entropy: target must be in 0 .. 2, and {named} is not"):
        nn.cross_entropy(np.ones((2, 3)), target)


def test_classes_must_be_whole_numbers() -> None:
    with pytest.raises(DtypeError, match="cross_entropy: target must be integers, not float64"):
        nn.cross_entropy(np.ones((2, 3)), [0.0, 1.0])


@pytest.mark.parametrize("target", [[[0], [1]], [0, 1, 2], 0, [[1, 0, 0], [0, 1, 0]]])
def test_targets_of_another_shape(target: Any) -> None:
    with pytest.raises(ShapeError, match=r"without its last axis, the classes: expected \(2,\), got \("):
        nn.cross_entropy(np.ones((2, 3)), target)
    with pytest.raises(ShapeError):
        nn.cross_entropy(1.0, target)


@pytest.mark.parametrize("bad", [-1.0, 1.5, 255.0, np.nan, np.inf])
def test_what_is_no_probability_is_no_binary_target(bad: float) -> None:
    with pytest.raises(DataError, match=rf"target must be in 0 \.\. 1, and {bad} is not"):
        bce(np.zeros(3), [0.0, bad, 1.0])
    assert bce(np.zeros(0), [], reduction="sum").item() == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_certainty_that_is_right_costs_nothing_and_a_wrong_one_everything(dtype: Any) -> None:
    scores = np.array([np.inf, -np.inf, 0.0], dtype)
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        value, gradient = value_and_gradient(bce, scores, [1.0, 0.0, 0.5], reduction="none")
    np.testing.assert_allclose(value, [0, 0, np.log(2)], rtol=1e-3)
    np.testing.assert_array_equal(gradient, [0, 0, 0])
    value, gradient = value_and_gradient(bce, scores[:2], [0.0, 1.0], reduction="none")
    np.testing.assert_array_equal(value, [np.inf, np.inf])
    np.testing.assert_array_equal(gradient, [1.0, -1.0])


@pytest.mark.parametrize("loss", [nn.mse_loss, bce])
def test_targets_that_would_be_broadcast_are_refused(loss: Any) -> None:
    for target in (np.ones(4), np.ones((1, 1)), 1.0):
        with pytest.raises(ShapeError, match=r"input has shape \(4, 1\) and target \("):
            loss(np.ones((4, 1)), target)


@pytest.mark.parametrize("loss", [nn.mse_loss, bce, nn.cross_entropy])
def test_predictions_are_no_whole_numbers(loss: Any) -> None:
    with pytest.raises(DtypeError, match="input must be real numbers, not int64"):
        loss([1, 2], [0.5, 0.5])


@pytest.mark.parametrize("loss", [nn.mse_loss, bce, nn.cross_entropy])
@pytest.mark.parametrize("reduction", ["average", None, True])
def test_unknown_reductions(loss: Any, reduction: Any) -> None:
    target = [0, -100] if loss is nn.cross_entropy else np.ones((2, 3))
    with pytest.raises(ValueError, match="reduction must be 'mean', 'sum' or 'none'"):
        loss(np.ones((2, 3)), target, reduction=reduction)


# ------------------------------------------------------------------ weights of classes, smoothing, other losses, masks


@pytest.mark.oracle
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_and_smoothing_agree_with_torch(torch: Any, reduction: str, smoothing: float, weighted: bool) -> None:
    rng = np.random.default_rng(0)
    scores, target = rng.normal(size=(7, 4)), np.array([0, 3, -100, 2, 2, 1, -100])
    weight = np.array([1.0, 0.5, 0.0, 3.0]) if weighted else None
    o = torch.tensor(scores, requires_grad=True)
    w = None if weight is None else torch.tensor(weight)
    expected = torch.nn.functional.cross_entropy(
        o, torch.tensor(target), weight=w, reduction=reduction, label_smoothing=smoothing
    )
    expected.sum().backward()
    options = {"weight": weight, "reduction": reduction, "label_smoothing": smoothing}
    value, gradient = value_and_gradient(nn.cross_entropy, scores, target, **options)
    assert value == pytest.approx(expected.detach().numpy(), rel=1e-12)
    assert gradient == pytest.approx(o.grad.numpy(), rel=1e-10, abs=1e-14)


@pytest.mark.oracle
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_logarithms_agrees_with_torch(torch: Any, reduction: str, weighted: bool) -> None:
    rng = np.random.default_rng(0)
    logs, target = -rng.random(size=(5, 3)), np.array([0, 2, -100, 1, 1])
    weight = np.array([1.0, 0.5, 3.0]) if weighted else None
    o = torch.tensor(logs, requires_grad=True)
    w = None if weight is None else torch.tensor(weight)
    expected = torch.nn.functional.nll_loss(o, torch.tensor(target), weight=w, reduction=reduction)
    expected.sum().backward()
    value, gradient = value_and_gradient(nn.nll_loss, logs, target, weight=weight, reduction=reduction)
    assert value == pytest.approx(expected.detach().numpy(), rel=1e-12)
    assert gradient == pytest.approx(o.grad.numpy(), rel=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("name", "options"), [("l1_loss", {}), ("huber_loss", {}), ("huber_loss", {"delta": 0.3})])
def test_losses_of_large_errors_agree_with_torch(torch: Any, name: str, options: Any, reduction: str) -> None:
    rng = np.random.default_rng(0)
    scores, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    scores[0, 0] = y[0, 0]
    o = torch.tensor(scores, requires_grad=True)
    expected = getattr(torch.nn.functional, name)(o, torch.tensor(y), reduction=reduction, **options)
    expected.sum().backward()
    value, gradient = value_and_gradient(getattr(nn, name), scores, y, reduction=reduction, **options)
    assert value == pytest.approx(expected.detach().numpy(), rel=1e-12)
    assert gradient == pytest.approx(o.grad.numpy(), rel=1e-12)


ENTRYWISE = [nn.mse_loss, nn.l1_loss, nn.huber_loss, bce]


@pytest.mark.parametrize("loss", ENTRYWISE, ids=lambda loss: loss.__name__)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_what_is_masked_out_counts_for_nothing_nan_too(loss: Any, reduction: str) -> None:
    rng = np.random.default_rng(0)
    o, y = rng.normal(size=(5, 3, 2)), rng.random(size=(5, 3, 2))
    inside = tg.data.mask([5, 2, 3])
    expected, its = value_and_gradient(loss, o[inside], y[inside], reduction=reduction)
    o[~inside], y[~inside] = np.nan, np.nan if loss is not bce else 7.0
    value, gradient = value_and_gradient(loss, o, y, reduction=reduction, mask=inside)
    assert value == pytest.approx(expected, rel=1e-12)
    assert gradient[inside] == pytest.approx(its) and not gradient[~inside].any()
    assert not loss(o, y, reduction="none", mask=inside).data[~inside].any()


@pytest.mark.parametrize("loss", [nn.nll_loss, nn.l1_loss, nn.huber_loss], ids=lambda loss: loss.__name__)
def test_their_derivatives_to_second_order(loss: Any) -> None:
    o = tg.tensor(np.random.default_rng(0).normal(size=(3, 4)), requires_grad=True)
    target = [0, 3, 1] if loss is nn.nll_loss else np.zeros((3, 4))
    assert tg.gradcheck(lambda t: loss(t, target), o, order=2)
    w = np.array([1.0, 2.0, 0.5, 1.0])
    assert tg.gradcheck(lambda t: nn.cross_entropy(t, [0, 3, 1], weight=w, label_smoothing=0.2), o, order=2)


@pytest.mark.parametrize(
    ("error", "message", "compute"),
    [
        (ValueError, "label_smoothing must be in 0 .. 1", lambda o: nn.cross_entropy(o, [0, 1], label_smoothing=1.5)),
        (ShapeError, "weight must be one number a class", lambda o: nn.cross_entropy(o, [0, 1], weight=[1.0])),
        (DataError, "weight must be 0 or more", lambda o: nn.nll_loss(o, [0, 1], weight=[1, -1, 1])),
        (ValueError, "no target has a weight", lambda o: nn.nll_loss(o, [1, 1], weight=[1, 0, 1])),
        (ValueError, "delta must be above 0", lambda o: nn.huber_loss(o, o, delta=0)),
        (ShapeError, "mask must be True and False", lambda o: nn.mse_loss(o, o, mask=[True])),
        (ShapeError, "mask must be True and False", lambda o: nn.l1_loss(o, o, mask=np.ones((2, 3)))),
        (ValueError, "all is masked out", lambda o: nn.mse_loss(o, o, mask=np.zeros((2, 3), bool))),
    ],
)
def test_what_does_not_fit_them_is_named(error: type, message: str, compute: Any) -> None:
    with pytest.raises(error, match=message):
        compute(np.zeros((2, 3)))
