"""Scoring: what was observed in a kernel is compared here, in a process that no student code ever enters.

Hidden cases are drawn from a secret that only this machine has; expected values stay in this process.
"""

from __future__ import annotations

import html
import json
import os
import re
import secrets
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Any

import nbformat
import torch
from nbconvert.preprocessors.sanitize import SanitizeHTML
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_locked
from traitlets import Bool

from lecture_utils.checks.calling import NOT_WRITTEN, TimedOut, time_limit
from lecture_utils.checks.card import card
from lecture_utils.checks.explain import Verdict, explain
from lecture_utils.checks.judge import compare, difference, name_mistakes
from lecture_utils.checks.notebook import pointing_to
from lecture_utils.checks.observers import TIME_LIMIT, interpret, to_json
from lecture_utils.checks.observers.resume import entries
from lecture_utils.checks.quiz import judge_question
from lecture_utils.checks.recorded import Recorded, load
from lecture_utils.checks.sketch import Named
from lecture_utils.checks.traces import PROBLEMS, Entry, Kind, Problem, Trace, decode, same, traced
from lecture_utils.environment import NOTEBOOKS, ROOT, SOURCE, CourseError
from lecture_utils.instructor.authoring.exercise import Exercise
from lecture_utils.instructor.authoring.files import fingerprint
from lecture_utils.instructor.authoring.record import load_rubrics, reference_of, see
from lecture_utils.instructor.grading.reading import Reading

SECRET = ROOT / "grading_secret"
COMPARING = 60  # seconds for one record: an honest one takes less than one
TEXT = 400  # characters of what student code says that a verdict may quote
_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")
METADATA = "lecture_utils"  # the key under which verdicts stand in autograded notebooks, for the report


class Score(NbGraderPreprocessor):
    """Writes verdict and score into each check cell, in the form in which nbgrader reads scores."""

    exam = Bool(False, help="Count answers to drawn questions only if their numbers are the student's own.").tag(
        config=True
    )

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        records = resources["observed"]
        examined = resources["nbgrader"]["student"] if self.exam else None
        reading, green = Reading(nb), set()
        for cell in nb.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name not in records:
                continue
            verdict = _verdict(name, records[name], examined)
            green |= {name} if verdict.passed else set()
            if name in exercises():
                verdict = pointing_to([u for u in exercises()[name].uses if u not in green], verdict)
            if verdict.kind == Kind.OTHER_STUDENT:
                verdict = replace(verdict, kind=Kind.REVIEW)
            elif verdict.credit and (why := reading.doubt(exercises()[name])):
                verdict = Verdict(name, False, Kind.REVIEW, 0.0, "for your instructor to look at", why)
            points = round(verdict.credit * cell.metadata.nbgrader.points, 4)
            shown = card(verdict, *_place(name))
            cell.outputs = [
                new_output("display_data", {"text/plain": shown.plain, "text/html": shown.rich}),
                new_output("execute_result", {"text/plain": repr(points)}, execution_count=cell.execution_count),
            ]
            cell.metadata[METADATA] = {
                "kind": verdict.kind, "misconception": verdict.misconception, "points": points, "message": verdict.message,
            }  # fmt: skip
        nb.metadata[METADATA] = resources["run"] | {"repairs": resources.get("repairs", [])}
        return nb, resources


