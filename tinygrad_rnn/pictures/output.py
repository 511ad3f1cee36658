"""What a picture can be written as, whether it shows one graph or several."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import DrawError


class Output:
    """A picture that knows its `svg` and its `dot`, and so can be saved and shown."""

    def svg(self) -> str:
        raise NotImplementedError

    def dot(self, pinned: bool = True) -> str:
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file; its suffix says how: svg, dot, png or pdf.

        png and pdf are rendered by Graphviz, which gets 20 seconds. Where it is missing or does not finish, the picture
        is kept as svg, and DrawError says where. Raises DrawError for another suffix, too.
        """
        path = Path(path)
        suffix = path.suffix.lower().removeprefix(".")
        if suffix == "svg":
            path.write_text(self.svg(), encoding="utf-8")
        elif suffix in ("dot", "gv"):
            path.write_text(self.dot(), encoding="utf-8")
        elif suffix in ("png", "pdf"):
            from .render import render

            try:
                path.write_bytes(render(self.dot(), suffix))
            except DrawError as error:
                kept = path.with_suffix(".svg")
                kept.write_text(self.svg(), encoding="utf-8")
                raise DrawError(f"{error}. The picture is kept as {kept.name}") from error
        else:
            raise DrawError(f"cannot save a picture as {path.name!r}: the name must end in .svg, .dot, .png or .pdf")
        return path

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        return f'<div style="overflow:auto;max-width:100%">{self.svg()}</div>'
