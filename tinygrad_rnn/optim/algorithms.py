"""The algorithms: what each makes of a parameter and its gradient."""

from __future__ import annotations

import math

import numpy as np

from .optimizer import Optimizer
from .parameters import Parameters


class SGD(Optimizer):
    """p ← p - lr v with v ← momentum v + g; with Nesterov momentum, p ← p - lr (g + momentum v).

    >>> import tinygrad_rnn as tg
    >>> p = tg.tensor([1.0], requires_grad=True)
    >>> optimizer = tg.optim.SGD([p], lr=0.1)
    >>> (p * p).sum().backward(); optimizer.step(); p.data
    array([0.8])
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.momentum, self.nesterov = self.check("momentum", momentum), nesterov
        if nesterov and not momentum:
            raise ValueError("nesterov=True needs a momentum above 0")
        self.remembers = ("v",) if momentum else ()
        super().__init__(parameters, lr, weight_decay)

    def update(self, k: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        if self.momentum:
            v = self.buffers["v"][k]
            v *= self.momentum
            v += g
            g = g + self.momentum * v if self.nesterov else v
        return p - self.lr * g


class Adagrad(Optimizer):
    """p ← p - lr g / (√s + eps) with s ← s + g² (Duchi et al. 2011).

    >>> import tinygrad_rnn as tg
    >>> p = tg.tensor([1.0], requires_grad=True)
    >>> optimizer = tg.optim.Adagrad([p], lr=0.1)
    >>> (p * p).sum().backward(); optimizer.step(); p.data.round(4)
    array([0.9])
    """

    remembers = ("s",)

    def __init__(self, parameters: Parameters, lr: float = 0.01, eps: float = 1e-10, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, lr, weight_decay)
        self.eps = self.check("eps", eps)

    def update(self, k: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        s = self.buffers["s"][k]
        s += g * g
        return p - self.lr * g / (np.sqrt(s) + self.eps)


class RMSprop(Optimizer):
    """p ← p - lr g / (√s + eps) with s ← α s + (1 - α) g² (Tieleman and Hinton 2012).

    >>> import tinygrad_rnn as tg
    >>> p = tg.tensor([1.0], requires_grad=True)
    >>> optimizer = tg.optim.RMSprop([p], lr=0.1)
    >>> (p * p).sum().backward(); optimizer.step(); p.data.round(4)
    array([0.])
    """

    remembers = ("s",)

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        self.alpha, self.eps = self.check("alpha", alpha, below=1.0), self.check("eps", eps)

    def update(self, k: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        s = self.buffers["s"][k]
        s *= self.alpha
        s += (1 - self.alpha) * (g * g)
        return p - self.lr * g / (np.sqrt(s) + self.eps)


class Adam(Optimizer):
    """p ← p - lr m̂ / (√v̂ + eps) (Kingma and Ba 2015, algorithm 1).

    m ← β1 m + (1 - β1) g,     m̂ = m / (1 - β1^t)
    v ← β2 v + (1 - β2) g²,    v̂ = v / (1 - β2^t)

    >>> import tinygrad_rnn as tg
    >>> p = tg.tensor([1.0], requires_grad=True)
    >>> optimizer = tg.optim.Adam([p], lr=0.1)
    >>> (p * p).sum().backward(); optimizer.step(); p.data.round(4)
    array([0.9])
    """

    remembers = ("m", "v")

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise TypeError(f"betas must be two numbers, of the mean and of the square of the gradient, not {betas!r}")
        b1, b2 = betas
        self.betas = (self.check("betas[0]", b1, below=1.0), self.check("betas[1]", b2, below=1.0))
        self.eps = self.check("eps", eps)

    def update(self, k: int, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        (b1, b2), t = self.betas, self.updates[k]
        m, v = self.buffers["m"][k], self.buffers["v"][k]
        m *= b1
        m += (1 - b1) * g
        v *= b2
        v += (1 - b2) * (g * g)
        root = math.sqrt(1 - b2**t)  # lr and eps are corrected in place of every m and v: the paper's end of section 2
        return p - self.lr * root / (1 - b1**t) * (m / (np.sqrt(v) + self.eps * root))


class AdamW(Adam):
    """Adam, but weight decay shrinks the parameter itself: p ← p (1 - lr weight_decay) (Loshchilov and Hutter 2019).

    >>> import tinygrad_rnn as tg
    >>> p = tg.tensor([1.0], requires_grad=True)
    >>> optimizer = tg.optim.AdamW([p], lr=0.1)
    >>> (p * p).sum().backward(); optimizer.step(); p.data.round(4)
    array([0.899])
    """

    decoupled = True

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)
