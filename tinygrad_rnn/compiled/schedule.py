"""When each value of a recorded step is computed: before the loop over time for all steps, in it, or after it.

    ahead      before the loop, for all steps: what is computed from a alone
    forward    in the loop: what the next state is computed from
    output     after it, for all steps: what y alone is computed from
    factors    before the backward loop: what depends on no gradient
    backward   in the loop, from the last step to the first: what dL/d(state) is computed from
    late       after it: what dL/da and the gradients of weights alone are computed from

The totals come last, each over all steps at once: dL/dW = Σ_t h_{t-1}ᵀ d_t is one product of two matrices.
"""

from __future__ import annotations

from .recording import Recorded
from .values import ordered


class Schedule:
    """The phases of a step.

    kept   values of the forward pass that the backward pass reads, and so are kept for all steps
    over   values of the backward loop that are kept for all steps: dL/da, what is late, or in a total
    """

    def __init__(self, step: Recorded) -> None:
        self.step = step
        results, wanted = [step.y, *step.after], step.gradients
        going = set(ordered(step.after))
        varying = [v for v in ordered(results) if v.varies]
        moving = set(step.states)  # what depends on the state
        for v in varying:
            moving |= {v} if any(x in moving for x in v.args) else set()
        computed = [v for v in varying if v.kind == "op"]
        self.ahead = [v for v in computed if v not in moving]
        self.forward = [v for v in computed if v in moving and v in going]
        self.output = [v for v in computed if v in moving and v not in going]
        back = [v for v in ordered(wanted, lambda v: v in set(varying)) if v.varies]
        needed = set(ordered(v for v in step.dstates if v is not None))
        self.factors = [v for v in back if not v.of_g]
        self.backward = [v for v in back if v.of_g and v in needed]
        self.late = [v for v in back if v.of_g and v not in needed and v.kind != "g"]
        self.totals = [v for v in ordered(wanted) if v.kind == "total"]
        self.hasten()
        before = set(varying)
        reading = [*self.factors, *self.backward, *self.late, *self.totals]
        self.kept = {x for v in reading for x in v.args if x in before}
        self.kept |= {v for v in wanted if v in before}
        loop = set(self.backward)
        self.over = {x for v in (*self.late, *self.totals) for x in v.args if x in loop}
        self.over |= {v for v in (step.da,) if v in loop}

    def hasten(self) -> None:
        """Compute in the loop what would be late, where only for it a gradient would have to be kept for all steps."""
        kept = {x for v in self.totals for x in v.args} | {self.step.da}
        kept |= {x for v in self.backward if v in kept and v.name == "concatenate" for x in v.args}
        for v in list(self.late):
            there = all(x in self.backward for x in v.args if x.of_g)
            if there and any(x.of_g and x not in kept and x.name != "concatenate" for x in v.args):
                self.backward.append(v)
                self.late.remove(v)
