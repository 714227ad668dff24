"""Markdown of a student, made harmless for Jupyter's own renderer: nothing in it runs, loads or hides something.

Only a space is put in at places where a renderer would begin to do more than show text, so that everything stays
readable: no text is lost, whatever the renderer thinks of it. Each rule looks at a text once, from left to right.
"""

from __future__ import annotations

import html
import re

LENGTH = 20_000  # characters that a renderer is given: some need a time that grows with the square of it

# What is not seen and changes what is seen: controls, marks that turn a line around, what has no width.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_JOINERS = "\u200c\u200d"  # scripts and emoji need them between two signs
_HARMLESS = "br|sub|sup|b|i|em|strong"
_NO_NAME = r"[A-Za-z][A-Za-z0-9]{0,20}[}\])$,;^_+*=|&\\]"  # $i<n$: no tag's name goes on like this
_TAG = re.compile(
    rf"<(?=[A-Za-z/!?])(?!{_NO_NAME})(?!https?://[^\s<>]{{1,500}}>)(?!br ?/?>)"
    rf"(?!(?:{_HARMLESS})>[^<\n]{{0,200}}</)(?!/(?:{_HARMLESS})>)"
)
_OWN_PICTURE = r"\[[^\[\]\n]{0,200}\]\(data:image/png;base64,[A-Za-z0-9+/=]+\)"
_PICTURE = re.compile(rf"!(?=\[)(?!{_OWN_PICTURE})")
_KNOWN = r"(?:https?://|mailto:|#)"  # how a link may begin
_LINK = re.compile(rf"(?<=\])(?=\()(?!\(\s*<?{_KNOWN})(?!\(data:image/png;base64,)")
_REFERENCE = re.compile(rf"(?<=\])(?=:\s*+(?!<?{_KNOWN})(?:<\s*+)?[^\s:/\\&%]*[:/\\&%])")
_DOUBLE = re.compile(r"(&(?:amp;)+)(?=[#A-Za-z])")
_ENTITY = re.compile(r"&(#[0-9]{1,8}|#[xX][0-9A-Fa-f]{1,8}|[A-Za-z][A-Za-z0-9]{1,31});?")
_STRONG = set("\\$!:()[]{}`~%#/\t\n\r")  # written as an entity, they are what the rules above look for
_MACRO = re.compile(
    r"\\(?=(?:href|url|class|cssId|style|data|require|unicode|char|bbox|texttip|mathtip|mmlToken|action|toggle|"
    r"includegraphics|html\w*|[gex]?def|let|(?:re)?new(?:command|environment)|providecommand|DeclareMathOperator|"
    r"DeclarePairedDelimiters?\w*|csname|input|catcode|begingroup|endgroup|enclose|color|definecolor)(?![A-Za-z]))"
)
_DIAGRAM = re.compile(r"((?:`{3}|~{3})[ \t]{0,20})(?=mermaid)", re.IGNORECASE)


def mark(text: str) -> str:
    """The text with a visible name, such as ⟦U+202E⟧, in place of each character that is not seen."""
    return _INVISIBLE.sub(_named, text.replace("\r\n", "\n"))


def _named(sign: re.Match[str]) -> str:
    before, after = sign.string[sign.start() - 1 : sign.start()], sign.string[sign.end() : sign.end() + 1]
    if sign[0] in _JOINERS and min(before, after) > "\x7f":
        return sign[0]
    return f"⟦U+{ord(sign[0]):04X}⟧"


def disarm(text: str) -> str:
    """The Markdown with no tag, picture, diagram, macro or link that could run, load or hide something.

    Links to http, https and mailto stay, as do pictures that are in the text itself, ``a < b`` and all other text.
    """
    if len(text) > LENGTH:
        text = f"{text[:LENGTH]} …\n\n(Cut here: {len(text) - LENGTH} more characters. All of it is in submitted/.)"
    text = _ENTITY.sub(_spelled_out, _DOUBLE.sub(r"\1 ", mark(text)))
    for rule, instead in ((_PICTURE, "! "), (_LINK, " "), (_REFERENCE, " "), (_MACRO, "\\\\ "), (_TAG, "< ")):
        text = rule.sub(instead, text)
    return _DIAGRAM.sub(r"\1text ", text)


def _spelled_out(entity: re.Match[str]) -> str:
    """An entity as it stands, unless it is a sign that the rules would not see: then it is text."""
    meant = html.unescape(entity[0])
    if meant == entity[0] or not (_STRONG & set(meant) or _INVISIBLE.search(meant)):
        return entity[0]
    return f"& {entity[0][1:]}"
