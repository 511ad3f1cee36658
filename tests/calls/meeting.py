"""Which functions and ops a call went through."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from tinygrad_rnn import Tensor


@contextmanager
def meetings(met: set[Any]) -> Iterator[None]:
    """Note each function of NumPy that is called with Tensors here (not inside another), and each op applied.

    Only what needs a gradient counts: a rule that nothing flows through has not been met.
    """
    inside = 0

    def noting(method: Any, which: Any) -> Any:
        def noted(*args: Any, **kwargs: Any) -> Any:
            nonlocal inside
            inside += 1
            try:
                result = method(*args, **kwargs)
            finally:
                inside -= 1
            if not inside and _needs_gradient(result):
                met.add(which(args))
            return result

        return noted

    def applied(op: Any, *inputs: Any) -> Any:
        result = apply(op, *inputs)
        if _needs_gradient(result):
            met.update((op, type(op)))
        return result

    ufunc, function, apply = Tensor.__array_ufunc__, Tensor.__array_function__, Tensor.apply_op
    with (
        mock.patch.object(Tensor, "__array_ufunc__", noting(ufunc, lambda args: args[1]), create=True),
        mock.patch.object(Tensor, "__array_function__", noting(function, lambda args: args[1]), create=True),
        mock.patch.object(Tensor, "apply_op", staticmethod(applied)),
    ):
        yield


def _needs_gradient(result: Any) -> bool:
    if isinstance(result, list | tuple):
        return any(map(_needs_gradient, result))
    return isinstance(result, Tensor) and result.requires_grad
