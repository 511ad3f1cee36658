"""What the experiments share: the form of one, and the report that is printed of it.

An experiment is a frozen dataclass whose fields are its sizes. It says which cases there are, measures one of them
with one seed, writes table rows from what was measured, draws it, and concludes. It stores no result: what it concludes
is computed from the numbers of this run. Figures to compare with belong to the default sizes, and name their source.
"""

from __future__ import annotations

import inspect
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from ..notebook import progress
from ..plots import COLOURS, axes_for, save

WIDTH = 80

SOURCES = {
    "exact": "a formula, not a measurement",
    "paper": "the paper, or its authors' code",
    "replica": "somebody's replication of the paper",
    "earlier": "this setup run before with PyTorch or NumPy, other random numbers",
}


class Known(NamedTuple):
    """A figure to compare with, and its source, one of SOURCES."""

    figure: str
    source: str


class Row(NamedTuple):
    """A row of the table: a cell for each column, and what is known of it."""

    cells: Sequence[str]
    known: Known | None = None


Progress = Callable[..., Iterable[Any]]
Results = Mapping[Any, Sequence[Any]]
"""For each case what was measured, once for each seed."""


def unwatched(loop: Iterable[Any], **_: Any) -> Iterable[Any]:
    """The loop without a progress bar."""
    return loop


class Experiment:
    """Base class of the experiments. The docstring of a subclass is printed above its table."""

    name: ClassVar[str]
    proves: ClassVar[str]
    """In one line, for the list of experiments."""
    takes: ClassVar[str]
    """How long the default sizes and seeds take on one core."""
    seeds: ClassVar[tuple[int, ...]] = (0,)
    columns: ClassVar[Mapping[str, int]]
    """The heads of the columns and their widths; the first is aligned left, the others right."""
    small: ClassVar[Mapping[str, Any]]
    """The sizes of a run of a second or so."""

    @classmethod
    def quick(cls) -> Self:
        """The experiment at a size that shows that it works, not what it proves."""
        return cls(**cls.small)

    def cases(self) -> Sequence[Any]:
        """What is compared; ``str(case)`` names it."""
        raise NotImplementedError

    def draws(self, case: Any) -> bool:
        """Whether anything in this case is random; if not, it is measured once."""
        return True

    def measure(self, case: Any, seed: int, progress: Progress) -> Any:
        """Run one case; long loops go through ``progress(range(n))``."""
        raise NotImplementedError

    def rows(self, case: Any, found: Sequence[Any]) -> Iterator[Row]:
        """The table rows of a case, from what was measured with each seed."""
        raise NotImplementedError

    def conclude(self, results: Results) -> Iterator[str]:
        """What follows from these results, of all cases or of some."""
        raise NotImplementedError

    def draw(self, results: Results, ax: Any) -> None:
        """The results as a picture, on matplotlib's Axes."""
        raise NotImplementedError

    def run(
        self, seeds: Sequence[int] | None = None, only: str = "", progress: Progress = unwatched
    ) -> Iterator[tuple[Any, list[Any]]]:
        """(case, what was measured with each seed), case by case; `only` those whose name contains this text.

        Raises ValueError where no case does.
        """
        cases = self.cases()
        chosen = [case for case in cases if only.lower() in str(case).lower()]
        if not chosen:
            raise ValueError(f"{self.name} has no case with {only!r} in its name; it has {'; '.join(map(str, cases))}")
        for case in chosen:
            watched = partial(progress, desc=str(case))
            used = self.seeds if seeds is None else seeds
            yield case, [self.measure(case, seed, watched) for seed in (used if self.draws(case) else used[:1])]


# ------------------------------------------------------------------ the report


def report(
    experiment: Experiment, seeds: Sequence[int] | None = None, only: str = "", out: str | Path | None = None
) -> None:
    """Run it and print its table, row by row as they are measured, then the conclusion; draw it to the file `out`.

    Raises DrawError, before anything is run, for a picture that could not be made.
    """
    ax = None if out is None else axes_for(out)
    standard, begin = experiment == type(experiment)(), time.perf_counter()
    print(f"{experiment.name}: {experiment.proves}\n\n{textwrap.fill(inspect.getdoc(experiment) or '', WIDTH)}\n")
    widths = list(experiment.columns.values())
    print(_line([*experiment.columns, "known", "source"], widths), flush=True)
    results, sources = {}, set()
    for case, found in experiment.run(seeds, only, _progress):
        results[case] = found
        for cells, known in experiment.rows(case, found):
            known = known if standard else None
            sources |= {known.source} if known else set()
            print(_line([*cells, *(known or ("-", ""))], widths), flush=True)
    print()
    if not standard:
        sizes = ", ".join(f"{field}={value!r}" for field, value in vars(experiment).items())
        print(textwrap.fill(f"sizes    {sizes}", WIDTH, subsequent_indent=9 * " "))
    for source in (source for source in SOURCES if source in sources):
        print(f"{source:8} {SOURCES[source]}")
    used = experiment.seeds if seeds is None else seeds
    print(f"{'seeds' if len(used) > 1 else 'seed':8} {' '.join(map(str, used))}")
    print(f"{'time':8} {time.perf_counter() - begin:.0f} s\n\nConcluded from the numbers above:")
    for sentence in experiment.conclude(results):
        print(textwrap.fill(sentence, WIDTH, initial_indent="- ", subsequent_indent="  "))
    if ax is not None and out is not None:
        ax.set_prop_cycle(color=COLOURS)
        experiment.draw(results, ax)
        ax.grid(alpha=0.25)
        save(ax, out)
        print(f"\n{out}")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Cells beside each other: the first aligned left, then the measured ones right, then the known ones left."""
    *own, known, source = cells
    aligned = [own[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(own[1:], widths[1:], strict=True))]
    room = WIDTH - sum(widths) - 2 * len(widths) - 2 - max(map(len, SOURCES))
    return "  ".join([*aligned, known.ljust(room), source]).rstrip()


def _progress(loop: Iterable[Any], **about: Any) -> Iterable[Any]:
    layout = "{desc} {percentage:3.0f}%|{bar:20}| {elapsed}<{remaining}"
    return progress(loop, **about, leave=False, layout=layout)


def listed(things: Iterable[Any]) -> str:
    """Things in a sentence.

    >>> listed([1, 2, 3]), listed(["one"]), listed([])
    ('1, 2 and 3', 'one', 'none')
    """
    *first, last = list(map(str, things)) or ["none"]
    return f"{', '.join(first)} and {last}" if first else last
