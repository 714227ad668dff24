"""``judge`` compares a function with recorded numbers and says what it looks like."""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lecture_utils.checks.observers import TIME_LIMIT, observe
from lecture_utils.checks.traces import Trace, decode, first_difference, same

FORMAT = 1  # of checks.json


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    ``kind`` is "passed", "misconception" (then ``misconception`` is its name), "different", or the kind of a
    ``traces.Problem``. ``credit`` is the share of the points, 0 to 1. ``message`` is the sentence for the student,
    ``headline`` says how far the answer got, ``evidence`` shows one number that differs.
    """

    exercise: str
    passed: bool
    kind: str
    credit: float
    headline: str
    message: str
    misconception: str | None = None
    evidence: str = ""

    def __str__(self) -> str:
        lines = [line for part in (self.message, self.evidence) for line in part.splitlines()]
        wrapped = [textwrap.fill(line, 100, initial_indent="  ", subsequent_indent="  ") for line in lines]
        return "\n".join([f"{'✔' if self.passed else '✘'} {self.exercise}   {self.headline}", *wrapped])


def judge(
    function: Callable, exercise: str | None = None, checks_file: str | Path | None = None, limit: float = TIME_LIMIT
) -> Verdict:
    """Judge ``function`` as an answer to ``exercise`` (its own name when left out).

    An exercise may want a tuple of functions, or a list of numbers, instead.
    ``checks_file`` is a checks.json; when left out it is looked for beside the working folder and above it.
    Whatever the function does ends up in the verdict. Raises ``LookupError`` for an exercise that no checks.json
    knows, ``FileNotFoundError`` without a checks.json, ``ValueError`` when it cannot be read, and ``TypeError`` when
    ``function`` cannot be called.
    """
    name = exercise or getattr(function, "__name__", type(function).__name__)
    spec = find_exercise(name, checks_file)
    functions = function if isinstance(function, tuple) else (function,)
    if spec["observer"] != "answer" and not all(map(callable, functions)):
        raise TypeError(f"check needs the function {name} itself, without ( ); it got a {type(function).__name__}.")
    return compare(name, spec, observe(function, spec["observer"], spec["cases"], spec["settings"], limit))


def compare(name: str, spec: dict[str, Any], traces: list[Trace], public: int | None = None) -> Verdict:
    """The verdict on what was observed of an answer to the exercise ``name``; ``spec`` is its entry in checks.json.

    Only the first ``public`` cases may be talked about (all when left out): of later ones neither numbers nor what
    the student's code said about them appear in the verdict.
    """
    rtol, expected = spec["rtol"], [decode(t) for t in spec["reference"]]
    agrees = [same(t, e, rtol) for t, e in zip(traces, expected, strict=True)]
    if all(agrees):
        headline = f"agrees in all {len(agrees)} cases"
        more = public is None and spec["observer"] != "answer"  # a list of answers has no other cases
        text = "Other cases, with other numbers, are drawn at grading." if more else ""
        return Verdict(name, True, "passed", 1.0, headline, text)
    case = agrees.index(False)
    headline, evidence, problem = _where(
        traces[case], expected[case], spec["cases"][case], rtol, sum(agrees), len(agrees)
    )
    if public is not None and case >= public:
        headline, evidence = "agrees in the visible cases, not in the hidden ones", ""
        problem = problem and (problem[0], "In a hidden case it fails in a way that it does not in the visible ones.")
    for wrong in spec["misconceptions"]:
        pairs = list(zip(traces, wrong["traces"], strict=True))
        if spec["observer"] == "answer":  # its parts are questions of their own: name the first wrong one
            pairs = pairs[case : case + 1]
        if all(same(t, decode(w), rtol) for t, w in pairs):
            message = f"This looks like: {wrong['message']}"
            return Verdict(name, False, "misconception", wrong["credit"], headline, message, wrong["name"], evidence)
    if problem:
        return Verdict(name, False, problem[0], 0.0, headline, problem[1], None, evidence)
    text = "This is none of the usual slips. "
    text += (
        "Redo the case below by hand, and compare line by line." if evidence else "Which kinds of input differ there?"
    )
    return Verdict(name, False, "different", 0.0, headline, text, None, evidence)


def _where(got: Trace, expected: Trace, case: dict, rtol: float, agreeing: int, n: int) -> tuple[str, str, Any]:
    """How far a trace agrees, the first number that differs, and the (kind, sentence) of a problem, if that is why."""
    described = f"Case: {case['text']}."
    i = first_difference(got, expected, rtol)
    here = (
        got.problem and i is not None and i < len(got.entries) and got.entries[i][0].startswith(got.problem.place + ":")
    )
    if i is None or i >= len(got.entries) or here:  # it ended while all was right, or in the very step that differs
        if problem := got.problem:
            headline = "not written yet" if problem.kind == "not_written" else f"{problem.place or 'the call'} fails"
            return (
                headline,
                "" if problem.kind in ("not_written", "arity") else described,
                (problem.kind, str(problem)),
            )
        return "something is missing", f"{described}  After {i or 0} results nothing more came.", None
    label, value = got.entries[i]
    place, _, what = label.partition(": ")
    if i >= len(expected.entries) or expected.entries[i][0] != label:
        wanted = expected.entries[i][0] if i < len(expected.entries) else f"{expected.problem}"
        return f"{agreeing} of {n} cases agree", f"{described}  Expected {wanted}, got {label}.", None
    right = expected.entries[i][1]
    what = what.split(" (")[0]
    if place.startswith("step "):
        number = int(place.split()[1])
        before = [e for e in got.entries[:i] if e[0].startswith(f"{place}:")]
        headline = "step 1 differs" if number == 1 else f"step {number - 1} agrees, step {number} does not"
        if before and (others := {e[0].partition(": ")[2].split(" (")[0] for e in before} - {what}):
            headline += f" ({', '.join(sorted(others))} is right, {what} is not)"
    else:
        headline = f"{agreeing} of {n} cases agree"
    if value.shape != right.shape:
        text = f"{'the result' if what == 'value' else what} has the wrong shape: expected {tuple(right.shape)}, got {tuple(value.shape)}."
        return headline, described, ("shape", text[0].upper() + text[1:])
    if not place.startswith(("step ", "result", "the answer")):
        described += f"  {place[0].upper() + place[1:]}:"
    if value.dtype == torch.bool:
        yes, no = ("yes", "no") if right else ("no", "yes")
        return headline, f"{described} {what}? Expected {yes}, got {no}", None
    value = value.double()
    if place == "the answer":  # a prediction: the right number would end it
        first = 1 + int(((value - right).abs() > rtol).flatten().nonzero()[0])
        return headline, f"{described}  The first number that is not so is number {first}.", None
    worst = (value - right).abs().nan_to_num(nan=torch.inf).flatten().argmax() if value.numel() else 0
    index = [int(k) for k in torch.unravel_index(torch.as_tensor(worst), right.shape)] if right.ndim else []
    name = "" if what == "value" else f" {what}{index or ''}"
    a, b = right.flatten()[worst].item(), value.flatten()[worst].item()
    evidence = f"{described}{' expected' if described.endswith(':') else '  Expected'}{name} = {_show(a, b)}, got {_show(b, a)}"
    if torch.isfinite(right).all() and not torch.isfinite(value).all():
        return (headline, evidence, ("nonfinite", "It contains nan or inf. Is something divided by zero?"))
    return headline, evidence, None


def _show(value: float, other: float) -> str:
    """Four digits, or as many as it takes to tell the two numbers apart."""
    for digits in range(4, 13):
        if f"{value:.{digits}g}" != f"{other:.{digits}g}":
            break
    return f"{value:.{digits}g}"


# --- checks.json -------------------------------------------------------------------------------------------------


def find_exercise(name: str, checks_file: str | Path | None = None) -> dict[str, Any]:
    """The recorded exercise ``name``, from ``checks_file`` or from the nearest checks.json that knows it."""
    files = [Path(checks_file)] if checks_file else nearby()
    if not files:
        raise FileNotFoundError(
            f"checks.json was not found in {Path.cwd()} or above. It belongs beside the notebook: "
            "take it from the course's zip file again."
        )
    known: list[str] = []
    for file in files:
        exercises = load(file)
        if name in exercises:
            return exercises[name]
        known += exercises
    close = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean {close[0]}?" if close else f"Known are {', '.join(sorted(set(known)))}."
    raise LookupError(f"There is no exercise called {name!r}. {hint}")


def load(file: str | Path) -> dict[str, dict[str, Any]]:
    """All exercises of a checks.json by name. Raises ``FileNotFoundError`` or ``ValueError`` with what to do."""
    advice = "Take checks.json from the course's zip file again."
    try:
        data = json.loads(Path(file).read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"{file} has format {data['format']}, this lecture_utils reads {FORMAT}. {advice}")
        return dict(data["exercises"])
    except FileNotFoundError:
        raise FileNotFoundError(f"{file} is missing. {advice}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is damaged ({type(error).__name__}: {error}). {advice}") from None


def nearby() -> list[Path]:
    """Every checks.json of the working folder and of the folders above it, nearest first."""
    found = []
    for folder in (Path.cwd(), *Path.cwd().parents):
        found += [folder / "checks.json", *sorted(folder.glob("notebooks/*/checks.json"))]
        if (folder / "nbgrader_config.py").exists():
            break  # the course's root
    return [f for f in found if f.is_file()]
