"""NumPy's functions as people call them: with lists, numbers and keywords."""

from typing import Any

import numpy as np
import pytest
from calls.asking import parts, projected

import tinygrad_rnn as tg

CALLS = """
np.hypot(x, 1.0)
np.arctan2(x, 1)
np.logaddexp(x, 0)
np.logaddexp(0.5, x)
np.clip(x, 1.5, None)
np.clip(x, a_min=1.5, a_max=3)
2.0 ** x
x % 2.5
7.5 % x
x // 2
np.where(x > 2, x, 0.5)
np.select([x > 4, x > 2], [x * 2, x], default=1.0)
np.append(x, np.ones(2, x.dtype))
np.hstack([x, np.ones((2, 1), x.dtype)])
np.vstack([np.ones(3, x.dtype), x])
np.vstack(x)
np.column_stack([x[0], x[1], [1, 2, 3]])
np.outer(x, [1, 2])
np.outer([1, 2], x)
np.inner(x, [1, 2, 3])
np.dot(x, [1, 2, 3])
np.dot([1, 2], x)
np.tensordot(x, x.T, 1)
np.kron(x, [1, 2])
np.kron(np.eye(2, dtype=x.dtype), x)
np.vdot(x, x)
np.mean(x, axis=(0,))
np.sum(x, (0, 1), keepdims=True)
np.std(x, 0, ddof=1)
np.var(x, 1, None, None, 1, True)
np.var(x, 1, correction=1)
np.median(x, axis=1)
np.average(x, axis=1, weights=[1, 2, 3])
np.average(x, axis=(0, 1), weights=np.ones((2, 3), x.dtype))
np.average(np.moveaxis(x[None], 0, -1), axis=(1, 0), weights=np.ones((3, 2), x.dtype))
np.prod(x, axis=1)
np.nan_to_num(x, nan=1.0, posinf=3.0)
np.ptp(x, 0)
np.trapezoid(x)
np.trapezoid(x, dx=0.5, axis=0)
np.trapezoid(x, x * x, axis=0)
np.linalg.norm(x)
np.linalg.norm(x, 1)
np.linalg.norm(x, 2)
np.linalg.norm(x, -2)
np.linalg.norm(x, "nuc")
np.linalg.norm(x, -np.inf)
np.select([x > 4, x > 2], [x * 2, x])
np.round(x, 1)
x.round(1)
np.trunc(x)
np.sinc(x)
np.split(x, [1], 1)
np.hsplit(x, 3)
np.hsplit(x[0], 3)
np.broadcast_arrays(x, x[0])
np.meshgrid(x[0], x[1])
np.atleast_3d(x)
np.pad(x, (1, 2), constant_values=(3, 4))
np.pad(x, ((0, 1), (2, 0)), mode="wrap")
np.take(x, 2)
np.take(a=x, indices=[0, 1], axis=-1)
np.repeat(a=x, repeats=2, axis=0)
np.tile(A=x, reps=2)
np.flip(m=x, axis=(0, 1))
np.sort(x, kind="mergesort", axis=0)
np.partition(x, (0, 1), axis=1)
np.diag(v=x, k=1)
np.trace(x, axis1=1, axis2=0)
np.linalg.pinv(x)
np.linalg.svd(x, compute_uv=False)
np.convolve(x[0], [1, 2], "same")
np.convolve(np.ones(5, x.dtype), x[0])
np.linalg.multi_dot([x, x.T, x])
np.array([1, 2], x.dtype) @ x
np.block([x, np.ones((2, 1), x.dtype)])
np.block(x)
np.block([[x[0], x[1]], [x[1], x[0]]])
np.cross(x[0], x[1])
np.cross(x, [1, 2, 3])
np.linalg.cross(x.T, x.T[:, ::-1], axis=0)
x.cumsum(axis=1)
x.max(axis=0, initial=4, where=x > 2)
np.min(x, initial=10, where=[True, False, True])
np.mean(x, where=x > 2)
np.var(x, axis=1, where=x != 2)
np.nanstd(x)
np.reshape(x, (3, -1), order="F")
np.reshape(x, 6, order="F")
np.roll(x, 1)
np.compress([True, False], x, axis=0)
np.linalg.cond(x)
np.copy(x)
np.real(x)
np.conj(x)
np.degrees(x)
np.atleast_1d(x[0, 0], 2.0)[0:1]
np.moveaxis(x, [0, 1], [1, 0])
np.nanmax(x, axis=1)
np.fabs(x)
np.expand_dims(x, (0, 2))
np.sum(x, dtype=np.float64)
""".strip().splitlines()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("call", CALLS)
def test_calls_as_people_write_them(call: str, dtype: Any) -> None:
    """Lists, numbers and arrays on either side, keywords by name: value and dtype are NumPy's."""
    a = np.array([[1, 2, 4], [3, 5, 7]], dtype)
    x = tg.tensor(a, requires_grad=dtype != np.int64)
    actual, expected = parts(eval(call, {"np": np, "x": x})), parts(eval(call, {"np": np, "x": a}))
    for y, e in zip(actual, expected, strict=True):
        assert type(y) is tg.Tensor
        assert y.shape == np.shape(e)
        if dtype != np.int64:  # of integers NumPy and we choose differently in a few places
            assert y.dtype == np.asarray(e).dtype
        np.testing.assert_allclose(y.data, e, rtol=1e-5 if dtype == np.float32 else 1e-12)
    if dtype != np.int64:
        assert tg.grad(projected(actual, 1), x).dtype == dtype
