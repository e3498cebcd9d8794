"""Sphinx: python -m sphinx docs docs/_build/html (with the extra `docs` installed)."""

project = "facekit"
author = "The facekit authors"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "facekit"
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]
