"""How much a picture shows, so that it can be read: text never under 8 px where it stands in a column of 1100 px.

The smallest text is 10 px, so a picture may be 1375 px wide before a column of 1100 px shrinks it too far. It is laid
out, and where it is too wide it is made again with fewer steps. What must not be hidden (cuts, losses) stays.

For a stated width, as that of a column in print, the picture is made with letters of 6.5 pt there, and never shrunk:
first with fewer words, then on several lines, then with fewer steps.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ..errors import DrawError
from . import tile
from .flow import Flow
from .levels import LEVELS
from .marks import Drawn
from .options import LETTER, UNITS, Options
from .picture import Picture
from .reading import Reading

WIDEST = 1375.0 - 48  # less the margins
FIRST_TRY = {"op": 4, "cell": 10}  # steps
FEWEST = 3


PAGE_MARGIN = 2.0  # around a picture of a stated width
MOST = 12  # steps that are shown of a sequence on such a page, unless the caller chooses
TRIES: tuple[tuple[int, dict[str, bool]], ...] = (
    (1, {}),
    (1, {"shapes": False}),
    (1, {"shapes": False, "weights": False}),
    (2, {"shapes": False}),
    (2, {"shapes": False, "weights": False}),
)
"""On so many lines, and with ever fewer words, all steps of a sequence are shown; if that fails some are folded."""


def fitted(reading: Reading, level: str | None, steps: Any, flow: Flow | None, options: Options) -> Picture:
    """The picture of a tape, at the level that was asked for or at one that can be read."""
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
    if options.page is not None:
        return _on_page(reading, level, steps, flow, options)
    if not reading.times:
        return LEVELS[level or "op"](reading, None, flow, options)
    if level is not None and all_steps:
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


def room(picture: Picture) -> float | None:
    """How long a line may be, around what stands at its sides; None where no width is stated."""
    return None if picture.page is None else picture.page - 2 * PAGE_MARGIN


def _on_page(reading: Reading, level: str | None, steps: Any, flow: Flow | None, options: Options) -> Picture:
    """The picture for a page of a stated width."""
    levels = [level or "cell"]
    if level is None and not reading.times:
        levels = ["op"]
    elif level is None and steps is None and len(reading.times) <= FIRST_TRY["op"]:
        levels = ["op", "cell"]
    for level in levels:
        for lines, fewer in TRIES[: 2 if level != levels[-1] else None]:
            picture = LEVELS[level](reading, steps, flow, _saying(options, fewer), MOST)
            if _spread(picture, lines) and not (picture.hidden and steps is None and not LEVELS[level].all_steps):
                return picture
    return _folded(reading, levels[-1], steps, flow, _saying(options, TRIES[-1][1]))


def _folded(reading: Reading, level: str, steps: Any, flow: Flow | None, options: Options) -> Picture:
    """A picture of which some steps are folded, on two lines, or on more if more must be shown."""
    for shown in range(MOST, FEWEST - 1, -1):
        picture = LEVELS[level](reading, steps, flow, options, shown)
        lines = 2 if steps is None and shown > FEWEST and picture.rows and not picture.all_steps else math.inf
        if _spread(picture, lines):
            return picture
    picture.breaks_anywhere = True
    if _spread(picture, math.inf):
        return picture
    drawn = tile.draw(picture, room(picture))
    needs = f"{_width(drawn) * picture.unit / UNITS['cm']:.1f} cm for letters of {picture.unit * LETTER:.2g} pt"
    raise DrawError(
        f"width={options.width!r} is too narrow for this picture, which needs {needs}" + _cure(level, options)
    )


def _cure(level: str, options: Options) -> str:
    if options.direction in ("up", "down"):
        return '; direction="right" needs less where there are several layers or ops'
    return '; level="cell" needs less' if level == "op" else ""


def _spread(picture: Picture, lines: float) -> bool:
    """Whether a picture has room on its page, on so many lines; then its letters are as large as there is room for."""
    page, drawn = picture.page or 0.0, tile.draw(picture, room(picture))
    if drawn.lines > lines or _width(drawn) > page:
        return False
    if picture.options.size is None:
        px = page * picture.unit
        picture.unit = min(1.0, px / _width(drawn))
        picture.page = px / picture.unit
    return True


def _saying(options: Options, fewer: dict[str, bool]) -> Options:
    """The options with fewer words, where the author says nothing of them."""
    return replace(options, show={**fewer, **(options.show or {})})


def _width(drawn: Drawn) -> float:
    """How wide a picture is with all that stands beside its cells, in units of its layout."""
    return drawn.around.left + drawn.width + drawn.around.right + 2 * PAGE_MARGIN
