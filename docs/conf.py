"""Sphinx configuration: `make docs`. Warnings are errors there."""

from sphinx.application import Sphinx

import rhotem

project = "RhoTEM"
author = "RhoTEM developers"
project_copyright = "RhoTEM developers, GPL-3.0-or-later"
release = version = rhotem.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # outputs are those in the files: scripts/run_notebooks.py --write
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"RhoTEM {version}"

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say types and shapes
napoleon_google_docstring = False
napoleon_use_rtype = False


def _absolute_values(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Docstrings write |g| for absolute values, which reStructuredText would take for a substitution."""
    lines[:] = [line.replace("|", r"\|") for line in lines]


def setup(app: Sphinx) -> None:
    """Register the hook; called by Sphinx."""
    app.connect("autodoc-process-docstring", _absolute_values)
