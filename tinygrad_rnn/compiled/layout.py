"""Where each value of a step lies in memory, and which are computed by one call.

A *cell* holds one value (B, n), and before it those that it is computed from in place. Cells lie side by side in a
*buffer*, as slabs (k, B, n): so one NumPy call computes like values of neighbours, [i f o] = tanh of three slabs. What
is put together of columns for a product lies as columns (B, k n), which is seen as slabs by its strides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from .pieces import elementwise
from .places import Buffer, Call, Cell, Ref
from .schedule import Schedule
from .values import Value

VIEWS = ("columns", "broadcast")
IN_LOOP = ("forward", "backward")
PHASES = ("ahead", "forward", "output", "factors", "backward", "late")


class Layout:
    """The memory and the calls of a scheduled step, phase by phase."""

    def __init__(self, schedule: Schedule) -> None:
        self.s, self.step = schedule, schedule.step
        self.phase = {v: name for name in PHASES for v in getattr(schedule, name)}
        self.place_in_order = {v: k for k, v in enumerate(self.phase)}
        everything = [*self.phase, *schedule.totals]
        self.uses = Counter(x for v in everything for x in v.args)
        targets = [self.step.y, *self.step.after, *[d for d in (self.step.da, *self.step.dstates) if d is not None]]
        self.pinned = set(targets)
        self.uses.update(targets)
        self.consumers: dict[Value, list[Value]] = {}
        for v in everything:
            for x in v.args:
                self.consumers.setdefault(x, []).append(v)
        self.products = Counter((v.args[0], v.columns) for v in self.phase if v.name == "matmul")
        self.cells: dict[Value, Cell] = {}
        self.buffers: list[Buffer] = []
        self.orders: dict[Value, list[tuple[int, int]]] = {}  # of a concatenation in another order: its columns
        self.level: dict[Value, int] = {}
        for v in self.phase:
            same = [self.level[x] for x in v.args if self.phase.get(x) == self.phase[v]]
            self.level[v] = max(same, default=0) + (v.name not in VIEWS)
        self.over_time = self.kept_over_time()
        self.given()
        self.join()
        self.concatenations()
        self.calls: dict[str, list[Call]] = {}
        for name in ("forward", "backward", "factors", "ahead", "output", "late"):
            self.calls[name] = self.grouped(name)
        self.ends()

    # ---------------------------------------------------------------- cells

    def base(self, v: Value) -> Value:
        """What a view shows columns of."""
        while v.name in VIEWS:
            v = v.args[0]
        return v

    def holders(self, out: Value) -> list[Buffer]:
        """Where the gradient of a result waits: at each part of the state that it is."""
        return [e for v, e in zip(self.step.after, self.gradients, strict=True) if v is out]

    def kept_over_time(self) -> set[Value]:
        """What is read outside the loop that computes it."""
        kept = {self.base(x) for v in self.phase for x in v.args if self.phase.get(self.base(x)) != self.phase[v]}
        kept |= {self.base(x) for v in self.s.totals for x in v.args}
        kept |= {self.base(v) for v in (self.step.y, self.step.da) if v is not None}
        return kept | {v for v, name in self.phase.items() if name not in IN_LOOP}

    def given(self) -> None:
        """The cells of what the caller has, and of the states after the step."""
        step, dtype = self.step, self.step.dtype
        self.cells[step.a] = Cell(
            step.a.columns, dtype, [step.a], Buffer("a", "time", step.a.columns, dtype, columns=True)
        )
        self.states = [Buffer(f"S{k}", "time", v.columns, dtype, alone=True) for k, v in enumerate(step.states)]
        self.gradients = [Buffer(f"e{k}", "step", v.columns, dtype, alone=True) for k, v in enumerate(step.states)]
        self.dy = Buffer("dy", "time", step.y.columns, dtype, columns=True)
        for v, buffer in zip(step.states, self.states, strict=True):
            self.cells[v] = Cell(v.columns, dtype, [v], buffer)
        for v, buffer in zip(step.after, self.states, strict=True):
            if (
                self.phase.get(v) in ("forward", "ahead")
                and v.name not in (*VIEWS, "concatenate")
                and v not in self.cells
            ):
                self.cells[v] = Cell(v.columns, dtype, [v], buffer, shift=1)
        for out, g in step.seeds:
            holders = self.holders(out)
            self.cells[g] = Cell(g.columns, dtype, [g], holders[0] if holders else self.dy)
            if holders and g in self.over_time:
                self.cells[g].buffer = self.new("time", g.columns, dtype, 1, "g", backward=True)
        self.next = {}  # the gradients of the states before the step, until the old ones are done with
        for d, e in zip(step.dstates, self.gradients, strict=True):
            free = d is not None and d in self.phase and d not in self.cells and d not in self.over_time
            if d is not None and free and d.name not in (*VIEWS, "concatenate"):
                self.next[d] = Buffer(f"n{e.name[1:]}", "step", d.columns, dtype, alone=True, backward=True)
                self.cells[d] = Cell(d.columns, dtype, [d], self.next[d])

    def join(self) -> None:
        """Let each value be computed in the memory of one that nothing else needs."""
        for v in reversed(list(self.phase)):
            if v.name in (*VIEWS, "concatenate"):
                continue
            if v not in self.cells:
                seed = next((x for x in v.args if self.replaces(x, v)), None)
                self.cells[v] = Cell(v.columns, v.dtype, [v]) if seed is None else self.cells[seed]
                if seed is not None:
                    self.cells[v].values.append(v)
                    continue
            if elementwise(v) and v.name != "where":
                joined = [x for x in v.args if self.joins(x, v)]
                if joined:
                    x = max(joined, key=lambda x: (self.phase[x] == "ahead", self.level[x]))
                    self.cells[x] = self.cells[v]
                    self.cells[v].values.append(x)

    def replaces(self, g: Value, v: Value) -> bool:
        """Whether v may be computed in the place of the arriving gradient g."""
        alone = self.uses[g] == 1 and g.kind == "g" and self.cells[g].buffer in self.gradients
        return alone and elementwise(v) and v.name != "where" and v.columns == g.columns and v not in self.over_time

    def joins(self, x: Value, v: Value) -> bool:
        """Whether x may lie where v is computed from it."""
        here = self.phase.get(x), self.phase[v]
        near = here[0] == here[1] or here == ("ahead", "forward")
        fits = x.shape == v.shape and x.dtype == v.dtype and x.name not in (*VIEWS, "concatenate")
        alone = x.name != "matmul" or self.products[x.args[0], x.columns] == 1  # else it is one of several in one call
        return near and fits and alone and self.uses[x] == 1 and x not in self.cells and v.args.count(x) == 1

    def concatenations(self) -> None:
        """The buffers of what is put together of columns, that of dL/da first; one may share most of another."""
        together = [v for v in self.phase if v.name == "concatenate"]
        for v in sorted(together, key=lambda v: v is not self.step.da):
            shared = self.cells[v].buffer if v in self.cells else self.shared(v)
            if shared is None:
                extent = "time" if v in self.over_time else "step"
                backward = self.phase[v] in ("factors", "backward", "late")
                buffer = self.new(extent, v.columns, v.dtype, v.columns, columns=True, backward=backward, name="d")
                self.cells[v] = Cell(v.columns, v.dtype, [v], buffer)
                at = 0
                for x in v.args:
                    self.put(x, v, buffer, at)
                    at += x.columns

    def put(self, x: Value, v: Value, buffer: Buffer, at: int) -> None:
        """Let a part of a concatenation v be computed where it goes."""
        free = x in self.cells and self.cells[x].buffer is None and self.cells[x].values[0] is x
        if free and self.phase[x] == self.phase[v] and self.fits(self.cells[x], buffer):
            self.cells[x].buffer, self.cells[x].at = buffer, at

    def fits(self, cell: Cell, buffer: Buffer) -> bool:
        """Whether a buffer keeps what is put there as long as it is needed."""
        return buffer.extent == "time" or self.extent(cell)[0] == "step"

    def shared(self, v: Value) -> Buffer | None:
        """A buffer that has some parts of v side by side at one of its ends, to which the others are added."""
        into_products = all(c.name in ("matmul", "product") and v in c.args[-2:] for c in self.consumers.get(v, []))
        widths = {x.columns for x in v.args}
        if not into_products or v in self.pinned or len(widths) > 1 or len(set(v.args)) < len(v.args):
            return None
        n = widths.pop()
        placed = [x for x in v.args if x in self.cells and self.cells[x].buffer is not None and x.kind == "op"]
        rest = [x for x in v.args if x not in placed]
        buffer = self.cells[placed[0]].buffer if placed else None
        if buffer is None or not buffer.columns or any(self.cells[x].buffer is not buffer for x in placed):
            return None
        if any(x not in self.cells or self.cells[x].values[0] is not x or self.phase[x] != self.phase[v] for x in rest):
            return None
        if not all(self.fits(c, buffer) for c in (Cell(v.columns, v.dtype, [v]), *[self.cells[x] for x in rest])):
            return None
        places = sorted(self.cells[x].at for x in placed)
        if places != list(range(places[0], places[0] + n * len(places), n)) or self.phase[v] != "backward":
            return None
        if places[0] == 0:  # the others come before them
            for c in {id(c): c for c in self.cells.values() if c.buffer is buffer}.values():
                c.at += n * len(rest)
            first, added = 0, 0
        elif places[-1] + n == buffer.size:
            first, added = places[0], buffer.size
        else:
            return None
        buffer.size += n * len(rest)
        buffer.n = buffer.size
        for k, x in enumerate(rest):
            self.cells[x].buffer, self.cells[x].at = buffer, added + k * n
        self.cells[v] = Cell(v.columns, v.dtype, [v], buffer, at=first)
        self.orders[v] = self.order(v, n)
        return buffer

    def order(self, v: Value, n: int) -> list[tuple[int, int]]:
        """The columns of v, from and to, in the order in which they lie."""
        lying = sorted(range(len(v.args)), key=lambda k: self.cells[v.args[k]].at)
        return [(k * n, k * n + n) for k in lying]

    def new(self, extent: str, n: int, dtype: np.dtype[Any], size: int, name: str, **more: Any) -> Buffer:
        number = sum(b.name.rstrip("0123456789") == name for b in self.buffers)
        self.buffers.append(Buffer(f"{name}{number or ''}", extent, n, dtype, size, **more))
        return self.buffers[-1]

    # ---------------------------------------------------------------- calls

    def grouped(self, phase: str) -> list[Call]:
        """The calls of a phase: level by level, like values side by side."""
        values = [v for v in getattr(self.s, phase) if v.kind == "op" and v.name not in VIEWS]
        calls: list[Call] = []
        for level in sorted({self.level[v] for v in values}):
            groups: dict[Any, list[Value]] = {}
            for v in values:
                if self.level[v] == level and v.name != "concatenate":
                    groups.setdefault(self.kind(v), []).append(v)
            last: list[Call] = []
            for group in groups.values():
                for run in self.settled(sorted(group, key=self.neighbourhood), phase):
                    (last if run[0] in self.next else calls).append(Call(run))
            calls += last
            for v in values:
                if self.level[v] == level and v.name == "concatenate":
                    calls += self.copies(v)
        return calls

    def kind(self, v: Value) -> Any:
        """What values have in common that one call may compute; None in common with any other."""
        loop = self.phase[v] in IN_LOOP
        if v.name == "matmul":
            return ("matmul", v.args[0], v.columns, v.args[1].shape) if loop and v not in self.next else v
        if not elementwise(v) or v.name in ("where", "softplus", "relu") or v.columns == 1 or v in self.next:
            return v
        return v.name, v.columns, v.dtype, tuple(map(self.role, v.args))

    def role(self, x: Value) -> Any:
        if x.varies:
            return "varies", x.columns
        if x.kind == "number" and not x.shape:
            return "number", x.number
        return ("weight", x.shape) if x.shape else x

    def neighbourhood(self, v: Value) -> Any:
        """Values are sorted by where they lie, or what they are made of lies; else by what becomes of them."""
        for x in (v, *v.args):
            cell = self.cells.get(self.base(x))
            if cell is not None and cell.buffer is not None and x.varies and (x is v or self.uses[x] <= 2):
                place = self.place(x)
                return 0, cell.buffer.name, place.at, place.first, self.place_in_order[v]
        path = self.path(v)
        return 1, "", -len(path), path, self.place_in_order[v]

    def path(self, v: Value) -> list[str]:
        """What becomes of a value, as long as one other alone is made from it."""
        names = [v.name]
        while self.uses[v] == 1 and v in self.consumers:
            (v,) = self.consumers[v]
            names.append(v.name)
        return names

    def settled(self, values: list[Value], phase: str) -> Iterator[list[Value]]:
        """Runs of values that lie side by side, each with its place."""
        for run in self.runs(values):
            self.settle(run, phase)
            together = self.runs(run) == [run]  # one of them may have been asked to lie at two places
            for part in [run] if together else [[v] for v in run]:
                self.settle(part, phase)
                yield part

    def runs(self, values: list[Value]) -> list[list[Value]]:
        runs: list[list[Value]] = []
        for v in values:
            if runs and self.follows(runs[-1], v):
                runs[-1].append(v)
            else:
                runs.append([v])
        return runs

    def follows(self, run: list[Value], v: Value) -> bool:
        """Whether v lies beside the last of a run, and so do the things it is computed from."""
        last = run[-1]
        if not self.beside(last, v):
            return False
        steps = [self.relation(x, y) for x, y in zip(last.args, v.args, strict=True)]
        if "" in steps or not {"next", "weight"} & set(steps):
            return False
        if len(run) > 1:
            return steps == [self.relation(x, y) for x, y in zip(run[0].args, run[1].args, strict=True)]
        return True

    def relation(self, x: Value, y: Value) -> str:
        """How an argument of one value is to that of the next: the same, its neighbour, a weight; or nothing."""
        if not x.varies:
            return "number" if x.kind == "number" and not x.shape else "weight" if x.shape else "number"
        if x is y:
            return "same"
        return "next" if self.beside(x, y) else ""

    def beside(self, x: Value, y: Value) -> bool:
        """Whether y lies behind x; of two whose place is open, whether it could."""
        first, second = self.cells.get(self.base(x)), self.cells.get(self.base(y))
        if first is None or second is None or x is y:
            return False
        if first.buffer is None or second.buffer is None:
            views = x.name in VIEWS or y.name in VIEWS
            alike = self.extent(first) == self.extent(second) and (first.n, first.dtype) == (second.n, second.dtype)
            return first is not second and first.buffer is second.buffer and alike and not views
        return self.place(x).before(self.place(y))

    def extent(self, cell: Cell) -> tuple[str, bool]:
        """For which steps a cell is kept, and whether by the backward pass."""
        phases = {self.phase[v] for v in cell.values if v in self.phase}
        backward = bool(phases & {"factors", "backward", "late"})
        if "factors" in phases:
            return "chunk", backward
        return "time" if any(v in self.over_time for v in cell.values) else "step", backward

    def settle(self, run: list[Value], phase: str) -> None:
        """Give those of a run that have no place yet, and what they are computed from, neighbouring places."""
        for values in (run, *zip(*[v.args for v in run], strict=True)):
            cells = list(dict.fromkeys(self.cells[self.base(v)] for v in values if self.base(v) in self.cells))
            if cells and all(c.buffer is None for c in cells):
                extent, backward = self.extent(cells[0])
                name = {"chunk": "K", "time": "v", "step": "u"}[extent]
                buffer = self.new(extent, cells[0].n, cells[0].dtype, len(cells), name, backward=backward)
                for k, cell in enumerate(cells):
                    cell.buffer, cell.at = buffer, k

    def place(self, v: Value, k: int = 0) -> Ref:
        """Where a value lies, with the k - 1 after it."""
        first, n = 0, v.columns
        while v.name in VIEWS:
            if v.name == "broadcast":
                n = v.args[0].columns
            first, v = first + v.start, v.args[0]
        cell = self.cells[v]
        assert cell.buffer is not None
        return Ref(cell.buffer, cell.at, k, cell.shift, first, n)

    def copies(self, v: Value) -> list[Call]:
        """What of a concatenation is not computed where it goes."""
        calls, at, whole = [], self.cells[v].at, self.cells[v].buffer
        assert whole is not None
        if v in self.orders:
            return []
        for x in v.args:
            there = Ref(whole, at, 0, 0, 0, x.columns)
            if x.varies:
                self.settle([x], self.phase[v])
            if not x.varies or self.place(x) != there:
                calls.append(Call([v, x], there))
            at += x.columns
        return calls

    def ends(self) -> None:
        """The gradient of a state takes the place of that after the step, at once where that is read no more."""
        calls = self.calls["backward"]
        for buffer in self.next.values():
            old = self.gradients[int(buffer.name[1:])]
            writes = [
                k for k, c in enumerate(calls) if c.copy is None and any(self.cells[x].buffer is buffer for x in c.run)
            ]
            reads = [k for k, c in enumerate(calls) for x in self.read(c) if self.buffer_of(x) is old]
            if any(d is not None and self.buffer_of(d) is old for d in self.step.dstates):
                reads.append(len(calls))  # it goes on to another state as it is, in the end
            first = calls[writes[0]].run[0]
            in_place = elementwise(first) and first.name != "where"
            if not reads or reads[-1] < writes[0] or (in_place and reads[-1] == writes[0]):
                for cell in {id(c): c for c in self.cells.values() if c.buffer is buffer}.values():
                    cell.buffer = old
            else:
                self.buffers.append(buffer)

    def buffer_of(self, x: Value) -> Buffer | None:
        cell = self.cells.get(self.base(x))
        return None if cell is None else cell.buffer

    def read(self, call: Call) -> list[Value]:
        return [call.run[1]] if call.copy else [x for v in call.run for x in v.args if x.varies]
