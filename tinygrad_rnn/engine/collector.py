"""A long tape and Python's cyclic garbage collector: full collections are put off while many records are alive.

A full collection looks at every object there is. A tape makes no cycles, so all that it could find there is nothing;
but a tape of a million records is looked through again each time it has grown by a quarter, and that costs more than
recording it. So every 4096th record is a milestone, and for each milestone that is alive full collections wait a
little longer: until as much again has been made as the tape already holds, a few times over. They come back with the
death of the milestones, however it comes about (a sweep, an exception, a `del`): there is nothing to leave.

What it costs: garbage in cycles that has outlived two young collections may wait until it is a few times as large as
the tape that is alive. Young garbage is found as ever. A collector that was disabled stays so, a threshold higher than
ours stays, and one that is set meanwhile holds from then on as the user's own. (Python 3.14 ignores this threshold.)
"""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

EVERY = 4096
"""Every so many records one is a milestone; a power of two. A shorter tape never touches the collector."""

PATIENCE = 8
"""How many young collections of the second kind (about 7700 new objects each) a full one waits for each milestone."""

_alive: set[weakref.ref[Any]] = set()
_lock = threading.RLock()  # a milestone may die, and so call `_settle`, while this thread is in `_settle` already
_theirs, _ours = 0, 0  # the threshold of full collections that was found, and that which was put in its place


def milestone(record: Any) -> None:
    """Put full collections off for as long as the record lives."""
    _alive.add(weakref.ref(record, _passed))
    _settle()


def _passed(reference: weakref.ref[Any]) -> None:
    _alive.discard(reference)
    _settle()


def _settle() -> None:
    """Set the threshold of full collections to what the number of living milestones asks for."""
    global _theirs, _ours
    with _lock:
        settled = -1
        while settled != (count := len(_alive)):  # it may change in between, see above
            settled = count
            young, middle, full = gc.get_threshold()
            if full != _ours:  # nobody's but the user's
                _theirs = full
            _ours = max(_theirs, count * PATIENCE) if _theirs else 0  # 0: a full one each time, which is their wish
            if _ours != full:
                gc.set_threshold(young, middle, _ours)
