"""Products of matrices without the false alarms of the kernels that compute them.

A BLAS kernel fills its vector registers with zeros where a matrix ends, or with whatever lies there, and throws those
lanes away afterwards. An infinity meets them: ∞ · 0. The result is right, but the processor's flag stays up, and NumPy
warns of an "invalid value encountered in matmul" that is in no matrix. Which kernel does so depends on the processor.
So this flag says nothing about a product, and is not asked for. A nan that is there can be seen, and `tg.anomaly` names
the op that made it.
"""

from __future__ import annotations

import numpy as np

quiet = np.errstate(divide="ignore", invalid="ignore")
"""Decorates what multiplies matrices. An overflow is still told: that is one."""

product = quiet(np.matmul)
