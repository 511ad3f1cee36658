"""`functional_call`: a module run with other tensors in place of its parameters.

The module is not touched: copies of it and of every module inside are made, which share everything but the parameters
that are replaced, and those are run. So other threads may use the module meanwhile, and an interrupt leaves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

from ..autograd.tensor import Tensor
from ..engine.at_once import assign
from ..engine.trees import mapped, parts, rebuilt
from ..errors import StateDictError
from .module import Module, Slot


def functional_call(module: Module, tensors: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    """Run a module with other tensors in place of some of its parameters; gradients flow to those.

    A parameter shared by several modules is replaced in all of them, unless their names are given each a tensor. What
    `forward` keeps in attributes is kept in the module.

    Raises StateDictError for a name that is no parameter, or for a wrong shape.

    >>> import tinygrad_rnn as tg
    >>> layer = tg.nn.Linear(1, 1, bias=False, dtype=float)
    >>> W = tg.tensor([[3.0]], requires_grad=True)
    >>> tg.nn.functional_call(layer, {"W": 2 * W}, tg.tensor([[1.0]])).backward()
    >>> W.grad
    array([[2.]])
    """
    places = {slot.name: slot for slot in module.slots()}
    unknown = [name for name in tensors if name not in places]
    if unknown:
        raise StateDictError(f"no parameter named {', '.join(unknown)}; there are {', '.join(places)}")
    given = {name: tensor if isinstance(tensor, Tensor) else Tensor(tensor) for name, tensor in tensors.items()}
    before = module.names()
    for name, tensor in given.items():
        if tensor.shape != before[name].shape:
            raise StateDictError(f"{name}: expected shape {before[name].shape}, got {tensor.shape}")
    shared = {before[name]: tensor for name, tensor in given.items()}

    double = Double([*module.modules(), *[slot.owner for slot in places.values()]])
    for name, slot in places.items():
        double.replace(slot, given.get(name, shared.get(before[name], before[name])))
    try:
        return double.of(module)(*args, **kwargs)
    finally:
        double.give_back()


class Double:
    """Copies of modules that know each other as the modules do."""

    def __init__(self, modules: list[Module]) -> None:
        self.originals = {id(m): m for m in modules}
        self.copies: dict[int, Module] = {key: object.__new__(type(m)) for key, m in self.originals.items()}
        for key, m in self.originals.items():
            vars(self.copies[key]).update({name: self.of(value) for name, value in vars(m).items()})
        self.given = {key: dict(vars(new)) for key, new in self.copies.items()}

    def replace(self, slot: Slot, tensor: Tensor) -> None:
        attribute, *rest = slot.path
        attributes = vars(self.copies[id(slot.owner)])
        attributes[attribute] = self.given[id(slot.owner)][attribute] = _put(attributes[attribute], rest, tensor)

    def of(self, value: Any) -> Any:
        """What stands for a value in the copies: of a module its copy, also behind a method, function or container."""
        if isinstance(value, Module):
            return self.copies.get(id(value), value)
        if isinstance(value, MethodType):
            return MethodType(value.__func__, self.of(value.__self__))
        if isinstance(value, partial):
            return partial(
                self.of(value.func), *map(self.of, value.args), **{k: self.of(v) for k, v in value.keywords.items()}
            )
        if isinstance(value, FunctionType) and value.__closure__:
            return self._function(value)
        if self._holds_modules(value, ()):
            return mapped(value, self.of)
        return value

    def _function(self, f: FunctionType) -> FunctionType:
        """A function whose own variables hold copies, where they hold modules."""
        inside = [cell.cell_contents for cell in f.__closure__ or ()]
        if not any(isinstance(x, Module) for x in inside):
            return f
        new = FunctionType(
            f.__code__, f.__globals__, f.__name__, f.__defaults__, tuple(CellType(self.of(x)) for x in inside)
        )
        new.__kwdefaults__ = f.__kwdefaults__
        return new

    def _holds_modules(self, value: Any, above: tuple[int, ...]) -> bool:
        held = None if id(value) in above else parts(value)
        return any(isinstance(x, Module) or self._holds_modules(x, (*above, id(value))) for _, x in held or ())

    def give_back(self) -> None:
        """What `forward` has kept in attributes, it has kept in copies: keep it in the modules."""
        back = {id(new): self.originals[key] for key, new in self.copies.items()}
        changes = []
        for key, new in self.copies.items():
            for name, value in vars(new).items():
                if value is not self.given[key].get(name, self):
                    changes.append((self.originals[key], name, back.get(id(value), value)))
        assign(changes)


def _put(tree: Any, path: Sequence[Any], x: Any) -> Any:
    """A container like this one, with x in the place of this path."""
    if not path:
        return x
    return rebuilt(tree, [_put(part, path[1:], x) if key == path[0] else part for key, part in parts(tree) or ()])
