"""What the picture says about itself: a title, a description for those who cannot see it, and the legend."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from .canvas import Canvas
from .overlay import Overlay
from .picture import Picture
from .reading import MARK
from .strokes import Sample, scale_samples
from .template import layer_title, shape_text
from .text import line_width

LINE = 20.0

MANY = 30  # ops without time steps, from which on it is said how to tag steps
ROWS = 4  # sequences of which it is said what they are

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
    """The words that go with a picture."""

    def __init__(self, picture: Picture, overlay: Overlay | None = None) -> None:
        self.picture, self.overlay = picture, overlay
        self.boxes = [box for template in {cell.template for cell in picture.cells.values()} for box in template.boxes]
        kinds = {box.kind for box in self.boxes}
        self.kinds = [kind for kind in WORDS if kind in kinds]
        if "ref" in kinds and not picture.rows:
            self.words = {**WORDS, "ref": "parameter"}
        else:
            self.words = WORDS
        title = self._title() if picture.options.title is None else picture.options.title
        self.title = ": ".join(filter(None, (picture.title, title)))
        self.explained, self.facts = self._rows(), self._facts()

    def _title(self) -> str:
        picture = self.picture
        if not picture.rows:
            n = len(picture.reading.tape)
            return f"{n} operation{'s' * (n != 1)}"
        times = picture.reading.times
        layers = ", ".join(dict.fromkeys(layer_title(name) for name in picture.reading.layers))
        text = f"{layers}: {len(times)} time step{'s' * (len(times) != 1)}"
        return text + (f", {len(picture.steps)} shown" if picture.hidden else "")

    def _facts(self) -> list[str]:
        picture = self.picture
        facts = []
        hidden = [f"{a} to {b}" if a != b else str(a) for a, b in picture.hidden]
        if hidden:
            facts.append(f"not shown: step{'s' * (len(hidden) > 1 or ' to ' in hidden[0])} {', '.join(hidden)}")
        at_once: dict[str, list[str]] = {}
        for text, counts in picture.sources.formulas.items():
            n, windows = sum(counts.values()), len(counts)
            if n > windows:
                where = f"for all {n} steps" if windows == 1 else f"for the steps of each of {windows} windows"
                at_once.setdefault(where, []).append(text.replace(MARK, "t").replace(" ", "\u00a0"))
        facts += [f"computed at once {where}: {'   '.join(texts)}" for where, texts in at_once.items()]
        if any(line.endswith(" go on") for box in self.boxes for line in box.lines):
            facts.append("go on: how many sequences of the batch have not ended; the others keep their state")
        if any("#" in name for name in picture.reading.told_apart.values()):
            facts.append("#1, #2: different weights of one name; draw(root, names=model) gives their full names")
        if not picture.rows and len(picture.reading.tape) > MANY:
            facts.append("no time steps are tagged: tg.nn.unroll and tg.scope tag them, and time then goes right")
        facts += picture.notes
        if self.overlay is not None and self.overlay.largest is not None:
            layer, t, a = self.overlay.largest
            at = f"at t = {t}" + (f" of {layer_title(layer)}" if len(picture.reading.layers) > 1 else "")
            facts.append(f"largest gradient of a state: {a} {at}")
        return facts

    def _rows(self) -> list[str]:
        """Where the entries that the steps take come from."""
        if "entry" not in self.kinds:
            return []
        picture = self.picture
        found: dict[str, None] = {}
        for x in picture.reading.rows.values():
            if x.record is not None:
                name = picture.reading.sequence_name(x)
                made = f"{name} = {picture.sources.made_as(x.record)} {shape_text(x.shape)}".replace(" ", "\u00a0")
                found[f"entry for step t, {name}_t ↗, of the sequence {made}"] = None
        return [*found][:ROWS]

    @property
    def shared(self) -> list[str]:
        """The master list of the shared weights, each with what all its uses together get."""
        texts = []
        drawn = "ref" in self.kinds  # a picture without references looks at too few steps to know all weights
        for (name, shape), counts in self.picture.sources.shared.items() if drawn else ():
            n = sum(counts.values())
            text = f"{name} {shape_text(shape)}" + (f" in {n} steps" if n > 1 else "")
            if self.overlay is not None:
                text += f", ∇ ‖{self.overlay.weights[name, shape]}‖"
            texts.append(text.replace(" ", "\u00a0"))  # not to be torn apart at the end of a line
        return texts

    @property
    def description(self) -> str:
        cuts = sum(cell.column.kind.startswith("cut") for cell in self.picture.cells.values())
        parts = [self.title, f"level {self.picture.level}", *self.explained, *self.facts]
        if cuts:
            parts.append(f"cut by detach at {cuts} place{'s' * (cuts > 1)}")
        if self.shared:
            parts.append(f"weights: {', '.join(self.shared)}")
        return "; ".join(parts) + "."

    @property
    def texts(self) -> list[str]:
        """The lines below the samples: what needs to be explained most comes first."""
        weights = [f"weights: {'   '.join(self.shared)}"] if self.shared else []
        return [fact[:1].upper() + fact[1:] for fact in (*self.explained, *weights, *self.facts)]

    @property
    def all_texts(self) -> list[str]:
        """The same where no samples are drawn: with the scale of gradients in words."""
        options, texts = self.picture.options, self.texts
        texts = texts if options.notes else []
        if self.overlay is None or not options.legend:
            return texts
        low, top = self.overlay.scale.ends
        scale = f"{top} (wide) to {low} (thin; dotted below)"
        marks = "an open circle is exactly 0, a bar not reached, a diamond nan or inf"
        return [*texts, f"Beside an edge: the gradient that goes back along it, its norm from {scale}; {marks}"]

    def fit(self, width: float, tallest: float) -> None:
        """Place the legend and the notes. What does not fit is left out: notes, then samples that explain least."""
        options = self.picture.options
        samples = self._samples() if options.legend else []
        texts = [wrap(text, width) for text in self.texts] if options.notes else []
        while True:
            placed, y = flow(samples, width)
            lines = [line for text in texts for line in text]
            self.height = y + (LINE - 4) * len(lines)
            if self.height <= tallest or not (texts or samples):
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
        if any(join.kind == "state" for join in self.picture.joins.values()):
            kinds.append(("handed on", "state handed on"))
        found = [
            Sample(34 + line_width(words, 10) + 14, RANKS.index(kind), partial(_sample, kind=kind, words=words))
            for kind, words in kinds
        ]
        if self.overlay is not None and (self.picture.options.strokes or not self.picture.cells):
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
        if x and x + (both if both <= width else sample.need) > width:
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
