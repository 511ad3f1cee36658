"""Where a function has no derivative, or many: what is returned there, in the order of docs/functions.md."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import ops

INF, NAN = math.inf, math.nan
EYE, ONES = [[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]
STEPS = (np.sign, np.floor, np.ceil, np.trunc, np.rint, np.round)

CONVENTIONS: list[tuple[str, list[tuple[Any, list[Any], list[Any]]]]] = [
    ("`np.absolute`, `np.fabs` | at 0", [(f, [[0.0]], [[0.0]]) for f in (np.absolute, np.fabs, abs)]),
    (
        "`np.sign`, `np.floor`, `np.ceil`, `np.trunc`, `np.rint`, `np.round` | everywhere, also at a jump",
        [(f, [[0.0, 1.0, 0.5, -2.3]], [[0.0] * 4]) for f in STEPS],
    ),
    (
        "`np.remainder`, `np.fmod` | at a jump",
        [(f, [[4.0, -4.0], [2.0, 2.0]], [[1.0, 1.0], [-2.0, 2.0]]) for f in (np.remainder, np.fmod)],
    ),
    (
        "`np.copysign` | second argument",
        [(np.copysign, [[2.0, 0.0, 2.0], [-1.0, 1.0, -0.0]], [[-1.0, 0.0, -1.0], [0.0, 0.0, 0.0]])],
    ),
    (
        "`np.sqrt`, `np.cbrt`, `np.power` with an exponent between 0 and 1 | at 0",
        [(f, [[0.0]], [[INF]]) for f in (np.sqrt, np.cbrt, lambda x: x**0.5)],
    ),
    (
        "`np.power` | base 0, exponent 0",
        [(np.power, [[0.0], [0.0]], [[0.0], [0.0]]), (lambda x: x**0, [[0.0]], [[0.0]])],
    ),
    (
        "`np.power` | base 0, exponent 2",
        [(np.power, [[0.0], [2.0]], [[0.0], [0.0]]), (lambda x: x**1, [[0.0]], [[1.0]])],
    ),
    ("`np.hypot`, `np.arctan2` | at the origin", [(f, [[0.0], [0.0]], [[0.0], [0.0]]) for f in (np.hypot, np.arctan2)]),
    ("`tg.relu` | at 0", [(tg.relu, [[0.0]], [[0.0]])]),
    ("`tg.leaky_relu` | at 0", [(lambda x: tg.leaky_relu(x, 0.3), [[0.0]], [[0.3]])]),
    ("`tg.elu` | at 0", [(lambda x: tg.elu(x, 0.3), [[0.0]], [[0.3]])]),
    (
        "`np.maximum`, `np.minimum`, `np.fmax`, `np.fmin` | equal arguments",
        [(f, [[1.0], [1.0]], [[0.5], [0.5]]) for f in (np.maximum, np.minimum, np.fmax, np.fmin)],
    ),
    (
        "`np.fmax`, `np.fmin` | one is nan",
        [(f, [[NAN, 1.0], [1.0, NAN]], [[0.0, 1.0], [1.0, 0.0]]) for f in (np.fmax, np.fmin)],
    ),
    ("`np.clip` | at a bound", [(lambda x: np.clip(x, -1, 1), [[-1.0, 1.0, 2.0]], [[0.5, 0.5, 0.0]])]),
    (
        "`np.max`, `np.min`, `np.linalg.norm` with inf | equal extremes",
        [
            (np.max, [[1.0, 1.0, 0.0]], [[0.5, 0.5, 0.0]]),
            (np.min, [[1.0, 0.0, 0.0]], [[0.0, 0.5, 0.5]]),
            (lambda x: np.max(x, initial=1), [[1.0, 1.0, 0.0]], [[1 / 3, 1 / 3, 0.0]]),
            (lambda x: np.min(x, initial=-1), [[1.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]),
            (lambda x: np.linalg.norm(x, np.inf), [[-2.0, 2.0, 0.0]], [[-0.5, 0.5, 0.0]]),
        ],
    ),
    (
        "`np.sort`, `np.partition`, `np.median` | equal entries",
        [
            (lambda x: np.sort(x)[0], [[2.0, 1.0, 1.0]], [[0.0, 1.0, 0.0]]),
            (lambda x: np.sort(x)[1], [[2.0, 1.0, 1.0]], [[0.0, 0.0, 1.0]]),
            (lambda x: np.partition(x, 0) * [1.0, 1.0], [[1.0, 1.0]], [[1.0, 1.0]]),
            (np.median, [[1.0, 1.0, 1.0]], [[0.0, 1.0, 0.0]]),
        ],
    ),
    (
        "`np.linalg.norm`, `np.std` | at 0",
        [(lambda x, p=p: np.linalg.norm(x, p), [[0.0, 0.0]], [[0.0, 0.0]]) for p in (None, 1, 2, 3, 0.5, np.inf)]
        + [(np.std, [[1.0, 1.0]], [[0.0, 0.0]]), (np.linalg.norm, [[[0.0]]], [[[0.0]]])],
    ),
    (
        "`np.linalg.norm` of an order below 1 | an entry of 0",
        [(lambda x: np.linalg.norm(x, 0.5), [[0.0, 2.0]], [[0.0, 1.0]])],
    ),
    (
        "`np.prod`, `np.cumprod` | zeros among the entries",
        [
            (np.prod, [[0.0, 2.0, 3.0]], [[6.0, 0.0, 0.0]]),
            (np.prod, [[0.0, 2.0, 0.0]], [[0.0, 0.0, 0.0]]),
            (lambda x: np.cumprod(x)[1:], [[2.0, 0.0, 3.0]], [[0.0, 8.0, 0.0]]),
        ],
    ),
    (
        "`np.nansum`, `np.nanmean`, `np.nan_to_num` | what is left out or replaced",
        [
            (np.nansum, [[NAN, 1.0]], [[0.0, 1.0]]),
            (np.nanmean, [[NAN, 1.0, 2.0]], [[0.0, 0.5, 0.5]]),
            (np.nan_to_num, [[NAN, 1.0, INF, -INF]], [[0.0, 1.0, 0.0, 0.0]]),
        ],
    ),
    ("`np.logaddexp` | both -inf", [(np.logaddexp, [[-INF, 1.0], [-INF, -INF]], [[0.5, 1.0], [0.5, 0.0]])]),
    ("`tg.logsumexp` | all -inf", [(tg.logsumexp, [[-INF, -INF]], [[0.0, 0.0]])]),
    (
        "`np.linalg.cholesky`, `np.linalg.eigh` | X is symmetric",
        [
            (lambda x: np.linalg.cholesky(x)[1, 0], [EYE], [[[0.0, 0.5], [0.5, 0.0]]]),
            (lambda x: np.linalg.eigh(x)[0][1], [[[0.0, 1.0], [1.0, 0.0]]], [[[0.5, 0.5], [0.5, 0.5]]]),
            (lambda x: np.linalg.eigh(x, "U")[0][1], [[[0.0, 1.0], [9.0, 0.0]]], [[[0.5, 0.5], [0.5, 0.5]]]),
        ],
    ),
    (
        "`np.linalg.norm` with nuc, `np.linalg.svd` without U and V | a singular value of 0",
        [
            (lambda x: np.linalg.norm(x, "nuc"), [[[1.0, 0.0], [0.0, 0.0]]], [EYE]),
            (lambda x: np.linalg.svd(x, compute_uv=False), [[[1.0, 0.0], [0.0, 0.0]]], [EYE]),
        ],
    ),
    (
        "`np.linalg.eigh`, `np.linalg.svd` | equal eigenvalues or singular values",
        [
            (np.linalg.eigvalsh, [EYE], [EYE]),
            (lambda x: np.linalg.eigh(x)[0], [EYE], [EYE]),
            (lambda x: np.linalg.svd(x)[1], [EYE], [EYE]),
        ],
    ),
    (
        "`np.linalg.norm` with nuc | two equal singular values",
        [(lambda x: np.linalg.norm(x, "nuc"), [EYE], [EYE])],
    ),
    (
        "`np.linalg.det` | a matrix without an inverse",
        [(np.linalg.det, [ONES], [[[1.0, -1.0], [-1.0, 1.0]]]), (np.linalg.det, [[[0.0]]], [[[1.0]]])],
    ),
    (
        "`np.linalg.inv`, `np.linalg.solve`, `np.linalg.slogdet` | a matrix without an inverse",
        [
            (np.linalg.inv, [ONES], [np.linalg.LinAlgError]),
            (lambda x: np.linalg.solve(x, [1.0, 2.0]), [ONES], [np.linalg.LinAlgError]),
            (lambda x: np.linalg.slogdet(x)[1], [ONES], [np.linalg.LinAlgError]),
        ],
    ),
    (
        "`np.linalg.pinv`, `np.linalg.lstsq` | a matrix without full rank",
        [
            (np.linalg.pinv, [[[2.0, 0.0], [0.0, 0.0]]], [[[-0.25, 0.25], [0.25, 0.0]]]),
            (lambda x: np.linalg.lstsq(x, [2.0, 0.0])[0], [[[2.0, 0.0], [0.0, 0.0]]], [[[-0.5, 0.5], [0.0, 0.0]]]),
        ],
    ),
    ("`np.interp` | at a point xp", [(lambda x: np.interp(x, [0, 1, 2], [0, 3, 4]), [[1.0]], [[1.0]])]),
    ("`np.heaviside` | at 0", [(np.heaviside, [[0.0, 1.0], [0.5, 0.5]], [[0.0, 0.0], [1.0, 0.0]])]),
]


@pytest.mark.parametrize(("words", "cases"), CONVENTIONS, ids=[words for words, _ in CONVENTIONS])
def test_a_convention_holds(words: str, cases: list[tuple[Any, list[Any], list[Any]]]) -> None:
    for f, arrays, expected in cases:
        for dtype in (np.float64, np.float32):
            xs = [tg.tensor(a, dtype, requires_grad=True) for a in arrays]
            with np.errstate(divide="ignore"):
                if expected == [np.linalg.LinAlgError]:
                    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
                        f(*xs).sum().backward()
                    continue
                f(*xs).sum().backward()
            for x, g in zip(xs, expected, strict=True):
                np.testing.assert_allclose(x.grad, g, rtol=1e-6, atol=1e-7)


DOCS = (Path(__file__).parents[1] / "docs" / "functions.md").read_text("utf-8")


def test_the_page_names_every_function_that_numpy_lacks() -> None:
    ours = {name: getattr(tg, name) for name in tg.__all__}
    of_ops = {name for name, f in ours.items() if getattr(f, "__module__", "").startswith("tinygrad_rnn.ops.")}
    assert {"relu", "softmax"} <= of_ops
    assert [name for name in of_ops if f"`tg.{name}`" not in DOCS] == []


def test_the_table_of_conventions_is_the_one_that_is_tested() -> None:
    rows = [
        line.strip("|").split("|") for line in DOCS.partition("## Conventions")[2].splitlines() if line.startswith("|")
    ]
    assert [f"{function.strip()} | {where.strip()}" for function, where, _ in rows[2:]] == [
        words for words, _ in CONVENTIONS
    ]


def test_the_list_of_functions_is_complete() -> None:
    listed = set(re.findall(r"`(np[.\w]+)`", DOCS.partition("NumPy lacks")[0]))
    assert {eval(name, {"np": np}) for name in listed} == set(ops.UFUNCS) | set(ops.FUNCTIONS)


# ------------------------------------------------------------------ large numbers


@pytest.mark.parametrize(
    ("f", "arrays", "value", "gradients"),
    [
        (np.hypot, [3e200, 4e200], 5e200, [0.6, 0.8]),
        (np.remainder, [1.0, 0.1], 1.0 % 0.1, [1.0, -9.0]),  # in floating point 1 / 0.1 is 10, but 0.1 is above 1/10
        (np.fmod, [2.2, 0.7], math.fmod(2.2, 0.7), [1.0, -3.0]),  # (a - y) / b is 3 but for a last digit
        (np.arctan2, [3e200, 4e200], math.atan2(3, 4), [1.6e-201, -1.2e-201]),
        (lambda x: np.linalg.norm(x * [3.0, 4.0]), [1e200], 5e200, [5.0]),
        (lambda x: np.linalg.norm(x * [3.0, 4.0], 3), [1e200], 91 ** (1 / 3) * 1e200, [91 ** (1 / 3)]),
        (np.arctan, [1e200], math.pi / 2, [0.0]),
        (np.arcsinh, [1e200], math.asinh(1e200), [1e-200]),
        (np.arccosh, [1e200], math.acosh(1e200), [1e-200]),
        (np.expm1, [-40.0], -1.0, [math.exp(-40)]),
        (np.log1p, [1e-20], 1e-20, [1.0]),
        (np.logaddexp, [1e4, -1e4], 1e4, [1.0, 0.0]),
        (np.logaddexp2, [1e4, 1e4], 1e4 + 1, [0.5, 0.5]),
        (tg.sigmoid, [-1e4], 0.0, [0.0]),
        (tg.softplus, [1e4], 1e4, [1.0]),
        (tg.elu, [1e4], 1e4, [1.0]),
        (tg.elu, [-1e4], -1.0, [0.0]),
        (tg.elu, [-INF], -1.0, [0.0]),
        (tg.gelu, [1e4], 1e4, [1.0]),
        (tg.gelu, [-10.0], -10 * math.erfc(10 / math.sqrt(2)) / 2, [-7.618400096464813e-22]),
        (lambda x: tg.gelu(x, "tanh"), [-1e4], 0.0, [0.0]),
        (np.sinc, [1e-8], 1.0, [-(math.pi**2) / 3 * 1e-8]),
        (np.sinc, [0.1 - 1e-12], None, [-0.3257512678831]),
        (np.sinc, [0.1 + 1e-12], None, [-0.3257512678897]),
    ],
)
def test_large_and_small_arguments(f: Any, arrays: list[float], value: float | None, gradients: list[float]) -> None:
    xs = [tg.tensor(a, requires_grad=True) for a in arrays]
    y = f(*xs)
    first = tg.grad(y, xs, create_graph=True)
    if value is not None:
        np.testing.assert_allclose(y.data, value, rtol=1e-12)
    np.testing.assert_allclose([g.data for g in first], gradients, rtol=1e-9)
