"""Modules: named parameters, and the modules inside them.

Everything that needs all parameters of a model by name (the optimizer, saving, loading, `functional_call`) goes
through one walk, `Module.slots`, which says for each full name which module holds it, and as which attribute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.at_once import assign
from ..errors import StateDictError


class Parameter(Tensor):
    """A leaf Tensor that a Module lists among its parameters; it always needs a gradient."""

    __slots__ = ()

    def __init__(self, data: Any, dtype: Any = None, name: str | None = None) -> None:
        super().__init__(data, dtype, requires_grad=True, name=name)


class Module:
    """Base class of layers and models: assign Parameters and Modules as attributes and write `forward`.

    >>> import tinygrad_rnn as tg
    >>> class Doubled(tg.nn.Module):
    ...     def __init__(self):
    ...         self.inner = tg.nn.Linear(2, 1, rng=0)
    ...     def forward(self, x):
    ...         return 2 * self.inner(x)
    >>> [name for name, _ in Doubled().named_parameters()]
    ['inner.W', 'inner.b']
    """

    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward(self, ...): write one")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(vars(self).get(name), Parameter) and not (value is None or isinstance(value, Parameter)):
            raise TypeError(
                f"{type(self).__name__}.{name} is a parameter, and a {type(value).__name__} in its place would not be "
                f"trained: set its values with .{name}.data = ..., or assign a tg.nn.Parameter"
            )
        if not isinstance(value, Tensor) and any(isinstance(x, Parameter) for _, x in _within(name, value)):
            raise TypeError(
                f"{type(self).__name__}.{name}: a parameter within a list or dict would not be found, and so not "
                "trained: make it an attribute"
            )
        if isinstance(value, Parameter) and value.name is None:
            value.name = name
        object.__setattr__(self, name, value)

    # ---------------------------------------------------------------- the walk

    def children(self) -> Iterator[tuple[str, Module]]:
        """The modules held as attributes, also within lists, tuples and dicts, with their names."""
        for name, value in vars(self).items():
            yield from ((path, item) for path, item in _within(name, value) if isinstance(item, Module))

    def slots(self, prefix: str = "") -> Iterator[tuple[str, Module, str]]:
        """(full name, the module that holds the parameter, the attribute) for every parameter."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield prefix + name, self, name
        for name, child in self.children():
            yield from child.slots(f"{prefix}{name}.")

    def modules(self) -> Iterator[Module]:
        """This module and all modules inside it."""
        yield self
        for _, child in self.children():
            yield from child.modules()

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with its full name; a shared one under the first of its names."""
        seen: set[Parameter] = set()
        for name, owner, attribute in self.slots():
            parameter = getattr(owner, attribute)
            if parameter not in seen:
                seen.add(parameter)
                yield name, parameter

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter once."""
        return (parameter for _, parameter in self.named_parameters())

    # ---------------------------------------------------------------- state

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        assign((parameter, "_grad", None) for parameter in self.parameters())

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Let all parameters be trained; with False, freeze them: no gradient comes, and no optimizer moves them."""
        assign((parameter, "requires_grad", bool(requires_grad)) for parameter in self.parameters())
        return self

    def train(self, mode: bool = True) -> Module:
        """Switch dropout on (or off) in this module and all modules inside it."""
        assign((module, "training", mode) for module in self.modules())
        return self

    def eval(self) -> Module:
        """Switch dropout off."""
        return self.train(False)

    def state_dict(self) -> dict[str, np.ndarray]:
        """A copy of every parameter's values, by full name."""
        return {name: parameter.array.copy() for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy the values into the parameters.

        Raises StateDictError that lists every missing and unexpected name, every wrong shape and dtype, and then has
        changed nothing.
        """
        parameters = dict(self.named_parameters())
        arrays = {name: np.asarray(getattr(value, "array", value)) for name, value in state.items()}
        problems = [f"{name}: missing, expected shape {p.shape}" for name, p in parameters.items() if name not in state]
        for name, array in arrays.items():
            if name not in parameters:
                problems.append(f"{name}: unexpected, of shape {array.shape}")
            elif array.shape != parameters[name].shape:
                problems.append(f"{name}: expected shape {parameters[name].shape}, got {array.shape}")
            elif array.dtype.kind != "f":
                problems.append(f"{name}: expected dtype {parameters[name].dtype}, got {array.dtype}")
        if problems:
            kind, lines = type(self).__name__, "\n  ".join(problems)
            raise StateDictError(f"the state dict does not fit {kind}; nothing was changed:\n  {lines}")
        for name, array in arrays.items():
            parameters[name].data = array

    # ---------------------------------------------------------------- printing

    def extra_repr(self) -> str:
        """The settings to show in the module's repr."""
        return ""

    def __repr__(self) -> str:
        children = list(self.children())
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in children]
        return f"{type(self).__name__}({self.extra_repr()}\n  " + "\n  ".join(lines) + "\n)"


def _within(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What a nesting of lists, tuples and dicts holds, with a dotted name each."""
    if isinstance(value, list | tuple | dict):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _within(f"{name}.{key}", item)
    else:
        yield name, value


def functional_call(module: Module, tensors: Mapping[str, Tensor], *args: Any, **kwargs: Any) -> Any:
    """Run a module with other tensors in place of some of its parameters; gradients flow to those.

    A parameter shared by several modules is replaced in all of them, unless their names are given each a tensor.

    Raises StateDictError for a name that is no parameter, or for a wrong shape.

    >>> import tinygrad_rnn as tg
    >>> layer = tg.nn.Linear(1, 1, bias=False, dtype=float)
    >>> W = tg.tensor([[3.0]], requires_grad=True)
    >>> tg.nn.functional_call(layer, {"W": 2 * W}, tg.tensor([[1.0]])).backward()
    >>> W.grad
    array([[2.]])
    """
    with replaced(module, tensors):
        return module(*args, **kwargs)


@contextmanager
def replaced(module: Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Within the block, other tensors stand in place of some of a module's parameters."""
    places = {name: (owner, attribute) for name, owner, attribute in module.slots()}
    unknown = [name for name in tensors if name not in places]
    if unknown:
        raise StateDictError(f"no parameter named {', '.join(unknown)}; there are {', '.join(places)}")
    before = {name: getattr(*place) for name, place in places.items()}
    given = {name: tensor if isinstance(tensor, Tensor) else Tensor(tensor) for name, tensor in tensors.items()}
    for name, tensor in given.items():
        if tensor.shape != before[name].shape:
            raise StateDictError(f"{name}: expected shape {before[name].shape}, got {tensor.shape}")
    shared = {before[name]: tensor for name, tensor in given.items()}
    try:
        for name, parameter in before.items():
            object.__setattr__(*places[name], given.get(name, shared.get(parameter, parameter)))
        yield
    finally:
        for name, parameter in before.items():
            object.__setattr__(*places[name], parameter)
