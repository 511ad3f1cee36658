"""Every function of NumPy on Tensors, over random shapes, axes, options and operands.

A row of the table in calls/ draws one call, and which of its operands are Tensors. Its value is held against NumPy's,
its first and second derivatives against central differences, and against PyTorch's where it is there and has it.
Which functions and ops a row met is written down, so that none is left out.
"""

import functools
import os
from typing import Any

import numpy as np
import pytest
from calls import TABLE
from calls.asking import Question, agree, derivatives, parts, question, their_derivatives
from calls.meeting import meetings
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import ops

EXAMPLES = settings(max_examples=int(os.environ.get("EXAMPLES", 12)))


@functools.cache
def checked(name: str) -> frozenset[Any]:
    """The functions and ops that a row of the table met, each draw of it held against central differences."""
    met: set[Any] = set()

    @EXAMPLES
    @given(st.data())
    def check(data: st.DataObject) -> None:
        q = question(name, data)
        xs = [tg.tensor(a, requires_grad=True) for a in q.varied]
        with meetings(seen := set()):
            ys = q.tensors(*xs)
        if any(y.requires_grad for y in ys):  # else all that is left is made of constants
            tg.gradcheck(q.tensors, xs, 2, rtol=1e-5, atol=1e-5)
            met.update(seen)

    check()
    return frozenset(met)


each = pytest.mark.parametrize("name", TABLE)


@pytest.mark.slow
@each
def test_the_rules_agree_with_central_differences_to_second_order(name: str) -> None:
    assert checked(name)


@each
@EXAMPLES
@given(data=st.data())
def test_values_and_dtypes_are_numpys(name: str, data: st.DataObject) -> None:
    q = question(name, data)
    expected = parts((q.call.reference or q.call.f)(*q.call.arrays))
    for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 2e-3)):
        xs = [tg.tensor(a, dtype, requires_grad=True) for a in q.varied]
        actual = parts(q.call.f(*q.operands(xs, lambda a, d=dtype: a.astype(d))))
        agree(actual, expected, tolerance)
        if q.call.reference:
            assert all(y.dtype == dtype for y in actual if isinstance(y, tg.Tensor))
        else:
            theirs = parts(q.call.f(*[a.astype(dtype) for a in q.call.arrays]))
            assert [y.dtype for y in actual] == [np.asarray(y).dtype for y in theirs]
        _rules_give_the_same_for_arrays_and_for_tensors(q, xs, dtype)


def _rules_give_the_same_for_arrays_and_for_tensors(q: Question, xs: list[tg.Tensor], dtype: Any) -> None:
    ys = parts(q.call.f(*q.operands(xs, lambda a: a.astype(dtype))))
    loss = sum((y * y).sum() for y in ys if isinstance(y, tg.Tensor))
    if not isinstance(loss, tg.Tensor) or not loss.requires_grad:
        return
    recorded = tg.grad(loss, xs, create_graph=True, allow_unused=True)
    loss.backward()
    for x, g in zip(xs, recorded, strict=True):
        assert (x.grad is None) == (g is None)
        if g is not None:
            assert x.grad.dtype == g.dtype == dtype
            agree([x.grad], [g.data], 1e-12 if dtype == np.float64 else 1e-4)


@pytest.mark.oracle
@each
@EXAMPLES
@given(data=st.data())
def test_derivatives_are_pytorchs(torch: Any, name: str, data: st.DataObject) -> None:
    q = question(name, data)
    xs = [tg.tensor(a, requires_grad=True) for a in q.varied]
    ys = q.tensors(*xs)
    if q.call.theirs is None or not any(y.requires_grad for y in ys):
        return
    ts = [torch.tensor(a, requires_grad=True) for a in q.varied]
    theirs = their_derivatives(torch, q.call.theirs, q.operands(ts, torch.tensor), ts)
    for ours, expected, tolerance in zip(derivatives(q.f, xs), theirs, (1e-10, 1e-9), strict=True):
        agree(ours, expected, tolerance)


# ------------------------------------------------------------------ none is left out


@functools.cache
def met() -> set[Any]:
    return set().union(*map(checked, TABLE))


@pytest.mark.slow
def test_a_check_has_met_every_function_that_has_a_derivative() -> None:
    """A new function needs a row in tests/calls/, or its derivative may be anything."""
    assert not sorted(f.__name__ for f in {*ops.UFUNCS, *ops.FUNCTIONS} - met())


@pytest.mark.slow
def test_a_check_has_met_every_op() -> None:
    """So does an op that no function of NumPy stands for."""
    assert not sorted(kind.__name__ for kind in kinds(tg.Op) - met() if has_rule(kind))


def has_rule(kind: type[tg.Op]) -> bool:
    ours = kind.__module__.startswith(ops.__name__) and hasattr(kind, "forward")
    return ours and bool(kind.rules or kind.vjp is not tg.Op.vjp)


def kinds(op: type[tg.Op]) -> set[type[tg.Op]]:
    return {op}.union(*map(kinds, op.__subclasses__()))
