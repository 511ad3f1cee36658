"""The legend: what each mark means that is in a picture or in one of several, the scale of gradients, and notes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from .about import About, together
from .canvas import Canvas
from .sheet import Sheet
from .strokes import Sample, scale_samples
from .text import line_width

LINE = 20.0

WORDS = {
    "op": "operation",
    "cell": "one time step of a layer",
    "state": "state",
    "ref": "shared weight, drawn at each use",
    "input": "input or constant, needs no gradient",
    "leaf": "leaf that gets a gradient",
    "entry": "entry of a sequence computed elsewhere",
    "loss": "loss or output",
    "cut": "detached: no gradient passes",
    "loop": "the state of the step before",
    "past": "before a cut, not reached",
    "fold": "steps not shown",
}


class Legend:
    """What stands below one picture, or below several: what their marks mean, the scale of gradients, and notes."""

    def __init__(self, sheets: Sequence[Sheet]) -> None:
        self.options, self.pictures = sheets[0].options, [sheet.picture for sheet in sheets]
        self.overlay = next((sheet.overlay for sheet in sheets if sheet.overlay is not None), None)
        self.abouts = [About(sheet) for sheet in sheets]
        kinds = set().union(*(about.kinds for about in self.abouts))
        self.kinds = [kind for kind in WORDS if kind in kinds]
        stepless = not any(picture.rows for picture in self.pictures)
        self.words = {**WORDS, "ref": "parameter"} if stepless else WORDS

    @property
    def texts(self) -> list[str]:
        """The lines below the samples."""
        return list(together(self.abouts)) if self.options.notes else []

    def fit(self, width: float, tallest: float, room: float) -> None:
        """Place the legend and the notes. What does not fit is left out: notes, then samples that explain least.

        tallest  how high both may be together
        room     how high, where there are notes
        """
        samples = self._samples() if self.options.legend else []
        texts = [wrap(text, width) for text in self.texts]
        while True:
            placed, y = flow(samples, width)
            lines = [line for text in texts for line in text]
            self.height = y + (LINE - 4) * len(lines)
            if self.height <= (min(tallest, room) if texts else tallest) or not (texts or samples):
                break
            if texts:
                texts.pop()
            else:
                samples.remove(max(samples, key=lambda sample: sample.rank))
        self._placed = placed, [(line, y + (LINE - 4) * k) for k, line in enumerate(lines)]

    def draw(self, canvas: Canvas) -> None:
        """What was placed, from the upper left corner."""
        samples, lines = self._placed
        for sample, x, y in samples:
            sample.draw(canvas, x, y)
        for line, y in lines:
            canvas.words("note", line, 0.0, y + 4)

    def _samples(self) -> list[Sample]:
        """What each mark means that is in the picture, and the scale of gradients."""
        kinds = [(kind, self.words[kind]) for kind in self.kinds]
        if any(join.kind == "state" for picture in self.pictures for join in picture.joins.values()):
            kinds.append(("handed on", "state handed on"))
        found = [
            Sample(34 + line_width(words, 10) + 14, RANKS.index(kind), partial(_sample, kind=kind, words=words))
            for kind, words in kinds
        ]
        if self.overlay is not None and (self.options.strokes or not any(p.cells for p in self.pictures)):
            found += scale_samples(self.overlay.scale, self.overlay.kinds)
        return found


RANKS = (
    "scale", "cut", "past", "ref", "entry", "fold", "loop", "leaf", "handed on", "state", "cell", "loss", "input", "op"
)  # fmt: skip
"""What needs to be explained most, first."""


def flow(samples: Sequence[Sample], width: float) -> tuple[list[tuple[Sample, float, float]], float]:
    """Samples side by side on lines of this width, each with its place; and their height."""
    placed: list[tuple[Sample, float, float]] = []
    x = y = tall = 0.0
    for k, sample in enumerate(samples):
        both = sample.need + (samples[k + 1].need if sample.stays and k + 1 < len(samples) else 0.0)
        if x and x + both > width:
            x, y, tall = 0.0, y + tall, 0.0
        placed.append((sample, x, y))
        x, tall = x + sample.need, max(tall, sample.tall)
    return placed, y + tall


def wrap(text: str, width: float, size: float = 10.0) -> list[str]:
    """Lines of letters of this size, of at most this width in px."""
    lines, line = [], ""
    for word in text.split(" "):
        if line and line_width(f"{line} {word}", size) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def _sample(canvas: Canvas, x: float, y: float, kind: str, words: str) -> None:
    if kind == "handed on":
        canvas.arrow(kind, [(x, y), (x + 26, y)])
    else:
        canvas.outline(kind, (x + 14, y), (26.0, 14.0))
    canvas.words("note", words, x + 34, y + 4)
