"""``judge`` compares a function with recorded numbers and says what it looks like."""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from lecture_utils.checks.observers import TIME_LIMIT, observe
from lecture_utils.checks.traces import Problem, Trace, close, decode, first_difference, same

FORMAT = 1  # of checks.json
ADVICE = {  # where no misconception fits, by observer; the others' cases can be calculated by hand
    "answer": "Go through this part once more, line by line.",
    "batches": "Below is what does not hold: which of your lines should see to it?",
    "resume": "Below is what does not hold: which of your lines should see to it?",
    "optimizer_class": "Compare your lines with the formula, one by one.",
    "optimizer_by_name": "Compare your arguments with the table, one by one.",
}


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
    parts = spec["observer"] == "answer"  # questions of their own: each right one counts
    share = sum(agrees) / len(agrees) if parts else 0.0
    if all(agrees):
        headline = f"agrees in all {len(agrees)} cases"
        text = "Other cases, with other numbers, are drawn at grading." if public is None and not parts else ""
        return Verdict(name, True, "passed", 1.0, headline, text)
    case = agrees.index(False)
    headline, evidence, problem = _where(
        traces[case], expected[case], spec["cases"][case], rtol, sum(agrees), len(agrees)
    )
    if public is not None and case >= public:
        headline, evidence = "agrees in the visible cases, not in the hidden ones", ""
        problem = problem and (problem[0], "In a hidden case it fails in a way that it does not in the visible ones.")
    settings = spec["observer"] == "optimizer_by_name"  # of their own, too, but some slips are in several of them
    wrong = None if parts else _looks_like(spec, traces)
    if wrong:
        message, credit = wrong["message"], wrong["credit"]
    elif (parts or settings) and (wrong := _looks_like(spec, traces, case)):  # name the first that is wrong
        message = wrong["message"] if parts else f"{wrong['message']}\nOther settings differ, too."
        credit = share if parts else min(wrong["credit"], sum(agrees) / len(agrees))
    if wrong:
        text = f"This looks like: {message}"
        return Verdict(name, False, "misconception", credit, headline, text, wrong["name"], evidence)
    if problem:
        return Verdict(name, False, problem[0], share, headline, problem[1], None, evidence)
    advice = ADVICE.get(spec["observer"], "Redo the case below by hand, and compare it with your code line by line.")
    text = f"This is none of the usual slips. {advice if evidence else 'Which kinds of input differ there?'}"
    return Verdict(name, False, "different", share, headline, text, None, evidence)


def _looks_like(spec: dict[str, Any], traces: list[Trace], case: int | None = None) -> dict[str, Any] | None:
    """The first misconception that gives just these traces; with ``case``, the first that is wrong there alone."""
    for wrong in spec["misconceptions"]:
        recorded, where = wrong["traces"], range(len(traces))
        if case is not None:
            name, where = spec["cases"][case].get("name"), [case]  # a setting has other cases of its name at grading
            rest = zip(recorded, spec["reference"], spec["cases"], strict=True)
            if not all(a == b for a, b, c in rest if c.get("name") != name):
                continue
        if all(same(traces[k], decode(recorded[k]), spec["rtol"]) for k in where):
            return wrong
    return None


def pointing_to(unfinished: Sequence[str], verdict: Verdict) -> Verdict:
    """The verdict on an exercise that may call others, when some of those are ``unfinished``: the mistake may be there."""
    if not unfinished or verdict.passed or verdict.kind in ("misconception", "not_written"):
        return verdict
    text = f"If it calls your {unfinished[0]}: that one is not right yet, and the mistake may be there. Mend it first."
    return replace(verdict, message=f"{verdict.message}\n{text}")


def failing(problem: Problem) -> str:
    """The headline where an answer fails."""
    place = problem.place if problem.place != "result" else ""
    return "not written yet" if problem.kind == "not_written" else f"{place or 'the call'} fails"


def _where(got: Trace, expected: Trace, case: dict, rtol: float, agreeing: int, n: int) -> tuple[str, str, Any]:
    """How far a trace agrees, the first number that differs, and the (kind, sentence) of a problem, if that is why."""
    described = f"Case: {case['text']}."
    i = first_difference(got, expected, rtol)
    here = (
        got.problem and i is not None and i < len(got.entries) and got.entries[i][0].startswith(got.problem.place + ":")
    )
    if i is None or i >= len(got.entries) or here:  # it ended while all was right, or in the very step that differs
        if problem := got.problem:
            shown = "" if problem.kind in ("not_written", "arity") else described
            return failing(problem), shown, (problem.kind, str(problem))
        return "something is missing", f"{described}  After {i or 0} results nothing more came.", None
    label, value = got.entries[i]
    place, _, what = label.partition(": ")
    if i >= len(expected.entries) or expected.entries[i][0] != label:
        wanted = f"{expected.problem}"
        if i < len(expected.entries):
            wanted = _named(*expected.entries[i])
            described += _given(case, got, expected.entries[i][0], [])
        return f"{agreeing} of {n} cases agree", f"{described}  Expected {wanted}, got {_named(label, value)}.", None
    right = expected.entries[i][1]
    what = what.split(" (")[0]
    if place.startswith("step "):
        number = int(place.split()[1])
        headline = "step 1 differs" if number == 1 else f"step {number - 1} agrees, step {number} does not"
        headline += _right_and_wrong(got, expected, place, rtol)
    else:
        headline = f"{agreeing} of {n} {'parts are right' if place == 'the answer' else 'cases agree'}"
    if value.shape != right.shape:
        what = "The result" if what == "value" else f"The new {what}" if place.startswith("step ") else what
        text = f"{what} has the wrong shape: expected {tuple(right.shape)}, got {tuple(value.shape)}."
        return headline, described, ("shape", text)
    if value.dtype == torch.bool:
        yes, no = ("yes", "no") if right else ("no", "yes")
        return headline, f"{described}  {place[0].upper() + place[1:]}: {what}? Expected {yes}, got {no}", None
    value = value.double()
    if place == "the answer":  # a prediction: the right number would end it
        if not value.ndim:
            return headline, described, None
        first = int((~torch.isclose(value, right, rtol=0, atol=rtol * 1e-3)).nonzero()[0])
        return headline, f"{described}  Not so: {value[first]:g}, number {first + 1} of your list.", None
    worst = (value - right).abs().nan_to_num(nan=torch.inf).flatten().argmax() if value.numel() else 0
    index = [int(k) for k in torch.unravel_index(torch.as_tensor(worst), right.shape)] if right.ndim else []
    described += _given(case, got, label, index)
    name = f" {'result' if what == 'value' else what}{index}" if index else "" if what == "value" else f" {what}"
    a, b = right.flatten()[worst].item(), value.flatten()[worst].item()
    evidence = f"{described}  Expected{name} = {_show(a, b)}, got {_show(b, a)}"
    if torch.isfinite(right).all() and not torch.isfinite(value).all():
        text = "It contains nan or inf. Is something divided by zero, or is there the root of a negative number?"
        return headline, evidence, ("nonfinite", text)
    return headline, evidence, None


