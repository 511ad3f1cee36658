"""Which time steps a picture shows.

A wide picture is an archive, not something to read. So the middle of a long sequence is folded into one column that
says how many steps it hides. A cut is never hidden, nor a step where a loss is taken, up to a limit; then it is said.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

from ..errors import DrawError
from ..unrolled.run import number_of
from .flow import Flow
from .reading import Reading

LIMIT = 12  # columns, where the steps to show are chosen here and not by the caller


def choose(
    reading: Reading, steps: Any, room: int, largest: int | None = None, most: int = LIMIT
) -> tuple[list[int], list[str]]:
    """The time steps to show, in order, and what to say about those that had to be left out.

    room     how many to show, where the caller leaves it open
    largest  the step with the largest gradient, to be shown as well
    most     how many at most, with those at cuts and losses
    """
    times = reading.times
    if isinstance(steps, str) and steps == "all":
        return times, []
    cuts, losses = cut_places(reading), loss_places(reading)
    if steps is not None:
        chosen = _chosen(times, steps, reading.words)
        return chosen, hidden_notes(reading, set(chosen))
    if len(times) <= room:
        return times, []
    last = min(max(run.records) for run in reading.network.runs)  # of those that every layer has
    first = [*([last] if most < LIMIT else []), times[-1], *([] if largest is None else [largest]), *times[:2]]
    shown = set(list(dict.fromkeys(first))[:most])
    for place in [*outermost_first(cuts), *outermost_first(losses)]:
        if len(shown.union(place)) <= most:
            shown.update(place)
    room -= len(times) == room + 1  # to fold one step would save nothing
    for t in chain.from_iterable(zip(times, reversed(times), strict=True)):  # from both ends
        if len(shown) >= room:
            break
        shown.add(t)
    for before, behind in pairwise(sorted(shown)):
        between = bisect_left(times, before) + 1
        if times[between + 1 : between + 2] == [behind] and len(shown) < most:
            shown.add(times[between])
    return sorted(shown), hidden_notes(reading, shown)


def largest_step(flow: Flow | None) -> int | None:
    """The step whose state gets the largest gradient."""
    return flow.largest[1] if flow is not None and flow.largest is not None else None


def hidden_notes(reading: Reading, shown: set[int]) -> list[str]:
    """What to say about cuts and losses that had to be left out: a cut is drawn before the step that it is made for."""
    cuts = {tuple(sorted(places)) for places in reading.network.cuts if places[1] not in shown}
    words = counted(len(cuts), sum(not shown.issuperset(place) for place in loss_places(reading)))
    return [f"not shown: {' and '.join(words)}"] if words else []


def counted(cuts: int, losses: int) -> list[str]:
    """How many there are, in words: ``["2 cuts", "1 loss"]``, and nothing of what there is none of."""
    named = zip((cuts, losses), ("cut", "loss"), ("s", "es"), strict=True)
    return [f"{n} {word}{ending * (n != 1)}" for n, word, ending in named if n]


def cut_places(reading: Reading) -> list[tuple[int, ...]]:
    """The steps on both sides of each cut, in order."""
    times = set(reading.times)
    return sorted({tuple(sorted({before, t} & times)) for before, t in reading.network.cuts})


def loss_places(reading: Reading) -> list[tuple[int, ...]]:
    """The steps where a loss is taken, in order."""
    found = set()
    for record in reading.network.added.losses:
        t = reading.where[record].t if record in reading.where else reading.after[record]
        if t is not None:
            found.add((t,))
    return sorted(found)


def outermost_first(places: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """First, last, second, last but one, ..."""
    return [places[k // 2] if k % 2 == 0 else places[-1 - k // 2] for k in range(len(places))]


def _chosen(times: Sequence[int], steps: Iterable[Any], words: Mapping[int, str]) -> list[int]:
    """A list such as [1, "the", "...", -1]; what is not listed is hidden, with or without the dots."""
    if isinstance(steps, str | int) or not isinstance(steps, Iterable):
        raise DrawError(f'steps must be None, "all" or a list such as [1, 2, "...", {times[-1]}], not {steps!r}')
    shown = set()
    for t in steps:
        if t in ("...", "…", Ellipsis):
            continue
        if isinstance(t, str):
            try:
                t = number_of(t, words)
            except ValueError as error:
                raise DrawError(f"steps: {error}") from None
        if isinstance(t, bool) or not hasattr(t, "__index__"):
            raise DrawError(f'steps may list time steps and "...", not {t!r}')
        t = times[int(t)] if -len(times) <= int(t) < 0 else int(t)
        shown.add(t)
    unknown = sorted(shown - set(times))
    if unknown or not shown:
        wrong = f"has no time step {unknown[0]}" if unknown else "needs at least one time step to show"
        raise DrawError(f"the picture {wrong}: its steps are {times[0]} to {times[-1]}, or count from the end: -1")
    return sorted(shown)
