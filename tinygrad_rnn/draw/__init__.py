"""Pictures of unrolled graphs: the picture as data, its layout, and its output as SVG or DOT."""

from .drawing import Drawing, draw
from .picture import Edge, Node

__all__ = ["Drawing", "Edge", "Node", "draw"]
