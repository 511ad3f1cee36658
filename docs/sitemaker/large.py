"""Every picture is a link to its file, so that it opens as large as the reader likes."""

from __future__ import annotations

from typing import Any


def link_pictures(app: Any, document: Any, page: str) -> None:
    from docutils import nodes

    for image in list(document.findall(nodes.image)):
        _, name = app.env.images.get(image["uri"], (None, None))
        if name and not isinstance(image.parent, nodes.reference):
            address = "../" * page.count("/") + f"_images/{name}"
            link = nodes.reference("", "", refuri=address, internal=True, classes=["picture"])
            image.replace_self(link)
            link += image
