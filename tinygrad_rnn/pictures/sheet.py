"""What is on one sheet: a picture with coordinates, and what is written over it. All that a writer needs."""

from __future__ import annotations

from dataclasses import dataclass

from .marks import Drawn
from .options import Options
from .overlay import Overlay
from .picture import Picture
from .ribbon import Ribbon


@dataclass(slots=True)
class Sheet:
    """A picture to be written.

    figures  for the id of a node the values and gradients that stand in it
    overlay  how much gradient goes along each edge, if that is shown
    ribbons  the gradient of every step, if that is shown
    prefix   what the names of its nodes begin with, where it is one of several
    """

    drawn: Drawn
    figures: dict[str, tuple[str, ...]]
    overlay: Overlay | None
    ribbons: list[Ribbon]
    prefix: str = ""

    @property
    def options(self) -> Options:
        return self.picture.options

    @property
    def theme(self) -> str:
        """ "light", "dark" or "auto"."""
        return self.options.theme

    @property
    def picture(self) -> Picture:
        return self.drawn.picture
