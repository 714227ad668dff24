"""What a student calls in a notebook: ``check``, ``ask``, ``check_answer``, ``passed`` and ``scoreboard``."""

from __future__ import annotations

import difflib
import linecache
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from IPython import get_ipython

from lecture_utils.checks.board import board
from lecture_utils.checks.calling import stub_of
from lecture_utils.checks.card import Card, aside, card, show, warning
from lecture_utils.checks.explain import Verdict
from lecture_utils.checks.judge import judge
from lecture_utils.checks.quiz import explanation, find_question, is_nobody, judge_question, recorded, show_question
from lecture_utils.checks.recorded import Recorded, find_exercise, load, nearby
from lecture_utils.checks.traces import Kind

_NO_ANSWER = object()  # ``ask`` is to show the question, no more

_verdicts: dict[str, Verdict] = {}  # the last verdict of each exercise in this kernel, the best of each question
_asked: dict[str, tuple[Any, Any]] = {}  # of which answer, and of whom, ``ask`` has shown the verdict


def forget() -> None:
    """Be as in a new kernel."""
    for kept in (_verdicts, _asked, _broken):
        kept.clear()


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
    if unread := _broken.get(name, Broken("")).unread:
        show(aside(f"The cell of `{name}` has an error now: {unread}. This is about the version before."))
    show(_card(verdict, exercise))
    return _end(verdict, exercise)


def ask(name: str, student: str, answer: Any = _NO_ANSWER) -> Any:
    """Show the question ``name`` as it belongs to ``student``, and below it what there is to say about an ``answer``.

    Gives the answer back, whatever goes wrong, so that ``x = ask("x", student, "B")`` holds it.
    """
    try:
        show_question(name, student)
        # Where nbgrader grades, the verdict stands below the check.
        if answer is not _NO_ANSWER and os.environ.get("NBGRADER_EXECUTION") != "autograde":
            exercise, verdict = _judged(name, answer, student)
            _keep(verdict, exercise)
            if verdict.kind != Kind.NOT_WRITTEN:
                _asked[name] = (answer, student)
                show(_card(verdict, exercise))
    except (LookupError, OSError, ValueError) as error:
        show(warning(_text(error)))
    return None if answer is _NO_ANSWER else answer


def check_answer(name: str, value: Any, student: str) -> float | None:
    """Say whether ``value`` answers the question ``name``, and why; under nbgrader raises ``CheckFailed`` when it does not.

    Shows nothing where ``ask`` has shown this very verdict.
    """
    try:
        exercise, verdict = _judged(name, value, student)
    except (LookupError, OSError, ValueError) as error:
        return _refuse(_text(error))
    answer, of = _asked.get(name, (_NO_ANSWER, None))
    if not (answer is value and of == student):
        one_of_many = exercise.question["number"] and verdict.kind == Kind.NOT_WRITTEN
        line = aside(f"○ {exercise.question['number']} `{name}`: not written yet")
        show(line if one_of_many else _card(verdict, exercise))
    return _end(verdict, exercise)


def _judged(name: str, value: Any, student: Any) -> tuple[Recorded, Verdict]:
    """A question and the verdict on an answer. In an exam an answer needs somebody who gave it."""
    exercise = find_question(name)
    verdict = judge_question(exercise, value, student)
    if verdict.kind == Kind.RECORDED and is_nobody(student):
        text = "Write your own id into the first cell of this notebook: in an exam it draws your numbers."
        verdict = Verdict(name, False, Kind.FORM, 0.0, "whose answer is this?", text)
    return exercise, verdict


def _card(verdict: Verdict, exercise: Recorded) -> Card:
    number = exercise.number or str((exercise.question or {}).get("number") or "")
    return card(verdict, number, exercise.data.get("link", ""))


def _refuse(text: str) -> None:
    """Say why nothing can be checked."""
    show(warning(text))
    _fail(text)


def _keep(verdict: Verdict, exercise: Recorded) -> None:
    """Keep a verdict for the scoreboard. Of a question the best try counts."""
    before = _verdicts.get(verdict.exercise)
    if not (exercise.question and before and before.credit > verdict.credit):
        _verdicts[verdict.exercise] = verdict


def _end(verdict: Verdict, exercise: Recorded) -> float | None:
    """Keep a verdict; what a check returns or raises then."""
    _keep(verdict, exercise)
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


@dataclass(frozen=True)
class Broken:
    """What is wrong in the cell that defines a name: ``unread`` where Python could not read it, so that nothing ran."""

    stopped: str
    unread: str = ""


