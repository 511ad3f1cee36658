"""E1 to E13: figures that are wrong. The lecture's come from its worked example, computed in `example`."""

from __future__ import annotations

import numpy as np

from .entry import Values, erratum
from .example import Example, exact
from .networks import held_at, through


@erratum("S1, step 1: h_3", "{printed}", "{right:.15f}")
def E1() -> Values:
    """misread tanh"""
    return {"printed": 0.4775, "right": exact()["h_3"], "of the printed z_3": float(np.tanh(0.5203))}


@erratum("S1, step 1: o_3", "{printed:.4f}", "{right:.15f}")
def E2() -> Values:
    """follows from E1"""
    return {"printed": 0.3820, "right": exact()["o_3"]}


@erratum("S1, step 2: third square", "{printed}", "0.282² = {square:.6f}; exactly {right:.8f}")
def E3() -> Values:
    """arithmetic"""
    return {"printed": 0.0789, "square": 0.282**2, "right": exact()["δo_3"] ** 2}


@erratum("S1, step 2: L", "{printed}", "{right:.15f}; from the lecture's own figures {own:.4f}")
def E4() -> Values:
    """E1 and E3"""
    own = ((0.2330 - 0.4) ** 2 + (0.2492 - 0.2) ** 2 + (0.3820 - 0.1) ** 2) / 2
    return {"printed": 0.0546, "right": exact()["L"], "own": own}


@erratum("S1, step 3: δo_3, dL/dW_hy", "{printed[0]:.4f}, {printed[1]}", "{right[0]:.15f}, {right[1]:.15f}")
def E5() -> Values:
    """follows from E1"""
    return {"printed": (0.2820, 0.1014), "right": (exact()["δo_3"], exact()["dL/dW_hy"])}


@erratum("S1, step 4: δh_3", "{printed}", "{right:.15f}")
def E6() -> Values:
    """follows from E1"""
    return {"printed": 0.2256, "right": exact()["δh_3"]}


@erratum("S1, step 4: a product", "0.2256 · 0.9 · 0.9030 = {printed:.4f}", "{right:.5f}")
def E7() -> Values:
    """arithmetic"""
    return {"printed": 0.1830, "right": 0.2256 * 0.9 * 0.9030}


def high(printed: float, right: float) -> Values:
    """Both, and by how many per cent the printed figure is too high."""
    return {"printed": printed, "right": right, "percent": 100 * (printed / right - 1)}


@erratum("S1, step 4: δh_2", "{printed}", "{right:.15f} (printed {percent:.1f} % high)")
def E8() -> Values:
    """the recursion, E14"""
    return high(0.2224, exact()["δh_2"])


@erratum("S1, step 4: δh_1", "{printed}", "{right:.15f} (printed {percent:.1f} % high)")
def E9() -> Values:
    """the recursion, E14"""
    return high(0.0496, exact()["δh_1"])


@erratum(
    "S1, step 5: δz_1, δz_2, δz_3",
    "{printed[0]}, {printed[1]}, {printed[2]}",
    "{right[0]:.15f}, {right[1]:.15f}, {right[2]:.15f}; 0.2256 · 0.7720 = {product:.4f}",
)
def E10() -> Values:
    """E14; in the third also arithmetic"""
    return {
        "printed": (0.0454, 0.2008, 0.1743),
        "right": tuple(exact()[f"δz_{t}"] for t in (1, 2, 3)),
        "product": 0.2256 * 0.7720,
    }


@erratum("S1, step 5: dL/dW_hh", "{printed}", "{right:.15f} (printed {percent:.1f} % high)")
def E11() -> Values:
    """E14"""
    return high(0.1128, exact()["dL/dW_hh"])


@erratum("S1, step 5: dL/dW_xh", "{printed}", "{right:.15f} (printed {percent:.1f} % high)")
def E12() -> Values:
    """E14"""
    return high(0.1125, exact()["dL/dW_xh"])


@erratum(
    "S3, example: 0.72^99",
    "{printed:.0e}",
    "{right:.13e} ({times:.2f} times smaller; below 1e-13 from k = {first})",
)
def E13() -> Values:
    """arithmetic"""
    right = scalar_factor(99)
    first = next(k for k in range(1, 200) if scalar_factor(k) < 1e-13)
    return {"printed": 1e-13, "right": right, "times": 1e-13 / right, "first": first}


def scalar_factor(k: int) -> float:
    """dh_{t+k}/dh_t of a tanh unit with weight 0.9 whose inputs hold it where tanh' = 0.8."""
    h = np.sqrt(1 - 0.8)
    return through(lambda start: held_at(np.array([[0.9]]), np.arctanh(h), start, k), h).item()


def lecture_recursion() -> Values:
    """The gradients of the worked example, from exact values, by the recursion as the lecture prints it (E14)."""
    run = Example()
    h = [0.0, *(h.item() for h in run.h)]
    slopes = [1 - v**2 for v in h]
    d_o = [0.0, *run.d(run.loss, run.o)]
    d_h = [0.0] * 5
    for t in (3, 2, 1):
        d_h[t] = d_o[t] * 0.8 + d_h[t + 1] * 0.9 * slopes[t]
    d_z = [d_h[t] * slopes[t] for t in range(4)]
    W_xh = d_z[1] * 0.5 + d_z[2] * 0.1 + d_z[3] * 0.4
    W_hh = sum(d_z[t] * h[t - 1] for t in (1, 2, 3))
    return {"δh_2": d_h[2], "δh_1": d_h[1], "dL/dW_hh": W_hh, "dL/dW_xh": W_xh}
