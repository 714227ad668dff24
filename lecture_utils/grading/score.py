"""Scoring: what was observed in a kernel is compared here, in a process that no student code ever enters.

Hidden cases are drawn from a secret that only this machine has; expected values stay in this process.
"""

from __future__ import annotations

import html
import os
import re
import secrets
from dataclasses import replace
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

from lecture_utils.checks.calling import TimedOut, time_limit
from lecture_utils.checks.exercise import Exercise
from lecture_utils.checks.judge import Verdict, compare, load, pointing_to
from lecture_utils.checks.notebook import card
from lecture_utils.checks.observers import TIME_LIMIT, traced
from lecture_utils.checks.quiz import judge_question
from lecture_utils.checks.record import load_rubrics, record
from lecture_utils.checks.resume import compare as compare_runs
from lecture_utils.checks.traces import KINDS, Problem, Trace, decode
from lecture_utils.environment import NOTEBOOKS, ROOT, SOURCE, CourseError
from lecture_utils.grading.reading import Reading

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
            if verdict.kind == "other_student":
                verdict = replace(verdict, kind="review")
            elif verdict.credit and (why := reading.doubt(exercises()[name])):
                verdict = Verdict(name, False, "review", 0.0, "for your instructor to look at", why)
            points = round(verdict.credit * cell.metadata.nbgrader.points, 4)
            shown = card(verdict)
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
def public(name: str) -> dict[str, Any]:
    """The recorded exercise as students have it. Raises ``CourseError`` if the rubric has changed since."""
    found = _recorded().get(name, {})
    if [m["name"] for m in found.get("misconceptions", [])] != [m.name for m in exercises()[name].misconceptions]:
        raise CourseError(f"The rubric of {name} has changed since checks.json was made: run `build` first.")
    return found


@cache
def _recorded() -> dict[str, Any]:
    return load(SOURCE / "checks.json")


@cache
def spec(name: str) -> dict[str, Any]:
    """The recorded exercise with its hidden cases after the public ones."""
    exercise, seen = exercises()[name], public(name)
    random = Random(f"{secret()} {name}")
    if exercise.observer == "resume":  # the same cases from other seeds: what is recorded of them holds for any
        cases = [c | {k: random.randrange(2**31) for k in ("seed", "fresh", "then")} for c in seen["cases"]]
        return seen | {"cases": cases}
    if exercise.observer in ("answer", "question"):  # has no cases to hide
        return seen
    hidden = record(exercise, seed=f"{secret()} {name}")
    both = {key: seen[key] + hidden[key] for key in ("cases", "reference")}
    pairs = zip(seen["misconceptions"], hidden["misconceptions"], strict=True)
    return seen | both | {"misconceptions": [a | {"traces": a["traces"] + b["traces"]} for a, b in pairs]}


def job(name: str, hidden: bool = True) -> dict[str, Any] | None:
    """What the kernel is told: how to observe and on which inputs. None for a cell that is no exercise of the course."""
    if name not in exercises():
        return None
    if exercises()[name].observer == "question":
        return {"observer": "question"}
    told = {key: (spec if hidden else public)(name)[key] for key in ("observer", "cases", "settings")}
    if told["observer"] == "resume":  # what comes after the stop is told to the second kernel only
        told |= {"turn": "save", "cases": [{k: v for k, v in c.items() if k != "then"} for c in told["cases"]]}
    return told


def second_turn(jobs: dict[int, dict], records: dict[int, Any], hidden: bool = True) -> dict[int, dict]:
    """Jobs for another kernel, which gets the checkpoints that the first one wrote, and nothing else of it."""
    again = {}
    for i, told in jobs.items():
        files = (records.get(i) or {}).get("results")
        if told["observer"] == "resume" and isinstance(files, list) and all(isinstance(f, str) for f in files):
            whole = next(
                (spec if hidden else public)(n)["cases"] for n, e in exercises().items() if e.observer == "resume"
            )
            cases = [{k: v for k, v in case.items() if k != "seed"} for case in whole]
            again[i] = told | {"turn": "load", "checkpoints": files, "cases": cases}
    return again


