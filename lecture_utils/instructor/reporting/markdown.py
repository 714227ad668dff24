"""A student's Markdown as HTML for a page of our own: text, tables and formulas, and nothing that runs or loads."""

from __future__ import annotations

import html
import re
from functools import cache
from typing import Any
from xml.etree.ElementTree import Element, tostring

from latex2mathml.converter import convert_to_element
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

LENGTH, SIGNS = 10_000, 300  # characters, and | and [ among them: the time for those is no longer that for the text
FORMULA, FORMULAS = 500, 100  # characters of one that is typeset, and how many are
NESTING = 40  # lists in quotes in lists; what lies deeper the renderer would leave out
_LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")
_MATHML = {
    *"math mrow mi mo mn mtext mspace mfrac msqrt mroot mstyle msub msup msubsup munder mover munderover".split(),
    *"mtable mtr mtd mpadded mphantom menclose mmultiscripts mprescripts".split(),
}
_ATTRIBUTES = {"stretchy", "fence", "accent", "mathvariant", "linethickness", "columnalign", "minsize", "maxsize"}


def rendered(text: str) -> tuple[str, str]:
    """HTML of the text, and a sentence for the reader where it could not be rendered, and stands there as it was written."""
    if len(text) > LENGTH or text.count("|") + text.count("[") > SIGNS:
        return as_written(text), "This text is shown as it was written: it is too long to be set."
    try:
        return _html(text), ""
    except (Exception, RecursionError):  # of any kind, for any text
        return as_written(text), "This text is shown as it was written: it could not be set."


def heading(text: str) -> str:
    """HTML of one line of the course's own."""
    return _renderer().renderInline(text, {"formulas": FORMULAS})


def as_written(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>"


def formula(latex: str, display: bool = False) -> str:
    """MathML, or the source where that fails or says anything but how a formula looks."""
    if len(latex) <= FORMULA:
        try:
            element = convert_to_element(latex, display="block" if display else "inline")
            _allow_only_mathml(element)
            return tostring(element, encoding="unicode")
        except (Exception, RecursionError):
            pass
    return f"<code>{html.escape(latex)}</code>"


def _allow_only_mathml(element: Element) -> None:
    """Raises ``ValueError`` for another tag. Attributes that do not change how it looks go: \\href, \\style make some."""
    for part in element.iter():
        if part.tag not in _MATHML:
            raise ValueError(part.tag)
        part.attrib = {k: v for k, v in part.attrib.items() if k in _ATTRIBUTES or (part is element and k == "display")}
        part.text, part.tail = html.unescape(part.text or ""), None  # it writes some signs as entities


def _html(text: str) -> str:
    markdown, env = _renderer(), {"formulas": FORMULAS}
    tokens = markdown.parse(text, env)
    if any(token.level >= NESTING - 2 for block in tokens for token in (block, *(block.children or []))):
        raise ValueError("nested too deeply")
    return markdown.renderer.render(tokens, markdown.options, env)


@cache
def _renderer() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "maxNesting": NESTING}).enable(["table", "strikethrough"])
    markdown.use(dollarmath_plugin, allow_labels=False, allow_space=False, allow_digits=False)
    markdown.validateLink = lambda url: bool(_LINK.match(url) or _PICTURE.fullmatch(url))
    markdown.add_render_rule("image", _image)
    markdown.add_render_rule("link_open", _link)
    for name in ("math_inline", "math_inline_double", "math_block"):
        markdown.add_render_rule(name, _math)
    for name in ("heading_open", "heading_close"):
        markdown.add_render_rule(name, _heading)
    return markdown


def _image(self: Any, tokens: list, i: int, options: Any, env: dict) -> str:
    source, words = tokens[i].attrGet("src") or "", html.escape(tokens[i].content)
    if not _PICTURE.fullmatch(source):
        return f"[picture: {words}]"
    return f'<img src="{source}" alt="{words}">'


def _link(self: Any, tokens: list, i: int, options: Any, env: dict) -> str:
    href = tokens[i].attrGet("href") or ""
    return f'<a href="{html.escape(href)}" rel="noopener noreferrer">' if _LINK.match(href) else "<a>"


def _math(self: Any, tokens: list, i: int, options: Any, env: dict) -> str:
    env["formulas"] -= 1
    if env["formulas"] < 0:
        return f"<code>{html.escape(tokens[i].content)}</code>"
    display = tokens[i].type != "math_inline"
    text = formula(tokens[i].content.strip(), display)
    return f"<p>{text}</p>\n" if tokens[i].type == "math_block" else text


def _heading(self: Any, tokens: list, i: int, options: Any, env: dict) -> str:
    """As bold text: the page's own headings stay in order, whatever a student's are."""
    return "<p><strong>" if tokens[i].nesting > 0 else "</strong></p>\n"
