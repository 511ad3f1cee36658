"""Pictures of unrolled graphs.

    reading, sources, fold, template, parts, picture   the picture as data
    flow, overlay                                      how much gradient goes where
    layout, tile, text, fit                            where everything is, and how much of it
    svg, strokes, ribbon, legend, theme, dot, render   the picture as a file
    drawing, comparison, output                        `draw`, and the `Drawing` it gives
    stepper                                            `page`, a tape to step through in a browser

Only `drawing` and the door of `stepper` are imported with the library; the rest is, when the first picture is drawn.
"""

from .drawing import Drawing, draw
from .stepper import page

__all__ = ["Drawing", "draw", "page"]
