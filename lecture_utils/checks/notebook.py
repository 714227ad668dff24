"""What a student calls in a notebook: ``check``, ``check_answer``, ``passed`` and ``scoreboard``."""

from __future__ import annotations

import difflib
import linecache
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import FrameType
from typing import Any

from IPython import get_ipython

from lecture_utils.checks.board import board
from lecture_utils.checks.calling import stub_of
from lecture_utils.checks.card import aside, card, show, warning
from lecture_utils.checks.explain import Verdict
from lecture_utils.checks.judge import judge
from lecture_utils.checks.quiz import explanation, find_question, is_nobody, judge_question, recorded
from lecture_utils.checks.recorded import Recorded, find_exercise, load, nearby
from lecture_utils.checks.traces import Kind

_verdicts: dict[str, Verdict] = {}  # the last verdict of each exercise in this kernel


class CheckFailed(Exception):
    """The answer is not right yet. Raised under nbgrader, which counts no points then, and shows nothing but this text."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


def check(function: Any, *more: Callable) -> float | None:
    """Say whether ``function`` is a right answer to the exercise of its name, and if not, what it looks like.

    ``more`` are further functions that the exercise asks for. Under nbgrader (Validate, a build) raises ``CheckFailed``
    when it is not, so that the cell counts as failed; in a notebook the card says it all.
    """
    try:
        name = _name_of(function, sys._getframe(1))
        exercise = find_exercise(name)
        if exercise.is_function:
            verdict = judge((function, *more) if more else function, exercise=name)
        else:  # an exam's checks.json
            verdict = recorded(function, exercise)
        verdict = pointing_to(_not_green(exercise.data.get("uses", ())), verdict)
        if verdict.passed and (why := explanation(exercise)):
            verdict = replace(verdict, message=f"{why}\n{verdict.message}")
    except (LookupError, OSError, TypeError, ValueError) as error:  # no such exercise, no readable checks.json
        return _refuse(_text(error))
    return _show_verdict(verdict, exercise)


def check_answer(name: str, value: Any, student: str) -> float | None:
    """Say whether ``value`` answers the question ``name``, and why; under nbgrader raises ``CheckFailed`` when it does not."""
    try:
        exercise = find_question(name)
        verdict = judge_question(exercise, value, student)
        if verdict.kind == Kind.RECORDED and is_nobody(student):
            text = "Write your own id into the first cell of this notebook: in an exam it draws your numbers."
            verdict = Verdict(name, False, Kind.FORM, 0.0, "whose answer is this?", text)
    except (LookupError, OSError, ValueError) as error:
        return _refuse(_text(error))
    return _show_verdict(verdict, exercise)


def _refuse(text: str) -> None:
    """Say why nothing can be checked."""
    show(warning(text))
    _fail(text)


def _show_verdict(verdict: Verdict, exercise: Recorded) -> float | None:
    """Show a verdict and keep it for the scoreboard; what ``check`` returns or raises then."""
    before = _verdicts.get(verdict.exercise)
    if not (exercise.question and before and before.passed):  # of a question the best try counts
        _verdicts[verdict.exercise] = verdict
    show(card(verdict, exercise.number, exercise.data.get("link", "")))
    if verdict.credit and os.environ.get("NBGRADER_EXECUTION") == "autograde":
        # An nbgrader without the course's grading room reads the score from what a check cell returns.
        return verdict.credit * exercise.points
    return None if verdict.passed else _fail(str(verdict))


def _fail(text: str) -> None:
    if os.environ.get("NBGRADER_EXECUTION"):
        raise CheckFailed(text) from None


def pointing_to(unfinished: list[str], verdict: Verdict) -> Verdict:
    """The verdict on an exercise that may call others, when some of those are ``unfinished``: the mistake may be there."""
    if not unfinished or verdict.passed or verdict.kind == Kind.NOT_WRITTEN:
        return verdict
    text = (
        f"If it calls your `{unfinished[0]}`: that one is not right yet, and the mistake may be there. Mend it first."
    )
    return replace(verdict, message=f"{verdict.message}\n{text}")


def passed(*names: str) -> bool:
    """Whether the checks of these exercises were green in this session; says what is waited for when not.

    Cells that use a student's own function start with ``if passed("momentum_step"):`` so that Run All reaches the end.
    """
    waiting = _not_green(names)
    if waiting:
        show(aside(f"… waiting for a green check of {' and '.join(f'`{name}`' for name in waiting)}."))
    return not waiting


def _not_green(names: Iterable[str]) -> list[str]:
    return [n for n in names if not (n in _verdicts and _verdicts[n].passed)]


def scoreboard(notebook: str) -> None:
    """Show the exercises of ``notebook`` (its file name's first part will do) and what their checks said so far."""
    every = ({n: e for n, e in load(file).items() if e.notebook.startswith(notebook)} for file in nearby())
    here = next(filter(None, every), None)
    if not here:
        raise LookupError(f"No checks.json knows a notebook that starts with {notebook!r}.")
    show(board(list(here.values()), _verdicts))


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


# --- errors that teach more in one sentence ----------------------------------------------------------------------


def explain_errors() -> None:
    """In a notebook, say in a sentence what a misspelt function or an answer that is not written yet means."""
    if shell := get_ipython():
        shell.set_custom_exc((NameError, NotImplementedError), _explain)


def _explain(shell, kind, error, trace, tb_offset=None) -> None:
    if isinstance(error, NotImplementedError) and not error.args:  # a stub outside a function
        what = stub_of(error)
        text = f"… `{what}` is not written yet: put your own lines where it says # YOUR CODE HERE."
        show(
            aside(text if what else "… When your answer stands above, take out the line `raise NotImplementedError()`.")
        )
        return
    try:
        find_exercise(getattr(error, "name", None) or "")
        defined = [n for n, v in shell.user_ns.items() if callable(v) and not n.startswith("_")]
        close = difflib.get_close_matches(error.name, defined, 1)
        hint = (
            f"You have defined `{close[0]}`: is that it? Rename it." if close else "Run the cell that defines it first."
        )
        show(warning(f"There is no function called `{error.name}` here. {hint}"))
        if not os.environ.get("NBGRADER_EXECUTION"):
            return
    except (LookupError, OSError, ValueError):
        pass  # any other error explains itself
    # The error itself is shown, too: nbgrader must see that the cell failed.
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