def speaks(name: str, record: Any) -> bool:
    """Whether a record holds words of the student's code that its verdict might quote: they could tell hidden cases."""
    if not isinstance(record, dict) or not record.get("sent") or exercises()[name].observer == "question":
        return False
    try:
        if "failed" in record:
            return True
        if "results" in record:
            return any(not isinstance(r, str) and "problem" in r for r in record["results"])
        labels = {label for trace in spec(name)["reference"] for label, _ in trace["entries"]}
        places = {label.partition(": ")[0] for label in labels} | {""}
        for trace in map(decode, record["traces"]):
            if any(label not in labels for label, _ in trace.entries):
                return True
            if (p := trace.problem) and (
                p.kind not in _OUR_WORDS or str(p) not in _OUR_WORDS[p.kind] or p.place not in places
            ):
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
    seen = len(public(name)["cases"])
    return {**record, "traces": told["traces"][:seen] + record["traces"][seen:]}


_OUR_WORDS = {  # sentences of the observers that quote nothing
    "not_written": {
        "Put your own lines where it says # YOUR CODE HERE, and take out the line that raises.",
        "Replace the None of this part.",
    },
    "timeout": {f"Still running after {TIME_LIMIT:g} seconds, so it was stopped. Is there a loop that never ends?"},
}


# --- verdicts ----------------------------------------------------------------------------------------------------


def _verdict(name: str, observed: Any, examined: str | None) -> Verdict:
    """The verdict on what a kernel sent, whatever that is. ``examined`` is the student's id in an exam."""
    if name not in exercises():
        return Verdict(name, False, "unknown", 0.0, "not scored", "The course has no rubric for this cell.")
    if observed is None:
        return Verdict(name, False, "not_run", 0.0, "not run", "The notebook did not get as far as this check.")
    try:
        if "failed" in observed:
            kind = "timeout" if observed.get("kind") == "timeout" else "crashed"
            return Verdict(name, False, kind, 0.0, "the check fails", _short(observed["failed"]))
        if exercises()[name].observer == "question":
            return judge_question(exercises()[name], *observed["value"], exam=examined)
        expected, seen = spec(name), len(public(name)["cases"])  # made here: that takes its time
        with time_limit(COMPARING):
            return compare(name, expected, [_shortened(t) for t in _traces(name, observed)], public=seen)
    except (Exception, TimedOut) as error:  # hostile data may be of any shape: no credit, and the next cell
        return Verdict(
            name, False, "malformed", 0.0, "not scored", f"What was recorded is malformed ({type(error).__name__})."
        )


def _traces(name: str, observed: dict[str, Any]) -> list[Trace]:
    cases = spec(name)["cases"]
    if exercises()[name].observer != "resume":
        return [decode(t) for t in observed["traces"]]
    results = observed["results"]
    if len(results) != len(cases):
        raise ValueError("another number of results than of cases")
    torch.set_num_threads(1)
    return [_resumed(result, case) for result, case in zip(results, cases, strict=True)]


def _resumed(result: dict[str, Any], case: dict[str, Any]) -> Trace:
    if "problem" in result and len(result["problem"]) == 3:  # of saving
        kind, text, place = map(str, result["problem"])
        return Trace(problem=Problem(kind, text, place))
    return traced(compare_runs(result, case))


def _shortened(trace: Trace) -> Trace:
    trace.entries = [(_short(label), value) for label, value in trace.entries]
    if problem := trace.problem:
        if problem.kind not in KINDS:  # the kernel is not trusted: of its own kinds, one would be called "passed"
            raise ValueError("a problem of no known kind")
        trace.problem = Problem(_short(problem.kind), _short(str(problem)), _short(problem.place))
    return trace


def _short(text: Any) -> str:
    text = "".join(c if c.isprintable() or c == "\n" else "�" for c in str(text))
    return text if len(text) <= TEXT else text[:TEXT] + " …"
