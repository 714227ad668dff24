"""What a student calls in a notebook: ``check``, ``passed`` and ``scoreboard``."""

from __future__ import annotations

import difflib
import html
import linecache
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import FrameType
from typing import Any, NamedTuple

from IPython import get_ipython
from IPython.display import display

from lecture_utils.checks.calling import stub_of
from lecture_utils.checks.judge import Verdict, find_exercise, judge, load, nearby, pointing_to
from lecture_utils.checks.quiz import board, explanation, recorded

_verdicts: dict[str, Verdict] = {}  # the last verdict of each exercise in this kernel

_CARD = (
    "<div style='border-left:.35em solid {color};padding:.4em .8em;margin:.3em 0;font-family:var(--jp-content-font-family,"
    "sans-serif);line-height:1.45;max-width:52em'>{body}</div>"
)
_GREEN, _ORANGE = "#009E73", "#D55E00"


class CheckFailed(Exception):
    """The answer is not right yet. Raised so that nbgrader counts no points; the traceback would teach nothing."""

    def _render_traceback_(self) -> list[str]:
        # nbgrader's Validate shows nothing but this text; in a notebook the card above has said it all.
        return (
            str(self).splitlines()
            if os.environ.get("NBGRADER_EXECUTION")
            else ["Not right yet: see the message above."]
        )


class Card(NamedTuple):
    """The same as text and as HTML."""

    plain: str
    rich: str


def check(function: Any, *more: Callable) -> float | None:
    """Say whether ``function`` is a right answer to the exercise of its name, and if not, what it looks like.

    ``more`` are further functions that the exercise asks for. An answer may also be a list.
    Raises ``CheckFailed`` when it is not, so that the cell counts as failed.
    """
    try:
        name = _name_of(function, sys._getframe(1))
        spec = find_exercise(name)
        if "reference" in spec:
            verdict = judge((function, *more) if more else function, exercise=name)
        else:  # an exam's checks.json
            verdict = recorded(function, name, spec)
        verdict = pointing_to(_not_green(spec.get("uses", ())), verdict)
        if verdict.passed and (why := explanation(spec)):
            verdict = replace(verdict, message=f"{why}\n{verdict.message}")
    except (LookupError, OSError, TypeError, ValueError) as error:  # no such exercise, no readable checks.json
        _show(_warning(_text(error)))
        raise CheckFailed(_text(error)) from None
    return show_verdict(verdict)


def show_verdict(verdict: Verdict) -> float | None:
    """Show a verdict and keep it for the scoreboard. Raises ``CheckFailed`` when it is not a pass."""
    _verdicts[verdict.exercise] = verdict
    _show(card(verdict))
    if verdict.credit and os.environ.get("NBGRADER_EXECUTION") == "autograde":
        # An nbgrader without the course's grading room reads the score from what a check cell returns.
        return verdict.credit * find_exercise(verdict.exercise)["points"]
    if not verdict.passed:
        raise CheckFailed(str(verdict))
    return None


def passed(*names: str) -> bool:
    """Whether the checks of these exercises were green in this session; says what is waited for when not.

    Cells that use a student's own function start with ``if passed("momentum_step"):`` so that Run All reaches the end.
    """
    waiting = _not_green(names)
    if waiting:
        _show(_aside(f"… waiting for a green check of {' and '.join(waiting)}."))
    return not waiting


def _not_green(names: Iterable[str]) -> list[str]:
    return [n for n in names if not (n in _verdicts and _verdicts[n].passed)]


