"""How much a picture shows, so that it can be read: text never under 8 px where it stands in a column of 1100 px.

The smallest text is 10 px, so a picture may be 1375 px wide before a column of 1100 px shrinks it too far. It is laid
out, and where it is too wide it is made again with fewer steps. What must not be hidden (cuts, losses) stays.
"""

from __future__ import annotations

import math
from typing import Any

from ..errors import DrawError
from . import tile
from .flow import Flow
from .levels import LEVELS
from .options import Options
from .picture import Picture
from .reading import Reading

WIDEST = 1375.0 - 48  # less the margins
FIRST_TRY = {"op": 4, "cell": 10}  # steps
FEWEST = 3


def fitted(reading: Reading, level: str | None, steps: Any, flow: Flow | None, options: Options) -> Picture:
    """The picture of a tape, at the level that was asked for or at one that can be read."""
    if level is not None and level not in LEVELS:
        raise DrawError(
            'level must be "op" (a node an op), "cell" (a node a time step), "layer" (a node a layer, with a loop) or '
            f'"strip" (the gradient of every step), not {level!r}'
        )
    all_steps = level is not None and LEVELS[level].all_steps
    if not reading.times:
        if all_steps:
            raise DrawError(
                f'level="{level}" needs time steps, and this graph has none: tg.nn.unroll and tg.scope tag them'
            )
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
