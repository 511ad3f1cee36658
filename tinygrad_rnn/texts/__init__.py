"""Four texts on backpropagation through time, and fifty corrections to them.

Each is a small function that computes what the text prints and what is right, on the tape where there is a gradient in
it: figures (E1 to E13), formulas (E14 to E32), claims (E33 to E50).

>>> from tinygrad_rnn.texts import ERRATA
>>> print("printed {printed}, right {right:.6f}".format(**ERRATA["E8"].values))
printed 0.2224, right 0.196205
"""

from . import claims, figures, formulas, learning
from .entry import ERRATA, TEXTS, Erratum

ERRATA = {f"E{n}": ERRATA[f"E{n}"] for n in range(1, len(ERRATA) + 1)}  # in the order of their numbers

__all__ = ["ERRATA", "TEXTS", "Erratum", "claims", "figures", "formulas", "learning"]
