"""What a picture can be written as, whether it shows one graph or several."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DrawError
from ..files import check_replaced, replace_file

if TYPE_CHECKING:
    from graphviz import Digraph
    from matplotlib.axes import Axes

    from .sheet import Sheet

FORMATS = ("svg", "dot", "gv", "tex", "pdf", "png", "eps", "ps")
"""What a picture can be saved as, by the ending of the name."""


class Output:
    """A picture that knows its `sheets`, and so can be written, saved and shown."""

    def sheets(self) -> list[Sheet]:
        """What the writers write, one sheet for each graph."""
        raise NotImplementedError

    def svg(self) -> str:
        """The picture as the text of an SVG file; needs no other program."""
        from .svg import write

        return write(self.sheets())

    def tikz(self) -> str:
        r"""The picture as TikZ, for ``\input`` into a LaTeX document; its first line says what the preamble needs.

        LaTeX sets the text, in the font of the document and with indices as maths. Each box is a node with a name, as
        in `nodes` with hyphens: ``\draw[->] (note) -- (t2-h);`` goes on by hand.
        """
        from .tikz import write

        return write(self.sheets())

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the picture into an Axes of matplotlib, or into one of a figure of its own; gives the Axes.

        ``picture.plot().figure.savefig("rnn.pdf")`` is what `save` does. The text is in the fonts of ``rcParams``, or
        set by LaTeX where ``text.usetex`` says so. Needs matplotlib, the extra ``plot``; DrawError where it is missing.

        >>> import tinygrad_rnn as tg
        >>> from matplotlib.figure import Figure
        >>> a = tg.tensor(2.0, requires_grad=True, name="a")
        >>> left, right = Figure(figsize=(8, 3)).subplots(1, 2)
        >>> tg.draw(a * a).plot(left) is left
        True
        """
        try:
            import matplotlib  # noqa: F401
        except ImportError:
            cures = "pip install 'tinygrad_rnn[plot]', or save as .svg, which needs nothing"
            raise DrawError(f"this needs matplotlib: {cures}") from None
        from .artists import plot

        if ax is not None and not hasattr(ax, "add_artist"):
            raise TypeError(f"plot() draws into an Axes of matplotlib, or with None into one of its own, not {ax!r}")
        return plot(self.sheets(), ax)

    def digraph(self, pinned: bool = True) -> Digraph:
        """The picture as a ``graphviz.Digraph``: one cluster a time step, time as it goes here.

        It can be changed, and rendered where the program Graphviz is installed:
        ``picture.digraph().render("rnn", format="pdf")``.

        pinned  whether boxes and edges keep the places that they have here: ``layout=nop2``. Without them Graphviz
                makes a layout of its own, which takes minutes for more than a hundred steps: a UserWarning says so

        >>> import tinygrad_rnn as tg
        >>> a = tg.tensor(2.0, requires_grad=True, name="a")
        >>> print(tg.draw(a * a).digraph(pinned=False).source.splitlines()[1])
        digraph tape {
        """
        from .dot import digraph

        return digraph(self.sheets(), pinned)

    def dot(self, pinned: bool = True) -> str:
        """The source of `digraph`: text for Graphviz, ``dot -Tpdf``."""
        from .dot import digraph

        return str(digraph(self.sheets(), pinned).source)

    def save(self, path: str | os.PathLike[str], engine: str | None = None) -> Path:
        """Write the picture to a file; the ending of its name says how.

        .svg                           written by this library alone
        .dot, .gv                      text for Graphviz, see `digraph`
        .tex                           TikZ, see `tikz`
        .pdf, .png, .eps, .ps          by matplotlib, see `plot`; they look like the SVG

        engine  "dot", "neato", "fdp" or another: Graphviz makes a layout of its own, and renders it to svg, pdf, png,
                eps or ps. It needs the program, and gets 20 seconds

        A picture of the same kind that is there is replaced, whole or not at all. Raises DrawError for another ending,
        where the file that is there is no such picture, or where a program or package is missing, and OSError where the
        file cannot be written; what was there is then as it was.
        """
        path = Path(path)
        format = path.suffix.lower().removeprefix(".")
        if format not in FORMATS:
            *most, last = (f".{suffix}" for suffix in FORMATS)
            raise DrawError(f"cannot save a picture as {path.name!r}: the name must end in {', '.join(most)} or {last}")
        check_replaced(path)
        return replace_file(path, self._written(format) if engine is None else self._rendered(format, engine))

    def _written(self, format: str) -> str | bytes:
        if format == "svg":
            return self.svg()
        if format == "tex":
            return self.tikz()
        if format in ("dot", "gv"):
            return self.dot()
        data = io.BytesIO()
        figure: Any = self.plot().get_figure(root=True)
        undated = {"metadata": {"CreationDate": None}} if format == "pdf" else {}  # equal pictures are equal files
        figure.savefig(data, format=format, dpi=192, **undated)
        return data.getvalue()

    def _rendered(self, format: str, engine: str) -> bytes:
        from .render import render

        return render(self.dot(pinned=False), format, engine)

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        return f'<div style="overflow:auto;max-width:100%">{self.svg()}</div>'
