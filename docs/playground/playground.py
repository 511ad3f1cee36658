"""What the playground computes: a program in, everything that the page shows of it out.

    Run       the program, run: its loss, its tape, and what the library says of them
    answer    the door: a request as JSON in, an answer as JSON out

The numbers of a program, each with a slider, are found in `playground_text`. It runs in the browser, on the library as
it is, and as well without one. All that it says comes from the library's public functions; the page only shows it.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import io
import json
import math
import re
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from playground_text import FILE, Number, Wrong, numbers, parsed, rewritten

import tinygrad_rnn as tg
from tinygrad_rnn.unrolled.expand import Expanded

ROWS = 400  # of the tape
TERMS = 24  # steps; a longer triangle is not shown
NUDGE = 1e-3
PRINTED = 20_000  # letters of what a program prints


FREED = (
    "after backward() the graph of the loss is gone. Leave this line out: the page walks back by itself; "
    "or keep the graph, with backward(retain_graph=True)"
)

# ---------------------------------------------------------------- a program, run


class Printed(io.StringIO):
    """What a program prints: as much of it as one reads."""

    def close(self) -> None:
        """A program may close its output; what it has printed is shown."""

    def shown(self) -> str:
        text = self.getvalue()
        left = len(text) - PRINTED
        return text if left <= 0 else f"{text[:PRINTED]}\n... and {left} letters more"


class Run:
    """A program, run. `trained` holds the weights of its modules, by name, if a training has changed them."""

    def __init__(self, code: str, trained: dict[str, dict[str, np.ndarray]]) -> None:
        self.code, self.space, self.given = code, dict[str, Any](np=np, tg=tg), dict(trained)
        printed = Printed()
        # what a program sets of errors and warnings is for itself
        with contextlib.redirect_stdout(printed), np.errstate(all="ignore"), warnings.catch_warnings():
            try:
                for statement in parsed(code).body:
                    exec(compile(ast.Module([statement], []), FILE, "exec"), self.space)
                    self._load(trained)
            except BaseException as error:  # exit() too: it ends a program, and not this page
                raise _explained(error, self.space) from error
        self.printed = printed.shown()
        self.loss = self._loss()
        self.modules = {name: x for name, x in self.space.items() if isinstance(x, tg.nn.Module)}
        for name, x in self.space.items():
            if isinstance(x, tg.Tensor) and x.is_leaf:
                x.name = x.name or name
        self.loss.name = "loss"
        try:
            self.tape = tg.tape(Expanded(self.loss).root)
        except tg.errors.FreedGraphError as error:
            line = next((k for k, line in enumerate(code.split("\n"), 1) if ".backward(" in line), None)
            raise Wrong(FREED, line) from error
        self.weights = [x for x in self.tape.leaves if x.requires_grad]

    def _load(self, trained: dict[str, dict[str, np.ndarray]]) -> None:
        """Give a module its trained weights, as soon as the program has made it."""
        for name in [name for name in trained if isinstance(self.space.get(name), tg.nn.Module)]:
            self.space[name].load_state_dict(trained.pop(name))

    def _loss(self) -> tg.Tensor:
        loss = self.space.get("loss")
        if loss is None:
            raise Wrong("the program makes no `loss`: end it with a line such as  loss = (h - 0.5) ** 2")
        if not isinstance(loss, tg.Tensor):
            kind = type(loss).__name__
            raise Wrong(f"`loss` is a {kind}, and must be computed from tensors: tg.tensor(0.5, requires_grad=True)")
        if loss.size != 1:
            raise Wrong(f"`loss` has the shape {loss.shape}, and must be one number: loss.sum(), or loss.mean()")
        if not loss.requires_grad:
            raise Wrong("`loss` needs no gradient: no tensor behind it was made with requires_grad=True")
        if loss.is_leaf:
            raise Wrong("`loss` is a tensor that nothing was computed from: let it depend on others")
        return loss

    # ------------------------------------------------------------ what is said of it

    def report(self, weight: str | None) -> dict[str, Any]:
        """All that the page shows, each part as data, or as the sentence that says why there is none."""
        return {
            "loss": figure(self.loss.item()),
            "printed": self.printed,
            "gradients": {n.name: g for n in numbers(self.code) if (g := self.gradient_of(n.name)) is not None},
            "picture": _or_why(self.picture),
            "tape": self.rows(),
            "weights": [x.name for x in self.weights],
            **(self.over_time(weight) if any(record.step for record in self.tape) else {}),
        }

    def over_time(self, weight: str | None) -> dict[str, Any]:
        """What there is to say of a network with time steps."""
        parts = _or_why(lambda: self.parts(weight))
        return {"flow": _or_why(self.flow), "factors": _or_why(self.factors), "parts": parts}

    def picture(self) -> dict[str, Any]:
        """The graph as SVG; and for each of its nodes what it shows: a record by its number, or a leaf by its name."""
        drawing = tg.draw(self.tape.root, grads=True, values=True, theme="auto")
        nodes: dict[str, Any] = {}
        for node in drawing.nodes:
            known = [self.tape.numbers[record] for record in node.records if record in self.tape.numbers]
            label = node.lines[0].removesuffix(" ↗") if node.lines else ""
            if known:
                nodes[node.id] = known
            elif label in (x.name for x in self.weights):
                nodes[node.id] = label
        return {"svg": drawing.svg(), "nodes": nodes}

    def flow(self) -> list[dict[str, Any]]:
        """|dL/dh_t| of each state at every step, and how high its bar is: 0 to 1, on a scale of 2 to 12 decades."""
        found = []
        for layer, part in tg.bptt.flow(self.tape.root).layers.items():
            for name, norms in part.norms.items():
                logs = np.log10(norms)  # minus infinity for 0
                seen = logs[np.isfinite(logs)]
                top = math.ceil(seen.max()) if seen.size else 0
                low = max(min(top - 2, math.floor(seen.min())), top - 12) if seen.size else -2
                bars = np.clip(np.nan_to_num((logs - low) / (top - low), nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
                sizes = [figure(x, 3) for x in norms]
                ends = {"low": f"1e{low}", "top": f"1e{top}"}
                row = {"name": f"∂L/∂{name}_t of {layer}", "steps": part.steps.tolist(), "sizes": sizes}
                found.append({**row, **ends, "bars": bars.round(3).tolist()})
        return found

    def factors(self) -> str:
        """By how much a step changes the gradient at the state: the eigenvalues of its Jacobian."""
        found = tg.bptt.jacobians(self.loss)
        radii = [
            float(np.abs(np.linalg.eigvals(J)).max()) for J in found.matrices.reshape(-1, *found.matrices.shape[-2:])
        ]
        low, high = figure(min(radii)), figure(max(radii))
        between = low if low == high else f"{low} to {high}"
        return f"largest |eigenvalue| of the Jacobian of a step: {between}"

    def rows(self) -> dict[str, Any]:
        return {"rows": list(self.tape.rows(ROWS)), "left_out": max(0, len(self.tape) - ROWS)}

    def parts(self, weight: str | None) -> dict[str, Any]:
        """The gradient of a weight by the step in which it was used, and by the loss: T(t, k)."""
        shared = {x.name: x for x in self.weights}
        names = [weight] if weight in shared else sorted(shared, key=lambda name: -self._uses(shared[name]))
        found = tg.bptt.decompose(self.tape.root, shared[names[0]], blocks=True)
        one = found.by_step[0].size == 1 if len(found.steps) else False
        size = (lambda g: _plain(float(g.sum()))) if one else (lambda g: _plain(float(np.linalg.norm(g))))
        triangle = None
        if 1 < len(found.terms) <= TERMS and found.blocks is not None:
            known = ~np.isnan(found.norms)
            triangle = [
                [size(b) if k else None for b, k in zip(*row, strict=True)]
                for row in zip(found.blocks, known, strict=True)
            ]
        return {
            "name": names[0],
            "signed": one,
            "total": size(found.total),
            "steps": found.steps,
            "by_step": [size(g) for g in found.by_step],
            "terms": found.terms,
            "triangle": triangle,
        }

    def _uses(self, x: tg.Tensor) -> int:
        return sum(y is x for record in self.tape for y in record.inputs)

    # ------------------------------------------------------------ one number of it

    def entry(self, name: str) -> tuple[tg.Tensor, tuple[int, ...]] | None:
        """The tensor and the index that ``W[0][1]`` names, where it is a weight."""
        base, _, rest = name.partition("[")
        x = self.space.get(base)
        if not any(x is weight for weight in self.weights):
            return None
        return x, tuple(int(k) for k in re.findall(r"\d+", rest))

    def gradient_of(self, name: str) -> str | None:
        found = self.entry(name)
        if found is None:
            return None
        x, index = found
        return figure(float(np.asarray(self.tape.gradients.get(x, np.zeros(x.shape)))[index]))

    def nudge_number(self, number: Number) -> dict[str, Any]:
        """A number of the program, changed a little: the program is run again."""
        step = 1 if number.whole else NUDGE
        again = Run(rewritten(self.code, {number.name: number.value + step}), dict(self.given))
        real = again.loss.item() - self.loss.item()
        found = self.entry(number.name)
        predicted = None
        if found is not None:
            predicted = step * float(np.asarray(self.tape.gradients.get(found[0], np.zeros(found[0].shape)))[found[1]])
        return _nudged(number.name, number.written(number.value), number.written(number.value + step), predicted, real)

    def nudge_record(self, k: int) -> dict[str, Any]:
        """The result of a record, changed a little along its gradient: what comes after it is computed again."""
        record = self.tape[k]
        name = f"%{k}" + (f" = {self.tape.names[record, 0]}" if (record, 0) in self.tape.names else "")
        (value, *_), g = record.values, self.tape.gradients.get(record)
        if g is None:
            return {
                "text": f"{name}: no gradient comes here, since the loss does not depend on it, or through a cut only"
            }
        g = np.asarray(g[0])
        length = float(np.linalg.norm(g))
        direction = np.ones_like(g) if value.size == 1 else g / length if length else g
        real = self.replayed(k, value + NUDGE * direction).item() - self.loss.item()
        predicted = NUDGE * float((g * direction).sum())
        if value.size == 1:
            return _nudged(name, figure(value, 6), figure(value + NUDGE, 6), predicted, real)
        return _nudged(f"{name}, moved by {NUDGE} along its gradient", None, None, predicted, real)

    def replayed(self, k: int, value: np.ndarray) -> np.ndarray:
        """The loss, with another value for the first output of record k."""
        values: dict[Any, Any] = {(self.tape[k], 0): value}
        for record in self.tape[k + 1 :]:
            pairs = zip(record.inputs, record.arrays, strict=True)
            inputs = [a if x is None else values.get((x.record, x.output), a) for x, a in pairs]
            if any(new is not old for new, old in zip(inputs, record.arrays, strict=True)):
                made = record.op.forward(*inputs)
                values |= {(record, j): y for j, y in enumerate(made if isinstance(made, tuple) else (made,))}
        root = self.tape.root
        return np.asarray(values.get((root.record, root.output), root.array))

    # ------------------------------------------------------------ training

    def trained(self, rate: float) -> tuple[str, dict[str, dict[str, np.ndarray]]]:
        """A step of gradient descent: the program with other numbers, and the other weights of its modules."""
        values = {}
        for n in numbers(self.code):
            found = self.entry(n.name)
            if found is not None and not n.whole:
                g = self.tape.gradients.get(found[0])
                values[n.name] = n.value if g is None else n.value - rate * float(np.asarray(g)[found[1]])
        for module in self.modules.values():
            for p in module.parameters():
                g = self.tape.gradients.get(p)
                if g is not None:
                    p.data = p.data - np.asarray(rate * np.asarray(g), p.dtype)
        return rewritten(self.code, values), {name: m.state_dict() for name, m in self.modules.items()}


def _or_why(make: Callable[[], Any]) -> Any:
    """What it makes; or why it cannot be made, as {"why": ...}."""
    try:
        return make()
    except (RuntimeError, ValueError, IndexError, np.linalg.LinAlgError) as error:
        return {"why": _first(str(error))}


def _nudged(name: str, before: str | None, after: str | None, predicted: float | None, real: float) -> dict[str, Any]:
    change = name if before is None else f"{name}: {before} → {after}"
    if predicted is None:
        why = "it is no tensor that needs a gradient, so none is known"
        return {"text": f"{change}. Real change of the loss {figure(real, 5)}; {why}"}
    text = f"{change}. Predicted change of the loss {figure(predicted, 5)}, real change {figure(real, 5)}"
    return {"text": text, "predicted": _plain(predicted), "real": _plain(real)}


def figure(x: Any, digits: int = 4) -> str:
    return f"{float(np.reshape(x, ())):.{digits}g}".replace("-", "−")


def _plain(x: float) -> float | str:
    """For JSON, which has no word for nan and infinity."""
    return x if math.isfinite(x) else str(x)


# ---------------------------------------------------------------- what went wrong


def _explained(error: BaseException, space: dict[str, Any]) -> Wrong:
    """An exception in words, with the last line of the program that was being run."""
    if isinstance(error, Wrong):
        return error
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
    text = _first(_words(error)) or type(error).__name__
    if isinstance(error, NameError) and error.name:
        close = difflib.get_close_matches(error.name, [name for name in space if not name.startswith("_")], 1)
        text = f"there is no `{error.name}` here" + (
            f"; is `{close[0]}` meant?" if close else "; give it a value in a line above"
        )
    elif isinstance(error, ModuleNotFoundError):
        text = f"there is no module {error.name} here: this page has NumPy (np) and tinygrad_rnn (tg)"
    elif isinstance(error, SystemExit):
        text = "the program ends itself here, before it has shown anything"
    elif isinstance(error, RecursionError):
        text = "a function calls itself without end"
    elif not type(error).__module__.startswith("tinygrad_rnn"):
        text = f"{type(error).__name__}: {text}"
    return Wrong(text, lines[-1] if lines else None)


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an exception of the program's own
        return ""


def _first(text: str) -> str:
    return text.strip().split("\n\n")[0]


# ---------------------------------------------------------------- the door


class Session:
    """What is remembered from one request to the next: the last run, and weights that a training has changed."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self.weights: tuple[str, dict[str, Any]] = ("", {})  # the program that they belong to, and they

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            with np.errstate(all="ignore"):
                return self.nudge(asked["nudge"]) if "nudge" in asked else self.show(**asked)
        except Wrong as error:
            return {"error": {"text": error.text, "line": error.line}}

    def show(
        self,
        code: str,
        values: dict[str, float] | None = None,
        weight: str | None = None,
        rate: float = 0.0,
        steps: int = 0,
    ) -> dict[str, Any]:
        """Run the program, with other values of its numbers; after so many steps of gradient descent."""
        code = rewritten(code, values or {})
        answer = {"code": code, "numbers": [_shown(n) for n in numbers(code)]}
        try:
            run = Run(code, self._trained(code))
            losses = [_plain(run.loss.item())]
            for _ in range(steps):
                self.weights = code, _ = run.trained(rate)
                run = Run(code, self._trained(code))
                losses.append(_plain(run.loss.item()))
            self.run = run
            said = {"code": code, "numbers": [_shown(n) for n in numbers(code)], "losses": losses}
            return {**said, **run.report(weight)}
        except Wrong as error:
            return answer | {"error": {"text": error.text, "line": error.line}}

    def _trained(self, code: str) -> dict[str, Any]:
        """The weights of a training, as long as the program is the one that it led to."""
        return dict(self.weights[1]) if self.weights[0] == code else {}

    def nudge(self, what: str | int) -> dict[str, Any]:
        if self.run is None:
            return {"text": ""}
        if isinstance(what, int):
            return self.run.nudge_record(what) if what < len(self.run.tape) else {"text": ""}
        for number in numbers(self.run.code):
            if number.name == what:
                return self.run.nudge_number(number)
        return {"text": f"{what} has several entries; point at one of them at the left"}


def _shown(n: Number) -> dict[str, Any]:
    return {**asdict(n), "step": n.step}


session = Session()


def answer(asked: str) -> str:
    """A request in JSON, answered in JSON."""
    return json.dumps(session.answer(json.loads(asked)), allow_nan=False)
