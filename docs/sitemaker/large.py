"""Every picture is a link to its file, so that it opens as large as the reader likes."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def ground(uri: str, app: Any) -> list[str]:
    """ "light" for a picture that stays so on a dark page, which is to be told by its style."""
    path = Path(app.srcdir, uri)
    return [] if path.suffix == ".svg" and "prefers-color-scheme:dark" in path.read_text("utf-8") else ["light"]


def link_pictures(app: Any, document: Any, page: str) -> None:
    from docutils import nodes

    for image in list(document.findall(nodes.image)):
        _, name = app.env.images.get(image["uri"], (None, None))
        if name and not isinstance(image.parent, nodes.reference):
            address = "../" * page.count("/") + f"_images/{name}"
            link = nodes.reference(
                "", "", refuri=address, internal=True, classes=["picture", *ground(image["uri"], app)]
            )
            image.replace_self(link)
            link += image