class Review(NbGraderPreprocessor):
    """After the scores are saved: marks in the gradebook what a person should look at, and disarms students' Markdown."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        flagged = [c for c in nb.cells if c.metadata.get(METADATA, {}).get("kind") == "review"]
        if flagged:
            with Gradebook(names["db_url"]) as gradebook:
                for cell in flagged:
                    place = (cell.metadata.nbgrader.grade_id, names["notebook"], names["assignment"], names["student"])
                    gradebook.find_grade(*place).needs_manual_grade = True
                gradebook.db.commit()
        nb.metadata = {k: nb.metadata[k] for k in ("kernelspec", METADATA) if k in nb.metadata}
        for cell in nb.cells:
            if "tags" in cell.metadata:
                cell.metadata.tags = [t for t in cell.metadata.tags if isinstance(t, str) and _WORD.fullmatch(t)]
            if "id" in cell and not _WORD.fullmatch(str(cell.id)):
                cell.id = secrets.token_hex(4)
            if cell.cell_type != "code":
                cell.pop("attachments", None)
                if not is_locked(cell) and cell.source.strip() not in own_texts(names["notebook"]):
                    cell.source = _SCRIPT_LINK.sub("unsafe-link-", _decoded(cell.source))
                    if _TAG.search(cell.source):  # else < is no tag, and would be shown as &lt; in code and formulas
                        SanitizeHTML().preprocess_cell(cell, resources, 0)
                    if _SCRIPT_LINK.search(_decoded(cell.source)):  # a comment had split it
                        cell.source = "(This text holds links that run something. It is left out here.)"
        return nb, resources


_SCHEMES = "javascript: vbscript: data:text/ data:application/ data:image/svg attachment:".split()
_TAG = re.compile(r"<[A-Za-z/!?]")
# As a browser reads them: it leaves out tabs and ends of lines; a backslash is Markdown's.
_SCRIPT_LINK = re.compile("|".join(r"[\t\n\r\\]*".join(scheme) for scheme in _SCHEMES), re.IGNORECASE)


def _decoded(source: str) -> str:
    """Markdown without entities: [a](javascript&colon;…) is no HTML before it is rendered, so that nothing else sees it."""
    for _ in range(4):  # pages decode twice; until nothing changes, &amp;amp;… would take hours
        source = html.unescape(source)
    return source


@cache
def own_texts(notebook: str) -> set[str]:
    """The course's own Markdown, which may hold HTML: its folded hints."""
    file = NOTEBOOKS / f"{notebook}.ipynb"
    cells = nbformat.read(file, as_version=4).cells if file.exists() else []
    return {cell.source.strip() for cell in cells if cell.cell_type == "markdown"}


# --- exercises ---------------------------------------------------------------------------------------------------


@cache
def exercises() -> dict[str, Exercise]:
    """All exercises, from the rubrics."""
    return load_rubrics(SOURCE / "rubrics")


