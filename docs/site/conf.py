"""Sphinx's settings for the site. Pages are put together by build.py; nothing is loaded from elsewhere."""

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

import resnet_edu

project = "resnet-edu"
author = "the resnet-edu authors"
copyright = "code MIT, lessons and figures CC BY 4.0"
release = version = resnet_edu.__version__
smartquotes = False  # two dashes are an option of a command, not a dash
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["*.md", "assets", "deploy", "tests", "resnet_edu", "notebooks/*.ipynb", "notebooks/*.md"]
exclude_patterns.remove("*.md")
exclude_patterns += ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/results.md"]
suppress_warnings = [
    "myst.xref_missing",
    "ref.python",
]  # headings of files that are linked and not shown; two names alike

# Lessons are shown as they were executed by notebooks/build.py.
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Docstrings: Google's style; a word in backticks is code, and a link where it names something of the package.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_math_renderer = "mathml"
html_theme = "sphinx_book_theme"
html_title = "resnet-edu"
html_logo = html_favicon = "static/mark.svg"
html_static_path = ["static", "../../notebooks/pictures"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sourcelink = False
html_domain_indices = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "home_page_in_toc": True,
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_persistent": [],  # the search is in the sidebar
    "logo": {"text": "resnet-edu", "alt_text": "resnet-edu, home"},
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def inline(writer: Any, node: nodes.math) -> None:
    """A formula within a line, as MathML, which browsers draw by themselves: no page loads a script for it."""
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def block(writer: Any, node: nodes.math_block) -> None:
    """A formula on lines of its own, in a box that scrolls by itself where the page is narrow."""
    writer.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Draw formulas as above."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
