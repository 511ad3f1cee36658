"""What a picture says about itself in words: a title, a description for those who cannot see it, and notes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from .reading import MARK
from .sheet import Sheet
from .template import layer_title, shape_text

MANY = 30  # ops without time steps, from which on it is said how to tag steps
ROWS = 4  # sequences of which it is said what they are

LAYER = re.compile(r"(?P<kind>.+?)(?:_l(?P<depth>\d+))?(?P<back>_reverse)?(?: #\d+)?")


class About:
    """The words that go with one picture."""

    def __init__(self, sheet: Sheet) -> None:
        self.picture, self.overlay = sheet.picture, sheet.overlay
        self.boxes = [
            box for template in {cell.template for cell in self.picture.cells.values()} for box in template.boxes
        ]
        self.kinds = {box.kind for box in self.boxes}

    @property
    def title(self) -> str:
        """What its author says; of one of several what that is called, and unless they have a title what there is."""
        picture, said = self.picture, self.picture.options.title
        if said is not None:
            return picture.title or (said if picture.number is None else "")
        number = f"{picture.number}. " if picture.number is not None and not picture.title else ""
        if not picture.rows:
            n = len(picture.reading.tape)
            return ": ".join(filter(None, (picture.title, f"{number}{n} operation{'s' * (n != 1)}")))
        times = picture.reading.times
        steps = f"{len(times)} time step{'s' * (len(times) != 1)}"
        shown = f", {len(picture.steps)} shown" if picture.hidden else ""
        return f"{number}{picture.title or ', '.join(layers(picture.reading.layers))}: {steps}{shown}"

    @property
    def name(self) -> str:
        """What the notes call it where it is one of several."""
        return f"{self.picture.title}:" if self.picture.title else f"{self.picture.number}."

    @property
    def notes(self) -> list[str]:
        """What needs to be explained most comes first."""
        weights = f"weights: {'; '.join(self.weights)}" if self.weights else ""
        return [*self._rows(), *filter(None, [weights]), *self._facts()]

    @property
    def description(self) -> str:
        cuts = sum(cell.column.kind.startswith("cut") for cell in self.picture.cells.values())
        parts = [self.title, f"level {self.picture.level}", *self._rows(), *self._facts()]
        if cuts:
            parts.append(f"cut by detach at {cuts} place{'s' * (cuts > 1)}")
        if self.weights:
            parts.append(f"weights: {', '.join(self.weights)}")
        return "; ".join(parts) + "."

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
        facts += [f"computed at once {where}: {', '.join(texts)}" for where, texts in at_once.items()]
        if any(line.endswith(" go on") for box in self.boxes for line in box.lines):
            facts.append("go on: how many sequences of the batch have not ended; the others keep their state")
        if any("#" in name for name in picture.reading.told_apart.values()):
            facts.append("#1, #2: different weights of one name; draw(root, names=model) gives their full names")
        if not picture.rows and len(picture.reading.tape) > MANY:
            facts.append("no time steps are tagged: tg.nn.unroll and tg.scope tag them, and time then goes right")
        facts += picture.notes
        if picture.options.shows("values"):
            facts.append("a number is a value, [·] the entries of a small array, ‖·‖ the norm of a larger one")
        if picture.options.numbers and picture.cells:
            facts.append("∇ is the gradient of the root with respect to a result, ‖·‖ its norm")
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
    def weights(self) -> list[str]:
        """The master list of the shared weights, each with what all its uses together get."""
        texts = []
        drawn = "ref" in self.kinds  # a picture without references looks at too few steps to know all weights
        for (name, shape), counts in self.picture.sources.shared.items() if drawn else ():
            n = sum(counts.values())
            text = " ".join(filter(None, (name, shape_text(shape), f"in {n} steps" if n > 1 else "")))
            if self.overlay is not None:
                text += f", ∇ ‖{self.overlay.weights[name, shape]}‖"
            texts.append(text.replace(" ", "\u00a0"))  # not to be torn apart at the end of a line
        return texts


def together(all_of_them: Sequence[About]) -> Iterator[str]:
    """The notes of several pictures: what all of them say is said once, the rest with the name of whose it is."""
    notes = [about.notes for about in all_of_them]
    said: set[str] = set()
    for place in range(max(map(len, notes), default=0)):
        for about, own in zip(all_of_them, notes, strict=True):
            text = own[place] if place < len(own) else None
            if text is None or text in said:
                continue
            common = all(text in others for others in notes)
            said |= {text} if common else set()
            yield text[:1].upper() + text[1:] if common else f"{about.name} {text}"


def layers(names: Iterable[str]) -> list[str]:
    """The layers by their titles, those of one module in one word: "bidirectional LSTM", "3-layer GRU", "decoder"."""
    found: dict[str, list[str]] = {}
    for name in names:
        match = LAYER.fullmatch(name)
        found.setdefault(match["kind"] if match else name, []).append(name)
    titles: list[str] = []
    for kind, members in found.items():
        parts = [(int(m["depth"] or 0), bool(m["back"])) for m in map(LAYER.fullmatch, members) if m]
        depth, backs = len({d for d, _ in parts}), {back for _, back in parts}
        whole = len(set(parts)) == depth * len(backs) and False in backs and {d for d, _ in parts} == set(range(depth))
        if not whole:  # a part of a module, as where the loss was computed from one direction alone
            titles += map(layer_title, members)
            continue
        passes, words = len(parts) // len(set(parts)), ["bidirectional"] * (len(backs) > 1)
        words += [f"{depth}-layer"] * (depth > 1)
        titles.append(" ".join([*words, layer_title(kind)]) + (f" × {passes}" if passes > 1 else ""))
    return titles
