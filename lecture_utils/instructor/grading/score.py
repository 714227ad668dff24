"""Scoring: what was observed in a kernel is compared here, in a process that no student code ever enters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_locked
from traitlets import Bool

from lecture_utils.checks.calling import TimedOut, time_limit
from lecture_utils.checks.card import card
from lecture_utils.checks.explain import Verdict, explain
from lecture_utils.checks.judge import compare, difference, name_mistakes
from lecture_utils.checks.notebook import pointing_to
from lecture_utils.checks.observers import interpret
from lecture_utils.checks.quiz import judge_question
from lecture_utils.checks.recorded import Recorded
from lecture_utils.checks.sketch import Named
from lecture_utils.checks.traces import PROBLEMS, Entry, Kind, Problem, Trace, decode, same
from lecture_utils.instructor.authoring.course import Course, course_in
from lecture_utils.instructor.authoring.record import see
from lecture_utils.instructor.grading.disarm import disarm
from lecture_utils.instructor.grading.hidden import Hidden, hidden
from lecture_utils.instructor.grading.observe import Observed
from lecture_utils.instructor.grading.results import METADATA, Result
from lecture_utils.instructor.grading.transplant import defined

COMPARING = 60  # seconds for one record: an honest one takes less than one
TEXT = 400  # characters of what student code says that a verdict may quote


class Score(NbGraderPreprocessor):
    """Writes verdict and score into each check cell, in the form in which nbgrader reads scores."""

    exam = Bool(False, help="Count answers to drawn questions only if their numbers are the student's own.").tag(
        config=True
    )

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        course = course_in(self.config.CourseDirectory.root, names["db_url"], names["assignment"])
        examined = names["student"] if self.exam else None
        results: list[Result] = []
        for cell in nb.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if not (is_locked(cell) and cell.cell_type == "code" and "points" in cell.metadata.get("nbgrader", {})):
                continue
            verdict = self._verdict(course, name, resources["observed"].get(name, []), examined, results)
            results.append(_result(course, names["notebook"], nb, cell, verdict))
            shown = {"text/plain": results[-1].plain, "text/html": results[-1].card}
            points = repr(results[-1].points)
            cell.outputs = [
                new_output("display_data", shown),
                new_output("execute_result", {"text/plain": points}, execution_count=cell.execution_count),
            ]
        moved = nb.metadata.get(METADATA, {}).get("moved", [])
        found = {"results": [result.to_dict() for result in results], "moved": moved}
        nb.metadata[METADATA] = resources["run"] | found
        return nb, resources

    def _verdict(
        self, course: Course, name: str, observed: list[Observed], examined: str | None, before: list[Result]
    ) -> Verdict:
        """The best of what a check was given: its own place comes first, then the last definition."""
        if name not in course.recorded:
            return Verdict(name, False, Kind.UNKNOWN, 0.0, "not scored", "The course has no rubric for this cell.")
        verdicts = [verdict_on(course, name, each, examined) for each in observed or [Observed()]]
        best = max(verdicts, key=lambda verdict: (verdict.credit, verdict.passed))
        green = {result.exercise for result in before if result.kind == Kind.PASSED}
        uses = course.recorded[name].data.get("uses", ())
        best = pointing_to([used for used in uses if used not in green], best)
        return replace(best, kind=Kind.REVIEW) if best.kind == Kind.OTHER_STUDENT else best


def _result(course: Course, notebook: str, nb: NotebookNode, cell: NotebookNode, verdict: Verdict) -> Result:
    name, of = verdict.exercise, cell.metadata.nbgrader.points
    recorded = course.recorded.get(name)
    shown = card(verdict, recorded.number, recorded.data.get("link", "")) if recorded else card(verdict, "", "")
    return Result(
        notebook, name, round(verdict.credit * of, 4), of, verdict.kind, verdict.misconception or "",
        verdict.message, shown.rich, shown.plain, _answer(nb, cell),
    )  # fmt: skip


def _answer(nb: NotebookNode, check: NotebookNode) -> str:
    """What was written for a check: in the cell of that name, or, of a question, in the last cell that gives it a value."""
    name = check.metadata.nbgrader.grade_id
    code = [cell for cell in nb.cells if cell.cell_type == "code" and not is_locked(cell)]
    named = [c for c in code if c.metadata.get("nbgrader", {}).get("grade_id") == f"{name}-answer"]
    giving = [c for c in reversed(code) if name in defined(c.source)]
    return next((cell.source for cell in [*named, *giving]), "")


class Review(NbGraderPreprocessor):
    """After the scores are saved: marks in the gradebook what a person should look at, and disarms students' Markdown."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        flagged = [r["exercise"] for r in nb.metadata[METADATA]["results"] if r["kind"] == Kind.REVIEW]
        if flagged:
            with Gradebook(names["db_url"]) as gradebook:
                for name in flagged:
                    place = (name, names["notebook"], names["assignment"], names["student"])
                    gradebook.find_grade(*place).needs_manual_grade = True
                gradebook.db.commit()
        released = course_in(self.config.CourseDirectory.root, names["db_url"], names["assignment"]).released
        ours = {cell.source for cell in released[names["notebook"]].cells}
        for cell in nb.cells:
            if cell.cell_type != "code" and cell.source not in ours:
                cell.source = disarm(cell.source)
        return nb, resources


