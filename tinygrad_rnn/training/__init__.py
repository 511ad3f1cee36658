"""Training: one loop that can be read, with what every program needs around it."""

from .fitting import evaluate, fit, update
from .history import History

__all__ = ["History", "evaluate", "fit", "update"]
