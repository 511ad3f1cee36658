"""The site in Sphinx's words. `python -m docs` builds it: what Sphinx reads is staged first, see sitemaker/pages.py."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

from sitemaker import docstrings, large, reference  # noqa: E402

project = "tinygrad_rnn"
author = copyright = "The tinygrad_rnn developers"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
root_doc = "index"
default_role = "code"  # `like this` in a docstring

html_theme = "furo"
html_title = "tinygrad_rnn"
html_static_path = ["sitemaker/static"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}

myst_enable_extensions = ["dollarmath", "amsmath", "attrs_block", "deflist"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {
    "members": True,
    # what a class inherits from others than these, which are described themselves or are not ours
    "inherited-members": "Recurrent, Cell, Module, Tensor, Op, Optimizer, LambdaLR, BaseException, tuple",
    "exclude-members": "extra_repr, cell_type, variant_step, update, checked",
}
autodoc_type_aliases = {name: name for name in reference.ALIASES}
python_maximum_signature_line_length = 220
add_module_names = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True  # what has prompts is copied without them, and without its outputs

mathjax_path = "tex-svg.js"  # from the site itself: one file, whole, which asks for no other
mathjax3_config = {"svg": {"fontCache": "global", "scale": 0.92}, "options": {"enableMenu": False}}


def add_mathjax(app: object) -> None:
    """Put MathJax where the pages look for it, out of the package that carries it."""
    files = importlib.metadata.files("sphinx-mathjax-offline") or []
    (found,) = (file.locate() for file in files if file.name == "tex-svg.js")
    static = Path(app.outdir, "_static")
    static.mkdir(parents=True, exist_ok=True)
    shutil.copy(found, static / mathjax_path)


def setup(app: object) -> None:
    app.connect("builder-inited", add_mathjax)
    app.connect("autodoc-process-docstring", lambda app, what, name, x, options, lines: edit(lines))
    app.connect("doctree-resolved", large.link_pictures)


def edit(lines: list[str]) -> None:
    lines[:] = docstrings.as_rst(lines)
