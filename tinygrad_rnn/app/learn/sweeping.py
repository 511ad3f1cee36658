"""Tasks on derivatives: a chain by hand, the sweep over a tape, the rule of an op."""

from __future__ import annotations

import numpy as np

from ...autograd.functional import grad
from ...autograd.gradcheck import gradcheck
from ...autograd.tensor import Tensor
from ...engine.tape import Op
from ...errors import GradcheckError
from ...ops.elementwise import exp, tanh
from .answer import Answer, NotYet
from .task import Task, as_array, compare, program, same

X, W, B = 1.5, 0.4, 0.2


def _check_chain(mine: Answer) -> str:
    w, b = Tensor(W, requires_grad=True), Tensor(B, requires_grad=True)
    y = tanh(w * X + b)
    dw, db = (g.item() for g in grad((y - 1) ** 2, [w, b]))
    slope = 1 - y.item() ** 2
    mistakes = {
        "the slope of tanh at this point is missing in it": 1 / slope,
        "the slope of tanh is 1 - tanh², and the square is missing": (1 - y.item()) / slope,
        "the square brings a factor 2, which is missing": 0.5,
    }
    inner = {"w is multiplied by x, and this factor is missing": 1 / X}
    for name, right, more in (("dw", dw, inner), ("db", db, {"w is multiplied by x, but b is not": X})):
        wrong = {text: right * factor for text, factor in {**mistakes, **more}.items()}
        compare(name, mine.number(name), right, wrong, 5e-4)
    return "a reverse sweep finds the same two numbers"


CHAIN = Task(
    "a chain by hand: dL/dw and dL/db",
    "1-tape.md",
    "L = (tanh(w x + b) - 1)², with x = 1.5, w = 0.4, b = 0.2. Work out dL/dw and dL/db, to three digits or more. Use "
    "paper, or a program, but no derivative of the library: that is what you are checked against.",
    program("""
        dw = 0.0
        db = 0.0
    """),
    (
        "Name what is in between: z = w x + b, y = tanh(z), L = (y - 1)². Differentiate each by the one before it.",
        "dL/dy = 2 (y - 1), and dy/dz = 1 - y². How much does z change when w does, and when b does?",
        "db is the product of the first two, and dw is db times one more number.",
    ),
    program("""
        x, w, b = 1.5, 0.4, 0.2
        y = np.tanh(w * x + b)
        db = 2 * (y - 1) * (1 - y**2)
        dw = db * x
    """),
    _check_chain,
)


def _check_sweep(mine: Answer) -> str:
    gradients = mine.function("gradients")
    a, b = Tensor(0.7, requires_grad=True, name="a"), Tensor(-1.3, requires_grad=True, name="b")
    chain = tanh(a * 2.0 - 1.0)
    shared = chain * chain
    for what, L, leaves, hint in (
        ("tanh(a)", tanh(a), [a], "dL/dL = 1 waits at the last record"),
        ("tanh(a * 2 - 1)", chain, [a], "hand on what the rule gives, to the record that made the input"),
        ("a * b", a * b, [a, b], "a rule gives one gradient for each input, in their order"),
        ("a * a + a", a * a + a, [a], "a is used three times, and the contributions of its uses add up"),
        ("c * c, c = tanh(...)", shared, [a], "c is used twice: what waits at its record is a sum too"),
        ("exp(a) * b + a * b", exp(a) * b + a * b, [a, b], "every use adds its contribution"),
    ):
        found = gradients(L)
        if not isinstance(found, dict):
            raise NotYet(f"gradients(L) has to return a dict, {{leaf: gradient}}, and gives {type(found).__name__}")
        for x in leaves:
            if x not in found:
                raise NotYet(f"L = {what}: the leaf {x.name} is missing in what gradients(L) returns")
            right = grad(L, x, retain_graph=True).item()
            if not same(as_array(found[x], "a gradient"), np.array(right)):
                value = float(as_array(found[x], "a gradient"))
                raise NotYet(f"L = {what}: the gradient of {x.name} is not {value:.6g}; {hint}")
    return "on six tapes it finds what the library's sweep finds"