_broken: dict[str, Broken] = {}  # by name; until a cell that defines it runs to its end
_DEFINED = re.compile(r"^(?:(?:async )?def|class)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]+)?=(?!=)", re.MULTILINE)


def explain_errors() -> None:
    """In a notebook, say in a sentence what ended a cell, and where a name is missing what became of its cell."""
    if shell := get_ipython():
        shell.set_custom_exc((NameError, NotImplementedError, SyntaxError), _explain)
        shell.events.register("post_run_cell", _remember)


def _remember(result: Any) -> None:
    """After each cell: which names it would have defined, if an error ended it."""
    unread, stopped = result.error_before_exec, result.error_in_exec
    for name in {a or b for a, b in _DEFINED.findall(result.info.raw_cell or "")}:
        if unread is not None:
            _broken[name] = Broken("", _place(unread))
        elif stopped is not None:
            _broken[name] = Broken(_place(stopped))
        else:
            _broken.pop(name, None)


def _place(error: BaseException) -> str:
    """ "line 3: expected ':'", of the cell."""
    if isinstance(error, SyntaxError):
        unclosed = error.msg == "incomplete input"  # IPython's words
        return f"line {error.lineno}: {'a bracket or a quote is not closed' if unclosed else error.msg}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.name == "<module>"]
    if isinstance(error, NameError) and _is_letter(error.name):
        return f"line {lines[-1]}: {error.name} without quotes" if lines else f"{error.name} without quotes"
    what = textwrap.shorten(f"{type(error).__name__}: {error}", 150, placeholder=" …").rstrip(": ")
    return f"line {lines[-1]}: {what}" if lines else what


def _explain(shell: Any, kind: type, error: Any, trace: Any, tb_offset: int | None = None) -> None:
    if isinstance(error, NotImplementedError) and not error.args:  # a stub outside a function
        what = stub_of(error)
        text = f"… `{what}` is not written yet: put your own lines where it says # YOUR CODE HERE."
        show(
            aside(text if what else "… When your answer stands above, take out the line `raise NotImplementedError()`.")
        )
        return
    text = _of_syntax(error) if isinstance(error, SyntaxError) else _of_name(shell, error)
    if text:
        show(warning(text))
        if not os.environ.get("NBGRADER_EXECUTION"):
            return
        if not isinstance(error, SyntaxError):  # nbgrader must see that the cell failed: Validate shows the sentence
            kind, error = CheckFailed, CheckFailed(text.replace("`", ""))
    # Any other error explains itself.
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def _of_syntax(error: SyntaxError) -> str:
    """What Python cannot read in a cell; nothing where code that ran could not read something else."""
    if any(frame.name == "<module>" for frame in traceback.extract_tb(error.__traceback__)):
        return ""
    line = (error.text or "").strip()
    return f"Nothing in this cell ran, because Python cannot read {_place(error)}." + (f" `{line}`" if line else "")


def _is_letter(name: str | None) -> bool:
    """Whether it may be an answer without its quotes."""
    return bool(re.fullmatch("[A-Z]", name or ""))


def _of_name(shell: Any, error: Any) -> str:
    """What the missing name should have been; nothing where that is not known."""
    name = getattr(error, "name", None) or ""
    if _is_letter(name) and traceback.extract_tb(error.__traceback__)[-1].name == "<module>":
        return f'`{name}` without quotes is a name, and nothing has it. If it is your answer, put it in quotes: `"{name}"`.'
    if name in ("true", "false"):
        return f"Python writes `{name.capitalize()}` with a capital letter."
    if broken := _broken.get(name):
        return f"There is no `{name}`: its cell has an error, {broken.unread or broken.stopped}."
    if name == "student":
        return "There is no `student`. Run the cell that begins with `student =` first."
    try:
        what = "no function" if find_exercise(name).is_function else "nothing"
    except (LookupError, OSError, ValueError):
        return _in_a_question(shell, error) if "ask(" in shell.user_ns.get("In", [""])[-1] else ""
    defined = [n for n, v in shell.user_ns.items() if callable(v) and not n.startswith("_")]
    close = difflib.get_close_matches(name, defined, 1)
    hint = f"You have defined `{close[0]}`: is that it? Rename it." if close else "Run the cell that defines it first."
    return f"There is {what} called `{name}` here. {hint}"


def _in_a_question(shell: Any, error: Any) -> str:
    where = _place(error).partition(":")[0].capitalize()
    close = difflib.get_close_matches(error.name or "", [n for n in shell.user_ns if not n.startswith("_")], 1)
    hint = f"Did you mean `{close[0]}`?" if close else "Letters stand in quotes."
    return f"{where}: there is nothing called `{error.name}`. {hint}"
