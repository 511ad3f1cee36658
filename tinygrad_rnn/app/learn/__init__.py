"""Small tasks for learners: each with its text, its check, its hints and a model answer, in one place.

answer.py     what a learner wrote: its names, and where an error in it stands
task.py       what a task is, and the check of an answer
sweeping.py   derivatives, the sweep, the rule of an op
unrolling.py  backpropagation through time, and where a gradient is lost
cutting.py    truncation
command.py    ``tinygrad-rnn learn``
"""

from .cutting import CUT, OVERLAP, WINDOWS
from .sweeping import CHAIN, RULE, SWEEP
from .task import Task, Verdict
from .unrolling import KEEP, LECTURE, LOST, REMEMBER, THROUGH_TIME

TASKS: list[Task] = [CHAIN, RULE, SWEEP, THROUGH_TIME, LOST, KEEP, REMEMBER, CUT, OVERLAP, WINDOWS, LECTURE]
"""By their numbers, less one."""

__all__ = ["TASKS", "Task", "Verdict"]
