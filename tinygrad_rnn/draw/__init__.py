"""Pictures of unrolled graphs.

    reading, sources, fold, template, parts, picture   the picture as data
    flow, overlay                                      how much gradient goes where
    layout, tile, text, fit                            where everything is, and how much of it
    svg, strokes, ribbon, legend, theme, dot, render   the picture as a file
    drawing, comparison, output                        `draw`, and the `Drawing` it gives

Only `drawing` is imported with the library; the rest is, when the first picture is drawn.
"""

from .drawing import Drawing, draw

__all__ = ["Drawing", "draw"]
