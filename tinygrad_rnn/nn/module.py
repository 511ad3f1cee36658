"""Modules: named parameters, and the modules inside them.

Everything that needs all parameters of a model by name (the optimizer, saving, loading, `functional_call`) goes
through one walk, `Module.slots`, which says for each full name which module holds it, and where. Modules and parameters
may be in lists, dicts and the like; what the walk would not find is refused when it is assigned.
"""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from ..autograd.tensor import Tensor
from ..engine.arrays import DType, Operand
from ..engine.at_once import assign
from ..engine.trees import is_plain, parts
from ..errors import DtypeError
from ..notebook import table
from .summary import summarise
from .watching import Calls, watched
from .weights import as_arrays, fill, new_array, problems_of, refuse


def real(dtype: Any) -> np.dtype[Any]:
    """A dtype that a parameter can have. Raises DtypeError for integers, complex numbers and what NumPy has not."""
    try:
        known: Any = np.dtype(dtype)
    except TypeError:
        known = None
    if known is None or known.kind != "f":
        given = repr(dtype) if known is None else known
        raise DtypeError(f"dtype must be a floating-point type of NumPy, as np.float32 or float, not {given}")
    return known


class Parameter(Tensor):
    """A leaf Tensor that a Module lists among its parameters; it needs a gradient unless it is frozen.

    ``p.requires_grad = False`` freezes it.

    >>> import tinygrad_rnn as tg
    >>> model = tg.nn.Module()
    >>> model.w = tg.nn.Parameter([1.0, 2.0])
    >>> model.w.name, model.w.requires_grad, len(list(model.parameters()))
    ('w', True, 1)
    """

    __slots__ = ("layout",)

    def __init__(self, data: Operand, dtype: DType = None, name: str | None = None) -> None:
        if dtype is not None:
            dtype = real(dtype)
        super().__init__(data, dtype, requires_grad=True, name=name)
        self.layout: str | None = None  # what its axes mean, where the module it belongs to says so


Path = tuple[Any, ...]
"""An attribute, and the keys or numbers in the containers below it."""


class Slot(NamedTuple):
    """Where a parameter is: its full name, the module that holds it, its place there, and the parameter."""

    name: str
    owner: Module
    path: Path
    parameter: Parameter


