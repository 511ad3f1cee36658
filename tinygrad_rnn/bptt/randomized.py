"""Random truncation: cut at random steps, and let more gradient through at the others, so that the mean is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ..autograd.checkpoint import replaced, tensors_in
from ..autograd.tensor import Tensor
from ..engine import randomness
from ..engine.arrays import Array
from ..engine.modes import Step, during, mode
from ..engine.tape import Op
from ..nn.init import Rng
from ..ops.shape import concatenate
from .truncation import detach, reads_forwards


class Randomized:
    """Before each step t > 1 draw ξ_t: 0 with probability 1 - π, else 1/π; multiply the gradient that goes back by it.

        z_t = ∂h_t/∂w + ξ_t (∂h_t/∂h_{t-1}) z_{t-1}

    E[ξ_t] = 1, and the ξ are independent, so E[z_t] = dh_t/dw: unlike fixed windows, random ones have no bias (Tallec
    and Ollivier 2017). The price is variance, which grows like π^-t. Windows have 1/(1-π) steps on average.

    Raises ValueError for a π outside (0, 1].

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.bptt.Randomized(0.5, rng=0).draw(6)
    array([0., 2., 2., 2., 0., 0.])
    """

    def __init__(self, pi: float, rng: Rng = None) -> None:
        if not (isinstance(pi, int | float | np.floating) and 0 < pi <= 1):
            raise ValueError(f"pi, the probability to go on, must be a number above 0 and at most 1, not {pi!r}")
        self.pi = float(pi)
        self.rng = randomness.generator(rng)

    def draw(self, count: int) -> np.ndarray:
        """That many ξ, each 0 or 1/π."""
        return (self.rng.random(count) < self.pi) / self.pi

    def run(
        self, layer: Callable[..., tuple[Tensor, Any]], x: Any, state: Any = None, xi: Any = None
    ) -> Iterator[tuple[slice, Tensor, Any]]:
        """As `Truncated.run`, in windows of random lengths: yields (steps, output of these steps, state).

        layer  ``output, state = layer(x, state)``, called once a step
        xi     (T - 1,) the factors to use instead of drawing them: ``xi[t - 1]`` stands between the steps t and t + 1

        The gradients of all windows together are the unbiased estimate for the whole sequence.

        >>> import numpy as np, tinygrad_rnn as tg
        >>> rnn = tg.nn.RNN(1, 2, rng=0)
        >>> for steps, output, state in tg.bptt.Randomized(0.8, rng=0).run(rnn, np.ones((5, 1, 1))):
        ...     (output**2).sum().backward()
        ...     print(steps.start, steps.stop)
        0 5
        """
        reads_forwards(layer, x)
        T = len(x)
        xi = self.draw(max(T - 1, 0)) if xi is None else np.asarray(xi, float)
        if xi.shape != (max(T - 1, 0),):
            raise ValueError(f"xi needs one factor between any two of the {T} steps, {T - 1}, not shape {xi.shape}")
        outputs: list[Tensor] = []
        start = 0
        for t in range(T):
            output, state = layer(x[t : t + 1], state)
            outputs.append(output)
            if t == T - 1 or xi[t] == 0:
                yield slice(start, t + 1), concatenate(outputs), state
                outputs, start, state = [], t + 1, detach(state)
            else:
                state = scale_gradient(state, xi[t])

    def expectation(self, gradient: Callable[[np.ndarray], Any], count: int) -> Expectation:
        """The mean and the variance of ``gradient(xi)`` over all 2^count draws of ξ, each with its probability.

        >>> import tinygrad_rnn as tg
        >>> tg.bptt.Randomized(0.5).expectation(lambda xi: 1 + xi[0] + xi[0] * xi[1], 2)
        Expectation(mean=array(3.), variance=array(6.))
        """
        if not 0 <= count <= 20:
            raise ValueError(f"expectation() goes through all 2^count draws: count must be in 0 .. 20, not {count}")
        mean: Any = 0.0
        square: Any = 0.0
        for kept in product((False, True), repeat=count):
            probability = self.pi ** sum(kept) * (1 - self.pi) ** (count - sum(kept))
            if probability:
                value = np.asarray(gradient(np.array(kept) / self.pi), float)
                mean, square = mean + probability * value, square + probability * value**2
        return Expectation(np.asarray(mean), np.asarray(square - mean**2))


class Expectation(NamedTuple):
    """Of a random gradient, entry by entry: see `Randomized`."""

    mean: np.ndarray
    variance: np.ndarray


class ScaleGradient(Op):
    """y = x.  dL/dx = factor · g."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def forward(self, x: Array) -> Array:
        return x

    def vjp(self, g: Array, y: Array, x: Array) -> Array:
        return g * self.factor


def scale_gradient(state: Any, factor: Any) -> Any:
    """The same state, past which the gradient goes on multiplied; it stays a part of the step that made it."""
    scaled = []
    for x in tensors_in(state):
        step = (x.record.step if x.record is not None else None) or mode().step
        with during(step or Step("scale", None)):
            scaled.append(ScaleGradient(factor)(x))
    return replaced(state, scaled)