def _right_and_wrong(got: Trace, expected: Trace, place: str, rtol: float) -> str:
    """Which of the things that come back in a step are right: where only w is wrong, the averages need no look."""
    agrees: dict[str, bool] = {}
    for (label, a), (other, b) in zip(got.entries, expected.entries, strict=False):
        if label.startswith(f"{place}: "):
            what = label.partition(": ")[2].split(" (")[0]
            agrees[what] = agrees.get(what, True) and label == other and close(a, b, rtol)
    right, wrong = ([what for what in agrees if agrees[what] is each] for each in (True, False))
    return f" ({_are(right)} right, {_are(wrong)} not)" if right else ""


def _are(names: list[str]) -> str:
    return f"{', '.join([*names[:-2], ' and '.join(names[-2:])])} {'are' if len(names) > 1 else 'is'}"


def _given(case: dict, got: Trace, label: str, index: list[int]) -> str:
    """What goes in where a number differs, so that it can be calculated by hand."""
    place, _, what = label.partition(": ")
    shown = place[0].upper() + place[1:]
    if "hyper" in case:  # a stepping rule: what it gets at this index, because each weight is on its own
        step, shape = int(place.split()[1]) - 1, what.partition(" ")[2]
        k = next(k for k, start in enumerate(case["start"]) if str(tuple(torch.tensor(start["w"]).shape)) == shape)
        before, given = dict(got.entries), dict(case["start"][k])
        if step:
            given = {name: before.get(f"step {step}: {name} {shape}") for name in given}
        for name, back in (("grad", 0), ("last_grad", 1)):
            if "grads" in case and (name == "grad" or (name in given and step)):
                given[name] = case["grads"][step - back][k]
        given |= {name: value[step] for name, value in case["hyper"].items() if isinstance(value, list)}
        texts = [f"{name} = {number}" for name, value in given.items() if (number := _at(value, index))]
        if "curvature" in case:
            h, c = (_at(case[name][k], index) for name in ("curvature", "center"))
            texts.append(f"grad_fn(w) = {h} (w − {c})")
        return f"  {shown} of w {shape} gets{f' at {index}' if index else ''}: {', '.join(texts)}."
    if "args" in case and place == "result":
        lists = {name: v for name, v in case["args"].items() if isinstance(v, list) and f"{name}=" not in case["text"]}
        return "".join(f"  {name} = {v}." for name, v in lists.items())
    return f"  {shown}."


def _named(label: str, value: torch.Tensor) -> str:
    """What an entry is, where one kind of answer stands in place of another: a number, None, an error."""
    place, _, what = label.partition(": ")
    if what == "value" and value.numel() == 1:
        return f"{value.item():.4g}"
    return f"a {place}" if what == "raised" else what


def _at(value: Any, index: list[int]) -> str:
    """One number of a tensor or of nested lists; nothing when it has another shape than the index."""
    if value is None:
        return "None"
    value = torch.as_tensor(value)
    return f"{value[tuple(index[: value.ndim])].item():.6g}" if value.ndim in (0, len(index)) else ""


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
        data = _parsed(Path(file), Path(file).stat().st_mtime_ns)
        if data["format"] != FORMAT:
            raise ValueError(f"{file} has format {data['format']}, this lecture_utils reads {FORMAT}. {advice}")
        return dict(data["exercises"])
    except FileNotFoundError:
        raise FileNotFoundError(f"{file} is missing. {advice}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is damaged ({type(error).__name__}: {error}). {advice}") from None


@lru_cache(maxsize=4)  # reading 1.4 MB takes longer than most checks; a changed file has another time
def _parsed(file: Path, changed: int) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def nearby() -> list[Path]:
    """Every checks.json of the working folder and of the folders above it, nearest first."""
    found = []
    for folder in (Path.cwd(), *Path.cwd().parents):
        found += [folder / "checks.json", *sorted(folder.glob("notebooks/*/checks.json"))]
        if (folder / "nbgrader_config.py").exists() or (folder / "lecture_utils").is_dir():
            break  # the course's root
    return [f for f in found if f.is_file()]
