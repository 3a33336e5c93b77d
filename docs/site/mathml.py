"""A Sphinx extension: formulas as MathML, which browsers draw by themselves, so no page loads a script for them."""

from html import escape
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer; conf.py chooses it with `html_math_renderer`."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def inline(writer: HTML5Translator, node: nodes.math) -> None:
    """A formula within a line."""
    writer.body.append(to_mathml(node, "inline"))
    raise nodes.SkipNode


def block(writer: HTML5Translator, node: nodes.math_block) -> None:
    """A formula on lines of its own, in a box that scrolls by itself where the page is narrow."""
    writer.body.append(f'<div class="formula">{to_mathml(node, "block")}</div>\n')
    raise nodes.SkipNode


def to_mathml(node: nodes.Element, display: str) -> str:
    """The node's LaTeX as MathML; what cannot be read is a warning, and so ends the build."""
    try:
        return convert(node.astext(), display=display)
    except Exception as error:  # the converter's errors have no common base
        logger.warning("no LaTeX that can be read: %s (%r)", node.astext(), error, location=node)
        return f"<code>{escape(node.astext())}</code>"
