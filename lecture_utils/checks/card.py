"""Verdicts as they are shown: a card in a notebook, the same as plain text everywhere else."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import NamedTuple

from IPython import get_ipython
from IPython.display import display

from lecture_utils.checks.explain import Row, Table, Verdict
from lecture_utils.checks.traces import Kind

_CARD = (
    "<div style='border-left:.35em solid {color};padding:.4em .8em;margin:.3em 0;font-family:var(--jp-content-font-family,"
    "sans-serif);line-height:1.45;max-width:52em'>{body}</div>"
)
_GREEN, _ORANGE, _GREY = "#009E73", "#D55E00", "#888888"
_CELL = "style='text-align:left;padding:.1em .9em .1em 0;font-family:var(--jp-code-font-family,monospace)'"


class Card(NamedTuple):
    """The same as text and as HTML."""

    plain: str
    rich: str


def card(verdict: Verdict, number: str = "", link: str = "") -> Card:
    """The card of a verdict. ``number`` and ``link`` are those of the exercise in its notebook."""
    color = _GREEN if verdict.passed else _GREY if verdict.kind == Kind.NOT_WRITTEN else _ORANGE
    name = f"<strong>{verdict.sign} {f'{number} ' if number else ''}{html.escape(verdict.exercise)}</strong>"
    name = f"<a href='{html.escape(link)}' style='color:inherit'>{name}</a>" if link else name
    parts = [f"{name} &nbsp; {in_html(verdict.headline)}"]
    parts += [in_html(line) for line in verdict.message.splitlines()]
    parts += [f"<small>{in_html(verdict.evidence)}</small>"] if verdict.evidence else []
    body = "<br>".join(parts) + (_table(verdict.table) if verdict.table else "")
    return Card(str(verdict), _CARD.format(color=color, body=body))


def warning(text: str) -> Card:
    return Card(f"✘ {text}".replace("`", ""), _CARD.format(color=_ORANGE, body=f"✘ {in_html(text)}"))


def aside(text: str) -> Card:
    return Card(text.replace("`", ""), f"<em>{in_html(text)}</em>")


def show(card: Card) -> None:
    if get_ipython():
        display({"text/plain": card.plain, "text/html": card.rich}, raw=True)
    else:
        print(card.plain)


def show_verdict(verdict: Verdict, name: str = "") -> None:
    """Show the card of a verdict, under another ``name`` if one is given, and count nothing: to demonstrate what a check says."""
    show(card(replace(verdict, exercise=name or verdict.exercise)))


def in_html(text: str) -> str:
    """Plain text with `code` as HTML."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _table(table: Table) -> str:
    head = "".join(f"<th scope='col' {_CELL}>{h}</th>" for h in Table.HEAD)
    rows = "".join(_row(row) for row in table.rows)
    below = "".join(f"<br><code>{html.escape(line)}</code>" for line in table.below)
    return f"<br><small>{html.escape(table.title)}</small><table style='margin:.2em 0;color:inherit'><tr>{head}</tr>{rows}</table>{below}"


def _row(row: Row) -> str:
    yours = html.escape(row.yours)
    if row.mark:
        start, end = row.mark
        wrong = f"<strong style='border-bottom:2px solid {_ORANGE}'>{html.escape(row.yours[start:end])}</strong>"
        yours = html.escape(row.yours[:start]) + wrong + html.escape(row.yours[end:])
    cells = [html.escape(row.given), html.escape(row.expected), yours]
    shown = "".join(f"<td {_CELL}>{cell}</td>" for cell in cells)
    return f"<tr><th scope='row' {_CELL}>{html.escape(row.name)}</th>{shown}</tr>"
