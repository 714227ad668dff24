"""The scoreboard of a notebook: its exercises, or its questions by topic, and what their checks have said so far."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from lecture_utils.checks.card import Card
from lecture_utils.checks.explain import Verdict
from lecture_utils.checks.recorded import Recorded
from lecture_utils.checks.traces import Kind


def board(exercises: Sequence[Recorded], verdicts: Mapping[str, Verdict]) -> Card:
    """``exercises`` are those of one notebook, ``verdicts`` the last ones by name."""
    green = {e.name for e in exercises if e.name in verdicts and verdicts[e.name].passed}
    reached = f"{sum(e.points for e in exercises if e.name in green)} of {sum(e.points for e in exercises)}"
    if all(e.question for e in exercises):
        exam = any(v.kind == Kind.RECORDED for v in verdicts.values())
        return _questions(exercises, green, f"{reached} {'answers recorded' if exam else 'points'}")
    card = _functions(exercises, verdicts, f"{reached} points on the visible cases")
    advice = "" if verdicts else "Run the check cells first, then this one."
    return Card(f"{card.plain}\n{advice}".strip(), card.rich + advice)


def _functions(exercises: Sequence[Recorded], verdicts: Mapping[str, Verdict], total: str) -> Card:
    plain, rows = [], []
    for e in sorted(exercises, key=lambda e: [int(k) for k in e.number.split(".") if k]):
        state = _state(verdicts.get(e.name))
        plain.append(f"{e.number:5} {e.name:28} {e.points:>2}  {state}")
        link = f"<a href='{html.escape(e.data.get('link', ''))}'>{e.number}</a>"
        rows.append([link, f"<code>{html.escape(e.name)}</code>", e.points, state])
    return _card(plain, ["exercise", "", "points", "check"], rows, total)


def _questions(exercises: Sequence[Recorded], green: set[str], total: str) -> Card:
    """One row per topic, with the numbers still open."""
    topics: dict[str, list[Recorded]] = {}
    for e in exercises:
        topics.setdefault(e.question["section"].split(".")[0], []).append(e)
    plain, rows = [], []
    for topic, asked in topics.items():
        left = ", ".join(str(e.question["number"]) for e in asked if e.name not in green) or "–"
        marks = "".join("●" if e.name in green else "○" for e in asked)
        done = f"{marks.count('●')} of {len(asked)}"
        plain.append(f"notebook {topic}  {marks:17} {done}   still open: {left}")
        rows.append([topic, marks, done, left])
    return _card(plain, ["notebook", "", "done", "questions still open"], rows, total)


def _card(plain: list[str], headings: list[str], rows: list[list], total: str) -> Card:
    lines = [("th", headings), *(("td", row) for row in rows)]
    cells = ["".join(f"<{tag} style='text-align:left'>{cell}</{tag}>" for cell in row) for tag, row in lines]
    table = "".join(f"<tr>{line}</tr>" for line in cells)
    return Card("\n".join([*plain, total]), f"<table>{table}</table><p><strong>{total}</strong></p>")


def _state(verdict: Verdict | None) -> str:
    if verdict is None:
        return "– not run yet"
    if verdict.passed:
        return "✔ passed"
    return "○ not written yet" if verdict.kind == Kind.NOT_WRITTEN else "✘ not yet"