@cache
def secret() -> str:
    """What hidden cases are drawn from: made at first use, kept beside nbgrader_config.py, never given out."""
    try:
        with open(os.open(SECRET, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
    except FileExistsError:
        pass
    if len(text := SECRET.read_text().strip()) < 32:
        raise ValueError(f"{SECRET} is damaged. Restore it, or delete it and grade everything again with --force.")
    return text


@cache
def public(name: str) -> Recorded:
    """The recorded exercise as students have it. Raises ``CourseError`` if the rubric has changed since."""
    found = _recorded().get(name)
    if found is None or (found.is_function and found.data["made_from"] != fingerprint(exercises()[name])):
        raise CourseError(f"The rubric of {name} has changed since checks.json was made: run `build` first.")
    return found


@cache
def _recorded() -> dict[str, Recorded]:
    return load(SOURCE / "checks.json")


def _place(name: str) -> tuple[str, str]:
    found = _recorded().get(name)
    return (found.number, found.data.get("link", "")) if found else ("", "")


@dataclass(frozen=True)
class Hidden:
    """Cases that only this machine knows, and what the reference gives in them."""

    cases: list[dict[str, Any]]
    reference: list[Trace]


@cache
def hidden(name: str) -> Hidden:
    """The hidden cases of an exercise that is a function."""
    exercise, seen = exercises()[name], public(name)
    observer = exercise.observer
    drawn = observer.hide(seen.data["cases"], exercise.draw, Random(f"{secret()} {name}"))
    cases = json.loads(json.dumps(drawn))
    if observer.turns > 1:  # what is right there is so for any seeds
        return Hidden(cases, seen.reference)
    return Hidden(cases, reference_of(exercise, cases)[0])


def job(name: str, with_hidden: bool = True) -> dict[str, Any] | None:
    """What the kernel is told: how to observe and on which inputs. None for a cell that is no exercise of the course."""
    if name not in exercises():
        return None
    if exercises()[name].draw is None:
        return {}
    cases = _cases(name, with_hidden)
    told = {"observer": to_json(exercises()[name].observer), "cases": cases}
    if exercises()[name].observer.turns > 1:  # what comes after the stop is told to the second kernel only
        told |= {"turn": "save", "cases": [{k: v for k, v in c.items() if k != "then"} for c in cases]}
    return told


def _cases(name: str, with_hidden: bool = True) -> list[dict[str, Any]]:
    return public(name).data["cases"] + (hidden(name).cases if with_hidden else [])


def second_turn(jobs: dict[int, dict], records: dict[int, Any], with_hidden: bool = True) -> dict[int, dict]:
    """Jobs for another kernel, which gets the checkpoints that the first one wrote, and nothing else of it."""
    again = {}
    for i, told in jobs.items():
        files = (records.get(i) or {}).get("results")
        if told.get("turn") and isinstance(files, list) and all(isinstance(f, str) for f in files):
            (whole,) = (_cases(n, with_hidden) for n, e in exercises().items() if e.observer.turns > 1)
            cases = [{k: v for k, v in case.items() if k != "seed"} for case in whole]
            again[i] = told | {"turn": "load", "checkpoints": files, "cases": cases}
    return again


def speaks(name: str, record: Any) -> bool:
    """Whether a record holds words of the student's code that its verdict might quote: they could tell hidden cases."""
    if not isinstance(record, dict) or not record.get("sent") or exercises()[name].draw is None:
        return False
    try:
        if "failed" in record:
            return True
        if "results" in record:
            return any(not isinstance(r, str) and "problem" in r for r in record["results"])
        known = {
            (e.place, e.name) for trace in (*public(name).reference, *hidden(name).reference) for e in trace.entries
        }
        places = {place for place, _ in known} | {""}
        compared = not exercises()[name].observer.raw_tells()  # else nothing of what is raw is shown
        for trace in map(decode, record["traces"]):
            if compared and any((e.place, e.name) not in known for e in trace.entries):
                return True
            if (p := trace.problem) and (str(p) not in _OUR_WORDS.get(p.kind, ()) or p.place not in places):
                return True
        return False
    except Exception:
        return False  # malformed: is not quoted


def in_other_words(name: str, record: dict[str, Any], told: Any) -> dict[str, Any]:
    """The record with the words of ``told``, which comes from a kernel that knew the public cases only."""
    try:
        return _in_other_words(name, record, told)
    except Exception:  # hostile data may be of any shape
        return {"failed": "What was recorded is malformed."}


def _in_other_words(name: str, record: dict[str, Any], told: Any) -> dict[str, Any]:
    told = told if isinstance(told, dict) else {"failed": "It fails, but not on the public cases alone."}
    if "failed" in record or "failed" in told:
        return {
            "kind": told.get("kind"),
            "failed": told.get("failed", "It fails in the hidden cases, not in the visible ones."),
        }
    if "results" in record:
        words = told.get("results")
        return {"results": words if isinstance(words, list) and all("problem" in r for r in words) else ["malformed"]}
    seen = len(public(name).data["cases"])
    return {**record, "traces": told["traces"][:seen] + record["traces"][seen:]}


_OUR_WORDS = {  # sentences of the observers that quote nothing
    Kind.NOT_WRITTEN: {NOT_WRITTEN},
    Kind.TIMEOUT: {f"Still running after {TIME_LIMIT:g} seconds, so it was stopped. Is there a loop that never ends?"},
}


# --- verdicts ----------------------------------------------------------------------------------------------------


def _verdict(name: str, observed: Any, examined: str | None) -> Verdict:
    """The verdict on what a kernel sent, whatever that is. ``examined`` is the student's id in an exam."""
    if name not in exercises():
        return Verdict(name, False, Kind.UNKNOWN, 0.0, "not scored", "The course has no rubric for this cell.")
    if observed is None:
        return Verdict(name, False, Kind.NOT_RUN, 0.0, "not run", "The notebook did not get as far as this check.")
    try:
        if "failed" in observed:
            kind = Kind.TIMEOUT if observed.get("kind") == Kind.TIMEOUT else Kind.CRASHED
            return Verdict(name, False, kind, 0.0, "the check fails", _short(observed["failed"]))
        if exercises()[name].draw is None:
            return judge_question(exercises()[name], *observed["value"], exam=examined)
        hidden(name)  # made here: that takes its time
        with time_limit(COMPARING):
            return _judged(name, [_shortened(t) for t in _raw(name, observed)])
    except (Exception, TimedOut) as error:  # hostile data may be of any shape: no credit, and the next cell
        text = f"What was recorded is malformed ({type(error).__name__})."
        return Verdict(name, False, Kind.MALFORMED, 0.0, "not scored", text)


def _judged(name: str, raw: list[Trace]) -> Verdict:
    """Words and mistakes come from the public cases alone; points also need the hidden ones."""
    recorded, kept = public(name), hidden(name)
    visible, rest = raw[: len(recorded.reference)], raw[len(recorded.reference) :]
    if len(visible) != len(recorded.reference) or len(rest) != len(kept.cases):
        raise ValueError("another number of results than of cases")
    finding = compare(recorded, visible)
    if finding.case is None:
        seen = interpret(rest, recorded.observer, kept.cases)
        return explain(recorded, difference(kept.cases, seen, kept.reference, recorded.data["rtol"], hidden=True))
    verdict = explain(recorded, finding)
    if verdict.credit and not _also_hidden(exercises()[name], recorded, finding.named, kept, rest):
        return replace(verdict, credit=0.0, message=f"{verdict.message}\nIn the hidden cases it does something else.")
    return verdict


def _also_hidden(exercise: Exercise, recorded: Recorded, named: Named, kept: Hidden, raw: list[Trace]) -> bool:
    """Whether an answer makes the same mistakes in the hidden cases: else a part of the points could be had by heart."""
    seen = interpret(raw, recorded.observer, kept.cases)
    if exercise.observer.turns > 1:  # yes or no of each part, whatever the seeds
        return name_mistakes(recorded, raw, seen) == named
    told = [recorded.slips[k] for k in named.slips]
    if len(told) == 1:  # several slips may be told in the same words
        answers = [exercise.answer(slip) for slip in exercise.slips if slip.message == told[0].message]
    else:
        slips = [slip for slip in exercise.slips if slip.name in {t.name for t in told}]
        if len(slips) < len(told) or not all(slip.edit for slip in slips):
            return False
        answers = [exercise.changed({k: v for slip in slips for k, v in slip.edit.items()})]
    for answer in answers:
        wanted = see(exercise, answer, kept.cases)[0]
        if all(same(a, b, exercise.rtol) for a, b in zip(seen, wanted, strict=True)):
            return True
    return False


def _raw(name: str, observed: dict[str, Any]) -> list[Trace]:
    if exercises()[name].observer.turns == 1:
        return [decode(t) for t in observed["traces"]]
    torch.set_num_threads(1)
    return [_resumed(result) for result in observed["results"]]


def _resumed(result: dict[str, Any]) -> Trace:
    if "problem" in result and len(result["problem"]) == 4:  # of saving
        kind, place, error, text = map(str, result["problem"])
        return Trace(problem=Problem(kind, text, place, error))
    return traced(entries(result))


def _shortened(trace: Trace) -> Trace:
    trace.entries = [Entry(_short(e.place), _short(e.name), e.value, e.step, e.tensor) for e in trace.entries]
    if problem := trace.problem:
        if problem.kind not in PROBLEMS:  # the kernel is not trusted: of all kinds, one is called "passed"
            raise ValueError("a problem of no known kind")
        trace.problem = Problem(problem.kind, _short(str(problem)), _short(problem.place), _short(problem.error))
    return trace


def _short(text: Any) -> str:
    text = "".join(c if c.isprintable() or c == "\n" else "�" for c in str(text))
    return text if len(text) <= TEXT else text[:TEXT] + " …"
