"""What a picture can be written as, whether it shows one graph or several."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DrawError
from ..files import replace_file

if TYPE_CHECKING:
    from .sheet import Sheet


class Output:
    """A picture that knows its `sheets`, and so can be written, saved and shown."""

    def sheets(self) -> list[Sheet]:
        """What the writers write, one sheet for each graph."""
        raise NotImplementedError

    def svg(self) -> str:
        """The picture as the text of an SVG file; needs no other program."""
        from .svg import write

        return write(self.sheets())

    def dot(self, pinned: bool = True) -> str:
        """The picture as text for Graphviz: ``dot -Tpdf``. One cluster a time step, time to the right.

        pinned  whether the positions are written into it, which Graphviz then keeps. Without them Graphviz makes a
                layout of its own, which takes minutes for more than a hundred steps: a UserWarning says so
        """
        from .dot import write

        return write(self.sheets(), pinned)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file; its suffix says how: svg, dot, png or pdf.

        png and pdf are rendered by Graphviz, which gets 20 seconds. Where it is missing or does not finish, the picture
        is kept as svg, under a name that is free, and DrawError says where. Raises DrawError for another suffix, too,
        and OSError where the file cannot be written; a file that was there is then as it was.
        """
        path = Path(path)
        suffix = path.suffix.lower().removeprefix(".")
        if suffix == "svg":
            replace_file(path, self.svg())
        elif suffix in ("dot", "gv"):
            replace_file(path, self.dot())
        elif suffix in ("png", "pdf"):
            from .render import render

            try:
                data = render(self.dot(), suffix)
            except DrawError as error:
                kept = _free_name(path)
                replace_file(kept, self.svg())
                raise DrawError(f"{error}. The picture is kept as {kept.name}") from error
            replace_file(path, data)
        else:
            raise DrawError(f"cannot save a picture as {path.name!r}: the name must end in .svg, .dot, .png or .pdf")
        return path

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        return f'<div style="overflow:auto;max-width:100%">{self.svg()}</div>'


def _free_name(path: Path) -> Path:
    """A name like this one that ends in .svg and that no file has."""
    numbered = (path.with_name(f"{path.stem}-{n}.svg") for n in itertools.count(2))
    return next(file for file in itertools.chain([path.with_suffix(".svg")], numbered) if not os.path.lexists(file))
