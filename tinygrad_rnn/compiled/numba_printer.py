"""A recorded step printed as two loops over time that numba compiles: one forward, one backward.

A step is products of matrices with something between them. What lies between two products is a *phase*: one loop over
the rows b of the batch and the columns j, in which each value is a number. A sum over the columns of a row, as in layer
normalisation, ends a *stage* of its phase: the loop over j is over, and the next begins. So

    level of a value = (phase, stage)     the first loop in which all that it needs is there

Side by side and cut apart (`concatenate`, `columns`) are only columns of an array. Widths must have a common part, H:
an array of 4 H columns is four *blocks*, and one loop over j < H computes all of them.

Forward keeps what is costly to compute again (products, tanh, exp, ...), each step of it, and backward computes the
rest again. Nothing here knows a derivative: see `recording.py`.
"""

from __future__ import annotations

import keyword
import math
import re
from typing import NamedTuple

from ..errors import CompileError
from .recording import Recorded
from .scalars import REDUCTIONS, by_row, cheap, scalar
from .values import Value, ordered

Level = tuple[int, int]

MOST_BLOCKS = 16
"""More blocks than that would make a loop of too many lines."""

NOW, BEFORE, AFTER = "t * B", "p * B", "q * B"
"""Where the rows of a step begin in an array over time: those of step t; of the state before it; of the state after."""

GRADIENT, ARRIVING = "(t - t0) * B", "(t - t0) * dy_rows"
"""The same in gradients, which are there for some steps alone, from t0 on; of dL/dy there may be but one, of zeros."""

IN, OUT = "(k - k0) % 2 * B", "(k - k0 + 1) % 2 * B"
"""dL/d(state) lies in two rows of blocks, which take turns: that after the step, and that before it."""

ROW = ""
"""In an array for one step."""

_SUFFIX = {BEFORE: "_before", AFTER: "_after", IN: "_in", OUT: "_out"}


class Place(NamedTuple):
    """Where the columns of a value are: blocks slot .. slot + n of the rows of an array of so many blocks."""

    array: str
    row: str
    blocks: int
    slot: int = 0

    def start(self, b: str, k: int = 0) -> str:
        """The index of the first entry of block k in row b."""
        row = f"({self.row} + {b})" if self.row else b
        skipped = f" + {columns(self.slot + k)}" if self.slot + k else ""
        return f"{row} * {columns(self.blocks)}{skipped}"

    def text(self, b: str, k: int = 0, n: int = 1) -> str:
        """Blocks k .. k + n - 1 of row b."""
        return f"{self.array}[{self.start(b, k)} : {self.start(b, k + n)}]"

    def number(self) -> str:
        """The one number that there is of row b."""
        return f"{self.array}[{self.row} + b]" if self.row else f"{self.array}[b]"

    def rows(self) -> str:
        """The rows of the batch as arguments of `multiply`: the address of the first, and how far apart they are."""
        return f"at({self.array}, {self.start('b0')}), {columns(self.blocks)}"


def columns(blocks: int) -> str:
    """So many blocks, in columns."""
    return "H" if blocks == 1 else f"{blocks} * H"


def common_width(step: Recorded) -> int:
    """H, the largest width of which all others are multiples; widths of 1 are numbers, one a row."""
    values = [v for v in ordered([step.y, *step.after, *step.gradients]) if v.varies]
    edges = {n for v in values for n in (v.columns, v.start) if n > 1 or (n and v.name == "columns")}
    H = math.gcd(*edges)
    if H < 2:
        raise CompileError("its values have no common width of more than 1")
    if max(v.columns for v in values) > MOST_BLOCKS * H:
        raise CompileError(f"its values are more than {MOST_BLOCKS} times as wide as what they have in common, {H}")
    return H


def is_row(v: Value) -> bool:
    """Whether a value is one number a row."""
    return v.varies and v.columns == 1


