"""How the site is made of the pages in this folder: `python -m docs`."""
