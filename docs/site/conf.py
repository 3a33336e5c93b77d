"""Sphinx's settings for the site. Pages are put together by build.py; nothing is loaded from elsewhere."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # mathml.py

import resnet_edu

project = "resnet-edu"
author = "the resnet-edu authors"
copyright = "code MIT, lessons and figures CC BY 4.0"
release = version = resnet_edu.__version__
language = "en"
smartquotes = False  # two dashes are an option of a command, not a dash
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "mathml"]

# Lessons are shown as they were executed by notebooks/build.py.
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

# Docstrings: Google's style; a word in backticks is code, and a link where it names something of the package.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Names of the package must lead somewhere. Those of torch and others would need their sites.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!resnet_edu).*"), ("py:obj", ".*"), ("py:class", r".*\.(Choice|NamedLayer)")]

html_theme = "sphinx_book_theme"
html_title = "resnet-edu"
html_logo = html_favicon = "static/mark.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
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
    "navbar_persistent": [],  # the search stands in the sidebar
    "logo": {"text": "resnet-edu", "alt_text": "resnet-edu, home"},
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