class Loop:
    """The text of the body of one loop over time, which computes the `targets`, each into its place.

    given     the places of what is there before
    arriving  for each seed g, the places whose sum it is
    """

    def __init__(
        self, H: int, targets: list[tuple[Value, Place]], given: dict[Value, Place], arriving: dict[Value, list[Place]]
    ) -> None:
        self.H, self.targets, self.given, self.arriving = H, targets, given, arriving
        self.scratch: dict[str, int] = {}  # arrays for one step, with their blocks
        self.weights: dict[Value, str] = {}  # what does not vary, in loops
        self.packed: dict[Value, str] = {}  # the same, in products
        self.numbers: dict[float, str] = {}
        self.starts: dict[Value, Value] = {}  # products that add to something, and what that is
        self.merged: dict[Value, Value] = {}  # the sum of the two: the same product
        self.levels: dict[Value, Level] = {}
        self.places = dict(given)
        self.rows: dict[Value, str] = {}  # the variables of values that are one number a row
        self.nodes = ordered([v for v, _ in targets], lambda v: v in given or not v.varies)
        self._add_in_products()
        self.nodes = [v for v in self.nodes if v not in self.merged]
        self.text = self._write()
        self.cost = sum(v.shape[0] * v.shape[1] for v in self.packed) / 60 + H * len(self.nodes) / 8
        """Of one step of one sequence, in nanoseconds, roughly."""

    # ---------------------------------------------------------------- when a value can be computed

    def value(self, v: Value) -> Value:
        return self.merged.get(v, v)

    def needs(self, v: Value) -> list[Value]:
        return [self.value(x) for x in (*v.args, *([self.starts[v]] if v in self.starts else []))]

    def level(self, v: Value) -> Level:
        if not v.varies or v in self.given or v in self.arriving:
            return 0, 0
        if v not in self.levels:
            self.levels[v] = max([self.there(x) for x in self.needs(v)], default=(0, 0))
        return self.levels[v]

    def there(self, v: Value) -> Level:
        """The first level at which the value can be read."""
        phase, stage = self.level(v)
        if not v.varies or v in self.given:
            return 0, 0
        return (phase + 1, 0) if v.name == "matmul" else (phase, stage + 1) if v.name in REDUCTIONS else (phase, stage)

    def _add_in_products(self) -> None:
        """x + h W: the product begins with x, where that is there in time and nobody else wants h W."""
        uses = [x for v in self.nodes for x in v.args] + [v for v, _ in self.targets]
        for v in self.nodes:
            if v.name != "add" or v in self.given:
                continue
            for m, x in (v.args, v.args[::-1]):
                m, x = self.value(m), self.value(x)
                alone = m.name == "matmul" and m not in self.given and m not in self.starts and uses.count(m) == 1
                if alone and x.columns == m.columns and x.name != "matmul" and self.there(x)[0] <= self.level(m)[0]:
                    self.starts[m], self.merged[v] = x, m
                    uses += [m] * (uses.count(v) - 1)
                    self.levels.clear()
                    break

    # ---------------------------------------------------------------- where it is put

    def _write(self) -> list[str]:
        self.targets = [(self.value(v), place) for v, place in self.targets]
        stores: dict[Level, list[tuple[Value, Place]]] = {}
        products: dict[int, list[Value]] = {}
        for v, place in self.targets:
            if v not in self.places and v.name not in ("number",):
                self.places[v] = place
        self._place_products()
        self._place_costly()
        for v in self.nodes:
            if v.name == "matmul" and v not in self.given:
                phase = self.level(v)[0]
                products.setdefault(phase, []).append(v)
                if v in self.starts and self._start(v) is None:
                    x = self.starts[v]
                    stores.setdefault(max(self.there(x), (phase, 0)), []).append((x, self.places[v]))
            elif v.name in REDUCTIONS:
                stores.setdefault(self.level(v), [])
        for v, place in self.targets:
            if not (v.name == "matmul" and self.places.get(v) == place and v not in self.given):
                level = self.there(v) if v.name == "matmul" or is_row(v) else self.level(v)
                stores.setdefault(level, []).append((v, place))
        lines: list[str] = []
        for phase in range(1 + max([level[0] for level in stores] + list(products), default=0)):
            levels = sorted(level for level in stores if level[0] == phase)
            lines += self._phase(levels, stores)
            for v in products.get(phase, []):
                lines += self._product(v)
        return lines

    def _new(self, v: Value, name: str = "") -> Place:
        name = name or f"u{len(self.scratch)}"
        self.scratch[name] = v.columns // self.H  # 0 for one number a row
        return Place(name, ROW, v.columns // self.H)

    def place_of(self, v: Value) -> Place | None:
        """Where a value is, perhaps as columns of another."""
        if v in self.places:
            return self.places[v]
        if v.name == "columns" and (whole := self.place_of(self.value(v.args[0]))):
            return whole._replace(slot=whole.slot + v.start // self.H)
        return None

    def _place_products(self) -> None:
        """Products and what is multiplied are in arrays."""
        for v in self.nodes:
            if v.name != "matmul" or v in self.given:
                continue
            if v not in self.places:
                self.places[v] = self._new(v)
            x = self.value(v.args[0])
            if is_row(x) or is_row(v):
                raise CompileError("a product with one number a row, or that gives one")
            if self.place_of(x) is None:
                self.places[x] = self._new(x)
                self.targets.append((x, self.places[x]))

    def _place_costly(self) -> None:
        """What is costly and read at a later level is put down too."""
        last: dict[Value, Level] = {}
        reading = [(x, self.level(v)) for v in self.nodes for x in self.needs(v)]
        reading += [(v, self.level(v)) for v, _ in self.targets]
        for x, level in reversed(reading):  # what is computed again there reads what it needs there
            last[x] = max(last.get(x, (0, 0)), level)
        for v in reversed(self.nodes):
            for x in self.needs(v):
                last[x] = max(last.get(x, (0, 0)), last.get(v, (0, 0)))
        for v in self.nodes:
            now, later = self.level(v), last.get(v, (0, 0))
            if v in self.places or v.kind != "op" or cheap(v):
                continue
            if later[0] > now[0] if is_row(v) else later > now:  # a number a row is there until its phase ends
                self.places[v] = self._new(v)
                self.targets.append((v, self.places[v]))

    def _start(self, v: Value) -> str | None:
        """What a product begins with, as arguments of `multiply`; None where it must be put into its place before."""
        if v not in self.starts:
            return "at(zero, 0), 0"
        x = self.starts[v]
        if not x.varies:
            return f"at({self._weight(x)}, 0), 0" if x.kind != "number" and x.shape[-1] == v.columns else None
        place = self.place_of(x)
        if place is not None and self.there(x)[0] <= self.level(v)[0] and not is_row(x):
            return place.rows()
        return None

    def _product(self, v: Value) -> list[str]:
        x, to = self.place_of(self.value(v.args[0])), self.places[v]
        assert x is not None
        W = self.packed.setdefault(v.args[1], f"P{len(self.packed)}")
        n, m = (columns(u.columns // self.H) for u in (v.args[0], v))
        start = self._start(v) or to.rows()
        return [f"multiply(product, b1 - b0, B == 1, {n}, {m}, {start}, {x.rows()}, 1, at({W}, 0), {to.rows()})"]

    # ---------------------------------------------------------------- loops over rows and columns

    def _phase(self, levels: list[Level], stores: dict[Level, list[tuple[Value, Place]]]) -> list[str]:
        if not any(stores[level] for level in levels) and not any(
            v.name in REDUCTIONS and self.level(v) in levels for v in self.nodes
        ):
            return []
        views: dict[str, str] = {}
        body: list[str] = []
        for level in levels:
            sums = [v for v in self.nodes if v.name in REDUCTIONS and self.level(v) == level]
            body += Stage(self, level, stores[level], sums, views).lines
        return ["for b in range(b0, b1):", *[f"    {name} = {what}" for name, what in views.items()], *body]

    def _weight(self, v: Value) -> str:
        return self.weights.setdefault(v, f"w{len(self.weights)}")

    def number(self, x: float) -> str:
        if x in (0, 1, 2, -1, 0.5):
            return f"F({x!r})"
        return self.numbers.setdefault(x, f"n{len(self.numbers)}")  # an argument: the text is that of any H


class Stage:
    """One loop over j, with what is computed once a row before and after it."""

    def __init__(
        self,
        loop: Loop,
        level: Level,
        stores: list[tuple[Value, Place]],
        sums: list[Value],
        views: dict[str, str],
    ) -> None:
        self.loop, self.level, self.views = loop, level, views
        self.before: list[str] = []
        self.inner: list[str] = []
        self.after: list[str] = []
        self.known: dict[tuple[Value, int], str] = {}
        self.over: dict[Value, str] = {}  # reciprocals of numbers of the row
        self.names: set[str] = set()
        for v in sums:
            self._sum(v)
        late: list[str] = []
        for v, place in stores:
            if is_row(v):
                self.after.append(f"{place.number()} = {self.row(v, self.after)}")
                continue
            for k in range(place.blocks if v.kind == "number" else v.columns // loop.H):
                late.append(f"{self.view(place, k)}[j] = {self.entry(v, k)}")
        inside = ["    for j in range(H):", *[f"        {line}" for line in [*self.inner, *late]]]
        self.lines = [
            *[f"    {line}" for line in self.before],
            *(inside if self.inner or late else []),
            *[f"    {line}" for line in self.after],
        ]

    def view(self, place: Place, k: int) -> str:
        """A name for one block of the row b."""
        name = f"{place.array}_{place.slot + k}{_SUFFIX.get(place.row, '')}"
        self.views[name] = place.text("b", k)
        return name

    def _sum(self, v: Value) -> None:
        """A sum (mean, largest, smallest) over the columns of a row."""
        x, name = self.loop.value(v.args[0]), f"z{len(self.loop.rows)}"
        self.loop.rows[v] = name
        first, step = REDUCTIONS[v.name]
        self.before.append(f"{name} = {first}")
        for k in range(x.columns // self.loop.H):
            self.inner.append(f"{name} = {step}({name}, {self.entry(x, k)})")
        if v.name == "mean":
            self.after.insert(0, f"{name} = {name} / F({columns(x.columns // self.loop.H)})")

    def row(self, v: Value, lines: list[str]) -> str:
        """The name of a number of the row b, computed before the loop over j."""
        loop = self.loop
        v = loop.value(v)
        if not v.varies:
            return self.constant(v, 0)
        phase = loop.level(v)[0]
        if v in loop.rows and phase == self.level[0]:
            return loop.rows[v]
        if v in loop.given or (v in loop.places and phase < self.level[0]):
            return loop.places[v].number()
        if (v, 0) not in self.known:
            text = scalar(v, [self.row(x, lines) for x in v.args])
            self.known[v, 0] = f"r{len(self.known)}_{'_'.join(map(str, self.level))}"
            lines.append(f"{self.known[v, 0]} = {text}")
        return self.known[v, 0]

    def reciprocal(self, v: Value) -> str:
        """The name of 1 / v, for a number v of the row b."""
        if v not in self.over:
            text = f"F(1) / {self.row(v, self.before)}"
            self.over[v] = f"over{len(self.over)}_{'_'.join(map(str, self.level))}"
            self.before.append(f"{self.over[v]} = {text}")
        return self.over[v]

    def constant(self, v: Value, k: int) -> str:
        if v.kind == "number":
            return self.loop.number(v.number)
        name = self.loop._weight(v)
        if math.prod(v.shape) == 1:
            return f"{name}[0]"
        return f"{name}[{k} * H + j]" if k else f"{name}[j]"

    def entry(self, v: Value, k: int) -> str:
        """The name of entry (b, j) of block k of a value, computed in the loop where it is not there."""
        loop = self.loop
        v = loop.value(v)
        if not v.varies:
            return self.constant(v, k)
        if is_row(v):
            return self.row(v, self.before)
        if (v, k) in self.known:
            return self.known[v, k]
        place = loop.places.get(v)
        if v in loop.arriving:
            text = " + ".join(f"{self.view(place, k)}[j]" for place in loop.arriving[v]) or "F(0)"
        elif place is not None and (v in loop.given or v.name == "matmul" or loop.level(v) < self.level):
            text = f"{self.view(place, k)}[j]"
        elif v.name == "columns":
            return self.entry(v.args[0], k + v.start // loop.H)
        elif v.name == "concatenate":
            for x in v.args:
                if k < x.columns // loop.H:
                    return self.entry(x, k)
                k -= x.columns // loop.H
            raise AssertionError("no such block")
        elif v.name == "broadcast":
            return self.row(v.args[0], self.before)
        elif by_row(v):
            text = f"{self.entry(v.args[0], k)} * {self.reciprocal(v.args[1])}"
        else:
            text = scalar(v, [self.entry(x, k) for x in v.args])
        self.known[v, k] = name = self.named(v, k)
        self.inner.append(f"{name} = {text}")
        return name

    def named(self, v: Value, k: int) -> str:
        """What a value is called: as in the equations, if it has a name there."""
        blocks = v.columns // self.loop.H
        label = re.sub(r"\W", "_", v.label) + (f"_{k}" if blocks > 1 else "")
        usable = v.label and label.isidentifier() and not keyword.iskeyword(label)
        name = f"{label}_" if usable else f"x{len(self.known)}"
        name = name if name not in self.names else f"x{len(self.known)}"
        self.names.add(name)
        return name