def scoreboard(notebook: str) -> None:
    """Show the exercises of ``notebook`` (its file name's first part will do) and what their checks said so far."""
    rows = []
    for file in nearby():
        exercises = load(file)
        here = {n: e for n, e in exercises.items() if e["notebook"].startswith(notebook)}
        rows = [(n, e["points"], _verdicts.get(n)) for n, e in here.items()]
        if rows:
            break
    if not rows:
        raise LookupError(f"No checks.json knows a notebook that starts with {notebook!r}.")
    points, reached = sum(p for _, p, _ in rows), sum(p for _, p, v in rows if v and v.passed)
    if all("question" in e for e in here.values()):
        plain, table = board([(e, _verdicts.get(n)) for n, e in here.items()])
        exam = any(v and v.kind == "recorded" for v in _verdicts.values())
        total = f"{reached} of {points} {'answers recorded' if exam else 'points'}"
        return _show(Card(f"{plain}\n{total}", f"{table}<p><strong>{total}</strong></p>"))
    words = [(n, p, "✔ passed" if v and v.passed else "✘ not yet" if v else "– check not run") for n, p, v in rows]
    total = f"{reached} of {points} points on the visible cases"
    gone = next((n for n, _, v in rows if not v), None)
    advice = (
        f"Is a check cell gone or changed? Put check({gone}) into a new cell; grading restores the old one."
        if gone
        else ""
    )
    plain = "\n".join(filter(None, [*(f"{w:16} {p:>2}  {n}" for n, p, w in words), total, advice]))
    cells = "".join(
        f"<tr><td style='text-align:left'>{w}</td><td>{p}</td><td style='text-align:left'><code>{html.escape(n)}</code></td></tr>"
        for n, p, w in words
    )
    head = "<tr><th style='text-align:left'>check</th><th>points</th><th style='text-align:left'>exercise</th></tr>"
    _show(Card(plain, f"<table>{head}{cells}</table><p><strong>{total}</strong><br>{html.escape(advice)}</p>"))


def _text(error: Exception) -> str:
    return str(error.args[0]) if error.args and not isinstance(error, OSError) else str(error)


def _name_of(function: Any, caller: FrameType) -> str:
    """The exercise that ``function`` answers: what is typed in check( ) counts before its ``__name__``.

    Callable objects, decorated functions, and a function with two names have no name, or another one, of their own.
    """
    own = getattr(function, "__name__", type(function).__name__)
    typed = re.search(r"check\(\s*(\w+)", linecache.getline(caller.f_code.co_filename, caller.f_lineno))
    for name in filter(None, [typed and typed[1], own]):
        try:
            find_exercise(name)
            return name
        except LookupError:
            continue
    return own


def card(verdict: Verdict) -> Card:
    color, mark = (_GREEN, "✔") if verdict.passed else (_ORANGE, "✘")
    rows = [f"<strong>{mark} {html.escape(verdict.exercise)}</strong> &nbsp; {html.escape(verdict.headline)}"]
    rows += [html.escape(verdict.message).replace("\n", "<br>")] if verdict.message else []
    rows += [f"<small>{html.escape(verdict.evidence)}</small>"] if verdict.evidence else []
    return Card(str(verdict), _CARD.format(color=color, body="<br>".join(rows)))


def _warning(text: str) -> Card:
    return Card(f"✘ {text}", _CARD.format(color=_ORANGE, body=f"✘ {html.escape(text)}"))


def _aside(text: str) -> Card:
    return Card(text, f"<em>{html.escape(text)}</em>")


def _show(card: Card) -> None:
    if get_ipython():
        display({"text/plain": card.plain, "text/html": card.rich}, raw=True)
    else:
        print(card.plain)


# --- errors that teach more in one sentence ----------------------------------------------------------------------


def explain_errors() -> None:
    """In a notebook, say in a sentence what a misspelt function or an answer that is not written yet means."""
    if shell := get_ipython():
        shell.set_custom_exc((NameError, NotImplementedError), _explain)


def _explain(shell, kind, error, trace, tb_offset=None) -> None:
    if isinstance(error, NotImplementedError) and not error.args:  # a stub outside a function
        what = stub_of(error)
        return _show(
            _aside(f"… {what or 'this'} is not written yet: put your own lines where it says # YOUR CODE HERE.")
        )
    try:
        find_exercise(getattr(error, "name", None) or "")
        defined = [n for n, v in shell.user_ns.items() if callable(v) and not n.startswith("_")]
        close = difflib.get_close_matches(error.name, defined, 1)
        hint = (
            f"You have defined {close[0]}: is that it? Rename it." if close else "Run the cell that defines it first."
        )
        _show(_warning(f"There is no function called {error.name} here. {hint}"))
    except (LookupError, OSError, ValueError):
        pass  # any other error explains itself
    # The error itself is still shown: nbgrader must see that the cell failed.
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
