"""Pictures of unrolled graphs.

    reading, sources, fold, template, parts, picture   the picture as data
    layout, tile, text                                 where everything is
    svg, legend, theme, dot, render                    the picture as a file
    drawing                                            `draw`, and the `Drawing` it gives

Only `drawing` is imported with the library; the rest is, when the first picture is drawn.
"""

from .drawing import Drawing, draw

__all__ = ["Drawing", "draw"]