class Loaded(NamedTuple):
    """What `Module.load_state_dict` has left aside: parameters without values, and values without a parameter."""

    missing: list[str]
    unexpected: list[str]


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
    layouts: ClassVar[Mapping[str, str]] = {}  # of parameters, what their axes mean: one of another layout is refused

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if vars(cls).get("__slots__"):
            raise TypeError(f"{cls.__name__}: parameters in __slots__ would not be found: leave the __slots__ out")
        for name, value in vars(cls).items():
            if any(isinstance(x, Module | Parameter) for _, x in _within((name,), value)):
                raise TypeError(
                    f"{cls.__name__}.{name} would be one for all {cls.__name__}s, and not among their parameters: "
                    f"make it in __init__, as self.{name} = ..."
                )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward(self, ...): write one")

    if TYPE_CHECKING:
        __call__ = Calls()  # with what forward takes and gives
    else:

        def __call__(self, *args, **kwargs):
            result = self.forward(*args, **kwargs)
            watched(self, args, kwargs, result)
            return result

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(vars(self).get(name), Parameter) and not (value is None or isinstance(value, Parameter)):
            raise TypeError(
                f"{type(self).__name__}.{name} is a parameter, and a {type(value).__name__} in its place would not be "
                f"trained: set its values with .{name}.data = ..., or assign a tg.nn.Parameter"
            )
        self._check(name, value)
        if isinstance(value, Parameter):
            value.layout = self.layouts.get(name, getattr(value, "layout", None))
        for path, x in _within((name,), value):
            if isinstance(x, Parameter) and x.name is None:
                x.name = dotted(path)
        object.__setattr__(self, name, value)

    def _check(self, name: str, value: Any) -> None:
        """Refuse an attribute whose parameters would not be found, or would be found to be something else."""
        where = f"{type(self).__name__}.{name}"
        inside = list(_within((where,), value))
        held = [x for _, x in inside if isinstance(x, Module | Parameter)]
        if held and callable(getattr(Module, name, None)):
            raise TypeError(f"{where} is a method of every module, and this would hide it: choose another name")
        layout, expected = getattr(value, "layout", None), self.layouts.get(name)
        if isinstance(value, Parameter) and None not in (layout, expected) and layout != expected:
            raise ValueError(
                f"{where} is {expected}, and this parameter is {layout}. For one matrix in both, "
                "head = tg.nn.TiedLinear(embedding), or scores = h @ embedding.W.T + b in forward"
            )
        if type(value) is Tensor and value.requires_grad and value.is_leaf:
            message = f"{where} is a Tensor that needs a gradient, but no Parameter, and parameters() leaves it out: "
            warnings.warn(message + f"self.{name} = tg.nn.Parameter(...), if it is to be trained", stacklevel=3)
        made_of = value.record.inputs if type(value) is Tensor and value.record is not None else ()
        if any(isinstance(x, Parameter) and x.name is None for x in made_of):  # which no module holds
            message = f"{where} is made of a Parameter, and is none itself, and parameters() leaves both out: compute "
            warnings.warn(message + f"first, and then self.{name} = tg.nn.Parameter(...)", stacklevel=3)

    # ---------------------------------------------------------------- the walk

    def children(self) -> Iterator[tuple[str, Module]]:
        """The modules held as attributes, also within lists, tuples, dicts and dataclasses, with their names."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif type(value) not in _SIMPLE:
                yield from ((dotted(path), x) for path, x in _within((name,), value) if isinstance(x, Module))

    def own_parameters(self) -> Iterator[tuple[Path, Parameter]]:
        """The parameters that are attributes of this module itself, also within containers, with where they are."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield (name,), value
            elif type(value) not in _SIMPLE:
                yield from ((path, x) for path, x in _within((name,), value) if isinstance(x, Parameter))

    def slots(self, prefix: str = "", above: tuple[Module, ...] = ()) -> Iterator[Slot]:
        """Every parameter, where it is, and its full name. A shared one comes under each of its names.

        `above` are the modules that this one is inside of: where it knows one of them, as its parent, the walk does not
        go round in a circle.
        """
        above = (*above, self)
        for path, parameter in self.own_parameters():
            yield Slot(prefix + dotted(path), self, path, parameter)
        for name, child in self.children():
            if not any(child is module for module in above):
                yield from child.slots(f"{prefix}{name}.", above)

    def modules(self) -> Iterator[Module]:
        """This module and all modules inside it, each once."""
        return (module for _, module in self.named_modules())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module, under the name "", and all modules inside it, each once, with their full names."""
        waiting: list[tuple[str, Module]] = [("", self)]
        seen: set[int] = set()
        while waiting:
            name, module = waiting.pop()
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module
                inside = [(f"{name}.{child}" if name else child, m) for child, m in module.children()]
                waiting += inside[::-1]

    def apply(self, f: Callable[[Module], Any]) -> Self:
        """Call f with every module inside and then with this one; gives this module."""
        for module in list(self.modules())[::-1]:
            f(module)
        return self

    def names(self) -> dict[str, Parameter]:
        """Every parameter under each of its names. Raises ValueError where two parameters have one name."""
        found: dict[str, Parameter] = {}
        for name, _, _, parameter in self.slots():
            if found.setdefault(name, parameter) is not parameter:
                raise ValueError(
                    f"two parameters of {type(self).__name__} have the name {name!r}: a key 1 beside '1', or a dot in "
                    "a key or an attribute? Rename one, or only one would be saved"
                )
        return found

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with its full name; a shared one under the first of its names."""
        seen: set[Parameter] = set()
        for name, parameter in self.names().items():
            if parameter not in seen:
                seen.add(parameter)
                yield name, parameter

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter once."""
        return (parameter for _, parameter in self.named_parameters())

    def _everything(self) -> list[Any]:
        """What is held here and further inside, each once and in no certain order: without names it is a short walk."""
        found: dict[int, Any] = {id(self): self}
        waiting: list[Any] = [self]
        while waiting:
            x = waiting.pop()
            for y in vars(x).values() if isinstance(x, Module) else [held for _, held in parts(x) or ()]:
                if type(y) not in _PLAIN and id(y) not in found:
                    found[id(y)] = y
                    if not isinstance(y, Tensor):
                        waiting.append(y)
        return list(found.values())

    # ---------------------------------------------------------------- state

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        assign([(x, "_grad", None) for x in self._everything() if isinstance(x, Parameter)])

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let all parameters be trained; with False, freeze them: no gradient comes, and no optimizer moves them."""
        assign((parameter, "requires_grad", bool(requires_grad)) for parameter in self.parameters())
        return self

    def astype(self, dtype: Any) -> Self:
        """Compute in another floating-point type from now on: casts all parameters, as torch's `Module.to` does.

        Gradients go, and an optimizer made before is to be made anew. Gives this module.
        """
        kind = real(dtype)
        assign(
            change for p in self.parameters() for change in (*new_array(p, p.array.astype(kind)), (p, "_grad", None))
        )
        return self

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on (or off) in this module and all modules inside it."""
        if not isinstance(mode, bool | np.bool_):
            raise TypeError(f"train: mode must be True or False, not {mode!r}")
        assign((module, "training", bool(mode)) for module in self.modules())
        return self

    def eval(self) -> Self:
        """Switch dropout off."""
        return self.train(False)

    def state_dict(self) -> dict[str, np.ndarray]:
        """A copy of every parameter's values, by full name; the same array under each name of a shared parameter."""
        names = self.names()
        copies = {parameter: parameter.array.copy() for parameter in names.values()}
        return {name: copies[parameter] for name, parameter in names.items()}

    def load_state_dict(self, state: Mapping[str, Any], *, strict: bool = True) -> Loaded:
        """Copy the values into the parameters. Of the names of a shared parameter one is enough.

        With strict=False parameters without values stay as they are, and values without a parameter are left aside;
        the result says which.

        Raises StateDictError that lists every missing and unexpected name, every wrong shape and dtype, and values that
        differ for a shared parameter, and then has changed nothing.
        """
        if not isinstance(state, Mapping):
            kind = type(state).__name__
            raise TypeError(f"load_state_dict needs a mapping of names to arrays, as tg.load(path) gives, not {kind}")
        arrays, names = as_arrays(state), self.names()
        aliases: dict[Parameter, list[str]] = {}
        for name, parameter in names.items():
            aliases.setdefault(parameter, []).append(name)
        problems, values, missing = [], [], []
        for p, known in aliases.items():
            given = [name for name in known if name in arrays]
            if not given:
                missing.append(known[0])
            elif misfits := [text for name in given for text in problems_of(name, arrays[name], p.shape, p.dtype)]:
                problems += misfits
            elif any(not np.array_equal(arrays[given[0]], arrays[name], equal_nan=True) for name in given[1:]):
                problems.append(f"{' and '.join(given)}: one shared (tied) parameter here, and the values differ")
            else:
                values.append((p, arrays[given[0]]))
        unexpected = [name for name in arrays if name not in names]
        if strict:
            problems = [f"{name}: missing, expected shape {names[name].shape}" for name in missing] + problems
            problems += [f"{name}: unexpected, of shape {arrays[name].shape}" for name in unexpected]
        refuse(problems, f"the state dict does not fit {type(self).__name__}")
        fill(values)
        return Loaded(missing, unexpected)

    # ---------------------------------------------------------------- printing

    def extra_repr(self) -> str:
        """The settings to show in the module's repr."""
        return ""

    @reprlib.recursive_repr("...")
    def __repr__(self) -> str:
        children = list(self.children())
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in children]
        return f"{type(self).__name__}({self.extra_repr()}\n  " + "\n  ".join(lines) + "\n)"

    def summary(self, *inputs: Any) -> Any:
        """A table of the modules inside and their parameters; with example inputs also what each gives, and how much
        memory a forward and backward pass takes. Gives a `Summary`; print it.

        The model is run on the inputs and is afterwards as before.

        >>> import numpy as np, tinygrad_rnn as tg
        >>> model = tg.nn.Sequential(tg.nn.Linear(3, 5, rng=0), tg.nn.Linear(5, 2, rng=0))
        >>> print(model.summary())
        32 parameters
        module  kind        parameters
        (all)   Sequential           0
        0       Linear              20
        1       Linear              12
        >>> model.summary(np.ones((4, 3))).rows[0]
        ('(all)', 'Sequential', '(4, 2)', 0)
        """
        return summarise(self, inputs)

    def _repr_html_(self) -> str:
        rows: list[Any] = [_row(name, parameter) for name, parameter in self.named_parameters()]
        sizes = [(p.size, p.requires_grad) for p in self.parameters()]
        total, trained = sum(size for size, _ in sizes), sum(size for size, on in sizes if on)
        frozen = f", {total - trained:,} of them frozen" if trained < total else ""
        lines = repr(self) if len(repr(self)) < 100 else type(self).__name__
        note = f"{lines}: {total:,} parameters in {len(sizes)} tensors{frozen}"
        return table(["parameter", "shape", "entries", "dtype", ""], rows, note, texts=(0, 1, 3, 4))


