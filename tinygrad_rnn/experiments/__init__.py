"""Experiments of the literature, each a small file: its setup, its run, its table and its picture.

From Python, ``report(Cliff())`` prints what ``tinygrad-rnn bptt experiment cliff`` prints; ``Cliff(updates=50)`` has
another size, and ``Cliff().run()`` gives the measured numbers.
"""

from .adding import Adding
from .anbn import AnBn
from .carried_state import CarriedState
from .cliff import Cliff
from .continual_reber import ContinualReber
from .copy_memory import CopyMemory
from .embedded_reber import EmbeddedReber
from .experiment import Experiment, Known, Row, report
from .influence_balancing import InfluenceBalancing
from .min_char_rnn import MinCharRNN
from .temporal_order import TemporalOrder

EXPERIMENTS: dict[str, type[Experiment]] = {
    kind.name: kind
    for kind in (
        InfluenceBalancing,
        CarriedState,
        Cliff,
        TemporalOrder,
        Adding,
        CopyMemory,
        EmbeddedReber,
        ContinualReber,
        AnBn,
        MinCharRNN,
    )
}

__all__ = [
    "EXPERIMENTS",
    "Adding",
    "AnBn",
    "CarriedState",
    "Cliff",
    "ContinualReber",
    "CopyMemory",
    "EmbeddedReber",
    "Experiment",
    "InfluenceBalancing",
    "Known",
    "MinCharRNN",
    "Row",
    "TemporalOrder",
    "report",
]