SWEEP = Task(
    "the reverse sweep: walk a tape backwards",
    "3-backward.md",
    "Write gradients(L), which gives {leaf: dL/dleaf} for a number L, by walking tg.tape(L) backwards. Of a record you "
    "need record.op.vjp(g, y, *record.arrays), with y = record.values[0]: it gives one gradient for each input, as a "
    "tuple (or one array, where there is one input). record.inputs are the tensors that went in; one that is constant "
    "may be None there, and its gradient is of no use. x.record is the record that made x, None for a leaf. All ops "
    "have one output, and all is scalar.",
    program("""
        def gradients(L):
            waiting = {L.record: 1.0}
            for record in reversed(tg.tape(L)):
                g, y = waiting.pop(record), record.values[0]
                parts = record.op.vjp(g, y, *record.arrays)
            return waiting
    """),
    (
        "For each input x and its part: where does it wait? At x.record, or at x itself if x is a leaf.",
        "Two uses, two parts, one place. waiting[key] = part forgets the first of them.",
        "waiting[key] = waiting.get(key, 0.0) + part, with key = x.record or x, for each x that is not None.",
    ),
    program("""
        def gradients(L):
            waiting = {L.record: 1.0}
            for record in reversed(tg.tape(L)):
                g, y = waiting.pop(record), record.values[0]
                parts = record.op.vjp(g, y, *record.arrays)
                for x, part in zip(record.inputs, parts if isinstance(parts, tuple) else (parts,)):
                    if x is not None and x.requires_grad:
                        key = x.record or x
                        waiting[key] = waiting.get(key, 0.0) + part
            return waiting
    """),
    _check_sweep,
)


def _check_rule(mine: Answer) -> str:
    kind = mine["Bent"]
    if not (isinstance(kind, type) and issubclass(kind, Op)):
        raise NotYet("Bent has to be a class made from tg.Op: class Bent(tg.Op)")
    op, points = kind(), np.array([-2.0, -0.3, 0.0, 1.2, 4.0])
    a, b = (Tensor(x, requires_grad=True) for x in (points, points[::-1] + 0.25))
    value, right = op(a, b), np.sqrt(a.data**2 + 1) * b.data
    if not same(as_array(value, "Bent()(a, b)"), right):
        raise NotYet("forward does not give sqrt(a² + 1) · b any more: only the rule is asked for")
    if value.record is None or value.record.op is not op:
        raise NotYet("Bent is to be an op, one record on the tape")
    for k, name in enumerate("ab"):
        try:
            gradcheck(op, (a if k == 0 else a.detach(), b if k == 1 else b.detach()))
        except GradcheckError as error:
            raise NotYet(f"the gradient of {name}: {str(error).splitlines()[0]}") from None
    try:
        gradcheck(op, (a, b), order=2)
    except GradcheckError as error:
        raise NotYet(f"the rule is right, but cannot be differentiated again: {str(error).splitlines()[0]}") from None
    return "central differences find the same, for the rule and for its derivative"


RULE = Task(
    "the rule of an op, and gradcheck judges",
    "2-rules.md",
    "y = sqrt(a² + 1) · b, entry by entry. Write its rule: given g = dL/dy, the output y and the inputs a and b, vjp "
    "returns dL/da and dL/db. It is compared with central differences, and so is the derivative of the rule.",
    program("""
        class Bent(tg.Op):
            def forward(self, a, b):
                return np.sqrt(a * a + 1) * b

            def vjp(self, g, y, a, b):
                return g, g
    """),
    (
        "Both are g times a derivative: dy/da with b held fixed, and dy/db with a held fixed.",
        "The derivative of sqrt(u) is 1 / (2 sqrt(u)), and u = a² + 1 has the derivative 2 a.",
        "dy/da = a b / sqrt(a² + 1). What is dy/db?",
    ),
    program("""
        class Bent(tg.Op):
            def forward(self, a, b):
                return np.sqrt(a * a + 1) * b

            def vjp(self, g, y, a, b):
                root = np.sqrt(a * a + 1)
                return g * a * b / root, g * root
    """),
    _check_rule,
)
