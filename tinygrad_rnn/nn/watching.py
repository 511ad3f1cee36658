"""The call of a module: what a type checker knows of it, and looking on while it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class HasForward(Protocol[P, R]):
    """A module, by what its forward takes and gives."""

    def forward(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


class Calls:
    """For type checkers alone: to call a module is to call its `forward`."""

    def __get__(self, module: HasForward[P, R], owner: Any = None) -> Callable[P, R]:
        raise NotImplementedError


Seen = Callable[[Any, tuple[Any, ...], dict[str, Any], Any], None]
_watching: ContextVar[tuple[Seen, ...]] = ContextVar("watching", default=())


def watched(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    """Tell those who look on of a call that is done."""
    for seen in _watching.get():
        seen(module, args, kwargs, result)


@contextmanager
def watch(seen: Seen) -> Iterator[None]:
    """Within the block, call ``seen(module, args, kwargs, result)`` after each call of a module, inner ones first.

    >>> import tinygrad_rnn as tg
    >>> model = tg.nn.Sequential(tg.nn.Linear(3, 5, rng=0), tg.nn.Linear(5, 2, rng=0))
    >>> with tg.nn.watch(lambda module, args, kwargs, result: print(type(module).__name__, result.shape)):
    ...     y = model(tg.tensor([[1.0, 0.0, 0.0]]))
    Linear (1, 5)
    Linear (1, 2)
    Sequential (1, 2)
    """
    token = _watching.set((*_watching.get(), seen))
    try:
        yield
    finally:
        _watching.reset(token)