def _row(name: str, parameter: Parameter) -> list[str]:
    frozen = "" if parameter.requires_grad else "frozen"
    return [name, str(parameter.shape), f"{parameter.size:,}", parameter.dtype.name, frozen]


def dotted(path: Path) -> str:
    """The name of a place: an attribute, and the keys or numbers in containers below it."""
    return ".".join(map(str, path))


_PLAIN = {type(None), bool, int, float, str, np.random.Generator}
_SIMPLE = {*_PLAIN, Parameter, Tensor}
"""What most attributes are besides modules: nothing is within, and the walk need not look."""


def _within(path: Path, value: Any, above: tuple[int, ...] = ()) -> Iterator[tuple[Path, Any]]:
    """What a nesting of containers holds, each with its place, and what is no container.

    Raises TypeError for a Parameter or Module in a set, which has no order and so no names.
    """
    held = None if isinstance(value, Module | Tensor) or is_plain(value) else parts(value)
    if held is None:
        if isinstance(value, np.ndarray) and any(isinstance(x, Module | Parameter) for x in _objects(value)):
            raise TypeError(
                f"{dotted(path)}: modules in an array would not be found: put them in a list, with .tolist()"
            )
        yield path, value
    elif id(value) not in above:
        for key, item in held:
            if isinstance(item, Module | Parameter) and isinstance(value, set | frozenset):
                kind = "modules" if isinstance(item, Module) else "parameters"
                raise TypeError(f"{dotted(path)}: {kind} in a set have no names: put them in a list or dict")
            yield from _within((*path, key), item, (*above, id(value)))


def _objects(array: np.ndarray) -> Iterator[Any]:
    """What an array of Python objects holds; nothing for one of numbers."""
    return iter(array.flat if array.dtype == object else ())
