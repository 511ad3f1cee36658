"""Pictures of unrolled graphs.

    reading, sources, constants, fold         what is to be drawn of a tape
    template, parts                           boxes, and how they are joined
    picture, cells, levels, outside           the picture as data
    options                                   how it is to look
    flow, amount, overlay                     how much gradient goes where
    layout, text, routes, align, tile, lines  where everything is
    fit                                       how much there is room for
    marks, stretches, ribbon, sheet           the picture with coordinates
    about, legend                             what it says of itself in words
    canvas, figure, strokes, theme            the one design, drawn on a canvas: a canvas is a language
    svg, artists, tikz, latex, dot, render    the picture in a language: a file, an Axes of matplotlib, a Digraph
    drawing, comparison, output               what `draw` gives
    stepper                                   `page`, a tape to step through in a browser

Only this, `drawing` and the door of `stepper` are imported with the library; the rest is, when the first picture is
drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack, overload

from ..autograd.checks import no_tensor
from ..autograd.tensor import Tensor
from ..errors import DrawError, FreedGraphError, GraphError
from ..unrolled.listing import Tape
from .drawing import Drawing
from .stepper import page

if TYPE_CHECKING:
    from ..nn.module import Module
    from .comparison import Comparison
    from .fit import Place
    from .options import Highlight, Look, Options

__all__ = ["Drawing", "draw", "page"]


@overload
def draw(
    root: Tensor,
    level: str | None = None,
    steps: Any = None,
    grads: bool = False,
    values: bool = False,
    theme: str = "light",
    names: Mapping[str, Any] | Module | None = None,
    **look: Unpack[Look],
) -> Drawing: ...
@overload
def draw(
    root: Sequence[Tensor] | Mapping[str, Tensor],
    level: str | None = None,
    steps: Any = None,
    grads: bool = False,
    values: bool = False,
    theme: str = "light",
    names: Mapping[str, Any] | Module | None = None,
    **look: Unpack[Look],
) -> Comparison: ...
def draw(
    root: Tensor | Sequence[Tensor] | Mapping[str, Tensor],
    level: str | None = None,
    steps: Any = None,
    grads: bool = False,
    values: bool = False,
    theme: str = "light",
    names: Mapping[str, Any] | Module | None = None,
    *,
    width: str | float | None = None,
    height: str | float | None = None,
    labels: Sequence[str] | Mapping[int, str] | None = None,
    title: str | None = None,
    direction: str = "right",
    show: Mapping[str, bool | str] | None = None,
    scale: tuple[float, float] | None = None,
    colors: str | Mapping[str, str] = "default",
    highlight: Highlight = (),
    font: str | None = None,
    size: float | None = None,
    legend: bool = True,
    notes: bool = True,
) -> Drawing | Comparison:
    """A picture of the graph that leads to `root`, unrolled over time.

    root    a Tensor; or several, drawn one below the other: a list, or a mapping from titles to Tensors. They show the
            same steps, and their gradients are on one scale
    level   "op": a node for each op; "cell": a node for each time step of each layer; "layer": a node for each layer,
            its state handed on in a loop; "strip": no graph, but the gradient of the state of every step. None chooses
            what can be read: "op" for few steps, else "cell"
    steps   "all", or a list such as ``[1, "cat", "...", -1]``, where a step may be called by its word. None shows the
            first and the last, every cut and every loss, the step with the largest gradient, and as many more as can
            be read in a column of 1100 px
    grads   show the gradient of the root with respect to each result: its norm in the node, and beside each edge a
            stroke for what goes back along it, by its norm
    values  write the value of each result, weight, input and initial state into its node: small arrays as their
            entries, others as their norm
    theme   "light", "dark", or "auto": as the reader's system prefers
    names   names for tensors, a mapping: ``names=locals()`` works. Or a Module: its parameters get their full names
    The look of the picture, by name only:

    width   how wide it is to be in print: "8.5cm" (or mm, in, pt), or a number of px. It is made for that width, with
            letters of 6.5 pt at least: with fewer words, on several lines or with fewer steps, never by shrinking
    height  how tall it may be at that width. None takes 20 cm where that can be, and more where it cannot; one that is
            stated and cannot be met is refused with what is needed
    labels  a word for each time step, or a mapping from steps to words, to stand under them. None takes the words that
            steps are called by
    title   the title; "" for none. None says what there is
    direction  where time goes: "right", "left", "up" or "down"
    show    what is said of "shapes", "weights" and the "ribbon" of the gradients of all steps (False leaves them out),
            "entries" of small arrays (False takes their norm), "values" (as `values`) and "gradients" (as `grads`; or
            "strokes" beside the edges or "numbers" in the boxes alone)
    scale   the norms at the foot and the top of the scale of gradients, such as ``(1e-3, 1)``. None takes the decades
            that occur, twelve at most
    colors  a palette, "default", "muted" or "grey", or colours for some of state, weight, input, op, cut, edge, text,
            page, gradient and highlight, such as ``{"state": "#AA3377"}``
    highlight  what is to stand out: a time step, the name of a state, wherever it is handed on, a Tensor, whose ways
            to the root are, or several of these
    font    the name of a font, such as "serif"
    size    the size of the smallest letters, in pt
    legend  False leaves out what explains the boxes and the scale
    notes   False leaves out the lines of text below. Legend and notes take a quarter of the picture at most

    Draw before ``backward()``, which frees the graph, or call ``backward(retain_graph=True)``.
    Raises DrawError where the graph is gone, or too large to be read.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> output, h = tg.nn.RNN(3, 4, rng=0)(np.ones((50, 1, 3)))
    >>> picture = tg.draw(output.sum())
    >>> picture.steps, picture.hidden
    ([1, 2, 3, 4, 48, 49, 50], [(5, 47)])
    >>> tg.draw(output.sum(), level="op", steps=[1, "...", 50])
    <drawing: 20 nodes, 21 edges, 2 of 50 steps, level op>
    """
    from .options import Options

    options = Options(
        theme=theme,
        grads=bool(grads) or level == "strip",
        values=bool(values),
        width=width,
        height=height,
        labels=labels,
        title=title,
        direction=direction,
        show=show,
        scale=scale,
        colors=colors,
        highlight=highlight,
        font=font,
        size=size,
        legend=legend,
        notes=notes,
    )
    one = partial(_draw, names=names, options=options)
    if isinstance(root, Tensor):
        return one(root, level, steps)
    if isinstance(root, Mapping | list) and len(root):
        from .comparison import compare

        return compare(root, one, level, steps)
    if isinstance(root, Mapping | list):
        raise DrawError(f"draw() was given an empty {type(root).__name__}: there is nothing to draw")
    raise no_tensor(root, "draw() needs a Tensor, or a list or mapping of some")


def _draw(
    root: Any, level: str | None, steps: Any, place: Place | None = None, *, names: Any, options: Options
) -> Drawing:
    """The picture of one graph; `place` says which of several it is."""
    from .fit import fitted
    from .flow import Flow
    from .reading import Reading

    if not isinstance(root, Tensor):
        raise no_tensor(root, "draw() needs a Tensor")
    try:
        tape = Tape(root)
    except FreedGraphError as error:
        raise DrawError(f"nothing is left to draw: {error}") from error
    if options.gradients and not root.requires_grad:
        raise GraphError("draw() of the gradients of a tensor that needs no gradient: there are none to show")
    reading = Reading(tape, names)
    flow = Flow(reading) if options.gradients else None
    return Drawing(fitted(reading, level, steps, flow, options, place), flow)