# --- verdicts ----------------------------------------------------------------------------------------------------


def verdict_on(course: Course, name: str, observed: Observed, examined: str | None = None) -> Verdict:
    """The verdict on what a kernel sent, whatever that is. ``examined`` is the student's id in an exam."""
    recorded = course.recorded[name]
    if observed.public is None or (observed.hidden is None and "traces" in observed.public):
        return Verdict(name, False, Kind.NOT_RUN, 0.0, "not run", "Its time was over before this check had been run.")
    try:
        if "failed" in observed.public:
            return _failed(name, observed.public)
        if not recorded.is_function:
            return judge_question(recorded, *observed.public["value"], exam=examined)
        kept = hidden(course, name)  # made here: that takes its time
        with time_limit(COMPARING):
            return _judged(course, recorded, kept, observed)
    except (Exception, TimedOut) as error:  # hostile data may be of any shape: no credit, and the next cell
        text = f"What was recorded is malformed ({type(error).__name__})."
        return Verdict(name, False, Kind.MALFORMED, 0.0, "not scored", text)


def _failed(name: str, record: dict[str, Any]) -> Verdict:
    kind = Kind.TIMEOUT if record.get("kind") == Kind.TIMEOUT else Kind.CRASHED
    return Verdict(name, False, kind, 0.0, "the check fails", _short(record["failed"]))


def _judged(course: Course, recorded: Recorded, kept: Hidden, observed: Observed) -> Verdict:
    """Words and mistakes come from the visible cases alone; points also need the hidden ones."""
    if "failed" in observed.public.get("loaded", {}):
        return _failed(recorded.name, observed.public["loaded"])
    visible, rest = _traces(observed.public, len(recorded.reference)), _hidden_traces(observed.hidden, kept)
    finding = compare(recorded, visible)
    if finding.case is None:
        seen = interpret(rest, recorded.observer, kept.cases)
        verdict = explain(recorded, difference(kept.cases, seen, kept.reference, recorded.data["rtol"], hidden=True))
        if verdict.passed:
            text = f"Right in all {len(visible)} visible cases and in the {len(rest)} that were drawn at grading."
            return replace(verdict, headline="right", message=text)
        return verdict
    verdict = explain(recorded, finding)
    if verdict.credit and not _also_hidden(course, recorded, finding.named, kept, rest):
        return replace(verdict, credit=0.0, message=f"{verdict.message}\nIn the hidden cases it does something else.")
    return verdict


def _also_hidden(course: Course, recorded: Recorded, named: Named, kept: Hidden, raw: list[Trace]) -> bool:
    """Whether an answer makes the same mistakes in the hidden cases: else a part of the points could be had by heart."""
    exercise, seen = course.exercises[recorded.name], interpret(raw, recorded.observer, kept.cases)
    if recorded.observer.slow:  # yes or no of each part, whatever the seeds
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


# --- what a kernel sent -------------------------------------------------------------------------------------------


def _hidden_traces(record: dict[str, Any] | None, kept: Hidden) -> list[Trace]:
    """What came back in the hidden cases. Where nothing did, it is a failure in each of them; of what kind is not told."""
    if record is None or "failed" in record or "failed" in record.get("loaded", {}):
        return [Trace(problem=Problem(Kind.CRASHED))] * len(kept.cases)
    return _traces(record, len(kept.cases))


def _traces(record: dict[str, Any], many: int) -> list[Trace]:
    """Raw values, of both halves where an answer saves and loads. Raises all sorts of errors for what is no record."""
    torch.set_num_threads(1)
    traces = [_shortened(decode(trace)) for trace in record["traces"]]
    if len(traces) != many:
        raise ValueError("another number of results than of cases")
    if "files" not in record:
        return traces
    loaded = iter([_shortened(decode(trace)) for trace in record["loaded"]["traces"]])
    return [trace if trace.problem else _joined(trace, next(loaded)) for trace in traces]


def _joined(first: Trace, second: Trace) -> Trace:
    return Trace(first.entries + second.entries, second.problem)


def _shortened(trace: Trace) -> Trace:
    entries = [Entry(_short(e.place), _short(e.name), e.value, e.step, e.tensor) for e in trace.entries]
    problem = trace.problem
    if not problem:
        return Trace(entries)
    if problem.kind not in PROBLEMS:  # the kernel is not trusted: of all kinds, one is called "passed"
        raise ValueError("a problem of no known kind")
    return Trace(entries, Problem(problem.kind, _short(str(problem)), _short(problem.place), _short(problem.error)))


def _short(text: Any) -> str:
    text = "".join(c if c.isprintable() or c == "\n" else "�" for c in str(text))
    return text if len(text) <= TEXT else text[:TEXT] + " …"
