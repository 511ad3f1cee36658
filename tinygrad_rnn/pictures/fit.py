"""How much a picture shows, so that it can be read: text never under 8 px where it stands in a column of 1100 px.

The smallest text is 10 px, so a picture may be 1375 px wide before a column of 1100 px shrinks it too far. It is laid
out, and where it is too wide it is made again with fewer steps. What must not be hidden (cuts, losses) stays.

For a stated width, as that of a column in print, the picture is made with letters of 6.5 pt there, never shrunk, and
no taller than the figure may be: the first of `Paper.ways` that fits into both is taken. They begin with every step on
one line and all words, and end with a single step beside a stretch of those that are not shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

from ..errors import DrawError
from . import tile
from .arrange import PAGE_MARGIN
from .drawing import Drawing
from .figure import Page
from .flow import Flow
from .fold import LIMIT, choose, largest_step
from .levels import LEVELS
from .options import LETTER, UNITS, Options, pixels
from .picture import Picture
from .reading import Reading

WIDEST = 1375.0 - 48  # less the margins
FIRST_TRY = {"op": 4, "cell": 10}  # steps
FEWEST = 3

MOST = 12  # steps that are shown of a sequence at a stated width, unless the caller chooses
TALLEST = "20cm"  # of a picture of a stated width, unless the caller says it: a column of a page has 20 to 24
FEWER: tuple[dict[str, bool | str], ...] = (
    {},
    {"shapes": False},
    {"entries": False},
    {"weights": False},
    {"gradients": "strokes"},
    {"ribbon": False},
)
WORDS = [dict(pair for less in FEWER[: k + 1] for pair in less.items()) for k in range(len(FEWER))]
"""Ever fewer words, where the author says nothing of them."""


class Place(NamedTuple):
    """Which of several pictures below each other one is: what it is called, its number, how many there are, and which
    of `WORDS` it may say on a page, if not all."""

    title: str
    number: int
    all: int
    words: int = 0


def fitted(
    reading: Reading, level: str | None, steps: Any, flow: Flow | None, options: Options, place: Place | None = None
) -> Picture:
    """The picture of a tape, at the level that was asked for or at one that can be read."""
    check(reading, level, steps)
    if options.page is None:
        picture = on_screen(reading, level, steps, flow, options)
    else:
        picture = Paper(reading, steps, flow, options, place).picture(level)
    if place is not None:
        picture.title, picture.number = place.title, place.number
    return picture


def check(reading: Reading, level: str | None, steps: Any) -> None:
    """DrawError where there is no such level, or steps are asked for of a tape that has none."""
    if level is not None and level not in LEVELS:
        raise DrawError(
            'level must be "op" (a node an op), "cell" (a node a time step), "layer" (a node a layer, with a loop) or '
            f'"strip" (the gradient of every step), not {level!r}'
        )
    all_steps = level is not None and LEVELS[level].all_steps
    if all_steps and not reading.times:
        raise DrawError(
            f'level="{level}" needs time steps, and this graph has none: tg.nn.unroll and tg.scope tag them'
        )
    if not reading.times and steps is not None and not (isinstance(steps, str) and steps == "all"):
        raise DrawError(
            "steps says which time steps to show, and this graph has none: tg.nn.unroll and tg.scope tag them"
        )


def on_screen(reading: Reading, level: str | None, steps: Any, flow: Flow | None, options: Options) -> Picture:
    """The picture where no width is stated."""
    if not reading.times:
        return LEVELS[level or "op"](reading, None, flow, options)
    if level is not None and LEVELS[level].all_steps:
        return LEVELS[level](reading, steps, flow, options)
    if level is None and steps is None and len(reading.times) <= FIRST_TRY["op"]:
        picture = LEVELS["op"](reading, None, flow, options)
        if tile.draw(picture).width <= WIDEST:
            return picture
    level = level or "cell"
    room = FIRST_TRY[level]
    picture = LEVELS[level](reading, steps, flow, options, room)
    while steps is None and room > FEWEST:
        drawn = tile.draw(picture)
        if drawn.width <= WIDEST:
            break
        column = max(width for at, _, width in drawn.columns if at.kind == "step") + tile.GUTTER
        room = max(FEWEST, min(room, len(picture.steps)) - math.ceil((drawn.width - WIDEST) / column))
        picture = LEVELS[level](reading, steps, flow, options, room)
    return picture


class Made:
    """A picture made for a page with a unit of so many px: on how many lines it is, and in px how wide and how tall."""

    def __init__(self, paper: Paper, picture: Picture, unit: float) -> None:
        self.paper, self.picture, self.unit = paper, picture, unit
        picture.unit, picture.page, picture.tallest = unit, paper.width / unit, paper.height / unit / paper.all
        if paper.place is not None:
            picture.title, picture.number = paper.place.title, paper.place.number
        self.drawn = tile.draw(picture)
        self.lines = self.drawn.lines
        self.width = (self.drawn.around.left + self.drawn.width + self.drawn.around.right + 2 * PAGE_MARGIN) * unit

    @cached_property
    def height(self) -> float:
        """With all that stands around it; of several, as if the others were like this one."""
        drawing = Drawing(self.picture, self.paper.flow)
        drawing.drawn = self.drawn
        return math.ceil(Page([drawing.sheet()] * self.paper.all).height) * self.unit

    def fits(self) -> bool:
        return self.narrow() and self.height <= self.paper.height + CLOSE

    def narrow(self) -> bool:
        return self.width <= self.paper.width + CLOSE

    def enlarged(self) -> Picture:
        """With its letters as large as there is room for, unless the author says how large."""
        unit = min(1.0, self.unit * self.paper.width / self.width, self.unit * self.paper.height / self.height)
        if self.picture.options.size is None and unit > self.unit:
            large = Made(self.paper, self.picture, unit)
            if large.lines > self.lines or not large.fits():
                Made(self.paper, self.picture, self.unit)
        return self.picture


class Way(NamedTuple):
    """How to make a picture for a page: which steps it shows, with which of `WORDS`, on how many lines at most, and
    whether the loss stands above its step."""

    steps: Any
    words: int
    lines: float
    above: bool


def whole(steps: Any) -> Iterator[Way]:
    """The ways to show these steps with ever fewer words: on one line, else on two."""
    for lines in (1, 2):
        for above in (False, True):
            yield from (Way(steps, words, lines, above) for words in range(lines - 1, 4))


def on_lines(steps: Any, fewer: Iterable[int], most: float) -> Iterator[Way]:
    """The ways to show these steps on as few lines as it goes."""
    for words in fewer:
        for lines in sorted({1, 2, most}):
            yield from (Way(steps, words, lines, above) for above in (False, True))


class Paper:
    """The pictures of a tape for a page of a stated width and height, in px."""

    def __init__(self, reading: Reading, steps: Any, flow: Flow | None, options: Options, place: Place | None) -> None:
        self.place, self.all, self.most_words = place, *((1, 0) if place is None else (place.all, place.words))
        self.reading, self.steps, self.flow, self.options = reading, steps, flow, options
        self.width = pixels(options.width, "width")
        self.height = pixels(TALLEST if options.height is None else options.height, "height")
        self.words = WORDS if options.gradients else WORDS[:4]
        self.made: dict[Any, Made] = {}

    def picture(self, level: str | None) -> Picture:
        """The first picture that fits; where there is none and the height is not the author's, the least tall one."""
        times = self.reading.times
        levels = [level or ("cell" if times else "op")]
        if level is None and times and self.steps is None and len(times) <= FIRST_TRY["op"]:
            levels = ["op", "cell"]
        for level in levels:
            for way in islice(self.ways(level), 2 if level != levels[-1] else None):
                made = self.make(level, way.steps, max(way.words, self.most_words), way.above)
                if made.lines <= way.lines and made.fits():
                    return made.enlarged()
        narrow = [made for made in self.made.values() if made.narrow()]
        if not narrow or self.options.height is not None:
            raise DrawError(self.refusal(narrow, levels[-1]))
        return min(narrow, key=lambda made: made.height).picture

    def ways(self, level: str) -> Iterator[Way]:
        """The ways to make it, what says most first."""
        times = self.reading.times
        if self.steps is not None or LEVELS[level].all_steps or not times:
            steps = times if self.steps is None else self.steps
            yield from whole(steps)
            yield from on_lines(steps, range(3, len(self.words)), math.inf)
            return
        if len(times) <= MOST:
            yield from whole(times)
        most = min(MOST, len(times))
        yield from self.folding(3, range(most, FEWEST, -1), LIMIT)
        for fewest in range(FEWEST, 0, -1):
            for words in range(3, len(self.words[:5])):
                yield from self.folding(words, range(most, fewest - 1, -1))
        if self.words[5:]:
            yield from self.folding(5, range(most, 0, -1))

    def folding(self, words: int, room: range, most: int = 0) -> Iterator[Way]:
        """Those with ever fewer steps.

        most   how many are shown where there are more cuts and losses than `room` says; on two lines at most
        """
        for shown in room:
            steps, _ = choose(self.reading, None, shown, largest_step(self.flow), most or shown)
            yield from on_lines(steps, [words], 2 if most else math.inf)

    def make(self, level: str, steps: Any, words: int, above: bool) -> Made:
        """The picture with its letters as small as they may be."""
        key = level, words, str(steps), above
        if key not in self.made:
            options = replace(self.options, show={**self.words[words], **(self.options.show or {})})
            picture = LEVELS[level](self.reading, steps, self.flow, options, above=above)
            picture.words = words
            self.made[key] = Made(self, picture, picture.unit)
        return self.made[key]

    def refusal(self, narrow: list[Made], level: str) -> str:
        """Why there is no picture, what it needs, and what needs less."""
        name, of = ("height", narrow) if narrow else ("width", [*self.made.values()])
        least = min(of, key=lambda made: getattr(made, name))
        needs = f"{getattr(least, name) / UNITS['cm']:.1f} cm for letters of {least.unit * LETTER:.2g} pt"
        cure = ""
        if name == "width" and self.options.direction in ("up", "down"):
            cure = '; direction="right" needs less where there are several layers or ops'
        elif level == "op" and self.reading.times:
            cure = '; level="cell" needs less'
        elif name == "height" and self.options.legend:
            cure = "; legend=False needs less"
        stated = getattr(self.options, name)
        return f"{name}={stated!r} is too {TOO[name]} for this picture, which needs {needs}{cure}"


TOO = {"width": "narrow", "height": "low"}
CLOSE = 0.01  # px that a picture may be larger than its page
